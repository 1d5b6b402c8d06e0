// See beam_sequences.h.
#include "engine/beam_sequences.h"

// ---- what is asked ----

wf_status wf_beams_check_sampling(const wf_engine_config *c, const wf_sampling *p)
{
    const struct {
        const char *name;
        bool bad;
    } with[] = {{"temperature above 0 (set it to 0: beams are not sampled)", p->temperature > 0.0f},
                {"repetition, presence and frequency penalties", wf_engine_penalises(p)},
                {"min_tokens", p->min_tokens > 0},
                {"best_of", p->best_of > 0},
                {"logprobs above 0", p->logprobs > 0}};
    int32_t width = (int32_t)p->beam_width;
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        if (with[i].bad)
            return wf_fail(WF_REQ_SAMPLING, "beam_width %d: not with %s", width, with[i].name);
    if (p->n > p->beam_width)
        return wf_fail(WF_REQ_SAMPLING, "beam_width %d: fewer beams than the %u outputs (n)", width,
                       p->n);
    if (width > c->max_rows)
        return wf_fail(WF_REQ_SAMPLING,
                       "beam_width %d: every beam needs a row, engine.max_rows is %d", width,
                       c->max_rows);
    if (width > c->n_beams)
        return wf_fail(WF_REQ_SAMPLING, "beam_width %d: this engine searches with at most %d beams",
                       width, c->n_beams);
    return WF_OK;
}

wf_status wf_beams_check_stops(const wf_engine_config *config, const wf_arch *arch,
                               const wf_engine_input *input)
{
    uint32_t n_eos = input->sampling->ignore_eos ? 0 : (uint32_t)arch->n_eos;
    uint32_t n_stop = n_eos + input->n_stop;
    int32_t n = wf_beams_candidates((int32_t)input->sampling->beam_width, n_stop);
    if (n_stop > WF_BEAMS_MOST_STOPS)
        return wf_fail(WF_REQ_SAMPLING,
                       "beam_width: with at most %d stop tokens, EOS included; "
                       "there are %u",
                       WF_BEAMS_MOST_STOPS, n_stop);
    if (n > arch->n_vocab || n > config->n_top)
        return wf_fail(
            WF_REQ_SAMPLING,
            "beam_width %u: with %u stop tokens it takes the %d most probable tokens, of "
            "%d there are and %d this engine keeps",
            input->sampling->beam_width, n_stop, n, arch->n_vocab, config->n_top);
    return WF_OK;
}

// ---- sequences ----

static wf_status make_search(const wf_sequence *first, const wf_sampling *p, wf_beams **out)
{
    return wf_beams_create(&(wf_beams_config){.width = (int32_t)p->beam_width,
                                              .n_limit = first->n_limit,
                                              .length_penalty = p->length_penalty,
                                              .early = (wf_early_stopping)p->early_stopping,
                                              .n_stop = first->n_stop,
                                              .stop = first->stop},
                           out);
}

static void give(wf_beams *b, int32_t i, wf_sequence *s)
{
    s->beams = b;
    s->i_beam = i;
    s->n_logprobs = b->n_candidates;
    b->owner[i] = s;
    b->n_owners++;
}

wf_status wf_beam_sequences_create(const wf_engine_input *input, const wf_arch *arch,
                                   int32_t max_context, int32_t page_tokens, wf_beams **out)
{
    const wf_sampling *p = input->sampling;
    wf_sequence *s = NULL;
    wf_beams *b = NULL;
    wf_status st;
    WF_TRY(wf_sequence_create(input, arch, max_context, page_tokens, &s));
    st = make_search(s, p, &b);
    if (st != WF_OK) {
        wf_sequence_destroy(s);
        return st;
    }
    give(b, 0, s);
    b->n_results = (int32_t)p->n;
    b->logprobs = p->logprobs >= 0;
    for (int32_t i = 1; i < b->c.width && st == WF_OK; i++) {
        st = wf_sequence_create(input, arch, max_context, 0, &s);
        if (st == WF_OK) give(b, i, s);
    }
    if (st == WF_OK) *out = b;
    for (int32_t i = b->n_owners; st != WF_OK && i-- > 0;)
        wf_sequence_destroy(b->owner[i]);
    return st;
}

void wf_beam_sequences_release(wf_beams *b, int32_t first)
{
    for (int32_t i = b->c.width; i-- > first;) {
        wf_sequence *s = b->owner[i];
        s->ended = s->released = true;
        wf_sequence_free_unused(s);
    }
}

wf_status wf_beam_sequences_feed(wf_beams *b)
{
    for (int32_t i = 0; i < b->c.width; i++) {
        wf_sequence *q = b->owner[i];
        WF_TRY(wf_sequence_open(q));
        q->token[b->n_tokens - 1] = b->live[i].token[b->n_tokens - 1];
        q->out.n_tokens = (uint32_t)b->n_tokens;
    }
    return WF_OK;
}

wf_sequence *wf_beam_sequences_output(wf_beams *b, int32_t i)
{
    const wf_sequence *first = b->owner[0];
    wf_sequence *q = b->owner[i];
    const wf_beam_text *t = &b->kept[i];
    bool stopped = wf_sequence_stops(q, t->token[t->n_tokens - 1]);
    q->out = (wf_engine_output){.user = first->out.user,
                                .finish = stopped ? WF_FINISH_STOP : q->at_limit,
                                .n_prompt = first->out.n_prompt,
                                .n_tokens = (uint32_t)t->n_tokens,
                                .token = t->token,
                                .time_ns = b->time_ns,
                                .logprob = b->logprobs ? t->logprob : NULL,
                                .submitted_ns = first->out.submitted_ns,
                                .admitted_ns = first->out.admitted_ns,
                                .n_cached = first->out.n_cached,
                                .preempted = first->out.preempted,
                                .i_best = (uint32_t)i,
                                .n_outputs = (uint32_t)b->n_results,
                                .score = t->score};
    return q;
}

wf_gain wf_beam_sequences_gain(wf_sequence *q)
{
    wf_beams *b = q->beams;
    if (--b->n_flight == 0) b->dropped = false;
    return (wf_gain){.over = q->ended, .from = b->parent[q->i_beam]};
}
