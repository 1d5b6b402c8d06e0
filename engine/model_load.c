// The loader: finds, checks, reads in blocks, hands over to the back end.
//
// The checkpoint comes through a readahead (model_read.h), which bounds host memory whatever the
// model's size; what is not read (zeros, rotary tables) goes through a small staging buffer.
#include "engine/model_load.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_values.h"
#include "io/base/arena.h"
#include "io/base/fault.h"
#include "io/base/hash.h"
#include "io/base/text.h"
#include "kernels/convert.h"

enum { NAME_BYTES = 160, BLOCK_BYTES = 16 << 20, STAGING_BYTES = 1 << 20, MIN_BYTES = 4096 };

// Full shape of a role's matrix in a checkpoint.
static void matrix_shape(const wf_arch *a, int i_layer, wf_role role, int64_t *n_rows,
                         int64_t *n_cols)
{
    const wf_arch_layer *l = &a->layer[i_layer];
    int64_t q = (int64_t)l->n_heads * a->head_dim, kv = (int64_t)l->n_kv_heads * a->head_dim;
    const int64_t rows[WF_N_ROLES] = {
        [WF_ROLE_EMBED] = a->n_vocab,
        [WF_ROLE_HEAD] = a->n_vocab,
        [WF_ROLE_Q] = q,
        [WF_ROLE_K] = kv,
        [WF_ROLE_V] = kv,
        [WF_ROLE_QKV] = q + 2 * kv,
        [WF_ROLE_O] = a->hidden,
        [WF_ROLE_DOWN] = a->hidden,
        [WF_ROLE_GATE] = l->ffn,
        [WF_ROLE_UP] = l->ffn,
        [WF_ROLE_GATE_UP] = 2 * (int64_t)l->ffn,
    };
    *n_rows = rows[role];
    *n_cols = role == WF_ROLE_O ? q : role == WF_ROLE_DOWN ? l->ffn : a->hidden;
}

// `bytes`, but never less than a row of any matrix.
static size_t at_least_a_row(const wf_arch *arch, size_t bytes)
{
    if (bytes < MIN_BYTES) bytes = MIN_BYTES;
    for (int at = 0; at < arch->n_layers * WF_N_ROLES; at++) {
        int64_t n_rows, n_cols;
        matrix_shape(arch, at / WF_N_ROLES, (wf_role)(at % WF_N_ROLES), &n_rows, &n_cols);
        size_t row_bytes = (size_t)n_cols * sizeof(float);
        if (row_bytes > bytes) bytes = row_bytes;
    }
    return bytes;
}

wf_status wf_loader_open(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder,
                         const wf_model_config *config, wf_loader *out)
{
    wf_status st;
    size_t block_bytes = config->staging_bytes ? config->staging_bytes : BLOCK_BYTES;
    wf_loader loader = {
        .be = be,
        .arch = arch,
        .folder = folder,
        .dtype = wf_model_resolve_dtype(arch, config->dtype),
        .seed = config->seed,
        .dry = true,
        .block_bytes = at_least_a_row(arch, block_bytes),
        .staging_bytes = at_least_a_row(arch, STAGING_BYTES),
        .stop = config->stop,
    };
    wf_readahead_config reads = {
        .be = be, .buffer_bytes = loader.block_bytes, .n_threads = config->n_readers};
    WF_TRY_TO(failed, wf_alloc(folder ? wf_hf_folder_count(folder) : 0, 1, &loader.used));
    WF_TRY_TO(failed, be->ops->host_alloc(be, loader.staging_bytes, &loader.staging));
    WF_TRY_TO(failed, wf_readahead_create(&reads, &loader.reads));
    *out = loader;
    return WF_OK;
failed:
    wf_loader_close(&loader);
    return st;
}

void wf_loader_close(wf_loader *loader)
{
    wf_readahead_destroy(&loader->reads);
    if (loader->staging) loader->be->ops->host_free(loader->be, loader->staging);
    free(loader->used);
    *loader = (wf_loader){0};
}

// Copies to the device and waits, so that src may be reused.
static wf_status upload(wf_loader *l, void *dst, const void *src, size_t bytes)
{
    const wf_backend_ops *ops = l->be->ops;
    wf_event *event;
    WF_TRY(ops->event_create(l->be, &event));
    wf_status st = ops->upload(l->be, NULL, dst, src, bytes);
    if (st == WF_OK) st = ops->event_record(l->be, event, NULL);
    if (st == WF_OK) st = ops->event_sync(l->be, event);
    ops->event_destroy(l->be, event);
    return st;
}

