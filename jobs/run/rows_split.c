// The split by key or in turn. See rows.h.
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "jobs/run/rows.h"

static wf_status read_sessions(const wf_rows_config *c, size_t shard, uint64_t *out)
{
    uint64_t n = c->info[shard].n_rows;
    int64_t *think_ns = NULL;
    uint32_t *turn = NULL;
    wf_status st = wf_alloc(n, sizeof *think_ns, &think_ns);
    if (st == WF_OK) st = wf_alloc(n, sizeof *turn, &turn);
    if (st == WF_OK)
        st =
            wf_reader_read_turns(c->reader, c->spec->shards.item[shard], 0, n, out, think_ns, turn);
    free(think_ns);
    free(turn);
    return st;
}

static wf_status read_keys(const wf_rows_config *c, size_t shard, uint64_t *out)
{
    const char *key = c->spec->arrivals.split_key;
    if (strcmp(key, "session") == 0) return read_sessions(c, shard, out);
    return wf_reader_read_keys(c->reader, c->spec->shards.item[shard], 0, c->info[shard].n_rows,
                               key, out);
}

wf_status wf_rows_split_open(const wf_rows_config *c, wf_rows_split *out)
{
    size_t n_shards = c->spec->requests.n;
    *out = (wf_rows_split){.c = c};
    if (c->spec->arrivals.split != WF_SPEC_SPLIT_KEY || c->n_groups == 1) return WF_OK;
    WF_TRY(wf_alloc(n_shards, sizeof *out->key, &out->key));
    for (size_t k = 0; k < n_shards; k++) {
        WF_TRY(wf_alloc(c->info[k].n_rows, sizeof *out->key[k], &out->key[k]));
        WF_TRY(read_keys(c, k, out->key[k]));
    }
    return WF_OK;
}

void wf_rows_split_close(wf_rows_split *s)
{
    for (size_t k = 0; s->key && k < s->c->spec->requests.n; k++)
        free(s->key[k]);
    free(s->key);
    *s = (wf_rows_split){0};
}

bool wf_rows_split_is_ours(const wf_rows_split *s, uint64_t i_item, uint32_t shard, uint64_t row)
{
    const wf_rows_config *c = s->c;
    uint64_t key = s->key ? s->key[shard][row] : 0;
    if (c->spec->arrivals.split == WF_SPEC_SPLIT_LEAST_TOKENS) return true;
    return (key != 0 ? key : i_item) % (uint64_t)c->n_groups == (uint64_t)c->group;
}
