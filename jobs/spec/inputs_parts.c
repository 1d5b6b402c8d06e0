// What stands against cutting a job into parts. See inputs.h.
#include <inttypes.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "jobs/spec/inputs.h"

typedef struct turn_at { // which shard has a turn of a session
    uint64_t session;
    size_t shard;
} turn_at;

static int by_session(const void *a, const void *b)
{
    const turn_at *x = a, *y = b;
    if (x->session != y->session) return x->session < y->session ? -1 : 1;
    return (x->shard > y->shard) - (x->shard < y->shard);
}

// Appends a shard's turns to turn[*n]: one of each session where its rows follow each other.
static wf_status turns_read(const wf_inputs *in, wf_reader *reader, const char *path, size_t shard,
                            turn_at *turn, uint64_t *n)
{
    uint64_t n_rows = in->info[shard].n_rows, *session = NULL, last = 0;
    int64_t *think_ns = NULL;
    uint32_t *place = NULL;
    wf_status st = wf_alloc(n_rows, sizeof *session, &session);
    if (st == WF_OK) st = wf_alloc(n_rows, sizeof *think_ns, &think_ns);
    if (st == WF_OK) st = wf_alloc(n_rows, sizeof *place, &place);
    if (st == WF_OK) st = wf_reader_read_turns(reader, path, 0, n_rows, session, think_ns, place);
    for (uint64_t i = 0; st == WF_OK && i < n_rows; i++) {
        if (session[i] == 0 || session[i] == last) continue;
        turn[(*n)++] = (turn_at){last = session[i], shard};
    }
    free(session);
    free(think_ns);
    free(place);
    return st;
}

static wf_status straddle_look(const wf_jobspec *spec, turn_at *turn, uint64_t n, int n_parts)
{
    qsort(turn, n, sizeof *turn, by_session);
    for (uint64_t i = 1; i < n; i++) {
        const turn_at *a = &turn[i - 1], *b = &turn[i];
        size_t parts = (size_t)n_parts;
        if (a->session != b->session || a->shard % parts == b->shard % parts) continue;
        return wf_fail(WF_CONFIG,
                       "arrivals.mode: sessions: session %" PRIu64 " has turns in %s (part %zu of "
                       "%d) and in %s (part %zu), and parts of a job do not wait for each other: "
                       "put all turns of a session into one shard (weft import without "
                       "--shard-rows, or a log for each), or run the job undivided",
                       a->session, spec->shards.item[a->shard], a->shard % parts, n_parts,
                       spec->shards.item[b->shard], b->shard % parts);
    }
    return WF_OK;
}

wf_status wf_inputs_check_parts(const wf_inputs *in, const wf_jobspec *spec, wf_reader *reader,
                                int n_parts)
{
    turn_at *turn = NULL;
    uint64_t n = 0;
    if (spec->arrivals.mode != WF_SPEC_SESSIONS || n_parts < 2) return WF_OK;
    WF_TRY(wf_alloc((uint64_t)wf_inputs_rows(in), sizeof *turn, &turn));
    wf_status st = WF_OK;
    for (size_t k = 0; k < in->n && st == WF_OK; k++)
        st = turns_read(in, reader, spec->shards.item[k], k, turn, &n);
    if (st == WF_OK) st = straddle_look(spec, turn, n, n_parts);
    free(turn);
    return st;
}
