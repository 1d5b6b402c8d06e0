// Runs, epochs, fences, what is done, identity and ownership of an output folder.
#include "tests/base/base_test.h"

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/results/runfile.h"
#include "io/results/runfile_done.h"
#include "io/results/runfile_owner.h"
#include "tests/io/result_fixture.h"
#include "tests/io/shard_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[256];
static char reports[8192]; // the lines said since said_nothing()

static int setup(void **state)
{
    (void)state;
    fixture_folder_make(folder);
    reports[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    return 0;
}

static void hear(void *context, const char *line)
{
    (void)context;
    size_t n = strlen(reports);
    snprintf(reports + n, sizeof reports - n, "%s\n", line);
}

static const wf_runs_options listen = {.report = hear};

static void file_name(char path[400], const char *name)
{
    snprintf(path, 400, "%s/%s", folder, name);
}

static void assert_there(const char *name, bool there)
{
    char path[400];
    file_name(path, name);
    if (wf_file_exists(path) != there) print_error("%s\n", name);
    assert_int_equal(wf_file_exists(path), there);
}

static wf_runs *open_runs(void)
{
    wf_runs *runs = NULL;
    assert_ok(wf_runs_open(folder, &listen, &runs));
    return runs;
}

static uint32_t start_run(const char *identity)
{
    uint32_t run;
    wf_runs *runs = open_runs();
    assert_ok(wf_runs_start(runs, &(wf_run_params){.identity = identity, .job_id = "7"}, &run));
    wf_runs_close(&runs);
    return run;
}

static void write_rows(uint16_t run, uint16_t group, uint16_t epoch, uint64_t from, uint64_t to)
{
    wf_segment_writer *writer = NULL;
    wf_segment_config config = result_fixture_config(folder, 1000, 1000, run, group, epoch);
    assert_ok(wf_segment_writer_create(&config, &writer));
    result_fixture_put(writer, 0, from, to);
    assert_ok(wf_segment_writer_close(&writer));
}

static void move(const char *from, const char *to)
{
    char a[400], b[400];
    file_name(a, from);
    file_name(b, to);
    assert_int_equal(rename(a, b), 0);
}

static uint64_t count_done(size_t n_shards)
{
    wf_segment_config config = result_fixture_config(folder, 1000, 1000, 0, 0, 0);
    wf_runs *runs = open_runs();
    wf_done *done = NULL;
    uint64_t foreign;
    assert_ok(wf_done_create(config.job.shards, n_shards, &done));
    assert_ok(wf_done_scan(done, folder, runs, &foreign));
    uint64_t total = wf_done_total(done);
    wf_done_destroy(&done);
    wf_runs_close(&runs);
    return total;
}

static void an_empty_folder_has_no_runs(void **state)
{
    (void)state;
    size_t n;
    wf_runs *runs = open_runs();
    assert_int_equal(wf_runs_count(runs), 0);
    assert_null(wf_runs_identity(runs));
    assert_false(wf_runs_complete(runs));
    wf_runs_segments(runs, &n);
    assert_int_equal(n, 0);
    wf_runs_close(&runs);
}

static void a_run_inherits_what_was_sealed(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(start_run("{\"model\": \"m\", \"seed\": 3}"), 0);
    write_rows(0, 0, 0, 0, 10);
    write_rows(0, 1, 0, 10, 30);
    assert_int_equal(start_run("{}"), 1);
    write_rows(1, 0, 0, 30, 60);
    wf_runs *runs = open_runs();
    const wf_segment_ref *refs = wf_runs_segments(runs, &n);
    assert_int_equal(n, 3);
    assert_string_equal(refs[0].path, "segments/g0/r0-e0-00000.h5");
    assert_int_equal(refs[0].rows, 10);
    assert_true(refs[0].xxh64 != 0);
    assert_int_equal(refs[2].group, 1);
    assert_int_equal(refs[2].rows, 20);
    assert_int_equal(wf_runs_count(runs), 2);
    assert_string_equal(wf_runs_identity(runs), "{}\n");
    assert_int_equal(wf_runs_without_progress(runs), 0);
    assert_int_equal(count_done(2), 60);
    wf_runs_close(&runs);
    assert_int_equal(start_run("{}"), 2);
    assert_int_equal(start_run("{}"), 3);
    runs = open_runs();
    assert_int_equal(wf_runs_without_progress(runs), 2);
    assert_false(wf_runs_complete(runs));
    assert_ok(wf_run_complete(folder, 3));
    assert_ok(wf_run_complete(folder, 3));
    wf_runs_close(&runs);
    runs = open_runs();
    assert_true(wf_runs_complete(runs));
    assert_int_equal(count_done(2), 60);
    wf_runs_close(&runs);
    assert_string_equal(reports, "");
}

// A cut-off process of run 0 that publishes when run 1 has begun.
static void what_an_old_run_publishes_later_is_void(void **state)
{
    (void)state;
    start_run("{}");
    write_rows(0, 0, 0, 0, 10);
    move("segments/g0/r0-e0-00000.h5", "kept-back");
    assert_int_equal(start_run("{}"), 1);
    move("kept-back", "segments/g0/r0-e0-00000.h5");
    const wf_runs_options look = {.read_only = true, .report = hear};
    wf_runs *runs = NULL;
    size_t n;
    assert_ok(wf_runs_open(folder, &look, &runs));
    wf_runs_segments(runs, &n);
    assert_int_equal(n, 0);
    wf_runs_close(&runs);
    assert_there("segments/g0/r0-e0-00000.h5", true); // only looked
    assert_contains(reports, "its run was over");
    assert_int_equal(count_done(2), 0);
    assert_there("segments/g0/r0-e0-00000.h5", false);
    assert_there("void/g0-r0-e0-00000.h5.0", true);
    assert_int_equal(wf_run_fence(folder, 0, 0, 0), WF_IN_USE);
    assert_ok(wf_run_fence(folder, 1, 0, 0));
}

static void an_epoch_fences_its_group_only(void **state)
{
    (void)state;
    uint32_t epoch;
    start_run("{}");
    write_rows(0, 0, 0, 0, 10);
    write_rows(0, 1, 0, 10, 20);
    assert_ok(wf_run_raise_epoch(folder, 0, 0, &epoch));
    assert_int_equal(epoch, 1);
    assert_int_equal(count_done(2), 20); // sealed before: counts
    write_rows(0, 0, 1, 20, 30);
    assert_int_equal(count_done(2), 30);
    assert_ok(wf_run_raise_epoch(folder, 0, 0, &epoch));
    assert_int_equal(epoch, 2);
    assert_int_equal(count_done(2), 30);
    assert_int_equal(wf_run_fence(folder, 0, 0, 1), WF_IN_USE);
    assert_ok(wf_run_fence(folder, 0, 0, 2));
    assert_ok(wf_run_fence(folder, 0, 1, 0));
    move("segments/g0/r0-e1-00000.h5", "segments/g0/r0-e1-00001.h5"); // published too late
    assert_int_equal(count_done(2), 20);
    assert_contains(reports, "r0-e1-00000.h5: is missing");
    assert_contains(reports, "had been restarted");
    assert_int_equal(start_run("{}"), 1);
    assert_int_equal(count_done(2), 20);
}

static void parts_are_removed_and_strange_files_left(void **state)
{
    (void)state;
    static const char *const strange[] = {"segments/g0/notes.txt", "segments/g0/r0-e0-1.h5",
                                          "segments/g0/r0-e0-00001.h5x"};
    char path[400];
    start_run("{}");
    write_rows(0, 0, 0, 0, 10);
    for (size_t i = 0; i < N_ROWS(strange); i++) {
        file_name(path, strange[i]);
        assert_ok(wf_file_write_whole(path, "x", 1, WF_PUBLISH_NEW));
    }
    file_name(path, "segments/g0/r0-e0-00001.h5.part");
    assert_ok(wf_file_write_whole(path, "x", 1, WF_PUBLISH_NEW));
    assert_int_equal(count_done(2), 10);
    assert_there("segments/g0/r0-e0-00001.h5.part", false);
    assert_contains(reports, "r0-e0-00001.h5.part: removed");
    for (size_t i = 0; i < N_ROWS(strange); i++)
        assert_there(strange[i], true);
}

static void a_damaged_segment_is_set_aside(void **state)
{
    (void)state;
    char path[400];
    start_run("{}");
    write_rows(0, 0, 0, 0, 10);
    write_rows(0, 1, 0, 10, 30);
    file_name(path, "segments/g0/r0-e0-00000.h5");
    assert_int_equal(truncate(path, 2000), 0);
    assert_int_equal(start_run("{}"), 1);
    assert_contains(reports, "r0-e0-00000.h5: does not count");
    assert_there("void/g0-r0-e0-00000.h5.0", true);
    assert_int_equal(count_done(2), 20);
    // Once listed, another size is enough to be refused.
    file_name(path, "segments/g1/r0-e0-00000.h5");
    assert_int_equal(truncate(path, 2000), 0);
    assert_int_equal(count_done(2), 0);
    assert_contains(reports, "its size is not the one recorded");
}

static void a_folder_has_room_for_so_many_runs(void **state)
{
    (void)state;
    char from[400], to[400];
    wf_runs *runs = NULL;
    uint32_t run;
    start_run("{}");
    file_name(from, "runs/0.json");
    file_name(to, "runs/65534.json");
    assert_int_equal(rename(from, to), 0);
    assert_ok(wf_runs_open(folder, NULL, &runs));
    assert_int_equal(wf_runs_room(runs), 1);
    assert_ok(wf_runs_start(runs, &(wf_run_params){.identity = "{}"}, &run));
    assert_int_equal(run, 65535);
    assert_int_equal(wf_runs_room(runs), 0);
    assert_int_equal(wf_runs_check_room(runs), WF_DATA);
    assert_contains(wf_error(), "has had 65536 runs");
    assert_int_equal(wf_runs_start(runs, &(wf_run_params){.identity = "{}"}, &run), WF_DATA);
    wf_runs_close(&runs);
}

static void two_starts_at_once_give_one_run(void **state)
{
    (void)state;
    uint32_t run;
    wf_runs *one = open_runs(), *two = open_runs();
    assert_ok(wf_runs_start(one, &(wf_run_params){0}, &run));
    assert_int_equal(wf_runs_start(two, &(wf_run_params){0}, &run), WF_IN_USE);
    wf_runs_close(&one);
    wf_runs_close(&two);
}

static void done_counts_rows_and_samples(void **state)
{
    (void)state;
    const wf_result_shard shards[] = {{"a", "a", 130}, {"b", "b", 1}};
    wf_done *done = NULL;
    assert_ok(wf_done_create(shards, 2, &done));
    assert_null(wf_done_bits(done, 0));
    assert_ok(wf_done_mark(done, 0, 129, 0));
    assert_ok(wf_done_mark(done, 0, 129, 3));
    assert_ok(wf_done_mark(done, 1, 0, 1));
    assert_true(wf_done_has(done, 0, 129, 3));
    assert_false(wf_done_has(done, 0, 129, 1));
    assert_false(wf_done_has(done, 0, 128, 0));
    assert_false(wf_done_has(done, 2, 0, 0));
    assert_int_equal(wf_done_samples(done, 0, 129), 2);
    assert_int_equal(wf_done_total(done), 3);
    assert_int_equal(wf_done_bits(done, 0)[2], 2);
    assert_int_equal(wf_done_mark(done, 0, 129, 0), WF_DATA);
    assert_contains(wf_error(), "twice");
    assert_int_equal(wf_done_mark(done, 0, 130, 0), WF_DATA);
    assert_int_equal(wf_done_mark(done, 2, 0, 0), WF_DATA);
    wf_done_destroy(&done);
}

static void overlap_and_foreign_shards_are_seen(void **state)
{
    (void)state;
    start_run("{}");
    write_rows(0, 0, 0, 0, 10);
    const wf_result_shard other = {"uid-z", "z", 5};
    uint64_t foreign;
    wf_done *done = NULL;
    wf_runs *runs = open_runs();
    assert_ok(wf_done_create(&other, 1, &done));
    assert_ok(wf_done_scan(done, folder, runs, &foreign));
    assert_int_equal(foreign, 10);
    assert_int_equal(wf_done_total(done), 0);
    wf_done_destroy(&done);
    wf_runs_close(&runs);
    write_rows(0, 1, 0, 9, 12);
    wf_segment_config config = result_fixture_config(folder, 1000, 1000, 0, 0, 0);
    runs = open_runs();
    assert_ok(wf_done_create(config.job.shards, 2, &done));
    assert_int_equal(wf_done_scan(done, folder, runs, NULL), WF_DATA);
    assert_contains(wf_error(), "row 9 sample 0");
    wf_done_destroy(&done);
    wf_runs_close(&runs);
}

static void identities_are_compared(void **state)
{
    (void)state;
    static const struct {
        const char *was, *is, *says; // NULL: equal
    } table[] = {
        {"{}", "{}", NULL},
        {"{\"a\": 1, \"b\": [1, 2]}", "{\"b\": [1, 2], \"a\": 1.0}", NULL},
        {"{\"sampling\": {\"temperature\": 0}}", "{\"sampling\": {\"temperature\": 0.7}}",
         "sampling.temperature: was 0, is 0.7"},
        // An older version wrote all digits of a double.
        {"{\"sampling\": {\"temperature\": 0.800000011920929}}",
         "{\"sampling\": {\"temperature\": 0.8}}", NULL},
        {"{\"sampling\": {\"temperature\": 0.800000011920929}}",
         "{\"sampling\": {\"temperature\": 0.7}}", "sampling.temperature: was 0.8, is 0.7"},
        {"{\"m\": \"x\"}", "{\"m\": \"y\", \"n\": 1}",
         "m: was 'x', is 'y'; n: was not there, is 1"},
        {"{\"m\": true}", "{}", "m: was true, is nothing"},
        {"{\"l\": [1, 2]}", "{\"l\": [1]}", "l[1]: was 2, is nothing"},
        {"{\"l\": [1]}", "{\"l\": [1, 5]}", "l[1]: was not there, is 5"},
        {"{\"shards\": [\"u\"]}", "{\"shards\": [\"v\", \"u\"]}", NULL},
        {"{\"shards\": [\"u\", \"v\"]}", "{\"shards\": [\"v\"]}", "shard 'u' was read before"},
        {"{\"shards\": {\"u\": 5}}", "{\"shards\": {\"v\": 1, \"u\": 5}}", NULL},
        {"{\"shards\": {\"u\": 5}}", "{\"shards\": {\"u\": 6}}", "shards.u: was 5, is 6"},
        {"{\"shards\": {\"u\": 5}}", "{}", "shard 'u' was read before"},
        {"{\"shards\": {\"u\": 5}, \"shard_paths\": {\"u\": \"a.h5\"}}", "{\"shards\": {}}",
         "a.h5 (shard 'u') was read before and is not among"},
        {"{\"shards\": {\"u\": 5}, \"shard_paths\": {\"u\": \"a.h5\"}}",
         "{\"shards\": {\"v\": 5}, \"shard_paths\": {\"v\": \"a.h5\"}}",
         "a.h5 has changed: it is not the shard 'u'"},
        {"{\"shards\": {\"u\": 5}, \"shard_paths\": {\"u\": \"a.h5\"}}",
         "{\"shards\": {\"u\": 5}, \"shard_paths\": {\"u\": \"moved/a.h5\"}}", NULL},
        {"{\"shards\": {\"u\": 5}}", "{\"shards\": {\"u\": 5}, \"shard_paths\": {\"u\": \"a.h5\"}}",
         NULL},
    };
    for (size_t i = 0; i < N_ROWS(table); i++) {
        wf_status st = wf_identity_compare(table[i].was, table[i].is);
        assert_int_equal(st, table[i].says ? WF_MISMATCH : WF_OK);
        if (table[i].says) assert_contains(wf_error(), table[i].says);
    }
    assert_int_equal(wf_identity_compare("{", "{}"), WF_DATA);
}

// --- owners ---

static const wf_owner_params quick = {.wait_ns = 600 * WF_NS_PER_MS, .beat_ns = 50 * WF_NS_PER_MS};

static void a_second_owner_is_refused(void **state)
{
    (void)state;
    char line[256], path[400];
    bool alive;
    wf_owner *one = NULL, *two = NULL;
    assert_ok(wf_owner_look(folder, &quick, &alive, line));
    assert_false(alive);
    assert_ok(wf_owner_take(folder, &quick, &one));
    assert_int_equal(wf_owner_take(folder, &quick, &two), WF_IN_USE);
    snprintf(line, sizeof line, "process %ld on ", (long)getpid());
    assert_contains(wf_error(), line);
    assert_ok(wf_owner_look(folder, &quick, &alive, line));
    assert_true(alive);
    wf_owner_release(&one);
    file_name(path, "owner.json");
    assert_false(wf_file_exists(path));
    assert_ok(wf_owner_take(folder, &quick, &two));
    assert_true(wf_owner_holds(two));
    wf_owner_release(&two);
}

static void a_killed_owner_is_replaced(void **state)
{
    (void)state;
    char path[400];
    wf_owner *owner = NULL;
    file_name(path, "owner.json");
    pid_t child = fork();
    if (child == 0) {
        if (wf_owner_take(folder, &quick, &owner) != WF_OK) _exit(1);
        for (;;)
            pause();
    }
    while (!wf_file_exists(path))
        usleep(1000);
    assert_int_equal(wf_owner_take(folder, &quick, &owner), WF_IN_USE);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_ok(wf_owner_take(folder, &quick, &owner));
    wf_owner_release(&owner);
}

// An owner file as another host would have left it.
static void write_foreign(const char *job, int restart, int beat)
{
    char path[400], text[400];
    file_name(path, "owner.json");
    snprintf(text, sizeof text,
             "{\"host\": \"elsewhere\", \"pid\": 5, \"pid_start\": 6, \"boot_id\": \"b\", "
             "\"job_id\": \"%s\", \"restart\": %d, \"nonce\": 7, \"beat\": %d}",
             job, restart, beat);
    assert_ok(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_FAST));
}

