// See costs.h.
#include "kernels/simulated/costs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/parse.h"

#define MOST_BYTES  ((size_t)16 << 20)
#define LEAST_SHARE 1e-4

// What a file's columns are called, in their order: as wf_profile_write_csv writes them.
enum column {
    OPERATION,
    WEIGHT,
    STEP,
    CALLS,
    MS,
    SHARE_PERCENT,
    US_PER_CALL,
    GBYTE,
    GFLOP,
    GBYTE_PER_S,
    TFLOP_PER_S,
    PERCENT_OF_LIMIT,
    ROWS_PER_CALL,
    N_COLUMNS
};

static const char head[] = "operation,weight,step,calls,ms,share_percent,us_per_call,gbyte,gflop,"
                           "gbyte_per_s,tflop_per_s,percent_of_limit,rows_per_call";

// Calls of one operation with about as many rows.
typedef struct point {
    double rows, least_ns, ns; // of a call
} point;

// An operation with one weight, its points by rows.
typedef struct curve {
    int64_t n_out, n_in;
    point *at;
    size_t n, capacity;
} curve;

typedef struct operation {
    char name[32];
    bool decode;
    curve *curve;
    size_t n, capacity;
} operation;

struct wf_costs {
    wf_costs_device device;
    operation *operation;
    size_t n, capacity;
    double share; // of operations that no line is about
};

// ---- reading ------------------------------------------------------------------------------------

// A file being read, and where.
typedef struct reading {
    const char *path;
    int line;
    wf_costs *costs;
} reading;

// Cuts a line at its commas, in place; a field may stand in quotes. Returns how many there are.
static int cut(char *line, char *field[N_COLUMNS])
{
    int n = 0;
    for (char *at = line; at && n < N_COLUMNS; n++) {
        bool quoted = *at == '"';
        field[n] = at + quoted;
        char *end = quoted ? strchr(at + 1, '"') : NULL;
        if (end) *end++ = '\0';
        at = strchr(end ? end : at, ',');
        if (at) *at++ = '\0';
    }
    return n;
}

static wf_status number(const reading *r, char *const field[N_COLUMNS], enum column column,
                        double *out)
{
    if (wf_parse_f64(field[column], 0.0, 1e18, out) == WF_OK) return WF_OK;
    return wf_fail(WF_CONFIG,
                   "%s: line %d: column %d is '%s', not a number of 0 or more; measure "
                   "again with weft run --profile",
                   r->path, r->line, (int)column + 1, field[column]);
}

static wf_status add_curve(operation *o, int64_t n_out, int64_t n_in, curve **out)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->curve[i].n_out == n_out && o->curve[i].n_in == n_in) {
            *out = &o->curve[i];
            return WF_OK;
        }
    WF_TRY(wf_grow(o->n + 1, sizeof *o->curve, &o->capacity, &o->curve));
    o->curve[o->n] = (curve){.n_out = n_out, .n_in = n_in};
    *out = &o->curve[o->n++];
    return WF_OK;
}

static wf_status add_operation(wf_costs *c, const char *name, bool decode, operation **out)
{
    int i = -1;
    for (size_t k = 0; k < c->n; k++)
        if (strcmp(c->operation[k].name, name) == 0 && c->operation[k].decode == decode) i = (int)k;
    if (i < 0) {
        WF_TRY(wf_grow(c->n + 1, sizeof *c->operation, &c->capacity, &c->operation));
        i = (int)c->n++;
        c->operation[i] = (operation){.decode = decode};
        snprintf(c->operation[i].name, sizeof c->operation[i].name, "%s", name);
    }
    *out = &c->operation[i];
    return WF_OK;
}

// Points of a curve stand in the order of their rows.
static wf_status add_point(curve *c, point p)
{
    WF_TRY(wf_grow(c->n + 1, sizeof *c->at, &c->capacity, &c->at));
    size_t i = c->n++;
    for (; i > 0 && c->at[i - 1].rows > p.rows; i--)
        c->at[i] = c->at[i - 1];
    c->at[i] = p;
    return WF_OK;
}

