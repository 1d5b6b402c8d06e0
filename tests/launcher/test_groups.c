// Jobs whose groups are worlds of their own, on this host: ranks that die, stop or leave, requests
// that kill, and every row exactly once after it. Faults are injected into the real program
// (io/base/fault.h).
#include "tests/launcher/cli_test.h"

#define GROUPS " run job.yaml --set parallel.layout=groups --set parallel.replicas=2 "
#define CHECK(out)                                                                                 \
    assert_run(WEFT " check --complete " out, 0, "ok");                                            \
    assert_run("grep -c . " out "/events.jsonl", 0, NULL)

static void test_a_run(void **state)
{
    (void)state;
    assert_run(WEFT GROUPS "--out out/a", 0, "20 done, 0 failed");
    CHECK("out/a");
    assert_run(WEFT GROUPS "--out out/a", 0, "20 done, 0 failed");        // nothing is left to do
    assert_run(WEFT " run job.yaml --out out/a", 0, "20 done, 0 failed"); // nor in a world
    assert_run("cat out/a/events.jsonl", 0, "\"event\":\"done\"");
}

// Several samples of a row, by the job or by the row: counted before anything is started.
static void test_nothing_is_left(void **state)
{
    (void)state;
    assert_run("for i in 1 2 3; do echo \"{\\\"id\\\": $i, \\\"prompt_token_ids\\\": [97], "
               "\\\"max_new_tokens\\\": 3, \\\"n\\\": $i}\"; done > own.jsonl; " WEFT
               " pack own.jsonl -o own.h5 --model " MODEL,
               0, NULL);
    static const char *const keys[] = {"--set sampling.n=2", "--set 'requests=[own.h5]'"};
    static const char *const said[] = {"40 of 40 samples", "6 of 6 samples"};
    for (size_t i = 0; i < N_ROWS(keys); i++) {
        char command[1024];
        snprintf(command, sizeof command,
                 WEFT GROUPS "%s --set sampling.temperature=1 --out out/n%zu", keys[i], i);
        assert_run(command, 0, " done, 0 failed");
        assert_run(command, 0, "nothing to do: ");
        snprintf(command, sizeof command,
                 "test ! -e out/n%zu/stop && ! grep lost out/n%zu/events.jsonl && " WEFT
                 " status out/n%zu",
                 i, i, i);
        assert_run(command, 0, said[i]);
    }
    assert_run(WEFT " run job.yaml --out out/n2 && " WEFT " run job.yaml --out out/n2", 0,
               "nothing to do: 20 results of the job are there already");
}

// The other group goes on, and the lost one comes back.
static void test_a_killed_rank(void **state)
{
    (void)state;
    assert_run(STREAM " many.h5 200", 0, NULL);
    assert_run("WEFT_FAULT=kill@step=40,rank=1,once=once.b " WEFT GROUPS
               "--set 'requests=[many.h5]' --set output.seal_every=200ms --out out/b",
               0, "200 done, 0 failed");
    assert_run("grep '\"event\":\"lost\"' out/b/events.jsonl", 0, "\"rank\":1,");
    CHECK("out/b");
    assert_run("cat out/b/events.jsonl", 0, "group 1 is lost: its processes ended (signal 9)");
    assert_run("ls out/b/runs", 0, "0-g1-e1.json");
}

// A rank that says nothing is not taken for the group's first one. Nobody else is there to go on.
static void test_a_group_starts_again(void **state)
{
    (void)state;
    assert_run(STREAM " many.h5 200", 0, NULL);
    assert_run("WEFT_FAULT=kill@step=40,rank=1,once=once.j " WEFT
               " run job.yaml --set parallel.layout=groups --set parallel.tensor=2 "
               "--set 'requests=[many.h5]' --out out/j 2>j.log",
               0, "200 done, 0 failed");
    CHECK("out/j");
    assert_run("grep 'group 0 starts again on .* (epoch 1): [0-9]* rows to do again' j.log", 0,
               NULL);
    assert_run("grep '\"event\":\"lost\"' out/j/events.jsonl | grep -vE '\"rank\":0,'", 0,
               "\"rank\":");
}

static void test_a_stopped_rank_is_named(void **state)
{
    (void)state;
    assert_run(STREAM " many.h5 200", 0, NULL);
    assert_run("WEFT_FAULT=stop@step=40,rank=1,once=once.c " WEFT GROUPS
               "--set 'requests=[many.h5]' --set parallel.heartbeat=5s --out out/c",
               0, "rank 1 on ");
    CHECK("out/c");
    assert_run("grep '\"event\":\"stall\"' out/c/events.jsonl", 0, "stalled at step");
}

