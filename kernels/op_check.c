// Checks of operation arguments (op_check.h).
#include "kernels/op_check.h"
#include "kernels/ops.h"

#include <inttypes.h>
#include <math.h>

static wf_status check_matrix(const char *op, const char *name, const wf_matrix *m)
{
    if (m->n_rows < 0 || m->n_cols < 0 || (m->n_rows > 1 && m->stride < m->n_cols))
        return wf_fail(WF_INTERNAL,
                       "%s: %s has impossible shape %" PRId64 " x %" PRId64 " with stride %" PRId64,
                       op, name, m->n_rows, m->n_cols, m->stride);
    if (m->data == NULL && m->n_rows > 0 && m->n_cols > 0)
        return wf_fail(WF_INTERNAL, "%s: %s has no data", op, name);
    return WF_OK;
}

static wf_status check_typed(const char *op, const char *name, const wf_matrix *m, wf_dtype dtype)
{
    WF_TRY(check_matrix(op, name, m));
    if (m->dtype != dtype)
        return wf_fail(WF_INTERNAL, "%s: %s is %s, must be %s", op, name, wf_dtype_name(m->dtype),
                       wf_dtype_name(dtype));
    return WF_OK;
}

static wf_status check_shape(const char *op, const char *name, const wf_matrix *m, int64_t n_rows,
                             int64_t n_cols)
{
    if (m->n_rows != n_rows || m->n_cols != n_cols)
        return wf_fail(WF_INTERNAL,
                       "%s: %s is %" PRId64 " x %" PRId64 ", must be %" PRId64 " x %" PRId64, op,
                       name, m->n_rows, m->n_cols, n_rows, n_cols);
    return WF_OK;
}

static wf_status check_scales(const wf_weight_shape *shape)
{
    bool scaled = wf_format_scaled(shape->dtype);
    int32_t block = shape->block;
    bool known = block == 0 || (scaled && (block == 32 || block == 64 || block == 128));
    if (shape->dtype == WF_MXFP4) known = block == 32;
    if (!known || (shape->zeros && (block == 0 || shape->dtype == WF_FP8)))
        return wf_fail(WF_INTERNAL, "weight_create: scales for each %d numbers in %s%s", block,
                       wf_dtype_name(shape->dtype), shape->zeros ? ", with zero points" : "");
    if ((block > 0 && shape->n_cols % block != 0) ||
        shape->n_cols * wf_format_of(shape->dtype)->bits % 8 != 0)
        return wf_fail(WF_INTERNAL,
                       "weight_create: rows of %" PRId64 " numbers in %s do not end with a %s",
                       shape->n_cols, wf_dtype_name(shape->dtype), block > 0 ? "block" : "byte");
    return WF_OK;
}

wf_status wf_check_weight_shape(const wf_weight_shape *shape)
{
    if (wf_format_of(shape->dtype) == NULL)
        return wf_fail(WF_INTERNAL, "weight_create: no number format has number %d",
                       (int)shape->dtype);
    if (shape->n_groups < 1 || shape->n_rows < 0 || shape->n_cols < 0)
        return wf_fail(WF_INTERNAL, "weight_create: %d matrices of %" PRId64 " x %" PRId64,
                       shape->n_groups, shape->n_rows, shape->n_cols);
    return check_scales(shape);
}

// Which part, of which type: numbers of a plain weight in any plain type, others in their own.
static wf_status check_part(const wf_weight *w, const wf_weight_block *b)
{
    bool scaled = wf_format_scaled(w->dtype), right = false;
    if (b->part == WF_WEIGHT_SCALE && !scaled)
        return wf_fail(WF_INTERNAL, "weight_load: numbers in %s have no scales",
                       wf_dtype_name(w->dtype));
    if (b->part == WF_WEIGHT_ZERO && !w->zeros)
        return wf_fail(WF_INTERNAL, "weight_load: this matrix in %s has no zero points",
                       wf_dtype_name(w->dtype));
    if (b->part == WF_WEIGHT_DATA)
        right = scaled ? b->src_dtype == w->dtype : !wf_format_scaled(b->src_dtype);
    else if (b->part == WF_WEIGHT_SCALE)
        right = b->src_dtype == WF_F32;
    else if (b->part == WF_WEIGHT_ZERO)
        right = b->src_dtype == WF_INT8;
    if (right) return WF_OK;
    return wf_fail(WF_INTERNAL, "weight_load: part %d of a matrix in %s is not read from %s",
                   (int)b->part, wf_dtype_name(w->dtype), wf_dtype_name(b->src_dtype));
}

