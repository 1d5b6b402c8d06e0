// Costs of operations: read from a table, refused where it is none, told for what was not measured;
// and the back end that takes them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/simulated/sim_backend.h"

#define HEAD                                                                                       \
    "operation,weight,step,calls,ms,share_percent,us_per_call,gbyte,gflop,gbyte_per_s,"            \
    "tflop_per_s,percent_of_limit,rows_per_call\n"
#define DEVICE  "device,\"A card, of mine\",device,,,,,80.000,,,,,\n"
#define LIMIT   "limit,,,,,,,,,1000.000,100.0000,100,\n"
#define BETWEEN "between,,,10,1.0,,100.0,,,,,,\n"
// 4 us at 50% of the limit with 1 row, 8 us at 25% with 4; another weight; the shortest call 2 us.
#define GEMMS                                                                                      \
    "gemm,1000x1000,decode,10,0.04,1,4.0,1,1,1,1,50.0,1.0\n"                                       \
    "gemm,1000x1000,decode,10,0.08,1,8.0,1,1,1,1,25.0,4.0\n"                                       \
    "gemm,100x100,decode,10,0.02,1,2.0,1,1,1,1,10.0,1.0\n"

static void ok(wf_status st)
{
    if (st != WF_OK) fail_msg("%s: %s", wf_status_name(st), wf_error());
}

static wf_status read_table(const char *text, wf_costs **out)
{
    char path[] = "/tmp/weft-costs-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    wf_status st = wf_costs_read(path, out);
    unlink(path);
    return st;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-6 * fabs(want))) fail_msg("%g, expected %g", got, want);
}

static double gemm_ns(const wf_costs *c, int64_t rows, int64_t n_out, int64_t n_in, double bytes)
{
    const wf_op_cost cost = {.rows = rows, .n_out = n_out, .n_in = n_in, .bytes = bytes};
    return wf_costs_ns(c, &cost, wf_costs_share(c, wf_costs_find(c, "gemm", true), &cost));
}

static void what_was_measured_is_told_again(void **state)
{
    (void)state;
    wf_costs *c = NULL;
    ok(read_table(HEAD DEVICE LIMIT GEMMS BETWEEN, &c));
    const wf_costs_device *d = wf_costs_of(c);
    assert_string_equal(d->name, "A card, of mine");
    assert_false(d->host);
    near(d->memory_bytes, 80e9);
    near(d->step_ns, 100e3);
    near(d->call_ns, 1000.0);                     // half of the shortest call
    near(gemm_ns(c, 1, 1000, 1000, 2e6), 4000.0); // 2 MB at 1000 GB/s are 2 us
    near(gemm_ns(c, 4, 1000, 1000, 2e6), 8000.0);
    double between = gemm_ns(c, 2, 1000, 1000, 2e6);
    assert_true(between > 4000.0 && between < 8000.0);
    near(gemm_ns(c, 64, 1000, 1000, 2e6), 8000.0);             // beyond: as the last
    near(gemm_ns(c, 1, 1000, 1100, 4e6), 1000.0 + 2 * 3000.0); // the nearer weight's share
    assert_int_equal(wf_costs_find(c, "gemm", false), wf_costs_find(c, "gemm", true));
    assert_true(wf_costs_find(c, "rmsnorm", true) < 0);
    wf_costs_destroy(&c);
}

static void tables_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"arrival_s,input\n1,2\n", "not a profile.csv"},
        {HEAD DEVICE GEMMS, "'limit'"},
        {HEAD LIMIT GEMMS, "'device'"},
        {HEAD DEVICE LIMIT, "'operations'"},
        {HEAD DEVICE LIMIT "gemm,1000x1000,decode,10\n", "line 4"},
        {HEAD DEVICE LIMIT "gemm,big,decode,10,0.04,1,4.0,1,1,1,1,50.0,1.0\n", "'big'"},
        {HEAD DEVICE LIMIT "gemm,1x1,decode,10,0.04,1,nan,1,1,1,1,50.0,1.0\n", "'nan'"},
        {HEAD DEVICE LIMIT "gemm,1x1,decode,10,0.04,1,-4,1,1,1,1,50.0,1.0\n", "'-4'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wf_costs *c = NULL;
        assert_int_equal(read_table(rows[i].text, &c), WF_CONFIG);
        assert_null(c);
        if (!strstr(wf_error(), rows[i].says)) fail_msg("%s: %s", rows[i].says, wf_error());
    }
}

