#include "tests/base/base_test.h"

#include "io/base/json.h"

#include <unistd.h>

static wf_status parse(const char *text, wf_json **doc)
{
    return wf_json_parse("config.json", text, strlen(text), NULL, doc);
}

static void bad_text_is_refused_with_its_place(void **state)
{
    (void)state;
#define TEXT(literal) literal, sizeof(literal) - 1
    static const struct {
        const char *text;
        size_t n;
        const char *message;
    } rows[] = {
        {TEXT(""), "config.json:1:0: "},
        {TEXT("7"), "expected near '7'"},
        {TEXT("{\"a\": 1,}"), "config.json:1:9: "},
        {TEXT("{\n  \"a\": 1,\n  \"a\": 2}"), "config.json:3:5: duplicate object key near '\"a\"'"},
        {TEXT("{\"a\": 1} x"), "end of file expected"},
        {TEXT("{\"a\": \"\xff\"}"), "unable to decode byte 0xff"},
        {TEXT("{\"a\": \"\xc0\xaf\"}"), "unable to decode byte 0xc0"},
        {TEXT("{\"a\": \"\xed\xa0\x80\"}"), "unable to decode byte 0xed"},
        {TEXT("{\"a\":\n \"b\0c\"}"), "config.json:2: NUL byte"},
        {TEXT("{\"a\": \"\\u0000\"}"), "not allowed"},
        {TEXT("{\"a\": 99999999999999999999}"), "too big integer"},
        {TEXT("{\"a\": 1e999}"), "real number overflow"},
        {TEXT("{\"a\": NaN}"), "invalid token"},
        {TEXT("{\"a\": 01}"), "config.json:1:"},
        {TEXT("{\"a\": \"unterminated"), "premature end of input"},
        {TEXT("{\"a\": 'x'}"), "invalid token"},
        {TEXT("{\"a\": 1"), "'}' expected"},
    };
#undef TEXT
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_json *doc = NULL;
        assert_int_equal(wf_json_parse("config.json", rows[i].text, rows[i].n, NULL, &doc),
                         WF_DATA);
        assert_contains(wf_error(), rows[i].message);
        assert_null(doc);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    wf_json *doc = NULL;
    wf_json_limits limits = {.max_bytes = 10, .max_depth = 3};
    assert_int_equal(wf_json_parse("x", "{\"a\":12345}", 11, &limits, &doc), WF_DATA);
    assert_contains(wf_error(), "11 bytes of JSON, the limit is 10");
    limits.max_bytes = 100;
    assert_int_equal(wf_json_parse("x", "[[[[1]]]]", 9, &limits, &doc), WF_DATA);
    assert_contains(wf_error(), "nested deeper than 3");
    assert_ok(wf_json_parse("x", "[[[\"[[\\\"[[[\"]]]", 15, &limits, &doc));
    wf_json_destroy(&doc);

    size_t n = 1000000;
    char *deep = malloc(n);
    memset(deep, '[', n);
    assert_int_equal(wf_json_parse("x", deep, n, NULL, &doc), WF_DATA);
    assert_contains(wf_error(), "nested deeper than 64");
    free(deep);
}

static const char sample[] =
    "{\"hidden_size\": 4096, \"rope\": {\"theta\": 5e5, \"type\": null, \"list\": [1, 2, {\"x\": "
    "\"deep\"}]},"
    " \"tied\": true, \"name\": \"llama\", \"half\": 0.5, \"neg\": -3, \"max\": "
    "9223372036854775807}";

