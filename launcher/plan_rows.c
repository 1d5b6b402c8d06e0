// See plan_rows.h.
#include "launcher/plan_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/limits.h"
#include "io/base/arena.h"
#include "launcher/text_job.h"

enum {
    BLOCK_ROWS = 512,
    LEAST_ROWS = 1000,      // of each shard, however long they are
    MOST_TOKENS = 64 << 20, // of prompts, in all shards: about a second
};

typedef struct rows_look {
    const wf_jobspec *spec;
    const wf_arch *arch;
    wf_reader *reader;
    wf_plan_rows *out;
    int32_t max_context;
    wf_engine_config engine; // as all shards' columns have it
    uint64_t n_tokens;       // read so far
} rows_look;

static void note_refused(wf_plan_rows *out, wf_status why, uint64_t n, const char *first)
{
    int i = 0;
    while (i < out->n_refused && out->refused[i].why != why)
        i++;
    if (i == WF_PLAN_ROWS_REASONS) i--;
    wf_plan_refused *of = &out->refused[i];
    if (i == out->n_refused) {
        out->n_refused++;
        of->why = why;
        snprintf(of->first, sizeof of->first, "%s", first);
    }
    of->n += n;
}

static void note_size(rows_look *l, const wf_request *r, const char *path)
{
    bool generates = l->arch->encode.task == WF_TASK_GENERATE;
    int64_t room = generates ? (int64_t)l->max_context - r->n_prompt : 1;
    int64_t n_limit = room < (int64_t)r->max_new_tokens ? room : (int64_t)r->max_new_tokens;
    int32_t n = wf_batcher_pages_at_end(l->engine.page_tokens, r->n_prompt, n_limit);
    if (n >= l->out->n_sizes) return; // beyond the context: refused already
    wf_plan_size *size = &l->out->size[n];
    if (size->n++ == 0)
        *size = (wf_plan_size){1, r->row, path, (int32_t)r->n_prompt, (int32_t)n_limit};
}

// What the engine says of the row's own sampling.
static wf_status check_engine(const rows_look *l, const wf_request *r)
{
    wf_sampling own = wf_request_sampling(r, &l->spec->sampling);
    uint32_t n_prompt = r->n_prompt;
    WF_TRY(wf_engine_check_second(l->arch, wf_request_second(r)));
    WF_TRY(wf_engine_fit_prompt(l->arch, l->max_context, &n_prompt));
    WF_TRY(wf_engine_check_stop_strings(&own, r->stop_string_bytes + (l->spec->stop.n > 0)));
    WF_TRY(wf_engine_check_marks(l->arch, l->engine.max_rows, r->prompt, n_prompt));
    return wf_engine_check_sampling(&l->engine, l->arch, &own);
}

static void note_row(rows_look *l, const wf_request *r, const char *path)
{
    wf_plan_rows *out = l->out;
    char first[WF_ERROR_MAX];
    out->n_read++;
    l->n_tokens += r->n_prompt;
    wf_status st = r->status;
    snprintf(first, sizeof first, "%s", r->error ? r->error : "");
    if (st == WF_OK && (st = check_engine(l, r)) != WF_OK)
        snprintf(first, sizeof first, "%.300s:/requests:%" PRIu64 ": %.600s", path, r->row,
                 wf_error());
    if (st != WF_OK) {
        note_refused(out, st, 1, first);
        return;
    }
    note_size(l, r, path);
    uint64_t n_good = out->n_read;
    for (int i = 0; i < out->n_refused; i++)
        n_good -= out->refused[i].n;
    double tokens = (double)r->n_prompt + (double)r->max_new_tokens;
    wf_sampling own = wf_request_sampling(r, &l->spec->sampling);
    double n_beams = own.beam_width > 1 ? (double)own.beam_width : 1.0;
    double kept = (double)r->n_prompt + n_beams * (double)r->max_new_tokens;
    out->mean_tokens += (tokens - out->mean_tokens) / (double)n_good;
    out->mean_kv_tokens += (kept - out->mean_kv_tokens) / (double)n_good;
    out->mean_beams += (n_beams - out->mean_beams) / (double)n_good;
}

