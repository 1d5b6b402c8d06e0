// Regions that peers write into: memory, mapping, the data check, small gathers (cuda_peers.h).
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/cuda_peers.cuh"

static_assert(sizeof(cudaIpcMemHandle_t) == WF_PEERS_HANDLE_BYTES, "handles travel as bytes");

// ---- memory -------------------------------------------------------------------------------------

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

// [pattern of every rank][gather: 2 halves of size x {word, tag}][3 buffers]
static size_t lay_out(wf_peers *p)
{
    size_t size = (size_t)p->config.size;
    p->view.gather_at = size * PEERS_PATTERN_BYTES;
    p->view.buffers_at =
        round_up(p->view.gather_at + 2 * size * 2 * WF_PEERS_GATHER_BYTES, 1 << 16);
    // Two-shot: slices of whole packs, then the sums.
    p->view.buffer_bytes = round_up(2 * p->config.most_bytes + (size + 1) * 16, 1 << 16);
    return round_up(p->view.buffers_at + PEERS_BUFFERS * p->view.buffer_bytes, (size_t)2 << 20);
}

static wf_status set_up(wf_peers *p)
{
    wf_cuda *cu = p->cu;
    size_t bytes = lay_out(p);
    void *state = nullptr, *own = nullptr, *wrong = nullptr, *trouble = nullptr;
    p->mapped = (bool *)calloc((size_t)p->config.size, sizeof *p->mapped);
    if (p->mapped == nullptr) return wf_fail(WF_NO_MEMORY, "peers: out of memory");
    // An allocation of its own, in whole pages of the driver: what is exported is the allocation.
    WF_TRY(cu->base.ops->alloc(&cu->base, bytes, &own));
    p->own = (char *)own;
    WF_TRY(cu->base.ops->alloc(&cu->base, sizeof(peers_state), &state));
    p->view.state = (peers_state *)state;
    WF_TRY(cu->base.ops->alloc(&cu->base, sizeof(int32_t), &wrong));
    p->wrong = (int32_t *)wrong;
    WF_TRY(cu->base.ops->host_alloc(&cu->base, sizeof(wf_peers_trouble), &trouble));
    p->view.trouble = (wf_peers_trouble *)trouble;
    p->view.rank = p->config.rank;
    p->view.size = p->config.size;
    p->view.limit_ns = (uint64_t)p->config.limit_ns;
    WF_CU(cu, cudaMemsetAsync(own, 0xff, bytes, cu->main.s), "emptying the peers' buffers");
    return wf_cuda_check(cu, cudaStreamSynchronize(cu->main.s), "emptying the peers' buffers");
}

wf_status wf_peers_create(wf_backend *be, const wf_peers_config *config, wf_peers **out)
{
    *out = nullptr;
    if (config->size < 2 || config->size > WF_PEERS_MOST)
        return wf_fail(WF_DEVICE, "peers: %d ranks, 2 to %d can share memory", config->size,
                       WF_PEERS_MOST);
    wf_peers *p = (wf_peers *)calloc(1, sizeof *p);
    if (p == nullptr) return wf_fail(WF_NO_MEMORY, "peers: out of memory");
    p->cu = cuda_of(be);
    p->config = *config;
    wf_status st = set_up(p);
    if (st != WF_OK) {
        wf_peers_destroy(p);
        return st;
    }
    *out = p;
    return WF_OK;
}

wf_status wf_peers_handle(const wf_peers *p, void *handle)
{
    cudaIpcMemHandle_t h;
    WF_CU(p->cu, cudaIpcGetMemHandle(&h, p->own), "exporting memory to peers");
    memcpy(handle, &h, sizeof h);
    return WF_OK;
}

wf_status wf_peers_open(wf_peers *p, const char (*handles)[WF_PEERS_HANDLE_BYTES])
{
    for (int r = 0; r < p->config.size; r++) {
        void *at = p->own;
        cudaIpcMemHandle_t h;
        memcpy(&h, handles[r], sizeof h);
        if (r != p->config.rank)
            WF_CU(p->cu, cudaIpcOpenMemHandle(&at, h, cudaIpcMemLazyEnablePeerAccess),
                  "mapping a peer's memory");
        p->mapped[r] = r != p->config.rank;
        p->view.region[r] = (char *)at;
    }
    return WF_OK;
}

void wf_peers_close(wf_peers *p)
{
    (void)cudaSetDevice(p->cu->device);
    for (int r = 0; r < p->config.size; r++)
        if (p->mapped != nullptr && p->mapped[r]) {
            (void)cudaIpcCloseMemHandle(p->view.region[r]);
            p->mapped[r] = false;
        }
}

void wf_peers_destroy(wf_peers *p)
{
    if (p == nullptr) return;
    wf_backend *be = &p->cu->base;
    wf_peers_close(p);
    be->ops->free(be, p->own);
    be->ops->free(be, p->view.state);
    be->ops->free(be, p->wrong);
    if (p->view.trouble != nullptr) be->ops->host_free(be, p->view.trouble);
    free(p->mapped);
    free(p);
}

wf_peers_trouble wf_peers_look(const wf_peers *p)
{
    wf_peers_trouble out = {};
    out.happened = __atomic_load_n(&p->view.trouble->happened, __ATOMIC_ACQUIRE);
    if (out.happened) out = *p->view.trouble;
    return out;
}

// ---- the data check -----------------------------------------------------------------------------

