// The order of a check, and its voice.
#include "results/check/check_internal.h"

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MESSAGES_DEFAULT 50

// Text of damaged files must not steer a terminal.
static void print_line(FILE *out, const char *head, const char *format, va_list args)
{
    char line[WF_ERROR_MAX];
    vsnprintf(line, sizeof line, format, args);
    for (char *p = line; *p; p++) {
        unsigned char byte = (unsigned char)*p;
        if (byte < 0x20 || byte == 0x7f) *p = '?';
    }
    fprintf(out, "%s%s\n", head, line);
}

void check_problem(checker *c, const char *format, ...)
{
    va_list args;
    if (++c->report.n_problems > c->options.max_messages) return;
    va_start(args, format);
    print_line(c->out, "problem: ", format, args);
    va_end(args);
}

void check_note(checker *c, const char *format, ...)
{
    va_list args;
    if (c->options.quiet) return;
    va_start(args, format);
    print_line(c->out, "note: ", format, args);
    va_end(args);
}

static wf_status check_single(checker *c)
{
    const check_file nothing = {0};
    check_found found;
    WF_TRY(check_results_file(c, c->root, &nothing, &found));
    check_count_missing(c);
    return WF_OK;
}

static void print_verdict(checker *c)
{
    const wf_check_report *r = &c->report;
    if (r->n_problems > c->options.max_messages) {
        fprintf(c->out, "problem: ... and %" PRIu64 " more\n",
                r->n_problems - c->options.max_messages);
    }
    fprintf(c->out, "complete: %s\n", r->complete ? "yes" : "no");
    fprintf(c->out,
            "checked %" PRIu64 " row%s (%" PRIu64 " failed), %" PRIu64 " token%s, %" PRIu64
            " file%s: ",
            r->n_rows, WF_S(r->n_rows), r->n_failed, r->n_tokens, WF_S(r->n_tokens), r->n_files,
            WF_S(r->n_files));
    if (r->n_problems == 0)
        fprintf(c->out, "ok\n");
    else
        fprintf(c->out, "%" PRIu64 " problem%s\n", r->n_problems, WF_S(r->n_problems));
}

static wf_status examine(checker *c)
{
    struct stat info;
    if (stat(c->root, &info) != 0)
        return wf_fail_errno(WF_NO_INPUT, "%s: cannot be checked", c->root);
    WF_TRY(S_ISDIR(info.st_mode) ? check_folder(c) : check_single(c));
    if (c->n_without_digest > 0) {
        check_note(c,
                   "%s: %" PRIu64
                   " file%s of an older version without digests: a changed value that "
                   "contradicts no other goes unnoticed there",
                   c->root, c->n_without_digest, WF_S(c->n_without_digest));
    }
    check_note_bad_rows(c);
    c->report.complete = c->report.n_missing == 0 && c->report.n_files > 0; // that could be opened
    if (c->options.require_complete && c->report.n_missing > 0)
        check_problem(c, "%s: %" PRIu64 " results are missing", c->root, c->report.n_missing);
    return WF_OK;
}

wf_status check_directly(const char *path, const wf_check_options *options, FILE *out,
                         wf_check_report *report)
{
    checker c = {.out = out};
    if (options) c.options = *options;
    if (c.options.max_messages == 0) c.options.max_messages = MESSAGES_DEFAULT;
    WF_TRY(wf_strdup(path, &c.root));
    for (size_t n = strlen(c.root); n > 1 && c.root[n - 1] == '/'; n--)
        c.root[n - 1] = '\0';
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    wf_status st = examine(&c);
    if (st == WF_OK) print_verdict(&c);
    check_free_shards(&c);
    free(c.root);
    *report = c.report;
    if (st == WF_OK && c.report.n_problems > 0) {
        st = wf_fail(WF_DATA, "%s: %" PRIu64 " problem%s found", path, c.report.n_problems,
                     WF_S(c.report.n_problems));
    }
    return st;
}
