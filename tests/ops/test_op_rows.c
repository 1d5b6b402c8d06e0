// token_ids, gather, scatter, reorder, kv_copy and count against ref, all exact.
#include "tests/ops/op_test.h"

#include "kernels/sampling.h"

#define N_OF(array) ((int32_t)(sizeof(array) / sizeof *(array)))

static const op_seq seqs[] = {{9, 1}, {63, 1}, {0, 5}, {4, 9}};

// Runs `work` on both back ends and compares the `bytes` it leaves.
typedef void (*row_work)(wf_backend *be, void *out);

static void expect_same(row_work work, size_t bytes)
{
    char *got = malloc(bytes), *want = malloc(bytes);
    assert_true(got != NULL && want != NULL);
    work(op.ref, want);
    work(op.be, got);
    assert_memory_equal(got, want, bytes);
    free(got);
    free(want);
}

static void work_token_ids(wf_backend *be, void *out)
{
    int32_t host_ids[16], last[OP_MAX_SEQS];
    for (int i = 0; i < 16; i++)
        host_ids[i] = i < 2 ? -1 : 100 + i;
    for (int i = 0; i < OP_MAX_SEQS; i++)
        last[i] = 1000 + i;
    wf_batch *b = op_batch(be, seqs, N_OF(seqs), 1, 16);
    assert_int_equal(b->n_tokens, 16);
    wf_token_ids_args a = {.batch = b,
                           .host_ids = op_put(be, host_ids, sizeof host_ids),
                           .last_token = op_put(be, last, sizeof last),
                           .ids = op_put(be, host_ids, sizeof host_ids)};
    op_ok(be->ops->token_ids(be, NULL, &a));
    op_get(be, out, a.ids, sizeof host_ids);
}

static void token_ids(void **state)
{
    (void)state;
    int32_t ids[16];
    work_token_ids(op.be, ids);
    assert_true(ids[0] >= 1000 && ids[1] >= 1000 && ids[0] != ids[1]);
    assert_int_equal(ids[2], 102);
    assert_int_equal(ids[15], 115);
    expect_same(work_token_ids, sizeof ids);
}

static void gathers(void **state)
{
    (void)state;
    const int32_t index[] = {4, 0, 4, 2, 19, 7};
    wf_backend *backs[2] = {op.be, op.ref};
    op_tensor y[2];
    for (int i = 0; i < 2; i++) {
        wf_dtype act = i == 0 ? op.act : WF_F32;
        op_tensor x = op_matrix(backs[i], act, 20, 37, 3, 81);
        y[i] = op_matrix(backs[i], act, N_OF(index), 37, 1, 0);
        wf_gather_args a = {x.view, op_put(backs[i], index, sizeof index), y[i].view};
        op_ok(backs[i]->ops->gather(backs[i], NULL, &a));
    }
    op_expect_close(&y[0], &y[1], 0.0, 0.0);
    for (int64_t j = 0; j < 37; j++)
        assert_true(y[1].values[j] == op_random(81, 4 * 37 + j, op.act));
}

#define N_ROWS    12
#define ROW_WORDS 5

static void fill(int32_t *words, int32_t n, int32_t first)
{
    for (int32_t i = 0; i < n; i++)
        words[i] = first + i;
}

static void work_scatter(wf_backend *be, void *out)
{
    int32_t dst[N_ROWS * ROW_WORDS], src[3 * ROW_WORDS];
    const int32_t index[] = {11, 0, 6};
    fill(dst, N_OF(dst), 0);
    fill(src, N_OF(src), 1000);
    wf_scatter_args a = {.dst = op_put(be, dst, sizeof dst),
                         .src = op_put(be, src, sizeof src),
                         .index = op_put(be, index, sizeof index),
                         .n = 3,
                         .row_bytes = ROW_WORDS * sizeof(int32_t)};
    op_ok(be->ops->scatter(be, NULL, &a));
    op_get(be, out, a.dst, sizeof dst);
}

static void scatters(void **state)
{
    (void)state;
    int32_t rows[N_ROWS * ROW_WORDS];
    work_scatter(op.be, rows);
    assert_int_equal(rows[11 * ROW_WORDS], 1000);
    assert_int_equal(rows[6 * ROW_WORDS + 4], 1014);
    assert_int_equal(rows[1 * ROW_WORDS], ROW_WORDS);
    expect_same(work_scatter, sizeof rows);
}

// Moves {from, to}: into holes, a swap, a chain that overwrites what a later move reads, none.
static const struct {
    int32_t n, from[4], to[4];
} moves[] = {
    {2, {11, 10}, {3, 0}}, {2, {1, 2}, {2, 1}}, {4, {0, 1, 2, 3}, {1, 2, 3, 4}}, {0, {0}, {0}}};
static int i_moves;

static void work_reorder(wf_backend *be, void *out)
{
    int32_t wide[N_ROWS * ROW_WORDS], narrow[N_ROWS];
    fill(wide, N_OF(wide), 0);
    fill(narrow, N_OF(narrow), 500);
    wf_row_array arrays[2] = {{op_put(be, wide, sizeof wide), ROW_WORDS * sizeof(int32_t)},
                              {op_put(be, narrow, sizeof narrow), sizeof(int32_t)}};
    wf_reorder_args a = {.arrays = arrays,
                         .n_arrays = 2,
                         .n_moves = moves[i_moves].n,
                         .from = op_put(be, moves[i_moves].from, sizeof moves[i_moves].from),
                         .to = op_put(be, moves[i_moves].to, sizeof moves[i_moves].to)};
    op_ok(be->ops->reorder(be, NULL, &a));
    op_get(be, out, arrays[0].data, sizeof wide);
    op_get(be, (char *)out + sizeof wide, arrays[1].data, sizeof narrow);
}

