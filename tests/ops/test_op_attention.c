// rope_kv_append and attention against ref: ragged batches, page edges, grouped heads.
#include "kernels/kv.h"
#include "tests/ops/op_test.h"

typedef struct attention_case {
    int32_t n_heads, n_kv_heads, head_dim, page_tokens;
    wf_dtype dtype;
    int32_t n_seqs;
    op_seq seqs[6];
} attention_case;

static const attention_case cases[] = {
    {1, 1, 8, 64, WF_F32, 1, {{0, 1}}},
    {1, 1, 8, 64, WF_BF16, 1, {{0, 65}}},
    {2, 1, 16, 16, WF_F32, 2, {{15, 1}, {16, 1}}},
    {4, 2, 24, 8, WF_F16, 3, {{63, 1}, {64, 1}, {0, 7}}},
    {8, 8, 32, 64, WF_BF16, 4, {{200, 1}, {0, 130}, {64, 64}, {63, 2}}},
    {6, 2, 40, 1, WF_BF16, 3, {{3, 1}, {100, 30}, {0, 1}}},
    {12, 4, 64, 5, WF_F32, 3, {{127, 1}, {128, 1}, {17, 50}}},
    {8, 1, 80, 64, WF_F16, 2, {{300, 1}, {70, 45}}},
    {8, 2, 128, 64, WF_BF16, 4, {{500, 1}, {63, 1}, {1, 70}, {0, 33}}},
    {13, 13, 16, 32, WF_BF16, 2, {{0, 100}, {5, 3}}},
    {2, 2, 256, 16, WF_BF16, 2, {{90, 1}, {30, 40}}},
    {100, 1, 8, 64, WF_F32, 2, {{70, 1}, {10, 3}}},
    {4, 2, 2, 16, WF_BF16, 2, {{40, 1}, {0, 9}}},
    {2, 1, 10, 3, WF_F16, 2, {{70, 1}, {5, 20}}},
    {8, 4, 100, 64, WF_BF16, 3, {{130, 1}, {64, 1}, {0, 70}}},
    {3, 1, 100, 16, WF_F32, 2, {{20, 5}, {0, 40}}},
    {4, 4, 250, 32, WF_F16, 2, {{66, 1}, {31, 33}}},
    {8, 2, 128, 64, WF_FP8, 4, {{500, 1}, {63, 1}, {1, 70}, {0, 33}}},
    {8, 2, 128, 16, WF_INT8, 4, {{500, 1}, {17, 1}, {1, 70}, {0, 33}}},
    {12, 4, 64, 48, WF_INT8, 3, {{127, 1}, {128, 1}, {17, 50}}},
    {6, 6, 64, 32, WF_FP8, 3, {{1, 1}, {300, 90}, {0, 129}}},
    {2, 2, 256, 16, WF_FP8, 3, {{90, 1}, {31, 1}, {30, 40}}},
    {4, 2, 256, 64, WF_INT8, 2, {{90, 1}, {63, 40}}},
    {40, 2, 128, 64, WF_FP8, 2, {{1500, 1}, {10, 3}}},
    {4, 2, 24, 8, WF_FP8, 3, {{63, 1}, {64, 1}, {0, 7}}},
    {6, 2, 40, 1, WF_INT8, 3, {{3, 1}, {100, 30}, {0, 1}}},
    {8, 4, 100, 64, WF_FP8, 3, {{130, 1}, {64, 1}, {0, 70}}},
};
#define N_CASES (sizeof cases / sizeof *cases)

typedef struct ran {
    op_tensor qkv, out;
    char *kv; // the cache afterwards
    wf_kv view;
} ran;

// Ways of rotation: every case is run in each.
typedef enum norms { NONE, ALIKE, OWN, CENTRED, WIDE } norms;
typedef struct rope_way {
    bool interleaved;
    norms norms;
} rope_way;
static const rope_way ways[] = {{false, NONE},   {true, NONE}, {false, ALIKE}, {true, ALIKE},
                                {true, CENTRED}, {false, OWN}, {false, WIDE}};
#define N_WAYS (sizeof ways / sizeof *ways)

