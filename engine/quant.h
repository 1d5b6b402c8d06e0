// Quantised checkpoints as they are published: which of a model's matrices are scaled numbers, and
// how their tensors hold them.
//
//   layout   tools                              numbers                     scales, zero points
//   ROWS     compressed-tensors (naive, float-  weight [N, K], one a byte   weight_scale [1], [N,
//   1] or
//            and int-quantized)                                             [N, K / block]
//   PACKED   compressed-tensors (pack-          weight_packed [N, K / 8]    weight_scale, the same;
//            quantized)                         of I32, offset 8 (128)      weight_zero_point [N /
//            8,
//                                                                           K / block] of I32
//   FP8      DeepSeek, transformers' fp8        weight [N, K]               weight_scale_inv [N /
//   128,
//                                                                           K / 128]
//   GPTQ     AutoGPTQ, GPTQModel                qweight [K / 8, N] of I32   scales [K / block, N];
//                                                                           qzeros [K / block, N /
//                                                                           8]
//   AWQ      AutoAWQ (gemm)                     qweight [K, N / 8] of I32,  the same, in that order
//                                               columns 0 2 4 6 1 3 5 7
//
// Sources: the tools' own code (compressed_tensors/compressors, auto_gptq/nn_modules/qlinear,
// awq/utils/packing_utils.py) and DeepSeek-V3's README_WEIGHTS.md. All Local.
#ifndef WF_ENGINE_QUANT_H
#define WF_ENGINE_QUANT_H

#include "engine/model_arch.h"
#include "kernels/tensor.h"

// How the matrix of a role in layer i (-1: outside of layers) is quantised. Borrowed. NULL: it is
// plain.
const wf_quant_kind *wf_quant_of(const wf_arch *arch, wf_role role, int32_t i_layer);

// One quantised matrix, its scales in memory.
typedef struct wf_quant_matrix wf_quant_matrix;

// Marks the tensors of the matrix called `module` (its name without ".weight") in used[] and checks
// their types and shapes against n_rows x n_cols. Reads headers alone. WF_DATA names what is wrong.
wf_status wf_quant_check(const wf_hf_folder *folder, const wf_quant_kind *kind, const char *module,
                         int64_t n_rows, int64_t n_cols, uint8_t *used);

// Reads scales and zero points, and where rows are not stored one after another the numbers.
// WF_DATA: a scale that is zero, below zero or not finite; groups that follow activations. Caller
// owns *out.
wf_status wf_quant_open(const wf_hf_folder *folder, const wf_quant_kind *kind, const char *module,
                        int64_t n_rows, int64_t n_cols, wf_quant_matrix **out);
void wf_quant_close(wf_quant_matrix **matrix);

// Rows [row, row + n) as tensor.h has them: numbers [n] rows, scales and zeros (where the format
// has them) [n][blocks].
wf_status wf_quant_rows(const wf_quant_matrix *matrix, int64_t row, int64_t n, void *numbers,
                        float *scales, int8_t *zeros);

uint64_t wf_quant_bytes_read(const wf_quant_matrix *matrix); // from files so far

#endif
