// The source tree as the house tests see it: every file of ours, once, with its text.
#ifndef WF_TESTS_HOUSE_HOUSE_H
#define WF_TESTS_HOUSE_HOUSE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct house_file {
    char *path; // relative to the source folder, "io/base/log.h"
    char *text;
    size_t n_lines;
} house_file;

typedef struct house {
    size_t n;
    house_file *file; // sorted by path
} house;

// Reads C, CUDA, Python, shell and CMake files below the folders of the house.
house *house_read(void);
void house_free(house *h);

bool has_suffix(const char *text, const char *suffix);

// The last part of a path.
const char *base_name(const char *path);

#endif
