// quantization_config of config.json. What is not understood is refused by name: numbers that are
// nearly understood give nearly right tokens.
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "engine/arch_reader.h"
#include "engine/quant.h"
#include "io/base/text.h"

typedef struct quant_reader {
    wf_arch_reader *r;
    wf_arch *a;
    wf_json_ref of;      // quantization_config
    wf_quant_kind *kind; // which is being read
} quant_reader;

static void refuse(quant_reader *q, const char *key, const char *why)
{
    wf_arch_noted(q->r, wf_json_fail(wf_json_find(q->of, key), "%s", why));
}

// ---- which keys ---------------------------------------------------------------------------------

// Every key must be one of these: what the numbers are, or how they were made.
static void check_known(quant_reader *q, wf_json_ref of, const char *const *known)
{
    wf_json_iter it = wf_json_iterate(of);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const char *const *name = known;
        while (*name && strcmp(item.key, *name) != 0)
            name++;
        if (!*name && wf_json_kind_of(item) > WF_JSON_NULL)
            wf_arch_noted(q->r, wf_json_fail(item, "is not known here and may change the weights; "
                                                   "use the float checkpoint"));
    }
}

static bool read_int(quant_reader *q, wf_json_ref of, const char *key, int64_t otherwise,
                     int64_t *out)
{
    return !wf_arch_noted(q->r, wf_json_get_i64_or(of, key, -1, 1 << 20, otherwise, out));
}

static bool read_flag(quant_reader *q, wf_json_ref of, const char *key, bool otherwise)
{
    bool value = otherwise;
    wf_arch_noted(q->r, wf_json_get_bool_or(of, key, otherwise, &value));
    return value;
}

static const char *read_word(quant_reader *q, wf_json_ref of, const char *key,
                             const char *otherwise)
{
    const char *value = otherwise;
    wf_arch_noted(q->r, wf_json_get_string_or(of, key, otherwise, &value));
    return value;
}

static void take_block(quant_reader *q, wf_json_ref place, int64_t n)
{
    if (n == 32 || n == 64 || n == 128 || n == -1 || n == 0)
        q->kind->block = n > 0 ? (int32_t)n : 0;
    else
        wf_arch_noted(q->r, wf_json_fail(place,
                                         "groups of %d numbers are not read, only of 32, 64, "
                                         "128 or a whole row; use the float checkpoint",
                                         (int)n));
}

// ---- which matrices -----------------------------------------------------------------------------

typedef bool match_fn(quant_reader *q, wf_json_ref item, const char *pattern, const char *name);

// compressed-tensors: a name, or "re:" and an expression that its beginning must match.
static bool match_ignored(quant_reader *q, wf_json_ref item, const char *pattern, const char *name)
{
    regex_t re;
    char anchored[4096];
    if (strncmp(pattern, "re:", 3) != 0) return strcmp(pattern, name) == 0;
    snprintf(anchored, sizeof anchored, "^(%s)", pattern + 3);
    bool python = strstr(pattern, "(?") || strstr(pattern, "\\d") || strstr(pattern, "\\w") ||
                  strstr(pattern, "\\b") || strstr(pattern, "*?") || strstr(pattern, "+?");
    if (python || strlen(pattern) + 4 > sizeof anchored ||
        regcomp(&re, anchored, REG_EXTENDED | REG_NOSUB) != 0) {
        wf_arch_noted(q->r, wf_json_fail(item,
                                         "'%.64s' is an expression that is not understood "
                                         "here; write it without what Python alone knows",
                                         pattern));
        return false;
    }
    bool yes = regexec(&re, name, 0, NULL, 0) == 0;
    regfree(&re);
    return yes;
}

// transformers: the name, what it begins with up to a dot, or ends with after one.
static bool match_module(quant_reader *q, wf_json_ref item, const char *pattern, const char *name)
{
    (void)q;
    (void)item;
    size_t n = strlen(pattern), all = strlen(name);
    if (strncmp(name, pattern, n) == 0 && (name[n] == '\0' || name[n] == '.')) return true;
    return all > n && name[all - n - 1] == '.' && strcmp(name + all - n, pattern) == 0;
}

