// sample: the same tokens as ref, known answers, and the distributions that are asked for.
#include "tests/ops/op_test.h"

#include <stdio.h>

#include "kernels/sampling.h"

// One call: logits [n][n_vocab] copied to the device, every row its own slot n - 1 - i.
typedef struct sample_case {
    int32_t n, n_vocab, pad, n_top;
    const float *logits;
    const wf_row_sampling *sampling; // [n], in row order
    const uint16_t *counts;          // [n][n_vocab] or NULL, in row order
    int32_t first_pos;               // row i draws position first_pos + i
    bool processed;                  // logprobs
    const wf_row_wishes *wishes; // [n] in row order, or NULL; every row's last token is its slot
    const int32_t *wish_words;
    size_t n_wish_words;
} sample_case;

typedef struct sampled {
    int32_t *token, *top_id;
    float *logprob, *top_logprob;
} sampled;

static void *scratch(size_t bytes)
{
    void *p = test_calloc(bytes > 0 ? bytes : 1, 1);
    assert_non_null(p);
    return p;
}

static void drop(sampled *s)
{
    test_free(s->token);
    test_free(s->top_id);
    test_free(s->logprob);
    test_free(s->top_logprob);
}

static sampled run_sample(wf_backend *be, const sample_case *c)
{
    size_t n = (size_t)c->n, v = (size_t)c->n_vocab, stride = v + (size_t)c->pad;
    float *padded = scratch(n * stride * sizeof *padded);
    wf_row_sampling *slots = scratch(n * sizeof *slots);
    size_t counts_stride = (v + 3) / 2 * 2, cols = (v + 1) / 2;
    float *raw = scratch(2 * n * cols * sizeof *raw); // as of two ranks
    uint16_t *counts = scratch(n * counts_stride * sizeof *counts);
    int32_t *row = scratch(n * sizeof *row), *pos = scratch(n * sizeof *pos);
    for (size_t i = 0; i < n; i++) {
        size_t slot = n - 1 - i;
        row[i] = (int32_t)slot;
        pos[i] = c->first_pos + (int32_t)i;
        slots[slot] = c->sampling[i];
        memcpy(padded + i * stride, c->logits + i * v, v * sizeof *padded);
        for (size_t j = 0; j < v; j++)
            raw[(j / cols * n + i) * cols + j % cols] = c->logits[i * v + j];
        for (size_t j = v; j < stride; j++)
            padded[i * stride + j] = INFINITY; // padding must never win
        if (c->counts != NULL)
            memcpy(counts + slot * counts_stride, c->counts + i * v, v * sizeof *counts);
    }
    sampled out = {scratch(n * sizeof(int32_t)), scratch(n * (size_t)c->n_top * sizeof(int32_t)),
                   scratch(n * sizeof(float)), scratch(n * (size_t)c->n_top * sizeof(float))};
    wf_sample_args a = {
        .logits = {op_put(be, padded, n * stride * sizeof *padded), WF_F32, c->n,
                   c->n_vocab + c->pad, c->n_vocab + c->pad},
        .n_vocab = c->n_vocab,
        .row = op_put(be, row, n * sizeof *row),
        .pos = op_put(be, pos, n * sizeof *pos),
        .sampling = op_put(be, slots, n * sizeof *slots),
        .counts = c->counts != NULL ? op_put(be, counts, n * counts_stride * sizeof *counts) : NULL,
        .counts_stride = (int64_t)counts_stride,
        .wishes = c->wishes != NULL ? op_put(be, c->wishes, n * sizeof *c->wishes) : NULL,
        .wish_words = c->wishes != NULL ? op_put(be, c->wish_words, c->n_wish_words * 4) : NULL,
        .last_token = op_put(be, row, n * sizeof *row),
        .token = op_put(be, row, n * sizeof *row),
        .n_top = c->n_top,
        .processed = c->processed,
        .raw = c->counts != NULL || c->wishes != NULL ? op_put(be, raw, 2 * n * cols * sizeof *raw)
                                                      : NULL,
        .raw_cols = (int64_t)cols,
        .logprob = op_put(be, padded, n * sizeof(float)),
        .top_id = c->n_top > 0 ? op_put(be, out.top_id, n * (size_t)c->n_top * 4) : NULL,
        .top_logprob = c->n_top > 0 ? op_put(be, out.top_id, n * (size_t)c->n_top * 4) : NULL,
    };
    op_ok(be->ops->sample(be, NULL, &a));
    op_get(be, out.token, a.token, n * sizeof(int32_t));
    op_get(be, out.logprob, a.logprob, n * sizeof(float));
    if (c->n_top > 0) {
        op_get(be, out.top_id, a.top_id, n * (size_t)c->n_top * sizeof(int32_t));
        op_get(be, out.top_logprob, a.top_logprob, n * (size_t)c->n_top * sizeof(float));
    }
    int32_t *last = scratch(n * sizeof *last);
    op_get(be, last, a.last_token, n * sizeof *last);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(last[n - 1 - i], out.token[i]);
    test_free(last);
    test_free(raw);
    test_free(padded);
    test_free(slots);
    test_free(counts);
    test_free(row);
    test_free(pos);
    return out;
}

