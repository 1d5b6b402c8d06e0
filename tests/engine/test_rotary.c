#include "tests/base/base_test.h"

#include "engine/rotary.h"

#include <math.h>

// Expected numbers: transformers' formulas in numpy float32, dim 128, which round as torch does.
static void inverse_frequencies(void **state)
{
    (void)state;
    static const wf_rope plain = {.type = WF_ROPE_DEFAULT, .theta = 10000.0};
    static const wf_rope linear = {.type = WF_ROPE_LINEAR, .theta = 10000.0, .factor = 4.0};
    static const wf_rope llama3 = {.type = WF_ROPE_LLAMA3, // Llama 3.1 8B
                                   .theta = 500000.0,
                                   .factor = 8.0,
                                   .low_freq = 1.0,
                                   .high_freq = 4.0,
                                   .original_max_context = 8192.0};
    static const struct {
        const wf_rope *rope;
        int i;
        float inv_freq;
    } rows[] = {
        {&plain, 0, 1.0f},
        {&plain, 1, 0.86596435f},
        {&plain, 17, 0.08659643f},
        {&plain, 40, 0.0031622779f},
        {&plain, 63, 0.00011547821f},
        {&linear, 17, 0.021649107f},
        {&llama3, 0, 1.0f},
        {&llama3, 10, 0.12868738f},
        {&llama3, 28, 0.003211446f}, // the last short wave
        {&llama3, 29, 0.0021665706f},
        {&llama3, 30, 0.0013718937f},
        {&llama3, 33, 0.00031269365f},
        {&llama3, 35, 9.556213e-05f}, // the first long wave
        {&llama3, 36, 7.7846555e-05f},
        {&llama3, 63, 3.068926e-07f},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        float inv_freq[64];
        wf_rotary_inv_freq(rows[i].rope, 128, 8192, inv_freq);
        assert_true(fabsf(inv_freq[rows[i].i] / rows[i].inv_freq - 1.0f) < 3e-7f);
    }
}

static void tables(void **state)
{
    (void)state;
    static const wf_rope rope = {.type = WF_ROPE_DEFAULT, .theta = 10000.0};
    enum { HALF = 64, N = 1100 };
    static float cos_all[N * HALF], sin_all[N * HALF], cos_part[3 * HALF], sin_part[3 * HALF];
    assert_ok(wf_rotary_tables(&rope, 2 * HALF, N, 0, N, cos_all, sin_all));
    for (int i = 0; i < HALF; i++)
        assert_true(cos_all[i] == 1.0f && sin_all[i] == 0.0f);
    assert_true(fabsf(cos_all[HALF] - 0.5403023f) < 1e-7f);
    assert_true(fabsf(sin_all[HALF + 17] - 0.08648824f) < 1e-8f);
    // The angle is rounded to f32 before its cosine: the exact angle would give 0.2012505.
    assert_true(fabsf(cos_all[1000 * HALF + 17] - 0.20124616f) < 1e-6f);
    assert_true(fabsf(sin_all[1000 * HALF + 17] + 0.9795407f) < 1e-6f);
    assert_ok(wf_rotary_tables(&rope, 2 * HALF, N, 998, 3, cos_part, sin_part));
    assert_memory_equal(cos_part, cos_all + 998 * HALF, sizeof cos_part);
    assert_memory_equal(sin_part, sin_all + 998 * HALF, sizeof sin_part);
}

// As transformers' build_alibi_tensor has them.
static void slopes_of_alibi(void **state)
{
    (void)state;
    static const struct {
        int32_t n_heads;
        double log2[12];
    } rows[] = {{1, {-8}},
                {8, {-1, -2, -3, -4, -5, -6, -7, -8}},
                {12, {-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float slopes[12];
        wf_alibi_slopes(rows[i].n_heads, slopes);
        for (int32_t k = 0; k < rows[i].n_heads; k++)
            assert_true(fabs((double)slopes[k] - exp2(rows[i].log2[k])) < 1e-7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inverse_frequencies),
        cmocka_unit_test(tables),
        cmocka_unit_test(slopes_of_alibi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
