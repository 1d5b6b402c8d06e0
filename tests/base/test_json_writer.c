#include "tests/base/base_test.h"

#include "io/base/json.h"
#include "io/base/json_writer.h"

#include <math.h>

static void write_sample(wf_json_writer *w)
{
    wf_json_open_object(w, NULL);
    wf_json_put_i64(w, "rows", -512);
    wf_json_open_array(w, "hosts");
    wf_json_put_string(w, NULL, "n1");
    wf_json_put_string(w, NULL, NULL);
    wf_json_close(w);
    wf_json_open_object(w, "none");
    wf_json_close(w);
    wf_json_put_bool(w, "done", true);
    wf_json_put_f64(w, "share", 0.1);
    wf_json_close(w);
}

static void layouts(void **state)
{
    (void)state;
    static const struct {
        int indent;
        const char *text;
    } rows[] = {
        {0, "{\"rows\":-512,\"hosts\":[\"n1\",null],\"none\":{},\"done\":true,\"share\":0.1}\n"},
        {2, "{\n  \"rows\": -512,\n  \"hosts\": [\n    \"n1\",\n    null\n  ],\n  \"none\": {},\n"
            "  \"done\": true,\n  \"share\": 0.1\n}\n"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_json_writer *w;
        const char *text;
        size_t n;
        assert_ok(wf_json_writer_create(rows[i].indent, &w));
        write_sample(w);
        assert_ok(wf_json_writer_finish(w, &text, &n));
        assert_string_equal(text, rows[i].text);
        assert_int_equal(n, strlen(text));
        wf_json_writer_destroy(&w);
        wf_json_writer_destroy(&w);
    }
}

static void strings_are_always_valid(void **state)
{
    (void)state;
#define TEXT(literal) literal, sizeof(literal) - 1
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } rows[] = {
        {TEXT("a\"b\\c\n\t\r\x01"), "\"a\\\"b\\\\c\\n\\t\\u000d\\u0001\""},
        {TEXT("a\0b"), "\"a\\u0000b\""},
        {TEXT("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\""},
        {TEXT("\xff|\xc3|\xc0\xaf|\xed\xa0\x80|"),
         "\"\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\""},
        {TEXT("\xf0\x9f\x98"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {TEXT("\xe0\x80\x80\xf4\x90\x80\x80\xf0\x80\x80\x80"),
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
#undef TEXT
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_json_writer *w;
        const char *text;
        assert_ok(wf_json_writer_create(0, &w));
        wf_json_put_bytes(w, NULL, rows[i].bytes, rows[i].n);
        assert_ok(wf_json_writer_finish(w, &text, NULL));
        assert_memory_equal(text, rows[i].text, strlen(rows[i].text));
        assert_string_equal(text + strlen(rows[i].text), "\n");
        wf_json_writer_destroy(&w);
    }
}

static void numbers_read_back_the_same(void **state)
{
    (void)state;
    static const double values[] = {0.0,    -0.0, 0.1,    1.0 / 3, 1e300, 5e-324,
                                    123456, 1e-5, 2.5e16, 1e17,    -0.3,  1.7976931348623157e308};
    wf_json_writer *w;
    const char *text;
    size_t n;
    wf_json *doc;
    assert_ok(wf_json_writer_create(0, &w));
    wf_json_open_array(w, NULL);
    for (size_t i = 0; i < N_ROWS(values); i++)
        wf_json_put_f64(w, NULL, values[i]);
    wf_json_put_f64(w, NULL, NAN);
    wf_json_put_f64(w, NULL, -INFINITY);
    wf_json_put_u64(w, NULL, INT64_MAX);
    wf_json_put_i64(w, NULL, INT64_MIN);
    wf_json_close(w);
    assert_ok(wf_json_writer_finish(w, &text, &n));
    assert_ok(wf_json_parse("x", text, n, NULL, &doc));
    wf_json_ref root = wf_json_root(doc);
    for (size_t i = 0; i < N_ROWS(values); i++) {
        double value;
        assert_int_equal(wf_json_kind_of(wf_json_at(root, i)), WF_JSON_REAL);
        assert_ok(wf_json_read_f64(wf_json_at(root, i), -INFINITY, INFINITY, &value));
        assert_memory_equal(&value, &values[i], sizeof value);
    }
    size_t next = N_ROWS(values);
    int64_t number;
    assert_int_equal(wf_json_kind_of(wf_json_at(root, next)), WF_JSON_NULL);
    assert_int_equal(wf_json_kind_of(wf_json_at(root, next + 1)), WF_JSON_NULL);
    assert_ok(wf_json_read_i64(wf_json_at(root, next + 2), 0, INT64_MAX, &number));
    assert_true(number == INT64_MAX);
    assert_ok(wf_json_read_i64(wf_json_at(root, next + 3), INT64_MIN, 0, &number));
    assert_true(number == INT64_MIN);
    wf_json_destroy(&doc);
    wf_json_writer_destroy(&w);
}

static void u64_beyond_int64_is_written_whole(void **state)
{
    (void)state;
    wf_json_writer *w;
    const char *text;
    assert_ok(wf_json_writer_create(0, &w));
    wf_json_put_u64(w, NULL, UINT64_MAX);
    assert_ok(wf_json_writer_finish(w, &text, NULL));
    assert_string_equal(text, "18446744073709551615\n");
    wf_json_writer_destroy(&w);
}

// A document of `depth` arrays, with a number of the greatest size in the innermost.
static wf_json *nested(int depth)
{
    char text[256];
    wf_json *doc;
    int n = 0;
    for (int i = 0; i < depth; i++)
        text[n++] = '[';
    n += snprintf(text + n, sizeof text - (size_t)n, "-1.7976931348623157e308");
    for (int i = 0; i < depth; i++)
        text[n++] = ']';
    assert_ok(wf_json_parse("x", text, (size_t)n, NULL, &doc));
    return doc;
}

static void a_copy_is_as_deep_as_what_was_read(void **state)
{
    (void)state;
    wf_json *doc = nested(64), *again;
    wf_json_writer *w;
    const char *text;
    size_t n;
    assert_ok(wf_json_writer_create(0, &w));
    wf_json_open_object(w, NULL); // as deep as a copy is put anywhere
    assert_ok(wf_json_copy(wf_json_root(doc), w, "meta"));
    wf_json_close(w);
    assert_ok(wf_json_writer_finish(w, &text, &n));
    assert_ok(wf_json_parse("again", text, n, &(wf_json_limits){.max_depth = 65}, &again));
    wf_json_destroy(&again);
    wf_json_writer_destroy(&w);
    assert_ok(wf_json_writer_create(0, &w));
    for (int i = 0; i < WF_JSON_WRITER_MAX_DEPTH - 63; i++)
        wf_json_open_array(w, NULL);
    assert_int_equal(wf_json_copy(wf_json_root(doc), w, NULL), WF_DATA);
    assert_non_null(strstr(wf_error(), "nested deeper than"));
    wf_json_writer_destroy(&w);
    wf_json_destroy(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts),
        cmocka_unit_test(strings_are_always_valid),
        cmocka_unit_test(numbers_read_back_the_same),
        cmocka_unit_test(u64_beyond_int64_is_written_whole),
        cmocka_unit_test(a_copy_is_as_deep_as_what_was_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
