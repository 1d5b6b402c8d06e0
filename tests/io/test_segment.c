// The segment writer: what is sealed when, and what is left when it dies or the disk is full.
#include "tests/base/base_test.h"

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/results/results_file.h"
#include "io/results/segment.h"
#include "tests/io/result_fixture.h"
#include "tests/io/shard_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
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

// Names in segments/g<group>: how many are sealed, how many are parts.
static void count_files(unsigned group, size_t *sealed, size_t *parts)
{
    char path[300];
    wf_paths names = {0};
    *sealed = *parts = 0;
    snprintf(path, sizeof path, "%s/segments/g%u", folder, group);
    if (!wf_file_exists(path)) return;
    assert_ok(wf_file_list(path, &names));
    for (size_t i = 0; i < names.n; i++) {
        if (strcmp(names.item[i], "reserve") == 0) continue;
        if (strstr(names.item[i], ".part"))
            ++*parts;
        else
            ++*sealed;
    }
    wf_paths_destroy(&names);
}

// Reads every sealed segment of group 0 and checks each row; returns their number.
static uint64_t read_back(wf_result_columns columns)
{
    uint64_t n = 0;
    size_t sealed, parts;
    count_files(0, &sealed, &parts);
    for (size_t i = 0; i < sealed; i++) {
        char path[320];
        const char *paths[] = {path};
        const wf_result *row;
        wf_results *results = NULL;
        snprintf(path, sizeof path, "%s/segments/g0/r0-e0-%05zu.h5", folder, i);
        assert_ok(wf_results_open_files(paths, 1, NULL, &results));
        assert_ok(wf_results_next(results, &row));
        for (; row; n++) {
            result_fixture_assert(row, columns);
            assert_ok(wf_results_next(results, &row));
        }
        wf_results_close(&results);
    }
    return n;
}

static void close_seals_everything(void **state)
{
    (void)state;
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 100, 50, 0, 0, 0);
    const wf_step_record step = {.start_ns = 5, .n_decode = 3, .run = 0, .group = 0};
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, 0, 100);
    result_fixture_put(writer, 1, 0, 50);
    assert_ok(wf_segment_writer_put_step(writer, &step));
    assert_ok(wf_segment_writer_close(&writer));
    assert_null(writer);
    assert_int_equal(read_back(config.columns), 150);
    size_t sealed, parts;
    count_files(0, &sealed, &parts);
    assert_int_equal(sealed, 1);
    assert_int_equal(parts, 0);
}

static void nothing_put_leaves_no_file(void **state)
{
    (void)state;
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 1, 1, 0, 0, 0);
    assert_ok(wf_segment_writer_create(&config, &writer));
    assert_ok(wf_segment_writer_sync(writer));
    assert_ok(wf_segment_writer_close(&writer));
    assert_int_equal(read_back(config.columns), 0);
}

static void columns_come_and_go(void **state)
{
    (void)state;
    static const wf_result_columns table[] = {
        {.token_times = false, .steps = false},
        {.token_times = true, .logprobs = true},
        {.token_times = true, .logprobs = true, .n_top = RESULT_FIXTURE_TOP},
        {.token_times = true, .logprobs = true, .n_top = RESULT_FIXTURE_TOP + 2},
        {.token_times = true, .logprobs = true, .n_top = 1},
        {.steps = true, .n_cached = 1},
        {.stop_strings = 1},
        {.token_times = true, .stop_strings = 1, .stop_kept = 1},
    };
    for (size_t i = 0; i < N_ROWS(table); i++) {
        wf_segment_writer *writer = NULL;
        wf_segment_config config = result_fixture_config(folder, 30, 1, 0, 0, 0);
        config.columns = table[i];
        assert_ok(wf_segment_writer_create(&config, &writer));
        result_fixture_put(writer, 0, 0, 30);
        assert_ok(wf_segment_writer_close(&writer));
        assert_int_equal(read_back(table[i]), 30);
        fixture_folder_remove(folder);
        fixture_folder_make(folder);
    }
}

static void size_seals(void **state)
{
    (void)state;
    wf_segment_writer *writer = NULL;
    wf_segment_status status;
    wf_segment_config config = result_fixture_config(folder, 1000000, 1, 0, 0, 0);
    config.seal_bytes = 50000;
    assert_ok(wf_segment_writer_create(&config, &writer));
    uint64_t rows = 0;
    do { // the thread may take much at once: only that it seals again and again is promised
        result_fixture_put(writer, 0, rows, rows + 500);
        rows += 500;
        usleep(1000);
        wf_segment_writer_status(writer, &status);
    } while (status.segments_sealed < 3 && rows < 1000000);
    assert_true(status.segments_sealed >= 3);
    assert_ok(wf_segment_writer_sync(writer));
    wf_segment_writer_status(writer, &status);
    assert_int_equal(status.rows_put, rows);
    assert_int_equal(status.rows_sealed, rows);
    assert_true(status.bytes_sealed > 0);
    assert_int_equal(status.error, WF_OK);
    assert_ok(wf_segment_writer_close(&writer));
    assert_int_equal(read_back(config.columns), rows);
}

