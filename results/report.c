// Reading results into figures.
#include "results/report.h"

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/text.h"
#include "io/shard/shard.h"
#include "results/report_vllm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_ROWS = 4096 };

static bool has_word(const char *list, const char *word, size_t n, char between)
{
    for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
        bool starts = at == list || at[-1] == between || at[-1] == ' ';
        if (starts && (at[n] == between || at[n] == '\0')) return true;
    }
    return false;
}

// Adds the parts of `list` that `out` does not have yet.
static void join_words(wf_text *out, const char *list, char between)
{
    for (const char *at = list; *at && out->st == WF_OK;) {
        size_t n = strcspn(at, (char[]){between, '\0'});
        char *word = strndup(at, n);
        if (!word) {
            out->st = wf_fail(WF_NO_MEMORY, "report: out of memory");
        } else if (n > 0 && !(out->n > 0 && has_word(out->bytes, word, n, between))) {
            if (out->n > 0) wf_text_printf(out, between == ';' ? "%c " : "%c", between);
            wf_text_puts(out, word);
        }
        free(word);
        at += n + (at[n] == between);
    }
}

// All hosts of all groups and their kinds of devices, each once.
static wf_status describe_machines(const wf_run_info *runs, size_t n, wf_report *report)
{
    wf_text hosts = {0}, devices = {0};
    for (size_t i = 0; i < n; i++) {
        join_words(&hosts, runs[i].hosts, ',');
        join_words(&devices, runs[i].devices, ';'); // a device's name has commas in it
    }
    WF_TRY(wf_text_take(&hosts, &report->hosts));
    return wf_text_take(&devices, &report->devices);
}

static wf_status describe_runs(const wf_results *results, wf_report *report)
{
    size_t n;
    char iso[WF_CLOCK_ISO_MAX] = "";
    const wf_run_info *runs = wf_results_runs(results, &n);
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        bool new_run = true, new_group = true;
        for (size_t k = 0; k < i; k++) {
            new_run &= runs[k].run != runs[i].run;
            new_group &= runs[k].group != runs[i].group;
        }
        report->n_runs += new_run;
        report->n_groups += new_group;
        if (runs[i].n_groups > report->n_started) report->n_started = runs[i].n_groups;
        if (runs[i].start_unix_ns < first) first = runs[i].start_unix_ns;
    }
    if (n > 0) wf_clock_iso(first, iso);
    WF_TRY(wf_strdup(iso, &report->started));
    return describe_machines(runs, n, report);
}

static wf_status describe(const wf_results *results, wf_report *report)
{
    const wf_result_job *job = wf_results_job(results);
    WF_TRY(wf_strdup(wf_results_place(results), &report->place));
    WF_TRY(wf_report_job_read(job->job_text, &report->job));
    report->complete = wf_results_complete(results);
    report->n_shards = job->n_shards;
    for (size_t i = 0; i < job->n_shards; i++) {
        report->n_shard_rows += job->shards[i].rows;
        report->n_bad_rows += wf_shard_bad_rows(job->shards[i].path);
    }
    return describe_runs(results, report);
}

// The earliest run that left results began the work, even if starts before it left nothing.
static void count_first_run(wf_metrics_run *list, size_t n)
{
    size_t first = 0;
    for (size_t i = 1; i < n; i++)
        if (list[i].run < list[first].run) first = i;
    if (n > 0) list[first].latency = true;
}

