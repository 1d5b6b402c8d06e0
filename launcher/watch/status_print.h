// Where a job stands, for people and for programs.
//
// All Local; nothing here reads files.
#ifndef WF_LAUNCHER_STATUS_PRINT_H
#define WF_LAUNCHER_STATUS_PRINT_H

#include <stdbool.h>

#include "io/base/json_writer.h"
#include "io/base/text.h"
#include "jobs/watch/watch.h"
#include "launcher/watch/queue_look.h"

typedef struct wf_standing {
    const wf_watch_view *view; // borrowed
    const wf_queue_look *queue;
    size_t n_ranks_shown; // at most so many ranks, those in trouble first; 0: one line for the job
} wf_standing;

// "out/first: running", and what belongs to it, a line each.
void wf_standing_text(const wf_standing *words, wf_text *out);

// The same as members of the object that is open in `w`: all ranks.
void wf_standing_json(const wf_standing *words, wf_json_writer *w);

// The rank's error, else why it drains, else what is wrong with its pulse; "" when all is well.
char *wf_rank_last_words(const wf_watch_rank *rank, char *text, size_t text_bytes);

#endif