static const wf_row_sampling greedy = {.top_p = 1.0f, .repetition_penalty = 1.0f};

// Logits of a language model's shape: most tokens far below a few.
static float *random_logits(int32_t n, int32_t n_vocab, uint64_t seed)
{
    float *logits = scratch((size_t)n * (size_t)n_vocab * sizeof *logits);
    for (int32_t i = 0; i < n * n_vocab; i++) {
        float u = op_random(seed, i, WF_F32);
        logits[i] = 6.0f * u * u * u + op_random(seed + 1, i, WF_BF16); // ties happen
    }
    return logits;
}

static wf_row_sampling random_sampling(int32_t i)
{
    static const float temperatures[] = {0.0f, 0.3f, 0.7f, 1.0f, 2.5f, 100.0f};
    static const float top_ps[] = {1.0f, 0.95f, 0.5f, 0.05f, 1e-6f};
    static const float min_ps[] = {0.0f, 0.01f, 0.3f, 1.0f};
    static const int32_t top_ks[] = {-1, 0, 1, 2, 5, 40, 1000000};
    return (wf_row_sampling){
        .rng_key = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1),
        .temperature = temperatures[i % 6],
        .top_p = top_ps[i / 6 % 5],
        .min_p = min_ps[i / 2 % 4],
        .top_k = top_ks[i / 3 % 7],
        .repetition_penalty = i % 4 == 0 ? 1.3f : 1.0f,
        .presence_penalty = i % 5 == 0 ? 0.4f : 0.0f,
        .frequency_penalty = i % 7 == 0 ? -0.2f : 0.0f,
        .prompt_len = 10,
        .min_tokens = i % 3 * 50,
        .n_stop_ids = 3,
        .stop_ids = {i % 13, 1000000, -1},
    };
}

// Masked tokens are -inf in both.
static bool close_to(float a, float b)
{
    return a == b || fabsf(a - b) < 1e-5f;
}

enum { WISH_WORDS = 7 * 6 };

// Every seventh row wishes nothing, the others one, two or all three things of random tokens.
static void random_wishes(int32_t n, int32_t n_vocab, wf_row_wishes *wishes, int32_t *words)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t at = i * WISH_WORDS, *w = words + at, *allowed = w, *bias = w + 12, *ban = w + 24;
        wishes[i] = (wf_row_wishes){at,      i % 2 ? 12 : 0,   at + 12, i % 7 < 4 ? 6 : 0,
                                    at + 24, i % 7 > 2 ? 9 : 0};
        if (i % 7 == 0) wishes[i] = (wf_row_wishes){0};
        for (int32_t k = 0; k < 12; k++)
            allowed[k] = k == 0 ? i % n_vocab : allowed[k - 1] + 1 + k * (n_vocab / 40);
        for (int32_t k = 0; k < 6; k++) {
            float add = 4.0f * op_random(77, i * 6 + k, WF_F32);
            bias[2 * k] = i % n_vocab + k;
            memcpy(&bias[2 * k + 1], &add, sizeof add);
        }
        for (int32_t k = 0; k < 9; k++) {
            ban[2 * k] = (i * 3 + k * 5) % (n_vocab + 2) - 1;
            ban[2 * k + 1] = k % 3 == 0 ? -1 : k % 3 == 1 ? n - 1 - i : n + 1; // its slot, no slot
        }
    }
}

