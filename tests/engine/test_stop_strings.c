// Stop strings in the engine: every request ends with the token that completes one, by the
// definition, whatever the way of running; its tokens are those it would have had without.
//
//   test_stop_strings BACKEND
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine/rig.h"

static const char *backend = "ref";

enum { N = 12, LENGTH = 40, MOST_TEXT = 4 * LENGTH };

// What rows are ended by, at most two texts; `min` tokens come first.
static const struct {
    const char *strings[2];
    uint32_t min;
    float temperature;
    bool token; // its own 6th token ends it as well
} rows[N] = {
    {{NULL}, 0, 0, false},       {{"ab"}, 0, 0, false},   {{"b", "ab"}, 0, 0, false},
    {{"cc", "ba"}, 0, 0, false}, {{"aa"}, 9, 0, false},   {{"abcab"}, 0, 0, false},
    {{"never"}, 0, 0, false},    {{"a"}, 0, 1.0f, false}, {{"bca", "caa"}, 5, 1.0f, false},
    {{"abba"}, 0, 1.0f, false},  {{"never"}, 0, 0, true}, {{"acb", "bb"}, 20, 0, false},
};

typedef struct fixture {
    golden g;
    rig r;
    wf_pieces *pieces;
    rig_request request[N];
    wf_sampling sampling[N];
    uint8_t packed[N][32];
    rig_output free_run[N]; // without anything that ends a request
    uint32_t want[N];       // tokens
    const char *string[N];  // NULL: none
} fixture;

// None to three letters of an alphabet of three.
static size_t piece_of(int32_t token, char out[3])
{
    uint32_t h = (uint32_t)token * 2654435761u >> 16;
    size_t n = h % 4;
    for (size_t i = 0; i < n; i++, h /= 3)
        out[i] = (char)('a' + h / 4 % 3);
    return n;
}

static void make_pieces(fixture *x)
{
    uint32_t n_tokens = (uint32_t)x->r.model->arch.n_vocab;
    char piece[3];
    uint64_t n_bytes = 0;
    for (uint32_t i = 0; i < n_tokens; i++)
        n_bytes += piece_of((int32_t)i, piece);
    assert_int_equal(wf_pieces_create(n_tokens, n_bytes, &x->pieces), WF_OK);
    for (uint32_t i = 0; i < n_tokens; i++) {
        size_t n = piece_of((int32_t)i, piece);
        memcpy(x->pieces->byte + x->pieces->offset[i], piece, n);
        x->pieces->offset[i + 1] = x->pieces->offset[i] + n;
    }
    assert_true(wf_pieces_are_sound(x->pieces, n_bytes));
}

static void make_request(fixture *x, int i)
{
    const golden_case *c = &x->g.cases[i % x->g.n_cases];
    x->sampling[i] = wf_sampling_default();
    x->sampling[i].ignore_eos = true;
    x->sampling[i].temperature = rows[i].temperature;
    x->request[i] = (rig_request){.prompt = c->prompt,
                                  .n_prompt = (uint32_t)c->n_prompt,
                                  .max_new = LENGTH,
                                  .sampling = &x->sampling[i],
                                  .at_step = i / 3};
}

static void end_request(fixture *x, int i)
{
    uint32_t n = 0;
    for (int k = 0; k < 2 && rows[i].strings[k]; k++) {
        size_t bytes = strlen(rows[i].strings[k]) + 1;
        memcpy(x->packed[i] + n, rows[i].strings[k], bytes);
        n += (uint32_t)bytes;
    }
    x->sampling[i].min_tokens = rows[i].token ? 0 : rows[i].min;
    x->request[i].stop_string = x->packed[i];
    x->request[i].stop_string_bytes = n;
    x->request[i].pieces = x->pieces;
    x->request[i].stop = x->free_run[i].token + 5;
    x->request[i].n_stop = rows[i].token;
}

// The first string of the list that ends among the last n_new bytes of a text.
static const char *string_at_end(int i, const char *text, size_t n, size_t n_new)
{
    for (int k = 0; k < 2 && rows[i].strings[k]; k++)
        for (size_t end = n - n_new + 1, length = strlen(rows[i].strings[k]); end <= n; end++)
            if (end >= length && memcmp(text + end - length, rows[i].strings[k], length) == 0)
                return rows[i].strings[k];
    return NULL;
}

