// The decision table of weft why: every cause from facts as they come, and the words it chooses.
#include "tests/base/base_test.h"

#include "io/base/clock.h"
#include "launcher/bringup/banner.h"
#include "launcher/watch/why.h"
#include "launcher/watch/why_story.h"
#include "tests/launcher/why_case.h"

#define S WF_NS_PER_S

#define FREE  WF_BATCH_UNKNOWN, "", WF_HINT_NONE, -1, ""
#define AGAIN "weft run job.yaml"
#define WATCH "weft status out/x --watch"

static const why_case cases[] = {
    {WF_CAUSE_NEVER, 0, false, FREE, 0, {DONE}, {"never started"}, "weft submit"},
    {WF_CAUSE_QUEUED,
     0,
     false,
     WF_BATCH_WAITS,
     "PENDING",
     WF_HINT_NONE,
     -1,
     "",
     0,
     {DONE},
     {"job 12 waits", "Priority"},
     WATCH},
    {WF_CAUSE_STARTING,
     0,
     false,
     WF_BATCH_RUNS,
     "RUNNING",
     WF_HINT_NONE,
     -1,
     "",
     0,
     {DONE},
     {"job 12 has its nodes (n[1-4])"},
     WATCH},
    {WF_CAUSE_ENDED_EARLY,
     0,
     false,
     WF_BATCH_OVER,
     "FAILED",
     WF_HINT_NONE,
     -1,
     "",
     0,
     {DONE},
     {"job 12 ended (FAILED)"},
     AGAIN},
    {WF_CAUSE_REFUSED,
     0,
     false,
     WF_BATCH_OVER,
     "FAILED",
     WF_HINT_NONE,
     -1,
     "job.yaml: 2 mistakes",
     0,
     {DONE},
     {"did not begin: job.yaml: 2 mistakes"},
     AGAIN},
    {WF_CAUSE_LOADING, 1, false, FREE, 2, {LOADS, LOADS}, {"rank 0 on n0 is at \"load\""}, WATCH},
    {WF_CAUSE_RUNNING, 1, false, FREE, 2, {ALIVE, ALIVE}, {"40 of 100 requests"}, WATCH},
    {WF_CAUSE_RUNNING,
     1,
     false,
     FREE,
     2,
     {ALIVE, GONE(1)},
     {"40 of 100", "rank 1 on n1 (group 0) is gone"},
     WATCH},
    {WF_CAUSE_DRAINING, 1, false, FREE, 1, {DRAINS(DEADLINE)}, {"time limit is near"}, WATCH},
    {WF_CAUSE_DRAINING, 1, false, FREE, 1, {DRAINS(STOP_FILE)}, {"out/x/stop"}, WATCH},
    {WF_CAUSE_STALLED,
     1,
     false,
     FREE,
     2,
     {ALIVE, STILL},
     {"rank 1 on n1 (group 0) stalled at step 412, in \"step\"", "has not moved for 45s"},
     "kill -9 4712 (on n1)"},
    {WF_CAUSE_STALLED,
     1,
     false,
     WF_BATCH_RUNS,
     "RUNNING",
     WF_HINT_NONE,
     -1,
     "",
     2,
     {ALIVE, QUIET},
     {"rank 1 on n1", "no heartbeat for 34s"},
     "weft cancel out/x"},
    {WF_CAUSE_COMPLETE,
     1,
     true,
     FREE,
     1,
     {DONE},
     {"complete: 100 requests done"},
     "weft report out/x"},
    {WF_CAUSE_COMPLETE_FAILED,
     1,
     true,
     WF_BATCH_UNKNOWN,
     "",
     WF_HINT_NONE,
     7,
     "",
     1,
     {DONE},
     {"7 failed", "5 prompt has no tokens"},
     "weft run job.yaml --retry-failed"},
    {WF_CAUSE_DISK_FULL,
     1,
     false,
     FREE,
     2,
     {GONE(1), FAILS(WF_IO, "out/x/segments/a: No space left on device")},
     {"rank 1 on n1", "No space left"},
     AGAIN},
    {WF_CAUSE_IO,
     1,
     false,
     FREE,
     1,
     {FAILS(WF_IO, "out/x: Input/output error")},
     {"rank 0 on n0", "Input/output error"},
     AGAIN},
    {WF_CAUSE_MAX_FAILURES,
     1,
     false,
     WF_BATCH_UNKNOWN,
     "",
     WF_HINT_NONE,
     7,
     "",
     2,
     {FAILS(WF_DATA, ""), FAILS(WF_DATA, "7 requests of group 0 failed, output.max_failures")},
     {"output.max_failures", "5 prompt has no tokens"},
     "weft report"},
    {WF_CAUSE_BAD_DATA,
     1,
     false,
     FREE,
     1,
     {FAILS(WF_DATA, "a.h5: not a shard")},
     {"a.h5: not a shard"},
     AGAIN},
    {WF_CAUSE_NO_INPUT,
     1,
     false,
     FREE,
     1,
     {FAILS(WF_NO_INPUT, "model.safetensors: not there")},
     {"model.safetensors"},
     AGAIN},
    {WF_CAUSE_BAD_JOB,
     1,
     false,
     FREE,
     1,
     {FAILS(WF_CONFIG, "memory: weights do not fit")},
     {"weights do not fit"},
     AGAIN},
    {WF_CAUSE_OUT_OF_MEMORY,
     1,
     false,
     WF_BATCH_OVER,
     "OUT_OF_MEMORY",
     WF_HINT_NONE,
     -1,
     "",
     2,
     {GONE(2), GONE(1)},
     {"for memory", "rank 1 on n1"},
     AGAIN},
    {WF_CAUSE_OUT_OF_MEMORY,
     1,
     false,
     WF_BATCH_UNKNOWN,
     "",
     WF_HINT_OUT_OF_MEMORY,
     -1,
     "",
     1,
     {GONE(2)},
     {"the log says: slurmstepd: a line"},
     AGAIN},
    {WF_CAUSE_NODE_FAIL,
     1,
     false,
     WF_BATCH_WAITS,
     "PENDING",
     WF_HINT_NODE_FAIL,
     -1,
     "",
     2,
     {GONE(1), GONE(2)},
     {"node was lost", "rank 0 on n0"},
     WATCH},
    {WF_CAUSE_NODE_FAIL,
     1,
     false,
     WF_BATCH_OVER,
     "NODE_FAIL",
     WF_HINT_NONE,
     -1,
     "",
     1,
     {QUIET},
     {"node was lost", "rank 0 on n0"},
     AGAIN},
    {WF_CAUSE_TIME_LIMIT_KILLED,
     1,
     false,
     WF_BATCH_OVER,
     "TIMEOUT",
     WF_HINT_NONE,
     -1,
     "",
     1,
     {SHOT(1)},
     {"before it had drained"},
     AGAIN},
    {WF_CAUSE_TIME_LIMIT,
     1,
     false,
     FREE,
     2,
     {DRAINED(DEADLINE, 0), DONE},
     {"before the time limit: 60 requests"},
     AGAIN},
    {WF_CAUSE_TIME_LIMIT,
     1,
     false,
     FREE,
     1,
     {DRAINED(SIGNAL, SIGUSR1)},
     {"60 requests left"},
     AGAIN},
    {WF_CAUSE_TIME_LIMIT,
     1,
     false,
     WF_BATCH_OVER,
     "TIMEOUT",
     WF_HINT_NONE,
     -1,
     "",
     1,
     {DRAINED(SIGNAL, SIGUSR1)},
     {"before the time limit"},
     AGAIN},
    {WF_CAUSE_TIME_LIMIT,
     1,
     false,
     WF_BATCH_WAITS,
     "PENDING",
     WF_HINT_NONE,
     -1,
     "",
     1,
     {DRAINED(DEADLINE, 0)},
     {"before the time limit"},
     WATCH},
    {WF_CAUSE_STOP_FILE, 1, false, FREE, 1, {DRAINED(STOP_FILE, 0)}, {"out/x/stop"}, AGAIN},
    {WF_CAUSE_PREEMPTED,
     1,
     false,
     WF_BATCH_WAITS,
     "PENDING",
     WF_HINT_PREEMPTED,
     -1,
     "",
     1,
     {DRAINED(SIGNAL, SIGTERM)},
     {"priority", "60 requests left"},
     WATCH},
    {WF_CAUSE_CANCELLED,
     1,
     false,
     WF_BATCH_OVER,
     "CANCELLED by 0",
     WF_HINT_NONE,
     -1,
     "",
     1,
     {DRAINED(SIGNAL, SIGTERM)},
     {"cancelled: 60 requests left"},
     AGAIN},
    {WF_CAUSE_CANCELLED,
     1,
     false,
     WF_BATCH_UNKNOWN,
     "",
     WF_HINT_CANCELLED,
     -1,
     "",
     1,
     {SHOT(1)},
     {"cancelled"},
     AGAIN},
    {WF_CAUSE_SIGNAL, 1, false, FREE, 1, {DRAINED(SIGNAL, SIGTERM)}, {"drained on SIGTERM"}, AGAIN},
    {WF_CAUSE_SIGNAL, 1, false, FREE, 1, {DRAINED(SIGNAL, SIGINT)}, {"SIGINT"}, AGAIN},
    {WF_CAUSE_DRAINED, 1, false, FREE, 1, {DRAINED(NOT, 0)}, {"60 requests left"}, AGAIN},
    {WF_CAUSE_HOST_MEMORY,
     1,
     false,
     FREE,
     2,
     {GONE(1), FAILS(WF_NO_MEMORY, "no memory for KV")},
     {"rank 1 on n1", "no memory for KV"},
     AGAIN},
    {WF_CAUSE_DEVICE,
     1,
     false,
     FREE,
     2,
     {GONE(1), FAILS(WF_DEVICE, "device 0: Xid")},
     {"rank 1 on n1", "device 0: Xid"},
     AGAIN},
    // Losing a peer is what the others notice: the one that ended without a word is named.
    {WF_CAUSE_RANK_DIED,
     1,
     false,
     FREE,
     2,
     {FAILS(WF_COMM, "peer is gone"), GONE(1)},
     {"rank 1 on n1 (group 0) died without a word, at step 412, in \"step\""},
     AGAIN},
    // The others were told to leave and lived longer.
    {WF_CAUSE_RANK_DIED,
     1,
     false,
     FREE,
     3,
     {SHOT(3), GONE(2), SHOT(1)},
     {"rank 1 on n1", "fell silent first, 2 others ended with it"},
     AGAIN},
    {WF_CAUSE_RANK_DIED,
     1,
     false,
     WF_BATCH_OVER,
     "FAILED",
     WF_HINT_KILLED,
     -1,
     "",
     2,
     {GONE(5), GONE(4)},
     {"rank 1 on n1", "the log says: slurmstepd: a line"},
     AGAIN},
    {WF_CAUSE_COMM,
     1,
     false,
     FREE,
     2,
     {FAILS(WF_COMM, "NCCL: no route"), FAILS(WF_COMM, "")},
     {"lost a peer: NCCL: no route"},
     AGAIN},
    // One that failed by itself, the other by losing it.
    {WF_CAUSE_DEVICE,
     1,
     false,
     FREE,
     2,
     {FAILS(WF_COMM, "peer is gone"), FAILS(WF_DEVICE, "device 1: ECC")},
     {"rank 1 on n1", "device 1: ECC"},
     AGAIN},
    {WF_CAUSE_FAILED,
     1,
     false,
     FREE,
     1,
     {FAILS(WF_INTERNAL, "a bug")},
     {"exit code 70", "a bug"},
     AGAIN},
    {WF_CAUSE_UNKNOWN, 1, false, FREE, 0, {DONE}, {"nothing that says why"}, AGAIN},
    // All ended well, and the results are not joined yet: never "unknown".
    {WF_CAUSE_FINISHING, 1, false, FREE, 1, {DONE}, {"writes out/x/results.h5"}, "weft status"},
    {WF_CAUSE_NO_RESULTS,
     1,
     false,
     WF_BATCH_OVER,
     "FAILED",
     WF_HINT_NONE,
     -1,
     "",
     1,
     {DONE},
     {"was not written"},
     AGAIN},
    {WF_CAUSE_STARTING,
     1,
     false,
     WF_BATCH_RUNS,
     "RUNNING",
     WF_HINT_NONE,
     -1,
     "",
     0,
     {DONE},
     {"has its nodes"},
     WATCH},
};

