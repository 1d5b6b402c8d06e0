// What the operation tests of odd shapes do not reach on a GPU: aligned shapes that take cuBLASLt,
// the skinny and the tensor-core kernels; many KV splits; capture and replay; errors.
#include "tests/ops/op_test.h"

// ---- gemm ---------------------------------------------------------------------------------------

typedef struct gemm_case {
    int64_t m, n, k;
    bool bias, f32_out;
} gemm_case;

static op_tensor gemm(wf_backend *be, const gemm_case *c, wf_dtype act)
{
    op_tensor x = op_matrix(be, act, c->m, c->k, 0, 11);
    op_tensor y = op_matrix(be, c->f32_out ? WF_F32 : act, c->m, c->n, 0, 0);
    wf_gemm_args a = {.x = x.view,
                      .w = op_weight(be, op.act, c->n, c->k, 12),
                      .bias = c->bias ? op_vector(be, c->n, 13, 0.0f) : NULL,
                      .y = y.view};
    op_ok(be->ops->gemm(be, NULL, &a));
    return y;
}

static void aligned_gemms(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 2, 5, 8, 9, 16, 17, 64, 100, 256};
    // The later ones: several groups of rows a block and a last one cut short, ends of a stage.
    static const int64_t shapes[][2] = {
        {96, 768}, {136, 264}, {2200, 1088}, {72, 1792}, {2120, 64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int kind = 0; kind < 10; kind++) {
            gemm_case c = {rows[i], shapes[kind / 2][0], shapes[kind / 2][1], kind % 2 == 1,
                           kind / 2 % 2 == 1};
            op_tensor got = gemm(op.be, &c, op.act), want = gemm(op.ref, &c, WF_F32);
            op_expect_close(&got, &want, 3e-7 * (double)c.k, 2e-6);
            op_release();
        }
}

// Each kernel that measuring may choose, taken wherever it fits. The later shapes: sums of many
// blocks, of few, of clusters with several tiles.
static void own_gemms(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 9, 16, 17, 31, 32, 33, 48, 63, 64};
    static const int64_t shapes[][2] = {{96, 768},  {136, 264},  {2200, 1088}, {72, 1792},
                                        {2120, 64}, {520, 4160}, {20000, 136}, {9000, 200}};
    static const char *const kernels[] = {"stream", "ring-pairs-128", "ring-pairs-64", "ring-runs"};
    wf_backend *usual = op.be;
    if (op.act == WF_F32) return; // they are for 2 bytes
    for (size_t v = 0; v < sizeof kernels / sizeof *kernels; v++) {
        wf_backend_config config = {.numerics = wf_numerics_of(op.act), .isa = kernels[v]};
        op_ok(wf_backend_create("cuda", &config, &op.be));
        for (size_t i = v == 0 ? 0 : 3; i < (v == 0 ? 3 : sizeof rows / sizeof *rows); i++)
            for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
                gemm_case c = {rows[i], shapes[k][0], shapes[k][1], (i + k) % 2 == 1, k % 3 == 1};
                op_tensor got = gemm(op.be, &c, op.act), want = gemm(op.ref, &c, WF_F32);
                op_expect_close(&got, &want, 3e-7 * (double)c.k, 2e-6);
                op_release();
            }
        wf_backend_destroy(op.be);
    }
    op.be = usual;
}

// Runs `check` on a back end that promises that a row never depends on its batch.
static void when_deterministic(void (*check)(void))
{
    wf_backend *usual = op.be;
    wf_backend_config config = {.numerics = wf_numerics_of(op.act), .deterministic = true};
    op_ok(wf_backend_create("cuda", &config, &op.be));
    check();
    op_release();
    wf_backend_destroy(op.be);
    op.be = usual;
}

static void expect_same_first_row(void)
{
    static const int64_t rows[] = {2, 8, 16, 100, 300, 1000};
    static const int64_t shapes[][2] = {{512, 4096}, {192, 2048}, {1536, 512}, {96, 8192}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        gemm_case one = {1, shapes[k][0], shapes[k][1], false, false};
        op_tensor a = gemm(op.be, &one, op.act);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            gemm_case many = one;
            many.m = rows[i];
            op_tensor b = gemm(op.be, &many, op.act);
            op_expect_same_bits(op_read(&a), op_read(&b), one.n);
        }
        op_release();
    }
}

static void rows_do_not_matter(void **state)
{
    (void)state;
    when_deterministic(expect_same_first_row);
}

// ---- attention ----------------------------------------------------------------------------------

typedef struct attention_case {
    int32_t n_heads, n_kv_heads, head_dim, page_tokens, n_seqs;
    op_seq seqs[OP_MAX_SEQS];
} attention_case;

