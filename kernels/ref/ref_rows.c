// Operations that move rows: token_ids, gather, scatter, reorder, kv_copy, count.
#include <stdlib.h>
#include <string.h>

#include "kernels/op_check.h"
#include "kernels/ref/ref.h"
#include "kernels/sampling.h"

wf_status wf_ref_token_ids(wf_backend *be, wf_stream *s, const wf_token_ids_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_token_ids(a, WF_F32));
    const wf_batch *b = a->batch;
    for (int32_t t = 0; t < b->n_tokens; t++) {
        int32_t given = a->host_ids[t];
        a->ids[t] = given >= 0 ? given : a->last_token[b->seq_row[b->token_seq[t]]];
    }
    return WF_OK;
}

wf_status wf_ref_gather(wf_backend *be, wf_stream *s, const wf_gather_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_gather(a, WF_F32));
    size_t size = wf_dtype_bytes(a->x.dtype);
    for (int64_t i = 0; i < a->y.n_rows; i++)
        memcpy((char *)a->y.data + (size_t)(i * a->y.stride) * size,
               (const char *)a->x.data + (size_t)(a->index[i] * a->x.stride) * size,
               (size_t)a->y.n_cols * size);
    return WF_OK;
}

wf_status wf_ref_scatter(wf_backend *be, wf_stream *s, const wf_scatter_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_scatter(a, WF_F32));
    for (int32_t i = 0; i < a->n; i++)
        memcpy((char *)a->dst + (size_t)a->index[i] * a->row_bytes,
               (const char *)a->src + (size_t)i * a->row_bytes, a->row_bytes);
    return WF_OK;
}

// Whether a move reads a row that an earlier one has written. Holes filled from the tail never do,
// so that the engine's steps take the direct path and need no memory.
static bool moves_overlap(const wf_reorder_args *a)
{
    for (int32_t i = 0; i < a->n_moves; i++)
        for (int32_t j = i + 1; j < a->n_moves; j++)
            if (a->to[i] == a->from[j]) return true;
    return false;
}

static void move_direct(const wf_reorder_args *a, const wf_row_array *array)
{
    for (int32_t i = 0; i < a->n_moves; i++)
        if (a->from[i] != a->to[i])
            memcpy((char *)array->data + (size_t)a->to[i] * array->row_bytes,
                   (const char *)array->data + (size_t)a->from[i] * array->row_bytes,
                   array->row_bytes);
}

static void move_staged(const wf_reorder_args *a, const wf_row_array *array, char *stage)
{
    for (int32_t i = 0; i < a->n_moves; i++)
        memcpy(stage + (size_t)i * array->row_bytes,
               (const char *)array->data + (size_t)a->from[i] * array->row_bytes, array->row_bytes);
    for (int32_t i = 0; i < a->n_moves; i++)
        memcpy((char *)array->data + (size_t)a->to[i] * array->row_bytes,
               stage + (size_t)i * array->row_bytes, array->row_bytes);
}

wf_status wf_ref_reorder(wf_backend *be, wf_stream *s, const wf_reorder_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_reorder(a, WF_F32));
    char *stage = NULL;
    size_t widest = 0;
    for (int32_t i = 0; i < a->n_arrays; i++)
        if (a->arrays[i].row_bytes > widest) widest = a->arrays[i].row_bytes;
    bool overlap = moves_overlap(a);
    if (overlap && (stage = malloc(widest * (size_t)a->n_moves)) == NULL)
        return wf_fail(WF_NO_MEMORY, "reorder: out of memory");
    for (int32_t i = 0; i < a->n_arrays; i++)
        if (overlap)
            move_staged(a, &a->arrays[i], stage);
        else
            move_direct(a, &a->arrays[i]);
    free(stage);
    return WF_OK;
}

wf_status wf_ref_kv_copy(wf_backend *be, wf_stream *s, const wf_kv_copy_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_kv_copy(a, WF_F32));
    for (int32_t layer = 0; layer < a->n_layers; layer++) {
        char *base = (char *)a->pool + layer * a->layer_bytes;
        for (int32_t i = 0; i < a->n_pages; i++)
            memcpy(base + a->to[i] * a->page_bytes, base + a->from[i] * a->page_bytes,
                   (size_t)a->page_bytes);
    }
    return WF_OK;
}

wf_status wf_ref_count(wf_backend *be, wf_stream *s, const wf_count_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_count(a, WF_F32));
    const wf_batch *b = a->batch;
    for (int32_t i = 0; i < b->n_seqs; i++)
        if (b->seq_join[i])
            memset(a->counts + (int64_t)b->seq_row[i] * a->counts_stride, 0,
                   (size_t)a->counts_stride * sizeof *a->counts);
    for (int32_t t = 0; t < b->n_tokens; t++) {
        int32_t row = b->seq_row[b->token_seq[t]], id = a->ids[t];
        if (id < 0 || id >= a->n_vocab) continue;
        uint16_t *count = a->counts + (int64_t)row * a->counts_stride + id;
        *count = wf_sample_count(*count, b->token_pos[t] < a->sampling[row].prompt_len);
    }
    return WF_OK;
}
