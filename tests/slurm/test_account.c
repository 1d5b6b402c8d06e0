// What the accounting says of a job that the queue has forgotten.
#include "tests/base/base_test.h"

#include "slurm/account.h"

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *id, *job_state, *nodes;
        int64_t number;
        wf_queue_phase phase;
        bool ended; // the end is known
    } rows[] = {
        {"12|12|OUT_OF_MEMORY|2026-11-21T10:39:22|n[1-4]", "12", "OUT_OF_MEMORY", "n[1-4]", 12,
         WF_QUEUE_ENDED, true},
        {"12_3|15|CANCELLED by 1000|2026-11-21T10:39:22|n1", "12_3", "CANCELLED", "n1", 15,
         WF_QUEUE_ENDED, true},
        {"7|7|RUNNING|Unknown|n1", "7", "RUNNING", "n1", 7, WF_QUEUE_RUNS, false},
        {"7|7|PENDING|Unknown|None assigned", "7", "PENDING", "None assigned", 7, WF_QUEUE_WAITS,
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[128];
        wf_queue_job job;
        snprintf(line, sizeof line, "%s", rows[i].line);
        assert_int_equal(wf_account_parse(line, &job), WF_OK);
        assert_string_equal(job.id, rows[i].id);
        assert_string_equal(job.state, rows[i].job_state);
        assert_string_equal(job.nodes, rows[i].nodes);
        assert_int_equal(job.number, rows[i].number);
        assert_int_equal(job.phase, rows[i].phase);
        assert_int_equal(job.end_unix_s > 0, rows[i].ended);
    }
}

static void test_lines_that_are_none(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "12", "12|", "12|x|FAILED", "sacct: error|-1|"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[64];
        wf_queue_job job;
        snprintf(line, sizeof line, "%s", lines[i]);
        assert_int_equal(wf_account_parse(line, &job), WF_IO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_lines_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
