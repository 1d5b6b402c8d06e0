// Whether a checkpoint is of the model that its config.json says: every tensor there, with the type
// and shape asked for, and none beside them. Reads headers alone.
#include "engine/model_check.h"

#include <stdlib.h>
#include <string.h>

#include "engine/model_packed.h"
#include "engine/model_parts.h"
#include "engine/quant.h"
#include "io/base/arena.h"
#include "io/base/text.h"
#include "io/weights/hf_stranger.h"

typedef struct checker {
    const wf_arch *arch;
    const wf_hf_folder *folder;
    uint8_t *used; // [tensors of the folder]
} checker;

wf_status wf_model_dtype_of(const wf_hf_tensor *found, wf_dtype *out)
{
    const char *is = wf_st_dtype_name(found->tensor->dtype);
    for (int i = 0; i < WF_N_DTYPES; i++)
        if (!wf_format_scaled((wf_dtype)i) && strcmp(is, wf_format_of((wf_dtype)i)->stored) == 0) {
            *out = (wf_dtype)i;
            return WF_OK;
        }
    return wf_fail(WF_DATA, "%s: %s: dtype %s; weights must be F32, BF16 or F16",
                   wf_safetensors_path(found->file), found->tensor->name, is);
}

static wf_status check_shape(const wf_hf_tensor *found, int rank, const int64_t *shape)
{
    const wf_st_tensor *t = found->tensor;
    const wf_st_tensor expected = {.rank = rank, .shape = shape};
    char is[96], should[96];
    bool same = t->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = t->shape[i] == shape[i];
    if (same) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: %s: shape %s, expected %s; config.json and weights are not of one model",
                   wf_safetensors_path(found->file), t->name, wf_st_shape_words(t, is, sizeof is),
                   wf_st_shape_words(&expected, should, sizeof should));
}

static wf_status check_tensor(checker *c, const wf_slice *s, int i_part, const char *suffix,
                              int64_t n_cols)
{
    char name[WF_TENSOR_NAME_BYTES];
    const int64_t shape[2] = {wf_slice_tensor_rows(s, i_part), n_cols};
    wf_dtype dtype;
    size_t i;
    wf_slice_tensor_name(s, i_part, suffix, name, sizeof name);
    WF_TRY(wf_hf_folder_find(c->folder, name, &i));
    wf_hf_tensor found = wf_hf_folder_at(c->folder, i);
    c->used[i] = 1;
    WF_TRY(wf_model_dtype_of(&found, &dtype));
    const wf_arch *a = c->arch;
    wf_role role = s->part[i_part]->role;
    if (n_cols > 0 && wf_slice_transposed(s))
        return check_shape(&found, 2, (int64_t[]){n_cols, shape[0]});
    bool heads = a->family->head_norm == WF_HEAD_NORM_OWN &&
                 (role == WF_ROLE_Q_NORM || role == WF_ROLE_K_NORM);
    if (heads) // a row for each head
        return check_shape(&found, 2, (int64_t[]){shape[0] / a->head_dim, a->head_dim});
    return check_shape(&found, n_cols > 0 ? 2 : 1, shape);
}

// A tensor of all experts.
static wf_status check_packed_tensor(checker *c, const wf_slice *s, int i_part, const char *suffix,
                                     int rank, const int64_t *shape)
{
    char name[WF_TENSOR_NAME_BYTES];
    size_t i;
    wf_slice_tensor_name(s, i_part, suffix, name, sizeof name);
    WF_TRY(wf_hf_folder_find(c->folder, name, &i));
    wf_hf_tensor found = wf_hf_folder_at(c->folder, i);
    bool codes = strcmp(suffix, ".bias") != 0;
    wf_dtype dtype;
    c->used[i] = 1;
    if (!codes) WF_TRY(wf_model_dtype_of(&found, &dtype));
    if (codes && strcmp(wf_st_dtype_name(found.tensor->dtype), "U8") != 0)
        return wf_fail(WF_DATA, "%s: %s: dtype %s; codes and scales of MXFP4 are U8",
                       wf_safetensors_path(found.file), name,
                       wf_st_dtype_name(found.tensor->dtype));
    return check_shape(&found, rank, shape);
}

