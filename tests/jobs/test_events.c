// The event log: what is added comes back in order, and a torn line harms nobody else's.
#include "tests/jobs/jobs_test.h"

#include "jobs/run/events.h"

static void test_added_events_come_back(void **state)
{
    const char *out_dir = *state;
    wf_events events;
    assert_ok(wf_events_read(out_dir, &events));
    assert_int_equal(events.n, 0);
    wf_events_free(&events);
    for (int i = 0; i < WF_N_EVENTS; i++) {
        assert_ok(wf_event_add(out_dir, &(wf_event){.kind = (wf_event_kind)i,
                                                    .run = 2,
                                                    .group = i,
                                                    .epoch = 1,
                                                    .rank = -1,
                                                    .host = "n1",
                                                    .text = "in \"step\"\nand more"}));
    }
    assert_ok(wf_events_read(out_dir, &events));
    assert_int_equal(events.n, WF_N_EVENTS);
    for (int i = 0; i < WF_N_EVENTS; i++) {
        assert_int_equal(events.item[i].kind, i);
        assert_int_equal(events.item[i].group, i);
        assert_int_equal(events.item[i].rank, -1);
        assert_string_equal(events.item[i].text, "in \"step\"\nand more");
        assert_true(events.item[i].time_unix_ns > 0);
    }
    wf_events_free(&events);
}

static void test_torn_lines_are_skipped(void **state)
{
    const char *out_dir = *state;
    char path[512];
    snprintf(path, sizeof path, "%s/events.jsonl", out_dir);
    FILE *file = fopen(path, "w");
    fputs("{\"time\": \"2026-11-2\n\n{\"event\": \"comet\"}\n", file);
    fclose(file);
    assert_ok(wf_event_add(out_dir, &(wf_event){.kind = WF_EVENT_LOST, .text = "gone"}));
    wf_events events;
    assert_ok(wf_events_read(out_dir, &events));
    assert_int_equal(events.n, 1);
    assert_string_equal(events.item[0].text, "gone");
    wf_events_free(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_added_events_come_back, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_torn_lines_are_skipped, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
