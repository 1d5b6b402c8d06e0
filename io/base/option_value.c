// One row per option type: its size, how text becomes a value and a value text.
#include "io/base/option_value.h"

#include "io/base/parse.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef wf_status (*parse_fn)(const wf_option *option, const char *text, wf_arena *arena,
                              void *out);
typedef void (*write_fn)(const wf_option *option, const void *value, wf_text *out);

typedef struct {
    parse_fn parse; // of one item, for lists
    write_fn write;
    size_t item_bytes;
    bool is_list;
    const char *words;
} type_row;

static bool has_bounds(const wf_option *option)
{
    return option->min != 0 || option->max != 0;
}

// Bounds are doubles, which hold every int64 bound that people write but INT64_MAX itself.
static int64_t bound_i64(double bound)
{
    if (bound >= 9223372036854775807.0) return INT64_MAX;
    if (bound <= -9223372036854775808.0) return INT64_MIN;
    return (int64_t)bound;
}

static int64_t min_i64(const wf_option *option, int64_t least)
{
    int64_t min = has_bounds(option) ? bound_i64(option->min) : least;
    return min > least ? min : least;
}

static int64_t max_i64(const wf_option *option, int64_t most)
{
    int64_t max = has_bounds(option) ? bound_i64(option->max) : most;
    return max < most ? max : most;
}

static const wf_option_word *word_find(const wf_option *option, const char *text)
{
    for (const wf_option_word *w = option->words; w && w->word; w++)
        if (strcmp(w->word, text) == 0) return w;
    return NULL;
}

static const wf_option_word *word_of_value(const wf_option *option, int64_t value)
{
    for (const wf_option_word *w = option->words; w && w->word; w++)
        if (w->value == value) return w;
    return NULL;
}

// Appends "a, b or c" to the detail of a number that was no word either.
static wf_status or_words(const wf_option *option, wf_status st)
{
    if (st != WF_DATA || !option->words) return st;
    wf_text words = {0};
    for (const wf_option_word *w = option->words; w->word; w++)
        wf_text_printf(&words, "%s%s", w == option->words ? "" : ", ", w->word);
    if (words.st == WF_OK) wf_fail(st, "%s (or write %s)", wf_error(), words.bytes);
    wf_text_free(&words);
    return st;
}

static wf_status parse_integer(const wf_option *option, const char *text, int64_t least,
                               int64_t most, int64_t *out)
{
    const wf_option_word *word = word_find(option, text);
    if (word) {
        *out = word->value;
        return WF_OK;
    }
    return or_words(option, wf_parse_i64(text, min_i64(option, least), max_i64(option, most), out));
}

static wf_status parse_i32(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    int64_t value;
    (void)arena;
    WF_TRY(parse_integer(option, text, INT32_MIN, INT32_MAX, &value));
    memcpy(out, &(int32_t){(int32_t)value}, sizeof(int32_t));
    return WF_OK;
}

