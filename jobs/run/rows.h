// Which rows a group computes, and when: the split of a timed replay, made beforehand.
//
// All rows of all shards are put in the order of their logged arrival (shard, then row, where
// equal) and dealt to the groups in turn, or by a key (arrivals.split); a row must start at its
// time, so it cannot wait for a lease. With least_tokens every group gets all rows, and the feeder
// decides as they arrive (jobs/run/board.h). Rows whose arrival is unusable go where their
// predecessor goes and fail there. Every group makes the same order, so nobody has to tell anybody.
// Local.
#ifndef WF_JOBS_RUN_ROWS_H
#define WF_JOBS_RUN_ROWS_H

#include "io/results/runfile_done.h"
#include "io/shard/reader.h"
#include "jobs/run/arrivals.h"
#include "jobs/run/feed.h"
#include "jobs/run/turns.h"
#include "jobs/spec/jobspec.h"

typedef struct wf_rows_config {
    const wf_jobspec *spec; // all borrowed
    wf_reader *reader;
    const wf_shard_info *info; // [spec->requests.n]
    const wf_done *done;       // rows that need no work
    const bool *many_samples;  // [spec->requests.n] a row done for sample 0 may lack others
    int group, n_groups;
} wf_rows_config;

// Adds this group's rows (with least_tokens all) that are still to be done to the feed, in the
// order of their intended arrival. *out_first_ns and *out_last_ns: the earliest and latest of them
// (INT64_MAX, 0: none). Memory while it runs: 24 bytes a row of all shards.
wf_status wf_rows_add_timed(const wf_rows_config *config, wf_feed *feed, int64_t *out_first_ns,
                            int64_t *out_last_ns);

// The same of arrivals.mode sessions: sessions are put in the order of their first turns and dealt,
// so that one group has all turns of a session. Rows of no session are sessions of one turn. A turn
// that an earlier run finished has ended: the first that is left of its session counts its think
// time from where the clock starts, which is at the earliest session of which nothing is done.
wf_status wf_rows_add_sessions(const wf_rows_config *config, wf_turns *turns, int64_t *out_first_ns,
                               int64_t *out_last_ns);

// ---- between the two ----------------------------------------------------------------------------

typedef struct wf_timed_row {
    int64_t logged_ns;
    uint32_t shard;
    uint64_t row;
} wf_timed_row;

// All rows of all shards by logged arrival, shard, row; own, free(), after a failure too.
wf_status wf_rows_read(const wf_rows_config *config, wf_timed_row **out, uint64_t *out_n);

// The job's arrival process, at its start.
wf_arrivals wf_rows_arrivals(const wf_rows_config *config);

// Which group takes an item, as the job's policy says beforehand. Starts as {0}.
typedef struct wf_rows_split {
    const wf_rows_config *c;
    uint64_t **key; // [shards][rows] hashes, 0: none; NULL: in turn
} wf_rows_split;

wf_status wf_rows_split_open(const wf_rows_config *config, wf_rows_split *out);
void wf_rows_split_close(wf_rows_split *split);
bool wf_rows_split_is_ours(const wf_rows_split *split, uint64_t i_item, uint32_t shard,
                           uint64_t row);

bool wf_rows_needs_work(const wf_rows_config *config, uint32_t shard, uint64_t row);

#endif
