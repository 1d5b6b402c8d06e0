// The last line of a failed run, and the table of exit codes. See errors.h.
#include "launcher/errors.h"

#include "io/base/status.h"

void wf_error_print(const char *command, int rank)
{
    char who[64] = "";
    if (!wf_error()[0]) return;
    if (rank > 0) snprintf(who, sizeof who, "rank %d: ", rank);
    fprintf(stderr, "weft%s%s: %s%s\n", command ? " " : "", command ? command : "", who,
            wf_error());
}

const wf_exit_row wf_exit_rows[] = {
    {0, "complete"},
    {3, "complete, some requests failed (slurm.fail_on_row_errors: false makes it 0)"},
    {64, "wrong usage: see weft help"},
    {65, "bad data: a shard, a model or results are damaged"},
    {66, "missing input: a file or folder is not there"},
    {69, "no progress: so many runs in a row finished nothing that --give-up says enough"},
    {70, "internal error, or a device, a rank or memory failed or is not there"},
    {71, "weft doctor found something bad: it says what to change"},
    {74, "input/output error: disk full, no permission ..."},
    {75, "drained in time before a deadline or on a signal: run again to continue"},
    {78, "bad job file, or an output folder that this job must not use"},
    {0, NULL},
};

void wf_exit_codes_print(FILE *file)
{
    for (const wf_exit_row *row = wf_exit_rows; row->meaning; row++)
        fprintf(file, "  %2d  %s\n", row->code, row->meaning);
}
