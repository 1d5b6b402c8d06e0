// The rows of a file: every value against the others of its row, every key once.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/hash.h"

#include <inttypes.h>
#include <stdlib.h>

enum { BLOCK_ROWS = 32768, BLOCK_TOKENS = 4 << 20 };

// status and finish_reason, as the format defines them.
enum {
    DONE = 0,
    FAILED = 1,
    STOP = 1,
    LENGTH = 2,
    CONTEXT = 3,
    ERROR = 4,
    VECTOR = 5,
    SCORES = 6,
    MASKS = 7
};

// Rows [start, start + n) of a file and their tokens.
typedef struct {
    check_file *f;
    uint64_t start, n, first_token, n_tokens;
    uint32_t *shard, *prompt_len, *cached;
    uint64_t *row, *id, *error_offset, *meta_offset, *stop_offset, *output_offset;
    uint16_t *sample, *error_code, *run, *group;
    uint8_t *status, *reason;
    int64_t *arrival, *submitted, *admitted, *first, *finish, *time;
    int32_t *token;
    size_t tokens_capacity, times_capacity;
    bool has_last;
    uint32_t last_shard;
    uint64_t last_row;
    uint16_t last_sample;
} block;

typedef struct {
    check_column column;
    check_type type;
    size_t offset; // of the array in a block
} array_row;

static const array_row arrays[] = {
    {C_SHARD, T_U32, offsetof(block, shard)},
    {C_ROW, T_U64, offsetof(block, row)},
    {C_SAMPLE, T_U16, offsetof(block, sample)},
    {C_ID, T_U64, offsetof(block, id)},
    {C_STATUS, T_U8, offsetof(block, status)},
    {C_REASON, T_U8, offsetof(block, reason)},
    {C_ERROR_CODE, T_U16, offsetof(block, error_code)},
    {C_ARRIVAL, T_I64, offsetof(block, arrival)},
    {C_SUBMITTED, T_I64, offsetof(block, submitted)},
    {C_ADMITTED, T_I64, offsetof(block, admitted)},
    {C_FIRST, T_I64, offsetof(block, first)},
    {C_FINISH, T_I64, offsetof(block, finish)},
    {C_PROMPT_LEN, T_U32, offsetof(block, prompt_len)},
    {C_CACHED, T_U32, offsetof(block, cached)},
    {C_RUN, T_U16, offsetof(block, run)},
    {C_GROUP, T_U16, offsetof(block, group)},
    {C_ERROR_OFFSET, T_U64, offsetof(block, error_offset)},
    {C_META_OFFSET, T_U64, offsetof(block, meta_offset)},
    {C_STOP_OFFSET, T_U64, offsetof(block, stop_offset)},
    {C_OUTPUT_OFFSET, T_U64, offsetof(block, output_offset)},
};

enum { N_ARRAYS = sizeof arrays / sizeof arrays[0] };

static void **array_of(block *b, const array_row *a)
{
    return (void **)((char *)b + a->offset);
}

static wf_status alloc_block(block *b)
{
    for (int i = 0; i < N_ARRAYS; i++)
        WF_TRY(wf_alloc(BLOCK_ROWS + 1, check_type_bytes(arrays[i].type), array_of(b, &arrays[i])));
    return WF_OK;
}

static void free_block(block *b)
{
    for (int i = 0; i < N_ARRAYS; i++)
        free(*array_of(b, &arrays[i]));
    free(b->token);
    free(b->time);
}

