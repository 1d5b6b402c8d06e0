// The loop of a rank that leads a group.
#include "jobs/run/serve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/fault.h"
#include "io/base/log.h"
#include "jobs/run/ends.h"

// Longest nap while nothing is due: bounds how late a drain is seen.
#define NAP_NS (20 * WF_NS_PER_MS)

// Between two looks at the rows of the batch for the status file.
#define SHOW_NS (500 * WF_NS_PER_MS)

// A sample that waits for the others of its row, which are chosen among.
typedef struct held_sample {
    const wf_engine_output *output; // owned
    uint16_t index;
    float score;
} held_sample;

// A request on its way: the row, and how many of its samples are still in the engine.
typedef struct flight {
    const wf_request *request; // owned
    uint32_t n_open;
    uint32_t n_results; // that it has
    held_sample *held;  // [n_held]; NULL: its samples are not chosen among
    uint32_t n_held;
    uint32_t n_dropped;  // tokens of those that are not kept
    bool lost;           // a sample was given up, so none can be chosen
    bool keeps_logprobs; // the row asked for them
    bool keeps_stop;     // its text keeps what ends it
    bool searches;       // its results come of one beam search
    uint32_t entry;      // in the flight record
    int64_t submitted_ns;
    int64_t end_ns; // of its last token; of one that fails: as it was submitted
} flight;

// What the engine carries for one sample.
typedef struct sample {
    flight *of;
    uint16_t index;
    uint32_t n_left; // outputs that will come for it: of a search, all results of its row
} sample;

typedef struct serve {
    const wf_serve_config *c;
    wf_serve_outcome *out;
    wf_counters *counters;
    int64_t n_open;  // samples in the engine
    uint64_t n_rows; // rows they are of
    wf_ends ends;    // of the row that is submitted
    bool no_more_leases;
    bool waits;         // `next` is taken and may not begin yet
    wf_lease next;      // the range taken last
    wf_lease_kind kind; // of the rows in the feed

    int64_t show_ns; // when the rows of the batch are shown next

    // What a drain predicts from.
    int64_t step_end_ns;       // when the last step was committed, 0: it was not followed at once
    int64_t step_ns;           // from one step to the next, smoothed; 0: not known yet
    int32_t most_prompt;       // prompt tokens of the fullest step
    int64_t n_ended, n_tokens; // requests that ended before their bound, and their tokens
} serve;

static int64_t now(const serve *s)
{
    return wf_clock_now(s->c->clock) - s->c->origin_ns;
}

// Rows of this group that have not reached the engine.
static uint64_t n_rows_left(const serve *s)
{
    return s->c->feeder ? wf_feeder_left(s->c->feeder) : wf_feed_left(s->c->feed);
}

// Of these, those that have arrived: offline all of what was leased, and of a closed loop none,
// whose rows arrive as they are handed over.
static int64_t n_waiting_outside(const serve *s)
{
    if (s->c->concurrency > 0) return 0;
    return s->c->feeder ? wf_feeder_n_waiting(s->c->feeder) : (int64_t)wf_feed_left(s->c->feed);
}

// ---- results ------------------------------------------------------------------------------------

static wf_result result_of(const serve *s, const wf_request *r, uint16_t index)
{
    return (wf_result){.shard = r->shard,
                       .row = r->row,
                       .sample = index,
                       .id = r->id,
                       .arrival_ns = r->arrival_ns,
                       .submitted_ns = -1,
                       .admitted_ns = -1,
                       .first_token_ns = -1,
                       .finish_ns = -1,
                       .score = NAN,
                       .prompt_len = r->n_prompt,
                       .run = s->c->run,
                       .group = s->c->group,
                       .session = r->session,
                       .turn = r->turn,
                       .meta_bytes = r->meta_bytes,
                       .meta = r->meta};
}

static void count_done(serve *s, bool failed)
{
    s->out->n_done++;
    s->out->n_failed += failed;
    atomic_store_explicit(&s->counters->requests_done, s->out->n_done, memory_order_relaxed);
    atomic_store_explicit(&s->counters->requests_failed, s->out->n_failed, memory_order_relaxed);
}