wf_status wf_check_weight_block(const wf_weight *w, const wf_weight_block *b)
{
    if (wf_format_of(b->src_dtype) == NULL)
        return wf_fail(WF_INTERNAL, "weight_load: no number format has number %d",
                       (int)b->src_dtype);
    WF_TRY(check_part(w, b));
    int64_t n_cols = b->part == WF_WEIGHT_DATA ? w->n_cols : wf_weight_row_blocks(w);
    if (b->i_group < 0 || b->i_group >= w->n_groups || b->i_row < 0 || b->n_rows < 0 ||
        b->i_row > w->n_rows - b->n_rows || b->src_stride < n_cols ||
        b->src_stride * wf_format_of(b->src_dtype)->bits % 8 != 0)
        return wf_fail(WF_INTERNAL,
                       "weight_load: matrix %d, rows %" PRId64 " + %" PRId64 " with stride %" PRId64
                       " do not fit %d matrices of %" PRId64 " x %" PRId64,
                       b->i_group, b->i_row, b->n_rows, b->src_stride, w->n_groups, w->n_rows,
                       n_cols);
    return WF_OK;
}

// What most operations take: a weight of one matrix.
static wf_status check_single(const char *op, const wf_weight *w)
{
    if (w->n_groups != 1)
        return wf_fail(WF_INTERNAL, "%s: takes one matrix, the weight has %d", op, w->n_groups);
    return WF_OK;
}

static wf_status check_batch(const char *op, const wf_batch *b)
{
    if (b->n_tokens < b->n_seqs || b->n_seqs < b->n_decode || b->n_decode < 0)
        return wf_fail(WF_INTERNAL, "%s: %d tokens in %d sequences, %d of them decode rows", op,
                       b->n_tokens, b->n_seqs, b->n_decode);
    return WF_OK;
}

wf_status wf_check_token_ids(const wf_token_ids_args *a, wf_dtype act)
{
    (void)act;
    return check_batch("token_ids", a->batch);
}

wf_status wf_check_embed(const wf_embed_args *a, wf_dtype act)
{
    WF_TRY(check_typed("embed", "y", &a->y, act));
    WF_TRY(check_single("embed", a->table));
    if (a->positions) WF_TRY(check_single("embed", a->positions));
    if (a->positions && (!a->pos || a->positions->n_cols != a->table->n_cols))
        return wf_fail(WF_INTERNAL,
                       "embed: positions of %" PRId64 " columns beside a table of %" PRId64,
                       a->positions->n_cols, a->table->n_cols);
    if (a->types) WF_TRY(check_single("embed", a->types));
    if (a->types && (a->types->n_cols != a->table->n_cols || a->types->n_rows < 1))
        return wf_fail(WF_INTERNAL,
                       "embed: %" PRId64 " types of %" PRId64 " columns beside a table of %" PRId64,
                       a->types->n_rows, a->types->n_cols, a->table->n_cols);
    return check_shape("embed", "y", &a->y, a->y.n_rows, a->table->n_cols);
}

static wf_status check_runs(const char *op, int64_t n_cols, int32_t runs)
{
    if (runs < 0 || runs > 8 || (runs & (runs - 1)) != 0 || (runs > 1 && n_cols % runs != 0))
        return wf_fail(WF_INTERNAL, "%s: %" PRId64 " columns cannot be cut into %d runs", op,
                       n_cols, runs);
    return WF_OK;
}