static void agrees_with_ref(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{9, 1},     {211, 7},   {420, 50},
                                       {301, 257}, {64, 5000}, {13, 32003}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int32_t n = sizes[s][0], n_vocab = sizes[s][1];
        size_t n_counts = (size_t)n * (size_t)n_vocab;
        wf_row_sampling *sampling = scratch((size_t)n * sizeof *sampling);
        uint16_t *counts = scratch(n_counts * sizeof *counts);
        for (int32_t i = 0; i < n; i++)
            sampling[i] = random_sampling(i);
        for (size_t i = 0; i < n_counts; i++)
            counts[i] = (uint16_t)(i % 3 == 0 ? 0x8000u * (i % 2) + i % 4 : 0);
        wf_row_wishes *wishes = scratch((size_t)n * sizeof *wishes);
        int32_t *words = scratch((size_t)n * WISH_WORDS * sizeof *words);
        random_wishes(n, n_vocab, wishes, words);
        sample_case c = {n, n_vocab, 3, n_vocab < 5 ? n_vocab : 5, .first_pos = 11};
        c.logits = random_logits(n, n_vocab, 91), c.sampling = sampling;
        c.counts = s % 2 == 0 ? counts : NULL, c.processed = s / 2 % 2 == 1;
        if (s % 3 != 1) c.wishes = wishes, c.wish_words = words;
        c.n_wish_words = (size_t)n * WISH_WORDS;
        sampled want = run_sample(op.ref, &c), got = run_sample(op.be, &c);
        for (int32_t i = 0; i < n; i++) {
            if (got.token[i] != want.token[i])
                fail_msg("row %d of %d x %d: token %d, ref has %d", i, n, n_vocab, got.token[i],
                         want.token[i]);
            if (!close_to(got.logprob[i], want.logprob[i]))
                fail_msg("row %d of %d x %d: logprob %g, ref has %g", i, n, n_vocab,
                         (double)got.logprob[i], (double)want.logprob[i]);
        }
        for (int32_t i = 0; i < n * c.n_top; i++) {
            assert_int_equal(got.top_id[i], want.top_id[i]);
            assert_true(close_to(got.top_logprob[i], want.top_logprob[i]));
        }
        drop(&want);
        drop(&got);
        test_free(sampling);
        test_free(counts);
        test_free(wishes);
        test_free(words);
        test_free((void *)(uintptr_t)c.logits);
    }
}

// Logits that a fast way to a threshold may stumble over: far from 0, all or nearly all the same,
// mostly or wholly masked, infinite, and a vocabulary of today's size.
static float hard_logit(int kind, int32_t i, uint64_t seed)
{
    float x = 3.0f * op_random(seed, i, WF_F32);
    switch (kind) {
    case 0:
        return 25.0f * x; // beyond 32 on both sides
    case 1:
        return 1.5f;
    case 2:
        return i % 7 == 0 ? 40.0f : 39.99f;
    case 3:
        return i % 1000 == 3 ? x : -INFINITY;
    case 4:
        return i % 5 == 0 ? NAN : -INFINITY;
    case 5:
        return i == 4321 ? INFINITY : x;
    case 6:
        return 100.0f + 0.001f * x;
    default:
        return x + x * fabsf(x); // of a language model's spread
    }
}

enum { HARD_KINDS = 8 };

