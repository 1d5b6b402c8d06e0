// An output folder with real shards and results that follow from their keys: what the merge, the
// reports and the checker are tried on.
#ifndef WF_TESTS_RESULTS_RUN_FIXTURE_H
#define WF_TESTS_RESULTS_RUN_FIXTURE_H

#include <stdint.h>

#include "io/results/segment.h"
#include "io/shard/request.h"

#define RUN_ROWS_A 300
#define RUN_ROWS_B 90

typedef struct run_fixture {
    char folder[256];  // everything lies here
    char out[300];     // <folder>/out
    char path[2][300]; // of the shards
    char uid[2][64];
    wf_result_shard shards[2];
    wf_result_columns columns; // of segments; token times and steps unless changed
    uint32_t n;                // the job's sampling.n: 1 unless changed
} run_fixture;

// Makes folder and shards (rows of fixture_row()); the output folder is empty.
void run_fixture_make(run_fixture *f);
void run_fixture_remove(run_fixture *f);

// Starts the next run; returns its number.
uint16_t run_fixture_start(run_fixture *f);

// The right result of a row: every 11th failed; arrival row ms; times and tokens follow from it.
typedef struct run_row_buffers {
    int32_t token[64];
    int64_t time[64];
    char error[64], meta[64];
} run_row_buffers;
wf_result run_fixture_row(uint32_t shard, uint64_t row, run_row_buffers *buffers);

// Group `group` of run `run` seals rows first, first + step, ... < end of a shard, with one step
// record each. A later call for the same run and group takes epoch 1, 2 ... when told.
void run_fixture_write(run_fixture *f, uint16_t run, uint16_t group, uint16_t epoch, uint32_t shard,
                       uint64_t first, uint64_t end, uint64_t step);

// The same with a hand on each row before it is put: change(row, context) may alter it, or return
// false to leave it out.
typedef bool (*run_change)(wf_result *row, run_row_buffers *buffers, void *context);
void run_fixture_write_changed(run_fixture *f, uint16_t run, uint16_t group, uint32_t shard,
                               uint64_t first, uint64_t end, run_change change, void *context);

// The same in segments of `part` rows each.
void run_fixture_write_in_parts(run_fixture *f, uint16_t run, uint16_t group, uint32_t shard,
                                uint64_t first, uint64_t end, uint64_t part);

// Writes a shard anew, its requests as change() leaves them.
void run_fixture_change_shard(run_fixture *f, int i_shard, void (*change)(wf_request *request));

// Two groups in one run that do everything, in an order that is not that of the keys.
void run_fixture_complete(run_fixture *f);

#endif
