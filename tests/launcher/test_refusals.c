// What a run refuses, a plan refuses: with the same words, before anything is loaded.
#include "tests/launcher/cli_test.h"

#define GOLDEN WEFT_SOURCE_DIR "/tests/golden/llama-mini"
#define PACK   WEFT " pack --vocab 300 "

static int make_inputs(void **state)
{
    if (cli_setup(state) != 0) return -1;
    write_file("good.jsonl", "{\"prompt_token_ids\": [3, 4, 5], \"max_new_tokens\": 8}\n"
                             "{\"prompt_token_ids\": [6], \"max_new_tokens\": 4}\n");
    write_file("bad.jsonl", "{\"prompt_token_ids\": [3], \"max_new_tokens\": 4}\n"
                            "{\"prompt_token_ids\": [3, 299], \"max_new_tokens\": 4}\n"
                            "{\"prompt_token_ids\": [280], \"max_new_tokens\": 4}\n");
    write_file("job.yaml", "model: {path: " GOLDEN "}\nrequests: [good.h5]\n"
                           "parallel: {threads: 1}\n"
                           "engine: {max_rows: 16, step_tokens: 128, kv_memory: 16MiB}\n");
    return system(
        PACK "good.jsonl -o good.h5 >&2 && " PACK "bad.jsonl -o bad.h5 >&2 && "
             "python3 -c \"print('{\\\"prompt_token_ids\\\": %s, \\\"max_new_tokens\\\": 1}'"
             " % ([7] * 600))\" > long.jsonl && " PACK "long.jsonl -o long.h5 >&2 && "
             "python3 -c \"print('{\\\"prompt_token_ids\\\": [5], \\\"max_new_tokens\\\": 8}\\n"
             "{\\\"prompt_token_ids\\\": %s, \\\"max_new_tokens\\\": 8}'"
             " % ([7] * 200))\" > mid.jsonl && " PACK "mid.jsonl -o mid.h5 >&2");
}

typedef struct {
    const char *set; // of the command line
    int code;
    const char *part;
} refusal;

static void both(const refusal *row)
{
    char command[1024];
    static const char *const how[] = {"plan", "run --fresh --out out/x"};
    for (size_t i = 0; i < N_ROWS(how); i++) {
        snprintf(command, sizeof command, WEFT " %s job.yaml %s", how[i], row->set);
        assert_run(command, row->code, row->part);
    }
}

