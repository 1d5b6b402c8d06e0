// Result rows for tests: contents follow from their number, so that any reader can be checked.
#ifndef WF_TESTS_IO_RESULT_FIXTURE_H
#define WF_TESTS_IO_RESULT_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "io/results/segment.h"

#define RESULT_FIXTURE_TOKENS 40
#define RESULT_FIXTURE_TOP    3
#define RESULT_FIXTURE_VOCAB  256

typedef struct result_buffers {
    int32_t token_id[RESULT_FIXTURE_TOKENS];
    int64_t token_time_ns[RESULT_FIXTURE_TOKENS];
    float logprob[RESULT_FIXTURE_TOKENS];
    int32_t top_id[RESULT_FIXTURE_TOKENS * RESULT_FIXTURE_TOP];
    float top_logprob[RESULT_FIXTURE_TOKENS * RESULT_FIXTURE_TOP];
    char meta[32], error[64], ending[32];
} result_buffers;

// Row `row` of shard `shard`, sample 0: every 7th failed (no tokens, an error text), the others
// 1 + row mod 39 tokens; every 3rd has meta, every 4th ended at a stop string. Buffers are the
// caller's.
wf_result result_fixture_row(uint32_t shard, uint64_t row, result_buffers *buffers);

// Asserts that `row` is what result_fixture_row(row->shard, row->row) gives, with these columns.
void result_fixture_assert(const wf_result *row, wf_result_columns columns);

// Two shards, "uid-a" of `rows_a` rows and "uid-b" of `rows_b`; run and epoch as given.
wf_segment_config result_fixture_config(const char *out_dir, uint64_t rows_a, uint64_t rows_b,
                                        uint16_t run, uint16_t group, uint16_t epoch);

// Puts rows [from, to) of a shard; asserts success.
void result_fixture_put(wf_segment_writer *writer, uint32_t shard, uint64_t from, uint64_t to);

#endif
