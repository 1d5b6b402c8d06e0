// The table of blocks, and the operations that blocks and the ends of the forward pass share.
#include "engine/block.h"

#include "engine/forward_internal.h"

#include <assert.h>

const wf_block *wf_block_of(wf_block_kind kind)
{
    static const wf_block *const rows[WF_N_BLOCKS] = {
#define WF_BLOCK_POINTER(NAME, name) &wf_block_##name,
        WF_BLOCK_TABLE(WF_BLOCK_POINTER)
#undef WF_BLOCK_POINTER
    };
    return rows[kind];
}

int64_t wf_block_kv_bytes(const wf_arch *arch, int32_t i_layer, int32_t tp_size, wf_dtype kv)
{
    wf_arch_layer share = wf_arch_layer_share(arch, i_layer, tp_size);
    const wf_block *mixer = wf_block_of(share.mixer);
    return mixer->kv_bytes ? mixer->kv_bytes(arch, &share, kv) : 0;
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

static wf_status layernorm(wf_forward *f, const wf_param *w, const wf_rmsnorm_args *a, bool whole)
{
    if (!whole) WF_TRY(wf_block_sum(f, a->x));
    return f->be->ops->layernorm(f->be, f->stream,
                                 &(wf_layernorm_args){.x = a->x,
                                                      .residual = a->residual,
                                                      .weight = w->vector,
                                                      .bias = w->bias,
                                                      .eps = a->eps,
                                                      .y = a->y,
                                                      .scale = a->scale});
}

wf_matrix wf_block_addend(const wf_forward *f, wf_addend added, wf_matrix x)
{
    return wf_matrix_of(added.data, added.whole ? f->num.act : f->num.sum, x.n_rows, x.n_cols);
}

wf_status wf_block_norm(wf_forward *f, const wf_param *w, wf_matrix x, wf_addend added, void *out)
{
    bool whole = added.whole || !added.data;
    wf_rmsnorm_args a = {.x = x,
                         .weight = w->vector,
                         .eps = f->m->arch.norm_eps,
                         .y = x,
                         .scale = f->m->arch.residual_scale};
    a.y.data = out;
    if (added.data) {
        a.residual = x;
        a.x = wf_block_addend(f, added, x);
    }
    if (f->m->arch.family->norm == WF_NORM_LAYER) return layernorm(f, w, &a, whole);
    return whole ? f->be->ops->rmsnorm(f->be, f->stream, &a)
                 : wf_comm_all_reduce_rmsnorm(f->comm, f->be, f->stream, &a);
}

wf_status wf_block_norm_sum(wf_forward *f, const wf_param *w, wf_matrix x, void *part, void *out)
{
    wf_matrix sum = wf_block_addend(f, (wf_addend){.data = part}, x);
    WF_TRY(wf_block_sum(f, sum));
    wf_rmsnorm_args a = {.x = sum, .weight = w->vector, .eps = f->m->arch.norm_eps, .y = x};
    a.y.data = out;
    if (f->m->arch.family->norm == WF_NORM_LAYER) return layernorm(f, w, &a, true);
    return f->be->ops->rmsnorm(f->be, f->stream, &a);
}

wf_status wf_block_add(wf_forward *f, wf_matrix x, wf_addend added)
{
    if (!added.data) return WF_OK;
    assert(added.whole);
    return f->be->ops->add(f->be, f->stream,
                           &(wf_add_args){.x = wf_block_addend(f, added, x), .y = x});
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
