// Micro benchmarks of a back end's operations, as CSV on standard output.
//
//   bench_gpu_kernels [gemm|gemm8|act8|experts|decode|prefill|rows|sample|all [KERNEL]]
//   bench_gpu_kernels asked    cases of attention, one a line of standard input (`bench_asked`)
//
// KERNEL: an own kernel of products (wf_backend_config.isa), taken wherever it fits.
//
// Every figure is the median of several replays of a captured run of the operation over buffers
// that rotate past the L2. Limits are measured in the same run: copy bandwidth (kv_copy of 2 GiB,
// bytes read plus written) and the rate of an 8192-cube GEMM. Nothing here passes or fails.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "kernels/backend.h"

#define MAX_COPIES   64
#define N_REPLAYS    9
#define REST_NS      300000000
#define WARM_SECONDS 0.01

static wf_backend *be;
static const wf_backend_ops *ops;
static wf_stream *stream;
static double copy_rate, flop_rate; // limits, per second

static void must(wf_status st)
{
    if (st == WF_OK) return;
    fprintf(stderr, "bench: %s: %s\n", wf_status_name(st), wf_error());
    exit(wf_status_exit_code(st));
}

static void *device_bytes(size_t bytes)
{
    void *p;
    must(ops->alloc(be, bytes, &p));
    return p;
}

static void *device_ints(const int32_t *values, size_t n)
{
    void *p = device_bytes(n * sizeof *values);
    must(ops->upload(be, stream, p, values, n * sizeof *values));
    return p;
}

static void drain(void)
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

typedef struct timing {
    double median, least; // seconds per call
} timing;

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
static timing time_calls(void (*run)(void *data, int i), void *data, int n_calls)
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

static void report(const char *op, const char *shape, int64_t rows, timing t, double amount,
                   const char *unit, double limit)
{
    printf("%s,%s,%lld,%.2f,%.2f,%d,%.3f,%s,%.3f\n", op, shape, (long long)rows, t.median * 1e6,
           t.least * 1e6, N_REPLAYS, amount / t.median * 1e-12, unit, amount / t.median / limit);
    fflush(stdout);
}

static wf_weight *random_weights(wf_dtype dtype, int32_t n_groups, int64_t n, int64_t k)
{
    wf_weight *w;
    const wf_weight_shape shape = {.dtype = dtype, .n_groups = n_groups, .n_rows = n, .n_cols = k};
    must(ops->weight_create(be, &shape, &w));
    must(ops->weight_random(be, w, 7, 0.05f));
    return w;
}

static wf_weight *random_weight(int64_t n, int64_t k)
{
    return random_weights(WF_BF16, 1, n, k);
}

// A matrix of random numbers: rows of a random weight.
static wf_matrix random_matrix(int64_t n_rows, int64_t n_cols)
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

// ---- attention ----------------------------------------------------------------------------------

typedef struct attention_run {
    wf_batch batch;
    wf_attention_args args;
    char *pool;
    size_t layer_bytes;
    int n_layers;
} attention_run;

static void run_attention(void *data, int i)
{
    attention_run *r = data;
    r->args.kv.base = r->pool + (size_t)(i % r->n_layers) * r->layer_bytes;
    must(ops->attention(be, stream, &r->args));
}

