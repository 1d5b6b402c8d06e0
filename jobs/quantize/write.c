// See write.h.
#include "jobs/quantize/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_check.h"
#include "engine/model_values.h"
#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/text.h"
#include "kernels/convert.h"
#include "kernels/quantize.h"

enum { BLOCK_BYTES = 16 << 20, MOST_ENTRIES = 4 }; // of a unit: numbers, scales, shape, bias

// A unit, and what it is made of.
typedef struct made {
    wf_hf_tensor from;
    const wf_quantize_matrix *matrix; // that takes a format, or whose bias it is; NULL: copied
    bool bias;                        // is the matrix's bias, else the matrix
    bool adds_bias;                   // the matrix gets a bias, which it had not
} made;

typedef struct rewriting {
    const wf_quantize_write_job *job;
    wf_quantize_matrix *matrices;
    size_t n_matrices;
    wf_bias_plan biases;
    made *made; // [n_units]
    wf_hf_unit *units;
    size_t n_units;
    wf_st_entry *entries;
    size_t n_entries;
    wf_arena *arena; // names and shapes of the entries
    char *config, *identity;
    wf_hf_document *documents;
    size_t n_documents, room_documents;
    wf_paths paths; // of the documents that are copied
} rewriting;

// ---- the plan -----------------------------------------------------------------------------------

static wf_status add_entry(rewriting *r, const char *module, const char *end, wf_st_dtype dtype,
                           int rank, const int64_t *shape)
{
    wf_st_entry *e = &r->entries[r->n_entries++];
    int64_t *kept;
    char *name;
    size_t n = strlen(module) + strlen(end) + 1;
    WF_TRY(wf_arena_alloc(r->arena, n, 1, &name));
    snprintf(name, n, "%s%s", module, end);
    WF_TRY(wf_arena_alloc(r->arena, (size_t)rank + 1, sizeof *kept, &kept));
    if (rank > 0) memcpy(kept, shape, (size_t)rank * sizeof *kept);
    *e = (wf_st_entry){.name = name, .dtype = dtype, .rank = rank, .shape = kept};
    return WF_OK;
}

static bool is_packed(const rewriting *r, const wf_quantize_matrix *m)
{
    return m->kept.dtype == WF_INT4 || (m->kept.dtype == WF_INT8 && !r->job->recipe->dynamic);
}

// Bytes of a stored row: packed ones are whole words.
static int64_t stored_row_bytes(const rewriting *r, const wf_quantize_matrix *m)
{
    int64_t bytes = (int64_t)wf_format_row_bytes(m->kept.dtype, m->n_cols);
    return is_packed(r, m) ? (bytes + 3) / 4 * 4 : bytes;
}

static int64_t n_blocks_of(const wf_quantize_matrix *m)
{
    return m->kept.block > 0 ? m->n_cols / m->kept.block : 1;
}

static wf_status add_matrix(rewriting *r, const wf_quantize_matrix *m)
{
    const int64_t shape[] = {m->n_rows, m->n_cols}, scales[] = {m->n_rows, n_blocks_of(m)};
    const int64_t words[] = {m->n_rows, stored_row_bytes(r, m) / 4}, two = 2;
    if (!is_packed(r, m)) {
        WF_TRY(add_entry(r, m->module, ".weight",
                         m->kept.dtype == WF_FP8 ? WF_ST_F8_E4M3 : WF_ST_I8, 2, shape));
        return add_entry(r, m->module, ".weight_scale", WF_ST_F32, 2, scales);
    }
    WF_TRY(add_entry(r, m->module, ".weight_packed", WF_ST_I32, 2, words));
    WF_TRY(add_entry(r, m->module, ".weight_scale", WF_ST_F32, 2, scales));
    return add_entry(r, m->module, ".weight_shape", WF_ST_I64, 1, &two);
}

static bool is_plain(const wf_quantize_matrix *m)
{
    return m->kept.format == WF_QUANTIZE_PLAIN;
}

