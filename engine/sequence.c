// A request inside the engine.
#include "engine/sequence.h"

#include "engine/prefix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void copy_stops(wf_sequence *s, const wf_engine_input *in, const wf_arch *arch)
{
    int32_t n_eos = in->sampling->ignore_eos ? 0 : arch->n_eos;
    memcpy(s->stop, arch->eos, (size_t)n_eos * sizeof *s->stop);
    if (in->n_stop > 0) memcpy(s->stop + n_eos, in->stop, in->n_stop * sizeof *s->stop);
    s->n_stop = (uint32_t)n_eos + in->n_stop;
}

static void *copy_behind(int32_t **at, const void *from, uint32_t n)
{
    void *to = *at;
    if (n > 0) memcpy(to, from, (size_t)n * sizeof **at);
    *at += n;
    return to;
}

static void copy_wishes(wf_sequence *s, const wf_wishes *w, int32_t *at)
{
    s->wishes = *w;
    s->wishes.bias_id = copy_behind(&at, w->bias_id, w->n_bias);
    s->wishes.bias = copy_behind(&at, w->bias, w->n_bias);
    s->wishes.allowed = copy_behind(&at, w->allowed, w->n_allowed);
    s->wishes.bad_words = copy_behind(&at, w->bad_words, w->n_bad_words);
}

static wf_status set_sampling(wf_sequence *s, const wf_engine_input *in)
{
    const wf_sampling *p = in->sampling;
    s->n_logprobs = p->logprobs;
    s->n_prompt_logprobs = p->prompt_logprobs;
    s->sampling = (wf_row_sampling){.rng_key = in->rng_key,
                                    .temperature = p->temperature,
                                    .top_p = p->top_p,
                                    .min_p = p->min_p,
                                    .top_k = p->top_k,
                                    .repetition_penalty = p->repetition_penalty,
                                    .presence_penalty = p->presence_penalty,
                                    .frequency_penalty = p->frequency_penalty,
                                    .prompt_len = (int32_t)in->n_prompt,
                                    .min_tokens = (int32_t)p->min_tokens};
    if (p->min_tokens == 0) return WF_OK;
    if (s->n_stop > WF_MAX_MASKED_STOPS)
        return wf_fail(
            WF_REQ_SAMPLING,
            "min_tokens can hold back at most %d stop tokens, EOS included; there are %u",
            WF_MAX_MASKED_STOPS, s->n_stop);
    s->sampling.n_stop_ids = (int32_t)s->n_stop;
    memcpy(s->sampling.stop_ids, s->stop, s->n_stop * sizeof *s->stop);
    return WF_OK;
}

static wf_status set_stops(wf_sequence *s, const wf_engine_input *in)
{
    s->pieces = in->pieces;
    if (in->stop_string_bytes == 0) return WF_OK;
    return wf_stops_create(in->stop_string, in->stop_string_bytes, &s->stops);
}

// The likeliest tokens of masks are those of greedy rows, whatever a row or its job says.
static wf_status set_filling(wf_sequence *s, const wf_engine_input *in, int32_t n_top)
{
    wf_engine_input greedy = *in;
    wf_sampling plain = wf_sampling_default();
    plain.logprobs = n_top;
    greedy.sampling = &plain;
    return set_sampling(s, &greedy);
}

int32_t wf_sequence_count(const int32_t *ids, uint32_t n, int32_t id)
{
    int32_t found = 0;
    for (uint32_t i = 0; i < n; i++)
        found += ids[i] == id;
    return found;
}

static void mark(wf_sequence *s, int32_t id)
{
    s->mark = id;
    s->n_marks = s->n_limit = wf_sequence_count(s->prompt, s->out.n_prompt, id);
    s->at_limit = WF_FINISH_MASKS;
}

