// Small copies between pinned host memory and the device, and the device's clock.
//
// A step's plan and tokens are a few KiB. Through the copy engine each costs two hand-overs between
// engines, some microseconds in which the device computes nothing; a kernel reads and writes pinned
// memory over the bus directly. It reads ahead of wait_for_previous() only from host memory, which
// no kernel before it writes.
#include "kernels/cuda/cuda_impl.cuh"

#define MOST_BYTES ((size_t)64 << 10)

static bool is_pinned(const wf_cuda *cu, const char *begin, size_t bytes)
{
    for (int i = 0; i < cu->n_pinned; i++)
        if (begin >= cu->pinned[i].begin && begin + bytes <= cu->pinned[i].end) return true;
    return false;
}

bool wf_cuda_copy_fits(const wf_cuda *cu, const void *device, const void *host, size_t bytes)
{
    return bytes <= MOST_BYTES && bytes % 4 == 0 && (uintptr_t)device % 16 == 0 &&
           (uintptr_t)host % 16 == 0 && is_pinned(cu, (const char *)host, bytes);
}

// One piece of 16 bytes per thread; the last may be shorter.
static __global__ void copy_kernel(char *dst, const char *src, uint32_t bytes, bool from_host)
{
    uint32_t at = (blockIdx.x * blockDim.x + threadIdx.x) * 16, left = at < bytes ? bytes - at : 0;
    uint32_t words[4] = {};
    if (!from_host) wait_for_previous();
    if (left >= 16) {
        uint4 piece = __ldcv((const uint4 *)(src + at));
        words[0] = piece.x, words[1] = piece.y, words[2] = piece.z, words[3] = piece.w;
    } else {
        for (uint32_t i = 0; i < left / 4; i++)
            words[i] = __ldcv((const uint32_t *)(src + at) + i);
    }
    if (from_host) wait_for_previous();
    let_next_start();
    if (left >= 16)
        *(uint4 *)(dst + at) = make_uint4(words[0], words[1], words[2], words[3]);
    else
        for (uint32_t i = 0; i < left / 4; i++)
            ((uint32_t *)(dst + at))[i] = words[i];
}

wf_status wf_cuda_copy(wf_cuda *cu, wf_stream *s, void *dst, const void *src, size_t bytes)
{
    bool from_host = is_pinned(cu, (const char *)src, bytes);
    return wf_cuda_launch(cu, s, "copy", copy_kernel,
                          dim3((unsigned)div_up64((int64_t)bytes, 2048)), dim3(128), 0, (char *)dst,
                          (const char *)src, (uint32_t)bytes, from_host);
}

static __global__ void stamp_kernel(uint64_t *at)
{
    uint64_t ns;
    wait_for_previous();
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
    *at = ns;
}

wf_status wf_cuda_stamp(wf_backend *be, wf_stream *s, uint64_t *at)
{
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "stamp", stamp_kernel, dim3(1), dim3(1), 0,
                          at);
}
