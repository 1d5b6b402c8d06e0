// Writes a batcher's schedule as a step plan: positions, token ids, pages, sampling parameters.
// The tags of the schedule must be wf_sequence. Local, pure.
#ifndef WF_ENGINE_PLANFILL_H
#define WF_ENGINE_PLANFILL_H

#include "engine/batcher.h"
#include "engine/stepplan.h"

// page_stride: columns of the page table. `plan` has room for wf_plan_most_words(limits). Returns
// the plan's words.
int64_t wf_planfill(const wf_schedule *s, const wf_plan_limits *limits, int32_t page_stride,
                    int32_t *plan);

#endif
