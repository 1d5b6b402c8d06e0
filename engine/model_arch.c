// Reads config.json into plain values. A problem is noted and reading goes on with what is left, so
// that one run shows all of them.
#include "engine/model_arch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/base/log.h"

typedef struct reader {
    const wf_hf_folder *folder;
    wf_json_ref root;
    const wf_family *family;
    char problems[WF_ERROR_MAX];
    size_t used;
    int n_problems;
} reader;

// Adds the last error to the problems; the file's name is kept in the first only.
static bool noted(reader *r, wf_status st)
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

// The place of a key: the first of its names that is there, else the first.
static wf_json_ref place_of(const reader *r, wf_config_key key)
{
    const char *const *names = r->family->keys[key];
    const char *name = names[1] && !wf_json_has(r->root, names[0]) && wf_json_has(r->root, names[1])
                           ? names[1]
                           : names[0];
    return wf_json_find(r->root, name);
}

static bool has_key(const reader *r, wf_config_key key)
{
    return r->family->keys[key][0] && wf_json_kind_of(place_of(r, key)) > WF_JSON_NULL;
}

static void read_size(reader *r, wf_config_key key, int32_t max, int32_t *out)
{
    int64_t value;
    if (!noted(r, wf_json_read_i64(place_of(r, key), 1, max, &value))) *out = (int32_t)value;
}

static void read_size_or(reader *r, wf_config_key key, int32_t max, int32_t otherwise, int32_t *out)
{
    if (has_key(r, key))
        read_size(r, key, max, out);
    else
        *out = otherwise;
}

static void read_real_or(reader *r, wf_config_key key, double min, double max, double otherwise,
                         double *out)
{
    *out = otherwise;
    if (has_key(r, key)) noted(r, wf_json_read_f64(place_of(r, key), min, max, out));
}

static void read_flag_or(reader *r, wf_config_key key, bool otherwise, bool *out)
{
    *out = otherwise;
    if (has_key(r, key)) noted(r, wf_json_read_bool(place_of(r, key), out));
}

static void read_sizes(reader *r, wf_arch *a)
{
    double eps;
    read_size(r, WF_KEY_N_LAYERS, 10000, &a->n_layers);
    read_size(r, WF_KEY_HIDDEN, 1 << 20, &a->hidden);
    read_size(r, WF_KEY_N_HEADS, 1 << 14, &a->n_heads);
    read_size_or(r, WF_KEY_N_KV_HEADS, 1 << 14, a->n_heads, &a->n_kv_heads);
    read_size_or(r, WF_KEY_HEAD_DIM, 1024, a->n_heads ? a->hidden / a->n_heads : 0, &a->head_dim);
    if (r->family->ffn_is_4_hidden)
        read_size_or(r, WF_KEY_FFN, 1 << 22, 4 * a->hidden, &a->ffn);
    else
        read_size(r, WF_KEY_FFN, 1 << 22, &a->ffn);
    read_size(r, WF_KEY_VOCAB, 1 << 24, &a->n_vocab);
    read_size(r, WF_KEY_MAX_CONTEXT, 1 << 28, &a->max_context);
    read_real_or(r, WF_KEY_NORM_EPS, 0.0, 1.0, r->family->default_norm_eps, &eps);
    a->norm_eps = (float)eps;
}

static void read_flags(reader *r, wf_arch *a)
{
    const wf_family *f = r->family;
    a->bias_head = f->bias_head;
    a->gated = f->activation == WF_ACT_SILU_GATED;
    a->shared_norm = f->names[WF_ROLE_MLP_NORM] == NULL;
    read_flag_or(r, WF_KEY_ATTN_BIAS, f->bias_qkv, &a->bias_qkv);
    read_flag_or(r, WF_KEY_ATTN_BIAS, f->bias_o, &a->bias_o);
    read_flag_or(r, WF_KEY_MLP_BIAS, f->bias_mlp, &a->bias_mlp);
    read_flag_or(r, WF_KEY_PARALLEL, f->parallel_residual, &a->parallel_residual);
    noted(r, wf_json_get_bool_or(r->root, "tie_word_embeddings", false, &a->tied));
}

static void read_activation(reader *r, wf_arch *a)
{
    const char *name;
    char known[96] = "";
    wf_json_ref place = place_of(r, WF_KEY_ACTIVATION);
    a->gelu_exact = r->family->activation == WF_ACT_GELU_EXACT;
    if (!has_key(r, WF_KEY_ACTIVATION)) return; // the family's
    if (noted(r, wf_json_read_string(place, &name))) return;
    for (const wf_activation_name *one = r->family->activation_names; one->name; one++) {
        a->gelu_exact = one->kind == WF_ACT_GELU_EXACT;
        if (strcmp(name, one->name) == 0) return;
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", one->name);
    }
    noted(r, wf_json_fail(place, "'%.32s' is not an activation that %s models can have here (%s)",
                          name, r->family->name, known));
}

