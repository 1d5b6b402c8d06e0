// Folder, run, ranges and lives. See conductor_pool.h.
#include "launcher/conductor/conductor_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/results/runfile.h"
#include "io/weights/hf_folder.h"
#include "jobs/run/flight.h"
#include "jobs/run/folder.h"
#include "jobs/run/lease.h"
#include "jobs/run/returned.h"
#include "jobs/spec/inputs.h"

typedef struct {
    int group;
    uint32_t epoch;
} life;

struct wf_pool {
    wf_pool_config config;
    wf_inputs in;
    wf_inputs_model model;
    wf_folder *folder;
    uint32_t run;
    int64_t n_before;
    char *job_file;
    wf_leases *leases; // to look, and to return ranges
    life *closed;      // [n_closed] lives whose ranges are all sealed
    size_t n_closed, closed_capacity;
    wf_lease *back; // [n_back] ranges whose rows were returned, by place
    size_t n_back, back_capacity;
};

// ---- opening ------------------------------------------------------------------------------------

static wf_folder_config folder_config(const wf_pool *pool)
{
    const wf_pool_config *c = &pool->config;
    return (wf_folder_config){.spec = c->spec,
                              .model_identity = pool->model.identity,
                              .dtype = wf_dtype_name(pool->model.numerics.weight),
                              .shards = pool->in.shard,
                              .n_shards = pool->in.n,
                              .n_results = wf_pool_total(pool),
                              .start = c->start,
                              .reader = c->reader};
}

static wf_status folder_begin(wf_pool *pool)
{
    wf_folder_config c = folder_config(pool);
    WF_TRY(wf_folder_begin(&c, &pool->folder));
    pool->run = wf_folder_run(pool->folder);
    return WF_OK;
}

static wf_status done_read(const wf_pool *pool, wf_done **out)
{
    wf_folder_config c = folder_config(pool);
    return wf_folder_done(&c, out);
}

static wf_status ranges_open(wf_pool *pool)
{
    wf_done *done = NULL;
    wf_lease_shard *shards = NULL;
    WF_TRY(done_read(pool, &done));
    pool->n_before = (int64_t)wf_done_total(done);
    wf_status st = wf_alloc(pool->in.n, sizeof *shards, &shards);
    for (size_t i = 0; st == WF_OK && i < pool->in.n; i++) {
        shards[i] =
            (wf_lease_shard){pool->in.info[i].n_rows,
                             pool->in.many_samples[i] ? NULL : wf_done_bits(done, (uint32_t)i)};
    }
    wf_leases_config c = {.out_dir = pool->config.spec->output.dir,
                          .run = pool->run,
                          .group = -1,
                          .shards = shards,
                          .n_shards = pool->in.n,
                          .cut = {.n_groups = pool->config.n_groups}};
    if (st == WF_OK) st = wf_leases_open(&c, &pool->leases);
    free(shards);
    wf_done_destroy(&done);
    return st;
}

static wf_status job_file_write(wf_pool *pool)
{
    char name[64], *text = NULL;
    const wf_jobspec *spec = pool->config.spec;
    snprintf(name, sizeof name, "leases/r%" PRIu32 "/job.yaml", pool->run);
    WF_TRY(wf_path_join(spec->output.dir, name, &pool->job_file));
    WF_TRY(wf_jobspec_text(spec, &text));
    wf_status st = wf_file_write_whole(pool->job_file, text, strlen(text), WF_PUBLISH_REPLACE);
    free(text);
    return st;
}

wf_status wf_pool_open(const wf_pool_config *config, wf_pool **out)
{
    wf_pool *pool;
    wf_status st;
    WF_TRY(wf_alloc(1, sizeof *pool, &pool));
    pool->config = *config;
    WF_TRY_TO(failed, wf_inputs_open(config->spec, config->reader, &pool->in));
    WF_TRY_TO(failed, wf_inputs_model_look(pool->config.spec, &pool->model));
    WF_TRY_TO(failed, folder_begin(pool));
    WF_TRY_TO(failed, ranges_open(pool));
    WF_TRY_TO(failed, job_file_write(pool));
    *out = pool;
    return WF_OK;
failed:
    wf_pool_close(&pool);
    return st;
}

