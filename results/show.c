// Finding rows by their key columns, reading only those.
#include "results/show.h"

#include "io/base/json_writer.h"
#include "io/results/payload.h"
#include "io/results/results_file.h"
#include "results/row_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ROWS = 8192, VOCAB_OF_BYTES = 260, IDS_PER_LINE = 16 };

typedef struct {
    const wf_show_options *options;
    wf_results *results;
    FILE *out;
    bool bytes;
    uint64_t n_shown;
} show;

// --- one row as text ---

// Length of the UTF-8 sequence at `s`, 0 when it is none (RFC 3629).
static size_t utf8_length(const uint8_t *s, size_t n)
{
    size_t length = s[0] < 0x80                   ? 1
                    : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                    : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                    : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                  : 0;
    if (length == 0 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

// Bytes for a terminal: control characters and what is not UTF-8 as \xNN.
static void print_escaped(const uint8_t *text, size_t n, FILE *out)
{
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(text + i, n - i);
        bool control = length == 1 && (text[i] < 0x20 || text[i] == 0x7f);
        if (length == 2 && text[i] == 0xc2 && text[i + 1] < 0xa0) control = true;
        if (text[i] == '\n') {
            fputs("\\n", out);
            i++;
        } else if (length == 0 || control) {
            fprintf(out, "\\x%02x", text[i++]);
        } else {
            fwrite(text + i, 1, length, out);
            i += length;
        }
    }
}

// The bytes among the tokens; the others (special tokens) are left out. own.
static uint8_t *token_text(const wf_result *row, size_t *n)
{
    uint8_t *text = malloc((size_t)row->n_tokens + 1);
    *n = 0;
    for (uint32_t i = 0; text && i < row->n_tokens; i++)
        if (row->token_id[i] >= 0 && row->token_id[i] < 256)
            text[(*n)++] = (uint8_t)row->token_id[i];
    return text;
}

static void print_time(const char *name, int64_t ns, int64_t arrival_ns, FILE *out)
{
    if (ns < 0)
        fprintf(out, "  %-13s -\n", name);
    else
        fprintf(out, "  %-13s %.6f s  (+%.3f ms)\n", name, (double)ns / 1e9,
                (double)(ns - arrival_ns) / 1e6);
}

static void print_value(const wf_result *row, const wf_column_desc *desc, FILE *out)
{
    if (desc->type == WF_H5_F32) {
        float number = wf_row_float(row, desc);
        if (isfinite(number))
            fprintf(out, "  %-13s %.6g %s\n", desc->label, (double)number, desc->units);
        return;
    }
    int64_t value = wf_row_value(row, desc);
    if (desc->at == offsetof(wf_result, arrival_ns))
        fprintf(out, "  %-13s %.6f s\n", desc->label, (double)value / 1e9);
    else if (strcmp(desc->units, "ns") == 0)
        print_time(desc->label, value, row->arrival_ns, out);
    else
        fprintf(out, "  %-13s %" PRId64 " %s\n", desc->label, value, desc->units);
}

static void print_tokens(const show *s, const wf_result *row)
{
    fprintf(s->out, "  %-13s %u\n", "tokens", row->n_tokens);
    for (uint32_t i = 0; i < row->n_tokens; i++) {
        if (i % IDS_PER_LINE == 0) fprintf(s->out, "  %-13s", i == 0 ? "ids" : "");
        fprintf(s->out, " %d", row->token_id[i]);
        if (i % IDS_PER_LINE == IDS_PER_LINE - 1 || i + 1 == row->n_tokens) fputc('\n', s->out);
    }
    if (!s->bytes || row->n_tokens == 0) return;
    size_t n;
    uint8_t *text = token_text(row, &n);
    fprintf(s->out, "  %-13s ", "text");
    if (text) print_escaped(text, n, s->out);
    fputc('\n', s->out);
    free(text);
}

static void print_numbers(const show *s, const wf_result *row, const char *label, const float *x,
                          uint32_t n)
{
    enum { SHOWN = 8 };
    if (!x || n == 0 || row->status != WF_RESULT_DONE) return;
    fprintf(s->out, "  %-13s %u numbers:", label, n);
    for (uint32_t i = 0; i < n && i < SHOWN; i++)
        fprintf(s->out, " %.6g", (double)x[i]);
    fputs(n > SHOWN ? " ...\n" : "\n", s->out);
}

static void print_text(const show *s, const wf_result *row)
{
    const wf_result_shard *shard = &wf_results_job(s->results)->shards[row->shard];
    FILE *out = s->out;
    fprintf(out, "row %" PRIu64 " sample %u of shard %u (%s)\n", row->row, row->sample, row->shard,
            shard->path);
    fprintf(out, "  %-13s %" PRIu64 "\n", "id", row->id);
    fprintf(out, "  %-13s %s\n", "shard uid", shard->uid);
    fprintf(out, "  %-13s %s, %s\n", "status",
            wf_result_status_words((wf_result_status)row->status),
            wf_finish_words((wf_finish)row->finish_reason));
    if (row->stop_string_bytes > 0) {
        fprintf(out, "  %-13s ", "stop string");
        print_escaped((const uint8_t *)row->stop_string, row->stop_string_bytes, out);
        fputc('\n', out);
    }
    if (row->error) {
        fprintf(out, "  %-13s %s: ", "error", wf_status_name((wf_status)row->error_code));
        print_escaped((const uint8_t *)row->error, strlen(row->error), out);
        fputc('\n', out);
    }
    fprintf(out, "  %-13s run %u, group %u, put back %u times\n", "served by", row->run, row->group,
            row->preempted);
    const wf_result_columns columns = wf_results_columns(s->results);
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_descs[i].label && wf_column_present(i, &columns))
            print_value(row, &wf_column_descs[i], out);
    if (row->meta_bytes > 0) {
        fprintf(out, "  %-13s ", "meta");
        print_escaped(row->meta, row->meta_bytes, out);
        fputc('\n', out);
    }
    print_tokens(s, row);
    print_numbers(s, row, "vector", row->vector, row->n_vector);
    print_numbers(s, row, "scores", row->scores, row->n_scores);
}

