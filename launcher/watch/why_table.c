// The decision table of weft why, and its evaluation. See why.h.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "io/base/text.h"
#include "jobs/watch/words.h"
#include "launcher/watch/status_print.h"
#include "launcher/watch/why.h"

// ---- signs --------------------------------------------------------------------------------------

enum {
    BEGUN = 1 << 0, // a run was started in the folder
    COMPLETE = 1 << 1,
    ROWS_FAILED = 1 << 2,
    LOADING = 1 << 3,
    RUNNING = 1 << 4,
    DRAINING = 1 << 5,
    STALLED = 1 << 6,
    STARTING = 1 << 7,
    WAITS = 1 << 8,   // in the queue
    REFUSED = 1 << 9, // a start began no run
    FAILED = 1 << 10, // a rank said that it failed, and why
    LOST = 1 << 11,   // a rank ended without a word
    DRAINED = 1 << 12,
    BY_DEADLINE = 1 << 13,
    BY_STOP_FILE = 1 << 14,
    BY_USR1 = 1 << 15,
    BY_SIGNAL = 1 << 16, // any
    Q_MEMORY = 1 << 17,  // what the batch system or its lines in the log say
    Q_NODE = 1 << 18,
    Q_TIME = 1 << 19,
    Q_PREEMPTED = 1 << 20,
    Q_CANCELLED = 1 << 21,
    Q_OVER = 1 << 22,
    NO_SPACE = 1 << 23,
    TOO_MANY_FAILED = 1 << 24,
    AFTER_PEER = 1 << 25, // the failure is that a peer was gone
    MARKED = 1 << 26,     // weft cancel was asked for
    ENDED_WELL = 1 << 27, // every rank, and the results are not there
    SILENT = 1 << 28,     // submitted, but Slurm cannot be asked
    UNFIT = 1 << 29,      // it waits for what it never gets
    BAD_ROWS = 1 << 30,   // of prompts files
};

typedef struct {
    wf_cause cause;
    unsigned must, not;
    int end;          // 0, or the exit code of the rank that failed
    wf_status status; // 0, or how it ended
    const char *words, *remedy, *next;
} why_row;

#define AGAIN "{again}"
#define WATCH "{weft} status {out} --watch"

