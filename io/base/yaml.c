// The YAML reader: libyaml's events, taken one by one, so that the limits hold while reading.
//
// libyaml needs time quadratic in the nesting depth; the depth limit is therefore checked at every
// event and not on the finished tree. Duplicate keys are found by sorting at the end of each map.
#include "io/base/yaml.h"

#include "io/base/arena.h"
#include "io/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct wf_yaml {
    wf_arena *arena;
    const char *name;
    const char *text;
    size_t text_bytes;
    const wf_yaml_node *root;
};

// A map or sequence that is open.
typedef struct {
    wf_yaml_node *node;
    wf_yaml_node *last;
    const char *key; // of the value that comes next; NULL where a key is expected
    wf_yaml_place key_place;
} frame;

typedef struct {
    wf_yaml *doc;
    frame frames[WF_YAML_MAX_DEPTH];
    int depth;
    int n_documents;
    wf_yaml_place bad; // where the refused thing stands
} builder;

static wf_yaml_place place_of(yaml_mark_t mark)
{
    return (wf_yaml_place){.line = (int)mark.line + 1, .col = (int)mark.column + 1};
}

static wf_status refuse(builder *b, wf_yaml_place place, const char *what)
{
    b->bad = place;
    return wf_fail(WF_CONFIG, "%s:%d:%d: %s", b->doc->name, place.line, place.col, what);
}

// Hangs a finished scalar or a just opened collection under the innermost open one.
static wf_status attach(builder *b, wf_yaml_node *node)
{
    if (b->depth == 0) {
        b->doc->root = node;
        return WF_OK;
    }
    frame *top = &b->frames[b->depth - 1];
    if (top->node->kind == WF_YAML_MAP) {
        if (!top->key) return refuse(b, node->place, "a key must be plain text");
        node->key = top->key;
        node->key_place = top->key_place;
        top->key = NULL;
    }
    if (top->last)
        top->last->next = node;
    else
        top->node->first_item = node;
    top->last = node;
    top->node->n_items++;
    return WF_OK;
}

static wf_status node_create(builder *b, wf_yaml_kind kind, yaml_mark_t mark, wf_yaml_node **out)
{
    wf_yaml_node *node;
    WF_TRY(wf_arena_alloc(b->doc->arena, 1, sizeof *node, &node));
    node->kind = kind;
    node->place = place_of(mark);
    *out = node;
    return WF_OK;
}

static wf_status on_scalar(builder *b, const yaml_event_t *event)
{
    wf_yaml_place place = place_of(event->start_mark);
    const char *text, *value = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    if (memchr(value, '\0', n)) return refuse(b, place, "NUL character inside a value");
    WF_TRY(wf_arena_strndup(b->doc->arena, value, n, &text));
    frame *top = b->depth > 0 ? &b->frames[b->depth - 1] : NULL;
    if (top && top->node->kind == WF_YAML_MAP && !top->key) {
        if (n == 0) return refuse(b, place, "a key must not be empty");
        top->key = text;
        top->key_place = place;
        return WF_OK;
    }
    wf_yaml_node *node;
    WF_TRY(node_create(b, WF_YAML_SCALAR, event->start_mark, &node));
    node->text = text;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return attach(b, node);
}

static wf_status on_open(builder *b, const yaml_event_t *event, wf_yaml_kind kind)
{
    wf_yaml_node *node;
    if (b->depth == WF_YAML_MAX_DEPTH)
        return refuse(b, place_of(event->start_mark), "nested deeper than 32 levels");
    WF_TRY(node_create(b, kind, event->start_mark, &node));
    WF_TRY(attach(b, node));
    b->frames[b->depth++] = (frame){.node = node};
    return WF_OK;
}

// By key, equal ones in the file's order.
static int compare_members(const void *a, const void *b)
{
    const wf_yaml_node *x = *(wf_yaml_node *const *)a, *y = *(wf_yaml_node *const *)b;
    int order = strcmp(x->key, y->key);
    if (order != 0) return order;
    if (x->key_place.line != y->key_place.line) return x->key_place.line - y->key_place.line;
    return x->key_place.col - y->key_place.col;
}

static wf_status refuse_duplicate(builder *b, const wf_yaml_node *first, const wf_yaml_node *second)
{
    b->bad = second->key_place;
    return wf_fail(WF_CONFIG, "%s:%d:%d: duplicate key \"%.80s\", already on line %d", b->doc->name,
                   second->key_place.line, second->key_place.col, second->key,
                   first->key_place.line);
}

