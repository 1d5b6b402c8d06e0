// weft import flover: the job and the requests that Flover's configuration asks for, and what is
// refused of one.
#include "tests/launcher/cli_test.h"

#define IMPORT WEFT " import flover f.ini -o f.yaml --replace --model " MODEL
#define SPEC                                                                                       \
    "[model_specification]\n"                                                                      \
    "model_type=llama_demo ; of this file\n"                                                       \
    "data_type = fp32\n"                                                                           \
    "max_concurrency=3\n"                                                                          \
    "per_batch_size=2\n"                                                                           \
    "max_seq_len=24\n"                                                                             \
    "fixed_input_len=8\n"                                                                          \
    "fixed_prompt_len=0\n"                                                                         \
    "beam_width=1\n"                                                                               \
    "tensor_para_size=1\n"                                                                         \
    "pipeline_para_size=1\n"
#define RUNTIME                                                                                    \
    "\n[runtime_hyperparameter]\n"                                                                 \
    "top_k=1 ; greedy\n"                                                                           \
    "top_p=0.0\n"                                                                                  \
    "Temperature: 1.0\n"                                                                           \
    "repetition_penalty=1.0\n"                                                                     \
    "presence_penalty=0.0\n"                                                                       \
    "len_penalty=0.0\n"                                                                            \
    "beam_search_diversity_rate=0.0\n"                                                             \
    "data_type=fp32\n"                                                                             \
    "enable_custom_all_reduce=0\n"                                                                 \
    "interval=20 # ms\n"
#define REQUEST "[request]\nrequest_output_len=16\n"
#define OTHER   "[llama_900b]\nhead_num=1\nanything=else\n"

