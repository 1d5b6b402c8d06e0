// The last line of a failed run, and the table of exit codes. See errors.h.
#include "launcher/errors.h"

#include <string.h>

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
    {0, "complete", NULL},
    {1, "weft diff: the two differ", " diff "},
    {3, "complete, some requests failed (slurm.fail_on_row_errors: false makes it 0)", NULL},
    {64, "wrong usage: see weft help", NULL},
    {65, "bad data: a shard, a model or results are damaged", NULL},
    {66, "missing input: a file or folder is not there", NULL},
    {69, "no progress: so many runs in a row finished nothing that --give-up says enough", " run "},
    {70, "internal error, or a device, a rank or memory failed or is not there", NULL},
    {71, "weft doctor found something bad: it says what to change", " doctor "},
    {74, "input/output error: disk full, no permission ...", NULL},
    {75, "drained in time before a deadline or on a signal: run again to continue",
     " run generate "},
    {78, "bad job file, or an output folder that this job must not use", NULL},
    {0, NULL, NULL},
};

bool wf_exit_row_is_of(const wf_exit_row *row, const char *command)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", command);
    return !row->of || strstr(row->of, word);
}

void wf_exit_codes_print(FILE *file)
{
    for (const wf_exit_row *row = wf_exit_rows; row->meaning; row++)
        fprintf(file, "  %2d  %s\n", row->code, row->meaning);
}