// What the record of submitted jobs and the reason add.
#define SILENCE WF_BATCH_SILENT, "", WF_HINT_NONE, -1, ""
#define PENDS   WF_BATCH_WAITS, "PENDING", WF_HINT_NONE, -1, ""

typedef struct {
    const char *reason;
    bool cancelled;
    why_case is;
} told_case;

static const told_case told[] = {
    {"",
     true,
     {WF_CAUSE_CANCELLED, 1, false, FREE, 1, {DRAINED(SIGNAL, SIGUSR1)}, {"60 req"}, AGAIN}},
    {"", true, {WF_CAUSE_CANCELLED, 1, false, FREE, 1, {DRAINED(STOP_FILE, 0)}, {"60 req"}, AGAIN}},
    {"", true, {WF_CAUSE_CANCELLED, 1, false, FREE, 1, {GONE(1)}, {"it was cancelled"}, AGAIN}},
    {"", true, {WF_CAUSE_DRAINING, 1, false, FREE, 1, {DRAINS(STOP_FILE)}, {"weft cancel"}, WATCH}},
    {"",
     true,
     {WF_CAUSE_DEVICE, 1, false, FREE, 1, {FAILS(WF_DEVICE, "Xid")}, {"a device failed"}, AGAIN}},
    {"",
     false,
     {WF_CAUSE_SUBMITTED,
      0,
      false,
      SILENCE,
      0,
      {DONE},
      {"job 12 was submitted at 2026-11-21T10:00:00.000Z", "cannot be asked from here"},
      "weft status out/x"}},
    {"PartitionNodeLimit",
     false,
     {WF_CAUSE_UNFIT, 0, false, PENDS, 0, {DONE}, {"never starts", "NodeLimit"}, "weft cancel"}},
    {"PartitionTimeLimit",
     false,
     {WF_CAUSE_UNFIT, 0, false, PENDS, 0, {DONE}, {"never starts"}, "weft cancel"}},
    {"QOSMaxWallDurationPerJobLimit",
     false,
     {WF_CAUSE_UNFIT, 0, false, PENDS, 0, {DONE}, {"never starts"}, "weft cancel"}},
};

