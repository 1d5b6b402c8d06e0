// The JSON reader. Promises: every read ends in a value of its kind or a message; what is written
// from a document reads as the same document.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "io/base/json_writer.h"
#include "tests/fuzz/fuzz.h"

static void read_all(wf_json_ref ref, int depth)
{
    bool yes;
    int64_t i;
    double f;
    const char *s;
    fuzz_must(depth <= 64, "nesting ends at the limit");
    if (wf_json_read_i64(ref, -5, INT64_MAX, &i) == WF_OK) fuzz_must(i >= -5, "range");
    if (wf_json_read_f64(ref, -1e9, 1e9, &f) == WF_OK) fuzz_must(isfinite(f), "a finite number");
    if (wf_json_read_string(ref, &s) == WF_OK) fuzz_must(s[strlen(s)] == '\0', "text");
    if (wf_json_read_bool(ref, &yes) != WF_OK) fuzz_must(wf_error()[0] != '\0', "a message");
    wf_json_iter it = wf_json_iterate(ref);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        read_all(item, depth + 1);
}

static char *written(const wf_json *doc)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    char *copy = NULL;
    fuzz_must(wf_json_writer_create(0, &w) == WF_OK, "a writer");
    if (wf_json_copy(wf_json_root(doc), w, NULL) == WF_OK &&
        wf_json_writer_finish(w, &text, NULL) == WF_OK) {
        copy = strdup(text);
    }
    wf_json_writer_destroy(&w);
    fuzz_must(copy != NULL, "what was read can be written");
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wf_json *doc = NULL, *again = NULL;
    if (wf_json_parse("input", (const char *)data, size, NULL, &doc) != WF_OK) return 0;
    read_all(wf_json_root(doc), 0);
    char *text = written(doc);
    fuzz_must(wf_json_parse("again", text, strlen(text), NULL, &again) == WF_OK,
              "what was written can be read");
    char *twice = written(again);
    fuzz_must(strcmp(text, twice) == 0, "it reads as the same document");
    free(text);
    free(twice);
    wf_json_destroy(&doc);
    wf_json_destroy(&again);
    return 0;
}
