// Operations that move rows: token_ids, embed, gather, scatter, reorder, kv_copy, count.
//
// All are copies: bytes = what is read once plus what is written once. A row is moved by one block
// in words of 4 or 16 bytes; 2-byte words where a stride is odd.
#include "kernels/cuda/cuda_w8.cuh"

extern "C" {
#include "kernels/ops/op_rows.h"
#include "kernels/ops/op_sample.h"
}

// ---- token_ids: one thread per packed token -----------------------------------------------------

static __global__ void token_ids_kernel(const int32_t *host_ids, const int32_t *last_token,
                                        const int32_t *seq_row, const int32_t *token_seq,
                                        int32_t n_tokens, int32_t *ids)
{
    let_next_start();
    wait_for_previous();
    int t = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (t >= n_tokens) return;
    int32_t given = host_ids[t];
    ids[t] = given >= 0 ? given : last_token[seq_row[token_seq[t]]];
}

wf_status wf_cuda_token_ids(wf_backend *be, wf_stream *s, const wf_token_ids_args *a)
{
    WF_TRY(wf_check_token_ids(a, cuda_of(be)->numerics.act));
    const wf_batch *b = a->batch;
    if (b->n_tokens == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "token_ids", token_ids_kernel,
                          dim3((unsigned)div_up64(b->n_tokens, 256)), dim3(256), 0, a->host_ids,
                          a->last_token, b->seq_row, b->token_seq, b->n_tokens, a->ids);
}

// ---- embed: one block per token -----------------------------------------------------------------

struct embed_args {
    weight_view table, positions, types; // data NULL: none
    int64_t n_cols;
    int32_t vocab_begin, first_position;
    float scale;
};

static __global__ void embed_kernel(const int32_t *ids, const int32_t *pos, const int32_t *type,
                                    embed_args a, wf_matrix y)
{
    let_next_start();
    wait_for_previous();
    int64_t i = blockIdx.x, row = (int64_t)ids[i] - a.vocab_begin;
    int64_t position = a.positions.data ? (int64_t)pos[i] + a.first_position : 0;
    int64_t segment = a.types.data && type ? (int64_t)type[i] : 0;
    bool mine = row >= 0 && row < a.table.n_rows;
    for (int64_t k = threadIdx.x; k < a.n_cols; k += blockDim.x) {
        float v = mine ? a.scale * weight_at(a.table, row, k) : 0.0f;
        if (a.types.data) v += weight_at(a.types, segment, k);
        if (a.positions.data) v += weight_at(a.positions, position, k);
        store_any(y.data, y.dtype, i * y.stride + k, v);
    }
}

wf_status wf_cuda_embed(wf_backend *be, wf_stream *s, const wf_embed_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_embed(a, cu->numerics.act));
    if (a->y.n_rows == 0 || a->y.n_cols == 0) return WF_OK;
    embed_args e = {};
    e.table = view_of(a->table);
    if (a->positions) e.positions = view_of(a->positions);
    if (a->types) e.types = view_of(a->types);
    e.n_cols = a->y.n_cols;
    e.vocab_begin = a->vocab_begin;
    e.first_position = a->first_position;
    e.scale = wf_scale_of(a->scale);
    return wf_cuda_launch(cu, stream_of(be, s), "embed", embed_kernel, dim3((unsigned)a->y.n_rows),
                          dim3(256), 0, a->ids, a->pos, a->type, e, a->y);
}

// ---- gather, scatter: words of W ----------------------------------------------------------------

template <typename W>
static __global__ void gather_kernel(const W *x, int64_t x_words, const int32_t *index, W *y,
                                     int64_t y_words, int64_t row_words)
{
    let_next_start();
    wait_for_previous();
    int64_t i = blockIdx.x;
    const W *from = x + index[i] * x_words;
    for (int64_t k = threadIdx.x; k < row_words; k += blockDim.x)
        y[i * y_words + k] = from[k];
}

template <typename W>
static wf_status gather_words(wf_backend *be, wf_stream *s, const wf_gather_args *a)
{
    int64_t size = (int64_t)wf_dtype_bytes(a->x.dtype), w = (int64_t)sizeof(W);
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "gather", gather_kernel<W>,
                          dim3((unsigned)a->y.n_rows), dim3(256), 0, (const W *)a->x.data,
                          a->x.stride * size / w, a->index, (W *)a->y.data, a->y.stride * size / w,
                          a->y.n_cols * size / w);
}

