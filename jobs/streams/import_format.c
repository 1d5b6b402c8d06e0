// The table of log formats, the meanings of columns, and finding them.
#include "jobs/streams/import_format.h"

#include <stdio.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/hash.h"
#include "io/base/json.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/streams/import.h"

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

// --- meanings ---

static const struct {
    const char *name;
    wf_trace_role role;
    int64_t unit;
    const char *time_unit;
} meanings[] = {
    {"arrival_s", WF_TRACE_ARRIVAL, WF_NS_PER_S, "s"},
    {"arrival_ms", WF_TRACE_ARRIVAL, WF_NS_PER_MS, "ms"},
    {"arrival_us", WF_TRACE_ARRIVAL, 1000, "us"},
    {"arrival_ns", WF_TRACE_ARRIVAL, 1, "ns"},
    {"arrival_time", WF_TRACE_ARRIVAL, 0, "100ns"},
    {"arrival_events", WF_TRACE_ARRIVAL, WF_TRACE_EVENTS, "100ns"},
    {"input_tokens", WF_TRACE_PROMPT, 0, NULL},
    {"output_tokens", WF_TRACE_NEW, 0, NULL},
    {"meta", WF_TRACE_META, 0, NULL},
    {"session", WF_TRACE_SESSION, 0, NULL},
    {"chat", WF_TRACE_CHAT, 0, NULL},
    {"parent_chat", WF_TRACE_PARENT, 0, NULL},
    {"think_s", WF_TRACE_THINK, WF_NS_PER_S, "s"},
    {"think_ms", WF_TRACE_THINK, WF_NS_PER_MS, "ms"},
    {"busy_s", WF_TRACE_BUSY, WF_NS_PER_S, "s"},
    {"busy_ms", WF_TRACE_BUSY, WF_NS_PER_MS, "ms"},
};

#define MEANINGS                                                                                   \
    "arrival_s, arrival_ms, arrival_us, arrival_ns, arrival_time (a date), input_tokens, "         \
    "output_tokens, blocks_N (ids of blocks of N tokens), meta, session, chat and parent_chat, "   \
    "think_s, think_ms (from the end of the turn before), busy_s, busy_ms (what a turn took)"

static wf_status column_complete(wf_trace_column *c)
{
    int64_t n_tokens;
    for (size_t i = 0; i < N_OF(meanings); i++) {
        if (strcmp(meanings[i].name, c->meaning) != 0) continue;
        c->role = meanings[i].role;
        c->unit = meanings[i].unit;
        c->time_unit = meanings[i].time_unit;
        return WF_OK;
    }
    if (strncmp(c->meaning, "blocks_", 7) == 0 &&
        wf_parse_i64(c->meaning + 7, 1, INT32_MAX, &n_tokens) == WF_OK) {
        c->role = WF_TRACE_BLOCKS;
        c->unit = n_tokens;
        return WF_OK;
    }
    return wf_fail(WF_USAGE, "column '%.40s': '%.40s' is no meaning; known are " MEANINGS, c->name,
                   c->meaning);
}

// --- the table ---