// The same tensors in 16 bits, which have rows for columns.
static wf_status refuse_unpacked(checker *c, const wf_slice *s, int i_part)
{
    char name[WF_TENSOR_NAME_BYTES];
    size_t i;
    wf_slice_tensor_name(s, i_part, ".weight", name, sizeof name);
    if (wf_hf_folder_find(c->folder, name, &i) != WF_OK) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: %s: experts of a %s model are read from the checkpoint as published, in "
                   "MXFP4 (%s_blocks), not from unpacked ones",
                   wf_safetensors_path(wf_hf_folder_at(c->folder, i).file), name,
                   c->arch->family->name, name);
}

static wf_status check_packed(checker *c, const wf_slice *s, int i_part)
{
    int64_t rows = wf_slice_tensor_rows(s, i_part),
            blocks = wf_slice_tensor_cols(s, i_part) / WF_MXFP4_BLOCK;
    const int64_t shape[] = {s->n_groups, rows, blocks, WF_MXFP4_BLOCK / 2};
    if (wf_slice_tensor_cols(s, i_part) % WF_MXFP4_BLOCK != 0)
        return wf_fail(WF_DATA, "%s: rows of experts of %d numbers are not whole blocks of %d",
                       wf_hf_folder_path(c->folder), (int)wf_slice_tensor_cols(s, i_part),
                       WF_MXFP4_BLOCK);
    WF_TRY(refuse_unpacked(c, s, i_part));
    WF_TRY(check_packed_tensor(c, s, i_part, "_blocks", 4, shape));
    WF_TRY(check_packed_tensor(c, s, i_part, "_scales", 3, shape));
    return s->bias ? check_packed_tensor(c, s, i_part, ".bias", 2, shape) : WF_OK;
}

static wf_status check_quantised(checker *c, const wf_slice *s, int i_part)
{
    char module[WF_TENSOR_NAME_BYTES];
    wf_slice_tensor_name(s, i_part, "", module, sizeof module);
    return wf_quant_check(c->folder, wf_quant_of(c->arch, s->part[i_part]->role, s->place.i_layer),
                          module, wf_slice_tensor_rows(s, i_part), wf_slice_tensor_cols(s, i_part),
                          c->used);
}

static wf_status check_group(checker *c, const wf_slice *s)
{
    for (int i = 0; i < s->n_parts; i++) {
        bool matrix = s->n_cols > 0 && !s->tied;
        if (matrix && wf_quant_of(c->arch, s->part[i]->role, s->place.i_layer))
            WF_TRY(check_quantised(c, s, i));
        else if (!s->tied)
            WF_TRY(check_tensor(c, s, i, ".weight", wf_slice_tensor_cols(s, i)));
        if (s->bias) WF_TRY(check_tensor(c, s, i, ".bias", 0));
    }
    return WF_OK;
}

static wf_status check_slice(checker *c, wf_slice *s)
{
    if (wf_slice_packed(s, 0)) return check_packed(c, s, 0);
    for (s->i_group = 0; s->i_group < s->n_groups; s->i_group++)
        WF_TRY(check_group(c, s));
    return WF_OK;
}

static wf_status check_place(checker *c, int32_t i_layer)
{
    const wf_place place = {.arch = c->arch, .i_layer = i_layer, .tp_size = 1};
    wf_slice s;
    for (int at = 0; wf_slice_next(&place, &at, &s);)
        WF_TRY(check_slice(c, &s));
    return WF_OK;
}

// Of a layer behind the last that predicts further tokens.
static bool of_next_layer(const wf_arch *arch, const char *name)
{
    const char *pattern = arch->family->names[WF_ROLE_ATTN_NORM], *hole = strstr(pattern, "{L}");
    size_t n = hole ? (size_t)(hole - pattern) : 0;
    if (arch->n_next_layers == 0 || n == 0 || strncmp(name, pattern, n) != 0) return false;
    long layer = strtol(name + n, NULL, 10);
    return layer >= arch->n_layers && layer < arch->n_layers + arch->n_next_layers;
}

