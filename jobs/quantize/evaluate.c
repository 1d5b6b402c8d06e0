// See evaluate.h.
//
// A text is one row of a slot of its own, run in chunks; every token of a chunk is sampled, and the
// head's product is looked at before the sampler sees it.
#include "jobs/quantize/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/forward.h"
#include "io/base/arena.h"
#include "jobs/quantize/tap.h"

enum { CHUNK = 256, PAGE_TOKENS = 64 };

struct wf_evaluation {
    wf_backend *be;
    const wf_texts *texts;
    const atomic_int *stop;
    int64_t n_vocab;
    float *reference; // [n_tokens][n_vocab] log-probabilities of the full model
};

// One pass over the texts.
typedef struct pass {
    const wf_texts *texts;
    const wf_model *model;
    const wf_evaluation *e; // NULL: nothing is compared
    bool fills;             // the reference
    float *logits;          // [CHUNK][cols] of the head's product
    int64_t token;          // of all texts, the first of the chunk
    int32_t i_text, at;     // the chunk
    double kl, nll;
    int64_t n_nll;
} pass;

// ---- one chunk's logits -------------------------------------------------------------------------

static void cap_logits(const wf_arch *a, float *row)
{
    for (int64_t v = 0; v < a->n_vocab && a->logit_cap > 0.0f; v++)
        row[v] = a->logit_cap * tanhf(row[v] / a->logit_cap);
}

// The logarithm of the sum of exponentials.
static double log_sum(const float *row, int64_t n)
{
    float most = row[0];
    double sum = 0.0;
    for (int64_t v = 1; v < n; v++)
        most = row[v] > most ? row[v] : most;
    for (int64_t v = 0; v < n; v++)
        sum += (double)expf(row[v] - most);
    return (double)most + log(sum);
}

static double divergence(const float *reference, const float *row, double shift, int64_t n)
{
    double kl = 0.0;
    for (int64_t v = 0; v < n; v++) {
        double p = (double)expf(reference[v]);
        kl += p * ((double)reference[v] - ((double)row[v] - shift));
    }
    return kl;
}

static void take_token(pass *p, int64_t i, float *row)
{
    const wf_evaluation *e = p->e;
    float *reference = e->reference + (p->token + i) * e->n_vocab;
    int32_t next = p->at + (int32_t)i + 1;
    cap_logits(&p->model->arch, row);
    double shift = log_sum(row, e->n_vocab);
    if (p->fills)
        for (int64_t v = 0; v < e->n_vocab; v++)
            reference[v] = (float)((double)row[v] - shift);
    p->kl += divergence(reference, row, shift, e->n_vocab);
    if (next == p->texts->length[p->i_text]) return;
    p->nll -= (double)row[p->texts->ids[p->i_text][next]] - shift;
    p->n_nll++;
}

static wf_status look(void *context, wf_backend *be, const wf_backend_ops *below, wf_stream *s,
                      const wf_gemm_args *a)
{
    pass *p = context;
    if (a->w != p->model->head.matrix || a->y.dtype != WF_F32) return WF_OK;
    WF_TRY(wf_tap_download(be, below, s, a->y, p->logits));
    for (int64_t i = 0; i < a->y.n_rows; i++)
        take_token(p, i, p->logits + i * a->y.n_cols);
    return WF_OK;
}

// ---- plans --------------------------------------------------------------------------------------

static void fill_tokens(const int32_t *ids, int32_t past, int32_t n, int32_t *plan,
                        const int64_t *offsets)
{
    plan[offsets[WF_PLAN_AT_CU_SEQLENS]] = 0;
    plan[offsets[WF_PLAN_AT_CU_SEQLENS] + 1] = n;
    plan[offsets[WF_PLAN_AT_SEQ_ROW]] = 0;
    plan[offsets[WF_PLAN_AT_SEQ_PAST]] = past;
    plan[offsets[WF_PLAN_AT_SEQ_JOIN]] = past == 0;
    for (int32_t i = 0; i < n; i++) {
        plan[offsets[WF_PLAN_AT_TOKEN_SEQ] + i] = 0;
        plan[offsets[WF_PLAN_AT_TOKEN_POS] + i] = past + i;
        plan[offsets[WF_PLAN_AT_HOST_ID] + i] = ids[past + i];
        plan[offsets[WF_PLAN_AT_SAMPLE_TOKEN] + i] = i;
        plan[offsets[WF_PLAN_AT_SAMPLE_ROW] + i] = 0;
        plan[offsets[WF_PLAN_AT_SAMPLE_POS] + i] = past + i + 1;
        plan[offsets[WF_PLAN_AT_LOGIT_INDEX] + i] = i;
    }
}

