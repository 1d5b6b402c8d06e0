// Leases as files: the published list of ranges, and one O_EXCL file per taken range. See lease.h.
#include "jobs/lease.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"

#define RANGES_FILE  "ranges"
#define RANGES_TITLE "weft-ranges 1"

struct wf_leases {
    char dir[PATH_MAX]; // <out>/leases/r<run>
    int group, epoch;
    size_t n_shards;
    size_t n_ranges;
    wf_lease *range; // [n_ranges]
    size_t next;     // all before it are known to be taken
};

// ---- cutting ------------------------------------------------------------------------------------

static bool row_is_done(const wf_lease_shard *shard, uint64_t row)
{
    return shard->done && (shard->done[row >> 6] >> (row & 63) & 1);
}

static uint64_t rows_to_do(const wf_lease_shard *shard)
{
    if (!shard->done) return shard->n_rows;
    uint64_t n = 0;
    for (uint64_t i = 0; i < shard->n_rows >> 6; i++) {
        n += (uint64_t)__builtin_popcountll(~shard->done[i]);
    }
    for (uint64_t row = shard->n_rows & ~UINT64_C(63); row < shard->n_rows; row++) {
        n += !row_is_done(shard, row);
    }
    return n;
}

// Half of an even part of what is left: the first round hands out half of all rows, the next half
// of the rest, until the smallest size.
static uint64_t cut_size(uint64_t n_left, const wf_lease_cut *cut)
{
    uint64_t parts = 2 * (uint64_t)(cut->n_groups > 0 ? cut->n_groups : 1);
    uint64_t size = (n_left + parts - 1) / parts;
    uint64_t least = cut->min_rows > 0 ? cut->min_rows : 1;
    if (cut->max_rows > 0 && size > cut->max_rows) size = cut->max_rows;
    return size < least ? least : size;
}

// The next range of a shard from `row` on with `size` rows to do; false when none is left there.
static bool range_next(const wf_lease_shard *shard, uint64_t row, uint64_t size, wf_lease *out,
                       uint64_t *n_taken)
{
    while (row < shard->n_rows && row_is_done(shard, row)) {
        row++;
    }
    if (row == shard->n_rows) return false;
    uint64_t end = row, n = 0;
    for (uint64_t i = row; i < shard->n_rows && n < size; i++) {
        if (row_is_done(shard, i)) continue;
        n++;
        end = i + 1;
    }
    *out = (wf_lease){.begin = row, .end = end, .group = -1, .epoch = -1};
    *n_taken = n;
    return true;
}

wf_status wf_lease_ranges(const wf_lease_shard *shards, size_t n_shards, const wf_lease_cut *cut,
                          wf_lease **out, size_t *n_out)
{
    wf_lease *range = NULL, lease;
    size_t capacity = 0, n = 0;
    uint64_t n_left = 0, n_taken = 0;
    wf_status st = wf_grow(1, sizeof *range, &capacity, &range);
    for (size_t i = 0; i < n_shards; i++) {
        n_left += rows_to_do(&shards[i]);
    }
    for (size_t i = 0; i < n_shards && st == WF_OK; i++) {
        uint64_t row = 0;
        while (range_next(&shards[i], row, cut_size(n_left, cut), &lease, &n_taken)) {
            WF_TRY_TO(failed, wf_grow(n + 1, sizeof *range, &capacity, &range));
            lease.shard = (uint32_t)i;
            range[n++] = lease;
            row = lease.end;
            n_left -= n_taken;
        }
    }
    if (st != WF_OK) goto failed;
    *out = range;
    *n_out = n;
    return WF_OK;
failed:
    free(range);
    return st;
}

// ---- files --------------------------------------------------------------------------------------

