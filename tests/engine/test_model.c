// Loads checkpoints slice by slice and compares every number with the file's, read here without the
// loader: names, orders and slices are spelled out a second time.
#include "tests/io/test_safetensors_file.h"

#include "engine/model.h"
#include "io/base/log.h"
#include "kernels/convert.h"
#include "kernels/ref/ref.h"

#include <math.h>
#include <sys/stat.h>

static char folder[64];
static wf_backend *be;

static int set_up(void **state)
{
    (void)state;
    const wf_backend_config config = {.n_threads = 1};
    test_folder_make(folder);
    return wf_backend_create("ref", &config, &be) == WF_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    wf_backend_destroy(be);
    test_folder_remove(folder);
    return 0;
}

typedef struct naming {
    const char *embed, *attn_norm, *q, *k, *v, *qkv, *o, *mlp_norm, *gate, *up, *down, *norm, *head;
} naming;

#define LAYER "model.layers.%d."
static const naming llama_names = {
    "model.embed_tokens",
    LAYER "input_layernorm",
    LAYER "self_attn.q_proj",
    LAYER "self_attn.k_proj",
    LAYER "self_attn.v_proj",
    NULL,
    LAYER "self_attn.o_proj",
    LAYER "post_attention_layernorm",
    LAYER "mlp.gate_proj",
    LAYER "mlp.up_proj",
    LAYER "mlp.down_proj",
    "model.norm",
    "lm_head",
};
#undef LAYER
#define LAYER "transformer.h.%d."
static const naming gptj_names = {
    "transformer.wte",
    LAYER "ln_1",
    LAYER "attn.q_proj",
    LAYER "attn.k_proj",
    LAYER "attn.v_proj",
    NULL,
    LAYER "attn.out_proj",
    NULL,
    NULL,
    LAYER "mlp.fc_in",
    LAYER "mlp.fc_out",
    "transformer.ln_f",
    "lm_head",
};
#undef LAYER
#define LAYER "gpt_neox.layers.%d."
static const naming neox_names = {
    "gpt_neox.embed_in",
    LAYER "input_layernorm",
    NULL,
    NULL,
    NULL,
    LAYER "attention.query_key_value",
    LAYER "attention.dense",
    LAYER "post_attention_layernorm",
    NULL,
    LAYER "mlp.dense_h_to_4h",
    LAYER "mlp.dense_4h_to_h",
    "gpt_neox.final_layer_norm",
    "embed_out",
};

// A whole tensor of the checkpoint as f32.
typedef struct whole {
    int64_t n_rows, n_cols;
    float *values;
} whole;

static whole read_whole(const wf_hf_folder *hf, const char *pattern, int i_layer,
                        const char *suffix)
{
    char name[128];
    size_t at;
    int n = snprintf(name, sizeof name, pattern, i_layer);
    snprintf(name + n, sizeof name - (size_t)n, "%s", suffix);
    assert_ok(wf_hf_folder_find(hf, name, &at));
    wf_hf_tensor t = wf_hf_folder_at(hf, at);
    wf_dtype dtype = t.tensor->dtype == WF_ST_F32    ? WF_F32
                     : t.tensor->dtype == WF_ST_BF16 ? WF_BF16
                                                     : WF_F16;
    int64_t total = (int64_t)(t.tensor->bytes / wf_dtype_bytes(dtype));
    whole w = {t.tensor->shape[0], t.tensor->rank == 2 ? t.tensor->shape[1] : 1,
               malloc((size_t)total * sizeof(float))};
    void *raw = malloc(t.tensor->bytes);
    assert_ok(wf_safetensors_read(t.file, t.tensor, 0, t.tensor->bytes, raw));
    wf_convert(w.values, WF_F32, raw, dtype, total);
    free(raw);
    return w;
}

// Rows of `weight` from dst on equal n rows of `w` from src on, columns [col, col + n_cols).
static void check_rows(const wf_weight *weight, int64_t dst, const whole *w, int64_t src, int64_t n,
                       int64_t col, int64_t n_cols)
{
    assert_true(src + n <= w->n_rows && col + n_cols <= w->n_cols);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n_cols; j++) {
            float expected = w->values[(src + i) * w->n_cols + col + j];
            assert_true(wf_ref_weight_at(weight, dst + i, j) == expected);
        }
    }
}