static void age_seals(void **state)
{
    (void)state;
    wf_segment_writer *writer = NULL;
    wf_segment_status status = {0};
    wf_segment_config config = result_fixture_config(folder, 10, 1, 0, 0, 0);
    config.seal_ns = 20 * WF_NS_PER_MS;
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, 0, 10);
    while (status.rows_sealed < 10) { // the test's own time limit ends this when nothing comes
        wf_clock_sleep_until(wf_clock_ns() + WF_NS_PER_MS);
        wf_segment_writer_status(writer, &status);
    }
    assert_ok(wf_segment_writer_close(&writer));
    assert_int_equal(read_back(config.columns), 10);
}

// A queue of a few rows: put must wait for the thread and lose nothing.
static void small_queue_blocks_and_keeps_all(void **state)
{
    (void)state;
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 3000, 1, 0, 0, 0);
    config.queue_bytes = 2000;
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, 0, 3000);
    assert_ok(wf_segment_writer_close(&writer));
    assert_int_equal(read_back(config.columns), 3000);
}

static void abandon_gives_up_the_rest(void **state)
{
    (void)state;
    size_t sealed, parts;
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 100, 1, 0, 0, 0);
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, 0, 40);
    assert_ok(wf_segment_writer_sync(writer));
    result_fixture_put(writer, 0, 40, 100);
    wf_segment_writer_abandon(&writer);
    count_files(0, &sealed, &parts);
    assert_int_equal(parts, 0);
    assert_int_equal(read_back(config.columns), 40);
}

static void a_name_that_is_taken_is_refused(void **state)
{
    (void)state;
    char path[320];
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 10, 1, 0, 0, 0);
    assert_ok(wf_segment_writer_create(&config, &writer));
    snprintf(path, sizeof path, "%s/segments/g0/r0-e0-00000.h5", folder);
    assert_ok(wf_file_write_whole(path, "mine", 4, WF_PUBLISH_NEW));
    result_fixture_put(writer, 0, 0, 10);
    assert_int_equal(wf_segment_writer_close(&writer), WF_IN_USE);
    assert_contains(wf_error(), "r0-e0-00000.h5");
    char *text = NULL;
    assert_ok(wf_file_read(path, 100, &text, NULL));
    assert_string_equal(text, "mine");
    free(text);
}

static void a_newer_run_stops_the_writer(void **state)
{
    (void)state;
    char path[320];
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 10, 1, 0, 0, 0);
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, 0, 10);
    snprintf(path, sizeof path, "%s/runs", folder);
    assert_ok(wf_file_make_folders(path));
    snprintf(path, sizeof path, "%s/runs/1.json", folder);
    assert_ok(wf_file_write_whole(path, "{}", 2, WF_PUBLISH_NEW));
    assert_int_equal(wf_segment_writer_close(&writer), WF_IN_USE);
    size_t sealed, parts;
    count_files(0, &sealed, &parts);
    assert_int_equal(sealed, 0);
    assert_int_equal(parts, 0);
}

// --- children that die ---

// Seals a segment every 500 rows for ever.
static void write_until_killed(void)
{
    wf_segment_writer *writer = NULL;
    result_buffers b;
    wf_segment_config config = result_fixture_config(folder, UINT64_MAX, 1, 0, 0, 0);
    config.seal_bytes = 60000;
    if (wf_segment_writer_create(&config, &writer) != WF_OK) _exit(1);
    for (uint64_t row = 0;; row++) {
        wf_result r = result_fixture_row(0, row, &b);
        if (wf_segment_writer_put(writer, &r) != WF_OK) _exit(1);
    }
}

static void kill_leaves_whole_segments_only(void **state)
{
    (void)state;
    uint64_t seed = 12345;
    uint64_t rows = 0;
    for (int i = 0; i < 30; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        pid_t child = fork();
        if (child == 0) write_until_killed();
        assert_true(child > 0);
        size_t sealed, parts;
        do { // so far by its work, not by the clock: machines differ
            usleep(200);
            count_files(0, &sealed, &parts);
        } while (sealed < (seed >> 40) % 4);
        usleep((useconds_t)((seed >> 33) % 15000));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        count_files(0, &sealed, &parts);
        assert_true(parts <= 1);
        // Opening checks structure, reading the checksums, the fixture every value.
        rows += read_back((wf_result_columns){.token_times = true, .steps = true});
        fixture_folder_remove(folder);
        fixture_folder_make(folder);
    }
    assert_true(rows > 0);
}

