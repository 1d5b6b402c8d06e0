// Digests: the values of every dataset against what the file wrote down about them.
//
// The rule, written down a second time: a dataset's attribute `xxh64` is XXH64 of its values as
// they are stored; the root's `digest` is XXH64 of the lines "<name> <xxh64>\n" of all datasets in
// byte order of their names. Files of older versions have neither.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_VALUES = 65536 };

typedef struct {
    const char *name;
    uint64_t hash;
} line;

typedef struct {
    check_file *f;
    bool carries; // the file has a digest
    bool fine;    // every dataset is as it says
    line *lines;
    size_t n, capacity;
} digests;

bool check_hex_attribute(hid_t object, const char *name, uint64_t *value)
{
    char text[32], *end;
    if (!check_text_attribute(object, name, text, sizeof text)) return false;
    if (strspn(text, "0123456789abcdef") != 16 || strlen(text) != 16) return false;
    *value = strtoull(text, &end, 16);
    return true;
}

// Texts are read whole: names of hosts and shards.
static bool hash_texts(checker *c, const check_set *set, uint64_t *hash)
{
    hid_t type = H5Dget_type(set->id);
    size_t bytes = H5Tget_size(type) * (size_t)set->n;
    char *values = bytes <= CHECK_TEXTS_MAX_BYTES ? calloc(bytes + 1, 1) : NULL;
    bool fine = values &&
                (bytes == 0 || H5Dread(set->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    if (fine)
        *hash = wf_hash64_of(values, bytes, 0);
    else
        check_problem(c, "%s:%s: cannot be read", set->path, set->name);
    free(values);
    H5Tclose(type);
    return fine;
}

static wf_status hash_numbers(checker *c, const check_set *set, uint64_t *hash, bool *fine)
{
    wf_hash64_stream *stream = NULL;
    char *values = NULL;
    uint64_t width = set->width ? set->width : 1, part = READ_VALUES / width + 1;
    size_t each = (size_t)width * check_type_bytes(set->type);
    wf_status st = WF_OK;
    *fine = true;
    WF_TRY_TO(done, wf_hash64_create(0, &stream));
    WF_TRY_TO(done, wf_alloc((size_t)part, each, &values));
    for (uint64_t start = 0; *fine && start < set->n; start += part) {
        uint64_t n = set->n - start < part ? set->n - start : part;
        *fine = check_read(c, set, start, n, values);
        if (*fine) wf_hash64_add(stream, values, (size_t)n * each);
    }
    *hash = wf_hash64_value(stream);
done:
    wf_hash64_destroy(&stream);
    free(values);
    return st;
}

static void compare(digests *d, const check_set *set, uint64_t found)
{
    uint64_t recorded;
    if (!d->carries) return;
    if (!check_hex_attribute(set->id, "xxh64", &recorded)) {
        check_problem(d->f->c, "%s:%s: has no attribute 'xxh64'", set->path, set->name);
    } else if (recorded != found) {
        check_problem(d->f->c,
                      "%s:%s: its values have xxh64 %016" PRIx64
                      ", they were written with %016" PRIx64 ": they were changed",
                      set->path, set->name, found, recorded);
    } else {
        return;
    }
    d->fine = false;
}

// What the row checks do not look at is read through in any case: its checksums must hold.
static wf_status look(digests *d, const check_set *set)
{
    uint64_t hash = 0;
    bool fine = true;
    if (set->id < 0 || (set->was_read && !d->carries)) return WF_OK;
    if (set->type == T_TEXT)
        fine = hash_texts(d->f->c, set, &hash);
    else
        WF_TRY(hash_numbers(d->f->c, set, &hash, &fine));
    d->fine &= fine;
    if (!fine) return WF_OK;
    compare(d, set, hash);
    WF_TRY(wf_grow(d->n + 1, sizeof *d->lines, &d->capacity, &d->lines));
    d->lines[d->n++] = (line){set->name, hash};
    return WF_OK;
}

static wf_status look_at_shards(digests *d)
{
    check_set sets[] = {{.name = "/shards/uid", .type = T_TEXT, .rank = 1},
                        {.name = "/shards/path", .type = T_TEXT, .rank = 1},
                        {.name = "/shards/rows", .type = T_U64, .rank = 1}};
    wf_status st = WF_OK;
    for (size_t i = 0; st == WF_OK && i < sizeof sets / sizeof sets[0]; i++) {
        sets[i].path = d->f->path;
        if (!check_open_set(d->f->c, d->f->id, true, &sets[i])) continue; // said before
        st = look(d, &sets[i]);
        H5Dclose(sets[i].id);
    }
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const line *)a)->name, ((const line *)b)->name);
}

static wf_status sum_up(digests *d, uint64_t *sum)
{
    wf_hash64_stream *stream = NULL;
    char text[160];
    WF_TRY(wf_hash64_create(0, &stream));
    if (d->n > 1) qsort(d->lines, d->n, sizeof *d->lines, by_name);
    for (size_t i = 0; i < d->n; i++) {
        int n =
            snprintf(text, sizeof text, "%s %016" PRIx64 "\n", d->lines[i].name, d->lines[i].hash);
        wf_hash64_add(stream, text, (size_t)n);
    }
    *sum = wf_hash64_value(stream);
    wf_hash64_destroy(&stream);
    return WF_OK;
}

wf_status check_digests(check_file *f, const check_set *sets, size_t n)
{
    digests d = {.f = f, .fine = true};
    uint64_t recorded = 0, sum = 0;
    d.carries = check_hex_attribute(f->id, "digest", &recorded);
    wf_status st = WF_OK;
    for (size_t i = 0; st == WF_OK && i < n; i++)
        st = look(&d, &sets[i]);
    if (st == WF_OK && d.carries) st = look_at_shards(&d);
    if (st == WF_OK) st = sum_up(&d, &sum);
    if (st == WF_OK && d.carries && d.fine && sum != recorded) {
        check_problem(f->c, "%s: its digest is %016" PRIx64 ", it was written with %016" PRIx64,
                      f->path, sum, recorded);
    }
    f->c->n_without_digest += !d.carries;
    f->found.has_digest = d.carries;
    f->found.digest = sum;
    free(d.lines);
    return st;
}
