#include "tests/base/base_test.h"

#include "engine/model_values.h"
#include "kernels/convert.h"

#include <math.h>
#include <stdbool.h>

enum { N = 5000 };

// Each limit is tried from both sides: the largest good value and the smallest bad one.
static void limits(void **state)
{
    (void)state;
    static const struct {
        wf_dtype from, to;
        uint32_t good, bad;
    } rows[] = {
        {WF_F32, WF_F32, 0x7f7fffff, 0x7f800000}, {WF_F32, WF_F32, 0xff7fffff, 0xff800000},
        {WF_F32, WF_F32, 0x00000001, 0x7fc00000}, {WF_F32, WF_BF16, 0x7f7f7fff, 0x7f7f8000},
        {WF_F32, WF_F16, 0x477fefff, 0x477ff000}, {WF_F32, WF_F16, 0xc77fefff, 0xc77ff000},
        {WF_BF16, WF_BF16, 0x7f7f, 0x7f80},       {WF_BF16, WF_F32, 0xff7f, 0xffc0},
        {WF_BF16, WF_F16, 0x477f, 0x4780},        {WF_F16, WF_F16, 0x7bff, 0x7c00},
        {WF_F16, WF_F32, 0xfbff, 0xfe00},         {WF_F16, WF_BF16, 0x7bff, 0x7c01},
    };
    static uint32_t values[N];
    uint16_t *halves = (uint16_t *)values;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        bool wide = rows[i].from == WF_F32;
        for (int j = 0; j < N; j++) {
            if (wide) values[j] = rows[i].good;
            if (!wide) halves[j] = (uint16_t)rows[i].good;
        }
        assert_int_equal(wf_values_find_bad(values, N, rows[i].from, rows[i].to), -1);
        static const uint16_t places[] = {N - 1, 4096, 1023, 0};
        for (size_t p = 0; p < N_ROWS(places); p++) {
            if (wide) values[places[p]] = rows[i].bad;
            if (!wide) halves[places[p]] = (uint16_t)rows[i].bad;
            assert_int_equal(wf_values_find_bad(values, N, rows[i].from, rows[i].to), places[p]);
            assert_int_equal(wf_values_find_bad(values, places[p], rows[i].from, rows[i].to), -1);
        }
        // The same verdict as the conversion that follows.
        float good = wide ? wf_f32_of_bits(rows[i].good) : wf_load_f32(halves, rows[i].from, 1);
        float bad = wf_load_f32(values, rows[i].from, 0), kept[2];
        wf_store_f32(kept, rows[i].to, 0, good);
        assert_true(isfinite(wf_load_f32(kept, rows[i].to, 0)));
        wf_store_f32(kept, rows[i].to, 0, bad);
        assert_true(!isfinite(wf_load_f32(kept, rows[i].to, 0)));
    }
    assert_int_equal(wf_values_find_bad(values, 0, WF_F32, WF_F32), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
