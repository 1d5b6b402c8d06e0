// Attention over scaled KV of layers with a window, a softcap, slopes or sinks.
#define WF_ATTENTION_BENT
#include "kernels/cuda/cuda_attention_decode8.cuh"
#include "kernels/cuda/cuda_attention_prefill.cuh"

wf_status wf_attention_decode8_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    return decode_attention8(cu, s, in);
}

wf_status wf_attention_prefill8_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    return prefill_attention<true>(cu, s, in);
}
