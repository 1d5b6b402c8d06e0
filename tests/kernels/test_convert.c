// Conversions between stored numbers and f32: every half number, and rounding of what lies between.
#include "kernels/convert.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/base/rng.h"
#include "kernels/backend.h"
#include "kernels/kv.h"

// The value of a half number from its definition.
static double half_value(uint16_t h, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, exponent = (h & 0x7fff) >> mantissa_bits;
    double mantissa = (double)(h & ((1 << mantissa_bits) - 1)) / (double)(1 << mantissa_bits);
    double value =
        exponent == 0 ? ldexp(mantissa, 1 - bias) : ldexp(1.0 + mantissa, exponent - bias);
    if (exponent == (1 << exponent_bits) - 1) value = mantissa != 0.0 ? NAN : INFINITY;
    return (h & 0x8000) != 0 ? -value : value;
}

static const struct {
    wf_dtype dtype;
    int exponent_bits, mantissa_bits;
} kinds[] = {{WF_BF16, 8, 7}, {WF_F16, 5, 10}};

static void every_half_number(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < 65536; i++) {
            uint16_t h[2] = {(uint16_t)i}, back[2];
            double want = half_value(h[0], kinds[k].exponent_bits, kinds[k].mantissa_bits);
            float got = wf_load_f32(h, kinds[k].dtype, 0);
            wf_store_f32(back, kinds[k].dtype, 0, got);
            if (isnan(want)) {
                assert_true(isnan(got));
                assert_true(isnan(wf_load_f32(back, kinds[k].dtype, 0)));
                continue;
            }
            assert_true((double)got == want && !signbit(got) == !signbit(want));
            assert_int_equal(back[0], h[0]);
        }
}

// A random f32 goes to the nearer of its two neighbours, to the even one in the middle.
static void rounds_to_nearest_even(void **state)
{
    (void)state;
    wf_rng rng = wf_rng_make(5, 0);
    for (int i = 0; i < 400000; i++) {
        int k = i % 2;
        // Exponents of every half number and a little more; middles are made often.
        uint32_t bits = wf_rng_next_u32(&rng);
        if (k == 1) bits = (bits & 0x807fffffu) | (100u + wf_rng_next_u32(&rng) % 46u) << 23;
        if (i % 5 == 0) bits &= ~0u << (kinds[k].dtype == WF_F16 ? 12 : 15);
        float x = wf_f32_of_bits(bits);
        if (!isfinite(x)) continue;
        uint16_t stored[2], h;
        wf_store_f32(stored, kinds[k].dtype, 0, x);
        h = stored[0];
        double got = fabs(half_value(h, kinds[k].exponent_bits, kinds[k].mantissa_bits));
        double want = fabs((double)x);
        uint16_t below = (uint16_t)(h & 0x7fff);
        // Neighbours of the answer; beyond the last finite one stands the next power of two.
        double up =
            half_value((uint16_t)(below + 1), kinds[k].exponent_bits, kinds[k].mantissa_bits);
        double down = below == 0 ? 0.0
                                 : half_value((uint16_t)(below - 1), kinds[k].exponent_bits,
                                              kinds[k].mantissa_bits);
        double over = ldexp(1.0, 1 << (kinds[k].exponent_bits - 1));
        if (isinf(up)) up = over;
        if (isinf(got)) got = over;
        assert_int_equal(h >> 15, bits >> 31);
        if (got == over) {
            assert_true(want >= (down + over) / 2);
            continue;
        }
        assert_true(fabs(got - want) <= fabs(up - want));
        assert_true(below == 0 || fabs(got - want) <= fabs(down - want));
        if (fabs(got - want) == fabs(up - want) ||
            (below != 0 && fabs(got - want) == fabs(down - want)))
            assert_int_equal(h & 1, 0);
    }
}

