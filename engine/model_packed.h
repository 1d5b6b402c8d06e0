// Experts that a checkpoint packs into one tensor of 4-bit codes, as gpt-oss is published: unpacked
// to bf16 while they are loaded, which is exact.
//
//   NAME_blocks  U8 [experts, rows, columns / 32, 16]   two e2m1 codes a byte, the first low
//   NAME_scales  U8 [experts, rows, columns / 32]       exponents of 2, biased by 127
//   NAME_bias    [experts, rows]
//
// Rows of gate and up stand in turn: 0 is the first unit's gate, 1 its up (WF_SPLIT_EXPERT_PAIRS).
// Source: OCP Microscaling Formats (MX) 1.0. Private to engine/model*.c. All Local.
#ifndef WF_ENGINE_MODEL_PACKED_H
#define WF_ENGINE_MODEL_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/model_parts.h"

#define WF_MXFP4_BLOCK 32 // numbers that share a scale

// Writes n numbers as bf16, n a multiple of 32. Returns the index of a scale that is no number
// (255), else -1. Pure.
int64_t wf_mxfp4_unpack(const uint8_t *codes, const uint8_t *scales, int64_t n, uint16_t *out);

// Rows of a slice's part in one tensor of all experts: those of its first one at 0.
int64_t wf_slice_packed_row(const wf_slice *slice, int i_part);

#endif
