// See correct.h.
#include "jobs/quantize/correct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_parts.h"
#include "io/base/arena.h"
#include "jobs/quantize/tap.h"

// ---- where offsets go ---------------------------------------------------------------------------

wf_bias_plan wf_bias_plan_of(const wf_arch *a)
{
    const wf_family *f = a->family;
    wf_bias_plan p = {.qkv = a->bias_qkv,
                      .o = a->bias_o,
                      .mlp = a->bias_mlp,
                      .attn_key = f->keys[WF_KEY_ATTN_BIAS][0],
                      .mlp_key = f->keys[WF_KEY_MLP_BIAS][0]};
    p.add_attn = p.attn_key && !p.qkv && !p.o;
    p.add_mlp = p.mlp_key && !p.mlp;
    p.qkv = p.qkv || p.add_attn;
    p.o = p.o || p.add_attn;
    p.mlp = p.mlp || p.add_mlp;
    return p;
}

static bool is_attention(wf_role role)
{
    return role == WF_ROLE_Q || role == WF_ROLE_K || role == WF_ROLE_V || role == WF_ROLE_QKV;
}

static bool is_dense(wf_role role)
{
    return role == WF_ROLE_GATE || role == WF_ROLE_UP || role == WF_ROLE_GATE_UP ||
           role == WF_ROLE_DOWN;
}

bool wf_bias_plan_has(const wf_bias_plan *p, wf_role role)
{
    return (is_attention(role) && p->qkv) || (role == WF_ROLE_O && p->o) ||
           (is_dense(role) && p->mlp);
}

bool wf_bias_plan_adds(const wf_bias_plan *p, wf_role role)
{
    return ((is_attention(role) || role == WF_ROLE_O) && p->add_attn) ||
           (is_dense(role) && p->add_mlp);
}

const char *wf_bias_plan_gap(const wf_bias_plan *p, char *text, size_t text_bytes)
{
    text[0] = '\0';
    if (p->qkv && p->o && p->mlp) return text;
    snprintf(text, text_bytes, "%s%s%s%s%s", p->qkv ? "" : "q, k, v", !p->qkv && !p->o ? ", " : "",
             p->o ? "" : "o", (!p->qkv || !p->o) && !p->mlp ? ", " : "",
             p->mlp ? "" : "gate, up, down");
    return text;
}

// ---- products -----------------------------------------------------------------------------------

// Sums over tokens, of one row.
typedef struct sums {
    double y, q, qq, yq;
} sums;

typedef struct product {
    const wf_weight *full, *mixed;
    wf_slice slice;
    sums *rows; // [slice.n_rows]
    int64_t n_tokens;
} product;

typedef struct correcting {
    const wf_model *full, *mixed;
    const wf_quantize_recipe *recipe;
    product *products;
    size_t n, room;
    wf_backend *be;
    void *device[2]; // two outputs of a product
    float *host[2];
    size_t n_numbers; // of each
} correcting;

static wf_status add_product(correcting *c, const wf_slice *s)
{
    const wf_param *full = wf_slice_param(s, (wf_model *)(uintptr_t)c->full);
    const wf_param *mixed = wf_slice_param(s, (wf_model *)(uintptr_t)c->mixed);
    WF_TRY(wf_grow(c->n + 1, sizeof *c->products, &c->room, &c->products));
    product *p = &c->products[c->n++];
    *p = (product){.full = full->matrix, .mixed = mixed->matrix, .slice = *s};
    return wf_alloc((size_t)s->n_rows, sizeof *p->rows, &p->rows);
}

static wf_status find_products(correcting *c)
{
    for (int32_t i = 0; i < c->full->arch.n_layers; i++) {
        const wf_place place = {.arch = &c->full->arch, .i_layer = i, .tp_size = 1};
        wf_slice s;
        if (c->recipe->format[i] == WF_QUANTIZE_PLAIN) continue;
        for (int at = 0; wf_slice_next(&place, &at, &s);)
            if (s.n_cols > 0 && !s.experts &&
                (is_attention(s.part[0]->role) || is_dense(s.part[0]->role) ||
                 s.part[0]->role == WF_ROLE_O))
                WF_TRY(add_product(c, &s));
    }
    return WF_OK;
}

// ---- the pass -----------------------------------------------------------------------------------

static wf_status reserve(correcting *c, const wf_backend_ops *below, size_t n)
{
    if (n <= c->n_numbers) return WF_OK;
    for (int i = 0; i < 2; i++) {
        if (c->device[i]) below->free(c->be, c->device[i]);
        free(c->host[i]);
        c->device[i] = NULL;
        c->host[i] = NULL;
    }
    c->n_numbers = n;
    for (int i = 0; i < 2; i++) {
        WF_TRY(below->alloc(c->be, n * sizeof(float), &c->device[i]));
        WF_TRY(wf_alloc(n, sizeof(float), &c->host[i]));
    }
    return WF_OK;
}

static void add_token(product *p, const float *y, const float *q)
{
    for (int64_t r = 0; r < p->slice.n_rows; r++) {
        sums *s = &p->rows[r];
        s->y += (double)y[r];
        s->q += (double)q[r];
        s->qq += (double)q[r] * (double)q[r];
        s->yq += (double)y[r] * (double)q[r];
    }
    p->n_tokens++;
}

