// y = x W^T (+ bias) on panels of 32 columns.
//
// x [M, K] f32, W as panel[N / 32][K][32] in f32, bf16 or f16, y [M, N] f32.
// Every y[m][n] is one chain y = fma(x[m][k], w[n][k], y) over k ascending from 0, then + bias. A
// tile holds its sums in registers over a block of k and leaves them in y between blocks, which
// changes no bit; so neither M, nor blocking, nor the split over threads shows in the result.
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
    default:
        wf_no_such_format();
    }
}

// One tile: n_rows x 16 * n_halves columns of n_panels neighbouring panels. Sizes are constants in
// each caller, so that the sums live in registers.
typedef struct tile {
    const float *x;     // packed [n_k][n_rows]
    const char *panel;  // row 0 of this block in the first panel
    size_t panel_bytes; // from a panel to the next
    int64_t n_k;
    float *y; // first row, first column of the first panel
    int64_t y_stride;
    int n_valid;       // columns of y that exist, from its first
    bool first;        // sums start at 0, else they continue from y
    const float *bias; // of the first column, in the last block; else NULL
} tile;

// Columns of vector j that exist.
WF_INLINE int n_valid_of(const tile *t, int j)
{
    int n = t->n_valid - 16 * j;
    return n < 0 ? 0 : MIN(n, 16);
}

WF_INLINE void tile_run(const tile *t, wf_dtype dtype, const int n_rows, const int n_vecs,
                        const int first_vec)
{
    v16 sum[WF_TILE_ROWS][8];
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n_vecs; j++)
            sum[r][j] = t->first ? v16_zero()
                                 : v16_load_n(t->y + r * t->y_stride + 16 * (first_vec + j),
                                              n_valid_of(t, first_vec + j));
    for (int64_t k = 0; k < t->n_k; k++) {
        v16 w[8];
#pragma GCC unroll 8
        for (int j = 0; j < n_vecs; j++) {
            const char *panel = t->panel + (size_t)((first_vec + j) / 2) * t->panel_bytes;
            w[j] =
                (first_vec + j) % 2 == 0 ? panel_low(panel, dtype, k) : panel_high(panel, dtype, k);
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
        for (int j = 0; j < n_vecs; j++) {
            int n = n_valid_of(t, first_vec + j);
            if (t->bias != NULL)
                sum[r][j] = v16_add(sum[r][j], v16_load_n(t->bias + 16 * (first_vec + j), n));
            v16_store_n(t->y + r * t->y_stride + 16 * (first_vec + j), sum[r][j], n);
        }
}

// A tile over one whole panel: at once where the sums fit the registers, else half by half.
#define WF_TILE_CASE(rows)                                                                         \
    case rows:                                                                                     \
        if ((rows) * 2 <= WF_TILE_SUMS) {                                                          \
            tile_run(t, dtype, rows, 2, 0);                                                        \
        } else {                                                                                   \
            tile_run(t, dtype, rows, 1, 0);                                                        \
            tile_run(t, dtype, rows, 1, 1);                                                        \
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
    int64_t room = (int64_t)(WF_CPU_SCRATCH_BYTES / sizeof(float));
    // A single tile reads the panel once whatever its length: no need to come back to y.
    int64_t n_k = p->n_rows <= WF_TILE_ROWS ? room / p->n_rows : BLOCK_K;
    n_k = MIN(n_k, p->end_k - p->i_k);
    int64_t n_rows = room / (n_k > 0 ? n_k : 1) / WF_TILE_ROWS * WF_TILE_ROWS;
    return (blocking){p->n_rows <= WF_TILE_ROWS ? p->n_rows : MIN(n_rows, p->n_rows), n_k};
}

WF_INLINE tile tile_of(const wf_gemm_part *p, int64_t i_panel, int64_t i_row, int64_t i_k,
                       int64_t n_k, size_t element_bytes)
{
    size_t panel_bytes = (size_t)p->n_cols * WF_PANEL * element_bytes;
    int64_t n_valid = p->n_out - i_panel * WF_PANEL;
    bool last = i_k + n_k == p->end_k;
    return (tile){
        .panel = (const char *)p->panels + (size_t)i_panel * panel_bytes +
                 (size_t)i_k * WF_PANEL * element_bytes,
        .panel_bytes = panel_bytes,
        .n_k = n_k,
        .y = p->y + i_row * p->y_stride + i_panel * WF_PANEL,
        .y_stride = p->y_stride,
        .n_valid = (int)MIN(n_valid, 4 * WF_PANEL),
        .first = i_k == p->i_k,
        .bias = last && p->bias != NULL ? p->bias + i_panel * WF_PANEL : NULL,
    };
}

// One row: four panels at a time, so that eight chains hide the latency of the multiply-add.
WF_INLINE void run_one_row(const wf_gemm_part *p, wf_dtype dtype)
{
    size_t element_bytes = (size_t)wf_bits_of(dtype) / 8;
    int64_t i = p->i_panel;
    for (; i + WF_GEMV_PANELS <= p->end_panel; i += WF_GEMV_PANELS) {
        tile t = tile_of(p, i, 0, p->i_k, p->end_k - p->i_k, element_bytes);
        t.x = p->x + p->i_k;
        tile_run(&t, dtype, 1, 2 * WF_GEMV_PANELS, 0);
    }
    for (; i < p->end_panel; i++) {
        tile t = tile_of(p, i, 0, p->i_k, p->end_k - p->i_k, element_bytes);
        t.x = p->x + p->i_k;
        tile_run(&t, dtype, 1, 2, 0);
    }
}

// All panels of the part times the packed rows.
WF_INLINE void run_block(const wf_gemm_part *p, wf_dtype dtype, int64_t i_row, int64_t n_rows,
                         int64_t i_k, int64_t n_k)
{
    size_t element_bytes = (size_t)wf_bits_of(dtype) / 8;
    for (int64_t i = p->i_panel; i < p->end_panel; i++)
        for (int64_t r = 0; r < n_rows; r += WF_TILE_ROWS) {
            tile t = tile_of(p, i, i_row + r, i_k, n_k, element_bytes);
            t.x = p->scratch + r * n_k;
            panel_tile(&t, dtype, (int)MIN(n_rows - r, WF_TILE_ROWS));
        }
}

WF_INLINE void run(const wf_gemm_part *p, wf_dtype dtype)
{
    if (p->n_rows == 1) {
        run_one_row(p, dtype);
        return;
    }
    blocking block = blocking_of(p);
    for (int64_t i_row = 0; i_row < p->n_rows; i_row += block.n_rows) {
        int64_t n_rows = MIN(block.n_rows, p->n_rows - i_row);
        for (int64_t i_k = p->i_k; i_k < p->end_k; i_k += block.n_k) {
            int64_t n_k = MIN(block.n_k, p->end_k - i_k);
            for (int64_t r = 0; r < n_rows; r += WF_TILE_ROWS)
                wf_pack_rows(p->scratch + r * n_k, p->x + (i_row + r) * p->x_stride + i_k,
                             p->x_stride, (int)MIN(n_rows - r, WF_TILE_ROWS), n_k);
            run_block(p, dtype, i_row, n_rows, i_k, n_k);
        }
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
        wf_no_such_format();
    }
}