wf_status wf_cuda_gather(wf_backend *be, wf_stream *s, const wf_gather_args *a)
{
    WF_TRY(wf_check_gather(a, cuda_of(be)->numerics.act));
    if (a->y.n_rows == 0 || a->y.n_cols == 0) return WF_OK;
    if (rows_aligned(&a->x, 16) && rows_aligned(&a->y, 16)) return gather_words<uint4>(be, s, a);
    if (rows_aligned(&a->x, 4) && rows_aligned(&a->y, 4)) return gather_words<uint32_t>(be, s, a);
    return gather_words<uint16_t>(be, s, a);
}

static __global__ void scatter_kernel(uint32_t *dst, const uint32_t *src, const int32_t *index,
                                      int64_t n_words, int64_t row_words)
{
    let_next_start();
    wait_for_previous();
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n_words) dst[index[i / row_words] * row_words + i % row_words] = src[i];
}

wf_status wf_cuda_scatter(wf_backend *be, wf_stream *s, const wf_scatter_args *a)
{
    WF_TRY(wf_check_scatter(a, cuda_of(be)->numerics.act));
    int64_t row_words = (int64_t)a->row_bytes / 4, n_words = row_words * a->n;
    if (n_words == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "scatter", scatter_kernel,
                          dim3((unsigned)div_up64(n_words, 256)), dim3(256), 0, (uint32_t *)a->dst,
                          (const uint32_t *)a->src, a->index, n_words, row_words);
}

// ---- reorder: every row to a stage, then to its place, so that no move sees another's
// ------------

#define MOVE_ARRAYS 8

struct move_list {
    uint32_t *data[MOVE_ARRAYS];
    int64_t words[MOVE_ARRAYS], stage_at[MOVE_ARRAYS]; // of one row; of the array in the stage
};

// Block (i, array): to or from the stage.
static __global__ void move_kernel(move_list list, uint32_t *stage, const int32_t *row, bool out)
{
    wait_for_previous();
    int64_t words = list.words[blockIdx.y];
    uint32_t *held = stage + list.stage_at[blockIdx.y] + blockIdx.x * words;
    uint32_t *live = list.data[blockIdx.y] + row[blockIdx.x] * words;
    for (int64_t k = threadIdx.x; k < words; k += blockDim.x)
        if (out)
            live[k] = held[k];
        else
            held[k] = live[k];
}

static wf_status move_some(wf_backend *be, wf_stream *s, const wf_reorder_args *a, int32_t first,
                           int32_t n)
{
    wf_cuda *cu = cuda_of(be);
    move_list list = {};
    int64_t words = 0;
    void *stage = nullptr;
    for (int32_t i = 0; i < n; i++) {
        list.data[i] = (uint32_t *)a->arrays[first + i].data;
        list.words[i] = (int64_t)a->arrays[first + i].row_bytes / 4;
        list.stage_at[i] = words;
        words += list.words[i] * a->n_moves;
    }
    WF_TRY(wf_cuda_scratch(cu, s, (size_t)words * 4, &stage));
    dim3 grid((unsigned)a->n_moves, (unsigned)n);
    WF_TRY(wf_cuda_launch(cu, s, "reorder", move_kernel, grid, dim3(256), 0, list,
                          (uint32_t *)stage, a->from, false));
    return wf_cuda_launch(cu, s, "reorder", move_kernel, grid, dim3(256), 0, list,
                          (uint32_t *)stage, a->to, true);
}

wf_status wf_cuda_reorder(wf_backend *be, wf_stream *s, const wf_reorder_args *a)
{
    WF_TRY(wf_check_reorder(a, cuda_of(be)->numerics.act));
    if (a->n_moves == 0) return WF_OK;
    for (int32_t i = 0; i < a->n_arrays; i += MOVE_ARRAYS)
        WF_TRY(move_some(be, stream_of(be, s), a, i,
                         a->n_arrays - i < MOVE_ARRAYS ? a->n_arrays - i : MOVE_ARRAYS));
    return WF_OK;
}

// ---- kv_copy: block (page, layer, part of the page)
// ----------------------------------------------

