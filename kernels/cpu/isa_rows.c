// Operations on rows that read and write each element a few times: norms, activations, rotary
// positions. All are bound by memory; f32 throughout, sums over 16 lanes in the order of v16_sum.
//
//   rmsnorm    y = x / sqrt(mean(x^2) + eps) * weight        (residual += scale x first)
//   layernorm  y = (x - mean) / sqrt(var + eps) * weight + bias
//   gate_mul   y = curve(gate) * up
//   activate   y = curve(x): x sigmoid(x), x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), which is
//              the tanh form of GELU, x Phi(x), the exact one, or max(x, 0)
//   rope       (a, b) -> (a cos - b sin, b cos + a sin), heads normed as in rmsnorm before it
//
// Tolerance against ref: 4e-6 relative, times sqrt(columns) / 16 for the norms.
#include "kernels/cpu/isa_rows.h"
#include "kernels/cpu/isa.h"
#include "kernels/kv.h"
#include "kernels/quantize.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static float *row_of(const wf_matrix *m, int64_t i)
{
    return (float *)m->data + i * m->stride;
}

// How many lanes the vector at column j of n has.
WF_INLINE int lanes(int64_t n, int64_t j)
{
    return (int)MIN(n - j, 16);
}

// y += scale * x
static void add_row(float *y, const float *x, float scale, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) {
        int m = lanes(n, j);
        v16 sum = v16_fma(v16_set1(scale), v16_load_n(x + j, m), v16_load_n(y + j, m));
        v16_store_n(y + j, sum, m);
    }
}

static const float *norm_input(const wf_matrix *x, const wf_matrix *residual, float scale,
                               int64_t i)
{
    if (residual->data == NULL) return row_of(x, i);
    add_row(row_of(residual, i), row_of(x, i), wf_scale_of(scale), x->n_cols);
    return row_of(residual, i);
}

static float sum_of(const float *x, int64_t n)
{
    v16 sum = v16_zero();
    for (int64_t j = 0; j < n; j += 16)
        sum = v16_add(sum, v16_load_n(x + j, lanes(n, j)));
    return v16_sum(sum);
}

// sum of (x - center)^2
static float sum_squares(const float *x, float center, int64_t n)
{
    v16 sum = v16_zero();
    for (int64_t j = 0; j < n; j += 16) {
        int m = lanes(n, j);
        v16 d = v16_keep_n(v16_sub(v16_load_n(x + j, m), v16_set1(center)), m, 0.0f);
        sum = v16_fma(d, d, sum);
    }
    return v16_sum(sum);
}

// y = (x - mean) * scale * weight; y may be x.
static void scale_row(const float *x, float mean, float scale, const float *weight, int64_t n,
                      float *y)
{
    for (int64_t j = 0; j < n; j += 16) {
        int m = lanes(n, j);
        v16 normed = v16_mul(v16_sub(v16_load_n(x + j, m), v16_set1(mean)), v16_set1(scale));
        v16_store_n(y + j, v16_mul(normed, v16_load_n(weight + j, m)), m);
    }
}

// y may be x.
static void rmsnorm_row(const float *x, const float *weight, float eps, int64_t n, float *y)
{
    v16 scale = v16_set1(1.0f / sqrtf(sum_squares(x, 0.0f, n) / (float)n + eps));
    for (int64_t j = 0; j < n; j += 16) {
        int m = lanes(n, j);
        v16 normed = v16_mul(v16_load_n(x + j, m), scale);
        v16_store_n(y + j, v16_mul(normed, v16_load_n(weight + j, m)), m);
    }
}

void WF_ISA(rmsnorm)(const wf_rmsnorm_args *a, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        rmsnorm_row(norm_input(&a->x, &a->residual, a->scale, i), a->weight, a->eps, a->x.n_cols,
                    row_of(&a->y, i));
}

void WF_ISA(layernorm)(const wf_layernorm_args *a, int64_t begin, int64_t end)
{
    int64_t n = a->x.n_cols;
    for (int64_t i = begin; i < end; i++) {
        const float *x = norm_input(&a->x, &a->residual, a->scale, i);
        float *y = row_of(&a->y, i);
        float mean = sum_of(x, n) / (float)n;
        v16 scale = v16_set1(1.0f / sqrtf(sum_squares(x, mean, n) / (float)n + a->eps));
        for (int64_t j = 0; j < n; j += 16) {
            int m = lanes(n, j);
            v16 normed = v16_mul(v16_sub(v16_load_n(x + j, m), v16_set1(mean)), scale);
            v16 bias = a->bias != NULL ? v16_load_n(a->bias + j, m) : v16_zero();
            v16_store_n(y + j, v16_fma(normed, v16_load_n(a->weight + j, m), bias), m);
        }
    }
}