// Sequences of contexts[s] tokens, of which n_new are new, in a launch for contexts up to `bound`
// (0: the longest); 32 query heads, 8 KV heads, 128.
static double time_attention(const int32_t *contexts, int32_t n_seqs, int32_t n_new, bool scrambled,
                             int32_t bound, timing *out)
{
    enum { PAGE = 64, HEADS = 32, KV_HEADS = 8, DIM = 128 };
    attention_run r = {0};
    int32_t n_pages = 0, most = 0, n_tokens = n_seqs * n_new;
    double pairs = 0.0, tokens = 0.0;
    for (int32_t s = 0; s < n_seqs; s++) {
        if (contexts[s] > most) most = contexts[s];
        n_pages += (contexts[s] + PAGE - 1) / PAGE;
        tokens += contexts[s];
        pairs += (double)n_new * (contexts[s] - n_new) + (double)n_new * (n_new + 1) / 2;
    }
    int32_t stride = (most + PAGE - 1) / PAGE, at = 0;
    int32_t *table = calloc((size_t)n_seqs * (size_t)stride, sizeof *table);
    int32_t *cu = calloc((size_t)n_seqs + 1, 4), *row = calloc((size_t)n_seqs, 4);
    int32_t *past = calloc((size_t)n_seqs, 4), *seq = calloc((size_t)n_tokens, 4);
    int32_t *pos = calloc((size_t)n_tokens, 4);
    int32_t odd = 7919; // prime to n_pages: a permutation
    while (n_pages % odd == 0)
        odd += 2;
    for (int32_t s = 0; s < n_seqs; s++) {
        row[s] = s;
        past[s] = contexts[s] - n_new;
        cu[s + 1] = cu[s] + n_new;
        for (int32_t i = 0; i < n_new; i++)
            seq[cu[s] + i] = s, pos[cu[s] + i] = past[s] + i;
        for (int32_t p = 0; p * PAGE < contexts[s]; p++, at++)
            table[s * stride + p] = scrambled ? (int32_t)((int64_t)at * odd % n_pages) : at;
    }
    r.batch = (wf_batch){.n_tokens = n_tokens,
                         .n_seqs = n_seqs,
                         .n_decode = n_new == 1 ? n_seqs : 0,
                         .max_new = n_new,
                         .max_context = bound > most ? bound : most,
                         .cu_seqlens = device_ints(cu, (size_t)n_seqs + 1),
                         .seq_row = device_ints(row, (size_t)n_seqs),
                         .seq_past = device_ints(past, (size_t)n_seqs),
                         .token_seq = device_ints(seq, (size_t)n_tokens),
                         .token_pos = device_ints(pos, (size_t)n_tokens),
                         .page_table = device_ints(table, (size_t)n_seqs * (size_t)stride),
                         .page_stride = stride};
    drain();
    wf_kv kv = {.dtype = WF_BF16, .page_tokens = PAGE, .n_kv_heads = KV_HEADS, .head_dim = DIM};
    kv.head_stride = PAGE * DIM;
    kv.kv_stride = kv.head_stride * KV_HEADS;
    kv.page_stride = 2 * kv.kv_stride;
    r.layer_bytes = (size_t)n_pages * (size_t)kv.page_stride * 2;
    r.n_layers = n_new > 1 ? 1 : (int)(1.5e9 / (double)r.layer_bytes) + 1;
    wf_matrix pool = random_matrix(r.n_layers * (int64_t)n_pages * 2 * KV_HEADS, PAGE * DIM);
    r.pool = pool.data;
    wf_matrix qkv = random_matrix(n_tokens, (HEADS + 2 * KV_HEADS) * DIM), y = qkv;
    y = wf_matrix_of(device_bytes((size_t)n_tokens * HEADS * DIM * 2), WF_BF16, n_tokens,
                     HEADS * DIM);
    r.args = (wf_attention_args){
        .batch = &r.batch, .qkv = qkv, .n_heads = HEADS, .scale = 8.0f, .kv = kv, .out = y};
    *out = time_calls(run_attention, &r,
                      n_new > 1             ? 10
                      : 2 * r.n_layers < 20 ? 20
                                            : 2 * r.n_layers);
    const void *dev[] = {r.batch.cu_seqlens, r.batch.seq_row,   r.batch.seq_past,
                         r.batch.token_seq,  r.batch.token_pos, r.batch.page_table,
                         pool.data,          qkv.data,          y.data};
    for (size_t i = 0; i < sizeof dev / sizeof *dev; i++)
        ops->free(be, (void *)(uintptr_t)dev[i]);
    free(table), free(cu), free(row), free(past), free(seq), free(pos);
    return n_new > 1 ? pairs * 4.0 * HEADS * DIM : tokens * 2.0 * KV_HEADS * DIM * 2.0;
}

