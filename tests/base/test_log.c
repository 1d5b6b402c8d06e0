// The log is read back through a pipe in the place of standard error, in a child process, because
// its threshold is read from the environment once per process.
#include "tests/base/base_test.h"

#include "io/base/log.h"

#include <sys/wait.h>
#include <unistd.h>

// Runs `body` in a child with WEFT_LOG=`env` (NULL: unset); returns what it wrote to the log.
static const char *capture(const char *env, void (*body)(void))
{
    static char text[16384];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (env)
            setenv("WEFT_LOG", env, 1);
        else
            unsetenv("WEFT_LOG");
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(ends[0], text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    close(ends[0]);
    text[n] = '\0';
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return text;
}

static void one_of_each(void)
{
    wf_debug("D");
    wf_info("I");
    wf_warn("W");
    wf_say_error("E");
}

static void threshold_comes_from_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *env;
        int n_lines;
    } rows[] = {{"debug", 4}, {"info", 3}, {NULL, 3}, {"nonsense", 3}, {"warn", 2}, {"error", 1}};
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int n_lines = 0;
        for (const char *c = capture(rows[i].env, one_of_each); *c; c++)
            n_lines += *c == '\n';
        assert_int_equal(n_lines, rows[i].n_lines);
    }
}

static void body_ranked(void)
{
    wf_log_set_level(WF_LOG_WARN);
    wf_log_set_rank(2);
    wf_info("hidden");
    wf_warn("shard %d is damaged", 7);
}

static void line_has_time_rank_level_and_text(void **state)
{
    (void)state;
    const char *text = capture(NULL, body_ranked);
    int h, m, s, end = 0;
    assert_int_equal(sscanf(text, "%2d:%2d:%2d %n", &h, &m, &s, &end), 3);
    assert_string_equal(text + end, "r2 warn  shard 7 is damaged\n");
}

static void body_hostile(void)
{
    static char big[9000];
    memset(big, 'y', sizeof big - 1);
    wf_info("a\x1b[2Jb\tc");
    wf_info("%s", big);
}

static void hostile_text_is_tamed_and_long_lines_cut(void **state)
{
    (void)state;
    const char *text = capture(NULL, body_hostile);
    assert_contains(text, "info  a?[2Jb\tc\n");
    const char *second = strchr(text, '\n') + 1;
    assert_int_equal(strlen(second), 4095);
    assert_int_equal(second[4094], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threshold_comes_from_the_environment),
        cmocka_unit_test(line_has_time_rank_level_and_text),
        cmocka_unit_test(hostile_text_is_tamed_and_long_lines_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
