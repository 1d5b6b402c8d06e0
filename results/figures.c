// The table of figures. See figures.h.
#include "results/figures.h"

#include "results/report_blocks.h"

#define AT(member) offsetof(wf_figures, member)

const wf_figure wf_figure_table[] = {
    {"completed", WF_FIGURE_COUNT, WF_FIGURES_REQUESTS, AT(n_done), .csv = true, .line = "requests",
     .text = "@ done", .unit = "requests",
     .definition = "results that did not fail; every sample is one"},
    {"failed", WF_FIGURE_COUNT, WF_FIGURES_REQUESTS, AT(n_failed), .csv = true, .line = "requests",
     .text = ", @ failed", .unit = "requests",
     .definition = "results that failed, each with its reason"},
    {"total_input_tokens", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(prompt_tokens), .csv = true,
     .line = "tokens", .text = "@ prompt", .unit = "tokens",
     .definition = "prompt tokens of completed results"},
    {"total_output_tokens", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(output_tokens), .csv = true,
     .line = "tokens", .text = ", @ generated", .unit = "tokens",
     .definition = "generated tokens of completed results"},
    {"dropped_tokens", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(dropped_tokens), WF_FIGURE_OF_CHOICE,
     .line = "tokens", .text = ", @ of samples not kept", .unit = "tokens",
     .definition = "generated tokens of samples that best_of did not keep; in no other figure"},
    {"cached_tokens", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(cached_tokens), WF_FIGURE_OF_CACHE,
     .csv = true, .line = "cached", .text = "@ prompt tokens not computed", .unit = "tokens",
     .definition = "prompt tokens of completed results whose keys and values were in the prefix "
                   "cache as they joined"},
    {"cache_hit_rate", WF_FIGURE_SHARE, WF_FIGURES_AMOUNTS, AT(cache_hit_rate), WF_FIGURE_OF_CACHE,
     .csv = true, .line = "cached", .text = " (@%)", .unit = "1",
     .definition = "cached_tokens / total_input_tokens"},
    {"preempted", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(n_preempted), .unit = "requests",
     .definition = "results that were put back for lack of memory at least once"},
    {"preemptions", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(preemptions), .unit = "1",
     .definition = "times that any was"},
    {"duration", WF_FIGURE_SECONDS, WF_FIGURES_AMOUNTS, AT(duration_ns), .csv = true,
     .line = "duration", .text = "@ s", .unit = "s",
     .definition = "sum over runs of: last finish - the run's start of submission"},
    {"balance", WF_FIGURE_SHARE, WF_FIGURES_AMOUNTS, AT(balance), WF_FIGURE_OF_GROUPS,
     .line = "balance", .text = "@%", .unit = "1",
     .definition = "mean over groups of: the group's last finish / the run's duration"},
    {"first_group_ended", WF_FIGURE_SECONDS, WF_FIGURES_AMOUNTS, AT(group_ns[0]),
     WF_FIGURE_OF_GROUPS, .line = "balance", .text = ": groups ended after @", .unit = "s",
     .definition = "least time of a group from its run's start to its last finish"},
    {"last_group_ended", WF_FIGURE_SECONDS, WF_FIGURES_AMOUNTS, AT(group_ns[1]),
     WF_FIGURE_OF_GROUPS, .line = "balance", .text = " to @ s", .unit = "s",
     .definition = "most time of a group from its run's start to its last finish"},
    {"request_throughput", WF_FIGURE_RATE, WF_FIGURES_AMOUNTS, AT(request_throughput), .csv = true,
     .line = "throughput", .text = "@ requests/s", .unit = "requests/s",
     .definition = "completed / duration"},
    {"output_throughput", WF_FIGURE_RATE, WF_FIGURES_AMOUNTS, AT(output_throughput), .csv = true,
     .line = "throughput", .text = ", @ generated tokens/s", .unit = "tokens/s",
     .definition = "total_output_tokens / duration"},
    {"total_token_throughput", WF_FIGURE_RATE, WF_FIGURES_AMOUNTS, AT(total_token_throughput),
     .csv = true, .line = "throughput", .text = ", @ tokens/s in all", .unit = "tokens/s",
     .definition = "(total_input_tokens + total_output_tokens) / duration"},
    {"good_completed", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(n_good), WF_FIGURE_WITH_LIMITS,
     .unit = "requests", .definition = "completed within every limit given"},
    {"request_goodput", WF_FIGURE_RATE, WF_FIGURES_AMOUNTS, AT(request_goodput),
     WF_FIGURE_WITH_LIMITS, .csv = true, .line = "goodput",
     .text = "@ requests/s within the limits", .unit = "requests/s",
     .definition = "good_completed / duration of the runs whose latency counts"},
    {"good_share", WF_FIGURE_SHARE, WF_FIGURES_AMOUNTS, AT(good_share), WF_FIGURE_WITH_LIMITS,
     .line = "goodput", .text = " (@%)", .unit = "1",
     .definition = "good_completed / completed results whose latency counts"},
    {"sessions", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(session_duration.n), WF_FIGURE_OF_SESSIONS,
     .line = "sessions", .text = "@", .unit = "sessions",
     .definition = "sessions whose turns are of one run, and none of them left out as warm-up"},
    {"mean_session_turns", WF_FIGURE_MEAN, WF_FIGURES_AMOUNTS, AT(session_turns.mean),
     WF_FIGURE_OF_SESSIONS, .line = "sessions", .text = " of @ turns on average", .unit = "turns",
     .definition = "turns of a session, failed ones included"},
    {"median_session_turns", WF_FIGURE_MEAN, WF_FIGURES_AMOUNTS, AT(session_turns.p50),
     WF_FIGURE_OF_SESSIONS, .line = "sessions", .text = ", p50 @", .unit = "turns",
     .definition = "likewise"},
    {"p90_session_turns", WF_FIGURE_MEAN, WF_FIGURES_AMOUNTS, AT(session_turns.p90),
     WF_FIGURE_OF_SESSIONS, .line = "sessions", .text = ", p90 @", .unit = "turns",
     .definition = "likewise"},
    {"p99_session_turns", WF_FIGURE_MEAN, WF_FIGURES_AMOUNTS, AT(session_turns.p99),
     WF_FIGURE_OF_SESSIONS, .line = "sessions", .text = ", p99 @", .unit = "turns",
     .definition = "likewise"},
    {"ttft", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(ttft), .csv = true, .line = "TTFT",
     .unit = "ms", .definition = "time to first token: first token - intended arrival"},
    {"tpot", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(tpot), .csv = true, .line = "TPOT",
     .unit = "ms",
     .definition = "time per output token: (e2el - ttft) / (tokens - 1), of more than one token"},
    {"itl", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(itl), .csv = true, .line = "ITL", .unit = "ms",
     .definition = "inter-token latency: gaps between tokens, over all requests"},
    {"itl_approximate", WF_FIGURE_FLAG, WF_FIGURES_AMOUNTS, AT(itl.approximate), .unit = "bool",
     .definition = "the percentiles of itl are within 0.1%: there were too many gaps to keep"},
    {"e2el", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(e2el), .csv = true, .line = "E2E",
     .unit = "ms", .definition = "end-to-end latency: last token - intended arrival"},
    {"session_duration", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(session_duration),
     WF_FIGURE_OF_SESSIONS, .line = "session", .unit = "ms",
     .definition = "of a session: last finish - intended arrival of its first turn"},
    {"queue", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(queue), .csv = true, .line = "queue",
     .unit = "ms", .definition = "joined the batch - intended arrival"},
    {"schedule_lag", WF_FIGURE_TIMES, WF_FIGURES_AMOUNTS, AT(lag), .csv = true,
     .line = "schedule lag", .unit = "ms",
     .definition = "handed to the engine - intended arrival, of timed runs"},
    {"schedule_lag_exceeded", WF_FIGURE_COUNT, WF_FIGURES_AMOUNTS, AT(n_lag_exceeded),
     .unit = "requests", .definition = "requests handed over later than arrivals.lag_tolerance"},
    {"n", WF_FIGURE_COUNT, WF_FIGURES_STEPS, AT(n_steps), .line = "steps", .text = "@",
     .unit = "steps", .definition = "engine steps"},
    {"mean_decode_rows", WF_FIGURE_MEAN, WF_FIGURES_STEPS, AT(mean_decode_rows), .line = "steps",
     .text = "; @ decode rows", .unit = "rows", .definition = "decode rows of a step"},
    {"mean_prompt_tokens", WF_FIGURE_MEAN, WF_FIGURES_STEPS, AT(mean_prompt_tokens),
     .line = "steps", .text = " and @ prompt tokens each", .unit = "tokens",
     .definition = "prompt tokens of a step"},
    {"max_rows", WF_FIGURE_MOST, WF_FIGURES_STEPS, AT(max_rows), .line = "steps",
     .text = ", at most @ row~", .unit = "rows",
     .definition = "most rows of a step, decoding or with a prompt's chunk"},
    {"max_kv_pages", WF_FIGURE_MOST, WF_FIGURES_STEPS, AT(max_kv_pages), .line = "steps",
     .text = " and @ KV page~", .unit = "pages", .definition = "most pages of KV memory in use"},
    {"mean_waiting", WF_FIGURE_MEAN, WF_FIGURES_STEPS, AT(mean_waiting), .line = "waiting",
     .text = "@ on average", .unit = "requests",
     .definition = "requests submitted and not admitted, over the time of the steps"},
    {"max_waiting", WF_FIGURE_MOST64, WF_FIGURES_STEPS, AT(max_waiting), .line = "waiting",
     .text = ", @ at most", .unit = "requests", .definition = "most of them in one step"},
    {"rows_moved", WF_FIGURE_COUNT, WF_FIGURES_STEPS, AT(rows_moved), .line = "reordered",
     .text = "@ row~", .unit = "rows", .definition = "rows moved by reordering"},
    {"bytes_moved", WF_FIGURE_COUNT, WF_FIGURES_STEPS, AT(bytes_moved), .line = "reordered",
     .text = " (@ bytes)", .unit = "bytes", .definition = "bytes moved by reordering"},
    {"rows_discarded", WF_FIGURE_COUNT, WF_FIGURES_STEPS, AT(rows_discarded), .unit = "rows",
     .definition = "decode rows whose output was thrown away"},
    {"rows_put_back", WF_FIGURE_COUNT, WF_FIGURES_STEPS, AT(rows_put_back), .line = "reordered",
     .text = ", @ put back", .unit = "rows", .definition = "rows put back for lack of pages"},
    {"busy_s", WF_FIGURE_SECONDS, WF_FIGURES_STEPS, AT(step_busy_ns), .unit = "s",
     .definition = "sum of the steps' durations"},
    {"step", WF_FIGURE_TIMES, WF_FIGURES_STEPS, AT(step), .csv = true, .line = "step", .unit = "ms",
     .definition = "duration of a step, until its tokens are on the host"},
};

