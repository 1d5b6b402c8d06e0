// weft plan: the dry run. Job file, placement, bytes and KV capacity, nothing computed and nothing
// written.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "io/base/arena.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan.h"
#include "jobs/spec/plan_model.h"
#include "launcher/bringup/device_look.h"
#include "launcher/commands.h"
#include "launcher/jobfile.h"
#include "launcher/plan_rows.h"
#include "launcher/plan_search.h"
#include "launcher/plan_step.h"
#include "launcher/text_job.h"

#define GIB ((double)(1 << 30))

const wf_cli_option wf_plan_options[] = {
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"ranks", 'n', "N", "as if started with so many ranks"},
    {"nodes", 'N', "N", "as if on so many nodes, the ranks spread evenly"},
    {"memory", 'm', "SIZE", "as if what computes had so much memory free, e.g. 80GiB"},
    {"device-memory", 0, "SIZE", "as if on GPUs of so much memory, e.g. 141GB, without one here"},
    {"search", 0, NULL, "searches for the best layout on a machine that need not be here"},
    {"machine", 0, "NAME|FILE",
     "search: its row, e.g. h200, or a file FILE.yaml; else: for times of steps"},
    {"machine-set", 0, "KEY=VALUE", "a number of the machine; may be repeated"},
    {"devices", 0, "N", "search: how many; else as slurm.nodes and slurm.gpus_per_node say"},
    {"context", 0, "N", "search: tokens of a sequence; else engine.max_context, or 2048"},
    {"batch", 0, "N", "search: sequences at once on all devices; else all powers of two"},
    {"latency", 0, "TIME", "search: most time per generated token, e.g. 30ms"},
    {"prefill-latency", 0, "TIME", "search: most time for the prompts of a batch"},
    {"format", 0, "NAME", "search: weights in f32, bf16, int8 (computed in bf16) or w8a8"},
    {NULL, 0, NULL, NULL},
};

// How many ranks on how many nodes, and why.
typedef struct {
    int n_ranks, n_nodes, n_devices;
    const char *why;
} extent;

// ---- device -------------------------------------------------------------------------------------

// The back end that this machine would use: the device's memory is only known by asking it.
static wf_status device_ask(const wf_jobspec *spec, wf_backend_info *info)
{
    const char *name = wf_jobspec_backend(spec);
    wf_backend_config config = {.n_threads = 1};
    wf_backend *be = NULL;
    wf_status st = wf_backend_create(name ? name : "cuda", &config, &be);
    if (st != WF_OK && !name) st = wf_backend_create("cpu", &config, &be);
    WF_TRY(st);
    st = be->ops->info(be, info);
    wf_backend_destroy(be);
    return st;
}

static wf_status size_option(const wf_cli *cli, const char *name, uint64_t *out)
{
    const char *text = wf_cli_value(cli, name);
    int64_t bytes = 0;
    if (!text) return WF_OK;
    // Bytes alone are a forgotten unit: nobody has a device of 141 bytes.
    bool bare = text[strspn(text, "0123456789")] == '\0';
    if (bare || wf_parse_bytes(text, &bytes) != WF_OK || bytes == 0) {
        return wf_cli_fail(cli, "--%s: \"%s\" is no size with a unit: write 80GiB, for example",
                           name, text);
    }
    *out = (uint64_t)bytes;
    return WF_OK;
}

// A device as it is said to be: what the driver and a context take of it is not ours (0.6 GiB on an
// H200).
static wf_status device_imagine(const wf_cli *cli, wf_backend_info *info)
{
    uint64_t context = UINT64_C(640) << 20;
    *info = (wf_backend_info){.name = "cuda", .device = "as said"};
    WF_TRY(size_option(cli, "device-memory", &info->total_bytes));
    info->free_bytes = info->total_bytes > context ? info->total_bytes - context : 0;
    return WF_OK;
}

// ---- placement ----------------------------------------------------------------------------------

static wf_status extent_of(const wf_cli *cli, const wf_jobspec *spec, bool host, extent *out)
{
    long long ranks, nodes;
    int replicas = spec->parallel.replicas > 0 ? spec->parallel.replicas : 1;
    out->n_devices = host ? 0 : spec->slurm.gpus_per_node;
    WF_TRY(wf_cli_i64(cli, "ranks", 1, 1 << 20, 0, &ranks));
    WF_TRY(wf_cli_i64(cli, "nodes", 1, 1 << 16, 0, &nodes));
    out->n_nodes = nodes > 0 ? (int)nodes : 1;
    out->why = "as asked";
    if (ranks == 0 && spec->slurm.gpus_per_node > 0) {
        if (nodes == 0) out->n_nodes = spec->slurm.nodes;
        ranks = (long long)out->n_nodes * spec->slurm.gpus_per_node;
        out->why = "from slurm.nodes and slurm.gpus_per_node";
    } else if (ranks == 0) {
        ranks = (long long)replicas * spec->parallel.tensor;
        out->why =
            "from parallel.tensor and parallel.replicas; ask others with --ranks and --nodes";
    }
    if (ranks < out->n_nodes) {
        return wf_cli_fail(cli, "%lld ranks on %d nodes: a node needs at least one", ranks,
                           out->n_nodes);
    }
    out->n_ranks = (int)ranks;
    return WF_OK;
}

