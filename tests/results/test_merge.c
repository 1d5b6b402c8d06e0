// Merging: every row once, in key order, unchanged; overlap and damage are errors.
#include "tests/base/base_test.h"

#include "io/base/file.h"
#include "io/results/results_file.h"
#include "io/results/results_manifest.h"
#include "io/results/runfile.h"
#include "results/merge.h"
#include "tests/results/run_fixture.h"

#include <unistd.h>

static run_fixture fixture;

static int setup(void **state)
{
    (void)state;
    run_fixture_make(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run_fixture_remove(&fixture);
    return 0;
}

static void assert_row(const wf_result *row, uint32_t shard, uint64_t number)
{
    run_row_buffers b;
    wf_result want = run_fixture_row(shard, number, &b);
    assert_int_equal(row->shard, shard);
    assert_int_equal(row->row, number);
    assert_int_equal(row->id, want.id);
    assert_int_equal(row->status, want.status);
    assert_int_equal(row->finish_ns, want.finish_ns);
    assert_int_equal(row->n_tokens, want.n_tokens);
    if (want.n_tokens > 0) {
        assert_memory_equal(row->token_id, want.token_id, want.n_tokens * sizeof(int32_t));
        assert_memory_equal(row->token_time_ns, want.token_time_ns,
                            want.n_tokens * sizeof(int64_t));
    }
    assert_int_equal(row->meta_bytes, want.meta_bytes);
    if (want.meta_bytes) assert_memory_equal(row->meta, want.meta, want.meta_bytes);
    if (want.error)
        assert_string_equal(row->error, want.error);
    else
        assert_null(row->error);
}

static void assert_merged(const char *path)
{
    wf_results *results = NULL;
    const wf_result *row;
    size_t n_runs;
    assert_ok(wf_results_open(path, NULL, &results));
    assert_int_equal(wf_results_files(results), 1);
    assert_int_equal(wf_results_rows(results), RUN_ROWS_A + RUN_ROWS_B);
    assert_int_equal(wf_results_steps(results), RUN_ROWS_A + RUN_ROWS_B);
    wf_results_runs(results, &n_runs);
    assert_int_equal(n_runs, 2);
    for (uint32_t shard = 0; shard < 2; shard++) {
        for (uint64_t i = 0; i < fixture.shards[shard].rows; i++) {
            assert_ok(wf_results_next(results, &row));
            assert_row(row, shard, i);
        }
    }
    assert_ok(wf_results_next(results, &row));
    assert_null(row);
    wf_results_close(&results);
}

static void rows_come_in_key_order(void **state)
{
    (void)state;
    static const uint64_t block_bytes[] = {0, 1, 3000, 100000};
    run_fixture_complete(&fixture);
    for (size_t i = 0; i < N_ROWS(block_bytes); i++) {
        wf_merge_summary summary;
        const wf_merge_options options = {.block_bytes = block_bytes[i]};
        assert_ok(wf_merge(fixture.out, &options, &summary));
        assert_int_equal(summary.rows, RUN_ROWS_A + RUN_ROWS_B);
        assert_true(summary.n_segments > 4);
        assert_true(summary.bytes > 0);
        assert_merged(fixture.out); // the folder is read through results.h5 now
    }
}

static bool covered(void)
{
    static const wf_runs_options look = {.read_only = true};
    wf_runs *runs = NULL;
    size_t n;
    bool covers;
    assert_ok(wf_runs_open(fixture.out, &look, &runs));
    const wf_segment_ref *refs = wf_runs_segments(runs, &n);
    assert_ok(wf_manifest_covers(fixture.out, refs, n, &covers));
    wf_runs_close(&runs);
    return covers;
}

static void a_partial_merge_is_replaced(void **state)
{
    (void)state;
    wf_results *results = NULL;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, RUN_ROWS_A, 1);
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    assert_true(covered());
    run_fixture_write(&fixture, run, 1, 0, 1, 0, RUN_ROWS_B, 1);
    assert_false(covered());
    assert_ok(wf_results_open(fixture.out, NULL, &results)); // the segments, not the old merge
    assert_int_equal(wf_results_files(results), 2);
    assert_int_equal(wf_results_rows(results), RUN_ROWS_A + RUN_ROWS_B);
    wf_results_close(&results);
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    assert_true(covered());
    assert_merged(fixture.out);
}

static void overlap_is_an_error(void **state)
{
    (void)state;
    char path[400];
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 20, 1);
    run_fixture_write(&fixture, run, 1, 0, 0, 19, 40, 1);
    assert_int_equal(wf_merge(fixture.out, NULL, NULL), WF_DATA);
    assert_contains(wf_error(), "row 19 sample 0");
    assert_contains(wf_error(), "g0/r0-e0-00000.h5 (row 19)");
    assert_contains(wf_error(), "g1/r0-e0-00000.h5 (row 0)");
    snprintf(path, sizeof path, "%s/results.h5", fixture.out);
    assert_false(wf_file_exists(path));
    wf_paths names = {0};
    assert_ok(wf_file_list(fixture.out, &names));
    for (size_t i = 0; i < names.n; i++)
        assert_null(strstr(names.item[i], ".part"));
    wf_paths_destroy(&names);
}

static void a_changed_segment_is_an_error(void **state)
{
    (void)state;
    char path[400];
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 20, 1);
    run_fixture_start(&fixture); // records the checksum
    snprintf(path, sizeof path, "%s/segments/g0/r0-e0-00000.h5", fixture.out);
    // Texts are stored without a checksum of their own: only that of the file can see this.
    char *text = NULL;
    size_t n;
    assert_ok(wf_file_read(path, 1 << 20, &text, &n));
    char *at = memmem(text, n, fixture.path[1], strlen(fixture.path[1]));
    assert_non_null(at);
    FILE *file = fopen(path, "r+b");
    fseek(file, at - text + 1, SEEK_SET);
    fputc('X', file);
    fclose(file);
    free(text);
    wf_status st = wf_merge(fixture.out, NULL, NULL);
    assert_int_equal(st, WF_DATA);
    assert_contains(wf_error(), "r0-e0-00000.h5");
}

static void nothing_to_merge_is_said(void **state)
{
    (void)state;
    assert_int_equal(wf_merge(fixture.out, NULL, NULL), WF_NO_INPUT);
    assert_contains(wf_error(), "no sealed results");
}

// Two tasks of a job array, each with its own shard and the same run and group numbers.
static void folders_are_joined(void **state)
{
    (void)state;
    char places[2][300], path[300];
    const char *list[] = {places[0], places[1]};
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(places[i], sizeof places[i], "%s/a%u", fixture.folder, i);
        memcpy(fixture.out, places[i], sizeof fixture.out);
        assert_ok(wf_file_make_folders(fixture.out));
        uint16_t run = run_fixture_start(&fixture);
        run_fixture_write(&fixture, run, 0, 0, i, 0, fixture.shards[i].rows, 1);
    }
    snprintf(path, sizeof path, "%s/all.h5", fixture.folder);
    wf_merge_summary summary;
    assert_ok(wf_merge_many(list, 2, path, NULL, &summary));
    assert_int_equal(summary.rows, RUN_ROWS_A + RUN_ROWS_B);
    assert_merged(path);
    wf_results *results = NULL;
    size_t n;
    assert_ok(wf_results_open(path, NULL, &results));
    const wf_run_info *runs = wf_results_runs(results, &n);
    assert_int_equal(runs[0].group, 0);
    assert_int_equal(runs[1].group, 1);
    wf_results_close(&results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_in_key_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_partial_merge_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(overlap_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_segment_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_merge_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_are_joined, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
