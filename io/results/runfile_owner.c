// Taking, keeping and judging <out>/owner.json.
//
// A taker that judged the file stale renames it away (one of several takers wins), looks at what it
// got, and puts it back when it was somebody else's by then. A new file is linked, never written
// over. Two starts that still slip through meet at the run file, which only one can create.
#include "io/results/runfile_owner.h"

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/base/log.h"
#include "io/base/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_NS_DEFAULT (10 * WF_NS_PER_S)
#define BEAT_NS_DEFAULT (2 * WF_NS_PER_S)
#define POLL_NS         (200 * WF_NS_PER_MS)

enum { TEXT_BYTES = 256, FILE_BYTES = 64 << 10, ATTEMPTS = 5 };

typedef struct {
    char host[TEXT_BYTES], boot[64], job_id[TEXT_BYTES];
    int64_t pid, pid_start, restart;
    int64_t nonce; // tells two owners of one process id apart
    int64_t beat;
} owner_facts;

struct wf_owner {
    char *path;
    owner_facts facts;
    int64_t beat_ns;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping; // under the lock
    atomic_bool lost;
};

// Field 22 of /proc/<pid>/stat, counted behind the command name, which may hold anything. 0: no
// such process.
static int64_t pid_start_time(int64_t pid)
{
    char path[64], *text = NULL;
    int64_t start = 0;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (wf_file_read(path, FILE_BYTES, &text, NULL) != WF_OK) return 0;
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at) start = strtoll(at, NULL, 10);
    free(text);
    return start;
}

static void boot_id(char id[64])
{
    char *text = NULL;
    id[0] = '\0';
    if (wf_file_read("/proc/sys/kernel/random/boot_id", FILE_BYTES, &text, NULL) != WF_OK) return;
    snprintf(id, 64, "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
}

static owner_facts own_facts(const wf_owner_params *params)
{
    owner_facts f = {.pid = getpid(), .restart = params->restart};
    gethostname(f.host, sizeof f.host - 1);
    boot_id(f.boot);
    f.pid_start = pid_start_time(f.pid);
    f.nonce = wf_clock_unix_ns();
    snprintf(f.job_id, sizeof f.job_id, "%s", params->job_id ? params->job_id : "");
    return f;
}

static wf_status write_facts(const char *path, const owner_facts *f, wf_publish how)
{
    wf_json_writer *w = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "host", f->host);
    wf_json_put_i64(w, "pid", f->pid);
    wf_json_put_i64(w, "pid_start", f->pid_start);
    wf_json_put_string(w, "boot_id", f->boot);
    wf_json_put_string(w, "job_id", f->job_id);
    wf_json_put_i64(w, "restart", f->restart);
    wf_json_put_i64(w, "nonce", f->nonce);
    wf_json_put_i64(w, "beat", f->beat);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK) st = wf_file_write_whole(path, text, n, how);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status parse_facts(wf_json_ref root, owner_facts *f)
{
    const char *host, *boot, *job;
    WF_TRY(wf_json_get_string(root, "host", &host));
    WF_TRY(wf_json_get_string(root, "boot_id", &boot));
    WF_TRY(wf_json_get_string(root, "job_id", &job));
    snprintf(f->host, sizeof f->host, "%s", host);
    snprintf(f->boot, sizeof f->boot, "%s", boot);
    snprintf(f->job_id, sizeof f->job_id, "%s", job);
    WF_TRY(wf_json_get_i64(root, "pid", 0, INT64_MAX, &f->pid));
    WF_TRY(wf_json_get_i64(root, "pid_start", 0, INT64_MAX, &f->pid_start));
    WF_TRY(wf_json_get_i64(root, "restart", 0, INT64_MAX, &f->restart));
    WF_TRY(wf_json_get_i64(root, "nonce", INT64_MIN, INT64_MAX, &f->nonce));
    return wf_json_get_i64(root, "beat", 0, INT64_MAX, &f->beat);
}

