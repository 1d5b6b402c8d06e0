// The count of signals and its handlers. See signals.h.
#include "launcher/bringup/signals.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

// What a launcher passes on may come twice within milliseconds (to the process and to its group):
// that is one signal, not a second one that means "now".
#define SAME_NS 200000000LL

// What a signal handler may write to must be static; nothing else changes it.
static wf_drain_signals seen;
static long long last_ns;

static long long monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); // async-signal-safe
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void on_drain(int number)
{
    long long now_ns = monotonic_ns();
    if (seen.n > 0 && now_ns - last_ns < SAME_NS) return;
    last_ns = now_ns;
    if (number == SIGINT && seen.n >= 2) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT); // taken as soon as this handler returns
        return;
    }
    if (seen.n == 0) seen.first = number;
    seen.n++;
}

void wf_signals_install(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = on_drain}; // no SA_RESTART: sleeps end early
    sigfillset(&action.sa_mask);                        // one at a time
    signal(SIGXFSZ, SIG_IGN); // a file limit (ulimit -f) is an error of the write that meets it
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

const wf_drain_signals *wf_signals_seen(void)
{
    return &seen;
}
