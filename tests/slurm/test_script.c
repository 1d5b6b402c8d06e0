// Batch scripts against goldens (WEFT_UPDATE=1 renews them; read the diff), bash's opinion of each,
// and the values that are refused.
#include "tests/base/base_test.h"

#include <sys/stat.h>

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
      .n_mounts = 2, .gpus_per_node = 2, .model = "/data/models/llama",
      .stage_to = "/local/$USER"}},
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

// What a job asks for is its shape, whatever it is called; a study's runs of one shape are an
// array.
static void test_tasks_of_one_shape(void **state)
{
    static const char *const names[] = {"max_rows-4_rate-1", "it's $(touch ran)"};
    char path[4096], command[8192], *script = NULL, *shape = NULL, *other = NULL, *text = NULL,
                                    *golden = NULL;
    (void)state;
    wf_script job = rows[1].script;
    assert_int_equal(wf_script_render(&job, &script), WF_OK);
    assert_int_equal(wf_script_shape(script, &shape), WF_OK);
    free(script);
    job.job_name = "other";
    job.out_folder = "/elsewhere";
    assert_int_equal(wf_script_render(&job, &script), WF_OK);
    assert_int_equal(wf_script_shape(script, &other), WF_OK);
    assert_string_equal(shape, other);
    free(script);
    free(other);
    job.nodes = 2;
    assert_int_equal(wf_script_render(&job, &script), WF_OK);
    assert_int_equal(wf_script_shape(script, &other), WF_OK);
    assert_string_not_equal(shape, other);
    const wf_tasks_script tasks = {.job_name = "a study",
                                   .shape = shape,
                                   .n = 2,
                                   .folder = "/home/50% of it/points",
                                   .name = names,
                                   .log_folder = "/home/50% of it/submit",
                                   .max_running = 3};
    assert_int_equal(wf_script_render_tasks(&tasks, &text), WF_OK);
    snprintf(path, sizeof path, "%s/tests/slurm/golden/tasks.sh", WEFT_SOURCE_DIR);
    if (getenv("WEFT_UPDATE"))
        assert_int_equal(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE), WF_OK);
    assert_int_equal(wf_file_read(path, 1 << 20, &golden, NULL), WF_OK);
    assert_string_equal(text, golden);
    snprintf(command, sizeof command, "bash -n '%s'", path);
    assert_int_equal(system(command), 0);
    char *const all[] = {script, shape, other, text, golden};
    for (size_t i = 0; i < N_ROWS(all); i++)
        free(all[i]);
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

// Words that would run, or be taken apart, if any of them were read as shell.
#define HOSTILE "a $(touch ran) `touch ran` ${x:-$(touch ran)} \\ \"q\" 'q' ;touch ran;& |* $HOME"
#define FOLDER  "/tmp/" HOSTILE

// srun and the like, which keep the words they were given and change nothing.
static void tools_make(const char *folder)
{
    static const char *const tools[] = {"srun", "scancel", "scontrol", "weft"};
    char path[4096];
    for (size_t i = 0; i < N_ROWS(tools); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, tools[i]);
        const char *text = "#!/bin/bash\nprintf '%s\\n' \"${0##*/}\" \"$@\" >>words\nexit 75\n";
        assert_int_equal(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE), WF_OK);
        assert_int_equal(chmod(path, 0700), 0);
    }
}

// Runs the script in a folder of its own; the words that its commands were given, one a line. own.
static char *script_run(const wf_script *script)
{
    char folder[] = "/tmp/weft-script.XXXXXX", path[4096], command[8192], *text = NULL,
         *words = NULL;
    assert_non_null(mkdtemp(folder));
    tools_make(folder);
    assert_int_equal(wf_script_render(script, &text), WF_OK);
    snprintf(path, sizeof path, "%s/job.sh", folder);
    assert_int_equal(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE), WF_OK);
    free(text);
    snprintf(command, sizeof command,
             "cd %s && env -i PATH=%s:/usr/bin:/bin USER='u $(touch ran)' SLURM_JOB_ID=7 "
             "SLURM_JOB_NUM_NODES=1 bash job.sh >said 2>&1; test -e words && test ! -e ran",
             folder, folder);
    if (system(command) != 0) fail_msg("%s: something ran, or nothing did", folder);
    snprintf(path, sizeof path, "%s/words", folder);
    assert_int_equal(wf_file_read(path, 1 << 20, &words, NULL), WF_OK);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    return words;
}

