// Attention of a row's tokens over one another (packed_attention), K and V where the projection has
// left them.
//
// A task is up to 96 query tokens of one sequence and head. It walks the sequence in tiles of 64
// tokens from its first one on. Of each tile it makes K^T and V in its scratch, once for all its
// rows; then, for four rows at a time, as in isa_attention.c:
//
//   s = q K^T (+ bias)        one chain of fused multiply-adds over head_dim for each score
//   m' = max(m, max(s)), a = 2^(m - m'), p = 2^(s - m'), l = l a + sum(p)
//   o = o a + p V             one chain over the tile's tokens for each output
//
// with log2(e) in the scale. Tiles count from the sequence's own first token, and what a row does
// not see weighs nothing: its bits depend on its own sequence alone, not on its neighbours in the
// step nor on the thread. Tolerance against ref: 2e-6 relative to max |v|.
#include "kernels/cpu/isa_packed_attention.h"
#include "kernels/cpu/isa.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define TILE     WF_ATTENTION_TILE
#define MAX_ROWS WF_ATTENTION_ROWS
#define MAX_DIM  WF_MAX_HEAD_DIM

enum { ROWS = 4, VECS = 2 }; // sums that stay in registers

typedef struct work {
    float q[MAX_ROWS * MAX_DIM]; // [row][dim], scaled; rows that fill a group of four repeat one
    float o[MAX_ROWS * MAX_DIM]; // [row][dim_pad]
    float kt[MAX_DIM * TILE];    // [dim][token]
    float v[TILE * MAX_DIM];     // [token][dim_pad]
    float p[ROWS * TILE];
    float max[MAX_ROWS], sum[MAX_ROWS];
} work;

_Static_assert(sizeof(work) <= WF_CPU_SCRATCH_BYTES, "a task fits the scratch");
_Static_assert(MAX_ROWS % ROWS == 0, "groups of rows fill a task");

// A task in numbers: tokens count within the sequence.
typedef struct task {
    const wf_packed_attention_args *a;
    const float *q, *k, *v; // of the sequence's first token, this head's
    int32_t n_tokens, first_row, n_rows, n_padded;
    int dim, pad;
    int32_t head;
} task;

static task task_of(const wf_packed_part *part)
{
    const wf_packed_attention_args *a = part->args;
    int32_t begin = a->batch->cu_seqlens[part->i_seq], group = a->n_heads / a->n_kv_heads;
    const float *row = (const float *)a->qkv.data + begin * a->qkv.stride;
    int64_t dim = a->head_dim, kv_head = part->head / group;
    int32_t n_rows = part->end_row - part->i_row;
    return (task){.a = a,
                  .q = row + part->head * dim,
                  .k = row + (a->n_heads + kv_head) * dim,
                  .v = row + (a->n_heads + a->n_kv_heads + kv_head) * dim,
                  .n_tokens = a->batch->cu_seqlens[part->i_seq + 1] - begin,
                  .first_row = part->i_row,
                  .n_rows = n_rows,
                  .n_padded = (n_rows + ROWS - 1) / ROWS * ROWS,
                  .dim = a->head_dim,
                  .pad = (a->head_dim + 15) / 16 * 16,
                  .head = part->head};
}

static void load_queries(const task *t, work *w)
{
    float scale = t->a->scale * WF_LOG2E;
    for (int i = 0; i < t->n_padded; i++) {
        const float *q = t->q + (t->first_row + MIN(i, t->n_rows - 1)) * t->a->qkv.stride;
        for (int d = 0; d < t->dim; d++)
            w->q[i * t->dim + d] = q[d] * scale;
        w->max[i] = -1e30f; // finite, so that a difference of two is never NaN
        w->sum[i] = 0.0f;
    }
    memset(w->o, 0, (size_t)(t->n_padded * t->pad) * sizeof *w->o);
}

// K^T and V of the tile's n tokens, zeros beyond them.
static void load_tile(const task *t, work *w, int32_t begin, int n)
{
    int whole = t->dim / 16 * 16;
    for (int i = 0; i < TILE; i += 16) {
        for (int d = 0; d < whole && i + 16 <= n; d += 16) {
            v16 block[16];
            for (int k = 0; k < 16; k++)
                block[k] = v16_load(t->k + (begin + i + k) * t->a->qkv.stride + d);
            v16_transpose(block);
            for (int k = 0; k < 16; k++)
                v16_store(w->kt + (d + k) * TILE + i, block[k]);
        }
        for (int d = i + 16 <= n ? whole : 0; d < t->dim; d++)
            for (int k = i; k < i + 16; k++)
                w->kt[d * TILE + k] = k < n ? t->k[(begin + k) * t->a->qkv.stride + d] : 0.0f;
    }
    for (int i = 0; i < TILE; i++)
        for (int d = 0; d < t->pad; d++)
            w->v[i * t->pad + d] =
                i < n && d < t->dim ? t->v[(begin + i) * t->a->qkv.stride + d] : 0.0f;
}

