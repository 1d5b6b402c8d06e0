#include "tests/io/test_safetensors_file.h"

#include "engine/model_arch.h"

#include <math.h>

static bool trusts;

static wf_status read_arch(const char *config, const char *generation, wf_arch *out)
{
    wf_hf_folder *hf;
    test_write_text(test_path(test_folder, "config.json"), config);
    unlink(test_path(test_folder, "generation_config.json"));
    if (generation) test_write_text(test_path(test_folder, "generation_config.json"), generation);
    assert_ok(wf_hf_folder_open(test_folder, false, &hf));
    wf_status st = wf_arch_read(hf, trusts, out);
    wf_hf_folder_close(&hf);
    return st;
}

#define SIZES                                                                                      \
    "\"hidden_size\":64,\"intermediate_size\":96,\"max_position_embeddings\":512,"                 \
    "\"num_attention_heads\":8,\"num_hidden_layers\":2,\"vocab_size\":261"
#define LLAMA(more) "{\"model_type\":\"llama\"," SIZES more "}"

static void llama_with_defaults(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(LLAMA(""), NULL, &a));
    assert_string_equal(a.family->name, "llama");
    assert_int_equal(a.n_layers, 2);
    assert_int_equal(a.hidden, 64);
    assert_int_equal(a.layer[0].n_kv_heads, 8);
    assert_int_equal(a.head_dim, 8);
    assert_int_equal(a.rotary_dim, 8);
    assert_int_equal(a.layer[0].ffn, 96);
    assert_int_equal(a.max_context, 512);
    assert_true(a.norm_eps == 1e-6f && a.rope[0].theta == 10000.0);
    assert_true(fabsf(a.layer[0].scale - 0.35355339f) < 1e-7f);
    assert_int_equal(a.rope[0].type, WF_ROPE_DEFAULT);
    assert_false(a.tied || a.bias_qkv || a.bias_o || a.bias_mlp || a.bias_head);
    assert_true(a.gated);
    assert_int_equal(a.dtype, WF_F32);
    assert_int_equal(a.n_eos, 0);
    assert_int_equal(a.bos, -1);
}

static void both_generations_of_keys(void **state)
{
    (void)state;
    wf_arch a, b;
    assert_ok(
        read_arch(LLAMA(",\"rope_theta\":500000.0,\"torch_dtype\":\"bfloat16\",\"rope_scaling\":"
                        "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}"),
                  NULL, &a));
    assert_ok(
        read_arch(LLAMA(",\"dtype\":\"bfloat16\",\"rope_parameters\":{\"rope_theta\":500000,"
                        "\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}"),
                  NULL, &b));
    assert_int_equal(a.dtype, WF_BF16);
    assert_int_equal(b.dtype, WF_BF16);
    assert_int_equal(a.rope[0].type, WF_ROPE_LLAMA3);
    assert_memory_equal(&a.rope, &b.rope, sizeof a.rope);
    assert_true(a.rope[0].theta == 500000.0 && a.rope[0].original_max_context == 8192.0);
    assert_ok(read_arch(LLAMA(",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"), NULL, &a));
    assert_int_equal(a.rope[0].type, WF_ROPE_LINEAR);
    assert_true(a.rope[0].factor == 2.0);
    assert_ok(read_arch(LLAMA(",\"rope_scaling\":null,\"head_dim\":16,\"num_key_value_heads\":2,"
                              "\"attention_bias\":true,\"mlp_bias\":true,"
                              "\"tie_word_embeddings\":true,\"rms_norm_eps\":1e-05"),
                        NULL, &a));
    assert_int_equal(a.head_dim, 16);
    assert_int_equal(a.layer[0].n_kv_heads, 2);
    assert_true(a.bias_qkv && a.bias_o && a.bias_mlp && a.tied && a.norm_eps == 1e-5f);
}

