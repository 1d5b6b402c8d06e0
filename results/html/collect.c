// Rows and steps of one output. See collect.h.
#include "results/html/collect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/text.h"

// Versions of what served it, each once; empty ones are not said.
static wf_status versions_take(const wf_results *results, char **out)
{
    wf_text text = {0};
    size_t n;
    const wf_run_info *runs = wf_results_runs(results, &n);
    if (n > 0) {
        const wf_run_info *r = &runs[n - 1];
        const char *const all[][2] = {{"Weft", r->version_weft},     {"CUDA", r->version_cuda},
                                      {"driver", r->version_driver}, {"NCCL", r->version_nccl},
                                      {"MPI", r->version_mpi},       {"PMIx", r->version_pmix},
                                      {"HDF5", r->version_hdf5}};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            if (all[i][1] && all[i][1][0])
                wf_text_printf(&text, "%s%s %s", text.n > 0 ? ", " : "", all[i][0], all[i][1]);
    }
    wf_text_puts(&text, "");
    return wf_text_take(&text, out);
}

static wf_status begin(void *context, const wf_results *results)
{
    wf_html_output *o = context;
    WF_TRY(wf_report_runs(results, false, &o->runs, &o->n_runs));
    for (size_t i = 0; i < o->n_runs; i++)
        o->timed |= o->runs[i].timed;
    WF_TRY(versions_take(results, &o->versions));
    return wf_strdup(wf_results_job(results)->job_text, &o->job_text);
}

static wf_metrics_run *run_of(const wf_html_output *o, uint16_t run)
{
    for (size_t i = 0; i < o->n_runs; i++)
        if (o->runs[i].run == run) return &o->runs[i];
    return NULL;
}

static void add_gap(wf_html_output *o, int64_t ns)
{
    double bin = ns > 0 ? log10((double)ns / WF_HTML_GAP_LEAST_NS) * WF_HTML_GAP_DECADE : 0;
    size_t i = bin <= 0 ? 0 : bin >= WF_HTML_GAP_BINS ? WF_HTML_GAP_BINS - 1 : (size_t)bin;
    o->gaps[i]++;
    o->n_gaps++;
}

static wf_status take_row(void *context, const wf_result *r)
{
    wf_html_output *o = context;
    const wf_metrics_run *run = run_of(o, r->run);
    if (!run) return WF_OK;
    bool done = r->status == WF_RESULT_DONE;
    WF_TRY(wf_grow(o->n_rows + 1, sizeof *o->rows, &o->rows_capacity, &o->rows));
    wf_html_row row = {.arrival_ns = r->arrival_ns,
                       .admitted_ns = r->admitted_ns,
                       .first_ns = r->first_token_ns,
                       .finish_ns = r->finish_ns,
                       .n_tokens = r->n_tokens,
                       .run = r->run,
                       .done = done};
    row.latency = done && run->latency && r->first_token_ns >= 0 && r->finish_ns >= 0;
    o->rows[o->n_rows++] = row;
    for (uint32_t i = 1; row.latency && r->token_time_ns && i < r->n_tokens; i++) {
        if (r->token_time_ns[i - 1] < 0) break; // times were not kept for this row
        add_gap(o, r->token_time_ns[i] - r->token_time_ns[i - 1]);
    }
    return WF_OK;
}

static wf_status take_step(void *context, const wf_step_record *s)
{
    wf_html_output *o = context;
    if (!run_of(o, s->run)) return WF_OK;
    WF_TRY(wf_grow(o->n_steps + 1, sizeof *o->steps, &o->steps_capacity, &o->steps));
    o->steps[o->n_steps++] = (wf_html_step){.start_ns = s->start_ns,
                                            .duration_ns = s->duration_ns,
                                            .n_decode = s->n_decode,
                                            .n_prefill = s->n_prefill,
                                            .n_prompt_tokens = s->n_prompt_tokens,
                                            .kv_pages = s->kv_pages,
                                            .run = s->run,
                                            .group = s->group};
    return WF_OK;
}

static int by_run(const void *a, const void *b)
{
    const wf_metrics_run *x = a, *y = b;
    return (x->run > y->run) - (x->run < y->run);
}

static int by_arrival(const void *a, const void *b)
{
    const wf_html_row *x = a, *y = b;
    if (x->arrival_ns != y->arrival_ns) return x->arrival_ns < y->arrival_ns ? -1 : 1;
    return (x->admitted_ns > y->admitted_ns) - (x->admitted_ns < y->admitted_ns);
}

static void shift(int64_t *ns, int64_t by)
{
    if (*ns >= 0) *ns = *ns + by < 0 ? 0 : *ns + by;
}

// Moves one run's times behind those of the runs before it; start_ns becomes its place there.
static void place_run(wf_html_output *o, wf_metrics_run *run)
{
    int64_t last = run->start_ns;
    for (size_t i = 0; i < o->n_rows; i++)
        if (o->rows[i].run == run->run && o->rows[i].finish_ns > last) last = o->rows[i].finish_ns;
    for (size_t i = 0; i < o->n_steps; i++) {
        int64_t end = o->steps[i].start_ns + o->steps[i].duration_ns;
        if (o->steps[i].run == run->run && end > last) last = end;
    }
    int64_t by = o->length_ns - run->start_ns;
    for (size_t i = 0; i < o->n_rows; i++) {
        wf_html_row *r = &o->rows[i];
        int64_t *times[] = {&r->arrival_ns, &r->admitted_ns, &r->first_ns, &r->finish_ns};
        for (size_t k = 0; k < 4 && r->run == run->run; k++)
            shift(times[k], by);
    }
    for (size_t i = 0; i < o->n_steps; i++)
        if (o->steps[i].run == run->run) shift(&o->steps[i].start_ns, by);
    int64_t took = last - run->start_ns;
    run->start_ns = o->length_ns;
    o->length_ns += took;
}

wf_status wf_html_collect(const char *const *paths, size_t n, const wf_report_options *options,
                          wf_html_output *out)
{
    wf_html_output o = {.limits = options->limits};
    wf_report_options mine = *options;
    const wf_report_listener listener = {begin, take_row, take_step, &o};
    mine.listener = &listener;
    wf_status st = wf_report_make_many(paths, n, &mine, &o.report);
    if (st != WF_OK) {
        wf_html_output_free(&o);
        return st;
    }
    qsort(o.runs, o.n_runs, sizeof *o.runs, by_run);
    for (size_t i = 0; i < o.n_runs; i++)
        place_run(&o, &o.runs[i]);
    if (o.n_rows > 0) qsort(o.rows, o.n_rows, sizeof *o.rows, by_arrival);
    if (o.length_ns < 1000000) o.length_ns = 1000000;
    o.n_bins = o.n_rows / 6 < 16 ? 16 : o.n_rows / 6 > WF_HTML_BINS ? WF_HTML_BINS : o.n_rows / 6;
    *out = o;
    return WF_OK;
}

void wf_html_output_free(wf_html_output *o)
{
    wf_report_destroy(&o->report);
    free(o->job_text);
    free(o->versions);
    free(o->rows);
    free(o->steps);
    free(o->runs);
    *o = (wf_html_output){0};
}
