// What the kernels that talk to peers share (cuda_peers.h): packs of 16 bytes, waiting, sums.
#ifndef WF_KERNELS_CUDA_PEERS_CUH
#define WF_KERNELS_CUDA_PEERS_CUH

#include "kernels/cuda/cuda_norm.cuh"
#include "kernels/cuda/cuda_peers.h"

#define PEERS_PATTERN_BYTES ((size_t)16384) // per rank
#define PEERS_BUFFERS       3
#define PEERS_EMPTY         0xffffffffu // a word that has not arrived
#define PEERS_OTHER_NAN     0x7fffffffu // what a word of that value is sent as

// On the device, this rank's own. Changed by the last block of a call.
struct peers_state {
    uint32_t call, n_done;
    uint32_t gather_call, gather_done;
    uint32_t used[PEERS_BUFFERS]; // packs to clear
    uint32_t broken;              // a kernel gave up: nobody waits any more
};

struct peers_view {
    char *region[WF_PEERS_MOST];
    peers_state *state;
    wf_peers_trouble *trouble; // host memory
    size_t gather_at, buffers_at, buffer_bytes;
    uint64_t limit_ns;
    int32_t rank, size;
};

struct wf_peers {
    wf_cuda *cu;
    wf_peers_config config;
    peers_view view;
    char *own;      // this rank's region
    bool *mapped;   // [size]
    int n_mapped;   // regions of others that are open
    int32_t *wrong; // device: words of a pattern that did not arrive
};

typedef uint4 pack;

// A pack as its elements and back; copies, so that arrays of packs stay in registers.
template <typename T> struct alignas(16) pack_of {
    T v[16 / sizeof(T)];
};
template <typename T> __device__ __forceinline__ pack_of<T> unpacked(pack x)
{
    pack_of<T> out;
    memcpy(&out, &x, sizeof out);
    return out;
}
template <typename T> __device__ __forceinline__ pack packed(const pack_of<T> &x)
{
    pack out;
    memcpy(&out, &x, sizeof out);
    return out;
}

// Words are written and read one by one as far as the memory model goes; a pack is looked at until
// none of its words is empty.
__device__ __forceinline__ void send_pack(pack *to, pack v)
{
    v.x = v.x == PEERS_EMPTY ? PEERS_OTHER_NAN : v.x;
    v.y = v.y == PEERS_EMPTY ? PEERS_OTHER_NAN : v.y;
    v.z = v.z == PEERS_EMPTY ? PEERS_OTHER_NAN : v.z;
    v.w = v.w == PEERS_EMPTY ? PEERS_OTHER_NAN : v.w;
    asm volatile("st.relaxed.sys.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x),
                 "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
}

__device__ __forceinline__ pack look_at(const pack *from)
{
    pack v;
    asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from)
                 : "memory");
    return v;
}

__device__ __forceinline__ bool arrived(pack v)
{
    return v.x != PEERS_EMPTY && v.y != PEERS_EMPTY && v.z != PEERS_EMPTY && v.w != PEERS_EMPTY;
}

__device__ __forceinline__ uint64_t device_ns()
{
    uint64_t t;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
    return t;
}

// How long a thread goes on looking.
struct patience {
    uint64_t deadline;
    uint32_t n_looks;
};

// The deadline, set at the first call; 0: look no more.
static __device__ __noinline__ uint64_t look_on(peers_state *state, wf_peers_trouble *trouble,
                                                uint64_t limit_ns, uint64_t deadline,
                                                uint32_t missing, uint32_t call, bool gather)
{
    uint64_t now = device_ns();
    if (*(volatile uint32_t *)&state->broken != 0) return 0;
    if (deadline == 0) return now + limit_ns;
    if (now < deadline) return deadline;
    if (atomicExch(&state->broken, 1u) != 0) return 0;
    volatile wf_peers_trouble *t = trouble;
    t->missing = missing;
    t->call = call;
    t->was_gather = gather;
    __threadfence_system();
    t->happened = 1;
    return 0;
}

__device__ __forceinline__ bool may_look_again(const peers_view &v, patience &p, uint32_t missing,
                                               uint32_t call, bool gather)
{
    if ((++p.n_looks & 1023u) != 0) return true;
    p.deadline = look_on(v.state, v.trouble, v.limit_ns, p.deadline, missing, call, gather);
    return p.deadline != 0;
}

// Pack i of the buffer that call `call` uses, in the memory of `owner`.
__device__ __forceinline__ pack *pack_at(const peers_view &v, int owner, uint32_t call, uint32_t i)
{
    return (pack *)(v.region[owner] + v.buffers_at + call % PEERS_BUFFERS * v.buffer_bytes) + i;
}

// out[r] = from[r * stride] for every rank r of the mask, all of them in flight together.
template <int SIZE>
__device__ __forceinline__ void await_packs(const peers_view &v, const pack *from, uint32_t stride,
                                            uint32_t mask, uint32_t call, patience &p,
                                            pack (&out)[SIZE])
{
    do {
#pragma unroll
        for (int r = 0; r < SIZE; r++)
            if (mask >> r & 1) out[r] = look_at(from + (size_t)r * stride);
#pragma unroll
        for (int r = 0; r < SIZE; r++)
            if ((mask >> r & 1) && arrived(out[r])) mask &= ~(1u << r);
    } while (mask != 0 && may_look_again(v, p, mask, call, false));
}

// The sum of part[0 .. size) of every element, neighbours first, in f32, rounded once.
template <typename T, int SIZE>
__device__ __forceinline__ pack sum_packs(const pack (&part)[SIZE], int size)
{
    constexpr int N = 16 / sizeof(T);
    float x[SIZE][N];
    pack_of<T> out;
#pragma unroll
    for (int r = 0; r < SIZE; r++) {
        pack_of<T> one = unpacked<T>(part[r]);
#pragma unroll
        for (int j = 0; j < N; j++)
            x[r][j] = to_f32(one.v[j]);
    }
#pragma unroll
    for (int step = 1; step < SIZE; step *= 2)
#pragma unroll
        for (int r = 0; r + step < SIZE; r += 2 * step)
            if (r + step < size)
#pragma unroll
                for (int j = 0; j < N; j++)
                    x[r][j] = __fadd_rn(x[r][j], x[r + step][j]);
#pragma unroll
    for (int j = 0; j < N; j++)
        out.v[j] = of_f32<T>(x[0][j]);
    return packed(out);
}

// Empties this rank's buffer of the call before: all of it has been read.
__device__ __forceinline__ void clear_last(const peers_view &v, uint32_t call)
{
    uint32_t last = call + PEERS_BUFFERS - 1, n = v.state->used[last % PEERS_BUFFERS];
    const pack empty = {PEERS_EMPTY, PEERS_EMPTY, PEERS_EMPTY, PEERS_EMPTY};
    pack *at = pack_at(v, v.rank, last, 0);
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        at[i] = empty;
}

// The last thing a block does. All blocks have read the counter when the last one moves it on.
__device__ __forceinline__ void end_call(const peers_view &v, uint32_t call, uint32_t used)
{
    __syncthreads();
    if (threadIdx.x > 0) return;
    if (atomicAdd(&v.state->n_done, 1u) + 1 < gridDim.x) return;
    v.state->n_done = 0;
    v.state->used[call % PEERS_BUFFERS] = used;
    v.state->call = call + 1;
}

#endif
