// Runs that come and go without finishing anything: when to stop trying.
#ifndef WF_LAUNCHER_PROGRESSLESS_H
#define WF_LAUNCHER_PROGRESSLESS_H

#include "io/base/status.h"

// WF_NO_PROGRESS when the newest `limit` runs of the folder sealed nothing; `limit` 0: never. A
// folder that cannot be read is no reason to give up. Local.
wf_status wf_progressless_check(const char *out_dir, long long limit);

#endif
