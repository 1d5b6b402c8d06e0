// The checker runs in a child: HDF5 itself may crash or hang on a damaged file, and then the parent
// still says which file it was.
//
//   child: checks, prints into a pipe, leaves its verdict in shared memory
//   parent: copies the pipe to `out`; a child that dies or stops making progress is a problem
#include "results/check/check_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_S = 120 }; // no read of one range of one column takes so long

struct check_shared {
    wf_check_report report;
    wf_status status;
    bool finished;
    char error[WF_ERROR_MAX];
    char place[512]; // file and dataset being read
};

void check_at(checker *c, const char *path, const char *name)
{
    if (!c->shared) return;
    alarm(HANG_S); // SIGALRM ends the child
    snprintf(c->shared->place, sizeof c->shared->place, "%s%s%s", path, name[0] ? ":" : "", name);
}

void check_give_report(check_shared *shared, const wf_check_report *report)
{
    shared->report = *report;
}

static void run_child(check_shared *shared, int fd, const char *path,
                      const wf_check_options *options)
{
    FILE *out = fdopen(fd, "w");
    signal(SIGALRM, SIG_DFL);
    shared->status = out ? check_directly(path, options, out, shared) : WF_IO;
    snprintf(shared->error, sizeof shared->error, "%s", wf_error());
    shared->finished = out && fclose(out) == 0;
    _exit(0);
}

static void copy_output(int fd, FILE *out)
{
    char buffer[4096];
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        fwrite(buffer, 1, (size_t)n, out);
    }
}

static wf_status verdict(check_shared *shared, const char *path, int child_status, FILE *out)
{
    if (shared->finished)
        return shared->status == WF_OK ? WF_OK : wf_fail(shared->status, "%s", shared->error);
    int number = WIFSIGNALED(child_status) ? WTERMSIG(child_status) : 0;
    shared->report.n_problems++;
    shared->report.complete = false;
    fprintf(out, "problem: %s: is damaged: reading it %s%s\n", shared->place,
            number == SIGALRM ? "does not end" : "kills the reader",
            number == SIGSEGV   ? " (SIGSEGV)"
            : number == SIGABRT ? " (SIGABRT)"
            : number == SIGBUS  ? " (SIGBUS)"
            : number == SIGFPE  ? " (SIGFPE)"
                                : "");
    fprintf(out, "complete: no\n");
    return wf_fail(WF_DATA, "%s: damaged, not checked to the end", path);
}

static wf_status run_forked(check_shared *shared, const char *path, const wf_check_options *options,
                            FILE *out)
{
    int ends[2], child_status = 0;
    if (pipe(ends) != 0) return wf_fail_errno(WF_IO, "%s: cannot start the checker", path);
    fflush(out);
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return wf_fail_errno(WF_IO, "%s: cannot start the checker", path);
    }
    if (child == 0) {
        close(ends[0]);
        run_child(shared, ends[1], path, options);
    }
    close(ends[1]);
    copy_output(ends[0], out);
    close(ends[0]);
    while (waitpid(child, &child_status, 0) < 0 && errno == EINTR) {
    }
    return verdict(shared, path, child_status, out);
}

wf_status wf_check_run(const char *path, const wf_check_options *options, FILE *out,
                       wf_check_report *report)
{
    check_shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return wf_fail_errno(WF_NO_MEMORY, "%s: cannot be checked", path);
    wf_status st = run_forked(shared, path, options, out);
    if (report) *report = shared->report;
    munmap(shared, sizeof *shared);
    if (st != WF_IO && (fflush(out) != 0 || ferror(out)))
        st = wf_fail_errno(WF_IO, "the result of the check cannot be written");
    return st;
}