static wf_status put_failed(serve *s, const wf_request *r, uint16_t index, wf_status why,
                            const char *error)
{
    wf_result result = result_of(s, r, index);
    result.status = WF_RESULT_FAILED;
    result.finish_reason = WF_FINISH_ERROR;
    result.error_code = (uint16_t)why;
    result.error = error;
    count_done(s, true);
    return wf_segment_writer_put(s->c->writer, &result);
}

// A vector and scores have one time and no token.
static int64_t end_of(const wf_engine_output *o)
{
    return o->time_ns[o->n_tokens > 0 ? o->n_tokens - 1 : 0];
}

static wf_status put_finished(serve *s, const wf_engine_output *o, const flight *f, uint16_t index,
                              float score)
{
    wf_result result = result_of(s, f->request, index);
    if (s->c->concurrency > 0) result.arrival_ns = f->submitted_ns;
    result.status = WF_RESULT_DONE;
    result.finish_reason = (uint8_t)o->finish;
    result.score = score;
    result.n_dropped = index == 0 ? f->n_dropped : 0;
    result.submitted_ns = f->submitted_ns;
    result.admitted_ns = o->admitted_ns;
    result.first_token_ns = o->time_ns[0];
    result.finish_ns = end_of(o);
    result.n_tokens = o->n_tokens;
    result.preempted = o->preempted;
    result.n_cached = o->n_cached;
    result.token_id = o->token;
    result.token_time_ns = o->time_ns;
    result.logprob = f->keeps_logprobs || o->finish == WF_FINISH_MASKS ? o->logprob : NULL;
    result.n_top = o->n_top;
    result.top_id = o->top_id;
    result.top_logprob = o->top_logprob;
    result.n_prompt_scored = o->n_prompt_scored;
    result.n_prompt_top = o->n_prompt_top;
    result.prompt_logprob = o->prompt_logprob;
    result.prompt_top_id = o->prompt_top_id;
    result.prompt_top_logprob = o->prompt_top_logprob;
    result.n_vector = o->finish == WF_FINISH_VECTOR ? o->n_vector : 0;
    result.vector = o->vector;
    result.n_scores = o->finish == WF_FINISH_SCORES ? o->n_vector : 0;
    result.scores = o->vector;
    result.stop_kept = f->keeps_stop;
    result.stop_string = o->stop_string;
    result.stop_string_bytes = o->stop_string_bytes;
    if (o->finish == WF_FINISH_STOP) {
        s->n_ended++;
        s->n_tokens += o->n_tokens;
    }
    if (result.finish_ns > s->out->last_token_ns) s->out->last_token_ns = result.finish_ns;
    count_done(s, false);
    return wf_segment_writer_put(s->c->writer, &result);
}

// Lets go of one sample, and with the last one of the request.
static void close_flight(serve *s, flight *f)
{
    if (--f->n_open > 0) return;
    s->n_rows--;
    if (s->c->flights) wf_flights_leave(s->c->flights, f->entry);
    while (f->n_held > 0)
        wf_engine_release(s->c->engine, f->held[--f->n_held].output);
    free(f->held);
    if (s->c->feeder) wf_feeder_ended(s->c->feeder, f->request, f->end_ns);
    wf_feed_free(f->request);
    free(f);
}

// ---- the best of several ------------------------------------------------------------------------

static void hold(flight *f, const wf_engine_output *o, uint16_t index)
{
    double sum = 0;
    for (uint32_t i = 0; i < o->n_tokens; i++)
        sum += (double)o->logprob[i];
    f->held[f->n_held++] = (held_sample){o, index, (float)sum};
}

// The greatest score first; of equal ones, who was drawn first.
static int by_score(const void *a, const void *b)
{
    const held_sample *x = a, *y = b;
    if (x->score > y->score || x->score < y->score) return x->score > y->score ? -1 : 1;
    return (int)x->index - (int)y->index;
}

// Once all of a row are in: its results are the best, in their order.
static wf_status put_best(serve *s, flight *f)
{
    uint64_t row = f->request->row;
    if (f->n_open > 1 || f->lost || f->n_held == 0) return WF_OK;
    qsort(f->held, f->n_held, sizeof *f->held, by_score);
    for (uint32_t i = f->n_results; i < f->n_held; i++)
        f->n_dropped += f->held[i].output->n_tokens;
    for (uint32_t i = 0; i < f->n_results && i < f->n_held; i++) {
        if (wf_done_has(s->c->done, f->request->shard, row, (uint16_t)i)) continue;
        WF_TRY(put_finished(s, f->held[i].output, f, (uint16_t)i, f->held[i].score));
    }
    return WF_OK;
}