static void check_vector(const float *vector, const whole *w, int64_t src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        assert_true(vector[i] == w->values[src + i]);
}

static void check_norm(const wf_hf_folder *hf, const char *pattern, int i, const wf_param *norm,
                       bool has_bias)
{
    whole w = read_whole(hf, pattern, i, ".weight");
    check_vector(norm->vector, &w, 0, w.n_rows);
    free(w.values);
    assert_int_equal(norm->bias != NULL, has_bias);
    if (!has_bias) return;
    w = read_whole(hf, pattern, i, ".bias");
    check_vector(norm->bias, &w, 0, w.n_rows);
    free(w.values);
}

// Rows of q, k or v (which 0, 1, 2): one tensor each, or head by head from a fused one.
static void check_qkv(const wf_model *m, const wf_hf_folder *hf, const naming *names, int i,
                      int which)
{
    int64_t dim = m->arch.head_dim, q = m->layers[i].share.n_heads,
            kv = m->layers[i].share.n_kv_heads;
    int64_t n_heads = which == 0 ? q : kv, before = which == 0 ? 0 : q + (which - 1) * kv;
    const char *separate = which == 0 ? names->q : which == 1 ? names->k : names->v;
    const char *pattern = separate ? separate : names->qkv;
    bool has_bias = m->layers[i].qkv.bias != NULL;
    whole w = read_whole(hf, pattern, i, ".weight");
    whole b = has_bias ? read_whole(hf, pattern, i, ".bias") : (whole){0};
    for (int64_t h = 0; h < n_heads; h++) {
        int64_t head = m->tp_rank * n_heads + h, dst = (before + h) * dim;
        int64_t src = separate ? head * dim : (3 * head + which) * dim;
        check_rows(m->layers[i].qkv.matrix, dst, &w, src, dim, 0, m->arch.hidden);
        if (has_bias) check_vector(m->layers[i].qkv.bias + dst, &b, src, dim);
    }
    free(w.values);
    free(b.values);
}

static void check_part(const wf_hf_folder *hf, const char *pattern, int i, const wf_weight *weight,
                       const float *bias, int64_t dst, int64_t src, int64_t n, int64_t col,
                       int64_t n_cols)
{
    whole w = read_whole(hf, pattern, i, ".weight");
    check_rows(weight, dst, &w, src, n, col, n_cols);
    free(w.values);
    if (!bias) return;
    w = read_whole(hf, pattern, i, ".bias");
    check_vector(bias + dst, &w, src, n);
    free(w.values);
}

static void check_layer(const wf_model *m, const wf_hf_folder *hf, const naming *names, int i)
{
    const wf_layer *layer = &m->layers[i];
    bool layer_norm = m->arch.family->norm == WF_NORM_LAYER;
    int64_t width = (int64_t)layer->share.n_heads * m->arch.head_dim, hidden = m->arch.hidden;
    int64_t ffn = layer->share.ffn, first = m->tp_rank * ffn;
    check_norm(hf, names->attn_norm, i, &layer->attn_norm, layer_norm);
    for (int which = 0; which < 3; which++)
        check_qkv(m, hf, names, i, which);
    bool head_norms = m->arch.family->names[WF_ROLE_Q_NORM] != NULL;
    if (head_norms) check_norm(hf, "model.layers.%d.self_attn.q_norm", i, &layer->q_norm, false);
    if (head_norms) check_norm(hf, "model.layers.%d.self_attn.k_norm", i, &layer->k_norm, false);
    assert_int_equal(layer->q_norm.vector != NULL, head_norms);
    check_part(hf, names->o, i, layer->o.matrix, layer->o.bias, 0, 0, hidden, m->tp_rank * width,
               width);
    if (names->mlp_norm) check_norm(hf, names->mlp_norm, i, &layer->mlp_norm, layer_norm);
    if (!names->mlp_norm) assert_null(layer->mlp_norm.vector);
    if (names->gate)
        check_part(hf, names->gate, i, layer->gate_up.matrix, NULL, 0, first, ffn, 0, hidden);
    check_part(hf, names->up, i, layer->gate_up.matrix, layer->gate_up.bias, names->gate ? ffn : 0,
               first, ffn, 0, hidden);
    check_part(hf, names->down, i, layer->down.matrix, layer->down.bias, 0, 0, hidden, first, ffn);
    assert_int_equal(layer->qkv.bias != NULL, m->arch.bias_qkv);
    assert_int_equal(layer->o.bias != NULL, m->arch.bias_o && m->tp_rank == 0);
    assert_int_equal(layer->gate_up.bias != NULL, m->arch.bias_mlp);
    assert_int_equal(layer->down.bias != NULL, m->arch.bias_mlp && m->tp_rank == 0);
}