wf_status wf_check_gemm(const wf_gemm_args *a, wf_dtype act)
{
    WF_TRY(check_typed("gemm", "x", &a->x, act));
    WF_TRY(check_typed("gemm", "y", &a->y, a->y.dtype == WF_F32 ? WF_F32 : act));
    WF_TRY(check_shape("gemm", "x", &a->x, a->y.n_rows, a->w->n_cols));
    WF_TRY(check_single("gemm", a->w));
    if (a->w->n_cols < 1) return wf_fail(WF_INTERNAL, "gemm: the weight is empty");
    WF_TRY(check_runs("gemm", a->w->n_cols, a->k_runs));
    return check_shape("gemm", "y", &a->y, a->x.n_rows, a->w->n_rows);
}

static wf_status check_norm(const char *op, const wf_matrix *x, const wf_matrix *residual,
                            const wf_matrix *y, wf_dtype act)
{
    WF_TRY(check_typed(op, "x", x, x->dtype == WF_F32 ? WF_F32 : act));
    WF_TRY(check_typed(op, "y", y, act));
    WF_TRY(check_shape(op, "y", y, x->n_rows, x->n_cols));
    if (residual->data == NULL) return WF_OK;
    WF_TRY(check_typed(op, "residual", residual, act));
    return check_shape(op, "residual", residual, x->n_rows, x->n_cols);
}

wf_status wf_check_rmsnorm(const wf_rmsnorm_args *a, wf_dtype act)
{
    return check_norm("rmsnorm", &a->x, &a->residual, &a->y, act);
}

wf_status wf_check_layernorm(const wf_layernorm_args *a, wf_dtype act)
{
    return check_norm("layernorm", &a->x, &a->residual, &a->y, act);
}

wf_status wf_check_add(const wf_add_args *a, wf_dtype act)
{
    WF_TRY(check_typed("add", "x", &a->x, act));
    WF_TRY(check_typed("add", "y", &a->y, act));
    return check_shape("add", "y", &a->y, a->x.n_rows, a->x.n_cols);
}

static wf_status check_kv(const char *op, const wf_batch *b, const wf_kv *kv, int32_t n_heads)
{
    if (wf_format_of(kv->dtype) == NULL)
        return wf_fail(WF_INTERNAL, "%s: KV in number format %d", op, (int)kv->dtype);
    if (kv->page_tokens < 1 || kv->n_kv_heads < 1 || n_heads < 1 || n_heads % kv->n_kv_heads != 0)
        return wf_fail(WF_INTERNAL, "%s: %d heads over %d KV heads in pages of %d tokens", op,
                       n_heads, kv->n_kv_heads, kv->page_tokens);
    if (kv->head_dim < 1 || kv->head_dim > WF_MAX_HEAD_DIM)
        return wf_fail(WF_INTERNAL, "%s: head_dim %d is not in 1 to %d", op, kv->head_dim,
                       WF_MAX_HEAD_DIM);
    if (wf_format_scaled(kv->dtype) &&
        (kv->head_dim % 4 != 0 || wf_format_of(kv->dtype)->bits != 8 ||
         kv->head_stride < wf_kv_tile(kv->dtype, kv->page_tokens, kv->head_dim)))
        return wf_fail(WF_INTERNAL, "%s: no room for scales of %s behind heads of %d numbers", op,
                       wf_dtype_name(kv->dtype), kv->head_dim);
    return check_batch(op, b);
}

wf_status wf_check_head_squares(const wf_head_squares_args *a, wf_dtype act)
{
    WF_TRY(check_typed("head_squares", "qkv", &a->qkv, act));
    if (a->n_heads < 1 || a->head_dim < 1 || a->qkv.n_cols < (int64_t)a->n_heads * a->head_dim)
        return wf_fail(WF_INTERNAL,
                       "head_squares: %d heads of %d do not lie in %" PRId64 " columns", a->n_heads,
                       a->head_dim, a->qkv.n_cols);
    return WF_OK;
}

