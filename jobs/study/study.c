// See study.h.
#include "jobs/study/study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "io/base/yaml.h"

enum { MOST_POINTS = 100000 };

typedef struct reading {
    const char *path;
    wf_study *study;
} reading;

// ---- values -------------------------------------------------------------------------------------

static wf_status complain(const reading *r, const wf_yaml_node *node, const char *what)
{
    wf_yaml_place at = node->key ? node->key_place : node->place;
    return wf_fail(WF_CONFIG, "%s:%d:%d: %s%s%s", r->path, at.line, at.col,
                   node->key ? node->key : "", node->key ? ": " : "", what);
}

// As --set takes it: a list in brackets.
static wf_status value_text(const reading *r, const wf_yaml_node *node, wf_text *out)
{
    if (node->kind == WF_YAML_MAP) return complain(r, node, "is a map where a value is meant");
    if (node->kind == WF_YAML_SCALAR) {
        wf_text_puts(out, node->text);
        return WF_OK;
    }
    wf_text_puts(out, "[");
    for (const wf_yaml_node *item = node->first_item; item; item = item->next) {
        WF_TRY(value_text(r, item, out));
        if (item->next) wf_text_puts(out, ", ");
    }
    wf_text_puts(out, "]");
    return WF_OK;
}

static wf_status value_add(const reading *r, const wf_yaml_node *node, const char *before,
                           wf_paths *to)
{
    wf_text text = {0};
    char *whole = NULL;
    wf_text_puts(&text, before);
    wf_status st = value_text(r, node, &text);
    if (st == WF_OK) st = wf_text_take(&text, &whole);
    if (st == WF_OK) st = wf_paths_add(to, whole);
    wf_text_free(&text);
    free(whole);
    return st;
}

static wf_status word_read(const reading *r, const wf_yaml_node *node, char **out)
{
    if (node->kind != WF_YAML_SCALAR) return complain(r, node, "is no single word");
    free(*out);
    *out = NULL;
    return wf_strdup(node->text, out);
}

// ---- keys ---------------------------------------------------------------------------------------

static wf_status axis_add(const reading *r, const char *key, const wf_yaml_node *values)
{
    wf_study *s = r->study;
    size_t capacity = s->n_axes;
    WF_TRY(wf_grow(s->n_axes + 1, sizeof *s->axes, &capacity, &s->axes));
    wf_study_axis *axis = &s->axes[s->n_axes++];
    *axis = (wf_study_axis){0};
    WF_TRY(wf_strdup(key, &axis->key));
    if (values->kind != WF_YAML_SEQ || values->n_items == 0)
        return complain(r, values, "give a list of values");
    for (const wf_yaml_node *v = values->first_item; v; v = v->next)
        WF_TRY(value_add(r, v, "", &axis->values));
    return WF_OK;
}

static wf_status grid_read(const reading *r, const wf_yaml_node *node)
{
    if (node->kind != WF_YAML_MAP) return complain(r, node, "give keys of the job file");
    for (const wf_yaml_node *axis = node->first_item; axis; axis = axis->next)
        WF_TRY(axis_add(r, axis->key, axis));
    return WF_OK;
}

static wf_status seeds_read(const reading *r, const wf_yaml_node *node)
{
    r->study->has_seeds = true;
    return axis_add(r, "seed", node);
}

static wf_status set_read(const reading *r, const wf_yaml_node *node)
{
    if (node->kind != WF_YAML_MAP) return complain(r, node, "give keys of the job file");
    for (const wf_yaml_node *item = node->first_item; item; item = item->next) {
        char before[256];
        snprintf(before, sizeof before, "%s=", item->key);
        WF_TRY(value_add(r, item, before, &r->study->fixed));
    }
    return WF_OK;
}

static wf_status prepare_read(const reading *r, const wf_yaml_node *node)
{
    wf_study *s = r->study;
    if (node->kind != WF_YAML_SEQ) return complain(r, node, "give a list of commands");
    for (const wf_yaml_node *line = node->first_item; line; line = line->next) {
        size_t capacity = s->n_commands;
        if (line->kind != WF_YAML_SEQ)
            return complain(r, line, "give a command as a list of words");
        WF_TRY(wf_grow(s->n_commands + 1, sizeof *s->commands, &capacity, &s->commands));
        wf_paths *words = &s->commands[s->n_commands++];
        *words = (wf_paths){0};
        for (const wf_yaml_node *word = line->first_item; word; word = word->next)
            WF_TRY(value_add(r, word, "", words));
    }
    return WF_OK;
}

static wf_status name_read(const reading *r, const wf_yaml_node *node)
{
    return word_read(r, node, &r->study->name);
}

static wf_status job_read(const reading *r, const wf_yaml_node *node)
{
    WF_TRY(word_read(r, node, &r->study->job));
    size_t n_folder = (size_t)(wf_path_name(r->path) - r->path);
    wf_text text = {0};
    char *beside = NULL;
    wf_text_add(&text, r->path, n_folder);
    wf_text_puts(&text, r->study->job);
    WF_TRY(wf_text_take(&text, &beside));
    if (r->study->job[0] == '/' || !wf_file_exists(beside)) {
        free(beside);
        return WF_OK;
    }
    free(r->study->job);
    r->study->job = beside;
    return WF_OK;
}

