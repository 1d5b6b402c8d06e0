// The CPU back end's promise: the bits of a row depend on the row, not on who shares its batch, how
// a prompt is cut, how many threads work, how big pages are or which instruction set is used.
#include <stdio.h>

#include "tests/ops/op_test.h"

static const char *const isas[] = {"avx512", "avx2", "portable"};
#define N_ISAS 3

// The back end with these settings, as op.be; NULL where the machine lacks the instruction set.
static wf_backend *use(const char *isa, int n_threads)
{
    wf_backend_config config = {.n_threads = n_threads, .isa = isa};
    op.act = WF_F32;
    if (wf_backend_create("cpu", &config, &op.be) != WF_OK) return NULL;
    return op.be;
}

static void finish(void)
{
    op_release();
    wf_backend_destroy(op.be);
    op.be = NULL;
}

typedef struct gemm_shape {
    int64_t m, n, k;
    wf_dtype dtype;
} gemm_shape;

static const gemm_shape shapes[] = {
    {70, 45, 37, WF_F32},     {37, 130, 600, WF_BF16},  {25, 77, 515, WF_F16},
    {120, 500, 300, WF_BF16}, {13, 900, 1100, WF_BF16},
};

// Rows [begin, end) of the shape's matrix in one call, into y [m][n].
static void gemm_rows(const gemm_shape *s, int64_t begin, int64_t end, float *y)
{
    op_tensor x = op_matrix(op.be, WF_F32, s->m, s->k, 1, 3), out;
    out = op_matrix(op.be, WF_F32, end - begin, s->n, 1, 0);
    wf_gemm_args a = {.x = x.view,
                      .w = op_weight(op.be, s->dtype, s->n, s->k, 4),
                      .bias = op_vector(op.be, s->n, 5, 0.0f),
                      .y = out.view};
    a.x.data = (float *)x.view.data + begin * x.view.stride;
    a.x.n_rows = end - begin;
    op_ok(op.be->ops->gemm(op.be, NULL, &a));
    memcpy(y + begin * s->n, op_read(&out), (size_t)((end - begin) * s->n) * sizeof *y);
    op_release();
}

static void gemm_rows_stand_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const gemm_shape *s = &shapes[i];
        size_t bytes = (size_t)(s->m * s->n) * sizeof(float);
        float *want = malloc(bytes), *got = malloc(bytes);
        assert_true(want != NULL && got != NULL);
        assert_non_null(use("portable", 1));
        gemm_rows(s, 0, s->m, want);
        finish();
        for (int v = 0; v < N_ISAS * 3; v++) {
            if (use(isas[v / 3], v % 3 + 1) == NULL) continue;
            gemm_rows(s, 0, s->m, got); // all at once
            op_expect_same_bits(got, want, s->m * s->n);
            for (int64_t m = 0, step = 1; m < s->m; m += step, step = step % 14 + 1) {
                int64_t end = m + step < s->m ? m + step : s->m; // 1, 2, 3 ... rows at a time
                gemm_rows(s, m, end, got);
            }
            op_expect_same_bits(got, want, s->m * s->n);
            finish();
        }
        free(want);
        free(got);
    }
}

// The sequences a prompt of 200 tokens can be fed as, and strangers beside it.
typedef struct feeding {
    int32_t n_chunks, chunks[5]; // the prompt's tokens, in this order
    int32_t n_beside;            // decode rows of other requests in the same steps
    int32_t page_tokens;
} feeding;

static const feeding feedings[] = {
    {1, {200}, 0, 64},        {2, {64, 136}, 0, 64},      {5, {1, 62, 2, 134, 1}, 2, 64},
    {3, {100, 1, 99}, 1, 16}, {4, {5, 65, 97, 33}, 3, 7}, {1, {200}, 3, 1},
};
#define PROMPT    200
#define MAX_WIDTH 432 // heads * head_dim

