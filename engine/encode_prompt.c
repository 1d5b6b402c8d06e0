// Prompts before texts. See encode_prompt.h.
#include "engine/encode_prompt.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/json.h"

#define NAME "config_sentence_transformers.json"

enum { MOST_BYTES = 1 << 20 };

static wf_status fail_unknown(const char *folder, const char *name, wf_json_ref prompts)
{
    char known[256] = "";
    wf_json_iter it = wf_json_iterate(prompts);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", item.key);
    }
    return wf_fail(WF_CONFIG, "embed.prompt: %s/" NAME " has no prompt '%.64s' (%s)", folder, name,
                   known[0] ? known : "it has none");
}

static wf_status find_prompt(const char *folder, wf_json_ref root, const char *name,
                             const char **out)
{
    wf_json_ref prompts = wf_json_find(root, "prompts");
    if (strcmp(name, "auto") == 0) {
        WF_TRY(wf_json_get_string_or(root, "default_prompt_name", "", &name));
        if (!name[0]) return WF_OK;
    }
    if (!wf_json_has(prompts, name)) return fail_unknown(folder, name, prompts);
    return wf_json_get_string(prompts, name, out);
}

wf_status wf_encode_prompt(const char *folder, const char *name, char **out)
{
    char path[PATH_MAX];
    wf_json *doc = NULL;
    const char *found = "";
    *out = NULL;
    if (strcmp(name, "none") == 0) return wf_strdup("", out);
    snprintf(path, sizeof path, "%s/" NAME, folder);
    if (access(path, F_OK) != 0) {
        if (strcmp(name, "auto") != 0)
            return wf_fail(WF_CONFIG,
                           "embed.prompt: %s: there is no such file, so no prompt '%.64s'", path,
                           name);
        return wf_strdup("", out);
    }
    wf_status st = wf_json_parse_file(path, MOST_BYTES, &doc);
    if (st == WF_OK) st = find_prompt(folder, wf_json_root(doc), name, &found);
    if (st == WF_OK) st = wf_strdup(found, out);
    wf_json_destroy(&doc);
    return st;
}
