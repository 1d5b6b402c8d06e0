// Attributes of HDF5 objects: fixed-length text and single numbers, read back with their kind
// checked. Text written by other programs may have variable length.
#include "io/h5/h5internal.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80) return false;
    return true;
}

hid_t wf_h5_text_type(const char *const *texts, size_t n)
{
    size_t bytes = 1;
    bool ascii = true;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(texts[i]);
        if (length > bytes) bytes = length;
        ascii = ascii && is_ascii(texts[i]);
    }
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return -1;
    if (H5Tset_size(type, bytes) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
        H5Tset_cset(type, ascii ? H5T_CSET_ASCII : H5T_CSET_UTF8) < 0) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static wf_status put(wf_h5_file *file, const char *object, const char *name, hid_t stored,
                     hid_t memory, const void *value)
{
    wf_status st = WF_OK;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t id = H5Acreate_by_name(file->id, object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT,
                                 H5P_DEFAULT);
    if (id < 0 || H5Awrite(id, memory, value) < 0)
        st = wf_h5_fail(WF_IO, "%s:%s@%s: cannot be written", file->path, object, name);
    if (id >= 0 && H5Aclose(id) < 0 && st == WF_OK)
        st = wf_h5_fail(WF_IO, "%s:%s@%s: cannot be written", file->path, object, name);
    if (space >= 0) H5Sclose(space);
    return st;
}

wf_status wf_h5_put_text(wf_h5_file *file, const char *object, const char *name, const char *text)
{
    hid_t type = wf_h5_text_type(&text, 1);
    if (type < 0) return wf_h5_fail(WF_INTERNAL, "%s:%s@%s: no type", file->path, object, name);
    wf_status st = put(file, object, name, type, type, text);
    H5Tclose(type);
    return st;
}

wf_status wf_h5_put_i64(wf_h5_file *file, const char *object, const char *name, int64_t value)
{
    return put(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

wf_status wf_h5_put_u64(wf_h5_file *file, const char *object, const char *name, uint64_t value)
{
    return put(file, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}

wf_status wf_h5_put_header(wf_h5_file *file, const char *format, const char *format_version)
{
    char created[WF_CLOCK_ISO_MAX];
    wf_clock_iso(wf_clock_unix_ns(), created);
    WF_TRY(wf_h5_put_text(file, "/", "format", format));
    WF_TRY(wf_h5_put_text(file, "/", "format_version", format_version));
    WF_TRY(wf_h5_put_text(file, "/", "software", "weft"));
    WF_TRY(wf_h5_put_text(file, "/", "software_version", WEFT_VERSION));
    return wf_h5_put_text(file, "/", "created", created);
}

// --- reading ---

// Opens a single-valued attribute and its type.
static wf_status open_one(wf_h5_file *file, const char *object, const char *name, hid_t *id,
                          hid_t *type)
{
    *id = *type = -1;
    WF_TRY(wf_h5_check_path(file, object));
    if (H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) <= 0)
        return wf_fail(file->bad, "%s:%s@%s: attribute is missing", file->path, object, name);
    *id = H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    *type = *id < 0 ? -1 : H5Aget_type(*id);
    hid_t space = *id < 0 ? -1 : H5Aget_space(*id);
    hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (space >= 0) H5Sclose(space);
    if (*type >= 0 && n == 1) return WF_OK;
    wf_status st = n < 0 || *type < 0
                       ? wf_h5_fail(file->bad, "%s:%s@%s: cannot be read", file->path, object, name)
                       : wf_fail(file->bad, "%s:%s@%s: holds %lld values, one is expected",
                                 file->path, object, name, (long long)n);
    if (*type >= 0) H5Tclose(*type);
    if (*id >= 0) H5Aclose(*id);
    return st;
}

static wf_status read_fixed_text(hid_t id, hid_t type, char **out)
{
    size_t bytes = H5Tget_size(type);
    char *text = NULL;
    if (bytes == 0 || bytes > WF_H5_MAX_TEXT) return WF_INTERNAL;
    WF_TRY(wf_alloc(bytes + 1, 1, &text));
    if (H5Aread(id, type, text) < 0) {
        free(text);
        return WF_INTERNAL;
    }
    *out = text;
    return WF_OK;
}

static wf_status read_variable_text(hid_t id, hid_t type, char **out)
{
    char *text = NULL;
    if (H5Aread(id, type, &text) < 0 || text == NULL) return WF_INTERNAL;
    wf_status st = wf_strdup(text, out);
    H5free_memory(text);
    return st;
}

bool wf_h5_has_attribute(wf_h5_file *file, const char *object, const char *name)
{
    return wf_h5_check_path(file, object) == WF_OK &&
           H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) > 0;
}

wf_status wf_h5_get_text(wf_h5_file *file, const char *object, const char *name, char **out)
{
    hid_t id, type;
    WF_TRY(open_one(file, object, name, &id, &type));
    wf_status st = WF_OK;
    if (H5Tget_class(type) != H5T_STRING) {
        st = wf_fail(file->bad, "%s:%s@%s: is not text", file->path, object, name);
    } else {
        st = H5Tis_variable_str(type) > 0 ? read_variable_text(id, type, out)
                                          : read_fixed_text(id, type, out);
        if (st == WF_INTERNAL)
            st = wf_h5_fail(file->bad, "%s:%s@%s: cannot be read", file->path, object, name);
    }
    H5Tclose(type);
    H5Aclose(id);
    return st;
}

static wf_status get_integer(wf_h5_file *file, const char *object, const char *name,
                             bool want_unsigned, int64_t *out)
{
    hid_t id, type;
    int64_t bits;
    WF_TRY(open_one(file, object, name, &id, &type));
    bool is_integer = H5Tget_class(type) == H5T_INTEGER;
    bool is_unsigned = is_integer && H5Tget_sign(type) == H5T_SGN_NONE;
    wf_status st = WF_OK;
    if (!is_integer)
        st = wf_fail(file->bad, "%s:%s@%s: is not an integer", file->path, object, name);
    else if (H5Aread(id, is_unsigned ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64, &bits) < 0)
        st = wf_h5_fail(file->bad, "%s:%s@%s: cannot be read", file->path, object, name);
    else if (is_unsigned != want_unsigned && bits < 0)
        st = wf_fail(file->bad, "%s:%s@%s: %s", file->path, object, name,
                     want_unsigned ? "is negative" : "is too large");
    else
        *out = bits;
    H5Tclose(type);
    H5Aclose(id);
    return st;
}

wf_status wf_h5_get_i64(wf_h5_file *file, const char *object, const char *name, int64_t *out)
{
    return get_integer(file, object, name, false, out);
}

wf_status wf_h5_get_u64(wf_h5_file *file, const char *object, const char *name, uint64_t *out)
{
    return get_integer(file, object, name, true, (int64_t *)out);
}

wf_status wf_h5_check_header(wf_h5_file *file, const char *format, int major)
{
    char *text = NULL;
    WF_TRY(wf_h5_get_text(file, "/", "format", &text));
    wf_status st = WF_OK;
    if (strcmp(text, format) != 0)
        st = wf_fail(file->bad, "%s:/@format: is '%.64s', expected '%s'", file->path, text, format);
    free(text);
    if (st != WF_OK) return st;
    WF_TRY(wf_h5_get_text(file, "/", "format_version", &text));
    char *end;
    long found = strtol(text, &end, 10);
    if (end == text || (*end != '.' && *end != '\0') || found != major) {
        st = wf_fail(file->bad, "%s:/@format_version: is '%.64s', this program reads %d.x",
                     file->path, text, major);
    }
    free(text);
    return st;
}
