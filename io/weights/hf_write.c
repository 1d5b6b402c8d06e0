// See hf_write.h.
#include "io/weights/hf_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/json_writer.h"
#include "io/base/publish.h"

#define FILE_BYTES     UINT64_C(5000000000)
#define IDENTITY       "identity.json"
#define DOCUMENT_BYTES ((size_t)256 << 20) // of one that is copied: tokenizers are of megabytes
enum { NAME_BYTES = 64 };

// The units of one file.
typedef struct span {
    size_t first, n;
} span;

typedef struct writing {
    const wf_hf_write_job *job;
    char *folder; // OUT.part
    int lock;     // its identity, held
    span *files;
    size_t n_files;
    wf_hf_write_report report;
} writing;

// ---- which unit lies where ----------------------------------------------------------------------

static uint64_t unit_bytes(const wf_hf_write_job *job, size_t i)
{
    uint64_t n = 0;
    const wf_hf_unit *u = &job->units[i];
    for (size_t k = 0; k < u->n; k++)
        n += wf_st_entry_bytes(&job->entries[u->first + k]);
    return n;
}

static wf_status place_units(writing *w)
{
    const wf_hf_write_job *job = w->job;
    uint64_t most = job->file_bytes ? job->file_bytes : FILE_BYTES, here = 0;
    WF_TRY(wf_alloc(job->n_units + 1, sizeof *w->files, &w->files));
    w->n_files = 1;
    w->files[0] = (span){0, 0};
    for (size_t i = 0; i < job->n_units; i++) {
        uint64_t bytes = unit_bytes(job, i);
        if (here > 0 && here + bytes > most) {
            w->files[w->n_files++] = (span){i, 0};
            here = 0;
        }
        w->files[w->n_files - 1].n++;
        here += bytes;
        w->report.bytes += bytes;
    }
    w->report.n_files = w->n_files;
    return WF_OK;
}

static const char *file_name(const writing *w, size_t i, char text[NAME_BYTES])
{
    if (w->n_files == 1)
        snprintf(text, NAME_BYTES, "model.safetensors");
    else
        snprintf(text, NAME_BYTES, "model-%05zu-of-%05zu.safetensors", i + 1, w->n_files);
    return text;
}

// ---- the folder ---------------------------------------------------------------------------------

static wf_status part_name(const char *path, char **out)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    WF_TRY(wf_alloc(n + sizeof ".part", 1, out));
    snprintf(*out, n + sizeof ".part", "%.*s.part", (int)n, path);
    return WF_OK;
}

static wf_status check_new(const char *path)
{
    bool there;
    WF_TRY(wf_file_look(path, &there));
    return there ? wf_fail(WF_IN_USE, "%s: is there already; name a new folder", path) : WF_OK;
}

// Holds the folder for this process: its identity is written by the first, read by later ones.
static wf_status take_lock(writing *w)
{
    char *path;
    WF_TRY(wf_path_join(w->folder, IDENTITY, &path));
    wf_status st = wf_file_open_plain(path, O_RDWR | O_CREAT, &w->lock);
    if (st == WF_OK && flock(w->lock, LOCK_EX | LOCK_NB) != 0)
        st = wf_fail(WF_IN_USE, "%s: another process writes this folder", w->folder);
    free(path);
    return st;
}

static wf_status check_identity(writing *w)
{
    char *path, *text = NULL;
    size_t n = 0, want = strlen(w->job->identity);
    WF_TRY(wf_path_join(w->folder, IDENTITY, &path));
    wf_status st = wf_file_read(path, DOCUMENT_BYTES, &text, &n);
    if (st == WF_OK && n == 0)
        st = wf_file_pwrite(w->lock, path, w->job->identity, want, 0);
    else if (st == WF_OK && strcmp(text, w->job->identity) != 0)
        st = wf_fail(WF_MISMATCH,
                     "%s: was begun from another model or with other choices; remove it, or say "
                     "--fresh",
                     w->folder);
    free(text);
    free(path);
    return st;
}

static wf_status open_folder(writing *w)
{
    WF_TRY(check_new(w->job->path));
    WF_TRY(part_name(w->job->path, &w->folder));
    WF_TRY(wf_file_make_folders(w->folder));
    wf_folder_warn(w->folder);
    WF_TRY(take_lock(w));
    return check_identity(w);
}

// ---- files --------------------------------------------------------------------------------------

static wf_status is_kept(const writing *w, size_t i, bool *out)
{
    char *path, name[NAME_BYTES];
    WF_TRY(wf_path_join(w->folder, file_name(w, i, name), &path));
    wf_status st = wf_file_look(path, out);
    if (st == WF_OK && !*out) wf_part_clear(path);
    free(path);
    return st;
}

static wf_status check_space(const writing *w)
{
    struct statvfs info;
    uint64_t need = 0;
    for (size_t i = 0; i < w->n_files; i++) {
        bool kept;
        WF_TRY(is_kept(w, i, &kept));
        for (size_t k = 0; k < w->files[i].n && !kept; k++)
            need += unit_bytes(w->job, w->files[i].first + k);
    }
    if (statvfs(w->folder, &info) != 0) return WF_OK; // a write will tell
    uint64_t left = (uint64_t)info.f_bavail * info.f_frsize;
    if (left >= need) return WF_OK;
    return wf_fail(WF_IO,
                   "%s: %" PRIu64 " bytes are to be written and the disk has room for %" PRIu64
                   "; make room or name a folder elsewhere",
                   w->folder, need, left);
}

static wf_status go_on(const writing *w)
{
    const atomic_int *stop = w->job->stop;
    if (!stop || atomic_load(stop) == 0) return WF_OK;
    return wf_fail(WF_DRAINED, "%s: told to leave; the same command goes on", w->folder);
}

