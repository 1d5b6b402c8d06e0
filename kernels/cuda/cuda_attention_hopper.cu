// Prefill attention on Hopper: chunks of a prompt over all of its KV so far, causal, packed.
//
//   unit of work: 64 positions x 2 query heads of one KV head (or 128 positions x 1 head, where a
//   KV head has an odd number of them); units are taken off a counter, those with most keys first
//   block: a warp that plans units, one that copies Q and tiles of K and V, two warpgroups, 64 rows
//   each, which take turns in queueing their products so that one softens while the other
//   multiplies
//
//   planner    unit, unit, ...        (one ahead)
//   copier     K0 Q K1 V0 K2 V1 ...   (tensor copies into rings of K and of V, across units too)
//   warpgroup  S0 = Q K0 | softmax | S1 = Q K1, O += P0 V0 | softmax of S1 while O is added | ...
//
// Positions and keys are cut at multiples of 64 counted from the beginning of the request, so that
// a row's result depends neither on its batch nor on how its prompt was cut, and so that only the
// last 64 keys of a row block need a mask. Keys after the last token of a request may be anything:
// their K is masked, the rows of their V are cleared in shared memory.
//
// q [T, ...] act, K, V pages act, out act; 16-byte aligned rows, pages of whole 64 tokens or whole
// parts of 64. Accumulation f32, P rounded to act. Tolerance against ref: 3e-3 (bf16), 4e-4 (f16)
// for values in [-1, 1). FLOPs: 4 * head_dim per (query, key) pair that the mask keeps.
// Source: Shah et al., "FlashAttention-3" (arXiv 2407.08608).
#include "kernels/cuda/cuda_attention_feed.cuh"

// ---- consumers ----------------------------------------------------------------------------------

// Lane t of a quad has words j of 4 pieces of 16 bytes, each lane a quarter of each; it gets the 4
// words of piece t.
__device__ __forceinline__ void transpose_quad(uint32_t r[4])
{
    bool odd = threadIdx.x & 1, high = threadIdx.x & 2;
    uint32_t x = __shfl_xor_sync(0xffffffffu, odd ? r[0] : r[1], 1);
    uint32_t y = __shfl_xor_sync(0xffffffffu, odd ? r[2] : r[3], 1);
    if (odd)
        r[0] = x, r[2] = y;
    else
        r[1] = x, r[3] = y;
    x = __shfl_xor_sync(0xffffffffu, high ? r[0] : r[2], 2);
    y = __shfl_xor_sync(0xffffffffu, high ? r[1] : r[3], 2);
    if (high)
        r[0] = x, r[1] = y;
    else
        r[2] = x, r[3] = y;
}

__device__ __forceinline__ void turn_wait(int w)
{
    asm volatile("bar.sync %0, 256;" ::"r"(w + 1) : "memory");
}
__device__ __forceinline__ void turn_pass(int w)
{
    asm volatile("bar.arrive %0, 256;" ::"r"(2 - w) : "memory");
}

