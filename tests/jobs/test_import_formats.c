// Log formats beside those of test_import.c, columns by --map, and what becomes of bad input.
#include "tests/jobs/jobs_test.h"

#include "io/base/file.h"
#include "io/shard/shard.h"
#include "jobs/streams/import.h"
#include "jobs/streams/rounds.h"

typedef struct {
    int64_t arrival_ns;
    uint32_t n_prompt, n_new;
    const char *meta;
} expected;

static const char *in_folder(void **state, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", (const char *)*state, name);
    return path;
}

static wf_status import_text(void **state, wf_import_options *o, const char *text,
                             wf_import_report *r)
{
    static char log[256], out[256];
    o->input = in_folder(state, "log", log);
    o->output = in_folder(state, "log.h5", out);
    o->replace = true;
    assert_ok(wf_file_write_whole(log, text, strlen(text), WF_PUBLISH_REPLACE));
    return wf_import_run(o, r);
}

static wf_shard *open_rows(const wf_import_options *o, wf_arena *arena, wf_request *rows,
                           uint32_t *n)
{
    wf_shard *s = NULL;
    assert_ok(wf_shard_open(o->output, &s));
    wf_shard_limits limits = {.n_vocab = wf_shard_info_of(s)->vocab_size};
    assert_ok(wf_shard_read(s, 0, 16, &limits, arena, rows, n));
    for (uint32_t i = 0; i < *n; i++)
        if (rows[i].status != WF_OK) fail_msg("%s", rows[i].error);
    return s;
}

static void check_rows(const wf_import_options *o, const expected *want, uint32_t n_want)
{
    wf_arena *arena = NULL;
    wf_request rows[16];
    uint32_t n = 0;
    assert_ok(wf_arena_create(0, &arena));
    wf_shard *s = open_rows(o, arena, rows, &n);
    assert_int_equal(n, n_want);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].arrival_ns, want[i].arrival_ns);
        assert_int_equal(rows[i].n_prompt, want[i].n_prompt);
        assert_int_equal(rows[i].max_new_tokens, want[i].n_new);
        const char *meta = want[i].meta ? want[i].meta : "";
        assert_int_equal(rows[i].meta_bytes, strlen(meta));
        if (*meta) assert_memory_equal(rows[i].meta, meta, strlen(meta));
    }
    wf_shard_close(&s);
    wf_arena_destroy(&arena);
}

// A line of TraceLab's, of its keys those that matter. What comes out after `at` is later.
#define ROUND(session, round, n_input, n_prefix, n_output, event, at, tools)                       \
    "{\"provider\": \"claude\", \"session_id\": \"" session "\", \"round_index\": " #round         \
    ", \"input_tokens_total\": " #n_input ", \"prefix_tokens\": " #n_prefix                        \
    ", \"output_tokens\": " #n_output ", \"timing_events\": [{\"event_type\": \"" event            \
    "\", \"timestamp\": \"2026-06-01T05:" at "Z\"}, {\"event_type\": \"text\", \"timestamp\": "    \
    "\"2026-06-01T05:50:00Z\"}, {\"event_type\": \"tool_result\", \"timestamp\": "                 \
    "\"2026-06-01T05:51:00Z\"}], \"tools\": [" tools "], \"first_input_event_type\": \"" event     \
    "\"}\n"
#define TOOLS "{\"tool_wall_latency_ms\": 860}, {\"tool_wall_latency_ms\": 19291}"