// The value of a small number from its definition; NAN where it has none.
static double small_value(wf_dtype dtype, int code)
{
    switch (dtype) {
    case WF_INT8:
        return code < 128 ? code : code - 256;
    case WF_INT4:
        return code < 8 ? code : code - 16;
    case WF_FP8: {
        double value = half_value((uint16_t)(code & 0x7f), 4, 3);
        if ((code & 0x78) == 0x78) value = ldexp(1.0 + (code & 7) / 8.0, 8); // no infinities
        return (code & 0x7f) == 0x7f ? NAN : code & 0x80 ? -value : value;
    }
    default: {
        double value = (code & 6) == 0 ? (code & 1) / 2.0
                                       : ldexp(1.0 + (code & 1) / 2.0, ((code & 6) >> 1) - 1);
        return code & 8 ? -value : value;
    }
    }
}

static const wf_dtype small[] = {WF_FP8, WF_INT8, WF_INT4, WF_MXFP4};

static int code_of(const uint8_t *data, wf_dtype dtype, int64_t i)
{
    return wf_bits_of(dtype) == 8 ? data[i] : wf_nibble(data, i);
}

static void every_small_number(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof small / sizeof *small; k++)
        for (int code = 0; code < 1 << wf_bits_of(small[k]); code++) {
            uint8_t data[8] = {0x5a, 0x5a, 0x5a, 0x5a}, back[8] = {0x5a, 0x5a, 0x5a, 0x5a};
            if (wf_bits_of(small[k]) == 8)
                data[1] = (uint8_t)code;
            else
                wf_nibble_set(data, 1, (uint8_t)code);
            double want = small_value(small[k], code);
            float got = wf_load_f32(data, small[k], 1);
            wf_store_f32(back, small[k], 1, got);
            assert_true(isnan(want) ? isnan(got)
                                    : (double)got == want && !signbit(got) == !signbit(want));
            assert_int_equal(code_of(back, small[k], 1), code);
            assert_int_equal(code_of(back, small[k], 0), code_of(data, small[k], 0));
            assert_int_equal(code_of(back, small[k], 2), code_of(data, small[k], 2));
        }
}

// A random number goes to the nearest, in the middle to that with an even code; beyond the
// greatest to the greatest.
static void small_numbers_round_to_nearest_even(void **state)
{
    (void)state;
    wf_rng rng = wf_rng_make(6, 0);
    for (int i = 0; i < 200000; i++) {
        wf_dtype dtype = small[i % 4];
        uint8_t data[4] = {0};
        int n = 1 << wf_bits_of(dtype), least = dtype == WF_FP8 ? 117 : 124; // exponents
        uint32_t bits = wf_rng_next_u32(&rng);
        bits = (bits & 0x807fffffu) | ((uint32_t)least - 1 + wf_rng_next_u32(&rng) % 20u) << 23;
        if (i % 3 == 0) bits &= ~0u << 18;
        float x = wf_f32_of_bits(bits);
        wf_store_f32(data, dtype, 0, x);
        int code = code_of(data, dtype, 0);
        double error = fabs(small_value(dtype, code) - (double)x);
        for (int other = 0; other < n; other++) {
            double value = small_value(dtype, other);
            if (isnan(value) || value == small_value(dtype, code)) continue;
            assert_true(error <= fabs(value - (double)x));
            if (error == fabs(value - (double)x)) assert_int_equal(code & 1, 0);
        }
    }
    const float odd[] = {INFINITY, -INFINITY, NAN};
    for (size_t k = 0; k < sizeof small / sizeof *small; k++)
        for (int i = 0; i < 3; i++) {
            uint8_t data[4] = {0};
            wf_store_f32(data, small[k], 0, odd[i]);
            float got = wf_load_f32(data, small[k], 0);
            if (i < 2)
                assert_true(isfinite(got) && !signbit(got) == (i == 0) && fabsf(got) >= 6.0f);
            else
                assert_true(small[k] == WF_FP8 ? isnan(got) : got == 0.0f);
        }
}

static void arrays(void **state)
{
    (void)state;
    float x[37];
    uint16_t half[37], other[37];
    for (int i = 0; i < 37; i++)
        x[i] = (float)(i - 18) / 4.0f; // exact in every dtype
    wf_convert(half, WF_BF16, x, WF_F32, 37);
    wf_convert(other, WF_F16, half, WF_BF16, 37);
    float back[37];
    wf_convert(back, WF_F32, other, WF_F16, 37);
    for (int i = 0; i < 37; i++)
        assert_true(back[i] == x[i]);
    wf_convert(half, WF_F16, other, WF_F16, 37);
    assert_memory_equal(half, other, sizeof half);
}

