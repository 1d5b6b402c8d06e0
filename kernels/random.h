// Random weights: the same bits on every back end.
//
// A weight is a sum of eight 16-bit uniforms (Irwin-Hall), shifted and scaled: a normal's mean,
// deviation and shape, with tails that end at 4.9 deviations. Integers and one float product, where
// a Box-Muller transform would differ by the last bit between one math library and the next.
#ifndef WF_KERNELS_RANDOM_H
#define WF_KERNELS_RANDOM_H

#include "io/base/rng.h"
#include "kernels/tensor.h"

// The deviation of a sum of eight uniform 16-bit integers: sqrt(8 * (65536^2 - 1) / 12).
#define WF_RANDOM_SUM_DEVIATION 53509.918f

// Element number `element` of the matrix of `seed`, with the given deviation.
WF_RNG_FN float wf_random_weight(uint64_t seed, uint64_t element, float deviation)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t counter[4] = {(uint32_t)element, (uint32_t)(element >> 32), 0x77656674u, 0};
    uint32_t bits[4];
    wf_philox(key, counter, bits);
    int32_t sum = -4 * 65535;
    for (int i = 0; i < 4; i++)
        sum += (int32_t)(bits[i] & 0xffffu) + (int32_t)(bits[i] >> 16);
    return (float)sum * (deviation / WF_RANDOM_SUM_DEVIATION);
}

// The scale of all blocks of a scaled weight's random numbers: element i is the number nearest to
// wf_random_weight / scale, and the greatest random weight is about the greatest number.
WF_RNG_FN float wf_random_scale(wf_dtype dtype, float deviation)
{
    float most = dtype == WF_FP8    ? 448.0f
                 : dtype == WF_INT8 ? 127.0f
                 : dtype == WF_INT4 ? 7.0f
                                    : 6.0f;
    float scale = deviation * 4.9f / most;
    if (dtype != WF_MXFP4) return scale;
    float power = 1.0f;
    while (power > scale)
        power *= 0.5f;
    while (power < scale)
        power *= 2.0f;
    return power;
}

#endif
