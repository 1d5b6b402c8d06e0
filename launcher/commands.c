// The table of sub-commands.
#include "launcher/commands.h"

#include <string.h>

const wf_command wf_commands[] = {
    {.name = "plan",
     .arguments = "JOB.yaml",
     .summary = "Shows how a job would be placed and what fits, without running it",
     .details = "Prints the groups, their nodes and ranks, bytes per device and the KV capacity,\n"
                "and every mistake in the job file. --ranks and --nodes ask \"what if\".\n",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = wf_plan_options,
     .run = wf_cmd_plan},
    {.name = "help",
     .arguments = "[COMMAND | keys | exit-codes]",
     .summary = "Explains a command, the keys of the job file, or the exit codes",
     .min_arguments = 0,
     .max_arguments = 1,
     .options = wf_help_options,
     .run = wf_cmd_help},
    {.name = NULL},
};
