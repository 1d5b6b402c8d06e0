#include "tests/base/base_test.h"

#include "io/base/parse.h"

#include <math.h>

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t min, max;
        const char *message; // NULL: fine
        int64_t value;
    } rows[] = {
        {"0", 0, 9, NULL, 0},
        {"-7", -9, 9, NULL, -7},
        {"9223372036854775807", INT64_MIN, INT64_MAX, NULL, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, NULL, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, "is outside", 0},
        {"99999999999999999999999999", INT64_MIN, INT64_MAX, "is outside", 0},
        {"10", 0, 9, "10 is outside 0 to 9", 0},
        {"8e3", 0, 9999, "\"8e3\" is not a whole number", 0},
        {"1.0", 0, 9, "is not a whole number", 0},
        {"", 0, 9, "is not a whole number", 0},
        {"-", -9, 9, "is not a whole number", 0},
        {"+1", 0, 9, "is not a whole number", 0},
        {" 1", 0, 9, "is not a whole number", 0},
        {"1 ", 0, 9, "is not a whole number", 0},
        {"010", 0, 99, "is not a whole number", 0},
        {"0x10", 0, 99, "is not a whole number", 0},
        {"1_000", 0, 9999, "is not a whole number", 0},
        {"--1", -9, 9, "is not a whole number", 0},
        {"\xd9\xa1", 0, 9, "is not a whole number", 0}, // an Arabic-Indic one
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int64_t value = -42;
        wf_status st = wf_parse_i64(rows[i].text, rows[i].min, rows[i].max, &value);
        assert_int_equal(st, rows[i].message ? WF_DATA : WF_OK);
        assert_true(value == (rows[i].message ? -42 : rows[i].value));
        if (rows[i].message) assert_contains(wf_error(), rows[i].message);
    }
    uint64_t u = 42;
    assert_ok(wf_parse_u64("18446744073709551615", 0, UINT64_MAX, &u));
    assert_true(u == UINT64_MAX);
    assert_int_equal(wf_parse_u64("18446744073709551616", 0, UINT64_MAX, &u), WF_DATA);
    assert_int_equal(wf_parse_u64("-1", 0, UINT64_MAX, &u), WF_DATA);
    assert_int_equal(wf_parse_u64("3", 4, 5, &u), WF_DATA);
    assert_true(u == UINT64_MAX);
}

static void fractions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        double value;
    } rows[] = {
        {"1.0", true, 1},   {"1e3", true, 1000}, {"-0.25", true, -0.25}, {"2.5E-1", true, 0.25},
        {"7", true, 7},     {"5.", true, 5},     {"nan", false, 0},      {"inf", false, 0},
        {"-inf", false, 0}, {"1e999", false, 0}, {"0x1p3", false, 0},    {"1,5", false, 0},
        {"", false, 0},     {".5", false, 0},    {"1e", false, 0},       {"1.0 ", false, 0},
        {" 1", false, 0},   {"01.5", false, 0},  {"1001", false, 0},     {"infinity", false, 0},
        {"1.0f", false, 0}, {"-", false, 0},     {"1e3e3", false, 0},    {"--1", false, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        double value = -42;
        wf_status st = wf_parse_f64(rows[i].text, -1000, 1000, &value);
        if (st != (rows[i].ok ? WF_OK : WF_DATA)) print_error("%s\n", rows[i].text);
        assert_int_equal(st, rows[i].ok ? WF_OK : WF_DATA);
        assert_true(value == (rows[i].ok ? rows[i].value : -42));
    }
}

typedef wf_status (*unit_fn)(const char *text, int64_t *out);

