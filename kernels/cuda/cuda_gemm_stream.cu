// gemm for few rows: y = x W^T (+ bias), M <= 16, through a deep ring in shared memory that starts
// to fill before the kernel's turn. Hopper only.
//
//   W rows --bulk copies--> ring of stages, 16 rows x 512 k each --> 8 warps --> sums --> y
//   x -----bulk copies----> all M rows of K -------------------------^
//
// x [M, K] act, W [N, K] same dtype, y [M, N] act or f32; K a multiple of 64, rows of 16 bytes. One
// block per multiprocessor walks groups of 16 rows of W; four more warps feed the ring in turn,
// since one alone cannot issue copies as fast as memory serves them. W depends on no kernel before
// this one: launched early (programmatic launch), a block gets in as soon as the block before it on
// its multiprocessor has left, and asks for all that its ring holds, 20 MB over the device, while
// the kernels between (a norm, attention, an activation) wait for each other. So memory hardly
// rests between two products.
//
//   mma m16n8k16: A = 16 rows of W, B = 8 rows of x. As in cuda_gemm_skinny.cu a lane takes 16
//   bytes of a row (8 k), which serve as its fragments of two instructions. In a stage, warp w has
//   k [64 w, 64 w + 64). Rows in shared memory lie 64 bytes beyond a multiple of 128 apart: the 8
//   lanes of a quarter warp then touch all banks once.
//
// The order of a sum depends on K alone: k within a warp ascending, then warps. Bytes: 2 N K.
// Tolerance: rounding of y.
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_mma.cuh"

#define ROWS         16  // of W, of a group
#define STAGE_K      512 // of a stage
#define FEEDERS      4   // warps that copy
#define WARPS        8   // that compute
#define WARP_K       (STAGE_K / WARPS)
#define PITCH        (STAGE_K * 2 + 64) // bytes between rows of a stage
#define STAGE_BYTES  (ROWS * PITCH)
#define MOST_STAGES  16
#define LEAST_STAGES 5

struct stream_args {
    wf_matrix x, y;
    const char *w;
    int64_t n;
    int32_t k, n_stages; // stages of the ring
    const float *bias;
};

// ---- barriers and copies ------------------------------------------------------------------------

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ __forceinline__ void barrier_init(uint32_t at, uint32_t n_arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(n_arrivals) : "memory");
}

__device__ __forceinline__ void barrier_expect(uint32_t at, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t at)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}

__device__ __forceinline__ void barrier_wait(uint32_t at, uint32_t parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra over;\n"
                 "bra again;\n"
                 "over:\n"
                 "}" ::"r"(at),
                 "r"(parity)
                 : "memory");
}

__device__ __forceinline__ void bulk_copy(uint32_t dst, const void *src, uint32_t bytes,
                                          uint32_t barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], "
                 "%2, [%3];" ::"r"(dst),
                 "l"(src), "r"(bytes), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ uint4 load_shared(uint32_t at)
{
    uint4 r;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
                 : "r"(at));
    return r;
}

// ---- the two roles ------------------------------------------------------------------------------

struct ring {
    uint32_t data, full, empty, x, x_full; // shared addresses; barriers are 8 bytes apart
};

// A slot of the ring, and how often the ring went round before.
struct place {
    uint32_t slot, round;
};

__device__ __forceinline__ void advance(place &at, uint32_t by, uint32_t n_stages)
{
    at.slot += by;
    if (at.slot < n_stages) return;
    at.slot -= n_stages;
    at.round++;
}

// Feeding warp f has every FEEDERS-th stage from the f-th on; its lane r copies row r.
__device__ void feed(const stream_args &a, const ring &r, int steps, int64_t n_groups)
{
    int lane = (int)threadIdx.x % 32, step = (int)threadIdx.x / 32 - WARPS;
    place at = {(uint32_t)step, 0};
    int64_t group = blockIdx.x;
    for (;; step += FEEDERS, advance(at, FEEDERS, (uint32_t)a.n_stages)) {
        for (; step >= steps; step -= steps)
            group += gridDim.x;
        if (group >= n_groups) return;
        int64_t row = min(group * ROWS + lane, a.n - 1); // beyond the last: never stored
        uint32_t bytes = (uint32_t)min(STAGE_K, a.k - step * STAGE_K) * 2;
        uint32_t full = r.full + at.slot * 8;
        if (at.round > 0) barrier_wait(r.empty + at.slot * 8, (at.round - 1) & 1);
        if (lane == 0) barrier_expect(full, ROWS * bytes);
        __syncwarp();
        if (lane < ROWS)
            bulk_copy(r.data + at.slot * STAGE_BYTES + (uint32_t)lane * PITCH,
                      a.w + (row * a.k + step * STAGE_K) * 2, bytes, full);
    }
}

