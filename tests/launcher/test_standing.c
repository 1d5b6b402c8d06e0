// weft status and weft why against real jobs: running, drained, complete, killed, stalled, failed.
#include "tests/launcher/cli_test.h"

#define RUN  WEFT " run job.yaml --set 'requests=[timed.h5]' --set arrivals.mode=replay"
#define SLOW RUN " --set arrivals.speed=0.1 --out out/"

// Starts `command` in a session of its own; its process id goes to NAME.pid once it computes.
#define START(name, command)                                                                       \
    "{ " command " >" name ".log 2>&1 & } ; echo $! >" name                                        \
    ".pid; i=0; until grep -q '\"elapsed_ns\": [1-9]' out/" name                                   \
    "/status/rank-0.json 2>/dev/null; do sleep 0.1; i=$((i+1)); [ $i -lt 300 ] || exit 9; done; "

static void test_nothing_there(void **state)
{
    (void)state;
    assert_run(WEFT " status out/nothing", 66, "out/nothing: there is no such output folder");
    assert_run(WEFT " why out/nothing", 66, "no such output folder");
    assert_run("mkdir -p out/empty; " WEFT " status out/empty", 66,
               "out/empty: is no output folder");
    assert_run(WEFT " why out/empty", 66, "no run was started in it and no job submitted for it");
}

static void test_running_then_drained(void **state)
{
    (void)state;
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run(START("a", SLOW "a") WEFT " status out/a", 0, "out/a: running");
    assert_run(WEFT " status out/a", 0, " of 30 requests done");
    assert_run("set -- $(" WEFT " status out/a | tail -n 1); cat /proc/$4/comm /proc/$5/comm", 0,
               "weft\nweft-readerhost\n"); // its processes, as ps shows them
    assert_run(WEFT " status --json out/a | /usr/bin/python3 -c 'import json,sys; s=json.load("
                    "sys.stdin); r=s[\"ranks\"][0]; print(s[\"state\"], r[\"pulse\"], "
                    "r[\"tokens_per_s\"] is not None, s[\"requests_total\"])'",
               0, "running alive True 30");
    assert_run(WEFT " why out/a", 0, "it runs: ");
    assert_run("kill -TERM $(cat a.pid); while kill -0 $(cat a.pid) 2>/dev/null; do sleep 0.1; "
               "done; " WEFT " status out/a",
               0, "out/a: drained");
    assert_run(WEFT " why out/a", 0, "it drained on SIGTERM: ");
    assert_run(WEFT " why out/a", 0, "'requests=[timed.h5]'");
    assert_run(RUN " --set arrivals.speed=0.1 --out out/a --fresh --set arrivals.speed=10 && " WEFT
                   " status --watch out/a",
               0, "out/a: finished");
    assert_run(WEFT " why out/a", 0, "it is complete: 30 requests done\n");
    assert_run("mv out/a/results.h5 r.h5; " WEFT " why out/a; mv r.h5 out/a/results.h5", 0,
               "30 requests done; out/a/results.h5 is not written yet");
}

static void test_stop_file_and_parts_of_an_array(void **state)
{
    (void)state;
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run(START("a1", SLOW "a1") "touch out/a1/stop; while kill -0 $(cat a1.pid) 2>/dev/null; "
                                      "do sleep 0.1; done; " WEFT " why out/a1",
               0, "because of the file out/a1/stop");
    assert_run("mkdir -p out/array && mv out/a1 out/array/a10 && cp -r out/array/a10 "
               "out/array/a2 && mkdir out/array/a0 && " WEFT " status out/array",
               0, "out/array: 3 parts: 1 never started, 2 drained");
    assert_run(WEFT " status out/array", 0, "out/array/a0: never started\nout/array/a2: drained, ");
    assert_run(WEFT " why --json out/array | grep -c stop-file", 0, "2");
}

// A rank that is killed says nothing; it is named all the same.
static void test_killed(void **state)
{
    (void)state;
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run(START("k", SLOW "k") "kill -KILL $(cat k.pid); " WEFT " status out/k", 0,
               "out/k: failed");
    assert_run(WEFT " why out/k", 0, "(group 0) died without a word, at step ");
    assert_run(WEFT " why --json out/k", 0, "\"cause\": \"rank-died\"");
}