// --- one row as JSON ---

static wf_status print_json(const show *s, const wf_result *row)
{
    const wf_result_shard *shard = &wf_results_job(s->results)->shards[row->shard];
    const wf_result_columns columns = wf_results_columns(s->results);
    wf_json_writer *w = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "shard_uid", shard->uid);
    wf_json_put_string(w, "shard_path", shard->path);
    wf_row_put_json(row, &columns, w);
    if (s->bytes) {
        size_t n_text;
        uint8_t *bytes = token_text(row, &n_text);
        if (bytes) wf_json_put_bytes(w, "text", (const char *)bytes, n_text);
        free(bytes);
    }
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK) fwrite(text, 1, n, s->out);
    wf_json_writer_destroy(&w);
    return st;
}

// --- finding ---

static bool matches(const wf_show_options *o, uint32_t shard, uint16_t sample)
{
    return (o->shard < 0 || o->shard == shard) && (o->sample < 0 || o->sample == sample);
}

static wf_status print_row(show *s, const wf_result *row)
{
    if (s->n_shown++ > 0 && !s->options->json) fputc('\n', s->out);
    if (s->options->json) return print_json(s, row);
    print_text(s, row);
    return WF_OK;
}

static wf_status find_in_keys(show *s, size_t i_file, uint64_t start, size_t n)
{
    wf_result_key keys[KEY_ROWS];
    WF_TRY(wf_results_keys(s->results, i_file, start, n, keys));
    for (size_t i = 0; i < n; i++) {
        if (keys[i].is_void || keys[i].row != s->options->number) continue;
        if (!matches(s->options, keys[i].shard, keys[i].sample)) continue;
        WF_TRY(wf_results_load(s->results, i_file, start + i, 1));
        WF_TRY(print_row(s, wf_results_at(s->results, 0)));
    }
    return WF_OK;
}

static wf_status find_by_row(show *s)
{
    for (size_t f = 0; f < wf_results_files(s->results); f++) {
        uint64_t rows = wf_results_file_rows(s->results, f);
        for (uint64_t start = 0; start < rows; start += KEY_ROWS) {
            uint64_t left = rows - start;
            WF_TRY(find_in_keys(s, f, start, left < KEY_ROWS ? (size_t)left : KEY_ROWS));
        }
    }
    return WF_OK;
}

// Ids are the caller's and in no order: every row is looked at.
static wf_status find_by_id(show *s)
{
    const wf_result *row;
    WF_TRY(wf_results_next(s->results, &row));
    while (row) {
        if (row->id == s->options->number && matches(s->options, row->shard, row->sample))
            WF_TRY(print_row(s, row));
        WF_TRY(wf_results_next(s->results, &row));
    }
    return WF_OK;
}

static wf_status not_found(const show *s)
{
    const wf_show_options *o = s->options;
    const wf_result_job *job = wf_results_job(s->results);
    const char *place = wf_results_place(s->results);
    if (o->by_id) return wf_fail(WF_NO_INPUT, "%s: no result has id %" PRIu64, place, o->number);
    if (o->shard >= 0 && (uint64_t)o->shard >= job->n_shards) {
        return wf_fail(WF_NO_INPUT, "%s: there is no shard %" PRId64 ", there are %zu", place,
                       o->shard, job->n_shards);
    }
    for (size_t i = 0; i < job->n_shards; i++) {
        bool asked = o->shard < 0 || (uint64_t)o->shard == i;
        if (asked && o->number < job->shards[i].rows) {
            return wf_fail(WF_NO_INPUT, "%s: row %" PRIu64 " has no such result, or none yet",
                           place, o->number);
        }
    }
    return wf_fail(WF_NO_INPUT, "%s: no shard has a row %" PRIu64, place, o->number);
}

wf_status wf_show(const char *path, const wf_show_options *options, FILE *out)
{
    show s = {.options = options, .out = out};
    WF_TRY(wf_results_open(path, NULL, &s.results));
    int64_t n_vocab = wf_results_job(s.results)->n_vocab;
    s.bytes = options->bytes || (n_vocab > 0 && n_vocab <= VOCAB_OF_BYTES);
    wf_status st = options->by_id ? find_by_id(&s) : find_by_row(&s);
    if (st == WF_OK && s.n_shown == 0) st = not_found(&s);
    if (st == WF_OK && (fflush(out) != 0 || ferror(out)))
        st = wf_fail_errno(WF_IO, "the row cannot be written");
    wf_results_close(&s.results);
    return st;
}
