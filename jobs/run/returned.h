// What a lost group held and has not sealed, cut into ranges for the pool: how its work is saved,
// and how a request that kills its group is found.
//
//   held ranges - sealed rows = rows to be done again
//     not in flight at the death ............ ROWS      as before, to whoever is free
//     in flight, n rows, first time ......... SUSPECTS  in bunches of about sqrt(n), each computed
//                                                       with nothing beside it
//     in flight in such a bunch, n > 1 ...... SUSPECTS  one by one
//     in flight alone, the second time ...... POISON    becomes a failed result, not computed
//       the same, in a life that had done
//       nothing before: perhaps it is the
//       place that kills .................... RETRIAL   alone once more; then POISON
//
// One poisonous row of n in flight so costs three deaths (four, where a life begins with it),
// innocent rows beside it cost one more turn each, and no row is given up that did not die alone
// after having been in flight at an earlier death. (Group testing: Dorfman, 1943; two stages with
// groups of sqrt(n).)
//
// Rows of a bunch that are not sealed and were not in flight have not been tried, or ended well:
// they stay suspects. A range that comes back holds no row that is wholly done; where some samples
// of a row are done it is `partial`. Pure: values in, values out. Local.
#ifndef WF_JOBS_RUN_RETURNED_H
#define WF_JOBS_RUN_RETURNED_H

#include "io/results/runfile_done.h"
#include "jobs/run/flight.h"
#include "jobs/run/lease.h"

// All borrowed.
typedef struct wf_returned_input {
    const wf_lease *held; // [n_held] what the group had taken
    size_t n_held;
    const wf_done *done;         // what is sealed
    const bool *many_samples;    // [n_shards] a row done for sample 0 may lack others
    const wf_flight_row *flight; // [n_flight] by (shard, row)
    size_t n_flight;
    bool fruitful;     // the life finished requests, as far as its status file knew
    uint64_t max_rows; // of one ordinary range; 0: no bound
} wf_returned_input;

typedef struct wf_returned {
    wf_lease *range; // [n] own, free()
    size_t n;
    uint64_t n_rows, n_suspects, n_poison; // rows by kind
    bool fruitful; // the life finished requests: so it said, or some are sealed
} wf_returned;

// WF_NO_MEMORY.
wf_status wf_returned_cut(const wf_returned_input *input, wf_returned *out);

#endif
