// What is printed from an option table: the resolved config, the example, the reference, the help.
#include "io/base/option.h"

#include "io/base/option_value.h"

#include <string.h>

// Number of bytes, up to and with the last dot, in which two names agree section by section.
static size_t shared_sections(const char *a, const char *b)
{
    size_t shared = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.') shared = i + 1;
    return shared;
}

static size_t n_dots(const char *name, size_t n)
{
    size_t dots = 0;
    for (size_t i = 0; i < n; i++)
        dots += name[i] == '.';
    return dots;
}

// Writes the section lines that lead from `previous` to `name`; returns the key's own part.
static const char *open_sections(const char *previous, const char *name, wf_text *out)
{
    size_t at = shared_sections(previous, name);
    for (const char *dot; (dot = strchr(name + at, '.')) != NULL;) {
        size_t end = (size_t)(dot - name);
        wf_text_pad(out, ' ', 2 * n_dots(name, at));
        wf_text_add(out, name + at, end - at);
        wf_text_puts(out, ":\n");
        at = end + 1;
    }
    return name + at;
}

static size_t indent_of(const wf_option *option)
{
    return 2 * n_dots(option->name, strlen(option->name));
}

wf_status wf_option_render_yaml(const wf_option *table, size_t n_options, const void *config,
                                char **out)
{
    wf_text text = {0};
    const char *previous = "";
    for (size_t i = 0; i < n_options; i++) {
        const char *key = open_sections(previous, table[i].name, &text);
        wf_text_pad(&text, ' ', indent_of(&table[i]));
        wf_text_printf(&text, "%s: ", key);
        wf_option_write(&table[i], config, &text);
        wf_text_puts(&text, "\n");
        previous = table[i].name;
    }
    return wf_text_take(&text, out);
}

// A text as it stands in a file: lists and numbers as they are, strings quoted if need be.
static void put_file_value(const wf_option *option, wf_text *out)
{
    const char *value = option->example ? option->example : option->default_text;
    if (!value) value = "";
    bool is_string = option->type == WF_OPTION_STRING;
    bool bare_list = wf_option_is_list(option) && value[0] != '[';
    if (is_string)
        wf_option_write_string(value, out);
    else
        wf_text_printf(out, bare_list ? "[%s]" : "%s", value);
}

// One comment, broken at spaces so that lines end by column 100.
static void put_comment(const char *words, size_t indent, wf_text *out)
{
    enum { WIDTH = 100 };
    while (*words) {
        size_t room = WIDTH - indent - 2, n = strlen(words);
        if (n > room) {
            n = room;
            while (n > 0 && words[n] != ' ')
                n--;
            if (n == 0) n = strcspn(words, " ");
        }
        wf_text_pad(out, ' ', indent);
        wf_text_puts(out, "# ");
        wf_text_add(out, words, n);
        wf_text_puts(out, "\n");
        words += n + (words[n] == ' ');
    }
}

static void put_example(const wf_option *option, const char *key, wf_text *out)
{
    wf_text words = {0};
    wf_text_printf(&words, "%s (", option->help);
    wf_option_describe(option, &words);
    if (!option->default_text) wf_text_puts(&words, "; required");
    wf_text_puts(&words, ")");
    if (words.st == WF_OK) put_comment(words.bytes, indent_of(option), out);
    wf_text_free(&words);
    wf_text_pad(out, ' ', indent_of(option));
    wf_text_printf(out, "%s: ", key);
    put_file_value(option, out);
    wf_text_puts(out, "\n");
}

wf_status wf_option_example(const wf_option *table, size_t n_options, char **out)
{
    wf_text text = {0};
    const char *previous = "";
    for (size_t i = 0; i < n_options; i++) {
        const char *name = table[i].name;
        if (table[i].internal) continue;
        bool new_section = i > 0 && shared_sections(previous, name) == 0 && strchr(name, '.');
        if (new_section) wf_text_puts(&text, "\n");
        put_example(&table[i], open_sections(previous, name, &text), &text);
        previous = name;
    }
    return wf_text_take(&text, out);
}

// A cell of a table: a bar would end it.
static void put_cell(const char *words, wf_text *out)
{
    for (const char *c = words; *c; c++) {
        if (*c == '|') wf_text_puts(out, "\\");
        wf_text_add(out, c, 1);
    }
}

wf_status wf_option_markdown(const wf_option *table, size_t n_options, char **out)
{
    wf_text text = {0};
    wf_text_puts(&text, "| key | default | may be | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n_options; i++) {
        const wf_option *option = &table[i];
        wf_text may_be = {0};
        wf_option_describe(option, &may_be);
        const char *shown =
            option->default_text && !option->default_text[0] ? "\"\"" : option->default_text;
        wf_text_printf(&text, "| `%s` | ", option->name);
        if (shown)
            wf_text_printf(&text, "`%s`", shown);
        else
            wf_text_puts(&text, "required");
        wf_text_puts(&text, " | ");
        if (may_be.st == WF_OK)
            put_cell(may_be.bytes, &text);
        else
            text.st = may_be.st;
        wf_text_puts(&text, " | ");
        put_cell(option->help, &text);
        wf_text_puts(&text, " |\n");
        wf_text_free(&may_be);
    }
    return wf_text_take(&text, out);
}

wf_status wf_option_may_be(const wf_option *option, char **out)
{
    wf_text text = {0};
    wf_option_describe(option, &text);
    return wf_text_take(&text, out);
}

wf_status wf_option_help(const wf_option *table, size_t n_options, const char *word, char **out)
{
    wf_text text = {0};
    size_t width = 0;
    for (size_t i = 0; i < n_options; i++) {
        const char *value = table[i].default_text ? table[i].default_text : "...";
        size_t n = strlen(table[i].name) + strlen(value) + 1;
        if (n > width && n <= 40) width = n;
    }
    for (size_t i = 0; i < n_options; i++) {
        if (!strstr(table[i].name, word)) continue;
        const char *value = table[i].default_text ? table[i].default_text : "...";
        size_t n = strlen(table[i].name) + strlen(value) + 1;
        wf_text_printf(&text, "  %s=%s", table[i].name, value);
        wf_text_pad(&text, ' ', (n < width ? width - n : 0) + 2);
        wf_text_printf(&text, "%s (", table[i].help);
        wf_option_describe(&table[i], &text);
        wf_text_puts(&text, table[i].default_text ? ")\n" : "; required)\n");
    }
    return wf_text_take(&text, out);
}
