// Arguments of every operation of a back end, one struct per operation.
//
// All pointers are device addresses of the back end unless marked [host]. T = tokens packed in the
// step, S = sequences in the step, R = row slots of the engine, V = vocabulary (this rank's slice
// where said). Activations are `act` (wf_backend_info.numerics.act: f32 on the CPU, the model's
// dtype on a GPU); norms, sums and softmax accumulate in f32. Outputs never alias inputs unless
// said.
#ifndef WF_KERNELS_OPS_H
#define WF_KERNELS_OPS_H

#include <stdbool.h>

#include "kernels/tensor.h"

typedef struct wf_weight wf_weight; // a matrix in the back end's own layout (backend.h)

// A scale of arguments, where 0 stands for 1.
static inline float wf_scale_of(float scale)
{
    return scale < 0.0f || scale > 0.0f ? scale : 1.0f;
}

// The packed batch of one step. Sequences lie end to end without padding; the first n_decode of
// them have one token each. Lengths known to the host are passed by value as bounds, the arrays are
// read on the device so that a captured step can be replayed with other lengths. Positions of a
// sequence are consecutive: token_pos[cu_seqlens[s] + i] = seq_past[s] + i.
typedef struct wf_batch {
    int32_t n_tokens, n_seqs, n_decode;
    int32_t max_new;           // longest chunk, tokens
    int32_t max_context;       // longest context after this step, tokens
    const int32_t *cu_seqlens; // [S+1] first packed token of each sequence
    const int32_t *seq_row;    // [S] row slot of each sequence
    const int32_t *seq_past;   // [S] tokens already in the KV cache
    const int32_t *seq_join;   // [S] 1: its row is new with this step, wherever it begins
    const int32_t *token_seq;  // [T] sequence of each packed token
    const int32_t *token_pos;  // [T] position of each packed token in its request
    const int32_t *page_table; // [R][page_stride] page numbers, row-indexed
    int32_t page_stride;       // columns of page_table
    int64_t n_kv, n_pairs;     // sums of contexts, of contexts of tokens: for profiles alone
} wf_batch;

// ids[i] = host_ids[i] where that is >= 0, else last_token[seq_row[token_seq[i]]].
typedef struct wf_token_ids_args {
    const wf_batch *batch;
    const int32_t *host_ids, *last_token;
    int32_t *ids; // [T]
} wf_token_ids_args;

// y[i] = scale * table[ids[i] - vocab_begin], 0 where ids[i] is outside this rank's [begin, begin +
// rows); plus types[type[i]] and positions[pos[i] + first_position] where there are such tables.
typedef struct wf_embed_args {
    const int32_t *ids;
    const wf_weight *table; // [V, H]
    int32_t vocab_begin;
    wf_matrix y;                // [T, H] act
    float scale;                // 0: 1
    const wf_weight *positions; // learned ones, [P, H], or NULL
    const int32_t *pos;         // [T]
    int32_t first_position;
    const wf_weight *types; // of segments, [n, H], or NULL
    const int32_t *type;    // [T]; NULL: all 0
} wf_embed_args;

// y = x W^T (+ bias). W is [N, K]; every y element is one sum over k in ascending order on the CPU.
typedef struct wf_gemm_args {
    wf_matrix x; // [M, K] act
    const wf_weight *w;
    const float *bias; // [N] f32 or NULL
    wf_matrix y;       // [M, N] act, or f32 (logits)
    // A power of 2 that divides K, or 0: into how many equal runs of k every sum is cut. Each run
    // is a chain of its own, the first with the bias; their sums are added in f32, neighbours
    // first,
    // ((0+1)+(2+3))+..., and rounded once. So ranks that hold runs of one K can add up to the bits
    // of a single rank. `ref` is free of order, and ignores it.
    int32_t k_runs;
} wf_gemm_args;

// y = x / sqrt(mean(x^2) + eps) * weight. With `residual`: residual += scale * x first, y from the
// sum.
typedef struct wf_rmsnorm_args {
    wf_matrix x;        // [M, H] act, or f32 (rounded to act first)
    wf_matrix residual; // [M, H] act, in and out; data NULL: none
    const float *weight;
    float eps;
    wf_matrix y; // [M, H] act
    float scale; // of x where it is added; 0: 1
} wf_rmsnorm_args;