static void case_view(const why_case *c, wf_watch_rank ranks[N_MOST], wf_watch_view *v)
{
    *v = (wf_watch_view){.out_dir = "out/x",
                         .n_runs = c->n_runs,
                         .complete = c->complete,
                         .n_ranks = c->n_ranks,
                         .rank = ranks,
                         .requests_total = 100,
                         .requests_done = c->complete ? 100 : 40,
                         .requests_sealed = c->complete ? 100 : 40};
    for (size_t i = 0; i < c->n_ranks; i++) {
        const rank_fact *f = &c->rank[i];
        wf_watch_rank *r = &ranks[i];
        *r = (wf_watch_rank){.pulse = f->pulse, .silent_ns = 34 * S};
        r->is = (wf_rank_status){.rank = (int)i, .operation = f->operation, .drain = f->drain};
        r->is.end = f->end;
        r->is.exit_code = f->pulse == WF_PULSE_OVER ? wf_status_exit_code(f->end) : -1;
        r->is.signal = f->signal;
        r->is.beat_unix_ns = f->beat_unix_ns;
        r->is.pid = 4711 + (int)i;
        r->is.step_entered = 412;
        r->is.still_ns = 45 * S;
        r->is.elapsed_ns = f->operation == WF_OPERATION_LOAD ? 0 : S;
        snprintf(r->is.error, sizeof r->is.error, "%s", f->error);
        snprintf(r->is.host, sizeof r->is.host, "n%zu", i);
        v->n_pulse[f->pulse]++;
    }
}