static wf_status limits_read(const reading *r, const wf_yaml_node *node)
{
    return word_read(r, node, &r->study->limits);
}

static wf_status launch_read(const reading *r, const wf_yaml_node *node)
{
    return word_read(r, node, &r->study->launch);
}

static wf_status simulate_read(const reading *r, const wf_yaml_node *node)
{
    return word_read(r, node, &r->study->simulate);
}

static wf_status share_read(const reading *r, const wf_yaml_node *node)
{
    if (node->kind != WF_YAML_SCALAR ||
        wf_parse_f64(node->text, 0.01, 1, &r->study->share) != WF_OK)
        return complain(r, node, "is no number between 0.01 and 1");
    return WF_OK;
}

static wf_status warmup_read(const reading *r, const wf_yaml_node *node)
{
    if (node->kind != WF_YAML_SCALAR ||
        wf_parse_duration(node->text, &r->study->warmup_ns) != WF_OK)
        return complain(r, node, "is no time, such as 10s");
    return WF_OK;
}

// `rising` and `scale` name an axis, which may stand below: read after all others.
static wf_status axis_named(const reading *r, const wf_yaml_node *node, int *out)
{
    const wf_study *s = r->study;
    for (size_t i = 0; node->kind == WF_YAML_SCALAR && i < s->n_axes; i++)
        if (strcmp(s->axes[i].key, node->text) == 0) *out = (int)i;
    return *out >= 0 ? WF_OK : complain(r, node, "is no key of the grid");
}

static wf_status rising_read(const reading *r, const wf_yaml_node *node)
{
    double last = -1e300;
    WF_TRY(axis_named(r, node, &r->study->rising));
    const wf_study_axis *axis = &r->study->axes[r->study->rising];
    for (size_t i = 0; i < axis->values.n; i++) {
        double value;
        if (wf_parse_f64(axis->values.item[i], -1e300, 1e300, &value) != WF_OK || value <= last)
            return complain(r, node, "its values must be numbers that rise");
        last = value;
    }
    return WF_OK;
}

static wf_status scale_read(const reading *r, const wf_yaml_node *node)
{
    return axis_named(r, node, &r->study->scale);
}

static const struct {
    const char *key;
    wf_status (*read)(const reading *r, const wf_yaml_node *node);
} keys[] = {{"study", name_read},        {"job", job_read},       {"prepare", prepare_read},
            {"set", set_read},           {"grid", grid_read},     {"seeds", seeds_read},
            {"goodput", limits_read},    {"share", share_read},   {"launch", launch_read},
            {"simulate", simulate_read}, {"warmup", warmup_read}, {"rising", rising_read},
            {"scale", scale_read}}; // in the order in which they are read

enum { N_KEYS = sizeof keys / sizeof keys[0] };

// What stands in a job file, and in no study.
static bool is_job_file(const wf_yaml_node *root)
{
    return !wf_yaml_find(root, "study") && !wf_yaml_find(root, "grid") &&
           wf_yaml_find(root, "model") && wf_yaml_find(root, "requests");
}

static wf_status unknown_key(const reading *r, const wf_yaml_node *node)
{
    const char *names[N_KEYS];
    char words[256];
    for (size_t i = 0; i < N_KEYS; i++)
        names[i] = keys[i].key;
    const char *near = wf_nearest_word(node->key, names, N_KEYS);
    snprintf(words, sizeof words, "no key of a study%s%s%s", near ? "; did you mean " : "",
             near ? near : "", near ? "?" : " (see weft help study)");
    return complain(r, node, words);
}

static wf_status root_read(const reading *r, const wf_yaml_node *root)
{
    if (root->kind != WF_YAML_MAP) return complain(r, root, "a study is a map of keys");
    if (is_job_file(root))
        return wf_fail(WF_CONFIG,
                       "%s: is a job file, of one run: weft run takes it; a study is a file of its "
                       "own that names it, job: %s, with the values that vary under grid: (weft "
                       "help study)",
                       r->path, wf_path_name(r->path));
    for (const wf_yaml_node *node = root->first_item; node; node = node->next) {
        size_t i = 0;
        while (i < N_KEYS && strcmp(node->key, keys[i].key) != 0)
            i++;
        if (i == N_KEYS) return unknown_key(r, node);
    }
    for (size_t i = 0; i < N_KEYS; i++) {
        const wf_yaml_node *node = wf_yaml_find(root, keys[i].key);
        if (node && !wf_yaml_is_null(node)) WF_TRY(keys[i].read(r, node));
    }
    if (!r->study->job) return wf_fail(WF_CONFIG, "%s: says no job: job: job.yaml", r->path);
    if (wf_study_points(r->study) > MOST_POINTS)
        return wf_fail(WF_CONFIG, "%s: its grid has more than %d points", r->path, MOST_POINTS);
    return WF_OK;
}

