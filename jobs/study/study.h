// A study as its file says it: a job, the keys that vary, and how the runs are looked at.
//
//   study: scale-out                     # what it is called
//   job: job.yaml                        # every run starts from it; beside this file
//   prepare:                             # weft commands that make the requests, once
//     - [import, poisson, --rate, 5, -n, 200, -o, p.h5, --model, ../model]
//   set: {engine.max_rows: 16}           # keys of all runs
//   grid:                                # every combination is a run
//     parallel.replicas: [1, 2, 4]
//     arrivals.rate: [2, 4, 8]
//   seeds: [1, 2, 3]                     # each combination so often; none: once, the job's seed
//   rising: arrivals.rate                # a series ends where it does not meet the limits
//   goodput: ttft:200,tpot:50            # ms
//   share: 0.9                           # of the requests that must meet them
//   warmup: 10s                          # what begins before is in no figure
//   scale: parallel.replicas             # efficiency is told against it
//   launch: mpirun -n {ranks}            # before weft run; ranks: tensor times replicas
//   simulate: --machine h200             # instead of running: words for weft simulate
//
// Paths in `job`, `prepare` and the job are as the job file has them: of the working folder, but
// `job` is looked for beside this file first. Mistakes are WF_CONFIG, "study.yaml:3:7: what".
// All Local.
#ifndef WF_JOBS_STUDY_STUDY_H
#define WF_JOBS_STUDY_STUDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/file.h"
#include "io/base/status.h"

typedef struct wf_study_axis {
    char *key;
    wf_paths values; // as --set would have them: "4", "[a.h5, b.h5]"
} wf_study_axis;

typedef struct wf_study {
    char *name, *job; // job: the path as it is opened
    char *limits;     // goodput; "" when none
    char *launch;     // "" when runs are started as they are
    char *simulate;   // "" when they are real
    double share;
    int64_t warmup_ns;
    wf_study_axis *axes; // [n_axes] of the grid; the last one is `seed` where there are seeds
    size_t n_axes;
    wf_paths fixed;     // "key=value"
    wf_paths *commands; // [n_commands] words of each
    size_t n_commands;
    int rising, scale; // axes; -1: none
    bool has_seeds;
} wf_study;

wf_status wf_study_read(const char *path, wf_study *out); // free it also when this fails
void wf_study_free(wf_study *study);

// Combinations of the axes: the last but the rising one turns fastest, the rising one last of all,
// so that a series' points follow each other.
size_t wf_study_points(const wf_study *study);
// Of a point: which value of each axis. i_value: [n_axes].
void wf_study_point(const wf_study *study, size_t i_point, size_t *i_value);
size_t wf_study_rising_values(const wf_study *study); // points of a series

// A name that is a folder's, "replicas-2_rate-4_seed-1": the last word of each key, or all of it
// where two keys end alike. `rising`: the value of the rising axis in place of the point's; NULL:
// the point's. own.
wf_status wf_study_point_name(const wf_study *study, size_t i_point, const char *rising,
                              char **out);

// The value of a key at a point, in `set`, or NULL: borrow.
const char *wf_study_value(const wf_study *study, const size_t *i_value, const char *key);

// Ranks of a point: tensor times replicas as the study says them, else 1.
long wf_study_ranks(const wf_study *study, const size_t *i_value);

#endif
