// Which number formats the CUDA back end computes together (module.h). In the executable.
//
// Activations are of the weights' format, with scaled weights of the plain one. Attention on tensor
// cores takes q, K and V of one 2-byte format, or scaled K and V, which it converts; with f32
// weights a kernel of its own reads KV of any.
#include "kernels/cuda/module.h"

wf_status wf_cuda_numerics(wf_numerics *n)
{
    n->act = n->sum = wf_format_scaled(n->weight) ? n->plain : n->weight;
    if (n->kv == n->act || n->act == WF_F32 || wf_format_scaled(n->kv)) return WF_OK;
    return wf_fail(
        WF_CONFIG,
        "model.kv_dtype: on cuda %s activations need KV memory in %s, not %s: its attention "
        "takes one plain format; leave it to auto, take fp8 or int8, or set model.dtype: f32",
        wf_dtype_name(n->act), wf_dtype_name(n->act), wf_dtype_name(n->kv));
}
