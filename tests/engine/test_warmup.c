// Warm-up plans: valid, of padding alone, and of every size that steps come in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/warmup.h"

enum { MOST_PLANS = 512, MOST_WORDS = 1 << 20 };

static int32_t plan[MOST_WORDS];

static int32_t largest(const int32_t *values, int32_t n)
{
    int32_t top = values[0];
    for (int32_t i = 1; i < n; i++)
        if (values[i] > top) top = values[i];
    return top;
}

// Nothing moves, nobody joins, all rows are the row of padding.
static void check_plan(const wf_warmup *w, int64_t words)
{
    int64_t at[WF_PLAN_N_SECTIONS];
    assert_true(wf_plan_valid(plan, words, &w->limits));
    assert_int_equal(plan[WF_PLAN_MOVES] + plan[WF_PLAN_COPIES] + plan[WF_PLAN_PAGES], 0);
    assert_int_equal(plan[WF_PLAN_JOINS], 0);
    assert_int_equal(wf_plan_layout(plan, at), words);
    int32_t n = plan[WF_PLAN_SEQS], n_tokens = plan[WF_PLAN_TOKENS];
    assert_int_equal(plan[at[WF_PLAN_AT_CU_SEQLENS] + n], n_tokens);
    for (int32_t i = 0; i < n; i++)
        assert_int_equal(plan[at[WF_PLAN_AT_SEQ_ROW] + i], w->limits.max_rows);
    assert_true(largest(plan + at[WF_PLAN_AT_TOKEN_POS], n_tokens) < w->max_context);
    assert_true(largest(plan + at[WF_PLAN_AT_TOKEN_SEQ], n_tokens) == n - 1);
    if (plan[WF_PLAN_SAMPLES] == 0) return;
    int32_t all = plan[WF_PLAN_SAMPLES] * w->limits.group_size;
    assert_int_equal(largest(plan + at[WF_PLAN_AT_LOGIT_INDEX], all), all - 1);
}

static void every_size(void **state)
{
    (void)state;
    static const int32_t sizes[][3] = {{8, 32, 512},      {1, 1, 16},       {256, 2048, 8192},
                                       {13, 8192, 100},   {512, 512, 4096}, {3, 20000, 65536},
                                       {256, 300, 131072}}; // rows, step tokens, context
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int capture = 0; capture < 2; capture++) {
            wf_warmup w = {.limits = {.max_rows = sizes[s][0],
                                      .step_tokens = sizes[s][1],
                                      .page_tokens = 16,
                                      .group_size = 1 + (int32_t)s % 2,
                                      .n_top = -1,
                                      .pad = true},
                           .max_context = sizes[s][2],
                           .capture = capture};
            int n_plans = 0, n_decode = 0, n_whole = 0;
            int32_t most_tokens = 0;
            bool whole = false;
            for (int64_t words; n_plans < MOST_PLANS; n_plans++) {
                words = wf_warmup_plan(&w, n_plans, &whole, plan);
                if (words == 0) break;
                check_plan(&w, words);
                n_decode += plan[WF_PLAN_PADDED];
                n_whole += whole;
                if (!plan[WF_PLAN_PADDED]) assert_true(plan[WF_PLAN_TOKENS] > most_tokens);
                if (!plan[WF_PLAN_PADDED]) most_tokens = plan[WF_PLAN_TOKENS];
            }
            int n_buckets = 1, n_contexts = 1;
            for (int32_t r = 1; r < w.limits.max_rows; n_buckets++)
                r = wf_plan_bucket_rows(r + 1, w.limits.max_rows);
            for (int32_t c = wf_plan_bucket_context(1); c < w.max_context; c *= 4)
                n_contexts++;
            int32_t fits = (w.max_context - 1) * w.limits.max_rows;
            assert_int_equal(most_tokens,
                             w.limits.step_tokens < fits ? w.limits.step_tokens : fits);
            assert_int_equal(n_whole, capture ? n_buckets * n_contexts : 0);
            assert_int_equal(n_decode, capture ? 2 * n_buckets * n_contexts : n_buckets);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
