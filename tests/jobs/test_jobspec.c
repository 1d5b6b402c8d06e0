// The job file: what it resolves to, what is refused and how it is said, and that it can be written
// and read back.
#include "tests/jobs/jobs_test.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model.h"
#include "jobs/spec/generation.h"

static const char *const no_environment[] = {NULL};

static int files_make(void **state)
{
    char path[128];
    if (folder_make(state) != 0 || chdir(*state) != 0) return -1;
    if (mkdir("model", 0777) != 0) return -1;
    for (const char *name = "ab"; *name; name++) {
        snprintf(path, sizeof path, "%c.h5", *name);
        FILE *file = fopen(path, "w");
        if (!file) return -1;
        fclose(file);
    }
    return symlink("a.h5", "link.h5");
}

static int files_remove(void **state)
{
    return chdir("/") == 0 ? folder_remove(state) : -1;
}

static void job_write(const char *text)
{
    FILE *file = fopen("job.yaml", "w");
    fputs(text, file);
    fclose(file);
}

static wf_status job_load(const char *text, const char *set, wf_jobspec **out, char **problems)
{
    job_write(text);
    wf_jobspec_source source = {
        .path = "job.yaml", .set = &set, .n_set = set != NULL, .environment = no_environment};
    return wf_jobspec_load(&source, out, problems);
}

#define MINIMAL "model: {path: model}\nrequests: [a.h5]\n"

static void test_defaults(void **state)
{
    (void)state;
    wf_jobspec *spec;
    char *problems;
    assert_ok(job_load(MINIMAL, NULL, &spec, &problems));
    assert_null(problems);
    assert_string_equal(spec->job, "job"); // the file's name
    assert_string_equal(spec->output.dir, "out/job");
    assert_int_equal(spec->requests.n, 1);
    assert_string_equal(spec->requests.item[0], "a.h5");
    assert_int_equal(spec->model.dtype, WF_MODEL_DTYPE_AUTO);
    assert_int_equal(spec->arrivals.mode, WF_SPEC_OFFLINE);
    assert_int_equal(spec->arrivals.seed, spec->seed);
    assert_int_equal(spec->parallel.tensor, 1);
    assert_int_equal(spec->parallel.replicas, 0);
    assert_int_equal(spec->engine.max_rows, 256);
    assert_int_equal(spec->engine.window_ns, INT64_C(2000000000));
    assert_int_equal(spec->engine.fusion, WF_FUSION_TEMPORAL);
    assert_true(spec->engine.kv_memory.bytes == 0 && !(spec->engine.kv_memory.share > 0));
    assert_int_equal(spec->output.max_failures, -1);
    assert_int_equal(spec->output.seal_bytes, 256000000);
    assert_true(spec->output.token_times);
    assert_int_equal(spec->stop_token_ids.n, 0);
    wf_jobspec_destroy(&spec);
    assert_null(spec);
}

// The sampling keys' defaults are written twice: as text in the table and as values beside the
// shards' columns.
static void test_sampling_defaults_agree(void **state)
{
    (void)state;
    wf_jobspec *spec;
    char *problems;
    assert_ok(job_load(MINIMAL, NULL, &spec, &problems));
    const wf_sampling plain = {
#define DEFAULT(field, type, kind, def, lo, hi) .field = def,
        WF_SAMPLING_TABLE(DEFAULT)
#undef DEFAULT
    };
#define SAME(field, type, kind, def, lo, hi)                                                       \
    assert_memory_equal(&spec->sampling.field, &plain.field, sizeof plain.field);
    WF_SAMPLING_TABLE(SAME)
#undef SAME
    wf_jobspec_destroy(&spec);
}

