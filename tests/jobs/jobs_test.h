// What the tests of this folder share: a folder of the test's own.
#ifndef WF_TESTS_JOBS_JOBS_TEST_H
#define WF_TESTS_JOBS_JOBS_TEST_H

#include "tests/base/base_test.h"

#include <ftw.h>
#include <unistd.h>

#include "io/base/status.h"

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
