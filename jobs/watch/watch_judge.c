// What to make of what was seen: pulses and where a job stands. Pure. See watch.h.
#include "io/base/clock.h"
#include "jobs/watch/watch.h"

// A heartbeat comes every two seconds; two may be lost to a slow file system.
#define QUIET_NS (5 * WF_NS_PER_S)
// Clocks of hosts differ by less than this, or nothing else works either.
#define OLD_NS (30 * WF_NS_PER_S)
// A step takes milliseconds; weights may come from a slow file system.
#define STEP_LIMIT_NS (30 * WF_NS_PER_S)
#define LOAD_LIMIT_NS (600 * WF_NS_PER_S)

static const char *const pulse_words[] = {
#define PULSE_WORDS(name, words) words,
    WF_PULSE_TABLE(PULSE_WORDS)
#undef PULSE_WORDS
};

static const char *const stand_words[] = {
#define STAND_WORDS(name, words) words,
    WF_STAND_TABLE(STAND_WORDS)
#undef STAND_WORDS
};

const char *wf_pulse_words(wf_pulse pulse)
{
    return (unsigned)pulse < WF_N_PULSES ? pulse_words[pulse] : "unknown";
}

const char *wf_stand_words(wf_stand stand)
{
    return (unsigned)stand < WF_N_STANDS ? stand_words[stand] : "unknown";
}

// How long a main thread may stand still. Between steps it may wait for an arrival, a plan, or the
// other groups, for as long as it takes.
static int64_t still_limit(const wf_pulse_signs *s)
{
    if (s->operation == WF_OPERATION_LOAD || s->operation == WF_OPERATION_WARM_UP)
        return LOAD_LIMIT_NS;
    return s->in_step ? STEP_LIMIT_NS : INT64_MAX;
}

wf_pulse wf_pulse_of(const wf_pulse_signs *s)
{
    if (wf_operation_is_over(s->operation)) return WF_PULSE_OVER;
    if (s->watched_ns < QUIET_NS / 2) {
        if (s->moved) return s->still_ns > still_limit(s) ? WF_PULSE_STILL : WF_PULSE_BEATS;
        return s->process_gone && s->age_ns > QUIET_NS ? WF_PULSE_GONE : WF_PULSE_UNSURE;
    }
    if (s->process_gone) return WF_PULSE_GONE;
    if (s->watched_ns >= QUIET_NS || s->age_ns >= OLD_NS) return WF_PULSE_QUIET;
    if (s->moved) return s->still_ns > still_limit(s) ? WF_PULSE_STILL : WF_PULSE_BEATS;
    return WF_PULSE_UNSURE;
}

static size_t n_ending(const wf_watch_view *v, wf_operation operation)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_ranks; i++)
        n += v->rank[i].is.operation == operation;
    return n;
}

static wf_stand stand_alive(const wf_watch_view *v)
{
    bool computes = false, drains = false;
    for (size_t i = 0; i < v->n_ranks; i++) {
        const wf_rank_status *s = &v->rank[i].is;
        computes = computes || s->elapsed_ns > 0;
        drains = drains || s->drain != WF_DRAIN_NOT || s->signal != 0;
    }
    if (drains) return WF_STAND_DRAINING;
    return computes ? WF_STAND_RUNNING : WF_STAND_LOADING;
}

wf_stand wf_stand_of(const wf_watch_view *v, wf_batch_word queue)
{
    const size_t *n = v->n_pulse;
    size_t n_live = n[WF_PULSE_BEATS] + n[WF_PULSE_UNSURE];
    if (v->complete) return WF_STAND_FINISHED;
    if (queue == WF_BATCH_WAITS) return WF_STAND_QUEUED;
    if (v->n_runs == 0 && queue == WF_BATCH_SILENT) return WF_STAND_SUBMITTED;
    if (v->n_runs == 0) return queue == WF_BATCH_RUNS ? WF_STAND_STARTING : WF_STAND_ABSENT;
    // Whoever is silent or stands still holds up its group for certain, and may hold up all.
    if (n[WF_PULSE_STILL] > 0) return WF_STAND_STALLED;
    if (n[WF_PULSE_QUIET] > 0 && (n_live > 0 || queue == WF_BATCH_RUNS)) return WF_STAND_STALLED;
    if (n_live > 0) return stand_alive(v);
    if (v->n_ranks == 0) return queue == WF_BATCH_RUNS ? WF_STAND_STARTING : WF_STAND_FAILED;
    if (n_ending(v, WF_OPERATION_FAILED) > 0) return WF_STAND_FAILED;
    if (n[WF_PULSE_GONE] + n[WF_PULSE_QUIET] > 0) return WF_STAND_FAILED;
    return n_ending(v, WF_OPERATION_DRAINED) > 0 ? WF_STAND_DRAINED : WF_STAND_FINISHED;
}