// The example of the format's own description.
static void test_full_example(void **state)
{
    (void)state;
    wf_jobspec *spec;
    char *problems;
    assert_ok(job_load("job: azure-conv                      # name\n"
                       "seed: 3\n"
                       "model: {path: model, dtype: bf16, weights: file}\n"
                       "requests: [\"?.h5\"]\n"
                       "arrivals: {mode: replay, speed: 1.5}\n"
                       "parallel: {tensor: 2, replicas: auto, backend: auto, layout: auto}\n"
                       "engine:\n"
                       "  max_rows: 128\n"
                       "  step_tokens: 512\n"
                       "  page_tokens: 32\n"
                       "  kv_memory: 0.9\n"
                       "  reorder: copy\n"
                       "  fusion: window\n"
                       "  window: 500ms\n"
                       "  instances: 8\n"
                       "  deterministic: true\n"
                       "sampling: {temperature: 0.5, top_k: 40, stop_token_ids: [2, 7]}\n"
                       "output: {dir: out/x, seal_every: 300s, token_times: true, steps: false,\n"
                       "         max_failures: 12}\n"
                       "slurm: {partition: gpu, nodes: 4, gpus_per_node: 8, time: \"04:00:00\",\n"
                       "        signal: 300s, requeue: true, account: , qos: , constraint: ,\n"
                       "        mem: , cpus_per_task: , container: , setup: [module load x],\n"
                       "        extra: []}\n",
                       NULL, &spec, &problems));
    assert_int_equal(spec->requests.n, 2);
    assert_string_equal(spec->requests.item[1], "b.h5");
    assert_int_equal(spec->arrivals.mode, WF_SPEC_REPLAY);
    assert_int_equal(spec->arrivals.seed, 3);
    assert_true(spec->arrivals.speed > 1.49 && spec->arrivals.speed < 1.51);
    assert_int_equal(spec->model.dtype, WF_BF16);
    assert_int_equal(spec->engine.reorder, WF_REORDER_COPY);
    assert_int_equal(spec->engine.window_ns, 500000000);
    assert_true(spec->engine.kv_memory.share > 0.89);
    assert_int_equal(spec->sampling.top_k, 40);
    assert_int_equal(spec->stop_token_ids.n, 2);
    assert_int_equal(spec->stop_token_ids.item[1], 7);
    assert_int_equal(spec->output.max_failures, 12);
    assert_int_equal(spec->slurm.time_ns, INT64_C(14400) * 1000000000);
    assert_string_equal(spec->slurm.account, "");
    assert_string_equal(spec->slurm.setup.item[0], "module load x");
    wf_jobspec_destroy(&spec);
}

static void test_precedence(void **state)
{
    (void)state;
    static const char *const environment[] = {"WEFT_ENGINE__MAX_ROWS=32", "WEFT_SEED=9",
                                              "WEFT_PROGRESS=off", "HOME=/", NULL};
    static const char *const set[] = {"seed=11", "sampling.stop_token_ids=[1, 2]"};
    job_write(MINIMAL "seed: 5\nengine: {max_rows: 16, page_tokens: 8}\n");
    wf_jobspec_source source = {
        .path = "job.yaml", .set = set, .n_set = 2, .environment = environment};
    wf_jobspec *spec;
    char *problems;
    assert_ok(wf_jobspec_load(&source, &spec, &problems));
    assert_int_equal(spec->engine.page_tokens, 8); // file over default
    assert_int_equal(spec->engine.max_rows, 32);   // environment over file
    assert_int_equal(spec->seed, 11);              // --set over environment
    assert_int_equal(spec->stop_token_ids.n, 2);
    wf_jobspec_destroy(&spec);
}

static void test_written_text_loads_to_the_same_job(void **state)
{
    (void)state;
    wf_jobspec *spec, *again;
    char *problems, *text, *second;
    assert_ok(job_load(MINIMAL "arrivals: {mode: gamma, rate: 2.5, burstiness: 0.25}\n"
                               "engine: {kv_memory: 3GiB}\n"
                               "sampling: {top_p: 0.1, seed: 4, stop_token_ids: [5]}\n"
                               "slurm: {time: 1-00:00:00, extra: [\"--x='a b'\", \"#c: d\"]}\n",
                       NULL, &spec, &problems));
    assert_ok(wf_jobspec_text(spec, &text));
    assert_contains(text, "path: model");
    assert_ok(job_load(text, NULL, &again, &problems));
    assert_ok(wf_jobspec_text(again, &second));
    assert_string_equal(text, second);
    assert_string_equal(again->slurm.extra.item[1], "#c: d");
    assert_int_equal(again->engine.kv_memory.bytes, INT64_C(3) << 30);
    free(text);
    free(second);
    wf_jobspec_destroy(&spec);
    wf_jobspec_destroy(&again);
}

