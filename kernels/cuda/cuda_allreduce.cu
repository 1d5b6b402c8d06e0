// all_reduce: data[i] = sum over ranks of data[i], in place, among devices that write into each
// other's memory (cuda_peers.h: buffers, clearing, waiting).
//
// data: [n] f32, bf16 or f16, 16-byte aligned, cut into packs of 16 bytes. Thread t of all the
// grid's threads takes packs t, t + threads, ..., the same on every rank, so a block waits for the
// block of its own number only and the grid needs not be resident as a whole. Accumulation in f32.
//
//   one-shot  buffer [rank][pack]: push all packs to all peers; sum the packs of all ranks.
//             NVLink bytes out of each device: (size - 1) * n
//   two-shot  buffer [rank][slice pack][pack]: push slice r to rank r; sum the own slice and push
//             it to all; take the other slices. NVLink bytes: 2 (size - 1) / size * n
//
// Exact against a sum in f32 in the same order, rounded once.
#include "kernels/cuda/cuda_peers.cuh"

#define ONE_SHOT_THREADS 256
#define TWO_SHOT_THREADS 512

// Pack i of n elements; beyond the last element zeros.
template <typename T> __device__ __forceinline__ pack load_pack(const T *data, int64_t n, int64_t i)
{
    constexpr int N = 16 / sizeof(T);
    if ((i + 1) * N <= n) return ((const pack *)data)[i];
    pack_of<T> v;
    for (int j = 0; j < N; j++)
        v.v[j] = i * N + j < n ? data[i * N + j] : of_f32<T>(0.0f);
    return packed(v);
}

template <typename T>
__device__ __forceinline__ void store_pack(T *data, int64_t n, int64_t i, pack x)
{
    constexpr int N = 16 / sizeof(T);
    if ((i + 1) * N <= n) {
        ((pack *)data)[i] = x;
        return;
    }
    pack_of<T> v = unpacked<T>(x);
    for (int j = 0; j < N && i * N + j < n; j++)
        data[i * N + j] = v.v[j];
}

// The own part takes its place among those of the others, which await_packs overwrites.
template <int SIZE> __device__ __forceinline__ void keep_own(pack mine, pack (&part)[SIZE])
{
#pragma unroll
    for (int r = 0; r < SIZE; r++)
        part[r] = mine;
}

// All ranks but this one.
__device__ __forceinline__ uint32_t others(const peers_view &v)
{
    return ((1u << v.size) - 1) & ~(1u << v.rank);
}

template <typename T, int SIZE>
static __global__ void __launch_bounds__(ONE_SHOT_THREADS)
    one_shot_kernel(const __grid_constant__ peers_view v, T *data, int64_t n, uint32_t n_packs)
{
    uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    patience wait = {};
    wait_for_previous();
    let_next_start();
    if (v.state->broken) return; // a peer is gone, and the host knows
    uint32_t call = v.state->call;
    for (uint32_t i = first; i < n_packs; i += step) {
        pack mine = load_pack(data, n, i);
#pragma unroll
        for (int k = 1; k < SIZE; k++) {
            int r = (v.rank + k) % v.size;
            if (k < v.size) send_pack(pack_at(v, r, call, v.rank * n_packs + i), mine);
        }
    }
    clear_last(v, call);
    for (uint32_t i = first; i < n_packs; i += step) {
        pack part[SIZE];
        keep_own<SIZE>(load_pack(data, n, i), part);
        await_packs<SIZE>(v, pack_at(v, v.rank, call, i), n_packs, others(v), call, wait, part);
        store_pack(data, n, i, sum_packs<T, SIZE>(part, v.size));
    }
    end_call(v, call, v.size * n_packs);
}

