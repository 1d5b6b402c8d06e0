// The child, its watch, and what is said when it does not come back. See guard.h.
#include "io/base/guard.h"

#include "io/base/clock.h"
#include "io/base/fault.h"
#include "io/base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_NS (120 * WF_NS_PER_S)

enum { TICK_MS = 100 };

// Seen by both processes.
typedef struct {
    wf_status status;
    bool finished;
    char error[WF_ERROR_MAX];
    char place[512];               // file and dataset read last
    _Atomic int64_t reading_since; // monotonic; 0: not inside a read
    int depth;
    uint64_t n_reads;
    _Alignas(16) char result[];
} shared;

// The child's own end of it; set once, right after the fork, and NULL in every other process.
static shared *mine;

// Of a process that another one watches.
static char *told;
static size_t told_bytes;

int64_t wf_guard_limit_ns(void)
{
    const char *text = getenv("WEFT_READ_LIMIT");
    int64_t limit_ns;
    bool given = text && wf_parse_duration(text, &limit_ns) == WF_OK && limit_ns > 0;
    return given ? limit_ns : LIMIT_NS;
}

void wf_guard_tell(char *place, size_t n_bytes)
{
    told = place;
    told_bytes = n_bytes;
}

void wf_guard_at(const char *path, const char *name)
{
    if (told) snprintf(told, told_bytes, "%s", name);
    if (!mine || mine->depth++ > 0) return;
    snprintf(mine->place, sizeof mine->place, "%s%s%s", path, name[0] ? ":" : "", name);
    atomic_store(&mine->reading_since, wf_clock_ns());
    wf_fault_at(WF_FAULT_READ, ++mine->n_reads);
}

void wf_guard_done(void)
{
    if (!mine || mine->depth == 0 || --mine->depth > 0) return;
    atomic_store(&mine->reading_since, 0);
}

// --- the child ---

static void run_child(shared *s, const wf_guard_config *c, int fd, pid_t parent)
{
    const struct rlimit none = {0, 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    setrlimit(RLIMIT_CORE, &none); // a hostile file must not fill the disk with cores
    mine = s;
    FILE *out = c->out ? fdopen(fd, "w") : stdout;
    s->status = out ? c->work(c->context, out, s->result)
                    : wf_fail_errno(WF_IO, "cannot print through a pipe");
    bool printed = out && fflush(out) == 0 && !ferror(out);
    if (s->status == WF_OK && !printed)
        s->status = wf_fail(WF_IO, "the output cannot be written to the end: disk full?");
    snprintf(s->error, sizeof s->error, "%s", wf_error());
    s->finished = true;
    _exit(0);
}

// --- the parent ---

static bool is_too_long(const shared *s, int64_t limit_ns)
{
    int64_t since = atomic_load(&s->reading_since);
    return since > 0 && wf_clock_ns() - since > limit_ns;
}

// Copies what comes until the child's end closes; true when it had to be ended.
static bool watch(const shared *s, int fd, pid_t child, FILE *out)
{
    char buffer[4096];
    int64_t limit_ns = wf_guard_limit_ns();
    bool ended = false;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, TICK_MS);
        ssize_t n = ready > 0 ? read(fd, buffer, sizeof buffer) : -1;
        if (ready > 0 && (n == 0 || (n < 0 && errno != EINTR))) return ended;
        if (n > 0 && out) fwrite(buffer, 1, (size_t)n, out);
        if (ended || !is_too_long(s, limit_ns)) continue;
        ended = true;
        kill(child, SIGKILL);
    }
}

static bool asks_to_leave(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGPIPE;
}

static wf_status verdict(const shared *s, int child_status, bool ended, bool *died)
{
    if (s->finished) return s->status == WF_OK ? WF_OK : wf_fail(s->status, "%s", s->error);
    int number = WIFSIGNALED(child_status) ? WTERMSIG(child_status) : 0;
    const char *name = number ? sigabbrev_np(number) : NULL;
    if (!ended && asks_to_leave(number)) {
        signal(number, SIG_DFL);
        raise(number);
    }
    *died = true;
    if (ended) {
        return wf_fail(WF_DATA, "%s: is damaged: reading it does not end (%.0f s; WEFT_READ_LIMIT)",
                       s->place, (double)wf_guard_limit_ns() / (double)WF_NS_PER_S);
    }
    if (atomic_load(&s->reading_since) > 0) {
        return wf_fail(WF_DATA, "%s: is damaged: reading it kills the reader (SIG%s)", s->place,
                       name ? name : "?");
    }
    return wf_fail(WF_INTERNAL, "the process that read %s died (SIG%s)", s->place,
                   name ? name : "?");
}

static wf_status run_forked(shared *s, const wf_guard_config *c, bool *died)
{
    int ends[2], child_status = 0;
    pid_t self = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0) return wf_fail_errno(WF_IO, "cannot start a reader");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(s, c, ends[1], self);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return wf_fail_errno(WF_IO, "cannot start a reader");
    }
    bool ended = watch(s, ends[0], child, c->out);
    close(ends[0]);
    while (waitpid(child, &child_status, 0) < 0 && errno == EINTR) {
    }
    return verdict(s, child_status, ended, died);
}

wf_status wf_guard_run(const wf_guard_config *config, void *result, bool *died)
{
    size_t bytes = sizeof(shared) + config->result_bytes;
    *died = false;
    shared *s = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) return wf_fail_errno(WF_NO_MEMORY, "cannot start a reader");
    wf_status st = run_forked(s, config, died);
    if (config->result_bytes > 0) memcpy(result, s->result, config->result_bytes);
    munmap(s, bytes);
    return st;
}