static wf_owner_word answer(void *context, const char *job_id)
{
    assert_string_equal(job_id, "55");
    return *(wf_owner_word *)context;
}

static void another_hosts_owner_is_judged(void **state)
{
    (void)state;
    wf_owner *owner = NULL;
    wf_owner_params params = quick;
    // The counter moves.
    pid_t child = fork();
    if (child == 0) {
        for (int beat = 0;; beat++) {
            write_foreign("55", 0, beat);
            usleep(50000);
        }
    }
    usleep(100000);
    assert_int_equal(wf_owner_take(folder, &params, &owner), WF_IN_USE);
    assert_contains(wf_error(), "elsewhere, job 55");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    // The batch system knows.
    wf_owner_word word = WF_OWNER_ALIVE;
    params.ask = answer;
    params.ask_context = &word;
    assert_int_equal(wf_owner_take(folder, &params, &owner), WF_IN_USE);
    word = WF_OWNER_GONE;
    assert_ok(wf_owner_take(folder, &params, &owner));
    wf_owner_release(&owner);
    // Nobody knows, and the counter stands still.
    write_foreign("55", 0, 3);
    word = WF_OWNER_UNKNOWN;
    assert_ok(wf_owner_take(folder, &params, &owner));
    wf_owner_release(&owner);
    // Our own job's earlier start, whatever the batch system says of the job.
    write_foreign("55", 1, 3);
    word = WF_OWNER_ALIVE;
    params.job_id = "55";
    params.restart = 1;
    assert_int_equal(wf_owner_take(folder, &params, &owner), WF_IN_USE);
    params.restart = 2;
    assert_ok(wf_owner_take(folder, &params, &owner));
    wf_owner_release(&owner);
}

