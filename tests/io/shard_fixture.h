// Shards for tests: a folder that goes away, and rows whose contents follow from their number.
#ifndef WF_TESTS_IO_SHARD_FIXTURE_H
#define WF_TESTS_IO_SHARD_FIXTURE_H

#include <stddef.h>

#include "io/base/status.h"
#include "io/shard/request.h"

#define FIXTURE_VOCAB  256
#define FIXTURE_PROMPT 600 // longest prompt of fixture_row()

// A new folder under $TMPDIR; fixture_folder_remove() deletes it with all in it.
char *fixture_folder_make(char path[256]);
void fixture_folder_remove(const char *path);

// Row i: id 1000 + i, arrival i ms, prompt of 1 + 7 i mod FIXTURE_PROMPT tokens; every third row
// has stop tokens, every seventh from 3 on stop strings (and the shard then the pieces of bytes),
// every fourth meta, every fifth a temperature and seed. Buffers are the caller's.
typedef struct fixture_row_buffers {
    int32_t prompt[FIXTURE_PROMPT];
    int32_t stop[2], wishes[3], segment;
    float bias[2];
    char ends[32]; // stop strings
    char meta[64];
} fixture_row_buffers;
wf_request fixture_row(uint64_t i, fixture_row_buffers *buffers);

// Writes a shard of rows 0..n-1; asserts success.
void fixture_shard_write(const char *path, uint64_t n);

// Asserts that `row` is fixture_row(i), but for its shard.
void fixture_row_assert(const wf_request *row, uint64_t i);

#endif