static void case_check(const why_case *c, size_t i, const char *reason, bool cancelled)
{
    wf_watch_rank ranks[N_MOST];
    wf_watch_view view;
    wf_why why;
    wf_queue_look queue = {.word = c->word, .left_s = -1};
    case_view(c, ranks, &view);
    queue.cancelled = cancelled;
    if (c->state[0] || c->word == WF_BATCH_SILENT) {
        snprintf(queue.job_id, sizeof queue.job_id, "12");
        snprintf(queue.submitted, sizeof queue.submitted, "2026-11-21T10:00:00.000Z");
        snprintf(queue.state, sizeof queue.state, "%s", c->state);
        snprintf(queue.nodes, sizeof queue.nodes, "n[1-4]");
        snprintf(queue.reason, sizeof queue.reason, "%s", reason);
    }
    wf_why_facts facts = {.view = &view,
                          .queue = &queue,
                          .hint = c->hint,
                          .hint_line = c->hint != WF_HINT_NONE ? "slurmstepd: a line" : "",
                          .n_failed = c->n_failed,
                          .reasons = c->n_failed > 0 ? "5 prompt has no tokens" : "",
                          .refusal = c->refusal,
                          .group_end = "",
                          .story = "",
                          .command = "weft run job.yaml"};
    assert_int_equal(wf_why_decide(&facts, &why), WF_OK);
    if (why.cause != c->cause) {
        fail_msg("case %zu: %s, expected %s: %s", i, wf_cause_word(why.cause),
                 wf_cause_word(c->cause), why.words.bytes);
    }
    for (size_t k = 0; k < N_ROWS(c->words) && c->words[k]; k++)
        if (!strstr(why.words.bytes, c->words[k]))
            fail_msg("case %zu: \"%s\" is not in: %s", i, c->words[k], why.words.bytes);
    if (!strstr(why.next.bytes, c->next))
        fail_msg("case %zu: next is \"%s\", not \"%s\"", i, why.next.bytes, c->next);
    if (strpbrk(why.words.bytes, "{}") || strpbrk(why.remedy.bytes, "{}"))
        fail_msg("case %zu: a place is not filled: %s / %s", i, why.words.bytes, why.remedy.bytes);
    assert_true(why.remedy.n > 0);
    wf_why_free(&why);
}

