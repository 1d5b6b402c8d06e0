// A head for masks, and the token that stands for one. See encode_mask.h.
#include "engine/encode_mask.h"

#include <stdio.h>
#include <string.h>

#include "engine/encode_head.h"

enum { MOST_BYTES = 128 << 20, NAME_BYTES = 64 };

// What the tokenizer calls its mask, a text or an object with one; "" where it does not say.
static wf_status read_name(const wf_hf_folder *folder, char name[NAME_BYTES])
{
    wf_json *doc = NULL;
    const char *text = "";
    name[0] = '\0';
    WF_TRY(wf_encode_json(folder, "tokenizer_config.json", MOST_BYTES, false, &doc));
    if (!doc) return WF_OK;
    wf_json_ref place = wf_json_find(wf_json_root(doc), "mask_token");
    if (wf_json_kind_of(place) == WF_JSON_OBJECT) place = wf_json_find(place, "content");
    wf_status st = WF_OK;
    if (wf_json_kind_of(place) > WF_JSON_NULL) st = wf_json_read_string(place, &text);
    if (st == WF_OK) snprintf(name, NAME_BYTES, "%s", text);
    wf_json_destroy(&doc);
    return st;
}

static bool is_mask(const char *content, const char *name)
{
    if (name[0]) return strcmp(content, name) == 0;
    return strcmp(content, "[MASK]") == 0 || strcmp(content, "<mask>") == 0;
}

static wf_status find_token(wf_json_ref root, const char *name, int64_t *out)
{
    wf_json_ref added = wf_json_find(root, "added_tokens");
    for (size_t i = 0; i < wf_json_count(added); i++) {
        const char *content;
        wf_json_ref token = wf_json_at(added, i);
        WF_TRY(wf_json_get_string(token, "content", &content));
        if (is_mask(content, name)) return wf_json_get_i64(token, "id", 0, INT32_MAX, out);
    }
    return WF_OK;
}

static wf_status read_mask(const wf_hf_folder *folder, wf_arch *arch)
{
    char name[NAME_BYTES];
    wf_json *doc = NULL;
    wf_json_ref config = wf_json_root(wf_hf_folder_config(folder));
    int64_t id = -1;
    WF_TRY(wf_json_get_i64_or(config, "mask_token_id", 0, arch->n_vocab - 1, -1, &id));
    if (id < 0) {
        WF_TRY(read_name(folder, name));
        WF_TRY(wf_encode_json(folder, "tokenizer.json", MOST_BYTES, false, &doc));
        wf_status st = doc ? find_token(wf_json_root(doc), name, &id) : WF_OK;
        wf_json_destroy(&doc);
        WF_TRY(st);
    }
    if (id < 0 || id >= arch->n_vocab)
        return wf_fail(WF_DATA,
                       "%s: says nowhere which token is a mask: task: fill-mask needs a "
                       "mask_token_id in config.json, or a tokenizer.json with such a token",
                       wf_hf_folder_path(folder));
    arch->encode.mask = (int32_t)id;
    return WF_OK;
}

static wf_status check_is_there(const wf_hf_folder *folder, const wf_arch *arch)
{
    char name[256];
    if (!wf_encode_head_lacks(folder, arch, WF_ROLE_MASK_DENSE, name, sizeof name)) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: has no head for masks (%s): task: fill-mask needs a model as it was "
                   "pretrained; task: embed takes this one",
                   wf_hf_folder_path(folder), name);
}

wf_status wf_encode_mask_read(const wf_hf_folder *folder, const wf_encode_wish *wish, wf_arch *arch)
{
    wf_json_ref root = wf_json_root(wf_hf_folder_config(folder));
    const char *const *bias = arch->family->keys[WF_KEY_MASK_BIAS];
    wf_encode e = {.task = wish->task,
                   .truncate = wish->truncate,
                   .whole = true,
                   .n_top = wish->n_top,
                   .head = {.bias = true}};
    if (!arch->family->names[WF_ROLE_MASK_DENSE])
        return wf_fail(WF_CONFIG,
                       "task: fill-mask: heads for masks of %s models are not known here",
                       arch->family->name);
    if (bias[0]) WF_TRY(wf_json_get_bool_or(root, bias[0], true, &e.head.bias));
    WF_TRY(wf_encode_head_dense(arch, root, &e.head));
    if (!arch->family->keys[WF_KEY_HEAD_CURVE][0])
        e.head.curve = arch->family->mask_gelu ? WF_CURVE_GELU_EXACT : arch->curve;
    WF_TRY(check_is_there(folder, arch));
    arch->encode = e;
    return read_mask(folder, arch);
}
