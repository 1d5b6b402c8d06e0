// The program's side of the reader process. Nothing the reader left in a slot is believed:
// pointers, lengths and codes are checked on a private copy before they are handed out.
#include "io/shard/reader.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/guard.h"
#include "io/shard/reader_protocol.h"
#include "io/shard/shard_columns.h"

typedef enum { SLOT_FREE, SLOT_WAITING, SLOT_DONE, SLOT_TAKEN } slot_state;

typedef struct {
    slot_state state;
    uint64_t seq;
    wf_reader_batch batch;
    wf_request *rows;
    size_t rows_capacity;
    char error[WF_ERROR_MAX];
} slot;

struct wf_reader {
    wf_reader_shared shared;
    void *memory;
    size_t memory_bytes;
    int socket;
    pid_t host;
    uint64_t last_seq;
    slot *slots; // [n_slots + 1]; the last one serves the calls that wait
    wf_reader_reply sync_reply;
};

// --- start, close ---

static size_t or_default(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void configure(wf_reader *r, const wf_reader_config *config)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t slot_bytes = or_default(config->slot_bytes, (size_t)32 << 20);
    if (slot_bytes < 64 * 1024) slot_bytes = 64 * 1024;
    r->shared.n_slots = config->n_slots != 0 ? config->n_slots : 4;
    r->shared.slot_bytes = (slot_bytes + page - 1) / page * page;
    r->shared.limit_ns = config->limit_ns != 0 ? config->limit_ns : wf_guard_limit_ns();
    r->shared.look = config->look;
    r->shared.memory_bytes = or_default(config->memory_bytes, (size_t)8 << 30);
}

// Pages are taken when they are touched, so slots cost what their largest reads need.
static wf_status memory_map(wf_reader *r)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), slots_bytes;
    WF_TRY(wf_array_bytes(r->shared.n_slots, r->shared.slot_bytes, &slots_bytes));
    r->memory_bytes = page + slots_bytes + WF_READER_SYNC_BYTES;
    r->memory = mmap(NULL, r->memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r->memory == MAP_FAILED) {
        r->memory = NULL;
        return wf_fail_errno(WF_NO_MEMORY, "reader: %zu bytes of shared memory cannot be had",
                             r->memory_bytes);
    }
    r->shared.control = r->memory;
    r->shared.slots = (char *)r->memory + page;
    return WF_OK;
}

static wf_status host_start(wf_reader *r)
{
    int ends[2];
    pid_t self = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return wf_fail_errno(WF_IO, "reader: no socket");
    r->host = fork();
    if (r->host == 0) {
        close(ends[0]);
        wf_reader_host_run(&r->shared, ends[1], self);
    }
    close(ends[1]);
    if (r->host < 0) {
        close(ends[0]);
        return wf_fail_errno(WF_IO, "reader: no process");
    }
    r->socket = ends[0];
    return WF_OK;
}

wf_status wf_reader_start(const wf_reader_config *config, wf_reader **out)
{
    const wf_reader_config defaults = {0};
    if (!config) config = &defaults;
    wf_reader *r = NULL;
    WF_TRY(wf_alloc(1, sizeof *r, &r));
    r->socket = -1;
    r->host = -1;
    configure(r, config);
    wf_status st = wf_alloc(r->shared.n_slots + 1, sizeof *r->slots, &r->slots);
    if (st == WF_OK) st = memory_map(r);
    if (st == WF_OK) st = host_start(r);
    if (st == WF_OK)
        *out = r;
    else
        wf_reader_close(&r);
    return st;
}

int64_t wf_reader_process(const wf_reader *reader)
{
    return reader && reader->host > 0 ? reader->host : 0;
}

void wf_reader_close(wf_reader **reader)
{
    if (reader == NULL || *reader == NULL) return;
    wf_reader *r = *reader;
    if (r->socket >= 0) close(r->socket);
    while (r->host > 0 && waitpid(r->host, NULL, 0) < 0 && errno == EINTR) {
    }
    if (r->memory != NULL) munmap(r->memory, r->memory_bytes);
    for (uint32_t i = 0; r->slots != NULL && i <= r->shared.n_slots; i++)
        free(r->slots[i].rows);
    free(r->slots);
    free(r);
    *reader = NULL;
}

// --- requests ---

