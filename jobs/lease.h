// Leases: who computes which rows, decided by files, so that it works within one MPI world and
// across many, under srun, mpirun or alone.
//
//   <out>/leases/r<run>/ranges              all ranges of the run, published once, by whoever is
//   first <out>/leases/r<run>/s<shard>-<begin>-<end>     taken; its text says by whom
//
// A range is rows [begin, end) of one shard. Ranges are cut from the rows that are still to be
// done, big ones first and smaller towards the end (guided self-scheduling: Polychronopoulos &
// Kuck, 1987), so that groups of uneven speed and shards of uneven length finish together. A lease
// is taken by creating its file with O_EXCL, which is atomic on local disks, Lustre and NFSv3 and
// newer. Leases mean nothing to the next run: sealed segments are the only truth.
//
// All processes of a run must open with the same shards; they take the ranges from the published
// file, so a process that knows of more finished rows (a restarted group) cuts nothing differently.
// All Local; one thread at a time. Errors: WF_IO, with the path; WF_NO_MEMORY.
#ifndef WF_JOBS_LEASE_H
#define WF_JOBS_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_lease {
    uint32_t shard; // index in the job's list of shards
    uint64_t begin, end;
    int group, epoch; // the holder; -1 where it is not known (yet)
} wf_lease;

// Rows of one shard. `done`: bit (row & 63) of word row >> 6 set when the row needs no work; NULL:
// all rows are to be done. Borrowed. As wf_done_bits() of io/runfile_done.h gives it.
typedef struct wf_lease_shard {
    uint64_t n_rows;
    const uint64_t *done;
} wf_lease_shard;

// How ranges are cut.
typedef struct wf_lease_cut {
    int n_groups;
    uint64_t min_rows; // rows to be done in a range; 0: 1
    uint64_t max_rows; // 0: no bound
} wf_lease_cut;

// Pure: cuts what is to be done into ranges. A range holds at least one such row and begins and
// ends with one. *out is owned by the caller: free().
wf_status wf_lease_ranges(const wf_lease_shard *shards, size_t n_shards, const wf_lease_cut *cut,
                          wf_lease **out, size_t *n_out);

typedef struct wf_leases wf_leases;

typedef struct wf_leases_config {
    const char *out_dir; // the output folder
    int64_t run;
    int group, epoch; // who claims
    const wf_lease_shard *shards;
    size_t n_shards;
    wf_lease_cut cut;
} wf_leases_config;

// Makes the run's folder if need be, publishes the ranges or reads those published. Copies.
wf_status wf_leases_open(const wf_leases_config *config, wf_leases **out);
void wf_leases_close(wf_leases **leases);

// Takes the next free range; *got is false when none is left. Rows of it that are already done are
// still inside and are for the caller to skip.
wf_status wf_leases_claim(wf_leases *leases, wf_lease *out, bool *got);

// All ranges that are taken, by (shard, begin); own, free(). What a lost group held is in here.
wf_status wf_leases_list(const wf_leases *leases, wf_lease **out, size_t *n_out);

// Gives a range back, whoever holds it: another claim may get it. For the one who has made sure
// that the holder is gone.
wf_status wf_leases_release(wf_leases *leases, const wf_lease *lease);

// Ranges of the run, taken or not.
size_t wf_leases_count(const wf_leases *leases);

#endif
