// See quantize.h. Compiled at -O3: loops over a block are made of vectors.
#include "kernels/quantize.h"

#include <float.h>
#include <math.h>

#include "kernels/convert.h"

static float greatest_of(const float *values, int64_t n)
{
    uint32_t most = 0; // magnitudes order like their bits
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = wf_f32_bits(values[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return wf_f32_of_bits(most);
}

static float scale_of(wf_dtype dtype, float most)
{
    float scale = most;
    int exponent = 0;
    switch (dtype) {
    case WF_FP8:
        scale = most / 448.0f;
        break;
    case WF_INT8:
        scale = most / 127.0f;
        break;
    case WF_INT4:
        scale = most / 7.5f;
        break;
    case WF_MXFP4:
        frexpf(most, &exponent); // most = m * 2^exponent, m in [0.5, 1)
        scale = most > 0.0f ? ldexpf(1.0f, exponent - 3) : 0.0f;
        break;
    default:
        wf_no_such_format();
    }
    return scale < FLT_MIN ? 1.0f : scale; // below, all are rounded to 0; NaN stays
}

// The format is a constant where this is called, so that each has its own loop.
static inline __attribute__((always_inline)) void round_block(const float *values, int64_t n,
                                                              const wf_dtype dtype, float scale,
                                                              void *numbers, int64_t at)
{
    for (int64_t i = 0; i < n; i++)
        wf_store_f32(numbers, dtype, at + i, values[i] / scale);
}

#define ROUND_CASE(name, ...)                                                                      \
    case WF_##name:                                                                                \
        round_block(values + i, n, WF_##name, scale, numbers, i);                                  \
        break;

void wf_quantize_row_by(const float *values, int64_t n_cols, wf_dtype dtype, int32_t block,
                        const float *scales, void *numbers)
{
    int64_t each = block > 0 ? block : n_cols;
    for (int64_t i = 0; i < n_cols; i += each) {
        int64_t n = n_cols - i < each ? n_cols - i : each;
        float scale = scales[i / each];
        switch (dtype) {
            WF_SCALED_FORMATS(ROUND_CASE)
        default:
            wf_no_such_format();
        }
    }
}

void wf_quantize_row(const float *values, int64_t n_cols, wf_dtype dtype, int32_t block,
                     void *numbers, float *scales)
{
    int64_t each = block > 0 ? block : n_cols;
    for (int64_t i = 0; i < n_cols; i += each) {
        int64_t n = n_cols - i < each ? n_cols - i : each;
        scales[i / each] = scale_of(dtype, greatest_of(values + i, n));
    }
    wf_quantize_row_by(values, n_cols, dtype, block, scales, numbers);
}

void wf_dequantize_row(const void *numbers, int64_t n_cols, wf_dtype dtype, int32_t block,
                       const float *scales, const int8_t *zeros, float *values)
{
    int64_t each = block > 0 ? block : n_cols;
    wf_convert(values, WF_F32, numbers, dtype, n_cols);
    for (int64_t i = 0; i < n_cols; i++) {
        float zero = zeros != NULL ? (float)zeros[i / each] : 0.0f;
        values[i] = (values[i] - zero) * scales[i / each];
    }
}
