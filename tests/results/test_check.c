// The checker: it passes what is right and finds every fault that is put in.
#include "tests/base/base_test.h"

#include "io/base/file.h"
#include "io/results/runfile.h"
#include "results/check/check.h"
#include "results/merge.h"
#include "tests/results/run_fixture.h"

#include <unistd.h>

static run_fixture fixture;
static char text[1 << 16]; // what the last check printed
static wf_check_report report;

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

static wf_status check_with(const char *path, const wf_check_options *options)
{
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    wf_status st = wf_check_run(path, options, out, &report);
    fclose(out);
    return st;
}

static void expect_ok(const char *path)
{
    wf_status st = check_with(path, NULL);
    if (st != WF_OK) print_error("%s\n%s\n", wf_error(), text);
    assert_int_equal(st, WF_OK);
    assert_int_equal(report.n_problems, 0);
}

static void expect_problem(const char *path, const char *part)
{
    wf_status st = check_with(path, NULL);
    if (st != WF_DATA) print_error("no problem, expected: %s\n%s\n", part, text);
    assert_int_equal(st, WF_DATA);
    assert_true(report.n_problems > 0);
    assert_contains(text, part);
}

static void name(char path[400], const char *file)
{
    snprintf(path, 400, "%s/%s", fixture.out, file);
}

static void right_results_pass(void **state)
{
    (void)state;
    char path[400];
    run_fixture_complete(&fixture);
    expect_ok(fixture.out);
    assert_true(report.complete);
    assert_false(report.without_input);
    assert_int_equal(report.n_rows, RUN_ROWS_A + RUN_ROWS_B);
    assert_int_equal(report.n_failed, RUN_ROWS_A / 11 + RUN_ROWS_B / 11);
    assert_true(report.n_tokens > 1000);
    uint64_t n_tokens = report.n_tokens;
    assert_contains(text, "complete: yes");
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    expect_ok(fixture.out);
    assert_true(report.complete);
    assert_int_equal(report.n_rows, RUN_ROWS_A + RUN_ROWS_B);
    assert_int_equal(report.n_tokens, n_tokens);
    name(path, "results.h5");
    expect_ok(path);
    assert_true(report.complete);
}

static void partial_results_say_what_is_missing(void **state)
{
    (void)state;
    const wf_check_options strict = {.require_complete = true};
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 100, 1);
    run_fixture_write(&fixture, run, 1, 0, 0, 103, 300, 1);
    expect_ok(fixture.out);
    assert_false(report.complete);
    assert_int_equal(report.n_missing, 3 + RUN_ROWS_B);
    assert_contains(text, "complete: no");
    assert_contains(text, "rows 100-102");
    assert_contains(text, "rows 0-89");
    assert_int_equal(check_with(fixture.out, &strict), WF_DATA);
    assert_ok(wf_run_complete(fixture.out, run)); // a lie
    expect_problem(fixture.out, "run 0 says it is complete, but 93 results are missing");
}

static void resumed_and_void_segments(void **state)
{
    (void)state;
    char from[400], to[400];
    uint32_t epoch;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 100, 1);
    run_fixture_write(&fixture, run, 1, 0, 1, 0, 90, 1);
    assert_int_equal(run_fixture_start(&fixture), 1);
    run_fixture_write(&fixture, 1, 0, 0, 0, 100, 150, 1);
    assert_ok(wf_run_raise_epoch(fixture.out, 1, 0, &epoch));
    run_fixture_write(&fixture, 1, 0, 1, 0, 150, 300, 1);
    expect_ok(fixture.out);
    assert_true(report.complete);
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    expect_ok(fixture.out);
    // The same rows once more, from runs and epochs that are over: they do not count.
    name(from, "segments/g1/r0-e0-00000.h5");
    name(to, "segments/g1/r0-e0-00001.h5");
    assert_int_equal(link(from, to), 0);
    name(from, "segments/g0/r1-e0-00000.h5");
    name(to, "segments/g0/r1-e0-00001.h5");
    assert_int_equal(link(from, to), 0);
    name(to, "segments/g0/r1-e1-00001.h5.part");
    assert_int_equal(link(from, to), 0);
    expect_ok(fixture.out);
    assert_true(report.complete);
    assert_contains(text, "g1/r0-e0-00001.h5: void");
    assert_contains(text, "g0/r1-e0-00001.h5: void");
    assert_contains(text, "g0/r1-e1-00001.h5.part: not sealed");
    // The same rows from where they do count.
    name(to, "segments/g0/r1-e1-00001.h5");
    assert_int_equal(link(from, to), 0);
    expect_problem(fixture.out, "is here a second time");
    unlink(to);
    // What is listed must be there, and be what it was.
    name(from, "segments/g1/r0-e0-00000.h5");
    name(to, "gone");
    assert_int_equal(rename(from, to), 0);
    expect_problem(fixture.out, "r0-e0-00000.h5: is missing, but a run file lists it");
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(truncate(from, 5000), 0);
    expect_problem(fixture.out, "bytes, the run file says");
}

