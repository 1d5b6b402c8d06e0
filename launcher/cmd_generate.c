// weft generate: prompts in, answers out, in one command. It is weft run in other words:
//
//   weft generate JOB.yaml PROMPTS... -o ANSWERS    -> weft run JOB.yaml --set
//   requests=[PROMPTS...]
//                                                        --set output.text=ANSWERS
//   weft generate --model M PROMPTS... -o ANSWERS   -> the same, of a job file that we write
//   weft generate --model M "a prompt" ...          -> the same, in a folder that goes again
//
// So it resumes, drains and reports as run does, and what it leaves is an ordinary output folder.
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/hash.h"
#include "io/base/json_writer.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "jobs/spec/prompts.h"
#include "launcher/bringup/start.h"
#include "launcher/commands.h"
#include "launcher/fresh.h"
#include "launcher/jobfile.h"

#define JOB_FILE     "generate.yaml"
#define PROMPTS_FILE "prompts.jsonl"

const wf_cli_option wf_generate_options[] = {
    {"model", 'm', "DIR", "a model's folder: no job file is needed then"},
    {"output", 'o', "FILE", "answers: .jsonl, .csv, .tsv, .parquet; without it they are printed"},
    {"max-tokens", 'n', "N", "most tokens to generate where a row does not say (256)"},
    {"stop", 0, "TEXT", "ends an answer before this text; may be repeated"},
    {"chat", 'c', NULL, "prompts are a user's messages, in the model's chat template"},
    {"prompt", 'p', "NAME", "key or column that holds the prompt (prompt)"},
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"out", 0, "DIR", "output folder, as --set output.dir=DIR"},
    {"fresh", 0, NULL, "starts over: discards what earlier runs left in the output folder"},
    {"retry-failed", 0, NULL, "does the requests again that failed in earlier runs"},
    {"max-time", 0, "TIME", "drains so as to end within this long (3h, 90m, 01:30:00)"},
    {"force", 0, NULL, "goes on in a folder of another model, sampling or prompts"},
    {"verbose", 'v', NULL, "says more: placement, memory, the whole report"},
    {NULL, 0, NULL, NULL},
};

enum { MAX_WORDS = 128 };

// The command line of the run, and the job behind it.
typedef struct {
    const wf_cli *cli;
    char *word[MAX_WORDS + 1]; // own
    int n;
    size_t first;          // argument that is a prompt or a prompts file
    bool spoken;           // the arguments are prompts themselves
    char folder[PATH_MAX]; // of prompts that are spoken; "": none
    wf_status st;
} generation;