// The first row that fits speaks.
static const why_row rows[] = {
    {WF_CAUSE_STALLED, STALLED, 0, 0, 0,
     "rank {rank} on {host} (group {group}) stalled at step {step}, in \"{at}\": "
     "{last}{sealed}{hint}",
     "look at {host}: is it reachable, does its file system answer, does the process {pid} still "
     "run there? The job resumes when the process does; else end it and start again",
     "{cancel}"},
    {WF_CAUSE_DRAINING, DRAINING, 0, 0, 0,
     "it drains ({by}): what is in flight may finish, the rest is left to the next run",
     "none is needed", WATCH},
    {WF_CAUSE_RUNNING, RUNNING, 0, 0, 0, "it runs: {done} of {total} done{sealed}{lost}{so_far}",
     "none is needed", WATCH},
    {WF_CAUSE_LOADING, LOADING, 0, 0, 0, "it is loading: rank {rank} on {host} is at \"{at}\"",
     "none is needed", WATCH},
    {WF_CAUSE_COMPLETE_FAILED, COMPLETE | ROWS_FAILED, 0, 0, 0,
     "it is complete: {total}, of which {failed} failed{reasons}{unjoined}{way}", "{mend}",
     "{retry}"},
    {WF_CAUSE_COMPLETE, COMPLETE | BAD_ROWS, 0, 0, 0,
     "it is complete: {total} done{unjoined}; {bad_rows} of its prompts files failed{way}",
     "mend those rows, and run them as a job of their own with another output.dir (--fresh does "
     "all rows again)",
     "{weft} report {out}"},
    {WF_CAUSE_COMPLETE, COMPLETE, 0, 0, 0, "it is complete: {total} done{unjoined}{way}",
     "none is needed", "{weft} report {out}"},
    {WF_CAUSE_REFUSED, REFUSED, BEGUN, 0, 0, "it did not begin: {refusal}",
     "do what the message says", AGAIN},
    {WF_CAUSE_STARTING, STARTING, 0, 0, 0,
     "job {job} has its nodes ({nodes}); no rank has spoken yet", "none is needed", WATCH},
    {WF_CAUSE_UNFIT, WAITS | UNFIT, 0, 0, 0,
     "job {job} waits in the queue and never starts as it is{reason}",
     "ask for less (slurm.nodes, slurm.time) or for another slurm.partition: take it out of the "
     "queue and submit it anew",
     "{weft} cancel {out}"},
    {WF_CAUSE_QUEUED, WAITS, BEGUN, 0, 0, "job {job} waits in the queue{reason}",
     "wait, or ask for less: squeue --start -j {job} says when", WATCH},
    {WF_CAUSE_ENDED_EARLY, Q_OVER, BEGUN, 0, 0,
     "job {job} ended ({state}) before a rank could begin{hint}",
     "read the job's output; scontrol show job {job} and sacct -j {job} say more", AGAIN},
    {WF_CAUSE_SUBMITTED, SILENT, BEGUN, 0, 0,
     "job {job} was submitted at {submitted}; Slurm cannot be asked from here",
     "ask on a login node, where squeue answers", "{weft} status {out}"},
    {WF_CAUSE_NEVER, 0, BEGUN, 0, 0, "it was never started in this folder", "start it",
     "{weft} submit JOB.yaml --out {out}"},
    {WF_CAUSE_DISK_FULL, FAILED | NO_SPACE, 0, 74, 0,
     "the disk is full: rank {rank} on {host} says: {error}",
     "make room on the file system of {out}; what is sealed is safe", AGAIN},
    {WF_CAUSE_IO, FAILED, 0, 74, 0,
     "a file could not be written or read: rank {rank} on {host} "
     "says: {error}",
     "mend what the message names; what is sealed is safe", AGAIN},
    {WF_CAUSE_MAX_FAILURES, FAILED | TOO_MANY_FAILED, 0, 65, 0,
     "too many requests failed: {error}{reasons}",
     "mend the requests, or raise output.max_failures", "{weft} report {out}"},
    {WF_CAUSE_BAD_DATA, FAILED, 0, 65, 0, "bad data: rank {rank} on {host} says: {error}",
     "mend what the message names", AGAIN},
    {WF_CAUSE_NO_INPUT, FAILED, 0, 66, 0,
     "an input is missing: rank {rank} on {host} says: {error}",
     "put it there; is its file system mounted on {host}?", AGAIN},
    {WF_CAUSE_BAD_JOB, FAILED, 0, 78, 0,
     "the job cannot run as it is: rank {rank} on {host} says: {error}", "do what the message says",
     AGAIN},
    {WF_CAUSE_OUT_OF_MEMORY, Q_MEMORY, 0, 0, 0,
     "the kernel killed it for memory{lost_at}{sealed}{hint}",
     "ask for more (slurm.mem), start fewer ranks per node, or lower engine.kv_memory", AGAIN},
    {WF_CAUSE_NODE_FAIL, Q_NODE, 0, 0, 0, "a node was lost{lost_at}{sealed}{hint}",
     "none is needed: what is sealed is safe; --exclude=NODE keeps it out", AGAIN},
    {WF_CAUSE_TIME_LIMIT_KILLED, Q_TIME | LOST, DRAINED, 0, 0,
     "it was killed at the time limit before it had drained{lost_at}{sealed}",
     "raise slurm.signal, so that draining begins earlier; what is sealed is safe", AGAIN},
    {WF_CAUSE_CANCELLED, MARKED | DRAINED, 0, 0, 0, "it was cancelled{left_over}", "none is needed",
     AGAIN},
    {WF_CAUSE_CANCELLED, MARKED | LOST, FAILED, 0, 0, "it was cancelled{left_over}",
     "none is needed", AGAIN},
    {WF_CAUSE_STOP_FILE, DRAINED | BY_STOP_FILE, 0, 0, 0,
     "it drained because of the file {out}/stop: {left} left",
     "none is needed: the next start removes the file", AGAIN},
    {WF_CAUSE_TIME_LIMIT, DRAINED | BY_DEADLINE, 0, 0, 0,
     "it drained before the time limit: {left} left", "none is needed", AGAIN},
    {WF_CAUSE_TIME_LIMIT, DRAINED | BY_USR1 | Q_TIME, 0, 0, 0,
     "it drained before the time limit: {left} left", "none is needed", AGAIN},
    {WF_CAUSE_PREEMPTED, Q_PREEMPTED, 0, 0, 0, "a job of higher priority took its nodes{left_over}",
     "none is needed: what is sealed is safe", AGAIN},
    {WF_CAUSE_CANCELLED, Q_CANCELLED, 0, 0, 0, "it was cancelled{left_over}", "none is needed",
     AGAIN},
    {WF_CAUSE_TIME_LIMIT, DRAINED | BY_USR1, 0, 0, 0,
     "it drained on SIGUSR1, which the batch system sends before the time limit: {left} left",
     "none is needed", AGAIN},
    {WF_CAUSE_SIGNAL, DRAINED | BY_SIGNAL, 0, 0, 0, "it drained on {signal}: {left} left",
     "none is needed", AGAIN},
    {WF_CAUSE_DRAINED, DRAINED, 0, 0, 0, "it drained: {left} left", "none is needed", AGAIN},
    {WF_CAUSE_HOST_MEMORY, FAILED, AFTER_PEER, 70, WF_NO_MEMORY,
     "no memory was left: rank {rank} on {host} says: {error}", "do what the message says", AGAIN},
    {WF_CAUSE_DEVICE, FAILED, AFTER_PEER, 70, WF_DEVICE,
     "a device failed: rank {rank} on {host} says: {error}",
     "do what the message says; weft doctor looks at the devices", AGAIN},
    {WF_CAUSE_FAILED, FAILED, AFTER_PEER, 0, 0,
     "rank {rank} on {host} (group {group}) failed with exit code {exit}: {error}",
     "do what the message says", AGAIN},
    {WF_CAUSE_RANK_DIED, LOST, 0, 0, 0,
     "rank {rank} on {host} (group {group}) died without a word, at step {step}, in "
     "\"{at}\"{others}{sealed}{hint}",
     "something ended it from outside: kill -9, the kernel for memory (dmesg on {host} says so), "
     "the batch system, or the machine; what is sealed is safe",
     AGAIN},
    {WF_CAUSE_COMM, FAILED, 0, 0, 0, "rank {rank} on {host} (group {group}) lost a peer: {error}",
     "weft doctor, in the same allocation, looks at the connections", AGAIN},
    {WF_CAUSE_NO_RESULTS, ENDED_WELL | Q_OVER, 0, 0, 0,
     "every rank ended well, and {out}/results.h5 was not written{hint}",
     "start it again: it writes the results of what is done", AGAIN},
    {WF_CAUSE_FINISHING, ENDED_WELL, 0, 0, 0,
     "every rank has ended well, {done} of {total} done; it writes {out}/results.h5",
     "none is needed; a start writes it where the job is gone", "{weft} status {out}"},
    {WF_CAUSE_UNKNOWN, 0, 0, 0, 0, "the newest run ended and left nothing that says why{hint}",
     "read the job's output", AGAIN},
};

