// Sliding attention: which layers have a window, and what else differs with it.
#include "engine/arch_reader.h"

#include <string.h>

// Which layers slide.
typedef struct sliding {
    bool layer[WF_ARCH_MAX_LAYERS];
    int32_t n; // of them
} sliding;

static void set_slides(sliding *s, int32_t i_layer, bool slides)
{
    s->layer[i_layer] = slides;
    s->n += slides;
}

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

// A number of layers that may be 0.
static int64_t read_number(wf_arch_reader *r, wf_config_key key)
{
    int64_t n = (int64_t)wf_arch_absent(r, key);
    if (wf_arch_has(r, key))
        wf_arch_noted(r, wf_json_read_i64(wf_arch_place(r, key), 0, INT32_MAX, &n));
    return n;
}

// Where the file does not name each layer's type: those from the first on, but every turn-th.
static void slide_by_number(wf_arch_reader *r, const wf_arch *a, sliding *out)
{
    int64_t first = read_number(r, WF_KEY_FIRST_WINDOW), turn = read_number(r, WF_KEY_WINDOW_TURN);
    int32_t last = r->family->turn_at_first ? 0 : 1; // of a turn is full, or the first
    for (int32_t i = 0; i < a->n_layers; i++)
        set_slides(out, i, i >= first && (turn == 0 || (i + last) % turn != 0));
}

// By layer_types; false: they are refused.
static bool slide_by_type(wf_arch_reader *r, wf_json_ref types, const wf_arch *a, sliding *out)
{
    if (wf_arch_noted(r, wf_json_read_array(types))) return false;
    if (wf_json_count(types) != (size_t)a->n_layers) {
        wf_arch_noted(
            r, wf_json_fail(types, "%zu types for %d layers", wf_json_count(types), a->n_layers));
        return false;
    }
    for (int32_t i = 0; i < a->n_layers; i++) {
        const char *type;
        wf_json_ref place = wf_json_at(types, (size_t)i);
        if (wf_arch_noted(r, wf_json_read_string(place, &type))) return false;
        set_slides(out, i, strcmp(type, "sliding_attention") == 0);
        if (out->layer[i] || strcmp(type, "full_attention") == 0) continue;
        wf_arch_noted(r, wf_json_fail(place, "'%.32s' layers are not known here", type));
        return false;
    }
    return true;
}

static void find_sliding(wf_arch_reader *r, int32_t window, const wf_arch *a, sliding *out)
{
    wf_json_ref types = wf_json_find(r->root, "layer_types");
    sliding by_number = {0};
    *out = (sliding){0};
    if (window > 0) slide_by_number(r, a, &by_number);
    if (wf_json_kind_of(types) <= WF_JSON_NULL) {
        *out = by_number;
        return;
    }
    if (!slide_by_type(r, types, a, out)) return;
    if (out->n > 0 && window == 0)
        wf_arch_noted(r, wf_json_fail(types, "has sliding layers, but the model has no window"));
    if (memcmp(out->layer, by_number.layer, sizeof out->layer) != 0 && !r->family->types_by_layer) {
        wf_arch_noted(r, wf_json_fail(types,
                                      "%d of %d layers slide; all layers of a %s model "
                                      "are alike",
                                      out->n, a->n_layers, r->family->name));
    }
}

void wf_arch_read_windows(wf_arch_reader *r, wf_arch *a)
{
    sliding slides;
    int32_t window = read_window(r);
    find_sliding(r, window, a, &slides);
    for (int32_t i = 0; i < a->n_layers; i++) {
        if (slides.layer[i] && window < a->max_context)
            a->layer[i].window = r->family->bidirectional ? window / 2 : window; // on either side
        if (slides.layer[i] && a->n_ropes > 1) a->layer[i].i_rope = 1;
        if (!slides.layer[i] && r->family->full_not_rotated) a->layer[i].i_rope = -1;
    }
}
