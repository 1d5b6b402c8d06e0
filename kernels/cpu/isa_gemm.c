// y = x W^T (+ bias) on panels of 32 columns.
//
// x [M, K] f32, W as panel[N / 32][K][32] in any format, y [M, N] f32.
// Every y[m][n] is one chain y = fma(x[m][k], w[n][k], y) over k ascending from 0, then + bias. A
// tile holds its sums in registers over a block of k and leaves them in y between blocks, which
// changes no bit; so neither M, nor blocking, nor the split over threads shows in the result.
//
// Scaled weights are multiplied as numbers: a row's one scale comes after the sum, before + bias.
// In blocks every block is such a chain of its own, of w less its zero point, and y = fma(scale,
// chain, y) takes them in order; blocks of k end where blocks of scales do, or at the run's end.
//
// One row: weights stream from memory once, 2 flops per element: bound by memory bandwidth.
// Many rows: x is packed to [k][tile rows] in blocks that stay in the L2 cache, and each block of a
// panel is read for all of them from the L1 cache, converted to f32 on the way to the registers.
// Source of the blocking: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication",
// ACM TOMS 34(3), 2008. Tolerance against ref: K * 2^-24 relative to sum |x w|.
#include "kernels/cpu/isa.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

// Columns of x and w that a block covers: 256 rows of a bf16 panel are 16 KiB, half an L1 cache.
#define BLOCK_K 256

// Rows of a scaled panel that are unpacked at a time, the longest block of scales: 16 KiB of f32.
#define UNPACKED_K 128
#define UNPACKED   (UNPACKED_K * WF_PANEL)

// Two vectors of weights: columns 0-15 and 16-31 of row k of a panel.
WF_INLINE v16 panel_low(const char *panel, wf_dtype dtype, int64_t k)
{
    switch (dtype) {
    case WF_BF16:
        return v16_low_bf16(v16_load_bf16_pairs((const uint16_t *)panel + k * WF_PANEL));
    case WF_F16:
        return v16_load_f16((const uint16_t *)panel + k * WF_PANEL);
    case WF_F32:
        return v16_load((const float *)panel + k * WF_PANEL);
    case WF_FP8:
        return v16_load_fp8((const uint8_t *)panel + k * WF_PANEL);
    case WF_INT8:
        return v16_load_int8((const int8_t *)panel + k * WF_PANEL);
    case WF_INT4:
    case WF_MXFP4:
        return v16_nibbles((const uint8_t *)panel + k * WF_PANEL / 2, 0, wf_nibble_values(dtype));
    default:
        wf_no_such_format();
    }
}

WF_INLINE v16 panel_high(const char *panel, wf_dtype dtype, int64_t k)
{
    switch (dtype) {
    case WF_BF16:
        return v16_high_bf16(v16_load_bf16_pairs((const uint16_t *)panel + k * WF_PANEL));
    case WF_F16:
        return v16_load_f16((const uint16_t *)panel + k * WF_PANEL + 16);
    case WF_F32:
        return v16_load((const float *)panel + k * WF_PANEL + 16);
    case WF_FP8:
        return v16_load_fp8((const uint8_t *)panel + k * WF_PANEL + 16);
    case WF_INT8:
        return v16_load_int8((const int8_t *)panel + k * WF_PANEL + 16);
    case WF_INT4:
    case WF_MXFP4:
        return v16_nibbles((const uint8_t *)panel + k * WF_PANEL / 2, 1, wf_nibble_values(dtype));
    default:
        wf_no_such_format();
    }
}

// How scales join the sum.
typedef enum scaling { UNSCALED, BY_ROW, BY_BLOCK } scaling;

// One tile: n_rows x 16 * n_halves columns of n_panels neighbouring panels. Sizes are constants in
// each caller, so that the sums live in registers.
typedef struct tile {
    const float *x;     // packed [n_k][n_rows]
    const char *panel;  // row 0 of this block in the first panel
    size_t panel_bytes; // from a panel to the next
    int64_t n_k;
    float *y; // first row, first column of the first panel
    int64_t y_stride;
    int n_valid; // columns of y that exist, from its first
    bool first;  // sums start at 0, else they continue from y
    scaling scaling;
    bool last;                 // of the row's one scale
    const float *bias;         // of the first column, in the last block; else NULL
    const float *scale, *zero; // of this block and the first column
    int64_t scale_stride;      // from a panel to the next
} tile;