static void test_every_cause(void **state)
{
    (void)state;
    bool seen[WF_N_CAUSES] = {false};
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        case_check(&cases[i], i, "Priority", false);
        seen[cases[i].cause] = true;
    }
    for (size_t i = 0; i < N_ROWS(told); i++) {
        case_check(&told[i].is, i, told[i].reason, told[i].cancelled);
        seen[told[i].is.cause] = true;
    }
    for (int i = 0; i < WF_N_CAUSES; i++)
        if (!seen[i]) fail_msg("no case of %s", wf_cause_word((wf_cause)i));
}

// A changed prompts file is refused: doing again what failed would be no remedy.
static void test_prompts(void **state)
{
    (void)state;
    wf_watch_view view = {.out_dir = "out/x", .n_runs = 1, .complete = true};
    wf_queue_look queue = {.left_s = -1};
    wf_why why;
    wf_why_facts facts = {.view = &view,
                          .queue = &queue,
                          .hint_line = "",
                          .n_failed = 1,
                          .reasons = "",
                          .refusal = "",
                          .group_end = "",
                          .story = "",
                          .command = "weft run job.yaml",
                          .of_prompts = true};
    assert_int_equal(wf_why_decide(&facts, &why), WF_OK);
    assert_int_equal(why.cause, WF_CAUSE_COMPLETE_FAILED);
    assert_non_null(strstr(why.remedy.bytes, "start over with --fresh"));
    assert_string_equal(why.next.bytes, "weft report out/x");
    wf_why_free(&why);
}

