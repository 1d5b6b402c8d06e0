// Writing run files: each is made once, complete, and never changed.
#include "io/results/runfile_internal.h"

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/hash.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_BYTES 256

void wf_segment_ref_put(wf_json_writer *w, const char *key, const wf_segment_ref *ref)
{
    char hex[WF_HASH64_HEX];
    wf_json_open_object(w, key);
    wf_json_put_string(w, "path", ref->path);
    wf_json_put_u64(w, "rows", ref->rows);
    wf_json_put_u64(w, "bytes", ref->bytes);
    wf_json_put_string(w, "xxh64", wf_hash64_hex(ref->xxh64, hex));
    if (ref->void_failed) wf_json_put_bool(w, "void_failed", true);
    wf_json_close(w);
}

static void put_head(wf_json_writer *w, uint32_t run)
{
    char iso[WF_CLOCK_ISO_MAX], host[HOST_BYTES] = "";
    gethostname(host, sizeof host - 1);
    wf_json_put_string(w, "format", "weft-run");
    wf_json_put_string(w, "format_version", "1.1.0");
    wf_json_put_string(w, "software_version", WEFT_VERSION);
    wf_json_put_u64(w, "run", run);
    wf_json_put_string(w, "created", wf_clock_iso(wf_clock_unix_ns(), iso));
    wf_json_put_string(w, "host", host);
    wf_json_put_i64(w, "pid", getpid());
}

void wf_segment_refs_put(wf_json_writer *w, const wf_segment_ref *refs, size_t n)
{
    wf_json_open_array(w, "segments");
    for (size_t i = 0; i < n; i++)
        wf_segment_ref_put(w, NULL, &refs[i]);
    wf_json_close(w);
}

// Publishes what `w` holds as <out>/<name>.
static wf_status publish(const char *out_dir, const char *name, wf_json_writer *w, wf_publish how)
{
    const char *text;
    size_t n;
    char *path = NULL;
    WF_TRY(wf_json_writer_finish(w, &text, &n));
    WF_TRY(wf_path_join(out_dir, name, &path));
    wf_status st = wf_file_write_whole(path, text, n, how);
    free(path);
    return st;
}

wf_status wf_runs_make_folder(const char *out_dir)
{
    char *path;
    WF_TRY(wf_path_join(out_dir, "runs", &path));
    wf_status st = wf_file_make_folders(path);
    free(path);
    return st;
}

static wf_status put_identity(wf_json_writer *w, const char *identity)
{
    wf_json *doc = NULL;
    WF_TRY(wf_json_parse("identity of the run", identity, strlen(identity), NULL, &doc));
    wf_status st = wf_json_copy(wf_json_root(doc), w, "identity");
    wf_json_destroy(&doc);
    return st;
}

static wf_status put_run(wf_json_writer *w, const wf_runs *runs, const wf_run_params *params)
{
    wf_status st = WF_OK;
    wf_json_open_object(w, NULL);
    put_head(w, (uint32_t)runs->n_runs);
    wf_json_put_string(w, "job_id", params->job_id ? params->job_id : "");
    wf_json_put_u64(w, "restart", params->restart);
    wf_json_put_string(w, "command", params->command ? params->command : "");
    if (params->identity) st = put_identity(w, params->identity);
    wf_segment_refs_put(w, runs->segments, runs->n_segments);
    wf_json_close(w);
    return st;
}

wf_status wf_runs_check_room(const wf_runs *runs)
{
    if (wf_runs_room(runs) > 0) return WF_OK;
    return wf_fail(
        WF_DATA,
        "%s: has had %zu runs, and no folder may have more: weft merge joins its results "
        "with those of a new output.dir",
        runs->out_dir, runs->n_runs);
}

wf_status wf_runs_start(wf_runs *runs, const wf_run_params *params, uint32_t *run)
{
    char name[64];
    wf_json_writer *w = NULL;
    assert(!runs->options.read_only);
    WF_TRY(wf_runs_check_room(runs));
    if (!runs->verified) WF_TRY(wf_runs_verify(runs));
    WF_TRY(wf_runs_make_folder(runs->out_dir));
    for (size_t i = 0; params->retry_failed && i < runs->n_segments; i++)
        if (runs->segments[i].n_failed > 0) runs->segments[i].void_failed = true;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_status st = put_run(w, runs, params);
    snprintf(name, sizeof name, "runs/%zu.json", runs->n_runs);
    if (st == WF_OK) st = publish(runs->out_dir, name, w, WF_PUBLISH_NEW);
    wf_json_writer_destroy(&w);
    if (st == WF_IN_USE) {
        return wf_fail(WF_IN_USE, "%s: run %zu was started by another process at this moment",
                       runs->out_dir, runs->n_runs);
    }
    WF_TRY(st);
    *run = (uint32_t)runs->n_runs++;
    runs->complete = false;
    return WF_OK;
}

