// A group of ranks: sums, gathers, plans, and the tokens of one rank on every group size.
//
//   mpirun -n N test_group BACKEND
#include <mpi.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine/beam_rig.h"
#include "tests/engine/wide.h"

static const char *backend = "ref";
static wf_comm *world;

// Numbers whose sum depends on the order it is taken in.
static float value(int rank, int64_t i)
{
    return (float)((rank * 7919 + i * 104729) % 1000003) * (rank % 2 ? 1e-3f : 1e4f);
}

// The sum of ranks [begin, begin + n), neighbours first: halves of the next power of two.
static float pairwise(int begin, int n, int64_t i)
{
    int half = 1;
    if (n == 1) return value(begin, i);
    while (2 * half < n)
        half *= 2;
    return pairwise(begin, half, i) + pairwise(begin + half, n - half, i);
}

static void sums_are_taken_in_one_order_at_every_length(void **state)
{
    (void)state;
    const int64_t lengths[] = {0, 1, 3, 100, 4096, 4097, 50001};
    float *data = malloc(50001 * sizeof *data);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        for (int64_t i = 0; i < lengths[k]; i++)
            data[i] = value(world->rank, i);
        assert_int_equal(world->ops->all_reduce(world, NULL, data, lengths[k], WF_F32), WF_OK);
        for (int64_t i = 0; i < lengths[k]; i++) {
            float want = pairwise(0, world->size, i);
            if (memcmp(&want, &data[i], sizeof want) != 0)
                fail_msg("%lld elements: element %lld is %g, expected %g", (long long)lengths[k],
                         (long long)i, (double)data[i], (double)want);
        }
    }
    free(data);
}

static void gathers_come_in_rank_order(void **state)
{
    (void)state;
    int32_t mine[3] = {world->rank, world->rank * 10, -1}, all[3 * 64];
    assert_true(world->size <= 64);
    assert_int_equal(world->ops->all_gather(world, NULL, mine, sizeof mine, all), WF_OK);
    for (int r = 0; r < world->size; r++) {
        assert_int_equal(all[3 * r], r);
        assert_int_equal(all[3 * r + 1], r * 10);
    }
    int64_t most = 0;
    assert_int_equal(world->ops->max_i64(world, 100 + world->rank, &most), WF_OK);
    assert_int_equal(most, 100 + world->size - 1);
}

static void published_plans_arrive_in_order(void **state)
{
    (void)state;
    char text[64];
    for (int i = 0; i < 100; i++) {
        size_t bytes = (size_t)snprintf(text, sizeof text, "plan %d", i) + 1;
        if (world->rank == 0) {
            assert_int_equal(world->ops->publish(world, text, bytes), WF_OK);
        } else {
            char got[64];
            size_t got_bytes = 0;
            assert_int_equal(world->ops->receive(world, got, sizeof got, &got_bytes), WF_OK);
            assert_int_equal(got_bytes, bytes);
            assert_string_equal(got, text);
        }
    }
    assert_int_equal(world->ops->barrier(world), WF_OK);
}

static void splitting_makes_groups_of_their_own(void **state)
{
    (void)state;
    wf_comm *half = NULL;
    int color = world->rank % 2;
    assert_int_equal(world->ops->split(world, color, world->rank, &half), WF_OK);
    assert_non_null(half);
    int want = (world->size + 1 - color) / 2;
    assert_int_equal(half->size, want);
    assert_int_equal(half->rank, world->rank / 2);
    float one = 1.0f;
    assert_int_equal(half->ops->all_reduce(half, NULL, &one, 1, WF_F32), WF_OK);
    assert_true(one == (float)want);
    wf_comm_destroy(half);
    assert_int_equal(world->ops->split(world, -1, 0, &half), WF_OK);
    assert_null(half);
}

// The golden's tokens, on this group, from the model that `r` has.
static void expect_golden_tokens(rig *r, const golden *g, const char *how)
{
    rig_request requests[16];
    static rig_output outputs[16];
    wf_engine_config c = rig_config();
    for (int i = 0; i < g->n_cases; i++)
        requests[i] = (rig_request){.prompt = g->cases[i].prompt,
                                    .n_prompt = (uint32_t)g->cases[i].n_prompt,
                                    .max_new = (uint32_t)g->cases[i].n_greedy,
                                    .at_step = 2 * i};
    c.kv_bytes >>= world->rank; // the group takes the least
    rig_run(r, &c, requests, g->n_cases, outputs, NULL);
    for (int i = 0; i < g->n_cases && world->rank == 0; i++)
        for (int32_t k = 0; k < g->cases[i].n_greedy; k++)
            if (outputs[i].token[k] != g->cases[i].greedy[k])
                fail_msg("%s on %d ranks%s, case %d: token %d is %d, expected %d", g->name,
                         world->size, how, i, k, outputs[i].token[k], g->cases[i].greedy[k]);
}

