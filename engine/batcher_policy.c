// The batcher's policies: rows of two tables, so that no plan asks which one it is.
#include "engine/batcher_internal.h"

// ---- who may join -------------------------------------------------------------------------------

static bool join_any_time(const wf_batcher *b, int64_t now_ns, bool closed)
{
    (void)b, (void)now_ns, (void)closed;
    return true;
}

static bool join_at_window_end(const wf_batcher *b, int64_t now_ns, bool closed)
{
    (void)closed;
    if (b->n_rows > 0) return false;
    return wf_waitqueue_count(b->queue) >= b->cfg.max_rows || now_ns >= wf_batcher_wake_ns(b);
}

static bool join_full_batch(const wf_batcher *b, int64_t now_ns, bool closed)
{
    (void)now_ns;
    return b->n_rows == 0 && (closed || wf_waitqueue_count(b->queue) >= b->cfg.max_rows);
}

static const wf_fusion_policy fusions[] = {
    [WF_FUSION_TEMPORAL] = {join_any_time, false},
    [WF_FUSION_WINDOW] = {join_at_window_end, false},
    [WF_FUSION_INSTANCES] = {join_any_time, true},
    [WF_FUSION_STATIC] = {join_full_batch, false},
};

const wf_fusion_policy *wf_fusion_policy_of(wf_fusion fusion)
{
    return &fusions[fusion];
}

// ---- what becomes of rows that ended ------------------------------------------------------------

static const wf_reorder_policy reorders[] = {
    [WF_REORDER_INDEX] = {&wf_pages_pooled, true},
    [WF_REORDER_COPY] = {&wf_pages_in_slots, true},
    [WF_REORDER_OFF] = {&wf_pages_pooled, false},
};

const wf_reorder_policy *wf_reorder_policy_of(wf_reorder reorder)
{
    return &reorders[reorder];
}
