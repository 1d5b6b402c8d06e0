// The command line: help, versions, the reference of the job file, and every kind of bad input with
// its line and its exit code.
#include "tests/launcher/cli_test.h"

typedef struct {
    const char *command;
    int code;
    const char *part; // of stdout or stderr
} cli_row;

static void run_rows(const cli_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_run(rows[i].command, rows[i].code, rows[i].part);
}

static const cli_row help_rows[] = {
    {WEFT, 64, "usage: weft COMMAND"},
    {WEFT " --help", 0, "usage: weft COMMAND"},
    {WEFT " help run", 0, "usage: weft run [options] JOB.yaml"},
    {WEFT " run --help", 0, "usage: weft run [options] JOB.yaml"},
    {WEFT " run -h nonsense and more", 0, "--fresh"},
    {WEFT " help keys", 0, "engine.max_rows"},
    {WEFT " help keys slurm | grep -c '^  slurm'", 0, NULL},
    {WEFT " help keys slurm | grep -v '^  slurm'", 1, NULL},
    {WEFT " help keys slrum", 64, "no key has \"slrum\" in its name"},
    {WEFT " help run keys", 64, "do not know what to do with \"keys\""},
    {WEFT " run --help | grep -E -e '--group|--epoch|by weft itself'", 1, NULL}, // its own
    {WEFT " help exit-codes", 0, "75"},
    {WEFT " help man run", 0, ".TH"},
    {WEFT " help man job", 0, "engine.max_rows"},
    {WEFT " help man jib", 64, "no manual page of \"jib\""},
    {WEFT " help completion bash", 0, "complete -F _weft weft"},
    {WEFT " help completion csh", 64, "bash, zsh or fish"},
    {WEFT " help exit-codes 3", 64, "do not know what to do with \"3\""},
    {WEFT " help --share /proc/nowhere", 74, "/proc/nowhere"},
    {WEFT " help nothing", 64, "no command or topic \"nothing\""},
    {WEFT " --version", 0, "hdf5"},
    {WEFT " version", 0, "hdf5"},
    {WEFT " version", 0, "driver"},
    {WEFT " --verson", 64, "did you mean --version?"},
    {WEFT " help improt", 64, "did you mean import?"},
    {WEFT " help keys > /dev/full", 74, "standard output"},
};

static void test_help(void **state)
{
    (void)state;
    run_rows(help_rows, N_ROWS(help_rows));
}

static const cli_row usage_rows[] = {
    {WEFT " rum job.yaml", 64, "weft: no command \"rum\"; did you mean run?"},
    {WEFT " run", 64, "weft run: usage: weft run [options] JOB.yaml"},
    {WEFT " generate", 64, "usage: weft generate [options] [JOB.yaml] PROMPTS..."},
    {WEFT " generate job.yaml p.txt", 64, "p.txt: prompts are read from files that end in one of"},
    {WEFT " run job.yaml b.yaml", 64, "do not know what to do with \"b.yaml\""},
    {WEFT " run --sett x job.yaml", 64, "unknown option --sett; did you mean --set?"},
    {WEFT " run job.yaml --set", 64, "option --set needs a value"},
    {WEFT " run -x job.yaml", 64, "unknown option -x"},
    {WEFT " plan --ranks 1e3 job.yaml", 64, "--ranks: \"1e3\" is not a whole number"},
    {WEFT " plan --ranks 2 --nodes 3 job.yaml", 64, "2 ranks on 3 nodes"},
    {WEFT " plan --memory 3apples job.yaml", 64, "--memory"},
    {WEFT " show out", 64, "give either --row or --id"},
    {WEFT " report --json --csv out", 64, "one of them"},
    {WEFT " report --ttft 5 out", 64, "--ttft"},
    {WEFT " merge a b", 64, "--output"},
    {WEFT " import azure log.csv", 64, "give --output FILE"},
    {WEFT " import azur log.csv -o x.h5", 64, "'azur' is no known log format"},
    {WEFT " import azure log.csv -o x.h5 --vocab 5 --model " MODEL, 64, "one of them"},
    {WEFT " import azure log.csv -o x.h5 --jitter 5", 64, "--jitter"},
    {WEFT " pack p.jsonl -o x.h5 --bos 1", 64, "--bos goes with --bytes"},
    {"SLURM_JOB_ID=1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 " WEFT " run job.yaml",
     64, "use srun --mpi=pmix"},
    {"SLURM_JOB_ID=one " WEFT " run job.yaml", 78, "SLURM_JOB_ID"},
};

