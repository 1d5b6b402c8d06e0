// The batcher in simulated time: thousands of random jobs, every step checked against a model of
// what each request must see. No tensors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/batcher.h"

static uint64_t rng_state;

static uint32_t draw(uint32_t below) // xorshift64*
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return (uint32_t)((rng_state * 0x2545F4914F6CDD1Dull) >> 33) % below;
}

// A simulated request: what the batcher may assume, and what the device would hold.
typedef struct sim {
    int32_t n_prompt, n_limit;
    int32_t eos_at;           // ends when that many tokens were generated
    int32_t delivered;        // tokens committed
    int32_t on_device;        // tokens in the KV cache of its present stay
    int32_t drawn;            // tokens drawn so far, in flight included
    int32_t n_shared;         // tokens that it shares when it joins
    int32_t family, n_common; // its prompt begins with so many tokens of that family
    bool over, in_batch;
    int32_t row;
} sim;

typedef struct world {
    wf_batcher_config cfg;
    wf_batcher *b;
    wf_schedule *ring[2];
    sim *sims;
    int n_sims, n_submitted, n_over;
    int32_t *table; // [max_rows][max_pages] page table as the device has it
    int steps_ahead;
    int64_t n_planned, n_committed;
    bool seen_over[512];
    int64_t leave_at; // before this step every third request is let go; 0: never
    int n_asked, n_gone, n_verified;
    int64_t *kv;      // [n_pages][page_tokens] with shared pages: what the device would hold
    int64_t n_shared; // prompt tokens that were not computed
} world;

static int32_t pages(const world *w, int32_t n_tokens)
{
    return (n_tokens + w->cfg.page_tokens - 1) / w->cfg.page_tokens;
}

static void apply_moves(world *w, const wf_schedule *s)
{
    size_t bytes = (size_t)w->cfg.max_pages * sizeof(int32_t);
    for (int32_t i = 0; i < s->n_moves; i++) {
        assert_true(s->move_to[i] < s->move_from[i]);
        if (w->cfg.reorder != WF_REORDER_COPY)
            memcpy(w->table + s->move_to[i] * w->cfg.max_pages,
                   w->table + s->move_from[i] * w->cfg.max_pages, bytes);
        for (int k = 0; k < w->n_sims; k++)
            if (w->sims[k].in_batch && w->sims[k].row == s->move_from[i])
                w->sims[k].row = s->move_to[i];
    }
    for (int32_t i = 0; i < s->n_pages; i++)
        w->table[s->page_row[i] * w->cfg.max_pages + s->page_col[i]] = s->page[i];
}

// ---- pages with what is in them: the prompts of a family begin alike ----------------------------

// What the device would keep of a position: it hangs on all tokens up to there.
static int64_t content(const world *w, const sim *x, int32_t pos)
{
    int64_t who = pos < x->n_common ? -1 - x->family : x - w->sims;
    return who * (INT64_C(1) << 32) + pos + 1;
}

static wf_hash128 name_of(const world *w, const sim *x, int32_t i_page)
{
    int64_t last = content(w, x, (i_page + 1) * w->cfg.page_tokens - 1);
    return (wf_hash128){.high = (uint64_t)last, .low = (uint64_t)last * 31};
}

static int32_t share_named(void *context, void *tag, int32_t most, int32_t *out)
{
    world *w = context;
    sim *x = tag;
    int32_t n = 0;
    assert_true(most * w->cfg.page_tokens < x->n_prompt); // a token is left to compute
    while (n < most && (out[n] = wf_kvpool_find(wf_batcher_pool(w->b), name_of(w, x, n))) >= 0)
        n++;
    x->n_shared = n * w->cfg.page_tokens;
    return n;
}

static void name_full(void *context, void *tag, int32_t first, int32_t n, const int32_t *own)
{
    world *w = context;
    for (int32_t i = first; i < first + n; i++) {
        assert_true((i + 1) * w->cfg.page_tokens <= ((sim *)tag)->n_prompt);
        wf_kvpool_name(wf_batcher_pool(w->b), own[i], name_of(w, tag, i));
    }
}