static void check_hard_logits(int32_t n, int32_t n_vocab, const float *top_ps,
                              const int32_t *top_ks)
{
    static const float temperatures[] = {0.5f, 1.0f, 2.0f};
    float *logits = scratch((size_t)n * (size_t)n_vocab * sizeof *logits);
    wf_row_sampling *sampling = scratch((size_t)n * sizeof *sampling);
    for (int32_t i = 0; i < n; i++) {
        int way = i / HARD_KINDS;
        sampling[i] = (wf_row_sampling){.rng_key = 7 + (uint64_t)i * 77777,
                                        .temperature = temperatures[way % 3],
                                        .top_p = top_ps[way % 4],
                                        .top_k = top_ks[way % 5],
                                        .min_p = way % 6 == 5 ? 0.02f : 0.0f,
                                        .repetition_penalty = 1.0f};
        for (int32_t j = 0; j < n_vocab; j++)
            logits[(size_t)i * (size_t)n_vocab + (size_t)j] =
                hard_logit(i % HARD_KINDS, j, (uint64_t)way + 23);
    }
    sample_case c = {n, n_vocab, 4, 0, logits, sampling, NULL, 3, false, NULL, NULL, 0};
    sampled want = run_sample(op.ref, &c), got = run_sample(op.be, &c);
    for (int32_t i = 0; i < n; i++)
        if (got.token[i] != want.token[i])
            fail_msg("row %d (logits %d) of %d: token %d, ref has %d", i, i % HARD_KINDS, n_vocab,
                     got.token[i], want.token[i]);
    drop(&want);
    drop(&got);
    test_free(logits);
    test_free(sampling);
}

static void hard_logits(void **state)
{
    (void)state;
    check_hard_logits(24 * HARD_KINDS, 6000, (float[]){1.0f, 0.9f, 0.3f, 1.0f},
                      (int32_t[]){0, 40, 3000, 0, 2048});
}

static void hard_logits_of_a_large_vocabulary(void **state)
{
    (void)state;
    check_hard_logits(HARD_KINDS, 128256, (float[]){0.9f, 0.9f, 0.9f, 0.9f}, (int32_t[5]){0});
}

// One row of five logits, its parameters, and the only token that may come out.
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        float logits[5];
        uint16_t counts[5];
        wf_row_sampling sampling;
        int32_t token;
    } table[] = {
        {"greedy", {1, 5, 3, 4, 2}, {0}, {.top_p = 1, .repetition_penalty = 1}, 1},
        {"lowest id on ties", {1, 5, 3, 5, 5}, {0}, {.top_p = 1, .repetition_penalty = 1}, 1},
        {"NaN is no maximum", {NAN, 1, NAN, 4, 2}, {0}, {.top_p = 1, .repetition_penalty = 1}, 3},
        {"all NaN", {NAN, NAN, NAN, NAN, NAN}, {0}, {.top_p = 1, .repetition_penalty = 1}, 0},
        {"+inf", {1, 2, INFINITY, 4, 2}, {0}, {.top_p = 1, .repetition_penalty = 1}, 2},
        {"+inf drawn",
         {1, 2, INFINITY, 4, 2},
         {0},
         {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
         2},
        {"top_k 1",
         {1, 2, 3, 4.5f, 4},
         {0},
         {.temperature = 9, .top_p = 1, .top_k = 1, .repetition_penalty = 1},
         3},
        {"top_p tiny",
         {1, 2, 3, 4.5f, 4},
         {0},
         {.temperature = 9, .top_p = 1e-9f, .repetition_penalty = 1},
         3},
        {"min_p 1",
         {1, 2, 3, 4.5f, 4},
         {0},
         {.temperature = 9, .top_p = 1, .min_p = 1, .repetition_penalty = 1},
         3},
        {"cold",
         {1, 2, 3, 4.5f, 4},
         {0},
         {.temperature = 1e-6f, .top_p = 1, .repetition_penalty = 1},
         3},
        {"repetition of a positive logit",
         {0, 0, 3, 4, 0},
         {0, 0, 0, 0x8000, 0},
         {.top_p = 1, .repetition_penalty = 2},
         2},
        {"repetition of negative logits",
         {-9, -9, -3, -2, -9},
         {0, 0, 0, 1, 0},
         {.top_p = 1, .repetition_penalty = 2},
         2},
        {"presence spares the prompt",
         {0, 0, 3, 4, 0},
         {0, 0, 0, 0x8000, 0},
         {.top_p = 1, .repetition_penalty = 1, .presence_penalty = 2},
         3},
        {"presence",
         {0, 0, 3, 4, 0},
         {0, 0, 0, 1, 0},
         {.top_p = 1, .repetition_penalty = 1, .presence_penalty = 2},
         2},
        {"frequency",
         {0, 0, 3, 4, 0},
         {0, 0, 0, 5, 0},
         {.top_p = 1, .repetition_penalty = 1, .frequency_penalty = 0.25f},
         2},
        {"min_tokens masks the stop",
         {0, 0, 3, 4, 0},
         {0},
         {.top_p = 1,
          .repetition_penalty = 1,
          .prompt_len = 6,
          .min_tokens = 2,
          .n_stop_ids = 1,
          .stop_ids = {3}},
         2},
        {"min_tokens reached",
         {0, 0, 3, 4, 0},
         {0},
         {.top_p = 1,
          .repetition_penalty = 1,
          .prompt_len = 5,
          .min_tokens = 2,
          .n_stop_ids = 1,
          .stop_ids = {3}},
         3},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        sample_case c = {
            1,     5,    1,    2, table[i].logits, &table[i].sampling, table[i].counts, 7,
            false, NULL, NULL, 0};
        sampled got = run_sample(op.be, &c);
        if (got.token[0] != table[i].token)
            fail_msg("%s: token %d, not %d", table[i].what, got.token[0], table[i].token);
        drop(&got);
        op_release();
    }
}

