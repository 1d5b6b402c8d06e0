// The engine: ties batcher, forward pass and sequences together, one step at a time.
#include "engine/engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/beam_sequences.h"
#include "engine/limits.h"
#include "engine/planfill.h"
#include "engine/prefix.h"
#include "engine/prompt_scores.h"
#include "engine/sequence.h"
#include "engine/warmup.h"
#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/fault.h"
#include "io/base/hash.h"
#include "kernels/sampling.h"

// A planned step that is not committed yet.
typedef struct flight {
    wf_schedule *schedule;
    wf_step_record record;
} flight;

struct wf_engine {
    wf_engine_config cfg;
    const wf_arch *arch;
    wf_comm *comm;
    wf_limits limits;
    wf_executor *executor;
    wf_forward *forward; // the executor, where it is the engine's own; else NULL
    wf_batcher *batcher; // first rank only, as is all below
    flight flights[WF_EXECUTOR_SLOTS];
    int64_t n_planned, n_committed; // steps; slot = step % WF_EXECUTOR_SLOTS
    wf_gain *gains;                 // [max_rows]
    wf_sequence *done_first, *done_last;
    wf_sequence *all;    // that were submitted and not released
    int64_t n_sequences; // submitted and not taken
    int64_t n_tokens, n_cached, origin_ns;
    int32_t kv_pages_total, kv_pages;
    int64_t move_bytes, page_bytes; // bytes moved per row, per page
};

// ---- life cycle ---------------------------------------------------------------------------------

// The KV pages that the memory of every rank of the group can hold.
static wf_status agree_on_pages(wf_engine *e, int64_t page_bytes, int32_t slot_pages)
{
    int64_t n, least = 0;
    if (page_bytes == 0) { // no layer keeps anything
        e->kv_pages_total = e->cfg.max_rows * e->limits.forward.max_pages;
        return WF_OK;
    }
    n = (int64_t)e->cfg.kv_bytes / page_bytes;
    WF_TRY(e->comm->ops->max_i64(e->comm, -n, &least));
    n = -least;
    int64_t want = (int64_t)e->cfg.max_rows * slot_pages;
    if (slot_pages > 0 && n < want)
        return wf_fail(
            WF_CONFIG,
            "engine: reorder copy needs %d slots of %d tokens = %.1f MiB of KV memory, "
            "kv_memory gives %.1f MiB; lower max_rows or slot_tokens, or raise kv_memory",
            e->cfg.max_rows, slot_pages * e->cfg.page_tokens,
            (double)(want * page_bytes) / 1048576.0, (double)e->cfg.kv_bytes / 1048576.0);
    if (n < 1)
        return wf_fail(
            WF_CONFIG, "engine: kv_memory of %llu bytes holds no page of %d tokens (%lld bytes)",
            (unsigned long long)e->cfg.kv_bytes, e->cfg.page_tokens, (long long)page_bytes);
    if (n > INT32_MAX / 2) n = INT32_MAX / 2;
    e->kv_pages_total = (int32_t)(slot_pages > 0 ? want : n);
    return WF_OK;
}

// What auto means here. A chunk that begins behind shared pages is another chunk than the whole
// prompt: where that changes no bit (`exact`), sharing changes none.
static void resolve_prefix_cache(wf_engine *e, bool exact)
{
    bool can = exact && e->limits.forward.shared_pages > 0;
    if (e->cfg.prefix_cache == WF_PREFIX_AUTO)
        e->cfg.prefix_cache = can ? WF_PREFIX_ON : WF_PREFIX_OFF;
}

static bool shares(const wf_engine *e)
{
    return e->cfg.prefix_cache == WF_PREFIX_ON;
}

static int32_t share_pages(void *context, void *tag, int32_t most, int32_t *pages)
{
    wf_engine *e = context;
    return wf_prefix_share(wf_batcher_pool(e->batcher), tag, most, pages);
}

static void pages_are_full(void *context, void *tag, int32_t first, int32_t n, const int32_t *pages)
{
    wf_engine *e = context;
    wf_prefix_full(wf_batcher_pool(e->batcher), tag, first, n, pages);
}

