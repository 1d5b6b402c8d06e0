// Rotary positions.
#include "engine/arch_reader.h"

#include <string.h>

static bool rope_type_of(const char *name, wf_rope_type *out)
{
    static const char *const words[] = {
#define ROPE_WORDS(name, text) text,
        WF_ROPE_TABLE(ROPE_WORDS)
#undef ROPE_WORDS
    };
    for (int i = 0; i < WF_N_ROPES; i++) {
        if (strcmp(name, words[i]) == 0) {
            *out = (wf_rope_type)i;
            return true;
        }
    }
    return false;
}

static void read_rope_numbers(wf_arch_reader *r, wf_json_ref of, wf_arch *a)
{
    wf_rope *rope = &a->rope;
    if (rope->type == WF_ROPE_DEFAULT) return;
    wf_arch_noted(r, wf_json_get_f64(of, "factor", 1.0, 1e6, &rope->factor));
    if (rope->type != WF_ROPE_LLAMA3) return;
    wf_arch_noted(r, wf_json_get_f64(of, "low_freq_factor", 1e-3, 1e6, &rope->low_freq));
    wf_arch_noted(r, wf_json_get_f64(of, "high_freq_factor", 1e-3, 1e6, &rope->high_freq));
    wf_arch_noted(r, wf_json_get_f64(of, "original_max_position_embeddings", 1, 1e9,
                                     &rope->original_max_context));
    if (rope->high_freq <= rope->low_freq) {
        wf_arch_noted(r, wf_json_fail(wf_json_find(of, "high_freq_factor"),
                                      "must be greater than low_freq_factor"));
    }
}

// rope_scaling or rope_parameters: how positions are stretched.
static void read_scaling(wf_arch_reader *r, wf_json_ref of, wf_arch *a)
{
    const char *key = wf_json_has(of, "rope_type") ? "rope_type" : "type";
    const char *name;
    if (wf_arch_noted(r, wf_json_read_object(of))) return;
    if (wf_json_kind_of(wf_json_find(of, "full_attention")) == WF_JSON_OBJECT) {
        wf_arch_noted(
            r, wf_json_fail(of, "rotary parameters that differ by layer are not known here"));
        return;
    }
    if (wf_arch_noted(r, wf_json_get_string_or(of, key, "default", &name))) return;
    if (!rope_type_of(name, &a->rope.type)) {
        wf_arch_noted(
            r, wf_json_fail(wf_json_find(of, key),
                            "'%.32s' is not a rotary type known here (default, linear, llama3)",
                            name));
        return;
    }
    read_rope_numbers(r, of, a);
}

static void read_rotary_dim(wf_arch_reader *r, double pct, wf_arch *a)
{
    int32_t otherwise = (int32_t)((double)a->head_dim * pct);
    wf_arch_read_size_or(r, WF_KEY_ROTARY_DIM, 1024, otherwise, &a->rotary_dim);
}

void wf_arch_read_rope(wf_arch_reader *r, wf_arch *a)
{
    double pct;
    wf_arch_read_real_or(r, WF_KEY_ROPE_THETA, 1.0, 1e15, 10000.0, &a->rope.theta);
    wf_arch_read_real_or(r, WF_KEY_ROTARY_PCT, 0.0, 1.0, r->family->default_rotary_pct, &pct);
    if (wf_json_has(r->root, "rope_parameters")) {
        wf_json_ref of = wf_json_find(r->root, "rope_parameters");
        read_scaling(r, of, a);
        if (wf_json_has(of, "rope_theta"))
            wf_arch_noted(r, wf_json_get_f64(of, "rope_theta", 1.0, 1e15, &a->rope.theta));
        if (wf_json_has(of, "partial_rotary_factor")) {
            wf_arch_noted(r, wf_json_get_f64(of, "partial_rotary_factor", 0.0, 1.0, &pct));
            if (pct < 1.0 && !r->family->keys[WF_KEY_ROTARY_PCT][0]) {
                wf_arch_noted(r, wf_json_fail(wf_json_find(of, "partial_rotary_factor"),
                                              "%s models rotate whole heads", r->family->name));
            }
        }
    } else if (wf_json_has(r->root, "rope_scaling")) {
        read_scaling(r, wf_json_find(r->root, "rope_scaling"), a);
    }
    read_rotary_dim(r, pct, a);
}
