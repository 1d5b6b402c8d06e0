// Keys of config.json that nobody here reads. One that could change tokens must be refused: a model
// that is nearly understood gives nearly right tokens. What is known to be harmless is a table,
// made by reading what transformers does with each key; the family's row has its own part of it
// (`unread`: keys that the reference implementation of that family does not look at).
#include "engine/arch_reader.h"

#include <stdio.h>
#include <string.h>

// A null is harmless everywhere.
typedef enum harmless_when { ANY, IF_FALSE, IF_TRUE, IF_EMPTY, IF_ABSOLUTE, IF_ONE } harmless_when;

typedef struct harmless_key {
    const char *name;
    harmless_when when;
} harmless_key;

// Read elsewhere, for every family.
static const char *const read_keys[] = {
    "model_type",
    "tie_word_embeddings",
    "dtype",
    "torch_dtype",
    "eos_token_id",
    "bos_token_id",
    "layer_types",
    "quantization_config",
    "auto_map",
    "sentence_transformers",
    "sbert_ce_default_activation_function", // encode_head.c
};

// clang-format off
static const harmless_key harmless[] = {
    // Where the model comes from, and what it was made with.
    {"_name_or_path", ANY}, {"name_or_path", ANY}, {"_commit_hash", ANY},
    {"architectures", ANY}, {"transformers_version", ANY}, {"transformers.js_config", ANY},
    {"unsloth_version", ANY}, {"unsloth_fixed", ANY}, {"is_llama_config", ANY},
    // Of training.
    {"initializer_range", ANY}, {"gradient_checkpointing", ANY}, {"attention_dropout", ANY},
    {"hidden_dropout", ANY}, {"classifier_dropout", ANY}, {"hidden_dropout_prob", ANY},
    {"attention_probs_dropout_prob", ANY}, {"attn_pdrop", ANY}, {"embd_pdrop", ANY},
    {"resid_pdrop", ANY}, {"activation_dropout", ANY}, {"dropout", ANY}, {"layerdrop", ANY},
    {"init_std", ANY}, {"pretraining_tp", ANY}, {"router_aux_loss_coef", ANY}, {"router_jitter_noise", ANY},
    {"aux_loss_alpha", ANY}, {"seq_aux", ANY},
    {"initial_context_length", ANY}, // what the rotary table says again
   
    {"output_router_logits", ANY}, {"max_sequence_length", ANY}, {"n_ctx", ANY},
    // How it is computed, not what.
    {"masked_softmax_fusion", ANY}, {"bias_dropout_fusion", ANY}, {"slow_but_exact", ANY},
    {"attention_softmax_in_fp32", ANY}, {"reorder_and_upcast_attn", ANY},
    {"ep_size", ANY},
    {"use_cache", ANY}, {"torchscript", ANY}, {"use_bfloat16", ANY}, {"return_dict", ANY},
    {"output_attentions", ANY}, {"output_hidden_states", ANY}, {"chunk_size_feed_forward", ANY},
    {"tie_last_hidden_states", ANY}, {"tf_legacy_loss", ANY}, {"attn_implementation", ANY},
    {"_attn_implementation", ANY}, {"_attn_implementation_autoset", ANY},
    {"_flash_attn_2_enabled", ANY}, {"cache_implementation", ANY}, {"is_decoder", ANY},
    // Tokens that no text model's forward pass asks for.
    {"pad_token_id", ANY}, {"sep_token_id", ANY}, {"cls_token_id", ANY}, {"unk_token_id", ANY},
    {"mask_token_id", ANY}, {"decoder_start_token_id", ANY}, {"tokenizer_class", ANY},
    {"prefix", ANY},
    // Heads of other tasks.
    {"id2label", ANY}, {"label2id", ANY}, {"num_labels", ANY}, {"problem_type", ANY},
    {"finetuning_task", ANY}, {"task_specific_params", ANY}, {"summary_activation", ANY},
    {"summary_first_dropout", ANY}, {"summary_proj_to_labels", ANY}, {"summary_type", ANY},
    {"summary_use_proj", ANY},
    // Of encoders' training and heads.
    {"directionality", ANY}, {"pooler_fc_size", ANY}, {"pooler_num_attention_heads", ANY},
    {"pooler_num_fc_layers", ANY}, {"pooler_size_per_head", ANY}, {"pooler_type", ANY},
    {"output_past", ANY}, {"sinusoidal_pos_embds", ANY}, {"tie_weights_", ANY}, {"dropout", ANY}, {"qa_dropout", ANY},
    {"mlp_dropout", ANY}, {"embedding_dropout", ANY},
    {"deterministic_flash_attn", ANY}, {"sparse_prediction", ANY},
    {"sparse_pred_ignore_index", ANY}, {"reference_compile", ANY},
    {"repad_logits_with_grad", ANY}, {"initializer_cutoff_factor", ANY}, {"norm_bias", IF_FALSE},
    {"seq_classif_dropout", ANY}, {"classifier_dropout_prob", ANY},
    // Of ALBERT's configurations, read by nobody.
    {"gap_size", ANY}, {"net_structure_type", ANY}, {"num_memory_blocks", ANY},
    {"down_scale_factor", ANY}, {"summary_last_dropout", ANY},
    // Of generation: transformers drops them from a config.json.
    {"do_sample", ANY}, {"temperature", ANY}, {"top_k", ANY}, {"top_p", ANY}, {"min_p", ANY},
    {"typical_p", ANY}, {"epsilon_cutoff", ANY}, {"eta_cutoff", ANY}, {"max_length", ANY},
    {"min_length", ANY}, {"max_new_tokens", ANY}, {"min_new_tokens", ANY}, {"max_time", ANY},
    {"num_beams", ANY}, {"num_beam_groups", ANY}, {"diversity_penalty", ANY},
    {"length_penalty", ANY}, {"early_stopping", ANY}, {"num_return_sequences", ANY},
    {"repetition_penalty", ANY}, {"no_repeat_ngram_size", ANY},
    {"encoder_no_repeat_ngram_size", ANY}, {"bad_words_ids", ANY}, {"guidance_scale", ANY},
    {"forced_bos_token_id", ANY}, {"forced_eos_token_id", ANY}, {"suppress_tokens", ANY},
    {"begin_suppress_tokens", ANY}, {"exponential_decay_length_penalty", ANY},
    {"remove_invalid_values", ANY}, {"renormalize_logits", ANY}, {"output_scores", ANY},
    {"output_logits", ANY}, {"return_dict_in_generate", ANY},
    // Switches of what is not done here.
    {"use_bidirectional_attention", IF_FALSE}, {"is_causal", IF_TRUE}, {"rotary", IF_TRUE}, {"scale_attn_weights", IF_TRUE},
    {"is_encoder_decoder", IF_FALSE}, {"tie_encoder_decoder", IF_FALSE},
    {"add_cross_attention", IF_FALSE}, {"use_mrope", IF_FALSE}, {"rope_interleaved", IF_FALSE},
    {"moe_layer_freq", IF_ONE}, {"mlp_bias", IF_FALSE}, {"qk_layer_norms", IF_FALSE},
    {"position_embedding_type", IF_ABSOLUTE}, {"use_sliding_window", IF_FALSE}, {"pruned_heads", IF_EMPTY}, {"per_layer_config", IF_EMPTY},
};
// clang-format on