static wf_status take_one(serve *s, const wf_engine_output *o, const sample *x)
{
    int64_t end_ns = end_of(o);
    if (end_ns > x->of->end_ns) x->of->end_ns = end_ns;
    const wf_request *r = x->of->request;
    wf_status st = WF_OK;
    if (x->of->held) {
        hold(x->of, o, x->index);
        return put_best(s, x->of);
    }
    if (o->n_outputs == 0)
        st = put_finished(s, o, x->of, x->index, NAN);
    else if (!wf_done_has(s->c->done, r->shard, r->row, (uint16_t)o->i_best))
        st = put_finished(s, o, x->of, (uint16_t)o->i_best, o->score);
    wf_engine_release(s->c->engine, o);
    return st;
}

static wf_status take_finished(serve *s)
{
    const wf_engine_output *o;
    while ((o = wf_engine_take(s->c->engine))) {
        sample *x = (sample *)(uintptr_t)o->user;
        wf_status st = take_one(s, o, x);
        if (--x->n_left == 0) {
            close_flight(s, x->of);
            free(x);
            s->n_open--;
        }
        WF_TRY(st);
    }
    return WF_OK;
}

// ---- submission ---------------------------------------------------------------------------------

static uint64_t rng_key(const serve *s, const wf_request *r, const wf_sampling *p, uint16_t index)
{
    if (p->seed >= 0) return wf_engine_own_rng_key((uint64_t)p->seed, index);
    return wf_engine_rng_key(s->c->seed, s->c->shard_uid[r->shard], r->row, index);
}

// Of samples that are chosen among there are more than results, of a search one for all.
static wf_status fail_sample(serve *s, const flight *f, uint16_t index, wf_status why,
                             const char *error)
{
    const wf_request *r = f->request;
    uint32_t end = f->searches ? f->n_results : index + 1u;
    for (uint32_t i = index; i < end && i < f->n_results; i++)
        if (!wf_done_has(s->c->done, r->shard, r->row, (uint16_t)i))
            WF_TRY(put_failed(s, r, (uint16_t)i, why, error));
    return WF_OK;
}

// Simulated tokens are nobody's choice.
static wf_wishes wishes_of(const serve *s, const wf_request *r)
{
    if (s->c->simulated) return (wf_wishes){0};
    return (wf_wishes){.n_bias = r->n_bias,
                       .n_allowed = r->n_allowed,
                       .n_bad_words = r->n_bad_words,
                       .bias_id = r->bias_id,
                       .bias = r->bias,
                       .allowed = r->allowed,
                       .bad_words = r->bad_words};
}

// Hands one sample to the engine; what the engine refuses becomes a failed result.
static wf_status submit_sample(serve *s, flight *f, const wf_sampling *p, uint16_t index)
{
    const wf_request *r = f->request;
    sample *x = malloc(sizeof *x);
    if (!x) return wf_fail(WF_NO_MEMORY, "serve: out of memory");
    *x = (sample){.of = f, .index = index, .n_left = f->searches ? f->n_results : 1};
    wf_engine_input in = {.user = (uint64_t)(uintptr_t)x,
                          .n_prompt = r->n_prompt,
                          .max_new_tokens = r->max_new_tokens,
                          .prompt = r->prompt,
                          .second = wf_request_second(r),
                          .n_stop = s->ends.n_tokens,
                          .stop = s->ends.token,
                          .stop_string_bytes = s->ends.string_bytes,
                          .stop_string = s->ends.string,
                          .pieces = s->ends.pieces,
                          .sampling = p,
                          .wishes = wishes_of(s, r),
                          .rng_key = rng_key(s, r, p, index),
                          .submitted_ns = f->submitted_ns};
    f->n_open++;
    wf_fault_at(WF_FAULT_REQUEST, r->id);
    wf_status st = wf_engine_submit(s->c->engine, &in);
    if (st == WF_OK) {
        int64_t lag = f->submitted_ns - r->arrival_ns;
        if (lag > atomic_load_explicit(&s->counters->lag_ns, memory_order_relaxed))
            atomic_store_explicit(&s->counters->lag_ns, lag, memory_order_relaxed);
        s->n_open++;
        return WF_OK;
    }
    f->n_open--;
    free(x);
    if (wf_status_scope(st) != WF_SCOPE_REQUEST) return st;
    return fail_sample(s, f, index, st, wf_error());
}

