// What the batcher refuses, and how it counts a page that several hold.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/batcher.h"

// One page, counted: held by the one who keeps it, by A, by B, and free when all have gone.
static int32_t share_first(void *context, void *tag, int32_t most, int32_t *out)
{
    (void)tag;
    assert_true(most >= 1);
    out[0] = *(const int32_t *)context;
    return 1;
}

static void a_shared_page_is_free_when_all_have_gone(void **state)
{
    (void)state;
    int32_t page;
    wf_batcher_config c = {.max_rows = 2,
                           .step_tokens = 16,
                           .page_tokens = 4,
                           .n_pages = 6,
                           .max_pages = 3,
                           .share = share_first,
                           .shared_pages = 3,
                           .share_context = &page};
    wf_batcher *b;
    wf_schedule *s;
    int tag[2];
    assert_int_equal(wf_batcher_create(&c, &b), WF_OK);
    assert_int_equal(wf_schedule_create(b, &s), WF_OK);
    wf_kvpool *pool = wf_batcher_pool(b);
    page = wf_kvpool_take(pool); // computed by somebody before
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            wf_batcher_submit(
                b, &(wf_batcher_request){.tag = &tag[i], .n_prompt = 6, .n_limit = 1 + i}),
            WF_OK);
    wf_batcher_plan(b, 0, true, s);
    assert_int_equal(s->n_seqs, 2);
    assert_int_equal(s->n_tokens, 4); // two of six tokens each
    assert_int_equal(s->n_joins, 2);
    assert_int_equal(s->n_shared, 2);
    assert_int_equal(s->kv_pages, 3);
    for (int i = 0; i < 2; i++) {
        assert_true(s->seqs[i].join && s->seqs[i].n_past == 4 && s->seqs[i].n_new == 2);
        assert_int_equal(s->page_col[2 * i], 0);
        assert_int_equal(s->page[2 * i], page);
        assert_int_not_equal(s->page[2 * i + 1], page);
    }
    wf_kvpool_drop(pool, page); // whoever kept it has enough of it
    assert_int_equal(wf_kvpool_n_free(pool), 3);
    wf_gain gains[2] = {{1, true, 0}, {1, false, 0}};
    wf_batcher_commit(b, s, gains);
    wf_batcher_plan(b, 0, true, s); // A leaves, B goes on
    assert_int_equal(wf_kvpool_n_free(pool), 4);
    gains[0].over = true;
    wf_batcher_commit(b, s, gains);
    wf_batcher_plan(b, 0, true, s);
    assert_int_equal(s->n_seqs, 0);
    assert_int_equal(wf_kvpool_n_free(pool), 6);
    wf_schedule_destroy(s);
    wf_batcher_destroy(b);
}

static void what_never_fits_is_refused_with_the_numbers(void **state)
{
    (void)state;
    wf_batcher_config c = {.max_rows = 2,
                           .step_tokens = 8,
                           .page_tokens = 4,
                           .n_pages = 5,
                           .max_pages = 100,
                           .slot_pages = 3};
    wf_batcher *b;
    assert_int_equal(wf_batcher_create(&c, &b), WF_OK);
    int tag;
    wf_batcher_request fits = {.tag = &tag, .n_prompt = 16, .n_limit = 5};
    wf_batcher_request too_big = {.tag = &tag, .n_prompt = 16, .n_limit = 6};
    assert_int_equal(wf_batcher_submit(b, &fits), WF_OK);
    assert_int_equal(wf_batcher_submit(b, &too_big), WF_REQ_MEMORY);
    assert_non_null(strstr(wf_error(), "need 6 KV pages of 4 tokens, there are 5"));
    wf_batcher_destroy(b);
    c.reorder = WF_REORDER_COPY;
    assert_int_equal(wf_batcher_create(&c, &b), WF_OK);
    assert_int_equal(wf_batcher_submit(b, &fits), WF_REQ_MEMORY);
    assert_non_null(strstr(wf_error(), "a slot has 3"));
    wf_batcher_destroy(b);
}

static void contradictory_limits_are_refused(void **state)
{
    (void)state;
    const wf_batcher_config good = {
        .max_rows = 4, .step_tokens = 8, .page_tokens = 4, .n_pages = 5, .max_pages = 9};
    wf_batcher_config bad[7] = {good, good, good, good, good, good, good};
    bad[0].step_tokens = 3;
    bad[1].max_rows = 0;
    bad[2].fusion = WF_FUSION_INSTANCES, bad[2].instances = 5;
    bad[3].reorder = WF_REORDER_COPY;
    bad[4].reorder = WF_REORDER_COPY, bad[4].slot_pages = 9, bad[4].share = share_first;
    bad[5].reorder = WF_REORDER_OFF, bad[5].share = share_first;
    bad[6].share = share_first, bad[6].shared_pages = 8;
    for (int i = 0; i < 7; i++) {
        wf_batcher *b = NULL;
        assert_int_equal(wf_batcher_create(&bad[i], &b), WF_CONFIG);
        assert_null(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_page_is_free_when_all_have_gone),
        cmocka_unit_test(what_never_fits_is_refused_with_the_numbers),
        cmocka_unit_test(contradictory_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
