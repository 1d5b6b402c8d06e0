// See weka.h.
#include "jobs/streams/weka.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/json.h"
#include "io/base/text.h"
#include "jobs/streams/import_draw.h"
#include "jobs/streams/import_format.h"
#include "jobs/streams/import_number.h"

enum { MOST_FILE_BYTES = 512 << 20 };

#define MOST_T_S 9e9

typedef struct reading {
    const wf_import_options *o;
    wf_import_report *report;
    wf_line_index *out;
    wf_rounds *rounds;
    wf_sha256 hash;
    wf_rng gaps;
    double start_s; // of the conversation that is read
    uint64_t n_conversations;
    uint64_t session;
    int64_t block_size, n_common;
    uint64_t *block, *block_before; // ids of a prompt, and of the one before it
    size_t n_block, n_before, capacity, capacity_before;
} reading;

// ---- requests -----------------------------------------------------------------------------------

// Their ids take the place of those before.
static wf_status blocks_read(reading *r, wf_json_ref list)
{
    uint64_t *block = r->block_before;
    size_t capacity = r->capacity_before;
    wf_json_ref item;
    r->block_before = r->block;
    r->capacity_before = r->capacity;
    r->n_before = r->n_block;
    r->block = block;
    r->capacity = capacity;
    r->n_block = 0;
    if (wf_json_kind_of(list) == WF_JSON_ABSENT) return WF_OK;
    WF_TRY(wf_json_read_array(list));
    WF_TRY(wf_grow(wf_json_count(list), sizeof *r->block, &r->capacity, &r->block));
    wf_json_iter it = wf_json_iterate(list);
    while (wf_json_next(&it, &item)) {
        int64_t id;
        WF_TRY(wf_json_read_i64(item, 0, INT64_MAX, &id));
        r->block[r->n_block++] = (uint64_t)id;
    }
    return WF_OK;
}

static uint64_t shared_tokens(const reading *r, bool first, int64_t n_prompt)
{
    int64_t n = first ? r->n_common : 0;
    size_t i = 0;
    while (!first && i < r->n_block && i < r->n_before && r->block[i] == r->block_before[i])
        i++;
    if (!first) n = (int64_t)i * r->block_size;
    return (uint64_t)(n < n_prompt ? n : n_prompt);
}

static wf_status blocks_check(const reading *r, wf_json_ref request, int64_t n_prompt)
{
    int64_t size = r->block_size, n = (int64_t)r->n_block, least = n_prompt / size;
    if (n == 0 || n == least || n == (n_prompt + size - 1) / size) return WF_OK;
    return wf_json_fail(request,
                        "hash_ids: %" PRId64 " blocks of %" PRId64 " for %" PRId64 " tokens", n,
                        size, n_prompt);
}

static int64_t to_ns(double s)
{
    return (int64_t)llround(s * (double)WF_NS_PER_S);
}

static wf_status request_read(reading *r, wf_json_ref request, bool first)
{
    int64_t n_prompt, n_new;
    double t, api_s, think_s;
    uint64_t row = r->out->n;
    WF_TRY(wf_json_get_i64(request, "in", 0, WF_TRACE_MAX_LENGTH, &n_prompt));
    WF_TRY(wf_json_get_i64(request, "out", 0, WF_TRACE_MAX_LENGTH, &n_new));
    WF_TRY(wf_json_get_f64(request, "t", 0, MOST_T_S, &t));
    WF_TRY(wf_json_get_f64_or(request, "api_time", 0, MOST_T_S, -1, &api_s));
    WF_TRY(wf_json_get_f64_or(request, "think_time", 0, MOST_T_S, -1, &think_s));
    WF_TRY(blocks_read(r, wf_json_find(request, "hash_ids")));
    WF_TRY(blocks_check(r, request, n_prompt));
    wf_line_entry e = {.time_ns = to_ns(r->start_s + t),
                       .number = row + 1,
                       .row = row,
                       .n_prompt = (uint32_t)n_prompt,
                       .n_new = (uint32_t)n_new};
    WF_TRY(wf_line_index_add(r->out, &e));
    return wf_rounds_add(r->rounds, row,
                         &(wf_round_said){.before = r->session,
                                          .own = r->session,
                                          .n_prefix = shared_tokens(r, first, n_prompt),
                                          .time_ns = e.time_ns,
                                          .end_ns = api_s < 0 ? -1 : e.time_ns + to_ns(api_s),
                                          .after_ns = -1,
                                          .think_ns = think_s < 0 ? -1 : to_ns(think_s)});
}

static wf_status left_out(reading *r, wf_json_ref request)
{
    wf_import_report *to = r->report;
    uint64_t n = to->count[WF_IMPORT_bad].n++;
    wf_status st = wf_json_fail(request, "is a subagent's, which is not replayed");
    if (!r->o->skip_bad) {
        char why[WF_ERROR_MAX];
        snprintf(why, sizeof why, "%s", wf_error());
        return wf_fail(st, "%.900s (--skip-bad leaves it out)", why);
    }
    if (n < WF_IMPORT_MAX_REASONS)
        snprintf(to->reason[n], sizeof to->reason[n], "%.*s", (int)sizeof to->reason[n] - 1,
                 wf_error());
    if (n == 0) to->count[WF_IMPORT_bad].first_line = r->out->n + 1;
    return WF_OK;
}

