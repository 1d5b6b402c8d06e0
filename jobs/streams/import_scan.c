// See import_scan.h.
#include "jobs/streams/import_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/base/rng.h"
#include "jobs/streams/import_draw.h"
#include "jobs/streams/weka.h"
#include "jobs/streams/windows.h"

static void count(wf_import_scan *s, wf_import_what what, uint64_t line, bool happened)
{
    if (!happened) return;
    if (s->report->count[what].n++ == 0) s->report->count[what].first_line = line;
}

static void place_text(const wf_import_scan *s, const wf_line *line, char place[512])
{
    snprintf(place, 512, "%.480s:%" PRIu64, s->options->input, line->number);
}

wf_status wf_import_scan_parse(wf_import_scan *s, const wf_line *line, wf_trace_row *row)
{
    char place[512];
    place_text(s, line, place);
    return wf_trace_row_read(&s->format, &s->header, line, place, s->arena, row);
}

// --- the first line ---

// "auto" is what the first line looks like.
static wf_status find_format(wf_import_scan *s, const wf_line *first, const char *place)
{
    const wf_import_options *o = s->options;
    const char *name = o->format;
    if (strcmp(name, "auto") == 0) WF_TRY(wf_trace_format_guess(first, place, &name));
    WF_TRY(wf_trace_format_find(name, o->maps, o->n_maps, &s->format));
    s->report->format = s->format.name;
    return WF_OK;
}

// Reads it; a header is used up, else it is the first row too.
static wf_status take_first(wf_import_scan *s, wf_line *line)
{
    char place[512];
    bool more = false;
    WF_TRY(wf_lines_next(s->lines, line, &more));
    if (!more) return wf_fail(WF_DATA, "%s: is empty", s->options->input);
    place_text(s, line, place);
    WF_TRY(find_format(s, line, place));
    return s->format.json ? WF_OK : wf_trace_header_read(&s->format, line, place, &s->header);
}

// --- rows ---

static bool is_wanted(const wf_import_scan *s, uint64_t i_row)
{
    const wf_import_options *o = s->options;
    return i_row >= o->first_row && (o->n_rows == 0 || i_row - o->first_row < o->n_rows);
}

static wf_status refuse_or_note(wf_import_scan *s, const wf_line *line, wf_status st)
{
    char why[WF_ERROR_MAX];
    if (st != WF_DATA) return st;
    snprintf(why, sizeof why, "%s", wf_error());
    if (!s->options->skip_bad)
        return wf_fail(WF_DATA, "%.*s (--skip-bad leaves such rows out)", WF_ERROR_MAX - 64, why);
    uint64_t n = s->report->count[WF_IMPORT_bad].n;
    if (n < WF_IMPORT_MAX_REASONS)
        snprintf(s->report->reason[n], sizeof s->report->reason[n], "%.*s",
                 (int)sizeof s->report->reason[n] - 1, why);
    count(s, WF_IMPORT_bad, line->number, true);
    return WF_OK;
}

static void count_row(wf_import_scan *s, const wf_trace_row *row, const wf_line *line)
{
    const wf_import_options *o = s->options;
    const wf_line_entry *last = wf_line_index_last(&s->index);
    count(s, WF_IMPORT_out_of_order, line->number, last != NULL && row->time_ns < last->time_ns);
    count(s, WF_IMPORT_same_time, line->number, last != NULL && row->time_ns == last->time_ns);
    count(s, WF_IMPORT_quoted, line->number, (row->mended & WF_TRACE_QUOTED) != 0);
    count(s, WF_IMPORT_decimal, line->number, (row->mended & WF_TRACE_DECIMAL) != 0);
    count(s, WF_IMPORT_raised, line->number, row->n_prompt == 0);
    count(s, WF_IMPORT_raised, line->number, row->n_new == 0);
    count(s, WF_IMPORT_prompt_cut, line->number,
          o->max_prompt > 0 && row->n_prompt > o->max_prompt);
    count(s, WF_IMPORT_new_cut, line->number, o->max_new > 0 && row->n_new > o->max_new);
}

static uint32_t bounded(uint64_t length, uint32_t most)
{
    if (length == 0) return 1;
    return most > 0 && length > most ? most : (uint32_t)length; // a row has no more than 2^31
}

static wf_status add_round(wf_import_scan *s, const wf_trace_row *row, const wf_line *line,
                           uint64_t i_row)
{
    int64_t busy_end_ns = row->busy_ns >= 0 ? row->time_ns + row->busy_ns : row->end_ns;
    const wf_round_said said = {.before = row->before,
                                .own = row->session,
                                .origin = row->origin,
                                .n_prefix = row->n_prefix,
                                .time_ns = row->time_ns,
                                .end_ns = busy_end_ns,
                                .after_ns = row->after_ns,
                                .think_ns = row->think_ns};
    WF_TRY(wf_rounds_add(&s->rounds, i_row, &said));
    count(s, WF_IMPORT_overlap, line->number, wf_rounds_of(&s->rounds, i_row)->overlaps);
    return WF_OK;
}

static wf_status index_row(wf_import_scan *s, const wf_line *line, uint64_t i_row)
{
    wf_trace_row row;
    const wf_import_options *o = s->options;
    wf_arena_mark mark = wf_arena_get_mark(s->arena);
    wf_status st = wf_import_scan_parse(s, line, &row);
    if (st != WF_OK)
        st = refuse_or_note(s, line, st);
    else if (o->drop_zeros && (row.n_prompt == 0 || row.n_new == 0))
        count(s, WF_IMPORT_zero, line->number, true);
    else {
        count_row(s, &row, line);
        wf_line_entry entry = {.time_ns = row.time_ns,
                               .offset = line->offset,
                               .number = line->number,
                               .row = i_row,
                               .n_prompt = bounded(row.n_prompt, o->max_prompt),
                               .n_new = bounded(row.n_new, o->max_new)};
        st = wf_line_index_add(&s->index, &entry);
        if (st == WF_OK && row.session != 0) st = add_round(s, &row, line, i_row);
        if (st == WF_OK && s->look != NULL) st = s->look(s->context, &row, &s->format);
    }
    wf_arena_reset(s->arena, mark);
    return st;
}

