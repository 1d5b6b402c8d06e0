// Conversations of Weka's KV cache tester: their requests, what prompts share, where they begin.
#include "tests/jobs/jobs_test.h"

#include <sys/stat.h>

#include "io/base/file.h"
#include "io/shard/shard.h"
#include "jobs/streams/import.h"

#define HEAD "{\"id\": \"a\", \"block_size\": 4, \"tool_tokens\": 3, \"system_tokens\": 2, "
#define A                                                                                          \
    HEAD "\"requests\": [\n"                                                                       \
         " {\"t\": 0.0, \"type\": \"s\", \"in\": 9, \"out\": 3, \"hash_ids\": [1, 2, 3], "         \
         "\"api_time\": 1.5},\n"                                                                   \
         " {\"t\": 2.5, \"type\": \"n\", \"in\": 16, \"out\": 2, \"hash_ids\": [1, 2, 8, 9]},\n"   \
         " {\"t\": 4, \"in\": 17, \"out\": 0, \"hash_ids\": [1, 2, 8, 9, 10], \"stop\": \"\"}]}"
#define B                                                                                          \
    "{\"block_size\": 4, \"tool_tokens\": 3, \"system_tokens\": 2, \"requests\": "                 \
    "[{\"t\": 1, \"type\": \"s\", \"in\": 8, \"out\": 1, \"hash_ids\": [1, 2]}]}"

static char path[200], output[200];

static wf_import_options options_of(void **state, const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", (char *)*state, name);
    snprintf(output, sizeof output, "%s/x.h5", (char *)*state);
    assert_ok(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE));
    return (wf_import_options){
        .format = "weka", .input = path, .output = output, .vocab = 1 << 30, .replace = true};
}

static uint32_t rows_of(const wf_import_options *o, wf_arena *arena, wf_request rows[16])
{
    wf_import_report r;
    wf_shard *s = NULL;
    uint32_t n = 0;
    assert_ok(wf_import_run(o, &r));
    assert_ok(wf_shard_open(o->output, &s));
    wf_shard_limits limits = {.n_vocab = wf_shard_info_of(s)->vocab_size};
    assert_ok(wf_shard_read(s, 0, 16, &limits, arena, rows, &n));
    wf_shard_close(&s);
    return n;
}

static void same(const wf_request *a, const wf_request *b, size_t n)
{
    assert_memory_equal(a->prompt, b->prompt, n * sizeof(int32_t));
    assert_true(a->prompt[n] != b->prompt[n]);
}

static void prompts_share_what_their_blocks_do(void **state)
{
    wf_arena *arena = NULL;
    wf_request rows[16];
    wf_import_options o = options_of(state, "a.json", "[" A ", " B "]");
    assert_ok(wf_arena_create(0, &arena));
    assert_int_equal(rows_of(&o, arena, rows), 4); // by arrival
    const int64_t ms[] = {0, 1000, 2500, 4000};
    const uint32_t n_prompt[] = {9, 8, 16, 17}, n_new[] = {3, 1, 2, 1};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rows[i].arrival_ns, ms[i] * 1000000);
        assert_int_equal(rows[i].n_prompt, n_prompt[i]);
        assert_int_equal(rows[i].max_new_tokens, n_new[i]);
    }
    assert_true(rows[0].session == rows[2].session && rows[2].session == rows[3].session);
    assert_true(rows[1].session != 0 && rows[1].session != rows[0].session);
    const int64_t think_ms[] = {-1, -1, 1000, -1}; // 2.5 s - 1.5 s; of the last nobody knows
    const uint32_t turns[] = {0, 0, 1, 2};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rows[i].turn, turns[i]);
        assert_int_equal(rows[i].think_ns, think_ms[i] < 0 ? -1 : think_ms[i] * 1000000);
    }
    same(&rows[0], &rows[1], 5); // tools and system prompt, of both conversations
    same(&rows[0], &rows[2], 8);
    assert_memory_equal(rows[2].prompt, rows[3].prompt, 16 * sizeof(int32_t));
    wf_arena_destroy(&arena);
}

static void a_folder_is_read_and_starts_are_drawn(void **state)
{
    wf_arena *arena = NULL;
    wf_request rows[16];
    char folder[150];
    wf_import_options o = options_of(state, "note.txt", "not JSON");
    snprintf(folder, sizeof folder, "%s/traces", (char *)*state);
    assert_int_equal(mkdir(folder, 0777), 0);
    options_of((void *[]){folder}, "1.json", A);
    options_of((void *[]){folder}, "2.json", B);
    options_of((void *[]){folder}, "readme", "no trace");
    o.input = folder;
    snprintf(output, sizeof output, "%s/x.h5", (char *)*state);
    o.synth = (wf_synth_options){.has_interval = true, .interval_s = 1000};
    o.seed = 3;
    assert_ok(wf_arena_create(0, &arena));
    assert_int_equal(rows_of(&o, arena, rows), 4);
    assert_int_equal(rows[2].arrival_ns, INT64_C(4000000000));
    assert_true(rows[3].arrival_ns > INT64_C(10000000000)); // 2.json, after a gap of 1000 s or so
    assert_int_equal(rows[3].n_prompt, 8);
    int64_t began = rows[3].arrival_ns;
    assert_int_equal(rows_of(&o, arena, rows), 4);
    assert_true(rows[3].arrival_ns == began); // the same seed
    o.seed = 4;
    assert_int_equal(rows_of(&o, arena, rows), 4);
    assert_true(rows[3].arrival_ns != began);
    o.n_rows = 2;
    assert_int_equal(rows_of(&o, arena, rows), 2);
    wf_arena_destroy(&arena);
}

#define REQUEST(more) HEAD "\"requests\": [{\"t\": 0, \"in\": 9, \"out\": 1}, {" more "}]}"

static void mistakes_are_told(void **state)
{
    static const char *const cases[][2] = {
        {REQUEST("\"t\": 1, \"type\": \"subagent\", \"requests\": []"), "--skip-bad leaves it out"},
        {REQUEST("\"t\": -1, \"in\": 1, \"out\": 1"), "t"},
        {REQUEST("\"t\": 1, \"out\": 1"), "in"},
        {REQUEST("\"t\": 1, \"in\": 9, \"out\": 1, \"hash_ids\": [1]"),
         "1 blocks of 4 for 9 tokens"},
        {REQUEST("\"t\": 1, \"in\": 9, \"out\": 1, \"hash_ids\": [1, 2, \"x\"]"), "hash_ids"},
        {"{\"requests\": []}", "block_size"},
        {HEAD "\"requests\": []}", "has no requests"},
        {"[1]", "a.json"}};
    wf_import_report r;
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_options o = options_of(state, "a.json", cases[i][0]);
        assert_int_equal(wf_import_run(&o, &r), WF_DATA);
        assert_contains(wf_error(), cases[i][1]);
        assert_contains(wf_error(), "a.json");
    }
    wf_import_options o = options_of(state, "a.json", cases[0][0]);
    o.skip_bad = true;
    assert_ok(wf_import_run(&o, &r));
    assert_int_equal(r.n_rows, 1);
    assert_int_equal(r.count[WF_IMPORT_bad].n, 1);
    assert_contains(r.reason[0], "subagent");
    o.first_row = 1;
    assert_int_equal(wf_import_run(&o, &r), WF_USAGE);
    o = options_of(state, "a.json", A);
    o.input = "nowhere.json";
    assert_int_equal(wf_import_run(&o, &r), WF_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prompts_share_what_their_blocks_do, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_folder_is_read_and_starts_are_drawn, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(mistakes_are_told, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
