// KV memory in scaled formats of 8 bits (tensor.h, wf_kv): where its scales lie, and how many bytes
// it takes. Pure.
//
// A scale for each token and head is made when they are appended (quantize.h), so a token's bits
// depend on nothing but itself. head_dim is a multiple of 4, so that scales are aligned.
#ifndef WF_KERNELS_KV_H
#define WF_KERNELS_KV_H

#include "kernels/tensor.h"

// Element where a tile's scales begin, of the tile (a head's page) that begins at element `tile`.
static inline int64_t wf_kv_scales_at(const wf_kv *kv, int64_t tile)
{
    return tile + (int64_t)kv->page_tokens * kv->head_dim;
}

// Bytes that a token leaves of one head of K, or of V, with its scale.
static inline int64_t wf_kv_token_bytes(wf_dtype dtype, int32_t head_dim)
{
    return wf_kv_tile(dtype, 1, head_dim) * (int64_t)wf_dtype_bytes(dtype);
}

#endif
