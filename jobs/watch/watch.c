// Reads status and run files and adds them up. See watch.h; what to make of it is in watch_judge.c.
#include "jobs/watch/watch.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/json.h"
#include "io/results/results_file.h"
#include "io/results/runfile.h"
#include "io/shard/shard.h"
#include "jobs/watch/progress.h"

#define POLL_NS        (250 * WF_NS_PER_MS)
#define RATE_WINDOW_NS (10 * WF_NS_PER_S)

enum { RUN_FILE_BYTES = 256 << 20 };

// What was seen of one status file.
typedef struct {
    int rank;
    bool moved;              // its heartbeat, under our eyes
    wf_pulse pulse;          // as last judged
    int64_t moved_ns;        // when it last did, or when it was first seen
    wf_rank_status is, base; // now; and some seconds ago, for rates
} seen_rank;

// Segments of the newest run, which its run file does not list yet.
typedef struct {
    wf_paths path;
    size_t n_counted; // segments when they were counted
    int64_t n_rows;   // then
} sealed;

struct wf_watch {
    char *out_dir;
    char host[HOST_NAME_MAX + 1];
    seen_rank *seen; // [n_seen] by rank
    size_t n_seen, seen_capacity;
    wf_watch_rank *rank; // of the newest run; behind view.rank
    size_t rank_capacity;
    int64_t n_before; // done before the newest run
    sealed older;     // by older lives of restarted groups in it
    sealed newest;    // by the others
    wf_watch_view view;
};

// ---- run files ----------------------------------------------------------------------------------

static void stay_silent(void *context, const char *line)
{
    (void)context, (void)line;
}

static int64_t sum_of(wf_json_ref numbers)
{
    int64_t n = 0, one;
    wf_json_iter it = wf_json_iterate(numbers);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        if (wf_json_read_i64(item, 0, INT64_MAX / 2, &one) == WF_OK) n += one;
    return n;
}

// Counted once: the shards of a job stay as they are.
static int64_t bad_rows_of(wf_json_ref paths)
{
    int64_t n = 0;
    const char *path;
    wf_json_iter it = wf_json_iterate(paths);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        if (wf_json_read_string(item, &path) == WF_OK) n += (int64_t)wf_shard_bad_rows(path);
    return n;
}

// Rows of the job's shards and results of them, all samples counted, as the run's identity has
// them; 0: not known.
static void totals_read(const char *identity, wf_watch_view *v)
{
    wf_json *doc = NULL;
    v->n_rows = v->requests_total = 0;
    if (!identity || wf_json_parse("identity", identity, strlen(identity), NULL, &doc) != WF_OK)
        return;
    v->n_rows = sum_of(wf_json_find(wf_json_root(doc), "shards"));
    (void)wf_json_get_i64_or(wf_json_root(doc), "results", 0, INT64_MAX / 2, v->n_rows,
                             &v->requests_total);
    if (v->n_bad_rows < 0)
        v->n_bad_rows = bad_rows_of(wf_json_find(wf_json_root(doc), "shard_paths"));
    wf_json_destroy(&doc);
}

static void copy_text(wf_json_ref root, const char *key, char *out, size_t out_bytes)
{
    const char *text = "";
    if (wf_json_get_string_or(root, key, "", &text) == WF_OK) snprintf(out, out_bytes, "%s", text);
}

// Who started the newest run, and when.
static void run_file_read(wf_watch *w)
{
    wf_watch_view *v = &w->view;
    wf_json_limits limits = {.max_bytes = RUN_FILE_BYTES};
    char path[PATH_MAX], *text = NULL;
    size_t n = 0;
    wf_json *doc = NULL;
    snprintf(path, sizeof path, "%s/runs/%zu.json", w->out_dir, v->n_runs - 1);
    if (wf_file_read(path, RUN_FILE_BYTES, &text, &n) == WF_OK &&
        wf_json_parse(path, text, n, &limits, &doc) == WF_OK) {
        copy_text(wf_json_root(doc), "job_id", v->job_id, sizeof v->job_id);
        copy_text(wf_json_root(doc), "command", v->command, sizeof v->command);
        copy_text(wf_json_root(doc), "created", v->started, sizeof v->started);
        (void)wf_json_get_i64_or(wf_json_root(doc), "restart", 0, UINT32_MAX, 0, &v->restart);
    }
    wf_json_destroy(&doc);
    free(text);
}

// The newest life of a group that is known, by its ranks' status files or its segments.
static uint32_t newest_epoch(const wf_watch *w, uint32_t group, uint32_t epoch)
{
    for (size_t i = 0; i < w->n_seen; i++) {
        const wf_rank_status *s = &w->seen[i].is;
        if (s->group == (int)group && s->run + 1 == (int64_t)w->view.n_runs &&
            s->epoch > (int64_t)epoch) {
            epoch = (uint32_t)s->epoch;
        }
    }
    return epoch;
}

