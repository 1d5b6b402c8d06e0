// How a failure is told to a person, once, and which exit code it ends in.
#ifndef WF_LAUNCHER_ERRORS_H
#define WF_LAUNCHER_ERRORS_H

#include <stdbool.h>
#include <stdio.h>

// "weft run: <detail>" on stderr, unless this thread has no detail: then another rank speaks.
// `command` may be NULL. Local.
void wf_error_print(const char *command, int rank);

typedef struct wf_exit_row {
    int code;
    const char *meaning; // a phrase
    const char *of;      // commands that end so, " run generate "; NULL: all do
} wf_exit_row;

// All exit codes, up to a row without a meaning.
extern const wf_exit_row wf_exit_rows[];

bool wf_exit_row_is_of(const wf_exit_row *row, const char *command);

// The same, a line each.
void wf_exit_codes_print(FILE *file);

#endif
