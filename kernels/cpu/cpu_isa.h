// The vector kernels of one instruction set: a table that the back end picks at creation.
//
// Each isa_*.c file is compiled once per instruction set, with its own flags, and fills one table.
// A kernel works on the part it is given, on the calling thread; splitting is the drivers' work
// (cpu_*.c). All functions are Local and cannot fail.
#ifndef WF_KERNELS_CPU_CPU_ISA_H
#define WF_KERNELS_CPU_CPU_ISA_H

#include "kernels/backend.h"

// Columns of a weight panel. Weights are kept as panel[n / 32][k][32] so that one row of x times a
// panel reads memory in order. In a panel of bf16 or of 4-bit numbers column c < 16 lies at 2c and
// column c at 2c - 31 beyond: one shift and one mask make two vectors (wf_panel_at).
//
// Scales and zero points of scaled weights lie as scales[n / 32][block][32], zero points as f32
// too. Scales are kept times the factor that makes up for how vectors read the numbers
// (wf_panel_factor), a power of two.
#define WF_PANEL 32

// Positions of an attention tile. Fixed, whatever the page size, so that the order of the online
// softmax depends on the position alone.
#define WF_ATTENTION_TILE 64

// Rows (tokens x query heads of one KV head) of an attention task, a multiple of every tile height.
#define WF_ATTENTION_ROWS 96

// Scratch of one thread: GEMM packs x into it, attention keeps its tiles there.
#define WF_CPU_SCRATCH_BYTES ((size_t)512 << 10)

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

// Rows i_row..end_row of one (sequence, KV head); row r is the query of head r % group of the
// sequence's new token r / group.
typedef struct wf_attention_part {
    const wf_attention_args *args;
    int32_t i_seq, kv_head;
    int32_t i_row, end_row; // at most WF_ATTENTION_ROWS
    float *scratch;         // WF_CPU_SCRATCH_BYTES
} wf_attention_part;

// Tokens i_row..end_row, counted within their sequence, as queries of one head.
typedef struct wf_packed_part {
    const wf_packed_attention_args *args;
    int32_t i_seq, head;
    int32_t i_row, end_row; // at most WF_ATTENTION_ROWS
    float *scratch;         // WF_CPU_SCRATCH_BYTES
} wf_packed_part;
// Heads of a task of latent attention.
#define WF_LATENT_HEADS 16

// Heads i_head..end_head, at most WF_LATENT_HEADS, of one packed token.
typedef struct wf_latent_part {
    const wf_latent_attention_args *args;
    int32_t i_token, i_head, end_head;
    float *scratch; // WF_CPU_SCRATCH_BYTES
} wf_latent_part;

typedef struct wf_cpu_isa {
    const char *name;
    int tile_rows; // rows that a full GEMM tile takes
    void (*gemm)(const wf_gemm_part *part);
    void (*attention)(const wf_attention_part *part);
    void (*packed_attention)(const wf_packed_part *part);
    void (*latent_attention)(const wf_latent_part *part);
    // Rows begin..end of the operation.
    void (*rmsnorm)(const wf_rmsnorm_args *a, int64_t begin, int64_t end);
    void (*layernorm)(const wf_layernorm_args *a, int64_t begin, int64_t end);
    void (*softcap)(const wf_softcap_args *a, int64_t begin, int64_t end);
    void (*add)(const wf_add_args *a, int64_t begin, int64_t end);
    void (*gate_mul)(const wf_activation_args *a, int64_t begin, int64_t end);
    void (*activate)(const wf_activation_args *a, int64_t begin, int64_t end);
    void (*head_squares)(const wf_head_squares_args *a, int64_t begin, int64_t end);
    void (*rope_kv_append)(const wf_rope_args *a, int32_t begin, int32_t end);
    float (*greatest)(const float *x, int64_t n); // n > 0, no NaN
} wf_cpu_isa;

extern const wf_cpu_isa wf_cpu_isa_portable;
#ifdef __x86_64__
extern const wf_cpu_isa wf_cpu_isa_avx2, wf_cpu_isa_avx512;
#endif

#endif
