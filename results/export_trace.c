// The timeline, as trace events. See export.h.
#include "results/export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/json_writer.h"

enum { STEP_ROWS = 4096, EVENTS_PER_ROW = 8, EVENTS_PER_STEP = 7, TID_STEPS = 1, TID_ROWS = 2 };

#define EVENTS_DEFAULT UINT64_C(400000)
#define IDLE_NS        1000000 // counters are zero in a longer pause between steps

// One group of ranks in one run: a process of the trace.
typedef struct lane {
    uint16_t run, group;
    int64_t base_ns;     // its run's time zero on the trace's clock
    int64_t last_end_ns; // of its steps so far, run time; -1: none
    wf_step_record most; // of the steps since the last one drawn
    uint64_t n_steps;
    bool counts; // its counters are not zero
} lane;

typedef struct tracer {
    wf_results *results;
    FILE *out;
    lane *lanes;
    size_t n_lanes;
    uint64_t row_every, step_every;
    wf_export_count *count;
} tracer;

// ---- events -------------------------------------------------------------------------------------

static void event_begin(tracer *t, const lane *l, int tid, const char *phase, int64_t run_ns)
{
    fprintf(t->out, "%s{\"ph\":\"%s\",\"pid\":%zu,\"tid\":%d,\"ts\":%.3f",
            t->count->events++ > 0 ? ",\n" : "", phase, (size_t)(l - t->lanes) + 1, tid,
            (double)(l->base_ns + run_ns) / 1e3);
}

static void async_put(tracer *t, const lane *l, const char *phase, const char *name, int64_t at_ns)
{
    event_begin(t, l, TID_ROWS, phase, at_ns);
    fprintf(t->out, ",\"cat\":\"request\",\"id\":\"0x%" PRIx64 "\",\"name\":\"%s\"}",
            t->count->rows, name);
}

// NULL: nothing is computed.
static void counters_put(tracer *t, lane *l, int64_t at_ns, const wf_step_record *step)
{
    static const wf_step_record none = {0};
    const wf_step_record *s = step ? step : &none;
    if (!step && !l->counts) return;
    l->counts = step != NULL;
    event_begin(t, l, TID_STEPS, "C", at_ns);
    fprintf(t->out, ",\"name\":\"rows\",\"args\":{\"decode\":%d,\"prefill\":%d}}", s->n_decode,
            s->n_prefill);
    event_begin(t, l, TID_STEPS, "C", at_ns);
    fprintf(t->out, ",\"name\":\"waiting\",\"args\":{\"requests\":%" PRId64 "}}", s->n_waiting);
    event_begin(t, l, TID_STEPS, "C", at_ns);
    fprintf(t->out, ",\"name\":\"KV\",\"args\":{\"pages\":%d}}", s->kv_pages);
}

static void lane_name(tracer *t, const lane *l)
{
    const struct {
        int tid;
        const char *kind, *name;
    } names[] = {{TID_STEPS, "thread_name", "steps"}, {TID_ROWS, "thread_name", "requests"}};
    event_begin(t, l, TID_STEPS, "M", -l->base_ns);
    fprintf(t->out, ",\"name\":\"process_name\",\"args\":{\"name\":\"run %u, group %u\"}}", l->run,
            l->group);
    for (size_t i = 0; i < 2; i++) {
        event_begin(t, l, names[i].tid, "M", -l->base_ns);
        fprintf(t->out, ",\"name\":\"%s\",\"args\":{\"name\":\"%s\"}}", names[i].kind,
                names[i].name);
    }
}

// ---- requests -----------------------------------------------------------------------------------

static lane *lane_of(tracer *t, uint16_t run, uint16_t group)
{
    for (size_t i = 0; i < t->n_lanes; i++)
        if (t->lanes[i].run == run && t->lanes[i].group == group) return &t->lanes[i];
    return NULL;
}

