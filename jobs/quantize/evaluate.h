// How far a model's predictions are from the full model's: every text is run through the engine's
// own forward pass, each token's logits are compared (teacher-forced).
//
//   kl   mean over tokens of sum_v p(v) (log p(v) - log q(v)), p of the full model, in nat
//   nll  mean of -log q(next token); its exponential is the perplexity
//
// The full model's log-probabilities are kept in host memory: tokens * vocabulary * 4 bytes. Local;
// groups of one rank.
#ifndef WF_JOBS_QUANTIZE_EVALUATE_H
#define WF_JOBS_QUANTIZE_EVALUATE_H

#include <stdatomic.h>

#include "engine/model.h"
#include "jobs/quantize/texts.h"

typedef struct wf_loss {
    double kl, nll;
} wf_loss;

typedef struct wf_evaluation wf_evaluation;

// Runs the full model over the texts. be and texts are borrowed. WF_NO_MEMORY, WF_DEVICE. own.
wf_status wf_evaluation_create(wf_backend *be, const wf_model *full, const wf_texts *texts,
                               const atomic_int *stop, wf_evaluation **out, double *nll);
void wf_evaluation_destroy(wf_evaluation **evaluation);

// Another model of the same vocabulary on the same back end. WF_DRAINED between two texts.
wf_status wf_evaluation_run(wf_evaluation *evaluation, const wf_model *model, wf_loss *out);

// Runs a model over texts with nobody looking: for taps.
wf_status wf_evaluation_pass(wf_backend *be, const wf_model *model, const wf_texts *texts,
                             const atomic_int *stop);

#endif
