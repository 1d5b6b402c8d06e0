// A request inside the engine: its prompt, what it has generated so far, and its books.
//
// One block of memory holds the request and its prompt from submission on; the output arrays are
// added when it is first scheduled, so that a long queue costs prompts only. All Local.
#ifndef WF_ENGINE_SEQUENCE_H
#define WF_ENGINE_SEQUENCE_H

#include "engine/beams.h"
#include "engine/engine.h"
#include "engine/stops.h"
#include "io/base/hash.h"

typedef struct wf_sequence wf_sequence;

struct wf_sequence {
    wf_engine_output out;      // first: what the engine hands out is the sequence itself
    int32_t n_limit;           // most tokens to generate
    wf_finish at_limit;        // why it ends there: length or context
    int32_t n_refs;            // steps in flight that name it
    int32_t n_logprobs;        // asked for; -1: none
    int32_t n_prompt_logprobs; // likewise, of prompt tokens
    bool ended, released;
    wf_row_sampling sampling;
    wf_wishes wishes; // its arrays lie behind the stops
    uint32_t n_stop;
    int32_t *stop;   // [n_stop] ids that end it, EOS included
    wf_stops *stops; // texts that end it, and how much of them its tokens are; NULL: none
    const wf_pieces *pieces;
    int32_t *prompt;           // [out.n_prompt]
    wf_hash128 *page_name;     // of the prompt's full pages (prefix.h); NULL: nothing is shared
    int32_t *draft;            // tokens proposed to come after the last; NULL: nobody proposes any
    int32_t *token;            // [n_limit] from here on NULL until wf_sequence_open()
    int64_t *time_ns;          // [n_limit]
    float *logprob;            // [n_limit], where asked for
    int32_t *top_id;           // [n_limit][n_logprobs]
    float *top_logprob;        // [n_limit][n_logprobs]
    float *prompt_logprob;     // [out.n_prompt], where asked for
    int32_t *prompt_top_id;    // [out.n_prompt][n_prompt_logprobs]
    float *prompt_top_logprob; // likewise
    float *vector;             // [out.n_vector], of a task that draws no token
    int32_t second;            // of wf_engine_input
    int32_t n_marks, mark;     // tokens of the prompt that one is drawn for: all `mark`; 0: none
    wf_beams *beams;           // the search it is beam i_beam of, shared by all of them; NULL: none
    int32_t i_beam;
    wf_sequence *next;  // in the list of finished ones
    wf_sequence **link; // what points at it in the list of all; NULL: in none
    wf_sequence *after; // in the list of all
};

// Copies an input; page_tokens > 0: names its full pages of so many tokens. Errors: WF_REQ_SAMPLING
// (more stop ids than min_tokens can mask), WF_NO_MEMORY.
wf_status wf_sequence_create(const wf_engine_input *input, const wf_arch *arch, int32_t max_context,
                             int32_t page_tokens, wf_sequence **out);
// How often `id` is among n ids. Pure.
int32_t wf_sequence_count(const int32_t *ids, uint32_t n, int32_t id);
void wf_sequence_destroy(wf_sequence *s); // leaves the list it is in

// Frees it if it was handed back and no step in flight names it.
void wf_sequence_free_unused(wf_sequence *s);

// Puts it at the head of the list of all that an engine has, wherever they are: waiting, in a row,
// in a step, finished or handed out.
void wf_sequence_enlist(wf_sequence *s, wf_sequence **all);

// Makes room for the output. WF_NO_MEMORY.
wf_status wf_sequence_open(wf_sequence *s);

// Takes its vector, or what its scores are made of, with which it is over.
void wf_sequence_become(wf_sequence *s, const float *vector, const wf_encode *how, int64_t time_ns);

// Whether it is one of those that end it.
bool wf_sequence_stops(const wf_sequence *s, int32_t token);

// Appends one token; returns whether the sequence is over with it (out.finish says why).
bool wf_sequence_append(wf_sequence *s, int32_t token, int64_t time_ns);

#endif
