// weft export: results in a form that other programs read.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/publish.h"
#include "io/base/text.h"
#include "io/base/thread.h"
#include "launcher/commands.h"
#include "launcher/companion.h"
#include "launcher/folders.h"
#include "results/export.h"
#include "results/report_vllm.h"

const wf_cli_option wf_export_options_table[] = {
    {"output", 'o', "FILE", "file to write; - is standard output"},
    {"format", 'f', "FORMAT", "jsonl, csv, parquet, openai, vllm or perfetto; else by FILE's name"},
    {"replace", 0, NULL, "replaces a file that is there"},
    {"resume", 0, NULL,
     "jsonl and csv: goes on with the FILE that the same command, stopped, has left"},
    {"tokenizer", 0, "PATH", "openai: where the prompts were not encoded by weft run"},
    {"max-events", 0, "N", "perfetto: draws about so many events at most (400,000)"},
    {NULL, 0, NULL, NULL},
};

typedef struct exporting {
    const wf_cli *cli;
    const char *place, *file;
    wf_folders parts;
    wf_results *results; // NULL: the format reads for itself
    uint64_t max_events;
    wf_export_before before; // of FILE, with --resume
    wf_export_count count;
} exporting;

// ---- formats ------------------------------------------------------------------------------------

static wf_status jsonl_write(exporting *x, FILE *out)
{
    return wf_export_jsonl(x->results, &x->before, out, &x->count);
}

static wf_status csv_write(exporting *x, FILE *out)
{
    return wf_export_csv(x->results, &x->before, out, &x->count);
}

static wf_status perfetto_write(exporting *x, FILE *out)
{
    return wf_export_trace(x->results, x->max_events, out, &x->count);
}

static wf_status vllm_write(exporting *x, FILE *out)
{
    const wf_report_options options = {.form = WF_REPORT_VLLM, .place = x->place};
    return wf_report_vllm((const char *const *)x->parts.path, x->parts.n, &options, out);
}

// The rows on their way to the companion, and null when these were all.
typedef struct feed {
    exporting *x;
    FILE *out;
    wf_status st;
    char error[WF_ERROR_MAX];
} feed;

static void *feed_run(void *context)
{
    feed *f = context;
    f->st = wf_export_jsonl(f->x->results, NULL, f->out, &f->x->count);
    if (f->st == WF_OK) fputs("null\n", f->out);
    if (fclose(f->out) != 0 && f->st == WF_OK)
        f->st = wf_fail_errno(WF_IO, "the rows cannot be handed on");
    snprintf(f->error, sizeof f->error, "%s", wf_error());
    return NULL;
}

static wf_status parquet_by_companion(exporting *x, const char *columns)
{
    const char *words[] = {"table", "-o", x->file, "--columns", columns, "--replace", NULL};
    feed f = {.x = x};
    int ends[2];
    pthread_t thread;
    if (!wf_cli_has(x->cli, "replace")) words[5] = NULL;
    if (pipe2(ends, O_CLOEXEC) != 0) return wf_fail_errno(WF_IO, "no pipe for the rows");
    f.out = fdopen(ends[1], "w");
    signal(SIGPIPE, SIG_IGN); // who reads them says why it stopped
    wf_status st = f.out ? wf_thread_start("the rows' thread", feed_run, &f, &thread)
                         : wf_fail_errno(WF_IO, "no pipe for the rows");
    if (st != WF_OK) {
        close(ends[0]);
        return st;
    }
    st = wf_companion_run_fed(words, ends[0]);
    close(ends[0]);
    pthread_join(thread, NULL);
    // Rows that could not be read are why the companion got too few of them.
    if (f.st != WF_OK && (st == WF_OK || f.st != WF_IO)) return wf_fail(f.st, "%s", f.error);
    return st;
}

static wf_status parquet_write(exporting *x, FILE *out)
{
    wf_text columns = {0};
    char *text = NULL;
    (void)out;
    wf_export_columns(x->results, &columns);
    WF_TRY(wf_text_take(&columns, &text));
    wf_status st = parquet_by_companion(x, text);
    free(text);
    return st;
}

static wf_status openai_write(exporting *x, FILE *out)
{
    const char *words[12] = {"decode", x->place, "-o", x->file, "--format", "openai"};
    size_t n = 6;
    const char *tokenizer = wf_cli_value(x->cli, "tokenizer");
    (void)out;
    if (wf_cli_has(x->cli, "replace")) words[n++] = "--replace";
    if (tokenizer) {
        words[n++] = "--tokenizer";
        words[n++] = tokenizer;
    }
    return wf_companion_run(words, NULL);
}

typedef struct format {
    const char *name, *ending;
    bool reads_rows; // from opened results
    bool companion;  // writes the file itself, whole or not at all
    bool resumes;    // from the rows that are there
    wf_status (*write)(exporting *x, FILE *out);
} format;

static const format formats[] = {
    {"jsonl", ".jsonl", true, false, true, jsonl_write},
    {"csv", ".csv", true, false, true, csv_write},
    {"parquet", ".parquet", true, true, false, parquet_write},
    {"openai", NULL, false, true, false, openai_write},
    {"vllm", ".vllm.json", false, false, false, vllm_write},
    {"perfetto", ".json", true, false, false, perfetto_write},
};

enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static wf_status format_find(const wf_cli *cli, const char *file, const format **out)
{
    const char *name = wf_cli_value(cli, "format");
    for (size_t i = 0; i < N_FORMATS; i++) {
        *out = &formats[i];
        if (name ? strcmp(name, formats[i].name) == 0
                 : formats[i].ending && wf_text_ends_with(file, formats[i].ending))
            return WF_OK;
    }
    if (name)
        return wf_cli_fail(cli, "--format %s: jsonl, csv, parquet, openai, vllm or perfetto", name);
    return wf_cli_fail(cli, "%s: its name does not say what to write: give --format", file);
}

