// The option engine: sources in, config and collected mistakes out. What a value may be is in
// option_value.c, what is printed from a table in option_render.c.
#include "io/base/option.h"

#include "io/base/file.h"
#include "io/base/option_value.h"
#include "io/base/yaml.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_MAX_BYTES = 256,  // longer keys are cut, and unknown
    PROBLEMS_SHOWN = 50,  // a hostile file must not fill the terminal
    SNIPPET_COLUMNS = 96, // of a source line, around the place
    NEAR_MAX = 128        // words compared for "did you mean"
};

// Where a key was last set: for complaints that come later.
typedef struct {
    const char *place; // "job.yaml:4:13"; NULL: nowhere
    const char *snippet;
} origin;

struct wf_options {
    const wf_option *table;
    size_t n;
    void *config;
    wf_arena *arena;
    origin *origins; // [n]
    const char *file;
    const wf_option_alias *aliases; // may be NULL
    wf_text problems;
    int n_problems;
    char first[WF_ERROR_MAX];
};

// The source that is being applied, for messages.
typedef struct {
    const char *name;
    const char *text; // NULL where there are no lines to show
    size_t text_bytes;
} source;

static wf_status set_defaults(wf_options *o)
{
    for (size_t i = 0; i < o->n; i++) {
        const wf_option *option = &o->table[i];
        const char *const *texts;
        size_t n, i_bad;
        wf_status st = WF_OK;
        if (!option->default_text) continue;
        if (wf_option_is_list(option)) {
            st = wf_option_split(option->default_text, o->arena, &texts, &n);
            if (st == WF_OK)
                st = wf_option_store_list(option, texts, n, o->arena, o->config, &i_bad);
        } else {
            st = wf_option_store(option, option->default_text, o->arena, o->config);
        }
        if (st == WF_DATA)
            return wf_fail(WF_INTERNAL, "option %s: its default: %s", option->name, wf_error());
        WF_TRY(st);
    }
    return WF_OK;
}

wf_status wf_options_create(const wf_option *table, size_t n_options, void *config,
                            wf_options **out)
{
    wf_options *o;
    wf_status st;
    WF_TRY(wf_alloc(1, sizeof *o, &o));
    o->table = table;
    o->n = n_options;
    o->config = config;
    WF_TRY_TO(fail, wf_arena_create(0, &o->arena));
    WF_TRY_TO(fail, wf_alloc(n_options, sizeof *o->origins, &o->origins));
    WF_TRY_TO(fail, set_defaults(o));
    *out = o;
    return WF_OK;
fail:
    wf_options_destroy(&o);
    return st;
}

void wf_options_destroy(wf_options **options)
{
    if (!*options) return;
    wf_arena_destroy(&(*options)->arena);
    wf_text_free(&(*options)->problems);
    free((*options)->origins);
    free(*options);
    *options = NULL;
}

void wf_options_also_called(wf_options *options, const wf_option_alias *aliases)
{
    options->aliases = aliases;
}

// --- Mistakes ---

static wf_status report(wf_options *o, const char *place, const char *key, const char *message,
                        const char *snippet)
{
    char headline[WF_ERROR_MAX];
    bool has_key = key && key[0] != '\0';
    snprintf(headline, sizeof headline, "%s%s%s%s%s", place, place[0] ? ": " : "",
             has_key ? key : "", has_key ? ": " : "", message);
    for (char *c = headline; *c; c++) // keys come from files, and headlines go to terminals
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
    if (o->n_problems == 0) memcpy(o->first, headline, sizeof headline);
    if (o->n_problems < PROBLEMS_SHOWN)
        wf_text_printf(&o->problems, "%s\n%s", headline, snippet);
    else if (o->n_problems == PROBLEMS_SHOWN)
        wf_text_puts(&o->problems, "There are more mistakes; they are not shown.\n");
    o->n_problems++;
    return o->problems.st;
}

// The source line with a caret below the place, both indented; "" where there is no line. Long
// lines show the part around the place, and what could steer a terminal shows as a space.
static wf_status snippet_of(wf_options *o, const source *src, wf_yaml_place place, const char **out)
{
    size_t length;
    const char *line =
        src->text ? wf_yaml_source_line(src->text, src->text_bytes, place.line, &length) : NULL;
    *out = "";
    if (!line) return WF_OK;
    int first = place.col > SNIPPET_COLUMNS - 16 ? place.col - SNIPPET_COLUMNS / 2 : 1;
    wf_text text = {0};
    wf_text_pad(&text, ' ', 4);
    int col = 1;
    for (size_t i = 0; i < length && col < first + SNIPPET_COLUMNS; col++) {
        size_t n = wf_utf8_length(line + i, length - i);
        bool plain = n > 1 || (n == 1 && isprint((unsigned char)line[i]));
        if (col >= first) wf_text_add(&text, plain ? line + i : " ", plain ? n : 1);
        i += n ? n : 1;
    }
    wf_text_puts(&text, "\n");
    wf_text_pad(&text, ' ', (size_t)(4 + place.col - first));
    wf_text_puts(&text, "^\n");
    wf_status st = text.st == WF_OK ? wf_arena_strdup(o->arena, text.bytes, out) : text.st;
    wf_text_free(&text);
    return st;
}

