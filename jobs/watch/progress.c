// The heartbeat thread: status files, the line on the terminal or in the log, stalled ranks. See
// progress.h.
#include "jobs/watch/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/thread.h"

#define TICK_NS        (WF_NS_PER_S / 2)
#define RATE_WINDOW_NS (10 * WF_NS_PER_S)

enum { N_SAMPLES = 32, LINE_BYTES = 256 };

typedef enum { SHOW_OFF, SHOW_LIVE, SHOW_LOG } show_mode;

// What was last seen of another rank.
typedef struct {
    int rank;
    bool seen, said;
    int64_t moved_ns; // when a counter last moved
    wf_rank_status status;
} watched;

typedef struct {
    int64_t at_ns, tokens;
} sample;

struct wf_progress {
    wf_progress_config config;
    wf_counters counters;
    _Atomic int64_t begin_ns; // 0: not begun
    pthread_mutex_t beating;  // own, warned, over: the thread and flush both write status files
    wf_rank_status own;
    bool warned;      // a failed status file was said
    bool over;        // the farewell is written: nothing comes after it
    int64_t moved_ns; // when the main thread last began or ended something

    show_mode show;
    watched *watch;       // [config.n_watch]
    wf_rank_status ended; // sums of earlier lives of the ranks that are watched
    sample samples[N_SAMPLES];
    size_t n_samples;
    double rate; // tokens per second, below 0: not known yet
    int64_t next_beat_ns, next_log_ns, next_draw_ns;

    pthread_t thread;
    pthread_mutex_t lock; // stop, error, flights
    pthread_cond_t wake;
    bool stop;
    char error[WF_ERROR_MAX];
    size_t n_flights;
    wf_rank_flight flight[WF_FLIGHTS_SHOWN];
};

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static show_mode show_of(bool print)
{
    const char *text = getenv("WEFT_PROGRESS");
    if (!print || (text && strcmp(text, "off") == 0)) return SHOW_OFF;
    if (text && strcmp(text, "live") == 0) return SHOW_LIVE;
    if (text && strcmp(text, "log") == 0) return SHOW_LOG;
    return isatty(STDERR_FILENO) ? SHOW_LIVE : SHOW_LOG;
}

// ---- status file --------------------------------------------------------------------------------

// Takes the counters and remembers when the main thread last moved. Under `beating`.
static void look_at_self(wf_progress *p, int64_t now_ns)
{
    wf_rank_status *own = &p->own;
    int64_t entered = own->step_entered, left = own->step_left;
    wf_operation operation = own->operation;
    wf_rank_status_take(&p->counters, own);
    if (own->step_entered != entered || own->step_left != left || own->operation != operation)
        p->moved_ns = now_ns;
    own->still_ns = now_ns - p->moved_ns;
}

// True when a signal has come that the status file does not tell yet: it is written at once, for
// whoever sent it may kill next.
static bool look_around(wf_progress *p, int64_t now_ns)
{
    pthread_mutex_lock(&p->beating);
    int64_t known = p->own.signal;
    look_at_self(p, now_ns);
    if (p->config.signal) p->own.signal = *p->config.signal;
    bool news = p->own.signal != known;
    pthread_mutex_unlock(&p->beating);
    return news;
}

static void beat(wf_progress *p)
{
    int64_t now_ns = wf_clock_ns(), begin_ns = atomic_load(&p->begin_ns);
    pthread_mutex_lock(&p->beating);
    if (p->over || p->config.rank < 0) {
        pthread_mutex_unlock(&p->beating);
        return;
    }
    atomic_fetch_add_explicit(&p->counters.beat, 1, memory_order_relaxed);
    look_at_self(p, now_ns);
    p->own.elapsed_ns = begin_ns > 0 ? now_ns - begin_ns : 0;
    p->own.beat_unix_ns = wf_clock_unix_ns();
    if (p->config.signal) p->own.signal = *p->config.signal;
    p->over = p->own.exit_code >= 0;
    pthread_mutex_lock(&p->lock);
    memcpy(p->own.error, p->error, sizeof p->own.error);
    p->own.n_flights = p->n_flights;
    memcpy(p->own.flight, p->flight, p->n_flights * sizeof *p->flight);
    pthread_mutex_unlock(&p->lock);
    char cause[WF_ERROR_MAX]; // why the job ends, perhaps: a status file is not to hide it
    snprintf(cause, sizeof cause, "%s", wf_error());
    if (wf_rank_status_write(p->config.out_dir, &p->own) != WF_OK) {
        if (!p->warned) wf_warn("%s (status files only; the job goes on)", wf_error());
        p->warned = true;
        wf_fail(WF_IO, "%s", cause);
    }
    pthread_mutex_unlock(&p->beating);
}