static void durations_and_sizes(void **state)
{
    (void)state;
    static const struct {
        unit_fn parse;
        const char *text;
        const char *message;
        int64_t value;
    } rows[] = {
        {wf_parse_duration, "300s", NULL, INT64_C(300000000000)},
        {wf_parse_duration, "2s", NULL, 2000000000},
        {wf_parse_duration, "4h", NULL, INT64_C(14400000000000)},
        {wf_parse_duration, "500ms", NULL, 500000000},
        {wf_parse_duration, "0.1s", NULL, 100000000},
        {wf_parse_duration, "7ns", NULL, 7},
        {wf_parse_duration, "1.5us", NULL, 1500},
        {wf_parse_duration, "1d", NULL, INT64_C(86400000000000)},
        {wf_parse_duration, "0", NULL, 0},
        {wf_parse_duration, "0s", NULL, 0},
        {wf_parse_duration, "04:00:00", NULL, INT64_C(14400000000000)},
        {wf_parse_duration, "100:00:01", NULL, INT64_C(360001000000000)},
        {wf_parse_duration, "1-02:03:04", NULL, INT64_C(93784000000000)},
        {wf_parse_duration, "2", "needs a unit", 0},
        {wf_parse_duration, "1.5ns", "not a whole number of nanoseconds", 0},
        {wf_parse_duration, "1w", "needs a unit", 0},
        {wf_parse_duration, "1 s", "needs a unit", 0},
        {wf_parse_duration, "s", "is not a duration", 0},
        {wf_parse_duration, "-1s", "is not a duration", 0},
        {wf_parse_duration, "1e3s", "needs a unit", 0},
        {wf_parse_duration, "1.s", "is not a duration", 0},
        {wf_parse_duration, "1.2.3s", "needs a unit", 0},
        {wf_parse_duration, "9999999999d", "too long", 0},
        {wf_parse_duration, "99999999999999999999s", "is not a duration", 0},
        {wf_parse_duration, "4:00", "is not a time", 0},
        {wf_parse_duration, "04:60:00", "is not a time", 0},
        {wf_parse_duration, "04:00:61", "is not a time", 0},
        {wf_parse_duration, "x-04:00:00", "is not a time", 0},
        {wf_parse_duration, "-04:00:00", "is not a time", 0},
        {wf_parse_duration, "4:0:0:0:", "is not a time", 0},
        {wf_parse_duration, "::::::::", "is not a time", 0},
        {wf_parse_duration, "0400:00:00", "is not a time", 0},
        {wf_parse_duration, "", "is not a duration", 0},
        {wf_parse_bytes, "1GiB", NULL, 1 << 30},
        {wf_parse_bytes, "256MB", NULL, 256000000},
        {wf_parse_bytes, "64k", NULL, 64000},
        {wf_parse_bytes, "64KiB", NULL, 65536},
        {wf_parse_bytes, "1.5GiB", NULL, INT64_C(1610612736)},
        {wf_parse_bytes, "4096", NULL, 4096},
        {wf_parse_bytes, "12B", NULL, 12},
        {wf_parse_bytes, "0", NULL, 0},
        {wf_parse_bytes, "0.5", "not a whole number of bytes", 0},
        {wf_parse_bytes, "1gb", "unknown unit", 0},
        {wf_parse_bytes, "1 GiB", "unknown unit", 0},
        {wf_parse_bytes, "-1", "is not a size", 0},
        {wf_parse_bytes, "GiB", "is not a size", 0},
        {wf_parse_bytes, "8e3", "unknown unit", 0},
        {wf_parse_bytes, "9999999999TiB", "too large", 0},
        {wf_parse_bytes, "", "is not a size", 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int64_t value = -42;
        wf_status st = rows[i].parse(rows[i].text, &value);
        if (st != (rows[i].message ? WF_DATA : WF_OK)) print_error("%s\n", rows[i].text);
        assert_int_equal(st, rows[i].message ? WF_DATA : WF_OK);
        assert_true(value == (rows[i].message ? -42 : rows[i].value));
        if (rows[i].message) assert_contains(wf_error(), rows[i].message);
    }
}

static void booleans(void **state)
{
    (void)state;
    static const char *const wrong[] = {"yes", "no", "on", "True", "1", "", "true "};
    bool value = false;
    assert_ok(wf_parse_bool("true", &value));
    assert_true(value);
    assert_ok(wf_parse_bool("false", &value));
    assert_false(value);
    for (size_t i = 0; i < N_ROWS(wrong); i++)
        assert_int_equal(wf_parse_bool(wrong[i], &value), WF_DATA);
}

static void texts_read_back_the_same(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *duration, *bytes;
    } rows[] = {
        {0, "0s", "0"},
        {1, "1ns", "1"},
        {1000, "1us", "1kB"},
        {1024, "1024ns", "1KiB"},
        {INT64_C(300000000000), "5m", "300GB"},
        {INT64_C(90000000000), "90s", "90GB"},
        {INT64_C(1) << 30, "1073741824ns", "1GiB"},
        {256000000, "256ms", "256MB"},
        {INT64_MAX, "9223372036854775807ns", "9223372036854775807"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[WF_PARSE_TEXT_MAX];
        int64_t value;
        assert_string_equal(wf_duration_text(rows[i].value, text), rows[i].duration);
        assert_ok(wf_parse_duration(text, &value));
        assert_true(value == rows[i].value);
        assert_string_equal(wf_bytes_text(rows[i].value, text), rows[i].bytes);
        assert_ok(wf_parse_bytes(text, &value));
        assert_true(value == rows[i].value);
    }
    static const struct {
        int64_t value;
        const char *text;
    } rounded[] = {{0, "0 B"},
                   {1023, "1023 B"},
                   {7255040, "6.919 MiB"},
                   {INT64_C(1) << 30, "1.000 GiB"},
                   {INT64_C(3) << 39, "1.500 TiB"}};
    for (size_t i = 0; i < N_ROWS(rounded); i++) {
        char text[WF_PARSE_TEXT_MAX];
        assert_string_equal(wf_bytes_round_text(rounded[i].value, text), rounded[i].text);
    }
    static const double fractions_[] = {0, 0.1, 1, 1e300, -2.5, 1.0 / 3, 5e-324, 1e17};
    for (size_t i = 0; i < N_ROWS(fractions_); i++) {
        char text[WF_PARSE_TEXT_MAX];
        double value;
        assert_ok(wf_parse_f64(wf_f64_text(fractions_[i], text), -INFINITY, INFINITY, &value));
        assert_memory_equal(&value, &fractions_[i], sizeof value);
    }
    static const char *const as_typed[] = {"0.8", "0.1", "1e-06", "100.0", "-2.5", "3.4028235e+38"};
    for (size_t i = 0; i < N_ROWS(as_typed); i++) {
        char text[WF_PARSE_TEXT_MAX];
        assert_string_equal(wf_f32_text(strtof(as_typed[i], NULL), text), as_typed[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(fractions),
        cmocka_unit_test(durations_and_sizes),
        cmocka_unit_test(booleans),
        cmocka_unit_test(texts_read_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