static void add(generation *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(generation *g, const char *format, ...)
{
    va_list args;
    if (g->st != WF_OK) return;
    if (g->n == MAX_WORDS) {
        g->st = wf_cli_fail(g->cli, "more options than there is room for");
        return;
    }
    va_start(args, format);
    if (vasprintf(&g->word[g->n], format, args) >= 0)
        g->n++;
    else
        g->st = wf_fail(WF_NO_MEMORY, "no memory for a command line");
    va_end(args);
}

static void generation_free(generation *g)
{
    for (int i = 0; i < g->n; i++)
        free(g->word[i]);
    if (g->folder[0]) wf_tree_remove(g->folder);
}

// ---- what is asked for --------------------------------------------------------------------------

// What names files, though of no ending that we read. As a prompt it would be answered, and nobody
// would notice.
static bool names_files(const char *text)
{
    static const char *const beginnings[] = {"/", "./", "../", "~/"};
    wf_paths found = {0};
    if (strcmp(text, "-") == 0 || wf_file_exists(text)) return true;
    for (size_t i = 0; !strpbrk(text, " \t\n") && i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (strncmp(text, beginnings[i], strlen(beginnings[i])) == 0) return true;
    bool is = strlen(text) < PATH_MAX && strpbrk(text, "*?[") &&
              wf_file_glob(text, &found) == WF_OK && found.n > 0;
    wf_paths_destroy(&found);
    return is;
}

static wf_status spoken_check(const generation *g)
{
    for (size_t i = 0; i < wf_cli_n_arguments(g->cli); i++) {
        const char *prompt = wf_cli_argument(g->cli, i);
        if (!prompt[0]) return wf_cli_fail(g->cli, "prompt %zu is empty: give it a text", i + 1);
        if (names_files(prompt))
            return wf_cli_fail(g->cli,
                               "%s: names files and is no prompt: prompts are read from files that "
                               "end in one of %s, each by its name; a prompt that looks like this "
                               "goes into such a file",
                               prompt, wf_prompts_endings());
    }
    return WF_OK;
}

// The first argument, where there is no model.
static wf_status job_file_check(const generation *g)
{
    const char *path = wf_cli_argument(g->cli, 0), *dot = strrchr(wf_path_name(path), '.');
    bool is_named_so = dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
    if (!wf_prompts_is_file(path) && (is_named_so || wf_file_exists(path))) return WF_OK;
    return wf_cli_fail(g->cli, "%s: is no job file: give --model DIR, or a job file before it",
                       path);
}

// Here, where it can be said of --model: the job file is ours.
static wf_status model_check(const generation *g)
{
    const char *path = wf_cli_value(g->cli, "model");
    if (!path[0]) return wf_cli_fail(g->cli, "--model: names no folder");
    if (wf_file_exists(path)) return WF_OK;
    return wf_fail(WF_NO_INPUT, "--model %s: no such folder", path);
}

// With a model and no file of such a name, the arguments are the prompts.
static wf_status arguments_look(generation *g)
{
    size_t n = wf_cli_n_arguments(g->cli), n_files = 0;
    bool has_model = wf_cli_has(g->cli, "model");
    g->first = has_model ? 0 : 1;
    for (size_t i = g->first; i < n; i++)
        n_files += wf_prompts_is_file(wf_cli_argument(g->cli, i));
    g->spoken = has_model && n_files == 0;
    if (n == 0) return wf_cli_fail(g->cli, "give a job file, or --model DIR and prompts");
    if (has_model) WF_TRY(model_check(g));
    if (g->spoken) return spoken_check(g);
    if (!has_model) WF_TRY(job_file_check(g));
    if (n_files == n - g->first) return WF_OK;
    for (size_t i = g->first; i < n; i++) {
        const char *path = wf_cli_argument(g->cli, i);
        if (!wf_prompts_is_file(path))
            return wf_cli_fail(g->cli, "%s: prompts are read from files that end in one of %s%s",
                               path, wf_prompts_endings(),
                               has_model ? "" : "; with --model, also from the command line");
    }
    return WF_OK;
}

static wf_status output_check(const generation *g)
{
    const char *path = wf_cli_value(g->cli, "output");
    if (!path || wf_prompts_is_answers(path)) return WF_OK;
    return wf_cli_fail(g->cli,
                       "--output %s: the name does not say what to write: end it in one of %s",
                       path, wf_prompts_endings());
}

// ---- prompts of the command line ----------------------------------------------------------------

static wf_status prompts_write(const char *path, const wf_cli *cli)
{
    wf_text text = {0};
    char *lines = NULL;
    wf_status st = WF_OK;
    for (size_t i = 0; i < wf_cli_n_arguments(cli) && st == WF_OK; i++) {
        wf_json_writer *w = NULL;
        const char *line = "";
        st = wf_json_writer_create(0, &w);
        if (st != WF_OK) break;
        wf_json_open_object(w, NULL);
        wf_json_put_string(w, "prompt", wf_cli_argument(cli, i));
        wf_json_close(w);
        st = wf_json_writer_finish(w, &line, NULL);
        wf_text_puts(&text, line);
        wf_json_writer_destroy(&w);
    }
    if (st == WF_OK) st = wf_text_take(&text, &lines);
    if (st == WF_OK) st = wf_file_write_whole(path, lines, strlen(lines), WF_PUBLISH_NEW);
    wf_text_free(&text);
    free(lines);
    return st;
}

// A folder of this call's own, in TMPDIR; nothing of it stays.
static wf_status folder_make(generation *g, char prompts[PATH_MAX])
{
    const char *at = getenv("TMPDIR");
    wf_start start = wf_start_detect(NULL, NULL);
    if (start.kind != WF_START_ALONE)
        return wf_cli_fail(g->cli, "a prompt on the command line is answered by one process: run "
                                   "without mpirun and srun, or give a file of prompts");
    int n = snprintf(g->folder, sizeof g->folder, "%s/weft-XXXXXX", at && at[0] ? at : "/tmp");
    if (n >= (int)sizeof g->folder || !mkdtemp(g->folder)) {
        g->folder[0] = '\0';
        return wf_fail_errno(WF_IO, "%s: no temporary folder can be made", at ? at : "/tmp");
    }
    if (snprintf(prompts, PATH_MAX, "%s/" PROMPTS_FILE, g->folder) >= PATH_MAX)
        return wf_fail(WF_IO, "%s: the path is too long", g->folder);
    return prompts_write(prompts, g->cli);
}

// ---- the job file -------------------------------------------------------------------------------

// out/<name of the first prompts file>-<of what job>: other files or another model are another job,
// and the same command finds its own again.
static wf_status folder_choose(const generation *g, char **out)
{
    const char *given = wf_cli_value(g->cli, "out"), *model = wf_cli_value(g->cli, "model");
    char name[NAME_MAX + 16];
    if (g->spoken && !given) return wf_strdup(g->folder, out);
    if (given) return wf_strdup(given, out);
    uint64_t hash = wf_hash64_of(model, strlen(model), 0);
    for (size_t i = g->first; i < wf_cli_n_arguments(g->cli); i++) {
        const char *path = wf_cli_argument(g->cli, i);
        hash = wf_hash64_of(path, strlen(path), hash);
    }
    snprintf(name, sizeof name, "%.200s-%08x", wf_path_name(wf_cli_argument(g->cli, 0)),
             (unsigned)(uint32_t)hash);
    return wf_path_join("out", name, out);
}

static void put_requests(wf_json_writer *w, const generation *g, const char *spoken)
{
    wf_json_open_array(w, "requests");
    if (g->spoken) wf_json_put_string(w, NULL, spoken);
    for (size_t i = g->first; !g->spoken && i < wf_cli_n_arguments(g->cli); i++)
        wf_json_put_string(w, NULL, wf_cli_argument(g->cli, i));
    wf_json_close(w);
}

// JSON is YAML. Every process of the job writes the same, whole.
static wf_status job_write(const generation *g, const char *dir, const char *prompts, char **path)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    size_t n = 0;
    wf_status made = wf_file_make_folders(dir);
    if (made != WF_OK) return wf_fail(made, "%s; name another folder with --out DIR", wf_error());
    WF_TRY(wf_path_join(dir, JOB_FILE, path));
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_open_object(w, "model");
    wf_json_put_string(w, "path", wf_cli_value(g->cli, "model"));
    wf_json_close(w);
    put_requests(w, g, prompts);
    wf_json_open_object(w, "output");
    wf_json_put_string(w, "dir", dir);
    wf_json_close(w);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK) st = wf_file_write_whole(*path, text, n, WF_PUBLISH_REPLACE);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status add_own_job(generation *g)
{
    char prompts[PATH_MAX] = "", *dir = NULL, *path = NULL;
    if (g->spoken) WF_TRY(folder_make(g, prompts));
    WF_TRY(folder_choose(g, &dir));
    wf_status st = job_write(g, dir, prompts, &path);
    if (st == WF_OK) add(g, "%s", path);
    free(path);
    free(dir);
    return st;
}

// --set of a key that is a list of texts.
static wf_status add_list(generation *g, const char *key, const char *const *item, size_t n)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    WF_TRY(wf_json_writer_create(0, &w));
    wf_json_open_array(w, NULL);
    for (size_t i = 0; i < n; i++)
        wf_json_put_string(w, NULL, item[i]);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) add(g, "--set=%s=%.*s", key, (int)strcspn(text, "\n"), text);
    wf_json_writer_destroy(&w);
    return st;
}

