// Reading results back, in order and at will; damaged and hostile files.
#include "tests/base/base_test.h"

#include "io/base/file.h"
#include "io/results/results_file.h"
#include "io/results/runfile.h"
#include "tests/io/result_fixture.h"
#include "tests/io/shard_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static char folder[256];

static int setup(void **state)
{
    (void)state;
    fixture_folder_make(folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    return 0;
}

static uint32_t start_run(void)
{
    wf_runs *runs = NULL;
    uint32_t run;
    assert_ok(wf_runs_open(folder, NULL, &runs));
    assert_ok(wf_runs_start(runs, &(wf_run_params){.identity = "{}"}, &run));
    wf_runs_close(&runs);
    return run;
}

// Group `group` writes rows [from, to) of shard 0 and as many steps; with stop strings, if any.
static void write_ending(uint16_t run, uint16_t group, uint64_t from, uint64_t to, uint32_t strings)
{
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 1000, 1000, run, group, 0);
    config.columns.stop_strings = strings;
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, from, to);
    for (uint64_t i = from; i < to; i++) {
        wf_step_record step = {.start_ns = (int64_t)i, .n_decode = (int32_t)i, .group = group};
        assert_ok(wf_segment_writer_put_step(writer, &step));
    }
    assert_ok(wf_segment_writer_close(&writer));
}

static void write_group(uint16_t run, uint16_t group, uint64_t from, uint64_t to)
{
    write_ending(run, group, from, to, 0);
}

// A column that is cut, in one file of several.
static void stop_strings_of_some_files(void **state)
{
    (void)state;
    wf_results *results = NULL;
    const wf_result *row;
    start_run();
    write_group(0, 0, 0, 50);
    write_ending(0, 1, 50, 90, 1);
    write_group(0, 2, 90, 140);
    const wf_results_options small = {.batch_bytes = 1000};
    assert_ok(wf_results_open(folder, &small, &results));
    assert_int_equal(wf_results_columns(results).stop_strings, 1);
    for (uint64_t i = 0; i < 140; i++) {
        assert_ok(wf_results_next(results, &row));
        result_fixture_assert(
            row, (wf_result_columns){.token_times = true, .stop_strings = i >= 50 && i < 90});
    }
    wf_results_close(&results);
}

static void a_folder_is_read_in_order(void **state)
{
    (void)state;
    wf_results *results = NULL;
    const wf_result *row;
    wf_step_record steps[64];
    size_t n, n_runs;
    start_run();
    write_group(0, 0, 0, 300);
    write_group(0, 1, 300, 500);
    const wf_results_options small = {.batch_bytes = 1000};
    assert_ok(wf_results_open(folder, &small, &results));
    assert_int_equal(wf_results_rows(results), 500);
    assert_int_equal(wf_results_files(results), 2);
    assert_int_equal(wf_results_job(results)->n_shards, 2);
    assert_string_equal(wf_results_job(results)->shards[1].uid, "uid-b");
    assert_string_equal(wf_results_job(results)->job_text, "job: test\nseed: 5\n");
    assert_int_equal(wf_results_job(results)->seed, 5);
    const wf_run_info *runs = wf_results_runs(results, &n_runs);
    assert_int_equal(n_runs, 2);
    assert_int_equal(runs[1].group, 1);
    assert_string_equal(runs[0].hosts, "nodeä1");
    assert_int_equal(runs[0].lag_limit_ns, -1);
    assert_int_equal(runs[0].load_bytes, 16000000000);
    assert_false(wf_results_complete(results));
    for (uint64_t i = 0; i < 500; i++) {
        assert_ok(wf_results_next(results, &row));
        assert_int_equal(row->row, i);
        result_fixture_assert(row, (wf_result_columns){.token_times = true});
    }
    assert_ok(wf_results_next(results, &row));
    assert_null(row);
    uint64_t sum = 0;
    do {
        assert_ok(wf_results_next_steps(results, steps, 64, &n));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(steps[i].n_decode, sum + i);
        sum += n;
    } while (n > 0);
    assert_int_equal(sum, 500);
    wf_results_close(&results);
    assert_ok(wf_run_complete(folder, 0));
    assert_ok(wf_results_open(folder, NULL, &results));
    assert_true(wf_results_complete(results));
    wf_results_close(&results);
}

static void rows_are_loaded_at_will(void **state)
{
    (void)state;
    wf_results *results = NULL;
    wf_result_key keys[10];
    start_run();
    write_group(0, 0, 0, 300);
    assert_ok(wf_results_open(folder, NULL, &results));
    assert_ok(wf_results_keys(results, 0, 120, 10, keys));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(keys[i].row, 120 + i);
    assert_ok(wf_results_load(results, 0, 120, 10));
    for (size_t i = 0; i < 10; i++)
        result_fixture_assert(wf_results_at(results, i), (wf_result_columns){.token_times = true});
    assert_null(wf_results_at(results, 10));
    assert_int_not_equal(wf_results_load(results, 0, 295, 10), WF_OK);
    assert_contains(wf_error(), "300");
    wf_results_close(&results);
}

static void nothing_there_is_said(void **state)
{
    (void)state;
    wf_results *results = NULL;
    assert_int_equal(wf_results_open(folder, NULL, &results), WF_NO_INPUT);
    assert_contains(wf_error(), "no job was started here");
    assert_int_equal(wf_results_open("/nowhere/at/all", NULL, &results), WF_NO_INPUT);
    assert_null(results);
}

// Python makes each kind of damage of a good segment; the reader must refuse it with a line that
// names the place, in the open or in a full read.
static void damaged_files_are_refused(void **state)
{
    (void)state;
    char command[700];
    wf_paths names = {0};
    write_group(0, 0, 0, 300);
    snprintf(command, sizeof command,
             "/usr/bin/python3 " WEFT_SOURCE_DIR "/tests/io/malformed_results.py "
             "%s/segments/g0/r0-e0-00000.h5 %s/bad",
             folder, folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/bad", folder);
    assert_ok(wf_file_list(command, &names));
    assert_true(names.n > 20);
    for (size_t i = 0; i < names.n; i++) {
        wf_results *results = NULL;
        const wf_result *row = NULL;
        char path[400], place[128];
        // The name is <what>@<where the complaint must point, with : for />.h5
        snprintf(path, sizeof path, "%s/bad/%s", folder, names.item[i]);
        snprintf(place, sizeof place, "%s", strchr(names.item[i], '@') + 1);
        *strstr(place, ".h5") = '\0';
        for (char *c = place; *c; c++)
            if (*c == ':') *c = '/';
        wf_status st = wf_results_open(path, NULL, &results);
        if (st == WF_OK) st = wf_results_next(results, &row);
        while (st == WF_OK && row)
            st = wf_results_next(results, &row);
        wf_results_close(&results);
        if (st != WF_DATA) print_error("%s was read without complaint\n", names.item[i]);
        assert_int_equal(st, WF_DATA);
        assert_contains(wf_error(), "/bad/");
        assert_contains(wf_error(), place);
    }
    wf_paths_destroy(&names);
}

static void pandas_reads_it_in_a_line(void **state)
{
    (void)state;
    char command[600];
    write_group(0, 0, 0, 300);
    snprintf(command, sizeof command,
             "/usr/bin/python3 " WEFT_SOURCE_DIR "/tests/io/read_results.py "
             "%s/segments/g0/r0-e0-00000.h5 300",
             folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stop_strings_of_some_files, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_is_read_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_loaded_at_will, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_there_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(pandas_reads_it_in_a_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
