// Status as text and JSON. See status_print.h.
#include "launcher/watch/status_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/text.h"
#include "jobs/watch/words.h"

static bool is_troubled(const wf_watch_rank *r)
{
    return r->is.error[0] || r->is.operation == WF_OPERATION_FAILED ||
           (r->pulse != WF_PULSE_BEATS && r->pulse != WF_PULSE_OVER);
}

char *wf_rank_last_words(const wf_watch_rank *r, char *text, size_t text_bytes)
{
    char number[WF_WORDS_MAX];
    text[0] = '\0';
    if (r->is.error[0]) {
        snprintf(text, text_bytes, "%s", r->is.error);
    } else if (r->pulse == WF_PULSE_GONE || r->pulse == WF_PULSE_QUIET) {
        snprintf(text, text_bytes, "%s: no heartbeat for %s", wf_pulse_words(r->pulse),
                 wf_words_duration(r->silent_ns, number));
    } else if (r->pulse == WF_PULSE_STILL) {
        snprintf(text, text_bytes, "stalled: has not moved for %s",
                 wf_words_duration(r->is.still_ns, number));
    } else if (r->is.drain == WF_DRAIN_SIGNAL || (r->is.signal && r->is.drain == WF_DRAIN_NOT)) {
        snprintf(text, text_bytes, "drain%s: SIG%s", r->pulse == WF_PULSE_OVER ? "ed" : "s",
                 sigabbrev_np((int)r->is.signal) ? sigabbrev_np((int)r->is.signal) : "?");
    } else if (r->is.drain != WF_DRAIN_NOT) {
        snprintf(text, text_bytes, "drain%s: %s", r->pulse == WF_PULSE_OVER ? "ed" : "s",
                 wf_drain_words(r->is.drain));
    } else if (r->is.exit_code > 0 && r->is.operation == WF_OPERATION_FAILED) {
        snprintf(text, text_bytes, "ended with exit code %" PRId64 " after another rank",
                 r->is.exit_code);
    }
    return text;
}

// ---- text ---------------------------------------------------------------------------------------

static void put_job(const wf_standing *s, wf_text *out)
{
    const wf_watch_view *v = s->view;
    const wf_queue_look *q = s->queue;
    char number[WF_WORDS_MAX];
    if (v->n_runs > 0) {
        wf_text_printf(out, "  run       %zu%s%s", v->n_runs - 1, v->started[0] ? ", began " : "",
                       v->started);
        if (v->job_id[0]) wf_text_printf(out, ", batch job %s", v->job_id);
        if (v->restart > 0) wf_text_printf(out, ", restart %" PRId64, v->restart);
        wf_text_puts(out, "\n");
    }
    if (q->word == WF_BATCH_SILENT && q->submitted[0]) {
        wf_text_printf(out,
                       "  queue     job %s was submitted at %s; Slurm cannot be asked from here\n",
                       q->job_id, q->submitted);
    }
    if (!q->state[0]) return;
    wf_text_printf(out, "  queue     job %s %s", q->job_id, q->state);
    if (q->reason[0]) wf_text_printf(out, " (%s)", q->reason);
    if (q->nodes[0]) wf_text_printf(out, " on %s", q->nodes);
    if (q->left_s >= 0)
        wf_text_printf(out, ", %s left", wf_words_duration(q->left_s * WF_NS_PER_S, number));
    wf_text_puts(out, "\n");
}

static void put_requests(const wf_watch_view *v, wf_text *out)
{
    char done[WF_WORDS_MAX], total[WF_WORDS_MAX], percent[WF_WORDS_MAX], number[WF_WORDS_MAX];
    wf_text_printf(out, "%s", wf_words_count(v->requests_done, done));
    if (v->requests_total > 0)
        wf_text_printf(out, " of %s", wf_words_count(v->requests_total, total));
    int64_t n = v->requests_total > 0 ? v->requests_total : v->requests_done;
    wf_text_printf(out, " %s%s done", wf_words_result(v->n_rows, n), WF_S(n));
    if (v->requests_total > 0) {
        wf_text_printf(out, " (%s)",
                       wf_words_percent(v->requests_done, v->requests_total, percent));
    }
    if (v->requests_failed > 0) {
        wf_text_printf(out, ", %s failed%s", wf_words_count(v->requests_failed, number),
                       v->n_runs > 1 ? " in this run" : "");
    }
}

