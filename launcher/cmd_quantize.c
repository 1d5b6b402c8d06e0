// weft quantize: a model's folder in fewer bytes, for this program and for others.
//
//   JOB.yaml or --model, what is asked for -> the folder, checked -> OUT.part -> OUT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_check.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "jobs/quantize/write.h"
#include "jobs/run/drain.h"
#include "jobs/spec/jobspec.h"
#include "launcher/bringup/signals.h"
#include "launcher/commands.h"
#include "launcher/jobfile.h"

const wf_cli_option wf_quantize_options[] = {
    {"model", 'm', "DIR", "the model's folder, in f32, bf16 or f16: no job file is needed then"},
    {"output", 'o', "DIR", "folder to be made"},
    {"weights", 'w', "FORMAT", "of all layers' matrices: fp8, int8, int4, int4-32"},
    {"activations", 'a', "dynamic",
     "8-bit weights: tells other engines to round activations too, token by token"},
    {"fresh", 0, NULL, "starts over: discards what an interrupted start left beside DIR"},
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {NULL, 0, NULL, NULL},
};

typedef struct quantising {
    const wf_cli *cli;
    wf_jobspec *spec; // NULL: --model
    const char *model, *output;
    wf_hf_folder *folder;
    wf_arch *arch;
    wf_quantize_recipe *recipe;
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

static wf_status read_options(quantising *q)
{
    wf_quantize_format format = WF_QUANTIZE_PLAIN;
    const char *weights = wf_cli_value(q->cli, "weights");
    const char *activations = wf_cli_value(q->cli, "activations");
    q->output = wf_cli_value(q->cli, "output");
    if (!q->output || !q->output[0]) return wf_cli_fail(q->cli, "--output DIR: where to");
    if (!weights) return wf_cli_fail(q->cli, "--weights FORMAT: one of fp8, int8, int4, int4-32");
    if (!wf_quantize_named(weights, &format) || format == WF_QUANTIZE_PLAIN)
        return wf_cli_fail(q->cli, "--weights %s: is none of fp8, int8, int4, int4-32", weights);
    if (activations && strcmp(activations, "dynamic") != 0)
        return wf_cli_fail(q->cli, "--activations %s: only dynamic is known", activations);
    q->recipe = malloc(sizeof *q->recipe);
    q->arch = malloc(sizeof *q->arch);
    if (!q->recipe || !q->arch) return wf_fail(WF_NO_MEMORY, "quantize: no memory");
    wf_quantize_uniform(format, q->recipe);
    q->recipe->dynamic = activations != NULL;
    return WF_OK;
}

// ---- the model ----------------------------------------------------------------------------------

static wf_status open_model(quantising *q)
{
    WF_TRY(wf_hf_folder_open(q->model, true, &q->folder));
    WF_TRY(wf_arch_read(q->folder, q->spec && q->spec->model.trust_config, q->arch));
    bool packed = wf_json_has(wf_json_root(wf_hf_folder_config(q->folder)), "quantization_config");
    if (q->arch->quant.n_kinds > 0 || packed)
        return wf_fail(WF_DATA,
                       "%s/config.json: quantization_config: this model is quantised already; take "
                       "the float checkpoint",
                       q->model);
    return wf_model_check(q->arch, q->folder);
}

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
    const wf_drain_config drain = {
        .signals = wf_signals_seen(), .begin_ns = INT64_MAX, .end_ns = INT64_MAX};
    if (wf_cli_has(q->cli, "fresh")) WF_TRY(wf_hf_write_discard(q->output));
    WF_TRY(wf_drain_start(&drain, &q->drain));
    const wf_quantize_write_job job = {.folder = q->folder,
                                       .arch = q->arch,
                                       .recipe = q->recipe,
                                       .path = q->output,
                                       .stop = wf_drain_level_of(q->drain)};
    WF_TRY(wf_quantize_write(&job, &report));
    say_done(q, &report);
    return WF_OK;
}

wf_status wf_cmd_quantize(const wf_cli *cli)
{
    quantising q = {.cli = cli, .began_ns = wf_clock_ns()};
    wf_signals_install();
    wf_status st = find_model(&q);
    if (st == WF_OK) st = read_options(&q);
    if (st == WF_OK) st = open_model(&q);
    if (st == WF_OK) st = write_folder(&q);
    wf_drain_stop(&q.drain);
    wf_hf_folder_close(&q.folder);
    wf_jobspec_destroy(&q.spec);
    free(q.arch);
    free(q.recipe);
    return st;
}