static void what_the_job_says_of_tokens(void **state)
{
    (void)state;
    static const refusal rows[] = {
        {"-s sampling.stop_token_ids=[5,261]", 78,
         "sampling.stop_token_ids: 261 is outside the model's vocabulary of 261"},
        {"-s sampling.stop_token_ids=[5,260] -s sampling.ignore_eos=true", 0, NULL},
        {"-s sampling.min_tokens=5", 78,
         "sampling.min_tokens: 5 is above max_new_tokens 4 of good.h5, row 1"},
        {"-s sampling.min_tokens=4", 0, NULL},
        {"-s sampling.min_tokens=1 -s sampling.stop_token_ids=[11,12,13,14,15,16,17,18]", 78,
         "sampling.min_tokens: can hold back at most 8 stop tokens"},
        {"-s sampling.top_p=1e-6 -s sampling.temperature=1", 0, NULL},
        {"-s engine.max_context=513", 78, "engine.max_context: 513 is beyond the model's 512"},
        {"-s engine.reorder=copy -s engine.kv_memory=1MiB", 78,
         "engine.reorder: copy needs 16 slots of 512 tokens"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++)
        both(&rows[i]);
}

static void rows_that_would_fail(void **state)
{
    (void)state;
    assert_run(WEFT " plan job.yaml -s requests=[good.h5,bad.h5]", 3,
               "2 rows would fail; the first: bad.h5:/requests:1: prompt token 1 is 299");
    assert_run(WEFT " plan job.yaml -s requests=[good.h5,bad.h5]", 3, "2 of 5 rows would fail");
    assert_run(WEFT " run job.yaml --out out/b -s requests=[good.h5,bad.h5]", 3,
               "3 done, 2 failed");
    assert_run(WEFT " plan job.yaml -s requests=[long.h5,bad.h5]", 3,
               "1 row would fail; the first: long.h5:/requests:0: prompt of 600 tokens does not");
    assert_run(WEFT " plan job.yaml -s requests=[bad.h5] -s slurm.fail_on_row_errors=false", 0,
               "2 rows would fail");
}

// What a slot, or all KV memory, cannot hold, and more log-probabilities than there are tokens.
static void rows_that_would_never_fit(void **state)
{
    (void)state;
    static const refusal rows[] = {
        {"-s requests=[good.h5,mid.h5] -s engine.reorder=copy -s engine.slot_tokens=128 "
         "-s engine.page_tokens=16",
         3,
         "prompt of 200 tokens and up to 8 new ones need 13 KV pages of 16 "
         "tokens, a slot has 8; raise engine.slot_tokens"},
        {"-s requests=[good.h5,mid.h5] -s engine.page_tokens=16 -s engine.kv_memory=40KiB", 3,
         "prompt of 200 tokens and up to 8 new ones need 13 KV pages of 16 tokens, there are "},
        {"-s requests=[good.h5,mid.h5]", 0, NULL},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char command[1024];
        snprintf(command, sizeof command, WEFT " plan job.yaml %s", rows[i].set);
        assert_run(command, rows[i].code, rows[i].part);
        snprintf(command, sizeof command,
                 WEFT " run job.yaml --fresh --out out/x %s; " WEFT " report out/x", rows[i].set);
        assert_run(command, 0, rows[i].part ? rows[i].part : "4 done, 0 failed");
    }
}

// Prompts files are counted where lines are rows, and it is said where they are not.
static void prompts_files_are_counted(void **state)
{
    (void)state;
    write_file("a.jsonl", "{\"prompt\": \"a\"}\n\n{\"prompt\": \"b\"}");
    write_file("b.csv", "prompt\na\n");
    assert_run(WEFT " plan job.yaml -s requests=[a.jsonl] -s text.tokenizer=bytes", 0,
               "requests  2 lines in 1 prompts file, each a request");
    assert_run(WEFT " plan job.yaml -s requests=[b.csv,a.jsonl] -s text.tokenizer=bytes", 0,
               "1 prompts file not counted here");
    static const char *const how[] = {"plan", "submit --dry-run"};
    for (size_t i = 0; i < N_ROWS(how); i++) {
        char command[256];
        snprintf(command, sizeof command,
                 WEFT " %s job.yaml -s requests=[a.jsonl] -s text.tokenizer=none", how[i]);
        assert_run(command, 66, "none: is missing; text.tokenizer takes a tokenizer.json");
    }
}

#define EDITED(from, to) "sed 's/" from "/" to "/' " GOLDEN "/config.json > m/config.json"

// A checkpoint of another model, however large it says it is, at once.
static void checkpoints_that_are_not_of_the_model(void **state)
{
    (void)state;
    static const refusal rows[] = {
        {EDITED("\"hidden_size\": 64", "\"hidden_size\": 1000000"), 65, "head_dim 250000"},
        {EDITED("\"hidden_size\": 64", "\"head_dim\": 16, \"hidden_size\": 1000000"), 65,
         "shape [64], expected [1000000]"},
        {EDITED("\"intermediate_size\": 64", "\"intermediate_size\": 1000000"), 65,
         "shape [64, 64], expected [1000000, 64]"},
        {EDITED("\"vocab_size\": 261", "\"vocab_size\": 16000000"), 65,
         "shape [261, 64], expected [16000000, 64]"},
        {EDITED("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"), 65,
         "model.layers.2.input_layernorm.weight: the tensor is in no file"},
        {EDITED("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"), 65, "has no such tensor"},
        {"rm m/model.safetensors", 66, "neither model.safetensors nor"},
    };
    assert_run("mkdir m && cp " GOLDEN "/model.safetensors " GOLDEN "/config.json m/", 0, NULL);
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        refusal row = {"-s model.path=m", rows[i].code, rows[i].part};
        assert_run(rows[i].set, 0, NULL);
        both(&row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_job_says_of_tokens),
        cmocka_unit_test(rows_that_would_fail),
        cmocka_unit_test(rows_that_would_never_fit),
        cmocka_unit_test(prompts_files_are_counted),
        cmocka_unit_test(checkpoints_that_are_not_of_the_model),
    };
    return cmocka_run_group_tests(tests, make_inputs, cli_teardown);
}
