// The host: forks the reader child, ends it when it takes too long, answers for it when it is gone,
// and forks the next. It never reads a request and never touches HDF5.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/shard/reader_protocol.h"

// A reader that cannot even start (no memory for its fork's pages, say) is not forked for ever.
#define MAX_IDLE_DEATHS 100
#define START_LIMIT_NS  (10 * WF_NS_PER_S)

typedef struct {
    const wf_reader_shared *shared;
    int socket;
    pid_t child; // -1: none
    int beat;    // readable when the child moves; ends with it
    bool timed_out;
    int n_idle_deaths;
} host;

static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0); // it ended before the line above
}

// Batch systems signal every process of a step; these two end when the program does. A crash must
// end the reader at once, whatever the program wants done about its own.
static void set_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
    static const int plain[] = {SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        signal(plain[i], SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool child_start(host *h)
{
    int pipe_fds[2];
    pid_t self = getpid();
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return false;
    atomic_store(&h->shared->control->moved_ns, wf_clock_ns());
    h->child = fork();
    if (h->child == 0) {
        die_with(self);
        close(pipe_fds[0]);
        wf_reader_child_run(h->shared, h->socket, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    if (h->child < 0) {
        close(pipe_fds[0]);
        return false;
    }
    h->beat = pipe_fds[0];
    h->timed_out = false;
    return true;
}

// What the reader read last, if what it left there is a name: its memory may be damaged.
static void add_place(const char *place, char *text, size_t bytes)
{
    size_t n = strnlen(place, sizeof(((wf_reader_control *)0)->place)), at = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (place[i] <= ' ' || place[i] > '~') return;
    if (n > 0) snprintf(text + at, bytes - at, ", reading %.*s", (int)n, place);
}

static void describe_end(const host *h, int status, char *text, size_t bytes)
{
    if (h->timed_out) {
        snprintf(text, bytes, "reader took longer than %g s",
                 (double)h->shared->limit_ns / (double)WF_NS_PER_S);
    } else if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(text, bytes, "reader died: SIG%s", name != NULL ? name : "???");
    } else {
        snprintf(text, bytes, "reader ended with code %d", WEXITSTATUS(status));
    }
    add_place(h->shared->control->place, text, bytes);
}

// Answers for the read that was under way.
static void answer_current(host *h, int status)
{
    wf_reader_control *control = h->shared->control;
    uint64_t seq = atomic_load(&control->current);
    if (seq == 0) {
        bool orderly = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        h->n_idle_deaths = orderly || h->timed_out ? 0 : h->n_idle_deaths + 1;
        return;
    }
    h->n_idle_deaths = 0;
    wf_reader_reply reply = {
        .seq = seq, .slot = atomic_load(&control->current_slot), .status = WF_SHARD, .died = 1};
    describe_end(h, status, reply.error, sizeof reply.error);
    atomic_store(&control->finished, seq);
    atomic_store(&control->current, 0);
    send(h->socket, &reply, sizeof reply, MSG_NOSIGNAL);
}

static void child_reap(host *h)
{
    int status = 0;
    while (waitpid(h->child, &status, 0) < 0 && errno == EINTR) {
    }
    close(h->beat);
    h->beat = h->child = -1;
    if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        atomic_fetch_add(&h->shared->control->n_died, 1);
    answer_current(h, status);
}

// The limit runs while there is work, from the last sign of life. A reader that has not taken any
// is still starting, which is nobody's fault: it gets longer.
static void check_limit(host *h)
{
    wf_reader_control *control = h->shared->control;
    bool busy = atomic_load(&control->submitted) > atomic_load(&control->finished);
    if (!busy || h->timed_out) return;
    int64_t limit_ns = h->shared->limit_ns;
    if (atomic_load(&control->current) == 0) limit_ns += START_LIMIT_NS;
    if (wf_clock_ns() - atomic_load(&control->moved_ns) <= limit_ns) return;
    h->timed_out = true;
    kill(h->child, SIGKILL);
}

static int tick_ms(int64_t limit_ns)
{
    int64_t ms = limit_ns / 8 / WF_NS_PER_MS;
    return ms < 1 ? 1 : ms > 1000 ? 1000 : (int)ms;
}

void wf_reader_host_run(const wf_reader_shared *shared, int socket, pid_t program)
{
    host h = {.shared = shared, .socket = socket, .child = -1, .beat = -1};
    prctl(PR_SET_NAME, "weft-readerhost");
    set_signals();
    die_with(program);
    while (h.n_idle_deaths < MAX_IDLE_DEATHS) {
        if (h.child < 0 && !child_start(&h)) break;
        struct pollfd fds[2] = {{.fd = socket, .events = 0}, {.fd = h.beat, .events = POLLIN}};
        int n = poll(fds, 2, tick_ms(shared->limit_ns));
        if (n < 0 && errno != EINTR) break;
        if (n > 0 && fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) break;
        char beats[64];
        if (n > 0 && fds[1].revents != 0 && read(h.beat, beats, sizeof beats) == 0) {
            child_reap(&h);
            continue;
        }
        check_limit(&h);
    }
    if (h.child > 0) {
        kill(h.child, SIGKILL);
        while (waitpid(h.child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    _exit(0);
}
