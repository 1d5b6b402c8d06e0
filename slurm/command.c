// Spawn, read both pipes, wait, kill when it takes too long. See command.h.
#include "slurm/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/spawn_plain.h"
#include "io/base/text.h"

enum { OUT, ERR, N_PIPES, OUTPUT_MAX = 16 << 20 };

typedef struct {
    const char *name;
    pid_t pid;
    int fd[N_PIPES]; // -1: at its end
    wf_text text[N_PIPES];
} child;

static wf_status pipes_make(int ends[N_PIPES][2])
{
    if (pipe2(ends[OUT], O_CLOEXEC) != 0) return wf_fail_errno(WF_IO, "no pipe for a command");
    if (pipe2(ends[ERR], O_CLOEXEC) == 0) return WF_OK;
    wf_status st = wf_fail_errno(WF_IO, "no pipe for a command");
    close(ends[OUT][0]);
    close(ends[OUT][1]);
    return st;
}

static wf_status not_started(const char *name, int error)
{
    if (error == ENOENT) {
        return wf_fail(WF_NO_INPUT,
                       "%s: not found on PATH: this machine has none of Slurm's commands; use a "
                       "login node of the cluster",
                       name);
    }
    return wf_fail(WF_IO, "%s: cannot be started: %s", name, strerror(error));
}

static wf_status start(const char *const argv[], child *c)
{
    int ends[N_PIPES][2];
    WF_TRY(pipes_make(ends));
    int error = wf_spawn_plain(argv, -1, ends[OUT][1], ends[ERR][1], &c->pid);
    for (int i = 0; i < N_PIPES; i++) {
        close(ends[i][1]);
        c->fd[i] = ends[i][0];
        if (error != 0) close(ends[i][0]);
    }
    return error == 0 ? WF_OK : not_started(argv[0], error);
}

static void take_bytes(child *c, int i)
{
    char bytes[4096];
    ssize_t n = read(c->fd[i], bytes, sizeof bytes);
    if (n > 0 && c->text[i].n < OUTPUT_MAX) wf_text_add(&c->text[i], bytes, (size_t)n);
    if (n > 0 || (n < 0 && errno == EINTR)) return;
    close(c->fd[i]);
    c->fd[i] = -1;
}

// Reads until both pipes end. False when the time is over first.
static bool read_all(child *c, int64_t until_ns)
{
    while (c->fd[OUT] >= 0 || c->fd[ERR] >= 0) {
        int64_t left_ns = until_ns - wf_clock_ns();
        struct pollfd polled[N_PIPES];
        for (int i = 0; i < N_PIPES; i++)
            polled[i] = (struct pollfd){.fd = c->fd[i], .events = POLLIN};
        if (left_ns <= 0) return false;
        if (poll(polled, N_PIPES, (int)(left_ns / WF_NS_PER_MS) + 1) <= 0) continue;
        for (int i = 0; i < N_PIPES; i++)
            if (polled[i].revents != 0) take_bytes(c, i);
    }
    return true;
}

static int wait_for(const child *c)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static wf_status text_end(wf_text *text, bool first_line, char **out)
{
    wf_text_puts(text, "");
    WF_TRY(wf_text_take(text, out));
    size_t n = strlen(*out);
    while (n > 0 && (*out)[n - 1] == '\n')
        (*out)[--n] = '\0';
    if (first_line) (*out)[strcspn(*out, "\n")] = '\0';
    return WF_OK;
}

wf_status wf_slurm_command(const char *const argv[], int64_t limit_ns, wf_slurm_answer *answer)
{
    child c = {.name = argv[0], .fd = {-1, -1}};
    wf_slurm_answer got = {0};
    WF_TRY(start(argv, &c));
    bool in_time = read_all(&c, wf_clock_ns() + limit_ns);
    if (!in_time) kill(-c.pid, SIGKILL);
    got.exit_code = wait_for(&c);
    wf_status st = text_end(&c.text[OUT], false, &got.out);
    if (st == WF_OK) st = text_end(&c.text[ERR], true, &got.err);
    for (int i = 0; i < N_PIPES; i++) {
        if (c.fd[i] >= 0) close(c.fd[i]);
        wf_text_free(&c.text[i]);
    }
    if (st == WF_OK && !in_time) {
        st =
            wf_fail(WF_IO, "%s: no answer within %d s%s%s%s; look whether Slurm's controller is up",
                    argv[0], (int)(limit_ns / WF_NS_PER_S), got.err[0] ? " (" : "", got.err,
                    got.err[0] ? ")" : "");
    }
    if (st != WF_OK) {
        wf_slurm_answer_free(&got);
        return st;
    }
    *answer = got;
    return WF_OK;
}

void wf_slurm_answer_free(wf_slurm_answer *answer)
{
    free(answer->out);
    free(answer->err);
    *answer = (wf_slurm_answer){0};
}
