// packed_attention, pool and unit_rows against ref; rotation without a cache; segments' types.
#include "tests/ops/op_test.h"

typedef struct packed_case {
    int32_t n_heads, n_kv_heads, head_dim;
    int32_t window, bias_reach; // reach -1: no bias
    int32_t n_seqs;
    int32_t n[6];
} packed_case;

static const packed_case cases[] = {
    {1, 1, 8, 0, -1, 1, {1}},
    {2, 2, 16, 0, -1, 3, {1, 17, 3}},
    {3, 3, 32, 0, -1, 4, {5, 64, 1, 65}},
    {12, 12, 64, 0, -1, 5, {7, 64, 63, 1, 130}},
    {4, 2, 64, 0, -1, 2, {129, 300}},
    {2, 1, 128, 0, -1, 3, {33, 31, 100}},
    {2, 2, 40, 0, -1, 2, {20, 97}},
    {4, 4, 64, 5, -1, 3, {3, 70, 200}},
    {2, 2, 64, 64, -1, 2, {64, 260}},
    {4, 4, 32, 0, 20, 3, {10, 90, 1}},
    {2, 2, 64, 0, 128, 2, {300, 5}},
    {1, 1, 256, 3, 2, 2, {9, 40}},
    {3, 1, 10, 0, 1, 2, {100, 2}},
};
#define N_CASES (sizeof cases / sizeof *cases)

static wf_batch *batch_of(wf_backend *be, const packed_case *c, int32_t first)
{
    op_seq seqs[6];
    for (int32_t i = first; i < c->n_seqs; i++)
        seqs[i] = (op_seq){0, c->n[i]};
    return op_batch(be, seqs + first, c->n_seqs - first, 1, 64);
}

static void attend(wf_backend *be, const packed_case *c, const wf_batch *b, wf_matrix qkv,
                   wf_matrix out)
{
    int64_t reach = c->bias_reach;
    const float *bias = reach >= 0 ? op_vector(be, c->n_heads * (2 * reach + 1), 84, 0.0f) : NULL;
    wf_packed_attention_args a = {.batch = b,
                                  .qkv = qkv,
                                  .n_heads = c->n_heads,
                                  .n_kv_heads = c->n_kv_heads,
                                  .head_dim = c->head_dim,
                                  .scale = 3.0f / sqrtf((float)c->head_dim),
                                  .window = c->window,
                                  .bias = bias,
                                  .bias_reach = bias ? c->bias_reach : 0,
                                  .out = out};
    op_ok(be->ops->packed_attention(be, NULL, &a));
}

static int64_t n_cols_of(const packed_case *c)
{
    return (int64_t)(c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
}

static void attention(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    for (size_t k = 0; k < N_CASES; k++)
        for (int pad = 0; pad <= 8; pad += 4) { // rows that 16 bytes divide, and not
            op_tensor out[2];
            for (int i = 0; i < 2; i++) {
                wf_dtype act = i == 0 ? op.act : WF_F32;
                wf_batch *b = batch_of(backs[i], &cases[k], 0);
                op_tensor qkv = op_matrix(backs[i], op.act == act ? act : WF_F32, b->n_tokens,
                                          n_cols_of(&cases[k]), pad, 81);
                out[i] = op_matrix(backs[i], act, b->n_tokens,
                                   (int64_t)cases[k].n_heads * cases[k].head_dim, 2, 0);
                attend(backs[i], &cases[k], b, qkv.view, out[i].view);
            }
            op_expect_close(&out[0], &out[1], op.act == WF_F32 ? 4e-6 : 1e-2, 4e-6);
            op_release();
        }
}

// A sequence alone gives the bits that it gives behind others.
static void company(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_CASES; k++) {
        const packed_case *c = &cases[k];
        int64_t width = (int64_t)c->n_heads * c->head_dim;
        wf_batch *all = batch_of(op.be, c, 0), *last = batch_of(op.be, c, c->n_seqs - 1);
        op_tensor qkv = op_matrix(op.be, op.act, all->n_tokens, n_cols_of(c), 0, 82), one = qkv;
        op_tensor out = op_matrix(op.be, op.act, all->n_tokens, width, 0, 0);
        op_tensor alone = op_matrix(op.be, op.act, last->n_tokens, width, 0, 0);
        int64_t before = all->n_tokens - last->n_tokens;
        one.view.data =
            (char *)qkv.view.data + (size_t)(before * qkv.view.stride) * wf_dtype_bytes(op.act);
        one.view.n_rows = last->n_tokens;
        attend(op.be, c, all, qkv.view, out.view);
        attend(op.be, c, last, one.view, alone.view);
        const float *whole = op_read(&out);
        if (op.act == WF_F32) // on GPUs the longest row chooses the kernel
            op_expect_same_bits(op_read(&alone), whole + before * width, last->n_tokens * width);
        op_release();
    }
}

