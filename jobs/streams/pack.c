// The packer: reads all lines to find mistakes and the order of arrival, then again to write them.
#include "jobs/streams/pack.h"

#include <inttypes.h>
#include <stdio.h>

#include "io/base/file.h"
#include "io/base/log.h"
#include "io/shard/shard_writer.h"
#include "jobs/streams/line_index.h"
#include "jobs/streams/pack_row.h"
#include "jobs/streams/rounds.h"

enum { MOST_BAD_SHOWN = 20 };

typedef struct {
    const wf_pack_options *options;
    wf_pack_report *report;
    wf_lines *lines;
    wf_arena *arena; // of one row
    wf_line_index index;
    wf_line_index ids; // the same rows by their id
    wf_rounds rounds;  // turns of sessions, in the order of arrival
    char sha256[WF_SHA256_HEX];
    int32_t greatest; // token id
    wf_shard_writer *writer;
    wf_pieces *pieces; // of bytes, for stop strings
    uint64_t n_bad;
    char first_bad[WF_ERROR_MAX];
} packing;

static wf_status parse(packing *p, const wf_line *line, uint64_t i_row, wf_request *r)
{
    char place[512];
    snprintf(place, sizeof place, "%.480s:%" PRIu64, p->options->input, line->number);
    return wf_pack_parse(line, place, p->options, i_row, p->arena, r);
}

static void note_greatest(packing *p, const int32_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] > p->greatest) p->greatest = ids[i];
}

static wf_status index_row(packing *p, const wf_line *line, uint64_t i_row, const wf_request *r)
{
    note_greatest(p, r->prompt, r->n_prompt);
    note_greatest(p, r->stop, r->n_stop);
    note_greatest(p, r->bias_id, r->n_bias_id);
    note_greatest(p, r->allowed, r->n_allowed);
    note_greatest(p, r->bad_words, r->n_bad_words);
    const wf_line_entry *last = wf_line_index_last(&p->index);
    if (last != NULL && r->arrival_ns < last->time_ns) p->report->n_out_of_order++;
    wf_line_entry entry = {
        .time_ns = r->arrival_ns, .offset = line->offset, .number = line->number, .row = i_row};
    WF_TRY(wf_line_index_add(&p->index, &entry));
    entry.time_ns = (int64_t)r->id; // the key to sort by; a line's id is no greater
    return wf_line_index_add(&p->ids, &entry);
}

// A lone bad row is the command's error; several are shown one by one, up to a bound.
static void note_bad(packing *p)
{
    if (++p->n_bad == 1) {
        snprintf(p->first_bad, sizeof p->first_bad, "%s", wf_error());
        return;
    }
    if (p->n_bad == 2) wf_say_error("%s", p->first_bad);
    if (p->n_bad <= MOST_BAD_SHOWN) wf_say_error("%s", wf_error());
}

static wf_status bad_rows(const packing *p)
{
    if (p->n_bad == 0) return WF_OK;
    if (p->n_bad == 1) return wf_fail(WF_DATA, "%s", p->first_bad);
    return wf_fail(WF_DATA, "%s: %" PRIu64 " rows are bad, %s shown above; nothing was written",
                   p->options->input, p->n_bad,
                   p->n_bad > MOST_BAD_SHOWN ? "the first are" : "all are");
}

static wf_status index_rows(packing *p)
{
    wf_line line;
    bool more = true;
    for (uint64_t i_row = 0;; i_row++) {
        wf_request r;
        wf_arena_mark mark = wf_arena_get_mark(p->arena);
        WF_TRY(wf_lines_next(p->lines, &line, &more));
        if (!more) break;
        wf_status st = parse(p, &line, i_row, &r);
        if (st == WF_OK) st = index_row(p, &line, i_row, &r);
        wf_arena_reset(p->arena, mark);
        if (st != WF_OK && st != WF_DATA) return st;
        if (st == WF_DATA) note_bad(p);
    }
    WF_TRY(bad_rows(p));
    WF_TRY(wf_lines_finish(p->lines, p->sha256));
    if (p->index.n > 0) return WF_OK;
    return wf_fail(WF_DATA, "%s: has no rows to pack", p->options->input);
}

