// The manual pages, in roff, from the tables that also print help.
//
//   weft(1)           commands, environment, exit codes
//   weft-run(1) ...   one of each command
//   weft-job(5)       every key of the job file, and a complete one
//
// All Local.
#ifndef WF_LAUNCHER_MANUAL_H
#define WF_LAUNCHER_MANUAL_H

#include "io/base/text.h"
#include "launcher/cli.h"

// What the job file is, for the page and for jobs/JOBFILE.md.
#define WF_MANUAL_JOB                                                                              \
    "A job is one YAML file. Values come from, in this order, the last one winning: defaults, "    \
    "the\n"                                                                                        \
    "file, the environment (`WEFT_ENGINE__MAX_ROWS=64`), `--set engine.max_rows=64`. Paths are\n"  \
    "relative to the working directory. `weft help keys --example` prints a file to start from,\n" \
    "`weft plan job.yaml` checks one.\n\n"                                                         \
    "Numbers, true and false may stand in quotes; yes, on, 8.0 and 1_000 are refused. Left "       \
    "empty,\n"                                                                                     \
    "`~` or `null`, a key has its default. Where a list is expected, a single value is a list "    \
    "of\n"                                                                                         \
    "one; where text is expected, a number is its digits. Sizes end in k, M, G, T or kB, MB, "     \
    "GB,\n"                                                                                        \
    "TB (of 1000) or KiB, MiB, GiB, TiB (of 1024), durations in ns, us, ms, s, m, h or d.\n"

void wf_manual_put_overview(wf_text *out);
void wf_manual_put_command(const wf_command *command, wf_text *out);
void wf_manual_put_job(wf_text *out);

#endif
