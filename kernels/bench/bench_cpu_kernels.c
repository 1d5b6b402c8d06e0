// Measures the CPU back end against what the machine can do, in one run.
//
//   bench_cpu_kernels [threads [isa [runs]]]
//
// Prints CSV: what is measured, its shape, median and best of the runs, and the ratio to a limit
// that was measured in the same rounds: each round times the limit and the kernel one after the
// other, and the ratio is the median of the rounds' ratios, so that a neighbour's load on a shared
// machine falls on both.
//
//   decode    one row through every matrix of a 168M-parameter model (weights far beyond the
//             caches), bytes of weights per second against plain reading of memory
//   prefill   512 rows through the same matrices, flops per second against OpenBLAS sgemm on f32
//   attention prompt flops per second, decode bytes of KV per second
//   sample    microseconds per row of 32,000 logits
//   operations with no limit named here have an empty ratio.
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEFT_HAVE_OPENBLAS
#include <cblas.h>
#endif

#include "io/base/clock.h"
#include "kernels/backend.h"
#include "kernels/sampling.h"

#define MAX_RUNS   101
#define READ_BYTES ((size_t)512 << 20)

typedef struct bench {
    wf_backend *be;
    const char *device;
    int n_threads, n_runs;
    char *memory; // READ_BYTES, for reading
} bench;

static void need(wf_status st)
{
    if (st == WF_OK) return;
    fprintf(stderr, "%s\n", wf_error());
    exit(1);
}

