// What the rows of the table of weights (part_table.h) come to on one rank.
#include "engine/model_parts.h"

#include <assert.h>
#include <string.h>

#include "engine/quant.h"

#define IN_LAYER     true
#define IN_MODEL     false
#define HOLDER_LAYER wf_layer
#define HOLDER_MODEL wf_model

static const wf_part parts[] = {
#define PART(scope, role_, param, rows_, columns, split_, bias_, block_)                           \
    {.role = WF_ROLE_##role_,                                                                      \
     .in_layer = IN_##scope,                                                                       \
     .at = offsetof(HOLDER_##scope, param),                                                        \
     .rows = WF_EXTENT_##rows_,                                                                    \
     .cols = WF_EXTENT_##columns,                                                                  \
     .split = WF_SPLIT_##split_,                                                                   \
     .bias = WF_BIAS_##bias_,                                                                      \
     .block = WF_BLOCK_##block_},
    WF_PART_TABLE(PART)
#undef PART
};

enum { N_PARTS = sizeof parts / sizeof *parts };

static wf_arch_layer layer_of(const wf_place *p, int32_t tp_size)
{
    return p->i_layer < 0 ? (wf_arch_layer){0} : wf_arch_layer_share(p->arch, p->i_layer, tp_size);
}

// Heads are normed with weights of their own.
static bool own_norms(const wf_arch *a)
{
    return a->family->head_norm != WF_HEAD_NORM_ALIKE;
}

// On each of tp_size ranks, where it is split.
static int64_t size_of(const wf_place *p, wf_extent extent, int32_t tp_size)
{
    wf_arch_layer l = layer_of(p, tp_size);
    int64_t q = (int64_t)l.n_heads * p->arch->head_dim, ffn = l.ffn;
    int64_t kv = (int64_t)l.n_kv_heads * p->arch->head_dim;
    const int64_t sizes[] = {
        [WF_EXTENT_VECTOR] = 0,
        [WF_EXTENT_HIDDEN] = p->arch->hidden,
        [WF_EXTENT_VOCAB] = wf_arch_vocab_slice(p->arch, tp_size),
        [WF_EXTENT_Q] = q,
        [WF_EXTENT_KV] = kv,
        [WF_EXTENT_QKV] = q + 2 * kv,
        [WF_EXTENT_HEADS] = l.n_heads,
        [WF_EXTENT_Q_RANK] = p->arch->latent.q_rank,
        [WF_EXTENT_KV_RANK] = p->arch->latent.kv_rank,
        [WF_EXTENT_KV_ROW] = p->arch->latent.kv_rank + p->arch->latent.rope,
        [WF_EXTENT_KV_UP] = (int64_t)l.n_heads * (p->arch->latent.nope + p->arch->latent.v),
        [WF_EXTENT_V] = (int64_t)l.n_heads * p->arch->latent.v,
        [WF_EXTENT_Q_NORM] = own_norms(p->arch) ? q : p->arch->head_dim,
        [WF_EXTENT_K_NORM] = own_norms(p->arch) ? kv : p->arch->head_dim,
        [WF_EXTENT_POSITIONS] = p->arch->n_positions,
        [WF_EXTENT_TYPES] = p->arch->n_types,
        [WF_EXTENT_FFN] = ffn,
        [WF_EXTENT_GATE_UP] = 2 * ffn,
        [WF_EXTENT_ONE] = 1,
        [WF_EXTENT_EXPERTS] = layer_of(p, 1).n_experts,
        [WF_EXTENT_EXPERT_FFN] = l.expert_ffn,
        [WF_EXTENT_EXPERT_PAIRS] = 2 * (int64_t)l.expert_ffn,
        [WF_EXTENT_SHARED_FFN] = l.shared_ffn,
        [WF_EXTENT_LABELS] = p->arch->encode.width,
        [WF_EXTENT_EMBED] = p->arch->embed_width,
    };
    return sizes[extent];
}

static bool has_bias(const wf_arch *a, wf_bias bias)
{
    const bool has[WF_N_BIASES] = {
        [WF_BIAS_NORM] = a->family->norm == WF_NORM_LAYER && !a->family->norm_no_bias,
        [WF_BIAS_QKV] = a->bias_qkv,
        [WF_BIAS_O] = a->bias_o,
        [WF_BIAS_MLP] = a->bias_mlp,
        [WF_BIAS_HEAD] = a->bias_head,
        [WF_BIAS_ROUTER] = a->bias_router,
        [WF_BIAS_EXPERT] = a->bias_experts,
        [WF_BIAS_SCORE_DENSE] = a->encode.head.dense_bias,
        [WF_BIAS_SCORE] = a->encode.head.bias,
        [WF_BIAS_EMBED_UP] = true,
    };
    return has[bias];
}

// Of the weights that the family has, those that this model does.
static bool is_used(const wf_place *p, const wf_arch_layer *l, wf_role role)
{
    switch (role) {
    case WF_ROLE_Q_NORM:
    case WF_ROLE_K_NORM:
        return p->arch->head_norms;
    case WF_ROLE_ATTN_NORM:
        return p->i_layer > 0 || !p->arch->family->first_not_normed;
    case WF_ROLE_LATENT_Q:
        return p->arch->latent.q_rank == 0;
    case WF_ROLE_LATENT_Q_A:
    case WF_ROLE_LATENT_Q_B:
    case WF_ROLE_LATENT_Q_NORM:
        return p->arch->latent.q_rank > 0;
    case WF_ROLE_MLP_NORM:
        return l->join != WF_JOIN_SHARED;
    case WF_ROLE_POSITIONS:
    case WF_ROLE_TYPES:
        return p->tp_rank == 0;
    case WF_ROLE_HEAD:
        return !wf_task_vectors(p->arch->encode.task);
    case WF_ROLE_EMBED_UP:
        return p->arch->embed_width != p->arch->hidden || p->arch->family->always_up;
    case WF_ROLE_MASK_BIAS:
        return p->arch->encode.task == WF_TASK_FILL_MASK && p->arch->encode.head.bias;
    case WF_ROLE_MASK_DENSE:
    case WF_ROLE_MASK_NORM:
        return p->arch->encode.task == WF_TASK_FILL_MASK;
    case WF_ROLE_SCORE_DENSE:
    case WF_ROLE_SCORE_NORM:
    case WF_ROLE_SCORE:
        return wf_task_scores(p->arch->encode.task);
    default:
        return true;
    }
}

static bool has_block(const wf_arch_layer *l, int block)
{
    bool mixes = block == WF_BLOCK_ATTENTION && l->mixer == WF_BLOCK_BIDIRECTIONAL;
    return block == WF_BLOCK_ANY || mixes || block == (int)l->mixer ||
           block == (int)l->feed_forward;
}

static bool is_there(const wf_place *p, const wf_part *part)
{
    wf_arch_layer l = layer_of(p, 1);
    if (part->in_layer != (p->i_layer >= 0) || !p->arch->family->names[part->role]) return false;
    if (!is_used(p, &l, part->role)) return false;
    return has_block(&l, part->block);
}

static bool of_experts(const wf_part *part)
{
    return part->split == WF_SPLIT_EXPERT_ROWS || part->split == WF_SPLIT_EXPERT_PAIRS ||
           part->split == WF_SPLIT_EXPERT_COLUMNS;
}

static bool of_heads(const wf_part *part)
{
    return part->split == WF_SPLIT_HEAD_KEYS || part->split == WF_SPLIT_HEAD_VALUES;
}

static bool by_columns(const wf_part *part)
{
    return part->split == WF_SPLIT_COLUMNS || part->split == WF_SPLIT_EXPERT_COLUMNS;
}

static int64_t rows_here(const wf_place *p, const wf_part *part)
{
    bool whole = part->split == WF_SPLIT_WHOLE || by_columns(part) ||
                 (part->split == WF_SPLIT_HEADS && !own_norms(p->arch));
    return size_of(p, part->rows, whole ? 1 : p->tp_size);
}

// Ranks that have the same key/value heads: neighbours, whose query heads read them.
static int32_t kv_copies(const wf_place *p)
{
    wf_arch_layer l = layer_of(p, 1);
    return p->tp_size > l.n_kv_heads && l.n_kv_heads > 0 ? p->tp_size / l.n_kv_heads : 1;
}

// Which of the shares of a split tensor this rank has.
static int32_t share_of(const wf_place *p, const wf_part *part)
{
    if (of_experts(part))
        return p->tp_rank % (p->tp_size / wf_arch_expert_parts(p->arch, p->tp_size));
    bool kv = part->rows == WF_EXTENT_KV || part->rows == WF_EXTENT_K_NORM;
    return kv ? p->tp_rank / kv_copies(p) : p->tp_rank;
}

// A matrix for each head, of rows of the tensor that the wf_piece of a head names.
static void make_heads(wf_slice *s, const wf_part *part)
{
    const wf_arch_latent *latent = &s->place.arch->latent;
    s->turned = part->split == WF_SPLIT_HEAD_KEYS;
    s->n_groups = layer_of(&s->place, s->place.tp_size).n_heads;
    s->first_group = s->place.tp_rank * s->n_groups;
    s->n_rows = s->turned ? latent->kv_rank : latent->v;
    s->n_cols = s->turned ? latent->nope : latent->kv_rank;
}

static void add(wf_slice *s, const wf_part *part)
{
    const wf_place *p = &s->place;
    bool columns = by_columns(part);
    int32_t share = share_of(p, part);
    assert(s->n_parts < WF_SLICE_MOST);
    s->part[s->n_parts++] = part;
    s->n_rows += rows_here(p, part);
    s->n_cols = size_of(p, part->cols, columns ? p->tp_size : 1);
    s->col = columns ? share * s->n_cols : 0;
    s->n_groups = 1;
    s->experts = of_experts(part);
    if (s->experts) {
        s->n_groups = layer_of(p, p->tp_size).n_experts;
        s->first_group = wf_arch_first_expert(p->arch, p->i_layer, p->tp_rank, p->tp_size);
    }
    if (of_heads(part)) make_heads(s, part);
    s->bias = has_bias(p->arch, part->bias);
    s->bias_elsewhere = columns && share != 0;
    s->tied = part->role == WF_ROLE_HEAD && p->arch->tied;
}

bool wf_slice_next(const wf_place *place, int *at, wf_slice *out)
{
    while (*at < N_PARTS && !is_there(place, &parts[*at]))
        ++*at;
    if (*at == N_PARTS) return false;
    const wf_part *first = &parts[*at];
    *out = (wf_slice){.place = *place};
    for (; *at < N_PARTS; ++*at) {
        const wf_part *part = &parts[*at];
        if (part->in_layer != first->in_layer || part->at != first->at) break;
        if (is_there(place, part)) add(out, part);
    }
    return true;
}

bool wf_slice_packed(const wf_slice *s, int i_part)
{
    const wf_part *part = s->part[i_part];
    return of_experts(part) && !strstr(s->place.arch->family->names[part->role], "{E}");
}

// How a quantised checkpoint has all of the slice's parts; NULL: not alike, or plain.
static const wf_quant_kind *kind_of(const wf_slice *s)
{
    const wf_quant_kind *kind = wf_quant_of(s->place.arch, s->part[0]->role, s->place.i_layer);
    for (int i = 1; i < s->n_parts; i++)
        if (wf_quant_of(s->place.arch, s->part[i]->role, s->place.i_layer) != kind) return NULL;
    return kind;
}

bool wf_slice_transposed(const wf_slice *s)
{
    return s->place.arch->family->transposed && s->part[0]->in_layer && s->n_cols > 0;
}

static bool takes_scales(const wf_slice *s, wf_dtype weights)
{
    wf_role role = s->part[0]->role;
    const wf_arch *a = s->place.arch;
    if (s->n_cols == 0 || !wf_format_scaled(weights)) return false;
    if (wf_slice_packed(s, 0)) return false; // unpacked to plain numbers (model_packed.h)
    if (of_heads(s->part[0])) return false;  // as heads_gemm takes them
    if (a->quant.n_kinds > 0) return kind_of(s) != NULL;
    if (s->part[0]->in_layer) return s->part[0]->split != WF_SPLIT_WHOLE;
    bool head = role == WF_ROLE_HEAD || (role == WF_ROLE_EMBED && s->place.arch->tied);
    return head && wf_format_of(weights)->bits == 8;
}

static int32_t block_of(const wf_slice *s, wf_dtype weights)
{
    int32_t block = wf_format_of(weights)->block;
    int64_t n_cols = size_of(&s->place, s->part[0]->cols, 1);
    while (block > 32 && n_cols % block != 0)
        block /= 2;
    return block;
}

wf_weight_shape wf_slice_shape(const wf_slice *s, wf_dtype plain, wf_dtype weights)
{
    wf_weight_shape shape = {
        .dtype = plain, .n_groups = s->n_groups, .n_rows = s->n_rows, .n_cols = s->n_cols};
    const wf_quant_kind *kind = kind_of(s);
    if (!takes_scales(s, weights)) return shape;
    shape.dtype = kind ? kind->dtype : weights;
    shape.block = kind ? kind->block : block_of(s, weights);
    shape.zeros = kind && kind->zeros;
    return shape;
}

wf_param *wf_slice_param(const wf_slice *s, wf_model *model)
{
    char *base = s->part[0]->in_layer ? (char *)&model->layers[s->place.i_layer] : (char *)model;
    return (wf_param *)(void *)(base + s->part[0]->at);
}

// ---- pieces -------------------------------------------------------------------------------------

// Pieces come block by block (q, k, v), and within a block group by group where groups are apart.
static int groups_apart(const wf_slice *s)
{
    bool per_group = s->place.arch->family->qkv_order == WF_QKV_PER_GROUP;
    return per_group ? layer_of(&s->place, s->place.tp_size).n_kv_heads : 1;
}

int wf_slice_n_pieces(const wf_slice *s, int i_part)
{
    wf_split split = s->part[i_part]->split;
    return split == WF_SPLIT_QKV ? 3 * groups_apart(s) : split == WF_SPLIT_GATE_UP ? 2 : 1;
}

static wf_piece qkv_piece(const wf_slice *s, int i_piece)
{
    const wf_place *p = &s->place;
    int64_t n_apart = groups_apart(s), dim = p->arch->head_dim;
    int64_t block = i_piece / n_apart;
    if (p->arch->family->qkv_order == WF_QKV_PER_GROUP) {
        wf_arch_layer all = layer_of(p, 1);
        int64_t copies = kv_copies(p), group = p->tp_rank / copies * n_apart + i_piece % n_apart;
        int64_t n_q = all.n_heads / all.n_kv_heads, first = group * (n_q + 2);
        int64_t n_here = n_q / copies, q = first + p->tp_rank % copies * n_here;
        return block == 0 ? (wf_piece){q * dim, n_here * dim}
                          : (wf_piece){(first + n_q + block - 1) * dim, dim};
    }
    int64_t q = size_of(p, WF_EXTENT_Q, 1), kv = size_of(p, WF_EXTENT_KV, 1);
    int64_t begin = block == 0 ? 0 : q + (block - 1) * kv;
    int64_t n = size_of(p, block == 0 ? WF_EXTENT_Q : WF_EXTENT_KV, p->tp_size);
    return (wf_piece){begin + (block == 0 ? p->tp_rank : p->tp_rank / kv_copies(p)) * n, n};
}

static wf_piece head_piece(const wf_slice *s, const wf_part *part)
{
    const wf_arch_latent *latent = &s->place.arch->latent;
    int64_t first = (int64_t)(s->first_group + s->i_group) * (latent->nope + latent->v);
    return part->split == WF_SPLIT_HEAD_KEYS ? (wf_piece){first, latent->nope}
                                             : (wf_piece){first + latent->nope, latent->v};
}

static wf_piece vocab_piece(const wf_place *p)
{
    int64_t n_vocab = p->arch->n_vocab, n = wf_arch_vocab_slice(p->arch, p->tp_size);
    int64_t begin = p->tp_rank * n, end = begin + n;
    if (begin > n_vocab) begin = n_vocab;
    if (end > n_vocab) end = n_vocab;
    return (wf_piece){begin, end - begin};
}

wf_piece wf_slice_piece(const wf_slice *s, int i_part, int i_piece)
{
    const wf_part *part = s->part[i_part];
    const wf_place *p = &s->place;
    int64_t n = rows_here(p, part), half = n / 2;
    switch (part->split) {
    case WF_SPLIT_ROWS:
    case WF_SPLIT_EXPERT_ROWS:
    case WF_SPLIT_EXPERT_PAIRS:
        return (wf_piece){share_of(p, part) * n, n};
    case WF_SPLIT_HEADS:
        return (wf_piece){own_norms(p->arch) ? share_of(p, part) * n : 0, n};
    case WF_SPLIT_QKV:
        return qkv_piece(s, i_piece);
    case WF_SPLIT_GATE_UP:
        return (wf_piece){(i_piece * p->tp_size + p->tp_rank) * half, half};
    case WF_SPLIT_VOCAB:
        return vocab_piece(p);
    case WF_SPLIT_HEAD_KEYS:
    case WF_SPLIT_HEAD_VALUES:
        return head_piece(s, part);
    case WF_SPLIT_WHOLE:
    case WF_SPLIT_COLUMNS:
    case WF_SPLIT_EXPERT_COLUMNS:
        break;
    }
    return (wf_piece){0, n};
}

const char *wf_slice_tensor_name(const wf_slice *s, int i_part, const char *suffix, char *text,
                                 size_t text_bytes)
{
    const wf_arch *a = s->place.arch;
    bool norm = s->part[i_part]->bias == WF_BIAS_NORM;
    if (a->old_norms && norm && strcmp(suffix, ".weight") == 0) suffix = ".gamma";
    if (a->old_norms && norm && strcmp(suffix, ".bias") == 0) suffix = ".beta";
    wf_arch_tensor_name(a, s->part[i_part]->role, s->place.i_layer, s->first_group + s->i_group,
                        suffix, text, text_bytes);
    return a->bare ? wf_family_bare_name(a->family, text) : text;
}

int64_t wf_slice_tensor_rows(const wf_slice *s, int i_part)
{
    return size_of(&s->place, s->part[i_part]->rows, 1);
}

int64_t wf_slice_tensor_cols(const wf_slice *s, int i_part)
{
    return size_of(&s->place, s->part[i_part]->cols, 1);
}