static bool is_read_for_all(const char *name)
{
    for (size_t i = 0; i < sizeof read_keys / sizeof *read_keys; i++)
        if (strcmp(name, read_keys[i]) == 0) return true;
    return false;
}

static bool is_read(const wf_arch_reader *r, const char *name)
{
    if (is_read_for_all(name)) return true;
    for (int key = 0; key < WF_N_CONFIG_KEYS; key++) {
        const char *const *names = r->family->keys[key];
        if ((names[0] && strcmp(name, names[0]) == 0) || (names[1] && strcmp(name, names[1]) == 0))
            return true;
    }
    for (const wf_condition *c = r->family->when; c->key; c++)
        if (strcmp(name, c->key) == 0) return true;
    return false;
}

static bool is_flag(wf_json_ref item, bool wanted)
{
    bool value = !wanted;
    return wf_json_kind_of(item) == WF_JSON_BOOL && wf_json_read_bool(item, &value) == WF_OK &&
           value == wanted;
}

static bool is_word(wf_json_ref item, const char *wanted)
{
    const char *word;
    return wf_json_kind_of(item) == WF_JSON_STRING && wf_json_read_string(item, &word) == WF_OK &&
           strcmp(word, wanted) == 0;
}

static const harmless_key *find_harmless(const char *name)
{
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(name, harmless[i].name) == 0) return &harmless[i];
    return NULL;
}

