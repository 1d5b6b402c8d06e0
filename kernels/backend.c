// The back ends by name, and the check that their tables are full.
#include "kernels/backend.h"

#include <stdio.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cuda/module.h"
#include "kernels/ref/ref.h"

// A back end registers with one row: its table, or how to get it where a module has it, and which
// number formats it computes together.
typedef struct row {
    const char *name;
    const wf_backend_ops *ops;
    wf_status (*open)(const wf_backend_ops **out);
    uint32_t weights, kv; // bits of the formats that its kernels read
    bool act_fp8;         // wf_numerics.act_fp8
    wf_status (*numerics)(wf_numerics *n);
} row;

#define BIT(format)         (1u << WF_##format)
#define OR_BIT(format, ...) | BIT(format)
#define PLAIN               (0u WF_PLAIN_FORMATS(OR_BIT))
#define ALL                 ((1u << WF_N_DTYPES) - 1)
#define BYTES               (PLAIN | BIT(FP8) | BIT(INT8)) // formats of whole bytes

// Host kernels convert to f32 as they load, whatever the format.
static wf_status host_numerics(wf_numerics *n)
{
    n->act = n->sum = WF_F32;
    return WF_OK;
}

static const row rows[] = {
    {.name = "ref", .ops = &wf_ref_ops, .weights = ALL, .kv = BYTES, .numerics = host_numerics},
    {.name = "cpu", .ops = &wf_cpu_ops, .weights = ALL, .kv = BYTES, .numerics = host_numerics},
    {.name = "cuda",
     .open = wf_cuda_module_backend,
     .weights = PLAIN | BIT(FP8) | BIT(INT8),
     .kv = BYTES,
     .act_fp8 = true,
     .numerics = wf_cuda_numerics},
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

static wf_status find(const char *name, const row **out)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(name, rows[i].name) == 0) {
            *out = &rows[i];
            return WF_OK;
        }
    return unknown(name);
}

static wf_status check_format(const row *r, const char *what, const char *of, uint32_t known,
                              wf_dtype format)
{
    char names[96] = "";
    if (wf_format_of(format) == NULL)
        return wf_fail(WF_INTERNAL, "%s: number format %d", what, (int)format);
    if (known >> format & 1u) return WF_OK;
    for (int i = 0; i < WF_N_DTYPES; i++) {
        size_t at = strlen(names);
        if (known >> i & 1u)
            snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "",
                     wf_dtype_name((wf_dtype)i));
    }
    return wf_fail(WF_CONFIG, "%s: back end %s has no kernels that read %s in %s, only %s", what,
                   r->name, of, wf_dtype_name(format), names);
}

static wf_status resolve(const row *r, wf_numerics *n)
{
    const char *key = wf_format_scaled(n->weight) ? "model.weights_format" : "model.dtype";
    WF_TRY(check_format(r, key, "weights", r->weights, n->weight));
    WF_TRY(check_format(r, "model.dtype", "weights", r->weights & PLAIN, n->plain));
    WF_TRY(check_format(r, "model.kv_dtype", "KV", r->kv, n->kv));
    if (n->act_fp8 && (!r->act_fp8 || n->weight != WF_FP8))
        return wf_fail(WF_CONFIG,
                       "model.activations_format: fp8 is for model.weights_format: fp8 on back end "
                       "cuda, not for %s on %s; leave it out",
                       wf_dtype_name(n->weight), r->name);
    return r->numerics(n);
}

wf_status wf_backend_numerics(const char *name, wf_numerics *numerics)
{
    const row *r = NULL;
    WF_TRY(find(name, &r));
    return resolve(r, numerics);
}

wf_status wf_backend_create(const char *name, const wf_backend_config *config, wf_backend **out)
{
    const row *r = NULL;
    wf_backend_config full = *config;
    WF_TRY(find(name, &r));
    WF_TRY(resolve(r, &full.numerics));
    const wf_backend_ops *ops = r->ops;
    if (r->open != NULL) WF_TRY(r->open(&ops));
    WF_TRY(wf_backend_check(ops));
    return ops->create(&full, out);
}

void wf_backend_destroy(wf_backend *be)
{
    if (be != NULL) be->ops->destroy(be);
}
