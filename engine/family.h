// Model families as data: what differs between Llama, GPT-J, GPT-NeoX ... is a row of a table, and
// there is one forward pass that reads it.
//
// A row says how a layer is put together, how a checkpoint names and packs its weights, which keys
// of config.json hold its sizes, and what they are where the file does not say: the defaults of
// transformers' configuration class, which the checkpoints were saved with. Adding a family is
// adding a row (engine/family_<kind>.c) and a fixture; what no row can say yet becomes a new
// column, with a value for every row.
//
// Names: "{L}" stands for the layer's number, "{E}" for the expert's; ".weight" and ".bias" are
// appended. A name that ends in "=" is the tensor's own, and its bias has "_bias" appended. All
// Local, pure.
#ifndef WF_ENGINE_FAMILY_H
#define WF_ENGINE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/part_table.h"
#include "io/base/status.h"
#include "kernels/ops.h"

typedef enum wf_norm_kind { WF_NORM_RMS, WF_NORM_LAYER } wf_norm_kind;

// Where a token's position enters.
typedef enum wf_position_kind {
    WF_POSITION_ROTARY, // q and k are rotated
    WF_POSITION_LEARNED // a vector of its own is added to the embedding (GPT-2)
} wf_position_kind;

// What the norms of q and k are, where a family has them.
typedef enum wf_head_norm {
    WF_HEAD_NORM_ALIKE, // of each head, all with the same weights (Qwen3)
    WF_HEAD_NORM_OWN,   // of each head, with weights of its own (Command-R)
    WF_HEAD_NORM_WIDE   // over all heads together (OLMo 2)
} wf_head_norm;

// Prefixes of tensor names that a checkpoint has instead of the family's: the first that fits is
// exchanged, once.
typedef struct wf_naming {
    struct {
        const char *ours, *theirs; // NULL: no more
    } prefix[2];
} wf_naming;

// What a key of config.json must say, where it is there and not null.
typedef enum wf_demand_kind {
    WF_DEMAND_FALSE,
    WF_DEMAND_TRUE,
    WF_DEMAND_ONE,
    WF_DEMAND_HIDDEN // the hidden size
} wf_demand_kind;

typedef struct wf_demand {
    const char *key;
    wf_demand_kind is;
    const char *why; // it is refused otherwise
} wf_demand;

// A key whose value decides between rows of one model type; flags are 0 and 1.
typedef struct wf_condition {
    const char *key;
    int64_t is, absent; // absent: what it means that the key is missing, or null
} wf_condition;

// What config.json may call an activation, and what it means there.
typedef struct wf_activation_name {
    const char *name;
    wf_curve curve;
} wf_activation_name;

// How a checkpoint's fused qkv rows are ordered (ours: all q heads, all k heads, all v heads).
typedef enum wf_qkv_order {
    WF_QKV_BLOCKS,   // as ours
    WF_QKV_PER_GROUP // the q heads that read KV head 0, its k and v, then those of KV head 1 ...
                     // (Falcon; with as many KV heads as heads: GPT-NeoX, BLOOM)
} wf_qkv_order;

// The tensors of a checkpoint, by what they do: rows of part_table.h.
typedef enum wf_role {
#define WF_ROLE_ENUM(scope, role, ...) WF_ROLE_##role,
    WF_PART_TABLE(WF_ROLE_ENUM)
#undef WF_ROLE_ENUM
        WF_N_ROLES
} wf_role;

