// How large the buffers of the forward pass are. Pure.
#include "engine/forward_internal.h"

#include <stdio.h>

wf_plan_limits wf_forward_plan_limits(const wf_forward_config *c, int32_t tp)
{
    return (wf_plan_limits){.max_rows = c->max_rows,
                            .step_tokens = c->step_tokens,
                            .page_tokens = c->page_tokens,
                            .slot_pages = c->slot_pages,
                            .shared_pages = c->shared_pages,
                            .group_size = tp,
                            .n_beams = c->n_beams,
                            .n_top = c->n_top,
                            .row_wishes = c->row_wishes,
                            .types = c->types,
                            .prompt_probs = c->prompt_probs,
                            .pad = c->pad};
}

bool wf_forward_two_branches(const wf_arch *a)
{
    for (int32_t i = 0; i < a->n_layers; i++)
        if (a->layer[i].join == WF_JOIN_PARALLEL || a->layer[i].join == WF_JOIN_SHARED) return true;
    return false;
}

// Says which of a layer's sums have columns that runs cannot share.
static void odd_columns(const wf_arch *a, const wf_arch_layer *l, char *text, size_t text_bytes)
{
    const struct {
        const char *of;
        int32_t n;
    } sums[] = {{"attention", l->n_heads * (a->latent.v > 0 ? a->latent.v : a->head_dim)},
                {"feed-forward", l->ffn},
                {"feed-forward of an expert", l->expert_ffn},
                {"feed-forward of the shared expert", l->shared_ffn}};
    for (size_t i = 0; i < sizeof sums / sizeof *sums && !text[0]; i++)
        if (sums[i].n % WF_K_RUNS != 0)
            snprintf(text, text_bytes, "its %s of %d columns cannot be cut into %d equal runs",
                     sums[i].of, sums[i].n, WF_K_RUNS);
}

static bool has_norms_after(const wf_arch *a)
{
    return a->family->names[WF_ROLE_ATTN_AFTER] || a->family->names[WF_ROLE_MLP_AFTER];
}

// Every rank adds its runs of eighths of K, in f32, as the ranks of a larger group would add
// theirs. Both branches of a parallel residual are in one sum, and stay out of this.
char *wf_forward_size_gap(const wf_arch *a, int32_t tp, char *text, size_t text_bytes)
{
    text[0] = '\0';
    if (wf_forward_two_branches(a))
        snprintf(text, text_bytes, "both branches of its parallel residual are in one sum");
    if (WF_K_RUNS % tp != 0)
        snprintf(text, text_bytes, "%d is not divided by parallel.tensor %d", WF_K_RUNS, tp);
    if (wf_arch_expert_parts(a, tp) > 1)
        snprintf(text, text_bytes, "its experts are spread over ranks (parallel.experts: %d)",
                 a->expert_parts);
    for (int32_t i = 0; i < a->n_layers && !text[0]; i++)
        odd_columns(a, &a->layer[i], text, text_bytes);
    return text;
}

static bool size_free(const wf_arch *a, int32_t tp, const wf_forward_config *c)
{
    char gap[128];
    return c->deterministic && !wf_forward_size_gap(a, tp, gap, sizeof gap)[0];
}

int32_t wf_forward_k_runs(const wf_arch *arch, int32_t tp_size, const wf_forward_config *config)
{
    return size_free(arch, tp_size, config) ? WF_K_RUNS / tp_size : 0;
}

// Raw logprobs of rows with penalties or wishes: the logits are needed as they came.
static bool keeps_raw(const wf_forward_config *c)
{
    bool bent = c->penalties || c->row_wishes > 0;
    return (bent && c->n_top >= 0 && !c->processed_logprobs) || c->prompt_probs > 0;
}

// Experts that a token takes in each layer that has some.
static size_t n_choices_of(const wf_arch *a)
{
    int32_t most = 0;
    for (int32_t i = 0; i < a->n_layers; i++)
        if (a->layer[i].n_choices > most) most = a->layer[i].n_choices;
    return (size_t)most;
}

static size_t most_top(const wf_forward_config *c)
{
    int32_t most = c->prompt_probs - 1 > c->n_top ? c->prompt_probs - 1 : c->n_top;
    return most > 0 ? (size_t)most : 0;
}

