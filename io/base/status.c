// Status table look-ups and the per-thread error detail.
#include "io/base/status.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    wf_status status;
    wf_scope scope;
    int exit_code;
    const char *name;
    const char *words;
} status_row;

static const status_row status_rows[] = {
#define STATUS_ROW(name, number, scope, exit_code, words)                                          \
    {WF_##name, WF_SCOPE_##scope, exit_code, #name, words},
    WF_STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

// A number that is not in the table can only come from a damaged or newer file: it is ours to
// survive, and counts as an internal error of the job.
static const status_row status_unknown = {WF_INTERNAL, WF_SCOPE_JOB, 70, "UNKNOWN",
                                          "unknown status"};

static _Thread_local char error_detail[WF_ERROR_MAX];

static const status_row *status_find(wf_status status)
{
    for (size_t i = 0; i < sizeof status_rows / sizeof status_rows[0]; i++)
        if (status_rows[i].status == status) return &status_rows[i];
    return &status_unknown;
}

// Stores `text` as the detail: one line, control characters (they may come from hostile files and
// go to terminals) turned into spaces, a cut line marked by "...".
static void detail_set(const char *text, int length)
{
    size_t n = length > 0 ? (size_t)length : 0;
    if (n >= WF_ERROR_MAX) n = WF_ERROR_MAX - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        error_detail[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    if ((size_t)length > n && length > 0) memcpy(error_detail + n - 3, "...", 3);
    error_detail[n] = '\0';
}

wf_status wf_fail_v(wf_status status, const char *format, va_list args)
{
    char text[WF_ERROR_MAX]; // apart from error_detail: wf_error() may be one of the arguments
    int length = vsnprintf(text, sizeof text, format, args);
    detail_set(text, length);
    return status;
}

wf_status wf_fail(wf_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wf_fail_v(status, format, args);
    va_end(args);
    return status;
}

static const char *errno_remedy(int error)
{
    switch (error) {
    case ENOSPC:
        return "; free some space there and run again: sealed output is kept";
    case EDQUOT:
        return "; raise the quota or remove files, then run again: sealed output is kept";
    case EIO:
        return "; the disk or file server failed: see its own log before running again";
    case ESTALE:
        return "; the file server lost it: see that it is mounted as before, then run again";
    case EINTR:
        return "; a signal came in between: run again";
    case EROFS:
    case EACCES:
    case EPERM:
        return "; make it writable or choose another place, then run again";
    default:
        return "";
    }
}

wf_status wf_fail_errno(wf_status status, const char *format, ...)
{
    int error = errno;
    char place[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(place, sizeof place, format, args);
    va_end(args);
    return wf_fail(status, "%s: %s%s", place, strerror(error), errno_remedy(error));
}

const char *wf_error(void)
{
    return error_detail;
}

const char *wf_status_name(wf_status status)
{
    return status_find(status)->name;
}

const char *wf_status_words(wf_status status)
{
    return status_find(status)->words;
}

wf_scope wf_status_scope(wf_status status)
{
    return status_find(status)->scope;
}

int wf_status_exit_code(wf_status status)
{
    return status_find(status)->exit_code;
}
