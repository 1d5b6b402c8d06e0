// A model's folder is written whole or not at all, and goes on where it was interrupted.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/base/file.h"
#include "io/weights/hf_folder.h"
#include "io/weights/hf_write.h"
#include "tests/io/test_safetensors_file.h"

enum { N_UNITS = 4, UNIT_BYTES = 24 };

// Units of two tensors each: two rows of bytes, and a number.
static const int64_t wide[] = {2, 8}, one[] = {2};
static wf_st_entry entries[2 * N_UNITS];
static wf_hf_unit units[N_UNITS];
static char names[2 * N_UNITS][16];
static atomic_int leave;

typedef struct filling {
    int n;          // units that were filled
    int leave_from; // tells to leave when so many were filled
    bool short_one; // puts too few bytes
} filling;

static int make_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_UNITS; i++) {
        snprintf(names[2 * i], sizeof names[0], "t%zu", i);
        snprintf(names[2 * i + 1], sizeof names[0], "t%zu.scale", i);
        entries[2 * i] = (wf_st_entry){names[2 * i], WF_ST_I8, 2, wide};
        entries[2 * i + 1] = (wf_st_entry){names[2 * i + 1], WF_ST_F32, 1, one};
        units[i] = (wf_hf_unit){2 * i, 2};
    }
    return test_folder_setup(state);
}

static wf_status fill(void *context, size_t i_unit, wf_st_writer *to)
{
    filling *f = context;
    uint8_t bytes[UNIT_BYTES];
    memset(bytes, (int)i_unit + 1, sizeof bytes);
    f->n++;
    if (f->n == f->leave_from) atomic_store(&leave, 1);
    WF_TRY(wf_st_writer_put(to, bytes, 10));
    return wf_st_writer_put(to, bytes, f->short_one ? 13 : 14);
}

static wf_hf_write_job job_of(const char *path, filling *f)
{
    static const wf_hf_document documents[] = {{"config.json", "{\"model_type\": \"x\"}\n", NULL}};
    atomic_store(&leave, 0);
    return (wf_hf_write_job){.path = path,
                             .identity = "{\"of\": 1}\n",
                             .entries = entries,
                             .units = units,
                             .n_units = N_UNITS,
                             .file_bytes = 2 * UNIT_BYTES,
                             .documents = documents,
                             .n_documents = 1,
                             .fill = fill,
                             .context = f,
                             .stop = &leave};
}

static void check_folder(const char *path)
{
    wf_hf_folder *folder;
    uint8_t bytes[16];
    assert_int_equal(wf_hf_folder_open(path, true, &folder), WF_OK);
    assert_int_equal(wf_hf_folder_count(folder), 2 * N_UNITS);
    for (size_t i = 0; i < N_UNITS; i++) {
        size_t at;
        assert_int_equal(wf_hf_folder_find(folder, names[2 * i], &at), WF_OK);
        wf_hf_tensor t = wf_hf_folder_at(folder, at);
        assert_int_equal(t.tensor->rank, 2);
        assert_int_equal(wf_safetensors_read(t.file, t.tensor, 0, 16, bytes), WF_OK);
        for (int k = 0; k < 16; k++)
            assert_int_equal(bytes[k], i + 1);
    }
    wf_hf_folder_close(&folder);
}

static void written_and_read(void **state)
{
    (void)state;
    filling f = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/whole", test_folder);
    wf_hf_write_job job = job_of(path, &f);
    wf_hf_write_report report;
    assert_int_equal(wf_hf_write(&job, &report), WF_OK);
    assert_int_equal(report.n_files, 2);
    assert_int_equal(report.bytes, N_UNITS * UNIT_BYTES);
    check_folder(path);
    assert_false(wf_file_exists(test_path(test_folder, "whole.part")));
    assert_false(wf_file_exists(test_path(path, "identity.json")));
    assert_int_equal(wf_hf_write(&job, &report), WF_IN_USE); // nothing is replaced
    check_folder(path);
}

static void one_file(void **state)
{
    (void)state;
    filling f = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/one", test_folder);
    wf_hf_write_job job = job_of(path, &f);
    wf_hf_write_report report;
    job.file_bytes = 0;
    assert_int_equal(wf_hf_write(&job, &report), WF_OK);
    assert_int_equal(report.n_files, 1);
    assert_true(wf_file_exists(test_path(path, "model.safetensors")));
    assert_false(wf_file_exists(test_path(path, "model.safetensors.index.json")));
    check_folder(path);
}

static void interrupted_goes_on(void **state)
{
    (void)state;
    filling f = {.leave_from = 3};
    char path[96];
    snprintf(path, sizeof path, "%s/again", test_folder);
    wf_hf_write_job job = job_of(path, &f);
    wf_hf_write_report report;
    assert_int_equal(wf_hf_write(&job, &report), WF_DRAINED);
    assert_false(wf_file_exists(path));

    wf_hf_write_job other = job;
    other.identity = "{\"of\": 2}\n";
    assert_int_equal(wf_hf_write(&other, &report), WF_MISMATCH);

    f = (filling){0};
    job = job_of(path, &f);
    assert_int_equal(wf_hf_write(&job, &report), WF_OK);
    assert_int_equal(report.n_kept, 1);
    assert_int_equal(f.n, 2); // the first file's units are not made again
    check_folder(path);
}

static void discarded(void **state)
{
    (void)state;
    filling f = {.leave_from = 3};
    char path[96];
    snprintf(path, sizeof path, "%s/gone", test_folder);
    wf_hf_write_job job = job_of(path, &f);
    wf_hf_write_report report;
    assert_int_equal(wf_hf_write(&job, &report), WF_DRAINED);
    assert_int_equal(wf_hf_write_discard(path), WF_OK);
    assert_false(wf_file_exists(test_path(test_folder, "gone.part")));
    assert_int_equal(wf_hf_write_discard(path), WF_OK);
}

static void too_few_bytes(void **state)
{
    (void)state;
    filling f = {.short_one = true};
    char path[96];
    snprintf(path, sizeof path, "%s/short", test_folder);
    wf_hf_write_job job = job_of(path, &f);
    wf_hf_write_report report;
    assert_int_equal(wf_hf_write(&job, &report), WF_INTERNAL);
    assert_false(wf_file_exists(path));
    assert_int_equal(wf_hf_write_discard(path), WF_OK);
}

// A disk that takes no more.
static void no_room(void **state)
{
    (void)state;
    filling f = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/full", test_folder);
    wf_hf_write_job job = job_of(path, &f);
    wf_hf_write_report report;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    tight = (struct rlimit){.rlim_cur = 64, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    wf_status st = wf_hf_write(&job, &report);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(st, WF_IO);
    assert_false(wf_file_exists(path));
    job = job_of(path, &f);
    assert_int_equal(wf_hf_write(&job, &report), WF_OK); // with room it goes on
    check_folder(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read),    cmocka_unit_test(one_file),
        cmocka_unit_test(interrupted_goes_on), cmocka_unit_test(discarded),
        cmocka_unit_test(too_few_bytes),       cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, make_entries, test_folder_teardown);
}
