// experts_gemm: products of packed rows with their experts' matrices, on tensor cores (mma
// m16n8k16).
//
//   unit = (expert with rows, tile of BN rows of W, chunk of BM packed rows, run of k)
//
// How many units there are is known to the device alone, so the grid is as large as the device and
// block b takes units b, b + grid ...; it finds them in the sums of chunks per expert, which it
// makes itself from `begin`. Chunks of one tile follow each other: W comes from memory once and for
// the others from the L2. Tiles of x and W go through a ring in shared memory (cp.async) that runs
// on into the block's next unit, so that memory does not rest while a tile is stored. Rows of x are
// gathered on the way in. With a gate a tile has BN / 2 rows of gate and of up, 8 by 8 in turn: the
// two sums of an output meet in one thread.
//
// Few rows of an expert: BM = 16, three blocks of a multiprocessor with 50 KB under way each; bound
// by the bytes of the experts that are touched. Many: BM = 128.
//
// A sum is one chain over k ascending whatever the tile (that of wf_gemm_chain): neither its batch
// nor the tile that is chosen shows in a row. FLOPs: 2 K N times rows rounded up to BM. Tolerance:
// rounding of y.
//
// Other shapes and f32: a thread per output.
#include "kernels/cuda/cuda_mma.cuh"

extern "C" {
#include "kernels/ops/op_experts.h"
}

#define UNIT_K 64 // k of a stage: 8 pieces of 16 bytes
#define PIECES 8

struct experts_args {
    wf_matrix x, y;
    const char *w;
    const float *bias;
    const int32_t *begin, *pair;
    int32_t n_choices, n_experts;
    int32_t n_out, w_rows; // columns of y; rows of one matrix
    int32_t k, k_runs;     // of the matrix; 1: whole
    int64_t run_stride;
    wf_gate gate;
};

__device__ __forceinline__ float gated(wf_gate gate, float g, float u)
{
    if (gate == WF_GATE_SILU) return g / (1.0f + expf(-g)) * u;
    g = fminf(g, 7.0f);
    u = fmaxf(fminf(u, 7.0f), -7.0f);
    return g / (1.0f + expf(-1.702f * g)) * (u + 1.0f);
}

__device__ __forceinline__ int begin_of(const experts_args &a, int e)
{
    return a.begin != nullptr ? a.begin[e] : e * (int)a.y.n_rows;
}

__device__ __forceinline__ int x_row_of(const experts_args &a, int row)
{
    return a.pair != nullptr ? a.pair[row] / a.n_choices : row;
}

// ---- tiles --------------------------------------------------------------------------------------

template <int BM_, int BN_, int WARPS_M_, int WARPS_N_, int STAGES_, int RESIDENT_>
struct experts_shape {
    static const int bm = BM_, bn = BN_, warps_m = WARPS_M_, warps_n = WARPS_N_, stages = STAGES_;
    static const int resident = RESIDENT_, threads = 32 * WARPS_M_ * WARPS_N_;
    static const int wm = BM_ / WARPS_M_, wn = BN_ / WARPS_N_; // of a warp
    static const int mb = wm / 16, nb = wn / 8;                // its products
    static const int x_bytes = BM_ * UNIT_K * 2, stage_bytes = x_bytes + BN_ * UNIT_K * 2;
    static const int shared_bytes = STAGES_ * stage_bytes;
    // Pieces that a thread copies.
    static const int x_pieces = BM_ * PIECES / threads, w_pieces = BN_ * PIECES / threads;
    static_assert(wm % 16 == 0 && wn % 16 == 0, "whole products, gate beside up");
    static_assert(x_pieces * threads == BM_ * PIECES && w_pieces * threads == BN_ * PIECES,
                  "equal shares");
};

struct experts_unit {
    int expert, tile, run;
    int row, n_rows; // packed rows of the chunk
};

