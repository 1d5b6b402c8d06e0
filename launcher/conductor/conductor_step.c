// Command lines and processes of groups. See conductor_step.h.
#include "launcher/conductor/conductor_step.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/file.h"
#include "io/base/text.h"

enum { MAX_WORDS = 48 };

// A command line that grows; its words are own.
typedef struct {
    char *word[MAX_WORDS + 1]; // ended by NULL
    int n;
    wf_status st;
} line;

static void line_add(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(line *l, const char *format, ...)
{
    va_list args;
    char *word = NULL;
    va_start(args, format);
    if (l->st == WF_OK && l->n < MAX_WORDS && vasprintf(&word, format, args) >= 0)
        l->word[l->n++] = word;
    else if (l->st == WF_OK)
        l->st = wf_fail(WF_NO_MEMORY, "no memory for a command line");
    va_end(args);
}

static void line_free(line *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->word[i]);
}

// Nodes of the seats in order, one name per seat: what srun calls an arbitrary distribution.
static void add_nodes(line *l, const wf_step_params *p)
{
    wf_text list = {0};
    char *text = NULL;
    int n_nodes = 0;
    for (int i = 0; i < p->tensor; i++) {
        int node = p->place[p->seats[i]].node;
        n_nodes += i == 0 || node != p->place[p->seats[i - 1]].node;
        wf_text_printf(&list, "%s%s", i ? "," : "", p->node_name[node]);
    }
    wf_status st = wf_text_take(&list, &text);
    if (st != WF_OK) l->st = st;
    if (st != WF_OK) return;
    line_add(l, "--nodes=%d", n_nodes);
    line_add(l, "--ntasks=%d", p->tensor);
    line_add(l, "--distribution=arbitrary");
    line_add(l, "--nodelist=%s", text);
    free(text);
}

static void add_starter(line *l, const wf_step_params *p)
{
    if (p->way == WF_STEP_MPIRUN) {
        line_add(l, "mpirun");
        line_add(l, "-n");
        line_add(l, "%d", p->tensor);
    } else if (p->way == WF_STEP_SRUN) {
        line_add(l, "srun");
        line_add(l, "--quiet");
        line_add(l, "--mpi=pmix");
        line_add(l, "--overlap");
        if (p->binds) line_add(l, "--cpu-bind=none");
        line_add(l, "--kill-on-bad-exit=1");
        line_add(l, "--job-name=group-%d", p->group);
        add_nodes(l, p);
    }
}

// "2,3/4": the places of the ranks on their nodes, and how many ranks a node is shared by.
static void add_places(line *l, const wf_step_params *p)
{
    wf_text list = {0};
    char *text = NULL;
    int n_sharing = 0;
    for (int i = 0; i < p->tensor; i++) {
        const wf_place *place = &p->place[p->seats[i]];
        if (p->n_of_node[place->node] > n_sharing) n_sharing = p->n_of_node[place->node];
        wf_text_printf(&list, "%s%d", i ? "," : "", place->local);
    }
    wf_text_printf(&list, "/%d", n_sharing);
    l->st = l->st == WF_OK ? wf_text_take(&list, &text) : l->st;
    if (text) line_add(l, "%s", text);
    free(text);
}

static wf_status line_make(const wf_step_params *p, line *l)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return wf_fail_errno(WF_IO, "/proc/self/exe: cannot be read");
    self[n] = '\0';
    add_starter(l, p);
    line_add(l, "%s", self);
    line_add(l, "run");
    line_add(l, "%s", p->job_file);
    line_add(l, "--group");
    line_add(l, "%d/%d", p->group, p->n_groups);
    line_add(l, "--run");
    line_add(l, "%u", p->run);
    line_add(l, "--epoch");
    line_add(l, "%u", p->epoch);
    line_add(l, "--places");
    add_places(l, p);
    return l->st;
}

// In the child, between fork and exec: only what is safe there.
static _Noreturn void become(char *const *words, pid_t parent)
{
    static const char none[] = "weft: cannot start ";
    int null = open("/dev/null", O_RDONLY);
    sigset_t empty;
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (null >= 0) dup2(null, STDIN_FILENO);
    if (getppid() == parent) execvp(words[0], words);
    ssize_t written = write(STDERR_FILENO, none, sizeof none - 1);
    written += write(STDERR_FILENO, words[0], strlen(words[0]));
    written += write(STDERR_FILENO, "\n", 1);
    _exit(written > 0 ? 127 : 126);
}

wf_status wf_step_start(const wf_step_params *params, wf_step *out)
{
    line l = {0};
    wf_status st = line_make(params, &l);
    pid_t parent = getpid(), pid = -1;
    *out = (wf_step){0};
    if (st == WF_OK) {
        pid = fork();
        if (pid == 0) become(l.word, parent);
        if (pid < 0) st = wf_fail_errno(WF_IO, "group %d: cannot fork", params->group);
    }
    if (st == WF_OK) {
        setpgid(pid, pid);
        out->pid = pid;
    }
    line_free(&l);
    return st;
}

bool wf_step_ended(wf_step *step, int *exit_code)
{
    int status = 0;
    pid_t got = waitpid(step->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    step->pid = 0;
    return true;
}

void wf_step_signal(const wf_step *step, int number)
{
    if (step->pid > 0) kill(step->pid, number);
}

void wf_step_kill_rank(int64_t pid, int group, uint32_t run, uint32_t epoch)
{
    char path[64], wanted[128], *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%lld/cmdline", (long long)pid);
    if (pid <= 1 || wf_file_read(path, 1 << 20, &text, &n) != WF_OK) return;
    for (size_t i = 0; i + 1 < n; i++)
        if (text[i] == '\0') text[i] = ' ';
    int length = snprintf(wanted, sizeof wanted, " --group %d/", group);
    char *at = strstr(text, wanted);
    snprintf(wanted, sizeof wanted, " --run %u --epoch %u ", run, epoch);
    if (at && strstr(at + length, wanted)) kill((pid_t)pid, SIGKILL);
    free(text);
}