// Each log is imported by its name, and by "auto".
static void test_formats(void **state)
{
    static const struct {
        const char *format, *text;
        expected row[2];
    } cases[] = {
        {"azure",
         "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n"
         "2024-05-10 00:00:00.017335+00:00,2399,6\n",
         {{0, 2162, 5, NULL}, {7405000, 2399, 6, NULL}}},
        {"azure",
         "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2025-01-01 00:00:00.5,2,1500,7\n"
         "2025-01-01 00:00:01.5,0,30,9",
         {{0, 1500, 7, "{\"NumImages\":2}"}, {1000000000, 30, 9, "{\"NumImages\":0}"}}},
        {"mooncake",
         "{\"timestamp\": 27482, \"input_length\": 600, \"output_length\": 52, \"hash_ids\": [4, "
         "5]}\n"
         "{\"timestamp\": 30535, \"input_length\": 9, \"output_length\": 26, \"hash_ids\": [6]}\n",
         {{0, 600, 52, NULL}, {3053000000, 9, 26, NULL}}},
        {"bailian",
         "{\"chat_id\": 159, \"parent_chat_id\": 55, \"timestamp\": 61.114, \"input_length\": 33, "
         "\"output_length\": 13, \"type\": \"text\", \"turn\": 2, \"hash_ids\": [1, 2, 3]}\n"
         "{\"chat_id\": 160, \"parent_chat_id\": -1, \"timestamp\": 61.5, \"input_length\": 20, "
         "\"output_length\": 1, \"type\": \"file\", \"turn\": 1, \"hash_ids\": [1]}\n",
         {{0, 33, 13, "{\"chat_id\":159,\"parent_chat_id\":55,\"type\":\"text\",\"turn\":2}"},
          {386000000, 20, 1,
           "{\"chat_id\":160,\"parent_chat_id\":-1,\"type\":\"file\",\"turn\":1}"}}},
        {"burstgpt",
         "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log "
         "Type\r\n5,7,1.5,ChatGPT,472,18,490,Conversation log\r\n45.25,8,2,GPT-4,10,3,13,API "
         "log\r\n",
         {{0, 472, 18,
           "{\"Session ID\":7,\"Elapsed time\":1.5,\"Model\":\"ChatGPT\",\"Log "
           "Type\":\"Conversation "
           "log\"}"},
          {INT64_C(40250000000), 10, 3,
           "{\"Session ID\":8,\"Elapsed time\":2,\"Model\":\"GPT-4\",\"Log Type\":\"API log\"}"}}},
        {"vidur",
         "\xef\xbb\xbf,arrived_at,num_prefill_tokens,num_decode_tokens\n0,0.5,37,9\n1,5e-1,40,11",
         {{0, 37, 9, NULL}, {0, 40, 11, NULL}}},
        {"llmservingsim",
         "{\"input_toks\": 16, \"output_toks\": 8, \"arrival_time_ns\": 10}\n"
         "{\"input_toks\": 32, \"output_toks\": 8, \"arrival_time_ns\": 5010, \"input_tok_ids\": "
         "[3]}\n",
         {{0, 16, 8, NULL}, {5000, 32, 8, NULL}}},
        {"tracelab",
         ROUND("s", 0, 12, 5, 3, "user_message", "40:20.151", "")
             ROUND("s", 1, 20, 15, 4, "tool_result", "40:50.938", TOOLS),
         {{0, 12, 3,
           "{\"session_id\":\"s\",\"round_index\":0,\"first_input_event_type\":\"user_message\"}"},
          {INT64_C(30787000000), 20, 4,
           "{\"session_id\":\"s\",\"round_index\":1,\"first_input_event_type\":\"tool_result\","
           "\"tool_wall_ms\":19291.0}"}}},
    };
    wf_import_report r;
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        for (int k = 0; k < 2; k++) {
            wf_import_options o = {.format = k == 0 ? cases[i].format : "auto"};
            assert_ok(import_text(state, &o, cases[i].text, &r));
            assert_string_equal(r.format, cases[i].format);
            check_rows(&o, cases[i].row, 2);
        }
    }
}

// The same block id gives the same tokens in every row; another id others.
static void test_blocks_are_shared(void **state)
{
    wf_import_options o = {.format = "jsonl", .vocab = 1000};
    static const char *const maps[] = {"b=blocks_4"};
    wf_import_report r;
    wf_arena *arena = NULL;
    wf_request rows[16];
    uint32_t n = 0;
    o.maps = maps;
    o.n_maps = 1;
    assert_ok(import_text(
        state, &o,
        "{\"arrival_s\": 0, \"input_tokens\": 10, \"output_tokens\": 1, \"b\": [7, 8, 9]}\n"
        "{\"arrival_s\": 1, \"input_tokens\": 9, \"output_tokens\": 1, \"b\": [7, 6]}\n",
        &r));
    assert_ok(wf_arena_create(0, &arena));
    wf_shard *s = open_rows(&o, arena, rows, &n);
    assert_int_equal(n, 2);
    assert_memory_equal(rows[0].prompt, rows[1].prompt, 4 * sizeof(int32_t));
    assert_memory_not_equal(rows[0].prompt + 4, rows[1].prompt + 4, 4 * sizeof(int32_t));
    wf_shard_close(&s);
    wf_arena_destroy(&arena);
}

static void same(const wf_request *a, const wf_request *b, size_t n)
{
    assert_memory_equal(a->prompt, b->prompt, n * sizeof(int32_t));
    assert_true(a->prompt[n] != b->prompt[n]); // of a large vocabulary, drawn apart
}

