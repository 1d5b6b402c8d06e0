// The feed: the requests of one group, in the order they are to be submitted, read ahead.
//
//   add() rows in order --> [ (shard, row, arrival) ... ] --> peek()/pop() one request at a time
//                                 |  up to `ahead` entries before they are due
//                                 v
//                         reader process, a block of rows of one shard at a time
//
// What is read ahead is copied out of the reader's slots, so that a slow consumer holds none.
// A block that cannot be read fails its rows, never the job: it is tried again row by row, and the
// rows that are lost come out with status WF_REQ_SHARD. Local; one thread.
#ifndef WF_JOBS_RUN_FEED_H
#define WF_JOBS_RUN_FEED_H

#include "io/base/clock.h"
#include "io/shard/reader.h"

typedef struct wf_feed wf_feed;

typedef struct wf_feed_config {
    wf_reader *reader;         // borrowed
    const char *const *paths;  // [n_shards] borrowed
    const wf_shard_info *info; // [n_shards] borrowed
    uint32_t n_shards;
    int64_t n_vocab, max_context; // rows are checked against these
    uint32_t block_rows;          // rows of one read; 0: 64
    uint64_t ahead;               // entries read ahead; 0: 512
} wf_feed_config;

wf_status wf_feed_create(const wf_feed_config *config, wf_feed **out); // caller owns *out
void wf_feed_destroy(wf_feed *feed);                                   // takes NULL

// True when a row may be added now. Rows of a shard come in ascending order; only when all of a
// shard's have been popped may it begin again at a lower one.
bool wf_feed_takes(const wf_feed *feed, uint32_t shard, uint64_t row);

// Appends one row that wf_feed_takes(). `arrival_ns` is the intended arrival in run time. Amortised
// O(1). WF_NO_MEMORY.
wf_status wf_feed_add(wf_feed *feed, uint32_t shard, uint64_t row, int64_t arrival_ns);

// Entries added and not popped.
uint64_t wf_feed_left(const wf_feed *feed);

// Intended arrival of the next entry; INT64_MAX when there is none. Never blocks.
int64_t wf_feed_next_ns(const wf_feed *feed);

// Longest wait for an entry to be read where time stands still meanwhile (simulated). The reader
// fails rows that it cannot read long before.
#define WF_FEED_PATIENCE_NS (600 * WF_NS_PER_S)

// Keeps reads going and takes in what has been read, waiting up to `timeout_ns` for the next entry
// if it is not there yet.
wf_status wf_feed_pump(wf_feed *feed, int64_t timeout_ns);

// The next request if it has been read, else NULL. Its arrival_ns is the intended one. Owned by the
// feed until wf_feed_pop(), which hands ownership over; free it with wf_feed_free().
const wf_request *wf_feed_peek(const wf_feed *feed);
const wf_request *wf_feed_pop(wf_feed *feed);
void wf_feed_free(const wf_request *request); // takes NULL

// For others who hand out rows that were read (jobs/run/turns.h): the row that a read of one row
// brought, the lost row where it failed, with a number of theirs. own, wf_feed_free().
wf_status wf_feed_row_of(const wf_reader_batch *batch, uint64_t tag, const wf_request **out);
uint64_t wf_feed_tag(const wf_request *request);
void wf_feed_arrives(const wf_request *request, int64_t arrival_ns); // before it is handed out

#endif