static void reorders(void **state)
{
    (void)state;
    int32_t rows[N_ROWS * (ROW_WORDS + 1)];
    for (i_moves = 0; i_moves < N_OF(moves); i_moves++) {
        work_reorder(op.be, rows);
        for (int32_t m = 0; m < moves[i_moves].n; m++) {
            assert_int_equal(rows[moves[i_moves].to[m] * ROW_WORDS],
                             moves[i_moves].from[m] * ROW_WORDS);
            assert_int_equal(rows[N_ROWS * ROW_WORDS + moves[i_moves].to[m]],
                             500 + moves[i_moves].from[m]);
        }
        expect_same(work_reorder, sizeof rows);
    }
}

#define KV_LAYERS 3
#define KV_PAGES  7
#define KV_WORDS  40

static void work_kv_copy(wf_backend *be, void *out)
{
    int32_t pool[KV_LAYERS * KV_PAGES * KV_WORDS];
    const int32_t from[] = {6, 4}, to[] = {0, 3};
    fill(pool, N_OF(pool), 0);
    wf_kv_copy_args a = {.pool = op_put(be, pool, sizeof pool),
                         .layer_bytes = KV_PAGES * KV_WORDS * sizeof(int32_t),
                         .page_bytes = KV_WORDS * sizeof(int32_t),
                         .n_layers = KV_LAYERS,
                         .n_pages = 2,
                         .from = op_put(be, from, sizeof from),
                         .to = op_put(be, to, sizeof to)};
    op_ok(be->ops->kv_copy(be, NULL, &a));
    op_get(be, out, a.pool, sizeof pool);
}

static void copies_pages(void **state)
{
    (void)state;
    int32_t pool[KV_LAYERS * KV_PAGES * KV_WORDS];
    work_kv_copy(op.be, pool);
    assert_int_equal(pool[0], 6 * KV_WORDS);
    assert_int_equal(pool[(2 * KV_PAGES + 3) * KV_WORDS + 39], (2 * KV_PAGES + 4) * KV_WORDS + 39);
    expect_same(work_kv_copy, sizeof pool);
}

#define VOCAB  11
#define STRIDE 14

// A sequence joins where the plan says so: one that shares pages begins beyond position 0.
static const int32_t joins[N_OF(seqs)] = {0, 0, 1, 1};

static void work_count(wf_backend *be, void *out)
{
    int32_t ids[16];
    wf_row_sampling sampling[OP_MAX_SEQS];
    uint16_t counts[OP_MAX_SEQS * STRIDE] = {0};
    memset(sampling, 0, sizeof sampling);
    for (int i = 0; i < 16; i++)
        ids[i] = i == 7 ? -1 : i == 8 ? VOCAB : i * i % VOCAB;
    for (int i = 0; i < OP_MAX_SEQS; i++) {
        sampling[i].prompt_len = 7;
        for (int v = 0; v < STRIDE; v++) // near the end of what counts can hold
            counts[i * STRIDE + v] = (uint16_t)(0x7ffd + v % 3);
    }
    wf_batch *b = op_batch(be, seqs, N_OF(seqs), 1, 16);
    b->seq_join = op_put(be, joins, sizeof joins);
    wf_count_args a = {.batch = b,
                       .ids = op_put(be, ids, sizeof ids),
                       .sampling = op_put(be, sampling, sizeof sampling),
                       .counts = op_put(be, counts, sizeof counts),
                       .counts_stride = STRIDE,
                       .n_vocab = VOCAB};
    for (int i = 0; i < 3; i++)
        op_ok(be->ops->count(be, NULL, &a));
    op_get(be, out, a.counts, sizeof counts);
}

static void counts(void **state)
{
    (void)state;
    uint16_t words[OP_MAX_SEQS * STRIDE];
    work_count(op.be, words);
    // seqs[2] and seqs[3] join, at positions 0 and 4: their rows were cleared, then ids counted.
    wf_batch *b = op_batch(op.be, seqs, N_OF(seqs), 1, 16);
    int32_t row[4], n_marked = 0;
    op_get(op.be, row, b->seq_row, sizeof row);
    for (int v = 0; v < STRIDE; v++) {
        assert_true(words[row[2] * STRIDE + v] == 0 || words[row[2] * STRIDE + v] == 0x8000);
        n_marked += words[row[2] * STRIDE + v] != 0;
    }
    assert_true(n_marked > 0);
    for (int v = VOCAB; v < STRIDE; v++) {
        assert_int_equal(words[row[3] * STRIDE + v], 0);
        assert_int_not_equal(words[row[1] * STRIDE + v], 0);
    }
    expect_same(work_count, sizeof words);
}

static void count_words(void **state)
{
    (void)state;
    assert_int_equal(wf_sample_count(0, true), 0x8000);
    assert_int_equal(wf_sample_count(0x8000, true), 0x8000);
    assert_int_equal(wf_sample_count(0x8000, false), 0x8001);
    assert_int_equal(wf_sample_count(0x7fff, false), 0x7fff);
    assert_int_equal(wf_sample_count(0xffff, false), 0xffff);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_ids),   cmocka_unit_test(gathers),      cmocka_unit_test(scatters),
        cmocka_unit_test(reorders),    cmocka_unit_test(copies_pages), cmocka_unit_test(counts),
        cmocka_unit_test(count_words),
    };
    return OP_MAIN(argc, argv, tests);
}