// ---- from facts to signs ------------------------------------------------------------------------

typedef struct {
    const wf_why_facts *f;
    unsigned signs;
    const wf_watch_rank *failed, *lost, *stalled, *busy; // busy: the lowest one alive
    size_t n_lost;
    int signal;     // that asked to drain
    bool for_shell; // what is written now is to be typed
} reading;

static bool contains_any(const char *text, const char *const *parts)
{
    for (; *parts; parts++)
        if (strstr(text, *parts)) return true;
    return false;
}

// A rank that says what happened knows more than one that was told so.
static bool speaks_better(const wf_watch_rank *r, const wf_watch_rank *than)
{
    if (!than) return true;
    if (!r->is.error[0] || than->is.error[0]) {
        if (!r->is.error[0] || r->is.end == than->is.end) return false;
        return than->is.end == WF_COMM; // losing a peer is seldom the beginning
    }
    return true;
}

// Who is to blame among those that ended without a word: the first to fall silent that nobody had
// asked to leave. mpirun and srun end the others within seconds.
static bool died_before(const wf_watch_rank *r, const wf_watch_rank *than)
{
    if (!than) return true;
    bool asked = r->is.signal != 0, than_asked = than->is.signal != 0;
    if (asked != than_asked) return !asked;
    return r->is.beat_unix_ns < than->is.beat_unix_ns;
}