static void a_group_of_any_size_gives_the_tokens_of_transformers(void **state)
{
    (void)state;
    for (size_t m = 0; m < rig_n_goldens; m++) {
        golden g;
        rig r;
        if (world->size > rig_goldens[m].most_ranks) continue;
        golden_load(rig_goldens[m].name, &g);
        rig_create(backend, rig_goldens[m].name, world, &r);
        expect_golden_tokens(&r, &g, "");
        rig_destroy(&r);
        golden_free(&g);
    }
}

// Whole experts on each rank, and shares of some of them on each half of the group.
static void experts_are_spread_over_the_group(void **state)
{
    (void)state;
    static const char *const models[] = {"mixtral-mini", "qwen3-moe-mini", "qwen2-moe-mini",
                                         "glm4-moe-mini", "gpt-oss-mini"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        // The last has experts for two parts alone.
        for (int32_t parts = 2; parts <= world->size && (m < 4 || parts < 4); parts *= 2) {
            golden g;
            rig r;
            char how[32];
            snprintf(how, sizeof how, ", experts in %d parts", parts);
            golden_load(models[m], &g);
            rig_create_spread(backend, models[m], world, parts, &r);
            const wf_layer *l = &r.model->layers[r.model->arch.n_layers - 1];
            assert_int_equal(l->share.n_experts * parts,
                             r.model->arch.layer[r.model->arch.n_layers - 1].n_experts);
            assert_int_equal(l->expert_up.matrix->n_groups, l->share.n_experts);
            expect_golden_tokens(&r, &g, how);
            rig_destroy(&r);
            golden_free(&g);
        }
}

// The pages are each rank's own; who shares which comes with the plan.
static void prompts_that_begin_alike_share_pages_on_every_rank(void **state)
{
    (void)state;
    enum { N = 6, COMMON = 40 };
    static int32_t prompt[N][COMMON + N];
    static rig_output without[N], with[N];
    rig_request requests[N];
    rig_totals off, on;
    rig r;
    wf_engine_config c = rig_config();
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < COMMON + i; k++)
            prompt[i][k] = k < COMMON ? 1 + k % 90 : 7 + i;
        requests[i] = (rig_request){
            .prompt = prompt[i], .n_prompt = COMMON + (uint32_t)i, .max_new = 8, .at_step = i / 2};
    }
    rig_create(backend, "llama-gqa", world, &r);
    c.prefix_cache = WF_PREFIX_OFF;
    rig_run(&r, &c, requests, N, without, &off);
    c.prefix_cache = WF_PREFIX_ON;
    rig_run(&r, &c, requests, N, with, &on);
    for (int i = 0; i < N && world->rank == 0; i++) {
        assert_int_equal(with[i].n_cached, i > 0 ? 32 : 0);
        assert_memory_equal(with[i].token, without[i].token, 8 * sizeof(int32_t));
    }
    assert_int_equal(off.n_prompt_tokens - on.n_prompt_tokens, world->rank == 0 ? 32 * (N - 1) : 0);
    rig_destroy(&r);
}

static void beams_find_the_same_texts_on_every_group(void **state)
{
    (void)state;
    static beam_case cases[BEAM_CASES];
    static beam_text texts[BEAM_CASES][BEAM_TEXTS];
    const char *const models[] = {"llama-mini", "mixtral-mini"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        rig r;
        wf_engine_config c = beam_config();
        int n = beam_cases_load(models[m], cases);
        rig_create(backend, models[m], world, &r);
        beam_cases_run(&r, &c, cases, n, 1, texts);
        for (int i = 0; i < n && world->rank == 0; i++)
            beam_case_assert(&cases[i], texts[i], 2e-4f);
        rig_destroy(&r);
    }
}

static void layers_that_differ_are_split_each_by_its_own_numbers(void **state)
{
    (void)state;
    golden g;
    rig r;
    wf_arch arch;
    rig_request requests[16];
    static rig_output outputs[16];
    wf_engine_config c = rig_config();
    golden_load(WIDE_GOLDEN, &g);
    wide_rig_create(backend, world, world->size, &arch, &r);
    for (int i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .at_step = i};
    rig_run(&r, &c, requests, g.n_cases, outputs, NULL);
    for (int i = 0; i < g.n_cases && world->rank == 0; i++)
        for (int32_t k = 0; k < g.cases[i].n_greedy; k++)
            assert_int_equal(outputs[i].token[k], g.cases[i].greedy[k]);
    rig_destroy(&r);
    golden_free(&g);
}