const size_t wf_n_figures = sizeof wf_figure_table / sizeof wf_figure_table[0];

bool wf_figure_is_there(const wf_figure *figure, const wf_figures *figures)
{
    if (figure->when == WF_FIGURE_WITH_LIMITS) return figures->has_goodput;
    if (figure->when == WF_FIGURE_OF_SESSIONS) return figures->session_duration.n > 0;
    return figure->part != WF_FIGURES_STEPS || figures->n_steps > 0;
}

double wf_figure_value(const wf_figure *figure, const wf_figures *figures)
{
    const void *at = (const char *)figures + figure->at;
    switch (figure->kind) {
    case WF_FIGURE_COUNT:
        return (double)*(const uint64_t *)at;
    case WF_FIGURE_MOST:
        return *(const int32_t *)at;
    case WF_FIGURE_MOST64:
        return (double)*(const int64_t *)at;
    case WF_FIGURE_SECONDS:
        return (double)*(const int64_t *)at / 1e9;
    case WF_FIGURE_FLAG:
        return *(const bool *)at;
    default:
        return *(const double *)at;
    }
}

void wf_figures_explain(FILE *out)
{
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *f = &wf_figure_table[i];
        bool steps = f->part == WF_FIGURES_STEPS && f->kind != WF_FIGURE_TIMES;
        fprintf(out, "%s%-*s  %-10s  %s\n", steps ? "steps." : "", steps ? 18 : 24, f->name,
                f->unit, f->definition);
    }
    wf_intervals_explain(out);
}
