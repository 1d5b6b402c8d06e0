// What all shells' scripts share. See completion.h.
#include "launcher/manual/completion.h"

#include <string.h>

#include "jobs/spec/jobspec.h"
#include "jobs/streams/import.h"
#include "launcher/commands.h"

const wf_shell wf_shells[] = {
    {"bash", "bash-completion/completions/weft", wf_bash_put},
    {"zsh", "zsh/site-functions/_weft", wf_zsh_put},
    {"fish", "fish/vendor_completions.d/weft.fish", wf_fish_put},
    {0},
};

// The first word of an argument, as help shows it, and what it stands for.
typedef struct {
    const char *argument;
    wf_completion kind;
} kind_row;

static const kind_row kind_rows[] = {
    {"KEY=VALUE", WF_COMPLETE_KEY}, {"DIR", WF_COMPLETE_FOLDER},    {"FILE", WF_COMPLETE_FILE},
    {"JOB.yaml", WF_COMPLETE_JOB},  {"FORMAT", WF_COMPLETE_FORMAT}, {"[COMMAND", WF_COMPLETE_TOPIC},
    {"N", WF_COMPLETE_NOTHING},     {"TIME", WF_COMPLETE_NOTHING},
};

static wf_completion kind_of(const char *argument, wf_completion otherwise)
{
    size_t n = strcspn(argument, " ");
    for (size_t i = 0; i < sizeof kind_rows / sizeof kind_rows[0]; i++) {
        const kind_row *row = &kind_rows[i];
        if (strlen(row->argument) == n && strncmp(row->argument, argument, n) == 0)
            return row->kind;
    }
    return otherwise;
}

wf_completion wf_completion_of_option(const wf_cli_option *option)
{
    return kind_of(option->argument, WF_COMPLETE_NOTHING);
}

wf_completion wf_completion_of_arguments(const wf_command *command)
{
    if (!command->arguments[0]) return WF_COMPLETE_NOTHING;
    return kind_of(command->arguments, WF_COMPLETE_FILE);
}

static void put(wf_text *out, const char *before, const char *word, const char *behind)
{
    wf_text_puts(out, before);
    wf_text_puts(out, word);
    wf_text_puts(out, behind);
}

void wf_completion_put(wf_text *out, wf_completion kind, const char *before)
{
    if (kind == WF_COMPLETE_KEY)
        for (size_t i = 0; i < wf_jobspec_n_options; i++)
            put(out, before, wf_jobspec_table[i].name, "=");
    if (kind == WF_COMPLETE_FORMAT)
        for (size_t i = 0; i < wf_import_n_formats(); i++)
            put(out, before, wf_import_format_name(i), "");
    if (kind == WF_COMPLETE_FORMAT)
        for (size_t i = 0; i < wf_synth_n_names(); i++)
            put(out, before, wf_synth_name(i), "");
    if (kind != WF_COMPLETE_TOPIC) return;
    for (size_t i = 0; wf_help_topic(i); i++)
        put(out, before, wf_help_topic(i), "");
    for (const wf_command *c = wf_commands; c->name; c++)
        put(out, before, c->name, "");
}

bool wf_completion_put_words(wf_text *out, const wf_option *key, const char *before)
{
    bool is_bool = key->type == WF_OPTION_BOOL;
    if (is_bool) wf_text_printf(out, "%strue%sfalse", before, before);
    for (const wf_option_word *w = key->words; w && w->word; w++)
        put(out, before, w->word, "");
    return is_bool || key->words;
}
