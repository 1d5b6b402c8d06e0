// Loading, checking and writing a job. See jobspec.h.
#include "jobs/spec/jobspec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "jobs/spec/generation.h"
#include "jobs/spec/jobspec_check.h"
#include "jobs/spec/prompts.h"

#define ENVIRONMENT_PREFIX "WEFT_"

// The spec, and what its borrowed texts live in. `spec` comes first: a wf_jobspec is one of these.
typedef struct {
    wf_jobspec spec;
    wf_options *options;
    wf_paths requests; // globs expanded
    wf_paths shards;   // theirs
    char *job, *dir;   // made up where the file gives none
    char *part_dir;    // of a part
    char *part_text;
    const char **part; // its requests, borrowed
    const char *taken[WF_GENERATION_MOST];
} loaded;

static loaded *loaded_of(const wf_jobspec *spec)
{
    return (loaded *)(uintptr_t)spec;
}

void wf_jobspec_destroy(wf_jobspec **spec)
{
    if (!spec || !*spec) return;
    loaded *l = loaded_of(*spec);
    wf_options_destroy(&l->options);
    wf_paths_destroy(&l->requests);
    wf_paths_destroy(&l->shards);
    free(l->job);
    free(l->dir);
    free(l->part_dir);
    free(l->part_text);
    free(l->part);
    free(l);
    *spec = NULL;
}

// "jobs/azure.yaml" -> "azure"
static wf_status stem(const char *path, char **out)
{
    const char *name = wf_path_name(path), *dot = strrchr(name, '.');
    WF_TRY(wf_strdup(name, out));
    if (dot && dot > name) (*out)[dot - name] = '\0';
    return WF_OK;
}

// Defaults that depend on other keys.
static wf_status resolve(loaded *l, const char *path)
{
    wf_jobspec *spec = &l->spec;
    if (!spec->job[0]) {
        WF_TRY(stem(path, &l->job));
        spec->job = l->job;
    }
    if (!spec->output.dir[0]) {
        WF_TRY(wf_path_join("out", spec->job, &l->dir));
        spec->output.dir = l->dir;
    }
    if (spec->arrivals.seed < 0) spec->arrivals.seed = spec->seed;
    return WF_OK;
}

static wf_status apply(wf_options *options, const wf_jobspec_source *source)
{
    WF_TRY(wf_options_apply_file(options, source->path));
    WF_TRY(wf_options_apply_environment(options, ENVIRONMENT_PREFIX, source->environment));
    for (size_t i = 0; i < source->n_set; i++)
        WF_TRY(wf_options_apply_set(options, source->set[i]));
    return WF_OK;
}

// Fails with the first of the collected mistakes, as `status`.
static wf_status fail_with_first(wf_status status, const wf_options *options)
{
    const char *text = wf_options_problems(options);
    int n_more = wf_options_n_problems(options) - 1;
    if (n_more > 0)
        return wf_fail(status, "%.*s (and %d more)", (int)strcspn(text, "\n"), text, n_more);
    return wf_fail(status, "%.*s", (int)strcspn(text, "\n"), text);
}

static wf_status shards_name(loaded *l)
{
    wf_paths_destroy(&l->shards);
    WF_TRY(wf_prompts_shards(&l->spec.requests, l->spec.output.dir, &l->shards));
    l->spec.shards.n = l->shards.n;
    l->spec.shards.item = (const char *const *)l->shards.item;
    return WF_OK;
}