wf_status wf_pool_complete(wf_pool *pool, wf_folder **out)
{
    WF_TRY(wf_folder_complete(pool->folder));
    *out = pool->folder;
    pool->folder = NULL;
    return WF_OK;
}

void wf_pool_close(wf_pool **pool)
{
    wf_pool *p = *pool;
    if (!p) return;
    wf_leases_close(&p->leases);
    wf_folder_end(&p->folder, false);
    wf_inputs_close(&p->in);
    free(p->job_file);
    free(p->closed);
    free(p->back);
    free(p);
    *pool = NULL;
}

uint32_t wf_pool_run(const wf_pool *pool)
{
    return pool->run;
}

bool wf_pool_holds(const wf_pool *pool)
{
    return wf_folder_holds(pool->folder);
}

const char *wf_pool_job_file(const wf_pool *pool)
{
    return pool->job_file;
}

int64_t wf_pool_rows(const wf_pool *pool)
{
    return wf_inputs_rows(&pool->in);
}

int64_t wf_pool_total(const wf_pool *pool)
{
    return wf_inputs_results(&pool->in, pool->config.spec);
}

bool wf_pool_counts_well(const wf_pool *pool)
{
    for (size_t i = 0; i < pool->in.n; i++)
        if (pool->in.info[i].n_own > 0) return false;
    return true;
}

int64_t wf_pool_before(const wf_pool *pool)
{
    return pool->n_before;
}

// ---- lives --------------------------------------------------------------------------------------

void wf_pool_close_life(wf_pool *pool, int group, uint32_t epoch)
{
    if (wf_grow(pool->n_closed + 1, sizeof *pool->closed, &pool->closed_capacity, &pool->closed))
        return; // its ranges will look like strays: all their rows turn out to be sealed
    pool->closed[pool->n_closed++] = (life){group, epoch};
}

static bool is_closed(const wf_pool *pool, const wf_lease *l)
{
    for (size_t i = 0; i < pool->n_closed; i++)
        if (pool->closed[i].group == l->group && (int)pool->closed[i].epoch == l->epoch)
            return true;
    return false;
}

static int by_place(const void *a, const void *b)
{
    const wf_lease *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->list > y->list) - (x->list < y->list);
}

static bool is_back(const wf_pool *pool, const wf_lease *l)
{
    return pool->n_back > 0 && bsearch(l, pool->back, pool->n_back, sizeof *l, by_place);
}

static wf_status note_back(wf_pool *pool, const wf_lease *held, size_t n)
{
    WF_TRY(wf_grow(pool->n_back + n, sizeof *pool->back, &pool->back_capacity, &pool->back));
    if (n > 0) memcpy(pool->back + pool->n_back, held, n * sizeof *held);
    pool->n_back += n;
    if (pool->n_back > 0) qsort(pool->back, pool->n_back, sizeof *pool->back, by_place);
    return WF_OK;
}

static void name_poison(const wf_pool *pool, const wf_returned *cut, wf_pool_return *out)
{
    size_t length = 0;
    for (size_t i = 0; i < cut->n && length + 1 < sizeof out->poison; i++) {
        const wf_lease *r = &cut->range[i];
        if (r->kind != WF_LEASE_POISON) continue;
        length += (size_t)snprintf(out->poison + length, sizeof out->poison - length,
                                   "%srow %" PRIu64 " of %s", length ? ", " : "", r->begin,
                                   pool->in.shard[r->shard].path);
    }
}

// Ranges of a size that lets every group have a few.
static uint64_t range_rows(const wf_pool *pool, const wf_lease *held, size_t n)
{
    uint64_t rows = 0, parts = 2 * (uint64_t)pool->config.n_groups;
    for (size_t i = 0; i < n; i++)
        rows += held[i].end - held[i].begin;
    uint64_t size = (rows + parts - 1) / parts,
             least = (uint64_t)pool->config.spec->engine.max_rows;
    return size > least ? size : least;
}

