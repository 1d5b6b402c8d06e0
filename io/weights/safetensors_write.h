// Writes one safetensors file, in one pass: names, types and shapes first, then the bytes.
//
//   create (header) -> put the bytes of all tensors, in the order of the list -> publish
//
// The file is written under a name that nobody can foresee and given its own when all of it is on
// disk (io/base/publish.h), so that no reader meets half of one. Only what is being put is in
// memory. All Local. Format: safetensors.h.
#ifndef WF_IO_WEIGHTS_SAFETENSORS_WRITE_H
#define WF_IO_WEIGHTS_SAFETENSORS_WRITE_H

#include "io/weights/safetensors.h"

// A tensor that will be written; all borrowed.
typedef struct wf_st_entry {
    const char *name;
    wf_st_dtype dtype;
    int rank;
    const int64_t *shape; // [rank]
} wf_st_entry;

uint64_t wf_st_entry_bytes(const wf_st_entry *entry);

typedef struct wf_st_writer wf_st_writer;

// Begins the file `path` of these tensors, whose folder must be there. The list is not kept. WF_IO,
// WF_NO_MEMORY. own.
wf_status wf_st_writer_create(const char *path, const wf_st_entry *entries, size_t n,
                              wf_st_writer **out);

// The next bytes of the tensors' data, which lie end to end. WF_IO.
wf_status wf_st_writer_put(wf_st_writer *w, const void *bytes, size_t n_bytes);

// Gives the file its name, in place of an older one, and frees the writer whatever the outcome.
// WF_INTERNAL when fewer or more bytes were put than the tensors have.
wf_status wf_st_writer_publish(wf_st_writer **w);

// Leaves nothing behind. Takes NULL inside.
void wf_st_writer_drop(wf_st_writer **w);

#endif