static void check_ends(const wf_model *m, const wf_hf_folder *hf, const naming *names)
{
    int64_t n = m->vocab_end - m->vocab_begin;
    check_part(hf, names->embed, 0, m->embed.matrix, NULL, 0, m->vocab_begin, n, 0, m->arch.hidden);
    check_norm(hf, names->norm, 0, &m->final_norm, m->arch.family->norm == WF_NORM_LAYER);
    if (m->arch.tied) {
        assert_ptr_equal(m->head.matrix, m->embed.matrix);
    } else {
        check_part(hf, names->head, 0, m->head.matrix, m->head.bias, 0, m->vocab_begin, n, 0,
                   m->arch.hidden);
    }
    assert_int_equal(m->head.bias != NULL, m->arch.bias_head);
    for (int64_t i = n; i < m->vocab_slice; i++)
        for (int64_t j = 0; j < m->arch.hidden; j++)
            assert_true(wf_ref_weight_at(m->head.matrix, i, j) == 0.0f);
    assert_true(m->rotary[0].cos[0] == 1.0f && m->rotary[0].sin[0] == 0.0f);
    assert_true(fabsf(m->rotary[0].cos[m->arch.rotary_dim / 2] - cosf(1.0f)) < 1e-6f);
}

static uint64_t tensor_bytes(const wf_hf_folder *hf)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < wf_hf_folder_count(hf); i++)
        bytes += wf_hf_folder_at(hf, i).tensor->bytes;
    return bytes;
}

static void check_model(const char *path, const naming *names, int32_t tp_size, int dtype)
{
    wf_hf_folder *hf;
    wf_arch arch;
    int32_t vocab_end = 0;
    assert_ok(wf_hf_folder_open(path, true, &hf));
    assert_ok(wf_arch_read(hf, false, &arch));
    for (int32_t rank = 0; rank < tp_size; rank++) {
        const wf_model_config config = {.tp_rank = rank,
                                        .tp_size = tp_size,
                                        .dtype = dtype,
                                        .staging_bytes = 4096,
                                        .n_readers = rank + 1};
        wf_model *m;
        wf_arch_memory memory;
        assert_ok(wf_model_load(be, &arch, hf, &config, &m));
        assert_int_equal(m->vocab_begin, vocab_end);
        vocab_end = m->vocab_end;
        assert_int_equal(m->layers[0].share.n_heads * tp_size, arch.layer[0].n_heads);
        for (int i = 0; i < arch.n_layers; i++)
            check_layer(m, hf, names, i);
        check_ends(m, hf, names);
        const wf_numerics num = wf_numerics_of(m->dtype);
        wf_arch_bytes(&arch, &num, tp_size, 0, &memory);
        if (rank == 0) assert_int_equal(m->report.weight_bytes, memory.weight_bytes);
        assert_true(m->report.weight_bytes <= memory.weight_bytes);
        if (tp_size == 1) assert_int_equal(m->report.file_bytes, tensor_bytes(hf));
        wf_model_destroy(&m);
        assert_null(m);
    }
    assert_int_equal(vocab_end, arch.n_vocab);
    wf_hf_folder_close(&hf);
}

static const char *golden(const char *name)
{
    return test_path(WEFT_SOURCE_DIR "/tests/golden", name);
}

static void slices_are_the_checkpoint(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const naming *names;
    } rows[] = {
        {"llama-mini", &llama_names},  {"llama-gqa", &llama_names},
        {"llama-rope3", &llama_names}, {"llama-rope-parameters", &llama_names},
        {"llama-f16", &llama_names},   {"qwen2-mini", &llama_names},
        {"qwen3-mini", &llama_names},  {"mistral-mini", &llama_names},
        {"gptj-mini", &gptj_names},    {"neox-mini", &neox_names},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        for (int32_t tp = 1; tp <= 4; tp *= 2)
            check_model(golden(rows[i].name), rows[i].names, tp, WF_MODEL_DTYPE_AUTO);
        check_model(golden(rows[i].name), rows[i].names, 2, WF_F32);
    }
}

