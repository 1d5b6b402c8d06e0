// Models with experts: their configurations, what of them is refused, how a group shares them, and
// checkpoints that are not of the configuration beside them.
#include "tests/io/test_safetensors_file.h"

#include "engine/model.h"
#include "engine/model_check.h"
#include "engine/model_packed.h"
#include "engine/model_parts.h"

#include <math.h>

static wf_status read_arch(const char *config, wf_arch *out)
{
    wf_hf_folder *hf;
    test_write_text(test_path(test_folder, "config.json"), config);
    assert_ok(wf_hf_folder_open(test_folder, false, &hf));
    wf_status st = wf_arch_read(hf, false, out);
    wf_hf_folder_close(&hf);
    return st;
}

// As they are published.
static const char qwen3_30b[] =
    "{\"architectures\":[\"Qwen3MoeForCausalLM\"],\"attention_bias\":false,"
    "\"attention_dropout\":0.0,\"bos_token_id\":151643,\"decoder_sparse_step\":1,"
    "\"eos_token_id\":151645,\"head_dim\":128,\"hidden_act\":\"silu\",\"hidden_size\":2048,"
    "\"initializer_range\":0.02,\"intermediate_size\":6144,\"max_position_embeddings\":40960,"
    "\"max_window_layers\":48,\"mlp_only_layers\":[],\"model_type\":\"qwen3_moe\","
    "\"moe_intermediate_size\":768,\"norm_topk_prob\":true,\"num_attention_heads\":32,"
    "\"num_experts\":128,\"num_experts_per_tok\":8,\"num_hidden_layers\":48,"
    "\"num_key_value_heads\":4,\"output_router_logits\":false,\"rms_norm_eps\":1e-06,"
    "\"rope_scaling\":null,\"rope_theta\":1000000.0,\"router_aux_loss_coef\":0.001,"
    "\"sliding_window\":null,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
    "\"transformers_version\":\"4.51.0\",\"use_cache\":true,\"use_sliding_window\":false,"
    "\"vocab_size\":151936}";
static const char mixtral_8x7b[] =
    "{\"architectures\":[\"MixtralForCausalLM\"],\"attention_dropout\":0.0,\"bos_token_id\":1,"
    "\"eos_token_id\":2,\"hidden_act\":\"silu\",\"hidden_size\":4096,\"initializer_range\":0.02,"
    "\"intermediate_size\":14336,\"max_position_embeddings\":32768,\"model_type\":\"mixtral\","
    "\"num_attention_heads\":32,\"num_experts_per_tok\":2,\"num_hidden_layers\":32,"
    "\"num_key_value_heads\":8,\"num_local_experts\":8,\"output_router_logits\":false,"
    "\"rms_norm_eps\":1e-05,\"rope_theta\":1000000.0,\"router_aux_loss_coef\":0.02,"
    "\"sliding_window\":null,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
    "\"transformers_version\":\"4.36.0.dev0\",\"use_cache\":true,\"vocab_size\":32000}";

static void published_models(void **state)
{
    (void)state;
    wf_arch a;
    wf_arch_memory m;
    char words[160];
    const wf_numerics num = wf_numerics_of(WF_BF16);
    assert_ok(read_arch(qwen3_30b, &a));
    const wf_arch_layer *l = &a.layer[47];
    assert_int_equal(l->feed_forward, WF_BLOCK_EXPERTS);
    assert_int_equal(l->n_experts, 128);
    assert_int_equal(l->n_choices, 8);
    assert_int_equal(l->expert_ffn, 768);
    assert_int_equal(l->shared_ffn + l->ffn, 0);
    assert_true(a.router.renormalise && a.router.score == WF_SCORE_SOFTMAX);
    wf_arch_bytes(&a, &num, 1, 0, &m);
    assert_in_range(m.n_params, 30500000000, 30560000000); // its name says 30.5B
    assert_true(fabs(wf_arch_experts_touched(&a, 1) - 8.0 / 128) < 1e-12);
    assert_in_range(m.step_read_bytes - m.experts_bytes, 2400000000, 2500000000);
    assert_string_equal(wf_arch_experts_words(&a, 1, words, sizeof words),
                        "128 in each of 48 layers, 8 of them for a token");
    assert_ok(read_arch(mixtral_8x7b, &a));
    assert_int_equal(a.layer[0].expert_ffn, 14336);
    assert_int_equal(a.layer[0].n_experts, 8);
    assert_true(a.router.renormalise);
    wf_arch_bytes(&a, &num, 1, 0, &m);
    assert_in_range(m.n_params, 46690000000, 46710000000);
}