// The problem of row `i` of the block in a column.
static void row_problem(const block *b, check_column column, uint64_t i, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void row_problem(const block *b, check_column column, uint64_t i, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check_problem(b->f->c, "%s:%s:%" PRIu64 ": %s", b->f->path, check_column_name(column),
                  b->start + i, text);
}

static bool is_offset(check_column column)
{
    return column == C_ERROR_OFFSET || column == C_META_OFFSET || column == C_STOP_OFFSET ||
           column == C_OUTPUT_OFFSET;
}

static bool read_arrays(block *b)
{
    for (int i = 0; i < N_ARRAYS; i++) {
        const array_row *a = &arrays[i];
        bool optional = a->column == C_CACHED || a->column == C_STOP_OFFSET;
        if (optional && b->f->sets[a->column].id < 0) continue; // zeros
        uint64_t n = b->n + (is_offset(a->column) ? 1 : 0);
        if (!check_read(b->f->c, &b->f->sets[a->column], b->start, n, *array_of(b, a)))
            return false;
    }
    return true;
}

// Offsets rise from 0 to the length of what they cut.
static bool offsets_fine(const block *b, check_column column, const uint64_t *offset, uint64_t most)
{
    bool last = b->start + b->n == b->f->rows;
    if (b->start == 0 && offset[0] != 0) {
        row_problem(b, column, 0, "starts at %" PRIu64 ", not at 0", offset[0]);
        return false;
    }
    for (uint64_t i = 0; i < b->n; i++) {
        if (offset[i + 1] < offset[i] || offset[i + 1] > most) {
            row_problem(b, column, i + 1, "%" PRIu64 " after %" PRIu64 ", with %" PRIu64 " values",
                        offset[i + 1], offset[i], most);
            return false;
        }
    }
    if (last && offset[b->n] != most) {
        row_problem(b, column, b->n, "ends at %" PRIu64 " of %" PRIu64 " values", offset[b->n],
                    most);
        return false;
    }
    return true;
}

// Cuts the block so that its tokens fit in memory: at least one row.
static void fit_tokens(block *b)
{
    const uint64_t *offset = b->output_offset;
    while (b->n > 1 && offset[b->n] - offset[0] > BLOCK_TOKENS)
        b->n = (b->n + 1) / 2;
    b->first_token = offset[0];
    b->n_tokens = offset[b->n] - offset[0];
}

static wf_status read_tokens(block *b, bool *fine)
{
    check_file *f = b->f;
    WF_TRY(wf_grow((size_t)b->n_tokens, sizeof *b->token, &b->tokens_capacity, &b->token));
    *fine = check_read(f->c, &f->sets[C_TOKEN], b->first_token, b->n_tokens, b->token);
    if (!*fine || f->sets[C_TIME].id < 0) return WF_OK;
    WF_TRY(wf_grow((size_t)b->n_tokens, sizeof *b->time, &b->times_capacity, &b->time));
    *fine = check_read(f->c, &f->sets[C_TIME], b->first_token, b->n_tokens, b->time);
    return WF_OK;
}

// --- one row ---

static void check_order(const block *b, uint64_t i)
{
    const struct {
        check_column column;
        int64_t ns;
    } times[] = {{C_ARRIVAL, b->arrival[i]},
                 {C_SUBMITTED, b->submitted[i]},
                 {C_ADMITTED, b->admitted[i]},
                 {C_FIRST, b->first[i]},
                 {C_FINISH, b->finish[i]}};
    int64_t before = 0;
    for (int k = 0; k < 5; k++) {
        if (times[k].ns == -1 && k > 0) {
            if (b->status[i] == DONE) row_problem(b, times[k].column, i, "never, of a done row");
            continue;
        }
        if (times[k].ns < before) {
            row_problem(b, times[k].column, i,
                        "%" PRId64 " is before %" PRId64 ", which comes "
                        "first",
                        times[k].ns, before);
            return;
        }
        before = times[k].ns;
    }
}

static void check_outcome(const block *b, uint64_t i, uint64_t n_tokens, uint64_t n_error)
{
    if (b->status[i] > FAILED) {
        row_problem(b, C_STATUS, i, "%u is no status", b->status[i]);
    } else if (b->status[i] == FAILED) {
        b->f->c->report.n_failed += !b->f->again && !b->f->void_failed;
        if (n_tokens > 0) row_problem(b, C_OUTPUT_OFFSET, i, "a failed row has tokens");
        if (n_error == 0) row_problem(b, C_ERROR_OFFSET, i, "a failed row has no error text");
        if (b->error_code[i] == 0) row_problem(b, C_ERROR_CODE, i, "a failed row has no code");
        if (b->reason[i] != ERROR) row_problem(b, C_REASON, i, "%u, of a failed row", b->reason[i]);
    } else {
        bool vector =
            (b->f->vectors && b->reason[i] == VECTOR) || (b->f->scores && b->reason[i] == SCORES);
        if ((n_tokens == 0) != vector)
            row_problem(b, C_OUTPUT_OFFSET, i,
                        vector ? "a row with a vector or scores has tokens"
                               : "a done row has no tokens");
        if (n_error > 0) row_problem(b, C_ERROR_OFFSET, i, "a done row has an error text");
        if (b->error_code[i] != 0)
            row_problem(b, C_ERROR_CODE, i, "%u, of a done row", b->error_code[i]);
        bool drawn = b->reason[i] >= STOP && b->reason[i] <= CONTEXT;
        if (!drawn && !vector && b->reason[i] != MASKS)
            row_problem(b, C_REASON, i, "%u, of a done row", b->reason[i]);
    }
}

static void check_token_ids(const block *b, uint64_t i, uint64_t from, uint64_t n)
{
    for (uint64_t t = from; t < from + n; t++) {
        bool beyond = b->f->n_vocab > 0 && b->token[t] >= b->f->n_vocab;
        if (b->token[t] >= 0 && !beyond) continue;
        row_problem(b, C_TOKEN, i,
                    "token %" PRIu64 " of the row is %d, the vocabulary has %" PRId64, t - from,
                    b->token[t], b->f->n_vocab);
        return;
    }
}

static void check_token_times(const block *b, uint64_t i, uint64_t from, uint64_t n)
{
    if (!b->time || n == 0) return;
    if (b->time[from] == -1) // a row of a run that kept no times, merged with others
        return;
    if (b->time[from] != b->first[i]) {
        row_problem(b, C_TIME, i, "first is %" PRId64 ", first_token_ns is %" PRId64, b->time[from],
                    b->first[i]);
    }
    if (b->time[from + n - 1] != b->finish[i]) {
        row_problem(b, C_TIME, i, "last is %" PRId64 ", finish_ns is %" PRId64,
                    b->time[from + n - 1], b->finish[i]);
    }
    for (uint64_t t = from + 1; t < from + n; t++) {
        if (b->time[t] >= b->time[t - 1]) continue;
        row_problem(b, C_TIME, i, "token %" PRIu64 " of the row came before the one before it",
                    t - from);
        return;
    }
}

// A token of its prompt is computed at least, and nothing of a request that never joined.
static void check_cached(const block *b, uint64_t i)
{
    uint32_t most = b->prompt_len[i] > 0 && b->admitted[i] >= 0 ? b->prompt_len[i] - 1 : 0;
    if (b->cached[i] > most)
        row_problem(b, C_CACHED, i, "%u, at most %u can be", b->cached[i], most);
}

// A string ends a row by stopping it.
static void check_stop_string(const block *b, uint64_t i)
{
    bool ended = b->stop_offset[i + 1] > b->stop_offset[i];
    if (ended && (b->status[i] != DONE || b->reason[i] != STOP))
        row_problem(b, C_STOP_OFFSET, i, "a stop string, of a row that did not stop");
}

// Against the request itself.
static void check_request(const block *b, uint64_t i, uint32_t shard, uint64_t n_tokens)
{
    check_input in;
    if (b->status[i] != DONE || !check_ask_shard(b->f->c, shard, b->row[i], &in)) return;
    if (b->id[i] != in.id)
        row_problem(b, C_ID, i, "%" PRIu64 ", the request's is %" PRIu64, b->id[i], in.id);
    if (b->prompt_len[i] != in.prompt_len) {
        row_problem(b, C_PROMPT_LEN, i, "%u, the request's is %" PRIu64, b->prompt_len[i],
                    in.prompt_len);
    }
    if (n_tokens > in.max_new) {
        row_problem(b, C_OUTPUT_OFFSET, i, "%" PRIu64 " tokens, at most %u were asked for",
                    n_tokens, in.max_new);
    }
    if (b->reason[i] == LENGTH && n_tokens != in.max_new)
        row_problem(b, C_REASON, i, "length, with %" PRIu64 " of %u tokens", n_tokens, in.max_new);
}

static void check_server(const block *b, uint64_t i)
{
    const check_file *f = b->f;
    if (f->named && (b->run[i] != f->run || b->group[i] != f->group)) {
        row_problem(b, C_RUN, i, "run %u group %u in a segment of run %u group %u", b->run[i],
                    b->group[i], f->run, f->group);
        return;
    }
    for (size_t k = 0; k < f->n_runs; k++)
        if (f->runs[k] == b->run[i] && f->groups[k] == b->group[i]) return;
    row_problem(b, C_RUN, i, "run %u group %u is not in /runs", b->run[i], b->group[i]);
}

static void check_sorted(block *b, uint64_t i, uint32_t shard)
{
    bool rises =
        shard > b->last_shard ||
        (shard == b->last_shard &&
         (b->row[i] > b->last_row || (b->row[i] == b->last_row && b->sample[i] > b->last_sample)));
    if (b->f->sorted && b->has_last && !rises) {
        row_problem(b, C_ROW, i, "is not in key order");
        b->f->sorted = false; // the first one says it
    }
    b->has_last = true;
    b->last_shard = shard;
    b->last_row = b->row[i];
    b->last_sample = b->sample[i];
}

// A sum over rows does not depend on their order: segments and results.h5 must give the same.
static void add_digest(const block *b, uint64_t i, uint32_t shard, uint64_t from, uint64_t n)
{
    const int64_t facts[] = {
        shard,        (int64_t)b->row[i], b->sample[i],     (int64_t)b->id[i], b->status[i],
        b->reason[i], b->error_code[i],   b->arrival[i],    b->submitted[i],   b->admitted[i],
        b->first[i],  b->finish[i],       b->prompt_len[i], b->run[i],         b->group[i]};
    uint64_t h = wf_hash64_of(facts, sizeof facts, 0);
    if (n > 0) h = wf_hash64_of(b->token + from, n * sizeof *b->token, h);
    if (n > 0 && b->time && b->time[from] != -1)
        h = wf_hash64_of(b->time + from, n * sizeof *b->time, h);
    b->f->c->digest += h;
}

static wf_status check_row(block *b, uint64_t i)
{
    check_file *f = b->f;
    uint64_t from = b->output_offset[i] - b->first_token;
    uint64_t n_tokens = b->output_offset[i + 1] - b->output_offset[i];
    bool twice;
    if (b->shard[i] >= f->n_shards) {
        row_problem(b, C_SHARD, i, "%u, there are %zu shards", b->shard[i], f->n_shards);
        return WF_OK;
    }
    uint32_t shard = f->shard_map[b->shard[i]];
    if (b->row[i] >= f->c->shards[shard].rows) {
        row_problem(b, C_ROW, i, "%" PRIu64 ", the shard has %" PRIu64 " rows", b->row[i],
                    f->c->shards[shard].rows);
        return WF_OK;
    }
    bool counts = !f->void_failed || b->status[i] != FAILED;
    if (counts) WF_TRY(check_mark(f->c, shard, b->row[i], b->sample[i], &twice));
    f->n_void += !counts;
    if (counts && twice) {
        row_problem(b, C_ROW, i, "row %" PRIu64 " sample %u of shard %s is here a second time",
                    b->row[i], b->sample[i], f->c->shards[shard].uid);
    }
    check_sorted(b, i, shard);
    check_outcome(b, i, n_tokens, b->error_offset[i + 1] - b->error_offset[i]);
    check_order(b, i);
    check_server(b, i);
    check_token_ids(b, i, from, n_tokens);
    check_token_times(b, i, from, n_tokens);
    check_cached(b, i);
    check_stop_string(b, i);
    check_request(b, i, shard, n_tokens);
    if (counts) add_digest(b, i, shard, from, n_tokens);
    return WF_OK;
}

static wf_status check_block(block *b, bool *fine)
{
    *fine = read_arrays(b) && offsets_fine(b, C_OUTPUT_OFFSET, b->output_offset, b->f->tokens) &&
            offsets_fine(b, C_ERROR_OFFSET, b->error_offset, b->f->error_bytes) &&
            offsets_fine(b, C_META_OFFSET, b->meta_offset, b->f->meta_bytes) &&
            offsets_fine(b, C_STOP_OFFSET, b->stop_offset, b->f->stop_bytes);
    if (!*fine) return WF_OK;
    fit_tokens(b);
    WF_TRY(read_tokens(b, fine));
    for (uint64_t i = 0; *fine && i < b->n; i++)
        WF_TRY(check_row(b, i));
    return WF_OK;
}

wf_status check_rows(check_file *f)
{
    block b = {.f = f};
    bool fine = true;
    wf_status st = alloc_block(&b);
    if (st == WF_OK && f->rows == 0 && f->tokens > 0)
        check_problem(f->c, "%s:%s: has tokens but no rows", f->path, check_column_name(C_TOKEN));
    while (st == WF_OK && fine && b.start < f->rows) {
        uint64_t left = f->rows - b.start;
        b.n = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        st = check_block(&b, &fine);
        b.start += b.n;
    }
    f->c->rows += (b.start < f->rows ? b.start : f->rows) - f->n_void;
    free_block(&b);
    return st;
}