typedef struct {
    const char *text, *set;
    wf_status status;
    const char *message; // in wf_error()
    const char *problem; // in the list of all, may be NULL
} refuse_row;

static const refuse_row refuse_rows[] = {
    {"model: {path: model}\n", NULL, WF_CONFIG, "job.yaml: requests: missing", NULL},
    {MINIMAL "engine: {max_row: 4}\n", NULL, WF_CONFIG,
     "job.yaml:3:10: engine.max_row: unknown key; did you mean engine.max_rows?",
     "    engine: {max_row: 4}\n             ^\n"},
    {MINIMAL "engine: {max_rows: 8e3}\n", NULL, WF_CONFIG,
     "job.yaml:3:20: engine.max_rows: \"8e3\"", NULL},
    {MINIMAL "engine: {step_tokens: 10}\n", NULL, WF_CONFIG,
     "job.yaml:3:23: engine.step_tokens: 10 is less than engine.max_rows 256", NULL},
    // What JOBFILE.md says of the forms of values.
    {MINIMAL "engine: {max_rows: \"8\", deterministic: 'true', slot_tokens: ~}\njob: 7\nslurm:\n"
             "sampling: {stop_token_ids: 5}\noutput: {seal_every: \"5m\"}\n",
     NULL, WF_OK, NULL, NULL},
    {MINIMAL "engine: {max_rows: 1_000}\n", NULL, WF_CONFIG, "\"1_000\" is not a whole", NULL},
    {MINIMAL "engine: {max_rows: 8.0}\n", NULL, WF_CONFIG, "\"8.0\" is not a whole", NULL},
    {MINIMAL "engine: {deterministic: yes}\n", NULL, WF_CONFIG, "\"yes\" is neither true", NULL},
    {MINIMAL, "engine.fusion=instances", WF_OK, NULL, NULL},
    {MINIMAL "engine: {fusion: instances}\nparallel: {tensor: 2}\n", NULL, WF_CONFIG,
     "engine.fusion: instances works with parallel.tensor 1 only", NULL},
    {MINIMAL "engine: {fusion: instances, reorder: off}\n", NULL, WF_CONFIG,
     "engine.reorder: off has nothing to reorder", NULL},
    {MINIMAL "engine: {order: prefix, prefix_cache: off}\n", NULL, WF_CONFIG,
     "engine.order: prefix is for arrivals.mode offline with engine.prefix_cache", NULL},
    {MINIMAL "engine: {prefix_cache: on, reorder: off}\n", NULL, WF_CONFIG,
     "engine.prefix_cache: on needs engine.reorder index, not off", NULL},
    {MINIMAL "engine: {fusion: static}\narrivals: {concurrency: 8}\n", NULL, WF_CONFIG,
     "arrivals.concurrency: 8 never fill the batch of engine.max_rows 256", NULL},
    {MINIMAL "engine: {reorder: copy, slot_tokens: 100, max_context: 50}\n", NULL, WF_CONFIG,
     "engine.slot_tokens: 100 is more than engine.max_context 50", NULL},
    {MINIMAL "arrivals: {mode: poisson}\n", NULL, WF_CONFIG,
     "arrivals.rate: needed by arrivals.mode poisson", NULL},
    {MINIMAL "arrivals: {mode: gamma, rate: 0}\n", NULL, WF_CONFIG, "job.yaml:3:31: arrivals.rate",
     NULL},
    {MINIMAL "parallel: {layout: groups}\narrivals: {mode: replay}\n", NULL, WF_CONFIG,
     "parallel.layout: groups has no common clock, which arrivals.mode replay needs", NULL},
    {MINIMAL "job: a/b\n", NULL, WF_CONFIG, "job.yaml:3:6: job: \"a/b\" is no name", NULL},
    {MINIMAL, "sampling.temprature=1", WF_CONFIG, "did you mean sampling.temperature?", NULL},
    {MINIMAL, "seed", WF_CONFIG, "expected key=value", NULL},
    {MINIMAL "max_model_len: 4096\n", NULL, WF_CONFIG,
     "job.yaml:3:1: max_model_len: unknown key; here it is called engine.max_context", NULL},
    {MINIMAL "engine: {gpu-memory-utilization: 0.9}\n", NULL, WF_CONFIG,
     "here it is called engine.kv_memory; it is KV memory alone", NULL},
    {MINIMAL, "sampling.max_tokens=16", WF_CONFIG,
     "sampling.max_tokens: unknown key; here it is called text.max_new_tokens", NULL},
    {MINIMAL, "sampling.stop_strings=x", WF_CONFIG,
     "sampling.stop_strings: unknown key; here it is called sampling.stop", NULL},
    {MINIMAL, "sampling.stop=[\"\\n\\n\", end]", WF_OK, NULL, NULL},
    {MINIMAL, "sampling.stop=[a, \"\"]", WF_CONFIG, "sampling.stop: text 2 is empty", NULL},
    {MINIMAL "sampling: {stop: [a], beam_width: 2}\n", NULL, WF_CONFIG,
     "sampling.stop: beams are not ended by texts", NULL},
    {MINIMAL "task: embed\n", "sampling.stop=[a]", WF_CONFIG,
     "sampling.stop: no text is written that it could end: leave it out with task: embed", NULL},
    {MINIMAL "task: embed\n", "sampling.prompt_logprobs=1", WF_CONFIG,
     "sampling.prompt_logprobs: prompts are scored as they are gone on with", NULL},
    {MINIMAL, "model.kv_dtype=fp8_e4m3", WF_OK, NULL, NULL}, // as vLLM calls it
    {MINIMAL, "model.kv_dtype=fp8_e5m2", WF_CONFIG,
     "model.kv_dtype: \"fp8_e5m2\" is not one of auto, f32,", NULL},
    {MINIMAL, "model.dtype=half", WF_OK, NULL, NULL}, // as vLLM calls it
    {MINIMAL, "parallel.tensor_parallel_size=2", WF_CONFIG, "here it is called parallel.tensor",
     NULL},
    {"model: {path: model}\nrequests: []\n", NULL, WF_CONFIG, "requests: the list is empty", NULL},
    {"model: {path: model}\nrequests: [a.h5, b.h5, link.h5]\n", NULL, WF_CONFIG,
     "requests: link.h5 is listed twice (also as a.h5)", NULL},
    {"model: {path: model}\nrequests: [a.h5, c*.h5]\n", NULL, WF_NO_INPUT,
     "job.yaml:2:11: requests: c*.h5: no such file", NULL},
    {"model: {path: nowhere}\nrequests: [a.h5]\n", NULL, WF_NO_INPUT,
     "job.yaml:1:15: model.path: nowhere: no such folder", NULL},
    {"model: {path: a.h5}\nrequests: [a.h5]\n", NULL, WF_CONFIG, "model.path: a.h5: not a folder",
     NULL},
    // Both kinds together: the job file is wrong, whatever is missing besides.
    {"model: {path: nowhere}\nrequests: [a.h5]\nsed: 1\n", NULL, WF_CONFIG, "(and 1 more)",
     "model.path: nowhere: no such folder"},
    {"model: {path: model\nrequests: [a.h5]\n", NULL, WF_CONFIG, "job.yaml:", NULL},
    {"", NULL, WF_CONFIG, "model.path: missing", "requests: missing"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(refuse_rows); i++) {
        const refuse_row *row = &refuse_rows[i];
        wf_jobspec *spec = NULL;
        char *problems = NULL;
        wf_status st = job_load(row->text, row->set, &spec, &problems);
        if (st != row->status) print_error("%s%s\n", row->text, st == WF_OK ? "" : wf_error());
        assert_int_equal(st, row->status);
        if (row->message) assert_contains(wf_error(), row->message);
        if (row->problem) assert_contains(problems, row->problem);
        if (st != WF_OK) assert_null(spec);
        free(problems);
        wf_jobspec_destroy(&spec);
    }
}