static void *get(const bench *b, size_t bytes)
{
    void *data;
    need(b->be->ops->alloc(b->be, bytes, &data));
    return data;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n % 2 == 1 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

// One thing to time: returns its amount of work (bytes, flops, rows) per call.
typedef double (*work_fn)(const bench *b, void *arg);

static double seconds_of(const bench *b, work_fn work, void *arg, double *out_amount)
{
    int64_t begin = wf_clock_ns();
    *out_amount = work(b, arg);
    return (double)(wf_clock_ns() - begin) * 1e-9;
}

// Rates are amount / scale per second.
static void measure(const bench *b, const char *what, const char *shape, const char *unit,
                    double scale, work_fn work, void *arg, const char *limit_name, work_fn limit,
                    void *limit_arg)
{
    double rate[MAX_RUNS], limit_rate[MAX_RUNS], ratio[MAX_RUNS], amount;
    (void)seconds_of(b, work, arg, &amount);
    if (limit != NULL) (void)seconds_of(b, limit, limit_arg, &amount);
    for (int i = 0; i < b->n_runs; i++) {
        double s = seconds_of(b, work, arg, &amount);
        rate[i] = amount / s / scale;
        if (limit == NULL) continue;
        s = seconds_of(b, limit, limit_arg, &amount);
        limit_rate[i] = amount / s / scale;
        ratio[i] = rate[i] / limit_rate[i];
    }
    double middle = median(rate, b->n_runs), best = rate[b->n_runs - 1];
    printf("%s,%s,\"%s\",%s,%.2f,%.2f,%d,", what, shape, b->device, unit, middle, best, b->n_runs);
    if (limit != NULL)
        printf("%.3f,%s,%.2f\n", median(ratio, b->n_runs), limit_name,
               median(limit_rate, b->n_runs));
    else
        printf(",,\n");
    fflush(stdout);
}

// --- the machine -------------------------------------------------------------------------------

static double read_memory(const bench *b, void *arg)
{
    (void)arg;
    uint64_t total = 0;
#pragma omp parallel for num_threads(b->n_threads) schedule(static) reduction(+ : total)
    for (size_t block = 0; block < READ_BYTES / 4096; block++) {
        const uint64_t *p = (const uint64_t *)(const void *)(b->memory + block * 4096);
        uint64_t sum[8] = {0};
        for (size_t i = 0; i < 4096 / 8; i += 8)
            for (size_t j = 0; j < 8; j++)
                sum[j] += p[i + j];
        for (size_t j = 0; j < 8; j++)
            total += sum[j];
    }
    if (total == 42) puts(""); // the sum is used
    return (double)READ_BYTES;
}

// --- GEMM --------------------------------------------------------------------------------------

// Llama-like: 12 layers of width 1024, 16 heads over 4 KV heads, MLP 2816, vocabulary 32000.
#define N_LAYERS 12
static const int64_t layer_shapes[][2] = {{1536, 1024}, {1024, 1024}, {5632, 1024}, {1024, 2816}};
#define N_SHAPES 4
#define N_VOCAB  32000
#define WIDEST   32000
#define DEEPEST  2816

typedef struct gemm_arg {
    wf_weight *w[N_LAYERS * N_SHAPES + 1];
    float *plain[N_SHAPES]; // one f32 copy of each shape, row-major, for OpenBLAS
    int n;
    int64_t m;
    float *x, *y;
    wf_dtype dtype;
} gemm_arg;

static double run_gemm(const bench *b, void *arg)
{
    gemm_arg *g = arg;
    double flops = 0.0;
    for (int i = 0; i < g->n; i++) {
        const wf_weight *w = g->w[i];
        wf_gemm_args a = {.x = wf_matrix_of(g->x, WF_F32, g->m, w->n_cols),
                          .w = w,
                          .y = wf_matrix_of(g->y, WF_F32, g->m, w->n_rows)};
        need(b->be->ops->gemm(b->be, NULL, &a));
        flops += 2.0 * (double)g->m * (double)(w->n_rows * w->n_cols);
    }
    return flops;
}

static double run_decode(const bench *b, void *arg)
{
    gemm_arg *g = arg;
    double bytes = 0.0;
    run_gemm(b, g);
    for (int i = 0; i < g->n; i++)
        bytes += (double)wf_weight_bytes(g->w[i]);
    return bytes;
}

#ifdef WEFT_HAVE_OPENBLAS
static double run_openblas(const bench *b, void *arg)
{
    (void)b;
    gemm_arg *g = arg;
    double flops = 0.0;
    for (int i = 0; i < g->n; i++) {
        int n = (int)g->w[i]->n_rows, k = (int)g->w[i]->n_cols, m = (int)g->m;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, g->x, k,
                    g->plain[i % N_SHAPES], k, 0.0f, g->y, n);
        flops += 2.0 * m * n * k;
    }
    return flops;
}
#define OPENBLAS run_openblas
#else
#define OPENBLAS NULL
#endif

static void make_weights(const bench *b, gemm_arg *g, wf_dtype dtype)
{
    g->dtype = dtype;
    for (int i = 0; i <= N_LAYERS * N_SHAPES; i++) {
        bool head = i == N_LAYERS * N_SHAPES;
        int64_t n = head ? N_VOCAB : layer_shapes[i % N_SHAPES][0];
        int64_t k = head ? 1024 : layer_shapes[i % N_SHAPES][1];
        int32_t block = wf_format_of(dtype)->block;
        const wf_weight_shape shape = {.dtype = dtype,
                                       .n_groups = 1,
                                       .n_rows = n,
                                       .n_cols = k,
                                       .block = block > 0 ? block : 0};
        need(b->be->ops->weight_create(b->be, &shape, &g->w[i]));
        need(b->be->ops->weight_random(b->be, g->w[i], (uint64_t)i, 0.02f));
    }
}

static void free_weights(const bench *b, gemm_arg *g)
{
    for (int i = 0; i <= N_LAYERS * N_SHAPES; i++)
        b->be->ops->weight_destroy(b->be, g->w[i]);
}

