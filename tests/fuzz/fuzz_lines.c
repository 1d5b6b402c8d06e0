// What weft import and weft pack read, line by line. The first byte says as which: a, m, c, b, g, j
// (azure, mooncake, csv, bailian, burstgpt, jsonl) or p (pack). Promises: a row's figures are
// within their bounds, and a line read again at its place is the same.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/streams/import_format.h"
#include "jobs/streams/pack_row.h"
#include "tests/fuzz/fuzz.h"

static void trace_line(const wf_trace_format *format, const wf_line *line, wf_arena *arena,
                       wf_trace_header *header, bool first)
{
    wf_trace_row row = {0};
    if (first && !format->json) {
        if (wf_trace_header_read(format, line, "input:1", header) != WF_OK) header->n_fields = -1;
        return;
    }
    if (header->n_fields < 0) return;
    if (wf_trace_row_read(format, header, line, "input", arena, &row) != WF_OK) return;
    fuzz_must(row.time_ns >= 0, "a time is not before its origin");
    fuzz_must(row.n_prompt <= UINT32_MAX && row.n_new <= UINT32_MAX, "lengths are bounded");
    for (uint32_t i = 0; i < row.n_blocks; i++)
        fuzz_must(row.block[i] <= INT64_MAX, "blocks can be read");
}

static void pack_line(const wf_line *line, wf_arena *arena, uint64_t i)
{
    const wf_pack_options options = {.bytes = true, .bos = 1, .max_new_tokens = 4};
    wf_request r = {0};
    if (wf_pack_parse(line, "input", &options, i, arena, &r) != WF_OK) return;
    for (uint32_t k = 0; k < r.n_prompt; k++)
        fuzz_must(r.prompt[k] >= 0, "token ids are not negative");
    fuzz_must(r.max_new_tokens > 0 && r.arrival_ns >= 0, "a row's figures are within bounds");
}

// Lines are borrowed until the next one: a copy is compared.
static void read_again(wf_lines *lines, const wf_line *line, const char *copy)
{
    wf_line again;
    if (wf_lines_at(lines, line->offset, line->number, &again) != WF_OK) return;
    fuzz_must(again.n_bytes == line->n_bytes && memcmp(again.text, copy, line->n_bytes) == 0,
              "a line read again is the same");
}

static void lines_run(wf_lines *lines, const wf_trace_format *format, wf_arena *arena)
{
    wf_trace_header header = {0};
    wf_line line = {0}, last = {0};
    char *copy = NULL, sha256[WF_SHA256_HEX];
    bool more = true;
    for (uint64_t i = 0; wf_lines_next(lines, &line, &more) == WF_OK && more; i++) {
        if (format)
            trace_line(format, &line, arena, &header, i == 0);
        else
            pack_line(&line, arena, i);
        free(copy);
        copy = strndup(line.text, line.n_bytes);
        last = line;
    }
    if (copy && !more && wf_lines_finish(lines, sha256) == WF_OK) read_again(lines, &last, copy);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        char sign;
        const char *name;
    } kinds[] = {{'a', "azure"},   {'m', "mooncake"}, {'c', "csv"},
                 {'b', "bailian"}, {'g', "burstgpt"}, {'j', "jsonl"}};
    wf_trace_format found;
    const wf_trace_format *format = NULL;
    wf_arena *arena = NULL;
    wf_lines *lines = NULL;
    char path[FUZZ_PATH_MAX];
    if (size == 0) return 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (data[0] == (uint8_t)kinds[i].sign &&
            wf_trace_format_find(kinds[i].name, NULL, 0, &found) == WF_OK)
            format = &found;
    if (!format && data[0] != 'p') return 0;
    int fd = fuzz_file(data + 1, size - 1, path);
    if (wf_arena_create(0, &arena) == WF_OK && wf_lines_open(path, &lines) == WF_OK)
        lines_run(lines, format, arena);
    wf_lines_close(&lines);
    wf_arena_destroy(&arena);
    close(fd);
    return 0;
}
