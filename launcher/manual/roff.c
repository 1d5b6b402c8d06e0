// man(7) markup. See roff.h.
#include "launcher/manual/roff.h"

#include <string.h>
#include <weft_commit.h> // made by the build: WEFT_COMMIT_DATE

// What stands for a byte that roff, or a terminal's typography, would change: a hyphen that is
// copied from a page must be the one that was typed.
static const char *escape_of(char c)
{
    static const struct {
        char byte;
        const char *escape;
    } rows[] = {{'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'^', "\\(ha"}, {'~', "\\(ti"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].byte == c) return rows[i].escape;
    return NULL;
}

void wf_roff_put(wf_text *out, const char *words)
{
    bool bold = false;
    for (const char *c = words; *c; c++) {
        const char *escape = escape_of(*c);
        if (*c == '`') {
            bold = !bold;
            escape = bold ? "\\fB" : "\\fR";
        }
        if (*c == '.' && (c == words || c[-1] == '\n')) wf_text_puts(out, "\\&");
        if (escape)
            wf_text_puts(out, escape);
        else
            wf_text_add(out, c, 1);
    }
}

void wf_roff_head(wf_text *out, const char *page, int section)
{
    wf_text_printf(out, ".TH \"%s\" %d \"%s\" \"weft %s\" \"Weft\"\n", page, section,
                   WEFT_COMMIT_DATE, WEFT_VERSION);
}

void wf_roff_section(wf_text *out, const char *title)
{
    wf_text_printf(out, ".SH %s\n", title);
}

void wf_roff_paragraphs(wf_text *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        while (n > 0 && text[n - 1] == '\n')
            n--;
        wf_text part = {0};
        wf_text_add(&part, text, n);
        wf_roff_put(out, part.bytes ? part.bytes : "");
        wf_text_puts(out, "\n");
        if (part.st != WF_OK) out->st = part.st;
        wf_text_free(&part);
        if (!end) return;
        text = end + strspn(end, "\n");
        if (*text) wf_text_puts(out, ".PP\n");
    }
}

void wf_roff_example(wf_text *out, const char *text)
{
    wf_text_puts(out, ".nf\n");
    wf_roff_put(out, text);
    wf_text_puts(out, ".fi\n");
}

void wf_roff_tag(wf_text *out, const char *tag)
{
    wf_text_puts(out, ".TP\n\\fB");
    wf_roff_put(out, tag);
    wf_text_puts(out, "\\fR\n");
}
