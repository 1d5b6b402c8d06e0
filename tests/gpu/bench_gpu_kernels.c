// Micro benchmarks of a back end's operations, as CSV on standard output.
//
//   bench_gpu_kernels [gemm|gemm8|act8|experts|decode|prefill|attention8|rows|sample|all [KERNEL]]
//   bench_gpu_kernels asked    cases of attention, one a line of standard input (`bench_asked`)
//
// KERNEL: an own kernel of products (wf_backend_config.isa), taken wherever it fits.
//
// Every figure is the median of several replays of a captured run of the operation over buffers
// that rotate past the L2. Limits are measured in the same run: copy bandwidth (kv_copy of 2 GiB,
// bytes read plus written) and the rate of an 8192-cube GEMM. Nothing here passes or fails.
#include "tests/gpu/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COPIES 64

wf_backend *be;
const wf_backend_ops *ops;
wf_stream *stream;
double copy_rate, flop_rate;

// ---- gemm ---------------------------------------------------------------------------------------

typedef struct gemm_run {
    wf_weight *w[MAX_COPIES];
    int n_copies;
    wf_matrix x, y;
} gemm_run;

static void run_gemm(void *data, int i)
{
    gemm_run *g = data;
    must(ops->gemm(be, stream, &(wf_gemm_args){.x = g->x, .w = g->w[i % g->n_copies], .y = g->y}));
}

static timing time_gemm(int64_t m, int64_t n, int64_t k, wf_dtype in, wf_dtype out, int n_copies,
                        int n_calls)
{
    gemm_run g = {.n_copies = n_copies, .x = random_matrix(m, k)};
    g.y = wf_matrix_of(device_bytes((size_t)(m * n) * wf_dtype_bytes(out)), out, m, n);
    for (int i = 0; i < n_copies; i++)
        g.w[i] = random_weights(in, 1, n, k);
    timing t = time_calls(run_gemm, &g, n_calls);
    for (int i = 0; i < n_copies; i++)
        ops->weight_destroy(be, g.w[i]);
    ops->free(be, g.x.data);
    ops->free(be, g.y.data);
    return t;
}

typedef struct gemm_shape {
    const char *name;
    int64_t n, k;
    wf_dtype out;
} gemm_shape;

static const gemm_shape gemm_shapes[] = {{"qkv 6144x4096", 6144, 4096, WF_BF16},
                                         {"o 4096x4096", 4096, 4096, WF_BF16},
                                         {"gate_up 28672x4096", 28672, 4096, WF_BF16},
                                         {"down 4096x14336", 4096, 14336, WF_BF16},
                                         {"head 128256x4096", 128256, 4096, WF_F32}};
#define N_GEMM_SHAPES (sizeof gemm_shapes / sizeof *gemm_shapes)

static void gemm_case(const gemm_shape *s, int64_t rows, wf_dtype in)
{
    char name[64];
    double bytes = (double)(s->n * s->k) * (double)wf_dtype_bytes(in);
    int n_copies = (int)(4e8 / bytes) + 1;
    timing t = time_gemm(rows, s->n, s->k, in, s->out, n_copies, n_copies < 4 ? 8 : 4 * n_copies);
    snprintf(name, sizeof name, "%s %s", s->name, wf_dtype_name(in));
    if (rows <= 512)
        report("gemm", name, rows, t, bytes, "TB/s", copy_rate);
    else
        report("gemm", name, rows, t, 2.0 * (double)(s->n * s->k * rows), "TFLOP/s", flop_rate);
}

static void bench_gemm(void)
{
    static const int64_t rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 2048};
    for (size_t s = 0; s < N_GEMM_SHAPES; s++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
            gemm_case(&gemm_shapes[s], rows[r], WF_BF16);
}

// Weights of 8 bits beside bf16, in turns.
static void bench_gemm8(void)
{
    static const int64_t rows[] = {1, 8, 16, 32, 64, 128, 256, 2048};
    for (size_t s = 0; s + 1 < N_GEMM_SHAPES; s++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            gemm_case(&gemm_shapes[s], rows[r], WF_BF16);
            gemm_case(&gemm_shapes[s], rows[r], WF_FP8);
            if (r % 2 == 0) gemm_case(&gemm_shapes[s], rows[r], WF_INT8);
        }
}

// ---- experts ------------------------------------------------------------------------------------

typedef struct experts_shape {
    const char *name;
    int32_t n_experts, n_choices;
    int64_t hidden, ffn;
    bool bias;
    wf_gate gate;
} experts_shape;

