// Plain numbers into scaled ones and back: the definition of what quantising at load means.
//
// A block's scale is its greatest magnitude over the greatest number (FP8 448, INT8 127; INT4 7.5,
// the middle of its greatest magnitudes 7 and 8), or of MXFP4 the power of two that brings it below
// 8; a block of zeros has scale 1, one with a NaN the scale NaN. A number is value / scale, rounded
// to nearest even and held within the format. All Local, pure.
#ifndef WF_KERNELS_QUANTIZE_H
#define WF_KERNELS_QUANTIZE_H

#include "kernels/tensor.h"

// One row of n_cols values, of which `block` (0: all) share a scale. numbers:
// [wf_format_row_bytes], scales: one for each block.
void wf_quantize_row(const float *values, int64_t n_cols, wf_dtype dtype, int32_t block,
                     void *numbers, float *scales);

// The same with scales that are given, finite and greater than 0.
void wf_quantize_row_by(const float *values, int64_t n_cols, wf_dtype dtype, int32_t block,
                        const float *scales, void *numbers);

// Back: (number - zero) * scale. zeros NULL: all 0.
void wf_dequantize_row(const void *numbers, int64_t n_cols, wf_dtype dtype, int32_t block,
                       const float *scales, const int8_t *zeros, float *values);

#endif
