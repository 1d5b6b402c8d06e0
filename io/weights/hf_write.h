// Writes a Hugging Face model folder that is there whole or not at all, and goes on where it was
// interrupted.
//
//   OUT.part/            held by a lock while it is written
//     identity.json      what it is made of: one that was begun for something else is refused
//     model-00001-of-00003.safetensors   each there when it is whole, kept by the next start
//     ...  index, documents
//   then OUT.part becomes OUT, by a rename
//
// A single file is called model.safetensors and has no index. All Local.
#ifndef WF_IO_WEIGHTS_HF_WRITE_H
#define WF_IO_WEIGHTS_HF_WRITE_H

#include <stdatomic.h>

#include "io/weights/safetensors_write.h"

// Tensors that are made together: they lie in one file, one behind the other.
typedef struct wf_hf_unit {
    size_t first, n; // of the entries
} wf_hf_unit;

// A file of the folder beside its tensors.
typedef struct wf_hf_document {
    const char *name;
    const char *text; // its content; NULL: that of the file `from`
    const char *from;
} wf_hf_document;

// Puts all bytes of a unit's tensors, in their order.
typedef wf_status wf_hf_fill(void *context, size_t i_unit, wf_st_writer *to);

typedef struct wf_hf_write_job {
    const char *path;     // the folder, which must not be there; the one above it must
    const char *identity; // a JSON text: equal for equal contents
    const wf_st_entry *entries;
    const wf_hf_unit *units; // one behind the other, all entries
    size_t n_units;
    uint64_t file_bytes; // of a file at most, where it has several units; 0: 5 GB
    const wf_hf_document *documents;
    size_t n_documents;
    wf_hf_fill *fill;
    void *context;
    const atomic_int *stop; // nonzero: leave between two units, WF_DRAINED; NULL: never
} wf_hf_write_job;

typedef struct wf_hf_write_report {
    size_t n_files, n_kept; // of these, written by an earlier start
    uint64_t bytes;         // of all tensors
} wf_hf_write_report;

// WF_IN_USE: the folder is there, or another process writes it. WF_MISMATCH: begun for something
// else. WF_IO: also when the disk has not room enough, before anything is written. What `fill`
// fails with.
wf_status wf_hf_write(const wf_hf_write_job *job, wf_hf_write_report *out);

// Removes what an interrupted start left of `path`; fine when there is nothing.
wf_status wf_hf_write_discard(const char *path);

#endif
