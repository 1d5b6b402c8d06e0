// Opens a Hugging Face model folder and joins the tensors of its files into one sorted list.
#include "io/weights/hf_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/hash.h"
#include "io/base/text.h"
#include "io/weights/hf_stranger.h"

#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE  "model.safetensors.index.json"

enum {
    MAX_FILES = 1000, // of one model: each keeps a descriptor open
    SAMPLE_BLOCKS = 16,
    SAMPLE_BYTES = 64 * 1024,
    CONFIG_MAX_BYTES = 1 << 20,
    INDEX_MAX_BYTES = 64 << 20,
};

// A JSON file as it is on the disk and as it reads.
typedef struct document {
    char *text;
    size_t bytes;
    wf_json *json; // NULL: there is no such file
} document;

struct wf_hf_folder {
    char *path;
    document config, generation, index;
    wf_safetensors *files[MAX_FILES];
    size_t n_files, n_tensors;
    wf_hf_tensor *tensors; // [n_tensors] by name
};

static wf_status path_of(const wf_hf_folder *folder, const char *name, char **out)
{
    size_t bytes = strlen(folder->path) + strlen(name) + 2;
    WF_TRY(wf_alloc(bytes, 1, out));
    snprintf(*out, bytes, "%s/%s", folder->path, name);
    return WF_OK;
}

static bool is_there(const wf_hf_folder *folder, const char *name)
{
    char *path;
    if (path_of(folder, name, &path) != WF_OK) return false;
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static wf_status read_fd(int fd, const char *path, size_t max_bytes, document *doc)
{
    struct stat info;
    if (fstat(fd, &info) != 0) return wf_fail_errno(WF_IO, "%s: fstat failed", path);
    if (!S_ISREG(info.st_mode)) return wf_fail(WF_NO_INPUT, "%s: not a regular file", path);
    if ((uint64_t)info.st_size > max_bytes) {
        return wf_fail(WF_DATA, "%s: %lld bytes, the limit is %zu; this is not a model's file",
                       path, (long long)info.st_size, max_bytes);
    }
    WF_TRY(wf_alloc((size_t)info.st_size + 1, 1, &doc->text));
    while (doc->bytes < (size_t)info.st_size) {
        ssize_t n = read(fd, doc->text + doc->bytes, (size_t)info.st_size - doc->bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wf_fail_errno(WF_IO, "%s: reading failed", path);
        if (n == 0) break;
        doc->bytes += (size_t)n;
    }
    return WF_OK;
}

static wf_status is_pointer(const char *path)
{
    return wf_fail(WF_DATA,
                   "%s: is a git-lfs pointer, not the file: run \"git lfs pull\" in its "
                   "folder, or download it again",
                   path);
}

// Reads and parses one document. One that is not there stays empty, and is an error if `needed`.
static wf_status read_document(const wf_hf_folder *folder, const char *name, size_t max_bytes,
                               bool needed, document *doc)
{
    wf_status st = WF_OK;
    char *path;
    const wf_json_limits limits = {.max_bytes = max_bytes};
    WF_TRY(path_of(folder, name, &path));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && !needed) goto done;
    if (fd < 0) {
        int why = errno;
        const char *is = why == ENOENT ? wf_hf_stranger(folder->path) : NULL;
        errno = why;
        st = is ? wf_fail(WF_NO_INPUT, "%s: holds no %s: it is %s", folder->path, name, is)
                : wf_fail_errno(WF_NO_INPUT,
                                "%s: cannot be opened; %s must be a Hugging Face model folder",
                                path, folder->path);
        goto done;
    }
    if (wf_hf_is_lfs_pointer(path)) WF_TRY_TO(done, is_pointer(path));
    WF_TRY_TO(done, read_fd(fd, path, max_bytes, doc));
    WF_TRY_TO(done, wf_json_parse(path, doc->text, doc->bytes, &limits, &doc->json));
    WF_TRY_TO(done, wf_json_read_object(wf_json_root(doc->json)));
done:
    if (fd >= 0) close(fd);
    free(path);
    return st;
}

static void document_free(document *doc)
{
    wf_json_destroy(&doc->json);
    free(doc->text);
}

static wf_status open_file(wf_hf_folder *folder, const char *name)
{
    char *path;
    WF_TRY(path_of(folder, name, &path));
    wf_status st = wf_hf_is_lfs_pointer(path)
                       ? is_pointer(path)
                       : wf_safetensors_open(path, &folder->files[folder->n_files]);
    free(path);
    if (st == WF_OK) folder->n_files++;
    return st;
}

static wf_status no_weights(const wf_hf_folder *folder)
{
    const char *is = wf_hf_stranger(folder->path);
    if (is) return wf_fail(WF_NO_INPUT, "%s: holds %s", folder->path, is);
    return wf_fail(WF_NO_INPUT,
                   "%s: neither " SINGLE_FILE " nor " INDEX_FILE " is there; "
                   "download the weights, or set model.weights: random",
                   folder->path);
}

// A name from an index may only mean a file of this folder.
static wf_status check_name(wf_json_ref item, const char *name)
{
    if (strchr(name, '/') || strstr(name, "..") || name[0] == '.') {
        return wf_json_fail(item, "'%.64s' leaves the model's folder; a plain file name is needed",
                            name);
    }
    if (!wf_text_ends_with(name, ".safetensors"))
        return wf_json_fail(item, "'%.64s' is not the name of a .safetensors file", name);
    if (strlen(name) > 255) return wf_json_fail(item, "a file name of %zu bytes", strlen(name));
    return WF_OK;
}

static const char *base_name(const wf_safetensors *file)
{
    return strrchr(wf_safetensors_path(file), '/') + 1;
}

static wf_safetensors *file_of(const wf_hf_folder *folder, const char *name, size_t *hint)
{
    if (*hint < folder->n_files && strcmp(base_name(folder->files[*hint]), name) == 0)
        return folder->files[*hint];
    for (size_t i = 0; i < folder->n_files; i++) {
        if (strcmp(base_name(folder->files[i]), name) == 0) {
            *hint = i;
            return folder->files[i];
        }
    }
    return NULL;
}

static wf_status open_mapped(wf_hf_folder *folder, wf_json_ref item, const char *name)
{
    if (folder->n_files == MAX_FILES)
        return wf_json_fail(item, "more than %d files in one model", MAX_FILES);
    if (!is_there(folder, name)) {
        (void)wf_json_fail(item, "%s is not there; download it again", name);
        return WF_NO_INPUT;
    }
    return open_file(folder, name);
}

// Opens every file of the index and checks that it holds what is mapped to it.
static wf_status open_index(wf_hf_folder *folder)
{
    wf_json_ref map;
    size_t hint = 0;
    WF_TRY(wf_json_get_object(wf_json_root(folder->index.json), "weight_map", &map));
    if (wf_json_count(map) == 0) return wf_json_fail(map, "maps no tensor");
    wf_json_iter it = wf_json_iterate(map);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        const char *name;
        WF_TRY(wf_json_read_string(item, &name));
        WF_TRY(check_name(item, name));
        if (!file_of(folder, name, &hint)) WF_TRY(open_mapped(folder, item, name));
        if (!wf_safetensors_find(file_of(folder, name, &hint), item.key)) {
            return wf_json_fail(item,
                                "%s does not hold this tensor; index and files are not of "
                                "one model, download both again",
                                name);
        }
    }
    return WF_OK;
}

