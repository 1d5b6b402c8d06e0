// Text: a growing string, endings, UTF-8 checks, and how near two words are.
//
//   wf_text t = {0};
//   wf_text_printf(&t, "%zu rows\n", n);
//   wf_text_add(&t, bytes, n_bytes);
//   st = wf_text_take(&t, &string);          // own, free(); or wf_text_free(&t)
//
// The first failure (only memory can fail) is kept and returned by take, so the calls between need
// no checks. All Local.
#ifndef WF_IO_BASE_TEXT_H
#define WF_IO_BASE_TEXT_H

#include "io/base/status.h"

// "%zu row%s %s bad", n, WF_S(n), WF_ARE(n): 1 row is bad, 2 rows are bad. Of any integer.
#define WF_S(n)   ((n) == 1 ? "" : "s")
#define WF_ARE(n) ((n) == 1 ? "is" : "are")

#include <stdbool.h>
#include <stddef.h>

typedef struct wf_text {
    char *bytes; // [n], ended by a NUL once something was added
    size_t n;
    size_t capacity;
    wf_status st;
} wf_text;

void wf_text_add(wf_text *text, const char *bytes, size_t n_bytes);
void wf_text_puts(wf_text *text, const char *string);
void wf_text_pad(wf_text *text, char c, size_t n);
void wf_text_printf(wf_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A word as a shell reads it: quoted where something in it means anything to a shell.
void wf_text_put_shell(wf_text *text, const char *word);

// Hands over the string and leaves `text` empty.
wf_status wf_text_take(wf_text *text, char **out);
void wf_text_free(wf_text *text);

// Bytes of the byte order mark that editors of some systems put in front of UTF-8: 3 or 0.
size_t wf_utf8_mark(const char *text, size_t n);

bool wf_text_ends_with(const char *text, const char *end);

// Length of the UTF-8 sequence at `s` (n > 0 bytes), 0 when there is none: overlong forms,
// surrogates and values beyond U+10FFFF are none (Unicode 15, table 3-7).
size_t wf_utf8_length(const char *s, size_t n);
bool wf_utf8_is_valid(const char *s, size_t n);

// Least number of insertions, deletions, replacements and swaps of neighbours that turn one word
// into the other (optimal string alignment); words beyond 64 bytes are cut there.
int wf_edit_distance(const char *a, const char *b);

// The nearest of `n` words, for "did you mean"; NULL when none is near enough to be meant.
const char *wf_nearest_word(const char *word, const char *const *words, size_t n);

#endif
