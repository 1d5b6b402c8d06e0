// An output folder: which segments count by the run files, and whether the manifest is right.
//
// The rule, written down a second time: of the newest run r, runs/<r>.json lists what it inherits;
// segments named r<r> count when their epoch is their group's newest or
// runs/<r>-g<g>-e<newest>.json lists them; nothing else counts.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/json.h"
#include "io/base/text.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX_BYTES ((size_t)256 << 20)

typedef struct {
    char *name; // "segments/g0/r0-e0-00000.h5"
    uint32_t group, run, epoch;
    uint64_t rows, bytes, hash;
    bool listed;      // by the newest run's file: rows, bytes and hash are recorded
    bool by_epoch;    // by an epoch's file
    bool in_journal;  // of the life that seals now
    bool void_failed; // as the run file says: a later run does its failed rows again
    bool there, counts;
} segment;

typedef struct {
    checker *c;
    segment *segments;
    size_t n, capacity;
    int64_t newest; // run, -1: none
    bool complete;
    check_journal journal; // the one read last
} folder;

static segment *find(folder *f, const char *name)
{
    for (size_t i = f->n; i-- > 0;)
        if (strcmp(f->segments[i].name, name) == 0) return &f->segments[i];
    return NULL;
}

static wf_status note_segment(folder *f, const char *name, segment **out)
{
    segment *s = find(f, name);
    if (!s) {
        unsigned number;
        WF_TRY(wf_grow(f->n + 1, sizeof *s, &f->capacity, &f->segments));
        s = &f->segments[f->n];
        *s = (segment){0};
        WF_TRY(wf_strdup(name, &s->name));
        if (sscanf(name, "segments/g%" SCNu32 "/r%" SCNu32 "-e%" SCNu32 "-%u.h5", &s->group,
                   &s->run, &s->epoch, &number) != 4) {
            check_problem(f->c, "%s: '%s' is no name of a segment", f->c->root, name);
        }
        f->n++;
    }
    *out = s;
    return WF_OK;
}

// --- JSON files ---

static wf_status open_json(folder *f, const char *name, wf_json **doc)
{
    char *path = NULL;
    *doc = NULL;
    WF_TRY(wf_path_join(f->c->root, name, &path));
    wf_status st = wf_json_parse_file(path, JSON_MAX_BYTES, doc);
    free(path);
    if (st == WF_DATA || st == WF_NO_INPUT) {
        check_problem(f->c, "%s", wf_error());
        st = WF_OK;
    }
    return st;
}

static wf_status read_record(wf_json_ref item, const char **path, uint64_t *rows, uint64_t *bytes,
                             uint64_t *hash)
{
    const char *hex;
    int64_t r, b;
    WF_TRY(wf_json_get_string(item, "path", path));
    WF_TRY(wf_json_get_i64(item, "rows", 0, INT64_MAX, &r));
    WF_TRY(wf_json_get_i64(item, "bytes", 0, INT64_MAX, &b));
    WF_TRY(wf_json_get_string(item, "xxh64", &hex));
    *rows = (uint64_t)r;
    *bytes = (uint64_t)b;
    *hash = strtoull(hex, NULL, 16);
    return WF_OK;
}

static wf_status read_list(folder *f, wf_json_ref list, bool by_epoch)
{
    wf_json_iter it = wf_json_iterate(list);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const char *path;
        uint64_t rows, bytes, hash;
        segment *s;
        if (read_record(item, &path, &rows, &bytes, &hash) != WF_OK) {
            check_problem(f->c, "%s", wf_error());
            continue;
        }
        WF_TRY(note_segment(f, path, &s));
        if (by_epoch) {
            s->by_epoch = true;
            continue;
        }
        s->listed = true;
        s->rows = rows;
        s->bytes = bytes;
        s->hash = hash;
        s->void_failed = wf_json_has(item, "void_failed");
        if (s->run >= f->newest) {
            check_problem(f->c, "%s/runs/%" PRId64 ".json: inherits %s, which is not older",
                          f->c->root, f->newest, path);
        }
    }
    return WF_OK;
}

static wf_status read_listing(folder *f, const char *name, bool by_epoch)
{
    wf_json *doc = NULL;
    WF_TRY(open_json(f, name, &doc));
    if (!doc) return WF_OK;
    wf_status st = read_list(f, wf_json_find(wf_json_root(doc), "segments"), by_epoch);
    wf_json_destroy(&doc);
    return st;
}

// --- folders ---

static wf_status list(folder *f, const char *name, wf_paths *names)
{
    char *path = NULL;
    WF_TRY(wf_path_join(f->c->root, name, &path));
    wf_status st = wf_file_exists(path) ? wf_file_list(path, names) : WF_OK;
    free(path);
    return st;
}

