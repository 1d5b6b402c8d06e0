// gate_mul and activate, of every curve, against ref.
#include "tests/ops/op_test.h"

// The curves alone, and behind them as gates.
enum { N_FORMS = 2 * WF_N_CURVES };

static bool gated(int form)
{
    return form >= WF_N_CURVES;
}

static wf_status run(wf_backend *be, int form, wf_matrix x, wf_matrix y)
{
    wf_activation_args a = {.x = x, .y = y, .curve = (wf_curve)(form % WF_N_CURVES)};
    return (gated(form) ? be->ops->gate_mul : be->ops->activate)(be, NULL, &a);
}

static const int64_t shapes[][2] = {{1, 1}, {1, 15}, {3, 16}, {2, 33}, {70, 129}, {200, 700}};

static void activations(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int form = 0; form < N_FORMS; form++) {
            op_tensor y[2];
            for (int i = 0; i < 2; i++) {
                wf_dtype act = i == 0 ? op.act : WF_F32;
                int64_t n_in = (gated(form) ? 2 : 1) * shapes[s][1];
                op_tensor x = op_matrix(backs[i], act, shapes[s][0], n_in, 3, 61);
                y[i] = op_matrix(backs[i], act, shapes[s][0], shapes[s][1], 2, 0);
                op_ok(run(backs[i], form, x.view, y[i].view));
            }
            op_expect_close(&y[0], &y[1], 1e-7, 1e-6);
            op_release();
        }
}

// In place, up to where it is flat.
static void softcaps(void **state)
{
    (void)state;
    static const float caps[] = {0.02f, 0.5f, 30.0f};
    wf_backend *backs[2] = {op.be, op.ref};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t k = 0; k < sizeof caps / sizeof *caps; k++) {
            op_tensor x[2];
            for (int i = 0; i < 2; i++) {
                x[i] = op_matrix(backs[i], WF_F32, shapes[s][0], shapes[s][1], 3, 62);
                wf_softcap_args a = {.x = x[i].view, .cap = caps[k]};
                op_ok(backs[i]->ops->softcap(backs[i], NULL, &a));
            }
            op_expect_close(&x[0], &x[1], 1e-7, 1e-6);
            op_release();
        }
}

// Far from 0, where exponentials over- and underflow, and what is not a number.
static void extremes(void **state)
{
    (void)state;
    const float gate[] = {0.0f,    -0.0f, 1e-30f, 20.0f, -20.0f, 88.0f,    -88.0f, 127.0f,
                          -127.0f, 1e4f,  -1e4f,  3e38f, -3e38f, INFINITY, -30.0f, NAN};
    enum { N = sizeof gate / sizeof *gate };
    wf_backend *backs[2] = {op.be, op.ref};
    op_tensor y[N_FORMS][2];
    for (int i = 0; i < 2; i++) {
        wf_dtype act = i == 0 ? op.act : WF_F32;
        char x[2 * N * sizeof(float)];
        for (int j = 0; j < 2 * N; j++) {
            uint32_t word;
            wf_store_f32(&word, op.act, 0, j < N ? gate[j] : 1.0f);
            wf_store_f32(x, act, j, wf_load_f32(&word, op.act, 0));
        }
        void *device = op_put(backs[i], x, sizeof x);
        for (int form = 0; form < N_FORMS; form++) {
            y[form][i] = op_matrix(backs[i], act, 1, N, 0, 0);
            wf_matrix x_view = wf_matrix_of(device, act, 1, gated(form) ? 2 * N : N);
            op_ok(run(backs[i], form, x_view, y[form][i].view));
        }
    }
    for (int form = 0; form < N_FORMS; form++) {
        const float *got = op_read(&y[form][0]), *want = op_read(&y[form][1]);
        for (int j = 0; j < N; j++)
            if (isnan(want[j]) || isinf(want[j]))
                assert_true(isnan(want[j]) ? isnan(got[j]) : got[j] == want[j]);
            else if (!(fabsf(got[j] - want[j]) <= 2e-7f + 0.01f * fabsf(want[j])))
                fail_msg("form %d(%g) = %g, ref has %g", form, (double)gate[j], (double)got[j],
                         (double)want[j]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),
        cmocka_unit_test(softcaps),
        cmocka_unit_test(extremes),
    };
    return OP_MAIN(argc, argv, tests);
}
