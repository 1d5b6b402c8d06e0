// Signals: SIGTERM, SIGINT and SIGUSR1 ask the job to leave (jobs/run/drain.h): the first to finish
// what fits, a second one to leave now, both with everything finished sealed and exit code 75. A
// third SIGINT ends the process at once.
//
// Process-wide; call from main before threads are started. Local.
#ifndef WF_LAUNCHER_SIGNALS_H
#define WF_LAUNCHER_SIGNALS_H

#include "jobs/run/drain.h"

void wf_signals_install(void);

// What has come so far. Lives as long as the program.
const wf_drain_signals *wf_signals_seen(void);

#endif
