// The reader process: request shards are read where a damaged or hostile file can do no harm.
//
//   main ---requests, replies (socket)---> reader child (HDF5, limits) -- fork -- host
//     \____________ slots: shared memory, one read each ____________/      watches, replaces it
//
// wf_reader_start() forks a small host early in main, before MPI, CUDA and HDF5 are up; the host
// forks the reader proper, and another when that one dies or exceeds its time limit, so the program
// itself never forks again. The read under way then ends as WF_SHARD, "shard X is damaged (reader
// died: SIGSEGV)", reads waiting behind it go on. Both processes end with the program, however it
// ends, and ignore the signals that batch systems send to whole job steps.
//
// Reads are asynchronous: submit into a free slot, poll or wait, use the rows in place, release.
// They complete in the order of submission. Local; one thread.
#ifndef WF_IO_SHARD_READER_H
#define WF_IO_SHARD_READER_H

#include "io/shard/pieces.h"
#include "io/shard/request.h"
#include "io/shard/shard.h"

// 0 takes the default.
typedef struct wf_reader_config {
    uint32_t n_slots;      // reads in flight or in use, default 4
    size_t slot_bytes;     // bound on one read, default 32 MiB (a prompt of 8 million tokens)
    int64_t limit_ns;      // of one operation, default wf_guard_limit_ns()
    uint64_t memory_bytes; // address space of the reader beyond the program's, default 8 GiB
    // For wf_reader_look(): reads another kind of file, and leaves up to WF_READER_FACTS bytes.
    wf_status (*look)(const char *path, void *facts);
} wf_reader_config;

#define WF_READER_FACTS 256

typedef struct wf_reader wf_reader;

// `config` NULL: all defaults. WF_IO or WF_NO_MEMORY when the processes or their memory cannot be
// had. own.
wf_status wf_reader_start(const wf_reader_config *config, wf_reader **out);

// The process beside this one (weft-readerhost in ps), whose child reads; 0 for NULL.
int64_t wf_reader_process(const wf_reader *reader);

// Ends both processes. Takes NULL.
void wf_reader_close(wf_reader **reader);

// Opens and checks a shard; waits for it. WF_SHARD or WF_NO_INPUT with the reason.
wf_status wf_reader_open(wf_reader *reader, const char *path, wf_shard_info *info);

// The arrivals of rows [row0, row0 + n) (-1: unusable) and, unless NULL, their prompt lengths, for
// planning a timed replay; waits. Arrays are the caller's.
wf_status wf_reader_read_arrivals(wf_reader *reader, const char *path, uint64_t row0, uint64_t n,
                                  int64_t *arrival_ns, uint32_t *n_prompt);

// Of the same rows: session (0: none), think time (WF_THINK_UNKNOWN) and place among its turns.
wf_status wf_reader_read_turns(wf_reader *reader, const char *path, uint64_t row0, uint64_t n,
                               uint64_t *session, int64_t *think_ns, uint32_t *turn);

// Of the same rows: a hash of what their meta has under `key` (a JSON object's); 0: nothing.
wf_status wf_reader_read_keys(wf_reader *reader, const char *path, uint64_t row0, uint64_t n,
                              const char *key, uint64_t *out);

// The pieces of an opened shard (info->has_pieces); waits. WF_SHARD where they make no sense; own:
// wf_pieces_free().
wf_status wf_reader_read_pieces(wf_reader *reader, const char *path, const wf_shard_info *info,
                                wf_pieces **out);

// Lets the configuration's `look` read a file in the reader process; waits. `facts` is the
// caller's, n_bytes of what look() left. WF_DATA too where the reader died over it or took too
// long.
wf_status wf_reader_look(wf_reader *reader, const char *path, void *facts, size_t n_bytes);

typedef struct wf_reader_read {
    const char *path;    // borrow until the batch is released
    const char *uid;     // as opened; another content now is WF_SHARD. May be NULL
    uint32_t shard;      // put into each row
    uint64_t row0;       // first row
    uint32_t n;          // rows wanted
    int64_t n_vocab;     // limits of the model, 0: not checked
    int64_t max_context; // tokens
} wf_reader_read;

uint32_t wf_reader_n_free(const wf_reader *reader); // slots to submit into

// Queues a read. There must be a free slot.
wf_status wf_reader_submit(wf_reader *reader, const wf_reader_read *read);

// A completed read. Rows and all they point to are borrowed until release. n_rows is less than
// read.n at the shard's end and where the slot is full: submit again from row0 + n_rows. With
// status WF_SHARD, WF_NO_INPUT or WF_IO there are no rows, and `error` says why.
typedef struct wf_reader_batch {
    wf_reader_read read;
    wf_status status;
    const char *error;
    uint32_t n_rows;
    const wf_request *rows; // [n_rows] each valid, or with the reason why it fails
    uint32_t slot;          // private
} wf_reader_batch;

// The next completed read, waiting up to `timeout_ns` (0: a look; -1: for ever). *out is NULL when
// there is none in time, when a signal came, or when nothing was submitted. WF_INTERNAL when the
// reader process is gone for good.
wf_status wf_reader_wait(wf_reader *reader, int64_t timeout_ns, const wf_reader_batch **out);
void wf_reader_release(wf_reader *reader, const wf_reader_batch *batch);

// The number of readers that died and were replaced.
uint64_t wf_reader_n_died(const wf_reader *reader);

#endif
