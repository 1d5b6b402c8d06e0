// Two orders of rows side by side. See diff.h.
#include "results/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "results/diff_print.h"
#include "results/ordered.h"

typedef struct side {
    wf_results *results;
    wf_ordered *rows;
    uint32_t *place; // [n_shards] of each shard in the order of both
    const wf_result *row;
} side;

typedef struct series {
    double *of[3]; // [capacity] of a, of b, b - a
    size_t n, capacity;
} series;

typedef struct differ {
    const wf_diff_options *options;
    FILE *out;
    side side[2];
    wf_json_writer *json;
    series ttft, tpot, e2el;
    uint64_t n_told;
    wf_diff_sums sums;
} differ;

// ---- the order that both sides share ------------------------------------------------------------

static bool shard_find(const wf_result_job *job, const char *uid, uint32_t *i)
{
    for (size_t k = 0; k < job->n_shards; k++) {
        if (strcmp(job->shards[k].uid, uid) != 0) continue;
        *i = (uint32_t)k;
        return true;
    }
    return false;
}

// a's shards as a has them, then those that b alone has.
static wf_status places_make(differ *d)
{
    const wf_result_job *a = wf_results_job(d->side[0].results);
    const wf_result_job *b = wf_results_job(d->side[1].results);
    uint32_t next = (uint32_t)a->n_shards;
    WF_TRY(wf_alloc(a->n_shards, sizeof(uint32_t), &d->side[0].place));
    WF_TRY(wf_alloc(b->n_shards, sizeof(uint32_t), &d->side[1].place));
    for (size_t i = 0; i < a->n_shards; i++)
        d->side[0].place[i] = (uint32_t)i;
    for (size_t i = 0; i < b->n_shards; i++)
        if (!shard_find(a, b->shards[i].uid, &d->side[1].place[i])) d->side[1].place[i] = next++;
    return WF_OK;
}

// The simulated back end names its devices so (kernels/simulated).
static bool is_simulated(const wf_results *results)
{
    size_t n = 0;
    const wf_run_info *runs = wf_results_runs(results, &n);
    for (size_t i = 0; i < n; i++)
        if (runs[i].devices && strstr(runs[i].devices, "(simulated)")) return true;
    return false;
}

static wf_status sides_open(differ *d, const wf_diff_side sides[2])
{
    for (int i = 0; i < 2; i++)
        WF_TRY(wf_results_open_many(sides[i].paths, sides[i].n_paths, NULL, &d->side[i].results));
    WF_TRY(places_make(d));
    for (int i = 0; i < 2; i++)
        d->sums.simulated[i] = is_simulated(d->side[i].results);
    for (int i = 0; i < 2; i++)
        WF_TRY(wf_ordered_create(d->side[i].results, d->side[i].place, 0, &d->side[i].rows));
    return WF_OK;
}

static int compare(const differ *d)
{
    const wf_result *a = d->side[0].row, *b = d->side[1].row;
    if (!a || !b) return a ? -1 : b != NULL;
    uint32_t x = d->side[0].place[a->shard], y = d->side[1].place[b->shard];
    if (x != y) return x < y ? -1 : 1;
    if (a->row != b->row) return a->row < b->row ? -1 : 1;
    return a->sample < b->sample ? -1 : a->sample > b->sample;
}

// ---- log-probabilities --------------------------------------------------------------------------

// How much more likely `row` found its own token at `at` than the `other` one; NaN: not known.
static double gap_of(const wf_result *row, uint32_t at, int32_t other)
{
    if (!row->logprob || !row->top_id || !row->top_logprob || at >= row->n_tokens) return NAN;
    for (uint32_t k = 0; k < row->n_top; k++) {
        size_t i = (size_t)at * row->n_top + k;
        if (row->top_id[i] == other) return (double)row->logprob[at] - (double)row->top_logprob[i];
    }
    return NAN;
}

static void gaps_find(wf_diff_row *row)
{
    row->gap[0] = row->gap[1] = NAN;
    if (row->at >= row->a->n_tokens || row->at >= row->b->n_tokens) return;
    row->gap[0] = gap_of(row->a, row->at, row->b->token_id[row->at]);
    row->gap[1] = gap_of(row->b, row->at, row->a->token_id[row->at]);
}

