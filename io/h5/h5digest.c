// Digests: XXH64 of the values of every dataset, and of the file as a whole.
//
// Each dataset carries its own as the attribute `xxh64`: the values as they are stored, in order.
// The file's is that of the lines "<name> <xxh64>\n" of all its datasets, in byte order of the
// names. So a value that was changed later is found and named, and whoever wrote down the file's
// digest elsewhere finds a file that was changed as a whole.
#include "io/h5/h5internal.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"

#define NAME_ATTRIBUTE "xxh64"

void wf_h5_digest_start(wf_h5_file *file)
{
    file->digesting = true;
}

wf_status wf_h5_note_digest(wf_h5_file *file, const char *name, uint64_t xxh64)
{
    char hex[WF_HASH64_HEX];
    WF_TRY(wf_h5_put_text(file, name, NAME_ATTRIBUTE, wf_hash64_hex(xxh64, hex)));
    WF_TRY(wf_grow(file->n_digests + 1, sizeof *file->digests, &file->digests_capacity,
                   &file->digests));
    wf_h5_digest *d = &file->digests[file->n_digests];
    WF_TRY(wf_strdup(name, &d->name));
    d->xxh64 = xxh64;
    file->n_digests++;
    return WF_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const wf_h5_digest *)a)->name, ((const wf_h5_digest *)b)->name);
}

wf_status wf_h5_put_digest(wf_h5_file *file, uint64_t *digest)
{
    wf_hash64_stream *hash = NULL;
    char hex[WF_HASH64_HEX];
    WF_TRY(wf_hash64_create(0, &hash));
    if (file->n_digests > 1) qsort(file->digests, file->n_digests, sizeof *file->digests, by_name);
    for (size_t i = 0; i < file->n_digests; i++) {
        const wf_h5_digest *d = &file->digests[i];
        wf_hash64_add(hash, d->name, strlen(d->name));
        wf_hash64_add(hash, " ", 1);
        wf_hash64_add(hash, wf_hash64_hex(d->xxh64, hex), WF_HASH64_HEX - 1);
        wf_hash64_add(hash, "\n", 1);
    }
    *digest = wf_hash64_value(hash);
    wf_hash64_destroy(&hash);
    return wf_h5_put_text(file, "/", "digest", wf_hash64_hex(*digest, hex));
}

void wf_h5_forget_digests(wf_h5_file *file)
{
    for (size_t i = 0; i < file->n_digests; i++)
        free(file->digests[i].name);
    free(file->digests);
}
