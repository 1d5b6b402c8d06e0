// The screen of weft top at all sizes: no line is wider, no screen higher than the terminal.
#include "tests/base/base_test.h"

#include <stdlib.h>

#include "launcher/watch/top_screen.h"

enum { N_RANKS = 3 };

static wf_watch_rank ranks[N_RANKS];

static wf_watch_view view_make(void)
{
    for (int i = 0; i < N_RANKS; i++) {
        wf_rank_status *is = &ranks[i].is;
        ranks[i] = (wf_watch_rank){.pulse = WF_PULSE_BEATS, .tokens_per_s = 1234};
        *is = (wf_rank_status){.rank = i, .group = i / 2, .position = i % 2, .exit_code = -1};
        is->operation = WF_OPERATION_STEP;
        snprintf(is->host, sizeof is->host, "n\303\266de%d", i);
        is->kv_pages_total = 100;
        is->kv_pages = 50;
        for (size_t k = 0; is->position == 0 && k < 20; k++)
            is->flight[is->n_flights++] = (wf_rank_flight){.row = 100 + k,
                                                           .n_prompt = 100,
                                                           .n_done = k < 3 ? 50 : 100,
                                                           .n_tokens = k < 3 ? 0 : (int64_t)k * 5,
                                                           .n_limit = 100};
    }
    ranks[2].pulse = WF_PULSE_QUIET;
    snprintf(ranks[1].is.error, sizeof ranks[1].is.error, "bad\x1b[31m news\n");
    return (wf_watch_view){.n_runs = 1,
                           .n_rows = 400,
                           .requests_total = 400,
                           .requests_done = 100,
                           .waiting = 7,
                           .in_flight = 40,
                           .kv_pages = 100,
                           .kv_pages_total = 200,
                           .tokens_per_s = 2468,
                           .requests_per_s = 3,
                           .eta_ns = 60000000000,
                           .n_ranks = N_RANKS,
                           .rank = ranks};
}

static char *draw(int width, int height, bool fancy, size_t n_parts)
{
    static wf_top_history history;
    static wf_watch_view view;
    view = view_make();
    const wf_top_part parts[2] = {{"out/a0", &view, WF_STAND_RUNNING},
                                  {"out/a1", &view, WF_STAND_RUNNING}};
    const wf_top_frame frame = {.place = "out/first",
                                .parts = parts,
                                .n_parts = n_parts,
                                .history = &history,
                                .width = width,
                                .height = height,
                                .colour = fancy,
                                .unicode = fancy};
    wf_text out = {0};
    char *text = NULL;
    for (int i = 0; i < 3; i++)
        wf_top_remember(parts, n_parts, &history);
    wf_top_draw(&frame, &out);
    assert_ok(wf_text_take(&out, &text));
    return text;
}

// Columns of the widest line, escape sequences apart; *n_lines of them.
static int columns_of(const char *text, int *n_lines)
{
    int column = 0, most = 0;
    *n_lines = 1;
    for (const char *c = text; *c; c++) {
        if (*c == 0x1b) {
            while (*c && !((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')))
                c++;
        } else if (*c == '\n') {
            ++*n_lines;
            column = 0;
        } else if (((unsigned char)*c & 0xc0) != 0x80) {
            column++;
        }
        if (column > most) most = column;
    }
    return most;
}

static void it_fits_every_terminal(void **state)
{
    (void)state;
    for (int width = 1; width < 200; width += width < 40 ? 1 : 13)
        for (int height = 1; height < 60; height += height < 12 ? 1 : 7)
            for (size_t n = 1; n <= 2; n++) {
                int n_lines;
                char *text = draw(width, height, width % 2, n);
                assert_in_range(columns_of(text, &n_lines), 0, width);
                assert_in_range(n_lines, 1, height);
                free(text);
            }
}

static void it_shows_what_there_is(void **state)
{
    (void)state;
    char *text = draw(120, 40, false, 1);
    assert_contains(text, "out/first  running");
    assert_contains(text, "100/400 requests (25.0%), ETA 1m00s");
    assert_contains(text, "2.5k tokens/s, 3.0 requests/s");
    assert_contains(text, "7 waiting, 40 in the batch");
    assert_contains(text, "0:100.0");
    assert_contains(text, "prompt 50/100");
    assert_contains(text, "100 + 15 of 100");
    // half a prompt is a quarter of the bar, and 75 of 100 tokens three eighths
    assert_contains(text,
                    " ================................................................ prompt");
    assert_contains(text, " ================================########################........");
    assert_contains(text, "no heartbeat");
    assert_contains(text, "bad?[31m news?"); // what a rank says is no command to the terminal
    free(text);
}

static void a_pipe_gets_a_line(void **state)
{
    (void)state;
    wf_watch_view view = view_make();
    const wf_top_part part = {"out/a0", &view, WF_STAND_RUNNING};
    wf_text out = {0};
    char *text = NULL;
    wf_top_line(&part, &out);
    assert_ok(wf_text_take(&out, &text));
    assert_string_equal(text, "out/a0: running, 100/400 requests (25.0%), 2.5k tokens/s, 40 in "
                              "flight, 7 queued, KV 50%, ETA 1m00s");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fits_every_terminal),
        cmocka_unit_test(it_shows_what_there_is),
        cmocka_unit_test(a_pipe_gets_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