// How much a kill -9 would take away, or has.
static void put_sealed(const wf_standing *s, wf_text *out)
{
    const wf_watch_view *v = s->view;
    char sealed[WF_WORDS_MAX], rest[WF_WORDS_MAX];
    int64_t n_open = v->requests_done - v->requests_sealed;
    if (v->requests_done == 0 || v->complete) return;
    wf_stand stand = wf_stand_of(v, s->queue->word);
    bool lives = stand != WF_STAND_FAILED && stand != WF_STAND_DRAINED;
    wf_text_printf(out, "  sealed    %s", wf_words_count(v->requests_sealed, sealed));
    if (n_open > 0)
        wf_text_printf(out, "; %s done %s not yet%s", wf_words_count(n_open, rest), WF_ARE(n_open),
                       lives ? " and would be done again if the job were killed now"
                             : " and will be done again");
    wf_text_puts(out, "\n");
}

static void put_load(const wf_watch_view *v, wf_text *out)
{
    char rows[WF_WORDS_MAX], queued[WF_WORDS_MAX];
    if (v->n_pulse[WF_PULSE_OVER] == v->n_ranks) return;
    wf_text_printf(out, "; %s in flight, %s queued", wf_words_count(v->in_flight, rows),
                   wf_words_count(v->waiting, queued));
    if (v->kv_pages_total > 0)
        wf_text_printf(out, ", KV %.0f%%", 100.0 * (double)v->kv_pages / (double)v->kv_pages_total);
}

static double mean_per_s(int64_t n, const wf_watch_view *v)
{
    return v->elapsed_ns > 0 ? (double)n * (double)WF_NS_PER_S / (double)v->elapsed_ns : -1;
}

static void put_rate(const wf_watch_view *v, wf_text *out)
{
    char a[WF_WORDS_MAX], b[WF_WORDS_MAX];
    if (v->elapsed_ns < WF_NS_PER_S / 20) return; // no time to divide by
    wf_text_puts(out, "  rate      ");
    if (v->tokens_per_s >= 0) {
        wf_text_printf(out, "%s requests/s, %s tokens/s now; ",
                       wf_words_scaled(v->requests_per_s, a), wf_words_scaled(v->tokens_per_s, b));
    }
    char took[WF_WORDS_MAX];
    if (v->elapsed_ns < 10 * WF_NS_PER_S)
        snprintf(took, sizeof took, "%.1fs", (double)v->elapsed_ns / (double)WF_NS_PER_S);
    else
        wf_words_duration(v->elapsed_ns, took);
    wf_text_printf(out, "%s requests/s, %s tokens/s over the run's %s\n",
                   wf_words_scaled(mean_per_s(v->requests_here - v->requests_failed, v), a),
                   wf_words_scaled(mean_per_s(v->tokens, v), b), took);
}

static void put_cached(const wf_watch_view *v, wf_text *out)
{
    char cached[WF_WORDS_MAX], computed[WF_WORDS_MAX];
    if (v->cached_tokens == 0) return;
    wf_text_printf(out, "  prompts   %s tokens computed, %s more found in the prefix cache\n",
                   wf_words_count(v->prompt_tokens, computed),
                   wf_words_count(v->cached_tokens, cached));
}

// Until the job is drained: by the ranks' own deadline, else the queue's limit.
static int64_t time_left(const wf_standing *s)
{
    if (s->view->deadline_ns != INT64_MAX) return s->view->deadline_ns;
    return s->queue->left_s >= 0 ? s->queue->left_s * WF_NS_PER_S : INT64_MAX;
}

static void put_eta(const wf_standing *s, wf_text *out)
{
    char eta[WF_WORDS_MAX], left[WF_WORDS_MAX];
    int64_t left_ns = time_left(s), eta_ns = s->view->eta_ns;
    if (eta_ns < 0) return;
    wf_text_printf(out, "  ETA       %s", wf_words_duration(eta_ns, eta));
    if (left_ns == INT64_MAX) {
        wf_text_puts(out, "; no time limit known\n");
    } else if (eta_ns <= left_ns) {
        wf_text_printf(out, "; it drains in %s: enough\n", wf_words_duration(left_ns, left));
    } else {
        wf_text_printf(out, "; it drains in %s and needs another start\n",
                       wf_words_duration(left_ns > 0 ? left_ns : 0, left));
    }
}

