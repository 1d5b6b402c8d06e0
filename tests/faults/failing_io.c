// LD_PRELOAD library: fails, shortens or ends at the Nth call that changes a folder.
//
//   FAILING_IO="OPS:WHAT:N"   OPS: names below by commas, or "all"
//                             WHAT: an error (ENOSPC ...); "short": half a write; "kill": SIGKILL
//                             before the call; "stall=MS": sleeps first; an error with "+" stays:
//                             the Nth call and all after it fail, as on a full disk
//   FAILING_IO_UNDER          only files below this folder (or on their way to this name)
//   FAILING_IO_MARK           made when the fault strikes
//   FAILING_IO_COUNT          at the end: how many calls of OPS the process that writes most made
//
// FAILING_CLOCK="MS:S" lets the wall clock jump by S seconds once MS milliseconds have passed since
// the process first asked for the time; the monotonic clock goes on as it should.
//
// FAILING_SPACE="BYTES" makes the folder a disk of that size: what its files hold is counted before
// every write, beyond it ENOSPC; statvfs tells what is left, removing a file gives it back.
//
// Calls count per process. Only calls that create, change, sync or name files are looked at; "look"
// is what only looks: opening to read, stat, access.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO},     {"ESTALE", ESTALE},
              {"EINTR", EINTR},   {"ENOSYS", ENOSYS}, {"EROFS", EROFS}, {"EACCES", EACCES}};

static atomic_long n_calls;

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static bool is_under(const char *path)
{
    const char *folder = getenv("FAILING_IO_UNDER");
    char whole[2 * PATH_MAX], here[PATH_MAX];
    if (!folder || !path) return false;
    if (path[0] != '/' && getcwd(here, sizeof here)) {
        snprintf(whole, sizeof whole, "%s/%s", here, path);
        path = whole;
    }
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '.' || path[n] == '\0');
}

static bool fd_is_under(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return false;
    path[n] = '\0';
    return is_under(path);
}

// The same of a name in an open folder.
static bool is_under_at(int folder, const char *name)
{
    char link[64], path[2 * PATH_MAX];
    if (folder == AT_FDCWD || name[0] == '/') return is_under(name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return false;
    snprintf(path + n, sizeof path - (size_t)n, "/%s", name);
    return is_under(path);
}

// True when `op` is in the list before the first colon.
static bool is_meant(const char *plan, const char *op)
{
    size_t n_list = strcspn(plan, ":"), n = strlen(op);
    if (n_list == 3 && strncmp(plan, "all", 3) == 0)
        return strcmp(op, "flock") != 0 && strcmp(op, "look") != 0;
    for (const char *at = plan; at < plan + n_list; at += strcspn(at, ",:") + 1)
        if (strcspn(at, ",:") == n && strncmp(at, op, n) == 0) return true;
    return false;
}

static void make_mark(void)
{
    int (*open_)(const char *, int, ...) = real("open");
    const char *mark = getenv("FAILING_IO_MARK");
    int fd = mark ? open_(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) close(fd);
}

// Counts the call. 0: let it through, -1: errno is set, 1: shorten it.
static int strike(const char *op)
{
    const char *plan = getenv("FAILING_IO"), *what, *number;
    if (!plan || !is_meant(plan, op) || !(what = strchr(plan, ':')) ||
        !(number = strchr(++what, ':')))
        return 0;
    long n = atomic_fetch_add(&n_calls, 1) + 1, at = atol(number + 1);
    bool stays = number[-1] == '+';
    if (n < at || (n > at && !stays)) return 0;
    make_mark();
    if (strncmp(what, "kill", 4) == 0) kill(getpid(), SIGKILL);
    if (strncmp(what, "short", 5) == 0) return 1;
    if (strncmp(what, "stall=", 6) == 0) {
        long ms = atol(what + 6);
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
        return 0;
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        size_t n_name = strlen(errors[i].name);
        if (strncmp(what, errors[i].name, n_name) != 0) continue;
        errno = errors[i].number;
        return -1;
    }
    fprintf(stderr, "failing_io: \"%s\" is not known\n", plan);
    abort();
}

// The largest count of the job's processes: each adds its own at its end.
__attribute__((destructor)) static void tell_count(void)
{
    int (*open_)(const char *, int, ...) = real("open");
    const char *path = getenv("FAILING_IO_COUNT");
    char text[32] = "";
    if (!path) return;
    int fd = open_(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) return;
    long n = atomic_load(&n_calls);
    if (read(fd, text, sizeof text - 1) <= 0 || atol(text) < n) {
        int bytes = snprintf(text, sizeof text, "%ld\n", n);
        ssize_t (*pwrite_)(int, const void *, size_t, off_t) = real("pwrite");
        if (ftruncate(fd, 0) != 0 || pwrite_(fd, text, (size_t)bytes, 0) < 0) abort();
    }
    close(fd);
}

// ---- a small disk -------------------------------------------------------------------------------

static long long folder_bytes(const char *folder)
{
    long long sum = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[2 * PATH_MAX];
        struct stat info;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (lstat(path, &info) != 0) continue;
        sum += S_ISDIR(info.st_mode) ? folder_bytes(path) : info.st_size;
    }
    if (dir) closedir(dir);
    return sum;
}

// LLONG_MAX without FAILING_SPACE.
static long long space_left(void)
{
    const char *size = getenv("FAILING_SPACE"), *folder = getenv("FAILING_IO_UNDER");
    if (!size || !folder) return LLONG_MAX;
    long long left = atoll(size) - folder_bytes(folder);
    return left > 0 ? left : 0;
}