static void logprobs(void **state)
{
    (void)state;
    const float logits[] = {logf(0.1f), logf(0.4f), logf(0.2f), logf(0.3f)};
    sample_case c = {1, 4, 2, 3, logits, &greedy, NULL, 7, false, NULL, NULL, 0};
    sampled got = run_sample(op.be, &c);
    assert_int_equal(got.token[0], 1);
    assert_true(fabsf(got.logprob[0] - logf(0.4f)) < 1e-6f);
    const int32_t ids[] = {1, 3, 2};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(got.top_id[k], ids[k]);
        assert_true(fabsf(got.top_logprob[k] - logits[ids[k]]) < 1e-6f);
    }
    drop(&got);
}

// Raw: of the logits as they come. Processed: of what the token was drawn from.
static void logprobs_before_and_after_sampling(void **state)
{
    (void)state;
    const float logits[] = {logf(0.1f), logf(0.4f), logf(0.2f), logf(0.3f)};
    const uint16_t counts[] = {0, 1, 0, 0};
    // Token 1 counts 0.16 then; at temperature 0.5 the squares: 0.01, 0.0256, 0.04, 0.09.
    wf_row_sampling filtered = {
        .temperature = 0.5f, .top_p = 1, .top_k = 2, .repetition_penalty = 2, .rng_key = 3};
    wf_row_sampling masked = greedy;
    masked.min_tokens = 20, masked.n_stop_ids = 1, masked.stop_ids[0] = 1;
    const struct {
        const wf_row_sampling *sampling;
        const uint16_t *counts;
        bool processed;
        int32_t id[3];
        float p[3];
    } table[] = {
        {&filtered, counts, false, {1, 3, 2}, {0.4f, 0.3f, 0.2f}},
        {&filtered, counts, true, {3, 2, 1}, {0.09f / 0.13f, 0.04f / 0.13f, 0}},
        {&masked, NULL, false, {1, 3, 2}, {0.4f, 0.3f, 0.2f}},
        {&masked, NULL, true, {3, 2, 0}, {0.5f, 0.2f / 0.6f, 0.1f / 0.6f}},
        {&greedy, NULL, true, {1, 3, 2}, {0.4f, 0.3f, 0.2f}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        sample_case c = {
            1,    4,    2, 3, logits, table[i].sampling, table[i].counts, 7, table[i].processed,
            NULL, NULL, 0};
        sampled got = run_sample(op.be, &c);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(got.top_id[k], table[i].id[k]);
            assert_true(close_to(got.top_logprob[k], logf(table[i].p[k])));
            if (got.token[0] == got.top_id[k])
                assert_true(close_to(got.logprob[0], got.top_logprob[k]));
        }
        drop(&got);
    }
}