static void test_usage(void **state)
{
    (void)state;
    run_rows(usage_rows, N_ROWS(usage_rows));
}

static const cli_row missing_rows[] = {
    {WEFT " run nope.yaml", 66, "weft run: nope.yaml: "},
    {WEFT " plan nope.yaml", 66, "weft plan: nope.yaml: "},
    {WEFT " import azure nowhere -o x.h5", 66, "nowhere"},
    {WEFT " pack nowhere -o x.h5", 66, "nowhere"},
    {WEFT " check nowhere", 66, "nowhere"},
    {WEFT " report nowhere", 66, "nowhere"},
    {WEFT " show nowhere --row 1", 66, "nowhere"},
    {WEFT " merge nowhere", 66, "nowhere"},
    {WEFT " run job.yaml --set 'requests=[b*.h5]'", 66, "requests: b*.h5: no such file"},
    {WEFT " run job.yaml --set model.path=nowhere", 66, "model.path: nowhere: no such folder"},
    {"mkdir -p empty; " WEFT " run job.yaml --set model.path=empty", 66, "config.json"},
};

static void test_missing_input(void **state)
{
    (void)state;
    run_rows(missing_rows, N_ROWS(missing_rows));
}

static const cli_row job_rows[] = {
    {"mkdir -p folder.yaml; " WEFT " run folder.yaml", 78, "folder.yaml"},
    {"printf 'model: {path: x\\n' > j.yaml; " WEFT " run j.yaml", 78, "j.yaml:"},
    {"printf 'a:\\n\\t- b\\n' > j.yaml; " WEFT " run j.yaml", 78, "j.yaml:2:1: a tab; "},
    {"printf 'a:\\n  \\tb: c\\n' > j.yaml; " WEFT " run j.yaml", 78, "j.yaml:2:3: a tab; "},
    {"printf 'a: b\\n\\tc: d\\n' > j.yaml; " WEFT " run j.yaml", 78, "j.yaml:2:1: a tab; "},
    {"printf 'a:\\n  -\\tb\\n' > j.yaml; " WEFT " run j.yaml", 78, "j.yaml:2:4: a tab; "},
    {"printf 'job: a\\njob: b\\n' > j.yaml; " WEFT " run j.yaml", 78, "j.yaml:2:1:"},
    {"head -c 2000000 /dev/zero > j.yaml; " WEFT " run j.yaml", 78, "j.yaml"},
    {WEFT " run job.yaml --set engine.max_row=3", 78, "did you mean engine.max_rows?"},
    {WEFT " plan job.yaml --set parallel.backend=gpu", 78, "is not one of auto, ref, cpu, cuda\n"},
    {WEFT " run job.yaml --set engine.max_rows=8e3", 78, "\"8e3\" is not a whole number"},
    {WEFT " run job.yaml --set arrivals.mode=replay", 78,
     "says no times of arrival (all 20 rows are"},
    {WEFT " plan job.yaml --set arrivals.mode=replay", 78,
     "use offline, or constant, poisson or gamma"},
    {"printf '\\357\\273\\277' | cat - job.yaml >mark.yaml; " WEFT " plan mark.yaml", 0,
     "20 in 1 shard"},
    {WEFT " run job.yaml --set parallel.layout=groups --set arrivals.mode=replay", 78,
     "no common clock"},
    {"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 SLURM_JOB_ID= " WEFT
     " run job.yaml --set parallel.layout=groups",
     64, "parallel.layout: groups starts its ranks itself"},
    {WEFT " run job.yaml --set parallel.tensor=2", 78, "needs 2 ranks, 1 was started"},
    {WEFT " run job.yaml --set parallel.replicas=3", 78, "parallel.replicas"},
    {WEFT " run job.yaml --set parallel.tensor=3", 78, "heads"}, // no word of ranks to start
    {WEFT " run job.yaml --set parallel.tensor=3 --set parallel.layout=groups", 78, "heads"},
    {WEFT " plan job.yaml --set parallel.tensor=3", 78, "heads"},
    {WEFT " plan job.yaml --memory 1MiB", 78, "do not fit"},
    {WEFT " plan job.yaml --set engine.max_context=1000000", 78, "engine.max_context"},
    {WEFT " plan job.yaml --device-memory 8GiB --set model.dtype=bf16 --set model.kv_dtype=f32", 78,
     "model.kv_dtype: on cuda bf16 activations need KV memory in bf16, not f32"},
    {WEFT " run job.yaml --set engine.max_context=1000000", 78, "max_context"},
    {"WEFT_ENGINE__MAX_ROWS=x " WEFT " plan job.yaml", 78, "WEFT_ENGINE__MAX_ROWS"},
};

