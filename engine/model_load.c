// The loader: reads slices in blocks and hands them over to the back end. What a slice is made of
// says engine/model_parts.h, that its tensors are there and have the right shape
// engine/model_check.h.
//
// The checkpoint comes through a readahead (model_read.h), which bounds host memory whatever the
// model's size; what is not read (zeros, rotary tables) goes through a small staging buffer.
#include "engine/model_load.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_check.h"
#include "engine/model_packed.h"
#include "engine/quant.h"
#include "io/base/arena.h"
#include "io/base/fault.h"
#include "io/base/hash.h"
#include "kernels/convert.h"

#define RANDOM_STD 0.02f // GPT-2's

enum { BLOCK_BYTES = 16 << 20, STAGING_BYTES = 1 << 20, MIN_BYTES = 4096 };

static size_t widest_row(const wf_arch *arch, int32_t i_layer)
{
    const wf_place place = {.arch = arch, .i_layer = i_layer, .tp_size = 1};
    int64_t most = 0;
    wf_slice s;
    for (int at = 0; wf_slice_next(&place, &at, &s);) {
        if (s.n_cols > most) most = s.n_cols;
        int64_t stored = wf_slice_transposed(&s) ? wf_slice_tensor_rows(&s, 0) : 0;
        if (stored > most) most = stored;
    }
    return (size_t)most * sizeof(float);
}

// `bytes`, but never less than a row of any matrix.
static size_t at_least_a_row(const wf_arch *arch, size_t bytes)
{
    if (bytes < MIN_BYTES) bytes = MIN_BYTES;
    for (int32_t i = -1; i < arch->n_layers; i++) {
        size_t row_bytes = widest_row(arch, i);
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
        .weights = config->weights,
        .seed = config->seed,
        .dry = folder != NULL,
        .block_bytes = at_least_a_row(arch, block_bytes),
        .staging_bytes = at_least_a_row(arch, STAGING_BYTES),
        .stop = config->stop,
    };
    wf_readahead_config reads = {
        .be = be, .buffer_bytes = loader.block_bytes, .n_threads = config->n_readers};
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
    wf_scaled_rows_free(&loader->scaled);
    if (loader->staging) loader->be->ops->host_free(loader->be, loader->staging);
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

typedef struct source {
    wf_hf_tensor tensor;
    wf_dtype dtype;
    int64_t n_cols;
} source;

static wf_status find(const wf_loader *l, const wf_slice *s, int i_part, const char *suffix,
                      source *out)
{
    char name[WF_TENSOR_NAME_BYTES];
    size_t i;
    wf_slice_tensor_name(s, i_part, suffix, name, sizeof name);
    WF_TRY(wf_hf_folder_find(l->folder, name, &i));
    out->tensor = wf_hf_folder_at(l->folder, i);
    return wf_model_dtype_of(&out->tensor, &out->dtype);
}

// Columns [col, col + n) of m rows of `cols` numbers become rows, `stride` numbers apart.
static void turn(const char *rows, int64_t m, int64_t cols, int64_t col, int64_t n, size_t each,
                 int64_t stride, char *out)
{
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < m; i++) {
            const char *from = rows + (size_t)(i * cols + col + k) * each;
            char *to = out + (size_t)(k * stride + i) * each;
            each == 2 ? memcpy(to, from, 2) : memcpy(to, from, 4);
        }
}