wf_status wf_check_rope_kv_append(const wf_rope_args *a, wf_dtype act)
{
    int64_t n_cols = (int64_t)(a->n_heads + 2 * a->kv.n_kv_heads) * a->kv.head_dim;
    wf_kv kv = a->kv; // one that is not there has no pages
    if (!kv.base) kv.page_tokens = 1, kv.dtype = act;
    WF_TRY(check_kv("rope_kv_append", a->batch, &kv, a->n_heads));
    WF_TRY(check_typed("rope_kv_append", "qkv", &a->qkv, act));
    WF_TRY(check_shape("rope_kv_append", "qkv", &a->qkv, a->batch->n_tokens, n_cols));
    if (a->rotary_dim < 0 || a->rotary_dim > a->kv.head_dim || a->rotary_dim % 2 != 0)
        return wf_fail(WF_INTERNAL, "rope_kv_append: rotary_dim %d of head_dim %d", a->rotary_dim,
                       a->kv.head_dim);
    if ((a->q_norm != NULL) != (a->k_norm != NULL))
        return wf_fail(WF_INTERNAL, "rope_kv_append: a norm of q or k without the other's");
    if (a->squares && (!a->q_norm || a->norm_centred || a->n_ranks < 1))
        return wf_fail(WF_INTERNAL, "rope_kv_append: squares of %d ranks without a norm of them",
                       a->n_ranks);
    return WF_OK;
}

wf_status wf_check_attention(const wf_attention_args *a, wf_dtype act)
{
    int64_t n_cols = (int64_t)a->n_heads * a->kv.head_dim;
    WF_TRY(check_kv("attention", a->batch, &a->kv, a->n_heads));
    WF_TRY(check_typed("attention", "qkv", &a->qkv, act));
    WF_TRY(check_typed("attention", "out", &a->out, act));
    if (a->qkv.n_cols < n_cols)
        return wf_fail(WF_INTERNAL, "attention: qkv has too few columns for %d heads", a->n_heads);
    if (a->window < 0 || !(a->softcap >= 0.0f) || isinf(a->softcap))
        return wf_fail(WF_INTERNAL, "attention: window %d, softcap %g", a->window,
                       (double)a->softcap);
    WF_TRY(check_shape("attention", "qkv", &a->qkv, a->batch->n_tokens, a->qkv.n_cols));
    return check_shape("attention", "out", &a->out, a->batch->n_tokens, n_cols);
}

wf_status wf_check_packed_attention(const wf_packed_attention_args *a, wf_dtype act)
{
    const char *op = "packed_attention";
    int64_t dim = a->head_dim, n_tokens = a->batch->n_tokens;
    WF_TRY(check_batch(op, a->batch));
    WF_TRY(check_typed(op, "qkv", &a->qkv, act));
    WF_TRY(check_typed(op, "out", &a->out, act));
    if (a->n_kv_heads < 1 || a->n_heads < 1 || a->n_heads % a->n_kv_heads != 0 || dim < 1 ||
        dim > WF_MAX_HEAD_DIM || a->window < 0 || a->bias_reach < 0)
        return wf_fail(WF_INTERNAL, "%s: %d heads of %d over %d KV heads, window %d, reach %d", op,
                       a->n_heads, a->head_dim, a->n_kv_heads, a->window, a->bias_reach);
    WF_TRY(check_shape(op, "qkv", &a->qkv, n_tokens, (a->n_heads + 2 * a->n_kv_heads) * dim));
    return check_shape(op, "out", &a->out, n_tokens, a->n_heads * dim);
}

wf_status wf_check_pool(const wf_pool_args *a, wf_dtype act)
{
    WF_TRY(check_typed("pool", "x", &a->x, act));
    WF_TRY(check_typed("pool", "y", &a->y, a->y.dtype == WF_F32 ? WF_F32 : act));
    if (a->pooling < 0 || a->pooling >= WF_N_POOLINGS)
        return wf_fail(WF_INTERNAL, "pool: no pooling has number %d", (int)a->pooling);
    return check_shape("pool", "y", &a->y, a->y.n_rows, a->x.n_cols);
}

wf_status wf_check_unit_rows(const wf_unit_rows_args *a, wf_dtype act)
{
    WF_TRY(check_typed("unit_rows", "x", &a->x, a->x.dtype == WF_F32 ? WF_F32 : act));
    WF_TRY(check_typed("unit_rows", "y", &a->y, WF_F32));
    return check_shape("unit_rows", "y", &a->y, a->x.n_rows, a->x.n_cols);
}

