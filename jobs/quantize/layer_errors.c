// See layer_errors.h.
#include "jobs/quantize/layer_errors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"

#define JOURNAL_BYTES ((size_t)64 << 20)

static void forget(wf_measured *m)
{
    for (int32_t i = 0; i < WF_ARCH_MAX_LAYERS; i++)
        for (int f = 0; f < WF_N_QUANTIZE_FORMATS; f++)
            m->kl[i][f] = f == WF_QUANTIZE_PLAIN ? 0.0 : -1.0;
    m->n_kept = 0;
}

// A line that a crash cut off is not there: its layer is measured again.
static void take_line(wf_measured *m, const char *line)
{
    char word[32];
    int layer;
    double kl;
    wf_quantize_format format;
    if (sscanf(line, "%d %31s %lf", &layer, word, &kl) != 3) return;
    if (layer < 0 || layer >= WF_ARCH_MAX_LAYERS || !wf_quantize_named(word, &format)) return;
    m->kl[layer][format] = kl > 0.0 ? kl : 0.0;
    m->n_kept++;
}

static wf_status read_journal(const char *path, const char *identity, wf_measured *m)
{
    char *text = NULL, *line, *next;
    size_t n = strlen(identity);
    if (!wf_file_exists(path)) return wf_file_append(path, identity, n, true);
    WF_TRY(wf_file_read(path, JOURNAL_BYTES, &text, NULL));
    wf_status st = WF_OK;
    if (strncmp(text, identity, n) != 0)
        st = wf_fail(WF_MISMATCH,
                     "%s: was measured on another model or shard; remove it, or say --fresh", path);
    for (line = text + n; st == WF_OK && (next = strchr(line, '\n')) != NULL; line = next + 1)
        take_line(m, line);
    free(text);
    return st;
}

static wf_status measure_one(wf_variants *v, wf_evaluation *e, const char *path, int32_t i_layer,
                             wf_quantize_format format, wf_quantize_recipe *recipe, double *out)
{
    char line[96];
    const wf_model *model;
    wf_loss loss;
    wf_quantize_uniform(WF_QUANTIZE_PLAIN, recipe);
    recipe->format[i_layer] = (uint8_t)format;
    WF_TRY(wf_variants_mix(v, recipe, &model));
    WF_TRY(wf_evaluation_run(e, model, &loss));
    *out = loss.kl > 0.0 ? loss.kl : 0.0;
    int n = snprintf(line, sizeof line, "%" PRId32 " %s %.9g\n", i_layer, wf_quantize_word(format),
                     *out);
    return wf_file_append(path, line, (size_t)n, true);
}

wf_status wf_measure(wf_variants *v, wf_evaluation *e, const char *path, const char *identity,
                     wf_measured *out)
{
    int32_t n_layers = wf_variants_full(v)->arch.n_layers;
    wf_quantize_recipe *recipe;
    forget(out);
    WF_TRY(read_journal(path, identity, out));
    WF_TRY(wf_alloc(1, sizeof *recipe, &recipe));
    wf_status st = WF_OK;
    for (int32_t i = 0; i < n_layers; i++) {
        for (int f = 0; f < WF_N_QUANTIZE_FORMATS && st == WF_OK; f++)
            if (out->kl[i][f] < 0.0)
                st = measure_one(v, e, path, i, (wf_quantize_format)f, recipe, &out->kl[i][f]);
        if (st == WF_OK) wf_info("quantize: layer %d of %d measured", i + 1, n_layers);
    }
    free(recipe);
    return st;
}

void wf_measured_choices(const wf_measured *m, const wf_arch *arch, wf_choice *out)
{
    for (int32_t i = 0; i < arch->n_layers; i++)
        for (int f = 0; f < WF_N_QUANTIZE_FORMATS; f++)
            out[i * WF_N_QUANTIZE_FORMATS + f] =
                (wf_choice){wf_quantize_layer_bytes(arch, i, (wf_quantize_format)f), m->kl[i][f]};
}
