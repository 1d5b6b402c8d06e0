// A back end: one table of operations over one device, chosen at run time.
//
//   ref   plain C, one thread, never optimised: the oracle of every operation test
//   cpu   OpenMP and vector kernels; may inherit an entry from ref
//   cuda  in the module weft_cuda, opened when asked for; a missing entry is a creation error
//
// Life cycle: wf_backend_create -> weights, buffers, streams -> operations -> destroy in reverse.
// Operations are queued on a stream in call order and are complete when an event recorded after
// them says so; a back end on host memory may complete them before returning. Nothing allocates or
// blocks between the first operation of a step and its download, except wf_backend_ops.event_sync.
//
// All functions are Local. Operation errors are WF_DEVICE (the device failed) or WF_INTERNAL (a
// shape the caller must not pass). One thread drives a back end at a time.
#ifndef WF_KERNELS_BACKEND_H
#define WF_KERNELS_BACKEND_H

#include "io/base/status.h"
#include "kernels/handle.h"
#include "kernels/ops.h"
#include "kernels/weight.h"

typedef struct wf_backend_config {
    int device;           // index among the devices this process sees
    int n_threads;        // host threads; 0: as many as the process may use
    wf_numerics numerics; // weight and kv: as asked; act and sum are the back end's to say
    const char *isa;      // cpu: NULL best, "avx512", "avx2", "portable"; cuda, for tests: NULL or
                          // "stream", an own GEMM kernel, to be taken wherever it fits
    bool deterministic;   // cuda: a row's results never depend on its batch (ref, cpu: always so)
} wf_backend_config;

typedef struct wf_backend_info {
    char name[16];                    // "cpu"
    char device[96];                  // "AMD EPYC 9354, avx512, 2 threads"
    bool host_memory;                 // buffers are host addresses
    bool async;                       // operations run behind the host; capture is available
    wf_numerics numerics;             // as it computes
    uint64_t free_bytes, total_bytes; // device memory now
} wf_backend_info;

struct wf_backend_ops {
    const char *name;
    wf_status (*create)(const wf_backend_config *config, wf_backend **out);
    void (*destroy)(wf_backend *be);
    wf_status (*info)(wf_backend *be, wf_backend_info *out);

    // Memory. alloc is 256-byte aligned and zeroed; host_alloc is pinned where that exists.
    wf_status (*alloc)(wf_backend *be, size_t bytes, void **out);
    void (*free)(wf_backend *be, void *data);
    wf_status (*host_alloc)(wf_backend *be, size_t bytes, void **out);
    void (*host_free)(wf_backend *be, void *data);
    wf_status (*upload)(wf_backend *be, wf_stream *s, void *dst, const void *src, size_t bytes);
    wf_status (*download)(wf_backend *be, wf_stream *s, void *dst, const void *src, size_t bytes);

    // Weights, in the back end's own layout. load copies a block of rows of one part from host
    // memory, converting. random fills with mean 0, deviation std and a normal's shape (random.h),
    // keyed by seed and element: the same matrix on every back end. A scaled weight gets one scale
    // for all and numbers rounded to it (wf_random_scale).
    wf_status (*weight_create)(wf_backend *be, const wf_weight_shape *shape, wf_weight **out);
    wf_status (*weight_load)(wf_backend *be, wf_weight *w, const wf_weight_block *block);
    wf_status (*weight_random)(wf_backend *be, wf_weight *w, uint64_t seed, float std);
    void (*weight_destroy)(wf_backend *be, wf_weight *w);

    // Order.
    wf_status (*stream_create)(wf_backend *be, wf_stream **out);
    void (*stream_destroy)(wf_backend *be, wf_stream *s);
    wf_status (*event_create)(wf_backend *be, wf_event **out);
    void (*event_destroy)(wf_backend *be, wf_event *e);
    wf_status (*event_record)(wf_backend *be, wf_event *e, wf_stream *s);
    wf_status (*event_query)(wf_backend *be, wf_event *e, bool *out_done);
    wf_status (*event_sync)(wf_backend *be, wf_event *e);
    wf_status (*stream_wait)(wf_backend *be, wf_stream *s, wf_event *e);
    // *at, memory of alloc or host_alloc, becomes the device's clock in nanoseconds when what was
    // queued before has run. Costs a few microseconds: for measuring.
    wf_status (*stamp)(wf_backend *be, wf_stream *s, uint64_t *at);
    // Begins a named range that a profiler of the device shows beside the operations queued in it;
    // name NULL ends it.
    void (*range)(wf_backend *be, const char *name);

    // Operations, one entry for each row of WF_OPS (ops.h).
#define WF_OP_ENTRY(op, args) wf_status (*op)(wf_backend * be, wf_stream * s, const args *a);
    WF_OPS(WF_OP_ENTRY)
#undef WF_OP_ENTRY

    // Capture of a step: what is queued between begin and end is kept, not run. Its arguments are
    // kept by value; what they point to is read when the graph runs. A step must have run once, in
    // the same shapes, before it is captured. capture_end with out NULL throws it away and cannot
    // fail. Back ends that cannot capture leave all four NULL.
    wf_status (*capture_begin)(wf_backend *be, wf_stream *s);
    wf_status (*capture_end)(wf_backend *be, wf_stream *s, wf_graph **out);
    wf_status (*graph_launch)(wf_backend *be, wf_stream *s, wf_graph *g);
    void (*graph_destroy)(wf_backend *be, wf_graph *g);
};

// Creates the back end called `name` ("ref", "cpu", "cuda"). Caller owns *out. Errors: WF_CONFIG
// (no such name), WF_NOT_BUILT (built without it: says which CMake option), WF_DEVICE (no device),
// WF_NO_MEMORY, those of wf_backend_check and wf_backend_numerics.
wf_status wf_backend_create(const char *name, const wf_backend_config *config, wf_backend **out);

// What the back end called `name` keeps and sums its numbers in, given the formats of weights and
// KV: sets act and sum. Pure: no device is asked. WF_CONFIG: it cannot compute these together, or
// there is no such back end.
wf_status wf_backend_numerics(const char *name, wf_numerics *numerics);

// Whether a table has every entry it must have. WF_INTERNAL names the first that is missing.
wf_status wf_backend_check(const wf_backend_ops *ops);

// Takes NULL.
void wf_backend_destroy(wf_backend *be);

#endif