static void rank_read(reading *a, const wf_watch_rank *r)
{
    const wf_rank_status *s = &r->is;
    bool over = r->pulse == WF_PULSE_OVER;
    if (over && s->operation == WF_OPERATION_FAILED) {
        if (s->error[0]) a->signs |= FAILED;
        if (speaks_better(r, a->failed)) a->failed = r;
    }
    if (over && s->operation == WF_OPERATION_DRAINED) a->signs |= DRAINED;
    if (s->drain == WF_DRAIN_DEADLINE) a->signs |= BY_DEADLINE;
    if (s->drain == WF_DRAIN_STOP_FILE) a->signs |= BY_STOP_FILE;
    if (s->signal != 0) {
        a->signs |= BY_SIGNAL | (s->signal == SIGUSR1 ? BY_USR1 : 0);
        a->signal = (int)s->signal;
    }
    if (r->pulse == WF_PULSE_GONE || r->pulse == WF_PULSE_QUIET) {
        a->n_lost++;
        if (died_before(r, a->lost)) a->lost = r;
    }
    if (r->pulse == WF_PULSE_STILL && !a->stalled) a->stalled = r;
    if (r->pulse == WF_PULSE_BEATS && !a->busy) a->busy = r;
}

static void stand_read(reading *a)
{
    static const unsigned signs[WF_N_STANDS] = {
        [WF_STAND_STARTING] = STARTING, [WF_STAND_LOADING] = LOADING, [WF_STAND_RUNNING] = RUNNING,
        [WF_STAND_DRAINING] = DRAINING, [WF_STAND_STALLED] = STALLED,
    };
    wf_stand stand = wf_stand_of(a->f->view, a->f->queue->word);
    a->signs |= signs[stand];
    if (stand == WF_STAND_FINISHED && !a->f->view->complete) a->signs |= ENDED_WELL;
    if (a->signs & STALLED && !a->stalled) a->stalled = a->lost;
    if (!(a->signs & (RUNNING | DRAINING | STALLED | LOADING)) && a->lost) a->signs |= LOST;
}

static void queue_read(reading *a)
{
    // Slurm's reasons that no wait ends: limits of one job, and what no node has.
    static const char *const unfit[] = {
        "PartitionNodeLimit", "PartitionTimeLimit", "PerJob", "PartitionConfig",
        "BadConstraints",     "AccountNotAllowed",  NULL};
    static const struct {
        const char *state;
        wf_log_hint hint;
        unsigned sign;
    } known[] = {{"OUT_OF_MEMORY", WF_HINT_OUT_OF_MEMORY, Q_MEMORY},
                 {"NODE_FAIL", WF_HINT_NODE_FAIL, Q_NODE},
                 {"BOOT_FAIL", WF_HINT_NONE, Q_NODE},
                 {"TIMEOUT", WF_HINT_TIME_LIMIT, Q_TIME},
                 {"DEADLINE", WF_HINT_NONE, Q_TIME},
                 {"PREEMPTED", WF_HINT_PREEMPTED, Q_PREEMPTED},
                 {"CANCELLED", WF_HINT_CANCELLED, Q_CANCELLED}};
    const wf_queue_look *q = a->f->queue;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        bool said = strncmp(q->state, known[i].state, strlen(known[i].state)) == 0;
        bool hinted = known[i].hint != WF_HINT_NONE && a->f->hint == known[i].hint;
        if (said || hinted) a->signs |= known[i].sign;
    }
    if (q->word == WF_BATCH_WAITS) a->signs |= WAITS;
    if (q->word == WF_BATCH_OVER) a->signs |= Q_OVER;
    if (q->word == WF_BATCH_SILENT && q->submitted[0]) a->signs |= SILENT;
    if (q->cancelled) a->signs |= MARKED;
    if (contains_any(q->reason, unfit)) a->signs |= UNFIT;
}

