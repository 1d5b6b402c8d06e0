// Plain JSON lines are read without a tree, and to the same row as with one: the same line with a
// letter of a key written as an escape goes the long way.
#include "tests/jobs/jobs_test.h"

#include "jobs/streams/import_format.h"

#define HEAD "{\"timestamp\": "

typedef struct {
    const char *rest; // of the line, after HEAD
    bool plain;
} line_case;

static const line_case cases[] = {
    {"1, \"input_length\": 33, \"output_length\": 13, \"hash_ids\": [1, 2, 3], \"chat_id\": 4}",
     true},
    {"61.114,\"input_length\":17,\"output_length\":1,\"hash_ids\":[ 0 ,999999999999999999 ],"
     "\"chat_id\":-4,\"type\":\"a/b c\",\"turn\":0,\"more\":[],\"and\":\"\"} \t",
     true},
    {"0.5, \"input_length\": 0, \"output_length\": 0, \"hash_ids\": [], \"chat_id\": \"x\"}", true},
    {"922337203685477580, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], "
     "\"chat_id\": 1}",
     false},
    {"1e3, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1}", false},
    {"1, \"input_length\": 1.0, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1}", false},
    {"1, \"input_length\": \"1\", \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1}", false},
    {"1, \"input_length\": 2147483649, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1}",
     false},
    {"1, \"input_length\": 1, \"output_length\": -1, \"hash_ids\": [1], \"chat_id\": 1}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [-1], \"chat_id\": 1}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1,], \"chat_id\": 1}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [01], \"chat_id\": 1}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1.5}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": -0}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": \"\xc3\xa4\"}",
     false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": \"\\n\"}",
     false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": null}", false},
    {"1, \"input_length\": 1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], "
     "\"chat_id\": 1}",
     false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1]}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1,}", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1} 2", false},
    {"1, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1", false},
    {"1. , \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [1], \"chat_id\": 1}", false},
};

static wf_status read_line(const wf_trace_format *format, const char *text, wf_arena *arena,
                           wf_trace_row *row, bool *plain)
{
    wf_line line = {.text = text, .n_bytes = strlen(text), .number = 1};
    assert_ok(wf_trace_plain_row(format, &line, arena, &(wf_trace_row){0}, plain));
    return wf_trace_row_read(format, NULL, &line, "log:1", arena, row);
}

static void check_same(const wf_trace_row *a, const wf_trace_row *b)
{
    assert_int_equal(a->time_ns, b->time_ns);
    assert_int_equal(a->n_prompt, b->n_prompt);
    assert_int_equal(a->n_new, b->n_new);
    assert_int_equal(a->mended, b->mended);
    assert_int_equal(a->n_blocks, b->n_blocks);
    if (a->n_blocks > 0) assert_memory_equal(a->block, b->block, a->n_blocks * sizeof *a->block);
    assert_int_equal(a->meta_bytes, b->meta_bytes);
    if (a->meta_bytes > 0) assert_memory_equal(a->meta, b->meta, a->meta_bytes);
}

static void test_same_rows(void **state)
{
    (void)state;
    wf_trace_format format;
    wf_arena *arena = NULL;
    char text[512];
    assert_ok(wf_trace_format_find("bailian", NULL, 0, &format));
    assert_ok(wf_arena_create(0, &arena));
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_trace_row rows[2];
        bool plain, tree;
        snprintf(text, sizeof text, HEAD "%s", cases[i].rest);
        wf_status st = read_line(&format, text, arena, &rows[0], &plain);
        if (plain != cases[i].plain) fail_msg("%s: plain %d", text, plain);
        snprintf(text, sizeof text, "{\"t\\u0069mestamp\": %s", cases[i].rest);
        assert_int_equal(read_line(&format, text, arena, &rows[1], &tree), st);
        assert_false(tree);
        if (st == WF_OK) check_same(&rows[0], &rows[1]);
        if (plain) assert_ok(st);
    }
    wf_arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