// Every row writes its tokens, then every row reads all that it has: its own and no other's.
static void check_content(world *w, const wf_schedule *s)
{
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < s->n_seqs; i++) {
            const wf_seq *q = &s->seqs[i];
            const int32_t *table = w->table + q->row * w->cfg.max_pages;
            for (int32_t pos = pass ? 0 : q->n_past; pos < q->n_past + q->n_new; pos++) {
                int32_t page = table[pos / w->cfg.page_tokens];
                int64_t *at = &w->kv[page * w->cfg.page_tokens + pos % w->cfg.page_tokens];
                if (pass)
                    assert_int_equal(*at, content(w, q->tag, pos));
                else
                    *at = content(w, q->tag, pos);
            }
        }
}

// No page may belong to two rows of one step, but for shared ones, which one of them may write.
static void check_pages(world *w, const wf_schedule *s)
{
    enum { NOBODY, READ, WRITTEN };
    if (w->cfg.reorder == WF_REORDER_COPY) return;
    char *used = calloc((size_t)w->cfg.n_pages, 1);
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        int32_t first = w->cfg.window > 0 ? q->n_past - w->cfg.window + 1 : 0; // that is seen
        for (int32_t c = first > 0 ? first / w->cfg.page_tokens : 0;
             c < pages(w, q->n_past + q->n_new); c++) {
            int32_t page = w->table[q->row * w->cfg.max_pages + c];
            bool writes = (c + 1) * w->cfg.page_tokens > q->n_past;
            assert_in_range(page, 0, w->cfg.n_pages - 1);
            assert_true(used[page] == NOBODY ||
                        (w->cfg.share && !(writes && used[page] == WRITTEN)));
            if (used[page] != WRITTEN) used[page] = writes ? WRITTEN : READ;
        }
    }
    free(used);
    if (w->cfg.share) check_content(w, s);
}

// Its last token, which is known, and tokens that may all count. What it gains, its commit says.
static void check_verify(const wf_seq *q, sim *x)
{
    assert_int_equal(q->n_past + 1, x->n_prompt + x->drawn);
    assert_int_equal(x->drawn, x->delivered);
    assert_int_equal(q->n_samples, q->n_new);
    assert_true(x->drawn + q->n_new <= x->n_limit);
    assert_true(q->known);
    x->on_device++;
    x->drawn++;
}

static void check_seq(world *w, const wf_seq *q)
{
    sim *x = q->tag;
    if (q->discard) {
        assert_null(x);
        return;
    }
    assert_int_equal(q->join, !x->in_batch);
    if (q->join) {
        assert_int_equal(q->n_past, x->n_shared);
        x->in_batch = true;
        x->row = q->row;
        x->on_device = x->n_shared;
        w->n_shared += x->n_shared;
    }
    assert_true(x->in_batch);
    assert_int_equal(q->row, x->row); // the row the device has it in
    assert_int_equal(q->n_past, x->on_device);
    assert_true(q->n_new >= 1);
    assert_int_equal(q->kind == WF_SEQ_CHUNK, q->n_past < x->n_prompt);
    if (q->known) assert_true(q->n_past - x->n_prompt < x->delivered);
    if (q->kind == WF_SEQ_VERIFY) {
        check_verify(q, x);
        return;
    }
    // Only tokens that exist are fed; a known one was committed before.
    assert_true(q->n_past + q->n_new <= x->n_prompt + x->drawn);
    if (q->kind == WF_SEQ_CHUNK) assert_true(q->n_past + q->n_new <= x->n_prompt);
    assert_int_equal(q->n_samples, q->n_past + q->n_new == x->n_prompt + x->drawn);
    x->on_device += q->n_new;
    x->drawn += q->n_samples;
    assert_true(x->drawn <= x->n_limit);
}