// The piece of a tensor stored [columns, rows], read in blocks of such and turned in memory: [n,
// n_cols] of the stored type at *out, for the caller to free; NULL in the dry visit.
static wf_status turn_piece(wf_loader *l, const wf_slice *s, const source *from, wf_piece piece,
                            char **out)
{
    size_t each = wf_dtype_bytes(from->dtype);
    int64_t stored_cols = wf_slice_tensor_rows(s, 0), n_cols = from->n_cols;
    int64_t per_block = (int64_t)(l->block_bytes / ((size_t)stored_cols * each));
    *out = NULL;
    if (!l->dry) WF_TRY(wf_alloc((size_t)(piece.n * n_cols), each, out));
    for (int64_t row = 0, n; row < n_cols; row += n) {
        const void *rows;
        n = n_cols - row < per_block ? n_cols - row : per_block;
        const wf_read_block b = {.tensor = from->tensor,
                                 .from = from->dtype,
                                 .to = l->dtype,
                                 .row = row,
                                 .n_rows = n,
                                 .row_cols = stored_cols,
                                 .col = piece.first,
                                 .n_cols = piece.n};
        wf_status st = block(l, &b, &rows);
        if (st != WF_OK) {
            free(*out);
            return st;
        }
        if (!l->dry)
            turn(rows, n, stored_cols, piece.first, piece.n, each, n_cols,
                 *out + (size_t)row * each);
    }
    return WF_OK;
}

// One piece of a matrix that is stored the other way about.
static wf_status load_turned(wf_loader *l, const wf_slice *s, const source *from, wf_piece piece,
                             int64_t dst_row, wf_weight *weight)
{
    char *rows;
    wf_status st;
    WF_TRY(turn_piece(l, s, from, piece, &rows));
    if (l->dry) return WF_OK;
    const wf_read_block b = {.from = from->dtype,
                             .n_rows = piece.n,
                             .row_cols = from->n_cols,
                             .col = s->col,
                             .n_cols = s->n_cols};
    const wf_weight_block part = {.i_group = s->i_group,
                                  .i_row = dst_row,
                                  .n_rows = piece.n,
                                  .src = rows + (size_t)s->col * wf_dtype_bytes(from->dtype),
                                  .src_dtype = from->dtype,
                                  .src_stride = from->n_cols};
    st = wf_format_scaled(weight->dtype)
             ? wf_loader_quantise(l, &b, rows, s->i_group, dst_row, weight)
             : l->be->ops->weight_load(l->be, weight, &part);
    free(rows);
    return st;
}

// One piece of a matrix, read as whole rows in blocks.
static wf_status load_piece(wf_loader *l, const wf_slice *s, const source *from, wf_piece piece,
                            int64_t dst_row, wf_weight *weight)
{
    size_t each = wf_dtype_bytes(from->dtype);
    int64_t per_block = (int64_t)(l->block_bytes / ((size_t)from->n_cols * each));
    assert(s->col + s->n_cols <= from->n_cols);
    for (int64_t row = 0, n; row < piece.n; row += n) {
        const void *rows;
        n = piece.n - row < per_block ? piece.n - row : per_block;
        const wf_read_block b = {.tensor = from->tensor,
                                 .from = from->dtype,
                                 .to = l->dtype,
                                 .row = piece.first + row,
                                 .n_rows = n,
                                 .row_cols = from->n_cols,
                                 .col = s->col,
                                 .n_cols = s->n_cols};
        WF_TRY(block(l, &b, &rows));
        if (l->dry) continue;
        if (wf_format_scaled(weight->dtype)) {
            WF_TRY(wf_loader_quantise(l, &b, rows, s->i_group, dst_row + row, weight));
            continue;
        }
        const char *values = (const char *)rows + (size_t)s->col * each;
        const wf_weight_block part = {.i_group = s->i_group,
                                      .i_row = dst_row + row,
                                      .n_rows = n,
                                      .src = values,
                                      .src_dtype = from->dtype,
                                      .src_stride = from->n_cols};
        WF_TRY(l->be->ops->weight_load(l->be, weight, &part));
    }
    return WF_OK;
}

