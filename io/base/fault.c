// Reading WEFT_FAULT where a point is reached. Nothing is kept between calls: the environment is
// the state, so that threads and points need not agree on anything.
#include "io/base/fault.h"

#include "io/base/log.h"
#include "io/base/parse.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ITEM_BYTES = 1024 };

// After a signal that asks to leave, so that what follows is as if it had come in time.
#define TAKE_NOTICE_NS 300000000

typedef struct fault {
    char text[ITEM_BYTES]; // the item, cut into words
    int number;            // signal
    wf_fault_point point;
    uint64_t n;
    int64_t rank;     // -1: any
    const char *once; // in text; NULL: always
} fault;

static bool find_action(const char *word, int *number)
{
#define MATCH_ACTION(name, signal_number)                                                          \
    if (strcmp(word, name) == 0) {                                                                 \
        *number = signal_number;                                                                   \
        return true;                                                                               \
    }
    WF_FAULT_ACTIONS(MATCH_ACTION)
#undef MATCH_ACTION
    return false;
}

static bool find_point(const char *word, wf_fault_point *point)
{
    static const char *const words[] = {
#define POINT_WORD(name, text, counts) text,
        WF_FAULT_POINTS(POINT_WORD)
#undef POINT_WORD
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *point = (wf_fault_point)i;
        return true;
    }
    return false;
}

static bool read_condition(char *text, fault *f)
{
    if (strncmp(text, "once=", 5) == 0) {
        f->once = text + 5;
        return text[5] != '\0';
    }
    return strncmp(text, "rank=", 5) == 0 &&
           wf_parse_i64(text + 5, 0, INT32_MAX, &f->rank) == WF_OK;
}

// "kill@step=9,rank=1" into *f; false when it is not one.
static bool read_item(const char *item, size_t n_bytes, fault *f)
{
    char *rest = f->text;
    f->rank = -1;
    f->once = NULL;
    if (n_bytes >= sizeof f->text) return false;
    memcpy(f->text, item, n_bytes);
    f->text[n_bytes] = '\0';
    char *what = strsep(&rest, ","), *action = strsep(&what, "@"), *point = strsep(&what, "=");
    if (!point || !what || !find_action(action, &f->number) || !find_point(point, &f->point) ||
        wf_parse_u64(what, 0, UINT64_MAX, &f->n) != WF_OK)
        return false;
    while (rest)
        if (!read_condition(strsep(&rest, ","), f)) return false;
    return true;
}

// The next item of a list by ";", blanks taken off; false at the end.
static bool next_item(const char **list, const char **item, size_t *n_bytes)
{
    *list += strspn(*list, "; ");
    *item = *list;
    *n_bytes = strcspn(*list, ";");
    *list += *n_bytes;
    while (*n_bytes > 0 && (*item)[*n_bytes - 1] == ' ')
        --*n_bytes;
    return *n_bytes > 0;
}

// Of all processes that share the file's folder, one may.
static bool may_once(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

void wf_fault_at(wf_fault_point point, uint64_t n)
{
    const char *list = getenv("WEFT_FAULT"), *item;
    size_t n_bytes;
    fault f;
    if (!list) return;
    while (next_item(&list, &item, &n_bytes)) {
        if (!read_item(item, n_bytes, &f) || f.point != point || f.n != n) continue;
        if (f.rank >= 0 && f.rank != wf_log_rank()) continue;
        if (f.once && !may_once(f.once)) continue;
        wf_warn("WEFT_FAULT: %.*s", (int)n_bytes, item);
        kill(getpid(), f.number);
        if (f.number == SIGUSR1 || f.number == SIGTERM || f.number == SIGINT)
            nanosleep(&(struct timespec){.tv_nsec = TAKE_NOTICE_NS}, NULL);
    }
}

wf_status wf_fault_check(void)
{
    const char *list = getenv("WEFT_FAULT"), *item;
    size_t n_bytes;
    fault f;
    while (list && next_item(&list, &item, &n_bytes))
        if (!read_item(item, n_bytes, &f))
            return wf_fail(WF_USAGE,
                           "WEFT_FAULT: \"%.*s\" is not ACTION@POINT=N[,rank=R][,once=FILE]; "
                           "io/base/fault.h lists actions and points",
                           (int)n_bytes, item);
    return WF_OK;
}
