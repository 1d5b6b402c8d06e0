// See variant.h.
#include "jobs/quantize/variant.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "jobs/quantize/write.h"

struct wf_variants {
    wf_variants_config c;
    wf_backend *be;
    wf_dtype dtype; // of all matrices
    wf_model *full;
    wf_model *of[WF_N_QUANTIZE_FORMATS]; // PLAIN: NULL
    wf_model mix;                        // borrows from the others, but for its layers
};

// Host back ends compute in f32 anyway, and then hold every number exactly.
static wf_dtype dtype_of(const wf_variants_config *c)
{
    return strcmp(c->backend, "cuda") == 0 ? c->arch->dtype : WF_F32;
}

static wf_status load(wf_variants *v, const wf_arch *arch, const wf_hf_folder *folder,
                      wf_model **out)
{
    const wf_model_config config = {.tp_size = 1,
                                    .dtype = (int)v->dtype,
                                    .weights = v->dtype,
                                    .max_context = v->c.max_context,
                                    .stop = v->c.stop};
    return wf_model_load(v->be, arch, folder, &config, out);
}

wf_status wf_variants_open(const wf_variants_config *config, wf_variants **out)
{
    wf_variants *v;
    WF_TRY(wf_alloc(1, sizeof *v, &v));
    v->c = *config;
    v->dtype = dtype_of(config);
    const wf_backend_config be = {.device = config->device,
                                  .n_threads = config->n_threads,
                                  .numerics = wf_numerics_of(v->dtype),
                                  .deterministic = true};
    wf_status st = wf_backend_create(config->backend, &be, &v->be);
    if (st == WF_OK) st = load(v, config->arch, config->folder, &v->full);
    if (st == WF_OK)
        st = wf_alloc((size_t)config->arch->n_layers, sizeof *v->mix.layers, &v->mix.layers);
    if (st != WF_OK) wf_variants_close(&v);
    *out = v;
    return st;
}

void wf_variants_close(wf_variants **variants)
{
    wf_variants *v = *variants;
    if (!v) return;
    for (int i = 0; i < WF_N_QUANTIZE_FORMATS; i++)
        wf_model_destroy(&v->of[i]);
    wf_model_destroy(&v->full);
    wf_backend_destroy(v->be);
    free(v->mix.layers);
    free(v);
    *variants = NULL;
}

wf_backend *wf_variants_backend(const wf_variants *v)
{
    return v->be;
}

const wf_model *wf_variants_full(const wf_variants *v)
{
    return v->full;
}

wf_status wf_variants_load(wf_variants *v, const char *path, wf_model **out)
{
    wf_hf_folder *folder = NULL;
    wf_arch *arch = NULL;
    wf_status st = wf_alloc(1, sizeof *arch, &arch);
    if (st == WF_OK) st = wf_hf_folder_open(path, true, &folder);
    if (st == WF_OK) st = wf_arch_read(folder, true, arch);
    if (st == WF_OK) st = load(v, arch, folder, out);
    wf_hf_folder_close(&folder);
    free(arch);
    return st;
}

// Written by this start or by an earlier one.
static wf_status write_uniform(wf_variants *v, wf_quantize_format format, const char *path)
{
    wf_hf_write_report report;
    wf_quantize_recipe *recipe;
    if (wf_file_exists(path)) return WF_OK;
    WF_TRY(wf_alloc(1, sizeof *recipe, &recipe));
    wf_quantize_uniform(format, recipe);
    const wf_quantize_write_job job = {.folder = v->c.folder,
                                       .arch = v->c.arch,
                                       .recipe = recipe,
                                       .path = path,
                                       .stop = v->c.stop};
    wf_status st = wf_quantize_write(&job, &report);
    free(recipe);
    return st;
}

wf_status wf_variants_model(wf_variants *v, wf_quantize_format format, const wf_model **out)
{
    char *path;
    *out = format == WF_QUANTIZE_PLAIN ? v->full : v->of[format];
    if (*out) return WF_OK;
    WF_TRY(wf_file_make_folders(v->c.work));
    WF_TRY(wf_path_join(v->c.work, wf_quantize_word(format), &path));
    wf_status st = write_uniform(v, format, path);
    if (st == WF_OK) st = wf_variants_load(v, path, &v->of[format]);
    free(path);
    *out = v->of[format];
    return st;
}

wf_status wf_variants_mix(wf_variants *v, const wf_quantize_recipe *recipe, const wf_model **out)
{
    wf_layer *layers = v->mix.layers;
    for (int32_t i = 0; i < v->c.arch->n_layers; i++) {
        const wf_model *from;
        WF_TRY(wf_variants_model(v, (wf_quantize_format)recipe->format[i], &from));
        layers[i] = from->layers[i];
    }
    v->mix = *v->full;
    v->mix.layers = layers;
    *out = &v->mix;
    return WF_OK;
}
