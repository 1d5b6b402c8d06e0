// The import: finds and sorts the rows, then makes a request of each. See import.h.
#include "jobs/streams/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/file.h"
#include "io/base/rng.h"
#include "io/base/text.h"
#include "io/shard/shard_writer.h"
#include "jobs/streams/import_format.h"
#include "jobs/streams/line_index.h"

// What random numbers are for; with the seed and a row or block id they name a sequence.
#define STREAM_PROMPT UINT64_C(0x70726f6d7074) // a row's own tokens
#define STREAM_BLOCK  UINT64_C(0x626c6f636b)   // a shared block's tokens
#define STREAM_JITTER UINT64_C(0x6a6974746572) // a row's jitter
#define MAX_VOCAB     INT64_C(2147483647)

typedef struct {
    const wf_import_options *options;
    const wf_trace_format *format;
    wf_import_report *report;
    wf_lines *lines;
    wf_trace_header header;
    wf_arena *arena; // of one row
    wf_line_index index;
    char sha256[WF_SHA256_HEX];
    int64_t vocab;
    int32_t *prompt; // of one row
    size_t prompt_capacity;
    wf_shard_writer *writer;
} import;

// Keeps the sequences of different purposes apart by their keys.
static wf_rng sequence(uint64_t seed, uint64_t purpose, uint64_t number)
{
    return wf_rng_make(seed ^ purpose * UINT64_C(0x9E3779B97F4A7C15), number);
}

static wf_status parse_row(import *m, const wf_line *line, wf_trace_row *row)
{
    char place[512];
    snprintf(place, sizeof place, "%.480s:%" PRIu64, m->options->input, line->number);
    *row = (wf_trace_row){0};
    return m->format->row(line, place, &m->header, m->arena, row);
}

// --- first pass: which rows, when, where ---

static wf_status take_header(import *m)
{
    wf_line line;
    bool more = false;
    if (m->format->header == NULL) return WF_OK;
    WF_TRY(wf_lines_next(m->lines, &line, &more));
    if (!more) return wf_fail(WF_DATA, "%s: is empty", m->options->input);
    char place[512];
    snprintf(place, sizeof place, "%.480s:%" PRIu64, m->options->input, line.number);
    return m->format->header(&line, place, &m->header);
}

static bool is_wanted(const import *m, uint64_t i_row)
{
    const wf_import_options *o = m->options;
    return i_row >= o->first_row && (o->n_rows == 0 || i_row - o->first_row < o->n_rows);
}

static wf_status index_row(import *m, const wf_line *line, uint64_t i_row)
{
    wf_trace_row row;
    wf_arena_mark mark = wf_arena_get_mark(m->arena);
    WF_TRY(parse_row(m, line, &row));
    wf_arena_reset(m->arena, mark);
    const wf_line_entry *last = wf_line_index_last(&m->index);
    if (last != NULL && row.time_ns < last->time_ns) m->report->n_out_of_order++;
    if (last != NULL && row.time_ns == last->time_ns) m->report->n_same_time++;
    wf_line_entry entry = {row.time_ns, line->offset, line->number, i_row};
    return wf_line_index_add(&m->index, &entry);
}

static wf_status index_rows(import *m)
{
    wf_line line;
    bool more = true;
    WF_TRY(take_header(m));
    for (uint64_t i_row = 0;; i_row++) {
        WF_TRY(wf_lines_next(m->lines, &line, &more));
        if (!more) break;
        if (is_wanted(m, i_row))
            WF_TRY(index_row(m, &line, i_row));
        else
            m->report->n_lines_skipped++;
    }
    WF_TRY(wf_lines_finish(m->lines, m->sha256));
    if (m->index.n > 0) return WF_OK;
    return wf_fail(WF_DATA, "%s: has no rows to import", m->options->input);
}

// Times count from the earliest row taken.
static void place_rows(import *m)
{
    int64_t origin = INT64_MAX;
    for (size_t i = 0; i < m->index.n; i++)
        if (m->index.entry[i].time_ns < origin) origin = m->index.entry[i].time_ns;
    for (size_t i = 0; i < m->index.n; i++) {
        wf_line_entry *e = &m->index.entry[i];
        e->time_ns -= origin;
        if (m->options->jitter_ns > 0) {
            wf_rng rng = sequence(m->options->seed, STREAM_JITTER, e->row);
            e->time_ns += (int64_t)(wf_rng_next_double(&rng) * (double)m->options->jitter_ns);
        }
    }
    wf_line_index_sort(&m->index);
}

