// The tensors of quantised matrices, put into the order of tensor.h. See quant.h.
//
// Two's complement is what most tools store less an offset: flipping the top bit of a number takes
// 8 (or 128) from it.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_check.h"
#include "engine/quant.h"
#include "io/base/arena.h"
#include "kernels/convert.h"

enum { MAX_DIMS = 2, NAME_BYTES = WF_TENSOR_NAME_BYTES };

struct wf_quant_matrix {
    const wf_quant_kind *q;
    wf_hf_tensor data;
    int64_t n_rows, n_cols, n_blocks;
    char *whole;   // the data, where rows are not stored one after another
    float *scales; // [n_rows][n_blocks]
    int8_t *zeros; // the same, or NULL
    uint64_t bytes;
};

// What a layout calls its tensors.
static const struct {
    const char *data, *scale, *zero;
    wf_st_dtype data_type;
    bool by_column; // numbers of a row of the matrix lie apart
} layouts[] = {
    [WF_QUANT_ROWS] = {".weight", ".weight_scale", NULL, WF_ST_I8, false},
    [WF_QUANT_PACKED] = {".weight_packed", ".weight_scale", ".weight_zero_point", WF_ST_I32, false},
    [WF_QUANT_FP8] = {".weight", ".weight_scale_inv", NULL, WF_ST_F8_E4M3, false},
    [WF_QUANT_GPTQ] = {".qweight", ".scales", ".qzeros", WF_ST_I32, true},
    [WF_QUANT_AWQ] = {".qweight", ".scales", ".qzeros", WF_ST_I32, true},
};

// Tensors that may stand beside a quantised matrix and are not read, or only looked at.
static const char *const beside[] = {".weight_shape", ".weight_g_idx", ".g_idx", ".input_scale",
                                     ".input_zero_point"};

static int64_t div_up(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static int64_t per_word(const wf_quant_kind *q)
{
    return 32 / wf_bits_of(q->dtype);
}

static int64_t n_blocks_of(const wf_quant_kind *q, int64_t n_cols)
{
    return q->block > 0 ? div_up(n_cols, q->block) : 1;
}

static wf_status find(const wf_hf_folder *folder, const char *module, const char *end,
                      wf_hf_tensor *out, size_t *out_i)
{
    char name[NAME_BYTES];
    size_t i;
    snprintf(name, sizeof name, "%s%s", module, end);
    WF_TRY(wf_hf_folder_find(folder, name, &i));
    *out = wf_hf_folder_at(folder, i);
    if (out_i) *out_i = i;
    return WF_OK;
}

// ---- shapes -------------------------------------------------------------------------------------

static wf_status fail_tensor(const wf_hf_tensor *t, const char *why)
{
    char is[96];
    return wf_fail(WF_DATA, "%s: %s: %s %s, %s; config.json and weights are not of one model",
                   wf_safetensors_path(t->file), t->tensor->name,
                   wf_st_dtype_name(t->tensor->dtype), wf_st_shape_words(t->tensor, is, sizeof is),
                   why);
}

static bool has_shape(const wf_hf_tensor *t, int64_t rows, int64_t cols)
{
    const wf_st_tensor *s = t->tensor;
    return s->rank == 2 && s->shape[0] == rows && s->shape[1] == cols;
}

static int64_t n_elements(const wf_hf_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->tensor->rank; i++)
        n *= t->tensor->shape[i];
    return n;
}

static wf_status check_data(const wf_hf_tensor *t, const wf_quant_kind *q, int64_t rows,
                            int64_t cols)
{
    wf_st_dtype type = layouts[q->layout].data_type;
    if (q->layout == WF_QUANT_ROWS && q->dtype == WF_FP8) type = WF_ST_F8_E4M3;
    bool right = t->tensor->dtype == type;
    switch (q->layout) {
    case WF_QUANT_PACKED:
        right = right && has_shape(t, rows, div_up(cols, per_word(q)));
        break;
    case WF_QUANT_GPTQ:
        right = right && cols % per_word(q) == 0 && has_shape(t, cols / per_word(q), rows);
        break;
    case WF_QUANT_AWQ:
        right = right && rows % per_word(q) == 0 && has_shape(t, cols, rows / per_word(q));
        break;
    default:
        right = right && has_shape(t, rows, cols);
    }
    return right ? WF_OK : fail_tensor(t, "does not hold the numbers of this matrix");
}

