// Accumulating the figures.
#include "results/metrics.h"

#include "io/base/arena.h"
#include "results/sessions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GAPS_DEFAULT (16u << 20)
#define FEW          100

// A gap of g ns lies in bucket (exponent, its next 10 bits): at most 1/1024 wide.
enum { SUB_BITS = 10, SUB = 1 << SUB_BITS, N_BUCKETS = 64 * SUB };

typedef struct {
    double *v;
    size_t n, capacity;
} series;

typedef struct {
    wf_metrics_run info;
    int64_t end_ns;
    bool seen;
    int64_t *group_end_ns; // [n_groups] by the group's number; 0: it finished nothing
    size_t n_groups, capacity;
} run_state;

struct wf_metrics {
    run_state *runs;
    size_t n_runs;
    wf_goodput_limits limits;
    wf_figures sum;
    series ttft, tpot, e2el, queue, lag, gaps, steps;
    size_t max_gaps;
    uint64_t *buckets; // [N_BUCKETS] once there are more gaps than max_gaps
    uint64_t n_gaps;
    double gap_sum, gap_square_sum, gap_min, gap_max;
    double decode_sum, prompt_sum;
    wf_session_sums sessions;
    wf_blocks blocks;
    size_t n_blocks;                  // 0: none are wanted
    int64_t *time_ns;                 // [2][n_runs] when runs begin and end
    series session_ns, session_turns; // room
    double waiting_sum;               // requests * ns
};

double wf_percentile(const double *sorted, size_t n, double q)
{
    if (n == 0) return 0;
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n) return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

wf_distribution wf_distribution_of(double *values, size_t n)
{
    wf_distribution d = {.n = n, .few = n < FEW};
    if (n == 0) return d;
    qsort(values, n, sizeof *values, compare_doubles);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    d.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - d.mean) * (values[i] - d.mean);
    d.std = sqrt(squares / (double)n);
    d.min = values[0];
    d.max = values[n - 1];
    d.p50 = wf_percentile(values, n, 0.50);
    d.p90 = wf_percentile(values, n, 0.90);
    d.p95 = wf_percentile(values, n, 0.95);
    d.p99 = wf_percentile(values, n, 0.99);
    return d;
}

static wf_status push(series *s, double value)
{
    WF_TRY(wf_grow(s->n + 1, sizeof *s->v, &s->capacity, &s->v));
    s->v[s->n++] = value;
    return WF_OK;
}

wf_status wf_metrics_create(const wf_metrics_run *runs, size_t n_runs,
                            const wf_goodput_limits *limits, size_t max_gaps, wf_metrics **out)
{
    wf_metrics *m = NULL;
    WF_TRY(wf_alloc(1, sizeof *m, &m));
    wf_status st = wf_alloc(n_runs, sizeof *m->runs, &m->runs);
    if (st == WF_OK) st = wf_alloc(2 * n_runs, sizeof *m->time_ns, &m->time_ns);
    if (st != WF_OK) {
        free(m->runs);
        free(m);
        return st;
    }
    for (size_t i = 0; i < n_runs; i++)
        m->runs[i].info = runs[i];
    m->n_runs = n_runs;
    m->max_gaps = max_gaps ? max_gaps : GAPS_DEFAULT;
    if (limits) m->limits = *limits;
    m->sum.lag_limit_ns = -1;
    *out = m;
    return WF_OK;
}

void wf_metrics_destroy(wf_metrics **metrics)
{
    wf_metrics *m = *metrics;
    if (!m) return;
    series *all[] = {&m->ttft, &m->tpot,  &m->e2el,       &m->queue,        &m->lag,
                     &m->gaps, &m->steps, &m->session_ns, &m->session_turns};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]->v);
    for (size_t i = 0; i < m->n_runs; i++)
        free(m->runs[i].group_end_ns);
    wf_session_sums_free(&m->sessions);
    wf_blocks_free(&m->blocks);
    free(m->time_ns);
    free(m->buckets);
    free(m->runs);
    free(m);
    *metrics = NULL;
}

static run_state *find_run(wf_metrics *m, uint16_t run)
{
    for (size_t i = 0; i < m->n_runs; i++)
        if (m->runs[i].info.run == run) return &m->runs[i];
    return NULL;
}

// --- gaps between tokens ---

static size_t bucket_of(double gap)
{
    uint64_t g = gap > 0 ? (uint64_t)gap : 0;
    if (g < SUB) return (size_t)g;
    int exponent = 63 - __builtin_clzll(g);
    uint64_t sub = g >> (exponent - SUB_BITS) & (SUB - 1);
    return (size_t)(exponent - SUB_BITS + 1) * SUB + (size_t)sub;
}

