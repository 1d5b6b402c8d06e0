// Packing JSON lines of prompts: what comes out, in which order, and what is refused where.
#include "tests/jobs/jobs_test.h"

#include "io/base/file.h"
#include "io/shard/shard.h"
#include "jobs/streams/pack.h"

static const char *in_folder(void **state, const char *name)
{
    static char path[2][256];
    static int i;
    char *to = path[i++ % 2];
    snprintf(to, 256, "%s/%s", (const char *)*state, name);
    return to;
}

// Packs `text`; on success reads up to 8 rows into `rows` and returns their number.
static wf_status pack(void **state, const char *text, wf_pack_options o, wf_pack_report *report,
                      wf_arena *arena, wf_request rows[8], uint32_t *n)
{
    o.input = in_folder(state, "rows.jsonl");
    o.output = in_folder(state, "rows.h5");
    o.replace = true;
    assert_ok(wf_file_write_whole(o.input, text, strlen(text), WF_PUBLISH_REPLACE));
    WF_TRY(wf_pack_run(&o, report));
    wf_shard *s = NULL;
    assert_ok(wf_shard_open(o.output, &s));
    wf_shard_limits limits = {.n_vocab = wf_shard_info_of(s)->vocab_size};
    assert_int_equal(wf_shard_info_of(s)->vocab_size, report->vocab);
    assert_ok(wf_shard_read(s, 0, 8, &limits, arena, rows, n));
    for (uint32_t i = 0; i < *n; i++)
        if (rows[i].status != WF_OK) fail_msg("%s", rows[i].error);
    wf_shard_close(&s);
    return WF_OK;
}

static void test_all_keys(void **state)
{
    wf_arena *arena = NULL;
    wf_request rows[8];
    wf_pack_report report;
    uint32_t n = 0;
    assert_ok(wf_arena_create(0, &arena));
    const char *text =
        "{\"prompt_token_ids\": [5, 6, 7], \"id\": 70, \"max_new_tokens\": 9, \"arrival_s\": 2.5,"
        " \"temperature\": 0.7, \"top_p\": 0.9, \"top_k\": 40, \"min_p\": 0.05, \"seed\": "
        "9007199254740993, \"ignore_eos\": true, \"n\": 3, \"logprobs\": 5, \"min_tokens\": 2,"
        " \"logit_bias\": {\"42\": -2.5, \"7\": 300}, \"allowed_token_ids\": [9, 7, 9],"
        " \"bad_words_token_ids\": [[4, 5], [6]], \"second_segment\": 2,"
        " \"stop_token_ids\": [2, 99], \"meta\": {\"tenant\": \"a\", \"tags\": [1, null, true, "
        "0.5]}}\n"
        "\n"
        "{\"prompt_token_ids\": [1], \"max_tokens\": 4, \"arrival_s\": 1, \"temperature\": null,"
        " \"meta\": \"plain\"}\r\n"
        "{\"prompt_token_ids\": [3], \"arrival_s\": 1}";
    assert_ok(pack(state, text, (wf_pack_options){.max_new_tokens = 77}, &report, arena, rows, &n));
    assert_int_equal(n, 3);
    assert_int_equal(report.n_rows, 3);
    assert_int_equal(report.vocab, 100);
    assert_int_equal(report.n_out_of_order, 1);
    assert_int_equal(report.span_ns, INT64_C(2500000000));
    assert_int_equal(rows[0].id, 1);
    assert_int_equal(rows[0].max_new_tokens, 4);
    assert_int_equal(rows[0].sampling_set, 0);
    assert_int_equal(rows[0].meta_bytes, 5);
    assert_memory_equal(rows[0].meta, "plain", 5);
    assert_int_equal(rows[1].id, 2);
    assert_int_equal(rows[1].max_new_tokens, 77);
    assert_int_equal(rows[1].meta_bytes, 0);
    const wf_request *r = &rows[2];
    static const int32_t prompt[] = {5, 6, 7}, stop[] = {2, 99};
    assert_int_equal(r->id, 70);
    assert_int_equal(r->arrival_ns, INT64_C(2500000000));
    assert_int_equal(r->n_prompt, 3);
    assert_memory_equal(r->prompt, prompt, sizeof prompt);
    assert_int_equal(r->n_stop, 2);
    assert_memory_equal(r->stop, stop, sizeof stop);
    static const int32_t biased[] = {7, 42}, allowed[] = {7, 9}, bad[] = {4, 5, -1, 6, -1};
    assert_int_equal(r->n_bias, 2);
    assert_int_equal(r->n_bias_id, 2);
    assert_memory_equal(r->bias_id, biased, sizeof biased);
    assert_true(r->bias[0] == 100.0f && r->bias[1] == -2.5f); // no further than vLLM goes
    assert_int_equal(r->n_allowed, 2);
    assert_memory_equal(r->allowed, allowed, sizeof allowed);
    assert_int_equal(wf_request_second(r), 2);
    assert_int_equal(wf_request_second(&rows[0]), 0);
    assert_int_equal(r->n_bad_words, 5);
    assert_memory_equal(r->bad_words, bad, sizeof bad);
    assert_true(r->sampling.temperature == 0.7f && r->sampling.top_p == 0.9f);
    assert_true(r->sampling.min_p == 0.05f && r->sampling.ignore_eos);
    assert_int_equal(r->sampling.seed, INT64_C(9007199254740993));
    assert_int_equal(r->sampling.top_k, 40);
    assert_int_equal(r->sampling.n, 3);
    assert_int_equal(r->sampling.logprobs, 5);
    assert_int_equal(r->sampling.min_tokens, 2);
    assert_int_equal(r->sampling_set & 1u << WF_SAMPLING_presence_penalty, 0);
    const char *meta = "{\"tenant\":\"a\",\"tags\":[1,null,true,0.5]}";
    char found[128] = "";
    size_t k = 0; // but for spaces
    for (uint32_t i = 0; i < r->meta_bytes; i++)
        if (r->meta[i] != ' ') found[k++] = (char)r->meta[i];
    assert_string_equal(found, meta);
    wf_arena_destroy(&arena);
}

