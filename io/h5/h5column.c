// Writing: columns that collect a chunk before they hand it to HDF5, so that every chunk is
// compressed once and HDF5's chunk cache has nothing to do.
#include "io/h5/h5internal.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"

struct wf_h5_column {
    wf_h5_file *file;
    wf_h5_column_spec spec;
    hid_t id; // -1 until the first write
    size_t row_bytes;
    size_t chunk_rows;
    uint64_t n_written;
    size_t n_held; // rows in `held`
    size_t held_capacity;
    bool loose; // not compressed
    char *held;
    wf_hash64_stream *hash; // of what was appended; NULL: nobody asked
};

// --- one dataset ---

static hid_t creation_list(size_t chunk_rows, uint32_t width, bool loose)
{
    hsize_t chunk[2] = {chunk_rows, width};
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    if (dcpl < 0) return -1;
    // Padding of the last chunk is filled, else it would hold whatever the heap held.
    if (H5Pset_chunk(dcpl, width == 0 ? 1 : 2, chunk) < 0 ||
        H5Pset_fill_time(dcpl, H5D_FILL_TIME_ALLOC) < 0 ||
        (!loose && (H5Pset_shuffle(dcpl) < 0 || H5Pset_deflate(dcpl, 1) < 0)) ||
        H5Pset_fletcher32(dcpl) < 0) {
        H5Pclose(dcpl);
        return -1;
    }
    return dcpl;
}

static hid_t link_list(void)
{
    hid_t lcpl = H5Pcreate(H5P_LINK_CREATE);
    if (lcpl >= 0) H5Pset_create_intermediate_group(lcpl, 1);
    return lcpl;
}

static wf_status describe(wf_h5_file *file, const wf_h5_column_spec *spec)
{
    WF_TRY(wf_h5_put_text(file, spec->name, "units", spec->units));
    return wf_h5_put_text(file, spec->name, "description", spec->description);
}

static wf_status dataset_create(wf_h5_file *file, const wf_h5_column_spec *spec, size_t chunk_rows,
                                bool loose, hid_t *out)
{
    hsize_t now[2] = {0, spec->width}, most[2] = {H5S_UNLIMITED, spec->width};
    hid_t space = H5Screate_simple(spec->width == 0 ? 1 : 2, now, most);
    hid_t dcpl = creation_list(chunk_rows, spec->width, loose), lcpl = link_list();
    hid_t dapl = H5Pcreate(H5P_DATASET_ACCESS);
    if (dapl >= 0) H5Pset_chunk_cache(dapl, 1, 0, 1.0);
    hid_t id =
        H5Dcreate2(file->id, spec->name, wf_h5_stored_type(spec->type), space, lcpl, dcpl, dapl);
    wf_status st = WF_OK;
    if (id < 0) st = wf_h5_fail(WF_IO, "%s:%s: cannot be created", file->path, spec->name);
    if (dapl >= 0) H5Pclose(dapl);
    if (lcpl >= 0) H5Pclose(lcpl);
    if (dcpl >= 0) H5Pclose(dcpl);
    if (space >= 0) H5Sclose(space);
    WF_TRY(st);
    st = describe(file, spec);
    if (st != WF_OK) {
        H5Dclose(id);
        return st;
    }
    *out = id;
    return WF_OK;
}

static wf_status dataset_append(wf_h5_column *c, const void *values, size_t n)
{
    hsize_t start[2] = {c->n_written, 0}, count[2] = {n, c->spec.width};
    hsize_t size[2] = {c->n_written + n, c->spec.width};
    wf_status st = WF_OK;
    hid_t space = -1, memory = -1;
    if (H5Dset_extent(c->id, size) < 0 || (space = H5Dget_space(c->id)) < 0 ||
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        (memory = H5Screate_simple(c->spec.width == 0 ? 1 : 2, count, NULL)) < 0 ||
        H5Dwrite(c->id, wf_h5_native_type(c->spec.type), memory, space, H5P_DEFAULT, values) < 0) {
        st = wf_h5_fail(WF_IO, "%s:%s:%llu: cannot be written", c->file->path, c->spec.name,
                        (unsigned long long)c->n_written);
    } else {
        c->n_written += n;
    }
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    return st;
}

// --- columns ---

wf_status wf_h5_column_create(wf_h5_file *file, const wf_h5_column_spec *spec, wf_h5_column **out)
{
    wf_h5_column *c = NULL;
    size_t width = spec->width == 0 ? 1 : spec->width;
    WF_TRY(wf_alloc(1, sizeof *c, &c));
    c->file = file;
    c->spec = *spec;
    c->id = -1;
    c->row_bytes = wf_h5_type_bytes(spec->type) * width;
    c->chunk_rows = width >= WF_H5_CHUNK ? 1 : WF_H5_CHUNK / width;
    wf_status st = file->digesting ? wf_hash64_create(0, &c->hash) : WF_OK;
    if (st != WF_OK) {
        free(c);
        return st;
    }
    *out = c;
    return WF_OK;
}