// y = (x - mean) / sqrt(var + eps) * weight + bias; `residual` as in wf_rmsnorm_args.
typedef struct wf_layernorm_args {
    wf_matrix x, residual;
    const float *weight, *bias;
    float eps;
    wf_matrix y;
    float scale;
} wf_layernorm_args;

// y += x, element by element.
typedef struct wf_add_args {
    wf_matrix x, y;
} wf_add_args;

// What the norms of q and k over all their heads need: the sum of x^2 of every head x.
typedef struct wf_head_squares_args {
    wf_matrix qkv;             // [T, at least n_heads * head_dim] act: q's heads, then k's
    int32_t n_heads, head_dim; // of q and k together
    float *squares;            // [T][n_heads]
} wf_head_squares_args;

// Rotates q and k of every token by its position and appends k and v to the KV cache; with no cache
// (kv.base NULL, of kv its n_kv_heads and head_dim alone) both are rotated in place.
// qkv rows: [n_heads | n_kv_heads | n_kv_heads] * head_dim; q is rotated in place.
// Rotary tables: cos/sin [max_context][rotary_dim / 2] f32. interleaved: pairs (2i, 2i+1) (GPT-J),
// else (i, i + rotary_dim / 2) (Llama); rotary_dim 0: nothing is rotated. With q_norm, every head x
// of q and of k becomes x / sqrt(mean(x^2) + norm_eps) * weight first (Qwen3), the mean being that
// of the head, or, with `squares`, of all heads of q or of k of all ranks, added up rank by rank
// and head by head (OLMo 2); `norm_centred`: (x - mean(x)) takes the place of x, as in a LayerNorm
// (Command-R).
typedef struct wf_rope_args {
    const wf_batch *batch;
    wf_matrix qkv; // [T, (n_heads + 2 n_kv_heads) * head_dim] act
    int32_t n_heads, rotary_dim;
    bool interleaved;
    const float *cos, *sin;
    wf_kv kv;
    const float *q_norm, *k_norm; // weights of the norms; both NULL: none
    float norm_eps;
    int32_t norm_stride; // from a head's weights to the next one's; 0: all heads have the same
    bool norm_centred;
    const float *squares; // [n_ranks][T][n_heads + n_kv_heads] of wf_head_squares_args, or NULL
    int32_t n_ranks;      // of squares
} wf_rope_args;

// Causal attention of packed rows over their pages: out[t,h] = sum over p of w[p] V[p], where
//   x[p] = scale q . K[p]; with a softcap c, c tanh(x / c); with slopes, + slopes[h] (p - pos)
//   w[p] = exp(x[p]) / (sum over p of exp(x[p]) + exp(sinks[h]))
// over positions 0..pos, pos = token_pos[t]; with a window the last `window` of them. Pages wholly
// before the window of a sequence's first token may hold anything finite. Query head h reads KV
// head h / (n_heads / n_kv_heads).
typedef struct wf_attention_args {
    const wf_batch *batch;
    wf_matrix qkv; // rotated q in the first n_heads * head_dim columns
    int32_t n_heads;
    float scale;
    wf_kv kv;
    wf_matrix out;       // [T, n_heads * head_dim] act
    int32_t window;      // positions that a token sees, its own included; 0: all
    float softcap;       // 0: none
    const float *sinks;  // [n_heads] logits that take weight and have no value; NULL: none
    const float *slopes; // [n_heads] ALiBi, arXiv 2108.12409; NULL: none
} wf_attention_args;

// Whether anything but the plain softmax is asked for.
static inline bool wf_attention_varies(const wf_attention_args *a)
{
    return a->window > 0 || a->softcap > 0.0f || a->sinks != NULL || a->slopes != NULL;
}

// ---- encoders: rows that are whole in a step ----

// Attention of packed rows over their own tokens, in both directions and without a KV cache:
//   out[t,h] = sum over p of w[p] V[p],  w = softmax over p of scale q . K[p] + bias[h][p - t]
// over the tokens p of t's sequence; with a window those with |p - t| <= window. Distances beyond
// the reach of `bias` have that of its ends. Query head h reads KV head h / (n_heads / n_kv_heads).
// Without padding and, for short rows, one kernel: ByteTransformer, arXiv 2210.03052.
typedef struct wf_packed_attention_args {
    const wf_batch *batch;
    wf_matrix qkv; // [T, (n_heads + 2 n_kv_heads) * head_dim] act, q | k | v
    int32_t n_heads, n_kv_heads, head_dim;
    float scale;
    int32_t window;     // tokens that one sees on either side; 0: all
    const float *bias;  // [n_heads][2 reach + 1], of distances -reach .. reach; NULL: none
    int32_t bias_reach; // reach
    wf_matrix out;      // [T, n_heads * head_dim] act
} wf_packed_attention_args;

