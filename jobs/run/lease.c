// Leases as files: the published lists of ranges, and one O_EXCL file per taken range. See lease.h.
#include "jobs/run/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/results/runfile.h"

#define RANGES_FILE  "ranges"
#define RANGES_TITLE "weft-ranges 2"

struct wf_leases {
    char *out_dir;
    char dir[PATH_MAX]; // <out>/leases/r<run>
    uint32_t run;
    int group, epoch;
    size_t n_shards;
    uint64_t *n_rows; // [n_shards]
    uint64_t share;   // a group's even part of the rows to do
    size_t n_ranges, capacity;
    wf_lease *range;         // [n_ranges] list after list
    uint32_t n_lists;        // read so far
    uint32_t n_lists_opened; // of them, those there were at the start
    size_t next;             // all before it are known to be taken
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
    for (uint64_t i = 0; i < shard->n_rows >> 6; i++)
        n += (uint64_t)__builtin_popcountll(~shard->done[i]);
    for (uint64_t row = shard->n_rows & ~UINT64_C(63); row < shard->n_rows; row++)
        n += !row_is_done(shard, row);
    return n;
}

// An eighth of an even part of what is left: a group's rows are made of several ranges even where
// it runs one batch only, and the last ranges are single rows.
static uint64_t cut_size(uint64_t n_left, const wf_lease_cut *cut)
{
    uint64_t parts = 8 * (uint64_t)(cut->n_groups > 0 ? cut->n_groups : 1);
    uint64_t size = (n_left + parts - 1) / parts;
    uint64_t least = cut->min_rows > 0 ? cut->min_rows : 1;
    if (cut->max_rows > 0 && size > cut->max_rows) size = cut->max_rows;
    return size < least ? least : size;
}