static wf_status add_given_job(generation *g)
{
    const char **item = NULL;
    size_t n = wf_cli_n_arguments(g->cli) - g->first;
    add(g, "%s", wf_cli_argument(g->cli, 0));
    if (wf_cli_has(g->cli, "out")) add(g, "--out=%s", wf_cli_value(g->cli, "out"));
    if (n == 0) return WF_OK; // the job file's own requests
    WF_TRY(wf_alloc(n, sizeof *item, &item));
    for (size_t i = 0; i < n; i++)
        item[i] = wf_cli_argument(g->cli, g->first + i);
    wf_status st = add_list(g, "requests", item, n);
    free(item);
    return st;
}

// ---- the run ------------------------------------------------------------------------------------

// Texts may hold anything, so that they go as JSON.
static void add_stops(generation *g)
{
    size_t n = 0;
    const char *const *stop = wf_cli_values(g->cli, "stop", &n);
    if (n > 0 && g->st == WF_OK) {
        wf_status st = add_list(g, "sampling.stop", stop, n);
        if (g->st == WF_OK) g->st = st;
    }
}

// Options of ours that are keys of the job file, and those that are run's own.
static void add_options(generation *g)
{
    static const char *const keys[][2] = {{"output", "output.text"},
                                          {"max-tokens", "text.max_new_tokens"},
                                          {"prompt", "text.prompt"}};
    static const char *const switches[] = {"fresh", "retry-failed", "force", "verbose"};
    size_t n = 0;
    add_stops(g);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = wf_cli_value(g->cli, keys[i][0]);
        if (value) add(g, "--set=%s=%s", keys[i][1], value);
    }
    if (wf_cli_has(g->cli, "chat")) add(g, "--set=text.chat=true");
    const char *const *set = wf_cli_values(g->cli, "set", &n);
    for (size_t i = 0; i < n; i++)
        add(g, "--set=%s", set[i]);
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (wf_cli_has(g->cli, switches[i])) add(g, "--%s", switches[i]);
    if (wf_cli_has(g->cli, "max-time")) add(g, "--max-time=%s", wf_cli_value(g->cli, "max-time"));
    if (!wf_cli_has(g->cli, "output")) add(g, "--print=%s", g->spoken ? "text" : "jsonl");
}

