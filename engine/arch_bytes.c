// What the numbers of an architecture need: walks the weights (model_parts.h) and the KV of layers.
#include "engine/block.h"
#include "engine/model_parts.h"

typedef struct counts {
    uint64_t matrices, vectors;        // numbers
    uint64_t matrix_bytes, step_bytes; // with scales; of them read by a decode step
    uint64_t expert_bytes;             // of these, of experts
} counts;

// What rank 0 of tp_size keeps of a layer, or, i_layer -1, outside of layers.
static void count_place(const wf_arch *a, const wf_numerics *num, int32_t i_layer, int32_t tp_size,
                        counts *out)
{
    const wf_place place = {.arch = a, .i_layer = i_layer, .tp_size = tp_size};
    wf_dtype plain = wf_format_scaled(num->weight) ? num->plain : num->weight;
    wf_slice s;
    for (int at = 0; wf_slice_next(&place, &at, &s);) {
        uint64_t rows = (uint64_t)(s.n_groups * s.n_rows),
                 numbers = s.tied ? 0 : rows * (uint64_t)s.n_cols;
        wf_role role = s.part[0]->role;
        bool looked_up = (role == WF_ROLE_EMBED && !a->tied) || role == WF_ROLE_POSITIONS;
        out->matrices += numbers;
        wf_weight_shape shape = wf_slice_shape(&s, plain, num->weight);
        uint64_t bytes = numbers > 0 ? wf_weight_bytes(&shape) : 0;
        out->matrix_bytes += bytes;
        out->step_bytes += looked_up ? 0 : bytes;
        out->expert_bytes += s.experts ? bytes : 0;
        out->vectors += (s.n_cols == 0 ? rows : 0) + (s.bias ? rows : 0);
    }
}

static counts count_all(const wf_arch *a, const wf_numerics *num, int32_t tp_size)
{
    counts all = {0};
    for (int32_t i = -1; i < a->n_layers; i++)
        count_place(a, num, i, tp_size, &all);
    return all;
}

void wf_arch_bytes(const wf_arch *arch, const wf_numerics *num, int32_t tp_size,
                   int32_t max_context, wf_arch_memory *out)
{
    uint64_t kv = 0;
    uint64_t rotary = (uint64_t)(max_context ? max_context : arch->max_context) *
                      (uint64_t)arch->rotary_dim * (uint64_t)arch->n_ropes;
    if (arch->alibi) rotary += (uint64_t)(arch->layer[0].n_heads / tp_size);
    counts whole = count_all(arch, num, 1), mine = count_all(arch, num, tp_size);
    for (int32_t i = 0; i < arch->n_layers; i++)
        kv += (uint64_t)wf_block_kv_bytes(arch, i, tp_size, num->kv);
    *out = (wf_arch_memory){
        .n_params = whole.matrices + whole.vectors,
        .weight_bytes = mine.matrix_bytes + (mine.vectors + rotary) * sizeof(float),
        .kv_bytes_per_token = kv,
        .step_read_bytes = mine.step_bytes + mine.vectors * sizeof(float),
        .experts_bytes = mine.expert_bytes,
    };
}

wf_arch_step wf_arch_step_bytes(const wf_arch *arch, const wf_numerics *num, int32_t tp_size,
                                int32_t n_rows, int32_t n_tokens)
{
    wf_arch_memory m;
    uint64_t kv = 0;
    wf_arch_bytes(arch, num, tp_size, n_tokens, &m);
    for (int32_t i = 0; i < arch->n_layers; i++) {
        int32_t window = arch->layer[i].window;
        int32_t seen = window > 0 && window < n_tokens ? window : n_tokens;
        kv += (uint64_t)wf_block_kv_bytes(arch, i, tp_size, num->kv) * (uint64_t)seen;
    }
    return (wf_arch_step){
        .weights = m.step_read_bytes - m.experts_bytes,
        .experts = (uint64_t)((double)m.experts_bytes * wf_arch_experts_touched(arch, n_rows)),
        .kv = kv * (uint64_t)n_rows,
    };
}
