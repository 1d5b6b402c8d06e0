// What the drivers of the CPU back end share: its state and how work is split over threads.
#ifndef WF_KERNELS_CPU_CPU_IMPL_H
#define WF_KERNELS_CPU_CPU_IMPL_H

#include "kernels/backend.h"
#include "kernels/cpu/cpu_isa.h"

typedef struct wf_cpu {
    wf_backend base;
    const wf_cpu_isa *isa;
    wf_numerics numerics;
    int n_threads;
    char *scratch;       // [n_threads][WF_CPU_SCRATCH_BYTES] own
    int32_t *task_begin; // attention: first task of each sequence, own; grows to the most seen
    int64_t task_room;
    float *sums; // gemm by runs of k: sums that wait, own; grows to the most seen
    size_t n_sums;
    float *packed, *ungated; // experts: rows side by side; sums before the gate. Own, as sums
    size_t n_packed, n_ungated;
} wf_cpu;

// A weight in panels (cpu_isa.h).
typedef struct wf_cpu_weight {
    wf_weight base;
    char *panels;     // [n_groups][n_panels][n_cols][WF_PANEL], columns beyond n_rows are zero; own
    int64_t n_panels; // of a matrix
    float *scales, *zeros; // [n_groups][n_panels][row_blocks][WF_PANEL], own; or NULL
} wf_cpu_weight;

static inline size_t wf_cpu_panel_bytes(const wf_cpu_weight *w)
{
    return (size_t)(w->base.n_cols * WF_PANEL) * (size_t)wf_format_of(w->base.dtype)->bits / 8;
}

// Where the matrix `group` is read: panels, format and scales of a part, sizes.
static inline wf_gemm_part wf_cpu_part_of(const wf_cpu_weight *w, int64_t group)
{
    size_t n_scales = (size_t)(w->n_panels * wf_weight_row_blocks(&w->base) * WF_PANEL);
    size_t at = (size_t)group * n_scales;
    return (wf_gemm_part){
        .panels = w->panels + (size_t)group * (size_t)w->n_panels * wf_cpu_panel_bytes(w),
        .dtype = w->base.dtype,
        .block = w->base.block,
        .scales = w->scales != NULL ? w->scales + at : NULL,
        .zeros = w->zeros != NULL ? w->zeros + at : NULL,
        .n_cols = w->base.n_cols,
        .n_out = w->base.n_rows,
        .end_k = w->base.n_cols,
    };
}

static inline wf_cpu *wf_cpu_of(wf_backend *be)
{
    return (wf_cpu *)be;
}

static inline float *wf_cpu_scratch(const wf_cpu *cpu, int i_thread)
{
    return (float *)(void *)(cpu->scratch + (size_t)i_thread * WF_CPU_SCRATCH_BYTES);
}

// Threads worth waking for work of about this many nanoseconds on one thread: waking and joining
// them costs tens of microseconds when they sleep.
static inline int wf_cpu_threads_for(const wf_cpu *cpu, double work_ns)
{
    return work_ns < 40e3 ? 1 : cpu->n_threads;
}

// Part i of n of the range 0..total: begins at wf_cpu_share(total, i, n), ends where i + 1 begins.
static inline int64_t wf_cpu_share(int64_t total, int64_t i, int64_t n)
{
    return total * i / n;
}

// Zeroed by the threads that will read it, an equal part each, so that on a machine of several
// NUMA nodes the pages lie near their readers (GEMM splits panels the same way).
wf_status wf_cpu_alloc(wf_backend *be, size_t bytes, void **out);
wf_status wf_cpu_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out);
wf_status wf_cpu_weight_load(wf_backend *be, wf_weight *w, const wf_weight_block *block);
wf_status wf_cpu_weight_random(wf_backend *be, wf_weight *w, uint64_t seed, float std);
void wf_cpu_weight_destroy(wf_backend *be, wf_weight *w);

// Those that this back end has itself; the others are ref's (cpu_backend.c).
#define WF_CPU_OP(op, args) wf_status wf_cpu_##op(wf_backend *be, wf_stream *s, const args *a);
WF_OPS(WF_CPU_OP)
#undef WF_CPU_OP

#endif
