// Leases: how ranges are cut, and that no row is leased twice or never, by one process or many.
#include "tests/jobs/jobs_test.h"

#include <sys/wait.h>

#include "io/results/runfile.h"
#include "jobs/run/lease.h"

static void check_cut(const wf_lease_shard *shards, size_t n_shards, const wf_lease_cut *cut)
{
    wf_lease *range;
    size_t n = 0, i = 0;
    assert_ok(wf_lease_ranges(shards, n_shards, cut, &range, &n));
    for (size_t s = 0; s < n_shards; s++) {
        for (uint64_t row = 0; row < shards[s].n_rows; row++) {
            bool done = shards[s].done && (shards[s].done[row >> 6] >> (row & 63) & 1);
            while (i < n && (range[i].shard < s || (range[i].shard == s && range[i].end <= row)))
                i++;
            bool inside = i < n && range[i].shard == s && range[i].begin <= row;
            if (!done) assert_true(inside);
            if (inside && (row == range[i].begin || row + 1 == range[i].end)) assert_false(done);
        }
    }
    for (size_t k = 1; k < n; k++) {
        assert_true(range[k].shard > range[k - 1].shard ||
                    (range[k].shard == range[k - 1].shard && range[k].begin >= range[k - 1].end));
    }
    free(range);
}

static void test_cut_sizes(void **state)
{
    (void)state;
    wf_lease_shard shard = {.n_rows = 1000};
    wf_lease_cut cut = {.n_groups = 4, .min_rows = 10};
    wf_lease *range;
    size_t n;
    assert_ok(wf_lease_ranges(&shard, 1, &cut, &range, &n));
    assert_int_equal(range[0].end - range[0].begin, 32); // an eighth of a quarter
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(range[i].begin, range[i - 1].end);
        assert_true(range[i].end - range[i].begin <= range[i - 1].end - range[i - 1].begin);
        if (i + 1 < n) assert_true(range[i].end - range[i].begin >= 10);
    }
    assert_int_equal(range[n - 1].end, 1000);
    free(range);

    cut.max_rows = 20;
    assert_ok(wf_lease_ranges(&shard, 1, &cut, &range, &n));
    assert_int_equal(range[0].end, 20);
    free(range);
}

enum { N_HOLDERS = 4 };

// Claims as a group does that runs batches of max_rows and has finished none of the n_held it
// holds.
static uint64_t claim_what_it_wants(wf_leases *leases, uint64_t n_held, uint64_t max_rows)
{
    wf_lease lease;
    bool wants = true, got = true;
    while (got) {
        assert_ok(wf_leases_wants(leases, n_held, max_rows, &wants));
        if (!wants) return n_held;
        assert_ok(wf_leases_claim(leases, &lease, &got));
        if (got) n_held += lease.end - lease.begin;
    }
    return n_held;
}

static void open_holders(wf_leases *leases[N_HOLDERS], const char *out_dir, int64_t run,
                         uint64_t n_rows)
{
    wf_lease_shard shard = {.n_rows = n_rows};
    for (int i = 0; i < N_HOLDERS; i++) {
        wf_leases_config c = {.out_dir = out_dir,
                              .run = run,
                              .group = i,
                              .shards = &shard,
                              .n_shards = 1,
                              .cut = {.n_groups = N_HOLDERS}};
        assert_ok(wf_leases_open(&c, &leases[i]));
    }
}

// As many rows as there are places in the batches of all groups: each comes to hold a batch,
// whoever comes first, since a row that waits in one group while another has a place ends last.
static void test_small_job_is_shared_evenly(void **state)
{
    wf_leases *leases[N_HOLDERS];
    for (int order = 0; order < N_HOLDERS; order++) {
        uint64_t held[N_HOLDERS] = {0}, more = 1;
        open_holders(leases, *state, 50 + order, N_HOLDERS * 256);
        while (more > 0) {
            more = 0;
            for (int k = 0; k < N_HOLDERS; k++) {
                int i = (k + order) % N_HOLDERS; // takes all it may before the next one begins
                uint64_t before = held[i];
                held[i] = claim_what_it_wants(leases[i], before, 256);
                more += held[i] - before;
            }
        }
        for (int i = 0; i < N_HOLDERS; i++) {
            assert_int_equal(held[i], 256);
            wf_leases_close(&leases[i]);
        }
    }
    open_holders(leases, *state, 60, 2); // fewer rows than groups
    assert_int_equal(claim_what_it_wants(leases[3], 0, 256), 1);
    assert_int_equal(claim_what_it_wants(leases[1], 0, 256), 1);
    for (int i = 0; i < N_HOLDERS; i++)
        wf_leases_close(&leases[i]);
}