static void results_must_match_their_segments(void **state)
{
    (void)state;
    char merged[400], other[400];
    run_fixture_complete(&fixture);
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    name(merged, "results.h5");
    // Unsorted: a segment in the place of the merged file.
    name(other, "segments/g1/r0-e0-00001.h5");
    assert_int_equal(unlink(merged), 0);
    assert_int_equal(link(other, merged), 0);
    expect_problem(fixture.out, "the manifest says");
    assert_contains(text, "is not in key order");
    assert_contains(text, "does not hold what its segments hold");
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    expect_ok(fixture.out);
    // One byte more.
    FILE *file = fopen(merged, "ab");
    fputc('x', file);
    fclose(file);
    expect_problem(fixture.out, "bytes, the manifest says");
}

static void without_shards_it_says_so(void **state)
{
    (void)state;
    run_fixture_complete(&fixture);
    assert_int_equal(unlink(fixture.path[1]), 0);
    expect_ok(fixture.out);
    assert_true(report.complete);
    assert_true(report.without_input);
    assert_contains(text, "is not there any more");
    assert_int_equal(rename(fixture.path[0], fixture.path[1]), 0);
    expect_ok(fixture.out);
    assert_contains(text, "is another file now");
}

static void nothing_to_check_is_said(void **state)
{
    (void)state;
    assert_int_equal(check_with(fixture.out, NULL), WF_NO_INPUT);
    assert_int_equal(check_with("/nowhere/at/all", NULL), WF_NO_INPUT);
}

// --- faults in single rows, as a wrong writer would make them ---

#define FAULT(fault_name, statement)                                                               \
    static void fault_name(wf_result *r, run_row_buffers *b)                                       \
    {                                                                                              \
        (void)r, (void)b;                                                                          \
        statement;                                                                                 \
    }

FAULT(wrong_id, r->id++)
FAULT(wrong_prompt_len, r->prompt_len++)
FAULT(wrong_shard, r->shard = 2)
FAULT(wrong_row, r->row = RUN_ROWS_A)
FAULT(row_of_another, r->row--)
FAULT(wrong_status, r->status = 2)
FAULT(no_reason, r->finish_reason = WF_FINISH_NONE)
FAULT(error_reason, r->finish_reason = WF_FINISH_ERROR)
FAULT(code_of_done, r->error_code = WF_REQ_EMPTY)
FAULT(text_of_done, r->error = "why")
FAULT(no_tokens, r->n_tokens = 0)
FAULT(short_length, r->n_tokens--; r->finish_ns = b->time[r->n_tokens - 1])
FAULT(too_long, b->token[r->n_tokens] = 40; b->time[r->n_tokens++] = r->finish_ns)
FAULT(token_beyond, b->token[1] = 256)
FAULT(token_negative, b->token[0] = -1)
FAULT(times_fall, b->time[2] = b->time[1] - 1)
FAULT(first_differs, r->first_token_ns--)
FAULT(last_differs, r->finish_ns++)
FAULT(submitted_early, r->submitted_ns = r->arrival_ns - 1)
FAULT(admitted_early, r->admitted_ns = r->submitted_ns - 1)
FAULT(first_early, r->first_token_ns = b->time[0] = r->admitted_ns - 1)
FAULT(never_admitted, r->admitted_ns = -1)
FAULT(arrival_negative, r->arrival_ns = -5)
FAULT(run_of_another, r->run = 1)
FAULT(group_of_another, r->group = 1)
FAULT(failed_with_tokens, r->status = WF_RESULT_FAILED; r->error = "why";
      r->error_code = WF_REQ_TOKEN; r->finish_reason = WF_FINISH_ERROR)
FAULT(failed_without_text, r->status = WF_RESULT_FAILED; r->n_tokens = 0;
      r->error_code = WF_REQ_TOKEN; r->finish_reason = WF_FINISH_ERROR)