static void dtypes(void **state)
{
    (void)state;
    assert_int_equal(wf_dtype_bytes(WF_F32), 4);
    assert_int_equal(wf_dtype_bytes(WF_BF16), 2);
    assert_string_equal(wf_dtype_name(WF_F16), "f16");
    assert_string_equal(wf_dtype_name((wf_dtype)77), "unknown dtype");
    assert_null(wf_format_of((wf_dtype)77));
    assert_int_equal(wf_format_row_bytes(WF_BF16, 5), 10);
    assert_int_equal(wf_format_row_bytes(WF_INT4, 5), 3);
    assert_false(wf_format_scaled(WF_BF16) || wf_format_scaled((wf_dtype)77));
    assert_true(wf_format_scaled(WF_FP8) && wf_format_scaled(WF_INT4));
    assert_int_equal(wf_kv_tile(WF_BF16, 16, 64), 16 * 64);
    assert_int_equal(wf_kv_tile(WF_INT8, 16, 64), 16 * 64 + 16 * 4);
    assert_int_equal(wf_kv_token_bytes(WF_F16, 64), 128);
    assert_int_equal(wf_kv_token_bytes(WF_FP8, 64), 68);
}

static void weights_count_their_scales(void **state)
{
    (void)state;
    static const struct {
        wf_weight_shape shape;
        int64_t row_blocks;
        uint64_t bytes;
    } rows[] = {
        {{WF_BF16, 1, 3, 5, 0, false}, 0, 30},
        {{WF_FP8, 1, 3, 5, 0, false}, 1, 3 * (5 + 4)},
        {{WF_FP8, 1, 3, 256, 128, false}, 2, 3 * (256 + 2 * 4)},
        {{WF_INT8, 2, 3, 64, 32, true}, 2, 2 * 3 * (64 + 2 * 5)},
        {{WF_INT4, 1, 3, 256, 128, true}, 2, 3 * (128 + 2 * 5)},
        {{WF_MXFP4, 1, 3, 64, 32, false}, 2, 3 * (32 + 2)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(wf_weight_row_blocks(&rows[i].shape), rows[i].row_blocks);
        assert_int_equal(wf_weight_bytes(&rows[i].shape), rows[i].bytes);
    }
}

static void dtypes_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        wf_dtype dtype;
    } rows[] = {{"f32", WF_F32},   {"float32", WF_F32},   {"F32", WF_F32},
                {"bf16", WF_BF16}, {"bfloat16", WF_BF16}, {"F16", WF_F16},
                {"fp8", WF_FP8},   {"int4", WF_INT4},     {"MXFP4", WF_MXFP4}};
    wf_dtype dtype = WF_N_DTYPES;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(wf_dtype_named(rows[i].name, &dtype));
        assert_int_equal(dtype, rows[i].dtype);
    }
    assert_false(wf_dtype_named("fp64", &dtype));
}

// Reading in a format that there is not ends the process: it used to read f32.
static void an_unknown_format_is_never_read(void **state)
{
    (void)state;
    static volatile float sink;
    const float x[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    float y[4];
    for (int way = 0; way < 2; way++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            if (way == 0)
                sink = wf_load_f32(x, (wf_dtype)77, 0);
            else
                wf_convert(y, WF_F32, x, (wf_dtype)77, 4);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
    (void)sink;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_number),
        cmocka_unit_test(rounds_to_nearest_even),
        cmocka_unit_test(every_small_number),
        cmocka_unit_test(small_numbers_round_to_nearest_even),
        cmocka_unit_test(arrays),
        cmocka_unit_test(dtypes),
        cmocka_unit_test(weights_count_their_scales),
        cmocka_unit_test(dtypes_have_names),
        cmocka_unit_test(an_unknown_format_is_never_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