// A round's prompt is that of the round before it as far as the log says, and no further, also
// where rounds of two sessions lie between each other and where a context was cut back.
static void test_rounds_go_on(void **state)
{
    wf_import_options o = {.format = "tracelab", .vocab = 1 << 30};
    wf_import_report r;
    wf_arena *arena = NULL;
    wf_request rows[16];
    uint32_t n = 0;
    assert_ok(import_text(state, &o,
                          ROUND("s", 0, 12, 5, 3, "user_message", "40:20.1",
                                "") ROUND("t", 0, 9, 5, 3, "user_message", "40:21", "")
                              ROUND("s", 1, 20, 14, 4, "tool_result", "40:22", "")
                                  ROUND("t", 1, 12, 9, 4, "tool_result", "40:23", "")
                                      ROUND("s", 2, 30, 19, 4, "tool_result", "40:24", "")
                                          ROUND("s", 3, 30, 7, 4, "tool_result", "40:25", "")
                                              ROUND("u", 0, 6, 0, 1, "user_message", "40:26", ""),
                          &r));
    assert_ok(wf_arena_create(0, &arena));
    wf_shard *s = open_rows(&o, arena, rows, &n);
    assert_int_equal(n, 7);
    same(&rows[0], &rows[1], 5); // what every session of this provider begins with
    assert_memory_equal(rows[0].prompt, rows[2].prompt, 12 * sizeof(int32_t)); // 14: and an answer
    same(&rows[1], &rows[2], 5);
    assert_memory_equal(rows[1].prompt, rows[3].prompt, 9 * sizeof(int32_t));
    same(&rows[2], &rows[4], 19);
    same(&rows[4], &rows[5], 7);
    assert_memory_equal(rows[0].prompt, rows[5].prompt, 7 * sizeof(int32_t));
    assert_true(rows[6].prompt[0] != rows[0].prompt[0]);
    wf_shard_close(&s);
    wf_arena_destroy(&arena);
}

// What logs say of sessions: two rows of one, a row of another; think times of the second in ms.
static void test_sessions_are_kept(void **state)
{
    static const struct {
        const char *format, *text;
        int64_t think_ms; // -1: not known
        const char *maps[4];
        uint64_t n_overlaps;
    } cases[] = {
        {"tracelab",
         ROUND("s", 0, 12, 5, 3, "user_message", "40:20", TOOLS)
             ROUND("s", 1, 20, 15, 4, "tool_result", "40:50", "")
                 ROUND("t", 0, 20, 15, 4, "user_message", "40:51", ""),
         19291,
         {NULL},
         0}, // its tools
        {"tracelab",
         ROUND("s", 0, 12, 5, 3, "user_message", "40:20", "")
             ROUND("s", 1, 20, 15, 4, "user_message", "50:07", "")
                 ROUND("t", 0, 20, 15, 4, "user_message", "50:08", ""),
         7000,
         {NULL},
         0}, // from its last event
        {"bailian",
         "{\"chat_id\": 159, \"parent_chat_id\": -1, \"timestamp\": 61.1, \"input_length\": 3, "
         "\"output_length\": 13, \"turn\": 1, \"hash_ids\": [1]}\n"
         "{\"chat_id\": 160, \"parent_chat_id\": 159, \"timestamp\": 71.5, \"input_length\": 3, "
         "\"output_length\": 1, \"turn\": 2, \"hash_ids\": [1]}\n"
         "{\"chat_id\": 161, \"parent_chat_id\": -1, \"timestamp\": 81.5, \"input_length\": 3, "
         "\"output_length\": 1, \"turn\": 1, \"hash_ids\": [1]}\n",
         -1,
         {NULL},
         0},
        {"burstgpt",
         "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log "
         "Type\n5,7,1.5,A,4,18,22,c\n8.25,7,2,A,10,3,13,c\n9,8,,A,1,1,2,c\n",
         1750,
         {NULL},
         0},
        {"csv",
         "arrival_s,input_tokens,output_tokens,who,t\n0,1,1,a,\n1,1,1,a,2.5\n2,1,1,b,\n",
         2500,
         {"who=session", "t=think_s"},
         0},
        {"jsonl",
         "{\"arrival_s\": 0, \"input_tokens\": 1, \"output_tokens\": 1, \"s\": 9, \"ms\": 1500}\n"
         "{\"arrival_s\": 1, \"input_tokens\": 1, \"output_tokens\": 1, \"s\": \"9\"}\n"
         "{\"arrival_s\": 2, \"input_tokens\": 1, \"output_tokens\": 1, \"s\": 10}\n",
         0,
         {"s=session", "ms=busy_ms"},
         1},
    };
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_options o = {.format = cases[i].format, .maps = cases[i].maps};
        wf_import_report r;
        wf_arena *arena = NULL;
        wf_request rows[16];
        uint32_t n = 0;
        while (o.n_maps < N_ROWS(cases[i].maps) && o.maps[o.n_maps])
            o.n_maps++;
        assert_ok(import_text(state, &o, cases[i].text, &r));
        assert_ok(wf_arena_create(0, &arena));
        wf_shard *s = open_rows(&o, arena, rows, &n);
        assert_int_equal(n, 3);
        assert_true(rows[0].session != 0 && rows[0].session == rows[1].session);
        assert_true(rows[2].session != 0 && rows[2].session != rows[0].session);
        for (uint32_t k = 0; k < 3; k++) {
            bool second = k == 1;
            int64_t ns = second && cases[i].think_ms >= 0 ? cases[i].think_ms * 1000000 : -1;
            assert_int_equal(rows[k].turn, second);
            assert_int_equal(rows[k].think_ns, ns);
        }
        assert_int_equal(r.count[WF_IMPORT_overlap].n, cases[i].n_overlaps);
        assert_int_equal(wf_shard_info_of(s)->n_turns, 3);
        assert_int_equal(wf_shard_info_of(s)->n_unknown_thinks, cases[i].think_ms < 0);
        wf_shard_close(&s);
        wf_arena_destroy(&arena);
    }
}

