// What a back end is held by. Each back end has its own structs behind these names.
#ifndef WF_KERNELS_HANDLE_H
#define WF_KERNELS_HANDLE_H

typedef struct wf_backend_ops wf_backend_ops; // backend.h
typedef struct wf_weight wf_weight;           // a matrix in the back end's own layout (weight.h)
typedef struct wf_stream wf_stream; // an ordered queue of operations; NULL: the default one
typedef struct wf_event wf_event;   // a point in a stream
typedef struct wf_graph wf_graph;   // a captured step

// Every back end's own struct begins with this one.
typedef struct wf_backend {
    const wf_backend_ops *ops;
} wf_backend;

#endif
