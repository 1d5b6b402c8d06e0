// The HDF5 helpers by themselves: columns of every type and size, attributes, texts, refusals.
#include "tests/base/base_test.h"

#include <signal.h>
#include <sys/resource.h>

#include "io/base/file.h"
#include "io/base/publish.h"
#include "io/base/rng.h"
#include "io/h5/h5util.h"
#include "tests/io/shard_fixture.h"

static char folder[256], path[300];

static int make_folder(void **state)
{
    (void)state;
    fixture_folder_make(folder);
    snprintf(path, sizeof path, "%s/x.h5", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    return 0;
}

static void assert_fails(wf_status st, wf_status want, const char *part)
{
    assert_int_equal(st, want);
    if (strstr(wf_error(), part) == NULL) fail_msg("\"%s\" lacks \"%s\"", wf_error(), part);
}

static wf_h5_column_spec spec_of(const char *name, wf_h5_type type, uint32_t width)
{
    return (wf_h5_column_spec){name, type, width, "1", "test values"};
}

// Bytes that differ from value to value.
static void fill(unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 131 >> 3);
}

// A new file at `path`, in place of what was there.
static wf_status create(wf_h5_file **out)
{
    wf_part *part = NULL;
    WF_TRY(wf_part_create(path, &part));
    wf_status st = wf_part_publish(part, WF_PUBLISH_FAST);
    if (st == WF_OK) st = wf_h5_file_create(wf_part_fd(part), path, out);
    wf_part_drop(&part);
    return st;
}

static void round_trip(wf_h5_type type, uint32_t width, size_t n, size_t n_each)
{
    size_t row_bytes = wf_h5_type_bytes(type) * (width == 0 ? 1 : width);
    unsigned char *in = malloc(n * row_bytes + 1), *out = malloc(n * row_bytes + 1);
    wf_h5_file *file = NULL;
    wf_h5_column *column = NULL;
    wf_h5_dataset *dataset = NULL;
    wf_h5_column_spec spec = spec_of("/group/deep/values", type, width);
    fill(in, n * row_bytes);
    assert_ok(create(&file));
    assert_ok(wf_h5_column_create(file, &spec, &column));
    for (size_t at = 0; at < n; at += n_each) {
        size_t take = n - at < n_each ? n - at : n_each;
        assert_ok(wf_h5_column_append(column, in + at * row_bytes, take));
    }
    assert_int_equal(wf_h5_column_count(column), n);
    assert_ok(wf_h5_column_close(&column));
    assert_ok(wf_h5_file_close(&file));
    assert_ok(wf_h5_file_open(path, WF_DATA, &file));
    assert_ok(wf_h5_dataset_open(file, spec.name, type, width, &dataset));
    assert_int_equal(wf_h5_dataset_count(dataset), n);
    for (size_t at = 0; at < n; at += 70001) {
        size_t take = n - at < 70001 ? n - at : 70001;
        assert_ok(wf_h5_dataset_read(dataset, at, take, out + at * row_bytes));
    }
    assert_memory_equal(in, out, n * row_bytes);
    assert_fails(wf_h5_dataset_read(dataset, n, 1, out), WF_DATA, "/group/deep/values: has");
    wf_h5_dataset_close(&dataset);
    assert_ok(wf_h5_file_close(&file));
    free(out);
    free(in);
}

static void test_columns(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, WF_H5_CHUNK - 1, WF_H5_CHUNK, WF_H5_CHUNK + 1, 200000};
    for (int type = 0; type < WF_N_H5_TYPES; type++)
        round_trip((wf_h5_type)type, 0, 1000, 33);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        round_trip(WF_H5_I32, 0, sizes[i], 12345);
        round_trip(WF_H5_U8, 0, sizes[i], 200000);
    }
    round_trip(WF_H5_F32, 5, 30000, 777);
    round_trip(WF_H5_U64, 1, 100, 1);
    round_trip(WF_H5_F32, 0, 0, 1);
}