wf_status wf_study_read(const char *path, wf_study *out)
{
    const reading r = {path, out};
    char *text = NULL;
    size_t n = 0;
    wf_yaml *doc = NULL;
    wf_status st;
    *out = (wf_study){.share = 0.9, .rising = -1, .scale = -1};
    WF_TRY(wf_file_read(path, WF_YAML_MAX_BYTES, &text, &n));
    WF_TRY_TO(done, wf_yaml_parse(path, text, n, &doc, NULL));
    WF_TRY_TO(done, root_read(&r, wf_yaml_root(doc)));
    if (!out->name) WF_TRY_TO(done, wf_strdup(wf_path_name(path), &out->name));
    if (!out->limits) WF_TRY_TO(done, wf_strdup("", &out->limits));
    if (!out->launch) WF_TRY_TO(done, wf_strdup("", &out->launch));
    if (!out->simulate) WF_TRY_TO(done, wf_strdup("", &out->simulate));
done:
    wf_yaml_destroy(&doc);
    free(text);
    return st;
}

void wf_study_free(wf_study *s)
{
    char *const words[] = {s->name, s->job, s->limits, s->launch, s->simulate};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        free(words[i]);
    for (size_t i = 0; i < s->n_axes; i++) {
        free(s->axes[i].key);
        wf_paths_destroy(&s->axes[i].values);
    }
    for (size_t i = 0; i < s->n_commands; i++)
        wf_paths_destroy(&s->commands[i]);
    wf_paths_destroy(&s->fixed);
    free(s->axes);
    free(s->commands);
    *s = (wf_study){0};
}

// ---- points -------------------------------------------------------------------------------------

size_t wf_study_points(const wf_study *s)
{
    size_t n = 1;
    for (size_t i = 0; i < s->n_axes && n <= MOST_POINTS; i++)
        n *= s->axes[i].values.n;
    return n;
}

size_t wf_study_rising_values(const wf_study *s)
{
    return s->rising < 0 ? 1 : s->axes[s->rising].values.n;
}

void wf_study_point(const wf_study *s, size_t i_point, size_t *i_value)
{
    if (s->rising >= 0) {
        i_value[s->rising] = i_point % s->axes[s->rising].values.n;
        i_point /= s->axes[s->rising].values.n;
    }
    for (size_t i = s->n_axes; i-- > 0;) {
        if ((int)i == s->rising) continue;
        i_value[i] = i_point % s->axes[i].values.n;
        i_point /= s->axes[i].values.n;
    }
}

// The last word of a key, unless another one ends alike.
static const char *short_key(const wf_study *s, size_t i_axis)
{
    const char *key = s->axes[i_axis].key, *dot = strrchr(key, '.');
    const char *word = dot ? dot + 1 : key;
    for (size_t i = 0; i < s->n_axes; i++) {
        const char *other = strrchr(s->axes[i].key, '.');
        if (i != i_axis && strcmp(other ? other + 1 : s->axes[i].key, word) == 0) return key;
    }
    return word;
}

// What a folder's name may hold; the rest becomes '-'.
static void put_name(wf_text *out, const char *words)
{
    static const char *const good =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (const char *c = words; *c; c++)
        wf_text_pad(out, strchr(good, *c) ? *c : '-', 1);
}

wf_status wf_study_point_name(const wf_study *s, size_t i_point, const char *rising, char **out)
{
    wf_text text = {0};
    size_t *at = NULL;
    WF_TRY(wf_alloc(s->n_axes, sizeof *at, &at));
    wf_study_point(s, i_point, at);
    for (size_t i = 0; i < s->n_axes; i++) {
        if (i > 0) wf_text_puts(&text, "_");
        put_name(&text, short_key(s, i));
        wf_text_puts(&text, "-");
        put_name(&text, rising && (int)i == s->rising ? rising : s->axes[i].values.item[at[i]]);
    }
    if (s->n_axes == 0) wf_text_puts(&text, "all");
    free(at);
    return wf_text_take(&text, out);
}

const char *wf_study_value(const wf_study *s, const size_t *i_value, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < s->n_axes; i++)
        if (strcmp(s->axes[i].key, key) == 0) return s->axes[i].values.item[i_value[i]];
    for (size_t i = 0; i < s->fixed.n; i++)
        if (strncmp(s->fixed.item[i], key, n) == 0 && s->fixed.item[i][n] == '=')
            return s->fixed.item[i] + n + 1;
    return NULL;
}

long wf_study_ranks(const wf_study *s, const size_t *i_value)
{
    const char *tensor = wf_study_value(s, i_value, "parallel.tensor");
    const char *replicas = wf_study_value(s, i_value, "parallel.replicas");
    long t = tensor ? strtol(tensor, NULL, 10) : 1, r = replicas ? strtol(replicas, NULL, 10) : 1;
    return (t > 0 ? t : 1) * (r > 0 ? r : 1);
}