// It is found among those that were in flight with it, fails, and the job is complete without it.
static void test_a_poisonous_request(void **state)
{
    (void)state;
    assert_run(STREAM " many.h5 200", 0, NULL);
    assert_run("WEFT_FAULT=abort@request=123 " WEFT GROUPS "--set 'requests=[many.h5]' --out out/d",
               3, "199 done, 1 failed");
    CHECK("out/d");
    assert_run(WEFT " show out/d --row 123", 0, "REQ_POISON");
    assert_run("grep '\"event\":\"quarantine\"' out/d/events.jsonl", 0, "row 123 of many.h5");
    assert_run(WEFT GROUPS "--set 'requests=[many.h5]' --out out/d --retry-failed", 0,
               "200 done, 0 failed");
}

// A place that kills whatever runs there is given up, not the requests.
static void test_a_bad_place(void **state)
{
    (void)state;
    assert_run(STREAM " more.h5 2000", 0, NULL);
    assert_run("WEFT_FAULT=kill@step=1,rank=1 " WEFT GROUPS
               "--set 'requests=[more.h5]' --set parallel.max_restarts=1 --set engine.max_rows=2 "
               "--out out/e",
               0, "2,000 done, 0 failed");
    CHECK("out/e");
    assert_run("grep '\"event\":\"retire\"' out/e/events.jsonl", 0, "lost 2 times in a row");
    // None is left: another start goes on.
    assert_run("WEFT_FAULT=kill@step=1 " WEFT GROUPS "--set parallel.max_restarts=0 --out out/f",
               75, "no place is left where a group could run: 0 of 20 requests are done");
    assert_run(WEFT GROUPS "--out out/f", 0, "20 done, 0 failed");
    CHECK("out/f");
}

static void test_leaving_in_time(void **state)
{
    (void)state;
    assert_run(STREAM " more.h5 3000", 0, NULL);
    // The last three: a signal to the whole job reaches its processes in any order.
    static const char *const how[] = {"kill -USR1 $pid",
                                      "kill -TERM $pid",
                                      "touch out/leave$i/stop",
                                      "kill -TERM $(pgrep -P $pid) $pid",
                                      "kill -TERM $(pgrep -P $pid); sleep 0.4; kill -TERM $pid",
                                      "kill -TERM $(pgrep -P $pid) $pid"};
    for (size_t i = 0; i < N_ROWS(how); i++) {
        char command[1024];
        snprintf(
            command, sizeof command,
            "i=%zu; " WEFT GROUPS
            "--set parallel.tensor=%d --set 'requests=[more.h5]' --set engine.max_rows=2 --out "
            "out/leave$i & pid=$!; while ! grep -q start out/leave$i/events.jsonl "
            "2>/dev/null; do sleep 0.05; done; sleep 0.7; %s; wait $pid",
            i, i + 1 < N_ROWS(how) ? 1 : 2, how[i]);
        assert_run(command, 75, "left: run the same command again");
        snprintf(command, sizeof command, "grep drain out/leave%zu/events.jsonl", i);
        assert_run(command, 0, "all groups leave");
        snprintf(command, sizeof command,
                 "grep -cE '\"event\":\"(lost|return)\"' out/leave%zu/events.jsonl", i);
        assert_run(command, 1, "0"); // nothing is suspected
    }
    assert_run(WEFT GROUPS "--set 'requests=[more.h5]' --out out/leave0", 0,
               "3,000 done, 0 failed");
    CHECK("out/leave0");
}

static void test_too_many_failures(void **state)
{
    (void)state;
    assert_run(STREAM " bad.h5 40 0 4", 0, NULL);
    assert_run(WEFT GROUPS "--set 'requests=[bad.h5]' --set output.max_failures=0 --out out/h", 65,
               "output.max_failures allows 0");
    assert_run(WEFT GROUPS "--set 'requests=[bad.h5]' --out out/h", 0, "39 done, 1 failed");
    CHECK("out/h");
}

// A failure that would come back ends the job, with its own exit code, after one try.
static void test_a_lasting_failure(void **state)
{
    (void)state;
    assert_run(WEFT GROUPS
               "--set engine.kv_memory=64KiB --set engine.page_tokens=4096 --out out/i; "
               "code=$?; cat out/i/events.jsonl; exit $code",
               78, " is lost: engine.kv_memory: "); // whichever group comes to it first
    assert_run("grep -c '\"event\":\"start\"' out/i/events.jsonl", 0, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_a_killed_rank),
        cmocka_unit_test(test_a_group_starts_again),
        cmocka_unit_test(test_a_stopped_rank_is_named),
        cmocka_unit_test(test_a_poisonous_request),
        cmocka_unit_test(test_a_bad_place),
        cmocka_unit_test(test_leaving_in_time),
        cmocka_unit_test(test_too_many_failures),
        cmocka_unit_test(test_a_lasting_failure),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