static wf_status handle_sample(serve *s, flight *f, const wf_sampling *p, uint16_t index)
{
    const wf_request *r = f->request;
    if (r->status != WF_OK) return fail_sample(s, f, index, r->status, r->error);
    if (s->kind == WF_LEASE_POISON)
        return fail_sample(
            s, f, index, WF_REQ_POISON,
            "its group died while it was in flight, and again while it was in flight "
            "alone; events.jsonl tells when and where");
    return submit_sample(s, f, p, index);
}

static wf_status submit_samples(serve *s, flight *f, const wf_sampling *p)
{
    const wf_request *r = f->request;
    uint32_t n = f->held ? p->best_of : f->searches ? 1 : p->n;
    WF_TRY(wf_ends_join(&s->ends, s->c, r));
    for (uint32_t i = 0; i < n; i++) {
        if (!f->held && !f->searches && wf_done_has(s->c->done, r->shard, r->row, (uint16_t)i))
            continue;
        WF_TRY(handle_sample(s, f, p, (uint16_t)i));
    }
    return WF_OK;
}

static bool all_done(const serve *s, const flight *f)
{
    for (uint32_t i = 0; i < f->n_results; i++)
        if (!wf_done_has(s->c->done, f->request->shard, f->request->row, (uint16_t)i)) return false;
    return true;
}

// Where its results are the best of more samples, all of these are drawn, unless all results are
// there. What their tokens mean is not known in a simulation: the first ones stand for the best.
static wf_status choose_among(const serve *s, flight *f, wf_sampling *p)
{
    if (!wf_sampling_chooses(p) || all_done(s, f)) return WF_OK;
    if (p->logprobs < 0) p->logprobs = 0;
    return wf_alloc(p->best_of, sizeof *f->held, &f->held);
}

// Takes a request over that arrived, or was taken, at `submitted_ns`.
static wf_status submit_request(serve *s, const wf_request *r, int64_t submitted_ns)
{
    wf_sampling p = wf_request_sampling(r, s->c->sampling);
    flight *f = calloc(1, sizeof *f);
    if (!f) {
        wf_feed_free(r);
        return wf_fail(WF_NO_MEMORY, "serve: out of memory");
    }
    f->request = r;
    f->submitted_ns = f->end_ns = submitted_ns;
    f->n_open = 1; // held while its samples are handed over
    s->n_rows++;
    p.n = wf_sampling_samples(&p);
    f->n_results = p.n;
    f->keeps_logprobs = p.logprobs >= 0;
    f->keeps_stop = p.include_stop_str_in_output;
    f->searches = p.beam_width > 1 && !all_done(s, f);
    wf_status st = choose_among(s, f, &p);
    if (st == WF_OK && s->c->flights)
        st = wf_flights_enter(s->c->flights, r->shard, r->row, &f->entry);
    if (st == WF_OK) st = submit_samples(s, f, &p);
    close_flight(s, f);
    return st;
}

// Offline there is back-pressure: enough waits in the engine to fill the next batch, no more. A
// closed loop has its own bound.
static bool has_room(const serve *s)
{
    if (s->c->concurrency > 0) return s->n_rows < (uint64_t)s->c->concurrency;
    return s->n_open < 2 * (int64_t)s->c->max_rows + s->c->look_ahead;
}

static bool is_empty(const serve *s)
{
    return s->n_open == 0 && n_rows_left(s) == 0;
}

static wf_status lease_add(serve *s, const wf_lease *l)
{
    s->kind = l->kind;
    for (uint64_t row = l->begin; row < l->end; row++)
        if (s->c->many_samples[l->shard] || !wf_done_has(s->c->done, l->shard, row, 0))
            WF_TRY(wf_feed_add(s->c->feed, l->shard, row, 0));
    return WF_OK;
}

