// Status files: one JSON object, published by rename. See progress_status.h.
#include "jobs/watch/progress_status.h"

#include <stdio.h>
#include <string.h>

#include "io/base/file.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"

enum { STATUS_MAX_BYTES = 64 << 10, N_OF_FLIGHT = 7 };

static const char *const operation_words[] = {
#define OPERATION_WORDS(name, words) words,
    WF_OPERATION_TABLE(OPERATION_WORDS)
#undef OPERATION_WORDS
};

const char *wf_operation_words(wf_operation operation)
{
    if ((unsigned)operation >= WF_N_OPERATIONS) return "unknown";
    return operation_words[operation];
}

bool wf_operation_is_over(wf_operation operation)
{
    return operation == WF_OPERATION_DONE || operation == WF_OPERATION_DRAINED ||
           operation == WF_OPERATION_FAILED;
}

static const char *const drain_words[] = {
#define DRAIN_WORDS(name, words) words,
    WF_DRAIN_TABLE(DRAIN_WORDS)
#undef DRAIN_WORDS
};

const char *wf_drain_words(wf_drain_cause cause)
{
    if ((unsigned)cause >= WF_N_DRAIN_CAUSES) return "unknown";
    return drain_words[cause];
}

void wf_rank_status_take(const wf_counters *counters, wf_rank_status *out)
{
#define TAKE(field, meaning)                                                                       \
    out->field = atomic_load_explicit(&counters->field, memory_order_relaxed);
    WF_COUNTER_TABLE(TAKE)
#undef TAKE
    out->operation = (wf_operation)atomic_load_explicit(&counters->operation, memory_order_relaxed);
    out->drain = (wf_drain_cause)atomic_load_explicit(&counters->drain, memory_order_relaxed);
}

static wf_status status_path(const char *out_dir, int rank, char path[PATH_MAX])
{
    int n = snprintf(path, PATH_MAX, "%s/status/rank-%d.json", out_dir, rank);
    if (n < PATH_MAX) return WF_OK;
    return wf_fail(WF_IO, "%s: the path is longer than %d bytes", out_dir, PATH_MAX - 1);
}

// One list a row, in this order: a status file is small, and written every two seconds.
static void flights_put(wf_json_writer *w, const wf_rank_status *status)
{
    wf_json_open_array(w, "flights");
    for (size_t i = 0; i < status->n_flights; i++) {
        const wf_rank_flight *f = &status->flight[i];
        const int64_t values[N_OF_FLIGHT] = {f->shard,  (int64_t)f->row, f->sample, f->n_prompt,
                                             f->n_done, f->n_tokens,     f->n_limit};
        wf_json_open_array(w, NULL);
        for (int k = 0; k < N_OF_FLIGHT; k++)
            wf_json_put_i64(w, NULL, values[k]);
        wf_json_close(w);
    }
    wf_json_close(w);
}

wf_status wf_rank_status_write(const char *out_dir, const wf_rank_status *status)
{
    char path[PATH_MAX];
    const char *text = NULL;
    size_t n_bytes = 0;
    wf_json_writer *w = NULL;
    WF_TRY(status_path(out_dir, status->rank, path));
    WF_TRY(wf_json_writer_create(1, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_i64(w, "rank", status->rank);
    wf_json_put_i64(w, "group", status->group);
    wf_json_put_i64(w, "position", status->position);
    wf_json_put_string(w, "host", status->host);
    wf_json_put_string(w, "operation", wf_operation_words(status->operation));
    wf_json_put_string(w, "drain", wf_drain_words(status->drain));
    wf_json_put_string(w, "error", status->error);
#define PUT(field, meaning) wf_json_put_i64(w, #field, status->field);
    WF_BEAT_TABLE(PUT)
    WF_COUNTER_TABLE(PUT)
#undef PUT
    flights_put(w, status);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n_bytes);
    if (st == WF_OK) st = wf_file_write_whole(path, text, n_bytes, WF_PUBLISH_FAST);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status get_int(wf_json_ref ref, const char *key, int *out)
{
    int64_t value;
    WF_TRY(wf_json_get_i64(ref, key, -1, INT_MAX, &value));
    *out = (int)value;
    return WF_OK;
}

static wf_status get_text(wf_json_ref ref, const char *key, char *out, size_t out_bytes)
{
    const char *text;
    WF_TRY(wf_json_get_string(ref, key, &text));
    snprintf(out, out_bytes, "%s", text);
    return WF_OK;
}

static wf_status get_word(wf_json_ref ref, const char *key, const char *const *known, int n,
                          int *out)
{
    const char *words;
    WF_TRY(wf_json_get_string(ref, key, &words));
    for (int i = 0; i < n; i++) {
        if (strcmp(words, known[i]) != 0) continue;
        *out = i;
        return WF_OK;
    }
    return wf_json_fail(wf_json_find(ref, key), "unknown word \"%s\"", words);
}

static wf_status flight_parse(wf_json_ref ref, wf_rank_flight *out)
{
    int64_t values[N_OF_FLIGHT];
    for (size_t k = 0; k < N_OF_FLIGHT; k++)
        WF_TRY(wf_json_read_i64(wf_json_at(ref, k), 0, INT64_MAX, &values[k]));
    *out = (wf_rank_flight){.shard = (uint32_t)values[0],
                            .row = (uint64_t)values[1],
                            .sample = (uint16_t)values[2],
                            .n_prompt = values[3],
                            .n_done = values[4],
                            .n_tokens = values[5],
                            .n_limit = values[6]};
    return WF_OK;
}

// Files of older versions have none.
static wf_status flights_parse(wf_json_ref ref, wf_rank_status *out)
{
    wf_json_ref list = wf_json_find(ref, "flights");
    size_t n = wf_json_count(list);
    out->n_flights = n < WF_FLIGHTS_SHOWN ? n : WF_FLIGHTS_SHOWN;
    for (size_t i = 0; i < out->n_flights; i++)
        WF_TRY(flight_parse(wf_json_at(list, i), &out->flight[i]));
    return WF_OK;
}

static wf_status status_parse(wf_json_ref ref, wf_rank_status *out)
{
    WF_TRY(get_int(ref, "rank", &out->rank));
    WF_TRY(get_int(ref, "group", &out->group));
    WF_TRY(get_int(ref, "position", &out->position));
    int operation = 0, drain = 0;
    WF_TRY(get_text(ref, "host", out->host, sizeof out->host));
    WF_TRY(get_text(ref, "error", out->error, sizeof out->error));
#define GET(field, meaning) WF_TRY(wf_json_get_i64(ref, #field, INT64_MIN, INT64_MAX, &out->field));
    WF_BEAT_TABLE(GET)
    WF_COUNTER_TABLE(GET)
#undef GET
    WF_TRY(get_word(ref, "operation", operation_words, WF_N_OPERATIONS, &operation));
    WF_TRY(get_word(ref, "drain", drain_words, WF_N_DRAIN_CAUSES, &drain));
    out->operation = (wf_operation)operation;
    out->drain = (wf_drain_cause)drain;
    return flights_parse(ref, out);
}

wf_status wf_rank_status_read(const char *out_dir, int rank, wf_rank_status *out)
{
    char path[PATH_MAX];
    wf_json *doc = NULL;
    wf_rank_status status = {0};
    WF_TRY(status_path(out_dir, rank, path));
    wf_status st = wf_json_parse_file(path, STATUS_MAX_BYTES, &doc);
    if (st == WF_OK) st = status_parse(wf_json_root(doc), &status);
    if (st == WF_OK) *out = status;
    wf_json_destroy(&doc);
    return st;
}
