// The measuring table: counts calls, bytes and operations of what goes through it, and gives the
// back end's own table back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/profile.h"
#include "kernels/profile_cost.h"

enum { M = 6, N = 48, K = 64 };

static void ok(wf_status st)
{
    if (st != WF_OK) fail_msg("%s: %s", wf_status_name(st), wf_error());
}

static void *buffer(wf_backend *be, size_t bytes)
{
    void *data;
    ok(be->ops->alloc(be, bytes, &data));
    return data;
}

// The table's text, as people or programs read it.
static void read_table(wf_profile *p, wf_status (*write)(wf_profile *p, FILE *file), char out[8192])
{
    FILE *file = tmpfile();
    assert_non_null(file);
    ok(write(p, file));
    rewind(file);
    out[fread(out, 1, 8191, file)] = '\0';
    fclose(file);
}

static void expect_near(double got, double want)
{
    if (!(got > want * 0.99 && got < want * 1.01)) fail_msg("%g, expected %g", got, want);
}

static void counts_what_goes_through(void **state)
{
    (void)state;
    wf_backend *be;
    wf_profile *p;
    wf_weight *w;
    wf_backend_config config = {.n_threads = 1, .numerics = wf_numerics_of(WF_F32)};
    ok(wf_backend_create("cpu", &config, &be));
    const wf_backend_ops *own = be->ops;
    ok(wf_profile_start(be, &p));
    assert_ptr_not_equal(be->ops, own);
    assert_null(be->ops->capture_begin); // a replay would hide its operations
    const wf_weight_shape shape = {.dtype = WF_F32, .n_groups = 1, .n_rows = N, .n_cols = K};
    ok(be->ops->weight_create(be, &shape, &w));
    ok(be->ops->weight_random(be, w, 3, 1.0f));
    float *x = buffer(be, M * K * 4), *y = buffer(be, M * N * 4);
    wf_batch batch = {.n_tokens = M, .n_seqs = M, .n_decode = M};
    int32_t ids[M] = {1, 1, 1, 1, 1, 1}, out[M];
    ok(be->ops->token_ids(be, NULL,
                          &(wf_token_ids_args){.batch = &batch, .host_ids = ids, .ids = out}));
    wf_gemm_args a = {
        .x = wf_matrix_of(x, WF_F32, M, K), .w = w, .y = wf_matrix_of(y, WF_F32, M, N)};
    for (int i = 0; i < 4; i++) // the first with this many rows is not counted
        ok(be->ops->gemm(be, NULL, &a));
    char csv[8192], table[8192];
    read_table(p, wf_profile_write_csv, csv);
    read_table(p, wf_profile_print, table);
    const char *line = strstr(csv, "gemm,48x64,decode,3,");
    assert_non_null(line);
    double ms, share, us, gb, gflop, gb_s, tflop_s, of_limit;
    assert_int_equal(sscanf(line, "gemm,48x64,decode,3,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &ms,
                            &share, &us, &gb, &gflop, &gb_s, &tflop_s, &of_limit),
                     8);
    assert_true(ms > 0.0 && share > 99.0 && us > 0.0);
    expect_near(gflop, 3.0 * 2.0 * M * N * K * 1e-9);
    expect_near(gb, 3.0 * 4.0 * (M * K + N * K + M * N) * 1e-9);
    assert_true(of_limit > 0.0);
    assert_non_null(strstr(csv, "limit,"));
    assert_null(strstr(csv, "token_ids")); // called once
    assert_non_null(strstr(table, "48x64"));
    assert_non_null(strstr(table, "limits measured here"));
    wf_profile_stop(p);
    assert_ptr_equal(be->ops, own);
    be->ops->free(be, x);
    be->ops->free(be, y);
    be->ops->weight_destroy(be, w);
    wf_backend_destroy(be);
}

static void attention_costs_what_its_contexts_hold(void **state)
{
    (void)state;
    wf_batch batch = {.n_tokens = 3, .n_seqs = 2, .n_decode = 1, .n_kv = 112, .n_pairs = 123};
    float out[3 * 64];
    wf_attention_args a = {.batch = &batch,
                           .n_heads = 8,
                           .kv = {.dtype = WF_BF16, .n_kv_heads = 2, .head_dim = 8},
                           .out = wf_matrix_of(out, WF_F32, 3, 64)};
    wf_op_cost c = wf_cost_attention(&a);
    expect_near(c.flops, 4.0 * 123 * 8 * 8);
    expect_near(c.bytes, 2.0 * sizeof out + 112.0 * 2 * 2 * 8 * 2);
    a.window = 20; // of 2 sequences and 3 tokens
    c = wf_cost_attention(&a);
    expect_near(c.flops, 4.0 * 3 * 20 * 8 * 8);
    expect_near(c.bytes, 2.0 * sizeof out + (2.0 * 19 + 3) * 2 * 2 * 8 * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_goes_through),
        cmocka_unit_test(attention_costs_what_its_contexts_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