// Padding rows are zero whatever the back end leaves in a new weight.
static wf_status load_zeros(wf_loader *l, const wf_slice *s, int64_t dst_row, wf_weight *weight)
{
    if (dst_row == s->n_rows) return WF_OK;
    if (wf_format_scaled(weight->dtype))
        return wf_loader_scaled_zeros(l, s->i_group, dst_row, s->n_rows - dst_row, weight);
    memset(l->staging, 0, (size_t)s->n_cols * wf_dtype_bytes(l->dtype));
    wf_weight_block zeros = {.i_group = s->i_group,
                             .n_rows = 1,
                             .src = l->staging,
                             .src_dtype = l->dtype,
                             .src_stride = s->n_cols};
    for (zeros.i_row = dst_row; zeros.i_row < s->n_rows; zeros.i_row++)
        WF_TRY(l->be->ops->weight_load(l->be, weight, &zeros));
    return WF_OK;
}

// One group's.
static wf_status load_matrix(wf_loader *l, const wf_slice *s, wf_weight *weight)
{
    int64_t dst_row = 0;
    for (int i = 0; i < s->n_parts; i++) {
        source from = {.n_cols = wf_slice_tensor_cols(s, i)};
        if (wf_quant_of(l->arch, s->part[i]->role, s->place.i_layer)) {
            if (!l->dry) WF_TRY(wf_loader_quantised(l, s, i, &dst_row, weight));
            continue;
        }
        WF_TRY(find(l, s, i, ".weight", &from));
        for (int k = 0; k < wf_slice_n_pieces(s, i); k++) {
            wf_piece piece = wf_slice_piece(s, i, k);
            WF_TRY((wf_slice_transposed(s) ? load_turned : load_piece)(l, s, &from, piece, dst_row,
                                                                       weight));
            dst_row += piece.n;
        }
    }
    return l->dry ? WF_OK : load_zeros(l, s, dst_row, weight);
}

// The tensor's rows of one group as f32; NULL in the dry visit.
static wf_status load_values(wf_loader *l, const wf_slice *s, wf_piece piece, float *values)
{
    source from = {.n_cols = wf_slice_tensor_cols(s, 0)};
    if (wf_quant_of(l->arch, s->part[0]->role, s->place.i_layer))
        return l->dry ? WF_OK : wf_loader_quantised_values(l, s, piece, values);
    WF_TRY(find(l, s, 0, ".weight", &from));
    int64_t per_block =
        (int64_t)(l->block_bytes / ((size_t)from.n_cols * wf_dtype_bytes(from.dtype)));
    for (int64_t row = 0, n; row < piece.n; row += n) {
        const void *rows;
        n = piece.n - row < per_block ? piece.n - row : per_block;
        const wf_read_block b = {.tensor = from.tensor,
                                 .from = from.dtype,
                                 .to = l->dtype,
                                 .row = piece.first + row,
                                 .n_rows = n,
                                 .row_cols = from.n_cols,
                                 .n_cols = from.n_cols};
        WF_TRY(block(l, &b, &rows));
        if (!l->dry)
            wf_convert(values + row * from.n_cols, WF_F32, rows, from.dtype, n * from.n_cols);
    }
    return WF_OK;
}

// One group's, whose rows become columns.
static wf_status load_head_keys(wf_loader *l, const wf_slice *s, wf_weight *weight)
{
    wf_piece piece = wf_slice_piece(s, 0, 0);
    int64_t n_cols = wf_slice_tensor_cols(s, 0);
    float *values;
    WF_TRY(wf_alloc((size_t)(2 * piece.n * n_cols), sizeof *values, &values));
    float *turned = values + piece.n * n_cols;
    wf_status st = load_values(l, s, piece, values);
    for (int64_t i = 0; i < piece.n * n_cols && !l->dry; i++)
        turned[i % n_cols * piece.n + i / n_cols] = values[i];
    const wf_weight_block part = {.i_group = s->i_group,
                                  .n_rows = n_cols,
                                  .src = turned,
                                  .src_dtype = WF_F32,
                                  .src_stride = piece.n};
    if (st == WF_OK && !l->dry) st = l->be->ops->weight_load(l->be, weight, &part);
    free(values);
    return st;
}