static void find_end(fixture *x, int i)
{
    char text[MOST_TEXT];
    size_t n = 0;
    x->want[i] = LENGTH;
    for (uint32_t t = 0; t < LENGTH; t++) {
        int32_t token = x->free_run[i].token[t];
        size_t n_new = piece_of(token, text + n);
        n += n_new;
        if (rows[i].token && token == x->free_run[i].token[5]) {
            x->want[i] = t + 1;
            return;
        }
        const char *found = string_at_end(i, text, n, n_new);
        if (!found || t < rows[i].min) continue;
        x->want[i] = t + 1;
        x->string[i] = found;
        return;
    }
}

static void set_up(fixture *x)
{
    memset(x, 0, sizeof *x);
    golden_load("llama-gqa", &x->g);
    rig_create(backend, "llama-gqa", NULL, &x->r);
    make_pieces(x);
    for (int i = 0; i < N; i++)
        make_request(x, i);
    wf_engine_config c = rig_config();
    rig_run(&x->r, &c, x->request, N, x->free_run, NULL);
    for (int i = 0; i < N; i++) {
        find_end(x, i);
        end_request(x, i);
    }
}

static void tear_down(fixture *x)
{
    wf_pieces_free(x->pieces);
    rig_destroy(&x->r);
    golden_free(&x->g);
}

static void assert_ended(const fixture *x, int i, const rig_output *out, const char *way)
{
    if (out->n_tokens != x->want[i])
        fail_msg("%s: request %d has %u tokens, expected %u", way, i, out->n_tokens, x->want[i]);
    assert_memory_equal(out->token, x->free_run[i].token, out->n_tokens * 4);
    assert_string_equal(out->stop_string, x->string[i] ? x->string[i] : "");
    assert_int_equal(out->finish,
                     x->string[i] || rows[i].token ? WF_FINISH_STOP : WF_FINISH_LENGTH);
}

static void requests_end_in_every_way_of_running(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t rows, step_tokens, page_tokens, ahead;
        wf_reorder reorder;
        uint64_t kv_kib;
    } ways[] = {
        {"as it is", 16, 32, 16, 0, WF_REORDER_INDEX, 8192},
        {"one ahead", 16, 32, 16, 1, WF_REORDER_INDEX, 8192},
        {"few rows, copied", 3, 16, 16, 1, WF_REORDER_COPY, 8192},
        {"never reordered", 4, 16, 16, 1, WF_REORDER_OFF, 8192},
        {"put back", 8, 32, 8, 1, WF_REORDER_INDEX, 96},
    };
    static rig_output out[N];
    static fixture x;
    int n_ended = 0;
    set_up(&x);
    for (int i = 0; i < N; i++)
        n_ended += x.string[i] != NULL;
    assert_in_range(n_ended, 6, N - 3);
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        rig_totals t;
        wf_engine_config c = rig_config();
        c.max_rows = ways[k].rows;
        c.step_tokens = ways[k].step_tokens;
        c.page_tokens = ways[k].page_tokens;
        c.steps_ahead = ways[k].ahead;
        c.reorder = ways[k].reorder;
        c.kv_bytes = ways[k].kv_kib << 10;
        c.max_context = 160;
        rig_run(&x.r, &c, x.request, N, out, &t);
        if (ways[k].kv_kib < 1024) assert_true(t.n_put_back > 0);
        for (int i = 0; i < N; i++)
            assert_ended(&x, i, &out[i], ways[k].name);
    }
    tear_down(&x);
}

static void beams_are_refused(void **state)
{
    (void)state;
    static fixture x;
    wf_engine *e;
    set_up(&x);
    wf_engine_config c = rig_config();
    wf_sampling p = wf_sampling_default();
    c.n_top = c.n_beams = 8;
    p.beam_width = 2;
    assert_int_equal(wf_engine_create(x.r.be, x.r.model, x.r.comm, &c, &e), WF_OK);
    wf_engine_input in = {.n_prompt = 2,
                          .max_new_tokens = 2,
                          .prompt = x.free_run[0].token,
                          .sampling = &p,
                          .stop_string = (const uint8_t *)"a",
                          .stop_string_bytes = 2,
                          .pieces = x.pieces};
    assert_int_equal(wf_engine_submit(e, &in), WF_REQ_SAMPLING);
    assert_non_null(strstr(wf_error(), "beam_width 2: not with stop strings"));
    wf_engine_destroy(e);
    tear_down(&x);
}

int main(int argc, char **argv)
{
    if (argc > 1) backend = argv[1];
    int absent = rig_absent(backend);
    if (absent >= 0) return absent;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_end_in_every_way_of_running),
        cmocka_unit_test(beams_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
