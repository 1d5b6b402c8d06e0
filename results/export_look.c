// What a file of rows holds already. See export.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "results/export.h"

enum { BLOCK_BYTES = 1 << 20 };

typedef struct looking {
    int fd;
    const char *path;
    bool csv;
    bool quoted; // inside a cell in quotes, whose line breaks are its own
    int64_t last_begin;
    wf_export_before *out;
} looking;

static wf_status read_at(const looking *k, char *text, size_t n, int64_t at, size_t *out)
{
    ssize_t got;
    do {
        got = pread(k->fd, text, n, at);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return wf_fail_errno(WF_IO, "%s: cannot be read", k->path);
    *out = (size_t)got;
    return WF_OK;
}

static void block_count(looking *k, const char *text, size_t n, int64_t at)
{
    for (size_t i = 0; i < n; i++) {
        if (k->csv && text[i] == '"') k->quoted = !k->quoted;
        if (text[i] != '\n' || k->quoted) continue;
        k->last_begin = k->out->end;
        k->out->end = at + (int64_t)i + 1;
        k->out->records++;
    }
}

static wf_status last_take(const looking *k)
{
    wf_export_before *out = k->out;
    size_t n = 0;
    if (out->records == 0) return WF_OK;
    out->last_bytes = (size_t)(out->end - k->last_begin);
    WF_TRY(wf_alloc(out->last_bytes, 1, &out->last));
    WF_TRY(read_at(k, out->last, out->last_bytes, k->last_begin, &n));
    return n == out->last_bytes ? WF_OK : wf_fail(WF_IO, "%s: was made shorter", k->path);
}

wf_status wf_export_look(int fd, const char *path, bool csv, wf_export_before *out)
{
    looking k = {.fd = fd, .path = path, .csv = csv, .out = out};
    char *text = NULL;
    size_t n = 0;
    int64_t at = 0;
    *out = (wf_export_before){0};
    WF_TRY(wf_alloc(BLOCK_BYTES, 1, &text));
    wf_status st = read_at(&k, text, BLOCK_BYTES, at, &n);
    while (st == WF_OK && n > 0) {
        block_count(&k, text, n, at);
        at += (int64_t)n;
        st = read_at(&k, text, BLOCK_BYTES, at, &n);
    }
    free(text);
    return st == WF_OK ? last_take(&k) : st;
}