static void read_dtype(reader *r, wf_arch *a)
{
    static const struct {
        const char *name;
        wf_dtype dtype;
    } names[] = {{"float32", WF_F32}, {"bfloat16", WF_BF16}, {"float16", WF_F16}};
    const char *key = wf_json_has(r->root, "dtype") ? "dtype" : "torch_dtype";
    const char *name;
    if (noted(r, wf_json_get_string_or(r->root, key, "float32", &name))) return;
    if (strncmp(name, "torch.", 6) == 0) name += 6;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].name) == 0) {
            a->dtype = names[i].dtype;
            return;
        }
    }
    noted(r, wf_json_fail(wf_json_find(r->root, key),
                          "'%.32s' is not a dtype weights can have here (float32, bfloat16, "
                          "float16)",
                          name));
}

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

static void read_rope_numbers(reader *r, wf_json_ref of, wf_arch *a)
{
    wf_rope *rope = &a->rope;
    if (rope->type == WF_ROPE_DEFAULT) return;
    noted(r, wf_json_get_f64(of, "factor", 1.0, 1e6, &rope->factor));
    if (rope->type != WF_ROPE_LLAMA3) return;
    noted(r, wf_json_get_f64(of, "low_freq_factor", 1e-3, 1e6, &rope->low_freq));
    noted(r, wf_json_get_f64(of, "high_freq_factor", 1e-3, 1e6, &rope->high_freq));
    noted(r, wf_json_get_f64(of, "original_max_position_embeddings", 1, 1e9,
                             &rope->original_max_context));
    if (rope->high_freq <= rope->low_freq) {
        noted(r, wf_json_fail(wf_json_find(of, "high_freq_factor"),
                              "must be greater than low_freq_factor"));
    }
}

// rope_scaling or rope_parameters: how positions are stretched.
static void read_scaling(reader *r, wf_json_ref of, wf_arch *a)
{
    const char *key = wf_json_has(of, "rope_type") ? "rope_type" : "type";
    const char *name;
    if (noted(r, wf_json_read_object(of))) return;
    if (wf_json_kind_of(wf_json_find(of, "full_attention")) == WF_JSON_OBJECT) {
        noted(r, wf_json_fail(of, "rotary parameters that differ by layer are not known here"));
        return;
    }
    if (noted(r, wf_json_get_string_or(of, key, "default", &name))) return;
    if (!rope_type_of(name, &a->rope.type)) {
        noted(r, wf_json_fail(wf_json_find(of, key),
                              "'%.32s' is not a rotary type known here (default, linear, llama3)",
                              name));
        return;
    }
    read_rope_numbers(r, of, a);
}

static void read_rotary_dim(reader *r, double pct, wf_arch *a)
{
    int32_t otherwise = (int32_t)((double)a->head_dim * pct);
    read_size_or(r, WF_KEY_ROTARY_DIM, 1024, otherwise, &a->rotary_dim);
}

static void read_rope(reader *r, wf_arch *a)
{
    double pct;
    read_real_or(r, WF_KEY_ROPE_THETA, 1.0, 1e15, 10000.0, &a->rope.theta);
    read_real_or(r, WF_KEY_ROTARY_PCT, 0.0, 1.0, r->family->default_rotary_pct, &pct);
    if (wf_json_has(r->root, "rope_parameters")) {
        wf_json_ref of = wf_json_find(r->root, "rope_parameters");
        read_scaling(r, of, a);
        if (wf_json_has(of, "rope_theta"))
            noted(r, wf_json_get_f64(of, "rope_theta", 1.0, 1e15, &a->rope.theta));
        if (wf_json_has(of, "partial_rotary_factor")) {
            noted(r, wf_json_get_f64(of, "partial_rotary_factor", 0.0, 1.0, &pct));
            if (pct < 1.0 && !r->family->keys[WF_KEY_ROTARY_PCT][0]) {
                noted(r, wf_json_fail(wf_json_find(of, "partial_rotary_factor"),
                                      "%s models rotate whole heads", r->family->name));
            }
        }
    } else if (wf_json_has(r->root, "rope_scaling")) {
        read_scaling(r, wf_json_find(r->root, "rope_scaling"), a);
    }
    read_rotary_dim(r, pct, a);
}

