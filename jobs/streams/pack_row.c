// Keys of a line as a table of readers; the sampling parameters come from WF_SAMPLING_TABLE.
#include "jobs/streams/pack_row.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "io/base/text.h"
#include "jobs/streams/import_format.h"

#define MAX_ARRIVAL_S 315360000.0 // ten years, which is what a shard holds

typedef struct {
    const wf_pack_options *options;
    wf_arena *arena;
    wf_request *r;
    bool has_prompt;
} row;

static wf_status read_ids(row *p, wf_json_ref value, const int32_t **out, uint32_t *n_out)
{
    WF_TRY(wf_json_read_array(value));
    size_t n = wf_json_count(value), i = 0;
    int32_t *ids = NULL;
    WF_TRY(wf_arena_alloc(p->arena, n + 1, sizeof *ids, &ids));
    wf_json_iter it = wf_json_iterate(value);
    for (wf_json_ref item; wf_json_next(&it, &item); i++) {
        int64_t id;
        WF_TRY(wf_json_read_i64(item, 0, INT32_MAX, &id));
        ids[i] = (int32_t)id;
    }
    *out = ids;
    *n_out = (uint32_t)n;
    return WF_OK;
}

static wf_status one_prompt(row *p, wf_json_ref value)
{
    if (p->has_prompt) return wf_json_fail(value, "the row has a prompt already");
    p->has_prompt = true;
    return WF_OK;
}

static wf_status take_prompt_ids(row *p, wf_json_ref value)
{
    WF_TRY(one_prompt(p, value));
    return read_ids(p, value, &p->r->prompt, &p->r->n_prompt);
}

static wf_status take_prompt(row *p, wf_json_ref value)
{
    WF_TRY(one_prompt(p, value));
    if (!p->options->bytes) {
        return wf_json_fail(value, "this command takes token ids: turn text into them with "
                                   "weft-text, or use --bytes for a model over bytes");
    }
    const char *text;
    WF_TRY(wf_json_read_string(value, &text));
    size_t n = strlen(text), n_bos = p->options->bos >= 0 ? 1 : 0;
    int32_t *ids = NULL;
    WF_TRY(wf_arena_alloc(p->arena, n + 1, sizeof *ids, &ids));
    if (n_bos > 0) ids[0] = (int32_t)p->options->bos;
    for (size_t i = 0; i < n; i++)
        ids[n_bos + i] = (uint8_t)text[i];
    p->r->prompt = ids;
    p->r->n_prompt = (uint32_t)(n_bos + n);
    return WF_OK;
}

static wf_status take_id(row *p, wf_json_ref value)
{
    int64_t id;
    WF_TRY(wf_json_read_i64(value, 0, INT64_MAX, &id));
    p->r->id = (uint64_t)id;
    return WF_OK;
}

static wf_status take_second(row *p, wf_json_ref value)
{
    int64_t at;
    int32_t *segment = NULL;
    WF_TRY(wf_json_read_i64(value, 1, INT32_MAX, &at));
    WF_TRY(wf_arena_alloc(p->arena, 1, sizeof *segment, &segment));
    *segment = (int32_t)at;
    p->r->segment = segment;
    p->r->n_segment = 1;
    return WF_OK;
}

static wf_status take_max_new(row *p, wf_json_ref value)
{
    int64_t n;
    WF_TRY(wf_json_read_i64(value, 1, UINT32_MAX, &n));
    p->r->max_new_tokens = (uint32_t)n;
    return WF_OK;
}

static wf_status take_arrival(row *p, wf_json_ref value)
{
    double s;
    WF_TRY(wf_json_read_f64(value, 0, MAX_ARRIVAL_S, &s));
    p->r->arrival_ns = (int64_t)(s * (double)WF_NS_PER_S + 0.5);
    return WF_OK;
}

// A name or a number; shards that say it alike mean the same session.
static wf_status take_session(row *p, wf_json_ref value)
{
    char number[32];
    const char *text = number;
    int64_t whole;
    if (wf_json_kind_of(value) == WF_JSON_INTEGER) {
        WF_TRY(wf_json_read_i64(value, INT64_MIN, INT64_MAX, &whole));
        snprintf(number, sizeof number, "%lld", (long long)whole);
    } else {
        WF_TRY(wf_json_read_string(value, &text));
    }
    p->r->session = wf_trace_name((wf_trace_field){text, strlen(text)});
    return WF_OK;
}

