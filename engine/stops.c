// See stops.h.
#include "engine/stops.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// One string: how much of it the newest bytes are, and where to go on from when the next is
// another.
typedef struct automaton {
    uint16_t n;            // bytes
    uint16_t at;           // bytes matched
    const uint8_t *string; // [n]
    const uint16_t *fall;  // [n] longest border of string[0..i]: where to go on after i + 1 bytes
} automaton;

struct wf_stops {
    int32_t n;
    automaton string[]; // [n], and behind them what they point to
};

// The failure function of Knuth, Morris and Pratt.
static void fill_falls(const uint8_t *string, uint16_t n, uint16_t *fall)
{
    fall[0] = 0;
    for (uint16_t i = 1, k = 0; i < n; i++) {
        while (k > 0 && string[i] != string[k])
            k = fall[k - 1];
        if (string[i] == string[k]) k++;
        fall[i] = k;
    }
}

static int32_t count(const uint8_t *strings, uint32_t n_bytes)
{
    int32_t n = 0;
    for (uint32_t i = 0; i < n_bytes; i++)
        n += strings[i] == 0;
    return n;
}

wf_status wf_stops_create(const uint8_t *strings, uint32_t n_bytes, wf_stops **out)
{
    int32_t n = count(strings, n_bytes);
    size_t head = sizeof(wf_stops) + (size_t)n * sizeof(automaton);
    wf_stops *s = malloc(head + n_bytes * sizeof(uint16_t) + n_bytes);
    if (!s) return wf_fail(WF_NO_MEMORY, "engine: no memory for %u bytes of stop strings", n_bytes);
    uint16_t *fall = (uint16_t *)(void *)((char *)s + head);
    uint8_t *copy = (uint8_t *)(fall + n_bytes);
    memcpy(copy, strings, n_bytes);
    s->n = n;
    for (int32_t i = 0; i < n; i++) {
        uint16_t length = (uint16_t)strlen((const char *)copy);
        fill_falls(copy, length, fall);
        s->string[i] = (automaton){.n = length, .string = copy, .fall = fall};
        copy += length + 1;
        fall += length;
    }
    *out = s;
    return WF_OK;
}

void wf_stops_destroy(wf_stops *s)
{
    free(s);
}

// Whether the string ended with this byte.
static bool take_byte(automaton *a, uint8_t byte)
{
    while (a->at > 0 && a->string[a->at] != byte)
        a->at = a->fall[a->at - 1];
    if (a->string[a->at] == byte) a->at++;
    if (a->at < a->n) return false;
    a->at = a->fall[a->n - 1];
    return true;
}

int32_t wf_stops_take(wf_stops *s, const uint8_t *bytes, size_t n)
{
    int32_t found = -1;
    for (int32_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < n; k++)
            if (take_byte(&s->string[i], bytes[k]) && found < 0) found = i;
    return found;
}

const char *wf_stops_text(const wf_stops *s, int32_t i, uint32_t *n_bytes)
{
    *n_bytes = s->string[i].n;
    return (const char *)s->string[i].string;
}
