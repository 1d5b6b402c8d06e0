// Completion for zsh. See completion.h.
#include "jobs/spec/jobspec.h"
#include "launcher/manual/completion.h"

static const char head[] = "#compdef weft\n"
                           "# zsh completion for weft, made by: weft help completion zsh\n\n"
                           "# A key of the job file, or one of the words it may have.\n"
                           "_weft_key()\n"
                           "{\n"
                           "    local -A allowed=(\n";

static const char key_body[] = "    )\n"
                               "    local key\n"
                               "    if [[ $PREFIX == *=* ]]; then\n"
                               "        key=${PREFIX%%=*}\n"
                               "        compset -P '*='\n"
                               "        if (( $+allowed[$key] )); then\n"
                               "            compadd -- ${=allowed[$key]}\n"
                               "        else\n"
                               "            _files\n"
                               "        fi\n"
                               "    else\n";

static const char *action_of(wf_completion kind)
{
    static const char *const actions[] = {
        [WF_COMPLETE_NOTHING] = " ",
        [WF_COMPLETE_KEY] = "_weft_key",
        [WF_COMPLETE_FOLDER] = "_files -/",
        [WF_COMPLETE_FILE] = "_files",
        [WF_COMPLETE_JOB] = "_files -g \"*.(yaml|yml)\"",
    };
    return actions[kind];
}

// In single quotes; inside _arguments' brackets where `specification`: ], [ and : mean something
// there.
static void put_quoted(wf_text *out, const char *words, bool specification)
{
    for (const char *c = words; *c; c++) {
        if (*c == '\'') {
            wf_text_puts(out, "'\\''");
            continue;
        }
        if (*c == '\\' || (specification && (*c == '[' || *c == ']' || *c == ':')))
            wf_text_puts(out, "\\");
        wf_text_add(out, c, 1);
    }
}

// '(-s --set)'{-s,--set}'[help]:KEY=VALUE:_weft_key'; each may be repeated, which is harmless.
static void put_option(wf_text *out, const wf_cli_option *option)
{
    wf_text_puts(out, "            '*'");
    if (option->letter)
        wf_text_printf(out, "{-%c%s,--%s%s}", option->letter, option->argument ? "+" : "",
                       option->name, option->argument ? "=" : "");
    else
        wf_text_printf(out, "--%s%s", option->name, option->argument ? "=" : "");
    wf_text_puts(out, "'[");
    put_quoted(out, option->help, true);
    wf_text_puts(out, "]");
    if (option->argument) {
        wf_text_puts(out, ":");
        put_quoted(out, option->argument, true);
        wf_text_printf(out, ":%s", action_of(wf_completion_of_option(option)));
    }
    wf_text_puts(out, "' \\\n");
}

static void put_arguments(wf_text *out, const wf_command *command)
{
    wf_completion kind = wf_completion_of_arguments(command);
    if (kind == WF_COMPLETE_NOTHING) return;
    wf_text_puts(out, " \\\n            '");
    if (kind == WF_COMPLETE_FORMAT || kind == WF_COMPLETE_TOPIC) {
        wf_text_puts(out, "1:topic:(");
        wf_completion_put(out, kind, " ");
        wf_text_puts(out, ")' '");
        kind = WF_COMPLETE_FILE;
    }
    wf_text_puts(out, "*:");
    put_quoted(out, command->arguments, true);
    wf_text_printf(out, ":%s'", action_of(kind));
}

static void put_command(wf_text *out, const wf_command *command)
{
    wf_text_printf(out, "    %s)\n        _arguments \\\n", command->name);
    for (const wf_cli_option *o = command->options; o && o->name; o++)
        if (o->help) put_option(out, o);
    wf_text_puts(out, "            '(- *)'{-h,--help}'[the options]'");
    put_arguments(out, command);
    wf_text_puts(out, "\n        ;;\n");
}

static void put_key_function(wf_text *out)
{
    wf_text_puts(out, head);
    for (size_t i = 0; i < wf_jobspec_n_options; i++) {
        wf_text words = {0};
        if (wf_completion_put_words(&words, &wf_jobspec_table[i], " "))
            wf_text_printf(out, "        %s '%s'\n", wf_jobspec_table[i].name, words.bytes + 1);
        wf_text_free(&words);
    }
    wf_text_puts(out, key_body);
    wf_text_puts(out, "        compadd -S '' --");
    wf_completion_put(out, WF_COMPLETE_KEY, " \\\n            ");
    wf_text_puts(out, "\n    fi\n}\n\n");
}

void wf_zsh_put(wf_text *out)
{
    put_key_function(out);
    wf_text_puts(out, "_weft()\n{\n    local command\n    local -a commands=(\n");
    for (const wf_command *c = wf_commands; c->name; c++) {
        wf_text_printf(out, "        '%s:", c->name);
        put_quoted(out, c->summary, false);
        wf_text_puts(out, "'\n");
    }
    wf_text_puts(out, "    )\n"
                      "    if (( CURRENT == 2 )); then\n"
                      "        _describe command commands\n"
                      "        compadd -- --help --version\n"
                      "        return\n"
                      "    fi\n"
                      "    command=$words[2]\n"
                      "    shift words\n"
                      "    (( CURRENT-- ))\n"
                      "    case $command in\n");
    for (const wf_command *c = wf_commands; c->name; c++)
        put_command(out, c);
    wf_text_puts(out,
                 "    esac\n}\n\n"
                 "if [[ $funcstack[1] == _weft ]]; then _weft \"$@\"; else compdef _weft weft; "
                 "fi\n");
}
