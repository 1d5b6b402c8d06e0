// Signals: SIGTERM, SIGINT and SIGUSR1 ask the job to drain (finish or put aside what is in flight,
// seal, exit 75); a second SIGINT ends it at once.
//
// Process-wide; call from main before threads are started. Local.
#ifndef WF_LAUNCHER_SIGNALS_H
#define WF_LAUNCHER_SIGNALS_H

#include <signal.h>

void wf_signals_install(void);

// The number of the first signal that asked to drain; 0: none yet. Lives as long as the program.
const volatile sig_atomic_t *wf_signals_drain_flag(void);

#endif
