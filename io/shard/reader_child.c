// The reader child: takes one request after the other, reads with HDF5, leaves the rows in the
// request's slot. It keeps a few shards open. After a file that is damaged it ends, so that the
// next file is read by a process that never saw the damage.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/guard.h"
#include "io/shard/reader_protocol.h"
#include "io/shard/shard_columns.h"

#define N_OPEN 4 // shards kept open

typedef struct {
    char *path;
    wf_shard *shard;
    uint64_t used; // seq of the last use
} open_shard;

typedef struct {
    const wf_reader_shared *shared;
    int socket, beat;
    open_shard open[N_OPEN];
    wf_arena *arena;
    wf_request *rows;
    size_t rows_capacity;
} child;

// --- limits ---

#ifdef __SANITIZE_ADDRESS__ // its shadow memory is larger than any sensible limit
static void limit_memory(uint64_t bytes)
{
    (void)bytes;
}
#else
// The program's own mappings, shared with us by the fork, come on top.
static void limit_memory(uint64_t bytes)
{
    unsigned long long pages = 0;
    struct rlimit space;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return;
    int n = fscanf(file, "%llu", &pages);
    fclose(file);
    if (n != 1 || getrlimit(RLIMIT_AS, &space) != 0) return;
    uint64_t most = pages * (uint64_t)sysconf(_SC_PAGESIZE) + bytes;
    if (most < bytes || (space.rlim_max != RLIM_INFINITY && most > space.rlim_max)) return;
    space.rlim_cur = most;
    setrlimit(RLIMIT_AS, &space);
}
#endif

static void set_limits(const wf_reader_shared *shared)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); // a hostile file must not fill the disk with cores
    limit_memory(shared->memory_bytes);
}

// --- open shards ---

static wf_status check_uid(const wf_reader_request *q, const wf_shard *shard)
{
    const char *uid = wf_shard_info_of(shard)->uid;
    if (q->uid[0] == '\0' || strcmp(q->uid, uid) == 0) return WF_OK;
    return wf_fail(WF_SHARD, "%s:/@shard_uid: is %s, was %s when the job began; it was replaced",
                   q->path, uid, q->uid);
}

static void shard_forget(open_shard *o)
{
    wf_shard_close(&o->shard);
    free(o->path);
    *o = (open_shard){0};
}

static wf_status shard_find(child *c, const wf_reader_request *q, wf_shard **out)
{
    open_shard *oldest = &c->open[0];
    for (int i = 0; i < N_OPEN; i++) {
        open_shard *o = &c->open[i];
        if (o->path != NULL && strcmp(o->path, q->path) == 0 && q->op != WF_READER_OPEN) {
            o->used = q->seq;
            *out = o->shard;
            return check_uid(q, o->shard);
        }
        if (o->used < oldest->used) oldest = o;
    }
    shard_forget(oldest);
    WF_TRY(wf_strdup(q->path, &oldest->path));
    wf_status st = wf_shard_open(q->path, &oldest->shard);
    if (st != WF_OK) {
        shard_forget(oldest);
        return st;
    }
    oldest->used = q->seq;
    *out = oldest->shard;
    return check_uid(q, oldest->shard);
}

// --- rows into the slot ---

typedef struct {
    char *at, *end;
} room;

// Copies n bytes, 8-aligned; NULL when there is no room.
static const void *put(room *to, const void *from, size_t n)
{
    size_t padded = (n + 7) / 8 * 8;
    if ((size_t)(to->end - to->at) < padded) return NULL;
    if (n > 0) memcpy(to->at, from, n);
    char *here = to->at;
    to->at += padded;
    return here;
}

static bool put_row(room *to, const wf_request *from, wf_request *row)
{
    room left = *to; // a row that does not fit leaves no trace
    wf_request r = *from;
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++) {
        const wf_shard_ragged *ragged = &wf_shard_raggeds[k];
        uint32_t n = wf_ragged_count(ragged, from);
        const void *copy = put(&left, wf_ragged_values(ragged, from), n * ragged->each_bytes);
        if (copy == NULL) return false;
        wf_ragged_set(ragged, &r, copy, n);
    }
    if (from->error != NULL) {
        r.error = put(&left, from->error, strlen(from->error) + 1);
        if (r.error == NULL) return false;
    }
    *row = r;
    *to = left;
    return true;
}

static wf_status serve_rows(child *c, const wf_reader_request *q, wf_shard *shard, uint32_t *n_rows)
{
    wf_shard_limits limits = {.n_vocab = q->n_vocab,
                              .max_context = q->max_context,
                              .bytes = c->shared->slot_bytes - WF_ERROR_MAX};
    uint32_t n_read = 0, n_put = 0, n = q->n;
    size_t most = c->shared->slot_bytes / (2 * sizeof(wf_request));
    if (n > most) n = (uint32_t)most;
    WF_TRY(wf_grow(n, sizeof *c->rows, &c->rows_capacity, &c->rows));
    WF_TRY(wf_shard_read(shard, q->row0, n, &limits, c->arena, c->rows, &n_read));
    wf_request *rows = (wf_request *)(void *)wf_reader_slot(c->shared, q->slot);
    room to = {(char *)(rows + n_read), (char *)rows + c->shared->slot_bytes};
    while (n_put < n_read && put_row(&to, &c->rows[n_put], &rows[n_put]))
        n_put++;
    if (n_put == 0 && n_read > 0) return wf_fail(WF_INTERNAL, "%s: no room in the slot", q->path);
    *n_rows = n_put;
    return WF_OK;
}

