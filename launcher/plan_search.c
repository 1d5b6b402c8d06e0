// The search for a layout, printed. See plan_search.h.
#include "launcher/plan_search.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/layout/search.h"
#include "jobs/layout/shapes.h"
#include "launcher/jobfile.h"
#include "launcher/machine_option.h"

enum { MOST_CONTEXT = 1 << 24, USUAL_CONTEXT = 2048 };

// What is searched for, as the command line and the job file say.
typedef struct {
    wf_layout_model model;
    const char *dtype; // the job's or the checkpoint's
    bool shape;        // of no folder that the engine could read
    wf_jobspec *spec;  // NULL: no job file
    wf_machine machine;
    char *machine_text;
    const wf_layout_format *format;
    int n_devices;
    int64_t context, batch;
} question;

// ---- asking -------------------------------------------------------------------------------------

static wf_status folder_read(const char *path, bool trust, question *q)
{
    wf_hf_folder *folder = NULL;
    wf_arch arch;
    WF_TRY(wf_hf_folder_open(path, false, &folder));
    wf_status st = wf_arch_read(folder, trust, &arch);
    if (st == WF_OK) st = wf_layout_model_of(&arch, path, &q->model);
    if (st == WF_OK && !q->dtype) q->dtype = wf_dtype_name(arch.dtype);
    wf_hf_folder_close(&folder);
    return st;
}

static wf_status job_read(const wf_cli *cli, question *q)
{
    WF_TRY(wf_jobfile_load(cli, true, &q->spec));
    const wf_jobspec *spec = q->spec;
    if (spec->model.dtype >= 0) q->dtype = wf_dtype_name((wf_dtype)spec->model.dtype);
    q->n_devices = spec->slurm.nodes * spec->slurm.gpus_per_node;
    WF_TRY(folder_read(spec->model.path, spec->model.trust_config, q));
    q->context = spec->engine.max_context;
    return WF_OK;
}

static wf_status model_read(const wf_cli *cli, question *q)
{
    const char *what = wf_cli_argument(cli, 0);
    const wf_layout_model *shape = wf_layout_shape(what);
    char names[96];
    struct stat st;
    if (shape) {
        q->model = *shape;
        q->shape = true;
        return WF_OK;
    }
    if (stat(what, &st) != 0) {
        return wf_fail(WF_NO_INPUT,
                       "%s: there is no such job file or model's folder, nor a shape (%s)", what,
                       wf_layout_shape_names(names, sizeof names));
    }
    if (S_ISDIR(st.st_mode)) return folder_read(what, false, q);
    return job_read(cli, q);
}

static wf_status format_find(const wf_cli *cli, question *q)
{
    const char *name = wf_cli_value(cli, "format");
    q->format = wf_layout_format_find(name ? name : q->dtype ? q->dtype : "bf16");
    if (!q->format && name)
        return wf_cli_fail(cli, "--format: \"%s\" is none of f32, bf16, int8, w8a8", name);
    if (!q->format) q->format = wf_layout_format_find("bf16"); // as wide as f16
    return WF_OK;
}

static wf_status numbers_read(const wf_cli *cli, question *q)
{
    long long devices, context, batch;
    WF_TRY(wf_cli_i64(cli, "devices", 1, WF_LAYOUT_MOST_DEVICES, q->n_devices, &devices));
    WF_TRY(wf_cli_i64(cli, "context", 1, MOST_CONTEXT, q->context, &context));
    WF_TRY(wf_cli_i64(cli, "batch", 1, 1 << 20, 0, &batch));
    if (devices < 1)
        return wf_cli_fail(cli, "--search: on how many devices? --devices 8, for example");
    if (context == 0)
        context = q->model.max_context < USUAL_CONTEXT ? q->model.max_context : USUAL_CONTEXT;
    q->n_devices = (int)devices;
    q->context = context;
    q->batch = batch;
    return WF_OK;
}

static wf_status latency_read(const wf_cli *cli, const char *option, double *out_s)
{
    const char *text = wf_cli_value(cli, option);
    int64_t ns = 0;
    *out_s = 0;
    if (!text) return WF_OK;
    if (wf_parse_duration(text, &ns) != WF_OK || ns == 0)
        return wf_cli_fail(cli, "--%s: \"%s\" is no time with a unit: write 30ms, for example",
                           option, text);
    *out_s = (double)ns / 1e9;
    return WF_OK;
}

// ---- answering ----------------------------------------------------------------------------------

static void print_question(const question *q)
{
    const wf_machine *m = &q->machine;
    printf("model     %s: %d layers, %.2f billion parameters, %d heads, %d of keys and values%s\n",
           q->model.name, q->model.n_layers, wf_layout_n_params(&q->model) / 1e9, q->model.n_heads,
           q->model.n_kv_heads, q->model.parallel ? ", parallel blocks" : "");
    printf("machine   %d x %s: %.0f TFLOP/s, %.1f GB at %.0f GB/s, links of %.0f GB/s\n",
           q->n_devices, m->name, m->flops[q->format->rate] / 1e12, m->memory_bytes / 1e9,
           m->memory_rate / 1e9, m->link_rate / 1e9);
    printf("          numbers: %s\nweights   %s; times are least times: what overlaps nothing and "
           "runs at peak rates\n",
           m->source, q->format->name);
}

