// Writes a request shard (format weft-requests): one row after the other, then published whole.
//
//   create -> append, append, ... -> close      x.h5.part while it is written, x.h5 after close
//                                 -> abandon    (the part is removed)
//
// Optional columns (sampling, stop tokens, meta, sessions) appear when the first row uses them.
// Arrivals must not decrease; ids must be unique, which the reader checks. Local, one thread.
#ifndef WF_IO_SHARD_SHARD_WRITER_H
#define WF_IO_SHARD_SHARD_WRITER_H

#include "io/base/hash.h"
#include "io/shard/pieces.h"
#include "io/shard/request.h"

// Where the stream came from; NULL texts are left out of the file.
typedef struct wf_shard_options {
    int64_t vocab_size;           // the token ids were drawn below this
    const char *source;           // file or service the rows were logged by
    const char *source_sha256;    // 64 hex digits
    const char *source_time_unit; // of the log: "s", "ms" ...
    const char *source_mended;    // what of the log's rows was changed or left out
    const char *generator;        // the command that made it
    int64_t seed;                 // of the drawn tokens and jitter
    int64_t jitter_ns;            // arrivals were spread by up to this, 0: not at all
    const wf_pieces *pieces;      // of vocab_size tokens, borrowed until closed; NULL: none
    bool replace;                 // an older file of this name gives way; else it is an error
} wf_shard_options;

typedef struct wf_shard_writer wf_shard_writer;

// WF_IO, WF_IN_USE when `path` exists and may not be replaced. Options are copied. own.
wf_status wf_shard_writer_create(const char *path, const wf_shard_options *options,
                                 wf_shard_writer **out);

// Adds the request's id, arrival_ns, max_new_tokens, prompt, stop, stop_string, meta and the
// sampling parameters in sampling_set and, where `session` is not 0, its place in the session
// (copy). WF_DATA when it arrives before the one before it or has a negative arrival; the row is
// not added.
wf_status wf_shard_writer_append(wf_shard_writer *writer, const wf_request *request);

uint64_t wf_shard_writer_count(const wf_shard_writer *writer); // rows

// Writes what is left, names the content in `uid` (hex XXH3-128 over the columns; may be NULL) and
// publishes. *writer becomes NULL either way; after a failure nothing is published.
wf_status wf_shard_writer_close(wf_shard_writer **writer, char uid[WF_HASH128_HEX]);
void wf_shard_writer_abandon(wf_shard_writer **writer);

#endif