FAULT(failed_without_code, r->status = WF_RESULT_FAILED; r->n_tokens = 0; r->error = "why";
      r->finish_reason = WF_FINISH_ERROR)
FAULT(failed_by_length, r->status = WF_RESULT_FAILED; r->n_tokens = 0; r->error = "why";
      r->error_code = WF_REQ_TOKEN)

static const struct {
    void (*fault)(wf_result *, run_row_buffers *);
    const char *says;
} faults[] = {
    {wrong_id, "/requests/id:46: 1047, the request's is 1046"},
    {wrong_prompt_len, "/requests/prompt_len:46: "},
    {wrong_shard, "/requests/shard:46: 2, there are 2 shards"},
    {wrong_row, "/requests/row:46: 300, the shard has 300 rows"},
    {row_of_another, "/requests/row:46: row 45 sample 0"},
    {wrong_status, "/requests/status:46: 2 is no status"},
    {no_reason, "/requests/finish_reason:46: 0, of a done row"},
    {error_reason, "/requests/finish_reason:46: 4, of a done row"},
    {code_of_done, "/requests/error_code:46: 100, of a done row"},
    {text_of_done, "/requests/error_offset:46: a done row has an error text"},
    {no_tokens, "/requests/output_offset:46: a done row has no tokens"},
    {short_length, "/requests/finish_reason:46: length, with 46 of 47 tokens"},
    {too_long, "/requests/output_offset:46: 48 tokens, at most 47 were asked for"},
    {token_beyond, "/tokens/id:46: token 1 of the row is 256"},
    {token_negative, "/tokens/id:46: token 0 of the row is -1"},
    {times_fall, "/tokens/time_ns:46: token 2 of the row came before"},
    {first_differs, "/tokens/time_ns:46: first is "},
    {last_differs, "/tokens/time_ns:46: last is "},
    {submitted_early, "/requests/submitted_ns:46: 45999999 is before 46000000"},
    {admitted_early, "/requests/admitted_ns:46: "},
    {first_early, "/requests/first_token_ns:46: "},
    {never_admitted, "/requests/admitted_ns:46: never, of a done row"},
    {arrival_negative, "/requests/arrival_ns:46: -5"},
    {run_of_another, "/requests/run:46: run 1 group 0 in a segment of run 0 group 0"},
    {group_of_another, "/requests/run:46: run 0 group 1 in a segment"},
    {failed_with_tokens, "/requests/output_offset:46: a failed row has tokens"},
    {failed_without_text, "/requests/error_offset:46: a failed row has no error text"},
    {failed_without_code, "/requests/error_code:46: a failed row has no code"},
    {failed_by_length, "/requests/finish_reason:46: 2, of a failed row"},
};

static bool put_fault(wf_result *row, run_row_buffers *buffers, void *context)
{
    if (row->row == 46) faults[*(size_t *)context].fault(row, buffers);
    return true;
}

static void every_fault_of_a_row_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(faults); i++) {
        char command[400];
        uint16_t run = run_fixture_start(&fixture);
        run_fixture_write_changed(&fixture, run, 0, 0, 0, RUN_ROWS_A, put_fault, &i);
        expect_problem(fixture.out, faults[i].says);
        snprintf(command, sizeof command, "rm -rf '%s'/*", fixture.out);
        assert_int_equal(system(command), 0);
    }
}

static bool put_two_samples(wf_result *row, run_row_buffers *buffers, void *context)
{
    (void)buffers;
    row->sample = *(uint16_t *)context;
    return row->row != 7 || row->sample == 0; // one sample of one row is missing
}

static void samples_are_counted(void **state)
{
    (void)state;
    fixture.n = 2;
    uint16_t run = run_fixture_start(&fixture);
    for (uint16_t sample = 0; sample < 2; sample++) {
        run_fixture_write_changed(&fixture, run, sample, 1, 0, RUN_ROWS_B, put_two_samples,
                                  &sample);
    }
    run_fixture_write(&fixture, run, 2, 0, 0, 0, RUN_ROWS_A, 1);
    // The shards have no column n: as many samples as the job asks for.
    expect_ok(fixture.out);
    assert_int_equal(report.n_missing, 1 + RUN_ROWS_A);
    assert_contains(text, "rows 7");
}

// Nobody has a second sample, so no row tells by itself that there must be one.
static void all_second_samples_may_be_gone(void **state)
{
    (void)state;
    fixture.n = 2;
    run_fixture_complete(&fixture);
    expect_problem(fixture.out, "says it is complete, but 390 results are missing");
}