// Columns of vector j that exist.
WF_INLINE int n_valid_of(const tile *t, int j)
{
    int n = t->n_valid - 16 * j;
    return n < 0 ? 0 : MIN(n, 16);
}

// Vector j of scales or zero points; of a panel all 32 exist.
WF_INLINE v16 of_panel(const tile *t, const float *values, int j)
{
    return v16_load(values + j / 2 * t->scale_stride + j % 2 * 16);
}

WF_INLINE void tile_store(const tile *t, int r, int j, v16 sum)
{
    int n = n_valid_of(t, j);
    float *y = t->y + r * t->y_stride + 16 * j;
    if (t->scaling == BY_BLOCK) {
        v16 scale = of_panel(t, t->scale, j);
        sum = t->first ? v16_mul(scale, sum) : v16_fma(scale, sum, v16_load_n(y, n));
    } else if (t->scaling == BY_ROW && t->last) {
        sum = v16_mul(of_panel(t, t->scale, j), sum);
    }
    if (t->bias != NULL) sum = v16_add(sum, v16_load_n(t->bias + 16 * j, n));
    v16_store_n(y, sum, n);
}

WF_INLINE void tile_run(const tile *t, wf_dtype dtype, const bool zeros, const int n_rows,
                        const int n_vecs, const int first_vec)
{
    v16 sum[WF_TILE_ROWS][8], zero[8];
    bool fresh = t->scaling == BY_BLOCK || t->first;
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n_vecs; j++)
            sum[r][j] = fresh ? v16_zero()
                              : v16_load_n(t->y + r * t->y_stride + 16 * (first_vec + j),
                                           n_valid_of(t, first_vec + j));
#pragma GCC unroll 8
    for (int j = 0; j < n_vecs; j++)
        zero[j] = zeros ? of_panel(t, t->zero, first_vec + j) : v16_zero();
    for (int64_t k = 0; k < t->n_k; k++) {
        v16 w[8];
#pragma GCC unroll 8
        for (int j = 0; j < n_vecs; j++) {
            const char *panel = t->panel + (size_t)((first_vec + j) / 2) * t->panel_bytes;
            w[j] =
                (first_vec + j) % 2 == 0 ? panel_low(panel, dtype, k) : panel_high(panel, dtype, k);
            if (zeros) w[j] = v16_sub(w[j], zero[j]);
        }
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            v16 x = v16_set1(t->x[k * n_rows + r]);
#pragma GCC unroll 8
            for (int j = 0; j < n_vecs; j++)
                sum[r][j] = v16_fma(x, w[j], sum[r][j]);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n_vecs; j++)
            tile_store(t, r, first_vec + j, sum[r][j]);
}

// A tile over one whole panel: at once where the sums fit the registers, else half by half.
#define WF_TILE_CASE(rows)                                                                         \
    case rows:                                                                                     \
        if ((rows) * 2 <= WF_TILE_SUMS) {                                                          \
            tile_run(t, dtype, false, rows, 2, 0);                                                 \
        } else {                                                                                   \
            tile_run(t, dtype, false, rows, 1, 0);                                                 \
            tile_run(t, dtype, false, rows, 1, 1);                                                 \
        }                                                                                          \
        break;

WF_INLINE void panel_tile(const tile *t, wf_dtype dtype, int n_rows)
{
    switch (n_rows) {
        WF_TILE_CASE(1)
        WF_TILE_CASE(2)
        WF_TILE_CASE(3)
        WF_TILE_CASE(4)
#if WF_TILE_ROWS > 4
        WF_TILE_CASE(5)
        WF_TILE_CASE(6)
#endif
#if WF_TILE_ROWS > 6
        WF_TILE_CASE(7)
        WF_TILE_CASE(8)
        WF_TILE_CASE(9)
        WF_TILE_CASE(10)
        WF_TILE_CASE(11)
        WF_TILE_CASE(12)
#endif
    }
}

// The rows of x that one packed block holds, and the columns.
typedef struct blocking {
    int64_t n_rows, n_k;
} blocking;

static blocking blocking_of(const wf_gemm_part *p)
{
    bool scaled = p->scales != NULL;
    int64_t room = (int64_t)(WF_CPU_SCRATCH_BYTES / sizeof(float)) - (scaled ? UNPACKED : 0);
    // A single tile reads the panel once whatever its length: no need to come back to y.
    int64_t n_k = p->n_rows <= WF_TILE_ROWS ? room / p->n_rows : BLOCK_K;
    n_k = MIN(scaled ? UNPACKED_K : n_k, p->end_k - p->i_k);
    int64_t n_rows = room / (n_k > 0 ? n_k : 1) / WF_TILE_ROWS * WF_TILE_ROWS;
    return (blocking){p->n_rows <= WF_TILE_ROWS ? p->n_rows : MIN(n_rows, p->n_rows), n_k};
}

