// Creating and publishing without following anybody's link. See publish.h.
#include "io/base/publish.h"

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct wf_part {
    int folder, fd;
    char *target;     // the path it will have
    char *path;       // the path it has for now
    const char *base; // last part of `target`, borrowed from it
    const char *name; // last part of `path`, borrowed from it
    bool published;
};

// --- calls that a signal may interrupt are made again ---

static int openat_calmly(int folder, const char *name, int flags)
{
    int fd;
    do
        fd = openat(folder, name, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int sync_calmly(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

static bool is_mine(const wf_part *p, const char *name)
{
    struct stat x, y;
    return fstat(p->fd, &x) == 0 && fstatat(p->folder, name, &y, AT_SYMLINK_NOFOLLOW) == 0 &&
           x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

// An interrupted call may have been carried out all the same.
static int link_calmly(const wf_part *p)
{
    int result;
    bool again = false;
    while ((result = linkat(p->folder, p->name, p->folder, p->base, 0)) != 0 && errno == EINTR)
        again = true;
    return result != 0 && again && errno == EEXIST && is_mine(p, p->base) ? 0 : result;
}

static int unlink_calmly(const wf_part *p)
{
    int result;
    bool again = false;
    while ((result = unlinkat(p->folder, p->name, 0)) != 0 && errno == EINTR)
        again = true;
    return result != 0 && again && errno == ENOENT ? 0 : result;
}

static int rename_calmly(const wf_part *p)
{
    int result;
    bool again = false;
    while ((result = renameat(p->folder, p->name, p->folder, p->base)) != 0 && errno == EINTR)
        again = true;
    return result != 0 && again && errno == ENOENT && is_mine(p, p->base) ? 0 : result;
}

// --- create ---

static uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number) return number;
    return (uint64_t)wf_clock_unix_ns() ^ (uint64_t)getpid() << 40; // O_EXCL guards all the same
}

static wf_status create_named(wf_part *p, size_t size)
{
    size_t n_folder = (size_t)(p->base - p->target);
    do {
        snprintf(p->path, size, "%s.%016" PRIx64 ".part", p->target, random_number());
        p->name = p->path + n_folder;
        p->fd = openat_calmly(p->folder, p->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
    } while (p->fd < 0 && errno == EEXIST);
    return p->fd < 0 ? wf_fail_errno(WF_IO, "%s: cannot create", p->path) : WF_OK;
}

static wf_status open_folder(wf_part *p)
{
    char *folder = NULL;
    WF_TRY(wf_path_folder(p->target, &folder));
    p->folder = wf_file_open_calmly(folder, O_RDONLY | O_DIRECTORY);
    wf_status st =
        p->folder < 0 ? wf_fail_errno(WF_IO, "%s: cannot open the folder", folder) : WF_OK;
    free(folder);
    return st;
}

wf_status wf_part_create(const char *path, wf_part **out)
{
    wf_status st;
    wf_part *p = NULL;
    size_t size = strlen(path) + 32;
    WF_TRY(wf_alloc(1, sizeof *p, &p));
    p->folder = p->fd = -1;
    WF_TRY_TO(fail, wf_strdup(path, &p->target));
    WF_TRY_TO(fail, wf_alloc(size, 1, &p->path));
    p->base = wf_path_name(p->target);
    WF_TRY_TO(fail, open_folder(p));
    WF_TRY_TO(fail, create_named(p, size));
    *out = p;
    return WF_OK;
fail:
    wf_part_drop(&p);
    return st;
}

int wf_part_fd(const wf_part *p)
{
    return p->fd;
}

const char *wf_part_path(const wf_part *p)
{
    return p->path;
}

// --- publish ---

static wf_status fail_taken(const wf_part *p)
{
    if (errno == EEXIST) return wf_fail(WF_IN_USE, "%s: exists already", p->target);
    return wf_fail_errno(WF_IO, "%s: cannot create", p->target);
}

// link() refuses a name that is taken, on every POSIX file system that has links; the others (FAT,
// some FUSE) say so and get the Linux call.
static wf_status name_new(const wf_part *p)
{
    if (link_calmly(p) == 0) {
        if (unlink_calmly(p) != 0) return wf_fail_errno(WF_IO, "%s: cannot remove", p->path);
        return WF_OK;
    }
    bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
    if (!no_links) return fail_taken(p);
    if (renameat2(p->folder, p->name, p->folder, p->base, RENAME_NOREPLACE) != 0)
        return fail_taken(p);
    return WF_OK;
}

// Whether the name still leads to a file. Not whether to this very one: some FUSE file systems give
// inode numbers as they please.
static bool is_file(const wf_part *p)
{
    struct stat info;
    return fstatat(p->folder, p->name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode);
}

static wf_status give_name(const wf_part *p, wf_publish how)
{
    if (!is_file(p))
        return wf_fail(WF_IO, "%s: somebody put another file in its place: not published", p->path);
    if (how == WF_PUBLISH_NEW) return name_new(p);
    if (rename_calmly(p) == 0) return WF_OK;
    return wf_fail_errno(WF_IO, "%s: cannot rename to %s", p->path, p->target);
}

wf_status wf_part_publish(wf_part *p, wf_publish how)
{
    bool durable = how != WF_PUBLISH_FAST;
    if (durable && sync_calmly(p->fd) != 0) return wf_fail_errno(WF_IO, "%s: fsync", p->path);
    WF_TRY(give_name(p, how));
    p->published = true;
    // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there.
    if (durable && sync_calmly(p->folder) != 0 && errno != EINVAL)
        return wf_fail_errno(WF_IO, "%s: fsync of its folder", p->target);
    return WF_OK;
}

// --- close ---

wf_status wf_part_close(wf_part **part)
{
    wf_part *p = *part;
    if (!p) return WF_OK;
    wf_status st = WF_OK;
    if (p->fd >= 0 && close(p->fd) != 0) st = wf_fail_errno(WF_IO, "%s: cannot close", p->path);
    if (p->fd >= 0 && !p->published) unlinkat(p->folder, p->name, 0);
    if (p->folder >= 0) close(p->folder);
    free(p->target);
    free(p->path);
    free(p);
    *part = NULL;
    return st;
}

void wf_part_drop(wf_part **part)
{
    char kept[WF_ERROR_MAX];
    snprintf(kept, sizeof kept, "%s", wf_error()); // of what led here
    if (wf_part_close(part) != WF_OK) wf_fail(WF_IO, "%s", kept);
}

// "results.h5.0123456789abcdef.part" is a part of "results.h5".
static bool is_part_of(const char *name, const char *base)
{
    size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || name[n] != '.') return false;
    return strspn(name + n + 1, "0123456789abcdef") == 16 && strcmp(name + n + 17, ".part") == 0;
}

void wf_part_clear(const char *path)
{
    char *folder = NULL;
    wf_paths names = {0};
    if (wf_path_folder(path, &folder) != WF_OK) return;
    int fd = openat_calmly(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && wf_file_list(folder, &names) == WF_OK)
        for (size_t i = 0; i < names.n; i++)
            if (is_part_of(names.item[i], wf_path_name(path))) unlinkat(fd, names.item[i], 0);
    if (fd >= 0) close(fd);
    wf_paths_destroy(&names);
    free(folder);
}

// --- files that keep their name while they are written ---

wf_status wf_file_open_plain(const char *path, int flags, int *fd)
{
    struct stat info;
    *fd = openat_calmly(AT_FDCWD, path, flags | O_CREAT | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0 && errno == ELOOP)
        return wf_fail(WF_IO, "%s: is a symbolic link, which is not followed: remove it", path);
    if (*fd < 0) return wf_fail_errno(WF_IO, "%s: cannot open", path);
    wf_status st = WF_OK;
    if (fstat(*fd, &info) != 0)
        st = wf_fail_errno(WF_IO, "%s: cannot be examined", path);
    else if (!S_ISREG(info.st_mode))
        st = wf_fail(WF_IO, "%s: is not a regular file: remove it", path);
    else if (info.st_nlink > 1)
        st = wf_fail(WF_IO, "%s: is another file's second name, which is not written: remove it",
                     path);
    if (st == WF_OK) return WF_OK;
    close(*fd);
    *fd = -1;
    return st;
}

void wf_folder_warn(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) return;
    if (info.st_uid != geteuid()) {
        wf_warn("%s: belongs to another user (uid %u), who can replace what is written there", path,
                (unsigned)info.st_uid);
    } else if ((info.st_mode & S_IWOTH) && !(info.st_mode & S_ISVTX)) {
        wf_warn("%s: may be written by everybody, who can replace what is written there: chmod o-w",
                path);
    }
}

wf_status wf_folder_check_link(const char *folder, const char *name)
{
    struct stat info;
    char *path = NULL;
    WF_TRY(wf_path_join(folder, name, &path));
    bool foreign = lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && info.st_uid != geteuid();
    wf_status st = WF_OK;
    if (foreign) {
        st = wf_fail(WF_IO,
                     "%s: is a symbolic link of another user (uid %u), not followed: remove it",
                     path, (unsigned)info.st_uid);
    }
    free(path);
    return st;
}