static wf_status read_operation(const reading *r, char *const field[N_COLUMNS])
{
    long long n_out = 0, n_in = 0;
    double us, percent, rows;
    operation *o = NULL;
    curve *c = NULL;
    WF_TRY(number(r, field, US_PER_CALL, &us));
    WF_TRY(number(r, field, PERCENT_OF_LIMIT, &percent));
    WF_TRY(number(r, field, ROWS_PER_CALL, &rows));
    if (field[WEIGHT][0] && sscanf(field[WEIGHT], "%lldx%lld", &n_out, &n_in) != 2)
        return wf_fail(WF_CONFIG, "%s: line %d: '%s' is no weight (rows x columns)", r->path,
                       r->line, field[WEIGHT]);
    WF_TRY(add_operation(r->costs, field[OPERATION], strcmp(field[STEP], "decode") == 0, &o));
    WF_TRY(add_curve(o, n_out, n_in, &c));
    return add_point(c, (point){rows, us * 1e3 * percent * 1e-2, us * 1e3});
}

static wf_status read_line(const reading *r, char *line)
{
    char *field[N_COLUMNS];
    wf_costs_device *d = &r->costs->device;
    if (cut(line, field) != N_COLUMNS)
        return wf_fail(WF_CONFIG,
                       "%s: line %d: not the %d columns of a profile.csv of this weft; "
                       "measure again with weft run --profile",
                       r->path, r->line, N_COLUMNS);
    if (strcmp(field[OPERATION], "device") == 0) {
        snprintf(d->name, sizeof d->name, "%s", field[WEIGHT]);
        d->host = strcmp(field[STEP], "host") == 0;
        WF_TRY(number(r, field, GBYTE, &d->memory_bytes));
        d->memory_bytes *= 1e9;
        return WF_OK;
    }
    if (strcmp(field[OPERATION], "limit") == 0) {
        WF_TRY(number(r, field, GBYTE_PER_S, &d->bytes_per_ns));
        WF_TRY(number(r, field, TFLOP_PER_S, &d->flops_per_ns));
        d->flops_per_ns *= 1e3;
        return WF_OK;
    }
    if (strcmp(field[OPERATION], "between") == 0) {
        WF_TRY(number(r, field, US_PER_CALL, &d->step_ns));
        d->step_ns *= 1e3;
        return WF_OK;
    }
    return read_operation(r, field);
}

static wf_status read_lines(reading *r, char *text)
{
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        r->line++;
        if (r->line == 1 && strcmp(line, head) != 0)
            return wf_fail(WF_CONFIG,
                           "%s: not a profile.csv of this weft: its first line is not "
                           "'%.40s...'; measure again with weft run --profile",
                           r->path, head);
        if (r->line > 1) WF_TRY(read_line(r, line));
    }
    return WF_OK;
}

// ---- what holds for all operations --------------------------------------------------------------

// The shortest call, and the share that all calls together reach of their limits.
static void sum_up(wf_costs *c)
{
    double ns = 0.0, least_ns = 0.0, shortest = HUGE_VAL;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->operation[i].n; k++)
            for (size_t j = 0; j < c->operation[i].curve[k].n; j++) {
                const point *p = &c->operation[i].curve[k].at[j];
                ns += p->ns;
                least_ns += p->least_ns;
                if (p->ns < shortest) shortest = p->ns;
            }
    // Half of it: a share must be left for what the call does, whatever it is.
    c->device.call_ns = shortest < HUGE_VAL ? shortest / 2 : 0.0;
    c->share = ns > 0.0 && least_ns > 0.0 ? fmin(least_ns / ns, 1.0) : 1.0;
}

static wf_status check(const reading *r)
{
    const wf_costs_device *d = &r->costs->device;
    const char *missing = !d->name[0]                ? "device"
                          : !(d->bytes_per_ns > 0.0) ? "limit"
                          : r->costs->n == 0         ? "operations"
                                                     : NULL;
    if (!missing) return WF_OK;
    return wf_fail(WF_CONFIG,
                   "%s: no line says '%s': not a whole profile.csv; measure again with "
                   "weft run --profile",
                   r->path, missing);
}

static wf_status read_text(const char *path, char *text, wf_costs *c)
{
    reading r = {.path = path, .costs = c};
    WF_TRY(read_lines(&r, text));
    WF_TRY(check(&r));
    sum_up(c);
    return WF_OK;
}