static void vocabulary_smaller_than_the_group(void **state)
{
    (void)state;
    wf_hf_folder *hf;
    wf_arch arch;
    test_write_text(test_path(folder, "config.json"),
                    "{\"model_type\":\"llama\",\"hidden_size\":16,\"intermediate_size\":16,"
                    "\"max_position_embeddings\":64,\"num_attention_heads\":4,"
                    "\"num_hidden_layers\":1,\"vocab_size\":5}");
    assert_ok(wf_hf_folder_open(folder, false, &hf));
    assert_ok(wf_arch_read(hf, false, &arch));
    static const int32_t begins[] = {0, 2, 4, 5}, ends[] = {2, 4, 5, 5};
    for (int32_t rank = 0; rank < 4; rank++) {
        const wf_model_config config = {
            .tp_rank = rank, .tp_size = 4, .dtype = WF_MODEL_DTYPE_AUTO, .max_context = 7};
        wf_model *m;
        assert_ok(wf_model_load(be, &arch, NULL, &config, &m));
        assert_int_equal(m->vocab_slice, 2);
        assert_int_equal(m->vocab_begin, begins[rank]);
        assert_int_equal(m->vocab_end, ends[rank]);
        assert_int_equal(m->max_context, 7);
        wf_model_destroy(&m);
    }
    wf_hf_folder_close(&hf);
}

static void random_weights(void **state)
{
    (void)state;
    wf_hf_folder *hf;
    wf_arch arch;
    wf_model *a, *b, *other;
    wf_model_config config = {.tp_size = 2, .dtype = WF_F32, .seed = 7};
    assert_ok(wf_hf_folder_open(golden("qwen2-mini"), false, &hf));
    assert_ok(wf_arch_read(hf, false, &arch));
    assert_ok(wf_model_load(be, &arch, NULL, &config, &a));
    assert_ok(wf_model_load(be, &arch, NULL, &config, &b));
    config.tp_rank = 1;
    assert_ok(wf_model_load(be, &arch, NULL, &config, &other));
    double sum = 0, squares = 0, small = 0;
    int same_rank = 0, same_layer = 0;
    int64_t n_rows = 4, n_cols = arch.hidden;
    for (int64_t i = 0; i < n_rows * n_cols; i++) {
        int64_t r = i / n_cols, c = i % n_cols;
        float x = wf_ref_weight_at(a->layers[0].qkv.matrix, r, c);
        assert_true(x == wf_ref_weight_at(b->layers[0].qkv.matrix, r, c));
        same_rank += x == wf_ref_weight_at(other->layers[0].qkv.matrix, r, c);
        same_layer += x == wf_ref_weight_at(a->layers[1].qkv.matrix, r, c);
        sum += (double)x;
        squares += (double)x * (double)x;
        float o = wf_ref_weight_at(a->layers[0].o.matrix, r, c % (arch.hidden / 2));
        small += (double)o * (double)o;
    }
    double n = (double)(n_rows * n_cols);
    assert_true(fabs(sum / n) < 0.006 && fabs(sqrt(squares / n) - 0.02) < 0.003);
    assert_true(fabs(sqrt(small / n) - 0.01) < 0.003); // 0.02 / sqrt(2 * 2 layers)
    assert_true(same_rank < 3 && same_layer < 3);
    assert_true(a->layers[1].mlp_norm.vector[3] == 1.0f && a->layers[0].qkv.bias[5] == 0.0f);
    assert_int_equal(a->report.file_bytes, 0);
    wf_model_destroy(&a);
    wf_model_destroy(&b);
    wf_model_destroy(&other);
    wf_hf_folder_close(&hf);
}