static void test_bad_job_file(void **state)
{
    (void)state;
    run_rows(job_rows, N_ROWS(job_rows));
}

// All mistakes at once, each with its line and a caret, and a summary of one line.
static void test_all_mistakes_are_told(void **state)
{
    (void)state;
    static ran r;
    write_file("j.yaml", "model: {path: nowhere, dtyp: f32}\n"
                         "requests: [a.h5]\n"
                         "engine: {max_rows: many}\n"
                         "output: {dir: never}\n");
    run(WEFT " run j.yaml", &r);
    assert_int_equal(r.code, 78);
    assert_non_null(strstr(r.err,
                           "j.yaml:1:24: model.dtyp: unknown key; did you mean model.dtype?\n"
                           "    model: {path: nowhere, dtyp: f32}\n"
                           "                           ^\n"));
    assert_non_null(strstr(r.err, "j.yaml:3:20: engine.max_rows: "));
    assert_non_null(strstr(r.err, "j.yaml:1:15: model.path: nowhere: no such folder\n"));
    assert_non_null(strstr(r.err, "weft run: j.yaml: 3 mistakes; nothing was done\n"));
    assert_int_not_equal(access("never", F_OK), 0);
}

static const cli_row data_rows[] = {
    {"echo hello > b.h5; " WEFT " run job.yaml --set 'requests=[b.h5]'", 65, "b.h5"},
    {"head -c 4000 a.h5 > b.h5; " WEFT " plan job.yaml --set 'requests=[b.h5]'", 65,
     "b.h5: is truncated: 4000 of its "},
    {"head -c 4000 a.h5 > b.h5; " WEFT " run job.yaml --set 'requests=[b.h5]'", 65, "b.h5"},
    {"rm -rf m; cp -r " MODEL " m; echo '{' > m/config.json; " WEFT
     " run job.yaml --set model.path=m",
     65, "m/config.json"},
    {"rm -rf m; cp -r " MODEL " m; sed -i 's/\"llama\"/\"llamma\"/' m/config.json; " WEFT
     " run job.yaml --set model.path=m",
     65, "llamma"},
    {"rm -rf m; cp -r " MODEL " m; truncate -s 100000 m/model.safetensors; " WEFT
     " run job.yaml --set model.path=m",
     65, "m/model.safetensors"},
    {"echo hello > r.h5; " WEFT " report r.h5", 65, "r.h5"},
    {"echo hello > r.h5; " WEFT " check r.h5", 65, "r.h5"},
};

static void test_bad_data(void **state)
{
    (void)state;
    run_rows(data_rows, N_ROWS(data_rows));
}

static const cli_row output_rows[] = {
    {WEFT " run job.yaml --out /proc/nowhere", 74, "/proc/nowhere"},
    {"touch plain; " WEFT " run job.yaml --out plain/out", 74, "plain"},
    {"mkdir -p parts/a0/runs parts/a1/runs; " WEFT " check parts", 66,
     "none of the 2 tasks of this array has sealed a result yet"},
    {WEFT " show parts --row 1", 66, "array of 2 parts"},
    {WEFT " merge parts", 66, "none of the 2 tasks"},
};

// A folder of parts is one for whoever reads results: of two of three tasks, then of all.
#define PART(i) WEFT " run job.yaml --out arr --set 'requests=[a.h5, b.h5, c.h5]' --part " #i "/3"
static const cli_row array_rows[] = {
    {STREAM " b.h5 7 0 && " STREAM " c.h5 5 0 && mkdir -p arr/submit", 0, NULL},
    {"echo '{\"job\": \"5\", \"array\": 3, \"time\": \"now\"}' >arr/submit/jobs.jsonl", 0, NULL},
    {PART(0) " && " PART(2), 0, NULL},
    {WEFT " report arr", 0, "(not complete)"},
    {WEFT " report arr", 0, "arr: 1 of the 3 tasks of this array have not sealed a result yet"},
    {WEFT " check arr", 0, "checked 5 rows"},
    {WEFT " check arr --complete", 65, "1 tasks have sealed no result"},
    {WEFT " merge arr", 0, "arr/results.h5: 25 rows"},
    {PART(1), 0, NULL},
    {WEFT " report arr | grep -e complete -e where -e requests", 0, "32 done, 0 failed; 3 shards"},
    {WEFT " report arr | grep 'not complete'", 1, NULL},
    {WEFT " report arr | grep -E '^  where +arr$'", 0, NULL},
    {WEFT " report --json arr", 0, "\"complete\": true"},
    {WEFT " check arr --complete", 0, NULL},
    {WEFT " merge arr && " WEFT " check arr/results.h5 --complete", 0, "arr/results.h5: 32 rows"},
    {WEFT " merge arr a.h5 -o x.h5", 65, "a.h5"},
};