// Steps with greedy rows alone exchange greatest logits, steps with a drawn row whole logits, and
// a greedy row's tokens are the same in both.
static void a_drawn_row_leaves_the_greedy_rows_beside_it_alone(void **state)
{
    (void)state;
    golden g;
    rig r;
    rig_request requests[16];
    static rig_output outputs[16];
    wf_engine_config c = rig_config();
    wf_sampling drawn = wf_sampling_default(), masked = drawn;
    drawn.temperature = 1.0f;
    drawn.ignore_eos = masked.ignore_eos = true;
    masked.min_tokens = 3;
    masked.temperature = 0.0f;
    int32_t stop = -1;
    golden_load("llama-gqa", &g);
    rig_create(backend, "llama-gqa", world, &r);
    stop = g.cases[0].greedy[0];
    for (int i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .at_step = i};
    requests[g.n_cases] = (rig_request){.prompt = g.cases[0].prompt,
                                        .n_prompt = (uint32_t)g.cases[0].n_prompt,
                                        .max_new = 5,
                                        .sampling = &drawn,
                                        .at_step = g.n_cases};
    requests[g.n_cases + 1] = (rig_request){.prompt = g.cases[0].prompt,
                                            .n_prompt = (uint32_t)g.cases[0].n_prompt,
                                            .max_new = 5,
                                            .sampling = &masked,
                                            .stop = &stop,
                                            .n_stop = 1,
                                            .at_step = g.n_cases};
    rig_run(&r, &c, requests, g.n_cases + 2, outputs, NULL);
    for (int i = 0; i < g.n_cases && world->rank == 0; i++)
        for (int32_t k = 0; k < g.cases[i].n_greedy; k++)
            assert_int_equal(outputs[i].token[k], g.cases[i].greedy[k]);
    // The stop token, which greedy sampling would take first, is masked until there are three.
    for (int k = 0; k < 3 && world->rank == 0; k++)
        assert_int_not_equal(outputs[g.n_cases + 1].token[k], stop);
    rig_destroy(&r);
    golden_free(&g);
}

// Raw log-probabilities are the model's, whatever the penalties that choose the token; processed
// ones are those of what it was chosen from.
static void raw_logprobs_know_no_penalties(void **state)
{
    (void)state;
    golden g;
    rig r;
    static rig_output out[2], processed[2];
    wf_engine_config c = rig_config();
    wf_sampling plain = wf_sampling_default(), penal;
    plain.ignore_eos = true;
    plain.logprobs = 4;
    penal = plain;
    penal.repetition_penalty = 3.0f;
    golden_load("llama-gqa", &g);
    rig_create(backend, "llama-gqa", world, &r);
    rig_request requests[2] = {{.prompt = g.cases[0].prompt,
                                .n_prompt = (uint32_t)g.cases[0].n_prompt,
                                .max_new = 3,
                                .sampling = &plain}};
    requests[1] = requests[0];
    requests[1].sampling = &penal;
    rig_run(&r, &c, requests, 2, out, NULL);
    c.processed_logprobs = true;
    rig_run(&r, &c, requests, 2, processed, NULL);
    if (world->rank == 0) {
        assert_memory_equal(out[1].top_id, out[0].top_id, 4 * sizeof(int32_t));
        assert_memory_equal(out[1].top_logprob, out[0].top_logprob, 4 * sizeof(float));
        for (int k = 0; k < 4; k++)
            if (out[1].top_id[k] == out[1].token[0])
                assert_true(out[1].top_logprob[k] <= out[1].logprob[0] &&
                            out[1].top_logprob[k] >= out[1].logprob[0]);
        assert_memory_equal(processed[0].top_logprob, out[0].top_logprob, 4 * sizeof(float));
        assert_memory_not_equal(processed[1].top_logprob, out[1].top_logprob, 4 * sizeof(float));
        assert_memory_equal(processed[1].token, out[1].token, 3 * sizeof(int32_t));
        assert_int_equal(processed[1].top_id[0], out[1].token[0]); // the best of what is left
    }
    rig_destroy(&r);
    golden_free(&g);
}

