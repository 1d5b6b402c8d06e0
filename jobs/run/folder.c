// The output folder: ownership, identity, runs.
#include "jobs/run/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/publish.h"
#include "io/base/text.h"
#include "io/results/runfile_owner.h"
#include "jobs/spec/prompts.h"
#include "jobs/watch/words.h"

#define ROOM_TO_WARN      1000
#define OWNER_PATIENCE_NS (4 * WF_NS_PER_S)

struct wf_folder {
    char *dir;
    wf_owner *owner;
    uint32_t run;
};

// What must not change between runs of one folder.
static wf_status identity(const wf_folder_config *c, wf_json_writer **out)
{
    wf_json_writer *w;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "model", c->model_identity);
    wf_json_put_string(w, "dtype", c->dtype);
    wf_jobspec_put_identity(c->spec, w);
    wf_json_open_object(w, "shards");
    for (size_t i = 0; i < c->n_shards; i++)
        wf_json_put_u64(w, c->shards[i].uid, c->shards[i].rows);
    wf_json_close(w);
    wf_json_open_object(w, "shard_paths"); // not compared: where to look for one that is gone
    for (size_t i = 0; i < c->n_shards; i++)
        wf_json_put_string(w, c->shards[i].uid, c->shards[i].path);
    wf_json_close(w);
    wf_json_put_i64(w, "results", c->n_results); // nor this, for whoever watches
    wf_json_close(w);
    *out = w;
    return WF_OK;
}

// The first prompts file of a job, NULL: it has none. Answers to two states of one are no answers,
// so that --force is no advice there.
static const char *prompts_of(const wf_jobspec *spec)
{
    for (size_t i = 0; i < spec->requests.n; i++)
        if (wf_prompts_is_file(spec->requests.item[i])) return spec->requests.item[i];
    return NULL;
}

static wf_status check_identity(const wf_folder_config *c, const wf_runs *runs, const char *is)
{
    const char *was = wf_runs_identity(runs);
    if (!was) return WF_OK;
    wf_status st = wf_identity_compare(was, is);
    if (st != WF_MISMATCH) return st;
    const char *prompts = prompts_of(c->spec);
    if (!c->start.force && prompts)
        return wf_fail(WF_MISMATCH,
                       "%s: cannot go on with %s: %s; name another folder with --out DIR, or start "
                       "over with --fresh",
                       c->spec->output.dir, prompts, wf_error());
    if (!c->start.force)
        return wf_fail(WF_MISMATCH,
                       "%s: %s; choose another output.dir, or go on all the same with --force",
                       c->spec->output.dir, wf_error());
    wf_warn("%s: going on as told: %s", c->spec->output.dir, wf_error());
    return WF_OK;
}

// Long before a job that comes back again and again has no number left for its next run.
static void warn_of_room(const wf_folder *f, const wf_runs *runs)
{
    size_t room = wf_runs_room(runs);
    if (room < ROOM_TO_WARN)
        wf_warn("%s: has room for %zu more run%s of %u: begin a new output.dir soon", f->dir, room,
                WF_S(room), WF_RUNS_MOST);
}

// What this run begins with.
static void say_run(const wf_folder *f, const wf_folder_config *c, const wf_runs *runs)
{
    char rows[WF_WORDS_MAX], kept[WF_WORDS_MAX];
    uint64_t n_rows = 0, n_kept = 0;
    size_t n = 0;
    const wf_segment_ref *segment = wf_runs_segments(runs, &n);
    for (size_t i = 0; i < c->n_shards; i++)
        n_rows += c->shards[i].rows;
    for (size_t i = 0; i < n; i++)
        n_kept += segment[i].rows - (segment[i].void_failed ? segment[i].n_failed : 0);
    wf_log(n_kept > 0 ? WF_LOG_INFO : WF_LOG_DETAIL,
           "%s: run %u: %zu shard%s with %s row%s; %zu sealed segment%s with %s result%s kept",
           f->dir, f->run, c->n_shards, WF_S(c->n_shards), wf_words_count((int64_t)n_rows, rows),
           WF_S(n_rows), n, WF_S(n), wf_words_count((int64_t)n_kept, kept), WF_S(n_kept));
}

void wf_folder_say_nothing_left(const char *out_dir, int64_t n)
{
    char number[WF_WORDS_MAX];
    wf_info("%s: nothing to do: %s result%s of the job %s there already", out_dir,
            wf_words_count(n, number), WF_S(n), WF_ARE(n));
}

wf_status wf_folder_check(const wf_folder_config *c)
{
    const wf_runs_options look = {.read_only = true};
    wf_runs *runs = NULL;
    wf_json_writer *w = NULL;
    const char *text = NULL;
    wf_status st;
    WF_TRY_TO(out, wf_runs_open(c->spec->output.dir, &look, &runs));
    WF_TRY_TO(out, wf_runs_check_room(runs));
    WF_TRY_TO(out, identity(c, &w));
    WF_TRY_TO(out, wf_json_writer_finish(w, &text, NULL));
    WF_TRY_TO(out, check_identity(c, runs, text));
out:
    wf_json_writer_destroy(&w);
    wf_runs_close(&runs);
    return st;
}

wf_status wf_folder_look(const char *path, void *facts)
{
    _Static_assert(sizeof(wf_segment_facts) <= WF_READER_FACTS, "they go through the reader");
    return wf_segment_look(path, facts);
}

// In the reader process: a segment over which HDF5 dies or never ends is set aside like any other
// that is damaged.
static wf_status look_elsewhere(void *context, const char *path, wf_segment_facts *out)
{
    return wf_reader_look(context, path, out, sizeof *out);
}

