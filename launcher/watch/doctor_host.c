// What a rank can measure without the others: cores, limits, settings, the output folder. See
// doctor.h.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/publish.h"
#include "launcher/bringup/parts.h"
#include "launcher/version.h"
#include "launcher/watch/doctor.h"

#define GIB ((double)(1 << 30))

// ---- host ---------------------------------------------------------------------------------------

static double memory_available_gib(void)
{
    char line[256];
    wf_file_line("/proc/meminfo", "MemAvailable:", line, sizeof line);
    return line[0] ? strtod(line + strlen("MemAvailable:"), NULL) * 1024 / GIB : NAN;
}

static double limit_of(int resource, double unit)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) return NAN;
    return limit.rlim_cur == RLIM_INFINITY ? INFINITY : (double)limit.rlim_cur / unit;
}

static void add_known(wf_measures *out, wf_check check, double value, const char *place)
{
    if (!isnan(value)) wf_measure_add(out, check, value, place);
}

static void note(wf_measures *out, const char *text)
{
    wf_measure *last = &out->item[out->n - 1];
    snprintf(last->note, sizeof last->note, "%s", text);
}

static void huge_pages(wf_measures *out, const char *place)
{
    char line[128];
    wf_file_line("/sys/kernel/mm/transparent_hugepage/enabled", "", line, sizeof line);
    if (line[0]) wf_measure_add(out, WF_CHECK_HUGEPAGES, strstr(line, "[never]") ? 0 : 1, place);
}

// A setting that starts more threads than a rank has cores, or makes waiting ones spin.
static void omp_settings(wf_measures *out, const char *place, int n_cores)
{
    const char *threads = getenv("OMP_NUM_THREADS"), *policy = getenv("OMP_WAIT_POLICY");
    char text[160] = "";
    if (threads && atoi(threads) > n_cores)
        snprintf(text, sizeof text, "OMP_NUM_THREADS=%s, %d cores per rank", threads, n_cores);
    else if (policy && strcasecmp(policy, "active") == 0)
        snprintf(text, sizeof text, "OMP_WAIT_POLICY=%s", policy);
    else if (getenv("GOMP_CPU_AFFINITY") || getenv("KMP_AFFINITY"))
        snprintf(text, sizeof text, "GOMP_CPU_AFFINITY or KMP_AFFINITY is set");
    wf_measure_add(out, WF_CHECK_OMP, text[0] ? 0 : 1, place);
    if (text[0]) note(out, text);
}

static uint64_t program_hash(void)
{
    enum { PROGRAM_BYTES = 1 << 30 };
    char *bytes = NULL;
    size_t n = 0;
    if (wf_file_read("/proc/self/exe", PROGRAM_BYTES, &bytes, &n) != WF_OK) return 0;
    uint64_t hash = wf_hash64_of(bytes, n, 0);
    free(bytes);
    return hash;
}

static void versions_take(wf_rank_place *p)
{
    wf_versions v;
    wf_versions_get(&v);
    snprintf(p->versions, sizeof p->versions,
             "mpi %.40s, pmix %.24s, hdf5 %.12s, cuda %.60s, nccl %.16s, driver %.16s", v.mpi,
             v.pmix, v.hdf5, v.cuda, v.nccl, v.driver);
    p->libraries = wf_hash64_of(p->versions, strlen(p->versions), 0);
    p->binary = program_hash();
}

void wf_doctor_locked(const wf_world *world, const wf_rank_place *p, wf_measures *out)
{
    char place[96];
    if (p->device < 0 && world->n_nodes == 1) return;
    snprintf(place, sizeof place, "rank %d on %s", p->rank, p->host);
    add_known(out, WF_CHECK_MEMLOCK, limit_of(RLIMIT_MEMLOCK, GIB), place);
}

void wf_doctor_host(const wf_world *world, wf_rank_place *p, wf_measures *out)
{
    char place[96];
    wf_cores cores = {.n = 1, .n_bound = 1};
    *p = (wf_rank_place){.rank = world->rank,
                         .node = world->node_of_rank[world->rank],
                         .local = world->local,
                         .device = -1,
                         .numa = -1};
    snprintf(p->host, sizeof p->host, "%s", world->host[p->node]);
    snprintf(place, sizeof place, "rank %d on %s", p->rank, p->host);
    (void)wf_cores_count("", &cores);
    wf_cores_bound(p->cores, sizeof p->cores);
    p->n_cores = cores.n_bound;
    p->memory_gib = memory_available_gib() / world->n_local;
    bool bound = cores.n_bound < cores.n;
    wf_measure_add(out, WF_CHECK_CORES, bound ? cores.n_bound : (double)cores.n / world->n_local,
                   place);
    add_known(out, WF_CHECK_MEMORY, p->memory_gib, place);
    add_known(out, WF_CHECK_NOFILE, limit_of(RLIMIT_NOFILE, 1), place);
    add_known(out, WF_CHECK_STACK, limit_of(RLIMIT_STACK, 1 << 20), place);
    huge_pages(out, place);
    omp_settings(out, place, bound ? cores.n_bound : cores.n / world->n_local);
    versions_take(p);
}