// Where a block of k that begins at i_k ends: with a block of scales, unless the run does first.
WF_INLINE int64_t block_end(const wf_gemm_part *p, int64_t i_k, int64_t n_k)
{
    int64_t end = i_k + n_k;
    if (end >= p->end_k) return p->end_k;
    return p->block > 0 ? end / p->block * p->block : end; // n_k is at least a block
}

WF_INLINE tile tile_of(const wf_gemm_part *p, wf_dtype dtype, int64_t i_panel, int64_t i_row,
                       int64_t i_k, int64_t end_k)
{
    size_t row_bytes = (size_t)(WF_PANEL * wf_bits_of(dtype) / 8);
    size_t panel_bytes = (size_t)p->n_cols * row_bytes;
    int64_t n_valid = p->n_out - i_panel * WF_PANEL;
    int64_t n_blocks = p->block > 0 ? p->n_cols / p->block : 1;
    int64_t at = (i_panel * n_blocks + (p->block > 0 ? i_k / p->block : 0)) * WF_PANEL;
    bool last = end_k == p->end_k;
    return (tile){
        .panel = (const char *)p->panels + (size_t)i_panel * panel_bytes + (size_t)i_k * row_bytes,
        .panel_bytes = panel_bytes,
        .n_k = end_k - i_k,
        .y = p->y + i_row * p->y_stride + i_panel * WF_PANEL,
        .y_stride = p->y_stride,
        .n_valid = (int)MIN(n_valid, 4 * WF_PANEL),
        .first = i_k == p->i_k,
        .scaling = p->scales == NULL ? UNSCALED
                   : p->block > 0    ? BY_BLOCK
                                     : BY_ROW,
        .last = last,
        .bias = last && p->bias != NULL ? p->bias + i_panel * WF_PANEL : NULL,
        .scale = p->scales != NULL ? p->scales + at : NULL,
        .zero = p->zeros != NULL ? p->zeros + at : NULL,
        .scale_stride = n_blocks * WF_PANEL,
    };
}

// The end of what one tile takes of [i_k, end_k): all of it, or up to where the scales change.
WF_INLINE int64_t tile_end(const wf_gemm_part *p, int64_t i_k, int64_t end_k)
{
    if (p->block == 0) return end_k;
    int64_t end = (i_k / p->block + 1) * p->block;
    return MIN(end, end_k);
}

WF_INLINE void one_row(const wf_gemm_part *p, wf_dtype dtype, const bool zeros, int64_t i_panel,
                       const int n_panels)
{
    for (int64_t i_k = p->i_k, end; i_k < p->end_k; i_k = end) {
        end = tile_end(p, i_k, p->end_k);
        tile t = tile_of(p, dtype, i_panel, 0, i_k, end);
        t.x = p->x + i_k;
        tile_run(&t, dtype, zeros, 1, 2 * n_panels, 0);
    }
}

// One row: four panels at a time, so that eight chains hide the latency of the multiply-add.
WF_INLINE void run_one_row(const wf_gemm_part *p, wf_dtype dtype, const bool zeros)
{
    int64_t i = p->i_panel;
    for (; i + WF_GEMV_PANELS <= p->end_panel; i += WF_GEMV_PANELS)
        one_row(p, dtype, zeros, i, WF_GEMV_PANELS);
    for (; i < p->end_panel; i++)
        one_row(p, dtype, zeros, i, 1);
}

// Rows [i_k, end_k) of a scaled panel as f32 numbers less their zero points, in the order of a
// panel of f32: converted once for all rows of x.
WF_INLINE void unpack(const wf_gemm_part *p, wf_dtype dtype, int64_t i_panel, int64_t i_k,
                      int64_t end_k, float *to)
{
    for (int64_t begin = i_k, end; begin < end_k; begin = end) {
        end = tile_end(p, begin, end_k);
        tile t = tile_of(p, dtype, i_panel, 0, begin, end);
        v16 low = t.zero ? v16_load(t.zero) : v16_zero();
        v16 high = t.zero ? v16_load(t.zero + 16) : v16_zero();
        for (int64_t k = 0; k < t.n_k; k++, to += WF_PANEL) {
            v16_store(to, v16_sub(panel_low(t.panel, dtype, k), low));
            v16_store(to + 16, v16_sub(panel_high(t.panel, dtype, k), high));
        }
    }
}

