// Defaults and checks of one request. What needs the shard around it (order of arrivals, repeated
// ids, offsets) is checked by the shard reader.
#include "io/shard/request.h"

#include <inttypes.h>

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
    return check_sampling(r);
}
