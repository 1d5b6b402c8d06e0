// Coverage: which keys of which shards were seen, and what the shards themselves say.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/json.h"
#include "io/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_ROWS = 65536, LISTED_RANGES = 12, BAD_ROWS_BYTES = 256 << 20 };

enum { SET_ID, SET_MAX_NEW, SET_OFFSET, SET_N };

// Of a row's `n`, as the format defines them.
#define NOT_GIVEN UINT32_MAX
enum { MOST_SAMPLES = 1024 };

wf_status check_join_shard(checker *c, const char *uid, const char *path, uint64_t rows,
                           const char *where, uint32_t *index)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        if (strcmp(c->shards[i].uid, uid) != 0) continue;
        if (c->shards[i].rows != rows) {
            check_problem(c, "%s:/shards/rows: shard %s has %" PRIu64 " rows, elsewhere %" PRIu64,
                          where, uid, rows, c->shards[i].rows);
        }
        *index = (uint32_t)i;
        return WF_OK;
    }
    WF_TRY(wf_grow(c->n_shards + 1, sizeof *c->shards, &c->shards_capacity, &c->shards));
    check_shard *shard = &c->shards[c->n_shards];
    *shard = (check_shard){.rows = rows, .file = -1};
    WF_TRY(wf_strdup(uid, &shard->uid));
    *index = (uint32_t)c->n_shards++;
    return wf_strdup(path, &shard->path);
}

wf_status check_mark(checker *c, uint32_t i_shard, uint64_t row, uint16_t sample, bool *twice)
{
    check_shard *shard = &c->shards[i_shard];
    uint64_t mask = UINT64_C(1) << row % 64;
    if (sample >= shard->n_samples) {
        size_t n = (size_t)sample + 1;
        WF_TRY(wf_grow(n, sizeof *shard->bits, &shard->samples_capacity, &shard->bits));
        shard->n_samples = n;
    }
    if (!shard->bits[sample])
        WF_TRY(wf_alloc((size_t)(shard->rows / 64 + 1), sizeof(uint64_t), &shard->bits[sample]));
    uint64_t *word = &shard->bits[sample][row / 64];
    *twice = (*word & mask) != 0;
    *word |= mask;
    return WF_OK;
}

// --- the shard's own file ---

static void shard_unusable(checker *c, check_shard *shard, const char *why)
{
    c->report.without_input = true;
    check_note(c, "shard %s (%s) %s: its rows are checked without it", shard->uid, shard->path,
               why);
}

static bool open_sets(checker *c, check_shard *shard)
{
    static const struct {
        const char *name;
        check_type type;
        bool may_miss;
        uint64_t extra;
    } sets[4] = {{"/requests/id", T_U64, false, 0},
                 {"/requests/max_new_tokens", T_U32, false, 0},
                 {"/requests/prompt_offset", T_U64, false, 1},
                 {"/requests/n", T_U32, true, 0}};
    for (int i = 0; i < 4; i++) {
        check_set *set = &shard->sets[i];
        *set =
            (check_set){.path = shard->path, .name = sets[i].name, .type = sets[i].type, .rank = 1};
        bool there = check_open_set(c, shard->file, sets[i].may_miss, set);
        if (!there && sets[i].may_miss) continue;
        if (!there) return false;
        if (set->n != shard->rows + sets[i].extra) {
            check_problem(c, "%s:%s: has %" PRIu64 " values, the results know %" PRIu64 " rows",
                          shard->path, sets[i].name, set->n, shard->rows);
            return false;
        }
    }
    return true;
}

static wf_status alloc_window(check_shard *shard)
{
    WF_TRY(wf_alloc(WINDOW_ROWS, sizeof *shard->id, &shard->id));
    WF_TRY(wf_alloc(WINDOW_ROWS + 1, sizeof *shard->offset, &shard->offset));
    WF_TRY(wf_alloc(WINDOW_ROWS, sizeof *shard->max_new, &shard->max_new));
    return wf_alloc(WINDOW_ROWS, sizeof *shard->n, &shard->n);
}

static void open_shard(checker *c, check_shard *shard)
{
    char uid[256];
    shard->looked = true;
    for (int i = 0; i < 4; i++)
        shard->sets[i].id = -1;
    if (!wf_file_exists(shard->path)) {
        shard_unusable(c, shard, "is not there any more");
        return;
    }
    shard->file = check_open_file(c, shard->path);
    if (shard->file < 0) return;
    if (!check_text_attribute(shard->file, "shard_uid", uid, sizeof uid) ||
        strcmp(uid, shard->uid) != 0) {
        shard_unusable(c, shard, "is another file now");
        return;
    }
    shard->open = open_sets(c, shard) && alloc_window(shard) == WF_OK;
}

static bool load_window(checker *c, check_shard *shard, uint64_t row)
{
    uint64_t start = row / WINDOW_ROWS * WINDOW_ROWS;
    uint64_t n = shard->rows - start < WINDOW_ROWS ? shard->rows - start : WINDOW_ROWS;
    if (shard->n_window > 0 && shard->window == start) return true;
    shard->window = start;
    shard->n_window = n;
    const check_set *sets = shard->sets;
    bool fine = check_read(c, &sets[SET_ID], start, n, shard->id) &&
                check_read(c, &sets[SET_MAX_NEW], start, n, shard->max_new) &&
                check_read(c, &sets[SET_OFFSET], start, n + 1, shard->offset);
    if (fine && sets[SET_N].id >= 0) fine = check_read(c, &sets[SET_N], start, n, shard->n);
    shard->open = fine;
    return fine;
}

