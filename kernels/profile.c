// The measuring table (profile.h). Its state follows the table it hands out, so that an operation
// finds it through be->ops.
#include "kernels/profile.h"

#include <stdlib.h>

#include "kernels/profile_cost.h"

#define RING       16384 // stamped operations that may be in flight
#define MOST_LINES 1024
#define SEEN_BITS  4096

// What is left of a call at least when the stamps' part is taken off.
#define LEAST_PART 0.1

// A device that waits longer than this for its next operation waits for requests.
#define IDLE_NS 1e5

typedef enum phase { PHASE_DECODE, PHASE_MIXED, N_PHASES } phase;

static const char *const phase_names[] = {"decode", "mixed"};

// A line of the table: an operation, a phase, the weight's shape where it has one, and the power of
// two above its rows: what a call takes beside its least depends on them.
typedef struct line {
    const char *op;
    phase phase;
    int64_t n_out, n_in;
    int bucket;
    int64_t n_calls;
    double rows, ns, bytes, flops, least_ns; // of all calls
    uint8_t seen[SEEN_BITS / 8];             // numbers of rows
} line;

typedef struct call {
    line *line;
    double rows, bytes, flops;
    bool counts;
} call;

struct wf_profile {
    wf_backend_ops ops; // first: be->ops points to it
    const wf_backend_ops *inner;
    wf_backend *be;
    wf_stream *stream; // of the last operation
    wf_event *event;
    uint64_t *stamp; // [2 * RING] host memory the device writes to
    call *calls;     // [RING]
    int32_t n_calls;
    phase phase;
    wf_backend_info info;
    int64_t n_steps;
    double bytes_per_ns, flops_per_ns;
    double gap_ns;           // from one stamp to the next with nothing between
    double busy_ns, wall_ns; // of all operations; from the first of a ringful to its last
    double between_ns;       // between operations of a step, without what stamps take
    int32_t n_lines;
    line *lines; // [MOST_LINES]
};

static wf_profile *profile_of(wf_backend *be)
{
    return (wf_profile *)(uintptr_t)be->ops;
}

// ---- one operation ------------------------------------------------------------------------------

// Whether two lines are of one operation, whatever the rows.
static bool same_operation(const line *a, const line *b)
{
    return a->op == b->op && a->phase == b->phase && a->n_out == b->n_out && a->n_in == b->n_in;
}

static int bucket_of(int64_t rows)
{
    int bucket = 0;
    while (bucket < 62 && (INT64_C(1) << bucket) < rows)
        bucket++;
    return bucket;
}

static line *find_line(wf_profile *p, const char *op, const wf_op_cost *c)
{
    const line wanted = {.op = op,
                         .phase = p->phase,
                         .n_out = c->n_out,
                         .n_in = c->n_in,
                         .bucket = bucket_of(c->rows)};
    for (int32_t i = 0; i < p->n_lines; i++)
        if (same_operation(&p->lines[i], &wanted) && p->lines[i].bucket == wanted.bucket)
            return &p->lines[i];
    if (p->n_lines == MOST_LINES) return &p->lines[MOST_LINES - 1];
    p->lines[p->n_lines] = wanted;
    return &p->lines[p->n_lines++];
}

static bool seen_before(line *l, int64_t rows)
{
    uint8_t *byte = &l->seen[rows % SEEN_BITS / 8], bit = (uint8_t)(1u << rows % 8);
    bool seen = *byte & bit;
    *byte |= bit;
    return seen;
}

static void add_call(wf_profile *p, const call *c, double ns)
{
    double bytes_ns = c->bytes / p->bytes_per_ns, flops_ns = c->flops / p->flops_per_ns;
    p->busy_ns += ns;
    double own_ns = ns - p->gap_ns;
    ns = own_ns > ns * LEAST_PART ? own_ns : ns * LEAST_PART;
    if (!c->counts) return;
    c->line->n_calls++;
    c->line->rows += c->rows;
    c->line->ns += ns;
    c->line->bytes += c->bytes;
    c->line->flops += c->flops;
    c->line->least_ns += bytes_ns > flops_ns ? bytes_ns : flops_ns;
}

// Waits for what is in flight and adds it up.
static wf_status drain(wf_profile *p)
{
    if (p->n_calls == 0) return WF_OK;
    WF_TRY(p->inner->event_record(p->be, p->event, p->stream));
    WF_TRY(p->inner->event_sync(p->be, p->event));
    for (int32_t i = 0; i < p->n_calls; i++)
        add_call(p, &p->calls[i], (double)(p->stamp[2 * i + 1] - p->stamp[2 * i]));
    p->wall_ns += (double)(p->stamp[2 * p->n_calls - 1] - p->stamp[0]);
    for (int32_t i = 1; i < p->n_calls; i++) {
        double ns = (double)(p->stamp[2 * i] - p->stamp[2 * i - 1]) - p->gap_ns;
        if (ns > 0.0 && ns < IDLE_NS) p->between_ns += ns;
    }
    p->n_calls = 0;
    return WF_OK;
}

