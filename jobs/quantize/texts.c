// See texts.h.
#include "jobs/quantize/texts.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS_AT_ONCE = 256 };

typedef struct reading {
    wf_reader *reader;
    const char *path;
    int64_t n_vocab, half_tokens;
    int32_t max_tokens;
    uint64_t n_rows;
    wf_text_halves *out;
} reading;

static wf_status add_text(reading *r, wf_texts *t, const wf_request *row)
{
    int32_t *ids, n = (int32_t)row->n_prompt;
    if (n > r->max_tokens) n = r->max_tokens;
    if (n < 2 || t->n_tokens >= r->half_tokens) return WF_OK;
    WF_TRY(wf_arena_alloc(r->out->arena, (size_t)n, sizeof *ids, &ids));
    memcpy(ids, row->prompt, (size_t)n * sizeof *ids);
    t->ids[t->n] = ids;
    t->length[t->n++] = n;
    t->n_tokens += n;
    if (n > t->longest) t->longest = n;
    return WF_OK;
}

static wf_status take_row(reading *r, const wf_request *row)
{
    wf_text_halves *h = r->out;
    if (row->status == WF_REQ_TOKEN)
        return wf_fail(WF_DATA,
                       "%s: row %" PRIu64 ": %s: the shard is of another vocabulary than the "
                       "model's %" PRId64 " tokens; make one with this model's tokenizer",
                       r->path, row->row, row->error ? row->error : "a token", r->n_vocab);
    if (row->status != WF_OK) return WF_OK;
    return add_text(r, row->row % 2 == 0 ? &h->calibration : &h->held_out, row);
}

static bool is_enough(const reading *r)
{
    const wf_text_halves *h = r->out;
    return h->calibration.n_tokens >= r->half_tokens && h->held_out.n_tokens >= r->half_tokens;
}

static wf_status take_batch(reading *r, uint64_t *row)
{
    const wf_reader_batch *batch;
    const wf_reader_read read = {
        .path = r->path, .row0 = *row, .n = ROWS_AT_ONCE, .n_vocab = r->n_vocab};
    WF_TRY(wf_reader_submit(r->reader, &read));
    do {
        WF_TRY(wf_reader_wait(r->reader, -1, &batch));
    } while (!batch); // a signal
    wf_status st = batch->status;
    if (st != WF_OK) wf_fail(st, "%s", batch->error);
    if (st == WF_OK && batch->n_rows == 0)
        st = wf_fail(WF_SHARD, "%s: ends before its last row", r->path);
    for (uint32_t i = 0; i < batch->n_rows && st == WF_OK; i++)
        st = take_row(r, &batch->rows[i]);
    *row += batch->n_rows;
    wf_reader_release(r->reader, batch);
    return st;
}

static wf_status reserve(reading *r, wf_texts *t)
{
    size_t n = (size_t)r->n_rows / 2 + 1;
    WF_TRY(wf_arena_alloc(r->out->arena, n, sizeof *t->ids, &t->ids));
    return wf_arena_alloc(r->out->arena, n, sizeof *t->length, &t->length);
}

static wf_status check_length(const reading *r)
{
    const wf_text_halves *h = r->out;
    int64_t a = h->calibration.n_tokens, b = h->held_out.n_tokens;
    if (a >= WF_QUANTIZE_LEAST_TOKENS && b >= WF_QUANTIZE_LEAST_TOKENS) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: too short to calibrate with: its %" PRIu64 " rows give %" PRId64
                   " tokens to measure on and %" PRId64 " held out, at least %d of each are wanted",
                   r->path, r->n_rows, a, b, WF_QUANTIZE_LEAST_TOKENS);
}

wf_status wf_texts_read(wf_reader *reader, const char *path, int64_t n_vocab, int32_t max_tokens,
                        int64_t half_tokens, wf_text_halves *out)
{
    wf_shard_info info;
    *out = (wf_text_halves){0};
    reading r = {.reader = reader,
                 .path = path,
                 .n_vocab = n_vocab,
                 .half_tokens = half_tokens,
                 .max_tokens = max_tokens,
                 .out = out};
    WF_TRY(wf_arena_create(1 << 16, &out->arena));
    WF_TRY(wf_reader_open(reader, path, &info));
    r.n_rows = info.n_rows;
    memcpy(out->uid, info.uid, sizeof out->uid);
    WF_TRY(reserve(&r, &out->calibration));
    WF_TRY(reserve(&r, &out->held_out));
    for (uint64_t row = 0; row < info.n_rows && !is_enough(&r);)
        WF_TRY(take_batch(&r, &row));
    return check_length(&r);
}

void wf_texts_free(wf_text_halves *halves)
{
    wf_arena_destroy(&halves->arena);
    *halves = (wf_text_halves){0};
}