typedef struct experts_run {
    const experts_shape *shape;
    int n_copies;
    wf_weight *up[MAX_COPIES], *down[MAX_COPIES];
    float *bias;
    wf_matrix logits, x, act, out, y;
    int32_t *expert, *begin, *pair, *row;
    float *weight;
} experts_run;

static void run_route(void *data, int i)
{
    const experts_run *r = data;
    (void)i;
    must(ops->route(be, stream,
                    &(wf_route_args){.logits = r->logits,
                                     .n_choices = r->shape->n_choices,
                                     .renormalise = true,
                                     .scale = 1.0f,
                                     .expert = r->expert,
                                     .weight = r->weight}));
    must(ops->pack_pairs(be, stream,
                         &(wf_pack_pairs_args){.expert = r->expert,
                                               .n_pairs = (int32_t)r->act.n_rows,
                                               .n_experts = r->shape->n_experts,
                                               .begin = r->begin,
                                               .pair = r->pair,
                                               .row = r->row}));
}

static void run_up(void *data, int i)
{
    const experts_run *r = data;
    must(ops->experts_gemm(be, stream,
                           &(wf_experts_gemm_args){.x = r->x,
                                                   .begin = r->begin,
                                                   .pair = r->pair,
                                                   .n_choices = r->shape->n_choices,
                                                   .w = r->up[i % r->n_copies],
                                                   .bias = r->bias,
                                                   .gate = r->shape->gate,
                                                   .y = r->act}));
}

static void run_down(void *data, int i)
{
    const experts_run *r = data;
    must(ops->experts_gemm(be, stream,
                           &(wf_experts_gemm_args){.x = r->act,
                                                   .begin = r->begin,
                                                   .n_choices = r->shape->n_choices,
                                                   .w = r->down[i % r->n_copies],
                                                   .bias = r->bias,
                                                   .y = r->out}));
}

static void run_combine(void *data, int i)
{
    const experts_run *r = data;
    (void)i;
    must(ops->combine(be, stream,
                      &(wf_combine_args){.x = r->out,
                                         .n_choices = r->shape->n_choices,
                                         .row = r->row,
                                         .weight = r->weight,
                                         .y = r->y}));
}

// How many experts the tokens chose.
static int32_t count_touched(const experts_run *r)
{
    int32_t begin[WF_MAX_EXPERTS + 1], n = 0;
    run_route((void *)(uintptr_t)r, 0);
    must(ops->download(be, stream, begin, r->begin, (size_t)(r->shape->n_experts + 1) * 4));
    drain();
    for (int32_t e = 0; e < r->shape->n_experts; e++)
        n += begin[e + 1] > begin[e];
    return n;
}

// A product of `n` numbers of one expert's matrix, held against the longer of its bytes and flops.
static void report_product(const experts_run *r, const char *op, int64_t rows, timing t, double n)
{
    double touched = count_touched(r), bytes = 2.0 * n * touched;
    double flops = 2.0 * n * (double)r->act.n_rows;
    bool by_bytes = bytes / copy_rate > flops / flop_rate;
    report(op, r->shape->name, rows, t, by_bytes ? bytes : flops, by_bytes ? "TB/s" : "TFLOP/s",
           by_bytes ? copy_rate : flop_rate);
}

static void experts_case(experts_run *r, int64_t rows)
{
    const experts_shape *s = r->shape;
    int64_t pairs = rows * s->n_choices;
    float *logits = malloc((size_t)(rows * s->n_experts) * sizeof *logits);
    for (int64_t i = 0; i < rows * s->n_experts; i++) // a permutation of a prime's residues
        logits[i] = (float)((uint64_t)(i + 1) * 2654435761u % 1000003u) * 1e-6f;
    r->logits = wf_matrix_of(device_ints((int32_t *)(void *)logits, (size_t)(rows * s->n_experts)),
                             WF_F32, rows, s->n_experts);
    r->x = random_matrix(rows, s->hidden);
    r->act = wf_matrix_of(device_bytes((size_t)(pairs * s->ffn) * 2), WF_BF16, pairs, s->ffn);
    r->out = wf_matrix_of(device_bytes((size_t)(pairs * s->hidden) * 2), WF_BF16, pairs, s->hidden);
    r->y = wf_matrix_of(device_bytes((size_t)(rows * s->hidden) * 2), WF_BF16, rows, s->hidden);
    r->expert = device_bytes((size_t)pairs * 4);
    r->pair = device_bytes((size_t)pairs * 4);
    r->row = device_bytes((size_t)pairs * 4);
    r->weight = device_bytes((size_t)pairs * 4);
    r->begin = device_bytes((size_t)(s->n_experts + 1) * 4);
    double matrix = (double)(s->hidden * s->ffn), act = (double)(pairs * s->hidden) * 2.0;
    report("route", s->name, rows, time_calls(run_route, r, 32),
           (double)(rows * s->n_experts) * 4.0, "TB/s", copy_rate);
    report_product(r, "experts up", rows, time_calls(run_up, r, 4 * r->n_copies), 2.0 * matrix);
    report_product(r, "experts down", rows, time_calls(run_down, r, 4 * r->n_copies), matrix);
    report("combine", s->name, rows, time_calls(run_combine, r, 32), act, "TB/s", copy_rate);
    void *own[] = {r->logits.data, r->x.data, r->act.data, r->out.data, r->y.data,
                   r->expert,      r->pair,   r->row,      r->weight,   r->begin};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        ops->free(be, own[i]);
    free(logits);
}

