// Counts runs without progress. See progressless.h.
#include "launcher/progressless.h"

#include "io/results/runfile.h"

wf_status wf_progressless_check(const char *out_dir, long long limit)
{
    wf_runs *runs = NULL;
    if (limit == 0) return WF_OK;
    if (wf_runs_open(out_dir, &(wf_runs_options){.read_only = true}, &runs) != WF_OK) return WF_OK;
    long long n = (long long)wf_runs_without_progress(runs);
    wf_runs_close(&runs);
    if (n < limit) return WF_OK;
    return wf_fail(WF_NO_PROGRESS,
                   "%s: the last %lld runs finished nothing, another one would not either: is the "
                   "time limit too short for one request, or a node broken? Run it again without "
                   "--give-up to try once more",
                   out_dir, n);
}