wf_status wf_sequence_create(const wf_engine_input *in, const wf_arch *arch, int32_t max_context,
                             int32_t page_tokens, wf_sequence **out)
{
    *out = NULL;
    const wf_wishes *w = &in->wishes;
    size_t n_ids = (size_t)in->n_prompt + in->n_stop + WF_ARCH_MAX_EOS + 2 * (size_t)w->n_bias +
                   w->n_allowed + w->n_bad_words;
    size_t n_pages = page_tokens > 0 ? in->n_prompt / (size_t)page_tokens : 0;
    wf_sequence *s = calloc(1, sizeof *s + n_pages * sizeof(wf_hash128) + n_ids * sizeof(int32_t));
    if (!s)
        return wf_fail(WF_NO_MEMORY, "engine: no memory for a prompt of %u tokens", in->n_prompt);
    if (page_tokens > 0) s->page_name = (wf_hash128 *)(s + 1);
    s->prompt = (int32_t *)((wf_hash128 *)(s + 1) + n_pages);
    s->stop = s->prompt + in->n_prompt;
    memcpy(s->prompt, in->prompt, in->n_prompt * sizeof *s->prompt);
    if (page_tokens > 0) wf_prefix_names(s->prompt, (int32_t)n_pages, page_tokens, s->page_name);
    int64_t room = (int64_t)max_context - in->n_prompt;
    bool by_context = room < (int64_t)in->max_new_tokens;
    s->n_limit = (int32_t)(by_context ? room : (int64_t)in->max_new_tokens);
    s->at_limit = by_context ? WF_FINISH_CONTEXT : WF_FINISH_LENGTH;
    if (arch->encode.task != WF_TASK_GENERATE) s->n_limit = 1; // its vector takes no room
    s->out = (wf_engine_output){.user = in->user,
                                .n_prompt = in->n_prompt,
                                .n_vector = (uint32_t)arch->encode.width,
                                .submitted_ns = in->submitted_ns,
                                .admitted_ns = -1};
    s->second = in->second;
    if (arch->encode.task == WF_TASK_FILL_MASK) mark(s, arch->encode.mask);
    copy_stops(s, in, arch);
    if (s->n_marks > 0) s->n_stop = 0; // whatever stands in a mask's place ends nothing
    copy_wishes(s, w, s->stop + s->n_stop);
    wf_status st = s->n_marks > 0 ? set_filling(s, in, arch->encode.n_top) : set_sampling(s, in);
    if (st == WF_OK && s->n_marks == 0) st = set_stops(s, in);
    if (st == WF_OK)
        *out = s;
    else
        free(s);
    return st;
}

void wf_sequence_enlist(wf_sequence *s, wf_sequence **all)
{
    s->after = *all;
    s->link = all;
    if (s->after) s->after->link = &s->after;
    *all = s;
}

void wf_sequence_destroy(wf_sequence *s)
{
    if (!s) return;
    if (s->link) *s->link = s->after;
    if (s->link && s->after) s->after->link = s->link;
    if (s->beams && --s->beams->n_owners == 0) wf_beams_destroy(s->beams);
    wf_stops_destroy(s->stops);
    free(s->prompt_logprob);
    free(s->token);
    free(s);
}

void wf_sequence_free_unused(wf_sequence *s)
{
    if (s->released && s->n_refs == 0) wf_sequence_destroy(s);
}

// Nothing is known of the first token of a prompt.
static wf_status open_prompt(wf_sequence *s)
{
    size_t n = s->out.n_prompt, top = s->n_prompt_logprobs > 0 ? (size_t)s->n_prompt_logprobs : 0;
    if (s->n_prompt_logprobs < 0) return WF_OK;
    float *block = malloc(n * (1 + 2 * top) * sizeof *block);
    if (!block) return wf_fail(WF_NO_MEMORY, "engine: no memory for scores of %zu tokens", n);
    s->prompt_logprob = block;
    block[0] = NAN;
    s->prompt_top_logprob = block + n;
    s->prompt_top_id = (int32_t *)(void *)(block + n * (1 + top));
    for (size_t i = 0; i < top; i++) {
        s->prompt_top_id[i] = -1;
        s->prompt_top_logprob[i] = NAN;
    }
    s->out.n_prompt_scored = s->out.n_prompt;
    s->out.n_prompt_top = (uint32_t)top;
    s->out.prompt_logprob = s->prompt_logprob;
    s->out.prompt_top_id = top > 0 ? s->prompt_top_id : NULL;
    s->out.prompt_top_logprob = top > 0 ? s->prompt_top_logprob : NULL;
    return WF_OK;
}

