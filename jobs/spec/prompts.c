// Names of prompts files and their shards. See prompts.h.
#include "jobs/spec/prompts.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/base/arena.h"
#include "io/base/hash.h"

#define ENDINGS(X) X(".jsonl") X(".ndjson") X(".csv") X(".tsv") X(".parquet")

enum { STEM_BYTES = 100 }; // of a file's name in that of its shard

bool wf_prompts_is_file(const char *path)
{
#define ENDING_IN_LIST(ending) ending,
    static const char *const endings[] = {ENDINGS(ENDING_IN_LIST)};
#undef ENDING_IN_LIST
    const char *dot = strrchr(wf_path_name(path), '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

bool wf_prompts_is_matrix(const char *path)
{
    const char *dot = strrchr(wf_path_name(path), '.');
    return dot && strcasecmp(dot, ".npy") == 0;
}

bool wf_prompts_is_answers(const char *path)
{
    return wf_prompts_is_file(path) || wf_prompts_is_matrix(path);
}

const char *wf_prompts_endings(void)
{
#define ENDING_IN_TEXT(ending) " " ending
    return ENDINGS(ENDING_IN_TEXT) + 1;
#undef ENDING_IN_TEXT
}

static size_t stem_bytes(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

// Two files of one name in different folders get two shards: the hash is of the path as given.
static wf_status shard_name(const char *request, const char *out_dir, char **out)
{
    const char *name = wf_path_name(request);
    char text[STEM_BYTES + 32];
    size_t n = stem_bytes(name);
    snprintf(text, sizeof text, "text/%.*s-%08x.h5", (int)(n < STEM_BYTES ? n : STEM_BYTES), name,
             (unsigned)(uint32_t)wf_hash64_of(request, strlen(request), 0));
    return wf_path_join(out_dir, text, out);
}

wf_status wf_prompts_shards(const wf_option_strings *requests, const char *out_dir,
                            wf_paths *shards)
{
    WF_TRY(wf_grow(requests->n, sizeof *shards->item, &shards->capacity, &shards->item));
    for (size_t i = 0; i < requests->n; i++) {
        const char *request = requests->item[i];
        char **at = &shards->item[shards->n];
        WF_TRY(wf_prompts_is_file(request) ? shard_name(request, out_dir, at)
                                           : wf_strdup(request, at));
        shards->n++;
    }
    return WF_OK;
}

wf_status wf_prompts_part_name(const char *path, const char *part, char **out)
{
    size_t n_folder = (size_t)(wf_path_name(path) - path);
    size_t n = n_folder + stem_bytes(path + n_folder);
    size_t size = strlen(path) + strlen(part) + 2;
    WF_TRY(wf_alloc(size, 1, out));
    snprintf(*out, size, "%.*s.%s%s", (int)n, path, part, path + n);
    return WF_OK;
}
