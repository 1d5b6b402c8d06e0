// weft quantize: a model's folder in fewer bytes, for this program and for others.
//
//   JOB.yaml or --model, what is asked for -> the folder, checked
//     --weights      all layers in one format           -> OUT.part -> OUT
//     --calibrate    measured, chosen, corrected        -> OUT.work -> OUT, report
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_check.h"
#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "jobs/quantize/calibrate.h"
#include "jobs/quantize/write.h"
#include "jobs/run/drain.h"
#include "jobs/spec/jobspec.h"
#include "launcher/bringup/device_look.h"
#include "launcher/bringup/signals.h"
#include "launcher/commands.h"
#include "launcher/fresh.h"
#include "launcher/jobfile.h"

const wf_cli_option wf_quantize_options[] = {
    {"model", 'm', "DIR", "the model's folder, in f32, bf16 or f16: no job file is needed then"},
    {"output", 'o', "DIR", "folder to be made"},
    {"weights", 'w', "FORMAT", "of all layers' matrices: fp8, int8, int4, int4-32"},
    {"calibrate", 'c', "SHARD",
     "chooses a format for each layer, by what it costs on the shard's prompts"},
    {"budget", 'b', "BYTES",
     "of all layers' matrices: a format whose bytes are meant (int8, the default), bytes of a "
     "number with its scales (0.75), or a size (4GB)"},
    {"tokens", 'n', "N", "of the shard, to measure on, and as many to judge by (8192)"},
    {"no-correction", 0, NULL, "leaves out the corrections of scales and biases"},
    {"backend", 0, "NAME",
     "that measures: ref, cpu or cuda; else the job file's, or what is there"},
    {"activations", 'a', "dynamic",
     "8-bit weights: tells other engines to round activations too, token by token"},
    {"fresh", 0, NULL, "starts over: discards what an interrupted start left beside DIR"},
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {NULL, 0, NULL, NULL},
};

enum { TOKENS = 8192, MOST_TOKENS = 1 << 24, PATH_BYTES = 4096 };

typedef struct quantising {
    const wf_cli *cli;
    wf_jobspec *spec; // NULL: --model
    const char *model, *output, *shard, *backend;
    wf_quantize_budget budget;
    long long n_tokens;
    wf_hf_folder *folder;
    wf_arch *arch;
    wf_quantize_recipe *recipe;
    wf_reader *reader;
    wf_text_halves texts;
    wf_drain *drain;
    int64_t began_ns;
} quantising;

// ---- what is asked for --------------------------------------------------------------------------

static wf_status find_model(quantising *q)
{
    q->model = wf_cli_value(q->cli, "model");
    if (q->model && wf_cli_n_arguments(q->cli) > 0)
        return wf_cli_fail(q->cli, "give a job file or --model, not both");
    if (!q->model && wf_cli_n_arguments(q->cli) == 0)
        return wf_cli_fail(q->cli, "give a job file, or --model DIR");
    if (q->model && wf_cli_has(q->cli, "set"))
        return wf_cli_fail(q->cli, "--set sets keys of a job file, and --model stands for one");
    if (q->model) return WF_OK;
    WF_TRY(wf_jobfile_load(q->cli, true, &q->spec));
    q->model = q->spec->model.path;
    return WF_OK;
}

// Options of the one way that the other does not know.
static wf_status check_ways(const quantising *q)
{
    static const char *const of_calibration[] = {"budget", "tokens", "no-correction", "backend"};
    if (!wf_cli_has(q->cli, "weights") == !q->shard)
        return wf_cli_fail(q->cli,
                           "give --weights FORMAT (one of fp8, int8, int4, int4-32) for all "
                           "layers, or --calibrate SHARD to choose for each");
    for (size_t i = 0; i < sizeof of_calibration / sizeof *of_calibration && !q->shard; i++)
        if (wf_cli_has(q->cli, of_calibration[i]))
            return wf_cli_fail(q->cli, "--%s goes with --calibrate SHARD", of_calibration[i]);
    return WF_OK;
}

static wf_status read_weights(quantising *q)
{
    wf_quantize_format format = WF_QUANTIZE_PLAIN;
    const char *weights = wf_cli_value(q->cli, "weights");
    const char *activations = wf_cli_value(q->cli, "activations");
    if (weights && (!wf_quantize_named(weights, &format) || format == WF_QUANTIZE_PLAIN))
        return wf_cli_fail(q->cli, "--weights %s: is none of fp8, int8, int4, int4-32", weights);
    if (activations && strcmp(activations, "dynamic") != 0)
        return wf_cli_fail(q->cli, "--activations %s: only dynamic is known", activations);
    WF_TRY(wf_alloc(1, sizeof *q->recipe, &q->recipe));
    WF_TRY(wf_alloc(1, sizeof *q->arch, &q->arch));
    wf_quantize_uniform(format, q->recipe);
    q->recipe->dynamic = activations != NULL;
    return WF_OK;
}

static wf_status read_options(quantising *q)
{
    const char *budget = wf_cli_value(q->cli, "budget");
    q->output = wf_cli_value(q->cli, "output");
    q->shard = wf_cli_value(q->cli, "calibrate");
    if (!q->output || !q->output[0]) return wf_cli_fail(q->cli, "--output DIR: where to");
    WF_TRY(check_ways(q));
    WF_TRY(read_weights(q));
    WF_TRY(
        wf_cli_i64(q->cli, "tokens", WF_QUANTIZE_LEAST_TOKENS, MOST_TOKENS, TOKENS, &q->n_tokens));
    if (wf_quantize_budget_parse(budget ? budget : "int8", &q->budget) != WF_OK)
        return wf_cli_fail(q->cli, "--budget %s", wf_error());
    q->backend = wf_cli_value(q->cli, "backend");
    if (!q->backend && q->spec) q->backend = wf_jobspec_backend(q->spec);
    if (!q->backend) q->backend = wf_devices_idle() ? "cuda" : "cpu";
    return WF_OK;
}