static wf_status check_dtype(const wf_hf_tensor *found, wf_dtype *out)
{
    switch (found->tensor->dtype) {
    case WF_ST_F32:
        *out = WF_F32;
        return WF_OK;
    case WF_ST_BF16:
        *out = WF_BF16;
        return WF_OK;
    case WF_ST_F16:
        *out = WF_F16;
        return WF_OK;
    default:
        return wf_fail(WF_DATA, "%s: %s: dtype %s; weights must be F32, BF16 or F16",
                       wf_safetensors_path(found->file), found->tensor->name,
                       wf_st_dtype_name(found->tensor->dtype));
    }
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

// A tensor as the architecture asks for it: a matrix, or a vector with `n_cols` 0.
typedef struct wanted {
    wf_role role;
    int i_layer;
    const char *suffix; // ".weight", ".bias"
    int64_t n_rows, n_cols;
} wanted;

// Finds a role's tensor and checks its type and shape.
static wf_status find(wf_loader *l, const wanted *w, wf_hf_tensor *out, wf_dtype *dtype)
{
    char name[NAME_BYTES];
    const int64_t shape[2] = {w->n_rows, w->n_cols};
    size_t i;
    wf_family_tensor_name(l->arch->family, w->role, w->i_layer, w->suffix, name, sizeof name);
    WF_TRY(wf_hf_folder_find(l->folder, name, &i));
    *out = wf_hf_folder_at(l->folder, i);
    l->used[i] = 1;
    WF_TRY(check_dtype(out, dtype));
    return check_shape(out, w->n_cols > 0 ? 2 : 1, shape);
}

// Asked before every read: a job that is told to leave must not read on for minutes.
static wf_status go_on(const wf_loader *l)
{
    if (!l->stop || atomic_load(l->stop) == 0) return WF_OK;
    return wf_fail(WF_DRAINED, "model: told to leave after %" PRIu64 " bytes of weights",
                   l->report.file_bytes);
}

// A matrix or vector begins.
static wf_status begin_part(wf_loader *l)
{
    if (l->dry) return WF_OK;
    wf_fault_at(WF_FAULT_LOAD, ++l->n_parts);
    return go_on(l);
}

// The dry visit says what will be read; the real one has it, NULL in the dry one. Valid until the
// next block.
static wf_status block(wf_loader *l, const wf_read_block *block, const void **out)
{
    *out = NULL;
    if (l->dry) return wf_readahead_add(l->reads, block);
    WF_TRY(go_on(l));
    WF_TRY(wf_readahead_next(l->reads, block, out));
    l->report.file_bytes +=
        (uint64_t)(block->n_rows * block->row_cols) * wf_dtype_bytes(block->from);
    return WF_OK;
}

// One piece of a matrix, read as whole rows in blocks.
static wf_status load_piece(wf_loader *l, const wf_part *part, const wf_piece *piece,
                            int64_t dst_row, wf_weight *weight)
{
    wanted w = {.role = piece->role, .i_layer = part->i_layer, .suffix = ".weight"};
    wf_hf_tensor t;
    wf_dtype dtype;
    matrix_shape(l->arch, w.i_layer, w.role, &w.n_rows, &w.n_cols);
    WF_TRY(find(l, &w, &t, &dtype));
    assert(piece->first + piece->n <= w.n_rows && part->col + part->n_cols <= w.n_cols);
    size_t each = wf_dtype_bytes(dtype);
    int64_t per_block = (int64_t)(l->block_bytes / ((size_t)w.n_cols * each));
    for (int64_t row = 0, n; row < piece->n; row += n) {
        const void *rows;
        n = piece->n - row < per_block ? piece->n - row : per_block;
        const wf_read_block b = {t, dtype,    l->dtype,  piece->first + row,
                                 n, w.n_cols, part->col, part->n_cols};
        WF_TRY(block(l, &b, &rows));
        if (l->dry) continue;
        const char *values = (const char *)rows + (size_t)part->col * each;
        WF_TRY(l->be->ops->weight_load(l->be, weight, dst_row + row, n, values, dtype, w.n_cols));
    }
    return WF_OK;
}

// Padding rows are zero whatever the back end leaves in a new weight.
static wf_status load_zeros(wf_loader *l, const wf_part *part, int64_t dst_row, wf_weight *weight)
{
    if (dst_row == part->n_rows) return WF_OK;
    memset(l->staging, 0, (size_t)part->n_cols * wf_dtype_bytes(l->dtype));
    for (int64_t row = dst_row; row < part->n_rows; row++)
        WF_TRY(l->be->ops->weight_load(l->be, weight, row, 1, l->staging, l->dtype, part->n_cols));
    return WF_OK;
}

// A seed of its own for every tensor of every rank.
static uint64_t seed_of(const wf_loader *l, const wf_part *part)
{
    char name[NAME_BYTES];
    wf_family_tensor_name(l->arch->family, part->pieces[0].role, part->i_layer, "", name,
                          sizeof name);
    const int64_t place[2] = {part->pieces[0].first, part->col}; // tells ranks apart
    return wf_hash64_of(place, sizeof place, wf_hash64_of(name, strlen(name), l->seed));
}

static wf_status fill_matrix(wf_loader *l, const wf_part *part, wf_weight *weight)
{
    int64_t dst_row = 0;
    if (!l->folder) return l->be->ops->weight_random(l->be, weight, seed_of(l, part), part->std);
    for (int i = 0; i < part->n_pieces; i++) {
        WF_TRY(load_piece(l, part, &part->pieces[i], dst_row, weight));
        dst_row += part->pieces[i].n;
    }
    return l->dry ? WF_OK : load_zeros(l, part, dst_row, weight);
}

wf_status wf_loader_matrix(wf_loader *l, const wf_part *part, wf_weight **out)
{
    WF_TRY(begin_part(l));
    if (l->dry) return l->folder ? fill_matrix(l, part, NULL) : WF_OK;
    WF_TRY(l->be->ops->weight_create(l->be, l->dtype, part->n_rows, part->n_cols, out));
    l->report.weight_bytes +=
        (uint64_t)part->n_rows * (uint64_t)part->n_cols * wf_dtype_bytes(l->dtype);
    return fill_matrix(l, part, *out); // the model owns the weight from here
}

// Elements [first, first + n) of a vector, as f32 at dst.
static wf_status load_vector(wf_loader *l, const wanted *w, int64_t first, int64_t n, float *dst)
{
    wf_hf_tensor t;
    wf_dtype dtype;
    WF_TRY(find(l, w, &t, &dtype));
    WF_TRY(begin_part(l));
    int64_t per_block = (int64_t)(l->block_bytes / wf_dtype_bytes(dtype));
    for (int64_t at = 0, m; at < n; at += m) {
        const void *values;
        m = n - at < per_block ? n - at : per_block;
        const wf_read_block b = {t, dtype, WF_F32, first + at, m, 1, 0, 1};
        WF_TRY(block(l, &b, &values));
        if (!l->dry) wf_convert(dst + at, WF_F32, values, dtype, m);
    }
    return WF_OK;
}

// Puts n floats on the device.
static wf_status place_vector(wf_loader *l, const float *values, int64_t n, float **out)
{
    void *device;
    size_t bytes = (size_t)n * sizeof *values;
    WF_TRY(l->be->ops->alloc(l->be, bytes, &device));
    *out = device;
    l->report.weight_bytes += bytes;
    return upload(l, device, values, bytes);
}

static wanted bias_of(const wf_loader *l, const wf_part *part, const wf_piece *piece)
{
    wanted w = {.role = piece->role, .i_layer = part->i_layer, .suffix = ".bias"};
    int64_t n_cols; // of its matrix
    matrix_shape(l->arch, w.i_layer, w.role, &w.n_rows, &n_cols);
    return w;
}

// Missing or of another shape on one rank means so on all: they fail alike.
static wf_status find_bias(wf_loader *l, const wf_part *part)
{
    for (int i = 0; l->folder && i < part->n_pieces; i++) {
        wanted w = bias_of(l, part, &part->pieces[i]);
        wf_hf_tensor t;
        wf_dtype dtype;
        WF_TRY(find(l, &w, &t, &dtype));
    }
    return WF_OK;
}

wf_status wf_loader_bias(wf_loader *l, const wf_part *part, float **out)
{
    wf_status st = WF_OK;
    float *values;
    int64_t at = 0;
    if (part->bias_elsewhere) return find_bias(l, part);
    if (l->dry && !l->folder) return WF_OK;
    WF_TRY(wf_alloc((size_t)part->n_rows, sizeof *values, &values));
    for (int i = 0; l->folder && i < part->n_pieces; i++) {
        const wf_piece *piece = &part->pieces[i];
        wanted w = bias_of(l, part, piece);
        WF_TRY_TO(done, load_vector(l, &w, piece->first, piece->n, values + at));
        at += piece->n;
    }
    if (!l->dry) st = place_vector(l, values, part->n_rows, out);
done:
    free(values);
    return st;
}

wf_status wf_loader_norm(wf_loader *l, wf_role role, int i_layer, wf_norm *out)
{
    wf_status st = WF_OK;
    float *values;
    int64_t n = l->arch->hidden;
    const wanted weight = {role, i_layer, ".weight", n, 0}, bias = {role, i_layer, ".bias", n, 0};
    bool has_bias = l->arch->family->norm == WF_NORM_LAYER;
    if (l->dry && !l->folder) return WF_OK;
    WF_TRY(wf_alloc((size_t)n, sizeof *values, &values));
    for (int64_t i = 0; i < n; i++)
        values[i] = 1.0f;
    if (l->folder) WF_TRY_TO(done, load_vector(l, &weight, 0, n, values));
    if (!l->dry) WF_TRY_TO(done, place_vector(l, values, n, &out->weight));
    if (!has_bias) goto done;
    memset(values, 0, (size_t)n * sizeof *values);
    if (l->folder) WF_TRY_TO(done, load_vector(l, &bias, 0, n, values));
    if (!l->dry) WF_TRY_TO(done, place_vector(l, values, n, &out->bias));
done:
    free(values);
    return st;
}

wf_status wf_loader_rotary(wf_loader *l, int32_t n_positions, float **cos, float **sin)
{
    void *tables[2];
    size_t half = (size_t)l->arch->rotary_dim / 2, row_bytes = half * sizeof(float);
    size_t bytes = (size_t)n_positions * row_bytes;
    int32_t per_block = (int32_t)(l->staging_bytes / (2 * row_bytes));
    if (l->dry) return WF_OK;
    WF_TRY(l->be->ops->alloc(l->be, bytes, &tables[0]));
    *cos = tables[0];
    WF_TRY(l->be->ops->alloc(l->be, bytes, &tables[1]));
    *sin = tables[1];
    l->report.weight_bytes += 2 * bytes;
    for (int32_t first = 0, n; first < n_positions; first += n) {
        n = n_positions - first < per_block ? n_positions - first : per_block;
        float *c = l->staging, *s = c + (size_t)n * half;
        size_t at = (size_t)first * half;
        WF_TRY(wf_rotary_tables(&l->arch->rope, l->arch->rotary_dim, first, n, c, s));
        WF_TRY(upload(l, *cos + at, c, (size_t)n * row_bytes));
        WF_TRY(upload(l, *sin + at, s, (size_t)n * row_bytes));
    }
    return WF_OK;
}

// Buffers that hold no weights.
static bool may_be_unused(const wf_arch *arch, const char *name)
{
    for (size_t i = 0; i < sizeof arch->family->ignored / sizeof *arch->family->ignored; i++) {
        const char *end = arch->family->ignored[i];
        if (end && wf_text_ends_with(name, end)) return true;
    }
    return false;
}

static wf_status check_unused(const wf_loader *l)
{
    for (size_t i = 0; l->folder && i < wf_hf_folder_count(l->folder); i++) {
        wf_hf_tensor t = wf_hf_folder_at(l->folder, i);
        if (l->used[i] || may_be_unused(l->arch, t.tensor->name)) continue;
        return wf_fail(WF_DATA,
                       "%s: %s: a %s model with this config.json has no such tensor; config.json "
                       "and weights are not of one model",
                       wf_safetensors_path(t.file), t.tensor->name, l->arch->family->name);
    }
    return WF_OK;
}

wf_status wf_loader_make_real(wf_loader *l)
{
    WF_TRY(check_unused(l));
    l->dry = false;
    return wf_readahead_start(l->reads);
}
