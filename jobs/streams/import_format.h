// Log formats as a table: what a format's columns are called, and what each means. A meaning says
// its unit ("arrival_ms"); --map gives columns meanings in the same words, so that a format is a
// row of text and a log without a row is read by --map. Not for use elsewhere.
//
//   format (columns, meanings) + header line -> where the columns stand -> line -> row
#ifndef WF_JOBS_STREAMS_IMPORT_FORMAT_H
#define WF_JOBS_STREAMS_IMPORT_FORMAT_H

#include "io/base/arena.h"
#include "jobs/streams/lines.h"

// What was mended to read a row, as bits.
enum { WF_TRACE_QUOTED = 1, WF_TRACE_DECIMAL = 2 };

// One row of a log.
typedef struct wf_trace_row {
    int64_t time_ns; // of any origin; the import subtracts the earliest
    uint64_t n_prompt, n_new;
    const uint64_t *block; // [n_blocks] ids of shared prompt blocks, borrowed from the arena
    uint32_t n_blocks;
    uint32_t meta_bytes;
    const char *meta; // the columns that are kept, as a JSON object, borrowed from the arena
    unsigned mended;
    uint64_t session, origin; // of formats with sessions: hashes of their names; 0: of none
    uint64_t before;          // what the row follows: the session, or of chats the one before
    uint64_t n_prefix;        // how much of the prompt the round before it had
    int64_t think_ns, busy_ns, end_ns, after_ns; // rounds.h; busy: from its start to its end
} wf_trace_row;

// A row of which nothing has been read.
#define WF_TRACE_NO_ROW                                                                            \
    ((wf_trace_row){.think_ns = -1, .busy_ns = -1, .end_ns = -1, .after_ns = -1})

typedef enum wf_trace_role {
    WF_TRACE_ARRIVAL,
    WF_TRACE_PROMPT,
    WF_TRACE_NEW,
    WF_TRACE_BLOCKS,
    WF_TRACE_META,
    WF_TRACE_SESSION, // a name or number
    WF_TRACE_CHAT,    // the same of a single turn
    WF_TRACE_PARENT,  // and of the turn that it follows
    WF_TRACE_THINK,
    WF_TRACE_BUSY,
    WF_TRACE_N_ROLES
} wf_trace_role;

typedef struct wf_trace_column {
    const char *name;    // in the header, or key of a line's JSON object
    const char *meaning; // "arrival_ms"
    bool optional;
    // Follow from the meaning:
    wf_trace_role role;
    int64_t unit; // ARRIVAL, THINK, BUSY: nanoseconds of one, 0: a date and time, WF_TRACE_EVENTS;
                  // BLOCKS: tokens of a block
    const char *time_unit; // ARRIVAL: stored as source_time_unit
} wf_trace_column;

// ARRIVAL: a list of events with times; the last that goes into the model before something comes
// out.
#define WF_TRACE_EVENTS (-1)

#define WF_TRACE_MAX_COLUMNS 16 // that mean something
#define WF_TRACE_MAX_FIELDS  64 // of a line

typedef struct wf_trace_format {
    const char *name, *help;
    bool json; // JSON lines; else comma-separated values under a header line
    // A row is a round of a session (rounds.h): the keys of its session, of what all sessions of
    // one kind begin with, of the tokens it shares with the round before, and of its tools, whose
    // longest time is kept; NULL: none of it.
    const char *session, *origin, *prefix, *tools;
    bool windows;       // no rows, but windows that rows are drawn from (windows.h)
    bool conversations; // no rows, but conversations with all their requests (weka.h)
    wf_trace_column column[WF_TRACE_MAX_COLUMNS];
    int n_columns;
    char maps[512]; // the names that --map gave
} wf_trace_format;

// Where the columns stand among a line's fields; -1: the log has no such column.
typedef struct wf_trace_header {
    int n_fields;
    int at[WF_TRACE_MAX_COLUMNS];
} wf_trace_header;

// The format of this name with the `n_maps` texts "column=meaning" in place of its own columns of
// these meanings; "auto": the one whose columns the line has. WF_USAGE with what is known.
wf_status wf_trace_format_find(const char *name, const char *const *maps, size_t n_maps,
                               wf_trace_format *out);
wf_status wf_trace_format_guess(const wf_line *first, const char *place, const char **name);

// `place` ("log.csv:1") opens every message. WF_DATA.
wf_status wf_trace_header_read(const wf_trace_format *format, const wf_line *line,
                               const char *place, wf_trace_header *out);
wf_status wf_trace_row_read(const wf_trace_format *format, const wf_trace_header *header,
                            const wf_line *line, const char *place, wf_arena *arena,
                            wf_trace_row *out);

// --- between the table and the two readers (import_csv.c, import_json.c) ---

typedef struct wf_trace_field {
    const char *text;
    size_t n;
} wf_trace_field;

// The fields of a line, without their quotes. `any_quoted` may be NULL.
wf_status wf_trace_split(const wf_line *line, const char *place, wf_arena *arena,
                         wf_trace_field fields[WF_TRACE_MAX_FIELDS], int *n_fields,
                         bool *any_quoted);

// A field that is text, as its column means it.
wf_status wf_trace_take_text(const wf_trace_column *column, wf_trace_field field, const char *place,
                             wf_trace_row *row);

// A name of a session as a number; 0 where it is empty.
uint64_t wf_trace_name(wf_trace_field name);
void wf_trace_put_name(const wf_trace_column *column, wf_trace_field name, wf_trace_row *row);

wf_status wf_trace_csv_row(const wf_trace_format *format, const wf_trace_header *header,
                           const wf_line *line, const char *place, wf_arena *arena,
                           wf_trace_row *row);
// The same row where the line is plain JSON that needs no mending; else *plain is false, and `row`
// may have been begun.
wf_status wf_trace_plain_row(const wf_trace_format *format, const wf_line *line, wf_arena *arena,
                             wf_trace_row *row, bool *plain);
wf_status wf_trace_json_row(const wf_trace_format *format, const wf_line *line, const char *place,
                            wf_arena *arena, wf_trace_row *row);

#endif