static wf_status take_think_s(row *p, wf_json_ref value)
{
    double s;
    WF_TRY(wf_json_read_f64(value, 0, MAX_ARRIVAL_S, &s));
    p->r->think_ns = (int64_t)(s * (double)WF_NS_PER_S + 0.5);
    return WF_OK;
}

static wf_status take_stop(row *p, wf_json_ref value)
{
    return read_ids(p, value, &p->r->stop, &p->r->n_stop);
}

// Appends a text and its end; at NULL: they are only counted.
static wf_status add_text(wf_json_ref value, char *to, size_t *n)
{
    const char *text;
    WF_TRY(wf_json_read_string(value, &text));
    size_t bytes = strlen(text) + 1;
    if (to) memcpy(to + *n, text, bytes);
    *n += bytes;
    return WF_OK;
}

// One text, or a list of them.
static wf_status read_texts(wf_json_ref value, char *to, size_t *n)
{
    *n = 0;
    if (wf_json_kind_of(value) == WF_JSON_STRING) return add_text(value, to, n);
    WF_TRY(wf_json_read_array(value));
    wf_json_iter it = wf_json_iterate(value);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        WF_TRY(add_text(item, to, n));
    return WF_OK;
}

static wf_status take_stop_strings(row *p, wf_json_ref value)
{
    size_t n = 0;
    char *all = NULL;
    if (!p->options->bytes)
        return wf_json_fail(value,
                            "this command takes token ids (stop_token_ids): weft-text takes texts, "
                            "or use --bytes for a model over bytes");
    WF_TRY(read_texts(value, NULL, &n));
    WF_TRY(wf_arena_alloc(p->arena, n + 1, 1, &all));
    WF_TRY(read_texts(value, all, &n));
    p->r->stop_string = (const uint8_t *)all;
    p->r->stop_string_bytes = (uint32_t)n;
    return WF_OK;
}

// --- wishes ---

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static wf_status take_allowed(row *p, wf_json_ref value)
{
    int32_t *ids;
    uint32_t n_kept = 0;
    WF_TRY(read_ids(p, value, &p->r->allowed, &p->r->n_allowed));
    if (p->r->n_allowed == 0) return wf_json_fail(value, "allows no token; leave it out for all");
    ids = (int32_t *)(uintptr_t)p->r->allowed; // just made
    qsort(ids, p->r->n_allowed, sizeof *ids, by_id);
    for (uint32_t i = 0; i < p->r->n_allowed; i++)
        if (n_kept == 0 || ids[i] != ids[n_kept - 1]) ids[n_kept++] = ids[i];
    p->r->n_allowed = n_kept;
    return WF_OK;
}

typedef struct {
    int32_t id;
    float add;
} bias;

// {"token id": bias, ...}; a bias beyond -100 to 100 counts as that, as in vLLM.
static wf_status read_biases(wf_json_ref value, bias *out)
{
    wf_json_iter it = wf_json_iterate(value);
    size_t i = 0;
    for (wf_json_ref item; wf_json_next(&it, &item); i++) {
        char *end;
        double add;
        long id = strtol(item.key, &end, 10);
        if (!isdigit((unsigned char)item.key[0]) || *end != '\0' || id > INT32_MAX)
            return wf_json_fail(item, "is no token id");
        WF_TRY(wf_json_read_f64(item, -1e9, 1e9, &add));
        out[i] = (bias){(int32_t)id, (float)fmin(fmax(add, -100.0), 100.0)};
    }
    qsort(out, i, sizeof *out, by_id);
    return WF_OK;
}

static wf_status take_logit_bias(row *p, wf_json_ref value)
{
    bias *all = NULL;
    int32_t *ids = NULL;
    float *add = NULL;
    WF_TRY(wf_json_read_object(value));
    size_t n = wf_json_count(value);
    WF_TRY(wf_arena_alloc(p->arena, n + 1, sizeof *all, &all));
    WF_TRY(wf_arena_alloc(p->arena, n + 1, sizeof *ids, &ids));
    WF_TRY(wf_arena_alloc(p->arena, n + 1, sizeof *add, &add));
    WF_TRY(read_biases(value, all));
    for (size_t i = 0; i < n; i++)
        ids[i] = all[i].id, add[i] = all[i].add;
    p->r->bias_id = ids, p->r->bias = add;
    p->r->n_bias_id = p->r->n_bias = (uint32_t)n;
    return WF_OK;
}