static void test_arrays(void **state)
{
    (void)state;
    run_rows(array_rows, N_ROWS(array_rows));
}

static void test_bad_output(void **state)
{
    (void)state;
    run_rows(output_rows, N_ROWS(output_rows));
}

static void test_plan(void **state)
{
    (void)state;
    assert_run(WEFT " plan job.yaml", 0, "20 in 1 shard");
    assert_run(WEFT " plan job.yaml --set model.kv_dtype=bfloat16", 0, "tokens per group, in bf16");
    assert_run(WEFT " plan job.yaml --set model.kv_dtype=fp8 --set parallel.backend=cpu", 0,
               "tokens per group, in fp8");
    assert_run(WEFT " plan job.yaml --ranks 8 --nodes 2 --set parallel.tensor=4", 0,
               "group 1   node 1: ranks 4-7");
    assert_run(WEFT " plan job.yaml --ranks 6 --nodes 2 --set parallel.tensor=4", 0,
               "note: 1 of 1 group crosses nodes");
    assert_run(WEFT " plan job.yaml --ranks 3 --set parallel.tensor=2", 0,
               "1 of 3 ranks stay idle (rank 2)");
    assert_run(WEFT " plan job.yaml -N 2 --set slurm.nodes=4 --set slurm.gpus_per_node=8", 0,
               "16 ranks on 2 nodes (from slurm.nodes and slurm.gpus_per_node)");
    // What does not fit is an error alone, a missing model is told once.
    assert_run(WEFT " plan job.yaml --memory 1MiB 2>&1 | grep -c group", 1, "0\n");
    assert_run(WEFT " plan job.yaml --set model.path=.", 66, NULL);
    assert_run(WEFT " plan job.yaml --set model.path=. 2>&1 | grep -c config.json", 0, "1\n");
}

static void test_plan_of_prompts(void **state)
{
    (void)state;
    write_file("text.jsonl", "{\"prompt\": \"a\"}\n");
    assert_run(WEFT " plan job.yaml -s requests=[text.jsonl] -s text.tokenizer=bytes", 0,
               "requests  1 line in 1 prompts file, each a request");
    assert_run(WEFT " plan job.yaml -s requests=[text.jsonl,a.h5] -s text.tokenizer=bytes", 0,
               "  text    1 line in 1 prompts file, each a request");
    assert_run(WEFT " plan job.yaml -s requests=[text.jsonl] -s text.tokenizer=nowhere", 66,
               "nowhere: is missing; text.tokenizer takes a tokenizer.json");
}