static int64_t row_end(const wf_result *r)
{
    int64_t last = r->arrival_ns;
    const int64_t at[] = {r->submitted_ns, r->admitted_ns, r->first_token_ns, r->finish_ns};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        if (at[i] > last) last = at[i];
    return last;
}

static void row_put(tracer *t, const lane *l, const wf_result *r)
{
    const struct {
        const char *name;
        int64_t from, to;
    } phases[] = {{"queue", r->arrival_ns, r->admitted_ns},
                  {"prefill", r->admitted_ns, r->first_token_ns},
                  {"decode", r->first_token_ns, r->finish_ns}};
    char name[64];
    snprintf(name, sizeof name, "%u:%" PRIu64 ".%u", r->shard, r->row, r->sample);
    event_begin(t, l, TID_ROWS, "b", r->arrival_ns);
    fprintf(t->out,
            ",\"cat\":\"request\",\"id\":\"0x%" PRIx64
            "\",\"name\":\"%s\",\"args\":{\"id\":%" PRIu64
            ",\"prompt_tokens\":%u,\"tokens\":%u,\"status\":\"%s\",\"finish\":\"%s\","
            "\"put_back\":%u}}",
            t->count->rows, name, r->id, r->prompt_len, r->n_tokens,
            wf_result_status_words((wf_result_status)r->status),
            wf_finish_words((wf_finish)r->finish_reason), r->preempted);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        if (phases[i].from < 0 || phases[i].to < phases[i].from) continue;
        async_put(t, l, "b", phases[i].name, phases[i].from);
        async_put(t, l, "e", phases[i].name, phases[i].to);
    }
    async_put(t, l, "e", name, row_end(r));
}

static wf_status rows_put(tracer *t)
{
    const wf_result *row;
    uint64_t n = 0;
    WF_TRY(wf_results_next(t->results, &row));
    while (row) {
        const lane *l = lane_of(t, row->run, row->group);
        if (l && n++ % t->row_every == 0) {
            row_put(t, l, row);
            t->count->rows++;
        }
        WF_TRY(wf_results_next(t->results, &row));
    }
    return WF_OK;
}

// ---- steps --------------------------------------------------------------------------------------

static const char *step_kind(const wf_step_record *s)
{
    if (s->n_prefill > 0) return s->n_decode > 0 ? "prefill and decode" : "prefill";
    return s->n_decode > 0 ? "decode" : "idle";
}

static void step_put(tracer *t, const lane *l, const wf_step_record *s)
{
    event_begin(t, l, TID_STEPS, "X", s->start_ns);
    fprintf(t->out,
            ",\"dur\":%.3f,\"name\":\"%s\",\"args\":{\"decode_rows\":%d,\"prefill_rows\":%d,"
            "\"prompt_tokens\":%d,\"plan_us\":%.3f,\"kv_pages\":%d}}",
            (double)s->duration_ns / 1e3, step_kind(s), s->n_decode, s->n_prefill,
            s->n_prompt_tokens, (double)s->plan_ns / 1e3, s->kv_pages);
}

static void most_take(wf_step_record *most, const wf_step_record *s)
{
    if (s->n_decode + s->n_prefill > most->n_decode + most->n_prefill) {
        most->n_decode = s->n_decode;
        most->n_prefill = s->n_prefill;
    }
    if (s->n_waiting > most->n_waiting) most->n_waiting = s->n_waiting;
    if (s->kv_pages > most->kv_pages) most->kv_pages = s->kv_pages;
}

static void step_take(tracer *t, const wf_step_record *s)
{
    lane *l = lane_of(t, s->run, s->group);
    if (!l) return;
    if (l->last_end_ns >= 0 && s->start_ns - l->last_end_ns > IDLE_NS)
        counters_put(t, l, l->last_end_ns, NULL);
    most_take(&l->most, s);
    if (l->n_steps++ % t->step_every == 0) {
        step_put(t, l, s);
        counters_put(t, l, s->start_ns, &l->most);
        l->most = (wf_step_record){0};
        t->count->steps++;
    }
    l->last_end_ns = s->start_ns + s->duration_ns;
}

