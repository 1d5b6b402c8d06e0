// Whole jobs by the real program: alone, under mpirun, drained and resumed, started over, with bad
// rows, and two at once.
#include "tests/launcher/cli_test.h"

static void test_run_and_what_follows(void **state)
{
    (void)state;
    assert_run(WEFT " run job.yaml --out out/a", 0, "20 done, 0 failed");
    assert_run(WEFT " check --complete out/a", 0, "ok");
    assert_run(WEFT " show out/a --row 0", 0, "1 2 3");
    assert_run(WEFT " show out/a --row 99", 66, "99");
    assert_run(WEFT " report --json out/a | /usr/bin/python3 -m json.tool", 0, "ttft");
    assert_run(WEFT " run job.yaml --out out/a", 0, "20 done, 0 failed"); // nothing is left to do
    assert_run(WEFT " merge out/a -o joined.h5 && " WEFT " check joined.h5", 0, "20 rows");
}

static void test_another_job_is_refused(void **state)
{
    (void)state;
    assert_run(WEFT " run job.yaml --out out/b", 0, NULL);
    assert_run(WEFT " run job.yaml --out out/b --set seed=1", 78, "seed: was 0, is 1");
    assert_run(WEFT " check --complete out/b", 0, "ok"); // nothing was touched
    assert_run(WEFT " run job.yaml --out out/b --set seed=1 --fresh", 0,
               "earlier results are discarded");
    assert_run(WEFT " run job.yaml --out out/b --set seed=1 --fresh-if-finished", 0,
               "earlier results are discarded");
    assert_run(WEFT " check --complete out/b", 0, "ok");
}

// --fresh clears what Weft has written and nothing else.
static void test_fresh_keeps_strangers(void **state)
{
    (void)state;
    assert_run("mkdir -p out/c/sub && echo mine > out/c/sub/note && echo mine > out/c/note", 0,
               NULL);
    assert_run(WEFT " run job.yaml --out out/c --fresh", 0, NULL);
    assert_run(WEFT " run job.yaml --out out/c --fresh", 0, "discarded");
    assert_run("cat out/c/sub/note out/c/note", 0, "mine\nmine\n");
}

static void test_bad_row_fails_alone(void **state)
{
    (void)state;
    assert_run(STREAM " bad.h5 10 0 4", 0, NULL);
    assert_run(WEFT " run job.yaml --set 'requests=[bad.h5]' --out out/d", 3, "9 done, 1 failed");
    assert_run(WEFT " report out/d", 0, "first: bad.h5:/requests:4: ");
    assert_run(WEFT " why out/d", 0,
               "token id outside the vocabulary; the first: bad.h5:/requests:4");
    assert_run(WEFT " show out/d --row 4", 0, "vocabulary");
    assert_run(WEFT " check --complete out/d", 0, "ok");
    assert_run(WEFT " run job.yaml --set 'requests=[bad.h5]' --out out/e --set "
                    "slurm.fail_on_row_errors=false",
               0, "9 done, 1 failed");
}

// A signal drains: exit 75, and the next start does what is left, each row once. When it comes, the
// program says: at its fourth request. (What a drain finishes and what it leaves: tests/jobs.)
static void test_drain_and_resume(void **state)
{
    (void)state;
    static const char *const signals[] = {"term", "int", "usr1"};
    assert_run(STREAM " timed.h5 30 50", 0, NULL); // one and a half seconds of arrivals
    for (size_t i = 0; i < N_ROWS(signals); i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "WEFT_FAULT=%s@request=3 " WEFT
                 " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay --out "
                 "out/f%zu",
                 signals[i], i);
        assert_run(command, 75, "left: run the same command again to continue");
        snprintf(command, sizeof command,
                 WEFT " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay --set "
                      "arrivals.speed=1.0 --out out/f%zu",
                 i);
        assert_run(command, 0, "30 done, 0 failed");
        snprintf(command, sizeof command, WEFT " check --complete out/f%zu", i);
        assert_run(command, 0, "30 rows");
    }
}

// From then on its stop file counts.
#define WHEN_RUNNING(folder) "while ! [ -e " folder "/status/rank-0.json ]; do sleep 0.02; done; "

static void test_a_stop_file_ends_one_run_only(void **state)
{
    (void)state;
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run("(" WHEN_RUNNING("out/stopped") "touch out/stopped/stop) & " WEFT
                                               " run job.yaml --set 'requests=[timed.h5]' "
                                               "--set arrivals.mode=replay --out out/stopped",
               75, "run the same command again");
    assert_run(WEFT " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay --out "
                    "out/stopped",
               0, "30 done, 0 failed");
}

