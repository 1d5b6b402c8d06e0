// Published figures of Pope et al. 2022 (arXiv 2211.05102), for the test and for the study.
//
// Of the tables, MFU and latency were checked against each other (MFU = 2 * parameters * tokens /
// (latency * chips * 275 TFLOP/s)), and the 29 ms and 76% against the paper's abstract. Tolerance:
// within what factor of the published latency the prediction must be. Predictions are least times,
// so that they lie below.
#ifndef WF_TESTS_JOBS_PALM_H
#define WF_TESTS_JOBS_PALM_H

#include "jobs/layout/shapes.h"

typedef struct palm_row {
    const char *what, *model, *format;
    int x, y, z;
    wf_layout_ffn ffn;
    wf_layout_attention attention;
    int64_t batch, tokens, past;
    int n_steps;
    double latency_s, mfu; // published, of all the steps
    double least_ratio;    // predicted latency / published, at least; at most 1
} palm_row;

// Tables 2 (540B) and 3 (62B): 2,048 tokens in, 64 out. Decode has 2,048 + 32 tokens on average.
static const palm_row palm_rows[] = {
    {"low-latency prefill", "palm-540b", "int8", 4, 4, 4, WF_LAYOUT_2D, WF_LAYOUT_BY_HEADS, 1, 2048,
     0, 1, 0.29, 0.43, 0.55},
    {"low-latency decode", "palm-540b", "int8", 4, 4, 4, WF_LAYOUT_2D, WF_LAYOUT_BY_BATCH, 64, 1,
     2080, 64, 1.82, 0.14, 0.35},
    {"high-throughput prefill", "palm-540b", "bf16", 4, 4, 4, WF_LAYOUT_GATHER_XYZ,
     WF_LAYOUT_BY_BATCH, 512, 2048, 0, 1, 85.2, 0.76, 0.75},
    {"high-throughput decode", "palm-540b", "bf16", 4, 4, 4, WF_LAYOUT_2D, WF_LAYOUT_BY_BATCH, 512,
     1, 2080, 64, 6.0, 0.33, 0.45},
    {"low-latency prefill", "palm-62b", "int8", 2, 2, 4, WF_LAYOUT_2D, WF_LAYOUT_BY_HEADS, 1, 2048,
     0, 1, 0.16, 0.36, 0.40},
    {"low-latency decode", "palm-62b", "int8", 2, 2, 4, WF_LAYOUT_2D, WF_LAYOUT_BY_BATCH, 32, 1,
     2080, 64, 0.73, 0.08, 0.30},
    {"high-throughput prefill", "palm-62b", "bf16", 4, 2, 4, WF_LAYOUT_GATHER_XYZ,
     WF_LAYOUT_BY_BATCH, 512, 2048, 0, 1, 20.2, 0.73, 0.70},
    {"high-throughput decode", "palm-62b", "bf16", 2, 2, 2, WF_LAYOUT_2D, WF_LAYOUT_BY_BATCH, 512,
     1, 2080, 64, 5.1, 0.37, 0.40},
};

// Table 1: longest contexts of PaLM 540B on 64 chips, 30% of the memory for KV. The multihead
// variant has heads of 128; both are padded to 64 heads, one on each chip.
typedef struct palm_context_row {
    const char *what;
    int n_kv_heads, head_dim;
    wf_layout_attention attention;
    int64_t batch;
    double tokens; // published
} palm_context_row;

static const palm_context_row palm_context_rows[] = {
    {"multihead", 64, 128, WF_LAYOUT_BY_HEADS, 128, 1320},
    {"multihead", 64, 128, WF_LAYOUT_BY_HEADS, 512, 330},
    {"multiquery by heads", 1, 256, WF_LAYOUT_BY_HEADS, 128, 660},
    {"multiquery by heads", 1, 256, WF_LAYOUT_BY_HEADS, 512, 165},
    {"multiquery by batch", 1, 256, WF_LAYOUT_BY_BATCH, 128, 43000},
    {"multiquery by batch", 1, 256, WF_LAYOUT_BY_BATCH, 512, 10700},
};

#define PALM_KV_SHARE 0.30

static inline void palm_predict(const palm_row *row, const wf_machine *machine, wf_layout_cost *out)
{
    wf_layout layout = {row->ffn, row->attention, row->x, row->y, row->z, 1};
    wf_layout_work work = {row->batch, row->tokens, row->past};
    wf_layout_step_cost(wf_layout_shape(row->model), machine, wf_layout_format_find(row->format),
                        &layout, &work, out);
}

static inline double palm_context(const palm_context_row *row, const wf_machine *machine)
{
    wf_layout_model model = *wf_layout_shape("palm-540b");
    wf_layout layout = {WF_LAYOUT_2D, row->attention, 4, 4, 4, 1};
    model.n_heads = 64;
    model.n_kv_heads = row->n_kv_heads;
    model.head_dim = row->head_dim;
    return wf_layout_longest_context(&model, machine, wf_layout_format_find("bf16"), &layout,
                                     row->batch, PALM_KV_SHARE);
}

// Bytes per chip of a feed-forward's collectives in units of one value, as the paper's formulas
// count them: two matrices, no attention, and a machine of many chips' (k-1)/k.
static inline double palm_values(const wf_machine *machine, wf_layout_ffn ffn, int x, int y, int z,
                                 int hidden, int64_t tokens)
{
    wf_layout_model model = {.n_layers = 1, .hidden = hidden, .ffn = 4 * hidden, .parallel = true};
    wf_layout layout = {ffn, WF_LAYOUT_BY_HEADS, x, y, z, 1};
    wf_layout_work work = {tokens, 1, 0};
    wf_layout_cost cost;
    wf_layout_layer_cost(&model, machine, wf_layout_format_find("bf16"), &layout, &work, &cost);
    return cost.link_s * machine->link_rate / 2;
}

// Latency of a decode step with serial blocks / with parallel ones: batch 512, 2D, 64 chips.
#define PALM_SERIAL 1.14
static inline double palm_serial(const wf_machine *machine)
{
    wf_layout_model model = *wf_layout_shape("palm-540b");
    wf_layout layout = {WF_LAYOUT_2D, WF_LAYOUT_BY_BATCH, 4, 4, 4, 1};
    wf_layout_work work = {512, 1, 2080};
    wf_layout_cost parallel, serial;
    const wf_layout_format *bf16 = wf_layout_format_find("bf16");
    wf_layout_step_cost(&model, machine, bf16, &layout, &work, &parallel);
    model.parallel = false;
    wf_layout_step_cost(&model, machine, bf16, &layout, &work, &serial);
    return serial.step_s / parallel.step_s;
}

// Tokens from which `more` moves no more bytes than `less`, on 64 chips; -1: never below 2^24.
static inline int64_t palm_crossover(const wf_machine *machine, wf_layout_ffn less,
                                     wf_layout_ffn more)
{
    for (int64_t tokens = 64; tokens <= 1 << 24; tokens += 64)
        if (palm_values(machine, more, 4, 4, 4, 16384, tokens) <=
            palm_values(machine, less, 4, 4, 4, 16384, tokens) * (1 + 1e-12))
            return tokens;
    return -1;
}

#endif