static wf_status parse_u32(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    int64_t value;
    (void)arena;
    WF_TRY(parse_integer(option, text, 0, UINT32_MAX, &value));
    memcpy(out, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
    return WF_OK;
}

static wf_status parse_i64(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    int64_t value;
    (void)arena;
    WF_TRY(parse_integer(option, text, INT64_MIN, INT64_MAX, &value));
    memcpy(out, &value, sizeof value);
    return WF_OK;
}

static wf_status parse_bool(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    bool value;
    (void)option, (void)arena;
    WF_TRY(wf_parse_bool(text, &value));
    memcpy(out, &value, sizeof value);
    return WF_OK;
}

static wf_status parse_fraction(const wf_option *option, const char *text, double most, double *out)
{
    const wf_option_word *word = word_find(option, text);
    if (word) {
        *out = (double)word->value;
        return WF_OK;
    }
    double min = has_bounds(option) ? option->min : -most;
    double max = has_bounds(option) ? option->max : most;
    return or_words(option, wf_parse_f64(text, min, max, out));
}

static wf_status parse_f32(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    double value;
    (void)arena;
    WF_TRY(parse_fraction(option, text, FLT_MAX, &value));
    memcpy(out, &(float){(float)value}, sizeof(float));
    return WF_OK;
}

static wf_status parse_f64(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    double value;
    (void)arena;
    WF_TRY(parse_fraction(option, text, DBL_MAX, &value));
    memcpy(out, &value, sizeof value);
    return WF_OK;
}

static wf_status parse_string(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    const char *copy;
    (void)option;
    if (!wf_utf8_is_valid(text, strlen(text))) return wf_fail(WF_DATA, "is not valid UTF-8");
    WF_TRY(wf_arena_strdup(arena, text, &copy));
    memcpy(out, &copy, sizeof copy);
    return WF_OK;
}

static bool is_absent(const wf_option *option, const char *text)
{
    for (const char *word = option->absent; word && *word; word += strspn(word, " ")) {
        size_t n = strcspn(word, " ");
        if (strncmp(text, word, n) == 0) return true;
        word += n;
    }
    return false;
}

static wf_status parse_enum(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    enum { MOST = 32 };
    const char *names[MOST], *nearest;
    size_t n = 0;
    (void)arena;
    const wf_option_word *word = word_find(option, text);
    if (word) {
        memcpy(out, &(int){(int)word->value}, sizeof(int));
        return WF_OK;
    }
    wf_text list = {0};
    for (const wf_option_word *w = option->words; w->word && n < MOST; w++) {
        wf_text_printf(&list, "%s%s", n ? ", " : "", w->word);
        names[n++] = w->word;
    }
    // All of them are listed: a guess is worth it only where a letter is not a third of the word
    // ("gpu" is not meant to be "cpu").
    nearest = strlen(text) > 3 && !is_absent(option, text) ? wf_nearest_word(text, names, n) : NULL;
    wf_fail(WF_DATA, "\"%.80s\" is not %s %s%s%s%s", text,
            is_absent(option, text) ? "supported here: it may be" : "one of",
            list.bytes ? list.bytes : "its words", nearest ? "; did you mean \"" : "",
            nearest ? nearest : "", nearest ? "\"?" : "");
    wf_text_free(&list);
    return WF_DATA;
}

typedef wf_status (*unit_fn)(const char *text, int64_t *out);
typedef char *(*unit_text_fn)(int64_t value, char text[WF_PARSE_TEXT_MAX]);

static wf_status parse_with_unit(const wf_option *option, const char *text, unit_fn parse,
                                 unit_text_fn show, int64_t *out)
{
    const wf_option_word *word = word_find(option, text);
    int64_t value, min = min_i64(option, 0), max = max_i64(option, INT64_MAX);
    if (word) {
        *out = word->value;
        return WF_OK;
    }
    WF_TRY(or_words(option, parse(text, &value)));
    if (value < min || value > max) {
        char low[WF_PARSE_TEXT_MAX], high[WF_PARSE_TEXT_MAX];
        if (max == INT64_MAX) return wf_fail(WF_DATA, "%s is below %s", text, show(min, low));
        return wf_fail(WF_DATA, "%s is outside %s to %s", text, show(min, low), show(max, high));
    }
    *out = value;
    return WF_OK;
}

static wf_status parse_duration(const wf_option *option, const char *text, wf_arena *arena,
                                void *out)
{
    int64_t value;
    (void)arena;
    WF_TRY(parse_with_unit(option, text, wf_parse_duration, wf_duration_text, &value));
    memcpy(out, &value, sizeof value);
    return WF_OK;
}

static wf_status parse_bytes(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    int64_t value;
    (void)arena;
    WF_TRY(parse_with_unit(option, text, wf_parse_bytes, wf_bytes_text, &value));
    memcpy(out, &value, sizeof value);
    return WF_OK;
}

static wf_status parse_memory(const wf_option *option, const char *text, wf_arena *arena, void *out)
{
    wf_option_memory value = {0};
    (void)arena;
    bool is_share = wf_parse_f64(text, 0, 1, &value.share) == WF_OK;
    if (is_share && value.share == 0)
        return wf_fail(WF_DATA, "%s leaves nothing: write a share up to 1, or a size", text);
    if (!is_share && !word_find(option, text)) {
        wf_status st = parse_with_unit(option, text, wf_parse_bytes, wf_bytes_text, &value.bytes);
        if (st != WF_OK) return wf_fail(st, "%s; or a share up to 1, like 0.9", wf_error());
    }
    memcpy(out, &value, sizeof value);
    return WF_OK;
}

static void write_integer(const wf_option *option, int64_t value, wf_text *out)
{
    const wf_option_word *word = word_of_value(option, value);
    if (word)
        wf_text_puts(out, word->word);
    else
        wf_text_printf(out, "%" PRId64, value);
}

static void write_i32(const wf_option *option, const void *value, wf_text *out)
{
    int32_t number;
    memcpy(&number, value, sizeof number);
    write_integer(option, number, out);
}

static void write_u32(const wf_option *option, const void *value, wf_text *out)
{
    uint32_t number;
    memcpy(&number, value, sizeof number);
    write_integer(option, number, out);
}

static void write_i64(const wf_option *option, const void *value, wf_text *out)
{
    int64_t number;
    memcpy(&number, value, sizeof number);
    write_integer(option, number, out);
}

static void write_bool(const wf_option *option, const void *value, wf_text *out)
{
    bool yes;
    (void)option;
    memcpy(&yes, value, sizeof yes);
    wf_text_puts(out, yes ? "true" : "false");
}

static bool write_fraction_word(const wf_option *option, double value, wf_text *out)
{
    bool whole = value == floor(value) && fabs(value) < 1e15;
    const wf_option_word *word = whole ? word_of_value(option, (int64_t)value) : NULL;
    if (word) wf_text_puts(out, word->word);
    return word != NULL;
}

static void write_f32(const wf_option *option, const void *value, wf_text *out)
{
    float number;
    char text[WF_PARSE_TEXT_MAX];
    memcpy(&number, value, sizeof number);
    if (!write_fraction_word(option, (double)number, out))
        wf_text_puts(out, wf_f32_text(number, text));
}

static void write_f64(const wf_option *option, const void *value, wf_text *out)
{
    double number;
    char text[WF_PARSE_TEXT_MAX];
    memcpy(&number, value, sizeof number);
    if (!write_fraction_word(option, number, out)) wf_text_puts(out, wf_f64_text(number, text));
}

static void write_string(const wf_option *option, const void *value, wf_text *out)
{
    const char *string;
    (void)option;
    memcpy(&string, value, sizeof string);
    wf_option_write_string(string ? string : "", out); // NULL: required and not given yet
}

static void write_enum(const wf_option *option, const void *value, wf_text *out)
{
    int number;
    memcpy(&number, value, sizeof number);
    write_integer(option, number, out);
}

static void write_with_unit(const wf_option *option, int64_t value, unit_text_fn show, wf_text *out)
{
    char text[WF_PARSE_TEXT_MAX];
    const wf_option_word *word = word_of_value(option, value);
    wf_text_puts(out, word ? word->word : show(value, text));
}

static void write_duration(const wf_option *option, const void *value, wf_text *out)
{
    int64_t number;
    memcpy(&number, value, sizeof number);
    write_with_unit(option, number, wf_duration_text, out);
}

static void write_bytes(const wf_option *option, const void *value, wf_text *out)
{
    int64_t number;
    memcpy(&number, value, sizeof number);
    write_with_unit(option, number, wf_bytes_text, out);
}

static void write_memory(const wf_option *option, const void *value, wf_text *out)
{
    wf_option_memory memory;
    char text[WF_PARSE_TEXT_MAX];
    memcpy(&memory, value, sizeof memory);
    if (memory.share > 0)
        wf_text_puts(out, wf_f64_text(memory.share, text));
    else
        write_with_unit(option, memory.bytes, wf_bytes_text, out);
}

static const type_row types[] = {
    [WF_OPTION_BOOL] = {parse_bool, write_bool, sizeof(bool), false, "true or false"},
    [WF_OPTION_I32] = {parse_i32, write_i32, sizeof(int32_t), false, "whole number"},
    [WF_OPTION_U32] = {parse_u32, write_u32, sizeof(uint32_t), false, "whole number"},
    [WF_OPTION_I64] = {parse_i64, write_i64, sizeof(int64_t), false, "whole number"},
    [WF_OPTION_F32] = {parse_f32, write_f32, sizeof(float), false, "number"},
    [WF_OPTION_F64] = {parse_f64, write_f64, sizeof(double), false, "number"},
    [WF_OPTION_STRING] = {parse_string, write_string, sizeof(char *), false, "text"},
    [WF_OPTION_ENUM] = {parse_enum, write_enum, sizeof(int), false, ""},
    [WF_OPTION_DURATION] = {parse_duration, write_duration, sizeof(int64_t), false, "duration"},
    [WF_OPTION_BYTES] = {parse_bytes, write_bytes, sizeof(int64_t), false, "size"},
    [WF_OPTION_MEMORY] = {parse_memory, write_memory, sizeof(wf_option_memory), false,
                          "share up to 1, or size"},
    [WF_OPTION_STRINGS] = {parse_string, write_string, sizeof(char *), true, "list of text"},
    [WF_OPTION_I32S] = {parse_i32, write_i32, sizeof(int32_t), true, "list of whole numbers"},
};

// The bytes of both list types: a count, then the items.
typedef struct {
    size_t n;
    const void *item;
} list_value;

bool wf_option_is_list(const wf_option *option)
{
    return types[option->type].is_list;
}

wf_status wf_option_store(const wf_option *option, const char *text, wf_arena *arena, void *config)
{
    return types[option->type].parse(option, text, arena, (char *)config + option->offset);
}

wf_status wf_option_store_list(const wf_option *option, const char *const *texts, size_t n,
                               wf_arena *arena, void *config, size_t *i_bad)
{
    const type_row *type = &types[option->type];
    char *items = NULL;
    if (n > 0) WF_TRY(wf_arena_alloc(arena, n, type->item_bytes, &items));
    for (*i_bad = 0; *i_bad < n; (*i_bad)++)
        WF_TRY(type->parse(option, texts[*i_bad], arena, items + *i_bad * type->item_bytes));
    memcpy((char *)config + option->offset, &(list_value){n, items}, sizeof(list_value));
    return WF_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

// What stands behind the backslash at *at, in `to`; 0: nothing that is known.
static size_t unescape(const char **at, const char *end, char *to)
{
    static const char letters[] = "nrtbf\"\\/", means[] = "\n\r\t\b\f\"\\/";
    const char *found = *at < end && **at ? strchr(letters, **at) : NULL;
    size_t n_digits = *at < end && **at == 'x' ? 2 : *at < end && **at == 'u' ? 4 : 0;
    char digits[5] = "", *stop;
    if (found) {
        *to = means[found - letters];
        ++*at;
        return 1;
    }
    if (n_digits == 0 || (size_t)(end - *at) <= n_digits) return 0;
    memcpy(digits, *at + 1, n_digits);
    unsigned long code = strtoul(digits, &stop, 16);
    if (*stop || code == 0 || code > 0x7f) return 0; // beyond ASCII a letter stands for itself
    *to = (char)code;
    *at += n_digits + 1;
    return 1;
}

// What stands between double quotes, with the escapes that YAML and JSON share; `*at` behind them.
static wf_status read_quoted(const char **at, const char *end, wf_arena *arena, const char **item)
{
    char *text = NULL;
    size_t n = 0;
    WF_TRY(wf_arena_alloc(arena, (size_t)(end - *at) + 1, 1, &text));
    for (++*at; *at < end && **at != '"';) {
        if (*(*at)++ != '\\') {
            text[n++] = (*at)[-1];
            continue;
        }
        size_t added = unescape(at, end, text + n);
        if (added == 0)
            return wf_fail(WF_DATA, "a backslash that means nothing: write \\\\ for one");
        n += added;
    }
    if (*at == end) return wf_fail(WF_DATA, "a quoted item is not closed");
    ++*at;
    text[n] = '\0';
    *item = text;
    return WF_OK;
}

// The same between single quotes, where a backslash is one.
static wf_status read_literal(const char **at, const char *end, wf_arena *arena, const char **item)
{
    const char *start = *at + 1, *stop = memchr(start, '\'', (size_t)(end - start));
    if (!stop) return wf_fail(WF_DATA, "a quoted item is not closed");
    *at = stop + 1;
    return wf_arena_strndup(arena, start, (size_t)(stop - start), item);
}

static wf_status read_plain(const char **at, const char *end, wf_arena *arena, const char **item)
{
    const char *start = *at,
               *comma = start < end ? memchr(start, ',', (size_t)(end - start)) : NULL;
    const char *stop = *at = comma ? comma : end;
    while (stop > start && is_space(stop[-1]))
        stop--;
    if (stop == start) return wf_fail(WF_DATA, "an item of the list is empty");
    return wf_arena_strndup(arena, start, (size_t)(stop - start), item);
}

// Takes one item off the text between `*at` and `end`, and the comma behind it.
static wf_status split_one(const char **at, const char *end, wf_arena *arena, const char **item)
{
    while (*at < end && is_space(**at))
        ++*at;
    if (*at < end && **at == '"')
        WF_TRY(read_quoted(at, end, arena, item));
    else if (*at < end && **at == '\'')
        WF_TRY(read_literal(at, end, arena, item));
    else
        WF_TRY(read_plain(at, end, arena, item));
    while (*at < end && is_space(**at))
        ++*at;
    if (*at < end && **at != ',') return wf_fail(WF_DATA, "a comma is missing between two items");
    *at = *at < end ? *at + 1 : NULL; // nothing may follow the last item
    return WF_OK;
}

wf_status wf_option_split(const char *text, wf_arena *arena, const char *const **out, size_t *n)
{
    size_t length = strlen(text), count = 0;
    const char *at = text, *end = text + length;
    const char **items;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        at++;
        end--;
    }
    while (at < end && is_space(*at))
        at++;
    WF_TRY(wf_arena_alloc(arena, length + 1, sizeof *items, &items));
    if (at == end) at = NULL;
    while (at) {
        WF_TRY(split_one(&at, end, arena, &items[count]));
        count++;
    }
    *out = items;
    *n = count;
    return WF_OK;
}

// Letters, digits and -_./ are safe when no reader of YAML can see a number, a time or a word of
// its own in them.
static bool is_plain(const char *string)
{
    static const char *const taken[] = {"true", "false", "yes", "no",   "on",  "off",
                                        "null", "y",     "n",   ".inf", ".nan"};
    const char *safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcasecmp(string, taken[i]) == 0) return false;
    bool starts_well = (string[0] | 0x20) >= 'a' && (string[0] | 0x20) <= 'z';
    if (string[0] == '/' || (string[0] == '.' && string[1] == '/')) starts_well = true;
    return starts_well && string[strspn(string, safe)] == '\0';
}

