// The architecture of one model: plain values read from config.json, checked, with defaults filled
// in. Everything that sizes memory or shapes the forward pass is here, nothing of weights.
//
// Reading reports all that is wrong with a configuration in one message (WF_DATA), problems joined
// by "; ". Both generations of Hugging Face configurations are read: rope_theta + rope_scaling and
// rope_parameters, torch_dtype and dtype; what a file does not say is what transformers makes of
// it. Unknown model types, rotary types and activations are refused by name, and so is any key that
// could change tokens and is not read here: a model that is nearly understood gives nearly right
// tokens.
//
// Sliding layers have a window, the others none: a model may mix both.
// All Local, pure but for reading the folder's documents.
#ifndef WF_ENGINE_MODEL_ARCH_H
#define WF_ENGINE_MODEL_ARCH_H

#include "engine/encode.h"
#include "engine/family.h"
#include "engine/rotary.h"
#include "engine/text_part.h"
#include "io/weights/hf_folder.h"
#include "kernels/ops.h"

#define WF_ARCH_MAX_EOS    8
#define WF_ARCH_MAX_LAYERS 1024
#define WF_ARCH_MAX_ROPES  2

// X(NAME, name): the kinds of blocks that layers are made of. The row of a kind is wf_block_<name>
// in engine/block_<name>.c (block.h).
#define WF_BLOCK_TABLE(X)                                                                          \
    X(ATTENTION, attention)                                                                        \
    X(BIDIRECTIONAL, bidirectional)                                                                \
    X(LATENT, latent)                                                                              \
    X(DENSE, dense)                                                                                \
    X(EXPERTS, experts)

typedef enum wf_block_kind {
#define WF_BLOCK_ENUM(NAME, name) WF_BLOCK_##NAME,
    WF_BLOCK_TABLE(WF_BLOCK_ENUM)
#undef WF_BLOCK_ENUM
        WF_N_BLOCKS
} wf_block_kind;

// How a layer's two blocks join the residual stream x. A norm that the layer has not (model.h) is
// no norm: n = x; `after` norms what one block adds.
typedef enum wf_join {
    WF_JOIN_SERIAL,   // x += after(mixer(norm x)), then x += after'(feed_forward(norm' x))
    WF_JOIN_PARALLEL, // x += mixer(norm x) + feed_forward(norm' x)
    WF_JOIN_SHARED,   // x += mixer(n) + feed_forward(n), n = norm x
    WF_JOIN_POST,     // x = norm(x + mixer(x)), then x = norm'(x + feed_forward(x))
    WF_N_JOINS
} wf_join;

// One layer; those of a model may differ.
typedef struct wf_arch_layer {
    wf_block_kind mixer, feed_forward;
    wf_join join;
    int32_t n_heads, n_kv_heads; // attention; latent: n_kv_heads is n_heads
    int32_t window;              // tokens that a token sees, itself included; 0: all
    float scale;                 // of scores: 1 / sqrt(head_dim), where nothing else is said
    float softcap;               // of scaled scores (ops.h); 0: none
    int32_t ffn;                 // dense
    // experts: how many, of which a token takes; of each; of the one that all take, 0: none
    int32_t n_experts, n_choices, expert_ffn, shared_ffn;
    int32_t i_rope; // attention: of wf_arch.rope; -1: q and k are not rotated
} wf_arch_layer;

// How tokens choose experts (wf_route_args).
typedef struct wf_arch_router {
    wf_score score;
    int32_t n_groups, n_best_groups;
    bool renormalise;
    float scale;
} wf_arch_router;

// Latent attention (ops.h): numbers of each part; q_rank 0: queries come straight from the layer's
// input. Its head_dim (wf_arch) is nope + rope.
typedef struct wf_arch_latent {
    int32_t q_rank, kv_rank, nope, rope, v;
    bool interleaved; // pairs that are rotated, as in wf_latent_append_args
} wf_arch_latent;

