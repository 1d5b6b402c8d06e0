// A file on its way: written under a name nobody can foresee, then given its own.
//
//   create:   open the folder -> openat(<folder>, "results.h5.<16 random digits>.part", O_EXCL)
//   publish:  fsync -> linkat or renameat to "results.h5", in that folder -> fsync the folder
//
// Several people may write to an output folder. A link that one of them planted at a name that is
// to be written (symbolic, or a second name of somebody's file) is never followed: a new file is
// made, or the name is refused. The folder is held open, so that nobody can put another in its
// place meanwhile. All Local.
#ifndef WF_IO_BASE_PUBLISH_H
#define WF_IO_BASE_PUBLISH_H

#include "io/base/file.h"

typedef struct wf_part wf_part;

// Creates the file beside `path`, whose folder must be there. WF_IO. own.
wf_status wf_part_create(const char *path, wf_part **out);

int wf_part_fd(const wf_part *part);           // open for reading and writing
const char *wf_part_path(const wf_part *part); // its name for now, with the folder; borrow

// Gives the file its name; the fd stays open. On failure it keeps the name it has.
wf_status wf_part_publish(wf_part *part, wf_publish how);

// Closes; removes the file unless it was published. WF_IO when closing fails, which `close` alone
// tells of. NULL inside is fine.
wf_status wf_part_close(wf_part **part);
void wf_part_drop(wf_part **part);

// Removes what killed writers of `path` left beside it. Only for who may write there alone.
void wf_part_clear(const char *path);

// Opens the file itself for writing, made if need be, with more `flags` (O_APPEND ...): WF_IO when
// the name is a link, a second name of another file, or no regular file. For files that stay under
// a known name while they are written.
wf_status wf_file_open_plain(const char *path, int flags, int *fd);

// One warning when a folder that is to be written belongs to somebody else, or may be written by
// all: who can replace its files can make results say anything.
void wf_folder_warn(const char *path);

// WF_IO when `name` in that folder is a symbolic link that another user made: what is written below
// would go where they want it. A link of one's own, or nothing, is fine.
wf_status wf_folder_check_link(const char *folder, const char *name);

#endif
