// weft study: a grid of runs, one after the other or through Slurm, and what they say together.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/study/goodput_search.h"
#include "launcher/commands.h"
#include "launcher/goodput.h"
#include "launcher/study_array.h"
#include "launcher/study_table.h"

#define RATIO_DEFAULT 1.1
#define GROWTH_LEAST  1.02 // a series without limits ends where throughput grows by less

enum { MOST_LOADS = 10000 };

const wf_cli_option wf_study_options[] = {
    {"out", 'o', "DIR", "folder of the study (out/NAME)"},
    {"set", 's', "KEY=VALUE", "sets a key of the job file in all runs; may be repeated"},
    {"find-goodput", 'f', NULL,
     "searches the highest load of `rising` that meets the limits, from its least to its "
     "highest value"},
    {"goodput", 'g', "LIMITS", "limits in ms, ttft:200,tpot:50, in place of the file's"},
    {"ratio", 'r', "N", "with --find-goodput: how far apart loads are (1.1)"},
    {"launch", 'l', "WORDS", "what starts weft run where ranks are several (mpirun -n {ranks})"},
    {"simulate", 0, "WORDS", "runs nothing for real: words for weft simulate, \"--machine h200\""},
    {"submit", 0, NULL,
     "submits the runs without a result to Slurm, an array for those that ask for the same, and "
     "waits for none"},
    {"max-running", 'm', "N", "with --submit: at most N runs of an array at a time"},
    {"collect", 0, NULL,
     "starts nothing: makes the table of what has been run, and says what became of jobs"},
    {"dry-run", 'n', NULL, "prints the commands and does nothing"},
    {NULL, 0, NULL, NULL},
};

void wf_study_help(FILE *file)
{
    fputs("\n"
          "a study:\n"
          "  study: scale-out                 # what it is called\n"
          "  job: job.yaml                    # every run starts from it; beside this file\n"
          "  prepare:                         # weft commands that make requests, once\n"
          "    - [import, poisson, --rate, 5, -n, 200, -o, out/p.h5, --model, models/m]\n"
          "  set: {engine.max_rows: 16}       # keys of the job file in all runs\n"
          "  grid:                            # every combination is a run\n"
          "    parallel.replicas: [1, 2, 4]\n"
          "    arrivals.rate: [2, 4, 8]\n"
          "  seeds: [1, 2, 3]                 # each combination so often\n"
          "  rising: arrivals.rate            # a series ends at saturation: where less than\n"
          "  goodput: ttft:200,tpot:50        #   `share` of the requests meet these limits, or,\n"
          "  share: 0.9                       #   without any, where throughput grows no more\n"
          "  warmup: 10s                      # what begins before is in no figure\n"
          "  scale: parallel.replicas         # efficiency is told against it\n"
          "  launch: mpirun -n {ranks}        # ranks: parallel.tensor times parallel.replicas\n"
          "  simulate: --machine h200         # runs nothing for real: words for weft simulate\n",
          file);
}

typedef struct studying {
    const wf_cli *cli;
    wf_study study;
    wf_study_runner runner;
    char *out;
    double ratio;
    long long max_running; // tasks of an array at a time; 0: as Slurm gives
    wf_study_jobs jobs;
    wf_study_rows rows;
    // of the search that goes on
    size_t first; // its series' first point
    double *loads;
} studying;

// ---- runs ---------------------------------------------------------------------------------------

static wf_status row_new(studying *s, wf_study_result **out)
{
    WF_TRY(wf_grow(s->rows.n + 1, sizeof *s->rows.row, &s->rows.capacity, &s->rows.row));
    *out = &s->rows.row[s->rows.n++];
    return WF_OK;
}

static wf_status run_one(studying *s, size_t i_point, const char *rising, wf_study_result **out)
{
    WF_TRY(row_new(s, out));
    WF_TRY(wf_study_run(&s->runner, i_point, rising, *out));
    if (!(*out)->written) wf_study_row_print(*out);
    return WF_OK;
}

