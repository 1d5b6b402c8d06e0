// v16 as a vector of the compiler's (vector_size, of GCC and Clang), for machines without AVX2
// (simd.h). fmaf rounds once, as the vector units do; where the C library has to emulate it this
// path is slow and still right.
#ifndef WF_KERNELS_CPU_SIMD_PORTABLE_H
#define WF_KERNELS_CPU_SIMD_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/convert.h"

#ifndef WF_INLINE
#define WF_INLINE static inline __attribute__((always_inline))
#endif

#define WF_TILE_ROWS   4
#define WF_TILE_SUMS   4
#define WF_GEMV_PANELS 1

typedef float wf_f32x16 __attribute__((vector_size(64), aligned(16)));
typedef uint32_t wf_u32x16 __attribute__((vector_size(64), aligned(16)));

typedef struct v16 {
    wf_f32x16 v;
} v16;

#define V16_BITS(x)       ((wf_u32x16)(x).v)
#define V16_OF_BITS(bits) ((v16){(wf_f32x16)(bits)})

// Lanes of a where the mask is all ones, of b where it is 0.
#define V16_CHOOSE(mask, a, b)                                                                     \
    V16_OF_BITS((V16_BITS(a) & (wf_u32x16)(mask)) | (V16_BITS(b) & ~(wf_u32x16)(mask)))

// What is sixteen calls or more is not copied to where it is used: compilers take minutes over
// that.
#ifdef FP_FAST_FMAF
#define WF_CALLS WF_INLINE
#else
#define WF_CALLS static __attribute__((noinline, unused))
#endif

// Each: lane i of r from an expression in i.
#define WF_V16_EACH(expr)                                                                          \
    v16 r;                                                                                         \
    for (int i = 0; i < 16; i++)                                                                   \
        r.v[i] = (expr);                                                                           \
    return r

WF_INLINE v16 v16_set1(float x)
{
    return (v16){{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}};
}
WF_INLINE v16 v16_zero(void)
{
    return v16_set1(0.0f);
}
WF_INLINE v16 v16_load(const float *p)
{
    v16 r;
    memcpy(&r, p, sizeof(r));
    return r;
}
WF_INLINE v16 v16_load_n(const float *p, int n)
{
    WF_V16_EACH(i < n ? p[i] : 0.0f);
}

WF_INLINE void v16_store_n(float *p, v16 x, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = x.v[i];
}

WF_INLINE void v16_store(float *p, v16 x)
{
    memcpy(p, &x, sizeof(x));
}

WF_CALLS v16 v16_fma(v16 a, v16 b, v16 c)
{
    WF_V16_EACH(fmaf(a.v[i], b.v[i], c.v[i]));
}
WF_INLINE v16 v16_add(v16 a, v16 b)
{
    return (v16){a.v + b.v};
}
WF_INLINE v16 v16_sub(v16 a, v16 b)
{
    return (v16){a.v - b.v};
}
WF_INLINE v16 v16_mul(v16 a, v16 b)
{
    return (v16){a.v * b.v};
}
WF_INLINE v16 v16_div(v16 a, v16 b)
{
    return (v16){a.v / b.v};
}
// As x86 has them: the second operand where one is NaN.
WF_INLINE v16 v16_max(v16 a, v16 b)
{
    return V16_CHOOSE(a.v > b.v, a, b);
}
WF_INLINE v16 v16_min(v16 a, v16 b)
{
    return V16_CHOOSE(a.v < b.v, a, b);
}

// yes where x >= bound, no elsewhere (NaN too).
WF_INLINE v16 v16_select_ge(v16 x, v16 bound, v16 yes, v16 no)
{
    return V16_CHOOSE(x.v >= bound.v, yes, no);
}

// The first n lanes of x, `rest` in the others.
WF_INLINE v16 v16_keep_n(v16 x, int n, float rest)
{
    WF_V16_EACH(i < n ? x.v[i] : rest);
}

// x times two to the integer in the low bits of `shifted`.
WF_INLINE v16 v16_add_exponent(v16 x, v16 shifted)
{
    return V16_OF_BITS(V16_BITS(x) + (V16_BITS(shifted) << 23));
}

// Lane i plus lane i + 8, then + 4, + 2, + 1.
WF_INLINE float v16_sum(v16 x)
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x.v[i] += x.v[i + half];
    return x.v[0];
}

WF_INLINE float v16_greatest(v16 x)
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x.v[i] = x.v[i] > x.v[i + half] ? x.v[i] : x.v[i + half];
    return x.v[0];
}

WF_CALLS v16 v16_load_bf16(const uint16_t *p)
{
    WF_V16_EACH(wf_bf16_to_f32(p[i]));
}
WF_CALLS v16 v16_load_f16(const uint16_t *p)
{
    WF_V16_EACH(wf_f16_to_f32(p[i]));
}

WF_CALLS void v16_store_f16(uint16_t *p, v16 x)
{
    for (int i = 0; i < 16; i++)
        p[i] = wf_f32_to_f16(x.v[i]);
}

WF_CALLS v16 v16_load_int8(const int8_t *p)
{
    WF_V16_EACH((float)p[i]);
}

// 2^-8 times the numbers.
WF_CALLS v16 v16_load_fp8(const uint8_t *p)
{
    WF_V16_EACH(wf_fp8_to_f32(p[i]) * 0x1p-8f);
}

// The low or high halves of 16 bytes, looked up among 16 values.
WF_CALLS v16 v16_nibbles(const uint8_t *p, int high, const int8_t *values)
{
    WF_V16_EACH((float)values[high ? p[i] >> 4 : p[i] & 15]);
}

// The two bf16 in each lane's 32 bits.
WF_INLINE v16 v16_low_bf16(v16 x)
{
    return V16_OF_BITS(V16_BITS(x) << 16);
}
WF_INLINE v16 v16_high_bf16(v16 x)
{
    return V16_OF_BITS(V16_BITS(x) & 0xffff0000u);
}

// r[i][j] = r[j][i]
WF_CALLS void v16_transpose(v16 r[16])
{
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < i; j++) {
            float t = r[i].v[j];
            r[i].v[j] = r[j].v[i];
            r[j].v[i] = t;
        }
}

#endif