// ---- other ranks --------------------------------------------------------------------------------

static bool has_moved(const wf_rank_status *was, const wf_rank_status *is)
{
    return was->beat != is->beat || was->pid != is->pid;
}

// The main thread of a rank may hang while its heartbeat goes on: then its step does not end.
static bool step_hangs(const wf_rank_status *was, const wf_rank_status *is)
{
    return is->step_entered > is->step_left && was->step_entered == is->step_entered &&
           was->operation == is->operation;
}

static void watch_judge(const wf_progress *p, watched *w, const wf_rank_status *now, int64_t now_ns)
{
    bool quiet = w->seen && (!has_moved(&w->status, now) || step_hangs(&w->status, now));
    if (!quiet || wf_operation_is_over(now->operation)) {
        w->moved_ns = now_ns;
        w->said = false;
    } else if (!w->said &&
               now_ns - w->moved_ns > or_default(p->config.stall_ns, 30 * WF_NS_PER_S)) {
        w->said = true;
        wf_warn("rank %d on %s (group %d) stalled at step %lld, in \"%s\": its counters have not "
                "moved for %lld s",
                now->rank, now->host, now->group, (long long)wf_rank_status_step(now),
                wf_operation_words(now->operation),
                (long long)((now_ns - w->moved_ns) / WF_NS_PER_S));
    }
    w->seen = true;
    w->status = *now;
}

// A group that was started again counts from nothing. What its last life had sealed is done.
static void life_add(wf_rank_status *sums, const wf_rank_status *last)
{
    sums->requests_done += last->requests_sealed;
    sums->tokens += last->tokens;
}

static void watch_read(wf_progress *p, int64_t now_ns)
{
    for (size_t i = 0; i < p->config.n_watch; i++) {
        watched *w = &p->watch[i];
        wf_rank_status now;
        wf_status st = wf_rank_status_read(p->config.out_dir, w->rank, &now);
        // A file of an older run means nothing. An unreadable one is judged as one that did not
        // move.
        if (st == WF_OK && now.run != p->config.run) continue;
        if (st != WF_OK && !w->seen) continue;
        if (st != WF_OK) now = w->status;
        if (w->seen && now.epoch != w->status.epoch) life_add(&p->ended, &w->status);
        watch_judge(p, w, &now, now_ns);
    }
}

// The groups of a world fail rows each on its own; only here is their sum known.
static void failures_judge(wf_progress *p)
{
    static const char text[] = "max_failures\n";
    wf_rank_status own = {0};
    char *path = NULL;
    wf_rank_status_take(&p->counters, &own);
    int64_t n = own.requests_failed;
    for (size_t i = 0; i < p->config.n_watch; i++)
        if (p->watch[i].seen) n += p->watch[i].status.requests_failed;
    if (!p->config.limit_failures || n <= p->config.max_failures) return;
    p->config.limit_failures = false; // once is enough
    if (wf_path_join(p->config.out_dir, "stop", &path) != WF_OK) return;
    wf_status st = wf_file_write_whole(path, text, sizeof text - 1, WF_PUBLISH_REPLACE);
    if (st != WF_OK) wf_warn("%s", wf_error());
    free(path);
}

// ---- the line -----------------------------------------------------------------------------------

static void view_add(wf_progress_view *v, const wf_rank_status *s)
{
    v->requests_done += s->requests_done;
    v->requests_failed += s->requests_failed;
    v->in_flight += s->in_flight;
    v->waiting += s->waiting;
    v->kv_pages += s->kv_pages;
    v->kv_pages_total += s->kv_pages_total;
    if (s->lag_ns > v->lag_ns) v->lag_ns = s->lag_ns;
}

