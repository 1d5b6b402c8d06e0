// One pass over the held ranges; a range ends where its rows' kind changes. See returned.h.
#include "jobs/run/returned.h"

#include <stdlib.h>

#include "io/base/arena.h"

typedef struct cutter {
    const wf_returned_input *in;
    wf_returned *out;
    size_t capacity;
    uint64_t n_in_flight; // held, not sealed and in the flight record
} cutter;

// What one row comes back as.
typedef struct {
    bool back; // false: it is done
    wf_lease_kind kind;
    bool partial;
    uint64_t size; // rows of a range of this kind; 0: no bound
} fate;

static bool was_in_flight(const wf_returned_input *in, uint32_t shard, uint64_t row)
{
    size_t low = 0, high = in->n_flight;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const wf_flight_row *f = &in->flight[middle];
        if (f->shard < shard || (f->shard == shard && f->row < row))
            low = middle + 1;
        else
            high = middle;
    }
    return low < in->n_flight && in->flight[low].shard == shard && in->flight[low].row == row;
}

static uint64_t root_up(uint64_t n)
{
    uint64_t r = 1;
    while (r * r < n)
        r++;
    return r;
}

static bool is_done(const wf_returned_input *in, uint32_t shard, uint64_t row)
{
    return !in->many_samples[shard] && wf_done_has(in->done, shard, row, 0);
}

static fate fate_of(const cutter *c, const wf_lease *held, uint64_t row)
{
    const wf_returned_input *in = c->in;
    if (is_done(in, held->shard, row)) return (fate){0};
    fate f = {.back = true, .kind = held->kind, .size = in->max_rows};
    f.partial = in->many_samples[held->shard] && wf_done_samples(in->done, held->shard, row) > 0;
    bool in_flight = was_in_flight(in, held->shard, row), alone = in_flight && c->n_in_flight == 1;
    if (held->kind == WF_LEASE_ROWS && in_flight) {
        f.kind = WF_LEASE_SUSPECTS;
        f.size = root_up(c->n_in_flight);
    } else if (held->kind == WF_LEASE_SUSPECTS) {
        if (alone) f.kind = c->out->fruitful ? WF_LEASE_POISON : WF_LEASE_RETRIAL;
        f.size = in_flight || c->n_in_flight > 1 ? 1 : held->end - held->begin;
    } else if (held->kind != WF_LEASE_ROWS) {
        if (alone) f.kind = WF_LEASE_POISON;
        f.size = 1;
    }
    return f;
}

static void count(wf_returned *out, wf_lease_kind kind)
{
    out->n_rows += kind == WF_LEASE_ROWS;
    out->n_suspects += kind == WF_LEASE_SUSPECTS || kind == WF_LEASE_RETRIAL;
    out->n_poison += kind == WF_LEASE_POISON;
}

// Adds a row to the range before it, or begins one.
static wf_status row_add(cutter *c, uint32_t shard, uint64_t row, const fate *f, bool joins)
{
    wf_returned *out = c->out;
    wf_lease *last = joins ? &out->range[out->n - 1] : NULL;
    count(out, f->kind);
    if (last && last->kind == f->kind && last->partial == f->partial &&
        (f->size == 0 || last->end - last->begin < f->size)) {
        last->end = row + 1;
        return WF_OK;
    }
    WF_TRY(wf_grow(out->n + 1, sizeof *out->range, &c->capacity, &out->range));
    out->range[out->n++] = (wf_lease){.shard = shard,
                                      .begin = row,
                                      .end = row + 1,
                                      .group = -1,
                                      .epoch = -1,
                                      .kind = f->kind,
                                      .partial = f->partial};
    return WF_OK;
}

static wf_status lease_cut(cutter *c, const wf_lease *held)
{
    bool joins = false;
    for (uint64_t row = held->begin; row < held->end; row++) {
        fate f = fate_of(c, held, row);
        if (f.back) WF_TRY(row_add(c, held->shard, row, &f, joins));
        joins = f.back;
    }
    return WF_OK;
}

static uint64_t flying(const wf_returned_input *in)
{
    uint64_t n = 0;
    for (size_t i = 0; i < in->n_held; i++) {
        const wf_lease *h = &in->held[i];
        for (uint64_t row = h->begin; row < h->end; row++)
            n += !is_done(in, h->shard, row) && was_in_flight(in, h->shard, row);
    }
    return n;
}

// A row of the life's own work is sealed. One that failed unseen by the engine proves nothing.
static bool any_sealed(const wf_returned_input *in)
{
    for (size_t i = 0; i < in->n_held; i++) {
        const wf_lease *h = &in->held[i];
        for (uint64_t row = h->begin; row < h->end && h->kind != WF_LEASE_POISON; row++)
            if (is_done(in, h->shard, row)) return true;
    }
    return false;
}

wf_status wf_returned_cut(const wf_returned_input *input, wf_returned *out)
{
    wf_status st = WF_OK;
    *out = (wf_returned){.fruitful = input->fruitful || any_sealed(input)};
    cutter c = {.in = input, .out = out, .n_in_flight = flying(input)};
    for (size_t i = 0; i < input->n_held && st == WF_OK; i++)
        st = lease_cut(&c, &input->held[i]);
    if (st == WF_OK) return WF_OK;
    free(out->range);
    *out = (wf_returned){0};
    return st;
}
