// weft doctor: the table of checks as a pure function, and the program on this machine.
#include "tests/launcher/cli_test.h"

#include <math.h>

#include "launcher/watch/doctor.h"

typedef struct {
    wf_check check;
    double value, reference;
    int judged;
    wf_verdict verdict;
    const char *words;
} judge_case;

static const judge_case cases[] = {
    {WF_CHECK_FSYNC, 3, 0, 1, WF_VERDICT_OK, "3 ms"},
    {WF_CHECK_FSYNC, 50, 0, 1, WF_VERDICT_OK, "at most 50 ms"},
    {WF_CHECK_FSYNC, 51, 0, 1, WF_VERDICT_WARN, "51 ms"},
    {WF_CHECK_FSYNC, 2000, 0, 1, WF_VERDICT_BAD, "2000 ms"},
    {WF_CHECK_SPACE, 10, 0, 1, WF_VERDICT_OK, "at least 10 GiB"},
    {WF_CHECK_SPACE, 1, 0, 1, WF_VERDICT_WARN, "1 GiB"},
    {WF_CHECK_SPACE, 0.2, 0, 1, WF_VERDICT_BAD, "0.2 GiB"},
    {WF_CHECK_MEMLOCK, INFINITY, 0, 1, WF_VERDICT_OK, "no limit"},
    {WF_CHECK_EXCL, 0, 0, 1, WF_VERDICT_BAD, "no"},
    {WF_CHECK_LOCKS, 0, 0, 1, WF_VERDICT_WARN, "no"}, // Weft does without
    {WF_CHECK_DEVICES, 0.5, 0, 1, WF_VERDICT_WARN, "in part"},
    {WF_CHECK_DEVICES, 0, 0, 1, WF_VERDICT_BAD, "no"},
    // A share of the link's speed: 40% of 12.5 GB/s is 5 GB/s.
    {WF_CHECK_MPI_FAR_RATE, 6, 12.5, 1, WF_VERDICT_OK, "at least 5 GB/s"},
    {WF_CHECK_MPI_FAR_RATE, 1.2, 12.5, 1, WF_VERDICT_WARN, "1.2 GB/s"},
    {WF_CHECK_MPI_FAR_RATE, 0.1, 12.5, 1, WF_VERDICT_BAD, "0.1 GB/s"},
    // A link that does not say its speed: nothing to expect.
    {WF_CHECK_MPI_FAR_RATE, 0.1, 0, 1, WF_VERDICT_OK, "nothing known"},
    {WF_CHECK_FSYNC, 1e9, 0, 0, WF_VERDICT_OK, "nothing known"},
};

static void test_judge(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_measure m = {.check = (int32_t)cases[i].check,
                        .judged = cases[i].judged,
                        .value = cases[i].value,
                        .reference = cases[i].reference,
                        .place = "rank 0 on n1"};
        wf_finding finding[WF_N_CHECKS];
        wf_text text = {0};
        assert_int_equal(wf_doctor_judge(&m, 1, finding), 1);
        wf_finding_text(finding, &text);
        if (finding->verdict != cases[i].verdict || !strstr(text.bytes, cases[i].words))
            fail_msg("case %zu: %s", i, text.bytes);
        wf_text_free(&text);
    }
}

// Of many measures the worst speaks, and names its place.
static void test_worst_speaks(void **state)
{
    (void)state;
    wf_measures m = {0};
    wf_finding finding[WF_N_CHECKS];
    wf_measure_add(&m, WF_CHECK_CLOCK, 2, "n2");
    wf_measure_add(&m, WF_CHECK_FSYNC, 10, "n1");
    wf_measure_add(&m, WF_CHECK_FSYNC, 70, "n2");
    wf_measure_add(&m, WF_CHECK_FSYNC, 20, "n3");
    m.item[3].judged = 0; // the worst may not be one that cannot be judged
    wf_measure_add(&m, WF_CHECK_FSYNC, 1e9, "n4");
    m.item[4].judged = 0;
    assert_int_equal(wf_doctor_judge(m.item, (size_t)m.n, finding), 2);
    assert_int_equal(finding[1].check, WF_CHECK_FSYNC);
    assert_string_equal(finding[1].worst->place, "n2");
    assert_int_equal(finding[1].n, 4);
    assert_int_equal(finding[1].verdict, WF_VERDICT_WARN);
    assert_string_equal(finding[0].worst->place, "n2");
    for (int i = 0; i < 2 * WF_MEASURES_MAX; i++)
        wf_measure_add(&m, WF_CHECK_CLOCK, 0, "n1");
    assert_int_equal(m.n, WF_MEASURES_MAX);
}

static void test_here(void **state)
{
    (void)state;
    assert_run("ulimit -n 100; " WEFT " doctor --out probe", 71, "BAD   open files allowed");
    assert_run("ulimit -n 100; " WEFT " doctor --out probe", 71, "BAD   rank 0 on ");
    // What may be locked matters to devices and networks: one node without a device asks for
    // nothing.
    static ran r;
    run("ulimit -l 64; " WEFT " doctor --out probe", &r);
    bool device = strstr(r.out, "devices") != NULL;
    assert_int_equal(strstr(r.out, "memory that may be locked") != NULL, device);
    assert_run("OMP_NUM_THREADS=4096 " WEFT " doctor --out probe --json | /usr/bin/python3 -c "
               "'import json,sys; d=json.load(sys.stdin); print([c[\"note\"] for c in "
               "d[\"checks\"] if c[\"verdict\"]==\"warn\" and \"OpenMP\" in c[\"check\"]])'",
               0, "OMP_NUM_THREADS=4096");
    assert_run(WEFT " doctor --out /proc/nothing/there", 74, "/proc/nothing");
    assert_run("ls -A probe | wc -l", 0, "0"); // nothing is left behind
    assert_run(WEFT " doctor nonsense", 64, NULL);
}

static void test_ranks(void **state)
{
    (void)state;
    static ran r;
    run(WEFT " --version", &r);
    if (strstr(r.out, "mpi    not built in") || system("command -v mpirun >/dev/null") != 0) skip();
    run("mpirun -n 3 " WEFT " doctor --out probe --tensor 2", &r);
    if (r.code != 0 && r.code != 71) fail_msg("%s%s", r.out, r.err);
    assert_non_null(strstr(r.out, "3 ranks on 1 node"));
    assert_non_null(strstr(r.out, "MPI round trip, same node"));
    assert_non_null(strstr(r.out, "MPI all-reduce of 16 MiB in a group"));
    assert_non_null(strstr(r.out, "ok    the same program everywhere"));
    // Another build on one of the ranks.
    assert_run("cp " WEFT " weft-other && echo >>weft-other", 0, NULL);
    run("mpirun -n 1 " WEFT " doctor --out probe : -n 1 ./weft-other doctor --out probe", &r);
    assert_int_equal(r.code, 71);
    assert_non_null(strstr(r.out, "BAD   the same program everywhere"));
    assert_non_null(strstr(r.out, "rank 1 on "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_worst_speaks),
        cmocka_unit_test(test_here),
        cmocka_unit_test(test_ranks),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