static void test_bytes(void **state)
{
    wf_arena *arena = NULL;
    wf_request rows[8];
    wf_pack_report report;
    uint32_t n = 0;
    assert_ok(wf_arena_create(0, &arena));
    wf_pack_options o = {.bytes = true, .bos = 256, .vocab = 320, .max_new_tokens = 8};
    assert_ok(pack(state, "{\"prompt\": \"a\xc3\xa9=\"}\n", o, &report, arena, rows, &n));
    static const int32_t want[] = {256, 'a', 0xc3, 0xa9, '='};
    assert_int_equal(n, 1);
    assert_int_equal(report.vocab, 320);
    assert_int_equal(rows[0].n_prompt, 5);
    assert_memory_equal(rows[0].prompt, want, sizeof want);
    o.bos = -1;
    assert_ok(pack(state, "{\"prompt\": \"ab\", \"stop\": [\"\\n\", \"end\"]}", o, &report, arena,
                   rows, &n));
    assert_int_equal(rows[0].stop_string_bytes, 6);
    assert_memory_equal(rows[0].stop_string, "\n\0end", 6);
    assert_ok(pack(state, "{\"prompt\": \"ab\", \"stop\": \"x\"}", o, &report, arena, rows, &n));
    assert_int_equal(rows[0].stop_string_bytes, 2);
    assert_ok(pack(state, "{\"prompt\": \"ab\"}", o, &report, arena, rows, &n));
    assert_int_equal(rows[0].n_prompt, 2);
    assert_int_equal(rows[0].prompt[0], 'a');
    wf_arena_destroy(&arena);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "rows.jsonl: has no rows to pack"},
        {"{\"prompt\": \"hello\"}", "rows.jsonl:1: prompt: this command takes token ids: turn text "
                                    "into them with weft-text"},
        {"{\"max_new_tokens\": 3}", "rows.jsonl:1: has no prompt_token_ids"},
        {"{\"prompt_token_ids\": [1]}", "rows.jsonl:1: has no max_new_tokens"},
        {"{\"prompt_token_ids\": []  , \"max_new_tokens\": 3}",
         "rows.jsonl:1: prompt has no tokens"},
        {"{\"prompt_token_ids\": [1, -2], \"max_new_tokens\": 3}", "prompt_token_ids[1]"},
        {"{\"prompt_token_ids\": [1, 2], \"max_new_tokens\": 3, \"second_segment\": 2}",
         "second segment begins at token 2 of 2; both segments must have tokens"},
        {"{\"prompt_token_ids\": [1.5], \"max_new_tokens\": 3}", "prompt_token_ids[0]"},
        {"{\"prompt_token_ids\": [10], \"max_new_tokens\": 3}",
         "rows.jsonl:1: prompt token 0 is 10, outside the vocabulary of 10"},
        {"\n{\"prompt_token_ids\": [1], \"max_new_tokens\": 0}", "rows.jsonl:2: max_new_tokens"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"temprature\": 1}",
         "temprature: is no key of a request; did you mean temperature? Else put"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"top_p\": 1.5}", "top_p"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"min_tokens\": 4}",
         "min_tokens is 4, above max_new_tokens 3"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"arrival_s\": -1}", "arrival_s"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"logit_bias\": {\"x\": 1}}",
         "logit_bias.x: is no token id"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"logit_bias\": {\"12\": 1}}",
         "logit_bias token 0 is 12, outside the vocabulary of 10"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"logit_bias\": {\"1\": 1, \"01\": "
         "2}}",
         "logit_bias: token 1 comes after 1"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"allowed_token_ids\": []}",
         "allows no token"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"bad_words_token_ids\": [[1], []]}",
         "bad_words: a word has no tokens"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"stop\": \"no\"}",
         "stop: this command takes token ids (stop_token_ids)"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"bad_words\": [\"no\"]}",
         "bad_words: this command takes token ids"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"id\": 5}\n"
         "{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"id\": 5}\n",
         "rows.jsonl:2: id 5 is that of line 1 already"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"id\": 5}\n"
         "{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"id\": 5}\n"
         "{\"prompt_token_ids\": [1], \"max_new_tokens\": 3, \"id\": 5}\n",
         "rows.jsonl: 2 rows are bad, all are shown above; nothing was written"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3}\n[1]\n", "rows.jsonl:2:"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3}\n{\"prompt_token", "rows.jsonl:2:"},
        {"{\"prompt_token_ids\": [1], \"max_new_tokens\": 3}\n{\"a\": [1}", "rows.jsonl:2:9: "},
        {"{\"a\": 1}\n{\"prompt_token_ids\": [1], \"max_new_tokens\": 3}\n{}\n",
         "rows.jsonl: 2 rows are bad, all are shown above; nothing was written"},
    };
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_pack_report report;
        const char *out = in_folder(state, "rows.h5");
        unlink(out);
        assert_int_equal(
            pack(state, cases[i].text, (wf_pack_options){.vocab = 10}, &report, NULL, NULL, NULL),
            WF_DATA);
        assert_contains(wf_error(), cases[i].message);
        assert_false(wf_file_exists(in_folder(state, "rows.h5")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