wf_status wf_run_complete(const char *out_dir, uint32_t run)
{
    char name[64];
    wf_json_writer *w = NULL;
    snprintf(name, sizeof name, "runs/%" PRIu32 ".done.json", run);
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    put_head(w, run);
    wf_json_close(w);
    wf_status st = publish(out_dir, name, w, WF_PUBLISH_REPLACE);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status file_there(const char *out_dir, const char *name, bool *there)
{
    char *path;
    WF_TRY(wf_path_join(out_dir, name, &path));
    *there = wf_file_exists(path);
    free(path);
    return WF_OK;
}

static wf_status epoch_there(const char *out_dir, uint32_t run, uint32_t group, uint32_t epoch,
                             char name[96], bool *there)
{
    snprintf(name, 96, "runs/%" PRIu32 "-g%" PRIu32 "-e%" PRIu32 ".json", run, group, epoch);
    return file_there(out_dir, name, there);
}

// The group's segments that count now, out of all that do.
static wf_status put_epoch(wf_json_writer *w, const wf_runs *runs, uint32_t run, uint32_t group,
                           uint32_t epoch)
{
    wf_json_open_object(w, NULL);
    put_head(w, run);
    wf_json_put_u64(w, "group", group);
    wf_json_put_u64(w, "epoch", epoch);
    wf_json_open_array(w, "segments");
    for (size_t i = 0; i < runs->n_segments; i++)
        if (runs->segments[i].group == group && runs->segments[i].run == run)
            wf_segment_ref_put(w, NULL, &runs->segments[i]);
    wf_json_close(w);
    wf_json_close(w);
    return WF_OK;
}

// A writer that still runs cannot publish what is gone. Whatever it managed to publish after the
// epoch's file is void anyway.
static wf_status remove_parts(const char *out_dir, uint32_t run, uint32_t group, uint32_t epoch)
{
    char name[2 * WF_RUNFILE_PATH_BYTES];
    char *folder = NULL;
    wf_paths names = {0};
    snprintf(name, sizeof name, "segments/g%" PRIu32, group);
    WF_TRY(wf_path_join(out_dir, name, &folder));
    wf_status st = wf_file_exists(folder) ? wf_file_list(folder, &names) : WF_OK;
    for (size_t i = 0; st == WF_OK && i < names.n; i++) {
        wf_segment_ref ref;
        bool part;
        char *path;
        snprintf(name, sizeof name, "segments/g%" PRIu32 "/%.64s", group, names.item[i]);
        if (!wf_segment_path_parse(name, &ref, &part) || !part) continue;
        if (ref.run != run || ref.epoch >= epoch) continue;
        st = wf_path_join(folder, names.item[i], &path);
        if (st == WF_OK) unlink(path);
        if (st == WF_OK) free(path);
    }
    wf_paths_destroy(&names);
    free(folder);
    return st;
}

static void say_nothing(void *context, const char *line)
{
    (void)context;
    (void)line;
}

wf_status wf_run_raise_epoch(const char *out_dir, uint32_t run, uint32_t group, uint32_t *epoch)
{
    wf_runs *runs = NULL;
    wf_json_writer *w = NULL;
    char name[96];
    bool there = true;
    uint32_t next = 0;
    wf_status st = WF_OK;
    while (st == WF_OK && there)
        st = epoch_there(out_dir, run, group, ++next, name, &there);
    const wf_runs_options look = {.read_only = true, .report = say_nothing};
    if (st == WF_OK) st = wf_runs_open(out_dir, &look, &runs);
    if (st == WF_OK) st = wf_json_writer_create(2, &w);
    if (st == WF_OK) st = put_epoch(w, runs, run, group, next);
    if (st == WF_OK) st = publish(out_dir, name, w, WF_PUBLISH_NEW);
    if (st == WF_OK) st = remove_parts(out_dir, run, group, next);
    wf_json_writer_destroy(&w);
    wf_runs_close(&runs);
    WF_TRY(st);
    *epoch = next;
    return WF_OK;
}

wf_status wf_run_fence(const char *out_dir, uint32_t run, uint32_t group, uint32_t epoch)
{
    char name[96];
    bool there;
    snprintf(name, sizeof name, "runs/%" PRIu32 ".json", run + 1);
    WF_TRY(file_there(out_dir, name, &there));
    if (!there) WF_TRY(epoch_there(out_dir, run, group, epoch + 1, name, &there));
    if (!there) return WF_OK;
    return wf_fail(WF_IN_USE,
                   "%s/%s: a newer start has taken over; run %" PRIu32 " epoch %" PRIu32
                   " of group %" PRIu32 " stops",
                   out_dir, name, run, epoch, group);
}