static bool ready(checker *c, check_shard *shard, uint64_t row)
{
    if (!shard->looked) open_shard(c, shard);
    return shard->open && row < shard->rows && load_window(c, shard, row);
}

bool check_ask_shard(checker *c, uint32_t i_shard, uint64_t row, check_input *input)
{
    check_shard *shard = &c->shards[i_shard];
    if (!ready(c, shard, row)) return false;
    uint64_t i = row - shard->window;
    *input = (check_input){.id = shard->id[i],
                           .prompt_len = shard->offset[i + 1] - shard->offset[i],
                           .max_new = shard->max_new[i]};
    return true;
}

// --- what has no results ---

// The list that a shard made of a text keeps of its bad rows: a JSON array, an element for each.
static uint64_t bad_rows_of(checker *c, const check_shard *shard)
{
    check_set set = {.path = shard->path, .name = "/source/bad_rows", .type = T_U8, .rank = 1};
    const wf_json_limits limits = {.max_bytes = BAD_ROWS_BYTES};
    char *list = NULL;
    wf_json *doc = NULL;
    uint64_t n = 0;
    if (!shard->open || !check_open_set(c, shard->file, true, &set)) return 0;
    if (set.n <= BAD_ROWS_BYTES && wf_alloc(set.n + 1, 1, &list) == WF_OK &&
        check_read(c, &set, 0, set.n, list) &&
        wf_json_parse(shard->path, list, set.n, &limits, &doc) == WF_OK)
        n = wf_json_count(wf_json_root(doc));
    wf_json_destroy(&doc);
    free(list);
    H5Dclose(set.id);
    return n;
}

void check_note_bad_rows(checker *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n_shards; i++)
        n += bad_rows_of(c, &c->shards[i]);
    if (n > 0)
        check_note(c, "%s: %" PRIu64 " bad row%s of prompts files are no requests and failed",
                   c->root, n, WF_S(n));
}

// --- what is missing ---

static bool seen(const check_shard *shard, uint64_t row, size_t sample)
{
    return sample < shard->n_samples && shard->bits[sample] &&
           (shard->bits[sample][row / 64] >> row % 64 & 1);
}

// Samples row `row` must have: its own `n`; where it says none, the job's, and where that is not
// known as many as any row of the shard has. A number that is none fails its row, once.
static size_t samples_due(checker *c, check_shard *shard, uint64_t row)
{
    size_t otherwise = c->n_samples > 0       ? c->n_samples
                       : shard->n_samples > 0 ? shard->n_samples
                                              : 1;
    if (!ready(c, shard, row) || shard->sets[SET_N].id < 0) return otherwise;
    uint32_t n = shard->n[row - shard->window];
    if (n == NOT_GIVEN) return otherwise;
    return n >= 1 && n <= MOST_SAMPLES ? n : 1;
}

// Samples of a row that are missing; one beyond those due is a problem.
static size_t missing_of_row(checker *c, check_shard *shard, uint64_t row)
{
    size_t due = samples_due(c, shard, row), missing = 0;
    for (size_t s = 0; s < due; s++)
        missing += !seen(shard, row, s);
    for (size_t s = due; s < shard->n_samples; s++) {
        if (!seen(shard, row, s)) continue;
        check_problem(c, "%s: row %" PRIu64 " of shard %s has a sample %zu, asked for were %zu",
                      c->root, row, shard->uid, s, due);
    }
    return missing;
}

static void add_range(char *text, size_t size, uint64_t first, uint64_t last)
{
    size_t n = strlen(text);
    if (first == last)
        snprintf(text + n, size - n, "%s%" PRIu64, n ? ", " : "", first);
    else
        snprintf(text + n, size - n, "%s%" PRIu64 "-%" PRIu64, n ? ", " : "", first, last);
}

static void count_shard(checker *c, check_shard *shard)
{
    char ranges[640] = "";
    uint64_t missing = 0, first = 0;
    int n_ranges = 0;
    bool inside = false;
    for (uint64_t row = 0; row <= shard->rows; row++) {
        size_t lacks = row < shard->rows ? missing_of_row(c, shard, row) : 0;
        missing += lacks;
        if (lacks > 0 && !inside) first = row;
        if (lacks == 0 && inside && n_ranges++ < LISTED_RANGES)
            add_range(ranges, sizeof ranges, first, row - 1);
        inside = lacks > 0;
    }
    c->report.n_missing += missing;
    if (missing == 0) return;
    fprintf(c->out, "missing: %" PRIu64 " results of shard %s (%s): rows %s%s\n", missing,
            shard->uid, shard->path, ranges, n_ranges > LISTED_RANGES ? " ..." : "");
}

void check_count_missing(checker *c)
{
    for (size_t i = 0; i < c->n_shards; i++)
        count_shard(c, &c->shards[i]);
}

void check_clear_marks(checker *c)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        check_shard *shard = &c->shards[i];
        for (size_t s = 0; s < shard->n_samples; s++) {
            if (!shard->bits[s]) continue;
            memset(shard->bits[s], 0, (size_t)(shard->rows / 64 + 1) * sizeof(uint64_t));
        }
    }
    c->digest = 0;
    c->rows = 0;
}

void check_free_shards(checker *c)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        check_shard *shard = &c->shards[i];
        for (size_t s = 0; s < shard->n_samples; s++)
            free(shard->bits[s]);
        if (shard->file >= 0) H5Fclose(shard->file); // closes its datasets along
        free(shard->bits);
        free(shard->id);
        free(shard->offset);
        free(shard->max_new);
        free(shard->n);
        free(shard->uid);
        free(shard->path);
    }
    free(c->shards);
}
