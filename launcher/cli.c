// Parsing by table, and help from the same table. See cli.h.
#include "launcher/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/text.h"

enum { MAX_OPTIONS = 32, HELP_INDEX = MAX_OPTIONS, HELP_COLUMN = 28 };

// One option's values, in the order given.
typedef struct {
    size_t n, capacity;
    const char **value;
} values;

struct wf_cli {
    const wf_command *command;
    bool wants_help;
    values given[MAX_OPTIONS];
    size_t n_arguments;
    char **arguments;
    const char *program;
    char **argv; // NULL-ended, behind the program
};

const wf_command *wf_command_find(const char *name)
{
    for (const wf_command *c = wf_commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static size_t n_options(const wf_command *command)
{
    size_t n = 0;
    while (command->options && command->options[n].name)
        n++;
    return n;
}

wf_status wf_cli_fail(const wf_cli *cli, const char *format, ...)
{
    char text[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return wf_fail(WF_USAGE, "%s (see weft help %s)", text, cli->command->name);
}

// The tables as getopt wants them. getopt's `val` is the row's index, above any letter's code.
static void tables_for_getopt(const wf_command *command, struct option *longs, char *shorts)
{
    size_t n = n_options(command);
    for (size_t i = 0; i < n; i++) {
        const wf_cli_option *row = &command->options[i];
        longs[i] = (struct option){.name = row->name,
                                   .has_arg = row->argument ? required_argument : no_argument,
                                   .val = 256 + (int)i};
        if (!row->letter) continue;
        *shorts++ = row->letter;
        if (row->argument) *shorts++ = ':';
    }
    longs[n] = (struct option){.name = "help", .val = 256 + HELP_INDEX};
    longs[n + 1] = (struct option){0};
    *shorts++ = 'h';
    *shorts = '\0';
}

static wf_status unknown_option(const wf_cli *cli, const char *text)
{
    const char *names[MAX_OPTIONS];
    size_t n = n_options(cli->command);
    char word[64];
    size_t n_shown = 0;
    for (size_t i = 0; i < n; i++)
        if (cli->command->options[i].help) names[n_shown++] = cli->command->options[i].name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text + 2, "="), text + 2);
    const char *near = strncmp(text, "--", 2) == 0 ? wf_nearest_word(word, names, n_shown) : NULL;
    if (near) return wf_cli_fail(cli, "unknown option %s; did you mean --%s?", text, near);
    return wf_cli_fail(cli, "unknown option %s", text);
}

static size_t index_of_letter(const wf_command *command, int letter)
{
    size_t i = 0;
    while (command->options[i].letter != (char)letter)
        i++; // getopt returns only letters of the table
    return i;
}

static wf_status take_options(wf_cli *cli, int argc, char **argv)
{
    struct option longs[MAX_OPTIONS + 2];
    char shorts[2 * MAX_OPTIONS + 4] = ":";
    tables_for_getopt(cli->command, longs, shorts + 1);
    opterr = 0;
    optind = 0; // GNU: start over
    for (;;) {
        int before = optind > 0 ? optind : 1;
        int c = getopt_long(argc, argv, shorts, longs, NULL);
        if (c == -1) return WF_OK;
        if (c == ':') return wf_cli_fail(cli, "option %s needs a value", argv[optind - 1]);
        if (c == '?') return unknown_option(cli, argv[optind > before ? optind - 1 : before]);
        if (c == 'h' || c == 256 + HELP_INDEX) {
            cli->wants_help = true;
            return WF_OK;
        }
        size_t i = c >= 256 ? (size_t)(c - 256) : index_of_letter(cli->command, c);
        values *v = &cli->given[i];
        WF_TRY(wf_grow(v->n + 1, sizeof *v->value, &v->capacity, &v->value));
        v->value[v->n++] = optarg ? optarg : "";
    }
}

static wf_status check_arguments(const wf_cli *cli)
{
    const wf_command *command = cli->command;
    if ((int)cli->n_arguments < command->min_arguments)
        return wf_cli_fail(cli, "usage: weft %s [options] %s", command->name, command->arguments);
    if (command->max_arguments >= 0 && (int)cli->n_arguments > command->max_arguments) {
        return wf_cli_fail(cli, "do not know what to do with \"%s\"",
                           cli->arguments[command->max_arguments]);
    }
    return WF_OK;
}

wf_status wf_cli_parse(const wf_command *command, int argc, char **argv, wf_cli **out)
{
    wf_cli *cli;
    WF_TRY(wf_alloc(1, sizeof *cli, &cli));
    cli->command = command;
    cli->program = argv[0];
    cli->argv = argv + 1;
    wf_status st = take_options(cli, argc - 1, cli->argv);
    cli->arguments = cli->argv + optind;
    cli->n_arguments = (size_t)(argc - 1 - optind);
    if (st == WF_OK && !cli->wants_help) st = check_arguments(cli);
    if (st != WF_OK) {
        wf_cli_destroy(&cli);
        return st;
    }
    *out = cli;
    return WF_OK;
}

void wf_cli_destroy(wf_cli **cli)
{
    if (!cli || !*cli) return;
    for (size_t i = 0; i < MAX_OPTIONS; i++)
        free((*cli)->given[i].value);
    free(*cli);
    *cli = NULL;
}

bool wf_cli_wants_help(const wf_cli *cli)
{
    return cli->wants_help;
}

size_t wf_cli_n_arguments(const wf_cli *cli)
{
    return cli->n_arguments;
}

const char *wf_cli_argument(const wf_cli *cli, size_t i)
{
    return i < cli->n_arguments ? cli->arguments[i] : NULL;
}

const char *wf_cli_program(const wf_cli *cli)
{
    return cli->program;
}

char *wf_cli_line(const wf_cli *cli, char *text, size_t text_bytes)
{
    size_t used = (size_t)snprintf(text, text_bytes, "weft");
    for (char **word = cli->argv; *word && used < text_bytes; word++) {
        int n = snprintf(text + used, text_bytes - used, " %s", *word);
        used += n > 0 ? (size_t)n : 0;
    }
    return text;
}

char *wf_cli_shell_line(const wf_cli *cli, const char *without, char *text, size_t text_bytes)
{
    wf_text line = {0};
    wf_text_put_shell(&line, cli->program);
    for (char **word = cli->argv; *word; word++) {
        if (strncmp(*word, without, strlen(without)) == 0) continue;
        wf_text_puts(&line, " ");
        wf_text_put_shell(&line, *word);
    }
    snprintf(text, text_bytes, "%s", line.st == WF_OK ? line.bytes : cli->program);
    wf_text_free(&line);
    return text;
}

const char *const *wf_cli_values(const wf_cli *cli, const char *option, size_t *n)
{
    for (size_t i = 0; i < n_options(cli->command); i++) {
        if (strcmp(cli->command->options[i].name, option) != 0) continue;
        *n = cli->given[i].n;
        return cli->given[i].value;
    }
    *n = 0;
    return NULL;
}

bool wf_cli_has(const wf_cli *cli, const char *option)
{
    size_t n;
    wf_cli_values(cli, option, &n);
    return n > 0;
}

const char *wf_cli_value(const wf_cli *cli, const char *option)
{
    size_t n;
    const char *const *value = wf_cli_values(cli, option, &n);
    return n > 0 ? value[n - 1] : NULL;
}

wf_status wf_cli_i64(const wf_cli *cli, const char *option, long long min, long long max,
                     long long otherwise, long long *out)
{
    const char *text = wf_cli_value(cli, option);
    int64_t value = otherwise;
    if (text && wf_parse_i64(text, min, max, &value) != WF_OK)
        return wf_cli_fail(cli, "--%s: %s", option, wf_error());
    *out = value;
    return WF_OK;
}

// ---- help ---------------------------------------------------------------------------------------

// Prints `left`, then `right` wrapped in a column of its own.
static void print_row(FILE *file, const char *left, const char *right)
{
    enum { RIGHT_EDGE = 96 };
    int column = fprintf(file, "  %s", left);
    if (column > HELP_COLUMN - 2) {
        fputc('\n', file);
        column = 0;
    }
    column += fprintf(file, "%*s", HELP_COLUMN - column, "");
    while (*right) {
        int n = (int)strcspn(right, " ");
        if (column > HELP_COLUMN && column + 1 + n > RIGHT_EDGE) {
            fprintf(file, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += fprintf(file, "%s%.*s", column > HELP_COLUMN ? " " : "", n, right);
        right += n;
        right += strspn(right, " ");
    }
    fputc('\n', file);
}

void wf_cli_print_overview(FILE *file)
{
    fputs("weft " WF_CLI_WHAT_IT_DOES ".\n\nusage: weft COMMAND [options] ARGUMENTS\n\n"
          "commands:\n",
          file);
    for (const wf_command *c = wf_commands; c->name; c++)
        print_row(file, c->name, c->summary);
    fputs("\n", file);
    print_row(file, "--help", "this text; weft help COMMAND says more of a command");
    print_row(file, "--version", "version, parts and libraries of this binary");
}

static void option_text(const wf_cli_option *option, char *text, size_t text_bytes)
{
    int n = option->letter ? snprintf(text, text_bytes, "-%c, ", option->letter) : 0;
    snprintf(text + n, text_bytes - (size_t)n, "--%s%s%s", option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
}

void wf_cli_print_help(const wf_command *command, FILE *file)
{
    char text[128];
    fprintf(file, "usage: weft %s [options] %s\n\n%s.\n", command->name, command->arguments,
            command->summary);
    if (command->details) fprintf(file, "\n%s", command->details);
    fputs("\noptions:\n", file);
    for (size_t i = 0; i < n_options(command); i++) {
        if (!command->options[i].help) continue;
        option_text(&command->options[i], text, sizeof text);
        print_row(file, text, command->options[i].help);
    }
    print_row(file, "-h, --help", "this text");
    if (command->more_help) command->more_help(file);
}
