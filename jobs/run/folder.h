// The output folder of a job: who owns it, which run this is, and what earlier runs have done.
//
//   first rank of the world:  wf_folder_begin -> ... -> wf_folder_end
//   ranks that lead a group:  wf_folder_done, once the first rank has begun
//
// Sealed segments are the only truth (io/results/runfile.h); this puts the calls in order. Local.
#ifndef WF_JOBS_RUN_FOLDER_H
#define WF_JOBS_RUN_FOLDER_H

#include "engine/model_arch.h"
#include "io/results/runfile_done.h"
#include "io/results/runfile_owner.h"
#include "io/shard/reader.h"
#include "jobs/spec/jobspec.h"

typedef struct wf_folder wf_folder;

// Who starts a job, and what this start may do. All borrowed.
typedef struct wf_folder_start {
    const char *job_id;     // batch job, NULL: none
    uint32_t restart;       // its restart count
    wf_owner_ask ask_owner; // is a batch job alive? NULL: nobody to ask
    const char *command;    // how this start was typed, for `weft why`; NULL: not known
    bool force;             // go on although the folder belongs to another job
    bool retry_failed;      // requests that failed so far are to be done again
} wf_folder_start;

typedef struct wf_folder_config {
    const wf_jobspec *spec; // all borrowed
    const char *model_identity;
    const char *dtype; // resolved
    const wf_result_shard *shards;
    size_t n_shards;
    int64_t n_results; // of the whole job, all samples counted
    wf_folder_start start;
    wf_reader
        *reader; // looks into earlier segments, with wf_segment_look(); NULL: this process does
} wf_folder_config;

// What the reader of wf_folder_config is to be configured with.
wf_status wf_folder_look(const char *path, void *facts);

// What wf_folder_begin would refuse: WF_MISMATCH with the differences. Takes and writes nothing; a
// folder that is not there is fine. Of `start` only `force` matters.
wf_status wf_folder_check(const wf_folder_config *config);

// Makes the folder, takes its ownership, checks that it belongs to this job, sets aside what does
// not count and starts a run. Errors: WF_IN_USE, WF_MISMATCH (with the differences), WF_IO.
wf_status wf_folder_begin(const wf_folder_config *config, wf_folder **out);

uint32_t wf_folder_run(const wf_folder *folder);
bool wf_folder_holds(const wf_folder *folder); // false: another job has taken the folder

// Whether all results are there and joined, so that a run would do nothing. Needs HDF5.
wf_status wf_folder_is_done(const wf_folder_config *config, bool *out);

// Tells that the job's `n` results are there already.
void wf_folder_say_nothing_left(const char *out_dir, int64_t n);

// Records that nothing is left to do; the folder stays this job's, for merging. NULL: nothing to
// do.
wf_status wf_folder_complete(const wf_folder *folder);

// Records whether anything is left to do, and gives the folder up. NULL inside is fine.
wf_status wf_folder_end(wf_folder **folder, bool complete);

// What is done, from the segments that count. Needs HDF5: before the segment writer is created.
wf_status wf_folder_done(const wf_folder_config *config, wf_done **out);

#endif