static void test_attributes(void **state)
{
    (void)state;
    wf_h5_file *file = NULL;
    char *text = NULL;
    static const char *const texts[] = {"", "a", "azure-conv", "na\xc3\xafve", "two\nlines\t"};
    char *large = malloc(300001); // more than a compact attribute holds: a whole job file
    memset(large, 'x', 300000);
    large[300000] = '\0';
    assert_ok(create(&file));
    assert_ok(wf_h5_put_header(file, "weft-test", "3.1.4"));
    assert_ok(wf_h5_put_text(file, "/", "job", large));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%zu", i);
        assert_ok(wf_h5_put_text(file, "/", name, texts[i]));
    }
    assert_ok(wf_h5_put_i64(file, "/", "least", INT64_MIN));
    assert_ok(wf_h5_put_u64(file, "/", "most", UINT64_MAX));
    uint8_t status[2] = {0, 1};
    wf_h5_column_spec spec = spec_of("/requests/status", WF_H5_U8, 0);
    assert_ok(wf_h5_write(file, &spec, status, 2));
    assert_ok(wf_h5_put_text(file, spec.name, "values", "done, failed"));
    assert_ok(wf_h5_file_close(&file));

    assert_ok(wf_h5_file_open(path, WF_DATA, &file));
    assert_ok(wf_h5_check_header(file, "weft-test", 3));
    assert_fails(wf_h5_check_header(file, "weft-test", 4), WF_DATA, "format_version: is '3.1.4'");
    assert_fails(wf_h5_check_header(file, "weft-other", 3), WF_DATA, "format: is 'weft-test'");
    assert_ok(wf_h5_get_text(file, "/", "job", &text));
    assert_string_equal(text, large);
    free(text);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%zu", i);
        assert_ok(wf_h5_get_text(file, "/", name, &text));
        assert_string_equal(text, texts[i]);
        free(text);
    }
    int64_t i64 = 0;
    uint64_t u64 = 0;
    assert_ok(wf_h5_get_i64(file, "/", "least", &i64));
    assert_true(i64 == INT64_MIN);
    assert_ok(wf_h5_get_u64(file, "/", "most", &u64));
    assert_true(u64 == UINT64_MAX);
    assert_ok(wf_h5_get_text(file, "/requests/status", "values", &text));
    assert_string_equal(text, "done, failed");
    free(text);
    assert_fails(wf_h5_get_u64(file, "/", "least", &u64), WF_DATA, "@least: is negative");
    assert_fails(wf_h5_get_i64(file, "/", "most", &i64), WF_DATA, "@most: is too large");
    assert_fails(wf_h5_get_i64(file, "/", "job", &i64), WF_DATA, "@job: is not an integer");
    assert_fails(wf_h5_get_i64(file, "/", "t2", &i64), WF_DATA, "@t2: is not an integer");
    assert_fails(wf_h5_get_text(file, "/", "most", &text), WF_DATA, "@most: is not text");
    assert_fails(wf_h5_get_i64(file, "/", "none", &i64), WF_DATA, "@none: attribute is missing");
    assert_fails(wf_h5_get_i64(file, "/none", "x", &i64), WF_DATA, "/none: is missing");
    assert_ok(wf_h5_file_close(&file));
    free(large);
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const in[] = {"streams/a.h5", "", "b", "str\xc3\xb6me/\xc3\xa4.h5"};
    wf_h5_file *file = NULL;
    char **out = NULL;
    size_t n = 0;
    wf_h5_column_spec spec = spec_of("/shards/path", WF_H5_U8, 0);
    wf_h5_column_spec none = spec_of("/shards/none", WF_H5_U8, 0);
    assert_ok(create(&file));
    assert_ok(wf_h5_write_texts(file, &spec, in, 4));
    assert_ok(wf_h5_write_texts(file, &none, NULL, 0));
    assert_ok(wf_h5_file_close(&file));
    assert_ok(wf_h5_file_open(path, WF_DATA, &file));
    assert_ok(wf_h5_read_texts(file, spec.name, 100, &out, &n));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(out[i], in[i]);
    free(out);
    assert_ok(wf_h5_read_texts(file, none.name, 100, &out, &n));
    assert_int_equal(n, 0);
    free(out);
    assert_fails(wf_h5_read_texts(file, spec.name, 3, &out, &n), WF_DATA, "holds 4 strings");
    wf_h5_dataset *dataset = NULL;
    assert_fails(wf_h5_dataset_open(file, spec.name, WF_H5_U8, 0, &dataset), WF_DATA, "string");
    assert_ok(wf_h5_file_close(&file));
}