static void tokens_that_end(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(LLAMA(",\"eos_token_id\":2,\"bos_token_id\":1"), NULL, &a));
    assert_int_equal(a.n_eos, 1);
    assert_int_equal(a.eos[0], 2);
    assert_int_equal(a.bos, 1);
    assert_ok(read_arch(LLAMA(",\"eos_token_id\":[2,5,2]"), NULL, &a));
    assert_int_equal(a.n_eos, 2);
    assert_ok(read_arch(LLAMA(",\"eos_token_id\":[2,5]"), "{\"eos_token_id\":[5,7]}", &a));
    assert_int_equal(a.n_eos, 2); // the other file takes the place of this one
    assert_int_equal(a.eos[1], 7);
    assert_ok(read_arch(LLAMA(",\"eos_token_id\":[2,5]"), "{}", &a));
    assert_int_equal(a.n_eos, 0);
}

static void other_families(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(
        read_arch("{\"model_type\":\"gptj\",\"activation_function\":\"gelu_new\",\"n_embd\":32,"
                  "\"n_head\":4,\"n_inner\":null,\"n_layer\":2,\"n_positions\":512,"
                  "\"rotary_dim\":4,\"vocab_size\":260,\"torch_dtype\":\"float16\"}",
                  NULL, &a));
    assert_int_equal(a.layer[0].ffn, 128);
    assert_int_equal(a.layer[0].n_kv_heads, 4);
    assert_int_equal(a.rotary_dim, 4);
    assert_int_equal(a.head_dim, 8);
    assert_int_equal(a.layer[0].join, WF_JOIN_SHARED);
    assert_true(a.bias_mlp && a.bias_head && !a.bias_qkv);
    assert_true(a.family->interleaved_rotary && !a.gated && a.norm_eps == 1e-5f);
    assert_int_equal(a.dtype, WF_F16);

    const char *neox = "{\"model_type\":\"gpt_neox\",\"hidden_act\":\"gelu_fast\"," SIZES
                       ",\"rotary_emb_base\":20000,\"rotary_pct\":0.5}";
    assert_ok(read_arch(neox, NULL, &a));
    assert_int_equal(a.rotary_dim, 4);
    assert_true(a.rope[0].theta == 20000.0 && a.bias_qkv && a.bias_o);
    assert_int_equal(a.layer[0].join, WF_JOIN_PARALLEL);
    assert_ok(read_arch("{\"model_type\":\"gpt_neox\",\"hidden_act\":\"gelu_fast\"," SIZES
                        ",\"use_parallel_residual\":false,\"rope_parameters\":"
                        "{\"partial_rotary_factor\":0.25,\"rope_theta\":10000}}",
                        NULL, &a));
    assert_int_equal(a.rotary_dim, 2);
    assert_int_equal(a.layer[0].join, WF_JOIN_SERIAL);
    assert_int_equal(a.curve, WF_CURVE_GELU_TANH);
    assert_ok(
        read_arch("{\"model_type\":\"gpt_neox\",\"hidden_act\":\"gelu\"," SIZES "}", NULL, &a));
    assert_true(a.curve == WF_CURVE_GELU_EXACT && !a.gated);
    assert_ok(read_arch("{\"model_type\":\"gpt_neox\"," SIZES "}", NULL, &a));
    assert_int_equal(a.curve, WF_CURVE_GELU_EXACT); // as transformers has it

    assert_ok(read_arch("{\"model_type\":\"qwen2\",\"num_key_value_heads\":8," SIZES
                        ",\"use_sliding_window\":false,"
                        "\"sliding_window\":100}",
                        NULL, &a));
    assert_true(a.bias_qkv && !a.bias_o);
    assert_int_equal(a.max_context, 512);
    assert_ok(read_arch("{\"model_type\":\"mistral\",\"num_key_value_heads\":8," SIZES
                        ",\"sliding_window\":100}",
                        NULL, &a));
    assert_int_equal(a.max_context, 512);
    assert_int_equal(a.layer[0].window, 100);
    assert_int_equal(a.layer[a.n_layers - 1].window, 100);
    assert_ok(read_arch("{\"model_type\":\"mistral\",\"num_key_value_heads\":8," SIZES
                        ",\"sliding_window\":null}",
                        NULL, &a));
    assert_int_equal(a.max_context, 512);
}