// Where the bias of a distance p - t stands.
static inline int64_t wf_relative_index(int32_t head, int32_t reach, int32_t distance)
{
    int32_t near = distance < -reach ? -reach : distance > reach ? reach : distance;
    return (int64_t)head * (2 * reach + 1) + near + reach;
}

// What of a row's tokens becomes its vector.
typedef enum wf_pooling {
    WF_POOL_FIRST,
    WF_POOL_LAST,
    WF_POOL_MEAN, // added up in the order of the tokens on the CPU
    WF_POOL_MAX,
    WF_N_POOLINGS
} wf_pooling;

// y[i] = of rows x[first[i]] .. x[last[i]] the first, the last, their mean or the greatest numbers.
typedef struct wf_pool_args {
    wf_matrix x;          // [T, H] act
    const int32_t *first; // [n]; not read for LAST
    const int32_t *last;  // [n]; not read for FIRST
    wf_pooling pooling;
    wf_matrix y; // [n, H] act or f32
} wf_pool_args;

// y = x / max(|x|, 1e-12), row by row; `plain`: y = x.
#define WF_LEAST_LENGTH 1e-12
typedef struct wf_unit_rows_args {
    wf_matrix x; // [n, W] act or f32
    bool plain;
    wf_matrix y; // [n, W] f32; may be x
} wf_unit_rows_args;
// ---- latent attention ----
//
//   x [T, hidden] -- gemm --> q [T, heads (nope | rope)]     -- gemm --> c [T, rank | rope]
//   c -- latent_append --> the cache: norm(c[0..rank)) | rotated c[rank..), one row for all heads
//   q -- heads_gemm (keys absorbed) --> wide [T, heads (rank | rope)], whose rotated part
//   latent_append adds -- latent_attention --> [T, heads rank] -- heads_gemm (values) --> o
//
// A token leaves rank + rope numbers in the cache, whatever the number of heads; a key is all of
// them, a value the first `rank`. Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.

// y[t][h] = x[t][h] W[h]^T: head h has K numbers of a row of x from h * x_step on, and N of y from
// h * y_step on; what lies between is left alone. Every sum over k is one chain, as in gemm.
typedef struct wf_heads_gemm_args {
    wf_matrix x; // [T, at least (H - 1) x_step + K] act
    int64_t x_step, y_step;
    const wf_weight *w; // H matrices [N, K]
    wf_matrix y;        // [T, at least (H - 1) y_step + N] act
} wf_heads_gemm_args;

// Appends row c of every token to the cache, its first `rank` numbers normed as in rmsnorm, the
// others rotated by its position; and rotates the last `rope` numbers of every head of q into the
// last `rope` of that head in `wide`. Pairs and tables as in wf_rope_args.
typedef struct wf_latent_append_args {
    const wf_batch *batch;
    wf_matrix c; // [T, rank + rope] act
    int32_t n_heads, rank, rope, nope;
    const float *norm; // [rank]
    float norm_eps;
    bool interleaved;
    const float *cos, *sin; // [max_context][rope / 2]
    wf_matrix q;            // [T, n_heads * (nope + rope)] act
    wf_matrix wide;         // [T, n_heads * (rank + rope)] act
    wf_kv kv;               // of one head, head_dim rank + rope, without values (kv_stride 0)
} wf_latent_append_args;

// out[t][h] = softmax over p <= pos(t) of (scale q[t][h] . K[p]) times the first `rank` of K[p].
typedef struct wf_latent_attention_args {
    const wf_batch *batch;
    wf_matrix q; // [T, n_heads * head_dim] act
    int32_t n_heads, rank;
    float scale;
    wf_kv kv;      // as in wf_latent_append_args
    wf_matrix out; // [T, n_heads * rank] act
} wf_latent_attention_args;

// The longest row of a latent cache.
#define WF_MAX_LATENT 1024

