// Finding and running weft-text. See companion.h.
#include "launcher/companion.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/spawn_plain.h"

#define NAME "weft-text"
#define SAYS NAME ": " // begins the line with which it fails

enum { LOOK_MS = 100, N_MODULE_WORDS = 3 };

// How it is called: its path, or python3 -m weft_text.
typedef struct {
    char path[PATH_MAX]; // "": by python3
} companion;

// A process whose standard error we read.
typedef struct {
    pid_t pid;
    int fd;          // -1: at its end
    char line[2048]; // that is still being said
    size_t n;
    char failure[1024]; // what it said last as SAYS
} child;

// ---- starting -----------------------------------------------------------------------------------

static wf_status spawn(const char *const argv[], int in, bool quiet, child *c)
{
    int ends[2];
    *c = (child){.fd = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return wf_fail_errno(WF_IO, "no pipe for " NAME);
    int error = wf_spawn_plain(argv, in, quiet ? ends[1] : -1, ends[1], &c->pid);
    close(ends[1]);
    c->fd = ends[0];
    if (error == 0) return WF_OK;
    close(ends[0]);
    return wf_fail(WF_NO_INPUT, "%s: cannot be started: %s", argv[0], strerror(error));
}

static int wait_for(const child *c)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// ---- finding ------------------------------------------------------------------------------------

// A path from the folder of this program.
static bool from_us(const char *name, char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return false;
    self[n] = '\0';
    size_t n_folder = (size_t)(wf_path_name(self) - self);
    return snprintf(path, PATH_MAX, "%.*s%s", (int)n_folder, self, name) < PATH_MAX;
}

static bool beside_us(char path[PATH_MAX])
{
    return from_us(NAME, path) && access(path, X_OK) == 0;
}

static bool on_path(char path[PATH_MAX])
{
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t n = strcspn(at, ":");
        if (n > 0 && snprintf(path, PATH_MAX, "%.*s/" NAME, (int)n, at) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

static bool is_module(void)
{
    static const char *const argv[] = {"python3", "-c", "import weft_text", NULL};
    char bytes[512];
    child c;
    if (spawn(argv, -1, true, &c) != WF_OK) return false;
    while (read(c.fd, bytes, sizeof bytes) > 0) {
    }
    close(c.fd);
    return wait_for(&c) == 0;
}

// An installation has its wheel.
static wf_status not_found(void)
{
    char pattern[PATH_MAX];
    wf_paths wheels = {0};
    bool has = from_us("../share/weft/weft_text-*.whl", pattern) &&
               wf_file_glob(pattern, &wheels) == WF_OK && wheels.n > 0;
    wf_status st = wf_fail(
        WF_NO_INPUT,
        NAME ": not found beside weft, on PATH, in WEFT_TEXT or as python3 -m "
             "weft_text; prompts files, chats and Parquet need it: in a virtual environment that "
             "is active, pip install '%s[all]'%s",
        has ? wheels.item[wheels.n - 1] : "./io/python",
        has ? "" : " in the folder of Weft's sources");
    wf_paths_destroy(&wheels);
    return st;
}

static wf_status find(companion *out)
{
    const char *given = getenv("WEFT_TEXT");
    *out = (companion){0};
    if (given && given[0]) {
        if (access(given, X_OK) != 0)
            return wf_fail_errno(WF_NO_INPUT, "WEFT_TEXT=%s: is no program", given);
        snprintf(out->path, sizeof out->path, "%s", given);
        return WF_OK;
    }
    if (beside_us(out->path) || on_path(out->path)) return WF_OK;
    out->path[0] = '\0';
    if (is_module()) return WF_OK;
    return not_found();
}

wf_status wf_companion_check(void)
{
    companion c;
    return find(&c);
}

// ---- listening ----------------------------------------------------------------------------------

// "prompts.jsonl:12: the line is not JSON": said of a row.
static bool names_a_line(const char *text)
{
    const char *colon = strchr(text, ':');
    while (colon && !isdigit((unsigned char)colon[1]))
        colon = strchr(colon + 1, ':');
    return colon && colon[1 + strspn(colon + 1, "0123456789")] == ':';
}

static void line_take(child *c)
{
    c->line[c->n] = '\0';
    c->n = 0;
    if (strncmp(c->line, SAYS, strlen(SAYS)) == 0)
        snprintf(c->failure, sizeof c->failure, "%.1000s", c->line + strlen(SAYS));
    else if (names_a_line(c->line))
        wf_warn("%s", c->line);
    else if (c->line[0])
        wf_info("%s", c->line);
}

static void bytes_take(child *c)
{
    char bytes[4096];
    ssize_t n = read(c->fd, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) return;
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || c->n == sizeof c->line - 1) line_take(c);
        if (bytes[i] != '\n') c->line[c->n++] = bytes[i];
    }
    if (n > 0) return;
    if (c->n > 0) line_take(c);
    close(c->fd);
    c->fd = -1;
}

// False when the job must leave before it has ended.
static bool listen(child *c, const wf_drain *drain)
{
    bool stays = true;
    while (c->fd >= 0) {
        struct pollfd polled = {.fd = c->fd, .events = POLLIN};
        if (poll(&polled, 1, LOOK_MS) > 0) bytes_take(c);
        if (stays && wf_drain_asks(drain, WF_DRAIN_FINISH)) {
            stays = false;
            kill(-c->pid, SIGTERM);
        }
    }
    return stays;
}

// ---- running ------------------------------------------------------------------------------------

static wf_status status_of(int exit_code)
{
    static const wf_status said[] = {WF_OK,       WF_FAILED_ROWS, WF_USAGE,   WF_DATA,
                                     WF_NO_INPUT, WF_IO,          WF_MISMATCH};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        if (wf_status_exit_code(said[i]) == exit_code) return said[i];
    return WF_INTERNAL;
}

static wf_status words_make(const companion *found, const char *const arguments[],
                            const char ***out)
{
    size_t n = 0, at = 0;
    while (arguments[n])
        n++;
    WF_TRY(wf_alloc(n + N_MODULE_WORDS + 1, sizeof **out, out));
    if (found->path[0]) {
        (*out)[at++] = found->path;
    } else {
        (*out)[at++] = "python3";
        (*out)[at++] = "-m";
        (*out)[at++] = "weft_text";
    }
    memcpy(*out + at, arguments, n * sizeof **out);
    return WF_OK;
}

static wf_status companion_run(const char *const arguments[], int in, const wf_drain *drain)
{
    companion found;
    const char **argv = NULL;
    child c;
    WF_TRY(find(&found));
    WF_TRY(words_make(&found, arguments, &argv));
    wf_status st = spawn(argv, in, false, &c);
    free(argv);
    WF_TRY(st);
    bool ended = listen(&c, drain);
    int exit_code = wait_for(&c);
    if (!ended && exit_code != 0 && exit_code != wf_status_exit_code(WF_FAILED_ROWS))
        return wf_fail(WF_DRAINED, NAME " %s was ended: the job must leave", arguments[0]);
    st = status_of(exit_code);
    if (st == WF_OK) return WF_OK;
    if (c.failure[0]) return wf_fail(st, "%s", c.failure);
    return wf_fail(st, NAME " %s: %s (exit code %d)%s", arguments[0], wf_status_words(st),
                   exit_code, st == WF_INTERNAL ? "; what it said stands above" : "");
}

wf_status wf_companion_run(const char *const arguments[], const wf_drain *drain)
{
    return companion_run(arguments, -1, drain);
}

wf_status wf_companion_run_fed(const char *const arguments[], int in)
{
    return companion_run(arguments, in, NULL);
}
