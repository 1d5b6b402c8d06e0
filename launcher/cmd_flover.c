// weft import flover FILE.ini: the job that Flover's configuration asks for, and its requests.
//
// What the file says of the model is held against the model's folder; what it says of requests
// becomes a shard beside the job file. Comments in the job file say what became of every key.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_arch.h"
#include "io/base/file.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/streams/flover_ini.h"
#include "jobs/streams/import.h"
#include "launcher/commands.h"

typedef struct flover_job {
    wf_flover file;
    const char *model; // its folder
    wf_arch arch;
    const char *output; // the job file
    char *shard;        // own
    char stem[128];     // of the job file's name
} flover_job;

static double number(const flover_job *j, wf_flover_key key, double otherwise)
{
    return wf_flover_number(&j->file, key, otherwise);
}

static int64_t whole(const flover_job *j, wf_flover_key key, int64_t otherwise)
{
    return (int64_t)wf_flover_number(&j->file, key, (double)otherwise);
}

static bool shuffles(const flover_job *j)
{
    return whole(j, WF_FLOVER_SHUFFLE, 0) == 1;
}

static int64_t n_beams(const flover_job *j)
{
    return whole(j, WF_FLOVER_BEAM_WIDTH, 1);
}

static int64_t n_requests(const flover_job *j)
{
    return whole(j, WF_FLOVER_MAX_CONCURRENCY, 1) * whole(j, WF_FLOVER_PER_BATCH_SIZE, 1);
}

// ---- the model ----------------------------------------------------------------------------------

// --model, else what the file names, if that is a folder as Weft reads them.
static wf_status find_model(const wf_cli *cli, flover_job *j)
{
    wf_flover_key key =
        j->file.value[WF_FLOVER_MODEL_DIR].line > 0 ? WF_FLOVER_MODEL_DIR : WF_FLOVER_SPEC_DIR;
    const wf_flover_value *named = &j->file.value[key];
    char *config = NULL;
    j->model = wf_cli_value(cli, "model");
    if (j->model) return WF_OK;
    if (named->line == 0)
        return wf_fail(WF_DATA,
                       "%s: it names no model_dir: give --model DIR, a Hugging Face folder",
                       j->file.path);
    WF_TRY(wf_path_join(named->text, "config.json", &config));
    bool there = wf_file_exists(config);
    free(config);
    j->model = named->text;
    if (there) return WF_OK;
    return wf_flover_fail(&j->file, key,
                          "no Hugging Face folder: Flover's weights are converted for "
                          "FasterTransformer; give --model DIR, the folder they came from");
}

static wf_status check_shape(const flover_job *j)
{
    const wf_arch *a = &j->arch;
    const struct {
        wf_flover_key key;
        double has;
    } shape[] = {{WF_FLOVER_HEADS, a->layer[0].n_heads}, {WF_FLOVER_HEAD_DIM, a->head_dim},
                 {WF_FLOVER_FFN, a->layer[0].ffn},       {WF_FLOVER_LAYERS, a->n_layers},
                 {WF_FLOVER_ROTARY, a->rotary_dim},      {WF_FLOVER_VOCAB, a->n_vocab},
                 {WF_FLOVER_NORM_EPS, a->norm_eps}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        double says = number(j, shape[i].key, shape[i].has);
        if (fabs(says - shape[i].has) <= 1e-5 * fabs(says)) continue;
        return wf_flover_fail(&j->file, shape[i].key,
                              "the model in %s has %.7g: write that, or give the --model it is of",
                              j->model, shape[i].has);
    }
    return WF_OK;
}

static wf_status check_model(flover_job *j)
{
    wf_hf_folder *folder = NULL;
    WF_TRY(wf_hf_folder_open(j->model, false, &folder));
    wf_status st = wf_arch_read(folder, false, &j->arch);
    wf_hf_folder_close(&folder);
    WF_TRY(st);
    bool is_gptj = strncasecmp(j->file.value[WF_FLOVER_MODEL_TYPE].text, "gptj", 4) == 0;
    const char *family = is_gptj ? "gptj" : "llama";
    if (strcmp(j->arch.family->name, family) != 0)
        return wf_flover_fail(&j->file, WF_FLOVER_MODEL_TYPE,
                              "the model in %s is of the family %s, not %s", j->model,
                              j->arch.family->name, family);
    if (whole(j, WF_FLOVER_MAX_SEQ_LEN, 0) > j->arch.max_context)
        return wf_flover_fail(&j->file, WF_FLOVER_MAX_SEQ_LEN,
                              "the model in %s has a context of %d: write that at most", j->model,
                              j->arch.max_context);
    WF_TRY(check_shape(j));
    return wf_arch_check_tp(&j->arch, (int32_t)whole(j, WF_FLOVER_TENSOR, 1));
}

