// Heartbeats: is a rank of a conducted job alive, judged by the counters in its status file?
//
//   no status file yet .......................... silent for load_ns: quiet
//   starts, loads, warms up ..................... silent for 4 beat_ns: quiet; loading may hold up
//                                                 the file system, status files included
//   later ....................................... silent for beat_ns: quiet
//   its heart beats, but one step lasts load_ns . quiet
//
// File times and other hosts' clocks play no part; "silent" counts this process's own clock between
// two readings that differ. If this process itself was stopped for a while (a suspended machine, a
// debugger), that while is taken off everybody's silence. The first three functions are pure.
// Local.
#ifndef WF_LAUNCHER_CONDUCTOR_WATCH_H
#define WF_LAUNCHER_CONDUCTOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/watch/progress_status.h"

typedef struct wf_beat_limits {
    int64_t beat_ns, load_ns;
} wf_beat_limits;

// What is known of one rank of one epoch. Starts as wf_beat_begin says.
typedef struct wf_beat {
    bool seen;
    int64_t moved_ns; // when the file last differed; before the first: when the rank was started
    int64_t step_ns;  // when the step that is under way was first seen
    wf_rank_status status;
} wf_beat;

void wf_beat_begin(wf_beat *beat, int64_t now_ns);

// Takes a reading; NULL: the file could not be read, or is of another run or epoch.
void wf_beat_take(wf_beat *beat, const wf_rank_status *status, int64_t now_ns);

// The pause of the reader is nobody's silence.
void wf_beat_forgive(wf_beat *beat, int64_t pause_ns);

// True when the rank is quiet for too long: *quiet_ns how long, *hangs whether its heart still
// beats (a step that does not end: often another rank's fault).
bool wf_beat_is_quiet(const wf_beat *beat, const wf_beat_limits *limits, int64_t now_ns,
                      int64_t *quiet_ns, bool *hangs);

// Reads the status file of `rank`; false where there is none of this run and epoch.
bool wf_beat_read(const char *out_dir, int rank, int64_t run, int64_t epoch, wf_rank_status *out);

#endif