static void check_schedule(world *w, wf_schedule *s)
{
    int32_t n_tokens = 0, n_decode = 0, n_samples = 0;
    for (int32_t i = 0; i < s->n_put_back; i++) {
        sim *x = s->put_back[i]; // perhaps admitted and not yet begun
        x->in_batch = false;
    }
    apply_moves(w, s);
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        for (int32_t k = 0; k < i; k++)
            assert_int_not_equal(s->seqs[k].row, q->row);
        assert_in_range(q->row, 0, w->cfg.max_rows - 1);
        check_seq(w, q);
        n_tokens += q->n_new;
        n_decode += q->kind == WF_SEQ_DECODE;
        n_samples += q->n_samples;
        w->n_verified += q->kind == WF_SEQ_VERIFY && q->n_new > 1;
        if (q->kind == WF_SEQ_DECODE) assert_int_equal(i, n_decode - 1); // decode rows come first
    }
    check_pages(w, s);
    assert_int_equal(s->n_tokens, n_tokens);
    assert_int_equal(s->n_decode, n_decode);
    assert_int_equal(s->n_samples, n_samples);
    assert_true(n_tokens <= w->cfg.step_tokens);
    assert_true(s->n_seqs <= w->cfg.max_rows);
    assert_true(s->n_samples <= w->cfg.max_rows);
}

// Of what a sequence draws, as much as counts: all, or of proposed ones the first few.
static wf_gain gain_of(const wf_seq *q, sim *x)
{
    int32_t most = q->kind == WF_SEQ_VERIFY ? 1 + (int32_t)draw((uint32_t)q->n_samples) : 1;
    wf_gain g = {0};
    while (g.n_tokens < most && !g.over) {
        g.n_tokens++;
        x->delivered++;
        g.over = x->delivered == x->eos_at || x->delivered == x->n_limit;
    }
    x->on_device += x->in_batch ? g.n_tokens - 1 : 0;
    x->drawn += g.n_tokens - 1;
    return g;
}

static void commit_oldest(world *w)
{
    wf_gain gains[512];
    wf_schedule *s = w->ring[w->n_committed++ % 2];
    int n = 0;
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        sim *x = q->tag;
        if (q->n_samples == 0) continue;
        if (q->discard || x->over) {
            gains[n++] = (wf_gain){.n_tokens = 1, .over = true};
            continue;
        }
        gains[n] = gain_of(q, x);
        if (gains[n++].over) {
            x->over = true;
            w->n_over++;
        }
    }
    wf_batcher_commit(w->b, s, gains);
}

static void forget_left(world *w) // rows that ended leave before the next plan
{
    if (w->cfg.reorder == WF_REORDER_OFF) return;
    for (int i = 0; i < w->n_sims; i++)
        if (w->sims[i].drawn == w->sims[i].n_limit || w->sims[i].over) w->sims[i].in_batch = false;
}

static void submit_some(world *w)
{
    uint32_t n = draw(4);
    for (uint32_t i = 0; i < n && w->n_submitted < w->n_sims; i++) {
        sim *x = &w->sims[w->n_submitted++];
        assert_int_equal(
            wf_batcher_submit(w->b, &(wf_batcher_request){.tag = x,
                                                          .n_prompt = x->n_prompt,
                                                          .n_limit = x->n_limit,
                                                          .submitted_ns = w->n_planned}),
            WF_OK);
    }
}

// Forgets every third request, as an owner who lets it go.
static bool every_third(void *context, void *tag, int32_t n_prompt_left)
{
    world *w = context;
    sim *x = tag;
    assert_false(x->over);
    assert_in_range(n_prompt_left, 0, x->n_prompt);
    if (w->n_asked++ % 3 != 0) return false;
    x->over = true;
    w->n_over++;
    w->n_gone++;
    return true;
}

