// Causal attention over pages, for decode rows and prompt chunks alike.
//
//   out[t][h] = sum over p <= pos(t) of softmax(scale q[t][h] . k[p]) v[p]
//
// q, out f32 rows; K and V pages [kv_head][token][head_dim] in f32, bf16, f16, fp8 or int8
// (tensor.h). Of scaled formats scores are multiplied by the scales of K, and weights, once they
// are summed, by those of V. A task is up to 96 rows (new token x query head) of one sequence and
// KV head. It walks the context in tiles of 64 positions, ascending. Of each tile it makes K^T and
// V in f32 in its scratch, once for all its rows; then, for a few rows at a time,
//
//   s = q K^T                 one chain of fused multiply-adds over head_dim for each score
//   m' = max(m, max(s)), a = 2^(m - m'), p = 2^(s - m'), l = l a + sum(p)
//   o = o a + p V             one chain over the tile's positions for each output
//
// with log2(e) in the scale. Positions beyond a row's own weigh nothing, so a row's bits depend on
// its query and its context alone: not on its chunk, its neighbours, the page size or the thread.
// (A sum can only differ in the sign of a zero; the end adds +0 to be rid of that.) The same goes
// for positions before a row's window: the task begins at the tile where its first row's does.
// Source: Milakov, Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135.
// Work: 4 head_dim flops per score. Tolerance against ref: 2e-6 relative to max |v|.
#include "kernels/cpu/isa_attention.h"
#include "kernels/cpu/isa.h"
#include "kernels/kv.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

#define TILE     WF_ATTENTION_TILE
#define MAX_ROWS WF_ATTENTION_ROWS
#define MAX_DIM  WF_MAX_HEAD_DIM

// Numbers of 8 bits, of FP8 2^-8 times them. In plain C a call each: their loops, inlined wherever
// numbers are loaded, would take minutes to compile.
#ifdef __AVX2__
#define LOAD_8 WF_INLINE
#else
#define LOAD_8 static __attribute__((noinline))
#endif
LOAD_8 v16 load_fp8(const uint8_t *p)
{
    return v16_load_fp8(p);
}
LOAD_8 v16 load_int8(const int8_t *p)
{
    return v16_load_int8(p);
}

// By what the numbers below are too small.
WF_INLINE float up_of(wf_dtype dtype)
{
    return dtype == WF_FP8 ? 0x1p8f : 1.0f;
}

WF_INLINE v16 load16(const void *data, wf_dtype dtype, int64_t i)
{
    if (dtype == WF_FP8) return load_fp8((const uint8_t *)data + i);
    if (dtype == WF_INT8) return load_int8((const int8_t *)data + i);
    return v16_load_as(data, dtype, i);
}

// The first n of sixteen, and zeros.
WF_INLINE v16 load_n(const void *data, wf_dtype dtype, int64_t i, int n)
{
    return v16_mul(v16_load_as_n(data, dtype, i, n), v16_set1(1.0f / up_of(dtype)));
}

// Where the positions of a tile lie: element offsets of K, and of its scales in scaled formats.
typedef struct places {
    int64_t key[TILE], scale[TILE];
} places;

// A task's memory: it lies in the thread's scratch.
typedef struct work {
    float q[MAX_ROWS * MAX_DIM];  // packed: [row tile][head_dim][tile rows], scaled
    float o[MAX_ROWS * MAX_DIM];  // [row][dim_pad]
    float kt[MAX_DIM * TILE];     // [head_dim][position]
    float v[TILE * MAX_DIM];      // [position][dim_pad]
    float p[WF_TILE_ROWS * TILE]; // [row of the row tile][position]
    float max[MAX_ROWS], sum[MAX_ROWS];
    int32_t pos[MAX_ROWS];   // of each row's query
    int32_t first[MAX_ROWS]; // position that it sees
    float slope[MAX_ROWS];   // added to a score for each position that it is further on
    float cap;               // of scores; 0: none
    bool bent;               // by cap or slopes
    bool scaled;
    float k_scale[TILE], v_scale[TILE]; // of each position, 0 beyond the context
    places now, next;                   // of this tile, and of the next one, which is fetched ahead
} work;