static wf_status look(void *context, wf_backend *be, const wf_backend_ops *below, wf_stream *s,
                      const wf_gemm_args *a)
{
    correcting *c = context;
    product *p = c->products, *end = p + c->n;
    while (p < end && p->full != a->w)
        p++;
    if (p == end) return WF_OK;
    int64_t n_tokens = a->x.n_rows, n_rows = p->slice.n_rows;
    WF_TRY(reserve(c, below, (size_t)(n_tokens * n_rows)));
    for (int i = 0; i < 2; i++) {
        wf_matrix y = wf_matrix_of(c->device[i], WF_F32, n_tokens, n_rows);
        WF_TRY(below->gemm(be, s,
                           &(wf_gemm_args){.x = a->x, .w = i == 0 ? p->full : p->mixed, .y = y}));
        WF_TRY(wf_tap_download(be, below, s, y, c->host[i]));
    }
    for (int64_t t = 0; t < n_tokens; t++)
        add_token(p, c->host[0] + t * n_rows, c->host[1] + t * n_rows);
    return WF_OK;
}

static wf_status run(correcting *c, const wf_texts *texts, const atomic_int *stop)
{
    wf_tap tap;
    wf_tap_open(&tap, c->be, look, c);
    wf_status st = wf_evaluation_pass(c->be, c->full, texts, stop);
    wf_tap_close(&tap);
    return st;
}

// ---- solutions ----------------------------------------------------------------------------------

static void solve(const sums *s, int64_t n_tokens, bool has_bias, float *scale, float *offset)
{
    double n = (double)n_tokens, my = s->y / n, mq = s->q / n;
    double var = s->qq / n - (has_bias ? mq * mq : 0.0);
    double cov = s->yq / n - (has_bias ? my * mq : 0.0);
    double c = var > 1e-30 ? cov / var : 1.0;
    if (!(c > 0.5 && c < 2.0)) c = 1.0; // a row that says next to nothing
    *scale = (float)c;
    *offset = has_bias ? (float)(my - c * mq) : 0.0f;
}

// Where row r of a tensor lies in the product: pieces of parts follow each other.
static wf_status solve_part(const product *p, int i_part, int64_t *row, const wf_bias_plan *plan,
                            wf_correction *out)
{
    int64_t n = wf_slice_tensor_rows(&p->slice, i_part);
    bool has_bias = wf_bias_plan_has(plan, p->slice.part[i_part]->role);
    WF_TRY(wf_alloc((size_t)n, sizeof *out->scale, &out->scale));
    WF_TRY(wf_alloc((size_t)n, sizeof *out->offset, &out->offset));
    for (int k = 0; k < wf_slice_n_pieces(&p->slice, i_part); k++) {
        wf_piece piece = wf_slice_piece(&p->slice, i_part, k);
        for (int64_t r = 0; r < piece.n; r++)
            solve(&p->rows[*row + r], p->n_tokens, has_bias, &out->scale[piece.first + r],
                  &out->offset[piece.first + r]);
        *row += piece.n;
    }
    return WF_OK;
}

static wf_correction *correction_of(wf_corrections *all, const wf_quantize_matrix *m,
                                    const wf_slice *s, int i_part)
{
    char module[sizeof m->module];
    wf_slice_tensor_name(s, i_part, "", module, sizeof module);
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(m[i].module, module) == 0) return &all->of[i];
    return NULL;
}

static wf_status solve_all(const correcting *c, wf_corrections *out)
{
    wf_quantize_matrix *matrices = NULL;
    const wf_bias_plan plan = wf_bias_plan_of(&c->full->arch);
    WF_TRY(wf_quantize_matrices(&c->full->arch, c->recipe, &matrices, &out->n));
    wf_status st = wf_alloc(out->n + 1, sizeof *out->of, &out->of);
    for (size_t i = 0; i < c->n && st == WF_OK; i++) {
        const product *p = &c->products[i];
        int64_t row = 0;
        for (int part = 0; part < p->slice.n_parts && st == WF_OK; part++) {
            wf_correction *to = correction_of(out, matrices, &p->slice, part);
            if (to) st = solve_part(p, part, &row, &plan, to);
        }
    }
    free(matrices);
    return st;
}

wf_status wf_correct(wf_backend *be, const wf_model *full, const wf_model *mixed,
                     const wf_quantize_recipe *recipe, const wf_texts *texts,
                     const atomic_int *stop, wf_corrections *out)
{
    correcting c = {.full = full, .mixed = mixed, .recipe = recipe, .be = be};
    *out = (wf_corrections){0};
    wf_status st = find_products(&c);
    if (st == WF_OK) st = run(&c, texts, stop);
    if (st == WF_OK) st = solve_all(&c, out);
    for (int i = 0; i < 2; i++) {
        if (c.device[i]) be->ops->free(be, c.device[i]);
        free(c.host[i]);
    }
    for (size_t i = 0; i < c.n; i++)
        free(c.products[i].rows);
    free(c.products);
    return st;
}

void wf_corrections_free(wf_corrections *corrections)
{
    for (size_t i = 0; i < corrections->n && corrections->of; i++) {
        free(corrections->of[i].scale);
        free(corrections->of[i].offset);
    }
    free(corrections->of);
    *corrections = (wf_corrections){0};
}