// AutoAWQ: the name holds it.
static bool match_part(quant_reader *q, wf_json_ref item, const char *pattern, const char *name)
{
    (void)q;
    (void)item;
    return strstr(name, pattern) != NULL;
}

// Makes the matrix of a role in layer i, or outside of layers, be of a kind; 0: plain.
static void set_kind(quant_reader *q, int role, int32_t i, uint8_t kind)
{
    q->a->quant.in_layer[i][role] = kind;
    if (!strstr(q->r->family->names[role], "{L}")) q->a->quant.in_model[role] = kind;
}

// All those that match an item.
static void set_matches(quant_reader *q, wf_json_ref item, const char *pattern, match_fn *match,
                        uint8_t kind)
{
    const wf_family *f = q->r->family;
    int before = q->r->n_problems;
    for (int role = 0; role < WF_N_ROLES; role++)
        for (int32_t i = 0; f->names[role] && i < q->a->n_layers && before == q->r->n_problems;
             i++) {
            char name[160];
            wf_arch_tensor_name(q->a, (wf_role)role, i, 0, "", name, sizeof name);
            if (match(q, item, pattern, name)) set_kind(q, role, i, kind);
        }
}

static void set_listed(quant_reader *q, wf_json_ref list, match_fn *match, uint8_t kind)
{
    if (wf_json_kind_of(list) <= WF_JSON_NULL) return;
    if (wf_arch_noted(q->r, wf_json_read_array(list))) return;
    wf_json_iter it = wf_json_iterate(list);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const char *pattern;
        if (wf_arch_noted(q->r, wf_json_read_string(item, &pattern))) return;
        set_matches(q, item, pattern, match, kind);
    }
}

static void leave_out(quant_reader *q, const char *key, match_fn *match)
{
    set_listed(q, wf_json_find(q->of, key), match, 0);
}

// Every matrix is of the first kind: of layers, or with `model` also those outside of them.
static void take_all(quant_reader *q, uint8_t kind, bool model)
{
    const wf_family *f = q->r->family;
    for (int role = 0; role < WF_N_ROLES; role++)
        for (int32_t i = 0; f->names[role] && i < q->a->n_layers; i++)
            if (model || strstr(f->names[role], "{L}")) set_kind(q, role, i, kind);
}

const wf_quant_kind *wf_quant_of(const wf_arch *arch, wf_role role, int32_t i_layer)
{
    const wf_quant *q = &arch->quant;
    int kind = i_layer < 0 ? q->in_model[role] : q->in_layer[i_layer][role];
    return kind > 0 ? &q->kind[kind - 1] : NULL;
}

// ---- compressed-tensors -------------------------------------------------------------------------

static const char *const weights_keys[] = {
    "num_bits",        "type",     "symmetric", "strategy",        "group_size",
    "block_structure", "dynamic",  "observer",  "observer_kwargs", "actorder",
    "scale_dtype",     "zp_dtype", NULL};

static void read_weights(quant_reader *q, wf_json_ref group)
{
    int64_t bits = 0, size = 0;
    wf_quant_kind *out = q->kind;
    wf_json_ref w;
    if (wf_arch_noted(q->r, wf_json_get_object(group, "weights", &w))) return;
    check_known(q, w, weights_keys);
    if (!read_int(q, w, "num_bits", 8, &bits) || !read_int(q, w, "group_size", 0, &size)) return;
    const char *type = read_word(q, w, "type", "int"), *by = read_word(q, w, "strategy", "tensor");
    bool is_float = strcmp(type, "float") == 0, packed = out->layout == WF_QUANT_PACKED;
    if ((bits != 8 && bits != 4) || (is_float && bits != 8) || (bits == 4 && !packed))
        wf_arch_noted(q->r, wf_json_fail(w, "weights of %d bits (%s) are not read in this format",
                                         (int)bits, type));
    out->dtype = is_float ? WF_FP8 : bits == 8 ? WF_INT8 : WF_INT4;
    out->zeros = !read_flag(q, w, "symmetric", true);
    bool grouped = strcmp(by, "group") == 0;
    if (!grouped && strcmp(by, "channel") != 0 && strcmp(by, "tensor") != 0)
        wf_arch_noted(q->r, wf_json_fail(wf_json_find(w, "strategy"),
                                         "'%.32s' is not read: only "
                                         "tensor, channel and group",
                                         by));
    take_block(q, wf_json_find(w, "group_size"), grouped ? size : 0);
    if (out->zeros && (!packed || out->block == 0))
        wf_arch_noted(q->r, wf_json_fail(wf_json_find(w, "symmetric"),
                                         "zero points are read of packed groups alone; use the "
                                         "float checkpoint"));
}