// Ways of attention: windows within a tile, of whole tiles and beyond every context.
typedef struct bent_way {
    int32_t window;
    float softcap;
    bool sinks, slopes;
} bent_way;
static const bent_way plain;
static const bent_way bent_ways[] = {
    {1, 0.0f, false, false},    {17, 0.0f, false, false}, {64, 0.0f, true, false},
    {65, 1.5f, false, false},   {0, 0.7f, false, false},  {0, 0.0f, true, false},
    {0, 0.0f, false, true},     {40, 50.0f, true, true},  {128, 0.0f, false, true},
    {1000, 0.0f, false, false},
};
#define N_BENT_WAYS (sizeof bent_ways / sizeof *bent_ways)
// Norms of heads. WIDE: another rank of the group has heads just like these.
static void add_norms(wf_backend *be, const attention_case *c, norms how, wf_rope_args *rope)
{
    int32_t n_heads = c->n_heads + c->n_kv_heads, own = how > ALIKE;
    rope->q_norm = op_vector(be, (int64_t)c->head_dim * (own ? c->n_heads : 1), 74, 1.0f);
    rope->k_norm = op_vector(be, (int64_t)c->head_dim * (own ? c->n_kv_heads : 1), 75, 0.5f);
    rope->norm_eps = 1e-3f;
    rope->norm_stride = own ? c->head_dim : 0;
    rope->norm_centred = how == CENTRED;
    if (how != WIDE) return;
    int64_t n = rope->qkv.n_rows * n_heads;
    float *squares = op_vector(be, 2 * n, 76, 0.0f);
    for (int64_t rank = 0; rank < 2; rank++) {
        wf_head_squares_args a = {rope->qkv, n_heads, c->head_dim, squares + rank * n};
        op_ok(be->ops->head_squares(be, NULL, &a));
    }
    rope->squares = squares;
    rope->n_ranks = 2;
}

