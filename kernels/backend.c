// The back ends by name, and the check that their tables are full.
#include "kernels/backend.h"

#include <stdio.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cuda/module.h"
#include "kernels/ref/ref.h"

// A back end registers with one row: its table, or how to get it where a module has it.
typedef struct row {
    const char *name;
    const wf_backend_ops *ops;
    wf_status (*open)(const wf_backend_ops **out);
} row;

static const row rows[] = {
    {.name = "ref", .ops = &wf_ref_ops},
    {.name = "cpu", .ops = &wf_cpu_ops},
    {.name = "cuda", .open = wf_cuda_module_backend},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

// ---- full tables --------------------------------------------------------------------------------

// What a table has beside its operations; capture's are there or not, all four together.
#define SERVICES(X)                                                                                \
    X(create)                                                                                      \
    X(destroy)                                                                                     \
    X(info)                                                                                        \
    X(alloc)                                                                                       \
    X(free)                                                                                        \
    X(host_alloc)                                                                                  \
    X(host_free)                                                                                   \
    X(upload)                                                                                      \
    X(download)                                                                                    \
    X(weight_create)                                                                               \
    X(weight_load)                                                                                 \
    X(weight_random)                                                                               \
    X(weight_destroy)                                                                              \
    X(stream_create)                                                                               \
    X(stream_destroy)                                                                              \
    X(event_create)                                                                                \
    X(event_destroy)                                                                               \
    X(event_record)                                                                                \
    X(event_query)                                                                                 \
    X(event_sync)                                                                                  \
    X(stream_wait)                                                                                 \
    X(stamp)                                                                                       \
    X(range)
#define CAPTURE(X) X(capture_begin) X(capture_end) X(graph_launch) X(graph_destroy)

#define ONE_MORE(entry)       +1
#define ONE_OP_MORE(op, args) +1
_Static_assert(sizeof(wf_backend_ops) ==
                   sizeof(const char *) +
                       (0 SERVICES(ONE_MORE) WF_OPS(ONE_OP_MORE) CAPTURE(ONE_MORE)) *
                           sizeof(void (*)(void)),
               "the lists here and in ops.h have every entry of the table");

static wf_status missing(const wf_backend_ops *ops, const char *entry)
{
    return wf_fail(WF_INTERNAL,
                   "back end %s: its table has no entry '%s'; this build of it is incomplete",
                   ops->name, entry);
}

wf_status wf_backend_check(const wf_backend_ops *ops)
{
    int n_capture = 0;
#define CHECK(entry)                                                                               \
    if (ops->entry == NULL) return missing(ops, #entry);
#define CHECK_OP(op, args) CHECK(op)
#define COUNT(entry)       n_capture += ops->entry != NULL;
    SERVICES(CHECK)
    WF_OPS(CHECK_OP)
    CAPTURE(COUNT)
    if (n_capture == 0) return WF_OK;
    CAPTURE(CHECK)
    return WF_OK;
}

// ---- by name ------------------------------------------------------------------------------------

static wf_status unknown(const char *name)
{
    char names[64] = "";
    for (size_t i = 0, at = 0; i < N_ROWS && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", rows[i].name);
    return wf_fail(WF_CONFIG, "parallel.backend: no back end is called '%s'; there are: %s", name,
                   names);
}

wf_status wf_backend_create(const char *name, const wf_backend_config *config, wf_backend **out)
{
    size_t i = 0;
    while (i < N_ROWS && strcmp(name, rows[i].name) != 0)
        i++;
    if (i == N_ROWS) return unknown(name);
    const wf_backend_ops *ops = rows[i].ops;
    if (rows[i].open != NULL) WF_TRY(rows[i].open(&ops));
    WF_TRY(wf_backend_check(ops));
    return ops->create(config, out);
}

void wf_backend_destroy(wf_backend *be)
{
    if (be != NULL) be->ops->destroy(be);
}