static void operations_take_their_time_and_nothing_else(void **state)
{
    (void)state;
    wf_costs *c = NULL;
    wf_simtime *time = NULL;
    wf_backend *be = NULL;
    wf_weight *w = NULL;
    wf_event *e = NULL;
    bool done = true;
    ok(read_table(HEAD DEVICE LIMIT GEMMS BETWEEN, &c));
    ok(wf_simtime_create(1, 0, true, &time));
    const wf_simulated_config config = {c, wf_numerics_of(WF_BF16), time, 0};
    ok(wf_simulated_create(&config, &be));
    ok(wf_backend_check(be->ops));
    const wf_weight_shape shape = {.dtype = WF_BF16, .n_groups = 1, .n_rows = 1000, .n_cols = 1000};
    ok(be->ops->weight_create(be, &shape, &w));
    ok(be->ops->event_create(be, &e));
    wf_batch batch = {.n_tokens = 1, .n_seqs = 1, .n_decode = 1};
    ok(be->ops->token_ids(be, NULL, &(wf_token_ids_args){.batch = &batch}));
    wf_gemm_args a = {
        .x = wf_matrix_of(w, WF_BF16, 1, 1000), .w = w, .y = wf_matrix_of(w, WF_BF16, 1, 1000)};
    for (int i = 0; i < 3; i++)
        ok(be->ops->gemm(be, NULL, &a));
    ok(be->ops->event_record(be, e, NULL));
    ok(be->ops->event_query(be, e, &done));
    assert_false(done); // the host goes on
    ok(be->ops->event_sync(be, e));
    double gemm = 1000.0 + (2e6 + 4e3) * 1e-3 / (2000.0 / 3000.0);
    double ns = (double)wf_clock_now(wf_simtime_clock(time, 0));
    assert_true(ns > 100e3 + 3 * gemm && ns < 100e3 + 3 * gemm + 2000.0); // token_ids is short
    be->ops->event_destroy(be, e);
    be->ops->weight_destroy(be, w);
    wf_backend_destroy(be);
    wf_simtime_destroy(&time);
    wf_costs_destroy(&c);
}

static void memory_ends_where_the_device_s_does(void **state)
{
    (void)state;
    wf_costs *c = NULL;
    wf_simtime *time = NULL;
    wf_backend *be = NULL;
    wf_backend_info info;
    void *a = NULL, *b = NULL;
    const wf_costs_device d = {
        .name = "small", .memory_bytes = 1e9, .bytes_per_ns = 1, .flops_per_ns = 1};
    ok(wf_costs_assume(&d, 1.0, &c));
    ok(wf_simtime_create(1, 0, true, &time));
    ok(wf_simulated_create(&(wf_simulated_config){c, wf_numerics_of(WF_F32), time, 0}, &be));
    ok(be->ops->alloc(be, 600000000, &a));
    assert_int_equal(be->ops->alloc(be, 600000000, &b), WF_NO_MEMORY);
    ok(be->ops->info(be, &info));
    assert_int_equal(info.free_bytes, 400000000);
    assert_true(info.async);
    wf_backend_destroy(be);
    wf_simtime_destroy(&time);
    wf_costs_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_measured_is_told_again),
        cmocka_unit_test(tables_that_are_none_are_refused),
        cmocka_unit_test(operations_take_their_time_and_nothing_else),
        cmocka_unit_test(memory_ends_where_the_device_s_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
