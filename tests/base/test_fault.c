// Faults on purpose strike a child process; how the child ended is what is tested.
#include "tests/base/base_test.h"

#include "io/base/fault.h"
#include "io/base/log.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

// Walks through steps 1..5 and request 17 as rank 2 with WEFT_FAULT=`text`. Returns the signal that
// ended or stopped the child, 0 when it came through.
static int signal_of(const char *text)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("WEFT_FAULT", text, 1);
        wf_log_set_level(WF_LOG_ERROR);
        wf_log_set_rank(2);
        for (uint64_t step = 1; step <= 5; step++)
            wf_fault_at(WF_FAULT_STEP, step);
        wf_fault_at(WF_FAULT_REQUEST, 17);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status)) {
        int number = WSTOPSIG(status);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        return number;
    }
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void strikes_where_it_is_told_to(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int number;
    } rows[] = {
        {"", 0},
        {"kill@step=3", SIGKILL},
        {"kill@step=6", 0},
        {"abort@request=17", SIGABRT},
        {"abort@request=18", 0},
        {"stop@step=5,rank=2", SIGSTOP},
        {"stop@step=5,rank=1", 0},
        {"kill@load=1; term@step=2", SIGTERM},
        {"usr1@step=1 ;kill@step=1", SIGUSR1},
        {"int@step=4,rank=2", SIGINT},
        {"usr2@step=4", SIGUSR2},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++)
        if (signal_of(rows[i].text) != rows[i].number) fail_msg("row %zu: %s", i, rows[i].text);
}

static void strikes_once_where_told_so(void **state)
{
    (void)state;
    char folder[] = "/tmp/weft-fault-XXXXXX", text[128], path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/once", folder);
    snprintf(text, sizeof text, "kill@step=3,once=%s", path);
    assert_int_equal(signal_of(text), SIGKILL);
    assert_int_equal(signal_of(text), 0);
    unlink(path);
    rmdir(folder);
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"kill",
                                       "kill@step",
                                       "kill@step=",
                                       "kill@stp=1",
                                       "explode@step=1",
                                       "kill@step=-1",
                                       "kill@step=1,",
                                       "kill@step=1,rank=x",
                                       "kill@step=1,once=",
                                       "kill@step=1;nonsense"};
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        setenv("WEFT_FAULT", rows[i], 1);
        if (wf_fault_check() != WF_USAGE) fail_msg("accepted: %s", rows[i]);
    }
    setenv("WEFT_FAULT", " kill@step=1,rank=0,once=x;; usr1@load=3 ", 1);
    assert_int_equal(wf_fault_check(), WF_OK);
    unsetenv("WEFT_FAULT");
    assert_int_equal(wf_fault_check(), WF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strikes_where_it_is_told_to),
        cmocka_unit_test(strikes_once_where_told_so),
        cmocka_unit_test(mistakes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
