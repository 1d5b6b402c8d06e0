// Threads beside the main one, and how they wait.
//
// Signals are the main thread's: they end its waits and set flags that it looks at. No other thread
// takes any. Waits end by the monotonic clock (clock.h), which nobody sets. All Local.
#ifndef WF_IO_BASE_THREAD_H
#define WF_IO_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

// Starts a thread that takes no signals, as pthread_create. `what` is it that cannot be started,
// for the message: "the output thread". WF_IO: the system refused.
wf_status wf_thread_start(const char *what, void *(*run)(void *), void *context, pthread_t *out);

// A condition for wf_cond_wait_until; destroyed by pthread_cond_destroy.
void wf_cond_init(pthread_cond_t *cond);

// Waits, holding `lock`, for a signal or until the clock is at `t_ns` (INT64_MAX: for ever). False
// when the time is over; it may return early for no reason, as all conditions.
bool wf_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t t_ns);

#endif
