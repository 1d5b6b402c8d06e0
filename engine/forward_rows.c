// A step's plan on the device: copied in, its moves made, its new rows and pages entered.
#include "engine/forward_internal.h"

// What attention has to do: KV rows it reads, pairs of tokens it multiplies.
static void count_work(const int32_t *plan, const int64_t *offsets, wf_batch *b)
{
    const int32_t *past = plan + offsets[WF_PLAN_AT_SEQ_PAST];
    const int32_t *begin = plan + offsets[WF_PLAN_AT_CU_SEQLENS];
    for (int32_t i = 0; i < b->n_seqs; i++) {
        int64_t n = begin[i + 1] - begin[i];
        b->n_kv += past[i] + n;
        b->n_pairs += n * past[i] + n * (n + 1) / 2;
    }
}

wf_status wf_forward_upload_plan(wf_forward *f, wf_forward_slot *s, wf_forward_step *st)
{
    int64_t offsets[WF_PLAN_N_SECTIONS];
    const int32_t *h = s->plan;
    int64_t words = wf_plan_layout(h, offsets);
    WF_TRY(f->be->ops->upload(f->be, f->stream, f->b.plan, s->plan, (size_t)words * 4));
    for (int i = 0; i < WF_PLAN_N_SECTIONS; i++)
        st->at[i] = (int32_t *)f->b.plan + offsets[i];
    st->h = h;
    st->n_top = f->cfg.n_top >= 0 ? h[WF_PLAN_LOGPROBS] - 1 : -1;
    st->n_tokens = h[WF_PLAN_TOKENS];
    st->n_samples = h[WF_PLAN_SAMPLES];
    st->batch = (wf_batch){.n_tokens = h[WF_PLAN_TOKENS],
                           .n_seqs = h[WF_PLAN_SEQS],
                           .n_decode = h[WF_PLAN_DECODE],
                           .max_new = h[WF_PLAN_MAX_NEW],
                           .max_context = h[WF_PLAN_MAX_CONTEXT],
                           .cu_seqlens = st->at[WF_PLAN_AT_CU_SEQLENS],
                           .seq_row = st->at[WF_PLAN_AT_SEQ_ROW],
                           .seq_past = st->at[WF_PLAN_AT_SEQ_PAST],
                           .seq_join = st->at[WF_PLAN_AT_SEQ_JOIN],
                           .token_seq = st->at[WF_PLAN_AT_TOKEN_SEQ],
                           .token_pos = st->at[WF_PLAN_AT_TOKEN_POS],
                           .page_table = f->b.page_table,
                           .page_stride = f->cfg.max_pages};
    count_work(h, offsets, &st->batch);
    st->n_live = st->n_tokens;
    for (int32_t i = 0; h[WF_PLAN_PADDED] && i < st->batch.n_seqs; i++)
        st->n_live -= h[offsets[WF_PLAN_AT_SEQ_ROW] + i] == f->cfg.max_rows;
    return WF_OK;
}

// Contiguous slots take their KV along: one copy for each run of layers with pages of one size.
static wf_status copy_pages(wf_forward *f, const wf_forward_step *st)
{
    const int64_t *at = f->kv_at;
    int32_t n_layers = f->m->arch.n_layers, n_pages = f->cfg.n_pages + f->cfg.pad;
    for (int32_t i = 0, end; i < n_layers; i = end) {
        int64_t layer_bytes = at[i + 1] - at[i];
        for (end = i + 1; end < n_layers && at[end + 1] - at[end] == layer_bytes;)
            end++;
        if (layer_bytes == 0) continue;
        WF_TRY(f->be->ops->kv_copy(f->be, f->stream,
                                   &(wf_kv_copy_args){.pool = (char *)f->kv + at[i],
                                                      .layer_bytes = layer_bytes,
                                                      .page_bytes = layer_bytes / n_pages,
                                                      .n_layers = end - i,
                                                      .n_pages = st->h[WF_PLAN_COPIES],
                                                      .from = st->at[WF_PLAN_AT_COPY_FROM],
                                                      .to = st->at[WF_PLAN_AT_COPY_TO]}));
    }
    return WF_OK;
}

wf_status wf_forward_move_rows(wf_forward *f, const wf_forward_step *st)
{
    wf_row_array arrays[4] = {{f->b.last_token, 4}, {f->b.sampling, sizeof(wf_row_sampling)}};
    int32_t n = 2;
    if (f->cfg.slot_pages == 0) arrays[n++] = (wf_row_array){f->b.page_table, f->s.table_cols * 4};
    if (f->b.counts) arrays[n++] = (wf_row_array){f->b.counts, f->s.counts_cols * 2};
    if (st->h[WF_PLAN_MOVES] > 0)
        WF_TRY(f->be->ops->reorder(f->be, f->stream,
                                   &(wf_reorder_args){.arrays = arrays,
                                                      .n_arrays = n,
                                                      .n_moves = st->h[WF_PLAN_MOVES],
                                                      .from = st->at[WF_PLAN_AT_MOVE_FROM],
                                                      .to = st->at[WF_PLAN_AT_MOVE_TO]}));
    return st->h[WF_PLAN_COPIES] > 0 ? copy_pages(f, st) : WF_OK;
}

wf_status wf_forward_enter_rows(wf_forward *f, const wf_forward_step *st)
{
    if (st->h[WF_PLAN_JOINS] > 0)
        WF_TRY(f->be->ops->scatter(f->be, f->stream,
                                   &(wf_scatter_args){.dst = f->b.sampling,
                                                      .src = st->at[WF_PLAN_AT_JOIN_SAMPLING],
                                                      .index = st->at[WF_PLAN_AT_JOIN_ROW],
                                                      .n = st->h[WF_PLAN_JOINS],
                                                      .row_bytes = sizeof(wf_row_sampling)}));
    if (st->h[WF_PLAN_PAGES] == 0) return WF_OK;
    return f->be->ops->scatter(f->be, f->stream,
                               &(wf_scatter_args){.dst = f->b.page_table,
                                                  .src = st->at[WF_PLAN_AT_PAGE],
                                                  .index = st->at[WF_PLAN_AT_PAGE_INDEX],
                                                  .n = st->h[WF_PLAN_PAGES],
                                                  .row_bytes = 4});
}
