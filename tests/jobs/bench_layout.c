// Prints predictions beside the figures of Pope et al. 2022 and beside steps that this engine took,
// for results/studies/layouts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/layout/search.h"
#include "tests/jobs/measured.h"
#include "tests/jobs/palm.h"

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

static void print_latencies(const wf_machine *machine)
{
    printf("model,phase,chips,batch,ffn,attention,weights,published_s,predicted_s,ratio,"
           "published_mfu,predicted_mfu,compute_s,weights_s,kv_s,link_s,hop_s,bound\n");
    for (size_t i = 0; i < N_ROWS(palm_rows); i++) {
        const palm_row *r = &palm_rows[i];
        wf_layout_cost c;
        palm_predict(r, machine, &c);
        double n = r->n_steps;
        printf("%s,%s,%d,%lld,%s,%s,%s,%g,%.4g,%.2f,%.2f,%.2f,%.4g,%.4g,%.4g,%.4g,%.4g,%s\n",
               r->model, r->what, r->x * r->y * r->z, (long long)r->batch,
               wf_layout_ffn_name(r->ffn), r->attention == WF_LAYOUT_BY_BATCH ? "batch" : "heads",
               r->format, r->latency_s, n * c.step_s, n * c.step_s / r->latency_s, r->mfu, c.mfu,
               n * c.compute_s, n * c.weights_s, n * c.kv_s, n * c.link_s, n * c.hop_s,
               wf_layout_bound(&c));
    }
}

static void print_contexts(const wf_machine *machine)
{
    printf("attention,batch,published_tokens,predicted_tokens,ratio\n");
    for (size_t i = 0; i < N_ROWS(palm_context_rows); i++) {
        const palm_context_row *r = &palm_context_rows[i];
        double tokens = palm_context(r, machine);
        printf("%s,%lld,%.0f,%.0f,%.3f\n", r->what, (long long)r->batch, r->tokens, tokens,
               tokens / r->tokens);
    }
}

static void print_serial(const wf_machine *machine)
{
    double ratio = palm_serial(machine);
    printf("serial_over_parallel,published,predicted,ratio\ndecode of 512,%g,%.3f,%.3f\n",
           PALM_SERIAL, ratio, ratio / PALM_SERIAL);
}

// Of every way to lay n chips out as x * yz, the one that moves least.
static void print_one_and_two(const wf_machine *machine)
{
    printf("chips,values_per_token_1d,values_per_token_2d,x\n");
    for (int n = 4; n <= 256; n *= 2) {
        double least = 0;
        int least_x = 0;
        for (int x = 2; x < n; x *= 2) {
            double v = palm_values(machine, WF_LAYOUT_2D, x, 1, n / x, 16384, 1024) / 1024;
            if (!least_x || v < least) least = v, least_x = x;
        }
        printf("%d,%.0f,%.0f,%d\n", n,
               palm_values(machine, WF_LAYOUT_1D, 1, 1, n, 16384, 1024) / 1024, least, least_x);
    }
}

static void print_gathered(const wf_machine *machine)
{
    printf("tokens,1d,2d,gather-x,gather-xy,gather-xyz\n");
    for (int64_t tokens = 256; tokens <= 1 << 22; tokens *= 2) {
        printf("%lld", (long long)tokens);
        for (int ffn = 0; ffn < WF_LAYOUT_N_FFNS; ffn++)
            printf(",%.4g", 2 * palm_values(machine, (wf_layout_ffn)ffn, 4, 4, 4, 16384, tokens));
        printf("\n");
    }
    printf("crossover,tokens\n2d to gather-x,%lld\ngather-x to gather-xy,%lld\n"
           "gather-xy to gather-xyz,%lld\n",
           (long long)palm_crossover(machine, WF_LAYOUT_2D, WF_LAYOUT_GATHER_X),
           (long long)palm_crossover(machine, WF_LAYOUT_GATHER_X, WF_LAYOUT_GATHER_XY),
           (long long)palm_crossover(machine, WF_LAYOUT_GATHER_XY, WF_LAYOUT_GATHER_XYZ));
}

static void print_front(const wf_machine *machine, const char *model, const char *format,
                        bool decode)
{
    for (int n = 8; n <= 256; n *= 2) {
        wf_layout_search s = {.model = wf_layout_shape(model),
                              .machine = machine,
                              .format = wf_layout_format_find(format),
                              .n_devices = n,
                              .tokens = decode ? 1 : 2048,
                              .past = decode ? 2048 : 0};
        wf_layout_found f;
        if (wf_layout_search_run(&s, &f) != WF_OK) continue;
        for (size_t i = 0; i < f.n; i++) {
            const wf_layout_point *p = &f.front[i];
            printf("%s,%s,%s,%d,%lld,%s,%d,%d,%.5g,%.4g,%.3f,%s\n", model, format,
                   decode ? "decode" : "prefill", n, (long long)p->batch,
                   wf_layout_ffn_name(p->layout.ffn), p->layout.x * p->layout.y * p->layout.z,
                   p->layout.replicas, p->cost.step_s * 1e3, p->cost.device_s_per_mtok, p->cost.mfu,
                   wf_layout_bound(&p->cost));
        }
        wf_layout_found_free(&f);
    }
}

static void print_fronts(const wf_machine *machine)
{
    static const char *const models[] = {"palm-8b", "palm-62b", "palm-540b"};
    printf("model,weights,phase,chips,batch,ffn,chips_per_copy,replicas,latency_ms,"
           "chip_s_per_mtok,mfu,bound\n");
    for (size_t i = 0; i < N_ROWS(models); i++) {
        for (int decode = 0; decode < 2; decode++) {
            print_front(machine, models[i], "int8", decode);
            print_front(machine, models[i], "bf16", decode);
        }
    }
}

// Both rows of the H200: the data sheet's and the measured one.
static void print_h200(const wf_machine *machine)
{
    static const char *const names[] = {"h200", "h200-measured"};
    (void)machine;
    printf("machine,model,devices,rows,context,measured_ms,predicted_ms,ratio,bound\n");
    for (size_t i = 0; i < N_ROWS(names); i++) {
        wf_machine m;
        if (wf_machine_make(&(wf_machine_source){.name = names[i]}, &m) != WF_OK) continue;
        for (size_t k = 0; k < N_ROWS(measured_rows); k++) {
            const measured_row *r = &measured_rows[k];
            wf_layout_cost c;
            if (measured_predict(r, &m, &c) != WF_OK) continue;
            printf("%s,%s,%d,%d,%d,%g,%.2f,%.2f,%s\n", names[i], r->model, r->n_devices, r->rows,
                   r->context, r->step_ms, c.step_s * 1e3, c.step_s * 1e3 / r->step_ms,
                   wf_layout_bound(&c));
        }
        wf_machine_free(&m);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(const wf_machine *machine);
    } parts[] = {
        {"latencies", print_latencies},
        {"contexts", print_contexts},
        {"one-and-two", print_one_and_two},
        {"gathered", print_gathered},
        {"serial", print_serial},
        {"fronts", print_fronts},
        {"h200", print_h200},
    };
    wf_machine machine;
    if (wf_machine_make(&(wf_machine_source){.name = "tpu-v4"}, &machine) != WF_OK) return 1;
    for (size_t i = 0; i < N_ROWS(parts); i++) {
        if (argc == 2 && strcmp(argv[1], parts[i].name) == 0) {
            parts[i].print(&machine);
            wf_machine_free(&machine);
            return 0;
        }
    }
    fprintf(
        stderr,
        "bench_layout latencies | contexts | one-and-two | gathered | serial | fronts | h200\n");
    return 64;
}
