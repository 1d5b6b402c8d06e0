// See tap.h.
#include "jobs/quantize/tap.h"

#include <stddef.h>

// The table is the tap's first member: from the back end to the tap.
static wf_status tapped_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    const wf_tap *tap = (const wf_tap *)(const void *)be->ops;
    WF_TRY(tap->below->gemm(be, s, a));
    return tap->look(tap->context, be, tap->below, s, a);
}

_Static_assert(offsetof(wf_tap, ops) == 0, "tapped_gemm finds the tap by its table");

void wf_tap_open(wf_tap *tap, wf_backend *be, wf_tap_look *look, void *context)
{
    *tap = (wf_tap){.ops = *be->ops, .below = be->ops, .be = be, .look = look, .context = context};
    tap->ops.gemm = tapped_gemm;
    be->ops = &tap->ops;
}

void wf_tap_close(wf_tap *tap)
{
    if (tap->be) tap->be->ops = tap->below;
    tap->be = NULL;
}

wf_status wf_tap_download(wf_backend *be, const wf_backend_ops *below, wf_stream *s, wf_matrix m,
                          void *host)
{
    size_t each = wf_dtype_bytes(m.dtype), row = (size_t)m.n_cols * each;
    wf_event *done;
    WF_TRY(below->event_create(be, &done));
    wf_status st = WF_OK;
    if (m.stride == m.n_cols) st = below->download(be, s, host, m.data, (size_t)m.n_rows * row);
    for (int64_t i = 0; m.stride != m.n_cols && i < m.n_rows && st == WF_OK; i++)
        st = below->download(be, s, (char *)host + (size_t)i * row,
                             (const char *)m.data + (size_t)(i * m.stride) * each, row);
    if (st == WF_OK) st = below->event_record(be, done, s);
    if (st == WF_OK) st = below->event_sync(be, done);
    below->event_destroy(be, done);
    return st;
}