static void bench_experts(void)
{
    static const experts_shape shapes[] = {
        {"qwen3-30b-a3b", 128, 8, 2048, 768, false, WF_GATE_SILU},
        {"gpt-oss-20b", 32, 4, 2880, 2880, true, WF_GATE_CLAMPED},
        {"mixtral-8x7b", 8, 2, 4096, 14336, false, WF_GATE_SILU}};
    static const int64_t rows[] = {1, 2, 8, 32, 64, 128, 256, 512, 2048, 8192};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const experts_shape *shape = &shapes[s];
        experts_run r = {.shape = shape, .n_copies = 4};
        for (int i = 0; i < r.n_copies; i++) {
            r.up[i] = random_weights(WF_BF16, shape->n_experts, 2 * shape->ffn, shape->hidden);
            r.down[i] = random_weights(WF_BF16, shape->n_experts, shape->hidden, shape->ffn);
        }
        if (shape->bias) // zeros
            r.bias = device_bytes((size_t)(shape->n_experts * 2 * shape->ffn) * 4);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            experts_case(&r, rows[i]);
        for (int i = 0; i < r.n_copies; i++) {
            ops->weight_destroy(be, r.up[i]);
            ops->weight_destroy(be, r.down[i]);
        }
        if (r.bias) ops->free(be, r.bias);
    }
}

// ---- operations of rows -------------------------------------------------------------------------

typedef struct rows_run {
    wf_matrix x, r, y, up, ffn;
    float *weight;
    int kind;
} rows_run;

static void run_rows(void *data, int i)
{
    (void)i;
    rows_run *r = data;
    if (r->kind == 0)
        must(
            ops->rmsnorm(be, stream, &(wf_rmsnorm_args){r->x, r->r, r->weight, 1e-5f, r->y, 0.0f}));
    else
        must(ops->gate_mul(be, stream, &(wf_activation_args){.x = r->up, .y = r->ffn}));
}

static void bench_rows(void)
{
    static const int64_t counts[] = {1, 64, 256, 2048};
    for (size_t i = 0; i < 4; i++) {
        int64_t n = counts[i];
        rows_run r = {.x = random_matrix(n, 4096),
                      .r = random_matrix(n, 4096),
                      .y = random_matrix(n, 4096),
                      .up = random_matrix(n, 28672),
                      .ffn = random_matrix(n, 14336),
                      .weight = device_bytes(4096 * 4)};
        timing t = time_calls(run_rows, &r, 50);
        report("add + rmsnorm", "4096", n, t, (double)n * 4096 * 8, "TB/s", copy_rate);
        r.kind = 1;
        t = time_calls(run_rows, &r, 50);
        report("gate_mul", "14336", n, t, (double)n * 14336 * 6, "TB/s", copy_rate);
    }
}

// ---- sampler ------------------------------------------------------------------------------------

static void run_sample(void *data, int i)
{
    (void)i;
    must(ops->sample(be, stream, data));
}

