// Conversions of stored numbers to f32 and back, bit by bit: the definition that vector code obeys.
//
// To f32 is exact. From f32 rounds to nearest even; NaN stays NaN (quiet), overflow becomes inf.
#ifndef WF_KERNELS_CONVERT_H
#define WF_KERNELS_CONVERT_H

#include <stdint.h>
#include <string.h>

#include "kernels/tensor.h"

static inline uint32_t wf_f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float wf_f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float wf_bf16_to_f32(uint16_t h)
{
    return wf_f32_of_bits((uint32_t)h << 16);
}

static inline uint16_t wf_f32_to_bf16(float x)
{
    uint32_t bits = wf_f32_bits(x);
    uint32_t nan = (bits >> 16) | 0x40u;
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static inline float wf_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u, mantissa = h & 0x3ffu;
    if (exponent == 0) { // zero or subnormal: a multiple of 2^-24
        float magnitude = (float)mantissa * 0x1p-24f;
        return wf_f32_of_bits(wf_f32_bits(magnitude) | sign);
    }
    if (exponent == 31) {
        uint32_t quiet = mantissa != 0 ? 0x400000u : 0;
        return wf_f32_of_bits(sign | 0x7f800000u | quiet | mantissa << 13);
    }
    return wf_f32_of_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
}

static inline uint16_t wf_f32_to_f16(float x)
{
    uint32_t bits = wf_f32_bits(x), sign = (bits >> 16) & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (bits >> 13 & 0x3ffu));
    if (bits >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);
    if (bits < 0x38800000u) { // subnormal result: the unit of 0.5f is 2^-24, so adding it rounds
        float shifted = wf_f32_of_bits(bits) + 0.5f;
        return (uint16_t)(sign | (wf_f32_bits(shifted) - wf_f32_bits(0.5f)));
    }
    bits -= 112u << 23;
    return (uint16_t)(sign | (bits + 0xfffu + ((bits >> 13) & 1u)) >> 13);
}

// Element i of an array of the given dtype.
static inline float wf_load_f32(const void *data, wf_dtype dtype, int64_t i)
{
    switch (dtype) {
    case WF_BF16:
        return wf_bf16_to_f32(((const uint16_t *)data)[i]);
    case WF_F16:
        return wf_f16_to_f32(((const uint16_t *)data)[i]);
    default:
        return ((const float *)data)[i];
    }
}

static inline void wf_store_f32(void *data, wf_dtype dtype, int64_t i, float x)
{
    switch (dtype) {
    case WF_BF16:
        ((uint16_t *)data)[i] = wf_f32_to_bf16(x);
        break;
    case WF_F16:
        ((uint16_t *)data)[i] = wf_f32_to_f16(x);
        break;
    default:
        ((float *)data)[i] = x;
        break;
    }
}

// Copies n elements, converting where the dtypes differ.
void wf_convert(void *dst, wf_dtype dst_dtype, const void *src, wf_dtype src_dtype, int64_t n);

#endif
