// Rotary positions. Both generations of configurations are read, and where a file holds both, the
// rules are those of transformers' RotaryEmbeddingConfigMixin: a rope_scaling that is not empty
// takes the place of rope_parameters as a whole; what the table of the two does not hold is taken
// from the root of the file, else from the family's row.
#include "engine/arch_reader.h"

#include <string.h>

#define MAX_THETA 1e15

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

static void read_numbers(wf_arch_reader *r, wf_json_ref of, wf_arch *a)
{
    wf_rope *rope = &a->rope;
    if (rope->type == WF_ROPE_DEFAULT) return;
    wf_arch_noted(r, wf_json_get_f64(of, "factor", 1.0, 1e6, &rope->factor));
    if (rope->type != WF_ROPE_LLAMA3) return;
    wf_arch_noted(r, wf_json_get_f64(of, "low_freq_factor", 1e-3, 1e6, &rope->low_freq));
    wf_arch_noted(r, wf_json_get_f64(of, "high_freq_factor", 1e-3, 1e6, &rope->high_freq));
    wf_arch_noted(r, wf_json_get_f64_or(of, "original_max_position_embeddings", 1, 1e9,
                                        a->max_context, &rope->original_max_context));
    if (rope->high_freq <= rope->low_freq) {
        wf_arch_noted(r, wf_json_fail(wf_json_find(of, "high_freq_factor"),
                                      "must be greater than low_freq_factor"));
    }
}

static void read_type(wf_arch_reader *r, wf_json_ref of, wf_arch *a)
{
    const char *key = wf_json_has(of, "rope_type") ? "rope_type" : "type";
    const char *name;
    if (wf_arch_noted(r, wf_json_get_string_or(of, key, "default", &name))) return;
    if (rope_type_of(name, &a->rope.type)) {
        read_numbers(r, of, a);
        return;
    }
    wf_arch_noted(r, wf_json_fail(wf_json_find(of, key),
                                  "'%.32s' is not a rotary type known here (default, linear, "
                                  "llama3)",
                                  name));
}

static void check_members(wf_arch_reader *r, wf_json_ref of)
{
    static const char *const known[] = {"rope_type",        "type",
                                        "rope_theta",       "partial_rotary_factor",
                                        "factor",           "low_freq_factor",
                                        "high_freq_factor", "original_max_position_embeddings"};
    wf_json_iter it = wf_json_iterate(of);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        bool found = wf_json_kind_of(item) == WF_JSON_NULL;
        for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
            found = strcmp(item.key, known[i]) == 0;
        if (wf_json_kind_of(item) == WF_JSON_OBJECT) {
            wf_arch_noted(r, wf_json_fail(item, "rotary parameters that differ by layer are not "
                                                "known here"));
        } else if (!found) {
            wf_arch_noted(r, wf_json_fail(item, "is no rotary parameter known here"));
        }
    }
}

// The table that counts; absent where neither is there.
static wf_json_ref table_of(const wf_arch_reader *r)
{
    wf_json_ref scaling = wf_json_find(r->root, "rope_scaling");
    wf_json_ref parameters = wf_json_find(r->root, "rope_parameters");
    bool empty = wf_json_kind_of(scaling) == WF_JSON_OBJECT && wf_json_count(scaling) == 0;
    if (wf_json_kind_of(scaling) <= WF_JSON_NULL || empty) return parameters;
    if (wf_json_kind_of(parameters) > WF_JSON_NULL) {
        wf_arch_warn(
            "%s/config.json: rope_parameters is not read: rope_scaling takes its place, as in "
            "transformers",
            wf_hf_folder_path(r->folder));
    }
    return scaling;
}

// Overrides *value by a member of the table, where there is one.
static void override(wf_arch_reader *r, wf_json_ref of, const char *name, double min, double max,
                     double *value)
{
    if (wf_json_has(of, name)) wf_arch_noted(r, wf_json_get_f64(of, name, min, max, value));
}

// Families that rotate whole heads: what a part of them would mean depends on who reads it.
static void check_whole(wf_arch_reader *r, wf_json_ref of)
{
    double share = 1.0;
    if (r->family->keys[WF_KEY_ROTARY_PCT][0]) return;
    wf_arch_noted(r, wf_json_get_f64_or(of, "partial_rotary_factor", 0.0, 1.0, 1.0, &share));
    if (share < 1.0) {
        wf_arch_noted(r, wf_json_fail(wf_json_find(of, "partial_rotary_factor"),
                                      "%s models rotate whole heads", r->family->name));
    }
}

static void read_table(wf_arch_reader *r, wf_json_ref of, double *share, wf_arch *a)
{
    if (wf_json_kind_of(of) <= WF_JSON_NULL) return;
    if (wf_arch_noted(r, wf_json_read_object(of))) return;
    check_members(r, of);
    check_whole(r, of);
    read_type(r, of, a);
    override(r, of, "rope_theta", 1.0, MAX_THETA, &a->rope.theta);
    override(r, of, "partial_rotary_factor", 0.0, 1.0, share);
}

void wf_arch_read_rope(wf_arch_reader *r, wf_arch *a)
{
    double share;
    wf_arch_read_real(r, WF_KEY_ROPE_THETA, 1.0, MAX_THETA, &a->rope.theta);
    wf_arch_read_real(r, WF_KEY_ROTARY_PCT, 0.0, 1.0, &share);
    if (r->family->keys[WF_KEY_ROPE_THETA][0]) {
        check_whole(r, r->root);
        read_table(r, table_of(r), &share, a);
    }
    wf_arch_read_size_or(r, WF_KEY_ROTARY_DIM, 1024, (int32_t)((double)a->head_dim * share),
                         &a->rotary_dim);
}
