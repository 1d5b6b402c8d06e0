// A model on one back end: the weights of one rank of a tensor-parallel group.
//
//   rank r of tp:   embed, head   rows [r * vocab_slice, (r + 1) * vocab_slice) vocabulary-parallel
//                   qkv, gate_up  rows of this rank's heads / FFN units           column-parallel
//                   o, down       columns of this rank's heads / FFN units        row-parallel
//                   norms, rotary tables                                          whole on every
//                   rank; learned positions on rank 0
//
// The outputs of embed, o and down are partial sums: the group adds them up. Biases of o and down
// are on rank 0 alone, given to its GEMM, so that the sum holds them once.
//
// Life cycle: wf_backend_create -> wf_model_load -> forward passes -> wf_model_destroy. Loading
// streams the checkpoint through a ring of buffers that threads fill ahead in large reads; each
// rank reads its own row slices (of o and down: whole rows, of which it keeps its columns). NaN,
// infinities and values that do not fit the dtype are refused by tensor name. All functions are
// Local.
//
// The weights are rows of part_table.h; the split follows Megatron-LM, arXiv 1909.08053.
#ifndef WF_ENGINE_MODEL_H
#define WF_ENGINE_MODEL_H

#include <stdatomic.h>

#include "engine/model_arch.h"
#include "kernels/backend.h"

// `dtype` of wf_model_config: what the checkpoint's configuration says.
#define WF_MODEL_DTYPE_AUTO (-1)

typedef struct wf_model_config {
    int32_t tp_rank, tp_size;
    int dtype;            // a plain wf_dtype, or WF_MODEL_DTYPE_AUTO
    wf_dtype weights;     // a scaled format for the matrices that take one (wf_slice_shape); plain
                          // formats: all are in dtype
    int32_t max_context;  // rows of the rotary tables; 0: the model's
    uint64_t seed;        // of random weights
    size_t staging_bytes; // of one block read from a file; 0: 16 MiB
    int n_readers;        // threads that read ahead; 0: 4
    const atomic_int *stop; // nonzero: give up between two reads, WF_DRAINED; NULL: never. Borrowed
} wf_model_config;

// A weight on the device: a matrix, or a norm's vector; and its bias. NULL where there is none.
typedef struct wf_param {
    wf_weight *matrix;
    float *vector, *bias; // f32
} wf_param;

// The tables of one kind of rotation, [max_context][arch.rotary_dim / 2] f32, on the device.
typedef struct wf_rotary {
    float *cos, *sin;
} wf_rotary;

// One layer, with the weights that its blocks have. n_heads, n_kv_heads and ffn are this rank's
// (`share`). Biases are as long as their matrix has rows; those of o and down are on rank 0 alone.
typedef struct wf_layer {
    wf_arch_layer share;
    wf_param attn_norm;       // [hidden]
    wf_param qkv;             // [(n_heads + 2 n_kv_heads) * head_dim, hidden], rows q | k | v
    wf_param q_norm, k_norm;  // of every head, before it is rotated; or none. [head_dim], or, with
                              // weights of each head, [n_heads * head_dim], [n_kv_heads * head_dim]
    wf_param sinks;           // [n_heads] logits (ops.h), or none
    wf_param q_a, q_a_norm;   // latent: [q_rank, hidden], [q_rank], or none
    wf_param latent_q;        // [n_heads * (nope + rope), q_rank or hidden]
    wf_param kv_a, kv_a_norm; // [kv_rank + rope, hidden], [kv_rank]
    wf_param latent_k;        // n_heads of [kv_rank, nope]: the transposed rows of kv_b
    wf_param latent_v;        // n_heads of [v, kv_rank]
    wf_param o;               // [hidden, n_heads * head_dim]; latent: n_heads * v
    wf_param mlp_norm;        // [hidden]; as attn_norm: or none
    wf_param attn_after, mlp_after; // [hidden], or none
    wf_param gate_up; // gated: [2 * ffn, hidden], rows gate | up; else [ffn, hidden], rows up
    wf_param down;    // [hidden, ffn]
    // Experts: of each of this rank's n_experts, rows gate | up, and down; of the one that all
    // tokens take, and what it is weighted by, maybe none.
    wf_param router;                 // [all experts, hidden]
    wf_param choice_bias;            // [all experts]; none: NULL
    wf_param expert_up, expert_down; // n_experts of [2 * expert_ffn, hidden], [hidden, expert_ffn]
    wf_param shared_up, shared_down; // [2 * shared_ffn, hidden], [hidden, shared_ffn]
    wf_param shared_router;          // [1, hidden]
} wf_layer;