// ---- the file -----------------------------------------------------------------------------------

// Whole or not at all.
static wf_status file_write(exporting *x, const format *how)
{
    wf_part *part = NULL;
    FILE *out = NULL;
    bool replace = wf_cli_has(x->cli, "replace");
    if (!replace && wf_file_exists(x->file))
        return wf_fail(WF_USAGE, "%s: exists already; remove it or pass --replace", x->file);
    WF_TRY(wf_part_create(x->file, &part));
    int fd = dup(wf_part_fd(part));
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    wf_status st =
        out ? how->write(x, out) : wf_fail_errno(WF_IO, "%s: cannot be written", x->file);
    if (out && fclose(out) != 0 && st == WF_OK)
        st = wf_fail_errno(WF_IO, "%s: cannot be written", x->file);
    if (st == WF_OK) st = wf_part_publish(part, replace ? WF_PUBLISH_REPLACE : WF_PUBLISH_NEW);
    wf_part_drop(&part);
    return st;
}

// Rows behind those that are there, which are looked at before anything is written. A record that
// was cut off is written over.
static wf_status rows_go_on(exporting *x, const format *how, FILE *out)
{
    char why[WF_ERROR_MAX];
    if (fseeko(out, x->before.end, SEEK_SET) != 0)
        return wf_fail_errno(WF_IO, "%s: cannot be written", x->file);
    wf_status st = how->write(x, out);
    if (st == WF_CONFIG) {
        snprintf(why, sizeof why, "%s", wf_error());
        return wf_fail(st, "%s: %.900s", x->file, why);
    }
    WF_TRY(st);
    if (fflush(out) != 0 || ftruncate(fileno(out), ftello(out)) != 0)
        return wf_fail_errno(WF_IO, "%s: cannot be written", x->file);
    return WF_OK;
}

// Under its own name, so that what is there can be gone on with.
static wf_status file_go_on(exporting *x, const format *how)
{
    int fd;
    WF_TRY(wf_file_open_plain(x->file, O_RDWR | O_CREAT | O_CLOEXEC, &fd));
    FILE *out = fdopen(fd, "r+");
    if (!out) {
        close(fd);
        return wf_fail_errno(WF_IO, "%s: cannot be written", x->file);
    }
    wf_status st = wf_export_look(fd, x->file, how->write == csv_write, &x->before);
    if (st == WF_OK && x->before.records == 0 && lseek(fd, 0, SEEK_END) > 0)
        st = wf_fail(WF_CONFIG, "%s: has no whole row to go on from: write anew with --replace",
                     x->file);
    if (st == WF_OK) st = rows_go_on(x, how, out);
    if (fclose(out) != 0 && st == WF_OK)
        st = wf_fail_errno(WF_IO, "%s: cannot be written", x->file);
    return st;
}

static wf_status resume_check(const exporting *x, const format *how)
{
    if (!wf_cli_has(x->cli, "resume")) return WF_OK;
    if (!how->resumes || strcmp(x->file, "-") == 0)
        return wf_cli_fail(x->cli, "--resume: a file of jsonl or csv alone can be gone on with");
    if (wf_cli_has(x->cli, "replace"))
        return wf_cli_fail(x->cli, "--resume and --replace: one of them");
    return WF_OK;
}

static void count_say(const exporting *x)
{
    const wf_export_count *c = &x->count;
    if (x->before.records > 0) {
        wf_info("%s: %" PRIu64 " row%s more", x->file, c->rows, WF_S(c->rows));
        return;
    }
    if (c->rows == 0) return;
    wf_info("%s: %" PRIu64 " row%s%s", x->file, c->rows, WF_S(c->rows),
            c->row_every > 1 || c->step_every > 1 ? " drawn, not all: see --max-events" : "");
}

static wf_status export_to(exporting *x, const format *how)
{
    size_t n_waiting;
    WF_TRY(wf_folders_read(x->place, &x->parts, &n_waiting));
    if (how->reads_rows)
        WF_TRY(wf_results_open_many((const char *const *)x->parts.path, x->parts.n, NULL,
                                    &x->results));
    if (x->results && !wf_results_complete(x->results))
        wf_warn("%s: is not complete: what is sealed so far is exported", x->place);
    if (strcmp(x->file, "-") == 0 && !how->companion) return how->write(x, stdout);
    if (how->companion) return how->write(x, NULL); // it says what it wrote
    WF_TRY(wf_cli_has(x->cli, "resume") ? file_go_on(x, how) : file_write(x, how));
    count_say(x);
    return WF_OK;
}

wf_status wf_cmd_export(const wf_cli *cli)
{
    exporting x = {.cli = cli, .place = wf_cli_argument(cli, 0)};
    const format *how;
    long long max_events;
    x.file = wf_cli_value(cli, "output");
    if (!x.file) return wf_cli_fail(cli, "where to? --output FILE, or --output - for the terminal");
    WF_TRY(format_find(cli, x.file, &how));
    WF_TRY(wf_cli_i64(cli, "max-events", 100, INT64_MAX, 400000, &max_events));
    x.max_events = (uint64_t)max_events;
    WF_TRY(resume_check(&x, how));
    wf_status st = export_to(&x, how);
    free(x.before.last);
    wf_results_close(&x.results);
    wf_folders_free(&x.parts);
    return st;
}