static const attention_case cases[] = {
    {8, 2, 128, 64, 3, {{3000, 1}, {255, 1}, {256, 1}}},        // several splits, edges of one
    {8, 2, 128, 64, 2, {{9000, 1}, {12, 1}}},                   // splits longer than 256
    {20, 1, 64, 64, 2, {{700, 1}, {0, 40}}},                    // two blocks of query heads
    {4, 4, 64, 16, 4, {{15, 1}, {16, 1}, {1000, 300}, {0, 1}}}, // no grouping, small pages
    {4, 1, 256, 64, 3, {{511, 1}, {512, 1}, {130, 70}}},
    {8, 2, 128, 48, 3, {{100, 1}, {500, 129}, {0, 128}}}, // pages that are no power of two
    {6, 2, 128, 64, 2, {{0, 1000}, {777, 223}}},
    {8, 2, 64, 64, 4, {{0, 64}, {64, 2}, {63, 130}, {100, 200}}},  // chunks off the tiles' edges
    {5, 5, 128, 16, 4, {{0, 65}, {0, 3}, {127, 129}, {300, 133}}}, // pages of part of a tile
    {3, 1, 128, 128, 3, {{0, 300}, {333, 100}, {191, 2}}},         // pages of two tiles
    {4, 4, 256, 64, 3, {{0, 257}, {511, 140}, {64, 63}}},          // tiles of one page
    {16, 2, 128, 64, 5, {{0, 2}, {5, 2}, {0, 129}, {1000, 65}, {63, 130}}},
};
#define N_CASES (sizeof cases / sizeof *cases)

// What is done to scores beside scaling them (ops.h): now, and all ways.
typedef struct bent_way {
    int32_t window;
    float softcap;
    bool sinks, slopes;
} bent_way;
static bent_way bent;
static const bent_way bent_ways[] = {
    {1, 0.0f, false, false},    {100, 0.0f, false, false}, {128, 0.0f, true, false},
    {0, 5.0f, false, false},    {0, 0.0f, true, false},    {0, 0.0f, false, true},
    {333, 50.0f, false, false}, {513, 1.0f, true, true},
};
#define N_BENT_WAYS (sizeof bent_ways / sizeof *bent_ways)

// What K and V are kept in: act's format where it is plain.
static wf_dtype kv_format;

static op_tensor attention(wf_backend *be, wf_dtype act, const attention_case *c)
{
    wf_dtype format = wf_format_scaled(kv_format) ? kv_format : op.act;
    wf_batch *b = op_batch(be, c->seqs, c->n_seqs, 1, c->page_tokens);
    wf_kv kv = op_kv(be, format, c->page_tokens, c->n_kv_heads, c->head_dim, c->seqs, c->n_seqs, 1);
    int64_t q_cols = (int64_t)c->n_heads * c->head_dim;
    op_tensor qkv =
        op_matrix(be, act, b->n_tokens, q_cols + 2 * c->n_kv_heads * c->head_dim, 0, 71);
    op_tensor out = op_matrix(be, act, b->n_tokens, q_cols, 0, 0);
    float *table = malloc((size_t)b->max_context * (size_t)c->head_dim * sizeof *table);
    assert_non_null(table);
    for (int32_t i = 0; i < b->max_context * c->head_dim / 2; i++) // no rotation: q stays exact
        table[i] = 1.0f, table[i + b->max_context * c->head_dim / 2] = 0.0f;
    float *cos_table =
        op_put(be, table, (size_t)(b->max_context * c->head_dim / 2) * sizeof *table);
    float *sin_table = op_put(be, table + b->max_context * c->head_dim / 2,
                              (size_t)(b->max_context * c->head_dim / 2) * sizeof *table);
    free(table);
    wf_rope_args rope = {.batch = b,
                         .qkv = qkv.view,
                         .n_heads = c->n_heads,
                         .rotary_dim = c->head_dim,
                         .cos = cos_table,
                         .sin = sin_table,
                         .kv = kv};
    wf_attention_args a = {.batch = b,
                           .qkv = qkv.view,
                           .n_heads = c->n_heads,
                           .scale = 2.0f / sqrtf((float)c->head_dim),
                           .kv = kv,
                           .out = out.view,
                           .window = bent.window,
                           .softcap = bent.softcap,
                           .sinks = bent.sinks ? op_vector(be, c->n_heads, 76, 2.0f) : NULL,
                           .slopes = bent.slopes ? op_vector(be, c->n_heads, 77, 1.0f) : NULL};
    op_ok(be->ops->rope_kv_append(be, NULL, &rope));
    op_ok(be->ops->attention(be, NULL, &a));
    return out;
}

static void expect_attention(const attention_case *c)
{
    double step = op.act == WF_BF16 ? 3e-3 : op.act == WF_F16 ? 4e-4 : 3e-6;
    op_tensor got = attention(op.be, op.act, c), again = attention(op.be, op.act, c);
    op_tensor want = attention(op.ref, WF_F32, c);
    op_expect_close(&got, &want, step, 1e-5);
    op_expect_same_bits(op_read(&got), op_read(&again), got.view.n_rows * got.view.n_cols);
    op_release();
}