_Static_assert(sizeof(work) <= WF_CPU_SCRATCH_BYTES, "an attention task fits the scratch");
_Static_assert(MAX_ROWS % WF_TILE_ROWS == 0, "row tiles fill a task");

static int dim_pad(const wf_kv *kv)
{
    return (kv->head_dim + 15) / 16 * 16;
}

static void load_queries(const wf_attention_part *part, work *w)
{
    const wf_attention_args *a = part->args;
    const wf_kv *kv = &a->kv;
    int group = a->n_heads / kv->n_kv_heads, dim = kv->head_dim;
    int n_rows = part->end_row - part->i_row;
    float scale = a->scale * WF_LOG2E;
    for (int i = 0; i < n_rows; i++) {
        int row = part->i_row + i, in_tile = i % WF_TILE_ROWS;
        int tile_rows = MIN(n_rows - i + in_tile, WF_TILE_ROWS);
        int token = row / group, head = part->kv_head * group + row % group;
        const float *q = (const float *)a->qkv.data + (int64_t)head * dim +
                         (a->batch->cu_seqlens[part->i_seq] + token) * a->qkv.stride;
        float *packed = w->q + (i - in_tile) * dim + in_tile;
        for (int d = 0; d < dim; d++)
            packed[d * tile_rows] = q[d] * scale;
        w->pos[i] = a->batch->seq_past[part->i_seq] + token;
        w->first[i] = a->window > 0 && w->pos[i] >= a->window ? w->pos[i] - a->window + 1 : 0;
        w->slope[i] = a->slopes ? a->slopes[head] * WF_LOG2E : 0.0f;
        w->max[i] = -1e30f; // finite, so that a difference of two is never NaN
        w->sum[i] = 0.0f;
    }
    w->cap = a->softcap * WF_LOG2E;
    w->bent = a->softcap > 0.0f || a->slopes != NULL;
    memset(w->o, 0, (size_t)(n_rows * dim_pad(kv)) * sizeof *w->o);
}

// The n positions from `begin`.
static void find_keys(const wf_attention_part *part, places *at, int32_t begin, int n)
{
    const wf_batch *b = part->args->batch;
    const wf_kv *kv = &part->args->kv;
    const int32_t *pages = b->page_table + (int64_t)b->seq_row[part->i_seq] * b->page_stride;
    int32_t page = begin / kv->page_tokens, token = begin % kv->page_tokens;
    for (int i = 0; i < n; i++) {
        int64_t tile = pages[page] * kv->page_stride + part->kv_head * kv->head_stride;
        at->key[i] = tile + (int64_t)token * kv->head_dim;
        at->scale[i] = wf_kv_scales_at(kv, tile) + (int64_t)token * (int64_t)sizeof(float);
        if (++token == kv->page_tokens) {
            token = 0;
            page++;
        }
    }
}

// Element `at` of the cache will be read in the next tile. Pages are scattered, so the hardware
// does not see it coming.
WF_INLINE void fetch_ahead(const wf_kv *kv, wf_dtype dtype, int64_t at)
{
    __builtin_prefetch((const char *)kv->base + at * (wf_bits_of(dtype) / 8), 0, 2);
}

static float scale_at(const wf_kv *kv, int64_t at)
{
    return *(const float *)(const void *)((const char *)kv->base + at);
}

// Scales of the tile's n positions.
static void load_scales(const wf_kv *kv, wf_dtype dtype, work *w, int n)
{
    for (int i = 0; i < TILE; i += 16) {
        fetch_ahead(kv, dtype, w->next.scale[i]);
        fetch_ahead(kv, dtype, w->next.scale[i] + kv->kv_stride);
    }
    for (int i = 0; i < TILE; i++) {
        w->k_scale[i] = i < n ? scale_at(kv, w->now.scale[i]) * up_of(dtype) : 0.0f;
        w->v_scale[i] = i < n ? scale_at(kv, w->now.scale[i] + kv->kv_stride) * up_of(dtype) : 0.0f;
    }
}