// Both operations, as a step does them.
static ran run_case(wf_backend *be, wf_dtype act, const attention_case *c, rope_way way,
                    bent_way bent)
{
    bool interleaved = way.interleaved;
    int32_t rotary_dim = interleaved ? c->head_dim / 2 / 2 * 2 : c->head_dim;
    if (way.norms == OWN) rotary_dim = 0; // not rotated at all
    wf_batch *b = op_batch(be, c->seqs, c->n_seqs, 1, c->page_tokens);
    ran r = {.view = op_kv(be, c->dtype, c->page_tokens, c->n_kv_heads, c->head_dim, c->seqs,
                           c->n_seqs, 1)};
    int64_t n_cols = (int64_t)(c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
    r.qkv = op_matrix(be, act, b->n_tokens, n_cols, 3, 71);
    r.out = op_matrix(be, act, b->n_tokens, (int64_t)c->n_heads * c->head_dim, 5, 0);
    int64_t n_table = (int64_t)b->max_context * (rotary_dim / 2);
    wf_rope_args rope = {.batch = b,
                         .qkv = r.qkv.view,
                         .n_heads = c->n_heads,
                         .rotary_dim = rotary_dim,
                         .interleaved = interleaved,
                         .cos = op_vector(be, n_table, 72, 0.0f),
                         .sin = op_vector(be, n_table, 73, 0.0f),
                         .kv = r.view};
    if (way.norms != NONE) add_norms(be, c, way.norms, &rope);
    op_ok(be->ops->rope_kv_append(be, NULL, &rope));
    wf_attention_args attention = {
        .batch = b,
        .qkv = r.qkv.view,
        .n_heads = c->n_heads,
        .scale = 3.0f / sqrtf((float)c->head_dim),
        .kv = r.view,
        .out = r.out.view,
        .window = bent.window,
        .softcap = bent.softcap,
        .sinks = bent.sinks ? op_vector(be, c->n_heads, 76, 2.0f) : NULL,
        .slopes = bent.slopes ? op_vector(be, c->n_heads, 77, 1.0f) : NULL,
    };
    op_ok(be->ops->attention(be, NULL, &attention));
    r.kv = malloc(op_kv_bytes(&r.view));
    assert_non_null(r.kv);
    op_get(be, r.kv, r.view.base, op_kv_bytes(&r.view));
    return r;
}

// The same of a scaled cache: tokens are there in both or in neither, their scales agree, and
// numbers may lie a step apart.
static void expect_close_scaled(const ran *got, const ran *want)
{
    const wf_kv *kv = &want->view;
    double least = kv->dtype == WF_FP8 ? 0x1p-9 : 1.0, rel = kv->dtype == WF_FP8 ? 0.13 : 0.0;
    int64_t n_tiles = (int64_t)op_kv_bytes(kv) / kv->head_stride;
    for (int64_t i = 0; i < n_tiles * kv->page_tokens; i++) {
        int64_t tile = i / kv->page_tokens * kv->head_stride, token = i % kv->page_tokens;
        float gs, ws;
        memcpy(&gs, got->kv + wf_kv_scales_at(kv, tile) + token * 4, sizeof gs);
        memcpy(&ws, want->kv + wf_kv_scales_at(kv, tile) + token * 4, sizeof ws);
        if (isnan(gs) && isnan(ws)) continue;
        if (!(fabs((double)gs - (double)ws) <= 3e-6 * (double)ws))
            fail_msg("scale of token %d: %g, ref has %g", (int)i, (double)gs, (double)ws);
        for (int64_t d = 0; d < kv->head_dim; d++) {
            double g = (double)wf_load_f32(got->kv, kv->dtype, tile + token * kv->head_dim + d);
            double w = (double)wf_load_f32(want->kv, kv->dtype, tile + token * kv->head_dim + d);
            if (!(fabs(g - w) <= least + rel * fabs(w)))
                fail_msg("number %d of token %d: %g, ref has %g", (int)d, (int)i, g, w);
        }
    }
}

// The caches agree: appended elements within a rounding step, all others NaN as before.
#define BLOCK 2048
static void expect_close_kv(const ran *got, const ran *want)
{
    static const double rounding[WF_N_DTYPES] = {
        [WF_F32] = 3e-7, [WF_BF16] = 0x1p-7, [WF_F16] = 0x1p-10};
    if (wf_format_scaled(want->view.dtype)) {
        expect_close_scaled(got, want);
        return;
    }
    int64_t n = (int64_t)(op_kv_bytes(&want->view) / wf_dtype_bytes(want->view.dtype));
    for (int64_t i = 0; i < n; i++) {
        // Most of the cache is untouched: equal blocks are passed over at memory speed.
        size_t at = (size_t)i * wf_dtype_bytes(want->view.dtype);
        if (i % BLOCK == 0 && i + BLOCK <= n &&
            memcmp(got->kv + at, want->kv + at, BLOCK * wf_dtype_bytes(want->view.dtype)) == 0) {
            i += BLOCK - 1;
            continue;
        }
        float g = wf_load_f32(got->kv, got->view.dtype, i);
        float w = wf_load_f32(want->kv, want->view.dtype, i);
        if (isnan(g) && isnan(w)) continue;
        if (!(fabs((double)g - (double)w) <= 1e-6 + rounding[want->view.dtype] * fabs((double)w)))
            fail_msg("KV element %d: %g, ref has %g", (int)i, (double)g, (double)w);
    }
}

static void expect_case(const attention_case *c, rope_way way, bent_way bent)
{
    ran want = run_case(op.ref, WF_F32, c, way, bent), got = run_case(op.be, op.act, c, way, bent);
    op_expect_close(&got.qkv, &want.qkv, 5e-7, 1e-6);
    expect_close_kv(&got, &want);
    // Where K and V are rounded, the two caches may differ by a step in places, of 8 bits rarely.
    // Rounded activations round q as well, and the weights before V; heads of norm 1 and more make
    // steep scores of that.
    static const double steps[WF_N_DTYPES] = {
        [WF_F32] = 0, [WF_BF16] = 4e-3, [WF_F16] = 5e-4, [WF_FP8] = 4e-3, [WF_INT8] = 4e-3};
    double step = fmax(steps[c->dtype], (way.norms == NONE ? 1.5 : 2.0) * steps[op.act]);
    op_expect_close(&got.out, &want.out, 3e-6 + step, 1e-5);
    free(want.kv);
    free(got.kv);
    op_release();
}

static void agrees_with_ref(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_WAYS * N_CASES; i += 2) // every way meets every other case
        expect_case(&cases[i / N_WAYS], ways[i % N_WAYS], plain);
}