static wf_status check_duplicates(builder *b, const wf_yaml_node *map)
{
    wf_yaml_node **members;
    wf_status st = WF_OK;
    size_t n = 0;
    if (map->n_items < 2) return WF_OK;
    WF_TRY(wf_alloc(map->n_items, sizeof(wf_yaml_node *), &members));
    for (wf_yaml_node *item = map->first_item; item; item = item->next)
        members[n++] = item;
    qsort(members, n, sizeof(wf_yaml_node *), compare_members);
    for (size_t i = 1; i < n && st == WF_OK; i++)
        if (strcmp(members[i - 1]->key, members[i]->key) == 0)
            st = refuse_duplicate(b, members[i - 1], members[i]);
    free(members);
    return st;
}

static wf_status on_document(builder *b, const yaml_event_t *event)
{
    wf_yaml_place place = place_of(event->start_mark);
    if (b->n_documents++ > 0) return refuse(b, place, "a second document: only one is read");
    bool directives = event->data.document_start.version_directive ||
                      event->data.document_start.tag_directives.start !=
                          event->data.document_start.tag_directives.end;
    return directives ? refuse(b, place, "%-directives are not used here") : WF_OK;
}

// Anchors and tags, on whatever they stand.
static wf_status check_properties(builder *b, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    wf_yaml_place place = place_of(event->start_mark);
    if (anchor) return refuse(b, place, "anchors (&name) are not used here: write the value out");
    if (tag)
        return refuse(b, place, "tags (!name) are not used here: quote text that begins with !");
    return WF_OK;
}

static wf_status on_event(builder *b, const yaml_event_t *event)
{
    WF_TRY(check_properties(b, event));
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, event, WF_YAML_SEQ);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, event, WF_YAML_MAP);
    case YAML_MAPPING_END_EVENT:
        WF_TRY(check_duplicates(b, b->frames[b->depth - 1].node));
        b->depth--;
        return WF_OK;
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return WF_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, place_of(event->start_mark),
                      "aliases (*name) are not used here: write the value out, or quote it");
    default: // stream start and end, document end
        return WF_OK;
    }
}

// The place of a byte, for complaints of libyaml's decoder, which gives no line.
static wf_yaml_place place_of_offset(const wf_yaml *doc, size_t offset)
{
    wf_yaml_place place = {.line = 1, .col = 1};
    for (size_t i = 0; i < offset && i < doc->text_bytes; i++) {
        unsigned char c = (unsigned char)doc->text[i];
        if (c == '\n')
            place = (wf_yaml_place){.line = place.line + 1, .col = 1};
        else if ((c & 0xc0) != 0x80)
            place.col++;
    }
    return place;
}

// A tab is the mistake where it stands at the problem, or before it among the blanks of its line:
// libyaml speaks of tokens then.
static bool tab_before(const wf_yaml *doc, wf_yaml_place *place)
{
    size_t n = 0;
    const char *line = wf_yaml_source_line(doc->text, doc->text_bytes, place->line, &n);
    size_t blanks = line ? strspn(line, " ") : 0;
    if (line && blanks < n && line[blanks] == '\t') {
        place->col = (int)blanks + 1;
        return true;
    }
    // Up to the problem every column is a byte, or the tab would not be where it is looked for.
    return line && (size_t)place->col <= n && line[place->col - 1] == '\t';
}

static wf_status refuse_syntax(builder *b, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return wf_fail(WF_NO_MEMORY, "%s: no memory to parse it", b->doc->name);
    if (parser->error == YAML_READER_ERROR) {
        b->bad = place_of_offset(b->doc, parser->problem_offset);
        return wf_fail(
            WF_CONFIG,
            "%s:%d:%d: %s (byte 0x%02x); YAML is UTF-8 text: is it another kind of file?",
            b->doc->name, b->bad.line, b->bad.col, problem, (unsigned)parser->problem_value & 0xff);
    }
    b->bad = place_of(parser->problem_mark);
    if (tab_before(b->doc, &b->bad)) {
        return wf_fail(WF_CONFIG, "%s:%d:%d: a tab; YAML is indented with spaces: put spaces here",
                       b->doc->name, b->bad.line, b->bad.col);
    }
    return wf_fail(WF_CONFIG, "%s:%d:%d: %s%s%s", b->doc->name, b->bad.line, b->bad.col, problem,
                   parser->context ? " " : "", parser->context ? parser->context : "");
}

