// Groups of GPUs: sums, norms of sums and gathers by every way, peers that are gone, and a model's
// tokens over 2, 4 and 8 ranks, captured and not.
//
//   test_gpu_comm [most ranks] [all | share | sockets | strangers] [least ranks]
//
// One process per rank, forked before anything touches a device. `share`: all ranks on the first
// device, which the own kernels can and NCCL cannot; for machines with one GPU. `sockets`: NCCL
// without peer access and shared memory, as between hosts. `strangers`: only what must be refused.
// Skips where fewer than two devices are
// visible and they are not to be shared.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/comm/comm_nccl.h"
#include "io/base/clock.h"
#include "kernels/convert.h"
#include "tests/engine/rig.h"
#include "tests/gpu/forked_comm.h"

#define must forked_must

// A way of summing. exact: the terms are added in the order of comm.h.
typedef struct way {
    const char *name;
    wf_comm_nccl_config config;
    bool exact;
} way;

static const way own_ways[] = {
    {"one-shot", {.sums = WF_COMM_SUMS_ONE_SHOT}, true},
    {"two-shot", {.sums = WF_COMM_SUMS_TWO_SHOT}, true},
    {"own", {.sums = WF_COMM_SUMS_OWN}, true},
};
static const way nccl_ways[] = {
    {"nccl", {.sums = WF_COMM_SUMS_NCCL}, false},
    {"auto", {.sums = WF_COMM_SUMS_AUTO}, false},
    {"deterministic", {.deterministic = true}, true},
    {"gathered", {.sums = WF_COMM_SUMS_NCCL, .deterministic = true}, true},
};

static const way socket_ways[] = {
    {"nccl over sockets", {.sums = WF_COMM_SUMS_NCCL}, false},
    {"gathered over sockets", {.sums = WF_COMM_SUMS_NCCL, .deterministic = true}, true},
};

static void expect(bool good, const char *name, const char *what, int64_t at)
{
    if (good) return;
    fprintf(stderr, "%s: %s: element %lld is wrong\n", name, what, (long long)at);
    _exit(1);
}

// Element i of rank r: where the order is promised, numbers whose sum depends on it; else sums that
// are exact in every dtype.
static float element(const way *w, int r, int64_t i)
{
    if (!w->exact) return (float)((i * 7 + r * 3) % 16);
    return (float)((r * 7919 + i * 104729) % 10007) * (r % 2 ? 1e-3f : 1.7f) - 20.0f;
}

static float pairwise(const way *w, wf_dtype dtype, int begin, int n, int64_t i)
{
    int half = 1;
    uint32_t stored = 0;
    if (n == 1) {
        wf_store_f32(&stored, dtype, 0, element(w, begin, i));
        return wf_load_f32(&stored, dtype, 0);
    }
    while (2 * half < n)
        half *= 2;
    return pairwise(w, dtype, begin, half, i) + pairwise(w, dtype, begin + half, n - half, i);
}

static void check_elements(wf_comm *c, const way *w, wf_dtype dtype, int64_t n, const char *got)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t want = 0;
        size_t size = wf_dtype_bytes(dtype);
        wf_store_f32(&want, dtype, 0, pairwise(w, dtype, 0, c->size, i));
        expect(memcmp(got + (size_t)i * size, &want, size) == 0, w->name, "all-reduce", i);
    }
}

static void check_sum(wf_backend *be, wf_comm *c, const way *w, wf_dtype dtype, int64_t n,
                      bool captured)
{
    size_t bytes = (size_t)n * wf_dtype_bytes(dtype);
    char *host = malloc(bytes);
    void *dev;
    must(be->ops->alloc(be, bytes, &dev), "alloc");
    for (int64_t i = 0; i < n; i++)
        wf_store_f32(host, dtype, i, element(w, c->rank, i));
    if (captured) {
        wf_graph *g;
        must(c->ops->all_reduce(c, NULL, dev, n, dtype), "all-reduce"); // of zeros, connects
        must(be->ops->capture_begin(be, NULL), "capture");
        must(c->ops->all_reduce(c, NULL, dev, n, dtype), "all-reduce");
        must(be->ops->capture_end(be, NULL, &g), "capture");
        must(be->ops->upload(be, NULL, dev, host, bytes), "upload");
        must(be->ops->graph_launch(be, NULL, g), "launch");
        forked_sync(be, NULL);
        be->ops->graph_destroy(be, g);
    } else {
        must(be->ops->upload(be, NULL, dev, host, bytes), "upload");
        must(c->ops->all_reduce(c, NULL, dev, n, dtype), "all-reduce");
    }
    must(be->ops->download(be, NULL, host, dev, bytes), "download");
    forked_sync(be, NULL);
    check_elements(c, w, dtype, n, host);
    be->ops->free(be, dev);
    free(host);
}