static void test_refusals(void **state)
{
    (void)state;
    wf_h5_file *file = NULL;
    wf_h5_dataset *dataset = NULL;
    float values[6] = {1, 2, 3, 4, 5, 6};
    wf_h5_column_spec spec = spec_of("/a/pairs", WF_H5_F32, 2);
    assert_fails(wf_h5_file_create(-1, "place.h5", &file), WF_IO, "place.h5: cannot be created");
    assert_ok(create(&file));
    assert_ok(wf_h5_write(file, &spec, values, 3));
    assert_fails(wf_h5_write(file, &spec, values, 3), WF_IO, "/a/pairs: cannot be created");
    assert_ok(wf_h5_file_close(&file));
    assert_ok(wf_h5_file_open(path, WF_DATA, &file));
    assert_fails(wf_h5_dataset_open(file, "/a/pairs", WF_H5_F32, 0, &dataset), WF_DATA,
                 "has 2 dimensions, expected 1");
    assert_fails(wf_h5_dataset_open(file, "/a/pairs", WF_H5_F32, 3, &dataset), WF_DATA,
                 "has 2 columns, expected 3");
    assert_fails(wf_h5_dataset_open(file, "/a/pairs", WF_H5_F64, 2, &dataset), WF_DATA,
                 "type is 32-bit float, expected little-endian f64");
    assert_fails(wf_h5_dataset_open(file, "/a", WF_H5_F32, 0, &dataset), WF_DATA,
                 "is not a dataset");
    assert_fails(wf_h5_dataset_open(file, "/a/b", WF_H5_F32, 0, &dataset), WF_DATA,
                 "/a/b: is missing");
    assert_ok(wf_h5_dataset_open(file, "/a/pairs", WF_H5_F32, UINT32_MAX, &dataset));
    assert_int_equal(wf_h5_dataset_width(dataset), 2);
    wf_h5_dataset_close(&dataset);
    assert_true(wf_h5_exists(file, "/a/pairs"));
    assert_false(wf_h5_exists(file, "/a/none"));
    assert_ok(wf_h5_file_close(&file));
}

static wf_status write_much(wf_h5_file **file, wf_h5_column **column)
{
    static uint32_t values[3 * WF_H5_CHUNK];
    wf_rng rng = wf_rng_make(1, 2); // what does not compress
    for (size_t i = 0; i < 3 * WF_H5_CHUNK; i++)
        values[i] = wf_rng_next_u32(&rng);
    wf_h5_column_spec spec = spec_of("/a/b", WF_H5_U32, 0);
    WF_TRY(create(file));
    WF_TRY(wf_h5_put_header(*file, "weft-test", "1.0.0"));
    WF_TRY(wf_h5_column_create(*file, &spec, column));
    WF_TRY(wf_h5_column_append(*column, values, 3 * WF_H5_CHUNK));
    WF_TRY(wf_h5_column_close(column));
    return wf_h5_file_close(file);
}

// The file may not grow beyond a bound, wherever that strikes: an error that names the file, and
// the process goes on. Without a bound the same writes succeed.
static void test_no_room(void **state)
{
    (void)state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    static const rlim_t bounds[] = {0, 1, 100, 1000, 3000, 10000, 100000, 300000, 700000};
    for (size_t i = 0; i <= sizeof bounds / sizeof bounds[0]; i++) {
        bool bounded = i < sizeof bounds / sizeof bounds[0];
        wf_h5_file *file = NULL;
        wf_h5_column *column = NULL;
        small = before;
        if (bounded) small.rlim_cur = bounds[i];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        wf_status st = write_much(&file, &column);
        wf_h5_column_abandon(&column);
        wf_h5_file_abandon(&file);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (bounded) {
            assert_fails(st, WF_IO, path);
            print_message("%7d bytes: %s\n", (int)bounds[i], wf_error());
        } else {
            assert_ok(st);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_texts),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
