// A full model and quantised ones of it on one back end, and models put together from their layers.
//
// Quantised models are written beside the output (work folder), loaded and unpacked to the full
// model's numbers: what is measured is what the file holds, on every back end, also one that has no
// kernels for a format. Local; groups of one rank.
#ifndef WF_JOBS_QUANTIZE_VARIANT_H
#define WF_JOBS_QUANTIZE_VARIANT_H

#include <stdatomic.h>

#include "engine/model.h"
#include "jobs/quantize/recipe.h"

typedef struct wf_variants_config {
    const wf_hf_folder *folder; // of the full model; borrowed
    const wf_arch *arch;
    const char *backend; // "ref", "cpu", "cuda"
    int device, n_threads;
    const char *work;    // folder for quantised models, made if need be
    int32_t max_context; // of the texts
    const atomic_int *stop;
} wf_variants_config;

typedef struct wf_variants wf_variants;

// Creates the back end and loads the full model. Everything of the configuration is borrowed. own.
wf_status wf_variants_open(const wf_variants_config *config, wf_variants **out);
void wf_variants_close(wf_variants **variants); // takes NULL inside

wf_backend *wf_variants_backend(const wf_variants *v);
const wf_model *wf_variants_full(const wf_variants *v);

// The model with all layers in one format, written and loaded when it is first asked for. Borrowed.
wf_status wf_variants_model(wf_variants *v, wf_quantize_format format, const wf_model **out);

// The full model with the layers of a recipe from others. Borrowed until the next call.
wf_status wf_variants_mix(wf_variants *v, const wf_quantize_recipe *recipe, const wf_model **out);

// A quantised folder, loaded as the others are; the caller's, by wf_model_destroy.
wf_status wf_variants_load(wf_variants *v, const char *path, wf_model **out);

#endif
