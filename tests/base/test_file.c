// Each test runs in a fresh folder of its own below the working directory and leaves nothing.
#include "tests/base/base_test.h"

#include "io/base/file.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static int folder_make(void **state)
{
    (void)state;
    strcpy(root, "test_file.XXXXXX");
    return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    return chdir("..") == 0 ? nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static void put(const char *path, const char *text)
{
    assert_ok(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_FAST));
}

static void check_holds(const char *path, const char *text)
{
    char *got;
    size_t n;
    assert_ok(wf_file_read(path, 1 << 20, &got, &n));
    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
    free(got);
}

static void read_respects_the_cap(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n;
    char big[10000];
    memset(big, 'b', sizeof big);
    assert_ok(wf_file_write_whole("big", big, sizeof big, WF_PUBLISH_FAST));
    assert_ok(wf_file_read("big", sizeof big, &text, &n));
    assert_int_equal(n, sizeof big);
    assert_memory_equal(text, big, n);
    free(text);
    text = NULL;
    assert_int_equal(wf_file_read("big", sizeof big - 1, &text, &n), WF_DATA);
    assert_string_equal(wf_error(), "big: larger than the limit of 9999 bytes");
    assert_int_equal(wf_file_read("/dev/zero", 100000, &text, &n), WF_DATA);
    assert_null(text);
    put("empty", "");
    check_holds("empty", "");
}

static void unreadable_is_said(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(wf_file_read("none.yaml", 10, &text, NULL), WF_NO_INPUT);
    assert_string_equal(wf_error(), "none.yaml: cannot open: No such file or directory");
    put("file", "x");
    assert_int_equal(wf_file_read("file/x", 10, &text, NULL), WF_NO_INPUT);
    assert_int_equal(wf_file_read(".", 10, &text, NULL), WF_DATA);
    assert_string_equal(wf_error(), ".: is a folder");
    assert_null(text);
    int64_t size = 0;
    assert_ok(wf_file_size("file", &size));
    assert_int_equal(size, 1);
    assert_int_equal(wf_file_size("none", &size), WF_NO_INPUT);
}

static void transfers_are_whole(void **state)
{
    (void)state;
    char *text = NULL;
    int fd = open("t", O_RDWR | O_CREAT, 0666);
    assert_true(fd >= 0);
    assert_ok(wf_file_pwrite(fd, "t", "world", 5, 6));
    assert_ok(wf_file_write(fd, "t", "hello,", 6));
    close(fd);
    assert_ok(wf_file_read("t", 100, &text, NULL));
    assert_string_equal(text, "hello,world");
    free(text);
    assert_int_equal(wf_file_write(fd, "t", "x", 1), WF_IO);
}

static int n_names(void)
{
    wf_paths names = {0};
    assert_ok(wf_file_list(".", &names));
    int n = (int)names.n;
    wf_paths_destroy(&names);
    return n;
}

static void publish_replaces_or_refuses(void **state)
{
    (void)state;
    assert_ok(wf_file_write_whole("a", "one", 3, WF_PUBLISH_NEW));
    check_holds("a", "one");
    assert_int_equal(wf_file_write_whole("a", "two", 3, WF_PUBLISH_NEW), WF_IN_USE);
    assert_string_equal(wf_error(), "a: exists already");
    check_holds("a", "one");
    assert_ok(wf_file_write_whole("a", "three", 5, WF_PUBLISH_REPLACE));
    check_holds("a", "three");
    assert_int_equal(wf_file_write_whole("no/a", "x", 1, WF_PUBLISH_NEW), WF_IO);
    assert_int_equal(wf_file_write_whole(".", "x", 1, WF_PUBLISH_REPLACE), WF_IO);
    assert_int_equal(n_names(), 1); // no part is left, whatever failed
}

