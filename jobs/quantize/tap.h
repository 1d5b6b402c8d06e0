// A tap on a back end's products: calls a function with each after it was queued.
//
// The back end's table is exchanged for a copy with another gemm entry, until the tap is closed;
// models, streams and buffers made before or meanwhile go on being its own. One tap at a time.
// Local.
#ifndef WF_JOBS_QUANTIZE_TAP_H
#define WF_JOBS_QUANTIZE_TAP_H

#include "kernels/backend.h"

// Looks at a product; may queue operations of its own on the stream, by `below`, untapped.
typedef wf_status wf_tap_look(void *context, wf_backend *be, const wf_backend_ops *below,
                              wf_stream *s, const wf_gemm_args *product);

typedef struct wf_tap {
    wf_backend_ops ops;
    const wf_backend_ops *below;
    wf_backend *be;
    wf_tap_look *look;
    void *context;
} wf_tap;

void wf_tap_open(wf_tap *tap, wf_backend *be, wf_tap_look *look, void *context);
void wf_tap_close(wf_tap *tap);

// The matrix's rows end to end, on the host; waits until what was queued before has run.
wf_status wf_tap_download(wf_backend *be, const wf_backend_ops *below, wf_stream *s, wf_matrix m,
                          void *host);

#endif