// Writes with every file limited to `limit` bytes (EFBIG takes the place of a full disk). Exits
// with 0: all sealed; 2: a clean WF_IO that names the file; 3: anything else.
static void write_limited(rlim_t limit)
{
    wf_segment_writer *writer = NULL;
    result_buffers b;
    const struct rlimit most = {limit, limit};
    wf_segment_config config = result_fixture_config(folder, 3000, 1, 0, 0, 0);
    config.seal_bytes = 200000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &most);
    wf_status st = wf_segment_writer_create(&config, &writer);
    if (st == WF_IO && strstr(wf_error(), "reserve: no room for ")) exit(2);
    for (uint64_t row = 0; st == WF_OK && row < 3000; row++) {
        wf_result r = result_fixture_row(0, row, &b);
        st = wf_segment_writer_put(writer, &r);
    }
    wf_status closed = wf_segment_writer_close(&writer);
    if (closed == WF_OK) exit(st == WF_OK ? 0 : 3); // exit handlers run: HDF5's must not crash
    bool clear = closed == WF_IO && strstr(wf_error(), "segments/g0/r0-e0-") &&
                 strstr(wf_error(), "bytes") && (st == WF_OK || st == WF_IO);
    if (!clear) fprintf(stderr, "limit %ld: %s\n", (long)limit, wf_error());
    exit(clear ? 2 : 3);
}

static void a_full_disk_is_a_clean_error(void **state)
{
    (void)state;
    bool failed = false, passed = false;
    for (rlim_t limit = 0; !passed; limit = limit * 5 / 4 + 700) {
        pid_t child = fork();
        if (child == 0) write_limited(limit);
        assert_true(child > 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2);
        failed |= WEXITSTATUS(status) == 2;
        passed = WEXITSTATUS(status) == 0;
        size_t sealed, parts;
        count_files(0, &sealed, &parts);
        assert_int_equal(parts, 0);
        uint64_t rows = read_back((wf_result_columns){.token_times = true, .steps = true});
        if (passed) assert_int_equal(rows, 3000);
        fixture_folder_remove(folder);
        fixture_folder_make(folder);
    }
    assert_true(failed);
}

// A file system that really fills up, where we may mount one, loses nothing that was put.
static void a_full_file_system_keeps_all_that_was_put(void **state)
{
    (void)state;
    wf_segment_writer *writer = NULL;
    wf_segment_status status;
    result_buffers b;
    wf_status st = WF_OK;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "size=2m") != 0) {
        print_message("cannot mount a small file system here: not tried\n");
        return;
    }
    wf_segment_config config = result_fixture_config(folder, 100000, 1, 0, 0, 0);
    config.seal_bytes = 400000;
    assert_ok(wf_segment_writer_create(&config, &writer));
    for (uint64_t row = 0; st == WF_OK && row < 100000; row++) {
        wf_result r = result_fixture_row(0, row, &b);
        st = wf_segment_writer_put(writer, &r);
    }
    wf_segment_writer_status(writer, &status);
    st = wf_segment_writer_close(&writer);
    assert_int_equal(st, WF_IO);
    assert_contains(wf_error(), "segments/g0: the disk is nearly full");
    assert_contains(wf_error(), "all finished requests are sealed");
    size_t sealed, parts;
    count_files(0, &sealed, &parts);
    assert_true(sealed > 0);
    assert_int_equal(parts, 0);
    assert_int_equal(read_back(config.columns), status.rows_put);
    assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

static void test_the_first_seals_come_early(void **state)
{
    (void)state;
    static const struct {
        int64_t seal_s;
        uint64_t n_sealed;
        int64_t after_s;
    } rows[] = {{300, 0, 10},  {300, 1, 20},  {300, 2, 40},     {300, 4, 160},
                {300, 5, 300}, {300, 6, 300}, {300, 1000, 300}, {300, UINT64_MAX, 300},
                {4, 0, 4},     {15, 1, 15}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(wf_segment_seal_after_ns(rows[i].seal_s * 1000000000, rows[i].n_sealed),
                         rows[i].after_s * 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_seals_come_early),
        cmocka_unit_test_setup_teardown(kill_leaves_whole_segments_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_a_clean_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_file_system_keeps_all_that_was_put, setup, teardown),
        cmocka_unit_test_setup_teardown(close_seals_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_put_leaves_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(size_seals, setup, teardown),
        cmocka_unit_test_setup_teardown(age_seals, setup, teardown),
        cmocka_unit_test_setup_teardown(small_queue_blocks_and_keeps_all, setup, teardown),
        cmocka_unit_test_setup_teardown(abandon_gives_up_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_taken_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_run_stops_the_writer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
