// The reader process: rows come back whole and in order; a reader that dies, hangs or meets a
// damaged file costs that read and no more.
#include "tests/base/base_test.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/guard.h"
#include "io/base/rng.h"
#include "io/shard/reader.h"
#include "io/shard/shard_writer.h"
#include "tests/io/shard_fixture.h"

static char folder[256];

static void in_folder(const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", folder, name);
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

static wf_reader *start(uint32_t n_slots, size_t slot_bytes, int64_t limit_ns)
{
    wf_reader *r = NULL;
    wf_reader_config config = {.n_slots = n_slots, .slot_bytes = slot_bytes, .limit_ns = limit_ns};
    assert_int_equal(wf_reader_start(&config, &r), WF_OK);
    return r;
}

// The only child of process `pid`, waiting until it has one.
static pid_t child_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    for (;;) {
        int child = 0;
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        int n = fscanf(file, "%d", &child);
        fclose(file);
        if (n == 1) return child;
        wf_clock_sleep_until(wf_clock_ns() + WF_NS_PER_MS);
    }
}

static const wf_reader_batch *wait_one(wf_reader *r)
{
    const wf_reader_batch *batch = NULL;
    while (batch == NULL)
        assert_int_equal(wf_reader_wait(r, -1, &batch), WF_OK);
    return batch;
}

static void read_all(wf_reader *r, const char *path, uint64_t n_rows, uint32_t n_each)
{
    uint64_t next = 0, expect = 0;
    uint32_t n_slots = wf_reader_n_free(r);
    while (expect < n_rows) {
        while (next < n_rows && wf_reader_n_free(r) > 0) {
            wf_reader_read q = {.path = path,
                                .shard = 3,
                                .row0 = next,
                                .n = n_each,
                                .n_vocab = FIXTURE_VOCAB,
                                .max_context = 4096};
            assert_int_equal(wf_reader_submit(r, &q), WF_OK);
            next += n_each;
        }
        const wf_reader_batch *batch = wait_one(r);
        assert_int_equal(batch->status, WF_OK);
        assert_int_equal(batch->read.row0, expect);
        for (uint32_t i = 0; i < batch->n_rows; i++) {
            assert_int_equal(batch->rows[i].shard, 3);
            fixture_row_assert(&batch->rows[i], expect + i);
        }
        uint64_t end = expect + n_each < n_rows ? expect + n_each : n_rows;
        assert_int_equal(expect + batch->n_rows, end);
        expect = end;
        wf_reader_release(r, batch);
    }
    assert_int_equal(wf_reader_n_free(r), n_slots);
}

static void test_rows_in_order(void **state)
{
    (void)state;
    char path[512];
    in_folder("rows.h5", path);
    fixture_shard_write(path, 500);
    static const uint32_t n_slots[] = {1, 2, 5};
    for (size_t k = 0; k < sizeof n_slots / sizeof n_slots[0]; k++) {
        wf_reader *r = start(n_slots[k], 1 << 20, 0);
        wf_shard_info info;
        assert_int_equal(wf_reader_open(r, path, &info), WF_OK);
        assert_int_equal(info.n_rows, 500);
        assert_int_equal(info.vocab_size, FIXTURE_VOCAB);
        read_all(r, path, 500, 33);
        assert_int_equal(wf_reader_n_died(r), 0);
        wf_reader_close(&r);
        assert_null(r);
    }
}

// A slot too small for what is asked serves part, and says how much.
static void test_partial_reads(void **state)
{
    (void)state;
    char path[512];
    in_folder("partial.h5", path);
    fixture_shard_write(path, 400);
    wf_reader *r = start(2, 64 * 1024, 0);
    uint64_t at = 0;
    while (at < 400) {
        wf_reader_read q = {.path = path, .row0 = at, .n = 400};
        assert_int_equal(wf_reader_submit(r, &q), WF_OK);
        const wf_reader_batch *batch = wait_one(r);
        assert_in_range(batch->n_rows, 1, 120);
        for (uint32_t i = 0; i < batch->n_rows; i++)
            fixture_row_assert(&batch->rows[i], at + i);
        at += batch->n_rows;
        wf_reader_release(r, batch);
    }
    assert_int_equal(at, 400);
    wf_reader_close(&r);
}