// [[7, 8], [9]] as 7 8 -1 9 -1.
static wf_status take_bad_words_ids(row *p, wf_json_ref value)
{
    int32_t *all = NULL;
    uint32_t n = 0;
    WF_TRY(wf_json_read_array(value));
    wf_json_iter it = wf_json_iterate(value), again = it;
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        WF_TRY(wf_json_read_array(item));
        n += (uint32_t)wf_json_count(item) + 1;
    }
    WF_TRY(wf_arena_alloc(p->arena, n + 1, sizeof *all, &all));
    p->r->bad_words = all, p->r->n_bad_words = n;
    for (wf_json_ref item; wf_json_next(&again, &item);) {
        const int32_t *ids;
        uint32_t n_ids;
        WF_TRY(read_ids(p, item, &ids, &n_ids));
        memcpy(all, ids, n_ids * sizeof *all);
        all[n_ids] = -1;
        all += n_ids + 1;
    }
    return WF_OK;
}

static wf_status take_bad_words(row *p, wf_json_ref value)
{
    (void)p;
    return wf_json_fail(value, "this command takes token ids: bad_words_token_ids is a list of "
                               "lists of them; weft-text turns words into them");
}

// --- meta ---

static wf_status keep_meta(row *p, const char *text, size_t n)
{
    const char *copy;
    WF_TRY(wf_arena_strndup(p->arena, text, n, &copy));
    p->r->meta = (const uint8_t *)copy;
    p->r->meta_bytes = (uint32_t)n;
    return WF_OK;
}

static wf_status keep_object(row *p, wf_json_ref value)
{
    wf_json_writer *w = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_status st = wf_json_copy(value, w, NULL);
    if (st == WF_OK) st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK) st = keep_meta(p, text, n > 0 && text[n - 1] == '\n' ? n - 1 : n);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status take_meta(row *p, wf_json_ref value)
{
    const char *text;
    if (wf_json_kind_of(value) == WF_JSON_OBJECT) return keep_object(p, value);
    WF_TRY(wf_json_read_string(value, &text));
    return keep_meta(p, text, strlen(text));
}

// --- sampling ---

static wf_status read_F(wf_json_ref value, double least, double most, double *out)
{
    return wf_json_read_f64(value, least, most, out);
}

static wf_status read_I(wf_json_ref value, double least, double most, int64_t *out)
{
    int64_t top = most >= 9.2e18 ? INT64_MAX : (int64_t)most;
    return wf_json_read_i64(value, (int64_t)least, top, out);
}

#define read_U                          read_I
#define read_B(value, least, most, out) wf_json_read_bool(value, out)
#define RAW_F                           double
#define RAW_I                           int64_t
#define RAW_U                           int64_t
#define RAW_B                           bool

