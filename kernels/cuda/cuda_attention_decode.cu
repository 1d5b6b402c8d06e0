// Decode attention as most layers have it.
#include "kernels/cuda/cuda_attention_decode.cuh"

wf_status wf_attention_decode(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    return decode_attention<plain_kv>(cu, s, in);
}
