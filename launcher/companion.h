// The text companion, weft-text (io/python): a program of its own that knows tokenizers and tables.
//
// The first of these that is there: what WEFT_TEXT names, weft-text beside this program, weft-text
// on PATH, python3 -m weft_text. What it says becomes lines of our log, what it fails with our
// error, and its exit code our status; its standard output is ours. All Local.
#ifndef WF_LAUNCHER_COMPANION_H
#define WF_LAUNCHER_COMPANION_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/status.h"
#include "jobs/run/drain.h"

// WF_NO_INPUT, with how to install it, where there is none.
wf_status wf_companion_check(void);

// Runs it with these arguments, ended by NULL, to its end; when the job must leave before, it is
// ended and WF_DRAINED is returned. `drain` may be NULL. WF_FAILED_ROWS: done, but rows are bad.
wf_status wf_companion_run(const char *const arguments[], const wf_drain *drain);

// The same with `in`, borrowed, as its standard input.
wf_status wf_companion_run_fed(const char *const arguments[], int in);

#endif
