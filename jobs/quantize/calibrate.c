// See calibrate.h.
#include "jobs/quantize/calibrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "jobs/quantize/correct.h"
#include "jobs/quantize/layer_errors.h"
#include "jobs/quantize/spendings.h"
#include "jobs/quantize/write.h"

enum { PATH_BYTES = 4096 };

typedef struct calibrating {
    const wf_calibrate_job *job;
    const wf_arch *arch;
    wf_variants *v;
    wf_evaluation *calibration, *held_out;
    wf_measured measured;
    wf_choice choices[WF_ARCH_MAX_LAYERS * WF_N_QUANTIZE_FORMATS];
    wf_quantize_recipe recipe, uniform;
    wf_corrections corrections;
    wf_spendings spendings;
    char result[PATH_BYTES]; // the folder before it gets its name
    wf_hf_write_report report;
} calibrating;

// ---- budgets ------------------------------------------------------------------------------------

wf_status wf_quantize_budget_parse(const char *text, wf_quantize_budget *out)
{
    int64_t bytes;
    *out = (wf_quantize_budget){0};
    out->as_format = wf_quantize_named(text, &out->format);
    if (out->as_format || wf_parse_f64(text, 0.25, 4.0, &out->per_number) == WF_OK) return WF_OK;
    if (wf_parse_bytes(text, &bytes) == WF_OK && bytes > 0) {
        out->bytes = (uint64_t)bytes;
        return WF_OK;
    }
    return wf_fail(WF_USAGE,
                   "%s: is no budget: a format whose bytes are meant (%s), bytes of a number (0.25 "
                   "to 4), or a size (4GB)",
                   text, wf_quantize_words_all());
}

static uint64_t layers_bytes(const wf_arch *arch, const wf_quantize_recipe *recipe)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < arch->n_layers; i++)
        bytes += wf_quantize_layer_bytes(arch, i, (wf_quantize_format)recipe->format[i]);
    return bytes;
}

static uint64_t uniform_bytes(const wf_arch *arch, wf_quantize_format format)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < arch->n_layers; i++)
        bytes += wf_quantize_layer_bytes(arch, i, format);
    return bytes;
}

uint64_t wf_quantize_budget_bytes(const wf_quantize_budget *b, const wf_arch *arch)
{
    if (b->as_format) return uniform_bytes(arch, b->format);
    if (b->per_number <= 0.0) return b->bytes;
    uint64_t plain = uniform_bytes(arch, WF_QUANTIZE_PLAIN);
    return (uint64_t)((double)plain / (double)wf_dtype_bytes(arch->dtype) * b->per_number);
}

// ---- measuring ----------------------------------------------------------------------------------

static wf_status open_all(calibrating *c)
{
    const wf_calibrate_job *job = c->job;
    const wf_text_halves *t = job->texts;
    wf_loss full = {0};
    double nll;
    WF_TRY(wf_file_make_folders(job->models.work));
    WF_TRY(wf_variants_open(&job->models, &c->v));
    wf_backend *be = wf_variants_backend(c->v);
    const wf_model *m = wf_variants_full(c->v);
    WF_TRY(wf_evaluation_create(be, m, &t->calibration, job->models.stop, &c->calibration, &nll));
    WF_TRY(wf_evaluation_create(be, m, &t->held_out, job->models.stop, &c->held_out, &full.nll));
    c->spendings.calibration_tokens = t->calibration.n_tokens;
    c->spendings.held_out_tokens = t->held_out.n_tokens;
    c->spendings.budget = job->budget;
    wf_spendings_add(&c->spendings, "full", uniform_bytes(c->arch, WF_QUANTIZE_PLAIN), full);
    return WF_OK;
}

static wf_status measure(calibrating *c)
{
    char path[PATH_BYTES], identity[256], model[WF_HF_IDENTITY_MAX];
    const wf_text_halves *t = c->job->texts;
    WF_TRY(wf_hf_folder_identity(c->job->models.folder, model));
    snprintf(identity, sizeof identity,
             "{\"model\": \"%s\", \"shard\": \"%s\", \"tokens\": %" PRId64 "}\n", model, t->uid,
             t->calibration.n_tokens);
    snprintf(path, sizeof path, "%s/measured", c->job->models.work);
    WF_TRY(wf_measure(c->v, c->calibration, path, identity, &c->measured));
    if (c->measured.n_kept > 0)
        wf_info("quantize: %d measurements were made by an earlier start", c->measured.n_kept);
    wf_measured_choices(&c->measured, c->arch, c->choices);
    return WF_OK;
}

static wf_status choose(calibrating *c)
{
    int32_t *chosen, n = c->arch->n_layers;
    WF_TRY(wf_alloc((size_t)n, sizeof *chosen, &chosen));
    wf_status st = wf_choose(c->choices, n, WF_N_QUANTIZE_FORMATS, c->job->budget, chosen);
    for (int32_t i = 0; i < n && st == WF_OK; i++)
        c->recipe.format[i] = (uint8_t)chosen[i];
    c->recipe.dynamic = c->job->dynamic;
    free(chosen);
    return st;
}

