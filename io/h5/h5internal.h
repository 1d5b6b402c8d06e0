// What the three files behind h5util.h share. Not for use elsewhere.
#ifndef WF_IO_H5_H5INTERNAL_H
#define WF_IO_H5_H5INTERNAL_H

#include <hdf5.h>

#include "io/base/hash.h"
#include "io/h5/h5util.h"

typedef struct wf_h5_digest {
    char *name; // own
    uint64_t xxh64;
} wf_h5_digest;

struct wf_h5_file {
    hid_t id;
    bool writing;
    wf_status bad; // status of complaints about the contents
    char *path;
    bool digesting;
    wf_h5_digest *digests; // of the datasets written so far
    size_t n_digests, digests_capacity;
};

hid_t wf_h5_native_type(wf_h5_type type); // borrow: predefined ids
hid_t wf_h5_stored_type(wf_h5_type type); // little-endian, borrow

// `name` ("/" or "/a/b") is reached by hard links only. The complaint has status file->bad.
wf_status wf_h5_check_path(wf_h5_file *file, const char *name);

// A fixed-length string type for texts of up to `length` bytes; own.
hid_t wf_h5_text_type(const char *const *texts, size_t n);

// Gives the dataset its digest, and keeps it for the file's. Freed with the file.
wf_status wf_h5_note_digest(wf_h5_file *file, const char *name, uint64_t xxh64);
void wf_h5_forget_digests(wf_h5_file *file);

#endif