typedef struct attention_kind {
    int32_t n_heads, n_kv_heads, head_dim;
    wf_dtype dtype;
    int32_t window;
    bool bent; // a cap, sinks and slopes
} attention_kind;

// Decode rows of 1, 2, 3, 4 and 5 heads to a KV head, head sizes of whole vectors and not.
static const attention_kind kinds[] = {
    {6, 2, 32, WF_BF16, 0, false}, {8, 2, 32, WF_BF16, 0, false},  {4, 4, 64, WF_F16, 0, false},
    {4, 2, 96, WF_F32, 0, false},  {6, 2, 72, WF_F32, 0, false},   {5, 1, 24, WF_F16, 0, false},
    {8, 2, 32, WF_BF16, 70, true}, {4, 4, 64, WF_F16, 128, false}, {5, 1, 24, WF_F16, 9, true},
    {8, 2, 32, WF_FP8, 0, false},  {4, 4, 64, WF_INT8, 0, false},  {6, 2, 72, WF_FP8, 0, false},
    {5, 1, 24, WF_FP8, 9, true},   {8, 2, 32, WF_INT8, 70, true},
};

// One step: tokens [past, past + n_new) of the prompt as sequence `n_beside`, after that many
// decode rows. The prompt's own K and V come from op_kv, so they are there before the step.
static void attend(const feeding *f, const attention_kind *kind, int32_t past, int32_t n_new,
                   float *out)
{
    op_seq seqs[OP_MAX_SEQS], filled[OP_MAX_SEQS];
    int32_t n = f->n_beside + 1, first_id = 8 - f->n_beside; // the prompt's id is always 8
    for (int32_t s = 0; s < f->n_beside; s++)
        seqs[s] = filled[s] = (op_seq){40 + 50 * s, 1};
    for (int32_t s = 0; s < f->n_beside; s++)
        filled[s].past++;
    seqs[n - 1] = (op_seq){past, n_new};
    filled[n - 1] = (op_seq){past + n_new, 0};
    wf_batch *b = op_batch(op.be, seqs, n, first_id, f->page_tokens);
    wf_kv kv = op_kv(op.be, kind->dtype, f->page_tokens, kind->n_kv_heads, kind->head_dim, filled,
                     n, first_id);
    int64_t n_cols = kind->n_heads * kind->head_dim;
    op_tensor q = op_matrix(op.be, WF_F32, b->n_tokens, n_cols, 0, 6);
    for (int32_t i = 0; i < n_new; i++) // the prompt's queries depend on their position alone
        for (int64_t j = 0; j < n_cols; j++)
            ((float *)q.view.data)[(f->n_beside + i) * n_cols + j] =
                5.0f * op_random(9, (past + i) * n_cols + j, WF_F32);
    op_tensor o = op_matrix(op.be, WF_F32, b->n_tokens, n_cols, 0, 0);
    wf_attention_args a = {.batch = b,
                           .qkv = q.view,
                           .n_heads = kind->n_heads,
                           .scale = 0.2f,
                           .kv = kv,
                           .out = o.view,
                           .window = kind->window};
    if (kind->bent) {
        a.softcap = 3.0f;
        a.sinks = op_vector(op.be, kind->n_heads, 76, 0.5f);
        a.slopes = op_vector(op.be, kind->n_heads, 77, 1.0f);
    }
    op_ok(op.be->ops->attention(op.be, NULL, &a));
    memcpy(out + past * n_cols, op_read(&o) + f->n_beside * n_cols,
           (size_t)(n_new * n_cols) * sizeof *out);
    op_release();
}