template <typename T, int D, int KS, int VS> struct consumer {
    typedef hopper_shape<D, KS, VS> S;
    const hopper_args &a;
    hopper_bars bars;
    uint32_t shared;
    int w; // which warpgroup
    ring_place<UNIT_SLOTS> unit_at;
    ring_place<S::q_slots> q_at;
    ring_place<KS> k_at;
    ring_place<VS> v_at;
    float o[D / 2], max[2], sum[2], keep[2], old_sum[2];
    bool rescaled, stored_late = false;
    unit_info done; // whose output is in `o`, where it is stored late
    uint32_t p[S::n / 4];

    __device__ __forceinline__ consumer(const hopper_args &args, hopper_bars b, uint32_t shared_,
                                        int w_)
        : a(args), bars(b), shared(shared_), w(w_)
    {
    }

    __device__ __forceinline__ void free_slot(uint32_t bar)
    {
        if (threadIdx.x % 32 == 0) barrier_arrive(bar);
    }

    // Queues S = Q K^T over the first N keys of the tile.
    template <int N> __device__ __forceinline__ void queue_scores(float *s)
    {
        uint32_t k_tile = shared + S::k_at + k_at.slot * S::tile_bytes;
        uint32_t q_tile = shared + (q_at.slot * N_CONSUMERS + (uint32_t)w) * S::q_bytes;
        uint64_t at_q = operand_at(q_tile, 16, 1024), at_k = operand_at(k_tile, 16, 1024);
        product_fence();
#pragma unroll
        for (int k = 0; k < D / 16; k++) // an operand's address counts pieces of 16 bytes
            product<T, N>::shared(s, at_q + (uint64_t)(k / 4 * BLOCK * 8 + k % 4 * 2),
                                  at_k + (uint64_t)(k / 4 * (S::column_bytes / 16) + k % 4 * 2),
                                  k > 0);
        product_commit();
    }

    // Queues O += P V over the first N keys of the tile.
    template <int N> __device__ __forceinline__ void queue_output()
    {
        uint32_t v_tile = shared + S::v_at + v_at.slot * S::tile_bytes;
        uint64_t at_v = operand_at(v_tile, S::column_bytes, 1024);
        product_fence();
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            product<T, D>::mixed(o, p + 4 * k, at_v + (uint64_t)(k * 128));
        product_commit();
    }

    __device__ __forceinline__ void queue_output(bool half)
    {
        if (S::blocks == 2 && half)
            queue_output<BLOCK>();
        else
            queue_output<S::n>();
    }

    // S becomes 2^(S - max); MASK: in the last 64 of its N keys, a row sees key <= row - beyond.
    template <int N, bool MASK> __device__ __forceinline__ void soften(float *s, int beyond)
    {
        int lane = threadIdx.x % 32, row = (int)threadIdx.x / 32 % 4 * 16 + lane / 4 - beyond;
        if (MASK)
#pragma unroll
            for (int i = 0; i < BLOCK / 2; i++) {
                int key = i / 4 * 8 + lane % 4 * 2 + (i & 1);
                if (key > row + (i & 2) * 4) s[N / 2 - BLOCK / 2 + i] = -INFINITY;
            }
        float top[4] = {s[0], s[1], s[2], s[3]};
#pragma unroll
        for (int i = 4; i < N / 2; i++)
            top[i & 3] = fmaxf(top[i & 3], s[i]);
        top[0] = fmaxf(top[0], top[1]);
        top[1] = fmaxf(top[2], top[3]);
        // The maximum need not be exact, only near: it is raised where a score passes it by much,
        // a choice that each row makes for itself.
        const float most = a.slack;
        rescaled = __any_sync(0xffffffffu, top[0] > max[0] + most || top[1] > max[1] + most);
        if (rescaled)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float t = quad_max(top[h]);
                if (t <= max[h] + most) t = max[h];
                keep[h] = exp2_fast((max[h] - t) * a.scale_log2);
                max[h] = t;
                sum[h] *= keep[h];
            }
        const float shift[2] = {max[0] * a.scale_log2, max[1] * a.scale_log2};
        float part[4] = {sum[0], 0.0f, sum[1], 0.0f};
#pragma unroll
        for (int i = 0; i < N / 2; i++) {
            s[i] = exp2_fast(fmaf(s[i], a.scale_log2, -shift[i >> 1 & 1]));
            part[i & 3] += s[i];
        }
        touch<4>(part);
        sum[0] = part[0] + part[1];
        sum[1] = part[2] + part[3];
    }

    template <int N> __device__ __forceinline__ void round_weights(const float *s)
    {
#pragma unroll
        for (int i = 0; i < N / 4; i++)
            p[i] = pack2((T *)nullptr, s[2 * i], s[2 * i + 1]);
    }

    __device__ __forceinline__ void begin_rows()
    {
        max[0] = max[1] = -1e30f; // finite, so that a difference of two is never NaN
        sum[0] = sum[1] = 0.0f;
    }

    __device__ __forceinline__ void clear_output()
    {
#pragma unroll
        for (int i = 0; i < D / 2; i++)
            o[i] = 0.0f;
    }

    struct tile_view {
        int beyond;        // keys of the tile's last block begin that far after the rows
        bool begins, last; // the first or the last tile of its unit
    };

    // The first tile of all.
    template <int N, bool MASK> __device__ __forceinline__ void first_tile(const tile_view &t)
    {
        float s[N / 2];
        barrier_wait(bars.k_full(k_at.slot), k_at.phase);
        turn_wait(w);
        queue_scores<N>(s);
        turn_pass(w);
        product_wait<0>();
        touch<N / 2>(s);
        free_slot(bars.k_empty(k_at.slot));
        k_at.step();
        if (t.last) end_queries();
        begin_rows();
        clear_output();
        soften<N, MASK>(s, t.beyond);
        round_weights<N>(s);
    }

    __device__ __forceinline__ void end_queries()
    {
        free_slot(bars.q_empty(w, q_at.slot));
        q_at.step();
    }

    // The scores of a tile, while the output of the one before is added. At the first tile of a
    // unit that completes the output of the unit before: it stays in `o` until the next step has
    // queued its scores, and is stored while they are computed. INNER: neither the first nor the
    // last tile of its unit, and nothing waits in `o`.
    template <int N, bool MASK, bool INNER>
    __device__ __forceinline__ void next_tile(const tile_view &t, bool half_before)
    {
        float s[N / 2];
        if (!INNER) barrier_wait(bars.k_full(k_at.slot), k_at.phase);
        const bool late = !INNER && stored_late;
        turn_wait(w);
        touch<S::n / 4>(p);
        queue_scores<N>(s);
        if (late) {
            turn_pass(w);
            store();
        }
        barrier_wait(bars.v_full(v_at.slot), v_at.phase);
        touch<D / 2>(o);
        queue_output(!INNER && half_before);
        if (!late) turn_pass(w);
        product_wait<1>();
        touch<N / 2>(s);
        free_slot(bars.k_empty(k_at.slot));
        k_at.step();
        if (!INNER && t.last) end_queries();
        if (!INNER && t.begins) {
            old_sum[0] = sum[0], old_sum[1] = sum[1];
            begin_rows();
        }
        soften<N, MASK>(s, t.beyond);
        touch<N / 2>(s);
        // A branch here keeps the compiler from waiting for the output before the exponentials.
        if (INNER) barrier_wait(bars.k_full(k_at.slot), k_at.phase);
        if (!INNER && t.begins)
            for (int h = 0; h < 2; h++)
                old_sum[h] = __fdividef(1.0f, quad_sum(old_sum[h]));
        product_wait<0>();
        touch<D / 2>(o);
        touch<S::n / 4>(p);
        free_slot(bars.v_empty(v_at.slot));
        v_at.step();
        if (!INNER && t.begins) {
            stored_late = true;
        } else if (rescaled) {
#pragma unroll
            for (int i = 0; i < D / 2; i++)
                o[i] *= keep[i >> 1 & 1];
        }
        round_weights<N>(s);
    }

    __device__ __forceinline__ void last_output(const unit_info &u, bool half)
    {
        if (stored_late) store();
        barrier_wait(bars.v_full(v_at.slot), v_at.phase);
        touch<D / 2>(o);
        touch<S::n / 4>(p);
        queue_output(half);
        product_wait<0>();
        touch<D / 2>(o);
        for (int h = 0; h < 2; h++)
            old_sum[h] = __fdividef(1.0f, quad_sum(sum[h]));
        done = u;
        store();
    }

    // Writes `o`, the output of `done`, and clears it.
    __device__ __forceinline__ void store()
    {
        const unit_info &u = done;
        int lane = threadIdx.x % 32, head = u.head + (a.paired ? w : 0);
        int token = u.row + (a.paired ? 0 : w * BLOCK) + (int)threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float scale = old_sum[h];
            int t = token + h * 8;
            T *out = (T *)a.out.data + (int64_t)t * a.out.stride + (int64_t)head * D + lane % 4 * 8;
#pragma unroll
            for (int n = 0; n < D / 8; n += 4) {
                uint32_t r[4];
#pragma unroll
                for (int j = 0; j < 4; j++)
                    r[j] = pack2((T *)nullptr, o[(n + j) * 4 + 2 * h] * scale,
                                 o[(n + j) * 4 + 2 * h + 1] * scale);
                transpose_quad(r);
                if (t >= u.begin && t < u.end)
                    __stcs((uint4 *)(out + n * 8), make_uint4(r[0], r[1], r[2], r[3]));
            }
        }
        stored_late = false;
        clear_output();
    }

    // The next unit; warp-uniform, which the products need.
    __device__ __forceinline__ unit_info take_unit(const unit_info *slots)
    {
        barrier_wait(bars.unit_full(unit_at.slot), unit_at.phase);
        unit_info u = slots[unit_at.slot];
        u.block = __shfl_sync(0xffffffffu, u.block, 0);
        u.n_blocks = __shfl_sync(0xffffffffu, u.n_blocks, 0);
        free_slot(bars.unit_empty(unit_at.slot));
        unit_at.step();
        return u;
    }

    // Tiles of all units in one stream: the products never run dry between two of them.
    __device__ __forceinline__ void run(const unit_info *slots)
    {
        if (w == 1) turn_pass(w); // the first turn is warpgroup 0's
        unit_info u = take_unit(slots), before = u;
        bool first = true, half_before = false;
        while (u.block >= 0) {
            int block = u.block + (a.paired ? 0 : w), n_mine = min(block + 1, u.n_blocks);
            int n_unit = min(u.block + (a.paired ? 1 : 2), u.n_blocks);
            int n_tiles = (n_unit + S::blocks - 1) / S::blocks;
            int n_plain = S::blocks == 1 ? min(block, n_tiles - 1) : n_tiles - 1;
            barrier_wait(bars.q_full(w, q_at.slot), q_at.phase);
            for (int i = 0; i < n_tiles; i++) {
                tile_view t = {S::blocks == 1 ? (i - block) * BLOCK : 0, i == 0, i == n_tiles - 1};
                bool half = S::blocks == 2 && t.last && n_mine % 2 == 1;
                step(t, first, i >= n_plain, half, half_before);
                if (i == 0) done = before; // its output was completed beside our first scores
                first = false;
                half_before = half;
                if (i == 1 && n_plain > 2) {
                    barrier_wait(bars.k_full(k_at.slot), k_at.phase);
                    for (i = 2; i < n_plain; i++)
                        next_tile<S::n, false, true>({0, false, false}, false);
                    i = n_plain - 1;
                }
            }
            before = u;
            u = take_unit(slots);
        }
        if (!first) last_output(before, half_before);
    }

    __device__ __forceinline__ void step(const tile_view &t, bool first, bool masked, bool half,
                                         bool half_before)
    {
        const int N = S::n;
        if (first) {
            if (half)
                first_tile<BLOCK, true>(t);
            else if (masked)
                first_tile<N, true>(t);
            else
                first_tile<N, false>(t);
        } else if (half) {
            next_tile<BLOCK, true, false>(t, half_before);
        } else if (masked) {
            next_tile<N, true, false>(t, half_before);
        } else {
            next_tile<N, false, false>(t, half_before);
        }
    }
};

