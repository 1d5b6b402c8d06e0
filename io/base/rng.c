// Sequences and distributions over the counter-based generator, for host code.
#include "io/base/rng.h"

#include <assert.h>
#include <math.h>

wf_rng wf_rng_make(uint64_t seed, uint64_t stream)
{
    return (wf_rng){.seed = seed, .stream = stream};
}

uint32_t wf_rng_next_u32(wf_rng *rng)
{
    if (rng->n_left == 0) {
        const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
        const uint32_t counter[4] = {(uint32_t)rng->position, (uint32_t)(rng->position >> 32),
                                     (uint32_t)rng->stream, (uint32_t)(rng->stream >> 32)};
        wf_philox(key, counter, rng->block);
        rng->position++;
        rng->n_left = 4;
    }
    return rng->block[4 - rng->n_left--];
}

static double next_double_open(wf_rng *rng)
{
    uint32_t high = wf_rng_next_u32(rng);
    return wf_rng_double_open(high, wf_rng_next_u32(rng));
}

double wf_rng_next_double(wf_rng *rng)
{
    uint32_t high = wf_rng_next_u32(rng);
    return wf_rng_double(high, wf_rng_next_u32(rng));
}

double wf_rng_next_exponential(wf_rng *rng)
{
    return -log(next_double_open(rng));
}

double wf_rng_next_normal(wf_rng *rng)
{
    double radius = sqrt(-2.0 * log(next_double_open(rng)));
    return radius * cos(2.0 * M_PI * wf_rng_next_double(rng));
}

double wf_rng_next_gamma(wf_rng *rng, double shape)
{
    assert(shape > 0);
    if (shape < 1.0) { // gamma(a) = gamma(a + 1) * U^(1/a)
        double boost = pow(next_double_open(rng), 1.0 / shape);
        return wf_rng_next_gamma(rng, shape + 1.0) * boost;
    }
    double d = shape - 1.0 / 3.0;
    double c = 1.0 / sqrt(9.0 * d);
    for (;;) { // accepts more than 95% of the draws
        double x = wf_rng_next_normal(rng);
        double v = 1.0 + c * x;
        if (v <= 0.0) continue;
        v = v * v * v;
        if (log(next_double_open(rng)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
    }
}