// --- second pass: requests ---

static void fill_tokens(const import *m, uint64_t purpose, uint64_t number, int32_t *out, size_t n)
{
    wf_rng rng = sequence(m->options->seed, purpose, number);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)wf_rng_below(wf_rng_next_u32(&rng), (uint32_t)m->vocab);
}

// Shared blocks first, what they do not cover is the row's own.
static void fill_prompt(const import *m, const wf_trace_row *row, uint64_t i_row, size_t n)
{
    size_t at = 0, each = m->format->n_block_tokens;
    for (uint32_t i = 0; i < row->n_blocks && at < n; i++) {
        size_t take = n - at < each ? n - at : each;
        fill_tokens(m, STREAM_BLOCK, row->block[i], m->prompt + at, take);
        at += take;
    }
    fill_tokens(m, STREAM_PROMPT, i_row, m->prompt + at, n - at);
}

static uint32_t bounded(uint64_t length, uint32_t most, uint64_t *n_cut, uint64_t *n_raised)
{
    if (length == 0) {
        (*n_raised)++;
        return 1;
    }
    if (most > 0 && length > most) {
        (*n_cut)++;
        return most;
    }
    return (uint32_t)length; // a format refuses more than 2^31
}

static wf_status append_request(import *m, const wf_line_entry *e)
{
    wf_line line;
    wf_trace_row row;
    wf_import_report *report = m->report;
    const wf_import_options *o = m->options;
    wf_arena_mark mark = wf_arena_get_mark(m->arena);
    WF_TRY(wf_lines_at(m->lines, e->offset, e->number, &line));
    WF_TRY(parse_row(m, &line, &row));
    wf_request request = {
        .id = e->row,
        .arrival_ns = e->time_ns,
        .n_prompt = bounded(row.n_prompt, o->max_prompt, &report->n_prompt_cut, &report->n_raised),
        .max_new_tokens = bounded(row.n_new, o->max_new, &report->n_new_cut, &report->n_raised),
        .sampling_set = 1u << WF_SAMPLING_ignore_eos,
        .sampling.ignore_eos = true,
    };
    WF_TRY(wf_grow(request.n_prompt, sizeof *m->prompt, &m->prompt_capacity, &m->prompt));
    fill_prompt(m, &row, e->row, request.n_prompt);
    request.prompt = m->prompt;
    wf_arena_reset(m->arena, mark);
    report->n_rows++;
    report->n_prompt_tokens += request.n_prompt;
    report->n_new_tokens += request.max_new_tokens;
    report->span_ns = request.arrival_ns;
    return wf_shard_writer_append(m->writer, &request);
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
                                .source = wf_path_name(o->input),
                                .source_sha256 = m->sha256,
                                .source_time_unit = m->format->time_unit,
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
    for (size_t i = 0; i < m->index.n; i++) {
        if (m->writer == NULL) WF_TRY(shard_start(m));
        WF_TRY(append_request(m, &m->index.entry[i]));
        if (wf_shard_writer_count(m->writer) < per_shard && i + 1 < m->index.n) continue;
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

wf_status wf_import_run(const wf_import_options *options, wf_import_report *report)
{
import m = {.options = options, .report = report };
    *report = (wf_import_report){0};
    m.vocab = options->vocab != 0 ? options->vocab : 256;
    WF_TRY(check_options(options));
    WF_TRY(wf_trace_format_find(options->format, &m.format));
    wf_status st = WF_OK;
    WF_TRY_TO(done, wf_arena_create(0, &m.arena));
    WF_TRY_TO(done, wf_lines_open(options->input, &m.lines));
    WF_TRY_TO(done, index_rows(&m));
    place_rows(&m);
    st = write_shards(&m);
done:
    wf_shard_writer_abandon(&m.writer);
    wf_line_index_free(&m.index);
    wf_lines_close(&m.lines);
    wf_arena_destroy(&m.arena);
    free(m.prompt);
    return st;
}
