// Growing strings, endings, UTF-8 and word distance.
#include "io/base/text.h"

#include "io/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void wf_text_add(wf_text *text, const char *bytes, size_t n_bytes)
{
    if (text->st == WF_OK)
        text->st = wf_grow(text->n + n_bytes + 1, 1, &text->capacity, &text->bytes);
    if (text->st != WF_OK) return;
    if (n_bytes > 0) memcpy(text->bytes + text->n, bytes, n_bytes);
    text->n += n_bytes;
    text->bytes[text->n] = '\0';
}

void wf_text_puts(wf_text *text, const char *string)
{
    wf_text_add(text, string, strlen(string));
}

void wf_text_pad(wf_text *text, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        wf_text_add(text, &c, 1);
}

void wf_text_printf(wf_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || text->st != WF_OK) return;
    text->st = wf_grow(text->n + (size_t)n + 1, 1, &text->capacity, &text->bytes);
    if (text->st != WF_OK) return;
    va_start(args, format);
    vsnprintf(text->bytes + text->n, (size_t)n + 1, format, args);
    va_end(args);
    text->n += (size_t)n;
}

void wf_text_put_shell(wf_text *text, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./,:@%";
    if (word[0] && strspn(word, plain) == strlen(word)) {
        wf_text_puts(text, word);
        return;
    }
    wf_text_puts(text, "'");
    for (; *word; word++)
        if (*word == '\'')
            wf_text_puts(text, "'\\''");
        else
            wf_text_add(text, word, 1);
    wf_text_puts(text, "'");
}

wf_status wf_text_take(wf_text *text, char **out)
{
    wf_text_add(text, NULL, 0); // an empty text is a string too
    wf_status st = text->st;
    if (st == WF_OK) {
        *out = text->bytes;
        text->bytes = NULL;
    }
    wf_text_free(text);
    return st;
}

void wf_text_free(wf_text *text)
{
    free(text->bytes);
    *text = (wf_text){0};
}

size_t wf_utf8_mark(const char *text, size_t n)
{
    return n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool wf_text_ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

size_t wf_utf8_length(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return length;
}

bool wf_utf8_is_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t length = wf_utf8_length(s + i, n - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

enum { WORD_MAX = 64 };

static int min3(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

int wf_edit_distance(const char *a, const char *b)
{
    int n = (int)strnlen(a, WORD_MAX), m = (int)strnlen(b, WORD_MAX);
    int d[WORD_MAX + 1][WORD_MAX + 1]; // d[i][j]: first i bytes of a against first j of b
    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int change = a[i - 1] != b[j - 1];
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < d[i][j]) d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[n][m];
}

const char *wf_nearest_word(const char *word, const char *const *words, size_t n)
{
    const char *nearest = NULL;
    int limit = 1 + (int)strnlen(word, WORD_MAX) / 4; // one slip in every four letters
    for (size_t i = 0; i < n; i++) {
        int distance = wf_edit_distance(word, words[i]);
        bool wholly_new = distance >= (int)strlen(words[i]);
        if (distance > limit || wholly_new) continue;
        nearest = words[i];
        limit = distance - 1;
    }
    return nearest;
}