static wf_status create_planner(wf_engine *e)
{
    wf_batcher_config c = {.max_rows = e->cfg.max_rows,
                           .step_tokens = e->cfg.step_tokens,
                           .page_tokens = e->cfg.page_tokens,
                           .n_pages = e->kv_pages_total,
                           .slot_pages = e->limits.forward.slot_pages,
                           .max_pages = e->limits.forward.max_pages,
                           .reorder = e->cfg.reorder,
                           .fusion = e->cfg.fusion,
                           .window_ns = e->cfg.window_ns,
                           .instances = e->cfg.instances,
                           .window = e->limits.window,
                           .whole = e->arch->encode.whole,
                           .share = shares(e) ? share_pages : NULL,
                           .full = pages_are_full,
                           .look_ahead = shares(e) ? e->cfg.look_ahead : 0,
                           .share_context = e,
                           .shared_pages = e->limits.forward.shared_pages,
                           .n_beams = e->cfg.n_beams};
    WF_TRY(wf_batcher_create(&c, &e->batcher));
    for (int i = 0; i < WF_EXECUTOR_SLOTS; i++)
        WF_TRY(wf_schedule_create(e->batcher, &e->flights[i].schedule));
    e->gains = calloc((size_t)e->cfg.max_rows, sizeof *e->gains);
    return e->gains ? WF_OK : wf_fail(WF_NO_MEMORY, "engine: out of memory");
}

// What moving one row writes: its place in the row arrays.
static int64_t row_bytes(const wf_engine *e)
{
    const wf_forward_config *f = &e->limits.forward;
    return 4 + (int64_t)sizeof(wf_row_sampling) + (f->slot_pages ? 0 : 4 * f->max_pages) +
           (f->penalties ? 2 * e->arch->n_vocab : 0);
}

static wf_status alloc_engine(const wf_engine_config *config, const wf_arch *arch, wf_comm *comm,
                              wf_engine **out)
{
    *out = NULL;
    wf_engine *e = calloc(1, sizeof *e);
    if (!e) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    e->cfg = wf_engine_config_of(config, arch);
    e->arch = arch;
    e->comm = comm;
    if (!e->cfg.clock) e->cfg.clock = &wf_clock_real;
    *out = e;
    return WF_OK;
}

// What follows from the configuration, once it says all.
static wf_status find_limits(wf_engine *e, int32_t group_size, bool captures)
{
    WF_TRY(wf_engine_limits(&e->cfg, e->arch, group_size, captures, &e->limits));
    e->cfg.max_context = e->limits.max_context;
    e->move_bytes = row_bytes(e);
    return WF_OK;
}

static wf_status create_forward(wf_engine *e, wf_backend *be, const wf_model *m)
{
    wf_backend_info info;
    WF_TRY(be->ops->info(be, &info));
    if (e->cfg.steps_ahead < 0) e->cfg.steps_ahead = info.async ? 1 : 0;
    if (e->cfg.max_context == 0) e->cfg.max_context = m->max_context;
    if (e->cfg.max_context > m->max_context) // it was loaded for less than it could
        return wf_fail(WF_CONFIG, "engine: max_context %d is beyond the model's %d",
                       e->cfg.max_context, m->max_context);
    WF_TRY(find_limits(e, m->tp_size, be->ops->capture_begin != NULL));
    resolve_prefix_cache(e, info.host_memory || e->cfg.deterministic);
    e->page_bytes =
        (int64_t)wf_forward_page_bytes(&m->arch, m->tp_size, e->cfg.page_tokens, info.numerics.kv);
    WF_TRY(agree_on_pages(e, e->page_bytes, e->limits.forward.slot_pages));
    e->limits.forward.n_pages = e->kv_pages_total;
    WF_TRY(wf_forward_create(be, m, e->comm, &e->limits.forward, &e->forward));
    e->executor = wf_forward_executor(e->forward);
    return WF_OK;
}

wf_status wf_engine_create(wf_backend *be, const wf_model *model, wf_comm *comm,
                           const wf_engine_config *config, wf_engine **out)
{
    wf_engine *e;
    wf_status st;
    *out = NULL;
    WF_TRY(alloc_engine(config, &model->arch, comm, &e));
    WF_TRY_TO(fail, create_forward(e, be, model));
    if (comm->rank == 0) WF_TRY_TO(fail, create_planner(e));
    *out = e;
    return WF_OK;
fail:
    wf_engine_destroy(e);
    return st;
}

