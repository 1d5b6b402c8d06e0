// Layouts: what a step of a transformer takes on so many devices, by arithmetic alone, after Pope
// et al. 2022 (arXiv 2211.05102).
//
//   devices of one copy = x * y * z        E: hidden, F: ffn, W: weights of a layer, N: gathered
//   over 1d         weights F/xyz               activations E over xyz, before and after 2d weights
//   E/x, F/yz           activations E/x over yz, F/yz over x gather-x   as 2d, at rest weights over
//   x (N = x), activations E of 1/N of the rows gather-xy, gather-xyz                  the same
//   with N = xy and N = xyz
//
// Attention keeps K and V split by heads (a head that is alone is kept by every device) or by
// sequences. A collective of n bytes over k devices takes n/bandwidth * (k-1)/k, and its hops. Per
// layer: the slower of computing and reading memory, then the links, nothing of which overlaps.
// What is left out makes these least times: norms, sampling, launches, matrices too thin to be read
// or multiplied at peak rate.
//
// Pure: values in, values out; no clock, file, device or rank is touched. All Local.
#ifndef WF_JOBS_LAYOUT_LAYOUT_H
#define WF_JOBS_LAYOUT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/layout/machine.h"

// What shapes the time of a decoder whose layers are alike.
typedef struct wf_layout_model {
    const char *name;
    int n_layers, hidden, ffn;
    bool gated;    // the feed-forward has three matrices, else two
    bool parallel; // attention and feed-forward side by side, sums joined once per layer
    bool tied;     // the head is the embedding table
    int n_heads, n_kv_heads, head_dim, n_vocab;
    int max_context; // tokens
} wf_layout_model;

typedef enum wf_layout_ffn {
    WF_LAYOUT_1D,
    WF_LAYOUT_2D,
    WF_LAYOUT_GATHER_X,
    WF_LAYOUT_GATHER_XY,
    WF_LAYOUT_GATHER_XYZ,
    WF_LAYOUT_N_FFNS
} wf_layout_ffn;

typedef enum wf_layout_attention { WF_LAYOUT_BY_HEADS, WF_LAYOUT_BY_BATCH } wf_layout_attention;

typedef struct wf_layout {
    wf_layout_ffn ffn;
    wf_layout_attention attention;
    int x, y, z;  // neighbours lie along z, then y, then x
    int replicas; // copies of the model, which share the sequences
} wf_layout;

// What one step is of. Prefill: the prompt's tokens, past 0. Decode: 1 token, past the context.
typedef struct wf_layout_work {
    int64_t batch;  // sequences, of all replicas together
    int64_t tokens; // new ones of each
    int64_t past;   // tokens of each before them
} wf_layout_work;

typedef struct wf_layout_cost {
    double compute_s, weights_s, kv_s; // one device: multiplying, reading weights, reading K and V
    double link_s, hop_s;              // bytes of collectives, and their latency
    double step_s;                     // max(compute, weights + kv) + link + hop
    double memory_bytes;               // per device: weights, gathered ones, KV, activations
    double tokens_per_s;               // of all replicas
    double mfu;                        // 2 * parameters * tokens / (time * devices * peak)
    double device_s_per_mtok;          // device-seconds per million tokens
} wf_layout_cost;

// One layer alone: times and no more.
void wf_layout_layer_cost(const wf_layout_model *model, const wf_machine *machine,
                          const wf_layout_format *format, const wf_layout *layout,
                          const wf_layout_work *work, wf_layout_cost *out);

// The whole step: all layers and the head.
void wf_layout_step_cost(const wf_layout_model *model, const wf_machine *machine,
                         const wf_layout_format *format, const wf_layout *layout,
                         const wf_layout_work *work, wf_layout_cost *out);

double wf_layout_n_params(const wf_layout_model *model);

// Most tokens per sequence when `share` of the devices' memory holds KV alone.
double wf_layout_longest_context(const wf_layout_model *model, const wf_machine *machine,
                                 const wf_layout_format *format, const wf_layout *layout,
                                 int64_t batch, double share);

const char *wf_layout_ffn_name(wf_layout_ffn ffn);
int wf_layout_n_gathered(wf_layout_ffn ffn); // axes that weights are gathered over, 0 to 3

// What bounds the step: "computing", "reading weights", "reading K and V", "bytes over links",
// "latency of links".
const char *wf_layout_bound(const wf_layout_cost *cost);

#endif
