// Positions: rotary tables, cos and sin of position * inverse frequency, the slopes of ALiBi,
//
// The numbers are those of Hugging Face transformers (modeling_rope_utils): inverse frequencies in
// f32, the angle rounded to f32 before its cosine is taken, because weights were trained with them.
// Rotation itself is an operation of the back end (kernels/ops.h: rope_kv_append).
//
// Two kinds look at the longest text: transformers at the text of each call, which a cache of
// rotated keys cannot follow. Here it is the job's context, for all its texts, as in vLLM: longrope
// takes its long factors where the context is longer than the first one, dynamic stretches to the
// context.
//
// Source: RoFormer, arXiv 2104.09864; llama3 scaling: Llama 3.1's reference code; YaRN, arXiv
// 2309.00071; LongRoPE, arXiv 2402.13753. All Local, pure.
#ifndef WF_ENGINE_ROTARY_H
#define WF_ENGINE_ROTARY_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

// X(name, words): how frequencies are stretched beyond the trained context.
#define WF_ROPE_TABLE(X)                                                                           \
    X(DEFAULT, "default")                                                                          \
    X(LINEAR, "linear")                                                                            \
    X(LLAMA3, "llama3")                                                                            \
    X(DYNAMIC, "dynamic")                                                                          \
    X(YARN, "yarn")                                                                                \
    X(LONGROPE, "longrope")

typedef enum wf_rope_type {
#define WF_ROPE_ENUM(name, words) WF_ROPE_##name,
    WF_ROPE_TABLE(WF_ROPE_ENUM)
#undef WF_ROPE_ENUM
        WF_N_ROPES
} wf_rope_type;

#define WF_ROPE_MAX_PAIRS 128

typedef struct wf_rope {
    wf_rope_type type;
    double theta;
    double factor;               // all but default
    double low_freq, high_freq;  // llama3
    double original_max_context; // llama3, dynamic, yarn, longrope
    double beta_fast, beta_slow; // yarn: turns in the first context above which a pair is kept,
                                 // below which it is stretched
    bool truncate;               // yarn: the pairs between which that goes over are whole numbers
    double attention_factor;     // yarn, longrope: of cos and sin; 0: 1
    double score_factor;         // yarn: what latent attention scales scores by beside; 0: 1
    float short_factor[WF_ROPE_MAX_PAIRS], long_factor[WF_ROPE_MAX_PAIRS]; // longrope
} wf_rope;

// inv_freq[i], i < rotary_dim / 2, of a job with this context.
void wf_rotary_inv_freq(const wf_rope *rope, int32_t rotary_dim, int32_t context, float *inv_freq);

// The slopes of ALiBi (arXiv 2108.12409), of n_heads >= 1 heads: 2^(-8 i / n) where n is a power of
// two, else those of the next lower one and every other one of the next higher.
void wf_alibi_slopes(int32_t n_heads, float *slopes);

// The bucket of a distance between two tokens, key - query, of n_buckets for both directions: of
// its own up to a quarter of them, then by its logarithm up to WF_DISTANCE_REACH, beyond which all
// are alike (T5, arXiv 1910.10683; MPNet).
#define WF_DISTANCE_REACH 128
int32_t wf_distance_bucket(int32_t distance, int32_t n_buckets);

// cos and sin, [n_positions][rotary_dim / 2] each, of positions first .. first + n_positions - 1.
wf_status wf_rotary_tables(const wf_rope *rope, int32_t rotary_dim, int32_t context, int32_t first,
                           int32_t n_positions, float *cos, float *sin);

#endif
