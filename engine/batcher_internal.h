// What the batcher's rooms share. Private to the batcher.
//
//   batcher.c          life cycle, submission, the order of one plan, what came of a step, queries
//   batcher_policy.c   who may join (fusion), what becomes of rows that ended (reorder)
//   batcher_pages.c    KV pages of a seat: from the pool, or a slot of its own
//   batcher_share.c    pages that other prompts begin with as well
//   batcher_beams.c    seats that go on together
//   batcher_rows.c     seats and rows: admission, leaving, putting back, filling holes
//   batcher_seqs.c     the sequences of a step
//   schedule.c         the arrays of a step
//
// A request in the batch sits on a *seat*, fixed while it stays, and is computed in a *row*, which
// reordering changes. Its *pages* belong to the seat, so a row move is O(1) here:
//
//   queue        row_seat        seats                                  pool
//   +---+---+    row 0 -> 2      0  active  A  stay 3  row 2  pages 7 4   4, 7   held by A
//   | H | G |    row 1 -> 1      1  active  F  stay 1  row 1  pages 9     9      held by F
//   +---+---+    row 2 -> 0      2  active  B  stay 5  row 0  pages 2 5   2, 5   held by B
//     |          row 3 -> -1     3  free       stay 4                     1, 3, 6, 8  free
//     v          (a hole)                  |
//   admission                              v  E was put back
//                                limbo:  E  seat 3  stay 4  1 step in flight
//
// A request that is put back while a step of its is in flight waits in *limbo* before it returns
// to the queue: only that step's commit says how far it got. `stay` counts who sat on a seat, so
// that the commit of E's step is not taken for that of whoever sits there by then. A seat goes
//
//   free -> active -> closing -> free     closing: its last token is planned or known
//                        |
//                        +-> dead -> free where rows stay until all have ended
#ifndef WF_ENGINE_BATCHER_INTERNAL_H
#define WF_ENGINE_BATCHER_INTERNAL_H

#include <stdalign.h>
#include <stddef.h>

#include "engine/batcher.h"
#include "engine/waitqueue.h"

typedef enum wf_seat_state {
    WF_SEAT_FREE,
    WF_SEAT_ACTIVE,
    WF_SEAT_CLOSING, // its last token is planned or known; leaves at the next plan
    WF_SEAT_DEAD     // finished, still computed
} wf_seat_state;

// What every decode step touches comes first and fits one cache line, up to request.n_limit.
typedef struct wf_seat {
    alignas(64) wf_seat_state state;
    uint32_t stay; // counts the requests that sat here, so that late commits are told apart
    int32_t row;
    int32_t n_past;   // tokens in the KV cache when all planned steps are done
    int32_t n_gen;    // tokens generated when all planned steps are done
    int32_t n_replay; // of those, known to the host (it had been put back, or was verified)
    int32_t n_flight; // sampled sequences planned and not committed
    int32_t n_pages;  // pages held
    int32_t n_set;    // page-table columns set on the device
    bool joined;      // a sequence of its has been planned
    bool verifying;   // its step in flight tells how far it is; nothing is planned until then
    wf_waiting request;
    int32_t n_shared; // of its pages, the first ones: computed before, by another
    int64_t order;    // age: smaller joined earlier
    int32_t *pages;   // [max_pages]
    // Of a request with beams:
    bool beams, chosen;        // leader: a step is committed, its beams do not go on yet
    bool copies, inherited;    // while they are regrouped
    int32_t leader, next_beam; // seats; -1: the last
    int32_t i_beam, from;      // from: the beam that it goes on from
} wf_seat;

typedef struct wf_limbo { // put back, its step still in flight
    wf_waiting request;
    int32_t i_seat, n_flight;
    uint32_t stay;
} wf_limbo;

// Who may join a batch, and when.
typedef struct wf_fusion_policy {
    bool (*may_join)(const wf_batcher *b, int64_t now_ns, bool closed);
    bool one_row; // a step computes one row
} wf_fusion_policy;

// Where a seat's KV lies.
typedef struct wf_page_policy {
    bool copies;                                      // a row that moves is copied
    int32_t (*most)(const wf_batcher *b);             // pages one request may hold
    bool (*has)(const wf_batcher *b, int32_t n);      // n for one who joins
    bool (*take)(wf_batcher *b, wf_seat *s);          // one more; false: none is left
    void (*release)(wf_batcher *b, const wf_seat *s); // all of them
    // Names the columns of the page table up to n_tokens.
    void (*set)(wf_batcher *b, wf_seat *s, int32_t n_tokens, wf_schedule *out);
    // Takes the KV along as its row moves.
    void (*move)(wf_batcher *b, const wf_seat *s, int32_t from, int32_t to, wf_schedule *out);
    int32_t (*used)(const wf_batcher *b);
} wf_page_policy;

// What becomes of rows that ended.
typedef struct wf_reorder_policy {
    const wf_page_policy *pages;
    bool evicts; // they leave, and their holes are filled; else they stay until all have ended
} wf_reorder_policy;