// WF_NO_INPUT: no file. WF_DATA: a torn one (status files are not fsynced; a crash may leave that).
static wf_status read_facts(const char *path, owner_facts *f)
{
    wf_json *doc = NULL;
    *f = (owner_facts){0};
    wf_status st = wf_json_parse_file(path, FILE_BYTES, &doc);
    if (st == WF_OK) st = parse_facts(wf_json_root(doc), f);
    wf_json_destroy(&doc);
    return st;
}

static void describe(const owner_facts *f, char line[256])
{
    snprintf(line, 256, "process %" PRId64 " on %.100s%s%.100s", f->pid, f->host,
             f->job_id[0] ? ", job " : "", f->job_id);
}

// True when the counter (or its owner) changes within the wait.
static bool counter_moves(const char *path, const owner_facts *seen, int64_t wait_ns)
{
    owner_facts now;
    int64_t end = wf_clock_ns() + wait_ns;
    while (wf_clock_ns() < end) {
        wf_clock_sleep_until(wf_clock_ns() + POLL_NS);
        if (read_facts(path, &now) != WF_OK) continue;
        if (now.beat != seen->beat || now.nonce != seen->nonce) return true;
    }
    return false;
}

static bool is_alive(const char *path, const owner_facts *f, const wf_owner_params *params,
                     const owner_facts *self)
{
    if (self->job_id[0] && strcmp(f->job_id, self->job_id) == 0 && f->restart < self->restart)
        return false; // our own job's earlier start: the batch system ended it
    if (strcmp(f->host, self->host) == 0 && strcmp(f->boot, self->boot) == 0) {
        int64_t start = pid_start_time(f->pid);
        return start != 0 && start == f->pid_start;
    }
    if (params->ask && f->job_id[0]) {
        wf_owner_word word = params->ask(params->ask_context, f->job_id);
        if (word != WF_OWNER_UNKNOWN) return word == WF_OWNER_ALIVE;
    }
    return counter_moves(path, f, params->wait_ns ? params->wait_ns : WAIT_NS_DEFAULT);
}

// Moves a stale file out of the way; WF_IN_USE when it was not the stale one any more.
static wf_status clear_stale(const char *path, const owner_facts *stale, bool torn,
                             const owner_facts *self)
{
    owner_facts got;
    size_t size = strlen(path) + 64;
    char *aside = NULL;
    WF_TRY(wf_alloc(size, 1, &aside));
    snprintf(aside, size, "%s.%" PRId64 "-%" PRIx64 ".stale", path, self->pid,
             (uint64_t)self->nonce);
    wf_status st = WF_OK;
    if (rename(path, aside) != 0) {
        if (errno != ENOENT) st = wf_fail_errno(WF_IO, "%s: cannot be moved", path);
        free(aside);
        return st; // ENOENT: another taker was faster, the next attempt sees its file
    }
    bool readable = read_facts(aside, &got) == WF_OK;
    if (readable ? torn || got.nonce != stale->nonce : !torn) {
        if (link(aside, path) != 0) wf_debug("%s: not put back: %s", path, strerror(errno));
        st = wf_fail(WF_IN_USE, "%s: another run started at this moment", path);
    }
    unlink(aside);
    free(aside);
    return st;
}

static wf_status try_take(const char *path, const wf_owner_params *params, const owner_facts *self,
                          bool *taken)
{
    owner_facts found;
    char line[256];
    *taken = false;
    wf_status st = write_facts(path, self, WF_PUBLISH_NEW);
    *taken = st == WF_OK;
    if (st != WF_IN_USE) return st;
    st = read_facts(path, &found);
    if (st == WF_NO_INPUT) return WF_OK; // released meanwhile: try again
    if (st == WF_IO) return st;
    bool torn = st == WF_DATA;
    if (!torn && is_alive(path, &found, params, self)) {
        describe(&found, line);
        return wf_fail(WF_IN_USE,
                       "%s: the output folder is in use by %s; wait for it or choose "
                       "another output.dir",
                       path, line);
    }
    if (!torn) {
        describe(&found, line);
        wf_info("%s: its owner (%s) is gone, taking over", path, line);
    }
    return clear_stale(path, &found, torn, self);
}

