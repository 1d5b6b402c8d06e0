// What this binary is made of: own version and commit, and the libraries that it runs with.
//
// All Local. Texts are borrowed and live as long as the program, except those written to `out`.
#ifndef WF_LAUNCHER_VERSION_H
#define WF_LAUNCHER_VERSION_H

#include <stdio.h>

enum { WF_VERSION_TEXT = 128 };

// One line each; "not built in" where a part was left out, "not loaded" where it was not found at
// run time.
typedef struct wf_versions {
    char weft[WF_VERSION_TEXT]; // "0.1.0 (1a2b3c4)"
    char cuda[WF_VERSION_TEXT], nccl[WF_VERSION_TEXT];
    char mpi[WF_VERSION_TEXT], hdf5[WF_VERSION_TEXT];
    char pmix[WF_VERSION_TEXT], hwloc[WF_VERSION_TEXT];
    char driver[WF_VERSION_TEXT]; // the device driver's own, as its kernel module says; "none"
} wf_versions;

void wf_versions_get(wf_versions *out);

void wf_versions_print(FILE *file);

#endif
