// Reads a request shard (format weft-requests): all of its structure is checked when it is opened,
// every row when it is read.
//
//   /requests/id[n] arrival_ns[n] max_new_tokens[n] prompt_offset[n+1]   /prompts/tokens[sum]
//   optional: sampling columns [n], stop_offset[n+1] + stop_token_ids, meta_offset[n+1] + meta,
//             stop_string_offset[n+1] + stop_string, session[n] turn[n] think_ns[n],
//             /tokenizer/piece_offset[vocab_size+1] + piece
//
// A bad file is one WF_SHARD line, `file:dataset:row: what and why`. A bad row (offsets, arrival
// before an earlier row's, id of an earlier row, and what wf_request_check() finds) comes back with
// its status and error, the rows around it are served. Hostile files can crash HDF5 itself: jobs
// read through the reader process (io/shard/reader.h), which calls these functions. Local, one
// thread.
#ifndef WF_IO_SHARD_SHARD_H
#define WF_IO_SHARD_SHARD_H

#include "io/base/arena.h"
#include "io/base/hash.h"
#include "io/shard/request.h"

typedef struct wf_shard_info {
    char uid[WF_HASH128_HEX]; // as stored when it was written
    uint64_t n_rows;
    uint64_t n_prompt_tokens;
    uint64_t n_new_tokens;       // the most that its rows may generate, one sample each
    uint32_t least_new_tokens;   // the least that any row asks for at most; 0: no row asks for any
    uint64_t i_least_new_tokens; // the first such row
    uint64_t n_own;              // rows that say how many samples they want
    uint64_t n_own_samples;      // those samples; one where the number is nonsense
    int64_t vocab_size;          // the token ids were drawn below this
    uint32_t sampling_columns;   // bits as in wf_request.sampling_set
    uint32_t most_wishes; // most words that a row's biases, allowed tokens and bad words take
    bool has_stop, has_stop_strings, has_meta, has_sessions;
    uint64_t piece_bytes; // of all tokens' pieces; has_pieces: they are there
    bool has_pieces;
    uint64_t n_turns;          // rows of sessions
    uint64_t n_unknown_thinks; // of them, those after another turn that do not say their think time
    int64_t first_arrival_ns, last_arrival_ns; // of usable rows; 0 when there are none
    uint64_t n_bad_arrivals, n_repeated_ids;   // rows that will fail for it
} wf_shard_info;

// What a row must fit; 0 skips a check.
typedef struct wf_shard_limits {
    int64_t n_vocab;
    int64_t max_context; // tokens; a longer prompt fails without being read
    size_t bytes;        // bound on what one read hands out (0: 1 GiB)
} wf_shard_limits;

typedef struct wf_shard wf_shard;

// Checks the structure, arrivals and ids (memory 8 bytes a row when ids are not ascending). own.
wf_status wf_shard_open(const char *path, wf_shard **out);
void wf_shard_close(wf_shard **shard);

const wf_shard_info *wf_shard_info_of(const wf_shard *shard); // borrow

// Reads up to `n` rows from `row0` into rows[n]; everything they point to lies in `arena`, the
// caller's. *n_read is at least 1 where row0 is in the shard; it is less than n at the shard's end
// and where limits.bytes is used up. A single row larger than that fails alone. Sampling fields
// that the row does not give hold the defaults.
wf_status wf_shard_read(wf_shard *shard, uint64_t row0, uint32_t n, const wf_shard_limits *limits,
                        wf_arena *arena, wf_request *rows, uint32_t *n_read);

// Of rows [row0, row0 + n), all in the shard, for planning: arrival (-1 where unusable) and prompt
// length (0 where unusable). Either array may be NULL; borrow.
wf_status wf_shard_read_arrivals(wf_shard *shard, uint64_t row0, uint32_t n, int64_t *arrival_ns,
                                 uint32_t *n_prompt);

// Of the same rows: the session (0: none), what comes before the turn, and its place.
wf_status wf_shard_read_turns(wf_shard *shard, uint64_t row0, uint32_t n, uint64_t *session,
                              int64_t *think_ns, uint32_t *turn);

// Of the same rows: a hash of what their meta, a JSON object, has under `key`; 0: nothing.
wf_status wf_shard_read_keys(wf_shard *shard, uint64_t row0, uint32_t n, const char *key,
                             uint64_t *out);

// Of the table of pieces: `n` offsets from `first`, or bytes from `first`; all of them must be
// there.
wf_status wf_shard_read_piece_offsets(wf_shard *shard, uint64_t first, uint32_t n, uint64_t *out);
wf_status wf_shard_read_pieces(wf_shard *shard, uint64_t first, uint32_t n, uint8_t *out);

// Reads every column and compares the content with the stored uid: WF_SHARD when it was edited.
wf_status wf_shard_verify(wf_shard *shard);

// Rows of the text that a shard was made from that are no requests in it: they were bad, and have
// no result. 0 where it was made from no text, or cannot be read.
uint64_t wf_shard_bad_rows(const char *path);

#endif
