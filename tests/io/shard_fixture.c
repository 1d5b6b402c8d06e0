#include "tests/io/shard_fixture.h"

#include "tests/base/base_test.h"

#include "io/shard/shard_writer.h"

char *fixture_folder_make(char path[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 256, "%s/weft-shard-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

void fixture_folder_remove(const char *path)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

wf_request fixture_row(uint64_t i, fixture_row_buffers *b)
{
    wf_request r = {.row = i,
                    .id = 1000 + i,
                    .arrival_ns = (int64_t)i * 1000000,
                    .max_new_tokens = (uint32_t)(1 + i % 50),
                    .n_prompt = (uint32_t)(1 + 7 * i % FIXTURE_PROMPT),
                    .prompt = b->prompt,
                    .sampling = wf_sampling_default()};
    for (uint32_t k = 0; k < r.n_prompt; k++)
        b->prompt[k] = (int32_t)((i * 31 + k * 7) % FIXTURE_VOCAB);
    if (i % 3 == 0) {
        b->stop[0] = (int32_t)(i % 200);
        b->stop[1] = 7;
        r.stop = b->stop;
        r.n_stop = 2;
    }
    if (i % 7 == 3) {
        r.stop_string_bytes =
            1 + (uint32_t)snprintf(b->ends, sizeof b->ends, "\n\n%cé%d", 0, (int)i);
        r.stop_string = (const uint8_t *)b->ends;
    }
    if (i % 4 == 0) {
        r.meta_bytes = (uint32_t)snprintf(b->meta, sizeof b->meta, "{\"tenant\":\"t%d\"}", (int)i);
        r.meta = (const uint8_t *)b->meta;
    }
    if (i % 6 == 1) {
        b->wishes[0] = 1, b->wishes[1] = 3 + (int32_t)(i % 90), b->wishes[2] = -1;
        b->bias[0] = 0.5f, b->bias[1] = -(float)i;
        r.bias_id = b->wishes, r.n_bias_id = r.n_bias = 2, r.bias = b->bias;
        r.allowed = b->wishes, r.n_allowed = 1;
        r.bad_words = b->wishes + 1, r.n_bad_words = 2;
    }
    if (i % 4 == 2 && r.n_prompt > 1) {
        b->segment = (int32_t)r.n_prompt / 2;
        r.segment = &b->segment, r.n_segment = 1;
    }
    if (i % 5 == 0) {
        r.sampling.temperature = 0.5f + (float)(i % 7);
        r.sampling.seed = (int64_t)i;
        r.sampling.ignore_eos = true;
        r.sampling_set =
            1u << WF_SAMPLING_temperature | 1u << WF_SAMPLING_seed | 1u << WF_SAMPLING_ignore_eos;
    }
    return r;
}

void fixture_shard_write(const char *path, uint64_t n)
{
    wf_shard_writer *w = NULL;
    wf_pieces *pieces = NULL;
    assert_int_equal(wf_pieces_of_bytes(FIXTURE_VOCAB, &pieces), WF_OK);
    wf_shard_options o = {.vocab_size = FIXTURE_VOCAB,
                          .pieces = pieces,
                          .source = "fixture",
                          .source_time_unit = "ms",
                          .seed = 1,
                          .replace = true};
    assert_int_equal(wf_shard_writer_create(path, &o, &w), WF_OK);
    for (uint64_t i = 0; i < n; i++) {
        fixture_row_buffers b;
        wf_request r = fixture_row(i, &b);
        assert_int_equal(wf_shard_writer_append(w, &r), WF_OK);
    }
    assert_int_equal(wf_shard_writer_count(w), n);
    assert_int_equal(wf_shard_writer_close(&w, NULL), WF_OK);
    wf_pieces_free(pieces);
}

void fixture_row_assert(const wf_request *row, uint64_t i)
{
    fixture_row_buffers b;
    wf_request want = fixture_row(i, &b);
    if (row->status != WF_OK) fail_msg("row %d: %s", (int)i, row->error);
    assert_null(row->error);
    assert_int_equal(row->row, i);
    assert_int_equal(row->id, want.id);
    assert_int_equal(row->arrival_ns, want.arrival_ns);
    assert_int_equal(row->max_new_tokens, want.max_new_tokens);
    assert_int_equal(row->n_prompt, want.n_prompt);
    assert_memory_equal(row->prompt, want.prompt, want.n_prompt * sizeof *want.prompt);
    assert_int_equal(row->n_stop, want.n_stop);
    if (want.n_stop > 0) assert_memory_equal(row->stop, want.stop, 2 * sizeof *want.stop);
    assert_int_equal(row->stop_string_bytes, want.stop_string_bytes);
    if (want.stop_string_bytes > 0)
        assert_memory_equal(row->stop_string, want.stop_string, want.stop_string_bytes);
    assert_int_equal(row->n_bias, want.n_bias);
    assert_int_equal(row->n_bias_id, want.n_bias_id);
    if (want.n_bias > 0) assert_memory_equal(row->bias_id, want.bias_id, want.n_bias * 4);
    if (want.n_bias > 0) assert_memory_equal(row->bias, want.bias, want.n_bias * 4);
    assert_int_equal(row->n_allowed, want.n_allowed);
    if (want.n_allowed > 0) assert_memory_equal(row->allowed, want.allowed, want.n_allowed * 4);
    assert_int_equal(row->n_bad_words, want.n_bad_words);
    if (want.n_bad_words > 0) assert_memory_equal(row->bad_words, want.bad_words, 8);
    assert_int_equal(wf_request_second(row), wf_request_second(&want));
    assert_int_equal(row->meta_bytes, want.meta_bytes);
    if (want.meta_bytes > 0) assert_memory_equal(row->meta, want.meta, want.meta_bytes);
    assert_int_equal(row->sampling_set, want.sampling_set);
    assert_true(row->sampling.temperature == want.sampling.temperature);
    assert_int_equal(row->sampling.seed, want.sampling.seed);
    assert_int_equal(row->sampling.ignore_eos, want.sampling.ignore_eos);
    assert_true(row->sampling.top_p == want.sampling.top_p);
}
