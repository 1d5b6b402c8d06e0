// What the tests of this folder share: cmocka's includes in the order it wants, checks of a status
// and of a text, and a folder of the test's own.
#ifndef WF_TESTS_JOBS_JOBS_TEST_H
#define WF_TESTS_JOBS_JOBS_TEST_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/status.h"

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

static inline void check_contains(const char *text, const char *part, const char *file, int line)
{
    if (text && strstr(text, part)) return;
    print_error("expected to find: %s\n              in: %s\n", part, text ? text : "(null)");
    _fail(file, line);
}
#define assert_contains(text, part) check_contains((text), (part), __FILE__, __LINE__)

static inline void check_ok(wf_status st, const char *file, int line)
{
    if (st == WF_OK) return;
    print_error("%s: %s\n", wf_status_name(st), wf_error());
    _fail(file, line);
}
#define assert_ok(expr) check_ok((expr), __FILE__, __LINE__)

// A new folder; *state is its path, removed with all that is in it by folder_remove().
static inline int folder_make(void **state)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/weft-test-XXXXXX");
    if (!mkdtemp(path)) return -1;
    *state = path;
    return 0;
}

static inline int folder_entry_remove(const char *path, const struct stat *st, int type,
                                      struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int folder_remove(void **state)
{
    return nftw(*state, folder_entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