// Within its window, sliding attention is full attention: the context is cut to it.
static void read_window(reader *r, wf_arch *a)
{
    bool use;
    int32_t window = 0;
    wf_json_ref types = wf_json_find(r->root, "layer_types");
    for (size_t i = 0; i < wf_json_count(types); i++) {
        const char *type;
        if (noted(r, wf_json_read_string(wf_json_at(types, i), &type))) return;
        if (strcmp(type, "full_attention") != 0 && strcmp(type, "sliding_attention") != 0) {
            noted(r, wf_json_fail(wf_json_at(types, i), "'%.32s' layers are not known here", type));
            return;
        }
    }
    read_flag_or(r, WF_KEY_USE_WINDOW, true, &use);
    if (!use || !has_key(r, WF_KEY_WINDOW)) return;
    read_size(r, WF_KEY_WINDOW, INT32_MAX, &window);
    if (window == 0 || window >= a->max_context) return;
    wf_warn("%s: the context is limited to the %d tokens of the model's sliding window, not %d",
            wf_hf_folder_path(r->folder), window, a->max_context);
    a->max_context = window;
}

static void add_eos(reader *r, wf_json_ref place, wf_arch *a)
{
    int64_t id;
    if (noted(r, wf_json_read_i64(place, 0, a->n_vocab ? a->n_vocab - 1 : INT32_MAX, &id))) return;
    for (int32_t i = 0; i < a->n_eos; i++)
        if (a->eos[i] == id) return;
    if (a->n_eos == WF_ARCH_MAX_EOS) {
        noted(r, wf_json_fail(place, "more than %d tokens that end a text", WF_ARCH_MAX_EOS));
        return;
    }
    a->eos[a->n_eos++] = (int32_t)id;
}

// An integer, a list of them, or nothing.
static void read_eos(reader *r, const wf_json *doc, wf_arch *a)
{
    if (!doc || !wf_json_has(wf_json_root(doc), "eos_token_id")) return;
    wf_json_ref place = wf_json_find(wf_json_root(doc), "eos_token_id");
    if (wf_json_kind_of(place) != WF_JSON_ARRAY) {
        add_eos(r, place, a);
        return;
    }
    for (size_t i = 0; i < wf_json_count(place) && i <= WF_ARCH_MAX_EOS; i++)
        add_eos(r, wf_json_at(place, i), a);
}

static void read_tokens(reader *r, wf_arch *a)
{
    int64_t bos = -1;
    read_eos(r, wf_hf_folder_config(r->folder), a);
    read_eos(r, wf_hf_folder_generation(r->folder), a);
    noted(r, wf_json_get_i64_or(r->root, "bos_token_id", -1, INT32_MAX, -1, &bos));
    a->bos = (int32_t)bos;
}

