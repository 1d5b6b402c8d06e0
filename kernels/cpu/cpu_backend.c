// The CPU back end's table.
#include "kernels/cpu/cpu.h"

#include <stdlib.h>

#include "kernels/ref/ref.h"

static wf_status cpu_create(const wf_backend_config *config, wf_backend **out)
{
    (void)config;
    wf_backend *be = calloc(1, sizeof *be);
    if (be == NULL) return wf_fail(WF_NO_MEMORY, "back end cpu: out of memory");
    be->ops = &wf_cpu_ops;
    *out = be;
    return WF_OK;
}

static void cpu_destroy(wf_backend *be)
{
    free(be);
}

static wf_status cpu_info(wf_backend *be, wf_backend_info *out)
{
    (void)be;
    *out = (wf_backend_info){
        .name = "cpu", .device = "host", .host_memory = true, .act_dtype = WF_F32};
    wf_ref_host_memory(&out->free_bytes, &out->total_bytes);
    return WF_OK;
}

const wf_backend_ops wf_cpu_ops = {
    .name = "cpu",
    .create = cpu_create,
    .destroy = cpu_destroy,
    .info = cpu_info,
    .alloc = wf_ref_alloc,
    .free = wf_ref_free,
    .host_alloc = wf_ref_alloc,
    .host_free = wf_ref_free,
    .upload = wf_ref_copy,
    .download = wf_ref_copy,
    .weight_create = wf_ref_weight_create,
    .weight_load = wf_ref_weight_load,
    .weight_random = wf_ref_weight_random,
    .weight_destroy = wf_ref_weight_destroy,
    .stream_create = wf_ref_stream_create,
    .stream_destroy = wf_ref_stream_destroy,
    .event_create = wf_ref_event_create,
    .event_destroy = wf_ref_event_destroy,
    .event_record = wf_ref_event_record,
    .event_query = wf_ref_event_query,
    .event_sync = wf_ref_event_sync,
    .stream_wait = wf_ref_stream_wait,
    .token_ids = wf_ref_token_ids,
    .embed = wf_ref_embed,
    .gemm = wf_ref_gemm,
    .rmsnorm = wf_ref_rmsnorm,
    .layernorm = wf_ref_layernorm,
    .add = wf_ref_add,
    .rope_kv_append = wf_ref_rope_kv_append,
    .attention = wf_ref_attention,
    .silu_mul = wf_ref_silu_mul,
    .gelu = wf_ref_gelu,
    .gather = wf_ref_gather,
    .scatter = wf_ref_scatter,
    .reorder = wf_ref_reorder,
    .kv_copy = wf_ref_kv_copy,
    .count = wf_ref_count,
    .sample = wf_ref_sample,
};
