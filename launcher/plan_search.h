// weft plan --search: which layout, on which machine, and the lines of the job file that ask for
// it.
#ifndef WF_LAUNCHER_PLAN_SEARCH_H
#define WF_LAUNCHER_PLAN_SEARCH_H

#include "launcher/cli.h"

// The first argument is a job file, a model's folder or the name of a shape (jobs/layout/shapes.h).
// Nothing is computed or written. As wf_layout_search_run, wf_machine_make and wf_jobfile_load;
// WF_USAGE: no machine or number of devices. Local.
wf_status wf_plan_search(const wf_cli *cli);

// WF_USAGE when an option was given that only the search understands.
wf_status wf_plan_search_not_asked(const wf_cli *cli);

// The machines and the keys of one, for help.
void wf_plan_search_help(FILE *file);

#endif
