// Every header compiles alone: it includes what it needs and nothing depends on the order of
// includes. The compiler and its flags come from the build.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/house/house.h"

static int compile_alone(const char *path)
{
    char command[8192];
    int n =
        snprintf(command, sizeof command,
                 "echo '#include \"%s\"' | %s -std=gnu17 -D_GNU_SOURCE -D'WEFT_SOURCE_DIR=\"\"' "
                 "-D'WEFT_BINARY_DIR=\"\"' -I'%s' %s -Wall -Wextra -Werror -fsyntax-only -x c -",
                 path, WEFT_HOUSE_CC, WEFT_SOURCE_DIR, WEFT_HOUSE_CFLAGS);
    assert_true(n > 0 && (size_t)n < sizeof command);
    return system(command);
}

// Headers of a vector instruction set are meant for files that are compiled for it.
static bool needs_instruction_set(const char *path)
{
    return strstr(path, "kernels/cpu/simd") != NULL || strstr(path, "kernels/cpu/isa") != NULL;
}

static void test_headers_compile_alone(void **state)
{
    (void)state;
    house *h = house_read();
    int n_wrong = 0, n_compiled = 0;
    for (size_t i = 0; i < h->n; i++) {
        const char *path = h->file[i].path;
        if (!has_suffix(path, ".h") || needs_instruction_set(path)) continue;
        n_compiled++;
        if (compile_alone(path) == 0) continue;
        print_error("%s does not compile alone\n", path);
        n_wrong++;
    }
    house_free(h);
    assert_true(n_compiled > 20);
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_headers_compile_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