static void test_import_and_pack(void **state)
{
    (void)state;
    write_file("log.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                          "2023-11-16 18:15:46.5,7,3\n2023-11-16 18:15:48.0,9,2\n");
    write_file("p.jsonl", "{\"prompt_token_ids\": [256, 97], \"max_new_tokens\": 4}\n");
    assert_run(WEFT " help import", 0, "azure");
    assert_run(WEFT " import azure log.csv -o log.h5 --model " MODEL, 0,
               "log.h5: 2 requests over 1.5 s in 1 shard, 16 prompt tokens, 5 to generate");
    assert_run(WEFT " import azure log.csv -o log.h5", 78, "log.h5");
    assert_run(WEFT " import --describe log.csv", 0, "log.csv: azure, 2 rows over 1.5 s");
    assert_run(WEFT " import flover-w6 -o w6.h5 --batch 2 --max-new 4", 0,
               "w6.h5: 16 requests over 3.5 s in 1 shard, 128 prompt tokens, 64 to generate");
    assert_run(WEFT " import poisson -o x.h5 -n 5", 64, "give --rate N (of a second)");
    assert_run(WEFT " import poisson log.csv -o x.h5", 64, "poisson is drawn: it takes no log");
    assert_run(WEFT " import --json log.csv -o x.h5", 64, "--json goes with --describe");
    assert_run(WEFT " import azure log.csv -o log.h5 --replace -n 1", 0, "1 request ");
    assert_run(WEFT " import azure p.jsonl -o x.h5", 65, "p.jsonl:1: is JSON, not comma");
    assert_run(WEFT " import mooncake log.csv -o x.h5", 65,
               "log.csv:1: is no JSON object: logs of mooncake have one a line");
    assert_run(WEFT " import csv log.csv -o x.h5", 65, "is it a log of azure?");
    assert_run(WEFT " import csv job.yaml -o x.h5", 65,
               "if it has another name: --map NAME=arrival_s");
    write_file("quarter.jsonl",
               "{\"prompt_token_ids\": [1], \"max_new_tokens\": 4, \"arrival_s\": 0.25}\n");
    assert_run(WEFT " pack quarter.jsonl -o q.h5", 0, "q.h5: 1 request over 0.25 s");
    assert_run(WEFT " pack p.jsonl -o p.h5", 0, "p.h5: 1 request over 0.0 s, 2 prompt tokens");
    assert_run(WEFT " pack log.csv -o x.h5", 65,
               "log.csv:1: is no JSON object; a line is one request");
    assert_run(WEFT " run a.h5", 78, "YAML is UTF-8 text: is it another kind of file?");
    assert_run(WEFT " report empty", 66, "no job was started here: it is no output folder");
    assert_run(WEFT " check empty", 66, "no job was started here: it is no output folder");
    assert_run("[ $(" WEFT " check a.h5 | grep -c problem:) = 1 ]", 0, NULL);
    assert_run(WEFT " check a.h5", 65, "its format is 'weft-requests', expected 'weft-results'");
    assert_run(WEFT " pack p.jsonl -o x.h5 --vocab 100", 65, "p.jsonl:1");
    assert_run(WEFT " run job.yaml --out out/z --set 'requests=[log.h5, p.h5]'", 0, "2 done");
}

// jobs/JOBFILE.md is what the table says. With WEFT_UPDATE=1 in the environment it is written anew.
static void test_reference_is_up_to_date(void **state)
{
    (void)state;
    static ran r;
    const char *path = WEFT_SOURCE_DIR "/jobs/JOBFILE.md";
    static char text[1 << 16];
    run(WEFT " help keys --markdown", &r);
    assert_int_equal(r.code, 0);
    if (getenv("WEFT_UPDATE")) write_file(path, r.out);
    slurp(path, text, sizeof text);
    if (strcmp(text, r.out) != 0) {
        fail_msg("jobs/JOBFILE.md is out of date: run this test with WEFT_UPDATE=1 and look at the "
                 "difference");
    }
}

static void test_example_is_a_job(void **state)
{
    (void)state;
    assert_run(WEFT " help keys --example > e.yaml", 0, NULL);
    assert_run(WEFT " plan e.yaml --set model.path=" MODEL " --set 'requests=[a.h5]'", 0,
               "job       my-job");
}

// A GPU without the module that could use it is no reason to compute on the CPU unasked.
#define IDLE "mkdir -p dev; touch dev/nvidia0 dev/nvidiactl; WEFT_DEV=dev WEFT_MODULE_DIR=none "
static const cli_row idle_rows[] = {
    {IDLE WEFT " run job.yaml", 78, "this node has a GPU and this weft cannot use it"},
    {IDLE WEFT " run job.yaml --set parallel.layout=groups --out d", 78,
     "set parallel.backend: cpu"},
    {IDLE WEFT " plan job.yaml", 0, "devices   here, but not for this weft"},
    {IDLE WEFT " run job.yaml --out a --set parallel.backend=cpu", 0, NULL},
    {IDLE "CUDA_VISIBLE_DEVICES= " WEFT " run job.yaml --out b", 0, NULL}, // was given none
    {"WEFT_DEV=. WEFT_MODULE_DIR=none " WEFT " run job.yaml --out c", 0, NULL},
};

static void test_no_gpu_stands_idle(void **state)
{
    (void)state;
    unsetenv("CUDA_VISIBLE_DEVICES");
    run_rows(idle_rows, N_ROWS(idle_rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_missing_input),
        cmocka_unit_test(test_bad_job_file),
        cmocka_unit_test(test_all_mistakes_are_told),
        cmocka_unit_test(test_bad_data),
        cmocka_unit_test(test_bad_output),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_plan_of_prompts),
        cmocka_unit_test(test_import_and_pack),
        cmocka_unit_test(test_reference_is_up_to_date),
        cmocka_unit_test(test_example_is_a_job),
        cmocka_unit_test(test_no_gpu_stands_idle),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
