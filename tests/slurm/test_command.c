// Commands: what they print, how they end, and that none of them holds us for ever.
#include "tests/base/base_test.h"

#include "io/base/clock.h"
#include "slurm/command.h"

#define LIMIT_NS (60 * WF_NS_PER_S)

static void test_output_and_exit_code(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int exit_code;
        const char *out, *err;
    } rows[] = {
        {"echo a; echo b; echo c >&2; echo d >&2", 0, "a\nb", "c"},
        {"exit 3", 3, "", ""},
        {"kill -9 $$", 137, "", ""},
        {"cat; echo no input", 0, "no input", ""},
        {"echo end; sleep 0.3; echo later >&2; exit 1", 1, "end", "later"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const argv[] = {"sh", "-c", rows[i].line, NULL};
        wf_slurm_answer answer;
        assert_int_equal(wf_slurm_command(argv, LIMIT_NS, &answer), WF_OK);
        assert_int_equal(answer.exit_code, rows[i].exit_code);
        assert_string_equal(answer.out, rows[i].out);
        assert_string_equal(answer.err, rows[i].err);
        wf_slurm_answer_free(&answer);
    }
}

static void test_long_output(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "seq 200000; seq 200000 >&2", NULL};
    wf_slurm_answer answer;
    assert_int_equal(wf_slurm_command(argv, LIMIT_NS, &answer), WF_OK);
    assert_int_equal(strlen(answer.out), 1288894); // without the last newline
    assert_string_equal(answer.err, "1");
    wf_slurm_answer_free(&answer);
}

static void test_one_that_hangs(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "echo waiting for the controller >&2; sleep 600", NULL};
    wf_slurm_answer answer = {0};
    int64_t start_ns = wf_clock_ns();
    assert_int_equal(wf_slurm_command(argv, WF_NS_PER_S, &answer), WF_IO);
    assert_true(wf_clock_ns() - start_ns < LIMIT_NS);
    assert_non_null(strstr(wf_error(), "no answer within 1 s (waiting for the controller"));
    assert_null(answer.out);
}

static void test_one_that_is_missing(void **state)
{
    (void)state;
    const char *const argv[] = {"weft-no-such-command", NULL};
    wf_slurm_answer answer;
    assert_int_equal(wf_slurm_command(argv, LIMIT_NS, &answer), WF_NO_INPUT);
    assert_non_null(strstr(wf_error(), "weft-no-such-command: not found on PATH"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_exit_code),
        cmocka_unit_test(test_long_output),
        cmocka_unit_test(test_one_that_hangs),
        cmocka_unit_test(test_one_that_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