// Returns what is not sealed of the ranges that were held; `what` says what was in flight.
static wf_status give_back(wf_pool *pool, const wf_returned_input *what, wf_pool_return *out)
{
    wf_done *done = NULL;
    wf_returned cut = {0};
    wf_returned_input in = *what;
    WF_TRY(done_read(pool, &done));
    in.done = done;
    in.many_samples = pool->in.many_samples;
    in.max_rows = range_rows(pool, in.held, in.n_held);
    wf_status st = wf_returned_cut(&in, &cut);
    if (st == WF_OK) st = wf_leases_return(pool->leases, cut.range, cut.n);
    if (st == WF_OK) st = note_back(pool, in.held, in.n_held);
    out->n_rows = cut.n_rows;
    out->n_suspects = cut.n_suspects;
    out->n_poison = cut.n_poison;
    out->fruitful = cut.fruitful;
    name_poison(pool, &cut, out);
    free(cut.range);
    wf_done_destroy(&done);
    return st;
}

// Of all taken ranges, in place, those that `of` (a life; NULL: nobody living or settled) holds.
static size_t select_held(const wf_pool *pool, wf_lease *list, size_t n, const life *of)
{
    size_t n_held = 0;
    for (size_t i = 0; i < n; i++) {
        const wf_lease *l = &list[i];
        bool held = of ? l->group == of->group && l->epoch == (int)of->epoch : !is_closed(pool, l);
        if (held && !is_back(pool, l)) list[n_held++] = *l;
    }
    return n_held;
}

wf_status wf_pool_clear_life(wf_pool *pool, int group, uint32_t epoch, bool fruitful,
                             uint32_t *next_epoch, wf_pool_return *out)
{
    const char *dir = pool->config.spec->output.dir;
    wf_lease *list = NULL;
    wf_flight_row *flight = NULL;
    size_t n_list = 0, n_flight = 0;
    *out = (wf_pool_return){0};
    // First the fence: what it publishes from now on is void, and what counts does not change.
    WF_TRY(wf_run_raise_epoch(dir, pool->run, (uint32_t)group, next_epoch));
    wf_status st = wf_leases_list(pool->leases, &list, &n_list);
    if (st == WF_OK) st = wf_flights_read(dir, pool->run, group, (int)epoch, &flight, &n_flight);
    if (st == WF_OK) {
        wf_returned_input what = {.held = list,
                                  .n_held = select_held(pool, list, n_list, &(life){group, epoch}),
                                  .flight = flight,
                                  .n_flight = n_flight,
                                  .fruitful = fruitful};
        st = give_back(pool, &what, out);
    }
    free(flight);
    free(list);
    return st;
}

wf_status wf_pool_strays(wf_pool *pool, wf_pool_return *out)
{
    wf_lease *list = NULL;
    size_t n_list = 0;
    *out = (wf_pool_return){0};
    WF_TRY(wf_leases_list(pool->leases, &list, &n_list));
    wf_returned_input what = {.held = list, .n_held = select_held(pool, list, n_list, NULL)};
    wf_status st = what.n_held > 0 ? give_back(pool, &what, out) : WF_OK;
    free(list);
    return st;
}

// ---- sums ---------------------------------------------------------------------------------------

wf_status wf_pool_unclaimed(wf_pool *pool, size_t *n)
{
    wf_lease *list = NULL;
    size_t n_taken = 0;
    WF_TRY(wf_leases_list(pool->leases, &list, &n_taken));
    free(list);
    size_t n_all = wf_leases_count(pool->leases);
    *n = n_all > n_taken ? n_all - n_taken : 0;
    return WF_OK;
}

wf_status wf_pool_sum_up(wf_pool *pool, wf_runner_outcome *out)
{
    wf_done *done = NULL;
    WF_TRY(done_read(pool, &done));
    out->run = pool->run;
    out->n_total = wf_pool_total(pool);
    out->n_before = pool->n_before;
    out->n_done = (int64_t)wf_done_total(done) - pool->n_before;
    out->n_left = out->n_total - out->n_before - out->n_done;
    wf_done_destroy(&done);
    return WF_OK;
}
