// Threads take no signals, and waits end by the monotonic clock or by a word.
#include "tests/base/base_test.h"

#include "io/base/clock.h"
#include "io/base/thread.h"

#include <signal.h>

typedef struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool met, takes_signals;
} meeting;

static void *attend(void *context)
{
    meeting *m = context;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_mutex_lock(&m->lock);
    m->met = true;
    m->takes_signals = !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGUSR1);
    pthread_cond_signal(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void a_thread_takes_no_signals(void **state)
{
    (void)state;
    meeting m = {.lock = PTHREAD_MUTEX_INITIALIZER};
    sigset_t before, after;
    pthread_t thread;
    wf_cond_init(&m.changed);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    pthread_mutex_lock(&m.lock);
    assert_ok(wf_thread_start("a test's thread", attend, &m, &thread));
    while (!m.met)
        wf_cond_wait_until(&m.changed, &m.lock, INT64_MAX);
    pthread_mutex_unlock(&m.lock);
    pthread_join(thread, NULL);
    assert_false(m.takes_signals);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM)); // ours as before
    pthread_cond_destroy(&m.changed);
}

static void a_wait_ends_in_time(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never;
    wf_cond_init(&never);
    pthread_mutex_lock(&lock);
    int64_t until_ns = wf_clock_ns() + 20 * WF_NS_PER_MS;
    while (wf_cond_wait_until(&never, &lock, until_ns)) {
    }
    assert_true(wf_clock_ns() >= until_ns);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_takes_no_signals),
        cmocka_unit_test(a_wait_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
