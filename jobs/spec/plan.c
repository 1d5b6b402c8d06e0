// Placement of groups and the arithmetic of KV memory. See plan.h.
#include "jobs/spec/plan.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/text.h"

// Ranks of one node that no group has yet, lowest first.
typedef struct {
    int n_left;
    int *left;
} node_pool;

typedef struct {
    const wf_plan_input *in;
    wf_plan *plan;
    node_pool *pool; // [n_nodes]
    int *storage;    // [n_ranks] behind the pools
} placer;

static int node_of(const wf_plan_input *in, int rank)
{
    return in->node_of_rank ? in->node_of_rank[rank] : 0;
}

static wf_status input_check(const wf_plan_input *in)
{
    if (in->n_ranks < 1)
        return wf_fail(WF_CONFIG, "plan: %d ranks: at least one is needed", in->n_ranks);
    if (in->tensor < 1 || in->replicas < 0 || in->n_devices < 0) {
        return wf_fail(WF_CONFIG,
                       "plan: parallel.tensor %d, parallel.replicas %d, %d devices: "
                       "none may be negative, and tensor is at least 1",
                       in->tensor, in->replicas, in->n_devices);
    }
    for (int i = 0; i < in->n_ranks; i++) {
        if (node_of(in, i) >= 0 && node_of(in, i) < in->n_ranks) continue;
        return wf_fail(WF_INTERNAL, "plan: rank %d is on node %d of at most %d", i, node_of(in, i),
                       in->n_ranks);
    }
    return WF_OK;
}

// Fits the ranks on nodes and devices.
static wf_status ranks_place(placer *p)
{
    wf_plan *plan = p->plan;
    for (int i = 0; i < plan->n_ranks; i++) {
        int node = node_of(p->in, i);
        int local = plan->ranks_of_node[node]++;
        plan->rank[i] = (wf_plan_rank){.node = node,
                                       .local = local,
                                       .device = p->in->n_devices > 0 ? local : -1,
                                       .group = -1,
                                       .position = -1};
    }
    for (int n = 0; p->in->n_devices > 0 && n < plan->n_nodes; n++) {
        if (plan->ranks_of_node[n] <= p->in->n_devices) continue;
        return wf_fail(WF_CONFIG,
                       "node %d: %d ranks but %d devices: start one task per device "
                       "(--ntasks-per-node=%d), or ask for more with --gpus-per-node",
                       n, plan->ranks_of_node[n], p->in->n_devices, p->in->n_devices);
    }
    int *next = p->storage;
    for (int n = 0; n < plan->n_nodes; n++) {
        p->pool[n].left = next;
        next += plan->ranks_of_node[n];
    }
    for (int i = 0; i < plan->n_ranks; i++) {
        node_pool *pool = &p->pool[plan->rank[i].node];
        pool->left[pool->n_left++] = i;
    }
    return WF_OK;
}

// Moves the first `n` free ranks of `node` to the end of the group under construction.
static void take(placer *p, int node, int n, int *position)
{
    wf_plan *plan = p->plan;
    int *member = plan->member + (ptrdiff_t)plan->n_groups * plan->tensor;
    node_pool *pool = &p->pool[node];
    for (int i = 0; i < n; i++)
        member[(*position)++] = *pool->left++;
    pool->n_left -= n;
}

static void group_close(placer *p, int n_nodes)
{
    wf_plan *plan = p->plan;
    plan->group[plan->n_groups] =
        (wf_plan_group){.first = plan->n_groups * plan->tensor, .n_nodes = n_nodes};
    plan->n_spanning += n_nodes > 1;
    plan->n_groups++;
}

// Groups that lie inside a node, at most `limit`.
static void groups_inside(placer *p, int limit)
{
    for (int n = 0; n < p->plan->n_nodes; n++) {
        while (p->pool[n].n_left >= p->plan->tensor && p->plan->n_groups < limit) {
            int position = 0;
            take(p, n, p->plan->tensor, &position);
            group_close(p, 1);
        }
    }
}

static int fullest_node(const placer *p)
{
    int best = 0;
    for (int n = 1; n < p->plan->n_nodes; n++)
        if (p->pool[n].n_left > p->pool[best].n_left) best = n;
    return best;
}