static void sealed_add(const wf_watch *w, sealed *s, const char *path)
{
    char *whole = NULL;
    if (wf_path_join(w->out_dir, path, &whole) != WF_OK) return;
    if (wf_grow(s->path.n + 1, sizeof *s->path.item, &s->path.capacity, &s->path.item) == WF_OK)
        s->path.item[s->path.n++] = whole;
    else
        free(whole);
}

static void sealed_clear(sealed *s)
{
    wf_paths_destroy(&s->path);
}

// Where the counters are gone or stale: rows in the segments, again only when there are others.
static int64_t sealed_rows(sealed *s)
{
    wf_results *results = NULL;
    if (s->path.n == s->n_counted) return s->n_rows;
    s->n_rows = 0;
    s->n_counted = s->path.n;
    if (s->path.n > 0 && wf_results_open_files((const char *const *)s->path.item, s->path.n, NULL,
                                               &results) == WF_OK)
        s->n_rows = (int64_t)wf_results_rows(results);
    wf_results_close(&results);
    return s->n_rows;
}

static wf_status runs_read(wf_watch *w)
{
    wf_watch_view *v = &w->view;
    wf_runs *runs = NULL;
    size_t n = 0, n_runs = v->n_runs;
    WF_TRY(wf_runs_open(w->out_dir, &(wf_runs_options){.read_only = true, .report = stay_silent},
                        &runs));
    const wf_segment_ref *segment = wf_runs_segments(runs, &n);
    v->n_runs = wf_runs_count(runs);
    v->complete = wf_runs_complete(runs);
    v->n_idle_runs = wf_runs_without_progress(runs);
    uint32_t epoch = 0;
    w->n_before = 0;
    sealed_clear(&w->older);
    sealed_clear(&w->newest);
    for (size_t i = n; i-- > 0;) {               // the newest epoch of a group comes last
        w->n_before += (int64_t)segment[i].rows; // only those that the run file lists have rows
        bool new_group = i + 1 == n || segment[i].group != segment[i + 1].group;
        if (new_group) epoch = newest_epoch(w, segment[i].group, segment[i].epoch);
        if (segment[i].rows > 0 || segment[i].run + 1 != v->n_runs) continue;
        sealed_add(w, segment[i].epoch >= epoch ? &w->newest : &w->older, segment[i].path);
    }
    totals_read(wf_runs_identity(runs), v);
    wf_runs_close(&runs);
    if (v->n_runs != n_runs && v->n_runs > 0) run_file_read(w);
    return WF_OK;
}

// ---- status files -------------------------------------------------------------------------------

static seen_rank *seen_find(wf_watch *w, int rank)
{
    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i].rank == rank) return &w->seen[i];
    return NULL;
}

static wf_status seen_take(wf_watch *w, const wf_rank_status *now, int64_t now_ns)
{
    seen_rank *s = seen_find(w, now->rank);
    if (!s) {
        WF_TRY(wf_grow(w->n_seen + 1, sizeof *w->seen, &w->seen_capacity, &w->seen));
        s = &w->seen[w->n_seen++];
        *s = (seen_rank){.rank = now->rank, .moved_ns = now_ns, .is = *now, .base = *now};
        return WF_OK;
    }
    if (s->is.pid != now->pid || s->is.run != now->run) { // started again
        *s = (seen_rank){.rank = now->rank, .moved_ns = now_ns, .is = *now, .base = *now};
        s->moved = true;
        return WF_OK;
    }
    if (s->is.beat == now->beat) return WF_OK;
    if (s->is.elapsed_ns - s->base.elapsed_ns > RATE_WINDOW_NS || s->base.elapsed_ns == 0)
        s->base = s->is;
    s->moved = true;
    s->moved_ns = now_ns;
    s->is = *now;
    return WF_OK;
}

