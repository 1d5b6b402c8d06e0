// The errors of layers in formats, each measured once: kept line by line, so that a start that was
// interrupted goes on behind the last. Local.
//
//   {"model": "...", "shard": "...", "tokens": 2048}
//   3 int4 0.00123
#ifndef WF_JOBS_QUANTIZE_LAYER_ERRORS_H
#define WF_JOBS_QUANTIZE_LAYER_ERRORS_H

#include "jobs/quantize/choose.h"
#include "jobs/quantize/evaluate.h"
#include "jobs/quantize/variant.h"

typedef struct wf_measured {
    double kl[WF_ARCH_MAX_LAYERS][WF_N_QUANTIZE_FORMATS]; // below 0: not yet; of PLAIN 0
    int n_kept;                                           // read from the file
} wf_measured;

// Measures what the file does not have, of every layer and format but PLAIN. identity: one line, of
// what the measurements depend on. WF_MISMATCH: the file is of something else.
wf_status wf_measure(wf_variants *v, wf_evaluation *e, const char *path, const char *identity,
                     wf_measured *out);

// The choices of wf_choose: [n_layers][WF_N_QUANTIZE_FORMATS].
void wf_measured_choices(const wf_measured *m, const wf_arch *arch, wf_choice *out);

#endif