static const int32_t firsts[] = {0, 1, 4, 5}, lasts[] = {0, 3, 4, 31};

static void pools(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    for (int pooling = 0; pooling < WF_N_POOLINGS; pooling++)
        for (int64_t width = 1; width <= 700; width = width * 9 + 5)
            for (int f32 = 0; f32 < 2; f32++) {
                op_tensor y[2];
                for (int i = 0; i < 2; i++) {
                    wf_dtype act = i == 0 ? op.act : WF_F32;
                    op_tensor x = op_matrix(backs[i], act, 32, width, 3, 83);
                    y[i] = op_matrix(backs[i], f32 ? WF_F32 : act, 4, width, 1, 0);
                    wf_pool_args a = {.x = x.view,
                                      .first = op_put(backs[i], firsts, sizeof firsts),
                                      .last = op_put(backs[i], lasts, sizeof lasts),
                                      .pooling = (wf_pooling)pooling,
                                      .y = y[i].view};
                    op_ok(backs[i]->ops->pool(backs[i], NULL, &a));
                }
                op_expect_close(&y[0], &y[1], 2e-7, 1e-6);
                op_release();
            }
}

static void units(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    for (int64_t width = 1; width <= 5000; width = width * 7 + 3)
        for (int plain = 0; plain < 2; plain++) {
            op_tensor y[2];
            for (int i = 0; i < 2; i++) {
                op_tensor x = op_matrix(backs[i], i == 0 ? op.act : WF_F32, 3, width, 2, 85);
                y[i] = op_matrix(backs[i], WF_F32, 3, width, 5, 0);
                wf_unit_rows_args a = {.x = x.view, .plain = plain, .y = y[i].view};
                op_ok(backs[i]->ops->unit_rows(backs[i], NULL, &a));
            }
            op_expect_close(&y[0], &y[1], 1e-7, 2e-6);
            op_release();
        }
}

static void rotation(void **state)
{
    (void)state;
    wf_backend *backs[2] = {op.be, op.ref};
    const packed_case *c = &cases[4];
    op_tensor qkv[2];
    for (int i = 0; i < 2; i++) {
        wf_batch *b = batch_of(backs[i], c, 0);
        int64_t n_table = (int64_t)b->max_context * (c->head_dim / 2);
        qkv[i] = op_matrix(backs[i], i == 0 ? op.act : WF_F32, b->n_tokens, n_cols_of(c), 0, 86);
        wf_rope_args a = {.batch = b,
                          .qkv = qkv[i].view,
                          .n_heads = c->n_heads,
                          .rotary_dim = c->head_dim,
                          .cos = op_vector(backs[i], n_table, 72, 0.0f),
                          .sin = op_vector(backs[i], n_table, 73, 0.0f),
                          .kv = {.n_kv_heads = c->n_kv_heads, .head_dim = c->head_dim}};
        op_ok(backs[i]->ops->rope_kv_append(backs[i], NULL, &a));
    }
    op_expect_close(&qkv[0], &qkv[1], 3e-7, 1e-6);
    op_release();
}

static void segments(void **state)
{
    (void)state;
    static const int32_t ids[] = {3, 0, 19, 7, 7}, pos[] = {0, 1, 2, 0, 1},
                         type[] = {0, 1, 1, 0, 1};
    wf_backend *backs[2] = {op.be, op.ref};
    for (int typed = 0; typed < 2; typed++) {
        op_tensor y[2];
        for (int i = 0; i < 2; i++) {
            y[i] = op_matrix(backs[i], i == 0 ? op.act : WF_F32, 5, 37, 3, 0);
            wf_embed_args a = {.ids = op_put(backs[i], ids, sizeof ids),
                               .table = op_weight(backs[i], op.act, 20, 37, 91),
                               .y = y[i].view,
                               .positions = op_weight(backs[i], op.act, 9, 37, 92),
                               .pos = op_put(backs[i], pos, sizeof pos),
                               .first_position = 2,
                               .types = op_weight(backs[i], op.act, 2, 37, 93),
                               .type = typed ? op_put(backs[i], type, sizeof type) : NULL};
            op_ok(backs[i]->ops->embed(backs[i], NULL, &a));
        }
        op_expect_close(&y[0], &y[1], 1e-6, 1e-6);
        op_release();
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention), cmocka_unit_test(company),  cmocka_unit_test(pools),
        cmocka_unit_test(units),     cmocka_unit_test(rotation), cmocka_unit_test(segments),
    };
    return OP_MAIN(argc, argv, tests);
}
