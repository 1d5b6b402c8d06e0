// The highest of rising loads that still meets its limits, by bisection.
//
//   load  0   1   2   3   4   5   6   7      8 loads: at most 4 probes, where a sweep takes 8
//         ok  ok  ok  ok  ok  no  no  no  -> 4
//
// Right where a load that meets the limits has none below it that does not: of loads so near each
// other that noise decides, it finds one of them. Pure but for the probe. Local.
#ifndef WF_JOBS_STUDY_GOODPUT_SEARCH_H
#define WF_JOBS_STUDY_GOODPUT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/status.h"

// Whether load i_load meets the limits.
typedef wf_status (*wf_goodput_probe)(void *context, size_t i_load, bool *meets);

// *n_meet: how many of the n loads meet them, the first ones: 0, the lowest does not; n, all do.
// The least load is probed first, then the highest. Fails as the probe does.
wf_status wf_goodput_search(size_t n, wf_goodput_probe probe, void *context, size_t *n_meet);

// Loads from `low` to `high`, each `ratio` times the one before, of three significant digits, so
// that a load has one name; the last one is `high`. At most `most` are written; returns how many
// there are.
size_t wf_goodput_loads(double low, double high, double ratio, size_t most, double *loads);

#endif