static const wf_trace_format formats[] = {
    {.name = "azure",
     .help = "Azure LLM inference traces 2023, 2024 and LMM 2025 (NumImages is kept as meta)",
     .column = {{"TIMESTAMP", "arrival_time", .optional = false},
                {"ContextTokens", "input_tokens", .optional = false},
                {"GeneratedTokens", "output_tokens", .optional = false},
                {"NumImages", "meta", .optional = true}}},
    {.name = "mooncake",
     .help = "Mooncake: JSON lines, timestamp in ms, hash_ids of 512-token blocks",
     .json = true,
     .column = {{"timestamp", "arrival_ms", .optional = false},
                {"input_length", "input_tokens", .optional = false},
                {"output_length", "output_tokens", .optional = false},
                {"hash_ids", "blocks_512", .optional = true}}},
    {.name = "bailian",
     .help = "Qwen-Bailian: JSON lines, timestamp in s, hash_ids of 16-token blocks; chats as meta",
     .json = true,
     .column = {{"timestamp", "arrival_s", .optional = false},
                {"input_length", "input_tokens", .optional = false},
                {"output_length", "output_tokens", .optional = false},
                {"hash_ids", "blocks_16", .optional = false},
                {"chat_id", "meta", .optional = false},
                {"chat_id", "chat", .optional = false},
                {"parent_chat_id", "meta", .optional = true},
                {"parent_chat_id", "parent_chat", .optional = true},
                {"type", "meta", .optional = true},
                {"turn", "meta", .optional = true}}},
    {.name = "burstgpt",
     .help = "BurstGPT: CSV, Timestamp in s, Request tokens, Response tokens; the rest as meta",
     .column = {{"Timestamp", "arrival_s", .optional = false},
                {"Request tokens", "input_tokens", .optional = false},
                {"Response tokens", "output_tokens", .optional = false},
                {"Session ID", "meta", .optional = true},
                {"Session ID", "session", .optional = true},
                {"Elapsed time", "meta", .optional = true},
                {"Elapsed time", "busy_s", .optional = true},
                {"Model", "meta", .optional = true},
                {"Log Type", "meta", .optional = true}}},
    {.name = "vidur",
     .help = "Vidur: CSV, arrived_at in s, num_prefill_tokens, num_decode_tokens",
     .column = {{"arrived_at", "arrival_s", .optional = false},
                {"num_prefill_tokens", "input_tokens", .optional = false},
                {"num_decode_tokens", "output_tokens", .optional = false}}},
    {.name = "llmservingsim",
     .help = "LLMServingSim: JSON lines, arrival_time_ns, input_toks, output_toks",
     .json = true,
     .column = {{"arrival_time_ns", "arrival_ns", .optional = false},
                {"input_toks", "input_tokens", .optional = false},
                {"output_toks", "output_tokens", .optional = false}}},
    {.name = "tracelab",
     .help =
         "TraceLab: JSON lines, a round of an agent's session each; prompts go on from the round "
         "before",
     .json = true,
     .session = "session_id",
     .origin = "provider",
     .prefix = "prefix_tokens",
     .tools = "tools",
     .column = {{"timing_events", "arrival_events", .optional = false},
                {"input_tokens_total", "input_tokens", .optional = false},
                {"output_tokens", "output_tokens", .optional = false},
                {"session_id", "meta", .optional = false},
                {"round_index", "meta", .optional = true},
                {"model", "meta", .optional = true},
                {"first_input_event_type", "meta", .optional = true}}},
    {.name = "weka",
     .help =
         "Weka's KV cache tester: conversations of agents, a JSON file each, or a folder of them; "
         "--rate of conversations",
     .session = "id",
     .conversations = true},
    {.name = "servegen",
     .help = "ServeGen: windows of a client (start, rate, CV, distribution, two parameters); drawn",
     .windows = true},
    {.name = "csv",
     .help = "CSV with columns arrival_s, input_tokens, output_tokens, or those of --map",
     .column = {{"arrival_s", "arrival_s", .optional = false},
                {"input_tokens", "input_tokens", .optional = false},
                {"output_tokens", "output_tokens", .optional = false}}},
    {.name = "jsonl",
     .help = "JSON lines with keys arrival_s, input_tokens, output_tokens, or those of --map",
     .json = true,
     .column = {{"arrival_s", "arrival_s", .optional = false},
                {"input_tokens", "input_tokens", .optional = false},
                {"output_tokens", "output_tokens", .optional = false}}},
};

size_t wf_import_n_formats(void)
{
    return N_OF(formats);
}

const char *wf_import_format_name(size_t i)
{
    return formats[i].name;
}

const char *wf_import_format_help(size_t i)
{
    return formats[i].help;
}