wf_status wf_engine_create_on(const wf_engine_base *base, const wf_engine_config *config,
                              wf_engine **out)
{
    wf_engine *e;
    wf_status st;
    *out = NULL;
    WF_TRY(alloc_engine(config, base->arch, base->comm, &e));
    e->executor = base->executor;
    e->kv_pages_total = base->n_pages;
    WF_TRY_TO(fail, find_limits(e, base->comm->size, false));
    resolve_prefix_cache(e, false); // what another's executor computes is not known here
    if (base->comm->rank == 0) WF_TRY_TO(fail, create_planner(e));
    *out = e;
    return WF_OK;
fail:
    wf_engine_destroy(e);
    return st;
}

void wf_engine_destroy(wf_engine *e)
{
    if (!e) return;
    while (e->all)
        wf_sequence_destroy(e->all);
    free(e->gains);
    for (int i = 0; i < WF_EXECUTOR_SLOTS; i++)
        wf_schedule_destroy(e->flights[i].schedule);
    wf_batcher_destroy(e->batcher);
    wf_forward_destroy(e->forward);
    free(e);
}

bool wf_engine_penalises(const wf_sampling *p)
{
    return wf_penalises(p->repetition_penalty, p->presence_penalty, p->frequency_penalty);
}

static bool is_greedy(const wf_sampling *p)
{
    return !(p->temperature > 0.0f) && !wf_engine_penalises(p);
}

wf_status wf_engine_warm_up(wf_engine *e, const wf_sampling *typical)
{
    int32_t *plan = e->executor->ops->plan_buffer(e->executor, 0);
    bool whole;
    bool usable = e->cfg.n_top >= 0 && typical->logprobs <= e->arch->n_vocab;
    wf_step_output out;
    wf_warmup w = {.limits = e->limits.plan,
                   .max_context = e->cfg.max_context,
                   .logprobs = usable ? typical->logprobs + 1 : 0,
                   .capture = e->cfg.capture == WF_CAPTURE_AUTO};
    if (!e->limits.plan.pad || !e->forward) return WF_OK;
    w.greedy = e->limits.plan.group_size > 1 && w.logprobs == 0 && is_greedy(typical);
    for (int32_t i = 0; wf_warmup_plan(&w, i, &whole, plan) > 0; i++) {
        wf_forward_run_whole(e->forward, whole);
        WF_TRY(e->executor->ops->enqueue(e->executor, 0));
        WF_TRY(e->executor->ops->wait(e->executor, 0, &out));
    }
    wf_forward_run_whole(e->forward, true);
    return WF_OK;
}

void wf_engine_start(wf_engine *e, int64_t origin_ns)
{
    e->origin_ns = origin_ns;
}

static int64_t now(const wf_engine *e)
{
    return wf_clock_now(e->cfg.clock) - e->origin_ns;
}

// ---- requests in and out ------------------------------------------------------------------------

static wf_status check_wishes(const wf_engine *e, const wf_wishes *w)
{
    int64_t words = wf_wishes_words(w);
    if (words <= e->cfg.row_wishes) return WF_OK;
    return wf_fail(WF_REQ_SAMPLING,
                   "biases, bad words and allowed tokens take %lld words; this engine keeps at "
                   "most %d",
                   (long long)words, e->cfg.row_wishes);
}

static wf_status submit_beams(wf_engine *e, const wf_engine_input *input)
{
    wf_beams *b = NULL;
    if (wf_wishes_words(&input->wishes) > 0)
        return wf_fail(WF_REQ_SAMPLING,
                       "beam_width %u: not with logit_bias, allowed_token_ids and bad_words",
                       input->sampling->beam_width);
    WF_TRY(wf_engine_check_stop_strings(input->sampling, input->stop_string_bytes));
    WF_TRY(wf_beams_check_stops(&e->cfg, e->arch, input));
    WF_TRY(wf_beam_sequences_create(input, e->arch, e->cfg.max_context,
                                    shares(e) ? e->cfg.page_tokens : 0, &b));
    const wf_sequence *s = b->owner[0];
    wf_status st =
        wf_batcher_submit(e->batcher, &(wf_batcher_request){.tag = b->owner[0],
                                                            .n_prompt = (int32_t)input->n_prompt,
                                                            .n_limit = s->n_limit,
                                                            .submitted_ns = input->submitted_ns,
                                                            .n_beams = b->c.width,
                                                            .beams = b->owner});
    if (st != WF_OK) {
        wf_beam_sequences_release(b, 0);
        return st;
    }
    for (int32_t i = 0; i < b->c.width; i++)
        wf_sequence_enlist(b->owner[i], &e->all);
    e->n_sequences += b->n_results;
    return WF_OK;
}

