// Small files, whole reads and writes, and publishing: how a file appears for others complete or
// not at all.
//
//   publish:  write NAME.<random>.part -> fsync -> link or rename to NAME -> fsync the folder
//             (a file that is written bit by bit: publish.h)
//
// Failures name the path. WF_NO_INPUT: there is no such file to read, or no permission. WF_IO: the
// system refused (with its reason). WF_DATA: the file is not what was asked for (too large, too
// short, a folder). WF_IN_USE: a name that must be new is taken. All Local.
#ifndef WF_IO_BASE_FILE_H
#define WF_IO_BASE_FILE_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads a file of at most `max_bytes`. `text` is own (free()) and ended by a NUL that `text_bytes`
// (may be NULL) does not count.
wf_status wf_file_read(const char *path, size_t max_bytes, char **text, size_t *text_bytes);

// The first line that begins with `key` ("": the first of all), without its newline, cut off where
// it does not fit: for the small files by which the system tells of itself (/proc, /sys). False and
// "" where there is no file or no such line, or it is empty.
bool wf_file_line(const char *path, const char *key, char *text, size_t text_bytes);

// Transfers exactly `n_bytes`, through short transfers and EINTR. `path` is for the message.
wf_status wf_file_pwrite(int fd, const char *path, const void *bytes, size_t n_bytes,
                         int64_t offset);
wf_status wf_file_write(int fd, const char *path, const void *bytes, size_t n_bytes);

typedef enum wf_publish {
    WF_PUBLISH_NEW,     // durable; WF_IN_USE when `path` is there already
    WF_PUBLISH_REPLACE, // durable; takes the place of what is there
    WF_PUBLISH_FAST     // replaces without fsync: status files, which mean nothing after a crash
} wf_publish;

// Writes and publishes in one go; leaves no part behind when it fails.
wf_status wf_file_write_whole(const char *path, const void *bytes, size_t n_bytes, wf_publish how);

// Creates `path` with O_EXCL: the lock that works on every shared file system. WF_IN_USE when it
// is there. The content is for people: it is written after the name exists.
wf_status wf_file_claim(const char *path, const void *bytes, size_t n_bytes);

// Adds one line at the end of a log that several processes may write, the file made if need be: one
// write with O_APPEND, so that on one host no line tears another. Between hosts NFS gives no such
// promise, and a crash or a full disk may cut a line off: readers skip what they cannot read. With
// `durable` the line is on disk when the call returns.
wf_status wf_file_append(const char *path, const void *line, size_t n_bytes, bool durable);

wf_status wf_file_sync_folder(const char *path);

// Creates a folder and those above it; fine when it is there. WF_IO when a part is not a folder.
wf_status wf_file_make_folders(const char *path);

bool wf_file_exists(const char *path); // false too where it cannot be told

// The same for those to whom "cannot be told" is no "no": WF_IO then.
wf_status wf_file_look(const char *path, bool *there);

// open(2) with O_CLOEXEC and mode 0666, again after a signal and after ESTALE, as all calls here: a
// file server may forget what another host has replaced. -1 and errno as open(2).
int wf_file_open_calmly(const char *path, int flags);
wf_status wf_file_size(const char *path, int64_t *out_bytes);

// "a" + "b.h5" -> "a/b.h5"; an absolute `name` stands alone. Own, free().
wf_status wf_path_join(const char *folder, const char *name, char **out);
// "a/b.h5" -> "a"; "b.h5" -> "."; "/b" -> "/". Own, free().
wf_status wf_path_folder(const char *path, char **out);
// "a/b.h5" -> "b.h5"; borrowed from `path`.
const char *wf_path_name(const char *path);

// A list of texts, in byte order. Destroy with wf_paths_destroy.
typedef struct wf_paths {
    size_t n;
    size_t capacity;
    char **item; // [n]
} wf_paths;

// Adds the files that match a shell pattern, sorted; duplicates are kept. A pattern that matches
// nothing is WF_NO_INPUT. `paths` starts as {0}.
wf_status wf_file_glob(const char *pattern, wf_paths *paths);

// The names in a folder, sorted, without "." and "..". `paths` starts as {0}.
wf_status wf_file_list(const char *folder, wf_paths *paths);
wf_status wf_paths_add(wf_paths *paths, const char *text); // copies
void wf_paths_destroy(wf_paths *paths);

#endif
