// gemm and embed against ref.
#include "tests/ops/op_test.h"

typedef struct gemm_case {
    int64_t m, n, k;
    wf_dtype dtype;
    bool bias;
} gemm_case;

static const wf_dtype dtypes[] = {WF_F32, WF_BF16, WF_F16};

static void check_gemm(const gemm_case *c)
{
    op_tensor y[2];
    wf_backend *backs[2] = {op.be, op.ref};
    for (int i = 0; i < 2; i++) {
        wf_backend *be = backs[i];
        wf_dtype act = i == 0 ? op.act : WF_F32;
        op_tensor x = op_matrix(be, act, c->m, c->k, 3, 11);
        y[i] = op_matrix(be, act, c->m, c->n, 5, 0);
        wf_gemm_args a = {.x = x.view,
                          .w = op_weight(be, c->dtype, c->n, c->k, 12),
                          .bias = c->bias ? op_vector(be, c->n, 13, 0.0f) : NULL,
                          .y = y[i].view};
        op_ok(be->ops->gemm(be, NULL, &a));
    }
    op_expect_close(&y[0], &y[1], 1e-7 * (double)c->k + 1e-7, 1e-6);
    op_release();
}

static void every_count_of_rows(void **state)
{
    (void)state;
    for (int64_t m = 1; m <= 70; m++)
        check_gemm(&(gemm_case){m, 45, 37, dtypes[m % 3], m % 2 == 0});
}

static void odd_shapes(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},     {1, 31, 1},     {1, 33, 7},    {1, 160, 129},
                                       {1, 289, 515}, {2, 64, 256},   {3, 65, 257},  {5, 97, 600},
                                       {11, 32, 513}, {12, 128, 256}, {13, 96, 259}, {25, 7, 1030},
                                       {97, 70, 300}, {130, 33, 520}, {530, 40, 270}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int d = 0; d < 3; d++)
            for (int bias = 0; bias < 2; bias++)
                check_gemm(&(gemm_case){sizes[i][0], sizes[i][1], sizes[i][2], dtypes[d], bias});
}

// Big enough to be shared by threads, by panels and by rows.
static void shared_by_threads(void **state)
{
    (void)state;
    check_gemm(&(gemm_case){1, 1500, 1100, WF_BF16, true});
    check_gemm(&(gemm_case){20, 500, 700, WF_BF16, true});
    check_gemm(&(gemm_case){200, 300, 400, WF_F32, false});
}

static void nothing_to_do(void **state)
{
    (void)state;
    op_tensor x = op_matrix(op.be, op.act, 0, 40, 0, 11), y = op_matrix(op.be, op.act, 0, 33, 0, 0);
    wf_gemm_args a = {.x = x.view, .w = op_weight(op.be, WF_BF16, 33, 40, 12), .y = y.view};
    op_ok(op.be->ops->gemm(op.be, NULL, &a));
    op_read(&y);
}

static void wrong_shapes(void **state)
{
    (void)state;
    op_tensor x = op_matrix(op.be, op.act, 4, 40, 0, 11), y = op_matrix(op.be, op.act, 4, 33, 0, 0);
    wf_gemm_args good = {.x = x.view, .w = op_weight(op.be, WF_BF16, 33, 40, 12), .y = y.view};
    wf_gemm_args bad = good;
    bad.x.n_cols = 39;
    assert_int_equal(op.be->ops->gemm(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.y.n_rows = 3;
    assert_int_equal(op.be->ops->gemm(op.be, NULL, &bad), WF_INTERNAL);
    bad = good;
    bad.y.data = NULL;
    assert_int_equal(op.be->ops->gemm(op.be, NULL, &bad), WF_INTERNAL);
}

static void embeds_rows(void **state)
{
    (void)state;
    const int32_t ids[] = {0, 99, 100, 31, 32, 7, 131, -1, 170, 132, 100, 2000000000};
    int64_t n = sizeof ids / sizeof *ids;
    for (int d = 0; d < 3; d++)
        for (int32_t begin = 0; begin <= 100; begin += 100) {
            op_tensor y[2];
            wf_backend *backs[2] = {op.be, op.ref};
            for (int i = 0; i < 2; i++) {
                y[i] = op_matrix(backs[i], i == 0 ? op.act : WF_F32, n, 53, 2, 0);
                wf_embed_args a = {.ids = op_put(backs[i], ids, sizeof ids),
                                   .table = op_weight(backs[i], dtypes[d], 70, 53, 21),
                                   .vocab_begin = begin,
                                   .y = y[i].view};
                op_ok(backs[i]->ops->embed(backs[i], NULL, &a));
            }
            op_expect_close(&y[0], &y[1], 0.0, 0.0);
        }
}

// Random weights are the same on every back end, element by element.
static void random_weights_agree(void **state)
{
    (void)state;
    enum { ROWS = 45, COLS = 300 };
    int32_t ids[ROWS];
    for (int i = 0; i < ROWS; i++)
        ids[i] = i;
    for (int d = 0; d < 3; d++) {
        op_tensor y[2];
        wf_backend *backs[2] = {op.be, op.ref};
        for (int i = 0; i < 2; i++) {
            wf_weight *w = op_weight(backs[i], dtypes[d], ROWS, COLS, 1);
            op_ok(backs[i]->ops->weight_random(backs[i], w, 42, 0.02f));
            y[i] = op_matrix(backs[i], i == 0 ? op.act : WF_F32, ROWS, COLS, 0, 0);
            wf_embed_args a = {
                .ids = op_put(backs[i], ids, sizeof ids), .table = w, .y = y[i].view};
            op_ok(backs[i]->ops->embed(backs[i], NULL, &a));
        }
        op_expect_close(&y[0], &y[1], 0.0, 0.0);
        double squares = 0.0, sum = 0.0;
        for (int i = 0; i < ROWS * COLS; i++) {
            sum += (double)y[1].values[i];
            squares += (double)y[1].values[i] * (double)y[1].values[i];
        }
        double n = ROWS * COLS; // 3 standard errors of a normal sample's mean and deviation
        assert_true(fabs(sum / n) < 3 * 0.02 / sqrt(n));
        assert_true(fabs(sqrt(squares / n) - 0.02) < 3 * 0.02 / sqrt(2 * n));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_count_of_rows),  cmocka_unit_test(odd_shapes),
        cmocka_unit_test(shared_by_threads),    cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(wrong_shapes),         cmocka_unit_test(embeds_rows),
        cmocka_unit_test(random_weights_agree),
    };
    return OP_MAIN(argc, argv, tests);
}