// Drawn rows are bounded, and counted where that changes them, as a log's.
static void bound_drawn(wf_import_scan *s)
{
    const wf_import_options *o = s->options;
    for (size_t i = 0; i < s->index.n; i++) {
        wf_line_entry *e = &s->index.entry[i];
        count(s, WF_IMPORT_prompt_cut, e->number, o->max_prompt > 0 && e->n_prompt > o->max_prompt);
        count(s, WF_IMPORT_new_cut, e->number, o->max_new > 0 && e->n_new > o->max_new);
        e->n_prompt = bounded(e->n_prompt, o->max_prompt);
        e->n_new = bounded(e->n_new, o->max_new);
    }
    s->report->format = o->format;
}

static wf_status check_drawn(const wf_import_scan *s)
{
    const wf_import_options *o = s->options;
    if (o->first_row == 0 && o->n_maps == 0) return WF_OK;
    return wf_fail(WF_USAGE, "%s has no rows of a log: --first and --map go with one", o->format);
}

static wf_status draw_rows(wf_import_scan *s)
{
    const wf_import_options *o = s->options;
    WF_TRY(check_drawn(s));
    WF_TRY(wf_synth_draw(o->format, &o->synth, o->n_rows, o->seed, &s->index));
    bound_drawn(s);
    return WF_OK;
}

// The lines are not looked at again: they are no rows.
static wf_status draw_windows(wf_import_scan *s)
{
    WF_TRY(check_drawn(s));
    WF_TRY(wf_windows_draw(s->options, s->lines, &s->index));
    WF_TRY(wf_lines_finish(s->lines, s->sha256));
    wf_lines_close(&s->lines);
    bound_drawn(s);
    if (s->index.n > 0) return WF_OK;
    return wf_fail(WF_DATA, "%s: no request is drawn of its windows", s->options->input);
}

static wf_status read_conversations(wf_import_scan *s)
{
    WF_TRY(check_drawn(s));
    WF_TRY(wf_weka_read(s->options, s->report, &s->index, &s->rounds, s->sha256));
    bound_drawn(s);
    return WF_OK;
}

wf_status wf_import_scan_run(wf_import_scan *s)
{
    wf_line line;
    bool more = true;
    WF_TRY(wf_arena_create(0, &s->arena));
    if (s->options->input == NULL) return draw_rows(s);
    if (strcmp(s->options->format, "auto") != 0) // an unknown name fails before the log is opened
        WF_TRY(wf_trace_format_find(s->options->format, s->options->maps, s->options->n_maps,
                                    &s->format));
    if (s->format.conversations) return read_conversations(s);
    WF_TRY(wf_lines_open(s->options->input, &s->lines));
    if (s->format.windows) return draw_windows(s);
    WF_TRY(take_first(s, &line));
    if (!s->format.json) WF_TRY(wf_lines_next(s->lines, &line, &more));
    for (uint64_t i_row = 0; more; i_row++) {
        if (is_wanted(s, i_row))
            WF_TRY(index_row(s, &line, i_row));
        else
            s->report->n_lines_skipped++;
        WF_TRY(wf_lines_next(s->lines, &line, &more));
    }
    WF_TRY(wf_lines_finish(s->lines, s->sha256));
    if (s->index.n > 0) return WF_OK;
    return wf_fail(WF_DATA, "%s: has no rows to import", s->options->input);
}

void wf_import_scan_end(wf_import_scan *s)
{
    wf_line_index_free(&s->index);
    wf_rounds_free(&s->rounds);
    wf_lines_close(&s->lines);
    wf_arena_destroy(&s->arena);
}

static int64_t earliest(const wf_line_index *index)
{
    int64_t time_ns = INT64_MAX;
    for (size_t i = 0; i < index->n; i++)
        if (index->entry[i].time_ns < time_ns) time_ns = index->entry[i].time_ns;
    return time_ns;
}

// Leaves in the index what arrives in the window.
static wf_status cut_window(wf_import_scan *s)
{
    const wf_import_options *o = s->options;
    int64_t origin = earliest(&s->index), until = o->until_ns > 0 ? o->until_ns : INT64_MAX;
    size_t n = 0;
    for (size_t i = 0; i < s->index.n; i++) {
        int64_t at = s->index.entry[i].time_ns - origin;
        if (at >= o->from_ns && at < until) s->index.entry[n++] = s->index.entry[i];
    }
    s->report->n_lines_skipped += s->index.n - n;
    s->index.n = n;
    if (n > 0) return WF_OK;
    return wf_fail(WF_DATA, "%s: has no rows between --from and --until",
                   o->input != NULL ? o->input : o->format);
}

wf_status wf_import_scan_place(wf_import_scan *s)
{
    WF_TRY(cut_window(s));
    int64_t origin = earliest(&s->index);
    for (size_t i = 0; i < s->index.n; i++) {
        wf_line_entry *e = &s->index.entry[i];
        e->time_ns -= origin;
        if (s->options->jitter_ns > 0) {
            wf_rng rng = wf_draw_sequence(s->options->seed, WF_DRAW_JITTER, e->row);
            e->time_ns += (int64_t)(wf_rng_next_double(&rng) * (double)s->options->jitter_ns);
        }
    }
    wf_line_index_sort(&s->index);
    return WF_OK;
}
