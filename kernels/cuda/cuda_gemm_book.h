// The book of measured GEMM plans: which algorithm serves a shape and row bucket.
//
// Kept in a text file between runs, one line per plan, one file per GPU model and cuBLASLt version:
// $WEFT_CUDA_CACHE, else $XDG_CACHE_HOME/weft, else $HOME/.cache/weft; none of them: memory only.
// WEFT_CUDA_CACHE= (empty) switches the file off. A line that does not parse is left out, a file
// that cannot be written is not an error: the plans are measured again. The file is written when
// the book is destroyed, whole, by rename. All Local; errors: WF_NO_MEMORY.
#ifndef WF_KERNELS_CUDA_GEMM_BOOK_H
#define WF_KERNELS_CUDA_GEMM_BOOK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "io/base/status.h"

#define WF_GEMM_ALGO_BYTES 64
#define WF_GEMM_UNMEASURED 1e30f // microseconds of a plan that was not measured: never stored

typedef enum wf_gemm_kind {
    WF_GEMM_LT,
    WF_GEMM_SKINNY,
    WF_GEMM_GENERAL,
    WF_GEMM_N_KINDS
} wf_gemm_kind;

typedef struct wf_gemm_key {
    int64_t n, k;
    int32_t rows;             // of the bucket; negative: of a deterministic plan
    int32_t w_dtype, y_dtype; // wf_dtype; y's bits 6: held against the chain, 8 on: runs of k
} wf_gemm_key;

typedef struct wf_gemm_plan {
    wf_gemm_key key;
    wf_gemm_kind kind;
    int32_t variant;                       // of the own kernels
    float us, lt_us;                       // measured; of cuBLASLt's best
    uint64_t algo[WF_GEMM_ALGO_BYTES / 8]; // cublasLtMatmulAlgo_t
} wf_gemm_plan;

typedef struct wf_gemm_book wf_gemm_book;

// `tag` tells apart what plans depend on; NULL: memory only. Caller owns *out.
wf_status wf_gemm_book_create(const char *tag, wf_gemm_book **out);
void wf_gemm_book_destroy(wf_gemm_book *book); // takes NULL

// NULL: not in the book. Borrowed, for the book's life.
const wf_gemm_plan *wf_gemm_book_find(const wf_gemm_book *book, const wf_gemm_key *key);

// Copies a plan in; *out is borrowed.
wf_status wf_gemm_book_add(wf_gemm_book *book, const wf_gemm_plan *plan, const wf_gemm_plan **out);

#ifdef __cplusplus
}
#endif
#endif
