// weft status: where a job, or a job array, stands. Reads what the ranks leave in the output folder
// and asks the batch system; writes nothing, and works while the job runs and after.
#include <stdlib.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/text.h"
#include "launcher/commands.h"
#include "launcher/folders.h"
#include "launcher/watch/status_print.h"

// A rank that has fallen silent is one after five seconds; a slow file system gets as long again.
#define SETTLE_NS  (10 * WF_NS_PER_S)
#define REFRESH_NS (2 * WF_NS_PER_S)

enum { RANKS_SHOWN = 32 };

const wf_cli_option wf_status_options_table[] = {
    {"watch", 'w', NULL, "shows it again every two seconds, until the job is over"},
    {"json", 'j', NULL, "as one JSON object; with --watch one line each time"},
    {"all", 'a', NULL, "all ranks, also where there are many"},
    {NULL, 0, NULL, NULL},
};

// Each folder's job, and what the queue says of it.
typedef struct {
    const wf_cli *cli;
    const char *place; // as given
    wf_folders folders;
    wf_watch **watch;     // [folders.n]
    wf_queue_look *queue; // [folders.n]
} status_run;

static void status_close(status_run *s)
{
    for (size_t i = 0; s->watch && i < s->folders.n; i++)
        wf_watch_close(&s->watch[i]);
    free(s->watch);
    free(s->queue);
    wf_folders_free(&s->folders);
}

static wf_status status_open(status_run *s)
{
    WF_TRY(wf_folders_find(s->place, &s->folders));
    WF_TRY(wf_alloc(s->folders.n, sizeof(wf_watch *), &s->watch));
    WF_TRY(wf_alloc(s->folders.n, sizeof *s->queue, &s->queue));
    for (size_t i = 0; i < s->folders.n; i++)
        WF_TRY(wf_watch_open(s->folders.path[i], &s->watch[i]));
    return WF_OK;
}

static wf_standing words_of(const status_run *s, size_t i)
{
    size_t n_shown = s->folders.is_array ? 0 : wf_cli_has(s->cli, "all") ? SIZE_MAX : RANKS_SHOWN;
    return (wf_standing){
        .view = wf_watch_get(s->watch[i]), .queue = &s->queue[i], .n_ranks_shown = n_shown};
}

// ---- text ---------------------------------------------------------------------------------------

static void put_array(const status_run *s, wf_text *out)
{
    size_t n[WF_N_STANDS] = {0};
    bool said = false;
    wf_text_printf(out, "%s: %zu part%s", s->place, s->folders.n, WF_S(s->folders.n));
    for (size_t i = 0; i < s->folders.n; i++)
        n[wf_stand_of(wf_watch_get(s->watch[i]), s->queue[i].word)]++;
    for (int k = 0; k < WF_N_STANDS; k++) {
        if (n[k] == 0) continue;
        wf_text_printf(out, "%s%zu %s", said ? ", " : ": ", n[k], wf_stand_words((wf_stand)k));
        said = true;
    }
    wf_text_puts(out, "\n");
}

static wf_status print_text(const status_run *s, bool redraw)
{
    wf_text out = {0};
    char *text = NULL;
    if (redraw) wf_text_puts(&out, "\x1b[H\x1b[J");
    if (s->folders.is_array) put_array(s, &out);
    for (size_t i = 0; i < s->folders.n; i++) {
        wf_standing words = words_of(s, i);
        wf_standing_text(&words, &out);
    }
    WF_TRY(wf_text_take(&out, &text));
    fputs(text, stdout);
    fflush(stdout);
    free(text);
    return WF_OK;
}

// ---- JSON ---------------------------------------------------------------------------------------

static wf_status print_json(const status_run *s, int indent)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    WF_TRY(wf_json_writer_create(indent, &w));
    wf_json_open_object(w, NULL);
    if (s->folders.is_array) wf_json_open_array(w, "parts");
    for (size_t i = 0; i < s->folders.n; i++) {
        wf_standing words = words_of(s, i);
        if (s->folders.is_array) wf_json_open_object(w, NULL);
        wf_standing_json(&words, w);
        if (s->folders.is_array) wf_json_close(w);
    }
    if (s->folders.is_array) wf_json_close(w);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) fputs(text, stdout);
    fflush(stdout);
    wf_json_writer_destroy(&w);
    return st;
}

// ---- the command --------------------------------------------------------------------------------

static bool goes_on(wf_stand stand)
{
    return stand != WF_STAND_FINISHED && stand != WF_STAND_FAILED && stand != WF_STAND_DRAINED &&
           stand != WF_STAND_ABSENT;
}

static bool all_over(const status_run *s)
{
    for (size_t i = 0; i < s->folders.n; i++)
        if (goes_on(wf_stand_of(wf_watch_get(s->watch[i]), s->queue[i].word))) return false;
    return true;
}

static void ask_queue(status_run *s)
{
    for (size_t i = 0; i < s->folders.n; i++)
        wf_queue_look_take(wf_watch_get(s->watch[i]), &s->queue[i]);
}

// A part that was not started yet is one of an array; a folder alone is none.
static wf_status check_place(const status_run *s)
{
    return s->folders.is_array ? WF_OK
                               : wf_queue_look_check(wf_watch_get(s->watch[0]), &s->queue[0]);
}

static wf_status look_again(status_run *s)
{
    for (size_t i = 0; i < s->folders.n; i++)
        WF_TRY(wf_watch_look(s->watch[i]));
    return WF_OK;
}

// The queue is asked less often than the folder is read: a controller serves everybody.
static wf_status watch_on(status_run *s)
{
    enum { LOOKS_PER_ASK = 8 };
    bool json = wf_cli_has(s->cli, "json"), redraw = !json && isatty(STDOUT_FILENO);
    for (int i = 1;; i++) {
        WF_TRY(json ? print_json(s, 0) : print_text(s, redraw));
        if (all_over(s)) return WF_OK;
        wf_clock_sleep_until(wf_clock_ns() + REFRESH_NS);
        WF_TRY(look_again(s));
        if (i % LOOKS_PER_ASK == 0 || all_over(s)) ask_queue(s);
    }
}

wf_status wf_cmd_status(const wf_cli *cli)
{
    status_run s = {.cli = cli, .place = wf_cli_argument(cli, 0)};
    wf_status st = status_open(&s);
    if (st == WF_OK) ask_queue(&s);
    if (st == WF_OK) st = check_place(&s);
    if (st == WF_OK) st = wf_watch_settle(s.watch, s.folders.n, SETTLE_NS);
    if (st == WF_OK && wf_cli_has(cli, "watch"))
        st = watch_on(&s);
    else if (st == WF_OK)
        st = wf_cli_has(cli, "json") ? print_json(&s, 2) : print_text(&s, false);
    status_close(&s);
    return st;
}