static bool is_tie(const wf_diff_row *row, double tie)
{
    return tie >= 0 && (fabs(row->gap[0]) <= tie || fabs(row->gap[1]) <= tie); // NaN: false
}

static void logprobs_take(wf_diff_sums *sums, const wf_diff_row *row)
{
    const wf_result *a = row->a, *b = row->b;
    if (!a->logprob || !b->logprob) return;
    for (uint32_t i = 0; i < row->at; i++) {
        double by = fabs((double)a->logprob[i] - (double)b->logprob[i]);
        if (isnan(by)) continue;
        if (by > sums->logprob.max) sums->logprob.max = by;
        sums->logprob.sum += by;
        sums->logprob.n++;
    }
}

// ---- times --------------------------------------------------------------------------------------

static wf_status times_add(series *s, double a, double b)
{
    for (int i = 0; i < 3; i++) {
        size_t capacity = s->capacity;
        WF_TRY(wf_grow(s->n + 1, sizeof(double), &capacity, &s->of[i]));
        if (i == 2) s->capacity = capacity;
    }
    s->of[0][s->n] = a;
    s->of[1][s->n] = b;
    s->of[2][s->n++] = b - a;
    return WF_OK;
}

static double tpot_of(const wf_result *row)
{
    return (double)(row->finish_ns - row->first_token_ns) / (double)(row->n_tokens - 1);
}

static wf_status times_take(differ *d, const wf_result *a, const wf_result *b)
{
    if (a->status != WF_RESULT_DONE || b->status != WF_RESULT_DONE) return WF_OK;
    if (a->first_token_ns < 0 || b->first_token_ns < 0) return WF_OK;
    WF_TRY(times_add(&d->ttft, (double)(a->first_token_ns - a->arrival_ns),
                     (double)(b->first_token_ns - b->arrival_ns)));
    WF_TRY(times_add(&d->e2el, (double)(a->finish_ns - a->arrival_ns),
                     (double)(b->finish_ns - b->arrival_ns)));
    if (a->n_tokens < 2 || b->n_tokens < 2) return WF_OK;
    return times_add(&d->tpot, tpot_of(a), tpot_of(b));
}

static wf_diff_times times_of(const series *s)
{
    return (wf_diff_times){.a = wf_distribution_of(s->of[0], s->n),
                           .b = wf_distribution_of(s->of[1], s->n),
                           .by = wf_distribution_of(s->of[2], s->n)};
}

// ---- rows ---------------------------------------------------------------------------------------

static void sums_take(differ *d, const wf_diff_row *row)
{
    wf_diff_sums *sums = &d->sums;
    uint64_t *const count[] = {
        NULL,          &sums->n_only[0], &sums->n_only[1], &sums->n_status, &sums->n_tokens,
        &sums->n_ties, &sums->n_finish};
    bool is_one_sided = row->kind == WF_DIFF_ONLY_A || row->kind == WF_DIFF_ONLY_B;
    if (count[row->kind]) ++*count[row->kind];
    if (row->kind != WF_DIFF_NONE && row->kind != WF_DIFF_TIE &&
        !(is_one_sided && d->options->common))
        sums->differ = true;
}

static wf_status tell(differ *d, const wf_diff_row *row)
{
    bool is_one_sided = row->kind == WF_DIFF_ONLY_A || row->kind == WF_DIFF_ONLY_B;
    sums_take(d, row);
    if (row->kind == WF_DIFF_NONE || d->options->quiet) return WF_OK;
    if ((is_one_sided && d->options->common) || d->n_told >= d->options->n_most) return WF_OK;
    d->n_told++;
    if (d->json)
        wf_diff_row_json(row, d->json);
    else
        wf_diff_row_text(row, d->out);
    return WF_OK;
}

static void both_compare(const differ *d, wf_diff_row *row)
{
    const wf_result *a = row->a, *b = row->b;
    uint32_t n = a->n_tokens < b->n_tokens ? a->n_tokens : b->n_tokens;
    while (row->at < n && a->token_id[row->at] == b->token_id[row->at])
        row->at++;
    gaps_find(row);
    if (a->status != b->status)
        row->kind = WF_DIFF_STATUS;
    else if (row->at < n || a->n_tokens != b->n_tokens)
        row->kind = is_tie(row, d->options->tie) ? WF_DIFF_TIE : WF_DIFF_TOKENS;
    else if (a->finish_reason != b->finish_reason)
        row->kind = WF_DIFF_FINISH;
}

