// Sub-commands and their options as tables, which parse arguments and print help.
//
//   weft COMMAND [options] ARGUMENTS
//
// A command's options are rows; parsing checks them and the number of arguments, so that handlers
// see only what they can use. Mistakes are WF_USAGE with one line. All Local.
#ifndef WF_LAUNCHER_CLI_H
#define WF_LAUNCHER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "io/base/status.h"

typedef struct wf_cli wf_cli;

typedef struct wf_cli_option {
    const char *name;     // "set": --set
    char letter;          // 's': -s; 0: none
    const char *argument; // "KEY=VALUE"; NULL: a switch
    const char *help;     // one phrase; NULL: given by weft itself, not shown
} wf_cli_option;

typedef struct wf_command {
    const char *name;
    const char *arguments;            // "JOB.yaml", for people
    const char *summary;              // one phrase
    const char *details;              // paragraphs for `weft help NAME`; may be NULL
    int min_arguments, max_arguments; // -1: any number
    const wf_cli_option *options;     // up to a row without a name; may be NULL
    void (*more_help)(FILE *file);    // printed last; may be NULL
    wf_status (*run)(const wf_cli *cli);
    bool reads_results; // run in a guarded child (io/base/guard.h): the files may be damaged
} wf_command;

// What the program is for, as a phrase.
#define WF_CLI_WHAT_IT_DOES                                                                        \
    "runs batch inference of language models over streams of requests, alone, under mpirun or "    \
    "srun"

// All commands, up to a row without a name.
extern const wf_command wf_commands[];

const wf_command *wf_command_find(const char *name); // NULL: none

// The command line of one command, whole: argv[0] is the program, argv[1] the command's name.
// Borrows argv. own.
wf_status wf_cli_parse(const wf_command *command, int argc, char **argv, wf_cli **out);
void wf_cli_destroy(wf_cli **cli);

bool wf_cli_wants_help(const wf_cli *cli); // --help was given; nothing else is checked then

size_t wf_cli_n_arguments(const wf_cli *cli);
const char *wf_cli_argument(const wf_cli *cli, size_t i); // NULL beyond the last

const char *wf_cli_program(const wf_cli *cli); // as it was called: "weft", "build/weft"

// The whole line, "weft import azure ..."; cut to text_bytes - 1. Returns text.
char *wf_cli_line(const wf_cli *cli, char *text, size_t text_bytes);

// The same for a shell to read and by the program's name as it was called, without the words that
// begin with `without`. Returns text.
char *wf_cli_shell_line(const wf_cli *cli, const char *without, char *text, size_t text_bytes);

bool wf_cli_has(const wf_cli *cli, const char *option);
const char *wf_cli_value(const wf_cli *cli, const char *option); // as given last; NULL: not given
const char *const *wf_cli_values(const wf_cli *cli, const char *option, size_t *n); // all, in order

// The value as a number in [min, max]; `otherwise` when it was not given.
wf_status wf_cli_i64(const wf_cli *cli, const char *option, long long min, long long max,
                     long long otherwise, long long *out);

// A mistake that only the handler can see: "weft run: ... (see weft help run)", WF_USAGE.
wf_status wf_cli_fail(const wf_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void wf_cli_print_overview(FILE *file);
void wf_cli_print_help(const wf_command *command, FILE *file);

#endif