// Tokens [past, past + n) of a text, which enters row 0 with its first.
static void fill_plan(const int32_t *ids, int32_t past, int32_t n, int32_t *plan)
{
    static const wf_row_sampling greedy = {.top_p = 1.0f, .repetition_penalty = 1.0f};
    int64_t offsets[WF_PLAN_N_SECTIONS];
    memset(plan, 0, WF_PLAN_HEADER_WORDS * sizeof *plan);
    plan[WF_PLAN_KIND] = WF_PLAN_STEP;
    plan[WF_PLAN_TOKENS] = plan[WF_PLAN_MAX_NEW] = plan[WF_PLAN_SAMPLES] = n;
    plan[WF_PLAN_SEQS] = plan[WF_PLAN_GROUP_SIZE] = 1;
    plan[WF_PLAN_MAX_CONTEXT] = past + n;
    plan[WF_PLAN_JOINS] = past == 0;
    wf_plan_layout(plan, offsets);
    fill_tokens(ids, past, n, plan, offsets);
    if (past > 0) return;
    plan[offsets[WF_PLAN_AT_JOIN_ROW]] = 0;
    memcpy(plan + offsets[WF_PLAN_AT_JOIN_SAMPLING], &greedy, sizeof greedy);
}

// ---- passes -------------------------------------------------------------------------------------

static wf_status run_text(pass *p, wf_executor *x)
{
    int32_t length = p->texts->length[p->i_text];
    for (p->at = 0; p->at < length; p->at += CHUNK) {
        wf_step_output out;
        int32_t n = length - p->at < CHUNK ? length - p->at : CHUNK;
        fill_plan(p->texts->ids[p->i_text], p->at, n, x->ops->plan_buffer(x, 0));
        WF_TRY(x->ops->enqueue(x, 0));
        WF_TRY(x->ops->wait(x, 0, &out));
        p->token += n;
    }
    return WF_OK;
}

static wf_status run_texts(pass *p, wf_executor *x, const atomic_int *stop)
{
    for (p->i_text = 0; p->i_text < p->texts->n; p->i_text++) {
        if (stop && atomic_load(stop) != 0)
            return wf_fail(WF_DRAINED, "quantize: told to leave; the same command goes on");
        WF_TRY(run_text(p, x));
    }
    return WF_OK;
}

static wf_status run_pass(pass *p, wf_backend *be, const atomic_int *stop)
{
    int32_t pages = (p->texts->longest + PAGE_TOKENS - 1) / PAGE_TOKENS;
    const wf_forward_config config = {.max_rows = CHUNK,
                                      .step_tokens = CHUNK,
                                      .page_tokens = PAGE_TOKENS,
                                      .n_pages = pages,
                                      .max_pages = pages,
                                      .slot_pages = pages,
                                      .n_top = -1};
    wf_comm *comm = NULL;
    wf_forward *f = NULL;
    wf_tap tap = {0};
    wf_status st = wf_comm_self_create(&comm);
    if (st == WF_OK) st = wf_forward_create(be, p->model, comm, &config, &f);
    if (st == WF_OK && p->e) wf_tap_open(&tap, be, look, p);
    if (st == WF_OK) {
        wf_forward_run_whole(f, true);
        st = run_texts(p, wf_forward_executor(f), stop);
    }
    wf_tap_close(&tap);
    wf_forward_destroy(f);
    wf_comm_destroy(comm);
    return st;
}

static wf_status run_compared(const wf_evaluation *e, const wf_model *model, bool fills,
                              wf_loss *out)
{
    pass p = {.texts = e->texts, .model = model, .e = e, .fills = fills};
    size_t n = (size_t)CHUNK * (size_t)model->vocab_slice;
    WF_TRY(wf_alloc(n, sizeof *p.logits, &p.logits));
    wf_status st = run_pass(&p, e->be, e->stop);
    *out = (wf_loss){p.kl / (double)e->texts->n_tokens, p.nll / (double)p.n_nll};
    free(p.logits);
    return st;
}

wf_status wf_evaluation_create(wf_backend *be, const wf_model *full, const wf_texts *texts,
                               const atomic_int *stop, wf_evaluation **out, double *nll)
{
    wf_evaluation *e;
    wf_loss loss;
    WF_TRY(wf_alloc(1, sizeof *e, &e));
    *e = (wf_evaluation){.be = be, .texts = texts, .stop = stop, .n_vocab = full->arch.n_vocab};
    wf_status st =
        wf_alloc((size_t)(texts->n_tokens * e->n_vocab), sizeof *e->reference, &e->reference);
    if (st == WF_OK) st = run_compared(e, full, true, &loss);
    if (st == WF_OK) *nll = loss.nll;
    if (st != WF_OK) wf_evaluation_destroy(&e);
    *out = e;
    return st;
}

void wf_evaluation_destroy(wf_evaluation **evaluation)
{
    wf_evaluation *e = *evaluation;
    if (!e) return;
    free(e->reference);
    free(e);
    *evaluation = NULL;
}

wf_status wf_evaluation_run(wf_evaluation *e, const wf_model *model, wf_loss *out)
{
    return run_compared(e, model, false, out);
}

wf_status wf_evaluation_pass(wf_backend *be, const wf_model *model, const wf_texts *texts,
                             const atomic_int *stop)
{
    pass p = {.texts = texts, .model = model};
    return run_pass(&p, be, stop);
}
