// Rotary tables in the arithmetic of transformers: f32 where torch holds f32 tensors, double where
// Python holds its numbers.
#include "engine/rotary.h"

#include <math.h>
#include <stdlib.h>

#include "io/base/arena.h"

#define PI 3.14159265358979323846

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended.
static float llama3(const wf_rope *rope, float inv_freq)
{
    const float pi2 = (float)(2.0 * PI);
    float wave = pi2 / inv_freq;
    if (wave > (float)(rope->original_max_context / rope->low_freq))
        return inv_freq / (float)rope->factor;
    if (wave < (float)(rope->original_max_context / rope->high_freq)) return inv_freq;
    float smooth = ((float)rope->original_max_context / wave - (float)rope->low_freq) /
                   (float)(rope->high_freq - rope->low_freq);
    return (1.0f - smooth) * inv_freq / (float)rope->factor + smooth * inv_freq;
}

// YaRN: the pair, as a fraction, that turns `turns` times within the first context.
static double yarn_pair(const wf_rope *rope, int32_t rotary_dim, double turns)
{
    return rotary_dim * log(rope->original_max_context / (turns * 2.0 * PI)) /
           (2.0 * log(rope->theta));
}

// YaRN: short waves are kept, long ones slowed by `factor`, between two pairs it goes over evenly.
static float yarn(const wf_rope *rope, int32_t rotary_dim, int32_t i, float period)
{
    double low = yarn_pair(rope, rotary_dim, rope->beta_fast);
    double high = yarn_pair(rope, rotary_dim, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, rotary_dim - 1.0);
    if (high <= low && high >= low) high += 0.001;
    float slowed = fminf(fmaxf(((float)i - (float)low) / (float)(high - low), 0.0f), 1.0f);
    float kept = 1.0f - slowed;
    return 1.0f / ((float)rope->factor * period) * (1.0f - kept) + 1.0f / period * kept;
}

static double theta_of(const wf_rope *rope, int32_t rotary_dim, int32_t context)
{
    if (rope->type != WF_ROPE_DYNAMIC || context <= rope->original_max_context) return rope->theta;
    double stretch = rope->factor * context / rope->original_max_context - (rope->factor - 1.0);
    return rope->theta * pow(stretch, rotary_dim / (rotary_dim - 2.0));
}

static float long_or_short(const wf_rope *rope, int32_t i, int32_t context)
{
    return context > rope->original_max_context ? rope->long_factor[i] : rope->short_factor[i];
}

void wf_rotary_inv_freq(const wf_rope *rope, int32_t rotary_dim, int32_t context, float *inv_freq)
{
    float theta = (float)theta_of(rope, rotary_dim, context);
    for (int32_t i = 0; i < rotary_dim / 2; i++) {
        float period = powf(theta, (float)(2 * i) / (float)rotary_dim), plain = 1.0f / period;
        switch (rope->type) {
        case WF_ROPE_LINEAR:
            inv_freq[i] = plain / (float)rope->factor;
            break;
        case WF_ROPE_LLAMA3:
            inv_freq[i] = llama3(rope, plain);
            break;
        case WF_ROPE_YARN:
            inv_freq[i] = yarn(rope, rotary_dim, i, period);
            break;
        case WF_ROPE_LONGROPE:
            inv_freq[i] = 1.0f / (long_or_short(rope, i, context) * period);
            break;
        case WF_ROPE_DEFAULT:
        case WF_ROPE_DYNAMIC:
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

int32_t wf_distance_bucket(int32_t distance, int32_t n_buckets)
{
    int32_t half = n_buckets / 2, exact = half / 2, first = distance > 0 ? half : 0;
    int32_t size = distance < 0 ? -distance : distance;
    if (size < exact) return first + size;
    float share = logf((float)size / (float)exact) / logf((float)WF_DISTANCE_REACH / (float)exact);
    int32_t far = exact + (int32_t)(share * (float)(half - exact));
    return first + (far < half ? far : half - 1);
}

wf_status wf_rotary_tables(const wf_rope *rope, int32_t rotary_dim, int32_t context, int32_t first,
                           int32_t n_positions, float *cos_out, float *sin_out)
{
    float *inv_freq;
    size_t half = (size_t)rotary_dim / 2;
    float factor = rope->attention_factor > 0.0 ? (float)rope->attention_factor : 1.0f;
    WF_TRY(wf_alloc(half, sizeof *inv_freq, &inv_freq));
    wf_rotary_inv_freq(rope, rotary_dim, context, inv_freq);
    for (size_t p = 0; p < (size_t)n_positions; p++) {
        for (size_t i = 0; i < half; i++) {
            float angle = (float)(first + (int32_t)p) * inv_freq[i];
            cos_out[p * half + i] = factor * (float)cos((double)angle);
            sin_out[p * half + i] = factor * (float)sin((double)angle);
        }
    }
    free(inv_freq);
    return WF_OK;
}