static void a_torn_owner_file_is_replaced(void **state)
{
    (void)state;
    char path[400];
    wf_owner *owner = NULL;
    file_name(path, "owner.json");
    assert_ok(wf_file_write_whole(path, "", 0, WF_PUBLISH_NEW));
    assert_ok(wf_owner_take(folder, &quick, &owner));
    wf_owner_release(&owner);
}

static void a_lost_folder_is_noticed(void **state)
{
    (void)state;
    char path[400];
    wf_owner *owner = NULL;
    assert_ok(wf_owner_take(folder, &quick, &owner));
    write_foreign("9", 9, 9);
    while (wf_owner_holds(owner))
        usleep(5000);
    wf_owner_release(&owner);
    file_name(path, "owner.json");
    assert_true(wf_file_exists(path)); // not ours to remove
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_folder_has_no_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_inherits_what_was_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_old_run_publishes_later_is_void, setup, teardown),
        cmocka_unit_test_setup_teardown(an_epoch_fences_its_group_only, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_are_removed_and_strange_files_left, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_segment_is_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_has_room_for_so_many_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(two_starts_at_once_give_one_run, setup, teardown),
        cmocka_unit_test_setup_teardown(done_counts_rows_and_samples, setup, teardown),
        cmocka_unit_test_setup_teardown(overlap_and_foreign_shards_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(identities_are_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_owner_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_owner_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(another_hosts_owner_is_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_owner_file_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_folder_is_noticed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
