// The fusion batcher: decides, step by step, which requests compute what.
//
//   submit -> [waiting queue] -> admission -> [rows 0..n_rows-1] -> last token -> gone
//                  ^                              |
//                  +------ put back (no pages) ---+
//
// A pure module: no tensor, no clock, no file, no rank. It is told the time, it returns a schedule.
// It plans one step ahead: step k+1 may be planned before the tokens of step k are known. So an end
// by length is known in advance, an end by EOS is learned from wf_batcher_commit() and the row's
// step in flight is then dropped by whoever delivers tokens; a row that was put back returns to the
// queue when its step in flight has been committed.
//
// A row for which tokens are proposed (n_draft) is the exception: how far it gets, only its step
// tells, so it is not planned while one is in flight. What it feeds beyond its last token is drawn
// again and counts as far as the proposal was right (speculative decoding, arXiv 2211.17192). A
// step draws at most max_rows tokens, proposed ones included: these are for small batches.
//
// A request with beams has a row for each, which are planned, put back and end together
// (batcher_beams.c): after a step wf_batcher_commit() hears which beam each goes on from, and until
// then none of them is planned.
//
// With a window a request holds no more pages than it takes to see it and to compute a chunk: it
// uses them in turn, and its chunks are no longer than the window.
//
// Source: Flover (arXiv 2305.13484) for fusing all live requests into one step and for the three
// ways of reordering; Orca (OSDI'22) for iteration-level scheduling; Sarathi-Serve (OSDI'24) for
// chunked prefill beside decode rows. All functions are Local.
#ifndef WF_ENGINE_BATCHER_H
#define WF_ENGINE_BATCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/kvpool.h"
#include "io/base/status.h"

typedef struct wf_batcher wf_batcher;

// How rows that left are filled (design: memory and reordering).
typedef enum wf_reorder { WF_REORDER_INDEX, WF_REORDER_COPY, WF_REORDER_OFF } wf_reorder;

// Who may join a batch, and when.
typedef enum wf_fusion {
    WF_FUSION_TEMPORAL,  // anybody, at any step
    WF_FUSION_WINDOW,    // dynamic batching: a batch closes after a window or when full
    WF_FUSION_INSTANCES, // batch-1 contexts in turn
    WF_FUSION_STATIC     // a full batch, nobody joins until its longest has ended
} wf_fusion;

// Whether prompts that begin alike share the KV of their common pages (prefix.h).
typedef enum wf_prefix_cache {
    WF_PREFIX_AUTO, // where results are the same bits with and without
    WF_PREFIX_ON,   // with reorder index
    WF_PREFIX_OFF
} wf_prefix_cache;

// Pages of the pool that hold the first tokens of a request's prompt already, or will when the
// steps planned so far have run: writes at most `most` of them, in order, and returns how many.
// They are held by somebody or idle (kvpool.h); the batcher takes a hold of its own before anything
// else happens. Asked when the request gets a seat, not when it is submitted (a queue that held
// pages could wait for itself for ever), and once more before its first chunk: what sat down with
// it may have been computed since.
// For a request with penalties the answer is none: its tokens are counted as they are fed (ops.h).
typedef int32_t (*wf_batcher_share_fn)(void *context, void *tag, int32_t most, int32_t *pages);

// Told as a chunk is planned that the request's pages [first, first + n) will be full of tokens of
// its prompt, and are written no more, once the step has run; `pages` are all that it holds.
typedef void (*wf_batcher_full_fn)(void *context, void *tag, int32_t first, int32_t n,
                                   const int32_t *pages);

typedef struct wf_batcher_config {
    int32_t max_rows;    // rows in one fused step
    int32_t step_tokens; // decode rows + prompt tokens per step; >= max_rows
    int32_t page_tokens;
    int32_t n_pages;    // KV pages; reorder copy: ignored
    int32_t slot_pages; // reorder copy: pages of each row's contiguous slot
    int32_t max_pages;  // most pages one request may hold (columns of the page table)
    wf_reorder reorder;
    wf_fusion fusion;
    int64_t window_ns; // fusion window
    int32_t instances; // fusion instances
    bool whole;        // a prompt is computed in one step; it must be no longer than one
    int32_t window;    // that a token sees of its request, in the layer that sees most; 0: all
    int32_t n_beams;   // most beams of a request; 0: none has any. With reorder index, and where
                       // pages are not used in turn
    int32_t n_draft;   // most tokens proposed for a row ahead of a step; 0: nobody proposes any
    wf_batcher_share_fn share; // NULL: requests share nothing; with reorder index alone
    wf_batcher_full_fn full;   // NULL: nobody wants to know; with `share`
    int32_t look_ahead;   // with `share`: of so many that wait, who shares most joins first; 0:
                          // whoever waits longest
    int32_t shared_pages; // with `share` or beams: most shared pages a step may name; >= max_pages
                          // of each beam
    void *share_context;
} wf_batcher_config;

// What the batcher needs to know of a request. `tag` is the caller's and comes back in schedules.
typedef struct wf_batcher_request {
    void *tag;
    int32_t n_prompt; // >= 1
    int32_t n_limit;  // most tokens to generate, >= 1; the context is already taken into account
    int64_t submitted_ns; // opens the window (fusion window)
    // It has so many beams, at least 2, each with a tag of its own that must last as long as the
    // request is here; tag is beams[0]. 0: none. It counts as over when its beams are, not at
    // n_limit, and begins anew when it is put back.
    int32_t n_beams;
    void *const *beams;
    int32_t n_marks; // tokens of its prompt that one is drawn for, at most max_rows, all of them in
                     // the step that has them (`whole`); 0: one behind its last
} wf_batcher_request;

