// What slices a model is made of on one rank: loads them, gives them back.
#include "engine/model.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/model_check.h"
#include "engine/model_load.h"
#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/log.h"

wf_dtype wf_model_resolve_dtype(const wf_arch *arch, int dtype)
{
    return dtype == WF_MODEL_DTYPE_AUTO ? arch->dtype : (wf_dtype)dtype;
}

wf_numerics wf_model_resolve_numerics(const wf_arch *arch, int dtype, int weights, int kv_dtype)
{
    wf_numerics n = wf_numerics_of(wf_model_resolve_dtype(arch, dtype));
    const wf_quant_kind *kind = &arch->quant.kind[0];
    bool quantised = arch->quant.n_kinds > 0;
    if (weights == WF_MODEL_DTYPE_AUTO && quantised) weights = (int)kind->dtype;
    if (weights != WF_MODEL_DTYPE_AUTO && wf_format_scaled((wf_dtype)weights)) {
        n.weight = (wf_dtype)weights;
        n.block = quantised ? kind->block : wf_format_of(n.weight)->block;
        n.zeros = quantised && kind->zeros;
    }
    if (kv_dtype != WF_MODEL_DTYPE_AUTO) n.kv = (wf_dtype)kv_dtype;
    return n;
}

static wf_status check_place(const wf_place *place, wf_dtype weights)
{
    char name[WF_TENSOR_NAME_BYTES];
    wf_slice s;
    for (int at = 0; wf_slice_next(place, &at, &s);) {
        wf_weight_shape shape = wf_slice_shape(&s, WF_F32, weights);
        if (shape.block == 0 || s.n_cols % shape.block == 0) continue;
        wf_slice_tensor_name(&s, 0, ".weight", name, sizeof name);
        return wf_fail(WF_CONFIG,
                       "model.weights_format: %s: scales of %d numbers do not divide the %" PRId64
                       " columns of %s on each of %d ranks; use fp8 or int8, or fewer ranks",
                       wf_dtype_name(weights), shape.block, s.n_cols, name, place->tp_size);
    }
    return WF_OK;
}

wf_status wf_model_check_weights(const wf_arch *arch, wf_dtype weights, int32_t tp_size)
{
    for (int32_t i = -1; i < arch->n_layers && wf_format_scaled(weights); i++) {
        const wf_place place = {.arch = arch, .i_layer = i, .tp_size = tp_size};
        WF_TRY(check_place(&place, weights));
    }
    return WF_OK;
}

static wf_status check_config(const wf_arch *arch, const wf_model_config *config)
{
    if (config->tp_rank < 0 || config->tp_rank >= config->tp_size) {
        return wf_fail(WF_INTERNAL, "model: rank %d of a group of %d", config->tp_rank,
                       config->tp_size);
    }
    bool beyond = config->max_context > arch->max_context && !arch->context_open;
    if (config->max_context < 0 || beyond) {
        return wf_fail(WF_CONFIG, "max_context: %d tokens asked for, the model's context is %d",
                       config->max_context, arch->max_context);
    }
    WF_TRY(wf_arch_check_tp(arch, config->tp_size));
    return wf_model_check_weights(arch, config->weights, config->tp_size);
}

static wf_status model_create(wf_backend *be, const wf_arch *arch, const wf_model_config *config,
                              wf_model **out)
{
    wf_model *m;
    int64_t begin, end;
    WF_TRY(wf_alloc(1, sizeof *m, &m));
    m->arch = *arch;
    m->be = be;
    m->dtype = wf_model_resolve_dtype(arch, config->dtype);
    m->weights = config->weights;
    m->tp_rank = config->tp_rank;
    m->tp_size = config->tp_size;
    m->max_context = config->max_context ? config->max_context : arch->max_context;
    m->vocab_slice = wf_arch_vocab_slice(arch, config->tp_size);
    begin = (int64_t)m->vocab_slice * m->tp_rank;
    end = begin + m->vocab_slice;
    m->vocab_begin = (int32_t)(begin < arch->n_vocab ? begin : arch->n_vocab);
    m->vocab_end = (int32_t)(end < arch->n_vocab ? end : arch->n_vocab);
    wf_status st = wf_alloc((size_t)arch->n_layers, sizeof *m->layers, &m->layers);
    if (st != WF_OK) {
        free(m);
        return st;
    }
    for (int32_t i = 0; i < arch->n_layers; i++)
        m->layers[i].share = wf_arch_layer_share(arch, i, config->tp_size);
    *out = m;
    return WF_OK;
}

static wf_place place_of(const wf_model *m, int32_t i_layer)
{
    return (wf_place){
        .arch = &m->arch, .i_layer = i_layer, .tp_rank = m->tp_rank, .tp_size = m->tp_size};
}

static wf_status load_place(wf_loader *l, wf_model *m, int32_t i_layer)
{
    wf_place place = place_of(m, i_layer);
    wf_slice s;
    for (int at = 0; wf_slice_next(&place, &at, &s);)
        WF_TRY(wf_loader_fill(l, &s, wf_slice_param(&s, m)));
    return WF_OK;
}

