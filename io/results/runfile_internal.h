// What the run-file sources share. Private to io/.
#ifndef WF_IO_RESULTS_RUNFILE_INTERNAL_H
#define WF_IO_RESULTS_RUNFILE_INTERNAL_H

#include "io/base/arena.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/results/runfile.h"

#define WF_RUNFILE_PATH_BYTES                                                                      \
    96 // "segments/g4294967295/r4294967295-e4294967295-4294967295.h5.part"

struct wf_runs {
    char *out_dir;
    wf_runs_options options;
    wf_arena *arena; // names and identity
    size_t n_runs;   // newest run + 1
    bool complete;   // of the newest
    bool verified;   // rows and xxh64 of every segment are filled
    char *identity;  // arena; NULL: none
    wf_segment_ref *segments;
    size_t n_segments, capacity;
};

// Reads "segments/g1/r0-e0-00003.h5" (or the same with ".part"); false for any other name.
bool wf_segment_path_parse(const char *path, wf_segment_ref *ref, bool *part);

// One line for people, to the caller's function or the log.
void wf_runs_say(const wf_runs *runs, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Moves <out>/<path> into <out>/void/ (read_only: leaves it) and says why.
wf_status wf_runs_set_aside(wf_runs *runs, const char *path, const char *why);

// A segment as run files and the manifest list it: {"path", "rows", "bytes", "xxh64"}, as member
// `key` or item; and "segments": [of them].
void wf_segment_ref_put(wf_json_writer *w, const char *key, const wf_segment_ref *ref);
void wf_segment_refs_put(wf_json_writer *w, const wf_segment_ref *refs, size_t n);

// Sorted by group, run, epoch, number.
void wf_segment_refs_sort(wf_segment_ref *refs, size_t n);

#endif
