// The record of submitted jobs: what was added is found, and lines that are none harm nothing.
#include "tests/launcher/cli_test.h"

#include "io/base/file.h"
#include "launcher/submission.h"

static void jobs_are(const char *dir, const char *expected)
{
    char *jobs = NULL;
    assert_int_equal(wf_submission_jobs(dir, &jobs), WF_OK);
    assert_string_equal(jobs, expected);
    free(jobs);
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void last_is(const char *dir, int task, bool cancelled)
{
    wf_submission_last last;
    assert_int_equal(wf_submission_last_find(dir, task, &last), WF_OK);
    assert_string_equal(last.job, "13");
    assert_true(last.submitted[0] != '\0');
    assert_int_equal(last.cancelled[0] != '\0', cancelled);
}

// Where Slurm took nothing, nothing is left.
static void test_forgotten(void **state)
{
    (void)state;
    char dir[] = "/tmp/weft-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(wf_submission_write(dir, "job: x\n", "#!/bin/bash\n"), WF_OK);
    wf_submission_forget(dir);
    assert_int_equal(rmdir(dir), 0); // it is empty
}

static void test_the_record(void **state)
{
    (void)state;
    char dir[] = "/tmp/weft-test-XXXXXX", path[256], *text = NULL;
    assert_non_null(mkdtemp(dir));
    jobs_are(dir, ""); // nothing was submitted
    assert_int_equal(wf_submission_write(dir, "job: x\n", "#!/bin/bash\n"), WF_OK);
    jobs_are(dir, "");
    assert_int_equal(wf_submission_add(dir, "12", 0), WF_OK);
    assert_int_equal(wf_submission_add(dir, "13", 4), WF_OK);
    jobs_are(dir, "12,13");

    snprintf(path, sizeof path, "%s/submit/jobs.jsonl", dir);
    assert_int_equal(wf_file_read(path, 1000, &text, NULL), WF_OK);
    assert_null(strstr(text, "\n\n")); // a line each: as many as WF_SUBMISSION_MAX are looked at
    free(text);
    append(path, "not a line\n{\"job\": 5}\n{\"job\": \"7; scancel -u root\"}\n\n{\"job\": \"14\"");
    jobs_are(dir, "12,13"); // the last one was cut off by a crash
    append(path, "}\n");
    jobs_are(dir, "12,13,14");
    append(path, "{\"job\": \"4\"}\n{\"job\": \"13\"}\n"); // each once, whoever wrote it
    jobs_are(dir, "12,13,14,4");
    assert_int_equal(wf_submission_cancelled(dir, "13_2"), WF_OK);
    jobs_are(dir, "12,13,14,4");
    last_is(dir, 2, true);
    last_is(dir, 1, false); // another task of the array
    wf_submission_forget(dir);
    jobs_are(dir, "12,13,14,4"); // a job may need it
    for (int i = 0; i < WF_SUBMISSION_MAX; i++) {
        char line[64];
        snprintf(line, sizeof line, "{\"job\": \"%d\"}\n", 1000 + i);
        append(path, line);
    }
    assert_int_equal(wf_submission_jobs(dir, &text), WF_OK); // the newest ones only
    assert_int_equal(strlen(text), 5 * WF_SUBMISSION_MAX - 1);
    free(text);

    snprintf(path, sizeof path, "%s/submit/job.yaml", dir);
    assert_int_equal(wf_file_read(path, 100, &text, NULL), WF_OK);
    assert_string_equal(text, "job: x\n");
    free(text);
    snprintf(path, sizeof path, "rm -r %s", dir);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_record),
                                       cmocka_unit_test(test_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
