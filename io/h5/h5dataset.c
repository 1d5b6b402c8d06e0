// Reading: a dataset is examined in every respect that could make reading it wrong, unbounded or
// reach outside the file, and only then read. It refuses what it does not know.
#include "io/h5/h5internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/guard.h"

struct wf_h5_dataset {
    wf_h5_file *file;
    hid_t id;
    wf_h5_type type;
    int rank;
    uint64_t n, width;
    uint64_t chunk_rows; // 0: not chunked
    char name[64];
};

// Everything that is wrong with one dataset is said as "file:name: ...".
static wf_status refuse(const wf_h5_dataset *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static wf_status refuse(const wf_h5_dataset *d, const char *format, ...)
{
    char text[WF_ERROR_MAX / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return wf_fail(d->file->bad, "%s:%s: %s", d->file->path, d->name, text);
}

static wf_status unreadable(const wf_h5_dataset *d)
{
    return wf_h5_fail(d->file->bad, "%s:%s: cannot be examined", d->file->path, d->name);
}

// --- type ---

static void type_text(hid_t type, char *text, size_t bytes)
{
    static const char *const classes[] = {"integer",  "float",           "time",     "string",
                                          "bitfield", "opaque",          "compound", "reference",
                                          "enum",     "variable-length", "array"};
    H5T_class_t class = H5Tget_class(type);
    bool known = class >= 0 && (size_t)class < sizeof classes / sizeof classes[0];
    size_t n_bits = H5Tget_size(type) * 8;
    const char *order = H5Tget_order(type) == H5T_ORDER_BE ? "big-endian " : "";
    const char *sign = "";
    if (class == H5T_INTEGER) sign = H5Tget_sign(type) == H5T_SGN_NONE ? "unsigned " : "signed ";
    snprintf(text, bytes, "%s%s%zu-bit %s", order, sign, n_bits, known ? classes[class] : "thing");
}

static wf_status check_type(const wf_h5_dataset *d)
{
    hid_t type = H5Dget_type(d->id);
    if (type < 0) return unreadable(d);
    wf_status st = WF_OK;
    if (H5Tequal(type, wf_h5_stored_type(d->type)) <= 0) {
        char found[96];
        type_text(type, found, sizeof found);
        st = refuse(d, "type is %s, expected little-endian %s", found, wf_h5_type_words(d->type));
    }
    H5Tclose(type);
    return st;
}

// --- shape ---

static wf_status check_shape(wf_h5_dataset *d, uint32_t width)
{
    hsize_t size[2] = {0, 1};
    hid_t space = H5Dget_space(d->id);
    if (space < 0) return unreadable(d);
    int rank = H5Sget_simple_extent_ndims(space), want = width == 0 ? 1 : 2;
    bool simple = H5Sget_simple_extent_type(space) == H5S_SIMPLE;
    if (simple && rank == want) H5Sget_simple_extent_dims(space, size, NULL);
    H5Sclose(space);
    if (!simple || rank != want) return refuse(d, "has %d dimensions, expected %d", rank, want);
    if (want == 2 && (width == UINT32_MAX ? size[1] >= UINT32_MAX : size[1] != width))
        return refuse(d, "has %" PRIu64 " columns, expected %" PRIu32, (uint64_t)size[1], width);
    d->rank = want;
    d->n = size[0];
    d->width = size[1];
    uint64_t row_bytes = d->width * wf_h5_type_bytes(d->type);
    if (row_bytes > 0 && d->n > (UINT64_C(1) << 48) / row_bytes)
        return refuse(d, "claims %" PRIu64 " rows, which cannot be", d->n);
    return WF_OK;
}

// --- storage ---

static wf_status check_filters(const wf_h5_dataset *d, hid_t dcpl)
{
    int n = H5Pget_nfilters(dcpl);
    if (n < 0) return unreadable(d);
    for (int i = 0; i < n; i++) {
        unsigned flags, config;
        size_t n_values = 0;
        char name[64] = "";
        H5Z_filter_t filter =
            H5Pget_filter2(dcpl, (unsigned)i, &flags, &n_values, NULL, sizeof name, name, &config);
        if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE &&
            filter != H5Z_FILTER_FLETCHER32) {
            return refuse(d,
                          "uses filter %d '%.60s'; only shuffle, deflate and fletcher32 are read",
                          (int)filter, name);
        }
    }
    return WF_OK;
}

// HDF5 unpacks a chunk to whatever size it has, so the packed size must bound it: no writer stores
// a chunk in much more than its own bytes.
static wf_status check_packed_chunks(const wf_h5_dataset *d, const hsize_t chunk[2],
                                     uint64_t chunk_bytes)
{
    hsize_t at[2] = {0, 0}, packed = 0;
    for (; at[0] < d->n; at[0] += chunk[0]) {
        for (at[1] = 0; at[1] < d->width; at[1] += chunk[1]) {
            if (H5Dget_chunk_storage_size(d->id, at, &packed) < 0) return unreadable(d);
            if (packed <= chunk_bytes + chunk_bytes / 8 + 1024) continue;
            return refuse(d, "holds a chunk of %" PRIu64 " stored bytes for %" PRIu64 " of data",
                          (uint64_t)packed, chunk_bytes);
        }
    }
    return WF_OK;
}

// A chunk takes at least a byte. Asked first: of some damaged files HDF5 counts chunks for ever.
static wf_status check_number_of_chunks(const wf_h5_dataset *d, uint64_t n_chunks)
{
    hsize_t file_bytes = 0;
    if (H5Fget_filesize(d->file->id, &file_bytes) < 0) return unreadable(d);
    if (n_chunks <= file_bytes) return WF_OK;
    return refuse(d, "claims %" PRIu64 " chunks in a file of %" PRIu64 " bytes; rows are lost",
                  n_chunks, (uint64_t)file_bytes);
}

// Missing chunks would read as zeros without a word.
static wf_status check_chunks(wf_h5_dataset *d, hid_t dcpl)
{
    hsize_t chunk[2] = {0, 1}, n_found = 0;
    if (H5Pget_chunk(dcpl, d->rank, chunk) != d->rank) return unreadable(d);
    uint64_t chunk_bytes = chunk[0] * wf_h5_type_bytes(d->type); // each factor is below 2^32
    if (chunk[0] == 0 || chunk[1] == 0 || chunk_bytes > WF_H5_MAX_CHUNK_BYTES / chunk[1]) {
        return refuse(
            d, "has chunks of %" PRIu64 " x %" PRIu64 " elements, more than %" PRIu64 " MiB each",
            (uint64_t)chunk[0], (uint64_t)chunk[1], WF_H5_MAX_CHUNK_BYTES >> 20);
    }
    d->chunk_rows = chunk[0];
    uint64_t n_rows = (d->n + chunk[0] - 1) / chunk[0];
    uint64_t n_columns = (d->width + chunk[1] - 1) / chunk[1];
    WF_TRY(check_number_of_chunks(d, n_rows * n_columns));
    hid_t space = H5Dget_space(d->id);
    herr_t failed = space < 0 ? -1 : H5Dget_num_chunks(d->id, space, &n_found);
    if (space >= 0) H5Sclose(space);
    if (failed < 0) return unreadable(d);
    if (n_found != n_rows * n_columns) {
        return refuse(d, "holds %" PRIu64 " of its %" PRIu64 " chunks; rows are lost",
                      (uint64_t)n_found, n_rows * n_columns);
    }
    return check_packed_chunks(d, chunk, chunk_bytes * chunk[1]);
}

// What is stored must fit in the file, and what it unpacks to must be possible.
static wf_status check_amount(const wf_h5_dataset *d)
{
    hsize_t file_bytes = 0;
    if (H5Fget_filesize(d->file->id, &file_bytes) < 0) return unreadable(d);
    uint64_t stored = H5Dget_storage_size(d->id);
    uint64_t bytes = d->n * d->width * wf_h5_type_bytes(d->type);
    uint64_t most = d->chunk_rows == 0 ? stored : stored * WF_H5_MAX_RATIO;
    if (stored > file_bytes) {
        return refuse(d,
                      "claims %" PRIu64 " stored bytes in a file of %" PRIu64 "; it is truncated",
                      stored, (uint64_t)file_bytes);
    }
    if (bytes > most) {
        return refuse(d, "claims %" PRIu64 " bytes of data from %" PRIu64 " stored bytes", bytes,
                      stored);
    }
    return WF_OK;
}

static wf_status check_storage(wf_h5_dataset *d)
{
    hid_t dcpl = H5Dget_create_plist(d->id);
    if (dcpl < 0) return unreadable(d);
    H5D_layout_t layout = H5Pget_layout(dcpl);
    wf_status st = WF_OK;
    if (layout == H5D_VIRTUAL)
        st = refuse(d, "is a virtual dataset; the file must hold its data itself");
    else if (H5Pget_external_count(dcpl) != 0)
        st = refuse(d, "uses external storage; the file must hold its data itself");
    else if (layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS && layout != H5D_COMPACT)
        st = refuse(d, "has an unknown storage layout");
    if (st == WF_OK) st = check_filters(d, dcpl);
    if (st == WF_OK && layout == H5D_CHUNKED) st = check_chunks(d, dcpl);
    if (st == WF_OK) st = check_amount(d);
    H5Pclose(dcpl);
    return st;
}

// --- open, read ---

// Opens the object itself first: H5Dopen() on something else explains nothing.
static wf_status open_dataset(wf_h5_file *file, const char *name, hid_t *out)
{
    WF_TRY(wf_h5_check_path(file, name));
    hid_t id = H5Oopen(file->id, name, H5P_DEFAULT);
    if (id < 0) return wf_h5_fail(file->bad, "%s:%s: cannot be opened", file->path, name);
    if (H5Iget_type(id) != H5I_DATASET) {
        H5Oclose(id);
        return wf_fail(file->bad, "%s:%s: is not a dataset", file->path, name);
    }
    *out = id;
    return WF_OK;
}

wf_status wf_h5_dataset_open(wf_h5_file *file, const char *name, wf_h5_type type, uint32_t width,
                             wf_h5_dataset **out)
{
    wf_h5_dataset *d = NULL;
    WF_TRY(wf_alloc(1, sizeof *d, &d));
    d->file = file;
    d->type = type;
    d->id = -1;
    snprintf(d->name, sizeof d->name, "%s", name);
    wf_guard_at(file->path, name);
    wf_status st = open_dataset(file, name, &d->id);
    if (st == WF_OK) st = check_type(d);
    if (st == WF_OK) st = check_shape(d, width);
    if (st == WF_OK) st = check_storage(d);
    wf_guard_done();
    if (st == WF_OK)
        *out = d;
    else
        wf_h5_dataset_close(&d);
    return st;
}

bool wf_h5_exists(wf_h5_file *file, const char *name)
{
    return wf_h5_check_path(file, name) == WF_OK;
}

uint64_t wf_h5_dataset_count(const wf_h5_dataset *d)
{
    return d->n;
}

uint32_t wf_h5_dataset_width(const wf_h5_dataset *d)
{
    return (uint32_t)d->width;
}

static wf_status read_rows(const wf_h5_dataset *d, uint64_t start, size_t n, void *values)
{
    hsize_t from[2] = {start, 0}, count[2] = {n, d->width};
    hid_t space = H5Dget_space(d->id), memory = H5Screate_simple(d->rank, count, NULL);
    wf_status st = WF_OK;
    if (space < 0 || memory < 0 ||
        H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, count, NULL) < 0 ||
        H5Dread(d->id, wf_h5_native_type(d->type), memory, space, H5P_DEFAULT, values) < 0) {
        // Said before anything else is called: each call of HDF5 forgets the last one's reason.
        st = wf_h5_fail(d->file->bad, "%s:%s:%" PRIu64 ": rows to %" PRIu64 " cannot be read",
                        d->file->path, d->name, start, start + n - 1);
    }
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    return st;
}