static bool does_no_harm(const harmless_key *key, wf_json_ref item)
{
    switch (key->when) {
    case ANY:
        return true;
    case IF_FALSE:
        return is_flag(item, false);
    case IF_TRUE:
        return is_flag(item, true);
    case IF_ONE: {
        int64_t value = 0;
        return wf_json_kind_of(item) == WF_JSON_INTEGER &&
               wf_json_read_i64(item, INT64_MIN, INT64_MAX, &value) == WF_OK && value == 1;
    }
    case IF_EMPTY:
        return wf_json_count(item) == 0 && wf_json_kind_of(item) >= WF_JSON_ARRAY;
    case IF_ABSOLUTE:
        return is_word(item, "absolute");
    }
    return false;
}

static bool is_unread(const wf_arch_reader *r, wf_json_ref item)
{
    const char *const *names = r->family->unread;
    for (size_t i = 0; i < sizeof r->family->unread / sizeof *names && names[i]; i++) {
        if (strcmp(item.key, names[i]) != 0) continue;
        if (!is_flag(item, false)) {
            wf_arch_warn(
                "%s/config.json: %s is not read: it does nothing in %s models, in transformers "
                "either",
                wf_hf_folder_path(r->folder), item.key, r->family->name);
        }
        return true;
    }
    return false;
}

// What only a job that trusts the file passes over.
static void refuse(wf_arch_reader *r, wf_json_ref item, const char *what, const char *trusting)
{
    if (r->trust) {
        wf_arch_warn("%s/config.json: %s: %s; trusted: %s", wf_hf_folder_path(r->folder), item.key,
                     what, trusting);
        return;
    }
    wf_arch_noted(r, wf_json_fail(item, "%s; with model.trust_config: true %s", what, trusting));
}

static const wf_demand *find_demand(const wf_arch_reader *r, const char *name)
{
    const wf_demand *all = r->family->demands;
    for (size_t i = 0; i < sizeof r->family->demands / sizeof *all && all[i].key; i++)
        if (strcmp(name, all[i].key) == 0) return &all[i];
    return NULL;
}

// A key that may have one value alone, which the row says and why.
static void check_demand(wf_arch_reader *r, const wf_arch *a, const wf_demand *demand,
                         wf_json_ref item)
{
    int64_t value = -1;
    char wanted[32];
    int64_t number = demand->is == WF_DEMAND_HIDDEN ? a->hidden : 1;
    bool flag = demand->is == WF_DEMAND_FALSE || demand->is == WF_DEMAND_TRUE;
    if (flag && is_flag(item, demand->is == WF_DEMAND_TRUE)) return;
    if (!flag && wf_json_kind_of(item) == WF_JSON_INTEGER &&
        wf_json_read_i64(item, INT32_MIN, INT32_MAX, &value) == WF_OK && value == number)
        return;
    snprintf(wanted, sizeof wanted, "%d", (int)number);
    wf_arch_noted(r, wf_json_fail(item, "only %s is known here for %s models: %s",
                                  !flag                           ? wanted
                                  : demand->is == WF_DEMAND_FALSE ? "false"
                                                                  : "true",
                                  r->family->name, demand->why));
}

static void check_key(wf_arch_reader *r, const wf_arch *a, wf_json_ref item)
{
    static const char *const wanted[] = {[IF_FALSE] = "false",
                                         [IF_TRUE] = "true",
                                         [IF_EMPTY] = "an empty one",
                                         [IF_ABSOLUTE] = "absolute",
                                         [IF_ONE] = "1"};
    char what[96];
    const wf_demand *demand = find_demand(r, item.key);
    if (wf_json_kind_of(item) == WF_JSON_NULL) return;
    if (demand) {
        check_demand(r, a, demand, item);
        return;
    }
    if (is_read(r, item.key) || is_unread(r, item) || wf_arch_of_other_parts(r, item)) return;
    const harmless_key *key = find_harmless(item.key);
    if (key && does_no_harm(key, item)) return;
    if (key) {
        wf_arch_noted(r, wf_json_fail(item, "only %s is known here", wanted[key->when]));
        return;
    }
    snprintf(what, sizeof what, "is not known here for %s models and may change tokens",
             r->family->name);
    refuse(r, item, what, "it is passed over");
}

