// See flover_ini.h. Two walks over the lines: the first finds model_type, which says which section
// is the model's; the second reads.
#include "jobs/streams/flover_ini.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/base/file.h"
#include "io/base/parse.h"
#include "io/base/text.h"

enum { MAX_BYTES = 1 << 20 };

typedef struct key_row {
    wf_flover_section section;
    const char *name;
    wf_flover_kind kind;
    bool needed;
    double least, most;
    const char *otherwise;
} key_row;

static const key_row rows[] = {
#define ROW(NAME, section, name, kind, needed, least, most, otherwise)                             \
    {WF_FLOVER_##section, name, WF_FLOVER_##kind, needed, least, most, otherwise},
    WF_FLOVER_KEYS(ROW)
#undef ROW
};

static const char *const sections[] = {"model_specification", "runtime_hyperparameter", "request"};

// A line's parts; text points into the line, which is cut up.
typedef struct ini_line {
    int number;
    char *section; // NULL: none
    char *key, *value;
} ini_line;

static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return text;
}

// A comment begins a line, or follows a space.
static void cut_comment(char *line)
{
    for (char *c = line; *c; c++) {
        bool begins = c == line || isspace((unsigned char)c[-1]);
        if ((*c == ';' || *c == '#') && begins) {
            *c = '\0';
            return;
        }
    }
}

static wf_status line_read(const char *path, char *text, ini_line *out)
{
    cut_comment(text);
    text = trimmed(text);
    *out = (ini_line){.number = out->number};
    if (*text == '\0') return WF_OK;
    size_t n = strlen(text);
    if (*text == '[') {
        if (text[n - 1] != ']')
            return wf_fail(WF_DATA, "%s:%d: \"%.60s\" opens a section that no ] closes", path,
                           out->number, text);
        text[n - 1] = '\0';
        out->section = trimmed(text + 1);
        return WF_OK;
    }
    char *sign = strpbrk(text, "=:");
    if (!sign)
        return wf_fail(WF_DATA, "%s:%d: \"%.60s\" is neither [section] nor key=value", path,
                       out->number, text);
    *sign = '\0';
    out->key = trimmed(text);
    out->value = trimmed(sign + 1);
    return WF_OK;
}

typedef wf_status (*line_fn)(void *context, wf_flover_section section, const char *section_name,
                             const ini_line *line);

static wf_flover_section section_of(const char *name, const char *model_type)
{
    for (int i = 0; i < 3; i++)
        if (strcasecmp(name, sections[i]) == 0) return (wf_flover_section)i;
    return strcasecmp(name, model_type) == 0 ? WF_FLOVER_MODEL : WF_FLOVER_OTHER;
}

static wf_status walk(const char *path, const char *text, const char *model_type, line_fn tell,
                      void *context)
{
    wf_status st = WF_OK;
    char section[128] = "", *line = NULL;
    const char *end;
    ini_line parts = {0};
    for (const char *at = text; st == WF_OK && *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, "\n");
        line = strndup(at, (size_t)(end - at));
        if (!line) return wf_fail(WF_NO_MEMORY, "%s: out of memory", path);
        parts.number++;
        st = line_read(path, line, &parts);
        if (st == WF_OK && parts.section) snprintf(section, sizeof section, "%s", parts.section);
        if (st == WF_OK && (parts.key || parts.section))
            st = tell(context, section_of(section, model_type), section, &parts);
        free(line);
    }
    return st;
}

// ---- one key ------------------------------------------------------------------------------------

static wf_status find_type(void *context, wf_flover_section section, const char *name,
                           const ini_line *line)
{
    wf_flover *f = context;
    wf_flover_value *v = &f->value[WF_FLOVER_MODEL_TYPE];
    (void)name;
    if (section != WF_FLOVER_SPEC || !line->key || strcasecmp(line->key, "model_type") != 0)
        return WF_OK;
    snprintf(v->text, sizeof v->text, "%s", line->value);
    return WF_OK;
}

static wf_status unknown(const wf_flover *f, wf_flover_section section, const char *section_name,
                         const ini_line *line)
{
    const char *names[WF_FLOVER_N_KEYS];
    size_t n = 0;
    for (int i = 0; i < WF_FLOVER_N_KEYS; i++)
        if (rows[i].section == section) names[n++] = rows[i].name;
    const char *near = wf_nearest_word(line->key, names, n);
    return wf_fail(WF_DATA, "%s:%d: [%s] %s: Flover reads no such key%s%s; take it out", f->path,
                   line->number, section_name, line->key, near ? "; did you mean " : "",
                   near ? near : "");
}

