// Weights: matrices that a back end keeps in a layout of its own.
#ifndef WF_KERNELS_WEIGHT_H
#define WF_KERNELS_WEIGHT_H

#include <stdbool.h>

#include "kernels/handle.h"
#include "kernels/tensor.h"

// What a weight is made as; every back end's own weight begins with this one.
//
// A scaled weight has one f32 scale for each `block` neighbouring numbers of a row: per channel
// with block 0, else in groups of 32, 64 or 128, of which n_cols is a multiple. Other geometries
// are written so by whoever loads: one scale of a tensor is repeated for its rows, one of a block
// of 128 x 128 for the 128 rows. With `zeros` each block has a zero point too; integers with block
// > 0 alone. MXFP4 has blocks of 32.
struct wf_weight {
    wf_dtype dtype;
    int32_t n_groups; // matrices of one shape, such as experts
    int64_t n_rows, n_cols;
    int32_t block; // numbers that share a scale, 0: a row; 0 in plain formats
    bool zeros;
};
typedef struct wf_weight wf_weight_shape;

// Scales of a row; 0 in plain formats.
int64_t wf_weight_row_blocks(const wf_weight_shape *shape);
// Bytes of all its matrices with scales (f32; one byte in MXFP4) and zero points (one byte each).
uint64_t wf_weight_bytes(const wf_weight_shape *shape);

// Row-major all three, a row of a part for each row of the matrix.
typedef enum wf_weight_part {
    WF_WEIGHT_DATA,  // [n_groups][n_rows][n_cols] numbers
    WF_WEIGHT_SCALE, // [n_groups][n_rows][row_blocks] F32, finite and greater than 0
    WF_WEIGHT_ZERO   // [n_groups][n_rows][row_blocks] INT8; 0 until loaded
} wf_weight_part;

// Rows of one part of one of a weight's matrices, in host memory. Numbers of a plain weight may
// have any plain type and are converted; a scaled weight takes its own type alone. Parts come in
// any order, each row of each part once.
typedef struct wf_weight_block {
    wf_weight_part part;
    int32_t i_group;
    int64_t i_row, n_rows;
    const void *src; // [n_rows] rows, src_stride elements apart (whole bytes)
    wf_dtype src_dtype;
    int64_t src_stride;
} wf_weight_block;

#endif
