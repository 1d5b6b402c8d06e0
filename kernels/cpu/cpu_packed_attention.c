// packed_attention: cuts the step into tasks of up to 96 tokens of one sequence and head, which
// threads take one by one (isa_packed_attention.c computes). pool and unit_rows: rows over threads.
#include <math.h>
#include <omp.h>

#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"

// About how long one thread needs: scores at 30 flops per nanosecond.
static double work_ns(const wf_packed_attention_args *a)
{
    double pairs = 0.0;
    for (int32_t i = 0; i < a->batch->n_seqs; i++) {
        double n = a->batch->cu_seqlens[i + 1] - a->batch->cu_seqlens[i];
        pairs += n * (a->window > 0 ? fmin(n, 2.0 * a->window + 1.0) : n);
    }
    return pairs * (double)a->n_heads * (double)a->head_dim * 4.0 / 30.0;
}

static void run_sequence(const wf_cpu *cpu, const wf_packed_attention_args *a, int32_t i_seq,
                         int32_t head)
{
    int32_t n = a->batch->cu_seqlens[i_seq + 1] - a->batch->cu_seqlens[i_seq];
    for (int32_t first = 0; first < n; first += WF_ATTENTION_ROWS) {
        int32_t end = first + WF_ATTENTION_ROWS;
        wf_packed_part part = {.args = a,
                               .i_seq = i_seq,
                               .head = head,
                               .i_row = first,
                               .end_row = end < n ? end : n,
                               .scratch = wf_cpu_scratch(cpu, omp_get_thread_num())};
        cpu->isa->packed_attention(&part);
    }
}

wf_status wf_cpu_packed_attention(wf_backend *be, wf_stream *s, const wf_packed_attention_args *a)
{
    (void)s;
    WF_TRY(wf_check_packed_attention(a, WF_F32));
    const wf_cpu *cpu = wf_cpu_of(be);
    int32_t n_tasks = a->batch->n_seqs * a->n_heads;
    int n_threads = wf_cpu_threads_for(cpu, work_ns(a));
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int32_t task = 0; task < n_tasks; task++)
        run_sequence(cpu, a, task / a->n_heads, task % a->n_heads);
    return WF_OK;
}

static void pool_row(const wf_pool_args *a, int64_t i)
{
    const float *x = (const float *)a->x.data;
    float *y = (float *)a->y.data + i * a->y.stride;
    int64_t n = a->y.n_cols;
    int32_t first = a->pooling == WF_POOL_LAST ? a->last[i] : a->first[i];
    int32_t last = a->pooling == WF_POOL_FIRST ? first : a->last[i];
    float share = 1.0f / (float)(last - first + 1);
    for (int64_t k = 0; k < n; k++)
        y[k] = x[first * a->x.stride + k];
    for (int64_t t = first + 1; t <= last; t++) {
        const float *row = x + t * a->x.stride;
        for (int64_t k = 0; k < n && a->pooling == WF_POOL_MAX; k++)
            y[k] = row[k] > y[k] ? row[k] : y[k];
        for (int64_t k = 0; k < n && a->pooling == WF_POOL_MEAN; k++)
            y[k] += row[k];
    }
    for (int64_t k = 0; k < n && a->pooling == WF_POOL_MEAN; k++)
        y[k] *= share;
}

wf_status wf_cpu_pool(wf_backend *be, wf_stream *s, const wf_pool_args *a)
{
    (void)s;
    WF_TRY(wf_check_pool(a, WF_F32));
    int n = wf_cpu_threads_for(wf_cpu_of(be), 0.3 * (double)a->x.n_rows * (double)a->x.n_cols);
#pragma omp parallel for num_threads(n) schedule(static) if (n > 1)
    for (int64_t i = 0; i < a->y.n_rows; i++)
        pool_row(a, i);
    return WF_OK;
}
