// The reference back end: naive C on host memory, the oracle of every operation test.
//
// Weights are row-major in their dtype; activations are f32; sums are doubles in ascending order,
// so that the oracle's own rounding is out of the way. Its memory and order entries, which need no
// optimising, are what `cpu` inherits.
//
// Errors and ownership as in kernels/backend.h. All functions are Local.
#ifndef WF_KERNELS_REF_REF_H
#define WF_KERNELS_REF_REF_H

#include "kernels/backend.h"

extern const wf_backend_ops wf_ref_ops;

// Memory and order on a host: every operation is complete when it returns.
wf_status wf_ref_alloc(wf_backend *be, size_t bytes, void **out);
// The same without touching it: `out_size` bytes are for the caller to zero.
wf_status wf_ref_reserve(size_t bytes, size_t *out_size, void **out);
void wf_ref_free(wf_backend *be, void *data);
wf_status wf_ref_copy(wf_backend *be, wf_stream *s, void *dst, const void *src, size_t bytes);
wf_status wf_ref_stream_create(wf_backend *be, wf_stream **out);
void wf_ref_stream_destroy(wf_backend *be, wf_stream *s);
wf_status wf_ref_event_create(wf_backend *be, wf_event **out);
void wf_ref_event_destroy(wf_backend *be, wf_event *e);
wf_status wf_ref_event_record(wf_backend *be, wf_event *e, wf_stream *s);
wf_status wf_ref_stamp(wf_backend *be, wf_stream *s, uint64_t *at);
void wf_ref_range(wf_backend *be, const char *name);
wf_status wf_ref_event_query(wf_backend *be, wf_event *e, bool *out_done);
wf_status wf_ref_event_sync(wf_backend *be, wf_event *e);
wf_status wf_ref_stream_wait(wf_backend *be, wf_stream *s, wf_event *e);

// Bytes of host memory that can be had without swapping, and in all.
void wf_ref_host_memory(uint64_t *out_free_bytes, uint64_t *out_total_bytes);

// Weights, row-major.
wf_status wf_ref_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out);
wf_status wf_ref_weight_load(wf_backend *be, wf_weight *w, const wf_weight_block *block);
wf_status wf_ref_weight_random(wf_backend *be, wf_weight *w, uint64_t seed, float std);
void wf_ref_weight_destroy(wf_backend *be, wf_weight *w);

// Element (row, col) of a weight of this back end, as f32; rows count through all its matrices.
// Borrows.
float wf_ref_weight_at(const wf_weight *w, int64_t row, int64_t col);

#define WF_REF_OP(op, args) wf_status wf_ref_##op(wf_backend *be, wf_stream *s, const args *a);
WF_OPS(WF_REF_OP)
#undef WF_REF_OP

// The table's entries for all of them, after those before.
#define WF_REF_ENTRY(op, args) , .op = wf_ref_##op

#endif