// One reader for each parameter, take_temperature() and so on.
#define TAKE(field, type, kind, def, lo, hi)                                                       \
    static wf_status take_##field(row *p, wf_json_ref value)                                       \
    {                                                                                              \
        RAW_##kind raw;                                                                            \
        WF_TRY(read_##kind(value, lo, hi, &raw));                                                  \
        p->r->sampling.field = (type)raw;                                                          \
        p->r->sampling_set |= 1u << WF_SAMPLING_##field;                                           \
        return WF_OK;                                                                              \
    }
WF_SAMPLING_TABLE(TAKE)
#undef TAKE

// false, true or "never", as transformers has it.
static wf_status take_early(row *p, wf_json_ref value)
{
    bool yes = false;
    const char *word = "";
    uint32_t early = 2;
    if (wf_json_kind_of(value) == WF_JSON_STRING) {
        WF_TRY(wf_json_read_string(value, &word));
        if (strcmp(word, "never") != 0)
            return wf_json_fail(value, "must be true, false or \"never\"");
    } else {
        WF_TRY(wf_json_read_bool(value, &yes));
        early = yes;
    }
    p->r->sampling.early_stopping = early;
    p->r->sampling_set |= 1u << WF_SAMPLING_early_stopping;
    return WF_OK;
}

// --- the row ---

static const struct {
    const char *name;
    wf_status (*take)(row *p, wf_json_ref value);
} keys[] = {{"id", take_id},
            {"prompt_token_ids", take_prompt_ids},
            {"prompt", take_prompt},
            {"second_segment", take_second},
            {"max_new_tokens", take_max_new},
            {"max_tokens", take_max_new},
            {"arrival_s", take_arrival},
            {"session", take_session},
            {"think_s", take_think_s},
            {"stop_token_ids", take_stop},
            {"stop", take_stop_strings},
            {"logit_bias", take_logit_bias},
            {"allowed_token_ids", take_allowed},
            {"bad_words_token_ids", take_bad_words_ids},
            {"bad_words", take_bad_words},
            {"meta", take_meta},
            {"early_stopping", take_early}, // before the table's, which takes a number
#define KEY(field, type, kind, def, lo, hi) {#field, take_##field},
            WF_SAMPLING_TABLE(KEY)
#undef KEY
};

static wf_status no_key(wf_json_ref value)
{
    const char *names[sizeof keys / sizeof keys[0]];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        names[i] = keys[i].name;
    const char *near = wf_nearest_word(value.key, names, sizeof keys / sizeof keys[0]);
    return wf_json_fail(value, "is no key of a request; %s%s%sput what is yours into \"meta\"",
                        near ? "did you mean " : "", near ? near : "", near ? "? Else " : "");
}

static wf_status take_key(row *p, wf_json_ref value)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].name, value.key) == 0) return keys[i].take(p, value);
    return no_key(value);
}

static wf_status take_keys(row *p, wf_json_ref root)
{
    WF_TRY(wf_json_read_object(root));
    wf_json_iter it = wf_json_iterate(root);
    for (wf_json_ref value; wf_json_next(&it, &value);) {
        if (wf_json_kind_of(value) == WF_JSON_NULL) continue; // as if it were not there
        // Token ids win over the text beside them, as in weft-text.
        if (strcmp(value.key, "prompt") == 0 && wf_json_has(root, "prompt_token_ids")) continue;
        WF_TRY(take_key(p, value));
    }
    if (!p->has_prompt) return wf_json_fail(root, "has no prompt_token_ids");
    if (p->r->max_new_tokens == 0)
        return wf_json_fail(root, "has no max_new_tokens, and there is no default (--max-new)");
    return WF_OK;
}

// The request's own checks, with the place put before their words.
static wf_status check(const wf_request *r, const char *place, int64_t vocab)
{
    wf_status st = wf_request_check(r, vocab, 0);
    if (st == WF_OK) return WF_OK;
    char why[WF_ERROR_MAX / 2];
    snprintf(why, sizeof why, "%.500s", wf_error());
    return wf_fail(WF_DATA, "%s: %s", place, why);
}

wf_status wf_pack_parse(const wf_line *line, const char *place, const wf_pack_options *options,
                        uint64_t i_row, wf_arena *arena, wf_request *out)
{
    wf_json *doc = NULL;
    wf_json_limits limits = {.max_bytes = WF_LINES_MAX_BYTES, .max_depth = 16, .one_line = true};
    *out = (wf_request){.row = i_row,
                        .id = i_row,
                        .max_new_tokens = options->max_new_tokens,
                        .think_ns = WF_THINK_UNKNOWN,
                        .sampling = wf_sampling_default()};
    row p = {.options = options, .arena = arena, .r = out};
    if (line->text[strspn(line->text, " \t")] != '{') {
        return wf_fail(WF_DATA,
                       "%s: is no JSON object; a line is one request, such as "
                       "{\"prompt_token_ids\": [1, 2], \"max_new_tokens\": 8}",
                       place);
    }
    WF_TRY(wf_json_parse(place, line->text, line->n_bytes, &limits, &doc));
    wf_status st = take_keys(&p, wf_json_root(doc));
    wf_json_destroy(&doc);
    if (st != WF_OK) return st;
    return check(out, place, options->vocab);
}
