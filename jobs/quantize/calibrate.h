// Chooses what each layer is quantised to, by measuring, within a budget of bytes; after CacheQuant
// (arXiv 2503.01323), which chooses what it caches and what it quantises together and corrects the
// errors of each apart.
//
//   texts, full model --> for each layer and choice: KL with that layer alone so   (journal)
//     --> dynamic programming over bytes --> recipe --> corrections (correct.h) --> folder
//     --> report: each way of spending the same bytes, on texts that nothing was chosen by
//
// What was measured is kept in the work folder, so that an interrupted start goes on. Local; one
// process.
#ifndef WF_JOBS_QUANTIZE_CALIBRATE_H
#define WF_JOBS_QUANTIZE_CALIBRATE_H

#include <stdio.h>

#include "io/weights/hf_write.h"
#include "jobs/quantize/texts.h"
#include "jobs/quantize/variant.h"

// A budget: of all layers' matrices.
typedef struct wf_quantize_budget {
    bool as_format; // the bytes of all in `format`
    wf_quantize_format format;
    double per_number; // > 0: bytes of a number, scales included
    uint64_t bytes;    // else
} wf_quantize_budget;

// "int8", "0.75", "4GB". WF_USAGE.
wf_status wf_quantize_budget_parse(const char *text, wf_quantize_budget *out);
uint64_t wf_quantize_budget_bytes(const wf_quantize_budget *budget, const wf_arch *arch);

typedef struct wf_calibrate_job {
    wf_variants_config models;
    const wf_text_halves *texts;
    const char *output; // the folder to be made
    uint64_t budget;
    bool dynamic;     // as in wf_quantize_recipe
    bool uncorrected; // no corrections
    FILE *table;      // the report, for people; its JSON is OUTPUT/quantize.json
} wf_calibrate_job;

wf_status wf_calibrate(const wf_calibrate_job *job, wf_hf_write_report *out);

#endif