static void complain(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(reader *r, const char *format, ...)
{
    char text[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    noted(r, wf_fail(WF_DATA, "%s/config.json: %s", wf_hf_folder_path(r->folder), text));
}

// What must hold between the values; only looked at when each is good by itself.
static void check_together(reader *r, wf_arch *a)
{
    if (!has_key(r, WF_KEY_HEAD_DIM) && a->hidden % a->n_heads != 0) {
        complain(r, "hidden size %d does not divide by %d heads, and there is no head_dim",
                 a->hidden, a->n_heads);
    }
    if (a->n_heads % a->n_kv_heads != 0)
        complain(r, "%d heads do not divide by %d key/value heads", a->n_heads, a->n_kv_heads);
    if (a->head_dim < 2 || a->head_dim % 2 != 0)
        complain(r, "head_dim %d: must be even and at least 2", a->head_dim);
    if (a->rotary_dim < 2 || a->rotary_dim > a->head_dim || a->rotary_dim % 2 != 0) {
        complain(r, "%d rotary dimensions: must be even, at least 2, at most head_dim %d",
                 a->rotary_dim, a->head_dim);
    }
    if (a->shared_norm && !a->parallel_residual)
        complain(r, "one norm for attention and MLP needs a parallel residual");
}

static void refuse_others(reader *r)
{
    if (wf_json_has(r->root, "quantization_config")) {
        noted(r, wf_json_fail(wf_json_find(r->root, "quantization_config"),
                              "quantised checkpoints are not read; use the float checkpoint"));
    }
}

wf_status wf_arch_read(const wf_hf_folder *folder, wf_arch *out)
{
    char place[512];
    const char *type;
    wf_arch a = {.rope = {.factor = 1.0}};
    reader r = {.folder = folder, .root = wf_json_root(wf_hf_folder_config(folder))};
    WF_TRY(wf_json_get_string(r.root, "model_type", &type));
    snprintf(place, sizeof place, "%s/config.json", wf_hf_folder_path(folder));
    WF_TRY(wf_family_find(place, type, &r.family));
    a.family = r.family;
    read_sizes(&r, &a);
    read_flags(&r, &a);
    read_activation(&r, &a);
    read_dtype(&r, &a);
    read_rope(&r, &a);
    read_tokens(&r, &a);
    refuse_others(&r);
    if (r.n_problems == 0) check_together(&r, &a);
    if (r.n_problems == 0) read_window(&r, &a);
    if (r.n_problems > 0) return wf_fail(WF_DATA, "%s", r.problems);
    a.attn_scale = (float)(1.0 / sqrt((double)a.head_dim));
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

wf_status wf_arch_check_tp(const wf_arch *arch, int32_t tp_size)
{
    char sizes[96] = "";
    if (tp_size >= 1 && arch->n_heads % tp_size == 0 && arch->n_kv_heads % tp_size == 0 &&
        arch->ffn % tp_size == 0) {
        return WF_OK;
    }
    int32_t common = common_divisor(common_divisor(arch->n_heads, arch->n_kv_heads), arch->ffn);
    for (int32_t i = 1; i <= common; i++) {
        size_t at = strlen(sizes);
        if (common % i == 0) snprintf(sizes + at, sizeof sizes - at, "%s%d", at ? ", " : "", i);
    }
    return wf_fail(WF_CONFIG,
                   "parallel.tensor: %d does not divide the model's %d heads, %d key/value heads "
                   "and FFN size %d; sizes that do: %s",
                   tp_size, arch->n_heads, arch->n_kv_heads, arch->ffn, sizes);
}

int32_t wf_arch_vocab_slice(const wf_arch *arch, int32_t tp_size)
{
    return (arch->n_vocab + tp_size - 1) / tp_size;
}

// Elements of the matrices of one layer, and of its norms and biases.
typedef struct layer_counts {
    uint64_t matrices, qkv_bias, o_bias, up_bias, down_bias, norms;
} layer_counts;

static layer_counts count_layer(const wf_arch *a, uint64_t tp)
{
    uint64_t hidden = (uint64_t)a->hidden, ffn = (uint64_t)a->ffn / tp;
    uint64_t q = (uint64_t)a->n_heads / tp * (uint64_t)a->head_dim;
    uint64_t kv = (uint64_t)a->n_kv_heads / tp * (uint64_t)a->head_dim;
    uint64_t up = a->gated ? 2 * ffn : ffn;
    uint64_t norm = a->family->norm == WF_NORM_LAYER ? 2 * hidden : hidden;
    return (layer_counts){
        .matrices = (q + 2 * kv) * hidden + hidden * q + up * hidden + hidden * ffn,
        .qkv_bias = a->bias_qkv ? q + 2 * kv : 0,
        .o_bias = a->bias_o ? hidden : 0,
        .up_bias = a->bias_mlp ? up : 0,
        .down_bias = a->bias_mlp ? hidden : 0,
        .norms = a->shared_norm ? norm : 2 * norm,
    };
}

void wf_arch_bytes(const wf_arch *arch, wf_dtype dtype, int32_t tp_size, int32_t max_context,
                   wf_arch_memory *out)
{
    uint64_t layers = (uint64_t)arch->n_layers, hidden = (uint64_t)arch->hidden;
    uint64_t each = wf_dtype_bytes(dtype);
    uint64_t final_norm = arch->family->norm == WF_NORM_LAYER ? 2 * hidden : hidden;
    uint64_t rotary =
        (uint64_t)(max_context ? max_context : arch->max_context) * (uint64_t)arch->rotary_dim;
    layer_counts whole = count_layer(arch, 1), mine = count_layer(arch, (uint64_t)tp_size);
    uint64_t vocab = (uint64_t)arch->n_vocab;
    uint64_t slice = (uint64_t)wf_arch_vocab_slice(arch, tp_size);
    uint64_t tables = arch->tied ? 1 : 2;
    uint64_t vectors =
        layers * (mine.qkv_bias + mine.o_bias + mine.up_bias + mine.down_bias + mine.norms) +
        final_norm + (arch->bias_head ? slice : 0);
    *out = (wf_arch_memory){
        .n_params = layers * (whole.matrices + whole.qkv_bias + whole.o_bias + whole.up_bias +
                              whole.down_bias + whole.norms) +
                    tables * vocab * hidden + final_norm + (arch->bias_head ? vocab : 0),
        .weight_bytes = (layers * mine.matrices + tables * slice * hidden) * each +
                        (vectors + rotary) * sizeof(float),
        .kv_bytes_per_token =
            layers * 2 * (uint64_t)(arch->n_kv_heads / tp_size) * (uint64_t)arch->head_dim * each,
        .step_read_bytes =
            (layers * mine.matrices + slice * hidden) * each + vectors * sizeof(float),
    };
}