void wf_option_write_string(const char *string, wf_text *out)
{
    if (is_plain(string)) {
        wf_text_puts(out, string);
        return;
    }
    wf_text_puts(out, "\"");
    for (const char *c = string; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\')
            wf_text_printf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            wf_text_printf(out, "\\x%02x", byte);
        else
            wf_text_add(out, c, 1);
    }
    wf_text_puts(out, "\"");
}

void wf_option_write(const wf_option *option, const void *config, wf_text *out)
{
    const type_row *type = &types[option->type];
    const char *value = (const char *)config + option->offset;
    if (!type->is_list) {
        type->write(option, value, out);
        return;
    }
    list_value list;
    memcpy(&list, value, sizeof list);
    wf_text_puts(out, "[");
    for (size_t i = 0; i < list.n; i++) {
        if (i > 0) wf_text_puts(out, ", ");
        type->write(option, (const char *)list.item + i * type->item_bytes, out);
    }
    wf_text_puts(out, "]");
}

static void describe_bounds(const wf_option *option, wf_text *out)
{
    char low[WF_PARSE_TEXT_MAX], high[WF_PARSE_TEXT_MAX];
    bool open = option->max >= 9223372036854775807.0;
    if (option->type == WF_OPTION_DURATION) {
        wf_duration_text(min_i64(option, 0), low);
        wf_duration_text(max_i64(option, INT64_MAX), high);
    } else if (option->type == WF_OPTION_BYTES || option->type == WF_OPTION_MEMORY) {
        wf_bytes_text(min_i64(option, 0), low);
        wf_bytes_text(max_i64(option, INT64_MAX), high);
    } else {
        snprintf(low, sizeof low, "%.10g", option->min);
        snprintf(high, sizeof high, "%.10g", option->max);
    }
    wf_text_printf(out, open ? ", %s or more" : ", %s to %s", low, high);
}

void wf_option_describe(const wf_option *option, wf_text *out)
{
    bool is_enum = option->type == WF_OPTION_ENUM;
    wf_text_puts(out, types[option->type].words);
    if (has_bounds(option)) describe_bounds(option, out);
    if (option->unit) wf_text_printf(out, " %s", option->unit);
    for (const wf_option_word *w = option->words; w && w->word; w++) {
        const char *between = is_enum ? " | " : ", or ";
        wf_text_printf(out, "%s%s", is_enum && w == option->words ? "" : between, w->word);
    }
}