// One allows a few tokens, one forbids what would come first and second, both with raw
// log-probabilities; the last is greedy without, beside which greedy rows need whole logits.
static void wishes_are_granted_by_the_whole_group(void **state)
{
    (void)state;
    golden g;
    rig r;
    static rig_output out[3];
    wf_engine_config c = rig_config();
    wf_sampling plain = wf_sampling_default(), probs;
    plain.ignore_eos = true;
    probs = plain;
    probs.logprobs = 4;
    golden_load("llama-gqa", &g);
    rig_create(backend, "llama-gqa", world, &r);
    const int32_t *says = g.cases[0].greedy, allowed[] = {1, 70, 131, 200, 255};
    const int32_t bad[] = {says[0], says[1], -1, says[2], -1};
    rig_request q = {.prompt = g.cases[0].prompt,
                     .n_prompt = (uint32_t)g.cases[0].n_prompt,
                     .max_new = 12,
                     .sampling = &probs};
    rig_request requests[3] = {q, q, q};
    requests[0].wishes = (wf_wishes){.allowed = allowed, .n_allowed = 5};
    requests[1].wishes = (wf_wishes){.bad_words = bad, .n_bad_words = 5};
    requests[2].sampling = &plain;
    c.row_wishes = 8;
    rig_run(&r, &c, requests, 3, out, NULL);
    for (uint32_t i = 0; i < 12 && world->rank == 0; i++) {
        int found = 0;
        for (int k = 0; k < 5; k++)
            found += out[0].token[i] == allowed[k];
        assert_int_equal(found, 1);
        assert_int_not_equal(out[1].token[i], says[2]);
        assert_int_equal(out[2].token[i], says[i]);
    }
    if (world->rank == 0) {
        assert_int_equal(out[1].token[0], says[0]);
        assert_int_not_equal(out[1].token[1], says[1]);
        assert_int_equal(out[0].top_id[0], says[0]);
        assert_int_equal(out[1].top_id[0], says[0]);
    }
    rig_destroy(&r);
    golden_free(&g);
}

// Tokens and logprobs, bit for bit, of groups of 1, 2 and 4 of the ranks; every other request
// draws. The vocabulary of 261 does not divide.
static void deterministic_results_are_those_of_any_group_size(void **state)
{
    (void)state;
    static rig_output want[16], got[16];
    wf_sampling sampling[2] = {wf_sampling_default(), wf_sampling_default()};
    sampling[0].ignore_eos = sampling[1].ignore_eos = true;
    sampling[0].logprobs = sampling[1].logprobs = 4;
    sampling[1].temperature = 1.0f;
    sampling[1].top_p = 0.9f;
    if (strcmp(backend, "ref") == 0) skip(); // it is free of order (ops.h)
    for (size_t m = 0; m < rig_n_goldens; m++)
        for (int size = 1; size <= world->size; size *= 2) {
            golden g;
            rig r;
            rig_request requests[16];
            wf_comm *group = NULL;
            wf_engine_config c = rig_config();
            c.deterministic = true;
            if (!rig_goldens[m].size_free || size > rig_goldens[m].most_ranks) continue;
            int color = world->rank < size ? 0 : -1;
            assert_int_equal(world->ops->split(world, color, world->rank, &group), WF_OK);
            if (!group) continue;
            golden_load(rig_goldens[m].name, &g);
            rig_create(backend, rig_goldens[m].name, group, &r);
            for (int i = 0; i < g.n_cases; i++)
                requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                            .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                            .max_new = (uint32_t)g.cases[i].n_greedy,
                                            .sampling = &sampling[i % 2],
                                            .at_step = 2 * i};
            rig_run(&r, &c, requests, g.n_cases, got, NULL);
            if (size == 1) memcpy(want, got, sizeof want);
            for (int i = 0; i < g.n_cases && world->rank == 0; i++)
                if (memcmp(&got[i], &want[i], sizeof *got) != 0)
                    fail_msg("%s, case %d: a group of %d differs from a single rank",
                             rig_goldens[m].name, i, size);
            rig_destroy(&r);
            golden_free(&g);
            wf_comm_destroy(group);
        }
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (argc > 1) backend = argv[1];
    if (wf_comm_mpi_create(&world) != WF_OK) {
        fprintf(stderr, "%s\n", wf_error());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_taken_in_one_order_at_every_length),
        cmocka_unit_test(gathers_come_in_rank_order),
        cmocka_unit_test(published_plans_arrive_in_order),
        cmocka_unit_test(splitting_makes_groups_of_their_own),
        cmocka_unit_test(a_group_of_any_size_gives_the_tokens_of_transformers),
        cmocka_unit_test(experts_are_spread_over_the_group),
        cmocka_unit_test(prompts_that_begin_alike_share_pages_on_every_rank),
        cmocka_unit_test(beams_find_the_same_texts_on_every_group),
        cmocka_unit_test(layers_that_differ_are_split_each_by_its_own_numbers),
        cmocka_unit_test(deterministic_results_are_those_of_any_group_size),
        cmocka_unit_test(a_drawn_row_leaves_the_greedy_rows_beside_it_alone),
        cmocka_unit_test(raw_logprobs_know_no_penalties),
        cmocka_unit_test(wishes_are_granted_by_the_whole_group),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    wf_comm_destroy(world);
    MPI_Finalize();
    return n_failed;
}
