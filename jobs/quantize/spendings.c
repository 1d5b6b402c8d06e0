// See spendings.h.
#include "jobs/quantize/spendings.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/json_writer.h"

void wf_spendings_add(wf_spendings *s, const char *name, uint64_t bytes, wf_loss loss)
{
    if (s->n == WF_MOST_SPENDINGS) return;
    wf_spending *row = &s->row[s->n++];
    snprintf(row->name, sizeof row->name, "%s", name);
    row->bytes = bytes;
    row->loss = loss;
}

void wf_spendings_print(const wf_spendings *s, FILE *file)
{
    fprintf(file, "%-28s %12s %12s %12s\n", "", "MB", "KL (nat)", "perplexity");
    for (int i = 0; i < s->n; i++)
        fprintf(file, "%-28s %12.2f %12.6f %12.5f\n", s->row[i].name, (double)s->row[i].bytes / 1e6,
                s->row[i].loss.kl, exp(s->row[i].loss.nll));
    fprintf(file, "KL against the full model, of %" PRId64 " tokens that were held out\n",
            s->held_out_tokens);
}

static void put_rows(const wf_spendings *s, wf_json_writer *w)
{
    wf_json_open_array(w, "spendings");
    for (int i = 0; i < s->n; i++) {
        wf_json_open_object(w, NULL);
        wf_json_put_string(w, "name", s->row[i].name);
        wf_json_put_u64(w, "bytes", s->row[i].bytes);
        wf_json_put_f64(w, "kl", s->row[i].loss.kl);
        wf_json_put_f64(w, "perplexity", exp(s->row[i].loss.nll));
        wf_json_close(w);
    }
    wf_json_close(w);
}

wf_status wf_spendings_json(const wf_spendings *s, const wf_arch *arch,
                            const wf_quantize_recipe *recipe, char **out)
{
    wf_json_writer *w = NULL;
    const char *text = "";
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_i64(w, "calibration_tokens", s->calibration_tokens);
    wf_json_put_i64(w, "held_out_tokens", s->held_out_tokens);
    wf_json_put_u64(w, "budget_bytes", s->budget);
    wf_json_put_string(w, "corrected", s->corrected);
    wf_json_open_array(w, "layers");
    for (int32_t i = 0; i < arch->n_layers; i++)
        wf_json_put_string(w, NULL, wf_quantize_word((wf_quantize_format)recipe->format[i]));
    wf_json_close(w);
    put_rows(s, w);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) st = wf_strdup(text, out);
    wf_json_writer_destroy(&w);
    return st;
}
