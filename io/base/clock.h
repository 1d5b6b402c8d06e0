// Time: one monotonic clock for every duration, the wall clock only for labels.
//
// All times in Weft are int64 nanoseconds. Monotonic times of two hosts have nothing in common.
// All functions are Local, thread-safe and cannot fail.
#ifndef WF_IO_BASE_CLOCK_H
#define WF_IO_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define WF_NS_PER_US INT64_C(1000)
#define WF_NS_PER_MS INT64_C(1000000)
#define WF_NS_PER_S  INT64_C(1000000000)

// "2024-03-01T12:03:44.123Z" and its terminator, with room for any int64 time.
#define WF_CLOCK_ISO_MAX 32

// Nanoseconds of the monotonic clock; its zero means nothing.
int64_t wf_clock_ns(void);

// Nanoseconds since 1970-01-01 UTC.
int64_t wf_clock_unix_ns(void);

// Writes `unix_ns` as ISO 8601 in UTC with milliseconds (rounded down). Returns `text`.
char *wf_clock_iso(int64_t unix_ns, char text[WF_CLOCK_ISO_MAX]);

// Sleeps until the monotonic clock reaches `t_ns`. True when it has; false when a signal handler
// ran first, so that the caller can look at its flags and call again.
bool wf_clock_sleep_until(int64_t t_ns);

// A clock as it is handed to those who live by it, so that tests can hand them one that jumps.
typedef struct wf_clock {
    int64_t (*now)(void *context);
    bool (*sleep_until)(void *context, int64_t t_ns);
    void *context;
} wf_clock;

extern const wf_clock wf_clock_real; // the two functions above

static inline int64_t wf_clock_now(const wf_clock *clock)
{
    return clock->now(clock->context);
}

static inline bool wf_clock_sleep(const wf_clock *clock, int64_t until_ns)
{
    return clock->sleep_until(clock->context, until_ns);
}

#endif