static wf_status check_scale(const wf_hf_tensor *t, const wf_quant_kind *q, int64_t rows,
                             int64_t cols)
{
    int64_t n = n_blocks_of(q, cols), all = n_elements(t);
    wf_dtype dtype;
    bool right = false;
    WF_TRY(wf_model_dtype_of(t, &dtype));
    switch (q->layout) {
    case WF_QUANT_FP8:
        right = has_shape(t, div_up(rows, q->rows), n);
        break;
    case WF_QUANT_GPTQ:
    case WF_QUANT_AWQ:
        right = has_shape(t, n, rows);
        break;
    default:
        right = has_shape(t, rows, n) || (n == 1 && (all == 1 || all == rows));
    }
    return right ? WF_OK : fail_tensor(t, "is not a scale of each group of this matrix");
}

static wf_status check_zero(const wf_hf_tensor *t, const wf_quant_kind *q, int64_t rows,
                            int64_t cols)
{
    int64_t n = n_blocks_of(q, cols), words = div_up(rows, per_word(q));
    bool right = t->tensor->dtype == WF_ST_I32;
    right =
        right && (q->layout == WF_QUANT_PACKED ? has_shape(t, words, n) : has_shape(t, n, words));
    return right ? WF_OK : fail_tensor(t, "is not a zero point of each group of this matrix");
}

// GPTQ stores zero points of symmetric numbers too.
static bool stores_zeros(const wf_quant_kind *q)
{
    return q->zeros || q->layout == WF_QUANT_GPTQ;
}

static void mark_beside(const wf_hf_folder *folder, const char *module, uint8_t *used)
{
    wf_hf_tensor t;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        size_t at;
        if (find(folder, module, beside[i], &t, &at) == WF_OK) used[at] = 1;
    }
}

wf_status wf_quant_check(const wf_hf_folder *folder, const wf_quant_kind *q, const char *module,
                         int64_t n_rows, int64_t n_cols, uint8_t *used)
{
    wf_hf_tensor t;
    size_t i;
    WF_TRY(find(folder, module, layouts[q->layout].data, &t, &i));
    used[i] = 1;
    WF_TRY(check_data(&t, q, n_rows, n_cols));
    if (q->block > 0 && n_cols % q->block != 0)
        return fail_tensor(&t, "its rows do not end with a group");
    WF_TRY(find(folder, module, layouts[q->layout].scale, &t, &i));
    used[i] = 1;
    WF_TRY(check_scale(&t, q, n_rows, n_cols));
    if (stores_zeros(q)) {
        WF_TRY(find(folder, module, layouts[q->layout].zero, &t, &i));
        used[i] = 1;
        WF_TRY(check_zero(&t, q, n_rows, n_cols));
    }
    mark_beside(folder, module, used);
    return WF_OK;
}

// ---- reading ------------------------------------------------------------------------------------

static wf_status read_whole(wf_quant_matrix *m, const wf_hf_tensor *t, char **out)
{
    WF_TRY(wf_alloc((size_t)t->tensor->bytes + 8, 1, out));
    m->bytes += t->tensor->bytes;
    return wf_safetensors_read(t->file, t->tensor, 0, (size_t)t->tensor->bytes, *out);
}

// Where the scale of (row, block) stands in its tensor.
static int64_t scale_at(const wf_quant_matrix *m, int64_t n_stored, int64_t row, int64_t block)
{
    switch (m->q->layout) {
    case WF_QUANT_FP8:
        return row / m->q->rows * m->n_blocks + block;
    case WF_QUANT_GPTQ:
    case WF_QUANT_AWQ:
        return block * m->n_rows + row;
    default:
        return n_stored == 1 ? 0 : row * m->n_blocks + block;
    }
}

static wf_status read_scales(wf_quant_matrix *m, const wf_hf_tensor *t)
{
    char *stored = NULL;
    wf_dtype dtype;
    int64_t n_stored = n_elements(t);
    WF_TRY(wf_model_dtype_of(t, &dtype));
    wf_status st = read_whole(m, t, &stored);
    for (int64_t i = 0; st == WF_OK && i < m->n_rows * m->n_blocks; i++) {
        float x =
            wf_load_f32(stored, dtype, scale_at(m, n_stored, i / m->n_blocks, i % m->n_blocks));
        m->scales[i] = x;
        if (!isfinite(x) || x <= 0.0f)
            st = wf_fail(WF_DATA,
                         "%s: %s: the scale of row %" PRId64
                         " is %g; scales are finite and above 0: "
                         "the checkpoint is damaged, download it again",
                         wf_safetensors_path(t->file), t->tensor->name, i / m->n_blocks, (double)x);
    }
    free(stored);
    return st;
}