static bool still_ours(const wf_owner *owner)
{
    owner_facts now;
    wf_status st = read_facts(owner->path, &now);
    if (st == WF_OK) return now.nonce == owner->facts.nonce && now.pid == owner->facts.pid;
    return st != WF_DATA || !wf_file_exists(owner->path); // cannot be looked at: not lost yet
}

static void beat(wf_owner *owner)
{
    if (!still_ours(owner)) {
        if (!atomic_exchange(&owner->lost, true))
            wf_warn("%s: another run has taken the output folder", owner->path);
        return;
    }
    owner->facts.beat++;
    if (write_facts(owner->path, &owner->facts, WF_PUBLISH_FAST) != WF_OK)
        wf_debug("heartbeat: %s", wf_error()); // a full disk is reported where results are lost
}

static void *beat_main(void *argument)
{
    wf_owner *owner = argument;
    int64_t next = wf_clock_ns();
    pthread_mutex_lock(&owner->lock);
    while (!owner->stopping) {
        next += owner->beat_ns;
        while (!owner->stopping && wf_cond_wait_until(&owner->wake, &owner->lock, next)) {
        }
        if (owner->stopping) break;
        pthread_mutex_unlock(&owner->lock);
        beat(owner);
        pthread_mutex_lock(&owner->lock);
    }
    pthread_mutex_unlock(&owner->lock);
    return NULL;
}

static wf_status start_beating(wf_owner *owner)
{
    pthread_mutex_init(&owner->lock, NULL);
    wf_cond_init(&owner->wake);
    return wf_thread_start("the heartbeat thread", beat_main, owner, &owner->thread);
}

wf_status wf_owner_take(const char *out_dir, const wf_owner_params *params, wf_owner **out)
{
    static const wf_owner_params none = {0};
    wf_status st;
    bool taken = false;
    wf_owner *owner = NULL;
    if (!params) params = &none;
    WF_TRY(wf_alloc(1, sizeof *owner, &owner));
    owner->facts = own_facts(params);
    owner->beat_ns = params->beat_ns ? params->beat_ns : BEAT_NS_DEFAULT;
    WF_TRY_TO(fail, wf_path_join(out_dir, "owner.json", &owner->path));
    for (int i = 0; i < ATTEMPTS && !taken; i++)
        WF_TRY_TO(fail, try_take(owner->path, params, &owner->facts, &taken));
    if (!taken) {
        st = wf_fail(WF_IN_USE, "%s: several runs start here at once", owner->path);
        goto fail;
    }
    WF_TRY_TO(fail, start_beating(owner));
    *out = owner;
    return WF_OK;
fail:
    if (taken) unlink(owner->path);
    free(owner->path);
    free(owner);
    return st;
}

bool wf_owner_holds(const wf_owner *owner)
{
    return !atomic_load(&owner->lost);
}

void wf_owner_release(wf_owner **owner)
{
    wf_owner *o = *owner;
    if (!o) return;
    pthread_mutex_lock(&o->lock);
    o->stopping = true;
    pthread_cond_signal(&o->wake);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    if (!atomic_load(&o->lost) && still_ours(o)) unlink(o->path);
    pthread_cond_destroy(&o->wake);
    pthread_mutex_destroy(&o->lock);
    free(o->path);
    free(o);
    *owner = NULL;
}

wf_status wf_owner_look(const char *out_dir, const wf_owner_params *params, bool *alive,
                        char line[256])
{
    static const wf_owner_params none = {0};
    owner_facts found, self;
    char *path = NULL;
    *alive = false;
    line[0] = '\0';
    if (!params) params = &none;
    self = own_facts(params);
    self.job_id[0] = '\0'; // a look compares nothing with itself
    WF_TRY(wf_path_join(out_dir, "owner.json", &path));
    wf_status st = read_facts(path, &found);
    if (st == WF_OK) {
        describe(&found, line);
        *alive = is_alive(path, &found, params, &self);
    }
    free(path);
    return st == WF_IO ? st : WF_OK;
}