// All rows whose id an earlier row has, in the order of ids.
static wf_status check_ids(packing *p)
{
    wf_line_index_sort(&p->ids);
    const wf_line_entry *first = p->ids.entry;
    for (size_t i = 1; i < p->ids.n; i++) {
        const wf_line_entry *again = &p->ids.entry[i];
        if (first->time_ns != again->time_ns) {
            first = again;
            continue;
        }
        wf_fail(WF_DATA, "%s:%" PRIu64 ": id %" PRId64 " is that of line %" PRIu64 " already",
                p->options->input, again->number, again->time_ns, first->number);
        note_bad(p);
    }
    wf_line_index_free(&p->ids);
    return bad_rows(p);
}

static wf_status writer_start(packing *p)
{
    const wf_pack_options *o = p->options;
    p->report->vocab = o->vocab > 0 ? o->vocab : (int64_t)p->greatest + 1;
    if (o->bytes) WF_TRY(wf_pieces_of_bytes((uint32_t)p->report->vocab, &p->pieces));
    wf_shard_options options = {.vocab_size = p->report->vocab,
                                .source = wf_path_name(o->input),
                                .source_sha256 = p->sha256,
                                .source_time_unit = "s",
                                .generator = o->generator,
                                .pieces = p->pieces,
                                .replace = o->replace};
    return wf_shard_writer_create(o->output, &options, &p->writer);
}

// A session's turns count in the order of their arrival.
static wf_status number_turn(packing *p, uint64_t i, wf_request *r)
{
    const wf_round_said said = {.before = r->session, .own = r->session};
    if (r->session == 0) return WF_OK;
    WF_TRY(wf_rounds_add(&p->rounds, i, &said));
    r->turn = wf_rounds_of(&p->rounds, i)->turn;
    return WF_OK;
}

static wf_status write_rows(packing *p)
{
    WF_TRY(writer_start(p));
    for (size_t i = 0; i < p->index.n; i++) {
        const wf_line_entry *e = &p->index.entry[i];
        wf_line line;
        wf_request r;
        wf_arena_mark mark = wf_arena_get_mark(p->arena);
        WF_TRY(wf_lines_at(p->lines, e->offset, e->number, &line));
        WF_TRY(parse(p, &line, e->row, &r));
        WF_TRY(number_turn(p, i, &r));
        WF_TRY(wf_shard_writer_append(p->writer, &r));
        p->report->n_prompt_tokens += r.n_prompt;
        p->report->span_ns = r.arrival_ns;
        wf_arena_reset(p->arena, mark);
    }
    p->report->n_rows = p->index.n;
    return wf_shard_writer_close(&p->writer, NULL);
}

wf_status wf_pack_run(const wf_pack_options *options, wf_pack_report *report)
{
    packing p = {.options = options, .report = report};
    *report = (wf_pack_report){0};
    if (options->vocab < 0 || options->vocab > INT32_MAX || options->bos < -1 ||
        options->bos > INT32_MAX) {
        return wf_fail(WF_USAGE, "vocabulary or BOS is no number of a token");
    }
    wf_status st = WF_OK;
    WF_TRY_TO(done, wf_arena_create(0, &p.arena));
    WF_TRY_TO(done, wf_lines_open(options->input, &p.lines));
    WF_TRY_TO(done, index_rows(&p));
    WF_TRY_TO(done, check_ids(&p));
    wf_line_index_sort(&p.index);
    st = write_rows(&p);
done:
    wf_shard_writer_abandon(&p.writer);
    wf_pieces_free(p.pieces);
    wf_line_index_free(&p.ids);
    wf_line_index_free(&p.index);
    wf_rounds_free(&p.rounds);
    wf_lines_close(&p.lines);
    wf_arena_destroy(&p.arena);
    return st;
}