static void typed_reads(void **state)
{
    (void)state;
    wf_json *doc;
    assert_ok(parse(sample, &doc));
    wf_json_ref root = wf_json_root(doc), rope, list;
    int64_t i = 0;
    double f = 0;
    bool b = false;
    const char *s = NULL;
    assert_ok(wf_json_get_i64(root, "hidden_size", 1, 1 << 20, &i));
    assert_int_equal(i, 4096);
    assert_ok(wf_json_get_i64(root, "max", INT64_MIN, INT64_MAX, &i));
    assert_true(i == INT64_MAX);
    assert_ok(wf_json_get_object(root, "rope", &rope));
    assert_ok(wf_json_get_f64(rope, "theta", 0, 1e9, &f));
    assert_true(f == 5e5);
    assert_ok(wf_json_get_f64(root, "neg", -10, 10, &f)); // an integer is a number
    assert_true(f == -3.0);
    assert_ok(wf_json_get_bool(root, "tied", &b));
    assert_true(b);
    assert_ok(wf_json_get_string(root, "name", &s));
    assert_string_equal(s, "llama");
    assert_ok(wf_json_get_array(rope, "list", &list));
    assert_int_equal(wf_json_count(list), 3);
    assert_ok(wf_json_get_string(wf_json_at(list, 2), "x", &s));
    assert_string_equal(s, "deep");
    assert_true(wf_json_has(root, "rope"));
    assert_false(wf_json_has(rope, "type")); // null
    assert_int_equal(wf_json_kind_of(wf_json_find(rope, "type")), WF_JSON_NULL);
    assert_int_equal(wf_json_kind_of(wf_json_find(rope, "none")), WF_JSON_ABSENT);
    wf_json_destroy(&doc);
    assert_null(doc);
    wf_json_destroy(&doc);
}

static void defaults_stand_for_missing_and_null(void **state)
{
    (void)state;
    wf_json *doc;
    assert_ok(parse("{\"n\": null, \"i\": 3, \"s\": 5}", &doc));
    wf_json_ref root = wf_json_root(doc);
    int64_t i;
    double f;
    bool b;
    const char *s;
    assert_ok(wf_json_get_i64_or(root, "n", 0, 9, 7, &i));
    assert_int_equal(i, 7);
    assert_ok(wf_json_get_i64_or(root, "i", 0, 9, 7, &i));
    assert_int_equal(i, 3);
    assert_ok(wf_json_get_f64_or(root, "none", 0, 1, 0.25, &f));
    assert_true(f == 0.25);
    assert_ok(wf_json_get_bool_or(root, "none", true, &b));
    assert_true(b);
    assert_ok(wf_json_get_string_or(root, "none", NULL, &s));
    assert_null(s);
    assert_int_equal(wf_json_get_string_or(root, "s", "x", &s), WF_DATA); // wrong, not missing
    assert_int_equal(wf_json_get_i64_or(wf_json_find(root, "i"), "k", 0, 9, 7, &i), WF_DATA);
    wf_json_destroy(&doc);
}

static void wrong_values_name_their_path(void **state)
{
    (void)state;
    wf_json *doc;
    assert_ok(parse(sample, &doc));
    wf_json_ref root = wf_json_root(doc), rope = wf_json_find(root, "rope"), r;
    wf_json_ref list = wf_json_find(rope, "list");
    int64_t i = 42;
    double f;
    bool b;
    const char *s;
    struct {
        wf_status st;
        const char *message;
    } row;
#define CHECK(call, text)                                                                          \
    row.st = (call);                                                                               \
    row.message = (text);                                                                          \
    assert_int_equal(row.st, WF_DATA);                                                             \
    assert_string_equal(wf_error(), row.message)
    CHECK(wf_json_get_i64(root, "name", 0, 9, &i),
          "config.json: name: expected an integer, got a string");
    CHECK(wf_json_get_i64(root, "half", 0, 9, &i),
          "config.json: half: expected an integer, got a fraction");
    CHECK(wf_json_get_i64(rope, "theta", 0, 9, &i),
          "config.json: rope.theta: expected an integer, got a fraction");
    CHECK(wf_json_get_i64(root, "hidden_size", 1, 64, &i),
          "config.json: hidden_size: 4096 is outside 1 to 64");
    CHECK(wf_json_get_i64(root, "nope", 0, 9, &i),
          "config.json: nope: missing, expected an integer");
    CHECK(wf_json_get_f64(root, "half", 1, 2, &f), "config.json: half: 0.5 is outside 1 to 2");
    CHECK(wf_json_get_string(wf_json_at(list, 2), "y", &s),
          "config.json: rope.list[2].y: missing, expected a string");
    CHECK(wf_json_read_string(wf_json_at(list, 1), &s),
          "config.json: rope.list[1]: expected a string, got an integer");
    CHECK(wf_json_read_string(wf_json_at(list, 3), &s),
          "config.json: rope.list[3]: missing, expected a string");
    CHECK(wf_json_get_bool(rope, "type", &b),
          "config.json: rope.type: expected true or false, got null");
    CHECK(wf_json_get_array(root, "rope", &r),
          "config.json: rope: expected an array, got an object");
    CHECK(wf_json_get_object(root, "name", &r),
          "config.json: name: expected an object, got a string");
    CHECK(wf_json_read_array(root), "config.json: expected an array, got an object");
    CHECK(wf_json_get_i64(wf_json_find(root, "name"), "x", 0, 9, &i),
          "config.json: name.x: missing: what should hold it is not an object");
    CHECK(wf_json_fail(wf_json_find(rope, "theta"), "too %s", "big"),
          "config.json: rope.theta: too big");
#undef CHECK
    assert_int_equal(i, 42);
    wf_json_destroy(&doc);
}

