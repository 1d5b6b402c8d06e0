// Attention: cuts the batch into tasks of up to 96 rows of one sequence and KV head, which threads
// take one by one (isa_attention.c computes).
#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"

static int32_t n_blocks_of(const wf_attention_args *a, int32_t i_seq)
{
    const wf_batch *b = a->batch;
    int32_t n_tokens = b->cu_seqlens[i_seq + 1] - b->cu_seqlens[i_seq];
    int32_t n_rows = n_tokens * (a->n_heads / a->kv.n_kv_heads);
    return (n_rows + WF_ATTENTION_ROWS - 1) / WF_ATTENTION_ROWS;
}

// Fills task_begin; the batch's sequences never outgrow the room for long.
static wf_status count_tasks(wf_cpu *cpu, const wf_attention_args *a)
{
    int64_t need = (int64_t)a->batch->n_seqs + 1;
    if (need > cpu->task_room) {
        int32_t *grown = realloc(cpu->task_begin, (size_t)(2 * need) * sizeof *grown);
        if (grown == NULL) return wf_fail(WF_NO_MEMORY, "attention: out of memory");
        cpu->task_begin = grown;
        cpu->task_room = 2 * need;
    }
    cpu->task_begin[0] = 0;
    for (int32_t i = 0; i < a->batch->n_seqs; i++)
        cpu->task_begin[i + 1] = cpu->task_begin[i] + n_blocks_of(a, i) * a->kv.n_kv_heads;
    return WF_OK;
}

static int32_t sequence_of(const wf_cpu *cpu, int32_t n_seqs, int32_t task)
{
    int32_t low = 0, high = n_seqs; // task_begin[low] <= task < task_begin[high]
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (cpu->task_begin[middle] <= task)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void run_task(const wf_cpu *cpu, const wf_attention_args *a, int32_t task)
{
    const wf_batch *b = a->batch;
    int32_t i_seq = sequence_of(cpu, b->n_seqs, task);
    int32_t n_blocks = n_blocks_of(a, i_seq), in_seq = task - cpu->task_begin[i_seq];
    // Last blocks first: they see the longest context, and a long task must not start last.
    int32_t block = n_blocks - 1 - in_seq / a->kv.n_kv_heads;
    int32_t n_tokens = b->cu_seqlens[i_seq + 1] - b->cu_seqlens[i_seq];
    int32_t n_rows = n_tokens * (a->n_heads / a->kv.n_kv_heads);
    int32_t first = block * WF_ATTENTION_ROWS, end = first + WF_ATTENTION_ROWS;
    wf_attention_part part = {.args = a,
                              .i_seq = i_seq,
                              .kv_head = in_seq % a->kv.n_kv_heads,
                              .i_row = first,
                              .end_row = end < n_rows ? end : n_rows,
                              .scratch = wf_cpu_scratch(cpu, omp_get_thread_num())};
    cpu->isa->attention(&part);
}

// About how long one thread needs: scores at 40 flops per nanosecond, a prompt sees half its
// length, and nothing beyond its window.
static double work_ns(const wf_attention_args *a)
{
    double pairs = 0.0;
    for (int32_t i = 0; i < a->batch->n_seqs; i++) {
        int32_t n_new = a->batch->cu_seqlens[i + 1] - a->batch->cu_seqlens[i];
        double seen = (double)a->batch->seq_past[i] + 0.5 * (double)n_new;
        pairs += (double)n_new * (a->window > 0 ? fmin(seen, (double)a->window) : seen);
    }
    return pairs * (double)a->n_heads * (double)a->kv.head_dim / 10.0;
}

wf_status wf_cpu_attention(wf_backend *be, wf_stream *s, const wf_attention_args *a)
{
    (void)s;
    WF_TRY(wf_check_attention(a, WF_F32));
    wf_cpu *cpu = wf_cpu_of(be);
    WF_TRY(count_tasks(cpu, a));
    int32_t n_tasks = cpu->task_begin[a->batch->n_seqs];
    int n_threads = wf_cpu_threads_for(cpu, work_ns(a));
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int32_t task = 0; task < n_tasks; task++)
        run_task(cpu, a, task);
    return WF_OK;
}
