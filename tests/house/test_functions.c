// Functions stay short: at most 40 lines between the braces. Tables of constants inside one do not
// count, they are data. A kernel is as long as its loop needs; a test tells one story from its
// beginning to its end, and has twice the room.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <string.h>

#include "tests/house/house.h"

enum { MOST_LINES = 40, MOST_TEST_LINES = 80 };

// A line of a file, without its end.
typedef struct line {
    const char *text;
    size_t n;
} line;

static bool line_next(const char **at, line *out)
{
    if (!**at) return false;
    *out = (line){*at, strcspn(*at, "\n")};
    *at += out->n + (out->text[out->n] == '\n');
    return true;
}

static bool is(line l, const char *text)
{
    return l.n == strlen(text) && memcmp(l.text, text, l.n) == 0;
}

static bool begins(line l, const char *text)
{
    return l.n >= strlen(text) && memcmp(l.text, text, strlen(text)) == 0;
}

static bool ends(line l, char last)
{
    return l.n > 0 && l.text[l.n - 1] == last;
}

static bool holds(line l, const char *word)
{
    return memmem(l.text, l.n, word, strlen(word)) != NULL;
}

// Lines of the longest function of `text`, as the formatter sets them: braces of functions alone in
// column 0, tables at one step in. *at_line is where it begins.
static size_t longest(const char *text, size_t *at_line)
{
    size_t n = 0, most = 0, i = 0, begin = 0;
    bool inside = false, table = false, kernel = false;
    for (line l; line_next(&text, &l);) {
        i++;
        if (is(l, "{")) {
            inside = true, table = false, n = 0, begin = i;
        } else if (is(l, "}")) {
            if (inside && !kernel && n > most) most = n, *at_line = begin;
            inside = kernel = false;
        } else if (inside) {
            table |= begins(l, "    static const") && ends(l, '{');
            n += !table;
            if (begins(l, "    }") && ends(l, ';')) table = false;
        } else {
            kernel |= holds(l, "__global__") || holds(l, "__device__");
            if (l.n == 0) kernel = false;
        }
    }
    return most;
}

static bool is_code(const char *path)
{
    return has_suffix(path, ".c") || has_suffix(path, ".h") || has_suffix(path, ".cu") ||
           has_suffix(path, ".cuh");
}

static void test_functions_are_short(void **state)
{
    house *h = house_read();
    size_t n_long = 0, n_code = 0;
    (void)state;
    for (size_t i = 0; i < h->n; i++) {
        const house_file *file = &h->file[i];
        size_t at = 0, may = strncmp(file->path, "tests/", 6) == 0 ? MOST_TEST_LINES : MOST_LINES;
        if (!is_code(file->path)) continue;
        n_code++;
        size_t n = longest(file->text, &at);
        if (n <= may) continue;
        n_long++;
        print_error("%s:%zu: a function of %zu lines; at most %zu\n", file->path, at, n, may);
    }
    house_free(h);
    assert_true(n_code > 100);
    assert_int_equal(n_long, 0);
}

static void test_lines_are_counted(void **state)
{
    size_t at = 0;
    (void)state;
    assert_int_equal(longest("int f(void)\n{\n    return 1;\n}\n", &at), 1);
    assert_int_equal(at, 2);
    assert_int_equal(longest("int f(void)\n{\n    static const int t[] = {\n        1,\n    };\n"
                             "    return t[0];\n}\n",
                             &at),
                     1);
    assert_int_equal(longest("__global__ void f(void)\n{\n    ;\n    ;\n}\n\nint g(void)\n{\n"
                             "    return 0;\n}\n",
                             &at),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_counted),
        cmocka_unit_test(test_functions_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