template <typename T, int D, int KS, int VS>
static __global__ void __launch_bounds__(HOPPER_THREADS, 1)
    hopper_kernel(const __grid_constant__ hopper_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ char raw[];
    __shared__ unit_info slots[UNIT_SLOTS];
    typedef hopper_shape<D, KS, VS> S;
    uint32_t shared = (shared_address(raw) + 1023) & ~1023u;
    hopper_bars bars = {shared + S::bars_at};
    if (threadIdx.x == 0) {
        prefetch_map(&a.q);
        prefetch_map(&a.kv);
        for (uint32_t i = 0; i < UNIT_SLOTS; i++) {
            barrier_init(bars.unit_full(i), 1);
            barrier_init(bars.unit_empty(i), 1 + CONSUMER_WARPS);
        }
        for (int w = 0; w < N_CONSUMERS; w++)
            for (uint32_t i = 0; i < 2; i++) {
                barrier_init(bars.q_full(w, i), 1);
                barrier_init(bars.q_empty(w, i), 4);
            }
        barrier_init(bars.tail(), 1);
        for (uint32_t i = 0; i < KS; i++) {
            barrier_init(bars.k_full(i), 1);
            barrier_init(bars.k_empty(i), CONSUMER_WARPS);
        }
        for (uint32_t i = 0; i < VS; i++) {
            barrier_init(bars.v_full(i), 1);
            barrier_init(bars.v_empty(i), CONSUMER_WARPS);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        fence_shared_for_async();
    }
    __syncthreads();
    wait_for_previous();
    let_next_start();
    if (threadIdx.x < 128) {
        registers_lower<PRODUCER_NUMBERS>();
        int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
        if (warp == 0) copier<T, D, KS, VS>(a, bars, shared).run(slots);
        if (warp == 1) plan_units(a, bars, slots);
    } else {
        registers_raise<CONSUMER_NUMBERS>();
        int w = __shfl_sync(0xffffffffu, (int)threadIdx.x / 128 - 1, 0);
        consumer<T, D, KS, VS>(a, bars, shared, w).run(slots);
    }
#endif
}

// ---- launch -------------------------------------------------------------------------------------

// What a copy of the KV pool may reach: pages are not counted here, the page table is trusted.
#define POOL_BYTES ((uint64_t)1 << 40)

static wf_status make_maps(const wf_cuda *cu, const wf_attention_args *in, hopper_args *a)
{
    const wf_kv *kv = &in->kv;
    uint64_t dim = (uint64_t)kv->head_dim, page_bytes = (uint64_t)kv->page_stride * 2;
    cuuint64_t q_dims[] = {(uint64_t)in->n_heads * dim, (uint64_t)in->batch->n_tokens};
    cuuint64_t q_strides[] = {(uint64_t)in->qkv.stride * 2};
    cuuint32_t q_box[] = {64, BLOCK};
    cuuint64_t kv_dims[] = {dim, (uint64_t)kv->page_tokens, (uint64_t)(a->v_tile + kv->n_kv_heads),
                            POOL_BYTES / page_bytes};
    cuuint64_t kv_strides[] = {dim * 2, (uint64_t)kv->head_stride * 2, page_bytes};
    cuuint32_t kv_box[] = {64, (cuuint32_t)a->box_tokens, 1, 1};
    WF_TRY(make_map(cu, "prefill attention", in->qkv.dtype, in->qkv.data, 2, q_dims, q_strides,
                    q_box, &a->q));
    return make_map(cu, "prefill attention", kv->dtype, kv->base, 4, kv_dims, kv_strides, kv_box,
                    &a->kv);
}

template <typename T, int D, int KS, int VS>
static wf_status launch_hopper(wf_cuda *cu, wf_stream *s, hopper_args &a)
{
    typedef hopper_shape<D, KS, VS> S;
    auto kernel = hopper_kernel<T, D, KS, VS>;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, S::shared_bytes, "prefill attention"));
    int64_t row_tokens = a.paired ? BLOCK : 2 * BLOCK;
    int64_t most =
        (a.b.n_seqs - a.b.n_decode) * (div_up64(a.b.max_new, row_tokens) + 1) * a.n_units;
    return wf_cuda_launch(cu, s, "prefill attention", kernel,
                          dim3((unsigned)(most < cu->n_sms ? most : cu->n_sms)),
                          dim3(HOPPER_THREADS), S::shared_bytes, a);
}

