// Products with weights of 8 bits on a GPU: every kernel that measuring may choose on aligned
// shapes, scales by row and by 128 k, and the promise that with `deterministic` neither rows nor
// the split of a weight over ranks show.
#include <stdio.h>

#include "tests/ops/op_test.h"

typedef struct scaled_case {
    int64_t m, n, k;
    wf_dtype dtype;
    int32_t block, k_runs;
    bool bias, f32_out;
    int32_t pad; // of rows of x: 2 is for kernels that want less alignment
} scaled_case;

static op_tensor product(wf_backend *be, const scaled_case *c, wf_dtype act)
{
    const wf_weight_shape shape = {
        .dtype = c->dtype, .n_groups = 1, .n_rows = c->n, .n_cols = c->k, .block = c->block};
    op_tensor x = op_matrix(be, act, c->m, c->k, c->pad, 11);
    op_tensor y = op_matrix(be, c->f32_out ? WF_F32 : act, c->m, c->n, 0, 0);
    wf_gemm_args a = {.x = x.view,
                      .w = op_weight_of(be, &shape, 12),
                      .bias = c->bias ? op_vector(be, c->n, 13, 0.0f) : NULL,
                      .k_runs = c->k_runs,
                      .y = y.view};
    op_ok(be->ops->gemm(be, NULL, &a));
    return y;
}

static void compare(const scaled_case *c)
{
    if (c->m * c->n * c->k > 20000000) return; // the oracle takes its time
    op_tensor got = product(op.be, c, op.act), want = product(op.ref, c, WF_F32);
    op_expect_close(&got, &want, 1e-6 * (double)c->k, 2e-6);
    op_release();
}

static const int64_t shapes[][2] = {{96, 768},   {136, 264},  {72, 1792}, {2120, 128},
                                    {9000, 200}, {260, 1088}, {64, 128}};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static wf_backend *with(const char *kernel, bool deterministic)
{
    wf_backend *usual = op.be;
    wf_backend_config config = {
        .numerics = wf_numerics_of(op.act), .isa = kernel, .deterministic = deterministic};
    op_ok(wf_backend_create("cuda", &config, &op.be));
    return usual;
}

static void back_to(wf_backend *usual)
{
    wf_backend_destroy(op.be);
    op.be = usual;
}

static void every_kernel(void **state)
{
    (void)state;
    static const char *const kernels[] = {"w8-pairs-64",    "w8-pairs-128", "w8-runs-64",
                                          "w8-runs-128",    "w8-runs-256",  "w8-shared-64",
                                          "w8-shared-pairs"};
    static const int64_t rows[] = {1, 9, 16, 17, 33, 64, 100, 130};
    if (op.act == WF_F32) return; // they are for 2 bytes
    for (size_t v = 0; v < sizeof kernels / sizeof *kernels; v++) {
        wf_backend *usual = with(kernels[v], false);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (size_t k = 0; k < N_SHAPES; k++)
                compare(&(scaled_case){rows[i], shapes[k][0], shapes[k][1],
                                       (i + k) % 3 == 0 ? WF_INT8 : WF_FP8, 0, 0, (i + k) % 2 == 1,
                                       k % 3 == 1, 0});
        back_to(usual);
    }
}

// Whatever is chosen, with scales of 128 k and sums by runs of k.
static void every_geometry(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 8, 20, 64, 130, 200};
    static const int64_t sizes[][2] = {{96, 768}, {2200, 512}, {264, 2048}};
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        wf_backend *usual = with(NULL, deterministic == 1);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (size_t k = 0; k < 3; k++)
                for (int f = 0; f < 8; f++)
                    compare(&(scaled_case){rows[i], sizes[k][0], sizes[k][1],
                                           f % 2 ? WF_INT8 : WF_FP8, f & 2 ? 128 : 0, f & 4 ? 2 : 0,
                                           (i + k) % 2 == 1, f % 3 == 1, i % 2 ? 2 : 0});
        back_to(usual);
    }
}

