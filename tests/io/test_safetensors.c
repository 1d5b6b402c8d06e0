#include "tests/io/test_safetensors_file.h"

#include "io/weights/safetensors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[8,16]}"

static void good_file_lists_and_reads(void **state)
{
    (void)state;
    const char *path = test_path(test_folder, "good.safetensors");
    const float data[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    const char *header =
        "{" B ",\"__metadata__\":{\"format\":\"pt\"}," A
        ",\"scalar\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[16,17]}"
        ",\"empty\":{\"dtype\":\"I64\",\"shape\":[0,3],\"data_offsets\":[8,8]}}   ";
    uint8_t bytes[17];
    memcpy(bytes, data, 16);
    bytes[16] = 77;
    test_write_st(path, strlen(header), header, strlen(header), bytes, sizeof bytes);

    wf_safetensors *file;
    assert_ok(wf_safetensors_open(path, &file));
    assert_int_equal(wf_safetensors_count(file), 4);
    const char *order[] = {"a", "empty", "b", "scalar"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(wf_safetensors_at(file, i)->name, order[i]);
        assert_ptr_equal(wf_safetensors_find(file, order[i]), wf_safetensors_at(file, i));
    }
    assert_null(wf_safetensors_find(file, "c"));
    const wf_st_tensor *b = wf_safetensors_find(file, "b");
    char shape[64];
    assert_int_equal(b->dtype, WF_ST_BF16);
    assert_string_equal(wf_st_shape_words(b, shape, sizeof shape), "[2, 2]");
    assert_int_equal(b->begin, 8 + strlen(header) + 8);
    assert_int_equal(b->bytes, 8);
    float read[2];
    assert_ok(wf_safetensors_read(file, wf_safetensors_find(file, "a"), 4, 4, read));
    assert_true(read[0] == 2.0f);
    uint8_t last = 0;
    assert_ok(wf_safetensors_read(file, wf_safetensors_find(file, "scalar"), 0, 1, &last));
    assert_int_equal(last, 77);
    assert_string_equal(wf_st_shape_words(wf_safetensors_find(file, "scalar"), shape, sizeof shape),
                        "[]");
    assert_int_equal(wf_safetensors_read(file, b, 4, 5, read), WF_INTERNAL);
    wf_safetensors_close(&file);
    assert_null(file);
    wf_safetensors_close(&file);
}

static void file_cut_while_open(void **state)
{
    (void)state;
    const char *path = test_path(test_folder, "cut.safetensors");
    test_write_st(path, strlen("{" A "}"), "{" A "}", strlen("{" A "}"), NULL, 8);
    wf_safetensors *file;
    assert_ok(wf_safetensors_open(path, &file));
    assert_int_equal(truncate(path, (off_t)wf_safetensors_data_begin(file) + 4), 0);
    float read[2];
    assert_int_equal(wf_safetensors_read(file, wf_safetensors_at(file, 0), 0, 8, read), WF_DATA);
    assert_contains(wf_error(), "do not replace a model while it is read");
    wf_safetensors_close(&file);
}

// One row for each rule; `length` 0 is the header's own.
static void broken_rules(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t length;
        size_t data_bytes;
        const char *says;
    } rows[] = {
        {"{}", 100000001, 0, "header: length 100000001 is over the format's limit"},
        {"{}", UINT64_MAX, 0, "is over the format's limit"},
        {"{}", 99, 0, "header: length 99 passes the end of the file (10 bytes)"},
        {"", 0, 0, "header: does not start with '{'"},
        {" {}", 0, 0, "header: does not start with '{'"},
        {"[1]", 0, 0, "header: does not start with '{'"},
        {"{", 0, 0, ":1:1:"},
        {"{} {}", 0, 0, "end of file expected"},
        {"{\"a\xff\":{}}", 0, 0, "unable to decode byte 0xff"},
        {"{" A "," A "}", 0, 8, "duplicate object key"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8,
         "duplicate object key"},
        {"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}", 0, 0, "nested deeper than 4 levels"},
        {"{\"__metadata__\":[]}", 0, 0, "__metadata__: expected an object"},
        {"{\"__metadata__\":{\"x\":1}}", 0, 0, "__metadata__.x: expected a string"},
        {"{\"a\":3}", 0, 0, "a: expected an object, got an integer"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8, "a.dtype: missing"},
        {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8,
         "a.dtype: expected a string"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8,
         "a.dtype: 'F4' is not a dtype known here"},
        {"{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8,
         "a.dtype: 'f32' is not a dtype known here"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 0, 8, "a.shape: missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 0, 8,
         "a.shape: expected an array"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 0, 8,
         "a.shape[0]: -2 is outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 0, 8,
         "a.shape[0]: expected an integer"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2,9223372036854775807],\"data_offsets\":[0,8]}}", 0,
         8, "a.shape: the product of its dimensions overflows 64 bits"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2,18446744073709551616],\"data_offsets\":[0,8]}}", 0,
         8, "too big integer"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"
         "\"data_offsets\":[0,8]}}",
         0, 8, "a.shape: 17 dimensions, the limit is 16"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 0, 8, "a.data_offsets: missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}", 0, 8,
         "a.data_offsets: 1 numbers, expected BEGIN and END"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 0, 8,
         "a.data_offsets: END 0 lies before BEGIN 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 0, 8,
         "a.data_offsets[0]: -8 is outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 0, 8,
         "a.data_offsets: 8 bytes, but shape [3] of F32 takes 12"},
        {"{" A "," B "}", 0, 12, "b.data_offsets: END 16 passes the 12 bytes of data"},
        {"{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[12,16]}}", 0, 16,
         "b: data_offsets leave a hole of 4 bytes after a"},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 0, 8,
         "b: data_offsets leave a hole of 4 bytes after the header"},
        {"{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[12],\"data_offsets\":[4,16]}}", 0, 16,
         "b: data_offsets leave an overlap of 4 bytes with a"},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8,
         "b: data_offsets leave an overlap of 8 bytes with a"},
        {"{" A "}", 0, 9, "bytes that belong to no tensor are not allowed"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const char *path = test_path(test_folder, "broken.safetensors");
        size_t n = strlen(rows[i].header);
        wf_safetensors *file = NULL;
        test_write_st(path, rows[i].length ? rows[i].length : n, rows[i].header, n, NULL,
                      rows[i].data_bytes);
        wf_status st = wf_safetensors_open(path, &file);
        if (st != WF_DATA) print_error("row %zu: %s\n", i, rows[i].header);
        assert_int_equal(st, WF_DATA);
        assert_null(file);
        assert_contains(wf_error(), rows[i].says);
        assert_contains(wf_error(), "broken.safetensors");
    }
}

