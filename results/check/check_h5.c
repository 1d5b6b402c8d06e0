// The checker's own reading of HDF5: look at everything first, then read.
#include "results/check/check_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX_BYTES (UINT64_C(64) << 20)

static const struct {
    const char *words;
    size_t bytes;
} types[] = {
    [T_U8] = {"u8", 1},   [T_U16] = {"u16", 2}, [T_U32] = {"u32", 4},
    [T_U64] = {"u64", 8}, [T_I32] = {"i32", 4}, [T_I64] = {"i64", 8},
    [T_F32] = {"f32", 4}, [T_F64] = {"f64", 8}, [T_TEXT] = {"fixed-length text", 1},
};

size_t check_type_bytes(check_type type)
{
    return types[type].bytes;
}

static hid_t file_type(check_type type)
{
    switch (type) {
    case T_U8:
        return H5T_STD_U8LE;
    case T_U16:
        return H5T_STD_U16LE;
    case T_U32:
        return H5T_STD_U32LE;
    case T_U64:
        return H5T_STD_U64LE;
    case T_I32:
        return H5T_STD_I32LE;
    case T_I64:
        return H5T_STD_I64LE;
    case T_F32:
        return H5T_IEEE_F32LE;
    default:
        return H5T_IEEE_F64LE;
    }
}

// The memory of the machines Weft runs on is little-endian; H5Dread converts where it is not.
static hid_t memory_type(check_type type)
{
    return H5Tget_native_type(file_type(type), H5T_DIR_ASCEND);
}

static herr_t keep_first(unsigned n, const H5E_error2_t *entry, void *text)
{
    (void)n;
    if (((char *)text)[0] == '\0') snprintf(text, 256, "%s", entry->desc ? entry->desc : "");
    return 0;
}

const char *check_h5_reason(char text[256])
{
    text[0] = '\0';
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, text);
    H5Eclear2(H5E_DEFAULT);
    unsigned long long here, base, whole;
    if (sscanf(text, "truncated file: eof = %llu, sblock->base_addr = %llu, stored_eof = %llu",
               &here, &base, &whole) == 3)
        snprintf(text, 256, "it is truncated: %llu of its %llu bytes are there", here, whole);
    return text[0] ? text : "no reason given";
}

hid_t check_open_file(checker *c, const char *path)
{
    char why[256];
    check_at(c, path, "");
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(fapl, 1, 1);
    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    if (file < 0) check_problem(c, "%s: cannot be opened: %s", path, check_h5_reason(why));
    H5Pclose(fapl); // forgets the reason
    return file;
}

// Every link on the way is a hard one. 1: there, 0: missing, -1: something else.
static int look_up(hid_t file, const char *name)
{
    char part[128];
    H5L_info_t info;
    size_t n = strlen(name);
    if (n >= sizeof part) return -1;
    for (size_t i = 1; i <= n; i++) {
        if (name[i] != '/' && name[i] != '\0') continue;
        memcpy(part, name, i);
        part[i] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0) return 0;
        if (H5Lget_info(file, part, &info, H5P_DEFAULT) < 0) return -1;
        if (info.type != H5L_TYPE_HARD) return -1;
    }
    return 1;
}

static bool type_matches(hid_t set, check_type type)
{
    hid_t found = H5Dget_type(set);
    bool same = type == T_TEXT ? H5Tget_class(found) == H5T_STRING && H5Tis_variable_str(found) == 0
                               : H5Tequal(found, file_type(type)) > 0;
    H5Tclose(found);
    return same;
}

static bool shape_matches(hid_t id, check_set *set)
{
    hsize_t sizes[2] = {0, 1};
    hid_t space = H5Dget_space(id);
    bool same = H5Sget_simple_extent_ndims(space) == set->rank &&
                H5Sget_simple_extent_dims(space, sizes, NULL) == set->rank;
    H5Sclose(space);
    set->n = sizes[0];
    set->width = sizes[1];
    return same;
}

// Of some damaged files HDF5 counts chunks for ever: there cannot be more than the file has bytes.
static bool too_many_chunks(hid_t set, uint64_t n, uint64_t chunk_rows)
{
    hsize_t bytes = 0;
    hid_t file = H5Iget_file_id(set);
    bool known = file >= 0 && H5Fget_filesize(file, &bytes) >= 0;
    if (file >= 0) H5Fclose(file);
    return !known || chunk_rows == 0 || n / chunk_rows > bytes;
}

// NULL when the storage is plain and believable, else what is wrong.
static const char *storage_fault(hid_t set, int rank, uint64_t n, uint64_t row_bytes)
{
    hid_t plist = H5Dget_create_plist(set);
    const char *fault = NULL;
    hsize_t chunk[2] = {1, 1};
    H5D_layout_t layout = H5Pget_layout(plist);
    if (layout == H5D_VIRTUAL || H5Pget_external_count(plist) > 0) {
        fault = "its data lies outside the file";
    } else if (layout == H5D_CHUNKED) {
        if (H5Pget_chunk(plist, rank, chunk) != rank ||
            chunk[0] > CHUNK_MAX_BYTES / (row_bytes ? row_bytes : 1)) {
            fault = "its chunks are too large";
        } else if (too_many_chunks(set, n, chunk[0])) {
            fault = "it claims more chunks than its file has bytes";
        }
    }
    for (int i = 0; !fault && i < H5Pget_nfilters(plist); i++) {
        size_t none = 0;
        H5Z_filter_t id =
            H5Pget_filter2(plist, (unsigned)i, &(unsigned){0}, &none, NULL, 0, NULL, NULL);
        if (id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_FLETCHER32)
            fault = "it uses a filter that not every HDF5 has";
    }
    if (!fault && n > 0 && H5Dget_storage_size(set) == 0) fault = "its data was never written";
    H5Pclose(plist);
    return fault;
}

