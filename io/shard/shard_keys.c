// What rows' notes say under one key. See shard.h.
#include "io/base/hash.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/shard/shard_internal.h"

#include <string.h>

static uint64_t hash_text(const char *text)
{
    uint64_t hash = wf_hash64_of(text, strlen(text), 0);
    return hash != 0 ? hash : 1;
}

// Text as its letters, all else as it is written.
static uint64_t hash_value(wf_json_ref value)
{
    const char *text;
    wf_json_writer *w = NULL;
    uint64_t hash = 0;
    if (wf_json_kind_of(value) == WF_JSON_NULL) return 0;
    if (wf_json_read_string(value, &text) == WF_OK) return hash_text(text);
    if (wf_json_writer_create(0, &w) == WF_OK && wf_json_copy(value, w, NULL) == WF_OK &&
        wf_json_writer_finish(w, &text, NULL) == WF_OK)
        hash = hash_text(text);
    wf_json_writer_destroy(&w);
    return hash;
}

// Notes are the users', in any form.
static uint64_t hash_key(const wf_request *row, const char *key)
{
    wf_json *doc = NULL;
    uint64_t hash = 0;
    if (row->meta_bytes == 0 ||
        wf_json_parse("meta", (const char *)row->meta, row->meta_bytes, NULL, &doc) != WF_OK)
        return 0;
    wf_json_ref root = wf_json_root(doc);
    if (wf_json_kind_of(root) == WF_JSON_OBJECT && wf_json_has(root, key))
        hash = hash_value(wf_json_find(root, key));
    wf_json_destroy(&doc);
    return hash;
}

wf_status wf_shard_read_keys(wf_shard *s, uint64_t row0, uint32_t n, const char *key, uint64_t *out)
{
    enum { BLOCK = 256 };
    wf_request rows[BLOCK];
    wf_arena *arena = NULL;
    wf_status st = WF_OK;
    memset(out, 0, n * sizeof *out);
    if (!s->info.has_meta) return WF_OK;
    WF_TRY(wf_arena_create(0, &arena));
    wf_arena_mark mark = wf_arena_get_mark(arena);
    for (uint32_t at = 0, n_read = 0; at < n && st == WF_OK; at += n_read) {
        uint32_t want = n - at < BLOCK ? n - at : BLOCK;
        // Prompts are passed over: none is below a context of one token.
        wf_shard_limits limits = {.max_context = 1};
        st = wf_shard_read(s, row0 + at, want, &limits, arena, rows, &n_read);
        for (uint32_t i = 0; st == WF_OK && i < n_read; i++)
            out[at + i] = hash_key(&rows[i], key);
        wf_arena_reset(arena, mark);
    }
    wf_arena_destroy(&arena);
    return st;
}