static wf_status write_file(writing *w, size_t i)
{
    const wf_hf_write_job *job = w->job;
    const span *f = &w->files[i];
    char *path, name[NAME_BYTES];
    wf_st_writer *to = NULL;
    size_t n = 0;
    if (f->n == 0) return wf_fail(WF_INTERNAL, "%s: a model without tensors", job->path);
    size_t first = job->units[f->first].first;
    for (size_t k = 0; k < f->n; k++)
        n += job->units[f->first + k].n;
    WF_TRY(wf_path_join(w->folder, file_name(w, i, name), &path));
    wf_status st = wf_st_writer_create(path, job->entries + first, n, &to);
    for (size_t k = 0; k < f->n && st == WF_OK; k++) {
        st = go_on(w);
        if (st == WF_OK) st = job->fill(job->context, f->first + k, to);
    }
    if (st == WF_OK) st = wf_st_writer_publish(&to);
    wf_st_writer_drop(&to);
    free(path);
    return st;
}

static wf_status write_files(writing *w)
{
    for (size_t i = 0; i < w->n_files; i++) {
        bool kept;
        WF_TRY(is_kept(w, i, &kept));
        w->report.n_kept += kept;
        if (!kept) WF_TRY(write_file(w, i));
    }
    return WF_OK;
}

// ---- index and documents ------------------------------------------------------------------------

static wf_status write_text(const writing *w, const char *name, const char *text, size_t n)
{
    char *path;
    WF_TRY(wf_path_join(w->folder, name, &path));
    wf_status st = wf_file_write_whole(path, text, n, WF_PUBLISH_REPLACE);
    free(path);
    return st;
}

static void put_index(const writing *w, wf_json_writer *json)
{
    const wf_hf_write_job *job = w->job;
    char name[NAME_BYTES];
    wf_json_open_object(json, NULL);
    wf_json_open_object(json, "metadata");
    wf_json_put_u64(json, "total_size", w->report.bytes);
    wf_json_close(json);
    wf_json_open_object(json, "weight_map");
    for (size_t i = 0; i < w->n_files; i++)
        for (size_t k = 0; k < w->files[i].n; k++) {
            const wf_hf_unit *u = &job->units[w->files[i].first + k];
            for (size_t e = u->first; e < u->first + u->n; e++)
                wf_json_put_string(json, job->entries[e].name, file_name(w, i, name));
        }
    wf_json_close(json);
    wf_json_close(json);
}

static wf_status write_index(const writing *w)
{
    wf_json_writer *json = NULL;
    const char *text = "";
    size_t n = 0;
    if (w->n_files == 1) return WF_OK;
    WF_TRY(wf_json_writer_create(2, &json));
    put_index(w, json);
    wf_status st = wf_json_writer_finish(json, &text, &n);
    if (st == WF_OK) st = write_text(w, "model.safetensors.index.json", text, n);
    wf_json_writer_destroy(&json);
    return st;
}

static wf_status write_document(const writing *w, const wf_hf_document *d)
{
    char *text = NULL;
    size_t n = 0;
    if (d->text) return write_text(w, d->name, d->text, strlen(d->text));
    WF_TRY(wf_file_read(d->from, DOCUMENT_BYTES, &text, &n));
    wf_status st = write_text(w, d->name, text, n);
    free(text);
    return st;
}

// ---- the end ------------------------------------------------------------------------------------

static wf_status publish(const writing *w)
{
    char *path, *above;
    WF_TRY(wf_path_join(w->folder, IDENTITY, &path));
    unlink(path);
    free(path);
    WF_TRY(check_new(w->job->path));
    if (rename(w->folder, w->job->path) != 0)
        return wf_fail_errno(WF_IO, "%s: cannot be named %s", w->folder, w->job->path);
    WF_TRY(wf_path_folder(w->job->path, &above));
    wf_status st = wf_file_sync_folder(above);
    free(above);
    return st;
}

wf_status wf_hf_write(const wf_hf_write_job *job, wf_hf_write_report *out)
{
    writing w = {.job = job, .lock = -1};
    wf_status st = place_units(&w);
    if (st == WF_OK) st = open_folder(&w);
    if (st == WF_OK) st = check_space(&w);
    if (st == WF_OK) st = write_files(&w);
    if (st == WF_OK) st = write_index(&w);
    for (size_t i = 0; i < job->n_documents && st == WF_OK; i++)
        st = write_document(&w, &job->documents[i]);
    if (st == WF_OK) st = publish(&w);
    *out = w.report;
    if (w.lock >= 0) close(w.lock);
    free(w.folder);
    free(w.files);
    return st;
}

wf_status wf_hf_write_discard(const char *path)
{
    writing w = {.lock = -1};
    wf_paths names = {0};
    WF_TRY(part_name(path, &w.folder));
    wf_status st = WF_OK;
    if (wf_file_exists(w.folder)) st = take_lock(&w);
    if (w.lock >= 0 && st == WF_OK) st = wf_file_list(w.folder, &names);
    for (size_t i = 0; i < names.n && st == WF_OK; i++) {
        char *name;
        st = wf_path_join(w.folder, names.item[i], &name);
        if (st == WF_OK && unlink(name) != 0)
            st = wf_fail_errno(WF_IO, "%s: cannot be removed", name);
        free(name);
    }
    if (w.lock >= 0 && st == WF_OK && rmdir(w.folder) != 0)
        st = wf_fail_errno(WF_IO, "%s: cannot be removed", w.folder);
    if (w.lock >= 0) close(w.lock);
    wf_paths_destroy(&names);
    free(w.folder);
    return st;
}