#define OPT                                                                                        \
    "{\"model_type\":\"opt\",\"ffn_dim\":96,\"hidden_size\":64,\"max_position_embeddings\":512,"   \
    "\"num_attention_heads\":8,\"num_hidden_layers\":2,\"vocab_size\":261"
#define GPT2                                                                                       \
    "{\"model_type\":\"gpt2\",\"n_embd\":64,\"n_head\":8,\"n_layer\":2,\"n_positions\":512,"       \
    "\"vocab_size\":261"
#define BLOOM                                                                                      \
    "{\"model_type\":\"bloom\",\"n_embed\":64,\"n_head\":8,\"n_layer\":2,\"vocab_size\":261"
#define FALCON                                                                                     \
    "{\"model_type\":\"falcon\",\"hidden_size\":64,\"num_attention_heads\":8,"                     \
    "\"num_hidden_layers\":2,\"vocab_size\":261"

static void positions_that_are_not_rotated(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(GPT2 ",\"reorder_and_upcast_attn\":true,\"n_ctx\":512}", NULL, &a));
    assert_true(a.n_positions == 512 && a.max_context == 512 && a.n_ropes == 0 && a.tied);
    assert_true(a.layer[0].ffn == 256 && a.layer[1].i_rope == -1 && !a.context_open);
    assert_ok(
        read_arch(OPT ",\"word_embed_proj_dim\":64,\"do_layer_norm_before\":true}", NULL, &a));
    assert_true(a.n_positions == 514 && a.max_context == 512 && a.curve == WF_CURVE_RELU);
    assert_ok(read_arch(BLOOM "}", NULL, &a));
    assert_true(a.alibi && a.max_context == 2048 && a.context_open && a.n_positions == 0);
    assert_ok(read_arch(BLOOM ",\"seq_length\":4096,\"pretraining_tp\":4}", NULL, &a));
    assert_true(a.max_context == 4096 && a.bias_qkv && a.n_ropes == 0);
}

