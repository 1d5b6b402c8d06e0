// weft help: commands, keys of the job file, exit codes; manual pages and completions.
#include <stdlib.h>
#include <string.h>

#include "io/base/text.h"
#include "jobs/spec/jobspec.h"
#include "launcher/commands.h"
#include "launcher/errors.h"
#include "launcher/manual/completion.h"
#include "launcher/manual/manual.h"
#include "launcher/manual/share.h"
#include "results/figures.h"

const wf_cli_option wf_help_options[] = {
    {"markdown", 0, NULL, "keys: the whole reference, as in jobs/JOBFILE.md"},
    {"example", 0, NULL, "keys: a complete job file to start from"},
    {"share", 0, "DIR", "writes all manual pages and completions below DIR, as installed"},
    {NULL, 0, NULL, NULL},
};

#define REFERENCE_HEAD                                                                             \
    "# The job file\n\n" WF_MANUAL_JOB                                                             \
    "\nMade from the program's own table by `weft help keys --markdown`.\n\n"

// Prints a text and frees it.
static wf_status print(wf_text *text)
{
    wf_status st = text->st;
    if (st == WF_OK && text->n > 0) fputs(text->bytes, stdout);
    wf_text_free(text);
    return st;
}

static wf_status print_keys(const wf_cli *cli)
{
    const char *word = wf_cli_argument(cli, 1) ? wf_cli_argument(cli, 1) : "";
    char *text = NULL;
    wf_status st;
    if (wf_cli_has(cli, "markdown")) {
        fputs(REFERENCE_HEAD, stdout);
        st = wf_option_markdown(wf_jobspec_table, wf_jobspec_n_options, &text);
    } else if (wf_cli_has(cli, "example")) {
        st = wf_option_example(wf_jobspec_table, wf_jobspec_n_options, &text);
    } else {
        st = wf_option_help(wf_jobspec_table, wf_jobspec_n_options, word, &text);
    }
    if (st == WF_OK && !text[0]) st = wf_cli_fail(cli, "no key has \"%s\" in its name", word);
    if (st == WF_OK) fputs(text, stdout);
    free(text);
    return st;
}

static wf_status print_exit_codes(const wf_cli *cli)
{
    (void)cli;
    wf_exit_codes_print(stdout);
    return WF_OK;
}

// weft help man run: the page in roff; man -l - shows it.
static wf_status print_page(const wf_cli *cli)
{
    const char *page = wf_cli_argument(cli, 1);
    const wf_command *command = page ? wf_command_find(page) : NULL;
    wf_text text = {0};
    if (!page)
        wf_manual_put_overview(&text);
    else if (strcmp(page, "job") == 0)
        wf_manual_put_job(&text);
    else if (command)
        wf_manual_put_command(command, &text);
    else
        return wf_cli_fail(cli, "no manual page of \"%s\": a command or job is expected", page);
    return print(&text);
}

static wf_status print_completion(const wf_cli *cli)
{
    const char *name = wf_cli_argument(cli, 1);
    wf_text text = {0};
    for (const wf_shell *shell = wf_shells; name && shell->name; shell++) {
        if (strcmp(shell->name, name) != 0) continue;
        shell->put(&text);
        return print(&text);
    }
    return wf_cli_fail(cli, "completion: for which shell? bash, zsh or fish");
}

static wf_status print_figures(const wf_cli *cli)
{
    (void)cli;
    wf_figures_explain(stdout);
    return WF_OK;
}

// What weft help explains besides commands.
static const struct {
    const char *name;
    bool takes_word; // behind it
    wf_status (*run)(const wf_cli *cli);
} topics[] = {
    {"keys", true, print_keys},
    {"exit-codes", false, print_exit_codes},
    {"figures", false, print_figures},
    {"man", true, print_page},
    {"completion", true, print_completion},
};

enum { N_TOPICS = sizeof topics / sizeof topics[0] };

const char *wf_help_topic(size_t i)
{
    return i < N_TOPICS ? topics[i].name : NULL;
}

static wf_status unknown_topic(const wf_cli *cli, const char *topic)
{
    const char *names[48];
    size_t n = 0;
    for (size_t i = 0; i < N_TOPICS; i++)
        names[n++] = topics[i].name;
    for (const wf_command *c = wf_commands; c->name && n < 48; c++)
        names[n++] = c->name;
    const char *near = wf_nearest_word(topic, names, n);
    if (near) return wf_cli_fail(cli, "no command or topic \"%s\"; did you mean %s?", topic, near);
    return wf_cli_fail(cli, "no command or topic \"%s\"", topic);
}

wf_status wf_cmd_help(const wf_cli *cli)
{
    const char *topic = wf_cli_argument(cli, 0), *word = wf_cli_argument(cli, 1);
    const wf_command *command = topic ? wf_command_find(topic) : NULL;
    if (wf_cli_has(cli, "share")) return wf_share_write(wf_cli_value(cli, "share"));
    for (size_t i = 0; topic && !command && i < N_TOPICS; i++) {
        bool is_it = strcmp(topics[i].name, topic) == 0;
        if (is_it && (!word || topics[i].takes_word)) return topics[i].run(cli);
    }
    if (word) return wf_cli_fail(cli, "do not know what to do with \"%s\"", word);
    if (topic && !command) return unknown_topic(cli, topic);
    if (command)
        wf_cli_print_help(command, stdout);
    else
        wf_cli_print_overview(stdout);
    return WF_OK;
}
