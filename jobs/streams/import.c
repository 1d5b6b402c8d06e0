// The import: finds and sorts the rows, then makes a request of each. See import.h.
#include "jobs/streams/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/rng.h"
#include "io/base/text.h"
#include "io/shard/shard_writer.h"
#include "jobs/streams/import_draw.h"
#include "jobs/streams/import_scan.h"

#define MAX_VOCAB INT64_C(2147483647)

typedef struct {
    const wf_import_options *options;
    wf_import_report *report;
    wf_import_scan scan;
    int64_t vocab;
    uint32_t n_block_tokens; // 0: the log has no blocks
    bool rereads;            // its rows hold more than the index keeps of them
    const char *time_unit;
    char *mended;
    int32_t *prompt; // of one row
    size_t prompt_capacity;
    wf_shard_writer *writer;
} import;

static void fill_tokens(const import *m, uint64_t purpose, uint64_t number, int32_t *out, size_t n)
{
    wf_rng rng = wf_draw_sequence(m->options->seed, purpose, number);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)wf_rng_below(wf_rng_next_u32(&rng), (uint32_t)m->vocab);
}

// Shared blocks first, what they do not cover is the row's own.
static void fill_prompt(const import *m, const wf_trace_row *row, uint64_t i_row, size_t n)
{
    size_t at = 0, each = m->n_block_tokens;
    for (uint32_t i = 0; i < row->n_blocks && at < n; i++) {
        size_t take = n - at < each ? n - at : each;
        fill_tokens(m, WF_DRAW_BLOCK, row->block[i], m->prompt + at, take);
        at += take;
    }
    fill_tokens(m, WF_DRAW_PROMPT, i_row, m->prompt + at, n - at);
}

// Piece by piece from its end: each is a round's own, from its first token on.
static void fill_round(const import *m, uint64_t i_row, size_t n)
{
    uint64_t row = i_row;
    while (n > 0) {
        wf_round_piece p = wf_rounds_piece(&m->scan.rounds, row, n, &row);
        bool common = p.row == WF_ROUND_NONE;
        fill_tokens(m, common ? WF_DRAW_BLOCK : WF_DRAW_PROMPT, common ? p.origin : p.row,
                    m->prompt + p.from, p.to - p.from);
        n = p.from;
    }
}

static wf_status append_request(import *m, const wf_line_entry *e)
{
    wf_line line;
    wf_trace_row row = {0};
    wf_import_report *report = m->report;
    wf_arena_mark mark = wf_arena_get_mark(m->scan.arena);
    if (m->rereads) {
        WF_TRY(wf_lines_at(m->scan.lines, e->offset, e->number, &line));
        WF_TRY(wf_import_scan_parse(&m->scan, &line, &row));
    }
    wf_request request = {
        .id = e->row,
        .arrival_ns = e->time_ns,
        .n_prompt = e->n_prompt,
        .max_new_tokens = e->n_new,
        .meta = (const uint8_t *)row.meta,
        .meta_bytes = row.meta_bytes,
        .sampling_set = 1u << WF_SAMPLING_ignore_eos,
        .sampling.ignore_eos = true,
    };
    const wf_round *round = wf_rounds_of(&m->scan.rounds, e->row);
    if (round) {
        request.session = round->session;
        request.turn = round->turn;
        request.think_ns = round->think_ns;
    }
    WF_TRY(wf_grow(request.n_prompt, sizeof *m->prompt, &m->prompt_capacity, &m->prompt));
    if (round && m->n_block_tokens == 0)
        fill_round(m, e->row, request.n_prompt);
    else
        fill_prompt(m, &row, e->row, request.n_prompt);
    request.prompt = m->prompt;
    WF_TRY(wf_shard_writer_append(m->writer, &request));
    wf_arena_reset(m->scan.arena, mark);
    report->n_rows++;
    report->n_prompt_tokens += request.n_prompt;
    report->n_new_tokens += request.max_new_tokens;
    report->span_ns = request.arrival_ns;
    return WF_OK;
}

// "a/x.h5" -> "a/x-00007.h5"; own.
static wf_status shard_path(const wf_import_options *o, uint64_t i_shard, char **out)
{
    if (o->rows_per_shard == 0) return wf_strdup(o->output, out);
    size_t n = strlen(o->output), n_stem = wf_text_ends_with(o->output, ".h5") ? n - 3 : n;
    WF_TRY(wf_alloc(n + 32, 1, out));
    snprintf(*out, n + 32, "%.*s-%05" PRIu64 "%s", (int)n_stem, o->output, i_shard,
             o->output + n_stem);
    return WF_OK;
}