static int compare_tensors(const void *a, const void *b)
{
    const wf_hf_tensor *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

static wf_status join_tensors(wf_hf_folder *folder)
{
    size_t n = 0;
    for (size_t i = 0; i < folder->n_files; i++)
        n += wf_safetensors_count(folder->files[i]);
    WF_TRY(wf_alloc(n, sizeof *folder->tensors, &folder->tensors));
    for (size_t i = 0; i < folder->n_files; i++) {
        const wf_safetensors *file = folder->files[i];
        for (size_t j = 0; j < wf_safetensors_count(file); j++) {
            const wf_st_tensor *tensor = wf_safetensors_at(file, j);
            folder->tensors[folder->n_tensors++] = (wf_hf_tensor){tensor, file};
        }
    }
    qsort(folder->tensors, n, sizeof *folder->tensors, compare_tensors);
    for (size_t i = 1; i < n; i++) {
        const wf_hf_tensor *a = &folder->tensors[i - 1], *b = &folder->tensors[i];
        if (compare_tensors(a, b) == 0) {
            return wf_fail(WF_DATA,
                           "%s: %s: is also in %s; one of the two files is of another model",
                           wf_safetensors_path(b->file), b->tensor->name, base_name(a->file));
        }
    }
    return WF_OK;
}

static wf_status open_weights(wf_hf_folder *folder)
{
    if (is_there(folder, SINGLE_FILE)) {
        WF_TRY(open_file(folder, SINGLE_FILE));
    } else {
        WF_TRY(read_document(folder, INDEX_FILE, INDEX_MAX_BYTES, false, &folder->index));
        if (!folder->index.json) return no_weights(folder);
        WF_TRY(open_index(folder));
    }
    return join_tensors(folder);
}

static wf_status check_folder(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return wf_fail_errno(WF_NO_INPUT, "%s: the model's folder cannot be opened", path);
    if (S_ISDIR(info.st_mode)) return WF_OK;
    const char *is = wf_hf_stranger(path);
    if (is) return wf_fail(WF_NO_INPUT, "%s: is %s", path, is);
    return wf_fail(WF_NO_INPUT, "%s: is a file; name the folder that holds config.json", path);
}

wf_status wf_hf_folder_open(const char *path, bool with_weights, wf_hf_folder **out)
{
    wf_status st;
    wf_hf_folder *folder;
    WF_TRY(check_folder(path));
    WF_TRY(wf_alloc(1, sizeof *folder, &folder));
    WF_TRY_TO(fail, wf_strdup(path, &folder->path));
    WF_TRY_TO(fail, read_document(folder, "config.json", CONFIG_MAX_BYTES, true, &folder->config));
    WF_TRY_TO(fail, read_document(folder, "generation_config.json", CONFIG_MAX_BYTES, false,
                                  &folder->generation));
    if (with_weights) WF_TRY_TO(fail, open_weights(folder));
    *out = folder;
    return WF_OK;
fail:
    wf_hf_folder_close(&folder);
    return st;
}

void wf_hf_folder_close(wf_hf_folder **folder)
{
    if (!*folder) return;
    for (size_t i = 0; i < (*folder)->n_files; i++)
        wf_safetensors_close(&(*folder)->files[i]);
    document_free(&(*folder)->config);
    document_free(&(*folder)->generation);
    document_free(&(*folder)->index);
    free((*folder)->tensors);
    free((*folder)->path);
    free(*folder);
    *folder = NULL;
}

const char *wf_hf_folder_path(const wf_hf_folder *folder)
{
    return folder->path;
}

const wf_json *wf_hf_folder_config(const wf_hf_folder *folder)
{
    return folder->config.json;
}

const wf_json *wf_hf_folder_generation(const wf_hf_folder *folder)
{
    return folder->generation.json;
}

size_t wf_hf_folder_count(const wf_hf_folder *folder)
{
    return folder->n_tensors;
}

wf_hf_tensor wf_hf_folder_at(const wf_hf_folder *folder, size_t i)
{
    return folder->tensors[i];
}

wf_status wf_hf_folder_find(const wf_hf_folder *folder, const char *name, size_t *out_i)
{
    const wf_st_tensor wanted = {.name = name};
    const wf_hf_tensor key = {&wanted, NULL};
    const wf_hf_tensor *found = folder->n_tensors == 0
                                    ? NULL
                                    : bsearch(&key, folder->tensors, folder->n_tensors,
                                              sizeof *folder->tensors, compare_tensors);
    if (found) {
        *out_i = (size_t)(found - folder->tensors);
        return WF_OK;
    }
    const char *example = folder->n_tensors ? folder->tensors[0].tensor->name : "none";
    return wf_fail(WF_DATA,
                   "%s: %s: the tensor is in no file; config.json and weights must be of one model "
                   "(%zu tensors here, such as %s)",
                   folder->path, name, folder->n_tensors, example);
}

static void hash_number(wf_hash128_stream *hash, uint64_t number)
{
    uint8_t raw[8];
    for (int i = 0; i < 8; i++)
        raw[i] = (uint8_t)(number >> 8 * i);
    wf_hash128_add(hash, raw, sizeof raw);
}

// Lengths go in first, so that no two lists of documents read alike.
static void hash_document(wf_hash128_stream *hash, const document *doc)
{
    hash_number(hash, doc->json != NULL);
    hash_number(hash, doc->bytes);
    if (doc->bytes) wf_hash128_add(hash, doc->text, doc->bytes);
}

static wf_status hash_range(wf_hash128_stream *hash, const wf_safetensors *file, uint64_t begin,
                            uint64_t end, void *block)
{
    while (begin < end) {
        size_t bytes = end - begin < SAMPLE_BYTES ? (size_t)(end - begin) : SAMPLE_BYTES;
        WF_TRY(wf_safetensors_read_raw(file, begin, bytes, block));
        wf_hash128_add(hash, block, bytes);
        begin += bytes;
    }
    return WF_OK;
}

// The header whole, then blocks spread evenly from the first byte of the data to the last.
static wf_status hash_file(wf_hash128_stream *hash, const wf_safetensors *file, void *block)
{
    uint64_t end = wf_safetensors_file_bytes(file), begin = wf_safetensors_data_begin(file);
    hash_number(hash, end);
    WF_TRY(hash_range(hash, file, 0, begin, block));
    if (end - begin <= SAMPLE_BLOCKS * SAMPLE_BYTES)
        return hash_range(hash, file, begin, end, block);
    uint64_t step = (end - begin - SAMPLE_BYTES) / (SAMPLE_BLOCKS - 1);
    for (uint64_t i = 0; i < SAMPLE_BLOCKS; i++) {
        uint64_t at = i + 1 < SAMPLE_BLOCKS ? begin + i * step : end - SAMPLE_BYTES;
        WF_TRY(hash_range(hash, file, at, at + SAMPLE_BYTES, block));
    }
    return WF_OK;
}

wf_status wf_hf_folder_identity(const wf_hf_folder *folder, char out[WF_HF_IDENTITY_MAX])
{
    wf_status st;
    wf_hash128_stream *hash = NULL;
    void *block = NULL;
    WF_TRY_TO(done, wf_hash128_create(&hash));
    WF_TRY_TO(done, wf_alloc(SAMPLE_BYTES, 1, &block));
    hash_document(hash, &folder->config);
    hash_document(hash, &folder->generation);
    hash_document(hash, &folder->index);
    for (size_t i = 0; i < folder->n_files; i++)
        WF_TRY_TO(done, hash_file(hash, folder->files[i], block));
    wf_hash128_hex(wf_hash128_value(hash), out);
done:
    free(block);
    wf_hash128_destroy(&hash);
    return st;
}