struct wf_batcher {
    wf_batcher_config cfg;
    const wf_fusion_policy *fusion;
    const wf_reorder_policy *reorder;
    wf_waitqueue *queue;
    wf_kvpool *pool;
    wf_seat *seats;      // [max_rows]
    int32_t *page_block; // [max_rows][max_pages]
    int32_t *found;      // [max_pages] what `share` answered last
    int32_t *regrouped;  // [n_beams][max_pages] of beams that go on from others
    int32_t *free_seats; // [max_rows], n_free_seats valid
    int32_t n_free_seats;
    int32_t *row_seat; // [max_rows] seat of each row, -1: hole
    int32_t n_rows, n_live;
    int32_t *prefill; // [max_rows] seats with prompt left, oldest first
    int32_t n_prefill;
    int32_t *verify; // [max_rows] seats to verify in the step that is planned
    int32_t n_verify;
    int32_t *closing; // [max_rows] seats that leave at the next plan
    int32_t n_closing, n_dead;
    wf_limbo *limbo; // [max_rows]
    int32_t n_limbo;
    int32_t
        most_pages; // that a seat holds; it uses them in turn where they are fewer than max_pages
    int32_t turn;   // fusion instances: row that runs next
    int64_t next_order;
};

static inline int32_t wf_batcher_pages_for(const wf_batcher *b, int64_t n_tokens)
{
    return (int32_t)((n_tokens + b->cfg.page_tokens - 1) / b->cfg.page_tokens);
}

// A seat whose context goes on beyond its pages: page c is that of column c + most_pages, too.
static inline bool wf_batcher_in_turn(const wf_batcher *b)
{
    return b->most_pages < b->cfg.max_pages;
}

// The pages that a request holds at n_tokens.
static inline int32_t wf_batcher_pages_held(const wf_batcher *b, int64_t n_tokens)
{
    int32_t n = wf_batcher_pages_for(b, n_tokens);
    return wf_batcher_in_turn(b) && n > b->most_pages ? b->most_pages : n;
}

static inline int32_t wf_batcher_seat_index(const wf_batcher *b, const wf_seat *s)
{
    return (int32_t)(s - b->seats);
}

// The seat of a row; NULL: a hole.
static inline wf_seat *wf_batcher_seat_of(const wf_batcher *b, int32_t row)
{
    return b->row_seat[row] >= 0 ? &b->seats[b->row_seat[row]] : NULL;
}

static inline bool wf_seat_decodes(const wf_seat *s)
{
    return s->state == WF_SEAT_ACTIVE && s->n_past >= s->request.n_prompt;
}

// ---- batcher_policy.c ---------------------------------------------------------------------------

const wf_fusion_policy *wf_fusion_policy_of(wf_fusion fusion);
const wf_reorder_policy *wf_reorder_policy_of(wf_reorder reorder);

// ---- batcher_pages.c ----------------------------------------------------------------------------

extern const wf_page_policy wf_pages_pooled, wf_pages_in_slots;

// ---- batcher_share.c ----------------------------------------------------------------------------

// Finds and holds pages with w's first tokens, in b->found; returns how many. The other drops them.
int32_t wf_batcher_hold_shared(wf_batcher *b, const wf_waiting *w);
void wf_batcher_drop_shared(wf_batcher *b, int32_t n);

// The place in the queue of the one that is to join next.
int64_t wf_batcher_next_of_queue(wf_batcher *b);

// Before its first chunk: looks again, and takes what was computed since in place of pages of its
// own.
void wf_batcher_share_more(wf_batcher *b, wf_seat *s);

// Its prompt is planned from n_past to s->n_past: tells whoever wants to know which pages that
// fills.
void wf_batcher_tell_full(wf_batcher *b, const wf_seat *s, int32_t n_past);

// ---- batcher_beams.c ----------------------------------------------------------------------------

wf_seat *wf_batcher_leader(wf_batcher *b, wf_seat *s);          // itself, where it has no beams
wf_seat *wf_batcher_next_beam(wf_batcher *b, const wf_seat *s); // NULL: the last

// Gives the leader's other beams their seats and rows.
void wf_batcher_seat_beams(wf_batcher *b, wf_seat *leader);
void wf_batcher_commit_beam(wf_batcher *b, wf_seat *s, wf_gain gain);

// Lets the beams of committed steps go on, each from where it was chosen to.
void wf_batcher_regroup(wf_batcher *b, wf_schedule *out);
void wf_batcher_forget_copies(const wf_seat *s, wf_schedule *out);

// ---- batcher_rows.c -----------------------------------------------------------------------------

// Rows that ended since the last plan leave, if the policy lets them.
void wf_batcher_remove_ended(wf_batcher *b);

// Pages for the next tokens of the rows [first, last) that decode; the youngest rows are put back
// when there are none left.
void wf_batcher_reserve_pages(wf_batcher *b, int32_t first, int32_t last, wf_schedule *out);

// Moves rows from the tail into the holes: as few moves as there are holes below the new end.
void wf_batcher_fill_holes(wf_batcher *b, wf_schedule *out);

void wf_batcher_admit(wf_batcher *b, int64_t now_ns, bool closed);
void wf_batcher_close_seat(wf_batcher *b, wf_seat *s);
void wf_batcher_put_back_youngest(wf_batcher *b, wf_schedule *out);
void wf_batcher_forget_prefill(wf_batcher *b, int32_t i_seat);

// ---- batcher_seqs.c -----------------------------------------------------------------------------

// The sequences of the step: of all rows; of one.
void wf_batcher_emit_all(wf_batcher *b, wf_schedule *out);
void wf_batcher_emit_one(wf_batcher *b, int32_t row, wf_schedule *out);

#endif