static wf_status place_text(wf_options *o, const source *src, wf_yaml_place place, const char **out)
{
    char text[WF_ERROR_MAX];
    if (place.line == 0) return wf_arena_strdup(o->arena, src->name, out);
    snprintf(text, sizeof text, "%s:%d:%d", src->name, place.line, place.col);
    return wf_arena_strdup(o->arena, text, out);
}

static wf_status report_at(wf_options *o, const source *src, wf_yaml_place place, const char *key,
                           const char *message)
{
    const char *where, *snippet;
    if (o->n_problems > PROBLEMS_SHOWN) return report(o, "", key, message, "");
    WF_TRY(place_text(o, src, place, &where));
    WF_TRY(snippet_of(o, src, place, &snippet));
    return report(o, where, key, message, snippet);
}

// --- Keys ---

static const wf_option *option_find(const wf_options *o, const char *key)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->table[i].name, key) == 0) return &o->table[i];
    return NULL;
}

static bool is_section(const wf_options *o, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < o->n; i++)
        if (strncmp(o->table[i].name, key, n) == 0 && o->table[i].name[n] == '.') return true;
    return false;
}

// Looks for what was meant: a key or section beside it first, then a key of that very name
// elsewhere. Writes "" when nothing is near.
static void did_you_mean(const wf_options *o, const char *key, char *out, size_t out_bytes)
{
    const char *dot = strrchr(key, '.'), *last = dot ? dot + 1 : key;
    size_t n_prefix = (size_t)(last - key), n = 0;
    char words[NEAR_MAX][KEY_MAX_BYTES / 4];
    const char *near_words[NEAR_MAX];
    out[0] = '\0';
    for (size_t i = 0; i < o->n && n < NEAR_MAX; i++) {
        const char *name = o->table[i].name, *name_dot = strrchr(name, '.');
        if (strncmp(name, key, n_prefix) == 0) {
            size_t length = strcspn(name + n_prefix, ".");
            snprintf(words[n], sizeof words[n], "%.*s", (int)length, name + n_prefix);
            near_words[n] = words[n];
            n++;
        }
        if (strcmp(name_dot ? name_dot + 1 : name, last) == 0)
            snprintf(out, out_bytes, "; did you mean %s?", name);
    }
    const char *nearest = wf_nearest_word(last, near_words, n);
    if (nearest) snprintf(out, out_bytes, "; did you mean %.*s%s?", (int)n_prefix, key, nearest);
}

static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_')) return false;
    return *a == *b;
}

// What another program's word is called here. Writes nothing where it is nobody's.
static void called_here(const wf_options *o, const char *key, char *out, size_t out_bytes)
{
    const char *dot = strrchr(key, '.');
    for (const wf_option_alias *a = o->aliases; a && a->theirs; a++) {
        if (!same_word(dot ? dot + 1 : key, a->theirs)) continue;
        snprintf(out, out_bytes, "%s%s%s%s", a->ours ? "; here it is called " : "",
                 a->ours ? a->ours : "", a->note ? "; " : "", a->note ? a->note : "");
    }
}

static wf_status report_unknown(wf_options *o, const source *src, wf_yaml_place place,
                                const char *key)
{
    char message[2 * KEY_MAX_BYTES], meant[KEY_MAX_BYTES + 32] = "";
    if (is_section(o, key)) {
        snprintf(message, sizeof message, "is a section: set one of its keys");
    } else {
        if (o->n_problems < PROBLEMS_SHOWN) called_here(o, key, meant, sizeof meant);
        if (o->n_problems < PROBLEMS_SHOWN && !meant[0]) did_you_mean(o, key, meant, sizeof meant);
        snprintf(message, sizeof message, "unknown key%s", meant);
    }
    return report_at(o, src, place, key, message);
}

static wf_status mark_given(wf_options *o, const source *src, wf_yaml_place place,
                            const wf_option *option)
{
    origin *from = &o->origins[option - o->table];
    WF_TRY(place_text(o, src, place, &from->place));
    return snippet_of(o, src, place, &from->snippet);
}