// In a large job no batch of 64 has an empty place while there are rows that nobody has begun; what
// is held beyond it is a large range at the beginning and a quarter of a batch at the end.
static void test_large_job_keeps_batches_full(void **state)
{
    wf_leases *leases[N_HOLDERS];
    uint64_t held[N_HOLDERS] = {0}, n_taken = 0, n_rows = 20000;
    open_holders(leases, *state, 61, n_rows);
    while (n_taken < n_rows) {
        for (int i = 0; i < N_HOLDERS; i++) {
            uint64_t more = claim_what_it_wants(leases[i], held[i], 64) - held[i];
            held[i] += more;
            n_taken += more;
            if (n_taken < n_rows) assert_true(held[i] >= 64);
            if (n_rows - n_taken < 300) assert_true(more == 0 || held[i] <= 80);
            held[i] -= held[i] < 3 ? held[i] : (uint64_t)(1 + i % 3); // so many finish
        }
    }
    for (int i = 0; i < N_HOLDERS; i++)
        wf_leases_close(&leases[i]);
}

static void test_cut_with_done_rows(void **state)
{
    (void)state;
    uint64_t done[16];
    uint32_t random = 7;
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < N_ROWS(done); i++) {
            random = random * 1664525u + 1013904223u;
            done[i] = (uint64_t)random * UINT64_C(0x9E3779B97F4A7C15);
            if (round % 3 == 0) done[i] |= done[i] << 7; // mostly done
            if (round % 7 == 0) done[i] = ~UINT64_C(0);  // all done
        }
        wf_lease_shard shards[] = {{.n_rows = (uint64_t)(round % 200), .done = done},
                                   {.n_rows = 0},
                                   {.n_rows = 77},
                                   {.n_rows = 1024, .done = done}};
        wf_lease_cut cut = {.n_groups = 1 + round % 5, .min_rows = (uint64_t)(round % 4)};
        check_cut(shards, N_ROWS(shards), &cut);
    }
}

static void test_nothing_to_do(void **state)
{
    wf_leases_config config = {.out_dir = *state, .run = 1, .cut = {.n_groups = 2}};
    wf_leases *leases;
    wf_lease lease;
    bool got = true;
    assert_ok(wf_leases_open(&config, &leases));
    assert_ok(wf_leases_claim(leases, &lease, &got));
    assert_false(got);
    assert_int_equal(wf_leases_count(leases), 0);
    wf_leases_close(&leases);
    assert_null(leases);
}

enum { N_PROCESSES = 8, N_SHARDS = 3 };

static const uint64_t shard_rows[N_SHARDS] = {5000, 3, 1200};

static wf_leases *leases_of(const char *out_dir, int64_t run, int group, const uint64_t *done)
{
    wf_lease_shard shards[N_SHARDS];
    for (size_t i = 0; i < N_SHARDS; i++)
        shards[i] = (wf_lease_shard){.n_rows = shard_rows[i]};
    shards[0].done = done;
    wf_leases_config config = {.out_dir = out_dir,
                               .run = run,
                               .group = group,
                               .shards = shards,
                               .n_shards = N_SHARDS,
                               .cut = {.n_groups = N_PROCESSES, .min_rows = 4}};
    wf_leases *leases;
    assert_ok(wf_leases_open(&config, &leases));
    return leases;
}

