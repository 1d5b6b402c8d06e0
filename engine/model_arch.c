// Reads config.json into plain values. A problem is noted and reading goes on with what is left, so
// that one run shows all of them.
#include "engine/arch_reader.h"

#include <stdio.h>
#include <string.h>

// What must hold between the values; only looked at when each is good by itself.
static void check_together(wf_arch_reader *r, wf_arch *a)
{
    const wf_arch_layer *l = &r->every;
    if (r->family->says_rope && !wf_json_has(r->root, "rope_scaling") &&
        !wf_json_has(r->root, "rope_parameters"))
        wf_arch_complain(r, "rope_scaling: missing; %s models say how they rotate",
                         r->family->name);
    if (!wf_arch_has(r, WF_KEY_HEAD_DIM) && a->latent.kv_rank == 0 && a->hidden % l->n_heads != 0) {
        wf_arch_complain(r, "hidden size %d does not divide by %d heads, and there is no head_dim",
                         a->hidden, l->n_heads);
    }
    if (l->n_heads % l->n_kv_heads != 0)
        wf_arch_complain(r, "%d heads do not divide by %d key/value heads", l->n_heads,
                         l->n_kv_heads);
    if (a->head_dim < 2 || a->head_dim > WF_MAX_HEAD_DIM || a->head_dim % 2 != 0)
        wf_arch_complain(r, "head_dim %d: must be even, at least 2 and at most %d", a->head_dim,
                         WF_MAX_HEAD_DIM);
    if (a->n_ropes == 0) return;
    if (a->rotary_dim < 2 || a->rotary_dim > a->head_dim || a->rotary_dim % 2 != 0) {
        wf_arch_complain(r, "%d rotary dimensions: must be even, at least 2, at most head_dim %d",
                         a->rotary_dim, a->head_dim);
    }
}

wf_status wf_arch_read(const wf_hf_folder *folder, bool trust, wf_arch *out)
{
    char place[512];
    wf_arch a = {0};
    wf_arch_reader r = {.folder = folder,
                        .whole = wf_json_root(wf_hf_folder_config(folder)),
                        .trust = trust,
                        .every = {.mixer = WF_BLOCK_ATTENTION, .feed_forward = WF_BLOCK_DENSE}};
    WF_TRY(wf_arch_enter_text(&r));
    snprintf(place, sizeof place, "%s/config.json%s", wf_hf_folder_path(folder),
             r.root.node == r.whole.node ? "" : ": text_config");
    WF_TRY(wf_arch_choose_family(&r, place, wf_text_part_type(r.type)));
    a.family = r.family;
    a.part = r.part;
    wf_arch_read_names(&r, &a);
    wf_arch_read_values(&r, &a);
    wf_arch_read_latent(&r, &a);
    wf_arch_read_experts(&r, &a);
    for (int32_t i = 0; i < a.n_layers; i++)
        a.layer[i] = wf_arch_layer_read(&r, i);
    wf_arch_read_rope(&r, &a);
    wf_arch_scale_latent(&a);
    wf_arch_read_tokens(&r, &a);
    wf_arch_read_quant(&r, &a);
    wf_arch_check_keys(&r, &a);
    if (r.n_problems == 0) check_together(&r, &a);
    if (r.n_problems == 0) wf_arch_read_windows(&r, &a);
    if (r.n_problems > 0) return wf_fail(WF_DATA, "%s", r.problems);
    *out = a;
    return WF_OK;
}

static int32_t common_divisor(int32_t a, int32_t b)
{
    while (b) {
        int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// The greatest size that what a layer has but key/value heads can be split into, and all its
// divisors can. Experts that are spread are looked at by wf_arch_spread_experts.
static int32_t most_ranks(const wf_arch *a, const wf_arch_layer *l)
{
    int32_t most = common_divisor(common_divisor(l->n_heads, l->ffn), l->shared_ffn);
    return a->expert_parts > 1 ? most : common_divisor(most, l->expert_ffn);
}

// More ranks than key/value heads have copies of them. Norms over all heads would count a copy as
// a head.
static bool splits(const wf_arch *a, const wf_arch_layer *l, int32_t tp_size)
{
    if (tp_size < 1 || most_ranks(a, l) % tp_size != 0) return false;
    bool copies = tp_size % l->n_kv_heads == 0 &&
                  !(a->head_norms && a->family->head_norm == WF_HEAD_NORM_WIDE);
    return l->n_kv_heads % tp_size == 0 || copies;
}

static bool all_split(const wf_arch *a, int32_t tp_size)
{
    bool all = true;
    for (int32_t i = 0; i < a->n_layers; i++)
        all = all && splits(a, &a->layer[i], tp_size);
    return all;
}

static wf_status fail_tp(const wf_arch *arch, const wf_arch_layer *l, int32_t tp_size)
{
    char sizes[96] = "";
    for (int32_t i = 1; i <= l->n_heads; i++) {
        size_t at = strlen(sizes);
        if (all_split(arch, i)) snprintf(sizes + at, sizeof sizes - at, "%s%d", at ? ", " : "", i);
    }
    return wf_fail(WF_CONFIG,
                   "parallel.tensor: %d does not split the model's %d heads, %d key/value heads "
                   "and FFN size %d; sizes that do: %s",
                   tp_size, l->n_heads, l->n_kv_heads,
                   l->feed_forward == WF_BLOCK_EXPERTS ? l->expert_ffn : l->ffn, sizes);
}

wf_status wf_arch_check_tp(const wf_arch *arch, int32_t tp_size)
{
    for (int32_t i = 0; i < arch->n_layers; i++) {
        const wf_arch_layer *l = &arch->layer[i];
        if (!splits(arch, l, tp_size)) return fail_tp(arch, l, tp_size);
    }
    return WF_OK;
}

wf_arch_layer wf_arch_layer_share(const wf_arch *arch, int32_t i_layer, int32_t tp_size)
{
    wf_arch_layer share = arch->layer[i_layer];
    share.n_heads /= tp_size;
    share.n_kv_heads = share.n_kv_heads > tp_size ? share.n_kv_heads / tp_size : 1;
    share.ffn /= tp_size;
    share.shared_ffn /= tp_size;
    share.n_experts /= wf_arch_expert_parts(arch, tp_size);
    share.expert_ffn /= tp_size / wf_arch_expert_parts(arch, tp_size);
    return share;
}

int32_t wf_arch_window(const wf_arch *arch)
{
    int32_t most = 0;
    for (int32_t i = 0; i < arch->n_layers; i++) {
        if (arch->layer[i].window == 0) return 0;
        if (arch->layer[i].window > most) most = arch->layer[i].window;
    }
    return most;
}

int32_t wf_arch_vocab_slice(const wf_arch *arch, int32_t tp_size)
{
    return (arch->n_vocab + tp_size - 1) / tp_size;
}
