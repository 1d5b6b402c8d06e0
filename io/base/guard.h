// Reading strangers' files where it harms nobody: in a child that may crash, and that is ended when
// a single read takes longer than the limit. Libraries loop for ever over some damaged files.
//
//   parent  fork, wait, copy what it prints; ends it when a read takes too long
//   child   work: before each read wf_guard_at(file, dataset), after it wf_guard_done()
//
// The limit is long, because a file server may take a minute to come back from a failure, and runs
// for single reads only: 120 s, or what the environment says (WEFT_READ_LIMIT=10m). Call it before
// MPI, CUDA or threads are up. Local.
#ifndef WF_IO_BASE_GUARD_H
#define WF_IO_BASE_GUARD_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// The longest that one read of one file may take.
int64_t wf_guard_limit_ns(void);

typedef struct wf_guard_config {
    // Prints to `out`; `result` is zeroed memory that the parent sees.
    wf_status (*work)(void *context, FILE *out, void *result);
    void *context;
    FILE *out; // what the child prints is copied here; NULL: it prints to stdout itself
    size_t result_bytes;
} wf_guard_config;

// Runs the work in a child. The status and its detail are the work's own; where the child died in a
// read or was ended, WF_DATA with the place, and *died. `result` gets what the child left, whatever
// became of it. A child that was told to leave by a signal takes this process along.
wf_status wf_guard_run(const wf_guard_config *config, void *result, bool *died);

// From here on wf_guard_at() leaves the name in `place` too: memory that another process looks at
// when this one is gone (the reader process, which has a watch of its own).
void wf_guard_tell(char *place, size_t n_bytes);

// In the child, or without effect: what is read next; `name` may be "". Reads may nest.
void wf_guard_at(const char *path, const char *name);
void wf_guard_done(void);

#endif
