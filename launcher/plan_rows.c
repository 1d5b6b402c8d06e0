// See plan_rows.h.
#include "launcher/plan_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    uint64_t n_tokens; // read so far
} rows_look;

static void note_refused(wf_plan_rows *out, const wf_request *r)
{
    int i = 0;
    while (i < out->n_refused && out->refused[i].why != r->status)
        i++;
    if (i == WF_PLAN_ROWS_REASONS) i--;
    wf_plan_refused *of = &out->refused[i];
    if (i == out->n_refused) {
        out->n_refused++;
        of->why = r->status;
        snprintf(of->first, sizeof of->first, "%s", r->error);
    }
    of->n++;
}

static void note_row(rows_look *l, const wf_request *r)
{
    wf_plan_rows *out = l->out;
    out->n_read++;
    l->n_tokens += r->n_prompt;
    if (r->status != WF_OK) {
        note_refused(out, r);
        return;
    }
    uint64_t n_good = out->n_read;
    for (int i = 0; i < out->n_refused; i++)
        n_good -= out->refused[i].n;
    double tokens = (double)r->n_prompt + (double)r->max_new_tokens;
    out->mean_tokens += (tokens - out->mean_tokens) / (double)n_good;
}

// Rows from `row0`; *n gets how many came.
static wf_status read_block(rows_look *l, const char *path, uint64_t row0, uint32_t want,
                            uint32_t *n)
{
    const wf_reader_batch *batch = NULL;
    int32_t asked = l->spec->engine.max_context;
    WF_TRY(wf_reader_submit(
        l->reader, &(wf_reader_read){.path = path,
                                     .row0 = row0,
                                     .n = want,
                                     .n_vocab = l->arch->n_vocab,
                                     .max_context = asked > 0 ? asked : l->arch->max_context}));
    WF_TRY(wf_reader_wait(l->reader, -1, &batch));
    if (!batch) return wf_fail(WF_INTERNAL, "%s: reading was interrupted", path);
    wf_status st = batch->status;
    if (st != WF_OK) wf_fail(st, "%s", batch->error);
    for (uint32_t i = 0; i < batch->n_rows; i++)
        note_row(l, &batch->rows[i]);
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