static void bench_gemm(const bench *b)
{
    static const wf_dtype dtypes[] = {WF_BF16, WF_F16, WF_F32, WF_INT8, WF_FP8, WF_INT4, WF_MXFP4};
    gemm_arg g = {.x = get(b, (size_t)512 * DEEPEST * 4), .y = get(b, (size_t)512 * WIDEST * 4)};
    char shape[96];
    for (int i = 0; i < 512 * DEEPEST; i++)
        g.x[i] = (float)(i % 17 - 8) / 8.0f;
    for (int s = 0; s < N_SHAPES; s++) {
        size_t n = (size_t)(layer_shapes[s][0] * layer_shapes[s][1]);
        g.plain[s] = get(b, n * sizeof(float));
        for (size_t i = 0; i < n; i++)
            g.plain[s][i] = (float)(i % 13) / 13.0f - 0.5f;
    }
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        make_weights(b, &g, dtypes[d]);
        const char *name = wf_dtype_name(dtypes[d]);
        static const int64_t rows[] = {1, 2, 4, 8, 12, 16, 32, 64};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            bool all = dtypes[d] == WF_BF16 || dtypes[d] == WF_INT8;
            if (!all && rows[i] != 1 && rows[i] != 8) continue;
            g.m = rows[i];
            g.n = N_LAYERS * N_SHAPES + 1;
            snprintf(shape, sizeof shape, "168M parameters %s M=%d", name, (int)g.m);
            measure(b, "decode", shape, "GB/s", 1e9, run_decode, &g, "memory read", read_memory,
                    NULL);
        }
        g.m = 512;
        g.n = N_SHAPES; // one layer
        snprintf(shape, sizeof shape, "one layer of 1024 %s M=512", name);
        measure(b, "prefill", shape, "GFLOP/s", 1e9, run_gemm, &g, "OpenBLAS sgemm", OPENBLAS, &g);
        free_weights(b, &g);
    }
    for (int s = 0; s < N_SHAPES; s++)
        b->be->ops->free(b->be, g.plain[s]);
    b->be->ops->free(b->be, g.x);
    b->be->ops->free(b->be, g.y);
}

// --- attention ---------------------------------------------------------------------------------

typedef struct attention_arg {
    wf_batch batch;
    wf_attention_args a;
    double amount;
} attention_arg;

static double run_attention(const bench *b, void *arg)
{
    attention_arg *t = arg;
    need(b->be->ops->attention(b->be, NULL, &t->a));
    return t->amount;
}

// n_seqs sequences with n_new new tokens after `past`.
enum { PAGE = 64 };

// n_seqs sequences of one shape, packed: n_new tokens each after `past`, pages in order.
static wf_batch packed(const bench *b, int n_seqs, int past, int n_new)
{
    int n_pages = (past + n_new + PAGE - 1) / PAGE, n_tokens = n_seqs * n_new;
    size_t ints = sizeof(int32_t), seqs = (size_t)n_seqs * ints, tokens = (size_t)n_tokens * ints;
    int32_t *cu = get(b, seqs + ints), *row = get(b, seqs), *seq_past = get(b, seqs);
    int32_t *token_seq = get(b, tokens), *token_pos = get(b, tokens);
    int32_t *pages = get(b, seqs * (size_t)n_pages);
    for (int s = 0; s < n_seqs; s++) {
        cu[s + 1] = (s + 1) * n_new;
        row[s] = s;
        seq_past[s] = past;
    }
    for (int i = 0; i < n_tokens; i++) {
        token_seq[i] = i / n_new;
        token_pos[i] = past + i % n_new;
    }
    for (int i = 0; i < n_seqs * n_pages; i++)
        pages[i] = i;
    return (wf_batch){.n_tokens = n_tokens,
                      .n_seqs = n_seqs,
                      .n_decode = n_new == 1 ? n_seqs : 0,
                      .max_new = n_new,
                      .max_context = past + n_new,
                      .cu_seqlens = cu,
                      .seq_row = row,
                      .seq_past = seq_past,
                      .token_seq = token_seq,
                      .token_pos = token_pos,
                      .page_table = pages,
                      .page_stride = n_pages};
}