static void test_nothing_in_data_runs(void **state)
{
    (void)state;
    static const char *const places[] = {FOLDER, "/data/$(touch ran)"};
    // The commands' words must be the data's own, to the letter.
    static const struct {
        wf_script script;
        const char *words[3];
    } hostile[] = {
        {{.job_name = HOSTILE,
          .folder = FOLDER,
          .out_folder = FOLDER,
          .weft = "weft",
          .job_file = FOLDER "/submit/job.yaml",
          RANKS(1, 1),
          .conducts = true,
          .requeue = true},
         {"weft\nrun\n" FOLDER "/submit/job.yaml\n", "scontrol\nrequeue\n7\n"}},
        {{LEAST, .requeue = true, .model = FOLDER, .stage_to = "/local/a b/$USER/;touch ran"},
         {"stage\n" FOLDER "\n/local/a b/u $(touch ran)/;touch ran/weft-"}},
        {{LEAST, .container = "/images/" HOSTILE ".sif", .model = FOLDER,
          .stage_to = "${USER}`touch ran`$USER"},
         {"\n/images/" HOSTILE ".sif\n"}},
        {{LEAST, .container = "/images/a.sif", .mounts = places + 1, .n_mounts = 1, .model = "/m",
          .stage_to = "/local/$USER"},
         {"apptainer\nexec\n--bind=/data/$(touch ran):/data/$(touch ran),"
          "/local/u $(touch ran):/local/u $(touch ran)\n/images/a.sif\n"}},
        {{LEAST, .container = HOSTILE, .mounts = places + 1, .n_mounts = 1},
         {"\n--container-image=" HOSTILE "\n",
          "\n--container-mounts=/data/$(touch ran):/data/$(touch ran)\n"}},
    };
    for (size_t i = 0; i < N_ROWS(hostile); i++) {
        char *words = script_run(&hostile[i].script);
        for (size_t k = 0; k < 3 && hostile[i].words[k]; k++)
            assert_contains(words, hostile[i].words[k]);
        free(words);
    }
}

static void test_what_cannot_stand_in_a_script(void **state)
{
    (void)state;
    static const char *const two_lines[] = {"--a\n#SBATCH --b"}, *const no_option[] = {"exclusive"},
                             *const comma[] = {"/a,/etc"};
    static const struct {
        wf_script script;
        const char *words;
    } bad[] = {
        {{LEAST, .account = "a\n#SBATCH --uid=0"}, "sbatch --account: the value has a line break"},
        {{LEAST, .extra = two_lines, .n_extra = 1}, "slurm.extra"},
        {{LEAST, .extra = no_option, .n_extra = 1}, "\"exclusive\": an option of sbatch"},
        {{LEAST, .model = "/m", .stage_to = "/local/$(id)"}, "and no other $"},
        {{LEAST, .model = "/m", .stage_to = "/local/${x:-$(id)}"}, "and no other $"},
        {{LEAST, .model = "/m", .stage_to = "/local/$((a[$(id)]))"}, "and no other $"},
        {{LEAST, .model = "/m", .stage_to = "/local/$1"}, "and no other $"},
        {{LEAST, .model = "/m", .stage_to = "/local/${USER"}, "and no other $"},
        {{LEAST, .model = "/m", .stage_to = "local/of/what"}, "the whole path of a folder"},
        {{LEAST, .container = "a.sif", .mounts = comma, .n_mounts = 1},
         "/a,/etc: a path with a comma"},
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
        cmocka_unit_test(test_tasks_of_one_shape),
        cmocka_unit_test(test_nothing_in_data_runs),
        cmocka_unit_test(test_what_cannot_stand_in_a_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
