// Words and numbers of the page: whatever a file says, markup stays markup.
#include "tests/base/base_test.h"

#include "results/html/markup.h"
#include "results/html/svg.h"

#include <math.h>

static void is_put_as(const char *words, const char *expected)
{
    wf_text text = {0};
    wf_html_put(&text, words);
    assert_ok(text.st);
    assert_string_equal(text.bytes, expected);
    wf_text_free(&text);
}

static void words_are_escaped(void **state)
{
    (void)state;
    is_put_as("a<b>&\"c\"'d'", "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;");
    is_put_as("\xC3\xA9\n\t", "\xC3\xA9\n\t");
    is_put_as("a\x01z\x7f", "a\xEF\xBF\xBDz\xEF\xBF\xBD");
    is_put_as("\xFFz\xC3", "\xEF\xBF\xBDz\xEF\xBF\xBD");                 // no UTF-8
    is_put_as("\xEF\xBF\xBE.\xEF\xBF\xBF", "\xEF\xBF\xBD.\xEF\xBF\xBD"); // no XML
}

static void long_words_are_cut_between_letters(void **state)
{
    (void)state;
    wf_text text = {0};
    wf_html_put_cut(&text, "ab\xC3\xA9zz", 3);
    assert_string_equal(text.bytes, "ab\xE2\x80\xA6");
    wf_text_free(&text);
    wf_html_put_end(&text,
                    "zz\xC3\xA9"
                    "ab",
                    3);
    assert_string_equal(text.bytes, "\xE2\x80\xA6"
                                    "ab");
    wf_text_free(&text);
}

static void numbers_keep_three_digits_or_more(void **state)
{
    (void)state;
    char text[WF_HTML_NUMBER_MAX];
    assert_string_equal(wf_html_number(1234567, text), "1,234,567");
    assert_string_equal(wf_html_number(-1234, text), "-1,234");
    assert_string_equal(wf_html_number(0, text), "0");
    assert_string_equal(wf_html_number(62.838, text), "62.84");
    assert_string_equal(wf_html_number(0.01234, text), "0.0123");
    assert_string_equal(wf_html_short(1500, text), "1.5k");
    assert_string_equal(wf_html_short(2e6, text), "2M");
    assert_string_equal(wf_html_time(1.5e9, text), "1.50 s");
    assert_string_equal(wf_html_time(12.34e6, text), "12.3 ms");
    assert_string_equal(wf_html_time(850e3, text), "850 \xC2\xB5s");
}

// Empty spans, no values, none that is a number: a picture all the same.
static void pictures_stand_without_values(void **state)
{
    (void)state;
    wf_text text = {0};
    const double bins[3] = {0, NAN, 1e300};
    wf_plot plot = {.out = &text, .title = "<t>", .x_words = "x"};
    wf_plot_begin(&plot);
    wf_plot_stairs(&plot, "c1", bins, 3);
    wf_plot_line(&plot, "c1", NULL, 0);
    wf_plot_end(&plot);
    assert_ok(text.st);
    assert_non_null(strstr(text.bytes, "&lt;t&gt;"));
    assert_null(strstr(text.bytes, "nan"));
    assert_null(strstr(text.bytes, "inf"));
    wf_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_escaped),
        cmocka_unit_test(long_words_are_cut_between_letters),
        cmocka_unit_test(numbers_keep_three_digits_or_more),
        cmocka_unit_test(pictures_stand_without_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
