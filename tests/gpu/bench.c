// What the benchmarks of operations share (bench.h).
#include "tests/gpu/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/base/clock.h"

#define N_REPLAYS    9
#define REST_NS      300000000
#define WARM_SECONDS 0.01

void must(wf_status st)
{
    if (st == WF_OK) return;
    fprintf(stderr, "bench: %s: %s\n", wf_status_name(st), wf_error());
    exit(wf_status_exit_code(st));
}

void *device_bytes(size_t bytes)
{
    void *p;
    must(ops->alloc(be, bytes, &p));
    return p;
}

void *device_ints(const int32_t *values, size_t n)
{
    void *p = device_bytes(n * sizeof *values);
    must(ops->upload(be, stream, p, values, n * sizeof *values));
    return p;
}

void drain(void)
{
    wf_event *e;
    must(ops->event_create(be, &e));
    must(ops->event_record(be, e, stream));
    must(ops->event_sync(be, e));
    ops->event_destroy(be, e);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Seconds from the first launch of `n` replays to their end, as the host sees it.
static double span_of(wf_graph *g, wf_event *end, int n)
{
    int64_t begin = wf_clock_ns();
    for (int i = 0; i < n; i++)
        must(ops->graph_launch(be, stream, g));
    must(ops->event_record(be, end, stream));
    must(ops->event_sync(be, end));
    return (double)(wf_clock_ns() - begin) * 1e-9;
}

// run(data, i) queues call i; n_calls of them are captured and replayed. What a launch and a wait
// cost the host is taken off: the time of one replay is taken from that of three.
timing time_calls(void (*run)(void *data, int i), void *data, int n_calls)
{
    double t[N_REPLAYS], warm = 0.0;
    wf_graph *g;
    wf_event *end;
    run(data, 0); // finds plans, grows scratch
    drain();
    must(ops->event_create(be, &end));
    must(ops->capture_begin(be, stream));
    for (int i = 0; i < n_calls; i++)
        run(data, i);
    must(ops->capture_end(be, stream, &g));
    // After a long load a device is held at a lower clock for a while, and an idle one's takes its
    // time to rise: rest, then warm up.
    (void)wf_clock_sleep_until(wf_clock_ns() + REST_NS);
    while (warm < WARM_SECONDS)
        warm += span_of(g, end, 1);
    for (int r = 0; r < N_REPLAYS; r++) {
        double one = span_of(g, end, 1);
        t[r] = (span_of(g, end, 3) - one) / (2 * n_calls);
    }
    ops->graph_destroy(be, g);
    ops->event_destroy(be, end);
    qsort(t, N_REPLAYS, sizeof *t, by_value);
    return (timing){t[N_REPLAYS / 2], t[0]};
}

void report(const char *op, const char *shape, int64_t rows, timing t, double amount,
            const char *unit, double limit)
{
    printf("%s,%s,%lld,%.2f,%.2f,%d,%.3f,%s,%.3f\n", op, shape, (long long)rows, t.median * 1e6,
           t.least * 1e6, N_REPLAYS, amount / t.median * 1e-12, unit, amount / t.median / limit);
    fflush(stdout);
}

wf_weight *random_weights(wf_dtype dtype, int32_t n_groups, int64_t n, int64_t k)
{
    wf_weight *w;
    const wf_weight_shape shape = {.dtype = dtype, .n_groups = n_groups, .n_rows = n, .n_cols = k};
    must(ops->weight_create(be, &shape, &w));
    must(ops->weight_random(be, w, 7, 0.05f));
    return w;
}

wf_weight *random_weight(int64_t n, int64_t k)
{
    return random_weights(WF_BF16, 1, n, k);
}

// A matrix of random numbers: rows of a random weight.
wf_matrix random_matrix(int64_t n_rows, int64_t n_cols)
{
    wf_weight *w = random_weight(n_rows, n_cols);
    wf_matrix m =
        wf_matrix_of(device_bytes((size_t)(n_rows * n_cols) * 2), WF_BF16, n_rows, n_cols);
    int32_t *ids = malloc((size_t)n_rows * sizeof *ids);
    for (int64_t i = 0; i < n_rows; i++)
        ids[i] = (int32_t)i;
    int32_t *dev = device_ints(ids, (size_t)n_rows);
    must(ops->embed(be, stream, &(wf_embed_args){.ids = dev, .table = w, .y = m}));
    drain();
    ops->weight_destroy(be, w);
    ops->free(be, dev);
    free(ids);
    return m;
}