template <typename T, int SIZE>
static __global__ void __launch_bounds__(TWO_SHOT_THREADS)
    two_shot_kernel(const __grid_constant__ peers_view v, T *data, int64_t n, uint32_t n_packs,
                    uint32_t slice)
{
    uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    uint32_t gathered = v.size * slice; // packs of the first half of the buffer
    patience wait = {};
    wait_for_previous();
    let_next_start();
    if (v.state->broken) return; // a peer is gone, and the host knows
    uint32_t call = v.state->call;
    for (uint32_t j = first; j < slice; j += step)
#pragma unroll
        for (int k = 1; k < SIZE; k++) {
            int r = (v.rank + k) % v.size;
            uint32_t i = r * slice + j;
            if (k < v.size && i < n_packs)
                send_pack(pack_at(v, r, call, v.rank * slice + j), load_pack(data, n, i));
        }
    clear_last(v, call);
    for (uint32_t j = first; j < slice; j += step) {
        uint32_t i = v.rank * slice + j;
        if (i >= n_packs) break;
        pack part[SIZE];
        keep_own<SIZE>(load_pack(data, n, i), part);
        await_packs<SIZE>(v, pack_at(v, v.rank, call, j), slice, others(v), call, wait, part);
        pack sum = sum_packs<T, SIZE>(part, v.size);
        store_pack(data, n, i, sum);
#pragma unroll
        for (int k = 1; k < SIZE; k++) {
            int r = (v.rank + k) % v.size;
            if (k < v.size) send_pack(pack_at(v, r, call, gathered + i), sum);
        }
    }
    for (uint32_t j = first; j < slice; j += step) {
        pack sum[SIZE];
        uint32_t mask = others(v);
#pragma unroll
        for (int r = 0; r < SIZE; r++)
            if (r * slice + j >= n_packs) mask &= ~(1u << r);
        await_packs<SIZE>(v, pack_at(v, v.rank, call, gathered + j), slice, mask, call, wait, sum);
#pragma unroll
        for (int r = 0; r < SIZE; r++)
            if (mask >> r & 1) store_pack(data, n, (int64_t)r * slice + j, sum[r]);
    }
    end_call(v, call, gathered + n_packs);
}

// ---- with residual and norm ---------------------------------------------------------------------

// One row per block at a time, thread for thread as norm_row wants it. Two-shot: row i is summed by
// rank i % size; buffer [rank][row / size][piece], then [row][piece].
template <typename T, int SIZE, int PIECES, bool TWO_SHOT>
static __global__ void __launch_bounds__(NORM_THREADS)
    rmsnorm_kernel(const __grid_constant__ peers_view v, norm_args a)
{
    constexpr int N = 16 / sizeof(T);
    typedef vec<T, N> piece;
    __shared__ float slots[2][32];
    int n_rows = (int)a.x.n_rows, n_pieces = (int)(a.x.n_cols / N), tid = (int)threadIdx.x;
    uint32_t part_packs = (TWO_SHOT ? (n_rows + v.size - 1) / v.size : n_rows) * n_pieces;
    uint32_t gathered = v.size * part_packs;
    pack *x = (pack *)a.x.data;
    patience wait = {};
    norm_weights<N, PIECES> w(a);
    wait_for_previous();
    let_next_start();
    if (v.state->broken) return; // a peer is gone, and the host knows
    uint32_t call = v.state->call;
    for (int row = blockIdx.x; row < n_rows; row += gridDim.x) {
        int owner = row % v.size, at = (TWO_SHOT ? row / v.size : row) * n_pieces;
        for (int i = tid; i < n_pieces; i += blockDim.x) {
            pack mine = x[(int64_t)row * n_pieces + i];
#pragma unroll
            for (int k = 1; k < SIZE; k++) {
                int r = (v.rank + k) % v.size;
                if (k < v.size && (!TWO_SHOT || r == owner))
                    send_pack(pack_at(v, r, call, v.rank * part_packs + at + i), mine);
            }
        }
    }
    clear_last(v, call);
    auto summed = [&](int row, int i) {
        pack part[SIZE];
        keep_own<SIZE>(x[(int64_t)row * n_pieces + i], part);
        uint32_t at = (TWO_SHOT ? row / v.size : row) * n_pieces + i;
        await_packs<SIZE>(v, pack_at(v, v.rank, call, at), part_packs, others(v), call, wait, part);
        return sum_packs<T, SIZE>(part, v.size);
    };
    for (int row = blockIdx.x; TWO_SHOT && row < n_rows; row += gridDim.x) {
        if (row % v.size != v.rank) continue;
        for (int i = tid; i < n_pieces; i += blockDim.x) {
            pack sum = summed(row, i);
            x[(int64_t)row * n_pieces + i] = sum;
#pragma unroll
            for (int k = 1; k < SIZE; k++) {
                int r = (v.rank + k) % v.size;
                if (k < v.size) send_pack(pack_at(v, r, call, gathered + row * n_pieces + i), sum);
            }
        }
    }
    for (int row = blockIdx.x; row < n_rows; row += gridDim.x) {
        norm_row<T, N, PIECES, false>(a, w, row, slots, [&](int i) {
            pack sum[1];
            if (!TWO_SHOT)
                sum[0] = summed(row, i);
            else if (row % v.size == v.rank)
                sum[0] = x[(int64_t)row * n_pieces + i];
            else
                await_packs<1>(v, pack_at(v, v.rank, call, gathered + row * n_pieces + i), 0, 1,
                               call, wait, sum);
            piece out;
            memcpy(&out, &sum[0], sizeof out);
            return out;
        });
        __syncthreads(); // the next row uses the same slots
    }
    end_call(v, call, TWO_SHOT ? gathered + n_rows * n_pieces : gathered);
}

