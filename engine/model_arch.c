// Reads config.json into plain values. A problem is noted and reading goes on with what is left, so
// that one run shows all of them. Counts what those values need.
#include "engine/arch_reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// What must hold between the values; only looked at when each is good by itself.
static void check_together(wf_arch_reader *r, wf_arch *a)
{
    if (!wf_arch_has(r, WF_KEY_HEAD_DIM) && a->hidden % a->n_heads != 0) {
        wf_arch_complain(r, "hidden size %d does not divide by %d heads, and there is no head_dim",
                         a->hidden, a->n_heads);
    }
    if (a->n_heads % a->n_kv_heads != 0)
        wf_arch_complain(r, "%d heads do not divide by %d key/value heads", a->n_heads,
                         a->n_kv_heads);
    if (a->head_dim < 2 || a->head_dim % 2 != 0)
        wf_arch_complain(r, "head_dim %d: must be even and at least 2", a->head_dim);
    if (a->rotary_dim < 2 || a->rotary_dim > a->head_dim || a->rotary_dim % 2 != 0) {
        wf_arch_complain(r, "%d rotary dimensions: must be even, at least 2, at most head_dim %d",
                         a->rotary_dim, a->head_dim);
    }
    if (a->shared_norm && !a->parallel_residual)
        wf_arch_complain(r, "one norm for attention and MLP needs a parallel residual");
}

wf_status wf_arch_read(const wf_hf_folder *folder, wf_arch *out)
{
    char place[512];
    const char *type;
    wf_arch a = {.rope = {.factor = 1.0}};
    wf_arch_reader r = {.folder = folder, .root = wf_json_root(wf_hf_folder_config(folder))};
    WF_TRY(wf_json_get_string(r.root, "model_type", &type));
    snprintf(place, sizeof place, "%s/config.json", wf_hf_folder_path(folder));
    WF_TRY(wf_family_find(place, type, &r.family));
    a.family = r.family;
    wf_arch_read_values(&r, &a);
    wf_arch_read_rope(&r, &a);
    wf_arch_read_tokens(&r, &a);
    wf_arch_check_keys(&r);
    if (r.n_problems == 0) check_together(&r, &a);
    if (r.n_problems == 0) wf_arch_read_windows(&r, &a);
    if (r.n_problems > 0) return wf_fail(WF_DATA, "%s", r.problems);
    a.attn_scale = (float)(1.0 / sqrt((double)a.head_dim));
    *out = a;
    return WF_OK;
}

static int32_t common_divisor(int32_t a, int32_t b)
{
    while (b) {
        int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

wf_status wf_arch_check_tp(const wf_arch *arch, int32_t tp_size)
{
    char sizes[96] = "";
    if (tp_size >= 1 && arch->n_heads % tp_size == 0 && arch->n_kv_heads % tp_size == 0 &&
        arch->ffn % tp_size == 0) {
        return WF_OK;
    }
    int32_t common = common_divisor(common_divisor(arch->n_heads, arch->n_kv_heads), arch->ffn);
    for (int32_t i = 1; i <= common; i++) {
        size_t at = strlen(sizes);
        if (common % i == 0) snprintf(sizes + at, sizeof sizes - at, "%s%d", at ? ", " : "", i);
    }
    return wf_fail(WF_CONFIG,
                   "parallel.tensor: %d does not divide the model's %d heads, %d key/value heads "
                   "and FFN size %d; sizes that do: %s",
                   tp_size, arch->n_heads, arch->n_kv_heads, arch->ffn, sizes);
}

int32_t wf_arch_vocab_slice(const wf_arch *arch, int32_t tp_size)
{
    return (arch->n_vocab + tp_size - 1) / tp_size;
}

// Elements of the matrices of one layer, and of its norms and biases.
typedef struct layer_counts {
    uint64_t matrices, qkv_bias, o_bias, up_bias, down_bias, norms;
} layer_counts;

static layer_counts count_layer(const wf_arch *a, uint64_t tp)
{
    uint64_t hidden = (uint64_t)a->hidden, ffn = (uint64_t)a->ffn / tp;
    uint64_t q = (uint64_t)a->n_heads / tp * (uint64_t)a->head_dim;
    uint64_t kv = (uint64_t)a->n_kv_heads / tp * (uint64_t)a->head_dim;
    uint64_t up = a->gated ? 2 * ffn : ffn;
    uint64_t norm = a->family->norm == WF_NORM_LAYER ? 2 * hidden : hidden;
    return (layer_counts){
        .matrices = (q + 2 * kv) * hidden + hidden * q + up * hidden + hidden * ffn,
        .qkv_bias = a->bias_qkv ? q + 2 * kv : 0,
        .o_bias = a->bias_o ? hidden : 0,
        .up_bias = a->bias_mlp ? up : 0,
        .down_bias = a->bias_mlp ? hidden : 0,
        .norms = a->shared_norm ? norm : 2 * norm,
    };
}

void wf_arch_bytes(const wf_arch *arch, wf_dtype dtype, int32_t tp_size, int32_t max_context,
                   wf_arch_memory *out)
{
    uint64_t layers = (uint64_t)arch->n_layers, hidden = (uint64_t)arch->hidden;
    uint64_t each = wf_dtype_bytes(dtype);
    uint64_t final_norm = arch->family->norm == WF_NORM_LAYER ? 2 * hidden : hidden;
    uint64_t rotary =
        (uint64_t)(max_context ? max_context : arch->max_context) * (uint64_t)arch->rotary_dim;
    layer_counts whole = count_layer(arch, 1), mine = count_layer(arch, (uint64_t)tp_size);
    uint64_t vocab = (uint64_t)arch->n_vocab;
    uint64_t slice = (uint64_t)wf_arch_vocab_slice(arch, tp_size);
    uint64_t tables = arch->tied ? 1 : 2;
    uint64_t vectors =
        layers * (mine.qkv_bias + mine.o_bias + mine.up_bias + mine.down_bias + mine.norms) +
        final_norm + (arch->bias_head ? slice : 0);
    *out = (wf_arch_memory){
        .n_params = layers * (whole.matrices + whole.qkv_bias + whole.o_bias + whole.up_bias +
                              whole.down_bias + whole.norms) +
                    tables * vocab * hidden + final_norm + (arch->bias_head ? vocab : 0),
        .weight_bytes = (layers * mine.matrices + tables * slice * hidden) * each +
                        (vectors + rotary) * sizeof(float),
        .kv_bytes_per_token =
            layers * 2 * (uint64_t)(arch->n_kv_heads / tp_size) * (uint64_t)arch->head_dim * each,
        .step_read_bytes =
            (layers * mine.matrices + slice * hidden) * each + vectors * sizeof(float),
    };
}