static wf_status send_request(wf_reader *r, wf_reader_request *q, const char *path)
{
    if (strlen(path) >= sizeof q->path) return wf_fail(WF_NO_INPUT, "%s: name is too long", path);
    memcpy(q->path, path, strlen(path) + 1);
    q->seq = ++r->last_seq;
    // The time limit starts now, unless the reader is at work already.
    wf_reader_control *control = r->shared.control;
    if (atomic_load(&control->finished) + 1 == q->seq)
        atomic_store(&control->moved_ns, wf_clock_ns());
    atomic_store(&control->submitted, q->seq);
    while (send(r->socket, q, sizeof *q, MSG_NOSIGNAL) < 0) {
        if (errno == EINTR) continue;
        return wf_fail_errno(WF_INTERNAL, "%s: the reader process is gone", path);
    }
    r->slots[q->slot].state = SLOT_WAITING;
    r->slots[q->slot].seq = q->seq;
    return WF_OK;
}

uint32_t wf_reader_n_free(const wf_reader *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->shared.n_slots; i++)
        n += r->slots[i].state == SLOT_FREE;
    return n;
}

wf_status wf_reader_submit(wf_reader *r, const wf_reader_read *read)
{
    uint32_t i = 0;
    while (i < r->shared.n_slots && r->slots[i].state != SLOT_FREE)
        i++;
    assert(i < r->shared.n_slots);
    wf_reader_request q = {.op = WF_READER_ROWS,
                           .slot = i,
                           .n = read->n,
                           .row0 = read->row0,
                           .n_vocab = read->n_vocab,
                           .max_context = read->max_context};
    if (read->uid != NULL) snprintf(q.uid, sizeof q.uid, "%s", read->uid);
    r->slots[i].batch = (wf_reader_batch){.read = *read, .slot = i};
    return send_request(r, &q, read->path);
}

// --- replies ---

static bool inside(const wf_reader *r, uint32_t i_slot, const void *from, uint64_t bytes,
                   size_t align)
{
    uintptr_t start = (uintptr_t)wf_reader_slot(&r->shared, i_slot), at = (uintptr_t)from;
    size_t room = wf_reader_slot_bytes(&r->shared, i_slot);
    return at >= start && at - start <= room && bytes <= room - (at - start) && at % align == 0;
}

static bool row_is_sound(const wf_reader *r, uint32_t i_slot, const wf_request *row)
{
    bool failed = row->status != WF_OK;
    if (failed && wf_status_scope(row->status) != WF_SCOPE_REQUEST) return false;
    if (failed != (row->error != NULL)) return false;
    if (failed) {
        const char *start = wf_reader_slot(&r->shared, i_slot);
        if (!inside(r, i_slot, row->error, 1, 1)) return false;
        size_t room = r->shared.slot_bytes - (size_t)(row->error - start);
        if (memchr(row->error, '\0', room) == NULL) return false;
    }
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++) {
        const wf_shard_ragged *ragged = &wf_shard_raggeds[k];
        uint64_t bytes = wf_ragged_count(ragged, row) * (uint64_t)ragged->each_bytes;
        if (!inside(r, i_slot, wf_ragged_values(ragged, row), bytes, ragged->each_bytes))
            return false;
    }
    return true;
}

static wf_status take_rows(wf_reader *r, uint32_t i_slot, uint32_t n_rows)
{
    slot *s = &r->slots[i_slot];
    const wf_reader_read *read = &s->batch.read;
    const wf_request *from = (const void *)wf_reader_slot(&r->shared, i_slot);
    if (n_rows > read->n || (n_rows == 0 && read->n > 0) ||
        !inside(r, i_slot, from, n_rows * sizeof *from, 1)) {
        return wf_fail(WF_SHARD, "shard %s is damaged (reader returned nonsense)", read->path);
    }
    WF_TRY(wf_grow(n_rows, sizeof *s->rows, &s->rows_capacity, &s->rows));
    memcpy(s->rows, from, n_rows * sizeof *from);
    for (uint32_t i = 0; i < n_rows; i++) {
        wf_request *row = &s->rows[i];
        if (row->row != read->row0 + i || !row_is_sound(r, i_slot, row))
            return wf_fail(WF_SHARD, "shard %s is damaged (reader returned nonsense)", read->path);
        row->shard = read->shard;
    }
    s->batch.rows = s->rows;
    s->batch.n_rows = n_rows;
    return WF_OK;
}

static wf_status reply_status(const wf_reader_reply *reply, const char *path)
{
    if (reply->died) return wf_fail(WF_SHARD, "shard %s is damaged (%s)", path, reply->error);
    if (reply->status == WF_OK) return WF_OK;
    return wf_fail((wf_status)reply->status, "%s", reply->error);
}

