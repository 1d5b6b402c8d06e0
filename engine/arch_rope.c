// Rotary positions. Both generations of configurations are read, and where a file holds both, the
// rules are those of transformers' RotaryEmbeddingConfigMixin: a rope_scaling that is not empty
// takes the place of rope_parameters as a whole; what the table of the two does not hold is taken
// from the root of the file, else from the family's row.
#include "engine/arch_reader.h"

#include <math.h>
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

static void read_llama3(wf_arch_reader *r, wf_json_ref of, wf_rope *rope)
{
    wf_arch_noted(r, wf_json_get_f64(of, "low_freq_factor", 1e-3, 1e6, &rope->low_freq));
    wf_arch_noted(r, wf_json_get_f64(of, "high_freq_factor", 1e-3, 1e6, &rope->high_freq));
    if (rope->high_freq <= rope->low_freq) {
        wf_arch_noted(r, wf_json_fail(wf_json_find(of, "high_freq_factor"),
                                      "must be greater than low_freq_factor"));
    }
}

// The context that the frequencies were made for: the key of the family's row before the table's
// own, else all of the model's.
static void read_first_context(wf_arch_reader *r, wf_json_ref of, const wf_arch *a, wf_rope *rope)
{
    if (r->family->keys[WF_KEY_FIRST_CONTEXT][0]) {
        wf_arch_read_real(r, WF_KEY_FIRST_CONTEXT, 1, 1e9, &rope->original_max_context);
        return;
    }
    wf_arch_noted(r, wf_json_get_f64_or(of, "original_max_position_embeddings", 1, 1e9,
                                        a->max_context, &rope->original_max_context));
}

// A member that is null or 0 where it is missing.
static double read_or(wf_arch_reader *r, wf_json_ref of, const char *name, double max,
                      double otherwise)
{
    double value = 0.0;
    if (wf_json_kind_of(wf_json_find(of, name)) > WF_JSON_NULL)
        wf_arch_noted(r, wf_json_get_f64(of, name, 0.0, max, &value));
    return value > 0.0 ? value : otherwise;
}

static double yarn_scale(double factor, double by)
{
    return factor <= 1.0 ? 1.0 : 0.1 * by * log(factor) + 1.0;
}

static void read_yarn(wf_arch_reader *r, wf_json_ref of, wf_rope *rope)
{
    double scale = read_or(r, of, "mscale", 1e3, 0.0);
    double scale_all = read_or(r, of, "mscale_all_dim", 1e3, 0.0);
    double factor = yarn_scale(rope->factor, 1.0);
    if (scale > 0.0 && scale_all > 0.0)
        factor = yarn_scale(rope->factor, scale) / yarn_scale(rope->factor, scale_all);
    if (scale_all > 0.0) {
        rope->score_factor = yarn_scale(rope->factor, scale_all);
        rope->score_factor *= rope->score_factor;
    }
    rope->attention_factor = read_or(r, of, "attention_factor", 1e3, factor);
    rope->beta_fast = read_or(r, of, "beta_fast", 1e6, 32.0);
    rope->beta_slow = read_or(r, of, "beta_slow", 1e6, 1.0);
    wf_arch_noted(r, wf_json_get_bool_or(of, "truncate", true, &rope->truncate));
}

static void read_factors(wf_arch_reader *r, wf_json_ref of, const char *name, const wf_arch *a,
                         float out[WF_ROPE_MAX_PAIRS])
{
    wf_json_ref list = wf_json_find(of, name);
    int32_t n_pairs = a->rotary_dim / 2;
    if (wf_arch_noted(r, wf_json_read_array(list))) return;
    if (wf_json_count(list) != (size_t)n_pairs || n_pairs > WF_ROPE_MAX_PAIRS) {
        wf_arch_noted(r, wf_json_fail(list, "%zu factors for %d pairs of rotary dimensions",
                                      wf_json_count(list), n_pairs));
        return;
    }
    for (int32_t i = 0; i < n_pairs; i++) {
        double value = 1.0;
        wf_arch_noted(r, wf_json_read_f64(wf_json_at(list, (size_t)i), 1e-6, 1e9, &value));
        out[i] = (float)value;
    }
}

static void read_longrope(wf_arch_reader *r, wf_json_ref of, const wf_arch *a, wf_rope *rope)
{
    double first = rope->original_max_context;
    double factor = rope->factor > 1.0 ? sqrt(1.0 + log(rope->factor) / log(first)) : 1.0;
    rope->attention_factor = read_or(r, of, "attention_factor", 1e3, factor);
    read_factors(r, of, "short_factor", a, rope->short_factor);
    read_factors(r, of, "long_factor", a, rope->long_factor);
}

