// The communicator of one rank, and what all communicators share.
#include "engine/comm/comm.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/clock.h"

#define LOOK_EVERY_NS (100 * WF_NS_PER_MS)

static wf_status self_all_reduce(wf_comm *c, wf_stream *s, void *data, int64_t n, wf_dtype dtype)
{
    (void)c, (void)s, (void)data, (void)n, (void)dtype;
    return WF_OK;
}

static wf_status self_all_gather(wf_comm *c, wf_stream *s, const void *send, size_t bytes,
                                 void *recv)
{
    (void)c, (void)s;
    if (recv != send) memcpy(recv, send, bytes);
    return WF_OK;
}

static wf_status self_broadcast(wf_comm *c, void *data, size_t bytes, int root)
{
    (void)c, (void)data, (void)bytes, (void)root;
    return WF_OK;
}

static wf_status self_barrier(wf_comm *c)
{
    (void)c;
    return WF_OK;
}

static wf_status self_max_i64(wf_comm *c, int64_t value, int64_t *out)
{
    (void)c;
    *out = value;
    return WF_OK;
}

static wf_status self_split(wf_comm *c, int color, int key, wf_comm **out)
{
    (void)c, (void)key;
    *out = NULL;
    return color < 0 ? WF_OK : wf_comm_self_create(out);
}

static wf_status self_publish(wf_comm *c, const void *data, size_t bytes)
{
    (void)c, (void)data, (void)bytes;
    return WF_OK;
}

static wf_status self_receive(wf_comm *c, void *data, size_t capacity, size_t *out_bytes)
{
    (void)c, (void)data, (void)capacity, (void)out_bytes;
    return wf_fail(WF_INTERNAL, "comm self: a group of one rank has nobody to receive from");
}

static void self_abort(wf_comm *c, int exit_code)
{
    (void)c;
    _exit(exit_code);
}

static void self_destroy(wf_comm *c)
{
    free(c);
}

static const wf_comm_ops self_ops = {
    .name = "self",
    .all_reduce = self_all_reduce,
    .all_gather = self_all_gather,
    .broadcast = self_broadcast,
    .barrier = self_barrier,
    .max_i64 = self_max_i64,
    .split = self_split,
    .publish = self_publish,
    .receive = self_receive,
    .abort = self_abort,
    .destroy = self_destroy,
};

wf_status wf_comm_self_create(wf_comm **out)
{
    wf_comm *c = malloc(sizeof *c);
    if (!c) return wf_fail(WF_NO_MEMORY, "comm self: out of memory");
    *c = (wf_comm){.ops = &self_ops, .rank = 0, .size = 1};
    *out = c;
    return WF_OK;
}

wf_status wf_comm_all_reduce_rmsnorm(wf_comm *c, wf_backend *be, wf_stream *s,
                                     const wf_rmsnorm_args *a)
{
    bool done = false;
    if (c->ops->all_reduce_rmsnorm) WF_TRY(c->ops->all_reduce_rmsnorm(c, s, a, &done));
    if (done) return WF_OK;
    if (c->size > 1)
        WF_TRY(c->ops->all_reduce(c, s, a->x.data, a->x.n_rows * a->x.n_cols, a->x.dtype));
    return be->ops->rmsnorm(be, s, a);
}

// Asks the event over and over, and now and then the communicator.
static wf_status wait_and_look(wf_comm *c, wf_backend *be, wf_event *e, int64_t i_step)
{
    int64_t begin = wf_clock_ns(), last = begin;
    bool done = false;
    for (int n_asked = 1;; n_asked++) {
        WF_TRY(be->ops->event_query(be, e, &done));
        if (done) return WF_OK;
        if (n_asked % 64 != 0) continue;
        int64_t now = wf_clock_ns();
        sched_yield(); // more ranks than cores: the others are let on
        if (now - last < LOOK_EVERY_NS) continue;
        last = now;
        WF_TRY(c->ops->look(c, i_step, now - begin));
    }
}

wf_status wf_comm_wait(wf_comm *c, wf_backend *be, wf_event *e, int64_t i_step)
{
    if (!c->ops->look) return be->ops->event_sync(be, e);
    WF_TRY(wait_and_look(c, be, e, i_step));
    return c->ops->look(c, i_step, 0); // what was computed without a peer is worth nothing
}

void wf_comm_destroy(wf_comm *c)
{
    if (c) c->ops->destroy(c);
}