// The functions of feed-forwards.
typedef enum wf_curve {
    WF_CURVE_SILU,
    WF_CURVE_GELU_TANH,  // the tanh form of GELU
    WF_CURVE_GELU_EXACT, // x Phi(x)
    WF_CURVE_RELU,
    WF_CURVE_TANH,
    WF_N_CURVES
} wf_curve;

// gate_mul: y = curve(gate) * up (x = [gate | up], [M, 2F]). activate: y = curve(x) (x = [M, F]).
typedef struct wf_activation_args {
    wf_matrix x, y; // y: [M, F]
    wf_curve curve;
} wf_activation_args;

// ---- experts ----
//
//   x [T, H] -- gemm --> logits -- route --> pairs -- pack_pairs --> rows by expert
//            -- experts_gemm (gate | up, activation) --> -- experts_gemm (down) --> combine --> y
//
// A pair is a token and one of the C experts it chose: P = T * C of them, pair t * C + c. A rank
// has E of the experts; its pairs are packed expert by expert, without padding. How many an expert
// has is known to the device alone.

typedef enum wf_score { WF_SCORE_SOFTMAX, WF_SCORE_SIGMOID } wf_score;

// The C experts of every token, best first, the lowest number on ties; NaN counts as the least.
// score = softmax or sigmoid of the logits; they are chosen by score + choice_bias. With groups,
// equal runs of the experts, only those of the best n_best_groups can be chosen; what a group is
// worth is its best expert (softmax) or the sum of its best two (sigmoid). weight = score, divided
// by the sum of the chosen ones with `renormalise`, times scale.
typedef struct wf_route_args {
    wf_matrix logits; // [T, n] f32
    wf_score score;
    const float *choice_bias; // [n] or NULL
    int32_t n_choices;        // C, at most WF_MAX_CHOICES
    int32_t n_groups, n_best_groups;
    bool renormalise;
    float scale;
    int32_t *expert; // [P]
    float *weight;   // [P]
} wf_route_args;

#define WF_MAX_EXPERTS 512
#define WF_MAX_CHOICES 32

// Packs the pairs of experts first_expert .. first_expert + E, of one expert in ascending order.
typedef struct wf_pack_pairs_args {
    const int32_t *expert; // [P]
    int32_t n_pairs, first_expert, n_experts;
    int32_t *begin; // [E + 1] first packed row of each expert; the last: how many there are
    int32_t *pair;  // [P] of each packed row
    int32_t *row;   // [P] packed row of each pair, -1: another rank has its expert
} wf_pack_pairs_args;

// How gate and up become one (their biases are added before). CLAMPED is gpt-oss's, with its
// numbers.
#define WF_CLAMPED_ALPHA 1.702
#define WF_CLAMPED_LIMIT 7.0
typedef enum wf_gate {
    WF_GATE_NONE,
    WF_GATE_SILU,   // silu(gate) * up
    WF_GATE_CLAMPED // g sigmoid(alpha g) (u + 1), g = min(gate, limit), u = up within +-limit
} wf_gate;

// y[r] = x[pair[r] / C] W[e]^T (+ bias[e]) for every packed row r of expert e; with pair NULL
// x[r] W[e]^T; begin NULL: all rows are of the one expert. Rows of y beyond the last packed one are
// left alone. With a gate W is [E][2 N, K], rows gate | up, and y = gate(x W^T + bias).
typedef struct wf_experts_gemm_args {
    wf_matrix x; // act
    const int32_t *begin, *pair;
    int32_t n_choices; // C
    const wf_weight *w;
    const float *bias; // [E][rows of W] f32 or NULL
    wf_gate gate;
    wf_matrix y; // [P, N] act, or f32
    // As in wf_gemm_args, but the sums of the runs stay apart: those of run i lie i * run_stride
    // elements behind y. 0 or 1: whole sums. `ref` leaves all of it in the first.
    int32_t k_runs;
    int64_t run_stride;
} wf_experts_gemm_args;

// y[t] = sigmoid(shared_gate[t]) shared[t] + the sum over c of weight[p] x[row[p]], p = t * C + c,
// c ascending, without those whose row is -1. Runs (k_runs) are summed each by itself like this,
// and then added as in wf_gemm_args.
typedef struct wf_combine_args {
    wf_matrix x; // [P, N] act or f32
    int32_t n_choices;
    const int32_t *row;
    const float *weight;
    wf_matrix shared;         // [T, N] of x's type; data NULL: none
    const float *shared_gate; // [T] or NULL: whole
    int32_t k_runs;
    int64_t run_stride, shared_run_stride;
    wf_matrix y; // [T, N] act or f32
} wf_combine_args;

