// Experts: which layers have them and how they are chosen, from config.json; and where the ranks of
// a group have them.
#include "engine/arch_reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Layers whose numbers stand in a list of config.json have no experts.
static void read_dense_layers(wf_arch_reader *r, const wf_arch *a)
{
    if (!wf_arch_has(r, WF_KEY_DENSE_LAYERS)) return;
    wf_json_ref list = wf_arch_place(r, WF_KEY_DENSE_LAYERS);
    if (wf_json_kind_of(list) == WF_JSON_NULL || wf_arch_noted(r, wf_json_read_array(list))) return;
    for (size_t i = 0; i < wf_json_count(list); i++) {
        int64_t layer;
        if (wf_arch_noted(r,
                          wf_json_read_i64(wf_json_at(list, i), 0, WF_ARCH_MAX_LAYERS - 1, &layer)))
            return;
        if (layer < a->n_layers) r->dense[layer] = true;
    }
}

// A clamped gate has numbers that the operation knows.
static void read_gate(wf_arch_reader *r, wf_arch *a)
{
    double alpha, limit;
    a->expert_gate = r->family->clamped_gate ? WF_GATE_CLAMPED : WF_GATE_SILU;
    if (!r->family->clamped_gate) return;
    wf_arch_read_real(r, WF_KEY_GATE_ALPHA, WF_CLAMPED_ALPHA, WF_CLAMPED_ALPHA, &alpha);
    wf_arch_read_real(r, WF_KEY_GATE_LIMIT, WF_CLAMPED_LIMIT, WF_CLAMPED_LIMIT, &limit);
}

// A number that may be 0.
static void read_count(wf_arch_reader *r, wf_config_key key, int32_t *out)
{
    int64_t value = (int64_t)r->family->absent[key];
    if (wf_arch_has(r, key))
        wf_arch_noted(r, wf_json_read_i64(wf_arch_place(r, key), 0, WF_ARCH_MAX_LAYERS, &value));
    *out = (int32_t)value;
}

// A word that must be one of two; the second may be NULL. Returns whether it is the second.
static bool read_word(wf_arch_reader *r, wf_config_key key, const char *first, const char *second)
{
    const char *word = first;
    if (!wf_arch_has(r, key) || wf_json_kind_of(wf_arch_place(r, key)) == WF_JSON_NULL)
        return false;
    if (wf_arch_noted(r, wf_json_read_string(wf_arch_place(r, key), &word))) return false;
    if (second && strcmp(word, second) == 0) return true;
    if (strcmp(word, first) != 0)
        wf_arch_noted(r, wf_json_fail(wf_arch_place(r, key),
                                      "'%.32s' is not what %s models have here (%s%s%s)", word,
                                      r->family->name, first, second ? ", " : "",
                                      second ? second : ""));
    return false;
}

static void read_router(wf_arch_reader *r, wf_arch *a)
{
    const wf_family *f = r->family;
    wf_arch_router *out = &a->router;
    double scale = 1.0;
    out->score = f->sigmoid_router ? WF_SCORE_SIGMOID : WF_SCORE_SOFTMAX;
    wf_arch_read_flag_or(r, WF_KEY_NORM_TOPK, f->renormalise, &out->renormalise);
    if (f->keys[WF_KEY_ROUTED_SCALE][0])
        wf_arch_read_real(r, WF_KEY_ROUTED_SCALE, 0.0, 1e6, &scale);
    out->scale = (float)scale;
    if (f->keys[WF_KEY_NEXT_LAYERS][0]) read_count(r, WF_KEY_NEXT_LAYERS, &a->n_next_layers);
    if (!f->keys[WF_KEY_ROUTER_GROUPS][0]) return;
    wf_arch_read_size_or(r, WF_KEY_ROUTER_GROUPS, 32, 1, &out->n_groups);
    wf_arch_read_size_or(r, WF_KEY_BEST_GROUPS, 32, 1, &out->n_best_groups);
    read_word(r, WF_KEY_SCORING, f->sigmoid_router ? "sigmoid" : "softmax", NULL);
    bool limited = read_word(r, WF_KEY_TOPK_METHOD, f->limits_groups ? "greedy" : "noaux_tc",
                             f->limits_groups ? "group_limited_greedy" : NULL);
    if (f->limits_groups && !limited) out->n_groups = out->n_best_groups = 1;
    int32_t n = r->expert.n_experts, each = n / out->n_groups;
    if (out->n_groups > 1 && (n % out->n_groups != 0 || out->n_best_groups > out->n_groups ||
                              out->n_best_groups * each < r->expert.n_choices))
        wf_arch_complain(r, "%d experts in %d groups, %d of them the best ones: cannot give %d", n,
                         out->n_groups, out->n_best_groups, r->expert.n_choices);
}

