// Measures every operation of a back end: calls, time, bytes, operations, and how near the device's
// limits that is.
//
//   be->ops --> [ table with clocks ] --> the back end's own table       (the same wf_backend)
//
// wf_profile_start() measures the two limits (a large copy, a large product) and replaces the
// table; operations are then stamped before and after on the device's own clock. Whoever profiles
// must not capture steps, on any rank of the group: a replay has no operations, and steps that are
// captured are padded. What a stamp itself takes is measured first and taken off. An operation's
// first call with a new number of rows is not counted, since it may look for the best plan.
// Operations on little data can pass the limits, which are those of memory, not of caches.
// Communication is not an operation: it is part of what lies between them.
// All functions are Local.
#ifndef WF_KERNELS_PROFILE_H
#define WF_KERNELS_PROFILE_H

#include <stdio.h>

#include "kernels/backend.h"

typedef struct wf_profile wf_profile;

// Errors: WF_NO_MEMORY, WF_DEVICE. be is borrowed and stays usable; caller owns *out.
wf_status wf_profile_start(wf_backend *be, wf_profile **out);

// Puts the back end's own table back. Nothing may be in flight. Takes NULL.
void wf_profile_stop(wf_profile *p);

// The table, dearest first, for people or as CSV. What is in flight is waited for. For people an
// operation is one line; in the file it is one for each power of two of its rows, so that what a
// step would take can be told from it (kernels/simulated/costs.h).
wf_status wf_profile_print(wf_profile *p, FILE *file);
wf_status wf_profile_write_csv(wf_profile *p, FILE *file);

#endif
