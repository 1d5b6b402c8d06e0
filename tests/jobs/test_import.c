// The import of arrival logs: real slices against an independent reading, options, and bad lines.
#include "tests/jobs/jobs_test.h"

#include <sys/wait.h>

#include "io/base/file.h"
#include "io/shard/shard.h"
#include "jobs/streams/import.h"

#define PYTHON   "/usr/bin/python3"
#define AZURE    WEFT_SOURCE_DIR "/tests/jobs/azure-50.csv"
#define MOONCAKE WEFT_SOURCE_DIR "/tests/jobs/mooncake-slice.jsonl"

static const char *in_folder(void **state, const char *name)
{
    static char path[4][256];
    static int i;
    char *to = path[i++ % 4];
    snprintf(to, 256, "%s/%s", (const char *)*state, name);
    return to;
}

static void check_by_python(const char *kind, const char *log, const char *shard)
{
    char command[1024];
    if (system(PYTHON " -c 'import h5py' 2>/dev/null") != 0) {
        print_message("skipped: " PYTHON " has no h5py\n");
        skip();
    }
    snprintf(command, sizeof command, PYTHON " %s/tests/jobs/check_import.py %s %s %s",
             WEFT_SOURCE_DIR, kind, log, shard);
    assert_int_equal(system(command), 0);
}

static wf_shard *open_shard(const char *path)
{
    wf_shard *s = NULL;
    assert_ok(wf_shard_open(path, &s));
    assert_int_equal(wf_shard_info_of(s)->n_bad_arrivals, 0);
    assert_int_equal(wf_shard_info_of(s)->n_repeated_ids, 0);
    return s;
}

// Reads up to 64 rows; asserts that they are all sound.
static uint32_t read_rows(wf_shard *s, wf_arena *arena, wf_request rows[64])
{
    uint32_t n = 0;
    wf_shard_limits limits = {.n_vocab = wf_shard_info_of(s)->vocab_size};
    assert_ok(wf_shard_read(s, 0, 64, &limits, arena, rows, &n));
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].status != WF_OK) fail_msg("%s", rows[i].error);
    return n;
}

static void test_azure(void **state)
{
    const char *out = in_folder(state, "azure.h5");
    wf_import_options o = {.format = "azure", .input = AZURE, .output = out, .seed = 5};
    wf_import_report r;
    assert_ok(wf_import_run(&o, &r));
    assert_int_equal(r.n_rows, 50);
    assert_int_equal(r.n_shards, 1);
    assert_int_equal(r.count[WF_IMPORT_out_of_order].n + r.count[WF_IMPORT_raised].n, 0);
    wf_shard *s = open_shard(out);
    assert_int_equal(wf_shard_info_of(s)->vocab_size, 256);
    assert_int_equal(wf_shard_info_of(s)->n_prompt_tokens, r.n_prompt_tokens);
    assert_int_equal(wf_shard_info_of(s)->last_arrival_ns, r.span_ns);
    wf_shard_close(&s);
    check_by_python("azure", AZURE, out);
}

static void test_mooncake(void **state)
{
    const char *out = in_folder(state, "mooncake.h5");
    wf_import_options o = {
        .format = "mooncake", .input = MOONCAKE, .output = out, .seed = 5, .vocab = 32000};
    wf_import_report r;
    assert_ok(wf_import_run(&o, &r));
    check_by_python("mooncake", MOONCAKE, out);
}

// The content hash of an imported log is part of a result's key: it must not change by accident.
static void test_content_is_stable(void **state)
{
    static const struct {
        const char *format, *input, *uid;
    } goldens[] = {{"azure", AZURE, "cb1c981324d33c9c6578299f51ffefce"},
                   {"mooncake", MOONCAKE, "31d62490ca2d60b9898a635e76c07a06"}};
    for (size_t i = 0; i < N_ROWS(goldens); i++) {
        const char *out = in_folder(state, "golden.h5");
        wf_import_options o = {.format = goldens[i].format,
                               .input = goldens[i].input,
                               .output = out,
                               .seed = 1,
                               .replace = true};
        wf_import_report r;
        assert_ok(wf_import_run(&o, &r));
        wf_shard *s = open_shard(out);
        assert_string_equal(wf_shard_info_of(s)->uid, goldens[i].uid);
        wf_shard_close(&s);
    }
}