static wf_status number_read(const wf_flover *f, wf_flover_key key)
{
    const key_row *row = &rows[key];
    wf_flover_value *v = (wf_flover_value *)&f->value[key];
    int64_t whole;
    if (row->kind == WF_FLOVER_WHOLE) {
        if (wf_parse_i64(v->text, INT32_MIN, INT32_MAX, &whole) != WF_OK)
            return wf_flover_fail(f, key, "%s", wf_error());
        v->number = (double)whole;
    } else if (wf_parse_f64(v->text, -1e30, 1e30, &v->number) != WF_OK) {
        return wf_flover_fail(f, key, "%s", wf_error());
    }
    if (v->number >= row->least && v->number <= row->most) return WF_OK;
    if (row->otherwise) return wf_flover_fail(f, key, "%s", row->otherwise);
    return wf_flover_fail(f, key, "must be %.10g to %.10g", row->least, row->most);
}

static void note_section(wf_flover *f, const char *name)
{
    size_t n = strlen(f->others);
    snprintf(f->others + n, sizeof f->others - n, "%s%s", n > 0 ? ", " : "", name);
}

static wf_status take_line(void *context, wf_flover_section section, const char *section_name,
                           const ini_line *line)
{
    wf_flover *f = context;
    if (section == WF_FLOVER_OTHER && line->section) note_section(f, section_name);
    if (!line->key) return WF_OK;
    if (*section_name == '\0')
        return wf_fail(WF_DATA, "%s:%d: %s stands before any [section]", f->path, line->number,
                       line->key);
    if (section == WF_FLOVER_OTHER) return WF_OK;
    for (int i = 0; i < WF_FLOVER_N_KEYS; i++) {
        wf_flover_value *v = &f->value[i];
        if (rows[i].section != section || strcasecmp(rows[i].name, line->key) != 0) continue;
        if (v->line > 0)
            return wf_fail(WF_DATA, "%s:%d: [%s] %s is given again, first in line %d", f->path,
                           line->number, section_name, rows[i].name, v->line);
        *v = (wf_flover_value){.line = line->number};
        snprintf(v->text, sizeof v->text, "%s", line->value);
        if (v->text[0] == '\0')
            return wf_flover_fail(f, (wf_flover_key)i,
                                  "it has no value: write one, or take the "
                                  "line out");
        return rows[i].kind == WF_FLOVER_WORD ? WF_OK : number_read(f, (wf_flover_key)i);
    }
    return unknown(f, section, section_name, line);
}

// ---- the file -----------------------------------------------------------------------------------

const char *wf_flover_name(wf_flover_key key)
{
    return rows[key].name;
}

const char *wf_flover_section_name(const wf_flover *f, wf_flover_key key)
{
    wf_flover_section section = rows[key].section;
    return section == WF_FLOVER_MODEL ? f->value[WF_FLOVER_MODEL_TYPE].text : sections[section];
}

double wf_flover_number(const wf_flover *f, wf_flover_key key, double otherwise)
{
    return f->value[key].line > 0 ? f->value[key].number : otherwise;
}