// A model of one layer whose tensors a row of the table may change.
enum { N_TENSORS = 12 };
static const test_tensor tiny[N_TENSORS] = {
    {"model.embed_tokens.weight", "F32", 2, {6, 4}, 96, NULL},
    {"model.layers.0.input_layernorm.weight", "F32", 1, {4}, 16, NULL},
    {"model.layers.0.self_attn.q_proj.weight", "F32", 2, {4, 4}, 64, NULL},
    {"model.layers.0.self_attn.k_proj.weight", "F32", 2, {4, 4}, 64, NULL},
    {"model.layers.0.self_attn.v_proj.weight", "F32", 2, {4, 4}, 64, NULL},
    {"model.layers.0.self_attn.o_proj.weight", "F32", 2, {4, 4}, 64, NULL},
    {"model.layers.0.post_attention_layernorm.weight", "F32", 1, {4}, 16, NULL},
    {"model.layers.0.mlp.gate_proj.weight", "F32", 2, {8, 4}, 128, NULL},
    {"model.layers.0.mlp.up_proj.weight", "F32", 2, {8, 4}, 128, NULL},
    {"model.layers.0.mlp.down_proj.weight", "F32", 2, {4, 8}, 128, NULL},
    {"model.norm.weight", "F32", 1, {4}, 16, NULL},
    {"lm_head.weight", "F32", 2, {6, 4}, 96, NULL},
};

static wf_status load_tiny(const test_tensor *tensors, size_t n, wf_model_config config,
                           wf_model **out)
{
    wf_hf_folder *hf;
    wf_arch arch;
    test_write_tensors(test_path(folder, "model.safetensors"), tensors, n);
    test_write_text(test_path(folder, "config.json"),
                    "{\"model_type\":\"llama\",\"hidden_size\":4,\"intermediate_size\":8,"
                    "\"max_position_embeddings\":64,\"num_attention_heads\":2,"
                    "\"num_hidden_layers\":1,\"vocab_size\":6}");
    assert_ok(wf_hf_folder_open(folder, true, &hf));
    assert_ok(wf_arch_read(hf, false, &arch));
    wf_status st = wf_model_load(be, &arch, hf, &config, out);
    wf_hf_folder_close(&hf);
    return st;
}

