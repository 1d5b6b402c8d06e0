// Counter-based random numbers: Philox4x32-10.
//
//   (key[2], counter[4]) -> 4 x 32 random bits, a pure function
//
// There is no state to carry, split or store: the caller spells what a number belongs to (job seed,
// request, position) as key and counter, and gets the same number on any rank, in any batch, after
// any restart. The functions are inline and use nothing but integers and exact float steps, so a
// device kernel that includes this header draws the same numbers as the host.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
#ifndef WF_IO_BASE_RNG_H
#define WF_IO_BASE_RNG_H

#include <stdint.h>

#ifdef __CUDACC__
#define WF_RNG_FN static __host__ __device__ inline
#else
#define WF_RNG_FN static inline
#endif

WF_RNG_FN void wf_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0; // multipliers and Weyl steps: table 2 and
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2; // section 4.3 of the paper
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

// A multiple of 2^-24 in [0, 1); every value is exact.
WF_RNG_FN float wf_rng_float(uint32_t bits)
{
    return (float)(bits >> 8) * (1.0f / 16777216.0f);
}

// A multiple of 2^-53 in [0, 1), and an odd one in (0, 1).
WF_RNG_FN double wf_rng_double(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * (1.0 / 9007199254740992.0);
}

WF_RNG_FN double wf_rng_double_open(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11 | 1u;
    return (double)bits * (1.0 / 9007199254740992.0);
}

// A number below n (n > 0) by multiply and shift; its bias is at most n / 2^32.
WF_RNG_FN uint32_t wf_rng_below(uint32_t bits, uint32_t n)
{
    return (uint32_t)((uint64_t)bits * n >> 32);
}

// A sequence for host code that draws many numbers in order (importers, arrivals): a counter that
// advances by itself. A plain value; copying it repeats the sequence. `stream` tells apart the
// sequences of one seed.
typedef struct wf_rng {
    uint64_t seed;
    uint64_t stream;
    uint64_t position; // blocks drawn
    uint32_t block[4];
    uint32_t n_left;
} wf_rng;

wf_rng wf_rng_make(uint64_t seed, uint64_t stream);
uint32_t wf_rng_next_u32(wf_rng *rng);
double wf_rng_next_double(wf_rng *rng); // [0, 1)

// Exponential with mean 1; gamma with the given shape (> 0) and scale 1 (Marsaglia and Tsang, "A
// simple method for generating gamma variables", ACM TOMS 26(3), 2000); standard normal
// (Box-Muller, one value per two draws).
double wf_rng_next_exponential(wf_rng *rng);
double wf_rng_next_normal(wf_rng *rng);
double wf_rng_next_gamma(wf_rng *rng, double shape);

#endif
