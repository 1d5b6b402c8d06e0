// Functions of single numbers.
#ifndef WF_KERNELS_OP_ACTIVATION_H
#define WF_KERNELS_OP_ACTIVATION_H

#include "kernels/ops/op_base.h"

// The functions of feed-forwards.
typedef enum wf_curve {
    WF_CURVE_SILU,
    WF_CURVE_GELU_TANH,  // the tanh form of GELU
    WF_CURVE_GELU_EXACT, // x Phi(x)
    WF_CURVE_RELU,
    WF_CURVE_TANH,
    WF_N_CURVES
} wf_curve;

// gate_mul: y = curve(gate) * up (x = [gate | up], [M, 2F]). activate: y = curve(x) (x = [M, F]).
typedef struct wf_activation_args {
    wf_matrix x, y; // y: [M, F]
    wf_curve curve;
} wf_activation_args;

// x = cap tanh(x / cap), element by element.
typedef struct wf_softcap_args {
    wf_matrix x; // f32
    float cap;   // > 0
} wf_softcap_args;

#define WF_ACTIVATION_OPS(X)                                                                       \
    X(gate_mul, wf_activation_args)                                                                \
    X(activate, wf_activation_args)                                                                \
    X(softcap, wf_softcap_args)
WF_ACTIVATION_OPS(WF_OP_CHECK)

#endif