// One model type, four ways to put a layer together.
static void falcons(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(FALCON "}", NULL, &a));
    assert_true(a.layer[0].n_kv_heads == 1 && a.layer[0].join == WF_JOIN_SHARED && a.n_ropes == 1);
    assert_ok(read_arch(FALCON ",\"num_kv_heads\":8,\"multi_query\":true}", NULL, &a));
    assert_int_equal(a.layer[0].n_kv_heads, 1);
    assert_ok(read_arch(FALCON ",\"new_decoder_architecture\":true,\"num_kv_heads\":2}", NULL, &a));
    assert_true(a.layer[0].n_kv_heads == 2 && a.layer[0].join == WF_JOIN_PARALLEL);
    assert_ok(read_arch(FALCON ",\"new_decoder_architecture\":true,\"num_kv_heads\":2,"
                               "\"num_ln_in_parallel_attn\":1}",
                        NULL, &a));
    assert_true(a.layer[0].n_kv_heads == 2 && a.layer[0].join == WF_JOIN_SHARED);
    assert_ok(read_arch(FALCON ",\"alibi\":true,\"parallel_attn\":false,\"multi_query\":false,"
                               "\"bias\":true}",
                        NULL, &a));
    assert_true(a.layer[0].n_kv_heads == 8 && a.layer[0].join == WF_JOIN_SERIAL);
    assert_true(a.alibi && a.n_ropes == 0 && a.bias_qkv && a.bias_o && a.bias_mlp);
    assert_ok(read_arch("{\"model_type\":\"RefinedWebModel\",\"n_layer\":2,\"n_head\":8,"
                        "\"hidden_size\":64,\"vocab_size\":261,\"rotary\":true}",
                        NULL, &a));
    assert_true(a.n_layers == 2 && a.layer[0].n_kv_heads == 1);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } rows[] = {
        {"{}", "config.json: model_type: missing"},
        {"{\"model_type\":\"Llama\"}", "did you mean 'llama'?"},
        {"{\"model_type\":\"llama\"}",
         "num_hidden_layers: missing, expected an integer; hidden_size: missing"},
        {"{\"model_type\":\"llama\"}", "vocab_size: missing"}, // the same message goes on
        {LLAMA(",\"num_key_value_heads\":3"), "8 heads do not divide by 3 key/value heads"},
        {LLAMA(",\"head_dim\":7"), "head_dim 7: must be even"},
        {LLAMA(",\"head_dim\":512"), "head_dim: 512 is outside 1 to 256"},
        {"{\"model_type\":\"llama\",\"hidden_size\":4096,\"intermediate_size\":96,"
         "\"max_position_embeddings\":512,\"num_attention_heads\":8,\"num_hidden_layers\":2,"
         "\"vocab_size\":261}",
         "head_dim 512: must be even, at least 2 and at most 256"},
        {LLAMA(",\"head_dim\":0"), "head_dim: 0 is outside 1 to 256"},
        {LLAMA(",\"hidden_act\":\"gelu\""), "hidden_act: 'gelu' is not an activation"},
        {"{\"model_type\":\"gpt_neox\",\"hidden_act\":\"relu\"," SIZES "}",
         "hidden_act: 'relu' is not an activation that gpt_neox models can have here (gelu, "
         "gelu_new, "},
        {LLAMA(",\"torch_dtype\":\"int8\""), "torch_dtype: 'int8' is not a dtype"},
        {LLAMA(",\"rms_norm_eps\":\"small\""), "rms_norm_eps: expected a number"},
        {LLAMA(",\"rope_theta\":-1"), "rope_theta: -1 is outside"},
        {LLAMA(",\"rope_scaling\":{\"rope_type\":\"ntk\",\"factor\":4}"),
         "rope_scaling.rope_type: 'ntk' is not a rotary type known here (default, linear, "
         "llama3, dynamic, yarn, longrope)"},
        {LLAMA(",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4,\"beta_fast\":32}"),
         "rope_scaling.beta_fast: is no rotary parameter known here"},
        {LLAMA(",\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":4,"
               "\"short_factor\":[1,1,1],\"long_factor\":[1,1,1,2]}"),
         "rope_scaling.short_factor: 3 factors for 4 pairs of rotary dimensions"},
        {LLAMA(",\"rope_scaling\":{\"rope_type\":\"dynamic\"}"), "rope_scaling.factor: missing"},
        {LLAMA(",\"rope_scaling\":{\"rope_type\":\"linear\"}"), "rope_scaling.factor: missing"},
        {LLAMA(",\"rope_scaling\":7"), "rope_scaling: expected an object"},
        {LLAMA(",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}"),
         "rotary parameters that differ by layer"},
        {LLAMA(",\"rope_parameters\":{\"partial_rotary_factor\":0.5}"),
         "llama models rotate whole heads"},
        {LLAMA(",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
               "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}"),
         "high_freq_factor: must be greater than low_freq_factor"},
        {LLAMA(",\"eos_token_id\":261"), "eos_token_id: 261 is outside 0 to 260"},
        {LLAMA(",\"eos_token_id\":[1,2,3,4,5,6,7,8,9]"), "more than 8 tokens that end a text"},
        {LLAMA(",\"eos_token_id\":\"</s>\""), "eos_token_id: expected an integer"},
        {LLAMA(",\"quantization_config\":{\"bits\":4}"),
         "quantization_config: 'quantised': checkpoints quantised so are not read"},
        {"{\"model_type\":\"qwen2\",\"num_key_value_heads\":8," SIZES
         ",\"layer_types\":[\"linear_attention\",0]}",
         "layer_types[0]: 'linear_attention' layers are not known here"},
        {"{\"model_type\":\"gpt_neox\"," SIZES ",\"rotary_pct\":0.01}", "0 rotary dimensions"},
        {"{\"model_type\":\"mystery\"," SIZES ",\"n_routed_experts\":64,\"n_shared_experts\":2,"
         "\"first_k_dense_replace\":1,\"routed_scaling_factor\":1.0}",
         "'mystery' is not a family this engine knows (llama, "},
        {"{\"model_type\":\"mystery\"," SIZES ",\"n_routed_experts\":64,\"n_shared_experts\":2,"
         "\"first_k_dense_replace\":1,\"routed_scaling_factor\":1.0}",
         "; nearest: glm4_moe, which reads 10 of the 11 keys here"},
        {"{\"model_type\":\"mystery_vl\",\"text_config\":{" SIZES ",\"hidden_activation\":\"gelu\","
         "\"query_pre_attn_scalar\":256,\"final_logit_softcapping\":30,\"rms_norm_eps\":1}}",
         "; nearest: gemma2, which reads 10 of the 10 keys of text_config"},
        {OPT ",\"do_layer_norm_before\":false}",
         "do_layer_norm_before: only true is known here for opt models: norms behind the sum"},
        {OPT ",\"word_embed_proj_dim\":32}", "word_embed_proj_dim: only 64 is known here for opt "
                                             "models: embeddings that are projected"},
        {OPT ",\"num_kv_heads\":2}", "num_kv_heads: is not known here for opt models"},
        {GPT2 ",\"scale_attn_by_inverse_layer_idx\":true}",
         "scale_attn_by_inverse_layer_idx: only false is known here for gpt2 models"},
        {GPT2 ",\"scale_attn_weights\":false}", "scale_attn_weights: only true is known here"},
        {GPT2 ",\"add_cross_attention\":true}", "add_cross_attention: only false is known here"},
        {BLOOM ",\"apply_residual_connection_post_layernorm\":true}",
         "apply_residual_connection_post_layernorm: only false is known here for bloom models"},
        {FALCON ",\"new_decoder_architecture\":true,\"parallel_attn\":false}",
         "parallel_attn: only true is known here for falcon models"},
        {FALCON ",\"num_ln_in_parallel_attn\":2}",
         "num_ln_in_parallel_attn: only 1 is known here for falcon models"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_arch a;
        wf_status st = read_arch(rows[i].config, NULL, &a);
        if (st != WF_DATA) print_error("row %zu: %s\n", i, rows[i].config);
        assert_int_equal(st, WF_DATA);
        assert_contains(wf_error(), rows[i].says);
        assert_contains(wf_error(), "config.json");
    }
}

