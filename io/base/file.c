// Whole transfers and publishing, over POSIX calls. See file.h for the protocol.
#include "io/base/file.h"

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A file server tells ESTALE of what another host has replaced: looked up again by its name it is
// there, or surely not. Some need a moment.
enum { STALE_TRIES = 6, STALE_WAIT_MS = 5 };

static bool is_stale(int *n_tries)
{
    if (errno != ESTALE || *n_tries >= STALE_TRIES) return false;
    wf_clock_sleep_until(wf_clock_ns() + (int64_t)(STALE_WAIT_MS << *n_tries) * WF_NS_PER_MS);
    ++*n_tries;
    return true;
}

// A signal that asks the job to leave may end a call that waits for a file server; the call is made
// again.
int wf_file_open_calmly(const char *path, int flags)
{
    int fd, n_tries = 0;
    do {
        fd = open(path, flags | O_CLOEXEC, 0666);
    } while (fd < 0 && (errno == EINTR || is_stale(&n_tries)));
    return fd;
}

static int stat_calmly(const char *path, struct stat *info)
{
    int result, n_tries = 0;
    do {
        result = stat(path, info);
    } while (result != 0 && (errno == EINTR || is_stale(&n_tries)));
    return result;
}

static int sync_calmly(int fd)
{
    int result;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result;
}

static int mkdir_calmly(const char *path)
{
    int result, n_tries = 0;
    do {
        result = mkdir(path, 0777);
    } while (result != 0 && (errno == EINTR || is_stale(&n_tries)));
    return result;
}

static wf_status fail_open(const char *path)
{
    bool theirs = errno == ENOENT || errno == EACCES || errno == ENOTDIR || errno == EPERM;
    return wf_fail_errno(theirs ? WF_NO_INPUT : WF_IO, "%s: cannot open", path);
}

// Reads to the end of the file or to `max_bytes` + 1, whichever comes first.
static wf_status read_to_end(int fd, const char *path, size_t max_bytes, char **text, size_t *n)
{
    size_t capacity = 0;
    for (;;) {
        size_t want = *n < 4096 ? 4096 : *n;
        if (want > max_bytes + 1 - *n) want = max_bytes + 1 - *n;
        if (want == 0)
            return wf_fail(WF_DATA, "%s: larger than the limit of %zu bytes", path, max_bytes);
        WF_TRY(wf_grow(*n + want + 1, 1, &capacity, text));
        ssize_t got = read(fd, *text + *n, want);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EISDIR) return wf_fail(WF_DATA, "%s: is a folder", path);
        if (got < 0) return wf_fail_errno(WF_IO, "%s: cannot read", path);
        if (got == 0) return WF_OK;
        *n += (size_t)got;
    }
}

static wf_status read_once(const char *path, size_t max_bytes, char **text, size_t *n, bool *stale)
{
    *n = 0;
    *stale = false;
    int fd = wf_file_open_calmly(path, O_RDONLY);
    if (fd < 0) return fail_open(path);
    errno = 0;
    wf_status st = read_to_end(fd, path, max_bytes, text, n);
    *stale = st == WF_IO && errno == ESTALE;
    close(fd);
    return st;
}

wf_status wf_file_read(const char *path, size_t max_bytes, char **text, size_t *text_bytes)
{
    char *bytes = NULL;
    size_t n = 0;
    bool stale = true;
    wf_status st = WF_OK;
    if (max_bytes >= SIZE_MAX / 2) max_bytes = SIZE_MAX / 2;
    for (int i = 0; stale && i < STALE_TRIES; i++) {
        free(bytes);
        bytes = NULL;
        st = read_once(path, max_bytes, &bytes, &n, &stale);
    }
    if (st != WF_OK) {
        free(bytes);
        return st;
    }
    bytes[n] = '\0';
    *text = bytes;
    if (text_bytes) *text_bytes = n;
    return WF_OK;
}

