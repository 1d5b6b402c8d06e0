// Conversions of stored numbers to f32 and back, bit by bit: the definition that vector code obeys.
//
// To f32 is exact. From f32 rounds to nearest even; NaN stays NaN (quiet), overflow becomes inf.
#ifndef WF_KERNELS_CONVERT_H
#define WF_KERNELS_CONVERT_H

#include <stdint.h>
#include <stdlib.h>
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

// Number i of an array: the load and store of the table's rows (tensor.h).
static inline float wf_f32_load(const void *data, int64_t i)
{
    return ((const float *)data)[i];
}

static inline void wf_f32_store(void *data, int64_t i, float x)
{
    ((float *)data)[i] = x;
}

static inline float wf_bf16_load(const void *data, int64_t i)
{
    return wf_bf16_to_f32(((const uint16_t *)data)[i]);
}

static inline void wf_bf16_store(void *data, int64_t i, float x)
{
    ((uint16_t *)data)[i] = wf_f32_to_bf16(x);
}

static inline float wf_f16_load(const void *data, int64_t i)
{
    return wf_f16_to_f32(((const uint16_t *)data)[i]);
}

static inline void wf_f16_store(void *data, int64_t i, float x)
{
    ((uint16_t *)data)[i] = wf_f32_to_f16(x);
}

// A number that stands for no format: a mistake of ours that must not become wrong numbers.
__attribute__((noreturn, cold)) static inline void wf_no_such_format(void)
{
    abort();
}

// Bits of one number: a constant where dtype is.
static inline int32_t wf_bits_of(wf_dtype dtype)
{
    switch (dtype) {
#define WF_FORMAT_BITS(name, words, long_words, bits, ...)                                         \
    case WF_##name:                                                                                \
        return bits;
        WF_FORMATS(WF_FORMAT_BITS)
#undef WF_FORMAT_BITS
    case WF_N_DTYPES:
        break;
    }
    wf_no_such_format();
}

// Element i of an array of the given dtype.
static inline float wf_load_f32(const void *data, wf_dtype dtype, int64_t i)
{
    switch (dtype) {
#define WF_FORMAT_LOAD(name, words, long_words, bits, rows, cols, load, store)                     \
    case WF_##name:                                                                                \
        return load(data, i);
        WF_FORMATS(WF_FORMAT_LOAD)
#undef WF_FORMAT_LOAD
    case WF_N_DTYPES:
        break;
    }
    wf_no_such_format();
}

static inline void wf_store_f32(void *data, wf_dtype dtype, int64_t i, float x)
{
    switch (dtype) {
#define WF_FORMAT_STORE(name, words, long_words, bits, rows, cols, load, store)                    \
    case WF_##name:                                                                                \
        store(data, i, x);                                                                         \
        return;
        WF_FORMATS(WF_FORMAT_STORE)
#undef WF_FORMAT_STORE
    case WF_N_DTYPES:
        break;
    }
    wf_no_such_format();
}

// Copies n elements, converting where the dtypes differ.
void wf_convert(void *dst, wf_dtype dst_dtype, const void *src, wf_dtype src_dtype, int64_t n);

#endif
