// Quantising: every number is the nearest that its scale allows, and the scale is as documented.
#include "kernels/quantize.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "io/base/rng.h"
#include "kernels/convert.h"

enum { COLS = 384 };

static void fill(float *values, uint64_t seed, float most)
{
    wf_rng rng = wf_rng_make(seed, 0);
    for (int i = 0; i < COLS; i++)
        values[i] = most * (2.0f * wf_rng_float(wf_rng_next_u32(&rng)) - 1.0f);
}

// No number of the format lies nearer to value / scale than the one chosen.
static void expect_nearest(const uint8_t *numbers, wf_dtype dtype, int i, float value, float scale)
{
    double got = fabs((double)wf_load_f32(numbers, dtype, i) - (double)(value / scale));
    for (int code = 0; code < 1 << wf_bits_of(dtype); code++) {
        uint8_t one[8] = {(uint8_t)code};
        double other = (double)wf_load_f32(one, dtype, 0);
        if (!isnan(other)) assert_true(got <= fabs(other - (double)(value / scale)));
    }
}

static void numbers_are_the_nearest(void **state)
{
    (void)state;
    static const struct {
        wf_dtype dtype;
        int32_t block;
        float top; // greatest magnitude over scale
    } rows[] = {{WF_FP8, 0, 448.0f},   {WF_FP8, 128, 448.0f}, {WF_INT8, 0, 127.0f},
                {WF_INT8, 64, 127.0f}, {WF_INT4, 128, 7.5f},  {WF_INT4, 32, 7.5f},
                {WF_MXFP4, 32, 0.0f}};
    float values[COLS], scales[COLS / 32], back[COLS];
    uint8_t numbers[COLS];
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int each = rows[r].block ? rows[r].block : COLS;
        fill(values, 3 + r, 0.02f);
        wf_quantize_row(values, COLS, rows[r].dtype, rows[r].block, numbers, scales);
        wf_dequantize_row(numbers, COLS, rows[r].dtype, rows[r].block, scales, NULL, back);
        for (int i = 0; i < COLS; i++) {
            float most = 0.0f, scale = scales[i / each];
            for (int k = i / each * each; k < (i / each + 1) * each; k++)
                most = fmaxf(most, fabsf(values[k]));
            if (rows[r].top > 0.0f)
                assert_true(fabsf(most / scale - rows[r].top) < 1e-4f * rows[r].top);
            else
                assert_true(most / scale >= 4.0f && most / scale < 8.0f &&
                            scale == ldexpf(1.0f, ilogbf(scale)));
            expect_nearest(numbers, rows[r].dtype, i, values[i], scale);
            assert_true(back[i] == wf_load_f32(numbers, rows[r].dtype, i) * scale);
        }
    }
}

static void zeros_and_tiny_rows_have_good_scales(void **state)
{
    (void)state;
    const float most[] = {0.0f, 0x1p-149f, FLT_MIN, 1e38f};
    const wf_dtype dtypes[] = {WF_FP8, WF_INT8, WF_INT4, WF_MXFP4};
    float values[COLS], scales[COLS / 32], back[COLS];
    uint8_t numbers[COLS];
    for (int d = 0; d < 4; d++)
        for (int m = 0; m < 4; m++) {
            for (int i = 0; i < COLS; i++)
                values[i] = i % 3 ? -most[m] : most[m];
            wf_quantize_row(values, COLS, dtypes[d], 32, numbers, scales);
            wf_dequantize_row(numbers, COLS, dtypes[d], 32, scales, NULL, back);
            for (int i = 0; i < COLS; i++) {
                assert_true(isfinite(scales[i / 32]) && scales[i / 32] > 0.0f);
                assert_true(fabsf(back[i] - values[i]) <= fmaxf(FLT_MIN, 0.26f * most[m]));
            }
        }
}

static void zero_points_shift_the_numbers(void **state)
{
    (void)state;
    const uint8_t numbers[2] = {0x87, 0x10}; // 7, -8, 0, 1
    const float scale[2] = {0.5f, 2.0f};
    const int8_t zero[2] = {8, -3};
    float back[4];
    wf_dequantize_row(numbers, 4, WF_INT4, 2, scale, zero, back);
    assert_true(back[0] == -0.5f && back[1] == -8.0f && back[2] == 6.0f && back[3] == 8.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_nearest),
        cmocka_unit_test(zeros_and_tiny_rows_have_good_scales),
        cmocka_unit_test(zero_points_shift_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
