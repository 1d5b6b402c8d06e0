// See diff_print.h.
#include "results/diff_print.h"

#include <inttypes.h>
#include <math.h>

#include "io/base/text.h"

const char *wf_diff_kind_words(wf_diff_kind kind)
{
    static const char *const words[] = {
#define WF_DIFF_KIND_WORDS(name, words) words,
        WF_DIFF_KIND_TABLE(WF_DIFF_KIND_WORDS)
#undef WF_DIFF_KIND_WORDS
    };
    return words[kind];
}

// ---- a row --------------------------------------------------------------------------------------

static void put_end(const wf_result *row, FILE *out)
{
    if (row->status == WF_RESULT_DONE)
        fprintf(out, "%u token%s, %s", row->n_tokens, WF_S(row->n_tokens),
                wf_finish_words((wf_finish)row->finish_reason));
    else
        fprintf(out, "failed, %s", wf_status_name((wf_status)row->error_code));
}

static void put_token(const wf_result *row, uint32_t at, double gap, FILE *out)
{
    if (at >= row->n_tokens) {
        fputs("its end", out);
        return;
    }
    fprintf(out, "%d", row->token_id[at]);
    if (row->logprob && !isnan(row->logprob[at])) fprintf(out, " (%.4f)", (double)row->logprob[at]);
    if (!isnan(gap)) fprintf(out, " by %.4f nat", gap);
}

void wf_diff_row_text(const wf_diff_row *row, FILE *out)
{
    const wf_result *any = row->a ? row->a : row->b;
    fprintf(out, "row %" PRIu64 ".%u of %s: ", any->row, any->sample, row->shard_path);
    if (!row->a || !row->b) {
        fprintf(out, "%s: ", wf_diff_kind_words(row->kind));
        put_end(any, out);
    } else if (row->kind == WF_DIFF_TOKENS || row->kind == WF_DIFF_TIE) {
        fprintf(out, "%s part at %u of %u and %u: ",
                row->kind == WF_DIFF_TIE ? "a tie, tokens" : "tokens", row->at, row->a->n_tokens,
                row->b->n_tokens);
        put_token(row->a, row->at, row->gap[0], out);
        fputs(", ", out);
        put_token(row->b, row->at, row->gap[1], out);
    } else {
        fprintf(out, "%s: ", wf_diff_kind_words(row->kind));
        put_end(row->a, out);
        fputs("; ", out);
        put_end(row->b, out);
    }
    fputc('\n', out);
}

static void side_json(const wf_result *row, const char *key, uint32_t at, double gap,
                      wf_json_writer *w)
{
    if (!row) {
        wf_json_put_null(w, key);
        return;
    }
    wf_json_open_object(w, key);
    wf_json_put_string(w, "status", wf_result_status_words((wf_result_status)row->status));
    wf_json_put_string(w, "finish_reason", wf_finish_words((wf_finish)row->finish_reason));
    if (row->error) wf_json_put_string(w, "error", row->error);
    wf_json_put_u64(w, "n_tokens", row->n_tokens);
    if (at < row->n_tokens) wf_json_put_i64(w, "token_id", row->token_id[at]);
    if (at < row->n_tokens && row->logprob) wf_json_put_f32(w, "logprob", row->logprob[at]);
    if (!isnan(gap)) wf_json_put_f64(w, "gap", gap);
    wf_json_close(w);
}

void wf_diff_row_json(const wf_diff_row *row, wf_json_writer *w)
{
    const wf_result *any = row->a ? row->a : row->b;
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "differs", wf_diff_kind_words(row->kind));
    wf_json_put_string(w, "shard_path", row->shard_path);
    wf_json_put_u64(w, "row", any->row);
    wf_json_put_u64(w, "sample", any->sample);
    wf_json_put_u64(w, "id", any->id);
    if (row->a && row->b) wf_json_put_u64(w, "equal_tokens", row->at);
    side_json(row->a, "a", row->at, row->gap[0], w);
    side_json(row->b, "b", row->at, row->gap[1], w);
    wf_json_close(w);
}

// ---- sums ---------------------------------------------------------------------------------------

