// Conversions of stored numbers to f32 and back, bit by bit: the definition that vector code obeys.
//
// To f32 is exact. From f32 rounds to nearest even; NaN stays NaN (quiet), overflow becomes inf.
// Scaled formats have no infinities: what is too great becomes the greatest number; NaN becomes 0
// where there is none.
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

// ---- scaled formats (without their scales) ------------------------------------------------------

// e4m3: exponents -6 to 8, subnormals below 2^-6, 0x7f and 0xff NaN, 0x7e is 448.
static inline float wf_fp8_to_f32(uint8_t h)
{
    uint32_t sign = (uint32_t)(h & 0x80u) << 24, rest = h & 0x7fu;
    if (rest == 0x7fu) return wf_f32_of_bits(sign | 0x7fc00000u);
    if (rest < 8) return wf_f32_of_bits(wf_f32_bits((float)rest * 0x1p-9f) | sign);
    return wf_f32_of_bits(sign | ((rest << 20) + (120u << 23)));
}

static inline uint8_t wf_f32_to_fp8(float x)
{
    uint32_t bits = wf_f32_bits(x), sign = (bits >> 24) & 0x80u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint8_t)(sign | 0x7fu);
    if (bits >= 0x43e00000u) return (uint8_t)(sign | 0x7eu); // from 448
    if (bits < 0x3c800000u) { // subnormal result: the unit of 2^14 is 2^-9, so adding it rounds
        float shifted = wf_f32_of_bits(bits) + 0x1p14f;
        return (uint8_t)(sign | (wf_f32_bits(shifted) - wf_f32_bits(0x1p14f)));
    }
    bits -= 120u << 23;
    return (uint8_t)(sign | (bits + 0x7ffffu + ((bits >> 20) & 1u)) >> 20);
}

// To the nearest integer of [-most - 1, most], even in the middle; NaN: 0.
static inline int32_t wf_f32_to_int(float x, int32_t most)
{
    float least = -(float)most - 1.0f;
    if (!(x > least)) return x == x ? -most - 1 : 0;
    if (x >= (float)most) return most;
    return (int32_t)(wf_f32_bits(x + 0x1.8p23f) - wf_f32_bits(0x1.8p23f));
}

// e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and a sign.
static inline float wf_mxfp4_to_f32(uint8_t h)
{
    static const float values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                     -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    return values[h & 15u];
}

static inline uint8_t wf_f32_to_mxfp4(float x)
{
    uint32_t bits = wf_f32_bits(x), sign = (bits >> 28) & 8u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return 0;
    if (bits >= 0x40c00000u) return (uint8_t)(sign | 7u); // from 6
    if (bits < 0x3f800000u) { // subnormal result: the unit of 2^22 is 0.5
        float shifted = wf_f32_of_bits(bits) + 0x1p22f;
        return (uint8_t)(sign | (wf_f32_bits(shifted) - wf_f32_bits(0x1p22f)));
    }
    bits -= 126u << 23;
    return (uint8_t)(sign | (bits + 0x1fffffu + ((bits >> 22) & 1u)) >> 22);
}

// Half i of an array of 4-bit numbers.
static inline uint8_t wf_nibble(const void *data, int64_t i)
{
    return (uint8_t)(((const uint8_t *)data)[i / 2] >> (i % 2 * 4) & 15u);
}

static inline void wf_nibble_set(void *data, int64_t i, uint8_t nibble)
{
    uint8_t *byte = (uint8_t *)data + i / 2;
    *byte = (uint8_t)(i % 2 ? (*byte & 0x0fu) | nibble << 4 : (*byte & 0xf0u) | nibble);
}

static inline float wf_fp8_load(const void *data, int64_t i)
{
    return wf_fp8_to_f32(((const uint8_t *)data)[i]);
}

static inline void wf_fp8_store(void *data, int64_t i, float x)
{
    ((uint8_t *)data)[i] = wf_f32_to_fp8(x);
}

static inline float wf_int8_load(const void *data, int64_t i)
{
    return (float)((const int8_t *)data)[i];
}

static inline void wf_int8_store(void *data, int64_t i, float x)
{
    ((int8_t *)data)[i] = (int8_t)wf_f32_to_int(x, 127);
}

static inline float wf_int4_load(const void *data, int64_t i)
{
    return (float)((wf_nibble(data, i) ^ 8) - 8);
}

static inline void wf_int4_store(void *data, int64_t i, float x)
{
    wf_nibble_set(data, i, (uint8_t)(wf_f32_to_int(x, 7) & 15));
}

static inline float wf_mxfp4_load(const void *data, int64_t i)
{
    return wf_mxfp4_to_f32(wf_nibble(data, i));
}

static inline void wf_mxfp4_store(void *data, int64_t i, float x)
{
    wf_nibble_set(data, i, wf_f32_to_mxfp4(x));
}

// ---- any format ---------------------------------------------------------------------------------

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
#define WF_FORMAT_LOAD(name, words, long_words, bits, block, load, store)                          \
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
#define WF_FORMAT_STORE(name, words, long_words, bits, block, load, store)                         \
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

// Copies n elements, converting where the dtypes differ; 4-bit numbers from the first of a byte.
void wf_convert(void *dst, wf_dtype dst_dtype, const void *src, wf_dtype src_dtype, int64_t n);

#endif