wf_status wf_flover_fail(const wf_flover *f, wf_flover_key key, const char *format, ...)
{
    char why[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return wf_fail(WF_DATA, "%s:%d: [%s] %s=%.80s: %s", f->path, f->value[key].line,
                   wf_flover_section_name(f, key), rows[key].name, f->value[key].text, why);
}

static wf_status check_needed(const wf_flover *f)
{
    for (int i = 0; i < WF_FLOVER_N_KEYS; i++)
        if (rows[i].needed && f->value[i].line == 0)
            return wf_fail(WF_DATA, "%s: [%s] %s is missing", f->path,
                           wf_flover_section_name(f, (wf_flover_key)i), rows[i].name);
    return WF_OK;
}

static wf_status check_types(const wf_flover *f)
{
    const wf_flover_value *type = &f->value[WF_FLOVER_DATA_TYPE];
    const wf_flover_value *again = &f->value[WF_FLOVER_RUNTIME_TYPE];
    static const char *const words[] = {"fp16", "bf16", "fp32"};
    bool known = false;
    for (int i = 0; i < 3; i++)
        known = known || strcmp(type->text, words[i]) == 0;
    if (!known)
        return wf_flover_fail(f, WF_FLOVER_DATA_TYPE,
                              "Flover has fp16, bf16 and fp32; for fewer "
                              "bytes set model.weights_format in the job");
    if (again->line > 0 && strcmp(again->text, type->text) != 0)
        return wf_flover_fail(f, WF_FLOVER_RUNTIME_TYPE,
                              "line %d says %s, which is what Flover reads: write the same",
                              type->line, type->text);
    return WF_OK;
}

// With beams nothing is drawn, and logits are taken as they are. All texts have one length here, so
// that a penalty of lengths changes no order.
static wf_status check_beams(const wf_flover *f)
{
    static const struct {
        wf_flover_key key;
        double plain;
    } off[] = {{WF_FLOVER_TOP_K, 0},    {WF_FLOVER_TOP_P, 0},      {WF_FLOVER_TEMPERATURE, 1},
               {WF_FLOVER_PRESENCE, 0}, {WF_FLOVER_REPETITION, 1}, {WF_FLOVER_MIN_LENGTH, 0},
               {WF_FLOVER_SHUFFLE, 0}};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (wf_flover_number(f, off[i].key, off[i].plain) != off[i].plain)
            return wf_flover_fail(f, off[i].key,
                                  "it does not go with beam_width=%.0f here: write %.0f, or "
                                  "beam_width=1",
                                  f->value[WF_FLOVER_BEAM_WIDTH].number, off[i].plain);
    return WF_OK;
}

static wf_status check_sampling(const wf_flover *f)
{
    if (wf_flover_number(f, WF_FLOVER_BEAM_WIDTH, 1) > 1) return check_beams(f);
    if (wf_flover_number(f, WF_FLOVER_LEN_PENALTY, 0) != 0)
        return wf_flover_fail(f, WF_FLOVER_LEN_PENALTY,
                              "without beams nothing has a length to be judged by: write 0");
    bool draws = f->value[WF_FLOVER_TOP_K].number > 0 || f->value[WF_FLOVER_TOP_P].number > 0;
    if (!draws)
        return wf_flover_fail(f, WF_FLOVER_TOP_K,
                              "with top_p=0 it asks for beam search: write beam_width, or "
                              "top_k=1 for greedy");
    if (wf_flover_number(f, WF_FLOVER_REPETITION, 1) != 1 &&
        wf_flover_number(f, WF_FLOVER_PRESENCE, 0) != 0)
        return wf_flover_fail(f, WF_FLOVER_PRESENCE,
                              "Flover takes only one of it and "
                              "repetition_penalty: write 0 here or 1 there");
    return WF_OK;
}

static wf_status check_lengths(const wf_flover *f)
{
    double most = f->value[WF_FLOVER_MAX_SEQ_LEN].number,
           in = f->value[WF_FLOVER_FIXED_INPUT_LEN].number;
    double out = f->value[WF_FLOVER_OUTPUT_LEN].number;
    bool shuffles = wf_flover_number(f, WF_FLOVER_SHUFFLE, 0) == 1;
    if (shuffles && (most < 128 || in >= 128))
        return wf_flover_fail(f, WF_FLOVER_SHUFFLE,
                              "it draws whole lengths from 128 to max_seq_len (%.0f), with "
                              "fixed_input_len (%.0f) in them: write 0, or other lengths",
                              most, in);
    if (in + out > most)
        return wf_flover_fail(
            f, WF_FLOVER_OUTPUT_LEN,
            "with fixed_input_len=%.0f it is beyond max_seq_len=%.0f: write %.0f at "
            "most",
            in, most, most - in);
    return WF_OK;
}

static wf_status read_text(const char *text, wf_flover *f)
{
    WF_TRY(walk(f->path, text, "", find_type, f));
    char type[256];
    snprintf(type, sizeof type, "%s", f->value[WF_FLOVER_MODEL_TYPE].text);
    WF_TRY(walk(f->path, text, type, take_line, f));
    WF_TRY(check_needed(f));
    if (strncasecmp(type, "llama", 5) != 0 && strncasecmp(type, "gptj", 4) != 0)
        return wf_flover_fail(f, WF_FLOVER_MODEL_TYPE, "Flover has gptj_6b and llama_...");
    WF_TRY(check_types(f));
    WF_TRY(check_sampling(f));
    return check_lengths(f);
}

wf_status wf_flover_read(const char *path, wf_flover *out)
{
    char *text = NULL;
    size_t n = 0;
    *out = (wf_flover){.path = path};
    WF_TRY(wf_file_read(path, MAX_BYTES, &text, &n));
    wf_status st = strlen(text) == n ? read_text(text, out)
                                     : wf_fail(WF_DATA, "%s: it has a byte 0: no text", path);
    free(text);
    return st;
}