static void complete(wf_reader *r, wf_reader_reply *reply)
{
    reply->error[sizeof reply->error - 1] = '\0';
    if (reply->slot > r->shared.n_slots) return;
    slot *s = &r->slots[reply->slot];
    // A reader that died after it had answered is answered for again: that reply is late.
    if (s->state != SLOT_WAITING || s->seq != reply->seq) return;
    s->state = SLOT_DONE;
    if (reply->slot == r->shared.n_slots) {
        r->sync_reply = *reply;
        return;
    }
    wf_status st = reply_status(reply, s->batch.read.path);
    if (st == WF_OK) st = take_rows(r, reply->slot, reply->n_rows);
    s->batch.status = st;
    if (st != WF_OK) {
        snprintf(s->error, sizeof s->error, "%s", wf_error());
        s->batch.error = s->error;
    }
}

// Takes one reply if it comes in time. *got tells.
static wf_status take_reply(wf_reader *r, int64_t timeout_ns, bool *got)
{
    *got = false;
    struct pollfd fd = {.fd = r->socket, .events = POLLIN};
    struct timespec wait = {timeout_ns / WF_NS_PER_S, timeout_ns % WF_NS_PER_S};
    int n = ppoll(&fd, 1, timeout_ns < 0 ? NULL : &wait, NULL);
    if (n == 0 || (n < 0 && errno == EINTR)) return WF_OK;
    wf_reader_reply reply;
    ssize_t bytes = recv(r->socket, &reply, sizeof reply, 0);
    if (bytes < 0 && errno == EINTR) return WF_OK;
    if (bytes != (ssize_t)sizeof reply)
        return wf_fail(WF_INTERNAL, "the reader process is gone; run again to continue");
    complete(r, &reply);
    *got = true;
    return WF_OK;
}

// The oldest read of a state, or NULL.
static slot *oldest(wf_reader *r, slot_state state)
{
    slot *found = NULL;
    for (uint32_t i = 0; i < r->shared.n_slots; i++) {
        slot *s = &r->slots[i];
        if (s->state == state && (found == NULL || s->seq < found->seq)) found = s;
    }
    return found;
}

wf_status wf_reader_wait(wf_reader *r, int64_t timeout_ns, const wf_reader_batch **out)
{
    *out = NULL;
    int64_t end = wf_clock_ns() + (timeout_ns > 0 ? timeout_ns : 0);
    while (oldest(r, SLOT_DONE) == NULL && oldest(r, SLOT_WAITING) != NULL) {
        int64_t left = timeout_ns < 0 ? -1 : end - wf_clock_ns();
        if (timeout_ns >= 0 && left < 0) left = 0;
        bool got = false;
        WF_TRY(take_reply(r, left, &got));
        if (!got) return WF_OK;
    }
    slot *s = oldest(r, SLOT_DONE);
    if (s == NULL) return WF_OK;
    s->state = SLOT_TAKEN;
    *out = &s->batch;
    return WF_OK;
}

void wf_reader_release(wf_reader *r, const wf_reader_batch *batch)
{
    slot *s = &r->slots[batch->slot];
    assert(s->state == SLOT_TAKEN);
    s->state = SLOT_FREE;
}

// --- calls that wait ---

static wf_status call(wf_reader *r, wf_reader_request *q, const char *path)
{
    slot *s = &r->slots[r->shared.n_slots];
    q->slot = r->shared.n_slots;
    WF_TRY(send_request(r, q, path));
    while (s->state == SLOT_WAITING) {
        bool got = false;
        WF_TRY(take_reply(r, -1, &got));
    }
    s->state = SLOT_FREE;
    return reply_status(&r->sync_reply, path);
}

wf_status wf_reader_open(wf_reader *r, const char *path, wf_shard_info *info)
{
    wf_reader_request q = {.op = WF_READER_OPEN};
    WF_TRY(call(r, &q, path));
    memcpy(info, wf_reader_slot(&r->shared, q.slot), sizeof *info);
    info->uid[sizeof info->uid - 1] = '\0';
    return WF_OK;
}

wf_status wf_reader_read_arrivals(wf_reader *r, const char *path, uint64_t row0, uint64_t n,
                                  int64_t *arrival_ns, uint32_t *n_prompt)
{
    while (n > 0) {
        uint32_t take = n < WF_READER_MAX_PLAN ? (uint32_t)n : WF_READER_MAX_PLAN;
        wf_reader_request q = {.op = WF_READER_ARRIVALS, .row0 = row0, .n = take};
        WF_TRY(call(r, &q, path));
        const char *from = wf_reader_slot(&r->shared, q.slot);
        memcpy(arrival_ns, from, take * sizeof *arrival_ns);
        if (n_prompt != NULL) {
            memcpy(n_prompt, from + take * sizeof *arrival_ns, take * sizeof *n_prompt);
            n_prompt += take;
        }
        arrival_ns += take;
        row0 += take;
        n -= take;
    }
    return WF_OK;
}