static void failure_read(reading *a)
{
    static const char *const no_space[] = {"No space left on device",
                                           "Disk quota exceeded",
                                           "disk full",
                                           "disk is full",
                                           "bytes needed",
                                           NULL};
    if (!a->failed) return;
    if (contains_any(a->failed->is.error, no_space)) a->signs |= NO_SPACE;
    if (strstr(a->failed->is.error, "output.max_failures")) a->signs |= TOO_MANY_FAILED;
    if (a->failed->is.end == WF_COMM) a->signs |= AFTER_PEER;
}

static void signs_read(reading *a)
{
    const wf_watch_view *v = a->f->view;
    if (v->n_runs > 0) a->signs |= BEGUN;
    if (v->complete) a->signs |= COMPLETE;
    if (a->f->n_failed > 0) a->signs |= ROWS_FAILED;
    if (v->n_bad_rows > 0) a->signs |= BAD_ROWS;
    if (a->f->refusal[0]) a->signs |= REFUSED;
    for (size_t i = 0; i < v->n_ranks; i++)
        rank_read(a, &v->rank[i]);
    stand_read(a);
    queue_read(a);
    failure_read(a);
}

static bool row_fits(const why_row *row, const reading *a)
{
    if ((a->signs & row->must) != row->must || a->signs & row->not) return false;
    if (row->end && (!a->failed || a->failed->is.exit_code != row->end)) return false;
    return !row->status || (a->failed && a->failed->is.end == row->status);
}

// ---- words --------------------------------------------------------------------------------------

static void put_place(const reading *a, const wf_watch_rank *r, const char *name, wf_text *out);

// Copies a text, filling its places.
static void expand(const reading *a, const wf_watch_rank *r, const char *text, wf_text *out)
{
    while (*text) {
        size_t n = strcspn(text, "{");
        wf_text_add(out, text, n);
        text += n;
        if (!*text) return;
        char name[16];
        n = strcspn(text, "}");
        snprintf(name, sizeof name, "%.*s", (int)(n - 1), text + 1);
        put_place(a, r, name, out);
        text += n + 1;
    }
}

static void put_rank_place(const wf_watch_rank *r, const char *name, wf_text *out)
{
    char words[WF_ERROR_MAX];
    const wf_rank_status *s = &r->is;
    if (strcmp(name, "rank") == 0) wf_text_printf(out, "%d", s->rank);
    if (strcmp(name, "host") == 0) wf_text_puts(out, s->host);
    if (strcmp(name, "group") == 0) wf_text_printf(out, "%d", s->group);
    if (strcmp(name, "pid") == 0) wf_text_printf(out, "%" PRId64, s->pid);
    if (strcmp(name, "step") == 0) wf_text_printf(out, "%" PRId64, wf_rank_status_step(s));
    if (strcmp(name, "at") == 0) wf_text_puts(out, wf_operation_words(s->operation));
    if (strcmp(name, "exit") == 0) wf_text_printf(out, "%" PRId64, s->exit_code);
    if (strcmp(name, "error") == 0) wf_text_puts(out, s->error);
    if (strcmp(name, "last") == 0) wf_text_puts(out, wf_rank_last_words(r, words, sizeof words));
}

static void put_again(const reading *a, wf_text *out)
{
    if (a->signs & WAITS)
        expand(a, NULL, WATCH, out); // it is queued again already
    else if (a->f->command[0])
        wf_text_puts(out, a->f->command);
    else
        wf_text_puts(out, "the same command as before");
}

static void put_count(wf_text *out, int64_t n)
{
    char number[WF_WORDS_MAX];
    wf_text_puts(out, wf_words_count(n, number));
}

static void put_requests(wf_text *out, int64_t n)
{
    put_count(out, n);
    wf_text_printf(out, " request%s", WF_S(n));
}

