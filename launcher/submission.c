// Files of a submission. See submission.h.
#include "launcher/submission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/base/text.h"

#define JOBS "jobs.jsonl"

enum { FILE_BYTES_MAX = 64 << 20 };

wf_status wf_submission_path(const char *out_dir, const char *name, char **out)
{
    char *folder = NULL;
    WF_TRY(wf_path_join(out_dir, "submit", &folder));
    wf_status st = wf_path_join(folder, name, out);
    free(folder);
    return st;
}

static wf_status write_one(const char *out_dir, const char *name, const char *text)
{
    char *path = NULL;
    WF_TRY(wf_submission_path(out_dir, name, &path));
    wf_status st = wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE);
    free(path);
    return st;
}

wf_status wf_submission_write(const char *out_dir, const char *job, const char *script)
{
    char *folder = NULL;
    WF_TRY(wf_path_join(out_dir, "submit", &folder));
    wf_status st = wf_file_make_folders(folder);
    free(folder);
    if (st == WF_OK) st = write_one(out_dir, "job.yaml", job);
    if (st == WF_OK) st = write_one(out_dir, "job.sh", script);
    return st;
}

// ---- the record ---------------------------------------------------------------------------------

// `array` below 0: the job was cancelled.
static wf_status record_line(const char *id, int array, char **out)
{
    char now[WF_CLOCK_ISO_MAX];
    wf_json_writer *w = NULL;
    const char *text = "";
    WF_TRY(wf_json_writer_create(0, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, array < 0 ? "cancelled" : "job", id);
    if (array >= 0) wf_json_put_i64(w, "array", array);
    wf_json_put_string(w, "time", wf_clock_iso(wf_clock_unix_ns(), now));
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) st = wf_strdup(text, out);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status record_add(const char *out_dir, const char *id, int array)
{
    char *path = NULL, *line = NULL;
    WF_TRY(record_line(id, array, &line));
    wf_status st = wf_submission_path(out_dir, JOBS, &path);
    if (st == WF_OK) st = wf_file_append(path, line, strlen(line), true);
    free(path);
    free(line);
    return st;
}

wf_status wf_submission_add(const char *out_dir, const char *id, int array)
{
    return record_add(out_dir, id, array);
}

wf_status wf_submission_cancelled(const char *out_dir, const char *id)
{
    return record_add(out_dir, id, -1);
}

static void take_away(const char *out_dir, const char *name, int (*away)(const char *path))
{
    char *path = NULL;
    if (wf_submission_path(out_dir, name, &path) == WF_OK) away(path);
    free(path);
}

void wf_submission_forget(const char *out_dir)
{
    char *path = NULL;
    if (wf_submission_path(out_dir, JOBS, &path) != WF_OK) return;
    bool recorded = wf_file_exists(path);
    free(path);
    if (recorded) return;
    take_away(out_dir, "job.yaml", unlink);
    take_away(out_dir, "job.sh", unlink);
    take_away(out_dir, "", rmdir);
}

static bool is_listed(const wf_text *jobs, const char *id)
{
    size_t n = strlen(id);
    for (const char *at = jobs->n > 0 ? jobs->bytes : NULL; at && (at = strstr(at, id)); at++) {
        bool begins = at == jobs->bytes || at[-1] == ',';
        if (begins && (at[n] == ',' || at[n] == '\0')) return true;
    }
    return false;
}

// The begin of the last `n` lines.
static const char *last_lines(const char *text, size_t n)
{
    const char *at = text + strlen(text);
    while (at > text && n > 0) {
        at--;
        while (at > text && at[-1] != '\n')
            at--;
        n--;
    }
    return at;
}

typedef void (*line_visit)(wf_json_ref line, void *context);

// Shows the last WF_SUBMISSION_MAX lines, oldest first. One that a crash cut off is nobody's.
static wf_status record_read(const char *out_dir, line_visit visit, void *context)
{
    char *path = NULL, *text = NULL;
    WF_TRY(wf_submission_path(out_dir, JOBS, &path));
    wf_status st = WF_OK;
    if (wf_file_exists(path)) st = wf_file_read(path, FILE_BYTES_MAX, &text, NULL);
    free(path);
    WF_TRY(st);
    for (const char *line = text ? last_lines(text, WF_SUBMISSION_MAX) : ""; *line;) {
        size_t n = strcspn(line, "\n");
        wf_json *doc = NULL;
        if (wf_json_parse(JOBS, line, n, NULL, &doc) == WF_OK) visit(wf_json_root(doc), context);
        wf_json_destroy(&doc);
        line += n + (line[n] == '\n');
    }
    free(text);
    return WF_OK;
}

typedef struct last_of {
    int task;
    wf_submission_last *out;
} last_of;

static void last_take(wf_json_ref line, void *context)
{
    const last_of *last = context;
    wf_submission_last *out = last->out;
    const char *id, *time;
    if (wf_json_get_string(line, "time", &time) != WF_OK) return;
    if (wf_json_get_string(line, "job", &id) == WF_OK) {
        int64_t array = 0;
        wf_json_get_i64_or(line, "array", 0, INT32_MAX, 0, &array);
        out->array = (int)array;
        snprintf(out->job, sizeof out->job, "%s", id);
        snprintf(out->submitted, sizeof out->submitted, "%s", time);
    } else if (wf_json_get_string(line, "cancelled", &id) == WF_OK) {
        const char *part = strchr(id, '_');
        bool ours = !part || last->task < 0 || strtol(part + 1, NULL, 10) == last->task;
        if (ours) snprintf(out->cancelled, sizeof out->cancelled, "%s", time);
    }
}

wf_status wf_submission_last_find(const char *out_dir, int task, wf_submission_last *out)
{
    *out = (wf_submission_last){0};
    return record_read(out_dir, last_take, &(last_of){task, out});
}

static void job_take(wf_json_ref line, void *context)
{
    wf_text *jobs = context;
    const char *id;
    if (wf_json_get_string(line, "job", &id) != WF_OK) return;
    size_t n = strspn(id, "0123456789");
    if (id[n] == '_') n += 1 + strspn(id + n + 1, "0123456789"); // a task of a study's array
    if (n != strlen(id) || !id[0] || is_listed(jobs, id)) return;
    wf_text_printf(jobs, "%s%s", jobs->n > 0 ? "," : "", id);
}

wf_status wf_submission_jobs(const char *out_dir, char **out)
{
    wf_text jobs = {0};
    WF_TRY(record_read(out_dir, job_take, &jobs));
    wf_text_puts(&jobs, "");
    return wf_text_take(&jobs, out);
}

wf_status wf_submission_find(const char *out_dir, wf_queue_job **out, size_t *n)
{
    char *jobs = NULL;
    *out = NULL;
    *n = 0;
    WF_TRY(wf_submission_jobs(out_dir, &jobs));
    wf_status st = jobs[0] ? wf_queue_find(jobs, out, n) : WF_OK;
    free(jobs);
    return st;
}