// What is safe is counted from what is there, not from what a rank last said: killed before its
// first seal, and before its second one.
static void test_sealed(void **state)
{
    (void)state;
    static const char *const says[] = {"  sealed    0; ", "  sealed    "};
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    for (size_t i = 0; i < N_ROWS(says); i++) {
        char command[1024];
        snprintf(command, sizeof command,
                 "WEFT_FAULT=kill@seal=%zu " RUN
                 " --set arrivals.speed=0.2 --set output.seal_every=3s --out out/seal%zu; " WEFT
                 " status out/seal%zu",
                 i + 1, i, i);
        assert_run(command, 0, says[i]);
    }
    assert_run(WEFT " why out/seal0", 0, "; of what was done, 0 was sealed and ");
    assert_run(WEFT
               " status --json out/seal1 >a.json; " WEFT " report --json out/seal1 >b.json; "
               "/usr/bin/python3 -c 'import json; a, b = (json.load(open(f)) for f in "
               "(\"a.json\", \"b.json\")); print(a[\"requests_sealed\"] == b[\"completed\"] > 0)'",
               0, "True");
}

static void test_stalled(void **state)
{
    (void)state;
    assert_run(STREAM " timed.h5 30 100", 0, NULL);
    assert_run(START("s", SLOW "s") "kill -STOP $(cat s.pid); " WEFT " status out/s", 0,
               "1 silent");
    assert_run(WEFT " why out/s; kill -CONT $(cat s.pid); " WEFT " status out/s; kill -KILL $(cat "
                    "s.pid)",
               0, "out/s: running");
}

static void test_failed_rows_and_too_many_of_them(void **state)
{
    (void)state;
    assert_run(STREAM " bad.h5 10 0 4", 0, NULL);
    assert_run(WEFT " run job.yaml --set 'requests=[bad.h5]' --out out/f", 3, NULL);
    assert_run(WEFT " why out/f", 0,
               "10 requests, of which 1 failed: 1 token id outside the vocabulary");
    assert_run(WEFT " run job.yaml --set 'requests=[bad.h5]' --set output.max_failures=0 --out "
                    "out/m",
               65, NULL);
    assert_run(WEFT " status out/m", 0, "out/m: failed");
    assert_run(WEFT " why out/m", 0, "too many requests failed: ");
}

static void test_bad_input_leaves_its_words(void **state)
{
    (void)state;
    assert_run(WEFT " run job.yaml --set engine.kv_memory=1KiB --out out/b", 78, NULL);
    assert_run(WEFT " status out/b", 0, "out/b: failed");
    assert_run(WEFT " why out/b", 0, "the job cannot run as it is: rank 0 on ");
}

// A group that is a world of its own dies and is started again: nothing done is forgotten. There is
// more to do than can be over before the job is asked about; then it is told to leave.
static void test_a_group_that_is_started_again(void **state)
{
    (void)state;
    assert_run(STREAM " many.h5 40000 0", 0, NULL);
    assert_run("{ exec " WEFT
               " run job.yaml --set 'requests=[many.h5]' --set parallel.layout=groups --set "
               "parallel.replicas=2 --set engine.max_rows=2 --set output.seal_every=300ms --out "
               "out/g >g.log 2>&1 & }; job=$!; i=0; until ls out/g/segments/g1/*.h5 "
               ">/dev/null 2>&1; do sleep 0.1; i=$((i+1)); [ $i -lt 300 ] || exit 9; done; kill "
               "-KILL $(sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p' out/g/status/rank-1.json); "
               "i=0; until grep -q '\"epoch\": 1' out/g/status/rank-1.json; do sleep 0.1; "
               "i=$((i+1)); [ $i -lt 300 ] || exit 9; done; " WEFT
               " status --json out/g >a.json; " WEFT " why out/g; kill -TERM $job; wait; exit 0",
               0, "so far: group 1 is lost");
    assert_run("/usr/bin/python3 -c 'import json; s = json.load(open(\"a.json\")); print("
               "s[\"requests_done\"] > sum(r[\"requests_done\"] for r in s[\"ranks\"]))'",
               0, "True");
    assert_run(WEFT " check out/g", 0, "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_running_then_drained),
        cmocka_unit_test(test_stop_file_and_parts_of_an_array),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_failed_rows_and_too_many_of_them),
        cmocka_unit_test(test_bad_input_leaves_its_words),
        cmocka_unit_test(test_a_group_that_is_started_again),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