// A slice holds the same requests as the whole log, but for the origin of time.
static void test_slices_and_shards(void **state)
{
    const char *out = in_folder(state, "slice.h5");
    wf_import_options o = {.format = "azure",
                           .input = AZURE,
                           .output = out,
                           .first_row = 10,
                           .n_rows = 25,
                           .rows_per_shard = 10};
    wf_import_report r;
    wf_arena *arena = NULL;
    wf_request whole[64], part[64];
    assert_ok(wf_arena_create(0, &arena));
    assert_ok(wf_import_run(&o, &r));
    assert_int_equal(r.n_rows, 25);
    assert_int_equal(r.n_shards, 3);
    assert_int_equal(r.n_lines_skipped, 25);
    o = (wf_import_options){
        .format = "azure", .input = AZURE, .output = in_folder(state, "whole.h5")};
    assert_ok(wf_import_run(&o, &r));
    wf_shard *s = open_shard(in_folder(state, "whole.h5"));
    assert_int_equal(read_rows(s, arena, whole), 50);
    wf_shard_close(&s);
    static const uint32_t sizes[] = {10, 10, 5};
    uint32_t at = 10;
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "slice-%05d.h5", i);
        s = open_shard(in_folder(state, name));
        uint32_t n = read_rows(s, arena, part);
        assert_int_equal(n, sizes[i]);
        for (uint32_t k = 0; k < n; k++, at++) {
            assert_int_equal(part[k].id, at);
            assert_int_equal(part[k].arrival_ns, whole[at].arrival_ns - whole[10].arrival_ns);
            assert_int_equal(part[k].n_prompt, whole[at].n_prompt);
            assert_memory_equal(part[k].prompt, whole[at].prompt, 4 * part[k].n_prompt);
        }
        wf_shard_close(&s);
    }
    wf_arena_destroy(&arena);
}

// A window of the log's time holds the same requests, from 0.
static void test_window(void **state)
{
    int64_t whole[50], part[50];
    wf_import_report r;
    wf_import_options o = {
        .format = "azure", .input = AZURE, .output = in_folder(state, "w.h5"), .replace = true};
    assert_ok(wf_import_run(&o, &r));
    wf_shard *s = open_shard(o.output);
    assert_ok(wf_shard_read_arrivals(s, 0, 50, whole, NULL));
    wf_shard_close(&s);
    o.from_ns = whole[10];
    o.until_ns = whole[30];
    assert_ok(wf_import_run(&o, &r));
    assert_int_equal(r.n_rows, 20);
    assert_int_equal(r.n_lines_skipped, 30);
    s = open_shard(o.output);
    assert_ok(wf_shard_read_arrivals(s, 0, 20, part, NULL));
    wf_shard_close(&s);
    for (int i = 0; i < 20; i++)
        assert_int_equal(part[i], whole[10 + i] - whole[10]);
    o.from_ns = o.until_ns = INT64_MAX;
    assert_int_equal(wf_import_run(&o, &r), WF_DATA);
    assert_contains(wf_error(), "has no rows between --from and --until");
}

static void write_log(const char *path, const char *text)
{
    assert_ok(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE));
}

static void test_csv_sorted_and_bounded(void **state)
{
    const char *log = in_folder(state, "log.csv"), *out = in_folder(state, "csv.h5");
    write_log(log, "\xef\xbb\xbfuser,output_tokens,arrival_s,input_tokens\n"
                   "a,5,2.5,10\n"
                   "b,0,1.000000001,20\n"
                   "\n"
                   "c,900,1.000000001,0\n"
                   "d,7,3,5000\n");
    wf_import_options o = {.format = "csv",
                           .input = log,
                           .output = out,
                           .vocab = 100,
                           .max_prompt = 1000,
                           .max_new = 800};
    wf_import_report r;
    assert_ok(wf_import_run(&o, &r));
    assert_int_equal(r.count[WF_IMPORT_out_of_order].n, 1);
    assert_int_equal(r.count[WF_IMPORT_same_time].n, 1);
    assert_int_equal(r.count[WF_IMPORT_prompt_cut].n, 1);
    assert_int_equal(r.count[WF_IMPORT_new_cut].n, 1);
    assert_int_equal(r.count[WF_IMPORT_raised].n, 2);
    static const struct {
        uint64_t id;
        int64_t arrival_ns;
        uint32_t n_prompt, n_new;
    } want[] = {{1, 0, 20, 1}, {2, 0, 1, 800}, {0, 1499999999, 10, 5}, {3, 1999999999, 1000, 7}};
    wf_arena *arena = NULL;
    wf_request rows[64];
    assert_ok(wf_arena_create(0, &arena));
    wf_shard *s = open_shard(out);
    assert_int_equal(read_rows(s, arena, rows), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rows[i].id, want[i].id);
        assert_int_equal(rows[i].arrival_ns, want[i].arrival_ns);
        assert_int_equal(rows[i].n_prompt, want[i].n_prompt);
        assert_int_equal(rows[i].max_new_tokens, want[i].n_new);
        assert_true(rows[i].sampling.ignore_eos);
    }
    wf_shard_close(&s);
    wf_arena_destroy(&arena);
}