// A block of K^T: positions t..t+16 of dimensions d..d+16, or d..d+32 of bf16, which move in pairs.
WF_INLINE void transpose_block(const wf_kv *kv, wf_dtype dtype, work *w, int t, int d)
{
    v16 block[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        fetch_ahead(kv, dtype, w->next.key[t + i] + d);
        block[i] = dtype == WF_BF16
                       ? v16_load_bf16_pairs((const uint16_t *)kv->base + w->now.key[t + i] + d)
                       : load16(kv->base, dtype, w->now.key[t + i] + d);
    }
    v16_transpose(block);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        if (dtype == WF_BF16) {
            v16_store(w->kt + (d + 2 * i) * TILE + t, v16_low_bf16(block[i]));
            v16_store(w->kt + (d + 2 * i + 1) * TILE + t, v16_high_bf16(block[i]));
        } else {
            v16_store(w->kt + (d + i) * TILE + t, block[i]);
        }
    }
}

// K^T of the tile's n positions, zeros beyond them.
WF_INLINE void load_keys(const wf_kv *kv, wf_dtype dtype, work *w, int n)
{
    int step = dtype == WF_BF16 ? 32 : 16;
    int whole = kv->head_dim / step * step;
    for (int t = 0; t < TILE; t += 16) {
        int d = 0;
        for (; d < whole && t + 16 <= n; d += step)
            transpose_block(kv, dtype, w, t, d);
        for (; d < kv->head_dim; d++)
            for (int i = t; i < t + 16; i++)
                w->kt[d * TILE + i] =
                    i < n ? wf_load_f32(kv->base, dtype, w->now.key[i] + d) / up_of(dtype) : 0.0f;
    }
}

// V of the tile's n positions.
WF_INLINE void load_values(const wf_kv *kv, wf_dtype dtype, work *w, int n)
{
    int dim = kv->head_dim, pad = dim_pad(kv), whole = dim / 16 * 16;
    for (int t = 0; t < n; t++) {
        int64_t at = w->now.key[t] + kv->kv_stride;
        for (int d = 0; d < whole; d += 16)
            v16_store(w->v + t * pad + d, load16(kv->base, dtype, at + d));
        if (whole < dim)
            v16_store(w->v + t * pad + whole, load_n(kv->base, dtype, at + whole, dim - whole));
    }
}

// sum[r][j] += a[k][r] b[k][16 j ..] over ascending k. a has strides of its own.
WF_INLINE void multiply(v16 sum[WF_TILE_ROWS][4], const int n_rows, const int n_vecs, int n_k,
                        const float *a, int64_t a_k, int64_t a_row, const float *b, int64_t b_k)
{
    for (int k = 0; k < n_k; k++) {
        v16 bv[4];
#pragma GCC unroll 4
        for (int j = 0; j < n_vecs; j++)
            bv[j] = v16_load(b + k * b_k + 16 * j);
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            v16 av = v16_set1(a[k * a_k + r * a_row]);
#pragma GCC unroll 4
            for (int j = 0; j < n_vecs; j++)
                sum[r][j] = v16_fma(av, bv[j], sum[r][j]);
        }
    }
}

// Scores of n_rows rows with positions at..at + 16 n_vecs of the tile.
WF_INLINE void scores(work *w, int i_row, int dim, int at, const int n_rows, const int n_vecs)
{
    v16 sum[WF_TILE_ROWS][4];
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vecs; j++)
            sum[r][j] = v16_zero();
    multiply(sum, n_rows, n_vecs, dim, w->q + i_row * dim, n_rows, 1, w->kt + at, TILE);
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vecs; j++)
            v16_store(w->p + r * TILE + at + 16 * j, sum[r][j]);
}