wf_status wf_check_heads_gemm(const wf_heads_gemm_args *a, wf_dtype act)
{
    int64_t last = a->w->n_groups - 1;
    WF_TRY(check_typed("heads_gemm", "x", &a->x, act));
    WF_TRY(check_typed("heads_gemm", "y", &a->y, act));
    if (a->x.n_rows != a->y.n_rows || a->w->n_cols < 1 || a->w->n_rows < 1 || a->x_step < 1 ||
        a->y_step < a->w->n_rows || a->x.n_cols < last * a->x_step + a->w->n_cols ||
        a->y.n_cols < last * a->y_step + a->w->n_rows || wf_format_scaled(a->w->dtype))
        return wf_fail(WF_INTERNAL,
                       "heads_gemm: %d matrices of %" PRId64 " x %" PRId64 " in %s, x %" PRId64
                       " x %" PRId64 ", y %" PRId64 " x %" PRId64,
                       a->w->n_groups, a->w->n_rows, a->w->n_cols, wf_dtype_name(a->w->dtype),
                       a->x.n_rows, a->x.n_cols, a->y.n_rows, a->y.n_cols);
    return WF_OK;
}

static wf_status check_latent_kv(const char *op, const wf_batch *b, const wf_kv *kv, int32_t rank)
{
    if (wf_format_of(kv->dtype) == NULL || wf_format_scaled(kv->dtype) || kv->page_tokens < 1 ||
        kv->n_kv_heads != 1 || rank < 1 || kv->head_dim < rank || kv->head_dim > WF_MAX_LATENT)
        return wf_fail(WF_INTERNAL, "%s: %d of rows of %d numbers in %d heads in pages of %d", op,
                       rank, kv->head_dim, kv->n_kv_heads, kv->page_tokens);
    return check_batch(op, b);
}

wf_status wf_check_latent_append(const wf_latent_append_args *a, wf_dtype act)
{
    const char *op = "latent_append";
    int64_t T = a->batch->n_tokens, n = a->n_heads;
    WF_TRY(check_latent_kv(op, a->batch, &a->kv, a->rank));
    if (a->n_heads < 1 || a->rope < 2 || a->rope % 2 != 0 || a->nope < 0 ||
        a->rank + a->rope != a->kv.head_dim)
        return wf_fail(WF_INTERNAL, "%s: %d heads of %d + %d, rows of %d + %d", op, a->n_heads,
                       a->nope, a->rope, a->rank, a->rope);
    WF_TRY(check_typed(op, "c", &a->c, act));
    WF_TRY(check_typed(op, "q", &a->q, act));
    WF_TRY(check_typed(op, "wide", &a->wide, act));
    WF_TRY(check_shape(op, "c", &a->c, T, a->kv.head_dim));
    WF_TRY(check_shape(op, "q", &a->q, T, n * (a->nope + a->rope)));
    return check_shape(op, "wide", &a->wide, T, n * a->kv.head_dim);
}

wf_status wf_check_latent_attention(const wf_latent_attention_args *a, wf_dtype act)
{
    const char *op = "latent_attention";
    int64_t T = a->batch->n_tokens, n = a->n_heads;
    WF_TRY(check_latent_kv(op, a->batch, &a->kv, a->rank));
    if (a->n_heads < 1) return wf_fail(WF_INTERNAL, "%s: %d heads", op, a->n_heads);
    WF_TRY(check_typed(op, "q", &a->q, act));
    WF_TRY(check_typed(op, "out", &a->out, act));
    WF_TRY(check_shape(op, "q", &a->q, T, n * a->kv.head_dim));
    return check_shape(op, "out", &a->out, T, n * a->rank);
}

static wf_status check_activation(const char *op, const wf_activation_args *a, int64_t n_inputs,
                                  wf_dtype act)
{
    WF_TRY(check_typed(op, "x", &a->x, act));
    WF_TRY(check_typed(op, "y", &a->y, act));
    if (a->curve < 0 || a->curve >= WF_N_CURVES)
        return wf_fail(WF_INTERNAL, "%s: no function has number %d", op, (int)a->curve);
    return check_shape(op, "x", &a->x, a->y.n_rows, n_inputs * a->y.n_cols);
}

wf_status wf_check_gate_mul(const wf_activation_args *a, wf_dtype act)
{
    return check_activation("gate_mul", a, 2, act);
}

