// Cross-key checks, the files a job names, and settings it does not use. See jobspec_check.h.
#include "jobs/spec/jobspec_check.h"

#include <string.h>
#include <sys/stat.h>

#include "io/base/text.h"
#include "io/weights/hf_stranger.h"
#include "jobs/spec/prompts.h"

static const char *word_of(const char *key, int64_t value)
{
    for (size_t i = 0; i < wf_jobspec_n_options; i++) {
        if (strcmp(wf_jobspec_table[i].name, key) != 0) continue;
        for (const wf_option_word *w = wf_jobspec_table[i].words; w->word; w++)
            if (w->value == value) return w->word;
    }
    return "?";
}

static bool has_arrivals(const wf_jobspec *spec, unsigned modes)
{
    return (wf_jobspec_modes(spec) & modes) != 0;
}

// Printable, and usable as a file's name and as Slurm's job name.
static bool job_name_is_usable(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f) return false;
    return *name && *name != '.' && strlen(name) <= 200;
}

static wf_status check_engine(const wf_jobspec *spec, wf_options *o)
{
    if (spec->engine.step_tokens < spec->engine.max_rows) {
        WF_TRY(wf_options_complain(o, "engine.step_tokens",
                                   "%d is less than engine.max_rows %d: a step must have room for "
                                   "one token of every row; raise it or lower engine.max_rows",
                                   spec->engine.step_tokens, spec->engine.max_rows));
    }
    if (spec->engine.fusion == WF_FUSION_INSTANCES && spec->parallel.tensor > 1) {
        WF_TRY(wf_options_complain(o, "engine.fusion",
                                   "instances works with parallel.tensor 1 only, and that is %d",
                                   spec->parallel.tensor));
    }
    if (spec->engine.fusion == WF_FUSION_INSTANCES && spec->engine.reorder != WF_REORDER_INDEX) {
        WF_TRY(wf_options_complain(o, "engine.reorder",
                                   "%s has nothing to reorder with engine.fusion instances: use "
                                   "index",
                                   word_of("engine.reorder", spec->engine.reorder)));
    }
    if (spec->engine.prefix_cache == WF_PREFIX_ON && spec->engine.reorder != WF_REORDER_INDEX) {
        WF_TRY(wf_options_complain(o, "engine.prefix_cache",
                                   "on needs engine.reorder index, not %s, which moves or writes "
                                   "over pages that others would read",
                                   word_of("engine.reorder", spec->engine.reorder)));
    }
    if (spec->engine.order == WF_SPEC_ORDER_PREFIX &&
        (has_arrivals(spec, WF_SPEC_TIMED) || spec->engine.prefix_cache == WF_PREFIX_OFF)) {
        WF_TRY(wf_options_complain(o, "engine.order",
                                   "prefix is for arrivals.mode offline with engine.prefix_cache, "
                                   "not for %s and %s",
                                   word_of("arrivals.mode", spec->arrivals.mode),
                                   word_of("engine.prefix_cache", spec->engine.prefix_cache)));
    }
    if (spec->engine.slot_tokens > 0 && spec->engine.max_context > 0 &&
        spec->engine.slot_tokens > spec->engine.max_context) {
        WF_TRY(wf_options_complain(o, "engine.slot_tokens",
                                   "%d is more than engine.max_context %d: no request could use it",
                                   spec->engine.slot_tokens, spec->engine.max_context));
    }
    return WF_OK;
}