// Sums of chunks per expert: chunks[e] = those of experts before e.
template <typename S>
__device__ __forceinline__ void count_chunks(const experts_args &a, int *chunks)
{
    int lane = (int)threadIdx.x % 32, sum = 0;
    for (int e = (int)threadIdx.x; e < a.n_experts; e += S::threads)
        chunks[e + 1] = (begin_of(a, e + 1) - begin_of(a, e) + S::bm - 1) / S::bm;
    if (threadIdx.x == 0) chunks[0] = 0;
    __syncthreads();
    for (int first = 0; threadIdx.x < 32 && first < a.n_experts; first += 32) {
        int e = first + lane, n = e < a.n_experts ? chunks[e + 1] : 0;
        for (int i = 1; i < 32; i *= 2) {
            int before = __shfl_up_sync(0xffffffffu, n, i);
            if (lane >= i) n += before;
        }
        if (e < a.n_experts) chunks[e + 1] = sum + n;
        sum += __shfl_sync(0xffffffffu, n, 31);
    }
    __syncthreads();
}

template <typename T, typename S, bool GATED> struct experts_block {
    static const int features = GATED ? S::bn / 2 : S::bn; // columns of y in a tile
    const experts_args &a;
    const int *chunks;
    uint32_t ring;
    int n_tiles, run_k, steps; // steps of a unit
    int64_t n_units;

    // What is copied next: a thread's rows of x and W, and how far.
    int64_t unit;
    int step;
    const T *x_from[S::x_pieces], *w_from[S::w_pieces];
    uint32_t x_real, w_real; // bit j: piece j is of a row there is

    __device__ __forceinline__ experts_block(const experts_args &args, const int *sums,
                                             uint32_t shared)
        : a(args), chunks(sums), ring(shared)
    {
        n_tiles = (a.n_out + features - 1) / features;
        run_k = a.k / a.k_runs;
        steps = (run_k + UNIT_K - 1) / UNIT_K;
        n_units = (int64_t)chunks[a.n_experts] * n_tiles * a.k_runs;
        unit = blockIdx.x;
        step = 0;
        if (unit < n_units) point_to_unit();
    }

    __device__ __forceinline__ experts_unit unit_at(int64_t u) const
    {
        int each = n_tiles * a.k_runs, lo = 0, hi = a.n_experts;
        while (hi - lo > 1) { // the last expert whose units begin at or before u
            int mid = (lo + hi) / 2;
            if ((int64_t)chunks[mid] * each <= u)
                lo = mid;
            else
                hi = mid;
        }
        int n = chunks[lo + 1] - chunks[lo], rest = (int)(u - (int64_t)chunks[lo] * each);
        int chunk = rest % n, at = rest / n, begin = begin_of(a, lo);
        int row = begin + chunk * S::bm, left = begin_of(a, lo + 1) - row;
        return {lo, at % n_tiles, at / n_tiles, row, left < S::bm ? left : S::bm};
    }

    // Row of the expert's matrix that row r of the tile is; beyond the last: not there.
    __device__ __forceinline__ int w_row(int tile, int r, bool &real) const
    {
        int f = GATED ? tile * features + r / 16 * 8 + r % 8 : tile * features + r;
        real = f < a.n_out;
        return GATED && r / 8 % 2 == 1 ? a.n_out + f : f;
    }

    __device__ __forceinline__ void point_to_unit()
    {
        experts_unit u = unit_at(unit);
        const T *w = (const T *)a.w + (int64_t)u.expert * a.w_rows * a.k + u.run * run_k;
        const T *x = (const T *)a.x.data + u.run * run_k;
        x_real = w_real = 0;
#pragma unroll
        for (int j = 0; j < S::x_pieces; j++) {
            int r = ((int)threadIdx.x + j * S::threads) / PIECES;
            bool real = r < u.n_rows;
            x_from[j] = x + (real ? x_row_of(a, u.row + r) * a.x.stride : 0);
            x_real |= (uint32_t)real << j;
        }
#pragma unroll
        for (int j = 0; j < S::w_pieces; j++) {
            bool real;
            int r = w_row(u.tile, ((int)threadIdx.x + j * S::threads) / PIECES, real);
            w_from[j] = w + (real ? (int64_t)r * a.k : 0);
            w_real |= (uint32_t)real << j;
        }
    }

    // Asks for the next step's tiles, into a slot of the ring.
    __device__ __forceinline__ void copy_next(int slot)
    {
        if (unit < n_units) {
            uint32_t x = ring + (uint32_t)(slot * S::stage_bytes), w = x + S::x_bytes;
            int c = (int)threadIdx.x % PIECES, r = (int)threadIdx.x / PIECES;
            int k = step * UNIT_K + c * 8;
            bool in_k = k < run_k;
            if (!in_k) k = 0;
#pragma unroll
            for (int j = 0; j < S::x_pieces; j++)
                copy16(x + swizzled<PIECES>(r + j * (S::threads / PIECES), c), x_from[j] + k,
                       in_k && (x_real >> j & 1u));
#pragma unroll
            for (int j = 0; j < S::w_pieces; j++)
                copy16(w + swizzled<PIECES>(r + j * (S::threads / PIECES), c), w_from[j] + k,
                       in_k && (w_real >> j & 1u));
            if (++step == steps) {
                step = 0;
                unit += gridDim.x;
                if (unit < n_units) point_to_unit();
            }
        }
        copy_commit();
    }

    __device__ __forceinline__ void multiply(int slot, float (*sum)[S::nb][4]) const
    {
        int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
        int m0 = warp / S::warps_n * S::wm, n0 = warp % S::warps_n * S::wn;
        uint32_t x = ring + (uint32_t)(slot * S::stage_bytes), w = x + S::x_bytes;
#pragma unroll
        for (int k = 0; k < PIECES; k += 2) {
            uint32_t rows[S::mb][4], feats[S::nb / 2][4];
#pragma unroll
            for (int i = 0; i < S::mb; i++)
                load_matrix4(x + swizzled<PIECES>(m0 + i * 16 + lane % 16, k + lane / 16), rows[i]);
#pragma unroll
            for (int i = 0; i < S::nb / 2; i++)
                load_matrix4(
                    w + swizzled<PIECES>(n0 + i * 16 + lane / 16 * 8 + lane % 8, k + lane / 8 % 2),
                    feats[i]);
#pragma unroll
            for (int i = 0; i < S::mb; i++)
#pragma unroll
                for (int j = 0; j < S::nb; j++)
                    mma<T>(sum[i][j], rows[i], feats[j / 2][j % 2 * 2],
                           feats[j / 2][j % 2 * 2 + 1]);
        }
    }

    // Two neighbours of a row of y.
    __device__ __forceinline__ void store2(int64_t at, int f, float lo, float hi) const
    {
        if (a.y.dtype == WF_F32) {
            float *y = (float *)a.y.data + at;
            if (f < a.n_out) y[0] = lo;
            if (f + 1 < a.n_out) y[1] = hi;
            return;
        }
        T *y = (T *)a.y.data + at;
        if (f + 1 < a.n_out && (uintptr_t)y % 4 == 0)
            *(uint32_t *)y = pack2((T *)nullptr, lo, hi);
        else if (f < a.n_out) {
            y[0] = of_f32<T>(lo);
            if (f + 1 < a.n_out) y[1] = of_f32<T>(hi);
        }
    }

    __device__ __forceinline__ float bias_at(const experts_unit &u, int row) const
    {
        return a.bias != nullptr && u.run == 0 && row < a.w_rows
                   ? a.bias[(int64_t)u.expert * a.w_rows + row]
                   : 0.0f;
    }

    __device__ __forceinline__ void store(int64_t at, const float (*sum)[S::nb][4]) const
    {
        experts_unit u = unit_at(at);
        int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
        int m0 = warp / S::warps_n * S::wm + lane / 4, n0 = warp % S::warps_n * S::wn;
        const int step_n = GATED ? 2 : 1;
#pragma unroll
        for (int j = 0; j < S::nb; j += step_n) {
            int f = u.tile * features + (n0 / 8 + j) / step_n * 8 + lane % 4 * 2;
            float b[2] = {bias_at(u, f), bias_at(u, f + 1)}, b_up[2] = {};
            if (GATED) b_up[0] = bias_at(u, a.n_out + f), b_up[1] = bias_at(u, a.n_out + f + 1);
#pragma unroll
            for (int i = 0; i < S::mb; i++)
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    int r = m0 + i * 16 + h * 8;
                    float v[2];
                    if (r >= u.n_rows) continue;
#pragma unroll
                    for (int q = 0; q < 2; q++) {
                        v[q] = __fadd_rn(sum[i][j][2 * h + q], b[q]);
                        if (GATED) v[q] = gated(a.gate, v[q], sum[i][j + 1][2 * h + q] + b_up[q]);
                    }
                    store2(u.run * a.run_stride + (u.row + r) * a.y.stride + f, f, v[0], v[1]);
                }
        }
    }

    __device__ __forceinline__ void run()
    {
        int slot = 0, ahead = S::stages - 1;
        for (int i = 0; i < S::stages - 1; i++)
            copy_next(i);
        for (int64_t u = blockIdx.x; u < n_units; u += gridDim.x) {
            float sum[S::mb][S::nb][4] = {};
            for (int i = 0; i < steps; i++) {
                copy_wait<S::stages - 2>();
                __syncthreads(); // the slot that is filled next was read by all
                copy_next(ahead);
                multiply(slot, sum);
                slot = slot + 1 < S::stages ? slot + 1 : 0;
                ahead = ahead + 1 < S::stages ? ahead + 1 : 0;
            }
            store(u, sum);
        }
        copy_wait<0>();
    }
};