// How a quantised checkpoint holds a matrix (quant.h).
typedef enum wf_quant_layout {
    WF_QUANT_NONE, // none that is read
    WF_QUANT_ROWS,
    WF_QUANT_PACKED,
    WF_QUANT_FP8,
    WF_QUANT_GPTQ,
    WF_QUANT_AWQ
} wf_quant_layout;

typedef struct wf_quant_kind {
    wf_quant_layout layout;
    wf_dtype dtype;    // of its numbers
    int32_t block;     // as in wf_weight
    int32_t rows;      // FP8: that share a scale
    bool zeros;        // it has zero points
    bool zeros_less_1; // GPTQ: they are stored so
} wf_quant_kind;

#define WF_QUANT_MOST_KINDS 8

// Matrices of one checkpoint may be of several kinds (wf_quant_of).
typedef struct wf_quant {
    int32_t n_kinds; // 0: it is not quantised
    wf_quant_kind kind[WF_QUANT_MOST_KINDS];
    bool activations; // it was made for quantised activations, which are not made here
    // 1 + the kind of the matrix of each role in layer i, and outside of layers; 0: it is plain
    uint8_t in_layer[WF_ARCH_MAX_LAYERS][WF_N_ROLES], in_model[WF_N_ROLES];
} wf_quant;

// Values alone: copied by assignment.
typedef struct wf_arch {
    const wf_family *family;
    const wf_naming *naming;  // that the checkpoint has; NULL: the family's own
    const wf_text_part *part; // the folder has others beside the text part; NULL: it has not
    int32_t n_layers, hidden, head_dim, n_vocab;
    int32_t embed_width; // numbers of an embedding, <= hidden, to which a matrix brings fewer
    int32_t max_context; // tokens, prompt and output together
    bool context_open;   // a job may ask for more: nothing in the model ends there (ALiBi)
    float norm_eps;
    // What the token's embedding, what blocks add to x, and the logits are multiplied by; the last
    // is in the final norm's weights.
    float embed_scale, residual_scale, logit_scale;
    float logit_cap;                 // softcap (ops.h) of logits; 0: none
    wf_rope rope[WF_ARCH_MAX_ROPES]; // the first n_ropes
    int32_t n_ropes;
    int32_t rotary_dim;   // <= head_dim, even; the rest of a head is not rotated
    int32_t n_positions;  // rows of the learned table; 0: none
    int32_t n_types;      // of segments, a learned vector each; 0: none
    int32_t n_distances;  // buckets of distances that have a bias (rotary.h); 0: none
    bool bare, old_norms; // tensors are named without the model's prefix; norms gamma and beta
    wf_encode encode;     // what becomes of a row, where it is not to be gone on with
    bool head_norms;      // q and k are normed
    bool tied;            // the head is the embedding table: so configured, and there is no other
    bool gated;           // curve(gate) * up, else curve(up)
    wf_curve curve;
    bool bias_qkv, bias_o, bias_mlp, bias_head, bias_router, bias_experts;
    bool alibi;            // scores fall with the distance, by a slope for each head (rotary.h)
    wf_arch_latent latent; // of its latent layers
    wf_arch_router router;
    wf_gate expert_gate;
    int32_t n_next_layers; // in the checkpoint behind the last, not used
    int32_t expert_parts;  // into how many a group cuts the experts (wf_arch_spread_experts)
    wf_dtype dtype;        // of the checkpoint, as its configuration says (f32 when it does not)
    wf_quant quant;        // how it holds its matrices, where not in dtype
    int32_t bos;           // -1: none
    int32_t n_eos;
    int32_t eos[WF_ARCH_MAX_EOS]; // generation_config.json's, else config.json's; no repeats
    wf_arch_layer layer[WF_ARCH_MAX_LAYERS]; // the first n_layers
} wf_arch;

// Reads the folder's configuration. `trust`: keys that are not known here, and a model's own code
// (auto_map), are passed over with a warning instead of refused.
wf_status wf_arch_read(const wf_hf_folder *folder, bool trust, wf_arch *out);

