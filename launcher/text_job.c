// What the companion is told for a job. See text_job.h.
#include "launcher/text_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/encode_prompt.h"
#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/publish.h"
#include "io/base/text.h"
#include "io/results/runfile.h"
#include "jobs/run/events.h"
#include "jobs/spec/prompts.h"
#include "jobs/streams/lines.h"
#include "launcher/companion.h"

enum { N_OPTIONS = 24 };

size_t wf_text_job_prompts(const wf_jobspec *spec)
{
    size_t n = 0;
    for (size_t i = 0; i < spec->requests.n; i++)
        n += wf_prompts_is_file(spec->requests.item[i]);
    return n;
}

bool wf_text_job_is(const wf_jobspec *spec)
{
    return spec->output.text[0] || wf_text_job_prompts(spec) > 0;
}

bool wf_text_job_waits(const wf_jobspec *spec, size_t i)
{
    return wf_prompts_is_file(spec->requests.item[i]) && !wf_file_exists(spec->shards.item[i]);
}

size_t wf_text_job_waiting(const wf_jobspec *spec)
{
    size_t n = 0;
    for (size_t i = 0; i < spec->requests.n; i++)
        n += wf_text_job_waits(spec, i);
    return n;
}

// A line of JSON lines is a row; of a table only its reader knows.
static bool has_lines(const char *path)
{
    struct stat is;
    bool lines = wf_text_ends_with(path, ".jsonl") || wf_text_ends_with(path, ".ndjson");
    return lines && stat(path, &is) == 0 && is.st_size <= WF_TEXT_JOB_COUNTED;
}

static wf_status lines_count(const char *path, uint64_t *n)
{
    wf_lines *lines = NULL;
    wf_line line;
    bool more = true;
    WF_TRY(wf_lines_open(path, &lines));
    wf_status st = WF_OK;
    while (more && st == WF_OK) {
        st = wf_lines_next(lines, &line, &more);
        *n += st == WF_OK && more;
    }
    wf_lines_close(&lines);
    return st;
}

wf_status wf_text_job_count(const wf_jobspec *spec, uint64_t *n_lines, size_t *n_uncounted)
{
    *n_lines = *n_uncounted = 0;
    for (size_t i = 0; i < spec->requests.n; i++) {
        if (!wf_text_job_waits(spec, i)) continue;
        const char *path = spec->requests.item[i];
        if (has_lines(path))
            WF_TRY(lines_count(path, n_lines));
        else
            ++*n_uncounted;
    }
    return WF_OK;
}

static const char *tokenizer_of(const wf_jobspec *spec)
{
    return spec->text.tokenizer[0] ? spec->text.tokenizer : spec->model.path;
}

wf_status wf_text_job_check(const wf_jobspec *spec)
{
    const char *name = tokenizer_of(spec);
    char *file = NULL;
    struct stat is;
    if (wf_text_job_waiting(spec) == 0 && !spec->output.text[0]) return WF_OK;
    if (strcmp(name, "bytes") == 0) return WF_OK;
    bool folder = stat(name, &is) == 0 && S_ISDIR(is.st_mode);
    WF_TRY(wf_path_join(folder ? name : ".", folder ? "tokenizer.json" : name, &file));
    wf_status st = WF_OK;
    if (!wf_file_exists(file))
        st = wf_fail(WF_NO_INPUT,
                     "%s: is missing; text.tokenizer takes a tokenizer.json, a model's folder that "
                     "has one, or bytes",
                     folder ? file : name);
    free(file);
    return st;
}

// Results belong to the shards as they are.
static wf_status has_begun(const wf_jobspec *spec, bool *out)
{
    wf_runs *runs = NULL;
    WF_TRY(wf_runs_open(spec->output.dir, &(wf_runs_options){.read_only = true}, &runs));
    *out = wf_runs_identity(runs) != NULL;
    wf_runs_close(&runs);
    return WF_OK;
}

