// Reads and checks a safetensors header, then hands out ranges of the file.
//
// The header is parsed once, copied into an arena (names, shapes) and dropped. It refuses what the
// format refuses and interprets nothing else: members of a tensor that the format does not know are
// passed over, as the format's own reader does.
#include "io/weights/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/json.h"

// Values a header may hold: what bounds the memory of parsing it. A tensor of rank 2 has 8, so a
// quarter of a million tensors fit.
#define MAX_VALUES 2000000

struct wf_safetensors {
    int fd;
    char *path;
    uint64_t file_bytes, data_begin;
    wf_arena *arena; // names and shapes
    size_t n;
    wf_st_tensor *tensors;        // [n] by begin
    const wf_st_tensor **by_name; // [n]
};

static const struct {
    const char *name;
    size_t bytes;
} st_dtypes[] = {
#define ST_DTYPE_ROW(name, bytes) {#name, bytes},
    WF_ST_DTYPE_TABLE(ST_DTYPE_ROW)
#undef ST_DTYPE_ROW
};

size_t wf_st_dtype_bytes(wf_st_dtype dtype)
{
    return st_dtypes[dtype].bytes;
}

const char *wf_st_dtype_name(wf_st_dtype dtype)
{
    return st_dtypes[dtype].name;
}

const char *wf_st_shape_words(const wf_st_tensor *tensor, char *text, size_t text_bytes)
{
    size_t at = 0;
    for (int i = 0; i <= tensor->rank && at < text_bytes; i++) {
        int n = i == tensor->rank ? snprintf(text + at, text_bytes - at, "%s]", i ? "" : "[")
                                  : snprintf(text + at, text_bytes - at, "%s%" PRId64,
                                             i ? ", " : "[", tensor->shape[i]);
        at += (size_t)n;
    }
    return text;
}

wf_status wf_safetensors_read_raw(const wf_safetensors *file, uint64_t offset, size_t bytes,
                                  void *dst)
{
    char *to = dst;
    while (bytes > 0) {
        ssize_t n = pread(file->fd, to, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            return wf_fail_errno(WF_IO, "%s: reading %zu bytes at %" PRIu64 " failed", file->path,
                                 bytes, offset);
        }
        if (n == 0) {
            return wf_fail(WF_DATA,
                           "%s: ends at byte %" PRIu64 ", it had %" PRIu64
                           " when it was opened; do not replace a model while it is read",
                           file->path, offset, file->file_bytes);
        }
        to += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return WF_OK;
}

wf_status wf_safetensors_read(const wf_safetensors *file, const wf_st_tensor *tensor,
                              uint64_t offset, size_t bytes, void *dst)
{
    if (offset > tensor->bytes || bytes > tensor->bytes - offset) {
        return wf_fail(WF_INTERNAL,
                       "%s: %s: bytes %" PRIu64 " to +%zu lie outside its %" PRIu64 " bytes",
                       file->path, tensor->name, offset, bytes, tensor->bytes);
    }
    return wf_safetensors_read_raw(file, tensor->begin + offset, bytes, dst);
}

static wf_status open_file(wf_safetensors *file)
{
    struct stat info;
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0) return wf_fail_errno(WF_NO_INPUT, "%s: cannot be opened", file->path);
    if (fstat(file->fd, &info) != 0) return wf_fail_errno(WF_IO, "%s: fstat failed", file->path);
    if (!S_ISREG(info.st_mode)) {
        return wf_fail(WF_NO_INPUT, "%s: not a regular file, expected a safetensors file",
                       file->path);
    }
    file->file_bytes = (uint64_t)info.st_size;
    posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL); // a hint; its failure changes nothing
    return WF_OK;
}

static wf_status header_length(wf_safetensors *file, size_t *out)
{
    uint8_t raw[8];
    uint64_t n = 0;
    if (file->file_bytes < sizeof raw) {
        return wf_fail(WF_DATA,
                       "%s: header: the file has %" PRIu64
                       " bytes, its length field alone has 8; copy the file again",
                       file->path, file->file_bytes);
    }
    WF_TRY(wf_safetensors_read_raw(file, 0, sizeof raw, raw));
    for (int i = 7; i >= 0; i--)
        n = n << 8 | raw[i];
    if (n > WF_ST_HEADER_MAX) {
        return wf_fail(WF_DATA,
                       "%s: header: length %" PRIu64 " is over the format's limit of %" PRIu64
                       "; this is not a safetensors file",
                       file->path, n, WF_ST_HEADER_MAX);
    }
    if (n > file->file_bytes - sizeof raw) {
        return wf_fail(WF_DATA,
                       "%s: header: length %" PRIu64 " passes the end of the file (%" PRIu64
                       " bytes); the file is cut short, copy it again",
                       file->path, n, file->file_bytes);
    }
    *out = (size_t)n;
    return WF_OK;
}

