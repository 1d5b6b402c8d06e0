// Attention's parts, one file each.
#ifndef WF_KERNELS_CUDA_ATTENTION_CUH
#define WF_KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_attention.h"
}

// Rows [0, n_decode) and the sequences after them.
wf_status wf_attention_decode(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
wf_status wf_attention_prefill(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
// The same of layers with a window, a softcap, slopes or sinks.
wf_status wf_attention_decode_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
wf_status wf_attention_prefill_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
// Prefill's way on Hopper (cuda_attention_hopper.cu), for shapes and alignments that fit.
bool wf_attention_hopper_fits(const wf_cuda *cu, const wf_attention_args *a);
wf_status wf_attention_hopper(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);

#endif