// Many sums of changing sizes without a pause between them: buffers are used again and again.
static void check_a_chain(wf_backend *be, wf_comm *c, const way *w)
{
    enum { N_CALLS = 60, MOST = 40000 };
    static const int64_t sizes[] = {8, 40000, 1000, 16384, 7};
    int32_t *host = malloc(MOST * 4);
    void *dev[5];
    for (int k = 0; k < 5; k++)
        must(be->ops->alloc(be, MOST * 4, &dev[k]), "alloc");
    for (int i = 0; i < N_CALLS; i++) { // zeros stay zeros
        int64_t n = sizes[i % 5];
        if (i + 5 >= N_CALLS) {
            for (int64_t k = 0; k < n; k++)
                wf_store_f32(host, WF_F32, k, element(w, c->rank, k));
            must(be->ops->upload(be, NULL, dev[i % 5], host, (size_t)n * 4), "upload");
            forked_sync(be, NULL);
        }
        must(c->ops->all_reduce(c, NULL, dev[i % 5], n, WF_F32), "all-reduce");
    }
    for (int k = 0; k < 5; k++) {
        must(be->ops->download(be, NULL, host, dev[k], (size_t)sizes[k] * 4), "download");
        forked_sync(be, NULL);
        check_elements(c, w, WF_F32, sizes[k], (char *)host);
        be->ops->free(be, dev[k]);
    }
    free(host);
}

typedef struct normed {
    void *x, *residual, *y;
    float *weight;
} normed;

static normed normed_create(wf_backend *be, wf_comm *c, wf_dtype act, int64_t rows, int64_t cols)
{
    normed n;
    size_t count = (size_t)(rows * cols), bytes = count * wf_dtype_bytes(act);
    char *host = malloc(count * 4);
    void *weight;
    must(be->ops->alloc(be, bytes, &n.x), "alloc");
    must(be->ops->alloc(be, bytes, &n.residual), "alloc");
    must(be->ops->alloc(be, bytes, &n.y), "alloc");
    must(be->ops->alloc(be, (size_t)cols * 4, &weight), "alloc");
    n.weight = weight;
    for (size_t i = 0; i < count; i++)
        wf_store_f32(host, act, (int64_t)i, sinf((float)i * 0.7f + (float)c->rank));
    must(be->ops->upload(be, NULL, n.x, host, bytes), "upload");
    forked_sync(be, NULL);
    for (size_t i = 0; i < count; i++)
        wf_store_f32(host, act, (int64_t)i, cosf((float)i * 0.3f));
    must(be->ops->upload(be, NULL, n.residual, host, bytes), "upload");
    forked_sync(be, NULL);
    for (int64_t i = 0; i < cols; i++)
        wf_store_f32(host, WF_F32, i, 1.0f + 0.01f * (float)(i % 17));
    must(be->ops->upload(be, NULL, weight, host, (size_t)cols * 4), "upload");
    forked_sync(be, NULL);
    free(host);
    return n;
}

static void normed_destroy(wf_backend *be, normed *n)
{
    be->ops->free(be, n->x);
    be->ops->free(be, n->residual);
    be->ops->free(be, n->y);
    be->ops->free(be, n->weight);
}

static wf_rmsnorm_args norm_args(const normed *n, wf_dtype act, int64_t rows, int64_t cols)
{
    return (wf_rmsnorm_args){.x = wf_matrix_of(n->x, act, rows, cols),
                             .residual = wf_matrix_of(n->residual, act, rows, cols),
                             .y = wf_matrix_of(n->y, act, rows, cols),
                             .weight = n->weight,
                             .eps = 1e-5f};
}