wf_status wf_check_activate(const wf_activation_args *a, wf_dtype act)
{
    return check_activation("activate", a, 1, act);
}

wf_status wf_check_route(const wf_route_args *a, wf_dtype act)
{
    (void)act;
    int64_t n = a->logits.n_cols;
    WF_TRY(check_typed("route", "logits", &a->logits, WF_F32));
    if (n < 1 || n > WF_MAX_EXPERTS || a->n_choices < 1 || a->n_choices > n ||
        a->n_choices > WF_MAX_CHOICES)
        return wf_fail(WF_INTERNAL, "route: %d of %" PRId64 " experts", a->n_choices, n);
    if (a->n_groups < 0 ||
        (a->n_groups > 1 && (n % a->n_groups != 0 || a->n_best_groups < 1 ||
                             a->n_best_groups * (n / a->n_groups) < a->n_choices)))
        return wf_fail(WF_INTERNAL,
                       "route: %d experts of %d out of %d groups of %" PRId64 " in all",
                       a->n_choices, a->n_best_groups, a->n_groups, n);
    return WF_OK;
}

wf_status wf_check_pack_pairs(const wf_pack_pairs_args *a, wf_dtype act)
{
    (void)act;
    if (a->n_pairs < 0 || a->first_expert < 0 || a->n_experts < 1 || a->n_experts > WF_MAX_EXPERTS)
        return wf_fail(WF_INTERNAL, "pack_pairs: %d pairs of experts %d + %d", a->n_pairs,
                       a->first_expert, a->n_experts);
    return WF_OK;
}

wf_status wf_check_experts_gemm(const wf_experts_gemm_args *a, wf_dtype act)
{
    const char *op = "experts_gemm";
    int64_t n = a->w->n_rows / (a->gate == WF_GATE_NONE ? 1 : 2);
    WF_TRY(check_typed(op, "x", &a->x, act));
    WF_TRY(check_typed(op, "y", &a->y, a->y.dtype == WF_F32 ? WF_F32 : act));
    WF_TRY(check_shape(op, "x", &a->x, a->x.n_rows, a->w->n_cols));
    WF_TRY(check_shape(op, "y", &a->y, a->y.n_rows, n));
    WF_TRY(check_runs(op, a->w->n_cols, a->k_runs));
    if (a->begin == NULL) WF_TRY(check_single(op, a->w));
    if (a->w->n_cols < 1 || a->n_choices < 1 || (a->gate != WF_GATE_NONE && a->k_runs > 1) ||
        (a->gate != WF_GATE_NONE && a->w->n_rows % 2 != 0) ||
        (a->pair == NULL ? a->x.n_rows : a->x.n_rows * a->n_choices) < a->y.n_rows)
        return wf_fail(WF_INTERNAL,
                       "%s: %" PRId64 " rows of x, %d choices, weights %" PRId64 " x %" PRId64
                       ", %d runs",
                       op, a->x.n_rows, a->n_choices, a->w->n_rows, a->w->n_cols, a->k_runs);
    return WF_OK;
}

wf_status wf_check_combine(const wf_combine_args *a, wf_dtype act)
{
    WF_TRY(check_typed("combine", "x", &a->x, a->x.dtype == WF_F32 ? WF_F32 : act));
    WF_TRY(check_typed("combine", "y", &a->y, a->y.dtype == WF_F32 ? WF_F32 : act));
    WF_TRY(check_shape("combine", "x", &a->x, a->y.n_rows * a->n_choices, a->y.n_cols));
    WF_TRY(check_runs("combine", 8, a->k_runs));
    if (a->shared.data == NULL) return WF_OK;
    WF_TRY(check_typed("combine", "shared", &a->shared, a->x.dtype));
    return check_shape("combine", "shared", &a->shared, a->y.n_rows, a->y.n_cols);
}

wf_status wf_check_gather(const wf_gather_args *a, wf_dtype act)
{
    (void)act;
    WF_TRY(check_matrix("gather", "x", &a->x));
    WF_TRY(check_typed("gather", "y", &a->y, a->x.dtype));
    return check_shape("gather", "y", &a->y, a->y.n_rows, a->x.n_cols);
}

