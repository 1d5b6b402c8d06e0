// Plans that warm an engine up before its clock starts, so that no request pays for what happens
// once: products measured for each number of rows, scratch grown, kernels loaded, steps captured.
//
//   1. prompt chunks      of each number of tokens up to step_tokens, through one layer of each
//   shape
//   2. decode rows        of each bucket, through the same: measured, not captured
//   3. decode rows again  of each bucket and longest context, through all layers: captured
//
// All their rows are the row of padding (stepplan.h): no live row and no page is touched. Every
// rank of a group makes the same plans by itself. All Local, pure.
#ifndef WF_ENGINE_WARMUP_H
#define WF_ENGINE_WARMUP_H

#include "engine/stepplan.h"

typedef struct wf_warmup {
    wf_plan_limits limits; // pad must be set
    int32_t max_context;   // of a request
    int32_t logprobs;      // WF_PLAN_LOGPROBS of the steps to expect
    bool greedy;           // their WF_PLAN_GREEDY
    bool capture;          // the third part as well
} wf_warmup;

// Writes plan i, from 0 on; *whole: it is to run through all layers, not one of each shape. Returns
// its words, 0 when there are no more.
int64_t wf_warmup_plan(const wf_warmup *w, int32_t i, bool *whole, int32_t *plan);

#endif