static const char *const group_keys[] = {
    "targets", "weights", "input_activations", "output_activations", "format", NULL};

// What a format's name means for the layout of matrices; NONE: it is not read.
static wf_quant_layout layout_named(const char *format)
{
    static const struct {
        const char *name;
        wf_quant_layout layout;
    } formats[] = {{"float-quantized", WF_QUANT_ROWS},
                   {"int-quantized", WF_QUANT_ROWS},
                   {"naive-quantized", WF_QUANT_ROWS},
                   {"pack-quantized", WF_QUANT_PACKED}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(format, formats[i].name) == 0) return formats[i].layout;
    return WF_QUANT_NONE;
}

// One group's numbers, as the next kind; its format where it has one of its own.
static void read_group(quant_reader *q, wf_json_ref group, const char *format)
{
    wf_quant *out = &q->a->quant;
    check_known(q, group, group_keys);
    format = read_word(q, group, "format", format);
    q->kind = &out->kind[out->n_kinds++];
    q->kind->layout = layout_named(format);
    if (q->kind->layout == WF_QUANT_NONE)
        wf_arch_noted(q->r,
                      wf_json_fail(wf_json_has(group, "format") ? wf_json_find(group, "format")
                                                                : wf_json_find(q->of, "format"),
                                   "is not read: only float-quantized, int-quantized, "
                                   "naive-quantized, pack-quantized, and mixed-precision of "
                                   "groups that say one of these; use the float checkpoint"));
    out->activations = out->activations || wf_json_has(group, "input_activations");
    if (wf_json_has(group, "output_activations"))
        wf_arch_noted(q->r, wf_json_fail(wf_json_find(group, "output_activations"),
                                         "quantised outputs are not computed here"));
    read_weights(q, group);
}

static bool is_linear(wf_json_ref target)
{
    const char *name = "";
    return wf_json_read_string(target, &name) == WF_OK && strcmp(name, "Linear") == 0;
}

// The matrices of a group: those it names, or "Linear", all that no group names.
static void take_targets(quant_reader *q, wf_json_ref targets, uint8_t kind, bool linear)
{
    if (wf_json_count(targets) == 0) {
        wf_arch_noted(q->r, wf_json_fail(targets, "names no matrices"));
        return;
    }
    wf_json_iter it = wf_json_iterate(targets);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const char *pattern;
        if (wf_arch_noted(q->r, wf_json_read_string(item, &pattern))) return;
        if (is_linear(item) != linear) continue;
        if (linear)
            take_all(q, kind, true);
        else
            set_matches(q, item, pattern, match_ignored, kind);
    }
}

static void read_groups(quant_reader *q, const char *format)
{
    wf_json_ref groups, group;
    if (wf_arch_noted(q->r, wf_json_get_object(q->of, "config_groups", &groups))) return;
    size_t n = wf_json_count(groups);
    if (n < 1 || n > WF_QUANT_MOST_KINDS) {
        wf_arch_noted(
            q->r, wf_json_fail(groups, "has %zu groups; 1 to %d are read", n, WF_QUANT_MOST_KINDS));
        return;
    }
    for (wf_json_iter it = wf_json_iterate(groups); wf_json_next(&it, &group);)
        read_group(q, group, format);
    for (int linear = 1; linear >= 0; linear--) { // names count more than a class
        uint8_t kind = 0;
        for (wf_json_iter it = wf_json_iterate(groups); wf_json_next(&it, &group);)
            take_targets(q, wf_json_find(group, "targets"), ++kind, linear);
    }
}

static const char *const compressed_keys[] = {"quant_method",
                                              "format",
                                              "config_groups",
                                              "ignore",
                                              "quantization_status",
                                              "kv_cache_scheme",
                                              "version",
                                              "sparsity_config",
                                              "transform_config",
                                              "global_compression_ratio",
                                              NULL};

