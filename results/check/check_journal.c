// Journals: what the groups wrote down of their segments before these had names.
//
// The rule, written down a second time: runs/<run>-g<group>-e<epoch>.sealed.jsonl has a line for
// every segment of that run, group and epoch, with its rows and its digest; the last line may be
// of a seal that did not end, and so may a torn one.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_MAX_BYTES ((size_t)256 << 20)

static wf_status read_line(wf_json_ref root, check_journal_line *out)
{
    const char *path, *hex;
    int64_t rows;
    WF_TRY(wf_json_get_string(root, "path", &path));
    WF_TRY(wf_json_get_string(root, "digest", &hex));
    WF_TRY(wf_json_get_i64(root, "rows", 0, INT64_MAX, &rows));
    *out = (check_journal_line){.rows = (uint64_t)rows, .digest = strtoull(hex, NULL, 16)};
    return wf_strdup(path, &out->segment);
}

static wf_status add_line(check_journal *j, const char *text, size_t n)
{
    check_journal_line line = {0};
    wf_json *doc = NULL;
    wf_status st = wf_json_parse(j->name, text, n, NULL, &doc);
    if (st == WF_OK) st = read_line(wf_json_root(doc), &line);
    wf_json_destroy(&doc);
    if (st == WF_DATA) return WF_OK; // torn: what it was about has no name
    WF_TRY(st);
    st = wf_grow(j->n + 1, sizeof *j->lines, &j->capacity, &j->lines);
    if (st == WF_OK)
        j->lines[j->n++] = line;
    else
        free(line.segment);
    return st;
}

wf_status check_journal_read(checker *c, uint32_t run, uint32_t group, uint32_t epoch,
                             check_journal *j)
{
    char *path = NULL, *text = NULL;
    if (j->read && j->run == run && j->group == group && j->epoch == epoch) return WF_OK;
    check_journal_free(j);
    *j = (check_journal){.read = true, .run = run, .group = group, .epoch = epoch};
    snprintf(j->name, sizeof j->name, "runs/%u-g%u-e%u.sealed.jsonl", run, group, epoch);
    WF_TRY(wf_path_join(c->root, j->name, &path));
    wf_status st = wf_file_read(path, JOURNAL_MAX_BYTES, &text, NULL);
    free(path);
    if (st == WF_NO_INPUT) return WF_OK;
    j->there = st == WF_OK;
    for (const char *line = text; st == WF_OK && *line;) {
        size_t n = strcspn(line, "\n");
        if (n > 0) st = add_line(j, line, n);
        line += n + (line[n] == '\n');
    }
    free(text);
    return st;
}

void check_journal_free(check_journal *j)
{
    for (size_t i = 0; i < j->n; i++)
        free(j->lines[i].segment);
    free(j->lines);
    *j = (check_journal){0};
}

static const check_journal_line *find(const check_journal *j, const char *segment)
{
    for (size_t i = 0; i < j->n; i++)
        if (strcmp(j->lines[i].segment, segment) == 0) return &j->lines[i];
    return NULL;
}

void check_journal_compare(checker *c, const check_journal *j, const char *segment,
                           const check_found *found)
{
    const check_journal_line *line = find(j, segment);
    if (!j->there && !found->has_digest) return; // of an older version
    if (!line) {
        check_problem(c, "%s/%s: its journal, %s, %s", c->root, segment, j->name,
                      j->there ? "does not have it" : "is missing");
    } else if (!found->has_digest) {
        check_problem(c, "%s/%s: carries no digest, its journal says %016" PRIx64, c->root, segment,
                      line->digest);
    } else if (line->digest != found->digest) {
        check_problem(c,
                      "%s/%s: the digest of its columns is %016" PRIx64
                      ", its journal says %016" PRIx64 ": it was changed",
                      c->root, segment, found->digest, line->digest);
    } else if (line->rows != found->rows) {
        check_problem(c, "%s/%s: has %" PRIu64 " rows, its journal says %" PRIu64, c->root, segment,
                      found->rows, line->rows);
    }
}