bool wf_file_line(const char *path, const char *key, char *text, size_t text_bytes)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    text[0] = '\0';
    while (file && getline(&line, &capacity, file) > 0) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        snprintf(text, text_bytes, "%.*s", (int)strcspn(line, "\n"), line);
        break;
    }
    free(line);
    if (file) fclose(file);
    return text[0] != '\0';
}

wf_status wf_file_pwrite(int fd, const char *path, const void *bytes, size_t n_bytes,
                         int64_t offset)
{
    const char *from = bytes;
    for (size_t done = 0; done < n_bytes;) {
        ssize_t put = pwrite(fd, from + done, n_bytes - done, offset + (off_t)done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return wf_fail_errno(WF_IO, "%s: cannot write", path);
        done += (size_t)put;
    }
    return WF_OK;
}

wf_status wf_file_write(int fd, const char *path, const void *bytes, size_t n_bytes)
{
    const char *from = bytes;
    for (size_t done = 0; done < n_bytes;) {
        ssize_t put = write(fd, from + done, n_bytes - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return wf_fail_errno(WF_IO, "%s: cannot write", path);
        done += (size_t)put;
    }
    return WF_OK;
}

static wf_status sync_path(const char *path, int flags)
{
    int fd = wf_file_open_calmly(path, flags);
    if (fd < 0) return wf_fail_errno(WF_IO, "%s: cannot open to fsync", path);
    // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there.
    bool failed = sync_calmly(fd) != 0 && errno != EINVAL;
    wf_status st = failed ? wf_fail_errno(WF_IO, "%s: fsync", path) : WF_OK;
    close(fd);
    return st;
}

wf_status wf_file_sync_folder(const char *path)
{
    return sync_path(path, O_RDONLY | O_DIRECTORY);
}

static wf_status fail_taken(const char *path)
{
    if (errno == EEXIST) return wf_fail(WF_IN_USE, "%s: exists already", path);
    return wf_fail_errno(WF_IO, "%s: cannot create", path);
}

wf_status wf_file_write_whole(const char *path, const void *bytes, size_t n_bytes, wf_publish how)
{
    wf_part *part = NULL;
    WF_TRY(wf_part_create(path, &part));
    wf_status st = wf_file_write(wf_part_fd(part), wf_part_path(part), bytes, n_bytes);
    if (st == WF_OK) st = wf_part_publish(part, how);
    if (st == WF_OK) return wf_part_close(&part);
    wf_part_drop(&part);
    return st;
}

wf_status wf_file_claim(const char *path, const void *bytes, size_t n_bytes)
{
    int fd = wf_file_open_calmly(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    if (fd < 0) return fail_taken(path);
    wf_status st = wf_file_write(fd, path, bytes, n_bytes);
    if (close(fd) != 0 && st == WF_OK) st = wf_fail_errno(WF_IO, "%s: cannot close", path);
    return st;
}

wf_status wf_file_append(const char *path, const void *line, size_t n_bytes, bool durable)
{
    int fd;
    WF_TRY(wf_file_open_plain(path, O_WRONLY | O_APPEND, &fd));
    wf_status st = wf_file_write(fd, path, line, n_bytes);
    if (st == WF_OK && durable && sync_calmly(fd) != 0)
        st = wf_fail_errno(WF_IO, "%s: cannot write", path);
    if (close(fd) != 0 && st == WF_OK) st = wf_fail_errno(WF_IO, "%s: cannot close", path);
    return st;
}

static wf_status make_folder(const char *path)
{
    struct stat info;
    if (mkdir_calmly(path) == 0) return WF_OK;
    int error = errno;
    if (stat_calmly(path, &info) == 0 && S_ISDIR(info.st_mode))
        return WF_OK; // also on EROFS, EACCES
    errno = error == EEXIST ? ENOTDIR : error;
    return wf_fail_errno(WF_IO, "%s: cannot make the folder", path);
}

wf_status wf_file_make_folders(const char *path)
{
    char *text;
    wf_status st = WF_OK;
    WF_TRY(wf_strdup(path, &text));
    for (char *c = text; st == WF_OK && *c; c++) {
        if (*c != '/' || c == text) continue;
        *c = '\0';
        st = make_folder(text);
        *c = '/';
    }
    if (st == WF_OK) st = make_folder(text);
    free(text);
    return st;
}

bool wf_file_exists(const char *path)
{
    struct stat info;
    return stat_calmly(path, &info) == 0;
}

wf_status wf_file_look(const char *path, bool *there)
{
    struct stat info;
    *there = stat_calmly(path, &info) == 0;
    if (*there || errno == ENOENT || errno == ENOTDIR) return WF_OK;
    return wf_fail_errno(WF_IO, "%s: cannot be looked at", path);
}

wf_status wf_file_size(const char *path, int64_t *out_bytes)
{
    struct stat info;
    if (stat_calmly(path, &info) != 0) return fail_open(path);
    *out_bytes = info.st_size;
    return WF_OK;
}

wf_status wf_path_join(const char *folder, const char *name, char **out)
{
    size_t n = strlen(folder), size = n + strlen(name) + 2;
    char *text;
    WF_TRY(wf_alloc(size, 1, &text));
    bool alone = name[0] == '/' || n == 0;
    bool slash = n > 0 && folder[n - 1] == '/';
    snprintf(text, size, "%s%s%s", alone ? "" : folder, alone || slash ? "" : "/", name);
    *out = text;
    return WF_OK;
}

wf_status wf_path_folder(const char *path, char **out)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return wf_strdup(".", out);
    WF_TRY(wf_strdup(path, out));
    (*out)[slash == path ? 1 : slash - path] = '\0';
    return WF_OK;
}

const char *wf_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

wf_status wf_paths_add(wf_paths *paths, const char *text)
{
    WF_TRY(wf_grow(paths->n + 1, sizeof *paths->item, &paths->capacity, &paths->item));
    WF_TRY(wf_strdup(text, &paths->item[paths->n]));
    paths->n++;
    return WF_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void paths_sort_from(wf_paths *paths, size_t first)
{
    if (paths->n > first)
        qsort(paths->item + first, paths->n - first, sizeof *paths->item, compare_texts);
}

void wf_paths_destroy(wf_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->item[i]);
    free(paths->item);
    *paths = (wf_paths){0};
}

wf_status wf_file_glob(const char *pattern, wf_paths *paths)
{
    glob_t found;
    size_t first = paths->n;
    wf_status st = WF_OK;
    int result = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    if (result == GLOB_NOMATCH)
        return wf_fail(WF_NO_INPUT, "%s: no such file, or no file matches", pattern);
    if (result == GLOB_NOSPACE) return wf_fail(WF_NO_MEMORY, "%s: no memory to expand", pattern);
    if (result != 0) return wf_fail_errno(WF_NO_INPUT, "%s: cannot look for files", pattern);
    for (size_t i = 0; st == WF_OK && i < found.gl_pathc; i++)
        st = wf_paths_add(paths, found.gl_pathv[i]);
    globfree(&found);
    paths_sort_from(paths, first); // in byte order: the locale must not change a job
    return st;
}

static wf_status list_once(const char *folder, wf_paths *paths, bool *stale)
{
    wf_status st = WF_OK;
    int fd = wf_file_open_calmly(folder, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    *stale = false;
    if (!dir) return fail_open(folder);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        *stale = !entry && errno == ESTALE;
        if (!entry && errno) st = wf_fail_errno(WF_IO, "%s: cannot list", folder);
        if (!entry) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        st = wf_paths_add(paths, entry->d_name);
        if (st != WF_OK) break;
    }
    closedir(dir);
    return st;
}

wf_status wf_file_list(const char *folder, wf_paths *paths)
{
    size_t first = paths->n;
    bool stale = true;
    wf_status st = WF_OK;
    for (int i = 0; stale && i < STALE_TRIES; i++) {
        while (paths->n > first)
            free(paths->item[--paths->n]);
        st = list_once(folder, paths, &stale);
    }
    paths_sort_from(paths, first);
    return st;
}