static wf_status steps_put(tracer *t)
{
    wf_step_record steps[STEP_ROWS];
    size_t n;
    do {
        WF_TRY(wf_results_next_steps(t->results, steps, STEP_ROWS, &n));
        for (size_t i = 0; i < n; i++)
            step_take(t, &steps[i]);
    } while (n > 0);
    for (size_t i = 0; i < t->n_lanes; i++)
        counters_put(t, &t->lanes[i], t->lanes[i].last_end_ns, NULL);
    return WF_OK;
}

// ---- the whole ----------------------------------------------------------------------------------

// Runs follow each other as they did by the wall clock; groups of a run share its time zero.
static wf_status lanes_make(tracer *t)
{
    size_t n;
    const wf_run_info *runs = wf_results_runs(t->results, &n);
    int64_t first = n > 0 ? runs[0].start_unix_ns : 0;
    WF_TRY(wf_alloc(n, sizeof *t->lanes, &t->lanes));
    for (size_t i = 0; i < n; i++) {
        if (runs[i].start_unix_ns < first) first = runs[i].start_unix_ns;
        if (lane_of(t, runs[i].run, runs[i].group)) continue; // another epoch
        t->lanes[t->n_lanes++] = (lane){.run = runs[i].run,
                                        .group = runs[i].group,
                                        .base_ns = runs[i].start_unix_ns,
                                        .last_end_ns = -1};
    }
    for (size_t i = 0; i < t->n_lanes; i++)
        t->lanes[i].base_ns -= first;
    return WF_OK;
}

static uint64_t one_of(uint64_t n, uint64_t events_each, uint64_t max_events)
{
    uint64_t most = max_events / events_each;
    return most == 0 ? n + 1 : n / most + (n % most > 0) + (n == 0);
}

static wf_status head_put(const tracer *t)
{
    const wf_result_job *job = wf_results_job(t->results);
    wf_json_writer *w = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "place", wf_results_place(t->results));
    wf_json_put_u64(w, "requests", wf_results_rows(t->results));
    wf_json_put_u64(w, "steps", wf_results_steps(t->results));
    wf_json_put_u64(w, "one_request_of", t->row_every);
    wf_json_put_u64(w, "one_step_of", t->step_every);
    wf_json_open_array(w, "shards");
    for (size_t i = 0; i < job->n_shards; i++)
        wf_json_put_string(w, NULL, job->shards[i].path);
    wf_json_close(w);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK)
        fprintf(t->out, "{\"displayTimeUnit\":\"ms\",\"otherData\":%.*s,\"traceEvents\":[\n",
                (int)(n - strlen("\n")), text);
    wf_json_writer_destroy(&w);
    return st;
}

wf_status wf_export_trace(wf_results *results, uint64_t max_events, FILE *out,
                          wf_export_count *count)
{
    uint64_t most = max_events > 0 ? max_events : EVENTS_DEFAULT;
    tracer t = {.results = results, .out = out, .count = count};
    wf_status st;
    t.row_every = one_of(wf_results_rows(results), EVENTS_PER_ROW, most / 2);
    t.step_every = one_of(wf_results_steps(results), EVENTS_PER_STEP, most / 2);
    WF_TRY_TO(done, lanes_make(&t));
    WF_TRY_TO(done, head_put(&t));
    for (size_t i = 0; i < t.n_lanes; i++)
        lane_name(&t, &t.lanes[i]);
    WF_TRY_TO(done, rows_put(&t));
    WF_TRY_TO(done, steps_put(&t));
    fputs("\n]}\n", out);
    count->row_every = t.row_every;
    count->step_every = t.step_every;
    if (fflush(out) != 0 || ferror(out)) st = wf_fail_errno(WF_IO, "the trace cannot be written");
done:
    free(t.lanes);
    return st;
}