static void bent_agrees_with_ref(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_BENT_WAYS * N_CASES; i += 7) // every way meets some cases
        expect_case(&cases[i / N_BENT_WAYS], ways[0], bent_ways[i % N_BENT_WAYS]);
}

// One query over equal keys is the mean of the values; over one key far above the rest, that value.
static void knows_the_answer(void **state)
{
    (void)state;
    enum { PAST = 99, DIM = 16 };
    for (int peak = 0; peak < 2; peak++) {
        op_seq seq = {PAST, 1};
        wf_batch *b = op_batch(op.be, &seq, 1, 1, 64);
        wf_kv kv = op_kv(op.be, WF_F32, 64, 1, DIM, &seq, 1, 1);
        float *image = malloc(op_kv_bytes(&kv));
        assert_non_null(image);
        op_get(op.be, image, kv.base, op_kv_bytes(&kv));
        int32_t *pages = malloc((size_t)OP_MAX_SEQS * OP_MAX_PAGES * sizeof *pages);
        int32_t row;
        assert_non_null(pages);
        op_get(op.be, pages, b->page_table, (size_t)OP_MAX_SEQS * OP_MAX_PAGES * sizeof *pages);
        op_get(op.be, &row, b->seq_row, sizeof row);
        for (int32_t pos = 0; pos <= PAST; pos++) {
            float *k = image + pages[row * OP_MAX_PAGES + pos / 64] * kv.page_stride +
                       (int64_t)(pos % 64) * DIM;
            for (int d = 0; d < DIM; d++) {
                k[d] = peak && pos == 77 ? 100.0f : 0.0f;
                k[kv.kv_stride + d] = (float)(pos + d);
            }
        }
        kv.base = op_put(op.be, image, op_kv_bytes(&kv));
        op_tensor qkv = op_matrix(op.be, op.act, 1, 3 * DIM, 0, 5);
        char one[DIM * sizeof(float)];
        for (int d = 0; d < DIM; d++)
            wf_store_f32(one, op.act, d, 1.0f);
        op_ok(op.be->ops->upload(op.be, NULL, qkv.view.data, one, DIM * wf_dtype_bytes(op.act)));
        op_tensor out = op_matrix(op.be, op.act, 1, DIM, 0, 0);
        wf_attention_args a = {
            .batch = b, .qkv = qkv.view, .n_heads = 1, .scale = 1.0f, .kv = kv, .out = out.view};
        op_ok(op.be->ops->attention(op.be, NULL, &a));
        const float *got = op_read(&out);
        for (int d = 0; d < DIM; d++)
            assert_true(fabs((double)got[d] - (peak ? 77.0 + d : 49.5 + d)) < 0.25);
        free(image);
        free(pages);
    }
}

static void wrong_shapes(void **state)
{
    (void)state;
    op_seq seq = {0, 2};
    wf_batch *b = op_batch(op.be, &seq, 1, 1, 64);
    wf_kv kv = op_kv(op.be, WF_F32, 64, 2, 8, &seq, 1, 1);
    op_tensor qkv = op_matrix(op.be, op.act, 2, 64, 0, 5),
              out = op_matrix(op.be, op.act, 2, 32, 0, 0);
    wf_attention_args good = {.batch = b,
                              .qkv = qkv.view,
                              .n_heads = 4,
                              .scale = 1.0f,
                              .kv = kv,
                              .out = out.view},
                      bad = good;
    op_ok(op.be->ops->attention(op.be, NULL, &good));
    bad.n_heads = 3; // not a multiple of the KV heads
    assert_int_equal(op.be->ops->attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.kv.head_dim = 12;
    assert_int_equal(op.be->ops->attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.out.n_cols = 31;
    assert_int_equal(op.be->ops->attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.kv.dtype = WF_INT8; // no room for scales
    assert_int_equal(op.be->ops->attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.window = -1;
    assert_int_equal(op.be->ops->attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.softcap = INFINITY;
    assert_int_equal(op.be->ops->attention(op.be, NULL, &bad), WF_INTERNAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_ref),
        cmocka_unit_test(bent_agrees_with_ref),
        cmocka_unit_test(knows_the_answer),
        cmocka_unit_test(wrong_shapes),
    };
    return OP_MAIN(argc, argv, tests);
}
