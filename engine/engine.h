// The engine: requests in, tokens with times out, one fused step at a time, on one group of ranks.
//
//   first rank:    submit* -> step -> take* -> submit* -> step -> ...  -> stop
//   other ranks:   follow (runs the published plans until the first rank stops)
//
// The first rank plans; with a back end that runs behind the host it plans step k+1 while step k
// runs, so that the device never waits for a decision. Times are nanoseconds since the origin given
// to wf_engine_start(). One thread drives an engine.
//
// Collective over the group: create, start, step / follow, stop, destroy. Local: submit, take,
// release, the queries.
#ifndef WF_ENGINE_ENGINE_H
#define WF_ENGINE_ENGINE_H

#include "engine/batcher.h"
#include "engine/comm/comm.h"
#include "engine/executor.h"
#include "engine/graphs.h"
#include "engine/model.h"
#include "io/base/clock.h"
#include "io/results/result.h"
#include "io/shard/pieces.h"
#include "io/shard/request.h"

typedef struct wf_engine wf_engine;

typedef struct wf_engine_config {
    int32_t max_rows, step_tokens, page_tokens;
    int32_t max_context; // most tokens of a request, prompt and output; 0: the model's
    int32_t slot_tokens; // reorder copy: tokens of a slot; 0: max_context
    uint64_t kv_bytes;   // device memory for KV pages on this rank; the group takes the least
    wf_reorder reorder;
    wf_fusion fusion;
    int64_t window_ns;
    int32_t instances;
    int32_t steps_ahead;     // 0 or 1; -1: 1 where the back end runs behind the host
    int32_t n_top;           // most logprobs a request may ask for; -1: none may
    bool processed_logprobs; // of what tokens are drawn from; else of the logits as they come
    bool penalties;          // requests may use penalties
    int32_t
        row_wishes; // most words that a request's wishes take (wf_wishes_words); 0: none has any
    int32_t prompt_probs; // 1 + most logprobs of prompt tokens a request may ask for; 0: none
    int32_t n_beams;      // most beams a request may ask for; 0: none. They take n_top of
                          // wf_beams_candidates()
    bool expert_load;     // step records tell how many tokens each expert was chosen by
    wf_capture capture;
    wf_prefix_cache prefix_cache; // auto: on where the back end's bits do not depend on chunks
    int32_t look_ahead; // of so many that wait, who shares most joins first; 0: who waits longest
    bool deterministic; // results are the same bits for a group of 1, 2, 4 or 8 ranks
    const wf_clock *clock; // borrowed; NULL: the real one
} wf_engine_config;

// What a request wishes of single tokens: vLLM's logit_bias, allowed_token_ids and bad_words.
typedef struct wf_wishes {
    uint32_t n_bias, n_allowed, n_bad_words;
    const int32_t *bias_id;   // [n_bias] ascending
    const float *bias;        // [n_bias] added to the token's logit
    const int32_t *allowed;   // [n_allowed] ascending; none: all tokens may come
    const int32_t *bad_words; // [n_bad_words] ids of words that may not come, each ended by -1
} wf_wishes;

// A request for the engine. Everything is copied. `user` comes back with the output.
typedef struct wf_engine_input {
    uint64_t user;
    uint32_t n_prompt, max_new_tokens, n_stop;
    const int32_t *prompt, *stop;
    int32_t second; // of a pair of texts: where the second begins in the prompt; 0: one text
    uint32_t stop_string_bytes;
    const uint8_t *stop_string; // texts that end it, as a shard has them (io/shard/request.h)
    const wf_pieces *pieces;    // for these: what tokens are; not copied, until its output is taken
    const wf_sampling *sampling; // n counts with beams alone: else one input, one output
    wf_wishes wishes;
    uint64_t rng_key; // keys its random numbers; see wf_engine_rng_key()
    int64_t submitted_ns;
} wf_engine_input;

// A finished request. Owned by the engine until wf_engine_release().
typedef struct wf_engine_output {
    uint64_t user;
    wf_finish finish;
    uint32_t n_prompt, n_tokens;
    const int32_t *token;
    const int64_t *time_ns;   // [n_tokens] when the host had it
    const float *logprob;     // [n_tokens] or NULL
    uint32_t n_top;           // of the two arrays below
    const int32_t *top_id;    // [n_tokens][n_top] or NULL
    const float *top_logprob; // [n_tokens][n_top]
    uint32_t n_prompt_scored; // of the arrays below: n_prompt where they were asked for, else 0
    uint32_t n_prompt_top;
    const float *prompt_logprob;  // [n_prompt_scored], NaN the first, or NULL
    const int32_t *prompt_top_id; // [n_prompt_scored][n_prompt_top], -1 in the first, or NULL
    const float *prompt_top_logprob;
    uint32_t n_vector;
    const float *vector; // [n_vector], of a task that draws no token (encode.h): n_tokens is 0
                         // then, and *time_ns when the host had it. Else NULL
    int64_t submitted_ns, admitted_ns;
    uint32_t stop_string_bytes;
    const char *stop_string;    // [stop_string_bytes] that ended it; NULL: none
    uint32_t i_best, n_outputs; // with beams: which of the input's outputs this is, by score
    float score;                // with beams (beams.h)
    uint32_t n_cached;          // prompt tokens whose KV was there when it first joined the batch
    uint16_t preempted;         // times it was put back
} wf_engine_output;

typedef struct wf_engine_load {
    int64_t n_waiting;
    int32_t n_rows;
    int32_t kv_pages, kv_pages_total;
    int64_t n_tokens; // generated and delivered since the start
    int64_t n_cached; // prompt tokens of requests that joined, whose KV was there
    bool shares;      // prompts share pages
} wf_engine_load;