static void decode_case(int32_t n_seqs, int32_t context, bool scrambled, int32_t bound)
{
    int32_t contexts[256];
    timing t;
    char shape[64];
    for (int32_t s = 0; s < n_seqs; s++)
        contexts[s] = context;
    double bytes = time_attention(contexts, n_seqs, 1, scrambled, bound, &t);
    int n = snprintf(shape, sizeof shape, "context %d %s", context,
                     scrambled ? "scattered pages" : "pages in order");
    if (bound) snprintf(shape + n, sizeof shape - (size_t)n, " of up to %d", bound);
    report("decode attention", shape, n_seqs, t, bytes, "TB/s", copy_rate);
}

// A few sequences that are very long among short ones, 2048 on the average.
static void skewed_case(void)
{
    int32_t contexts[64];
    timing t;
    for (int32_t s = 0; s < 64; s++)
        contexts[s] = s % 16 == 0 ? 16384 + 512 : 1024 + 32;
    double bytes = time_attention(contexts, 64, 1, true, 0, &t);
    report("decode attention", "skewed 1056 and 16896", 64, t, bytes, "TB/s", copy_rate);
}

static void bench_decode(void)
{
    static const int32_t cases[][2] = {{1, 512},  {1, 8192}, {8, 2048}, {32, 4096},
                                       {64, 512}, {64, 128}, {256, 512}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int scrambled = 0; scrambled < 2; scrambled++)
            decode_case(cases[c][0], cases[c][1], scrambled != 0, 0);
    decode_case(64, 512, true, 8192); // as in a captured step
    decode_case(256, 512, true, 8192);
    skewed_case();
}

// 8192 tokens of prompts of n each.
static void prefill_case(int32_t n)
{
    int32_t contexts[16], n_seqs = 8192 / n;
    timing t;
    char shape[64];
    for (int32_t s = 0; s < n_seqs; s++)
        contexts[s] = n;
    double flops = time_attention(contexts, n_seqs, n, true, 0, &t);
    snprintf(shape, sizeof shape, "%d x %d causal", n_seqs, n);
    report("prefill attention", shape, (int64_t)n_seqs * n, t, flops, "TFLOP/s", flop_rate);
}

static void bench_prefill(void)
{
    int32_t chunk = 8192; // the last 512 tokens of 8192
    timing t;
    for (int32_t n = 512; n <= 8192; n *= n == 512 ? 4 : 2)
        prefill_case(n);
    double flops = time_attention(&chunk, 1, 512, true, 0, &t);
    report("prefill attention", "512 after 7680", 512, t, flops, "TFLOP/s", flop_rate);
}

// So that peer_attention.py can have a case of ours and one of a peer's measured in turns: answers
// each line `decode N CONTEXT [BOUND]`, `skewed` or `prefill N` with its row.
static void bench_asked(void)
{
    char line[64], what[16];
    int n, context, bound;
    while (fgets(line, sizeof line, stdin)) {
        int n_read = sscanf(line, "%15s %d %d %d", what, &n, &context, &bound);
        if (n_read >= 3 && strcmp(what, "decode") == 0 && n >= 1 && n <= 256 && context >= 1)
            decode_case(n, context, true, n_read == 4 ? bound : 0);
        else if (n_read == 2 && strcmp(what, "prefill") == 0 && n >= 512 && n <= 8192)
            prefill_case(n);
        else if (n_read == 1 && strcmp(what, "skewed") == 0)
            skewed_case();
        else
            must(wf_fail(WF_USAGE, "no such case: %s", line));
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
    } parts[] = {{"rows", bench_rows},       {"sample", bench_sample}, {"decode", bench_decode},
                 {"prefill", bench_prefill}, {"gemm", bench_gemm},     {"experts", bench_experts},
                 {"gemm8", bench_gemm8},     {"act8", bench_gemm8},    {"asked", bench_asked}};
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
