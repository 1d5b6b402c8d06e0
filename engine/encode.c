// The end of a step that makes vectors or scores: final norm over its tokens, pooling, length 1 or
// the head; and the logits of masks.
#include "engine/forward_internal.h"

#include <math.h>

// The last hidden states, through the norm behind the last layer where there is one.
static wf_status last_states(wf_forward *f, const wf_forward_step *st, wf_addend added,
                             wf_matrix *out)
{
    *out = wf_block_matrix(f, f->b.x, st->n_tokens, f->s.hidden);
    if (!f->m->final_norm.vector) return wf_block_add(f, *out, added);
    WF_TRY(wf_block_norm(f, &f->m->final_norm, *out, added, f->b.n));
    out->data = f->b.n;
    return WF_OK;
}

// Of whole rows each is sampled, in order: its tokens are those of its sequence.
static wf_status pool(wf_forward *f, const wf_forward_step *st, wf_matrix x, wf_matrix y)
{
    return f->be->ops->pool(f->be, f->stream,
                            &(wf_pool_args){.x = x,
                                            .first = st->at[WF_PLAN_AT_CU_SEQLENS],
                                            .last = st->at[WF_PLAN_AT_SAMPLE_TOKEN],
                                            .pooling = f->m->arch.encode.pooling,
                                            .y = y});
}

static wf_status make_vectors(wf_forward *f, const wf_forward_step *st, wf_matrix x)
{
    wf_matrix pooled = wf_matrix_of(f->b.vector, WF_F32, st->n_samples, x.n_cols);
    WF_TRY(pool(f, st, x, pooled));
    if (!f->m->arch.encode.normalise) return WF_OK;
    return f->be->ops->unit_rows(f->be, f->stream, &(wf_unit_rows_args){.x = pooled, .y = pooled});
}

// Dense layer, activation and norm, each where the head has it, to rows of `width`; *x turns
// between two buffers.
static wf_status run_head(wf_forward *f, size_t width, wf_matrix *x)
{
    const wf_model *m = f->m;
    wf_matrix in = *x, other = wf_block_matrix(f, f->b.last_n, in.n_rows, width);
    *x = wf_block_matrix(f, in.data, in.n_rows, width);
    if (m->head_dense.matrix) {
        WF_TRY(wf_block_gemm(f, in, &m->head_dense, other));
        WF_TRY(f->be->ops->activate(
            f->be, f->stream,
            &(wf_activation_args){.x = other, .y = *x, .curve = m->arch.encode.head.curve}));
    }
    if (!m->head_norm.vector) return WF_OK;
    WF_TRY(wf_block_norm(f, &m->head_norm, *x, (wf_addend){0}, other.data));
    *x = other;
    return WF_OK;
}

static wf_status make_scores(wf_forward *f, const wf_forward_step *st, wf_matrix x)
{
    wf_matrix rows = wf_block_matrix(f, f->b.last_x, st->n_samples, f->s.hidden);
    WF_TRY(pool(f, st, x, rows));
    WF_TRY(run_head(f, f->s.hidden, &rows));
    return wf_block_gemm(
        f, rows, &f->m->score,
        wf_matrix_of(f->b.vector, WF_F32, st->n_samples, (int64_t)f->s.vector_cols));
}

wf_status wf_forward_masks(wf_forward *f, const wf_forward_step *st, wf_addend added,
                           wf_matrix logits)
{
    const wf_model *m = f->m;
    const wf_param head = {.matrix = m->head.matrix, .bias = m->head_bias.vector};
    wf_matrix x, rows = wf_block_matrix(f, f->b.last_x, st->n_samples, f->s.hidden);
    WF_TRY(last_states(f, st, added, &x));
    WF_TRY(f->be->ops->gather(
        f->be, f->stream,
        &(wf_gather_args){.x = x, .index = st->at[WF_PLAN_AT_SAMPLE_TOKEN], .y = rows}));
    WF_TRY(run_head(f, (size_t)m->arch.embed_width, &rows));
    return wf_block_gemm(f, rows, &head, logits);
}

wf_status wf_forward_encode(wf_forward *f, const wf_forward_step *st, wf_addend added)
{
    wf_matrix x;
    if (st->n_samples == 0) return WF_OK;
    WF_TRY(last_states(f, st, added, &x));
    return wf_task_scores(f->m->arch.encode.task) ? make_scores(f, st, x) : make_vectors(f, st, x);
}

static void softmax(float *x, int32_t n)
{
    double most = -INFINITY, sum = 0.0;
    for (int32_t i = 0; i < n; i++)
        most = fmax(most, (double)x[i]);
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    for (int32_t i = 0; i < n; i++)
        x[i] = (float)(exp((double)x[i] - most) / sum);
}

static void sigmoid(float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        x[i] = (float)(1.0 / (1.0 + exp(-(double)x[i])));
}

void wf_encode_activate(const wf_encode *encode, float *numbers)
{
    static void (*const curves[WF_N_LABEL_CURVES])(float *x, int32_t n) = {
        [WF_LABELS_SOFTMAX] = softmax, [WF_LABELS_SIGMOID] = sigmoid};
    void (*curve)(float *, int32_t) = curves[encode->head.activation];
    if (wf_task_scores(encode->task) && curve) curve(numbers, encode->width);
}
