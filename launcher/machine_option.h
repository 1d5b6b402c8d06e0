// --machine NAME|FILE.yaml and --machine-set KEY=VALUE, of the commands that have them.
#ifndef WF_LAUNCHER_MACHINE_OPTION_H
#define WF_LAUNCHER_MACHINE_OPTION_H

#include "jobs/layout/machine.h"
#include "launcher/cli.h"

// The machine that a command line names, which it must. *out_text is what the machine's texts lie
// in: free() it after wf_machine_free(). WF_USAGE; as wf_machine_make and wf_file_read. Local.
wf_status wf_machine_option(const wf_cli *cli, wf_machine *out, char **out_text);

#endif
