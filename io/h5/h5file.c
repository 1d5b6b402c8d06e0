// HDF5 files and their attributes: how they are made, opened, closed and published, and how HDF5's
// error stack becomes one line.
#include "io/h5/h5internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/guard.h"

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "wf_h5_file_id() hands out an hid_t as int64_t");

static const struct {
    size_t bytes;
    const char *words;
} type_rows[WF_N_H5_TYPES] = {
    [WF_H5_U8] = {1, "u8"},   [WF_H5_U16] = {2, "u16"}, [WF_H5_U32] = {4, "u32"},
    [WF_H5_U64] = {8, "u64"}, [WF_H5_I32] = {4, "i32"}, [WF_H5_I64] = {8, "i64"},
    [WF_H5_F32] = {4, "f32"}, [WF_H5_F64] = {8, "f64"},
};

size_t wf_h5_type_bytes(wf_h5_type type)
{
    return type_rows[type].bytes;
}

const char *wf_h5_type_words(wf_h5_type type)
{
    return type_rows[type].words;
}

// The predefined types are run-time values, so these cannot be static tables.
hid_t wf_h5_native_type(wf_h5_type type)
{
    switch (type) {
    case WF_H5_U8:
        return H5T_NATIVE_UINT8;
    case WF_H5_U16:
        return H5T_NATIVE_UINT16;
    case WF_H5_U32:
        return H5T_NATIVE_UINT32;
    case WF_H5_U64:
        return H5T_NATIVE_UINT64;
    case WF_H5_I32:
        return H5T_NATIVE_INT32;
    case WF_H5_I64:
        return H5T_NATIVE_INT64;
    case WF_H5_F32:
        return H5T_NATIVE_FLOAT;
    default:
        return H5T_NATIVE_DOUBLE;
    }
}

hid_t wf_h5_stored_type(wf_h5_type type)
{
    switch (type) {
    case WF_H5_U8:
        return H5T_STD_U8LE;
    case WF_H5_U16:
        return H5T_STD_U16LE;
    case WF_H5_U32:
        return H5T_STD_U32LE;
    case WF_H5_U64:
        return H5T_STD_U64LE;
    case WF_H5_I32:
        return H5T_STD_I32LE;
    case WF_H5_I64:
        return H5T_STD_I64LE;
    case WF_H5_F32:
        return H5T_IEEE_F32LE;
    default:
        return H5T_IEEE_F64LE;
    }
}

// --- errors ---

static herr_t take_innermost(unsigned n, const H5E_error2_t *entry, void *out)
{
    (void)n;
    snprintf(out, WF_ERROR_MAX / 2, "%s", entry->desc ? entry->desc : "unknown reason");
    return 1; // stop the walk
}

wf_status wf_h5_fail(wf_status status, const char *format, ...)
{
    char what[WF_ERROR_MAX / 2], why[WF_ERROR_MAX / 2] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, why);
    H5Eclear2(H5E_DEFAULT);
    const char *number = strstr(why, "errno = ");
    int code = number ? atoi(number + strlen("errno = ")) : 0;
    if (code > 0) {
        errno = code;
        return wf_fail_errno(status, "%s", what);
    }
    if (why[0] == '\0') return wf_fail(status, "%s", what);
    return wf_fail(status, "%s: %s", what, why);
}

// Called by every way in, because there is no other moment that is surely before HDF5's first use.
// Without the exit handler a full disk does not crash the process while it leaves.
static void library_start(void)
{
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

// --- files ---

enum { OPEN_TRIES = 5 }; // a file server may tell ESTALE of a file that was replaced

static hid_t access_create(void)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (fapl < 0) return -1;
    if (H5Pset_libver_bounds(fapl, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0 ||
        H5Pset_file_locking(fapl, 1, 1) < 0 || H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) < 0) {
        H5Pclose(fapl);
        return -1;
    }
    return fapl;
}

static wf_status file_alloc(const char *path, bool writing, wf_status bad, wf_h5_file **out)
{
    wf_h5_file *file = NULL;
    WF_TRY(wf_alloc(1, sizeof *file, &file));
    wf_status st = wf_strdup(path, &file->path);
    if (st != WF_OK) {
        free(file);
        return st;
    }
    file->id = -1;
    file->writing = writing;
    file->bad = bad;
    *out = file;
    return WF_OK;
}

// HDF5 opens files by name alone: this name leads to the open file itself.
wf_status wf_h5_file_create(int fd, const char *path, wf_h5_file **out)
{
    char name[64];
    library_start();
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    wf_h5_file *file = NULL;
    wf_status st = WF_OK;
    hid_t fapl = access_create();
    if (fapl < 0) return wf_h5_fail(WF_INTERNAL, "%s: cannot set up HDF5", path);
    WF_TRY_TO(done, file_alloc(path, true, WF_IO, &file));
    file->id = H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
    if (file->id < 0) st = wf_h5_fail(WF_IO, "%s: cannot be created", path);
done:
    H5Pclose(fapl);
    if (st == WF_OK)
        *out = file;
    else
        wf_h5_file_abandon(&file);
    return st;
}

// What can be said without HDF5, in the system's words.
static wf_status check_readable(const char *path, wf_status bad)
{
    int fd = wf_file_open_calmly(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) return wf_fail_errno(WF_NO_INPUT, "%s: cannot be opened", path);
    struct stat info;
    unsigned char start[8] = {0};
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    wf_status st = WF_OK;
    if (fstat(fd, &info) != 0) {
        st = wf_fail_errno(WF_NO_INPUT, "%s: cannot be examined", path);
    } else if (!S_ISREG(info.st_mode)) {
        st = wf_fail(WF_NO_INPUT, "%s: is not a regular file", path);
    } else if (pread(fd, start, sizeof start, 0) < 0) {
        st = wf_fail_errno(WF_IO, "%s: cannot be read", path);
    } else if (memcmp(start, signature, sizeof start) != 0) {
        st =
            wf_fail(bad, "%s: is not an HDF5 file (it does not begin with HDF5's signature)", path);
    }
    close(fd);
    return st;
}