static double bucket_middle(size_t bucket)
{
    if (bucket < SUB) return (double)bucket;
    int shift = (int)(bucket / SUB) - 1;
    double low = ldexp((double)(SUB + bucket % SUB), shift);
    return low + ldexp(0.5, shift);
}

// Too many gaps to keep: what is kept moves into the buckets.
static wf_status start_buckets(wf_metrics *m)
{
    WF_TRY(wf_alloc(N_BUCKETS, sizeof *m->buckets, &m->buckets));
    for (size_t i = 0; i < m->gaps.n; i++)
        m->buckets[bucket_of(m->gaps.v[i])]++;
    free(m->gaps.v);
    m->gaps = (series){0};
    return WF_OK;
}

static wf_status add_gap(wf_metrics *m, double gap)
{
    if (m->n_gaps == 0 || gap < m->gap_min) m->gap_min = gap;
    if (m->n_gaps == 0 || gap > m->gap_max) m->gap_max = gap;
    m->n_gaps++;
    m->gap_sum += gap;
    m->gap_square_sum += gap * gap;
    if (!m->buckets && m->gaps.n >= m->max_gaps) WF_TRY(start_buckets(m));
    if (!m->buckets) return push(&m->gaps, gap);
    m->buckets[bucket_of(gap)]++;
    return WF_OK;
}

static double bucket_percentile(const wf_metrics *m, double q)
{
    double rank = q * (double)(m->n_gaps - 1);
    uint64_t below = 0;
    for (size_t b = 0; b < N_BUCKETS; b++) {
        below += m->buckets[b];
        if ((double)below > rank) return bucket_middle(b);
    }
    return m->gap_max;
}

static wf_distribution gap_distribution(wf_metrics *m)
{
    if (!m->buckets) return wf_distribution_of(m->gaps.v, m->gaps.n);
    double n = (double)m->n_gaps, mean = m->gap_sum / n;
    double variance = m->gap_square_sum / n - mean * mean;
    return (wf_distribution){.n = m->n_gaps,
                             .mean = mean,
                             .std = variance > 0 ? sqrt(variance) : 0,
                             .min = m->gap_min,
                             .max = m->gap_max,
                             .p50 = bucket_percentile(m, 0.50),
                             .p90 = bucket_percentile(m, 0.90),
                             .p95 = bucket_percentile(m, 0.95),
                             .p99 = bucket_percentile(m, 0.99),
                             .few = m->n_gaps < FEW,
                             .approximate = true};
}

// --- rows ---

static bool is_good(const wf_goodput_limits *limits, double ttft, double tpot, double e2el)
{
    return (limits->ttft_ns == 0 || ttft <= (double)limits->ttft_ns) &&
           (limits->tpot_ns == 0 || tpot <= (double)limits->tpot_ns) &&
           (limits->e2el_ns == 0 || e2el <= (double)limits->e2el_ns);
}

static wf_status add_to_block(wf_metrics *m, const wf_result *row, const run_state *run,
                              double ttft, double tpot, double e2el)
{
    if (m->n_blocks == 0) return WF_OK;
    return wf_blocks_add(&m->blocks, &(wf_block_entry){.finish_ns = row->finish_ns,
                                                       .ttft = ttft,
                                                       .tpot = row->n_tokens > 1 ? tpot : -1,
                                                       .e2el = e2el,
                                                       .n_prompt = row->prompt_len,
                                                       .n_tokens = row->n_tokens,
                                                       .i_run = (size_t)(run - m->runs)});
}

static wf_status add_latency(wf_metrics *m, const wf_result *row, const run_state *run)
{
    double ttft = (double)(row->first_token_ns - row->arrival_ns);
    double e2el = (double)(row->finish_ns - row->arrival_ns);
    double tpot = row->n_tokens > 1 ? (e2el - ttft) / (double)(row->n_tokens - 1) : 0;
    WF_TRY(add_to_block(m, row, run, ttft, tpot, e2el));
    WF_TRY(push(&m->ttft, ttft));
    WF_TRY(push(&m->e2el, e2el));
    if (row->n_tokens > 1) WF_TRY(push(&m->tpot, tpot));
    if (row->admitted_ns >= 0)
        WF_TRY(push(&m->queue, (double)(row->admitted_ns - row->arrival_ns)));
    for (uint32_t i = 1; row->token_time_ns && i < row->n_tokens; i++) {
        if (row->token_time_ns[i - 1] < 0) break; // times were not kept for this row
        WF_TRY(add_gap(m, (double)(row->token_time_ns[i] - row->token_time_ns[i - 1])));
    }
    m->sum.n_latency++;
    m->sum.n_good += is_good(&m->limits, ttft, tpot, e2el);
    return WF_OK;
}

