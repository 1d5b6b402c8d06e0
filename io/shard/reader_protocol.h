// What the program, the host and the reader child say to each other. Not for use elsewhere.
//
//   shared memory (made before the first fork, same addresses in all three):
//   [control | slot 0 | slot 1 | ... | slot n_slots (for calls that wait)]
//
// A request and its reply are one packet each. The child takes requests straight from the program's
// socket, so those it has not taken survive it. What it is at work on stands in `control`: when it
// dies, the host answers for it.
#ifndef WF_IO_SHARD_READER_PROTOCOL_H
#define WF_IO_SHARD_READER_PROTOCOL_H

#include <limits.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "io/shard/reader.h"

#define WF_READER_SYNC_BYTES ((size_t)2 << 20) // the waiting calls' slot
#define WF_READER_MAX_PLAN   65536             // rows of arrivals in one request

#define WF_READER_MAX_BYTES (1u << 20) // of pieces in one request

#define WF_READER_KEY_MAX 128 // bytes of a name in rows' notes

typedef enum wf_reader_op {
    WF_READER_OPEN,     // slot: wf_shard_info
    WF_READER_ARRIVALS, // slot: int64_t arrival[n], uint32_t n_prompt[n]
    WF_READER_TURNS,    // slot: uint64_t session[n], int64_t think_ns[n], uint32_t turn[n]
    WF_READER_KEYS,     // slot: uint64_t key[n]
    WF_READER_CUTS,     // slot: uint64_t piece_offset[n]
    WF_READER_PIECES,   // slot: uint8_t piece[n]
    WF_READER_ROWS,     // slot: wf_request[n_rows], then what they point to
    WF_READER_LOOK      // slot: what look() leaves
} wf_reader_op;

typedef struct wf_reader_request {
    uint64_t seq; // counts from 1
    uint32_t op, slot, n;
    uint64_t row0;
    int64_t n_vocab, max_context;
    char uid[WF_HASH128_HEX];
    char key[WF_READER_KEY_MAX];
    char path[PATH_MAX];
} wf_reader_request;

typedef struct wf_reader_reply {
    uint64_t seq;
    uint32_t slot, n_rows;
    int32_t status;
    uint32_t died; // error is only the reason: the reader died
    char error[WF_ERROR_MAX];
} wf_reader_reply;

typedef struct wf_reader_control {
    _Atomic uint64_t submitted;    // last seq sent by the program
    _Atomic uint64_t finished;     // last seq answered
    _Atomic uint64_t current;      // seq at work, 0: none
    _Atomic uint32_t current_slot; // its slot
    _Atomic int64_t moved_ns;      // monotonic time of the last change of the above
    _Atomic uint64_t n_died;
    char place[64]; // dataset that the reader read last, for when it does not come back
} wf_reader_control;

typedef struct wf_reader_shared {
    wf_reader_control *control;
    char *slots; // n_slots * slot_bytes + WF_READER_SYNC_BYTES
    uint32_t n_slots;
    size_t slot_bytes;
    int64_t limit_ns;
    uint64_t memory_bytes;
    wf_status (*look)(const char *path, void *facts); // NULL: none
} wf_reader_shared;

static inline char *wf_reader_slot(const wf_reader_shared *shared, uint32_t slot)
{
    return shared->slots + (size_t)slot * shared->slot_bytes;
}

static inline size_t wf_reader_slot_bytes(const wf_reader_shared *shared, uint32_t slot)
{
    return slot < shared->n_slots ? shared->slot_bytes : WF_READER_SYNC_BYTES;
}

// Serves requests from `socket` until it closes; never returns. `beat` tells the host of each
// change.
_Noreturn void wf_reader_child_run(const wf_reader_shared *shared, int socket, int beat);

// Watches and replaces the child until the program closes the other end of `socket`; never returns.
_Noreturn void wf_reader_host_run(const wf_reader_shared *shared, int socket, pid_t program);

#endif
