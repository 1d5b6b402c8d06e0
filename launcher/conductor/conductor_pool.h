// The work of a conducted job: its folder, its run, its ranges, and what lives took and gave back.
//
//   open: shards, model identity, owner, run begun, what is done, ranges published
//   a life (group, epoch) takes ranges by itself (jobs/run/lease.h); it ends
//      closed   it said that all it took is sealed
//      cleared  fenced off by the next epoch; what it had not sealed is back in the pool
//   strays: ranges that no closed or cleared life accounts for: taken in the moment of a death, or
//      by a group that was given up and runs on somewhere; looked for when nobody lives any more
//
// Sealed segments decide what is done, never a process's word or exit code. HDF5 is used: call from
// one thread. Local. Errors are the job's: WF_IO, WF_IN_USE, WF_MISMATCH, WF_DATA ...
#ifndef WF_LAUNCHER_CONDUCTOR_POOL_H
#define WF_LAUNCHER_CONDUCTOR_POOL_H

#include "io/shard/reader.h"
#include "jobs/run/folder.h"
#include "jobs/run/runner.h"
#include "jobs/spec/jobspec.h"

typedef struct wf_pool wf_pool;

// All borrowed.
typedef struct wf_pool_config {
    const wf_jobspec *spec;
    wf_reader *reader;
    int n_groups;
    wf_folder_start start;
} wf_pool_config;

wf_status wf_pool_open(const wf_pool_config *config, wf_pool **out);

// Records that nothing is left to do and hands the folder over, held until it is merged: own.
wf_status wf_pool_complete(wf_pool *pool, wf_folder **out);

// Gives the folder up, if it still has it. NULL inside is fine.
void wf_pool_close(wf_pool **pool);

uint32_t wf_pool_run(const wf_pool *pool);
bool wf_pool_holds(const wf_pool *pool); // false: another job has taken the folder

// What the groups read: the resolved job, kept in the folder so that a job file that is edited
// while the job runs harms no later start. Borrow.
const char *wf_pool_job_file(const wf_pool *pool);

// Ranges that nobody has taken.
wf_status wf_pool_unclaimed(wf_pool *pool, size_t *n);

// What came back from a life.
typedef struct wf_pool_return {
    uint64_t n_rows, n_suspects, n_poison;
    bool fruitful;    // the life finished requests
    char poison[256]; // which rows are given up, for people; "" where none
} wf_pool_return;

void wf_pool_close_life(wf_pool *pool, int group, uint32_t epoch);
// `fruitful`: it finished requests, as far as its status file knew.
wf_status wf_pool_clear_life(wf_pool *pool, int group, uint32_t epoch, bool fruitful,
                             uint32_t *next_epoch, wf_pool_return *out);
wf_status wf_pool_strays(wf_pool *pool, wf_pool_return *out);

// Totals as a runner reports them, from what is sealed; n_failed and elapsed_ns are left alone.
wf_status wf_pool_sum_up(wf_pool *pool, wf_runner_outcome *out);
int64_t wf_pool_rows(const wf_pool *pool);     // requests of the job
int64_t wf_pool_total(const wf_pool *pool);    // results of the job
bool wf_pool_counts_well(const wf_pool *pool); // false: damaged rows may make it fewer
int64_t wf_pool_before(const wf_pool *pool);   // of them, done by earlier runs

#endif