// Cut to n tokens. The last one ends the row, or is what it is pooled from: it is kept. Own.
static wf_status cut_prompt(const wf_engine_input *input, uint32_t n, int32_t **out)
{
    WF_TRY(wf_alloc(n, sizeof **out, out));
    memcpy(*out, input->prompt, n * sizeof **out);
    (*out)[n - 1] = input->prompt[input->n_prompt - 1];
    return WF_OK;
}

wf_status wf_engine_submit(wf_engine *e, const wf_engine_input *input)
{
    wf_sequence *s = NULL;
    WF_TRY(wf_engine_check_sampling(&e->cfg, e->arch, input->sampling));
    WF_TRY(check_wishes(e, &input->wishes));
    WF_TRY(wf_engine_check_second(e->arch, input->second));
    wf_engine_input fits = *input;
    int32_t *cut = NULL;
    WF_TRY(wf_engine_fit_prompt(e->arch, e->cfg.max_context, &fits.n_prompt));
    if (fits.n_prompt < input->n_prompt) {
        WF_TRY(cut_prompt(input, fits.n_prompt, &cut));
        fits.prompt = cut;
        if (fits.second >= (int32_t)fits.n_prompt) fits.second = (int32_t)fits.n_prompt - 1;
    }
    wf_status marked = wf_engine_check_marks(e->arch, e->cfg.max_rows, fits.prompt, fits.n_prompt);
    if (marked != WF_OK) {
        free(cut);
        return marked;
    }
    if (e->arch->encode.task == WF_TASK_GENERATE && input->sampling->beam_width > 1)
        return submit_beams(e, input);
    // Whose prompt is scored computes all of it.
    bool may_share = shares(e) && input->sampling->prompt_logprobs < 0;
    int32_t page_tokens = may_share ? e->cfg.page_tokens : 0;
    wf_status st = wf_sequence_create(&fits, e->arch, e->cfg.max_context, page_tokens, &s);
    free(cut);
    if (st != WF_OK) return st;
    st = wf_batcher_submit(e->batcher,
                           &(wf_batcher_request){.tag = s,
                                                 .n_prompt = (int32_t)fits.n_prompt,
                                                 .n_limit = s->n_marks > 0 ? 1 : s->n_limit,
                                                 .n_marks = s->n_marks,
                                                 .submitted_ns = input->submitted_ns});
    if (st != WF_OK) {
        wf_sequence_destroy(s);
        return st;
    }
    wf_sequence_enlist(s, &e->all);
    e->n_sequences++;
    return WF_OK;
}

const wf_engine_output *wf_engine_take(wf_engine *e)
{
    wf_sequence *s = e->done_first;
    if (!s) return NULL;
    e->done_first = s->next;
    if (!e->done_first) e->done_last = NULL;
    s->next = NULL;
    e->n_sequences--;
    return &s->out;
}

void wf_engine_release(wf_engine *e, const wf_engine_output *output)
{
    (void)e;
    wf_sequence *s = (wf_sequence *)(uintptr_t)output; // out is its first member
    s->released = true;
    wf_sequence_free_unused(s);
}

typedef struct let_go {
    wf_engine *e;
    wf_engine_over_fn over;
    void *context;
} let_go;

static bool is_over(void *context, void *tag, int32_t n_prompt_left)
{
    const let_go *l = context;
    wf_sequence *s = tag;
    wf_engine_flight f = {.user = s->out.user,
                          .begun = s->out.admitted_ns >= 0,
                          .may_stop = s->n_stop > 0 || s->stops,
                          .n_tokens = s->out.n_tokens,
                          .n_left = (uint32_t)s->n_limit - s->out.n_tokens,
                          .n_prompt_left = (uint32_t)n_prompt_left};
    if (s->ended || !l->over(l->context, &f)) return false;
    l->e->n_sequences -= s->beams ? s->beams->n_results : 1;
    if (s->beams) {
        wf_beam_sequences_release(s->beams, 0);
        return true;
    }
    s->ended = s->released = true;
    wf_sequence_free_unused(s);
    return true;
}

