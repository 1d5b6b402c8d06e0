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
#include "io/shard/reader.h"
#include "jobs/spec/inputs.h"
#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan.h"
#include "jobs/spec/plan_model.h"
#include "launcher/bringup/device_look.h"
#include "launcher/commands.h"
#include "launcher/jobfile.h"
#include "launcher/text_job.h"

#define GIB ((double)(1 << 30))

enum { SAMPLE_ROWS = 1000 }; // of each shard, for the mean length of a request

const wf_cli_option wf_plan_options[] = {
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"ranks", 'n', "N", "as if started with so many ranks"},
    {"nodes", 'N', "N", "as if on so many nodes, the ranks spread evenly"},
    {"memory", 'm', "SIZE", "as if what computes had so much memory free, e.g. 80GiB"},
    {"device-memory", 0, "SIZE", "as if on GPUs of so much memory, e.g. 141GB, without one here"},
    {NULL, 0, NULL, NULL},
};

// What the shards hold, from their headers and a sample of their rows.
typedef struct {
    uint64_t n_rows, n_prompt_tokens;
    double mean_tokens; // prompt + max_new_tokens of the sampled rows
    uint64_t n_sampled;
    uint32_t sampling_columns;
} stream_facts;

// How many ranks on how many nodes, and why.
typedef struct {
    int n_ranks, n_nodes, n_devices;
    const char *why;
} extent;

// ---- shards -------------------------------------------------------------------------------------

static wf_status sample_rows(wf_reader *reader, const char *path, const wf_shard_info *info,
                             stream_facts *facts)
{
    const wf_reader_batch *batch = NULL;
    uint32_t n = info->n_rows < SAMPLE_ROWS ? (uint32_t)info->n_rows : SAMPLE_ROWS;
    if (n == 0) return WF_OK;
    WF_TRY(wf_reader_submit(reader, &(wf_reader_read){.path = path, .n = n}));
    WF_TRY(wf_reader_wait(reader, -1, &batch));
    if (!batch) return wf_fail(WF_INTERNAL, "%s: reading was interrupted", path);
    wf_status st = batch->status;
    if (st != WF_OK) wf_fail(st, "%s", batch->error);
    for (uint32_t i = 0; i < batch->n_rows; i++) {
        if (batch->rows[i].status != WF_OK) continue;
        double tokens = (double)batch->rows[i].n_prompt + (double)batch->rows[i].max_new_tokens;
        facts->n_sampled++;
        facts->mean_tokens += (tokens - facts->mean_tokens) / (double)facts->n_sampled;
    }
    wf_reader_release(reader, batch);
    return st;
}

static wf_status facts_collect(const wf_jobspec *spec, stream_facts *facts)
{
    wf_reader *reader = NULL;
    wf_shard_info info;
    WF_TRY(wf_reader_start(&(wf_reader_config){0}, &reader));
    wf_status st = WF_OK;
    for (size_t i = 0; i < spec->requests.n && st == WF_OK; i++) {
        if (wf_text_job_waits(spec, i)) continue;
        st = wf_reader_open(reader, spec->shards.item[i], &info);
        if (st == WF_OK) st = wf_inputs_check_arrivals(spec, spec->shards.item[i], &info);
        if (st != WF_OK) break;
        facts->n_rows += info.n_rows;
        facts->n_prompt_tokens += info.n_prompt_tokens;
        facts->sampling_columns |= info.sampling_columns;
        st = sample_rows(reader, spec->shards.item[i], &info, facts);
    }
    wf_reader_close(&reader);
    return st;
}

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

static void print_memory(const wf_plan_memory *m, const wf_plan_kv *kv, wf_dtype kv_dtype)
{
    printf("memory per rank (%.2f GiB free, shared by %d)\n", (double)m->free_bytes / GIB,
           m->n_sharing);
    printf("  weights   %10.3f GiB\n", (double)m->weight_bytes / GIB);
    printf("  workspace %10.3f GiB: activations, logits, tables\n",
           (double)m->workspace_bytes / GIB);
    if (m->runtime_bytes > 0) {
        printf("  libraries %10.3f GiB: their workspaces, captured steps\n",
               (double)m->runtime_bytes / GIB);
    }
    if (m->comm_bytes > 0) {
        printf("  group     %10.3f GiB: buffers of its communicators\n",
               (double)m->comm_bytes / GIB);
    }
    printf("  KV        %10.3f GiB: %" PRIu64 " page%s, %" PRIu64 " tokens per group, in %s\n",
           (double)kv->bytes / GIB, kv->n_pages, WF_S(kv->n_pages), kv->n_tokens,
           wf_dtype_name(kv_dtype));
}

