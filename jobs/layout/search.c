// The search for layouts. See search.h.
#include "jobs/layout/search.h"

#include <stdlib.h>

// As the engine leaves of a device (engine.kv_memory: auto).
#define MEMORY_SHARE 0.95

// Accumulates while layouts are tried.
typedef struct {
    const wf_layout_search *s;
    wf_layout_found *out;
    size_t capacity;
    double least_s; // over all layouts that fit
    bool any;       // some layout meets the goal
    wf_status st;
} hunt;

bool wf_layout_fits(const wf_layout_cost *cost, const wf_machine *machine)
{
    return cost->memory_bytes <= MEMORY_SHARE * machine->memory_bytes;
}

const char *wf_layout_not_built(const wf_layout_model *m, const wf_layout_format *format,
                                const wf_layout *l)
{
    int n = l->x * l->y * l->z;
    if (!format->dtype) return "the engine keeps no weights in this format";
    if (n == 1) return "";
    if (l->ffn != WF_LAYOUT_1D) return "the engine splits feed-forwards in one dimension (1d)";
    if (l->attention != WF_LAYOUT_BY_HEADS) return "the engine splits attention by heads";
    if (m->n_heads % n || (m->n_kv_heads % n && n % m->n_kv_heads) || m->ffn % n)
        return "parallel.tensor must split heads, key/value heads and ffn";
    return "";
}

// ---- the front ----------------------------------------------------------------------------------

static bool no_worse(const wf_layout_point *a, const wf_layout_point *b)
{
    return a->cost.step_s <= b->cost.step_s && a->cost.tokens_per_s >= b->cost.tokens_per_s;
}

static void front_add(hunt *h, const wf_layout_point *p)
{
    wf_layout_found *f = h->out;
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++)
        if (no_worse(&f->front[i], p)) return;
    for (size_t i = 0; i < f->n; i++)
        if (!no_worse(p, &f->front[i])) f->front[kept++] = f->front[i];
    f->n = kept;
    if (f->n == h->capacity) {
        size_t more = h->capacity ? 2 * h->capacity : 64;
        wf_layout_point *grown = realloc(f->front, more * sizeof *grown);
        if (!grown) {
            h->st = wf_fail(WF_NO_MEMORY, "layouts: no memory for %zu of them", more);
            return;
        }
        f->front = grown;
        h->capacity = more;
    }
    f->front[f->n++] = *p;
}

static int by_latency(const void *a, const void *b)
{
    const wf_layout_point *p = a, *q = b;
    return (p->cost.step_s > q->cost.step_s) - (p->cost.step_s < q->cost.step_s);
}

// Greater throughput; of equals the lower latency.
static bool better(const wf_layout_point *a, const wf_layout_point *b)
{
    if (a->cost.tokens_per_s != b->cost.tokens_per_s)
        return a->cost.tokens_per_s > b->cost.tokens_per_s;
    return a->cost.step_s < b->cost.step_s;
}

static void consider(hunt *h, const wf_layout_point *p)
{
    wf_layout_found *f = h->out;
    if (f->n_tried++ == 0 || p->cost.step_s < h->least_s) h->least_s = p->cost.step_s;
    front_add(h, p);
    if (h->s->latency_s > 0 && p->cost.step_s > h->s->latency_s) return;
    if (!h->any || better(p, &f->best)) f->best = *p;
    h->any = true;
    if (!p->built) return;
    if (!f->any_built || better(p, &f->best_built)) f->best_built = *p;
    f->any_built = true;
}

// ---- trying -------------------------------------------------------------------------------------

static void try_batch(hunt *h, const wf_layout *l, int64_t batch)
{
    const wf_layout_search *s = h->s;
    wf_layout_work work = {.batch = batch, .tokens = s->tokens, .past = s->past};
    wf_layout_point p = {.layout = *l, .batch = batch};
    wf_layout_step_cost(s->model, s->machine, s->format, l, &work, &p.cost);
    if (!wf_layout_fits(&p.cost, s->machine)) return;
    p.built = !wf_layout_not_built(s->model, s->format, l)[0];
    consider(h, &p);
}

static void try_batches(hunt *h, const wf_layout *l)
{
    if (h->s->batch > 0) {
        try_batch(h, l, h->s->batch);
        return;
    }
    for (int64_t batch = l->replicas; batch <= WF_LAYOUT_MOST_BATCH; batch *= 2)
        try_batch(h, l, batch);
}