// Two names of one value that say different things: which of them counts depends on who reads.
static void check_twice(wf_arch_reader *r, wf_config_key key)
{
    double a, b;
    const char *const *names = r->family->keys[key];
    if (!names[0] || !names[1] || !wf_json_has(r->root, names[0]) ||
        !wf_json_has(r->root, names[1]))
        return;
    if (wf_json_get_f64(r->root, names[0], -1e15, 1e15, &a) != WF_OK ||
        wf_json_get_f64(r->root, names[1], -1e15, 1e15, &b) != WF_OK || (a >= b && a <= b))
        return;
    wf_arch_noted(r, wf_json_fail(wf_json_find(r->root, names[1]),
                                  "says %g, and %s, another name of it, says %g", b, names[0], a));
}

// Whether every class is one of modules whose code computes what is computed here: "module.Class",
// or "repository--module.Class".
static bool is_known_code(const wf_arch_reader *r, wf_json_ref of)
{
    wf_json_iter it = wf_json_iterate(of);
    bool all = wf_json_kind_of(of) == WF_JSON_OBJECT && r->family->own_code[0];
    for (wf_json_ref item; all && wf_json_next(&it, &item);) {
        const char *text = "", *end;
        bool known = false;
        if (wf_json_kind_of(item) != WF_JSON_STRING || wf_json_read_string(item, &text) != WF_OK)
            return false;
        const char *dashes = strstr(text, "--"), *module = dashes ? dashes + 2 : text;
        end = strchr(module, '.');
        for (size_t i = 0; i < sizeof r->family->own_code / sizeof *r->family->own_code; i++) {
            const char *name = r->family->own_code[i];
            known = known || (end && name && strlen(name) == (size_t)(end - module) &&
                              strncmp(name, module, strlen(name)) == 0);
        }
        all = known;
    }
    return all;
}

static void check_own_code(wf_arch_reader *r)
{
    char trusting[64];
    wf_json_ref of = wf_arch_whole_first(r, "auto_map");
    if (wf_json_kind_of(of) <= WF_JSON_NULL || is_known_code(r, of)) return;
    snprintf(trusting, sizeof trusting, "it is computed as a plain %s model", r->family->name);
    refuse(r, of, "the model comes with code of its own, which is not run here", trusting);
}

// A key of the text part's that the whole says again: transformers looks at neither for text, and
// what is the same does no harm.
static bool says_the_same(const wf_arch_reader *r, wf_json_ref item)
{
    double a, b;
    wf_json_ref text = wf_json_find(r->root, item.key);
    return wf_json_kind_of(text) > WF_JSON_NULL &&
           wf_json_read_f64(item, -1e15, 1e15, &a) == WF_OK &&
           wf_json_read_f64(text, -1e15, 1e15, &b) == WF_OK && a >= b && a <= b;
}

// Keys of the whole, where the text part is a part of it.
static void check_whole(wf_arch_reader *r)
{
    char what[128];
    wf_json_iter it = wf_json_iterate(r->whole);
    if (r->whole.node == r->root.node) return;
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const harmless_key *key = find_harmless(item.key);
        bool known = wf_json_kind_of(item) == WF_JSON_NULL || is_read_for_all(item.key) ||
                     (key && does_no_harm(key, item)) || wf_arch_of_other_parts(r, item) ||
                     says_the_same(r, item);
        if (known) continue;
        snprintf(what, sizeof what, "is not known here for %s folders and may change tokens",
                 r->part->model_type);
        refuse(r, item, what, "it is passed over");
    }
}

void wf_arch_check_keys(wf_arch_reader *r, const wf_arch *a)
{
    wf_json_iter it = wf_json_iterate(r->root);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        bool rope =
            strcmp(item.key, "rope_scaling") == 0 || strcmp(item.key, "rope_parameters") == 0;
        if (!rope || !r->family->keys[WF_KEY_ROPE_THETA][0]) check_key(r, a, item);
    }
    for (int key = 0; key < WF_N_CONFIG_KEYS; key++)
        check_twice(r, (wf_config_key)key);
    check_own_code(r);
    check_whole(r);
}
