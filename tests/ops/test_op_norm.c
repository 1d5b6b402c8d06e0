// rmsnorm, layernorm and add against ref.
#include "tests/ops/op_test.h"

static const int64_t shapes[][2] = {{1, 1},   {1, 15},   {2, 16},   {3, 17},    {5, 64},
                                    {7, 100}, {1, 4096}, {9, 2050}, {257, 300}, {70, 1024}};

typedef enum norm_kind { RMS, LAYER, LAYER_NO_BIAS, N_KINDS } norm_kind;

static void run_norm(wf_backend *be, norm_kind kind, float scale, op_tensor *x, op_tensor *residual,
                     op_tensor *y)
{
    int64_t n = x->view.n_cols;
    const float *weight = op_vector(be, n, 31, 1.0f), *bias = op_vector(be, n, 32, 0.0f);
    wf_matrix sum = residual != NULL ? residual->view : (wf_matrix){0};
    if (kind == RMS) {
        wf_rmsnorm_args a = {x->view, sum, weight, 1e-5f, y->view, scale};
        op_ok(be->ops->rmsnorm(be, NULL, &a));
    } else {
        wf_layernorm_args a = {x->view, sum,     weight, kind == LAYER ? bias : NULL,
                               1e-5f,   y->view, scale};
        op_ok(be->ops->layernorm(be, NULL, &a));
    }
}

static void norms(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int kind = 0; kind < N_KINDS; kind++)
            for (int way = 0; way < 3; way++) { // alone, added, scaled and added
                op_tensor x[2], residual[2], y[2];
                for (int i = 0; i < 2; i++) {
                    wf_dtype act = i == 0 ? op.act : WF_F32;
                    x[i] = op_matrix(backs[i], act, shapes[s][0], shapes[s][1], 3, 41);
                    residual[i] = op_matrix(backs[i], act, shapes[s][0], shapes[s][1], 7, 42);
                    y[i] = op_matrix(backs[i], act, shapes[s][0], shapes[s][1], 1, 0);
                    run_norm(backs[i], (norm_kind)kind, way == 2 ? 0.22f : 0.0f, &x[i],
                             way > 0 ? &residual[i] : NULL, &y[i]);
                }
                op_expect_close(&y[0], &y[1], 4e-6, 4e-6);
                op_expect_close(&x[0], &x[1], 0.0, 0.0);
                op_expect_close(&residual[0], &residual[1], way == 2 ? 1e-7 : 0.0, 1e-7);
                op_release();
            }
}

static void adds(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        op_tensor y[2];
        for (int i = 0; i < 2; i++) {
            wf_dtype act = i == 0 ? op.act : WF_F32;
            op_tensor x = op_matrix(backs[i], act, shapes[s][0], shapes[s][1], 3, 51);
            y[i] = op_matrix(backs[i], act, shapes[s][0], shapes[s][1], 2, 52);
            wf_add_args a = {x.view, y[i].view};
            op_ok(backs[i]->ops->add(backs[i], NULL, &a));
        }
        op_expect_close(&y[0], &y[1], 0.0, 1e-7);
        op_release();
    }
}

static void wrong_shapes(void **state)
{
    (void)state;
    op_tensor x = op_matrix(op.be, op.act, 4, 40, 0, 11), y = op_matrix(op.be, op.act, 4, 40, 0, 0);
    wf_rmsnorm_args a = {.x = x.view, .weight = op_vector(op.be, 40, 1, 0.0f), .y = y.view};
    a.y.n_cols = 39;
    assert_int_equal(op.be->ops->rmsnorm(op.be, NULL, &a), WF_INTERNAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms),
        cmocka_unit_test(adds),
        cmocka_unit_test(wrong_shapes),
    };
    return OP_MAIN(argc, argv, tests);
}