static wf_status placement_make(const extent *e, const wf_jobspec *spec, wf_plan **out)
{
    int *node;
    WF_TRY(wf_alloc((size_t)e->n_ranks, sizeof *node, &node));
    for (int r = 0; r < e->n_ranks; r++)
        node[r] = (int)((int64_t)r * e->n_nodes / e->n_ranks);
    wf_plan_input input = {.n_ranks = e->n_ranks,
                           .node_of_rank = node,
                           .n_devices = e->n_devices,
                           .tensor = spec->parallel.tensor,
                           .replicas = spec->parallel.replicas};
    wf_status st = wf_plan_make(&input, out);
    free(node);
    return st;
}

// Ranks that share the memory of the fullest node, or one that has a device for itself.
static int n_sharing(const wf_plan *plan, bool host)
{
    int most = 1;
    for (int n = 0; host && n < plan->n_nodes; n++)
        if (plan->ranks_of_node[n] > most) most = plan->ranks_of_node[n];
    return most;
}

// What this host has, whatever the job would use elsewhere.
static void print_devices(bool host)
{
    wf_cuda_devices *seen = calloc(1, sizeof *seen);
    if (!seen) return;
    bool listed = wf_cuda_list(seen) == WF_OK;
    if (!listed && wf_devices_idle())
        printf("devices   here, but not for this weft: %s\n", wf_error());
    else if (!listed)
        printf("devices   none here%s%s\n", host ? ", the CPU computes" : ": ",
               host ? "" : wf_error());
    for (int i = 0; i < seen->n; i++) {
        wf_own_device place = {.numa = -1};
        wf_own_device_place(seen->device[i].pci, &place);
        printf("%-9s %d %s, %.1f GiB, compute capability %d.%d, PCI %s", i ? "" : "devices", i,
               seen->device[i].name, (double)seen->device[i].total_bytes / GIB,
               seen->device[i].major, seen->device[i].minor, place.pci);
        if (place.numa >= 0) printf(", NUMA node %d", place.numa);
        printf("\n");
    }
    free(seen);
}

// Everything that is asked before the first line is printed.
typedef struct {
    wf_inputs_model model;
    char parts[160]; // what of the folder is not loaded
    wf_plan_rows rows;
    wf_status missing; // weights that are not here
    wf_backend_info info;
    extent e;
    wf_plan *plan;
    wf_plan_memory memory;
    wf_plan_kv kv;
    wf_plan_step step;
    uint64_t n_lines; // of prompts files
    size_t n_uncounted;
} answers;

// ---- printing -----------------------------------------------------------------------------------

static void print_groups(const wf_plan *plan)
{
    enum { SHOWN = 32 };
    char text[256];
    for (int g = 0; g < plan->n_groups && g < SHOWN; g++)
        printf("  group %-3d %s\n", g, wf_plan_group_text(plan, g, text, sizeof text));
    if (plan->n_groups > SHOWN)
        printf("  ... and %d more group%s\n", plan->n_groups - SHOWN, WF_S(plan->n_groups - SHOWN));
    if (wf_plan_remarks(plan, text, sizeof text)[0]) printf("  note: %s\n", text);
}

// One number of bytes of the table, in the largest unit that leaves something before the point.
static void print_bytes(const char *name, uint64_t bytes, const char *what)
{
    char text[WF_PARSE_TEXT_MAX];
    printf("  %-9s %14s%s%s\n", name, wf_bytes_round_text((int64_t)bytes, text),
           what[0] ? ": " : "", what);
}

static void print_memory(const wf_plan_memory *m, const wf_plan_kv *kv, wf_dtype kv_dtype)
{
    char kv_text[160];
    printf("memory per rank (%.2f GiB free, shared by %d)\n", (double)m->free_bytes / GIB,
           m->n_sharing);
    print_bytes("weights", m->weight_bytes, "");
    print_bytes("workspace", m->workspace_bytes, "activations, logits, tables");
    if (m->runtime_bytes > 0)
        print_bytes("libraries", m->runtime_bytes, "their workspaces, captured steps");
    if (m->comm_bytes > 0) print_bytes("group", m->comm_bytes, "buffers of its communicators");
    snprintf(kv_text, sizeof kv_text, "%" PRIu64 " page%s, %" PRIu64 " tokens per group, in %s",
             kv->n_pages, WF_S(kv->n_pages), kv->n_tokens, wf_dtype_name(kv_dtype));
    print_bytes("KV", kv->bytes, kv_text);
    if (kv->most_pages > 0)
        printf("            every layer has a window: a request holds at most %d pages\n",
               kv->most_pages);
}