// *out_prompt: prompt tokens computed.
static void run_world_counting(world *w, int64_t *out_prompt)
{
    for (int64_t step = 0; w->n_over < w->n_sims; step++) {
        assert_true(step < 200000); // else it hangs
        submit_some(w);
        if (step == w->leave_at && step > 0) wf_batcher_let_go(w->b, every_third, w);
        forget_left(w);
        wf_schedule *s = w->ring[w->n_planned % 2];
        wf_batcher_plan(w->b, step, w->n_submitted == w->n_sims, s);
        check_schedule(w, s);
        *out_prompt += s->n_prompt_tokens;
        if (s->n_seqs > 0) w->n_planned++;
        int64_t may_fly = s->n_seqs > 0 ? w->steps_ahead : 0;
        while (w->n_planned - w->n_committed > may_fly)
            commit_oldest(w);
    }
    while (w->n_committed < w->n_planned)
        commit_oldest(w);
    wf_schedule *s = w->ring[w->n_planned % 2];
    wf_batcher_plan(w->b, INT64_MAX / 2, true, s);
    assert_int_equal(s->n_seqs, 0);
    assert_int_equal(s->kv_pages, 0); // every page came back
    assert_int_equal(wf_batcher_n_rows(w->b) + wf_batcher_n_waiting(w->b), 0);
}

static void run_world(world *w)
{
    int64_t n_prompt = 0;
    run_world_counting(w, &n_prompt);
}

static void make_world(world *w, uint64_t seed, wf_reorder reorder, wf_fusion fusion)
{
    rng_state = seed * 2654435761u + 88172645463325252ull;
    memset(w, 0, sizeof *w);
    int32_t rows = 1 + (int32_t)draw(9), page = 1 + (int32_t)draw(7);
    int32_t most = 40; // tokens of the largest request
    w->cfg = (wf_batcher_config){.max_rows = rows,
                                 .step_tokens = rows + (int32_t)draw(30),
                                 .page_tokens = page,
                                 .max_pages = (most + page - 1) / page + 1,
                                 .reorder = reorder,
                                 .fusion = fusion,
                                 .window_ns = (int64_t)draw(20),
                                 .instances = 1 + (int32_t)draw((uint32_t)rows)};
    w->cfg.slot_pages = w->cfg.max_pages;
    w->cfg.n_pages = (most + page - 1) / page + (int32_t)draw(30); // tight: put-backs happen
    w->steps_ahead = (int)draw(2);
    w->n_sims = 1 + (int)draw(40);
    w->sims = calloc((size_t)w->n_sims, sizeof *w->sims);
    for (int i = 0; i < w->n_sims; i++) {
        sim *x = &w->sims[i];
        x->n_prompt = 1 + (int32_t)draw(25);
        x->n_limit = 1 + (int32_t)draw(15);
        x->eos_at = draw(2) ? 1 + (int32_t)draw(15) : 1000;
    }
    w->table = calloc((size_t)rows * (size_t)w->cfg.max_pages, sizeof *w->table);
    assert_int_equal(wf_batcher_create(&w->cfg, &w->b), WF_OK);
    assert_int_equal(wf_schedule_create(w->b, &w->ring[0]), WF_OK);
    assert_int_equal(wf_schedule_create(w->b, &w->ring[1]), WF_OK);
}

// The same requests with other limits.
static void remake_batcher(world *w, const wf_batcher_config *c)
{
    wf_schedule_destroy(w->ring[0]);
    wf_schedule_destroy(w->ring[1]);
    wf_batcher_destroy(w->b);
    w->cfg = *c;
    assert_int_equal(wf_batcher_create(c, &w->b), WF_OK);
    assert_int_equal(wf_schedule_create(w->b, &w->ring[0]), WF_OK);
    assert_int_equal(wf_schedule_create(w->b, &w->ring[1]), WF_OK);
}

static void free_world(world *w)
{
    wf_schedule_destroy(w->ring[0]);
    wf_schedule_destroy(w->ring[1]);
    wf_batcher_destroy(w->b);
    free(w->kv);
    free(w->table);
    free(w->sims);
}