static void files_that_are_none(void **state)
{
    (void)state;
    wf_safetensors *file = NULL;
    assert_int_equal(wf_safetensors_open(test_path(test_folder, "absent"), &file), WF_NO_INPUT);
    assert_contains(wf_error(), "No such file");
    assert_int_equal(wf_safetensors_open(test_folder, &file), WF_NO_INPUT);
    const char *path = test_path(test_folder, "short");
    test_write_text(path, "1234567");
    assert_int_equal(wf_safetensors_open(path, &file), WF_DATA);
    assert_contains(wf_error(), "header: the file has 7 bytes");
    test_write_text(path, "");
    assert_int_equal(wf_safetensors_open(path, &file), WF_DATA);
    assert_null(file);
}

// Headers made to be expensive: they must fail fast, and before much memory is taken.
static void hostile_headers_are_bounded(void **state)
{
    (void)state;
    const size_t n = 24 << 20;
    char *header = malloc(n);
    const char *path = test_path(test_folder, "hostile.safetensors");
    wf_safetensors *file = NULL;
    struct rusage before, after;

    memset(header, '[', n); // deep nesting
    header[0] = '{';
    test_write_st(path, n, header, n, NULL, 0);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(wf_safetensors_open(path, &file), WF_DATA);

    memcpy(header, "{\"a\":[", 6); // millions of tiny values
    for (size_t i = 6; i + 3 <= n; i += 3)
        memcpy(header + i, "{},", 3);
    test_write_st(path, n, header, n, NULL, 0);
    assert_int_equal(wf_safetensors_open(path, &file), WF_DATA);
    assert_contains(wf_error(), "JSON values, the limit is 2000000");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 200 * 1024); // KiB
    free(header);
}

// Every byte of a good file's header changed once: it opens or fails, but never crashes, and what
// opens is still covered by tensors from end to end.
static void changed_bytes(void **state)
{
    (void)state;
    const char *path = test_path(test_folder, "mutant.safetensors");
    const char *good = "{" A "," B "}";
    char header[256];
    size_t n = strlen(good), n_open = 0;
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            wf_safetensors *file = NULL;
            memcpy(header, good, n);
            header[i] = (char)(header[i] ^ 1 << bit);
            test_write_st(path, n, header, n, NULL, 16);
            wf_status st = wf_safetensors_open(path, &file);
            if (st == WF_OK) {
                uint64_t bytes = 0;
                for (size_t t = 0; t < wf_safetensors_count(file); t++)
                    bytes += wf_safetensors_at(file, t)->bytes;
                assert_int_equal(bytes, 16);
                n_open++;
            } else {
                assert_int_equal(st, WF_DATA);
            }
            wf_safetensors_close(&file);
        }
    }
    assert_in_range(n_open, 1, 64); // other letters in a name, other dtypes of the same size
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file_lists_and_reads),
        cmocka_unit_test(file_cut_while_open),
        cmocka_unit_test(broken_rules),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(hostile_headers_are_bounded),
        cmocka_unit_test(changed_bytes),
    };
    return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
