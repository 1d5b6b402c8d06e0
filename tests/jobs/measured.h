// Decode steps that this engine took on H200s (results/studies/gpu-models), for the test and the
// study: predictions of the row h200 are least times by the data sheet, those of h200-measured by
// measured rates.
#ifndef WF_TESTS_JOBS_MEASURED_H
#define WF_TESTS_JOBS_MEASURED_H

#include <stdio.h>

#include "jobs/layout/shapes.h"

typedef struct measured_row {
    const char *model; // folder of results/studies/models
    int n_devices, rows, context;
    double step_ms; // measured
} measured_row;

static const measured_row measured_rows[] = {
    {"llama-3-8b", 1, 1, 2048, 4.329},   {"llama-3-8b", 1, 8, 2048, 5.011},
    {"llama-3-8b", 1, 32, 2048, 6.307},  {"llama-3-8b", 1, 64, 2048, 8.749},
    {"llama-3-8b", 1, 128, 2048, 13.63}, {"llama-3-8b", 1, 256, 2048, 23.1},
    {"llama-2-13b", 1, 1, 512, 7.059},   {"llama-2-13b", 1, 32, 512, 10.95},
    {"llama-2-13b", 1, 128, 512, 20.77}, {"llama-3-70b", 2, 1, 679, 19.15},
    {"llama-3-70b", 2, 32, 647, 21.25},  {"llama-3-70b", 2, 128, 504, 26.7},
    {"llama-3-70b", 4, 1, 580, 10.78},   {"llama-3-70b", 4, 32, 609, 12.3},
    {"llama-3-70b", 4, 128, 522, 15.86},
};

static inline wf_status measured_predict(const measured_row *row, const wf_machine *machine,
                                         wf_layout_cost *out)
{
    char path[4096];
    wf_hf_folder *folder = NULL;
    wf_arch arch;
    wf_layout_model model;
    snprintf(path, sizeof path, "%s/results/studies/models/%s", WEFT_SOURCE_DIR, row->model);
    WF_TRY(wf_hf_folder_open(path, false, &folder));
    wf_status st = wf_arch_read(folder, false, &arch);
    wf_hf_folder_close(&folder);
    WF_TRY(st);
    WF_TRY(wf_layout_model_of(&arch, row->model, &model));
    wf_layout layout = {WF_LAYOUT_1D, WF_LAYOUT_BY_HEADS, 1, 1, row->n_devices, 1};
    wf_layout_work work = {row->rows, 1, row->context};
    wf_layout_step_cost(&model, machine, wf_layout_format_find("bf16"), &layout, &work, out);
    return WF_OK;
}

#endif
