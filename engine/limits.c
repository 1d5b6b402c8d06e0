// From configuration to limits. See limits.h.
#include "engine/limits.h"

// 1 GiB of a step's plan, which goes out as one message.
enum { MOST_WISH_WORDS = 1 << 28 };

static int32_t div_up(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a + b - 1) / b);
}

static wf_status check_beams(const wf_engine_config *c)
{
    if (c->n_beams == 0) return WF_OK;
    if (c->reorder != WF_REORDER_INDEX || c->fusion == WF_FUSION_INSTANCES)
        return wf_fail(WF_CONFIG, "engine: beam search needs reorder index, and a fusion that "
                                  "computes all beams of a request in one step: not instances");
    if (c->processed_logprobs)
        return wf_fail(WF_CONFIG, "engine: beams are chosen by sampling.logprobs_mode raw");
    return WF_OK;
}

static wf_status check(const wf_engine_config *c, const wf_arch *arch, int32_t group_size)
{
    WF_TRY(check_beams(c));
    if (c->fusion == WF_FUSION_INSTANCES && group_size > 1)
        return wf_fail(WF_CONFIG, "engine: fusion instances needs parallel.tensor 1, not %d",
                       group_size);
    if (c->prefix_cache == WF_PREFIX_ON && c->reorder != WF_REORDER_INDEX)
        return wf_fail(WF_CONFIG, "engine: prefix_cache on needs reorder index: rows that are "
                                  "moved or computed on write over pages that others read");
    if (c->max_context > arch->max_context)
        return wf_fail(WF_CONFIG, "engine: max_context %d is beyond the model's %d", c->max_context,
                       arch->max_context);
    if (c->max_rows < 1 || c->max_rows > 65536 || c->step_tokens < c->max_rows ||
        c->page_tokens < 1)
        return wf_fail(
            WF_CONFIG,
            "engine: max_rows %d, step_tokens %d, page_tokens %d: max_rows is 1 to 65536, "
            "step_tokens at least max_rows",
            c->max_rows, c->step_tokens, c->page_tokens);
    if ((int64_t)c->max_rows * c->row_wishes > MOST_WISH_WORDS)
        return wf_fail(WF_CONFIG,
                       "engine: max_rows %d, each with up to %d words of biases, bad words and "
                       "allowed tokens: together at most %d; lower max_rows",
                       c->max_rows, c->row_wishes, MOST_WISH_WORDS);
    return WF_OK;
}

static bool pads(const wf_engine_config *c, bool captures)
{
    return c->capture == WF_CAPTURE_PAD_ONLY || (c->capture == WF_CAPTURE_AUTO && captures);
}

// Pages of a contiguous slot; 0: there are none. A request holds no more than a slot, and no more
// than its context: what lies beyond would be memory for nobody.
static int32_t slot_pages(const wf_engine_config *c, int32_t max_pages)
{
    if (c->reorder != WF_REORDER_COPY) return 0;
    int32_t pages = c->slot_tokens > 0 ? div_up(c->slot_tokens, c->page_tokens) : max_pages;
    return pages < max_pages ? pages : max_pages;
}

static int32_t most_pages(const wf_engine_config *c, int32_t max_pages, int32_t window)
{
    return wf_batcher_most_pages(&(wf_batcher_config){.step_tokens = c->step_tokens,
                                                      .page_tokens = c->page_tokens,
                                                      .max_pages = max_pages,
                                                      .reorder = c->reorder,
                                                      .window = window});
}

// Most shared pages that one step names: those of many prompts, a few hundred KiB of plan. 0 where
// none can be shared: where they are used in turn, others would be written over.
static int32_t shared_pages(const wf_engine_config *c, int32_t max_pages, int32_t window)
{
    enum { MOST = 65536 };
    int64_t all = (int64_t)c->max_rows * max_pages;
    int64_t of_beams = (int64_t)c->n_beams * max_pages;
    if (of_beams > 0 && most_pages(c, max_pages, window) == max_pages)
        return (int32_t)(of_beams > MOST ? of_beams : all <= MOST ? all : MOST);
    if (c->prefix_cache == WF_PREFIX_OFF || c->reorder != WF_REORDER_INDEX) return 0;
    if (most_pages(c, max_pages, window) < max_pages) return 0;
    return (int32_t)(all <= MOST ? all : max_pages > MOST ? max_pages : MOST);
}

// A page holds a whole row, so that pages cost nothing where no layer keeps any keys.
static void want_whole_rows(wf_engine_config *c, const wf_arch *arch)
{
    int32_t longest = c->max_context > 0 ? c->max_context : arch->max_context;
    if (c->step_tokens < longest) c->step_tokens = longest;
    c->page_tokens = longest;
    c->prefix_cache = WF_PREFIX_OFF;
    c->reorder = WF_REORDER_INDEX;
}

wf_engine_config wf_engine_config_of(const wf_engine_config *config, const wf_arch *arch)
{
    wf_engine_config c = *config;
    if (arch->encode.task == WF_TASK_GENERATE) return c;
    c.capture = WF_CAPTURE_OFF; // there are no steps of decode rows
    c.n_top = arch->encode.task == WF_TASK_FILL_MASK ? arch->encode.n_top : -1;
    c.prompt_probs = 0;
    c.penalties = false;
    if (arch->encode.whole) want_whole_rows(&c, arch);
    return c;
}

wf_status wf_engine_limits(const wf_engine_config *config, const wf_arch *arch, int32_t group_size,
                           bool captures, wf_limits *out)
{
    wf_engine_config made = wf_engine_config_of(config, arch), *c = &made;
    WF_TRY(check(c, arch, group_size));
    int32_t max_context = c->max_context > 0 ? c->max_context : arch->max_context;
    int32_t max_pages = div_up(max_context, c->page_tokens);
    int32_t window = wf_arch_window(arch);
    wf_forward_config forward = {.max_rows = c->max_rows,
                                 .step_tokens = c->step_tokens,
                                 .page_tokens = c->page_tokens,
                                 .max_pages = max_pages,
                                 .slot_pages = slot_pages(c, max_pages),
                                 .shared_pages = shared_pages(c, max_pages, window),
                                 .n_beams = c->n_beams,
                                 .n_top = c->n_top,
                                 .processed_logprobs = c->processed_logprobs,
                                 .penalties = c->penalties,
                                 .row_wishes = c->row_wishes,
                                 .types = arch->n_types > 1,
                                 .pad = pads(c, captures),
                                 .prompt_probs = c->prompt_probs,
                                 .expert_load = c->expert_load,
                                 .deterministic = c->deterministic,
                                 .capture = c->capture == WF_CAPTURE_AUTO};
    if (c->prefix_cache == WF_PREFIX_ON && forward.shared_pages == 0)
        return wf_fail(WF_CONFIG,
                       "engine: prefix_cache on: every layer of this model sees a window of %d "
                       "tokens at most, and a request uses its pages in turn; use auto or off",
                       window);
    if (c->n_beams > 0 && forward.shared_pages == 0)
        return wf_fail(WF_CONFIG,
                       "engine: beam search: every layer of this model sees a window of %d tokens "
                       "at most, and a request uses its pages in turn, which beams cannot share",
                       window);
    *out = (wf_limits){.max_context = max_context,
                       .window = window,
                       .most_pages = most_pages(c, max_pages, window),
                       .plan = wf_forward_plan_limits(&forward, group_size),
                       .forward = forward};
    return WF_OK;
}