// y[i] = x[index[i]]
typedef struct wf_gather_args {
    wf_matrix x;
    const int32_t *index; // [y.n_rows]
    wf_matrix y;
} wf_gather_args;

// dst[index[i] * row_bytes ...] = src[i * row_bytes ...]: new rows and new pages enter row arrays.
typedef struct wf_scatter_args {
    void *dst;
    const void *src;
    const int32_t *index; // [n]
    int32_t n;
    size_t row_bytes; // multiple of 4
} wf_scatter_args;

// One row array that a reordering moves.
typedef struct wf_row_array {
    void *data;
    size_t row_bytes; // multiple of 4
} wf_row_array;

// Moves row from[i] to row to[i] in every array, as if all were read before any is written.
typedef struct wf_reorder_args {
    const wf_row_array *arrays; // [host]
    int32_t n_arrays, n_moves;
    const int32_t *from, *to; // [n_moves]
} wf_reorder_args;

// Copies whole pages of every layer: pages to[i] = pages from[i] (physical compaction).
typedef struct wf_kv_copy_args {
    void *pool;
    int64_t layer_bytes, page_bytes;
    int32_t n_layers, n_pages;
    const int32_t *from, *to; // [n_pages]; the two sets are disjoint
} wf_kv_copy_args;

// Tokens that a row can hold back until it has min_tokens.
#define WF_MAX_MASKED_STOPS 8

// How one row is sampled; row-indexed on the device. Names and meanings are vLLM's SamplingParams.
typedef struct wf_row_sampling {
    uint64_t rng_key; // hash of the row's seed and sample, or of (job seed, shard_uid, row, sample)
    float temperature; // 0: greedy
    float top_p, min_p;
    int32_t top_k; // <= 0: all
    float repetition_penalty, presence_penalty, frequency_penalty;
    int32_t prompt_len;
    int32_t min_tokens;                    // stop_ids are masked until that many are generated
    int32_t n_stop_ids;                    // used entries of stop_ids
    int32_t stop_ids[WF_MAX_MASKED_STOPS]; // EOS and stop tokens, for min_tokens only
    int32_t pad_;                          // keeps the size a multiple of 8
} wf_row_sampling;

// counts[row][id]: bit 15 set when id is in the row's prompt, low bits count generated ids. Counts
// every token of the batch as it is fed; a sequence that joins starts from a cleared row.
// Needed only where penalties are used.
typedef struct wf_count_args {
    const wf_batch *batch;
    const int32_t *ids;              // [T]
    const wf_row_sampling *sampling; // [R] (prompt_len tells prompt from output)
    uint16_t *counts;                // [R][counts_stride]
    int64_t counts_stride;           // >= n_vocab, even
    int32_t n_vocab;
} wf_count_args;

// What one listed row wishes of single tokens. The lists lie in one array of words, each from its
// place on; an id beyond the vocabulary does nothing.
typedef struct wf_row_wishes {
    int32_t i_allowed, n_allowed; // ids, ascending: no others may be drawn. 0: all may
    int32_t i_bias, n_bias;       // (id, the bits of a float), no id twice: added to its logit
    int32_t i_banned, n_banned;   // (id, before): may not be drawn; before >= 0: not where
                                  // last_token of the row is that
} wf_row_wishes;