// ---- what transformers makes of a configuration (tests/golden/make_configs.py) ------------------

static wf_json *golden_rows(void)
{
    static char text[1 << 20];
    wf_json *doc;
    FILE *file = fopen(WEFT_SOURCE_DIR "/tests/golden/configs.json", "rb");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text, file);
    assert_int_equal(fclose(file), 0);
    assert_ok(wf_json_parse("configs.json", text, n, NULL, &doc));
    return doc;
}

static const char *text_of(wf_json_ref row, const char *key)
{
    const char *text;
    assert_ok(wf_json_get_string_or(row, key, NULL, &text));
    return text;
}

static int64_t number_of(wf_json_ref facts, const char *key)
{
    int64_t value;
    assert_ok(wf_json_get_i64(facts, key, 0, INT32_MAX, &value));
    return value;
}

static void same_rope(const wf_arch *a, int i_rope, wf_json_ref wanted)
{
    float frequency[1024];
    assert_int_equal(a->rotary_dim / 2, wf_json_count(wanted));
    wf_rotary_inv_freq(&a->rope[i_rope], a->rotary_dim, a->max_context, frequency);
    for (int32_t i = 0; i < a->rotary_dim / 2; i++) {
        double value;
        assert_ok(wf_json_read_f64(wf_json_at(wanted, (size_t)i), 0, 1, &value));
        assert_true(fabs((double)frequency[i] - value) <= 1e-6 * value);
    }
}

