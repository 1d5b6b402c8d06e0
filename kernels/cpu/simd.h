// Sixteen floats at a time, the same sixteen on every instruction set.
//
// A v16 is one AVX-512 register, two AVX2 registers or a plain array; each function below gives the
// same bits in all three, so code written against v16 computes the same numbers everywhere. That is
// why sums over lanes have one fixed tree and why a product and a sum fuse only in v16_fma.
//
// Included by the isa_*.c files alone, which are compiled once per instruction set.
#ifndef WF_KERNELS_CPU_SIMD_H
#define WF_KERNELS_CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/convert.h"

#define WF_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include "kernels/cpu/simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels/cpu/simd_avx2.h"
#else
#include "kernels/cpu/simd_portable.h"
#endif

// 2^x for x < 128. Within 2 units in the last place from -126; 0 below, NaN stays NaN.
// The polynomial is a minimax fit of 2^f on [-1/2, 1/2] with p(0) = 1, so that 2^0 is exact.
WF_INLINE v16 v16_exp2_below_128(v16 x)
{
    const v16 magic = v16_set1(0x1.8p23f); // adding it rounds to an integer, held in the low bits
    v16 in_range = v16_max(v16_set1(-126.0f), x);
    v16 shifted = v16_add(in_range, magic);
    v16 f = v16_sub(in_range, v16_sub(shifted, magic));
    v16 p = v16_set1(0x1.5bba14p-10f);
    p = v16_fma(p, f, v16_set1(0x1.3cea88p-7f));
    p = v16_fma(p, f, v16_set1(0x1.c6b752p-5f));
    p = v16_fma(p, f, v16_set1(0x1.ebf9bcp-3f));
    p = v16_fma(p, f, v16_set1(0x1.62e42ap-1f));
    p = v16_fma(p, f, v16_set1(1.0f));
    v16 scaled = v16_add_exponent(p, shifted);
    // Below -126 and for NaN: max(0, x), which is 0 and NaN.
    return v16_select_ge(x, v16_set1(-126.0f), scaled, v16_max(v16_zero(), x));
}

// The same for every x: inf from 128.
WF_INLINE v16 v16_exp2(v16 x)
{
    v16 below = v16_exp2_below_128(v16_min(v16_set1(0x1.fffffep6f), x));
    return v16_select_ge(x, v16_set1(128.0f), v16_set1(INFINITY), below);
}

// Bits of 32 neighbouring bf16, two in each lane.
WF_INLINE v16 v16_load_bf16_pairs(const uint16_t *p)
{
    return v16_load((const float *)(const void *)p);
}

// Twice the values of the sixteen 4-bit numbers of a format; of MXFP4 wf_panel_factor makes up for
// it.
WF_INLINE const int8_t *wf_nibble_values(wf_dtype dtype)
{
    static const int8_t int4[16] = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};
    static const int8_t mxfp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    return dtype == WF_MXFP4 ? mxfp4 : int4;
}

#define WF_LOG2E 1.44269504088896340736f

// 1 / (1 + e^-x)
WF_INLINE v16 v16_sigmoid(v16 x)
{
    v16 e = v16_exp2(v16_mul(x, v16_set1(-WF_LOG2E)));
    return v16_div(v16_set1(1.0f), v16_add(v16_set1(1.0f), e));
}

// Near 0 the odd series, good to 6e-8; else from e^-2|x|.
WF_INLINE v16 v16_tanh(v16 x)
{
    v16 size = v16_max(x, v16_sub(v16_zero(), x)), square = v16_mul(x, x), one = v16_set1(1.0f);
    v16 p = v16_set1(62.0f / 2835.0f);
    p = v16_fma(p, square, v16_set1(-17.0f / 315.0f));
    p = v16_fma(p, square, v16_set1(2.0f / 15.0f));
    p = v16_fma(p, square, v16_set1(-1.0f / 3.0f));
    v16 small = v16_fma(v16_mul(p, square), x, x);
    v16 e = v16_exp2_below_128(v16_mul(size, v16_set1(-2.0f * WF_LOG2E)));
    v16 large = v16_div(v16_sub(one, e), v16_add(one, e));
    large = v16_select_ge(x, v16_zero(), large, v16_sub(v16_zero(), large));
    return v16_select_ge(v16_set1(0.25f), size, small, large);
}

// The normal's upper tail at |x|, erfc(|x| / sqrt(2)) / 2: with z = |x| / sqrt(2) and
// t = 1 / (1 + 0.4 z), it is t / 2 * 2^(p(t) - z^2 log2 e). p is a minimax fit on 0 <= z <= 10,
// good to 1.3e-7; beyond, the tail is 0. NaN stays NaN.
WF_INLINE v16 v16_normal_tail(v16 magnitude)
{
    v16 z = v16_mul(magnitude, v16_set1(0.70710678118654752f));
    v16 t = v16_div(v16_set1(1.0f), v16_fma(z, v16_set1(0.4f), v16_set1(1.0f)));
    v16 p = v16_set1(-0x1.31d7b4p-2f);
    p = v16_fma(p, t, v16_set1(0x1.5497b8p+0f));
    p = v16_fma(p, t, v16_set1(-0x1.116740p+1f));
    p = v16_fma(p, t, v16_set1(0x1.6e8582p+0f));
    p = v16_fma(p, t, v16_set1(-0x1.43d07ap-1f));
    p = v16_fma(p, t, v16_set1(0x1.b84d92p-2f));
    p = v16_fma(p, t, v16_set1(0x1.27c56ap-1f));
    p = v16_fma(p, t, v16_set1(0x1.71ec24p+0f));
    p = v16_fma(p, t, v16_set1(-0x1.12e968p+1f));
    v16 exponent = v16_fma(v16_mul(z, v16_set1(-WF_LOG2E)), z, p);
    return v16_mul(v16_mul(t, v16_set1(0.5f)), v16_exp2(exponent));
}

// Sixteen stored elements as f32, or the first n of them and zeros. `dtype` is a constant where
// this is called from hot code.
WF_INLINE v16 v16_load_as(const void *data, wf_dtype dtype, int64_t i)
{
    switch (dtype) {
    case WF_BF16:
        return v16_load_bf16((const uint16_t *)data + i);
    case WF_F16:
        return v16_load_f16((const uint16_t *)data + i);
    case WF_F32:
        return v16_load((const float *)data + i);
    default:
        wf_no_such_format();
    }
}

WF_INLINE v16 v16_load_as_n(const void *data, wf_dtype dtype, int64_t i, int n)
{
    float part[16] = {0};
    for (int j = 0; j < n; j++)
        part[j] = wf_load_f32(data, dtype, i + j);
    return v16_load(part);
}

#endif