static wf_status read_runs(folder *f)
{
    wf_paths names = {0};
    wf_status st = list(f, "runs", &names);
    f->newest = -1;
    for (size_t i = 0; st == WF_OK && i < names.n; i++) {
        unsigned run;
        int n = 0;
        if (sscanf(names.item[i], "%u.json%n", &run, &n) == 1 && n > 0 && !names.item[i][n]) {
            if ((int64_t)run > f->newest) f->newest = run;
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%" PRId64 ".done.json", f->newest);
    for (size_t i = 0; i < names.n; i++)
        f->complete |= strcmp(names.item[i], name) == 0;
    wf_paths_destroy(&names);
    if (st != WF_OK || f->newest < 0) return st;
    snprintf(name, sizeof name, "runs/%" PRId64 ".json", f->newest);
    return read_listing(f, name, false);
}

static uint32_t newest_epoch(const wf_paths *names, int64_t run, uint32_t group)
{
    uint32_t newest = 0;
    for (size_t i = 0; i < names->n; i++) {
        unsigned r, g, e;
        int n = 0;
        if (sscanf(names->item[i], "%u-g%u-e%u.json%n", &r, &g, &e, &n) != 3 || n == 0) continue;
        if (r == run && g == group && e > newest) newest = e;
    }
    return newest;
}

// Of the newest run's newest lives every segment must be there but the one being sealed. (What
// earlier runs had is in the newest run's file, and what was damaged then has been done again.)
static wf_status read_journal(folder *f, uint32_t group, uint32_t epoch)
{
    segment *s;
    WF_TRY(check_journal_read(f->c, (uint32_t)f->newest, group, epoch, &f->journal));
    for (size_t i = 0; i + 1 < f->journal.n; i++) {
        WF_TRY(note_segment(f, f->journal.lines[i].segment, &s));
        s->in_journal = true;
    }
    return WF_OK;
}

// Before the segments are listed: a job may be sealing while it is checked.
static wf_status read_journals(folder *f)
{
    wf_paths names = {0};
    wf_status st = list(f, "runs", &names);
    for (size_t i = 0; st == WF_OK && i < names.n; i++) {
        unsigned run, group, epoch;
        int n = 0;
        if (sscanf(names.item[i], "%u-g%u-e%u.sealed.jsonl%n", &run, &group, &epoch, &n) != 3 ||
            n == 0 || names.item[i][n] || run != f->newest)
            continue;
        if (epoch == newest_epoch(&names, f->newest, group)) st = read_journal(f, group, epoch);
    }
    check_journal_free(&f->journal); // what is sealed meanwhile is in the journal read next
    wf_paths_destroy(&names);
    return st;
}

// Lists one group's files and decides which count.
static wf_status judge_group(folder *f, const wf_paths *run_files, uint32_t group)
{
    char name[160];
    wf_paths files = {0};
    uint32_t epoch = newest_epoch(run_files, f->newest, group);
    if (epoch > 0) {
        snprintf(name, sizeof name, "runs/%" PRId64 "-g%u-e%u.json", f->newest, group, epoch);
        WF_TRY(read_listing(f, name, true));
    }
    snprintf(name, sizeof name, "segments/g%u", group);
    wf_status st = list(f, name, &files);
    for (size_t i = 0; st == WF_OK && i < files.n; i++) {
        segment *s;
        snprintf(name, sizeof name, "segments/g%u/%.100s", group, files.item[i]);
        if (wf_text_ends_with(name, ".part")) {
            check_note(f->c, "%s/%s: not sealed, does not count", f->c->root, name);
            continue;
        }
        if (!wf_text_ends_with(name, ".h5")) continue;
        st = note_segment(f, name, &s);
        if (st != WF_OK) break;
        bool own = s->run == f->newest && (s->epoch == epoch || s->by_epoch);
        s->there = true;
        s->counts = s->listed || own;
        if (!s->counts) check_note(f->c, "%s/%s: void, does not count", f->c->root, name);
    }
    wf_paths_destroy(&files);
    return st;
}

static wf_status read_segments(folder *f)
{
    wf_paths groups = {0}, run_files = {0};
    wf_status st = list(f, "segments", &groups);
    if (st == WF_OK) st = list(f, "runs", &run_files);
    for (size_t i = 0; st == WF_OK && i < groups.n; i++) {
        unsigned group;
        int n = 0;
        if (sscanf(groups.item[i], "g%u%n", &group, &n) == 1 && !groups.item[i][n])
            st = judge_group(f, &run_files, group);
    }
    wf_paths_destroy(&groups);
    wf_paths_destroy(&run_files);
    return st;
}

// --- bytes ---

static wf_status hash_file(const char *path, uint64_t *hash, uint64_t *bytes)
{
    wf_hash64_stream *stream = NULL;
    char buffer[65536];
    size_t n;
    FILE *in = fopen(path, "rb");
    if (!in) return wf_fail_errno(WF_NO_INPUT, "%s: cannot open", path);
    wf_status st = wf_hash64_create(0, &stream);
    *bytes = 0;
    while (st == WF_OK && (n = fread(buffer, 1, sizeof buffer, in)) > 0) {
        wf_hash64_add(stream, buffer, n);
        *bytes += n;
    }
    if (st == WF_OK && ferror(in)) st = wf_fail_errno(WF_IO, "%s: cannot read", path);
    if (st == WF_OK) *hash = wf_hash64_value(stream);
    wf_hash64_destroy(&stream);
    fclose(in);
    return st;
}

static wf_status compare_bytes(checker *c, const char *path, const char *who, uint64_t hash,
                               uint64_t bytes)
{
    uint64_t found_hash, found_bytes;
    WF_TRY(hash_file(path, &found_hash, &found_bytes));
    if (found_bytes != bytes) {
        check_problem(c, "%s: has %" PRIu64 " bytes, %s says %" PRIu64, path, found_bytes, who,
                      bytes);
    } else if (found_hash != hash) {
        check_problem(c, "%s: its xxh64 is %016" PRIx64 ", %s says %016" PRIx64, path, found_hash,
                      who, hash);
    }
    return WF_OK;
}

static wf_status check_contents(folder *f, const segment *s, const char *path)
{
    check_found found;
    const check_file expect = {
        .named = true, .run = s->run, .group = s->group, .void_failed = s->void_failed};
    if (s->listed) WF_TRY(compare_bytes(f->c, path, "the run file", s->hash, s->bytes));
    uint64_t n_files = f->c->report.n_files;
    WF_TRY(check_results_file(f->c, path, &expect, &found));
    if (s->listed && found.rows != s->rows) {
        check_problem(f->c, "%s: has %" PRIu64 " rows, the run file says %" PRIu64, path,
                      found.rows, s->rows);
    }
    if (f->c->report.n_files == n_files) return WF_OK; // it cannot be opened, which was said
    WF_TRY(check_journal_read(f->c, s->run, s->group, s->epoch, &f->journal));
    check_journal_compare(f->c, &f->journal, s->name, &found);
    return WF_OK;
}

static wf_status check_segment(folder *f, const segment *s)
{
    char *path = NULL;
    if (!s->there) {
        if (s->listed || s->by_epoch || s->in_journal) {
            check_problem(f->c, "%s/%s: is missing, but %s it", f->c->root, s->name,
                          s->listed || s->by_epoch ? "a run file lists" : "its journal has");
        }
        return WF_OK;
    }
    if (!s->counts) return WF_OK;
    WF_TRY(wf_path_join(f->c->root, s->name, &path));
    wf_status st = check_contents(f, s, path);
    free(path);
    return st;
}

// --- results.h5 and its manifest ---

// True when the manifest's segments are exactly those that count.
static wf_status check_manifest_list(folder *f, wf_json_ref entries, bool *current)
{
    size_t counting = 0, n = 0;
    for (size_t i = 0; i < f->n; i++)
        counting += f->segments[i].there && f->segments[i].counts;
    *current = true;
    wf_json_iter it = wf_json_iterate(entries);
    for (wf_json_ref item; wf_json_next(&it, &item); n++) {
        const char *name;
        char *path = NULL;
        uint64_t rows, bytes, hash;
        if (read_record(item, &name, &rows, &bytes, &hash) != WF_OK) {
            check_problem(f->c, "%s", wf_error());
            continue;
        }
        const segment *s = find(f, name);
        if (!s || !s->there || !s->counts) {
            *current = false;
            continue;
        }
        *current &= wf_json_has(item, "void_failed") == s->void_failed;
        WF_TRY(wf_path_join(f->c->root, name, &path));
        wf_status st = compare_bytes(f->c, path, "the manifest", hash, bytes);
        free(path);
        WF_TRY(st);
    }
    *current &= n == counting;
    return WF_OK;
}

static bool has_manifest(const folder *f)
{
    char *path = NULL;
    bool there = wf_path_join(f->c->root, "manifest.json", &path) == WF_OK && wf_file_exists(path);
    free(path);
    return there;
}

// It is written after results.h5: a merge that was killed or found the disk full leaves none, and
// the segments still are the truth.
static wf_status check_manifest(folder *f, const char *merged, bool has_segments, uint64_t *rows,
                                bool *current)
{
    wf_json *doc = NULL;
    wf_json_ref results;
    const char *name;
    uint64_t bytes, hash;
    *current = false;
    *rows = UINT64_MAX;
    if (has_segments && !has_manifest(f)) {
        check_note(f->c, "%s: has no manifest: merging did not end; weft merge does it again",
                   merged);
        return WF_OK;
    }
    WF_TRY(open_json(f, "manifest.json", &doc));
    if (!doc) return WF_OK;
    wf_status st = wf_json_get_object(wf_json_root(doc), "results", &results);
    if (st == WF_OK) st = read_record(results, &name, rows, &bytes, &hash);
    if (st == WF_DATA) {
        check_problem(f->c, "%s", wf_error());
        st = WF_OK;
    } else if (st == WF_OK) {
        st = compare_bytes(f->c, merged, "the manifest", hash, bytes);
    }
    wf_json_ref entries = wf_json_find(wf_json_root(doc), "segments");
    if (st == WF_OK) st = check_manifest_list(f, entries, current);
    wf_json_destroy(&doc);
    return st;
}

// The segments' keys and digest are in the checker; results.h5 is read as a second pass and must
// give the same.
static wf_status check_merged(folder *f, const char *merged, bool has_segments)
{
    checker *c = f->c;
    uint64_t listed_rows, digest = c->digest, segment_rows = c->rows;
    check_found found;
    bool current;
    const check_file expect = {.sorted = true, .again = has_segments};
    WF_TRY(check_manifest(f, merged, has_segments, &listed_rows, &current));
    check_clear_marks(c);
    WF_TRY(check_results_file(c, merged, &expect, &found));
    if (listed_rows != UINT64_MAX && found.rows != listed_rows) {
        check_problem(c, "%s: has %" PRIu64 " rows, the manifest says %" PRIu64, merged, found.rows,
                      listed_rows);
    }
    if (!has_segments) return WF_OK;
    if (!current && listed_rows == UINT64_MAX) return WF_OK; // said already
    if (!current)
        check_note(c, "%s: was merged from other segments than count now", merged);
    else if (c->rows != segment_rows || c->digest != digest)
        check_problem(c, "%s: does not hold what its segments hold", merged);
    return WF_OK;
}

// Everything is missing, as many results as the newest run's file says there will be.
static wf_status nothing_sealed(folder *f)
{
    char name[64];
    wf_json *doc = NULL;
    int64_t n = 0;
    if (f->newest < 0)
        return wf_fail(WF_NO_INPUT, "%s: no job was started here: it is no output folder",
                       f->c->root);
    snprintf(name, sizeof name, "runs/%" PRId64 ".json", f->newest);
    WF_TRY(open_json(f, name, &doc));
    if (doc) {
        wf_json_ref identity = wf_json_find(wf_json_root(doc), "identity");
        (void)wf_json_get_i64_or(identity, "results", 0, INT64_MAX, 0, &n);
        wf_json_destroy(&doc);
    }
    if (n > 0) fprintf(f->c->out, "missing: %" PRId64 " result%s, all of them\n", n, WF_S(n));
    fprintf(f->c->out, "complete: no\n");
    return wf_fail(WF_NO_INPUT, "%s: holds no sealed results", f->c->root);
}

static wf_status check_all(folder *f)
{
    char *merged = NULL;
    bool any = false;
    for (size_t i = 0; i < f->n; i++) {
        WF_TRY(check_segment(f, &f->segments[i]));
        any |= f->segments[i].there && f->segments[i].counts;
    }
    WF_TRY(wf_path_join(f->c->root, "results.h5", &merged));
    bool is_merged = wf_file_exists(merged);
    wf_status st = WF_OK;
    if (!any && !is_merged)
        st = nothing_sealed(f);
    else if (any)
        check_count_missing(f->c); // before the second pass clears the marks
    if (st == WF_OK && is_merged) st = check_merged(f, merged, any);
    if (st == WF_OK && !any) check_count_missing(f->c);
    free(merged);
    return st;
}

wf_status check_folder(checker *c)
{
    folder f = {.c = c};
    wf_status st = read_runs(&f);
    if (st == WF_OK) st = read_journals(&f);
    if (st == WF_OK) st = read_segments(&f);
    if (st == WF_OK) st = check_all(&f);
    if (st == WF_OK && f.complete && c->report.n_missing > 0) {
        check_problem(
            c, "%s: run %" PRId64 " says it is complete, but %" PRIu64 " results are missing",
            c->root, f.newest, c->report.n_missing);
    }
    for (size_t i = 0; i < f.n; i++)
        free(f.segments[i].name);
    free(f.segments);
    check_journal_free(&f.journal);
    return st;
}
