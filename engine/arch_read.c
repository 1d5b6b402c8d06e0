// The reader of config.json, and the values that need no more than reading: sizes, flags, the
// activation, the dtype.
#include "engine/arch_reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/base/log.h"

bool wf_arch_noted(wf_arch_reader *r, wf_status st)
{
    if (st == WF_OK) return false;
    const char *text = wf_error();
    const char *path = wf_hf_folder_path(r->folder);
    if (r->n_problems > 0 && strncmp(text, path, strlen(path)) == 0) {
        const char *rest = strstr(text + strlen(path), ": ");
        if (rest) text = rest + 2;
    }
    size_t room = sizeof r->problems - r->used;
    int n = snprintf(r->problems + r->used, room, "%s%s", r->n_problems ? "; " : "", text);
    r->used += (size_t)n < room ? (size_t)n : room - 1;
    r->n_problems++;
    return true;
}

void wf_arch_complain(wf_arch_reader *r, const char *format, ...)
{
    char text[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wf_arch_noted(r, wf_fail(WF_DATA, "%s/config.json: %s", wf_hf_folder_path(r->folder), text));
}

void wf_arch_warn(const char *format, ...)
{
    char text[WF_ERROR_MAX];
    va_list args;
    if (wf_log_rank() > 0) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wf_warn("%s", text);
}

static wf_json_kind kind_of(const wf_arch_reader *r, const char *name)
{
    return name ? wf_json_kind_of(wf_json_find(r->root, name)) : WF_JSON_ABSENT;
}

wf_json_ref wf_arch_place(const wf_arch_reader *r, wf_config_key key)
{
    const char *const *names = r->family->keys[key];
    bool second = kind_of(r, names[0]) == WF_JSON_ABSENT && kind_of(r, names[1]) != WF_JSON_ABSENT;
    return wf_json_find(r->root, names[second]);
}

bool wf_arch_has(const wf_arch_reader *r, wf_config_key key)
{
    return r->family->keys[key][0] && wf_json_kind_of(wf_arch_place(r, key)) != WF_JSON_ABSENT;
}

double wf_arch_absent(const wf_arch_reader *r, wf_config_key key)
{
    double of_class = r->part ? wf_text_part_absent(r->type, key) : 0.0;
    return of_class > 0.0 ? of_class : r->family->absent[key];
}

void wf_arch_read_size(wf_arch_reader *r, wf_config_key key, int32_t max, int32_t *out)
{
    int64_t value = (int64_t)wf_arch_absent(r, key);
    if (wf_arch_has(r, key) || value < 1) {
        if (wf_arch_noted(r, wf_json_read_i64(wf_arch_place(r, key), 1, max, &value))) return;
    }
    *out = (int32_t)value;
}

void wf_arch_read_size_or(wf_arch_reader *r, wf_config_key key, int32_t max, int32_t null,
                          int32_t *out)
{
    *out = null;
    if (!wf_arch_has(r, key)) {
        if (wf_arch_absent(r, key) > 0) *out = (int32_t)wf_arch_absent(r, key);
    } else if (wf_json_kind_of(wf_arch_place(r, key)) != WF_JSON_NULL) {
        wf_arch_read_size(r, key, max, out);
    }
}

void wf_arch_read_real(wf_arch_reader *r, wf_config_key key, double min, double max, double *out)
{
    *out = wf_arch_absent(r, key);
    if (wf_arch_has(r, key))
        wf_arch_noted(r, wf_json_read_f64(wf_arch_place(r, key), min, max, out));
}

void wf_arch_read_flag_or(wf_arch_reader *r, wf_config_key key, bool otherwise, bool *out)
{
    *out = otherwise;
    if (wf_arch_has(r, key)) wf_arch_noted(r, wf_json_read_bool(wf_arch_place(r, key), out));
}

static void read_sizes(wf_arch_reader *r, wf_arch *a)
{
    double eps;
    bool one_head;
    wf_arch_layer *l = &r->every;
    wf_arch_read_size(r, WF_KEY_N_LAYERS, WF_ARCH_MAX_LAYERS, &a->n_layers);
    wf_arch_read_size(r, WF_KEY_HIDDEN, 1 << 20, &a->hidden);
    wf_arch_read_size(r, WF_KEY_N_HEADS, 1 << 14, &l->n_heads);
    wf_arch_read_size_or(r, WF_KEY_N_KV_HEADS, 1 << 14, l->n_heads, &l->n_kv_heads);
    wf_arch_read_flag_or(r, WF_KEY_MULTI_QUERY, r->family->absent[WF_KEY_MULTI_QUERY] > 0.0,
                         &one_head);
    if (one_head) l->n_kv_heads = 1;
    wf_arch_read_size_or(r, WF_KEY_HEAD_DIM, WF_MAX_HEAD_DIM,
                         l->n_heads ? a->hidden / l->n_heads : 0, &a->head_dim);
    if (r->family->keys[WF_KEY_N_EXPERTS][0] && !r->family->keys[WF_KEY_EXPERT_FFN][0])
        l->ffn = 0; // all of it is of experts
    else if (r->family->ffn_is_4_hidden)
        wf_arch_read_size_or(r, WF_KEY_FFN, 1 << 22, 4 * a->hidden, &l->ffn);
    else
        wf_arch_read_size(r, WF_KEY_FFN, 1 << 22, &l->ffn);
    wf_arch_read_size(r, WF_KEY_VOCAB, 1 << 24, &a->n_vocab);
    wf_arch_read_size(r, WF_KEY_MAX_CONTEXT, 1 << 28, &a->max_context);
    wf_arch_read_real(r, WF_KEY_NORM_EPS, 0.0, 1.0, &eps);
    a->norm_eps = (float)eps;
}

// A head in the file counts, as in transformers: tied weights that differ are not tied there, and
// equal ones give the same logits either way.
static void read_tied(wf_arch_reader *r, wf_arch *a)
{
    char head[160] = "";
    size_t i;
    wf_json_ref said = wf_arch_whole_first(r, "tie_word_embeddings");
    a->tied = r->part ? r->part->tied : r->family->tied;
    if (wf_json_kind_of(said) != WF_JSON_ABSENT)
        wf_arch_noted(r, wf_json_read_bool(said, &a->tied));
    if (r->family->names[WF_ROLE_HEAD])
        wf_arch_tensor_name(a, WF_ROLE_HEAD, 0, 0, ".weight", head, sizeof head);
    if (!r->family->names[WF_ROLE_HEAD]) a->tied = false;
    if (r->family->bidirectional) return; // a matrix beside them is theirs again
    if (!a->tied || wf_hf_folder_find(r->folder, head, &i) != WF_OK) return;
    wf_arch_warn("%s: config.json ties the head to the embeddings, and %s is in the weights: it is "
                 "used, as transformers does where the two differ",
                 wf_hf_folder_path(r->folder), head);
    a->tied = false;
}

static void read_join(wf_arch_reader *r)
{
    const wf_family *f = r->family;
    bool parallel, shared = f->names[WF_ROLE_MLP_NORM] == NULL;
    wf_arch_read_flag_or(r, WF_KEY_PARALLEL, f->parallel_residual, &parallel);
    r->every.mixer = f->bidirectional ? WF_BLOCK_BIDIRECTIONAL : WF_BLOCK_ATTENTION;
    r->every.join = f->post_norm ? WF_JOIN_POST
                    : !parallel  ? WF_JOIN_SERIAL
                    : shared     ? WF_JOIN_SHARED
                                 : WF_JOIN_PARALLEL;
    if (shared && !parallel && !f->names[WF_ROLE_MLP_AFTER])
        wf_arch_complain(r, "one norm for attention and MLP needs a parallel residual");
}

static void read_flags(wf_arch_reader *r, wf_arch *a)
{
    const wf_family *f = r->family;
    a->bias_head = f->bias_head;
    wf_arch_read_flag_or(r, WF_KEY_ALIBI, f->alibi, &a->alibi);
    a->context_open = a->alibi;
    a->expert_gate = WF_GATE_SILU;
    a->expert_parts = 1;
    a->gated = f->gated;
    wf_arch_read_flag_or(r, WF_KEY_ATTN_BIAS, f->bias_qkv, &a->bias_qkv);
    wf_arch_read_flag_or(r, WF_KEY_QKV_BIAS, a->bias_qkv, &a->bias_qkv);
    wf_arch_read_flag_or(r, WF_KEY_ATTN_BIAS, f->bias_o, &a->bias_o);
    wf_arch_read_flag_or(r, WF_KEY_MLP_BIAS, f->bias_mlp, &a->bias_mlp);
    wf_arch_read_flag_or(r, WF_KEY_HEAD_NORM,
                         f->names[WF_ROLE_Q_NORM] && !f->keys[WF_KEY_HEAD_NORM][0], &a->head_norms);
    read_join(r);
    read_tied(r, a);
}

// Of encoders: segments, distances, and embeddings of another width than the model's.
static void read_embeddings(wf_arch_reader *r, wf_arch *a)
{
    int32_t width = a->hidden;
    if (r->family->keys[WF_KEY_TYPES][0])
        wf_arch_read_size_or(r, WF_KEY_TYPES, 1 << 16, 0, &a->n_types);
    if (r->family->keys[WF_KEY_DISTANCES][0])
        wf_arch_read_size_or(r, WF_KEY_DISTANCES, 1 << 10, 0, &a->n_distances);
    if (r->family->keys[WF_KEY_EMBED_WIDTH][0])
        wf_arch_read_size_or(r, WF_KEY_EMBED_WIDTH, 1 << 20, a->hidden, &width);
    a->embed_width = width;
    if (width > a->hidden)
        wf_arch_complain(r,
                         "embeddings of %d numbers in a model of %d: wider ones are not known here",
                         width, a->hidden);
}

// A factor, 1 where neither the file nor the family's row has one.
static float read_scale(wf_arch_reader *r, wf_config_key key, double otherwise)
{
    double value;
    wf_arch_read_real(r, key, 1e-9, 1e9, &value);
    return (float)(value > 0.0 ? value : otherwise);
}

// 0 where it is null, and where neither the file nor the family's row has one.
static float read_cap(wf_arch_reader *r, wf_config_key key)
{
    double cap = 0.0;
    if (!wf_arch_has(r, key) || wf_json_kind_of(wf_arch_place(r, key)) != WF_JSON_NULL)
        wf_arch_read_real(r, key, 1e-3, 1e6, &cap);
    return (float)cap;
}

static void read_caps(wf_arch_reader *r, wf_arch *a)
{
    double scalar;
    wf_arch_read_real(r, WF_KEY_ATTN_SCALAR, 1e-3, 1e9, &scalar);
    if (scalar > 0.0) r->every.scale = (float)(1.0 / sqrt(scalar));
    r->every.softcap = read_cap(r, WF_KEY_ATTN_CAP);
    a->logit_cap = read_cap(r, WF_KEY_LOGIT_CAP);
    if (r->family->embed_by_width) a->embed_scale = (float)sqrt((double)a->hidden);
}

static void read_scales(wf_arch_reader *r, wf_arch *a)
{
    double usual = a->head_dim > 0 ? 1.0 / sqrt((double)a->head_dim) : 1.0;
    r->every.scale = read_scale(r, WF_KEY_ATTN_SCALE, usual);
    a->embed_scale = read_scale(r, WF_KEY_EMBED_SCALE, 1.0);
    a->residual_scale = read_scale(r, WF_KEY_RESIDUAL_SCALE, 1.0);
    a->logit_scale =
        read_scale(r, WF_KEY_LOGIT_SCALE, 1.0) / read_scale(r, WF_KEY_LOGIT_DIVISOR, 1.0);
}

static void read_activation(wf_arch_reader *r, wf_arch *a)
{
    const char *name;
    char known[96] = "";
    a->curve = r->family->curve;
    if (!wf_arch_has(r, WF_KEY_ACTIVATION)) return; // the family's
    wf_json_ref place = wf_arch_place(r, WF_KEY_ACTIVATION);
    if (wf_arch_noted(r, wf_json_read_string(place, &name))) return;
    for (const wf_activation_name *one = r->family->activation_names; one->name; one++) {
        a->curve = one->curve;
        if (strcmp(name, one->name) == 0) return;
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", one->name);
    }
    wf_arch_noted(r, wf_json_fail(place,
                                  "'%.32s' is not an activation that %s models can have here (%s)",
                                  name, r->family->name, known));
}

static void read_dtype(wf_arch_reader *r, wf_arch *a)
{
    wf_json_ref place = wf_arch_whole_first(r, "dtype");
    const char *name;
    if (wf_json_kind_of(place) == WF_JSON_ABSENT) place = wf_arch_whole_first(r, "torch_dtype");
    if (wf_json_kind_of(place) == WF_JSON_ABSENT) {
        a->dtype = WF_F32;
        return;
    }
    if (wf_arch_noted(r, wf_json_read_string(place, &name))) return;
    if (strncmp(name, "torch.", 6) == 0) name += 6;
    for (int i = 0; i < WF_N_DTYPES; i++)
        if (!wf_format_scaled((wf_dtype)i) &&
            strcmp(name, wf_format_of((wf_dtype)i)->long_name) == 0) {
            a->dtype = (wf_dtype)i;
            return;
        }
    wf_arch_noted(r, wf_json_fail(place,
                                  "'%.32s' is not a dtype weights can have here (float32, "
                                  "bfloat16, float16)",
                                  name));
}

void wf_arch_read_values(wf_arch_reader *r, wf_arch *a)
{
    read_sizes(r, a);
    read_flags(r, a);
    read_embeddings(r, a);
    read_scales(r, a);
    read_caps(r, a);
    read_activation(r, a);
    read_dtype(r, a);
}
