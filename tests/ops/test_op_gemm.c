// gemm and embed against ref.
#include "tests/ops/op_test.h"

typedef struct gemm_case {
    int64_t m, n, k;
    wf_dtype dtype;
    bool bias;
    int32_t block; // of scaled formats
    bool zeros;
} gemm_case;

static const wf_dtype dtypes[] = {WF_F32, WF_BF16, WF_F16};

static void check_gemm(const gemm_case *c)
{
    op_tensor y[2];
    wf_backend *backs[2] = {op.be, op.ref};
    const wf_weight_shape shape = {.dtype = c->dtype,
                                   .n_groups = 1,
                                   .n_rows = c->n,
                                   .n_cols = c->k,
                                   .block = c->block,
                                   .zeros = c->zeros};
    double magnitude = wf_format_scaled(c->dtype) ? 3.0 : 1.0; // of weights
    for (int i = 0; i < 2; i++) {
        wf_backend *be = backs[i];
        wf_dtype act = i == 0 ? op.act : WF_F32;
        op_tensor x = op_matrix(be, act, c->m, c->k, 3, 11);
        y[i] = op_matrix(be, act, c->m, c->n, 5, 0);
        wf_gemm_args a = {.x = x.view,
                          .w = op_weight_of(be, &shape, 12),
                          .bias = c->bias ? op_vector(be, c->n, 13, 0.0f) : NULL,
                          .y = y[i].view};
        op_ok(be->ops->gemm(be, NULL, &a));
    }
    op_expect_close(&y[0], &y[1], magnitude * (1e-7 * (double)c->k + 1e-7), 1e-6);
    op_release();
}

static void every_count_of_rows(void **state)
{
    (void)state;
    for (int64_t m = 1; m <= 70; m++)
        check_gemm(&(gemm_case){m, 45, 37, dtypes[m % 3], m % 2 == 0, 0, false});
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
                check_gemm(
                    &(gemm_case){sizes[i][0], sizes[i][1], sizes[i][2], dtypes[d], bias, 0, false});
}

// Big enough to be shared by threads, by panels and by rows.
static void shared_by_threads(void **state)
{
    (void)state;
    check_gemm(&(gemm_case){1, 1500, 1100, WF_BF16, true, 0, false});
    check_gemm(&(gemm_case){20, 500, 700, WF_BF16, true, 0, false});
    check_gemm(&(gemm_case){200, 300, 400, WF_F32, false, 0, false});
}

// Every scaled format that the back end says it reads, in each geometry of scales.
static void scaled_weights(void **state)
{
    (void)state;
    static const struct {
        wf_dtype dtype;
        int32_t block;
        bool zeros;
    } formats[] = {{WF_FP8, 0, false},   {WF_FP8, 128, false}, {WF_INT8, 0, false},
                   {WF_INT8, 32, true},  {WF_INT4, 0, false},  {WF_INT4, 32, false},
                   {WF_INT4, 64, true},  {WF_INT4, 128, true}, {WF_INT4, 128, false},
                   {WF_MXFP4, 32, false}};
    static const int64_t sizes[][3] = {{1, 1, 128},    {1, 289, 640},  {2, 64, 256},
                                       {3, 65, 384},   {7, 31, 1152},  {12, 128, 256},
                                       {13, 96, 384},  {25, 7, 1024},  {70, 45, 128},
                                       {97, 130, 512}, {200, 33, 640}, {1, 1500, 1152}};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes && op_reads(formats[f].dtype); i++)
            check_gemm(&(gemm_case){sizes[i][0], sizes[i][1], sizes[i][2], formats[f].dtype, i % 2,
                                    formats[f].block, formats[f].zeros});
    // A row of one scale need not end with a group.
    for (int64_t m = 1; m <= 30 && op_reads(WF_INT8); m++)
        check_gemm(&(gemm_case){m, 45, 38 + m, WF_INT8, m % 2 == 0, 0, false});
    for (int64_t m = 1; m <= 30 && op_reads(WF_FP8); m++)
        check_gemm(&(gemm_case){m, 45, 38 + m, WF_FP8, m % 2 == 0, 0, false});
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

// A matrix with the format's own blocks.
static wf_weight_shape shape_of(wf_dtype dtype, int64_t n_rows, int64_t n_cols)
{
    int32_t block = wf_format_of(dtype)->block;
    return (wf_weight_shape){.dtype = dtype,
                             .n_groups = 1,
                             .n_rows = n_rows,
                             .n_cols = n_cols,
                             .block = block > 0 ? block : 0};
}

static void embeds_rows(void **state)
{
    (void)state;
    const int32_t ids[] = {0, 99, 100, 31, 32, 7, 131, -1, 170, 132, 100, 2000000000};
    const int32_t pos[] = {0, 1, 2, 18, 3, 4, 5, 6, 7, 8, 9, 18};
    int64_t n = sizeof ids / sizeof *ids;
    for (wf_dtype d = 0; d < WF_N_DTYPES; d++)
        for (int32_t begin = 0; begin <= 100 && op_reads(d); begin += 100) {
            const wf_weight_shape shape = shape_of(d, 70, wf_format_scaled(d) ? 256 : 53);
            bool more = begin == 0; // scaled, and learned positions are added
            op_tensor y[2];
            wf_backend *backs[2] = {op.be, op.ref};
            for (int i = 0; i < 2; i++) {
                y[i] = op_matrix(backs[i], i == 0 ? op.act : WF_F32, n, shape.n_cols, 2, 0);
                wf_embed_args a = {
                    .ids = op_put(backs[i], ids, sizeof ids),
                    .table = op_weight_of(backs[i], &shape, 21),
                    .vocab_begin = begin,
                    .y = y[i].view,
                    .scale = more ? 5.5f : 0.0f,
                    .positions = more ? op_weight(backs[i], WF_BF16, 21, shape.n_cols, 22) : NULL,
                    .pos = op_put(backs[i], pos, sizeof pos),
                    .first_position = 2};
                op_ok(backs[i]->ops->embed(backs[i], NULL, &a));
            }
            op_expect_close(&y[0], &y[1], more ? 1e-6 : 0.0, 0.0);
        }
}

// Random weights are the same on every back end, element by element.
static void random_weights_agree(void **state)
{
    (void)state;
    enum { ROWS = 45, COLS = 384 };
    int32_t ids[ROWS];
    for (int i = 0; i < ROWS; i++)
        ids[i] = i;
    for (wf_dtype d = 0; d < WF_N_DTYPES; d++) {
        op_tensor y[2];
        wf_backend *backs[2] = {op.be, op.ref};
        if (!op_reads(d)) continue;
        for (int i = 0; i < 2; i++) {
            const wf_weight_shape shape = shape_of(d, ROWS, COLS);
            wf_weight *w = op_weight_of(backs[i], &shape, 1);
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
        double step = wf_format_of(d)->bits == 4 ? 0.002 : 0.0; // what few numbers add to it
        assert_true(fabs(sum / n) < 3 * 0.02 / sqrt(n) + step / 10);
        assert_true(fabs(sqrt(squares / n) - 0.02) < 3 * 0.02 / sqrt(2 * n) + step);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_count_of_rows), cmocka_unit_test(odd_shapes),
        cmocka_unit_test(shared_by_threads),   cmocka_unit_test(scaled_weights),
        cmocka_unit_test(nothing_to_do),       cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(embeds_rows),         cmocka_unit_test(random_weights_agree),
    };
    return OP_MAIN(argc, argv, tests);
}