// Whether the model's sizes divide, and whether the layout is not another one by a longer name.
static bool sensible(const wf_layout_model *m, const wf_layout *l)
{
    int yz = l->y * l->z, gathered = wf_layout_n_gathered(l->ffn);
    int rest = gathered == 1 ? yz : gathered == 2 ? l->z : gathered == 3 ? 1 : l->x * yz;
    if (m->hidden % l->x || m->ffn % yz) return false;
    if (l->x * yz == 1) return l->ffn == WF_LAYOUT_1D && l->attention == WF_LAYOUT_BY_HEADS;
    if (l->ffn == WF_LAYOUT_1D) return m->ffn % (l->x * yz) == 0;
    if (l->ffn == WF_LAYOUT_2D) return l->x > 1;
    // Rows are split over what is gathered over: nothing is left to split heads over.
    return rest > 1 || l->attention == WF_LAYOUT_BY_BATCH;
}

static void try_axes(hunt *h, wf_layout *l)
{
    for (int ffn = 0; ffn < WF_LAYOUT_N_FFNS; ffn++) {
        for (int by = WF_LAYOUT_BY_HEADS; by <= WF_LAYOUT_BY_BATCH; by++) {
            l->ffn = (wf_layout_ffn)ffn;
            l->attention = (wf_layout_attention)by;
            if (sensible(h->s->model, l)) try_batches(h, l);
        }
    }
}

static void try_copies(hunt *h, int n)
{
    wf_layout l = {.replicas = h->s->n_devices / n};
    for (l.x = 1; l.x <= n; l.x++) {
        if (n % l.x) continue;
        for (l.y = 1; l.y <= n / l.x; l.y++) {
            if (n / l.x % l.y) continue;
            l.z = n / l.x / l.y;
            try_axes(h, &l);
        }
    }
}

// ---- answers ------------------------------------------------------------------------------------

// One copy over all devices, as small as it gets: 2D, by whichever attention leaves less.
static bool fits_on(const wf_layout_search *s, int n)
{
    wf_layout_work work = {.batch = s->batch ? s->batch : 1, .tokens = s->tokens, .past = s->past};
    for (int by = WF_LAYOUT_BY_HEADS; by <= WF_LAYOUT_BY_BATCH; by++) {
        wf_layout l = {.ffn = WF_LAYOUT_1D,
                       .attention = (wf_layout_attention)by,
                       .x = 1,
                       .y = 1,
                       .z = n,
                       .replicas = 1};
        wf_layout_cost cost;
        for (; l.x <= n; l.x++) {
            if (n % l.x) continue;
            l.z = n / l.x;
            l.ffn = l.x > 1 ? WF_LAYOUT_2D : WF_LAYOUT_1D;
            if (!sensible(s->model, &l)) continue;
            wf_layout_step_cost(s->model, s->machine, s->format, &l, &work, &cost);
            if (wf_layout_fits(&cost, s->machine)) return true;
        }
    }
    return false;
}

static wf_status fail_fit(const wf_layout_search *s)
{
    long long batch = s->batch ? (long long)s->batch : 1;
    for (int n = 1; n <= WF_LAYOUT_MOST_DEVICES; n++) {
        if (!fits_on(s, n)) continue;
        return wf_fail(
            WF_CONFIG,
            "%s in %s, %lld sequence%s of %lld tokens: does not fit %d x %s; at least %d "
            "are needed",
            s->model->name, s->format->name, batch, batch == 1 ? "" : "s",
            (long long)(s->tokens + s->past), s->n_devices, s->machine->name, n);
    }
    return wf_fail(WF_CONFIG,
                   "%s in %s, %lld sequence%s of %lld tokens: does not fit any number of %s up to "
                   "%d: take a smaller batch or context",
                   s->model->name, s->format->name, batch, batch == 1 ? "" : "s",
                   (long long)(s->tokens + s->past), s->machine->name, WF_LAYOUT_MOST_DEVICES);
}

wf_status wf_layout_search_run(const wf_layout_search *s, wf_layout_found *out)
{
    hunt h = {.s = s, .out = out};
    *out = (wf_layout_found){0};
    if (s->machine->flops[s->format->rate] <= 0) {
        return wf_fail(WF_CONFIG, "%s: the machine's row has no rate for %s; take another --format",
                       s->machine->name, s->format->name);
    }
    for (int n = 1; n <= s->n_devices; n++)
        if (s->n_devices % n == 0) try_copies(&h, n);
    wf_status st = h.st;
    if (st == WF_OK && out->n_tried == 0) st = fail_fit(s);
    if (st == WF_OK && !h.any) {
        st = wf_fail(WF_CONFIG, "%s on %d x %s: no layout takes %.3g ms; the least is %.3g ms",
                     s->model->name, s->n_devices, s->machine->name, s->latency_s * 1e3,
                     h.least_s * 1e3);
    }
    if (st != WF_OK) {
        wf_layout_found_free(out);
        return st;
    }
    qsort(out->front, out->n, sizeof *out->front, by_latency);
    return WF_OK;
}

void wf_layout_found_free(wf_layout_found *found)
{
    free(found->front);
    *found = (wf_layout_found){0};
}
