// How fast results are sealed and merged: rows of `tokens` tokens with times, one writer, as the
// runner uses it. Prints one CSV line per part: what, rows, tokens per row, MB before compression,
// MB on disk, seconds, MB/s, rows/s, longest put in microseconds.
//
//   make bench_sealing && results/bench_sealing FOLDER [ROWS [TOKENS]]
//
// The token ids are drawn at random below 128,256 (as a real vocabulary: badly compressible), the
// times advance by 20 ms with a few hundred microseconds of noise.
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/results/results_file.h"
#include "io/results/runfile.h"
#include "io/results/segment.h"
#include "io/results/segment_file.h"
#include "results/check/check.h"
#include "results/merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_TOKENS = 4096, VOCABULARY = 128256 };

static uint64_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % below);
}

static wf_result make_row(uint64_t row, uint32_t n_tokens, int32_t *ids, int64_t *times)
{
    wf_result r = {.row = row,
                   .id = row,
                   .finish_reason = WF_FINISH_LENGTH,
                   .arrival_ns = (int64_t)row * 10 * WF_NS_PER_MS,
                   .prompt_len = 1000,
                   .n_tokens = n_tokens,
                   .token_id = ids,
                   .token_time_ns = times};
    r.submitted_ns = r.admitted_ns = r.arrival_ns + 1000;
    int64_t t = r.arrival_ns + 100 * WF_NS_PER_MS;
    for (uint32_t i = 0; i < n_tokens; i++) {
        ids[i] = (int32_t)draw(VOCABULARY);
        times[i] = t;
        t += 20 * WF_NS_PER_MS + draw(300000);
    }
    r.first_token_ns = times[0];
    r.finish_ns = times[n_tokens - 1];
    return r;
}

static void print_line(const char *what, uint64_t rows, uint32_t tokens, uint64_t bytes,
                       uint64_t disk_bytes, int64_t ns, int64_t longest_ns)
{
    double s = (double)ns / 1e9, mb = (double)bytes / 1e6;
    printf("%s,%" PRIu64 ",%u,%.1f,%.1f,%.3f,%.0f,%.0f,%.0f\n", what, rows, tokens, mb,
           (double)disk_bytes / 1e6, s, mb / s, (double)rows / s, (double)longest_ns / 1e3);
}

static wf_status start_run(const char *folder)
{
    wf_runs *runs = NULL;
    uint32_t run;
    WF_TRY(wf_runs_open(folder, NULL, &runs));
    wf_status st = wf_runs_start(runs, &(wf_run_params){.identity = "{}"}, &run);
    wf_runs_close(&runs);
    return st;
}

static wf_status put_all(wf_segment_writer *writer, uint64_t rows, uint32_t tokens,
                         const wf_result_columns *columns, uint64_t *bytes, int64_t *longest_ns)
{
    static int32_t ids[MAX_TOKENS];
    static int64_t times[MAX_TOKENS];
    for (uint64_t row = 0; row < rows; row++) {
        wf_result r = make_row(row, tokens, ids, times);
        int64_t before = wf_clock_ns();
        WF_TRY(wf_segment_writer_put(writer, &r));
        int64_t took = wf_clock_ns() - before;
        if (took > *longest_ns) *longest_ns = took;
        *bytes += wf_result_bytes(&r, columns);
    }
    return WF_OK;
}

static wf_status seal(const char *folder, uint64_t rows, uint32_t tokens, uint64_t *bytes)
{
    wf_segment_writer *writer = NULL;
    wf_segment_status status;
    int64_t longest_ns = 0;
    const wf_result_shard shard = {"bench", "nowhere", rows};
    const wf_segment_config config = {
        .out_dir = folder,
        .job = {.n_vocab = VOCABULARY, .shards = &shard, .n_shards = 1},
        .columns = {.token_times = true}};
    WF_TRY(wf_segment_writer_create(&config, &writer));
    int64_t start = wf_clock_ns();
    wf_status st = put_all(writer, rows, tokens, &config.columns, bytes, &longest_ns);
    if (st == WF_OK) st = wf_segment_writer_sync(writer);
    int64_t ns = wf_clock_ns() - start;
    wf_segment_writer_status(writer, &status);
    print_line("seal", rows, tokens, *bytes, status.bytes_sealed, ns, longest_ns);
    wf_status closed = wf_segment_writer_close(&writer);
    return st == WF_OK ? closed : st;
}

static wf_status read_all(const char *folder, uint32_t tokens, uint64_t bytes)
{
    wf_results *results = NULL;
    const wf_results_options options = {.segments = true};
    const wf_result *row;
    int64_t start = wf_clock_ns();
    WF_TRY(wf_results_open(folder, &options, &results));
    wf_status st = wf_results_next(results, &row);
    while (st == WF_OK && row)
        st = wf_results_next(results, &row);
    print_line("read", wf_results_rows(results), tokens, bytes, 0, wf_clock_ns() - start, 0);
    wf_results_close(&results);
    return st;
}

static wf_status bench(const char *folder, uint64_t rows, uint32_t tokens)
{
    uint64_t bytes = 0;
    wf_merge_summary merged;
    WF_TRY(wf_file_make_folders(folder));
    WF_TRY(start_run(folder));
    printf("part,rows,tokens_per_row,mb,mb_on_disk,s,mb_per_s,rows_per_s,longest_put_us\n");
    WF_TRY(seal(folder, rows, tokens, &bytes));
    WF_TRY(read_all(folder, tokens, bytes));
    int64_t start = wf_clock_ns();
    WF_TRY(wf_merge(folder, NULL, &merged));
    print_line("merge", merged.rows, tokens, bytes, merged.bytes, wf_clock_ns() - start, 0);
    start = wf_clock_ns();
    const wf_check_options quiet = {.quiet = true};
    WF_TRY(wf_check_run(folder, &quiet, stderr, NULL));
    print_line("check", rows, tokens, 2 * bytes, 0, wf_clock_ns() - start, 0);
    return WF_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [ROWS [TOKENS]]\n", argv[0]);
        return 64;
    }
    uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 50000;
    uint32_t tokens = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 250;
    if (tokens == 0 || tokens > MAX_TOKENS) tokens = 250;
    wf_status st = bench(argv[1], rows, tokens);
    if (st != WF_OK) fprintf(stderr, "%s\n", wf_error());
    return wf_status_exit_code(st);
}
