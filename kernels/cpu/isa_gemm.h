// Products with panels of a weight: a part of one.
#ifndef WF_KERNELS_CPU_ISA_GEMM_H
#define WF_KERNELS_CPU_ISA_GEMM_H

#include "kernels/cpu/isa_name.h"
#include "kernels/tensor.h"

// Columns of a weight panel. Weights are kept as panel[n / 32][k][32] so that one row of x times a
// panel reads memory in order. In a panel of bf16 or of 4-bit numbers column c < 16 lies at 2c and
// column c at 2c - 31 beyond: one shift and one mask make two vectors (wf_panel_at).
//
// Scales and zero points of scaled weights lie as scales[n / 32][block][32], zero points as f32
// too. Scales are kept times the factor that makes up for how vectors read the numbers
// (wf_panel_factor), a power of two.
#define WF_PANEL 32

static inline int wf_panel_at(wf_dtype dtype, int column)
{
    if (dtype != WF_BF16 && wf_format_of(dtype)->bits != 4) return column;
    return column < 16 ? 2 * column : 2 * column - 31;
}

// Vectors read FP8 as f16, whose exponents are 8 smaller, and MXFP4 as integers, halves.
static inline float wf_panel_factor(wf_dtype dtype)
{
    return dtype == WF_FP8 ? 256.0f : dtype == WF_MXFP4 ? 0.5f : 1.0f;
}

// y[0..n_rows)[columns of panels first..last) = x W^T + bias.
typedef struct wf_gemm_part {
    const float *x; // first row of this part
    int64_t x_stride, n_rows;
    const void *panels; // the whole weight
    wf_dtype dtype;
    int32_t block;               // numbers that share a scale, 0: a row's
    const float *scales, *zeros; // of scaled weights; zeros may be NULL
    int64_t n_cols, n_out;       // K and N of the weight
    int64_t i_k, end_k;          // the run of columns that is summed
    int64_t i_panel, end_panel;  // panels of this part
    const float *bias;           // [N] or NULL
    float *y;                    // first row of this part, column 0
    int64_t y_stride;
    float *scratch; // WF_CPU_SCRATCH_BYTES
} wf_gemm_part;

#ifdef WF_ISA_NAME
void WF_ISA(gemm)(const wf_gemm_part *part);
#endif

#endif
