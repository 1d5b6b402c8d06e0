// Shards: round trip, options, rows that fail alone, malformed files, and other programs' reading.
#include "tests/base/base_test.h"

#include <inttypes.h>
#include <sys/wait.h>

#include "io/base/file.h"
#include "io/shard/shard.h"
#include "io/shard/shard_writer.h"
#include "tests/io/shard_fixture.h"

#define PYTHON "/usr/bin/python3"

static char folder[256];

static char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    fixture_folder_make(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    return 0;
}

// Reads all rows, `step` at a time at most, and asserts each.
static void assert_rows(wf_shard *s, uint64_t n, uint32_t step, size_t bytes)
{
    wf_arena *arena = NULL;
    wf_request *rows = calloc(step, sizeof *rows);
    assert_non_null(rows);
    assert_int_equal(wf_arena_create(0, &arena), WF_OK);
    wf_arena_mark mark = wf_arena_get_mark(arena);
    wf_shard_limits limits = {.n_vocab = FIXTURE_VOCAB, .max_context = 1024, .bytes = bytes};
    for (uint64_t at = 0; at < n;) {
        uint32_t n_read = 0;
        assert_int_equal(wf_shard_read(s, at, step, &limits, arena, rows, &n_read), WF_OK);
        assert_in_range(n_read, 1, step);
        for (uint32_t i = 0; i < n_read; i++)
            fixture_row_assert(&rows[i], at + i);
        at += n_read;
        wf_arena_reset(arena, mark);
    }
    wf_arena_destroy(&arena);
    free(rows);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 100, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        char *path = in_folder("round.h5");
        fixture_shard_write(path, sizes[k]);
        wf_shard *s = NULL;
        assert_int_equal(wf_shard_open(path, &s), WF_OK);
        const wf_shard_info *info = wf_shard_info_of(s);
        assert_int_equal(info->n_rows, sizes[k]);
        assert_int_equal(info->most_wishes, sizes[k] > 1 ? 2 * 2 + 1 + 2 : 0);
        assert_int_equal(info->vocab_size, FIXTURE_VOCAB);
        assert_int_equal(info->first_arrival_ns, 0);
        assert_int_equal(info->last_arrival_ns, (int64_t)(sizes[k] - 1) * 1000000);
        assert_int_equal(info->n_bad_arrivals + info->n_repeated_ids, 0);
        assert_int_equal(info->has_stop_strings, sizes[k] > 3);
        assert_int_equal(info->has_pieces, sizes[k] > 3);
        assert_int_equal(info->piece_bytes, sizes[k] > 3 ? 256 : 0);
        assert_rows(s, sizes[k], 64, 0);
        assert_rows(s, sizes[k], 17, 8192);
        assert_int_equal(wf_shard_verify(s), WF_OK);
        wf_shard_close(&s);
    }
}

// More values than a chunk, so that columns are made before they are closed.
static void test_many_chunks(void **state)
{
    (void)state;
    char *path = in_folder("chunks.h5");
    fixture_shard_write(path, 3000); // about 900,000 prompt tokens
    wf_shard *s = NULL;
    assert_int_equal(wf_shard_open(path, &s), WF_OK);
    assert_true(wf_shard_info_of(s)->n_prompt_tokens > 10 * 65536);
    assert_rows(s, 3000, 1000, 0);
    wf_shard_close(&s);
}

static void test_no_rows(void **state)
{
    (void)state;
    char *path = in_folder("empty.h5");
    fixture_shard_write(path, 0);
    wf_shard *s = NULL;
    assert_int_equal(wf_shard_open(path, &s), WF_OK);
    assert_int_equal(wf_shard_info_of(s)->n_rows, 0);
    assert_int_equal(wf_shard_verify(s), WF_OK);
    wf_shard_close(&s);
}

