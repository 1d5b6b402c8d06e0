// Limits: what follows from a configuration, and what is refused with its numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/limits.h"

static const wf_arch arch = {.max_context = 1000};

static wf_engine_config config(void)
{
    return (wf_engine_config){.max_rows = 8, .step_tokens = 64, .page_tokens = 16, .n_top = -1};
}

static void contexts_and_slots_in_pages(void **state)
{
    (void)state;
    static const struct {
        wf_reorder reorder;
        int32_t max_context, slot_tokens; // as configured
        int32_t context, max_pages, slot_pages;
    } rows[] = {
        {WF_REORDER_INDEX, 0, 0, 1000, 63, 0},  {WF_REORDER_INDEX, 100, 320, 100, 7, 0}, // no slots
        {WF_REORDER_OFF, 16, 0, 16, 1, 0},      {WF_REORDER_COPY, 0, 0, 1000, 63, 63},
        {WF_REORDER_COPY, 100, 0, 100, 7, 7},   {WF_REORDER_COPY, 100, 17, 100, 7, 2},
        {WF_REORDER_COPY, 100, 320, 100, 7, 7}, // no request could use more
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_engine_config c = config();
        wf_limits l;
        c.reorder = rows[i].reorder;
        c.max_context = rows[i].max_context;
        c.slot_tokens = rows[i].slot_tokens;
        assert_int_equal(wf_engine_limits(&c, &arch, 1, false, &l), WF_OK);
        assert_int_equal(l.max_context, rows[i].context);
        assert_int_equal(l.forward.max_pages, rows[i].max_pages);
        assert_int_equal(l.forward.slot_pages, rows[i].slot_pages);
        assert_int_equal(l.plan.slot_pages, rows[i].slot_pages);
    }
}

static void steps_are_padded_where_they_may_be_captured(void **state)
{
    (void)state;
    static const struct {
        wf_capture capture;
        bool captures, pad, capture_them;
    } rows[] = {
        {WF_CAPTURE_AUTO, true, true, true},      {WF_CAPTURE_AUTO, false, false, true},
        {WF_CAPTURE_OFF, true, false, false},     {WF_CAPTURE_OFF, false, false, false},
        {WF_CAPTURE_PAD_ONLY, true, true, false}, {WF_CAPTURE_PAD_ONLY, false, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_engine_config c = config();
        wf_limits l;
        c.capture = rows[i].capture;
        assert_int_equal(wf_engine_limits(&c, &arch, 2, rows[i].captures, &l), WF_OK);
        assert_int_equal(l.forward.pad, rows[i].pad);
        assert_int_equal(l.plan.pad, rows[i].pad);
        assert_int_equal(l.forward.capture, rows[i].capture_them);
        assert_int_equal(l.plan.group_size, 2);
    }
}

static void contradictions_are_refused_with_their_numbers(void **state)
{
    (void)state;
    wf_engine_config good = config(), bad[5] = {good, good, good, good, good};
    static const char *const words[] = {"instances needs parallel.tensor 1, not 2",
                                        "max_context 1001 is beyond the model's 1000", "max_rows 0",
                                        "step_tokens 7", "page_tokens 0"};
    bad[0].fusion = WF_FUSION_INSTANCES;
    bad[1].max_context = 1001;
    bad[2].max_rows = 0;
    bad[3].step_tokens = 7;
    bad[4].page_tokens = 0;
    for (int i = 0; i < 5; i++) {
        wf_limits l;
        assert_int_equal(wf_engine_limits(&bad[i], &arch, 2, false, &l), WF_CONFIG);
        assert_non_null(strstr(wf_error(), words[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_and_slots_in_pages),
        cmocka_unit_test(steps_are_padded_where_they_may_be_captured),
        cmocka_unit_test(contradictions_are_refused_with_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
