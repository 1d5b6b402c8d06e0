// A file of entries and the list of free ones. See flight.h.
#include "jobs/run/flight.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/publish.h"

enum { ENTRY_BYTES = 16, RECORD_MAX_BYTES = 64 << 20 };

struct wf_flights {
    char *path;
    wf_part *part;    // published at once: the record has its name while it is written
    uint32_t *unused; // [n_unused] entries that were left
    size_t n_unused, capacity;
    uint32_t n_entries; // of the file
    bool warned;
};

static wf_status record_path(const char *out_dir, int64_t run, int group, int epoch, char **out)
{
    char name[96];
    snprintf(name, sizeof name, "leases/r%" PRId64 "/flight.g%d.e%d", run, group, epoch);
    return wf_path_join(out_dir, name, out);
}

wf_status wf_flights_open(const char *out_dir, int64_t run, int group, int epoch, wf_flights **out)
{
    wf_flights *f;
    WF_TRY(wf_alloc(1, sizeof *f, &f));
    wf_status st = record_path(out_dir, run, group, epoch, &f->path);
    if (st == WF_OK) st = wf_part_create(f->path, &f->part);
    if (st == WF_OK) st = wf_part_publish(f->part, WF_PUBLISH_FAST);
    if (st != WF_OK) {
        wf_flights_close(&f, true);
        return st;
    }
    *out = f;
    return WF_OK;
}

void wf_flights_close(wf_flights **flights, bool keep)
{
    if (!flights || !*flights) return;
    wf_flights *f = *flights;
    if (f->part && !keep) unlink(f->path);
    wf_part_drop(&f->part);
    free(f->path);
    free(f->unused);
    free(f);
    *flights = NULL;
}

static void put_u64(unsigned char *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_u64(const unsigned char *from)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | from[i];
    return value;
}

static void entry_write(wf_flights *f, uint32_t entry, uint64_t mark, uint64_t row)
{
    unsigned char bytes[ENTRY_BYTES];
    put_u64(bytes, mark);
    put_u64(bytes + 8, row);
    if (wf_file_pwrite(wf_part_fd(f->part), f->path, bytes, sizeof bytes,
                       (int64_t)entry * ENTRY_BYTES) == WF_OK)
        return;
    if (!f->warned) wf_warn("%s (of use only if this group dies; the job goes on)", wf_error());
    f->warned = true;
}

wf_status wf_flights_enter(wf_flights *f, uint32_t shard, uint64_t row, uint32_t *out_entry)
{
    if (f->n_unused == 0) { // room for every entry, so that leaving cannot fail
        WF_TRY(wf_grow(f->n_entries + 1, sizeof *f->unused, &f->capacity, &f->unused));
        f->unused[f->n_unused++] = f->n_entries++;
    }
    *out_entry = f->unused[--f->n_unused];
    entry_write(f, *out_entry, (uint64_t)shard + 1, row);
    return WF_OK;
}

void wf_flights_leave(wf_flights *f, uint32_t entry)
{
    entry_write(f, entry, 0, 0);
    f->unused[f->n_unused++] = entry;
}

static int by_place(const void *a, const void *b)
{
    const wf_flight_row *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

wf_status wf_flights_read(const char *out_dir, int64_t run, int group, int epoch,
                          wf_flight_row **out, size_t *n_out)
{
    char *path = NULL, *bytes = NULL;
    size_t n_bytes = 0, n = 0;
    wf_flight_row *rows = NULL;
    WF_TRY(record_path(out_dir, run, group, epoch, &path));
    wf_status st = wf_file_read(path, RECORD_MAX_BYTES, &bytes, &n_bytes);
    free(path);
    if (st == WF_NO_INPUT) st = WF_OK;
    if (st == WF_OK) st = wf_alloc(n_bytes / ENTRY_BYTES, sizeof *rows, &rows);
    for (size_t i = 0; st == WF_OK && i < n_bytes / ENTRY_BYTES; i++) {
        const unsigned char *entry = (const unsigned char *)bytes + i * ENTRY_BYTES;
        uint64_t mark = get_u64(entry);
        if (mark == 0 || mark > UINT32_MAX) continue;
        rows[n++] = (wf_flight_row){(uint32_t)mark - 1, get_u64(entry + 8)};
    }
    free(bytes);
    WF_TRY(st);
    qsort(rows, n, sizeof *rows, by_place);
    *out = rows;
    *n_out = n;
    return WF_OK;
}
