// The table of blocks, and the operations that blocks and the ends of the forward pass share.
#include "engine/block.h"

#include "engine/forward_internal.h"

const wf_block *wf_block_of(wf_block_kind kind)
{
    static const wf_block *const rows[WF_N_BLOCKS] = {
#define WF_BLOCK_POINTER(NAME, name) &wf_block_##name,
        WF_BLOCK_TABLE(WF_BLOCK_POINTER)
#undef WF_BLOCK_POINTER
    };
    return rows[kind];
}

int64_t wf_block_kv_numbers(const wf_arch *arch, int32_t i_layer, int32_t tp_size)
{
    wf_arch_layer share = wf_arch_layer_share(arch, i_layer, tp_size);
    const wf_block *mixer = wf_block_of(share.mixer);
    return mixer->kv_numbers ? mixer->kv_numbers(arch, &share) : 0;
}

wf_matrix wf_block_matrix(const wf_forward *f, void *data, int64_t n_rows, size_t n_cols)
{
    return wf_matrix_of(data, f->num.act, n_rows, (int64_t)n_cols);
}

wf_status wf_block_sum(wf_forward *f, wf_matrix m)
{
    if (f->m->tp_size == 1) return WF_OK;
    return f->comm->ops->all_reduce(f->comm, f->stream, m.data, m.n_rows * m.n_cols, m.dtype);
}

static wf_status layernorm(wf_forward *f, const wf_param *w, wf_matrix in, wf_matrix residual,
                           wf_matrix y)
{
    if (residual.data) WF_TRY(wf_block_sum(f, in));
    return f->be->ops->layernorm(f->be, f->stream,
                                 &(wf_layernorm_args){.x = in,
                                                      .residual = residual,
                                                      .weight = w->vector,
                                                      .bias = w->bias,
                                                      .eps = f->m->arch.norm_eps,
                                                      .y = y});
}

wf_status wf_block_norm(wf_forward *f, const wf_param *w, wf_matrix x, void *added, void *out)
{
    wf_matrix y = x, residual = {0}, in = x;
    y.data = out;
    if (added) {
        residual = x;
        in = wf_matrix_of(added, f->num.sum, x.n_rows, x.n_cols);
    }
    if (f->m->arch.family->norm == WF_NORM_LAYER) return layernorm(f, w, in, residual, y);
    wf_rmsnorm_args a = {
        .x = in, .residual = residual, .weight = w->vector, .eps = f->m->arch.norm_eps, .y = y};
    return added ? wf_comm_all_reduce_rmsnorm(f->comm, f->be, f->stream, &a)
                 : f->be->ops->rmsnorm(f->be, f->stream, &a);
}

wf_status wf_block_gemm(wf_forward *f, wf_matrix x, const wf_param *w, wf_matrix y)
{
    return f->be->ops->gemm(f->be, f->stream,
                            &(wf_gemm_args){.x = x, .w = w->matrix, .bias = w->bias, .y = y});
}

wf_status wf_block_gemm_part(wf_forward *f, wf_matrix x, const wf_param *w, void *y)
{
    wf_matrix part = wf_matrix_of(y, f->num.sum, x.n_rows, (int64_t)f->s.hidden);
    return f->be->ops->gemm(
        f->be, f->stream,
        &(wf_gemm_args){.x = x, .w = w->matrix, .bias = w->bias, .y = part, .k_runs = f->k_runs});
}