#define SIZES                                                                                      \
    "\"hidden_size\":64,\"intermediate_size\":96,\"max_position_embeddings\":512,"                 \
    "\"num_attention_heads\":8,\"num_hidden_layers\":6,\"vocab_size\":261"
#define QWEN(more)    "{\"model_type\":\"qwen2_moe\"," SIZES ",\"num_key_value_heads\":8" more "}"
#define MIXTRAL(more) "{\"model_type\":\"mixtral\"," SIZES more "}"

static void layers_with_experts_and_without(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(QWEN(",\"decoder_sparse_step\":2,\"mlp_only_layers\":[3,77]"), &a));
    for (int i = 0; i < 6; i++) { // every second one, but 3
        bool experts = i == 1 || i == 5;
        assert_int_equal(a.layer[i].feed_forward, experts ? WF_BLOCK_EXPERTS : WF_BLOCK_DENSE);
        assert_int_equal(a.layer[i].ffn, experts ? 0 : 96);
        assert_int_equal(a.layer[i].n_experts, experts ? 60 : 0);
        assert_int_equal(a.layer[i].shared_ffn, experts ? 5632 : 0);
    }
    assert_false(a.router.renormalise);
    assert_true(a.bias_qkv);
    assert_ok(read_arch(QWEN(",\"norm_topk_prob\":true,\"qkv_bias\":false"), &a));
    assert_true(a.router.renormalise && !a.bias_qkv);
}

#define GLM(more) "{\"model_type\":\"glm4_moe\"," SIZES more "}"

static void sigmoids_and_groups(void **state)
{
    (void)state;
    wf_arch a;
    assert_ok(read_arch(GLM(",\"n_group\":8,\"topk_group\":4,\"routed_scaling_factor\":2.5,"
                            "\"first_k_dense_replace\":2,\"n_shared_experts\":2"),
                        &a));
    assert_int_equal(a.router.score, WF_SCORE_SIGMOID);
    assert_int_equal(a.router.n_groups, 8);
    assert_int_equal(a.router.n_best_groups, 4);
    assert_true(a.router.scale == 2.5f && a.router.renormalise);
    assert_int_equal(a.layer[1].feed_forward, WF_BLOCK_DENSE);
    assert_int_equal(a.layer[2].feed_forward, WF_BLOCK_EXPERTS);
    assert_int_equal(a.layer[2].shared_ffn, 2 * 1408);
    assert_int_equal(a.rotary_dim, 4);
    assert_false(a.head_norms); // GLM-4.5-Air
    assert_ok(read_arch(GLM(",\"first_k_dense_replace\":0"), &a));
    assert_int_equal(a.layer[0].feed_forward, WF_BLOCK_EXPERTS);
}

static void impossible_experts(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } rows[] = {
        {MIXTRAL(",\"num_experts_per_tok\":9"), "9 of 8 experts"},
        {MIXTRAL(",\"num_experts_per_tok\":33"), "num_experts_per_tok"},
        {MIXTRAL(",\"num_local_experts\":0"), "num_local_experts"},
        {MIXTRAL(",\"num_local_experts\":513"), "num_local_experts"},
        {MIXTRAL(",\"n_shared_experts\":1"), "n_shared_experts"},
        {QWEN(",\"moe_intermediate_size\":null"), "experts of size 0"},
        {QWEN(",\"mlp_only_layers\":[-1]"), "mlp_only_layers"},
        {QWEN(",\"mlp_only_layers\":3"), "mlp_only_layers"},
        {QWEN(",\"norm_topk_prob\":1"), "norm_topk_prob"},
        {GLM(",\"n_group\":3"), "128 experts in 3 groups"},
        {GLM(",\"n_group\":64,\"topk_group\":3"), "n_group"},
        {GLM(",\"n_group\":32,\"topk_group\":1"), "cannot give 8"},
        {GLM(",\"use_qk_norm\":1"), "use_qk_norm"},
        {GLM(",\"routed_scaling_factor\":-1"), "routed_scaling_factor"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_arch a;
        assert_int_equal(read_arch(rows[i].config, &a), WF_DATA);
        assert_contains(wf_error(), rows[i].says);
    }
}

// ---- a group ------------------------------------------------------------------------------------

