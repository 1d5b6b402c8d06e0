#include "tests/base/base_test.h"

#include "io/base/text.h"

static void pieces_become_one_string(void **state)
{
    (void)state;
    wf_text text = {0};
    char *string;
    wf_text_puts(&text, "a");
    wf_text_add(&text, "b\0c", 3);
    wf_text_pad(&text, ' ', 3);
    wf_text_printf(&text, "%d%s", 42, "");
    assert_int_equal(text.n, 9);
    assert_ok(wf_text_take(&text, &string));
    assert_memory_equal(string, "ab\0c   42", 10);
    free(string);
    assert_int_equal(text.n, 0);
    assert_ok(wf_text_take(&text, &string)); // nothing was added: still a string
    assert_string_equal(string, "");
    free(string);
    for (int i = 0; i < 1000; i++)
        wf_text_printf(&text, "%04d", i);
    assert_int_equal(text.n, 4000);
    assert_string_equal(text.bytes + 3992, "09980999");
    wf_text_free(&text);
    wf_text_free(&text);
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t length; // of the first sequence
        bool valid;
    } rows[] = {
        {"a", 1, true},
        {"\xc3\xb6", 2, true},
        {"\xe2\x82\xac", 3, true},
        {"\xf0\x9f\x98\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"\xed\x9f\xbf", 3, true},
        {"\xc0\x80", 0, false},         // overlong
        {"\xe0\x9f\xbf", 0, false},     // overlong
        {"\xf0\x8f\xbf\xbf", 0, false}, // overlong
        {"\xed\xa0\x80", 0, false},     // surrogate
        {"\xf4\x90\x80\x80", 0, false}, // beyond U+10FFFF
        {"\xf5\x80\x80\x80", 0, false},
        {"\xff", 0, false},
        {"\x80", 0, false},
        {"\xc3", 0, false},
        {"\xc3(", 0, false},
        {"a\xff", 1, false},
        {"\xe2\x82", 0, false},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(wf_utf8_length(rows[i].s, strlen(rows[i].s)), rows[i].length);
        assert_int_equal(wf_utf8_is_valid(rows[i].s, strlen(rows[i].s)), rows[i].valid);
    }
    assert_true(wf_utf8_is_valid("", 0));
}

static void distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int distance;
    } rows[] = {
        {"", "", 0},       {"abc", "abc", 0},          {"", "abc", 3},
        {"abc", "acb", 1}, {"max_rows", "max_row", 1}, {"kitten", "sitting", 3},
        {"ab", "ba", 1},   {"ca", "abc", 3},           {"index", "indx", 1},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(wf_edit_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(wf_edit_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
    char long_a[500], long_b[500];
    memset(long_a, 'a', sizeof long_a - 1);
    memset(long_b, 'b', sizeof long_b - 1);
    long_a[499] = long_b[499] = '\0';
    assert_int_equal(wf_edit_distance(long_a, long_b), 64);
}

static void endings(void **state)
{
    (void)state;
    assert_true(wf_text_ends_with("a.h5", ".h5"));
    assert_true(wf_text_ends_with(".h5", ".h5"));
    assert_true(wf_text_ends_with("a", ""));
    assert_false(wf_text_ends_with("h5", ".h5"));
    assert_false(wf_text_ends_with("a.h5.part", ".h5"));
}

static void nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"max_rows", "page_tokens", "reorder", "on", "x"};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"max_row", "max_rows"},
        {"maxrows", "max_rows"},
        {"reodrer", "reorder"},
        {"zebra", NULL},
        {"page-token", "page_tokens"},
        {"y", NULL},
        {"", NULL},
        {"no", "on"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const char *found = wf_nearest_word(rows[i].word, words, N_ROWS(words));
        if (rows[i].nearest)
            assert_string_equal(found ? found : "(none)", rows[i].nearest);
        else
            assert_null(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_become_one_string),
        cmocka_unit_test(utf8),
        cmocka_unit_test(distance),
        cmocka_unit_test(endings),
        cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