static wf_status fill_hopper(wf_cuda *cu, wf_stream *s, const wf_attention_args *in, hopper_args *a)
{
    a->b = *in->batch;
    a->out = in->out;
    a->page_tokens = in->kv.page_tokens;
    a->box_tokens = in->kv.page_tokens < BLOCK ? in->kv.page_tokens : BLOCK;
    a->v_tile = (int32_t)(in->kv.kv_stride / in->kv.head_stride);
    a->group = in->n_heads / in->kv.n_kv_heads;
    a->paired = a->group % 2 == 0;
    a->n_units = a->paired ? in->n_heads / 2 : in->n_heads;
    a->scale_log2 = in->scale * 1.4426950408889634f;
    a->slack = 8.0f / a->scale_log2;
    WF_TRY(make_maps(cu, in, a));
    return wf_cuda_counters(cu, s, 2, &a->counters);
}

static bool whole(const void *data, int64_t stride)
{
    return (uintptr_t)data % 16 == 0 && stride % 8 == 0;
}

bool wf_attention_hopper_fits(const wf_cuda *cu, const wf_attention_args *in)
{
    const wf_kv *kv = &in->kv;
    return cu->encode_map != nullptr && whole(in->qkv.data, in->qkv.stride) &&
           whole(in->out.data, in->out.stride) && whole(kv->base, kv->head_stride) &&
           kv->kv_stride % kv->head_stride == 0 && kv->page_stride % 8 == 0 &&
           (kv->page_tokens % BLOCK == 0 || (kv->page_tokens >= 8 && BLOCK % kv->page_tokens == 0));
}

template <typename T>
static wf_status hopper_dims(wf_cuda *cu, wf_stream *s, const wf_attention_args *in, hopper_args &a)
{
    if (in->kv.head_dim == 64) return launch_hopper<T, 64, 4, 4>(cu, s, a);
    if (in->kv.head_dim == 128) return launch_hopper<T, 128, 2, 2>(cu, s, a);
    return launch_hopper<T, 256, 2, 2>(cu, s, a);
}

wf_status wf_attention_hopper(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    hopper_args a = {};
    WF_TRY(fill_hopper(cu, s, in, &a));
    return with_half(cu->numerics.act, [&](auto *t) {
        return hopper_dims<std::remove_pointer_t<decltype(t)>>(cu, s, in, a);
    });
}
