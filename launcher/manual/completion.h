// Completion for shells: scripts made from the tables of commands, options and job-file keys.
//
//   source <(weft help completion bash)
//
// Each script is complete in itself: it starts no weft. All Local.
#ifndef WF_LAUNCHER_COMPLETION_H
#define WF_LAUNCHER_COMPLETION_H

#include "io/base/option.h"
#include "io/base/text.h"
#include "launcher/cli.h"

typedef struct wf_shell {
    const char *name; // "bash"
    const char *file; // where an installation keeps its script, below share/
    void (*put)(wf_text *out);
} wf_shell;

extern const wf_shell wf_shells[]; // up to a row without a name

// ---- for the writers of scripts -----------------------------------------------------------------

// What may stand where the tables say KEY=VALUE, DIR, OUTPUT ...
typedef enum wf_completion {
    WF_COMPLETE_NOTHING, // a number, a time: only its writer knows
    WF_COMPLETE_KEY,     // a job-file key and its value
    WF_COMPLETE_FOLDER,
    WF_COMPLETE_FILE,
    WF_COMPLETE_JOB,    // a job file
    WF_COMPLETE_FORMAT, // of a log to import
    WF_COMPLETE_TOPIC   // of weft help
} wf_completion;

wf_completion wf_completion_of_option(const wf_cli_option *option);
wf_completion wf_completion_of_arguments(const wf_command *command);

// The words that may stand there, each with `before` in front: keys with their "=", formats,
// topics. Nothing for the other kinds.
void wf_completion_put(wf_text *out, wf_completion kind, const char *before);

// The words that a key may have, alike. False: it has none to list.
bool wf_completion_put_words(wf_text *out, const wf_option *key, const char *before);

void wf_bash_put(wf_text *out);
void wf_zsh_put(wf_text *out);
void wf_fish_put(wf_text *out);

#endif