static void same_frequencies(const wf_arch *a, wf_json_ref facts)
{
    same_rope(a, 0, wf_json_find(facts, "inv_freq"));
    assert_int_equal(a->n_ropes, wf_json_has(facts, "local_freq") ? 2 : 1);
    if (a->n_ropes == 2) same_rope(a, 1, wf_json_find(facts, "local_freq"));
    double is = a->rope[0].attention_factor > 0 ? a->rope[0].attention_factor : 1.0, wanted_scale;
    assert_ok(wf_json_get_f64(facts, "rotary_scale", 0, 1e3, &wanted_scale));
    assert_true(fabs(is - wanted_scale) <= 1e-12 * wanted_scale);
}

static void same_bends(const wf_arch *a, wf_json_ref facts)
{
    double scale, cap;
    if (!wf_json_has(facts, "attn_scale")) return;
    assert_ok(wf_json_get_f64(facts, "attn_scale", 0, 1, &scale));
    assert_true(a->layer[0].scale == (float)scale);
    assert_ok(wf_json_get_f64(facts, "attn_cap", 0, 1e3, &cap));
    assert_true(a->layer[0].softcap == (float)cap);
    assert_ok(wf_json_get_f64(facts, "logit_cap", 0, 1e3, &cap));
    assert_true(a->logit_cap == (float)cap);
}

// Which layers are rotated, where a family has some that are not.
static void same_rotated(const wf_arch *a, wf_json_ref facts)
{
    wf_json_ref rotated = wf_json_find(facts, "rotated");
    if (!wf_json_has(facts, "rotated")) return;
    assert_int_equal(wf_json_count(rotated), a->n_layers);
    for (int32_t i = 0; i < a->n_layers; i++) {
        int64_t is;
        assert_ok(wf_json_read_i64(wf_json_at(rotated, (size_t)i), 0, 1, &is));
        assert_int_equal(a->layer[i].i_rope, is ? 0 : -1);
    }
}

static void same_facts(const wf_arch *a, wf_json_ref facts)
{
    double eps;
    wf_json_ref eos = wf_json_find(facts, "eos");
    assert_int_equal(a->layer[0].n_heads, number_of(facts, "n_heads"));
    assert_int_equal(a->layer[0].n_kv_heads, number_of(facts, "n_kv_heads"));
    assert_int_equal(a->head_dim, number_of(facts, "head_dim"));
    assert_int_equal(a->max_context, number_of(facts, "context"));
    wf_json_ref windows = wf_json_find(facts, "windows");
    assert_int_equal(wf_json_count(windows), a->n_layers);
    for (int32_t i = 0; i < a->n_layers; i++) {
        int64_t window;
        assert_ok(wf_json_read_i64(wf_json_at(windows, (size_t)i), 0, INT32_MAX, &window));
        assert_int_equal(a->layer[i].window, window);
    }
    assert_ok(wf_json_get_f64(facts, "norm_eps", 0, 1, &eps));
    assert_true(a->norm_eps == (float)eps);
    same_frequencies(a, facts);
    same_bends(a, facts);
    same_rotated(a, facts);
    assert_int_equal(a->n_eos, wf_json_count(eos));
    for (int32_t i = 0; i < a->n_eos; i++) {
        int64_t id;
        assert_ok(wf_json_read_i64(wf_json_at(eos, (size_t)i), 0, INT32_MAX, &id));
        assert_int_equal(a->eos[i], id);
    }
}