// The next range of a shard from `row` on with `size` rows to do; false when none is left there.
static bool range_next(const wf_lease_shard *shard, uint64_t row, uint64_t size, wf_lease *out,
                       uint64_t *n_taken)
{
    while (row < shard->n_rows && row_is_done(shard, row))
        row++;
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
    for (size_t i = 0; i < n_shards; i++)
        n_left += rows_to_do(&shards[i]);
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

static wf_status list_path(const char *dir, uint32_t list, char path[PATH_MAX])
{
    char name[32];
    snprintf(name, sizeof name, list == 0 ? RANGES_FILE : RANGES_FILE ".%" PRIu32, list);
    return path_join(path, dir, name);
}

static wf_status ranges_text(const wf_lease *range, size_t n, char **out, size_t *n_bytes)
{
    FILE *file = open_memstream(out, n_bytes);
    if (!file) return wf_fail(WF_NO_MEMORY, "leases: no memory for the text of %zu ranges", n);
    fprintf(file, RANGES_TITLE " %zu\n", n);
    for (size_t i = 0; i < n; i++) {
        fprintf(file, "%" PRIu32 " %" PRIu64 " %" PRIu64 " %d %d\n", range[i].shard, range[i].begin,
                range[i].end, range[i].kind, range[i].partial);
    }
    if (fclose(file) == 0) return WF_OK;
    free(*out);
    *out = NULL;
    return wf_fail(WF_NO_MEMORY, "leases: no memory for the text of %zu ranges", n);
}

static wf_status ranges_publish(const char *path, const wf_lease *range, size_t n)
{
    char *text = NULL;
    size_t n_bytes = 0;
    WF_TRY(ranges_text(range, n, &text, &n_bytes));
    wf_status st = wf_file_write_whole(path, text, n_bytes, WF_PUBLISH_NEW);
    free(text);
    return st;
}

// Publishes this process's cut, unless another was first.
static wf_status first_publish(const wf_leases *leases, const wf_leases_config *config)
{
    wf_lease *range = NULL;
    size_t n = 0;
    char path[PATH_MAX];
    WF_TRY(list_path(leases->dir, 0, path));
    WF_TRY(wf_lease_ranges(config->shards, config->n_shards, &config->cut, &range, &n));
    wf_status st = ranges_publish(path, range, n);
    free(range);
    return st == WF_IN_USE ? WF_OK : st;
}

static wf_status ranges_damaged(const char *path, size_t line)
{
    return wf_fail(WF_IO,
                   "%s:%zu: not a list of ranges for these shards: start a new run (leases are "
                   "not kept between runs)",
                   path, line);
}

static wf_status ranges_parse(wf_leases *leases, FILE *file, const char *path)
{
    size_t n = 0, n_before = leases->n_ranges;
    if (fscanf(file, RANGES_TITLE " %zu", &n) != 1 || n > SIZE_MAX / sizeof(wf_lease) - n_before)
        return ranges_damaged(path, 1);
    WF_TRY(wf_grow(n_before + n, sizeof *leases->range, &leases->capacity, &leases->range));
    for (size_t i = 0; i < n; i++) {
        wf_lease r = {.group = -1, .epoch = -1, .list = leases->n_lists};
        int kind = 0, partial = 0;
        int n_read = fscanf(file, "%" SCNu32 " %" SCNu64 " %" SCNu64 " %d %d", &r.shard, &r.begin,
                            &r.end, &kind, &partial);
        if (n_read != 5 || r.shard >= leases->n_shards || r.begin >= r.end ||
            r.end > leases->n_rows[r.shard] || kind < 0 || kind > WF_LEASE_POISON) {
            return ranges_damaged(path, i + 2);
        }
        r.kind = (wf_lease_kind)kind;
        r.partial = partial != 0;
        leases->range[n_before + i] = r;
    }
    leases->n_ranges = n_before + n;
    leases->n_lists++;
    return WF_OK;
}

static FILE *stream_open(const char *path)
{
    int fd = wf_file_open_calmly(path, O_RDONLY);
    return fd < 0 ? NULL : fdopen(fd, "r");
}

// Reads the next list; *got is false when it is not published.
static wf_status list_read(wf_leases *leases, bool *got)
{
    char path[PATH_MAX];
    WF_TRY(list_path(leases->dir, leases->n_lists, path));
    FILE *file = stream_open(path);
    *got = file != NULL;
    if (!file && errno == ENOENT) return WF_OK;
    if (!file) return wf_fail_errno(WF_IO, "%s: cannot open", path);
    wf_status st = ranges_parse(leases, file, path);
    fclose(file);
    return st;
}

static wf_status lists_read(wf_leases *leases, const wf_leases_config *config)
{
    bool got = false;
    WF_TRY(list_read(leases, &got));
    if (!got) WF_TRY(first_publish(leases, config));
    do {
        WF_TRY(list_read(leases, &got));
    } while (got);
    leases->n_lists_opened = leases->n_lists;
    return WF_OK;
}

static wf_status config_copy(wf_leases *leases, const wf_leases_config *config)
{
    leases->run = (uint32_t)config->run;
    leases->group = config->group;
    leases->epoch = config->epoch;
    leases->n_shards = config->n_shards;
    WF_TRY(wf_strdup(config->out_dir, &leases->out_dir));
    WF_TRY(wf_alloc(config->n_shards, sizeof *leases->n_rows, &leases->n_rows));
    uint64_t n_groups = config->cut.n_groups > 0 ? (uint64_t)config->cut.n_groups : 1, n_left = 0;
    for (size_t i = 0; i < config->n_shards; i++) {
        leases->n_rows[i] = config->shards[i].n_rows;
        n_left += rows_to_do(&config->shards[i]);
    }
    leases->share = (n_left + n_groups - 1) / n_groups;
    return WF_OK;
}

wf_status wf_leases_open(const wf_leases_config *config, wf_leases **out)
{
    wf_leases *leases;
    WF_TRY(wf_alloc(1, sizeof *leases, &leases));
    wf_status st = config_copy(leases, config);
    if (st == WF_OK) st = folder_name(leases, config);
    if (st == WF_OK) st = lists_read(leases, config);
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
    free((*leases)->out_dir);
    free((*leases)->n_rows);
    free((*leases)->range);
    free(*leases);
    *leases = NULL;
}

wf_status wf_leases_return(wf_leases *leases, const wf_lease *ranges, size_t n)
{
    char path[PATH_MAX];
    bool got = false;
    if (n == 0) return WF_OK;
    WF_TRY(list_path(leases->dir, leases->n_lists, path));
    WF_TRY(ranges_publish(path, ranges, n));
    return list_read(leases, &got);
}

static wf_status lease_path(const wf_leases *leases, const wf_lease *lease, char path[PATH_MAX])
{
    char name[96], list[16] = "";
    if (lease->list > 0) snprintf(list, sizeof list, ".%" PRIu32, lease->list);
    snprintf(name, sizeof name, "s%" PRIu32 "-%" PRIu64 "-%" PRIu64 "%s", lease->shard,
             lease->begin, lease->end, list);
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
        const wf_lease *range = &leases->range[leases->next];
        if (range->partial && range->list >= leases->n_lists_opened) continue;
        WF_TRY(range_take(leases, range, got));
        if (!*got) continue;
        *out = *range;
        out->group = leases->group;
        out->epoch = leases->epoch;
    }
    return WF_OK;
}