static void long_contexts(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++)
        expect_attention(&cases[i]);
}

// Decode rows of one and of several splits, which would be more in all than run at once if all had
// as many as the longest.
static attention_case crowd(int32_t n_heads, int32_t head_dim, int32_t page_tokens)
{
    static const int32_t past[OP_MAX_SEQS] = {2100, 5,  0,  1100, 31, 600, 15,  1,
                                              60,   16, 63, 64,   9,  30,  127, 2};
    attention_case c = {n_heads, 1, head_dim, page_tokens, OP_MAX_SEQS, {{0, 0}}};
    for (int s = 0; s < OP_MAX_SEQS; s++)
        c.seqs[s] = (op_seq){past[s], 1};
    return c;
}

static void crowds(void **state)
{
    (void)state;
    attention_case wide = crowd(320, 128, 64), ragged = crowd(330, 64, 16);
    attention_case deep = crowd(288, 256, 64);
    deep.seqs[OP_MAX_SEQS - 1] = (op_seq){100, 70}; // and a prompt
    expect_attention(&wide);
    expect_attention(&ragged);
    expect_attention(&deep);
}

static void bent_contexts(void **state)
{
    for (size_t i = 0; i < N_BENT_WAYS; i++) {
        bent = bent_ways[i];
        long_contexts(state);
        crowds(state);
    }
    bent = (bent_way){0};
}

// The same row alone and among others: the same bits.
static void expect_same_attention(void)
{
    // In the second, each split has a block alone; among others blocks take splits in turns.
    const attention_case many[] = {{8, 2, 128, 64, 4, {{2000, 1}, {40, 1}, {300, 1}, {100, 60}}},
                                   crowd(320, 128, 64)};
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        attention_case one = many[i];
        one.n_seqs = 1;
        op_tensor a = attention(op.be, op.act, &many[i]), b = attention(op.be, op.act, &one);
        op_expect_same_bits(op_read(&a), op_read(&b), one.n_heads * 128);
    }
}

static void batch_does_not_matter(void **state)
{
    (void)state;
    when_deterministic(expect_same_attention);
    bent = bent_ways[N_BENT_WAYS - 1];
    when_deterministic(expect_same_attention);
    bent = (bent_way){0};
}

// K and V of 8 bits take kernels of their own.
static void kv_of_8_bits(void **state)
{
    static const wf_dtype formats[] = {WF_FP8, WF_INT8};
    for (size_t f = 0; f < 2; f++) {
        kv_format = formats[f];
        long_contexts(state);
        crowds(state);
        for (size_t i = f; i < N_BENT_WAYS; i += 2) {
            bent = bent_ways[i];
            long_contexts(state);
            crowds(state);
        }
        bent = (bent_way){0};
        batch_does_not_matter(state);
    }
    kv_format = WF_F32;
}

// A prompt whole and cut into chunks, alone and beside others: the same bits, whatever the options.
// The cache of the chunk's past is the one that the whole prompt has there.
static void chunks_do_not_matter(void **state)
{
    (void)state;
    static const int32_t cuts[] = {0, 1, 77, 128, 300, 363, 640, 900};
    enum { HEADS = 8, KV_HEADS = 2, DIM = 128, LENGTH = 900, Q = HEADS * DIM };
    op_seq whole[2] = {{0, LENGTH}, {0, 300}};
    wf_batch *b = op_batch(op.be, whole, 2, 1, 64);
    wf_kv kv = op_kv(op.be, op.act, 64, KV_HEADS, DIM, (op_seq[]){{LENGTH, 1}, {300, 1}}, 2, 1);
    op_tensor q = op_matrix(op.be, op.act, b->n_tokens, Q + 2 * KV_HEADS * DIM, 0, 71);
    op_tensor out = op_matrix(op.be, op.act, b->n_tokens, Q, 0, 0);
    wf_attention_args a = {
        .batch = b, .qkv = q.view, .n_heads = HEADS, .scale = 0.3f, .kv = kv, .out = out.view};
    op_ok(op.be->ops->attention(op.be, NULL, &a));
    const float *want = op_read(&out);
    size_t size = wf_dtype_bytes(op.act);
    for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++) {
        op_seq chunk = {cuts[i], cuts[i + 1] - cuts[i]};
        if (chunk.n_new == 1) continue; // a decode row, which another kernel computes
        a.batch = op_batch(op.be, &chunk, 1, 1, 64);
        a.qkv = q.view;
        a.qkv.data = (char *)q.view.data + (size_t)(chunk.past * q.view.stride) * size;
        a.qkv.n_rows = chunk.n_new;
        op_tensor part = op_matrix(op.be, op.act, chunk.n_new, Q, 0, 0);
        a.out = part.view;
        op_ok(op.be->ops->attention(op.be, NULL, &a));
        op_expect_same_bits(op_read(&part), want + (size_t)chunk.past * Q,
                            (int64_t)chunk.n_new * Q);
    }
}