void wf_engine_let_go(wf_engine *e, wf_engine_over_fn over, void *context)
{
    let_go l = {e, over, context};
    wf_batcher_let_go(e->batcher, is_over, &l);
}

typedef struct showing {
    wf_engine_row *rows;
    size_t n;
} showing;

static void show_row(void *context, void *tag, int32_t n_prompt, int32_t n_past)
{
    showing *to = context;
    const wf_sequence *s = tag;
    if (s->ended) return; // its owner may have forgotten it
    to->rows[to->n++] =
        (wf_engine_row){.user = s->out.user,
                        .n_prompt = (uint32_t)n_prompt,
                        .n_prompt_done = (uint32_t)(n_past < n_prompt ? n_past : n_prompt),
                        .n_tokens = s->out.n_tokens,
                        .n_limit = (uint32_t)s->n_limit};
}

size_t wf_engine_rows(wf_engine *e, size_t most, wf_engine_row *rows)
{
    showing to = {.rows = rows};
    wf_batcher_show(e->batcher, most < INT32_MAX ? (int32_t)most : INT32_MAX, show_row, &to);
    return to.n;
}

static void finish(wf_engine *e, wf_sequence *s)
{
    s->ended = true;
    if (e->done_last)
        e->done_last->next = s;
    else
        e->done_first = s;
    e->done_last = s;
}

// ---- steps --------------------------------------------------------------------------------------

// Books of the sequences that a new schedule names.
static wf_status open_sequences(wf_engine *e, const wf_schedule *s, int64_t now_ns)
{
    // Before they join again, which may be in this very step.
    for (int32_t i = 0; i < s->n_put_back; i++) {
        wf_sequence *q = s->put_back[i];
        q->out.preempted++;
        if (q->beams) wf_beams_restart(q->beams);
    }
    for (int32_t i = 0; i < s->n_seqs; i++) {
        wf_sequence *q = s->seqs[i].tag;
        if (!q) continue;
        q->n_refs++;
        if (q->beams) q->beams->n_flight += s->seqs[i].n_samples;
        if (!s->seqs[i].join) continue;
        WF_TRY(wf_sequence_open(q));
        if (q->out.admitted_ns >= 0 || q->i_beam > 0) continue;
        q->out.admitted_ns = now_ns;
        q->out.n_cached = (uint32_t)s->seqs[i].n_past;
        e->n_cached += s->seqs[i].n_past;
    }
    return WF_OK;
}

static void begin_record(const wf_engine *e, const wf_schedule *s, int64_t start_ns,
                         wf_step_record *r)
{
    *r = (wf_step_record){.start_ns = start_ns,
                          .n_decode = s->n_decode,
                          .n_prefill = s->n_seqs - s->n_decode,
                          .n_prompt_tokens = s->n_prompt_tokens,
                          .n_discarded = s->n_discarded,
                          .kv_pages = s->kv_pages,
                          .rows_moved = s->n_moves,
                          .bytes_moved = s->n_moves * e->move_bytes + s->n_copies * e->page_bytes,
                          .n_waiting = wf_batcher_n_waiting(e->batcher),
                          .n_put_back = s->n_put_back};
}

// Plans, publishes and queues the next step; *out_ran tells whether there was one.
static wf_status launch(wf_engine *e, bool closed, bool *out_ran)
{
    wf_fault_at(WF_FAULT_STEP, (uint64_t)e->n_planned + 1);
    int i_slot = (int)(e->n_planned % WF_EXECUTOR_SLOTS);
    flight *f = &e->flights[i_slot];
    int64_t start_ns = now(e);
    wf_batcher_plan(e->batcher, start_ns, closed, f->schedule);
    *out_ran = f->schedule->n_seqs > 0;
    e->kv_pages = f->schedule->kv_pages;
    WF_TRY(open_sequences(e, f->schedule, start_ns));
    if (!*out_ran) return WF_OK;
    begin_record(e, f->schedule, start_ns, &f->record);
    int32_t *plan = e->executor->ops->plan_buffer(e->executor, i_slot);
    int64_t words = wf_planfill(f->schedule, &e->limits.plan, e->limits.forward.max_pages, plan);
    WF_TRY(e->comm->ops->publish(e->comm, plan, (size_t)words * sizeof *plan));
    f->record.plan_ns = now(e) - start_ns;
    e->n_planned++;
    return e->executor->ops->enqueue(e->executor, i_slot);
}

