// Families that read both ways and make vectors or scores: BERT and its descendants. One row each;
// the columns are explained in family.h.
#include "engine/family_rows.h"

#define GELU_NAMES                                                                                 \
    {"gelu", WF_CURVE_GELU_EXACT}, {"gelu_new", WF_CURVE_GELU_TANH}, {"relu", WF_CURVE_RELU},      \
    {                                                                                              \
        "silu", WF_CURVE_SILU                                                                      \
    }

// BERT's naming under the model's own prefix.
#define BERT_NAMES(prefix)                                                                         \
    [WF_ROLE_EMBED] = prefix "embeddings.word_embeddings",                                         \
    [WF_ROLE_POSITIONS] = prefix "embeddings.position_embeddings",                                 \
    [WF_ROLE_TYPES] = prefix "embeddings.token_type_embeddings",                                   \
    [WF_ROLE_EMBED_NORM] = prefix "embeddings.LayerNorm",                                          \
    [WF_ROLE_Q] = prefix "encoder.layer.{L}.attention.self.query",                                 \
    [WF_ROLE_K] = prefix "encoder.layer.{L}.attention.self.key",                                   \
    [WF_ROLE_V] = prefix "encoder.layer.{L}.attention.self.value",                                 \
    [WF_ROLE_O] = prefix "encoder.layer.{L}.attention.output.dense",                               \
    [WF_ROLE_ATTN_NORM] = prefix "encoder.layer.{L}.attention.output.LayerNorm",                   \
    [WF_ROLE_UP] = prefix "encoder.layer.{L}.intermediate.dense",                                  \
    [WF_ROLE_DOWN] = prefix "encoder.layer.{L}.output.dense",                                      \
    [WF_ROLE_MLP_NORM] = prefix "encoder.layer.{L}.output.LayerNorm"

#define BERT_KEYS                                                                                  \
    [WF_KEY_N_LAYERS] = {"num_hidden_layers"}, [WF_KEY_HIDDEN] = {"hidden_size"},                  \
    [WF_KEY_N_HEADS] = {"num_attention_heads"}, [WF_KEY_FFN] = {"intermediate_size"},              \
    [WF_KEY_VOCAB] = {"vocab_size"}, [WF_KEY_MAX_CONTEXT] = {"max_position_embeddings"},           \
    [WF_KEY_NORM_EPS] = {"layer_norm_eps"}, [WF_KEY_ACTIVATION] = {"hidden_act"},                  \
    [WF_KEY_TYPES] = {"type_vocab_size"}

// A head for scores of two layers (RoBERTa and most others).
#define TWO_LAYER_HEAD                                                                             \
    [WF_ROLE_SCORE_DENSE] = "classifier.dense", [WF_ROLE_SCORE] = "classifier.out_proj"

// A head for masks as RoBERTa has it; its matrix is the embedding table, its bias its own.
#define LM_HEAD_OF_MASKS                                                                           \
    [WF_ROLE_MASK_DENSE] = "lm_head.dense", [WF_ROLE_MASK_NORM] = "lm_head.layer_norm",            \
    [WF_ROLE_MASK_BIAS] = "lm_head.bias=", [WF_ROLE_HEAD] = "lm_head.decoder"

// Blocks of BERT: x = norm(x + attention(x)), x = norm(x + mlp(x)), biases everywhere.
#define BERT_LAYERS                                                                                \
    .norm = WF_NORM_LAYER, .bias_qkv = true, .bias_o = true, .bias_mlp = true,                     \
    .position = WF_POSITION_LEARNED, .bidirectional = true, .post_norm = true,                     \
    .activation_names = {GELU_NAMES}, .tied = true
#define BERT_BLOCKS BERT_LAYERS, .curve = WF_CURVE_GELU_EXACT

// ALBERT's one layer, which all layers are.
#define ALBERT_LAYER "albert.encoder.albert_layer_groups.0.albert_layers.0."