// ---- judging ------------------------------------------------------------------------------------

static wf_status judge(calibrating *c, const char *name, const wf_quantize_recipe *recipe)
{
    const wf_model *model;
    wf_loss loss;
    WF_TRY(wf_variants_mix(c->v, recipe, &model));
    WF_TRY(wf_evaluation_run(c->held_out, model, &loss));
    wf_spendings_add(&c->spendings, name, layers_bytes(c->arch, recipe), loss);
    return WF_OK;
}

static wf_status judge_all(calibrating *c)
{
    for (int f = 1; f < WF_N_QUANTIZE_FORMATS; f++) {
        wf_quantize_uniform((wf_quantize_format)f, &c->uniform);
        WF_TRY(judge(c, wf_quantize_word((wf_quantize_format)f), &c->uniform));
    }
    return judge(c, "chosen", &c->recipe);
}

// ---- correcting and writing ---------------------------------------------------------------------

static wf_status write_result(calibrating *c, const wf_corrections *corrections)
{
    const wf_variants_config *m = &c->job->models;
    uint64_t hash = wf_hash64_of(c->recipe.format, (size_t)c->arch->n_layers, c->recipe.dynamic);
    snprintf(c->result, sizeof c->result, "%s/%s-%016" PRIx64, m->work,
             corrections ? "corrected" : "chosen", hash);
    if (wf_file_exists(c->result)) return WF_OK;
    const wf_quantize_write_job job = {.folder = m->folder,
                                       .arch = c->arch,
                                       .recipe = &c->recipe,
                                       .corrections = corrections,
                                       .path = c->result,
                                       .stop = m->stop};
    return wf_quantize_write(&job, &c->report);
}

static wf_status losses_of_result(calibrating *c, wf_loss *calibration, wf_loss *held_out)
{
    wf_model *model = NULL;
    wf_status st = wf_variants_load(c->v, c->result, &model);
    if (st == WF_OK) st = wf_evaluation_run(c->calibration, model, calibration);
    if (st == WF_OK) st = wf_evaluation_run(c->held_out, model, held_out);
    wf_model_destroy(&model);
    return st;
}

// What is corrected is kept where it is better both on the texts that it was solved on and on
// others.
static wf_status correct(calibrating *c)
{
    const wf_variants_config *m = &c->job->models;
    const wf_model *mixed;
    wf_loss before, after, held_out;
    double chosen_kl = c->spendings.row[c->spendings.n - 1].loss.kl; // on others
    c->spendings.corrected = "no: not asked for";
    if (c->job->uncorrected) return write_result(c, NULL);
    WF_TRY(wf_variants_mix(c->v, &c->recipe, &mixed));
    WF_TRY(wf_evaluation_run(c->calibration, mixed, &before));
    WF_TRY(wf_correct(wf_variants_backend(c->v), wf_variants_full(c->v), mixed, &c->recipe,
                      &c->job->texts->calibration, m->stop, &c->corrections));
    WF_TRY(write_result(c, &c->corrections));
    WF_TRY(losses_of_result(c, &after, &held_out));
    wf_spendings_add(&c->spendings, "chosen, corrected", layers_bytes(c->arch, &c->recipe),
                     held_out);
    bool better = after.kl < before.kl && held_out.kl < chosen_kl;
    c->spendings.corrected = better ? "yes" : "no: it was no better";
    return better ? WF_OK : write_result(c, NULL);
}

static wf_status publish(calibrating *c)
{
    char path[PATH_BYTES + 32], *text = NULL, *above = NULL;
    snprintf(path, sizeof path, "%s/quantize.json", c->result);
    WF_TRY(wf_spendings_json(&c->spendings, c->arch, &c->recipe, &text));
    wf_status st = wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE);
    free(text);
    WF_TRY(st);
    if (wf_file_exists(c->job->output))
        return wf_fail(WF_IN_USE, "%s: is there already; name a new folder", c->job->output);
    if (rename(c->result, c->job->output) != 0)
        return wf_fail_errno(WF_IO, "%s: cannot be named %s", c->result, c->job->output);
    WF_TRY(wf_path_folder(c->job->output, &above));
    st = wf_file_sync_folder(above);
    free(above);
    return st;
}

wf_status wf_calibrate(const wf_calibrate_job *job, wf_hf_write_report *out)
{
    calibrating *c;
    WF_TRY(wf_alloc(1, sizeof *c, &c));
    c->job = job;
    c->arch = job->models.arch;
    wf_status st = open_all(c);
    if (st == WF_OK) st = measure(c);
    if (st == WF_OK) st = choose(c);
    if (st == WF_OK) st = judge_all(c);
    if (st == WF_OK) st = correct(c);
    if (st == WF_OK) st = publish(c);
    if (st == WF_OK) wf_spendings_print(&c->spendings, job->table);
    *out = c->report;
    wf_corrections_free(&c->corrections);
    wf_evaluation_destroy(&c->calibration);
    wf_evaluation_destroy(&c->held_out);
    wf_variants_close(&c->v);
    free(c);
    return st;
}
