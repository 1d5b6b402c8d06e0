// Status codes and the error detail behind them.
//
// Every fallible function returns wf_status; 0 is WF_OK. Failures are grouped by the largest thing
// they spoil: one request, one shard, one group of ranks, or the whole job. The function that first
// knows the cause records it once, as "place: what, why, what to do", with wf_fail(); callers pass
// the status on with WF_TRY(). The detail is kept per thread (like errno) until the next wf_fail().
//
// Request codes are also what `/requests/error_code` holds in result files: never renumber one.
#ifndef WF_IO_BASE_STATUS_H
#define WF_IO_BASE_STATUS_H

#include <stdarg.h>

// Scope of a failure: what is lost when it happens.
typedef enum wf_scope {
    WF_SCOPE_NONE,
    WF_SCOPE_REQUEST,
    WF_SCOPE_SHARD,
    WF_SCOPE_GROUP,
    WF_SCOPE_JOB
} wf_scope;

// X(name, number, scope, process exit code, words)
#define WF_STATUS_TABLE(X)                                                                         \
    X(OK, 0, NONE, 0, "ok")                                                                        \
    X(REQ_EMPTY, 100, REQUEST, 3, "prompt has no tokens")                                          \
    X(REQ_TOKEN, 101, REQUEST, 3, "token id outside the vocabulary")                               \
    X(REQ_CONTEXT, 102, REQUEST, 3, "prompt does not fit the model's context")                     \
    X(REQ_MEMORY, 103, REQUEST, 3, "request can never fit the KV memory")                          \
    X(REQ_ARRIVAL, 104, REQUEST, 3, "arrival time is not usable")                                  \
    X(REQ_SAMPLING, 105, REQUEST, 3, "sampling parameter out of range")                            \
    X(REQ_LENGTH, 106, REQUEST, 3, "max_new_tokens is not usable")                                 \
    X(REQ_DUPLICATE, 107, REQUEST, 3, "request id repeats an earlier row")                         \
    X(REQ_SHARD, 108, REQUEST, 3, "the row's shard is damaged")                                    \
    X(REQ_POISON, 109, REQUEST, 3, "request stopped its group twice")                              \
    X(SHARD, 200, SHARD, 65, "request shard is damaged or not a shard")                            \
    X(COMM, 300, GROUP, 70, "communication within the group failed")                               \
    X(DEVICE, 301, GROUP, 70, "device failed")                                                     \
    X(NO_MEMORY, 302, GROUP, 70, "out of memory")                                                  \
    X(STALLED, 303, GROUP, 70, "rank stalled")                                                     \
    X(FAILED_ROWS, 400, JOB, 3, "complete, some requests failed")                                  \
    X(USAGE, 401, JOB, 64, "wrong usage")                                                          \
    X(DATA, 402, JOB, 65, "bad data")                                                              \
    X(NO_INPUT, 403, JOB, 66, "missing input")                                                     \
    X(INTERNAL, 404, JOB, 70, "internal error")                                                    \
    X(IO, 405, JOB, 74, "input/output error")                                                      \
    X(DRAINED, 406, JOB, 75, "drained in time, run again to continue")                             \
    X(CONFIG, 407, JOB, 78, "bad job file")                                                        \
    X(NOT_BUILT, 408, JOB, 78, "not built into this binary")                                       \
    X(IN_USE, 409, JOB, 78, "output folder is in use by another run")                              \
    X(MISMATCH, 410, JOB, 78, "output folder belongs to another job")                              \
    X(NO_PROGRESS, 411, JOB, 69, "run after run has finished nothing")                             \
    X(UNFIT, 412, JOB, 71, "the machine is not fit for a job")                                     \
    X(DIFFERS, 413, JOB, 1, "the results differ")

typedef enum wf_status {
#define WF_STATUS_ENUM(name, number, scope, exit_code, words) WF_##name = number,
    WF_STATUS_TABLE(WF_STATUS_ENUM)
#undef WF_STATUS_ENUM
} wf_status;

// Longest recorded detail, terminator included; longer ones are cut.
#define WF_ERROR_MAX 1024

// Passes a failure on to the caller; the detail stays as first recorded.
#define WF_TRY(expr)                                                                               \
    do {                                                                                           \
        wf_status wf_try_status_ = (expr);                                                         \
        if (wf_try_status_ != WF_OK) return wf_try_status_;                                        \
    } while (0)

// Same, for functions that clean up under a label; needs a local `wf_status st`.
#define WF_TRY_TO(label, expr)                                                                     \
    do {                                                                                           \
        st = (expr);                                                                               \
        if (st != WF_OK) goto label;                                                               \
    } while (0)

// Records the cause for this thread and returns `status`. One line, no newline at the end:
// place, what, why, what to do. Local.
wf_status wf_fail(wf_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
wf_status wf_fail_v(wf_status status, const char *format, va_list args);

// As wf_fail, ending in ": strerror(errno)" of the current errno; a full, read-only or broken disk
// adds what to do about it. Local.
wf_status wf_fail_errno(wf_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The detail last recorded by this thread, "" if none. Borrowed; valid until its next wf_fail().
const char *wf_error(void);

const char *
wf_status_name(wf_status status); // "REQ_EMPTY"; "UNKNOWN" for a number not in the table
const char *wf_status_words(wf_status status); // "prompt has no tokens"
wf_scope wf_status_scope(wf_status status);
int wf_status_exit_code(wf_status status);

#endif