void wf_arch_read_experts(wf_arch_reader *r, wf_arch *a)
{
    wf_arch_layer *l = &r->expert;
    const wf_family *f = r->family;
    int32_t step = 1, first = 0, n_shared;
    if (!f->keys[WF_KEY_N_EXPERTS][0]) return;
    wf_arch_read_size_or(r, WF_KEY_N_EXPERTS, WF_MAX_EXPERTS, 0, &l->n_experts);
    wf_arch_read_size_or(r, WF_KEY_N_CHOICES, WF_MAX_CHOICES, 0, &l->n_choices);
    if (f->keys[WF_KEY_EXPERT_FFN][0])
        wf_arch_read_size_or(r, WF_KEY_EXPERT_FFN, 1 << 22, 0, &l->expert_ffn);
    else
        wf_arch_read_size(r, WF_KEY_FFN, 1 << 22, &l->expert_ffn);
    if (f->keys[WF_KEY_SHARED_FFN][0])
        wf_arch_read_size_or(r, WF_KEY_SHARED_FFN, 1 << 22, 0, &l->shared_ffn);
    if (f->keys[WF_KEY_N_SHARED][0]) {
        wf_arch_read_size_or(r, WF_KEY_N_SHARED, 64, 0, &n_shared);
        l->shared_ffn = n_shared * l->expert_ffn;
    }
    read_router(r, a);
    a->bias_router = f->bias_router;
    a->bias_experts = f->bias_experts;
    read_gate(r, a);
    if (f->keys[WF_KEY_EXPERT_STEP][0])
        wf_arch_read_size_or(r, WF_KEY_EXPERT_STEP, WF_ARCH_MAX_LAYERS, 1, &step);
    if (f->keys[WF_KEY_FIRST_EXPERTS][0]) read_count(r, WF_KEY_FIRST_EXPERTS, &first);
    for (int32_t i = 0; i < a->n_layers; i++)
        r->dense[i] = (i + 1) % step != 0 || i < first;
    read_dense_layers(r, a);
    if (r->n_problems > 0) return;
    if (l->n_experts < 1 || l->n_choices < 1 || l->n_choices > l->n_experts || l->expert_ffn < 1)
        wf_arch_complain(r,
                         "%d of %d experts of size %d: at least one of each, and no more are "
                         "taken than there are",
                         l->n_choices, l->n_experts, l->expert_ffn);
}

wf_arch_layer wf_arch_layer_read(const wf_arch_reader *r, int32_t i_layer)
{
    wf_arch_layer l = r->every;
    if (r->expert.n_experts == 0 || r->dense[i_layer]) return l;
    l.feed_forward = WF_BLOCK_EXPERTS;
    l.ffn = 0;
    l.n_experts = r->expert.n_experts;
    l.n_choices = r->expert.n_choices;
    l.expert_ffn = r->expert.expert_ffn;
    l.shared_ffn = r->expert.shared_ffn;
    return l;
}

// ---- where they are -----------------------------------------------------------------------------

int32_t wf_arch_expert_parts(const wf_arch *arch, int32_t tp_size)
{
    return tp_size > 1 && arch->expert_parts > 1 ? arch->expert_parts : 1;
}

int32_t wf_arch_first_expert(const wf_arch *arch, int32_t i_layer, int32_t tp_rank, int32_t tp_size)
{
    int32_t parts = wf_arch_expert_parts(arch, tp_size);
    return arch->layer[i_layer].n_experts / parts * (tp_rank / (tp_size / parts));
}

