// Asking for free space, and holding some back.
#include "io/results/space.h"

#include "io/base/file.h"
#include "io/base/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

uint64_t wf_space_free(const char *folder)
{
    struct statvfs info;
    if (statvfs(folder, &info) != 0) return UINT64_MAX;
    return (uint64_t)info.f_bavail * info.f_frsize;
}

// Keeps the bytes already there of an earlier run.
static wf_status fill(const char *path, uint64_t bytes)
{
    int fd, error;
    WF_TRY(wf_file_open_plain(path, O_RDWR, &fd));
    do {
        error = posix_fallocate(fd, 0, (off_t)bytes);
    } while (error == EINTR);
    close(fd);
    // Where a file system cannot do it at all, the checks before each write must do.
    if (error == 0 || error == EOPNOTSUPP || error == EINVAL || error == ENOSYS) return WF_OK;
    unlink(path);
    errno = error;
    return wf_fail_errno(WF_IO, "%s: no room for %" PRIu64 " bytes to end the run with", path,
                         bytes);
}

wf_status wf_space_reserve(const char *folder, uint64_t bytes)
{
    char *path;
    WF_TRY(wf_path_join(folder, WF_SPACE_RESERVE_NAME, &path));
    wf_status st = fill(path, bytes);
    free(path);
    return st;
}

void wf_space_give_back(const char *folder)
{
    char *path;
    if (wf_path_join(folder, WF_SPACE_RESERVE_NAME, &path) != WF_OK) return;
    unlink(path);
    free(path);
}