// A range of rows waits until the feed takes it, a special one for an empty engine.
static bool may_begin(const serve *s, const wf_lease *l)
{
    return l->kind == WF_LEASE_ROWS ? wf_feed_takes(s->c->feed, l->shard, l->begin) : is_empty(s);
}

// The next range, taken now or before. What suspects may take along is made safe first.
static wf_status lease_next(serve *s, bool *out_got)
{
    bool got = s->waits;
    *out_got = false;
    if (!got) WF_TRY(wf_leases_claim(s->c->leases, &s->next, &got));
    s->no_more_leases = !got;
    s->waits = got && !may_begin(s, &s->next);
    *out_got = got && !s->waits;
    if (*out_got && s->next.kind != WF_LEASE_ROWS) WF_TRY(wf_segment_writer_sync(s->c->writer));
    return *out_got ? lease_add(s, &s->next) : WF_OK;
}

static wf_status lease_more(serve *s)
{
    bool got = s->c->leases != NULL;
    while (got && !s->no_more_leases) {
        WF_TRY(wf_leases_wants(s->c->leases, s->n_rows + wf_feed_left(s->c->feed),
                               (uint64_t)s->c->max_rows + (uint64_t)s->c->look_ahead, &got));
        if (!got) return WF_OK;
        if (s->kind != WF_LEASE_ROWS && !is_empty(s)) return WF_OK;
        WF_TRY(lease_next(s, &got));
    }
    return WF_OK;
}

// All rows of this group are in the engine or done.
static bool nothing_comes(const serve *s)
{
    return n_rows_left(s) == 0 && (!s->c->leases || s->no_more_leases);
}

// Nothing more joins what is in the engine now: nothing comes, or what comes waits for its end.
static bool is_closed(const serve *s)
{
    bool waits = s->waits || s->kind != WF_LEASE_ROWS;
    return nothing_comes(s) || (waits && n_rows_left(s) == 0);
}

// What has arrived since the last look, in its order.
static wf_status submit_arrived(serve *s)
{
    const wf_request *r;
    int64_t taken_ns;
    while (wf_feeder_take(s->c->feeder, &r, &taken_ns))
        WF_TRY(submit_request(s, r, taken_ns));
    return wf_feeder_status(s->c->feeder);
}

// How long a row is waited for that has not been read yet.
static int64_t patience_ns(const serve *s)
{
    if (s->c->simulated) return WF_FEED_PATIENCE_NS;
    return s->n_open ? 0 : NAP_NS;
}

// Offline, as far as there is room: what the leases give.
static wf_status submit_leased(serve *s)
{
    // Until now: groups that live in one simulated time look at the leases in its order.
    if (s->c->simulated && !s->no_more_leases)
        wf_clock_sleep(s->c->clock, wf_clock_now(s->c->clock));
    WF_TRY(lease_more(s));
    WF_TRY(wf_feed_pump(s->c->feed, 0));
    while (has_room(s) && wf_feed_left(s->c->feed) > 0) {
        if (!wf_feed_peek(s->c->feed)) WF_TRY(wf_feed_pump(s->c->feed, patience_ns(s)));
        if (!wf_feed_peek(s->c->feed)) return WF_OK; // not read yet: the step must not wait for it
        WF_TRY(submit_request(s, wf_feed_pop(s->c->feed), now(s)));
        WF_TRY(lease_more(s));
    }
    return WF_OK;
}

// ---- the loop -----------------------------------------------------------------------------------

static void show_load(serve *s)
{
    wf_engine_load load = wf_engine_get_load(s->c->engine);
    wf_segment_status written;
    wf_segment_writer_status(s->c->writer, &written);
    atomic_store_explicit(&s->counters->in_flight, load.n_rows, memory_order_relaxed);
    if (s->c->feeder)
        wf_feeder_show_waiting(s->c->feeder, load.n_waiting);
    else
        atomic_store_explicit(&s->counters->waiting, load.n_waiting + n_waiting_outside(s),
                              memory_order_relaxed);
    atomic_store_explicit(&s->counters->kv_pages, load.kv_pages, memory_order_relaxed);
    atomic_store_explicit(&s->counters->kv_pages_total, load.kv_pages_total, memory_order_relaxed);
    atomic_store_explicit(&s->counters->tokens, load.n_tokens, memory_order_relaxed);
    atomic_store_explicit(&s->counters->cached_tokens, load.n_cached, memory_order_relaxed);
    atomic_store_explicit(&s->counters->requests_sealed, (int64_t)written.rows_sealed,
                          memory_order_relaxed);
}