wf_status wf_sequence_open(wf_sequence *s)
{
    if (s->token) return WF_OK;
    if (!s->prompt_logprob) WF_TRY(open_prompt(s));
    // Beams keep their own; what is fed to them is here.
    int32_t n_logprobs = s->beams ? -1 : s->n_logprobs;
    size_t n = (size_t)s->n_limit, n_top = n_logprobs > 0 ? (size_t)n_logprobs : 0;
    size_t tokens = (n * sizeof(int32_t) + 7) & ~(size_t)7;
    size_t logprobs = n_logprobs >= 0 ? n * sizeof(float) : 0, tops = n * n_top * 4;
    size_t vector = s->out.n_vector * sizeof(float);
    char *block = malloc(tokens + n * sizeof(int64_t) + logprobs + 2 * tops + vector);
    if (!block) return wf_fail(WF_NO_MEMORY, "engine: no memory for %zu output tokens", n);
    s->token = (int32_t *)block;
    s->time_ns = (int64_t *)(block + tokens);
    char *at = (char *)(s->time_ns + n);
    if (logprobs > 0) s->logprob = (float *)at;
    if (tops > 0) {
        s->top_id = (int32_t *)(at + logprobs);
        s->top_logprob = (float *)(at + logprobs + tops);
    }
    if (vector > 0) s->vector = (float *)(at + logprobs + 2 * tops);
    s->out.vector = s->vector;
    s->out.token = s->token;
    s->out.time_ns = s->time_ns;
    s->out.logprob = s->logprob;
    s->out.n_top = (uint32_t)n_top;
    s->out.top_id = s->top_id;
    s->out.top_logprob = s->top_logprob;
    return WF_OK;
}

bool wf_sequence_stops(const wf_sequence *s, int32_t token)
{
    for (uint32_t i = 0; i < s->n_stop; i++)
        if (s->stop[i] == token) return true;
    return false;
}

void wf_sequence_become(wf_sequence *s, const float *vector, const wf_encode *how, int64_t time_ns)
{
    memcpy(s->vector, vector, s->out.n_vector * sizeof *vector);
    wf_encode_activate(how, s->vector);
    s->time_ns[0] = time_ns;
    s->out.finish = wf_task_scores(how->task) ? WF_FINISH_SCORES : WF_FINISH_VECTOR;
}

// A text that was complete before min_tokens does not count, as in vLLM.
static bool completes_a_stop(wf_sequence *s, int32_t token)
{
    size_t n = 0;
    if (!s->stops) return false;
    const uint8_t *piece = wf_pieces_of(s->pieces, token, &n);
    int32_t i = wf_stops_take(s->stops, piece, n);
    if (i < 0 || (int64_t)s->out.n_tokens <= s->sampling.min_tokens) return false;
    s->out.stop_string = wf_stops_text(s->stops, i, &s->out.stop_string_bytes);
    return true;
}

bool wf_sequence_append(wf_sequence *s, int32_t token, int64_t time_ns)
{
    s->token[s->out.n_tokens] = token;
    s->time_ns[s->out.n_tokens++] = time_ns;
    if (wf_sequence_stops(s, token) || completes_a_stop(s, token))
        s->out.finish = WF_FINISH_STOP;
    else if (s->out.n_tokens == (uint32_t)s->n_limit)
        s->out.finish = s->at_limit;
    return s->out.finish != WF_FINISH_NONE;
}