static wf_status path_join(char path[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    if (n < PATH_MAX) return WF_OK;
    return wf_fail(WF_IO, "%s/%s: the path is longer than %d bytes", dir, name, PATH_MAX - 1);
}

static wf_status folder_name(wf_leases *leases, const wf_leases_config *config)
{
    char name[64];
    snprintf(name, sizeof name, "leases/r%" PRId64, config->run);
    WF_TRY(path_join(leases->dir, config->out_dir, name));
    return wf_file_make_folders(leases->dir);
}

static wf_status ranges_text(const wf_lease *range, size_t n, char **out, size_t *n_bytes)
{
    FILE *file = open_memstream(out, n_bytes);
    if (!file) return wf_fail(WF_NO_MEMORY, "leases: no memory for the text of %zu ranges", n);
    fprintf(file, RANGES_TITLE " %zu\n", n);
    for (size_t i = 0; i < n; i++) {
        fprintf(file, "%" PRIu32 " %" PRIu64 " %" PRIu64 "\n", range[i].shard, range[i].begin,
                range[i].end);
    }
    if (fclose(file) == 0) return WF_OK;
    free(*out);
    *out = NULL;
    return wf_fail(WF_NO_MEMORY, "leases: no memory for the text of %zu ranges", n);
}

// Publishes this process's cut, unless another was first.
static wf_status ranges_publish(const char *path, const wf_leases_config *config)
{
    wf_lease *range = NULL;
    char *text = NULL;
    size_t n = 0, n_bytes = 0;
    wf_status st;
    WF_TRY(wf_lease_ranges(config->shards, config->n_shards, &config->cut, &range, &n));
    WF_TRY_TO(done, ranges_text(range, n, &text, &n_bytes));
    st = wf_file_write_whole(path, text, n_bytes, WF_PUBLISH_NEW);
    if (st == WF_IN_USE) st = WF_OK;
done:
    free(text);
    free(range);
    return st;
}

static wf_status ranges_damaged(const char *path, size_t line)
{
    return wf_fail(WF_IO,
                   "%s:%zu: not a list of ranges for these shards: start a new run (leases are "
                   "not kept between runs)",
                   path, line);
}

static wf_status ranges_parse(wf_leases *leases, FILE *file, const char *path,
                              const wf_leases_config *config)
{
    size_t n = 0;
    if (fscanf(file, RANGES_TITLE " %zu", &n) != 1 || n > SIZE_MAX / sizeof(wf_lease)) {
        return ranges_damaged(path, 1);
    }
    WF_TRY(wf_alloc(n, sizeof *leases->range, &leases->range));
    for (size_t i = 0; i < n; i++) {
        wf_lease *r = &leases->range[i];
        *r = (wf_lease){.group = -1, .epoch = -1};
        int n_read =
            fscanf(file, "%" SCNu32 " %" SCNu64 " %" SCNu64, &r->shard, &r->begin, &r->end);
        if (n_read != 3 || r->shard >= config->n_shards || r->begin >= r->end ||
            r->end > config->shards[r->shard].n_rows) {
            return ranges_damaged(path, i + 2);
        }
    }
    leases->n_ranges = n;
    return WF_OK;
}

static wf_status ranges_read(wf_leases *leases, const wf_leases_config *config)
{
    char path[PATH_MAX];
    WF_TRY(path_join(path, leases->dir, RANGES_FILE));
    FILE *file = fopen(path, "r");
    if (!file && errno == ENOENT) {
        WF_TRY(ranges_publish(path, config));
        file = fopen(path, "r");
    }
    if (!file) return wf_fail_errno(WF_IO, "%s: cannot open", path);
    wf_status st = ranges_parse(leases, file, path, config);
    fclose(file);
    return st;
}

wf_status wf_leases_open(const wf_leases_config *config, wf_leases **out)
{
    wf_leases *leases;
    WF_TRY(wf_alloc(1, sizeof *leases, &leases));
    leases->group = config->group;
    leases->epoch = config->epoch;
    leases->n_shards = config->n_shards;
    wf_status st = folder_name(leases, config);
    if (st == WF_OK) st = ranges_read(leases, config);
    if (st != WF_OK) {
        wf_leases_close(&leases);
        return st;
    }
    *out = leases;
    return WF_OK;
}

void wf_leases_close(wf_leases **leases)
{
    if (!leases || !*leases) return;
    free((*leases)->range);
    free(*leases);
    *leases = NULL;
}

static wf_status lease_path(const wf_leases *leases, const wf_lease *lease, char path[PATH_MAX])
{
    char name[96];
    snprintf(name, sizeof name, "s%" PRIu32 "-%" PRIu64 "-%" PRIu64, lease->shard, lease->begin,
             lease->end);
    return path_join(path, leases->dir, name);
}

// Tries to take one range. The holder's name inside is for the one who takes back what a lost group
// held; the lease itself is the file's being there.
static wf_status range_take(const wf_leases *leases, const wf_lease *range, bool *got)
{
    char path[PATH_MAX], holder[HOST_NAME_MAX + 128], host[HOST_NAME_MAX + 1] = "";
    WF_TRY(lease_path(leases, range, path));
    gethostname(host, sizeof host - 1);
    int n = snprintf(holder, sizeof holder, "group %d epoch %d host %s pid %ld\n", leases->group,
                     leases->epoch, host, (long)getpid());
    wf_status st = wf_file_claim(path, holder, (size_t)n);
    *got = st == WF_OK;
    return st == WF_IN_USE ? WF_OK : st;
}

static wf_status claim_from_cursor(wf_leases *leases, wf_lease *out, bool *got)
{
    for (; leases->next < leases->n_ranges && !*got; leases->next++) {
        WF_TRY(range_take(leases, &leases->range[leases->next], got));
        if (!*got) continue;
        *out = leases->range[leases->next];
        out->group = leases->group;
        out->epoch = leases->epoch;
    }
    return WF_OK;
}

wf_status wf_leases_claim(wf_leases *leases, wf_lease *out, bool *got)
{
    *got = false;
    WF_TRY(claim_from_cursor(leases, out, got));
    if (*got) return WF_OK;
    leases->next = 0; // something behind the cursor may have been given back
    return claim_from_cursor(leases, out, got);
}

static void holder_read(const char *path, wf_lease *lease)
{
    lease->group = lease->epoch = -1;
    FILE *file = fopen(path, "r");
    if (!file) return;
    int group, epoch;
    if (fscanf(file, "group %d epoch %d", &group, &epoch) == 2) {
        lease->group = group;
        lease->epoch = epoch;
    }
    fclose(file);
}

// "s<shard>-<begin>-<end>", wholly.
static bool name_parse(const char *name, wf_lease *out)
{
    int length = 0;
    *out = (wf_lease){.group = -1, .epoch = -1};
    int n = sscanf(name, "s%" SCNu32 "-%" SCNu64 "-%" SCNu64 "%n", &out->shard, &out->begin,
                   &out->end, &length);
    return n == 3 && name[length] == '\0';
}

static int by_place(const void *a, const void *b)
{
    const wf_lease *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

wf_status wf_leases_list(const wf_leases *leases, wf_lease **out, size_t *n_out)
{
    wf_lease *list = NULL, lease;
    size_t capacity = 0, n = 0;
    char path[PATH_MAX];
    wf_status st = wf_grow(1, sizeof *list, &capacity, &list);
    if (st != WF_OK) return st;
    DIR *dir = opendir(leases->dir);
    if (!dir) {
        st = wf_fail_errno(WF_IO, "%s: cannot open", leases->dir);
        goto done;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!name_parse(entry->d_name, &lease)) continue;
        WF_TRY_TO(done, path_join(path, leases->dir, entry->d_name));
        holder_read(path, &lease);
        WF_TRY_TO(done, wf_grow(n + 1, sizeof *list, &capacity, &list));
        list[n++] = lease;
    }
    qsort(list, n, sizeof *list, by_place);
    *out = list;
    *n_out = n;
done:
    if (dir) closedir(dir);
    if (st != WF_OK) free(list);
    return st;
}

wf_status wf_leases_release(wf_leases *leases, const wf_lease *lease)
{
    char path[PATH_MAX];
    WF_TRY(lease_path(leases, lease, path));
    if (unlink(path) != 0 && errno != ENOENT) {
        return wf_fail_errno(WF_IO, "%s: cannot release", path);
    }
    return WF_OK;
}

size_t wf_leases_count(const wf_leases *leases)
{
    return leases->n_ranges;
}