// Bytes of one of a part's tensors of all experts.
static wf_status read_bytes(wf_loader *l, const wf_slice *s, const char *suffix, int64_t row,
                            int64_t n, int64_t row_bytes, const void **out)
{
    source from;
    char name[WF_TENSOR_NAME_BYTES];
    size_t i;
    wf_slice_tensor_name(s, 0, suffix, name, sizeof name);
    WF_TRY(wf_hf_folder_find(l->folder, name, &i));
    from.tensor = wf_hf_folder_at(l->folder, i);
    const wf_read_block b = {.tensor = from.tensor,
                             .from = WF_INT8,
                             .to = WF_INT8,
                             .row = wf_slice_packed_row(s, 0) + row,
                             .n_rows = n,
                             .row_cols = row_bytes,
                             .n_cols = row_bytes};
    return block(l, &b, out);
}

// Unpacked rows, gate and up in turn where they are pairs, take their places: `row` counts from the
// first that this rank has.
static wf_status place_unpacked(wf_loader *l, const wf_slice *s, const uint16_t *rows, int64_t row,
                                int64_t n, wf_weight *weight)
{
    int64_t n_cols = wf_slice_tensor_cols(s, 0), apart = 1, first = row;
    if (s->part[0]->split == WF_SPLIT_EXPERT_PAIRS) apart = 2;
    for (int64_t half = 0; half < apart; half++) {
        const wf_weight_block part = {.i_group = s->i_group,
                                      .i_row = first / apart + half * s->n_rows / 2,
                                      .n_rows = n / apart,
                                      .src = rows + half * n_cols + s->col,
                                      .src_dtype = WF_BF16,
                                      .src_stride = apart * n_cols};
        WF_TRY(l->be->ops->weight_load(l->be, weight, &part));
    }
    return WF_OK;
}

static wf_status unpack_rows(wf_loader *l, const wf_slice *s, const uint8_t *codes,
                             const uint8_t *scales, int64_t row, int64_t n, wf_weight *weight)
{
    char name[WF_TENSOR_NAME_BYTES];
    int64_t n_cols = wf_slice_tensor_cols(s, 0), at_once;
    at_once = (int64_t)l->staging_bytes / (2 * n_cols) & ~(int64_t)1;
    for (int64_t i = 0, m; i < n; i += m) {
        m = n - i < at_once ? n - i : at_once;
        int64_t bad = wf_mxfp4_unpack(codes + i * n_cols / 2, scales + i * n_cols / WF_MXFP4_BLOCK,
                                      m * n_cols, l->staging);
        if (bad >= 0)
            return wf_fail(WF_DATA,
                           "%s: %s: a scale of expert %d is no number; the checkpoint is "
                           "damaged, download it again",
                           wf_hf_folder_path(l->folder),
                           wf_slice_tensor_name(s, 0, "_scales", name, sizeof name),
                           s->first_group + s->i_group);
        WF_TRY(place_unpacked(l, s, l->staging, row + i, m, weight));
    }
    return WF_OK;
}

// One group's rows out of the tensors of all: scales first, as many as go with a block of codes.
static wf_status load_packed(wf_loader *l, const wf_slice *s, wf_weight *weight)
{
    wf_piece piece = wf_slice_piece(s, 0, 0);
    int64_t n_cols = wf_slice_tensor_cols(s, 0);
    int64_t per_block = (int64_t)l->block_bytes / (n_cols / 2) & ~(int64_t)1;
    uint8_t *scales;
    const void *bytes;
    wf_status st = WF_OK;
    WF_TRY(wf_alloc((size_t)(piece.n * n_cols / WF_MXFP4_BLOCK), 1, &scales));
    for (int64_t row = 0, n; row < piece.n && st == WF_OK; row += n) {
        n = piece.n - row < per_block ? piece.n - row : per_block;
        int64_t of_row = n_cols / WF_MXFP4_BLOCK;
        st = read_bytes(l, s, "_scales", piece.first + row, n, of_row, &bytes);
        if (st == WF_OK && !l->dry) memcpy(scales, bytes, (size_t)(n * of_row));
        if (st == WF_OK) st = read_bytes(l, s, "_blocks", piece.first + row, n, n_cols / 2, &bytes);
        if (st == WF_OK && !l->dry) st = unpack_rows(l, s, bytes, scales, row, n, weight);
    }
    free(scales);
    return st;
}