static void as_transformers_reads_it(void **state)
{
    (void)state;
    wf_json *doc = golden_rows();
    wf_json_ref rows = wf_json_find(wf_json_root(doc), "rows");
    for (size_t i = 0; i < wf_json_count(rows); i++) {
        wf_json_ref row = wf_json_at(rows, i);
        const char *refused = text_of(row, "refused");
        wf_arch a;
        print_message("%s\n", text_of(row, "name"));
        wf_status st = read_arch(text_of(row, "config"), text_of(row, "generation"), &a);
        assert_int_equal(st, refused ? WF_DATA : WF_OK);
        if (refused) assert_contains(wf_error(), refused);
        if (wf_json_has(row, "facts")) same_facts(&a, wf_json_find(row, "facts"));
    }
    wf_json_destroy(&doc);
}

// What a job that trusts passes over: keys it does not know, and nothing that it does.
static void trusted(void **state)
{
    (void)state;
    wf_arch a;
    trusts = true;
    assert_ok(
        read_arch(LLAMA(",\"auto_map\":{\"AutoConfig\":\"x.X\"},\"use_magic\":true"), NULL, &a));
    assert_int_equal(read_arch(LLAMA(",\"rope_scaling\":{\"rope_type\":\"ntk\"}"), NULL, &a),
                     WF_DATA);
    trusts = false;
}

static void tensor_parallel_sizes(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(LLAMA(",\"num_key_value_heads\":4"), NULL, &a));
    static const int32_t good[] = {1, 2, 4, 8}, bad[] = {0, -1, 3, 16};
    for (size_t i = 0; i < N_ROWS(good); i++)
        assert_ok(wf_arch_check_tp(&a, good[i]));
    for (size_t i = 0; i < N_ROWS(bad); i++)
        assert_int_equal(wf_arch_check_tp(&a, bad[i]), WF_CONFIG);
    assert_int_equal(wf_arch_check_tp(&a, 3), WF_CONFIG);
    assert_contains(wf_error(), "3 does not split the model's 8 heads, 4 key/value heads and FFN "
                                "size 96; sizes that do: 1, 2, 4, 8");
    assert_int_equal(wf_arch_layer_share(&a, 0, 8).n_kv_heads, 1); // each is on two ranks
}

// Llama-3-8B's well-known figures: 8.03e9 parameters, 128 KiB of KV per token in bf16.
static void bytes_of_llama_3_8b(void **state)
{
    (void)state;
    wf_arch a;
    wf_arch_memory one, four;
    assert_ok(
        read_arch("{\"model_type\":\"llama\",\"hidden_size\":4096,\"intermediate_size\":14336,"
                  "\"max_position_embeddings\":8192,\"num_attention_heads\":32,"
                  "\"num_hidden_layers\":32,\"num_key_value_heads\":8,\"vocab_size\":128256}",
                  NULL, &a));
    wf_numerics num = wf_numerics_of(WF_BF16);
    wf_arch_bytes(&a, &num, 1, 0, &one);
    wf_arch_bytes(&a, &num, 4, 0, &four);
    assert_int_equal(one.n_params, 8030261248);
    assert_int_equal(one.kv_bytes_per_token, 128 * 1024);
    assert_int_equal(four.kv_bytes_per_token, 32 * 1024);
    assert_in_range(one.weight_bytes, 2 * one.n_params, 2 * one.n_params + (8 << 20));
    assert_in_range(four.weight_bytes, one.weight_bytes / 4, one.weight_bytes / 4 + (4 << 20));
    assert_in_range(one.step_read_bytes, 15000000000, 15020000000);
    wf_arch_step step = wf_arch_step_bytes(&a, &num, 1, 8, 1000);
    assert_int_equal(step.weights, one.step_read_bytes);
    assert_int_equal(step.experts, 0);
    assert_int_equal(step.kv, 8000 * one.kv_bytes_per_token);
    assert_int_equal(wf_arch_vocab_slice(&a, 1), 128256);
    a.n_vocab = 10;
    assert_int_equal(wf_arch_vocab_slice(&a, 4), 3);
}