static void put_rank(const wf_watch_rank *r, wf_text *out)
{
    char words[WF_ERROR_MAX], rate[WF_WORDS_MAX] = "-", kv[16] = "-";
    const wf_rank_status *s = &r->is;
    if (r->tokens_per_s >= 0 && s->position == 0) wf_words_scaled(r->tokens_per_s, rate);
    if (s->kv_pages_total > 0)
        snprintf(kv, sizeof kv, "%.0f%%", 100.0 * (double)s->kv_pages / (double)s->kv_pages_total);
    wf_text_printf(out,
                   "  %5d %5d %-16s %7" PRId64 " %7" PRId64 " %-8s %8" PRId64 " %9" PRId64
                   " %8s %4s  %s\n",
                   s->rank, s->group, s->host, s->pid, s->reader_pid,
                   wf_operation_words(s->operation), wf_rank_status_step(s), s->requests_done, rate,
                   kv, wf_rank_last_words(r, words, sizeof words));
}

// Those in trouble come first where not all can be shown.
static void put_ranks(const wf_standing *s, wf_text *out)
{
    const wf_watch_view *v = s->view;
    size_t n_shown = 0;
    if (v->n_ranks == 0) return;
    wf_text_puts(
        out,
        "   rank group host                 pid  reader at           step      done tokens/s   "
        "KV\n");
    for (size_t i = 0; i < v->n_ranks && n_shown < s->n_ranks_shown; i++) {
        if (v->n_ranks > s->n_ranks_shown && !is_troubled(&v->rank[i])) continue;
        put_rank(&v->rank[i], out);
        n_shown++;
    }
    for (size_t i = 0; i < v->n_ranks && n_shown < s->n_ranks_shown; i++) {
        if (v->n_ranks <= s->n_ranks_shown || is_troubled(&v->rank[i])) continue;
        put_rank(&v->rank[i], out);
        n_shown++;
    }
    if (n_shown < v->n_ranks)
        wf_text_printf(out, "  ... and %zu more (--all)\n", v->n_ranks - n_shown);
}

static void put_pulses(const wf_watch_view *v, wf_text *out)
{
    bool said = false;
    for (int p = 0; p < WF_N_PULSES; p++) {
        if (v->n_pulse[p] == 0) continue;
        wf_text_printf(out, "%s%zu %s", said ? ", " : "  ranks     ", v->n_pulse[p],
                       wf_pulse_words((wf_pulse)p));
        said = true;
    }
    if (said) wf_text_puts(out, "\n");
}

void wf_standing_text(const wf_standing *s, wf_text *out)
{
    const wf_watch_view *v = s->view;
    char rate[WF_WORDS_MAX], eta[WF_WORDS_MAX];
    wf_text_printf(out, "%s: %s", v->out_dir, wf_stand_words(wf_stand_of(v, s->queue->word)));
    if (s->n_ranks_shown == 0) { // one line for one of many
        if (v->n_runs > 0) {
            wf_text_puts(out, ", ");
            put_requests(v, out);
        }
        if (v->tokens_per_s >= 0)
            wf_text_printf(out, ", %s tokens/s", wf_words_scaled(v->tokens_per_s, rate));
        if (v->eta_ns > 0 && v->n_pulse[WF_PULSE_BEATS] > 0)
            wf_text_printf(out, ", ETA %s", wf_words_duration(v->eta_ns, eta));
        wf_text_puts(out, "\n");
        return;
    }
    wf_text_puts(out, "\n");
    put_job(s, out);
    if (v->n_runs == 0) return;
    wf_text_puts(out, "  requests  ");
    put_requests(v, out);
    put_load(v, out);
    wf_text_puts(out, "\n");
    if (v->n_bad_rows > 0)
        wf_text_printf(out, "  bad rows  %" PRId64 " of prompts files: no requests, they fail\n",
                       v->n_bad_rows);
    put_sealed(s, out);
    put_rate(v, out);
    put_cached(v, out);
    if (v->n_pulse[WF_PULSE_BEATS] > 0) put_eta(s, out);
    put_pulses(v, out);
    put_ranks(s, out);
}

