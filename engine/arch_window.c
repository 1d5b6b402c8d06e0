// Sliding attention. Inside its window a sliding layer is a full one, so the context is cut to the
// smallest window there is.
#include "engine/arch_reader.h"

#include <string.h>

// The window of layers that slide; 0: none does.
static int32_t read_window(wf_arch_reader *r)
{
    bool use;
    int32_t window = 0;
    bool may_be_off = r->family->keys[WF_KEY_USE_WINDOW][0] != NULL;
    wf_arch_read_flag_or(r, WF_KEY_USE_WINDOW, !may_be_off, &use);
    if (use && r->family->keys[WF_KEY_WINDOW][0])
        wf_arch_read_size_or(r, WF_KEY_WINDOW, INT32_MAX, 0, &window);
    return window;
}

// Where the file does not name each layer's type: layers from the given one on slide, else all.
static int32_t count_by_number(wf_arch_reader *r, const wf_arch *a)
{
    int64_t first = 0;
    if (!r->family->keys[WF_KEY_FIRST_WINDOW][0]) return a->n_layers;
    first = (int64_t)r->family->absent[WF_KEY_FIRST_WINDOW];
    if (wf_arch_has(r, WF_KEY_FIRST_WINDOW))
        wf_arch_noted(
            r, wf_json_read_i64(wf_arch_place(r, WF_KEY_FIRST_WINDOW), 0, INT32_MAX, &first));
    return first < a->n_layers ? a->n_layers - (int32_t)first : 0;
}

// Of layer_types; -1 where it is refused.
static int32_t count_by_type(wf_arch_reader *r, wf_json_ref types, const wf_arch *a)
{
    int32_t n = 0;
    if (wf_arch_noted(r, wf_json_read_array(types))) return -1;
    if (wf_json_count(types) != (size_t)a->n_layers) {
        wf_arch_noted(
            r, wf_json_fail(types, "%zu types for %d layers", wf_json_count(types), a->n_layers));
        return -1;
    }
    for (size_t i = 0; i < wf_json_count(types); i++) {
        const char *type;
        if (wf_arch_noted(r, wf_json_read_string(wf_json_at(types, i), &type))) return -1;
        bool slides = strcmp(type, "sliding_attention") == 0;
        n += slides;
        if (slides || strcmp(type, "full_attention") == 0) continue;
        wf_arch_noted(
            r, wf_json_fail(wf_json_at(types, i), "'%.32s' layers are not known here", type));
        return -1;
    }
    return n;
}

static int32_t count_sliding(wf_arch_reader *r, int32_t window, const wf_arch *a)
{
    wf_json_ref types = wf_json_find(r->root, "layer_types");
    int32_t by_number = window > 0 ? count_by_number(r, a) : 0;
    if (wf_json_kind_of(types) <= WF_JSON_NULL) return by_number;
    int32_t n = count_by_type(r, types, a);
    if (n > 0 && window == 0)
        wf_arch_noted(r, wf_json_fail(types, "has sliding layers, but the model has no window"));
    if (n >= 0 && n != by_number && !r->family->types_by_layer) {
        wf_arch_noted(r, wf_json_fail(types,
                                      "%d of %d layers slide; all layers of a %s model "
                                      "are alike",
                                      n, a->n_layers, r->family->name));
    }
    return n;
}

void wf_arch_read_windows(wf_arch_reader *r, wf_arch *a)
{
    int32_t window = read_window(r);
    int32_t n = count_sliding(r, window, a);
    if (n <= 0 || window == 0 || window >= a->max_context) return;
    wf_arch_warn(
        "%s: the context is limited to the %d tokens of the model's sliding window, which %d "
        "of its %d layers have, not %d",
        wf_hf_folder_path(r->folder), window, n, a->n_layers, a->max_context);
    a->max_context = window;
}
