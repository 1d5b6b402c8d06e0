// Defaults and checks of one request. What needs the shard around it (order of arrivals, repeated
// ids, offsets) is checked by the shard reader.
#include "io/shard/request.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "io/base/text.h"

wf_sampling wf_sampling_default(void)
{
    return (wf_sampling){
#define DEFAULT(field, type, kind, def, lo, hi) .field = def,
        WF_SAMPLING_TABLE(DEFAULT)
#undef DEFAULT
    };
}

wf_sampling wf_request_sampling(const wf_request *r, const wf_sampling *job)
{
    wf_sampling p = *job;
#define TAKE(field, type, kind, def, lo, hi)                                                       \
    if (r->sampling_set & 1u << WF_SAMPLING_##field) p.field = r->sampling.field;
    WF_SAMPLING_TABLE(TAKE)
#undef TAKE
    return p;
}

uint32_t wf_sampling_samples(const wf_sampling *sampling)
{
    static const double most[] = {
#define MOST(field, type, kind, def, lo, hi) [WF_SAMPLING_##field] = hi,
        WF_SAMPLING_TABLE(MOST)
#undef MOST
    };
    bool sound = sampling->n >= 1 && sampling->n <= most[WF_SAMPLING_n];
    return sound ? sampling->n : 1;
}

bool wf_sampling_chooses(const wf_sampling *sampling)
{
    return sampling->best_of > sampling->n;
}

static wf_status check_ids(const char *what, const int32_t *ids, uint32_t n, int64_t n_vocab)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (n_vocab > 0 && ids[i] >= n_vocab)) {
            return wf_fail(WF_REQ_TOKEN,
                           "%s %" PRIu32 " is %" PRId32 ", outside the vocabulary of %" PRId64,
                           what, i, ids[i], n_vocab);
        }
    }
    return WF_OK;
}

static wf_status check_ascending(const char *what, const int32_t *ids, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (ids[i] <= ids[i - 1])
            return wf_fail(WF_REQ_SAMPLING,
                           "%s: token %" PRId32 " comes after %" PRId32
                           "; ids ascend, each of them once",
                           what, ids[i], ids[i - 1]);
    return WF_OK;
}

static wf_status check_number(const char *what, uint32_t n, uint32_t most)
{
    if (n <= most) return WF_OK;
    return wf_fail(WF_REQ_SAMPLING, "%s: has %" PRIu32 " entries, at most %" PRIu32 " are possible",
                   what, n, most);
}

static wf_status check_biases(const wf_request *r, int64_t n_vocab)
{
    WF_TRY(check_number("logit_bias", r->n_bias, WF_MOST_BIASES));
    if (r->n_bias_id != r->n_bias)
        return wf_fail(WF_REQ_SAMPLING,
                       "logit_bias: %" PRIu32 " tokens and %" PRIu32 " biases do not go together",
                       r->n_bias_id, r->n_bias);
    WF_TRY(check_ids("logit_bias token", r->bias_id, r->n_bias_id, n_vocab));
    WF_TRY(check_ascending("logit_bias", r->bias_id, r->n_bias_id));
    for (uint32_t i = 0; i < r->n_bias; i++)
        if (!isfinite(r->bias[i]))
            return wf_fail(WF_REQ_SAMPLING,
                           "logit_bias: of token %" PRId32 " is %g, a finite number is expected",
                           r->bias_id[i], (double)r->bias[i]);
    return WF_OK;
}

// Every word has a token, and its end.
static wf_status check_bad_words(const wf_request *r, int64_t n_vocab)
{
    WF_TRY(check_number("bad_words", r->n_bad_words, WF_MOST_BAD_WORDS));
    for (uint32_t i = 0, begin = 0; i < r->n_bad_words; i++) {
        if (r->bad_words[i] != -1) continue;
        if (i == begin) return wf_fail(WF_REQ_SAMPLING, "bad_words: a word has no tokens");
        WF_TRY(check_ids("bad_words token", r->bad_words + begin, i - begin, n_vocab));
        begin = i + 1;
    }
    if (r->n_bad_words > 0 && r->bad_words[r->n_bad_words - 1] != -1)
        return wf_fail(WF_REQ_SAMPLING, "bad_words: the last word is not ended by -1");
    return WF_OK;
}

wf_status wf_request_check_stop_strings(const uint8_t *strings, uint32_t n_bytes)
{
    if (n_bytes > WF_MOST_STOP_BYTES)
        return wf_fail(WF_REQ_SAMPLING,
                       "stop: the strings have %" PRIu32 " bytes, at most %d are possible", n_bytes,
                       WF_MOST_STOP_BYTES);
    for (uint32_t i = 0, begin = 0; i < n_bytes; i++) {
        if (strings[i] != 0) continue;
        if (i == begin) return wf_fail(WF_REQ_SAMPLING, "stop: a string is empty");
        if (!wf_utf8_is_valid((const char *)strings + begin, i - begin))
            return wf_fail(WF_REQ_SAMPLING, "stop: a string is no UTF-8 text");
        begin = i + 1;
    }
    if (n_bytes > 0 && strings[n_bytes - 1] != 0)
        return wf_fail(WF_REQ_SAMPLING, "stop: the last string is not ended by a zero byte");
    return WF_OK;
}