// ---- requests -----------------------------------------------------------------------------------

static wf_status write_shard(const wf_cli *cli, const flover_job *j, uint64_t seed)
{
    char line[1024], input[64], output[64];
    int64_t most = whole(j, WF_FLOVER_MAX_SEQ_LEN, 0), in = whole(j, WF_FLOVER_FIXED_INPUT_LEN, 0);
    snprintf(input, sizeof input, "%" PRId64, in);
    if (shuffles(j))
        snprintf(output, sizeof output, "uniform:%" PRId64 ":%" PRId64, 128 - in, most - in);
    else
        snprintf(output, sizeof output, "%" PRId64, whole(j, WF_FLOVER_OUTPUT_LEN, 1));
    wf_import_options o = {.format = "constant",
                           .output = j->shard,
                           .vocab = j->arch.n_vocab,
                           .seed = seed,
                           .n_rows = (uint64_t)n_requests(j),
                           .replace = wf_cli_has(cli, "replace"),
                           .generator = wf_cli_line(cli, line, sizeof line),
                           .synth = {.has_interval = true,
                                     .interval_s = number(j, WF_FLOVER_INTERVAL, 0) / 1000,
                                     .batch = (uint32_t)whole(j, WF_FLOVER_PER_BATCH_SIZE, 1),
                                     .input_tokens = input,
                                     .output_tokens = output}};
    wf_import_report report = {0};
    return wf_import_run(&o, &report);
}

// ---- the job ------------------------------------------------------------------------------------

static void put_becomes(const flover_job *j, wf_flover_key key, const char *what, wf_text *t)
{
    const wf_flover_value *v = &j->file.value[key];
    if (v->line > 0)
        wf_text_printf(t, "#   %3d  %s=%s: %s\n", v->line, wf_flover_name(key), v->text, what);
}

// What each key of the file is here, in words.
static void put_story(const flover_job *j, wf_text *t)
{
    static const struct {
        wf_flover_key key;
        const char *what;
    } story[] = {
        {WF_FLOVER_MODEL_TYPE, "the section that is read; the family of model.path"},
        {WF_FLOVER_SPEC_DIR, "model.path, a Hugging Face folder"},
        {WF_FLOVER_MODEL_DIR, "model.path, a Hugging Face folder"},
        {WF_FLOVER_DATA_TYPE, "model.dtype"},
        {WF_FLOVER_RUNTIME_TYPE, "the same"},
        {WF_FLOVER_WEIGHT_TYPE, "nothing: model.path says what its files are"},
        {WF_FLOVER_MAX_CONCURRENCY, "requests, and engine.max_rows"},
        {WF_FLOVER_PER_BATCH_SIZE, "rows that arrive together, each a request"},
        {WF_FLOVER_MAX_SEQ_LEN, "engine.max_context"},
        {WF_FLOVER_FIXED_INPUT_LEN, "prompts of the shard"},
        {WF_FLOVER_OUTPUT_LEN, "outputs of the shard; with use_mem_shuffle they are drawn"},
        {WF_FLOVER_INTERVAL, "milliseconds between arrivals of the shard"},
        {WF_FLOVER_TENSOR, "parallel.tensor"},
        {WF_FLOVER_TOP_K, "sampling.top_k; 1 is temperature 0"},
        {WF_FLOVER_TOP_P, "sampling.top_p; 0 is none"},
        {WF_FLOVER_TEMPERATURE, "sampling.temperature (Flover draws one instead)"},
        {WF_FLOVER_BEAM_WIDTH, "sampling.beam_width; 1 is none"},
        {WF_FLOVER_LEN_PENALTY, "sampling.length_penalty: all texts have one length"},
        {WF_FLOVER_REPETITION, "sampling.repetition_penalty"},
        {WF_FLOVER_PRESENCE, "sampling.presence_penalty, of tokens generated so far"},
        {WF_FLOVER_MIN_LENGTH, "sampling.min_tokens"},
        {WF_FLOVER_OWN_SUMS, "engine.all_reduce"},
        {WF_FLOVER_SHUFFLE, "engine.reorder; 1 draws whole lengths from 128 to max_seq_len"},
        {WF_FLOVER_SHARED_RATIO, "engine.prefix_cache"},
        {WF_FLOVER_START_ID, "nothing, as in Flover: prompts are not empty"},
        {WF_FLOVER_END_ID, "nothing, as in Flover: no request ends before its length"},
    };
    for (size_t i = 0; i < sizeof story / sizeof *story; i++)
        put_becomes(j, story[i].key, story[i].what, t);
    for (int key = WF_FLOVER_HEADS; key <= WF_FLOVER_NORM_EPS; key++)
        put_becomes(j, (wf_flover_key)key, "as model.path has it", t);
    for (int key = 0; key < WF_FLOVER_N_KEYS; key++) {
        bool off = key == WF_FLOVER_FIXED_PROMPT_LEN || key == WF_FLOVER_PIPELINE ||
                   key == WF_FLOVER_DIVERSITY || key == WF_FLOVER_MEMORY_LEN ||
                   key == WF_FLOVER_N_TASKS || key == WF_FLOVER_PROMPT_TYPE ||
                   key == WF_FLOVER_PROMPT_START;
        if (off) put_becomes(j, (wf_flover_key)key, "off, as here", t);
    }
    if (j->file.others[0] != '\0')
        wf_text_printf(t, "#        of other models, not read: [%s]\n", j->file.others);
}

