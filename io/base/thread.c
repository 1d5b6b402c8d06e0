// Threads over POSIX calls. See thread.h.
#include "io/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "io/base/clock.h"

wf_status wf_thread_start(const char *what, void *(*run)(void *), void *context, pthread_t *out)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); // a thread inherits the mask
    int error = pthread_create(out, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return WF_OK;
    return wf_fail(WF_IO, "cannot start %s: %s", what, strerror(error));
}

void wf_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool wf_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t t_ns)
{
    struct timespec at = {.tv_sec = t_ns / WF_NS_PER_S, .tv_nsec = t_ns % WF_NS_PER_S};
    if (t_ns == INT64_MAX) return pthread_cond_wait(cond, lock) == 0;
    return pthread_cond_timedwait(cond, lock, &at) != ETIMEDOUT;
}
