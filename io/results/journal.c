// One line of JSON per segment. See journal.h.
#include "io/results/journal.h"

#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/json_writer.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 96 };

static wf_status sync_folder(const char *out_dir)
{
    char *path;
    WF_TRY(wf_path_join(out_dir, "runs", &path));
    wf_status st = wf_file_sync_folder(path);
    free(path);
    return st;
}

static wf_status add_line(const char *path, const char *segment, uint64_t rows, uint64_t digest)
{
    wf_json_writer *w = NULL;
    const char *line;
    char hex[WF_HASH64_HEX];
    size_t n;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "path", segment);
    wf_json_put_u64(w, "rows", rows);
    wf_json_put_string(w, "digest", wf_hash64_hex(digest, hex));
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &line, &n);
    if (st == WF_OK) st = wf_file_append(path, line, n, true);
    wf_json_writer_destroy(&w);
    return st;
}

wf_status wf_journal_add(const char *out_dir, const wf_run_info *run, uint32_t number,
                         uint64_t rows, uint64_t digest)
{
    char name[NAME_BYTES], segment[NAME_BYTES], *path;
    bool is_first;
    snprintf(name, sizeof name, "runs/%u-g%u-e%u.sealed.jsonl", run->run, run->group, run->epoch);
    snprintf(segment, sizeof segment, WF_SEGMENT_NAME, run->group, run->run, run->epoch, number);
    WF_TRY(wf_path_join(out_dir, name, &path));
    is_first = !wf_file_exists(path);
    wf_status st = add_line(path, segment, rows, digest);
    if (st == WF_OK && is_first) st = sync_folder(out_dir); // its name must outlive a crash as well
    free(path);
    return st;
}
