#include "tests/base/base_test.h"

#include "io/base/hash.h"

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hex64; // as printed by xxhsum -H1 and -H2
        const char *hex128;
    } rows[] = {
        {"", "ef46db3751d8e999", "99aa06d3014798d86001c324468d497f"},
        {"a", "d24ec4f1a98c6e5b", "a96faf705af16834e6c632b61e964e1f"},
        {"abc", "44bc2cf5ad770999", "06b05ab6733a618578af5f94892f3950"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char hex64[WF_HASH64_HEX], hex128[WF_HASH128_HEX];
        size_t n = strlen(rows[i].text);
        assert_string_equal(wf_hash64_hex(wf_hash64_of(rows[i].text, n, 0), hex64), rows[i].hex64);
        assert_string_equal(wf_hash128_hex(wf_hash128_of(rows[i].text, n), hex128), rows[i].hex128);
    }
}

static void pieces_equal_the_whole(void **state)
{
    (void)state;
    unsigned char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 256);
    for (size_t step = 1; step < sizeof bytes; step = step * 3 + 1) {
        wf_hash64_stream *s64;
        wf_hash128_stream *s128;
        assert_ok(wf_hash64_create(7, &s64));
        assert_ok(wf_hash128_create(&s128));
        for (size_t at = 0; at < sizeof bytes; at += step) {
            size_t n = sizeof bytes - at < step ? sizeof bytes - at : step;
            wf_hash64_add(s64, bytes + at, n);
            wf_hash128_add(s128, bytes + at, n);
            wf_hash64_add(s64, NULL, 0);
            wf_hash128_add(s128, NULL, 0);
            assert_int_equal(wf_hash64_value(s64), wf_hash64_of(bytes, at + n, 7));
        }
        wf_hash128 whole = wf_hash128_of(bytes, sizeof bytes), sum = wf_hash128_value(s128);
        assert_memory_equal(&sum, &whole, sizeof sum);
        wf_hash64_destroy(&s64);
        wf_hash128_destroy(&s128);
        wf_hash64_destroy(&s64);
        wf_hash128_destroy(&s128);
    }
}

static void one_bit_changes_the_sum(void **state)
{
    (void)state;
    unsigned char bytes[64] = {0};
    uint64_t before = wf_hash64_of(bytes, sizeof bytes, 0);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_true(wf_hash64_of(bytes, sizeof bytes, 0) != before);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(wf_hash64_of(bytes, sizeof bytes, 1) != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test(one_bit_changes_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
