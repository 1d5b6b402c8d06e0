// Batch scripts against goldens (WEFT_UPDATE=1 renews them; read the diff), bash's opinion of each,
// and the values that are refused.
#include "tests/base/base_test.h"

#include "io/base/file.h"
#include "slurm/script.h"

// What every script has; the three others differ.
#define ALWAYS                                                                                     \
    .job_name = "azure", .folder = "/home/u", .job_file = "/home/u/out/azure/submit/job.yaml"
#define PLACES            .out_folder = "/home/u/out/azure", .weft = "/opt/weft/bin/weft"
#define IN_AN_IMAGE       .out_folder = "/home/u/out/azure", .weft = "weft"
#define RANKS(n_nodes, n) .nodes = n_nodes, .tasks_per_node = n
#define LEAST             ALWAYS, PLACES, RANKS(1, 1)

static const char *const setup[] = {"module load cuda/12 openmpi", "export NCCL_DEBUG=WARN"};
static const char *const extra[] = {"--exclusive", "--comment=\"night run\""};
static const char *const mounts[] = {"/home/u", "/data/models"};

static const struct {
    const char *golden;
    wf_script script;
} rows[] = {
    {"least.sh", {LEAST}},
    {"most.sh",
     {ALWAYS,
      PLACES,
      RANKS(4, 8),
      .gpus_per_node = 8,
      .cpus_per_task = 12,
      .partition = "gpu",
      .account = "ab 12",
      .qos = "long",
      .constraint = "h100|h200",
      .mem = "900G",
      .time_s = 90061,
      .signal_s = 300,
      .requeue = true,
      .give_up = 3,
      .setup = setup,
      .n_setup = 2,
      .extra = extra,
      .n_extra = 2,
      .model = "/data/models/llama's",
      .stage_to = "/local/$USER"}},
    {"array.sh",
     {ALWAYS, RANKS(1, 1), .weft = "/opt/weft", .array = 16, .force = true, .requeue = true,
      .give_up = 3, .out_folder = "/home/50% of it"}},
    {"chain.sh", {LEAST, .chained = true, .time_s = 3600, .signal_s = 60}},
    {"groups.sh", {ALWAYS, PLACES, RANKS(4, 8), .gpus_per_node = 8, .conducts = true}},
    {"pyxis.sh",
     {ALWAYS, IN_AN_IMAGE, RANKS(1, 1), .container = "registry#org/weft:1", .mounts = mounts,
      .n_mounts = 2}},
    {"apptainer.sh",
     {ALWAYS, IN_AN_IMAGE, RANKS(1, 2), .container = "/images/weft 1.sif", .mounts = mounts,
      .n_mounts = 2, .gpus_per_node = 2}},
};

static void golden_path(size_t i, char path[4096])
{
    snprintf(path, 4096, "%s/tests/slurm/golden/%s", WEFT_SOURCE_DIR, rows[i].golden);
}

static void test_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char path[4096], *text = NULL, *golden = NULL;
        golden_path(i, path);
        assert_int_equal(wf_script_render(&rows[i].script, &text), WF_OK);
        if (getenv("WEFT_UPDATE")) {
            assert_int_equal(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE),
                             WF_OK);
        }
        assert_int_equal(wf_file_read(path, 1 << 20, &golden, NULL), WF_OK);
        assert_string_equal(text, golden);
        free(golden);
        free(text);
    }
}

static void test_bash_can_read_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char path[4096], command[8192];
        golden_path(i, path);
        snprintf(command, sizeof command, "bash -n '%s'", path);
        assert_int_equal(system(command), 0);
    }
}

static void test_what_cannot_stand_in_a_script(void **state)
{
    (void)state;
    static const char *const two_lines[] = {"--a\n#SBATCH --b"}, *const no_option[] = {"exclusive"};
    static const struct {
        wf_script script;
        const char *words;
    } bad[] = {
        {{LEAST, .account = "a\n#SBATCH --uid=0"}, "sbatch --account: the value has a line break"},
        {{LEAST, .extra = two_lines, .n_extra = 1}, "slurm.extra"},
        {{LEAST, .extra = no_option, .n_extra = 1}, "\"exclusive\": an option of sbatch"},
    };
    for (size_t i = 0; i < N_ROWS(bad); i++) {
        char *text = NULL;
        assert_int_equal(wf_script_render(&bad[i].script, &text), WF_CONFIG);
        assert_null(text);
        assert_non_null(strstr(wf_error(), bad[i].words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_bash_can_read_them),
        cmocka_unit_test(test_what_cannot_stand_in_a_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
