// quantization_config of what was quantised, as compressed-tensors, transformers and vLLM read it.
//
// Matrices are named by expressions, one for each role and kind of numbers:
//   re:model[.]layers[.](0|3|7)[.]mlp[.]down_proj
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/text.h"
#include "jobs/quantize/recipe.h"

// Numbers that are kept alike.
typedef struct kind {
    wf_quantize_kept kept;
} kind;

static bool same(wf_quantize_kept a, wf_quantize_kept b)
{
    return a.dtype == b.dtype && a.block == b.block &&
           (a.format == WF_QUANTIZE_PLAIN) == (b.format == WF_QUANTIZE_PLAIN);
}

// The kinds of quantised matrices, in the order in which they come.
static int kinds_of(const wf_quantize_matrix *m, size_t n, kind out[WF_QUANT_MOST_KINDS])
{
    int count = 0, k;
    for (size_t i = 0; i < n; i++) {
        if (m[i].kept.format == WF_QUANTIZE_PLAIN) continue;
        for (k = 0; k < count && !same(out[k].kept, m[i].kept);)
            k++;
        if (k == count && count < WF_QUANT_MOST_KINDS) out[count++].kept = m[i].kept;
    }
    return count;
}

// ---- names of matrices --------------------------------------------------------------------------

// A role's pattern with these layers in the place of {L}, and any expert in that of {E}.
static void put_pattern(wf_text *t, const char *pattern, const char *layers)
{
    wf_text_puts(t, "re:");
    for (const char *c = pattern; *c && *c != '='; c++) {
        if (strncmp(c, "{L}", 3) == 0 || strncmp(c, "{E}", 3) == 0) {
            wf_text_puts(t, c[1] == 'L' ? layers : "[0-9]+");
            c += 2;
        } else if (*c == '.') {
            wf_text_puts(t, "[.]");
        } else {
            wf_text_add(t, c, 1);
        }
    }
    wf_text_puts(t, "$");
}

// The layers whose matrix of a role is kept so: "(0|3)"; false: none.
static bool put_layers(wf_text *t, const wf_quantize_matrix *m, size_t n, int role,
                       wf_quantize_kept kept, int32_t n_layers)
{
    bool any = false;
    for (int32_t layer = 0; layer < n_layers; layer++) {
        bool here = false;
        for (size_t i = 0; i < n && !here; i++)
            here = m[i].i_layer == layer && (int)m[i].role == role && same(m[i].kept, kept);
        if (here) wf_text_printf(t, "%s%d", any ? "|" : "(", (int)layer);
        any = any || here;
    }
    if (any) wf_text_puts(t, ")");
    return any;
}

static void put_names(const wf_arch *a, const wf_quantize_matrix *m, size_t n,
                      wf_quantize_kept kept, wf_json_writer *w)
{
    for (int role = 0; role < WF_N_ROLES; role++) {
        wf_text layers = {0}, name = {0};
        char *list = NULL, *text = NULL;
        if (!a->family->names[role]) continue;
        bool any = put_layers(&layers, m, n, role, kept, a->n_layers);
        if (any && wf_text_take(&layers, &list) == WF_OK) {
            put_pattern(&name, a->family->names[role], list);
            if (wf_text_take(&name, &text) == WF_OK) wf_json_put_string(w, NULL, text);
        }
        wf_text_free(&layers);
        wf_text_free(&name);
        free(list);
        free(text);
    }
}

// Products of the model that stay as they are: the head, routers, layers that were left plain.
static void put_ignored(const wf_arch *a, const wf_quantize_matrix *m, size_t n, wf_json_writer *w)
{
    static const wf_role always[] = {WF_ROLE_HEAD, WF_ROLE_ROUTER, WF_ROLE_SHARED_ROUTER};
    const wf_quantize_kept plain = wf_quantize_kept_of(WF_QUANTIZE_PLAIN, 0);
    wf_json_open_array(w, "ignore");
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        const char *name = a->family->names[always[i]];
        wf_text text = {0};
        char *pattern = NULL;
        if (!name) continue;
        if (strstr(name, "{L}"))
            put_pattern(&text, name, "[0-9]+");
        else
            wf_text_puts(&text, name);
        if (wf_text_take(&text, &pattern) == WF_OK) wf_json_put_string(w, NULL, pattern);
        wf_text_free(&text);
        free(pattern);
    }
    put_names(a, m, n, plain, w);
    wf_json_close(w);
}

// ---- groups -------------------------------------------------------------------------------------

static const char *format_of(wf_quantize_kept kept, bool dynamic)
{
    if (kept.dtype == WF_FP8) return "float-quantized";
    return kept.dtype == WF_INT8 && dynamic ? "int-quantized" : "pack-quantized";
}

static void put_numbers(wf_quantize_kept kept, const char *key, const char *strategy, bool dynamic,
                        wf_json_writer *w)
{
    wf_json_open_object(w, key);
    wf_json_put_i64(w, "num_bits", wf_format_of(kept.dtype)->bits);
    wf_json_put_string(w, "type", kept.dtype == WF_FP8 ? "float" : "int");
    wf_json_put_bool(w, "symmetric", true);
    wf_json_put_string(w, "strategy", strategy);
    if (kept.block > 0)
        wf_json_put_i64(w, "group_size", kept.block);
    else
        wf_json_put_null(w, "group_size");
    wf_json_put_bool(w, "dynamic", dynamic);
    wf_json_close(w);
}

static void put_group(const wf_arch *a, const wf_quantize_matrix *m, size_t n, const kind *k,
                      bool only, bool dynamic, wf_json_writer *w, int i)
{
    char name[32];
    bool rounds = dynamic && wf_format_of(k->kept.dtype)->bits == 8;
    snprintf(name, sizeof name, "group_%d", i);
    wf_json_open_object(w, name);
    wf_json_open_array(w, "targets");
    if (only)
        wf_json_put_string(w, NULL, "Linear");
    else
        put_names(a, m, n, k->kept, w);
    wf_json_close(w);
    put_numbers(k->kept, "weights", k->kept.block > 0 ? "group" : "channel", false, w);
    if (rounds)
        put_numbers(k->kept, "input_activations", "token", true, w);
    else
        wf_json_put_null(w, "input_activations");
    wf_json_put_null(w, "output_activations");
    wf_json_put_string(w, "format", format_of(k->kept, dynamic));
    wf_json_close(w);
}

void wf_quantize_put_config(const wf_arch *a, const wf_quantize_recipe *recipe,
                            const wf_quantize_matrix *m, size_t n, wf_json_writer *w,
                            const char *key)
{
    kind kinds[WF_QUANT_MOST_KINDS];
    int n_kinds = kinds_of(m, n, kinds);
    const char *format = n_kinds == 0 ? "" : format_of(kinds[0].kept, recipe->dynamic);
    for (int i = 1; i < n_kinds; i++)
        if (strcmp(format, format_of(kinds[i].kept, recipe->dynamic)) != 0)
            format = "mixed-precision";
    wf_json_open_object(w, key);
    wf_json_put_string(w, "quant_method", "compressed-tensors");
    wf_json_put_string(w, "format", format);
    wf_json_put_string(w, "quantization_status", "compressed");
    wf_json_put_null(w, "kv_cache_scheme");
    wf_json_open_object(w, "config_groups");
    for (int i = 0; i < n_kinds; i++)
        put_group(a, m, n, &kinds[i], n_kinds == 1, recipe->dynamic, w, i);
    wf_json_close(w);
    put_ignored(a, m, n, w);
    wf_json_close(w);
}