static void test_uid_follows_content(void **state)
{
    (void)state;
    char first[WF_HASH128_HEX], again[WF_HASH128_HEX], other[WF_HASH128_HEX];
    char *const uid[] = {first, again, other};
    for (int k = 0; k < 3; k++) {
        wf_shard_writer *w = NULL;
        wf_shard_options o = {.vocab_size = FIXTURE_VOCAB, .seed = k, .replace = true};
        assert_int_equal(wf_shard_writer_create(in_folder("uid.h5"), &o, &w), WF_OK);
        fixture_row_buffers b;
        wf_request r = fixture_row(6, &b);
        if (k == 2) b.prompt[3]++;
        assert_int_equal(wf_shard_writer_append(w, &r), WF_OK);
        assert_int_equal(wf_shard_writer_close(&w, uid[k]), WF_OK);
    }
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static void test_arrivals_for_planning(void **state)
{
    (void)state;
    char *path = in_folder("plan.h5");
    fixture_shard_write(path, 200);
    wf_shard *s = NULL;
    int64_t arrival[60];
    uint32_t n_prompt[60];
    assert_int_equal(wf_shard_open(path, &s), WF_OK);
    assert_int_equal(wf_shard_read_arrivals(s, 100, 60, arrival, n_prompt), WF_OK);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(arrival[i], (100 + i) * 1000000);
        assert_int_equal(n_prompt[i], 1 + 7 * (100 + i) % FIXTURE_PROMPT);
    }
    assert_int_equal(wf_shard_read_arrivals(s, 150, 60, arrival, NULL), WF_SHARD);
    wf_shard_close(&s);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    wf_shard_writer *w = NULL;
    char *path = in_folder("refuse.h5");
    wf_shard_options o = {.vocab_size = 0};
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_USAGE);
    o.vocab_size = 256;
    assert_int_equal(wf_shard_writer_create("/dev/null/folder/x.h5", &o, &w), WF_IO);
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    fixture_row_buffers b;
    wf_request r = fixture_row(5, &b);
    assert_int_equal(wf_shard_writer_append(w, &r), WF_OK);
    r.arrival_ns--;
    assert_int_equal(wf_shard_writer_append(w, &r), WF_DATA);
    assert_contains(wf_error(), "/requests/arrival_ns:1: arrival 4999999 ns comes before 5000000");
    assert_false(wf_file_exists(path)); // nothing under the name before it is whole
    assert_int_equal(wf_shard_writer_close(&w, NULL), WF_OK);
    assert_true(wf_file_exists(path));
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_IN_USE);
    o.replace = true;
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    wf_shard_writer_abandon(&w);
    wf_paths left = {0};
    assert_int_equal(wf_file_list(folder, &left), WF_OK);
    for (size_t i = 0; i < left.n; i++)
        assert_null(strstr(left.item[i], ".part"));
    wf_paths_destroy(&left);
}

// Rows a writer may well produce and only a model can judge.
static void test_row_limits(void **state)
{
    (void)state;
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = 1000, .replace = true};
    char *path = in_folder("limits.h5");
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    for (uint64_t i = 0; i < 8; i++) {
        fixture_row_buffers b;
        wf_request r = fixture_row(i + 10, &b);
        r.sampling_set = 0;
        if (i == 1) r.n_prompt = 0;
        if (i == 2) b.prompt[5] = 300;
        if (i == 3) b.prompt[5] = -1;
        if (i == 4) r.max_new_tokens = 0;
        if (i == 5) r.sampling_set = 1u << WF_SAMPLING_top_p, r.sampling.top_p = 1.5f;
        if (i == 6) r.id = 1010;
        assert_int_equal(wf_shard_writer_append(w, &r), WF_OK);
    }
    assert_int_equal(wf_shard_writer_close(&w, NULL), WF_OK);
    static const struct {
        wf_status status;
        const char *error;
    } want[8] = {{WF_OK, NULL},
                 {WF_REQ_EMPTY, ":/requests:1: prompt has no tokens"},
                 {WF_REQ_TOKEN, ":2: prompt token 5 is 300, outside the vocabulary of 256"},
                 {WF_REQ_TOKEN, ":3: prompt token 5 is -1"},
                 {WF_REQ_LENGTH, ":4: max_new_tokens is 0"},
                 {WF_REQ_SAMPLING, ":5: top_p is 1.5"},
                 {WF_REQ_DUPLICATE, "/requests/id:6: id 1010 repeats"},
                 {WF_REQ_CONTEXT, ":7: prompt of 120 tokens does not fit the context of 120"}};
    wf_shard *s = NULL;
    wf_arena *arena = NULL;
    wf_request rows[8];
    uint32_t n_read = 0;
    wf_shard_limits limits = {.n_vocab = 256, .max_context = 120};
    assert_int_equal(wf_shard_open(path, &s), WF_OK);
    assert_int_equal(wf_shard_info_of(s)->n_repeated_ids, 1);
    assert_int_equal(wf_arena_create(0, &arena), WF_OK);
    assert_int_equal(wf_shard_read(s, 0, 8, &limits, arena, rows, &n_read), WF_OK);
    assert_int_equal(n_read, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(rows[i].status, want[i].status);
        if (want[i].error != NULL) assert_contains(rows[i].error, want[i].error);
    }
    wf_arena_destroy(&arena);
    wf_shard_close(&s);
}