// Allowed tokens and bans, then biases, then penalties; raw logprobs know of none of them.
static void wishes_come_before_penalties(void **state)
{
    (void)state;
    const float logits[] = {1, 5, 3, 4, -2}, two = 2.0f, ten = 10.0f;
    const uint16_t none[5] = {0}, counts[5] = {0, 0, 0, 1, 1};
    wf_row_sampling halves = greedy;
    halves.repetition_penalty = 2;
    int32_t words[] = {0, 2,  3, 4 /* allowed */,
                       2, 0,  4, 0 /* biases */,
                       1, -1, 3, 0 /* bans: always; after token 0, which is the row's */,
                       3, 7};
    memcpy(&words[5], &two, 4);
    memcpy(&words[7], &ten, 4);
    const struct {
        const char *what;
        wf_row_wishes w;
        const uint16_t *counts;
        int32_t token;
    } table[] = {
        {"nothing", {0}, none, 1},
        {"allowed", {0, 4, 0, 0, 0, 0}, none, 3},
        {"bias", {0, 0, 4, 2, 0, 0}, none, 4},
        {"bias of an allowed one", {0, 3, 4, 1, 0, 0}, none, 2},
        {"banned", {0, 0, 0, 0, 8, 1}, none, 3},
        {"banned after its own last token", {0, 0, 0, 0, 8, 2}, none, 2},
        {"not banned after another", {0, 0, 0, 0, 12, 1}, none, 1},
        {"banned in spite of its bias", {0, 3, 4, 1, 8, 2}, none, 2},
        {"biased, then penalised", {0, 4, 4, 2, 0, 0}, counts, 2}, // 4: (-2 + 10) / 2
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int processed = 0; processed < 2; processed++) {
            sample_case c = {1, 5, 1, 2, logits, &halves, table[i].counts, 7, processed, 0, 0, 0};
            c.wishes = &table[i].w, c.wish_words = words, c.n_wish_words = 14;
            sampled got = run_sample(op.be, &c);
            if (got.token[0] != table[i].token)
                fail_msg("%s: token %d, not %d", table[i].what, got.token[0], table[i].token);
            float below = processed ? 0 : logits[got.token[0]] - 5;
            assert_int_equal(got.top_id[0], processed ? got.token[0] : 1);
            assert_true(close_to(got.logprob[0] - got.top_logprob[0], below));
            drop(&got);
            op_release();
        }
    }
}

#define VOCAB   40
#define N_DRAWS 40000

static int by_value_down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// The exact probabilities, from the definitions, for logits without ties.
static void exact(const float *logits, const wf_row_sampling *s, double p[VOCAB])
{
    double sorted[VOCAB], total = 0.0, max = -1e30;
    for (int i = 0; i < VOCAB; i++)
        max = fmax(max, (double)logits[i]);
    for (int i = 0; i < VOCAB; i++) {
        p[i] = exp(((double)logits[i] - max) / (double)s->temperature);
        if (p[i] < (double)s->min_p) p[i] = 0.0;
    }
    memcpy(sorted, p, sizeof sorted);
    qsort(sorted, VOCAB, sizeof *sorted, by_value_down);
    int n = VOCAB;
    if (s->top_k > 0 && s->top_k < n) n = s->top_k;
    for (int i = 0; i < n; i++)
        total += sorted[i];
    double sum = 0.0;
    int last = 0;
    for (; last < n - 1; last++) {
        sum += sorted[last];
        if (sum >= (double)s->top_p * total) break;
    }
    double least = fmax(sorted[last], 1e-300), kept = 0.0;
    for (int i = 0; i < VOCAB; i++) {
        if (p[i] < least) p[i] = 0.0;
        kept += p[i];
    }
    for (int i = 0; i < VOCAB; i++)
        p[i] /= kept;
}