// Which number of a word column i of eight is, in AWQ's order.
static int awq_place(int64_t i)
{
    static const int place[8] = {0, 4, 1, 5, 2, 6, 3, 7}; // of columns 0 2 4 6 1 3 5 7
    return place[i % 8];
}

// The zero point of (row, block) as it is stored, without a sign.
static int32_t stored_zero(const wf_quant_matrix *m, const uint32_t *words, int64_t row,
                           int64_t block)
{
    int64_t each = per_word(m->q), per_row = div_up(m->n_rows, each);
    uint32_t bits = (uint32_t)wf_bits_of(m->q->dtype), mask = (1u << bits) - 1u;
    int64_t at = m->q->layout == WF_QUANT_PACKED ? row / each * m->n_blocks + block
                                                 : block * per_row + row / each;
    uint32_t place = (uint32_t)(m->q->layout == WF_QUANT_AWQ ? awq_place(row) : (int)(row % each));
    return (int32_t)(words[at] >> (place * bits) & mask) + (m->q->zeros_less_1 ? 1 : 0);
}

static wf_status read_zeros(wf_quant_matrix *m, const wf_hf_tensor *t)
{
    char *stored = NULL;
    int32_t middle = 1 << (wf_bits_of(m->q->dtype) - 1);
    wf_status st = read_whole(m, t, &stored);
    for (int64_t i = 0; st == WF_OK && i < m->n_rows * m->n_blocks; i++) {
        int32_t zero = stored_zero(m, (const uint32_t *)(const void *)stored, i / m->n_blocks,
                                   i % m->n_blocks) -
                       middle;
        if (m->zeros)
            m->zeros[i] = (int8_t)(zero > 127 ? 127 : zero);
        else if (zero != 0)
            st = wf_fail(WF_DATA,
                         "%s: %s: a zero point of %d, although config.json says that the weights "
                         "are symmetric (sym: true)",
                         wf_safetensors_path(t->file), t->tensor->name, zero + middle);
    }
    free(stored);
    return st;
}

// Groups that follow activations (act-order): number i is of group index[i].
static wf_status check_order(wf_quant_matrix *m, const wf_hf_folder *folder, const char *module)
{
    wf_hf_tensor t;
    const char *end = m->q->layout == WF_QUANT_PACKED ? ".weight_g_idx" : ".g_idx";
    char *stored = NULL;
    if (find(folder, module, end, &t, NULL) != WF_OK || m->q->block == 0) return WF_OK;
    if (t.tensor->dtype != WF_ST_I32 || n_elements(&t) != m->n_cols)
        return fail_tensor(&t, "is not a group of each column");
    wf_status st = read_whole(m, &t, &stored);
    for (int64_t i = 0; st == WF_OK && i < m->n_cols; i++)
        if (((const int32_t *)(const void *)stored)[i] != i / m->q->block)
            st = wf_fail(WF_DATA,
                         "%s: %s: groups follow activations (desc_act, actorder), which is not "
                         "read: take a checkpoint made without it",
                         wf_safetensors_path(t.file), t.tensor->name);
    free(stored);
    return st;
}

static wf_status read_parts(wf_quant_matrix *m, const wf_hf_folder *folder, const char *module)
{
    wf_hf_tensor t;
    size_t n = (size_t)(m->n_rows * m->n_blocks);
    WF_TRY(find(folder, module, layouts[m->q->layout].data, &m->data, NULL));
    WF_TRY(wf_alloc(n, sizeof *m->scales, &m->scales));
    WF_TRY(find(folder, module, layouts[m->q->layout].scale, &t, NULL));
    WF_TRY(read_scales(m, &t));
    if (m->q->zeros) WF_TRY(wf_alloc(n, 1, &m->zeros));
    if (stores_zeros(m->q)) {
        WF_TRY(find(folder, module, layouts[m->q->layout].zero, &t, NULL));
        WF_TRY(read_zeros(m, &t));
    }
    WF_TRY(check_order(m, folder, module));
    return layouts[m->q->layout].by_column ? read_whole(m, &m->data, &m->whole) : WF_OK;
}

