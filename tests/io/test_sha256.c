// SHA-256 against the examples published with FIPS 180 and against pieces of any size.
#include "tests/base/base_test.h"

#include "io/base/sha256.h"

static void test_examples(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hex;
    } examples[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
                    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmn"
                     "opqklmnopqrlmn"
                     "opqrsmnopqrstnopqrstu",
                     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"}};
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        wf_sha256 hash;
        char text[WF_SHA256_HEX];
        wf_sha256_start(&hash);
        wf_sha256_add(&hash, examples[i].text, strlen(examples[i].text));
        assert_string_equal(wf_sha256_finish(&hash, text), examples[i].hex);
    }
}

static void test_million_in_pieces(void **state)
{
    (void)state;
    char piece[997], text[WF_SHA256_HEX];
    memset(piece, 'a', sizeof piece);
    wf_sha256 hash;
    wf_sha256_start(&hash);
    size_t left = 1000000, n = 1;
    while (left > 0) {
        size_t take = n < left ? n : left;
        wf_sha256_add(&hash, piece, take);
        left -= take;
        n = n % sizeof piece + 1;
    }
    assert_string_equal(wf_sha256_finish(&hash, text),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples),
                                       cmocka_unit_test(test_million_in_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