// Bounds what the parser will allocate, by counting what ends or opens a value outside of strings.
static wf_status check_values(const char *path, const char *text, size_t n)
{
    size_t n_values = 1;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',' || c == '[' || c == '{') {
            n_values++;
        }
    }
    if (n_values <= MAX_VALUES) return WF_OK;
    return wf_fail(WF_DATA, "%s: header: holds about %zu JSON values, the limit is %d", path,
                   n_values, MAX_VALUES);
}

static wf_status check_metadata(wf_json_ref metadata)
{
    WF_TRY(wf_json_read_object(metadata));
    wf_json_iter it = wf_json_iterate(metadata);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const char *value;
        WF_TRY(wf_json_read_string(item, &value));
    }
    return WF_OK;
}

static wf_status read_dtype(wf_json_ref entry, wf_st_dtype *out)
{
    const char *name;
    WF_TRY(wf_json_get_string(entry, "dtype", &name));
    for (int i = 0; i < WF_N_ST_DTYPES; i++) {
        if (strcmp(name, st_dtypes[i].name) == 0) {
            *out = (wf_st_dtype)i;
            return WF_OK;
        }
    }
    return wf_json_fail(wf_json_find(entry, "dtype"),
                        "'%.32s' is not a dtype known here; F32, BF16 and F16 hold weights", name);
}

// Reads the shape and multiplies it out: *out_bytes = product * size of an element.
static wf_status read_shape(wf_safetensors *file, wf_json_ref entry, wf_st_tensor *tensor,
                            uint64_t *out_bytes)
{
    wf_json_ref shape;
    int64_t *dims;
    uint64_t bytes = wf_st_dtype_bytes(tensor->dtype);
    WF_TRY(wf_json_get_array(entry, "shape", &shape));
    size_t rank = wf_json_count(shape);
    if (rank > WF_ST_RANK_MAX)
        return wf_json_fail(shape, "%zu dimensions, the limit is %d", rank, WF_ST_RANK_MAX);
    WF_TRY(wf_arena_alloc(file->arena, rank, sizeof *dims, &dims));
    for (size_t i = 0; i < rank; i++) {
        WF_TRY(wf_json_read_i64(wf_json_at(shape, i), 0, INT64_MAX, &dims[i]));
        if (__builtin_mul_overflow(bytes, (uint64_t)dims[i], &bytes))
            return wf_json_fail(shape, "the product of its dimensions overflows 64 bits");
    }
    tensor->rank = (int)rank;
    tensor->shape = dims;
    *out_bytes = bytes;
    return WF_OK;
}

static wf_status read_offsets(wf_safetensors *file, wf_json_ref entry, wf_st_tensor *tensor,
                              uint64_t expected)
{
    wf_json_ref offsets;
    int64_t begin, end;
    char shape[128];
    WF_TRY(wf_json_get_array(entry, "data_offsets", &offsets));
    if (wf_json_count(offsets) != 2)
        return wf_json_fail(offsets, "%zu numbers, expected BEGIN and END", wf_json_count(offsets));
    WF_TRY(wf_json_read_i64(wf_json_at(offsets, 0), 0, INT64_MAX, &begin));
    WF_TRY(wf_json_read_i64(wf_json_at(offsets, 1), 0, INT64_MAX, &end));
    if (end < begin)
        return wf_json_fail(offsets, "END %" PRId64 " lies before BEGIN %" PRId64, end, begin);
    if ((uint64_t)(end - begin) != expected) {
        return wf_json_fail(
            offsets, "%" PRId64 " bytes, but shape %s of %s takes %" PRIu64 "; the file is damaged",
            end - begin, wf_st_shape_words(tensor, shape, sizeof shape),
            wf_st_dtype_name(tensor->dtype), expected);
    }
    uint64_t data_bytes = file->file_bytes - file->data_begin;
    if ((uint64_t)end > data_bytes) {
        return wf_json_fail(offsets,
                            "END %" PRId64 " passes the %" PRIu64
                            " bytes of data in the file; the file is cut short, copy it again",
                            end, data_bytes);
    }
    tensor->begin = file->data_begin + (uint64_t)begin;
    tensor->bytes = expected;
    return WF_OK;
}

static wf_status read_tensor(wf_safetensors *file, wf_json_ref entry, wf_st_tensor *tensor)
{
    uint64_t bytes = 0;
    WF_TRY(wf_json_read_object(entry));
    WF_TRY(wf_arena_strdup(file->arena, entry.key, &tensor->name));
    WF_TRY(read_dtype(entry, &tensor->dtype));
    WF_TRY(read_shape(file, entry, tensor, &bytes));
    return read_offsets(file, entry, tensor, bytes);
}

