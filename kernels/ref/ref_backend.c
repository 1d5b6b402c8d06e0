// The reference back end's table, memory and order.
#include "kernels/ref/ref.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/file.h"

// A host back end finishes each operation before it returns: streams and events carry no state.
struct wf_stream {
    int unused;
};

struct wf_event {
    int unused;
};

#define ALIGNMENT  256
#define HUGE_BYTES ((size_t)2 << 20)

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static uint64_t machine_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

wf_status wf_ref_reserve(size_t bytes, size_t *out_size, void **out)
{
    // All of it is touched here, so more than the machine has would end in the kernel's killer.
    if (bytes > machine_bytes())
        return wf_fail(WF_NO_MEMORY, "host memory: %zu bytes asked of a machine with %" PRIu64,
                       bytes, machine_bytes());
    // Large blocks on huge pages: a decode step reads all weights once, and 4 KiB pages would cost
    // a TLB miss every few cache lines.
    size_t unit = bytes >= HUGE_BYTES ? HUGE_BYTES : ALIGNMENT;
    size_t size = round_up(bytes == 0 ? 1 : bytes, unit);
    void *data = aligned_alloc(unit, size);
    if (data == NULL)
        return wf_fail(WF_NO_MEMORY,
                       "host memory: %zu bytes cannot be had; ask for less "
                       "(engine.kv_memory) or run with more ranks",
                       bytes);
    if (unit == HUGE_BYTES) (void)madvise(data, size, MADV_HUGEPAGE); // advice: may be refused
    *out_size = size;
    *out = data;
    return WF_OK;
}

wf_status wf_ref_alloc(wf_backend *be, size_t bytes, void **out)
{
    (void)be;
    size_t size = 0;
    WF_TRY(wf_ref_reserve(bytes, &size, out));
    memset(*out, 0, size);
    return WF_OK;
}

void wf_ref_free(wf_backend *be, void *data)
{
    (void)be;
    free(data);
}

wf_status wf_ref_copy(wf_backend *be, wf_stream *s, void *dst, const void *src, size_t bytes)
{
    (void)be;
    (void)s;
    if (bytes > 0) memcpy(dst, src, bytes);
    return WF_OK;
}

wf_status wf_ref_stream_create(wf_backend *be, wf_stream **out)
{
    (void)be;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? WF_OK : wf_fail(WF_NO_MEMORY, "stream: out of memory");
}

void wf_ref_stream_destroy(wf_backend *be, wf_stream *s)
{
    (void)be;
    free(s);
}

wf_status wf_ref_event_create(wf_backend *be, wf_event **out)
{
    (void)be;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? WF_OK : wf_fail(WF_NO_MEMORY, "event: out of memory");
}

void wf_ref_event_destroy(wf_backend *be, wf_event *e)
{
    (void)be;
    free(e);
}

wf_status wf_ref_event_record(wf_backend *be, wf_event *e, wf_stream *s)
{
    (void)be;
    (void)e;
    (void)s;
    return WF_OK;
}

wf_status wf_ref_event_query(wf_backend *be, wf_event *e, bool *out_done)
{
    (void)be;
    (void)e;
    *out_done = true;
    return WF_OK;
}

wf_status wf_ref_event_sync(wf_backend *be, wf_event *e)
{
    (void)be;
    (void)e;
    return WF_OK;
}

wf_status wf_ref_stream_wait(wf_backend *be, wf_stream *s, wf_event *e)
{
    (void)be;
    (void)s;
    (void)e;
    return WF_OK;
}

wf_status wf_ref_stamp(wf_backend *be, wf_stream *s, uint64_t *at)
{
    (void)be;
    (void)s;
    *at = (uint64_t)wf_clock_ns();
    return WF_OK;
}

void wf_ref_range(wf_backend *be, const char *name)
{
    (void)be;
    (void)name;
}

void wf_ref_host_memory(uint64_t *out_free_bytes, uint64_t *out_total_bytes)
{
    *out_total_bytes = machine_bytes();
    *out_free_bytes = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    // The kernel's own estimate counts the page cache that it would give back; sysconf does not.
    char line[128];
    unsigned long long kib;
    if (wf_file_line("/proc/meminfo", "MemAvailable:", line, sizeof line) &&
        sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
        *out_free_bytes = kib * 1024u;
}

typedef struct ref_backend {
    wf_backend base;
    wf_numerics numerics;
} ref_backend;

static wf_status ref_create(const wf_backend_config *config, wf_backend **out)
{
    ref_backend *be = calloc(1, sizeof *be);
    if (be == NULL) return wf_fail(WF_NO_MEMORY, "back end ref: out of memory");
    be->base.ops = &wf_ref_ops;
    be->numerics = config->numerics;
    *out = &be->base;
    return WF_OK;
}

static void ref_destroy(wf_backend *be)
{
    free(be);
}

static wf_status ref_info(wf_backend *be, wf_backend_info *out)
{
    *out = (wf_backend_info){.name = "ref",
                             .device = "reference C, 1 thread",
                             .host_memory = true,
                             .numerics = ((const ref_backend *)be)->numerics};
    wf_ref_host_memory(&out->free_bytes, &out->total_bytes);
    return WF_OK;
}

const wf_backend_ops wf_ref_ops = {
    .name = "ref",
    .create = ref_create,
    .destroy = ref_destroy,
    .info = ref_info,
    .alloc = wf_ref_alloc,
    .free = wf_ref_free,
    .host_alloc = wf_ref_alloc,
    .host_free = wf_ref_free,
    .upload = wf_ref_copy,
    .download = wf_ref_copy,
    .weight_create = wf_ref_weight_create,
    .weight_load = wf_ref_weight_load,
    .weight_random = wf_ref_weight_random,
    .weight_destroy = wf_ref_weight_destroy,
    .stream_create = wf_ref_stream_create,
    .stream_destroy = wf_ref_stream_destroy,
    .event_create = wf_ref_event_create,
    .event_destroy = wf_ref_event_destroy,
    .event_record = wf_ref_event_record,
    .event_query = wf_ref_event_query,
    .event_sync = wf_ref_event_sync,
    .stream_wait = wf_ref_stream_wait,
    .stamp = wf_ref_stamp,
    .range = wf_ref_range WF_OPS(WF_REF_ENTRY),
};