// The tensor's name in the checkpoint (wf_family_tensor_name).
const char *wf_arch_tensor_name(const wf_arch *arch, wf_role role, int i_layer, int i_expert,
                                const char *suffix, char *text, size_t text_bytes);

// Checks that heads, KV heads and FFN of every layer divide by tp_size; the message (WF_CONFIG)
// names the numbers and the sizes that would do.
wf_status wf_arch_check_tp(const wf_arch *arch, int32_t tp_size);

// Cuts the experts of a group of tp_size ranks into `parts`: each part of the group has its share
// of the experts, and its ranks split the FFN of each of them. 1: all ranks have all experts;
// tp_size: each has some of them whole. 0 chooses: the least that leaves FFNs in whole pieces of 16
// bytes. Errors (WF_CONFIG): it divides the experts or the group not; a model without experts.
wf_status wf_arch_spread_experts(wf_arch *arch, int32_t parts, int32_t tp_size);

// What experts there are and where a group has them, in words; "" of a model without. Returns text.
char *wf_arch_experts_words(const wf_arch *arch, int32_t tp_size, char *text, size_t text_bytes);

// Layers that have experts, all of them as many: *n_experts (0 without any). Pure.
int32_t wf_arch_expert_layers(const wf_arch *arch, int32_t *n_experts);

// How many parts there are in a group: of one rank, one. Pure.
int32_t wf_arch_expert_parts(const wf_arch *arch, int32_t tp_size);

// The first expert of layer i that a rank has. Pure.
int32_t wf_arch_first_expert(const wf_arch *arch, int32_t i_layer, int32_t tp_rank,
                             int32_t tp_size);

// What each of tp_size ranks, a number that passes wf_arch_check_tp, has of layer i.
wf_arch_layer wf_arch_layer_share(const wf_arch *arch, int32_t i_layer, int32_t tp_size);

// The window of the layer that sees most; 0: one sees all, and no KV is ever done with.
int32_t wf_arch_window(const wf_arch *arch);

// What the fullest rank (rank 0) of tp_size keeps. Vocabulary slices are padded to equal rows.
typedef struct wf_arch_memory {
    uint64_t n_params;     // of the whole model, tied weights once
    uint64_t weight_bytes; // per rank: matrices in num->weight and plain; norms, biases, rotary
                           // tables in f32
    uint64_t kv_bytes_per_token; // per rank, all layers, K and V in num->kv
    uint64_t step_read_bytes; // weights one decode step reads, per rank (embedding rows left out)
    uint64_t experts_bytes;   // of these, experts: read as far as tokens choose them
} wf_arch_memory;

// `max_context` sizes the rotary tables (0: the model's). tp_size must pass wf_arch_check_tp.
void wf_arch_bytes(const wf_arch *arch, const wf_numerics *num, int32_t tp_size,
                   int32_t max_context, wf_arch_memory *out);

// Bytes that a step of decode rows reads at least, per rank; the sum over the model's layers.
typedef struct wf_arch_step {
    uint64_t weights; // but for experts
    uint64_t experts; // those that some row chooses, on average, if they choose evenly
    uint64_t kv;      // of contexts within windows
} wf_arch_step;

// Of n_rows rows with contexts of n_tokens. tp_size must pass wf_arch_check_tp. Pure.
wf_arch_step wf_arch_step_bytes(const wf_arch *arch, const wf_numerics *num, int32_t tp_size,
                                int32_t n_rows, int32_t n_tokens);

// The share of a layer's experts that n_rows tokens choose, if they choose evenly. Pure.
double wf_arch_experts_touched(const wf_arch *arch, int32_t n_rows);

// Rows of the vocabulary on each rank: ceil(n_vocab / tp_size). Rank r holds tokens from
// r * slice; the last ranks may hold fewer real ones, the rest of their rows is padding.
int32_t wf_arch_vocab_slice(const wf_arch *arch, int32_t tp_size);

#endif