static wf_status build(builder *b)
{
    yaml_parser_t parser;
    wf_status st = WF_OK;
    if (!yaml_parser_initialize(&parser)) return wf_fail(WF_NO_MEMORY, "no memory to parse YAML");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING); // never guess UTF-16
    yaml_parser_set_input_string(&parser, (const yaml_char_t *)b->doc->text, b->doc->text_bytes);
    for (bool more = true; more && st == WF_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            st = refuse_syntax(b, &parser);
            break;
        }
        st = on_event(b, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return st;
}

static bool is_empty(const wf_yaml_node *root)
{
    return !root || (wf_yaml_is_null(root) && root->text[0] == '\0');
}

static wf_status parse_into(builder *b, const char *name, const char *text, size_t text_bytes)
{
    wf_yaml *doc = b->doc;
    WF_TRY(wf_arena_create(0, &doc->arena));
    WF_TRY(wf_arena_strdup(doc->arena, name, &doc->name));
    if (text_bytes > WF_YAML_MAX_BYTES) {
        return wf_fail(WF_CONFIG, "%s: %zu bytes, the limit is %d", name, text_bytes,
                       WF_YAML_MAX_BYTES);
    }
    WF_TRY(wf_arena_strndup(doc->arena, text, text_bytes, &doc->text));
    doc->text_bytes = text_bytes;
    WF_TRY(build(b));
    if (is_empty(doc->root)) {
        wf_yaml_node *root;
        WF_TRY(node_create(b, WF_YAML_MAP, (yaml_mark_t){0}, &root));
        doc->root = root;
    }
    return WF_OK;
}

wf_status wf_yaml_parse(const char *name, const char *text, size_t text_bytes, wf_yaml **out,
                        wf_yaml_place *place)
{
    builder b = {0};
    size_t mark = wf_utf8_mark(text, text_bytes);
    WF_TRY(wf_alloc(1, sizeof *b.doc, &b.doc));
    wf_status st = parse_into(&b, name, text + mark, text_bytes - mark);
    if (place) *place = b.bad;
    if (st == WF_OK)
        *out = b.doc;
    else
        wf_yaml_destroy(&b.doc);
    return st;
}

void wf_yaml_destroy(wf_yaml **doc)
{
    if (!*doc) return;
    wf_arena_destroy(&(*doc)->arena);
    free(*doc);
    *doc = NULL;
}

const wf_yaml_node *wf_yaml_root(const wf_yaml *doc)
{
    return doc->root;
}

const wf_yaml_node *wf_yaml_find(const wf_yaml_node *map, const char *key)
{
    if (map->kind != WF_YAML_MAP) return NULL;
    for (const wf_yaml_node *item = map->first_item; item; item = item->next)
        if (strcmp(item->key, key) == 0) return item;
    return NULL;
}

bool wf_yaml_is_null(const wf_yaml_node *node)
{
    if (node->kind != WF_YAML_SCALAR || node->quoted) return false;
    return node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

// Length of the line break at `text` (of n > 0 bytes), 0 when there is none: the breaks that
// libyaml counts, YAML 1.1 section 5.4.
static size_t break_length(const char *text, size_t n)
{
    if (text[0] == '\r' && n > 1 && text[1] == '\n') return 2;
    if (text[0] == '\r' || text[0] == '\n') return 1;
    if (n > 1 && memcmp(text, "\xc2\x85", 2) == 0) return 2;
    if (n > 2 && memcmp(text, "\xe2\x80\xa8", 3) == 0) return 3;
    if (n > 2 && memcmp(text, "\xe2\x80\xa9", 3) == 0) return 3;
    return 0;
}

const char *wf_yaml_source_line(const char *text, size_t text_bytes, int line, size_t *length)
{
    size_t at = 0;
    for (int i = 1; i < line; i++) {
        size_t n = 0;
        while (at < text_bytes && (n = break_length(text + at, text_bytes - at)) == 0)
            at++;
        if (at >= text_bytes) return NULL;
        at += n;
    }
    if (line < 1) return NULL;
    size_t end = at;
    while (end < text_bytes && break_length(text + end, text_bytes - end) == 0)
        end++;
    *length = end - at;
    return text + at;
}
