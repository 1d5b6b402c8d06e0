// What a shard keeps of the text it was made from. See shard.h.
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/json.h"
#include "io/base/log.h"
#include "io/h5/h5util.h"
#include "io/shard/shard.h"

enum { LIST_BYTES = 256 << 20 };

static const char bad_rows[] = "/source/bad_rows"; // a JSON array, an element for each

static wf_status list_count(const char *path, const char *text, size_t n, uint64_t *out)
{
    wf_json *doc = NULL;
    const wf_json_limits limits = {.max_bytes = LIST_BYTES};
    WF_TRY(wf_json_parse(path, text, n, &limits, &doc));
    *out = wf_json_count(wf_json_root(doc));
    wf_json_destroy(&doc);
    return WF_OK;
}

static wf_status list_read(wf_h5_file *file, const char *path, uint64_t *out)
{
    wf_h5_dataset *set = NULL;
    char *text = NULL;
    if (!wf_h5_exists(file, bad_rows)) return WF_OK;
    WF_TRY(wf_h5_dataset_open(file, bad_rows, WF_H5_U8, 0, &set));
    uint64_t n = wf_h5_dataset_count(set);
    wf_status st = n > LIST_BYTES ? wf_fail(WF_SHARD, "%s:%s: is too long", path, bad_rows)
                                  : wf_alloc(n + 1, 1, &text);
    if (st == WF_OK) st = wf_h5_dataset_read(set, 0, n, text);
    if (st == WF_OK) st = list_count(path, text, n, out);
    wf_h5_dataset_close(&set);
    free(text);
    return st;
}

uint64_t wf_shard_bad_rows(const char *path)
{
    wf_h5_file *file = NULL;
    uint64_t n = 0;
    wf_status st = wf_h5_file_open(path, WF_SHARD, &file);
    if (st == WF_OK) st = list_read(file, path, &n);
    if (st != WF_OK) wf_debug("%s", wf_error());
    wf_h5_file_abandon(&file);
    return n;
}