static wf_status load_all(wf_loader *l, wf_model *m)
{
    for (int32_t i = 0; i < m->arch.n_layers; i++)
        WF_TRY(load_place(l, m, i));
    WF_TRY(load_place(l, m, -1));
    if (m->arch.tied) m->head.matrix = m->embed.matrix;
    if (m->arch.alibi) WF_TRY(wf_loader_slopes(l, m->tp_rank, m->tp_size, &m->slopes));
    if (m->arch.n_distances > 0)
        WF_TRY(wf_loader_distances(l, m->tp_rank, m->tp_size, &m->distances));
    for (int32_t i = 0; i < m->arch.n_ropes; i++)
        WF_TRY(wf_loader_rotary(l, &m->arch.rope[i], m->max_context, &m->rotary[i]));
    return WF_OK;
}

// What was done with a quantised checkpoint: unpacking costs memory, and the products of
// activations that are not quantised differ a little from those of who quantises them.
static void say_quantised(const wf_model *m, wf_log_level level)
{
    const wf_quant *q = &m->arch.quant;
    wf_arch_memory packed, here;
    wf_numerics num = wf_numerics_of(m->dtype);
    if (q->n_kinds == 0) return;
    wf_arch_bytes(&m->arch, &num, m->tp_size, m->max_context, &here);
    num.weight = q->kind[0].dtype;
    wf_arch_bytes(&m->arch, &num, m->tp_size, m->max_context, &packed);
    if (!wf_format_scaled(m->weights))
        wf_log(level,
               "model: its %s weights are unpacked to %s: %.1f MB on each rank, %.1f as they are",
               q->n_kinds > 1 ? "quantised" : wf_dtype_name(q->kind[0].dtype),
               wf_dtype_name(m->dtype), (double)here.weight_bytes / 1e6,
               (double)packed.weight_bytes / 1e6);
    if (q->activations)
        wf_log(level,
               "model: made for quantised activations; here they stay as they are (vLLM quantises "
               "them), and scales of activations in the checkpoint are not used");
}

// Ranks of a group load alike: the first one speaks for all.
static void say_loaded(const wf_model *m)
{
    const wf_model_report *r = &m->report;
    wf_log_level level = m->tp_rank == 0 ? WF_LOG_DETAIL : WF_LOG_DEBUG;
    double s = (double)r->load_ns / (double)WF_NS_PER_S, read_mb = (double)r->file_bytes / 1e6;
    bool scaled = wf_format_scaled(m->weights);
    wf_log(level,
           "model: %s, %.1f MB of matrices as %s%s%s and %.1f MB of norms and rotary tables as f32 "
           "on each of %d",
           m->arch.family->name, (double)(r->weight_bytes - r->vector_bytes) / 1e6,
           m->arch.quant.n_kinds > 1 && scaled ? "quantised numbers of several formats"
           : scaled                            ? wf_dtype_name(m->weights)
                                               : "",
           scaled ? " and " : "", wf_dtype_name(m->dtype), (double)r->vector_bytes / 1e6,
           m->tp_size);
    say_quantised(m, level);
    if (r->file_bytes == 0) {
        wf_log(level, "model: random weights made in %.2f s", s);
        return;
    }
    wf_log(level,
           "model: %.1f MB read and placed in %.2f s (%.2f GB/s, %d threads), %.1f MB of it from "
           "storage",
           read_mb, s, s > 0 ? read_mb / 1e3 / s : 0.0, r->n_readers,
           (double)r->storage_bytes / 1e6);
}

wf_status wf_model_load(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder,
                        const wf_model_config *config, wf_model **out)
{
    wf_status st;
    wf_model *m = NULL;
    wf_loader loader = {0};
    int64_t start_ns = wf_clock_ns();
    WF_TRY(check_config(arch, config));
    if (folder) WF_TRY(wf_model_check(arch, folder)); // before anything is made as large as it says
    WF_TRY_TO(done, wf_loader_open(be, arch, folder, config, &loader));
    WF_TRY_TO(done, model_create(be, arch, config, &m));
    if (folder) WF_TRY_TO(done, load_all(&loader, m)); // dry: notes what will be read
    WF_TRY_TO(done, wf_loader_make_real(&loader));
    WF_TRY_TO(done, load_all(&loader, m));
    m->report = loader.report;
    wf_readahead_report reads = wf_readahead_get_report(loader.reads);
    m->report.storage_bytes = reads.storage_bytes;
    m->report.n_readers = reads.n_threads;
    m->report.load_ns = wf_clock_ns() - start_ns;
    say_loaded(m);
    *out = m;
    m = NULL;
done:
    wf_model_destroy(&m);
    wf_loader_close(&loader);
    return st;
}

static void free_vector(wf_backend *be, float *vector)
{
    if (vector) be->ops->free(be, vector);
}

static void free_place(wf_model *m, int32_t i_layer)
{
    wf_place place = place_of(m, i_layer);
    wf_slice s;
    for (int at = 0; wf_slice_next(&place, &at, &s);) {
        wf_param *p = wf_slice_param(&s, m);
        if (p->matrix && !s.tied) m->be->ops->weight_destroy(m->be, p->matrix);
        free_vector(m->be, p->vector);
        free_vector(m->be, p->bias);
    }
}

void wf_model_destroy(wf_model **model)
{
    wf_model *m = *model;
    if (!m) return;
    for (int32_t i = -1; i < m->arch.n_layers; i++)
        free_place(m, i);
    for (int32_t i = 0; i < m->arch.n_ropes; i++) {
        free_vector(m->be, m->rotary[i].cos);
        free_vector(m->be, m->rotary[i].sin);
    }
    free_vector(m->be, m->slopes);
    free_vector(m->be, m->distances);
    free(m->layers);
    free(m);
    *model = NULL;
}
