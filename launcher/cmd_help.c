// weft help: commands, keys of the job file, exit codes.
#include <stdlib.h>
#include <string.h>

#include "io/base/text.h"
#include "jobs/spec/jobspec.h"
#include "launcher/commands.h"
#include "launcher/errors.h"

const wf_cli_option wf_help_options[] = {
    {"markdown", 0, NULL, "keys: the whole reference, as in jobs/JOBFILE.md"},
    {"example", 0, NULL, "keys: a complete job file to start from"},
    {NULL, 0, NULL, NULL},
};

#define REFERENCE_HEAD                                                                             \
    "# The job file\n\n"                                                                           \
    "A job is one YAML file. Values come from, in this order, the last one winning: defaults, "    \
    "the\n"                                                                                        \
    "file, the environment (`WEFT_ENGINE__MAX_ROWS=64`), `--set engine.max_rows=64`. Paths are\n"  \
    "relative to the working directory. `weft help keys --example` prints a file to start from,\n" \
    "`weft plan job.yaml` checks one.\n\n"                                                         \
    "Made from the program's own table by `weft help keys --markdown`.\n\n"

static wf_status print_keys(const wf_cli *cli)
{
    const char *word = wf_cli_argument(cli, 1) ? wf_cli_argument(cli, 1) : "";
    char *text = NULL;
    wf_status st;
    if (wf_cli_has(cli, "markdown")) {
        fputs(REFERENCE_HEAD, stdout);
        st = wf_option_markdown(wf_jobspec_table, wf_jobspec_n_options, &text);
    } else if (wf_cli_has(cli, "example")) {
        st = wf_option_example(wf_jobspec_table, wf_jobspec_n_options, &text);
    } else {
        st = wf_option_help(wf_jobspec_table, wf_jobspec_n_options, word, &text);
    }
    if (st == WF_OK && !text[0]) st = wf_cli_fail(cli, "no key has \"%s\" in its name", word);
    if (st == WF_OK) fputs(text, stdout);
    free(text);
    return st;
}

static wf_status unknown_topic(const wf_cli *cli, const char *topic)
{
    const char *names[32] = {"keys", "exit-codes"};
    size_t n = 2;
    for (const wf_command *c = wf_commands; c->name && n < 32; c++)
        names[n++] = c->name;
    const char *near = wf_nearest_word(topic, names, n);
    if (near) return wf_cli_fail(cli, "no command or topic \"%s\"; did you mean %s?", topic, near);
    return wf_cli_fail(cli, "no command or topic \"%s\"", topic);
}

wf_status wf_cmd_help(const wf_cli *cli)
{
    const char *topic = wf_cli_argument(cli, 0);
    const wf_command *command = topic ? wf_command_find(topic) : NULL;
    if (wf_cli_argument(cli, 1) && strcmp(topic, "keys") != 0)
        return wf_cli_fail(cli, "do not know what to do with \"%s\"", wf_cli_argument(cli, 1));
    if (!topic)
        wf_cli_print_overview(stdout);
    else if (command)
        wf_cli_print_help(command, stdout);
    else if (strcmp(topic, "keys") == 0)
        return print_keys(cli);
    else if (strcmp(topic, "exit-codes") == 0)
        wf_exit_codes_print(stdout);
    else
        return unknown_topic(cli, topic);
    return WF_OK;
}