// ---- the output folder --------------------------------------------------------------------------

typedef struct {
    char path[PATH_MAX]; // a file of this rank's own
    char place[96];
    wf_measures *out;
} folder_probe;

static void probe_fsync(folder_probe *p)
{
    enum { TIMES = 5 };
    double worst_ms = 0;
    int fd;
    if (wf_file_open_plain(p->path, O_RDWR, &fd) != WF_OK) return;
    for (int i = 0; i < TIMES; i++) {
        int64_t t0 = wf_clock_ns();
        if (pwrite(fd, "weft", 4, 4 * i) != 4 || fsync(fd) != 0) break;
        double ms = (double)(wf_clock_ns() - t0) / 1e6;
        if (ms > worst_ms) worst_ms = ms;
    }
    close(fd);
    wf_measure_add(p->out, WF_CHECK_FSYNC, worst_ms, p->place);
}

static void probe_write(folder_probe *p)
{
    enum { BYTES = 16 << 20 };
    char *block = calloc(1, BYTES);
    int fd;
    wf_status opened = wf_file_open_plain(p->path, O_RDWR, &fd);
    int64_t t0 = wf_clock_ns();
    if (block && opened == WF_OK && wf_file_write(fd, p->path, block, BYTES) == WF_OK &&
        fsync(fd) == 0) {
        double s = (double)(wf_clock_ns() - t0) / 1e9;
        wf_measure_add(p->out, WF_CHECK_WRITE, BYTES / s / 1e9, p->place);
    }
    if (fd >= 0) close(fd);
    free(block);
}

static void probe_names(folder_probe *p)
{
    char other[PATH_MAX + 8];
    snprintf(other, sizeof other, "%s.link", p->path);
    unlink(other);
    bool linked = link(p->path, other) == 0;
    wf_measure_add(p->out, WF_CHECK_LINK, linked, p->place);
    if (!linked) note(p->out, strerror(errno));
    int fd = open(p->path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0666);
    wf_measure_add(p->out, WF_CHECK_EXCL, fd < 0 && errno == EEXIST, p->place);
    if (fd >= 0) close(fd);
    unlink(other);
}

static void probe_locks(folder_probe *p)
{
    int fd = open(p->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool whole = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    bool posix = fd >= 0 && fcntl(fd, F_SETLK, &range) == 0;
    wf_measure_add(p->out, WF_CHECK_LOCKS, whole && posix, p->place);
    if (!whole || !posix)
        note(p->out, whole ? "flock works, fcntl does not" : "flock does not work");
    if (fd >= 0) close(fd);
}

static void probe_space(folder_probe *p, const char *dir)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0) return;
    wf_measure_add(p->out, WF_CHECK_SPACE, (double)fs.f_bavail * (double)fs.f_frsize / GIB, dir);
    if (fs.f_files > 0) wf_measure_add(p->out, WF_CHECK_INODES, (double)fs.f_favail, dir);
}

// Rank 0 makes a file; how long until the others see it.
static wf_status probe_seen(const wf_world *world, const char *dir, folder_probe *p)
{
    char name[PATH_MAX];
    int64_t limit_ns = 20 * WF_NS_PER_S, nonce = wf_clock_unix_ns();
    WF_TRY(world->comm->ops->broadcast(world->comm, &nonce, sizeof nonce, 0));
    snprintf(name, sizeof name, "%s/.doctor-seen-%lld", dir, (long long)nonce);
    if (world->rank == 0) {
        int fd = open(name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0666);
        if (fd >= 0) close(fd);
    }
    WF_TRY(world->comm->ops->barrier(world->comm));
    int64_t t0 = wf_clock_ns();
    while (access(name, F_OK) != 0 && wf_clock_ns() - t0 < limit_ns)
        wf_clock_sleep_until(wf_clock_ns() + 20 * WF_NS_PER_MS);
    wf_measure_add(p->out, WF_CHECK_SEEN, (double)(wf_clock_ns() - t0) / 1e9, p->place);
    WF_TRY(world->comm->ops->barrier(world->comm));
    if (world->rank == 0) unlink(name);
    return WF_OK;
}

wf_status wf_doctor_folder(const wf_world *world, const char *dir, wf_measures *out)
{
    folder_probe p = {.out = out};
    const char *host = world->host[world->node_of_rank[world->rank]];
    snprintf(p.place, sizeof p.place, "rank %d on %s", world->rank, host);
    snprintf(p.path, sizeof p.path, "%s/.doctor-%s-%d", dir, host, world->rank);
    WF_TRY(wf_world_agree(world, wf_file_make_folders(dir)));
    int fd;
    unlink(p.path); // of a doctor that was killed
    wf_status st = wf_file_open_plain(p.path, O_RDWR, &fd);
    if (st == WF_OK) close(fd);
    WF_TRY(wf_world_agree(world, st));
    if (world->local == 0) { // one rank of a node is enough, and more would wait for each other
        probe_fsync(&p);
        probe_write(&p);
        probe_names(&p);
        probe_locks(&p);
        probe_space(&p, dir);
    }
    st = probe_seen(world, dir, &p);
    unlink(p.path);
    return st;
}
