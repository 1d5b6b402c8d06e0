// Names of pages, and the pool that keeps named pages while nobody needs their memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/prefix.h"

static bool same(wf_hash128 a, wf_hash128 b)
{
    return a.high == b.high && a.low == b.low;
}

// A name stands for all tokens up to the end of its page.
static void names_stand_for_all_tokens_before(void **state)
{
    (void)state;
    int32_t a[12], b[12];
    wf_hash128 of_a[3], of_b[3];
    for (int i = 0; i < 12; i++)
        a[i] = b[i] = i % 4; // three pages of the same tokens
    wf_prefix_names(a, 3, 4, of_a);
    assert_false(same(of_a[0], of_a[1]) || same(of_a[1], of_a[2]));
    wf_prefix_names(b, 3, 4, of_b);
    assert_memory_equal(of_a, of_b, sizeof of_a);
    b[7] = 9;
    wf_prefix_names(b, 3, 4, of_b);
    assert_true(same(of_a[0], of_b[0]));
    assert_false(same(of_a[1], of_b[1]) || same(of_a[2], of_b[2]));
}

static wf_hash128 name(int i)
{
    return (wf_hash128){.high = 1, .low = (uint64_t)(8 * i)}; // all in one bucket
}

static void named_pages_are_found_held_or_idle(void **state)
{
    (void)state;
    wf_kvpool *pool;
    assert_int_equal(wf_kvpool_create(4, &pool), WF_OK);
    int32_t a = wf_kvpool_take(pool), b = wf_kvpool_take(pool);
    assert_true(wf_kvpool_name(pool, a, name(0)));
    assert_false(wf_kvpool_name(pool, b, name(0))); // the content of a
    assert_true(wf_kvpool_name(pool, b, name(1)));
    assert_int_equal(wf_kvpool_find(pool, name(0)), a);
    wf_kvpool_drop(pool, a);
    assert_int_equal(wf_kvpool_n_idle(pool), 1);
    assert_int_equal(wf_kvpool_n_free(pool), 3);
    assert_int_equal(wf_kvpool_find(pool, name(0)), a);
    wf_kvpool_hold(pool, a);
    assert_int_equal(wf_kvpool_n_idle(pool), 0);
    assert_int_equal(wf_kvpool_n_free(pool), 2);
    wf_kvpool_drop(pool, a);
    wf_kvpool_drop(pool, b);
    assert_int_equal(wf_kvpool_find(pool, name(2)), -1);
    assert_int_equal(wf_kvpool_n_free(pool), 4);
    wf_kvpool_destroy(pool);
}

// Pages without a name first, then idle ones as they were dropped; what was given out is forgotten.
static void idle_pages_are_given_out_last_and_the_oldest_first(void **state)
{
    (void)state;
    enum { N = 6 };
    wf_kvpool *pool;
    int32_t page[N];
    assert_int_equal(wf_kvpool_create(N + 1, &pool), WF_OK);
    for (int i = 0; i < N; i++) {
        page[i] = wf_kvpool_take(pool);
        assert_true(wf_kvpool_name(pool, page[i], name(i)));
    }
    const int order[] = {3, 0, 5, 1, 4, 2};
    for (int i = 0; i < N; i++)
        wf_kvpool_drop(pool, page[order[i]]);
    wf_kvpool_hold(pool, page[0]); // used once more
    wf_kvpool_drop(pool, page[0]);
    wf_kvpool_take(pool); // the one that never had a name
    const int given[] = {3, 5, 1, 4, 2, 0};
    for (int i = 0; i < N; i++) {
        assert_int_equal(wf_kvpool_take(pool), page[given[i]]);
        assert_int_equal(wf_kvpool_find(pool, name(given[i])), -1);
        assert_int_equal(wf_kvpool_n_idle(pool), N - 1 - i);
    }
    assert_int_equal(wf_kvpool_take(pool), -1);
    for (int i = 0; i < N; i++) // without a name they are as any other
        wf_kvpool_drop(pool, page[i]);
    assert_int_equal(wf_kvpool_n_idle(pool), 0);
    wf_kvpool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stand_for_all_tokens_before),
        cmocka_unit_test(named_pages_are_found_held_or_idle),
        cmocka_unit_test(idle_pages_are_given_out_last_and_the_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