static wf_status load_matrices(wf_loader *l, const wf_slice *s, wf_weight *weight)
{
    wf_slice group = *s;
    wf_status (*load)(wf_loader *, const wf_slice *, wf_weight *) = wf_slice_packed(s, 0)
                                                                        ? load_packed
                                                                    : s->turned ? load_head_keys
                                                                                : load_matrix;
    for (; group.i_group < s->n_groups; group.i_group++)
        WF_TRY(load(l, &group, weight));
    return WF_OK;
}

// A seed of its own for every matrix of every rank.
static uint64_t seed_of(const wf_loader *l, const wf_slice *s)
{
    char name[WF_TENSOR_NAME_BYTES];
    const int64_t place[2] = {wf_slice_piece(s, 0, 0).first, s->col}; // tells ranks apart
    wf_slice_tensor_name(s, 0, "", name, sizeof name);
    return wf_hash64_of(place, sizeof place, wf_hash64_of(name, strlen(name), l->seed));
}

// What is added to the residual stream is kept small: there are two such matrices a layer.
static wf_status make_random(wf_loader *l, const wf_slice *s, wf_weight *weight)
{
    wf_split split = s->part[0]->split;
    bool adds = split == WF_SPLIT_COLUMNS || split == WF_SPLIT_EXPERT_COLUMNS;
    float std = adds ? RANDOM_STD / sqrtf(2.0f * (float)l->arch->n_layers) : RANDOM_STD;
    return l->be->ops->weight_random(l->be, weight, seed_of(l, s), std);
}

static wf_status fill_matrix(wf_loader *l, const wf_slice *s, wf_weight **out)
{
    WF_TRY(begin_part(l));
    if (l->dry) return load_matrices(l, s, NULL);
    const wf_weight_shape shape = wf_slice_shape(s, l->dtype, l->weights);
    WF_TRY(l->be->ops->weight_create(l->be, &shape, out));
    l->report.weight_bytes += wf_weight_bytes(&shape);
    // The model owns the weight from here.
    return l->folder ? load_matrices(l, s, *out) : make_random(l, s, *out);
}

// Elements [first, first + n) of a vector, as f32 at dst.
static wf_status load_elements(wf_loader *l, const source *from, wf_piece piece, float *dst)
{
    int64_t per_block = (int64_t)(l->block_bytes / wf_dtype_bytes(from->dtype));
    for (int64_t at = 0, n; at < piece.n; at += n) {
        const void *values;
        n = piece.n - at < per_block ? piece.n - at : per_block;
        const wf_read_block b = {.tensor = from->tensor,
                                 .from = from->dtype,
                                 .to = WF_F32,
                                 .row = piece.first + at,
                                 .n_rows = n,
                                 .row_cols = 1,
                                 .n_cols = 1};
        WF_TRY(block(l, &b, &values));
        if (!l->dry) wf_convert(dst + at, WF_F32, values, from->dtype, n);
    }
    return WF_OK;
}

// One group's.
static wf_status load_vector(wf_loader *l, const wf_slice *s, const char *suffix, float *dst)
{
    int64_t at = 0;
    for (int i = 0; i < s->n_parts; i++) {
        source from;
        WF_TRY(find(l, s, i, suffix, &from));
        for (int k = 0; k < wf_slice_n_pieces(s, i); k++) {
            wf_piece piece = wf_slice_piece(s, i, k);
            if (wf_slice_packed(s, i)) piece.first += wf_slice_packed_row(s, i);
            WF_TRY(load_elements(l, &from, piece, dst + at));
            at += piece.n;
        }
    }
    return WF_OK;
}