void WF_ISA(softcap)(const wf_softcap_args *a, int64_t begin, int64_t end)
{
    const v16 cap = v16_set1(a->cap), share = v16_set1(1.0f / a->cap);
    int64_t n = a->x.n_cols;
    for (int64_t i = begin; i < end; i++) {
        float *x = row_of(&a->x, i);
        for (int64_t j = 0; j < n; j += 16) {
            int m = lanes(n, j);
            v16_store_n(x + j, v16_mul(cap, v16_tanh(v16_mul(v16_load_n(x + j, m), share))), m);
        }
    }
}

void WF_ISA(add)(const wf_add_args *a, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        add_row(row_of(&a->y, i), row_of(&a->x, i), 1.0f, a->x.n_cols);
}

static v16 gelu_tanh(v16 v)
{
    const v16 cubic = v16_set1(0.044715f), twice = v16_set1(1.5957691216057308f); // 2 sqrt(2/pi)
    v16 inner = v16_mul(v, v16_fma(v16_mul(v, v), cubic, v16_set1(1.0f)));
    return v16_mul(v, v16_sigmoid(v16_mul(inner, twice)));
}

// x Phi(x): x (1 - tail(x)) from 0 on, x tail(-x) below.
static v16 gelu_exact(v16 v)
{
    v16 tail = v16_normal_tail(v16_max(v16_sub(v16_zero(), v), v));
    v16 phi = v16_select_ge(v, v16_zero(), v16_sub(v16_set1(1.0f), tail), tail);
    return v16_mul(v, phi);
}

WF_INLINE v16 curve_of(v16 v, wf_curve curve)
{
    switch (curve) {
    case WF_CURVE_GELU_TANH:
        return gelu_tanh(v);
    case WF_CURVE_GELU_EXACT:
        return gelu_exact(v);
    case WF_CURVE_RELU:
        return v16_max(v16_zero(), v);
    case WF_CURVE_TANH:
        return v16_tanh(v);
    case WF_CURVE_SILU:
    case WF_N_CURVES:
        break;
    }
    return v16_mul(v, v16_sigmoid(v));
}

void WF_ISA(gate_mul)(const wf_activation_args *a, int64_t begin, int64_t end)
{
    int64_t n = a->y.n_cols;
    for (int64_t i = begin; i < end; i++) {
        const float *gate = row_of(&a->x, i), *up = gate + n;
        float *y = row_of(&a->y, i);
        for (int64_t j = 0; j < n; j += 16) {
            int m = lanes(n, j);
            v16 value = curve_of(v16_load_n(gate + j, m), a->curve);
            v16_store_n(y + j, v16_mul(value, v16_load_n(up + j, m)), m);
        }
    }
}

void WF_ISA(activate)(const wf_activation_args *a, int64_t begin, int64_t end)
{
    int64_t n = a->y.n_cols;
    for (int64_t i = begin; i < end; i++) {
        const float *x = row_of(&a->x, i);
        float *y = row_of(&a->y, i);
        for (int64_t j = 0; j < n; j += 16) {
            int m = lanes(n, j);
            v16_store_n(y + j, curve_of(v16_load_n(x + j, m), a->curve), m);
        }
    }
}

void WF_ISA(head_squares)(const wf_head_squares_args *a, int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++)
        for (int32_t h = 0; h < a->n_heads; h++)
            a->squares[t * a->n_heads + h] =
                sum_squares(row_of(&a->qkv, t) + (int64_t)h * a->head_dim, 0.0f, a->head_dim);
}

// The mean square over all heads of q or of k, of all ranks: the same order whatever their number.
static float mean_of_all(const wf_rope_args *a, int32_t t, bool is_k)
{
    int32_t n_both = a->n_heads + a->kv.n_kv_heads;
    int32_t first = is_k ? a->n_heads : 0, end = is_k ? n_both : a->n_heads;
    float sum = 0.0f;
    for (int64_t rank = 0; rank < a->n_ranks; rank++)
        for (int32_t h = first; h < end; h++)
            sum += a->squares[(rank * a->qkv.n_rows + t) * n_both + h];
    return sum / ((float)a->n_ranks * (float)(end - first) * (float)a->kv.head_dim);
}