static int by_rank(const void *a, const void *b)
{
    const seen_rank *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static wf_status status_file_read(wf_watch *w, int rank, int64_t now_ns)
{
    wf_rank_status now;
    if (wf_rank_status_read(w->out_dir, rank, &now) != WF_OK) return WF_OK;
    return seen_take(w, &now, now_ns);
}

static wf_status status_files_read(wf_watch *w, int64_t now_ns)
{
    char folder[PATH_MAX];
    wf_paths names = {0};
    wf_status st = WF_OK;
    snprintf(folder, sizeof folder, "%s/status", w->out_dir);
    if (!wf_file_exists(folder)) return WF_OK;
    WF_TRY(wf_file_list(folder, &names));
    for (size_t i = 0; i < names.n && st == WF_OK; i++) {
        int rank, end = 0;
        if (sscanf(names.item[i], "rank-%d.json%n", &rank, &end) != 1 || end == 0 ||
            names.item[i][end]) {
            continue;
        }
        st = status_file_read(w, rank, now_ns);
    }
    wf_paths_destroy(&names);
    if (w->n_seen > 1) qsort(w->seen, w->n_seen, sizeof *w->seen, by_rank);
    return st;
}

// ---- the view -----------------------------------------------------------------------------------

static bool process_gone(const wf_watch *w, const wf_rank_status *s)
{
    if (s->pid <= 0 || strcmp(s->host, w->host) != 0) return false;
    return kill((pid_t)s->pid, 0) != 0 && errno == ESRCH;
}

static void rank_judge(const wf_watch *w, seen_rank *s, int64_t now_ns, wf_watch_rank *out)
{
    int64_t age_ns = wf_clock_unix_ns() - s->is.beat_unix_ns;
    wf_pulse_signs signs = {.operation = s->is.operation,
                            .in_step = s->is.step_entered > s->is.step_left,
                            .moved = s->moved,
                            .watched_ns = now_ns - s->moved_ns,
                            .age_ns = age_ns,
                            .still_ns = s->is.still_ns,
                            .process_gone = process_gone(w, &s->is)};
    int64_t elapsed_ns = s->is.elapsed_ns - s->base.elapsed_ns;
    s->pulse = wf_pulse_of(&signs);
    *out =
        (wf_watch_rank){.is = s->is, .pulse = s->pulse, .requests_per_s = -1, .tokens_per_s = -1};
    if (out->pulse == WF_PULSE_QUIET || out->pulse == WF_PULSE_GONE)
        out->silent_ns = age_ns > signs.watched_ns ? age_ns : signs.watched_ns;
    if (elapsed_ns <= 0) return;
    double per_s = (double)WF_NS_PER_S / (double)elapsed_ns;
    out->requests_per_s = (double)(s->is.requests_done - s->base.requests_done) * per_s;
    out->tokens_per_s = (double)(s->is.tokens - s->base.tokens) * per_s;
}

// A rank of an older run, or of a group's older start, means nothing.
static bool is_current(const wf_watch *w, const wf_rank_status *s)
{
    if (s->run + 1 != (int64_t)w->view.n_runs) return false;
    for (size_t i = 0; i < w->n_seen; i++) {
        const wf_rank_status *other = &w->seen[i].is;
        if (other->run == s->run && other->group == s->group && other->epoch > s->epoch)
            return false;
    }
    return true;
}

static void rank_add(wf_watch_view *v, const wf_watch_rank *r)
{
    const wf_rank_status *s = &r->is;
    bool over = r->pulse == WF_PULSE_OVER;
    v->n_pulse[r->pulse]++;
    v->requests_done += s->requests_done;
    v->requests_failed += s->requests_failed;
    v->requests_sealed += s->requests_sealed;
    v->tokens += s->tokens;
    v->prompt_tokens += s->prompt_tokens;
    v->cached_tokens += s->cached_tokens;
    if (s->requests_total > v->requests_total) v->requests_total = s->requests_total;
    if (s->elapsed_ns > v->elapsed_ns) v->elapsed_ns = s->elapsed_ns;
    if (over) return;
    v->in_flight += s->in_flight;
    v->waiting += s->waiting;
    v->kv_pages += s->kv_pages;
    v->kv_pages_total += s->kv_pages_total;
    if (r->tokens_per_s >= 0) {
        v->tokens_per_s = (v->tokens_per_s < 0 ? 0 : v->tokens_per_s) + r->tokens_per_s;
        v->requests_per_s = (v->requests_per_s < 0 ? 0 : v->requests_per_s) + r->requests_per_s;
    }
    if (s->deadline_unix_ns > 0) {
        int64_t left_ns = s->deadline_unix_ns - wf_clock_unix_ns();
        if (left_ns < v->deadline_ns) v->deadline_ns = left_ns;
    }
}

static void sums_clear(wf_watch_view *v)
{
    v->requests_done = v->requests_failed = v->tokens = v->elapsed_ns = 0;
    v->prompt_tokens = v->cached_tokens = 0;
    v->requests_sealed = 0;
    v->in_flight = v->waiting = v->kv_pages = v->kv_pages_total = 0;
    v->requests_per_s = v->tokens_per_s = -1;
    v->eta_ns = -1;
    v->deadline_ns = INT64_MAX;
    memset(v->n_pulse, 0, sizeof v->n_pulse);
    v->n_ranks = 0;
}

// Nobody's counters move any more, and somebody left no last word: they are from before the end.
static bool is_silent(const wf_watch_view *v)
{
    const size_t *n = v->n_pulse;
    return n[WF_PULSE_GONE] + n[WF_PULSE_QUIET] > 0 &&
           n[WF_PULSE_BEATS] + n[WF_PULSE_UNSURE] + n[WF_PULSE_STILL] == 0;
}

static wf_status view_fill(wf_watch *w, int64_t now_ns)
{
    wf_watch_view *v = &w->view;
    int64_t arrives_ns = 0;
    WF_TRY(wf_grow(w->n_seen, sizeof *w->rank, &w->rank_capacity, &w->rank));
    sums_clear(v);
    for (size_t i = 0; i < w->n_seen; i++) {
        seen_rank *s = &w->seen[i];
        if (!is_current(w, &s->is)) continue;
        wf_watch_rank *r = &w->rank[v->n_ranks++];
        rank_judge(w, s, now_ns, r);
        rank_add(v, r);
        int64_t left_ns = s->is.last_arrival_ns - s->is.elapsed_ns;
        if (s->is.last_arrival_ns > 0 && left_ns > arrives_ns) arrives_ns = left_ns;
    }
    v->rank = w->rank;
    if (is_silent(v)) v->requests_sealed = sealed_rows(&w->newest);
    if (v->requests_done < v->requests_sealed) v->requests_done = v->requests_sealed;
    int64_t n_older = sealed_rows(&w->older);
    v->requests_here = v->requests_done + n_older;
    v->requests_done = v->requests_here + w->n_before;
    v->requests_sealed += n_older + w->n_before;
    if (v->complete) v->requests_done = v->requests_sealed = v->requests_total;
    if (v->requests_total > 0 && v->elapsed_ns > 0) {
        v->eta_ns = wf_progress_eta(v->requests_total - v->requests_done, v->requests_here,
                                    v->elapsed_ns, arrives_ns);
    }
    return WF_OK;
}

// ---- life cycle ---------------------------------------------------------------------------------

wf_status wf_watch_look(wf_watch *w)
{
    int64_t now_ns = wf_clock_ns();
    WF_TRY(status_files_read(w, now_ns));
    WF_TRY(runs_read(w));
    return view_fill(w, now_ns);
}

wf_status wf_watch_open(const char *out_dir, wf_watch **out)
{
    wf_watch *w;
    wf_status st;
    if (!wf_file_exists(out_dir))
        return wf_fail(WF_NO_INPUT, "%s: there is no such output folder", out_dir);
    WF_TRY(wf_alloc(1, sizeof *w, &w));
    WF_TRY_TO(failed, wf_strdup(out_dir, &w->out_dir));
    gethostname(w->host, sizeof w->host - 1);
    w->view.out_dir = w->out_dir;
    w->view.n_bad_rows = -1;
    WF_TRY_TO(failed, wf_watch_look(w));
    *out = w;
    return WF_OK;
failed:
    wf_watch_close(&w);
    return st;
}

void wf_watch_close(wf_watch **watch)
{
    if (!watch || !*watch) return;
    free((*watch)->out_dir);
    sealed_clear(&(*watch)->older);
    sealed_clear(&(*watch)->newest);
    free((*watch)->seen);
    free((*watch)->rank);
    free(*watch);
    *watch = NULL;
}

// Only the ranks that are not known to live or not: files of a thousand ranks are many to read.
static wf_status look_at_unsure(wf_watch *w)
{
    int64_t now_ns = wf_clock_ns();
    for (size_t i = 0; i < w->n_seen; i++) {
        if (w->seen[i].pulse != WF_PULSE_UNSURE) continue;
        WF_TRY(status_file_read(w, w->seen[i].rank, now_ns));
    }
    return view_fill(w, now_ns);
}

wf_status wf_watch_settle(wf_watch *const *watches, size_t n, int64_t most_ns)
{
    int64_t until_ns = wf_clock_ns() + most_ns;
    for (;;) {
        bool settled = true;
        for (size_t i = 0; i < n; i++) {
            if (watches[i]->view.n_pulse[WF_PULSE_UNSURE] == 0) continue;
            WF_TRY(look_at_unsure(watches[i]));
            settled = settled && watches[i]->view.n_pulse[WF_PULSE_UNSURE] == 0;
        }
        if (settled || wf_clock_ns() >= until_ns) return WF_OK;
        wf_clock_sleep_until(wf_clock_ns() + POLL_NS);
    }
}

const wf_watch_view *wf_watch_get(const wf_watch *watch)
{
    return &watch->view;
}
