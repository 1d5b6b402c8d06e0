// The CPU back end's table, and which instruction set it uses.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "io/base/text.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_impl.h"
#include "kernels/ref/ref.h"

#define MAX_THREADS 1024

#ifdef __x86_64__
// Not every compiler's __builtin_cpu_supports knows the name (clang 14).
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

static bool has_portable(void)
{
    return true;
}

// Best first.
static const struct {
    const wf_cpu_isa *isa;
    bool (*works)(void);
} isas[] = {
#ifdef __x86_64__
    {&wf_cpu_isa_avx512, has_avx512},
    {&wf_cpu_isa_avx2, has_avx2},
#endif
    {&wf_cpu_isa_portable, has_portable},
};

static wf_status find_isa(const char *name, const wf_cpu_isa **out)
{
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (name != NULL && strcmp(name, isas[i].isa->name) != 0) continue;
        if (!isas[i].works()) {
            if (name == NULL) continue;
            return wf_fail(WF_DEVICE, "back end cpu: this machine has no %s", name);
        }
        *out = isas[i].isa;
        return WF_OK;
    }
    return wf_fail(WF_CONFIG, "back end cpu: no instruction set is called '%s'", name);
}

wf_status wf_cpu_alloc(wf_backend *be, size_t bytes, void **out)
{
    enum { PART_BYTES = 2 << 20 }; // huge pages are placed whole
    size_t size = 0;
    WF_TRY(wf_ref_reserve(bytes, &size, out));
    char *data = *out;
    int n_threads = wf_cpu_of(be)->n_threads;
    int64_t n_parts = (int64_t)((size + PART_BYTES - 1) / PART_BYTES);
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_parts > 1 && n_threads > 1)
    for (int64_t i = 0; i < n_parts; i++) {
        size_t at = (size_t)i * PART_BYTES, left = size - at;
        memset(data + at, 0, left < PART_BYTES ? left : PART_BYTES);
    }
    return WF_OK;
}

static wf_status cpu_create(const wf_backend_config *config, wf_backend **out)
{
    const wf_cpu_isa *isa = NULL;
    WF_TRY(find_isa(config->isa, &isa));
    int n_threads = config->n_threads > 0 ? config->n_threads : omp_get_max_threads();
    if (n_threads > MAX_THREADS)
        return wf_fail(WF_CONFIG, "back end cpu: %d threads, at most %d", n_threads, MAX_THREADS);
    wf_cpu *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL) return wf_fail(WF_NO_MEMORY, "back end cpu: out of memory");
    cpu->base.ops = &wf_cpu_ops;
    cpu->isa = isa;
    cpu->numerics = config->numerics;
    cpu->n_threads = n_threads;
    void *scratch;
    wf_status st = wf_ref_alloc(&cpu->base, (size_t)n_threads * WF_CPU_SCRATCH_BYTES, &scratch);
    if (st != WF_OK) {
        free(cpu);
        return st;
    }
    cpu->scratch = scratch;
    *out = &cpu->base;
    return WF_OK;
}

static void cpu_destroy(wf_backend *be)
{
    wf_cpu *cpu = wf_cpu_of(be);
    wf_ref_free(be, cpu->scratch);
    free(cpu->task_begin);
    free(cpu->sums);
    free(cpu->packed);
    free(cpu->ungated);
    free(cpu);
}

// The processor's own name, without the spaces around it; "processor" where it does not say.
static void processor_name(char out[49])
{
    strcpy(out, "processor");
#ifdef __x86_64__
    unsigned regs[12] = {0};
    if (__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &regs[4 * i], &regs[4 * i + 1], &regs[4 * i + 2],
                    &regs[4 * i + 3]);
    char name[49] = "";
    memcpy(name, regs, 48);
    char *begin = name + strspn(name, " ");
    size_t n = strlen(begin);
    while (n > 0 && begin[n - 1] == ' ')
        n--;
    begin[n] = '\0';
    if (n > 0) memmove(out, begin, n + 1);
#endif
}

static wf_status cpu_info(wf_backend *be, wf_backend_info *out)
{
    const wf_cpu *cpu = wf_cpu_of(be);
    char processor[49];
    processor_name(processor);
    *out = (wf_backend_info){.name = "cpu", .host_memory = true, .numerics = cpu->numerics};
    snprintf(out->device, sizeof out->device, "%s, %s, %d thread%s", processor, cpu->isa->name,
             cpu->n_threads, WF_S(cpu->n_threads));
    wf_ref_host_memory(&out->free_bytes, &out->total_bytes);
    return WF_OK;
}

// Operations are ref's unless this back end has its own: copies of a few rows (token_ids, gather,
// scatter, reorder, count) have nothing to gain. The later of two initialisers counts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const wf_backend_ops wf_cpu_ops = {
    .name = "cpu",
    .create = cpu_create,
    .destroy = cpu_destroy,
    .info = cpu_info,
    .alloc = wf_cpu_alloc,
    .free = wf_ref_free,
    .host_alloc = wf_ref_alloc,
    .host_free = wf_ref_free,
    .upload = wf_ref_copy,
    .download = wf_ref_copy,
    .weight_create = wf_cpu_weight_create,
    .weight_load = wf_cpu_weight_load,
    .weight_random = wf_cpu_weight_random,
    .weight_destroy = wf_cpu_weight_destroy,
    .stream_create = wf_ref_stream_create,
    .stream_destroy = wf_ref_stream_destroy,
    .event_create = wf_ref_event_create,
    .event_destroy = wf_ref_event_destroy,
    .event_record = wf_ref_event_record,
    .event_query = wf_ref_event_query,
    .event_sync = wf_ref_event_sync,
    .stream_wait = wf_ref_stream_wait,
    .stamp = wf_ref_stamp,
    .range = wf_ref_range WF_OPS(WF_REF_ENTRY),
    .embed = wf_cpu_embed,
    .gemm = wf_cpu_gemm,
    .rmsnorm = wf_cpu_rmsnorm,
    .layernorm = wf_cpu_layernorm,
    .softcap = wf_cpu_softcap,
    .add = wf_cpu_add,
    .head_squares = wf_cpu_head_squares,
    .rope_kv_append = wf_cpu_rope_kv_append,
    .attention = wf_cpu_attention,
    .packed_attention = wf_cpu_packed_attention,
    .pool = wf_cpu_pool,
    .heads_gemm = wf_cpu_heads_gemm,
    .latent_attention = wf_cpu_latent_attention,
    .gate_mul = wf_cpu_gate_mul,
    .activate = wf_cpu_activate,
    .experts_gemm = wf_cpu_experts_gemm,
    .combine = wf_cpu_combine,
    .kv_copy = wf_cpu_kv_copy,
    .sample = wf_cpu_sample,
    .best = wf_cpu_best,
};
#pragma GCC diagnostic pop