static wf_status check_text(const wf_jobspec *spec, wf_options *o)
{
    if (spec->output.text[0] && !wf_prompts_is_answers(spec->output.text)) {
        WF_TRY(wf_options_complain(o, "output.text",
                                   "\"%s\" does not say what to write: end the name in one of %s",
                                   spec->output.text, wf_prompts_endings()));
    }
    if (wf_prompts_is_matrix(spec->output.text) && !wf_task_vectors(spec->task)) {
        WF_TRY(
            wf_options_complain(o, "output.text",
                                "\"%s\" takes numbers alone, of task: embed, classify, score and "
                                "rerank, not of %s",
                                spec->output.text, word_of("task", spec->task)));
    }
    if (spec->task != WF_TASK_GENERATE && spec->sampling.n > 1) {
        WF_TRY(
            wf_options_complain(o, "sampling.n",
                                "%u outputs of a row would be the same vector: leave it out with "
                                "task: %s",
                                spec->sampling.n, word_of("task", spec->task)));
    }
    if (!spec->text.prompt[0])
        WF_TRY(wf_options_complain(o, "text.prompt", "is empty: name a key or column"));
    return WF_OK;
}

static wf_status check_stop(const wf_jobspec *spec, wf_options *o)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < spec->stop.n; i++) {
        n_bytes += strlen(spec->stop.item[i]) + 1;
        if (!spec->stop.item[i][0])
            WF_TRY(wf_options_complain(o, "sampling.stop", "text %zu is empty", i + 1));
    }
    if (n_bytes > WF_MOST_STOP_BYTES)
        WF_TRY(wf_options_complain(o, "sampling.stop",
                                   "its texts have %zu bytes with an end for each, at most %d are "
                                   "possible",
                                   n_bytes, WF_MOST_STOP_BYTES));
    if (spec->task != WF_TASK_GENERATE && n_bytes > 0)
        WF_TRY(wf_options_complain(
            o, "sampling.stop", "no text is written that it could end: leave it out with task: %s",
            word_of("task", spec->task)));
    if (spec->task != WF_TASK_GENERATE && spec->sampling.prompt_logprobs >= 0)
        WF_TRY(wf_options_complain(o, "sampling.prompt_logprobs",
                                   "prompts are scored as they are gone on with: leave it out with "
                                   "task: %s",
                                   word_of("task", spec->task)));
    if (n_bytes > 0 && spec->sampling.beam_width > 1)
        WF_TRY(wf_options_complain(o, "sampling.stop",
                                   "beams are not ended by texts: leave it out with "
                                   "sampling.beam_width %u, or use sampling.stop_token_ids",
                                   spec->sampling.beam_width));
    return WF_OK;
}

static wf_status check_sampling(const wf_jobspec *spec, wf_options *o)
{
    const wf_sampling *p = &spec->sampling;
    if (p->beam_width > 1 && p->n > p->beam_width)
        WF_TRY(wf_options_complain(o, "sampling.beam_width",
                                   "%u is below sampling.n %u, the outputs that are asked for",
                                   p->beam_width, p->n));
    if (p->beam_width > 1 && (int64_t)p->beam_width > spec->engine.max_rows)
        WF_TRY(wf_options_complain(o, "sampling.beam_width",
                                   "%u is above engine.max_rows %d: every beam needs a row",
                                   p->beam_width, spec->engine.max_rows));
    WF_TRY(check_stop(spec, o));
    if (p->best_of == 0 || p->best_of >= p->n) return WF_OK;
    return wf_options_complain(o, "sampling.best_of",
                               "%u is below sampling.n %u, which are kept of them: raise it",
                               p->best_of, p->n);
}

static wf_status check_sessions(const wf_jobspec *spec, wf_options *o)
{
    if (spec->arrivals.mode == WF_SPEC_SESSIONS && spec->arrivals.think != WF_SPEC_THINK_LOG &&
        spec->arrivals.think_time_ns < 0) {
        WF_TRY(wf_options_complain(o, "arrivals.think_time", "needed by arrivals.think %s",
                                   word_of("arrivals.think", spec->arrivals.think)));
    }
    if (spec->arrivals.split == WF_SPEC_SPLIT_LEAST_TOKENS &&
        spec->arrivals.mode == WF_SPEC_SESSIONS && spec->arrivals.concurrency > 0 &&
        spec->arrivals.sessions == WF_SPEC_OFFLINE) {
        WF_TRY(wf_options_complain(o, "arrivals.split",
                                   "least_tokens decides as sessions arrive, and with "
                                   "arrivals.concurrency they begin as others of their group end: "
                                   "use round_robin or key"));
    }
    if (strlen(spec->arrivals.split_key) == 0 || strlen(spec->arrivals.split_key) >= 128)
        WF_TRY(wf_options_complain(o, "arrivals.split_key", "is no name of up to 127 letters"));
    return WF_OK;
}