// be, model and comm are borrowed and must outlive the engine. Errors: WF_CONFIG (limits that
// contradict each other or do not fit the memory, with the numbers), WF_NO_MEMORY, WF_DEVICE.
wf_status wf_engine_create(wf_backend *be, const wf_model *model, wf_comm *comm,
                           const wf_engine_config *config, wf_engine **out);
void wf_engine_destroy(wf_engine *e); // takes NULL

// What an engine stands on that is given its executor. Borrowed.
typedef struct wf_engine_base {
    wf_executor *executor;
    const wf_arch *arch;
    wf_comm *comm;
    int32_t n_pages; // KV pages that the executor has
} wf_engine_base;

// An engine that plans for another's executor; config.kv_bytes does not count. Errors as above.
wf_status wf_engine_create_on(const wf_engine_base *base, const wf_engine_config *config,
                              wf_engine **out);

// Does once what would otherwise happen in the first steps: products are measured, steps captured
// (warmup.h). For steps as requests of `typical` sampling make them; others still pay. Nothing to
// do where steps are not padded. Before the start. Collective.
wf_status wf_engine_warm_up(wf_engine *e, const wf_sampling *typical);

// Most words that these take of a step's plan, 0: there are none. Pure.
int64_t wf_wishes_words(const wf_wishes *wishes);

// What an engine was created without cannot be asked for later. WF_REQ_SAMPLING. Pure.
wf_status wf_engine_check_sampling(const wf_engine_config *config, const wf_arch *arch,
                                   const wf_sampling *sampling);

// Whether a model takes two segments: one without types has nothing to tell them by, and takes all;
// one with a single type has no vector for the second. WF_REQ_LENGTH. Pure.
wf_status wf_engine_check_second(const wf_arch *arch, int32_t second);

// Beams are not ended by texts. WF_REQ_SAMPLING. Pure.
wf_status wf_engine_check_stop_strings(const wf_sampling *sampling, uint32_t stop_string_bytes);

// Whether a row of a task that fills masks has some, and no more than a step has rows.
// WF_REQ_EMPTY, WF_REQ_LENGTH. Pure.
wf_status wf_engine_check_marks(const wf_arch *arch, int32_t max_rows, const int32_t *prompt,
                                uint32_t n_prompt);

// How many of a prompt's tokens are computed: all, or, of a task that may cut it, what the context
// holds. WF_REQ_CONTEXT: it is too long. Pure.
wf_status wf_engine_fit_prompt(const wf_arch *arch, int32_t max_context, uint32_t *n_prompt);

// Whether a request of this sampling needs an engine that was made with `penalties`. Pure.
bool wf_engine_penalises(const wf_sampling *sampling);

// Sets time zero, in nanoseconds of wf_clock_ns().
void wf_engine_start(wf_engine *e, int64_t origin_ns);

// Queues a request. A WF_REQ_* status fails this request alone; its detail says why.
wf_status wf_engine_submit(wf_engine *e, const wf_engine_input *input);

// Plans and runs one step. `closed`: nothing more will be submitted. *out_ran says whether there
// was anything to compute; *record is filled in, and *out_recorded true, when a step was completed.
// Its arrays are borrowed until the next step.
wf_status wf_engine_step(wf_engine *e, bool closed, wf_step_record *record, bool *out_recorded,
                         bool *out_ran);

// The next finished request, NULL when there is none.
const wf_engine_output *wf_engine_take(wf_engine *e);
void wf_engine_release(wf_engine *e, const wf_engine_output *output);

// A request in the engine, as one who must leave looks at it.
typedef struct wf_engine_flight {
    uint64_t user;
    bool begun;             // it has been in the batch
    bool may_stop;          // an EOS, a stop token or a stop string may end it early
    uint32_t n_tokens;      // generated so far
    uint32_t n_left;        // that it may still generate
    uint32_t n_prompt_left; // prompt tokens still to be computed
} wf_engine_flight;

// Asks `over` of every request in the engine, and forgets those for which it says true: no output
// will come for them. First rank only. A few that are just being put back are not asked.
typedef bool (*wf_engine_over_fn)(void *context, const wf_engine_flight *flight);
void wf_engine_let_go(wf_engine *e, wf_engine_over_fn over, void *context);

// A row of the batch, as one who watches looks at it. A prompt that was put back begins anew and
// has what was generated at its end.
typedef struct wf_engine_row {
    uint64_t user;
    uint32_t n_prompt, n_prompt_done; // tokens
    uint32_t n_tokens, n_limit;       // generated so far, and at most
} wf_engine_row;

// Up to `most` rows of the batch, the first ones; returns how many. First rank only.
size_t wf_engine_rows(wf_engine *e, size_t most, wf_engine_row *rows);

// Runs what the first rank publishes; returns WF_OK when it stops. `entered` and `left` count the
// steps for whoever watches this rank; NULL: nobody does.
wf_status wf_engine_follow(wf_engine *e, _Atomic int64_t *entered, _Atomic int64_t *left);

// Tells the followers to return. First rank only.
wf_status wf_engine_stop(wf_engine *e);

int32_t wf_engine_n_graphs(const wf_engine *e); // steps captured so far
wf_engine_load wf_engine_get_load(const wf_engine *e);

// When an idle-looking engine may have work again without a new request; INT64_MAX: never.
int64_t wf_engine_wake_ns(const wf_engine *e);

// The key of a request's random numbers: independent of rank, batch and restart. Of a request that
// has no seed of its own, from the job's and its place; of one that has, from that alone: equal
// seeds and prompts give equal tokens, as in vLLM.
uint64_t wf_engine_rng_key(uint64_t job_seed, const char *shard_uid, uint64_t row, uint32_t sample);
uint64_t wf_engine_own_rng_key(uint64_t seed, uint32_t sample);

#endif