// Chi-square of 40,000 draws, each with a key of its own or all positions of one key.
static void distributions(void **state)
{
    (void)state;
    static const wf_row_sampling table[] = {
        {.temperature = 1.0f, .top_p = 1.0f},
        {.temperature = 0.5f, .top_p = 1.0f},
        {.temperature = 3.0f, .top_p = 1.0f},
        {.temperature = 1.0f, .top_p = 1.0f, .top_k = 7},
        {.temperature = 1.0f, .top_p = 0.8f},
        {.temperature = 1.0f, .top_p = 1.0f, .min_p = 0.2f},
        {.temperature = 1.5f, .top_p = 0.9f, .top_k = 20, .min_p = 0.05f},
    };
    float *logits = scratch((size_t)N_DRAWS * VOCAB * sizeof *logits);
    wf_row_sampling *sampling = scratch(N_DRAWS * sizeof *sampling);
    for (int64_t i = 0; i < (int64_t)N_DRAWS * VOCAB; i++)
        logits[i] = 2.0f * op_random(95, i % VOCAB, WF_F32);
    for (size_t t = 0; t < 2 * sizeof table / sizeof *table; t++) {
        bool one_key = t % 2 == 1;
        for (int32_t i = 0; i < N_DRAWS; i++) {
            sampling[i] = table[t / 2];
            sampling[i].repetition_penalty = 1.0f;
            sampling[i].rng_key = one_key ? 12345 : (uint64_t)i * 7919 + t;
        }
        sample_case c = {N_DRAWS, VOCAB, 0,    0, logits, sampling, NULL, one_key ? 0 : -N_DRAWS,
                         false,   NULL,  NULL, 0};
        sampled got = run_sample(op.be, &c);
        double p[VOCAB], chi2 = 0.0;
        int n_seen[VOCAB] = {0}, freedom = -1;
        exact(logits, &table[t / 2], p);
        for (int32_t i = 0; i < N_DRAWS; i++)
            n_seen[got.token[i]]++;
        for (int i = 0; i < VOCAB; i++) {
            if (p[i] == 0.0) {
                assert_int_equal(n_seen[i], 0);
                continue;
            }
            double expected = p[i] * N_DRAWS;
            chi2 += ((double)n_seen[i] - expected) * ((double)n_seen[i] - expected) / expected;
            freedom++;
        }
        // Wilson and Hilferty: 4 deviations above the mean of chi-square.
        double f = (double)freedom, h = 2.0 / (9.0 * f);
        double bound = f * pow(1.0 - h + 4.0 * sqrt(h), 3.0);
        if (chi2 > bound)
            fail_msg("case %d: chi-square %.1f of %d degrees of freedom", (int)t, chi2, freedom);
        drop(&got);
        op_release();
    }
    test_free(logits);
    test_free(sampling);
}

