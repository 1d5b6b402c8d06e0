// The table of folders with several parts. See text_part.h.
#include "engine/text_part.h"

#include <stdio.h>
#include <string.h>

// The text part as a model of its own within the whole (transformers before 4.52), and as a part of
// the one body (since).
#define APART                                                                                      \
    {                                                                                              \
        .prefix = { {"model.", "language_model.model."}, {"lm_head", "language_model.lm_head"} }   \
    }
#define INSIDE                                                                                     \
    {                                                                                              \
        .prefix = { {"model.", "model.language_model."} }                                          \
    }
#define TEXT_MODEL                                                                                 \
    {                                                                                              \
        .prefix = { {"model.", "model.text_model."} }                                              \
    }
#define IMAGES "vision_tower.", "multi_modal_projector."

static const wf_text_part parts[] = {
    {"gemma3", "gemma3_text", false, true, {APART, INSIDE}, {IMAGES}},
    {"mistral3", "mistral", false, true, {APART, INSIDE}, {IMAGES}},
    {"llava", "llama", false, false, {APART, INSIDE}, {IMAGES}},
    {"llava_next", "llama", false, false, {APART, INSIDE}, {IMAGES, "image_newline"}},
    {"llava_next_video", "llama", false, false, {APART, INSIDE}, {IMAGES, "image_newline"}},
    {"llava_onevision", "qwen2", false, false, {APART, INSIDE}, {IMAGES, "image_newline"}},
    {"vipllava", "llama", false, false, {APART, INSIDE}, {IMAGES}},
    {"internvl", "qwen2", false, true, {APART, INSIDE}, {IMAGES}},
    {"qwen2_vl", "qwen2_vl_text", true, false, {INSIDE}, {"visual."}},
    {"qwen2_5_vl", "qwen2_5_vl_text", true, false, {INSIDE}, {"visual."}},
    {"qwen3_vl", "qwen3_vl_text", false, false, {INSIDE}, {"visual."}},
    {"idefics2", "mistral", false, false, {TEXT_MODEL}, {"vision_model.", "connector."}},
    {"idefics3", "llama", false, false, {TEXT_MODEL}, {"vision_model.", "connector."}},
    {"smolvlm", "llama", false, false, {TEXT_MODEL}, {"vision_model.", "connector."}},
    {"qwen2_audio",
     "qwen2",
     false,
     false,
     {APART, INSIDE},
     {"audio_tower.", "multi_modal_projector."}},
};

static const struct {
    const char *said, *family;
} types[] = {
    {"qwen2_vl_text", "qwen2"},
    {"qwen2_5_vl_text", "qwen2"},
    {"qwen3_vl_text", "qwen3"},
};

// Defaults of configuration classes, 0: none; files say little where they keep to them.
static const struct {
    const char *type;
    double value[WF_N_CONFIG_KEYS];
} classes[] = {
#define SIZES(hidden, ffn, n_layers, n_heads, n_vocab, context)                                    \
    [WF_KEY_HIDDEN] = (hidden), [WF_KEY_FFN] = (ffn), [WF_KEY_N_LAYERS] = (n_layers),              \
    [WF_KEY_N_HEADS] = (n_heads), [WF_KEY_VOCAB] = (n_vocab), [WF_KEY_MAX_CONTEXT] = (context)
#define QWEN2_VL                                                                                   \
    SIZES(8192, 29568, 80, 64, 152064, 32768), [WF_KEY_N_KV_HEADS] = 8, [WF_KEY_NORM_EPS] = 1e-5,  \
                                               [WF_KEY_ROPE_THETA] = 1e6,                          \
                                               [WF_KEY_FIRST_WINDOW] = 80
    {"llama", {SIZES(4096, 11008, 32, 32, 32000, 2048)}},
    {"mistral", {SIZES(4096, 14336, 32, 32, 32000, 131072)}},
    {"qwen2", {SIZES(4096, 22016, 32, 32, 151936, 32768)}},
    {"qwen3", {SIZES(4096, 22016, 32, 32, 151936, 32768)}},
    {"gemma3_text", {SIZES(2304, 9216, 26, 8, 262208, 131072)}},
    {"qwen2_vl_text", {QWEN2_VL}},
    {"qwen2_5_vl_text", {QWEN2_VL}},
    {"qwen3_vl_text", {SIZES(4096, 22016, 32, 32, 151936, 128000), [WF_KEY_ROPE_THETA] = 500000}},
};

const wf_text_part *wf_text_part_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].model_type, model_type) == 0) return &parts[i];
    return NULL;
}

const char *wf_text_part_type(const char *said)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].said, said) == 0) return types[i].family;
    return said;
}

double wf_text_part_absent(const char *type, wf_config_key key)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i].type, type) == 0) return classes[i].value[key];
    return 0.0;
}

bool wf_text_part_is_other(const wf_text_part *part, const char *tensor)
{
    static const char body[] = "model.";
    if (strncmp(tensor, body, sizeof body - 1) == 0) tensor += sizeof body - 1;
    for (size_t i = 0; i < sizeof part->others / sizeof *part->others && part->others[i]; i++)
        if (strncmp(tensor, part->others[i], strlen(part->others[i])) == 0) return true;
    return false;
}

char *wf_text_part_words(const wf_text_part *part, const wf_hf_folder *folder, char *text,
                         size_t text_bytes)
{
    size_t n = 0;
    uint64_t bytes = 0;
    text[0] = '\0';
    if (!part) return text;
    for (size_t i = 0; i < wf_hf_folder_count(folder); i++) {
        const wf_st_tensor *t = wf_hf_folder_at(folder, i).tensor;
        if (!wf_text_part_is_other(part, t->name)) continue;
        n++;
        bytes += t->bytes;
    }
    int at = snprintf(text, text_bytes, "text part of %s alone", part->model_type);
    if (wf_hf_folder_count(folder) > 0)
        snprintf(text + at, text_bytes - (size_t)at,
                 "; %zu tensor%s of other parts (%.2f GiB) %s not loaded", n, n == 1 ? "" : "s",
                 (double)bytes / (double)(1 << 30), n == 1 ? "is" : "are");
    return text;
}
