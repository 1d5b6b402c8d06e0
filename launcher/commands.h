// The sub-commands' handlers and their option rows, gathered in the table of commands.c.
#ifndef WF_LAUNCHER_COMMANDS_H
#define WF_LAUNCHER_COMMANDS_H

#include "launcher/cli.h"

extern const wf_cli_option wf_help_options[];
wf_status wf_cmd_help(const wf_cli *cli);

extern const wf_cli_option wf_plan_options[];
wf_status wf_cmd_plan(const wf_cli *cli);

#endif
