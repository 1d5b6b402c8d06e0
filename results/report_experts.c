// Sums of loads of experts. See report_experts.h.
#include "results/report_experts.h"

#include <stdlib.h>

#include "io/base/arena.h"

wf_status wf_expert_loads_add(wf_expert_loads *l, const wf_step_record *step)
{
    size_t n = step->expert_load ? step->n_expert_load : 0;
    size_t n_layers = step->expert_layers > 0 ? (size_t)step->expert_layers : 0;
    if (n == 0 || n_layers == 0 || n % n_layers != 0) return WF_OK;
    if (l->n_layers == 0) {
        WF_TRY(wf_alloc(n, sizeof *l->tokens, &l->tokens));
        l->n_layers = n_layers;
        l->n_experts = n / n_layers;
    }
    if (n_layers != l->n_layers || n != l->n_layers * l->n_experts) return WF_OK;
    for (size_t i = 0; i < n; i++)
        if (step->expert_load[i] > 0) l->tokens[i] += (uint64_t)step->expert_load[i];
    return WF_OK;
}

void wf_expert_loads_free(wf_expert_loads *l)
{
    free(l->tokens);
    *l = (wf_expert_loads){0};
}

wf_expert_layer wf_expert_loads_layer(const wf_expert_loads *l, size_t i_layer)
{
    const uint64_t *tokens = l->tokens + i_layer * l->n_experts;
    wf_expert_layer out = {0};
    for (size_t e = 0; e < l->n_experts; e++) {
        out.tokens += tokens[e];
        out.n_untouched += tokens[e] == 0;
        if (tokens[e] > tokens[out.fullest]) out.fullest = e;
    }
    if (out.tokens > 0)
        out.imbalance = (double)(tokens[out.fullest] * l->n_experts) / (double)out.tokens;
    return out;
}

void wf_expert_loads_print(const wf_expert_loads *l, FILE *out)
{
    size_t worst = 0;
    double sum = 0.0;
    if (l->n_layers == 0) return;
    for (size_t i = 0; i < l->n_layers; i++) {
        double imbalance = wf_expert_loads_layer(l, i).imbalance;
        sum += imbalance;
        if (imbalance > wf_expert_loads_layer(l, worst).imbalance) worst = i;
    }
    wf_expert_layer of = wf_expert_loads_layer(l, worst);
    fprintf(
        out,
        "\n  %-12s fullest of %zu has %.2f times the mean, over %zu layers; most in layer %zu of "
        "them: %.2f (expert %zu)",
        "experts", l->n_experts, sum / (double)l->n_layers, l->n_layers, worst, of.imbalance,
        of.fullest);
}

void wf_expert_loads_put(wf_json_writer *w, const wf_expert_loads *l)
{
    if (l->n_layers == 0) return;
    wf_json_open_object(w, "experts");
    wf_json_put_u64(w, "experts", l->n_experts);
    wf_json_open_array(w, "layers");
    for (size_t i = 0; i < l->n_layers; i++) {
        wf_expert_layer of = wf_expert_loads_layer(l, i);
        wf_json_open_object(w, NULL);
        wf_json_put_u64(w, "tokens", of.tokens);
        wf_json_put_u64(w, "fullest", of.fullest);
        wf_json_put_f64(w, "imbalance", of.imbalance);
        wf_json_put_u64(w, "untouched", of.n_untouched);
        wf_json_open_array(w, "load");
        for (size_t e = 0; e < l->n_experts; e++)
            wf_json_put_u64(w, NULL, l->tokens[i * l->n_experts + e]);
        wf_json_close(w);
        wf_json_close(w);
    }
    wf_json_close(w);
    wf_json_close(w);
}
