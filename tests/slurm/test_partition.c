// What partitions give, from scontrol's lines, and jobs that ask for more.
#include "tests/base/base_test.h"

#include "slurm/partition.h"

#define GPU                                                                                        \
    "PartitionName=gpu AllowGroups=ALL Default=YES QoS=N/A DefaultTime=NONE MaxNodes=3 "           \
    "MaxTime=1-00:00:00 MinNodes=0 Nodes=n[1-4] TotalCPUs=16 TotalNodes=4"
#define LONG "PartitionName=long Default=NO MaxNodes=UNLIMITED MaxTime=UNLIMITED TotalNodes=2"

static void test_lines(void **state)
{
    (void)state;
    wf_partition p;
    assert_true(wf_partition_parse(GPU, &p));
    assert_string_equal(p.name, "gpu");
    assert_true(p.is_default);
    assert_true(p.n_nodes == 4 && p.most_nodes == 3 && p.most_time_s == 86400);
    assert_true(wf_partition_parse(LONG, &p));
    assert_true(!p.is_default && p.n_nodes == 2);
    assert_true(p.most_nodes == INT64_MAX && p.most_time_s == INT64_MAX);
    assert_false(wf_partition_parse("", &p));
    assert_false(wf_partition_parse("slurm_load_partitions error: x", &p));
}

static void test_what_waits_for_ever(void **state)
{
    (void)state;
    static const struct {
        const char *names;
        int64_t n_nodes, time_s;
        const char *says; // NULL: fits
    } rows[] = {
        {"", 3, 86400, NULL},
        {"", 4, 0, "slurm.nodes: 4 nodes asked, the partition gpu gives a job 3"},
        {"long", 40, 0,
         "slurm.nodes: 40 nodes asked, the partition long has 2: the job would wait"},
        {"gpu,long", 3, 0, NULL},
        {"gpu,long", 2, 100000, NULL},
        {"gpu", 1, 86401, "slurm.time: 86401 s asked, the partition gpu gives a job 86400 s"},
        {"elsewhere", 400, 0, NULL},
        {"gp", 400, 0, NULL},
    };
    wf_partition all[2];
    assert_true(wf_partition_parse(GPU, &all[0]) && wf_partition_parse(LONG, &all[1]));
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_status st = wf_partitions_check(all, 2, rows[i].names, rows[i].n_nodes, rows[i].time_s);
        assert_int_equal(st, rows[i].says ? WF_CONFIG : WF_OK);
        if (rows[i].says) assert_contains(wf_error(), rows[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_what_waits_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