static const char *layout_text(const wf_layout *l, char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%s %dx%dx%d by %s", wf_layout_ffn_name(l->ffn), l->x, l->y, l->z,
             l->attention == WF_LAYOUT_BY_BATCH ? "batch" : "heads");
    return text;
}

static void print_point(const wf_layout_point *p, const char *mark)
{
    char layout[64];
    printf("  %9.2f ms %11.1f %5.1f%% %12.1f %7lld %8d  %-26s %s%s\n", p->cost.step_s * 1e3,
           p->cost.tokens_per_s, p->cost.mfu * 100, p->cost.device_s_per_mtok, (long long)p->batch,
           p->layout.replicas, layout_text(&p->layout, layout, sizeof layout),
           wf_layout_bound(&p->cost), mark);
}

static void print_why(const wf_layout_point *p)
{
    const wf_layout_cost *c = &p->cost;
    printf("  bound by %s: computing %.2f, reading weights %.2f, K and V %.2f, links %.2f, their "
           "latency %.2f ms\n  memory   %.1f GB per device\n",
           wf_layout_bound(c), c->compute_s * 1e3, c->weights_s * 1e3, c->kv_s * 1e3,
           c->link_s * 1e3, c->hop_s * 1e3, c->memory_bytes / 1e9);
}

static void print_found(const question *q, const wf_layout_found *f)
{
    const wf_layout *best = &f->best.layout;
    const char *missing = wf_layout_not_built(&q->model, q->format, best);
    printf("  %12s %11s %6s %12s %7s %8s  %-26s %s\n", "latency", "tokens/s", "MFU", "device-s/Mt",
           "batch", "replicas", "layout of one", "bound by");
    for (size_t i = 0; i < f->n; i++)
        print_point(&f->front[i], f->front[i].built ? "" : " (planned only)");
    printf("choice, of %zu that fit\n", f->n_tried);
    print_point(&f->best, "");
    print_why(&f->best);
    if (!missing[0]) return;
    printf("  planned only: %s\n", missing);
    if (!f->any_built) {
        printf("  nothing that the engine builds fits%s\n",
               q->format->dtype ? " or is fast enough" : "; ask with --format bf16");
        return;
    }
    printf("best of what the engine builds: %.2f of the choice's throughput\n",
           f->best_built.cost.tokens_per_s / f->best.cost.tokens_per_s);
    print_point(&f->best_built, "");
    print_why(&f->best_built);
}

static void print_lines(const question *q, const wf_layout_found *f)
{
    const wf_layout *l = &f->best_built.layout;
    if (!f->any_built) return;
    if (q->shape) {
        printf("job file  none: %s is a shape to plan with; the engine reads no such model\n",
               q->model.name);
        return;
    }
    long long rows = (f->best_built.batch + l->replicas - 1) / l->replicas;
    printf("job file\n  model: {dtype: %s}\n  parallel: {tensor: %d, replicas: %d}\n"
           "  engine: {max_rows: %lld, max_context: %lld}\n",
           q->format->dtype, l->x * l->y * l->z, l->replicas, rows, (long long)q->context);
}

// One phase; the job's lines come from decode, which shares its layout with prefill in the engine.
static wf_status answer(const wf_cli *cli, const question *q, bool decode)
{
    wf_layout_search s = {.model = &q->model,
                          .machine = &q->machine,
                          .format = q->format,
                          .n_devices = q->n_devices,
                          .tokens = decode ? 1 : q->context,
                          .past = decode ? q->context : 0,
                          .batch = q->batch};
    wf_layout_found found;
    WF_TRY(latency_read(cli, decode ? "latency" : "prefill-latency", &s.latency_s));
    WF_TRY(wf_layout_search_run(&s, &found));
    if (decode)
        printf("decode    one token of each sequence, %lld of context\n", (long long)q->context);
    else
        printf("prefill   %lld tokens of each sequence at once\n", (long long)q->context);
    print_found(q, &found);
    if (decode) print_lines(q, &found);
    wf_layout_found_free(&found);
    return WF_OK;
}

wf_status wf_plan_search(const wf_cli *cli)
{
    question q = {0};
    wf_status st = wf_machine_option(cli, &q.machine, &q.machine_text);
    if (st == WF_OK) st = model_read(cli, &q);
    if (st == WF_OK) st = format_find(cli, &q);
    if (st == WF_OK) st = numbers_read(cli, &q);
    if (st == WF_OK) {
        print_question(&q);
        st = answer(cli, &q, false);
    }
    if (st == WF_OK) st = answer(cli, &q, true);
    wf_jobspec_destroy(&q.spec);
    wf_machine_free(&q.machine);
    free(q.machine_text);
    return st;
}

wf_status wf_plan_search_not_asked(const wf_cli *cli)
{
    static const char *const options[] = {
        "devices", "context", "batch", "latency", "prefill-latency", "format",
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (wf_cli_has(cli, options[i]))
            return wf_cli_fail(cli, "--%s is of the search for a layout: add --search", options[i]);
    return WF_OK;
}

void wf_plan_search_help(FILE *file)
{
    char names[128], *keys = NULL;
    fprintf(file, "\nMachines: %s. A file of one's own, or --machine-set, has the keys:\n\n",
            wf_machine_names(names, sizeof names));
    if (wf_machine_help(&keys) == WF_OK) fputs(keys, file);
    free(keys);
}