static const wf_arch_layer *first_with_experts(const wf_arch *arch)
{
    for (int32_t i = 0; i < arch->n_layers; i++)
        if (arch->layer[i].feed_forward == WF_BLOCK_EXPERTS) return &arch->layer[i];
    return NULL;
}

// Whether FFNs that the ranks of a part split are whole pieces of `unit` columns.
static bool fits(const wf_arch_layer *l, int32_t parts, int32_t tp_size, int32_t unit)
{
    return tp_size % parts == 0 && l->n_experts % parts == 0 &&
           l->expert_ffn % (tp_size / parts * unit) == 0;
}

static int32_t choose_parts(const wf_arch_layer *l, int32_t tp_size)
{
    for (int32_t unit = 8; unit > 0; unit -= 7) // any piece at all rather than none
        for (int32_t parts = 1; parts <= tp_size; parts++)
            if (fits(l, parts, tp_size, unit)) return parts;
    return 1;
}

wf_status wf_arch_spread_experts(wf_arch *arch, int32_t parts, int32_t tp_size)
{
    const wf_arch_layer *l = first_with_experts(arch);
    arch->expert_parts = 1;
    if (l == NULL && parts > 1)
        return wf_fail(WF_CONFIG, "parallel.experts: %d: %s models have no experts", parts,
                       arch->family->name);
    if (l == NULL) return WF_OK;
    if (parts > 0 && !fits(l, parts, tp_size, 1))
        return wf_fail(WF_CONFIG,
                       "parallel.experts: %d must divide parallel.tensor %d and the model's %d "
                       "experts, and %d / %d ranks their size %d; auto chooses",
                       parts, tp_size, l->n_experts, tp_size, parts, l->expert_ffn);
    arch->expert_parts = parts > 0 ? parts : choose_parts(l, tp_size);
    return WF_OK;
}

int32_t wf_arch_expert_layers(const wf_arch *arch, int32_t *n_experts)
{
    const wf_arch_layer *l = first_with_experts(arch);
    int32_t n = 0;
    for (int32_t i = 0; i < arch->n_layers; i++)
        n += arch->layer[i].feed_forward == WF_BLOCK_EXPERTS;
    *n_experts = l ? l->n_experts : 0;
    return n;
}

double wf_arch_experts_touched(const wf_arch *arch, int32_t n_rows)
{
    const wf_arch_layer *l = first_with_experts(arch);
    return l ? 1.0 - pow(1.0 - (double)l->n_choices / l->n_experts, n_rows) : 0.0;
}

char *wf_arch_experts_words(const wf_arch *arch, int32_t tp_size, char *text, size_t text_bytes)
{
    const wf_arch_layer *l = first_with_experts(arch);
    int32_t parts = wf_arch_expert_parts(arch, tp_size), each;
    int32_t n_with = wf_arch_expert_layers(arch, &each);
    text[0] = '\0';
    if (l == NULL) return text;
    int at =
        snprintf(text, text_bytes, "%d in each of %d layers, %d of them for a token%s",
                 l->n_experts, n_with, l->n_choices, l->shared_ffn > 0 ? " and one for all" : "");
    if (wf_family_packs_experts(arch->family) && (size_t)at < text_bytes)
        at += snprintf(text + at, text_bytes - (size_t)at, "; MXFP4 in the file, bf16 in memory");
    if (tp_size == 1 || at < 0 || (size_t)at >= text_bytes) return text;
    if (parts == 1)
        snprintf(text + at, text_bytes - (size_t)at, "; each split over %d ranks", tp_size);
    else if (parts == tp_size)
        snprintf(text + at, text_bytes - (size_t)at, "; %d on each of %d ranks",
                 l->n_experts / parts, tp_size);
    else
        snprintf(text + at, text_bytes - (size_t)at, "; %d on each %d of %d ranks, split over them",
                 l->n_experts / parts, tp_size / parts, tp_size);
    return text;
}
