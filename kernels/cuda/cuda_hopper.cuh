// Hopper's asynchronous parts (sm_90a): mbarriers, bulk tensor copies, warpgroup matrix products.
//
// A tile in shared memory is a column of blocks 64 elements wide (128 bytes), each [row][64] with
// the 128-byte swizzle that the tensor copy writes: 16-byte chunk c of row r lies at chunk c ^ (r &
// 7). Blocks begin at multiples of 1,024 bytes. A warpgroup (4 warps) multiplies 64 rows of A by N
// columns of B; of its accumulator, lane 4 g + t of warp w holds
//   d[4 n + 0, 1]: row 16 w + g, columns 8 n + 2 t, + 1    d[4 n + 2, 3]: row 16 w + g + 8
// and A from registers has the fragments of mma.m16n8k16 (cuda_mma.cuh).
// Source: PTX ISA 8.0, "Asynchronous Warpgroup Level Matrix Instructions".
#ifndef WF_KERNELS_CUDA_HOPPER_CUH
#define WF_KERNELS_CUDA_HOPPER_CUH

#include <cuda.h> // CUtensorMap

#include "kernels/cuda/cuda_mma.cuh"

// ---- barriers -----------------------------------------------------------------------------------

__device__ __forceinline__ void barrier_init(uint32_t bar, int n_arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(n_arrivals) : "memory");
}
// One arrival, and `bytes` that tensor copies will bring before the phase ends.
__device__ __forceinline__ void barrier_expect(uint32_t bar, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t bar)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint32_t bar, uint32_t parity)
{
    uint32_t done;
    do
        asm volatile("{ .reg .pred p;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, p; }"
                     : "=r"(done)
                     : "r"(bar), "r"(parity)
                     : "memory");
    while (done == 0);
}
// What this thread stored to shared memory is seen by tensor copies and matrix products after the
// next barrier.
__device__ __forceinline__ void fence_shared_for_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A slot of a ring of N, and the phase its barriers are in.
template <int N> struct ring_place {
    uint32_t slot = 0, phase = 0;
    __device__ __forceinline__ void step()
    {
        if (++slot == N) slot = 0, phase ^= 1;
    }
    __device__ __forceinline__ void go(uint32_t n)
    {
        uint32_t to = slot + n;
        phase ^= to / N & 1;
        slot = to % N;
    }
};

// ---- tensor copies ------------------------------------------------------------------------------

__device__ __forceinline__ void prefetch_map(const CUtensorMap *map)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// How the second-level cache should treat what is copied.
#define KEEP_LEAST 0x12F0000000000000ull
#define KEEP_MOST  0x14F0000000000000ull

__device__ __forceinline__ void copy_box(uint32_t dst, const CUtensorMap *map, int c0, int c1,
                                         uint32_t bar, uint64_t keep)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
                 ".L2::cache_hint [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(dst),
                 "l"(map), "r"(c0), "r"(c1), "r"(bar), "l"(keep)
                 : "memory");
}
__device__ __forceinline__ void copy_box(uint32_t dst, const CUtensorMap *map, int c0, int c1,
                                         int c2, int c3, uint32_t bar, uint64_t keep)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes"
                 ".L2::cache_hint [%0], [%1, {%2, %3, %4, %5}], [%6], %7;" ::"r"(dst),
                 "l"(map), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(bar), "l"(keep)
                 : "memory");
}

static inline CUtensorMapDataType map_type(wf_dtype dtype)
{
    switch (dtype) {
#define MAP_TYPE(name, type, lt, map)                                                              \
    case WF_##name:                                                                                \
        return map;
        WF_CUDA_TYPES(MAP_TYPE)
#undef MAP_TYPE
    default:
        return (CUtensorMapDataType)-1; // which the driver refuses
    }
}

// The map of an array, for copies of boxes of it, 128 bytes wide, with the swizzle above; what lies
// beyond it is copied as zeros. strides: bytes, of all dimensions but the first.
static inline wf_status make_map_of(const wf_cuda *cu, const char *what, CUtensorMapDataType type,
                                    void *base, int rank, const cuuint64_t *dims,
                                    const cuuint64_t *strides, const cuuint32_t *box,
                                    CUtensorMap *out)
{
    static const cuuint32_t steps[4] = {1, 1, 1, 1};
    auto encode = (decltype(&cuTensorMapEncodeTiled))cu->encode_map;
    CUresult rc = encode(out, type, (cuuint32_t)rank, base, dims, strides, box, steps,
                         CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                         CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (rc == CUDA_SUCCESS) return WF_OK;
    return wf_fail(WF_INTERNAL, "%s: the driver refuses a tensor map (error %d)", what, (int)rc);
}

static inline wf_status make_map(const wf_cuda *cu, const char *what, wf_dtype dtype, void *base,
                                 int rank, const cuuint64_t *dims, const cuuint64_t *strides,
                                 const cuuint32_t *box, CUtensorMap *out)
{
    return make_map_of(cu, what, map_type(dtype), base, rank, dims, strides, box, out);
}

// ---- warpgroup products -------------------------------------------------------------------------

template <int N> __device__ __forceinline__ void registers_raise()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N> __device__ __forceinline__ void registers_lower()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

// Registers written before are seen by the products issued next.
__device__ __forceinline__ void product_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void product_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// At most N groups of products still run. Then touch() what the others wrote, so that no use of it
// is moved before this.
template <int N> __device__ __forceinline__ void product_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
template <int N> __device__ __forceinline__ void touch(float *x)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(x[i])::"memory");
}
template <int N> __device__ __forceinline__ void touch(uint32_t *x)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+r"(x[i])::"memory");
}

