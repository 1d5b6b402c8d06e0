// One row of a norm on one block (cuda_norm.cu has formula and layout), for every kernel that ends
// in a norm: the same bits whatever brought the row.
#ifndef WF_KERNELS_CUDA_NORM_CUH
#define WF_KERNELS_CUDA_NORM_CUH

#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_norm.h"
}

#define NORM_THREADS 512

struct norm_args {
    wf_matrix x, residual, y;
    const float *weight, *bias;
    float eps, scale; // scale: of x where it is added
};

// Threads of the block that norms rows of n_pieces pieces.
static inline int norm_threads(int64_t n_pieces)
{
    return n_pieces >= NORM_THREADS ? NORM_THREADS : (int)div_up64(n_pieces, 32) * 32;
}

// The weights of this thread's pieces. They do not depend on the kernel before this one: loaded
// before wait_for_previous(), they are there when the sum is.
template <int VEC, int PIECES> struct norm_weights {
    vec<float, VEC> weight[PIECES];

    __device__ __forceinline__ explicit norm_weights(const norm_args &a)
    {
        int n_pieces = (int)(a.x.n_cols / VEC);
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            int i = p * (int)blockDim.x + (int)threadIdx.x;
            if (i >= n_pieces) continue;
#pragma unroll
            for (int j = 0; j < VEC; j++)
                weight[p].v[j] = __ldg(a.weight + i * VEC + j);
        }
    }
};

// Piece p of this thread covers columns (p * threads + tid) * VEC of the row. fetch(i) gives piece
// i of x, a vec<T, VEC>. slots: shared, one use per call.
template <typename T, int VEC, int PIECES, bool LAYER, typename F>
__device__ __forceinline__ void norm_row(const norm_args &a, const norm_weights<VEC, PIECES> &w,
                                         int64_t row, float (&slots)[2][32], F fetch)
{
    typedef vec<T, VEC> piece;
    int n_pieces = (int)(a.x.n_cols / VEC);
    piece *r = (piece *)((T *)a.residual.data + row * a.residual.stride);
    piece *y = (piece *)((T *)a.y.data + row * a.y.stride);
    float held[PIECES][VEC], sum = 0.0f;
    piece residual[PIECES]; // in flight while x is fetched, which may take long
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
        int i = p * (int)blockDim.x + (int)threadIdx.x;
        if (a.residual.data != nullptr && i < n_pieces) residual[p] = r[i];
    }
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
        int i = p * (int)blockDim.x + (int)threadIdx.x;
        if (i >= n_pieces) continue;
        piece in = fetch(i), kept = residual[p];
#pragma unroll
        for (int j = 0; j < VEC; j++) {
            float v = to_f32(in.v[j]);
            if (a.residual.data != nullptr) {
                v = fmaf(v, a.scale, to_f32(kept.v[j]));
                kept.v[j] = of_f32<T>(v);
            }
            held[p][j] = v;
            sum += LAYER ? v : v * v;
        }
        if (a.residual.data != nullptr) r[i] = kept;
    }
    float n = (float)a.x.n_cols, mean = 0.0f;
    sum = block_sum(sum, slots[0]);
    if (LAYER) {
        mean = sum / n;
        sum = 0.0f;
#pragma unroll
        for (int p = 0; p < PIECES; p++)
#pragma unroll
            for (int j = 0; j < VEC; j++) {
                bool real = p * (int)blockDim.x + (int)threadIdx.x < n_pieces;
                float d = real ? held[p][j] - mean : 0.0f;
                sum += d * d;
            }
        sum = block_sum(sum, slots[1]);
    }
    float scale = 1.0f / sqrtf(sum / n + a.eps);
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
        int i = p * (int)blockDim.x + (int)threadIdx.x;
        if (i >= n_pieces) continue;
        piece out;
#pragma unroll
        for (int j = 0; j < VEC; j++) {
            float v = (held[p][j] - mean) * scale * w.weight[p].v[j];
            if (LAYER && a.bias != nullptr) v += a.bias[i * VEC + j];
            out.v[j] = of_f32<T>(v);
        }
        y[i] = out;
    }
}

#endif