static const wf_correction *correction_of(const rewriting *r, const wf_quantize_matrix *m)
{
    const wf_corrections *all = r->job->corrections;
    return all ? &all->of[m - r->matrices] : NULL;
}

// The matrix whose tensor with this ending it is, of those that may take a format; else NULL.
static const wf_quantize_matrix *matrix_of(const rewriting *r, const char *name, const char *ending)
{
    char module[sizeof r->matrices->module];
    size_t n = strlen(name), end = strlen(ending);
    if (n <= end || n - end >= sizeof module || !wf_text_ends_with(name, ending)) return NULL;
    memcpy(module, name, n - end);
    module[n - end] = '\0';
    for (size_t low = 0, high = r->n_matrices; low < high;) {
        size_t middle = (low + high) / 2;
        int order = strcmp(module, r->matrices[middle].module);
        if (order == 0) return &r->matrices[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

// What a tensor becomes.
static void recognise(const rewriting *r, made *u)
{
    const char *name = u->from.tensor->name;
    const wf_quantize_matrix *m = matrix_of(r, name, ".weight");
    bool corrected = r->job->corrections != NULL;
    if (!m && corrected) {
        u->matrix = matrix_of(r, name, ".bias");
        u->bias = u->matrix != NULL;
        return;
    }
    u->adds_bias = m && corrected && wf_bias_plan_adds(&r->biases, m->role);
    if (m && (!is_plain(m) || u->adds_bias)) u->matrix = m;
}

static wf_status plan_unit(rewriting *r, size_t i)
{
    made *u = &r->made[i];
    u->from = wf_hf_folder_at(r->job->folder, i);
    const wf_st_tensor *t = u->from.tensor;
    recognise(r, u);
    size_t first = r->n_entries;
    if (u->matrix && !u->bias && !is_plain(u->matrix))
        WF_TRY(add_matrix(r, u->matrix));
    else
        WF_TRY(add_entry(r, t->name, "", u->bias ? WF_ST_F32 : t->dtype, t->rank, t->shape));
    if (u->adds_bias)
        WF_TRY(add_entry(r, u->matrix->module, ".bias", WF_ST_F32, 1, &u->matrix->n_rows));
    r->units[i] = (wf_hf_unit){first, r->n_entries - first};
    return WF_OK;
}

static wf_status plan_units(rewriting *r)
{
    r->n_units = wf_hf_folder_count(r->job->folder);
    WF_TRY(wf_arena_create(1 << 16, &r->arena));
    WF_TRY(wf_alloc(r->n_units, sizeof *r->made, &r->made));
    WF_TRY(wf_alloc(r->n_units, sizeof *r->units, &r->units));
    WF_TRY(wf_alloc(MOST_ENTRIES * r->n_units, sizeof *r->entries, &r->entries));
    for (size_t i = 0; i < r->n_units; i++)
        WF_TRY(plan_unit(r, i));
    return WF_OK;
}

// ---- documents ----------------------------------------------------------------------------------

// config.json is made to say that there are biases.
static bool sets_key(const rewriting *r, bool attn)
{
    return r->job->corrections && (attn ? r->biases.add_attn : r->biases.add_mlp);
}

static bool is_replaced(const rewriting *r, const char *key)
{
    return strcmp(key, "quantization_config") == 0 ||
           (sets_key(r, true) && strcmp(key, r->biases.attn_key) == 0) ||
           (sets_key(r, false) && strcmp(key, r->biases.mlp_key) == 0);
}

static wf_status write_config(rewriting *r)
{
    wf_json_writer *w = NULL;
    const char *text = "";
    wf_json_iter it = wf_json_iterate(wf_json_root(wf_hf_folder_config(r->job->folder)));
    WF_TRY(wf_json_writer_create(2, &w));
    wf_status st = WF_OK;
    wf_json_open_object(w, NULL);
    for (wf_json_ref item; st == WF_OK && wf_json_next(&it, &item);)
        if (!is_replaced(r, item.key)) st = wf_json_copy(item, w, item.key);
    if (sets_key(r, true)) wf_json_put_bool(w, r->biases.attn_key, true);
    if (sets_key(r, false)) wf_json_put_bool(w, r->biases.mlp_key, true);
    wf_quantize_put_config(r->job->arch, r->job->recipe, r->matrices, r->n_matrices, w,
                           "quantization_config");
    wf_json_close(w);
    if (st == WF_OK) st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) st = wf_strdup(text, &r->config);
    wf_json_writer_destroy(&w);
    return st;
}

static uint64_t corrections_hash(const rewriting *r)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < r->n_matrices && r->job->corrections; i++) {
        const wf_correction *c = &r->job->corrections->of[i];
        size_t bytes = (size_t)r->matrices[i].n_rows * sizeof(float);
        if (!c->scale) continue;
        hash = wf_hash64_of(c->scale, bytes, hash);
        hash = wf_hash64_of(c->offset, bytes, hash);
    }
    return hash;
}

