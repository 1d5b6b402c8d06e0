// route, pack_pairs, experts_gemm and combine against ref.
#include "tests/ops/op_test.h"

// ---- route --------------------------------------------------------------------------------------

typedef struct route_case {
    int64_t n_tokens;
    int32_t n_experts, n_choices, n_groups, n_best_groups;
    wf_score score;
    bool renormalise, biased;
} route_case;

static void check_route(const route_case *c)
{
    int64_t n_pairs = c->n_tokens * c->n_choices;
    int32_t *ids[2];
    op_tensor weight[2];
    wf_backend *backs[2] = {op.be, op.ref};
    for (int i = 0; i < 2; i++) {
        wf_backend *be = backs[i];
        op_tensor logits = op_matrix(be, WF_F32, c->n_tokens, c->n_experts, 3, 31);
        weight[i] = op_matrix(be, WF_F32, 1, n_pairs, 0, 0);
        ids[i] = calloc((size_t)n_pairs, sizeof **ids);
        int32_t *device = op_put(be, ids[i], (size_t)n_pairs * 4);
        wf_route_args a = {.logits = logits.view,
                           .score = c->score,
                           .choice_bias = c->biased ? op_vector(be, c->n_experts, 5, 0.0f) : NULL,
                           .n_choices = c->n_choices,
                           .n_groups = c->n_groups,
                           .n_best_groups = c->n_best_groups,
                           .renormalise = c->renormalise,
                           .scale = 1.5f,
                           .expert = device,
                           .weight = weight[i].view.data};
        op_ok(be->ops->route(be, NULL, &a));
        op_get(be, ids[i], device, (size_t)n_pairs * 4);
    }
    assert_memory_equal(ids[0], ids[1], (size_t)n_pairs * 4);
    op_expect_close(&weight[0], &weight[1], 1e-7, 2e-6);
    free(ids[0]);
    free(ids[1]);
    op_release();
}

