// Experts on panels: splits the work over threads (isa_gemm.c and isa_rows.c compute).
//
// experts_gemm: packed rows are gathered side by side, then every expert with rows is as many tasks
// as keep the threads busy, each a run of its panels. An element is the chain that gemm would make
// of its row, so neither its neighbours nor threads show in it.
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

// Rough speed of one thread (cpu_gemm.c).
#define BYTES_PER_NS 15.0
#define FLOPS_PER_NS 60.0

// Panels of a task at least: what one row is computed in at a time. Tasks for each thread at least.
#define TASK_PANELS  4
#define THREAD_TASKS 4

typedef struct work {
    const wf_cpu *cpu;
    const wf_experts_gemm_args *a;
    const wf_cpu_weight *w;
    wf_matrix x, y;     // packed rows; sums, before the gate where there is one
    int64_t run_stride; // of y
    int64_t n_panels;   // of a task
    int64_t n_pieces;   // tasks of an expert
} work;

static int64_t begin_of(const wf_experts_gemm_args *a, int64_t e)
{
    return a->begin ? a->begin[e] : e == 0 ? 0 : a->y.n_rows;
}

static int64_t n_touched(const wf_experts_gemm_args *a)
{
    int64_t n = 0;
    for (int64_t e = 0; e < a->w->n_groups; e++)
        n += begin_of(a, e + 1) > begin_of(a, e);
    return n;
}

static wf_status grow(float **data, size_t *room, int64_t n)
{
    if ((size_t)n <= *room) return WF_OK;
    float *grown = realloc(*data, (size_t)n * sizeof *grown);
    if (grown == NULL) return wf_fail(WF_NO_MEMORY, "experts_gemm: no memory for packed rows");
    *data = grown;
    *room = (size_t)n;
    return WF_OK;
}

// Rows of x that packed rows [0, n) read, side by side.
static wf_status gather(wf_cpu *cpu, const wf_experts_gemm_args *a, int64_t n, int n_threads,
                        wf_matrix *x)
{
    int64_t n_cols = a->x.n_cols;
    *x = a->x;
    if (a->pair == NULL) return WF_OK;
    WF_TRY(grow(&cpu->packed, &cpu->n_packed, n * n_cols));
    float *packed = cpu->packed;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t r = 0; r < n; r++)
        memcpy(packed + r * n_cols,
               (const float *)a->x.data + a->pair[r] / a->n_choices * a->x.stride,
               (size_t)n_cols * sizeof *packed);
    *x = wf_matrix_of(packed, WF_F32, n, n_cols);
    return WF_OK;
}

static void run_task(const work *k, int64_t task)
{
    const wf_experts_gemm_args *a = k->a;
    const wf_weight *w = &k->w->base;
    int64_t e = task / k->n_pieces, i_panel = task % k->n_pieces * k->n_panels;
    int64_t begin = begin_of(a, e), n_runs = a->k_runs > 1 ? a->k_runs : 1;
    wf_gemm_part part = wf_cpu_part_of(k->w, e);
    part.x = (const float *)k->x.data + begin * k->x.stride;
    part.x_stride = k->x.stride;
    part.n_rows = begin_of(a, e + 1) - begin;
    part.i_panel = i_panel;
    part.end_panel = MIN(i_panel + k->n_panels, k->w->n_panels);
    part.y_stride = k->y.stride;
    part.scratch = wf_cpu_scratch(k->cpu, omp_get_thread_num());
    for (int64_t i = 0; i < n_runs; i++) {
        part.i_k = w->n_cols * i / n_runs;
        part.end_k = w->n_cols * (i + 1) / n_runs;
        part.bias = a->bias && i == 0 ? a->bias + e * w->n_rows : NULL;
        part.y = (float *)k->y.data + i * k->run_stride + begin * k->y.stride;
        k->cpu->isa->gemm(&part);
    }
}

static void clamped_row(const float *x, int64_t n, float *y)
{
    for (int64_t j = 0; j < n; j++) {
        float g = fminf(x[j], 7.0f), u = fmaxf(fminf(x[n + j], 7.0f), -7.0f);
        y[j] = g / (1.0f + expf(-1.702f * g)) * (u + 1.0f);
    }
}

static void gate_rows(const work *k, int64_t n, int n_threads)
{
    wf_activation_args act = {.x = k->y, .y = k->a->y};
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t r = 0; r < n; r++)
        if (k->a->gate == WF_GATE_SILU)
            k->cpu->isa->gate_mul(&act, r, r + 1);
        else
            clamped_row((const float *)k->y.data + r * k->y.stride, act.y.n_cols,
                        (float *)act.y.data + r * act.y.stride);
}

