// Reads a request shard with Weft's own reader, verifies its uid, and writes results in which every
// request "generated" its own prompt and an end token: what text companions must turn back.
//
//   shard_echo SHARD OUT_DIR N_VOCAB END_TOKEN
//
// A prompt longer than max_new_tokens ends with `length`, a bad row fails with its reason, and a
// row gets as many samples as it asks for. It ends where the text of its tokens, which the shard's
// pieces say, has a stop string of the row. Every token's log probability is -0.8 when one is
// asked.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/file.h"
#include "io/results/runfile.h"
#include "io/results/segment.h"
#include "io/shard/pieces.h"
#include "io/shard/shard.h"

enum { BATCH = 64 };

typedef struct {
    const char *out_dir;
    int64_t n_vocab;
    int32_t end_token;
    wf_shard *shard;
    wf_segment_writer *writer;
    wf_arena *arena;
    wf_pieces *pieces; // NULL: the shard has none
} echo;

// The first of the row's strings that ends among the last `n_new` of n bytes.
static const char *string_at_end(const wf_request *r, const char *text, size_t n, size_t n_new)
{
    const char *string = (const char *)r->stop_string, *last = string + r->stop_string_bytes;
    for (; string < last; string += strlen(string) + 1)
        for (size_t end = n - n_new + 1, length = strlen(string); end <= n; end++)
            if (end >= length && memcmp(text + end - length, string, length) == 0) return string;
    return NULL;
}

// How many of the tokens there are until a string is complete, and which one it is.
static uint32_t until_stop(const echo *e, const wf_request *r, const int32_t *tokens, uint32_t n,
                           const char **string)
{
    static char text[1 << 20];
    size_t n_text = 0, n_new;
    for (uint32_t i = 0; e->pieces && i < n; i++) {
        const uint8_t *piece = wf_pieces_of(e->pieces, tokens[i], &n_new);
        memcpy(text + n_text, piece, n_new);
        n_text += n_new;
        if ((*string = string_at_end(r, text, n_text, n_new))) return i + 1;
    }
    return n;
}

static wf_status put_sample(echo *e, const wf_request *r, uint16_t sample)
{
    bool failed = r->status != WF_OK;
    bool cut = r->n_prompt + 1 > r->max_new_tokens;
    uint32_t n = failed ? 0 : cut ? r->max_new_tokens : r->n_prompt + 1;
    int32_t *tokens;
    float *logprobs;
    WF_TRY(wf_arena_alloc(e->arena, n + 1u, sizeof *tokens, &tokens));
    WF_TRY(wf_arena_alloc(e->arena, n + 1u, sizeof *logprobs, &logprobs));
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = i < r->n_prompt ? r->prompt[i] : e->end_token;
        logprobs[i] = -0.8f;
    }
    const char *string = NULL;
    n = until_stop(e, r, tokens, n, &string);
    wf_result result = {
        .row = r->row,
        .sample = sample,
        .id = r->id,
        .status = failed ? WF_RESULT_FAILED : WF_RESULT_DONE,
        .finish_reason = failed           ? WF_FINISH_ERROR
                         : cut && !string ? WF_FINISH_LENGTH
                                          : WF_FINISH_STOP,
        .stop_kept = r->sampling.include_stop_str_in_output,
        .stop_string = string,
        .stop_string_bytes = string ? (uint32_t)strlen(string) : 0,
        .error_code = failed ? (uint16_t)r->status : 0,
        .error = failed ? r->error : NULL,
        .arrival_ns = r->arrival_ns,
        .submitted_ns = r->arrival_ns,
        .admitted_ns = r->arrival_ns,
        .first_token_ns = failed ? -1 : r->arrival_ns + 1000000,
        .finish_ns = failed ? -1 : r->arrival_ns + 2000000,
        .prompt_len = r->n_prompt,
        .n_tokens = n,
        .token_id = tokens,
        .logprob = logprobs,
        .meta_bytes = r->meta_bytes,
        .meta = r->meta,
    };
    return wf_segment_writer_put(e->writer, &result);
}

static wf_status put_rows(echo *e)
{
    const wf_shard_info *info = wf_shard_info_of(e->shard);
    wf_shard_limits limits = {.n_vocab = e->n_vocab};
    wf_request rows[BATCH];
    for (uint64_t at = 0; at < info->n_rows;) {
        uint32_t n = 0;
        wf_arena_mark mark = wf_arena_get_mark(e->arena);
        WF_TRY(wf_shard_read(e->shard, at, BATCH, &limits, e->arena, rows, &n));
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < rows[i].sampling.n; k++)
                WF_TRY(put_sample(e, &rows[i], (uint16_t)k));
        wf_arena_reset(e->arena, mark);
        at += n;
    }
    return WF_OK;
}

static wf_status read_pieces(echo *e, const wf_shard_info *info)
{
    uint32_t n = (uint32_t)info->vocab_size;
    WF_TRY(wf_pieces_create(n, info->piece_bytes, &e->pieces));
    WF_TRY(wf_shard_read_piece_offsets(e->shard, 0, n + 1, e->pieces->offset));
    return wf_shard_read_pieces(e->shard, 0, (uint32_t)info->piece_bytes, e->pieces->byte);
}

// Begins run `*run` of the folder.
static wf_status start_run(const echo *e, uint32_t *run)
{
    wf_runs *runs = NULL;
    WF_TRY(wf_file_make_folders(e->out_dir));
    WF_TRY(wf_runs_open(e->out_dir, NULL, &runs));
    wf_status st = wf_runs_start(runs, &(wf_run_params){.identity = "{}"}, run);
    wf_runs_close(&runs);
    return st;
}

static wf_status run_echo(echo *e, const char *path)
{
    uint32_t run = 0;
    WF_TRY(wf_arena_create(0, &e->arena));
    WF_TRY(wf_shard_open(path, &e->shard));
    WF_TRY(wf_shard_verify(e->shard));
    WF_TRY(start_run(e, &run));
    const wf_shard_info *info = wf_shard_info_of(e->shard);
    if (info->has_pieces) WF_TRY(read_pieces(e, info));
    wf_result_shard shard = {.uid = info->uid, .path = path, .rows = info->n_rows};
    wf_segment_config config = {
        .out_dir = e->out_dir,
        .run = {.run = (uint16_t)run, .start_unix_ns = INT64_C(1700000000000000000)},
        .job = {.n_vocab = e->n_vocab, .shards = &shard, .n_shards = 1},
        .columns = {.logprobs = info->sampling_columns & 1u << WF_SAMPLING_logprobs,
                    .stop_strings = info->has_stop_strings,
                    .stop_kept =
                        info->sampling_columns & 1u << WF_SAMPLING_include_stop_str_in_output},
    };
    WF_TRY(wf_segment_writer_create(&config, &e->writer));
    WF_TRY(put_rows(e));
    WF_TRY(wf_segment_writer_close(&e->writer));
    return wf_run_complete(e->out_dir, run);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: shard_echo SHARD OUT_DIR N_VOCAB END_TOKEN\n");
        return 64;
    }
    echo e = {.out_dir = argv[2],
              .n_vocab = strtoll(argv[3], NULL, 10),
              .end_token = (int32_t)strtol(argv[4], NULL, 10)};
    wf_status st = run_echo(&e, argv[1]);
    if (st != WF_OK) fprintf(stderr, "shard_echo: %s\n", wf_error());
    if (e.writer) wf_segment_writer_abandon(&e.writer);
    wf_pieces_free(e.pieces);
    wf_shard_close(&e.shard);
    wf_arena_destroy(&e.arena);
    return wf_status_exit_code(st);
}