// A store's outcome: mistakes go on the list, the rest to the caller.
static wf_status settle(wf_options *o, const source *src, wf_yaml_place place,
                        const wf_option *option, wf_status st)
{
    if (st == WF_OK) return mark_given(o, src, place, option);
    if (st != WF_DATA) return st;
    WF_TRY(mark_given(o, src, place, option)); // given, though badly: not also "missing"
    return report_at(o, src, place, option->name, wf_error());
}

// --- YAML ---

static const char *node_words(const wf_yaml_node *node)
{
    static const char *const words[] = {"a value", "keys with values", "a list"};
    return words[node->kind];
}

static wf_status report_kind(wf_options *o, const source *src, const wf_yaml_node *node,
                             const wf_option *option)
{
    char message[WF_ERROR_MAX];
    wf_text wanted = {0};
    wf_option_describe(option, &wanted);
    snprintf(message, sizeof message, "expected %s, got %s",
             wanted.st == WF_OK ? wanted.bytes : "something else", node_words(node));
    wf_text_free(&wanted);
    WF_TRY(mark_given(o, src, node->place, option));
    return report_at(o, src, node->place, option->name, message);
}

static wf_status apply_list(wf_options *o, const source *src, const wf_yaml_node *node,
                            const wf_option *option)
{
    bool single = node->kind == WF_YAML_SCALAR;
    size_t n = single ? 1 : node->n_items, i = 0, i_bad = 0;
    const wf_yaml_node *item = single ? node : node->first_item;
    const char **texts;
    if (node->kind == WF_YAML_MAP) return report_kind(o, src, node, option);
    WF_TRY(wf_arena_alloc(o->arena, n + 1, sizeof *texts, &texts));
    for (const wf_yaml_node *at = item; i < n; at = at->next) {
        if (at->kind != WF_YAML_SCALAR) return report_kind(o, src, at, option);
        texts[i++] = at->text;
    }
    wf_status st = wf_option_store_list(option, texts, n, o->arena, o->config, &i_bad);
    if (st == WF_OK) return settle(o, src, node->place, option, st);
    while (i_bad-- > 0)
        item = item->next;
    return settle(o, src, item->place, option, st);
}

static wf_status apply_node(wf_options *o, const source *src, const wf_yaml_node *node,
                            const wf_option *option)
{
    if (wf_yaml_is_null(node)) return WF_OK;
    if (wf_option_is_list(option)) return apply_list(o, src, node, option);
    if (node->kind != WF_YAML_SCALAR) return report_kind(o, src, node, option);
    return settle(o, src, node->place, option,
                  wf_option_store(option, node->text, o->arena, o->config));
}

static wf_status apply_map(wf_options *o, const source *src, const wf_yaml_node *map,
                           const char *section)
{
    for (const wf_yaml_node *node = map->first_item; node; node = node->next) {
        char key[KEY_MAX_BYTES];
        snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", node->key);
        const wf_option *option = option_find(o, key);
        if (option && !strchr(node->key, '.'))
            WF_TRY(apply_node(o, src, node, option));
        else if (!is_section(o, key) || strchr(node->key, '.'))
            WF_TRY(report_unknown(o, src, node->key_place, key));
        else if (node->kind == WF_YAML_MAP)
            WF_TRY(apply_map(o, src, node, key));
        else if (!wf_yaml_is_null(node))
            WF_TRY(report_at(o, src, node->place, key, "expected keys with values below it"));
    }
    return WF_OK;
}

// libyaml's complaint begins with the place, which the report writes itself.
static wf_status report_syntax(wf_options *o, const source *src, wf_yaml_place place)
{
    char prefix[WF_ERROR_MAX], message[WF_ERROR_MAX];
    snprintf(prefix, sizeof prefix, "%s:%d:%d: ", src->name, place.line, place.col);
    size_t n = strlen(prefix);
    bool has_prefix = strncmp(wf_error(), prefix, n) == 0;
    snprintf(message, sizeof message, "%s", wf_error() + (has_prefix ? n : 0));
    if (has_prefix) return report_at(o, src, place, NULL, message);
    return report(o, "", NULL, message, "");
}

wf_status wf_options_apply_yaml(wf_options *options, const char *name, const char *text,
                                size_t text_bytes)
{
    wf_yaml *doc;
    wf_yaml_place place;
    source src = {.name = name, .text = text, .text_bytes = text_bytes};
    if (!options->file) WF_TRY(wf_arena_strdup(options->arena, name, &options->file));
    wf_status st = wf_yaml_parse(name, text, text_bytes, &doc, &place);
    if (st == WF_CONFIG) return report_syntax(options, &src, place);
    WF_TRY(st);
    const wf_yaml_node *root = wf_yaml_root(doc);
    if (root->kind == WF_YAML_MAP)
        st = apply_map(options, &src, root, "");
    else
        st = report_at(options, &src, root->place, NULL, "expected keys with values");
    wf_yaml_destroy(&doc);
    return st;
}

