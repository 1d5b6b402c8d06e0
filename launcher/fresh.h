// Starting over in an output folder: what earlier runs left there is discarded.
#ifndef WF_LAUNCHER_FRESH_H
#define WF_LAUNCHER_FRESH_H

#include <stdbool.h>

#include "io/base/status.h"

typedef enum wf_fresh {
    WF_FRESH_NO,       // resume
    WF_FRESH_FINISHED, // start over where the last run left nothing to do, else resume
    WF_FRESH_ALWAYS
} wf_fresh;

// Removes what Weft has written to `out_dir` (runs, segments, merged results ...) and nothing else;
// *discarded says whether there was anything. Killed half-way, the folder is one without runs.
// WF_IN_USE while another run owns it; WF_IO. Local, by one process.
wf_status wf_fresh_start(const char *out_dir, wf_fresh fresh, bool *discarded);

// Removes a folder with everything in it, following no link; fine when it is not there. WF_IO.
wf_status wf_tree_remove(const char *path);

#endif