// The factor is what the context grew by where it is left out, but for kinds that must have one.
static void read_factor(wf_arch_reader *r, wf_json_ref of, const wf_arch *a, wf_rope *rope)
{
    bool grown = rope->type == WF_ROPE_YARN || rope->type == WF_ROPE_LONGROPE;
    if (!grown || wf_json_kind_of(wf_json_find(of, "factor")) > WF_JSON_NULL)
        wf_arch_noted(r, wf_json_get_f64(of, "factor", 1.0, 1e6, &rope->factor));
    else
        rope->factor = a->max_context / rope->original_max_context;
}

static void read_numbers(wf_arch_reader *r, wf_json_ref of, wf_arch *a, wf_rope *rope)
{
    if (rope->type == WF_ROPE_DEFAULT) return;
    rope->original_max_context = a->max_context;
    if (rope->type != WF_ROPE_LINEAR && rope->type != WF_ROPE_DYNAMIC)
        read_first_context(r, of, a, rope);
    read_factor(r, of, a, rope);
    if (rope->type == WF_ROPE_LLAMA3) read_llama3(r, of, rope);
    if (rope->type == WF_ROPE_YARN) read_yarn(r, of, rope);
    if (rope->type == WF_ROPE_LONGROPE) read_longrope(r, of, a, rope);
    // How far these are made to reach, where the file gives the first context alone.
    double reach = rope->factor * rope->original_max_context;
    bool reaches = rope->type == WF_ROPE_DYNAMIC || rope->type == WF_ROPE_YARN;
    if (reaches && reach > a->max_context && reach < 1 << 28) a->max_context = (int32_t)reach;
}

static void read_type(wf_arch_reader *r, wf_json_ref of, wf_rope *rope)
{
    const char *key = wf_json_has(of, "rope_type") ? "rope_type" : "type";
    const char *name;
    if (wf_arch_noted(r, wf_json_get_string_or(of, key, "default", &name))) return;
    if (rope_type_of(name, &rope->type)) return;
    if (r->part && strcmp(name, "mrope") == 0) { // check_members says why
        rope->type = WF_ROPE_DEFAULT;
        return;
    }
    // Phi-3's word, before longrope was the library's.
    if (strcmp(name, "su") == 0) {
        rope->type = WF_ROPE_LONGROPE;
        return;
    }
    wf_arch_noted(r, wf_json_fail(wf_json_find(of, key),
                                  "'%.32s' is not a rotary type known here (default, linear, "
                                  "llama3, dynamic, yarn, longrope)",
                                  name));
}