// Greatest logits of slices, then the best of all slices: what greedy sampling of the whole gives.
static void best_of_slices(void **state)
{
    (void)state;
    static const int32_t sizes[][3] = {
        {1, 1, 2}, {3, 7, 4}, {5, 257, 2}, {2, 5000, 3}, {4, 16031, 8}}; // rows, slice, ranks
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int32_t n = sizes[s][0], slice = sizes[s][1], n_ranks = sizes[s][2];
        int32_t n_vocab = slice * n_ranks - slice / 2; // the last rank holds fewer
        float *logits = random_logits(n, n_vocab, 17);
        float *part = scratch((size_t)(n * slice) * sizeof *part);
        wf_best *best = scratch((size_t)(n * n_ranks) * sizeof *best);
        int32_t *row = scratch((size_t)n * sizeof *row), *got = scratch((size_t)n * sizeof *got);
        if (n_vocab > 2) logits[1] = NAN;
        if (n_vocab > 300) logits[n_vocab - 1] = logits[slice] = 9.0f; // a tie across slices
        for (int32_t r = 0; r < n_ranks; r++) {
            int32_t n_valid = r == n_ranks - 1 ? n_vocab - r * slice : slice;
            wf_best *device = op_put(op.be, best, (size_t)n * sizeof *best);
            for (int32_t i = 0; i < n * slice; i++)
                part[i] = INFINITY; // padding must never win
            for (int32_t i = 0; i < n; i++)
                memcpy(part + i * slice, logits + i * n_vocab + r * slice,
                       (size_t)n_valid * sizeof *part);
            wf_best_args a = {
                .logits = {op_put(op.be, part, (size_t)(n * slice) * sizeof *part), WF_F32, n,
                           slice, slice},
                .n_valid = n_valid,
                .first_id = r * slice,
                .best = device,
            };
            op_ok(op.be->ops->best(op.be, NULL, &a));
            op_get(op.be, best + r * n, device, (size_t)n * sizeof *best);
        }
        for (int32_t i = 0; i < n; i++)
            row[i] = n - 1 - i;
        wf_best_pick_args pick = {
            .best = op_put(op.be, best, (size_t)(n * n_ranks) * sizeof *best),
            .n_ranks = n_ranks,
            .n = n,
            .row = op_put(op.be, row, (size_t)n * sizeof *row),
            .last_token = op_put(op.be, row, (size_t)n * sizeof *row),
            .token = op_put(op.be, row, (size_t)n * sizeof *row),
        };
        op_ok(op.be->ops->best_pick(op.be, NULL, &pick));
        op_get(op.be, got, pick.token, (size_t)n * sizeof *got);
        op_get(op.be, row, pick.last_token, (size_t)n * sizeof *row);
        for (int32_t i = 0; i < n; i++) {
            const float *x = logits + i * n_vocab;
            int32_t want = 0;
            for (int32_t k = 1; k < n_vocab; k++)
                if (x[k] > x[want] || isnan(x[want])) want = k;
            if (got[i] != want)
                fail_msg("row %d of %d over %d ranks: token %d, not %d", i, n, n_ranks, got[i],
                         want);
            assert_int_equal(row[n - 1 - i], want);
        }
        test_free(logits);
        test_free(part);
        test_free(best);
        test_free(row);
        test_free(got);
        op_release();
    }
}

static void no_column_loses_against_any(void **state)
{
    (void)state;
    const float logits[4] = {-INFINITY, NAN, -INFINITY, 0.0f};
    wf_best best[2], none = {0.0f, 0};
    wf_best_args a = {
        .logits = {op_put(op.be, logits, sizeof logits), WF_F32, 1, 4, 4},
        .n_valid = 0,
        .first_id = 7,
        .best = op_put(op.be, &none, sizeof none),
    };
    op_ok(op.be->ops->best(op.be, NULL, &a));
    op_get(op.be, &best[0], a.best, sizeof *best);
    a.n_valid = 3;
    op_ok(op.be->ops->best(op.be, NULL, &a));
    op_get(op.be, &best[1], a.best, sizeof *best);
    assert_int_equal(best[0].id, INT32_MAX);
    assert_int_equal(best[1].id, 7);
    assert_true(best[0].logit == -INFINITY && best[1].logit == -INFINITY);
    int32_t zero = 0, token = -1;
    wf_best_pick_args pick = {.best = op_put(op.be, best, sizeof best),
                              .n_ranks = 2,
                              .n = 1,
                              .row = op_put(op.be, &zero, 4),
                              .last_token = op_put(op.be, &zero, 4),
                              .token = op_put(op.be, &zero, 4)};
    op_ok(op.be->ops->best_pick(op.be, NULL, &pick));
    op_get(op.be, &token, pick.token, 4);
    assert_int_equal(token, 7);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_ref),
        cmocka_unit_test(hard_logits),
        cmocka_unit_test(hard_logits_of_a_large_vocabulary),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(logprobs),
        cmocka_unit_test(logprobs_before_and_after_sampling),
        cmocka_unit_test(wishes_come_before_penalties),
        cmocka_unit_test(distributions),
        cmocka_unit_test(best_of_slices),
        cmocka_unit_test(no_column_loses_against_any),
    };
    return OP_MAIN(argc, argv, tests);
}