static void random_jobs_end_when_requests_are_let_go(void **state)
{
    (void)state;
    int n_gone = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        world w;
        make_world(&w, seed, (wf_reorder)(seed % 3), (wf_fusion)(seed / 3 % 4));
        w.leave_at = 1 + draw(40);
        run_world(&w);
        n_gone += w.n_gone;
        free_world(&w);
    }
    assert_true(n_gone > 400);
}

static void random_jobs_end_and_leave_nothing_behind(void **state)
{
    (void)state;
    for (int reorder = WF_REORDER_INDEX; reorder <= WF_REORDER_OFF; reorder++)
        for (int fusion = WF_FUSION_TEMPORAL; fusion <= WF_FUSION_STATIC; fusion++)
            for (uint64_t seed = 1; seed <= 400; seed++) {
                world w;
                make_world(&w, seed, (wf_reorder)reorder, (wf_fusion)fusion);
                run_world(&w);
                free_world(&w);
            }
}

static void make_families(world *w)
{
    wf_batcher_config c = w->cfg;
    c.share = share_named;
    c.full = name_full;
    c.share_context = w;
    c.shared_pages = c.max_pages + (int32_t)draw(20);
    if (draw(2)) c.look_ahead = (int32_t)draw(30);
    remake_batcher(w, &c);
    w->kv = calloc((size_t)(c.n_pages * c.page_tokens), sizeof *w->kv);
    for (int i = 0; i < w->n_sims; i++) {
        w->sims[i].family = (int32_t)draw(3);
        w->sims[i].n_common = (int32_t)draw((uint32_t)w->sims[i].n_prompt + 1);
    }
}

// Requests whose prompts begin as another's do share its pages, and read what they would have
// computed: while pages are few, rows are put back, and idle pages are given to others.
static void random_jobs_end_when_pages_are_shared(void **state)
{
    (void)state;
    int64_t n_shared = 0;
    for (uint64_t seed = 1; seed <= 1600; seed++) {
        world w;
        make_world(&w, seed, WF_REORDER_INDEX, (wf_fusion)(seed % 4));
        w.leave_at = draw(3) == 0 ? 1 + draw(40) : 0;
        make_families(&w);
        run_world(&w);
        n_shared += w.n_shared;
        free_world(&w);
    }
    assert_true(n_shared > 20000);
}

// Prompt tokens that are computed of 48 requests of four families in turn, two rows at a time, in
// memory for little more than these.
static int64_t compute_families(int32_t look_ahead)
{
    world w;
    int64_t n_computed = 0;
    make_world(&w, 1, WF_REORDER_INDEX, WF_FUSION_TEMPORAL);
    free(w.sims);
    free(w.table);
    w.n_sims = 48;
    w.sims = calloc(48, sizeof *w.sims);
    w.table = calloc(2 * 12, sizeof *w.table);
    w.cfg = (wf_batcher_config){
        .max_rows = 2, .step_tokens = 64, .page_tokens = 4, .max_pages = 12, .n_pages = 24};
    for (int i = 0; i < 48; i++)
        w.sims[i] = (sim){.n_prompt = 35, .n_limit = 3, .eos_at = 1000};
    make_families(&w);
    for (int i = 0; i < 48; i++)
        w.sims[i].family = i % 4, w.sims[i].n_common = 32;
    wf_batcher_config c = w.cfg;
    c.look_ahead = look_ahead;
    remake_batcher(&w, &c);
    run_world_counting(&w, &n_computed);
    free_world(&w);
    return n_computed;
}

// Where memory does not hold what all families begin with, one family after the other is computed.
static void who_shares_most_joins_first(void **state)
{
    (void)state;
    int64_t in_turn = compute_families(0), sorted = compute_families(48);
    assert_true(sorted < 48 * 35 / 3);
    assert_true(in_turn > 2 * sorted);
}

