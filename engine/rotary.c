// Rotary tables in the arithmetic of transformers: f32 where torch holds f32 tensors, double where
// Python holds its numbers.
#include "engine/rotary.h"

#include <math.h>
#include <stdlib.h>

#include "io/base/arena.h"

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended.
static float llama3(const wf_rope *rope, float inv_freq)
{
    const float pi2 = (float)(2.0 * 3.14159265358979323846);
    float wave = pi2 / inv_freq;
    if (wave > (float)(rope->original_max_context / rope->low_freq))
        return inv_freq / (float)rope->factor;
    if (wave < (float)(rope->original_max_context / rope->high_freq)) return inv_freq;
    float smooth = ((float)rope->original_max_context / wave - (float)rope->low_freq) /
                   (float)(rope->high_freq - rope->low_freq);
    return (1.0f - smooth) * inv_freq / (float)rope->factor + smooth * inv_freq;
}

void wf_rotary_inv_freq(const wf_rope *rope, int32_t rotary_dim, float *inv_freq)
{
    for (int32_t i = 0; i < rotary_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)rotary_dim;
        float plain = 1.0f / powf((float)rope->theta, exponent);
        switch (rope->type) {
        case WF_ROPE_LINEAR:
            inv_freq[i] = plain / (float)rope->factor;
            break;
        case WF_ROPE_LLAMA3:
            inv_freq[i] = llama3(rope, plain);
            break;
        case WF_ROPE_DEFAULT:
        case WF_N_ROPES:
            inv_freq[i] = plain;
            break;
        }
    }
}

void wf_alibi_slopes(int32_t n_heads, float *slopes)
{
    int32_t n = 1;
    while (2 * n <= n_heads)
        n *= 2;
    for (int32_t i = 0; i < n_heads; i++) {
        int32_t power = i < n ? 2 * (i + 1) : 2 * (i - n) + 1; // in sixteenths of n
        slopes[i] = (float)exp2(-4.0 * power / n);
    }
}

wf_status wf_rotary_tables(const wf_rope *rope, int32_t rotary_dim, int32_t first,
                           int32_t n_positions, float *cos_out, float *sin_out)
{
    float *inv_freq;
    size_t half = (size_t)rotary_dim / 2;
    WF_TRY(wf_alloc(half, sizeof *inv_freq, &inv_freq));
    wf_rotary_inv_freq(rope, rotary_dim, inv_freq);
    for (size_t p = 0; p < (size_t)n_positions; p++) {
        for (size_t i = 0; i < half; i++) {
            float angle = (float)(first + (int32_t)p) * inv_freq[i];
            cos_out[p * half + i] = (float)cos((double)angle);
            sin_out[p * half + i] = (float)sin((double)angle);
        }
    }
    free(inv_freq);
    return WF_OK;
}