// ---- launching ----------------------------------------------------------------------------------

static uint32_t packs_of(int64_t n, wf_dtype dtype)
{
    return (uint32_t)div_up64(n * (int64_t)wf_dtype_bytes(dtype), 16);
}

static uint32_t slice_of(const wf_peers *p, uint32_t n_packs)
{
    return (n_packs + (uint32_t)p->config.size - 1) / (uint32_t)p->config.size;
}

// Whether a buffer holds what a call of this way puts into it.
static bool has_room(const wf_peers *p, wf_peers_way way, uint64_t n_packs, uint64_t part_packs)
{
    uint64_t size = (uint64_t)p->config.size;
    uint64_t used = way == WF_PEERS_ONE_SHOT ? size * n_packs : size * part_packs + n_packs;
    return used * 16 <= p->view.buffer_bytes;
}

bool wf_peers_fits(const wf_peers *p, wf_peers_way way, const void *data, int64_t n, wf_dtype t)
{
    if ((uintptr_t)data % 16 != 0 || n * (int64_t)wf_dtype_bytes(t) > ((int64_t)1 << 32))
        return false;
    uint32_t n_packs = packs_of(n, t);
    return has_room(p, way, n_packs, slice_of(p, n_packs));
}

// Calls `call` with the least of 2, 4, 8 that holds `size`, as a type.
template <int N> struct constant {
    static const int value = N;
};
template <typename F> static wf_status with_size(int size, F call)
{
    if (size <= 2) return call(constant<2>());
    if (size <= 4) return call(constant<4>());
    return call(constant<8>());
}

static dim3 blocks_for(const wf_peers *p, uint32_t n_packs, int threads)
{
    uint32_t n = (uint32_t)div_up64(n_packs, threads), most = (uint32_t)p->cu->n_sms;
    return dim3(n < 1 ? 1 : n < most ? n : most);
}

wf_status wf_peers_all_reduce(wf_peers *p, wf_stream *s, wf_peers_way way, void *data, int64_t n,
                              wf_dtype dtype)
{
    wf_stream *st = stream_of(&p->cu->base, s);
    uint32_t n_packs = packs_of(n, dtype), slice = slice_of(p, n_packs);
    if (n == 0) return WF_OK;
    if (!wf_peers_fits(p, way, data, n, dtype))
        return wf_fail(WF_INTERNAL, "all-reduce: %lld elements do not fit", (long long)n);
    return with_dtype(dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        return with_size(p->config.size, [&](auto size) {
            constexpr int SIZE = decltype(size)::value;
            if (way == WF_PEERS_ONE_SHOT)
                return wf_cuda_launch(p->cu, st, "all-reduce", one_shot_kernel<T, SIZE>,
                                      blocks_for(p, n_packs, ONE_SHOT_THREADS),
                                      dim3(ONE_SHOT_THREADS), 0, p->view, (T *)data, n, n_packs);
            return wf_cuda_launch(p->cu, st, "all-reduce", two_shot_kernel<T, SIZE>,
                                  blocks_for(p, slice, TWO_SHOT_THREADS), dim3(TWO_SHOT_THREADS), 0,
                                  p->view, (T *)data, n, n_packs, slice);
        });
    });
}

