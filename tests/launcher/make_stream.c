// Writes a request shard for the command-line tests: prompts over bytes that the demo model knows,
// "count:N=" with N from 3 to 20, one every `gap` milliseconds.
//
//   make_stream FILE ROWS [GAP_MS [BAD_ROW]]      row BAD_ROW gets a token beyond the vocabulary
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/shard/shard_writer.h"

enum { BOS = 256, VOCABULARY = 260, MOST_TOKENS = 32 };

static wf_status append(wf_shard_writer *writer, long row, long gap_ms, long bad_row)
{
    char text[MOST_TOKENS];
    int32_t tokens[MOST_TOKENS + 1] = {BOS};
    int n = snprintf(text, sizeof text, "count:%ld=", 3 + row * 7 % 18);
    for (int i = 0; i < n; i++)
        tokens[i + 1] = (unsigned char)text[i];
    if (row == bad_row) tokens[1] = 100000;
    wf_request request = {.id = (uint64_t)row,
                          .arrival_ns = row * gap_ms * 1000000,
                          .max_new_tokens = 64,
                          .n_prompt = (uint32_t)n + 1,
                          .prompt = tokens};
    return wf_shard_writer_append(writer, &request);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 64;
    long n_rows = atol(argv[2]), gap_ms = argc > 3 ? atol(argv[3]) : 0;
    long bad_row = argc > 4 ? atol(argv[4]) : -1;
    wf_shard_options options = {
        .vocab_size = VOCABULARY, .generator = "make_stream", .replace = true};
    wf_shard_writer *writer = NULL;
    wf_status st = wf_shard_writer_create(argv[1], &options, &writer);
    for (long row = 0; st == WF_OK && row < n_rows; row++)
        st = append(writer, row, gap_ms, bad_row);
    if (st == WF_OK)
        st = wf_shard_writer_close(&writer, NULL);
    else
        wf_shard_writer_abandon(&writer);
    if (st != WF_OK) fprintf(stderr, "make_stream: %s\n", wf_error());
    return wf_status_exit_code(st);
}
