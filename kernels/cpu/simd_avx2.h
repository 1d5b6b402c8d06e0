// v16 as two AVX2 registers (simd.h).
#ifndef WF_KERNELS_CPU_SIMD_AVX2_H
#define WF_KERNELS_CPU_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#ifndef WF_INLINE
#define WF_INLINE static inline __attribute__((always_inline))
#endif

// 6 x 16 tiles: 12 sums, 2 weights and a broadcast in 16 registers.
#define WF_TILE_ROWS   6
#define WF_TILE_SUMS   6
#define WF_GEMV_PANELS 2

typedef struct v16 {
    __m256 lo, hi;
} v16;

WF_INLINE v16 v16_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

WF_INLINE v16 v16_set1(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return (v16){v, v};
}

WF_INLINE v16 v16_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

WF_INLINE void v16_store(float *p, v16 x)
{
    _mm256_storeu_ps(p, x.lo);
    _mm256_storeu_ps(p + 8, x.hi);
}

// All ones in the first n of lanes first..first+7.
WF_INLINE __m256i v16_mask(int n, int first)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - first), lane);
}

WF_INLINE v16 v16_load_n(const float *p, int n)
{
    return (v16){_mm256_maskload_ps(p, v16_mask(n, 0)), _mm256_maskload_ps(p + 8, v16_mask(n, 8))};
}

WF_INLINE void v16_store_n(float *p, v16 x, int n)
{
    _mm256_maskstore_ps(p, v16_mask(n, 0), x.lo);
    _mm256_maskstore_ps(p + 8, v16_mask(n, 8), x.hi);
}

WF_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

#define WF_V16_PAIRWISE(name, intrinsic)                                                           \
    WF_INLINE v16 name(v16 a, v16 b)                                                               \
    {                                                                                              \
        return (v16){intrinsic(a.lo, b.lo), intrinsic(a.hi, b.hi)};                                \
    }
WF_V16_PAIRWISE(v16_add, _mm256_add_ps)
WF_V16_PAIRWISE(v16_sub, _mm256_sub_ps)
WF_V16_PAIRWISE(v16_mul, _mm256_mul_ps)
WF_V16_PAIRWISE(v16_div, _mm256_div_ps)
WF_V16_PAIRWISE(v16_max, _mm256_max_ps)
WF_V16_PAIRWISE(v16_min, _mm256_min_ps)
#undef WF_V16_PAIRWISE

WF_INLINE v16 v16_select_ge(v16 x, v16 bound, v16 yes, v16 no)
{
    return (v16){_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(x.lo, bound.lo, _CMP_GE_OQ)),
                 _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(x.hi, bound.hi, _CMP_GE_OQ))};
}

WF_INLINE v16 v16_keep_n(v16 x, int n, float rest)
{
    __m256 r = _mm256_set1_ps(rest);
    return (v16){_mm256_blendv_ps(r, x.lo, _mm256_castsi256_ps(v16_mask(n, 0))),
                 _mm256_blendv_ps(r, x.hi, _mm256_castsi256_ps(v16_mask(n, 8)))};
}

WF_INLINE __m256 v8_add_exponent(__m256 x, __m256 shifted)
{
    __m256i step = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), step));
}

WF_INLINE v16 v16_add_exponent(v16 x, v16 shifted)
{
    return (v16){v8_add_exponent(x.lo, shifted.lo), v8_add_exponent(x.hi, shifted.hi)};
}

WF_INLINE float v16_sum(v16 x)
{
    __m256 a = _mm256_add_ps(x.lo, x.hi);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

WF_INLINE float v16_greatest(v16 x)
{
    __m256 a = _mm256_max_ps(x.lo, x.hi);
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

WF_INLINE __m256 v8_load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

WF_INLINE v16 v16_load_bf16(const uint16_t *p)
{
    return (v16){v8_load_bf16(p), v8_load_bf16(p + 8)};
}

WF_INLINE v16 v16_load_f16(const uint16_t *p)
{
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}

WF_INLINE void v16_store_f16(uint16_t *p, v16 x)
{
    enum { nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }; // clang wants a constant
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.lo, nearest));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.hi, nearest));
}

WF_INLINE __m256 v8_low_bf16(__m256 x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 16));
}

WF_INLINE __m256 v8_high_bf16(__m256 x)
{
    return _mm256_castsi256_ps(
        _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32((int)0xffff0000u)));
}

// The two bf16 in each lane's 32 bits.
WF_INLINE v16 v16_low_bf16(v16 x)
{
    return (v16){v8_low_bf16(x.lo), v8_low_bf16(x.hi)};
}
WF_INLINE v16 v16_high_bf16(v16 x)
{
    return (v16){v8_high_bf16(x.lo), v8_high_bf16(x.hi)};
}

WF_INLINE v16 v16_of_int8(__m128i bytes)
{
    __m256i lo = _mm256_cvtepi8_epi32(bytes);
    __m256i hi = _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8));
    return (v16){_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};
}

WF_INLINE v16 v16_load_int8(const int8_t *p)
{
    return v16_of_int8(_mm_loadu_si128((const __m128i *)p));
}

// 2^-8 times the numbers: e4m3 as f16, the sign in its place and the second copy of it away.
WF_INLINE v16 v16_load_fp8(const uint8_t *p)
{
    __m256i wide = _mm256_slli_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)), 7);
    wide = _mm256_and_si256(wide, _mm256_set1_epi16((short)0xbfff));
    return (v16){_mm256_cvtph_ps(_mm256_castsi256_si128(wide)),
                 _mm256_cvtph_ps(_mm256_extracti128_si256(wide, 1))};
}

// The low or high halves of 16 bytes, looked up among 16 values.
WF_INLINE v16 v16_nibbles(const uint8_t *p, int high, const int8_t *values)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    if (high) bytes = _mm_srli_epi16(bytes, 4);
    bytes = _mm_and_si128(bytes, _mm_set1_epi8(15));
    return v16_of_int8(_mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)values), bytes));
}

WF_INLINE void v8_transpose(__m256 r[8])
{
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) { // u[i + c]: column c of each 4x4 block of rows i..i+3
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int c = 0; c < 4; c++) {
        r[c] = _mm256_permute2f128_ps(u[c], u[c + 4], 0x20);
        r[c + 4] = _mm256_permute2f128_ps(u[c], u[c + 4], 0x31);
    }
}

// r[i][j] = r[j][i], by quarters.
WF_INLINE void v16_transpose(v16 r[16])
{
    __m256 q[4][8];
    for (int i = 0; i < 8; i++) {
        q[0][i] = r[i].lo;
        q[1][i] = r[i].hi;
        q[2][i] = r[i + 8].lo;
        q[3][i] = r[i + 8].hi;
    }
    for (int i = 0; i < 4; i++)
        v8_transpose(q[i]);
    for (int i = 0; i < 8; i++) {
        r[i] = (v16){q[0][i], q[2][i]};
        r[i + 8] = (v16){q[1][i], q[3][i]};
    }
}

#endif
