// Sums over a group of GPUs: NCCL's against the own kernels, alone and with residual and norm.
//
//   bench_all_reduce RANKS        one process per device of this machine; CSV on standard output
//
// Rows of 8192 bf16, as a 70B model's. Each figure is the median over launches of a graph of 20
// calls, divided by 20, of the slowest rank; the host's launch is in it, about 0.3 us per call.
// Every way is checked against NCCL's sum on the same random data before it is timed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/comm/comm_nccl.h"
#include "io/base/clock.h"
#include "kernels/convert.h"
#include "tests/gpu/forked_comm.h"

enum { COLS = 8192, N_CALLS = 20, N_LAUNCHES = 15, N_WAYS = 4 };
#define MOST_BYTES ((size_t)32 << 20)

#define must forked_must

static const struct {
    const char *name;
    wf_comm_sums sums;
} ways[N_WAYS] = {{"nccl", WF_COMM_SUMS_NCCL},
                  {"one_shot", WF_COMM_SUMS_ONE_SHOT},
                  {"two_shot", WF_COMM_SUMS_TWO_SHOT},
                  {"auto", WF_COMM_SUMS_AUTO}};

typedef struct bench {
    wf_comm *control;
    wf_backend *be;
    wf_comm *comm[N_WAYS];
    void *x, *residual, *y;
    float *weight;
    char *host, *want;
} bench;

static void *device_buffer(wf_backend *be, size_t bytes)
{
    void *data;
    must(be->ops->alloc(be, bytes, &data), "alloc");
    return data;
}

static void set_up(bench *b, wf_comm *control)
{
    wf_backend_config config = {.device = control->rank, .numerics = wf_numerics_of(WF_BF16)};
    b->control = control;
    must(wf_backend_create("cuda", &config, &b->be), "back end");
    for (int w = 0; w < N_WAYS; w++) {
        wf_comm_nccl_config c = {.sums = ways[w].sums, .limit_ns = 20 * WF_NS_PER_S};
        must(wf_comm_nccl_create(control, b->be, &c, &b->comm[w]), ways[w].name);
    }
    b->x = device_buffer(b->be, MOST_BYTES);
    b->residual = device_buffer(b->be, MOST_BYTES);
    b->y = device_buffer(b->be, MOST_BYTES);
    b->weight = device_buffer(b->be, COLS * 4);
    b->host = malloc(MOST_BYTES);
    b->want = malloc(MOST_BYTES);
}

static void fill(bench *b, size_t bytes)
{
    for (size_t i = 0; i < bytes / 2; i++) {
        uint32_t x = (uint32_t)(i * 2654435761u + (uint32_t)b->control->rank * 40503u + 1);
        x ^= x >> 13;
        x *= 0x5bd1e995u;
        wf_store_f32(b->host, WF_BF16, (int64_t)i, (float)(x >> 8) * 0x1p-23f - 1.0f);
    }
    must(b->be->ops->upload(b->be, NULL, b->x, b->host, bytes), "upload");
    forked_sync(b->be, NULL);
}

// The way's sum against NCCL's: rounding apart.
static double worst_difference(bench *b, int w, size_t bytes)
{
    double worst = 0.0;
    fill(b, bytes);
    must(b->comm[w]->ops->all_reduce(b->comm[w], NULL, b->x, (int64_t)bytes / 2, WF_BF16), "sum");
    must(b->be->ops->download(b->be, NULL, w == 0 ? b->want : b->host, b->x, bytes), "download");
    forked_sync(b->be, NULL);
    for (size_t i = 0; w > 0 && i < bytes / 2; i++) {
        double got = (double)wf_load_f32(b->host, WF_BF16, (int64_t)i);
        double d = fabs(got - (double)wf_load_f32(b->want, WF_BF16, (int64_t)i));
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

static void call(bench *b, int w, size_t bytes, bool norm)
{
    wf_comm *c = b->comm[w];
    int64_t rows = (int64_t)bytes / (2 * COLS);
    if (!norm) {
        must(c->ops->all_reduce(c, NULL, b->x, (int64_t)bytes / 2, WF_BF16), "sum");
        return;
    }
    wf_rmsnorm_args a = {.x = wf_matrix_of(b->x, WF_BF16, rows, COLS),
                         .residual = wf_matrix_of(b->residual, WF_BF16, rows, COLS),
                         .y = wf_matrix_of(b->y, WF_BF16, rows, COLS),
                         .weight = b->weight,
                         .eps = 1e-5f};
    must(wf_comm_all_reduce_rmsnorm(c, b->be, NULL, &a), "normed sum");
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double microseconds(bench *b, int w, size_t bytes, bool norm)
{
    int64_t ns[N_LAUNCHES], slowest = 0;
    wf_graph *g;
    call(b, w, bytes, norm);
    forked_sync(b->be, NULL);
    must(b->be->ops->capture_begin(b->be, NULL), "capture");
    for (int i = 0; i < N_CALLS; i++)
        call(b, w, bytes, norm);
    must(b->be->ops->capture_end(b->be, NULL, &g), "capture");
    for (int i = -2; i < N_LAUNCHES; i++) {
        int64_t begin = wf_clock_ns();
        must(b->be->ops->graph_launch(b->be, NULL, g), "launch");
        forked_sync(b->be, NULL);
        if (i >= 0) ns[i] = wf_clock_ns() - begin;
    }
    b->be->ops->graph_destroy(b->be, g);
    qsort(ns, N_LAUNCHES, sizeof *ns, by_value);
    must(b->control->ops->max_i64(b->control, ns[N_LAUNCHES / 2], &slowest), "maximum");
    return (double)slowest * 1e-3 / N_CALLS;
}

static void run_rank(wf_comm *control, void *arg)
{
    bench b = {0};
    (void)arg;
    set_up(&b, control);
    if (control->rank == 0)
        printf("gpus,bytes,nccl_us,one_shot_us,two_shot_us,auto_us,nccl_norm_us,one_shot_norm_us,"
               "two_shot_norm_us,auto_norm_us,largest_difference\n");
    for (size_t bytes = 16384; bytes <= MOST_BYTES; bytes *= 2) {
        double us[2 * N_WAYS], worst = 0.0;
        for (int w = 0; w < N_WAYS; w++) {
            double d = worst_difference(&b, w, bytes);
            if (d > worst) worst = d;
        }
        for (int k = 0; k < 2 * N_WAYS; k++) {
            fill(&b, bytes);
            us[k] = microseconds(&b, k % N_WAYS, bytes, k >= N_WAYS);
        }
        if (control->rank > 0) continue;
        printf("%d,%zu", control->size, bytes);
        for (int k = 0; k < 2 * N_WAYS; k++)
            printf(",%.1f", us[k]);
        printf(",%.4f\n", worst);
        fflush(stdout);
    }
    _exit(0); // four communicators less to take apart
}

int main(int argc, char **argv)
{
    int size = argc > 1 ? atoi(argv[1]) : 2, n = forked_count_devices();
    if (size < 2 || size > FORKED_MOST_RANKS || n < size) {
        printf("skipped: %d ranks on %d GPUs\n", size, n);
        return 77;
    }
    return forked_run(size, run_rank, NULL) != 0;
}