// One head of q or k, before it is rotated.
static void norm_head(const wf_rope_args *a, int32_t t, int32_t h, float *x)
{
    int32_t n = a->kv.head_dim;
    bool is_k = h >= a->n_heads;
    const float *weight = is_k ? a->k_norm + (int64_t)(h - a->n_heads) * a->norm_stride
                               : a->q_norm + (int64_t)h * a->norm_stride;
    if (!a->norm_centred && !a->squares) {
        rmsnorm_row(x, weight, a->norm_eps, n, x);
        return;
    }
    float mean = a->norm_centred ? sum_of(x, n) / (float)n : 0.0f;
    float square = a->squares ? mean_of_all(a, t, is_k) : sum_squares(x, mean, n) / (float)n;
    scale_row(x, mean, 1.0f / sqrtf(square + a->norm_eps), weight, n, x);
}

static void rotate_halves(float *x, const float *cos_row, const float *sin_row, int half)
{
    for (int i = 0; i < half; i += 16) {
        int m = lanes(half, i);
        v16 a = v16_load_n(x + i, m), b = v16_load_n(x + half + i, m);
        v16 c = v16_load_n(cos_row + i, m), s = v16_load_n(sin_row + i, m);
        v16_store_n(x + i, v16_sub(v16_mul(a, c), v16_mul(b, s)), m);
        v16_store_n(x + half + i, v16_add(v16_mul(b, c), v16_mul(a, s)), m);
    }
}

static void rotate_pairs(float *x, const float *cos_row, const float *sin_row, int half)
{
    for (int i = 0; i < half; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos_row[i] - b * sin_row[i];
        x[2 * i + 1] = b * cos_row[i] + a * sin_row[i];
    }
}

// One head of K or V into the cache, as token `i_token` of the tile at element `tile`.
static void store_head(const wf_kv *kv, int64_t tile, int32_t i_token, const float *x)
{
    char *base = kv->base;
    int64_t at = tile + (int64_t)i_token * kv->head_dim;
    uint16_t *y = (uint16_t *)kv->base + at;
    int i = 0, n = kv->head_dim;
    switch (kv->dtype) {
    case WF_FP8:
    case WF_INT8:
        wf_quantize_row(x, n, kv->dtype, 0, base + at,
                        (float *)(void *)(base + wf_kv_scales_at(kv, tile)) + i_token);
        break;
    case WF_F32:
        memcpy((float *)kv->base + at, x, (size_t)n * sizeof *x);
        break;
    case WF_BF16:
        for (; i < n; i++)
            y[i] = wf_f32_to_bf16(x[i]);
        break;
    case WF_F16:
        for (; i + 16 <= n; i += 16)
            v16_store_f16(y + i, v16_load(x + i));
        for (; i < n; i++)
            y[i] = wf_f32_to_f16(x[i]);
        break;
    default:
        wf_no_such_format();
    }
}

static void append(const wf_rope_args *a, const float *row, int32_t t)
{
    const wf_batch *b = a->batch;
    const wf_kv *kv = &a->kv;
    int32_t pos = b->token_pos[t];
    const int32_t *pages = b->page_table + (int64_t)b->seq_row[b->token_seq[t]] * b->page_stride;
    int64_t tile = pages[pos / kv->page_tokens] * kv->page_stride;
    const float *k = row + (int64_t)a->n_heads * kv->head_dim;
    const float *v = k + (int64_t)kv->n_kv_heads * kv->head_dim;
    for (int32_t h = 0; h < kv->n_kv_heads; h++, tile += kv->head_stride) {
        store_head(kv, tile, pos % kv->page_tokens, k + (int64_t)h * kv->head_dim);
        store_head(kv, tile + kv->kv_stride, pos % kv->page_tokens, v + (int64_t)h * kv->head_dim);
    }
}

void WF_ISA(rope_kv_append)(const wf_rope_args *a, int32_t begin, int32_t end)
{
    int half = a->rotary_dim / 2;
    for (int32_t t = begin; t < end; t++) {
        float *row = row_of(&a->qkv, t);
        const float *cos_row = a->cos + (int64_t)a->batch->token_pos[t] * half;
        const float *sin_row = a->sin + (int64_t)a->batch->token_pos[t] * half;
        for (int32_t h = 0; h < a->n_heads + a->kv.n_kv_heads; h++) {
            float *x = row + (int64_t)h * a->kv.head_dim;
            if (a->q_norm) norm_head(a, t, h, x);
            if (a->interleaved)
                rotate_pairs(x, cos_row, sin_row, half);
            else
                rotate_halves(x, cos_row, sin_row, half);
        }
        if (a->kv.base) append(a, row, t);
    }
}

float WF_ISA(greatest)(const float *x, int64_t n)
{
    v16 top = v16_set1(x[0]);
    for (int64_t j = 0; j < n; j += 16) {
        int m = lanes(n, j);
        top = v16_max(top, v16_keep_n(v16_load_n(x + j, m), m, x[0]));
    }
    return v16_greatest(top);
}
