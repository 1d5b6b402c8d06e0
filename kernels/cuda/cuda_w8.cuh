// Weights of 8 bits (e4m3, int8) on the device: where a number lies, and what it becomes.
//
// A row is padded with zeros to a multiple of 128 and each 128 numbers of it are turned round, so
// that a lane of a matrix product finds in 16 bytes of its own what it needs of 64 k, and the lanes
// of a warp, which read so a tile that a tensor copy has brought (cuda_hopper.cuh), touch every
// bank once. Lane 4 g + t of mma.m16n8k16 wants k 2t, 2t + 1, 2t + 8, 2t + 9 of each 16; it finds
// them, in the order of w8_four, in bytes 32 t + 16 h + 4 c + (0..3) of the 128 for k 64 h + 16 c +
// ...
//
// To bf16 and f16 every e4m3 number and every int8 is exact: what is rounded is what their scale
// makes of the sum. e4m3 with its exponent in the low bits of a 16-bit number's is that number
// times 2^-120 (bf16) or 2^-8 (f16), subnormals included. NaN (0x7f, 0xff) is not a weight.
#ifndef WF_KERNELS_CUDA_W8_CUH
#define WF_KERNELS_CUDA_W8_CUH

#include <cuda_fp8.h>

#include "kernels/cuda/cuda_num.cuh"

#define W8_GROUP 128 // numbers that are turned round together

// Rows of scales that are there, so that kernels may read those of a whole tile.
#define W8_MORE_ROWS 256

static inline int64_t w8_pitch(int64_t n_cols)
{
    return (n_cols + W8_GROUP - 1) / W8_GROUP * W8_GROUP;
}

// The byte of a row that holds number k.
__host__ __device__ __forceinline__ int64_t w8_place(int64_t k)
{
    int i = (int)(k & (W8_GROUP - 1));
    return k - i + 32 * (i % 8 / 2) + 16 * (i / 64) + 4 * (i / 16 % 4) + 2 * (i % 2) + i / 8 % 2;
}

__device__ __forceinline__ float w8_load(uint8_t byte, wf_dtype dtype)
{
    if (dtype == WF_INT8) return (float)(int8_t)byte;
    return __half2float(__half(__nv_cvt_fp8_to_halfraw(byte, __NV_E4M3)));
}

// The nearest number; what is too great becomes the greatest.
__device__ __forceinline__ uint8_t w8_of(float x, wf_dtype dtype)
{
    if (dtype == WF_INT8) return (uint8_t)(int8_t)fminf(fmaxf(rintf(x), -128.0f), 127.0f);
    return (uint8_t)__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}

// ---- four numbers of one register as two pairs --------------------------------------------------

template <typename T> struct w8_constants;
template <> struct w8_constants<__nv_bfloat16> {
    static const uint32_t digits = 0x07f007f0u, up = 0x7b807b80u; // of e4m3; 2^120
    static const uint32_t one = 0x3f803f80u, first = 0x43004300u; // 128, the first with a unit of 1
    static const int shift = 4;
};
template <> struct w8_constants<__half> {
    static const uint32_t digits = 0x3f803f80u, up = 0x5c005c00u; // 2^8
    static const uint32_t one = 0x3c003c00u, first = 0x64006400u; // 1024
    static const int shift = 1;
};

__device__ __forceinline__ uint32_t fma2(__nv_bfloat16 *, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t r;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
}
__device__ __forceinline__ uint32_t fma2(__half *, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t r;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
}

// lo = bytes 0 and 2, hi = bytes 1 and 3 of q, as numbers of T.
template <typename T, wf_dtype F>
__device__ __forceinline__ void w8_four(uint32_t q, uint32_t &lo, uint32_t &hi)
{
    typedef w8_constants<T> c;
    T *const t = nullptr;
    if (F == WF_INT8) { // low 7 bits and the sign's -128, each beside a number that hides it
        uint32_t p = q >> 8;
        lo = fma2(t, (q & 0x007f007fu) | c::first, c::one,
                  (q & 0x00800080u) | c::first | 0x80008000u);
        hi = fma2(t, (p & 0x007f007fu) | c::first, c::one,
                  (p & 0x00800080u) | c::first | 0x80008000u);
        return;
    }
    lo = ((q << (8 - c::shift)) & c::digits) | ((q << 8) & 0x80008000u);
    hi = ((q >> c::shift) & c::digits) | (q & 0x80008000u);
    lo = fma2(t, lo, c::up, 0x80008000u); // + -0
    hi = fma2(t, hi, c::up, 0x80008000u);
}

// ---- one number of any weight -------------------------------------------------------------------

// A weight as slow kernels read it.
struct weight_view {
    const char *data;
    const float *scales; // NULL: plain
    const int8_t *zeros; // NULL: none
    wf_dtype dtype;
    int32_t block, row_blocks; // numbers that share a scale, 0: a row; scales of a row
    int64_t n_rows, pitch;     // numbers from row to row
};

static inline weight_view view_of(const wf_weight *weight)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)weight;
    weight_view v = {w->data, w->scales, w->zeros,       weight->dtype,
                     0,       1,         weight->n_rows, weight->n_cols};
    if (w->scales == nullptr) return v;
    v.block = weight->block;
    v.row_blocks = (int32_t)wf_weight_row_blocks(weight);
    v.pitch = w8_pitch(weight->n_cols);
    return v;
}

__device__ __forceinline__ float weight_at(const weight_view &w, int64_t row, int64_t k)
{
    if (w.scales == nullptr) return load_any(w.data, w.dtype, row * w.pitch + k);
    int64_t block = row * w.row_blocks + (w.block > 0 ? k / w.block : 0);
    float x = w8_load(((const uint8_t *)w.data)[row * w.pitch + w8_place(k)], w.dtype);
    return (x - (w.zeros != nullptr ? (float)w.zeros[block] : 0.0f)) * w.scales[block];
}

#endif
