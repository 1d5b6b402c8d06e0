// Routed experts.
#ifndef WF_KERNELS_OP_EXPERTS_H
#define WF_KERNELS_OP_EXPERTS_H

#include "kernels/ops/op_base.h"

//   x [T, H] -- gemm --> logits -- route --> pairs -- pack_pairs --> rows by expert
//            -- experts_gemm (gate | up, activation) --> -- experts_gemm (down) --> combine --> y
//
// A pair is a token and one of the C experts it chose: P = T * C of them, pair t * C + c. A rank
// has E of the experts; its pairs are packed expert by expert, without padding. How many an expert
// has is known to the device alone.

typedef enum wf_score { WF_SCORE_SOFTMAX, WF_SCORE_SIGMOID } wf_score;

// The C experts of every token, best first, the lowest number on ties; NaN counts as the least.
// score = softmax or sigmoid of the logits; they are chosen by score + choice_bias. With groups,
// equal runs of the experts, only those of the best n_best_groups can be chosen; what a group is
// worth is its best expert (softmax) or the sum of its best two (sigmoid). weight = score, divided
// by the sum of the chosen ones with `renormalise`, times scale.
typedef struct wf_route_args {
    wf_matrix logits; // [T, n] f32
    wf_score score;
    const float *choice_bias; // [n] or NULL
    int32_t n_choices;        // C, at most WF_MAX_CHOICES
    int32_t n_groups, n_best_groups;
    bool renormalise;
    float scale;
    int32_t *expert; // [P]
    float *weight;   // [P]
} wf_route_args;

#define WF_MAX_EXPERTS 512
#define WF_MAX_CHOICES 32

// Packs the pairs of experts first_expert .. first_expert + E, of one expert in ascending order.
typedef struct wf_pack_pairs_args {
    const int32_t *expert; // [P]
    int32_t n_pairs, first_expert, n_experts;
    int32_t *begin; // [E + 1] first packed row of each expert; the last: how many there are
    int32_t *pair;  // [P] of each packed row
    int32_t *row;   // [P] packed row of each pair, -1: another rank has its expert
} wf_pack_pairs_args;

// How gate and up become one (their biases are added before). CLAMPED is gpt-oss's, with its
// numbers.
#define WF_CLAMPED_ALPHA 1.702
#define WF_CLAMPED_LIMIT 7.0
typedef enum wf_gate {
    WF_GATE_NONE,
    WF_GATE_SILU,   // silu(gate) * up
    WF_GATE_CLAMPED // g sigmoid(alpha g) (u + 1), g = min(gate, limit), u = up within +-limit
} wf_gate;

// y[r] = x[pair[r] / C] W[e]^T (+ bias[e]) for every packed row r of expert e; with pair NULL
// x[r] W[e]^T; begin NULL: all rows are of the one expert. Rows of y beyond the last packed one are
// left alone. With a gate W is [E][2 N, K], rows gate | up, and y = gate(x W^T + bias).
typedef struct wf_experts_gemm_args {
    wf_matrix x; // act
    const int32_t *begin, *pair;
    int32_t n_choices; // C
    const wf_weight *w;
    const float *bias; // [E][rows of W] f32 or NULL
    wf_gate gate;
    wf_matrix y; // [P, N] act, or f32
    // As in wf_gemm_args, but the sums of the runs stay apart: those of run i lie i * run_stride
    // elements behind y. 0 or 1: whole sums. `ref` leaves all of it in the first.
    int32_t k_runs;
    int64_t run_stride;
} wf_experts_gemm_args;

// y[t] = sigmoid(shared_gate[t]) shared[t] + the sum over c of weight[p] x[row[p]], p = t * C + c,
// c ascending, without those whose row is -1. Runs (k_runs) are summed each by itself like this,
// and then added as in wf_gemm_args.
typedef struct wf_combine_args {
    wf_matrix x; // [P, N] act or f32
    int32_t n_choices;
    const int32_t *row;
    const float *weight;
    wf_matrix shared;         // [T, N] of x's type; data NULL: none
    const float *shared_gate; // [T] or NULL: whole
    int32_t k_runs;
    int64_t run_stride, shared_run_stride;
    wf_matrix y; // [T, N] act or f32
} wf_combine_args;

#define WF_EXPERTS_OPS(X)                                                                          \
    X(route, wf_route_args)                                                                        \
    X(pack_pairs, wf_pack_pairs_args)                                                              \
    X(experts_gemm, wf_experts_gemm_args)                                                          \
    X(combine, wf_combine_args)
WF_EXPERTS_OPS(WF_OP_CHECK)

#endif
