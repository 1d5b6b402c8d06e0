// A rank's weights, from the rows of part_table.h. The check of shapes and of unknown tensors,
// loading, random weights, byte counts and freeing all walk them.
//
//   parts (rows of the table)             a slice: one rank's weight
//   Q [q heads,  hidden]  by rows ─┐
//   K [kv heads, hidden]  by rows ─┼───>  layer.qkv, its parts below each other
//   V [kv heads, hidden]  by rows ─┘
//
// A part is there where the family has a name for its role and the layer has its block.
// Private to engine/model*.c and engine/arch*.c. All Local, pure.
#ifndef WF_ENGINE_MODEL_PARTS_H
#define WF_ENGINE_MODEL_PARTS_H

#include "engine/model.h"

// What a size is made of.
typedef enum wf_extent {
    WF_EXTENT_VECTOR, // as columns: there are none
    WF_EXTENT_HIDDEN,
    WF_EXTENT_VOCAB,
    WF_EXTENT_Q,         // n_heads * head_dim
    WF_EXTENT_KV,        // n_kv_heads * head_dim
    WF_EXTENT_QKV,       // q + 2 kv
    WF_EXTENT_Q_NORM,    // head_dim, or q where heads have weights of their own
    WF_EXTENT_K_NORM,    // the same of kv
    WF_EXTENT_POSITIONS, // rows of the learned table
    WF_EXTENT_TYPES,     // of segments
    WF_EXTENT_HEADS,
    WF_EXTENT_Q_RANK, // of latent attention (wf_arch_latent)
    WF_EXTENT_KV_RANK,
    WF_EXTENT_KV_ROW, // kv_rank + rope
    WF_EXTENT_KV_UP,  // n_heads * (nope + v)
    WF_EXTENT_V,      // n_heads * v
    WF_EXTENT_FFN,
    WF_EXTENT_GATE_UP, // 2 ffn
    WF_EXTENT_ONE,
    WF_EXTENT_EXPERTS, // how many there are
    WF_EXTENT_EXPERT_FFN,
    WF_EXTENT_EXPERT_PAIRS, // 2 expert_ffn
    WF_EXTENT_SHARED_FFN,
    WF_EXTENT_LABELS, // that a row is scored for
    WF_EXTENT_EMBED   // numbers of an embedding
} wf_extent;

// Which part of it a rank keeps.
typedef enum wf_split {
    WF_SPLIT_WHOLE,
    WF_SPLIT_ROWS,    // rows of its heads or units
    WF_SPLIT_HEADS,   // the same where heads have weights of their own, else whole
    WF_SPLIT_COLUMNS, // columns of its heads or units; the group adds up, rank 0 adds the bias
    WF_SPLIT_QKV,     // its heads' rows of each of q, k and v, in the family's order
    WF_SPLIT_GATE_UP, // rows of its units out of both halves
    WF_SPLIT_VOCAB,   // rows of its tokens; rows beyond the vocabulary are zero
    // One matrix for each of its heads, out of rows keys | values of each: the keys' transposed
    // [kv_rank, nope], the values' as they are [v, kv_rank].
    WF_SPLIT_HEAD_KEYS,
    WF_SPLIT_HEAD_VALUES,
    // Tensors of which each expert has one, of a rank's experts (wf_arch.expert_parts): its rows or
    // columns, as above.
    WF_SPLIT_EXPERT_ROWS,
    WF_SPLIT_EXPERT_PAIRS, // rows of its units, gate and up in turn
    WF_SPLIT_EXPERT_COLUMNS
} wf_split;

typedef enum wf_bias {
    WF_BIAS_NEVER,
    WF_BIAS_NORM, // where norms are LayerNorms that have one; the rest as wf_arch says
    WF_BIAS_QKV,
    WF_BIAS_O,
    WF_BIAS_MLP,
    WF_BIAS_HEAD,
    WF_BIAS_ROUTER,
    WF_BIAS_EXPERT,
    WF_BIAS_SCORE_DENSE, // as wf_encode says
    WF_BIAS_SCORE,
    WF_BIAS_EMBED_UP, // always
    WF_N_BIASES
} wf_bias;

typedef struct wf_part {
    wf_role role;
    bool in_layer;
    size_t at; // of its wf_param in wf_layer or wf_model; parts of one param follow each other
    wf_extent rows, cols;
    wf_split split;
    wf_bias bias;
    int block; // a wf_block_kind: of layers with this block; WF_BLOCK_ANY: of all
} wf_part;

#define WF_BLOCK_ANY  (-1)
#define WF_SLICE_MOST 3 // parts of one weight

// A layer, or with i_layer -1 what stands outside of layers, of one rank.
typedef struct wf_place {
    const wf_arch *arch;
    int32_t i_layer, tp_rank, tp_size;
} wf_place;

// One rank's weight.
typedef struct wf_slice {
    wf_place place;
    const wf_part *part[WF_SLICE_MOST];
    int n_parts;
    int32_t first_group, n_groups; // experts or heads that it has one matrix for each of; else 0, 1
    bool experts;                  // is of experts
    int32_t i_group;               // of these, the one whose tensors are named
    int64_t n_rows;                // of all parts, padding included; of one group
    int64_t col, n_cols;           // of the tensors' columns; n_cols 0: a vector
    bool bias;                     // has one
    bool bias_elsewhere;           // which another rank keeps
    bool tied;                     // its matrix is the embedding table's
    bool turned;                   // its matrices are those of the tensor's rows transposed
} wf_slice;

// The slices of a place, in the order of loading: start with *at 0; false: no more.
bool wf_slice_next(const wf_place *place, int *at, wf_slice *out);

// Whether a part's tensor is one of all experts, in codes (model_packed.h): its name has no "{E}".
bool wf_slice_packed(const wf_slice *slice, int i_part);

// Whether its tensors are stored [columns, rows].
bool wf_slice_transposed(const wf_slice *slice);

// How a slice that is no vector is kept, given the format of plain matrices and `weights`
// (wf_model_config). Of a quantised checkpoint it is as that has it, or plain; else scaled are the
// matrices of layers and, in 8 bits, the head, also where it is the embedding table. 4-bit blocks
// are the longest of 128, 64 and 32 numbers that divide the tensor's rows, whatever the ranks.
wf_weight_shape wf_slice_shape(const wf_slice *slice, wf_dtype plain, wf_dtype weights);

// Where the slice is kept.
wf_param *wf_slice_param(const wf_slice *slice, wf_model *model);

// Rows first .. first + n of a part's tensor.
typedef struct wf_piece {
    int64_t first, n;
} wf_piece;

// The rows of a slice's part, as they lie below each other: pieces 0 .. count - 1.
int wf_slice_n_pieces(const wf_slice *slice, int i_part);
wf_piece wf_slice_piece(const wf_slice *slice, int i_part, int i_piece);

// The whole tensor: its name with `suffix` (".weight"), rows, and columns (0: a vector).
const char *wf_slice_tensor_name(const wf_slice *slice, int i_part, const char *suffix, char *text,
                                 size_t text_bytes);
int64_t wf_slice_tensor_rows(const wf_slice *slice, int i_part);
int64_t wf_slice_tensor_cols(const wf_slice *slice, int i_part);

#endif
