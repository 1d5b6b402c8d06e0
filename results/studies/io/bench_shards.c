// How fast request shards are written and read: rows of `tokens` prompt tokens drawn below 128,256
// (badly compressible, as real ones), read in this process and through the reader process as a job
// reads them. Prints CSV: part, rows, tokens per row, MB before compression, MB on disk, median and
// least seconds of RUNS, MB/s and tokens/s by the median.
//
//   make bench_shards && results/bench_shards FOLDER [ROWS [TOKENS]]
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/rng.h"
#include "io/shard/reader.h"
#include "io/shard/shard_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 128256, RUNS = 5, BLOCK = 64 };

typedef struct {
    const char *path;
    uint64_t n_rows;
    uint32_t n_tokens;
} bench;

static wf_status write_shard(const bench *b)
{
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = VOCABULARY, .replace = true};
    int32_t *prompt = NULL;
    wf_rng rng = wf_rng_make(1, 0);
    WF_TRY(wf_alloc(b->n_tokens, sizeof *prompt, &prompt));
    for (uint32_t k = 0; k < b->n_tokens; k++)
        prompt[k] = (int32_t)wf_rng_below(wf_rng_next_u32(&rng), VOCABULARY);
    wf_status st = wf_shard_writer_create(b->path, &o, &w);
    for (uint64_t i = 0; st == WF_OK && i < b->n_rows; i++) {
        // The same draw, shifted: new values at the cost of an addition.
        for (uint32_t k = 0; k < b->n_tokens; k++)
            prompt[k] = (prompt[k] + 7919) % VOCABULARY;
        wf_request r = {.id = i,
                        .arrival_ns = (int64_t)i * 180 * WF_NS_PER_MS,
                        .max_new_tokens = 200,
                        .n_prompt = b->n_tokens,
                        .prompt = prompt,
                        .sampling_set = 1u << WF_SAMPLING_ignore_eos,
                        .sampling.ignore_eos = true};
        st = wf_shard_writer_append(w, &r);
    }
    free(prompt);
    if (st == WF_OK) return wf_shard_writer_close(&w, NULL);
    wf_shard_writer_abandon(&w);
    return st;
}

static wf_status open_shard(const bench *b)
{
    wf_shard *s = NULL;
    WF_TRY(wf_shard_open(b->path, &s));
    wf_shard_close(&s);
    return WF_OK;
}

static wf_status read_here(const bench *b)
{
    wf_shard *s = NULL;
    wf_arena *arena = NULL;
    wf_request rows[BLOCK];
    wf_shard_limits limits = {.n_vocab = VOCABULARY, .max_context = 1 << 20};
    WF_TRY(wf_shard_open(b->path, &s));
    wf_status st = wf_arena_create((size_t)1 << 20, &arena);
    for (uint64_t at = 0; st == WF_OK && at < b->n_rows;) {
        uint32_t n = 0;
        wf_arena_mark mark = wf_arena_get_mark(arena);
        st = wf_shard_read(s, at, BLOCK, &limits, arena, rows, &n);
        wf_arena_reset(arena, mark);
        at += n;
    }
    wf_arena_destroy(&arena);
    wf_shard_close(&s);
    return st;
}

static wf_status drain_one(wf_reader *r, uint64_t *n_read)
{
    const wf_reader_batch *batch = NULL;
    WF_TRY(wf_reader_wait(r, -1, &batch));
    if (batch == NULL) return WF_OK;
    wf_status st = batch->status;
    *n_read += batch->n_rows;
    wf_reader_release(r, batch);
    return st;
}

static wf_status read_by_process(const bench *b)
{
    wf_reader *r = NULL;
    wf_reader_config config = {0};
    uint64_t next = 0, n_read = 0;
    WF_TRY(wf_reader_start(&config, &r));
    wf_status st = WF_OK;
    while (st == WF_OK && n_read < b->n_rows) {
        while (st == WF_OK && next < b->n_rows && wf_reader_n_free(r) > 0) {
            wf_reader_read q = {.path = b->path,
                                .row0 = next,
                                .n = BLOCK,
                                .n_vocab = VOCABULARY,
                                .max_context = 1 << 20};
            st = wf_reader_submit(r, &q);
            next += BLOCK;
        }
        if (st == WF_OK) st = drain_one(r, &n_read);
    }
    wf_reader_close(&r);
    return st;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static wf_status measure(const char *part, wf_status (*work)(const bench *), const bench *b)
{
    double s[RUNS];
    int64_t disk_bytes = 0;
    for (int i = 0; i < RUNS; i++) {
        int64_t start = wf_clock_ns();
        WF_TRY(work(b));
        s[i] = (double)(wf_clock_ns() - start) / 1e9;
    }
    WF_TRY(wf_file_size(b->path, &disk_bytes));
    qsort(s, RUNS, sizeof *s, compare);
    double n_tokens = (double)b->n_rows * b->n_tokens;
    double mb = (n_tokens * 4 + (double)b->n_rows * 29) / 1e6, median = s[RUNS / 2];
    printf("%s,%" PRIu64 ",%u,%.1f,%.1f,%.4f,%.4f,%d,%.0f,%.0f\n", part, b->n_rows, b->n_tokens, mb,
           (double)disk_bytes / 1e6, median, s[0], RUNS, mb / median, n_tokens / median);
    return WF_OK;
}

int main(int argc, char **argv)
{
    char path[512];
    if (argc < 2) return 64;
    snprintf(path, sizeof path, "%s/bench.h5", argv[1]);
    bench b = {.path = path,
               .n_rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000,
               .n_tokens = argc > 3 ? (uint32_t)atoi(argv[3]) : 1000};
    wf_status st = measure("write", write_shard, &b);
    if (st == WF_OK) st = measure("open", open_shard, &b);
    if (st == WF_OK) st = measure("read", read_here, &b);
    if (st == WF_OK) st = measure("read_by_process", read_by_process, &b);
    if (st != WF_OK) fprintf(stderr, "%s\n", wf_error());
    remove(path);
    return wf_status_exit_code(st);
}
