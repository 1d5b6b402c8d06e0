// Slurm's environment, node lists and times, from tables.
#include "tests/base/base_test.h"

#include <time.h>

#include "slurm/env.h"

// `context` is a NULL-ended list of name, value, name, value ...
static const char *table_lookup(void *context, const char *name)
{
    for (const char **at = context; *at; at += 2)
        if (strcmp(at[0], name) == 0) return at[1];
    return NULL;
}

static void test_outside_slurm(void **state)
{
    (void)state;
    const char *nothing[] = {NULL};
    wf_slurm_env env;
    assert_int_equal(wf_slurm_env_read(table_lookup, nothing, &env), WF_OK);
    assert_false(env.present);
    assert_false(env.in_step);
    assert_int_equal(env.proc_id, -1);
    assert_string_equal(env.node_list, "");
    assert_int_equal(wf_slurm_time_left(&env), -1);
}

static void test_batch_script_and_step(void **state)
{
    (void)state;
    const char *batch[] = {"SLURM_JOB_ID",
                           "1234",
                           "SLURM_RESTART_COUNT",
                           "2",
                           "SLURM_JOB_NUM_NODES",
                           "4",
                           "SLURM_NTASKS",
                           "32",
                           "SLURM_JOB_NODELIST",
                           "n[1-4]",
                           "SLURM_PROCID",
                           "0",
                           "SLURM_JOB_END_TIME",
                           "99",
                           "SLURM_ARRAY_TASK_ID",
                           "",
                           NULL};
    wf_slurm_env env;
    assert_int_equal(wf_slurm_env_read(table_lookup, batch, &env), WF_OK);
    assert_true(env.present);
    assert_false(env.in_step); // the batch script's SLURM_PROCID makes no step
    assert_int_equal(env.job_id, 1234);
    assert_int_equal(env.restarts, 2);
    assert_int_equal(env.n_nodes, 4);
    assert_int_equal(env.n_tasks, 32);
    assert_int_equal(env.array_task, -1);
    assert_int_equal(wf_slurm_time_left(&env), 0); // long over
    env.end_unix_s = (int64_t)time(NULL) + 3600;
    assert_in_range(wf_slurm_time_left(&env), 3590, 3600);

    const char *step[] = {"SLURM_JOBID",
                          "7",
                          "SLURM_STEP_ID",
                          "0",
                          "SLURM_PROCID",
                          "5",
                          "SLURM_LOCALID",
                          "1",
                          "SLURM_NODEID",
                          "2",
                          NULL};
    assert_int_equal(wf_slurm_env_read(table_lookup, step, &env), WF_OK);
    assert_true(env.in_step);
    assert_int_equal(env.job_id, 7);
    assert_int_equal(env.proc_id, 5);
    assert_int_equal(env.local_id, 1);
    assert_int_equal(env.node_id, 2);
}

static void test_bad_variables_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"SLURM_JOB_ID", "12a"},
                                         {"SLURM_JOB_ID", "0"},
                                         {"SLURM_RESTART_COUNT", "-1"},
                                         {"SLURM_NTASKS", "99999999999999999999"}};
    for (size_t i = 0; i < N_ROWS(bad); i++) {
        const char *table[] = {bad[i][0], bad[i][1], NULL};
        wf_slurm_env env;
        assert_int_equal(wf_slurm_env_read(table_lookup, table, &env), WF_CONFIG);
        assert_non_null(strstr(wf_error(), bad[i][0]));
    }
}

static void test_node_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *names;
    } rows[] = {
        {"", ""},
        {"n1", "n1 "},
        {"a,b", "a b "},
        {"gpu[01-03,7],x", "gpu01 gpu02 gpu03 gpu7 x "},
        {"n[9-11]", "n9 n10 n11 "},
        {"n[098-101]s", "n098s n099s n100s n101s "},
        {"r[1-2]n[1,3]", "r1n1 r1n3 r2n1 r2n3 "},
        {"c[1-2]-x[3,4],d[5]", "c1-x3 c1-x4 c2-x3 c2-x4 d5 "},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_slurm_nodes nodes;
        char got[512] = "";
        assert_int_equal(wf_slurm_nodes_expand(rows[i].list, &nodes), WF_OK);
        for (size_t k = 0; k < nodes.n; k++)
            strcat(strcat(got, nodes.name[k]), " ");
        assert_string_equal(got, rows[i].names);
        wf_slurm_nodes_free(&nodes);
    }
}

static void test_bad_node_lists(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "n[1-",
        "n[1",
        "n[]",
        "n[a]",
        "n[3-1]",
        "n[1-2",
        ",a",
        "a,",
        "a,,b",
        "n[1;2]",
        "n[1-99999999]",
        "n[-1]",
        "n[1-300]x[1-300]",
        "n[1,]",
        "n[1-]",
        "n[[1]]",
        "n[1--2]",
    };
    for (size_t i = 0; i < N_ROWS(lists); i++) {
        wf_slurm_nodes nodes = {0};
        if (wf_slurm_nodes_expand(lists[i], &nodes) != WF_CONFIG) print_error("%s\n", lists[i]);
        assert_int_equal(wf_slurm_nodes_expand(lists[i], &nodes), WF_CONFIG);
        assert_null(nodes.name);
        assert_non_null(strstr(wf_error(), "node list"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outside_slurm),
        cmocka_unit_test(test_batch_script_and_step),
        cmocka_unit_test(test_bad_variables_are_named),
        cmocka_unit_test(test_node_lists),
        cmocka_unit_test(test_bad_node_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
