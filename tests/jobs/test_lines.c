// Lines of a file, first in order and then at their places: ends, lengths, digest, refusals.
#include "tests/jobs/jobs_test.h"

#include "io/base/file.h"
#include "jobs/streams/lines.h"

enum { LONGEST = 3000000, N_MOST = 64 };

static char *path_in(void **state)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/lines.txt", (const char *)*state);
    return path;
}

static wf_lines *open_bytes(void **state, const char *bytes, size_t n)
{
    wf_lines *l = NULL;
    assert_ok(wf_file_write_whole(path_in(state), bytes, n, WF_PUBLISH_REPLACE));
    assert_ok(wf_lines_open(path_in(state), &l));
    return l;
}

static void test_ends(void **state)
{
    static const struct {
        const char *bytes;
        int n;
        const char *lines[4];
        int numbers[4];
    } cases[] = {
        {"", 0, {0}, {0}},
        {"\n\r\n  \t\n", 0, {0}, {0}},
        {"a", 1, {"a"}, {1}},
        {"a\n", 1, {"a"}, {1}},
        {"a\r\nb\r\n\r\nc", 3, {"a", "b", "c"}, {1, 2, 4}},
        {"\xef\xbb\xbf"
         "a\nb\r",
         2,
         {"a", "b"},
         {1, 2}},
    };
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_lines *l = open_bytes(state, cases[i].bytes, strlen(cases[i].bytes));
        wf_line line;
        bool more = true;
        for (int k = 0; k < cases[i].n; k++) {
            assert_ok(wf_lines_next(l, &line, &more));
            assert_true(more);
            assert_string_equal(line.text, cases[i].lines[k]);
            assert_int_equal(line.n_bytes, strlen(line.text));
            assert_int_equal(line.number, cases[i].numbers[k]);
        }
        assert_ok(wf_lines_next(l, &line, &more));
        assert_false(more);
        wf_lines_close(&l);
    }
}

// Lines shorter and longer than what is read at a time, taken in order and then in any order.
static void test_places(void **state)
{
    char *bytes = malloc((size_t)2 * LONGEST + N_MOST * 70000);
    wf_line line, places[N_MOST];
    size_t n = 0, lengths[N_MOST];
    assert_non_null(bytes);
    for (int i = 0; i < N_MOST; i++) {
        lengths[i] = i == 20 ? LONGEST : 1 + (size_t)i * 1009 % 65537;
        memset(bytes + n, 'a' + i % 26, lengths[i]);
        n += lengths[i];
        if (i % 2 == 0) bytes[n++] = '\r';
        bytes[n++] = '\n';
    }
    wf_lines *l = open_bytes(state, bytes, n);
    bool more = true;
    for (int i = 0; i < N_MOST; i++) {
        assert_ok(wf_lines_next(l, &line, &more));
        assert_int_equal(line.n_bytes, lengths[i]);
        places[i] = line;
    }
    char sha256[WF_SHA256_HEX], want[WF_SHA256_HEX];
    wf_sha256 hash;
    wf_sha256_start(&hash);
    wf_sha256_add(&hash, bytes, n);
    assert_ok(wf_lines_finish(l, sha256));
    assert_string_equal(sha256, wf_sha256_finish(&hash, want));
    for (int k = 0; k < 4 * N_MOST; k++) {
        int i = k < N_MOST ? k : k * 37 % N_MOST;
        assert_ok(wf_lines_at(l, places[i].offset, places[i].number, &line));
        assert_int_equal(line.n_bytes, lengths[i]);
        assert_int_equal(line.number, i + 1);
        assert_int_equal(line.text[0], 'a' + i % 26);
        assert_int_equal(line.text[line.n_bytes - 1], 'a' + i % 26);
    }
    assert_int_equal(wf_lines_at(l, n, 99, &line), WF_DATA);
    assert_contains(wf_error(), "lines.txt:99: the file became shorter");
    wf_lines_close(&l);
    free(bytes);
}

// The digest covers what was never asked for.
static void test_finish_early(void **state)
{
    wf_lines *l = open_bytes(state, "abc", 3);
    char sha256[WF_SHA256_HEX];
    assert_ok(wf_lines_finish(l, sha256));
    assert_string_equal(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    wf_lines_close(&l);
}

static void test_refusals(void **state)
{
    wf_lines *l = NULL;
    wf_line line;
    bool more;
    assert_int_equal(wf_lines_open("/no/such/file", &l), WF_NO_INPUT);
    assert_int_equal(wf_lines_open("/dev/null", &l), WF_NO_INPUT);
    assert_int_equal(wf_lines_open((const char *)*state, &l), WF_NO_INPUT);
    l = open_bytes(state, "a\nb\0c\n", 6);
    assert_ok(wf_lines_next(l, &line, &more));
    assert_int_equal(wf_lines_next(l, &line, &more), WF_DATA);
    assert_contains(wf_error(), "lines.txt:2: holds a NUL byte");
    wf_lines_close(&l);
    size_t n = WF_LINES_MAX_BYTES + ((size_t)2 << 20);
    char *bytes = malloc(n);
    assert_non_null(bytes);
    memset(bytes, 'x', n);
    l = open_bytes(state, bytes, n);
    assert_int_equal(wf_lines_next(l, &line, &more), WF_DATA);
    assert_contains(wf_error(), "lines.txt:1: line is longer than 64 MiB");
    wf_lines_close(&l);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_finish_early),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
