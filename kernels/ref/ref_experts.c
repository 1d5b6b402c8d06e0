// Experts: route, pack_pairs, experts_gemm, combine. Sums are doubles.
#include <math.h>

#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

// ---- route --------------------------------------------------------------------------------------

static void scores_of(const wf_route_args *a, const float *logit, double *score)
{
    int64_t n = a->logits.n_cols;
    double most = -INFINITY, sum = 0.0;
    for (int64_t e = 0; e < n; e++)
        if ((double)logit[e] > most) most = (double)logit[e];
    for (int64_t e = 0; e < n; e++) {
        bool sigmoid = a->score == WF_SCORE_SIGMOID;
        score[e] = sigmoid ? 1.0 / (1.0 + exp(-(double)logit[e])) : exp((double)logit[e] - most);
        if (isnan(logit[e])) score[e] = 0.0;
        sum += score[e];
    }
    for (int64_t e = 0; a->score == WF_SCORE_SOFTMAX && e < n; e++)
        score[e] /= sum;
}

// The greatest of n, the first on ties.
static int64_t greatest(const double *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

// What its best expert is worth, or its best two.
static double group_worth(const wf_route_args *a, const double *choice, int64_t n)
{
    int64_t best = greatest(choice, n);
    double second = -INFINITY;
    if (a->score == WF_SCORE_SOFTMAX || n == 1) return choice[best];
    for (int64_t i = 0; i < n; i++)
        if (i != best && choice[i] > second) second = choice[i];
    return choice[best] + second;
}

// Leaves the experts of the best groups.
static void keep_best_groups(const wf_route_args *a, double *choice)
{
    double worth[WF_MAX_EXPERTS];
    int64_t each = a->logits.n_cols / a->n_groups;
    bool kept[WF_MAX_EXPERTS] = {false};
    for (int32_t g = 0; g < a->n_groups; g++)
        worth[g] = group_worth(a, choice + g * each, each);
    for (int32_t i = 0; i < a->n_best_groups; i++) {
        int64_t best = greatest(worth, a->n_groups);
        kept[best] = true;
        worth[best] = -INFINITY;
    }
    for (int64_t e = 0; e < a->logits.n_cols; e++)
        if (!kept[e / each]) choice[e] = -INFINITY;
}

static void route_token(const wf_route_args *a, const float *logit, int32_t *expert, float *weight)
{
    double score[WF_MAX_EXPERTS], choice[WF_MAX_EXPERTS], sum = 0.0;
    scores_of(a, logit, score);
    for (int64_t e = 0; e < a->logits.n_cols; e++)
        choice[e] = score[e] + (a->choice_bias ? (double)a->choice_bias[e] : 0.0);
    if (a->n_groups > 1) keep_best_groups(a, choice);
    for (int32_t c = 0; c < a->n_choices; c++) {
        expert[c] = (int32_t)greatest(choice, a->logits.n_cols);
        choice[expert[c]] = -INFINITY;
        sum += score[expert[c]];
    }
    for (int32_t c = 0; c < a->n_choices; c++)
        weight[c] = (float)(score[expert[c]] / (a->renormalise ? sum : 1.0) * (double)a->scale);
}

wf_status wf_ref_route(wf_backend *be, wf_stream *s, const wf_route_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_route(a, WF_F32));
    for (int64_t t = 0; t < a->logits.n_rows; t++)
        route_token(a, (const float *)a->logits.data + t * a->logits.stride,
                    a->expert + t * a->n_choices, a->weight + t * a->n_choices);
    return WF_OK;
}

// ---- pack_pairs ---------------------------------------------------------------------------------

