// Names of pages, and who finds them. See prefix.h.
#include "engine/prefix.h"

#include <string.h>

#include "kernels/sampling.h"

// A page's own hash, together with the name before it: a page of any size needs no buffer.
static wf_hash128 name_after(wf_hash128 before, const int32_t *token, int32_t n)
{
    wf_hash128 link[2] = {before, wf_hash128_of(token, (size_t)n * sizeof *token)};
    return wf_hash128_of(link, sizeof link);
}

void wf_prefix_names(const int32_t *prompt, int32_t n, int32_t page_tokens, wf_hash128 *out)
{
    wf_hash128 name = {0};
    for (int32_t i = 0; i < n; i++)
        out[i] = name = name_after(name, prompt + (int64_t)i * page_tokens, page_tokens);
}

int32_t wf_prefix_share(void *pool, void *tag, int32_t most, int32_t *pages)
{
    const wf_sequence *s = tag;
    int32_t n = 0;
    if (!s->page_name || wf_sampling_penalises(&s->sampling)) return 0;
    while (n < most && (pages[n] = wf_kvpool_find(pool, s->page_name[n])) >= 0)
        n++;
    return n;
}

// A page whose content another one has keeps no name, and what follows it is found there.
void wf_prefix_full(void *pool, void *tag, int32_t first, int32_t n, const int32_t *pages)
{
    const wf_sequence *s = tag;
    for (int32_t i = first; s->page_name && i < first + n; i++)
        wf_kvpool_name(pool, pages[i], s->page_name[i]);
}
