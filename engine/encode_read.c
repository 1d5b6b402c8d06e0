// What becomes of a row, as its model's folder says. See encode_read.h.
#include "engine/encode_read.h"

#include "engine/encode_head.h"
#include "engine/encode_mask.h"
#include "engine/encode_prompt.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/log.h"

enum { MOST_BYTES = 1 << 20 };

// What modules.json says.
typedef struct modules {
    bool there, normalise;
    char pooling_path[PATH_MAX]; // "": no pooling
} modules;

wf_status wf_encode_json(const wf_hf_folder *folder, const char *name, size_t max_bytes, bool must,
                         wf_json **out)
{
    char path[PATH_MAX];
    *out = NULL;
    snprintf(path, sizeof path, "%s/%s", wf_hf_folder_path(folder), name);
    if (!must && access(path, F_OK) != 0) return WF_OK;
    return wf_json_parse_file(path, max_bytes, out);
}

// "sentence_transformers.models.Pooling" is a Pooling.
static const char *last_word(const char *type)
{
    const char *dot = strrchr(type, '.');
    return dot ? dot + 1 : type;
}

static wf_status read_module(wf_json_ref module, modules *out)
{
    const char *type, *path;
    WF_TRY(wf_json_get_string(module, "type", &type));
    WF_TRY(wf_json_get_string_or(module, "path", "", &path));
    const char *kind = last_word(type);
    if (path[0] == '/' || strstr(path, ".."))
        return wf_json_fail(wf_json_find(module, "path"), "leads out of the folder");
    if (strcmp(kind, "Transformer") == 0) {
        if (path[0] == '\0') return WF_OK;
        return wf_json_fail(wf_json_find(module, "path"),
                            "the model lies in '%.64s': give that folder as model.path, and "
                            "embed.pooling beside it",
                            path);
    }
    if (strcmp(kind, "Normalize") == 0) {
        out->normalise = true;
        return WF_OK;
    }
    if (strcmp(kind, "Pooling") != 0)
        return wf_json_fail(wf_json_find(module, "type"),
                            "'%.64s' modules are not known here (Transformer, Pooling, Normalize)",
                            kind);
    snprintf(out->pooling_path, sizeof out->pooling_path, "%s/config.json", path);
    return WF_OK;
}

static wf_status read_modules(const wf_hf_folder *folder, modules *out)
{
    wf_json *doc = NULL;
    wf_status st = WF_OK;
    WF_TRY(wf_encode_json(folder, "modules.json", MOST_BYTES, false, &doc));
    if (!doc) return WF_OK;
    out->there = true;
    wf_json_ref list = wf_json_root(doc);
    st = wf_json_read_array(list);
    for (size_t i = 0; st == WF_OK && i < wf_json_count(list); i++)
        st = read_module(wf_json_at(list, i), out);
    wf_json_destroy(&doc);
    return st;
}

// The names that sentence-transformers has for poolings, as keys of its flags and as words.
static const struct {
    const char *flag, *word;
    int pooling; // -1: not known here
} poolings[] = {
    {"pooling_mode_cls_token", "cls", WF_POOL_FIRST},
    {"pooling_mode_mean_tokens", "mean", WF_POOL_MEAN},
    {"pooling_mode_max_tokens", "max", WF_POOL_MAX},
    {"pooling_mode_lasttoken", "lasttoken", WF_POOL_LAST},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", -1},
    {"pooling_mode_weightedmean_tokens", "weightedmean", -1},
};
enum { N_POOLINGS = sizeof poolings / sizeof *poolings };

static wf_status take_pooling(wf_json_ref place, int i, int *n_taken, int *out)
{
    if (poolings[i].pooling < 0)
        return wf_json_fail(place, "the pooling '%s' is not known here (cls, mean, max, lasttoken)",
                            poolings[i].word);
    if (++*n_taken > 1)
        return wf_json_fail(place, "a second pooling: vectors of several are not made here");
    *out = poolings[i].pooling;
    return WF_OK;
}

// The newer form: one word.
static wf_status read_word(wf_json_ref root, int *out)
{
    const char *word;
    wf_json_ref place = wf_json_find(root, "pooling_mode");
    int n = 0;
    WF_TRY(wf_json_read_string(place, &word));
    for (int i = 0; i < N_POOLINGS; i++)
        if (strcmp(word, poolings[i].word) == 0) return take_pooling(place, i, &n, out);
    return wf_json_fail(place, "the pooling '%.32s' is not known here (cls, mean, max, lasttoken)",
                        word);
}

static wf_status read_flags(wf_json_ref root, int *out)
{
    int n = 0;
    for (int i = 0; i < N_POOLINGS; i++) {
        bool on = false;
        WF_TRY(wf_json_get_bool_or(root, poolings[i].flag, false, &on));
        if (on) WF_TRY(take_pooling(wf_json_find(root, poolings[i].flag), i, &n, out));
    }
    return n > 0 ? WF_OK : wf_json_fail(root, "says no pooling");
}