static void counts_text(const wf_diff_sums *s, FILE *out)
{
    uint64_t n = s->n_status + s->n_tokens + s->n_finish;
    fprintf(out,
            "rows          %" PRIu64 " in both, %" PRIu64 " only in a, %" PRIu64 " only in b\n",
            s->n_both, s->n_only[0], s->n_only[1]);
    fprintf(out, "differ        %" PRIu64, n);
    if (n > 0)
        fprintf(out,
                ": %" PRIu64 " in tokens, %" PRIu64 " in status, %" PRIu64
                " in why they ended alone",
                s->n_tokens, s->n_status, s->n_finish);
    if (s->n_ties > 0) fprintf(out, "; %" PRIu64 " tie%s beside", s->n_ties, WF_S(s->n_ties));
    fprintf(out,
            "\ntokens        %" PRIu64 " equal before rows part, of %" PRIu64 " and %" PRIu64 "\n",
            s->equal_tokens, s->tokens[0], s->tokens[1]);
    if (s->logprob.n > 0)
        fprintf(out,
                "log-probs     apart by %.3g at most, %.3g on average, of %" PRIu64
                " equal tokens\n",
                s->logprob.max, s->logprob.sum / (double)s->logprob.n, s->logprob.n);
}

static void times_text(const char *name, const wf_diff_times *t, FILE *out)
{
    fprintf(out, "%-8s %9.3f %9.3f %+8.1f%% %+9.3f %+9.3f %+9.3f %+9.3f\n", name, t->a.mean / 1e6,
            t->b.mean / 1e6, t->a.mean > 0 ? 100 * (t->b.mean / t->a.mean - 1) : 0, t->by.p50 / 1e6,
            t->by.p90 / 1e6, t->by.p99 / 1e6, t->by.max / 1e6);
}

void wf_diff_sums_text(const wf_diff_sums *s, const wf_diff_side sides[2], FILE *out)
{
    fprintf(out, "a             %s\nb             %s\n", sides[0].name, sides[1].name);
    if (s->simulated[0] != s->simulated[1])
        fprintf(out,
                "note          %s is simulated: its tokens are no model's and end at "
                "max_new_tokens; only times compare\n",
                s->simulated[0] ? "a" : "b");
    counts_text(s, out);
    if (s->ttft.a.n == 0) return;
    fprintf(out, "\n%" PRIu64 " row%s done in both: ms, and b - a row by row\n", s->ttft.a.n,
            WF_S(s->ttft.a.n));
    fprintf(out, "%-8s %9s %9s %9s %9s %9s %9s %9s\n", "", "mean a", "mean b", "", "p50", "p90",
            "p99", "most");
    times_text("TTFT", &s->ttft, out);
    if (s->tpot.a.n > 0) times_text("TPOT", &s->tpot, out);
    times_text("E2E", &s->e2el, out);
}

static void times_json(const char *name, const wf_diff_times *t, wf_json_writer *w)
{
    if (t->a.n == 0) return;
    wf_json_open_object(w, name);
    wf_json_put_u64(w, "n", t->a.n);
    wf_json_put_f64(w, "mean_a_ms", t->a.mean / 1e6);
    wf_json_put_f64(w, "mean_b_ms", t->b.mean / 1e6);
    wf_json_put_f64(w, "median_difference_ms", t->by.p50 / 1e6);
    wf_json_put_f64(w, "p90_difference_ms", t->by.p90 / 1e6);
    wf_json_put_f64(w, "p99_difference_ms", t->by.p99 / 1e6);
    wf_json_put_f64(w, "min_difference_ms", t->by.min / 1e6);
    wf_json_put_f64(w, "max_difference_ms", t->by.max / 1e6);
    wf_json_close(w);
}

void wf_diff_sums_json(const wf_diff_sums *s, wf_json_writer *w)
{
    wf_json_put_bool(w, "differ", s->differ);
    wf_json_put_bool(w, "simulated_a", s->simulated[0]);
    wf_json_put_bool(w, "simulated_b", s->simulated[1]);
    wf_json_put_u64(w, "in_both", s->n_both);
    wf_json_put_u64(w, "only_in_a", s->n_only[0]);
    wf_json_put_u64(w, "only_in_b", s->n_only[1]);
    wf_json_put_u64(w, "differ_in_tokens", s->n_tokens);
    wf_json_put_u64(w, "differ_in_status", s->n_status);
    wf_json_put_u64(w, "differ_in_finish", s->n_finish);
    wf_json_put_u64(w, "ties", s->n_ties);
    wf_json_put_u64(w, "tokens_a", s->tokens[0]);
    wf_json_put_u64(w, "tokens_b", s->tokens[1]);
    wf_json_put_u64(w, "equal_tokens", s->equal_tokens);
    if (s->logprob.n > 0) {
        wf_json_put_f64(w, "max_logprob_difference", s->logprob.max);
        wf_json_put_f64(w, "mean_logprob_difference", s->logprob.sum / (double)s->logprob.n);
    }
    times_json("ttft", &s->ttft, w);
    times_json("tpot", &s->tpot, w);
    times_json("e2el", &s->e2el, w);
}