template <typename W>
static __global__ void kv_copy_kernel(W *pool, int64_t layer_words, int64_t page_words,
                                      const int32_t *from, const int32_t *to)
{
    wait_for_previous();
    W *layer = pool + blockIdx.y * layer_words;
    const W *src = layer + from[blockIdx.x] * page_words;
    W *dst = layer + to[blockIdx.x] * page_words;
    const int64_t step = (int64_t)gridDim.z * blockDim.x;
    int64_t k = (int64_t)blockIdx.z * blockDim.x + threadIdx.x;
    for (; k + 7 * step < page_words; k += 8 * step) { // eight loads in flight
        W held[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            held[i] = src[k + i * step];
#pragma unroll
        for (int i = 0; i < 8; i++)
            dst[k + i * step] = held[i];
    }
    for (; k < page_words; k += step)
        dst[k] = src[k];
}

template <typename W>
static wf_status kv_copy_words(wf_backend *be, wf_stream *s, const wf_kv_copy_args *a)
{
    int64_t w = (int64_t)sizeof(W);
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "kv_copy", kv_copy_kernel<W>,
                          dim3((unsigned)a->n_pages, (unsigned)a->n_layers, 4), dim3(256), 0,
                          (W *)a->pool, a->layer_bytes / w, a->page_bytes / w, a->from, a->to);
}

wf_status wf_cuda_kv_copy(wf_backend *be, wf_stream *s, const wf_kv_copy_args *a)
{
    WF_TRY(wf_check_kv_copy(a, cuda_of(be)->numerics.act));
    if (a->n_pages == 0 || a->n_layers == 0) return WF_OK;
    if (a->layer_bytes % 16 == 0 && a->page_bytes % 16 == 0) return kv_copy_words<uint4>(be, s, a);
    return kv_copy_words<uint16_t>(be, s, a);
}

// ---- count: rows that join are cleared, then every token is counted
// ------------------------------

#define COUNT_PROMPT 0x8000u // sampling.h: WF_COUNT_PROMPT

static __global__ void clear_counts_kernel(const int32_t *seq_join, const int32_t *seq_row,
                                           uint16_t *counts, int64_t stride)
{
    wait_for_previous();
    if (!seq_join[blockIdx.x]) return;
    uint16_t *row = counts + seq_row[blockIdx.x] * stride;
    for (int64_t k = threadIdx.x; k < stride; k += blockDim.x)
        row[k] = 0;
}

// A 16-bit count is changed inside its 32-bit word: a chunk may hold a token twice.
static __global__ void count_kernel(wf_batch b, const int32_t *ids, const wf_row_sampling *sampling,
                                    uint16_t *counts, int64_t stride, int32_t n_vocab)
{
    wait_for_previous();
    int t = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (t >= b.n_tokens) return;
    int32_t row = b.seq_row[b.token_seq[t]], id = ids[t];
    if (id < 0 || id >= n_vocab) return;
    bool in_prompt = b.token_pos[t] < sampling[row].prompt_len;
    uintptr_t at = (uintptr_t)(counts + row * stride + id);
    uint32_t *word = (uint32_t *)(at & ~(uintptr_t)3), shift = (at & 2u) * 8u;
    uint32_t seen = *word, before;
    do {
        before = seen;
        uint32_t count = (before >> shift) & 0xffffu;
        bool full = (count & (COUNT_PROMPT - 1u)) == COUNT_PROMPT - 1u;
        uint32_t after = in_prompt ? count | COUNT_PROMPT : count + (full ? 0u : 1u);
        seen = atomicCAS(word, before, (before & ~(0xffffu << shift)) | after << shift);
    } while (seen != before);
}

wf_status wf_cuda_count(wf_backend *be, wf_stream *s, const wf_count_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_count(a, cu->numerics.act));
    if (a->batch->n_tokens == 0) return WF_OK;
    WF_TRY(wf_cuda_launch(cu, stream_of(be, s), "count", clear_counts_kernel,
                          dim3((unsigned)a->batch->n_seqs), dim3(1024), 0, a->batch->seq_join,
                          a->batch->seq_row, a->counts, a->counts_stride));
    return wf_cuda_launch(cu, stream_of(be, s), "count", count_kernel,
                          dim3((unsigned)div_up64(a->batch->n_tokens, 256)), dim3(256), 0,
                          *a->batch, a->ids, a->sampling, a->counts, a->counts_stride, a->n_vocab);
}
