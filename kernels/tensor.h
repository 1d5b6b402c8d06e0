// Tensors: non-owning views of device memory with a type and a shape.
//
// A view's `data` is an address of the back end that allocated it; the host may follow it only when
// the back end says so (wf_backend_info.host_memory). Rows are dense: the last dimension has stride
// 1, `stride` is the distance between rows in elements.
#ifndef WF_KERNELS_TENSOR_H
#define WF_KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Number formats, a row each: X(NAME, short, long, bits, block, load, store).
//
//   NAME          wf_dtype WF_NAME
//   short, long   words: in messages, plans and job files; in a model's config.json
//   bits          of one number
//   block         neighbouring numbers of a row that share a scale, 0: the whole row; what a matrix
//                 has that does not say otherwise (wf_weight.block). -1: numbers need no scales
//   load, store   number i of an array as f32, and back (convert.h, where they are defined)
//
// Plain numbers are values; checkpoints (safetensors) say NAME.
#define WF_PLAIN_FORMATS(X)                                                                        \
    X(F32, "f32", "float32", 32, -1, wf_f32_load, wf_f32_store)                                    \
    X(BF16, "bf16", "bfloat16", 16, -1, wf_bf16_load, wf_bf16_store)                               \
    X(F16, "f16", "float16", 16, -1, wf_f16_load, wf_f16_store)

// Scaled numbers are values only with their block's scale: value = (number - zero) * scale, where
// zero is 0 in matrices without zero points. FP8 is e4m3 without infinities, greatest 448; INT8 and
// INT4 are two's complement; MXFP4 is e2m1, greatest 6, with scales that are powers of two. Of
// 4-bit numbers the first of a byte is its low half.
#define WF_SCALED_FORMATS(X)                                                                       \
    X(FP8, "fp8", "float8_e4m3fn", 8, 0, wf_fp8_load, wf_fp8_store)                                \
    X(INT8, "int8", "int8", 8, 0, wf_int8_load, wf_int8_store)                                     \
    X(INT4, "int4", "int4", 4, 128, wf_int4_load, wf_int4_store)                                   \
    X(MXFP4, "mxfp4", "mxfp4", 4, 32, wf_mxfp4_load, wf_mxfp4_store)

#define WF_FORMATS(X) WF_PLAIN_FORMATS(X) WF_SCALED_FORMATS(X)

typedef enum wf_dtype {
#define WF_FORMAT_ENUM(name, ...) WF_##name,
    WF_FORMATS(WF_FORMAT_ENUM)
#undef WF_FORMAT_ENUM
        WF_N_DTYPES
} wf_dtype;

// A row of the table.
typedef struct wf_format {
    const char *stored, *name, *long_name; // "BF16", "bf16", "bfloat16"
    int32_t bits, block;
} wf_format;

// Static. NULL: no format has this number.
const wf_format *wf_format_of(wf_dtype dtype);

// Whether its numbers need scales.
bool wf_format_scaled(wf_dtype dtype);
// Bytes of a row of numbers, without scales. Rows of 4-bit numbers begin at a byte.
uint64_t wf_format_row_bytes(wf_dtype dtype, int64_t n_cols);
// Bytes of one number; asserts that the format has whole bytes.
size_t wf_dtype_bytes(wf_dtype dtype);
const char *wf_dtype_name(wf_dtype dtype);
// By any of its three names; false: none is called so.
bool wf_dtype_named(const char *name, wf_dtype *out);

// What a computation keeps its numbers in. Where `weight` is plain, so are all matrices; where it
// is scaled, some (embeddings, what a checkpoint leaves out) stay in `plain`.
typedef struct wf_numerics {
    wf_dtype weight; // matrices
    wf_dtype kv;     // keys and values of tokens so far
    wf_dtype act;    // activations: what operations hand to each other
    wf_dtype sum;    // what the ranks of a group add up
    wf_dtype plain;  // matrices beside scaled ones
    int32_t block;   // of scaled weights, as in wf_weight
    bool zeros;
    bool act_fp8; // products of many rows with fp8 weights round these rows to fp8, each by a scale
} wf_numerics;

static inline wf_numerics wf_numerics_of(wf_dtype all)
{
    return (wf_numerics){all, all, all, all, all, 0, false, false};
}

// A matrix of n_rows x n_cols elements: row i starts at data + i * stride * wf_dtype_bytes(dtype).
typedef struct wf_matrix {
    void *data;
    wf_dtype dtype;
    int64_t n_rows, n_cols, stride;
} wf_matrix;

static inline wf_matrix wf_matrix_of(void *data, wf_dtype dtype, int64_t n_rows, int64_t n_cols)
{
    return (wf_matrix){data, dtype, n_rows, n_cols, n_cols};
}

// The same matrix with only its first n_rows rows.
static inline wf_matrix wf_matrix_head(wf_matrix m, int64_t n_rows)
{
    m.n_rows = n_rows;
    return m;
}

// The largest head that attention takes, on every back end; 64, 128 and 256 are the fast sizes.
#define WF_MAX_HEAD_DIM 256

// A KV cache of one layer: pages of page_tokens tokens, each head's page one contiguous tile.
//
//   base + page * page_stride + (0: K | kv_stride: V) + kv_head * head_stride + token * head_dim
//
// Strides are in elements. A contiguous slot is the same thing with an identity page table.
//
// Scaled KV (FP8, INT8) has a scale for each token and head, made when it is appended, so that
// nothing needs calibration: a tile of page_tokens * head_dim numbers is followed by page_tokens
// f32 scales, which head_stride makes room for (wf_kv_tile).
typedef struct wf_kv {
    void *base;
    wf_dtype dtype;
    int32_t page_tokens, n_kv_heads, head_dim;
    int64_t page_stride, kv_stride, head_stride;
} wf_kv;

// Elements of a head's page with its scales: the least head_stride.
int64_t wf_kv_tile(wf_dtype dtype, int32_t page_tokens, int32_t head_dim);

#endif