// Where an operand lies. `stride`: bytes between 8-row groups; `lead`: between blocks of 64
// columns, for operands whose columns are not summed over.
__device__ __forceinline__ uint64_t operand_at(uint32_t address, uint32_t lead, uint32_t stride)
{
    return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)(lead >> 4) << 16 |
           (uint64_t)(stride >> 4) << 32 | (uint64_t)1 << 62;
}

#define WF_OUT8(d, i)                                                                              \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),    \
        "+f"(d[i + 6]), "+f"(d[i + 7])
#define WF_OUT4(d)      "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define WF_OUT16(d)     WF_OUT8(d, 0), WF_OUT8(d, 8)
#define WF_OUT32_(d, i) WF_OUT8(d, i), WF_OUT8(d, i + 8), WF_OUT8(d, i + 16), WF_OUT8(d, i + 24)
#define WF_OUT32(d)     WF_OUT32_(d, 0)
#define WF_OUT64(d)     WF_OUT32(d), WF_OUT32_(d, 32)
#define WF_OUT128(d)    WF_OUT64(d), WF_OUT32_(d, 64), WF_OUT32_(d, 96)
#define WF_LIST4        "%0, %1, %2, %3"
#define WF_LIST8        "%0, %1, %2, %3, %4, %5, %6, %7"
#define WF_LIST16       "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define WF_LIST32                                                                                  \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, "                       \
    "%30, %31"
#define WF_LIST64_                                                                                 \
    ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, "                     \
    "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, "                       \
    "%60, %61, %62, %63"
#define WF_LIST128_                                                                                \
    ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, "                     \
    "%78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, "                       \
    "%92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, "                       \
    "%105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, "                           \
    "%116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define WF_LIST64  WF_LIST32 WF_LIST64_
#define WF_LIST128 WF_LIST64 WF_LIST128_

// shared: d (+)= A B, A [64][16] and B [N][16] in shared memory, both contiguous over what is
// summed. registers: the same with A in registers. mixed: d += A B, A in registers, B [16][N] in
// shared memory, contiguous over N.
template <typename T, int N> struct product;

#define WF_PRODUCT(T, WORD, N, OUT, LIST, A0, A1, A2, A3, A4, A5)                                  \
    template <> struct product<T, N> {                                                             \
        static __device__ __forceinline__ void shared(float *d, uint64_t a, uint64_t b, int add)   \
        {                                                                                          \
            asm volatile("{ .reg .pred p; setp.ne.b32 p, %" A2 ", 0;\n"                            \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." WORD "." WORD " {" LIST \
                         "}, %" A0 ", %" A1 ", p, 1, 1, 0, 0; }"                                   \
                         : OUT                                                                     \
                         : "l"(a), "l"(b), "r"(add));                                              \
        }                                                                                          \
        static __device__ __forceinline__ void registers(float *d, const uint32_t *a, uint64_t b,  \
                                                         int add)                                  \
        {                                                                                          \
            asm volatile("{ .reg .pred p; setp.ne.b32 p, %" A5 ", 0;\n"                            \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." WORD "." WORD " {" LIST \
                         "}, {%" A0 ", %" A1 ", %" A2 ", %" A3 "}, %" A4 ", p, 1, 1, 0; }"         \
                         : OUT                                                                     \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));          \
        }                                                                                          \
        static __device__ __forceinline__ void mixed(float *d, const uint32_t *a, uint64_t b)      \
        {                                                                                          \
            asm volatile("{ .reg .pred p; setp.ne.b32 p, %" A5 ", 0;\n"                            \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." WORD "." WORD " {" LIST \
                         "}, {%" A0 ", %" A1 ", %" A2 ", %" A3 "}, %" A4 ", p, 1, 1, 1; }"         \
                         : OUT                                                                     \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));            \
        }                                                                                          \
    };
WF_PRODUCT(__nv_bfloat16, "bf16", 8, WF_OUT4(d), WF_LIST4, "4", "5", "6", "7", "8", "9")
WF_PRODUCT(__nv_bfloat16, "bf16", 16, WF_OUT8(d, 0), WF_LIST8, "8", "9", "10", "11", "12", "13")
WF_PRODUCT(__nv_bfloat16, "bf16", 32, WF_OUT16(d), WF_LIST16, "16", "17", "18", "19", "20", "21")
WF_PRODUCT(__nv_bfloat16, "bf16", 64, WF_OUT32(d), WF_LIST32, "32", "33", "34", "35", "36", "37")
WF_PRODUCT(__nv_bfloat16, "bf16", 128, WF_OUT64(d), WF_LIST64, "64", "65", "66", "67", "68", "69")
WF_PRODUCT(__nv_bfloat16, "bf16", 256, WF_OUT128(d), WF_LIST128, "128", "129", "130", "131", "132",
           "133")
WF_PRODUCT(__half, "f16", 8, WF_OUT4(d), WF_LIST4, "4", "5", "6", "7", "8", "9")
WF_PRODUCT(__half, "f16", 16, WF_OUT8(d, 0), WF_LIST8, "8", "9", "10", "11", "12", "13")
WF_PRODUCT(__half, "f16", 32, WF_OUT16(d), WF_LIST16, "16", "17", "18", "19", "20", "21")
WF_PRODUCT(__half, "f16", 64, WF_OUT32(d), WF_LIST32, "32", "33", "34", "35", "36", "37")
WF_PRODUCT(__half, "f16", 128, WF_OUT64(d), WF_LIST64, "64", "65", "66", "67", "68", "69")
WF_PRODUCT(__half, "f16", 256, WF_OUT128(d), WF_LIST128, "128", "129", "130", "131", "132", "133")

#endif