// The first rows of the batch, for whoever watches; now and then, for a step costs less than this
// many of them.
static void show_flights(serve *s)
{
    wf_engine_row rows[WF_FLIGHTS_SHOWN];
    wf_rank_flight flights[WF_FLIGHTS_SHOWN];
    int64_t now_ns = now(s);
    if (now_ns < s->show_ns) return;
    s->show_ns = now_ns + SHOW_NS;
    size_t n = wf_engine_rows(s->c->engine, WF_FLIGHTS_SHOWN, rows);
    for (size_t i = 0; i < n; i++) {
        const sample *x = (const sample *)(uintptr_t)rows[i].user;
        flights[i] = (wf_rank_flight){.shard = x->of->request->shard,
                                      .row = x->of->request->row,
                                      .sample = x->index,
                                      .n_prompt = rows[i].n_prompt,
                                      .n_done = rows[i].n_prompt_done,
                                      .n_tokens = rows[i].n_tokens,
                                      .n_limit = rows[i].n_limit};
    }
    wf_progress_flights(s->c->progress, flights, n);
}

static void set_operation(serve *s, wf_operation operation)
{
    atomic_store_explicit(&s->counters->operation, (int)operation, memory_order_relaxed);
}

// From commit to commit: with a step planned ahead, a step's own duration is longer than its share.
static void learn_pace(serve *s, const wf_step_record *record)
{
    int64_t now_ns = now(s), took_ns = now_ns - s->step_end_ns;
    if (s->step_end_ns > 0)
        s->step_ns = s->step_ns > 0 ? (15 * s->step_ns + took_ns) / 16 : took_ns;
    s->step_end_ns = now_ns;
    if (record->n_prompt_tokens > s->most_prompt) s->most_prompt = record->n_prompt_tokens;
}

// Nothing can be computed now: until a request arrives or a window closes, for a moment at most.
static void nap(serve *s)
{
    int64_t wake = wf_engine_wake_ns(s->c->engine), most = now(s) + NAP_NS;
    if (wake > most) wake = most;
    if (s->c->feeder)
        wf_feeder_wait(s->c->feeder, wake + s->c->origin_ns);
    else if (wf_feed_left(s->c->feed) == 0)
        wf_clock_sleep(s->c->clock, wake + s->c->origin_ns);
}

static wf_status step(serve *s, bool closed)
{
    wf_step_record record;
    bool recorded = false, ran = false;
    set_operation(s, WF_OPERATION_STEP);
    atomic_fetch_add_explicit(&s->counters->step_entered, 1, memory_order_relaxed);
    WF_TRY(wf_engine_step(s->c->engine, closed, &record, &recorded, &ran));
    if (!ran) atomic_fetch_add_explicit(&s->counters->step_idle, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->counters->step_left, 1, memory_order_relaxed);
    set_operation(s, ran || recorded ? WF_OPERATION_RUN : WF_OPERATION_WAIT);
    if (recorded) {
        learn_pace(s, &record);
        record.n_waiting += n_waiting_outside(s); // those that came while it computed
        record.run = s->c->run;
        record.group = s->c->group;
        atomic_fetch_add_explicit(&s->counters->prompt_tokens, record.n_prompt_tokens,
                                  memory_order_relaxed);
        WF_TRY(wf_segment_writer_put_step(s->c->writer, &record));
    }
    WF_TRY(take_finished(s));
    show_load(s);
    show_flights(s);
    if (ran || recorded) return WF_OK;
    s->step_end_ns = 0;
    nap(s);
    return WF_OK;
}

// ---- leaving ------------------------------------------------------------------------------------