static void wrong_tensors(void **state)
{
    (void)state;
    static const float nan_last[32] = {[31] = NAN}, inf_first[4] = {-INFINITY},
                       large[24] = {[5] = 70000.0f};
    static const struct {
        int i; // changed tensor; -1: one more
        test_tensor now;
        const char *says;
    } rows[] = {
        {5,
         {"x", "F32", 2, {4, 4}, 64, NULL},
         "model.layers.0.self_attn.o_proj.weight: the tensor is in no file"},
        {11, {"x", "F32", 2, {6, 4}, 96, NULL}, "lm_head.weight: the tensor is in no file"},
        {8,
         {"model.layers.0.mlp.up_proj.weight", "F32", 2, {4, 8}, 128, NULL},
         "model.layers.0.mlp.up_proj.weight: shape [4, 8], expected [8, 4]"},
        {1,
         {"model.layers.0.input_layernorm.weight", "F32", 2, {1, 4}, 16, NULL},
         "input_layernorm.weight: shape [1, 4], expected [4]"},
        {0,
         {"model.embed_tokens.weight", "F32", 2, {5, 4}, 80, NULL},
         "model.embed_tokens.weight: shape [5, 4], expected [6, 4]"},
        {2,
         {"model.layers.0.self_attn.q_proj.weight", "I32", 2, {4, 4}, 64, NULL},
         "q_proj.weight: dtype I32; weights must be F32, BF16 or F16"},
        {9,
         {"model.layers.0.mlp.down_proj.weight", "F32", 2, {4, 8}, 128, nan_last},
         "model.layers.0.mlp.down_proj.weight: the value nan in row 3 is not finite as f32"},
        {10,
         {"model.norm.weight", "F32", 1, {4}, 16, inf_first},
         "model.norm.weight: the value -inf in row 0 is not finite as f32"},
        {11,
         {"lm_head.weight", "F32", 2, {6, 4}, 96, large},
         "lm_head.weight: the value 70000 in row 1 is not finite as f16"},
        {-1,
         {"model.layers.1.self_attn.q_proj.weight", "F32", 2, {4, 4}, 64, NULL},
         "model.layers.1.self_attn.q_proj.weight: a llama model with this config.json has no such"},
        {-1,
         {"model.layers.0.self_attn.q_proj.bias", "F32", 1, {4}, 16, NULL},
         "model.layers.0.self_attn.q_proj.bias: a llama model with this config.json has no such"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        test_tensor tensors[N_TENSORS + 1];
        wf_model *m = NULL;
        wf_model_config config = {.tp_size = 1, .dtype = WF_F32};
        if (strstr(rows[i].says, "f16")) config.dtype = WF_F16;
        memcpy(tensors, tiny, sizeof tiny);
        tensors[rows[i].i < 0 ? N_TENSORS : rows[i].i] = rows[i].now;
        wf_status st = load_tiny(tensors, N_TENSORS + (rows[i].i < 0), config, &m);
        assert_int_equal(st, WF_DATA);
        assert_null(m);
        assert_contains(wf_error(), rows[i].says);
        assert_contains(wf_error(), folder);
    }
}

static int n_asked; // for memory

static wf_status no_host_memory(wf_backend *b, size_t bytes, void **out)
{
    (void)b;
    (void)bytes;
    (void)out;
    n_asked++;
    return wf_fail(WF_NO_MEMORY, "asked for memory");
}

// Sizes are compared with the files' headers before anything is made as large as they say.
static void sizes_beyond_the_files(void **state)
{
    (void)state;
    static const struct {
        const char *sizes, *says;
    } rows[] = {
        {"\"hidden_size\":1000000,\"intermediate_size\":8,\"num_attention_heads\":4000,"
         "\"num_hidden_layers\":1,\"vocab_size\":6",
         "input_layernorm.weight: shape [4], expected [1000000]"},
        {"\"hidden_size\":4,\"intermediate_size\":1000000,\"num_attention_heads\":2,"
         "\"num_hidden_layers\":1,\"vocab_size\":6",
         "gate_proj.weight: shape [8, 4], expected [1000000, 4]"},
        {"\"hidden_size\":4,\"intermediate_size\":8,\"num_attention_heads\":2,"
         "\"num_hidden_layers\":1,\"vocab_size\":16000000",
         "embed_tokens.weight: shape [6, 4], expected [16000000, 4]"},
        {"\"hidden_size\":4,\"intermediate_size\":8,\"num_attention_heads\":2,"
         "\"num_hidden_layers\":1000,\"vocab_size\":6",
         "model.layers.1.input_layernorm.weight: the tensor is in no file"},
    };
    static wf_backend_ops poor;
    poor = *be->ops;
    poor.host_alloc = no_host_memory;
    be->ops = &poor;
    test_write_tensors(test_path(folder, "model.safetensors"), tiny, N_TENSORS);
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char config[512];
        wf_hf_folder *hf;
        wf_arch arch;
        wf_model *m = NULL;
        snprintf(config, sizeof config,
                 "{\"model_type\":\"llama\",\"max_position_embeddings\":64,%s}", rows[i].sizes);
        test_write_text(test_path(folder, "config.json"), config);
        assert_ok(wf_hf_folder_open(folder, true, &hf));
        assert_ok(wf_arch_read(hf, false, &arch));
        wf_status st = wf_model_load(be, &arch, hf, &(wf_model_config){.tp_size = 1}, &m);
        wf_hf_folder_close(&hf);
        assert_int_equal(st, WF_DATA);
        assert_contains(wf_error(), rows[i].says);
    }
    assert_int_equal(n_asked, 0);
}

static void tensors_that_may_be_there(void **state)
{
    (void)state;
    test_tensor tensors[N_TENSORS + 1];
    wf_model *m;
    memcpy(tensors, tiny, sizeof tiny);
    tensors[N_TENSORS] =
        (test_tensor){"model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 1, {1}, 4, NULL};
    assert_ok(load_tiny(tensors, N_TENSORS + 1, (wf_model_config){.tp_size = 2}, &m));
    wf_model_destroy(&m);
}

static void wrong_config(void **state)
{
    (void)state;
    static const struct {
        wf_model_config config;
        const char *says;
    } rows[] = {
        {{.tp_size = 3},
         "parallel.tensor: 3 does not split the model's 2 heads, 2 key/value heads "
         "and FFN size 8; sizes that do: 1, 2"},
        {{.tp_size = 4}, "parallel.tensor: 4 does not split"},
        {{.tp_size = 1, .max_context = 65},
         "max_context: 65 tokens asked for, the model's context "
         "is 64"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_model *m = NULL;
        assert_int_equal(load_tiny(tiny, N_TENSORS, rows[i].config, &m), WF_CONFIG);
        assert_null(m);
        assert_contains(wf_error(), rows[i].says);
    }
    wf_model *none = NULL;
    wf_model_destroy(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slices_are_the_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vocabulary_smaller_than_the_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_weights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_tensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_beyond_the_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tensors_that_may_be_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_config, set_up, tear_down),
    };
    wf_log_set_level(WF_LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
