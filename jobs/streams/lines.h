// Reads a text file line by line, first in order, then again at places remembered.
//
//   open -> next, next, ... -> finish (SHA-256 of the whole file) -> at(offset), at(offset), ...
//
// Lines are handed out without "\n" or "\r\n"; the last one needs none. A byte-order mark is
// skipped. Memory is one buffer, as long as the longest line. Every failure names file and line.
// Local.
#ifndef WF_JOBS_STREAMS_LINES_H
#define WF_JOBS_STREAMS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/sha256.h"
#include "io/base/status.h"

#define WF_LINES_MAX_BYTES ((size_t)64 << 20) // of one line

typedef struct wf_lines wf_lines;

typedef struct wf_line {
    const char *text; // NUL-terminated, borrowed until the next call
    size_t n_bytes;
    uint64_t number; // from 1
    uint64_t offset; // in the file
} wf_line;

// WF_NO_INPUT when the file cannot be read or is not a regular file. own.
wf_status wf_lines_open(const char *path, wf_lines **out);
void wf_lines_close(wf_lines **lines);

// The next line, skipping blank ones; *more is false at the end. WF_DATA when a line is too long or
// holds a NUL.
wf_status wf_lines_next(wf_lines *lines, wf_line *line, bool *more);

// Reads to the end of the file and writes the digest of all of it.
wf_status wf_lines_finish(wf_lines *lines, char sha256[WF_SHA256_HEX]);

// The line that starts at `offset`, as handed out before; `number` is only for messages.
wf_status wf_lines_at(wf_lines *lines, uint64_t offset, uint64_t number, wf_line *line);

#endif
