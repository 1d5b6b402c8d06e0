// Beam search. See beams.h.
#include "engine/beams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEVER (-1.0e9f) // a score below every other

typedef struct wf_beam_candidate {
    float score; // sum of log-probabilities
    float logprob;
    int32_t beam, token;
    bool ends;
} candidate;

int32_t wf_beams_candidates(int32_t width, uint32_t n_stop)
{
    return (n_stop > 1 ? 1 + (int32_t)n_stop : 2) * width;
}

// ---- life cycle ---------------------------------------------------------------------------------

static bool make_texts(int32_t n, int32_t n_limit, wf_beam_text **out)
{
    size_t each = (size_t)n_limit * (sizeof(int32_t) + sizeof(float));
    char *block = malloc((size_t)n * (sizeof **out + each));
    *out = (wf_beam_text *)block;
    if (!block) return false;
    char *at = block + (size_t)n * sizeof **out;
    for (int32_t i = 0; i < n; i++, at += each)
        (*out)[i] = (wf_beam_text){.token = (int32_t *)at,
                                   .logprob = (float *)(at + (size_t)n_limit * sizeof(int32_t))};
    return true;
}

wf_status wf_beams_create(const wf_beams_config *c, wf_beams **out)
{
    *out = NULL;
    wf_beams *b = calloc(1, sizeof *b + c->n_stop * sizeof *c->stop);
    if (!b) return wf_fail(WF_NO_MEMORY, "engine: no memory for %d beams", c->width);
    b->c = *c;
    int32_t *stop = (int32_t *)(b + 1);
    if (c->n_stop > 0) memcpy(stop, c->stop, c->n_stop * sizeof *stop);
    b->c.stop = stop;
    b->n_candidates = wf_beams_candidates(c->width, c->n_stop);
    size_t width = (size_t)c->width;
    b->parent = calloc(width, sizeof *b->parent);
    b->owner = calloc(width, sizeof *b->owner);
    b->time_ns = calloc((size_t)c->n_limit, sizeof *b->time_ns);
    b->candidate = calloc(width * (size_t)b->n_candidates, sizeof *b->candidate);
    bool made = make_texts(c->width, c->n_limit, &b->live) &&
                make_texts(c->width, c->n_limit, &b->kept) &&
                make_texts(c->width, c->n_limit, &b->next);
    if (!made || !b->parent || !b->owner || !b->time_ns || !b->candidate) {
        wf_beams_destroy(b);
        return wf_fail(WF_NO_MEMORY, "engine: no memory for %d beams of %d tokens", c->width,
                       c->n_limit);
    }
    wf_beams_restart(b);
    *out = b;
    return WF_OK;
}

void wf_beams_destroy(wf_beams *b)
{
    if (!b) return;
    free(b->candidate);
    free(b->time_ns);
    free(b->owner);
    free(b->parent);
    free(b->next);
    free(b->kept);
    free(b->live);
    free(b);
}

void wf_beams_restart(wf_beams *b)
{
    b->n_tokens = b->n_taken = 0;
    b->dropped = b->n_flight > 0;
    b->n_live = 1;
    b->over = false;
    b->live[0].score = 0;
    for (int32_t i = 0; i < b->c.width; i++) {
        b->live[i].n_tokens = b->kept[i].n_tokens = 0;
        b->kept[i].ended = false;
        b->kept[i].score = NEVER;
    }
}

// ---- candidates ---------------------------------------------------------------------------------

static bool is_stop(const wf_beams *b, int32_t token)
{
    for (uint32_t i = 0; i < b->c.n_stop; i++)
        if (b->c.stop[i] == token) return true;
    return false;
}

void wf_beams_take(wf_beams *b, int32_t i, const int32_t *id, const float *logprob)
{
    bool at_limit = b->n_tokens + 1 == b->c.n_limit;
    candidate *to = b->candidate + (int64_t)b->n_taken++ * b->n_candidates;
    for (int32_t k = 0; k < b->n_candidates; k++) {
        float p = isfinite(logprob[k]) ? logprob[k] : NEVER;
        to[k] = (candidate){.score = b->live[i].score + p,
                            .logprob = p,
                            .beam = i,
                            .token = id[k],
                            .ends = at_limit || is_stop(b, id[k])};
    }
}

