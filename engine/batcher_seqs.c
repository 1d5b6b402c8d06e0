// The sequences of a step: decode rows, then prompt chunks as far as the step's tokens reach.
#include "engine/batcher_internal.h"

static void count_seq(wf_schedule *out, const wf_seq *q)
{
    out->n_tokens += q->n_new;
    out->n_samples += q->sample;
    out->n_joins += q->join;
    if (q->n_new > out->max_new) out->max_new = q->n_new;
    if (q->n_past + q->n_new > out->max_context) out->max_context = q->n_past + q->n_new;
}

static void plan_sample(wf_batcher *b, wf_seat *s)
{
    s->n_gen++;
    s->n_flight++;
    if (s->n_gen == s->request.n_limit) wf_batcher_close_seat(b, s);
}

static void emit_decode(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    int32_t i_token = s->n_past - s->request.n_prompt; // which generated token is fed
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.tag = s->request.tag,
                  .row = s->row,
                  .n_past = s->n_past,
                  .n_new = 1,
                  .seat = wf_batcher_seat_index(b, s),
                  .stay = s->stay,
                  .decode = true,
                  .known = i_token < s->n_replay,
                  .sample = i_token + 1 == s->n_gen};
    s->n_past++;
    b->reorder->pages->set(b, s, s->n_past, out);
    if (q->sample) plan_sample(b, s);
    out->n_decode++;
    count_seq(out, q);
}

// A finished row is computed again at its last position: the cost of not evicting it.
static void emit_dead(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.row = s->row,
                  .n_past = s->n_past - 1,
                  .n_new = 1,
                  .seat = wf_batcher_seat_index(b, s),
                  .stay = s->stay,
                  .decode = true,
                  .sample = true,
                  .discard = true};
    out->n_decode++;
    out->n_discarded++;
    count_seq(out, q);
}

// The next prompt chunk of `s`; true when its prompt is finished by it.
static bool emit_chunk(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    int32_t budget = b->cfg.step_tokens - out->n_tokens;
    int32_t left = s->request.n_prompt - s->n_past;
    int32_t n = left < budget ? left : budget;
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.tag = s->request.tag,
                  .row = s->row,
                  .n_past = s->n_past,
                  .n_new = n,
                  .seat = wf_batcher_seat_index(b, s),
                  .stay = s->stay,
                  .join = s->n_past == 0,
                  .sample = n == left && s->n_gen == 0};
    s->n_past += n;
    b->reorder->pages->set(b, s, s->n_past, out);
    if (q->sample) plan_sample(b, s);
    out->n_prompt_tokens += n;
    count_seq(out, q);
    return n == left;
}

static void emit_row(wf_batcher *b, int32_t row, wf_schedule *out)
{
    wf_seat *s = wf_batcher_seat_of(b, row);
    if (!s) return;
    if (s->state == WF_SEAT_DEAD)
        emit_dead(b, s, out);
    else if (wf_seat_decodes(s))
        emit_decode(b, s, out);
}

void wf_batcher_emit_all(wf_batcher *b, wf_schedule *out)
{
    for (int32_t r = 0; r < b->n_rows; r++)
        emit_row(b, r, out);
    int32_t n_kept = 0;
    for (int32_t i = 0; i < b->n_prefill; i++) {
        bool room = out->n_tokens < b->cfg.step_tokens;
        bool finished = room && emit_chunk(b, &b->seats[b->prefill[i]], out);
        if (!finished) b->prefill[n_kept++] = b->prefill[i];
    }
    b->n_prefill = n_kept;
}

void wf_batcher_emit_one(wf_batcher *b, int32_t row, wf_schedule *out)
{
    wf_seat *s = wf_batcher_seat_of(b, row);
    if (!s) return; // it was just put back
    if (s->n_past >= s->request.n_prompt)
        emit_row(b, row, out);
    else if (emit_chunk(b, s, out))
        wf_batcher_forget_prefill(b, wf_batcher_seat_index(b, s));
}