// Equal where the same bytes would be written.
static wf_status write_identity(rewriting *r)
{
    char model[WF_HF_IDENTITY_MAX];
    wf_text text = {0};
    WF_TRY(wf_hf_folder_identity(r->job->folder, model));
    wf_text_printf(&text,
                   "{\"model\": \"%s\", \"dynamic\": %s, \"corrections\": \"%016" PRIx64
                   "\", \"layers\": [",
                   model, r->job->recipe->dynamic ? "true" : "false", corrections_hash(r));
    for (int32_t i = 0; i < r->job->arch->n_layers; i++)
        wf_text_printf(&text, "%s\"%s\"", i ? ", " : "",
                       wf_quantize_word((wf_quantize_format)r->job->recipe->format[i]));
    wf_text_puts(&text, "]}\n");
    wf_status st = wf_text_take(&text, &r->identity);
    wf_text_free(&text);
    return st;
}

static bool is_copied(const char *name)
{
    static const char *const ends[] = {".json", ".model", ".txt", ".jinja", ".tiktoken", ".md"};
    bool index = wf_text_ends_with(name, ".index.json") || strcmp(name, "config.json") == 0;
    if (index || name[0] == '.') return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (wf_text_ends_with(name, ends[i])) return true;
    return strncmp(name, "LICENSE", sizeof "LICENSE" - 1) == 0;
}

static wf_status add_document(rewriting *r, const char *name, const char *text, const char *from)
{
    WF_TRY(wf_grow(r->n_documents + 1, sizeof *r->documents, &r->room_documents, &r->documents));
    r->documents[r->n_documents++] = (wf_hf_document){name, text, from};
    return WF_OK;
}

// The configuration, and what stands beside the weights: tokenizer, generation, licence.
static wf_status plan_documents(rewriting *r)
{
    const char *folder = wf_hf_folder_path(r->job->folder);
    WF_TRY(write_config(r));
    WF_TRY(add_document(r, "config.json", r->config, NULL));
    WF_TRY(wf_file_list(folder, &r->paths));
    for (size_t i = 0, n = r->paths.n; i < n; i++) {
        char *path;
        if (!is_copied(r->paths.item[i])) continue;
        WF_TRY(wf_path_join(folder, r->paths.item[i], &path));
        wf_status st = wf_paths_add(&r->paths, path);
        free(path);
        if (st == WF_OK)
            st = add_document(r, r->paths.item[i], NULL, r->paths.item[r->paths.n - 1]);
        WF_TRY(st);
    }
    return WF_OK;
}

// ---- filling ------------------------------------------------------------------------------------

static wf_status copy_tensor(const wf_hf_tensor *from, wf_st_writer *to)
{
    char *bytes;
    wf_status st = WF_OK;
    WF_TRY(wf_alloc(BLOCK_BYTES, 1, &bytes));
    for (uint64_t at = 0, n; at < from->tensor->bytes && st == WF_OK; at += n) {
        n = from->tensor->bytes - at < BLOCK_BYTES ? from->tensor->bytes - at : BLOCK_BYTES;
        st = wf_safetensors_read(from->file, from->tensor, at, (size_t)n, bytes);
        if (st == WF_OK) st = wf_st_writer_put(to, bytes, (size_t)n);
    }
    free(bytes);
    return st;
}