// Runs that finish nothing: the last one that --give-up allows says so, by an exit code of its own.
static void test_giving_up(void **state)
{
    (void)state;
    static const struct {
        const char *environment, *options;
        int code;
        const char *words;
    } rows[] = {
        {"", "", 75, "drained before its first step"},
        {"SLURM_JOB_ID=1", "--give-up 2", 69, "out/idle: the last 2 runs finished nothing"},
        {"SLURM_JOB_ID=1 SLURM_RESTART_COUNT=1", "--give-up 3", 69, "the last 3 runs"},
        {"SLURM_JOB_ID=1 SLURM_RESTART_COUNT=2", "--give-up 3", 69, "the last 3 runs"}, // unstarted
        {"", "", 75, "run the same command again"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "%s WEFT_FAULT=usr1@engine=1 " WEFT " run job.yaml --out out/idle %s",
                 rows[i].environment, rows[i].options);
        assert_run(command, rows[i].code, rows[i].words);
    }
    assert_run(WEFT " run job.yaml --out out/idle --give-up 3", 0, "20 done, 0 failed");
}

static void test_parts_of_a_job(void **state)
{
    (void)state;
    assert_run(STREAM " p0.h5 4 0 && " STREAM " p1.h5 5 0 && " STREAM " p2.h5 6 0", 0, NULL);
#define PART WEFT " run job.yaml --set 'requests=[p0.h5, p1.h5, p2.h5]' --out out/parts --part "
    assert_run(PART "0/2", 0, "10 done, 0 failed");
    assert_run(PART "1/2", 0, "5 done, 0 failed");
    assert_run(WEFT " merge out/parts/a0 out/parts/a1 -o parts.h5 && " WEFT " check parts.h5", 0,
               "15 rows");
    assert_run(PART "1/3", 0, "5 done"); // the same shard: nothing is left to do
    assert_run(PART "0/3", 78, "is not among the requests now"); // one shard less
    assert_run(PART "3/4", 64, "every part needs one");
    assert_run(PART "2/2", 64, "not a part");
    assert_run(PART "1", 64, "not a part");
#undef PART
}

// Without Slurm: what would be submitted can be seen, and what is missing is said.
static void test_submit_without_slurm(void **state)
{
    (void)state;
    assert_run("PATH=/nowhere " WEFT " submit job.yaml --dry-run --out out/dry", 0,
               "#SBATCH --nodes=1");
    assert_run("[ ! -e out/dry ]", 0, NULL);
    assert_run("PATH=/nowhere " WEFT " submit job.yaml --out out/none", 66,
               "sbatch: not found on PATH");
    assert_run(WEFT " submit job.yaml --out out/none --array 2", 64, "every task needs one");
    assert_run(WEFT " submit nowhere.yaml", 66, "nowhere.yaml");
}

// A run that no queue knows is cancelled by a stop file; where nothing runs, that is said.
static void test_cancel_by_hand(void **state)
{
    (void)state;
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run("(" WHEN_RUNNING("out/by-hand") WEFT
               " cancel --now out/by-hand; " WEFT " cancel out/by-hand) >said 2>&1 & " WEFT
               " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay --out "
               "out/by-hand; code=$?; wait; cat said; exit $code",
               75, "process ");
    assert_run("cat said", 0, "which is no job of weft submit");
    assert_run("cat said", 0, "asked to seal what is finished and end");
    assert_run(WEFT " cancel out/by-hand", 66, "no job works or waits for this folder");
    assert_run(WEFT " cancel out/nowhere", 66, "no such folder");
}

static void test_two_jobs_in_one_folder(void **state)
{
    (void)state;
    // The first job lasts 10 s: longer than the second one is patient.
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run("(" WEFT
               " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay --set "
               "arrivals.speed=0.3 --out out/g >first.txt 2>&1 &) ; while ! [ -e out/g/owner.json "
               "]; do sleep 0.05; done; " WEFT
               " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay --out out/g",
               78, "out/g");
    assert_run(WEFT " run job.yaml --out out/g --fresh", 78, "in use");
    assert_run("while [ -e out/g/owner.json ]; do sleep 0.05; done; " WEFT
               " check --complete out/g",
               0, "30 rows");
}

static bool has_mpirun(void)
{
    static ran r;
    run(WEFT " --version", &r);
    return !strstr(r.out, "mpi    not built in") && system("command -v mpirun >/dev/null") == 0;
}