// What is not sealed, what befell it, and a folder that a shell would take apart.
static void test_losses(void **state)
{
    (void)state;
    static const struct {
        bool complete;
        rank_fact rank;
        const char *words, *next;
    } rows[] = {
        {true, DONE, "100 requests done; on its way: node n3 failed", "weft report 'out/$(x)'"},
        {false, ALIVE,
         "40 of 100 requests done; 30 of them sealed, 10 would be lost now; so far: "
         "node n3 failed",
         "weft status 'out/$(x)' --watch"},
        {false, GONE(1), "; of what was done, 30 was sealed and 10 will be done again", AGAIN},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        why_case c = {
            .n_runs = 1, .complete = rows[i].complete, .n_ranks = 1, .rank = {rows[i].rank}};
        wf_watch_rank ranks[N_MOST];
        wf_watch_view view;
        wf_why why;
        wf_queue_look queue = {.left_s = -1};
        case_view(&c, ranks, &view);
        view.out_dir = "out/$(x)";
        if (!c.complete) view.requests_sealed = 30;
        wf_why_facts facts = {.view = &view,
                              .queue = &queue,
                              .hint_line = "",
                              .n_failed = -1,
                              .reasons = "",
                              .refusal = "",
                              .group_end = "",
                              .story = "node n3 failed",
                              .command = "weft run job.yaml"};
        assert_int_equal(wf_why_decide(&facts, &why), WF_OK);
        assert_contains(why.words.bytes, rows[i].words);
        assert_string_equal(why.next.bytes, rows[i].next);
        wf_why_free(&why);
    }
}

#define BEGINS(run, hosts)                                                                         \
    "10:00:00 info  weft 0.1.0 (abc): job x, configuration 1\n10:00:00 info  " hosts "\n"
#define BEGINS_NOW(hosts)                                                                          \
    "10:00:00 info  job x: 1 shard -> out\n10:00:00 info  weft 0.1.0 (abc)" WF_BANNER_MARK         \
    "1\n10:00:00 info  " hosts "\n"

// Slurm repeats a start whose nodes are gone, and says nothing of it.
static void test_starts_without_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *log, *story;
    } rows[] = {
        {"", ""},
        {BEGINS(0, "node 0 n1"), ""},
        {BEGINS(0, "node 0 n1") "weft run: drained: 3 left\n" BEGINS(1, "node 0 n2"), ""},
        {BEGINS(0, "nodes 0 n1, 1 n2") BEGINS(1, "node 0 n3"),
         "a start on nodes 0 n1, 1 n2 ended without a word, as when a node is lost, and was begun "
         "again"},
        {BEGINS_NOW("node 0 n1") BEGINS_NOW("node 0 n2"),
         "a start on node 0 n1 ended without a word, as when a node is lost, and was begun again"},
        {"srun: error: Node failure on n4\n" BEGINS(0, "node 0 n1"), "node n4 failed"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_text text = {0};
        wf_why_story(&(wf_watch_view){.out_dir = "/nowhere"}, rows[i].log, &text);
        assert_string_equal(text.bytes ? text.bytes : "", rows[i].story);
        wf_text_free(&text);
    }
}

static void test_log_hints(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        wf_log_hint hint;
    } rows[] = {
        {"slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks "
         "have been OOM Killed.",
         WF_HINT_OUT_OF_MEMORY},
        {"srun: error: n1: task 0: Out Of Memory", WF_HINT_OUT_OF_MEMORY},
        {"slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-21T10:00:00 DUE TO TIME LIMIT "
         "***",
         WF_HINT_TIME_LIMIT},
        {"slurmstepd: error: *** STEP 12.0 ON n1 CANCELLED AT 2026-11-21T10:00:00 DUE TO NODE "
         "FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***",
         WF_HINT_NODE_FAIL},
        {"srun: error: Node failure on n2", WF_HINT_NODE_FAIL},
        {"slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-21T10:00:00 DUE TO PREEMPTION "
         "***",
         WF_HINT_PREEMPTED},
        {"slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-21T10:00:00 ***",
         WF_HINT_CANCELLED},
        {"slurmstepd: error: *** STEP 1.0 ON n1 CANCELLED AT 2026-11-21T11:36:00 ***",
         WF_HINT_NONE},
        {"slurmstepd-n1: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-21T10:00:00 DUE TO TIME "
         "LIMIT ***",
         WF_HINT_TIME_LIMIT},
        {"srun: error: n2: task 3: Killed", WF_HINT_KILLED},
        {"12:03:44 warn  request 7: Killed by its stop token", WF_HINT_NONE},
        {"", WF_HINT_NONE},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++)
        assert_int_equal(wf_log_hint_of(rows[i].line), rows[i].hint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cause), cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_losses),      cmocka_unit_test(test_starts_without_a_word),
        cmocka_unit_test(test_log_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
