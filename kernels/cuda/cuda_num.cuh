// Numbers on the device: loads and stores of any dtype, vectors, reductions.
#ifndef WF_KERNELS_CUDA_NUM_CUH
#define WF_KERNELS_CUDA_NUM_CUH

#include "kernels/cuda/cuda_impl.cuh"

// Number formats that kernels compute in: X(NAME, type, cuBLASLt's type, type in tensor maps).
#define WF_CUDA_HALVES(X)                                                                          \
    X(BF16, __nv_bfloat16, CUDA_R_16BF, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16)                          \
    X(F16, __half, CUDA_R_16F, CU_TENSOR_MAP_DATA_TYPE_FLOAT16)
#define WF_CUDA_TYPES(X)                                                                           \
    WF_CUDA_HALVES(X) X(F32, float, CUDA_R_32F, CU_TENSOR_MAP_DATA_TYPE_FLOAT32)

template <typename T> struct dtype_of;
#define WF_CUDA_DTYPE_OF(name, type, lt, map)                                                      \
    template <> struct dtype_of<type> {                                                            \
        static const wf_dtype value = WF_##name;                                                   \
    };
WF_CUDA_TYPES(WF_CUDA_DTYPE_OF)
#undef WF_CUDA_DTYPE_OF

__device__ __forceinline__ float to_f32(float x)
{
    return x;
}
__device__ __forceinline__ float to_f32(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}
__device__ __forceinline__ float to_f32(__half x)
{
    return __half2float(x);
}

template <typename T> __device__ __forceinline__ T of_f32(float x);
template <> __device__ __forceinline__ float of_f32<float>(float x)
{
    return x;
}
template <> __device__ __forceinline__ __nv_bfloat16 of_f32<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}
template <> __device__ __forceinline__ __half of_f32<__half>(float x)
{
    return __float2half_rn(x);
}

// Two numbers in one register, the first in the low half.
__device__ __forceinline__ uint32_t pack2(__nv_bfloat16 *, float lo, float hi)
{
    uint32_t out;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(hi), "f"(lo));
    return out;
}
__device__ __forceinline__ uint32_t pack2(__half *, float lo, float hi)
{
    uint32_t out;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(hi), "f"(lo));
    return out;
}

// Element i of an array whose dtype is known at run time only.
__device__ __forceinline__ float load_any(const void *data, wf_dtype dtype, int64_t i)
{
    if (dtype == WF_BF16) return to_f32(((const __nv_bfloat16 *)data)[i]);
    if (dtype == WF_F16) return to_f32(((const __half *)data)[i]);
    return ((const float *)data)[i];
}
__device__ __forceinline__ void store_any(void *data, wf_dtype dtype, int64_t i, float x)
{
    if (dtype == WF_BF16)
        ((__nv_bfloat16 *)data)[i] = of_f32<__nv_bfloat16>(x);
    else if (dtype == WF_F16)
        ((__half *)data)[i] = of_f32<__half>(x);
    else
        ((float *)data)[i] = x;
}

// N elements moved in one access where N > 1; the address must allow it.
template <typename T, int N> struct alignas(sizeof(T) * N) vec {
    T v[N];
};

__device__ __forceinline__ float warp_sum(float x)
{
    for (int i = 16; i > 0; i >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}

// The sum over a block, the same bits in every thread; the block has at most 32 warps and calls
// this once per `slots`.
__device__ __forceinline__ float block_sum(float x, float *slots)
{
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, n_warps = (blockDim.x + 31) / 32;
    x = warp_sum(x);
    if (lane == 0) slots[warp] = x;
    __syncthreads();
    return warp_sum(lane < n_warps ? slots[lane] : 0.0f);
}

#define WF_CUDA_CALL(name, type, lt, map)                                                          \
    case WF_##name:                                                                                \
        return call((type *)nullptr);

// Calls `call` with a null pointer of the type that stands for a dtype.
template <typename F> wf_status with_dtype(wf_dtype dtype, F call)
{
    switch (dtype) {
        WF_CUDA_TYPES(WF_CUDA_CALL)
    default:
        return wf_fail(WF_INTERNAL, "no kernel computes in %s", wf_dtype_name(dtype));
    }
}

// The same for kernels of 2-byte formats.
template <typename F> wf_status with_half(wf_dtype dtype, F call)
{
    switch (dtype) {
        WF_CUDA_HALVES(WF_CUDA_CALL)
    default:
        return wf_fail(WF_INTERNAL, "no kernel of 2-byte numbers computes in %s",
                       wf_dtype_name(dtype));
    }
}
#undef WF_CUDA_CALL

// Whether rows of a matrix can be read in pieces of `bytes`.
static inline bool rows_aligned(const wf_matrix *m, size_t bytes)
{
    size_t size = wf_dtype_bytes(m->dtype);
    return (uintptr_t)m->data % bytes == 0 && (size_t)m->stride * size % bytes == 0 &&
           (size_t)m->n_cols * size % bytes == 0;
}

#endif