// The rows of a matrix on their way; all own.
typedef struct row_buffers {
    char *stored, *numbers;
    float *values, *scales; // a row; all scales of the matrix
    int64_t n_rows;         // that are read at a time
} row_buffers;

static void free_buffers(row_buffers *b)
{
    free(b->stored);
    free(b->numbers);
    free(b->values);
    free(b->scales);
}

static wf_status reserve(const rewriting *r, const wf_quantize_matrix *m, size_t source_row_bytes,
                         row_buffers *b)
{
    b->n_rows = 1 + (int64_t)(BLOCK_BYTES / source_row_bytes);
    if (b->n_rows > m->n_rows) b->n_rows = m->n_rows;
    size_t n = (size_t)b->n_rows;
    WF_TRY(wf_alloc(n, source_row_bytes, &b->stored));
    WF_TRY(wf_alloc(n, (size_t)stored_row_bytes(r, m), &b->numbers));
    WF_TRY(wf_alloc((size_t)m->n_cols, sizeof *b->values, &b->values));
    return wf_alloc((size_t)(m->n_rows * n_blocks_of(m)), sizeof *b->scales, &b->scales);
}

// Packed numbers are stored without a sign: the greatest bit is the other way round.
static void to_stored(const wf_quantize_matrix *m, char *row)
{
    int64_t n = (int64_t)wf_format_row_bytes(m->kept.dtype, m->n_cols);
    for (int64_t i = 0; i < n; i++)
        row[i] = (char)(row[i] ^ (m->kept.dtype == WF_INT4 ? 0x88 : 0x80));
}

static wf_status check_row(const wf_hf_tensor *from, const void *row, wf_dtype dtype, int64_t n,
                           int64_t i_row)
{
    if (wf_values_find_bad(row, n, dtype, WF_F32) < 0) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: %s: a value in row %" PRId64 " is not finite; the checkpoint is damaged, "
                   "download it again",
                   wf_safetensors_path(from->file), from->tensor->name, i_row);
}

// Rows [row, row + n): read, rounded, put.
static wf_status put_rows(const rewriting *r, const made *u, wf_dtype dtype, int64_t row, int64_t n,
                          row_buffers *b, wf_st_writer *to)
{
    const wf_quantize_matrix *m = u->matrix;
    size_t each = wf_format_row_bytes(dtype, m->n_cols);
    size_t stored = (size_t)stored_row_bytes(r, m);
    WF_TRY(wf_safetensors_read(u->from.file, u->from.tensor, (uint64_t)row * each, (size_t)n * each,
                               b->stored));
    for (int64_t i = 0; i < n; i++) {
        const char *source = b->stored + (size_t)i * each;
        char *numbers = b->numbers + (size_t)i * stored;
        WF_TRY(check_row(&u->from, source, dtype, m->n_cols, row + i));
        wf_convert(b->values, WF_F32, source, dtype, m->n_cols);
        wf_quantize_row(b->values, m->n_cols, m->kept.dtype, m->kept.block, numbers,
                        b->scales + (row + i) * n_blocks_of(m));
        if (is_packed(r, m)) to_stored(m, numbers);
    }
    return wf_st_writer_put(to, b->numbers, (size_t)n * stored);
}

static void correct_scales(const rewriting *r, const wf_quantize_matrix *m, float *scales)
{
    const wf_correction *c = correction_of(r, m);
    int64_t n_blocks = n_blocks_of(m);
    for (int64_t i = 0; c && c->scale && i < m->n_rows * n_blocks; i++)
        scales[i] *= c->scale[i / n_blocks];
}