// In place of `from`, `to`.
static void write_ini(const char *from, const char *to)
{
    static const char whole[] = SPEC RUNTIME REQUEST OTHER "[Llama_Demo]\n"
                                                           "vocab_size = 260\n"
                                                           "start_id = 0\n"
                                                           "shared_contexts_ratio=1.0\n";
    static char text[sizeof whole + 256];
    const char *at = strstr(whole, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
    write_file("f.ini", text);
}

static void test_a_job(void **state)
{
    (void)state;
    write_ini("[request]", "\n[request]");
    assert_run(IMPORT, 0, "f.yaml: a job of 6 requests, in f.h5");
    assert_run(WEFT " plan f.yaml", 0, NULL);
    assert_run(WEFT " run f.yaml --out out", 0, NULL);
    assert_run(WEFT " report out", 0, "6 done, 0 failed");
    assert_run(WEFT " export out -f csv -o rows.csv && cut -d, -f1-6 rows.csv", 0, NULL);
    assert_run("/usr/bin/python3 -c \"import h5py\n"
               "f = h5py.File('f.h5')\n"
               "assert (f['requests/arrival_ns'][:] // 10**6).tolist() == [0, 0, 20, 20, 40, 40]\n"
               "assert f['requests/prompt_offset'][:].tolist() == list(range(0, 49, 8))\n"
               "assert f['requests/max_new_tokens'][:].tolist() == [16] * 6\"",
               0, NULL);
    assert_run("cat f.yaml", 0, "not read: [llama_900b]");
    assert_run("cat f.yaml", 0, "temperature: 0");
    assert_run("cat f.yaml", 0, "reorder: off\n");
    assert_run(WEFT " import flover f.ini -o f.yaml --model " MODEL, 78, "is there already");
}

static void test_lengths_are_drawn(void **state)
{
    (void)state;
    write_ini("max_seq_len=24", "max_seq_len=256");
    assert_run("sed -i 's/^interval/use_mem_shuffle=1\\ninterval/' f.ini && " IMPORT, 0, NULL);
    assert_run("cat f.yaml", 0, "reorder: copy");
    assert_run("/usr/bin/python3 -c \"import h5py\n"
               "n = h5py.File('f.h5')['requests/max_new_tokens'][:]\n"
               "assert n.min() >= 120 and n.max() <= 248 and len(set(n)) > 1\"",
               0, NULL);
    assert_run(WEFT " plan f.yaml", 0, NULL);
}

static void test_least_lengths(void **state)
{
    (void)state;
    write_ini("interval=20", "min_length=5\ninterval=20");
    assert_run(IMPORT, 0, NULL);
    assert_run("grep '^  min_tokens: 5$' f.yaml && " WEFT " plan f.yaml", 0, NULL);
}

// The texts of a search in Flover's words are those of the same search in ours.
static void test_beams(void **state)
{
    (void)state;
    write_ini("top_k=1 ; greedy", "top_k=0");
    assert_run("sed -i 's/beam_width=1/beam_width=3/; s/len_penalty=0.0/len_penalty=0.6/' f.ini", 0,
               NULL);
    assert_run(IMPORT, 0, NULL);
    assert_run("grep -A1 '^  beam_width' f.yaml", 0, "  beam_width: 3\n  length_penalty: 0.6\n");
    assert_run("grep -q 'max_rows: 18' f.yaml && grep -q 'reorder: index' f.yaml", 0, NULL);
    assert_run(WEFT " run f.yaml --out out", 0, NULL);
    assert_run("printf \"model: {path: %s, dtype: f32}\\nrequests: [f.h5]\\nsampling: {beam_width: "
               "3}\\n\" " MODEL " > g.yaml && " WEFT " run g.yaml --out own",
               0, NULL);
    assert_run("for d in out own; do " WEFT " export $d -f csv -o $d.csv && "
               "cut -d, -f1-6 $d.csv >/dev/null; done; /usr/bin/python3 -c \"import h5py\n"
               "a, b = (h5py.File(d + '/results.h5') for d in ('out', 'own'))\n"
               "key = lambda f: dict(zip(f['requests/row'][:], f['tokens/id'][:].reshape(6, 16)."
               "tolist()))\n"
               "assert key(a) == key(b)\"",
               0, NULL);
}

// X(from, to, part of the message)
static const struct {
    const char *from, *to, *says;
} refused[] = {
    {"beam_width=1", "beam_width=4", "top_k=1: it does not go with beam_width=4 here: write 0"},
    {"beam_width=1", "beam_width=400", "f.ini:9: [model_specification] beam_width=400: "},
    {"beam_search_diversity_rate=0.0", "beam_search_diversity_rate=0.1", "pushed apart"},
    {"pipeline_para_size=1", "pipeline_para_size=2", "tensor_para_size be the product"},
    {"pipeline_para_size=1", "pipeline_para_sise=1", "did you mean pipeline_para_size"},
    {"max_seq_len=24\n", "", "[model_specification] max_seq_len is missing"},
    {"max_seq_len=24", "max_seq_len=8e3", "is not a whole number"},
    {"max_seq_len=24", "max_seq_len=20", "write 12 at most"},
    {"max_seq_len=24", "max_seq_len=999999", "has a context of"},
    {"max_seq_len=24", "max_seq_len=24\nmax_seq_len=25", "is given again, first in line 6"},
    {"max_seq_len=24", "max_seq_len=", "it has no value"},
    {"max_seq_len=24", "max_seq_len 24", "f.ini:6: \"max_seq_len 24\" is neither"},
    {"fixed_prompt_len=0", "fixed_prompt_len=8", "learned prompts are not known here: write 0"},
    {"data_type = fp32", "data_type=fp8", "Flover has fp16, bf16 and fp32"},
    {"data_type=fp32", "data_type=fp16", "line 3 says fp32"},
    {"top_k=1", "top_k=0", "write beam_width, or top_k=1 for greedy"},
    {"Temperature: 1.0", "temperature=0", "write temperature=1 and top_k=1"},
    {"len_penalty=0.0", "len_penalty=0.6", "without beams nothing has a length to be judged by"},
    {"repetition_penalty=1.0\npresence_penalty=0.0", "repetition_penalty=1.1\npresence_penalty=0.5",
     "write 0 here or 1 there"},
    {"interval=20", "use_mem_shuffle=1\ninterval=20", "write 0, or other lengths"},
    {"interval=20", "interval=-1", "must be 0 to 2147483647"},
    {"vocab_size = 260", "vocab_size = 32000", "has 260: write that"},
    {"[Llama_Demo]", "[Llama_Demo", "that no ] closes"},
    {"model_type=llama_demo", "model_type=opt_6b", "Flover has gptj_6b and llama_"},
    {"model_type=llama_demo", "model_type=gptj_6b", "is of the family llama, not gptj"},
    {"[model_specification]\n", "", "stands before any [section]"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        write_ini(refused[i].from, refused[i].to);
        assert_run(IMPORT, 65, refused[i].says);
    }
}

static void test_where_the_model_is(void **state)
{
    (void)state;
    write_ini("shared_contexts_ratio=1.0", "model_dir=/no/where");
    assert_run(WEFT " import flover f.ini -o g.yaml", 65,
               "[llama_demo] model_dir=/no/where: no Hugging Face folder");
    write_ini("shared_contexts_ratio=1.0", "model_dir=" MODEL);
    assert_run(WEFT " import flover f.ini -o g.yaml", 0, NULL);
    assert_run(WEFT " import flover f.ini -o g.yaml --rows 3", 64,
               "--rows does not go with flover");
    assert_run(WEFT " import flover f.ini -o g.json", 64, "ends in .yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_job, cli_setup, cli_teardown),
        cmocka_unit_test_setup_teardown(test_lengths_are_drawn, cli_setup, cli_teardown),
        cmocka_unit_test_setup_teardown(test_least_lengths, cli_setup, cli_teardown),
        cmocka_unit_test_setup_teardown(test_beams, cli_setup, cli_teardown),
        cmocka_unit_test_setup_teardown(test_refused, cli_setup, cli_teardown),
        cmocka_unit_test_setup_teardown(test_where_the_model_is, cli_setup, cli_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