// One entry per run number, whatever its groups: they share the run's clock.
wf_status wf_report_runs(const wf_results *results, bool with_resumed, wf_metrics_run **out,
                         size_t *n_out)
{
    size_t n, kept = 0;
    const wf_run_info *runs = wf_results_runs(results, &n);
    wf_metrics_run *list;
    WF_TRY(wf_alloc(n, sizeof *list, &list));
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < kept && list[k].run != runs[i].run)
            k++;
        if (k < kept) {
            if (runs[i].clock_start_ns < list[k].start_ns)
                list[k].start_ns = runs[i].clock_start_ns;
            continue;
        }
        list[kept++] = (wf_metrics_run){.run = runs[i].run,
                                        .start_ns = runs[i].clock_start_ns,
                                        .timed = runs[i].timed != 0,
                                        .latency = with_resumed || !runs[i].resumed,
                                        .lag_limit_ns = runs[i].lag_limit_ns};
    }
    count_first_run(list, kept);
    *out = list;
    *n_out = kept;
    return WF_OK;
}

static void count_error(wf_report *report, uint16_t code, const char *words)
{
    size_t i = 0;
    while (i < WF_REPORT_ERRORS - 1 && report->errors[i].n > 0 && report->errors[i].code != code)
        i++;
    if (report->errors[i].n++ > 0) return;
    report->errors[i].code = code;
    snprintf(report->errors[i].first, WF_REPORT_WORDS, "%s", words ? words : "");
}

// What the rows and steps of a report go to.
typedef struct takers {
    wf_metrics *metrics;
    wf_parts_maker *parts;              // NULL: none asked for
    const wf_report_listener *listener; // calls may be NULL
} takers;

static wf_status give_row(const takers *to, const wf_result *row)
{
    WF_TRY(wf_metrics_add(to->metrics, row));
    if (to->parts) WF_TRY(wf_parts_add(to->parts, row));
    return to->listener->row ? to->listener->row(to->listener->context, row) : WF_OK;
}

static wf_status add_rows(wf_results *results, const takers *to, wf_report *report)
{
    const wf_result *row;
    WF_TRY(wf_results_next(results, &row));
    while (row) {
        WF_TRY(give_row(to, row));
        report->has_samples |= row->sample > 0;
        if (row->status != WF_RESULT_DONE) count_error(report, row->error_code, row->error);
        WF_TRY(wf_results_next(results, &row));
    }
    return WF_OK;
}

static wf_status add_steps(wf_results *results, const takers *to, wf_report *report)
{
    wf_step_record steps[STEP_ROWS];
    size_t n;
    do {
        WF_TRY(wf_results_next_steps(results, steps, STEP_ROWS, &n));
        for (size_t i = 0; i < n; i++) {
            WF_TRY(wf_metrics_add_step(to->metrics, &steps[i]));
            WF_TRY(wf_expert_loads_add(&report->experts, &steps[i]));
            if (to->listener->step) WF_TRY(to->listener->step(to->listener->context, &steps[i]));
        }
    } while (n > 0);
    return WF_OK;
}

// Runs of one number in several places have a start each.
static int64_t starts_apart(const wf_results *results)
{
    size_t n;
    int64_t apart_ns = 0;
    const wf_run_info *runs = wf_results_runs(results, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            int64_t ns = llabs(runs[i].start_unix_ns - runs[k].start_unix_ns);
            if (runs[i].run == runs[k].run && ns > apart_ns) apart_ns = ns;
        }
    return apart_ns;
}

static wf_status describe_places(const wf_results *results, size_t n,
                                 const wf_report_options *options, wf_report *report)
{
    WF_TRY(describe(results, report));
    if (n > 1) report->apart_ns = starts_apart(results);
    if (n > 1) report->n_started = 0; // each place has groups of its own
    if (options->partial) report->complete = false;
    if (!options->place) return WF_OK;
    free(report->place);
    report->place = NULL;
    return wf_strdup(options->place, &report->place);
}

static wf_status read_all(wf_results *results, const takers *to, wf_report *report)
{
    if (to->listener->begin) WF_TRY(to->listener->begin(to->listener->context, results));
    WF_TRY(add_rows(results, to, report));
    WF_TRY(add_steps(results, to, report));
    wf_metrics_finish(to->metrics, NULL, &report->figures);
    report->n_resumed = report->figures.n_done - report->figures.n_latency;
    if (to->parts) WF_TRY(wf_parts_finish(to->parts, &report->figures, &report->parts));
    return WF_OK;
}

