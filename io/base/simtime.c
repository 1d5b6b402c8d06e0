// See simtime.h.
#include "io/base/simtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

typedef struct member {
    wf_clock clock;
    wf_simtime *time;
    int number;
    _Atomic int64_t now_ns; // written by its own thread
    wf_simtime_event event; // of its own process
    bool left;
} member;

struct wf_simtime {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    atomic_int n_asleep;
    bool meet;
    int n;
    size_t bytes; // of this memory
    member member[];
};

static int64_t own_now(const member *m)
{
    return atomic_load_explicit(&m->now_ns, memory_order_relaxed);
}

static int64_t clock_now(void *context)
{
    return own_now(context);
}

// Those who sleep look again.
static void tell(wf_simtime *t)
{
    if (atomic_load(&t->n_asleep) == 0) return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}

static void move(member *m, int64_t to_ns)
{
    if (to_ns > own_now(m)) atomic_store(&m->now_ns, to_ns);
}

static void jump(member *m, int64_t to_ns)
{
    for (int64_t at_ns; m->event.next && (at_ns = m->event.next(m->event.context)) <= to_ns;) {
        move(m, at_ns);
        if (!m->event.fire(m->event.context)) break;
    }
    move(m, to_ns);
    tell(m->time);
}

static bool is_next(const wf_simtime *t, const member *m)
{
    for (int i = 0; i < t->n; i++) {
        const member *o = &t->member[i];
        int64_t ns = atomic_load(&o->now_ns);
        if (o == m || o->left || ns > own_now(m)) continue;
        if (ns < own_now(m) || i < m->number) return false;
    }
    return true;
}

static void wait_for_others(member *m)
{
    wf_simtime *t = m->time;
    if (!t->meet || t->n == 1) return;
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->n_asleep, 1);
    pthread_cond_broadcast(&t->moved); // this one's time may have been waited for
    while (!is_next(t, m))
        pthread_cond_wait(&t->moved, &t->lock);
    atomic_fetch_sub(&t->n_asleep, 1);
    pthread_mutex_unlock(&t->lock);
}

static bool clock_sleep_until(void *context, int64_t to_ns)
{
    jump(context, to_ns);
    wait_for_others(context);
    return true;
}

// Locks that hold between processes.
static void make_locks(wf_simtime *t)
{
    pthread_mutexattr_t lock;
    pthread_condattr_t moved;
    pthread_mutexattr_init(&lock);
    pthread_condattr_init(&moved);
    pthread_mutexattr_setpshared(&lock, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setpshared(&moved, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&t->lock, &lock);
    pthread_cond_init(&t->moved, &moved);
    pthread_mutexattr_destroy(&lock);
    pthread_condattr_destroy(&moved);
}

wf_status wf_simtime_create(int n_members, int64_t now_ns, bool meet, wf_simtime **out)
{
    size_t bytes = sizeof(wf_simtime) + (size_t)n_members * sizeof(member);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *out = NULL;
    if (memory == MAP_FAILED) return wf_fail(WF_NO_MEMORY, "simulated time: out of memory");
    wf_simtime *t = memory;
    t->bytes = bytes;
    t->n = n_members;
    t->meet = meet;
    make_locks(t);
    for (int i = 0; i < n_members; i++) {
        member *m = &t->member[i];
        m->clock = (wf_clock){.now = clock_now, .sleep_until = clock_sleep_until, .context = m};
        m->time = t;
        m->number = i;
        atomic_init(&m->now_ns, now_ns);
    }
    *out = t;
    return WF_OK;
}

void wf_simtime_destroy(wf_simtime **time)
{
    if (*time) munmap(*time, (*time)->bytes); // others may be inside: its locks go with the memory
    *time = NULL;
}

const wf_clock *wf_simtime_clock(wf_simtime *t, int i_member)
{
    return &t->member[i_member].clock;
}

void wf_simtime_on(wf_simtime *t, int i_member, const wf_simtime_event *event)
{
    t->member[i_member].event = *event;
}

void wf_simtime_meet(wf_simtime *t, int i_member)
{
    wait_for_others(&t->member[i_member]);
}

void wf_simtime_jump(wf_simtime *t, int i_member, int64_t to_ns)
{
    jump(&t->member[i_member], to_ns);
}

void wf_simtime_leave(wf_simtime *t, int i_member)
{
    pthread_mutex_lock(&t->lock);
    t->member[i_member].left = true;
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}
