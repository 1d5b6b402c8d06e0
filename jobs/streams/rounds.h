// Rounds of sessions: which earlier round a prompt goes on from, and how far it is the same.
//
//   round 0   [ system prompt | question                     ]
//   round 1   [ ------- prefix of round 0 ------- | tool result  ]      parent: round 0
//   round 2   [ ------- prefix of round 1 ----------- | next     ]      parent: round 1
//
// A position below a round's prefix holds what its parent has there, beyond the parent's prompt
// what stands for the parent's answer; from the prefix on it is the round's own. The prefix of a
// session's first round is common to all sessions of one origin: what every session begins with.
//
// A round names what it follows: its session, or where a log has no sessions but says which chat a
// chat goes on from, that chat. Memory: 72 bytes per row of a session, 16 to 32 per session. Local.
#ifndef WF_JOBS_STREAMS_ROUNDS_H
#define WF_JOBS_STREAMS_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

#define WF_ROUND_NONE UINT64_MAX

typedef struct wf_round {
    uint64_t parent; // row of the round before it; WF_ROUND_NONE: the session's first
    uint64_t origin; // of a first round: whose prefix it begins with
    uint64_t n_prefix;
    uint64_t session; // 0: the row is no round
    uint32_t turn;
    bool overlaps;    // began before the one before it had ended
    int64_t think_ns; // from that end; -1: not known, or a first round
    int64_t end_ns;   // in the log; -1: not known
    int64_t after_ns; // what the next one waits for from here, tools; -1: not known
} wf_round;

// What a log says of one. `before` and `own` are hashes: of what it follows and of what the next
// may follow; of a log with sessions both are the session. Times as in wf_round; think_ns >= 0 is
// the log's own word.
typedef struct wf_round_said {
    uint64_t before, own, origin, n_prefix;
    int64_t time_ns, end_ns, after_ns, think_ns;
} wf_round_said;

typedef struct wf_round_slot { // what may be followed, and its newest row + 1; 0: free
    uint64_t key, row;
} wf_round_slot;

// Starts as {0}; free it also after a failure.
typedef struct wf_rounds {
    wf_round *round; // [n] by row
    size_t n, capacity;
    wf_round_slot *slot; // [n_slots], a power of two
    size_t n_slots, n_sessions;
} wf_rounds;

// Row i_row is a round. Rows in between are none.
wf_status wf_rounds_add(wf_rounds *rounds, uint64_t i_row, const wf_round_said *said);

// The round of a row; NULL: it is none. Borrowed until the next is added.
const wf_round *wf_rounds_of(const wf_rounds *rounds, uint64_t row);

// A piece of a prompt, the last one first: positions [from, to) are the sequence of `row` from its
// first on, or, where row is WF_ROUND_NONE, that of `origin`.
typedef struct wf_round_piece {
    uint64_t row, origin;
    size_t from, to;
} wf_round_piece;

// The piece that ends at `to` of the prompt of `row`, and *row_next for what is before it. Call
// with to = the prompt's length first, then with piece.from, until that is 0.
wf_round_piece wf_rounds_piece(const wf_rounds *rounds, uint64_t row, size_t to,
                               uint64_t *row_next);

void wf_rounds_free(wf_rounds *rounds);

#endif
