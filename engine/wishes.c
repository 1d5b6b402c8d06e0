// From a request's wishes to the lists of one step. See wishes.h.
#include "engine/wishes.h"

#include <string.h>

#include "engine/sequence.h"
#include "kernels/ops.h"

int64_t wf_wishes_words(const wf_wishes *w)
{
    // A ban has two words, and so has the shortest bad word: a token and its end.
    return 2 * (int64_t)w->n_bias + w->n_allowed + w->n_bad_words;
}

// The lists of one step in the making; at NULL: they are only counted.
typedef struct lists {
    int32_t *at;
    int32_t n;
} lists;

static void put(lists *l, const void *words, int32_t n)
{
    if (l->at && n > 0) memcpy(l->at + l->n, words, (size_t)n * sizeof *l->at);
    l->n += n;
}

static void put_pair(lists *l, int32_t a, int32_t b)
{
    const int32_t pair[2] = {a, b};
    put(l, pair, 2);
}

// Token i of what a sequence has generated when a step has run, -1: the device alone knows it.
// Beyond the known ones come those that are proposed.
static int32_t generated(const wf_seq *q, int32_t i)
{
    const wf_sequence *s = q->tag;
    int32_t n_known = (int32_t)s->out.n_tokens;
    if (i < n_known) return s->token[i];
    return q->kind == WF_SEQ_VERIFY ? s->draft[i - n_known] : -1;
}

// Whether the n tokens before generated token i are these; *before is the one that the device must
// look at, -1: none.
static bool follows(const wf_seq *q, int32_t i, const int32_t *token, int32_t n, int32_t *before)
{
    *before = -1;
    if (n > i) return false;
    for (int32_t k = 0; k < n; k++) {
        int32_t is = generated(q, i - n + k);
        if (is < 0) *before = token[k];
        if (is >= 0 && is != token[k]) return false;
    }
    return true;
}

// The bans before generated token i.
static void put_bans(const wf_seq *q, int32_t i, lists *l)
{
    const wf_wishes *w = &((const wf_sequence *)q->tag)->wishes;
    for (uint32_t at = 0, end; at < w->n_bad_words; at = end + 1) {
        int32_t before;
        for (end = at; end < w->n_bad_words && w->bad_words[end] >= 0;)
            end++;
        if (end == at) continue;
        if (follows(q, i, w->bad_words + at, (int32_t)(end - at) - 1, &before))
            put_pair(l, w->bad_words[end - 1], before);
    }
}

static wf_row_wishes put_row(const wf_seq *q, int32_t i_generated, lists *l)
{
    const wf_wishes *w = &((const wf_sequence *)q->tag)->wishes;
    wf_row_wishes row = {.n_allowed = (int32_t)w->n_allowed, .n_bias = (int32_t)w->n_bias};
    row.i_allowed = l->n;
    put(l, w->allowed, row.n_allowed);
    row.i_bias = l->n;
    for (int32_t k = 0; k < row.n_bias; k++) {
        int32_t bits;
        memcpy(&bits, &w->bias[k], sizeof bits);
        put_pair(l, w->bias_id[k], bits);
    }
    row.i_banned = l->n;
    put_bans(q, i_generated, l);
    row.n_banned = (l->n - row.i_banned) / 2;
    return row;
}

// Of every sampled row, in the plan's order; rows NULL: the words are only counted.
static void put_rows(const wf_schedule *s, wf_row_wishes *rows, lists *l)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        const wf_sequence *of = q->tag;
        for (int32_t back = q->n_samples - 1; back >= 0; back--, n++) {
            if (!of || of->ended || wf_wishes_words(&of->wishes) == 0) continue;
            int32_t pos = q->n_past + q->n_new - back;
            wf_row_wishes row = put_row(q, pos - (int32_t)of->out.n_prompt, l);
            if (rows) rows[n] = row;
        }
    }
}

int32_t wf_wishes_count(const wf_schedule *s)
{
    lists l = {0};
    put_rows(s, NULL, &l);
    return l.n;
}

void wf_wishes_fill(const wf_schedule *s, int32_t n_samples, int32_t *rows, int32_t *words)
{
    lists l = {.at = words};
    memset(rows, 0, (size_t)n_samples * sizeof(wf_row_wishes));
    put_rows(s, (wf_row_wishes *)(void *)rows, &l);
}