// Rows from `row0`; *n gets how many came.
static wf_status read_block(rows_look *l, const char *path, uint64_t row0, uint32_t want,
                            uint32_t *n)
{
    const wf_reader_batch *batch = NULL;
    bool generates = l->arch->encode.task == WF_TASK_GENERATE;
    WF_TRY(wf_reader_submit(l->reader,
                            &(wf_reader_read){.path = path,
                                              .row0 = row0,
                                              .n = want,
                                              .n_vocab = l->arch->n_vocab,
                                              .max_context = generates ? l->max_context : 0}));
    WF_TRY(wf_reader_wait(l->reader, -1, &batch));
    if (!batch) return wf_fail(WF_INTERNAL, "%s: reading was interrupted", path);
    wf_status st = batch->status;
    if (st != WF_OK) wf_fail(st, "%s", batch->error);
    for (uint32_t i = 0; i < batch->n_rows; i++)
        note_row(l, &batch->rows[i], path);
    *n = batch->n_rows;
    wf_reader_release(l->reader, batch);
    return st;
}

static wf_status read_shard(rows_look *l, const char *path, uint64_t n_rows)
{
    for (uint64_t row = 0; row < n_rows && (row < LEAST_ROWS || l->n_tokens < MOST_TOKENS);) {
        uint32_t n = n_rows - row < BLOCK_ROWS ? (uint32_t)(n_rows - row) : BLOCK_ROWS;
        WF_TRY(read_block(l, path, row, n, &n));
        if (n == 0) return wf_fail(WF_SHARD, "%s: row %" PRIu64 " cannot be read", path, row);
        row += n;
    }
    return WF_OK;
}

static wf_status read_all(rows_look *l, const wf_inputs *in)
{
    const wf_engine_config asked = wf_plan_engine_config(l->spec, &in->needs);
    l->engine = wf_engine_config_of(&asked, l->arch);
    for (size_t i = 0; i < in->n; i++) {
        l->out->n_rows += in->info[i].n_rows;
        l->out->n_prompt_tokens += in->info[i].n_prompt_tokens;
        WF_TRY(read_shard(l, l->spec->shards.item[i], in->info[i].n_rows));
    }
    l->out->needs = in->needs;
    return WF_OK;
}

// The shards that are there: prompts files may still wait for theirs.
static size_t shards_there(const wf_jobspec *spec, const char **there)
{
    size_t n = 0;
    for (size_t i = 0; i < spec->requests.n; i++)
        if (!wf_text_job_waits(spec, i)) there[n++] = spec->shards.item[i];
    return n;
}

static wf_status look(const wf_jobspec *spec, const wf_arch *arch, const char **there,
                      wf_plan_rows *out)
{
    wf_inputs in = {0};
    wf_jobspec some = *spec;
    rows_look l = {.spec = &some, .arch = arch, .out = out};
    int32_t asked = spec->engine.max_context;
    l.max_context = asked > 0 ? asked : arch->max_context;
    out->n_sizes = wf_batcher_pages_at_end(spec->engine.page_tokens, l.max_context, 0) + 2;
    WF_TRY(wf_alloc((size_t)out->n_sizes, sizeof *out->size, &out->size));
    some.shards = (wf_option_strings){shards_there(spec, there), there};
    some.requests = some.shards;
    WF_TRY(wf_reader_start(&(wf_reader_config){0}, &l.reader));
    wf_status st = wf_inputs_open(&some, l.reader, &in);
    if (st == WF_OK) st = read_all(&l, &in);
    wf_inputs_close(&in);
    wf_reader_close(&l.reader);
    return st;
}

wf_status wf_plan_rows_read(const wf_jobspec *spec, const wf_arch *arch, wf_plan_rows *out)
{
    const char **there;
    *out = (wf_plan_rows){0};
    WF_TRY(wf_alloc(spec->requests.n, sizeof *there, &there));
    wf_status st = look(spec, arch, there, out);
    free(there);
    return st;
}

void wf_plan_rows_free(wf_plan_rows *rows)
{
    free(rows->size);
    *rows = (wf_plan_rows){0};
}

void wf_plan_rows_fit(wf_plan_rows *rows, const wf_batcher_room *room)
{
    char first[WF_ERROR_MAX];
    for (int32_t i = 0; i < rows->n_sizes; i++) {
        const wf_plan_size *size = &rows->size[i];
        if (size->n == 0) continue;
        wf_status st = wf_batcher_fits(room, size->n_prompt, size->n_limit);
        if (st == WF_OK) continue;
        snprintf(first, sizeof first, "%.300s:/requests:%" PRIu64 ": %.600s", size->path, size->row,
                 wf_error());
        note_refused(rows, st, size->n, first);
    }
}
