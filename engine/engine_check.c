// What a request may ask of an engine, before one is there (engine.h). Pure.
#include "engine/beam_sequences.h"
#include "engine/engine.h"
#include "engine/sequence.h"

wf_status wf_engine_check_sampling(const wf_engine_config *c, const wf_arch *arch,
                                   const wf_sampling *p)
{
    if (arch->encode.task != WF_TASK_GENERATE) return WF_OK; // nothing is drawn
    if (p->prompt_logprobs >= 0 && p->beam_width > 1)
        return wf_fail(WF_REQ_SAMPLING, "prompt_logprobs: not with beam_width %u", p->beam_width);
    if (p->beam_width > 1) return wf_beams_check_sampling(c, p);
    if (p->prompt_logprobs > arch->n_vocab)
        return wf_fail(WF_REQ_SAMPLING, "prompt_logprobs %d: the model has %d tokens",
                       p->prompt_logprobs, arch->n_vocab);
    if (p->prompt_logprobs >= c->prompt_probs)
        return wf_fail(WF_REQ_SAMPLING, "prompt_logprobs %d: this engine keeps at most %d",
                       p->prompt_logprobs, c->prompt_probs - 1);
    if (p->best_of > 0 && p->best_of < p->n)
        return wf_fail(WF_REQ_SAMPLING, "best_of %u: fewer than the %u (n) to be kept of them",
                       p->best_of, p->n);
    if (wf_sampling_chooses(p) && !(p->temperature > 0.0f))
        return wf_fail(
            WF_REQ_SAMPLING,
            "best_of %u: with temperature 0 all samples are the same; give a temperature",
            p->best_of);
    if (p->logprobs > arch->n_vocab)
        return wf_fail(WF_REQ_SAMPLING, "logprobs %d: the model has %d tokens", p->logprobs,
                       arch->n_vocab);
    if (p->logprobs > c->n_top)
        return wf_fail(WF_REQ_SAMPLING, "logprobs %d: this engine keeps at most %d", p->logprobs,
                       c->n_top);
    if (wf_engine_penalises(p) && !c->penalties)
        return wf_fail(WF_REQ_SAMPLING, "penalties: this engine keeps no token counts");
    return WF_OK;
}

wf_status wf_engine_check_second(const wf_arch *arch, int32_t second)
{
    if (second == 0 || arch->n_types != 1) return WF_OK;
    return wf_fail(WF_REQ_LENGTH,
                   "a second segment, and the model's token types are of one alone: give the texts "
                   "in one, as its tokenizer joins them");
}

wf_status wf_engine_check_stop_strings(const wf_sampling *p, uint32_t stop_string_bytes)
{
    if (p->beam_width < 2 || stop_string_bytes == 0) return WF_OK;
    return wf_fail(WF_REQ_SAMPLING,
                   "beam_width %u: not with stop strings (stop); stop_token_ids take token ids",
                   p->beam_width);
}

wf_status wf_engine_check_marks(const wf_arch *arch, int32_t max_rows, const int32_t *prompt,
                                uint32_t n_prompt)
{
    if (arch->encode.task != WF_TASK_FILL_MASK) return WF_OK;
    int32_t n = wf_sequence_count(prompt, n_prompt, arch->encode.mask);
    if (n == 0)
        return wf_fail(WF_REQ_EMPTY, "has no mask (token %d): there is nothing to fill",
                       arch->encode.mask);
    if (n > max_rows)
        return wf_fail(WF_REQ_LENGTH,
                       "%d masks, and a step fills %d at most: raise engine.max_rows", n, max_rows);
    return WF_OK;
}

wf_status wf_engine_fit_prompt(const wf_arch *arch, int32_t max_context, uint32_t *n_prompt)
{
    bool generates = arch->encode.task == WF_TASK_GENERATE;
    int64_t most = max_context - generates;
    if (*n_prompt <= most) return WF_OK;
    if (arch->encode.truncate) {
        *n_prompt = (uint32_t)most;
        return WF_OK;
    }
    if (generates)
        return wf_fail(
            WF_REQ_CONTEXT,
            "prompt of %u tokens leaves no room in the context of %d; shorten it or raise "
            "engine.max_context",
            *n_prompt, max_context);
    return wf_fail(WF_REQ_CONTEXT,
                   "row of %u tokens: the model takes %d; shorten it, or set embed.truncate: true",
                   *n_prompt, max_context);
}
