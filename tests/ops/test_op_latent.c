// heads_gemm, latent_append and latent_attention against ref: odd parts, few and many heads, ragged
// batches, page edges.
#include "tests/ops/op_test.h"

// A step of latent attention: sizes of its parts, and what is in the batch.
typedef struct latent_case {
    int32_t n_heads, rank, rope, nope, v, page_tokens;
    wf_dtype dtype;
    int32_t n_seqs;
    op_seq seqs[6];
} latent_case;

static const latent_case cases[] = {
    {1, 8, 2, 4, 4, 64, WF_F32, 1, {{0, 1}}},
    {2, 20, 6, 12, 10, 16, WF_BF16, 2, {{15, 1}, {16, 1}}},
    {8, 36, 8, 14, 12, 8, WF_F16, 3, {{63, 1}, {64, 1}, {0, 7}}},
    {5, 33, 10, 7, 9, 1, WF_F32, 3, {{3, 1}, {100, 30}, {0, 1}}},
    {17, 64, 16, 32, 24, 5, WF_BF16, 2, {{130, 1}, {17, 20}}},
    {16, 512, 64, 32, 16, 64, WF_BF16, 4, {{150, 1}, {63, 1}, {1, 20}, {0, 9}}},
    {4, 512, 64, 128, 128, 16, WF_BF16, 3, {{90, 1}, {0, 1}, {30, 10}}},
    {20, 512, 64, 24, 40, 64, WF_F16, 3, {{70, 1}, {128, 1}, {64, 13}}},
    {33, 512, 64, 16, 8, 32, WF_BF16, 2, {{129, 1}, {0, 7}}},
    {3, 512, 64, 16, 8, 64, WF_F16, 2, {{700, 1}, {5, 66}}},
};
#define N_CASES (sizeof cases / sizeof *cases)

typedef struct ran {
    op_tensor wide, latent, heads;
    char *kv; // the cache afterwards
    wf_kv view;
} ran;

static wf_kv make_kv(wf_backend *be, const latent_case *c)
{
    int32_t dim = c->rank + c->rope;
    return op_kv(be, c->dtype, c->page_tokens, 1, dim, c->seqs, c->n_seqs, 1);
}

// The operations as a step does them.
static ran run_case(wf_backend *be, wf_dtype act, const latent_case *c, bool interleaved)
{
    int32_t dim = c->rank + c->rope, head = c->nope + c->rope;
    wf_batch *b = op_batch(be, c->seqs, c->n_seqs, 1, c->page_tokens);
    ran r = {.view = make_kv(be, c)};
    op_tensor q = op_matrix(be, act, b->n_tokens, (int64_t)c->n_heads * head, 3, 71);
    op_tensor row = op_matrix(be, act, b->n_tokens, dim, 8, 72);
    r.wide = op_matrix(be, act, b->n_tokens, (int64_t)c->n_heads * dim, 8, 0);
    r.latent = op_matrix(be, act, b->n_tokens, (int64_t)c->n_heads * c->rank, 5, 0);
    r.heads = op_matrix(be, act, b->n_tokens, (int64_t)c->n_heads * c->v, 1, 0);
    int64_t n_table = (int64_t)b->max_context * (c->rope / 2);
    op_ok(be->ops->heads_gemm(
        be, NULL,
        &(wf_heads_gemm_args){.x = q.view,
                              .x_step = head,
                              .y_step = dim,
                              .w = op_weights(be, op.act, c->n_heads, c->rank, c->nope, 73),
                              .y = r.wide.view}));
    op_ok(be->ops->latent_append(be, NULL,
                                 &(wf_latent_append_args){.batch = b,
                                                          .c = row.view,
                                                          .n_heads = c->n_heads,
                                                          .rank = c->rank,
                                                          .rope = c->rope,
                                                          .nope = c->nope,
                                                          .norm = op_vector(be, c->rank, 74, 1.0f),
                                                          .norm_eps = 1e-3f,
                                                          .interleaved = interleaved,
                                                          .cos = op_vector(be, n_table, 75, 0.0f),
                                                          .sin = op_vector(be, n_table, 76, 0.0f),
                                                          .q = q.view,
                                                          .wide = r.wide.view,
                                                          .kv = r.view}));
    op_ok(be->ops->latent_attention(
        be, NULL,
        &(wf_latent_attention_args){.batch = b,
                                    .q = r.wide.view,
                                    .n_heads = c->n_heads,
                                    .rank = c->rank,
                                    .scale = 1.0f / sqrtf((float)(c->nope * dim)),
                                    .kv = r.view,
                                    .out = r.latent.view}));
    op_ok(be->ops->heads_gemm(
        be, NULL,
        &(wf_heads_gemm_args){.x = r.latent.view,
                              .x_step = c->rank,
                              .y_step = c->v,
                              .w = op_weights(be, op.act, c->n_heads, c->v, c->rank, 77),
                              .y = r.heads.view}));
    r.kv = malloc(op_kv_bytes(&r.view));
    assert_non_null(r.kv);
    op_get(be, r.kv, r.view.base, op_kv_bytes(&r.view));
    return r;
}