static wf_status read_tensors(wf_safetensors *file, wf_json_ref root)
{
    size_t room = wf_json_count(root);
    WF_TRY(wf_alloc(room, sizeof *file->tensors, &file->tensors));
    WF_TRY(wf_alloc(room, sizeof *file->by_name, &file->by_name));
    wf_json_iter it = wf_json_iterate(root);
    for (wf_json_ref entry; wf_json_next(&it, &entry);) {
        if (strcmp(entry.key, "__metadata__") == 0) {
            WF_TRY(check_metadata(entry));
        } else {
            WF_TRY(read_tensor(file, entry, &file->tensors[file->n]));
            file->n++;
        }
    }
    return WF_OK;
}

static int compare_begin(const void *a, const void *b)
{
    const wf_st_tensor *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; // empty ones come first
    return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b)
{
    return strcmp((*(const wf_st_tensor *const *)a)->name, (*(const wf_st_tensor *const *)b)->name);
}

// The data must be covered once, from the header's end to the file's end.
static wf_status check_layout(const wf_safetensors *file)
{
    uint64_t at = file->data_begin;
    const char *before = "the header";
    for (size_t i = 0; i < file->n; i++) {
        const wf_st_tensor *t = &file->tensors[i];
        if (t->begin != at) {
            uint64_t gap = t->begin > at ? t->begin - at : at - t->begin;
            return wf_fail(WF_DATA,
                           "%s: %s: data_offsets leave %s of %" PRIu64
                           " bytes %s %s; the format allows none, write the file again",
                           file->path, t->name, t->begin > at ? "a hole" : "an overlap", gap,
                           t->begin > at ? "after" : "with", before);
        }
        at += t->bytes;
        before = t->name;
    }
    if (at != file->file_bytes) {
        return wf_fail(WF_DATA,
                       "%s: data ends at byte %" PRIu64 ", the file at %" PRIu64
                       "; bytes that belong to no tensor are not allowed, copy the file again",
                       file->path, at, file->file_bytes);
    }
    return WF_OK;
}

static wf_status read_header(wf_safetensors *file)
{
    wf_status st;
    size_t n = 0;
    char *text = NULL;
    wf_json *doc = NULL;
    const wf_json_limits limits = {.max_bytes = WF_ST_HEADER_MAX, .max_depth = 4};
    WF_TRY(header_length(file, &n));
    file->data_begin = 8 + (uint64_t)n;
    WF_TRY(wf_alloc(n + 1, 1, &text));
    WF_TRY_TO(done, wf_safetensors_read_raw(file, 8, n, text));
    if (n == 0 || text[0] != '{') {
        st = wf_fail(WF_DATA, "%s: header: does not start with '{'; this is not a safetensors file",
                     file->path);
        goto done;
    }
    WF_TRY_TO(done, check_values(file->path, text, n));
    WF_TRY_TO(done, wf_json_parse(file->path, text, n, &limits, &doc));
    WF_TRY_TO(done, read_tensors(file, wf_json_root(doc)));
done:
    wf_json_destroy(&doc);
    free(text);
    return st;
}

wf_status wf_safetensors_open(const char *path, wf_safetensors **out)
{
    wf_status st;
    wf_safetensors *file;
    WF_TRY(wf_alloc(1, sizeof *file, &file));
    file->fd = -1;
    WF_TRY_TO(fail, wf_strdup(path, &file->path));
    WF_TRY_TO(fail, wf_arena_create(0, &file->arena));
    WF_TRY_TO(fail, open_file(file));
    WF_TRY_TO(fail, read_header(file));
    qsort(file->tensors, file->n, sizeof *file->tensors, compare_begin);
    WF_TRY_TO(fail, check_layout(file));
    for (size_t i = 0; i < file->n; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->n, sizeof *file->by_name, compare_name);
    *out = file;
    return WF_OK;
fail:
    wf_safetensors_close(&file);
    return st;
}

void wf_safetensors_close(wf_safetensors **file)
{
    if (!*file) return;
    if ((*file)->fd >= 0) close((*file)->fd);
    wf_arena_destroy(&(*file)->arena);
    free((*file)->by_name);
    free((*file)->tensors);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

size_t wf_safetensors_count(const wf_safetensors *file)
{
    return file->n;
}

const wf_st_tensor *wf_safetensors_at(const wf_safetensors *file, size_t i)
{
    return &file->tensors[i];
}

const wf_st_tensor *wf_safetensors_find(const wf_safetensors *file, const char *name)
{
    const wf_st_tensor wanted = {.name = name}, *key = &wanted;
    const wf_st_tensor *const *found =
        bsearch(&key, file->by_name, file->n, sizeof *file->by_name, compare_name);
    return found ? *found : NULL;
}

const char *wf_safetensors_path(const wf_safetensors *file)
{
    return file->path;
}

uint64_t wf_safetensors_file_bytes(const wf_safetensors *file)
{
    return file->file_bytes;
}

uint64_t wf_safetensors_data_begin(const wf_safetensors *file)
{
    return file->data_begin;
}