wf_status wf_h5_dataset_read(wf_h5_dataset *d, uint64_t start, size_t n, void *values)
{
    if (n == 0) return WF_OK;
    if (start > d->n || n > d->n - start)
        return refuse(d, "has %" PRIu64 " rows, %" PRIu64 " + %zu wanted", d->n, start, n);
    wf_guard_at(d->file->path, d->name);
    wf_status st = read_rows(d, start, n, values);
    // Again, a chunk at a time, to name the rows that cannot be had.
    uint64_t at = start, end = start + n, stop;
    for (; st != WF_OK && d->chunk_rows > 0 && at < end; at = stop) {
        stop = (at / d->chunk_rows + 1) * d->chunk_rows;
        if (stop > end) stop = end;
        if (read_rows(d, at, (size_t)(stop - at), values) != WF_OK) break;
    }
    wf_guard_done();
    return st;
}

void wf_h5_dataset_close(wf_h5_dataset **dataset)
{
    if (dataset == NULL || *dataset == NULL) return;
    if ((*dataset)->id >= 0) H5Dclose((*dataset)->id);
    H5Eclear2(H5E_DEFAULT);
    free(*dataset);
    *dataset = NULL;
}

// --- texts ---

// Fixed-length strings may be stored under the chunk and filter rules of columns, or contiguously.
static wf_status check_texts(wf_h5_dataset *d, size_t most, hid_t *type)
{
    *type = H5Dget_type(d->id);
    if (*type < 0) return unreadable(d);
    if (H5Tget_class(*type) != H5T_STRING || H5Tis_variable_str(*type) > 0)
        return refuse(d, "does not hold fixed-length strings");
    WF_TRY(check_shape(d, 0));
    size_t width = H5Tget_size(*type);
    if (d->n > most || width == 0 || width > WF_H5_MAX_TEXT || d->n > WF_H5_MAX_TEXT / width) {
        return refuse(d, "holds %" PRIu64 " strings of %zu bytes, more than is believable", d->n,
                      width);
    }
    d->width = width; // type is U8: sizes are those of the texts
    wf_status st = check_storage(d);
    return st;
}