// A bias that is new (from NULL), or an old one with the offset added.
static wf_status put_bias(const rewriting *r, const made *u, const wf_hf_tensor *from,
                          wf_st_writer *to)
{
    const wf_correction *c = correction_of(r, u->matrix);
    size_t n = (size_t)u->matrix->n_rows;
    float *bias;
    char *stored = NULL;
    wf_dtype dtype = WF_F32;
    WF_TRY(wf_alloc(n, sizeof *bias, &bias));
    wf_status st = WF_OK;
    if (from) st = wf_model_dtype_of(from, &dtype);
    if (from && st == WF_OK) st = wf_alloc((size_t)from->tensor->bytes, 1, &stored);
    if (from && st == WF_OK)
        st = wf_safetensors_read(from->file, from->tensor, 0, (size_t)from->tensor->bytes, stored);
    if (from && st == WF_OK) wf_convert(bias, WF_F32, stored, dtype, (int64_t)n);
    for (size_t i = 0; c && c->offset && i < n; i++)
        bias[i] += c->offset[i];
    if (st == WF_OK) st = wf_st_writer_put(to, bias, n * sizeof *bias);
    free(stored);
    free(bias);
    return st;
}

static wf_status put_matrix(const rewriting *r, const made *u, wf_st_writer *to)
{
    const wf_quantize_matrix *m = u->matrix;
    const int64_t shape[] = {m->n_rows, m->n_cols};
    wf_dtype dtype;
    row_buffers b = {0};
    WF_TRY(wf_model_dtype_of(&u->from, &dtype));
    wf_status st = reserve(r, m, wf_format_row_bytes(dtype, m->n_cols), &b);
    for (int64_t row = 0, n; row < m->n_rows && st == WF_OK; row += n) {
        n = m->n_rows - row < b.n_rows ? m->n_rows - row : b.n_rows;
        st = put_rows(r, u, dtype, row, n, &b, to);
    }
    size_t n_scales = (size_t)(m->n_rows * n_blocks_of(m));
    if (st == WF_OK) correct_scales(r, m, b.scales);
    if (st == WF_OK) st = wf_st_writer_put(to, b.scales, n_scales * sizeof *b.scales);
    if (st == WF_OK && is_packed(r, m)) st = wf_st_writer_put(to, shape, sizeof shape);
    free_buffers(&b);
    return st;
}

static wf_status fill(void *context, size_t i_unit, wf_st_writer *to)
{
    const rewriting *r = context;
    const made *u = &r->made[i_unit];
    if (u->bias) return put_bias(r, u, &u->from, to);
    WF_TRY(u->matrix && !is_plain(u->matrix) ? put_matrix(r, u, to) : copy_tensor(&u->from, to));
    return u->adds_bias ? put_bias(r, u, NULL, to) : WF_OK;
}

// ---- all of it ----------------------------------------------------------------------------------

static void free_all(rewriting *r)
{
    free(r->matrices);
    free(r->made);
    free(r->units);
    free(r->entries);
    free(r->config);
    free(r->identity);
    free(r->documents);
    wf_paths_destroy(&r->paths);
    wf_arena_destroy(&r->arena);
}

wf_status wf_quantize_write(const wf_quantize_write_job *job, wf_hf_write_report *out)
{
    rewriting r = {.job = job, .biases = wf_bias_plan_of(job->arch)};
    wf_status st = wf_quantize_matrices(job->arch, job->recipe, &r.matrices, &r.n_matrices);
    if (st == WF_OK) st = plan_units(&r);
    if (st == WF_OK) st = plan_documents(&r);
    if (st == WF_OK) st = write_identity(&r);
    if (st == WF_OK) {
        const wf_hf_write_job write = {.path = job->path,
                                       .identity = r.identity,
                                       .entries = r.entries,
                                       .units = r.units,
                                       .n_units = r.n_units,
                                       .documents = r.documents,
                                       .n_documents = r.n_documents,
                                       .fill = fill,
                                       .context = &r,
                                       .stop = job->stop};
        st = wf_hf_write(&write, out);
    }
    free_all(&r);
    return st;
}
