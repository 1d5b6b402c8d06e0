// Lines of JSON at the end of a file. See events.h.
#include "jobs/run/events.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"

#define EVENTS_FILE "events.jsonl"
enum { EVENTS_MAX_BYTES = 64 << 20 };

static const char *const words[] = {
#define EVENT_WORD(name, word, when) word,
    WF_EVENT_TABLE(EVENT_WORD)
#undef EVENT_WORD
};

const char *wf_event_word(wf_event_kind kind)
{
    return (unsigned)kind < WF_N_EVENTS ? words[kind] : "unknown";
}

static void event_put(wf_json_writer *w, const wf_event *e)
{
    char iso[WF_CLOCK_ISO_MAX];
    int64_t unix_ns = e->time_unix_ns ? e->time_unix_ns : wf_clock_unix_ns();
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "time", wf_clock_iso(unix_ns, iso));
    wf_json_put_i64(w, "time_unix_ns", unix_ns);
    wf_json_put_i64(w, "run", e->run);
    wf_json_put_string(w, "event", wf_event_word(e->kind));
    wf_json_put_i64(w, "group", e->group);
    wf_json_put_i64(w, "epoch", e->epoch);
    wf_json_put_i64(w, "rank", e->rank);
    wf_json_put_string(w, "host", e->host ? e->host : "");
    wf_json_put_string(w, "text", e->text ? e->text : "");
    wf_json_close(w);
}

wf_status wf_event_add(const char *out_dir, const wf_event *event)
{
    char *path = NULL;
    const char *line = NULL;
    size_t n_bytes = 0;
    wf_json_writer *w = NULL;
    wf_status st = wf_path_join(out_dir, EVENTS_FILE, &path);
    if (st == WF_OK) st = wf_json_writer_create(0, &w);
    if (st == WF_OK) {
        event_put(w, event);
        st = wf_json_writer_finish(w, &line, &n_bytes);
    }
    if (st == WF_OK) st = wf_file_append(path, line, n_bytes, false);
    wf_json_writer_destroy(&w);
    free(path);
    return st;
}

// ---- reading ------------------------------------------------------------------------------------

static wf_status int_get(wf_json_ref ref, const char *key, int *out)
{
    int64_t value = -1;
    WF_TRY(wf_json_get_i64(ref, key, -1, INT32_MAX, &value));
    *out = (int)value;
    return WF_OK;
}

static wf_status text_get(wf_json_ref ref, const char *key, wf_arena *arena, const char **out)
{
    const char *text = NULL;
    WF_TRY(wf_json_get_string(ref, key, &text));
    return wf_arena_strdup(arena, text, out);
}

static wf_status kind_get(wf_json_ref ref, wf_event_kind *out)
{
    const char *word = NULL;
    WF_TRY(wf_json_get_string(ref, "event", &word));
    for (int i = 0; i < WF_N_EVENTS; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *out = (wf_event_kind)i;
        return WF_OK;
    }
    return wf_fail(WF_DATA, "unknown event \"%s\"", word);
}

static wf_status event_get(wf_json_ref ref, wf_arena *arena, wf_event *out)
{
    WF_TRY(wf_json_get_i64(ref, "time_unix_ns", 0, INT64_MAX, &out->time_unix_ns));
    WF_TRY(wf_json_get_i64(ref, "run", -1, INT64_MAX, &out->run));
    WF_TRY(kind_get(ref, &out->kind));
    WF_TRY(int_get(ref, "group", &out->group));
    WF_TRY(int_get(ref, "epoch", &out->epoch));
    WF_TRY(int_get(ref, "rank", &out->rank));
    WF_TRY(text_get(ref, "host", arena, &out->host));
    return text_get(ref, "text", arena, &out->text);
}

static bool line_parse(const char *line, size_t n_bytes, wf_arena *arena, wf_event *out)
{
    wf_json *doc = NULL;
    *out = (wf_event){0};
    wf_status st = wf_json_parse(EVENTS_FILE, line, n_bytes, NULL, &doc);
    if (st == WF_OK) st = event_get(wf_json_root(doc), arena, out);
    wf_json_destroy(&doc);
    return st == WF_OK;
}

static wf_status lines_parse(const char *text, wf_arena *arena, wf_events *out)
{
    size_t capacity = 0, length;
    for (const char *line = text; *line; line += length + (line[length] == '\n')) {
        wf_event event;
        length = strcspn(line, "\n");
        if (!line_parse(line, length, arena, &event)) continue;
        WF_TRY(wf_grow(out->n + 1, sizeof event, &capacity, &out->item));
        out->item[out->n++] = event;
    }
    return WF_OK;
}

wf_status wf_events_read(const char *out_dir, wf_events *out)
{
    char *path = NULL, *text = NULL;
    wf_arena *arena = NULL;
    *out = (wf_events){0};
    WF_TRY(wf_path_join(out_dir, EVENTS_FILE, &path));
    wf_status st = wf_file_read(path, EVENTS_MAX_BYTES, &text, NULL);
    free(path);
    if (st == WF_NO_INPUT) return WF_OK;
    if (st == WF_OK) st = wf_arena_create(0, &arena);
    out->memory = arena;
    if (st == WF_OK) st = lines_parse(text, arena, out);
    free(text);
    if (st != WF_OK) wf_events_free(out);
    return st;
}

void wf_events_free(wf_events *events)
{
    wf_arena *arena = events->memory;
    wf_arena_destroy(&arena);
    free(events->item);
    *events = (wf_events){0};
}