static wf_status copy_texts(wf_h5_dataset *d, hid_t type, char ***out)
{
    size_t n = (size_t)d->n, width = (size_t)d->width;
    char *raw = NULL, **texts = NULL;
    wf_status st = WF_OK;
    WF_TRY_TO(done, wf_alloc(n + 1, width, &raw));
    WF_TRY_TO(done, wf_alloc(n * sizeof *texts + n * (width + 1) + 1, 1, &texts));
    if (n > 0 && H5Dread(d->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0) {
        st = wf_h5_fail(d->file->bad, "%s:%s: cannot be read", d->file->path, d->name);
        goto done;
    }
    char *to = (char *)(texts + n);
    for (size_t i = 0; i < n; i++, to += width + 1) {
        texts[i] = to;
        memcpy(to, raw + i * width, width); // its terminator is zero already
    }
    *out = texts;
done:
    if (st != WF_OK) free(texts);
    free(raw);
    return st;
}

wf_status wf_h5_read_texts(wf_h5_file *file, const char *name, size_t most, char ***out, size_t *n)
{
    wf_h5_dataset *d = NULL;
    hid_t type = -1;
    WF_TRY(wf_alloc(1, sizeof *d, &d));
    d->file = file;
    d->type = WF_H5_U8;
    d->id = -1;
    snprintf(d->name, sizeof d->name, "%s", name);
    wf_guard_at(file->path, name);
    wf_status st = open_dataset(file, name, &d->id);
    if (st == WF_OK) st = check_texts(d, most, &type);
    if (st == WF_OK) st = copy_texts(d, type, out);
    if (st == WF_OK) *n = (size_t)d->n;
    if (type >= 0) H5Tclose(type);
    wf_guard_done();
    wf_h5_dataset_close(&d);
    return st;
}
