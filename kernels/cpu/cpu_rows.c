// Operations on rows: splits them over threads (isa_rows.c computes).
#include <string.h>

#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"

// About one thread's nanoseconds for each element of a row.
#define NS_PER_ELEMENT 0.3

// Calls kernel(a, begin, end) for a part of the rows on each thread.
#define FOR_ROW_PARTS(be, n_rows, n_cols, kernel, a)                                               \
    do {                                                                                           \
        const wf_cpu *cpu_ = wf_cpu_of(be);                                                        \
        int64_t rows_ = (n_rows);                                                                  \
        int n_ = wf_cpu_threads_for(cpu_, NS_PER_ELEMENT * (double)rows_ * (double)(n_cols));      \
        _Pragma("omp parallel for num_threads(n_) schedule(static, 1) if (n_ > 1)") for (int i_ =  \
                                                                                             0;    \
                                                                                         i_ < n_;  \
                                                                                         i_++)     \
            cpu_->isa->kernel(a, wf_cpu_share(rows_, i_, n_), wf_cpu_share(rows_, i_ + 1, n_));    \
    } while (0)

wf_status wf_cpu_rmsnorm(wf_backend *be, wf_stream *s, const wf_rmsnorm_args *a)
{
    (void)s;
    WF_TRY(wf_check_rmsnorm(a, WF_F32));
    FOR_ROW_PARTS(be, a->x.n_rows, a->x.n_cols, rmsnorm, a);
    return WF_OK;
}

wf_status wf_cpu_layernorm(wf_backend *be, wf_stream *s, const wf_layernorm_args *a)
{
    (void)s;
    WF_TRY(wf_check_layernorm(a, WF_F32));
    FOR_ROW_PARTS(be, a->x.n_rows, a->x.n_cols, layernorm, a);
    return WF_OK;
}

wf_status wf_cpu_softcap(wf_backend *be, wf_stream *s, const wf_softcap_args *a)
{
    (void)s;
    WF_TRY(wf_check_softcap(a, WF_F32));
    FOR_ROW_PARTS(be, a->x.n_rows, 3 * a->x.n_cols, softcap, a);
    return WF_OK;
}

wf_status wf_cpu_add(wf_backend *be, wf_stream *s, const wf_add_args *a)
{
    (void)s;
    WF_TRY(wf_check_add(a, WF_F32));
    FOR_ROW_PARTS(be, a->x.n_rows, a->x.n_cols, add, a);
    return WF_OK;
}

wf_status wf_cpu_gate_mul(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    (void)s;
    WF_TRY(wf_check_gate_mul(a, WF_F32));
    FOR_ROW_PARTS(be, a->y.n_rows, 3 * a->y.n_cols, gate_mul, a);
    return WF_OK;
}

wf_status wf_cpu_activate(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    (void)s;
    WF_TRY(wf_check_activate(a, WF_F32));
    FOR_ROW_PARTS(be, a->y.n_rows, 3 * a->y.n_cols, activate, a);
    return WF_OK;
}

wf_status wf_cpu_head_squares(wf_backend *be, wf_stream *s, const wf_head_squares_args *a)
{
    (void)s;
    WF_TRY(wf_check_head_squares(a, WF_F32));
    FOR_ROW_PARTS(be, a->qkv.n_rows, (int64_t)a->n_heads * a->head_dim, head_squares, a);
    return WF_OK;
}

wf_status wf_cpu_rope_kv_append(wf_backend *be, wf_stream *s, const wf_rope_args *a)
{
    (void)s;
    WF_TRY(wf_check_rope_kv_append(a, WF_F32));
    const wf_cpu *cpu = wf_cpu_of(be);
    int32_t n_tokens = a->batch->n_tokens;
    int n = wf_cpu_threads_for(cpu, NS_PER_ELEMENT * (double)n_tokens * (double)a->qkv.n_cols);
#pragma omp parallel for num_threads(n) schedule(static, 1) if (n > 1)
    for (int i = 0; i < n; i++)
        cpu->isa->rope_kv_append(a, (int32_t)wf_cpu_share(n_tokens, i, n),
                                 (int32_t)wf_cpu_share(n_tokens, i + 1, n));
    return WF_OK;
}

wf_status wf_cpu_kv_copy(wf_backend *be, wf_stream *s, const wf_kv_copy_args *a)
{
    (void)s;
    WF_TRY(wf_check_kv_copy(a, WF_F32));
    int64_t n_copies = (int64_t)a->n_layers * a->n_pages;
    int n = wf_cpu_threads_for(wf_cpu_of(be), (double)(n_copies * a->page_bytes) / 5.0);
#pragma omp parallel for num_threads(n) schedule(static) if (n > 1)
    for (int64_t i = 0; i < n_copies; i++) {
        char *layer = (char *)a->pool + i / a->n_pages * a->layer_bytes;
        int64_t page = i % a->n_pages;
        memcpy(layer + a->to[page] * a->page_bytes, layer + a->from[page] * a->page_bytes,
               (size_t)a->page_bytes);
    }
    return WF_OK;
}
