// Shapes of models. See shapes.h.
#include "jobs/layout/shapes.h"

#include <stdio.h>
#include <string.h>

#define PALM                                                                                       \
    .gated = true, .parallel = true, .tied = true, .n_kv_heads = 1, .head_dim = 256,               \
    .n_vocab = 256000, .max_context = 2048

// Chowdhery et al. 2022 (arXiv 2204.02311), table 1: SwiGLU, multiquery, ffn = 4 * hidden.
static const wf_layout_model shapes[] = {
    {"palm-540b", .n_layers = 118, .hidden = 18432, .ffn = 73728, .n_heads = 48, PALM},
    {"palm-62b", .n_layers = 64, .hidden = 8192, .ffn = 32768, .n_heads = 32, PALM},
    {"palm-8b", .n_layers = 32, .hidden = 4096, .ffn = 16384, .n_heads = 16, PALM},
};

enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

const wf_layout_model *wf_layout_shape(const char *name)
{
    for (size_t i = 0; i < N_SHAPES; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

char *wf_layout_shape_names(char *text, size_t text_bytes)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < N_SHAPES && at < text_bytes; i++)
        at += (size_t)snprintf(text + at, text_bytes - at, "%s%s", i ? ", " : "", shapes[i].name);
    return text;
}

wf_status wf_layout_model_of(const wf_arch *arch, const char *name, wf_layout_model *out)
{
    const wf_arch_layer *first = &arch->layer[0];
    for (int i = 1; i < arch->n_layers; i++) {
        const wf_arch_layer *l = &arch->layer[i];
        if (l->mixer == first->mixer && l->feed_forward == first->feed_forward &&
            l->n_heads == first->n_heads && l->n_kv_heads == first->n_kv_heads &&
            l->ffn == first->ffn)
            continue;
        return wf_fail(WF_CONFIG,
                       "%s: layers 0 and %d differ: layouts are planned of models whose "
                       "layers are alike",
                       name, i);
    }
    if (first->mixer != WF_BLOCK_ATTENTION)
        return wf_fail(WF_CONFIG,
                       "%s: layouts are planned of models whose attention keeps keys and "
                       "values of heads, not latents",
                       name);
    if (first->feed_forward != WF_BLOCK_DENSE)
        return wf_fail(WF_CONFIG, "%s: layouts are planned of models whose feed-forwards are dense",
                       name);
    *out = (wf_layout_model){.name = name,
                             .n_layers = arch->n_layers,
                             .hidden = arch->hidden,
                             .ffn = first->ffn,
                             .gated = arch->gated,
                             .parallel = first->join != WF_JOIN_SERIAL,
                             .tied = arch->tied,
                             .n_heads = first->n_heads,
                             .n_kv_heads = first->n_kv_heads,
                             .head_dim = arch->head_dim,
                             .n_vocab = arch->n_vocab,
                             .max_context = arch->max_context};
    return WF_OK;
}
