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

// X(name, bytes, words)
#define WF_DTYPE_TABLE(X)                                                                          \
    X(F32, 4, "f32")                                                                               \
    X(BF16, 2, "bf16")                                                                             \
    X(F16, 2, "f16")

typedef enum wf_dtype {
#define WF_DTYPE_ENUM(name, bytes, words) WF_##name,
    WF_DTYPE_TABLE(WF_DTYPE_ENUM)
#undef WF_DTYPE_ENUM
        WF_N_DTYPES
} wf_dtype;

size_t wf_dtype_bytes(wf_dtype dtype);
const char *wf_dtype_name(wf_dtype dtype);
bool wf_dtype_named(const char *name, wf_dtype *out); // false: none is called so

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

// A KV cache of one layer: pages of page_tokens tokens, each head's page one contiguous tile.
//
//   base + page * page_stride + (0: K | kv_stride: V) + kv_head * head_stride + token * head_dim
//
// Strides are in elements. A contiguous slot is the same thing with an identity page table.
typedef struct wf_kv {
    void *base;
    wf_dtype dtype;
    int32_t page_tokens, n_kv_heads, head_dim;
    int64_t page_stride, kv_stride, head_stride;
} wf_kv;

#endif
