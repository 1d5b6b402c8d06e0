// Folders of several parts: where the configuration of the text part stands, and which keys say
// nothing of text alone.
#include <stdio.h>
#include <string.h>

#include "engine/arch_reader.h"

// Of images, sounds, and the tokens that stand in for them: rows of text alone have none. The last
// group stands in text parts, and transformers' class does not read it.
static const char *const of_others[] = {
    "text_config",
    "vision_config",
    "audio_config",
    "image_token_index",
    "image_token_id",
    "video_token_index",
    "video_token_id",
    "audio_token_index",
    "audio_token_id",
    "vision_token_id",
    "vision_start_token_id",
    "vision_end_token_id",
    "image_start_token_id",
    "image_end_token_id",
    "boi_token_index",
    "eoi_token_index",
    "boi_token_id",
    "eoi_token_id",
    "mm_tokens_per_image",
    "image_seq_length",
    "image_seq_len",
    "video_seq_length",
    "spatial_merge_size",
    "image_grid_pinpoints",
    "vision_aspect_ratio",
    "use_image_newline_parameter",
    "downsample_ratio",
    "downsample_factor",
    "scale_factor",
    "projector_hidden_act",
    "projector_layernorm_eps",
    "multimodal_projector_bias",
    "vision_feature_layer",
    "vision_feature_layers",
    "vision_feature_select_strategy",
    "alignment_intermediate_dim",
    "adapter_layer_norm_eps",
    "spatial_pool_mode",
    "spatial_pool_stride",
    "spatial_pool_out_channels",
    "ignore_index",
    "is_composition",
    "perceiver_config",
    "pixel_shuffle_factor",
    "use_resampler",
    "neftune_noise_alpha",
    "vision_soft_tokens_per_image",
};

wf_status wf_arch_enter_text(wf_arch_reader *r)
{
    wf_json_ref text = wf_json_find(r->whole, "text_config");
    const char *type;
    r->root = r->whole;
    WF_TRY(wf_json_get_string(r->whole, "model_type", &type));
    r->type = type;
    r->part = wf_text_part_find(type);
    if (!r->part) return WF_OK;
    r->type = r->part->text_type;
    if (r->part->at_root && wf_json_kind_of(text) <= WF_JSON_NULL) return WF_OK;
    WF_TRY(wf_json_read_object(text));
    r->root = text;
    return wf_json_get_string_or(text, "model_type", r->part->text_type, &r->type);
}

wf_json_ref wf_arch_whole_first(const wf_arch_reader *r, const char *name)
{
    wf_json_ref place = wf_json_find(r->whole, name);
    return wf_json_kind_of(place) > WF_JSON_NULL ? place : wf_json_find(r->root, name);
}

bool wf_arch_of_other_parts(const wf_arch_reader *r, wf_json_ref item)
{
    for (size_t i = 0; r->part && i < sizeof of_others / sizeof *of_others; i++)
        if (strcmp(item.key, of_others[i]) == 0) return true;
    return false;
}