// A thousand sessions of a few rounds, by a map that has grown.
static void test_many_sessions(void **state)
{
    (void)state;
    enum { N_SESSIONS = 1000, N_EACH = 3 };
    wf_rounds rounds = {0};
    for (uint64_t i = 0; i < N_SESSIONS * N_EACH; i++)
        assert_ok(wf_rounds_add(&rounds, 2 * i,
                                &(wf_round_said){.before = (i % N_SESSIONS) << 20, // they collide
                                                 .own = (i % N_SESSIONS) << 20,
                                                 .n_prefix = 10}));
    for (uint64_t i = 0; i < N_SESSIONS * N_EACH; i++) {
        uint64_t parent = i < N_SESSIONS ? WF_ROUND_NONE : 2 * (i - N_SESSIONS);
        assert_true(rounds.round[2 * i].parent == parent);
    }
    wf_rounds_free(&rounds);
}

static void test_bad_rounds(void **state)
{
    static const char *const cases[][2] = {
        {ROUND("s", 0, 12, 13, 3, "user_message", "40:20", ""),
         "13 tokens are shared of a prompt of 12"},
        {ROUND("s", 0, 12, -1, 3, "user_message", "40:20", ""), "prefix_tokens"},
        {ROUND("s", 0, 12, 5, 3, "user_message", "xx:20", ""), "timing_events"},
        {"{\"session_id\": \"s\", \"input_tokens_total\": 1, \"output_tokens\": 1, "
         "\"timing_events\": []}\n",
         "timing_events is empty"},
        {"{\"session_id\": 7, \"input_tokens_total\": 1, \"output_tokens\": 1, "
         "\"timing_events\": [{\"event_type\": \"user_message\", \"timestamp\": "
         "\"2026-06-01T05:40:20Z\"}]}\n",
         "session_id"}};
    wf_import_report r;
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_options o = {.format = "tracelab"};
        assert_int_equal(import_text(state, &o, cases[i][0], &r), WF_DATA);
        assert_contains(wf_error(), "log:1");
        if (i != 2) assert_contains(wf_error(), cases[i][1]);
    }
    static const char *const maps[] = {"x=arrival_events"};
    wf_import_options o = {.format = "csv", .maps = maps, .n_maps = 1};
    assert_int_equal(import_text(state, &o, "x,input_tokens,output_tokens\n1,1,1\n", &r), WF_USAGE);
}

static void test_maps(void **state)
{
    static const char *const maps[] = {"start=arrival_ms", "in=input_tokens", "out,n=output_tokens",
                                       "tenant=meta"};
    static const expected want[] = {{0, 3, 4, "{\"tenant\":\"a,\\\"b\\\"\"}"},
                                    {2500000, 5, 6, "{\"tenant\":\"c\"}"}};
    wf_import_options o = {.format = "csv", .maps = maps, .n_maps = N_ROWS(maps)};
    wf_import_report r;
    assert_ok(import_text(
        state, &o, "tenant,start,in,\"out,n\"\n\"a,\"\"b\"\"\",1,3,4\nc , 3.5 ,\"5\",6.0\n", &r));
    check_rows(&o, want, 2);
    assert_int_equal(r.count[WF_IMPORT_quoted].n, 2);
    assert_int_equal(r.count[WF_IMPORT_decimal].n, 1);
    assert_int_equal(r.count[WF_IMPORT_decimal].first_line, 3);
}

