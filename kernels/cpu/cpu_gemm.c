// GEMM and embedding on panels: splits the work over threads (isa_gemm.c computes).
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"

// Rough speed of one thread, to tell work that is worth sharing: bytes and flops per nanosecond.
#define BYTES_PER_NS 15.0
#define FLOPS_PER_NS 60.0

// Row tiles that a thread must get before rows are split at all: each part packs x for itself and
// reads all its panels.
#define MIN_TILES 4

// How many parts the rows are cut into; the panels are cut into n_threads / that.
static int row_parts(const wf_cpu *cpu, int64_t n_rows, int n_threads)
{
    int best = 1;
    for (int parts = 2; parts <= n_threads; parts++)
        if (n_threads % parts == 0 && n_rows >= (int64_t)parts * MIN_TILES * cpu->isa->tile_rows)
            best = parts;
    return best;
}

// First row of part i: at a tile, so that only the last tile of the matrix is smaller.
static int64_t first_row(const wf_cpu *cpu, int64_t n_rows, int i, int n_parts)
{
    int64_t n_tiles = (n_rows + cpu->isa->tile_rows - 1) / cpu->isa->tile_rows;
    int64_t row = wf_cpu_share(n_tiles, i, n_parts) * cpu->isa->tile_rows;
    return row < n_rows ? row : n_rows;
}

// to += from over the part's rows and columns.
static void add_region(const wf_gemm_part *p, float *to, const float *from)
{
    int64_t begin = p->i_panel * WF_PANEL, end = p->end_panel * WF_PANEL;
    if (end > p->n_out) end = p->n_out;
    for (int64_t r = 0; r < p->n_rows; r++)
        for (int64_t c = begin; c < end; c++)
            to[r * p->y_stride + c] += from[r * p->y_stride + c];
}

// The part by runs of k (wf_gemm_args.k_runs). sums[i] is a matrix as large as y, sums[0] y itself,
// of which the part begins at `first`; a run's sum is put behind those that wait, and taken
// together with its neighbour as soon as both are whole: level i of the pairs waits in sums[i].
static void run_by_runs(const wf_cpu *cpu, const wf_gemm_part *whole, int32_t n_runs,
                        float *const sums[], int64_t first)
{
    int n_waiting = 0;
    for (int32_t i = 0; i < n_runs; i++) {
        wf_gemm_part p = *whole;
        p.i_k = whole->n_cols * i / n_runs;
        p.end_k = whole->n_cols * (i + 1) / n_runs;
        p.bias = i == 0 ? whole->bias : NULL;
        p.y = sums[n_waiting++] + first;
        cpu->isa->gemm(&p);
        for (int32_t done = i + 1; done % 2 == 0; done /= 2, n_waiting--)
            add_region(whole, sums[n_waiting - 2] + first, sums[n_waiting - 1] + first);
    }
}

// Matrices as large as y for the sums that wait; sums[0] is y.
static wf_status reserve_sums(wf_cpu *cpu, const wf_gemm_args *a, float *sums[5])
{
    int n = 0;
    size_t each = (size_t)(a->y.n_rows * a->y.stride);
    for (int32_t runs = a->k_runs; runs > 1; runs /= 2)
        n++;
    if (each * (size_t)n > cpu->n_sums) { // grows to the most seen
        float *grown = realloc(cpu->sums, each * (size_t)n * sizeof *grown);
        if (grown == NULL) return wf_fail(WF_NO_MEMORY, "gemm: no memory for sums by runs");
        cpu->sums = grown;
        cpu->n_sums = each * (size_t)n;
    }
    sums[0] = a->y.data;
    for (int i = 0; i < n; i++)
        sums[i + 1] = cpu->sums + each * (size_t)i;
    return WF_OK;
}