static void put_model(const flover_job *j, wf_text *t)
{
    const char *type = j->file.value[WF_FLOVER_DATA_TYPE].text;
    const char *dtype = type[0] == 'b' ? "bf16" : strcmp(type, "fp16") == 0 ? "f16" : "f32";
    wf_text_printf(t, "job: '%s'\nmodel:\n  path: '%s'\n  dtype: %s\n", j->stem, j->model, dtype);
    wf_text_printf(t, "requests: ['%s']\n", j->shard);
    wf_text_puts(t, "arrivals: {mode: replay}\n");
    double interval = number(j, WF_FLOVER_INTERVAL, 0);
    if (interval > 0)
        wf_text_printf(t, "# Exponential gaps of the same mean: {mode: poisson, rate: %.6g}\n",
                       (double)whole(j, WF_FLOVER_PER_BATCH_SIZE, 1) * 1000 / interval);
    wf_text_printf(t, "parallel: {tensor: %" PRId64 "}\n", whole(j, WF_FLOVER_TENSOR, 1));
}

static void put_engine(const flover_job *j, wf_text *t)
{
    int64_t n = n_requests(j) * n_beams(j) < 65536 ? n_requests(j) * n_beams(j) : 65536;
    int64_t most = whole(j, WF_FLOVER_MAX_SEQ_LEN, 0);
    wf_text_printf(t, "engine:\n  max_rows: %" PRId64 "\n  step_tokens: %" PRId64 "\n", n,
                   n > 2048 ? n : 2048);
    wf_text_printf(t, "  max_context: %" PRId64 "\n", most);
    wf_text_puts(t, shuffles(j) ? "  reorder: copy        # as Flover moves KV; index moves none\n"
                    : n_beams(j) > 1 ? "  reorder: index       # beams share pages\n"
                                     : "  reorder: off\n");
    if (whole(j, WF_FLOVER_TENSOR, 1) > 1)
        wf_text_printf(t, "  all_reduce: %s\n",
                       whole(j, WF_FLOVER_OWN_SUMS, 0) == 1 ? "own" : "nccl");
    if (number(j, WF_FLOVER_SHARED_RATIO, 1) == 0) wf_text_puts(t, "  prefix_cache: off\n");
}