static wf_status unknown_format(const char *name)
{
    char known[256] = "";
    for (size_t i = 0; i < N_OF(formats); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s, ", formats[i].name);
    return wf_fail(WF_USAGE, "'%.40s' is no known log format; known are %sauto", name, known);
}

// --- what --map changes ---

// Where the column of a map goes: on the format's own of the same role; meta is added.
static wf_trace_column *place_of(wf_trace_format *f, wf_trace_role role)
{
    for (int i = 0; i < f->n_columns && role != WF_TRACE_META; i++)
        if (f->column[i].role == role) return &f->column[i];
    return f->n_columns < WF_TRACE_MAX_COLUMNS ? &f->column[f->n_columns++] : NULL;
}

static wf_status map_apply(wf_trace_format *f, const char *map, size_t *used)
{
    const char *equals = strrchr(map, '=');
    wf_trace_column c = {0};
    size_t n = strlen(map);
    if (equals == NULL || equals == map) {
        return wf_fail(WF_USAGE, "--map %.80s: expected column=meaning, as in \"start=arrival_ms\"",
                       map);
    }
    if (*used + n + 1 > sizeof f->maps) return wf_fail(WF_USAGE, "--map: too many of them");
    char *copy = f->maps + *used;
    memcpy(copy, map, n + 1);
    *used += n + 1;
    copy[equals - map] = '\0';
    c.name = copy;
    c.meaning = copy + (equals - map) + 1;
    WF_TRY(column_complete(&c));
    if (c.unit == WF_TRACE_EVENTS)
        return wf_fail(WF_USAGE, "--map %.80s: known are " MEANINGS, map);
    wf_trace_column *to = place_of(f, c.role);
    if (to == NULL) return wf_fail(WF_USAGE, "--map: more than %d columns", WF_TRACE_MAX_COLUMNS);
    *to = c;
    return WF_OK;
}

wf_status wf_trace_format_find(const char *name, const char *const *maps, size_t n_maps,
                               wf_trace_format *out)
{
    size_t i = 0, used = 0;
    while (i < N_OF(formats) && strcmp(formats[i].name, name) != 0)
        i++;
    if (i == N_OF(formats)) return unknown_format(name);
    *out = formats[i];
    while (out->n_columns < WF_TRACE_MAX_COLUMNS && out->column[out->n_columns].name != NULL)
        WF_TRY(column_complete(&out->column[out->n_columns++]));
    for (size_t k = 0; k < n_maps; k++)
        WF_TRY(map_apply(out, maps[k], &used));
    return WF_OK;
}

// --- which format a line is of ---

typedef struct {
    bool json;
    wf_json_ref root;
    const wf_trace_field *field;
    int n_fields;
} names;

static bool is_name(wf_trace_field f, const char *name)
{
    return f.n == strlen(name) && memcmp(f.text, name, f.n) == 0;
}

static bool has_name(const names *in, const char *name)
{
    if (in->json) return wf_json_has(in->root, name);
    for (int i = 0; i < in->n_fields; i++)
        if (is_name(in->field[i], name)) return true;
    return false;
}

// How many of the format's columns are there; 0 when a needed one is not.
static int count_columns(const wf_trace_format *f, const names *in)
{
    int n = 0;
    if (f->json != in->json) return 0;
    for (int i = 0; i < WF_TRACE_MAX_COLUMNS && f->column[i].name != NULL; i++) {
        bool there = has_name(in, f->column[i].name);
        if (!there && !f->column[i].optional) return 0;
        n += there;
    }
    return n;
}

// NULL: of none.
static const char *best_format(const names *in)
{
    const char *best = NULL;
    int most = 0;
    for (size_t i = 0; i < N_OF(formats); i++) {
        int n = count_columns(&formats[i], in);
        if (n > most) best = formats[i].name;
        if (n > most) most = n;
    }
    return best;
}

static bool is_json(const wf_line *line)
{
    return line->text[strspn(line->text, " \t")] == '{';
}

static wf_status guess_json(const wf_line *line, const char *place, const char **out)
{
    wf_json *doc = NULL;
    WF_TRY(wf_json_parse(place, line->text, line->n_bytes, NULL, &doc));
    names in = {.json = true, .root = wf_json_root(doc)};
    *out = best_format(&in);
    wf_json_destroy(&doc);
    return WF_OK;
}

static wf_status guess_csv(const wf_line *line, const char *place, const char **out)
{
    wf_arena *arena = NULL;
    wf_trace_field field[WF_TRACE_MAX_FIELDS];
    names in = {.field = field};
    WF_TRY(wf_arena_create(0, &arena));
    wf_status st = wf_trace_split(line, place, arena, field, &in.n_fields, NULL);
    if (st == WF_OK) *out = best_format(&in);
    wf_arena_destroy(&arena);
    return st;
}

wf_status wf_trace_format_guess(const wf_line *first, const char *place, const char **name)
{
    *name = NULL;
    WF_TRY(is_json(first) ? guess_json(first, place, name) : guess_csv(first, place, name));
    if (*name != NULL) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: has the columns of no known format; name them: weft import %s "
                   "--map COLUMN=arrival_s --map COLUMN=input_tokens --map COLUMN=output_tokens",
                   place, is_json(first) ? "jsonl" : "csv");
}

