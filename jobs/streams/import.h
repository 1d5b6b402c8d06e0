// Turns a production arrival log into request shards: each row of the log becomes a request that
// arrives when the log says, with a prompt of the logged length, filled with seeded token ids, that
// generates exactly the logged number of tokens (ignore_eos).
//
//   log --parse all rows--> (arrival, place) of each, sorted if need be --parse again--> shard(s)
//
// Bad lines are found before anything is written. Memory is 32 bytes a row, whatever the prompts'
// lengths. Logs do not hold prompts; where they hold ids of shared blocks (mooncake), the same id
// gives the same tokens, so that prefixes are shared as they were. A row's tokens depend on the
// seed and its place in the log alone: a slice of a log holds the same requests. Local.
#ifndef WF_JOBS_STREAMS_IMPORT_H
#define WF_JOBS_STREAMS_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_import_options {
    const char *format; // a name of wf_import_formats
    const char *input;  // the log
    const char *output; // "x.h5"; with rows_per_shard "x-00000.h5", "x-00001.h5" ...
    int64_t vocab;      // token ids are drawn below this; 0: 256
    uint64_t seed;
    uint64_t first_row;      // rows of the log to skip
    uint64_t n_rows;         // rows to take, 0: all
    uint64_t rows_per_shard; // 0: one shard
    int64_t jitter_ns;       // each arrival is moved later by a random time below this, for logs
                             // with a coarse clock; 0: not at all
    uint32_t max_prompt;     // longer prompts are cut to this, 0: not
    uint32_t max_new;        // longer outputs are cut to this, 0: not
    bool replace;            // existing shards give way
    const char *generator;   // command line, stored; may be NULL
} wf_import_options;

// What was done, for people: everything that was changed is counted.
typedef struct wf_import_report {
    uint64_t n_rows, n_shards, n_prompt_tokens, n_new_tokens;
    int64_t span_ns;          // last arrival; the first is 0, and all shards share that origin
    uint64_t n_out_of_order;  // rows that came before an earlier row; they were sorted
    uint64_t n_same_time;     // rows with the very arrival of the row before (before jitter)
    uint64_t n_prompt_cut;    // by max_prompt
    uint64_t n_new_cut;       // by max_new
    uint64_t n_raised;        // lengths of 0 that became 1
    uint64_t n_lines_skipped; // by first_row and n_rows
} wf_import_report;

// WF_USAGE, WF_NO_INPUT, WF_DATA with `file:line: what`, WF_IN_USE when the output exists, WF_IO.
wf_status wf_import_run(const wf_import_options *options, wf_import_report *report);

typedef struct wf_import_format_help {
    const char *name;
    const char *help; // one phrase
} wf_import_format_help;

// Up to a row without a name.
extern const wf_import_format_help wf_import_formats[];

#endif
