// weft: finds the sub-command, runs it, and turns its status into the documented exit code.
#include <stdio.h>
#include <string.h>

#include "io/base/guard.h"
#include "io/base/text.h"
#include "launcher/bringup/start.h"
#include "launcher/cli.h"
#include "launcher/errors.h"
#include "launcher/version.h"

static wf_status unknown_command(const char *name)
{
    const char *names[32] = {"--version", "--help"};
    size_t n = 2;
    for (const wf_command *c = wf_commands; c->name && n < 32; c++)
        names[n++] = c->name;
    const char *near = wf_nearest_word(name, names, n);
    if (near) return wf_fail(WF_USAGE, "no command \"%s\"; did you mean %s?", name, near);
    return wf_fail(WF_USAGE, "no command \"%s\" (see weft --help)", name);
}

typedef struct {
    const wf_command *command;
    const wf_cli *cli;
} call;

static wf_status work(void *context, FILE *out, void *result)
{
    const call *c = context;
    (void)out, (void)result;
    return c->command->run(c->cli);
}

static wf_status run_guarded(const wf_command *command, const wf_cli *cli)
{
    call c = {command, cli};
    bool died;
    return wf_guard_run(&(wf_guard_config){.work = work, .context = &c}, NULL, &died);
}

static wf_status run_command(const wf_command *command, int argc, char **argv)
{
    wf_cli *cli = NULL;
    WF_TRY(wf_cli_parse(command, argc, argv, &cli));
    wf_status st = WF_OK;
    if (wf_cli_wants_help(cli))
        wf_cli_print_help(command, stdout);
    else
        st = command->reads_results ? run_guarded(command, cli) : command->run(cli);
    wf_cli_destroy(&cli);
    return st;
}

static wf_status dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        wf_versions_print(stdout);
        return WF_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        wf_cli_print_overview(stdout);
        return argc > 1 ? WF_OK : wf_fail(WF_USAGE, "which command?");
    }
    const wf_command *command = wf_command_find(name);
    return command ? run_command(command, argc, argv) : unknown_command(name);
}

int main(int argc, char **argv)
{
    wf_start_calm(argv);
    const char *name = argc > 1 && wf_command_find(argv[1]) ? argv[1] : NULL;
    wf_status st = dispatch(argc, argv);
    if (st == WF_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = wf_fail(WF_IO, "standard output: cannot be written to the end: disk full?");
    if (st != WF_OK) wf_error_print(name, wf_start_detect(NULL, NULL).rank);
    return wf_status_exit_code(st);
}
