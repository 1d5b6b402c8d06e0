// Thin layer over the POSIX clocks.
#include "io/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t); // cannot fail for the two clocks used here
    return (int64_t)t.tv_sec * WF_NS_PER_S + t.tv_nsec;
}

int64_t wf_clock_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t wf_clock_unix_ns(void)
{
    return clock_read(CLOCK_REALTIME);
}

char *wf_clock_iso(int64_t unix_ns, char text[WF_CLOCK_ISO_MAX])
{
    int64_t ns = unix_ns % WF_NS_PER_S;
    time_t seconds = (time_t)(unix_ns / WF_NS_PER_S);
    if (ns < 0) { // C rounds towards zero, calendars do not
        ns += WF_NS_PER_S;
        seconds -= 1;
    }
    struct tm t;
    gmtime_r(&seconds, &t);
    snprintf(text, WF_CLOCK_ISO_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             (t.tm_year + 1900) % 10000, (t.tm_mon + 1) % 100, t.tm_mday % 100, t.tm_hour % 100,
             t.tm_min % 100, t.tm_sec % 100, (int)(ns / WF_NS_PER_MS) % 1000);
    return text;
}

bool wf_clock_sleep_until(int64_t t_ns)
{
    if (t_ns <= wf_clock_ns()) return true;
    struct timespec t = {.tv_sec = t_ns / WF_NS_PER_S, .tv_nsec = t_ns % WF_NS_PER_S};
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0;
}

static int64_t real_now(void *context)
{
    (void)context;
    return wf_clock_ns();
}

static bool real_sleep_until(void *context, int64_t t_ns)
{
    (void)context;
    return wf_clock_sleep_until(t_ns);
}

const wf_clock wf_clock_real = {.now = real_now, .sleep_until = real_sleep_until};
