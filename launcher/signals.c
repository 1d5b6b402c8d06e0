// The drain flag and its handlers. See signals.h.
#include "launcher/signals.h"

#include <stddef.h>

// What a signal handler may write to must be static; nothing else changes it.
static volatile sig_atomic_t drain;

static void on_drain(int number)
{
    if (number == SIGINT && drain == SIGINT) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT); // taken as soon as this handler returns
        return;
    }
    if (drain == 0) drain = number;
}

void wf_signals_install(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = on_drain}; // no SA_RESTART: sleeps end early
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

const volatile sig_atomic_t *wf_signals_drain_flag(void)
{
    return &drain;
}