typedef enum wf_seq_kind {
    WF_SEQ_CHUNK,  // tokens of the prompt
    WF_SEQ_DECODE, // one generated token
    WF_SEQ_VERIFY  // the last generated token and some that were proposed to come after it
} wf_seq_kind;

// One sequence of a step: `n_new` tokens from position `n_past` of the request's tokens.
typedef struct wf_seq {
    void *tag;
    wf_seq_kind kind;
    int32_t row; // row slot after this step's moves
    int32_t n_past, n_new;
    int32_t n_samples; // tokens are drawn after its last n_samples positions
    int32_t seat;      // private to the batcher, as is `stay`
    uint32_t stay;
    bool known;   // generated token: known to the host (replay after a put-back; to be verified)
    bool join;    // the row is new: row arrays must be set
    bool discard; // finished row that is still computed (reorder off); nobody gets its token
} wf_seq;

// What became of a sequence that was sampled.
typedef struct wf_gain {
    int32_t n_tokens; // that its request gained: 1, or of a VERIFY up to n_samples
    bool over;        // EOS, a stop token, its limit, or cancelled
    int32_t from;     // of a beam: the one whose tokens it goes on with; n_tokens is 0
} wf_gain;

// A step. Arrays belong to the schedule and are overwritten by the next wf_batcher_plan() on it.
typedef struct wf_schedule {
    wf_seq *seqs; // first those of kind DECODE
    int32_t n_seqs, n_decode, n_tokens, n_samples, n_joins, n_prompt_tokens, n_discarded;
    int32_t max_new, max_context;
    int32_t *move_from, *move_to; // row moves, applied before anything else
    int32_t n_moves;
    int32_t *copy_from, *copy_to; // reorder copy, beams: whole KV pages, same moment
    int32_t n_copies;
    int32_t *page_row, *page_col, *page; // page-table entries to set
    int32_t n_pages;
    void **put_back; // tags put back by this plan
    int32_t n_put_back;
    int32_t n_rows, kv_pages; // rows and pages in use during the step
    int32_t n_shared;         // of the page-table entries, those of pages that were computed before
} wf_schedule;

// Pages that a request holds at most, however long it is.
int32_t wf_batcher_most_pages(const wf_batcher_config *config);

// Errors: WF_CONFIG (limits that contradict each other), WF_NO_MEMORY. Caller owns *out.
wf_status wf_batcher_create(const wf_batcher_config *config, wf_batcher **out);
void wf_batcher_destroy(wf_batcher *b); // takes NULL

// A schedule with room for every plan of this batcher. Caller owns *out.
wf_status wf_schedule_create(const wf_batcher *b, wf_schedule **out);
void wf_schedule_destroy(wf_schedule *s); // takes NULL

// The KV pages that one request may hold: of the pool, or of its slot.
typedef struct wf_batcher_room {
    int32_t page_tokens, n_pages;
    int32_t max_pages;  // columns of the page table
    int32_t most_pages; // that it holds at once, where windows give pages back; 0: all of its own
    bool in_slots;
} wf_batcher_room;

// Pages of a request at its end: the last token generated is never fed, so it needs no place.
int32_t wf_batcher_pages_at_end(int32_t page_tokens, int64_t n_prompt, int64_t n_limit);

// WF_REQ_MEMORY, with the numbers, where a request can never fit, alone either. Pure.
wf_status wf_batcher_fits(const wf_batcher_room *room, int32_t n_prompt, int32_t n_limit);

// Puts a request at the end of the queue. WF_REQ_MEMORY when it could never fit, with the numbers;
// WF_NO_MEMORY when the queue cannot grow. O(1).
wf_status wf_batcher_submit(wf_batcher *b, const wf_batcher_request *request);

// The pool that pages come from, for who answers `share`. Borrowed.
wf_kvpool *wf_batcher_pool(wf_batcher *b);

// Plans the next step into *s; s->n_seqs == 0 means there is nothing to compute now. `closed` says
// that no request will be submitted any more (a static batch need not wait to be full).
void wf_batcher_plan(wf_batcher *b, int64_t now_ns, bool closed, wf_schedule *s);

// Tells what came of a planned step, in the order the steps were planned: gains[i] of the i-th
// sampled sequence (those with n_samples > 0, in order).
void wf_batcher_commit(wf_batcher *b, const wf_schedule *s, const wf_gain *gains);

// Lets requests go before their end: asks `over` of every one that waits or sits in the batch, with
// the prompt tokens that are still to be computed. A row leaves at the next plan; what a step in
// flight computes for it is nobody's. Not asked are those whose step in flight must end first
// (they were put back) and, with reorder off, rows that have computed nothing; ask again later.
typedef bool (*wf_batcher_over_fn)(void *context, void *tag, int32_t n_prompt_left);
void wf_batcher_let_go(wf_batcher *b, wf_batcher_over_fn over, void *context);

// Tells of up to `most` rows of the batch, the first ones: what was submitted, and how many of its
// prompt's tokens are in the KV cache when all planned steps are done.
typedef void (*wf_batcher_show_fn)(void *context, void *tag, int32_t n_prompt, int32_t n_past);
void wf_batcher_show(wf_batcher *b, int32_t most, wf_batcher_show_fn show, void *context);

// Requests waiting: all that no step has named since they were submitted or put back, with a seat
// or without; and the other rows in use.
int64_t wf_batcher_n_waiting(const wf_batcher *b);
int32_t wf_batcher_n_rows(const wf_batcher *b);

// When an empty plan may become a full one without a new request (a window closes); INT64_MAX:
// never.
int64_t wf_batcher_wake_ns(const wf_batcher *b);

#endif