// An answer for a person, not a job's log.
static void be_quiet(void)
{
    wf_log_set_default(WF_LOG_WARN);
    setenv("WEFT_PROGRESS", "off", 0);
}

static wf_status run(generation *g)
{
    wf_cli *cli = NULL;
    WF_TRY(wf_cli_parse(wf_command_find("run"), g->n, g->word, &cli));
    wf_status st = wf_cmd_run(cli);
    wf_cli_destroy(&cli);
    if (st == WF_FAILED_ROWS && g->spoken) // the folder of which run speaks goes away
        return wf_fail(st, "not every prompt could be answered: the answers say why");
    return st;
}

wf_status wf_cmd_generate(const wf_cli *cli)
{
    generation g = {.cli = cli};
    WF_TRY(arguments_look(&g));
    WF_TRY(output_check(&g));
    WF_TRY(wf_jobfile_out_check(cli));
    add(&g, "%s", wf_cli_program(cli));
    add(&g, "run");
    wf_status st = wf_cli_has(cli, "model") ? add_own_job(&g) : add_given_job(&g);
    add_options(&g);
    if (st == WF_OK) st = g.st;
    if (g.spoken && !wf_cli_has(cli, "verbose")) be_quiet();
    if (st == WF_OK) st = run(&g);
    generation_free(&g);
    return st;
}
