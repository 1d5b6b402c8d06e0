// One safetensors file: a checked header and the tensors behind it.
//
//   [u64 N little-endian][N bytes of JSON: name -> dtype, shape, data_offsets][tensor bytes ...]
//
// Open checks every rule of the format before a byte of a tensor is read, and a broken one gets its
// own message, `file: tensor: what, why, what to do` (WF_DATA): header length at most 100,000,000
// and within the file; JSON that starts with `{`, without duplicate keys; `__metadata__` of
// strings; known dtypes; shapes whose product (checked) times the element size is END - BEGIN; data
// without hole or overlap from the header's end to the file's end. Tensors of no elements and of
// rank 0 are legal. A hostile header costs bounded time and memory: at most 2,000,000 JSON values.
//
// Tensors are read by large pread(), never mapped: mapping is slow on Lustre and ends in SIGBUS
// when the file shrinks. Nothing here knows what a tensor means. All functions are Local; reads of
// one file from several threads are allowed. Format: https://github.com/huggingface/safetensors,
// README "Format".
#ifndef WF_IO_WEIGHTS_SAFETENSORS_H
#define WF_IO_WEIGHTS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// X(name as in the file, bytes of one element)
#define WF_ST_DTYPE_TABLE(X)                                                                       \
    X(BOOL, 1)                                                                                     \
    X(U8, 1)                                                                                       \
    X(I8, 1)                                                                                       \
    X(F8_E5M2, 1)                                                                                  \
    X(F8_E4M3, 1)                                                                                  \
    X(F8_E8M0, 1)                                                                                  \
    X(I16, 2)                                                                                      \
    X(U16, 2)                                                                                      \
    X(F16, 2)                                                                                      \
    X(BF16, 2)                                                                                     \
    X(I32, 4)                                                                                      \
    X(U32, 4)                                                                                      \
    X(F32, 4)                                                                                      \
    X(C64, 8)                                                                                      \
    X(F64, 8)                                                                                      \
    X(I64, 8)                                                                                      \
    X(U64, 8)

typedef enum wf_st_dtype {
#define WF_ST_DTYPE_ENUM(name, bytes) WF_ST_##name,
    WF_ST_DTYPE_TABLE(WF_ST_DTYPE_ENUM)
#undef WF_ST_DTYPE_ENUM
        WF_N_ST_DTYPES
} wf_st_dtype;

#define WF_ST_HEADER_MAX UINT64_C(100000000)
#define WF_ST_RANK_MAX   16

typedef struct wf_safetensors wf_safetensors;

// A tensor in a file; everything borrowed from the file.
typedef struct wf_st_tensor {
    const char *name;
    wf_st_dtype dtype;
    int rank;
    const int64_t *shape; // [rank]
    uint64_t begin;       // first byte, from the start of the file
    uint64_t bytes;
} wf_st_tensor;

size_t wf_st_dtype_bytes(wf_st_dtype dtype);
const char *wf_st_dtype_name(wf_st_dtype dtype);

// Writes "[4096, 1024]" (cut to fit) and returns `text`.
const char *wf_st_shape_words(const wf_st_tensor *tensor, char *text, size_t text_bytes);

// Opens and validates. Errors: WF_NO_INPUT (no such file, not readable), WF_DATA (a rule is
// broken), WF_IO (reading failed), WF_NO_MEMORY. Caller owns *out.
wf_status wf_safetensors_open(const char *path, wf_safetensors **out);
void wf_safetensors_close(wf_safetensors **file);

// Tensors in the order of their data. Borrowed.
size_t wf_safetensors_count(const wf_safetensors *file);
const wf_st_tensor *wf_safetensors_at(const wf_safetensors *file, size_t i);
const wf_st_tensor *wf_safetensors_find(const wf_safetensors *file, const char *name); // or NULL

// Reads bytes [offset, offset + bytes) of the tensor's data. The range lies within the tensor (the
// caller's duty). Errors: WF_IO, WF_DATA (the file has become shorter).
wf_status wf_safetensors_read(const wf_safetensors *file, const wf_st_tensor *tensor,
                              uint64_t offset, size_t bytes, void *dst);

// Reads any range of the file; for checksums.
wf_status wf_safetensors_read_raw(const wf_safetensors *file, uint64_t offset, size_t bytes,
                                  void *dst);

const char *wf_safetensors_path(const wf_safetensors *file);
uint64_t wf_safetensors_file_bytes(const wf_safetensors *file);
uint64_t wf_safetensors_data_begin(const wf_safetensors *file); // 8 + N

#endif