// Whatever another program's word leads to is a key, and the word is none.
static void test_aliases_are_of_the_table(void **state)
{
    (void)state;
    for (const wf_option_alias *a = wf_jobspec_aliases; a->theirs; a++) {
        bool found = a->ours == NULL;
        assert_true(a->ours || a->note);
        for (size_t i = 0; i < wf_jobspec_n_options; i++) {
            const char *name = wf_jobspec_table[i].name, *dot = strrchr(name, '.');
            found = found || strcmp(name, a->ours) == 0;
            assert_string_not_equal(dot ? dot + 1 : name, a->theirs);
        }
        if (!found) print_error("%s\n", a->ours);
        assert_true(found);
    }
}

static void model_write(const char *generation)
{
    FILE *config = fopen("model/config.json", "w"), *file;
    fputs("{}", config);
    fclose(config);
    file = fopen("model/generation_config.json", "w");
    fputs(generation, file);
    fclose(file);
}

// What the model's folder says of sampling is taken where the job says nothing, once.
static void test_generation_config(void **state)
{
    (void)state;
    wf_jobspec *spec, *again;
    char *problems, *text, *words;
    model_write("{\"do_sample\": true, \"temperature\": 0.6, \"top_p\": 0.9, \"top_k\": 20,"
                " \"eos_token_id\": 2, \"max_new_tokens\": 9, \"min_p\": null}");
    assert_ok(job_load(MINIMAL "sampling: {top_k: 5}\n", NULL, &spec, &problems));
    assert_true(spec->sampling.temperature == 0.6f && spec->sampling.top_p == 0.9f);
    assert_int_equal(spec->sampling.top_k, 5);
    assert_int_equal(spec->model.generation_taken.n, 2);
    assert_ok(wf_generation_words(spec, &words));
    assert_string_equal(words, "temperature 0.6, top_p 0.9");
    free(words);
    assert_ok(wf_jobspec_text(spec, &text));
    model_write("{\"temperature\": 0.1, \"min_p\": 0.5}"); // too late for this job
    assert_ok(job_load(text, NULL, &again, &problems));
    assert_true(again->sampling.temperature == 0.6f && again->sampling.min_p == 0.0f);
    assert_int_equal(again->model.generation_taken.n, 2);
    assert_string_equal(again->model.generation_taken.item[1], "top_p");
    free(text);
    wf_jobspec_destroy(&again);
    wf_jobspec_destroy(&spec);

    assert_ok(job_load(MINIMAL, "model.generation_config=none", &spec, &problems));
    assert_true(spec->sampling.temperature == 0.0f && spec->model.generation_taken.n == 0);
    wf_jobspec_destroy(&spec);

    model_write("{\"do_sample\": true}"); // and no temperature: transformers' is 1
    assert_ok(job_load(MINIMAL, NULL, &spec, &problems));
    assert_true(spec->sampling.temperature == 1.0f);
    wf_jobspec_destroy(&spec);

    model_write("{\"top_p\": 7}");
    assert_int_equal(job_load(MINIMAL, NULL, &spec, &problems), WF_CONFIG);
    assert_contains(problems, "top_p: 7 is outside");
    assert_contains(problems, "set sampling.top_p, or none to leave the file alone");
    free(problems);
    assert_ok(job_load(MINIMAL, "sampling.top_p=0.5", &spec, &problems));
    wf_jobspec_destroy(&spec);
    assert_int_equal(unlink("model/generation_config.json"), 0);
}

