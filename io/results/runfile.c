// Reading an output folder: which run is the newest, which segments count. Writing is in
// runfile_write.c, opening the segments in runfile_verify.c.
//
// Only names and the newest run's files decide; times of files mean nothing here.
#include "io/results/runfile_internal.h"

#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "io/results/space.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_FILE_MAX_BYTES (256u << 20)

// What the newest run's files say: names of segments that count although they are old.
typedef struct {
    wf_segment_ref *items;
    size_t n, capacity;
} ref_list;

typedef struct {
    uint32_t group, epoch;
} group_epoch;

typedef struct {
    wf_runs *runs;
    ref_list listed; // sorted by path
    group_epoch *epochs;
    size_t n_epochs, epochs_capacity;
} scan;

bool wf_segment_path_parse(const char *path, wf_segment_ref *ref, bool *part)
{
    char again[WF_RUNFILE_PATH_BYTES];
    *ref = (wf_segment_ref){0};
    if (sscanf(path, "segments/g%" SCNu32 "/r%" SCNu32 "-e%" SCNu32 "-%" SCNu32 ".h5", &ref->group,
               &ref->run, &ref->epoch, &ref->number) != 4) {
        return false;
    }
    // sscanf takes signs, blanks and tails: only the name the writer would give counts.
    int n = snprintf(again, sizeof again,
                     "segments/g%" PRIu32 "/r%" PRIu32 "-e%" PRIu32 "-%05" PRIu32 ".h5", ref->group,
                     ref->run, ref->epoch, ref->number);
    if (strncmp(path, again, (size_t)n) != 0) return false;
    *part = path[n] == '.' && wf_text_ends_with(path, ".part"); // ".part", or with a number before
    ref->path = path;
    return *part || path[n] == '\0';
}