static wf_status skip_one(studying *s, size_t i_point)
{
    wf_study_result *row;
    WF_TRY(row_new(s, &row));
    *row = (wf_study_result){.i_point = i_point};
    snprintf(row->said, sizeof row->said, "not run: beyond saturation");
    return wf_study_point_name(&s->study, i_point, NULL, &row->name);
}

// Whether a series need not go on behind this run. `before`: throughput of the one before, 0: none.
static bool is_saturated(const studying *s, const wf_study_result *row, double before)
{
    if (s->study.rising < 0 || s->runner.how == WF_STUDY_SUBMIT || !row->has_figures) return false;
    if (row->figures.has_goodput) return !row->good;
    return before > 0 && row->figures.request_throughput < GROWTH_LEAST * before;
}

static wf_status series_run(studying *s, size_t first, size_t n)
{
    bool over = false;
    double before = 0;
    for (size_t i = 0; i < n; i++) {
        wf_study_result *row;
        if (over && !wf_study_has_run(&s->runner, first + i)) {
            WF_TRY(skip_one(s, first + i));
            continue;
        }
        WF_TRY(run_one(s, first + i, NULL, &row));
        over = over || is_saturated(s, row, before);
        before = row->has_figures ? row->figures.request_throughput : 0;
    }
    return WF_OK;
}

// ---- the search ---------------------------------------------------------------------------------

// As one writes it into a grid, so that a load that was run is found again.
static char *load_text(double load, char text[WF_PARSE_TEXT_MAX])
{
    snprintf(text, WF_PARSE_TEXT_MAX, "%.10g", load);
    return text;
}

static wf_status probe(void *context, size_t i_load, bool *meets)
{
    studying *s = context;
    wf_study_result *row;
    char load[WF_PARSE_TEXT_MAX];
    load_text(s->loads[i_load], load);
    WF_TRY(run_one(s, s->first, load, &row));
    if (!row->has_figures || !row->complete)
        return wf_fail(WF_DATA, "%s: the search needs it, and it is not complete: %.400s",
                       row->name, row->said);
    *meets = row->good;
    return WF_OK;
}

static wf_status finding_add(studying *s, size_t n_loads, size_t n_meet)
{
    const wf_study *t = &s->study;
    wf_text text = {0};
    char *words = NULL, load[WF_PARSE_TEXT_MAX];
    size_t *at = NULL;
    WF_TRY(wf_alloc(t->n_axes, sizeof *at, &at));
    wf_study_point(t, s->first, at);
    for (size_t k = 0; k < t->n_axes; k++)
        if ((int)k != t->rising)
            wf_text_printf(&text, "%s %s, ", t->axes[k].key, t->axes[k].values.item[at[k]]);
    free(at);
    if (n_meet == 0)
        wf_text_printf(&text, "no %s meets %s: the least, %s, does not", t->axes[t->rising].key,
                       t->limits, load_text(s->loads[0], load));
    else
        wf_text_printf(&text, "%s %s %s meets %s",
                       n_meet == n_loads ? "even the highest" : "the highest",
                       t->axes[t->rising].key, load_text(s->loads[n_meet - 1], load), t->limits);
    WF_TRY(wf_text_take(&text, &words));
    printf("%s\n", words);
    wf_status st = wf_paths_add(&s->rows.findings, words);
    free(words);
    return st;
}

static wf_status series_search(studying *s, size_t first, size_t n)
{
    (void)n;
    const wf_study_axis *axis = &s->study.axes[s->study.rising];
    double low = strtod(axis->values.item[0], NULL);
    double high = strtod(axis->values.item[axis->values.n - 1], NULL);
    size_t n_meet = 0, n_loads = wf_goodput_loads(low, high, s->ratio, 0, NULL);
    if (n_loads > MOST_LOADS)
        return wf_cli_fail(s->cli, "--ratio: makes %zu loads, more than %d", n_loads, MOST_LOADS);
    WF_TRY(wf_alloc(n_loads, sizeof *s->loads, &s->loads));
    wf_goodput_loads(low, high, s->ratio, n_loads, s->loads);
    s->first = first;
    wf_status st = wf_goodput_search(n_loads, probe, s, &n_meet);
    if (st == WF_OK) st = finding_add(s, n_loads, n_meet);
    free(s->loads);
    s->loads = NULL;
    return st;
}