static wf_status flush_held(wf_h5_column *c)
{
    if (c->id < 0) {
        size_t rows = c->n_held == 0 ? 1 : c->n_held;
        WF_TRY(dataset_create(c->file, &c->spec, rows, c->loose, &c->id));
    }
    if (c->n_held == 0) return WF_OK;
    WF_TRY(dataset_append(c, c->held, c->n_held));
    c->n_held = 0;
    return WF_OK;
}

void wf_h5_column_loosen(wf_h5_column *c)
{
    c->loose = true;
}

wf_status wf_h5_column_append(wf_h5_column *c, const void *values, size_t n)
{
    const char *from = values;
    if (c->hash) wf_hash64_add(c->hash, values, n * c->row_bytes);
    while (n > 0) {
        size_t take = c->chunk_rows - c->n_held;
        if (take > n) take = n;
        WF_TRY(wf_grow(c->n_held + take, c->row_bytes, &c->held_capacity, &c->held));
        memcpy(c->held + c->n_held * c->row_bytes, from, take * c->row_bytes);
        c->n_held += take;
        from += take * c->row_bytes;
        n -= take;
        if (c->n_held == c->chunk_rows) WF_TRY(flush_held(c));
    }
    return WF_OK;
}

uint64_t wf_h5_column_count(const wf_h5_column *c)
{
    return c->n_written + c->n_held;
}

wf_status wf_h5_column_close(wf_h5_column **column)
{
    wf_h5_column *c = *column;
    if (c == NULL) return WF_OK;
    wf_status st = c->id < 0 || c->n_held > 0 ? flush_held(c) : WF_OK;
    if (st == WF_OK && c->hash)
        st = wf_h5_note_digest(c->file, c->spec.name, wf_hash64_value(c->hash));
    if (st == WF_OK && H5Dclose(c->id) < 0)
        st = wf_h5_fail(WF_IO, "%s:%s: cannot be closed", c->file->path, c->spec.name);
    if (st == WF_OK) c->id = -1;
    wf_h5_column_abandon(column);
    return st;
}

void wf_h5_column_abandon(wf_h5_column **column)
{
    if (column == NULL || *column == NULL) return;
    if ((*column)->id >= 0) H5Dclose((*column)->id);
    H5Eclear2(H5E_DEFAULT);
    free((*column)->held);
    wf_hash64_destroy(&(*column)->hash);
    free(*column);
    *column = NULL;
}

wf_status wf_h5_write(wf_h5_file *file, const wf_h5_column_spec *spec, const void *values, size_t n)
{
    wf_h5_column *column = NULL;
    WF_TRY(wf_h5_column_create(file, spec, &column));
    wf_status st = wf_h5_column_append(column, values, n);
    if (st == WF_OK) return wf_h5_column_close(&column);
    wf_h5_column_abandon(&column);
    return st;
}

wf_status wf_h5_write_texts(wf_h5_file *file, const wf_h5_column_spec *spec,
                            const char *const *texts, size_t n)
{
    wf_status st = WF_OK;
    hsize_t count = n;
    hid_t type = wf_h5_text_type(texts, n), lcpl = link_list();
    hid_t space = H5Screate_simple(1, &count, NULL), id = -1;
    size_t width = type < 0 ? 1 : H5Tget_size(type);
    char *block = NULL;
    WF_TRY_TO(done, wf_alloc(n == 0 ? 1 : n, width, &block));
    for (size_t i = 0; i < n; i++)
        memcpy(block + i * width, texts[i], strlen(texts[i])); // the rest is zero already
    id = H5Dcreate2(file->id, spec->name, type, space, lcpl, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0 || (n > 0 && H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, block) < 0))
        st = wf_h5_fail(WF_IO, "%s:%s: cannot be written", file->path, spec->name);
    else
        st = describe(file, spec);
    if (st == WF_OK && file->digesting)
        st = wf_h5_note_digest(file, spec->name, wf_hash64_of(block, n * width, 0));
    // Small writes are held back until the dataset is closed: only this tells that they arrived.
    if (id >= 0 && H5Dclose(id) < 0 && st == WF_OK)
        st = wf_h5_fail(WF_IO, "%s:%s: cannot be written", file->path, spec->name);
done:
    free(block);
    if (space >= 0) H5Sclose(space);
    if (lcpl >= 0) H5Pclose(lcpl);
    if (type >= 0) H5Tclose(type);
    return st;
}
