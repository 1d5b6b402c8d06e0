// The screen of weft top: what a job's ranks say, drawn for a width and a height.
//
//   out/first  running                                       2m05s
//   requests   1,234/50,000 requests (2.4%), ETA 12m33s   ######..........
//   rate       41.2k tokens/s                               .:-=+*#%@
//   queue      120                                          ...
//   group 0    rank 0 on node01  step 1,234  256 rows  120 queued  KV 63%  41.2k tokens/s
//     0:17.0   ============>>>>>>..........    120 + 13 of 64
//
// Pure: a frame in, text out; nothing here reads files or knows a terminal.
#ifndef WF_LAUNCHER_TOP_SCREEN_H
#define WF_LAUNCHER_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/text.h"
#include "jobs/watch/watch.h"

enum { WF_TOP_HISTORY = 256 }; // looks that a curve goes back

typedef struct wf_top_history {
    double tokens_per_s[WF_TOP_HISTORY], waiting[WF_TOP_HISTORY]; // the newest last
    size_t n;
} wf_top_history;

typedef struct wf_top_part { // one output folder: a job, or one task of an array
    const char *name;
    const wf_watch_view *view; // borrow
    wf_stand stand;
} wf_top_part;

typedef struct wf_top_frame {
    const char *place;
    const wf_top_part *parts; // [n_parts]
    size_t n_parts;
    const wf_top_history *history;
    int width, height; // of the terminal
    bool colour, unicode;
} wf_top_frame;

// All parts together at this moment; the curves' next values.
void wf_top_remember(const wf_top_part *parts, size_t n_parts, wf_top_history *history);

// At most `height` lines of at most `width` columns, each ended by a newline but the last. A
// terminal that is too small gets as much as fits.
void wf_top_draw(const wf_top_frame *frame, wf_text *out);

// One line for a pipe: "out/first: running, 1,234/50,000 requests (2.4%), ...".
void wf_top_line(const wf_top_part *part, wf_text *out);

#endif
