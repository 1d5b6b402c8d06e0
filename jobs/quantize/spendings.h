// The report of a calibration: what ways of spending bytes cost, each by its loss on texts that
// nothing was chosen by. Local.
#ifndef WF_JOBS_QUANTIZE_SPENDINGS_H
#define WF_JOBS_QUANTIZE_SPENDINGS_H

#include <stdio.h>

#include "jobs/quantize/evaluate.h"
#include "jobs/quantize/recipe.h"

enum { WF_MOST_SPENDINGS = 32 };

typedef struct wf_spending {
    char name[64];
    uint64_t bytes; // of layers' matrices
    wf_loss loss;
} wf_spending;

typedef struct wf_spendings {
    wf_spending row[WF_MOST_SPENDINGS]; // the first: the full model
    int n;
    int64_t calibration_tokens, held_out_tokens;
    uint64_t budget;
    const char *corrected; // in words: "yes", or why not
} wf_spendings;

void wf_spendings_add(wf_spendings *s, const char *name, uint64_t bytes, wf_loss loss);
void wf_spendings_print(const wf_spendings *s, FILE *file);

// With what each layer is; own, free().
wf_status wf_spendings_json(const wf_spendings *s, const wf_arch *arch,
                            const wf_quantize_recipe *recipe, char **out);

#endif