static wf_status add_lag(wf_metrics *m, const wf_result *row, const wf_metrics_run *run)
{
    if (!run->timed || row->submitted_ns < 0) return WF_OK;
    int64_t lag = row->submitted_ns - row->arrival_ns;
    if (run->lag_limit_ns >= 0 && lag > run->lag_limit_ns) m->sum.n_lag_exceeded++;
    return push(&m->lag, (double)lag);
}

static void count_done(wf_figures *f, const wf_result *row)
{
    unsigned reason = row->finish_reason;
    f->n_done++;
    f->n_finish[reason < WF_METRICS_REASONS ? reason : WF_METRICS_REASONS - 1]++;
    f->prompt_tokens += row->prompt_len;
    f->cached_tokens += row->n_cached;
    f->dropped_tokens += row->n_dropped;
    f->output_tokens += row->n_tokens;
}

static wf_status note_end(run_state *run, const wf_result *row)
{
    if (row->finish_ns > run->end_ns) run->end_ns = row->finish_ns;
    if (row->group >= run->n_groups) {
        size_t n = (size_t)row->group + 1;
        WF_TRY(wf_grow(n, sizeof *run->group_end_ns, &run->capacity, &run->group_end_ns));
        memset(run->group_end_ns + run->n_groups, 0,
               (n - run->n_groups) * sizeof *run->group_end_ns);
        run->n_groups = n;
    }
    int64_t *end = &run->group_end_ns[row->group];
    if (row->finish_ns > *end) *end = row->finish_ns;
    return WF_OK;
}

// When figures begin.
static int64_t begin_of(const wf_metrics_run *run)
{
    return run->start_ns + run->warmup_ns;
}

// Of timed runs by arrival; else all arrive at once, and what counts is when a row joined.
static bool is_warmup(const wf_metrics_run *run, const wf_result *row)
{
    int64_t ns = run->timed || row->admitted_ns < 0 ? row->arrival_ns : row->admitted_ns;
    return run->warmup_ns > 0 && row->status == WF_RESULT_DONE && ns < begin_of(run);
}

// With room for what is computed of it in the end.
static wf_status add_to_session(wf_metrics *m, const wf_result *row, bool counts)
{
    WF_TRY(wf_session_sums_add(&m->sessions, row, counts));
    if (m->session_ns.n == m->sessions.n) return WF_OK;
    WF_TRY(push(&m->session_ns, 0));
    return push(&m->session_turns, 0);
}

wf_status wf_metrics_add(wf_metrics *m, const wf_result *row)
{
    run_state *run = find_run(m, row->run);
    wf_figures *f = &m->sum;
    f->n_rows++;
    if (!run) return WF_OK;
    bool warmup = is_warmup(&run->info, row);
    WF_TRY(add_to_session(m, row, !warmup && run->info.latency));
    if (warmup) {
        f->n_warmup++;
        return WF_OK;
    }
    f->n_preempted += row->preempted > 0;
    f->preemptions += row->preempted;
    run->seen = true;
    WF_TRY(note_end(run, row));
    if (run->info.latency) WF_TRY(add_lag(m, row, &run->info));
    if (row->status != WF_RESULT_DONE) {
        f->n_failed++;
        return WF_OK;
    }
    count_done(f, row);
    bool timed = row->first_token_ns >= 0 && row->finish_ns >= 0;
    return timed && run->info.latency ? add_latency(m, row, run) : WF_OK;
}

wf_status wf_metrics_add_step(wf_metrics *m, const wf_step_record *step)
{
    wf_figures *f = &m->sum;
    const run_state *run = find_run(m, step->run);
    if (run && run->info.warmup_ns > 0 && step->start_ns < begin_of(&run->info)) return WF_OK;
    f->n_steps++;
    m->decode_sum += step->n_decode;
    m->prompt_sum += step->n_prompt_tokens;
    m->waiting_sum += (double)step->n_waiting * (double)step->duration_ns;
    if (step->n_waiting > f->max_waiting) f->max_waiting = step->n_waiting;
    int64_t rows = (int64_t)step->n_decode + step->n_prefill;
    if (rows > f->max_rows && rows <= INT32_MAX) f->max_rows = (int32_t)rows;
    if (step->kv_pages > f->max_kv_pages) f->max_kv_pages = step->kv_pages;
    f->rows_moved += (uint64_t)step->rows_moved;
    f->bytes_moved += (uint64_t)step->bytes_moved;
    f->rows_discarded += (uint64_t)step->n_discarded;
    f->rows_put_back += (uint64_t)step->n_put_back;
    f->step_busy_ns += step->duration_ns;
    return push(&m->steps, (double)step->duration_ns);
}

