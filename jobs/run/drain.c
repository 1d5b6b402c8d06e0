// The drain's thread and what it looks at. See drain.h.
#include "jobs/run/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/thread.h"

#define LOOK_NS      (50 * WF_NS_PER_MS)
#define LOOK_FILE_NS WF_NS_PER_S
// What SIGTERM and SIGINT leave to requests in flight: whoever sends them kills soon.
#define TERM_GRACE_NS (10 * WF_NS_PER_S)
// Kept back for sealing when the end is known: this much, or a quarter of a short notice.
#define SEAL_NS (15 * WF_NS_PER_S)

enum { STOP_FILE_BYTES = 4096, WHY_BYTES = 128 };

struct wf_drain {
    wf_drain_config config;
    _Atomic(char *) stop_path; // NULL: not watched yet
    atomic_int level;
    _Atomic int64_t until_ns;
    char why[WHY_BYTES]; // as the cause: written before the level, once
    wf_drain_cause cause;
    int64_t look_file_ns;
    int told; // signals that the stop file tells of
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stop;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t now(const wf_drain *d)
{
    return wf_clock_now(d->config.clock ? d->config.clock : &wf_clock_real);
}

// The end of what is in flight, when the drain begins now.
static int64_t until(const wf_drain *d, bool killed_soon)
{
    int64_t now_ns = now(d), grace_ns = d->config.grace_ns, end_ns = d->config.end_ns;
    if (killed_soon) grace_ns = least(grace_ns, TERM_GRACE_NS);
    if (end_ns == INT64_MAX) return now_ns + grace_ns;
    int64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
    return now_ns + least(grace_ns, left_ns - least(SEAL_NS, left_ns / 4));
}

static void raise_level(wf_drain *d, wf_drain_level level, wf_drain_cause cause, bool killed_soon,
                        const char *why)
{
    int before = atomic_load(&d->level);
    if (before >= (int)level) return;
    if (before == WF_DRAIN_NO) {
        snprintf(d->why, sizeof d->why, "%s", why);
        d->cause = cause;
        atomic_store(&d->until_ns, until(d, killed_soon));
        wf_debug("drain: %s", why);
    }
    atomic_store(&d->level, (int)level);
}

static const char *signal_name(int number)
{
    return number == SIGUSR1   ? "SIGUSR1"
           : number == SIGTERM ? "SIGTERM"
           : number == SIGINT  ? "SIGINT"
                               : "a signal";
}

// The launcher may have given the signal to this rank alone. A folder that cannot be written to is
// no reason to stay: the ranks that got the signal leave, and the others learn when they next meet.
static void tell_others(wf_drain *d, int number, int n)
{
    char text[128], rank[32] = "";
    const char *path = atomic_load(&d->stop_path);
    if (!path || d->told >= n || d->config.alone) return;
    d->told = n;
    if (wf_log_rank() >= 0) snprintf(rank, sizeof rank, " on rank %d", wf_log_rank());
    int bytes =
        snprintf(text, sizeof text, "%s%s%s\n", n > 1 ? "now: " : "", signal_name(number), rank);
    wf_publish how = n > 1 ? WF_PUBLISH_REPLACE : WF_PUBLISH_NEW;
    wf_status st = wf_file_write_whole(path, text, (size_t)bytes, how);
    if (st != WF_OK && st != WF_IN_USE) wf_debug("drain: %s", wf_error());
}

static void look_at_signals(wf_drain *d)
{
    const wf_drain_signals *s = d->config.signals;
    int n = s ? s->n : 0, number = s ? s->first : 0;
    if (n == 0) return;
    bool killed_soon = number == SIGTERM || number == SIGINT;
    raise_level(d, n > 1 ? WF_DRAIN_NOW : WF_DRAIN_FINISH, WF_DRAIN_SIGNAL, killed_soon,
                signal_name(number));
    tell_others(d, number, n > 1 ? 2 : 1);
}

static void look_at_clock(wf_drain *d)
{
    if (now(d) >= d->config.begin_ns)
        raise_level(d, WF_DRAIN_FINISH, WF_DRAIN_DEADLINE, false, "the time limit");
}

static void look_at_file(wf_drain *d)
{
    char why[WHY_BYTES], *text = NULL;
    const char *path = atomic_load(&d->stop_path);
    if (!path || now(d) < d->look_file_ns) return;
    d->look_file_ns = now(d) + LOOK_FILE_NS;
    if (!wf_file_exists(path)) return;
    if (wf_file_read(path, STOP_FILE_BYTES, &text, NULL) != WF_OK) text = NULL;
    bool at_once = text && strncmp(text, "now", 3) == 0;
    bool killed_soon = text && (strstr(text, "SIGTERM") || strstr(text, "SIGINT"));
    int n_said = text ? (int)strcspn(text, "\n") : 0;
    snprintf(why, sizeof why, "the stop file%s%.*s", n_said > 0 ? ": " : "", n_said,
             text ? text : "");
    raise_level(d, at_once ? WF_DRAIN_NOW : WF_DRAIN_FINISH, WF_DRAIN_STOP_FILE, killed_soon, why);
    free(text);
}

void wf_drain_look(wf_drain *d)
{
    look_at_signals(d);
    look_at_clock(d);
    look_at_file(d);
}

static void *drain_main(void *context)
{
    wf_drain *d = context;
    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        wf_cond_wait_until(&d->wake, &d->lock, wf_clock_ns() + LOOK_NS);
        if (d->stop) break;
        pthread_mutex_unlock(&d->lock);
        wf_drain_look(d);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static wf_status start_thread(wf_drain *d)
{
    pthread_mutex_init(&d->lock, NULL);
    wf_cond_init(&d->wake);
    wf_status st = wf_thread_start("the drain's thread", drain_main, d, &d->thread);
    d->started = st == WF_OK;
    return st;
}

wf_status wf_drain_start(const wf_drain_config *config, wf_drain **out)
{
    wf_drain *d = NULL;
    wf_status st;
    *out = NULL;
    WF_TRY(wf_alloc(1, sizeof *d, &d));
    d->config = *config;
    atomic_init(&d->until_ns, INT64_MAX);
    look_at_signals(d);
    look_at_clock(d);
    if (!config->clock) WF_TRY_TO(fail, start_thread(d));
    *out = d;
    return WF_OK;
fail:
    wf_drain_stop(&d);
    return st;
}

void wf_drain_stop(wf_drain **drain)
{
    wf_drain *d = *drain;
    if (!d) return;
    if (d->started) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
        pthread_cond_destroy(&d->wake);
        pthread_mutex_destroy(&d->lock);
    }
    free(atomic_load(&d->stop_path));
    free(d);
    *drain = NULL;
}

wf_status wf_drain_watch(wf_drain *d, const char *out_dir)
{
    char *path;
    WF_TRY(wf_path_join(out_dir, "stop", &path));
    free(atomic_exchange(&d->stop_path, path));
    return WF_OK;
}

const atomic_int *wf_drain_level_of(const wf_drain *d)
{
    return &d->level;
}

bool wf_drain_asks(const wf_drain *d, wf_drain_level level)
{
    return d && atomic_load(&d->level) >= (int)level;
}

int64_t wf_drain_until_ns(const wf_drain *d)
{
    return atomic_load(&d->until_ns);
}

wf_drain_cause wf_drain_cause_of(const wf_drain *d)
{
    return wf_drain_asks(d, WF_DRAIN_FINISH) ? d->cause : WF_DRAIN_NOT;
}

const volatile sig_atomic_t *wf_drain_signal(const wf_drain *d)
{
    return d && d->config.signals ? &d->config.signals->first : NULL;
}

char *wf_drain_why(const wf_drain *d, char *line, size_t line_bytes)
{
    snprintf(line, line_bytes, "%s", wf_drain_asks(d, WF_DRAIN_FINISH) ? d->why : "");
    return line;
}