wf_forward_shape wf_forward_shape_of(const wf_arch *a, int32_t tp, const wf_forward_config *c,
                                     size_t act_bytes)
{
    wf_plan_limits limits = wf_forward_plan_limits(c, tp);
    bool encodes = wf_task_vectors(a->encode.task);
    int32_t n_experts, n_with = wf_arch_expert_layers(a, &n_experts);
    size_t told = c->expert_load ? (size_t)n_with : 0;
    return (wf_forward_shape){
        .T = (size_t)c->step_tokens,
        .R = (size_t)c->max_rows,
        .N = (size_t)c->max_rows + (c->pad || c->prompt_probs > 0),
        .act = act_bytes,
        .sum = size_free(a, tp, c) ? 4 : act_bytes,
        .k_runs = (size_t)wf_forward_k_runs(a, tp, c),
        .hidden = (size_t)a->hidden,
        .slice_cols = encodes ? 0 : (size_t)wf_arch_vocab_slice(a, tp),
        .vector_cols = encodes ? (size_t)a->encode.width : 0,
        .choices = told * n_choices_of(a),
        .loads = told * (size_t)(n_experts + 1),
        .tp = (size_t)tp,
        .table_cols = (size_t)c->max_pages,
        .counts_cols = c->penalties ? (size_t)((a->n_vocab + 1) & ~1) : 0,
        .parallel = wf_forward_two_branches(a),
        .after = has_norms_after(a),
        .split = tp > 1,
        .whole = tp > 1 || keeps_raw(c),
        .n_top = most_top(c),
        .probs = c->n_top >= 0 || c->prompt_probs > 0 ? (size_t)c->max_rows : 0,
        .scores = c->prompt_probs > 0 ? (size_t)c->step_tokens + (size_t)c->max_rows : 0,
        .score_top = c->prompt_probs > 1 ? (size_t)c->prompt_probs - 1 : 0,
        .plan_bytes = (size_t)wf_plan_most_words(&limits) * 4};
}

static void own_bytes(const wf_forward_shape *s, size_t out[WF_N_FORWARD_BUFFERS])
{
    size_t T = s->T, R = s->R, N = s->N, act = s->act, sum = s->sum, hidden = s->hidden,
           slice_cols = s->slice_cols, tp = s->tp, table_cols = s->table_cols,
           counts_cols = s->counts_cols, vector_cols = s->vector_cols, plan_bytes = s->plan_bytes,
           parallel = s->parallel, after = s->after, split = s->split, whole = s->whole,
           n_top = s->n_top, probs = s->probs, choices = s->choices, loads = s->loads, i = 0;
#define WF_FORWARD_SIZE(name, bytes) out[i++] = (bytes);
    WF_FORWARD_BUFFERS(WF_FORWARD_SIZE)
#undef WF_FORWARD_SIZE
}

// A block's buffers hold the largest of its layers.
static void widen(const wf_block_shape *shape, wf_block_kind kind, size_t most[WF_BLOCK_SCRATCH])
{
    size_t bytes[WF_BLOCK_SCRATCH] = {0};
    wf_block_of(kind)->scratch(shape, bytes);
    for (int i = 0; i < WF_BLOCK_SCRATCH; i++)
        if (bytes[i] > most[i]) most[i] = bytes[i];
}

wf_forward_bytes wf_forward_bytes_of(const wf_arch *arch, const wf_forward_shape *s)
{
    wf_forward_bytes bytes = {0};
    wf_block_shape shape = {.arch = arch,
                            .n_tokens = s->T,
                            .act_bytes = s->act,
                            .sum_bytes = s->sum,
                            .k_runs = s->k_runs,
                            .tp = s->tp};
    own_bytes(s, bytes.own);
    for (int32_t i = 0; i < arch->n_layers; i++) {
        shape.layer = wf_arch_layer_share(arch, i, (int32_t)s->tp);
        widen(&shape, shape.layer.mixer, bytes.scratch[shape.layer.mixer]);
        widen(&shape, shape.layer.feed_forward, bytes.scratch[shape.layer.feed_forward]);
    }
    for (size_t i = 0; i < WF_N_FORWARD_BUFFERS; i++)
        bytes.total += bytes.own[i];
    for (int kind = 0; kind < WF_N_BLOCKS; kind++)
        for (int i = 0; i < WF_BLOCK_SCRATCH; i++)
            bytes.total += bytes.scratch[kind][i];
    return bytes;
}

uint64_t wf_forward_workspace_bytes(const wf_arch *arch, int32_t tp_size,
                                    const wf_forward_config *config, const wf_numerics *num)
{
    wf_forward_shape s = wf_forward_shape_of(arch, tp_size, config, wf_dtype_bytes(num->act));
    uint64_t page = wf_forward_page_bytes(arch, tp_size, config->page_tokens, num->kv);
    return wf_forward_bytes_of(arch, &s).total + (config->pad ? page : 0);
}

uint64_t wf_forward_page_bytes(const wf_arch *arch, int32_t tp_size, int32_t page_tokens,
                               wf_dtype kv)
{
    uint64_t token = 0;
    for (int32_t i = 0; i < arch->n_layers; i++)
        token += (uint64_t)wf_block_kv_bytes(arch, i, tp_size, kv);
    return token * (uint64_t)page_tokens;
}