static void store_logprobs(wf_sequence *q, const wf_step_output *out, int32_t i)
{
    uint32_t at = q->out.n_tokens;
    if (q->logprob) q->logprob[at] = out->logprob[i];
    for (int32_t k = 0; k < q->n_logprobs; k++) {
        q->top_id[at * (uint32_t)q->n_logprobs + (uint32_t)k] = out->top_id[i * out->n_top + k];
        q->top_logprob[at * (uint32_t)q->n_logprobs + (uint32_t)k] =
            out->top_logprob[i * out->n_top + k];
    }
}

// The texts that were searched for, the best first; sequences beyond them are done with.
static void finish_beams(wf_engine *e, wf_beams *b)
{
    for (int32_t i = 0; i < b->n_results; i++) {
        wf_sequence *q = wf_beam_sequences_output(b, i);
        e->n_tokens += q->out.n_tokens;
        finish(e, q);
    }
    wf_beam_sequences_release(b, b->n_results);
}

// Chooses for every request with beams of the step: all its beams are in one.
static wf_status choose_beams(wf_engine *e, const wf_schedule *s, const wf_step_output *out,
                              int64_t now_ns)
{
    for (int32_t i = 0, i_sample = 0; i < s->n_seqs; i_sample += s->seqs[i++].n_samples) {
        const wf_sequence *q = s->seqs[i].tag;
        if (!q || !q->beams || s->seqs[i].n_samples == 0 || q->ended) continue;
        wf_beams *b = q->beams;
        if (b->dropped) continue;
        wf_beams_take(b, q->i_beam, out->top_id + (int64_t)i_sample * out->n_top,
                      out->top_logprob + (int64_t)i_sample * out->n_top);
        if (!wf_beams_full(b)) continue;
        wf_beams_choose(b, now_ns);
        if (b->over)
            finish_beams(e, b);
        else
            WF_TRY(wf_beam_sequences_feed(b));
    }
    return WF_OK;
}

// Delivers what a sequence drew, from the i-th sampled token on: one, and where tokens were
// proposed as many more as were drawn again. A request that ended a step ago gets nothing more:
// that token was computed before its end was known.
static wf_gain deliver(wf_engine *e, const wf_seq *s, const wf_step_output *out, int32_t i,
                       int64_t now_ns)
{
    wf_sequence *q = s->tag;
    if (q && q->beams) return wf_beam_sequences_gain(q);
    wf_gain gain = {.n_tokens = 1, .over = !q || q->ended};
    if (gain.over) return gain;
    if (out->vector) {
        wf_sequence_become(q, out->vector + (int64_t)i * out->n_vector, &e->arch->encode, now_ns);
        gain.over = true;
        finish(e, q);
        return gain;
    }
    for (int32_t k = 0;; k++, gain.n_tokens++) {
        store_logprobs(q, out, i + k);
        e->n_tokens++;
        gain.over = wf_sequence_append(q, out->token[i + k], now_ns);
        if (gain.over || k == s->n_samples - 1) break;
        if (q->n_marks == 0 && out->token[i + k] != q->draft[k]) break;
    }
    if (q->n_marks > 0) gain.n_tokens = 1; // as the batcher counts
    if (gain.over) finish(e, q);
    return gain;
}

