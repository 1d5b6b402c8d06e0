// A mapped file under a file lock, so that a group that dies holds up nobody. See board.h.
#include "jobs/run/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"

struct wf_board {
    char *path;
    int fd, n_groups;
    uint64_t n_items;
    size_t bytes;
    _Atomic int64_t *tokens; // [n_groups] the beginning of the mapping
    uint16_t *taker;         // [n_items] group + 1; 0: not decided, as a new file says by itself
};

static wf_status map(wf_board *b)
{
    b->bytes = (size_t)b->n_groups * sizeof *b->tokens + b->n_items * sizeof *b->taker;
    b->fd = open(b->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (b->fd < 0 || ftruncate(b->fd, (off_t)b->bytes) != 0)
        return wf_fail_errno(WF_IO, "%s: cannot be made", b->path);
    void *memory = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    if (memory == MAP_FAILED) return wf_fail_errno(WF_IO, "%s: cannot be mapped", b->path);
    b->tokens = memory;
    b->taker = (uint16_t *)(void *)(b->tokens + b->n_groups);
    return WF_OK;
}

wf_status wf_board_open(const char *out_dir, int64_t run, int n_groups, uint64_t n_items,
                        wf_board **out)
{
    char name[64];
    char *folder = NULL;
    wf_board *b = NULL;
    snprintf(name, sizeof name, "leases/r%lld", (long long)run);
    WF_TRY(wf_alloc(1, sizeof *b, &b));
    *b = (wf_board){.fd = -1, .n_groups = n_groups, .n_items = n_items};
    wf_status st = wf_path_join(out_dir, name, &folder);
    if (st == WF_OK) st = wf_file_make_folders(folder);
    if (st == WF_OK) st = wf_path_join(folder, "split", &b->path);
    if (st == WF_OK) st = map(b);
    free(folder);
    *out = b;
    if (st != WF_OK) wf_board_close(out);
    return st;
}

void wf_board_close(wf_board **board)
{
    wf_board *b = *board;
    if (!b) return;
    if (b->tokens) munmap((void *)b->tokens, b->bytes);
    if (b->fd >= 0) close(b->fd);
    free(b->path);
    free(b);
    *board = NULL;
}

static int least(const wf_board *b)
{
    int best = 0;
    for (int g = 1; g < b->n_groups; g++)
        if (atomic_load(&b->tokens[g]) < atomic_load(&b->tokens[best])) best = g;
    return best;
}

wf_status wf_board_take(wf_board *b, uint64_t item, int64_t n_tokens, int *out_group)
{
    while (flock(b->fd, LOCK_EX) != 0)
        if (errno != EINTR) return wf_fail_errno(WF_IO, "%s: cannot be locked", b->path);
    if (b->taker[item] == 0) {
        int group = least(b);
        b->taker[item] = (uint16_t)(group + 1);
        atomic_fetch_add(&b->tokens[group], n_tokens);
    }
    *out_group = b->taker[item] - 1;
    flock(b->fd, LOCK_UN);
    return WF_OK;
}

void wf_board_add(wf_board *b, int group, int64_t n_tokens)
{
    atomic_fetch_add(&b->tokens[group], n_tokens);
}
