// Stop strings in the bytes of tokens: against the definition, over every border of tokens, and
// with alphabets so small that everything overlaps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/stops.h"

enum { MOST = 8, LENGTH = 400 };

typedef struct text {
    char byte[LENGTH];
    size_t n;
} text;

// The definition: the first of the list that ends among the last `n_new` bytes.
static int32_t found_by_looking(const text *t, size_t n_new, const char *const *strings, int n)
{
    for (int32_t i = 0; i < n; i++) {
        size_t length = strlen(strings[i]);
        for (size_t end = t->n - n_new + 1; end <= t->n; end++)
            if (end >= length && memcmp(t->byte + end - length, strings[i], length) == 0) return i;
    }
    return -1;
}

static uint32_t pack(const char *const *strings, int n, uint8_t *out)
{
    uint32_t at = 0;
    for (int i = 0; i < n; i++) {
        size_t length = strlen(strings[i]) + 1;
        memcpy(out + at, strings[i], length);
        at += (uint32_t)length;
    }
    return at;
}

static wf_stops *create(const char *const *strings, int n)
{
    uint8_t packed[1024];
    wf_stops *s = NULL;
    assert_int_equal(wf_stops_create(packed, pack(strings, n, packed), &s), WF_OK);
    return s;
}

static int32_t take(wf_stops *s, const char *token)
{
    return wf_stops_take(s, (const uint8_t *)token, strlen(token));
}

static void assert_text(const wf_stops *s, int32_t i, const char *want)
{
    uint32_t n = 0;
    const char *is = wf_stops_text(s, i, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(is, want, n);
}

static void test_borders(void **state)
{
    (void)state;
    wf_stops *s = create((const char *[]){"\n\n", "END"}, 2);
    assert_int_equal(take(s, "a\n"), -1);
    assert_int_equal(take(s, ""), -1); // a token that adds nothing
    assert_int_equal(take(s, "\nb"), 0);
    assert_int_equal(take(s, "E"), -1);
    assert_int_equal(take(s, "EN"), -1);
    assert_int_equal(take(s, "D."), 1);
    assert_int_equal(take(s, "END\n\n"), 0); // both: the first of the list
    assert_text(s, 0, "\n\n");
    assert_text(s, 1, "END");
    wf_stops_destroy(s);
    s = create((const char *[]){"é"}, 1); // half a letter a token
    assert_int_equal(take(s, "\xc3"), -1);
    assert_int_equal(take(s, "\xa9"), 0);
    wf_stops_destroy(s);
    wf_stops_destroy(NULL);
}

static uint32_t draw(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

static void random_string(uint32_t *seed, uint32_t letters, uint32_t most, char *out)
{
    uint32_t n = 1 + draw(seed, most);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (char)('a' + draw(seed, letters));
    out[n] = '\0';
}

// One text of random tokens, every token's answer against the definition. Returns matches.
static int one_text(uint32_t *seed)
{
    char strings[MOST][12];
    const char *list[MOST];
    int n = 1 + (int)draw(seed, MOST), n_found = 0;
    uint32_t letters = 1 + draw(seed, 3);
    for (int i = 0; i < n; i++) {
        random_string(seed, letters, 10, strings[i]);
        list[i] = strings[i];
    }
    wf_stops *s = create(list, n);
    text t = {.n = 0};
    while (t.n + 8 < LENGTH) {
        char token[8] = "";
        if (draw(seed, 5) > 0) random_string(seed, letters, 6, token);
        memcpy(t.byte + t.n, token, strlen(token));
        t.n += strlen(token);
        int32_t is = take(s, token);
        assert_int_equal(is, found_by_looking(&t, strlen(token), list, n));
        n_found += is >= 0;
    }
    wf_stops_destroy(s);
    return n_found;
}

static void test_random(void **state)
{
    (void)state;
    uint32_t seed = 7;
    int n_found = 0;
    for (int i = 0; i < 400; i++)
        n_found += one_text(&seed);
    assert_true(n_found > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_borders),
                                       cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