static wf_status begin(wf_profile *p, wf_stream *s, const char *op, const wf_op_cost *c)
{
    if (p->n_calls == RING) WF_TRY(drain(p));
    p->stream = s;
    line *l = find_line(p, op, c);
    p->calls[p->n_calls] = (call){l, (double)c->rows, c->bytes, c->flops, seen_before(l, c->rows)};
    p->inner->range(p->be, op);
    return p->inner->stamp(p->be, s, &p->stamp[2 * p->n_calls]);
}

static wf_status end(wf_profile *p, wf_stream *s)
{
    p->inner->range(p->be, NULL);
    return p->inner->stamp(p->be, s, &p->stamp[2 * p->n_calls++ + 1]);
}

#define WF_PROFILE_WRAP(op, args)                                                                  \
    static wf_status profiled_##op(wf_backend *be, wf_stream *s, const args *a)                    \
    {                                                                                              \
        wf_profile *p = profile_of(be);                                                            \
        wf_op_cost c = wf_cost_##op(a);                                                            \
        WF_TRY(begin(p, s, #op, &c));                                                              \
        WF_TRY(p->inner->op(be, s, a));                                                            \
        return end(p, s);                                                                          \
    }
WF_OPS(WF_PROFILE_WRAP)
#undef WF_PROFILE_WRAP

// A step's first operation says what kind of step it is.
static wf_status first_op(wf_backend *be, wf_stream *s, const wf_token_ids_args *a)
{
    bool decode = a->batch->n_decode == a->batch->n_tokens;
    profile_of(be)->phase = decode ? PHASE_DECODE : PHASE_MIXED;
    profile_of(be)->n_steps++;
    return profiled_token_ids(be, s, a);
}

// ---- limits -------------------------------------------------------------------------------------

typedef struct probe {
    wf_kv_copy_args copy;
    wf_gemm_args product;
    bool copies; // else multiplies
} probe;

// The least of three runs after one that warms up.
static wf_status time_probe(wf_profile *p, const probe *t, double *out_ns)
{
    double best = 1e30;
    for (int i = 0; i < 4; i++) {
        WF_TRY(p->inner->stamp(p->be, NULL, &p->stamp[0]));
        WF_TRY(t->copies ? p->inner->kv_copy(p->be, NULL, &t->copy)
                         : p->inner->gemm(p->be, NULL, &t->product));
        WF_TRY(p->inner->stamp(p->be, NULL, &p->stamp[1]));
        WF_TRY(p->inner->event_record(p->be, p->event, NULL));
        WF_TRY(p->inner->event_sync(p->be, p->event));
        double ns = (double)(p->stamp[1] - p->stamp[0]);
        if (i > 0 && ns < best) best = ns;
    }
    *out_ns = best > 1.0 ? best : 1.0;
    return WF_OK;
}

static void release(wf_profile *p, void *data)
{
    if (data) p->inner->free(p->be, data);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// A stamp is queued like an operation, and takes its place: what an operation is seen to take has
// the way from one to the next in it, which is no time of its own. The median of many, behind
// enough work (`t`) that the device never waits for the host to queue them.
static wf_status measure_gap(wf_profile *p, const probe *t)
{
    enum { N = 256, AHEAD = 16 };
    for (int i = 0; i < AHEAD; i++)
        WF_TRY(p->inner->kv_copy(p->be, NULL, &t->copy));
    for (int i = 0; i <= N; i++)
        WF_TRY(p->inner->stamp(p->be, NULL, &p->stamp[i]));
    WF_TRY(p->inner->event_record(p->be, p->event, NULL));
    WF_TRY(p->inner->event_sync(p->be, p->event));
    for (int i = 0; i < N; i++)
        p->stamp[i] = p->stamp[i + 1] - p->stamp[i];
    qsort(p->stamp, N, sizeof *p->stamp, by_size);
    p->gap_ns = (double)p->stamp[N / 2];
    return WF_OK;
}

// Copies half of a buffer, far larger than any cache, to its other half.
static wf_status measure_copy(wf_profile *p, int64_t page_bytes)
{
    enum { PAGES = 64 };
    int32_t index[2 * PAGES];
    void *pool = NULL, *dev = NULL;
    double ns = 1.0;
    for (int32_t i = 0; i < 2 * PAGES; i++)
        index[i] = i;
    wf_status st = p->inner->alloc(p->be, (size_t)(2 * PAGES * page_bytes), &pool);
    if (st == WF_OK) st = p->inner->alloc(p->be, sizeof index, &dev);
    if (st == WF_OK) st = p->inner->upload(p->be, NULL, dev, index, sizeof index);
    probe t = {.copies = true,
               .copy = {.pool = pool,
                        .layer_bytes = 2 * PAGES * page_bytes,
                        .page_bytes = page_bytes,
                        .n_layers = 1,
                        .n_pages = PAGES,
                        .from = dev,
                        .to = (int32_t *)dev + PAGES}};
    if (st == WF_OK) st = time_probe(p, &t, &ns);
    if (st == WF_OK) st = measure_gap(p, &t);
    release(p, pool);
    release(p, dev);
    p->bytes_per_ns = wf_cost_kv_copy(&t.copy).bytes / ns;
    return st;
}

// A square product of n.
static wf_status measure_product(wf_profile *p, wf_dtype act, int64_t n, double *out_ns)
{
    const wf_weight_shape shape = {.dtype = act, .n_groups = 1, .n_rows = n, .n_cols = n};
    wf_weight *w = NULL;
    void *x = NULL, *y = NULL;
    size_t bytes = (size_t)(n * n) * wf_dtype_bytes(act);
    wf_status st = p->inner->weight_create(p->be, &shape, &w);
    if (st == WF_OK) st = p->inner->weight_random(p->be, w, 1, 1.0f);
    if (st == WF_OK) st = p->inner->alloc(p->be, bytes, &x);
    if (st == WF_OK) st = p->inner->alloc(p->be, bytes, &y);
    probe t = {
        .product = {.x = wf_matrix_of(x, act, n, n), .w = w, .y = wf_matrix_of(y, act, n, n)}};
    if (st == WF_OK) st = time_probe(p, &t, out_ns);
    if (st == WF_OK) p->flops_per_ns = wf_cost_gemm(&t.product).flops / *out_ns;
    if (w) p->inner->weight_destroy(p->be, w);
    release(p, x);
    release(p, y);
    return st;
}

static wf_status measure_limits(wf_profile *p)
{
    double ns = 0.0;
    WF_TRY(p->inner->info(p->be, &p->info));
    WF_TRY(measure_copy(p, p->info.host_memory ? 1 << 20 : 8 << 20));
    for (int64_t n = 512; n <= 8192 && ns < 2e6; n *= 2) // until it takes 2 ms
        WF_TRY(measure_product(p, p->info.numerics.act, n, &ns));
    return WF_OK;
}

// ---- life cycle ---------------------------------------------------------------------------------

static wf_status open_profile(wf_profile *p)
{
    p->calls = calloc(RING, sizeof *p->calls);
    p->lines = calloc(MOST_LINES, sizeof *p->lines);
    if (!p->calls || !p->lines) return wf_fail(WF_NO_MEMORY, "profile: out of memory");
    WF_TRY(p->inner->host_alloc(p->be, 2 * RING * sizeof *p->stamp, (void **)&p->stamp));
    WF_TRY(p->inner->event_create(p->be, &p->event));
    return measure_limits(p);
}

wf_status wf_profile_start(wf_backend *be, wf_profile **out)
{
    *out = NULL;
    wf_profile *p = calloc(1, sizeof *p);
    if (!p) return wf_fail(WF_NO_MEMORY, "profile: out of memory");
    p->be = be;
    p->inner = be->ops;
    p->ops = *be->ops;
#define WF_PROFILE_ENTRY(op, args) p->ops.op = profiled_##op;
    WF_OPS(WF_PROFILE_ENTRY)
#undef WF_PROFILE_ENTRY
    p->ops.token_ids = first_op;
    wf_status st = open_profile(p);
    if (st != WF_OK) {
        wf_profile_stop(p);
        return st;
    }
    be->ops = &p->ops;
    *out = p;
    return WF_OK;
}

void wf_profile_stop(wf_profile *p)
{
    if (!p) return;
    p->be->ops = p->inner;
    if (p->event) p->inner->event_destroy(p->be, p->event);
    if (p->stamp) p->inner->host_free(p->be, p->stamp);
    free(p->lines);
    free(p->calls);
    free(p);
}

// ---- the table ----------------------------------------------------------------------------------

static int by_time(const void *a, const void *b)
{
    const line *x = a, *y = b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

// Adds a line to those of the table: to its operation's where rows do not matter.
static int32_t add_line(line *table, int32_t n, const line *l, bool by_rows)
{
    int32_t i = 0;
    while (i < n && (by_rows || !same_operation(&table[i], l)))
        i++;
    if (i == n) {
        table[n] = *l;
        return n + 1;
    }
    table[i].n_calls += l->n_calls;
    table[i].rows += l->rows;
    table[i].ns += l->ns;
    table[i].bytes += l->bytes;
    table[i].flops += l->flops;
    table[i].least_ns += l->least_ns;
    return n;
}

// The lines that have calls, dearest first, into table[MOST_LINES]; returns how many, and the time
// of all.
static int32_t tabulate(const wf_profile *p, bool by_rows, line *table, double *out_ns)
{
    int32_t n = 0;
    *out_ns = 0.0;
    for (int32_t i = 0; i < p->n_lines; i++) {
        if (p->lines[i].n_calls == 0) continue;
        n = add_line(table, n, &p->lines[i], by_rows);
        *out_ns += p->lines[i].ns;
    }
    qsort(table, (size_t)n, sizeof *table, by_time);
    return n;
}

static const char *shape_of(const line *l, char text[48])
{
    text[0] = '\0';
    if (l->n_out > 0) snprintf(text, 48, "%lldx%lld", (long long)l->n_out, (long long)l->n_in);
    return text;
}

static void print_line(FILE *file, const char *format, const line *l, double total_ns)
{
    char shape[48];
    fprintf(file, format, l->op, shape_of(l, shape), phase_names[l->phase], (long long)l->n_calls,
            l->ns * 1e-6, 100.0 * l->ns / total_ns, l->ns / (double)l->n_calls * 1e-3,
            l->bytes * 1e-9, l->flops * 1e-9, l->bytes / l->ns, l->flops / l->ns * 1e-3,
            100.0 * l->least_ns / l->ns, l->rows / (double)l->n_calls);
}

static wf_status make_table(wf_profile *p, bool by_rows, line **out, int32_t *out_n, double *out_ns)
{
    WF_TRY(drain(p));
    *out = calloc(MOST_LINES, sizeof **out);
    if (!*out) return wf_fail(WF_NO_MEMORY, "profile: out of memory");
    *out_n = tabulate(p, by_rows, *out, out_ns);
    return WF_OK;
}

wf_status wf_profile_print(wf_profile *p, FILE *file)
{
    line *lines = NULL;
    int32_t n = 0;
    double total_ns;
    WF_TRY(make_table(p, false, &lines, &n, &total_ns));
    fprintf(file, "profile: limits measured here: copies %.1f GB/s, products %.2f TFLOP/s\n",
            p->bytes_per_ns, p->flops_per_ns * 1e-3);
    fprintf(file, "%-15s %-13s %-7s %8s %10s %6s %10s %10s %12s %9s %9s %8s %8s\n", "operation",
            "weight", "step", "calls", "ms", "share", "us/call", "GB", "GFLOP", "GB/s", "TFLOP/s",
            "of limit", "rows");
    for (int32_t i = 0; i < n; i++)
        print_line(file,
                   "%-15s %-13s %-7s %8lld %10.2f %5.1f%% %10.2f %10.3f %12.2f %9.1f %9.3f %7.1f%% "
                   "%8.1f\n",
                   &lines[i], total_ns);
    fprintf(file,
            "between operations (launches, communication): %.2f ms, %.1f%% of all; %.2f us "
            "of measuring taken off every operation\n",
            p->between_ns * 1e-6, 100.0 * p->between_ns / (p->wall_ns + 1.0), p->gap_ns * 1e-3);
    free(lines);
    return WF_OK;
}

wf_status wf_profile_write_csv(wf_profile *p, FILE *file)
{
    line *lines = NULL;
    int32_t n = 0;
    double total_ns;
    WF_TRY(make_table(p, true, &lines, &n, &total_ns));
    fprintf(file, "operation,weight,step,calls,ms,share_percent,us_per_call,gbyte,gflop,"
                  "gbyte_per_s,tflop_per_s,percent_of_limit,rows_per_call\n");
    fprintf(file, "device,\"%s\",%s,,,,,%.3f,,,,,\n", p->info.device,
            p->info.host_memory ? "host" : "device", (double)p->info.total_bytes * 1e-9);
    fprintf(file, "limit,,,,,,,,,%.3f,%.4f,100,\n", p->bytes_per_ns, p->flops_per_ns * 1e-3);
    for (int32_t i = 0; i < n; i++)
        print_line(file, "%s,%s,%s,%lld,%.4f,%.3f,%.4f,%.9f,%.9f,%.3f,%.4f,%.2f,%.1f\n", &lines[i],
                   total_ns);
    fprintf(file, "between,,,%lld,%.4f,,%.4f,,,,,,\n", (long long)p->n_steps, p->between_ns * 1e-6,
            p->n_steps > 0 ? p->between_ns * 1e-3 / (double)p->n_steps : 0.0);
    free(lines);
    return WF_OK;
}
