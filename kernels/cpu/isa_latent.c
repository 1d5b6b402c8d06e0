// Attention over a latent cache: a few heads of one token, whatever else is in the batch.
//
//   out[t][h] = sum over p <= pos(t) of softmax(scale q[t][h] . k[p]) k[p][0..rank)
//
// q, out f32 rows; the cache in f32, bf16 or f16. A task walks the context in tiles of 64 rows,
// ascending, four heads at a time so that a row is converted once for them:
//
//   s = q . k                 one chain of fused multiply-adds per lane over the row, lanes last
//   m' = max(m, max(s)), a = 2^(m - m'), p = 2^(s - m'), l = l a + sum(p)
//   o = o a + p k             one chain over the tile's positions for each output
//
// with log2(e) in the scale. Rows are padded with zeros to whole vectors, so a head's bits depend
// on its query and its context alone, as in isa_attention.c.
// Work: 2 (head_dim + rank) flops per score. Tolerance against ref: 2e-6 relative to max |k|.
#include "kernels/cpu/isa_latent.h"
#include "kernels/cpu/isa.h"

#define TILE WF_ATTENTION_TILE
#define FEW  4

// A task's memory: it lies in the thread's scratch.
typedef struct work {
    float q[WF_LATENT_HEADS][WF_MAX_LATENT]; // scaled
    float o[WF_LATENT_HEADS][WF_MAX_LATENT];
    float p[WF_LATENT_HEADS][TILE];
    float max[WF_LATENT_HEADS], sum[WF_LATENT_HEADS];
    int64_t key[TILE]; // element offset of each position's row
} work;

_Static_assert(sizeof(work) <= WF_CPU_SCRATCH_BYTES, "a task fits the scratch");
_Static_assert(WF_LATENT_HEADS % FEW == 0, "heads are taken a few at a time");

// The part's own sequence of pages.
static void find_rows(const wf_latent_part *part, work *w, int32_t begin, int n)
{
    const wf_batch *b = part->args->batch;
    const wf_kv *kv = &part->args->kv;
    const int32_t *pages =
        b->page_table + (int64_t)b->seq_row[b->token_seq[part->i_token]] * b->page_stride;
    for (int i = 0; i < n; i++)
        w->key[i] = pages[(begin + i) / kv->page_tokens] * kv->page_stride +
                    (int64_t)((begin + i) % kv->page_tokens) * kv->head_dim;
}

static void load_queries(const wf_latent_part *part, work *w)
{
    const wf_latent_attention_args *a = part->args;
    int dim = a->kv.head_dim;
    float scale = a->scale * WF_LOG2E;
    memset(w->q, 0, sizeof w->q);
    memset(w->o, 0, sizeof w->o);
    for (int h = 0; h < WF_LATENT_HEADS; h++) {
        w->max[h] = -1e30f; // finite, so that a difference of two is never NaN
        w->sum[h] = 0.0f;
        if (part->i_head + h >= part->end_head) continue;
        const float *q = (const float *)a->q.data + part->i_token * a->q.stride +
                         (int64_t)(part->i_head + h) * dim;
        for (int d = 0; d < dim; d++)
            w->q[h][d] = q[d] * scale;
    }
}

// Sixteen numbers of a row from d on, zeros from `end` on.
WF_INLINE v16 load_row(const wf_kv *kv, wf_dtype dtype, int64_t at, int d, int end)
{
    return d + 16 <= end ? v16_load_as(kv->base, dtype, at + d)
                         : v16_load_as_n(kv->base, dtype, at + d, end - d);
}

// Scores of FEW heads with the tile's n rows.
WF_INLINE void scores(const wf_kv *kv, wf_dtype dtype, work *w, int h, int n)
{
    for (int i = 0; i < n; i++) {
        v16 sum[FEW];
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++)
            sum[j] = v16_zero();
        for (int d = 0; d < kv->head_dim; d += 16) {
            v16 k = load_row(kv, dtype, w->key[i], d, kv->head_dim);
#pragma GCC unroll 4
            for (int j = 0; j < FEW; j++)
                sum[j] = v16_fma(v16_load(w->q[h + j] + d), k, sum[j]);
        }
        for (int j = 0; j < FEW; j++)
            w->p[h + j][i] = v16_sum(sum[j]);
    }
}

// Scores become weights; maximum and sum of the head move on. Returns what its sums so far are
// worth.
static float soften(work *w, int h, int n)
{
    float *p = w->p[h], before = w->max[h], rescale[16];
    for (int i = n; i < TILE; i++)
        p[i] = -INFINITY;
    v16 top = v16_set1(before), part[TILE / 16];
    for (int j = 0; j < TILE / 16; j++)
        top = v16_max(top, v16_load(p + 16 * j));
    float max = v16_greatest(top);
    v16_store(rescale, v16_exp2_below_128(v16_set1(before - max)));
    for (int j = 0; j < TILE / 16; j++) {
        part[j] = v16_exp2_below_128(v16_sub(v16_load(p + 16 * j), v16_set1(max)));
        v16_store(p + 16 * j, part[j]);
    }
    float sum = v16_sum(v16_add(v16_add(part[0], part[1]), v16_add(part[2], part[3])));
    w->sum[h] = w->sum[h] * rescale[0] + sum;
    w->max[h] = max;
    return rescale[0];
}

// The outputs of FEW heads take in the tile's n rows.
WF_INLINE void outputs(const wf_kv *kv, wf_dtype dtype, int rank, work *w, int h, int n,
                       const float rescale[FEW])
{
    for (int d = 0; d < rank; d += 16) {
        v16 sum[FEW];
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++)
            sum[j] = v16_mul(v16_load(w->o[h + j] + d), v16_set1(rescale[j]));
        for (int i = 0; i < n; i++) {
            v16 k = load_row(kv, dtype, w->key[i], d, rank);
#pragma GCC unroll 4
            for (int j = 0; j < FEW; j++)
                sum[j] = v16_fma(v16_set1(w->p[h + j][i]), k, sum[j]);
        }
#pragma GCC unroll 4
        for (int j = 0; j < FEW; j++)
            v16_store(w->o[h + j] + d, sum[j]);
    }
}

WF_INLINE void run(const wf_latent_part *part, wf_dtype dtype)
{
    const wf_latent_attention_args *a = part->args;
    const wf_kv *kv = &a->kv;
    work *w = (work *)(void *)part->scratch;
    int32_t end = a->batch->token_pos[part->i_token] + 1, n_heads = part->end_head - part->i_head;
    load_queries(part, w);
    for (int32_t begin = 0; begin < end; begin += TILE) {
        int n = end - begin < TILE ? end - begin : TILE;
        find_rows(part, w, begin, n);
        for (int h = 0; h < n_heads; h += FEW) {
            float rescale[FEW];
            scores(kv, dtype, w, h, n);
            for (int j = 0; j < FEW; j++)
                rescale[j] = soften(w, h + j, n);
            outputs(kv, dtype, a->rank, w, h, n, rescale);
        }
    }
    for (int h = 0; h < n_heads; h++) {
        float *out = (float *)a->out.data + part->i_token * a->out.stride +
                     (int64_t)(part->i_head + h) * a->rank;
        for (int d = 0; d < a->rank; d++)
            out[d] = w->o[h][d] / w->sum[h];
    }
}

void WF_ISA(latent_attention)(const wf_latent_part *part)
{
    switch (part->args->kv.dtype) {
    case WF_BF16:
        run(part, WF_BF16);
        break;
    case WF_F16:
        run(part, WF_F16);
        break;
    case WF_F32:
        run(part, WF_F32);
        break;
    default:
        wf_no_such_format();
    }
}