// A full disk, as the file-size limit of a child process: the old content must survive.
static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    put("status.json", "old");
    pid_t child = fork();
    if (child == 0) {
        char big[4096] = {0};
        struct rlimit limit = {1024, 1024};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        wf_status st = wf_file_write_whole("status.json", big, sizeof big, WF_PUBLISH_REPLACE);
        _exit(st == WF_IO && strstr(wf_error(), "File too large") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    check_holds("status.json", "old");
    assert_int_equal(n_names(), 1);
}

static void one_of_many_claims_wins(void **state)
{
    (void)state;
    enum { N = 8 };
    int n_won = 0;
    for (int i = 0; i < N; i++) {
        if (fork() == 0) {
            wf_status st = wf_file_claim("lease", "me", 2);
            _exit(st == WF_OK ? 1 : st == WF_IN_USE ? 0 : 2);
        }
    }
    for (int i = 0; i < N; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        n_won += WEXITSTATUS(status);
    }
    assert_int_equal(n_won, 1);
    check_holds("lease", "me");
}

// Four processes at once: all of their lines are there, none torn.
static void lines_are_found_by_their_begin(void **state)
{
    (void)state;
    char text[8];
    assert_int_equal(wf_file_write_whole("told", "one 1\ntwo 22\n\ntwenty 20", 23, WF_PUBLISH_NEW),
                     WF_OK);
    assert_true(wf_file_line("told", "", text, sizeof text));
    assert_string_equal(text, "one 1");
    assert_true(wf_file_line("told", "two ", text, sizeof text));
    assert_string_equal(text, "two 22");
    assert_true(wf_file_line("told", "twe", text, sizeof text)); // no newline; cut off
    assert_string_equal(text, "twenty ");
    assert_false(wf_file_line("told", "three", text, sizeof text));
    assert_string_equal(text, "");
    assert_false(wf_file_line("nowhere", "", text, sizeof text));
}

static void appended_lines_stay_whole(void **state)
{
    (void)state;
    enum { N_WRITERS = 4, N_LINES = 300 };
    char line[] = "x 0123456789012345678901234567890123456789\n", *text = NULL;
    size_t n = 0, n_lines[N_WRITERS] = {0};
    for (int w = 0; w < N_WRITERS; w++) {
        if (fork() != 0) continue;
        line[0] = (char)('a' + w);
        for (int i = 0; i < N_LINES; i++)
            if (wf_file_append("log", line, strlen(line), i == 0) != WF_OK) _exit(1);
        _exit(0);
    }
    for (int w = 0, status; w < N_WRITERS; w++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_ok(wf_file_read("log", 1 << 20, &text, &n));
    assert_int_equal(n, N_WRITERS * N_LINES * strlen(line));
    for (const char *at = text; *at; at += strlen(line)) {
        assert_in_range(at[0], 'a', 'a' + N_WRITERS - 1);
        assert_memory_equal(at + 1, line + 1, strlen(line) - 1);
        n_lines[at[0] - 'a']++;
    }
    for (int w = 0; w < N_WRITERS; w++)
        assert_int_equal(n_lines[w], N_LINES);
    free(text);
    assert_int_equal(wf_file_append("nowhere/log", line, 1, false), WF_IO);
}

static void folders_are_made(void **state)
{
    (void)state;
    static const char *const fine[] = {"x/y/z", "x/y/z", "x//q/", "./w", "."};
    for (size_t i = 0; i < N_ROWS(fine); i++) {
        assert_ok(wf_file_make_folders(fine[i]));
        struct stat info;
        assert_int_equal(stat(fine[i], &info), 0);
        assert_true(S_ISDIR(info.st_mode));
    }
    put("file", "x");
    assert_int_equal(wf_file_make_folders("file/sub"), WF_IO);
    assert_int_equal(wf_file_make_folders("file"), WF_IO);
    assert_contains(wf_error(), "file: cannot make the folder: Not a directory");
    assert_ok(wf_file_make_folders("/")); // there, and not ours to make
    assert_ok(wf_file_sync_folder("x"));
}

static void paths_are_put_together(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *name, *joined, *folder_of, *name_of;
    } rows[] = {
        {"a", "b.h5", "a/b.h5", "a", "b.h5"}, {"a/", "b", "a/b", "a", "b"},
        {"a", "/b", "/b", "/", "b"},          {"", "b", "b", ".", "b"},
        {"/", "b/c", "/b/c", "/b", "c"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char *joined, *folder;
        assert_ok(wf_path_join(rows[i].folder, rows[i].name, &joined));
        assert_string_equal(joined, rows[i].joined);
        assert_ok(wf_path_folder(joined, &folder));
        assert_string_equal(folder, rows[i].folder_of);
        assert_string_equal(wf_path_name(joined), rows[i].name_of);
        free(joined);
        free(folder);
    }
}

static void glob_sorts_and_reports(void **state)
{
    (void)state;
    static const char *const names[] = {"s-2.h5", "s-10.h5", "S-1.h5", "other"};
    for (size_t i = 0; i < N_ROWS(names); i++)
        put(names[i], "");
    wf_paths paths = {0};
    assert_ok(wf_file_glob("other", &paths));
    assert_ok(wf_file_glob("[sS]-*.h5", &paths));
    static const char *const expected[] = {"other", "S-1.h5", "s-10.h5", "s-2.h5"};
    assert_int_equal(paths.n, N_ROWS(expected));
    for (size_t i = 0; i < N_ROWS(expected); i++)
        assert_string_equal(paths.item[i], expected[i]);
    assert_int_equal(wf_file_glob("*.csv", &paths), WF_NO_INPUT);
    assert_string_equal(wf_error(), "*.csv: no such file, or no file matches");
    assert_int_equal(wf_file_list("nowhere", &paths), WF_NO_INPUT);
    wf_paths_destroy(&paths);
    assert_int_equal(paths.n, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
    const struct CMUnitTest tests[] = {
        TEST(read_respects_the_cap),
        TEST(unreadable_is_said),
        TEST(transfers_are_whole),
        TEST(publish_replaces_or_refuses),
        TEST(failed_write_keeps_the_old_file),
        TEST(one_of_many_claims_wins),
        TEST(appended_lines_stay_whole),
        TEST(lines_are_found_by_their_begin),
        TEST(folders_are_made),
        TEST(paths_are_put_together),
        TEST(glob_sorts_and_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