wf_status wf_cpu_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    (void)s;
    WF_TRY(wf_check_gemm(a, WF_F32));
    wf_cpu *cpu = wf_cpu_of(be);
    const wf_cpu_weight *w = (const wf_cpu_weight *)a->w;
    int64_t n_rows = a->x.n_rows, n_out = w->base.n_rows, n_cols = w->base.n_cols;
    double bytes = (double)wf_weight_bytes(&w->base);
    double flops = 2.0 * (double)(n_rows * n_cols) * (double)n_out;
    int n_threads = wf_cpu_threads_for(cpu, bytes / BYTES_PER_NS + flops / FLOPS_PER_NS);
    int n_row_parts = row_parts(cpu, n_rows, n_threads), n_panel_parts = n_threads / n_row_parts;
    float *sums[5];
    WF_TRY(reserve_sums(cpu, a, sums));
#pragma omp parallel for num_threads(n_threads) schedule(static, 1) if (n_threads > 1)
    for (int i = 0; i < n_threads; i++) {
        int i_rows = i % n_row_parts, i_panels = i / n_row_parts;
        int64_t begin = first_row(cpu, n_rows, i_rows, n_row_parts);
        wf_gemm_part part = wf_cpu_part_of(w, 0);
        part.x = (const float *)a->x.data + begin * a->x.stride;
        part.x_stride = a->x.stride;
        part.n_rows = first_row(cpu, n_rows, i_rows + 1, n_row_parts) - begin;
        part.i_panel = wf_cpu_share(w->n_panels, i_panels, n_panel_parts);
        part.end_panel = wf_cpu_share(w->n_panels, i_panels + 1, n_panel_parts);
        part.bias = a->bias;
        part.y = (float *)a->y.data + begin * a->y.stride;
        part.y_stride = a->y.stride;
        part.scratch = wf_cpu_scratch(cpu, omp_get_thread_num());
        if (a->k_runs > 1)
            run_by_runs(cpu, &part, a->k_runs, sums, begin * a->y.stride);
        else
            cpu->isa->gemm(&part);
    }
    return WF_OK;
}

// What a stored number of (row, column) stands for.
static float value_at(const wf_cpu_weight *w, int64_t row, int64_t k, float number)
{
    if (w->scales == NULL) return number;
    int64_t n_blocks = wf_weight_row_blocks(&w->base);
    int64_t block = w->base.block > 0 ? k / w->base.block : 0;
    int64_t at = (row / WF_PANEL * n_blocks + block) * WF_PANEL + row % WF_PANEL;
    float zero = w->zeros != NULL ? w->zeros[at] : 0.0f;
    return (number - zero) * (w->scales[at] / wf_panel_factor(w->base.dtype));
}

// y += scale * one column of a panel, spread over a cache line per element.
static void embed_row(const wf_cpu_weight *w, int64_t row, float scale, float *y)
{
    int64_t n_cols = w->base.n_cols;
    int64_t at =
        row / WF_PANEL * n_cols * WF_PANEL + wf_panel_at(w->base.dtype, (int)(row % WF_PANEL));
    for (int64_t k = 0; k < n_cols; k++)
        y[k] +=
            scale * value_at(w, row, k, wf_load_f32(w->panels, w->base.dtype, at + k * WF_PANEL));
}

wf_status wf_cpu_embed(wf_backend *be, wf_stream *s, const wf_embed_args *a)
{
    (void)s;
    WF_TRY(wf_check_embed(a, WF_F32));
    const wf_cpu_weight *w = (const wf_cpu_weight *)a->table;
    int n_threads = wf_cpu_threads_for(wf_cpu_of(be), 5.0 * (double)(a->y.n_rows * a->y.n_cols));
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t i = 0; i < a->y.n_rows; i++) {
        float *y = (float *)a->y.data + i * a->y.stride;
        int64_t row = (int64_t)a->ids[i] - a->vocab_begin;
        memset(y, 0, (size_t)a->y.n_cols * sizeof *y);
        if (row >= 0 && row < w->base.n_rows) embed_row(w, row, wf_scale_of(a->scale), y);
        if (a->types) embed_row((const wf_cpu_weight *)a->types, a->type ? a->type[i] : 0, 1.0f, y);
        if (a->positions)
            embed_row((const wf_cpu_weight *)a->positions, a->pos[i] + a->first_position, 1.0f, y);
    }
    return WF_OK;
}