const wf_family wf_family_encoder[] = {
    {
        .name = "bert",
        .model_types = {"bert"},
        BERT_BLOCKS,
        .head_curve = WF_CURVE_TANH,
        .names = {BERT_NAMES("bert."), [WF_ROLE_MASK_DENSE] = "cls.predictions.transform.dense",
                  [WF_ROLE_MASK_NORM] = "cls.predictions.transform.LayerNorm",
                  [WF_ROLE_MASK_BIAS] = "cls.predictions.bias=",
                  [WF_ROLE_HEAD] = "cls.predictions.decoder",
                  [WF_ROLE_SCORE_DENSE] = "bert.pooler.dense", [WF_ROLE_SCORE] = "classifier"},
        .keys = {BERT_KEYS},
        .absent = {[WF_KEY_NORM_EPS] = 1e-12, [WF_KEY_TYPES] = 2},
        .ignored = {".position_ids"},
        .other_tasks = {"cls.", "pooler.", "bert.pooler.", "classifier.", "qa_outputs."},
    },
    {
        .name = "roberta",
        .model_types = {"roberta", "xlm-roberta", "camembert"},
        BERT_BLOCKS,
        .first_position = 2,
        .counts_first = true,
        .head_curve = WF_CURVE_TANH,
        .mask_gelu = true,
        .names = {BERT_NAMES("roberta."), TWO_LAYER_HEAD, LM_HEAD_OF_MASKS},
        .keys = {BERT_KEYS},
        .absent = {[WF_KEY_NORM_EPS] = 1e-12, [WF_KEY_TYPES] = 2},
        .ignored = {".position_ids"},
        .other_tasks = {"lm_head.", "pooler.", "roberta.pooler.", "classifier.", "qa_outputs."},
    },
    {
        .name = "distilbert",
        .model_types = {"distilbert"},
        BERT_BLOCKS,
        .head_curve = WF_CURVE_RELU,
        .names = {[WF_ROLE_EMBED] = "distilbert.embeddings.word_embeddings",
                  [WF_ROLE_POSITIONS] = "distilbert.embeddings.position_embeddings",
                  [WF_ROLE_EMBED_NORM] = "distilbert.embeddings.LayerNorm",
                  [WF_ROLE_Q] = "distilbert.transformer.layer.{L}.attention.q_lin",
                  [WF_ROLE_K] = "distilbert.transformer.layer.{L}.attention.k_lin",
                  [WF_ROLE_V] = "distilbert.transformer.layer.{L}.attention.v_lin",
                  [WF_ROLE_O] = "distilbert.transformer.layer.{L}.attention.out_lin",
                  [WF_ROLE_ATTN_NORM] = "distilbert.transformer.layer.{L}.sa_layer_norm",
                  [WF_ROLE_UP] = "distilbert.transformer.layer.{L}.ffn.lin1",
                  [WF_ROLE_DOWN] = "distilbert.transformer.layer.{L}.ffn.lin2",
                  [WF_ROLE_MLP_NORM] = "distilbert.transformer.layer.{L}.output_layer_norm",
                  [WF_ROLE_MASK_DENSE] = "vocab_transform",
                  [WF_ROLE_MASK_NORM] = "vocab_layer_norm",
                  [WF_ROLE_MASK_BIAS] = "vocab_projector.bias=",
                  [WF_ROLE_HEAD] = "vocab_projector",
                  [WF_ROLE_SCORE_DENSE] = "pre_classifier",
                  [WF_ROLE_SCORE] = "classifier"},
        .keys = {[WF_KEY_N_LAYERS] = {"n_layers"},
                 [WF_KEY_HIDDEN] = {"dim"},
                 [WF_KEY_N_HEADS] = {"n_heads"},
                 [WF_KEY_FFN] = {"hidden_dim"},
                 [WF_KEY_VOCAB] = {"vocab_size"},
                 [WF_KEY_MAX_CONTEXT] = {"max_position_embeddings"},
                 [WF_KEY_ACTIVATION] = {"activation"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-12},
        .ignored = {".position_ids"},
        .other_tasks = {"vocab_", "pre_classifier.", "classifier.", "qa_outputs."},
    },
    {
        .name = "electra",
        .model_types = {"electra"},
        BERT_BLOCKS,
        .head_curve = WF_CURVE_GELU_EXACT,
        .mask_gelu = true,
        .names = {BERT_NAMES("electra."), TWO_LAYER_HEAD,
                  [WF_ROLE_EMBED_UP] = "electra.embeddings_project",
                  [WF_ROLE_MASK_DENSE] = "generator_predictions.dense",
                  [WF_ROLE_MASK_NORM] = "generator_predictions.LayerNorm",
                  [WF_ROLE_MASK_BIAS] = "generator_lm_head.bias=",
                  [WF_ROLE_HEAD] = "generator_lm_head"},
        .keys = {BERT_KEYS, [WF_KEY_EMBED_WIDTH] = {"embedding_size"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-12, [WF_KEY_TYPES] = 2, [WF_KEY_EMBED_WIDTH] = 128},
        .ignored = {".position_ids"},
        .other_tasks = {"discriminator_predictions.", "generator_predictions.",
                        "generator_lm_head.", "classifier."},
    },
    {
        .name = "albert",
        .model_types = {"albert"},
        BERT_LAYERS,
        .curve = WF_CURVE_GELU_TANH,
        .head_curve = WF_CURVE_TANH,
        .always_up = true,
        .names = {[WF_ROLE_EMBED] = "albert.embeddings.word_embeddings",
                  [WF_ROLE_POSITIONS] = "albert.embeddings.position_embeddings",
                  [WF_ROLE_TYPES] = "albert.embeddings.token_type_embeddings",
                  [WF_ROLE_EMBED_NORM] = "albert.embeddings.LayerNorm",
                  [WF_ROLE_EMBED_UP] = "albert.encoder.embedding_hidden_mapping_in",
                  [WF_ROLE_Q] = ALBERT_LAYER "attention.query",
                  [WF_ROLE_K] = ALBERT_LAYER "attention.key",
                  [WF_ROLE_V] = ALBERT_LAYER "attention.value",
                  [WF_ROLE_O] = ALBERT_LAYER "attention.dense",
                  [WF_ROLE_ATTN_NORM] = ALBERT_LAYER "attention.LayerNorm",
                  [WF_ROLE_UP] = ALBERT_LAYER "ffn",
                  [WF_ROLE_DOWN] = ALBERT_LAYER "ffn_output",
                  [WF_ROLE_MLP_NORM] = ALBERT_LAYER "full_layer_layer_norm",
                  [WF_ROLE_SCORE_DENSE] = "albert.pooler",
                  [WF_ROLE_SCORE] = "classifier",
                  [WF_ROLE_MASK_DENSE] = "predictions.dense",
                  [WF_ROLE_MASK_NORM] = "predictions.LayerNorm",
                  [WF_ROLE_MASK_BIAS] = "predictions.bias=",
                  [WF_ROLE_HEAD] = "predictions.decoder"},
        .keys = {BERT_KEYS, [WF_KEY_EMBED_WIDTH] = {"embedding_size"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-12, [WF_KEY_TYPES] = 2, [WF_KEY_EMBED_WIDTH] = 128},
        .demands = {{"num_hidden_groups", WF_DEMAND_ONE, "all layers are one here"},
                    {"inner_group_num", WF_DEMAND_ONE, "all layers are one here"}},
        .ignored = {".position_ids"},
        .other_tasks = {"predictions.", "sop_classifier.", "pooler.", "classifier.", "qa_outputs."},
    },
    {
        .name = "mpnet",
        .model_types = {"mpnet"},
        BERT_BLOCKS,
        .first_position = 2,
        .counts_first = true,
        .head_curve = WF_CURVE_TANH,
        .distance_bias = "mpnet.encoder.relative_attention_bias.weight",
        .names = {[WF_ROLE_EMBED] = "mpnet.embeddings.word_embeddings",
                  [WF_ROLE_POSITIONS] = "mpnet.embeddings.position_embeddings",
                  [WF_ROLE_EMBED_NORM] = "mpnet.embeddings.LayerNorm",
                  [WF_ROLE_Q] = "mpnet.encoder.layer.{L}.attention.attn.q",
                  [WF_ROLE_K] = "mpnet.encoder.layer.{L}.attention.attn.k",
                  [WF_ROLE_V] = "mpnet.encoder.layer.{L}.attention.attn.v",
                  [WF_ROLE_O] = "mpnet.encoder.layer.{L}.attention.attn.o",
                  [WF_ROLE_ATTN_NORM] = "mpnet.encoder.layer.{L}.attention.LayerNorm",
                  [WF_ROLE_UP] = "mpnet.encoder.layer.{L}.intermediate.dense",
                  [WF_ROLE_DOWN] = "mpnet.encoder.layer.{L}.output.dense",
                  [WF_ROLE_MLP_NORM] = "mpnet.encoder.layer.{L}.output.LayerNorm",
                  TWO_LAYER_HEAD,
                  LM_HEAD_OF_MASKS},
        .mask_gelu = true,
        .keys = {[WF_KEY_N_LAYERS] = {"num_hidden_layers"},
                 [WF_KEY_HIDDEN] = {"hidden_size"},
                 [WF_KEY_N_HEADS] = {"num_attention_heads"},
                 [WF_KEY_FFN] = {"intermediate_size"},
                 [WF_KEY_VOCAB] = {"vocab_size"},
                 [WF_KEY_MAX_CONTEXT] = {"max_position_embeddings"},
                 [WF_KEY_NORM_EPS] = {"layer_norm_eps"},
                 [WF_KEY_ACTIVATION] = {"hidden_act"},
                 [WF_KEY_DISTANCES] = {"relative_attention_num_buckets"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-12, [WF_KEY_DISTANCES] = 32},
        .ignored = {".position_ids"},
        .other_tasks = {"lm_head.", "pooler.", "mpnet.pooler.", "classifier.", "qa_outputs."},
    },
    {
        .name = "modernbert",
        .model_types = {"modernbert"},
        .norm = WF_NORM_LAYER,
        .norm_no_bias = true,
        .bidirectional = true,
        .first_not_normed = true,
        .turn_at_first = true,
        .gated = true,
        .curve = WF_CURVE_GELU_EXACT,
        .activation_names = {GELU_NAMES},
        .types_by_layer = true,
        .tied = true,
        .head_curve = WF_CURVE_GELU_EXACT,
        .names = {[WF_ROLE_EMBED] = "model.embeddings.tok_embeddings",
                  [WF_ROLE_EMBED_NORM] = "model.embeddings.norm",
                  [WF_ROLE_ATTN_NORM] = "model.layers.{L}.attn_norm",
                  [WF_ROLE_QKV] = "model.layers.{L}.attn.Wqkv",
                  [WF_ROLE_O] = "model.layers.{L}.attn.Wo",
                  [WF_ROLE_MLP_NORM] = "model.layers.{L}.mlp_norm",
                  [WF_ROLE_GATE_UP] = "model.layers.{L}.mlp.Wi",
                  [WF_ROLE_DOWN] = "model.layers.{L}.mlp.Wo",
                  [WF_ROLE_FINAL_NORM] = "model.final_norm",
                  [WF_ROLE_MASK_DENSE] = "head.dense",
                  [WF_ROLE_MASK_NORM] = "head.norm",
                  [WF_ROLE_MASK_BIAS] = "decoder.bias=",
                  [WF_ROLE_HEAD] = "decoder",
                  [WF_ROLE_SCORE_DENSE] = "head.dense",
                  [WF_ROLE_SCORE_NORM] = "head.norm",
                  [WF_ROLE_SCORE] = "classifier"},
        .keys = {[WF_KEY_N_LAYERS] = {"num_hidden_layers"},
                 [WF_KEY_HIDDEN] = {"hidden_size"},
                 [WF_KEY_N_HEADS] = {"num_attention_heads"},
                 [WF_KEY_FFN] = {"intermediate_size"},
                 [WF_KEY_VOCAB] = {"vocab_size"},
                 [WF_KEY_MAX_CONTEXT] = {"max_position_embeddings"},
                 [WF_KEY_NORM_EPS] = {"norm_eps", "layer_norm_eps"},
                 [WF_KEY_ACTIVATION] = {"hidden_activation"},
                 [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_MLP_BIAS] = {"mlp_bias"},
                 [WF_KEY_ROPE_THETA] = {"global_rope_theta"},
                 [WF_KEY_LOCAL_THETA] = {"local_rope_theta"},
                 [WF_KEY_WINDOW] = {"local_attention"},
                 [WF_KEY_WINDOW_TURN] = {"global_attn_every_n_layers"},
                 [WF_KEY_HEAD_POOLING] = {"classifier_pooling"},
                 [WF_KEY_HEAD_CURVE] = {"classifier_activation"},
                 [WF_KEY_HEAD_BIAS] = {"classifier_bias"},
                 [WF_KEY_MASK_BIAS] = {"decoder_bias"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROPE_THETA] = 160000,
                   [WF_KEY_LOCAL_THETA] = 10000,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_WINDOW] = 128,
                   [WF_KEY_WINDOW_TURN] = 3},
        .other_tasks = {"head.", "decoder.", "classifier."},
    },
};

const size_t wf_family_encoder_count = sizeof wf_family_encoder / sizeof *wf_family_encoder;
