// Which kernel computes with weights of 8 bits: a ring kernel (cuda_gemm_ring8.cuh) where the shape
// is for them, else the general one.
//
// Rows that must not see each other (`deterministic`) and sums by runs of k take tiles that are not
// cut: each of their sums is one chain, whatever kernel of them computes it. Scales of 128 k leave
// one kernel to choose. All others are measured (cuda_gemm_measure.cu).
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_w8.cuh"

static bool fits(const wf_cuda *cu, const wf_gemm_args *a)
{
    const wf_weight *w = a->w;
    int64_t runs = wf_gemm_runs_of(a), tiles = div_up64(w->n_rows, 64) * runs * a->x.n_rows;
    return wf_format_scaled(w->dtype) && !w->zeros && (w->block == 0 || w->block == W8_GROUP) &&
           cu->encode_map != nullptr && a->x.dtype != WF_F32 && (uintptr_t)a->x.data % 16 == 0 &&
           a->x.stride % 8 == 0 && (runs == 1 || w->n_cols / runs % W8_GROUP == 0) &&
           tiles * div_up64(w->n_cols, W8_GROUP) <= INT32_MAX && w->n_rows <= INT32_MAX - 256 &&
           (a->y.dtype == WF_F32 || ((uintptr_t)a->y.data % 4 == 0 && a->y.stride % 2 == 0));
}

static wf_status run(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_ring8_way way)
{
    return a->w->dtype == WF_FP8 ? wf_gemm_ring_fp8(cu, s, a, way)
                                 : wf_gemm_ring_int8(cu, s, a, way);
}

// ---- rows of the table of own kernels -----------------------------------------------------------

bool wf_gemm8_pairs_fit(const wf_cuda *cu, const wf_gemm_args *a)
{
    return fits(cu, a) && a->w->block == 0 && a->x.n_rows <= 64 && a->w->n_cols > W8_GROUP;
}

bool wf_gemm8_runs_64_fit(const wf_cuda *cu, const wf_gemm_args *a)
{
    return fits(cu, a) && a->w->block == 0 && a->x.n_rows <= 128;
}

bool wf_gemm8_runs_fit(const wf_cuda *cu, const wf_gemm_args *a)
{
    return fits(cu, a);
}

bool wf_gemm8_shared_fit(const wf_cuda *cu, const wf_gemm_args *a)
{
    return fits(cu, a) && a->w->block == 0 && a->x.n_rows <= 32 && a->w->n_cols >= 8 * W8_GROUP;
}

#define WAY(name, way)                                                                             \
    wf_status name(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)                               \
    {                                                                                              \
        return run(cu, s, a, way);                                                                 \
    }
WAY(wf_gemm8_pairs_64, WF_RING8_PAIRS_64)
WAY(wf_gemm8_pairs_128, WF_RING8_PAIRS_128)
WAY(wf_gemm8_runs_64, WF_RING8_RUNS_64)
WAY(wf_gemm8_runs_128, WF_RING8_RUNS_128)
WAY(wf_gemm8_runs_256, WF_RING8_RUNS_256)
WAY(wf_gemm8_shared_64, WF_RING8_SHARED_64)
WAY(wf_gemm8_shared_pairs, WF_RING8_SHARED_PAIRS)

// ---- choice -------------------------------------------------------------------------------------

const wf_gemm_own *wf_gemm8_first(const wf_gemm_args *a)
{
    bool few_tiles = a->w->n_rows <= 8192;
    return wf_gemm_own_named(
        a->x.n_rows <= 64 && few_tiles && a->w->n_cols > W8_GROUP ? "w8-pairs-64" : "w8-runs-128");
}

bool wf_gemm8_measures(const wf_cuda *cu, const wf_gemm_args *a)
{
    return fits(cu, a) && !cu->deterministic && a->k_runs <= 1 && a->w->block == 0;
}

// Tiles of 64 features where those of 128 would leave multiprocessors idle for longer.
static wf_ring8_way whole_way(const wf_cuda *cu, const wf_gemm_args *a)
{
    int64_t m = a->x.n_rows, row_blocks = m <= 128 ? 1 : div_up64(m, 128);
    int64_t others = row_blocks * wf_gemm_runs_of(a);
    int64_t rounds_64 = div_up64(div_up64(a->w->n_rows, 64) * others, cu->n_sms);
    int64_t rounds_128 = div_up64(div_up64(a->w->n_rows, 128) * others, cu->n_sms);
    return rounds_64 < 2 * rounds_128 ? WF_RING8_WHOLE_64 : WF_RING8_WHOLE_128;
}

wf_status wf_gemm8_unmeasured(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    if (!fits(cu, a))
        return wf_gemm_mma8_fits(a) ? wf_gemm_mma8(cu, s, a) : wf_gemm_general(cu, s, a);
    bool whole = cu->deterministic || a->k_runs > 1;
    return run(cu, s, a, whole ? whole_way(cu, a) : WF_RING8_RUNS_128);
}