wf_status wf_options_apply_file(wf_options *options, const char *path)
{
    char *text = NULL;
    size_t n;
    if (!options->file) WF_TRY(wf_arena_strdup(options->arena, path, &options->file));
    wf_status st = wf_file_read(path, WF_YAML_MAX_BYTES, &text, &n);
    if (st == WF_DATA) return report(options, "", NULL, wf_error(), "");
    WF_TRY(st);
    st = wf_options_apply_yaml(options, path, text, n);
    free(text);
    return st;
}

// --- Environment and command line ---

static wf_status apply_text(wf_options *o, const source *src, const char *key, const char *text)
{
    wf_yaml_place nowhere = {0};
    const wf_option *option = option_find(o, key);
    if (!option) return report_unknown(o, src, nowhere, key);
    if (!wf_option_is_list(option))
        return settle(o, src, nowhere, option, wf_option_store(option, text, o->arena, o->config));
    const char *const *texts;
    size_t n, i_bad;
    wf_status st = wf_option_split(text, o->arena, &texts, &n);
    if (st == WF_OK) st = wf_option_store_list(option, texts, n, o->arena, o->config, &i_bad);
    return settle(o, src, nowhere, option, st);
}

// "ENGINE__MAX_ROWS" -> "engine.max_rows"
static void key_from_environment(const char *name, size_t n, char key[KEY_MAX_BYTES])
{
    size_t length = 0;
    for (size_t i = 0; i < n && length + 1 < KEY_MAX_BYTES; i++) {
        bool dot = name[i] == '_' && i + 1 < n && name[i + 1] == '_';
        key[length++] = dot ? '.' : (char)tolower((unsigned char)name[i]);
        i += dot;
    }
    key[length] = '\0';
}

wf_status wf_options_apply_environment(wf_options *options, const char *prefix,
                                       const char *const *environment)
{
    size_t n_prefix = strlen(prefix);
    const char *const *lines = environment ? environment : (const char *const *)environ;
    for (; lines && *lines; lines++) {
        char name[KEY_MAX_BYTES], key[KEY_MAX_BYTES];
        const char *equals = strchr(*lines, '=');
        if (!equals || strncmp(*lines, prefix, n_prefix) != 0) continue;
        size_t n = (size_t)(equals - *lines);
        key_from_environment(*lines + n_prefix, n - n_prefix, key);
        if (!option_find(options, key) && !strchr(key, '.')) continue; // not meant for us
        snprintf(name, sizeof name, "%.*s", (int)n, *lines);
        WF_TRY(apply_text(options, &(source){.name = name}, key, equals + 1));
    }
    return WF_OK;
}

wf_status wf_options_apply_set(wf_options *options, const char *assignment)
{
    char name[KEY_MAX_BYTES], key[KEY_MAX_BYTES];
    const char *equals = strchr(assignment, '=');
    snprintf(name, sizeof name, "--set %.200s", assignment);
    if (!equals || equals == assignment)
        return report(options, name, NULL, "expected key=value", "");
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    return apply_text(options, &(source){.name = name}, key, equals + 1);
}

// --- The end ---

wf_status wf_options_complain(wf_options *options, const char *key, const char *format, ...)
{
    char message[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const wf_option *option = option_find(options, key);
    const origin *from = option ? &options->origins[option - options->table] : NULL;
    if (from && from->place) return report(options, from->place, key, message, from->snippet);
    return report(options, options->file ? options->file : "", key, message, "");
}

wf_status wf_options_finish(wf_options *options)
{
    for (size_t i = 0; i < options->n; i++) {
        const wf_option *option = &options->table[i];
        if (option->default_text || options->origins[i].place) continue;
        WF_TRY(wf_options_complain(options, option->name, "missing: %s", option->help));
    }
    if (options->problems.st != WF_OK) return options->problems.st;
    if (options->n_problems == 0) return WF_OK;
    if (options->n_problems == 1) return wf_fail(WF_CONFIG, "%s", options->first);
    return wf_fail(WF_CONFIG, "%s (and %d more)", options->first, options->n_problems - 1);
}

const char *wf_options_problems(const wf_options *options)
{
    return options->problems.bytes ? options->problems.bytes : "";
}

int wf_options_n_problems(const wf_options *options)
{
    return options->n_problems;
}

bool wf_options_is_given(const wf_options *options, const char *key)
{
    const wf_option *option = option_find(options, key);
    assert(option && "not a key of the table");
    return option && options->origins[option - options->table].place;
}

wf_status wf_options_to_yaml(const wf_options *options, char **out)
{
    return wf_option_render_yaml(options->table, options->n, options->config, out);
}
