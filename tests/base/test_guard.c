// Work in a child: its words and results come back, its death and its endless reads are told.
#include "tests/base/base_test.h"

#include "io/base/clock.h"
#include "io/base/guard.h"

#include <signal.h>

typedef struct {
    int number;
} result;

static wf_status answer(void *context, FILE *out, void *shared)
{
    fprintf(out, "asked for %s\n", (const char *)context);
    ((result *)shared)->number = 42;
    return WF_OK;
}

static wf_status refuse(void *context, FILE *out, void *shared)
{
    (void)context, (void)out;
    ((result *)shared)->number = 1;
    return wf_fail(WF_NO_INPUT, "nothing there");
}

static wf_status die_reading(void *context, FILE *out, void *shared)
{
    (void)context, (void)shared;
    wf_guard_at("a.h5", "/first");
    wf_guard_done();
    wf_guard_at("a.h5", "/second");
    fprintf(out, "so far\n");
    fflush(out);
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
    return WF_OK;
}

static wf_status read_for_ever(void *context, FILE *out, void *shared)
{
    (void)context, (void)out, (void)shared;
    wf_guard_at("b.h5", "");
    wf_guard_at("b.h5", "/inner"); // nested: the outer one counts on
    wf_guard_done();
    raise(SIGSTOP);
    return WF_OK;
}

static wf_status die(void *context, FILE *out, void *shared)
{
    (void)context, (void)out, (void)shared;
    signal(SIGFPE, SIG_DFL);
    raise(SIGFPE);
    return WF_OK;
}

// Many reads and much beside them: none of it is long by itself.
static wf_status take_long(void *context, FILE *out, void *shared)
{
    (void)context, (void)out, (void)shared;
    for (int i = 0; i < 8; i++) {
        wf_guard_at("c.h5", "/x");
        wf_guard_done();
        wf_clock_sleep_until(wf_clock_ns() + 60 * WF_NS_PER_MS);
    }
    return WF_OK;
}

static char text[256];
static result got;
static bool died;

static wf_status run(wf_status (*work)(void *, FILE *, void *))
{
    memset(text, 0, sizeof text);
    got.number = 0;
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    const wf_guard_config config = {
        .work = work, .context = "it", .out = out, .result_bytes = sizeof got};
    wf_status st = wf_guard_run(&config, &got, &died);
    fclose(out);
    return st;
}

static void words_and_results_come_back(void **state)
{
    (void)state;
    assert_ok(run(answer));
    assert_false(died);
    assert_string_equal(text, "asked for it\n");
    assert_int_equal(got.number, 42);
    assert_int_equal(run(refuse), WF_NO_INPUT);
    assert_string_equal(wf_error(), "nothing there");
    assert_false(died);
    assert_int_equal(got.number, 1);
}

static void a_death_is_told_with_its_place(void **state)
{
    (void)state;
    assert_int_equal(run(die_reading), WF_DATA);
    assert_true(died);
    assert_contains(wf_error(), "a.h5:/second: is damaged: reading it kills the reader (SIGABRT)");
    assert_string_equal(text, "so far\n");
    assert_int_equal(run(die), WF_INTERNAL);
    assert_contains(wf_error(), "SIGFPE");
}

static void only_a_single_long_read_is_ended(void **state)
{
    (void)state;
    assert_int_equal(setenv("WEFT_READ_LIMIT", "200ms", 1), 0);
    assert_int_equal(run(read_for_ever), WF_DATA);
    assert_true(died);
    assert_contains(wf_error(), "b.h5: is damaged: reading it does not end");
    assert_ok(run(take_long));
    assert_int_equal(setenv("WEFT_READ_LIMIT", "soon", 1), 0);
    assert_int_equal(wf_guard_limit_ns(), 120 * WF_NS_PER_S);
    unsetenv("WEFT_READ_LIMIT");
}

static void without_a_guard_nothing_happens(void **state)
{
    (void)state;
    wf_guard_done();
    wf_guard_at("d.h5", "/x");
    wf_guard_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_results_come_back),
        cmocka_unit_test(a_death_is_told_with_its_place),
        cmocka_unit_test(only_a_single_long_read_is_ended),
        cmocka_unit_test(without_a_guard_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