void wf_runs_say(const wf_runs *runs, const char *format, ...)
{
    char line[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (runs->options.report)
        runs->options.report(runs->options.report_context, line);
    else
        wf_warn("%s", line);
}

static int compare_refs(const void *a, const void *b)
{
    const wf_segment_ref *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    if (x->run != y->run) return x->run < y->run ? -1 : 1;
    if (x->epoch != y->epoch) return x->epoch < y->epoch ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void wf_segment_refs_sort(wf_segment_ref *refs, size_t n)
{
    if (n > 1) qsort(refs, n, sizeof *refs, compare_refs);
}

wf_status wf_runs_set_aside(wf_runs *runs, const char *path, const char *why)
{
    wf_status st = WF_OK;
    char *from = NULL, *folder = NULL, *to = NULL, name[WF_RUNFILE_PATH_BYTES + 16];
    if (runs->options.read_only) {
        wf_runs_say(runs, "%s/%s: does not count: %s", runs->out_dir, path, why);
        return WF_OK;
    }
    WF_TRY_TO(done, wf_path_join(runs->out_dir, path, &from));
    WF_TRY_TO(done, wf_path_join(runs->out_dir, "void", &folder));
    WF_TRY_TO(done, wf_file_make_folders(folder));
    for (unsigned copy = 0;; copy++) { // void/ keeps everything it was ever given
        free(to);
        to = NULL;
        snprintf(name, sizeof name, "%s.%u", path + strlen("segments/"), copy);
        for (char *c = name; *c; c++)
            if (*c == '/') *c = '-';
        WF_TRY_TO(done, wf_path_join(folder, name, &to));
        if (!wf_file_exists(to)) break;
    }
    if (rename(from, to) != 0) {
        st = wf_fail_errno(WF_IO, "%s: cannot be moved to %s", from, to);
        goto done;
    }
    wf_runs_say(runs, "%s: does not count: %s; moved to %s", from, why, to);
done:
    free(from);
    free(folder);
    free(to);
    return st;
}

// --- the newest run's files ---

static wf_status parse_file(const wf_runs *runs, const char *name, wf_json **doc)
{
    char *path = NULL;
    WF_TRY(wf_path_join(runs->out_dir, name, &path));
    wf_status st = wf_json_parse_file(path, RUN_FILE_MAX_BYTES, doc);
    free(path);
    return st;
}

static wf_status read_ref(scan *s, wf_json_ref item)
{
    wf_segment_ref ref;
    const char *path, *hash;
    int64_t rows, bytes;
    bool part;
    WF_TRY(wf_json_get_string(item, "path", &path));
    WF_TRY(wf_arena_strdup(s->runs->arena, path, &path));
    if (!wf_segment_path_parse(path, &ref, &part) || part)
        return wf_json_fail(item, "'%s' is no name of a segment", path);
    WF_TRY(wf_json_get_i64(item, "rows", 0, INT64_MAX, &rows));
    WF_TRY(wf_json_get_i64(item, "bytes", 0, INT64_MAX, &bytes));
    WF_TRY(wf_json_get_string(item, "xxh64", &hash));
    ref.rows = (uint64_t)rows;
    ref.bytes = (uint64_t)bytes;
    ref.xxh64 = strtoull(hash, NULL, 16);
    if (wf_json_has(item, "void_failed"))
        WF_TRY(wf_json_get_bool(item, "void_failed", &ref.void_failed));
    WF_TRY(wf_grow(s->listed.n + 1, sizeof ref, &s->listed.capacity, &s->listed.items));
    s->listed.items[s->listed.n++] = ref;
    return WF_OK;
}

static wf_status read_listed(scan *s, wf_json_ref root)
{
    wf_json_ref list;
    WF_TRY(wf_json_get_array(root, "segments", &list));
    wf_json_iter it = wf_json_iterate(list);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        WF_TRY(read_ref(s, item));
    return WF_OK;
}

static wf_status keep_identity(wf_runs *runs, wf_json_ref root)
{
    wf_json_writer *w = NULL;
    const char *text;
    if (!wf_json_has(root, "identity")) return WF_OK;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_status st = wf_json_copy(wf_json_find(root, "identity"), w, NULL);
    if (st == WF_OK) st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) st = wf_arena_strdup(runs->arena, text, (const char **)&runs->identity);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status read_run_file(scan *s)
{
    char name[64];
    wf_json *doc = NULL;
    snprintf(name, sizeof name, "runs/%zu.json", s->runs->n_runs - 1);
    WF_TRY(parse_file(s->runs, name, &doc));
    wf_status st = read_listed(s, wf_json_root(doc));
    if (st == WF_OK) st = keep_identity(s->runs, wf_json_root(doc));
    wf_json_destroy(&doc);
    return st;
}

// Of each group only the newest epoch's file speaks.
static wf_status note_epoch(scan *s, uint32_t group, uint32_t epoch)
{
    for (size_t i = 0; i < s->n_epochs; i++) {
        if (s->epochs[i].group != group) continue;
        if (epoch > s->epochs[i].epoch) s->epochs[i].epoch = epoch;
        return WF_OK;
    }
    WF_TRY(wf_grow(s->n_epochs + 1, sizeof *s->epochs, &s->epochs_capacity, &s->epochs));
    s->epochs[s->n_epochs++] = (group_epoch){group, epoch};
    return WF_OK;
}

static wf_status read_epoch_files(scan *s)
{
    for (size_t i = 0; i < s->n_epochs; i++) {
        char name[64];
        wf_json *doc = NULL;
        snprintf(name, sizeof name, "runs/%zu-g%" PRIu32 "-e%" PRIu32 ".json", s->runs->n_runs - 1,
                 s->epochs[i].group, s->epochs[i].epoch);
        WF_TRY(parse_file(s->runs, name, &doc));
        wf_status st = read_listed(s, wf_json_root(doc));
        wf_json_destroy(&doc);
        WF_TRY(st);
    }
    return WF_OK;
}

static wf_status list_folder(const wf_runs *runs, const char *name, wf_paths *names)
{
    char *path;
    bool there;
    WF_TRY(wf_path_join(runs->out_dir, name, &path));
    wf_status st = wf_file_look(path, &there); // what cannot be seen now must not count as gone
    if (st == WF_OK && there) st = wf_file_list(path, names);
    free(path);
    return st;
}

static bool is_name(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool is_name(const char *name, const char *format, ...)
{
    char again[96];
    va_list args;
    va_start(args, format);
    vsnprintf(again, sizeof again, format, args);
    va_end(args);
    return strcmp(name, again) == 0;
}

static wf_status scan_runs(scan *s)
{
    wf_paths names = {0};
    wf_status st = list_folder(s->runs, "runs", &names);
    uint32_t run, group, epoch;
    for (size_t i = 0; st == WF_OK && i < names.n; i++) {
        if (sscanf(names.item[i], "%" SCNu32, &run) == 1 &&
            is_name(names.item[i], "%" PRIu32 ".json", run) && run >= s->runs->n_runs) {
            s->runs->n_runs = (size_t)run + 1;
        }
    }
    for (size_t i = 0; st == WF_OK && i < names.n; i++) {
        const char *name = names.item[i];
        if (sscanf(name, "%" SCNu32, &run) != 1 || (size_t)run + 1 != s->runs->n_runs) continue;
        if (is_name(name, "%" PRIu32 ".done.json", run)) s->runs->complete = true;
        if (sscanf(name, "%*u-g%" SCNu32 "-e%" SCNu32, &group, &epoch) == 2 &&
            is_name(name, "%" PRIu32 "-g%" PRIu32 "-e%" PRIu32 ".json", run, group, epoch)) {
            st = note_epoch(s, group, epoch);
        }
    }
    wf_paths_destroy(&names);
    if (st == WF_OK && s->runs->n_runs > 0) st = read_run_file(s);
    if (st == WF_OK) st = read_epoch_files(s);
    return st;
}

// --- the segments ---

static wf_segment_ref *find_listed(const scan *s, const wf_segment_ref *ref)
{
    return s->listed.n == 0 ? NULL
                            : bsearch(ref, s->listed.items, s->listed.n, sizeof *ref, compare_refs);
}

static uint32_t newest_epoch(const scan *s, uint32_t group)
{
    for (size_t i = 0; i < s->n_epochs; i++)
        if (s->epochs[i].group == group) return s->epochs[i].epoch;
    return 0;
}

// NULL when the segment counts, else why not.
static const char *why_void(const scan *s, const wf_segment_ref *ref, const wf_segment_ref *listed)
{
    if (listed) return NULL;
    if (s->runs->n_runs == 0) return "there is no run file that it could belong to";
    if (ref->run >= s->runs->n_runs) return "its run has no run file";
    if (ref->run + 1 != s->runs->n_runs) return "its run was over when it was published";
    if (ref->epoch != newest_epoch(s, ref->group))
        return "its group had been restarted when it was published";
    return NULL;
}

static wf_status keep_segment(wf_runs *runs, const wf_segment_ref *ref)
{
    WF_TRY(wf_grow(runs->n_segments + 1, sizeof *ref, &runs->capacity, &runs->segments));
    runs->segments[runs->n_segments++] = *ref;
    return WF_OK;
}

static wf_status remove_part(wf_runs *runs, const char *path)
{
    char *full;
    if (runs->options.read_only) return WF_OK;
    WF_TRY(wf_path_join(runs->out_dir, path, &full));
    wf_status st = WF_OK;
    if (unlink(full) == 0) {
        wf_runs_say(runs,
                    "%s: removed: its writer ended before sealing it, its rows will be done "
                    "again",
                    full);
    } else if (errno != ENOENT) {
        st = wf_fail_errno(WF_IO, "%s: cannot be removed", full);
    }
    free(full);
    return st;
}

// Of a writer that ended without closing; a live one cannot be here, the folder is ours.
static wf_status remove_reserve(const wf_runs *runs, const char *path)
{
    char *full;
    if (runs->options.read_only) return WF_OK;
    WF_TRY(wf_path_join(runs->out_dir, path, &full));
    unlink(full);
    free(full);
    return WF_OK;
}

static wf_status see_file(scan *s, const char *path)
{
    wf_runs *runs = s->runs;
    wf_segment_ref ref;
    bool part;
    int64_t bytes = 0;
    char *full;
    const char *name;
    if (strcmp(wf_path_name(path), WF_SPACE_RESERVE_NAME) == 0) return remove_reserve(runs, path);
    if (!wf_segment_path_parse(path, &ref, &part)) return WF_OK; // not ours, not touched
    if (part) return remove_part(runs, path);
    const wf_segment_ref *listed = find_listed(s, &ref);
    const char *why = why_void(s, &ref, listed);
    if (why) return wf_runs_set_aside(runs, path, why);
    WF_TRY(wf_path_join(runs->out_dir, path, &full));
    wf_status st = wf_file_size(full, &bytes);
    free(full);
    WF_TRY(st);
    WF_TRY(wf_arena_strdup(runs->arena, path, &name));
    ref.path = name;
    ref.bytes = (uint64_t)bytes;
    ref.void_failed = listed && listed->void_failed;
    if (listed && listed->xxh64 != 0) { // an epoch's file does not know rows and hash
        ref.rows = listed->rows;
        ref.xxh64 = listed->xxh64;
        if (listed->bytes != ref.bytes)
            return wf_runs_set_aside(runs, path, "its size is not the one recorded");
    }
    return keep_segment(runs, &ref);
}

static wf_status scan_group(scan *s, const char *group)
{
    char path[2 * WF_RUNFILE_PATH_BYTES];
    wf_paths names = {0};
    snprintf(path, sizeof path, "segments/%.32s", group);
    wf_status st = list_folder(s->runs, path, &names);
    for (size_t i = 0; st == WF_OK && i < names.n; i++) {
        snprintf(path, sizeof path, "segments/%.32s/%.64s", group, names.item[i]);
        st = see_file(s, path);
    }
    wf_paths_destroy(&names);
    return st;
}

static wf_status scan_segments(scan *s)
{
    wf_paths groups = {0};
    wf_segment_refs_sort(s->listed.items, s->listed.n);
    wf_status st = list_folder(s->runs, "segments", &groups);
    for (size_t i = 0; st == WF_OK && i < groups.n; i++) {
        unsigned group;
        if (sscanf(groups.item[i], "g%u", &group) != 1) continue;
        if (is_name(groups.item[i], "g%u", group)) st = scan_group(s, groups.item[i]);
    }
    wf_paths_destroy(&groups);
    wf_segment_refs_sort(s->runs->segments, s->runs->n_segments);
    return st;
}

// A listed segment that is gone takes its rows along: they will be done again, and are reported.
static void report_missing(const scan *s)
{
    for (size_t i = 0; i < s->listed.n; i++) {
        const wf_segment_ref *ref = &s->listed.items[i];
        char *full;
        if (wf_path_join(s->runs->out_dir, ref->path, &full) != WF_OK) return;
        if (!wf_file_exists(full)) {
            wf_runs_say(s->runs, "%s: is missing; its %" PRIu64 " row%s will be done again", full,
                        ref->rows, WF_S(ref->rows));
        }
        free(full);
    }
}

wf_status wf_runs_open(const char *out_dir, const wf_runs_options *options, wf_runs **out)
{
    wf_status st;
    wf_runs *runs = NULL;
    scan s = {0};
    WF_TRY(wf_alloc(1, sizeof *runs, &runs));
    if (options) runs->options = *options;
    s.runs = runs;
    WF_TRY_TO(done, wf_strdup(out_dir, &runs->out_dir));
    WF_TRY_TO(done, wf_arena_create(0, &runs->arena));
    WF_TRY_TO(done, scan_runs(&s));
    WF_TRY_TO(done, scan_segments(&s));
    report_missing(&s);
done:
    free(s.listed.items);
    free(s.epochs);
    if (st == WF_OK)
        *out = runs;
    else
        wf_runs_close(&runs);
    return st;
}

void wf_runs_close(wf_runs **runs)
{
    if (!*runs) return;
    wf_arena_destroy(&(*runs)->arena);
    free((*runs)->segments);
    free((*runs)->out_dir);
    free(*runs);
    *runs = NULL;
}

size_t wf_runs_room(const wf_runs *runs)
{
    return runs->n_runs < WF_RUNS_MOST ? WF_RUNS_MOST - runs->n_runs : 0;
}

size_t wf_runs_count(const wf_runs *runs)
{
    return runs->n_runs;
}

const wf_segment_ref *wf_runs_segments(const wf_runs *runs, size_t *n)
{
    *n = runs->n_segments;
    return runs->segments;
}

bool wf_runs_complete(const wf_runs *runs)
{
    return runs->complete;
}

const char *wf_runs_identity(const wf_runs *runs)
{
    return runs->identity;
}

size_t wf_runs_without_progress(const wf_runs *runs)
{
    size_t idle = 0;
    for (size_t run = runs->n_runs; run-- > 0; idle++) {
        for (size_t i = 0; i < runs->n_segments; i++)
            if (runs->segments[i].run == run) return idle;
    }
    return idle;
}