// Samples one token per listed sequence. logits are changed in place. Order: NaN becomes -inf, raw
// logprobs, allowed and banned tokens, biases, repetition, presence, frequency penalties,
// min_tokens mask, temperature, min_p, top_k, top_p, draw, processed logprobs. Temperature 0 takes
// the greatest logit, the lowest id on ties. The filters keep every token tied with the last one
// kept. The draw inverts the cumulative sum over the kept tokens in ascending id with one Philox
// uniform: key rng_key, counter = position of the token that is drawn (sampling.h has the
// arithmetic).
typedef struct wf_sample_args {
    wf_matrix logits;   // [n, V] f32, whole vocabulary
    int32_t n_vocab;    // columns that are real tokens; the rest is padding
    const int32_t *row; // [n] row slot
    const int32_t *pos; // [n] position of the drawn token in its request
    const wf_row_sampling *sampling;
    const uint16_t *counts; // [R][counts_stride] or NULL
    int64_t counts_stride;
    const wf_row_wishes *wishes; // [n] or NULL: none has any
    const int32_t *wish_words;   // where their lists lie
    int32_t *last_token;         // [R] row array; receives the token
    int32_t *token;              // [n]
    int32_t n_top;               // logprobs asked for; 0: only the token's
    // Logprobs are vLLM's: raw, the log-softmax of the logits as the model gave them; processed,
    // that of what the token was drawn from, -inf where a filter took a token out (temperature 0:
    // of the penalised logits).
    bool processed;
    // Raw: the logits once more, unchanged, as slices of the vocabulary: [V /
    // raw_cols][n][raw_cols]. NULL where no row has penalties or wishes.
    const float *raw;
    int64_t raw_cols;
    float *logprob;     // [n] of the token, or NULL
    int32_t *top_id;    // [n][n_top] or NULL
    float *top_logprob; // [n][n_top]
} wf_sample_args;

// x = cap tanh(x / cap), element by element.
typedef struct wf_softcap_args {
    wf_matrix x; // f32
    float cap;   // > 0
} wf_softcap_args;

// A greatest logit and its token.
typedef struct wf_best {
    float logit;
    int32_t id;
} wf_best;

// best[i] = the greatest of the first n_valid logits of row i, the lowest id on ties; NaN counts as
// -inf. No column: (-inf, INT32_MAX), which loses against every token. logits may be changed where
// they are NaN.
typedef struct wf_best_args {
    wf_matrix logits; // [n, V] f32, this rank's slice of the vocabulary
    int32_t n_valid;  // columns that are real tokens
    int32_t first_id; // token of column 0
    wf_best *best;    // [n]
} wf_best_args;

// Greedy rows of a split vocabulary: token[i] = last_token[row[i]] = the best of all ranks' best.
typedef struct wf_best_pick_args {
    const wf_best *best; // [n_ranks][n]
    int32_t n_ranks, n;
    const int32_t *row;  // [n] row slot
    int32_t *last_token; // [R] row array
    int32_t *token;      // [n]
} wf_best_pick_args;

// Every operation: X(entry of the back end's table, its arguments). The list gives the table its
// entries and the check that none is missing (backend.h), each back end its declarations, the
// profile its rows (profile_cost.h), the checks of arguments (op_check.h) and the module its
// version (cuda/module.h).
#define WF_OPS(X)                                                                                  \
    X(token_ids, wf_token_ids_args)                                                                \
    X(embed, wf_embed_args)                                                                        \
    X(gemm, wf_gemm_args)                                                                          \
    X(rmsnorm, wf_rmsnorm_args)                                                                    \
    X(layernorm, wf_layernorm_args)                                                                \
    X(add, wf_add_args)                                                                            \
    X(head_squares, wf_head_squares_args)                                                          \
    X(rope_kv_append, wf_rope_args)                                                                \
    X(attention, wf_attention_args)                                                                \
    X(packed_attention, wf_packed_attention_args)                                                  \
    X(pool, wf_pool_args)                                                                          \
    X(unit_rows, wf_unit_rows_args)                                                                \
    X(heads_gemm, wf_heads_gemm_args)                                                              \
    X(latent_append, wf_latent_append_args)                                                        \
    X(latent_attention, wf_latent_attention_args)                                                  \
    X(gate_mul, wf_activation_args)                                                                \
    X(activate, wf_activation_args)                                                                \
    X(route, wf_route_args)                                                                        \
    X(pack_pairs, wf_pack_pairs_args)                                                              \
    X(experts_gemm, wf_experts_gemm_args)                                                          \
    X(combine, wf_combine_args)                                                                    \
    X(gather, wf_gather_args)                                                                      \
    X(scatter, wf_scatter_args)                                                                    \
    X(reorder, wf_reorder_args)                                                                    \
    X(kv_copy, wf_kv_copy_args)                                                                    \
    X(count, wf_count_args)                                                                        \
    X(softcap, wf_softcap_args)                                                                    \
    X(sample, wf_sample_args)                                                                      \
    X(best, wf_best_args)                                                                          \
    X(best_pick, wf_best_pick_args)

#endif
