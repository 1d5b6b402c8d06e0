// Prefill attention: chooses the first of `ways` that fits. The last takes every shape.
#include "kernels/cuda/cuda_attention_prefill.cuh"
#include "kernels/cuda/cuda_kv8.cuh"

static bool scaled_fits(const wf_cuda *cu, const wf_attention_args *in)
{
    (void)cu;
    return kv_scaled(in->kv.dtype);
}

static wf_status scaled(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    auto prefill = wf_attention_varies(in) ? wf_attention_prefill8_bent : wf_attention_prefill8;
    return prefill(cu, s, in);
}

static bool bent_fits(const wf_cuda *cu, const wf_attention_args *in)
{
    (void)cu;
    return wf_attention_varies(in);
}

static bool mma_fits(const wf_cuda *cu, const wf_attention_args *in)
{
    (void)cu, (void)in;
    return true;
}

static const struct {
    const char *name;
    bool (*fits)(const wf_cuda *cu, const wf_attention_args *in);
    wf_status (*run)(wf_cuda *cu, wf_stream *s, const wf_attention_args *in);
} ways[] = {{"scaled", scaled_fits, scaled},
            {"bent", bent_fits, wf_attention_prefill_bent},
            {"hopper", wf_attention_hopper_fits, wf_attention_hopper},
            {"mma", mma_fits, prefill_attention<false>}};

wf_status wf_attention_prefill(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    size_t i = 0;
    while (!ways[i].fits(cu, in))
        i++;
    return ways[i].run(cu, s, in);
}
