// The manual pages. See manual.h.
#include "launcher/manual/manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/spec/jobspec.h"
#include "launcher/errors.h"
#include "launcher/manual/roff.h"

// Variables of the environment that people may set. Those of the job file's keys are one row.
static const struct {
    const char *name, *meaning;
} environment_rows[] = {
    {"WEFT_SECTION__KEY",
     "Sets a key of the job file, after the file and before --set: WEFT_ENGINE__MAX_ROWS=64 is "
     "engine.max_rows: 64."},
    {"WEFT_PROGRESS", "How a run shows its progress: live, log or off."},
    {"WEFT_LOG", "What is told: debug, info, warn or error."},
    {"WEFT_MODULE_DIR",
     "The folder of libweft_cuda.so, the CUDA back end. Without it the program looks beside "
     "itself, and in ../lib/weft and ../lib from there."},
    {"WEFT_TEXT", "The program weft-text, instead of the one beside this program or on PATH."},
    {"WEFT_READ_LIMIT",
     "How long a single read of a file may take before the file counts as damaged: "
     "10m instead of 120s."},
    {"WEFT_NCCL", "The NCCL library to open, instead of libnccl.so.2."},
    {"WEFT_CUDA_CACHE", "Where measured choices of GPU kernels are kept, instead of weft in "
                        "XDG_CACHE_HOME or ~/.cache."},
};

static void put_name(wf_text *out, const char *page, const char *summary)
{
    wf_roff_section(out, "NAME");
    wf_roff_put(out, page);
    wf_text_puts(out, " \\- ");
    wf_roff_put(out, summary);
    wf_text_puts(out, "\n");
}

static void put_line(wf_text *out, const char *words, const char *end)
{
    wf_roff_put(out, words);
    wf_text_puts(out, end);
}

// All codes, or those that the command can end with.
static void put_exit_status(const char *command, wf_text *out)
{
    char code[16];
    wf_roff_section(out, "EXIT STATUS");
    for (const wf_exit_row *row = wf_exit_rows; row->meaning; row++) {
        if (command && !wf_exit_row_is_of(row, command)) continue;
        snprintf(code, sizeof code, "%d", row->code);
        wf_roff_tag(out, code);
        put_line(out, row->meaning, "\n");
    }
}

void wf_manual_put_overview(wf_text *out)
{
    wf_roff_head(out, "weft", 1);
    put_name(out, "weft", WF_CLI_WHAT_IT_DOES);
    wf_roff_section(out, "SYNOPSIS");
    wf_text_puts(out, ".B weft\n\\fICOMMAND\\fR [\\fIoptions\\fR] \\fIARGUMENTS\\fR\n");
    wf_roff_section(out, "COMMANDS");
    for (const wf_command *c = wf_commands; c->name; c++) {
        wf_text_puts(out, ".TP\n.BR weft\\-");
        wf_roff_put(out, c->name);
        wf_text_puts(out, " (1)\n");
        put_line(out, c->summary, ".\n");
    }
    wf_roff_section(out, "OPTIONS");
    wf_roff_tag(out, "--help");
    wf_text_puts(out, "prints the commands; behind a command, its options\n");
    wf_roff_tag(out, "--version");
    wf_text_puts(out, "prints the versions of weft and of what it was built with\n");
    wf_roff_section(out, "ENVIRONMENT");
    for (size_t i = 0; i < sizeof environment_rows / sizeof environment_rows[0]; i++) {
        wf_roff_tag(out, environment_rows[i].name);
        wf_roff_paragraphs(out, environment_rows[i].meaning);
    }
    put_exit_status(NULL, out);
    wf_roff_section(out, "SEE ALSO");
    wf_text_puts(out, ".BR weft\\-run (1),\n.BR weft\\-job (5)\n");
}