bool wf_peers_rmsnorm_fits(const wf_peers *p, wf_peers_way way, const wf_rmsnorm_args *a)
{
    const wf_matrix *x = &a->x, *r = &a->residual;
    int64_t n_pieces = x->n_cols * (int64_t)wf_dtype_bytes(x->dtype) / 16;
    int64_t n_rows = x->n_rows, part = (n_rows + p->config.size - 1) / p->config.size;
    // Two-shot with several rows per block is slower than a sum and a norm of their own.
    if (way == WF_PEERS_TWO_SHOT && n_rows > p->cu->n_sms) return false;
    return x->dtype == p->cu->numerics.act && r->data != nullptr && x->stride == x->n_cols &&
           rows_aligned(x, 16) && rows_aligned(r, 16) && rows_aligned(&a->y, 16) &&
           n_pieces <= 4 * NORM_THREADS && n_rows * n_pieces < ((int64_t)1 << 28) &&
           has_room(p, way, (uint64_t)(n_rows * n_pieces), (uint64_t)(part * n_pieces));
}

template <typename T, int SIZE, bool TWO_SHOT>
static wf_status launch_rmsnorm(wf_peers *p, wf_stream *s, const norm_args &a)
{
    int64_t n_pieces = a.x.n_cols * (int64_t)sizeof(T) / 16;
    dim3 grid((unsigned)(a.x.n_rows < p->cu->n_sms ? a.x.n_rows : p->cu->n_sms));
    dim3 block((unsigned)norm_threads(n_pieces));
    if (n_pieces <= NORM_THREADS)
        return wf_cuda_launch(p->cu, s, "all-reduce and norm", rmsnorm_kernel<T, SIZE, 1, TWO_SHOT>,
                              grid, block, 0, p->view, a);
    if (n_pieces <= 2 * NORM_THREADS)
        return wf_cuda_launch(p->cu, s, "all-reduce and norm", rmsnorm_kernel<T, SIZE, 2, TWO_SHOT>,
                              grid, block, 0, p->view, a);
    return wf_cuda_launch(p->cu, s, "all-reduce and norm", rmsnorm_kernel<T, SIZE, 4, TWO_SHOT>,
                          grid, block, 0, p->view, a);
}

wf_status wf_peers_all_reduce_rmsnorm(wf_peers *p, wf_stream *s, wf_peers_way way,
                                      const wf_rmsnorm_args *args)
{
    wf_stream *st = stream_of(&p->cu->base, s);
    norm_args a = {args->x,   args->residual,          args->y, args->weight, nullptr,
                   args->eps, wf_scale_of(args->scale)};
    WF_TRY(wf_check_rmsnorm(args, p->cu->numerics.act));
    if (a.x.n_rows == 0) return WF_OK;
    if (!wf_peers_rmsnorm_fits(p, way, args))
        return wf_fail(WF_INTERNAL, "all-reduce and norm: these matrices do not fit");
    return with_dtype(p->cu->numerics.act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        return with_size(p->config.size, [&](auto size) {
            constexpr int SIZE = decltype(size)::value;
            return way == WF_PEERS_ONE_SHOT ? launch_rmsnorm<T, SIZE, false>(p, st, a)
                                            : launch_rmsnorm<T, SIZE, true>(p, st, a);
        });
    });
}

// ---- sums of parts that lie on one device -------------------------------------------------------

template <typename T>
static __global__ void sum_parts_kernel(const T *parts, int n_parts, int64_t n, T *out)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    float x[WF_PEERS_MOST];
    wait_for_previous();
    if (i >= n) return;
#pragma unroll
    for (int r = 0; r < WF_PEERS_MOST; r++)
        x[r] = r < n_parts ? to_f32(parts[r * n + i]) : 0.0f;
#pragma unroll
    for (int step = 1; step < WF_PEERS_MOST; step *= 2)
#pragma unroll
        for (int r = 0; r + step < WF_PEERS_MOST; r += 2 * step)
            if (r + step < n_parts) x[r] = __fadd_rn(x[r], x[r + step]);
    out[i] = of_f32<T>(x[0]);
}

wf_status wf_cuda_sum_parts(wf_backend *be, wf_stream *s, const void *parts, int n_parts, int64_t n,
                            wf_dtype dtype, void *out)
{
    if (n == 0) return WF_OK;
    if (n_parts > WF_PEERS_MOST) return wf_fail(WF_INTERNAL, "sum of %d parts", n_parts);
    return with_dtype(dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        return wf_cuda_launch(cuda_of(be), stream_of(be, s), "sum of parts", sum_parts_kernel<T>,
                              dim3((unsigned)div_up64(n, 256)), dim3(256), 0, (const T *)parts,
                              n_parts, n, (T *)out);
    });
}
