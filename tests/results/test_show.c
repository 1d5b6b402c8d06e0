// Showing single rows, by row, shard, sample and id.
#include "tests/base/base_test.h"

#include "io/base/json.h"
#include "results/merge.h"
#include "results/show.h"
#include "tests/results/run_fixture.h"

static run_fixture fixture;
static char text[1 << 16];

static int setup_empty(void **state)
{
    (void)state;
    run_fixture_make(&fixture);
    return 0;
}

static int setup(void **state)
{
    setup_empty(state);
    run_fixture_complete(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run_fixture_remove(&fixture);
    return 0;
}

static wf_status show(wf_show_options options)
{
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    wf_status st = wf_show(fixture.out, &options, out);
    fclose(out);
    return st;
}

static size_t count(const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

static void a_row_is_shown_as_text(void **state)
{
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(show((wf_show_options){.number = 17, .shard = -1, .sample = -1}));
        assert_int_equal(count("row 17 sample 0 of shard"), 2); // both shards have one
        assert_ok(show((wf_show_options){.number = 17, .shard = 0, .sample = 0}));
        assert_int_equal(count("row 17 sample 0 of shard 0"), 1);
        assert_int_equal(count("row 17 "), 1);
        assert_contains(text, "id            1017\n");
        assert_contains(text, "done, length");
        assert_contains(text, "first token   0.037000 s  (+20.000 ms)");
        assert_contains(text, "prompt        120 tokens");
        assert_contains(text, "ids           118 119 120");
        assert_contains(text, "text          vwxyz"); // the vocabulary is bytes
        if (getenv("WEFT_SHOW")) printf("%s", text);
        assert_ok(wf_merge(fixture.out, NULL, NULL)); // and the same from results.h5
    }
}

static void a_failed_row_shows_its_reason(void **state)
{
    (void)state;
    assert_ok(show((wf_show_options){.number = 10, .shard = 0, .sample = -1}));
    assert_contains(text, "failed, error");
    assert_contains(text, "REQ_TOKEN: token 999 in row 10");
    assert_contains(text, "first token   -");
}

static void json_holds_the_row(void **state)
{
    (void)state;
    wf_json *doc = NULL;
    const char *string;
    int64_t value;
    assert_ok(show(
        (wf_show_options){.by_id = true, .number = 1044, .shard = 1, .sample = -1, .json = true}));
    assert_int_equal(count("\n"), 1);
    assert_ok(wf_json_parse("row", text, strlen(text), NULL, &doc));
    wf_json_ref root = wf_json_root(doc);
    assert_ok(wf_json_get_i64(root, "row", 0, 1000, &value));
    assert_int_equal(value, 44);
    assert_ok(wf_json_get_string(root, "shard_uid", &string));
    assert_string_equal(string, fixture.uid[1]);
    assert_ok(wf_json_get_string(root, "meta", &string));
    assert_contains(string, "tenant");
    wf_json_ref tokens, times;
    assert_ok(wf_json_get_array(root, "token_ids", &tokens));
    assert_ok(wf_json_get_array(root, "token_time_ns", &times));
    assert_int_equal(wf_json_count(tokens), 45);
    assert_int_equal(wf_json_count(times), 45);
    assert_ok(wf_json_get_string(root, "text", &string));
    assert_int_equal(strlen(string), 45);
    wf_json_destroy(&doc);
}

static const float logprob[] = {-0.5f, -1.5f}, top_logprob[] = {-0.5f, -2, -1.5f, -2.5f};
static const int32_t top_id[] = {7, 8, 9, 10};

static bool add_logprobs(wf_result *row, run_row_buffers *buffers, void *context)
{
    (void)buffers, (void)context;
    if (row->row != 1) return row->row == 0;
    row->n_top = 2;
    row->logprob = logprob;
    row->top_id = top_id;
    row->top_logprob = top_logprob;
    return true;
}

// Every column that the file has, also those that only some rows fill; from segments and merged.
static void json_holds_every_column(void **state)
{
    (void)state;
    fixture.columns = (wf_result_columns){.token_times = 1, .logprobs = 1, .n_top = 2};
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write_changed(&fixture, run, 0, 0, 0, 2, add_logprobs, NULL);
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(show((wf_show_options){.number = 1, .shard = 0, .sample = -1, .json = true}));
        assert_contains(text, "\"error\":null");
        assert_contains(text, "\"finish_reason\":\"length\"");
        assert_contains(text, "\"logprobs\":[-0.5,-1.5]");
        assert_contains(text, "\"top_ids\":[[7,8],[9,10]]");
        assert_contains(text, "\"top_logprobs\":[[-0.5,-2.0],[-1.5,-2.5]]");
        assert_ok(show((wf_show_options){.number = 0, .shard = 0, .sample = -1, .json = true}));
        assert_contains(text, "\"logprobs\":[null],");
        assert_contains(text, "\"top_ids\":[[-1,-1]]");
        assert_ok(wf_merge(fixture.out, NULL, NULL));
    }
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    static const struct {
        wf_show_options options;
        const char *says;
    } table[] = {
        {{.number = 1000, .shard = -1, .sample = -1}, "no shard has a row 1000"},
        {{.number = 200, .shard = 1, .sample = -1}, "no shard has a row 200"},
        {{.number = 1, .shard = 2, .sample = -1}, "there is no shard 2, there are 2"},
        {{.number = 1, .shard = 0, .sample = 3}, "row 1 has no such result"},
        {{.by_id = true, .number = 5, .shard = -1, .sample = -1}, "no result has id 5"},
    };
    for (size_t i = 0; i < N_ROWS(table); i++) {
        assert_int_equal(show(table[i].options), WF_NO_INPUT);
        assert_contains(wf_error(), table[i].says);
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_is_shown_as_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_row_shows_its_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(json_holds_the_row, setup, teardown),
        cmocka_unit_test_setup_teardown(json_holds_every_column, setup_empty, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