// gate 0, up 0, gate 1 ... become all gates, then all ups.
static wf_status part_pairs(float *values, int64_t n)
{
    float *pairs;
    WF_TRY(wf_alloc((size_t)(2 * n), sizeof *pairs, &pairs));
    memcpy(pairs, values, (size_t)(2 * n) * sizeof *pairs);
    for (int64_t i = 0; i < n; i++) {
        values[i] = pairs[2 * i];
        values[n + i] = pairs[2 * i + 1];
    }
    free(pairs);
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
    l->report.vector_bytes += bytes;
    return upload(l, device, values, bytes);
}

// What the file leaves out of a norm's numbers, and what the model multiplies them with.
static void fold(const wf_loader *l, const wf_slice *s, bool bias, float *values)
{
    const wf_part *part = s->part[0];
    bool plus_1 = !bias && part->bias == WF_BIAS_NORM && l->folder && l->arch->family->norm_plus_1;
    float scale = part->role == WF_ROLE_FINAL_NORM ? wf_scale_of(l->arch->logit_scale) : 1.0f;
    for (int64_t i = 0; i < s->n_rows; i++)
        values[i] = scale * (plus_1 ? 1.0f + values[i] : values[i]);
}

// The slice's rows of its tensors, or of their biases.
static wf_status fill_vector(wf_loader *l, const wf_slice *s, bool bias, float **out)
{
    wf_status st = WF_OK;
    float *values;
    int64_t n = s->n_groups * s->n_rows;
    wf_slice group = *s;
    WF_TRY(begin_part(l));
    WF_TRY(wf_alloc((size_t)n, sizeof *values, &values));
    for (int64_t i = 0; !l->folder && i < n; i++)
        values[i] = bias ? 0.0f : 1.0f;
    for (; l->folder && st == WF_OK && group.i_group < s->n_groups; group.i_group++) {
        st = load_vector(l, &group, bias ? ".bias" : ".weight", values + group.i_group * s->n_rows);
        if (st == WF_OK && s->part[0]->split == WF_SPLIT_EXPERT_PAIRS)
            st = part_pairs(values + group.i_group * s->n_rows, s->n_rows / 2);
    }
    if (!l->dry) fold(l, s, bias, values);
    if (st == WF_OK && !l->dry) st = place_vector(l, values, n, out);
    free(values);
    return st;
}

wf_status wf_loader_fill(wf_loader *l, const wf_slice *s, wf_param *out)
{
    if (s->n_cols == 0)
        WF_TRY(fill_vector(l, s, false, &out->vector));
    else if (!s->tied)
        WF_TRY(fill_matrix(l, s, &out->matrix));
    if (!s->bias || s->bias_elsewhere) return WF_OK;
    return fill_vector(l, s, true, &out->bias);
}

wf_status wf_loader_rotary(wf_loader *l, const wf_rope *rope, int32_t n_positions, wf_rotary *out)
{
    void *tables[2];
    size_t half = (size_t)l->arch->rotary_dim / 2, row_bytes = half * sizeof(float);
    size_t bytes = (size_t)n_positions * row_bytes;
    int32_t per_block = (int32_t)(l->staging_bytes / (2 * row_bytes));
    if (l->dry) return WF_OK;
    WF_TRY(l->be->ops->alloc(l->be, bytes, &tables[0]));
    out->cos = tables[0];
    WF_TRY(l->be->ops->alloc(l->be, bytes, &tables[1]));
    out->sin = tables[1];
    l->report.weight_bytes += 2 * bytes;
    l->report.vector_bytes += 2 * bytes;
    for (int32_t first = 0, n; first < n_positions; first += n) {
        n = n_positions - first < per_block ? n_positions - first : per_block;
        float *c = l->staging, *s = c + (size_t)n * half;
        size_t at = (size_t)first * half;
        WF_TRY(wf_rotary_tables(rope, l->arch->rotary_dim, n_positions, first, n, c, s));
        WF_TRY(upload(l, out->cos + at, c, (size_t)n * row_bytes));
        WF_TRY(upload(l, out->sin + at, s, (size_t)n * row_bytes));
    }
    return WF_OK;
}