// Columns at..at + 16 n_vecs of the outputs take in n_k positions.
WF_INLINE void outputs(work *w, int i_row, int pad, int at, int n_k, const float *rescale,
                       const int n_rows, const int n_vecs)
{
    v16 sum[WF_TILE_ROWS][4];
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vecs; j++)
            sum[r][j] =
                v16_mul(v16_load(w->o + (i_row + r) * pad + at + 16 * j), v16_set1(rescale[r]));
    multiply(sum, n_rows, n_vecs, n_k, w->p, 1, TILE, w->v + at, pad);
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vecs; j++)
            v16_store(w->o + (i_row + r) * pad + at + 16 * j, sum[r][j]);
}

// The same for decode rows, which use V once: straight from the pages.
WF_INLINE void outputs_direct(const wf_kv *kv, wf_dtype dtype, work *w, int n_k,
                              const float *rescale, const int n_rows, const int n_vecs)
{
    int dim = kv->head_dim;
    for (int at = 0; at + 16 * n_vecs <= dim; at += 16 * n_vecs) {
        v16 sum[WF_TILE_ROWS][4];
#pragma GCC unroll 4
        for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
            for (int j = 0; j < n_vecs; j++)
                sum[r][j] = v16_mul(v16_load(w->o + r * dim + at + 16 * j), v16_set1(rescale[r]));
        for (int k = 0; k < n_k; k++) {
            v16 v[4];
            fetch_ahead(kv, dtype, w->next.key[k] + kv->kv_stride + at);
            if (n_vecs > 2) fetch_ahead(kv, dtype, w->next.key[k] + kv->kv_stride + at + 32);
#pragma GCC unroll 4
            for (int j = 0; j < n_vecs; j++)
                v[j] = load16(kv->base, dtype, w->now.key[k] + kv->kv_stride + at + 16 * j);
#pragma GCC unroll 4
            for (int r = 0; r < n_rows; r++) {
                v16 p = v16_set1(w->p[r * TILE + k]);
#pragma GCC unroll 4
                for (int j = 0; j < n_vecs; j++)
                    sum[r][j] = v16_fma(p, v[j], sum[r][j]);
            }
        }
#pragma GCC unroll 4
        for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
            for (int j = 0; j < n_vecs; j++)
                v16_store(w->o + r * dim + at + 16 * j, sum[r][j]);
    }
}

// Scores in w->p bent as the layer wants them.
static void bend(work *w, int i_row, int32_t begin, int n_rows)
{
    static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 cap = v16_set1(w->cap), share = v16_set1(w->cap > 0.0f ? 1.0f / w->cap : 0.0f);
    for (int r = 0; r < n_rows; r++)
        for (int j = 0; j < TILE; j += 16) {
            v16 s = v16_load(w->p + r * TILE + j);
            v16 on = v16_add(v16_load(lanes), v16_set1((float)(begin + j - w->pos[i_row + r])));
            if (w->cap > 0.0f) s = v16_mul(cap, v16_tanh(v16_mul(s, share)));
            s = v16_fma(on, v16_set1(w->slope[i_row + r]), s);
            v16_store(w->p + r * TILE + j, s);
        }
}

// What is in w->p, times a factor of each position.
static void multiply_positions(work *w, const float *by, int n_rows)
{
    for (int r = 0; r < n_rows; r++)
        for (int j = 0; j < TILE; j += 16)
            v16_store(w->p + r * TILE + j,
                      v16_mul(v16_load(w->p + r * TILE + j), v16_load(by + j)));
}

// Positions before a row's window are not seen.
static void hide(work *w, int i_row, int32_t begin, int n_rows)
{
    for (int r = 0; r < n_rows; r++)
        for (int i = 0; i < MIN(w->first[i_row + r] - begin, TILE); i++)
            w->p[r * TILE + i] = -INFINITY;
}