static void put_n(wf_request *request)
{
    if (request->row % 2 == 0) return; // says nothing: the job decides
    request->sampling.n = 1;
    request->sampling_set |= 1u << WF_SAMPLING_n;
}

static void rows_that_set_no_n_take_the_jobs(void **state)
{
    (void)state;
    run_fixture_change_shard(&fixture, 1, put_n);
    run_fixture_complete(&fixture);
    expect_ok(fixture.out);
    assert_true(report.complete);
    assert_int_equal(report.n_missing, 0);
}

// --- values that contradict nothing, changed in a sealed segment and in its checksums ---

static const struct {
    const char *change, *says;
} changes[] = {
    {"f['requests/arrival_ns'][5] -= 1", "/requests/arrival_ns: its values have xxh64 "},
    {"f['requests/meta'][3] ^= 1", "/requests/meta: its values have xxh64 "},
    {"f['tokens/time_ns'][50] += 1", "/tokens/time_ns: its values have xxh64 "},
    {"f['tokens/id'][50] ^= 1", "/tokens/id: its values have xxh64 "},
    {"f['steps/n_waiting'][0] += 1", "/steps/n_waiting: its values have xxh64 "},
    {"f['runs/speed'][0] = 2", "/runs/speed: its values have xxh64 "},
    {"f['shards/path'][0] = b'x'", "/shards/path: its values have xxh64 "},
    {"del f['tokens/id'].attrs['xxh64']", "/tokens/id: has no attribute 'xxh64'"},
    {"f.attrs['digest'] = np.bytes_('0123456789abcdef')", "its digest is "},
    {"del f.attrs['digest']", "carries no digest, its journal says "},
    {"f['requests/n_cached'][5] = f['requests/prompt_len'][5]; redo(f)", "/requests/n_cached:5: "},
    {"f['requests/stop_string_offset'][6:8] = f['requests/stop_string_offset'][5]; redo(f)",
     "/requests/stop_string_offset:7: a stop string, of a row that did not stop"},
    {"f['requests/stop_string_offset'][2] += 9; redo(f)", "/requests/stop_string_offset:3: "},
    {"f['requests/preempted'][9] += 1; redo(f)", "the digest of its columns is "},
};

static void change_segment(const char *change)
{
    char command[1200];
    snprintf(command, sizeof command,
             "/usr/bin/python3 " WEFT_SOURCE_DIR "/tests/results/change_segment.py "
             "%s/segments/g0/r0-e0-00000.h5 \"%s\"",
             fixture.out, change);
    assert_int_equal(system(command), 0);
}

static void every_changed_value_is_found(void **state)
{
    (void)state;
    char path[400], *good = NULL;
    size_t n;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 60, 1);
    name(path, "segments/g0/r0-e0-00000.h5");
    assert_ok(wf_file_read(path, 1 << 24, &good, &n));
    for (size_t i = 0; i < N_ROWS(changes); i++) {
        change_segment(changes[i].change);
        expect_problem(fixture.out, changes[i].says);
        assert_ok(wf_file_write_whole(path, good, n, WF_PUBLISH_FAST));
        expect_ok(fixture.out);
    }
    free(good);
}

static void a_segment_that_was_taken_away_is_missed(void **state)
{
    (void)state;
    char path[400];
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write_in_parts(&fixture, run, 0, 0, 0, 90, 30);
    expect_ok(fixture.out);
    name(path, "segments/g0/r0-e0-00001.h5");
    assert_int_equal(unlink(path), 0);
    expect_problem(fixture.out, "g0/r0-e0-00001.h5: is missing, but its journal has it");
    name(path, "runs/0-g0-e0.sealed.jsonl");
    assert_int_equal(unlink(path), 0);
    expect_problem(fixture.out, "its journal, runs/0-g0-e0.sealed.jsonl, is missing");
}

static void a_cut_file_is_said_to_be_cut_and_not_complete(void **state)
{
    (void)state;
    char path[400], says[64], *whole = NULL;
    size_t n;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 60, 1);
    name(path, "segments/g0/r0-e0-00000.h5");
    assert_ok(wf_file_read(path, 1 << 24, &whole, &n));
    snprintf(says, sizeof says, "it is truncated: 4000 of its %zu bytes are there", n);
    name(path, "cut.h5");
    assert_ok(wf_file_write_whole(path, whole, 4000, WF_PUBLISH_FAST));
    free(whole);
    const wf_check_options strict = {.require_complete = true};
    expect_problem(path, says);
    assert_false(report.complete);
    assert_int_equal(check_with(path, &strict), WF_DATA);
    assert_int_equal(report.n_problems, 1);
}

