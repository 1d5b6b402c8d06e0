#include "tests/gpu/forked_comm.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 1 << 20 };

// What the ranks of a group share.
typedef struct meeting {
    pthread_barrier_t barrier;
    size_t bytes;
    int64_t values[FORKED_MOST_RANKS];
    char message[MESSAGE_BYTES];
} meeting;

typedef struct forked_comm {
    wf_comm base;
    meeting *m;
} forked_comm;

static meeting *meeting_of(wf_comm *c)
{
    return ((forked_comm *)c)->m;
}

static wf_status meet(wf_comm *c)
{
    pthread_barrier_wait(&meeting_of(c)->barrier);
    return WF_OK;
}

static wf_status send_to_all(wf_comm *c, void *data, size_t bytes, int root)
{
    meeting *m = meeting_of(c);
    if (bytes > MESSAGE_BYTES) return wf_fail(WF_INTERNAL, "message of %zu bytes", bytes);
    if (c->rank == root) memcpy(m->message, data, m->bytes = bytes);
    meet(c);
    if (c->rank != root) memcpy(data, m->message, bytes);
    return meet(c);
}

static wf_status gather(wf_comm *c, wf_stream *s, const void *send, size_t bytes, void *recv)
{
    (void)s;
    meeting *m = meeting_of(c);
    size_t total = bytes * (size_t)c->size;
    if (total > MESSAGE_BYTES) return wf_fail(WF_INTERNAL, "gather of %zu bytes", total);
    memcpy(m->message + bytes * (size_t)c->rank, send, bytes);
    meet(c);
    memcpy(recv, m->message, total);
    return meet(c);
}

static wf_status publish(wf_comm *c, const void *data, size_t bytes)
{
    return send_to_all(c, (void *)(uintptr_t)data, bytes, 0);
}

static wf_status receive(wf_comm *c, void *data, size_t capacity, size_t *out_bytes)
{
    meeting *m = meeting_of(c);
    meet(c);
    if (m->bytes > capacity) return wf_fail(WF_INTERNAL, "message of %zu bytes", m->bytes);
    memcpy(data, m->message, *out_bytes = m->bytes);
    return meet(c);
}

static wf_status greatest(wf_comm *c, int64_t value, int64_t *out)
{
    meeting *m = meeting_of(c);
    m->values[c->rank] = value;
    meet(c);
    *out = m->values[0];
    for (int r = 1; r < c->size; r++)
        if (m->values[r] > *out) *out = m->values[r];
    return meet(c);
}

static const wf_comm_ops forked_ops = {.name = "forked",
                                       .all_gather = gather,
                                       .broadcast = send_to_all,
                                       .barrier = meet,
                                       .max_i64 = greatest,
                                       .publish = publish,
                                       .receive = receive};

int forked_run(int size, void (*run)(wf_comm *control, void *arg), void *arg)
{
    meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t attr;
    int n_failed = 0;
    if (m == MAP_FAILED) return size;
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&m->barrier, &attr, (unsigned)size);
    fflush(NULL);
    for (int r = 0; r < size; r++)
        if (fork() == 0) {
            forked_comm c = {.base = {.ops = &forked_ops, .rank = r, .size = size}, .m = m};
            run(&c.base, arg);
            fflush(NULL);
            _exit(0);
        }
    for (int r = 0; r < size; r++) {
        int status = 0;
        wait(&status);
        n_failed += status != 0;
    }
    munmap(m, sizeof *m);
    return n_failed;
}

int forked_count_devices(void)
{
    int n = 0;
    DIR *dir = opendir("/dev");
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strncmp(d->d_name, "nvidia", 6) == 0 && d->d_name[6] >= '0' && d->d_name[6] <= '9') n++;
    if (dir) closedir(dir);
    return n;
}

void forked_must(wf_status st, const char *what)
{
    if (st == WF_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, wf_status_name(st), wf_error());
    fflush(NULL);
    _exit(1);
}

void forked_sync(wf_backend *be, wf_stream *s)
{
    wf_event *e;
    forked_must(be->ops->event_create(be, &e), "event");
    forked_must(be->ops->event_record(be, e, s), "event");
    forked_must(be->ops->event_sync(be, e), "event");
    be->ops->event_destroy(be, e);
}
