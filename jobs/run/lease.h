// Leases: who computes which rows, decided by files, so that it works within one MPI world and
// across many, under srun, mpirun or alone.
//
//   <out>/leases/r<run>/ranges                    all ranges of the run, published once, by whoever
//                                                 is first
//   <out>/leases/r<run>/ranges.<k>                list k = 1, 2, ...: what lost groups left undone
//   <out>/leases/r<run>/s<shard>-<begin>-<end>    taken, of the first list; its text says by whom
//   <out>/leases/r<run>/s<shard>-<begin>-<end>.<k>    the same, of list k
//
// A range is rows [begin, end) of one shard. Ranges are cut from the rows that are still to be
// done, big ones first and smaller towards the end (guided self-scheduling: Polychronopoulos &
// Kuck, 1987), so that groups of uneven speed and shards of uneven length finish together. A lease
// is taken by creating its file with O_EXCL, which is atomic on local disks, Lustre and NFSv3 and
// newer. Leases mean nothing to the next run: sealed segments are the only truth.
//
// A taken range stays taken: what its holder, now lost, has not sealed comes back as new ranges, in
// a list of its own (jobs/run/returned.h cuts it), which hold not one row that is done. Claimers
// look for the next list when they find no free range. Every claim looks at the group's fence, so
// that a group that was given up and still runs somewhere takes no more work.
//
// All processes of a run must open with the same shards; they take the ranges from the published
// file, so a process that knows of more finished rows (a restarted group) cuts nothing differently.
// All Local; one thread at a time. Errors: WF_IO, with the path; WF_NO_MEMORY; claims: WF_IN_USE
// when the group has lost its fence.
#ifndef WF_JOBS_RUN_LEASE_H
#define WF_JOBS_RUN_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// What is known of a range's rows.
typedef enum wf_lease_kind {
    WF_LEASE_ROWS,
    WF_LEASE_SUSPECTS, // were in flight when a group died: to be computed with nothing beside them
    WF_LEASE_RETRIAL,  // a suspect that died alone where nothing else had worked either
    WF_LEASE_POISON    // one row that died alone: to be failed, not computed
} wf_lease_kind;

typedef struct wf_lease {
    uint32_t shard; // index in the job's list of shards
    uint64_t begin, end;
    int group, epoch; // the holder; -1 where it is not known (yet)
    uint32_t list;    // 0: the run's first cut
    wf_lease_kind kind;
    bool partial; // some samples of its rows are done: only for those who know which (claim)
} wf_lease;

// Rows of one shard. `done`: bit (row & 63) of word row >> 6 set when the row needs no work; NULL:
// all rows are to be done. Borrowed. As wf_done_bits() of io/results/runfile_done.h gives it.
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
// still inside and are for the caller to skip. Partial ranges go only to those who opened after
// their list was published, and so know what it knew.
wf_status wf_leases_claim(wf_leases *leases, wf_lease *out, bool *got);

// Publishes ranges as the next list. By one process per run.
wf_status wf_leases_return(wf_leases *leases, const wf_lease *ranges, size_t n);

// All ranges that are taken, by (shard, begin, list); own, free(). What a lost group held is in
// here.
wf_status wf_leases_list(const wf_leases *leases, wf_lease **out, size_t *n_out);

// Ranges of the run in the lists known so far, taken or not.
size_t wf_leases_count(const wf_leases *leases);

// Whether a group that runs batches of max_rows and holds n_held rows, leased and not finished, is
// to claim now. It may hold a batch and a quarter to follow it, but no more than its even part of
// what there was to do at the opening, so that in a small job no group leases what others would
// have begun at once. A range within that quarter is claimed when all of it fits, a larger one when
// any does: a batch never waits for rows while there are any. Skips what others took since the last
// claim.
wf_status wf_leases_wants(wf_leases *leases, uint64_t n_held, uint64_t max_rows, bool *wants);

#endif
