// The log sink. It refuses to allocate, to lock and to buffer: a line is formatted on the stack and
// written with one write(), so it can be used while the program is failing.
#include "io/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, LEVEL_UNSET = -1, RANK_NONE = -1 };

static const char *const level_names[] = {"debug", "detail", "info", "warn", "error"};

static atomic_int sink_level = LEVEL_UNSET;
static atomic_int sink_rank = RANK_NONE;

static int level_from_environment(void)
{
    const char *text = getenv("WEFT_LOG");
    for (int i = WF_LOG_DEBUG; text && i <= WF_LOG_ERROR; i++)
        if (strcmp(text, level_names[i]) == 0) return i;
    return WF_LOG_INFO;
}

void wf_log_set_level(wf_log_level level)
{
    atomic_store(&sink_level, (int)level);
}

void wf_log_set_default(wf_log_level level)
{
    if (!getenv("WEFT_LOG")) wf_log_set_level(level);
}

void wf_log_set_rank(int rank)
{
    atomic_store(&sink_rank, rank);
}

int wf_log_rank(void)
{
    return atomic_load(&sink_rank);
}

wf_log_level wf_log_threshold(void)
{
    int level = atomic_load(&sink_level);
    if (level == LEVEL_UNSET) {
        level = level_from_environment(); // a race sets the same value twice
        atomic_store(&sink_level, level);
    }
    return (wf_log_level)level;
}

// Writes what comes before the message and returns its length.
static size_t line_head(char *line, size_t line_bytes, wf_log_level level)
{
    struct timespec now;
    struct tm day;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &day);
    const char *clear = isatty(STDERR_FILENO) ? "\r\x1b[K" : "";
    char rank_text[16] = "";
    int rank = atomic_load(&sink_rank);
    if (rank >= 0) snprintf(rank_text, sizeof rank_text, "r%d ", rank);
    int n =
        snprintf(line, line_bytes, "%s%02d:%02d:%02d %s%-5s ", clear, day.tm_hour, day.tm_min,
                 day.tm_sec, rank_text, level_names[level == WF_LOG_DETAIL ? WF_LOG_INFO : level]);
    return n > 0 ? (size_t)n : 0;
}

static void write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return; // nobody is left to be told
        bytes += done;
        n -= (size_t)done;
    }
}

void wf_log(wf_log_level level, const char *format, ...)
{
    if (level < wf_log_threshold()) return;
    int saved_errno = errno;
    char line[LINE_MAX_BYTES];
    size_t head = line_head(line, sizeof line, level);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + head, sizeof line - head - 1, format, args);
    va_end(args);
    size_t end = head + (n > 0 ? (size_t)n : 0);
    if (end > sizeof line - 2) end = sizeof line - 2;
    for (size_t i = head; i < end; i++) { // text of hostile files must not steer the terminal
        unsigned char c = (unsigned char)line[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) line[i] = '?';
    }
    line[end] = '\n';
    write_all(STDERR_FILENO, line, end + 1);
    errno = saved_errno;
}