static void test_broken_yaml_is_one_mistake(void **state)
{
    (void)state;
    wf_jobspec *spec = NULL;
    char *problems = NULL;
    assert_int_equal(job_load("model: [\n\tx", NULL, &spec, &problems), WF_CONFIG);
    assert_null(strstr(problems, "missing"));
    free(problems);
}

static void test_missing_job_file(void **state)
{
    (void)state;
    wf_jobspec_source source = {.path = "nothing.yaml", .environment = no_environment};
    wf_jobspec *spec = NULL;
    char *problems = NULL;
    assert_int_equal(wf_jobspec_load(&source, &spec, &problems), WF_NO_INPUT);
    assert_contains(wf_error(), "nothing.yaml");
    assert_null(problems);
}

static void test_keep_globs(void **state)
{
    (void)state;
    job_write("model: {path: nowhere}\nrequests: [\"none/*.h5\"]\n");
    wf_jobspec_source source = {
        .path = "job.yaml", .environment = no_environment, .keep_globs = true};
    wf_jobspec *spec;
    char *problems;
    assert_ok(wf_jobspec_load(&source, &spec, &problems));
    assert_string_equal(spec->requests.item[0], "none/*.h5");
    wf_jobspec_destroy(&spec);
}

static char *identity_of(const char *text, const char *set)
{
    wf_jobspec *spec;
    wf_json_writer *w;
    char *problems, *copy;
    const char *json;
    assert_ok(job_load(text, set, &spec, &problems));
    assert_ok(wf_json_writer_create(0, &w));
    wf_json_open_object(w, NULL);
    wf_jobspec_put_identity(spec, w);
    wf_json_close(w);
    assert_ok(wf_json_writer_finish(w, &json, NULL));
    copy = strdup(json);
    wf_json_writer_destroy(&w);
    wf_jobspec_destroy(&spec);
    return copy;
}