// A prompt that all requests begin with is computed once, also by those that come in one plan.
static void a_common_prompt_is_computed_once(void **state)
{
    (void)state;
    for (int limit = 0; limit < 2; limit++) {
        world w;
        int64_t n_computed = 0;
        make_world(&w, 1, WF_REORDER_INDEX, WF_FUSION_TEMPORAL);
        free(w.sims);
        w.n_sims = 50;
        w.sims = calloc(50, sizeof *w.sims);
        w.cfg = (wf_batcher_config){.max_rows = 16,
                                    .step_tokens = limit ? 20 : 200,
                                    .page_tokens = 4,
                                    .max_pages = 12,
                                    .n_pages = 400};
        free(w.table);
        w.table = calloc(16 * 12, sizeof *w.table);
        for (int i = 0; i < 50; i++)
            w.sims[i] = (sim){.n_prompt = 35, .n_limit = 3, .eos_at = 1000};
        make_families(&w);
        for (int i = 0; i < 50; i++)
            w.sims[i].family = 0, w.sims[i].n_common = 32;
        run_world_counting(&w, &n_computed);
        assert_int_equal(n_computed, 35 + 49 * 3);
        free_world(&w);
    }
}

// Rows for which tokens are proposed gain several at a step, whatever the policies.
static void random_jobs_end_when_tokens_are_proposed(void **state)
{
    (void)state;
    int n_verified = 0;
    for (uint64_t seed = 1; seed <= 1200; seed++) {
        world w;
        make_world(&w, seed, (wf_reorder)(seed % 3), (wf_fusion)(seed / 3 % 4));
        wf_batcher_config c = w.cfg;
        c.n_draft = 1 + (int32_t)draw(6);
        remake_batcher(&w, &c);
        run_world(&w);
        n_verified += w.n_verified;
        free_world(&w);
    }
    assert_true(n_verified > 5000);
}

// Where tokens see a window, requests go on in the pages that they have: none is seen when it is
// written over (check_pages), and no request holds more than it may.
static void random_jobs_end_within_their_windows(void **state)
{
    (void)state;
    int n_in_turn = 0;
    for (uint64_t seed = 1; seed <= 2400; seed++) {
        world w;
        make_world(&w, seed, (wf_reorder)(seed % 3), (wf_fusion)(seed / 3 % 4));
        wf_batcher_config c = w.cfg;
        c.window = 1 + (int32_t)draw(20);
        if (draw(2)) c.n_draft = 1 + (int32_t)draw(6);
        if (c.reorder != WF_REORDER_COPY)
            c.n_pages = wf_batcher_most_pages(&c) + (int32_t)draw(10); // fewer than a context's
        remake_batcher(&w, &c);
        run_world(&w);
        n_in_turn += wf_batcher_most_pages(&c) < c.max_pages;
        free_world(&w);
    }
    assert_true(n_in_turn > 500);
}

static void plan_batch(world *w, int n, int32_t n_prompt, int32_t n_limit)
{
    for (int i = 0; i < n; i++) {
        w->sims[i] = (sim){.n_prompt = n_prompt, .n_limit = n_limit, .eos_at = 1000};
        assert_int_equal(wf_batcher_submit(w->b, &(wf_batcher_request){.tag = &w->sims[i],
                                                                       .n_prompt = n_prompt,
                                                                       .n_limit = n_limit}),
                         WF_OK);
    }
}

