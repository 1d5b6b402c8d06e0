#include "tests/base/base_test.h"

#include "io/base/clock.h"

#include <signal.h>
#include <sys/time.h>
#include <time.h>

static void iso_text(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_ns;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {INT64_C(1709294624123456789), "2024-03-01T12:03:44.123Z"},
        {INT64_C(951782400000000000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(-1), "1969-12-31T23:59:59.999Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145Z"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[WF_CLOCK_ISO_MAX];
        assert_string_equal(wf_clock_iso(rows[i].unix_ns, text), rows[i].text);
    }
}

static void monotonic_never_goes_back(void **state)
{
    (void)state;
    int64_t last = wf_clock_ns();
    for (int i = 0; i < 10000; i++) {
        int64_t now = wf_clock_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void unix_time_agrees_with_the_system(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) - 1;
    int64_t now = wf_clock_unix_ns() / WF_NS_PER_S;
    assert_true(now >= before && now <= (int64_t)time(NULL) + 1);
}

static void sleep_never_ends_early(void **state)
{
    (void)state;
    int64_t until = wf_clock_ns() + 5 * WF_NS_PER_MS;
    assert_true(wf_clock_sleep_until(until));
    assert_true(wf_clock_ns() >= until);
    assert_true(wf_clock_sleep_until(until)); // a time that has passed
    assert_true(wf_clock_sleep_until(-1));
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static void signal_ends_a_sleep(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value.tv_usec = 10000, .it_interval.tv_usec = 10000};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL); // repeats: one before the sleep begins is no matter
    assert_false(wf_clock_sleep_until(wf_clock_ns() + 3600 * WF_NS_PER_S));
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_text),
        cmocka_unit_test(monotonic_never_goes_back),
        cmocka_unit_test(unix_time_agrees_with_the_system),
        cmocka_unit_test(sleep_never_ends_early),
        cmocka_unit_test(signal_ends_a_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
