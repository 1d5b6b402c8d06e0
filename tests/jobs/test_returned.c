// What comes back from lost groups: every row that is not sealed, once; and poisonous rows are
// found, and only those, whatever else is in flight.
#include "tests/jobs/jobs_test.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "jobs/run/returned.h"

enum { N_ROWS_A = 300 };

static const wf_result_shard shard_table[] = {{"uid-a", "a.h5", N_ROWS_A}};
static const bool one_sample[] = {false}, more_samples[] = {true};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void test_cut_holds_what_is_not_done_once(void **state)
{
    (void)state;
    uint32_t random = 3;
    for (int round = 0; round < 500; round++) {
        wf_done *done;
        wf_flight_row flight[N_ROWS_A];
        size_t n_flight = 0, n_seen = 0;
        assert_ok(wf_done_create(shard_table, 1, &done));
        for (uint64_t row = 0; row < N_ROWS_A; row++) {
            uint32_t dice = next_random(&random) % 4;
            if (dice == 0) assert_ok(wf_done_mark(done, 0, row, 0));
            if (dice == 1 && round % 3) flight[n_flight++] = (wf_flight_row){0, row};
        }
        wf_lease held[] = {
            {.begin = 10, .end = 90}, {.begin = 90, .end = 91}, {.begin = 200, .end = 300}};
        wf_returned_input in = {held, N_ROWS(held), done, one_sample, flight, n_flight, false, 16};
        wf_returned out;
        assert_ok(wf_returned_cut(&in, &out));
        uint64_t at = 0;
        for (size_t i = 0; i < out.n; i++) {
            const wf_lease *r = &out.range[i];
            assert_true(r->begin >= at && r->end > r->begin && r->end - r->begin <= 16);
            assert_int_not_equal(r->kind, WF_LEASE_POISON);
            for (uint64_t row = r->begin; row < r->end; row++) {
                assert_true((row >= 10 && row < 91) || row >= 200);
                assert_false(wf_done_has(done, 0, row, 0));
                n_seen++;
            }
            at = r->end;
        }
        size_t n_left = 0;
        for (uint64_t row = 10; row < N_ROWS_A; row++)
            n_left += (row < 91 || row >= 200) && !wf_done_has(done, 0, row, 0);
        assert_int_equal(n_seen, n_left);
        assert_int_equal(out.n_rows + out.n_suspects, n_left);
        free(out.range);
        wf_done_destroy(&done);
    }
}

// A pool of ranges and a group that takes them as the serving loop does: ordinary ranges several at
// once, suspects alone. It dies when a poisonous row is in flight, and sometimes for no reason.
typedef struct pool {
    wf_lease *range;
    size_t n, capacity;
    wf_done *done;
    bool poison[N_ROWS_A], given_up[N_ROWS_A];
    int n_deaths;
} pool;

static void pool_put(pool *p, const wf_lease *range, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p->n == p->capacity) {
            p->capacity = 2 * p->capacity + 8;
            p->range = realloc(p->range, p->capacity * sizeof *p->range);
        }
        p->range[p->n++] = range[i];
    }
}

static void die(pool *p, const wf_lease *held, size_t n_held, const wf_flight_row *flight,
                size_t n_flight)
{
    wf_returned_input in = {held, n_held, p->done, one_sample, flight, n_flight, false, 0};
    wf_returned out;
    p->n_deaths++;
    assert_ok(wf_returned_cut(&in, &out));
    pool_put(p, out.range, out.n);
    free(out.range);
}

// One life: takes a range (or up to three ordinary ones), computes its rows up to `width` at a
// time.
static void live(pool *p, uint32_t *random, size_t width, bool bad_luck)
{
    wf_lease held[3];
    size_t n_held = 0, n_flight = 0;
    wf_flight_row flight[N_ROWS_A];
    do {
        held[n_held++] = p->range[0];
        memmove(p->range, p->range + 1, --p->n * sizeof *p->range);
    } while (n_held < 3 && p->n > 0 && held[0].kind == WF_LEASE_ROWS &&
             p->range[0].kind == WF_LEASE_ROWS);
    for (size_t i = 0; i < n_held; i++) {
        for (uint64_t row = held[i].begin; row < held[i].end; row++) {
            if (held[i].kind == WF_LEASE_POISON) {
                p->given_up[row] = true;
                assert_ok(wf_done_mark(p->done, 0, row, 0));
                continue;
            }
            flight[n_flight++] = (wf_flight_row){0, row};
            if (p->poison[row] || (bad_luck && next_random(random) % 400 == 0)) {
                die(p, held, n_held, flight, n_flight);
                return;
            }
            if (n_flight < width) continue;
            assert_ok(wf_done_mark(p->done, 0, flight[0].row, 0)); // the oldest ends, and is sealed
            memmove(flight, flight + 1, --n_flight * sizeof *flight);
        }
    }
    for (size_t i = 0; i < n_flight; i++)
        assert_ok(wf_done_mark(p->done, 0, flight[i].row, 0));
}