static void expect_same(wf_backend *be, const way *w, const void *a, const void *b, size_t bytes,
                        const char *what)
{
    char *x = malloc(bytes), *y = malloc(bytes);
    must(be->ops->download(be, NULL, x, a, bytes), "download");
    must(be->ops->download(be, NULL, y, b, bytes), "download");
    forked_sync(be, NULL);
    for (size_t i = 0; i < bytes; i++)
        expect(x[i] == y[i], w->name, what, (int64_t)i);
    free(x);
    free(y);
}

// In one operation and in two: the same bits.
static void check_norm(wf_backend *be, wf_comm *c, const way *w, wf_dtype act, int64_t rows,
                       int64_t cols)
{
    normed one = normed_create(be, c, act, rows, cols), two = normed_create(be, c, act, rows, cols);
    wf_rmsnorm_args a = norm_args(&one, act, rows, cols), b = norm_args(&two, act, rows, cols);
    size_t bytes = (size_t)(rows * cols) * wf_dtype_bytes(act);
    must(wf_comm_all_reduce_rmsnorm(c, be, NULL, &a), "all-reduce and norm");
    must(c->ops->all_reduce(c, NULL, b.x.data, rows * cols, act), "all-reduce");
    must(be->ops->rmsnorm(be, NULL, &b), "norm");
    expect_same(be, w, a.residual.data, b.residual.data, bytes, "residual of a normed sum");
    expect_same(be, w, a.y.data, b.y.data, bytes, "a normed sum");
    normed_destroy(be, &one);
    normed_destroy(be, &two);
}

static void check_gather(wf_backend *be, wf_comm *c, const way *w, int64_t n)
{
    size_t bytes = (size_t)n * 4;
    float *mine = malloc(bytes), *all = malloc(bytes * (size_t)c->size);
    void *send, *recv;
    for (int64_t i = 0; i < n; i++)
        mine[i] = (float)(i % 1000) + (float)(1000 * c->rank);
    must(be->ops->alloc(be, bytes, &send), "alloc");
    must(be->ops->alloc(be, bytes * (size_t)c->size, &recv), "alloc");
    must(be->ops->upload(be, NULL, send, mine, bytes), "upload");
    must(c->ops->all_gather(c, NULL, send, bytes, recv), "all-gather");
    must(be->ops->download(be, NULL, all, recv, bytes * (size_t)c->size), "download");
    forked_sync(be, NULL);
    for (int64_t r = 0; r < c->size; r++)
        for (int64_t i = 0; i < n; i++)
            expect(all[r * n + i] == (float)(i % 1000) + (float)(1000 * r), w->name, "all-gather",
                   i);
    be->ops->free(be, send);
    be->ops->free(be, recv);
    free(mine);
    free(all);
}

// Greedy tokens of a golden model, the group's against transformers'.
static void check_tokens(wf_comm *control, const way *w, const char *name)
{
    golden g;
    rig r;
    rig_request requests[16];
    static rig_output outputs[16];
    wf_engine_config config = rig_config();
    golden_load(name, &g);
    rig_create("cuda", name, control, &r);
    must(wf_comm_nccl_create(control, r.be, &w->config, &r.comm), "NCCL");
    config.steps_ahead = 1;
    for (int32_t i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .at_step = 2 * i};
    rig_totals totals;
    rig_run(&r, &config, requests, g.n_cases, outputs, &totals);
    expect(totals.n_graphs > 0, name, "captured steps", 0);
    int n_same = 0, n_all = 0;
    for (int32_t i = 0; control->rank == 0 && i < g.n_cases; i++)
        for (int32_t k = 0; k < g.cases[i].n_greedy; k++, n_all++)
            n_same += outputs[i].token[k] == g.cases[i].greedy[k];
    if (control->rank == 0)
        printf("  %s on %d ranks, %s: %d of %d greedy tokens agree\n", name, control->size, w->name,
               n_same, n_all);
    expect(n_same == n_all, w->name, name, n_same);
    wf_comm_destroy(r.comm);
    r.comm = control;
    rig_destroy(&r);
    golden_free(&g);
}

