// Seconds with the most in them. See report_peaks.h.
#include "results/report_peaks.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"

enum { SECONDS_MOST = 100000000 }; // three years: times beyond are none

static wf_status add_token(wf_peaks *p, int64_t ns)
{
    WF_TRY(wf_grow(p->n_tokens + 1, sizeof *p->token_ns, &p->tokens_capacity, &p->token_ns));
    p->token_ns[p->n_tokens++] = ns;
    return WF_OK;
}

wf_status wf_peaks_add(wf_peaks *p, const wf_result *row)
{
    if (row->status != WF_RESULT_DONE || row->first_token_ns < 0 ||
        row->finish_ns < row->arrival_ns)
        return WF_OK;
    WF_TRY(wf_grow(p->n_spans + 1, sizeof *p->span_ns, &p->spans_capacity, &p->span_ns));
    p->span_ns[p->n_spans][0] = row->arrival_ns;
    p->span_ns[p->n_spans++][1] = row->finish_ns;
    WF_TRY(add_token(p, row->first_token_ns));
    for (uint32_t i = 1; row->token_time_ns && i < row->n_tokens; i++)
        if (row->token_time_ns[i] >= 0) WF_TRY(add_token(p, row->token_time_ns[i]));
    return WF_OK;
}

static void count_tokens(const wf_peaks *p, int64_t start_ns, int64_t *seconds, size_t n)
{
    for (size_t i = 0; i < p->n_tokens; i++) {
        int64_t second = (p->token_ns[i] - start_ns) / WF_NS_PER_S;
        if (second >= 0 && second < (int64_t)n) seconds[second]++;
    }
}

// What each second has more than the one before it.
static void count_requests(const wf_peaks *p, int64_t start_ns, int64_t *changes)
{
    for (size_t i = 0; i < p->n_spans; i++) {
        changes[(p->span_ns[i][0] - start_ns) / WF_NS_PER_S]++;
        changes[(p->span_ns[i][1] - start_ns) / WF_NS_PER_S + 1]--;
    }
}

wf_status wf_peaks_find(const wf_peaks *p, double *tokens_per_s, int64_t *requests)
{
    int64_t start = INT64_MAX, end = 0, *seconds, most = 0, now = 0;
    *tokens_per_s = 0;
    *requests = 0;
    for (size_t i = 0; i < p->n_spans; i++) {
        if (p->span_ns[i][0] < start) start = p->span_ns[i][0];
        if (p->span_ns[i][1] > end) end = p->span_ns[i][1];
    }
    if (p->n_spans == 0 || start < 0 || (end - start) / WF_NS_PER_S >= SECONDS_MOST) return WF_OK;
    size_t n = (size_t)((end - start) / WF_NS_PER_S) + 3;
    WF_TRY(wf_alloc(n, sizeof *seconds, &seconds));
    memset(seconds, 0, n * sizeof *seconds);
    count_tokens(p, start, seconds, n);
    for (size_t i = 0; i < n; i++)
        if (seconds[i] > most) most = seconds[i];
    *tokens_per_s = (double)most;
    memset(seconds, 0, n * sizeof *seconds);
    count_requests(p, start, seconds);
    for (size_t i = 0; i < n; i++) {
        now += seconds[i];
        if (now > *requests) *requests = now;
    }
    free(seconds);
    return WF_OK;
}

void wf_peaks_free(wf_peaks *p)
{
    free(p->token_ns);
    free(p->span_ns);
    *p = (wf_peaks){0};
}
