// A results file being written. The job's strings stay borrowed until the file is closed: they are
// needed at creation only, the column table is static.
#include "io/results/segment_batch.h"

#include "io/base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { REBASE_ROWS = 4096 };

struct wf_segment_file {
    wf_h5_file *h5;
    wf_result_columns columns;
    wf_h5_column *cols[WF_N_COLS];
};

static wf_status write_shards(wf_h5_file *h5, const wf_result_job *job)
{
    wf_status st = WF_OK;
    const char **texts = NULL;
    uint64_t *rows = NULL;
    const wf_h5_column_spec uid = {"/shards/uid", WF_H5_U8, 0, "text", "content hash"};
    const wf_h5_column_spec path = {"/shards/path", WF_H5_U8, 0, "text", "where it was read"};
    const wf_h5_column_spec n_rows = {"/shards/rows", WF_H5_U64, 0, "rows", "rows it holds"};
    WF_TRY_TO(done, wf_alloc(job->n_shards, sizeof *texts, &texts));
    WF_TRY_TO(done, wf_alloc(job->n_shards, sizeof *rows, &rows));
    for (size_t i = 0; i < job->n_shards; i++) {
        texts[i] = job->shards[i].uid;
        rows[i] = job->shards[i].rows;
    }
    WF_TRY_TO(done, wf_h5_write_texts(h5, &uid, texts, job->n_shards));
    for (size_t i = 0; i < job->n_shards; i++)
        texts[i] = job->shards[i].path ? job->shards[i].path : "";
    WF_TRY_TO(done, wf_h5_write_texts(h5, &path, texts, job->n_shards));
    WF_TRY_TO(done, wf_h5_write(h5, &n_rows, rows, job->n_shards));
done:
    free(texts);
    free(rows);
    return st;
}

static wf_status write_job(wf_h5_file *h5, const wf_result_job *job)
{
    WF_TRY(wf_h5_put_header(h5, WF_RESULTS_FORMAT, WF_RESULTS_FORMAT_VERSION));
    WF_TRY(wf_h5_put_text(h5, "/", "job", job->job_text ? job->job_text : ""));
    WF_TRY(wf_h5_put_text(h5, "/", "model_hash", job->model_hash ? job->model_hash : ""));
    if (job->labels) WF_TRY(wf_h5_put_text(h5, "/", "labels", job->labels));
    WF_TRY(wf_h5_put_i64(h5, "/", "n_vocab", job->n_vocab));
    WF_TRY(wf_h5_put_u64(h5, "/", "seed", job->seed));
    return write_shards(h5, job);
}

// Columns are created with their first value, so that nothing of a file without failed rows, say,
// needs a case of its own: an empty column is a dataset of length zero.
static wf_status create_columns(wf_segment_file *file)
{
    static const uint64_t zero = 0;
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_desc *desc = &wf_column_descs[i];
        if (!wf_column_present(i, &file->columns)) continue;
        wf_h5_column_spec spec = {.name = desc->name,
                                  .type = desc->type,
                                  .width = wf_column_rank2(i, &file->columns),
                                  .units = desc->units,
                                  .description = desc->description};
        WF_TRY(wf_h5_column_create(file->h5, &spec, &file->cols[i]));
        if (desc->kind == WF_COLUMN_WIDE) wf_h5_column_loosen(file->cols[i]);
        if (desc->kind == WF_COLUMN_CUT) WF_TRY(wf_h5_column_append(file->cols[i], &zero, 1));
    }
    return WF_OK;
}

wf_status wf_segment_file_create(const wf_part *part, const wf_result_job *job,
                                 const wf_result_columns *columns, wf_segment_file **out)
{
    wf_status st;
    wf_segment_file *file = NULL;
    WF_TRY(wf_alloc(1, sizeof *file, &file));
    file->columns = *columns;
    WF_TRY_TO(fail, wf_h5_file_create(wf_part_fd(part), wf_part_path(part), &file->h5));
    wf_h5_digest_start(file->h5);
    WF_TRY_TO(fail, write_job(file->h5, job));
    WF_TRY_TO(fail, create_columns(file));
    *out = file;
    return WF_OK;
fail:
    wf_segment_file_abandon(&file);
    return st;
}

// The batch's offsets start at its own zero, the file's go on from `base`.
static wf_status append_offsets(wf_h5_column *column, const uint64_t *ends, size_t n, uint64_t base)
{
    uint64_t moved[REBASE_ROWS];
    for (size_t start = 0; start < n; start += REBASE_ROWS) {
        size_t part = n - start < REBASE_ROWS ? n - start : REBASE_ROWS;
        for (size_t i = 0; i < part; i++)
            moved[i] = base + ends[start + i];
        WF_TRY(wf_h5_column_append(column, moved, part));
    }
    return WF_OK;
}