// A row beyond the bound fails alone; the next read serves its neighbours.
static void test_row_beyond_buffer(void **state)
{
    (void)state;
    char *path = in_folder("buffer.h5");
    fixture_shard_write(path, 90);
    wf_shard *s = NULL;
    wf_arena *arena = NULL;
    wf_request rows[8];
    uint32_t n_read = 0;
    wf_shard_limits limits = {.bytes = 2048}; // row 84 has 589 tokens, row 86 has 3
    assert_int_equal(wf_shard_open(path, &s), WF_OK);
    assert_int_equal(wf_arena_create(0, &arena), WF_OK);
    assert_int_equal(wf_shard_read(s, 84, 8, &limits, arena, rows, &n_read), WF_OK);
    assert_int_equal(n_read, 1);
    assert_int_equal(rows[0].status, WF_REQ_CONTEXT);
    assert_int_equal(rows[0].id, 1084);
    assert_contains(rows[0].error, "exceeds the read buffer");
    assert_int_equal(wf_shard_read(s, 86, 1, &limits, arena, rows, &n_read), WF_OK);
    fixture_row_assert(&rows[0], 86);
    wf_arena_destroy(&arena);
    wf_shard_close(&s);
}

static void test_missing_file(void **state)
{
    (void)state;
    wf_shard *s = NULL;
    assert_int_equal(wf_shard_open(in_folder("none.h5"), &s), WF_NO_INPUT);
    assert_contains(wf_error(), "No such file");
    assert_int_equal(wf_shard_open(folder, &s), WF_NO_INPUT);
    assert_int_equal(wf_shard_open("/dev/null", &s), WF_NO_INPUT);
}

// --- with Python's help ---

static int run(const char *command)
{
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool have_python(void)
{
    return run(PYTHON " -c 'import h5py, pandas' 2>/dev/null") == 0;
}

static void test_read_by_pandas(void **state)
{
    (void)state;
    if (!have_python()) {
        print_message("skipped: " PYTHON " has no h5py and pandas\n");
        skip();
    }
    char *path = in_folder("pandas.h5"), command[1024];
    fixture_shard_write(path, 500);
    snprintf(command, sizeof command, PYTHON " %s/tests/io/read_shard.py %s", WEFT_SOURCE_DIR,
             path);
    assert_int_equal(run(command), 0);
}

// Each malformed shard is made from a good one by tests/io/malformed_shards.py, which also prints
// what must be seen: file, row (-1: the shard is refused), status, part of the message.
static void assert_malformed(const char *name, long row, const char *status, const char *message)
{
    wf_shard *s = NULL;
    wf_status st = wf_shard_open(in_folder(name), &s);
    print_message("%-28s %s\n", name, st == WF_OK ? "opens" : wf_error());
    if (row < 0) {
        assert_string_equal(wf_status_name(st), status);
        assert_contains(wf_error(), message);
        assert_contains(wf_error(), name);
        wf_shard_close(&s);
        return;
    }
    assert_int_equal(st, WF_OK);
    wf_arena *arena = NULL;
    wf_request rows[64];
    uint32_t n_read = 0;
    assert_int_equal(wf_arena_create(0, &arena), WF_OK);
    wf_shard_limits limits = {.n_vocab = FIXTURE_VOCAB, .max_context = 4096};
    assert_int_equal(wf_shard_read(s, 0, 64, &limits, arena, rows, &n_read), WF_OK);
    assert_int_equal(n_read, 40);
    int n_failed = 0;
    for (int i = 0; i < 40; i++)
        if (rows[i].status != WF_OK) n_failed++;
    assert_string_equal(wf_status_name(rows[row].status), status);
    print_message("%28s %s\n", "", rows[row].error);
    assert_contains(rows[row].error, message);
    assert_in_range(n_failed, 1, 3); // a wrong offset spoils its neighbours too
    wf_arena_destroy(&arena);
    wf_shard_close(&s);
}

static void test_malformed(void **state)
{
    (void)state;
    if (!have_python()) {
        print_message("skipped: " PYTHON " has no h5py\n");
        skip();
    }
    char good[512], command[1400], line[512];
    snprintf(good, sizeof good, "%s", in_folder("good.h5"));
    fixture_shard_write(good, 40);
    snprintf(command, sizeof command, PYTHON " %s/tests/io/malformed_shards.py %s %s",
             WEFT_SOURCE_DIR, good, folder);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    int n = 0;
    while (fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line;
        char *name = strsep(&rest, "\t"), *row = strsep(&rest, "\t"), *st = strsep(&rest, "\t");
        assert_non_null(rest);
        assert_malformed(name, atol(row), st, rest);
        n++;
    }
    assert_int_equal(pclose(list), 0);
    assert_true(n >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_many_chunks),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_uid_follows_content),
        cmocka_unit_test(test_arrivals_for_planning),
        cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_row_limits),
        cmocka_unit_test(test_row_beyond_buffer),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_read_by_pandas),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