static void attention_rows_stand_alone(void **state)
{
    (void)state;
    static float want[PROMPT * MAX_WIDTH], got[PROMPT * MAX_WIDTH];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int64_t n_values = PROMPT * kinds[k].n_heads * kinds[k].head_dim;
        assert_non_null(use("portable", 1));
        attend(&feedings[0], &kinds[k], 0, PROMPT, want);
        finish();
        for (int v = 0; v < N_ISAS; v++) {
            if (use(isas[v], 1 + v % 2) == NULL) continue;
            for (size_t i = 0; i < sizeof feedings / sizeof *feedings; i++) {
                memset(got, 0, sizeof got);
                for (int32_t c = 0, past = 0; c < feedings[i].n_chunks; c++) {
                    attend(&feedings[i], &kinds[k], past, feedings[i].chunks[c], got);
                    past += feedings[i].chunks[c];
                }
                op_expect_same_bits(got, want, n_values);
            }
            finish();
        }
    }
}

// Latent attention and the products of its heads, fed in the same ways.
enum { LATENT_HEADS = 5, LATENT_ROW = 44, LATENT_RANK = 36, LATENT_V = 7 };

static void attend_latent(const feeding *f, int32_t past, int32_t n_new, float *out)
{
    op_seq seqs[OP_MAX_SEQS], filled[OP_MAX_SEQS];
    int32_t n = f->n_beside + 1, first_id = 8 - f->n_beside; // the prompt's id is always 8
    for (int32_t s = 0; s < f->n_beside; s++) {
        seqs[s] = (op_seq){40 + 50 * s, 1};
        filled[s] = (op_seq){seqs[s].past + 1, 1};
    }
    seqs[n - 1] = (op_seq){past, n_new};
    filled[n - 1] = (op_seq){past + n_new, 0};
    wf_batch *b = op_batch(op.be, seqs, n, first_id, f->page_tokens);
    wf_kv kv = op_kv(op.be, WF_BF16, f->page_tokens, 1, LATENT_ROW, filled, n, first_id);
    int64_t n_cols = LATENT_HEADS * LATENT_ROW, n_out = LATENT_HEADS * LATENT_V;
    op_tensor q = op_matrix(op.be, WF_F32, b->n_tokens, n_cols, 0, 6);
    for (int32_t i = 0; i < n_new; i++)
        for (int64_t j = 0; j < n_cols; j++)
            ((float *)q.view.data)[(f->n_beside + i) * n_cols + j] =
                5.0f * op_random(9, (past + i) * n_cols + j, WF_F32);
    op_tensor latent = op_matrix(op.be, WF_F32, b->n_tokens, LATENT_HEADS * LATENT_RANK, 0, 0);
    op_tensor heads = op_matrix(op.be, WF_F32, b->n_tokens, n_out, 0, 0);
    op_ok(op.be->ops->latent_attention(op.be, NULL,
                                       &(wf_latent_attention_args){.batch = b,
                                                                   .q = q.view,
                                                                   .n_heads = LATENT_HEADS,
                                                                   .rank = LATENT_RANK,
                                                                   .scale = 0.2f,
                                                                   .kv = kv,
                                                                   .out = latent.view}));
    op_ok(op.be->ops->heads_gemm(op.be, NULL,
                                 &(wf_heads_gemm_args){.x = latent.view,
                                                       .x_step = LATENT_RANK,
                                                       .y_step = LATENT_V,
                                                       .w = op_weights(op.be, WF_BF16, LATENT_HEADS,
                                                                       LATENT_V, LATENT_RANK, 11),
                                                       .y = heads.view}));
    memcpy(out + past * n_out, op_read(&heads) + f->n_beside * n_out,
           (size_t)(n_new * n_out) * sizeof *out);
    op_release();
}

static void latent_rows_stand_alone(void **state)
{
    (void)state;
    static float want[PROMPT * LATENT_HEADS * LATENT_V], got[PROMPT * LATENT_HEADS * LATENT_V];
    assert_non_null(use("portable", 1));
    attend_latent(&feedings[0], 0, PROMPT, want);
    finish();
    for (int v = 0; v < N_ISAS; v++) {
        if (use(isas[v], 1 + v % 2) == NULL) continue;
        for (size_t i = 0; i < sizeof feedings / sizeof *feedings; i++) {
            for (int32_t c = 0, past = 0; c < feedings[i].n_chunks; c++) {
                attend_latent(&feedings[i], past, feedings[i].chunks[c], got);
                past += feedings[i].chunks[c];
            }
            op_expect_same_bits(got, want, PROMPT * LATENT_HEADS * LATENT_V);
        }
        finish();
    }
}