// Groups across nodes, the fullest node first, so that each crosses as few as possible.
static void groups_across(placer *p, int limit)
{
    int n_left = 0;
    for (int n = 0; n < p->plan->n_nodes; n++)
        n_left += p->pool[n].n_left;
    while (p->plan->n_groups < limit && n_left >= p->plan->tensor) {
        int position = 0, n_nodes = 0;
        while (position < p->plan->tensor) {
            int node = fullest_node(p);
            int want = p->plan->tensor - position;
            int n = p->pool[node].n_left < want ? p->pool[node].n_left : want;
            take(p, node, n, &position);
            n_nodes++;
        }
        group_close(p, n_nodes);
        n_left -= p->plan->tensor;
    }
}

static int by_rank(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

// Numbers groups by their lowest rank. A group's members are sorted by rank first: MPI hands out
// neighbouring ranks node by node, and position 0 is then always the lowest.
static wf_status groups_number(wf_plan *plan)
{
    size_t tensor = (size_t)plan->tensor, row = tensor + 1;
    int *rows; // n_nodes of the group behind its members, so that both move together
    WF_TRY(wf_alloc((size_t)plan->n_groups * row, sizeof *rows, &rows));
    for (int g = 0; g < plan->n_groups; g++) {
        int *member = plan->member + (size_t)g * tensor;
        qsort(member, tensor, sizeof *member, by_rank);
        for (size_t i = 0; i < tensor; i++)
            rows[(size_t)g * row + i] = member[i];
        rows[(size_t)g * row + tensor] = plan->group[g].n_nodes;
    }
    qsort(rows, (size_t)plan->n_groups, row * sizeof *rows, by_rank);
    for (int g = 0; g < plan->n_groups; g++) {
        plan->group[g].n_nodes = rows[(size_t)g * row + tensor];
        for (int i = 0; i < plan->tensor; i++) {
            int r = rows[(size_t)g * row + (size_t)i];
            plan->member[(size_t)g * tensor + (size_t)i] = r;
            plan->rank[r].group = g;
            plan->rank[r].position = i;
        }
    }
    free(rows);
    return WF_OK;
}

// The numbers a person needs to make the groups fit.
static wf_status does_not_fit(const wf_plan *plan, const wf_plan_input *in)
{
    int want = in->replicas > 0 ? in->replicas : 1;
    long long n_needed = (long long)in->tensor * want;
    return wf_fail(WF_CONFIG,
                   "parallel: %d group%s of parallel.tensor %d need%s %lld ranks, %d %s started "
                   "on %d node%s: start %lld ranks, or lower parallel.tensor%s",
                   want, WF_S(want), in->tensor, want == 1 ? "s" : "", n_needed, in->n_ranks,
                   in->n_ranks == 1 ? "was" : "were", plan->n_nodes, WF_S(plan->n_nodes), n_needed,
                   in->replicas > 0 ? " or parallel.replicas" : "");
}

static wf_status groups_place(placer *p)
{
    int limit = p->in->replicas > 0 ? p->in->replicas : INT_MAX;
    groups_inside(p, limit);
    // With replicas: auto a few left-over ranks are not worth a group that crosses nodes.
    if (p->in->replicas > 0 || p->plan->n_groups == 0) groups_across(p, limit);
    if (p->plan->n_groups == 0 || p->plan->n_groups < p->in->replicas)
        return does_not_fit(p->plan, p->in);
    p->plan->n_idle = p->plan->n_ranks - p->plan->n_groups * p->plan->tensor;
    return groups_number(p->plan);
}

static wf_status plan_alloc(const wf_plan_input *in, placer *p, wf_plan **out)
{
    wf_plan *plan;
    WF_TRY(wf_alloc(1, sizeof *plan, &plan));
    *out = p->plan = plan; // the caller destroys it on failure
    plan->n_ranks = in->n_ranks;
    plan->tensor = in->tensor;
    for (int i = 0; i < in->n_ranks; i++)
        if (node_of(in, i) >= plan->n_nodes) plan->n_nodes = node_of(in, i) + 1;
    size_t n = (size_t)in->n_ranks, n_nodes = (size_t)plan->n_nodes;
    WF_TRY(wf_alloc(n, sizeof *plan->rank, &plan->rank));
    WF_TRY(wf_alloc(n, sizeof *plan->group, &plan->group));
    WF_TRY(wf_alloc(n, sizeof *plan->member, &plan->member));
    WF_TRY(wf_alloc(n_nodes, sizeof *plan->ranks_of_node, &plan->ranks_of_node));
    WF_TRY(wf_alloc(n, sizeof *p->storage, &p->storage));
    return wf_alloc(n_nodes, sizeof *p->pool, &p->pool);
}

wf_status wf_plan_make(const wf_plan_input *input, wf_plan **out)
{
    placer p = {.in = input};
    wf_plan *plan = NULL;
    wf_status st;
    WF_TRY(input_check(input));
    WF_TRY_TO(done, plan_alloc(input, &p, &plan));
    WF_TRY_TO(done, ranks_place(&p));
    WF_TRY_TO(done, groups_place(&p));
done:
    free(p.pool);
    free(p.storage);
    if (st != WF_OK) {
        wf_plan_destroy(&plan);
        return st;
    }
    *out = plan;
    return WF_OK;
}

void wf_plan_destroy(wf_plan **plan)
{
    if (!plan || !*plan) return;
    free((*plan)->rank);
    free((*plan)->group);
    free((*plan)->member);
    free((*plan)->ranks_of_node);
    free(*plan);
    *plan = NULL;
}

#define GIB ((double)(1 << 30))

char *wf_plan_memory_text(const wf_plan_memory *m, char *text, size_t text_bytes)
{
    int n = snprintf(text, text_bytes, "%.2f GiB free, weights %.2f GiB, workspace %.2f GiB",
                     (double)m->free_bytes / GIB, (double)m->weight_bytes / GIB,
                     (double)m->workspace_bytes / GIB);
    if (m->runtime_bytes > 0 && n > 0 && (size_t)n < text_bytes) {
        n += snprintf(text + n, text_bytes - (size_t)n, ", libraries and captured steps %.2f GiB",
                      (double)m->runtime_bytes / GIB);
    }
    if (m->comm_bytes > 0 && n > 0 && (size_t)n < text_bytes) {
        snprintf(text + n, text_bytes - (size_t)n, ", communicators %.2f GiB",
                 (double)m->comm_bytes / GIB);
    }
    return text;
}

// What this rank may use of the free memory, once all but KV is in.
static wf_status memory_left(const wf_plan_memory *m, uint64_t *out)
{
    uint64_t part = m->free_bytes / (uint64_t)(m->n_sharing > 0 ? m->n_sharing : 1);
    uint64_t fixed = m->weight_bytes + m->workspace_bytes + m->runtime_bytes + m->comm_bytes;
    if (fixed >= part) {
        char text[256];
        return wf_fail(
            WF_CONFIG,
            "memory: weights and the rest do not fit: a rank needs %.2f GiB and KV pages, each of "
            "%d rank(s) has %.2f GiB "
            "(%s): raise parallel.tensor, lower engine.step_tokens, or start fewer ranks "
            "per node",
            (double)fixed / GIB, m->n_sharing, (double)part / GIB,
            wf_plan_memory_text(m, text, sizeof text));
    }
    *out = part - fixed;
    return WF_OK;
}

static wf_status check_slots(const wf_plan_memory *m, uint64_t n_pages, uint64_t page_bytes)
{
    uint64_t want = (uint64_t)m->n_slots * (uint64_t)m->slot_pages;
    char needed[WF_PARSE_TEXT_MAX], there[WF_PARSE_TEXT_MAX];
    if (n_pages >= want) return WF_OK;
    return wf_fail(WF_CONFIG,
                   "engine.reorder: copy needs %d slots of %d tokens, %s of KV memory, and there "
                   "are %s: lower engine.max_rows or engine.slot_tokens, or raise "
                   "engine.kv_memory",
                   m->n_slots, m->slot_pages * m->page_tokens,
                   wf_bytes_round_text((int64_t)(want * page_bytes), needed),
                   wf_bytes_round_text((int64_t)(n_pages * page_bytes), there));
}

wf_status wf_plan_kv_capacity(const wf_plan_memory *m, wf_plan_kv *out)
{
    uint64_t left = 0;
    WF_TRY(memory_left(m, &left));
    uint64_t bytes = m->kv_share > 0 ? (uint64_t)((double)left * m->kv_share) : m->kv_bytes;
    uint64_t page_bytes = m->kv_token_bytes * (uint64_t)m->page_tokens;
    if (m->no_kv) {
        *out = (wf_plan_kv){.n_pages = (uint64_t)m->n_slots,
                            .n_tokens = (uint64_t)m->n_slots * (uint64_t)m->page_tokens};
        return WF_OK;
    }
    if (page_bytes == 0) return wf_fail(WF_INTERNAL, "memory: a KV page of no bytes");
    if (bytes > left) {
        return wf_fail(WF_CONFIG,
                       "engine.kv_memory: %.2f GiB per rank, but %.2f GiB are free after weights "
                       "and workspace: lower it or use a share such as 0.9",
                       (double)bytes / GIB, (double)left / GIB);
    }
    uint64_t n_pages = bytes / page_bytes;
    if (n_pages == 0) {
        char given[WF_PARSE_TEXT_MAX], page[WF_PARSE_TEXT_MAX];
        return wf_fail(WF_CONFIG,
                       "engine.kv_memory: %s hold not one page of %d tokens (%s): raise it, lower "
                       "engine.page_tokens or raise parallel.tensor",
                       wf_bytes_round_text((int64_t)bytes, given), m->page_tokens,
                       wf_bytes_round_text((int64_t)page_bytes, page));
    }
    WF_TRY(check_slots(m, n_pages, page_bytes));
    *out = (wf_plan_kv){.bytes = n_pages * page_bytes,
                        .n_pages = n_pages,
                        .n_tokens = n_pages * (uint64_t)m->page_tokens,
                        .most_pages = m->most_pages};
    return WF_OK;
}

uint64_t wf_plan_concurrency(const wf_plan_kv *kv, int page_tokens, double mean_tokens)
{
    if (!(mean_tokens > 0) || page_tokens < 1) return 0;
    double pages = ceil(mean_tokens / page_tokens);
    if (kv->most_pages > 0) pages = fmin(pages, kv->most_pages);
    return (uint64_t)((double)kv->n_pages / pages);
}

// Appends to text[*used...], cutting what does not fit.
static void append(char *text, size_t text_bytes, size_t *used, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void append(char *text, size_t text_bytes, size_t *used, const char *format, ...)
{
    if (*used >= text_bytes) return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + *used, text_bytes - *used, format, args);
    va_end(args);
    if (n > 0) *used += (size_t)n;
}

char *wf_plan_group_text(const wf_plan *plan, int i_group, char *text, size_t text_bytes)
{
    const int *member = plan->member + plan->group[i_group].first;
    size_t used = 0;
    if (text_bytes > 0) text[0] = '\0';
    for (int i = 0; i < plan->tensor;) {
        int node = plan->rank[member[i]].node;
        append(text, text_bytes, &used, "%snode %d: rank", i ? "; " : "", node);
        const char *before = "s ";
        if (i + 1 == plan->tensor || plan->rank[member[i + 1]].node != node) before = " ";
        while (i < plan->tensor && plan->rank[member[i]].node == node) {
            int last = i;
            while (last + 1 < plan->tensor && member[last + 1] == member[last] + 1 &&
                   plan->rank[member[last + 1]].node == node) {
                last++;
            }
            append(text, text_bytes, &used, "%s%d", before, member[i]);
            if (last > i) append(text, text_bytes, &used, "-%d", member[last]);
            before = ",";
            i = last + 1;
        }
    }
    return text;
}

char *wf_plan_remarks(const wf_plan *plan, char *text, size_t text_bytes)
{
    size_t used = 0;
    if (text_bytes > 0) text[0] = '\0';
    if (plan->n_spanning > 0) {
        append(text, text_bytes, &used,
               "%d of %d group%s cross%s nodes: every layer's all-reduce goes over the network",
               plan->n_spanning, plan->n_groups, WF_S(plan->n_groups),
               plan->n_spanning == 1 ? "es" : "");
    }
    if (plan->n_idle > 0) {
        append(text, text_bytes, &used, "%s%d of %d ranks stay idle (rank", used ? "; " : "",
               plan->n_idle, plan->n_ranks);
        int n_said = 0;
        for (int i = 0; i < plan->n_ranks && n_said < 8; i++) {
            if (plan->rank[i].group >= 0) continue;
            append(text, text_bytes, &used, "%s%d",
                   n_said++           ? ","
                   : plan->n_idle > 1 ? "s "
                                      : " ",
                   i);
        }
        append(text, text_bytes, &used, "%s): %d group%s of %d %s placed",
               plan->n_idle > n_said ? ",..." : "", plan->n_groups, WF_S(plan->n_groups),
               plan->tensor, WF_ARE(plan->n_groups));
    }
    return text;
}