// A process of its own: claims until nothing is left and writes what it got to `fd`.
static void claim_all(const char *out_dir, int group, int fd)
{
    wf_leases *leases = leases_of(out_dir, 3, group, NULL);
    wf_lease lease;
    bool got = true;
    while (wf_leases_claim(leases, &lease, &got) == WF_OK && got) {
        if (write(fd, &lease, sizeof lease) != (ssize_t)sizeof lease) _exit(1);
        usleep((useconds_t)(group * 50)); // uneven speeds
    }
    wf_leases_close(&leases);
    _exit(got ? 1 : 0);
}

static void test_many_processes_lease_each_row_once(void **state)
{
    int fds[2];
    uint8_t *seen[N_SHARDS];
    assert_int_equal(pipe(fds), 0);
    for (int i = 0; i < N_PROCESSES; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            claim_all(*state, i, fds[1]);
        }
    }
    close(fds[1]);
    for (size_t i = 0; i < N_SHARDS; i++)
        seen[i] = calloc(shard_rows[i], 1);
    wf_lease lease;
    size_t n_leases = 0;
    while (read(fds[0], &lease, sizeof lease) == (ssize_t)sizeof lease) {
        for (uint64_t row = lease.begin; row < lease.end; row++)
            seen[lease.shard][row]++;
        n_leases++;
    }
    close(fds[0]);
    for (int i = 0; i < N_PROCESSES; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    for (size_t i = 0; i < N_SHARDS; i++) {
        for (uint64_t row = 0; row < shard_rows[i]; row++)
            assert_int_equal(seen[i][row], 1);
        free(seen[i]);
    }
    assert_true(n_leases >= N_PROCESSES);

    wf_leases *leases = leases_of(*state, 3, 0, NULL);
    wf_lease *list;
    size_t n = 0;
    assert_ok(wf_leases_list(leases, &list, &n));
    assert_int_equal(n, n_leases);
    for (size_t i = 0; i < n; i++) {
        assert_in_range(list[i].group, 0, N_PROCESSES - 1);
        assert_int_equal(list[i].epoch, 0);
    }
    free(list);
    wf_leases_close(&leases);
}

// The one who comes later, knowing of more finished rows, must not cut differently.
static void test_published_ranges_bind_everyone(void **state)
{
    uint64_t done[(5000 + 63) / 64];
    memset(done, 0xff, sizeof done);
    wf_leases *first = leases_of(*state, 4, 0, NULL), *second = leases_of(*state, 4, 1, done);
    assert_int_equal(wf_leases_count(first), wf_leases_count(second));
    wf_lease a, b;
    bool got_a, got_b;
    assert_ok(wf_leases_claim(first, &a, &got_a));
    assert_ok(wf_leases_claim(second, &b, &got_b));
    assert_true(got_a && got_b);
    assert_int_equal(a.begin, 0);
    assert_int_equal(b.begin, a.end);
    wf_leases_close(&first);
    wf_leases_close(&second);
}

