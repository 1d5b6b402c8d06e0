// Groups of GPUs: sums and gathers over NCCL, and a model's tokens over 2, 4 and 8 ranks.
//
//   test_gpu_comm [most ranks]
//
// One process per rank, forked before anything touches a device; control goes through shared
// memory. Skips where fewer than two devices are visible.
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/comm/comm_nccl.h"
#include "kernels/convert.h"
#include "tests/engine/rig.h"

enum { MESSAGE_BYTES = 1 << 20, MOST_RANKS = 8 };

// What the ranks of a group share.
typedef struct meeting {
    pthread_barrier_t barrier;
    size_t bytes;
    int64_t values[MOST_RANKS];
    char message[MESSAGE_BYTES];
} meeting;

typedef struct forked_comm {
    wf_comm base;
    meeting *m;
} forked_comm;

static meeting *meeting_of(wf_comm *c)
{
    return ((forked_comm *)c)->m;
}

static wf_status meet(wf_comm *c)
{
    pthread_barrier_wait(&meeting_of(c)->barrier);
    return WF_OK;
}

static wf_status send_to_all(wf_comm *c, void *data, size_t bytes, int root)
{
    meeting *m = meeting_of(c);
    if (bytes > MESSAGE_BYTES) return wf_fail(WF_INTERNAL, "message of %zu bytes", bytes);
    if (c->rank == root) memcpy(m->message, data, m->bytes = bytes);
    meet(c);
    if (c->rank != root) memcpy(data, m->message, bytes);
    return meet(c);
}

static wf_status publish(wf_comm *c, const void *data, size_t bytes)
{
    return send_to_all(c, (void *)(uintptr_t)data, bytes, 0);
}

static wf_status receive(wf_comm *c, void *data, size_t capacity, size_t *out_bytes)
{
    meeting *m = meeting_of(c);
    meet(c);
    if (m->bytes > capacity) return wf_fail(WF_INTERNAL, "message of %zu bytes", m->bytes);
    memcpy(data, m->message, *out_bytes = m->bytes);
    return meet(c);
}

static wf_status greatest(wf_comm *c, int64_t value, int64_t *out)
{
    meeting *m = meeting_of(c);
    m->values[c->rank] = value;
    meet(c);
    *out = m->values[0];
    for (int r = 1; r < c->size; r++)
        if (m->values[r] > *out) *out = m->values[r];
    return meet(c);
}

static const wf_comm_ops forked_ops = {.name = "forked",
                                       .broadcast = send_to_all,
                                       .barrier = meet,
                                       .max_i64 = greatest,
                                       .publish = publish,
                                       .receive = receive};

static void must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, wf_status_name(st), wf_error());
    _exit(1);
}

static void expect(bool good, const char *what, int64_t at)
{
    if (good) return;
    fprintf(stderr, "%s: element %lld is wrong\n", what, (long long)at);
    _exit(1);
}

static void wait_for(wf_backend *be)
{
    wf_event *e;
    must(be->ops->event_create(be, &e), "event");
    must(be->ops->event_record(be, e, NULL), "event");
    must(be->ops->event_sync(be, e), "event");
    be->ops->event_destroy(be, e);
}

// Element i of rank r; sums over ranks are exact in every dtype.
static float element(int r, int64_t i)
{
    return (float)((i * 7 + r * 3) % 16);
}

static void check_sum(wf_backend *be, wf_comm *c, wf_dtype dtype, int64_t n, bool captured)
{
    size_t bytes = (size_t)n * wf_dtype_bytes(dtype);
    char *host = malloc(bytes);
    void *dev;
    must(be->ops->alloc(be, bytes, &dev), "alloc");
    for (int64_t i = 0; i < n; i++)
        wf_store_f32(host, dtype, i, element(c->rank, i));
    if (captured) {
        wf_graph *g;
        must(c->ops->all_reduce(c, NULL, dev, n, dtype), "all-reduce"); // of zeros, connects
        must(be->ops->capture_begin(be, NULL), "capture");
        must(c->ops->all_reduce(c, NULL, dev, n, dtype), "all-reduce");
        must(be->ops->capture_end(be, NULL, &g), "capture");
        must(be->ops->upload(be, NULL, dev, host, bytes), "upload");
        must(be->ops->graph_launch(be, NULL, g), "launch");
        wait_for(be);
        be->ops->graph_destroy(be, g);
    } else {
        must(be->ops->upload(be, NULL, dev, host, bytes), "upload");
        must(c->ops->all_reduce(c, NULL, dev, n, dtype), "all-reduce");
    }
    must(be->ops->download(be, NULL, host, dev, bytes), "download");
    wait_for(be);
    for (int64_t i = 0; i < n; i++) {
        float sum = 0.0f;
        for (int r = 0; r < c->size; r++)
            sum += element(r, i);
        expect(wf_load_f32(host, dtype, i) == sum, "all-reduce", i);
    }
    be->ops->free(be, dev);
    free(host);
}

