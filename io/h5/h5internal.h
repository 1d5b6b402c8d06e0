// What the three files behind h5util.h share. Not for use elsewhere.
#ifndef WF_IO_H5_H5INTERNAL_H
#define WF_IO_H5_H5INTERNAL_H

#include <hdf5.h>

#include "io/h5/h5util.h"

struct wf_h5_file {
    hid_t id;
    bool writing;
    wf_status bad; // status of complaints about the contents
    char *path;
};

hid_t wf_h5_native_type(wf_h5_type type); // borrow: predefined ids
hid_t wf_h5_stored_type(wf_h5_type type); // little-endian, borrow

// `name` ("/" or "/a/b") is reached by hard links only. The complaint has status file->bad.
wf_status wf_h5_check_path(wf_h5_file *file, const char *name);

// A fixed-length string type for texts of up to `length` bytes; own.
hid_t wf_h5_text_type(const char *const *texts, size_t n);

#endif