static wf_status check_row_bytes(const char *op, size_t row_bytes)
{
    if (row_bytes == 0 || row_bytes % 4 != 0)
        return wf_fail(WF_INTERNAL, "%s: rows of %zu bytes, must be a multiple of 4", op,
                       row_bytes);
    return WF_OK;
}

wf_status wf_check_scatter(const wf_scatter_args *a, wf_dtype act)
{
    (void)act;
    if (a->n < 0) return wf_fail(WF_INTERNAL, "scatter: %d rows", a->n);
    return check_row_bytes("scatter", a->row_bytes);
}

wf_status wf_check_reorder(const wf_reorder_args *a, wf_dtype act)
{
    (void)act;
    if (a->n_moves < 0 || a->n_arrays < 0)
        return wf_fail(WF_INTERNAL, "reorder: %d moves of %d arrays", a->n_moves, a->n_arrays);
    for (int32_t i = 0; i < a->n_arrays; i++)
        WF_TRY(check_row_bytes("reorder", a->arrays[i].row_bytes));
    return WF_OK;
}

wf_status wf_check_kv_copy(const wf_kv_copy_args *a, wf_dtype act)
{
    (void)act;
    if (a->n_layers < 0 || a->n_pages < 0 || a->page_bytes < 0)
        return wf_fail(WF_INTERNAL, "kv_copy: %d pages of %" PRId64 " bytes in %d layers",
                       a->n_pages, a->page_bytes, a->n_layers);
    return WF_OK;
}

wf_status wf_check_count(const wf_count_args *a, wf_dtype act)
{
    (void)act;
    if (a->counts_stride < a->n_vocab || a->counts_stride % 2 != 0)
        return wf_fail(WF_INTERNAL, "count: %d tokens in rows of %" PRId64 " counts", a->n_vocab,
                       a->counts_stride);
    return check_batch("count", a->batch);
}

wf_status wf_check_sample(const wf_sample_args *a, wf_dtype act)
{
    (void)act;
    WF_TRY(check_typed("sample", "logits", &a->logits, WF_F32));
    if (a->n_vocab < 1 || a->n_vocab > a->logits.n_cols)
        return wf_fail(WF_INTERNAL, "sample: %d tokens in rows of %" PRId64 " logits", a->n_vocab,
                       a->logits.n_cols);
    if (a->counts != NULL && a->counts_stride < a->n_vocab)
        return wf_fail(WF_INTERNAL, "sample: %d tokens in rows of %" PRId64 " counts", a->n_vocab,
                       a->counts_stride);
    if (a->n_top < 0 || a->n_top > a->n_vocab)
        return wf_fail(WF_INTERNAL, "sample: %d logprobs of %d tokens", a->n_top, a->n_vocab);
    if (a->raw != NULL && a->raw_cols < 1)
        return wf_fail(WF_INTERNAL, "sample: slices of %" PRId64 " raw logits", a->raw_cols);
    if (a->wishes != NULL && a->wish_words == NULL)
        return wf_fail(WF_INTERNAL, "sample: wishes without their words");
    return WF_OK;
}

wf_status wf_check_softcap(const wf_softcap_args *a, wf_dtype act)
{
    (void)act;
    if (!(a->cap > 0.0f) || isinf(a->cap))
        return wf_fail(WF_INTERNAL, "softcap: %g is no cap", (double)a->cap);
    return check_typed("softcap", "x", &a->x, WF_F32);
}

wf_status wf_check_best(const wf_best_args *a, wf_dtype act)
{
    (void)act;
    WF_TRY(check_typed("best", "logits", &a->logits, WF_F32));
    if (a->n_valid < 0 || a->n_valid > a->logits.n_cols)
        return wf_fail(WF_INTERNAL, "best: %d tokens in rows of %" PRId64 " logits", a->n_valid,
                       a->logits.n_cols);
    return WF_OK;
}

wf_status wf_check_best_pick(const wf_best_pick_args *a, wf_dtype act)
{
    (void)act;
    if (a->n < 0 || a->n_ranks < 1)
        return wf_fail(WF_INTERNAL, "best_pick: %d rows of %d ranks", a->n, a->n_ranks);
    return WF_OK;
}
