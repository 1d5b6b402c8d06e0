// The own kernels that compete with cuBLASLt's, by name. Where code can start early the stream
// kernel takes the place of the skinny ones.
#include <cstring>

#include "kernels/cuda/cuda_gemm.cuh"

static const wf_gemm_own table[] = {
    {"skinny-8x4", wf_gemm_skinny_fits, wf_gemm_skinny_8x4, 2.0f},
    {"skinny-8x6", wf_gemm_skinny_fits, wf_gemm_skinny_8x6, 2.0f},
    {"skinny-4x8", wf_gemm_skinny_fits, wf_gemm_skinny_4x8, 2.0f},
    {"skinny-tall", wf_gemm_skinny_fits, wf_gemm_skinny_tall, 2.0f},
    {"stream", wf_gemm_stream_fits, wf_gemm_stream, 2.0f},
    {"ring-pairs-128", wf_gemm_ring_fits, wf_gemm_ring_pairs_128, 4.0f},
    {"ring-pairs-64", wf_gemm_ring_fits, wf_gemm_ring_pairs_64, 5.0f},
    {"ring-runs", wf_gemm_ring_fits, wf_gemm_ring_runs, 5.0f},
    {"w8-pairs-64", wf_gemm8_pairs_fit, wf_gemm8_pairs_64, 5.0f},
    {"w8-pairs-128", wf_gemm8_pairs_fit, wf_gemm8_pairs_128, 5.0f},
    {"w8-runs-64", wf_gemm8_runs_64_fit, wf_gemm8_runs_64, 5.0f},
    {"w8-runs-128", wf_gemm8_runs_fit, wf_gemm8_runs_128, 5.0f},
    {"w8-runs-256", wf_gemm8_runs_64_fit, wf_gemm8_runs_256, 5.0f},
    {"w8-shared-64", wf_gemm8_shared_fit, wf_gemm8_shared_64, 5.0f},
    {"w8-shared-pairs", wf_gemm8_shared_fit, wf_gemm8_shared_pairs, 5.0f},
};

const wf_gemm_own *wf_gemm_owns(int *out_n)
{
    *out_n = (int)(sizeof table / sizeof *table);
    return table;
}

const wf_gemm_own *wf_gemm_own_named(const char *name)
{
    for (const wf_gemm_own &own : table)
        if (strcmp(own.name, name) == 0) return &own;
    return nullptr;
}

const char *wf_gemm_own_name(const wf_gemm_own *own)
{
    return own->name;
}
