// From job, architecture and device to bytes. See plan_model.h.
#include "jobs/spec/plan_model.h"

#include <stdio.h>
#include <string.h>

#include "engine/beams.h"
#include "engine/limits.h"
#include "engine/model.h"

#define AUTO_SHARE      0.95
#define AUTO_HOST_BYTES (UINT64_C(1) << 30)

// What libraries take once they are warm: cuBLASLt keeps 64 MiB for each of two streams, kernels
// are loaded as they are first used, attention keeps sums of split rows, captured steps take a few
// MiB. An H200 with 8B lost 0.1 GiB after its back end was up; measuring products takes more for a
// while.
#define RUNTIME_BYTES (UINT64_C(512) << 20)
// NCCL's channels, and our own buffers for sums among peers: 0.9 to 1.2 GiB on groups of 2 and 4.
#define COMM_BYTES (UINT64_C(1280) << 20)

wf_plan_needs wf_plan_needs_of(const wf_sampling *s)
{
    return (wf_plan_needs){.n_top = s->logprobs,
                           .prompt_probs = s->prompt_logprobs + 1,
                           .n_top_chosen = wf_sampling_chooses(s) || s->beam_width > 1 ? 0 : -1,
                           .n_beams = s->beam_width > 1 ? (int)s->beam_width : 0,
                           .penalties = wf_engine_penalises(s)};
}

// What no back end says of itself, since it knows no models and no engine.
static wf_status check_numerics(const wf_jobspec *spec, const wf_arch *arch, const char *backend,
                                const wf_numerics *n)
{
    bool experts = false;
    for (int32_t i = 0; i < arch->n_layers; i++)
        experts = experts || arch->layer[i].n_experts > 0;
    if (n->act_fp8 && spec->engine.deterministic)
        return wf_fail(WF_CONFIG,
                       "model.activations_format: fp8: products in fp8 may add up in another order "
                       "for another number of rows; leave it out, or engine.deterministic");
    if (!experts || !wf_format_scaled(n->weight) || strcmp(backend, "cuda") != 0) return WF_OK;
    return wf_fail(WF_CONFIG,
                   "model.weights_format: back end cuda has no kernels for experts in %s; leave it "
                   "out, or set parallel.backend: cpu",
                   wf_dtype_name(n->weight));
}

// Of a checkpoint of several formats, those beside the first.
static wf_status check_kinds(const wf_arch *arch, const char *backend, const wf_numerics *num)
{
    for (int32_t i = 1; i < arch->quant.n_kinds && wf_format_scaled(num->weight); i++) {
        const wf_quant_kind *kind = &arch->quant.kind[i];
        wf_numerics other = *num;
        other.weight = kind->dtype;
        other.block = kind->block;
        other.zeros = kind->zeros;
        WF_TRY(wf_backend_numerics(backend, &other));
    }
    return WF_OK;
}

// Scales of KV lie behind heads whose bytes leave them aligned.
static wf_status check_kv(const wf_arch *arch, wf_dtype kv)
{
    if (!wf_format_scaled(kv)) return WF_OK;
    if (arch->latent.kv_rank > 0)
        return wf_fail(WF_CONFIG,
                       "model.kv_dtype: %s is not for the compressed rows of latent attention; "
                       "leave it to auto",
                       wf_dtype_name(kv));
    if (arch->head_dim % 4 == 0) return WF_OK;
    return wf_fail(
        WF_CONFIG,
        "model.kv_dtype: %s is for heads of a multiple of 4 numbers, not of %d; leave it "
        "to auto",
        wf_dtype_name(kv), arch->head_dim);
}

static wf_status complete(const wf_jobspec *spec, const wf_arch *arch, const char *backend,
                          wf_numerics *num)
{
    num->act_fp8 = spec->model.activations_format == (int)WF_FP8;
    WF_TRY(wf_model_check_weights(arch, num->weight, spec->parallel.tensor));
    WF_TRY(check_kv(arch, num->kv));
    WF_TRY(check_numerics(spec, arch, backend ? backend : "", num));
    if (backend) WF_TRY(check_kinds(arch, backend, num));
    return backend ? wf_backend_numerics(backend, num) : WF_OK;
}

wf_status wf_plan_numerics(const wf_jobspec *spec, const wf_arch *arch, const char *backend,
                           wf_numerics *out)
{
    *out = wf_model_resolve_numerics(arch, spec->model.dtype, spec->model.weights_format,
                                     spec->model.kv_dtype);
    const wf_quant *q = &arch->quant;
    bool quantised = q->n_kinds > 0 && wf_format_scaled(out->weight);
    bool as_asked = spec->model.weights_format == WF_MODEL_DTYPE_AUTO ||
                    (q->n_kinds == 1 && out->weight == q->kind[0].dtype);
    if (quantised && !as_asked)
        return wf_fail(WF_CONFIG,
                       "model.weights_format: %s: the checkpoint's weights are %s; take auto, or "
                       "plain to unpack them",
                       wf_dtype_name(out->weight),
                       q->n_kinds > 1 ? "of several formats" : wf_dtype_name(q->kind[0].dtype));
    wf_status st = complete(spec, arch, backend, out);
    if (st == WF_OK || !quantised || spec->model.weights_format != WF_MODEL_DTYPE_AUTO) return st;
    // What cannot be computed as it is stored is unpacked.
    *out = wf_model_resolve_numerics(arch, spec->model.dtype, WF_F32, spec->model.kv_dtype);
    return complete(spec, arch, backend, out);
}