// ---- conversations ------------------------------------------------------------------------------

static bool is_enough(const reading *r)
{
    return r->o->n_rows > 0 && r->out->n >= r->o->n_rows;
}

static void start_draw(reading *r)
{
    const wf_synth_options *s = &r->o->synth;
    if (r->n_conversations > 0 && s->has_interval)
        r->start_s += s->interval_s * wf_rng_next_exponential(&r->gaps);
    r->n_conversations++;
}

static wf_status conversation_check(wf_json_ref of)
{
    static const char *const needed[] = {"block_size", "requests"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (wf_json_kind_of(wf_json_find(of, needed[i])) == WF_JSON_ABSENT)
            return wf_json_fail(of,
                                "no '%s': a conversation of Weka's is an object with block_size "
                                "and requests, a list; weft import auto finds the format of "
                                "another log",
                                needed[i]);
    return WF_OK;
}

static wf_status conversation_read(reading *r, wf_json_ref of)
{
    int64_t n_tool, n_system;
    wf_json_ref list, request;
    bool first = true;
    WF_TRY(wf_json_read_object(of));
    WF_TRY(conversation_check(of));
    WF_TRY(wf_json_get_i64(of, "block_size", 1, 1 << 20, &r->block_size));
    WF_TRY(wf_json_get_i64_or(of, "tool_tokens", 0, WF_TRACE_MAX_LENGTH, 0, &n_tool));
    WF_TRY(wf_json_get_i64_or(of, "system_tokens", 0, WF_TRACE_MAX_LENGTH, 0, &n_system));
    WF_TRY(wf_json_get_array(of, "requests", &list));
    start_draw(r);
    r->n_common = n_tool + n_system;
    r->session = wf_hash64_of(&r->n_conversations, sizeof r->n_conversations, 0);
    r->n_block = 0;
    wf_json_iter it = wf_json_iterate(list);
    while (wf_json_next(&it, &request) && !is_enough(r)) {
        const char *type;
        WF_TRY(wf_json_get_string_or(request, "type", "s", &type));
        if (strcmp(type, "s") == 0 || strcmp(type, "n") == 0) {
            WF_TRY(request_read(r, request, first));
            first = false;
        } else {
            WF_TRY(left_out(r, request));
        }
    }
    return WF_OK;
}

static wf_status document_read(reading *r, wf_json_ref root)
{
    wf_json_ref item;
    if (wf_json_kind_of(root) != WF_JSON_ARRAY) return conversation_read(r, root);
    wf_json_iter it = wf_json_iterate(root);
    while (wf_json_next(&it, &item) && !is_enough(r))
        WF_TRY(conversation_read(r, item));
    return WF_OK;
}

// ---- files --------------------------------------------------------------------------------------

static wf_status file_read(reading *r, const char *path)
{
    static const wf_json_limits limits = {.max_bytes = MOST_FILE_BYTES};
    char *text = NULL;
    size_t n = 0;
    wf_json *doc = NULL;
    WF_TRY(wf_file_read(path, MOST_FILE_BYTES, &text, &n));
    wf_sha256_add(&r->hash, text, n);
    wf_status st = wf_json_parse(path, text, n, &limits, &doc);
    free(text);
    if (st != WF_OK) {
        char why[WF_ERROR_MAX];
        snprintf(why, sizeof why, "%s", wf_error());
        return wf_fail(st,
                       "%.700s (a log of Weka's is a JSON file for each conversation, or a folder "
                       "of them; weft import auto finds the format of another one)",
                       why);
    }
    st = document_read(r, wf_json_root(doc));
    wf_json_destroy(&doc);
    return st;
}

static wf_status files_read(reading *r)
{
    struct stat st_input;
    wf_paths names = {0};
    bool is_folder = stat(r->o->input, &st_input) == 0 && S_ISDIR(st_input.st_mode);
    if (!is_folder) return file_read(r, r->o->input);
    wf_status st = wf_file_list(r->o->input, &names);
    for (size_t i = 0; i < names.n && st == WF_OK && !is_enough(r); i++) {
        char *path = NULL;
        if (!wf_text_ends_with(names.item[i], ".json")) continue;
        st = wf_path_join(r->o->input, names.item[i], &path);
        if (st == WF_OK) st = file_read(r, path);
        free(path);
    }
    wf_paths_destroy(&names);
    return st;
}

wf_status wf_weka_read(const wf_import_options *options, wf_import_report *report,
                       wf_line_index *out, wf_rounds *rounds, char sha256[WF_SHA256_HEX])
{
    reading r = {.o = options,
                 .report = report,
                 .out = out,
                 .rounds = rounds,
                 .gaps = wf_draw_sequence(options->seed, WF_DRAW_ARRIVAL, 0)};
    wf_sha256_start(&r.hash);
    wf_status st = files_read(&r);
    wf_sha256_finish(&r.hash, sha256);
    free(r.block);
    free(r.block_before);
    if (st == WF_OK && out->n == 0) st = wf_fail(WF_DATA, "%s: has no requests", options->input);
    return st;
}
