// Files on their way, and links that somebody planted where they go.
#include "tests/base/base_test.h"

#include "io/base/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/weft-part-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void check_holds(const char *path, const char *expected)
{
    char *text = NULL;
    assert_ok(wf_file_read(path, 1000, &text, NULL));
    assert_string_equal(text, expected);
    free(text);
}

static size_t n_names(void)
{
    wf_paths names = {0};
    assert_ok(wf_file_list(".", &names));
    size_t n = names.n;
    wf_paths_destroy(&names);
    return n;
}

static void write_part(wf_part *part, const char *text)
{
    assert_ok(wf_file_write(wf_part_fd(part), wf_part_path(part), text, strlen(text)));
}

static void a_part_gets_its_name_when_told(void **state)
{
    (void)state;
    wf_part *part = NULL;
    put("a", "old");
    assert_ok(wf_part_create("a", &part));
    write_part(part, "new");
    check_holds("a", "old");
    assert_int_equal(wf_part_publish(part, WF_PUBLISH_NEW), WF_IN_USE);
    assert_string_equal(wf_error(), "a: exists already");
    assert_ok(wf_part_publish(part, WF_PUBLISH_REPLACE));
    write_part(part, "er"); // it stays open
    check_holds("a", "newer");
    assert_ok(wf_part_close(&part));
    assert_int_equal(n_names(), 1);
    assert_ok(wf_part_create("b", &part));
    assert_ok(wf_part_publish(part, WF_PUBLISH_NEW));
    wf_part_drop(&part);
    assert_int_equal(n_names(), 2);
    assert_int_equal(wf_part_create("no/where", &part), WF_IO);
    assert_contains(wf_error(), "No such file");
}

static void what_is_not_published_is_gone(void **state)
{
    (void)state;
    wf_part *part = NULL;
    assert_ok(wf_part_create("a", &part));
    wf_part_drop(&part);
    assert_null(part);
    assert_int_equal(n_names(), 0);
    put("a.0123456789abcdef.part", "of one that was killed");
    put("a.0123456789abcde.part", "of somebody else");
    put("ab.0123456789abcdef.part", "of another file");
    wf_part_clear("a");
    assert_int_equal(n_names(), 2);
}

static void names_cannot_be_foreseen(void **state)
{
    (void)state;
    wf_part *one = NULL, *two = NULL;
    assert_ok(wf_part_create("a", &one));
    assert_ok(wf_part_create("a", &two));
    assert_string_not_equal(wf_part_path(one), wf_part_path(two));
    wf_part_drop(&one);
    wf_part_drop(&two);
}

// Whoever swaps the file before it is published publishes nothing.
static void a_swapped_part_is_refused(void **state)
{
    (void)state;
    wf_part *part = NULL;
    put("victim", "mine");
    assert_ok(wf_part_create("a", &part));
    assert_int_equal(unlink(wf_part_path(part)), 0);
    assert_int_equal(symlink("victim", wf_part_path(part)), 0);
    assert_int_equal(wf_part_publish(part, WF_PUBLISH_REPLACE), WF_IO);
    assert_contains(wf_error(), "somebody put another file in its place");
    write_part(part, "not into it");
    wf_part_drop(&part);
    assert_false(wf_file_exists("a"));
    check_holds("victim", "mine");
}

// A folder that is moved away while it is held is still the one that gets the file.
static void a_swapped_folder_gets_nothing(void **state)
{
    (void)state;
    wf_part *part = NULL;
    assert_int_equal(mkdir("out", 0777), 0);
    assert_int_equal(mkdir("mine", 0777), 0);
    put("mine/a", "mine");
    assert_ok(wf_part_create("out/a", &part));
    write_part(part, "theirs");
    assert_int_equal(rename("out", "away"), 0);
    assert_int_equal(symlink("mine", "out"), 0);
    assert_ok(wf_part_publish(part, WF_PUBLISH_REPLACE));
    wf_part_drop(&part);
    check_holds("mine/a", "mine");
    check_holds("away/a", "theirs");
}

static void links_are_not_followed(void **state)
{
    (void)state;
    int fd;
    put("victim", "mine");
    assert_int_equal(symlink("victim", "soft"), 0);
    assert_int_equal(link("victim", "hard"), 0);
    assert_int_equal(symlink("nothing", "dangling"), 0);
    assert_int_equal(mkfifo("pipe", 0666), 0);
    static const char *const names[] = {"soft", "hard", "dangling", "pipe"};
    for (size_t i = 0; i < N_ROWS(names); i++) {
        assert_int_equal(wf_file_append(names[i], "x", 1, false), WF_IO);
        assert_contains(wf_error(), names[i]);
        assert_int_equal(wf_file_open_plain(names[i], O_RDWR, &fd), WF_IO);
        assert_int_equal(fd, -1);
        assert_int_equal(wf_file_claim(names[i], "x", 1), WF_IN_USE);
    }
    assert_false(wf_file_exists("nothing"));
    check_holds("victim", "mine");
    assert_ok(wf_file_write_whole("soft", "x", 1, WF_PUBLISH_REPLACE)); // takes the link's place
    assert_ok(wf_file_write_whole("hard", "x", 1, WF_PUBLISH_REPLACE));
    check_holds("victim", "mine");
    assert_ok(wf_file_append("plain", "x", 1, true));
    assert_ok(wf_file_append("plain", "y", 1, false));
    check_holds("plain", "xy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_part_gets_its_name_when_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_published_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(names_cannot_be_foreseen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_swapped_part_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_swapped_folder_gets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_not_followed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
