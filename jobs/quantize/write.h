// Writes a model's folder anew with quantised matrices: streaming, tensor by tensor.
//
//   source folder --> units: a matrix becomes numbers and scales, the rest is copied --> hf_write.h
//
// In memory are some rows of one matrix, and its scales. Local.
#ifndef WF_JOBS_QUANTIZE_WRITE_H
#define WF_JOBS_QUANTIZE_WRITE_H

#include "io/weights/hf_write.h"
#include "jobs/quantize/correct.h"

typedef struct wf_quantize_write_job {
    const wf_hf_folder *folder; // opened with weights, which wf_model_check has passed
    const wf_arch *arch;        // of it, not quantised
    const wf_quantize_recipe *recipe;
    const wf_corrections *corrections; // of the recipe's matrices; NULL: none
    const char *path;                  // to be made
    const atomic_int *stop;
} wf_quantize_write_job;

// As wf_hf_write; WF_DATA for numbers that are not finite, by tensor and row.
wf_status wf_quantize_write(const wf_quantize_write_job *job, wf_hf_write_report *out);

#endif
