// Least bytes and operations of every operation (profile_cost.h).
#include "kernels/profile_cost.h"

#include <math.h>

#include "kernels/backend.h"
#include "kernels/kv.h"

static double bytes_of(const wf_matrix *m)
{
    return m->data ? (double)(m->n_rows * m->n_cols) * (double)wf_dtype_bytes(m->dtype) : 0.0;
}

wf_op_cost wf_cost_token_ids(const wf_token_ids_args *a)
{
    return (wf_op_cost){.rows = a->batch->n_tokens, .bytes = 12.0 * a->batch->n_tokens};
}

wf_op_cost wf_cost_embed(const wf_embed_args *a)
{
    double row = (double)wf_format_row_bytes(a->table->dtype, a->y.n_cols);
    if (a->positions) row += (double)wf_format_row_bytes(a->positions->dtype, a->y.n_cols);
    return (wf_op_cost){.rows = a->y.n_rows, .bytes = bytes_of(&a->y) + (double)a->y.n_rows * row};
}

wf_op_cost wf_cost_gemm(const wf_gemm_args *a)
{
    return (wf_op_cost){.rows = a->x.n_rows,
                        .n_out = a->w->n_rows,
                        .n_in = a->w->n_cols,
                        .bytes = bytes_of(&a->x) + (double)wf_weight_bytes(a->w) + bytes_of(&a->y),
                        .flops = 2.0 * (double)a->x.n_rows * (double)a->w->n_rows *
                                 (double)a->w->n_cols};
}

static wf_op_cost norm_cost(const wf_matrix *x, const wf_matrix *residual, const wf_matrix *y)
{
    return (wf_op_cost){.rows = x->n_rows,
                        .bytes = bytes_of(x) + 2.0 * bytes_of(residual) + bytes_of(y)};
}

wf_op_cost wf_cost_rmsnorm(const wf_rmsnorm_args *a)
{
    return norm_cost(&a->x, &a->residual, &a->y);
}

wf_op_cost wf_cost_layernorm(const wf_layernorm_args *a)
{
    return norm_cost(&a->x, &a->residual, &a->y);
}

wf_op_cost wf_cost_add(const wf_add_args *a)
{
    return (wf_op_cost){.rows = a->y.n_rows, .bytes = 3.0 * bytes_of(&a->y)};
}

wf_op_cost wf_cost_head_squares(const wf_head_squares_args *a)
{
    double act = (double)wf_dtype_bytes(a->qkv.dtype);
    return (wf_op_cost){.rows = a->qkv.n_rows,
                        .bytes = (double)a->qkv.n_rows * a->n_heads * (a->head_dim * act + 4.0)};
}

// Of K and V of a token.
static double kv_row_bytes(const wf_kv *kv)
{
    return 2.0 * kv->n_kv_heads * (double)wf_kv_token_bytes(kv->dtype, kv->head_dim);
}

wf_op_cost wf_cost_rope_kv_append(const wf_rope_args *a)
{
    double act = (double)wf_dtype_bytes(a->qkv.dtype);
    double rotated = (double)(a->n_heads + a->kv.n_kv_heads) * a->kv.head_dim;
    double v = (double)a->kv.n_kv_heads * a->kv.head_dim;
    double row = 2.0 * rotated * act + v * act + kv_row_bytes(&a->kv);
    return (wf_op_cost){.rows = a->qkv.n_rows, .bytes = (double)a->qkv.n_rows * row};
}

// K and V of every sequence once, q and out; two products of head_dim per pair and head. With a
// window no more than each sequence and each token can see.
wf_op_cost wf_cost_attention(const wf_attention_args *a)
{
    double kv_row = kv_row_bytes(&a->kv);
    double n_kv = (double)a->batch->n_kv, n_pairs = (double)a->batch->n_pairs;
    if (a->window > 0) {
        n_pairs = fmin(n_pairs, (double)a->batch->n_tokens * a->window);
        n_kv = fmin(n_kv, (double)a->batch->n_seqs * (a->window - 1) + a->batch->n_tokens);
    }
    return (wf_op_cost){.rows = a->out.n_rows,
                        .bytes = 2.0 * bytes_of(&a->out) + n_kv * kv_row,
                        .flops = 4.0 * n_pairs * a->n_heads * a->kv.head_dim};
}

// Every pair of a sequence's tokens, or those in the window; the batch counts pairs as if causal.
wf_op_cost wf_cost_packed_attention(const wf_packed_attention_args *a)
{
    double n = a->batch->n_tokens, pairs = 2.0 * (double)a->batch->n_pairs - n;
    if (a->window > 0) pairs = fmin(pairs, n * (2.0 * a->window + 1.0));
    return (wf_op_cost){.rows = a->out.n_rows,
                        .bytes = bytes_of(&a->qkv) + bytes_of(&a->out),
                        .flops = 4.0 * pairs * a->n_heads * a->head_dim};
}

wf_op_cost wf_cost_pool(const wf_pool_args *a)
{
    bool whole = a->pooling == WF_POOL_MEAN || a->pooling == WF_POOL_MAX;
    return (wf_op_cost){.rows = a->y.n_rows,
                        .bytes = bytes_of(&a->y) + bytes_of(whole ? &a->x : &a->y)};
}

wf_op_cost wf_cost_unit_rows(const wf_unit_rows_args *a)
{
    return (wf_op_cost){.rows = a->y.n_rows, .bytes = bytes_of(&a->x) + bytes_of(&a->y)};
}