// The caches agree: appended numbers within a rounding step, all others as before.
static void expect_close_kv(const ran *got, const ran *want)
{
    static const double rounding[WF_N_DTYPES] = {
        [WF_F32] = 3e-7, [WF_BF16] = 0x1p-7, [WF_F16] = 0x1p-10};
    size_t each = wf_dtype_bytes(want->view.dtype);
    int64_t n = (int64_t)(op_kv_bytes(&want->view) / each);
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(got->kv + (size_t)i * each, want->kv + (size_t)i * each, each) == 0) continue;
        double g = (double)wf_load_f32(got->kv, got->view.dtype, i);
        double w = (double)wf_load_f32(want->kv, want->view.dtype, i);
        if (isnan(g) && isnan(w)) continue;
        if (!(fabs(g - w) <= 1e-6 + rounding[want->view.dtype] * fabs(w)))
            fail_msg("KV element %d: %g, ref has %g", (int)i, g, w);
    }
}

static void agrees_with_ref(void **state)
{
    (void)state;
    // Rounded activations round the absorbed queries as well, and the weights before the values.
    static const double steps[WF_N_DTYPES] = {[WF_F32] = 0, [WF_BF16] = 8e-3, [WF_F16] = 1e-3};
    for (size_t i = 0; i < 2 * N_CASES; i++) {
        const latent_case *c = &cases[i / 2];
        if (i % 2 == 1 && c->rank > 64) continue; // once will do
        ran want = run_case(op.ref, WF_F32, c, i % 2 == 0);
        ran got = run_case(op.be, op.act, c, i % 2 == 0);
        double step = fmax(steps[c->dtype], steps[op.act]);
        op_expect_close(&got.wide, &want.wide, 3e-6 + 2.0 * step, 1e-5);
        expect_close_kv(&got, &want);
        op_expect_close(&got.latent, &want.latent, 6e-6 + 2.0 * step, 1e-5);
        op_expect_close(&got.heads, &want.heads, (2e-5 + 2.0 * step) * sqrt(c->rank), 1e-4);
        free(want.kv);
        free(got.kv);
        op_release();
    }
}

static void wrong_shapes(void **state)
{
    (void)state;
    op_seq seq = {0, 2};
    wf_batch *b = op_batch(op.be, &seq, 1, 1, 64);
    wf_kv kv = op_kv(op.be, WF_F32, 64, 1, 24, &seq, 1, 1);
    op_tensor q = op_matrix(op.be, op.act, 2, 96, 0, 5),
              out = op_matrix(op.be, op.act, 2, 64, 0, 0);
    wf_latent_attention_args good = {.batch = b,
                                     .q = q.view,
                                     .n_heads = 4,
                                     .rank = 16,
                                     .scale = 1.0f,
                                     .kv = kv,
                                     .out = out.view},
                             bad = good;
    op_ok(op.be->ops->latent_attention(op.be, NULL, &good));
    bad.n_heads = 3;
    assert_int_equal(op.be->ops->latent_attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.kv.n_kv_heads = 2;
    assert_int_equal(op.be->ops->latent_attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.rank = 25; // more than a row
    assert_int_equal(op.be->ops->latent_attention(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.kv.head_dim = 2 * WF_MAX_LATENT;
    assert_int_equal(op.be->ops->latent_attention(op.be, NULL, &bad), WF_INTERNAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_ref),
        cmocka_unit_test(wrong_shapes),
    };
    return OP_MAIN(argc, argv, tests);
}