// Heads of tasks that are not the job's: nothing here reads them.
static bool of_other_task(const wf_arch *arch, const char *name)
{
    const wf_family *f = arch->family;
    const char *head = f->names[WF_ROLE_HEAD];
    if (arch->encode.task == WF_TASK_GENERATE) return false;
    if (head && strncmp(name, head, strlen(head)) == 0) return true;
    for (int role = WF_ROLE_SCORE_DENSE; role <= WF_ROLE_SCORE; role++) // those of masks too
        if (f->names[role] && strncmp(name, f->names[role], strlen(f->names[role])) == 0)
            return true;
    for (size_t i = 0; i < sizeof f->other_tasks / sizeof *f->other_tasks; i++) {
        const char *begin = f->other_tasks[i];
        if (begin && strncmp(name, begin, strlen(begin)) == 0) return true;
    }
    return f->distance_bias && wf_text_ends_with(f->distance_bias, name);
}

// Buffers that hold no weights, and layers that are not used.
static bool may_be_unused(const wf_arch *arch, const char *name)
{
    for (size_t i = 0; i < sizeof arch->family->ignored / sizeof *arch->family->ignored; i++) {
        const char *end = arch->family->ignored[i];
        if (end && wf_text_ends_with(name, end)) return true;
    }
    if (arch->part && wf_text_part_is_other(arch->part, name)) return true;
    return of_other_task(arch, name) || of_next_layer(arch, name);
}

// Scales of KV and of outputs, which a quantised checkpoint may have (arch_quant.c says so).
static bool is_kv_scale(const char *name)
{
    return wf_text_ends_with(name, ".k_scale") || wf_text_ends_with(name, ".v_scale") ||
           wf_text_ends_with(name, ".output_scale");
}

static wf_status check_unused(const checker *c)
{
    for (size_t i = 0; i < wf_hf_folder_count(c->folder); i++) {
        wf_hf_tensor t = wf_hf_folder_at(c->folder, i);
        if (c->used[i] || may_be_unused(c->arch, t.tensor->name)) continue;
        if (c->arch->quant.n_kinds > 0 && is_kv_scale(t.tensor->name)) continue;
        return wf_fail(WF_DATA,
                       "%s: %s: a %s model with this config.json has no such tensor; config.json "
                       "and weights are not of one model",
                       wf_safetensors_path(t.file), t.tensor->name, c->arch->family->name);
    }
    return WF_OK;
}

// Codes and scales in the place of weights, where config.json does not say so.
static wf_status check_strangers(const wf_hf_folder *folder)
{
    for (size_t i = 0; i < wf_hf_folder_count(folder); i++) {
        wf_hf_tensor t = wf_hf_folder_at(folder, i);
        const char *is = wf_hf_strange_tensor(t.tensor->name);
        if (is)
            return wf_fail(WF_DATA,
                           "%s: %s: this is %s, although config.json does not say so; it is not "
                           "read here, use the float checkpoint",
                           wf_safetensors_path(t.file), t.tensor->name, is);
    }
    return WF_OK;
}

wf_status wf_model_check(const wf_arch *arch, const wf_hf_folder *folder)
{
    wf_status st = WF_OK;
    checker c = {.arch = arch, .folder = folder};
    if (arch->quant.n_kinds == 0) WF_TRY(check_strangers(folder));
    WF_TRY(wf_alloc(wf_hf_folder_count(folder), 1, &c.used));
    for (int32_t i = 0; i < arch->n_layers && st == WF_OK; i++)
        st = check_place(&c, i);
    if (st == WF_OK) st = check_place(&c, -1);
    if (st == WF_OK) st = check_unused(&c);
    free(c.used);
    return st;
}