// A log on a coarse grid: jitter spreads it, by the same amounts each time, in order.
static void test_jitter(void **state)
{
    const char *log = in_folder(state, "grid.csv"), *out = in_folder(state, "grid.h5");
    char text[4096] = "arrival_s,input_tokens,output_tokens\n";
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), 64, "%d,3,1\n", i / 20 * 3);
    write_log(log, text);
    wf_import_options o = {.format = "csv",
                           .input = log,
                           .output = out,
                           .seed = 9,
                           .jitter_ns = INT64_C(3000000000),
                           .replace = true};
    wf_import_report r;
    int64_t first[60], again[60];
    for (int k = 0; k < 2; k++) {
        assert_ok(wf_import_run(&o, &r));
        assert_int_equal(r.count[WF_IMPORT_same_time].n, 57);
        assert_int_equal(r.count[WF_IMPORT_out_of_order].n, 0);
        wf_shard *s = open_shard(out);
        assert_ok(wf_shard_read_arrivals(s, 0, 60, k == 0 ? first : again, NULL));
        wf_shard_close(&s);
    }
    assert_memory_equal(first, again, sizeof first);
    for (int i = 1; i < 60; i++) {
        assert_true(first[i] > first[i - 1]); // a tie of drawn nanoseconds would be a wonder
        assert_int_equal(first[i] / INT64_C(3000000000), i / 20);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *format, *text, *message;
    } cases[] = {
        {"nginx", "x\n", "'nginx' is no known log format; known are azure, mooncake, "},
        {"azure", "", "log: is empty"},
        {"azure", "TIMESTAMP,ContextTokens\n", "log:1: the header lacks column 'GeneratedTokens'"},
        {"azure", "TIMESTAMP,ContextTokens,GeneratedTokens\r\n", "log: has no rows to import"},
        {"azure", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.1,3\n",
         "log:2: has 2 fields, the header has 3"},
        {"azure", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-13-16 18:15:46.1,3,4\n",
         "log:2: TIMESTAMP is '2023-13-16 18:15:46.1'"},
        {"azure", "TIMESTAMP,ContextTokens,GeneratedTokens\n1700158546,3,4\n",
         "log:2: TIMESTAMP is '1700158546', expected YYYY-MM-DD"},
        {"azure", "TIMESTAMP,ContextTokens,GeneratedTokens\n\n\n2023-11-16 18:15:46,3,-4\n",
         "log:4: GeneratedTokens is '-4', expected a number of tokens"},
        {"csv", "arrival_s,input_tokens,output_tokens\n8x,1,1\n",
         "log:2: arrival_s is '8x', expected a time in s like 12.5"},
        {"csv", "arrival_s,input_tokens,output_tokens\nNaN,1,1\n", "log:2: arrival_s is 'NaN'"},
        {"csv", "arrival_s,input_tokens,output_tokens\n-1,1,1\n", "log:2: arrival_s is '-1'"},
        {"csv", "arrival_s,input_tokens,output_tokens\n99999999999,1,1\n",
         "log:2: arrival_s is '99999999999'"},
        {"csv", "arrival_s,input_tokens,output_tokens\n1,99999999999,1\n",
         "log:2: input_tokens is '99999999999'"},
        {"csv", "arrival_s,input_tokens,output_tokens\n\"1,1,1\n",
         "log:2: a quoted field does not end on this line"},
        {"mooncake", "{\"timestamp\": 1, \"input_length\": 3}\n", "output_length"},
        {"mooncake", "{\"timestamp\": 1,\n", "log:1"},
        {"mooncake", "{\"timestamp\": -1, \"input_length\": 3, \"output_length\": 3}\n",
         "timestamp"},
    };
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        const char *log = in_folder(state, "log"), *out = in_folder(state, "refused.h5");
        write_log(log, cases[i].text);
        wf_import_options o = {.format = cases[i].format, .input = log, .output = out};
        wf_import_report r;
        assert_int_not_equal(wf_import_run(&o, &r), WF_OK);
        assert_contains(wf_error(), cases[i].message);
        assert_false(wf_file_exists(out));
    }
    wf_import_options o = {.format = "azure", .input = "/none.csv", .output = "/none.h5"};
    wf_import_report r;
    assert_int_equal(wf_import_run(&o, &r), WF_NO_INPUT);
    o.input = AZURE;
    o.output = in_folder(state, "azure.h5"); // made by an earlier test
    assert_int_equal(wf_import_run(&o, &r), WF_IN_USE);
}

// Times of day across midnight, months and leap years, zones and fractions.
static void test_azure_times(void **state)
{
    const char *log = in_folder(state, "times.csv"), *out = in_folder(state, "times.h5");
    write_log(log, "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                   "2024-02-28 23:59:59.9999999,1,1\n"
                   "2024-02-29 00:00:00,1,1\n"
                   "2024-02-29T01:00:00.5+01:00,1,1\n"
                   "2024-03-01 00:00:00.123456789Z,1,1\n");
    wf_import_options o = {.format = "azure", .input = log, .output = out};
    wf_import_report r;
    int64_t arrival[4];
    assert_ok(wf_import_run(&o, &r));
    assert_int_equal(r.count[WF_IMPORT_out_of_order].n, 0);
    wf_shard *s = open_shard(out);
    assert_ok(wf_shard_read_arrivals(s, 0, 4, arrival, NULL));
    assert_int_equal(arrival[0], 0);
    assert_int_equal(arrival[1], 100);
    assert_int_equal(arrival[2], 500000100);
    assert_int_equal(arrival[3], INT64_C(86400123456889));
    wf_shard_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_azure),
        cmocka_unit_test(test_mooncake),
        cmocka_unit_test(test_content_is_stable),
        cmocka_unit_test(test_slices_and_shards),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_csv_sorted_and_bounded),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_azure_times),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
