// What tests share: cmocka's includes in the order it wants, checks of a status and of a text.
#ifndef WF_TESTS_BASE_BASE_TEST_H
#define WF_TESTS_BASE_BASE_TEST_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "io/base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#endif
