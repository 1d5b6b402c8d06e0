// Judging heartbeats. See conductor_watch.h.
#include "launcher/conductor/conductor_watch.h"

void wf_beat_begin(wf_beat *beat, int64_t now_ns)
{
    *beat = (wf_beat){.moved_ns = now_ns, .step_ns = now_ns};
}

void wf_beat_take(wf_beat *b, const wf_rank_status *status, int64_t now_ns)
{
    if (!status) return;
    const wf_rank_status *was = &b->status;
    bool moved = !b->seen || was->beat != status->beat || was->operation != status->operation;
    bool stepped =
        was->step_entered != status->step_entered || status->step_entered <= status->step_left;
    if (moved) b->moved_ns = now_ns;
    if (!b->seen || stepped) b->step_ns = now_ns;
    b->seen = true;
    b->status = *status;
}

void wf_beat_forgive(wf_beat *b, int64_t pause_ns)
{
    b->moved_ns += pause_ns;
    b->step_ns += pause_ns;
}

static int64_t silence_limit(const wf_beat *b, const wf_beat_limits *limits)
{
    if (!b->seen || wf_operation_is_over(b->status.operation)) return limits->load_ns;
    return b->status.operation <= WF_OPERATION_WARM_UP ? 4 * limits->beat_ns : limits->beat_ns;
}

bool wf_beat_is_quiet(const wf_beat *b, const wf_beat_limits *limits, int64_t now_ns,
                      int64_t *quiet_ns, bool *hangs)
{
    *quiet_ns = now_ns - b->moved_ns;
    *hangs = false;
    if (*quiet_ns > silence_limit(b, limits)) return true;
    if (!b->seen || b->status.step_entered <= b->status.step_left) return false;
    *quiet_ns = now_ns - b->step_ns;
    *hangs = *quiet_ns > limits->load_ns;
    return *hangs;
}

bool wf_beat_read(const char *out_dir, int rank, int64_t run, int64_t epoch, wf_rank_status *out)
{
    return wf_rank_status_read(out_dir, rank, out) == WF_OK && out->run == run &&
           out->epoch == epoch;
}