typedef struct wf_model_report {
    uint64_t file_bytes;    // read from files by this rank
    uint64_t storage_bytes; // of these not from the page cache; 0 where the system does not tell
    uint64_t weight_bytes;  // kept on the device by this rank
    uint64_t vector_bytes;  // of these in f32: norms, biases, rotary tables
    int64_t load_ns;
    int n_readers;
} wf_model_report;

// Read-only for everybody but the loader. The model owns what its pointers point to, except be.
typedef struct wf_model {
    wf_arch arch;
    wf_backend *be;   // borrowed
    wf_dtype dtype;   // of matrices that are not in `weights`
    wf_dtype weights; // as in wf_model_config
    int32_t tp_rank, tp_size;
    int32_t max_context;            // rows of rotary tables
    int32_t vocab_begin, vocab_end; // this rank's real tokens, maybe none
    int32_t vocab_slice;            // rows of embed and head, equal on all ranks
    wf_param embed;                 // [vocab_slice, arch.embed_width]
    wf_param positions;             // [arch.n_positions, embed_width] on rank 0, or none
    wf_param types;                 // [arch.n_types, embed_width] on rank 0, or none
    wf_param embed_norm;            // [embed_width], or none
    wf_param embed_up;              // [hidden, embed_width], or none
    wf_layer *layers;               // [arch.n_layers]
    wf_param final_norm;            // [hidden]
    wf_param head_dense, head_norm; // before score or head, or none: [hidden, hidden], [hidden]; of
                                    // masks [embed_width, hidden], [embed_width]
    wf_param head_bias;             // of masks: [vocab_slice], or none
    wf_param score;                 // [labels, hidden], or none
    wf_param head;                  // [vocab_slice, hidden]; the matrix is embed's when tied
    wf_rotary rotary[WF_ARCH_MAX_ROPES]; // the first arch.n_ropes
    float *slopes;                       // [heads of a layer] f32, on the device; NULL: no ALiBi
    float
        *distances; // [heads of a layer][2 WF_DISTANCE_REACH + 1] f32, biases of scores; NULL: none
    wf_model_report report;
} wf_model;

// The dtype that a config's `dtype` means for this model. Needed before the back end is created.
wf_dtype wf_model_resolve_dtype(const wf_arch *arch, int dtype);
// The formats of weights and KV that a job's keys mean. `weights`: a scaled format, or a plain one
// or WF_MODEL_DTYPE_AUTO for `dtype`. KV's auto: that of plain matrices.
wf_numerics wf_model_resolve_numerics(const wf_arch *arch, int dtype, int weights, int kv_dtype);

// Whether every matrix that would be in `weights` can be cut for tp_size ranks with its scales;
// WF_CONFIG names the first that cannot.
wf_status wf_model_check_weights(const wf_arch *arch, wf_dtype weights, int32_t tp_size);

// Loads this rank's slice of `folder` (opened with weights) onto `be`. Rows that pad the vocabulary
// are zero in a loaded model, and never to be read as tokens in any. With folder NULL the weights
// are random: N(0, 0.02^2), the outputs of o and down scaled by 1 / sqrt(2 n_layers), norms 1,
// biases 0. Their numbers follow from seed, tensor, tp_rank and tp_size: groups of another size get
// another model. Errors: WF_CONFIG (tensor parallelism, max_context), WF_DATA (a tensor is missing,
// has another shape or dtype, holds NaN; a tensor that the family does not know), WF_IO, WF_DEVICE,
// WF_NO_MEMORY. Caller owns *out.
wf_status wf_model_load(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder,
                        const wf_model_config *config, wf_model **out);

// Sets *model to NULL; takes NULL.
void wf_model_destroy(wf_model **model);

#endif