// ---- the command --------------------------------------------------------------------------------

static wf_status how_read(const wf_cli *cli, wf_study_how *out)
{
    bool submit = wf_cli_has(cli, "submit"), collect = wf_cli_has(cli, "collect");
    bool find = wf_cli_has(cli, "find-goodput");
    *out = submit ? WF_STUDY_SUBMIT : collect ? WF_STUDY_COLLECT : WF_STUDY_RUN;
    if (submit + collect + find > 1)
        return wf_cli_fail(cli, "--submit, --collect and --find-goodput: one of them");
    if (!submit && wf_cli_has(cli, "max-running"))
        return wf_cli_fail(cli, "--max-running: is for --submit; runs here follow each other");
    return WF_OK;
}

static wf_status search_check(const studying *s)
{
    const wf_goodput_limits *l = &s->runner.limits;
    if (!wf_cli_has(s->cli, "find-goodput")) return WF_OK;
    if (s->study.rising < 0)
        return wf_cli_fail(s->cli, "--find-goodput: the study has no `rising` key to search in");
    if (l->ttft_ns == 0 && l->tpot_ns == 0 && l->e2el_ns == 0)
        return wf_cli_fail(s->cli, "--find-goodput: which limits? --goodput ttft:200,tpot:50");
    if (strtod(s->study.axes[s->study.rising].values.item[0], NULL) <= 0)
        return wf_cli_fail(s->cli, "--find-goodput: the least load must be above 0");
    return WF_OK;
}

static wf_status limits_read(studying *s)
{
    const char *given = wf_cli_value(s->cli, "goodput");
    if (given) {
        free(s->study.limits);
        s->study.limits = NULL;
        WF_TRY(wf_strdup(given, &s->study.limits));
    }
    if (wf_goodput_parse(s->study.limits, &s->runner.limits) != WF_OK)
        return wf_cli_fail(s->cli, "goodput: %s", wf_error());
    return WF_OK;
}

static wf_status studying_begin(studying *s)
{
    const char *ratio = wf_cli_value(s->cli, "ratio"), *out = wf_cli_value(s->cli, "out"),
               *simulate = wf_cli_value(s->cli, "simulate");
    WF_TRY(wf_study_read(wf_cli_argument(s->cli, 0), &s->study));
    s->runner.study = &s->study;
    s->ratio = RATIO_DEFAULT;
    if (ratio && wf_parse_f64(ratio, 1.001, 100, &s->ratio) != WF_OK)
        return wf_cli_fail(s->cli, "--ratio: %s", wf_error());
    WF_TRY(how_read(s->cli, &s->runner.how));
    WF_TRY(wf_cli_i64(s->cli, "max-running", 1, INT32_MAX, 0, &s->max_running));
    s->runner.launch = wf_cli_value(s->cli, "launch");
    s->runner.simulate = simulate ? simulate : s->study.simulate;
    if (s->runner.simulate[0] && wf_cli_has(s->cli, "submit"))
        return wf_cli_fail(s->cli, "--submit: what is simulated needs no Slurm");
    s->runner.extra = wf_cli_values(s->cli, "set", &s->runner.n_extra);
    WF_TRY(limits_read(s));
    WF_TRY(search_check(s));
    WF_TRY(out ? wf_strdup(out, &s->out) : wf_path_join("out", s->study.name, &s->out));
    s->runner.out = s->out;
    return WF_OK;
}

static wf_status commands_print(const studying *s)
{
    for (size_t i = 0; i < wf_study_points(&s->study); i++) {
        char **words = NULL, *text = NULL;
        wf_text line = {0};
        WF_TRY(wf_study_words(&s->runner, i, NULL, &words));
        for (char **w = words; *w; w++) {
            if (w != words) wf_text_puts(&line, " ");
            wf_text_put_shell(&line, *w);
        }
        wf_study_words_free(&words);
        WF_TRY(wf_text_take(&line, &text));
        puts(text);
        free(text);
    }
    return WF_OK;
}

