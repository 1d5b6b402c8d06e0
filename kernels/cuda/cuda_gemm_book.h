// The book of measured GEMM plans: which algorithm serves a shape and row bucket.
//
// Kept in a text file between runs, one line per plan, one file per GPU model and cuBLASLt version:
// $WEFT_CUDA_CACHE, else $XDG_CACHE_HOME/weft, else $HOME/.cache/weft; none of them: memory only.
// WEFT_CUDA_CACHE= (empty) switches the file off. A line that does not parse is left out, a file
// that cannot be written is not an error: the plans are measured again. The file is written when
// the book is destroyed, whole, by rename. All Local; errors: WF_NO_MEMORY.
#ifndef WF_KERNELS_CUDA_GEMM_BOOK_H
#define WF_KERNELS_CUDA_GEMM_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "io/base/status.h"
#include "kernels/tensor.h"

#define WF_GEMM_ALGO_BYTES 64
#define WF_GEMM_UNMEASURED 1e30f // microseconds of a plan that was not measured: never stored

// A kernel of our own, a row of the table in cuda_gemm_own.cu. Found by its name, NULL: none.
typedef struct wf_gemm_own wf_gemm_own;
const wf_gemm_own *wf_gemm_own_named(const char *name);
const char *wf_gemm_own_name(const wf_gemm_own *own);

typedef enum wf_gemm_kind {
    WF_GEMM_LT,      // cuBLASLt by `algo`
    WF_GEMM_OWN,     // the kernel `own`
    WF_GEMM_GENERAL, // the kernel that takes any shape
    WF_GEMM_ACT8,    // cuBLASLt by `algo`, rows rounded to fp8
} wf_gemm_kind;

typedef struct wf_gemm_key {
    int64_t n, k;
    int32_t rows;       // most of the bucket
    int32_t k_runs;     // sums by runs of k (ops.h), 1: whole
    wf_dtype w, y;      // of the weight, of y
    bool deterministic; // held against the plain chain
    bool act8;          // rows may be rounded to fp8
} wf_gemm_key;

bool wf_gemm_same_key(const wf_gemm_key *a, const wf_gemm_key *b);

typedef struct wf_gemm_plan {
    wf_gemm_key key;
    wf_gemm_kind kind;
    const wf_gemm_own *own;
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
