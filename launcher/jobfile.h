// Loading the job file that a command line names, with all its mistakes told on stderr.
#ifndef WF_LAUNCHER_JOBFILE_H
#define WF_LAUNCHER_JOBFILE_H

#include "jobs/spec/jobspec.h"
#include "launcher/cli.h"

// Loads the first argument with the command's --set (and, where it has them, --out and --part)
// options. With
// `speak`, mistakes and remarks are printed; the detail is then a one-line summary. The caller owns
// *out. As wf_jobspec_load.
wf_status wf_jobfile_load(const wf_cli *cli, bool speak, wf_jobspec **out);

// Refuses an --out that can be no folder, before anything is done for it. WF_USAGE.
wf_status wf_jobfile_out_check(const wf_cli *cli);

#endif