static wf_status words_run(const wf_jobspec *spec, bool fixed, const char *before,
                           const wf_drain *drain)
{
    const char **word = NULL;
    char most[16];
    size_t n = 0;
    WF_TRY(wf_alloc(N_OPTIONS + 2 * spec->requests.n, sizeof *word, &word));
    snprintf(most, sizeof most, "%d", spec->text.max_new_tokens);
    word[n++] = "prepare";
    word[n++] = "--tokenizer";
    word[n++] = tokenizer_of(spec);
    word[n++] = "--prompt";
    word[n++] = spec->text.prompt;
    word[n++] = "--max-new-tokens";
    word[n++] = most;
    if (spec->text.chat) word[n++] = "--chat";
    if (wf_task_scores(spec->task)) word[n++] = "--pairs";
    if (spec->text.pair[0]) {
        word[n++] = "--pair";
        word[n++] = spec->text.pair;
    }
    if (before[0]) {
        word[n++] = "--before";
        word[n++] = before;
    }
    if (spec->stop.n > 0) word[n++] = "--pieces";
    if (fixed) word[n++] = "--fixed";
    word[n++] = "--";
    for (size_t i = 0; i < spec->requests.n; i++) {
        if (!wf_prompts_is_file(spec->requests.item[i])) continue;
        word[n++] = spec->requests.item[i];
        word[n++] = spec->shards.item[i];
    }
    wf_status st = wf_companion_run(word, drain);
    free(word);
    return st;
}

static wf_status prompts_encode(const wf_jobspec *spec, bool fixed, const wf_drain *drain)
{
    char *before = NULL;
    bool embeds = spec->task == WF_TASK_EMBED;
    WF_TRY(wf_encode_prompt(spec->model.path, embeds ? spec->embed.prompt : "none", &before));
    wf_status st = words_run(spec, fixed, before, drain);
    free(before);
    return st;
}

// Said now, not when all has been computed.
static wf_status answers_folder_make(const wf_jobspec *spec)
{
    char *folder = NULL;
    if (!spec->output.text[0]) return WF_OK;
    WF_TRY(wf_path_folder(spec->output.text, &folder));
    wf_status st = wf_file_make_folders(folder);
    free(folder);
    return st;
}

// For weft why: no result says it.
static void bad_rows_tell(const wf_jobspec *spec)
{
    const wf_event event = {.kind = WF_EVENT_BAD_ROWS,
                            .run = -1,
                            .group = -1,
                            .epoch = -1,
                            .rank = -1,
                            .text =
                                "rows of its prompts files are bad and failed: the job's log and "
                                "its answers say which and why"};
    if (wf_event_add(spec->output.dir, &event) != WF_OK) wf_debug("%s", wf_error());
}

wf_status wf_text_job_encode(const wf_jobspec *spec, bool force, const wf_drain *drain,
                             bool *some_bad)
{
    bool begun = false;
    *some_bad = false;
    WF_TRY(answers_folder_make(spec));
    if (wf_text_job_prompts(spec) == 0) return WF_OK;
    WF_TRY(wf_folder_check_link(spec->output.dir, "text"));
    WF_TRY(has_begun(spec, &begun));
    wf_status st = prompts_encode(spec, begun && !force, drain);
    *some_bad = st == WF_FAILED_ROWS;
    if (*some_bad) bad_rows_tell(spec);
    return *some_bad ? WF_OK : st;
}

// ---- answers ------------------------------------------------------------------------------------

static wf_status decode(const wf_jobspec *spec, const char *form, const char *path,
                        const wf_drain *drain)
{
    const char *const words[] = {
        "decode", "--tokenizer", tokenizer_of(spec), "--format", form, "--replace", "-o",
        path,     "--",          spec->output.dir,   NULL};
    wf_status st = wf_companion_run(words, drain);
    if (st != WF_DRAINED) return st;
    return wf_fail(WF_DRAINED,
                   "all requests are done and merged, but %s is not written: run the same command "
                   "again, or weft-text decode %s -o FILE",
                   path, spec->output.dir);
}

wf_status wf_text_job_answer(const wf_jobspec *spec, const wf_drain *drain)
{
    return spec->output.text[0] ? decode(spec, "auto", spec->output.text, drain) : WF_OK;
}

wf_status wf_text_job_print(const wf_jobspec *spec, const char *form, const wf_drain *drain)
{
    return decode(spec, form, "-", drain);
}