// Tokens per second over the last ten seconds, or since the line before; below 0 while it is too
// early to say.
static double rate_update(wf_progress *p, int64_t begin_ns, int64_t tokens, int64_t now_ns)
{
    if (p->n_samples == 0) p->samples[p->n_samples++] = (sample){begin_ns, 0};
    int64_t since_ns = now_ns - p->samples[p->n_samples - 1].at_ns;
    if (since_ns <= 0 || (p->n_samples > 1 && since_ns < TICK_NS / 2)) return p->rate;
    if (p->n_samples == N_SAMPLES) {
        memmove(p->samples, p->samples + 1, (N_SAMPLES - 1) * sizeof p->samples[0]);
        p->n_samples--;
    }
    p->samples[p->n_samples++] = (sample){now_ns, tokens};
    const sample *first = p->samples;
    while (first->at_ns < now_ns - RATE_WINDOW_NS && first + 2 < p->samples + p->n_samples)
        first++;
    int64_t elapsed_ns = now_ns - first->at_ns;
    p->rate = (double)(tokens - first->tokens) * (double)WF_NS_PER_S / (double)elapsed_ns;
    return p->rate;
}

static wf_progress_view view_take(wf_progress *p, int64_t now_ns, bool last)
{
    wf_rank_status own = {0};
    wf_progress_view v = {.n_rows = p->config.n_rows,
                          .requests_total = p->config.requests_total,
                          .ended = last,
                          .replay = p->config.replay,
                          .tokens_per_s = -1,
                          .eta_ns = -1};
    wf_rank_status_take(&p->counters, &own);
    int64_t tokens = own.tokens + p->ended.tokens, begin_ns = atomic_load(&p->begin_ns);
    view_add(&v, &own);
    view_add(&v, &p->ended);
    for (size_t i = 0; i < p->config.n_watch; i++) {
        if (!p->watch[i].seen) continue;
        view_add(&v, &p->watch[i].status);
        tokens += p->watch[i].status.tokens;
    }
    int64_t n_done = v.requests_done;
    v.requests_done += p->config.requests_before;
    if (begin_ns == 0) return v;
    if (last) p->n_samples = 0; // the rate over the whole run
    v.tokens_per_s = rate_update(p, begin_ns, tokens, now_ns);
    if (v.requests_total > 0) {
        int64_t arrives_ns = begin_ns + p->config.last_arrival_ns - now_ns;
        v.eta_ns = wf_progress_eta(v.requests_total - v.requests_done, n_done, now_ns - begin_ns,
                                   p->config.replay ? arrives_ns : 0);
    }
    return v;
}

static size_t terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 100;
    return size.ws_col;
}

// Drawn so that the next log line starts at the left edge and wipes it.
static void draw(const char *line)
{
    char out[LINE_BYTES + 16];
    int n = snprintf(out, sizeof out, "\r\x1b[K%s\r", line);
    ssize_t written = write(STDERR_FILENO, out, (size_t)n);
    (void)written; // a terminal that went away is no reason to stop
}

static void show(wf_progress *p, int64_t now_ns, bool last)
{
    bool live = p->show == SHOW_LIVE && now_ns >= p->next_draw_ns;
    bool log = p->show == SHOW_LOG && now_ns >= p->next_log_ns;
    if (!live && !log && !last) return;
    wf_progress_view v = view_take(p, now_ns, last);
    char line[LINE_BYTES];
    if (log || last) {
        if (p->show == SHOW_LIVE) draw("");
        wf_info("%s", wf_progress_line(&v, line, sizeof line));
        p->next_log_ns = now_ns + or_default(p->config.log_ns, 30 * WF_NS_PER_S);
        return;
    }
    size_t columns = terminal_columns();
    draw(wf_progress_line(&v, line, columns < sizeof line ? columns : sizeof line));
    p->next_draw_ns = now_ns + TICK_NS;
}

// ---- thread -------------------------------------------------------------------------------------

// True when the thread must end.
static bool sleep_until(wf_progress *p, int64_t t_ns)
{
    pthread_mutex_lock(&p->lock);
    while (!p->stop && wf_cond_wait_until(&p->wake, &p->lock, t_ns)) {
    }
    bool stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return stop;
}

static void *heartbeat(void *arg)
{
    wf_progress *p = arg;
    int64_t beat_ns = or_default(p->config.beat_ns, 2 * WF_NS_PER_S);
    int64_t tick_ns = beat_ns < TICK_NS ? beat_ns : TICK_NS;
    for (int64_t now = wf_clock_ns();; now = wf_clock_ns()) {
        if (look_around(p, now) || now >= p->next_beat_ns) {
            beat(p);
            if (p->config.print) watch_read(p, now);
            if (p->config.print) failures_judge(p);
            p->next_beat_ns = now + beat_ns;
        }
        if (p->show != SHOW_OFF) show(p, now, false);
        if (sleep_until(p, now + tick_ns)) return NULL;
    }
}