// ---- order, capture, errors ---------------------------------------------------------------------

static void replays(void **state)
{
    (void)state;
    const wf_backend_ops *ops = op.be->ops;
    wf_stream *s;
    wf_event *e;
    wf_graph *g;
    bool done = false;
    op_tensor x = op_matrix(op.be, op.act, 4, 256, 0, 1),
              y = op_matrix(op.be, op.act, 4, 256, 0, 2);
    wf_add_args add = {x.view, y.view};
    wf_gemm_args product = {.x = x.view, .w = op_weight(op.be, op.act, 256, 256, 3), .y = y.view};
    op_ok(ops->stream_create(op.be, &s));
    op_ok(ops->event_create(op.be, &e));
    op_ok(ops->event_record(op.be, e, NULL)); // what the default stream did comes first
    op_ok(ops->stream_wait(op.be, s, e));
    op_ok(ops->gemm(op.be, s, &product)); // once, so that its plan is known
    op_ok(ops->capture_begin(op.be, s));  // one is thrown away, and nothing of it runs
    op_ok(ops->add(op.be, s, &add));
    op_ok(ops->capture_end(op.be, s, NULL));
    op_ok(ops->capture_begin(op.be, s));
    op_ok(ops->gemm(op.be, s, &product));
    for (int i = 0; i < 3; i++)
        op_ok(ops->add(op.be, s, &add));
    op_ok(ops->capture_end(op.be, s, &g));
    for (int i = 0; i < 2; i++)
        op_ok(ops->graph_launch(op.be, s, g));
    op_ok(ops->event_record(op.be, e, s));
    op_ok(ops->event_sync(op.be, e));
    op_ok(ops->event_query(op.be, e, &done));
    assert_true(done);
    op_tensor want = op_matrix(op.ref, WF_F32, 4, 256, 0, 0);
    op_tensor wx = op_matrix(op.ref, WF_F32, 4, 256, 0, 1);
    wf_gemm_args ref_product = {
        .x = wx.view, .w = op_weight(op.ref, op.act, 256, 256, 3), .y = want.view};
    wf_add_args ref_add = {wx.view, want.view};
    op_ok(op.ref->ops->gemm(op.ref, NULL, &ref_product));
    for (int i = 0; i < 3; i++)
        op_ok(op.ref->ops->add(op.ref, NULL, &ref_add));
    op_expect_close(&y, &want, op.act == WF_F32 ? 1e-4 : 0.1, 0.02);
    ops->graph_destroy(op.be, g);
    ops->event_destroy(op.be, e);
    ops->stream_destroy(op.be, s);
}

static void says_what_does_not_fit(void **state)
{
    (void)state;
    void *data = NULL;
    assert_int_equal(op.be->ops->alloc(op.be, (size_t)1 << 46, &data), WF_NO_MEMORY);
    assert_non_null(strstr(wf_error(), "65536.00 GiB"));
    assert_non_null(strstr(wf_error(), "engine.kv_memory"));
    op_ok(op.be->ops->alloc(op.be, 1000, &data)); // and goes on
    op.be->ops->free(op.be, data);
}

static void no_such_device(void **state)
{
    (void)state;
    wf_backend *be = NULL;
    wf_backend_config config = {.device = 99, .numerics = wf_numerics_of(WF_BF16)};
    assert_int_equal(wf_backend_create("cuda", &config, &be), WF_DEVICE);
    assert_non_null(strstr(wf_error(), "device 99"));
    assert_non_null(strstr(wf_error(), "--gpus-per-node"));
}

static void no_such_kernel(void **state)
{
    (void)state;
    wf_backend *be = NULL;
    wf_backend_config config = {.numerics = wf_numerics_of(WF_BF16), .isa = "gemm-5"};
    assert_int_equal(wf_backend_create("cuda", &config, &be), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "'gemm-5'"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_gemms),
        cmocka_unit_test(own_gemms),
        cmocka_unit_test(rows_do_not_matter),
        cmocka_unit_test(long_contexts),
        cmocka_unit_test(crowds),
        cmocka_unit_test(bent_contexts),
        cmocka_unit_test(batch_does_not_matter),
        cmocka_unit_test(kv_of_8_bits),
        cmocka_unit_test(chunks_do_not_matter),
        cmocka_unit_test(replays),
        cmocka_unit_test(says_what_does_not_fit),
        cmocka_unit_test(no_such_device),
        cmocka_unit_test(no_such_kernel),
    };
    return OP_MAIN(argc, argv, tests);
}
