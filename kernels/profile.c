// The measuring table (profile.h). Its state follows the table it hands out, so that an operation
// finds it through be->ops.
#include "kernels/profile.h"

#include <stdlib.h>

#include "kernels/profile_cost.h"

#define RING       16384 // stamped operations that may be in flight
#define MOST_LINES 512
#define SEEN_BITS  4096

typedef enum phase { PHASE_DECODE, PHASE_MIXED, N_PHASES } phase;

static const char *const phase_names[] = {"decode", "mixed"};

// A line of the table: an operation, a phase, and the weight's shape where it has one.
typedef struct line {
    const char *op;
    phase phase;
    int64_t n_out, n_in;
    int64_t n_calls;
    double ns, bytes, flops, least_ns;
    uint8_t seen[SEEN_BITS / 8]; // numbers of rows
} line;

typedef struct call {
    line *line;
    double bytes, flops;
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
    double bytes_per_ns, flops_per_ns;
    double busy_ns, wall_ns; // of all operations; from the first of a ringful to its last
    int32_t n_lines;
    line *lines; // [MOST_LINES]
};

static wf_profile *profile_of(wf_backend *be)
{
    return (wf_profile *)(uintptr_t)be->ops;
}

// ---- one operation ------------------------------------------------------------------------------

static line *find_line(wf_profile *p, const char *op, const wf_op_cost *c)
{
    for (int32_t i = 0; i < p->n_lines; i++) {
        line *l = &p->lines[i];
        if (l->op == op && l->phase == p->phase && l->n_out == c->n_out && l->n_in == c->n_in)
            return l;
    }
    if (p->n_lines == MOST_LINES) return &p->lines[MOST_LINES - 1];
    p->lines[p->n_lines] = (line){.op = op, .phase = p->phase, .n_out = c->n_out, .n_in = c->n_in};
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
    if (!c->counts) return;
    c->line->n_calls++;
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
    p->n_calls = 0;
    return WF_OK;
}

static wf_status begin(wf_profile *p, wf_stream *s, const char *op, const wf_op_cost *c)
{
    if (p->n_calls == RING) WF_TRY(drain(p));
    p->stream = s;
    line *l = find_line(p, op, c);
    p->calls[p->n_calls] = (call){l, c->bytes, c->flops, seen_before(l, c->rows)};
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
    wf_backend_info info;
    double ns = 0.0;
    WF_TRY(p->inner->info(p->be, &info));
    WF_TRY(measure_copy(p, info.host_memory ? 1 << 20 : 8 << 20));
    for (int64_t n = 512; n <= 8192 && ns < 2e6; n *= 2) // until it takes 2 ms
        WF_TRY(measure_product(p, info.numerics.act, n, &ns));
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
    const line *x = *(const line *const *)a, *y = *(const line *const *)b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

// The lines that have calls, dearest first; returns how many, and the time of all.
static int32_t sorted(const wf_profile *p, const line *out[MOST_LINES], double *out_ns)
{
    int32_t n = 0;
    *out_ns = 0.0;
    for (int32_t i = 0; i < p->n_lines; i++) {
        if (p->lines[i].n_calls == 0) continue;
        out[n++] = &p->lines[i];
        *out_ns += p->lines[i].ns;
    }
    qsort(out, (size_t)n, sizeof *out, by_time);
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
            100.0 * l->least_ns / l->ns);
}

wf_status wf_profile_print(wf_profile *p, FILE *file)
{
    const line *lines[MOST_LINES];
    double total_ns;
    WF_TRY(drain(p));
    int32_t n = sorted(p, lines, &total_ns);
    fprintf(file, "profile: limits measured here: copies %.1f GB/s, products %.2f TFLOP/s\n",
            p->bytes_per_ns, p->flops_per_ns * 1e-3);
    fprintf(file, "%-15s %-13s %-7s %8s %10s %6s %10s %10s %12s %9s %9s %8s\n", "operation",
            "weight", "step", "calls", "ms", "share", "us/call", "GB", "GFLOP", "GB/s", "TFLOP/s",
            "of limit");
    for (int32_t i = 0; i < n; i++)
        print_line(
            file,
            "%-15s %-13s %-7s %8lld %10.2f %5.1f%% %10.2f %10.3f %12.2f %9.1f %9.3f %7.1f%%\n",
            lines[i], total_ns);
    fprintf(
        file, "between operations (launches, communication, planning): %.2f ms, %.1f%% of all\n",
        (p->wall_ns - p->busy_ns) * 1e-6, 100.0 * (p->wall_ns - p->busy_ns) / (p->wall_ns + 1.0));
    return WF_OK;
}

wf_status wf_profile_write_csv(wf_profile *p, FILE *file)
{
    const line *lines[MOST_LINES];
    double total_ns;
    WF_TRY(drain(p));
    int32_t n = sorted(p, lines, &total_ns);
    fprintf(file,
            "operation,weight,step,calls,ms,share_percent,us_per_call,gbyte,gflop,gbyte_per_s,"
            "tflop_per_s,percent_of_limit\n");
    fprintf(file, "limit,,,,,,,,,%.3f,%.4f,100\n", p->bytes_per_ns, p->flops_per_ns * 1e-3);
    for (int32_t i = 0; i < n; i++)
        print_line(file, "%s,%s,%s,%lld,%.4f,%.3f,%.4f,%.9f,%.9f,%.3f,%.4f,%.2f\n", lines[i],
                   total_ns);
    fprintf(file, "between,,,,%.4f,,,,,,,\n", (p->wall_ns - p->busy_ns) * 1e-6);
    return WF_OK;
}