static void put_sampling(const flover_job *j, wf_text *t)
{
    char text[WF_PARSE_TEXT_MAX];
    int64_t top_k = whole(j, WF_FLOVER_TOP_K, 0);
    double top_p = number(j, WF_FLOVER_TOP_P, 0);
    double temperature = top_k == 1 || n_beams(j) > 1 ? 0 : number(j, WF_FLOVER_TEMPERATURE, 1);
    const struct {
        const char *name;
        double value, plain;
    } keys[] = {
        {"repetition_penalty", number(j, WF_FLOVER_REPETITION, 1), 1},
        {"presence_penalty", number(j, WF_FLOVER_PRESENCE, 0), 0},
        {"length_penalty", n_beams(j) > 1 ? number(j, WF_FLOVER_LEN_PENALTY, 0) : 1, 1},
    };
    wf_text_printf(t, "sampling:\n  temperature: %s\n", wf_f64_text(temperature, text));
    wf_text_printf(t, "  top_k: %" PRId64 "\n  top_p: %s\n", top_k == 1 ? 0 : top_k,
                   wf_f64_text(top_p > 0 ? top_p : 1, text));
    int64_t min_tokens = whole(j, WF_FLOVER_MIN_LENGTH, 0);
    if (min_tokens > 0) wf_text_printf(t, "  min_tokens: %" PRId64 "\n", min_tokens);
    if (n_beams(j) > 1) wf_text_printf(t, "  beam_width: %" PRId64 "\n", n_beams(j));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].value != keys[i].plain)
            wf_text_printf(t, "  %s: %s\n", keys[i].name, wf_f64_text(keys[i].value, text));
}

static wf_status write_job(const wf_cli *cli, const flover_job *j)
{
    wf_text t = {0};
    char *bytes = NULL;
    wf_text_printf(&t, "# From Flover's %s; what became of its keys, by line:\n",
                   wf_path_name(j->file.path));
    put_story(j, &t);
    put_model(j, &t);
    put_engine(j, &t);
    put_sampling(j, &t);
    wf_text_printf(&t, "output: {dir: 'out/%s'}\n", j->stem);
    WF_TRY(wf_text_take(&t, &bytes));
    wf_status st =
        wf_file_write_whole(j->output, bytes, strlen(bytes),
                            wf_cli_has(cli, "replace") ? WF_PUBLISH_REPLACE : WF_PUBLISH_NEW);
    free(bytes);
    return st;
}

// ---- the command --------------------------------------------------------------------------------

static wf_status names_read(const wf_cli *cli, flover_job *j)
{
    j->output = wf_cli_value(cli, "output");
    if (!j->output) return wf_cli_fail(cli, "where to? give --output JOB.yaml");
    if (!wf_text_ends_with(j->output, ".yaml") || wf_path_name(j->output)[0] == '.')
        return wf_cli_fail(cli,
                           "--output %s: a job file ends in .yaml; its requests go beside it, "
                           "in a file that ends in .h5",
                           j->output);
    if (strchr(j->output, '\'')) return wf_cli_fail(cli, "--output %s: without '", j->output);
    size_t n = strlen(j->output) - strlen("yaml");
    wf_text t = {0};
    wf_text_add(&t, j->output, n);
    wf_text_puts(&t, "h5");
    snprintf(j->stem, sizeof j->stem, "%.*s",
             (int)(strlen(wf_path_name(j->output)) - strlen(".yaml")), wf_path_name(j->output));
    if (!wf_cli_has(cli, "replace") && wf_file_exists(j->output))
        return wf_fail(WF_IN_USE, "%s is there already; --replace replaces it", j->output);
    return wf_text_take(&t, &j->shard);
}

static wf_status import(const wf_cli *cli, flover_job *j)
{
    long long seed;
    WF_TRY(wf_cli_i64(cli, "seed", 0, UINT32_MAX, 0, &seed));
    WF_TRY(names_read(cli, j));
    WF_TRY(wf_flover_read(wf_cli_argument(cli, 1), &j->file));
    WF_TRY(find_model(cli, j));
    if (strchr(j->model, '\'')) return wf_cli_fail(cli, "%s: a path without '", j->model);
    WF_TRY(check_model(j));
    WF_TRY(write_shard(cli, j, (uint64_t)seed));
    WF_TRY(write_job(cli, j));
    printf("%s: a job of %" PRId64 " request%s, in %s; weft run %s\n", j->output, n_requests(j),
           WF_S(n_requests(j)), j->shard, j->output);
    return WF_OK;
}

wf_status wf_flover_import(const wf_cli *cli)
{
    flover_job *j = calloc(1, sizeof *j); // an arch is large
    if (!j) return wf_fail(WF_NO_MEMORY, "import: out of memory");
    wf_status st = import(cli, j);
    free(j->shard);
    free(j);
    return st;
}