__device__ __forceinline__ uint32_t x_pitch(const stream_args &a)
{
    return (uint32_t)a.k * 2 + 64;
}

// One warp fetches x once the kernel before has written it.
__device__ void fetch_x(const stream_args &a, const ring &r)
{
    uint32_t lane = threadIdx.x % 32, bytes = (uint32_t)a.k * 2;
    if (lane == 0) barrier_expect(r.x_full, (uint32_t)a.x.n_rows * bytes);
    __syncwarp();
    if (lane < (uint32_t)a.x.n_rows)
        bulk_copy(r.x + lane * x_pitch(a), (const char *)a.x.data + lane * a.x.stride * 2, bytes,
                  r.x_full);
}

template <typename T, int MB>
__device__ __forceinline__ void store_sums(const stream_args &a, int64_t group,
                                           float (*sums)[ROWS][8 * MB + 1], const float (*c)[4])
{
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int b = 0; b < MB; b++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[warp][g + (i >> 1) * 8][b * 8 + t * 2 + (i & 1)] = c[b][i];
    asm volatile("bar.sync 1, %0;" ::"n"(WARPS * 32) : "memory");
    for (int i = (int)threadIdx.x; i < ROWS * (int)a.x.n_rows; i += WARPS * 32) {
        int row = i % ROWS, m = i / ROWS;
        int64_t n = group * ROWS + row;
        if (n >= a.n) continue;
        float sum = 0.0f;
#pragma unroll
        for (int v = 0; v < WARPS; v++)
            sum += sums[v][row][m];
        if (a.bias != nullptr) sum += a.bias[n];
        int64_t at = (int64_t)m * a.y.stride + n;
        if (a.y.dtype == WF_F32)
            ((float *)a.y.data)[at] = sum;
        else
            ((T *)a.y.data)[at] = of_f32<T>(sum);
    }
}

// A computing warp: its 64 k of every stage.
template <typename T, int MB>
__device__ void compute(const stream_args &a, const ring &r, int steps, int64_t n_groups,
                        float (*sums)[WARPS][ROWS][8 * MB + 1])
{
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, turn = 0;
    place at = {0, 0};
    uint32_t mine = (uint32_t)(g * PITCH + warp * WARP_K * 2 + t * 16);
    uint32_t x = r.x + (uint32_t)g * x_pitch(a) + (uint32_t)(warp * WARP_K * 2 + t * 16);
    bool real[MB];
#pragma unroll
    for (int b = 0; b < MB; b++)
        real[b] = b * 8 + g < a.x.n_rows;
    barrier_wait(r.x_full, 0);
    for (int64_t group = blockIdx.x; group < n_groups; group += gridDim.x, turn ^= 1) {
        float c[MB][4] = {};
        for (int step = 0; step < steps; step++, advance(at, 1, (uint32_t)a.n_stages)) {
            barrier_wait(r.full + at.slot * 8, at.round & 1);
            if (step * STAGE_K + warp * WARP_K < a.k) {
                uint32_t w = r.data + at.slot * STAGE_BYTES + mine;
#pragma unroll
                for (int h = 0; h < WARP_K / 32; h++) {
                    uint4 lo = load_shared(w + h * 64), hi = load_shared(w + 8 * PITCH + h * 64);
                    uint32_t first[4] = {lo.x, hi.x, lo.y, hi.y};
                    uint32_t second[4] = {lo.z, hi.z, lo.w, hi.w};
#pragma unroll
                    for (int b = 0; b < MB; b++) {
                        uint4 v = make_uint4(0, 0, 0, 0);
                        if (real[b])
                            v = load_shared(x + (uint32_t)b * 8 * x_pitch(a) +
                                            (uint32_t)(step * STAGE_K * 2 + h * 64));
                        mma<T>(c[b], first, v.x, v.y);
                        mma<T>(c[b], second, v.z, v.w);
                    }
                }
            }
            __syncwarp();
            if (threadIdx.x % 32 == 0) barrier_arrive(r.empty + at.slot * 8);
        }
        store_sums<T, MB>(a, group, sums[turn], c); // two sets of sums: one barrier a group
    }
}
#endif