// What of the work is safe, where not all of it is.
static void put_sealed(const reading *a, wf_text *out)
{
    const wf_watch_view *v = a->f->view;
    int64_t n_open = v->requests_done - v->requests_sealed;
    if (n_open <= 0) return;
    wf_text_puts(out, a->signs & (RUNNING | STALLED) ? "; " : "; of what was done, ");
    put_count(out, v->requests_sealed);
    wf_text_puts(out, a->signs & (RUNNING | STALLED) ? " of them sealed, " : " was sealed and ");
    put_count(out, n_open);
    wf_text_puts(out,
                 a->signs & (RUNNING | STALLED) ? " would be lost now" : " will be done again");
}

// What a person is to type is one word, whatever the folder is called.
static void put_path(const reading *a, const char *path, wf_text *out)
{
    if (a->for_shell)
        wf_text_put_shell(out, path);
    else
        wf_text_puts(out, path);
}

static void put_lost_at(const reading *a, wf_text *out)
{
    if (!a->lost) return;
    expand(a, a->lost, ": rank {rank} on {host} (group {group}) was at step {step}, in \"{at}\"",
           out);
}

static void put_others(const reading *a, wf_text *out)
{
    if (a->n_lost > 1) {
        wf_text_printf(out, "; it fell silent first, %zu other%s ended with it", a->n_lost - 1,
                       WF_S(a->n_lost - 1));
    }
    if (a->f->group_end[0]) wf_text_printf(out, "; the conductor says: %s", a->f->group_end);
}

static void put_by(const reading *a, wf_text *out)
{
    const char *name = sigabbrev_np(a->signal);
    if (a->signs & MARKED)
        wf_text_puts(out, "weft cancel");
    else if (a->signs & BY_DEADLINE)
        wf_text_puts(out, "the time limit is near");
    else if (a->signs & BY_STOP_FILE)
        expand(a, NULL, "because of {out}/stop", out);
    else if (a->signal)
        wf_text_printf(out, "SIG%s", name ? name : "?");
    else
        wf_text_puts(out, "as asked");
}

static int64_t n_left(const reading *a)
{
    const wf_watch_view *v = a->f->view;
    return v->requests_total > v->requests_done ? v->requests_total - v->requests_done : 0;
}

// A changed prompts file is refused by the folder that has its answers.
static void put_mend(const reading *a, wf_text *out)
{
    wf_text_puts(out, a->f->of_prompts
                          ? "mend the rows in the prompts file, and start over with --fresh or in "
                            "another folder with --out: a changed file is refused here; while it "
                            "is unchanged, --retry-failed does again only what failed"
                          : "mend what made them fail (--force where that changes the job); only "
                            "those are done again");
}

static void put_retry(const reading *a, wf_text *out)
{
    if (a->f->of_prompts)
        expand(a, NULL, "{weft} report {out}", out);
    else if (a->f->submitted)
        expand(a, NULL, "{weft} run {home}/submit/job.yaml --retry-failed", out);
    else if (a->f->command[0])
        wf_text_printf(out, "%s --retry-failed", a->f->command);
    else
        expand(a, NULL, "{weft} run JOB.yaml --retry-failed", out);
}

static void put_job_place(const reading *a, const char *name, wf_text *out)
{
    const wf_queue_look *q = a->f->queue;
    if (strcmp(name, "job") == 0) wf_text_puts(out, q->job_id);
    if (strcmp(name, "state") == 0) wf_text_puts(out, q->state);
    if (strcmp(name, "home") == 0) put_path(a, q->home, out);
    if (strcmp(name, "submitted") == 0) wf_text_puts(out, q->submitted);
    if (strcmp(name, "nodes") == 0) wf_text_puts(out, q->nodes);
    if (strcmp(name, "reason") == 0 && q->reason[0]) wf_text_printf(out, " (%s)", q->reason);
    if (strcmp(name, "cancel") == 0) {
        if (q->word == WF_BATCH_RUNS)
            expand(a, NULL, "{weft} cancel {out}", out);
        else
            expand(a, a->stalled, "kill -9 {pid} (on {host})", out);
    }
    if (strcmp(name, "retry") == 0) put_retry(a, out);
    if (strcmp(name, "mend") == 0) put_mend(a, out);
}