static void iteration_keeps_the_order(void **state)
{
    (void)state;
    wf_json *doc;
    assert_ok(parse("{\"z\": 1, \"a\": [10, 20], \"m\": {}, \"e\": []}", &doc));
    wf_json_ref root = wf_json_root(doc), item;
    char keys[8] = "";
    wf_json_iter it = wf_json_iterate(root);
    while (wf_json_next(&it, &item))
        strcat(keys, item.key);
    assert_string_equal(keys, "zame");
    int64_t sum = 0, value;
    it = wf_json_iterate(wf_json_find(root, "a"));
    while (wf_json_next(&it, &item)) {
        assert_null(item.key);
        assert_ok(wf_json_read_i64(item, 0, 100, &value));
        sum += value * ((int64_t)item.index + 1);
    }
    assert_int_equal(sum, 50);
    static const char *const empty[] = {"m", "e", "z", "none"};
    for (size_t i = 0; i < N_ROWS(empty); i++) {
        it = wf_json_iterate(wf_json_find(root, empty[i]));
        assert_false(wf_json_next(&it, &item));
    }
    wf_json_destroy(&doc);
}

static void a_file_is_read_up_to_its_bound(void **state)
{
    (void)state;
    char path[] = "/tmp/weft-json-XXXXXX";
    wf_json *doc = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"a\": 12}", 9), 9);
    close(fd);
    assert_ok(wf_json_parse_file(path, 9, &doc));
    assert_int_equal(wf_json_count(wf_json_root(doc)), 1);
    wf_json_destroy(&doc);
    assert_int_equal(wf_json_parse_file(path, 8, &doc), WF_DATA);
    assert_contains(wf_error(), "larger than the limit of 8 bytes");
    assert_null(doc);
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(wf_json_parse_file(path, 9, &doc), WF_DATA);
    assert_contains(wf_error(), path);
    // The bound is the caller's, above the one of texts as well.
    assert_int_equal(truncate(path, 0), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "[%*s]", 17 << 20, "") > 17 << 20);
    assert_int_equal(fclose(file), 0);
    assert_ok(wf_json_parse_file(path, 18 << 20, &doc));
    wf_json_destroy(&doc);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(wf_json_parse_file(path, 9, &doc), WF_NO_INPUT);
    assert_null(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_text_is_refused_with_its_place),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(typed_reads),
        cmocka_unit_test(defaults_stand_for_missing_and_null),
        cmocka_unit_test(wrong_values_name_their_path),
        cmocka_unit_test(iteration_keeps_the_order),
        cmocka_unit_test(a_file_is_read_up_to_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
