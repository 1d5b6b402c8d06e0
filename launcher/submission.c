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

void wf_submission_forget(const char *out_dir)
{
    static const char *const names[] = {JOBS, "job.yaml", "job.sh", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = NULL;
        if (wf_submission_path(out_dir, names[i], &path) != WF_OK) return;
        bool recorded = i == 0 && wf_file_exists(path);
        if (i > 0 && names[i][0]) unlink(path);
        if (!names[i][0]) rmdir(path);
        free(path);
        if (recorded) return;
    }
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

// Adds the job of one line, if it is one: a line that a crash cut off is nobody's job.
static void job_add(wf_text *jobs, const char *line, size_t n)
{
    wf_json *doc = NULL;
    const char *id;
    if (wf_json_parse(JOBS, line, n, NULL, &doc) != WF_OK) return;
    if (wf_json_get_string(wf_json_root(doc), "job", &id) == WF_OK &&
        strspn(id, "0123456789") == strlen(id) && id[0] && !is_listed(jobs, id)) {
        wf_text_printf(jobs, "%s%s", jobs->n > 0 ? "," : "", id);
    }
    wf_json_destroy(&doc);
}

// The begin of the last `n` lines.
static const char *last_lines(const char *text, size_t n)
{
    const char *at = text + strlen(text);
    while (at > text && n > 0) {
        at--;
        while (at > text && at[-1] != '\n') {
            at--;
        }
        n--;
    }
    return at;
}

// NULL where nothing was recorded.
static wf_status record_read(const char *out_dir, char **text)
{
    char *path = NULL;
    *text = NULL;
    WF_TRY(wf_submission_path(out_dir, JOBS, &path));
    wf_status st = WF_OK;
    if (wf_file_exists(path)) st = wf_file_read(path, FILE_BYTES_MAX, text, NULL);
    free(path);
    return st;
}

static void last_read(const char *line, size_t n, int task, wf_submission_last *out)
{
    wf_json *doc = NULL;
    const char *id, *time;
    if (wf_json_parse(JOBS, line, n, NULL, &doc) != WF_OK) return;
    wf_json_ref root = wf_json_root(doc);
    if (wf_json_get_string(root, "time", &time) != WF_OK) {
        // a line without a time tells nothing here
    } else if (wf_json_get_string(root, "job", &id) == WF_OK) {
        snprintf(out->job, sizeof out->job, "%s", id);
        snprintf(out->submitted, sizeof out->submitted, "%s", time);
    } else if (wf_json_get_string(root, "cancelled", &id) == WF_OK) {
        const char *part = strchr(id, '_');
        bool ours = !part || task < 0 || strtol(part + 1, NULL, 10) == task;
        if (ours) snprintf(out->cancelled, sizeof out->cancelled, "%s", time);
    }
    wf_json_destroy(&doc);
}

wf_status wf_submission_last_find(const char *out_dir, int task, wf_submission_last *out)
{
    char *text = NULL;
    *out = (wf_submission_last){0};
    WF_TRY(record_read(out_dir, &text));
    for (const char *line = text ? last_lines(text, WF_SUBMISSION_MAX) : ""; *line;) {
        size_t n = strcspn(line, "\n");
        last_read(line, n, task, out);
        line += n + (line[n] == '\n');
    }
    free(text);
    return WF_OK;
}

wf_status wf_submission_jobs(const char *out_dir, char **out)
{
    char *text = NULL;
    wf_text jobs = {0};
    WF_TRY(record_read(out_dir, &text));
    for (const char *line = text ? last_lines(text, WF_SUBMISSION_MAX) : ""; *line;) {
        size_t n = strcspn(line, "\n");
        job_add(&jobs, line, n);
        line += n + (line[n] == '\n');
    }
    free(text);
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