static wf_status load(loaded *l, const wf_jobspec_source *source)
{
    int n_missing = 0;
    WF_TRY(wf_options_create(wf_jobspec_table, wf_jobspec_n_options, &l->spec, &l->options));
    wf_options_also_called(l->options, wf_jobspec_aliases);
    WF_TRY(apply(l->options, source));
    // Text that is no YAML at all has one mistake, not one and all required keys.
    if (wf_options_n_problems(l->options) > 0 && !wf_options_is_given(l->options, "model.path") &&
        !wf_options_is_given(l->options, "requests")) {
        return fail_with_first(WF_CONFIG, l->options);
    }
    WF_TRY(resolve(l, source->path));
    WF_TRY(wf_jobspec_check_keys(&l->spec, l->options));
    if (!source->keep_globs) {
        WF_TRY(wf_generation_take(&l->spec, l->options, l->taken));
        WF_TRY(wf_jobspec_check_files(&l->spec, l->options, &l->requests, &n_missing));
        l->spec.requests.n = l->requests.n;
        l->spec.requests.item = (const char *const *)l->requests.item;
    }
    WF_TRY(shards_name(l));
    wf_status st = wf_options_finish(l->options);
    if (st == WF_CONFIG && n_missing == wf_options_n_problems(l->options))
        st = fail_with_first(WF_NO_INPUT, l->options);
    return st;
}

wf_status wf_jobspec_load(const wf_jobspec_source *source, wf_jobspec **out, char **problems)
{
    loaded *l;
    *problems = NULL;
    WF_TRY(wf_alloc(1, sizeof *l, &l));
    wf_jobspec *spec = &l->spec;
    wf_status st = load(l, source);
    if (st == WF_OK) {
        *out = spec;
        return WF_OK;
    }
    if (l->options && wf_options_n_problems(l->options) > 0)
        *problems = strdup(wf_options_problems(l->options)); // without them the first is still told
    wf_jobspec_destroy(&spec);
    return st;
}

wf_status wf_jobspec_take_part(wf_jobspec *spec, int part, int n_parts)
{
    loaded *l = loaded_of(spec);
    char name[16];
    size_t n = 0;
    if (spec->requests.n <= (size_t)part) {
        return wf_fail(
            WF_USAGE,
            "part %d of %d: there are %zu shards for them, and every part needs one: use "
            "fewer parts or split the shards",
            part, n_parts, spec->requests.n);
    }
    WF_TRY(wf_alloc(spec->requests.n, sizeof *l->part, &l->part));
    for (size_t i = (size_t)part; i < spec->requests.n; i += (size_t)n_parts)
        l->part[n++] = spec->requests.item[i];
    snprintf(name, sizeof name, "a%d", part);
    WF_TRY(wf_path_join(spec->output.dir, name, &l->part_dir));
    if (spec->output.text[0]) {
        WF_TRY(wf_prompts_part_name(spec->output.text, name, &l->part_text));
        spec->output.text = l->part_text;
    }
    spec->requests = (wf_option_strings){.n = n, .item = l->part};
    spec->output.dir = l->part_dir;
    return shards_name(l);
}

wf_status wf_jobspec_text(const wf_jobspec *spec, char **out)
{
    return wf_options_to_yaml(loaded_of(spec)->options, out);
}

const char *wf_jobspec_backend(const wf_jobspec *spec)
{
    static const char *const names[] = {[WF_SPEC_BACKEND_AUTO] = NULL,
                                        [WF_SPEC_BACKEND_REF] = "ref",
                                        [WF_SPEC_BACKEND_CPU] = "cpu",
                                        [WF_SPEC_BACKEND_CUDA] = "cuda"};
    return names[spec->parallel.backend];
}

wf_spec_arrivals wf_jobspec_process(const wf_jobspec *spec)
{
    bool of_sessions = spec->arrivals.mode == WF_SPEC_SESSIONS;
    return of_sessions ? spec->arrivals.sessions : spec->arrivals.mode;
}

unsigned wf_jobspec_modes(const wf_jobspec *spec)
{
    return WF_SPEC_MODE(spec->arrivals.mode) | WF_SPEC_MODE(wf_jobspec_process(spec));
}

// ---- identity -----------------------------------------------------------------------------------

