// Completion for bash, without the package bash-completion. See completion.h.
//
// readline breaks words at "=", so what is typed is read from the line itself, and of a reply only
// what stands behind the last "=" is given back.
#include "jobs/spec/jobspec.h"
#include "launcher/manual/completion.h"

static const char head[] = "# bash completion for weft, made by: weft help completion bash\n\n";

static const char body[] =
    "\n"
    "# Offers the words of $1 that $2 begins.\n"
    "_weft_reply()\n"
    "{\n"
    "    local seen=\n"
    "    [[ $2 != *=* || $COMP_WORDBREAKS != *=* ]] || seen=${2%\"${2##*=}\"}\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$2\")\n"
    "    COMPREPLY=(\"${COMPREPLY[@]#\"$seen\"}\")\n"
    "    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null\n"
    "}\n"
    "\n"
    "# Offers files: compgen's options, then what has been typed of the name.\n"
    "_weft_files()\n"
    "{\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen \"${@:1:$#-1}\" -- \"${!#}\")\n"
    "}\n"
    "\n"
    "# A key and its value, of which $2 is typed, in the word $1.\n"
    "_weft_key()\n"
    "{\n"
    "    local words\n"
    "    if [[ $2 != *=* ]]; then\n"
    "        _weft_reply \"${1%\"$2\"}${_weft_keys// / ${1%\"$2\"}}\" \"$1\"\n"
    "        return\n"
    "    fi\n"
    "    words=$(_weft_words_of \"${2%%=*}\")\n"
    "    if [ -n \"$words\" ]; then\n"
    "        _weft_reply \"${1%\"${1##*=}\"}${words// / ${1%\"${1##*=}\"}}\" \"$1\"\n"
    "    else\n"
    "        _weft_files -f \"${2#*=}\"\n"
    "    fi\n"
    "}\n"
    "\n"
    "_weft()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} word words command kind value\n"
    "    COMPREPLY=()\n"
    "    word=${line##*[[:space:]]} value=$word\n"
    "    read -ra words <<<\"${line%\"$word\"}\"\n"
    "    command=${words[1]-}\n"
    "    if [ ${#words[@]} -lt 2 ]; then\n"
    "        _weft_reply \"$_weft_commands --help --version\" \"$word\"\n"
    "        return\n"
    "    elif [[ $word == --*=* ]]; then\n"
    "        kind=$(_weft_kind_of \"$command\" \"${word%%=*}\") value=${word#*=}\n"
    "    elif [[ $word == -* ]]; then\n"
    "        _weft_reply \"$(_weft_options_of \"$command\") --help\" \"$word\"\n"
    "        return\n"
    "    else\n"
    "        kind=$(_weft_kind_of \"$command\" \"${words[-1]}\")\n"
    "        [ -n \"$kind\" ] || kind=$(_weft_kind_of \"$command\" '')\n"
    "    fi\n"
    "    case $kind in\n"
    "    key) _weft_key \"$word\" \"$value\" ;;\n"
    "    topic) _weft_reply \"$_weft_topics\" \"$word\" ;;\n"
    "    folder) _weft_files -d \"$value\" ;;\n"
    "    file) _weft_files -f \"$value\" ;;\n"
    "    format)\n"
    "        _weft_reply \"$_weft_formats\" \"$word\"\n"
    "        _weft_files -f \"$value\"\n"
    "        ;;\n"
    "    job)\n"
    "        _weft_files -f -X '!*.yaml' \"$value\"\n"
    "        _weft_files -f -X '!*.yml' \"$value\"\n"
    "        _weft_files -d \"$value\"\n"
    "        ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _weft weft\n";

static const char *const kind_names[] = {
    [WF_COMPLETE_NOTHING] = "nothing", [WF_COMPLETE_KEY] = "key", [WF_COMPLETE_FOLDER] = "folder",
    [WF_COMPLETE_FILE] = "file",       [WF_COMPLETE_JOB] = "job", [WF_COMPLETE_FORMAT] = "format",
    [WF_COMPLETE_TOPIC] = "topic",
};

static void put_list(wf_text *out, const char *name, wf_completion kind)
{
    wf_text words = {0};
    wf_completion_put(&words, kind, " ");
    wf_text_printf(out, "_weft_%s='%s'\n", name, words.bytes ? words.bytes + 1 : "");
    if (words.st != WF_OK) out->st = words.st;
    wf_text_free(&words);
}

static void open_case(wf_text *out, const char *comment, const char *function, const char *of)
{
    wf_text_printf(out, "\n# %s\n_weft_%s()\n{\n    case %s in\n", comment, function, of);
}

static void close_case(wf_text *out)
{
    wf_text_puts(out, "    esac\n}\n");
}

static void put_options(wf_text *out)
{
    open_case(out, "The options of the command $1.", "options_of", "$1");
    for (const wf_command *c = wf_commands; c->name; c++) {
        wf_text_printf(out, "    %s) echo '", c->name);
        for (const wf_cli_option *o = c->options; o && o->name; o++)
            if (o->help) wf_text_printf(out, "--%s ", o->name);
        wf_text_puts(out, "' ;;\n");
    }
    close_case(out);
}

static void put_kind(wf_text *out, const wf_command *command, const wf_cli_option *option)
{
    wf_text_printf(out, "    '%s --%s'", command->name, option->name);
    if (option->letter) wf_text_printf(out, " | '%s -%c'", command->name, option->letter);
    wf_text_printf(out, ") echo %s ;;\n", kind_names[wf_completion_of_option(option)]);
}

static void put_kinds(wf_text *out)
{
    open_case(out, "What stands behind the option $2 of the command $1; behind no option: ''.",
              "kind_of", "\"$1 $2\"");
    for (const wf_command *c = wf_commands; c->name; c++) {
        wf_text_printf(out, "    '%s ') echo %s ;;\n", c->name,
                       kind_names[wf_completion_of_arguments(c)]);
        for (const wf_cli_option *o = c->options; o && o->name; o++)
            if (o->help && o->argument) put_kind(out, c, o);
    }
    close_case(out);
}

static void put_words(wf_text *out)
{
    open_case(out, "The words that the key $1 may have.", "words_of", "$1");
    for (size_t i = 0; i < wf_jobspec_n_options; i++) {
        wf_text words = {0};
        if (wf_completion_put_words(&words, &wf_jobspec_table[i], " "))
            wf_text_printf(out, "    %s) echo%s ;;\n", wf_jobspec_table[i].name, words.bytes);
        wf_text_free(&words);
    }
    close_case(out);
}

void wf_bash_put(wf_text *out)
{
    wf_text_puts(out, head);
    wf_text_puts(out, "_weft_commands='");
    for (const wf_command *c = wf_commands; c->name; c++)
        wf_text_printf(out, "%s%s", c == wf_commands ? "" : " ", c->name);
    wf_text_puts(out, "'\n");
    put_list(out, "topics", WF_COMPLETE_TOPIC);
    put_list(out, "formats", WF_COMPLETE_FORMAT);
    put_list(out, "keys", WF_COMPLETE_KEY);
    put_options(out);
    put_kinds(out);
    put_words(out);
    wf_text_puts(out, body);
}
