// The manifest, and hashing of whole files for it and for run files.
#include "io/results/results_manifest.h"

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/results/runfile_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX_BYTES (256u << 20)
#define READ_BYTES         (1u << 20)

wf_status wf_file_hash(const char *path, uint64_t *xxh64, uint64_t *bytes)
{
    wf_status st = WF_OK;
    wf_hash64_stream *stream = NULL;
    char *buffer = NULL;
    uint64_t sum = 0;
    ssize_t got = 1;
    int fd = wf_file_open_calmly(path, O_RDONLY);
    if (fd < 0) return wf_fail_errno(WF_NO_INPUT, "%s: cannot open", path);
    WF_TRY_TO(done, wf_alloc(READ_BYTES, 1, &buffer));
    WF_TRY_TO(done, wf_hash64_create(0, &stream));
    while (got != 0) {
        got = read(fd, buffer, READ_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            st = wf_fail_errno(WF_IO, "%s: cannot read", path);
            goto done;
        }
        wf_hash64_add(stream, buffer, (size_t)got);
        sum += (uint64_t)got;
    }
    *xxh64 = wf_hash64_value(stream);
    *bytes = sum;
done:
    wf_hash64_destroy(&stream);
    free(buffer);
    close(fd);
    return st;
}

static void put_manifest(wf_json_writer *w, const wf_segment_ref *merged,
                         const wf_segment_ref *segments, size_t n)
{
    char iso[WF_CLOCK_ISO_MAX];
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "format", "weft-manifest");
    wf_json_put_string(w, "format_version", "1.0.0");
    wf_json_put_string(w, "software_version", WEFT_VERSION);
    wf_json_put_string(w, "created", wf_clock_iso(wf_clock_unix_ns(), iso));
    wf_segment_ref_put(w, "results", merged);
    wf_segment_refs_put(w, segments, n);
    wf_json_close(w);
}

wf_status wf_manifest_write(const char *out_dir, const wf_segment_ref *merged,
                            const wf_segment_ref *segments, size_t n)
{
    wf_json_writer *w = NULL;
    const char *text;
    char *path = NULL;
    size_t text_bytes;
    WF_TRY(wf_json_writer_create(2, &w));
    put_manifest(w, merged, segments, n);
    wf_status st = wf_json_writer_finish(w, &text, &text_bytes);
    if (st == WF_OK) st = wf_path_join(out_dir, "manifest.json", &path);
    if (st == WF_OK) st = wf_file_write_whole(path, text, text_bytes, WF_PUBLISH_REPLACE);
    free(path);
    wf_json_writer_destroy(&w);
    return st;
}

wf_status wf_manifest_remove(const char *out_dir)
{
    char *path = NULL;
    wf_status st = WF_OK;
    WF_TRY(wf_path_join(out_dir, "manifest.json", &path));
    if (unlink(path) != 0 && errno != ENOENT)
        st = wf_fail_errno(WF_IO, "%s: cannot be removed", path);
    free(path);
    return st;
}

static wf_status same_segments(wf_json_ref root, const wf_segment_ref *segments, size_t n,
                               bool *same)
{
    wf_json_ref list, results;
    *same = false;
    WF_TRY(wf_json_get_object(root, "results", &results));
    WF_TRY(wf_json_get_array(root, "segments", &list));
    if (wf_json_count(list) != n) return WF_OK;
    for (size_t i = 0; i < n; i++) { // both are sorted by group, run, epoch, number
        const char *path;
        int64_t bytes;
        WF_TRY(wf_json_get_string(wf_json_at(list, i), "path", &path));
        WF_TRY(wf_json_get_i64(wf_json_at(list, i), "bytes", 0, INT64_MAX, &bytes));
        bool void_failed = wf_json_has(wf_json_at(list, i), "void_failed");
        if (strcmp(path, segments[i].path) != 0 || (uint64_t)bytes != segments[i].bytes ||
            void_failed != segments[i].void_failed) {
            return WF_OK;
        }
    }
    *same = true;
    return WF_OK;
}

// A folder that holds only results.h5 (moved, segments deleted) is covered too.
wf_status wf_manifest_covers(const char *out_dir, const wf_segment_ref *segments, size_t n,
                             bool *covers)
{
    char *path = NULL, *merged = NULL, *text = NULL;
    size_t text_bytes;
    wf_json *doc = NULL;
    const wf_json_limits limits = {.max_bytes = MANIFEST_MAX_BYTES};
    wf_status st;
    *covers = false;
    WF_TRY_TO(done, wf_path_join(out_dir, "results.h5", &merged));
    WF_TRY_TO(done, wf_path_join(out_dir, "manifest.json", &path));
    if (!wf_file_exists(merged)) goto done;
    *covers = n == 0;
    if (n == 0 || !wf_file_exists(path)) goto done;
    WF_TRY_TO(done, wf_file_read(path, MANIFEST_MAX_BYTES, &text, &text_bytes));
    WF_TRY_TO(done, wf_json_parse(path, text, text_bytes, &limits, &doc));
    st = same_segments(wf_json_root(doc), segments, n, covers);
done:
    wf_json_destroy(&doc);
    free(text);
    free(path);
    free(merged);
    return st;
}