static void put_place(const reading *a, const wf_watch_rank *r, const char *name, wf_text *out)
{
    const wf_watch_view *v = a->f->view;
    if (r) put_rank_place(r, name, out);
    put_job_place(a, name, out);
    if (strcmp(name, "out") == 0) put_path(a, v->out_dir, out);
    if (strcmp(name, "weft") == 0) wf_text_put_shell(out, a->f->program ? a->f->program : "weft");
    if (strcmp(name, "again") == 0) put_again(a, out);
    if (strcmp(name, "done") == 0) put_count(out, v->requests_done);
    if (strcmp(name, "total") == 0) put_requests(out, v->requests_total);
    if (strcmp(name, "failed") == 0) put_count(out, a->f->n_failed);
    if (strcmp(name, "bad_rows") == 0)
        wf_text_printf(out, "%" PRId64 " bad row%s", v->n_bad_rows, WF_S(v->n_bad_rows));
    if (strcmp(name, "left") == 0) put_requests(out, n_left(a));
    if (strcmp(name, "refusal") == 0) wf_text_puts(out, a->f->refusal);
    if (strcmp(name, "by") == 0 || strcmp(name, "signal") == 0) put_by(a, out);
    if (strcmp(name, "lost_at") == 0) put_lost_at(a, out);
    if (strcmp(name, "others") == 0) put_others(a, out);
    if (strcmp(name, "sealed") == 0) put_sealed(a, out);
    if (strcmp(name, "so_far") == 0 && a->f->story[0])
        wf_text_printf(out, "; so far: %s", a->f->story);
    if (strcmp(name, "way") == 0 && a->f->story[0])
        wf_text_printf(out, "; on its way: %s", a->f->story);
    if (strcmp(name, "lost") == 0 && a->n_lost > 0)
        expand(a, a->lost, "; but rank {rank} on {host} (group {group}) is gone", out);
    if (strcmp(name, "left_over") == 0 && n_left(a) > 0) expand(a, NULL, ": {left} left", out);
    if (strcmp(name, "unjoined") == 0 && a->f->unjoined) {
        expand(a, NULL,
               "; {out}/results.h5 is not written yet (where the job is gone, weft merge "
               "{out} writes it)",
               out);
    }
    if (strcmp(name, "reasons") == 0 && a->f->reasons[0])
        wf_text_printf(out, ": %s", a->f->reasons);
    if (strcmp(name, "hint") == 0 && a->f->hint_line[0])
        wf_text_printf(out, "; the log says: %s", a->f->hint_line);
}

// ---- the decision -------------------------------------------------------------------------------

const char *wf_cause_word(wf_cause cause)
{
    static const char *const words[] = {
#define CAUSE_WORD(name, word) word,
        WF_CAUSE_TABLE(CAUSE_WORD)
#undef CAUSE_WORD
    };
    return (unsigned)cause < WF_N_CAUSES ? words[cause] : "unknown";
}

static const wf_watch_rank *culprit(const why_row *row, const reading *a)
{
    if (row->must & STALLED) return a->stalled;
    if (row->must & FAILED) return a->failed;
    if (row->must & (LOST | Q_MEMORY | Q_NODE)) return a->lost;
    if (row->must & LOADING) return a->busy;
    return NULL;
}

wf_status wf_why_decide(const wf_why_facts *facts, wf_why *out)
{
    reading a = {.f = facts};
    const why_row *row = rows;
    *out = (wf_why){0};
    signs_read(&a);
    while (!row_fits(row, &a)) // the last one fits always
        row++;
    out->cause = row->cause;
    out->rank = culprit(row, &a);
    expand(&a, out->rank, row->words, &out->words);
    expand(&a, out->rank, row->remedy, &out->remedy);
    a.for_shell = true;
    expand(&a, out->rank, row->next, &out->next);
    wf_status st = out->words.st != WF_OK    ? out->words.st
                   : out->remedy.st != WF_OK ? out->remedy.st
                                             : out->next.st;
    if (st != WF_OK) wf_why_free(out);
    return st;
}

void wf_why_free(wf_why *why)
{
    wf_text_free(&why->words);
    wf_text_free(&why->remedy);
    wf_text_free(&why->next);
}
