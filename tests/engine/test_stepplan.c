// Step plans: buckets, and that padded plans of one bucket differ in their words only, never in
// their layout: a captured step reads them where they lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/planfill.h"
#include "engine/sequence.h"

static void buckets_hold_their_rows(void **state)
{
    (void)state;
    int32_t before = 0;
    for (int32_t n = 1; n <= 5000; n++) {
        int32_t bucket = wf_plan_bucket_rows(n, 5000);
        assert_true(bucket >= n && bucket >= before);
        if (n <= 2048) assert_true(bucket <= n + n / 2 + 1);
        assert_int_equal(wf_plan_bucket_rows(bucket, 5000), bucket);
        before = bucket;
    }
    assert_int_equal(wf_plan_bucket_rows(33, 35), 35); // never more rows than there are
    assert_int_equal(wf_plan_bucket_rows(5, 5), 5);
    for (int32_t c = 1; c < 1 << 20; c += 777)
        assert_true(wf_plan_bucket_context(c) >= c);
    assert_int_equal(wf_plan_bucket_context(2048), 2048);
    assert_int_equal(wf_plan_bucket_context(2049), 8192);
    assert_true(wf_plan_bucket_context(INT32_MAX) == INT32_MAX);
}

enum { ROWS = 16, MAX_PAGES = 4 };

static const wf_plan_limits limits = {
    .max_rows = 12, .step_tokens = 64, .page_tokens = 8, .group_size = 2, .n_top = -1, .pad = true};

// A plan of n decode rows, every third of them replayed, not sampled.
static int64_t make_plan(int32_t n, wf_sequence *seqs, int32_t *plan)
{
    wf_seq list[ROWS] = {0};
    wf_schedule s = {.seqs = list, .n_seqs = n, .n_decode = n, .n_tokens = n, .max_new = 1};
    for (int32_t i = 0; i < n; i++) {
        bool sample = i % 3 != 2;
        list[i] = (wf_seq){.tag = &seqs[i],
                           .row = i,
                           .n_past = 20 + i,
                           .n_new = 1,
                           .kind = WF_SEQ_DECODE,
                           .n_samples = sample};
        s.n_samples += sample;
        s.max_context = 21 + i;
    }
    return wf_planfill(&s, &limits, MAX_PAGES, plan);
}

static void padded_plans_of_a_bucket_are_laid_out_alike(void **state)
{
    (void)state;
    wf_sequence *seqs = calloc(ROWS, sizeof *seqs);
    int32_t *plan = malloc((size_t)wf_plan_most_words(&limits) * sizeof *plan);
    int64_t first[WF_PLAN_N_SECTIONS], at[WF_PLAN_N_SECTIONS];
    for (int32_t n = 9; n <= 12; n++) { // the bucket of 12
        int64_t words = make_plan(n, seqs, plan);
        assert_true(wf_plan_valid(plan, words, &limits));
        assert_int_equal(wf_plan_layout(plan, at), words);
        if (n == 9) memcpy(first, at, sizeof at);
        assert_memory_equal(at, first, sizeof at);
        assert_int_equal(plan[WF_PLAN_SEQS], 12);
        assert_int_equal(plan[WF_PLAN_SAMPLES], 12);
        assert_int_equal(plan[WF_PLAN_MAX_CONTEXT], 2048);
        const int32_t *row = plan + at[WF_PLAN_AT_SEQ_ROW], *past = plan + at[WF_PLAN_AT_SEQ_PAST];
        const int32_t *sampled = plan + at[WF_PLAN_AT_SAMPLE_ROW];
        int32_t n_live_samples = n - n / 3;
        for (int32_t i = 0; i < 12; i++) {
            assert_int_equal(row[i], i < n ? i : limits.max_rows);
            assert_int_equal(past[i], i < n ? 20 + i : 1);
            assert_true((sampled[i] == limits.max_rows) == (i >= n_live_samples));
            assert_int_equal(plan[at[WF_PLAN_AT_CU_SEQLENS] + i + 1], i + 1);
        }
    }
    free(plan);
    free(seqs);
}

// A row that joins beyond position 0 says so itself; a row to verify is sampled at every token.
static void chunks_join_anywhere_and_drafts_are_sampled(void **state)
{
    (void)state;
    int32_t prompt[20], token[4] = {100, 101, 102, 103}, draft[2] = {7, 8};
    for (int32_t i = 0; i < 20; i++)
        prompt[i] = 200 + i;
    wf_sequence asked = {.out.n_prompt = 20, .prompt = prompt, .token = token, .draft = draft};
    wf_seq list[2] = {{.tag = &asked,
                       .kind = WF_SEQ_VERIFY,
                       .row = 1,
                       .n_past = 23,
                       .n_new = 3,
                       .n_samples = 3,
                       .known = true},
                      {.tag = &asked,
                       .kind = WF_SEQ_CHUNK,
                       .row = 0,
                       .n_past = 16,
                       .n_new = 4,
                       .n_samples = 1,
                       .join = true}};
    wf_schedule s = {.seqs = list,
                     .n_seqs = 2,
                     .n_tokens = 7,
                     .n_samples = 4,
                     .n_joins = 1,
                     .max_new = 4,
                     .max_context = 26};
    int32_t *plan = malloc((size_t)wf_plan_most_words(&limits) * sizeof *plan);
    int64_t at[WF_PLAN_N_SECTIONS];
    assert_true(wf_plan_valid(plan, wf_planfill(&s, &limits, MAX_PAGES, plan), &limits));
    wf_plan_layout(plan, at);
    const int32_t joins[] = {0, 1}, ids[] = {103, 7, 8, 216, 217, 218, 219};
    const int32_t sampled[] = {0, 1, 2, 6}, rows[] = {1, 1, 1, 0}, positions[] = {24, 25, 26, 20};
    assert_memory_equal(plan + at[WF_PLAN_AT_SEQ_JOIN], joins, sizeof joins);
    assert_memory_equal(plan + at[WF_PLAN_AT_HOST_ID], ids, sizeof ids);
    assert_memory_equal(plan + at[WF_PLAN_AT_SAMPLE_TOKEN], sampled, sizeof sampled);
    assert_memory_equal(plan + at[WF_PLAN_AT_SAMPLE_ROW], rows, sizeof rows);
    assert_memory_equal(plan + at[WF_PLAN_AT_SAMPLE_POS], positions, sizeof positions);
    assert_int_equal(plan[at[WF_PLAN_AT_JOIN_ROW]], 0);
    free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_hold_their_rows),
        cmocka_unit_test(padded_plans_of_a_bucket_are_laid_out_alike),
        cmocka_unit_test(chunks_join_anywhere_and_drafts_are_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