static void read_compressed(quant_reader *q)
{
    const char *format = read_word(q, q->of, "format", "");
    const char *status = read_word(q, q->of, "quantization_status", "compressed");
    check_known(q, q->of, compressed_keys);
    if (strcmp(status, "compressed") != 0) refuse(q, "quantization_status", "must be compressed");
    if (wf_json_count(wf_json_find(q->of, "sparsity_config")) > 0)
        refuse(q, "sparsity_config", "sparse weights are not read");
    if (wf_json_count(wf_json_find(q->of, "transform_config")) > 0)
        refuse(q, "transform_config", "rotated weights are not computed here");
    if (wf_json_has(q->of, "kv_cache_scheme"))
        wf_arch_warn(
            "%s/config.json: kv_cache_scheme: KV memory is kept as model.kv_dtype says; the "
            "checkpoint's scales of KV are not used",
            wf_hf_folder_path(q->r->folder));
    read_groups(q, format);
    leave_out(q, "ignore", match_ignored);
}

// ---- the other methods --------------------------------------------------------------------------

// One kind, of all matrices in layers; what lies outside of them stays plain.
static wf_quant_kind *only_kind(quant_reader *q, wf_quant_kind kind)
{
    q->a->quant.n_kinds = 1;
    q->kind = &q->a->quant.kind[0];
    *q->kind = kind;
    take_all(q, 1, false);
    return q->kind;
}

static const char *const fp8_keys[] = {
    "quant_method",   "fmt", "activation_scheme", "weight_block_size", "modules_to_not_convert",
    "ignored_layers", NULL};

static void read_fp8(quant_reader *q)
{
    int64_t rows = 0, cols = 0;
    wf_quant_kind *out = only_kind(q, (wf_quant_kind){.layout = WF_QUANT_FP8, .dtype = WF_FP8});
    check_known(q, q->of, fp8_keys);
    q->a->quant.activations = true;
    if (strcmp(read_word(q, q->of, "fmt", "e4m3"), "e4m3") != 0)
        refuse(q, "fmt", "only e4m3 is read");
    wf_json_ref size = wf_json_find(q->of, "weight_block_size");
    if (wf_json_count(size) != 2) {
        refuse(q, "weight_block_size", "must be [rows, columns], as DeepSeek's [128, 128]");
        return;
    }
    if (wf_arch_noted(q->r, wf_json_read_i64(wf_json_at(size, 0), 1, 1 << 20, &rows)) ||
        wf_arch_noted(q->r, wf_json_read_i64(wf_json_at(size, 1), 1, 1 << 20, &cols)))
        return;
    out->rows = (int32_t)rows;
    take_block(q, size, cols);
    leave_out(q, "modules_to_not_convert", match_module);
    leave_out(q, "ignored_layers", match_module);
    // Routers are no modules that would be converted: they stay plain and are not listed.
    for (int32_t i = 0; q->r->family->names[WF_ROLE_ROUTER] && i < q->a->n_layers; i++)
        set_kind(q, WF_ROLE_ROUTER, i, 0);
}

static const char *const gptq_keys[] = {"quant_method",
                                        "bits",
                                        "group_size",
                                        "desc_act",
                                        "sym",
                                        "lm_head",
                                        "checkpoint_format",
                                        "format",
                                        "pack_dtype",
                                        "is_marlin_format",
                                        "damp_percent",
                                        "damp_auto_increment",
                                        "true_sequential",
                                        "static_groups",
                                        "model_name_or_path",
                                        "model_file_base_name",
                                        "use_exllama",
                                        "exllama_config",
                                        "exllama_version",
                                        "disable_exllama",
                                        "use_cuda_fp16",
                                        "dataset",
                                        "tokenizer",
                                        "batch_size",
                                        "pad_token_id",
                                        "model_seqlen",
                                        "max_input_length",
                                        "cache_block_outputs",
                                        "block_name_to_quantize",
                                        "module_name_preceding_first_block",
                                        "backend",
                                        "meta",
                                        "quantizer",
                                        "mse",
                                        NULL};

