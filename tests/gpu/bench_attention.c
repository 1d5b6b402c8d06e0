// Attention's part of bench_gpu_kernels.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kv.h"
#include "tests/gpu/bench.h"

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

enum { PAGE = 64, HEADS = 32, KV_HEADS = 8, DIM = 128 };

// Pages of random K and V: bf16 as random matrices make them; scaled, a page of random numbers and
// scales of 1/100, again and again.
static void *filled_pool(const wf_kv *kv, int64_t n_pages)
{
    if (!wf_format_scaled(kv->dtype)) return random_matrix(n_pages * 2 * KV_HEADS, PAGE * DIM).data;
    char *pool = device_bytes((size_t)(n_pages * kv->page_stride)), *page = NULL;
    must(ops->host_alloc(be, (size_t)kv->page_stride, (void **)&page));
    srand(7);
    for (int64_t tile = 0; tile < kv->page_stride; tile += kv->head_stride) {
        for (int i = 0; i < PAGE * DIM; i++)
            page[tile + i] = (char)(rand() % 120 + (rand() % 2) * 128); // no NaN
        for (int i = 0; i < PAGE; i++)
            ((float *)(void *)(page + wf_kv_scales_at(kv, tile)))[i] = 0.01f;
    }
    for (int64_t i = 0; i < n_pages; i++)
        must(ops->upload(be, stream, pool + i * kv->page_stride, page, (size_t)kv->page_stride));
    drain();
    ops->host_free(be, page);
    return pool;
}

// Sequences of contexts[s] tokens, of which n_new are new, in a launch for contexts up to `bound`
// (0: the longest); 32 query heads, 8 KV heads, 128; K and V in `dtype`.
static double time_attention_of(wf_dtype dtype, const int32_t *contexts, int32_t n_seqs,
                                int32_t n_new, bool scrambled, int32_t bound, timing *out)
{
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
    wf_kv kv = {.dtype = dtype, .page_tokens = PAGE, .n_kv_heads = KV_HEADS, .head_dim = DIM};
    kv.head_stride = wf_kv_tile(dtype, PAGE, DIM);
    kv.kv_stride = kv.head_stride * KV_HEADS;
    kv.page_stride = 2 * kv.kv_stride;
    r.layer_bytes = (size_t)n_pages * (size_t)kv.page_stride * wf_dtype_bytes(dtype);
    r.n_layers = n_new > 1 ? 1 : (int)(1.5e9 / (double)r.layer_bytes) + 1;
    r.pool = filled_pool(&kv, r.n_layers * (int64_t)n_pages);
    wf_matrix qkv = random_matrix(n_tokens, (HEADS + 2 * KV_HEADS) * DIM), y = qkv;
    y = wf_matrix_of(device_bytes((size_t)n_tokens * HEADS * DIM * 2), WF_BF16, n_tokens,
                     HEADS * DIM);
    r.args = (wf_attention_args){
        .batch = &r.batch, .qkv = qkv, .n_heads = HEADS, .scale = 8.0f, .kv = kv, .out = y};
    *out = time_calls(run_attention, &r,
                      n_new > 1             ? 10
                      : 2 * r.n_layers < 20 ? 20
                                            : 2 * r.n_layers);
    const void *dev[] = {r.batch.cu_seqlens,
                         r.batch.seq_row,
                         r.batch.seq_past,
                         r.batch.token_seq,
                         r.batch.token_pos,
                         r.batch.page_table,
                         r.pool,
                         qkv.data,
                         y.data};
    for (size_t i = 0; i < sizeof dev / sizeof *dev; i++)
        ops->free(be, (void *)(uintptr_t)dev[i]);
    free(table), free(cu), free(row), free(past), free(seq), free(pos);
    return n_new > 1 ? pairs * 4.0 * HEADS * DIM
                     : tokens * 2.0 * KV_HEADS * (double)wf_kv_token_bytes(dtype, DIM);
}

static double time_attention(const int32_t *contexts, int32_t n_seqs, int32_t n_new, bool scrambled,
                             int32_t bound, timing *out)
{
    return time_attention_of(WF_BF16, contexts, n_seqs, n_new, scrambled, bound, out);
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

void bench_decode(void)
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

void bench_prefill(void)
{
    int32_t chunk = 8192; // the last 512 tokens of 8192
    timing t;
    for (int32_t n = 512; n <= 8192; n *= n == 512 ? 4 : 2)
        prefill_case(n);
    double flops = time_attention(&chunk, 1, 512, true, 0, &t);
    report("prefill attention", "512 after 7680", 512, t, flops, "TFLOP/s", flop_rate);
}

// One case over K and V in bf16 and in 8 bits, and how many times bf16's rate of tokens these have.
static void scaled_case(int32_t n_seqs, int32_t context, int32_t n_new)
{
    static const wf_dtype formats[] = {WF_BF16, WF_FP8, WF_INT8};
    int32_t contexts[256];
    double plain = 0.0;
    for (int32_t s = 0; s < n_seqs; s++)
        contexts[s] = context;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        char op[64], shape[64];
        timing t;
        double work = time_attention_of(formats[f], contexts, n_seqs, n_new, true, 0, &t);
        bool decode = n_new == 1;
        snprintf(op, sizeof op, "%s attention %s", decode ? "decode" : "prefill",
                 wf_dtype_name(formats[f]));
        snprintf(shape, sizeof shape, "%d new of %d", n_new, context);
        report(op, shape, (int64_t)n_seqs * n_new, t, work, decode ? "TB/s" : "TFLOP/s",
               decode ? copy_rate : flop_rate);
        if (formats[f] == WF_BF16) plain = t.median;
        printf("# %s, %d rows of %d: %.2f times bf16's rate\n", op, n_seqs * n_new, context,
               plain / t.median);
    }
}

void bench_attention8(void)
{
    static const int32_t cases[][3] = {{1, 512, 1},    {1, 8192, 1},    {1, 32768, 1},
                                       {8, 2048, 1},   {8, 16384, 1},   {32, 4096, 1},
                                       {64, 512, 1},   {64, 4096, 1},   {256, 512, 1},
                                       {256, 2048, 1}, {4, 2048, 2048}, {1, 8192, 512}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        scaled_case(cases[c][0], cases[c][1], cases[c][2]);
}

// So that peer_attention.py can have a case of ours and one of a peer's measured in turns: answers
// each line `decode N CONTEXT [BOUND]`, `skewed` or `prefill N` with its row.
void bench_asked(void)
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