// Sums go to y, or where they wait for the gate.
static wf_status place_sums(wf_cpu *cpu, work *k, int64_t n)
{
    int64_t n_out = k->w->base.n_rows;
    k->y = k->a->y;
    k->run_stride = k->a->run_stride;
    if (k->a->gate == WF_GATE_NONE) return WF_OK;
    WF_TRY(grow(&cpu->ungated, &cpu->n_ungated, n * n_out));
    k->y = wf_matrix_of(cpu->ungated, WF_F32, n, n_out);
    return WF_OK;
}

wf_status wf_cpu_experts_gemm(wf_backend *be, wf_stream *s, const wf_experts_gemm_args *a)
{
    (void)s;
    WF_TRY(wf_check_experts_gemm(a, WF_F32));
    wf_cpu *cpu = wf_cpu_of(be);
    work k = {.cpu = cpu, .a = a, .w = (const wf_cpu_weight *)a->w};
    int64_t n = begin_of(a, a->w->n_groups), touched = n_touched(a);
    double matrix = (double)(a->w->n_rows * a->w->n_cols);
    double bytes = (double)touched * matrix * (double)wf_dtype_bytes(a->w->dtype);
    int n_threads =
        wf_cpu_threads_for(cpu, bytes / BYTES_PER_NS + 2.0 * (double)n * matrix / FLOPS_PER_NS);
    WF_TRY(gather(cpu, a, n, n_threads, &k.x));
    WF_TRY(place_sums(cpu, &k, n));
    k.n_panels = touched * k.w->n_panels / (THREAD_TASKS * n_threads);
    if (k.n_panels < TASK_PANELS) k.n_panels = TASK_PANELS;
    if (k.n_panels > k.w->n_panels) k.n_panels = k.w->n_panels;
    k.n_pieces = (k.w->n_panels + k.n_panels - 1) / k.n_panels;
    int64_t n_tasks = k.n_pieces * a->w->n_groups;
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int64_t task = 0; task < n_tasks; task++)
        run_task(&k, task);
    if (a->gate != WF_GATE_NONE) gate_rows(&k, n, n_threads);
    return WF_OK;
}

// ---- combine ------------------------------------------------------------------------------------

// Columns that are added up at a time.
#define COLUMNS 128

// A run's sum of columns [at, at + n) of a token.
static void add_run(const wf_combine_args *a, int64_t t, int64_t at, int64_t n, int32_t run,
                    float *sum)
{
    const float *x = (const float *)a->x.data + run * a->run_stride + at;
    for (int64_t j = 0; j < n; j++)
        sum[j] = 0.0f;
    if (a->shared.data != NULL) {
        const float *shared =
            (const float *)a->shared.data + run * a->shared_run_stride + t * a->shared.stride + at;
        float g = a->shared_gate ? 1.0f / (1.0f + expf(-a->shared_gate[t])) : 1.0f;
        for (int64_t j = 0; j < n; j++)
            sum[j] = g * shared[j];
    }
    for (int64_t p = t * a->n_choices; p < (t + 1) * a->n_choices; p++) {
        if (a->row[p] < 0) continue;
        const float *from = x + a->row[p] * a->x.stride;
        for (int64_t j = 0; j < n; j++)
            sum[j] += a->weight[p] * from[j];
    }
}

// Runs are added as gemm adds them: neighbours first, as soon as both are whole.
static void combine_columns(const wf_combine_args *a, int64_t t, int64_t at, int64_t n)
{
    float sums[5][COLUMNS];
    int n_waiting = 0;
    int32_t n_runs = a->k_runs > 1 ? a->k_runs : 1;
    for (int32_t i = 0; i < n_runs; i++) {
        add_run(a, t, at, n, i, sums[n_waiting++]);
        for (int32_t done = i + 1; done % 2 == 0; done /= 2, n_waiting--)
            for (int64_t j = 0; j < n; j++)
                sums[n_waiting - 2][j] += sums[n_waiting - 1][j];
    }
    memcpy((float *)a->y.data + t * a->y.stride + at, sums[0], (size_t)n * sizeof(float));
}

wf_status wf_cpu_combine(wf_backend *be, wf_stream *s, const wf_combine_args *a)
{
    (void)s;
    WF_TRY(wf_check_combine(a, WF_F32));
    double runs = a->k_runs > 1 ? a->k_runs : 1, n = (double)(a->y.n_rows * a->y.n_cols);
    int n_threads = wf_cpu_threads_for(wf_cpu_of(be), 0.3 * n * runs * (a->n_choices + 1));
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t t = 0; t < a->y.n_rows; t++)
        for (int64_t at = 0; at < a->y.n_cols; at += COLUMNS)
            combine_columns(a, t, at, MIN(a->y.n_cols - at, COLUMNS));
    return WF_OK;
}
