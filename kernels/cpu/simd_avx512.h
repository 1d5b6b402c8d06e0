// v16 as one AVX-512 register (simd.h).
#ifndef WF_KERNELS_CPU_SIMD_AVX512_H
#define WF_KERNELS_CPU_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#ifndef WF_INLINE
#define WF_INLINE static inline __attribute__((always_inline))
#endif

// 12 x 32 tiles: 24 sums, 2 weights and a broadcast in 32 registers.
#define WF_TILE_ROWS   12
#define WF_TILE_SUMS   24
#define WF_GEMV_PANELS 4

typedef __m512 v16;

WF_INLINE v16 v16_zero(void)
{
    return _mm512_setzero_ps();
}
WF_INLINE v16 v16_set1(float x)
{
    return _mm512_set1_ps(x);
}
WF_INLINE v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
WF_INLINE void v16_store(float *p, v16 x)
{
    _mm512_storeu_ps(p, x);
}
WF_INLINE __mmask16 v16_mask(int n)
{
    return (__mmask16)((1u << n) - 1u);
}
WF_INLINE v16 v16_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(v16_mask(n), p);
}
WF_INLINE void v16_store_n(float *p, v16 x, int n)
{
    _mm512_mask_storeu_ps(p, v16_mask(n), x);
}

WF_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
WF_INLINE v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}
WF_INLINE v16 v16_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}
WF_INLINE v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}
WF_INLINE v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}
WF_INLINE v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}
WF_INLINE v16 v16_min(v16 a, v16 b)
{
    return _mm512_min_ps(a, b);
}

WF_INLINE v16 v16_select_ge(v16 x, v16 bound, v16 yes, v16 no)
{
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(x, bound, _CMP_GE_OQ), yes);
}

WF_INLINE v16 v16_keep_n(v16 x, int n, float rest)
{
    return _mm512_mask_mov_ps(_mm512_set1_ps(rest), v16_mask(n), x);
}

WF_INLINE v16 v16_add_exponent(v16 x, v16 shifted)
{
    __m512i step = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), step));
}

WF_INLINE float v16_sum(v16 x)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

WF_INLINE float v16_greatest(v16 x)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

WF_INLINE v16 v16_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

WF_INLINE v16 v16_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

WF_INLINE void v16_store_f16(uint16_t *p, v16 x)
{
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// The two bf16 in each lane's 32 bits.
WF_INLINE v16 v16_low_bf16(v16 x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 16));
}

WF_INLINE v16 v16_high_bf16(v16 x)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32((int)0xffff0000u)));
}

WF_INLINE v16 v16_load_int8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

// 2^-8 times the numbers: e4m3 as f16, the sign in its place and the second copy of it away.
WF_INLINE v16 v16_load_fp8(const uint8_t *p)
{
    __m256i wide = _mm256_slli_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)), 7);
    return _mm512_cvtph_ps(_mm256_and_si256(wide, _mm256_set1_epi16((short)0xbfff)));
}

// The low or high halves of 16 bytes, looked up among 16 values.
WF_INLINE v16 v16_nibbles(const uint8_t *p, int high, const int8_t *values)
{
    __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    if (high) wide = _mm512_srli_epi32(wide, 4);
    return _mm512_permutexvar_ps(wide, v16_load_int8(values));
}

// r[i][j] = r[j][i]
WF_INLINE void v16_transpose(v16 r[16])
{
    __m512 t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { // r[i + c]: column c of each 4x4 block of rows i..i+3
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
        __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    for (int c = 0; c < 4; c++) { // 128-bit lanes: lane l of r[i + c] is column 4 l + c
        t[c] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);
        t[c + 4] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
        t[c + 8] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88);
        t[c + 12] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
    }
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0x88);
        r[c + 8] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0xdd);
        r[c + 4] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0x88);
        r[c + 12] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0xdd);
    }
}

#endif