static void a_group_shares_experts(void **state)
{
    (void)state;
    char words[160];
    wf_arch a;
    assert_ok(read_arch(MIXTRAL(""), &a));
    assert_ok(wf_arch_spread_experts(&a, 0, 4)); // 96 / 4 columns are whole pieces
    assert_int_equal(a.expert_parts, 1);
    assert_int_equal(wf_arch_layer_share(&a, 0, 4).expert_ffn, 24);
    assert_ok(wf_arch_spread_experts(&a, 0, 8)); // 12 are not
    assert_int_equal(a.expert_parts, 2);
    wf_arch_layer share = wf_arch_layer_share(&a, 0, 8);
    assert_int_equal(share.expert_ffn, 24);
    assert_int_equal(share.n_experts, 4);
    assert_int_equal(wf_arch_first_expert(&a, 0, 3, 8), 0);
    assert_int_equal(wf_arch_first_expert(&a, 0, 4, 8), 4);
    assert_string_equal(wf_arch_experts_words(&a, 8, words, sizeof words),
                        "8 in each of 6 layers, 2 of them for a token; 4 on each 4 of 8 ranks, "
                        "split over them");
    assert_ok(wf_arch_spread_experts(&a, 8, 8));
    assert_int_equal(wf_arch_layer_share(&a, 0, 8).n_experts, 1);
    assert_int_equal(wf_arch_layer_share(&a, 0, 8).expert_ffn, 96);
    assert_ok(wf_arch_check_tp(&a, 8));
    assert_int_equal(wf_arch_spread_experts(&a, 3, 8), WF_CONFIG);
    assert_contains(wf_error(), "parallel.experts: 3 must divide parallel.tensor 8");
    assert_int_equal(wf_arch_spread_experts(&a, 16, 16), WF_CONFIG);
    assert_contains(wf_error(), "the model's 8 experts");
    assert_ok(read_arch("{\"model_type\":\"llama\"," SIZES "}", &a));
    assert_ok(wf_arch_spread_experts(&a, 1, 8));
    assert_int_equal(wf_arch_spread_experts(&a, 2, 8), WF_CONFIG);
    assert_contains(wf_error(), "llama models have no experts");
}

// Every expert's every number is on one rank, whatever the layout.
static void all_of_it_is_somewhere(void **state)
{
    (void)state;
    static const int layouts[][2] = {{1, 1}, {2, 1}, {2, 2}, {4, 1}, {4, 2}, {4, 4}, {8, 2}};
    wf_arch a;
    assert_ok(read_arch(MIXTRAL(""), &a));
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        static uint8_t seen[2][8][96]; // gate rows, down columns
        int tp = layouts[i][0];
        memset(seen, 0, sizeof seen);
        assert_ok(wf_arch_spread_experts(&a, layouts[i][1], tp));
        for (int rank = 0; rank < tp; rank++) {
            const wf_place place = {.arch = &a, .i_layer = 2, .tp_rank = rank, .tp_size = tp};
            wf_slice s;
            for (int at = 0; wf_slice_next(&place, &at, &s);) {
                bool up = s.part[0]->role == WF_ROLE_EXPERT_GATE;
                if (!up && s.part[0]->role != WF_ROLE_EXPERT_DOWN) continue;
                int64_t first = up ? wf_slice_piece(&s, 0, 0).first : s.col;
                int64_t n = up ? wf_slice_piece(&s, 0, 0).n : s.n_cols;
                for (int e = 0; e < s.n_groups; e++)
                    for (int64_t k = 0; k < n; k++)
                        seen[!up][s.first_group + e][first + k]++;
            }
        }
        for (size_t k = 0; k < sizeof seen; k++)
            assert_int_equal(((uint8_t *)seen)[k], 1);
    }
}

// ---- checkpoints --------------------------------------------------------------------------------

// The mini model's weights under a configuration that says another number of something.
static wf_status check_with(const char *model, const char *was, const char *is)
{
    char source[512], text[4096];
    wf_hf_folder *hf;
    wf_arch a;
    snprintf(source, sizeof source, "%s/tests/golden/%s/config.json", WEFT_SOURCE_DIR, model);
    FILE *file = fopen(source, "rb");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    char *at = strstr(text, was);
    assert_non_null(at);
    char config[4200];
    snprintf(config, sizeof config, "%.*s%s%s", (int)(at - text), text, is, at + strlen(was));
    test_write_text(test_path(test_folder, "config.json"), config);
    snprintf(source, sizeof source, "%s/tests/golden/%s/model.safetensors", WEFT_SOURCE_DIR, model);
    unlink(test_path(test_folder, "model.safetensors"));
    assert_int_equal(symlink(source, test_path(test_folder, "model.safetensors")), 0);
    assert_ok(wf_hf_folder_open(test_folder, true, &hf));
    wf_status st = wf_arch_read(hf, false, &a);
    if (st == WF_OK) st = wf_model_check(&a, hf);
    wf_hf_folder_close(&hf);
    unlink(test_path(test_folder, "model.safetensors"));
    return st;
}

