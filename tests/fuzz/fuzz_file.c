// Files in memory, and promises. See fuzz.h.
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/base/file.h"
#include "tests/fuzz/fuzz.h"

static char the_folder[PATH_MAX];

int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_MAX])
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    fuzz_must(fd >= 0, "a file in memory can be made");
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, data + at, size - at);
        fuzz_must(n > 0, "a file in memory can be written");
        at += (size_t)n;
    }
    snprintf(path, FUZZ_PATH_MAX, "/proc/self/fd/%d", fd);
    return fd;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void folder_remove(void)
{
    nftw(the_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
    if (the_folder[0]) return the_folder;
    const char *above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(the_folder, sizeof the_folder, "%s/weft-fuzz-XXXXXX", above);
    fuzz_must(mkdtemp(the_folder) != NULL, "a folder can be made");
    atexit(folder_remove);
    return the_folder;
}

static void put(const char *name, const uint8_t *data, size_t size)
{
    char path[PATH_MAX], *folder = NULL;
    snprintf(path, sizeof path, "%.1024s/%s", fuzz_folder(), name);
    fuzz_must(wf_path_folder(path, &folder) == WF_OK && wf_file_make_folders(folder) == WF_OK,
              "a folder can be made");
    free(folder);
    FILE *file = fopen(path, "w");
    fuzz_must(file != NULL, "a file can be made");
    if (size > 0) fwrite(data, 1, size, file);
    fclose(file);
}

void fuzz_folder_put(const char *const *names, size_t n_names, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < n_names; i++) {
        const uint8_t *end = size > 0 ? memmem(data, size, "%%\n", 3) : NULL;
        size_t n = end ? (size_t)(end - data) : size;
        put(names[i], data, n);
        data += end ? n + 3 : n;
        size -= end ? n + 3 : n;
    }
}

void fuzz_must(int holds, const char *promise)
{
    if (holds) return;
    fprintf(stderr, "broken promise: %s\n", promise);
    abort();
}