// A pool of as many pages as the batch names, of small numbers.
static wf_kv filled_kv(const bench *b, const wf_batch *batch, int n_kv_heads, int head_dim)
{
    int64_t head_stride = (int64_t)PAGE * head_dim, kv_stride = head_stride * n_kv_heads;
    size_t bytes = (size_t)(batch->n_seqs * batch->page_stride * 2 * kv_stride) * 2;
    wf_kv kv = {get(b, bytes), WF_BF16,       PAGE,      n_kv_heads,
                head_dim,      2 * kv_stride, kv_stride, head_stride};
    for (size_t i = 0; i < bytes / 2; i++)
        ((uint16_t *)kv.base)[i] = (uint16_t)(0x3e00u + i * 31u % 256u);
    return kv;
}

// Gives back what packed, filled_kv and bench_attention_of have taken.
static void give_back(const bench *b, attention_arg *t)
{
    const void *all[] = {t->batch.cu_seqlens, t->batch.seq_row,   t->batch.seq_past,
                         t->batch.token_seq,  t->batch.token_pos, t->batch.page_table,
                         t->a.kv.base,        t->a.qkv.data,      t->a.out.data};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        b->be->ops->free(b->be, (void *)(uintptr_t)all[i]);
}

static void bench_attention_of(const bench *b, int n_seqs, int past, int n_new, int n_heads,
                               int n_kv_heads, int head_dim)
{
    char shape[96];
    attention_arg t = {.batch = packed(b, n_seqs, past, n_new)};
    int64_t n_cols = (int64_t)(n_heads + 2 * n_kv_heads) * head_dim, n = t.batch.n_tokens;
    float *qkv = get(b, (size_t)(n * n_cols) * 4), *out = get(b, (size_t)(n * n_cols) * 4);
    for (int64_t i = 0; i < n * n_cols; i++)
        qkv[i] = (float)(i % 29 - 14) / 14.0f;
    t.a = (wf_attention_args){.batch = &t.batch,
                              .qkv = wf_matrix_of(qkv, WF_F32, n, n_cols),
                              .n_heads = n_heads,
                              .scale = 0.1f,
                              .kv = filled_kv(b, &t.batch, n_kv_heads, head_dim),
                              .out = wf_matrix_of(out, WF_F32, n, (int64_t)n_heads * head_dim)};
    snprintf(shape, sizeof shape, "%d x (%d + %d) tokens %d/%d heads of %d bf16", n_seqs, past,
             n_new, n_heads, n_kv_heads, head_dim);
    if (n_new == 1) {
        t.amount = 4.0 * n_seqs * (past + 1) * (double)n_kv_heads * head_dim;
        measure(b, "decode attention", shape, "GB/s", 1e9, run_attention, &t, "memory read",
                read_memory, NULL);
    } else {
        double pairs = n_seqs * (double)n_new * (past + 0.5 * (n_new + 1));
        t.amount = 4.0 * pairs * n_heads * head_dim;
        measure(b, "prompt attention", shape, "GFLOP/s", 1e9, run_attention, &t, "", NULL, NULL);
    }
    give_back(b, &t);
}

// --- sampler -----------------------------------------------------------------------------------

typedef struct sample_arg {
    wf_sample_args a;
    float *fresh;
    size_t bytes;
} sample_arg;

static double run_sample(const bench *b, void *arg)
{
    sample_arg *t = arg;
    need(b->be->ops->sample(b->be, NULL, &t->a));
    return (double)t->a.logits.n_rows;
}