static void a_folder_without_results_says_what_is_missing(void **state)
{
    (void)state;
    run_fixture_start(&fixture);
    assert_int_equal(check_with(fixture.out, NULL), WF_NO_INPUT);
    assert_contains(wf_error(), "holds no sealed results");
    assert_contains(text, "complete: no");
}

// Of a version before digests: read as ever, with a note.
static void older_folders_stay_right(void **state)
{
    (void)state;
    char path[400];
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 60, 1);
    change_segment("forget(f)");
    name(path, "runs/0-g0-e0.sealed.jsonl");
    assert_int_equal(unlink(path), 0);
    expect_ok(fixture.out);
    assert_contains(text, "1 file of an older version without digests");
}

// Faults of the file itself, made by Python.
static void every_fault_of_a_file_is_found(void **state)
{
    (void)state;
    char command[900], folder[400];
    wf_paths names = {0};
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, RUN_ROWS_A, 1);
    name(folder, "bad");
    snprintf(command, sizeof command,
             "/usr/bin/python3 " WEFT_SOURCE_DIR "/tests/io/malformed_results.py "
             "%s/segments/g0/r0-e0-00000.h5 %s",
             fixture.out, folder);
    assert_int_equal(system(command), 0);
    assert_ok(wf_file_list(folder, &names));
    assert_true(names.n > 20);
    for (size_t i = 0; i < names.n; i++) {
        char path[700], place[128];
        snprintf(path, sizeof path, "%s/%s", folder, names.item[i]);
        snprintf(place, sizeof place, "%s", strchr(names.item[i], '@') + 1);
        *strstr(place, ".h5") = '\0';
        for (char *c = place; *c; c++)
            if (*c == ':') *c = '/';
        expect_problem(path, place);
    }
    wf_paths_destroy(&names);
}

// Whatever a damaged file does to HDF5, the checker comes back with a verdict.
static void random_damage_gets_a_verdict(void **state)
{
    (void)state;
    char path[400];
    char *good = NULL;
    size_t n, n_found = 0;
    uint64_t seed = 99;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 60, 1);
    name(path, "segments/g0/r0-e0-00000.h5");
    assert_ok(wf_file_read(path, 1 << 24, &good, &n));
    for (int i = 0; i < 150; i++) {
        char *bad = malloc(n);
        memcpy(bad, good, n);
        for (int k = 0; k <= i % 4; k++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            // Every other mutant hits the first kilobytes, where the structure lies.
            size_t at = (size_t)(seed >> 20) % (i % 2 ? n : 4096);
            bad[at] = (char)(bad[at] ^ (char)(1 + (seed >> 12) % 255));
        }
        assert_ok(wf_file_write_whole(path, bad, n, WF_PUBLISH_FAST));
        free(bad);
        wf_status st = check_with(fixture.out, NULL);
        assert_true(st == WF_OK || st == WF_DATA);
        n_found += st == WF_DATA;
    }
    assert_true(n_found > 100);
    free(good);
}

static void messages_are_limited_and_counted(void **state)
{
    (void)state;
    const wf_check_options few = {.max_messages = 3};
    size_t fault = 0;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write_changed(&fixture, run, 0, 0, 0, RUN_ROWS_A, put_fault, &fault);
    // The same rows twice, in another group.
    run_fixture_write(&fixture, run, 1, 0, 0, 0, 50, 1);
    assert_int_equal(check_with(fixture.out, &few), WF_DATA);
    assert_int_equal(report.n_problems, 51);
    assert_contains(text, "problem: ... and 48 more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(right_results_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(partial_results_say_what_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(resumed_and_void_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(results_must_match_their_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(without_shards_it_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_check_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(every_fault_of_a_row_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(all_second_samples_may_be_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_that_set_no_n_take_the_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(every_changed_value_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_was_taken_away_is_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_file_is_said_to_be_cut_and_not_complete, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_folder_without_results_says_what_is_missing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(older_folders_stay_right, setup, teardown),
        cmocka_unit_test_setup_teardown(every_fault_of_a_file_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(random_damage_gets_a_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_are_limited_and_counted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