// ---- JSON ---------------------------------------------------------------------------------------

static void put_known(wf_json_writer *w, const char *key, double value)
{
    if (value < 0)
        wf_json_put_null(w, key);
    else
        wf_json_put_f64(w, key, value);
}

static void put_rank_json(const wf_watch_rank *r, wf_json_writer *w)
{
    char words[WF_ERROR_MAX];
    const wf_rank_status *s = &r->is;
    wf_json_open_object(w, NULL);
    wf_json_put_i64(w, "rank", s->rank);
    wf_json_put_i64(w, "group", s->group);
    wf_json_put_i64(w, "position", s->position);
    wf_json_put_string(w, "host", s->host);
    wf_json_put_string(w, "pulse", wf_pulse_words(r->pulse));
    wf_json_put_string(w, "operation", wf_operation_words(s->operation));
    wf_json_put_string(w, "drain", wf_drain_words(s->drain));
    wf_json_put_string(w, "last_words", wf_rank_last_words(r, words, sizeof words));
    put_known(w, "requests_per_s", r->requests_per_s);
    put_known(w, "tokens_per_s", r->tokens_per_s);
#define PUT(field, meaning) wf_json_put_i64(w, #field, s->field);
    WF_BEAT_TABLE(PUT)
    WF_COUNTER_TABLE(PUT)
#undef PUT
    wf_json_close(w);
}

void wf_standing_json(const wf_standing *s, wf_json_writer *w)
{
    const wf_watch_view *v = s->view;
    int64_t left_ns = time_left(s);
    wf_json_put_string(w, "output", v->out_dir);
    wf_json_put_string(w, "state", wf_stand_words(wf_stand_of(v, s->queue->word)));
    wf_json_put_bool(w, "complete", v->complete);
    wf_json_put_i64(w, "runs", (int64_t)v->n_runs);
    wf_json_put_string(w, "job_id", s->queue->job_id[0] ? s->queue->job_id : v->job_id);
    wf_json_put_i64(w, "restart", v->restart);
    wf_json_put_string(w, "started", v->started);
    wf_json_put_string(w, "queue_state", s->queue->state);
    wf_json_put_string(w, "queue_reason", s->queue->reason);
    wf_json_put_string(w, "nodes", s->queue->nodes);
    wf_json_put_i64(w, "rows", v->n_rows);
    wf_json_put_i64(w, "bad_prompt_rows", v->n_bad_rows > 0 ? v->n_bad_rows : 0);
    wf_json_put_i64(w, "requests_total", v->requests_total);
    wf_json_put_i64(w, "requests_done", v->requests_done);
    wf_json_put_i64(w, "requests_sealed", v->requests_sealed);
    wf_json_put_i64(w, "requests_failed", v->requests_failed);
    wf_json_put_i64(w, "in_flight", v->in_flight);
    wf_json_put_i64(w, "waiting", v->waiting);
    wf_json_put_i64(w, "tokens", v->tokens);
    wf_json_put_i64(w, "prompt_tokens", v->prompt_tokens);
    wf_json_put_i64(w, "cached_tokens", v->cached_tokens);
    put_known(w, "elapsed_s", (double)v->elapsed_ns / (double)WF_NS_PER_S);
    put_known(w, "requests_per_s", v->requests_per_s);
    put_known(w, "tokens_per_s", v->tokens_per_s);
    put_known(w, "mean_tokens_per_s", mean_per_s(v->tokens, v));
    put_known(w, "eta_s", v->eta_ns < 0 ? -1 : (double)v->eta_ns / (double)WF_NS_PER_S);
    put_known(w, "left_s", left_ns == INT64_MAX ? -1 : (double)left_ns / (double)WF_NS_PER_S);
    wf_json_open_array(w, "ranks");
    for (size_t i = 0; i < v->n_ranks; i++)
        put_rank_json(&v->rank[i], w);
    wf_json_close(w);
}