// --- names of sessions ---

uint64_t wf_trace_name(wf_trace_field name)
{
    uint64_t hash = wf_hash64_of(name.text, name.n, 0);
    return name.n == 0 ? 0 : hash != 0 ? hash : 1;
}

void wf_trace_put_name(const wf_trace_column *c, wf_trace_field name, wf_trace_row *row)
{
    uint64_t hash = wf_trace_name(name);
    if (c->role != WF_TRACE_PARENT) row->session = hash;
    if (c->role != WF_TRACE_CHAT) row->before = hash;
}

// --- header and rows ---

// What to do about a header that lacks a column: it may be another format's.
static wf_status no_column(const wf_trace_format *f, const wf_trace_column *c, const names *in,
                           const char *place)
{
    const char *other = best_format(in);
    if (other != NULL && strcmp(other, f->name) != 0) {
        return wf_fail(WF_DATA,
                       "%s: the header lacks column '%s'; is it a log of %s? (weft import %s)",
                       place, c->name, other, other);
    }
    return wf_fail(WF_DATA,
                   "%s: the header lacks column '%s'; if it has another name: --map NAME=%s", place,
                   c->name, c->meaning);
}

static wf_status header_find(const wf_trace_format *format, const names *in, const char *place,
                             wf_trace_header *out)
{
    out->n_fields = in->n_fields;
    for (int i = 0; i < format->n_columns; i++) {
        const wf_trace_column *c = &format->column[i];
        out->at[i] = -1;
        for (int k = 0; k < in->n_fields && out->at[i] < 0; k++)
            if (is_name(in->field[k], c->name)) out->at[i] = k;
        if (out->at[i] < 0 && !c->optional) return no_column(format, c, in, place);
    }
    return WF_OK;
}

wf_status wf_trace_header_read(const wf_trace_format *format, const wf_line *line,
                               const char *place, wf_trace_header *out)
{
    wf_arena *arena = NULL;
    wf_trace_field field[WF_TRACE_MAX_FIELDS];
    names in = {.field = field};
    if (is_json(line)) {
        return wf_fail(WF_DATA,
                       "%s: is JSON, not comma-separated values; weft import auto finds the "
                       "format, weft pack reads prompts",
                       place);
    }
    WF_TRY(wf_arena_create(0, &arena));
    wf_status st = wf_trace_split(line, place, arena, field, &in.n_fields, NULL);
    if (st == WF_OK) st = header_find(format, &in, place, out);
    wf_arena_destroy(&arena);
    return st;
}

// Blocks cover the prompt; the last, if it is not full, may be left out.
static wf_status check_blocks(const wf_trace_format *f, const char *place, const wf_trace_row *row)
{
    const wf_trace_column *c = f->column;
    while (c < f->column + f->n_columns && c->role != WF_TRACE_BLOCKS)
        c++;
    if (c == f->column + f->n_columns || row->block == NULL) return WF_OK;
    uint64_t size = (uint64_t)c->unit, least = row->n_prompt / size;
    if (row->n_blocks == least || row->n_blocks == (row->n_prompt + size - 1) / size) return WF_OK;
    return wf_fail(WF_DATA,
                   "%s: %s has %u blocks for %llu tokens, which are %llu of %llu each; if blocks "
                   "have another size: --map %s=blocks_N",
                   place, c->name, row->n_blocks, (unsigned long long)row->n_prompt,
                   (unsigned long long)((row->n_prompt + size - 1) / size),
                   (unsigned long long)size, c->name);
}

wf_status wf_trace_row_read(const wf_trace_format *format, const wf_trace_header *header,
                            const wf_line *line, const char *place, wf_arena *arena,
                            wf_trace_row *out)
{
    *out = WF_TRACE_NO_ROW;
    if (format->json)
        WF_TRY(wf_trace_json_row(format, line, place, arena, out));
    else
        WF_TRY(wf_trace_csv_row(format, header, line, place, arena, out));
    return check_blocks(format, place, out);
}
