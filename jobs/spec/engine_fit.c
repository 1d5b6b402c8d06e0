// See engine_fit.h.
#include "jobs/spec/engine_fit.h"

#include <inttypes.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/log.h"

#define GIB    ((double)(1 << 30))
#define SHRINK 0.8

enum { MOST_TRIES = 8 };

// Host memory that the rest of the process takes once steps run: segments, HDF5, stacks of threads.
// Held while an engine is tried, so that KV memory which just fits does not take it away.
#define ROOM_BYTES ((size_t)64 << 20)

// KV memory can be smaller than planned, unless it was asked for in bytes.
static bool may_shrink(const wf_engine_fit *f)
{
    return f->spec->engine.kv_memory.bytes == 0;
}

// What the plan expects to be free now, and what is.
typedef struct {
    uint64_t planned, real;
} fit_room;

static wf_status look(const wf_engine_fit *f, const wf_plan_memory *m, fit_room *out)
{
    wf_backend_info now;
    WF_TRY(f->be->ops->info(f->be, &now));
    uint64_t taken = m->weight_bytes + m->comm_bytes;
    out->planned = m->free_bytes > taken ? m->free_bytes - taken : 0;
    out->real = now.free_bytes;
    return WF_OK;
}

static void say(const wf_engine_fit *f, const wf_plan_memory *m, const wf_plan_kv *kv,
                const fit_room *room)
{
    char text[256];
    if (!f->speaks) return;
    wf_detail("memory per rank: %s; KV %.2f GiB (%" PRIu64 " tokens)",
              wf_plan_memory_text(m, text, sizeof text), (double)kv->bytes / GIB, kv->n_tokens);
    if (f->before->host_memory) return; // shared with everybody: says nothing
    wf_info("memory: %.2f GiB are free after loading, %.2f %s than planned",
            (double)room->real / GIB,
            (room->real < room->planned ? (double)(room->planned - room->real)
                                        : (double)(room->real - room->planned)) /
                GIB,
            room->real < room->planned ? "less" : "more");
}

// The plan, made smaller by what is missing on the device.
static wf_status plan(const wf_engine_fit *f, wf_plan_kv *kv)
{
    wf_plan_memory m, left;
    fit_room room;
    const wf_plan_device device = {.free_bytes = f->before->free_bytes,
                                   .n_sharing = f->n_sharing,
                                   .host = f->before->host_memory,
                                   .num = f->before->numerics};
    WF_TRY(wf_plan_model_memory(f->spec, &f->model->arch, &device, f->needs, &m));
    WF_TRY(look(f, &m, &room));
    left = m;
    if (!device.host && room.real < room.planned) left.free_bytes -= room.planned - room.real;
    WF_TRY(wf_plan_kv_capacity(&left, kv));
    say(f, &m, kv, &room);
    return WF_OK;
}

// What became of an attempt, on the rank where it went worst.
typedef enum { FINE, SHORT_OF_MEMORY, FAILED } verdict;

static wf_status agree(const wf_engine_fit *f, wf_status st, verdict *out)
{
    int64_t mine = st == WF_OK ? FINE : st == WF_NO_MEMORY ? SHORT_OF_MEMORY : FAILED, worst = 0;
    WF_TRY(f->group->ops->max_i64(f->group, mine, &worst));
    *out = (verdict)worst;
    return WF_OK;
}

static wf_status warm_up(const wf_engine_fit *f, wf_engine *e)
{
    wf_backend_info now;
    int64_t start_ns = wf_clock_ns();
    WF_TRY(wf_engine_warm_up(e, &f->spec->sampling));
    WF_TRY(f->be->ops->info(f->be, &now));
    if (f->speaks && now.async) {
        wf_info("warm-up: %d captured steps in %.2f s; %.2f GiB are free", wf_engine_n_graphs(e),
                (double)(wf_clock_ns() - start_ns) / (double)WF_NS_PER_S,
                (double)now.free_bytes / GIB);
    }
    return WF_OK;
}

// One attempt, agreed on. An engine that was made is in *out, whatever became of the others'.
static wf_status attempt(const wf_engine_fit *f, const wf_engine_config *c, wf_engine **out,
                         verdict *v)
{
    wf_status st = wf_engine_create(f->be, f->model, f->data, c, out);
    WF_TRY(agree(f, st, v));
    if (*v != FINE) return st;
    st = warm_up(f, *out);
    WF_TRY(agree(f, st, v));
    return st;
}

wf_status wf_engine_fit_create(const wf_engine_fit *f, const wf_engine_config *config,
                               wf_engine **out)
{
    wf_engine_config c = *config;
    wf_plan_kv kv;
    WF_TRY(plan(f, &kv));
    c.kv_bytes = kv.bytes;
    for (int i = 1;; i++) {
        verdict v = FINE;
        void *room = NULL; // one that cannot be had is one that the attempt will miss as well
        if (wf_alloc(ROOM_BYTES, 1, &room) != WF_OK) room = NULL;
        wf_status st = attempt(f, &c, out, &v);
        free(room);
        if (v != SHORT_OF_MEMORY) return st;
        wf_engine_destroy(*out);
        *out = NULL;
        if (st == WF_OK) wf_fail(WF_NO_MEMORY, "another rank of the group is short of memory");
        if (!may_shrink(f) || i == MOST_TRIES) return WF_NO_MEMORY;
        c.kv_bytes = (uint64_t)((double)c.kv_bytes * SHRINK);
        wf_warn("%s; going on with %.2f GiB of KV memory instead of %.2f", wf_error(),
                (double)c.kv_bytes / GIB, (double)kv.bytes / GIB);
    }
}