template <typename T, typename S, bool GATED>
static __global__ void __launch_bounds__(S::threads, S::resident)
    experts_kernel(const __grid_constant__ experts_args a)
{
    extern __shared__ __align__(128) char shared[];
    __shared__ int chunks[WF_MAX_EXPERTS + 1];
    let_next_start(); // it waits for this kernel's end before it reads a word
    wait_for_previous();
    count_chunks<S>(a, chunks);
    experts_block<T, S, GATED> block(a, chunks, shared_address(shared));
    block.run();
}

// ---- a thread per output ------------------------------------------------------------------------

// The expert of a packed row.
__device__ __forceinline__ int expert_of(const experts_args &a, int row)
{
    int lo = 0, hi = a.n_experts;
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        if (begin_of(a, mid) <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static __global__ void general_experts_kernel(experts_args a, wf_dtype w_dtype)
{
    int f = (int)(blockIdx.y * blockDim.x + threadIdx.x), row = (int)blockIdx.x;
    int run = (int)blockIdx.z, run_k = a.k / a.k_runs;
    let_next_start();
    wait_for_previous();
    if (f >= a.n_out || row >= begin_of(a, a.n_experts)) return;
    int e = expert_of(a, row);
    int64_t x = x_row_of(a, row) * a.x.stride + run * run_k;
    int64_t first = (int64_t)e * a.w_rows, bias_at = first + f;
    int64_t w = bias_at * a.k + run * run_k, up = (bias_at + a.n_out) * a.k;
    float sum = 0.0f, up_sum = 0.0f;
    bool has_bias = a.bias != nullptr && run == 0;
    for (int k = 0; k < run_k; k++) {
        float v = load_any(a.x.data, a.x.dtype, x + k);
        sum += v * load_any(a.w, w_dtype, w + k);
        if (a.gate != WF_GATE_NONE) up_sum += v * load_any(a.w, w_dtype, up + k);
    }
    sum += has_bias ? a.bias[bias_at] : 0.0f;
    if (a.gate != WF_GATE_NONE)
        sum = gated(a.gate, sum, up_sum + (has_bias ? a.bias[bias_at + a.n_out] : 0.0f));
    store_any(a.y.data, a.y.dtype, run * a.run_stride + row * a.y.stride + f, sum);
}

static wf_status run_general(wf_cuda *cu, wf_stream *s, const experts_args &a, wf_dtype w_dtype)
{
    return wf_cuda_launch(
        cu, s, "experts_gemm", general_experts_kernel,
        dim3((unsigned)a.y.n_rows, (unsigned)div_up64(a.n_out, 128), (unsigned)a.k_runs), dim3(128),
        0, a, w_dtype);
}

// ---- launch -------------------------------------------------------------------------------------

// A grid that fills the device, or fewer blocks where there cannot be as many units.
template <typename T, typename S, bool GATED>
static wf_status launch(wf_cuda *cu, wf_stream *s, const experts_args &a)
{
    auto kernel = experts_kernel<T, S, GATED>;
    int64_t features = experts_block<T, S, GATED>::features, n_rows = a.y.n_rows;
    int64_t touched = n_rows < a.n_experts ? n_rows : a.n_experts;
    int64_t units = (div_up64(n_rows, S::bm) + touched) * div_up64(a.n_out, features) * a.k_runs;
    int64_t most = (int64_t)cu->n_sms * S::resident;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, S::shared_bytes, "experts_gemm"));
    return wf_cuda_launch(cu, s, "experts_gemm", kernel,
                          dim3((unsigned)(units < most ? units : most)), dim3(S::threads),
                          S::shared_bytes, a);
}