static void add_balance(const run_state *run, int64_t duration_ns, wf_figures *f)
{
    uint64_t n_before = f->n_groups;
    for (size_t g = 0; g < run->n_groups && duration_ns > 0; g++) {
        int64_t ns = run->group_end_ns[g] - begin_of(&run->info);
        if (run->group_end_ns[g] == 0 || ns < 0) continue;
        if (f->n_groups == 0 || ns < f->group_ns[0]) f->group_ns[0] = ns;
        if (ns > f->group_ns[1]) f->group_ns[1] = ns;
        f->n_groups++;
        f->balance += (double)ns / (double)duration_ns; // the sum; finish divides
    }
    if (f->n_groups - n_before > f->most_groups) f->most_groups = f->n_groups - n_before;
}

static void finish_durations(wf_metrics *m, wf_figures *f)
{
    for (size_t i = 0; i < m->n_runs; i++) {
        const run_state *run = &m->runs[i];
        if (!run->seen) continue;
        int64_t duration = run->end_ns - begin_of(&run->info);
        if (duration < 0) duration = 0; // every row of the run failed at once
        f->duration_ns += duration;
        add_balance(run, duration, f);
        if (run->info.latency) f->latency_duration_ns += duration;
        int64_t limit = run->info.timed && run->info.latency ? run->info.lag_limit_ns : -1;
        if (limit >= 0 && (f->lag_limit_ns < 0 || limit < f->lag_limit_ns)) f->lag_limit_ns = limit;
    }
}

static double rate(double count, int64_t duration_ns)
{
    return duration_ns > 0 ? count * 1e9 / (double)duration_ns : 0;
}

static void finish_rates(const wf_metrics *m, wf_figures *f)
{
    f->request_throughput = rate((double)f->n_done, f->duration_ns);
    f->output_throughput = rate((double)f->output_tokens, f->duration_ns);
    f->total_token_throughput = rate((double)(f->prompt_tokens + f->output_tokens), f->duration_ns);
    f->has_goodput = m->limits.ttft_ns || m->limits.tpot_ns || m->limits.e2el_ns;
    if (f->prompt_tokens > 0)
        f->cache_hit_rate = (double)f->cached_tokens / (double)f->prompt_tokens;
    f->good_share = f->n_latency > 0 ? (double)f->n_good / (double)f->n_latency : 0;
    f->request_goodput = rate((double)f->n_good, f->latency_duration_ns);
}

void wf_metrics_want_blocks(wf_metrics *m, size_t n_blocks)
{
    m->n_blocks = n_blocks;
}

// Runs whose latency does not count have no time.
static void finish_intervals(wf_metrics *m, wf_figures *f)
{
    int64_t *begin = m->time_ns, *end = m->time_ns + m->n_runs;
    for (size_t i = 0; i < m->n_runs; i++) {
        const run_state *run = &m->runs[i];
        begin[i] = begin_of(&run->info);
        end[i] = run->seen && run->info.latency ? run->end_ns : begin[i];
    }
    wf_blocks_finish(&m->blocks, m->n_blocks, begin, end, m->n_runs, &f->intervals);
}

static void finish_sessions(wf_metrics *m, wf_figures *f)
{
    size_t n = 0;
    wf_session_sums_finish(&m->sessions, m->session_ns.v, m->session_turns.v, &n);
    f->session_duration = wf_distribution_of(m->session_ns.v, n);
    f->session_turns = wf_distribution_of(m->session_turns.v, n);
}

void wf_metrics_finish(wf_metrics *m, const wf_figures *whole, wf_figures *out)
{
    wf_figures *f = &m->sum;
    finish_durations(m, f);
    if (f->n_groups > 0) f->balance /= (double)f->n_groups;
    if (whole) {
        f->duration_ns = whole->duration_ns;
        f->latency_duration_ns = whole->latency_duration_ns;
    }
    finish_rates(m, f);
    f->ttft = wf_distribution_of(m->ttft.v, m->ttft.n);
    f->tpot = wf_distribution_of(m->tpot.v, m->tpot.n);
    f->e2el = wf_distribution_of(m->e2el.v, m->e2el.n);
    f->queue = wf_distribution_of(m->queue.v, m->queue.n);
    f->lag = wf_distribution_of(m->lag.v, m->lag.n);
    f->step = wf_distribution_of(m->steps.v, m->steps.n);
    f->itl = gap_distribution(m);
    finish_sessions(m, f);
    finish_intervals(m, f);
    if (f->n_steps > 0) {
        f->mean_decode_rows = m->decode_sum / (double)f->n_steps;
        f->mean_prompt_tokens = m->prompt_sum / (double)f->n_steps;
    }
    if (f->step_busy_ns > 0) f->mean_waiting = m->waiting_sum / (double)f->step_busy_ns;
    *out = *f;
}

double wf_figures_within(const wf_figures *f)
{
    uint64_t n = f->n_rows - f->n_warmup;
    return n > 0 ? (double)f->n_good / (double)n : 0;
}
