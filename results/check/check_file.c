// One results file: its attributes and datasets by the format's table, then its rows.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/yaml.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// What a column's length must be.
typedef enum {
    L_ROWS,
    L_OFFSETS,
    L_ERROR,
    L_META,
    L_STOP,
    L_TOKENS,
    L_PROMPTS,
    L_STEPS,
    L_RUNS
} length_of;

// Whether a column must be there.
typedef enum {
    MUST,
    TIMES,
    LOGPROB,
    TOP,
    CACHED,
    SCORE,
    DROPPED,
    VECTOR,
    SCORES,
    SESSIONS,
    STOPS,
    KEPT,
    STEPS,
    LOADS,
    PROMPT,
    PROMPT_TOP,
    GROUPS
} presence;

typedef struct {
    const char *name;
    check_type type;
    length_of length;
    presence presence;
    check_column used;
} column_row;

// The format, written down a second time.
static const column_row columns[] = {
    {"/requests/shard", T_U32, L_ROWS, MUST, C_SHARD},
    {"/requests/row", T_U64, L_ROWS, MUST, C_ROW},
    {"/requests/sample", T_U16, L_ROWS, MUST, C_SAMPLE},
    {"/requests/id", T_U64, L_ROWS, MUST, C_ID},
    {"/requests/status", T_U8, L_ROWS, MUST, C_STATUS},
    {"/requests/finish_reason", T_U8, L_ROWS, MUST, C_REASON},
    {"/requests/error_code", T_U16, L_ROWS, MUST, C_ERROR_CODE},
    {"/requests/arrival_ns", T_I64, L_ROWS, MUST, C_ARRIVAL},
    {"/requests/submitted_ns", T_I64, L_ROWS, MUST, C_SUBMITTED},
    {"/requests/admitted_ns", T_I64, L_ROWS, MUST, C_ADMITTED},
    {"/requests/first_token_ns", T_I64, L_ROWS, MUST, C_FIRST},
    {"/requests/finish_ns", T_I64, L_ROWS, MUST, C_FINISH},
    {"/requests/prompt_len", T_U32, L_ROWS, MUST, C_PROMPT_LEN},
    {"/requests/run", T_U16, L_ROWS, MUST, C_RUN},
    {"/requests/group", T_U16, L_ROWS, MUST, C_GROUP},
    {"/requests/preempted", T_U16, L_ROWS, MUST, C_NONE},
    {"/requests/n_cached", T_U32, L_ROWS, CACHED, C_CACHED},
    {"/requests/score", T_F32, L_ROWS, SCORE, C_NONE},
    {"/requests/n_dropped", T_U32, L_ROWS, DROPPED, C_NONE},
    {"/requests/vector", T_F32, L_ROWS, VECTOR, C_NONE},
    {"/requests/scores", T_F32, L_ROWS, SCORES, C_NONE},
    {"/requests/session", T_U64, L_ROWS, SESSIONS, C_NONE},
    {"/requests/turn", T_U32, L_ROWS, SESSIONS, C_NONE},
    {"/requests/stop_kept", T_U8, L_ROWS, KEPT, C_NONE},
    {"/requests/stop_string_offset", T_U64, L_OFFSETS, STOPS, C_STOP_OFFSET},
    {"/requests/stop_string", T_U8, L_STOP, STOPS, C_NONE},
    {"/requests/error_offset", T_U64, L_OFFSETS, MUST, C_ERROR_OFFSET},
    {"/requests/error", T_U8, L_ERROR, MUST, C_NONE},
    {"/requests/meta_offset", T_U64, L_OFFSETS, MUST, C_META_OFFSET},
    {"/requests/meta", T_U8, L_META, MUST, C_NONE},
    {"/requests/output_offset", T_U64, L_OFFSETS, MUST, C_OUTPUT_OFFSET},
    {"/tokens/id", T_I32, L_TOKENS, MUST, C_TOKEN},
    {"/tokens/time_ns", T_I64, L_TOKENS, TIMES, C_TIME},
    {"/tokens/logprob", T_F32, L_TOKENS, LOGPROB, C_NONE},
    {"/tokens/top_id", T_I32, L_TOKENS, TOP, C_NONE},
    {"/tokens/top_logprob", T_F32, L_TOKENS, TOP, C_NONE},
    {"/requests/prompt_offset", T_U64, L_OFFSETS, PROMPT, C_NONE},
    {"/prompts/logprob", T_F32, L_PROMPTS, PROMPT, C_NONE},
    {"/prompts/top_id", T_I32, L_PROMPTS, PROMPT_TOP, C_NONE},
    {"/prompts/top_logprob", T_F32, L_PROMPTS, PROMPT_TOP, C_NONE},
    {"/steps/start_ns", T_I64, L_STEPS, STEPS, C_NONE},
    {"/steps/duration_ns", T_I64, L_STEPS, STEPS, C_NONE},
    {"/steps/plan_ns", T_I64, L_STEPS, STEPS, C_NONE},
    {"/steps/n_decode", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/n_prefill", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/n_prompt_tokens", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/n_discarded", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/kv_pages", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/rows_moved", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/bytes_moved", T_I64, L_STEPS, STEPS, C_NONE},
    {"/steps/n_waiting", T_I64, L_STEPS, STEPS, C_NONE},
    {"/steps/n_put_back", T_I32, L_STEPS, STEPS, C_NONE},
    {"/steps/run", T_U16, L_STEPS, STEPS, C_NONE},
    {"/steps/group", T_U16, L_STEPS, STEPS, C_NONE},
    {"/steps/expert_layers", T_I32, L_STEPS, LOADS, C_NONE},
    {"/steps/expert_load", T_I32, L_STEPS, LOADS, C_NONE},
    {"/runs/run", T_U16, L_RUNS, MUST, C_NONE},
    {"/runs/group", T_U16, L_RUNS, MUST, C_NONE},
    {"/runs/epoch", T_U16, L_RUNS, MUST, C_NONE},
    {"/runs/n_groups", T_U16, L_RUNS, GROUPS, C_NONE},
    {"/runs/resumed", T_U16, L_RUNS, MUST, C_NONE},
    {"/runs/timed", T_U16, L_RUNS, MUST, C_NONE},
    {"/runs/restart", T_U32, L_RUNS, MUST, C_NONE},
    {"/runs/start_unix_ns", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/clock_start_ns", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/clock_offset_ns", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/clock_drift_ns", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/lag_limit_ns", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/speed", T_F64, L_RUNS, MUST, C_NONE},
    {"/runs/load_bytes", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/load_ns", T_I64, L_RUNS, MUST, C_NONE},
    {"/runs/job_id", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/hosts", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/devices", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_weft", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_cuda", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_nccl", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_mpi", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_hdf5", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_pmix", T_TEXT, L_RUNS, MUST, C_NONE},
    {"/runs/version_driver", T_TEXT, L_RUNS, MUST, C_NONE},
};

enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

const char *check_column_name(check_column used)
{
    for (int i = 0; i < N_COLUMNS; i++)
        if (columns[i].used == used) return columns[i].name;
    return "?";
}

// --- attributes ---

// False where the file says that it is something else: nothing more is to be looked for in it.
static bool check_format(check_file *f)
{
    char text[64] = "";
    bool said = check_text_attribute(f->id, "format", text, sizeof text);
    if (said && strcmp(text, "weft-results") == 0) return true;
    check_problem(f->c, "%s: its format is '%s', expected 'weft-results'", f->path, text);
    return !said;
}

// Of the job file only `sampling.n` matters here: how many results rows have that do not say it
// themselves.
static void read_job(check_file *f)
{
    wf_yaml *doc = NULL;
    uint64_t n;
    char *text = check_long_attribute(f->id, "job");
    if (!text) check_problem(f->c, "%s: does not hold its job file (attribute 'job')", f->path);
    if (text && wf_yaml_parse(f->path, text, strlen(text), &doc, NULL) == WF_OK) {
        const wf_yaml_node *sampling = wf_yaml_find(wf_yaml_root(doc), "sampling");
        const wf_yaml_node *node = sampling ? wf_yaml_find(sampling, "n") : NULL;
        if (node && node->kind == WF_YAML_SCALAR &&
            wf_parse_u64(node->text, 1, UINT16_MAX, &n) == WF_OK)
            f->c->n_samples = (uint32_t)n;
    }
    wf_yaml_destroy(&doc);
    free(text);
}

static void check_header(check_file *f)
{
    static const char *const texts[] = {"software", "software_version", "created", "model_hash"};
    char text[64];
    unsigned version[3];
    if (!check_text_attribute(f->id, "format_version", text, sizeof text) ||
        sscanf(text, "%u.%u.%u", &version[0], &version[1], &version[2]) != 3 || version[0] != 1) {
        check_problem(f->c, "%s: its format_version is '%s', expected 1.x.y", f->path, text);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!check_text_attribute(f->id, texts[i], text, sizeof text))
            check_problem(f->c, "%s: has no attribute '%s'", f->path, texts[i]);
    read_job(f);
    if (H5Aexists(f->id, "seed") <= 0) check_problem(f->c, "%s: has no attribute 'seed'", f->path);
}

static void read_vocabulary(check_file *f)
{
    f->n_vocab = 0;
    if (H5Aexists(f->id, "n_vocab") <= 0) {
        check_problem(f->c, "%s: has no attribute 'n_vocab'", f->path);
        return;
    }
    hid_t attribute = H5Aopen(f->id, "n_vocab", H5P_DEFAULT);
    if (H5Aread(attribute, H5T_NATIVE_INT64, &f->n_vocab) < 0 || f->n_vocab < 0) {
        check_problem(f->c, "%s: attribute 'n_vocab' is no size", f->path);
        f->n_vocab = 0;
    }
    H5Aclose(attribute);
}

// --- columns ---

// What says that the columns of a kind are there, and the group that it is in.
static const struct {
    const char *group, *name;
} said_by[] = {[TIMES] = {"/tokens", "/tokens/time_ns"},
               [LOGPROB] = {"/tokens", "/tokens/logprob"},
               [TOP] = {"/tokens", "/tokens/top_id"},
               [CACHED] = {"/requests", "/requests/n_cached"},
               [SCORE] = {"/requests", "/requests/score"},
               [DROPPED] = {"/requests", "/requests/n_dropped"},
               [VECTOR] = {"/requests", "/requests/vector"},
               [SCORES] = {"/requests", "/requests/scores"},
               [SESSIONS] = {"/requests", "/requests/session"},
               [STOPS] = {"/requests", "/requests/stop_string"},
               [KEPT] = {"/requests", "/requests/stop_kept"},
               [STEPS] = {"/", "/steps"},
               [LOADS] = {"/steps", "/steps/expert_load"},
               [PROMPT] = {"/requests", "/requests/prompt_offset"},
               [PROMPT_TOP] = {"/prompts", "/prompts/top_id"},
               [GROUPS] = {"/runs", "/runs/n_groups"}};

static bool group_there(const check_file *f, presence p)
{
    if (p == MUST) return true;
    bool root = said_by[p].group[1] == '\0';
    if (!root && H5Lexists(f->id, said_by[p].group, H5P_DEFAULT) <= 0) return false;
    return H5Lexists(f->id, said_by[p].name, H5P_DEFAULT) > 0;
}

// True when every column that must be there is, as it must be.
static bool open_columns(check_file *f, check_set *sets)
{
    bool fine = true;
    for (int i = 0; i < N_COLUMNS; i++) {
        const column_row *col = &columns[i];
        sets[i] = (check_set){.path = f->path, .name = col->name, .type = col->type, .id = -1};
        bool loads = strcmp(col->name, "/steps/expert_load") == 0;
        bool wide = col->presence == VECTOR || col->presence == SCORES || col->presence == TOP ||
                    col->presence == PROMPT_TOP;
        sets[i].rank = wide || loads ? 2 : 1;
        sets[i].was_read = col->used != C_NONE;
        if (!group_there(f, col->presence)) continue;
        bool there = check_open_set(f->c, f->id, false, &sets[i]);
        if (there) check_set_manners(f->c, &sets[i]);
        fine &= there;
    }
    return fine;
}

static uint64_t length_named(const check_set *sets, const char *name)
{
    for (int i = 0; i < N_COLUMNS; i++)
        if (strcmp(columns[i].name, name) == 0) return sets[i].n;
    return 0;
}

static bool check_lengths(check_file *f, const check_set *sets)
{
    f->rows = length_named(sets, "/requests/row");
    f->tokens = length_named(sets, "/tokens/id");
    f->error_bytes = length_named(sets, "/requests/error");
    f->meta_bytes = length_named(sets, "/requests/meta");
    f->stop_bytes = length_named(sets, "/requests/stop_string");
    const uint64_t lengths[] = {
        [L_ROWS] = f->rows,
        [L_OFFSETS] = f->rows + 1,
        [L_ERROR] = f->error_bytes,
        [L_META] = f->meta_bytes,
        [L_STOP] = f->stop_bytes,
        [L_TOKENS] = f->tokens,
        [L_PROMPTS] = length_named(sets, "/prompts/logprob"),
        [L_STEPS] = length_named(sets, "/steps/start_ns"),
        [L_RUNS] = length_named(sets, "/runs/run"),
    };
    bool fine = true;
    for (int i = 0; i < N_COLUMNS; i++) {
        if (sets[i].id < 0 || sets[i].n == lengths[columns[i].length]) continue;
        check_problem(f->c, "%s:%s: has %" PRIu64 " values, expected %" PRIu64, f->path,
                      columns[i].name, sets[i].n, lengths[columns[i].length]);
        fine = false;
    }
    return fine;
}

// --- shards and runs ---

static wf_status read_shards(check_file *f, bool *fine)
{
    char **uids = NULL, **paths = NULL;
    size_t n_uids = 0, n_paths = 0;
    uint64_t *rows = NULL;
    check_set set = {.path = f->path, .name = "/shards/rows", .type = T_U64, .rank = 1};
    wf_status st = WF_OK;
    *fine = check_read_texts(f->c, f->path, f->id, "/shards/uid", &uids, &n_uids) &&
            check_read_texts(f->c, f->path, f->id, "/shards/path", &paths, &n_paths);
    *fine &= check_open_set(f->c, f->id, false, &set);
    if (*fine && (n_uids != n_paths || n_uids != set.n)) {
        check_problem(f->c, "%s:/shards: its columns differ in length", f->path);
        *fine = false;
    }
    if (*fine) {
        WF_TRY_TO(done, wf_alloc(n_uids, sizeof *rows, &rows));
        WF_TRY_TO(done, wf_alloc(n_uids, sizeof *f->shard_map, &f->shard_map));
        check_set_manners(f->c, &set);
        *fine = check_read(f->c, &set, 0, set.n, rows);
    }
    for (size_t i = 0; *fine && i < n_uids; i++) {
        WF_TRY_TO(done,
                  check_join_shard(f->c, uids[i], paths[i], rows[i], f->path, &f->shard_map[i]));
    }
    f->n_shards = *fine ? n_uids : 0;
done:
    for (size_t i = 0; i < n_uids; i++)
        free(uids[i]);
    for (size_t i = 0; i < n_paths; i++)
        free(paths[i]);
    free(uids);
    free(paths);
    free(rows);
    if (set.id >= 0) H5Dclose(set.id);
    return st;
}

static wf_status read_runs(check_file *f, const check_set *sets, bool *fine)
{
    size_t n = (size_t)length_named(sets, "/runs/run");
    WF_TRY(wf_alloc(n, sizeof *f->runs, &f->runs));
    WF_TRY(wf_alloc(n, sizeof *f->groups, &f->groups));
    f->n_runs = n;
    for (int i = 0; i < N_COLUMNS && *fine; i++) {
        uint16_t *to = strcmp(columns[i].name, "/runs/run") == 0     ? f->runs
                       : strcmp(columns[i].name, "/runs/group") == 0 ? f->groups
                                                                     : NULL;
        if (!to) continue;
        *fine = check_read(f->c, &sets[i], 0, n, to);
    }
    return WF_OK;
}

// --- the file ---

static wf_status check_contents(check_file *f)
{
    check_set sets[N_COLUMNS];
    bool fine = true;
    if (!check_format(f)) return WF_OK;
    check_header(f);
    read_vocabulary(f);
    wf_status st = read_shards(f, &fine);
    if (st != WF_OK) return st;
    fine &= open_columns(f, sets);
    fine = fine && check_lengths(f, sets);
    for (int i = 0; i < N_COLUMNS; i++)
        if (columns[i].used != C_NONE) f->sets[columns[i].used] = sets[i];
    f->vectors = group_there(f, VECTOR);
    f->scores = group_there(f, SCORES);
    if (fine) st = read_runs(f, sets, &fine);
    if (st == WF_OK && fine) st = check_rows(f);
    if (st == WF_OK) st = check_digests(f, sets, N_COLUMNS);
    for (int i = 0; i < N_COLUMNS; i++)
        if (sets[i].id >= 0) H5Dclose(sets[i].id);
    return st;
}

wf_status check_results_file(checker *c, const char *path, const check_file *expect,
                             check_found *found)
{
    check_file f = *expect;
    f.c = c;
    f.path = path;
    *found = (check_found){0};
    f.id = check_open_file(c, path);
    if (f.id < 0) return WF_OK;
    wf_status st = check_contents(&f);
    c->report.n_files++;
    if (!f.again) {
        c->report.n_rows += f.rows - f.n_void;
        c->report.n_tokens += f.tokens;
    }
    *found = f.found;
    found->rows = f.rows;
    free(f.shard_map);
    free(f.runs);
    free(f.groups);
    H5Fclose(f.id);
    return st;
}
