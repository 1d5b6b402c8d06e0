// From job, architecture and device to bytes. See plan_model.h.
#include "jobs/spec/plan_model.h"

#include "engine/forward.h"

#define AUTO_SHARE      0.95
#define AUTO_HOST_BYTES (UINT64_C(1) << 30)

// What libraries take once they are warm: cuBLASLt keeps 64 MiB for each of two streams, kernels
// are loaded as they are first used, attention keeps sums of split rows, captured steps take a few
// MiB. An H200 with 8B lost 0.1 GiB after its back end was up; measuring products takes more for a
// while.
#define RUNTIME_BYTES (UINT64_C(512) << 20)
// NCCL's channels, and our own buffers for sums among peers: 0.9 to 1.2 GiB on groups of 2 and 4.
#define COMM_BYTES (UINT64_C(1280) << 20)

static bool differs(float value, float otherwise)
{
    return value < otherwise || value > otherwise;
}

wf_plan_needs wf_plan_needs_of(const wf_sampling *s)
{
    return (wf_plan_needs){.n_top = s->logprobs,
                           .penalties = differs(s->repetition_penalty, 1) ||
                                        differs(s->presence_penalty, 0) ||
                                        differs(s->frequency_penalty, 0)};
}

static int32_t div_up(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a + b - 1) / b);
}

static wf_forward_config forward_config(const wf_jobspec *spec, const wf_arch *arch,
                                        const wf_plan_device *device, const wf_plan_needs *needs)
{
    int32_t page = spec->engine.page_tokens;
    int32_t context = spec->engine.max_context > 0 ? spec->engine.max_context : arch->max_context;
    int32_t slot = spec->engine.slot_tokens > 0 ? spec->engine.slot_tokens : context;
    bool copy = spec->engine.reorder == WF_REORDER_COPY;
    return (wf_forward_config){.max_rows = spec->engine.max_rows,
                               .step_tokens = spec->engine.step_tokens,
                               .page_tokens = page,
                               .max_pages = div_up(context, page),
                               .slot_pages = copy ? div_up(slot, page) : 0,
                               .n_top = needs->n_top,
                               .penalties = needs->penalties,
                               .deterministic = spec->engine.deterministic,
                               .pad = !device->host && spec->engine.capture == WF_CAPTURE_AUTO};
}

// What is left of this rank's part once weights and workspace are in; 0 when they do not fit.
static uint64_t left_of(const wf_plan_memory *m)
{
    uint64_t part = m->free_bytes / (uint64_t)(m->n_sharing > 0 ? m->n_sharing : 1);
    uint64_t fixed = m->weight_bytes + m->workspace_bytes + m->runtime_bytes + m->comm_bytes;
    return part > fixed ? part - fixed : 0;
}

void wf_plan_model_memory(const wf_jobspec *spec, const wf_arch *arch, wf_dtype dtype,
                          const wf_plan_device *device, const wf_plan_needs *needs,
                          wf_plan_memory *out)
{
    wf_arch_memory bytes;
    wf_forward_config config = forward_config(spec, arch, device, needs);
    wf_arch_bytes(arch, dtype, spec->parallel.tensor, spec->engine.max_context, &bytes);
    *out = (wf_plan_memory){
        .free_bytes = device->free_bytes,
        .n_sharing = device->n_sharing,
        .weight_bytes = bytes.weight_bytes,
        .workspace_bytes = wf_forward_workspace_bytes(arch, spec->parallel.tensor, &config, dtype,
                                                      device->act_bytes),
        .runtime_bytes = device->host ? 0 : RUNTIME_BYTES,
        .comm_bytes = device->host || spec->parallel.tensor == 1 ? 0 : COMM_BYTES,
        .kv_token_bytes = bytes.kv_bytes_per_token,
        .kv_share = spec->engine.kv_memory.share,
        .kv_bytes = (uint64_t)spec->engine.kv_memory.bytes,
        .page_tokens = spec->engine.page_tokens,
    };
    if (out->kv_share > 0 || out->kv_bytes > 0) return;
    if (!device->host || (double)left_of(out) * AUTO_SHARE < (double)AUTO_HOST_BYTES)
        out->kv_share = AUTO_SHARE;
    else
        out->kv_bytes = AUTO_HOST_BYTES;
}