// Scores in w->p become weights 2^(s - max); each row's maximum and sum move on. `rescale` gets
// what the rows' sums so far are worth. A row sees the positions up to its own.
WF_INLINE void soften(work *w, int i_row, int32_t begin, float rescale[16], const int n_rows)
{
    float before[16] = {0}, max[16] = {0};
    if (w->scaled) multiply_positions(w, w->k_scale, n_rows);
    if (w->bent) bend(w, i_row, begin, n_rows);
    if (w->first[i_row + n_rows - 1] > begin) hide(w, i_row, begin, n_rows);
    for (int r = 0; r < n_rows; r++) {
        float *p = w->p + r * TILE;
        int n_valid = w->pos[i_row + r] - begin + 1;
        before[r] = w->max[i_row + r];
        v16 top = v16_set1(before[r]);
        for (int j = 0; j < TILE / 16; j++) {
            int n = n_valid - 16 * j;
            v16 s = v16_load(p + 16 * j);
            if (n < 16) {
                s = v16_keep_n(s, n < 0 ? 0 : n, -INFINITY);
                v16_store(p + 16 * j, s);
            }
            top = v16_max(top, s);
        }
        max[r] = v16_greatest(top);
    }
    v16_store(rescale, v16_exp2_below_128(v16_sub(v16_load(before), v16_load(max))));
    for (int r = 0; r < n_rows; r++) {
        float *p = w->p + r * TILE;
        v16 part[TILE / 16];
        for (int j = 0; j < TILE / 16; j++) {
            part[j] = v16_exp2_below_128(v16_sub(v16_load(p + 16 * j), v16_set1(max[r])));
            v16_store(p + 16 * j, part[j]);
        }
        float sum = v16_sum(v16_add(v16_add(part[0], part[1]), v16_add(part[2], part[3])));
        w->sum[i_row + r] = w->sum[i_row + r] * rescale[r] + sum;
        w->max[i_row + r] = max[r];
    }
    if (w->scaled) multiply_positions(w, w->v_scale, n_rows);
}

// One row tile meets one tile of positions that begins at `begin`. n_vecs: how many vectors of sums
// each row gets, a constant with n_rows.
WF_INLINE void row_tile(work *w, int i_row, int dim, int pad, int32_t begin, const int n_rows,
                        const int n_vecs)
{
    int n_k = MIN(w->pos[i_row + n_rows - 1] - begin + 1, TILE); // the last row sees most
    if (n_k <= 0 || w->first[i_row] - begin >= TILE) return;
    for (int at = 0; at < n_k; at += 16 * n_vecs)
        scores(w, i_row, dim, at, n_rows, n_vecs);
    float rescale[16];
    soften(w, i_row, begin, rescale, n_rows);
    int at = 0;
    for (; at + 16 * n_vecs <= pad; at += 16 * n_vecs)
        outputs(w, i_row, pad, at, n_k, rescale, n_rows, n_vecs);
    for (; at < pad; at += 16)
        outputs(w, i_row, pad, at, n_k, rescale, n_rows, 1);
}

#define VECS(rows) (4 * (rows) <= WF_TILE_SUMS ? 4 : 2 * (rows) <= WF_TILE_SUMS ? 2 : 1)

#define ROW_TILE_CASE(rows)                                                                        \
    case rows:                                                                                     \
        row_tile(w, i_row, dim, pad, begin, rows, VECS(rows));                                     \
        break;

static void row_tile_of(work *w, int i_row, int n_rows, int dim, int pad, int32_t begin)
{
    switch (n_rows) {
        ROW_TILE_CASE(1)
        ROW_TILE_CASE(2)
        ROW_TILE_CASE(3)
        ROW_TILE_CASE(4)
#if WF_TILE_ROWS > 4
        ROW_TILE_CASE(5)
        ROW_TILE_CASE(6)
#endif
#if WF_TILE_ROWS > 6
        ROW_TILE_CASE(7)
        ROW_TILE_CASE(8)
        ROW_TILE_CASE(9)
        ROW_TILE_CASE(10)
        ROW_TILE_CASE(11)
        ROW_TILE_CASE(12)
#endif
    }
}