static bool is_full(size_t n)
{
    if ((long long)n <= space_left()) return false;
    make_mark();
    errno = ENOSPC;
    return true;
}

int statvfs(const char *path, struct statvfs *out)
{
    int (*next)(const char *, struct statvfs *) = real("statvfs");
    int result = next(path, out);
    long long left = space_left();
    if (result == 0 && is_under(path) && left < LLONG_MAX)
        out->f_bavail = (fsblkcnt_t)left / out->f_frsize;
    return result;
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    int (*next)(int, off_t, off_t) = real("posix_fallocate");
    struct stat info;
    if (fd_is_under(fd)) {
        if (strike("fallocate") < 0) return errno;
        off_t has = fstat(fd, &info) == 0 ? info.st_size : 0;
        if (at + n > has && is_full((size_t)(at + n - has))) return ENOSPC;
    }
    return next(fd, at, n);
}

// ---- the calls ----------------------------------------------------------------------------------

ssize_t write(int fd, const void *bytes, size_t n)
{
    ssize_t (*next)(int, const void *, size_t) = real("write");
    bool ours = fd_is_under(fd);
    int s = ours ? strike("write") : 0;
    if (s < 0 || (ours && is_full(n))) return -1;
    return next(fd, bytes, s > 0 && n > 1 ? n / 2 : n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    ssize_t (*next)(int, const void *, size_t, off_t) = real("pwrite");
    bool ours = fd_is_under(fd);
    int s = ours ? strike("write") : 0;
    if (s < 0 || (ours && is_full(n))) return -1;
    return next(fd, bytes, s > 0 && n > 1 ? n / 2 : n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return pwrite(fd, bytes, n, (off_t)at);
}

#define FD_CALL(name, op, parameters, arguments)                                                   \
    int name parameters                                                                            \
    {                                                                                              \
        int(*next) parameters = real(#name);                                                       \
        return fd_is_under(fd) && strike(op) < 0 ? -1 : next arguments;                            \
    }

#define PATH_CALL(name, op, parameters, arguments, path)                                           \
    int name parameters                                                                            \
    {                                                                                              \
        int(*next) parameters = real(#name);                                                       \
        return is_under(path) && strike(op) < 0 ? -1 : next arguments;                             \
    }

#define AT_CALL(name, op, parameters, arguments, folder, path)                                     \
    int name parameters                                                                            \
    {                                                                                              \
        int(*next) parameters = real(#name);                                                       \
        return is_under_at(folder, path) && strike(op) < 0 ? -1 : next arguments;                  \
    }

FD_CALL(fsync, "fsync", (int fd), (fd))
FD_CALL(fdatasync, "fsync", (int fd), (fd))
FD_CALL(ftruncate, "ftruncate", (int fd, off_t n), (fd, n))
FD_CALL(ftruncate64, "ftruncate", (int fd, off64_t n), (fd, n))
FD_CALL(flock, "flock", (int fd, int how), (fd, how))
PATH_CALL(link, "link", (const char *from, const char *to), (from, to), to)
PATH_CALL(rename, "rename", (const char *from, const char *to), (from, to), to)
AT_CALL(renameat, "rename", (int from_fd, const char *from, int to_fd, const char *to),
        (from_fd, from, to_fd, to), to_fd, to)
AT_CALL(renameat2, "rename",
        (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
        (from_fd, from, to_fd, to, flags), to_fd, to)
AT_CALL(linkat, "link", (int from_fd, const char *from, int to_fd, const char *to, int flags),
        (from_fd, from, to_fd, to, flags), to_fd, to)
AT_CALL(unlinkat, "unlink", (int fd, const char *path, int flags), (fd, path, flags), fd, path)
PATH_CALL(unlink, "unlink", (const char *path), (path), path)
PATH_CALL(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), path)

#define OPEN_CALL(name)                                                                            \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        int (*next)(const char *, int, ...) = real(#name);                                         \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;                                  \
        va_end(list);                                                                              \
        const char *op = flags & O_CREAT ? "open" : "look";                                        \
        if (is_under(path) && strike(op) < 0) return -1;                                           \
        return next(path, flags, mode);                                                            \
    }

OPEN_CALL(open)
OPEN_CALL(open64)

PATH_CALL(stat, "look", (const char *path, struct stat *out), (path, out), path)
PATH_CALL(access, "look", (const char *path, int mode), (path, mode), path)

int openat(int folder, const char *path, int flags, ...)
{
    int (*next)(int, const char *, int, ...) = real("openat");
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    if ((flags & O_CREAT) && is_under_at(folder, path) && strike("open") < 0) return -1;
    return next(folder, path, flags, mode);
}

// ---- the clock ----------------------------------------------------------------------------------

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static atomic_long first_ms;
    int (*next)(clockid_t, struct timespec *) = real("clock_gettime");
    const char *plan = getenv("FAILING_CLOCK");
    struct timespec mono;
    int result = next(clock, out);
    if (!plan || clock != CLOCK_REALTIME || next(CLOCK_MONOTONIC, &mono) != 0) return result;
    long now_ms = mono.tv_sec * 1000 + mono.tv_nsec / 1000000, none = 0;
    atomic_compare_exchange_strong(&first_ms, &none, now_ms);
    const char *jump = strchr(plan, ':');
    if (jump && now_ms - atomic_load(&first_ms) >= atol(plan)) {
        make_mark();
        out->tv_sec += atol(jump + 1);
    }
    return result;
}