// A prompt of a million tokens passes; one beyond the slot fails alone, its neighbours are served.
static void test_long_prompts(void **state)
{
    (void)state;
    enum { LONG = 1000000, HUGE_ONE = 1200000 };
    char path[512];
    in_folder("long.h5", path);
    int32_t *tokens = malloc(HUGE_ONE * sizeof *tokens);
    assert_non_null(tokens);
    for (int i = 0; i < HUGE_ONE; i++)
        tokens[i] = i % 1000;
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = 1000};
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    static const uint32_t lengths[] = {10, LONG, HUGE_ONE, 20};
    for (uint32_t i = 0; i < 4; i++) {
        wf_request row = {.id = i, .max_new_tokens = 1, .n_prompt = lengths[i], .prompt = tokens};
        assert_int_equal(wf_shard_writer_append(w, &row), WF_OK);
    }
    assert_int_equal(wf_shard_writer_close(&w, NULL), WF_OK);
    wf_reader *r = start(1, 4 * LONG + 8192, 0);
    for (uint64_t at = 0; at < 4;) {
        wf_reader_read q = {.path = path, .row0 = at, .n = 4};
        assert_int_equal(wf_reader_submit(r, &q), WF_OK);
        const wf_reader_batch *batch = wait_one(r);
        assert_int_equal(batch->status, WF_OK);
        for (uint32_t i = 0; i < batch->n_rows; i++) {
            const wf_request *row = &batch->rows[i];
            if (at + i == 2) {
                assert_int_equal(row->status, WF_REQ_CONTEXT);
                assert_int_equal(row->id, 2);
            } else {
                assert_int_equal(row->status, WF_OK);
                assert_int_equal(row->n_prompt, lengths[at + i]);
                assert_memory_equal(row->prompt, tokens, row->n_prompt * sizeof *tokens);
            }
        }
        at += batch->n_rows;
        wf_reader_release(r, batch);
    }
    wf_reader_close(&r);
    free(tokens);
}

static void test_arrivals(void **state)
{
    (void)state;
    char path[512];
    in_folder("arrivals.h5", path);
    enum { N = 70000 }; // more than one request's worth
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = 10};
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    int32_t tokens[3] = {1, 2, 3};
    for (uint64_t i = 0; i < N; i++) {
        wf_request row = {.id = i,
                          .arrival_ns = (int64_t)i * 3,
                          .max_new_tokens = 1,
                          .n_prompt = (uint32_t)(1 + i % 3),
                          .prompt = tokens};
        assert_int_equal(wf_shard_writer_append(w, &row), WF_OK);
    }
    assert_int_equal(wf_shard_writer_close(&w, NULL), WF_OK);
    int64_t *arrival = malloc(N * sizeof *arrival);
    uint32_t *n_prompt = malloc(N * sizeof *n_prompt);
    wf_reader *r = start(1, 0, 0);
    assert_int_equal(wf_reader_read_arrivals(r, path, 0, N, arrival, n_prompt), WF_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(arrival[i], i * 3);
        assert_int_equal(n_prompt[i], 1 + i % 3);
    }
    assert_int_equal(wf_reader_read_arrivals(r, path, 1, N, arrival, NULL), WF_SHARD);
    wf_reader_close(&r);
    free(n_prompt);
    free(arrival);
}

static void test_bad_files(void **state)
{
    (void)state;
    char good[512], text[512], none[512];
    in_folder("good.h5", good);
    in_folder("text.h5", text);
    in_folder("none.h5", none);
    fixture_shard_write(good, 10);
    assert_int_equal(wf_file_write_whole(text, "id,arrival\n", 11, WF_PUBLISH_REPLACE), WF_OK);
    wf_reader *r = start(2, 0, 0);
    wf_shard_info info;
    assert_int_equal(wf_reader_open(r, none, &info), WF_NO_INPUT);
    assert_contains(wf_error(), "none.h5");
    assert_int_equal(wf_reader_open(r, text, &info), WF_SHARD);
    assert_contains(wf_error(), "text.h5: is not an HDF5 file");
    assert_int_equal(wf_reader_open(r, good, &info), WF_OK);
    wf_reader_read q = {.path = text, .row0 = 0, .n = 5};
    assert_int_equal(wf_reader_submit(r, &q), WF_OK);
    q = (wf_reader_read){.path = good, .uid = "00000000000000000000000000000000", .n = 5};
    assert_int_equal(wf_reader_submit(r, &q), WF_OK);
    static const char *const errors[] = {"is not an HDF5 file", "it was replaced"};
    for (int i = 0; i < 2; i++) {
        const wf_reader_batch *batch = wait_one(r);
        assert_int_equal(batch->status, WF_SHARD);
        assert_int_equal(batch->n_rows, 0);
        assert_contains(batch->error, errors[i]);
        wf_reader_release(r, batch);
    }
    read_all(r, good, 10, 4);
    wf_reader_close(&r);
}

