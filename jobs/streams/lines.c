// A window over the file: [start, start + n) is held, lines are cut out of it.
#include "jobs/streams/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/text.h"

#define READ_IN_ORDER ((size_t)1 << 20)
#define READ_AT_PLACE ((size_t)64 << 10)

struct wf_lines {
    int fd;
    char *path;
    char *buffer;
    size_t capacity;
    uint64_t start; // file offset of buffer[0]
    size_t n;       // bytes held
    size_t at;      // where the next line begins
    char *line;     // the line handed out
    size_t line_capacity;
    bool end_seen;
    bool hashing;    // until finish(): bytes are read in order
    uint64_t number; // of the last line handed out
    wf_sha256 hash;
};

wf_status wf_lines_open(const char *path, wf_lines **out)
{
    wf_lines *l = NULL;
    struct stat info;
    WF_TRY(wf_alloc(1, sizeof *l, &l));
    l->hashing = true;
    wf_sha256_start(&l->hash);
    wf_status st = WF_OK;
    l->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (l->fd < 0 || fstat(l->fd, &info) != 0)
        st = wf_fail_errno(WF_NO_INPUT, "%s: cannot be opened", path);
    else if (!S_ISREG(info.st_mode))
        st = wf_fail(WF_NO_INPUT, "%s: is not a regular file (it is read twice)", path);
    else
        st = wf_strdup(path, &l->path);
    if (st == WF_OK)
        *out = l;
    else
        wf_lines_close(&l);
    return st;
}

void wf_lines_close(wf_lines **lines)
{
    if (lines == NULL || *lines == NULL) return;
    if ((*lines)->fd >= 0) close((*lines)->fd);
    free((*lines)->path);
    free((*lines)->buffer);
    free((*lines)->line);
    free(*lines);
    *lines = NULL;
}

// Forgets what is behind `at` and reads on; the buffer grows when one line fills it.
static wf_status read_more(wf_lines *l)
{
    if (l->at > 0 && l->n > l->at) memmove(l->buffer, l->buffer + l->at, l->n - l->at);
    l->start += l->at;
    l->n -= l->at;
    l->at = 0;
    if (l->n > WF_LINES_MAX_BYTES) {
        return wf_fail(WF_DATA, "%s:%" PRIu64 ": line is longer than %zu MiB", l->path,
                       l->number + 1, WF_LINES_MAX_BYTES >> 20);
    }
    size_t wanted = l->hashing ? READ_IN_ORDER : READ_AT_PLACE;
    WF_TRY(wf_grow(l->n + wanted, 1, &l->capacity, &l->buffer));
    ssize_t got;
    do {
        got = pread(l->fd, l->buffer + l->n, wanted, (off_t)(l->start + l->n));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return wf_fail_errno(WF_IO, "%s: cannot be read", l->path);
    if (l->hashing) wf_sha256_add(&l->hash, l->buffer + l->n, (size_t)got);
    l->n += (size_t)got;
    l->end_seen = got == 0;
    return WF_OK;
}

// Finds the end of the line at `at`; SIZE_MAX: the file ends before.
static wf_status find_end(wf_lines *l, size_t *length)
{
    size_t looked = 0;
    if (!l->buffer) WF_TRY(read_more(l));
    for (;;) {
        const char *from = l->buffer + l->at;
        size_t held = l->n - l->at;
        const char *end = held > looked ? memchr(from + looked, '\n', held - looked) : NULL;
        if (end != NULL) {
            *length = (size_t)(end - from);
            return WF_OK;
        }
        looked = held;
        if (l->end_seen) {
            *length = held == 0 ? SIZE_MAX : held;
            return WF_OK;
        }
        WF_TRY(read_more(l));
    }
}

// Cuts out the line at `at` and steps behind it.
static wf_status take(wf_lines *l, wf_line *line, bool *more)
{
    size_t length = 0;
    WF_TRY(find_end(l, &length));
    *more = length != SIZE_MAX;
    if (!*more) return WF_OK;
    l->number++;
    const char *text = l->buffer + l->at;
    *line = (wf_line){.offset = l->start + l->at, .number = l->number};
    l->at += length < l->n - l->at ? length + 1 : length;
    if (length > 0 && text[length - 1] == '\r') length--;
    size_t mark = line->offset == 0 ? wf_utf8_mark(text, length) : 0;
    text += mark;
    length -= mark;
    if (length > 0 && memchr(text, '\0', length) != NULL) {
        return wf_fail(WF_DATA, "%s:%" PRIu64 ": holds a NUL byte; is this a text file?", l->path,
                       l->number);
    }
    WF_TRY(wf_grow(length + 1, 1, &l->line_capacity, &l->line));
    if (length > 0) memcpy(l->line, text, length);
    l->line[length] = '\0';
    line->text = l->line;
    line->n_bytes = length;
    return WF_OK;
}

static bool is_blank(const wf_line *line)
{
    return strspn(line->text, " \t") == line->n_bytes;
}

wf_status wf_lines_next(wf_lines *l, wf_line *line, bool *more)
{
    do {
        WF_TRY(take(l, line, more));
    } while (*more && is_blank(line));
    return WF_OK;
}

wf_status wf_lines_finish(wf_lines *l, char sha256[WF_SHA256_HEX])
{
    while (!l->end_seen) {
        l->at = l->n;
        WF_TRY(read_more(l));
    }
    l->hashing = false;
    wf_sha256_finish(&l->hash, sha256);
    l->start += l->n;
    l->n = l->at = 0;
    return WF_OK;
}

wf_status wf_lines_at(wf_lines *l, uint64_t offset, uint64_t number, wf_line *line)
{
    bool more = false;
    if (offset >= l->start && offset < l->start + l->n) {
        l->at = (size_t)(offset - l->start);
    } else {
        l->start = offset;
        l->n = l->at = 0;
        l->end_seen = false;
    }
    l->number = number - 1;
    WF_TRY(take(l, line, &more));
    if (more) return WF_OK;
    return wf_fail(WF_DATA, "%s:%" PRIu64 ": the file became shorter while it was read", l->path,
                   number);
}