// Logits are rounded to the activations' format: in 2-byte ones many are the same.
static void routes(void **state)
{
    (void)state;
    static const route_case cases[] = {
        {5, 1, 1, 0, 0, WF_SCORE_SOFTMAX, true, false},
        {33, 8, 2, 1, 1, WF_SCORE_SOFTMAX, true, false},
        {17, 60, 4, 0, 0, WF_SCORE_SOFTMAX, false, false},
        {70, 128, 8, 0, 0, WF_SCORE_SOFTMAX, true, false},
        {9, 512, 32, 0, 0, WF_SCORE_SOFTMAX, false, true},
        {21, 160, 6, 8, 3, WF_SCORE_SOFTMAX, false, false},
        {40, 256, 8, 8, 4, WF_SCORE_SIGMOID, true, true},
        {12, 32, 3, 32, 5, WF_SCORE_SIGMOID, false, true},
        {1, 128, 8, 0, 0, WF_SCORE_SIGMOID, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_route(&cases[i]);
}

static void equal_scores_take_the_lowest(void **state)
{
    (void)state;
    enum { E = 100, C = 5 };
    float logits[E], weight[C];
    int32_t ids[C];
    for (int e = 0; e < E; e++)
        logits[e] = e == 77 ? 3.0f : e == 13 ? NAN : 1.0f;
    wf_route_args a = {.logits = wf_matrix_of(op_put(op.be, logits, sizeof logits), WF_F32, 1, E),
                       .n_choices = C,
                       .renormalise = true,
                       .scale = 1.0f,
                       .expert = op_put(op.be, ids, sizeof ids),
                       .weight = op_put(op.be, weight, sizeof weight)};
    op_ok(op.be->ops->route(op.be, NULL, &a));
    op_get(op.be, ids, a.expert, sizeof ids);
    const int32_t want[C] = {77, 0, 1, 2, 3};
    assert_memory_equal(ids, want, sizeof want);
}

// ---- pack_pairs ---------------------------------------------------------------------------------

// Experts of pairs: every third pair takes expert 3, the others any; experts from 5/6 on get none.
static int32_t *choose(int32_t n_pairs, int32_t n_experts)
{
    int32_t *ids = malloc((size_t)n_pairs * sizeof *ids);
    assert_non_null(ids);
    for (int32_t p = 0; p < n_pairs; p++)
        ids[p] = p % 3 == 0 ? 3 % n_experts : op_random_int(77, p, n_experts - n_experts / 6);
    return ids;
}

static wf_pack_pairs_args pack(wf_backend *be, int32_t n_pairs, int32_t n_all, int32_t first,
                               int32_t n)
{
    int32_t *ids = choose(n_pairs, n_all);
    wf_pack_pairs_args a = {.expert = op_put(be, ids, (size_t)n_pairs * 4),
                            .n_pairs = n_pairs,
                            .first_expert = first,
                            .n_experts = n,
                            .begin = op_put(be, ids, 4), // as large as below
                            .pair = op_put(be, ids, (size_t)n_pairs * 4),
                            .row = op_put(be, ids, (size_t)n_pairs * 4)};
    int32_t none[WF_MAX_EXPERTS + 1] = {0};
    a.begin = op_put(be, none, (size_t)(n + 1) * 4);
    op_ok(be->ops->pack_pairs(be, NULL, &a));
    free(ids);
    return a;
}

static void packs_by_expert(void **state)
{
    (void)state;
    static const int32_t cases[][4] = {{1, 8, 0, 8},      {16, 8, 4, 4},         {300, 128, 0, 128},
                                       {5000, 60, 0, 60}, {5000, 512, 128, 200}, {999, 4, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t n = cases[i][0], n_here = cases[i][3], got[5000], want[5000];
        wf_pack_pairs_args a = pack(op.be, n, cases[i][1], cases[i][2], n_here);
        wf_pack_pairs_args r = pack(op.ref, n, cases[i][1], cases[i][2], n_here);
        op_get(op.be, got, a.row, (size_t)n * 4);
        assert_memory_equal(got, r.row, (size_t)n * 4);
        op_get(op.be, want, a.begin, (size_t)(n_here + 1) * 4);
        assert_memory_equal(want, r.begin, (size_t)(n_here + 1) * 4);
        op_get(op.be, got, a.pair, (size_t)n * 4);
        assert_memory_equal(got, r.pair, (size_t)want[n_here] * 4);
        op_release();
    }
}

// ---- experts_gemm -------------------------------------------------------------------------------

typedef struct gemm_case {
    int32_t n_tokens, n_choices, n_experts, first, n_here; // of which first .. first + n_here
    int64_t n, k;
    wf_gate gate;
    bool gathered, bias, f32; // f32: y
    int32_t k_runs;
} gemm_case;

// Rows [0, begin[E]) are close, the others as they were: NaN.
static void expect_rows(op_tensor *got, op_tensor *want, double abs)
{
    const float *g = op_read(got), *w = op_read(want);
    double rel = got->view.dtype == WF_BF16 ? 0x1p-8 : got->view.dtype == WF_F16 ? 0x1p-11 : 1e-6;
    for (int64_t i = 0; i < want->view.n_rows * want->view.n_cols; i++) {
        bool same = isnan(g[i]) && isnan(w[i]);
        if (!same && !(fabs((double)g[i] - (double)w[i]) <= abs + rel * fabs((double)w[i])))
            fail_msg("row %d column %d: %.9g, ref has %.9g", (int)(i / want->view.n_cols),
                     (int)(i % want->view.n_cols), (double)g[i], (double)w[i]);
    }
}

// The sum of all runs, into the first.
static void add_runs(op_tensor *y, int64_t n_rows, int32_t n_runs)
{
    op_read(y);
    for (int64_t i = 0; i < n_rows * y->view.n_cols; i++)
        for (int32_t r = 1; r < n_runs; r++)
            y->values[i] += y->values[r * n_rows * y->view.n_cols + i];
}

static op_tensor multiply(wf_backend *be, const gemm_case *c, wf_dtype dtype)
{
    int32_t n_pairs = c->n_tokens * c->n_choices, runs = c->k_runs > 1 ? c->k_runs : 1;
    wf_dtype act = be == op.ref ? WF_F32 : op.act;
    int64_t w_rows = c->gate == WF_GATE_NONE ? c->n : 2 * c->n;
    wf_pack_pairs_args p = pack(be, n_pairs, c->n_experts, c->first, c->n_here);
    op_tensor x = op_matrix(be, act, c->gathered ? c->n_tokens : n_pairs, c->k, 8, 11);
    op_tensor y = op_matrix(be, c->f32 ? WF_F32 : act, runs * n_pairs, c->n, 2, 0);
    wf_experts_gemm_args a = {.x = x.view,
                              .begin = p.begin,
                              .pair = c->gathered ? p.pair : NULL,
                              .n_choices = c->n_choices,
                              .w = op_weights(be, dtype, c->n_here, w_rows, c->k, 12),
                              .bias = c->bias ? op_vector(be, c->n_here * w_rows, 13, 0.0f) : NULL,
                              .gate = c->gate,
                              .y = wf_matrix_head(y.view, n_pairs),
                              .k_runs = c->k_runs,
                              .run_stride = n_pairs * y.view.stride};
    op_ok(be->ops->experts_gemm(be, NULL, &a));
    if (runs > 1) {
        add_runs(&y, n_pairs, runs);
        return y;
    }
    op_read(&y);
    return y;
}

static void check_gemm(const gemm_case *c, wf_dtype dtype)
{
    op_tensor got = multiply(op.be, c, dtype), want = multiply(op.ref, c, dtype);
    double abs = (1e-7 * (double)c->k + 1e-7) * (c->gate == WF_GATE_NONE ? 1.0 : 4.0);
    int64_t n_pairs = c->n_tokens * c->n_choices;
    if (c->k_runs > 1) {
        for (int64_t i = 0; i < n_pairs * c->n; i++) // sums of all runs, of every row
            if (!(fabs((double)got.values[i] - (double)want.values[i]) <= 2e-6 * (double)c->k))
                fail_msg("element %d: %.9g, ref has %.9g", (int)i, (double)got.values[i],
                         (double)want.values[i]);
    } else {
        expect_rows(&got, &want, abs);
    }
    op_release();
}

static const wf_dtype dtypes[] = {WF_F32, WF_BF16, WF_F16};

static void multiplies_by_expert(void **state)
{
    (void)state;
    static const gemm_case cases[] = {
        // tokens, choices, experts, first, here, n, k, gate, gathered, bias, f32 y, runs
        {1, 2, 4, 0, 4, 64, 64, WF_GATE_NONE, true, false, false, 0},
        {1, 8, 32, 0, 32, 33, 40, WF_GATE_SILU, true, false, false, 0},
        {3, 4, 6, 0, 6, 45, 37, WF_GATE_SILU, true, true, false, 0},
        {40, 2, 4, 0, 4, 70, 96, WF_GATE_CLAMPED, true, true, false, 0},
        {50, 3, 4, 0, 4, 130, 200, WF_GATE_NONE, false, true, false, 0},
        {130, 4, 8, 2, 4, 72, 136, WF_GATE_SILU, true, false, false, 0},
        {200, 4, 4, 0, 4, 200, 128, WF_GATE_SILU, true, true, false, 0},
        {60, 2, 12, 6, 6, 96, 64, WF_GATE_NONE, false, false, true, 0},
        {20, 2, 4, 0, 4, 66, 128, WF_GATE_NONE, false, true, true, 8},
        {20, 2, 4, 0, 4, 64, 96, WF_GATE_NONE, false, false, true, 2},
        {300, 2, 3, 0, 3, 140, 72, WF_GATE_NONE, false, true, false, 0},
        {9, 1, 1, 0, 1, 40, 64, WF_GATE_CLAMPED, false, true, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int d = 0; d < 3; d++)
            check_gemm(&cases[i], dtypes[d]);
}

// A row has the bits that it has alone, whatever stands beside it.
static void rows_stand_alone(void **state)
{
    (void)state;
    enum { T = 150, C = 2, E = 4, N = 80, K = 192 };
    wf_gate gates[] = {WF_GATE_NONE, WF_GATE_SILU, WF_GATE_CLAMPED};
    for (int g = 0; g < 3; g++) {
        int32_t *ids = choose(T * C, E), none[E + 1] = {0};
        wf_weight *w = op_weights(op.be, WF_BF16, E, g == 0 ? N : 2 * N, K, 12);
        op_tensor x = op_matrix(op.be, op.act, T, K, 0, 11);
        op_tensor all = op_matrix(op.be, op.act, T * C, N, 0, 0);
        op_tensor one = op_matrix(op.be, op.act, C, N, 0, 0);
        int32_t rows[T * C], few[C];
        size_t x_row = (size_t)x.view.stride * wf_dtype_bytes(op.act);
        for (int t = -1; t < T; t += t < 0 ? 1 : 13) { // all of them, then some alone
            int32_t n = t < 0 ? T * C : C, from = t < 0 ? 0 : t * C;
            wf_pack_pairs_args p = {.expert = op_put(op.be, ids + from, (size_t)n * 4),
                                    .n_pairs = n,
                                    .n_experts = E,
                                    .begin = op_put(op.be, none, sizeof none),
                                    .pair = op_put(op.be, ids, (size_t)n * 4),
                                    .row = op_put(op.be, ids, (size_t)n * 4)};
            op_ok(op.be->ops->pack_pairs(op.be, NULL, &p));
            wf_experts_gemm_args a = {.x = x.view,
                                      .begin = p.begin,
                                      .pair = p.pair,
                                      .n_choices = C,
                                      .w = w,
                                      .gate = gates[g],
                                      .y = t < 0 ? all.view : one.view};
            if (t >= 0) {
                a.x.n_rows = 1;
                a.x.data = (char *)a.x.data + (size_t)t * x_row;
            }
            op_ok(op.be->ops->experts_gemm(op.be, NULL, &a));
            op_get(op.be, t < 0 ? rows : few, p.row, (size_t)n * 4);
            if (t < 0) op_read(&all);
            for (int c = 0; t >= 0 && c < C; c++)
                op_expect_same_bits(op_read(&one) + few[c] * N, all.values + rows[from + c] * N, N);
        }
        free(ids);
        op_release();
    }
}

// ---- combine ------------------------------------------------------------------------------------

typedef struct combine_case {
    int32_t n_tokens, n_choices;
    int64_t n;
    int32_t k_runs, shared; // 1: an expert of all; 2: with a gate
    bool f32;
} combine_case;

static op_tensor combine(wf_backend *be, const combine_case *c)
{
    int32_t runs = c->k_runs > 1 ? c->k_runs : 1, n_pairs = c->n_tokens * c->n_choices;
    wf_dtype act = be == op.ref || c->f32 ? WF_F32 : op.act;
    // A third of the experts are elsewhere.
    wf_pack_pairs_args p = pack(be, n_pairs, 12, 0, 8);
    op_tensor x = op_matrix(be, act, runs * n_pairs, c->n, 8, 3);
    op_tensor shared = op_matrix(be, act, runs * c->n_tokens, c->n, 0, 4);
    op_tensor y = op_matrix(be, act, c->n_tokens, c->n, 3, 0);
    wf_combine_args a = {.x = wf_matrix_head(x.view, n_pairs),
                         .n_choices = c->n_choices,
                         .row = p.row,
                         .weight = op_vector(be, n_pairs, 9, 1.0f),
                         .shared_gate = c->shared > 1 ? op_vector(be, c->n_tokens, 8, 0.0f) : NULL,
                         .k_runs = c->k_runs,
                         .run_stride = n_pairs * x.view.stride,
                         .shared_run_stride = c->n_tokens * shared.view.stride,
                         .y = y.view};
    if (c->shared > 0) a.shared = wf_matrix_head(shared.view, c->n_tokens);
    op_ok(be->ops->combine(be, NULL, &a));
    return y;
}

static void combines(void **state)
{
    (void)state;
    static const combine_case cases[] = {{1, 2, 64, 0, 0, false},  {7, 8, 100, 0, 0, true},
                                         {30, 4, 33, 0, 2, false}, {30, 4, 144, 8, 0, true},
                                         {12, 2, 64, 4, 2, true},  {5, 1, 70, 2, 1, true},
                                         {3, 6, 8, 8, 1, true},    {200, 2, 40, 0, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_tensor got = combine(op.be, &cases[i]), want = combine(op.ref, &cases[i]);
        op_expect_close(&got, &want, 2e-5, 1e-6);
        op_release();
    }
}

static void wrong_shapes(void **state)
{
    (void)state;
    wf_weight *two = op_weights(op.be, WF_BF16, 2, 33, 40, 12);
    op_tensor x = op_matrix(op.be, op.act, 4, 40, 0, 11), y = op_matrix(op.be, op.act, 4, 33, 0, 0);
    wf_gemm_args plain = {.x = x.view, .w = two, .y = y.view};
    assert_int_equal(op.be->ops->gemm(op.be, NULL, &plain), WF_INTERNAL);
    wf_experts_gemm_args bad = {.x = x.view, .n_choices = 1, .w = two, .y = y.view};
    assert_int_equal(op.be->ops->experts_gemm(op.be, NULL, &bad), WF_INTERNAL); // whose rows?
    wf_route_args r = {.logits = wf_matrix_of(x.view.data, WF_F32, 1, 8), .n_choices = 9};
    assert_int_equal(op.be->ops->route(op.be, NULL, &r), WF_INTERNAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),           cmocka_unit_test(equal_scores_take_the_lowest),
        cmocka_unit_test(packs_by_expert),  cmocka_unit_test(multiplies_by_expert),
        cmocka_unit_test(rows_stand_alone), cmocka_unit_test(combines),
        cmocka_unit_test(wrong_shapes),
    };
    return OP_MAIN(argc, argv, tests);
}