static wf_status check_wishes(const wf_request *r, int64_t n_vocab)
{
    WF_TRY(check_biases(r, n_vocab));
    WF_TRY(check_number("allowed_token_ids", r->n_allowed, WF_MOST_ALLOWED));
    WF_TRY(check_ids("allowed token", r->allowed, r->n_allowed, n_vocab));
    WF_TRY(check_ascending("allowed_token_ids", r->allowed, r->n_allowed));
    return check_bad_words(r, n_vocab);
}

// Written so that NaN is out of range.
static wf_status check_range(const char *name, double value, double least, double most)
{
    if (value >= least && value <= most) return WF_OK;
    return wf_fail(WF_REQ_SAMPLING, "%s is %g, outside %g to %g", name, value, least, most);
}

static wf_status check_sampling(const wf_request *r)
{
// A bound is as good as the column holds it: 1e-6 as a float is less than 1e-6.
#define BOUND(type, bound)                                                                         \
    _Generic((type){0}, float: (double)(float)(bound), default: (double)(bound))
#define CHECK(field, type, kind, def, lo, hi)                                                      \
    if (r->sampling_set & 1u << WF_SAMPLING_##field)                                               \
        WF_TRY(check_range(#field, (double)r->sampling.field, BOUND(type, lo), BOUND(type, hi)));
    WF_SAMPLING_TABLE(CHECK)
#undef CHECK
#undef BOUND
    bool has_least = r->sampling_set & 1u << WF_SAMPLING_min_tokens;
    if (has_least && r->sampling.min_tokens > r->max_new_tokens) {
        return wf_fail(WF_REQ_SAMPLING, "min_tokens is %" PRIu32 ", above max_new_tokens %" PRIu32,
                       r->sampling.min_tokens, r->max_new_tokens);
    }
    return WF_OK;
}

static wf_status check_segments(const wf_request *r)
{
    if (r->n_segment == 0) return WF_OK;
    if (r->n_segment > 1)
        return wf_fail(WF_REQ_LENGTH, "%" PRIu32 " further segments; rows have two at most",
                       r->n_segment);
    if (r->segment[0] > 0 && (int64_t)r->segment[0] < (int64_t)r->n_prompt) return WF_OK;
    return wf_fail(WF_REQ_LENGTH,
                   "second segment begins at token %" PRId32 " of %" PRIu32
                   "; both segments must have tokens",
                   r->segment[0], r->n_prompt);
}

wf_status wf_request_check(const wf_request *r, int64_t n_vocab, int64_t max_context)
{
    if (r->arrival_ns < 0) {
        return wf_fail(WF_REQ_ARRIVAL, "arrival is %" PRId64 " ns, before the stream's origin",
                       r->arrival_ns);
    }
    if (r->n_prompt == 0) return wf_fail(WF_REQ_EMPTY, "prompt has no tokens");
    if (r->max_new_tokens == 0)
        return wf_fail(WF_REQ_LENGTH, "max_new_tokens is 0; at least 1 token must be asked for");
    if (max_context > 0 && r->n_prompt >= max_context) {
        return wf_fail(WF_REQ_CONTEXT,
                       "prompt of %" PRIu32 " tokens does not fit the context of %" PRId64
                       " with a token to generate",
                       r->n_prompt, max_context);
    }
    WF_TRY(check_ids("prompt token", r->prompt, r->n_prompt, n_vocab));
    WF_TRY(check_ids("stop token", r->stop, r->n_stop, n_vocab));
    WF_TRY(wf_request_check_stop_strings(r->stop_string, r->stop_string_bytes));
    WF_TRY(check_segments(r));
    WF_TRY(check_wishes(r, n_vocab));
    return check_sampling(r);
}

static size_t values_bytes(const wf_request *r, uint32_t n, size_t each, bool of_failed)
{
    return r->status == WF_OK || of_failed ? n * each : 0;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

size_t wf_request_values_bytes(const wf_request *r)
{
    size_t bytes = 0;
#define ADD(field, n, type, offsets, values, must, of_failed, cut_units, cut, units, words)        \
    bytes += rounded(values_bytes(r, r->n, sizeof(type), of_failed));
    WF_REQUEST_RAGGED_TABLE(ADD)
#undef ADD
    return bytes;
}

wf_request wf_request_copy(const wf_request *r, void *to)
{
    wf_request copy = *r;
    char *at = to;
#define COPY(field, n, type, offsets, values, must, of_failed, cut_units, cut, units, words)       \
    {                                                                                              \
        size_t bytes = values_bytes(r, r->n, sizeof(type), of_failed);                             \
        if (bytes > 0) memcpy(at, r->field, bytes);                                                \
        copy.field = (const type *)(const void *)at;                                               \
        at += rounded(bytes);                                                                      \
    }
    WF_REQUEST_RAGGED_TABLE(COPY)
#undef COPY
    return copy;
}