static void bench_sample(void)
{
    enum { V = 128256 };
    static const struct {
        const char *name;
        wf_row_sampling p;
    } kinds[] = {{"greedy", {.top_p = 1, .repetition_penalty = 1}},
                 {"temperature", {.temperature = 1, .top_p = 1, .repetition_penalty = 1}},
                 {"top_p 0.9", {.temperature = 0.8f, .top_p = 0.9f, .repetition_penalty = 1}},
                 {"top_k 40 top_p 0.95",
                  {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .repetition_penalty = 1}}};
    static const int32_t counts[] = {1, 64, 256};
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            int32_t n = counts[c], ids[256];
            wf_row_sampling p[256];
            gemm_run g = {.n_copies = 1,
                          .x = random_matrix(n, 256)}; // logits: a GEMM's normal sums
            g.y = wf_matrix_of(device_bytes((size_t)n * V * 4), WF_F32, n, V);
            must(ops->weight_create(
                be, &(wf_weight_shape){.dtype = WF_BF16, .n_groups = 1, .n_rows = V, .n_cols = 256},
                &g.w[0]));
            must(ops->weight_random(be, g.w[0], 7, 2.0f)); // logits of deviation 1.6
            must(ops->gemm(be, stream, &(wf_gemm_args){.x = g.x, .w = g.w[0], .y = g.y}));
            for (int32_t i = 0; i < n; i++)
                ids[i] = i, p[i] = kinds[k].p, p[i].rng_key = (uint64_t)i * 77777;
            void *dev = device_bytes(sizeof p);
            must(ops->upload(be, stream, dev, p, sizeof p));
            int32_t *rows = device_ints(ids, 256), *token = device_ints(ids, 256);
            drain();
            wf_sample_args a = {.logits = g.y,
                                .n_vocab = V,
                                .row = rows,
                                .pos = rows,
                                .sampling = dev,
                                .last_token = token,
                                .token = device_ints(ids, 256)};
            timing t = time_calls(run_sample, &a, 10);
            report("sample", kinds[k].name, n, t, (double)n * V * 4, "TB/s", copy_rate);
            ops->weight_destroy(be, g.w[0]);
            ops->free(be, g.x.data);
            ops->free(be, g.y.data);
        }
}

// ---- limits -------------------------------------------------------------------------------------

static void run_copy(void *data, int i)
{
    (void)i;
    must(ops->kv_copy(be, stream, data));
}

static void measure_limits(void)
{
    enum { PAGES = 1024 };
    int32_t from[PAGES], to[PAGES];
    for (int i = 0; i < PAGES; i++)
        from[i] = i, to[i] = PAGES + i;
    wf_kv_copy_args a = {.pool = device_bytes((size_t)2 * PAGES << 21),
                         .page_bytes = 2 << 20,
                         .layer_bytes = (int64_t)2 * PAGES << 21,
                         .n_layers = 1,
                         .n_pages = PAGES,
                         .from = device_ints(from, PAGES),
                         .to = device_ints(to, PAGES)};
    timing t = time_calls(run_copy, &a, 3);
    ops->free(be, a.pool);
    copy_rate = 2.0 * PAGES * (double)a.page_bytes / t.median;
    report("limit", "copy read + write", 0, t, copy_rate * t.median, "TB/s", copy_rate);
    t = time_gemm(8192, 8192, 8192, WF_BF16, WF_BF16, 1, 3);
    flop_rate = 2.0 * 8192.0 * 8192.0 * 8192.0 / t.median;
    report("limit", "gemm 8192 cubed", 8192, t, flop_rate * t.median, "TFLOP/s", flop_rate);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"rows", bench_rows},     {"sample", bench_sample},
                 {"decode", bench_decode}, {"prefill", bench_prefill},
                 {"gemm", bench_gemm},     {"experts", bench_experts},
                 {"gemm8", bench_gemm8},   {"act8", bench_gemm8},
                 {"asked", bench_asked},   {"attention8", bench_attention8}};
    wf_backend_config config = {.numerics = wf_numerics_of(WF_BF16)};
    wf_backend_info info;
    const char *part = argc > 1 ? argv[1] : "all";
    config.isa = argc > 2 ? argv[2] : NULL;
    config.numerics.act_fp8 = strcmp(part, "act8") == 0; // gemm8 with rows rounded to fp8
    if (config.numerics.act_fp8) config.numerics.weight = WF_FP8;
    must(wf_backend_create("cuda", &config, &be));
    ops = be->ops;
    must(ops->info(be, &info));
    must(ops->stream_create(be, &stream));
    printf("# %s\n", info.device);
    printf("op,shape,rows,median_us,min_us,runs,rate,unit,of_limit\n");
    measure_limits();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(part, parts[i].name) == 0 ||
            (strcmp(part, "all") == 0 && parts[i].run != bench_asked &&
             strcmp(parts[i].name, "act8") != 0))
            parts[i].run();
    ops->stream_destroy(be, stream);
    wf_backend_destroy(be);
    return 0;
}