template <typename T, int MB>
static __global__ void __launch_bounds__((WARPS + FEEDERS) * 32, 1)
    stream_kernel(const __grid_constant__ stream_args a)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    extern __shared__ __align__(128) char shared[];
    __shared__ float sums[2][WARPS][ROWS][8 * MB + 1];
    __shared__ __align__(8) uint64_t barriers[2 * MOST_STAGES + 1];
    uint32_t first = shared_address(barriers);
    ring r = {shared_address(shared), first, first + MOST_STAGES * 8,
              shared_address(shared) + (uint32_t)a.n_stages * STAGE_BYTES,
              first + 2 * MOST_STAGES * 8};
    int steps = (a.k + STAGE_K - 1) / STAGE_K;
    int64_t n_groups = (a.n + ROWS - 1) / ROWS;
    let_next_start(); // it waits for this kernel's end before it reads a word
    if (threadIdx.x == 0) {
        for (int i = 0; i < a.n_stages; i++) {
            barrier_init(r.full + i * 8, 1);
            barrier_init(r.empty + i * 8, WARPS);
        }
        barrier_init(r.x_full, 1);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x / 32 >= WARPS) {
        feed(a, r, steps, n_groups);
    } else {
        wait_for_previous();
        if (threadIdx.x / 32 == 0) fetch_x(a, r);
        compute<T, MB>(a, r, steps, n_groups, sums);
    }
#endif
}

// ---- launch -------------------------------------------------------------------------------------

static int stages_for(const wf_gemm_args *a)
{
    int64_t sums = 2 * WARPS * ROWS * 17 * 4 + 1024;
    int64_t x = a->x.n_rows * (a->w->n_cols * 2 + 64), left = (int64_t)227 * 1024 - sums - x;
    int64_t n = left / STAGE_BYTES;
    return n > MOST_STAGES ? MOST_STAGES : (int)n;
}

bool wf_gemm_stream_fits(const wf_cuda *cu, const wf_gemm_args *a)
{
    return cu->overlap && a->x.n_rows <= 16 && a->w->dtype != WF_F32 && a->x.dtype == a->w->dtype &&
           a->w->n_cols % 64 == 0 && a->w->n_cols <= 65536 && (uintptr_t)a->x.data % 16 == 0 &&
           a->x.stride % 8 == 0 && stages_for(a) >= LEAST_STAGES;
}

template <typename T, int MB>
static wf_status launch_stream(wf_cuda *cu, wf_stream *s, const wf_gemm_args *g)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    stream_args a = {g->x,          g->y,   w->data, w->base.n_rows, (int32_t)w->base.n_cols,
                     stages_for(g), g->bias};
    size_t bytes =
        (size_t)a.n_stages * STAGE_BYTES + (size_t)(g->x.n_rows * (w->base.n_cols * 2 + 64));
    int64_t n_groups = div_up64(a.n, ROWS), rounds = div_up64(n_groups, cu->n_sms);
    // As few blocks as keep their rounds: all of them then end together.
    dim3 grid((unsigned)div_up64(n_groups, rounds)), block((WARPS + FEEDERS) * 32);
    WF_TRY(wf_cuda_allow_shared(cu, stream_kernel<T, MB>, bytes, "gemm"));
    return wf_cuda_launch(cu, s, "gemm", stream_kernel<T, MB>, grid, block, bytes, a);
}

template <typename T> static wf_status stream_rows(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return a->x.n_rows <= 8 ? launch_stream<T, 1>(cu, s, a) : launch_stream<T, 2>(cu, s, a);
}

wf_status wf_gemm_stream(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return with_half(a->w->dtype, [&](auto *t) {
        return stream_rows<std::remove_pointer_t<decltype(t)>>(cu, s, a);
    });
}