wf_status wf_report_make(const char *path, const wf_report_options *options, wf_report *out)
{
    return wf_report_make_many(&path, 1, options, out);
}

// A warm-up longer than the runs would leave figures of nothing, which scripts take for zeros.
static wf_status something_is_left(const wf_report *r)
{
    const wf_figures *f = &r->figures;
    if (r->warmup_ns == 0 || f->n_warmup == 0 || f->n_warmup < f->n_rows) return WF_OK;
    return wf_fail(WF_USAGE,
                   "--warmup: all %" PRIu64 " requests began within the first %.10g s: nothing is "
                   "left to report; give a shorter time",
                   f->n_rows, (double)r->warmup_ns / 1e9);
}

wf_status wf_report_make_many(const char *const *paths, size_t n, const wf_report_options *options,
                              wf_report *out)
{
    static const wf_report_options none = {0};
    static const wf_report_listener nobody = {0};
    wf_status st;
    wf_results *results = NULL;
    takers to = {.listener = &nobody};
    wf_metrics_run *runs = NULL;
    wf_report report = {0};
    size_t n_runs;
    if (!options) options = &none;
    if (options->listener) to.listener = options->listener;
    WF_TRY_TO(done, wf_results_open_many(paths, n, NULL, &results));
    WF_TRY_TO(done, describe_places(results, n, options, &report));
    WF_TRY_TO(done, wf_report_runs(results, options->with_resumed, &runs, &n_runs));
    for (size_t i = 0; i < n_runs; i++)
        runs[i].warmup_ns = options->warmup_ns;
    report.warmup_ns = options->warmup_ns;
    WF_TRY_TO(done, wf_metrics_create(runs, n_runs, &options->limits, 0, &to.metrics));
    wf_metrics_want_blocks(to.metrics, options->n_blocks ? options->n_blocks : WF_REPORT_BLOCKS);
    if (options->by)
        WF_TRY_TO(done, wf_parts_create(options->by, runs, n_runs, &options->limits, &to.parts));
    WF_TRY_TO(done, read_all(results, &to, &report));
    WF_TRY_TO(done, something_is_left(&report));
    *out = report;
done:
    wf_parts_destroy(&to.parts);
    wf_metrics_destroy(&to.metrics);
    wf_results_close(&results);
    free(runs);
    if (st != WF_OK) wf_report_destroy(&report);
    return st;
}

void wf_report_destroy(wf_report *report)
{
    free(report->place);
    free(report->devices);
    wf_report_job_free(&report->job);
    free(report->started);
    free(report->hosts);
    wf_report_parts_free(&report->parts);
    wf_expert_loads_free(&report->experts);
    *report = (wf_report){0};
}

wf_status wf_report_print(const char *path, const wf_report_options *options, FILE *out)
{
    return wf_report_print_many(&path, 1, options, out);
}

wf_status wf_report_print_many(const char *const *paths, size_t n, const wf_report_options *options,
                               FILE *out)
{
    wf_report report;
    wf_report_form form = options ? options->form : WF_REPORT_TEXT;
    if (form == WF_REPORT_VLLM) return wf_report_vllm(paths, n, options, out);
    WF_TRY(wf_report_make_many(paths, n, options, &report));
    wf_status st = WF_OK;
    if (form == WF_REPORT_JSON)
        st = wf_report_json(&report, out);
    else if (form == WF_REPORT_CSV)
        wf_report_csv(&report, out);
    else if (form == WF_REPORT_BRIEF)
        wf_report_brief(&report, out);
    else
        wf_report_text(&report, out);
    wf_report_destroy(&report);
    if (st == WF_OK && (fflush(out) != 0 || ferror(out)))
        st = wf_fail_errno(WF_IO, "the report cannot be written");
    return st;
}
