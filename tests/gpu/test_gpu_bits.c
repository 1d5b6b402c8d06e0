// With `deterministic` a GEMM's bits do not depend on how many rows it has, nor on how its weight
// is split over ranks: by columns of the result, or by runs of k whose sums are added in pairs.
// That is what groups of 1, 2, 4 and 8 devices owe their equal results to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"
#include "kernels/convert.h"

enum { ROWS = 300 };

static wf_backend *be;

static void ok(wf_status st)
{
    if (st != WF_OK) fail_msg("%s", wf_error());
}

static uint16_t number(uint32_t seed, int64_t i)
{
    uint32_t x = (uint32_t)i * 2654435761u + seed * 0x9e3779b9u;
    x ^= x >> 15;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    return wf_f32_to_bf16((float)(x >> 8) * 0x1p-24f - 0.5f);
}

// Rows [row, row + n) and columns [col, col + k) of the matrix of K columns with this seed.
static wf_weight *weight(uint32_t seed, int64_t K, int64_t row, int64_t n, int64_t col, int64_t k)
{
    wf_weight *w;
    uint16_t *host = malloc((size_t)(n * k) * 2);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            host[i * k + j] = number(seed, (row + i) * K + col + j);
    const wf_weight_shape shape = {.dtype = WF_BF16, .n_groups = 1, .n_rows = n, .n_cols = k};
    const wf_weight_block all = {.n_rows = n, .src = host, .src_dtype = WF_BF16, .src_stride = k};
    ok(be->ops->weight_create(be, &shape, &w));
    ok(be->ops->weight_load(be, w, &all));
    free(host);
    return w;
}

static void *device(const void *data, size_t bytes)
{
    void *at;
    ok(be->ops->alloc(be, bytes, &at));
    if (data) ok(be->ops->upload(be, NULL, at, data, bytes));
    wf_event *e;
    ok(be->ops->event_create(be, &e));
    ok(be->ops->event_record(be, e, NULL));
    ok(be->ops->event_sync(be, e));
    be->ops->event_destroy(be, e);
    return at;
}

// y [m][n] f32 of `w` and columns [col, col + k) of x, on the host. Caller frees.
static float *product(const void *x, int64_t K, int64_t col, int64_t m, const wf_weight *w,
                      int32_t k_runs)
{
    size_t bytes = (size_t)(m * w->n_rows) * 4;
    float *host = malloc(bytes);
    void *y = device(NULL, bytes);
    wf_gemm_args a = {.x = {(char *)(uintptr_t)x + col * 2, WF_BF16, m, w->n_cols, K},
                      .w = w,
                      .y = wf_matrix_of(y, WF_F32, m, w->n_rows),
                      .k_runs = k_runs};
    wf_event *e;
    ok(be->ops->gemm(be, NULL, &a));
    ok(be->ops->download(be, NULL, host, y, bytes));
    ok(be->ops->event_create(be, &e));
    ok(be->ops->event_record(be, e, NULL));
    ok(be->ops->event_sync(be, e));
    be->ops->event_destroy(be, e);
    be->ops->free(be, y);
    return host;
}

static void expect_same(const float *got, const float *want, int64_t n, const char *what, int64_t N,
                        int64_t K, int64_t m, int split)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%lld x %lld, %lld rows, %s %d: element %lld is %a, not %a", (long long)N,
                     (long long)K, (long long)m, what, split, (long long)i, (double)got[i],
                     (double)want[i]);
}

static const int64_t row_counts[] = {ROWS, 64, 7, 1};

static void check_columns(const void *x, int64_t N, int64_t K)
{
    wf_weight *whole = weight(1, K, 0, N, 0, K);
    float *want = product(x, K, 0, ROWS, whole, 0);
    for (int tp = 1; tp <= 8; tp *= 2) {
        int64_t n = N / tp, first = n * (tp - 1);
        wf_weight *part = weight(1, K, first, n, 0, K);
        for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
            float *got = product(x, K, 0, row_counts[i], part, 0);
            for (int64_t m = 0; m < row_counts[i]; m++)
                expect_same(got + m * n, want + m * N + first, n, "columns over ranks:", N, K,
                            row_counts[i], tp);
            free(got);
        }
        be->ops->weight_destroy(be, part);
    }
    free(want);
    be->ops->weight_destroy(be, whole);
}

static void check_runs(const void *x, int64_t N, int64_t K)
{
    wf_weight *whole = weight(2, K, 0, N, 0, K);
    float *want = product(x, K, 0, ROWS, whole, 8);
    for (int tp = 1; tp <= 8; tp *= 2)
        for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
            int64_t k = K / tp, count = row_counts[i] * N;
            float *part[8] = {0};
            for (int r = 0; r < tp; r++) {
                wf_weight *w = weight(2, K, 0, N, r * k, k);
                part[r] = product(x, K, r * k, row_counts[i], w, 8 / tp);
                be->ops->weight_destroy(be, w);
            }
            for (int step = 1; step < tp; step *= 2)
                for (int r = 0; r + step < tp; r += 2 * step)
                    for (int64_t e = 0; e < count; e++)
                        part[r][e] += part[r + step][e];
            expect_same(part[0], want, count, "runs of k over ranks:", N, K, row_counts[i], tp);
            for (int r = 0; r < tp; r++)
                free(part[r]);
        }
    free(want);
    be->ops->weight_destroy(be, whole);
}

static void splits_and_rows_do_not_show(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = {{1536, 1024}, {1024, 3584}, {6144, 4096}, {72, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t N = shapes[i][0], K = shapes[i][1];
        uint16_t *host = malloc((size_t)(ROWS * K) * 2);
        for (int64_t k = 0; k < ROWS * K; k++)
            host[k] = number(3, k);
        void *x = device(host, (size_t)(ROWS * K) * 2);
        check_columns(x, N, K);
        if (N <= 2048) check_runs(x, N, K);
        be->ops->free(be, x);
        free(host);
    }
}

int main(void)
{
    wf_backend_config config = {.numerics = wf_numerics_of(WF_BF16), .deterministic = true};
    if (wf_backend_create("cuda", &config, &be) != WF_OK) {
        printf("skipped: %s\n", wf_error());
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(splits_and_rows_do_not_show)};
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    wf_backend_destroy(be);
    return n_failed;
}