// ---- the model ----------------------------------------------------------------------------------

static wf_status open_model(quantising *q)
{
    bool there;
    WF_TRY(wf_file_look(q->output, &there));
    if (there) return wf_fail(WF_IN_USE, "%s: is there already; name a new folder", q->output);
    WF_TRY(wf_hf_folder_open(q->model, true, &q->folder));
    WF_TRY(wf_arch_read(q->folder, q->spec && q->spec->model.trust_config, q->arch));
    if (q->arch->part)
        return wf_fail(WF_DATA,
                       "%s: a %s folder has parts beside the text: it is not written anew; "
                       "model.weights_format quantises its text part as it is loaded",
                       q->model, q->arch->part->model_type);
    bool packed = wf_json_has(wf_json_root(wf_hf_folder_config(q->folder)), "quantization_config");
    if (q->arch->quant.n_kinds > 0 || packed)
        return wf_fail(WF_DATA,
                       "%s/config.json: quantization_config: this model is quantised already; take "
                       "the float checkpoint",
                       q->model);
    return wf_model_check(q->arch, q->folder);
}

// ---- one format for all -------------------------------------------------------------------------

// What the matrices took before, and take now.
static void say_done(const quantising *q, const wf_hf_write_report *r)
{
    double s = (double)(wf_clock_ns() - q->began_ns) / (double)WF_NS_PER_S;
    uint64_t before = 0, after = 0;
    for (int32_t i = 0; i < q->arch->n_layers; i++) {
        before += wf_quantize_layer_bytes(q->arch, i, WF_QUANTIZE_PLAIN);
        after += wf_quantize_layer_bytes(q->arch, i, (wf_quantize_format)q->recipe->format[i]);
    }
    printf("%s: %.1f MB in %zu file%s; matrices of layers %.1f MB instead of %.1f; %.1f s\n",
           q->output, (double)r->bytes / 1e6, r->n_files, WF_S(r->n_files), (double)after / 1e6,
           (double)before / 1e6, s);
    if (r->n_kept > 0) wf_info("%zu of the files were written by an earlier start", r->n_kept);
}

static wf_status write_folder(quantising *q)
{
    wf_hf_write_report report;
    const wf_quantize_write_job job = {.folder = q->folder,
                                       .arch = q->arch,
                                       .recipe = q->recipe,
                                       .path = q->output,
                                       .stop = wf_drain_level_of(q->drain)};
    if (wf_cli_has(q->cli, "fresh")) WF_TRY(wf_hf_write_discard(q->output));
    WF_TRY(wf_quantize_write(&job, &report));
    say_done(q, &report);
    return WF_OK;
}

// ---- a format for each layer --------------------------------------------------------------------

static wf_status read_texts(quantising *q)
{
    int32_t longest = q->arch->max_context < 4096 ? q->arch->max_context : 4096;
    return wf_texts_read(q->reader, q->shard, q->arch->n_vocab, longest, q->n_tokens, &q->texts);
}

static wf_status calibrate(quantising *q)
{
    char work[PATH_BYTES];
    wf_hf_write_report report;
    snprintf(work, sizeof work, "%s.work", q->output);
    if (wf_cli_has(q->cli, "fresh")) WF_TRY(wf_tree_remove(work));
    WF_TRY(read_texts(q));
    int32_t longest = q->texts.calibration.longest;
    if (q->texts.held_out.longest > longest) longest = q->texts.held_out.longest;
    const wf_calibrate_job job = {.models = {.folder = q->folder,
                                             .arch = q->arch,
                                             .backend = q->backend,
                                             .work = work,
                                             .max_context = longest,
                                             .stop = wf_drain_level_of(q->drain)},
                                  .texts = &q->texts,
                                  .output = q->output,
                                  .budget = wf_quantize_budget_bytes(&q->budget, q->arch),
                                  .dynamic = q->recipe->dynamic,
                                  .uncorrected = wf_cli_has(q->cli, "no-correction"),
                                  .table = stdout};
    WF_TRY(wf_calibrate(&job, &report));
    return wf_tree_remove(work);
}

wf_status wf_cmd_quantize(const wf_cli *cli)
{
    quantising q = {.cli = cli, .began_ns = wf_clock_ns()};
    const wf_drain_config drain = {
        .signals = wf_signals_seen(), .begin_ns = INT64_MAX, .end_ns = INT64_MAX};
    wf_signals_install();
    wf_status st = find_model(&q);
    if (st == WF_OK) st = read_options(&q);
    if (st == WF_OK && q.shard) st = wf_reader_start(&(wf_reader_config){0}, &q.reader);
    if (st == WF_OK) st = wf_drain_start(&drain, &q.drain);
    if (st == WF_OK) st = open_model(&q);
    if (st == WF_OK) st = q.shard ? calibrate(&q) : write_folder(&q);
    wf_reader_close(&q.reader);
    wf_texts_free(&q.texts);
    wf_drain_stop(&q.drain);
    wf_hf_folder_close(&q.folder);
    wf_jobspec_destroy(&q.spec);
    free(q.arch);
    free(q.recipe);
    return st;
}
