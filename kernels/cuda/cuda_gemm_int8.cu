// gemm with int8 weights (cuda_gemm_ring8.cuh).
#include "kernels/cuda/cuda_gemm_ring8.cuh"

wf_status wf_gemm_ring_int8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_ring8_way way)
{
    return ring8<WF_INT8>(cu, s, a, way);
}
