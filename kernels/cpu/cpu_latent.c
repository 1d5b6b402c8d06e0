// Latent attention: cuts a step into a few heads of a token, which threads take one by one
// (isa_latent.c computes); and the products of heads, one matrix after the other.
#include <omp.h>

#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"

#define FLOPS_PER_NS 20.0 // of one thread

wf_status wf_cpu_heads_gemm(wf_backend *be, wf_stream *s, const wf_heads_gemm_args *a)
{
    (void)s;
    WF_TRY(wf_check_heads_gemm(a, WF_F32));
    wf_cpu *cpu = wf_cpu_of(be);
    const wf_cpu_weight *w = (const wf_cpu_weight *)a->w;
    double flops = 2.0 * (double)a->x.n_rows * (double)(a->w->n_rows * a->w->n_cols);
    int n_threads = wf_cpu_threads_for(cpu, a->w->n_groups * flops / FLOPS_PER_NS);
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int64_t h = 0; h < a->w->n_groups; h++) {
        wf_gemm_part part = wf_cpu_part_of(w, h);
        part.x = (const float *)a->x.data + h * a->x_step;
        part.x_stride = a->x.stride;
        part.n_rows = a->x.n_rows;
        part.end_panel = w->n_panels;
        part.y = (float *)a->y.data + h * a->y_step;
        part.y_stride = a->y.stride;
        part.scratch = wf_cpu_scratch(cpu, omp_get_thread_num());
        cpu->isa->gemm(&part);
    }
    return WF_OK;
}

static double work_ns(const wf_latent_attention_args *a)
{
    double pairs = 0.0;
    for (int32_t i = 0; i < a->batch->n_seqs; i++) {
        double n_new = a->batch->cu_seqlens[i + 1] - a->batch->cu_seqlens[i];
        pairs += n_new * ((double)a->batch->seq_past[i] + 0.5 * n_new);
    }
    return pairs * a->n_heads * 2.0 * (a->kv.head_dim + a->rank) / FLOPS_PER_NS;
}

wf_status wf_cpu_latent_attention(wf_backend *be, wf_stream *s, const wf_latent_attention_args *a)
{
    (void)s;
    WF_TRY(wf_check_latent_attention(a, WF_F32));
    wf_cpu *cpu = wf_cpu_of(be);
    int n_threads = wf_cpu_threads_for(cpu, work_ns(a));
    int32_t n_blocks = (a->n_heads + WF_LATENT_HEADS - 1) / WF_LATENT_HEADS;
    int64_t n_tasks = (int64_t)a->batch->n_tokens * n_blocks;
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int64_t task = 0; task < n_tasks; task++) {
        int32_t head = (int32_t)(task % n_blocks) * WF_LATENT_HEADS, end = head + WF_LATENT_HEADS;
        wf_latent_part part = {.args = a,
                               .i_token = (int32_t)(task / n_blocks),
                               .i_head = head,
                               .end_head = end < a->n_heads ? end : a->n_heads,
                               .scratch = wf_cpu_scratch(cpu, omp_get_thread_num())};
        cpu->isa->latent_attention(&part);
    }
    return WF_OK;
}
