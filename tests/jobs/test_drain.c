// What asks a job to leave, how soon, and that a level never goes down.
#include "tests/jobs/jobs_test.h"

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "jobs/run/drain.h"
#include "tests/engine/simulated.h"

#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/weft-drain-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/stop", folder);
    unlink(path);
    return rmdir(folder);
}

static wf_drain *start(const wf_drain_signals *signals, int64_t begin_ns, int64_t end_ns)
{
    wf_drain *d = NULL;
    wf_drain_config c = {
        .signals = signals, .begin_ns = begin_ns, .end_ns = end_ns, .grace_ns = 100 * WF_NS_PER_S};
    assert_int_equal(wf_drain_start(&c, &d), WF_OK);
    return d;
}

// One that is looked at by hand, on made-up time.
static wf_drain *start_on(sim_clock *clock, const wf_drain_signals *signals, int64_t begin_ns,
                          int64_t end_ns)
{
    wf_drain *d = NULL;
    wf_drain_config c = {.signals = signals,
                         .clock = &clock->clock,
                         .begin_ns = begin_ns,
                         .end_ns = end_ns,
                         .grace_ns = 100 * WF_NS_PER_S};
    assert_int_equal(wf_drain_start(&c, &d), WF_OK);
    return d;
}

// Waits for the thread; false when it takes longer than anything it does.
static bool comes(const wf_drain *d, wf_drain_level level)
{
    for (int i = 0; i < 1000 && !wf_drain_asks(d, level); i++)
        wf_clock_sleep_until(wf_clock_ns() + 10 * WF_NS_PER_MS);
    return wf_drain_asks(d, level);
}

static void put_stop_file(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/stop", folder);
    assert_int_equal(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE), WF_OK);
}

static void early_signals_count_from_the_first_moment(void **state)
{
    (void)state;
    char why[64];
    wf_drain_signals signals = {.first = SIGUSR1, .n = 1};
    wf_drain *d = start(&signals, INT64_MAX, INT64_MAX);
    assert_true(wf_drain_asks(d, WF_DRAIN_FINISH));
    assert_false(wf_drain_asks(d, WF_DRAIN_NOW));
    assert_int_equal(wf_drain_cause_of(d), WF_DRAIN_SIGNAL);
    assert_string_equal(wf_drain_why(d, why, sizeof why), "SIGUSR1");
    signals.n = 2;
    assert_true(comes(d, WF_DRAIN_NOW));
    wf_drain_stop(&d);
}

static void grace_is_what_the_end_leaves(void **state)
{
    (void)state;
    const struct {
        int first;
        int64_t end_s;  // from now; 0: not known
        int64_t left_s; // to requests in flight
    } rows[] = {
        {SIGUSR1, 0, 100},                      // the setting
        {SIGUSR1, 1000, 100},                   // the end is far
        {SIGUSR1, 60, 45},                      // 15 s are kept for sealing
        {SIGUSR1, 20, 15},                      // a quarter of a short notice
        {SIGTERM, 0, 10},                       // whoever sends it kills soon
        {SIGTERM, 8, 6},      {SIGUSR1, -5, 0}, // too late
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sim_clock clock;
        wf_drain_signals signals = {.first = rows[i].first, .n = 1};
        sim_clock_make(&clock, 5000 * WF_NS_PER_S);
        int64_t end_ns = rows[i].end_s ? clock.now_ns + rows[i].end_s * WF_NS_PER_S : INT64_MAX;
        wf_drain *d = start_on(&clock, &signals, INT64_MAX, end_ns);
        assert_int_equal(wf_drain_until_ns(d), clock.now_ns + rows[i].left_s * WF_NS_PER_S);
        wf_drain_stop(&d);
    }
}

static void the_deadline_asks_at_its_time(void **state)
{
    (void)state;
    char why[256];
    sim_clock clock;
    sim_clock_make(&clock, 5000 * WF_NS_PER_S);
    wf_drain *d = start_on(&clock, NULL, 5010 * WF_NS_PER_S, INT64_MAX);
    sim_clock_jump(&clock, 5010 * WF_NS_PER_S - 1);
    wf_drain_look(d);
    assert_false(wf_drain_asks(d, WF_DRAIN_FINISH));
    assert_int_equal(wf_drain_until_ns(d), INT64_MAX);
    sim_clock_jump(&clock, 5010 * WF_NS_PER_S);
    wf_drain_look(d);
    assert_true(wf_drain_asks(d, WF_DRAIN_FINISH));
    assert_int_equal(wf_drain_cause_of(d), WF_DRAIN_DEADLINE);
    assert_string_equal(wf_drain_why(d, why, sizeof why), "the time limit");
    assert_int_equal(wf_drain_until_ns(d), 5110 * WF_NS_PER_S);
    wf_drain_stop(&d);
}

static void the_stop_file_counts_once_it_is_watched(void **state)
{
    (void)state;
    char why[256];
    sim_clock clock;
    sim_clock_make(&clock, 5000 * WF_NS_PER_S);
    put_stop_file("SIGUSR1 on rank 3\n");
    wf_drain *d = start_on(&clock, NULL, INT64_MAX, INT64_MAX);
    wf_drain_look(d);
    assert_false(wf_drain_asks(d, WF_DRAIN_FINISH)); // not watched yet: an older run's file
    assert_int_equal(wf_drain_watch(d, folder), WF_OK);
    wf_drain_look(d);
    assert_int_equal(wf_drain_cause_of(d), WF_DRAIN_STOP_FILE);
    assert_string_equal(wf_drain_why(d, why, sizeof why), "the stop file: SIGUSR1 on rank 3");
    put_stop_file("now\n");
    wf_drain_look(d);
    assert_false(wf_drain_asks(d, WF_DRAIN_NOW)); // it is looked at every second
    sim_clock_jump(&clock, 5001 * WF_NS_PER_S);
    wf_drain_look(d);
    assert_true(wf_drain_asks(d, WF_DRAIN_NOW));
    assert_string_equal(wf_drain_why(d, why, sizeof why), "the stop file: SIGUSR1 on rank 3");
    wf_drain_stop(&d);
}

static void one_ranks_signal_is_told_by_the_stop_file(void **state)
{
    (void)state;
    char why[256];
    wf_drain_signals signals = {.first = 0, .n = 0};
    assert_int_equal(wf_log_rank(), -1); // as in a process that is no rank
    wf_drain *got = start(&signals, INT64_MAX, INT64_MAX),
             *other = start(NULL, INT64_MAX, INT64_MAX);
    assert_int_equal(wf_drain_watch(got, folder), WF_OK);
    assert_int_equal(wf_drain_watch(other, folder), WF_OK);
    signals.first = SIGTERM;
    signals.n = 1;
    assert_true(comes(other, WF_DRAIN_FINISH));
    assert_string_equal(wf_drain_why(other, why, sizeof why), "the stop file: SIGTERM");
    assert_false(wf_drain_asks(other, WF_DRAIN_NOW));
    assert_true(wf_drain_until_ns(other) <= wf_clock_ns() + 10 * WF_NS_PER_S); // SIGTERM there
    signals.n = 2;
    assert_true(comes(other, WF_DRAIN_NOW));
    wf_drain_stop(&got);
    wf_drain_stop(&other);
    wf_drain_stop(&other); // NULL inside is fine
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_signals_count_from_the_first_moment),
        cmocka_unit_test(grace_is_what_the_end_leaves),
        cmocka_unit_test(the_deadline_asks_at_its_time),
        cmocka_unit_test_setup_teardown(the_stop_file_counts_once_it_is_watched, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(one_ranks_signal_is_told_by_the_stop_file, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