static void check_gather(wf_backend *be, wf_comm *c)
{
    enum { N = 1003 };
    float mine[N], all[MOST_RANKS * N];
    void *send, *recv;
    for (int i = 0; i < N; i++)
        mine[i] = element(c->rank, i) + (float)(100 * c->rank);
    must(be->ops->alloc(be, sizeof mine, &send), "alloc");
    must(be->ops->alloc(be, sizeof mine * (size_t)c->size, &recv), "alloc");
    must(be->ops->upload(be, NULL, send, mine, sizeof mine), "upload");
    must(c->ops->all_gather(c, NULL, send, sizeof mine, recv), "all-gather");
    must(be->ops->download(be, NULL, all, recv, sizeof mine * (size_t)c->size), "download");
    wait_for(be);
    for (int r = 0; r < c->size; r++)
        for (int i = 0; i < N; i++)
            expect(all[r * N + i] == element(r, i) + (float)(100 * r), "all-gather", i);
    be->ops->free(be, send);
    be->ops->free(be, recv);
}

// Greedy tokens of a golden model, the group's against transformers'.
static void check_tokens(wf_comm *control, const char *name)
{
    golden g;
    rig r;
    rig_request requests[16];
    rig_output outputs[16];
    wf_engine_config config = rig_config();
    wf_comm_nccl_config nccl = {0};
    golden_load(name, &g);
    rig_create("cuda", name, control, &r);
    must(wf_comm_nccl_create(control, r.be, &nccl, &r.comm), "NCCL");
    config.steps_ahead = 1;
    for (int32_t i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .at_step = 2 * i};
    rig_run(&r, &config, requests, g.n_cases, outputs, NULL);
    for (int32_t i = 0; control->rank == 0 && i < g.n_cases; i++)
        for (int32_t k = 0; k < g.cases[i].n_greedy; k++)
            expect(outputs[i].token[k] == g.cases[i].greedy[k], name, k);
    wf_comm_destroy(r.comm);
    r.comm = control;
    rig_destroy(&r);
    golden_free(&g);
}

static void run_rank(int rank, int size, meeting *m)
{
    forked_comm control = {.base = {.ops = &forked_ops, .rank = rank, .size = size}, .m = m};
    wf_backend_config config = {.device = rank, .model_dtype = WF_BF16};
    wf_comm_nccl_config nccl = {0};
    wf_backend *be;
    wf_comm *c;
    must(wf_backend_create("cuda", &config, &be), "back end");
    must(wf_comm_nccl_create(&control.base, be, &nccl, &c), "NCCL");
    static const int64_t sizes[] = {1, 1000, 65537, 4 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int d = 0; d < WF_N_DTYPES; d++)
            check_sum(be, c, (wf_dtype)d, sizes[i], i % 2 == 1);
    check_gather(be, c);
    wf_comm_destroy(c);
    wf_backend_destroy(be);
    check_tokens(&control.base, "llama-gqa");
    if (size == 2) check_tokens(&control.base, "gptj-mini");
    _exit(0);
}

static int run_group(int size)
{
    meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t attr;
    int n_failed = 0;
    if (m == MAP_FAILED) return 1;
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&m->barrier, &attr, (unsigned)size);
    for (int r = 0; r < size; r++)
        if (fork() == 0) run_rank(r, size, m);
    for (int r = 0; r < size; r++) {
        int status = 0;
        wait(&status);
        n_failed += status != 0;
    }
    printf("%d ranks: %s\n", size, n_failed == 0 ? "ok" : "FAILED");
    fflush(stdout);
    munmap(m, sizeof *m);
    return n_failed;
}

// Devices of this machine, without opening one: this process forks.
static int count_devices(void)
{
    int n = 0;
    DIR *dir = opendir("/dev");
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strncmp(d->d_name, "nvidia", 6) == 0 && d->d_name[6] >= '0' && d->d_name[6] <= '9') n++;
    if (dir) closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int most = argc > 1 ? atoi(argv[1]) : MOST_RANKS, n = count_devices(), n_failed = 0;
    if (n < 2) {
        printf("skipped: %d GPU%s on this machine, groups need two\n", n, n == 1 ? "" : "s");
        return 77;
    }
    for (int size = 2; size <= n && size <= most && n_failed == 0; size *= 2)
        n_failed += run_group(size);
    return n_failed != 0;
}
