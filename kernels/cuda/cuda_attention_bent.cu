// Attention of layers with a window, a softcap, slopes or sinks.
#define WF_ATTENTION_BENT
#include "kernels/cuda/cuda_attention_decode.cuh"
#include "kernels/cuda/cuda_attention_prefill.cuh"

wf_status wf_attention_decode_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    return decode_attention<plain_kv>(cu, s, in);
}

wf_status wf_attention_prefill_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    return prefill_attention<false>(cu, s, in);
}