static void static_batch_waits_until_full_and_lets_nobody_join(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1, WF_REORDER_INDEX, WF_FUSION_STATIC);
    wf_batcher_destroy(w.b);
    w.cfg.max_rows = 4, w.cfg.step_tokens = 64, w.cfg.n_pages = 100;
    assert_int_equal(wf_batcher_create(&w.cfg, &w.b), WF_OK);
    wf_schedule *s;
    assert_int_equal(wf_schedule_create(w.b, &s), WF_OK);
    sim *sims = w.sims;
    sim own[8];
    w.sims = own;
    plan_batch(&w, 3, 2, 5);
    wf_batcher_plan(w.b, 0, false, s);
    assert_int_equal(s->n_seqs, 0); // three of four: still waiting
    plan_batch(&w, 3, 2, 5);
    wf_batcher_plan(w.b, 0, false, s);
    assert_int_equal(s->n_seqs, 4);
    wf_gain gains[4] = {{1, false, 0}, {1, true, 0}, {1, false, 0}, {1, false, 0}};
    wf_batcher_commit(w.b, s, gains);
    wf_batcher_plan(w.b, 0, false, s);
    assert_int_equal(s->n_seqs, 3); // one left, nobody joined
    assert_int_equal(wf_batcher_n_waiting(w.b), 2);
    w.sims = sims;
    wf_schedule_destroy(s);
    free_world(&w);
}

// Four have a seat, and a step's tokens reach to the second.
static void who_has_a_seat_and_was_not_computed_waits(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1, WF_REORDER_INDEX, WF_FUSION_TEMPORAL);
    wf_batcher_destroy(w.b);
    w.cfg.max_rows = w.cfg.step_tokens = 4, w.cfg.n_pages = 100;
    assert_int_equal(wf_batcher_create(&w.cfg, &w.b), WF_OK);
    wf_schedule *s;
    assert_int_equal(wf_schedule_create(w.b, &s), WF_OK);
    sim *sims = w.sims, own[8];
    w.sims = own;
    plan_batch(&w, 5, 3, 2);
    assert_int_equal(wf_batcher_n_waiting(w.b), 5);
    wf_batcher_plan(w.b, 0, true, s);
    assert_int_equal(s->n_joins, 2);
    assert_int_equal(wf_batcher_n_waiting(w.b), 3);
    assert_int_equal(wf_batcher_n_rows(w.b), 2);
    w.sims = sims;
    wf_schedule_destroy(s);
    free_world(&w);
}

static void window_closes_by_time_or_when_full(void **state)
{
    (void)state;
    world w;
    make_world(&w, 1, WF_REORDER_INDEX, WF_FUSION_WINDOW);
    wf_batcher_destroy(w.b);
    w.cfg.max_rows = 4, w.cfg.step_tokens = 64, w.cfg.n_pages = 100, w.cfg.window_ns = 50;
    assert_int_equal(wf_batcher_create(&w.cfg, &w.b), WF_OK);
    wf_schedule *s;
    assert_int_equal(wf_schedule_create(w.b, &s), WF_OK);
    sim *sims = w.sims, own[8];
    w.sims = own;
    plan_batch(&w, 2, 2, 1);
    wf_batcher_plan(w.b, 49, false, s);
    assert_int_equal(s->n_seqs, 0);
    assert_int_equal(wf_batcher_wake_ns(w.b), 50);
    wf_batcher_plan(w.b, 50, false, s);
    assert_int_equal(s->n_seqs, 2);
    wf_gain gains[4] = {{1, true, 0}, {1, true, 0}, {1, true, 0}, {1, true, 0}};
    wf_batcher_commit(w.b, s, gains);
    plan_batch(&w, 4, 2, 1);
    wf_batcher_plan(w.b, 10, false, s);
    assert_int_equal(s->n_seqs, 4); // full: no need to wait
    w.sims = sims;
    wf_schedule_destroy(s);
    free_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_jobs_end_and_leave_nothing_behind),
        cmocka_unit_test(random_jobs_end_when_requests_are_let_go),
        cmocka_unit_test(random_jobs_end_when_tokens_are_proposed),
        cmocka_unit_test(random_jobs_end_within_their_windows),
        cmocka_unit_test(random_jobs_end_when_pages_are_shared),
        cmocka_unit_test(a_common_prompt_is_computed_once),
        cmocka_unit_test(who_shares_most_joins_first),
        cmocka_unit_test(static_batch_waits_until_full_and_lets_nobody_join),
        cmocka_unit_test(who_has_a_seat_and_was_not_computed_waits),
        cmocka_unit_test(window_closes_by_time_or_when_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