wf_op_cost wf_cost_heads_gemm(const wf_heads_gemm_args *a)
{
    double heads = a->w->n_groups, n = (double)a->w->n_rows, k = (double)a->w->n_cols;
    double act = (double)wf_dtype_bytes(a->x.dtype), rows = (double)a->x.n_rows;
    return (wf_op_cost){.rows = a->x.n_rows,
                        .n_out = a->w->n_rows,
                        .n_in = a->w->n_cols,
                        .bytes = rows * heads * (n + k) * act + (double)wf_weight_bytes(a->w),
                        .flops = 2.0 * rows * heads * n * k};
}

wf_op_cost wf_cost_latent_append(const wf_latent_append_args *a)
{
    double act = (double)wf_dtype_bytes(a->c.dtype), kv = (double)wf_dtype_bytes(a->kv.dtype);
    double row = a->kv.head_dim * (act + kv) + 2.0 * a->n_heads * a->rope * act;
    return (wf_op_cost){.rows = a->c.n_rows, .bytes = (double)a->c.n_rows * row};
}

// The rows of every sequence once, q and out; a product of a row and one of `rank` per pair and
// head.
wf_op_cost wf_cost_latent_attention(const wf_latent_attention_args *a)
{
    double row = a->kv.head_dim * (double)wf_dtype_bytes(a->kv.dtype);
    return (wf_op_cost){.rows = a->out.n_rows,
                        .bytes = bytes_of(&a->q) + bytes_of(&a->out) + (double)a->batch->n_kv * row,
                        .flops = 2.0 * (double)a->batch->n_pairs * a->n_heads *
                                 (a->kv.head_dim + a->rank)};
}

static wf_op_cost activation_cost(const wf_activation_args *a)
{
    return (wf_op_cost){.rows = a->y.n_rows, .bytes = bytes_of(&a->x) + bytes_of(&a->y)};
}

wf_op_cost wf_cost_gate_mul(const wf_activation_args *a)
{
    return activation_cost(a);
}

wf_op_cost wf_cost_activate(const wf_activation_args *a)
{
    return activation_cost(a);
}

wf_op_cost wf_cost_route(const wf_route_args *a)
{
    return (wf_op_cost){.rows = a->logits.n_rows,
                        .bytes =
                            bytes_of(&a->logits) + 8.0 * (double)a->logits.n_rows * a->n_choices};
}

wf_op_cost wf_cost_pack_pairs(const wf_pack_pairs_args *a)
{
    return (wf_op_cost){.rows = a->n_pairs, .bytes = 12.0 * a->n_pairs};
}

// The experts that are touched, once, if tokens choose evenly.
wf_op_cost wf_cost_experts_gemm(const wf_experts_gemm_args *a)
{
    double n = a->w->n_groups, chosen = a->n_choices < n ? a->n_choices / n : 1.0;
    double tokens = (double)a->y.n_rows / a->n_choices;
    double touched = a->begin ? 1.0 - pow(1.0 - chosen, tokens) : 1.0;
    double x_row = (double)a->x.n_cols * (double)wf_dtype_bytes(a->x.dtype);
    return (wf_op_cost){.rows = a->y.n_rows,
                        .n_out = a->w->n_rows,
                        .n_in = a->w->n_cols,
                        .bytes = (a->pair ? tokens : (double)a->y.n_rows) * x_row +
                                 touched * (double)wf_weight_bytes(a->w) + bytes_of(&a->y),
                        .flops = 2.0 * (double)a->y.n_rows * (double)a->w->n_rows *
                                 (double)a->w->n_cols};
}

wf_op_cost wf_cost_combine(const wf_combine_args *a)
{
    double runs = a->k_runs > 1 ? a->k_runs : 1;
    return (wf_op_cost){.rows = a->y.n_rows,
                        .bytes = runs * (bytes_of(&a->x) + bytes_of(&a->shared)) + bytes_of(&a->y)};
}

wf_op_cost wf_cost_gather(const wf_gather_args *a)
{
    return (wf_op_cost){.rows = a->y.n_rows, .bytes = 2.0 * bytes_of(&a->y)};
}

wf_op_cost wf_cost_scatter(const wf_scatter_args *a)
{
    return (wf_op_cost){.rows = a->n, .bytes = 2.0 * a->n * (double)a->row_bytes};
}

wf_op_cost wf_cost_reorder(const wf_reorder_args *a)
{
    double row = 0.0;
    for (int32_t i = 0; i < a->n_arrays; i++)
        row += (double)a->arrays[i].row_bytes;
    return (wf_op_cost){.rows = a->n_moves, .bytes = 2.0 * a->n_moves * row};
}

wf_op_cost wf_cost_kv_copy(const wf_kv_copy_args *a)
{
    return (wf_op_cost){.rows = a->n_pages,
                        .bytes = 2.0 * a->n_pages * a->n_layers * (double)a->page_bytes};
}

wf_op_cost wf_cost_count(const wf_count_args *a)
{
    return (wf_op_cost){.rows = a->batch->n_tokens, .bytes = 8.0 * a->batch->n_tokens};
}

wf_op_cost wf_cost_sample(const wf_sample_args *a)
{
    return (wf_op_cost){.rows = a->logits.n_rows, .bytes = bytes_of(&a->logits)};
}

wf_op_cost wf_cost_softcap(const wf_softcap_args *a)
{
    return (wf_op_cost){.rows = a->x.n_rows, .bytes = 2.0 * bytes_of(&a->x)};
}

wf_op_cost wf_cost_best(const wf_best_args *a)
{
    return (wf_op_cost){.rows = a->logits.n_rows, .bytes = bytes_of(&a->logits)};
}

wf_op_cost wf_cost_best_pick(const wf_best_pick_args *a)
{
    return (wf_op_cost){.rows = a->n, .bytes = (double)a->n * a->n_ranks * sizeof(wf_best)};
}