static void checkpoints_of_another_count(void **state)
{
    (void)state;
    static const struct {
        const char *model, *was, *is, *says;
    } rows[] = {
        {"mixtral-mini", "\"num_local_experts\": 8", "\"num_local_experts\": 7",
         "layers.0.block_sparse_moe.gate.weight: shape [8, 32], expected [7, 32]"},
        {"mixtral-mini", "\"num_local_experts\": 8", "\"num_local_experts\": 9",
         "layers.0.block_sparse_moe.gate.weight: shape [8, 32], expected [9, 32]"},
        {"mixtral-mini", "\"intermediate_size\": 32", "\"intermediate_size\": 40", "experts.0.w1"},
        {"qwen3-moe-mini", "\"mlp_only_layers\": [\n    1\n  ]", "\"mlp_only_layers\": []",
         "layers.1.mlp.gate.weight"},
        {"qwen3-moe-mini", "\"mlp_only_layers\": [\n    1\n  ]", "\"mlp_only_layers\": [0, 1]",
         "layers.0.mlp"},
        {"gpt-oss-mini", "\"num_local_experts\": 6", "\"num_local_experts\": 5", "mlp.router"},
        {"gpt-oss-mini", "\"intermediate_size\": 64", "\"intermediate_size\": 96",
         "gate_up_proj_blocks: shape [6, 128, 2, 16], expected [6, 192, 2, 16]"},
        {"gpt-oss-mini", "\"swiglu_limit\": 7.0", "\"swiglu_limit\": 8.0", "swiglu_limit"},
        {"gpt-oss-mini", "\"quant_method\": \"mxfp4\"", "\"quant_method\": \"fp8\"",
         "weight_block_size"},
        {"qwen2-moe-mini", "\"shared_expert_intermediate_size\": 64",
         "\"shared_expert_intermediate_size\": 32", "shared_expert"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(check_with(rows[i].model, rows[i].was, rows[i].was));
        assert_int_not_equal(check_with(rows[i].model, rows[i].was, rows[i].is), WF_OK);
        assert_contains(wf_error(), rows[i].says);
    }
}

// Layers that predict further tokens stand behind the last and are not used.
static void layers_that_are_not_used(void **state)
{
    (void)state;
    const char *model = "glm4-moe-mini", *n = "\"num_hidden_layers\": 3";
    assert_ok(check_with(model, n, "\"num_hidden_layers\": 2"));
    assert_int_equal(check_with(model, n, "\"num_hidden_layers\": 1"), WF_DATA);
    assert_contains(wf_error(), "model.layers.2.");
}

// Against the definition: sign, two bits of exponent, one of mantissa, times 2^(scale - 127).
static void codes_are_unpacked(void **state)
{
    (void)state;
    static const float magnitude[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    static const uint8_t scales[4] = {127, 0, 254, 120};
    uint8_t codes[64];
    uint16_t out[128];
    for (int i = 0; i < 64; i++)
        codes[i] = (uint8_t)(i * 37 + 11);
    assert_int_equal(wf_mxfp4_unpack(codes, scales, 128, out), -1);
    for (int i = 0; i < 128; i++) {
        int code = codes[i / 2] >> (i % 2 * 4) & 15;
        float want = ldexpf(code & 8 ? -magnitude[code & 7] : magnitude[code & 7],
                            (int)scales[i / 32] - 127);
        uint32_t bits = (uint32_t)out[i] << 16;
        float is;
        memcpy(&is, &bits, 4);
        if (isinf(want))
            assert_true(isinf(is)); // 4 and 6 times 2^127
        else
            assert_true(is == want && signbit(is) == signbit(want));
    }
    assert_int_equal(wf_mxfp4_unpack(codes, (const uint8_t[]){1, 255}, 64, out), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_models),
        cmocka_unit_test(layers_with_experts_and_without),
        cmocka_unit_test(impossible_experts),
        cmocka_unit_test(sigmoids_and_groups),
        cmocka_unit_test(layers_that_are_not_used),
        cmocka_unit_test(a_group_shares_experts),
        cmocka_unit_test(all_of_it_is_somewhere),
        cmocka_unit_test(checkpoints_of_another_count),
        cmocka_unit_test(codes_are_unpacked),
    };
    return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
