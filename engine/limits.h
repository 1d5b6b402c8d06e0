// What follows from an engine's configuration: how large a request, a step and its buffers can be.
//
// The plan of a job (weft plan, and memory at the start) and the engine ask the same function, so
// that what is planned is what is created. Pure. Local.
#ifndef WF_ENGINE_LIMITS_H
#define WF_ENGINE_LIMITS_H

#include "engine/engine.h"
#include "engine/forward.h"

typedef struct wf_limits {
    int32_t max_context;       // of a request, prompt and output: tokens
    int32_t window;            // the model's (wf_arch_window)
    int32_t most_pages;        // that a request holds, however long it is
    wf_plan_limits plan;       // of step plans
    wf_forward_config forward; // n_pages 0: memory decides that
} wf_limits;

// What such a model makes of a configuration: rows that must be whole in a step need one as long as
// the longest, and no cache. Pure.
wf_engine_config wf_engine_config_of(const wf_engine_config *config, const wf_arch *arch);

// `captures`: the back end can capture steps. WF_CONFIG: the limits contradict each other, or are
// beyond the model or the group; the message has the numbers.
wf_status wf_engine_limits(const wf_engine_config *config, const wf_arch *arch, int32_t group_size,
                           bool captures, wf_limits *out);

#endif