// Rows of the first product are those of all others; so are its columns, which a rank with part of
// the weight's rows computes.
static void rows_and_splits_do_not_show(void **state)
{
    (void)state;
    static const int64_t rows[] = {2, 8, 9, 16, 40, 64, 100, 300};
    static const int64_t columns[] = {1536, 768, 192};
    wf_backend *usual = with(NULL, true);
    for (int f = 0; f < 8; f++) {
        scaled_case c = {
            1,    1536,  2048, f % 2 ? WF_INT8 : WF_FP8, f & 2 ? 128 : 0, f & 4 ? 8 : 0,
            true, false, 0};
        op_tensor one = product(op.be, &c, op.act);
        const float *want = op_read(&one);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (size_t n = 0; n < 3; n++) {
                c.m = rows[i];
                c.n = columns[n];
                op_tensor many = product(op.be, &c, op.act);
                op_expect_same_bits(op_read(&many), want, c.n);
            }
        op_release();
    }
    back_to(usual);
}

// x as the kernel rounds it: each row over its greatest magnitude, in fp8.
static void round_rows(op_tensor *x)
{
    int64_t k = x->view.n_cols;
    for (int64_t m = 0; m < x->view.n_rows; m++) {
        float most = 1e-30f, *row = x->values + m * k;
        for (int64_t i = 0; i < k; i++)
            most = fmaxf(most, fabsf(row[i]));
        for (int64_t i = 0; i < k; i++)
            row[i] = wf_fp8_to_f32(wf_f32_to_fp8(row[i] * (448.0f / most))) * (most / 448.0f);
    }
    x->view.data = op_put(x->be, x->values, (size_t)(x->view.n_rows * k) * sizeof(float));
}

static void many_rows_in_fp8(void **state)
{
    (void)state;
    static const scaled_case cases[] = {{65, 96, 768, WF_FP8, 0, 0, false, false, 0},
                                        {100, 208, 1088, WF_FP8, 0, 0, true, false, 0},
                                        {300, 32, 4160, WF_FP8, 0, 0, false, true, 0},
                                        {70, 64, 200, WF_FP8, 0, 0, true, true, 0},
                                        {129, 144, 136, WF_FP8, 0, 0, false, false, 0},
                                        {64, 144, 136, WF_FP8, 0, 0, false, false, 0}};
    wf_backend *usual = op.be;
    wf_backend_config config = {
        .numerics = wf_numerics_of(op.act),
    };
    config.numerics.weight = WF_FP8;
    config.numerics.act_fp8 = true;
    if (op.act == WF_F32) return;
    op_ok(wf_backend_create("cuda", &config, &op.be));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const scaled_case *c = &cases[i];
        const wf_weight_shape shape = {
            .dtype = c->dtype, .n_groups = 1, .n_rows = c->n, .n_cols = c->k};
        op_tensor got = product(op.be, c, op.act),
                  want = op_matrix(op.ref, WF_F32, c->m, c->n, 0, 0);
        op_tensor x = op_matrix(op.ref, WF_F32, c->m, c->k, 0, 11);
        if (c->m > 64) round_rows(&x);
        wf_gemm_args a = {.x = x.view,
                          .w = op_weight_of(op.ref, &shape, 12),
                          .bias = c->bias ? op_vector(op.ref, c->n, 13, 0.0f) : NULL,
                          .y = want.view};
        op_ok(op.ref->ops->gemm(op.ref, NULL, &a));
        op_expect_close(&got, &want, 2e-5 * (double)c->k, 1e-3); // fp8 units add with fewer bits
        op_release();
    }
    wf_backend_destroy(op.be);
    op.be = usual;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel),
        cmocka_unit_test(every_geometry),
        cmocka_unit_test(rows_and_splits_do_not_show),
        cmocka_unit_test(many_rows_in_fp8),
    };
    return OP_MAIN(argc, argv, tests);
}
