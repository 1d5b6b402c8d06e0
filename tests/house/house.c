// Walks the folders of the house. See house.h.
#include "tests/house/house.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const floors[] = {"io",   "kernels", "slurm",    "engine",
                                     "jobs", "results", "launcher", "tests"};
static const char *const suffixes[] = {".c", ".h", ".cu", ".cuh", ".py", ".sh", ".cmake", ".txt"};

bool has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), n_suffix = strlen(suffix);
    return n >= n_suffix && strcmp(text + n - n_suffix, suffix) == 0;
}

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void *must(void *memory)
{
    if (memory) return memory;
    perror("house");
    exit(1);
}

static char *read_text(const char *path)
{
    FILE *file = must(fopen(path, "r"));
    char *text = NULL;
    size_t n = 0;
    if (getdelim(&text, &n, '\0', file) < 0) { // source text has no NUL: this is all of it
        free(text);
        text = must(calloc(1, 1));
    }
    fclose(file);
    return text;
}

static void add_file(house *h, const char *full, const char *path)
{
    h->file = must(realloc(h->file, (h->n + 1) * sizeof *h->file));
    house_file *file = &h->file[h->n++];
    *file = (house_file){.path = must(strdup(path)), .text = read_text(full)};
    for (const char *c = file->text; *c; c++)
        file->n_lines += *c == '\n';
}

static bool is_ours(const char *name)
{
    // A list of words is data, CMakeLists.txt is not.
    if (has_suffix(name, ".txt") && strcmp(name, "CMakeLists.txt") != 0) return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (has_suffix(name, suffixes[i])) return true;
    return false;
}

static void walk(house *h, const char *path)
{
    char full[4096], child[2048];
    snprintf(full, sizeof full, "%s/%s", WEFT_SOURCE_DIR, path);
    DIR *dir = opendir(full);
    if (!dir) return; // a floor that is not built yet
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        const char *name = entry->d_name;
        if (name[0] == '.' || strcmp(name, "__pycache__") == 0) continue;
        snprintf(child, sizeof child, "%s/%s", path, name);
        snprintf(full, sizeof full, "%s/%s", WEFT_SOURCE_DIR, child);
        if (lstat(full, &st) != 0) continue;
        if (S_ISDIR(st.st_mode)) walk(h, child);
        if (S_ISREG(st.st_mode) && is_ours(name)) add_file(h, full, child);
    }
    closedir(dir);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const house_file *)a)->path, ((const house_file *)b)->path);
}

house *house_read(void)
{
    house *h = must(calloc(1, sizeof *h));
    for (size_t i = 0; i < sizeof floors / sizeof floors[0]; i++)
        walk(h, floors[i]);
    qsort(h->file, h->n, sizeof *h->file, by_path);
    return h;
}

void house_free(house *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->file[i].path);
        free(h->file[i].text);
    }
    free(h->file);
    free(h);
}