static void read_gptq(quant_reader *q)
{
    int64_t bits = 0, size = 0;
    check_known(q, q->of, gptq_keys);
    if (!read_int(q, q->of, "bits", 4, &bits) || !read_int(q, q->of, "group_size", -1, &size))
        return;
    wf_quant_kind *out = only_kind(
        q, (wf_quant_kind){.layout = WF_QUANT_GPTQ, .dtype = bits == 8 ? WF_INT8 : WF_INT4});
    if (bits != 4 && bits != 8) refuse(q, "bits", "only 4 and 8 bits are read");
    if (read_flag(q, q->of, "lm_head", false)) refuse(q, "lm_head", "a quantised head is not read");
    if (read_flag(q, q->of, "is_marlin_format", false))
        refuse(q, "is_marlin_format",
               "Marlin's order is not read; use the GPTQ files it was made of");
    const char *format =
        read_word(q, q->of, "checkpoint_format", read_word(q, q->of, "format", "gptq"));
    if (strcmp(format, "gptq") != 0 && strcmp(format, "gptq_v2") != 0)
        refuse(q, "checkpoint_format", "only gptq and gptq_v2 are read");
    out->zeros_less_1 = strcmp(format, "gptq") == 0;
    take_block(q, wf_json_find(q->of, "group_size"), size);
    out->zeros = !read_flag(q, q->of, "sym", true);
    if (out->zeros && out->block == 0) refuse(q, "sym", "zero points of whole rows are not read");
}

static const char *const awq_keys[] = {"quant_method",
                                       "bits",
                                       "w_bit",
                                       "group_size",
                                       "q_group_size",
                                       "zero_point",
                                       "version",
                                       "backend",
                                       "modules_to_not_convert",
                                       "do_fuse",
                                       "fuse_max_seq_len",
                                       "modules_to_fuse",
                                       "exllama_config",
                                       NULL};

static void read_awq(quant_reader *q)
{
    int64_t bits = 0, size = 0;
    check_known(q, q->of, awq_keys);
    if (!read_int(q, q->of, wf_json_has(q->of, "bits") ? "bits" : "w_bit", 4, &bits) ||
        !read_int(q, q->of, wf_json_has(q->of, "group_size") ? "group_size" : "q_group_size", 128,
                  &size))
        return;
    wf_quant_kind *out = only_kind(q, (wf_quant_kind){.layout = WF_QUANT_AWQ, .dtype = WF_INT4});
    if (bits != 4) refuse(q, "bits", "only 4 bits are read");
    const char *version = read_word(q, q->of, "version", "gemm");
    if (strcmp(version, "gemm") != 0 && strcmp(version, "GEMM") != 0)
        refuse(q, "version", "only gemm's order of numbers is read");
    if (size <= 0) refuse(q, "group_size", "whole rows are not read in AWQ");
    take_block(q, wf_json_find(q->of, "group_size"), size);
    out->zeros = read_flag(q, q->of, "zero_point", true);
    leave_out(q, "modules_to_not_convert", match_part);
}

void wf_arch_read_quant(wf_arch_reader *r, wf_arch *a)
{
    static const struct {
        const char *name;
        void (*read)(quant_reader *q);
    } methods[] = {{"compressed-tensors", read_compressed},
                   {"fp8", read_fp8},
                   {"gptq", read_gptq},
                   {"awq", read_awq}};
    quant_reader q = {.r = r, .a = a, .of = wf_arch_whole_first(r, "quantization_config")};
    const char *method = "quantised";
    if (wf_json_kind_of(q.of) <= WF_JSON_NULL) return;
    if (wf_json_get_string_or(q.of, "quant_method", "quantised", &method) != WF_OK)
        method = "quantised";
    if (wf_family_packs_experts(r->family) && strcmp(method, "mxfp4") == 0) return; // its own way
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(method, methods[i].name) == 0) {
            methods[i].read(&q);
            a->quant.in_model[WF_ROLE_EMBED] = a->quant.in_model[WF_ROLE_POSITIONS] = 0;
            return;
        }
    wf_arch_noted(
        r, wf_json_fail(q.of,
                        "'%.32s': checkpoints quantised so are not read (compressed-tensors, "
                        "fp8, gptq and awq are); use the float checkpoint",
                        method));
}