// The values of config.json that are read, by what they mean.
typedef enum wf_config_key {
    WF_KEY_N_LAYERS,
    WF_KEY_HIDDEN,
    WF_KEY_N_HEADS,
    WF_KEY_N_KV_HEADS,  // null: n_heads
    WF_KEY_MULTI_QUERY, // true: one KV head, whatever N_KV_HEADS says
    WF_KEY_HEAD_DIM,    // null: hidden / n_heads
    WF_KEY_FFN,         // null: 4 * hidden where the row says so
    WF_KEY_VOCAB,
    WF_KEY_MAX_CONTEXT,
    WF_KEY_NORM_EPS,
    WF_KEY_ACTIVATION,
    WF_KEY_ROPE_THETA,
    WF_KEY_ROTARY_DIM,
    WF_KEY_ROTARY_PCT,  // share of head_dim, where ROTARY_DIM says nothing
    WF_KEY_ATTN_BIAS,   // overrides bias_qkv and bias_o
    WF_KEY_QKV_BIAS,    // overrides bias_qkv alone
    WF_KEY_MLP_BIAS,    // overrides bias_mlp
    WF_KEY_PARALLEL,    // overrides parallel_residual
    WF_KEY_ALIBI,       // overrides alibi
    WF_KEY_HEAD_NORM,   // false, as when it is missing: q and k are not normed
    WF_KEY_ATTN_SCALE,  // of scores; null: 1 / sqrt(head_dim)
    WF_KEY_EMBED_SCALE, // each null or missing: 1
    WF_KEY_RESIDUAL_SCALE,
    WF_KEY_LOGIT_SCALE,
    WF_KEY_LOGIT_DIVISOR,
    WF_KEY_FIRST_CONTEXT, // that longrope was stretched from
    WF_KEY_ROPE_LAYERS,   // a number a layer, 0: q and k are not rotated there
    WF_KEY_NOPE_EVERY,    // without such a list: of every so many layers the last is not rotated
    WF_KEY_WINDOW,        // sliding attention window; null: none
    WF_KEY_USE_WINDOW,    // false, as when it is missing: the window is not used
    WF_KEY_FIRST_WINDOW,  // layers below this number have no window
    WF_KEY_ATTN_SCALAR,   // scores are scaled by its inverse square root
    WF_KEY_ATTN_CAP,      // softcap of scores; null: none
    WF_KEY_LOGIT_CAP,     // of logits
    WF_KEY_LOCAL_THETA,   // sliding layers are rotated by a base of their own, unstretched
    WF_KEY_WINDOW_TURN,   // every so many-th layer has no window
    WF_KEY_N_EXPERTS,     // of layers that have experts; 0: the family has none
    WF_KEY_N_CHOICES,     // experts that a token takes
    WF_KEY_EXPERT_FFN,    // of one expert; no such key: as FFN
    WF_KEY_SHARED_FFN,    // of the expert that every token takes
    WF_KEY_NORM_TOPK,     // overrides renormalise
    WF_KEY_EXPERT_STEP,   // every how manyth layer has experts, from this number - 1 on
    WF_KEY_DENSE_LAYERS,  // list of layers that have none all the same
    WF_KEY_FIRST_EXPERTS, // layers below this number have none
    WF_KEY_N_SHARED,      // experts that all tokens take, together one: times EXPERT_FFN
    WF_KEY_ROUTED_SCALE,  // of the weights of the chosen ones
    WF_KEY_ROUTER_GROUPS, // and how many of them a token may choose from
    WF_KEY_BEST_GROUPS,
    WF_KEY_TOPK_METHOD, // word: how groups are used, which the family's row must know
    WF_KEY_SCORING,     // word: must be the family's
    WF_KEY_Q_RANK,      // latent attention (wf_arch_latent); null: 0
    WF_KEY_KV_RANK,
    WF_KEY_NOPE_DIM, // ROTARY_DIM is the rotated part's
    WF_KEY_V_DIM,
    WF_KEY_QK_DIM,      // said once more
    WF_KEY_INTERLEAVED, // overrides interleaved_rotary
    WF_KEY_NEXT_LAYERS, // layers behind the last that predict further tokens: not used
    WF_KEY_GATE_ALPHA,  // of clamped gates (ops.h): must be what the operation has
    WF_KEY_GATE_LIMIT,
    WF_KEY_TYPES,        // of segments, that have a vector each
    WF_KEY_EMBED_WIDTH,  // of embeddings, at most the model's width
    WF_KEY_DISTANCES,    // buckets of distances that have a bias of scores
    WF_KEY_HEAD_POOLING, // word: what of a row is scored (encode_head.h), not CLS
    WF_KEY_HEAD_CURVE,   // activation behind a head's dense layer, not head_curve
    WF_KEY_HEAD_BIAS,    // that layer has a bias; no such key: it has
    WF_KEY_MASK_BIAS,    // logits of masks have one; no such key, or a missing one: they have
    WF_N_CONFIG_KEYS
} wf_config_key;

