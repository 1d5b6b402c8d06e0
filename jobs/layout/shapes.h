// Models whose layouts are planned: those that the engine reads, and shapes that are only planned.
// Pure; all Local.
#ifndef WF_JOBS_LAYOUT_SHAPES_H
#define WF_JOBS_LAYOUT_SHAPES_H

#include <stddef.h>

#include "engine/model_arch.h"
#include "jobs/layout/layout.h"

// "palm-540b", "palm-62b", "palm-8b"; NULL: no such shape.
const wf_layout_model *wf_layout_shape(const char *name);
char *wf_layout_shape_names(char *text, size_t text_bytes);

// `name` is borrowed. WF_CONFIG where layers differ: the planner counts one and multiplies.
wf_status wf_layout_model_of(const wf_arch *arch, const char *name, wf_layout_model *out);

#endif
