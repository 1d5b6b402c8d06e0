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
    assert_int_equal(wf_format_bytes(WF_BF16, 3, 5), 30);
}

static void dtypes_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        wf_dtype dtype;
    } rows[] = {{"f32", WF_F32},   {"float32", WF_F32},   {"F32", WF_F32},
                {"bf16", WF_BF16}, {"bfloat16", WF_BF16}, {"F16", WF_F16}};
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
        cmocka_unit_test(arrays),
        cmocka_unit_test(dtypes),
        cmocka_unit_test(dtypes_have_names),
        cmocka_unit_test(an_unknown_format_is_never_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