wf_status wf_quant_open(const wf_hf_folder *folder, const wf_quant_kind *q, const char *module,
                        int64_t n_rows, int64_t n_cols, wf_quant_matrix **out)
{
    wf_quant_matrix *m;
    WF_TRY(wf_alloc(1, sizeof *m, &m));
    *m = (wf_quant_matrix){
        .q = q, .n_rows = n_rows, .n_cols = n_cols, .n_blocks = n_blocks_of(q, n_cols)};
    wf_status st = read_parts(m, folder, module);
    if (st != WF_OK) wf_quant_close(&m);
    *out = m;
    return st;
}

void wf_quant_close(wf_quant_matrix **matrix)
{
    wf_quant_matrix *m = *matrix;
    if (!m) return;
    free(m->whole);
    free(m->scales);
    free(m->zeros);
    free(m);
    *matrix = NULL;
}

uint64_t wf_quant_bytes_read(const wf_quant_matrix *m)
{
    return m->bytes;
}

// ---- rows ---------------------------------------------------------------------------------------

static void flip(char *numbers, size_t n, int32_t bits)
{
    for (size_t i = 0; i < n; i++)
        numbers[i] = (char)(numbers[i] ^ (bits == 4 ? 0x88 : 0x80));
}

static wf_status check_fp8(const wf_quant_matrix *m, const char *numbers, int64_t row, int64_t n)
{
    for (int64_t i = 0; i < n * m->n_cols; i++)
        if ((numbers[i] & 0x7f) == 0x7f)
            return wf_fail(WF_DATA,
                           "%s: %s: NaN in row %" PRId64 "; the checkpoint is damaged, download it "
                           "again",
                           wf_safetensors_path(m->data.file), m->data.tensor->name,
                           row + i / m->n_cols);
    return WF_OK;
}

static wf_status stored_rows(const wf_quant_matrix *m, int64_t row, int64_t n, char *numbers)
{
    size_t stored = (size_t)m->data.tensor->bytes / (size_t)m->n_rows;
    size_t each = wf_format_row_bytes(m->q->dtype, m->n_cols);
    if (stored == each) {
        WF_TRY(wf_safetensors_read(m->data.file, m->data.tensor, (uint64_t)row * stored,
                                   (size_t)n * stored, numbers));
    } else { // rows of words with some of the last one unused
        for (int64_t i = 0; i < n; i++)
            WF_TRY(wf_safetensors_read(m->data.file, m->data.tensor, (uint64_t)(row + i) * stored,
                                       each, numbers + (size_t)i * each));
    }
    if (m->q->layout == WF_QUANT_PACKED) flip(numbers, (size_t)n * each, wf_bits_of(m->q->dtype));
    return m->q->dtype == WF_FP8 ? check_fp8(m, numbers, row, n) : WF_OK;
}

// Words of eight (or four) neighbouring numbers of a row, a word of each row side by side.
static void gptq_rows(const wf_quant_matrix *m, int64_t row, int64_t n, char *numbers)
{
    size_t each = wf_format_row_bytes(m->q->dtype, m->n_cols);
    int64_t n_words = m->n_cols / per_word(m->q);
    for (int64_t w = 0; w < n_words; w++)
        for (int64_t i = 0; i < n; i++)
            memcpy(numbers + (size_t)i * each + (size_t)w * 4,
                   m->whole + (size_t)(w * m->n_rows + row + i) * 4, 4);
    flip(numbers, (size_t)n * each, wf_bits_of(m->q->dtype));
}

static void awq_rows(const wf_quant_matrix *m, int64_t row, int64_t n, char *numbers)
{
    const uint32_t *words = (const uint32_t *)(const void *)m->whole;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < m->n_cols; k++) {
            uint32_t word = words[k * (m->n_rows / 8) + (row + i) / 8];
            uint32_t code = word >> (4 * awq_place(row + i)) & 15u;
            wf_nibble_set(numbers, i * m->n_cols + k, (uint8_t)(code ^ 8u));
        }
}

wf_status wf_quant_rows(const wf_quant_matrix *m, int64_t row, int64_t n, void *numbers,
                        float *scales, int8_t *zeros)
{
    size_t first = (size_t)(row * m->n_blocks), count = (size_t)(n * m->n_blocks);
    memcpy(scales, m->scales + first, count * sizeof *scales);
    if (m->zeros) memcpy(zeros, m->zeros + first, count);
    if (!m->whole) return stored_rows(m, row, n, numbers);
    if (m->q->layout == WF_QUANT_GPTQ)
        gptq_rows(m, row, n, numbers);
    else
        awq_rows(m, row, n, numbers);
    return WF_OK;
}