bool check_open_set(checker *c, hid_t file, bool may_miss, check_set *set)
{
    char why[256];
    const char *path = set->path, *name = set->name;
    check_at(c, path, name);
    int there = look_up(file, name);
    set->id = -1;
    set->n = set->width = 0;
    if (there == 0 && may_miss) return false;
    if (there <= 0) {
        check_problem(c, "%s:%s: %s", path, name, there == 0 ? "is missing" : "is not held here");
        return false;
    }
    hid_t id = H5Dopen2(file, name, H5P_DEFAULT);
    if (id < 0) {
        check_problem(c, "%s:%s: cannot be opened: %s", path, name, check_h5_reason(why));
        return false;
    }
    const char *fault = NULL;
    if (!type_matches(id, set->type))
        fault = "is not of type ";
    else if (!shape_matches(id, set))
        fault = "has another number of dimensions";
    else
        fault = storage_fault(id, set->rank, set->n, set->width * check_type_bytes(set->type));
    if (!fault) {
        set->id = id;
        return true;
    }
    check_problem(c, "%s:%s: %s%s", path, name, fault,
                  type_matches(id, set->type) ? "" : types[set->type].words);
    H5Dclose(id);
    return false;
}

char *check_long_attribute(hid_t object, const char *name)
{
    if (H5Aexists(object, name) <= 0) return NULL;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute);
    bool fine = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
    size_t stored = fine ? H5Tget_size(type) : 0;
    char *text = fine ? calloc(stored + 1, 1) : NULL;
    if (text && H5Aread(attribute, type, text) < 0) {
        free(text);
        text = NULL;
    }
    H5Tclose(type);
    H5Aclose(attribute);
    H5Eclear2(H5E_DEFAULT);
    return text;
}

bool check_text_attribute(hid_t object, const char *name, char *text, size_t size)
{
    char *whole = check_long_attribute(object, name);
    snprintf(text, size, "%s", whole ? whole : "");
    free(whole);
    return whole != NULL;
}

void check_set_manners(checker *c, const check_set *set)
{
    char text[512];
    const char *path = set->path, *name = set->name;
    hid_t plist = H5Dget_create_plist(set->id);
    bool checksum = false;
    for (int i = 0; i < H5Pget_nfilters(plist); i++) {
        size_t none = 0;
        checksum |= H5Pget_filter2(plist, (unsigned)i, &(unsigned){0}, &none, NULL, 0, NULL,
                                   NULL) == H5Z_FILTER_FLETCHER32;
    }
    H5Pclose(plist);
    if (!checksum && set->type != T_TEXT) check_problem(c, "%s:%s: has no fletcher32", path, name);
    if (!check_text_attribute(set->id, "units", text, sizeof text) || !text[0])
        check_problem(c, "%s:%s: has no attribute 'units'", path, name);
    if (!check_text_attribute(set->id, "description", text, sizeof text) || !text[0])
        check_problem(c, "%s:%s: has no attribute 'description'", path, name);
}

bool check_read(checker *c, const check_set *set, uint64_t start, uint64_t n, void *values)
{
    char why[256];
    if (n == 0) return true;
    check_at(c, set->path, set->name);
    hid_t space = H5Dget_space(set->id), in_memory = memory_type(set->type);
    hsize_t from[2] = {start, 0}, count[2] = {n, set->width ? set->width : 1};
    hid_t memory = H5Screate_simple(set->rank, count, NULL);
    bool fine = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, count, NULL) >= 0 &&
                H5Dread(set->id, in_memory, memory, space, H5P_DEFAULT, values) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    H5Tclose(in_memory);
    if (!fine) {
        check_problem(c, "%s:%s:%" PRIu64 ": rows to %" PRIu64 " cannot be read: %s", set->path,
                      set->name, start, start + n - 1, check_h5_reason(why));
    }
    return fine;
}

static bool copy_texts(const char *raw, size_t n, size_t width, char **list)
{
    for (size_t i = 0; i < n; i++) {
        list[i] = strndup(raw + i * width, width);
        if (!list[i]) return false;
    }
    return true;
}

bool check_read_texts(checker *c, const char *path, hid_t file, const char *name, char ***texts,
                      size_t *n)
{
    char why[256];
    check_set set = {.path = path, .name = name, .type = T_TEXT, .rank = 1};
    *n = 0;
    if (!check_open_set(c, file, false, &set)) return false;
    check_set_manners(c, &set);
    hid_t type = H5Dget_type(set.id);
    size_t width = H5Tget_size(type), count = (size_t)set.n;
    bool fine = count <= CHECK_TEXTS_MAX_BYTES / (width + sizeof(char *));
    char *raw = fine ? calloc(count * width + 1, 1) : NULL;
    *texts = calloc((fine ? count : 0) + 1, sizeof **texts);
    if (!raw || !*texts)
        check_problem(c, "%s:%s: is too large", path, name);
    else if (count > 0 && H5Dread(set.id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        check_problem(c, "%s:%s: cannot be read: %s", path, name, check_h5_reason(why));
    else if (copy_texts(raw, count, width, *texts))
        *n = count;
    bool done = *n == count;
    free(raw);
    H5Tclose(type);
    H5Dclose(set.id);
    return done;
}