// Mixtral of one layer, with a window: two of its eight experts for one row, nearly all for many;
// no more of a context than the window.
static void bytes_of_steps_with_experts(void **state)
{
    (void)state;
    wf_arch a;
    wf_arch_memory all;
    assert_ok(read_arch("{\"model_type\":\"mixtral\",\"hidden_size\":64,\"intermediate_size\":96,"
                        "\"max_position_embeddings\":4096,\"num_attention_heads\":8,"
                        "\"num_hidden_layers\":1,\"num_key_value_heads\":4,\"vocab_size\":100,"
                        "\"num_local_experts\":8,\"num_experts_per_tok\":2,\"sliding_window\":100}",
                        NULL, &a));
    wf_numerics num = wf_numerics_of(WF_BF16);
    wf_arch_bytes(&a, &num, 1, 0, &all);
    assert_int_equal(all.experts_bytes, 8 * 3 * 64 * 96 * 2);
    wf_arch_step one = wf_arch_step_bytes(&a, &num, 1, 1, 50);
    wf_arch_step many = wf_arch_step_bytes(&a, &num, 1, 64, 1000);
    assert_int_equal(one.experts, all.experts_bytes / 4);
    assert_int_equal(one.weights, all.step_read_bytes - all.experts_bytes);
    assert_int_equal(one.kv, 50 * all.kv_bytes_per_token);
    assert_in_range(many.experts, all.experts_bytes * 9 / 10, all.experts_bytes);
    assert_int_equal(many.kv, 64 * 100 * all.kv_bytes_per_token);
    wf_arch_step half = wf_arch_step_bytes(&a, &num, 2, 1, 50);
    assert_int_equal(half.experts, one.experts / 2);
}

// Qwen3-8B as published: 8.19e9 parameters, 144 KiB of KV per token in bf16.
static void bytes_of_qwen3_8b(void **state)
{
    (void)state;
    wf_arch a;
    wf_arch_memory one;
    wf_numerics num = wf_numerics_of(WF_BF16);
    assert_ok(read_arch("{\"model_type\":\"qwen3\",\"attention_bias\":false,\"head_dim\":128,"
                        "\"hidden_act\":\"silu\",\"hidden_size\":4096,\"intermediate_size\":12288,"
                        "\"max_position_embeddings\":40960,\"max_window_layers\":36,"
                        "\"num_attention_heads\":32,\"num_hidden_layers\":36,"
                        "\"num_key_value_heads\":8,\"rms_norm_eps\":1e-06,\"rope_scaling\":null,"
                        "\"rope_theta\":1000000,\"sliding_window\":null,"
                        "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
                        "\"use_cache\":true,\"use_sliding_window\":false,\"vocab_size\":151936}",
                        NULL, &a));
    wf_arch_bytes(&a, &num, 1, 0, &one);
    assert_int_equal(one.n_params, 8190735360);
    assert_int_equal(one.kv_bytes_per_token, 144 * 1024);
    assert_int_equal(a.max_context, 40960);
    assert_ok(wf_arch_check_tp(&a, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_with_defaults),
        cmocka_unit_test(both_generations_of_keys),
        cmocka_unit_test(tokens_that_end),
        cmocka_unit_test(other_families),
        cmocka_unit_test(positions_that_are_not_rotated),
        cmocka_unit_test(falcons),
        cmocka_unit_test(refused),
        cmocka_unit_test(as_transformers_reads_it),
        cmocka_unit_test(trusted),
        cmocka_unit_test(tensor_parallel_sizes),
        cmocka_unit_test(bytes_of_llama_3_8b),
        cmocka_unit_test(bytes_of_steps_with_experts),
        cmocka_unit_test(bytes_of_qwen3_8b),
    };
    return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
