// Limits of goodput as one writes them. Local.
#ifndef WF_LAUNCHER_GOODPUT_H
#define WF_LAUNCHER_GOODPUT_H

#include "results/metrics.h"

// "ttft:200,tpot:50" or with spaces between, ms, as vLLM's benchmark takes them; sets those that
// are named. WF_USAGE.
wf_status wf_goodput_parse(const char *text, wf_goodput_limits *out);

#endif