wf_status wf_segment_file_append(wf_segment_file *file, const wf_result_batch *batch)
{
    // Offsets first: they count from what the ragged columns held before this batch.
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_buffer *b = &batch->buffers[i];
        if (wf_column_descs[i].kind != WF_COLUMN_CUT || b->n == 0) continue;
        uint64_t base = wf_h5_column_count(file->cols[wf_column_of_cut(i)]);
        WF_TRY(append_offsets(file->cols[i], b->data, b->n, base));
    }
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_buffer *b = &batch->buffers[i];
        if (wf_column_descs[i].kind == WF_COLUMN_CUT || b->n == 0) continue;
        assert(file->cols[i]);
        WF_TRY(wf_h5_column_append(file->cols[i], b->data, b->n));
    }
    return WF_OK;
}

static wf_status write_run_numbers(wf_h5_file *h5, const wf_h5_column_spec *spec,
                                   const wf_run_info *runs, size_t n, size_t field_offset)
{
    wf_status st = WF_OK;
    size_t each = wf_h5_type_bytes(spec->type);
    char *values = NULL;
    WF_TRY(wf_alloc(n, each, &values));
    for (size_t i = 0; i < n; i++)
        memcpy(values + i * each, (const char *)&runs[i] + field_offset, each);
    st = wf_h5_write(h5, spec, values, n);
    free(values);
    return st;
}

static wf_status write_run_texts(wf_h5_file *h5, const wf_h5_column_spec *spec,
                                 const wf_run_info *runs, size_t n, size_t field_offset)
{
    wf_status st = WF_OK;
    const char **texts = NULL;
    WF_TRY(wf_alloc(n, sizeof *texts, &texts));
    for (size_t i = 0; i < n; i++) {
        memcpy(&texts[i], (const char *)&runs[i] + field_offset, sizeof texts[i]);
        if (!texts[i]) texts[i] = "";
    }
    st = wf_h5_write_texts(h5, spec, texts, n);
    free(texts);
    return st;
}

#define RUN_WRITER_U16  write_run_numbers
#define RUN_WRITER_N16  write_run_numbers
#define RUN_WRITER_U32  write_run_numbers
#define RUN_WRITER_I64  write_run_numbers
#define RUN_WRITER_F64  write_run_numbers
#define RUN_WRITER_TEXT write_run_texts
#define WF_H5_N16       WF_H5_U16
#define WF_H5_TEXT      WF_H5_U8 // a text column has no number type

static wf_status write_runs(wf_h5_file *h5, const wf_run_info *runs, size_t n)
{
#define WRITE_RUN_FIELD(field, kind, units, description)                                           \
    WF_TRY(RUN_WRITER_##kind(                                                                      \
        h5, &(wf_h5_column_spec){"/runs/" #field, WF_H5_##kind, 0, units, description}, runs, n,   \
        offsetof(wf_run_info, field)));
    WF_RUN_TABLE(WRITE_RUN_FIELD)
#undef WRITE_RUN_FIELD
    return WF_OK;
}

// What the numbers of the enum columns mean, as "0 done, 1 failed".
static wf_status write_enums(wf_h5_file *h5)
{
    static const char statuses[] = "0 done, 1 failed";
    static const char finishes[] = ""
#define FINISH_TEXT(name, number, words) ", " #number " " words
        WF_FINISH_TABLE(FINISH_TEXT);
#undef FINISH_TEXT
    static const char errors[] = ""
#define ERROR_TEXT(name, number, scope, exit_code, words) ", " #number " " #name
        WF_STATUS_TABLE(ERROR_TEXT);
#undef ERROR_TEXT
    WF_TRY(wf_h5_put_text(h5, "/requests/status", "enum", statuses));
    WF_TRY(wf_h5_put_text(h5, "/requests/finish_reason", "enum", finishes + 2));
    return wf_h5_put_text(h5, "/requests/error_code", "enum", errors + 2);
}

wf_status wf_segment_file_close(wf_segment_file **file, const wf_run_info *runs, size_t n_runs,
                                uint64_t *digest)
{
    wf_status st = WF_OK;
    uint64_t sum = 0;
    wf_segment_file *f = *file;
    for (int i = 0; i < WF_N_COLS; i++)
        WF_TRY_TO(fail, wf_h5_column_close(&f->cols[i]));
    WF_TRY_TO(fail, write_enums(f->h5));
    WF_TRY_TO(fail, write_runs(f->h5, runs, n_runs));
    WF_TRY_TO(fail, wf_h5_put_digest(f->h5, &sum));
    st = wf_h5_file_close(&f->h5);
    if (digest) *digest = sum;
fail:
    wf_segment_file_abandon(file);
    return st;
}

void wf_segment_file_abandon(wf_segment_file **file)
{
    if (!*file) return;
    for (int i = 0; i < WF_N_COLS; i++)
        wf_h5_column_abandon(&(*file)->cols[i]);
    wf_h5_file_abandon(&(*file)->h5);
    free(*file);
    *file = NULL;
}
