// The faster ways of operations of latent attention (cuda_latent_mma.cu), for shapes and alignments
// that fit.
#ifndef WF_KERNELS_CUDA_LATENT_CUH
#define WF_KERNELS_CUDA_LATENT_CUH

#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_latent.h"
}

bool wf_latent_mma_fits(const wf_cuda *cu, const wf_latent_attention_args *a);
wf_status wf_latent_mma(wf_cuda *cu, wf_stream *s, const wf_latent_attention_args *a);

bool wf_heads_gemm_mma_fits(const wf_heads_gemm_args *a);
wf_status wf_heads_gemm_mma(wf_cuda *cu, wf_stream *s, const wf_heads_gemm_args *a);

#endif