wf_status wf_reader_read_turns(wf_reader *r, const char *path, uint64_t row0, uint64_t n,
                               uint64_t *session, int64_t *think_ns, uint32_t *turn)
{
    for (uint64_t at = 0, take; at < n; at += take) {
        take = n - at < WF_READER_MAX_PLAN ? n - at : WF_READER_MAX_PLAN;
        wf_reader_request q = {.op = WF_READER_TURNS, .row0 = row0 + at, .n = (uint32_t)take};
        WF_TRY(call(r, &q, path));
        const char *from = wf_reader_slot(&r->shared, q.slot);
        memcpy(session + at, from, take * sizeof *session);
        memcpy(think_ns + at, from += take * sizeof *session, take * sizeof *think_ns);
        memcpy(turn + at, from + take * sizeof *think_ns, take * sizeof *turn);
    }
    return WF_OK;
}

wf_status wf_reader_read_keys(wf_reader *r, const char *path, uint64_t row0, uint64_t n,
                              const char *key, uint64_t *out)
{
    for (uint64_t at = 0, take; at < n; at += take) {
        take = n - at < WF_READER_MAX_PLAN ? n - at : WF_READER_MAX_PLAN;
        wf_reader_request q = {.op = WF_READER_KEYS, .row0 = row0 + at, .n = (uint32_t)take};
        snprintf(q.key, sizeof q.key, "%s", key);
        WF_TRY(call(r, &q, path));
        memcpy(out + at, wf_reader_slot(&r->shared, q.slot), take * sizeof *out);
    }
    return WF_OK;
}

static wf_status read_piece_offsets(wf_reader *r, const char *path, wf_pieces *p)
{
    uint64_t n = (uint64_t)p->n_tokens + 1;
    for (uint64_t at = 0, take; at < n; at += take) {
        take = n - at < WF_READER_MAX_PLAN ? n - at : WF_READER_MAX_PLAN;
        wf_reader_request q = {.op = WF_READER_CUTS, .row0 = at, .n = (uint32_t)take};
        WF_TRY(call(r, &q, path));
        memcpy(p->offset + at, wf_reader_slot(&r->shared, q.slot), take * sizeof *p->offset);
    }
    return WF_OK;
}

static wf_status read_piece_bytes(wf_reader *r, const char *path, uint64_t n, wf_pieces *p)
{
    for (uint64_t at = 0, take; at < n; at += take) {
        take = n - at < WF_READER_MAX_BYTES ? n - at : WF_READER_MAX_BYTES;
        wf_reader_request q = {.op = WF_READER_PIECES, .row0 = at, .n = (uint32_t)take};
        WF_TRY(call(r, &q, path));
        memcpy(p->byte + at, wf_reader_slot(&r->shared, q.slot), take);
    }
    return WF_OK;
}

wf_status wf_reader_read_pieces(wf_reader *r, const char *path, const wf_shard_info *info,
                                wf_pieces **out)
{
    enum { MOST_BYTES = 1 << 28 }; // a thousand of the longest vocabulary's
    wf_pieces *p = NULL;
    if (info->vocab_size < 1 || info->vocab_size >= INT32_MAX || info->piece_bytes > MOST_BYTES)
        return wf_fail(WF_SHARD, "%s:/tokenizer: of an impossible size", path);
    WF_TRY(wf_pieces_create((uint32_t)info->vocab_size, info->piece_bytes, &p));
    wf_status st = read_piece_offsets(r, path, p);
    if (st == WF_OK) st = read_piece_bytes(r, path, info->piece_bytes, p);
    if (st == WF_OK && !wf_pieces_are_sound(p, info->piece_bytes))
        st = wf_fail(WF_SHARD, "%s:/tokenizer/piece_offset: does not ascend to the pieces' end",
                     path);
    if (st == WF_OK)
        *out = p;
    else
        wf_pieces_free(p);
    return st;
}

wf_status wf_reader_look(wf_reader *r, const char *path, void *facts, size_t n_bytes)
{
    wf_reader_request q = {.op = WF_READER_LOOK};
    assert(n_bytes <= WF_READER_FACTS && r->shared.look);
    wf_status st = call(r, &q, path);
    memcpy(facts, wf_reader_slot(&r->shared, q.slot), n_bytes);
    if (r->sync_reply.died)
        return wf_fail(WF_DATA, "%s: is damaged (%s)", path, r->sync_reply.error);
    return st;
}

uint64_t wf_reader_n_died(const wf_reader *r)
{
    return atomic_load(&r->shared.control->n_died);
}
