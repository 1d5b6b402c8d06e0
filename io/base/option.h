// Option tables: one row per key drives parsing, checks, --help, the example and the reference.
//
//   static const wf_option table[] = {
//       {.name = "engine.max_rows", .type = WF_OPTION_I32, .offset = offsetof(cfg,
//       engine.max_rows),
//        .min = 1, .max = 4096, .unit = "rows", .default_text = "256", .help = "rows in one step"},
//   };
//   create (defaults) -> apply_file, apply_environment, apply_set: later wins -> finish
//
// Every mistake of one run is collected, none stops the reading:
//
//   job.yaml:4:13: engine.max_rows: "8e3" is not a whole number
//       max_rows: 8e3
//                 ^
//
// Unknown keys are mistakes, with a "did you mean". An empty value (`account: ,` or null) leaves
// the key as it was. Strings and lists in the config are borrowed from the wf_options and live as
// long. All Local; one thread at a time.
#ifndef WF_IO_BASE_OPTION_H
#define WF_IO_BASE_OPTION_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wf_option_type {
    WF_OPTION_BOOL,     // bool
    WF_OPTION_I32,      // int32_t
    WF_OPTION_U32,      // uint32_t
    WF_OPTION_I64,      // int64_t
    WF_OPTION_F32,      // float
    WF_OPTION_F64,      // double
    WF_OPTION_STRING,   // const char *
    WF_OPTION_ENUM,     // an enum of int's size; `words` are its names
    WF_OPTION_DURATION, // int64_t, nanoseconds: "300s", "04:00:00"
    WF_OPTION_BYTES,    // int64_t: "1GiB"
    WF_OPTION_MEMORY,   // wf_option_memory: "0.9" or "1GiB"
    WF_OPTION_STRINGS,  // wf_option_strings
    WF_OPTION_I32S      // wf_option_i32s
} wf_option_type;

// Bytes, or a share in (0, 1] of something; the other one is 0. Both 0: its word, such as "auto".
typedef struct wf_option_memory {
    double share;
    int64_t bytes;
} wf_option_memory;

// Two separate fields in this order and of these types serve as well.
typedef struct wf_option_strings {
    size_t n;
    const char *const *item;
} wf_option_strings;
typedef struct wf_option_i32s {
    size_t n;
    const int32_t *item;
} wf_option_i32s;

typedef struct wf_option_word {
    const char *word;
    int64_t value;
} wf_option_word;

typedef struct wf_option {
    const char *name; // "section.key"
    wf_option_type type;
    size_t offset;               // in the caller's config
    double min, max;             // numbers, durations, bytes, list items; both 0: the type's range
    const wf_option_word *words; // up to {NULL}; enum: all it may be; else: "auto" for a number
    const char *unit;            // for people; may be NULL
    const char *default_text;    // as one would write it; NULL: the key is required
    const char *example;         // stands in the example file; needed where there is no default
    const char *help;            // one sentence without its full stop
    const char *absent;          // enum: how words begin that mean nothing here, "fp8 int4"
    bool internal;               // written by programs alone: not in the example
    unsigned decides;            // the table's owner: when the key decides what comes out, 0: never
} wf_option;

// A key as other programs call it: ends with a NULL `theirs`. `note` stands where no key of ours
// does it, or says more about the one that does.
typedef struct wf_option_alias {
    const char *theirs; // without its section; "-" and "_" are one
    const char *ours;   // may be NULL
    const char *note;   // may be NULL
} wf_option_alias;

typedef struct wf_options wf_options;

// Sets every default in `config` (borrow, like `table`, until destroyed). A default that its own
// row refuses is a bug of the table: WF_INTERNAL.
wf_status wf_options_create(const wf_option *table, size_t n_options, void *config,
                            wf_options **out);
void wf_options_destroy(wf_options **options);

// Words that unknown keys are looked up in: "here it is called engine.max_context" (borrow).
void wf_options_also_called(wf_options *options, const wf_option_alias *aliases);

// Applies one source. Mistakes in it are collected; the status is of harder failures only:
// WF_NO_INPUT for a missing file, WF_NO_MEMORY.
wf_status wf_options_apply_file(wf_options *options, const char *path);
wf_status wf_options_apply_yaml(wf_options *options, const char *name, const char *text,
                                size_t text_bytes);

// `environment` holds "NAME=value" lines up to NULL; NULL: the process's own. WEFT_ENGINE__MAX_ROWS
// (prefix "WEFT_") is engine.max_rows. Unknown names are mistakes where they hold "__"; others may
// belong to someone else and are passed over.
wf_status wf_options_apply_environment(wf_options *options, const char *prefix,
                                       const char *const *environment);

// One --set: "engine.max_rows=64". Lists: "a, b" or "[a, b]", items may be quoted.
wf_status wf_options_apply_set(wf_options *options, const char *assignment);

// Adds the caller's own finding about a key, shown where that key was last set.
wf_status wf_options_complain(wf_options *options, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Checks that required keys were given. WF_CONFIG when there is any mistake, with the first one as
// the detail and how many more there are.
wf_status wf_options_finish(wf_options *options);

// All mistakes as text for people, "" when there are none; borrowed until the next call.
const char *wf_options_problems(const wf_options *options);
int wf_options_n_problems(const wf_options *options);

// True when a source, and not the default, set the key.
bool wf_options_is_given(const wf_options *options, const char *key);

// The config's values as YAML that reads back the same; own, free().
wf_status wf_options_to_yaml(const wf_options *options, char **out);

// From the table alone; own, free(). The example is a complete file with comments.
wf_status wf_option_example(const wf_option *table, size_t n_options, char **out);
wf_status wf_option_markdown(const wf_option *table, size_t n_options, char **out);
// What one key may be, "whole number, 1 to 4096 rows, or auto".
wf_status wf_option_may_be(const wf_option *option, char **out);
// Keys that have `word` in their name; "": all.
wf_status wf_option_help(const wf_option *table, size_t n_options, const char *word, char **out);

#endif