bool wf_beams_full(const wf_beams *b)
{
    return b->n_taken == b->n_live;
}

// Of equal ones the first: by beam, then by token.
static int by_score(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    if (a->score > b->score || a->score < b->score) return a->score > b->score ? -1 : 1;
    if (a->beam != b->beam) return a->beam - b->beam;
    return (a->token > b->token) - (a->token < b->token);
}

// ---- the choice ---------------------------------------------------------------------------------

static float penalised(const wf_beams *b, float sum, int32_t n_tokens)
{
    return sum / (float)pow((double)n_tokens, (double)b->c.length_penalty);
}

static bool all_ended(const wf_beams *b)
{
    for (int32_t i = 0; i < b->c.width; i++)
        if (!b->kept[i].ended) return false;
    return true;
}

// `to` becomes the text of the candidate's beam with its token behind it.
static void extend(const wf_beams *b, const candidate *c, wf_beam_text *to)
{
    const wf_beam_text *from = &b->live[c->beam];
    size_t n = (size_t)b->n_tokens;
    memcpy(to->token, from->token, n * sizeof *to->token);
    memcpy(to->logprob, from->logprob, n * sizeof *to->logprob);
    to->token[n] = c->token;
    to->logprob[n] = c->logprob;
    to->n_tokens = b->n_tokens + 1;
    to->score = c->score;
}

// Puts an ended text among the kept ones, if it is better than the last of them.
static void keep(wf_beams *b, const candidate *c, float score)
{
    int32_t last = b->c.width - 1, at = last;
    if (!(score > b->kept[last].score)) return;
    wf_beam_text moved = b->kept[last];
    for (; at > 0 && score > b->kept[at - 1].score; at--)
        b->kept[at] = b->kept[at - 1];
    extend(b, c, &moved);
    moved.score = score;
    moved.ended = true;
    b->kept[at] = moved;
}

// Of the first `width` candidates those that end; none any more where all places are taken and the
// first ones count.
static void keep_ended(wf_beams *b)
{
    if (b->c.early == WF_EARLY_TRUE && all_ended(b)) return;
    for (int32_t i = 0; i < b->c.width; i++)
        if (b->candidate[i].ends)
            keep(b, &b->candidate[i], penalised(b, b->candidate[i].score, b->n_tokens + 1));
}

static void go_on(wf_beams *b)
{
    int32_t n_next = 0;
    for (int32_t i = 0; i < b->n_candidates && n_next < b->c.width; i++) {
        const candidate *c = &b->candidate[i];
        if (c->ends) continue;
        b->parent[n_next] = c->beam;
        extend(b, c, &b->next[n_next++]);
    }
    wf_beam_text *was = b->live;
    b->live = b->next;
    b->next = was;
    b->n_live = n_next;
}

// Whether a text that goes on may get better than the worst that has ended.
static bool may_improve(const wf_beams *b)
{
    if (b->n_live == 0) return false;
    if (!all_ended(b)) return true;
    bool longest = b->c.early == WF_EARLY_NEVER && b->c.length_penalty > 0.0f;
    float best = penalised(b, b->live[0].score, longest ? b->c.n_limit : b->n_tokens);
    return best > b->kept[b->c.width - 1].score;
}

void wf_beams_choose(wf_beams *b, int64_t time_ns)
{
    qsort(b->candidate, (size_t)b->n_taken * (size_t)b->n_candidates, sizeof *b->candidate,
          by_score);
    keep_ended(b);
    go_on(b);
    b->time_ns[b->n_tokens++] = time_ns;
    b->n_taken = 0;
    bool enough = b->c.early == WF_EARLY_TRUE && all_ended(b);
    b->over = b->n_tokens == b->c.n_limit || enough || !may_improve(b);
}