static void test_identity(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        bool changes;
    } rows[] = {
        {"seed=1", true},
        {"sampling.temperature=0.5", true},
        {"sampling.stop_token_ids=[4]", true},
        {"model.dtype=f16", true},
        {"model.kv_dtype=bf16", true},
        {"model.kv_dtype=auto", false}, // as if it were not said
        {"sampling.logprobs_mode=processed", true},
        {"sampling.logprobs_mode=raw", false},
        {"arrivals.mode=replay", true},
        {"engine.deterministic=true", true},
        {"engine.max_context=100", true},
        {"parallel.tensor=4", false},
        {"engine.max_rows=8", false},
        {"engine.fusion=static", false},
        {"output.seal_every=5s", false},
        {"slurm.nodes=9", false},
        {"job=other", false},
        {"arrivals.speed=2", false}, // offline: nothing has that speed
    };
    char *plain = identity_of(MINIMAL, NULL);
    assert_contains(plain, "\"sampling.temperature\"");
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char *other = identity_of(MINIMAL, rows[i].set);
        if ((strcmp(plain, other) != 0) != rows[i].changes) print_error("%s\n", rows[i].set);
        assert_int_equal(strcmp(plain, other) != 0, rows[i].changes);
        free(other);
    }
    free(plain);
}

// Folders of earlier versions are gone on with: their identity must stay the same to the letter.
static void test_identity_is_the_same_as_ever(void **state)
{
    (void)state;
    static const char ever[] =
        "{\"seed\":0,\"model.dtype\":\"auto\",\"model.weights\":\"file\","
        "\"arrivals.mode\":\"gamma\",\"arrivals.rate\":99.0,\"arrivals.burstiness\":1.0,"
        "\"arrivals.seed\":0,\"engine.deterministic\":false,\"engine.max_context\":0,"
        "\"sampling.temperature\":0.0,\"sampling.top_p\":1.0,\"sampling.top_k\":0,"
        "\"sampling.min_p\":0.0,\"sampling.repetition_penalty\":1.0,"
        "\"sampling.presence_penalty\":0.0,\"sampling.frequency_penalty\":0.0,"
        "\"sampling.min_tokens\":0,\"sampling.seed\":-1,\"sampling.ignore_eos\":false,"
        "\"sampling.n\":1,\"sampling.logprobs\":-1,\"sampling.stop_token_ids\":[3,4]}\n";
    char *identity = identity_of(
        MINIMAL "arrivals: {mode: gamma, rate: 99}\nsampling: {stop_token_ids: [3, 4]}\n", NULL);
    assert_string_equal(identity, ever);
    free(identity);
}

static void test_remarks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *remarks;
    } rows[] = {
        {MINIMAL, ""},
        {MINIMAL "arrivals: {mode: replay, concurrency: 2}\n",
         "arrivals.concurrency is not used by arrivals.mode replay\n"},
        {MINIMAL "arrivals: {speed: 2}\n", "arrivals.speed is not used by arrivals.mode offline\n"},
        {MINIMAL "arrivals: {mode: replay, speed: 2, rate: 5, seed: 1}\n",
         "arrivals.rate is not used by arrivals.mode replay\n"
         "arrivals.seed is not used by arrivals.mode replay\n"},
        {MINIMAL "arrivals: {mode: poisson, rate: 5, burstiness: 2}\n",
         "arrivals.burstiness is not used by arrivals.mode poisson\n"},
        {MINIMAL "engine: {slot_tokens: 5}\n",
         "engine.slot_tokens is not used by engine.reorder index\n"},
        {MINIMAL "sampling: {n: 3}\n", "sampling.n is 3 but sampling.temperature is 0: all outputs "
                                       "of a request will be the same\n"},
        {MINIMAL "sampling: {n: 3, temperature: 1}\n", ""},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_jobspec *spec;
        char *problems, *remarks;
        assert_ok(job_load(rows[i].text, NULL, &spec, &problems));
        assert_ok(wf_jobspec_remarks(spec, &remarks));
        assert_string_equal(remarks, rows[i].remarks);
        free(remarks);
        wf_jobspec_destroy(&spec);
    }
}

