// The sequences of a step: rows that decode, rows to verify, then prompt chunks as far as the
// step's tokens reach.
#include "engine/batcher_internal.h"

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static void count_seq(wf_schedule *out, const wf_seq *q)
{
    out->n_tokens += q->n_new;
    out->n_samples += q->n_samples;
    out->n_joins += q->join;
    if (q->n_new > out->max_new) out->max_new = q->n_new;
    if (q->n_past + q->n_new > out->max_context) out->max_context = q->n_past + q->n_new;
}

// At least one token comes of it.
static void plan_sample(wf_batcher *b, wf_seat *s)
{
    s->n_gen++;
    s->n_flight++;
    s->verifying = s->verifying || s->beams;
    if (s->n_gen == s->request.n_limit && !s->beams) wf_batcher_close_seat(b, s);
}

// Writes a sequence of n tokens; the seat moves on by `n_sure` of them.
static wf_seq *emit(wf_batcher *b, wf_seat *s, wf_seq_kind kind, int32_t n, int32_t n_sure,
                    wf_schedule *out)
{
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.tag = s->request.tag,
                  .kind = kind,
                  .row = s->row,
                  .n_past = s->n_past,
                  .n_new = n,
                  .seat = wf_batcher_seat_index(b, s),
                  .stay = s->stay,
                  .join = !s->joined};
    s->joined = true;
    if (s->n_set * b->cfg.page_tokens < s->n_past + n)
        b->reorder->pages->set(b, s, s->n_past + n, out);
    s->n_past += n_sure;
    return q;
}

static void emit_decode(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    int32_t i_token = s->n_past - s->request.n_prompt; // which generated token is fed
    wf_seq *q = emit(b, s, WF_SEQ_DECODE, 1, 1, out);
    q->known = i_token < s->n_replay;
    q->n_samples = i_token + 1 == s->n_gen;
    if (q->n_samples > 0) plan_sample(b, s);
    out->n_decode++;
    count_seq(out, q);
}

// A finished row is computed again at its last position: the cost of not evicting it.
static void emit_dead(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.kind = WF_SEQ_DECODE,
                  .row = s->row,
                  .n_past = s->n_past - 1,
                  .n_new = 1,
                  .n_samples = 1,
                  .seat = wf_batcher_seat_index(b, s),
                  .stay = s->stay,
                  .discard = true};
    out->n_decode++;
    out->n_discarded++;
    count_seq(out, q);
}

// Tokens that are drawn as the prompt ends.
static int32_t n_drawn(const wf_seat *s)
{
    return s->request.n_marks > 1 ? s->request.n_marks : 1;
}

// The next prompt chunk of `s`; true when its prompt is finished by it.
static bool emit_chunk(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    int32_t n_past = s->n_past, left = s->request.n_prompt - n_past;
    int32_t n = least(left, b->cfg.step_tokens - out->n_tokens);
    if (wf_batcher_in_turn(b)) n = least(n, b->cfg.window);
    if (!s->joined) out->n_shared += s->n_shared;
    wf_seq *q = emit(b, s, WF_SEQ_CHUNK, n, n, out);
    q->n_samples = n == left && s->n_gen == 0 ? n_drawn(s) : 0;
    wf_batcher_tell_full(b, s, n_past);
    if (q->n_samples > 0) plan_sample(b, s);
    out->n_prompt_tokens += n;
    count_seq(out, q);
    return n == left;
}

// ---- verifying ----------------------------------------------------------------------------------

// Columns up to here may be written: the seat's pages, but for those that its next token sees.
static int32_t writable(const wf_batcher *b, const wf_seat *s)
{
    bool in_turn = wf_batcher_in_turn(b) && s->n_pages == b->most_pages;
    int32_t first = in_turn && s->n_past >= b->cfg.window ? s->n_past - b->cfg.window + 1 : 0;
    return first / b->cfg.page_tokens + s->n_pages;
}