static void test_mpirun(void **state)
{
    (void)state;
    if (!has_mpirun()) skip();
    assert_run("mpirun -n 4 " WEFT " run job.yaml --set parallel.tensor=2 --out out/h", 0,
               "20 done, 0 failed");
    assert_run(WEFT " check --complete out/h", 0, "20 rows");
    assert_run("/usr/bin/python3 -c \"import h5py; r = h5py.File('out/h/results.h5')['runs']; "
               "print(' ', 'driver', r['version_driver'][0].decode(), end='\\n')\" > driver; " WEFT
               " version | grep -x -F \"$(sed 's/^ *//;s/^/  /' driver)\"",
               0, "driver");
    assert_run("WEFT_FAULT=usr1@step=3 mpirun --mca mpi_yield_when_idle 1 -n 2 " WEFT
               " run job.yaml --set parallel.tensor=2 --out 'out/h 2'",
               75, NULL);
    assert_run(WEFT " why 'out/h 2'", 0,
               "  next    mpirun --mca mpi_yield_when_idle 1 -n 2 " WEFT
               " run --set parallel.tensor=2 --out 'out/h 2' job.yaml\n");
    assert_run("mpirun -n 3 " WEFT " run job.yaml --set parallel.tensor=2 --out out/i", 0,
               "1 of 3 ranks stay idle");
    assert_run(STREAM " bad.h5 10 0 4", 0, NULL);
    assert_run("mpirun -n 2 " WEFT " run job.yaml --set 'requests=[bad.h5]' --out out/j", 3,
               "9 done, 1 failed");
}

// Each group fails one row, which is allowed; both together are one too many.
static void test_failures_of_all_groups_count(void **state)
{
    (void)state;
    if (!has_mpirun()) skip();
    assert_run(STREAM " bad0.h5 60 100 2 && " STREAM " bad1.h5 59 100 3", 0, NULL);
    assert_run("mpirun -n 2 " WEFT " run job.yaml --set 'requests=[bad0.h5, bad1.h5]' --set "
               "arrivals.mode=replay --set output.max_failures=1 --out out/k",
               65, "2 requests failed, output.max_failures allows 1");
    assert_run(
        "mpirun -n 2 " WEFT " run job.yaml --set 'requests=[bad0.h5, bad1.h5]' --set "
        "arrivals.mode=replay --set arrivals.speed=1 --set output.max_failures=2 --out out/k",
        0, "117 done, 2 failed");
}

// One rank speaks, whichever the mistake, and mpirun returns our exit code.
static void test_mpirun_errors(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int code;
        const char *line;
    } rows[] = {
        {"mpirun -n 3 " WEFT " run job.yaml --set sed=1", 78, "sed: unknown key"},
        {"mpirun -n 3 " WEFT " run job.yaml --set parallel.tensor=4", 78, "needs 4 ranks"},
        {"mpirun -n 3 " WEFT " run nope.yaml", 66, "nope.yaml: "},
        {"echo x > b.h5; mpirun -n 2 " WEFT " run job.yaml --set 'requests=[b.h5]'", 65, "b.h5"},
        {"mpirun -n 2 -x WEFT_SEED=1 " WEFT " run job.yaml : -n 1 -x WEFT_SEED=2 " WEFT
         " run job.yaml",
         78, "reads another job than rank 0"},
    };
    if (!has_mpirun()) skip();
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        static ran r;
        run(rows[i].command, &r);
        check_ran(&r, rows[i].command, rows[i].code, rows[i].line, __FILE__, __LINE__);
        const char *first = strstr(r.err, rows[i].line);
        if (strstr(first + 1, rows[i].line)) fail_msg("said twice:\n%s", r.err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_and_what_follows),
        cmocka_unit_test(test_another_job_is_refused),
        cmocka_unit_test(test_fresh_keeps_strangers),
        cmocka_unit_test(test_bad_row_fails_alone),
        cmocka_unit_test(test_drain_and_resume),
        cmocka_unit_test(test_a_stop_file_ends_one_run_only),
        cmocka_unit_test(test_giving_up),
        cmocka_unit_test(test_parts_of_a_job),
        cmocka_unit_test(test_submit_without_slurm),
        cmocka_unit_test(test_cancel_by_hand),
        cmocka_unit_test(test_two_jobs_in_one_folder),
        cmocka_unit_test(test_mpirun),
        cmocka_unit_test(test_failures_of_all_groups_count),
        cmocka_unit_test(test_mpirun_errors),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
