// See ends.h.
#include "jobs/run/ends.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"

// Two lists one behind the other.
static void join(void *to, const void *first, size_t first_bytes, const void *then, size_t bytes)
{
    if (first_bytes > 0) memcpy(to, first, first_bytes);
    if (bytes > 0) memcpy((char *)to + first_bytes, then, bytes);
}

wf_status wf_ends_join(wf_ends *e, const wf_serve_config *c, const wf_request *r)
{
    e->n_tokens = e->string_bytes = 0;
    if (c->simulated) return WF_OK;
    size_t n = r->n_stop + c->n_stop, n_bytes = (size_t)r->stop_string_bytes + c->stop_string_bytes;
    e->pieces = c->pieces ? c->pieces[r->shard] : NULL;
    WF_TRY(wf_grow(n, sizeof *e->token, &e->token_capacity, &e->token));
    WF_TRY(wf_grow(n_bytes, 1, &e->string_capacity, &e->string));
    join(e->token, r->stop, r->n_stop * sizeof *r->stop, c->stop, c->n_stop * sizeof *c->stop);
    e->n_tokens = (uint32_t)n;
    if (n_bytes > 0 && !e->pieces) return WF_OK; // a task that draws no token
    join(e->string, r->stop_string, r->stop_string_bytes, c->stop_string, c->stop_string_bytes);
    e->string_bytes = (uint32_t)n_bytes;
    return WF_OK;
}

void wf_ends_free(wf_ends *e)
{
    free(e->token);
    free(e->string);
    *e = (wf_ends){0};
}