// Tokens that a request is likely to generate yet: its bound, or what those that ended by a stop
// token had on average.
static int64_t tokens_left(const serve *s, const wf_engine_flight *f)
{
    if (!f->may_stop || s->n_ended == 0) return f->n_left;
    int64_t mean = s->n_tokens / s->n_ended, left = mean - (int64_t)f->n_tokens;
    if (left < 1) left = 1;
    return left < (int64_t)f->n_left ? left : (int64_t)f->n_left;
}

static bool fits(const serve *s, const wf_engine_flight *f, int64_t left_ns)
{
    uint32_t chunk = s->most_prompt > 0 ? (uint32_t)s->most_prompt : 1;
    int64_t n_steps = tokens_left(s, f) + (f->n_prompt_left + chunk - 1) / chunk;
    return s->step_ns == 0 || n_steps <= left_ns / s->step_ns;
}

typedef struct leaving {
    serve *s;
    int64_t left_ns;
} leaving;

// What has not begun costs the next run nothing; what cannot end in time only holds up the rest.
static bool gives_up(void *context, const wf_engine_flight *f)
{
    leaving *l = context;
    if (l->left_ns > 0 && f->begun && fits(l->s, f, l->left_ns)) return false;
    sample *x = (sample *)(uintptr_t)f->user;
    x->of->lost = true;
    close_flight(l->s, x->of);
    free(x);
    l->s->n_open--;
    l->s->out->n_dropped++;
    l->s->out->n_dropped_tokens += f->n_tokens;
    return true;
}

static void give_up(serve *s, int64_t left_ns)
{
    leaving l = {s, left_ns};
    wf_engine_let_go(s->c->engine, gives_up, &l);
}

// Finishes what fits until then, and gives the rest up, so that the devices are free early.
static wf_status drain(serve *s)
{
    char why[256];
    int64_t until_ns = wf_drain_until_ns(s->c->drain), n_open = s->n_open;
    int64_t left_ns = until_ns - wf_clock_now(s->c->clock);
    atomic_store_explicit(&s->counters->drain, (int)wf_drain_cause_of(s->c->drain),
                          memory_order_relaxed);
    give_up(s, left_ns);
    wf_info(
        "group %d drains (%s): %lld requests in the engine; %lld of them have begun and end within "
        "%.0f s",
        s->c->group, wf_drain_why(s->c->drain, why, sizeof why), (long long)n_open,
        (long long)s->n_open, left_ns > 0 ? (double)left_ns / (double)WF_NS_PER_S : 0.0);
    while (s->n_open > 0 && !wf_drain_asks(s->c->drain, WF_DRAIN_NOW) &&
           wf_clock_now(s->c->clock) < until_ns) {
        WF_TRY(step(s, true));
        give_up(s, until_ns - wf_clock_now(s->c->clock));
    }
    give_up(s, 0);
    s->out->drained = s->out->n_dropped > 0 || !nothing_comes(s);
    if (s->out->n_dropped > 0)
        wf_info("group %d: %lld requests and %lld tokens of theirs are left to the next run",
                s->c->group, (long long)s->out->n_dropped, (long long)s->out->n_dropped_tokens);
    return WF_OK;
}

static wf_status check_failures(const serve *s)
{
    if (s->c->max_failures < 0 || s->out->n_failed <= s->c->max_failures) return WF_OK;
    return wf_fail(WF_DATA,
                   "%lld requests of group %d failed, output.max_failures allows %lld; weft report "
                   "shows their reasons",
                   (long long)s->out->n_failed, s->c->group, (long long)s->c->max_failures);
}

static wf_status run(serve *s)
{
    for (;;) {
        if (wf_drain_asks(s->c->drain, WF_DRAIN_FINISH)) return drain(s);
        WF_TRY(s->c->feeder ? submit_arrived(s) : submit_leased(s));
        WF_TRY(check_failures(s));
        if (s->n_open == 0 && nothing_comes(s)) return WF_OK;
        WF_TRY(step(s, is_closed(s)));
    }
}

wf_status wf_serve(const wf_serve_config *config, wf_serve_outcome *out)
{
    *out = (wf_serve_outcome){0};
    serve s = {.c = config, .out = out, .counters = wf_progress_counters(config->progress)};
    wf_status st = run(&s);
    show_load(&s);
    wf_ends_free(&s.ends);
    return st;
}