// Captured steps of a group and the same steps queued one by one: the same bits, sums included.
static void check_captured(wf_comm *control, const way *w, const char *name)
{
    static rig_output outputs[2][16];
    golden g;
    rig r;
    rig_request requests[16];
    wf_engine_config config = rig_config();
    wf_sampling sampling = wf_sampling_default();
    sampling.ignore_eos = true;
    sampling.logprobs = 4;
    config.steps_ahead = 1;
    golden_load(name, &g);
    rig_create_dtype("cuda", name, control, WF_BF16, &r);
    must(wf_comm_nccl_create(control, r.be, &w->config, &r.comm), "NCCL");
    for (int32_t i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = 60 + (uint32_t)i,
                                    .sampling = &sampling,
                                    .at_step = 5 * i};
    for (int captured = 0; captured < 2; captured++) {
        rig_totals totals;
        config.capture = captured ? WF_CAPTURE_AUTO : WF_CAPTURE_PAD_ONLY;
        rig_run(&r, &config, requests, g.n_cases, outputs[captured], &totals);
        expect((totals.n_graphs > 0) == captured, w->name, "captured steps", totals.n_graphs);
    }
    int n = 0;
    for (int32_t i = 0; i < g.n_cases; i++)
        n += (int)outputs[0][i].n_tokens;
    bool same = memcmp(outputs[0], outputs[1], sizeof outputs[0]) == 0;
    if (control->rank == 0)
        printf("  %s on %d ranks, %s: %d tokens and logprobs captured and not: %s\n", name,
               control->size, w->name, n, same ? "the same bits" : "DIFFERENT");
    expect(same, w->name, "captured and not", 0);
    wf_comm_destroy(r.comm);
    r.comm = control;
    rig_destroy(&r);
    golden_free(&g);
}

// ---- deterministic ------------------------------------------------------------------------------

static rig_output alone[16], grouped[16];

// A golden model's tokens and logprobs under `deterministic`, by a group of this size.
static void run_deterministic(wf_comm *control, const char *name, bool in_group, rig_output *out)
{
    golden g;
    rig r;
    rig_request requests[16];
    wf_engine_config config = rig_config();
    wf_comm_nccl_config sums = {.sums = WF_COMM_SUMS_OWN, .deterministic = true};
    wf_sampling sampling = wf_sampling_default();
    sampling.ignore_eos = true;
    sampling.logprobs = 4;
    config.deterministic = true;
    golden_load(name, &g);
    rig_create_deterministic("cuda", name, in_group ? control : NULL, WF_BF16, &r);
    if (in_group) must(wf_comm_nccl_create(control, r.be, &sums, &r.comm), "own sums");
    for (int32_t i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .sampling = &sampling,
                                    .at_step = 2 * i};
    rig_run(&r, &config, requests, g.n_cases, out, NULL);
    if (in_group) wf_comm_destroy(r.comm);
    rig_destroy(&r);
    golden_free(&g);
}

// The same bits from one rank and from all of them.
static void check_deterministic(wf_comm *control, const char *name)
{
    if (control->rank == 0) run_deterministic(control, name, false, alone);
    control->ops->barrier(control);
    run_deterministic(control, name, true, grouped);
    if (control->rank > 0) return;
    bool same = memcmp(alone, grouped, sizeof alone) == 0;
    printf("  %s, deterministic: %d ranks and one give %s\n", name, control->size,
           same ? "the same bits" : "DIFFERENT results");
    expect(same, "deterministic", name, 0);
}

// ---- strangers ----------------------------------------------------------------------------------

// The last rank has a libnccl of another version: refused at once, both versions named.
static void check_versions(wf_comm *control, int device)
{
    wf_backend_config config = {.device = device, .numerics = wf_numerics_of(WF_BF16)};
    wf_comm_nccl_config nccl = {.sums = WF_COMM_SUMS_NCCL};
    wf_backend *be;
    wf_comm *c;
    char path[512], mine[WF_COMM_NCCL_VERSION_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    bool last = control->rank == control->size - 1;
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash : path, 32, "/libother_nccl.so");
    if (last) setenv("WEFT_NCCL", path, 1);
    must(wf_backend_create("cuda", &config, &be), "back end");
    must(wf_comm_nccl_version(mine), "version");
    wf_status st = wf_comm_nccl_create(control, be, &nccl, &c);
    expect(st == WF_COMM, "versions", "refused", control->rank);
    if (!last) return;
    printf("  %s\n", wf_error());
    expect(strcmp(mine, "2.18.5") == 0 && strstr(wf_error(), "2.18.5"), "versions", mine, 0);
    expect(strstr(wf_error(), "first rank 2."), "versions", "the other's", 0);
}

