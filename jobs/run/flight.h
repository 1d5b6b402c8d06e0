// The flight record of a group: which rows its engine holds at this moment, so that the one who
// clears up after the group's death knows whom to suspect.
//
//   <out>/leases/r<run>/flight.g<group>.e<epoch>    [ shard + 1, row ] [ 0, 0 ] [ shard + 1, row ]
//   ...
//
// A table of 16-byte entries, little-endian; an entry is written when its row is handed to the
// engine and zeroed when the row has ended. Each change is one pwrite() without fsync: it outlives
// the process, however that dies, but not its node, and a node's death is no row's doing. Costs a
// few microseconds per row, nothing per token. All Local; one thread.
#ifndef WF_JOBS_RUN_FLIGHT_H
#define WF_JOBS_RUN_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_flights wf_flights;

// Starts an empty record. WF_IO, WF_NO_MEMORY. own.
wf_status wf_flights_open(const char *out_dir, int64_t run, int group, int epoch, wf_flights **out);

// `keep` leaves the record for others: the group ends by a failure that a row may have caused.
// NULL inside is fine.
void wf_flights_close(wf_flights **flights, bool keep);

// Enters a row; *out_entry is for wf_flights_leave. A write that fails is said once and ignored:
// the record may then miss the row. WF_NO_MEMORY.
wf_status wf_flights_enter(wf_flights *flights, uint32_t shard, uint64_t row, uint32_t *out_entry);
void wf_flights_leave(wf_flights *flights, uint32_t entry);

typedef struct wf_flight_row {
    uint32_t shard;
    uint64_t row;
} wf_flight_row;

// What a group had in flight, by (shard, row); none where there is no record. own, free(). WF_IO.
wf_status wf_flights_read(const char *out_dir, int64_t run, int group, int epoch,
                          wf_flight_row **out, size_t *n_out);

#endif