static wf_status read_pooling(const wf_hf_folder *folder, const char *path, int *out)
{
    wf_json *doc = NULL;
    bool prompts = true;
    WF_TRY(wf_encode_json(folder, path, MOST_BYTES, true, &doc));
    wf_json_ref root = wf_json_root(doc);
    bool word = wf_json_kind_of(wf_json_find(root, "pooling_mode")) == WF_JSON_STRING;
    wf_status st = word ? read_word(root, out) : read_flags(root, out);
    if (st == WF_OK) st = wf_json_get_bool_or(root, "include_prompt", true, &prompts);
    if (st == WF_OK && !prompts)
        st = wf_json_fail(wf_json_find(root, "include_prompt"),
                          "prompts that are left out of the pooling are not known here");
    wf_json_destroy(&doc);
    return st;
}

static wf_status read_longest(const wf_hf_folder *folder, wf_arch *arch)
{
    wf_json *doc = NULL;
    int64_t n = arch->max_context;
    WF_TRY(wf_encode_json(folder, "sentence_bert_config.json", MOST_BYTES, false, &doc));
    if (!doc) return WF_OK;
    wf_json_ref place = wf_json_find(wf_json_root(doc), "max_seq_length");
    wf_status st = WF_OK;
    if (wf_json_kind_of(place) > WF_JSON_NULL) st = wf_json_read_i64(place, 1, INT32_MAX, &n);
    if (st == WF_OK && n < arch->max_context) arch->max_context = (int32_t)n;
    wf_json_destroy(&doc);
    return st;
}

// Put before texts as they are encoded (weft-text): rows of shards are tokens, and must have it.
static wf_status look_at_prompts(const wf_hf_folder *folder, const wf_encode_wish *wish)
{
    char *text = NULL;
    WF_TRY(
        wf_encode_prompt(wf_hf_folder_path(folder), wish->prompt ? wish->prompt : "auto", &text));
    if (text[0] && wf_log_rank() <= 0)
        wf_info("the model's prompt '%.64s' stands before every text of prompts files; rows of "
                "shards must have it (embed.prompt)",
                text);
    free(text);
    return WF_OK;
}

static bool has_tensor(const wf_hf_folder *folder, const char *name)
{
    size_t i;
    return wf_hf_folder_find(folder, name, &i) == WF_OK;
}

// How this checkpoint names things. Without weights nothing is asked.
static void look_at_names(const wf_hf_folder *folder, wf_arch *arch)
{
    char name[256];
    wf_family_tensor_name(arch->family, WF_ROLE_EMBED, 0, 0, ".weight", name, sizeof name);
    const char *bare = strchr(name, '.') + 1;
    arch->bare = !has_tensor(folder, name) && has_tensor(folder, bare);
    if (!arch->family->names[WF_ROLE_EMBED_NORM]) return;
    wf_family_tensor_name(arch->family, WF_ROLE_EMBED_NORM, 0, 0, ".gamma", name, sizeof name);
    arch->old_norms =
        has_tensor(folder, arch->bare ? wf_family_bare_name(arch->family, name) : name);
}

static wf_status check_task(const wf_encode_wish *wish, const wf_arch *arch)
{
    bool both_ways = arch->family->bidirectional;
    if (wish->task == WF_TASK_GENERATE && both_ways)
        return wf_fail(WF_CONFIG,
                       "task: generate: a %s model reads whole texts and writes none; set task: "
                       "embed, or classify, score or rerank where it has a head for that",
                       arch->family->name);
    return WF_OK;
}

wf_status wf_encode_read(const wf_hf_folder *folder, const wf_encode_wish *wish, wf_arch *arch)
{
    bool both_ways = arch->family->bidirectional;
    int pooling = both_ways ? WF_POOL_MEAN : WF_POOL_LAST;
    modules m = {0};
    WF_TRY(check_task(wish, arch));
    if (wish->task == WF_TASK_GENERATE) return WF_OK;
    look_at_names(folder, arch);
    if (wish->task == WF_TASK_FILL_MASK) return wf_encode_mask_read(folder, wish, arch);
    if (both_ways) arch->tied = false; // there is no head for tokens
    if (wf_task_scores(wish->task)) return wf_encode_head_read(folder, wish, arch);
    if (wish->pooling == WF_ENCODE_AUTO || wish->normalise == WF_ENCODE_AUTO)
        WF_TRY(read_modules(folder, &m));
    if (wish->pooling != WF_ENCODE_AUTO)
        pooling = wish->pooling;
    else if (m.pooling_path[0])
        WF_TRY(read_pooling(folder, m.pooling_path, &pooling));
    WF_TRY(read_longest(folder, arch));
    WF_TRY(look_at_prompts(folder, wish));
    arch->encode = (wf_encode){
        .task = wish->task,
        .pooling = (wf_pooling)pooling,
        .normalise = wish->normalise == WF_ENCODE_AUTO ? m.normalise : wish->normalise != 0,
        .truncate = wish->truncate,
        .whole = both_ways || pooling != WF_POOL_LAST,
        .width = arch->hidden};
    return WF_OK;
}
