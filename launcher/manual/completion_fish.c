// Completion for fish. See completion.h.
#include "jobs/spec/jobspec.h"
#include "launcher/manual/completion.h"

// In fish's single quotes only these two need a backslash.
static void put_quoted(wf_text *out, const char *words)
{
    wf_text_puts(out, "'");
    for (const char *c = words; *c; c++) {
        if (*c == '\'' || *c == '\\') wf_text_puts(out, "\\");
        wf_text_add(out, c, 1);
    }
    wf_text_puts(out, "'");
}

static void put_keys(wf_text *out)
{
    wf_text_puts(out, "# Keys of the job file, and with each the words that it may have.\n"
                      "function __weft_keys\n");
    for (size_t i = 0; i < wf_jobspec_n_options; i++) {
        const wf_option *key = &wf_jobspec_table[i];
        wf_text before = {0};
        wf_text_printf(out, "    printf '%%s\\t%%s\\n' %s= ", key->name);
        put_quoted(out, key->help);
        wf_text_printf(&before, " %s=", key->name);
        if (before.st == WF_OK && (key->words || key->type == WF_OPTION_BOOL)) {
            wf_text_puts(out, "\n    printf '%s\\n'");
            wf_completion_put_words(out, key, before.bytes);
        }
        wf_text_puts(out, "\n");
        wf_text_free(&before);
    }
    wf_text_puts(out, "end\n\n");
}

// What follows an option: -x takes a value and offers no files, -r offers them.
static const char *value_of(wf_completion kind)
{
    static const char *const values[] = {
        [WF_COMPLETE_NOTHING] = " -x",
        [WF_COMPLETE_KEY] = " -x -a '(__weft_keys)'",
        [WF_COMPLETE_FOLDER] = " -x -a '(__fish_complete_directories)'",
        [WF_COMPLETE_FILE] = " -r -F",
    };
    return values[kind];
}

static void put_option(wf_text *out, const char *when, const wf_cli_option *option)
{
    wf_text_printf(out, "complete -c weft -n '%s' -l %s", when, option->name);
    if (option->letter) wf_text_printf(out, " -s %c", option->letter);
    if (option->argument) wf_text_puts(out, value_of(wf_completion_of_option(option)));
    wf_text_puts(out, " -d ");
    put_quoted(out, option->help);
    wf_text_puts(out, "\n");
}

static void put_arguments(wf_text *out, const char *when, const wf_command *command)
{
    wf_completion kind = wf_completion_of_arguments(command);
    if (kind == WF_COMPLETE_NOTHING) return;
    wf_text_printf(out, "complete -c weft -n '%s'", when);
    if (kind != WF_COMPLETE_TOPIC) wf_text_puts(out, " -F");
    if (kind == WF_COMPLETE_TOPIC || kind == WF_COMPLETE_FORMAT) {
        wf_text_puts(out, " -a '");
        wf_completion_put(out, kind, " ");
        wf_text_puts(out, "'");
    }
    if (kind == WF_COMPLETE_JOB)
        wf_text_puts(out, " -k -a '(__fish_complete_suffix .yaml)'"); // those first
    wf_text_puts(out, "\n");
}

static void put_command(wf_text *out, const wf_command *command)
{
    wf_text when = {0};
    wf_text_printf(&when, "__weft_is %s", command->name);
    if (when.st != WF_OK) {
        out->st = when.st;
        return;
    }
    wf_text_printf(out, "\ncomplete -c weft -n __weft_none -a %s -d ", command->name);
    put_quoted(out, command->summary);
    wf_text_puts(out, "\n");
    for (const wf_cli_option *o = command->options; o && o->name; o++)
        if (o->help) put_option(out, when.bytes, o);
    put_arguments(out, when.bytes, command);
    wf_text_free(&when);
}

void wf_fish_put(wf_text *out)
{
    wf_text_puts(out, "# fish completion for weft, made by: weft help completion fish\n\n");
    put_keys(out);
    wf_text_puts(out, "# The command is the second word, whatever comes behind it.\n"
                      "function __weft_is\n"
                      "    set -l words (commandline -opc)\n"
                      "    test (count $words) -gt 1; and test $words[2] = $argv[1]\n"
                      "end\n\n"
                      "function __weft_none\n"
                      "    test (count (commandline -opc)) -eq 1\n"
                      "end\n\n"
                      "complete -c weft -f\n"
                      "complete -c weft -s h -l help -d 'The options'\n"
                      "complete -c weft -n __weft_none -l version -d 'Versions'\n");
    for (const wf_command *c = wf_commands; c->name; c++)
        put_command(out, c);
}
