// Thin helpers over HDF5, shared by request shards and result files: create, check, append, read.
//
// They hold the rules of every Weft file: columnar datasets of fixed-size numbers, chunks of up to
// WF_H5_CHUNK elements, shuffle + deflate 1 + fletcher32, `units` and `description` on each
// dataset, library bounds V110 (a file that was not closed is refused), best-effort locking. A
// reader looks before it reads: link kind, type, byte order, rank, layout, filters and sizes.
//
// HDF5 is not thread-safe as packaged: all calls of a process come from one thread. Failures of
// HDF5 become one line, `file:object: what: why`, by the innermost entry of its error stack. All
// Local. Names are full paths inside the file ("/requests/id"); groups are made on the way.
#ifndef WF_IO_H5_H5UTIL_H
#define WF_IO_H5_H5UTIL_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WF_H5_CHUNK 65536 // elements
// Refused above these when reading: deflate cannot pass 1032:1, so more than that is a hole or a
// lie.
#define WF_H5_MAX_CHUNK_BYTES (UINT64_C(16) << 20)
#define WF_H5_MAX_RATIO       1100
#define WF_H5_MAX_TEXT        (UINT64_C(16) << 20)

typedef enum wf_h5_type {
    WF_H5_U8,
    WF_H5_U16,
    WF_H5_U32,
    WF_H5_U64,
    WF_H5_I32,
    WF_H5_I64,
    WF_H5_F32,
    WF_H5_F64,
    WF_N_H5_TYPES
} wf_h5_type;

size_t wf_h5_type_bytes(wf_h5_type type);
const char *wf_h5_type_words(wf_h5_type type); // "u64"

typedef struct wf_h5_file wf_h5_file;

// Starts a new file in `fd` (borrow; wf_part_fd()), whatever may happen to names meanwhile; `path`
// is for messages. own.
wf_status wf_h5_file_create(int fd, const char *path, wf_h5_file **out);

// Opens for reading. WF_NO_INPUT when it is missing or may not be read; `bad` (WF_SHARD, WF_DATA)
// is the status of every complaint about its contents, here and in the calls below. own.
wf_status wf_h5_file_open(const char *path, wf_status bad, wf_h5_file **out);

// Flushes and closes. *file becomes NULL either way. After a failure (disk full) a created file
// must not be published; wf_part_publish() makes it durable. Close its columns before.
wf_status wf_h5_file_close(wf_h5_file **file);
void wf_h5_file_abandon(wf_h5_file **file); // as close, for cleanup paths: failures are ignored

const char *wf_h5_file_path(const wf_h5_file *file); // borrow
int64_t wf_h5_file_id(const wf_h5_file *file);       // the hid_t, for what is missing here

// WF_IO (or `status`) with ": <HDF5's innermost reason>" behind the message; an errno inside HDF5's
// text brings its remedy along. Returns the status.
wf_status wf_h5_fail(wf_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Root attributes format, format_version, software, software_version, created.
wf_status wf_h5_put_header(wf_h5_file *file, const char *format, const char *format_version);

// The file is of this format and of `major`.x.
wf_status wf_h5_check_header(wf_h5_file *file, const char *format, int major);

// Attributes of `object` ("/" is the root). Text is stored with fixed length (ASCII, or UTF-8 where
// it is not). get fails when the attribute is missing or of another kind; text is own (free()).
bool wf_h5_has_attribute(wf_h5_file *file, const char *object, const char *name);
wf_status wf_h5_put_text(wf_h5_file *file, const char *object, const char *name, const char *text);
wf_status wf_h5_put_i64(wf_h5_file *file, const char *object, const char *name, int64_t value);
wf_status wf_h5_put_u64(wf_h5_file *file, const char *object, const char *name, uint64_t value);
wf_status wf_h5_get_text(wf_h5_file *file, const char *object, const char *name, char **out);
wf_status wf_h5_get_i64(wf_h5_file *file, const char *object, const char *name, int64_t *out);
wf_status wf_h5_get_u64(wf_h5_file *file, const char *object, const char *name, uint64_t *out);

// --- writing: a column is buffered and written a whole chunk at a time ---

typedef struct wf_h5_column_spec {
    const char *name; // full path; all strings are borrowed until the column is closed
    wf_h5_type type;
    uint32_t width; // 0: shape [n]; k: shape [n][k]
    const char *units;
    const char *description;
} wf_h5_column_spec;

typedef struct wf_h5_column wf_h5_column;

// The dataset is made by the first full chunk, or by close (so small files get small chunks).
wf_status wf_h5_column_create(wf_h5_file *file, const wf_h5_column_spec *spec, wf_h5_column **out);
// Before anything is appended: its chunks are not compressed. Vectors that a model computed take
// 0.86 of their room so, at a twentieth of the speed.
void wf_h5_column_loosen(wf_h5_column *column);
// `values` holds n (x width) numbers of the column's type in native form; copy.
wf_status wf_h5_column_append(wf_h5_column *column, const void *values, size_t n);
uint64_t wf_h5_column_count(const wf_h5_column *column); // rows appended so far
wf_status wf_h5_column_close(wf_h5_column **column);     // writes what is left; NULL inside is fine
void wf_h5_column_abandon(wf_h5_column **column);

// Creates the dataset and writes it whole.
wf_status wf_h5_write(wf_h5_file *file, const wf_h5_column_spec *spec, const void *values,
                      size_t n);
// Fixed-length UTF-8 strings as a 1-D dataset (paths, uids, host names).
wf_status wf_h5_write_texts(wf_h5_file *file, const wf_h5_column_spec *spec,
                            const char *const *texts, size_t n);

// From here on every dataset carries a digest of its values (h5digest.c). put_digest, once all are
// written, gives the file its own, as the root's attribute `digest`, and tells it.
void wf_h5_digest_start(wf_h5_file *file);
wf_status wf_h5_put_digest(wf_h5_file *file, uint64_t *digest);

// --- reading ---

typedef struct wf_h5_dataset wf_h5_dataset;

// Opens and checks: reached by hard links only, exactly this type in little-endian, rank 1 (width
// 0) or 2 with `width` columns (UINT32_MAX: any), plain layout, no external or virtual storage,
// only shuffle, deflate and fletcher32, sizes believable for the bytes stored. own.
wf_status wf_h5_dataset_open(wf_h5_file *file, const char *name, wf_h5_type type, uint32_t width,
                             wf_h5_dataset **out);
bool wf_h5_exists(wf_h5_file *file, const char *name);      // reached by hard links only
uint64_t wf_h5_dataset_count(const wf_h5_dataset *dataset); // rows
uint32_t wf_h5_dataset_width(const wf_h5_dataset *dataset); // columns, 1 for rank 1
// Rows [start, start + n) into `values` (borrow), native form. A checksum failure names the rows.
wf_status wf_h5_dataset_read(wf_h5_dataset *dataset, uint64_t start, size_t n, void *values);
void wf_h5_dataset_close(wf_h5_dataset **dataset);

// Reads a 1-D dataset of fixed-length strings whole: *out is one own block (free()) of n pointers
// and their texts. Refuses more than `most` strings or WF_H5_MAX_TEXT bytes.
wf_status wf_h5_read_texts(wf_h5_file *file, const char *name, size_t most, char ***out, size_t *n);

#endif