// Superblock 3 is what bounds V110 write; only it carries the mark of a file still open.
static wf_status check_superblock(const wf_h5_file *file)
{
    H5F_info2_t info;
    if (H5Fget_info2(file->id, &info) < 0)
        return wf_h5_fail(file->bad, "%s: its superblock cannot be read", file->path);
    if (info.super.version < 3) {
        return wf_fail(file->bad,
                       "%s: superblock version %u cannot tell a finished file from a torn one; "
                       "write it with library bounds V110 (h5py: libver='v110')",
                       file->path, info.super.version);
    }
    return WF_OK;
}

static wf_status open_checked(wf_h5_file *file, hid_t fapl)
{
    for (int i = 0; file->id < 0 && i < OPEN_TRIES; i++) {
        errno = 0;
        file->id = H5Fopen(file->path, H5F_ACC_RDONLY, fapl);
        if (file->id < 0 && errno != ESTALE) break;
    }
    if (file->id >= 0) return check_superblock(file);
    wf_status st = wf_h5_fail(file->bad, "%s: cannot be opened as HDF5", file->path);
    const char *cut = strstr(wf_error(), "truncated file: eof = ");
    unsigned long long here, base, whole;
    if (cut &&
        sscanf(cut, "truncated file: eof = %llu, sblock->base_addr = %llu, stored_eof = %llu",
               &here, &base, &whole) == 3) {
        st = wf_fail(file->bad, "%s: is truncated: %llu of its %llu bytes are there; copy it again",
                     file->path, here, whole);
    }
    if (strstr(wf_error(), "already open for write")) {
        st = wf_fail(file->bad,
                     "%s: was not closed by its writer and may be incomplete; make it again",
                     file->path);
    }
    return st;
}

static wf_status open_file(const char *path, wf_status bad, wf_h5_file **out)
{
    library_start();
    WF_TRY(check_readable(path, bad));
    wf_h5_file *file = NULL;
    wf_status st = WF_OK;
    hid_t fapl = access_create();
    if (fapl < 0) return wf_h5_fail(WF_INTERNAL, "%s: cannot set up HDF5", path);
    WF_TRY_TO(done, file_alloc(path, false, bad, &file));
    st = open_checked(file, fapl);
done:
    H5Pclose(fapl);
    if (st == WF_OK)
        *out = file;
    else
        wf_h5_file_abandon(&file);
    return st;
}

wf_status wf_h5_file_open(const char *path, wf_status bad, wf_h5_file **out)
{
    wf_guard_at(path, "");
    wf_status st = open_file(path, bad, out);
    wf_guard_done();
    return st;
}

wf_status wf_h5_file_close(wf_h5_file **file)
{
    wf_h5_file *f = *file;
    if (f == NULL) return WF_OK;
    wf_status st = WF_OK;
    if (f->writing) {
        if (H5Fflush(f->id, H5F_SCOPE_GLOBAL) < 0)
            st = wf_h5_fail(WF_IO, "%s: cannot be written", f->path);
        else if (H5Fclose(f->id) < 0)
            st = wf_h5_fail(WF_IO, "%s: cannot be closed", f->path);
        // After a failed flush H5Fclose() may crash: the id is leaked, the process is leaving.
        f->id = -1;
    }
    wf_h5_file_abandon(file);
    return st;
}

void wf_h5_file_abandon(wf_h5_file **file)
{
    if (file == NULL || *file == NULL) return;
    if ((*file)->id >= 0) H5Fclose((*file)->id);
    H5Eclear2(H5E_DEFAULT);
    wf_h5_forget_digests(*file);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

const char *wf_h5_file_path(const wf_h5_file *file)
{
    return file->path;
}

int64_t wf_h5_file_id(const wf_h5_file *file)
{
    return file->id;
}

// --- paths ---

static wf_status check_link(wf_h5_file *file, const char *prefix)
{
    H5L_info_t info;
    htri_t there = H5Lexists(file->id, prefix, H5P_DEFAULT);
    if (there == 0) return wf_fail(file->bad, "%s:%s: is missing", file->path, prefix);
    if (there < 0 || H5Lget_info(file->id, prefix, &info, H5P_DEFAULT) < 0)
        return wf_h5_fail(file->bad, "%s:%s: cannot be looked up", file->path, prefix);
    if (info.type != H5L_TYPE_HARD) {
        const char *kind = info.type == H5L_TYPE_EXTERNAL ? "an external link"
                           : info.type == H5L_TYPE_SOFT   ? "a soft link"
                                                          : "a user-defined link";
        return wf_fail(file->bad, "%s:%s: is %s; the file must hold its data itself", file->path,
                       prefix, kind);
    }
    return WF_OK;
}

wf_status wf_h5_check_path(wf_h5_file *file, const char *name)
{
    char prefix[256];
    size_t n = strlen(name);
    if (n >= sizeof prefix || name[0] != '/')
        return wf_fail(WF_INTERNAL, "%s:%s: is no name this program uses", file->path, name);
    for (size_t i = 1; i <= n; i++) {
        if (n == 1 || (name[i] != '/' && name[i] != '\0')) continue;
        memcpy(prefix, name, i);
        prefix[i] = '\0';
        WF_TRY(check_link(file, prefix));
    }
    return WF_OK;
}