// Norms, activations and rotation: rows shared by threads, and every instruction set.
static void row_results(float *out)
{
    enum { M = 300, N = 200 };
    op_tensor x = op_matrix(op.be, WF_F32, M, N, 0, 3), r = op_matrix(op.be, WF_F32, M, N, 0, 4);
    op_tensor y = op_matrix(op.be, WF_F32, M, N, 0, 0),
              z = op_matrix(op.be, WF_F32, M, N / 2, 0, 0);
    const float *w = op_vector(op.be, N, 5, 1.0f);
    wf_rmsnorm_args rms = {x.view, r.view, w, 1e-6f, y.view, 0.0f};
    op_ok(op.be->ops->rmsnorm(op.be, NULL, &rms));
    memcpy(out, op_read(&y), M * N * sizeof *out);
    wf_layernorm_args layer = {x.view, r.view, w, w, 1e-6f, y.view, 0.0f};
    op_ok(op.be->ops->layernorm(op.be, NULL, &layer));
    memcpy(out + M * N, op_read(&y), M * N * sizeof *out);
    wf_activation_args gelu = {.x = x.view, .y = y.view, .curve = WF_CURVE_GELU_TANH};
    wf_activation_args silu = {.x = x.view, .y = z.view};
    op_ok(op.be->ops->activate(op.be, NULL, &gelu));
    memcpy(out + 2 * M * N, op_read(&y), M * N * sizeof *out);
    op_ok(op.be->ops->gate_mul(op.be, NULL, &silu));
    memcpy(out + 3 * M * N, op_read(&z), M * N / 2 * sizeof *out);
    op_seq seq = {3, 40};
    wf_batch *b = op_batch(op.be, &seq, 1, 1, 16);
    wf_kv kv = op_kv(op.be, WF_F16, 16, 1, 40, &seq, 1, 1);
    op_tensor qkv = op_matrix(op.be, WF_F32, 40, 160, 0, 8);
    wf_rope_args rope = {.batch = b,
                         .qkv = qkv.view,
                         .n_heads = 2,
                         .rotary_dim = 40,
                         .cos = op_vector(op.be, 43 * 20, 9, 0.0f),
                         .sin = op_vector(op.be, 43 * 20, 10, 0.0f),
                         .kv = kv};
    op_ok(op.be->ops->rope_kv_append(op.be, NULL, &rope));
    memcpy(out + 3 * M * N + M * N / 2, op_read(&qkv), 40 * 160 * sizeof *out);
    gelu.curve = WF_CURVE_GELU_EXACT;
    op_ok(op.be->ops->activate(op.be, NULL, &gelu));
    memcpy(out + 3 * M * N + M * N / 2 + 40 * 160, op_read(&y), M * N * sizeof *out);
    op_release();
}

static void row_operations_agree(void **state)
{
    (void)state;
    enum { N_VALUES = 300 * 200 * 4 + 300 * 100 + 40 * 160 };
    static float want[N_VALUES], got[N_VALUES];
    assert_non_null(use("portable", 1));
    row_results(want);
    finish();
    for (int v = 0; v < N_ISAS * 2; v++) {
        if (use(isas[v / 2], v % 2 + 1) == NULL) continue;
        row_results(got);
        op_expect_same_bits(got, want, N_VALUES);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_rows_stand_alone),
        cmocka_unit_test(attention_rows_stand_alone),
        cmocka_unit_test(latent_rows_stand_alone),
        cmocka_unit_test(row_operations_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