static wf_status fence_look(const wf_leases *leases)
{
    return wf_run_fence(leases->out_dir, leases->run, (uint32_t)leases->group,
                        (uint32_t)leases->epoch);
}

wf_status wf_leases_claim(wf_leases *leases, wf_lease *out, bool *got)
{
    bool more = true;
    *got = false;
    if (leases->group >= 0) WF_TRY(fence_look(leases));
    while (more && !*got) {
        WF_TRY(claim_from_cursor(leases, out, got));
        if (!*got) WF_TRY(list_read(leases, &more));
    }
    return WF_OK;
}

static void holder_read(const char *path, wf_lease *lease)
{
    lease->group = lease->epoch = -1;
    FILE *file = stream_open(path);
    if (!file) return;
    int group, epoch;
    if (fscanf(file, "group %d epoch %d", &group, &epoch) == 2) {
        lease->group = group;
        lease->epoch = epoch;
    }
    fclose(file);
}

// "s<shard>-<begin>-<end>" or "s<shard>-<begin>-<end>.<list>", wholly.
static bool name_parse(const char *name, wf_lease *out)
{
    int length = 0, more = 0;
    *out = (wf_lease){.group = -1, .epoch = -1};
    int n = sscanf(name, "s%" SCNu32 "-%" SCNu64 "-%" SCNu64 "%n", &out->shard, &out->begin,
                   &out->end, &length);
    if (n != 3) return false;
    if (name[length] == '\0') return true;
    return sscanf(name + length, ".%" SCNu32 "%n", &out->list, &more) == 1 &&
           name[length + more] == '\0';
}

// Kind and partial of a taken range, from the list that it is of.
static void range_recall(const wf_leases *leases, wf_lease *lease)
{
    for (size_t i = 0; i < leases->n_ranges; i++) {
        const wf_lease *r = &leases->range[i];
        if (r->list != lease->list || r->shard != lease->shard || r->begin != lease->begin)
            continue;
        lease->kind = r->kind;
        lease->partial = r->partial;
        return;
    }
}

static int by_place(const void *a, const void *b)
{
    const wf_lease *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->list > y->list) - (x->list < y->list);
}

wf_status wf_leases_list(const wf_leases *leases, wf_lease **out, size_t *n_out)
{
    wf_lease *list = NULL, lease;
    size_t capacity = 0, n = 0;
    char path[PATH_MAX];
    wf_paths names = {0};
    wf_status st;
    WF_TRY_TO(done, wf_file_list(leases->dir, &names));
    WF_TRY_TO(done, wf_grow(names.n + 1, sizeof *list, &capacity, &list));
    for (size_t i = 0; i < names.n; i++) {
        if (!name_parse(names.item[i], &lease)) continue;
        WF_TRY_TO(done, path_join(path, leases->dir, names.item[i]));
        holder_read(path, &lease);
        range_recall(leases, &lease);
        list[n++] = lease;
    }
    qsort(list, n, sizeof *list, by_place);
    *out = list;
    *n_out = n;
done:
    wf_paths_destroy(&names);
    if (st != WF_OK) free(list);
    return st == WF_NO_INPUT ? WF_IO : st;
}

size_t wf_leases_count(const wf_leases *leases)
{
    return leases->n_ranges;
}

static uint64_t rows_to_hold(const wf_leases *leases, uint64_t max_rows)
{
    uint64_t hold = max_rows + max_rows / 4;
    if (hold > leases->share) hold = leases->share;
    return hold > 0 ? hold : 1;
}

// Moves the cursor to the first range that is free for this group as far as one can see, and gives
// its size; 0 when no list known so far has one.
static wf_status size_ahead(wf_leases *leases, uint64_t *n_rows)
{
    char path[PATH_MAX];
    *n_rows = 0;
    for (; leases->next < leases->n_ranges; leases->next++) {
        const wf_lease *range = &leases->range[leases->next];
        if (range->partial && range->list >= leases->n_lists_opened) continue;
        WF_TRY(lease_path(leases, range, path));
        if (wf_file_exists(path)) continue;
        *n_rows = range->end - range->begin;
        return WF_OK;
    }
    return WF_OK;
}

wf_status wf_leases_wants(wf_leases *leases, uint64_t n_held, uint64_t max_rows, bool *wants)
{
    uint64_t hold = rows_to_hold(leases, max_rows), n_rows = 0;
    *wants = n_held < hold;
    if (!*wants) return WF_OK;
    WF_TRY(size_ahead(leases, &n_rows));
    if (n_rows <= hold / 5) *wants = n_held + n_rows <= hold;
    return WF_OK;
}