// Where Slurm does not answer, results are told all the same; nothing is submitted twice for it.
static wf_status jobs_ask(studying *s)
{
    if (s->runner.how == WF_STUDY_RUN) return WF_OK;
    s->runner.jobs = &s->jobs;
    wf_status st = wf_study_jobs_ask(s->out, &s->jobs);
    if (st == WF_OK || s->runner.how == WF_STUDY_SUBMIT) return st;
    wf_warn("what became of jobs is not known: %s", wf_error());
    return WF_OK;
}

static bool nothing_written(const studying *s)
{
    for (size_t i = 0; i < s->rows.n; i++)
        if (s->rows.row[i].written || s->rows.row[i].failed) return false;
    return true;
}

static wf_status arrays_submit(studying *s)
{
    size_t n = 0;
    wf_status st = wf_study_arrays_submit(&s->runner, s->rows.row, s->rows.n, (int)s->max_running);
    if (st == WF_OK && nothing_written(s)) puts("nothing to submit; --collect makes the table");
    for (size_t i = 0; i < s->rows.n; i++) {
        const wf_study_result *row = &s->rows.row[i];
        n += row->failed;
        if (row->written && !row->failed) wf_study_row_print(row);
    }
    if (st == WF_OK) return WF_OK;
    char why[WF_ERROR_MAX];
    snprintf(why, sizeof why, "%s", wf_error());
    return wf_fail(st, "%zu run%s of the study %s not submitted: %s", n, WF_S(n),
                   n == 1 ? "was" : "were", why);
}

// What has been run is told also when the study must leave.
static wf_status study_do(studying *s)
{
    char points[4096], command[2048];
    size_t n = wf_study_rising_values(&s->study), n_points = wf_study_points(&s->study);
    wf_status st = WF_OK;
    if (wf_cli_has(s->cli, "dry-run")) return commands_print(s);
    snprintf(points, sizeof points, "%s/points", s->out);
    WF_TRY(wf_file_make_folders(points));
    if (s->runner.how != WF_STUDY_COLLECT) WF_TRY(wf_study_prepare(&s->study));
    WF_TRY(jobs_ask(s));
    for (size_t first = 0; first < n_points && st == WF_OK; first += n)
        st = wf_cli_has(s->cli, "find-goodput") ? series_search(s, first, n)
                                                : series_run(s, first, n);
    if (s->runner.how == WF_STUDY_SUBMIT) return st == WF_OK ? arrays_submit(s) : st;
    char why[WF_ERROR_MAX];
    snprintf(why, sizeof why, "%s", wf_error());
    WF_TRY(wf_study_table_write(&s->runner, &s->rows,
                                wf_cli_shell_line(s->cli, "--collect", command, sizeof command)));
    return st == WF_OK ? WF_OK : wf_fail(st, "%s", why);
}

static wf_status verdict(const studying *s)
{
    size_t n = 0;
    bool submits = s->runner.how == WF_STUDY_SUBMIT;
    for (size_t i = 0; i < s->rows.n; i++) {
        const wf_study_result *r = &s->rows.row[i];
        n += submits ? r->failed : !r->complete && strncmp(r->said, "not run", 7) != 0;
    }
    if (n == 0) return WF_OK;
    if (submits)
        return wf_fail(WF_FAILED_ROWS, "%zu run%s of the study %s not submitted: see above", n,
                       WF_S(n), n == 1 ? "was" : "were");
    return wf_fail(WF_FAILED_ROWS, "%zu run%s of the study %s not complete: see the table", n,
                   WF_S(n), WF_ARE(n));
}

wf_status wf_cmd_study(const wf_cli *cli)
{
    studying s = {.cli = cli};
    wf_status st = studying_begin(&s);
    if (st == WF_OK) st = study_do(&s);
    if (st == WF_OK && !wf_cli_has(cli, "dry-run")) st = verdict(&s);
    wf_study_rows_free(&s.rows);
    wf_study_jobs_free(&s.jobs);
    wf_study_free(&s.study);
    free(s.out);
    return st;
}
