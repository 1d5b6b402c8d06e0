// Writes model files for tests: raw ones (any header, any data) and well-formed ones from a list of
// tensors; in a temporary folder that removes itself.
#ifndef WF_TESTS_IO_TEST_SAFETENSORS_FILE_H
#define WF_TESTS_IO_TEST_SAFETENSORS_FILE_H

#include "tests/base/base_test.h"

#include <ftw.h>
#include <inttypes.h>
#include <unistd.h>

typedef struct test_tensor {
    const char *name, *dtype;
    int rank;
    int64_t shape[3];
    size_t bytes;
    const void *data; // NULL: zeros
} test_tensor;

static inline void test_folder_make(char path[64])
{
    strcpy(path, "/tmp/weft-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline int test_remove_one(const char *path, const struct stat *info, int type,
                                  struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void test_folder_remove(const char *path)
{
    nftw(path, test_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

// A folder for all tests of a program: cmocka's group fixtures.
static char test_folder[64];

static inline int test_folder_setup(void **state)
{
    (void)state;
    test_folder_make(test_folder);
    return 0;
}

static inline int test_folder_teardown(void **state)
{
    (void)state;
    test_folder_remove(test_folder);
    return 0;
}

static inline const char *test_path(const char *folder, const char *name)
{
    static char text[4][320]; // the last four stay valid
    static unsigned next;
    char *path = text[next++ % 4];
    snprintf(path, sizeof text[0], "%s/%s", folder, name);
    return path;
}

static inline void test_write(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void test_write_text(const char *path, const char *text)
{
    test_write(path, text, strlen(text));
}

// [length as u64][header][data]; data NULL: zeros.
static inline void test_write_st(const char *path, uint64_t length, const char *header,
                                 size_t header_bytes, const void *data, size_t data_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        fputc((int)(length >> 8 * i & 0xff), file);
    fwrite(header, 1, header_bytes, file);
    for (size_t i = 0; i < data_bytes; i++)
        fputc(data ? ((const uint8_t *)data)[i] : 0, file);
    assert_int_equal(fclose(file), 0);
}

static inline void test_write_tensors(const char *path, const test_tensor *tensors, size_t n)
{
    size_t room = 64 + 256 * n, at = 0, offset = 0;
    char *header = malloc(room);
    uint8_t *data;
    for (size_t i = 0; i < n; i++)
        offset += tensors[i].bytes;
    data = calloc(1, offset + 1);
    offset = 0;
    at += (size_t)snprintf(header + at, room - at, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n; i++) {
        const test_tensor *t = &tensors[i];
        at += (size_t)snprintf(header + at, room - at, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                               t->name, t->dtype);
        for (int d = 0; d < t->rank; d++)
            at += (size_t)snprintf(header + at, room - at, "%s%" PRId64, d ? "," : "", t->shape[d]);
        at += (size_t)snprintf(header + at, room - at, "],\"data_offsets\":[%zu,%zu]}", offset,
                               offset + t->bytes);
        if (t->data) memcpy(data + offset, t->data, t->bytes);
        offset += t->bytes;
    }
    at += (size_t)snprintf(header + at, room - at, "}");
    assert_true(at < room);
    test_write_st(path, at, header, at, data, offset);
    free(data);
    free(header);
}

#endif