// What a lost group left comes back in lists of its own: to those who are there, and, where some
// samples are done, only to those who came later.
static void test_returned_ranges(void **state)
{
    wf_leases *old = leases_of(*state, 5, 2, NULL), *keeper = leases_of(*state, 5, -1, NULL), *late;
    const wf_lease back[] = {
        {.shard = 0, .begin = 10, .end = 12},
        {.shard = 0, .begin = 12, .end = 15, .partial = true},
        {.shard = 1, .begin = 0, .end = 1, .kind = WF_LEASE_POISON},
    };
    wf_lease lease, *taken;
    size_t n_taken, n_first = wf_leases_count(old);
    bool got;
    do {
        assert_ok(wf_leases_claim(old, &lease, &got));
    } while (got);
    assert_ok(wf_leases_return(keeper, back, N_ROWS(back)));
    assert_int_equal(wf_leases_count(keeper), n_first + N_ROWS(back));
    assert_ok(wf_leases_claim(old, &lease, &got));
    assert_true(got && lease.begin == 10 && lease.end == 12 && lease.list == 1);
    assert_ok(wf_leases_claim(old, &lease, &got));
    assert_true(got && lease.shard == 1 && lease.kind == WF_LEASE_POISON && lease.group == 2);
    assert_ok(wf_leases_claim(old, &lease, &got));
    assert_false(got);
    late = leases_of(*state, 5, 3, NULL);
    assert_ok(wf_leases_claim(late, &lease, &got));
    assert_true(got && lease.begin == 12 && lease.partial && lease.group == 3);
    assert_ok(wf_leases_claim(late, &lease, &got));
    assert_false(got);

    assert_ok(wf_leases_list(keeper, &taken, &n_taken));
    assert_int_equal(n_taken, n_first + N_ROWS(back));
    size_t n_back = 0;
    for (size_t i = 0; i < n_taken; i++) {
        if (taken[i].list == 0) continue;
        assert_int_equal(taken[i].kind, back[n_back].kind);
        assert_int_equal(taken[i].partial, back[n_back].partial);
        assert_int_equal(taken[i].end, back[n_back].end);
        n_back++;
    }
    assert_int_equal(n_back, N_ROWS(back));
    free(taken);
    wf_leases_close(&old);
    wf_leases_close(&keeper);
    wf_leases_close(&late);

    late = leases_of(*state, 6, 2, NULL); // the next run starts from nothing
    assert_ok(wf_leases_claim(late, &lease, &got));
    assert_true(got && lease.begin == 0 && lease.list == 0);
    wf_leases_close(&late);
}

// A group that was given up and still runs somewhere gets no more work.
static void test_a_lost_fence_ends_claiming(void **state)
{
    uint32_t run, epoch;
    wf_runs *runs;
    wf_lease lease;
    bool got = true;
    assert_ok(wf_runs_open(*state, NULL, &runs));
    assert_ok(wf_runs_start(runs, &(wf_run_params){0}, &run));
    wf_runs_close(&runs);
    wf_leases *leases = leases_of(*state, run, 1, NULL), *other = leases_of(*state, run, 0, NULL);
    assert_ok(wf_leases_claim(leases, &lease, &got));
    assert_ok(wf_run_raise_epoch(*state, run, 1, &epoch));
    assert_int_equal(wf_leases_claim(leases, &lease, &got), WF_IN_USE);
    assert_false(got);
    assert_ok(wf_leases_claim(other, &lease, &got));
    assert_true(got);
    wf_leases_close(&leases);
    wf_leases_close(&other);
}

static void test_damaged_ranges_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "weft-ranges 2 2\n0 0 10 0 0\n",
                                        "weft-ranges 2 1\n9 0 1 0 0\n",
                                        "weft-ranges 2 1\n0 5 5 0 0\n",
                                        "weft-ranges 2 1\n1 0 4 0 0\n",
                                        "weft-ranges 2 1\n0 0 4 7 0\n"};
    char path[256];
    wf_leases_close(&(wf_leases *){leases_of(*state, 7, 0, NULL)});
    snprintf(path, sizeof path, "%s/leases/r7/ranges", (char *)*state);
    for (size_t i = 0; i < N_ROWS(texts); i++) {
        FILE *file = fopen(path, "w");
        fputs(texts[i], file);
        fclose(file);
        wf_lease_shard shards[N_SHARDS] = {{.n_rows = 5000}, {.n_rows = 3}, {.n_rows = 1200}};
        wf_leases_config config = {
            .out_dir = *state, .run = 7, .shards = shards, .n_shards = N_SHARDS};
        wf_leases *leases = NULL;
        assert_int_equal(wf_leases_open(&config, &leases), WF_IO);
        assert_contains(wf_error(), "leases/r7/ranges:");
        assert_null(leases);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_sizes),
        cmocka_unit_test(test_small_job_is_shared_evenly),
        cmocka_unit_test(test_large_job_keeps_batches_full),
        cmocka_unit_test(test_cut_with_done_rows),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_many_processes_lease_each_row_once),
        cmocka_unit_test(test_published_ranges_bind_everyone),
        cmocka_unit_test(test_returned_ranges),
        cmocka_unit_test(test_a_lost_fence_ends_claiming),
        cmocka_unit_test(test_damaged_ranges_are_refused),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