// A reader stopped, given work, and killed in the middle of it or before it took any.
static void test_reader_dies(void **state)
{
    (void)state;
    char path[512];
    in_folder("dies.h5", path);
    fixture_shard_write(path, 300);
    wf_reader *r = start(3, 0, 0);
    pid_t host = child_of(getpid());
    for (int i = 0; i < 5; i++) {
        wf_shard_info info;
        assert_int_equal(wf_reader_open(r, path, &info), WF_OK);
        pid_t child = child_of(host);
        assert_int_equal(kill(child, i % 2 == 0 ? SIGSEGV : SIGKILL), 0);
        while (wf_reader_n_died(r) == (uint64_t)i)
            wf_clock_sleep_until(wf_clock_ns() + WF_NS_PER_MS);
        read_all(r, path, 300, 50); // nothing was under way: nothing is lost
        assert_int_equal(wf_reader_n_died(r), i + 1);
    }
    wf_reader_close(&r);
    assert_int_equal(kill(host, 0), -1);
    assert_int_equal(errno, ESRCH);
}

// Descending ids: opening must sort them, which takes far longer than the limit.
static void write_slow_shard(const char *path)
{
    enum { N = 600000 };
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = 10};
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    int32_t token = 1;
    for (uint64_t i = 0; i < N; i++) {
        wf_request row = {
            .id = (N - i) * UINT64_C(0x9E3779B97F4A7C15), .max_new_tokens = 1, .n_prompt = 1};
        row.prompt = &token;
        assert_int_equal(wf_shard_writer_append(w, &row), WF_OK);
    }
    assert_int_equal(wf_shard_writer_close(&w, NULL), WF_OK);
}

static bool has_open(pid_t pid, const char *path)
{
    char link[64], target[512];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, fd);
        ssize_t n = readlink(link, target, sizeof target);
        if (n == (ssize_t)strlen(path) && memcmp(target, path, (size_t)n) == 0) return true;
    }
    return false;
}

static void wait_until_open(pid_t pid, const char *path)
{
    while (!has_open(pid, path))
        wf_clock_sleep_until(wf_clock_ns() + WF_NS_PER_MS / 10);
}

static void test_reader_at_work_is_lost(void **state)
{
    (void)state;
    char slow[512];
    in_folder("slow.h5", slow);
    write_slow_shard(slow);
    wf_reader *r = start(2, 0, 2 * WF_NS_PER_MS);
    wf_shard_info info;
    assert_int_equal(wf_reader_open(r, slow, &info), WF_SHARD);
    assert_contains(wf_error(), "slow.h5 is damaged (reader took longer than 0.002 s");
    wf_reader_close(&r);

    // Crash: the first of two reads dies, the second is served by the next reader.
    r = start(2, 0, 0);
    pid_t reader = child_of(child_of(getpid()));
    assert_int_equal(kill(reader, SIGSTOP), 0);
    for (int i = 0; i < 2; i++) {
        wf_reader_read q = {.path = slow, .row0 = (uint64_t)i, .n = 1};
        assert_int_equal(wf_reader_submit(r, &q), WF_OK);
    }
    assert_int_equal(kill(reader, SIGCONT), 0);
    wait_until_open(reader, slow); // reading and sorting ids now
    assert_int_equal(kill(reader, SIGBUS), 0);
    const wf_reader_batch *batch = wait_one(r);
    assert_int_equal(batch->status, WF_SHARD);
    assert_contains(batch->error, "slow.h5 is damaged (reader died: SIGBUS");
    wf_reader_release(r, batch);
    batch = wait_one(r);
    assert_int_equal(batch->status, WF_OK);
    assert_int_equal(batch->n_rows, 1);
    wf_reader_release(r, batch);
    assert_int_equal(wf_reader_n_died(r), 1);
    wf_reader_close(&r);
}