__device__ __forceinline__ uint32_t pattern(uint32_t from, uint32_t to, uint32_t i)
{
    uint32_t x = (from * 8 + to + 1) * 0x9e3779b9u + i * 0x85ebca6bu;
    x ^= x >> 15;
    return x * 0xc2b2ae35u;
}

static __global__ void write_pattern_kernel(peers_view v)
{
    uint32_t n = PEERS_PATTERN_BYTES / 4, to = blockIdx.y;
    uint32_t *at = (uint32_t *)v.region[to] + v.rank * n;
    wait_for_previous();
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        at[i] = pattern((uint32_t)v.rank, to, i);
}

// Every rank's region is read, through the same mapping that sums use.
static __global__ void check_pattern_kernel(peers_view v, int32_t *wrong)
{
    uint32_t n = PEERS_PATTERN_BYTES / 4, to = blockIdx.y, bad = 0;
    wait_for_previous();
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n * v.size;
         i += gridDim.x * blockDim.x) {
        uint32_t got = *((volatile uint32_t *)v.region[to] + i);
        bad += got != pattern(i / n, to, i % n);
    }
    if (bad > 0) atomicAdd(wrong, (int32_t)bad);
}

wf_status wf_peers_write_pattern(wf_peers *p)
{
    WF_TRY(wf_cuda_launch(p->cu, &p->cu->main, "a pattern for peers", write_pattern_kernel,
                          dim3(8, (unsigned)p->config.size), dim3(256), 0, p->view));
    return wf_cuda_check(p->cu, cudaStreamSynchronize(p->cu->main.s), "a pattern for peers");
}

wf_status wf_peers_check_pattern(wf_peers *p)
{
    int32_t wrong = -1;
    wf_stream *s = &p->cu->main;
    WF_CU(p->cu, cudaMemsetAsync(p->wrong, 0, sizeof *p->wrong, s->s), "the peers' patterns");
    WF_TRY(wf_cuda_launch(p->cu, s, "the peers' patterns", check_pattern_kernel,
                          dim3(8, (unsigned)p->config.size), dim3(256), 0, p->view, p->wrong));
    WF_CU(p->cu, cudaMemcpyAsync(&wrong, p->wrong, sizeof wrong, cudaMemcpyDeviceToHost, s->s),
          "the peers' patterns");
    WF_CU(p->cu, cudaStreamSynchronize(s->s), "the peers' patterns");
    if (wrong == 0) return WF_OK;
    return wf_fail(WF_DEVICE,
                   "device %d (%s) on %s: peer access is granted and %d words did not arrive",
                   p->cu->device, p->cu->gpu, p->cu->host, wrong);
}

// ---- gather -------------------------------------------------------------------------------------

// recv[r][i] = rank r's send[i], 4-byte words. Each word travels with the number of its call in one
// 8-byte store, so nothing needs clearing; two halves in turn, as a peer may be one call ahead.
static __global__ void gather_kernel(const __grid_constant__ peers_view v, const uint32_t *send,
                                     uint32_t n, uint32_t *recv, size_t stride)
{
    uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    patience wait = {};
    wait_for_previous();
    let_next_start();
    if (v.state->broken) return;
    uint32_t call = v.state->gather_call, tag = call + 1;
    size_t words = WF_PEERS_GATHER_BYTES / 4, half = v.gather_at + (call & 1) * v.size * words * 8;
    for (uint32_t i = first; i < n; i += step) {
        uint32_t word = send[i];
        recv[v.rank * stride + i] = word;
        for (int k = 1; k < v.size; k++) {
            int r = (v.rank + k) % v.size;
            uint64_t *to = (uint64_t *)(v.region[r] + half) + v.rank * words + i;
            asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(to),
                         "l"((uint64_t)tag << 32 | word)
                         : "memory");
        }
    }
    for (uint32_t i = first; i < n; i += step)
        for (int k = 1; k < v.size; k++) {
            int r = (v.rank + k) % v.size;
            const uint64_t *from = (const uint64_t *)(v.region[v.rank] + half) + r * words + i;
            uint64_t got;
            do {
                asm volatile("ld.relaxed.sys.global.u64 %0, [%1];"
                             : "=l"(got)
                             : "l"(from)
                             : "memory");
            } while ((uint32_t)(got >> 32) != tag && may_look_again(v, wait, 1u << r, call, true));
            recv[r * stride + i] = (uint32_t)got;
        }
    __syncthreads();
    if (threadIdx.x > 0 || atomicAdd(&v.state->gather_done, 1u) + 1 < gridDim.x) return;
    v.state->gather_done = 0;
    v.state->gather_call = call + 1;
}

wf_status wf_peers_all_gather(wf_peers *p, wf_stream *s, const void *send, size_t bytes, void *recv,
                              size_t stride)
{
    uint32_t n = (uint32_t)(bytes / 4), n_blocks = (uint32_t)div_up64(n, 128);
    uint32_t most = 2 * (uint32_t)p->cu->n_sms;
    if (bytes % 4 != 0 || stride % 4 != 0 || bytes > WF_PEERS_GATHER_BYTES)
        return wf_fail(WF_INTERNAL, "gather among peers: %zu bytes, %zu apart", bytes, stride);
    if (n == 0) return WF_OK;
    return wf_cuda_launch(p->cu, stream_of(&p->cu->base, s), "all-gather", gather_kernel,
                          dim3(n_blocks < most ? n_blocks : most), dim3(128), 0, p->view,
                          (const uint32_t *)send, n, (uint32_t *)recv, stride / 4);
}
