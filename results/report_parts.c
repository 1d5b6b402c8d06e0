// Rows sorted by a value of their notes. See report_parts.h.
#include "results/report_parts.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/base/text.h"

typedef struct maker_part {
    char *value;
    wf_metrics *metrics;
} maker_part;

struct wf_parts_maker {
    char *by;
    wf_metrics_run *runs;
    size_t n_runs;
    wf_goodput_limits limits;
    maker_part *part; // in byte order of their values
    size_t n, capacity;
    bool found; // some row has the key
};

enum { FEWER_GAPS = 1 << 20 }; // kept exactly, of each part

void wf_report_parts_free(wf_report_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++)
        free(parts->part[i].value);
    free(parts->part);
    free(parts->by);
    *parts = (wf_report_parts){0};
}

wf_status wf_parts_create(const char *by, const wf_metrics_run *runs, size_t n_runs,
                          const wf_goodput_limits *limits, wf_parts_maker **out)
{
    wf_status st;
    wf_parts_maker *maker = NULL;
    WF_TRY(wf_alloc(1, sizeof *maker, &maker));
    *maker = (wf_parts_maker){.n_runs = n_runs};
    if (limits) maker->limits = *limits;
    WF_TRY_TO(failed, wf_strdup(by, &maker->by));
    WF_TRY_TO(failed, wf_alloc(n_runs, sizeof *runs, &maker->runs));
    if (n_runs > 0) memcpy(maker->runs, runs, n_runs * sizeof *runs);
    *out = maker;
    return WF_OK;
failed:
    wf_parts_destroy(&maker);
    return st;
}

void wf_parts_destroy(wf_parts_maker **maker)
{
    wf_parts_maker *m = *maker;
    if (!m) return;
    for (size_t i = 0; i < m->n; i++) {
        free(m->part[i].value);
        wf_metrics_destroy(&m->part[i].metrics);
    }
    free(m->part);
    free(m->runs);
    free(m->by);
    free(m);
    *maker = NULL;
}

static wf_status as_json(wf_json_ref value, char **out)
{
    wf_json_writer *w = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_status st = wf_json_copy(value, w, NULL);
    if (st == WF_OK) st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK) st = wf_strdup(text, out);
    if (st == WF_OK) (*out)[strcspn(*out, "\n")] = '\0';
    wf_json_writer_destroy(&w);
    return st;
}

// "" where the note is no object or has no such key: notes are the users', in any form.
static wf_status value_of(wf_parts_maker *m, const wf_result *row, char **out)
{
    wf_json *doc = NULL;
    const char *string;
    wf_status st = WF_OK;
    *out = NULL;
    if (row->meta_bytes > 0 &&
        wf_json_parse("meta", (const char *)row->meta, row->meta_bytes, NULL, &doc) == WF_OK) {
        wf_json_ref root = wf_json_root(doc), value = {0};
        if (wf_json_kind_of(root) == WF_JSON_OBJECT) value = wf_json_find(root, m->by);
        if (wf_json_kind_of(root) == WF_JSON_OBJECT && wf_json_has(root, m->by)) {
            m->found = true;
            st = wf_json_read_string(value, &string) == WF_OK ? wf_strdup(string, out)
                                                              : as_json(value, out);
        }
    }
    if (st == WF_OK && !*out) st = wf_strdup("", out);
    wf_json_destroy(&doc);
    return st;
}

// Puts a part before the i-th one; `value` is taken over when it works.
static wf_status part_insert(wf_parts_maker *m, size_t i, char *value)
{
    maker_part part = {.value = value};
    if (m->n == WF_REPORT_PARTS_MOST)
        return wf_fail(WF_USAGE,
                       "by %s: it has more than %d values; take a key that many requests "
                       "share, as a tenant's",
                       m->by, WF_REPORT_PARTS_MOST);
    WF_TRY(wf_grow(m->n + 1, sizeof *m->part, &m->capacity, &m->part));
    WF_TRY(wf_metrics_create(m->runs, m->n_runs, &m->limits, FEWER_GAPS, &part.metrics));
    memmove(m->part + i + 1, m->part + i, (m->n - i) * sizeof *m->part);
    m->part[i] = part;
    m->n++;
    return WF_OK;
}

wf_status wf_parts_add(wf_parts_maker *m, const wf_result *row)
{
    char *value;
    WF_TRY(value_of(m, row, &value));
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(m->part[middle].value, value) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool there = low < m->n && strcmp(m->part[low].value, value) == 0;
    wf_status st = there ? WF_OK : part_insert(m, low, value);
    if (there || st != WF_OK) free(value);
    return st == WF_OK ? wf_metrics_add(m->part[low].metrics, row) : st;
}

wf_status wf_parts_finish(wf_parts_maker *m, const wf_figures *whole, wf_report_parts *out)
{
    if (m->n > 0 && !m->found)
        return wf_fail(WF_USAGE,
                       "by %s: no request's meta has this key; meta is the JSON object that "
                       "a request brought along (weft show OUTPUT --row 0)",
                       m->by);
    *out = (wf_report_parts){0};
    WF_TRY(wf_alloc(m->n, sizeof *out->part, &out->part));
    out->by = m->by;
    out->n = m->n;
    m->by = NULL;
    for (size_t i = 0; i < m->n; i++) {
        out->part[i].value = m->part[i].value;
        m->part[i].value = NULL;
        wf_metrics_finish(m->part[i].metrics, whole, &out->part[i].figures);
    }
    return WF_OK;
}