// Both processes end when the program is killed, without being told.
static void test_ends_with_the_program(void **state)
{
    (void)state;
    int pids[2], out[2];
    assert_int_equal(pipe(out), 0);
    pid_t program = fork();
    if (program == 0) {
        wf_reader *r = NULL;
        wf_reader_config config = {0};
        if (wf_reader_start(&config, &r) != WF_OK) _exit(1);
        int found[2] = {child_of(getpid()), 0};
        found[1] = child_of(found[0]);
        if (write(out[1], found, sizeof found) != sizeof found) _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(out[0], pids, sizeof pids), sizeof pids);
    assert_int_equal(kill(program, SIGKILL), 0);
    assert_int_equal(waitpid(program, NULL, 0), program);
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/stat", pids[i]);
        for (;;) { // until it is gone, or only waits for someone to collect it
            FILE *file = fopen(path, "r");
            char ended = 'Z';
            if (file == NULL) break;
            int n = fscanf(file, "%*d (%*[^)]) %c", &ended);
            fclose(file);
            if (n != 1 || ended == 'Z' || ended == 'X') break;
            wf_clock_sleep_until(wf_clock_ns() + WF_NS_PER_MS);
        }
    }
    close(out[0]);
    close(out[1]);
}

// --- mutants ---

static void write_mutant(const char *path, char *bytes, size_t n, wf_rng *rng)
{
    uint32_t n_changes = 1 + wf_rng_next_u32(rng) % 8;
    size_t at[8];
    char was[8];
    for (uint32_t i = 0; i < n_changes; i++) {
        // Mostly in the first part, where HDF5's own structures are.
        size_t span = wf_rng_next_u32(rng) % 4 == 0 ? n : n / 4;
        at[i] = wf_rng_next_u32(rng) % span;
        was[i] = bytes[at[i]];
        bytes[at[i]] = (char)wf_rng_next_u32(rng);
    }
    assert_int_equal(wf_file_write_whole(path, bytes, n, WF_PUBLISH_FAST), WF_OK);
    for (uint32_t i = n_changes; i-- > 0;)
        bytes[at[i]] = was[i];
}

typedef struct {
    int n_refused, n_served, n_bad_rows;
} tally;

static void read_mutant(wf_reader *r, const char *path, tally *t)
{
    wf_shard_info info;
    wf_status st = wf_reader_open(r, path, &info);
    if (st != WF_OK) {
        assert_int_equal(st, WF_SHARD);
        assert_contains(wf_error(), path);
        t->n_refused++;
        return;
    }
    for (uint64_t at = 0; at < info.n_rows;) {
        wf_reader_read q = {.path = path, .row0 = at, .n = 1000, .n_vocab = FIXTURE_VOCAB};
        assert_int_equal(wf_reader_submit(r, &q), WF_OK);
        const wf_reader_batch *batch = wait_one(r);
        uint32_t n = batch->n_rows;
        for (uint32_t i = 0; i < n; i++) {
            const wf_request *row = &batch->rows[i];
            if (row->status != WF_OK) t->n_bad_rows++;
            for (uint32_t k = 0; k < row->n_prompt; k++)
                assert_in_range(row->prompt[k], 0, FIXTURE_VOCAB - 1);
        }
        bool refused = batch->status != WF_OK;
        if (refused) assert_int_equal(batch->status, WF_SHARD);
        wf_reader_release(r, batch);
        if (refused) {
            t->n_refused++;
            return;
        }
        at += n;
    }
    t->n_served++;
}