// Beams need their candidates, with as many stop tokens as there may be.
static int top_needed(const wf_plan_needs *needs, int n_beams)
{
    int n = needs->n_top > needs->n_top_chosen ? needs->n_top : needs->n_top_chosen;
    int candidates = wf_beams_candidates(n_beams, WF_BEAMS_MOST_STOPS);
    return n_beams > 0 && candidates > n ? candidates : n;
}

wf_engine_config wf_plan_engine_config(const wf_jobspec *spec, const wf_plan_needs *needs)
{
    int n_beams = needs->n_beams < spec->engine.max_rows ? needs->n_beams : spec->engine.max_rows;
    return (wf_engine_config){
        .max_rows = spec->engine.max_rows,
        .step_tokens = spec->engine.step_tokens,
        .page_tokens = spec->engine.page_tokens,
        .max_context = spec->engine.max_context,
        .slot_tokens = spec->engine.slot_tokens,
        .reorder = spec->engine.reorder,
        .fusion = spec->engine.fusion,
        .window_ns = spec->engine.window_ns,
        .instances = spec->engine.instances,
        .prefix_cache = spec->engine.prefix_cache,
        .look_ahead = spec->engine.order == WF_SPEC_ORDER_PREFIX ? WF_SPEC_LOOK_AHEAD : 0,
        .deterministic = spec->engine.deterministic,
        .steps_ahead = -1,
        .capture = spec->engine.capture,
        .n_top = top_needed(needs, n_beams),
        .n_beams = n_beams,
        .prompt_probs = needs->prompt_probs,
        .processed_logprobs = spec->logprobs_mode == WF_SPEC_LOGPROBS_PROCESSED,
        .penalties = needs->penalties,
        .expert_load = spec->output.expert_load,
        .row_wishes = needs->row_wishes};
}

char *wf_plan_model_remarks(const wf_jobspec *spec, const wf_arch *arch, char *text,
                            size_t text_bytes)
{
    char gap[128];
    text[0] = '\0';
    if (spec->engine.deterministic &&
        wf_forward_size_gap(arch, spec->parallel.tensor, gap, sizeof gap)[0])
        snprintf(text, text_bytes,
                 "engine.deterministic: the bits are the same whatever shares the batch, but not "
                 "for groups of other sizes: of this model, %s",
                 gap);
    return text;
}

// What is left of this rank's part once weights and workspace are in; 0 when they do not fit.
static uint64_t left_of(const wf_plan_memory *m)
{
    uint64_t part = m->free_bytes / (uint64_t)(m->n_sharing > 0 ? m->n_sharing : 1);
    uint64_t fixed = m->weight_bytes + m->workspace_bytes + m->runtime_bytes + m->comm_bytes;
    return part > fixed ? part - fixed : 0;
}

wf_status wf_plan_model_memory(const wf_jobspec *spec, const wf_arch *arch,
                               const wf_plan_device *device, const wf_plan_needs *needs,
                               wf_plan_memory *out)
{
    wf_arch_memory bytes;
    wf_limits limits;
    wf_engine_config config = wf_plan_engine_config(spec, needs);
    WF_TRY(wf_engine_limits(&config, arch, spec->parallel.tensor, !device->host, &limits));
    wf_arch_bytes(arch, &device->num, spec->parallel.tensor, spec->engine.max_context, &bytes);
    *out = (wf_plan_memory){
        .free_bytes = device->free_bytes,
        .n_sharing = device->n_sharing,
        .weight_bytes = bytes.weight_bytes,
        .workspace_bytes =
            wf_forward_workspace_bytes(arch, spec->parallel.tensor, &limits.forward, &device->num),
        .runtime_bytes = device->host ? 0 : RUNTIME_BYTES,
        .comm_bytes = device->host || spec->parallel.tensor == 1 ? 0 : COMM_BYTES,
        .kv_token_bytes = bytes.kv_bytes_per_token,
        .kv_share = spec->engine.kv_memory.share,
        .kv_bytes = (uint64_t)spec->engine.kv_memory.bytes,
        .no_kv = bytes.kv_bytes_per_token == 0,
        .page_tokens = limits.forward.page_tokens,
        .n_slots = limits.forward.max_rows,
        .slot_pages = limits.forward.slot_pages,
        .most_pages = limits.most_pages < limits.forward.max_pages && limits.forward.slot_pages == 0
                          ? limits.most_pages
                          : 0,
    };
    if (out->kv_share > 0 || out->kv_bytes > 0) return WF_OK;
    if (!device->host || (double)left_of(out) * AUTO_SHARE < (double)AUTO_HOST_BYTES)
        out->kv_share = AUTO_SHARE;
    else
        out->kv_bytes = AUTO_HOST_BYTES;
    return WF_OK;
}
