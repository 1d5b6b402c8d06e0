// Rows of plain JSON lines, without a tree of the line.
//
//   {"timestamp": 27, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2]}
//
// Nearly every line of a log is one object of whole and decimal numbers, short ASCII strings and
// lists of whole numbers. Such a line is read here in one pass; whatever is not as plain, or would
// have to be refused or mended, is left to the reader of all JSON (import_json.c), which knows the
// words for it. Both give the same row of a line that both take.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/streams/import_format.h"
#include "jobs/streams/import_number.h"

enum { MOST_MEMBERS = 24, MOST_DIGITS = 18 };

typedef enum { NOTHING, WHOLE, DECIMAL, STRING, LIST } plain_kind;

// A member's value: digits, or what stands between the quotes or brackets.
typedef struct {
    wf_trace_field key;
    plain_kind kind;
    wf_trace_field value;
    size_t n_items; // LIST
} member;

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

// The end of a string's text, at its quote; NULL where it is not plain.
static const char *string_end(const char *at)
{
    while (*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\')
        at++;
    return *at == '"' ? at : NULL;
}

static const char *digits_end(const char *at)
{
    const char *from = at;
    while (*at >= '0' && *at <= '9')
        at++;
    bool plain = at > from && at - from <= MOST_DIGITS && (*from != '0' || at == from + 1);
    return plain ? at : NULL;
}

static const char *take_number(const char *at, member *m)
{
    const char *end = digits_end(at + (*at == '-'));
    if (end == NULL || (end[-1] == '0' && end - at == 2 && *at == '-')) return NULL;
    m->kind = WHOLE;
    if (*end == '.') {
        const char *fraction = ++end;
        while (*end >= '0' && *end <= '9')
            end++;
        if (end == fraction) return NULL;
        m->kind = DECIMAL;
    }
    m->value = (wf_trace_field){at, (size_t)(end - at)};
    return *end == 'e' || *end == 'E' ? NULL : end;
}

static const char *take_list(const char *at, member *m)
{
    const char *from = at = skip_blanks(at + 1);
    m->kind = LIST;
    m->n_items = 0;
    while (*at != ']') {
        if ((at = digits_end(at)) == NULL) return NULL;
        m->n_items++;
        at = skip_blanks(at);
        if (*at == ']') break;
        if (*at != ',') return NULL;
        at = skip_blanks(at + 1);
        if (*at == ']') return NULL;
    }
    m->value = (wf_trace_field){from, (size_t)(at - from)};
    return at + 1;
}

static const char *take_string(const char *at, wf_trace_field *out)
{
    const char *end = *at == '"' ? string_end(at + 1) : NULL;
    if (end == NULL) return NULL;
    *out = (wf_trace_field){at + 1, (size_t)(end - at - 1)};
    return end + 1;
}

static const char *take_value(const char *at, member *m)
{
    if (*at == '[') return take_list(at, m);
    if (*at != '"') return take_number(at, m);
    m->kind = STRING;
    return take_string(at, &m->value);
}

static bool is_twice(const member *members, int n)
{
    const wf_trace_field *key = &members[n].key;
    for (int i = 0; i < n; i++)
        if (members[i].key.n == key->n && memcmp(members[i].key.text, key->text, key->n) == 0)
            return true;
    return false;
}

// All members of the line's object; -1 where the line is not plain.
static int take_members(const char *at, member members[MOST_MEMBERS])
{
    at = skip_blanks(at);
    if (*at != '{') return -1;
    for (int n = 0; n < MOST_MEMBERS;) {
        member *m = &members[n];
        if ((at = take_string(skip_blanks(at + 1), &m->key)) == NULL || is_twice(members, n))
            return -1;
        at = skip_blanks(at);
        if (*at != ':' || (at = take_value(skip_blanks(at + 1), m)) == NULL) return -1;
        n++;
        at = skip_blanks(at);
        if (*at == '}') return *skip_blanks(at + 1) == '\0' ? n : -1;
        if (*at != ',') return -1;
    }
    return -1;
}

// ---- what the columns make of them --------------------------------------------------------------

static const member *member_of(const char *name, const member *members, int n)
{
    size_t n_name = strlen(name);
    for (int i = 0; i < n; i++)
        if (members[i].key.n == n_name && memcmp(members[i].key.text, name, n_name) == 0)
            return &members[i];
    return NULL;
}

static bool put_arrival(const wf_trace_column *c, const member *m, wf_trace_row *row)
{
    if (c->unit == 0 || m->kind == STRING || m->kind == LIST || m->value.text[0] == '-')
        return false;
    if (m->kind == WHOLE) {
        int64_t whole = strtoll(m->value.text, NULL, 10);
        row->time_ns = whole <= INT64_MAX / c->unit ? whole * c->unit : 0;
        return whole <= INT64_MAX / c->unit;
    }
    double real = strtod(m->value.text, NULL);
    if (!(real <= 9e18 / (double)c->unit)) return false;
    row->time_ns = (int64_t)llround(real * (double)c->unit);
    return true;
}

static bool put_length(const wf_trace_column *c, const member *m, wf_trace_row *row)
{
    if (m->kind != WHOLE || m->value.text[0] == '-') return false;
    int64_t whole = strtoll(m->value.text, NULL, 10);
    *(c->role == WF_TRACE_PROMPT ? &row->n_prompt : &row->n_new) = (uint64_t)whole;
    return whole <= (int64_t)WF_TRACE_MAX_LENGTH;
}

static wf_status put_blocks(const member *m, wf_arena *arena, wf_trace_row *row)
{
    uint64_t *block = NULL;
    const char *at = m->value.text;
    WF_TRY(wf_arena_alloc(arena, m->n_items, sizeof *block, &block));
    for (size_t i = 0; i < m->n_items; i++) {
        for (; *at >= '0' && *at <= '9'; at++)
            block[i] = block[i] * 10 + (uint64_t)(*at - '0');
        at += strspn(at, " \t,");
    }
    row->block = block;
    row->n_blocks = (uint32_t)m->n_items;
    return WF_OK;
}

// Adds "name":value to an object that is being written.
static char *meta_add(char *to, const char *name, const member *m)
{
    bool quoted = m->kind == STRING;
    size_t n_name = strlen(name);
    *to++ = '"';
    to = (char *)memcpy(to, name, n_name) + n_name;
    to = (char *)memcpy(to, "\":\"", 3) + 2 + quoted;
    to = (char *)memcpy(to, m->value.text, m->value.n) + m->value.n;
    if (quoted) *to++ = '"';
    return to;
}

static wf_status put_meta(const wf_trace_format *format, const member *members, int n,
                          wf_arena *arena, wf_trace_row *row)
{
    size_t n_bytes = 0;
    char *text = NULL, *at;
    for (int i = 0; i < format->n_columns; i++) {
        const wf_trace_column *c = &format->column[i];
        const member *m = c->role == WF_TRACE_META ? member_of(c->name, members, n) : NULL;
        if (m) n_bytes += strlen(c->name) + m->value.n + strlen("\"\":\"\",");
    }
    if (n_bytes == 0) return WF_OK;
    WF_TRY(wf_arena_alloc(arena, n_bytes + strlen("{}"), 1, &text));
    at = text;
    for (int i = 0; i < format->n_columns; i++) {
        const wf_trace_column *c = &format->column[i];
        const member *m = c->role == WF_TRACE_META ? member_of(c->name, members, n) : NULL;
        if (!m) continue;
        *at = at == text ? '{' : ',';
        at = meta_add(at + 1, c->name, m);
    }
    *at++ = '}';
    row->meta = text;
    row->meta_bytes = (uint32_t)(at - text);
    return WF_OK;
}

static wf_status put_column(const wf_trace_column *c, const member *m, wf_arena *arena,
                            wf_trace_row *row, bool *plain)
{
    if (m == NULL) {
        *plain = c->optional || c->role >= WF_TRACE_SESSION;
        return WF_OK;
    }
    switch (c->role) {
    case WF_TRACE_ARRIVAL:
        *plain = put_arrival(c, m, row);
        return WF_OK;
    case WF_TRACE_BLOCKS:
        *plain = m->kind == LIST;
        return *plain ? put_blocks(m, arena, row) : WF_OK;
    case WF_TRACE_META: // a fraction or a list is written in a form of its own
        *plain = m->kind == WHOLE || m->kind == STRING;
        return WF_OK;
    case WF_TRACE_SESSION:
    case WF_TRACE_CHAT:
    case WF_TRACE_PARENT:
        *plain = m->kind == WHOLE || m->kind == STRING;
        wf_trace_put_name(c, m->value, row);
        return WF_OK;
    case WF_TRACE_THINK:
    case WF_TRACE_BUSY:
        *plain = false;
        return WF_OK;
    default:
        *plain = put_length(c, m, row);
        return WF_OK;
    }
}

wf_status wf_trace_plain_row(const wf_trace_format *format, const wf_line *line, wf_arena *arena,
                             wf_trace_row *row, bool *plain)
{
    member members[MOST_MEMBERS];
    int n = take_members(line->text, members);
    *plain = n >= 0;
    for (int i = 0; i < format->n_columns && *plain; i++) {
        const wf_trace_column *c = &format->column[i];
        WF_TRY(put_column(c, member_of(c->name, members, n), arena, row, plain));
    }
    return *plain ? put_meta(format, members, n, arena, row) : WF_OK;
}