wf_status wf_ref_pack_pairs(wf_backend *be, wf_stream *s, const wf_pack_pairs_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_pack_pairs(a, WF_F32));
    int32_t next[WF_MAX_EXPERTS + 1] = {0};
    for (int32_t p = 0; p < a->n_pairs; p++) {
        int32_t e = a->expert[p] - a->first_expert;
        if (e >= 0 && e < a->n_experts) next[e + 1]++;
    }
    for (int32_t e = 0; e < a->n_experts; e++)
        next[e + 1] += next[e];
    for (int32_t e = 0; e <= a->n_experts; e++)
        a->begin[e] = next[e];
    for (int32_t p = 0; p < a->n_pairs; p++) {
        int32_t e = a->expert[p] - a->first_expert;
        bool here = e >= 0 && e < a->n_experts;
        a->row[p] = here ? next[e]++ : -1;
        if (here) a->pair[a->row[p]] = p;
    }
    return WF_OK;
}

// ---- experts_gemm -------------------------------------------------------------------------------

static double dot(const wf_experts_gemm_args *a, int64_t e, int64_t n, const float *x)
{
    int64_t row = e * a->w->n_rows + n;
    double sum = 0.0;
    for (int64_t k = 0; k < a->w->n_cols; k++)
        sum += (double)x[k] * (double)wf_ref_weight_at(a->w, row, k);
    return sum + (a->bias ? (double)a->bias[row] : 0.0);
}

static double gated(wf_gate gate, double g, double u)
{
    if (gate == WF_GATE_SILU) return g / (1.0 + exp(-g)) * u;
    g = fmin(g, 7.0);
    u = fmax(fmin(u, 7.0), -7.0);
    return g / (1.0 + exp(-1.702 * g)) * (u + 1.0);
}

static void expert_row(const wf_experts_gemm_args *a, int64_t e, int64_t r)
{
    int64_t from = a->pair ? a->pair[r] / a->n_choices : r, n_cols = a->y.n_cols;
    const float *x = (const float *)a->x.data + from * a->x.stride;
    for (int64_t n = 0; n < n_cols; n++) {
        double sum = dot(a, e, n, x);
        if (a->gate != WF_GATE_NONE) sum = gated(a->gate, sum, dot(a, e, n_cols + n, x));
        for (int32_t run = 0; run == 0 || run < a->k_runs; run++)
            ((float *)a->y.data)[run * a->run_stride + r * a->y.stride + n] =
                run == 0 ? (float)sum : 0.0f;
    }
}

wf_status wf_ref_experts_gemm(wf_backend *be, wf_stream *s, const wf_experts_gemm_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_experts_gemm(a, WF_F32));
    for (int64_t e = 0; e < a->w->n_groups; e++) {
        int64_t r = a->begin ? a->begin[e] : 0, end = a->begin ? a->begin[e + 1] : a->y.n_rows;
        for (; r < end; r++)
            expert_row(a, e, r);
    }
    return WF_OK;
}

// ---- combine ------------------------------------------------------------------------------------

static double combined(const wf_combine_args *a, int64_t t, int64_t n, int32_t run)
{
    double sum = 0.0;
    if (a->shared.data != NULL) {
        const float *shared = (const float *)a->shared.data + run * a->shared_run_stride;
        double g = a->shared_gate ? 1.0 / (1.0 + exp(-(double)a->shared_gate[t])) : 1.0;
        sum = g * (double)shared[t * a->shared.stride + n];
    }
    const float *x = (const float *)a->x.data + run * a->run_stride + n;
    for (int64_t p = t * a->n_choices; p < (t + 1) * a->n_choices; p++)
        if (a->row[p] >= 0) sum += (double)a->weight[p] * (double)x[a->row[p] * a->x.stride];
    return sum;
}

wf_status wf_ref_combine(wf_backend *be, wf_stream *s, const wf_combine_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_combine(a, WF_F32));
    for (int64_t t = 0; t < a->y.n_rows; t++)
        for (int64_t n = 0; n < a->y.n_cols; n++) {
            double sum = 0.0;
            for (int32_t run = 0; run == 0 || run < a->k_runs; run++)
                sum += combined(a, t, n, run);
            ((float *)a->y.data)[t * a->y.stride + n] = (float)sum;
        }
    return WF_OK;
}
