#include "tests/base/base_test.h"

#include "engine/family.h"

static void known_and_unknown(void **state)
{
    (void)state;
    static const char *const known[] = {"llama", "mistral", "qwen2", "qwen3", "gptj", "gpt_neox"};
    static const struct {
        const char *type, *says;
    } unknown[] = {
        {"lama", "config.json: model_type: 'lama' is not a family this engine knows (llama, "},
        {"gpt-neox", "did you mean 'gpt_neox'?"},
        {"GPTNeoX", "did you mean 'gpt_neox'?"},
        {"Llama", "did you mean 'llama'?"},
        {"t5", "'t5' is not a family this engine knows (llama,"},
        {"", "'' is not a family"},
        {"a_type_with_a_very_long_name_that_no_one_could_have_meant_to_write", "is not a family"},
    };
    static const char *const others[] = {"llama4", "qwen4_moe", "qwen4", "gpt_neo", "lama"};
    const wf_family *family = NULL;
    for (size_t i = 0; i < N_ROWS(known); i++) {
        assert_ok(wf_family_find("config.json", known[i], &family));
        assert_string_equal(family->name, known[i]);
    }
    for (size_t i = 0; i < N_ROWS(unknown); i++) {
        assert_int_equal(wf_family_find("config.json", unknown[i].type, &family), WF_DATA);
        assert_contains(wf_error(), unknown[i].says);
    }
    for (size_t i = 0; i < N_ROWS(others); i++) { // another model is no typing error
        assert_int_equal(wf_family_find("config.json", others[i], &family), WF_DATA);
        assert_null(strstr(wf_error(), "did you mean"));
    }
}

static void tensor_names(void **state)
{
    (void)state;
    const wf_family *llama, *neox;
    char name[96];
    assert_ok(wf_family_find("", "llama", &llama));
    assert_ok(wf_family_find("", "gpt_neox", &neox));
    assert_string_equal(
        wf_family_tensor_name(llama, WF_ROLE_Q, 31, 0, ".weight", name, sizeof name),
        "model.layers.31.self_attn.q_proj.weight");
    assert_string_equal(
        wf_family_tensor_name(llama, WF_ROLE_HEAD, 3, 0, ".weight", name, sizeof name),
        "lm_head.weight");
    assert_string_equal(wf_family_tensor_name(neox, WF_ROLE_QKV, 0, 0, ".bias", name, sizeof name),
                        "gpt_neox.layers.0.attention.query_key_value.bias");
    assert_ok(wf_family_find("", "mixtral", &llama));
    assert_string_equal(
        wf_family_tensor_name(llama, WF_ROLE_EXPERT_UP, 3, 117, ".weight", name, sizeof name),
        "model.layers.3.block_sparse_moe.experts.117.w3.weight");
    assert_string_equal(wf_family_tensor_name(neox, WF_ROLE_EMBED, 0, 0, "", name, 8), "gpt_neo");
}

// What every row must hold for the loader and the forward pass to make sense of it.
static void rows_are_complete(void **state)
{
    (void)state;
    static const wf_config_key needed[] = {WF_KEY_N_LAYERS, WF_KEY_HIDDEN, WF_KEY_N_HEADS,
                                           WF_KEY_VOCAB, WF_KEY_MAX_CONTEXT};
    static const wf_role roles[] = {WF_ROLE_EMBED, WF_ROLE_O, WF_ROLE_DOWN, WF_ROLE_FINAL_NORM,
                                    WF_ROLE_HEAD};
    for (size_t i = 0; i < wf_family_count(); i++) {
        const wf_family *f = wf_family_at(i);
        for (size_t k = 0; k < N_ROWS(needed); k++)
            assert_non_null(f->keys[needed[k]][0]);
        assert_true(f->keys[WF_KEY_FFN][0] || f->ffn_is_4_hidden);
        for (size_t k = 0; k < N_ROWS(roles); k++)
            assert_true(f->names[roles[k]] || (f->bidirectional && k >= 3) ||
                        (roles[k] == WF_ROLE_O && f->names[WF_ROLE_LATENT_O]));
        bool separate = f->names[WF_ROLE_Q] && f->names[WF_ROLE_K] && f->names[WF_ROLE_V];
        bool latent = f->names[WF_ROLE_LATENT_KV_A] && f->names[WF_ROLE_LATENT_KV_NORM] &&
                      f->names[WF_ROLE_LATENT_K] && f->names[WF_ROLE_LATENT_V];
        assert_int_equal(latent, f->keys[WF_KEY_KV_RANK][0] != NULL);
        assert_int_equal(separate || latent, f->names[WF_ROLE_QKV] == NULL);
        if (f->gated) {
            bool gate = f->names[WF_ROLE_GATE] && f->names[WF_ROLE_UP];
            assert_int_equal(gate, f->names[WF_ROLE_GATE_UP] == NULL);
        } else {
            assert_non_null(f->names[WF_ROLE_UP]);
            assert_null(f->names[WF_ROLE_GATE]);
        }
        assert_true(f->names[WF_ROLE_MLP_NORM] || f->names[WF_ROLE_MLP_AFTER] ||
                    f->parallel_residual);
        assert_true(f->names[WF_ROLE_ATTN_NORM] || f->names[WF_ROLE_ATTN_AFTER]);
        assert_int_equal(f->names[WF_ROLE_ATTN_AFTER] == NULL, f->names[WF_ROLE_MLP_AFTER] == NULL);
        assert_int_equal(f->names[WF_ROLE_POSITIONS] != NULL, f->position == WF_POSITION_LEARNED);
        assert_int_equal(f->names[WF_ROLE_Q_NORM] == NULL, f->names[WF_ROLE_K_NORM] == NULL);
        bool default_has_a_name = false;
        for (const wf_activation_name *a = f->activation_names; a->name; a++)
            default_has_a_name |= a->curve == f->curve;
        assert_true(default_has_a_name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_and_unknown),
        cmocka_unit_test(tensor_names),
        cmocka_unit_test(rows_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