// sum[r][j] += a[r][k] b[k][16 j ..] over ascending k.
WF_INLINE void multiply(v16 sum[ROWS][VECS], const int n_vecs, int n_k, const float *a,
                        int64_t a_row, const float *b, int64_t b_k)
{
    for (int k = 0; k < n_k; k++) {
        v16 bv[VECS];
#pragma GCC unroll 2
        for (int j = 0; j < n_vecs; j++)
            bv[j] = v16_load(b + k * b_k + 16 * j);
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) {
            v16 av = v16_set1(a[r * a_row + k]);
#pragma GCC unroll 2
            for (int j = 0; j < n_vecs; j++)
                sum[r][j] = v16_fma(av, bv[j], sum[r][j]);
        }
    }
}

static void scores(const task *t, work *w, int i_row)
{
    for (int at = 0; at < TILE; at += 16 * VECS) {
        v16 sum[ROWS][VECS];
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < VECS; j++)
                sum[r][j] = v16_zero();
        multiply(sum, VECS, t->dim, w->q + i_row * t->dim, t->dim, w->kt + at, TILE);
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < VECS; j++)
                v16_store(w->p + r * TILE + at + 16 * j, sum[r][j]);
    }
}

// What distances add to the scores of one query, and what it does not see.
static void bend(const task *t, float *p, int32_t query, int32_t begin)
{
    const wf_packed_attention_args *a = t->a;
    for (int i = 0; i < TILE; i++) {
        int32_t distance = begin + i - query, size = distance < 0 ? -distance : distance;
        if (a->bias)
            p[i] += a->bias[wf_relative_index(t->head, a->bias_reach, distance)] * WF_LOG2E;
        if (a->window > 0 && size > a->window) p[i] = -INFINITY;
    }
}

// Scores become weights; the row's maximum and sum move on. Returns what its sum so far is worth.
static float soften(work *w, int row, float *p, int n)
{
    v16 top = v16_set1(w->max[row]), part[TILE / 16];
    for (int j = 0; j < TILE / 16; j++) {
        int left = n - 16 * j;
        part[j] = v16_load(p + 16 * j);
        if (left < 16) part[j] = v16_keep_n(part[j], left < 0 ? 0 : left, -INFINITY);
        top = v16_max(top, part[j]);
    }
    float max = v16_greatest(top), keep[16];
    v16_store(keep, v16_exp2_below_128(v16_set1(w->max[row] - max)));
    for (int j = 0; j < TILE / 16; j++) {
        part[j] = v16_exp2_below_128(v16_sub(part[j], v16_set1(max)));
        v16_store(p + 16 * j, part[j]);
    }
    float sum = v16_sum(v16_add(v16_add(part[0], part[1]), v16_add(part[2], part[3])));
    w->sum[row] = w->sum[row] * keep[0] + sum;
    w->max[row] = max;
    return keep[0];
}

WF_INLINE void outputs(const task *t, work *w, int i_row, int at, int n_k, const float *keep,
                       const int n_vecs)
{
    v16 sum[ROWS][VECS];
    float *o = w->o + i_row * t->pad + at;
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int j = 0; j < n_vecs; j++)
            sum[r][j] = v16_mul(v16_load(o + r * t->pad + 16 * j), v16_set1(keep[r]));
    multiply(sum, n_vecs, n_k, w->p, TILE, w->v + at, t->pad);
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int j = 0; j < n_vecs; j++)
            v16_store(o + r * t->pad + 16 * j, sum[r][j]);
}

static void four_rows(const task *t, work *w, int i_row, int32_t begin, int n)
{
    float keep[ROWS];
    int at = 0;
    scores(t, w, i_row);
    for (int r = 0; r < ROWS; r++) {
        int32_t query = t->first_row + MIN(i_row + r, t->n_rows - 1);
        if (t->a->bias || t->a->window > 0) bend(t, w->p + r * TILE, query, begin);
        keep[r] = soften(w, i_row + r, w->p + r * TILE, n);
    }
    for (; at + 16 * VECS <= t->pad; at += 16 * VECS)
        outputs(t, w, i_row, at, n, keep, VECS);
    if (at < t->pad) outputs(t, w, i_row, at, n, keep, 1);
}

static void store_outputs(const task *t, const wf_packed_part *part, const work *w)
{
    const wf_packed_attention_args *a = t->a;
    int64_t first = a->batch->cu_seqlens[part->i_seq] + t->first_row;
    for (int i = 0; i < t->n_rows; i++) {
        float *out = (float *)a->out.data + (first + i) * a->out.stride + t->head * t->dim;
        for (int d = 0; d < t->dim; d++)
            out[d] = w->o[i * t->pad + d] / w->sum[i] + 0.0f; // no zero is negative
    }
}

void WF_ISA(packed_attention)(const wf_packed_part *part)
{
    task t = task_of(part);
    work *w = (work *)(void *)part->scratch;
    int32_t window = t.a->window > 0 ? t.a->window : t.n_tokens;
    int32_t start = MAX(t.first_row - window, 0) / TILE * TILE;
    int32_t end = MIN(t.first_row + t.n_rows + window, t.n_tokens);
    if (t.n_rows <= 0) return;
    load_queries(&t, w);
    for (int32_t begin = start; begin < end; begin += TILE) {
        int n = MIN(t.n_tokens - begin, TILE);
        load_tile(&t, w, begin, n);
        for (int i = 0; i < t.n_rows; i += ROWS)
            four_rows(&t, w, i, begin, n);
    }
    store_outputs(&t, part, w);
}
