// weft plan --search, as its users meet it: answers, the lines of the job file, and refusals.
#include "tests/launcher/cli_test.h"

#define SEARCH WEFT " plan --search "
#define LLAMA  WEFT_SOURCE_DIR "/results/studies/models/llama-3-70b "
#define H200   " --machine h200 --devices 8"

typedef struct {
    const char *command;
    int code;
    const char *part;
} search_row;

static const search_row answer_rows[] = {
    {SEARCH LLAMA H200, 0, "70.55 billion parameters, 64 heads, 8 of keys and values"},
    {SEARCH LLAMA H200, 0, "parallel: {tensor: 4, replicas: 2}\n"},
    {SEARCH LLAMA H200 " --batch 1", 0, "bound by reading weights"},
    {SEARCH LLAMA H200 " --batch 1", 0, "parallel: {tensor: 8, replicas: 1}\n"},
    {SEARCH LLAMA H200 " --latency 6ms", 0, "planned only: the engine splits feed-forwards"},
    {SEARCH LLAMA H200 " --format int8", 0, "planned only: the engine keeps no weights in this"},
    {SEARCH LLAMA " --machine cpu --devices 4 --format f32", 0, "reading weights"},
    {SEARCH "palm-540b --machine tpu-v4 --devices 64 --batch 64", 0, "2d 4x4x4 by batch"},
    {SEARCH "palm-8b --machine h200 --devices 1", 0, "job file  none: palm-8b is a shape"},
    {SEARCH "job.yaml --set slurm.nodes=1 --set slurm.gpus_per_node=2 --machine h100", 0,
     "2 x NVIDIA H100"},
    {SEARCH "job.yaml --set model.dtype=f32 --machine h100 --devices 1", 0, "dtype: f32"},
    {WEFT " plan job.yaml --machine h200", 0, "; h200 reads 4800 GB/s\n    1 row "},
    {WEFT " plan job.yaml", 0, "; --machine NAME says how long\n    1 row "},
    {WEFT " plan job.yaml", 0, "\n  256 rows "},
    {SEARCH LLAMA H200 " --machine-set memory.size=288 --machine-set name=next", 0, "8 x next"},
};

static const search_row refusal_rows[] = {
    {SEARCH LLAMA "--devices 8", 64, "which --machine? known: tpu-v4, a100, h100"},
    {SEARCH LLAMA "--machine h200", 64, "on how many devices?"},
    {SEARCH LLAMA "--machine h201 --devices 8", 78, "machine \"h201\": there is no such row"},
    {SEARCH "llama" H200, 66, "no such job file or model's folder, nor a shape (palm-540b"},
    {SEARCH LLAMA "--machine h100 --devices 1", 78,
     "does not fit 1 x NVIDIA H100 SXM 80 GB; at "
     "least 2 are needed"},
    {SEARCH LLAMA H200 " --latency 1us", 78, "no layout takes 0.001 ms; the least is "},
    {SEARCH LLAMA H200 " --latency 30", 64, "\"30\" is no time with a unit"},
    {SEARCH LLAMA H200 " --format fp4", 64, "none of f32, bf16, int8, w8a8"},
    {SEARCH LLAMA H200 " --machine-set memory.bandwidth=0", 78, "memory.bandwidth"},
    {SEARCH LLAMA "--machine mine.yaml --devices 2", 66, "mine.yaml"},
    {"echo 'name: mine' >mine.yaml; " SEARCH LLAMA "--machine mine.yaml --devices 2", 78,
     "source: missing: where each number is from"},
    {WEFT " plan job.yaml --machine h201", 78, "machine \"h201\": there is no such row"},
    {WEFT " plan job.yaml --devices 2", 64, "--devices is of the search for a layout: add"},
};

static void run_rows(const search_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_run(rows[i].command, rows[i].code, rows[i].part);
}

static void test_answers(void **state)
{
    (void)state;
    run_rows(answer_rows, N_ROWS(answer_rows));
}

static void test_refusals(void **state)
{
    (void)state;
    run_rows(refusal_rows, N_ROWS(refusal_rows));
}

// The lines that are printed are a job that plans.
static void test_lines_are_a_job(void **state)
{
    (void)state;
    assert_run("{ echo 'requests: [a.h5]'; " SEARCH MODEL
               " --machine h200 --devices 2 --batch 8 --context 64 | sed -n '/^job file/,$p' | "
               "sed 1d | sed 's/^  //'; } >found.yaml; " WEFT
               " plan found.yaml --set model.path=" MODEL " --device-memory 141GB",
               0, "20 in 1 shard");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_lines_are_a_job),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