// Members that every kind has are read wherever they stand; the others only in tables of theirs.
static void check_members(wf_arch_reader *r, wf_json_ref of, wf_rope_type type)
{
    enum {
        ALL = 1 << WF_N_ROPES,
        LLAMA3 = 1 << WF_ROPE_LLAMA3,
        YARN = 1 << WF_ROPE_YARN,
        LONG = 1 << WF_ROPE_LONGROPE
    };
    static const struct {
        const char *name;
        int types;
    } known[] = {{"rope_type", ALL},
                 {"type", ALL},
                 {"rope_theta", ALL},
                 {"partial_rotary_factor", ALL},
                 {"factor", ALL},
                 {"original_max_position_embeddings", ALL},
                 {"low_freq_factor", LLAMA3},
                 {"high_freq_factor", LLAMA3},
                 {"attention_factor", YARN | LONG},
                 {"beta_fast", YARN},
                 {"beta_slow", YARN},
                 {"mscale", YARN},
                 {"mscale_all_dim", YARN},
                 {"truncate", YARN},
                 {"short_factor", LONG},
                 {"long_factor", LONG}};
    // Positions of images in three directions: a token of text has one and the same in all three,
    // and is rotated as without them, however the sections lie.
    static const char *const of_images[] = {"mrope_section", "mrope_interleaved"};
    wf_json_iter it = wf_json_iterate(of);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        bool found = wf_json_kind_of(item) == WF_JSON_NULL;
        for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
            found = strcmp(item.key, known[i].name) == 0 &&
                    (known[i].types == ALL || (known[i].types & 1 << type) != 0);
        for (size_t i = 0; r->part && i < 2 && !found; i++)
            found = strcmp(item.key, of_images[i]) == 0;
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

// What does not need the number of rotated dimensions.
static void read_table(wf_arch_reader *r, wf_json_ref of, double *share, wf_rope *rope)
{
    if (wf_json_kind_of(of) <= WF_JSON_NULL) return;
    if (wf_arch_noted(r, wf_json_read_object(of))) return;
    read_type(r, of, rope);
    check_members(r, of, rope->type);
    check_whole(r, of);
    override(r, of, "rope_theta", 1.0, MAX_THETA, &rope->theta);
    override(r, of, "partial_rotary_factor", 0.0, 1.0, share);
}

// Layers whose q and k are not rotated (SmolLM3).
static void read_layers(wf_arch_reader *r, wf_arch *a)
{
    wf_json_ref list = wf_arch_place(r, WF_KEY_ROPE_LAYERS);
    int32_t every = 0;
    for (int32_t i = 0; i < a->n_layers; i++)
        a->layer[i].i_rope = 0;
    if (!r->family->keys[WF_KEY_ROPE_LAYERS][0]) return;
    wf_arch_read_size_or(r, WF_KEY_NOPE_EVERY, 1 << 20, 0, &every);
    bool listed = wf_json_kind_of(list) > WF_JSON_NULL;
    if (listed && wf_arch_noted(r, wf_json_read_array(list))) return;
    if (listed && wf_json_count(list) != (size_t)a->n_layers) {
        wf_arch_noted(
            r, wf_json_fail(list, "%zu numbers for %d layers", wf_json_count(list), a->n_layers));
        return;
    }
    for (int32_t i = 0; i < a->n_layers; i++) {
        int64_t rotated = every == 0 || (i + 1) % every != 0;
        if (listed) wf_arch_noted(r, wf_json_read_i64(wf_json_at(list, (size_t)i), 0, 1, &rotated));
        a->layer[i].i_rope = rotated ? 0 : -1;
    }
}

// Positions of a table that is learned, or slopes of scores: nothing is rotated.
static void read_unrotated(wf_arch_reader *r, wf_arch *a)
{
    bool learned = r->family->position == WF_POSITION_LEARNED;
    int32_t first = r->family->first_position;
    if (learned) a->n_positions = a->max_context + (r->family->counts_first ? 0 : first);
    if (learned && r->family->counts_first) a->max_context -= first;
    if (a->max_context < 1)
        wf_arch_complain(r, "%d positions, of which the first %d are not used", a->n_positions,
                         first);
    for (int32_t i = 0; i < a->n_layers; i++)
        a->layer[i].i_rope = -1;
}

// A table may hold one for each kind of layer, where there are two.
static wf_json_ref part_of(const wf_arch_reader *r, wf_json_ref of, const char *kind)
{
    wf_json_ref part = wf_json_find(of, kind);
    bool apart = r->family->absent[WF_KEY_LOCAL_THETA] > 0.0 && wf_json_has(of, kind);
    return apart ? part : of;
}

// What sliding layers are rotated by: a base of their own, and only what a table says of them.
static void read_local(wf_arch_reader *r, wf_json_ref of, wf_arch *a)
{
    double share = 1.0;
    wf_rope *rope = &a->rope[1];
    wf_json_ref part = wf_json_find(of, "sliding_attention");
    if (r->family->absent[WF_KEY_LOCAL_THETA] <= 0.0) return;
    rope->factor = 1.0;
    wf_arch_read_real(r, WF_KEY_LOCAL_THETA, 1.0, MAX_THETA, &rope->theta);
    read_table(r, part, &share, rope);
    if (wf_json_kind_of(part) == WF_JSON_OBJECT) read_numbers(r, part, a, rope);
    a->n_ropes = 2;
}

static void read_rotary(wf_arch_reader *r, wf_arch *a)
{
    double share;
    wf_rope *rope = &a->rope[0];
    bool table = r->family->keys[WF_KEY_ROPE_THETA][0] != NULL;
    wf_json_ref all = table_of(r), of = part_of(r, all, "full_attention");
    rope->factor = 1.0;
    wf_arch_read_real(r, WF_KEY_ROPE_THETA, 1.0, MAX_THETA, &rope->theta);
    wf_arch_read_real(r, WF_KEY_ROTARY_PCT, 0.0, 1.0, &share);
    if (table) {
        check_whole(r, r->root);
        read_table(r, of, &share, rope);
    }
    wf_arch_read_size_or(r, WF_KEY_ROTARY_DIM, 1024, (int32_t)((double)a->head_dim * share),
                         &a->rotary_dim);
    if (table && wf_json_kind_of(of) == WF_JSON_OBJECT) read_numbers(r, of, a, rope);
    a->n_ropes = 1;
    read_local(r, all, a);
    read_layers(r, a);
}

void wf_arch_read_rope(wf_arch_reader *r, wf_arch *a)
{
    if (r->family->position == WF_POSITION_LEARNED || a->alibi)
        read_unrotated(r, a);
    else
        read_rotary(r, a);
}