static void put_options(const wf_command *command, wf_text *out)
{
    wf_roff_section(out, "OPTIONS");
    for (const wf_cli_option *o = command->options; o && o->name; o++) {
        if (!o->help) continue;
        wf_text_puts(out, ".TP\n");
        if (o->letter) wf_text_printf(out, "\\fB\\-%c\\fR, ", o->letter);
        wf_text_puts(out, "\\fB\\-\\-");
        wf_roff_put(out, o->name);
        wf_text_puts(out, "\\fR");
        if (o->argument) {
            wf_text_puts(out, " \\fI");
            wf_roff_put(out, o->argument);
            wf_text_puts(out, "\\fR");
        }
        wf_text_puts(out, "\n");
        put_line(out, o->help, "\n");
    }
    wf_roff_tag(out, "-h, --help");
    wf_text_puts(out, "prints this in short\n");
}

// What a command prints behind its options, as it prints it.
static void put_more(const wf_command *command, wf_text *out)
{
    char *text = NULL;
    size_t n = 0;
    FILE *file = command->more_help ? open_memstream(&text, &n) : NULL;
    if (!file) return;
    command->more_help(file);
    bool whole = fclose(file) == 0 && text;
    if (whole) wf_text_puts(out, ".PP\n");
    if (whole) wf_roff_example(out, text + strspn(text, "\n"));
    free(text);
}

void wf_manual_put_command(const wf_command *command, wf_text *out)
{
    char page[64];
    snprintf(page, sizeof page, "weft-%s", command->name);
    wf_roff_head(out, page, 1);
    put_name(out, page, command->summary);
    wf_roff_section(out, "SYNOPSIS");
    wf_text_puts(out, ".B weft ");
    wf_roff_put(out, command->name);
    wf_text_puts(out, "\n[\\fIoptions\\fR] ");
    wf_roff_put(out, command->arguments);
    wf_text_puts(out, "\n");
    wf_roff_section(out, "DESCRIPTION");
    put_line(out, command->summary, ".\n");
    if (command->details) {
        wf_text_puts(out, ".PP\n");
        wf_roff_paragraphs(out, command->details);
    }
    put_options(command, out);
    put_more(command, out);
    put_exit_status(command->name, out);
    wf_roff_section(out, "SEE ALSO");
    wf_text_puts(out, ".BR weft (1),\n.BR weft\\-job (5)\n");
}

static void put_key(const wf_option *key, wf_text *out)
{
    char *may_be = NULL;
    wf_text_puts(out, ".TP\n\\fB");
    wf_roff_put(out, key->name);
    wf_text_puts(out, ":\\fR ");
    wf_roff_put(out, !key->default_text     ? "(required)"
                     : key->default_text[0] ? key->default_text
                                            : "\"\"");
    wf_text_puts(out, "\n");
    put_line(out, key->help, "\n.br\n");
    wf_status st = wf_option_may_be(key, &may_be);
    if (st == WF_OK) {
        wf_text_puts(out, "(");
        put_line(out, may_be, ")\n");
    } else {
        out->st = st;
    }
    free(may_be);
}

void wf_manual_put_job(wf_text *out)
{
    char *example = NULL;
    wf_roff_head(out, "weft-job", 5);
    put_name(out, "weft-job", "the job file of weft");
    wf_roff_section(out, "DESCRIPTION");
    wf_roff_paragraphs(out, WF_MANUAL_JOB);
    wf_roff_section(out, "KEYS");
    wf_text_puts(out, "Each with its default.\n");
    for (size_t i = 0; i < wf_jobspec_n_options; i++)
        put_key(&wf_jobspec_table[i], out);
    wf_roff_section(out, "EXAMPLE");
    wf_status st = wf_option_example(wf_jobspec_table, wf_jobspec_n_options, &example);
    if (st == WF_OK)
        wf_roff_example(out, example);
    else
        out->st = st;
    free(example);
    wf_roff_section(out, "SEE ALSO");
    wf_text_puts(out, ".BR weft (1),\n.BR weft\\-run (1)\n");
}