// What is printed from the table must itself be right: the example loads, the reference names all.
static void test_example_and_reference(void **state)
{
    (void)state;
    char *example, *reference, *problems, *help;
    assert_ok(wf_option_example(wf_jobspec_table, wf_jobspec_n_options, &example));
    assert_ok(wf_option_markdown(wf_jobspec_table, wf_jobspec_n_options, &reference));
    assert_ok(wf_option_help(wf_jobspec_table, wf_jobspec_n_options, "", &help));
    job_write(example);
    wf_jobspec_source source = {
        .path = "job.yaml", .environment = no_environment, .keep_globs = true};
    wf_jobspec *spec = NULL;
    assert_ok(wf_jobspec_load(&source, &spec, &problems));
    assert_string_equal(spec->model.path, "models/llama-3-8b");
    wf_jobspec_destroy(&spec);
    for (size_t i = 0; i < wf_jobspec_n_options; i++) {
        assert_contains(reference, wf_jobspec_table[i].name);
        assert_contains(help, wf_jobspec_table[i].help);
    }
    free(example);
    free(reference);
    free(help);
}

// Of a prompts file a shard of the output folder is read, of everything else itself; in a part it
// is one of the part's folder.
static void test_prompts_files(void **state)
{
    (void)state;
    wf_jobspec *spec;
    char *problems;
    fclose(fopen("p.JSONL", "w"));
    assert_ok(job_load("model: {path: model}\nrequests: [a.h5, p.JSONL]\n"
                       "output: {dir: out/x, text: far.away/answers.csv}\n",
                       NULL, &spec, &problems));
    assert_int_equal(spec->shards.n, 2);
    assert_string_equal(spec->requests.item[1], "p.JSONL");
    assert_string_equal(spec->shards.item[0], "a.h5");
    assert_int_equal(strncmp(spec->shards.item[1], "out/x/text/p-", 13), 0);
    assert_string_equal(spec->shards.item[1] + 13 + 8, ".h5");

    assert_ok(wf_jobspec_take_part(spec, 1, 2));
    assert_int_equal(spec->shards.n, 1);
    assert_int_equal(strncmp(spec->shards.item[0], "out/x/a1/text/p-", 16), 0);
    assert_string_equal(spec->output.text, "far.away/answers.a1.csv");
    wf_jobspec_destroy(&spec);
    unlink("p.JSONL");
}

static void test_answers_names(void **state)
{
    (void)state;
    wf_jobspec *spec;
    char *problems;
    assert_int_equal(job_load(MINIMAL "output: {text: x.txt}\n", NULL, &spec, &problems),
                     WF_CONFIG);
    assert_non_null(strstr(problems, "job.yaml:3:16: output.text: \"x.txt\" does not say what to "
                                     "write: end the name in one of .jsonl"));
    free(problems);
    fclose(fopen("p.jsonl", "w"));
    assert_int_equal(job_load("model: {path: model}\nrequests: [p.jsonl]\n"
                              "output: {text: ./p.jsonl}\n",
                              NULL, &spec, &problems),
                     WF_CONFIG);
    assert_non_null(strstr(problems, "./p.jsonl is the prompts file p.jsonl itself"));
    free(problems);
    unlink("p.jsonl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_sampling_defaults_agree),
        cmocka_unit_test(test_full_example),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_written_text_loads_to_the_same_job),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_broken_yaml_is_one_mistake),
        cmocka_unit_test(test_missing_job_file),
        cmocka_unit_test(test_aliases_are_of_the_table),
        cmocka_unit_test(test_generation_config),
        cmocka_unit_test(test_keep_globs),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_is_the_same_as_ever),
        cmocka_unit_test(test_remarks),
        cmocka_unit_test(test_prompts_files),
        cmocka_unit_test(test_answers_names),
        cmocka_unit_test(test_example_and_reference),
    };
    return cmocka_run_group_tests(tests, files_make, files_remove);
}