template <typename T, typename S>
static wf_status launch_gate(wf_cuda *cu, wf_stream *s, const experts_args &a)
{
    return a.gate != WF_GATE_NONE ? launch<T, S, true>(cu, s, a) : launch<T, S, false>(cu, s, a);
}

// By the rows that an expert has on average; which tile it is shows in no bit.
template <typename T> static wf_status launch_rows(wf_cuda *cu, wf_stream *s, const experts_args &a)
{
    int64_t each = a.y.n_rows / a.n_experts;
    if (each <= 10) return launch_gate<T, experts_shape<16, 64, 1, 4, 6, 3>>(cu, s, a);
    if (each <= 24) return launch_gate<T, experts_shape<32, 64, 1, 4, 5, 3>>(cu, s, a);
    if (each <= 96) return launch_gate<T, experts_shape<64, 128, 2, 4, 4, 2>>(cu, s, a);
    return launch_gate<T, experts_shape<128, 128, 2, 4, 4, 1>>(cu, s, a);
}

static bool tiles_fit(const wf_experts_gemm_args *a, int runs)
{
    return a->w->dtype != WF_F32 && a->x.dtype == a->w->dtype && a->w->n_cols / runs % 8 == 0 &&
           (uintptr_t)a->x.data % 16 == 0 && a->x.stride % 8 == 0;
}

wf_status wf_cuda_experts_gemm(wf_backend *be, wf_stream *s, const wf_experts_gemm_args *g)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_experts_gemm(g, cu->numerics.act));
    if (g->y.n_rows == 0 || g->y.n_cols == 0) return WF_OK;
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    experts_args a = {};
    a.x = g->x;
    a.y = g->y;
    a.w = w->data;
    a.bias = g->bias;
    a.begin = g->begin;
    a.pair = g->pair;
    a.n_choices = g->n_choices;
    a.n_experts = w->base.n_groups;
    a.n_out = (int32_t)g->y.n_cols;
    a.w_rows = (int32_t)w->base.n_rows;
    a.k = (int32_t)w->base.n_cols;
    a.k_runs = g->k_runs > 1 ? g->k_runs : 1;
    a.run_stride = g->run_stride;
    a.gate = g->gate;
    if (!tiles_fit(g, a.k_runs)) return run_general(cu, stream_of(be, s), a, w->base.dtype);
    return with_half(w->base.dtype, [&](auto *t) {
        return launch_rows<std::remove_pointer_t<decltype(t)>>(cu, stream_of(be, s), a);
    });
}
