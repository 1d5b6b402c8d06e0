// See pieces.h.
#include "io/shard/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"

wf_status wf_pieces_create(uint32_t n_tokens, uint64_t n_bytes, wf_pieces **out)
{
    wf_pieces *p = NULL;
    WF_TRY(wf_alloc(1, sizeof *p, &p));
    p->n_tokens = n_tokens;
    wf_status st = wf_alloc((size_t)n_tokens + 1, sizeof *p->offset, &p->offset);
    if (st == WF_OK) st = wf_alloc((size_t)n_bytes + 1, 1, &p->byte);
    if (st == WF_OK)
        *out = p;
    else
        wf_pieces_free(p);
    return st;
}

void wf_pieces_free(wf_pieces *p)
{
    if (!p) return;
    free(p->offset);
    free(p->byte);
    free(p);
}

wf_status wf_pieces_of_bytes(uint32_t n_tokens, wf_pieces **out)
{
    uint32_t n = n_tokens < 256 ? n_tokens : 256;
    WF_TRY(wf_pieces_create(n_tokens, n, out));
    for (uint32_t i = 0; i <= n_tokens; i++)
        (*out)->offset[i] = i < n ? i : n;
    for (uint32_t i = 0; i < n; i++)
        (*out)->byte[i] = (uint8_t)i;
    return WF_OK;
}

bool wf_pieces_are_sound(const wf_pieces *p, uint64_t n_bytes)
{
    for (uint32_t i = 0; i < p->n_tokens; i++)
        if (p->offset[i + 1] < p->offset[i]) return false;
    return p->offset[0] == 0 && p->offset[p->n_tokens] == n_bytes;
}

bool wf_pieces_are_same(const wf_pieces *a, const wf_pieces *b)
{
    return a->n_tokens == b->n_tokens &&
           memcmp(a->offset, b->offset, (a->n_tokens + (size_t)1) * sizeof *a->offset) == 0 &&
           memcmp(a->byte, b->byte, (size_t)a->offset[a->n_tokens]) == 0;
}