// The last rank is told to use an interface that is not there: nobody waits for ever.
static void check_unreachable(wf_comm *control, int device)
{
    wf_backend_config config = {.device = device, .numerics = wf_numerics_of(WF_BF16)};
    wf_comm_nccl_config nccl = {.sums = WF_COMM_SUMS_NCCL, .limit_ns = 4 * WF_NS_PER_S};
    wf_backend *be;
    wf_comm *c;
    if (control->rank == control->size - 1) setenv("NCCL_SOCKET_IFNAME", "=nosuch0", 1);
    must(wf_backend_create("cuda", &config, &be), "back end");
    int64_t begin = wf_clock_ns();
    wf_status st = wf_comm_nccl_create(control, be, &nccl, &c);
    double s = (double)(wf_clock_ns() - begin) * 1e-9;
    printf("  rank %d, after %.1f s: %s\n", control->rank, s, wf_error());
    expect(st == WF_COMM && s < 12.0, "unreachable", "refused", control->rank);
}

// ---- peers that are gone ------------------------------------------------------------------------

// The last rank does not come to a sum. The others learn which, and can end.
static void check_lost(wf_comm *control, const way *w, int device)
{
    wf_backend_config config = {.device = device, .numerics = wf_numerics_of(WF_BF16)};
    wf_comm_nccl_config lost = w->config;
    wf_backend *be;
    wf_comm *c;
    wf_event *e;
    void *data;
    char name[32];
    lost.limit_ns = WF_NS_PER_S;
    lost.group = 5;
    must(wf_backend_create("cuda", &config, &be), "back end");
    must(wf_comm_nccl_create(control, be, &lost, &c), "NCCL");
    must(be->ops->alloc(be, 4096, &data), "alloc");
    must(be->ops->event_create(be, &e), "event");
    must(c->ops->all_reduce(c, NULL, data, 1024, WF_BF16), "all-reduce");
    must(be->ops->event_record(be, e, NULL), "event");
    must(wf_comm_wait(c, be, e, 1), "a step of all ranks");
    control->ops->barrier(control);
    if (c->rank == c->size - 1) {
        sleep(5); // stands still, and ends without a word
        _exit(0);
    }
    must(c->ops->all_reduce(c, NULL, data, 1024, WF_BF16), "all-reduce");
    must(be->ops->event_record(be, e, NULL), "event");
    int64_t begin = wf_clock_ns();
    wf_status st = wf_comm_wait(c, be, e, 812);
    double s = (double)(wf_clock_ns() - begin) * 1e-9;
    if (c->rank == 0) printf("  %s: after %.1f s: %s\n", w->name, s, wf_error());
    snprintf(name, sizeof name, "rank %d within", c->size - 1);
    expect(st == WF_COMM && s > 0.5 && s < 4.5, w->name, "a lost peer", 0);
    expect(strstr(wf_error(), "step 812") && strstr(wf_error(), "group 5"), w->name, "words", 0);
    expect(!w->exact || strstr(wf_error(), name), w->name, "the lost rank's number", 0);
    expect(c->ops->look(c, 813, 0) == WF_COMM, w->name, "a group that was given up", 0);
}

static void check_one_way(wf_backend *be, wf_comm *control, const way *w)
{
    static const int64_t sizes[] = {1, 1000, 65537, 3 << 20};
    static const int64_t shapes[][2] = {{1, 4096}, {3, 4096},  {33, 8192}, {150, 1024},
                                        {7, 5120}, {5, 12288}, {6, 100},   {1000, 512}};
    wf_backend_info info;
    wf_comm *c;
    must(be->ops->info(be, &info), "info");
    must(wf_comm_nccl_create(control, be, &w->config, &c), w->name);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int d = 0; d < WF_N_DTYPES; d++)
            check_sum(be, c, w, (wf_dtype)d, sizes[i], i % 2 == 1);
    check_a_chain(be, c, w);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_norm(be, c, w, info.numerics.act, shapes[i][0], shapes[i][1]);
    check_gather(be, c, w, 3);
    check_gather(be, c, w, 1003);
    check_gather(be, c, w, 70001);
    wf_comm_destroy(c);
}

typedef enum task {
    TASK_WAYS,
    TASK_LOST,
    TASK_DETERMINISTIC,
    TASK_VERSIONS,
    TASK_UNREACHABLE
} task;