// Rows that a run would find and fail.
static void print_refused(const wf_plan_rows *rows)
{
    for (int i = 0; i < rows->n_refused; i++) {
        const wf_plan_refused *of = &rows->refused[i];
        printf("  %-9s %" PRIu64 " row%s would fail; the first: %s\n", i ? "" : "refused", of->n,
               WF_S(of->n), of->first);
    }
}

// Prompts files that the run will encode. Their tokens are not known before.
static void print_prompts(const answers *a, size_t n_waiting, const char *name)
{
    size_t n_counted = n_waiting - a->n_uncounted;
    if (n_counted > 0)
        printf("%-9s %" PRIu64 " line%s in %zu prompts file%s, each a request; tokens are counted "
               "when the run encodes them\n",
               name, a->n_lines, WF_S(a->n_lines), n_counted, WF_S(n_counted));
    if (a->n_uncounted > 0)
        printf("%-9s %zu prompts file%s not counted here: tables, or of more than 1 GiB\n",
               n_counted > 0 ? "" : name, a->n_uncounted, WF_S(a->n_uncounted));
}

static void print_requests(const wf_jobspec *spec, const answers *a)
{
    const wf_plan_rows *rows = &a->rows;
    const wf_plan *plan = a->plan;
    const wf_plan_kv *kv = &a->kv;
    uint64_t fit = wf_plan_concurrency(kv, spec->engine.page_tokens, rows->mean_kv_tokens);
    uint64_t most = (uint64_t)spec->engine.max_rows;
    if (rows->mean_beams > 1.0) most = (uint64_t)((double)most / rows->mean_beams);
    size_t n_waiting = wf_text_job_waiting(spec), n_shards = spec->requests.n - n_waiting;
    if (n_shards > 0)
        printf("requests  %" PRIu64 " in %zu shard%s, %" PRIu64 " prompt token%s\n", rows->n_rows,
               n_shards, WF_S(n_shards), rows->n_prompt_tokens, WF_S(rows->n_prompt_tokens));
    if (n_waiting > 0) print_prompts(a, n_waiting, n_shards > 0 ? "  text" : "requests");
    if (rows->n_read == 0) return;
    uint64_t once = fit < most ? fit : most;
    printf("  mean      %.0f tokens (prompt + most to generate, of the first %" PRIu64 " row%s)\n",
           rows->mean_tokens, rows->n_read, WF_S(rows->n_read));
    if (rows->mean_beams > 1.0)
        printf(
            "  beams     %.1f rows of the batch a request, and KV of %.0f tokens at its end: its "
            "prompt once, and each beam's\n",
            rows->mean_beams, rows->mean_kv_tokens);
    printf("  at once   %" PRIu64 " per group, %" PRIu64 " in all (KV holds %" PRIu64
           ", engine.max_rows %" PRIu64 ")\n",
           once, once * (uint64_t)plan->n_groups, fit, most);
    print_refused(rows);
}

// ---- all together -------------------------------------------------------------------------------

// A plan is made where the weights are not, too: what is missing is said at once, and the answer is
// no in the end.
static wf_status model_read(const wf_jobspec *spec, wf_inputs_model *model, wf_status *missing,
                            char *parts, size_t parts_bytes)
{
    wf_hf_folder *folder = NULL;
    char what[1024];
    wf_status st = wf_inputs_model_open(spec, &folder, model);
    *missing = WF_OK;
    if (st == WF_NO_INPUT) {
        *missing = st;
        snprintf(what, sizeof what, "%s", wf_error());
        WF_TRY(wf_hf_folder_open(spec->model.path, false, &folder));
        wf_warn("%s", what);
        st = wf_inputs_arch_read(spec, folder, &model->arch);
        if (st == WF_OK) st = wf_inputs_check_tokens(spec, &model->arch);
    }
    if (st == WF_OK) wf_text_part_words(model->arch.part, folder, parts, parts_bytes);
    wf_hf_folder_close(&folder);
    return st;
}