// Of 4 bytes: a word, or a number as its text says it. Lists and switches: empty, and off.
static bool is_default(const wf_jobspec *spec, const wf_option *option)
{
    int number;
    float real;
    const char *at = (const char *)spec + option->offset;
    if (option->type == WF_OPTION_STRINGS)
        return ((const wf_option_strings *)(const void *)at)->n == 0;
    if (option->type == WF_OPTION_BOOL) return !*(const bool *)at;
    memcpy(&number, at, sizeof number);
    memcpy(&real, &number, sizeof real);
    if (option->type == WF_OPTION_F32) return real == strtof(option->default_text, NULL);
    if (!option->words) return number == (int)strtol(option->default_text, NULL, 10);
    for (const wf_option_word *word = option->words; word->word; word++)
        if (strcmp(word->word, option->default_text) == 0) return word->value == number;
    return false;
}

static bool decides(const wf_jobspec *spec, const wf_option *option)
{
    if (option->decides & WF_SPEC_UNLESS_DEFAULT && is_default(spec, option)) return false;
    return (option->decides & wf_jobspec_modes(spec)) != 0;
}

bool wf_jobspec_decides(const wf_jobspec *spec, const char *key)
{
    for (size_t i = 0; i < wf_jobspec_n_options; i++)
        if (strcmp(wf_jobspec_table[i].name, key) == 0) return decides(spec, &wf_jobspec_table[i]);
    return false;
}

static void put_enum(wf_json_writer *w, const wf_option *option, const void *value)
{
    int number;
    memcpy(&number, value, sizeof number);
    const wf_option_word *word = option->words;
    while (word->word && word->value != number)
        word++;
    if (word->word) wf_json_put_string(w, option->name, word->word); // of several, the first
}

static void put_list(wf_json_writer *w, const char *name, const wf_option_i32s *list)
{
    wf_json_open_array(w, name);
    for (size_t i = 0; i < list->n; i++)
        wf_json_put_i64(w, NULL, list->item[i]);
    wf_json_close(w);
}

static void put_texts(wf_json_writer *w, const char *name, const wf_option_strings *list)
{
    wf_json_open_array(w, name);
    for (size_t i = 0; i < list->n; i++)
        wf_json_put_string(w, NULL, list->item[i]);
    wf_json_close(w);
}

static void put_value(wf_json_writer *w, const wf_option *option, const wf_jobspec *spec)
{
    const void *value = (const char *)spec + option->offset;
    const char *name = option->name;
    switch (option->type) {
    case WF_OPTION_BOOL:
        wf_json_put_bool(w, name, *(const bool *)value);
        break;
    case WF_OPTION_I32:
        wf_json_put_i64(w, name, *(const int32_t *)value);
        break;
    case WF_OPTION_U32:
        wf_json_put_i64(w, name, *(const uint32_t *)value);
        break;
    case WF_OPTION_F32:
        wf_json_put_f32(w, name, *(const float *)value);
        break;
    case WF_OPTION_F64:
        wf_json_put_f64(w, name, *(const double *)value);
        break;
    case WF_OPTION_ENUM:
        put_enum(w, option, value);
        break;
    case WF_OPTION_I32S:
        put_list(w, name, value);
        break;
    case WF_OPTION_STRING:
        wf_json_put_string(w, name, *(const char *const *)value);
        break;
    case WF_OPTION_I64:
    case WF_OPTION_DURATION:
    case WF_OPTION_BYTES:
        wf_json_put_i64(w, name, *(const int64_t *)value);
        break;
    case WF_OPTION_STRINGS:
        put_texts(w, name, value);
        break;
    case WF_OPTION_MEMORY:
        break; // no row of this type decides outputs
    }
}

void wf_jobspec_put_identity(const wf_jobspec *spec, wf_json_writer *w)
{
    for (size_t i = 0; i < wf_jobspec_n_options; i++) {
        const wf_option *option = &wf_jobspec_table[i];
        if (decides(spec, option)) put_value(w, option, spec);
    }
}
