// Turns a production arrival log into request shards: each row of the log becomes a request that
// arrives when the log says, with a prompt of the logged length, filled with seeded token ids, that
// generates exactly the logged number of tokens (ignore_eos).
//
//   log --parse all rows--> (arrival, place) of each, sorted if need be --parse again--> shard(s)
//
// Bad lines are found before anything is written; what was mended or left out is counted and named
// by line. Memory is 40 bytes a row, whatever the prompts' lengths. Logs do not hold prompts; where
// they hold ids of shared blocks (mooncake), the same id gives the same tokens, so that prefixes
// are shared as they were. A row's tokens depend on the seed and its place in the log alone: a
// slice of a log holds the same requests. Local.
#ifndef WF_JOBS_STREAMS_IMPORT_H
#define WF_JOBS_STREAMS_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"
#include "jobs/streams/synth.h"

typedef struct wf_import_options {
    const char *format; // wf_import_format_name(), "auto", or wf_synth_name()
    const char *input;  // the log; NULL: the stream is synthetic
    wf_synth_options synth;
    const char *output; // "x.h5"; with rows_per_shard "x-00000.h5", "x-00001.h5" ...
    int64_t vocab;      // token ids are drawn below this; 0: 256
    uint64_t seed;
    uint64_t first_row;        // rows of the log to skip
    uint64_t n_rows;           // rows to take, 0: all
    int64_t from_ns, until_ns; // takes what arrives in [from, until) of the log's own time, which
                               // is 0 at the earliest of these rows; until 0: to the end
    uint64_t rows_per_shard;   // 0: one shard
    int64_t jitter_ns;         // each arrival is moved later by a random time below this, for logs
                               // with a coarse clock; 0: not at all
    uint32_t max_prompt;       // longer prompts are cut to this, 0: not
    uint32_t max_new;          // longer outputs are cut to this, 0: not
    bool skip_bad;             // rows that cannot be read are left out; else they are a failure
    bool drop_zeros;           // rows with a length of 0 are left out; else it becomes 1
    const char *lengths;       // of windows: their histograms; NULL: beside the log
    const char *const *maps;   // [n_maps] "column=meaning", see import_format.h
    size_t n_maps;
    bool replace;          // existing shards give way
    const char *generator; // command line, stored; may be NULL
} wf_import_options;

// X(name, words): what was changed, left out, or is worth knowing of rows.
#define WF_IMPORT_COUNTS(X)                                                                        \
    X(bad, "rows could not be read: left out (--skip-bad)")                                        \
    X(zero, "rows have a length of 0: left out (--drop-zeros)")                                    \
    X(raised, "lengths of 0 raised to 1")                                                          \
    X(quoted, "rows have numbers in quotes: read")                                                 \
    X(decimal, "rows have token counts such as 12.0: read")                                        \
    X(out_of_order, "rows came before an earlier one: sorted")                                     \
    X(overlap, "turns begin before the one before has ended: no think time")                       \
    X(same_time, "rows arrive at the very time of the row before")                                 \
    X(prompt_cut, "prompts cut to --max-prompt")                                                   \
    X(new_cut, "outputs cut to --max-new")

typedef enum wf_import_what {
#define WF_IMPORT_WHAT(name, words) WF_IMPORT_##name,
    WF_IMPORT_COUNTS(WF_IMPORT_WHAT) WF_IMPORT_N_COUNTS
#undef WF_IMPORT_WHAT
} wf_import_what;

#define WF_IMPORT_MAX_REASONS 10

// What was done, for people.
typedef struct wf_import_report {
    const char *format; // that was found
    uint64_t n_rows, n_shards, n_prompt_tokens, n_new_tokens;
    int64_t span_ns;          // last arrival; the first is 0, and all shards share that origin
    uint64_t n_lines_skipped; // by first_row and n_rows, from_ns and until_ns
    struct {
        uint64_t n, first_line; // the line of the first of them, from 1
    } count[WF_IMPORT_N_COUNTS];
    char reason[WF_IMPORT_MAX_REASONS][160]; // of the first bad rows, with their lines
} wf_import_report;

const char *wf_import_count_name(wf_import_what what); // "out_of_order"
const char *wf_import_count_words(wf_import_what what);

// Whether so many rows a second, or so few a day, that the log's times may have another unit.
bool wf_import_rate_is_odd(const wf_import_report *report);

// WF_USAGE, WF_NO_INPUT, WF_DATA with `file:line: what`, WF_IN_USE when the output exists, WF_IO.
wf_status wf_import_run(const wf_import_options *options, wf_import_report *report);

// The formats, for help and completion: what one is, as a phrase.
size_t wf_import_n_formats(void);
const char *wf_import_format_name(size_t i);
const char *wf_import_format_help(size_t i);

#endif