static void unpack_any(const wf_gemm_part *p, int64_t i_panel, int64_t i_k, int64_t end_k,
                       float *to)
{
    switch (p->dtype) {
#define UNPACK(name, ...)                                                                          \
    case WF_##name:                                                                                \
        unpack(p, WF_##name, i_panel, i_k, end_k, to);                                             \
        break;
        WF_SCALED_FORMATS(UNPACK)
#undef UNPACK
    default:
        wf_no_such_format();
    }
}

// All panels of the part times the packed rows. A scaled part's panels are read where they have
// been unpacked to, as f32.
WF_INLINE void run_block(const wf_gemm_part *p, wf_dtype dtype, const bool scaled, int64_t i_row,
                         int64_t n_rows, int64_t i_k, int64_t end_k)
{
    float *unpacked = p->scratch + WF_CPU_SCRATCH_BYTES / sizeof(float) - UNPACKED;
    for (int64_t i = p->i_panel; i < p->end_panel; i++) {
        if (scaled) unpack_any(p, i, i_k, end_k, unpacked);
        for (int64_t r = 0; r < n_rows; r += WF_TILE_ROWS) {
            int n = (int)MIN(n_rows - r, WF_TILE_ROWS);
            for (int64_t k = i_k, end; k < end_k; k = end) {
                end = tile_end(p, k, end_k);
                tile t = tile_of(p, dtype, i, i_row + r, k, end);
                t.x = p->scratch + r * (end_k - i_k) + (k - i_k) * n;
                if (scaled) t.panel = (const char *)(unpacked + (k - i_k) * WF_PANEL);
                panel_tile(&t, dtype, n);
            }
        }
    }
}

WF_INLINE void run_rows(const wf_gemm_part *p, wf_dtype dtype, const bool scaled)
{
    blocking block = blocking_of(p);
    for (int64_t i_row = 0; i_row < p->n_rows; i_row += block.n_rows) {
        int64_t n_rows = MIN(block.n_rows, p->n_rows - i_row);
        for (int64_t i_k = p->i_k, end; i_k < p->end_k; i_k = end) {
            end = block_end(p, i_k, block.n_k);
            for (int64_t r = 0; r < n_rows; r += WF_TILE_ROWS)
                wf_pack_rows(p->scratch + r * (end - i_k), p->x + (i_row + r) * p->x_stride + i_k,
                             p->x_stride, (int)MIN(n_rows - r, WF_TILE_ROWS), end - i_k);
            run_block(p, dtype, scaled, i_row, n_rows, i_k, end);
        }
    }
}

// Rows of f32 panels, and of scaled ones that become them.
static void run_f32_rows(const wf_gemm_part *p)
{
    run_rows(p, WF_F32, p->scales != NULL);
}

WF_INLINE void run(const wf_gemm_part *p, wf_dtype dtype)
{
    if (p->n_rows == 1)
        run_one_row(p, dtype, false);
    else if (dtype == WF_F32)
        run_f32_rows(p);
    else
        run_rows(p, dtype, false);
}

// One row with zero points or without.
#define ONE_ROW(format)                                                                            \
    if (p->zeros != NULL)                                                                          \
        run_one_row(p, WF_##format, true);                                                         \
    else                                                                                           \
        run_one_row(p, WF_##format, false);

static void run_scaled(const wf_gemm_part *p)
{
    if (p->n_rows > 1) {
        run_f32_rows(p);
        return;
    }
    switch (p->dtype) {
    case WF_FP8:
        run_one_row(p, WF_FP8, false);
        break;
    case WF_INT8:
        ONE_ROW(INT8)
        break;
    case WF_INT4:
        ONE_ROW(INT4)
        break;
    case WF_MXFP4:
        run_one_row(p, WF_MXFP4, false);
        break;
    default:
        wf_no_such_format();
    }
}

void WF_ISA(gemm)(const wf_gemm_part *part)
{
    if (part->n_rows == 0 || part->i_panel >= part->end_panel) return;
    switch (part->dtype) {
    case WF_BF16:
        run(part, WF_BF16);
        break;
    case WF_F16:
        run(part, WF_F16);
        break;
    case WF_F32:
        run(part, WF_F32);
        break;
    default:
        run_scaled(part);
    }
}