typedef struct plan {
    bool share;
    task task;
    const way *ways;
    int n_ways;
} plan;

static void run_rank(wf_comm *control, void *arg)
{
    const plan *p = arg;
    int device = p->share ? 0 : control->rank;
    wf_backend_config config = {.device = device, .numerics = wf_numerics_of(WF_BF16)};
    wf_backend *be;
    if (p->share) setenv("WEFT_TEST_DEVICE", "0", 1);
    if (p->task != TASK_WAYS) {
        if (p->task == TASK_LOST) check_lost(control, p->ways, device);
        if (p->task == TASK_DETERMINISTIC) check_deterministic(control, "llama-gqa");
        if (p->task == TASK_VERSIONS) check_versions(control, device);
        if (p->task == TASK_UNREACHABLE) check_unreachable(control, device);
        fflush(NULL);
        _exit(0); // as a process does that has lost a peer: without destroying anything
    }
    must(wf_backend_create("cuda", &config, &be), "back end");
    for (int i = 0; i < p->n_ways; i++)
        check_one_way(be, control, &p->ways[i]);
    wf_backend_destroy(be);
    for (int i = 0; i < p->n_ways; i++)
        check_tokens(control, &p->ways[i], "llama-gqa");
    check_captured(control, &p->ways[0], "llama-gqa");
    check_captured(control, &p->ways[p->n_ways - 1], "llama-gqa");
    if (control->size == 2) check_tokens(control, &p->ways[p->n_ways - 1], "gptj-mini");
}

static int run_ways(int size, bool share, const way *ways, int n)
{
    plan p = {.share = share, .ways = ways, .n_ways = n};
    int n_failed = forked_run(size, run_rank, &p);
    for (int i = 0; i < n && i < 2 && size == 2 && ways != socket_ways;
         i++) { // one-shot, two-shot; NCCL, auto
        plan lost = {.share = share, .task = TASK_LOST, .ways = &ways[i], .n_ways = 1};
        n_failed += forked_run(size, run_rank, &lost);
    }
    for (task t = TASK_DETERMINISTIC; t <= TASK_UNREACHABLE; t++) {
        plan once = {.share = share, .task = t};
        bool wanted = t == TASK_DETERMINISTIC ? ways == own_ways
                      : t == TASK_VERSIONS    ? ways == own_ways && size == 2
                                              : ways == nccl_ways && size == 2;
        if (wanted) n_failed += forked_run(size, run_rank, &once);
    }
    printf("%d ranks%s, %s ... %s: %s\n", size, share ? " on one device" : "", ways[0].name,
           ways[n - 1].name, n_failed == 0 ? "ok" : "FAILED");
    fflush(stdout);
    return n_failed;
}

int main(int argc, char **argv)
{
    int most = argc > 1 ? atoi(argv[1]) : FORKED_MOST_RANKS, n = forked_count_devices();
    int n_failed = 0, least = argc > 3 ? atoi(argv[3]) : 2;
    bool share = argc > 2 && strcmp(argv[2], "share") == 0;
    bool sockets = argc > 2 && strcmp(argv[2], "sockets") == 0;
    if (n < 1 || (n < 2 && !share)) {
        printf("skipped: %d GPU%s on this machine, groups need two\n", n, n == 1 ? "" : "s");
        return 77;
    }
    if (sockets) {
        setenv("NCCL_P2P_DISABLE", "1", 1);
        setenv("NCCL_SHM_DISABLE", "1", 1);
    }
    if (argc > 2 && strcmp(argv[2], "strangers") == 0)
        for (task t = TASK_VERSIONS; t <= TASK_UNREACHABLE; t++) {
            plan once = {.task = t};
            n_failed += forked_run(2, run_rank, &once);
            least = n + 1;
        }
    for (int size = least; (share || size <= n) && size <= most; size *= 2) {
        if (sockets) {
            n_failed += run_ways(size, share, socket_ways, 2);
            continue;
        }
        n_failed += run_ways(size, share, own_ways, sizeof own_ways / sizeof *own_ways);
        if (!share)
            n_failed += run_ways(size, share, nccl_ways, sizeof nccl_ways / sizeof *nccl_ways);
    }
    return n_failed != 0;
}
