// See choose.h.
//
// State (layer, bucket of bytes spent so far): the least error with which it is reached, its exact
// bytes, and the choice that led there.
#include "jobs/quantize/choose.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"

enum { N_BUCKETS = 16384 };

typedef struct state {
    double error; // INFINITY: not reached
    uint64_t bytes;
    int32_t choice, from; // bucket of the layers before
} state;

typedef struct table {
    const wf_choice *choices;
    int32_t n_layers, n_choices;
    uint64_t budget;
    state *states; // [n_layers + 1][N_BUCKETS + 1]
} table;

static state *state_of(const table *t, int32_t i_layer, int64_t bucket)
{
    return &t->states[(int64_t)i_layer * (N_BUCKETS + 1) + bucket];
}

static int64_t bucket_of(const table *t, uint64_t bytes)
{
    return (int64_t)((double)bytes / (double)t->budget * N_BUCKETS);
}

static void extend(const table *t, int32_t i_layer, int32_t from)
{
    const state *s = state_of(t, i_layer, from);
    const wf_choice *choices = &t->choices[(int64_t)i_layer * t->n_choices];
    for (int32_t c = 0; c < t->n_choices && s->error < INFINITY; c++) {
        state next = {s->error + choices[c].error, s->bytes + choices[c].bytes, c, from};
        if (next.bytes > t->budget) continue;
        state *to = state_of(t, i_layer + 1, bucket_of(t, next.bytes));
        if (next.error < to->error || (next.error == to->error && next.bytes < to->bytes))
            *to = next;
    }
}

static void fill(const table *t)
{
    int64_t n = (int64_t)(t->n_layers + 1) * (N_BUCKETS + 1);
    for (int64_t i = 0; i < n; i++)
        t->states[i].error = INFINITY;
    *state_of(t, 0, 0) = (state){0};
    for (int32_t i = 0; i < t->n_layers; i++)
        for (int32_t bucket = 0; bucket <= N_BUCKETS; bucket++)
            extend(t, i, bucket);
}

// The best way to its end; false: none.
static bool follow(const table *t, int32_t *out)
{
    int32_t best = 0;
    for (int32_t bucket = 1; bucket <= N_BUCKETS; bucket++)
        if (state_of(t, t->n_layers, bucket)->error < state_of(t, t->n_layers, best)->error)
            best = bucket;
    if (!(state_of(t, t->n_layers, best)->error < INFINITY)) return false;
    for (int32_t i = t->n_layers; i > 0; i--) {
        const state *s = state_of(t, i, best);
        out[i - 1] = s->choice;
        best = s->from;
    }
    return true;
}

wf_choice wf_chosen_sum(const wf_choice *choices, int32_t n_layers, int32_t n_choices,
                        const int32_t *chosen)
{
    wf_choice sum = {0};
    for (int32_t i = 0; i < n_layers; i++) {
        sum.bytes += choices[(int64_t)i * n_choices + chosen[i]].bytes;
        sum.error += choices[(int64_t)i * n_choices + chosen[i]].error;
    }
    return sum;
}

// Buckets may have merged the way of one choice for all away.
static void try_uniform(const table *t, bool any, int32_t *out)
{
    int32_t alike[t->n_layers];
    for (int32_t c = 0; c < t->n_choices; c++) {
        for (int32_t i = 0; i < t->n_layers; i++)
            alike[i] = c;
        wf_choice sum = wf_chosen_sum(t->choices, t->n_layers, t->n_choices, alike);
        if (sum.bytes > t->budget) continue;
        if (any && wf_chosen_sum(t->choices, t->n_layers, t->n_choices, out).error <= sum.error)
            continue;
        memcpy(out, alike, sizeof alike);
        any = true;
    }
}

static uint64_t least_bytes(const table *t)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < t->n_layers; i++) {
        const wf_choice *choices = &t->choices[(int64_t)i * t->n_choices];
        uint64_t least = choices[0].bytes;
        for (int32_t c = 1; c < t->n_choices; c++)
            least = choices[c].bytes < least ? choices[c].bytes : least;
        sum += least;
    }
    return sum;
}

wf_status wf_choose(const wf_choice *choices, int32_t n_layers, int32_t n_choices, uint64_t budget,
                    int32_t *out)
{
    table t = {choices, n_layers, n_choices, budget, NULL};
    uint64_t least = least_bytes(&t);
    if (least > budget || budget == 0)
        return wf_fail(WF_CONFIG,
                       "quantize: a budget of %" PRIu64 " bytes: the smallest formats take %" PRIu64
                       "; allow more",
                       budget, least);
    WF_TRY(wf_alloc((size_t)(n_layers + 1) * (N_BUCKETS + 1), sizeof *t.states, &t.states));
    fill(&t);
    try_uniform(&t, follow(&t, out), out);
    free(t.states);
    return WF_OK;
}