static void test_bad_rows_are_left_out_and_named(void **state)
{
    static const expected want[] = {{0, 1, 1, NULL}, {1000000000, 4, 4, NULL}};
    wf_import_options o = {.format = "csv", .skip_bad = true, .drop_zeros = true};
    wf_import_report r;
    assert_ok(import_text(state, &o,
                          "arrival_s,input_tokens,output_tokens\n1,1,1\nnan,2,2\n-3,3,3\n2,4,4\n"
                          "5,0,5\n6,6\n7,7.5,7\n",
                          &r));
    check_rows(&o, want, 2);
    assert_int_equal(r.count[WF_IMPORT_bad].n, 4);
    assert_int_equal(r.count[WF_IMPORT_bad].first_line, 3);
    assert_int_equal(r.count[WF_IMPORT_zero].n, 1);
    assert_int_equal(r.count[WF_IMPORT_zero].first_line, 6);
    assert_contains(r.reason[0], "log:3: arrival_s is 'nan'");
    assert_contains(r.reason[2], "log:7: has 2 fields, the header has 3");
    assert_contains(r.reason[3], "log:8: input_tokens is '7.5'");
    assert_int_equal(r.reason[4][0], '\0');
}

static void test_refusals_say_what_helps(void **state)
{
    static const struct {
        const char *format, *map, *text, *message;
    } cases[] = {
        {"csv", "t=arrival", "t,input_tokens,output_tokens\n1,1,1\n",
         "column 't': 'arrival' is no meaning; known are arrival_s, arrival_ms"},
        {"csv", "t", "t\n", "--map t: expected column=meaning"},
        {"csv", NULL, "t,input_tokens,output_tokens\n1,1,1\n", "--map NAME=arrival_s"},
        {"csv", NULL, "arrival_s,input_tokens,output_tokens\nx,1,1\n", "--skip-bad"},
        {"vidur", NULL, "TIMESTAMP,ContextTokens,GeneratedTokens\n", "weft import azure"},
        {"azure", NULL, "{\"a\": 1}\n", "is JSON, not comma-separated values"},
        {"mooncake", NULL, "a,b\n", "is no JSON object"},
        {"auto", NULL, "a,b\n", "has the columns of no known format"},
        {"mooncake", NULL,
         "{\"timestamp\": 1, \"input_length\": 600, \"output_length\": 1, \"hash_ids\": [1, 2, "
         "3]}\n",
         "hash_ids has 3 blocks for 600 tokens, which are 2 of 512 each"},
        {"mooncake", NULL, "{\"timestamp\": NaN, \"input_length\": 600, \"output_length\": 1}\n",
         "log:1"},
    };
    wf_import_report r;
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_options o = {.format = cases[i].format,
                               .maps = &cases[i].map,
                               .n_maps = cases[i].map != NULL ? 1 : 0};
        assert_int_not_equal(import_text(state, &o, cases[i].text, &r), WF_OK);
        assert_contains(wf_error(), cases[i].message);
    }
}

// Seconds read as milliseconds: nothing is guessed, but the rate is called odd.
static void test_odd_rates(void **state)
{
    static const struct {
        const char *map;
        bool is_odd;
    } cases[] = {{"t=arrival_s", false}, {"t=arrival_ms", true}};
    char text[2048] = "t,input_tokens,output_tokens\n";
    for (int i = 0; i < 50; i++)
        snprintf(text + strlen(text), 32, "%d.5,1,1\n", i / 5);
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_report r;
        wf_import_options o = {.format = "csv", .maps = &cases[i].map, .n_maps = 1};
        assert_ok(import_text(state, &o, text, &r));
        assert_int_equal(wf_import_rate_is_odd(&r), cases[i].is_odd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_blocks_are_shared),
        cmocka_unit_test(test_rounds_go_on),
        cmocka_unit_test(test_sessions_are_kept),
        cmocka_unit_test(test_many_sessions),
        cmocka_unit_test(test_bad_rounds),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_bad_rows_are_left_out_and_named),
        cmocka_unit_test(test_refusals_say_what_helps),
        cmocka_unit_test(test_odd_rates),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