wf_status wf_costs_read(const char *path, wf_costs **out)
{
    char *text = NULL;
    *out = NULL;
    WF_TRY(wf_file_read(path, MOST_BYTES, &text, NULL));
    wf_costs *c = calloc(1, sizeof *c);
    wf_status st = c ? read_text(path, text, c) : wf_fail(WF_NO_MEMORY, "costs: out of memory");
    free(text);
    if (st != WF_OK) wf_costs_destroy(&c);
    *out = c;
    return st;
}

wf_status wf_costs_assume(const wf_costs_device *device, double share, wf_costs **out)
{
    wf_costs *c = calloc(1, sizeof *c);
    *out = c;
    if (!c) return wf_fail(WF_NO_MEMORY, "costs: out of memory");
    c->device = *device;
    c->share = share;
    return WF_OK;
}

void wf_costs_destroy(wf_costs **costs)
{
    wf_costs *c = *costs;
    if (!c) return;
    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = 0; k < c->operation[i].n; k++)
            free(c->operation[i].curve[k].at);
        free(c->operation[i].curve);
    }
    free(c->operation);
    free(c);
    *costs = NULL;
}

// ---- asking -------------------------------------------------------------------------------------

const wf_costs_device *wf_costs_of(const wf_costs *costs)
{
    return &costs->device;
}

void wf_costs_set_links(wf_costs *costs, double bytes_per_ns, double hop_ns)
{
    costs->device.link_bytes_per_ns = bytes_per_ns;
    costs->device.hop_ns = hop_ns;
}

void wf_costs_set_step(wf_costs *costs, double step_ns)
{
    costs->device.step_ns = step_ns;
}

int wf_costs_find(const wf_costs *c, const char *name, bool decode)
{
    int other = -1;
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->operation[i].name, name) != 0) continue;
        if (c->operation[i].decode == decode) return (int)i;
        other = (int)i; // measured in steps of the other kind alone
    }
    return other;
}

// The curve of the weight that is nearest in size.
static const curve *nearest(const operation *o, const wf_op_cost *cost)
{
    const curve *best = &o->curve[0];
    double least = HUGE_VAL, size = (double)cost->n_out * (double)cost->n_in;
    for (size_t i = 0; i < o->n && size > 0.0; i++) {
        const curve *c = &o->curve[i];
        double off = fabs(log(((double)c->n_out * (double)c->n_in + 1.0) / size));
        if (c->n_out == cost->n_out && c->n_in == cost->n_in) off = -1.0;
        if (off < least) {
            least = off;
            best = c;
        }
    }
    return best;
}

static double share_of(const wf_costs *c, const point *p)
{
    double ns = p->ns - c->device.call_ns;
    double share = ns > 0.0 ? p->least_ns / ns : 1.0;
    return share < LEAST_SHARE ? LEAST_SHARE : share;
}

double wf_costs_share(const wf_costs *costs, int i_operation, const wf_op_cost *cost)
{
    if (i_operation < 0 || costs->operation[i_operation].n == 0) return costs->share;
    const curve *c = nearest(&costs->operation[i_operation], cost);
    double rows = (double)cost->rows;
    size_t i = 0;
    while (i < c->n && c->at[i].rows < rows)
        i++;
    if (i == 0) return share_of(costs, &c->at[0]);
    if (i == c->n) return share_of(costs, &c->at[c->n - 1]);
    double from = log(c->at[i - 1].rows + 1.0), to = log(c->at[i].rows + 1.0);
    double part = to > from ? (log(rows + 1.0) - from) / (to - from) : 0.0;
    return share_of(costs, &c->at[i - 1]) * (1.0 - part) + share_of(costs, &c->at[i]) * part;
}

double wf_costs_ns(const wf_costs *costs, const wf_op_cost *cost, double share)
{
    const wf_costs_device *d = &costs->device;
    double bytes_ns = cost->bytes / d->bytes_per_ns;
    double flops_ns = d->flops_per_ns > 0.0 ? cost->flops / d->flops_per_ns : 0.0;
    return d->call_ns + fmax(bytes_ns, flops_ns) / share;
}