typedef struct wf_family {
    const char *name;           // "llama"
    const char *model_types[4]; // of config.json, NULL-ended
    wf_condition when[3];       // all hold; of rows with one model type the first such is taken
    wf_norm_kind norm;
    bool norm_no_bias; // LayerNorms without one (Command-R)
    bool norm_plus_1;  // norms multiply by 1 + weight (Gemma)
    wf_head_norm head_norm;
    bool bias_qkv, bias_o, bias_mlp, bias_head;
    wf_position_kind position;
    int32_t first_position;  // row of the learned table that position 0 has
    bool interleaved_rotary; // pairs (2i, 2i+1), else (i, i + rotary_dim / 2)
    bool parallel_residual;  // x + attention(norm x) + mlp(norm' x), else one after the other
    bool gated;              // curve(gate) * up, else curve(up)
    wf_curve curve;          // where config.json names none
    wf_activation_name activation_names[5]; // ended by a NULL name
    wf_qkv_order qkv_order;
    bool tied;             // the head is the embedding table, when config.json does not say
    bool ffn_is_4_hidden;  // when config.json does not say
    bool types_by_layer;   // layer_types decides which layers slide, else all are alike
    bool full_not_rotated; // layers without a window are not rotated (Command-R7B)
    bool embed_by_width;   // embeddings are scaled by sqrt(hidden), in the model's numbers
    bool alibi;            // no positions but slopes of scores
    bool slopes_scaled;    // which are scaled as scores are (Falcon)
    bool transposed;       // matrices of layers are stored [columns, rows] (GPT-2)
    bool bidirectional;    // tokens see those behind them, too: whole rows, and none generated
    bool post_norm;        // WF_JOIN_POST: norms stand behind the sums (BERT)
    bool first_not_normed; // no norm stands before the first layer's attention (ModernBERT)
    bool turn_at_first;    // WINDOW_TURN counts from the first layer, which has no window
    bool counts_first;     // config.json's positions count those before first_position
    bool always_up;        // a matrix stands behind embeddings of the model's width, too (ALBERT)
    bool mask_gelu;        // its head for masks has a GELU, whatever the model's activation
    wf_curve head_curve;   // behind the dense layer of its head for scores, where it has one
    const char *distance_bias; // tensor of biases by bucket of distance and head (T5, MPNet)
    bool bias_router, bias_experts;
    bool sigmoid_router;           // scores are sigmoids, else a softmax
    bool limits_groups;            // groups count only where TOPK_METHOD says so (DeepSeek-V2)
    bool says_rope;                // config.json must say how it rotates: there is no plain default
    bool clamped_gate;             // of experts: WF_GATE_CLAMPED (ops.h)
    bool renormalise;              // weights of the chosen experts are made to add up to 1
    const char *names[WF_N_ROLES]; // NULL: the family has none
    const char *keys[WF_N_CONFIG_KEYS][2]; // alternatives; both NULL: not read
    double absent[WF_N_CONFIG_KEYS];       // values of keys that are missing; 0: as for null
    wf_naming namings[2];                  // other names that its checkpoints have, tried in turn
    wf_demand demands[5];                  // ended by a NULL key
    const char *unread[10];     // keys that the reference implementation does not look at either
    const char *own_code[2];    // modules of own code that compute what is computed here
    const char *ignored[6];     // ends of tensor names that hold no weights
    const char *other_tasks[6]; // beginnings of those that are of tasks which are not here
} wf_family;

// Cuts the model's own prefix ("bert.", "model.") off a tensor's name that has it, in place, as
// checkpoints of models without a head do. Returns text.
const char *wf_family_bare_name(const wf_family *family, char *text);

// Whether its checkpoints have one tensor of all experts' codes (model_packed.h).
bool wf_family_packs_experts(const wf_family *family);

size_t wf_family_count(void);
const wf_family *wf_family_at(size_t i);

// The first row of a model_type; WF_DATA names the known ones when there is none, and the one that
// is written otherwise ("gpt-neox"). A name that is merely near is no hint: qwen4 is not qwen3.
// `place` (e.g. the path of config.json) opens the message.
wf_status wf_family_find(const char *place, const char *model_type, const wf_family **out);

// Writes the tensor's name: the role's pattern with layer and expert filled in, and `suffix`
// (".weight").
// The family must have the role. Returns `text`, cut to fit.
const char *wf_family_tensor_name(const wf_family *family, wf_role role, int i_layer, int i_expert,
                                  const char *suffix, char *text, size_t text_bytes);

// Exchanges the prefix of a tensor's name, where one fits. Returns `text`, cut to fit.
const char *wf_naming_apply(const wf_naming *naming, char *text, size_t text_bytes);

#endif