static wf_status start_run(wf_folder *f, const wf_folder_config *c)
{
    wf_runs *runs = NULL;
    wf_json_writer *w = NULL;
    const char *text = NULL;
    wf_status st;
    WF_TRY_TO(out, wf_runs_open(f->dir, NULL, &runs));
    WF_TRY_TO(out, identity(c, &w));
    WF_TRY_TO(out, wf_json_writer_finish(w, &text, NULL));
    WF_TRY_TO(out, check_identity(c, runs, text));
    WF_TRY_TO(out, wf_runs_verify_by(runs, c->reader ? look_elsewhere : NULL, c->reader));
    wf_run_params params = {.identity = text,
                            .job_id = c->start.job_id,
                            .restart = c->start.restart,
                            .command = c->start.command,
                            .retry_failed = c->start.retry_failed};
    WF_TRY_TO(out, wf_runs_start(runs, &params, &f->run));
    say_run(f, c, runs);
    warn_of_room(f, runs);
out:
    wf_json_writer_destroy(&w);
    wf_runs_close(&runs);
    return st;
}

// The owner may be on its way out: ranks that mpirun ends after a failure live a second longer than
// mpirun itself, and whoever starts the job again at once should not be told to wait.
static wf_status take_ownership(const wf_folder_config *c, wf_folder *f)
{
    const wf_folder_start *s = &c->start;
    wf_owner_params params = {.job_id = s->job_id, .restart = s->restart, .ask = s->ask_owner};
    int64_t until_ns = wf_clock_ns() + OWNER_PATIENCE_NS;
    for (bool said = false;; said = true) {
        wf_status st = wf_owner_take(f->dir, &params, &f->owner);
        if (st != WF_IN_USE || wf_clock_ns() >= until_ns) return st;
        if (!said) wf_info("%s; looking again for a few seconds", wf_error());
        wf_clock_sleep_until(wf_clock_ns() + 100 * WF_NS_PER_MS);
    }
}

// A stop file ends the run that sees it, not the next one.
static wf_status forget_stop(const wf_folder *f)
{
    char *path = NULL;
    WF_TRY(wf_path_join(f->dir, "stop", &path));
    wf_status st = WF_OK;
    if (unlink(path) != 0 && errno != ENOENT)
        st = wf_fail_errno(WF_IO, "%s: cannot be removed", path);
    free(path);
    return st;
}

// Folders of a job, inside one that others may write to.
static wf_status check_links(const char *dir)
{
    static const char *const folders[] = {"runs", "segments", "leases", "status", "void", "submit"};
    wf_folder_warn(dir);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        WF_TRY(wf_folder_check_link(dir, folders[i]));
    return WF_OK;
}

wf_status wf_folder_begin(const wf_folder_config *c, wf_folder **out)
{
    *out = NULL;
    wf_folder *f = calloc(1, sizeof *f);
    if (!f) return wf_fail(WF_NO_MEMORY, "folder: out of memory");
    f->dir = strdup(c->spec->output.dir);
    wf_status st = f->dir ? WF_OK : wf_fail(WF_NO_MEMORY, "folder: out of memory");
    if (st == WF_OK) st = wf_file_make_folders(f->dir);
    if (st == WF_OK) st = check_links(f->dir);
    if (st == WF_OK) st = take_ownership(c, f);
    if (st == WF_OK) st = forget_stop(f);
    if (st == WF_OK) st = start_run(f, c);
    if (st == WF_OK) {
        *out = f;
        return WF_OK;
    }
    wf_owner_release(&f->owner);
    free(f->dir);
    free(f);
    return st;
}

uint32_t wf_folder_run(const wf_folder *f)
{
    return f->run;
}

bool wf_folder_holds(const wf_folder *f)
{
    return wf_owner_holds(f->owner);
}

wf_status wf_folder_complete(const wf_folder *f)
{
    return f ? wf_run_complete(f->dir, f->run) : WF_OK;
}

wf_status wf_folder_end(wf_folder **folder, bool complete)
{
    wf_folder *f = *folder;
    if (!f) return WF_OK;
    wf_status st = complete ? wf_run_complete(f->dir, f->run) : WF_OK;
    wf_owner_release(&f->owner);
    free(f->dir);
    free(f);
    *folder = NULL;
    return st;
}

wf_status wf_folder_done(const wf_folder_config *c, wf_done **out)
{
    wf_runs *runs = NULL;
    wf_status st;
    *out = NULL;
    WF_TRY(wf_done_create(c->shards, c->n_shards, out));
    WF_TRY_TO(fail,
              wf_runs_open(c->spec->output.dir, &(wf_runs_options){.read_only = true}, &runs));
    WF_TRY_TO(fail, wf_done_scan(*out, c->spec->output.dir, runs, NULL));
    wf_runs_close(&runs);
    return WF_OK;
fail:
    wf_runs_close(&runs);
    wf_done_destroy(out);
    return st;
}

wf_status wf_folder_is_done(const wf_folder_config *c, bool *out)
{
    char *joined = NULL;
    wf_done *done = NULL;
    *out = false;
    WF_TRY(wf_path_join(c->spec->output.dir, "results.h5", &joined));
    bool is_joined = wf_file_exists(joined);
    free(joined);
    if (!is_joined) return WF_OK;
    WF_TRY(wf_folder_done(c, &done));
    *out = (int64_t)wf_done_total(done) >= c->n_results;
    wf_done_destroy(&done);
    return WF_OK;
}