static void play(uint32_t seed, int n_poison, size_t width, bool bad_luck, pool *p)
{
    uint32_t random = seed;
    *p = (pool){0};
    assert_ok(wf_done_create(shard_table, 1, &p->done));
    for (int i = 0; i < n_poison; i++)
        p->poison[next_random(&random) % N_ROWS_A] = true;
    for (uint64_t row = 0; row < N_ROWS_A; row += 30)
        pool_put(p, &(wf_lease){.begin = row, .end = row + 30}, 1);
    for (int lives = 0; p->n > 0; lives++) {
        assert_true(lives < 2000);
        live(p, &random, width, bad_luck);
    }
    assert_int_equal(wf_done_total(p->done), N_ROWS_A);
}

static void test_poison_is_found_and_nothing_else(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 400; seed++) {
        pool p;
        size_t width = 1 + seed % 64;
        int n_poison = (int)(seed % 5);
        play(seed, n_poison, width, false, &p);
        for (int row = 0; row < N_ROWS_A; row++)
            assert_int_equal(p.given_up[row], p.poison[row]);
        assert_true(p.n_deaths <= 4 * n_poison);
        free(p.range);
        wf_done_destroy(&p.done);
    }
}

// Deaths for no reason cost time, and never end in a loop; poison is found all the same.
static void test_bad_luck_does_not_hide_poison(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 400; seed++) {
        pool p;
        play(seed, 3, 1 + seed % 32, true, &p);
        for (int row = 0; row < N_ROWS_A; row++)
            if (p.poison[row]) assert_true(p.given_up[row]);
        free(p.range);
        wf_done_destroy(&p.done);
    }
}

static void test_partial_rows(void **state)
{
    (void)state;
    wf_done *done;
    assert_ok(wf_done_create(shard_table, 1, &done));
    assert_ok(wf_done_mark(done, 0, 4, 0));
    assert_ok(wf_done_mark(done, 0, 5, 1));
    wf_lease held = {.begin = 3, .end = 8};
    wf_returned_input in = {&held, 1, done, more_samples, NULL, 0, false, 0};
    wf_returned out;
    assert_ok(wf_returned_cut(&in, &out));
    assert_int_equal(out.n, 3);
    assert_false(out.range[0].partial);
    assert_true(out.range[1].partial && out.range[1].begin == 4 && out.range[1].end == 6);
    assert_false(out.range[2].partial);
    free(out.range);
    wf_done_destroy(&done);
}

// The record outlives its writer and says who was in flight; a clean end leaves none.
static void test_flight_record(void **state)
{
    const char *out_dir = *state;
    char path[256];
    wf_flights *f;
    wf_flight_row *rows;
    size_t n;
    uint32_t entry[3], again;
    snprintf(path, sizeof path, "%s/leases", out_dir);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/leases/r4", out_dir);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_ok(wf_flights_read(out_dir, 4, 1, 0, &rows, &n));
    assert_int_equal(n, 0);
    free(rows);
    assert_ok(wf_flights_open(out_dir, 4, 1, 0, &f));
    assert_ok(wf_flights_enter(f, 2, 70, &entry[0]));
    assert_ok(wf_flights_enter(f, 0, 9, &entry[1]));
    assert_ok(wf_flights_enter(f, 0, 8, &entry[2]));
    wf_flights_leave(f, entry[1]);
    assert_ok(wf_flights_enter(f, 1, UINT64_C(1) << 40, &again));
    assert_int_equal(again, entry[1]);
    assert_ok(wf_flights_read(out_dir, 4, 1, 0, &rows, &n));
    assert_int_equal(n, 3);
    assert_true(rows[0].shard == 0 && rows[0].row == 8);
    assert_true(rows[1].shard == 1 && rows[1].row == UINT64_C(1) << 40);
    assert_true(rows[2].shard == 2 && rows[2].row == 70);
    free(rows);
    wf_flights_close(&f, false);
    assert_ok(wf_flights_read(out_dir, 4, 1, 0, &rows, &n));
    assert_int_equal(n, 0);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_holds_what_is_not_done_once),
        cmocka_unit_test(test_poison_is_found_and_nothing_else),
        cmocka_unit_test(test_bad_luck_does_not_hide_poison),
        cmocka_unit_test(test_partial_rows),
        cmocka_unit_test(test_flight_record),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