static wf_status check_arrivals(const wf_jobspec *spec, wf_options *o)
{
    WF_TRY(check_sessions(spec, o));
    if (has_arrivals(spec, WF_SPEC_TIMED_BY_RATE) && !(spec->arrivals.rate > 0)) {
        WF_TRY(wf_options_complain(o, "arrivals.rate",
                                   "needed by arrivals.mode %s: give the requests per second",
                                   word_of("arrivals.mode", spec->arrivals.mode)));
    }
    if (spec->arrivals.concurrency > 0 && spec->engine.fusion == WF_FUSION_STATIC &&
        spec->arrivals.concurrency < spec->engine.max_rows) {
        WF_TRY(wf_options_complain(o, "arrivals.concurrency",
                                   "%d never fill the batch of engine.max_rows %d that "
                                   "engine.fusion static waits for: lower max_rows",
                                   spec->arrivals.concurrency, spec->engine.max_rows));
    }
    if (spec->parallel.layout == WF_SPEC_LAYOUT_GROUPS && has_arrivals(spec, WF_SPEC_TIMED)) {
        WF_TRY(wf_options_complain(o, "parallel.layout",
                                   "groups has no common clock, which arrivals.mode %s needs: use "
                                   "world",
                                   word_of("arrivals.mode", spec->arrivals.mode)));
    }
    return WF_OK;
}

wf_status wf_jobspec_check_keys(const wf_jobspec *spec, wf_options *o)
{
    if (!job_name_is_usable(spec->job)) {
        WF_TRY(wf_options_complain(o, "job",
                                   "\"%s\" is no name: at most 200 characters, no \"/\", no \".\" "
                                   "in front",
                                   spec->job));
    }
    WF_TRY(check_arrivals(spec, o));
    if (wf_options_is_given(o, "requests") && spec->requests.n == 0)
        WF_TRY(wf_options_complain(o, "requests", "the list is empty: name at least one shard"));
    WF_TRY(check_text(spec, o));
    WF_TRY(check_sampling(spec, o));
    return check_engine(spec, o);
}

// ---- files --------------------------------------------------------------------------------------