static void store_outputs(const wf_attention_part *part, const work *w)
{
    const wf_attention_args *a = part->args;
    int group = a->n_heads / a->kv.n_kv_heads, dim = a->kv.head_dim, pad = dim_pad(&a->kv);
    for (int i = 0; i < part->end_row - part->i_row; i++) {
        int row = part->i_row + i;
        int token = row / group, head = part->kv_head * group + row % group;
        float *out = (float *)a->out.data + (int64_t)head * dim +
                     (a->batch->cu_seqlens[part->i_seq] + token) * a->out.stride;
        float sum = w->sum[i];
        if (a->sinks) sum += exp2f(a->sinks[head] * WF_LOG2E - w->max[i]);
        for (int d = 0; d < dim; d++)
            out[d] = w->o[i * pad + d] / sum + 0.0f;
    }
}

// A few rows over one tile, without a copy of V. head_dim is a multiple of 32.
WF_INLINE void decode_tile(const wf_kv *kv, wf_dtype dtype, work *w, int32_t begin,
                           const int n_rows)
{
    int n_k = MIN(w->pos[n_rows - 1] - begin + 1, TILE);
    float rescale[16];
    for (int at = 0; at < n_k; at += 16 * VECS(n_rows))
        scores(w, 0, kv->head_dim, at, n_rows, VECS(n_rows));
    soften(w, 0, begin, rescale, n_rows);
    if (VECS(n_rows) == 4 && kv->head_dim % 64 == 0)
        outputs_direct(kv, dtype, w, n_k, rescale, n_rows, 4);
    else
        outputs_direct(kv, dtype, w, n_k, rescale, n_rows, VECS(n_rows) > 1 ? 2 : 1);
}

WF_INLINE void run(const wf_attention_part *part, wf_dtype dtype)
{
    const wf_kv *kv = &part->args->kv;
    work *w = (work *)(void *)part->scratch;
    int n_rows = part->end_row - part->i_row, dim = kv->head_dim;
    load_queries(part, w);
    int32_t end = w->pos[n_rows - 1] + 1, start = w->first[0] / TILE * TILE;
    bool direct = n_rows <= 4 && dim % 32 == 0;
    w->scaled = wf_format_scaled(dtype);
    memset(&w->next, 0, sizeof w->next); // what lies beyond the context is fetched, too
    find_keys(part, &w->next, start, MIN(end - start, TILE));
    for (int32_t begin = start; begin < end; begin += TILE) {
        int n = MIN(end - begin, TILE);
        w->now = w->next;
        if (begin + n < end) find_keys(part, &w->next, begin + n, MIN(end - begin - n, TILE));
        if (w->scaled) load_scales(kv, dtype, w, n);
        load_keys(kv, dtype, w, n);
        if (direct && n_rows == 1) {
            decode_tile(kv, dtype, w, begin, 1);
        } else if (direct && n_rows == 2) {
            decode_tile(kv, dtype, w, begin, 2);
        } else if (direct && n_rows == 4) {
            decode_tile(kv, dtype, w, begin, 4);
        } else {
            load_values(kv, dtype, w, n);
            for (int i = 0; i < n_rows; i += WF_TILE_ROWS)
                row_tile_of(w, i, MIN(n_rows - i, WF_TILE_ROWS), dim, dim_pad(kv), begin);
        }
    }
    store_outputs(part, w);
}

#define RUN_CASE(format)                                                                           \
    case format:                                                                                   \
        run(part, format);                                                                         \
        break;

void WF_ISA(attention)(const wf_attention_part *part)
{
    if (part->end_row <= part->i_row) return;
    switch (part->args->kv.dtype) {
        RUN_CASE(WF_BF16)
        RUN_CASE(WF_F16)
        RUN_CASE(WF_F32)
        RUN_CASE(WF_FP8)
        RUN_CASE(WF_INT8)
    default:
        wf_no_such_format();
    }
}
