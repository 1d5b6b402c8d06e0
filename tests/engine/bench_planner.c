// Microseconds to plan one step and to write it as a step plan, with a million requests waiting.
//
//   bench_planner [ROWS ...]        default 256 2048
//
// One CSV row per batch size: the medians and minima over the steps of a decode-heavy steady state,
// in which a row ends and another joins every few steps.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/planfill.h"
#include "engine/sequence.h"
#include "io/base/clock.h"

#define N_WAITING 1000000
#define N_STEPS   2000

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

// All requests share one sequence: the planner looks at tags only where rows join.
static wf_sequence *make_sequence(void)
{
    static int32_t prompt[64];
    wf_sampling sampling = wf_sampling_default();
    wf_arch arch = {.n_eos = 0};
    wf_sequence *s = NULL;
    wf_engine_input in = {
        .n_prompt = 64, .max_new_tokens = 4096, .prompt = prompt, .sampling = &sampling};
    if (wf_sequence_create(&in, &arch, 8192, 0, &s) != WF_OK || wf_sequence_open(s) != WF_OK)
        exit(1);
    return s;
}

static void bench(int32_t rows, wf_sequence *sequence)
{
    int64_t plan_ns[N_STEPS], fill_ns[N_STEPS];
    wf_batcher *b;
    wf_schedule *s;
    wf_batcher_config c = {.max_rows = rows,
                           .step_tokens = rows + 2048,
                           .page_tokens = 64,
                           .n_pages = rows * 40,
                           .max_pages = 128};
    wf_plan_limits limits = {.max_rows = rows,
                             .step_tokens = c.step_tokens,
                             .page_tokens = 64,
                             .group_size = 1,
                             .n_top = -1,
                             .pad = true};
    if (wf_batcher_create(&c, &b) != WF_OK || wf_schedule_create(b, &s) != WF_OK) exit(1);
    for (int i = 0; i < N_WAITING; i++) {
        wf_batcher_request r = {.tag = sequence,
                                .n_prompt = 64,
                                .n_limit = 200 + (int32_t)((unsigned)i * 2654435761u % 800)};
        if (wf_batcher_submit(b, &r) != WF_OK) exit(1);
    }
    int32_t *plan = malloc((size_t)wf_plan_most_words(&limits) * sizeof *plan);
    wf_gain *gains = malloc((size_t)rows * sizeof *gains);
    if (!plan || !gains) exit(1);
    for (int32_t i = 0; i < rows; i++)
        gains[i] = (wf_gain){.n_tokens = 1};
    for (int i = -3 * rows / 32 - 300; i < N_STEPS; i++) { // first until the batch is full
        int64_t t0 = wf_clock_ns();
        wf_batcher_plan(b, 0, false, s);
        int64_t t1 = wf_clock_ns();
        wf_planfill(s, &limits, c.max_pages, plan);
        int64_t t2 = wf_clock_ns();
        wf_batcher_commit(b, s, gains);
        if (i < 0) continue;
        plan_ns[i] = t1 - t0;
        fill_ns[i] = t2 - t1;
    }
    qsort(plan_ns, N_STEPS, sizeof *plan_ns, by_value);
    qsort(fill_ns, N_STEPS, sizeof *fill_ns, by_value);
    printf("%d,%d,%d,%.2f,%.2f,%.2f,%.2f\n", rows, N_WAITING, N_STEPS,
           (double)plan_ns[N_STEPS / 2] / 1e3, (double)plan_ns[0] / 1e3,
           (double)fill_ns[N_STEPS / 2] / 1e3, (double)fill_ns[0] / 1e3);
    free(gains);
    free(plan);
    wf_schedule_destroy(s);
    wf_batcher_destroy(b);
}

int main(int argc, char **argv)
{
    wf_sequence *sequence = make_sequence();
    printf("rows,waiting,steps,plan_us_median,plan_us_min,fill_us_median,fill_us_min\n");
    if (argc < 2) {
        bench(256, sequence);
        bench(2048, sequence);
    }
    for (int i = 1; i < argc; i++)
        bench(atoi(argv[i]), sequence);
    wf_sequence_destroy(sequence);
    return 0;
}