static wf_status serve_arrivals(child *c, const wf_reader_request *q, wf_shard *shard,
                                uint32_t *n_rows)
{
    if (q->n > WF_READER_MAX_PLAN) return wf_fail(WF_INTERNAL, "%s: too many rows", q->path);
    int64_t *arrival = (int64_t *)(void *)wf_reader_slot(c->shared, q->slot);
    uint32_t *n_prompt = (uint32_t *)(arrival + q->n);
    WF_TRY(wf_shard_read_arrivals(shard, q->row0, q->n, arrival, n_prompt));
    *n_rows = q->n;
    return WF_OK;
}

static wf_status serve_turns(child *c, const wf_reader_request *q, wf_shard *shard,
                             uint32_t *n_rows)
{
    if (q->n > WF_READER_MAX_PLAN) return wf_fail(WF_INTERNAL, "%s: too many rows", q->path);
    uint64_t *session = (uint64_t *)(void *)wf_reader_slot(c->shared, q->slot);
    int64_t *think_ns = (int64_t *)(session + q->n);
    WF_TRY(wf_shard_read_turns(shard, q->row0, q->n, session, think_ns,
                               (uint32_t *)(think_ns + q->n)));
    *n_rows = q->n;
    return WF_OK;
}

static wf_status serve_keys(child *c, const wf_reader_request *q, wf_shard *shard, uint32_t *n_rows)
{
    uint64_t *key = (uint64_t *)(void *)wf_reader_slot(c->shared, q->slot);
    if (q->n > WF_READER_MAX_PLAN) return wf_fail(WF_INTERNAL, "%s: too many rows", q->path);
    WF_TRY(wf_shard_read_keys(shard, q->row0, q->n, q->key, key));
    *n_rows = q->n;
    return WF_OK;
}

static wf_status serve_pieces(child *c, const wf_reader_request *q, wf_shard *shard,
                              uint32_t *n_rows)
{
    void *slot = wf_reader_slot(c->shared, q->slot);
    bool cuts = q->op == WF_READER_CUTS;
    if (q->n > (cuts ? WF_READER_MAX_PLAN : WF_READER_MAX_BYTES))
        return wf_fail(WF_INTERNAL, "%s: too many pieces", q->path);
    *n_rows = q->n;
    return cuts ? wf_shard_read_piece_offsets(shard, q->row0, q->n, slot)
                : wf_shard_read_pieces(shard, q->row0, q->n, slot);
}

static wf_status serve(child *c, const wf_reader_request *q, uint32_t *n_rows)
{
    wf_shard *shard = NULL;
    if (q->op == WF_READER_LOOK) {
        memset(wf_reader_slot(c->shared, q->slot), 0, WF_READER_FACTS);
        return c->shared->look(q->path, wf_reader_slot(c->shared, q->slot));
    }
    WF_TRY(shard_find(c, q, &shard));
    switch (q->op) {
    case WF_READER_OPEN:
        memcpy(wf_reader_slot(c->shared, q->slot), wf_shard_info_of(shard), sizeof(wf_shard_info));
        return WF_OK;
    case WF_READER_ARRIVALS:
        return serve_arrivals(c, q, shard, n_rows);
    case WF_READER_KEYS:
        return serve_keys(c, q, shard, n_rows);
    case WF_READER_CUTS:
    case WF_READER_PIECES:
        return serve_pieces(c, q, shard, n_rows);
    case WF_READER_TURNS:
        return serve_turns(c, q, shard, n_rows);
    default:
        return serve_rows(c, q, shard, n_rows);
    }
}

// --- the loop ---

static void tell_host(child *c)
{
    atomic_store(&c->shared->control->moved_ns, wf_clock_ns());
    while (write(c->beat, "", 1) < 0 && errno == EINTR) {
    }
}

// Memory that runs out in here is the file's doing.
static wf_status as_shard(const wf_reader_request *q, wf_status st)
{
    wf_status bad = q->op == WF_READER_LOOK ? WF_DATA : WF_SHARD;
    if (st != WF_NO_MEMORY) return st;
    char why[WF_ERROR_MAX / 2];
    snprintf(why, sizeof why, "%.500s", wf_error());
    return wf_fail(bad, "%s: takes more memory than the reader may use: %s", q->path, why);
}

static void answer(child *c, const wf_reader_request *q)
{
    wf_reader_control *control = c->shared->control;
    wf_reader_reply reply = {.seq = q->seq, .slot = q->slot};
    wf_arena_mark mark = wf_arena_get_mark(c->arena);
    control->place[0] = '\0';
    atomic_store(&control->current_slot, q->slot);
    atomic_store(&control->current, q->seq);
    tell_host(c);
    reply.status = as_shard(q, serve(c, q, &reply.n_rows));
    if (reply.status != WF_OK) snprintf(reply.error, sizeof reply.error, "%s", wf_error());
    // Sent first: a reader that dies between the two lines is answered for twice, never not at all.
    while (send(c->socket, &reply, sizeof reply, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
    atomic_store(&control->finished, q->seq);
    atomic_store(&control->current, 0);
    tell_host(c);
    if (reply.status != WF_OK && reply.status != WF_NO_INPUT) _exit(0);
    wf_arena_reset(c->arena, mark);
}

void wf_reader_child_run(const wf_reader_shared *shared, int socket, int beat)
{
    child c = {.shared = shared, .socket = socket, .beat = beat};
    prctl(PR_SET_NAME, "weft-reader");
    if (wf_arena_create((size_t)1 << 20, &c.arena) != WF_OK) _exit(1);
    set_limits(shared);
    wf_guard_tell(shared->control->place, sizeof shared->control->place);
    wf_reader_request *q = malloc(sizeof *q);
    if (q == NULL) _exit(1);
    for (;;) {
        ssize_t n = recv(socket, q, sizeof *q, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n != (ssize_t)sizeof *q) _exit(n == 0 ? 0 : 1);
        answer(&c, q);
    }
}