// Random changes to a small shard: each is refused or served, with a reason, in bounded time. The
// number comes from WEFT_MUTANTS.
static void test_mutants(void **state)
{
    (void)state;
    const char *wanted = getenv("WEFT_MUTANTS");
    int n = wanted != NULL ? atoi(wanted) : 300;
    char path[512], *bytes = NULL;
    size_t n_bytes = 0;
    in_folder("mutant.h5", path);
    fixture_shard_write(path, 30);
    assert_int_equal(wf_file_read(path, 1 << 20, &bytes, &n_bytes), WF_OK);
    wf_reader *r = start(2, 0, 5 * WF_NS_PER_S);
    wf_rng rng = wf_rng_make(20240601, 0);
    tally t = {0};
    for (int i = 0; i < n; i++) {
        write_mutant(path, bytes, n_bytes, &rng);
        read_mutant(r, path, &t);
    }
    print_message("%d mutants: %d refused, %d served with %d bad rows, %d readers died\n", n,
                  t.n_refused, t.n_served, t.n_bad_rows, (int)wf_reader_n_died(r));
    assert_int_equal(t.n_refused + t.n_served, n);
    assert_true(t.n_refused > n / 10);
    wf_reader_close(&r);
    free(bytes);
}

// Another kind of file: its name says what becomes of who reads it.
static wf_status look(const char *name, void *facts)
{
    *(int *)facts = 7;
    wf_guard_at(name, "/runs/run");
    if (strcmp(name, "crashes") == 0) raise(SIGSEGV);
    while (strcmp(name, "never ends") == 0)
        pause();
    return strcmp(name, "bad") == 0 ? wf_fail(WF_DATA, "bad: it says so itself") : WF_OK;
}

static void test_looks(void **state)
{
    (void)state;
    wf_reader *r = NULL;
    wf_reader_config config = {.limit_ns = 300 * WF_NS_PER_MS, .look = look};
    assert_ok(wf_reader_start(&config, &r));
    static const struct {
        const char *name, *says;
    } rows[] = {
        {"fine", NULL},
        {"crashes", "crashes: is damaged (reader died: SIGSEGV, reading /runs/run)"},
        {"fine", NULL},
        {"never ends", "never ends: is damaged (reader took longer than 0.3 s, reading /runs/run)"},
        {"bad", "bad: it says so itself"},
        {"fine", NULL},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int facts = 0;
        wf_status st = wf_reader_look(r, rows[i].name, &facts, sizeof facts);
        assert_int_equal(st, rows[i].says ? WF_DATA : WF_OK);
        if (rows[i].says)
            assert_string_equal(wf_error(), rows[i].says);
        else
            assert_int_equal(facts, 7);
    }
    wf_reader_close(&r);
}

static void test_pieces(void **state)
{
    (void)state;
    wf_reader *r = start(2, 0, 0);
    wf_shard_info info;
    wf_pieces *pieces = NULL, *bytes = NULL;
    char path[512];
    in_folder("pieces.h5", path);
    fixture_shard_write(path, 5);
    assert_int_equal(wf_reader_open(r, path, &info), WF_OK);
    assert_true(info.has_pieces);
    assert_int_equal(wf_reader_read_pieces(r, path, &info, &pieces), WF_OK);
    assert_int_equal(wf_pieces_of_bytes(FIXTURE_VOCAB, &bytes), WF_OK);
    assert_true(wf_pieces_are_same(pieces, bytes));
    size_t n = 9;
    assert_int_equal(*wf_pieces_of(pieces, 'x', &n), 'x');
    assert_int_equal(n, 1);
    wf_pieces_of(pieces, FIXTURE_VOCAB, &n);
    assert_int_equal(n, 0);
    bytes->offset[7] = 9; // no longer ascending
    assert_false(wf_pieces_are_sound(bytes, 256));
    assert_false(wf_pieces_are_same(pieces, bytes));
    info.piece_bytes--; // what the file said when it was opened is not what it says now
    wf_pieces *none = NULL;
    assert_int_equal(wf_reader_read_pieces(r, path, &info, &none), WF_SHARD);
    assert_null(none);
    wf_pieces_free(pieces);
    wf_pieces_free(bytes);
    wf_reader_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_rows_in_order),
        cmocka_unit_test(test_partial_reads),
        cmocka_unit_test(test_long_prompts),
        cmocka_unit_test(test_arrivals),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_reader_dies),
        cmocka_unit_test(test_reader_at_work_is_lost),
        cmocka_unit_test(test_ends_with_the_program),
        cmocka_unit_test(test_looks),
        cmocka_unit_test(test_mutants),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