// Waits for the oldest step in flight and deals out its tokens.
static wf_status commit(wf_engine *e, wf_step_record *record)
{
    int i_slot = (int)(e->n_committed % WF_EXECUTOR_SLOTS);
    flight *f = &e->flights[i_slot];
    wf_step_output out;
    WF_TRY(e->executor->ops->wait(e->executor, i_slot, &out));
    int64_t now_ns = now(e);
    wf_prompt_scores_deliver(f->schedule, &out);
    WF_TRY(choose_beams(e, f->schedule, &out, now_ns));
    for (int32_t i = 0, i_sample = 0, i_gain = 0; i < f->schedule->n_seqs; i++) {
        const wf_seq *s = &f->schedule->seqs[i];
        wf_sequence *q = s->tag;
        if (s->n_samples > 0) e->gains[i_gain++] = deliver(e, s, &out, i_sample, now_ns);
        i_sample += s->n_samples;
        if (!q) continue;
        q->n_refs--;
        wf_sequence_free_unused(q);
    }
    wf_batcher_commit(e->batcher, f->schedule, e->gains);
    f->record.duration_ns = now_ns - f->record.start_ns;
    f->record.expert_layers = out.n_expert_layers;
    f->record.n_expert_load = (uint32_t)out.n_expert_load;
    f->record.expert_load = out.expert_load;
    *record = f->record;
    e->n_committed++;
    return WF_OK;
}

wf_status wf_engine_step(wf_engine *e, bool closed, wf_step_record *record, bool *out_recorded,
                         bool *out_ran)
{
    *out_recorded = false;
    WF_TRY(launch(e, closed, out_ran));
    int64_t may_fly = *out_ran ? e->cfg.steps_ahead : 0;
    if (e->n_planned - e->n_committed > may_fly) {
        WF_TRY(commit(e, record));
        *out_recorded = true;
    }
    return WF_OK;
}

wf_status wf_engine_follow(wf_engine *e, _Atomic int64_t *entered, _Atomic int64_t *left)
{
    wf_executor *x = e->executor;
    size_t capacity = (size_t)wf_plan_most_words(&e->limits.plan) * sizeof(int32_t);
    wf_step_output out;
    for (;;) {
        int i_slot = (int)(e->n_planned % WF_EXECUTOR_SLOTS);
        if (e->n_planned >= WF_EXECUTOR_SLOTS) WF_TRY(x->ops->wait(x, i_slot, &out));
        int32_t *plan = x->ops->plan_buffer(x, i_slot);
        size_t bytes = 0;
        WF_TRY(e->comm->ops->receive(e->comm, plan, capacity, &bytes));
        if (!wf_plan_valid(plan, (int64_t)(bytes / sizeof *plan), &e->limits.plan))
            return wf_fail(WF_COMM, "engine: rank %d received something that is not a step plan",
                           e->comm->rank);
        if (plan[WF_PLAN_KIND] == WF_PLAN_STOP) return WF_OK;
        if (entered) atomic_fetch_add_explicit(entered, 1, memory_order_relaxed);
        wf_fault_at(WF_FAULT_STEP, (uint64_t)e->n_planned + 1);
        WF_TRY(x->ops->enqueue(x, i_slot));
        if (left) atomic_fetch_add_explicit(left, 1, memory_order_relaxed);
        e->n_planned++;
    }
}

wf_status wf_engine_stop(wf_engine *e)
{
    int32_t stop[WF_PLAN_HEADER_WORDS] = {[WF_PLAN_KIND] = WF_PLAN_STOP};
    return e->comm->ops->publish(e->comm, stop, sizeof stop);
}

// ---- queries ------------------------------------------------------------------------------------

int32_t wf_engine_n_graphs(const wf_engine *e)
{
    return e->forward ? wf_forward_n_graphs(e->forward) : 0;
}

wf_engine_load wf_engine_get_load(const wf_engine *e)
{
    return (wf_engine_load){.n_waiting = wf_batcher_n_waiting(e->batcher),
                            .n_rows = wf_batcher_n_rows(e->batcher),
                            .kv_pages = e->kv_pages,
                            .kv_pages_total = e->kv_pages_total,
                            .n_tokens = e->n_tokens,
                            .n_cached = e->n_cached,
                            .shares = shares(e)};
}

int64_t wf_engine_wake_ns(const wf_engine *e)
{
    return wf_batcher_wake_ns(e->batcher);
}

uint64_t wf_engine_rng_key(uint64_t job_seed, const char *shard_uid, uint64_t row, uint32_t sample)
{
    struct {
        uint64_t seed, uid, row, sample;
    } key = {job_seed, wf_hash64_of(shard_uid, strlen(shard_uid), 0), row, sample};
    return wf_hash64_of(&key, sizeof key, 0);
}

uint64_t wf_engine_own_rng_key(uint64_t seed, uint32_t sample)
{
    uint64_t key[2] = {seed, sample};
    return wf_hash64_of(key, sizeof key, 0);
}
