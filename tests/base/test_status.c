#include "tests/base/base_test.h"

#include <errno.h>
#include <pthread.h>

static void every_row_of_the_table_is_found(void **state)
{
    (void)state;
#define CHECK(name, number, scope, exit_code, words)                                               \
    assert_string_equal(wf_status_name(WF_##name), #name);                                         \
    assert_int_equal(WF_##name, number);                                                           \
    assert_string_equal(wf_status_words(WF_##name), words);                                        \
    assert_int_equal(wf_status_scope(WF_##name), WF_SCOPE_##scope);                                \
    assert_int_equal(wf_status_exit_code(WF_##name), exit_code);
    WF_STATUS_TABLE(CHECK)
#undef CHECK
}

static void numbers_in_result_files_stay(void **state)
{
    (void)state;
    assert_int_equal(WF_REQ_EMPTY, 100);
    assert_int_equal(WF_REQ_POISON, 109);
    assert_int_equal(WF_SHARD, 200);
}

static void unknown_number_is_survived(void **state)
{
    (void)state;
    wf_status st = (wf_status)9999;
    assert_string_equal(wf_status_name(st), "UNKNOWN");
    assert_int_equal(wf_status_scope(st), WF_SCOPE_JOB);
    assert_int_equal(wf_status_exit_code(st), 70);
}

static void detail_is_recorded_and_may_quote_itself(void **state)
{
    (void)state;
    assert_int_equal(wf_fail(WF_DATA, "shard %d: bad", 7), WF_DATA);
    assert_string_equal(wf_error(), "shard 7: bad");
    assert_int_equal(wf_fail(WF_IO, "job: %s", wf_error()), WF_IO);
    assert_string_equal(wf_error(), "job: shard 7: bad");
}

static void detail_is_one_clean_line_and_cut_visibly(void **state)
{
    (void)state;
    wf_fail(WF_DATA, "a\nb\x1b[31mc\x7f");
    assert_string_equal(wf_error(), "a b [31mc ");
    char big[2 * WF_ERROR_MAX];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    wf_fail(WF_DATA, "%s", big);
    assert_int_equal(strlen(wf_error()), WF_ERROR_MAX - 1);
    assert_string_equal(wf_error() + WF_ERROR_MAX - 5, "x...");
}

static void errno_is_named_with_a_remedy(void **state)
{
    (void)state;
    errno = ENOSPC;
    assert_int_equal(wf_fail_errno(WF_IO, "out/x: cannot write"), WF_IO);
    assert_contains(wf_error(), "out/x: cannot write: No space left on device; free some space");
    errno = ENOENT;
    wf_fail_errno(WF_NO_INPUT, "a.h5");
    assert_string_equal(wf_error(), "a.h5: No such file or directory");
}

static void *fail_elsewhere(void *arg)
{
    wf_fail(WF_IO, "elsewhere");
    *(int *)arg = strcmp(wf_error(), "elsewhere") == 0;
    return NULL;
}

static void detail_belongs_to_the_thread(void **state)
{
    (void)state;
    int seen = 0;
    pthread_t thread;
    wf_fail(WF_DATA, "here");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &seen), 0);
    pthread_join(thread, NULL);
    assert_int_equal(seen, 1);
    assert_string_equal(wf_error(), "here");
}

static wf_status try_once(wf_status st, int *reached)
{
    WF_TRY(st);
    *reached = 1;
    return WF_OK;
}

static void try_stops_at_the_first_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_once(WF_DATA, &reached), WF_DATA);
    assert_int_equal(reached, 0);
    assert_int_equal(try_once(WF_OK, &reached), WF_OK);
    assert_int_equal(reached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_is_found),
        cmocka_unit_test(numbers_in_result_files_stay),
        cmocka_unit_test(unknown_number_is_survived),
        cmocka_unit_test(detail_is_recorded_and_may_quote_itself),
        cmocka_unit_test(detail_is_one_clean_line_and_cut_visibly),
        cmocka_unit_test(errno_is_named_with_a_remedy),
        cmocka_unit_test(detail_belongs_to_the_thread),
        cmocka_unit_test(try_stops_at_the_first_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