static void print_requests(const wf_jobspec *spec, const stream_facts *f, const wf_plan *plan,
                           const wf_plan_kv *kv)
{
    uint64_t fit = wf_plan_concurrency(kv, spec->engine.page_tokens, f->mean_tokens);
    uint64_t rows = (uint64_t)spec->engine.max_rows;
    size_t n_read = spec->requests.n - wf_text_job_waiting(spec);
    printf("requests  %" PRIu64 " in %zu shard%s, %" PRIu64 " prompt token%s\n", f->n_rows, n_read,
           WF_S(n_read), f->n_prompt_tokens, WF_S(f->n_prompt_tokens));
    if (n_read < spec->requests.n)
        printf("  text      %zu prompts file%s, which the run will encode\n",
               spec->requests.n - n_read, WF_S(spec->requests.n - n_read));
    if (f->n_sampled == 0) return;
    printf("  mean      %.0f tokens (prompt + most to generate, of the first %" PRIu64 " row%s)\n",
           f->mean_tokens, f->n_sampled, WF_S(f->n_sampled));
    printf("  at once   %" PRIu64 " per group, %" PRIu64 " in all (KV holds %" PRIu64
           ", engine.max_rows %" PRIu64 ")\n",
           fit < rows ? fit : rows, (fit < rows ? fit : rows) * (uint64_t)plan->n_groups, fit,
           rows);
}

// ---- all together -------------------------------------------------------------------------------

// A shard may ask for what the job does not: penalties and logprobs take memory.
static wf_plan_needs needs_of(const wf_jobspec *spec, const stream_facts *facts)
{
    const uint32_t penalties = 1u << WF_SAMPLING_repetition_penalty |
                               1u << WF_SAMPLING_presence_penalty |
                               1u << WF_SAMPLING_frequency_penalty;
    wf_plan_needs needs = wf_plan_needs_of(&spec->sampling);
    if (facts->sampling_columns & penalties) needs.penalties = true;
    if (facts->sampling_columns & 1u << WF_SAMPLING_logprobs) needs.n_top = 20;
    return needs;
}

// With its weights where a run would read them; a plan is made without them as well.
static wf_status model_open(const wf_jobspec *spec, wf_hf_folder **out)
{
    if (spec->model.weights == WF_SPEC_WEIGHTS_FILE) {
        if (wf_hf_folder_open(spec->model.path, true, out) == WF_OK) return WF_OK;
        wf_warn("a run would not start: %s", wf_error());
    }
    return wf_hf_folder_open(spec->model.path, false, out);
}

static wf_status model_read(const wf_jobspec *spec, wf_arch *arch)
{
    wf_hf_folder *folder = NULL;
    WF_TRY(model_open(spec, &folder));
    wf_status st = wf_arch_read(folder, spec->model.trust_config, arch);
    if (st == WF_OK) st = wf_arch_check_tp(arch, spec->parallel.tensor);
    if (st == WF_OK && spec->engine.max_context > arch->max_context) {
        st = wf_fail(WF_CONFIG, "engine.max_context: %d is beyond the model's %d",
                     spec->engine.max_context, arch->max_context);
    }
    wf_hf_folder_close(&folder);
    return st;
}

static void print_head(const wf_jobspec *spec, const wf_arch *arch, const wf_backend_info *info)
{
    printf("job       %s\nmodel     %s (%s, %d layers, %s)\nback end  %s: %s\n", spec->job,
           spec->model.path, arch->family->name, arch->n_layers,
           wf_dtype_name(info->numerics.weight), info->name, info->device);
    print_devices(info->host_memory);
}

static wf_status plan_print(const wf_cli *cli, const wf_jobspec *spec)
{
    stream_facts facts = {0};
    wf_backend_info info = {0};
    wf_arch arch;
    wf_plan *plan = NULL;
    extent e = {0};
    wf_plan_memory memory;
    wf_plan_kv kv;
    char remarks[320];
    WF_TRY(facts_collect(spec, &facts)); // forks: before back ends start threads
    WF_TRY(model_read(spec, &arch));
    WF_TRY(wf_cli_has(cli, "device-memory") ? device_imagine(cli, &info) : device_ask(spec, &info));
    WF_TRY(wf_plan_numerics(spec, &arch, info.name, &info.numerics));
    WF_TRY(size_option(cli, "memory", &info.free_bytes));
    WF_TRY(extent_of(cli, spec, info.host_memory, &e));
    WF_TRY(placement_make(&e, spec, &plan));

    wf_plan_device device = {.free_bytes = info.free_bytes,
                             .n_sharing = n_sharing(plan, info.host_memory),
                             .host = info.host_memory,
                             .num = info.numerics};
    wf_plan_needs needs = needs_of(spec, &facts);
    wf_status st = wf_plan_model_memory(spec, &arch, &device, &needs, &memory);
    if (st != WF_OK) {
        wf_plan_destroy(&plan);
        return st;
    }
    print_head(spec, &arch, &info);
    printf("placement %d rank%s on %d node%s (%s)\n", e.n_ranks, WF_S(e.n_ranks), e.n_nodes,
           WF_S(e.n_nodes), e.why);
    print_groups(plan);
    if (wf_plan_model_remarks(spec, &arch, remarks, sizeof remarks)[0])
        printf("  note: %s\n", remarks);
    st = wf_plan_kv_capacity(&memory, &kv);
    if (st == WF_OK) {
        print_memory(&memory, &kv, info.numerics.kv);
        print_requests(spec, &facts, plan, &kv);
    }
    wf_plan_destroy(&plan);
    return st;
}

wf_status wf_cmd_plan(const wf_cli *cli)
{
    wf_jobspec *spec = NULL;
    WF_TRY(wf_jobfile_load(cli, true, &spec));
    wf_status st = plan_print(cli, spec);
    wf_jobspec_destroy(&spec);
    return st;
}