// All layers have as many heads, and one scale of scores.
wf_status wf_loader_slopes(wf_loader *l, int32_t tp_rank, int32_t tp_size, float **out)
{
    float *slopes;
    int32_t n = l->arch->layer[0].n_heads, n_mine = n / tp_size;
    if (l->dry) return WF_OK;
    WF_TRY(wf_alloc((size_t)n, sizeof *slopes, &slopes));
    wf_alibi_slopes(n, slopes);
    for (int32_t i = 0; l->arch->family->slopes_scaled && i < n; i++)
        slopes[i] *= l->arch->layer[0].scale;
    wf_status st = place_vector(l, slopes + tp_rank * n_mine, n_mine, out);
    free(slopes);
    return st;
}

// Biases by bucket and head, [n_distances][heads], as the file has them.
static wf_status read_distances(wf_loader *l, int64_t n_heads, float *out)
{
    char name[WF_TENSOR_NAME_BYTES];
    source from;
    size_t i;
    const int64_t n = l->arch->n_distances * n_heads;
    snprintf(name, sizeof name, "%s", l->arch->family->distance_bias);
    if (l->arch->bare) wf_family_bare_name(l->arch->family, name);
    WF_TRY(wf_hf_folder_find(l->folder, name, &i));
    from.tensor = wf_hf_folder_at(l->folder, i);
    WF_TRY(wf_model_dtype_of(&from.tensor, &from.dtype));
    const wf_st_tensor *t = from.tensor.tensor;
    if (t->rank != 2 || t->shape[0] != l->arch->n_distances || t->shape[1] != n_heads)
        return wf_fail(WF_DATA, "%s: %s: is not %d buckets of distances for %lld heads",
                       wf_safetensors_path(from.tensor.file), name, l->arch->n_distances,
                       (long long)n_heads);
    return load_elements(l, &from, (wf_piece){0, n}, out);
}

wf_status wf_loader_distances(wf_loader *l, int32_t tp_rank, int32_t tp_size, float **out)
{
    enum { WIDTH = 2 * WF_DISTANCE_REACH + 1 };
    int32_t n_heads = l->arch->layer[0].n_heads, n_mine = n_heads / tp_size;
    int32_t n_buckets = l->arch->n_distances;
    float *stored = NULL, *biases = NULL;
    wf_status st;
    WF_TRY_TO(done, begin_part(l));
    WF_TRY_TO(done, wf_alloc((size_t)(n_buckets * n_heads), sizeof *stored, &stored));
    WF_TRY_TO(done, wf_alloc((size_t)n_heads * WIDTH, sizeof *biases, &biases));
    if (l->folder) WF_TRY_TO(done, read_distances(l, n_heads, stored));
    for (int32_t h = 0; h < n_heads; h++)
        for (int32_t i = 0; i < WIDTH; i++) {
            int32_t bucket = wf_distance_bucket(i - WF_DISTANCE_REACH, n_buckets);
            biases[h * WIDTH + i] = stored[bucket * n_heads + h];
        }
    st = l->dry ? WF_OK : place_vector(l, biases + tp_rank * n_mine * WIDTH, n_mine * WIDTH, out);
done:
    free(stored);
    free(biases);
    return st;
}

wf_status wf_loader_make_real(wf_loader *l)
{
    l->dry = false;
    return wf_readahead_start(l->reads);
}
