// A YAML document as a small tree that remembers where everything stood.
//
//   line 3:  engine: {max_rows: 8e3}
//            ^ key    ^ key     ^ scalar, line 3, col 20, not quoted
//
// A careful subset of YAML 1.1: one document of maps, sequences and scalars. Refused, each with its
// place: duplicate keys, keys that are no scalars, anchors, aliases, tags, directives, a second
// document, and anything libyaml finds wrong. Size and nesting are bounded before and while
// reading, so hostile text costs bounded time. Scalars stay text: their reader knows their type.
//
// Failures are WF_CONFIG with "file:line:col: what" as the detail. Lines and columns count from 1,
// columns in characters. Nodes borrow from the document. All Local.
#ifndef WF_IO_BASE_YAML_H
#define WF_IO_BASE_YAML_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { WF_YAML_MAX_BYTES = 1 << 20, WF_YAML_MAX_DEPTH = 32 };

typedef enum wf_yaml_kind { WF_YAML_SCALAR, WF_YAML_MAP, WF_YAML_SEQ } wf_yaml_kind;

// Where something begins. Line 0: nowhere in a file.
typedef struct wf_yaml_place {
    int line;
    int col;
} wf_yaml_place;

typedef struct wf_yaml_node wf_yaml_node;
struct wf_yaml_node {
    wf_yaml_kind kind;
    wf_yaml_place place;
    const char *text;         // scalar: its value, without NUL inside
    bool quoted;              // scalar: written in quotes or as a block
    const char *key;          // member of a map: its key, else NULL
    wf_yaml_place key_place;  // and where that stands
    size_t n_items;           // map, sequence
    wf_yaml_node *first_item; // in the file's order
    wf_yaml_node *next;       // the next item of the same map or sequence
};

typedef struct wf_yaml wf_yaml;

// Parses `text` (borrow, only during the call). `name` (copy) is the file's name in messages. An
// empty document, or one of comments only, has an empty map as its root. `out` is own. When the
// text is refused, `place` (may be NULL) tells where; line 0 if nowhere in particular.
wf_status wf_yaml_parse(const char *name, const char *text, size_t text_bytes, wf_yaml **out,
                        wf_yaml_place *place);
void wf_yaml_destroy(wf_yaml **doc);

const wf_yaml_node *wf_yaml_root(const wf_yaml *doc);

// The member of a map; NULL when there is none or `map` is no map.
const wf_yaml_node *wf_yaml_find(const wf_yaml_node *map, const char *key);

// True for a scalar that stands for nothing: empty, ~ or null, not quoted.
bool wf_yaml_is_null(const wf_yaml_node *node);

// Source line `line` of `text` without its end; its length in bytes. NULL beyond the last line.
const char *wf_yaml_source_line(const char *text, size_t text_bytes, int line, size_t *length);

#endif