// As a run would end.
static wf_status answer(const wf_jobspec *spec, const wf_plan_rows *rows, wf_status missing)
{
    uint64_t n = 0;
    for (int i = 0; i < rows->n_refused; i++)
        n += rows->refused[i].n;
    if (missing != WF_OK)
        return wf_fail(missing, "%s: a run would not start: the weights are not there",
                       spec->model.path);
    if (n == 0 || !spec->slurm.fail_on_row_errors) return WF_OK;
    return wf_fail(WF_FAILED_ROWS, "%" PRIu64 " of %" PRIu64 " rows would fail", n, rows->n_read);
}

static wf_status ask(const wf_cli *cli, const wf_jobspec *spec, answers *a)
{
    WF_TRY(model_read(spec, &a->model, &a->missing, a->parts, sizeof a->parts));
    WF_TRY(wf_text_job_check(spec));
    WF_TRY(wf_text_job_count(spec, &a->n_lines, &a->n_uncounted));
    WF_TRY(wf_plan_rows_read(spec, &a->model.arch, &a->rows)); // before back ends start threads
    WF_TRY(wf_cli_has(cli, "device-memory") ? device_imagine(cli, &a->info)
                                            : device_ask(spec, &a->info));
    WF_TRY(wf_plan_step_ask(cli, a->info.device, &a->step));
    WF_TRY(wf_plan_numerics(spec, &a->model.arch, a->info.name, &a->info.numerics));
    WF_TRY(size_option(cli, "memory", &a->info.free_bytes));
    WF_TRY(extent_of(cli, spec, a->info.host_memory, &a->e));
    WF_TRY(placement_make(&a->e, spec, &a->plan));
    wf_plan_device device = {.free_bytes = a->info.free_bytes,
                             .n_sharing = n_sharing(a->plan, a->info.host_memory),
                             .host = a->info.host_memory,
                             .num = a->info.numerics};
    WF_TRY(wf_plan_model_memory(spec, &a->model.arch, &device, &a->rows.needs, &a->memory));
    WF_TRY(wf_plan_kv_capacity(&a->memory, &a->kv));
    int32_t slot = a->memory.slot_pages;
    uint64_t n_pages = a->kv.n_pages < INT32_MAX ? a->kv.n_pages : INT32_MAX;
    wf_batcher_room room = {.page_tokens = spec->engine.page_tokens,
                            .n_pages = slot > 0 ? slot : (int32_t)n_pages,
                            .max_pages = INT32_MAX, // the context bounds every row
                            .most_pages = a->memory.most_pages,
                            .in_slots = slot > 0};
    wf_plan_rows_fit(&a->rows, &room);
    return WF_OK;
}

// Tokens of a context, for steps: what rows have at their end, on average, else the most there may
// be.
static int32_t context_of(const wf_jobspec *spec, const answers *a)
{
    int32_t most =
        spec->engine.max_context > 0 ? spec->engine.max_context : a->model.arch.max_context;
    double mean = a->rows.mean_tokens;
    return mean >= 1.0 && mean < most ? (int32_t)mean : most;
}

static wf_status plan_print(const wf_jobspec *spec, const answers *a)
{
    char remarks[320], experts[160];
    printf("job       %s\nmodel     %s (%s, %d layers, %s)\nback end  %s: %s\n", spec->job,
           spec->model.path, a->model.arch.family->name, a->model.arch.n_layers,
           wf_dtype_name(a->info.numerics.weight), a->info.name, a->info.device);
    if (a->parts[0]) printf("  note: %s\n", a->parts);
    print_devices(a->info.host_memory);
    printf("placement %d rank%s on %d node%s (%s)\n", a->e.n_ranks, WF_S(a->e.n_ranks),
           a->e.n_nodes, WF_S(a->e.n_nodes), a->e.why);
    print_groups(a->plan);
    if (wf_arch_experts_words(&a->model.arch, spec->parallel.tensor, experts, sizeof experts)[0])
        printf("experts   %s\n", experts);
    if (wf_plan_model_remarks(spec, &a->model.arch, remarks, sizeof remarks)[0])
        printf("  note: %s\n", remarks);
    print_memory(&a->memory, &a->kv, a->info.numerics.kv);
    wf_plan_step_print(&a->step, spec, &a->model.arch, &a->info.numerics, context_of(spec, a));
    print_requests(spec, a);
    return answer(spec, &a->rows, a->missing);
}

wf_status wf_cmd_plan(const wf_cli *cli)
{
    wf_jobspec *spec = NULL;
    answers a = {0};
    if (wf_cli_has(cli, "search")) return wf_plan_search(cli);
    WF_TRY(wf_plan_search_not_asked(cli));
    WF_TRY(wf_jobfile_load(cli, true, &spec));
    wf_status st = ask(cli, spec, &a);
    if (st == WF_OK) st = plan_print(spec, &a);
    wf_plan_rows_free(&a.rows);
    wf_plan_destroy(&a.plan);
    wf_jobspec_destroy(&spec);
    return st;
}
