// weft why: one cause, one remedy, one command to type. Reads what the job left; writes nothing.
#include <stdlib.h>

#include "io/base/clock.h"
#include "launcher/commands.h"
#include "launcher/folders.h"
#include "launcher/watch/status_print.h"
#include "launcher/watch/why_facts.h"

#define SETTLE_NS (10 * WF_NS_PER_S)

const wf_cli_option wf_why_options_table[] = {
    {"json", 'j', NULL, "as JSON, one object for each part of an array"},
    {NULL, 0, NULL, NULL},
};

static wf_status print_json(const wf_watch_view *v, const wf_why_facts *f, const wf_why *why)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "output", v->out_dir);
    wf_json_put_string(w, "state", wf_stand_words(wf_stand_of(v, f->queue->word)));
    wf_json_put_string(w, "cause", wf_cause_word(why->cause));
    wf_json_put_string(w, "words", why->words.bytes);
    wf_json_put_string(w, "remedy", why->remedy.bytes);
    wf_json_put_string(w, "next", why->next.bytes);
    if (why->rank) {
        wf_json_put_i64(w, "rank", why->rank->is.rank);
        wf_json_put_string(w, "host", why->rank->is.host);
        wf_json_put_i64(w, "group", why->rank->is.group);
        wf_json_put_i64(w, "step", wf_rank_status_step(&why->rank->is));
        wf_json_put_i64(w, "exit_code", why->rank->is.exit_code);
    }
    wf_json_put_i64(w, "requests_done", v->requests_done);
    wf_json_put_i64(w, "requests_sealed", v->requests_sealed);
    wf_json_put_i64(w, "requests_total", v->requests_total);
    if (f->n_failed >= 0) wf_json_put_i64(w, "requests_failed", f->n_failed);
    wf_json_put_string(w, "job_id", f->queue->job_id);
    wf_json_put_string(w, "queue_state", f->queue->state);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) fputs(text, stdout);
    wf_json_writer_destroy(&w);
    return st;
}

static void print_text(const wf_watch_view *v, const wf_why_facts *f, const wf_why *why)
{
    printf("%s: %s\n", v->out_dir, wf_stand_words(wf_stand_of(v, f->queue->word)));
    printf("  cause   %s\n", why->words.bytes);
    printf("  remedy  %s\n", why->remedy.bytes);
    printf("  next    %s\n", why->next.bytes);
}

static wf_status explain(const wf_cli *cli, const wf_watch_view *v, bool is_part)
{
    wf_queue_look queue;
    wf_why_facts facts;
    wf_why why;
    wf_queue_look_take(v, &queue);
    if (!is_part) WF_TRY(wf_queue_look_check(v, &queue));
    wf_why_sources *sources = malloc(sizeof *sources);
    if (!sources) return wf_fail(WF_NO_MEMORY, "why: out of memory");
    wf_why_facts_gather(v, &queue, sources, &facts);
    facts.program = wf_cli_program(cli);
    wf_status st = wf_why_decide(&facts, &why);
    if (st == WF_OK && wf_cli_has(cli, "json"))
        st = print_json(v, &facts, &why);
    else if (st == WF_OK)
        print_text(v, &facts, &why);
    wf_why_free(&why);
    free(sources);
    return st;
}

wf_status wf_cmd_why(const wf_cli *cli)
{
    wf_folders folders = {0};
    WF_TRY(wf_folders_find(wf_cli_argument(cli, 0), &folders));
    wf_status st = WF_OK;
    for (size_t i = 0; i < folders.n && st == WF_OK; i++) {
        wf_watch *watch = NULL;
        st = wf_watch_open(folders.path[i], &watch);
        if (st == WF_OK) st = wf_watch_settle(&watch, 1, SETTLE_NS);
        if (st == WF_OK) st = explain(cli, wf_watch_get(watch), folders.is_array);
        wf_watch_close(&watch);
    }
    wf_folders_free(&folders);
    return st;
}