// Proposed tokens to feed after the last one: as many as may count, and as its pages hold.
static int32_t draft_of(const wf_batcher *b, const wf_seat *s)
{
    int32_t may_count = s->request.n_limit - s->n_gen - 1;
    int32_t in_pages = writable(b, s) * b->cfg.page_tokens - s->n_past - 1;
    return least(b->cfg.n_draft, least(may_count, in_pages));
}

// Whether `s` is past its replay and tokens are proposed for it. It then waits for its step in
// flight: the proposal hangs on how that ends.
static bool verifies(const wf_batcher *b, const wf_seat *s)
{
    if (b->cfg.n_draft == 0) return false;
    bool at_last = s->n_past - s->request.n_prompt + 1 == s->n_gen;
    return at_last && draft_of(b, s) > 0;
}

static void emit_verify(wf_batcher *b, wf_seat *s, int32_t n_draft, wf_schedule *out)
{
    wf_seq *q = emit(b, s, WF_SEQ_VERIFY, 1 + n_draft, 1, out);
    q->known = true;
    q->n_samples = 1 + n_draft;
    s->verifying = true;
    plan_sample(b, s);
    count_seq(out, q);
}

// The rows that were set aside, after those that decode. Every row of the step may draw a token of
// its own; what is left of max_rows is for proposed ones.
static void emit_verified(wf_batcher *b, wf_schedule *out)
{
    int32_t spare = b->cfg.max_rows - b->n_rows;
    for (int32_t i = 0; i < b->n_verify; i++) {
        wf_seat *s = &b->seats[b->verify[i]];
        int32_t n_draft = least(draft_of(b, s), spare);
        emit_verify(b, s, n_draft, out);
        spare -= n_draft;
    }
    b->n_verify = 0;
}

// ---- the step -----------------------------------------------------------------------------------

static void emit_live(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    if (!verifies(b, s))
        emit_decode(b, s, out);
    else if (s->n_flight == 0)
        b->verify[b->n_verify++] = wf_batcher_seat_index(b, s);
}

static void emit_row(wf_batcher *b, int32_t row, wf_schedule *out)
{
    wf_seat *s = wf_batcher_seat_of(b, row);
    if (!s) return;
    if (s->state == WF_SEAT_DEAD)
        emit_dead(b, s, out);
    else if (wf_seat_decodes(s) && !s->verifying)
        emit_live(b, s, out);
}

// Tokens are left in the step, and room to name the pages that it shares: a step names those of
// one request at least. Takes over what prompts before it in this very step have filled: each
// layer's keys and values are written before anyone reads them.
static bool has_room(wf_batcher *b, wf_seat *s, const wf_schedule *out)
{
    int32_t left = b->cfg.step_tokens - out->n_tokens;
    if (left < 1 || (b->cfg.whole && left < s->request.n_prompt - s->n_past)) return false;
    if (b->cfg.whole && out->n_samples + n_drawn(s) > b->cfg.max_rows) return false;
    wf_batcher_share_more(b, s);
    int32_t n_shared = s->joined ? 0 : s->n_shared;
    return n_shared == 0 || out->n_shared + n_shared <= b->cfg.shared_pages;
}

void wf_batcher_emit_all(wf_batcher *b, wf_schedule *out)
{
    for (int32_t r = 0; r < b->n_rows; r++)
        emit_row(b, r, out);
    emit_verified(b, out);
    int32_t n_kept = 0;
    for (int32_t i = 0; i < b->n_prefill; i++) {
        wf_seat *s = &b->seats[b->prefill[i]];
        bool finished = has_room(b, s, out) && emit_chunk(b, s, out);
        if (!finished) b->prefill[n_kept++] = b->prefill[i];
    }
    b->n_prefill = n_kept;
}

void wf_batcher_emit_one(wf_batcher *b, int32_t row, wf_schedule *out)
{
    wf_seat *s = wf_batcher_seat_of(b, row);
    if (!s) return; // it was just put back
    if (s->n_past < s->request.n_prompt) {
        wf_batcher_share_more(b, s);
        if (emit_chunk(b, s, out)) wf_batcher_forget_prefill(b, wf_batcher_seat_index(b, s));
        return;
    }
    emit_row(b, row, out);
    emit_verified(b, out);
}