static wf_status check_duplicates(const wf_paths *paths, wf_options *o)
{
    struct stat a, b;
    for (size_t i = 1; i < paths->n; i++) {
        if (stat(paths->item[i], &a) != 0) continue;
        for (size_t k = 0; k < i; k++) {
            if (stat(paths->item[k], &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
                continue;
            WF_TRY(
                wf_options_complain(o, "requests",
                                    "%s is listed twice (also as %s): its rows would be computed "
                                    "twice",
                                    paths->item[i], paths->item[k]));
            break;
        }
    }
    return WF_OK;
}

// Answers take the place of an older file of their name: not that of what they answer.
static wf_status check_answers(const wf_jobspec *spec, const wf_paths *paths, wf_options *o)
{
    struct stat a, b;
    if (!spec->output.text[0] || stat(spec->output.text, &a) != 0) return WF_OK;
    for (size_t i = 0; i < paths->n; i++) {
        if (stat(paths->item[i], &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) continue;
        return wf_options_complain(o, "output.text",
                                   "%s is the prompts file %s itself: choose another name",
                                   spec->output.text, paths->item[i]);
    }
    return WF_OK;
}

static wf_status check_model(const wf_jobspec *spec, wf_options *o, int *n_missing)
{
    struct stat st;
    if (!wf_options_is_given(o, "model.path")) return WF_OK; // said as a missing key
    if (stat(spec->model.path, &st) != 0) {
        ++*n_missing;
        return wf_options_complain(o, "model.path", "%s: no such folder", spec->model.path);
    }
    if (!S_ISDIR(st.st_mode)) {
        const char *is = wf_hf_stranger(spec->model.path);
        return wf_options_complain(o, "model.path",
                                   "%s: not a folder%s%s: give the folder with "
                                   "config.json",
                                   spec->model.path, is ? ", but " : "", is ? is : "");
    }
    return WF_OK;
}

wf_status wf_jobspec_check_files(const wf_jobspec *spec, wf_options *o, wf_paths *paths,
                                 int *n_missing)
{
    WF_TRY(check_model(spec, o, n_missing));
    for (size_t i = 0; i < spec->requests.n; i++) {
        wf_status st = wf_file_glob(spec->requests.item[i], paths);
        if (st == WF_NO_INPUT) {
            ++*n_missing;
            st = wf_options_complain(o, "requests",
                                     "%s: no such file (seen from the working "
                                     "directory)",
                                     spec->requests.item[i]);
        }
        WF_TRY(st);
    }
    WF_TRY(check_answers(spec, paths, o));
    return check_duplicates(paths, o);
}

// ---- settings that are not used -----------------------------------------------------------------

static void unused(wf_text *text, const char *key, const char *by_key, int64_t value)
{
    wf_text_printf(text, "%s is not used by %s %s\n", key, by_key, word_of(by_key, value));
}

static bool differs(double value, double otherwise)
{
    return value < otherwise || value > otherwise;
}

wf_status wf_jobspec_remarks(const wf_jobspec *spec, char **out)
{
    wf_text text = {0};
    wf_spec_arrivals mode = spec->arrivals.mode;
    wf_text_puts(&text, "");
    if (!wf_jobspec_decides(spec, "arrivals.speed") && differs(spec->arrivals.speed, 1))
        unused(&text, "arrivals.speed", "arrivals.mode", mode);
    if (!wf_jobspec_decides(spec, "arrivals.rate") && spec->arrivals.rate > 0)
        unused(&text, "arrivals.rate", "arrivals.mode", mode);
    if (!wf_jobspec_decides(spec, "arrivals.burstiness") && differs(spec->arrivals.burstiness, 1))
        unused(&text, "arrivals.burstiness", "arrivals.mode", mode);
    if (!wf_jobspec_decides(spec, "arrivals.seed") && spec->arrivals.seed != spec->seed)
        unused(&text, "arrivals.seed", "arrivals.mode", mode);
    if (!wf_jobspec_decides(spec, "arrivals.think_time") && spec->arrivals.think_time_ns >= 0)
        unused(&text, "arrivals.think_time", "arrivals.mode", mode);
    if (spec->arrivals.split != WF_SPEC_SPLIT_ROUND_ROBIN && !has_arrivals(spec, WF_SPEC_TIMED))
        unused(&text, "arrivals.split", "arrivals.mode", mode);
    if (!wf_jobspec_decides(spec, "arrivals.concurrency") && spec->arrivals.concurrency > 0)
        unused(&text, "arrivals.concurrency", "arrivals.mode", mode);
    if (spec->engine.reorder != WF_REORDER_COPY && spec->engine.slot_tokens > 0)
        unused(&text, "engine.slot_tokens", "engine.reorder", spec->engine.reorder);
    if (!differs(spec->sampling.temperature, 0) && spec->sampling.n > 1 &&
        spec->sampling.beam_width < 2) {
        wf_text_printf(&text,
                       "sampling.n is %u but sampling.temperature is 0: all outputs of a "
                       "request will be the same\n",
                       spec->sampling.n);
    }
    return wf_text_take(&text, out);
}