static wf_status config_copy(wf_progress *p, const wf_progress_config *config)
{
    p->config = *config;
    WF_TRY(wf_strdup(config->out_dir, (char **)&p->config.out_dir));
    WF_TRY(wf_alloc(config->n_watch, sizeof *p->watch, &p->watch));
    for (size_t i = 0; i < config->n_watch; i++)
        p->watch[i].rank = config->watch[i];
    p->config.watch = NULL;
    p->own = (wf_rank_status){.rank = config->rank,
                              .group = config->group,
                              .position = config->position,
                              .run = config->run,
                              .epoch = config->epoch,
                              .pid = getpid(),
                              .reader_pid = config->reader_pid,
                              .exit_code = -1,
                              .requests_total = config->requests_total,
                              .requests_before = config->requests_before,
                              .last_arrival_ns = config->replay ? config->last_arrival_ns : 0};
    if (config->deadline_ns > 0 && config->deadline_ns < INT64_MAX)
        p->own.deadline_unix_ns = wf_clock_unix_ns() + config->deadline_ns - wf_clock_ns();
    gethostname(p->own.host, sizeof p->own.host - 1);
    return WF_OK;
}

static wf_status folder_prepare(const char *out_dir)
{
    char *path = NULL;
    WF_TRY(wf_path_join(out_dir, "status", &path));
    wf_status st = wf_file_make_folders(path);
    free(path);
    return st;
}

static void progress_free(wf_progress *p)
{
    free((char *)p->config.out_dir);
    free(p->watch);
    free(p);
}

static wf_status thread_start(wf_progress *p)
{
    wf_cond_init(&p->wake);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->beating, NULL);
    wf_status st = wf_thread_start("the heartbeat thread", heartbeat, p, &p->thread);
    if (st == WF_OK) return WF_OK;
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->beating);
    return st;
}

wf_status wf_progress_start(const wf_progress_config *config, wf_progress **out)
{
    wf_progress *p;
    wf_status st;
    WF_TRY(wf_alloc(1, sizeof *p, &p));
    WF_TRY_TO(failed, config_copy(p, config));
    WF_TRY_TO(failed, folder_prepare(config->out_dir));
    p->show = show_of(config->print);
    p->rate = -1;
    p->moved_ns = wf_clock_ns();
    p->next_log_ns = wf_clock_ns() + or_default(config->log_ns, 30 * WF_NS_PER_S);
    WF_TRY_TO(failed, thread_start(p));
    *out = p;
    return WF_OK;
failed:
    progress_free(p);
    return st;
}

void wf_progress_stop(wf_progress **progress)
{
    if (!progress || !*progress) return;
    wf_progress *p = *progress;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    beat(p);
    if (p->show != SHOW_OFF) {
        watch_read(p, wf_clock_ns());
        show(p, wf_clock_ns(), true);
    }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->beating);
    progress_free(p);
    *progress = NULL;
}

void wf_progress_flush(wf_progress *progress)
{
    beat(progress);
}

wf_counters *wf_progress_counters(wf_progress *progress)
{
    return &progress->counters;
}

void wf_progress_begin(wf_progress *progress)
{
    atomic_store(&progress->begin_ns, wf_clock_ns());
}

void wf_progress_error(wf_progress *progress, const char *text)
{
    pthread_mutex_lock(&progress->lock);
    snprintf(progress->error, sizeof progress->error, "%s", text);
    pthread_mutex_unlock(&progress->lock);
}

void wf_progress_flights(wf_progress *p, const wf_rank_flight *flights, size_t n)
{
    pthread_mutex_lock(&p->lock);
    p->n_flights = n < WF_FLIGHTS_SHOWN ? n : WF_FLIGHTS_SHOWN;
    memcpy(p->flight, flights, p->n_flights * sizeof *flights);
    pthread_mutex_unlock(&p->lock);
}

void wf_progress_farewell(wf_progress *p, wf_status end, const char *text)
{
    wf_operation operation = end == WF_OK || end == WF_FAILED_ROWS ? WF_OPERATION_DONE
                             : end == WF_DRAINED                   ? WF_OPERATION_DRAINED
                                                                   : WF_OPERATION_FAILED;
    wf_progress_error(p, operation == WF_OPERATION_FAILED ? text : "");
    atomic_store_explicit(&p->counters.operation, (int)operation, memory_order_relaxed);
    pthread_mutex_lock(&p->beating);
    p->own.end = end;
    p->own.exit_code = wf_status_exit_code(end);
    pthread_mutex_unlock(&p->beating);
    beat(p);
}