static void bench_sample(const bench *b)
{
    enum { N = 32 };
    static const struct {
        const char *name;
        wf_row_sampling sampling;
    } kinds[] = {
        {"greedy", {.top_p = 1, .repetition_penalty = 1}},
        {"temperature 1", {.temperature = 1, .top_p = 1, .repetition_penalty = 1}},
        {"top_k 50", {.temperature = 1, .top_p = 1, .top_k = 50, .repetition_penalty = 1}},
        {"top_p 0.9", {.temperature = 0.8f, .top_p = 0.9f, .repetition_penalty = 1}},
        {"min_p 0.05", {.temperature = 1, .top_p = 1, .min_p = 0.05f, .repetition_penalty = 1}},
    };
    float *logits = get(b, (size_t)N * N_VOCAB * sizeof *logits);
    int32_t *ints = get(b, 4 * N * sizeof *ints);
    wf_row_sampling *sampling = get(b, N * sizeof *sampling);
    for (int i = 0; i < N * N_VOCAB; i++) {
        uint32_t key[2] = {1, 2}, counter[4] = {(uint32_t)i, 0, 0, 0}, bits[4];
        wf_philox(key, counter, bits);
        float u = 2.0f * wf_rng_float(bits[0]) - 1.0f;
        logits[i] = 12.0f * u * u * u;
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int i = 0; i < N; i++) {
            sampling[i] = kinds[k].sampling;
            sampling[i].rng_key = (uint64_t)i;
            ints[i] = i;
        }
        sample_arg t = {.a = {.logits = wf_matrix_of(logits, WF_F32, N, N_VOCAB),
                              .n_vocab = N_VOCAB,
                              .row = ints,
                              .pos = ints + N,
                              .sampling = sampling,
                              .last_token = ints + 2 * N,
                              .token = ints + 3 * N}};
        char shape[64];
        snprintf(shape, sizeof shape, "32 rows of 32000 %s", kinds[k].name);
        measure(b, "sample", shape, "rows/ms", 1e3, run_sample, &t, "", NULL, NULL);
    }
    b->be->ops->free(b->be, logits);
    b->be->ops->free(b->be, ints);
    b->be->ops->free(b->be, sampling);
}

int main(int argc, char **argv)
{
    int n_threads = argc > 1 ? atoi(argv[1]) : 0, n_runs = argc > 3 ? atoi(argv[3]) : 11;
    const char *isa = argc > 2 && strcmp(argv[2], "best") != 0 ? argv[2] : NULL;
    wf_backend_config config = {.n_threads = n_threads, .isa = isa};
    wf_backend_info info;
    bench b = {.n_threads = n_threads > 0 ? n_threads : omp_get_max_threads(),
               .n_runs = n_runs < 1          ? 1
                         : n_runs > MAX_RUNS ? MAX_RUNS
                                             : n_runs};
    need(wf_backend_create("cpu", &config, &b.be));
    need(b.be->ops->info(b.be, &info));
    b.device = info.device;
    b.memory = get(&b, READ_BYTES);
    memset(b.memory, 1, READ_BYTES);
#ifdef WEFT_HAVE_OPENBLAS
    openblas_set_num_threads(b.n_threads);
#endif
    puts("what,shape,cpu,unit,median,best,runs,ratio,of,limit_median");
    measure(&b, "memory read", "512 MiB", "GB/s", 1e9, read_memory, NULL, "", NULL, NULL);
    bench_gemm(&b);
    bench_attention_of(&b, 1, 0, 1024, 8, 8, 32);
    bench_attention_of(&b, 1, 0, 4096, 8, 8, 32);
    bench_attention_of(&b, 1, 3584, 512, 8, 8, 32);
    bench_attention_of(&b, 1, 0, 2048, 16, 4, 64);
    bench_attention_of(&b, 1, 0, 2048, 8, 2, 128);
    bench_attention_of(&b, 32, 2047, 1, 16, 4, 64);
    bench_attention_of(&b, 32, 2047, 1, 8, 2, 128);
    bench_attention_of(&b, 16, 2047, 1, 8, 8, 32);
    bench_sample(&b);
    b.be->ops->free(b.be, b.memory);
    wf_backend_destroy(b.be);
    return 0;
}