static const char *path_of(const differ *d, int i)
{
    return wf_results_job(d->side[i].results)->shards[d->side[i].row->shard].path;
}

static wf_status one_take(differ *d, int order)
{
    const wf_result *a = d->side[0].row, *b = d->side[1].row;
    int i = order > 0;
    wf_diff_row row = {.kind = order < 0   ? WF_DIFF_ONLY_A
                               : order > 0 ? WF_DIFF_ONLY_B
                                           : WF_DIFF_NONE,
                       .shard_path = path_of(d, i),
                       .a = order <= 0 ? a : NULL,
                       .b = order >= 0 ? b : NULL,
                       .gap = {NAN, NAN}};
    if (order == 0) {
        both_compare(d, &row);
        d->sums.n_both++;
        d->sums.equal_tokens += row.at;
        d->sums.tokens[0] += a->n_tokens;
        d->sums.tokens[1] += b->n_tokens;
        logprobs_take(&d->sums, &row);
        WF_TRY(times_take(d, a, b));
    }
    return tell(d, &row);
}

static wf_status rows_walk(differ *d)
{
    for (int i = 0; i < 2; i++)
        WF_TRY(wf_ordered_next(d->side[i].rows, &d->side[i].row));
    while (d->side[0].row || d->side[1].row) {
        int order = compare(d);
        WF_TRY(one_take(d, order));
        if (order <= 0) WF_TRY(wf_ordered_next(d->side[0].rows, &d->side[0].row));
        if (order >= 0) WF_TRY(wf_ordered_next(d->side[1].rows, &d->side[1].row));
    }
    d->sums.ttft = times_of(&d->ttft);
    d->sums.tpot = times_of(&d->tpot);
    d->sums.e2el = times_of(&d->e2el);
    return WF_OK;
}

// ---- the whole ----------------------------------------------------------------------------------

static wf_status say(differ *d, const wf_diff_side sides[2])
{
    const char *text = NULL;
    if (d->options->quiet) return WF_OK;
    if (!d->json) {
        if (d->n_told > 0) fputc('\n', d->out);
        wf_diff_sums_text(&d->sums, sides, d->out);
    } else {
        wf_json_close(d->json);
        wf_diff_sums_json(&d->sums, d->json);
        wf_json_close(d->json);
        WF_TRY(wf_json_writer_finish(d->json, &text, NULL));
        fputs(text, d->out);
    }
    if (fflush(d->out) != 0 || ferror(d->out))
        return wf_fail_errno(WF_IO, "the differences cannot be written");
    return WF_OK;
}

static wf_status json_begin(differ *d, const wf_diff_side sides[2])
{
    if (!d->options->json) return WF_OK;
    WF_TRY(wf_json_writer_create(2, &d->json));
    wf_json_open_object(d->json, NULL);
    wf_json_put_string(d->json, "a", sides[0].name);
    wf_json_put_string(d->json, "b", sides[1].name);
    wf_json_open_array(d->json, "rows");
    return WF_OK;
}

static void differ_free(differ *d)
{
    series *all[] = {&d->ttft, &d->tpot, &d->e2el};
    for (size_t i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            free(all[i]->of[k]);
    for (int i = 0; i < 2; i++) {
        wf_ordered_destroy(&d->side[i].rows);
        wf_results_close(&d->side[i].results);
        free(d->side[i].place);
    }
    wf_json_writer_destroy(&d->json);
}

wf_status wf_diff(const wf_diff_side sides[2], const wf_diff_options *options, FILE *out,
                  wf_diff_sums *sums)
{
    differ d = {.options = options, .out = out};
    wf_status st;
    WF_TRY_TO(done, sides_open(&d, sides));
    WF_TRY_TO(done, json_begin(&d, sides));
    WF_TRY_TO(done, rows_walk(&d));
    WF_TRY_TO(done, say(&d, sides));
    if (sums) *sums = d.sums;
    if (d.sums.differ) st = wf_fail(WF_DIFFERS, "%s", ""); // the words stand on standard output
done:
    differ_free(&d);
    return st;
}