static wf_status shard_start(import *m)
{
    const wf_import_options *o = m->options;
    char *path = NULL;
    WF_TRY(shard_path(o, m->report->n_shards, &path));
    wf_shard_options options = {.vocab_size = m->vocab,
                                .source = o->input != NULL ? wf_path_name(o->input) : NULL,
                                .source_sha256 = o->input != NULL ? m->scan.sha256 : NULL,
                                .source_time_unit = m->time_unit,
                                .source_mended = m->mended,
                                .generator = o->generator,
                                .seed = (int64_t)o->seed,
                                .jitter_ns = o->jitter_ns,
                                .replace = o->replace};
    wf_status st = wf_shard_writer_create(path, &options, &m->writer);
    free(path);
    return st;
}

static wf_status write_shards(import *m)
{
    uint64_t per_shard = m->options->rows_per_shard;
    if (per_shard == 0) per_shard = UINT64_MAX;
    for (size_t i = 0; i < m->scan.index.n; i++) {
        if (m->writer == NULL) WF_TRY(shard_start(m));
        WF_TRY(append_request(m, &m->scan.index.entry[i]));
        if (wf_shard_writer_count(m->writer) < per_shard && i + 1 < m->scan.index.n) continue;
        WF_TRY(wf_shard_writer_close(&m->writer, NULL));
        m->report->n_shards++;
    }
    return WF_OK;
}

// --- run ---

static wf_status check_options(const wf_import_options *o)
{
    if (o->vocab < 0 || o->vocab > MAX_VOCAB) {
        return wf_fail(WF_USAGE, "vocabulary of %" PRId64 " is not between 1 and %" PRId64,
                       o->vocab, MAX_VOCAB);
    }
    if (o->jitter_ns < 0) return wf_fail(WF_USAGE, "jitter is negative");
    return WF_OK;
}

bool wf_import_rate_is_odd(const wf_import_report *report)
{
    enum { MANY_PER_S = 2000, FEW_PER_DAY = 24, ENOUGH = 20 };
    double span_s = (double)report->span_ns / (double)WF_NS_PER_S;
    if (report->n_rows < ENOUGH || span_s <= 0) return false;
    double rate = (double)report->n_rows / span_s;
    return rate > MANY_PER_S || rate * 86400 < FEW_PER_DAY;
}

const char *wf_import_count_name(wf_import_what what)
{
    static const char *const names[] = {
#define NAME(name, words) #name,
        WF_IMPORT_COUNTS(NAME)
#undef NAME
    };
    return names[what];
}

const char *wf_import_count_words(wf_import_what what)
{
    static const char *const words[] = {
#define WORDS(name, words) words,
        WF_IMPORT_COUNTS(WORDS)
#undef WORDS
    };
    return words[what];
}

// What the file says of its rows, so that nobody takes them for the log's own.
static wf_status mended_text(import *m)
{
    wf_text text = {0};
    for (int i = 0; i < WF_IMPORT_N_COUNTS; i++) {
        if (m->report->count[i].n == 0) continue;
        wf_text_printf(&text, "%s%" PRIu64 " %s", text.n > 0 ? "; " : "", m->report->count[i].n,
                       wf_import_count_words((wf_import_what)i));
    }
    return text.n > 0 ? wf_text_take(&text, &m->mended) : WF_OK;
}

static void read_format(import *m)
{
    for (int i = 0; i < m->scan.format.n_columns; i++) {
        const wf_trace_column *c = &m->scan.format.column[i];
        if (c->role == WF_TRACE_BLOCKS) m->n_block_tokens = (uint32_t)c->unit;
        if (c->role == WF_TRACE_BLOCKS || c->role == WF_TRACE_META) m->rereads = true;
        if (c->role == WF_TRACE_ARRIVAL) m->time_unit = c->time_unit;
    }
}

wf_status wf_import_run(const wf_import_options *options, wf_import_report *report)
{
import m = {.options = options, .report = report, .scan = {.options = options, .report = report } };
    *report = (wf_import_report){0};
    m.vocab = options->vocab != 0 ? options->vocab : 256;
    WF_TRY(check_options(options));
    wf_status st = WF_OK;
    WF_TRY_TO(done, wf_import_scan_run(&m.scan));
    read_format(&m);
    WF_TRY_TO(done, mended_text(&m));
    WF_TRY_TO(done, wf_import_scan_place(&m.scan));
    st = write_shards(&m);
done:
    wf_shard_writer_abandon(&m.writer);
    wf_import_scan_end(&m.scan);
    free(m.mended);
    free(m.prompt);
    return st;
}
