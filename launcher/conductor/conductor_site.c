// Nodes and places. See conductor_site.h.
#include "launcher/conductor/conductor_site.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/log.h"
#include "launcher/bringup/device_files.h"
#include "slurm/command.h"

#define NODE_PATIENCE_NS (20 * WF_NS_PER_S)

bool wf_site_suits(const wf_jobspec *spec, int n_ranks)
{
    if (spec->parallel.layout != WF_SPEC_LAYOUT_AUTO)
        return spec->parallel.layout == WF_SPEC_LAYOUT_GROUPS;
    return spec->arrivals.mode == WF_SPEC_OFFLINE && n_ranks > spec->parallel.tensor &&
           !spec->slurm.container[0];
}

static int number_from(const char *name)
{
    const char *text = getenv(name);
    int n = text ? atoi(text) : 0;
    return n > 0 ? n : 0;
}

// Devices of this host by their files: asking the driver would keep a part of each for ourselves.
static int devices_here(void)
{
    return wf_devices_visible(getenv("CUDA_VISIBLE_DEVICES"), wf_device_files_count(NULL));
}

static bool wants_devices(const wf_jobspec *spec)
{
    return spec->parallel.backend == WF_SPEC_BACKEND_AUTO ||
           spec->parallel.backend == WF_SPEC_BACKEND_CUDA;
}

static int places_of_node(const wf_jobspec *spec, const wf_site *site)
{
    int tensor = spec->parallel.tensor, n_nodes = (int)site->nodes.n;
    int64_t asked = (int64_t)spec->parallel.replicas * tensor;
    int devices = 0, tasks = site->slurm ? number_from("SLURM_NTASKS_PER_NODE") : 0;
    if (wants_devices(spec)) {
        devices = site->slurm ? number_from("SLURM_GPUS_ON_NODE") : devices_here();
        if (site->slurm && devices == 0) devices = spec->slurm.gpus_per_node;
    }
    if (tasks > 0) return tasks;
    if (!site->slurm && asked > 0) return (int)asked;
    if (devices > 0) return devices;
    if (asked > 0) return (int)((asked + n_nodes - 1) / n_nodes);
    return tensor;
}

static wf_status nodes_find(const wf_slurm_env *slurm, wf_site *site)
{
    char host[HOST_NAME_MAX + 1] = "localhost";
    site->slurm = slurm->present && !slurm->in_step && slurm->node_list[0];
    if (site->slurm) return wf_slurm_nodes_expand(slurm->node_list, &site->nodes);
    gethostname(host, sizeof host - 1);
    WF_TRY(wf_alloc(1, sizeof *site->nodes.name, &site->nodes.name));
    WF_TRY(wf_strdup(host, &site->nodes.name[0]));
    site->nodes.n = 1;
    return WF_OK;
}

// srun says a line about --cpu-bind for every step where the site has no plug-in that could bind;
// so it is not given there. Yes where Slurm does not say.
static bool site_binds(void)
{
    static const char *const argv[] = {"scontrol", "show", "config", NULL};
    wf_slurm_answer answer;
    if (wf_slurm_command(argv, NODE_PATIENCE_NS, &answer) != WF_OK) return true;
    const char *line = answer.exit_code == 0 ? strstr(answer.out, "\nTaskPlugin ") : NULL;
    size_t n = line ? strcspn(line + 1, "\n") : 0;
    bool binds = !line || memmem(line + 1, n, "affinity", strlen("affinity"));
    wf_slurm_answer_free(&answer);
    return binds;
}

static wf_status places_make(wf_site *site, int per_node)
{
    size_t n = site->nodes.n * (size_t)per_node;
    WF_TRY(wf_alloc(site->nodes.n, sizeof *site->n_of_node, &site->n_of_node));
    WF_TRY(wf_alloc(n, sizeof *site->place, &site->place));
    site->n_places = (int)n;
    for (int i = 0; i < (int)n; i++) {
        site->place[i] = (wf_place){.node = i / per_node, .local = i % per_node, .group = -1};
        site->n_of_node[i / per_node]++;
    }
    return WF_OK;
}

wf_status wf_site_find(const wf_jobspec *spec, const wf_slurm_env *slurm, wf_site *out)
{
    int *node = NULL;
    *out = (wf_site){0};
    WF_TRY(nodes_find(slurm, out));
    out->binds = out->slurm && site_binds();
    WF_TRY(places_make(out, places_of_node(spec, out)));
    WF_TRY(wf_alloc((size_t)out->n_places, sizeof *node, &node));
    for (int i = 0; i < out->n_places; i++)
        node[i] = out->place[i].node;
    wf_plan_input input = {.n_ranks = out->n_places,
                           .node_of_rank = node,
                           .tensor = spec->parallel.tensor,
                           .replicas = spec->parallel.replicas};
    wf_status st = wf_plan_make(&input, &out->plan);
    free(node);
    return st;
}

void wf_site_free(wf_site *site)
{
    wf_slurm_nodes_free(&site->nodes);
    wf_plan_destroy(&site->plan);
    free(site->n_of_node);
    free(site->place);
    *site = (wf_site){0};
}

bool wf_site_node_answers(const wf_site *site, int node)
{
    const char *name = site->nodes.name[node];
    const char *const argv[] = {"srun",      "--quiet",    "--mpi=none", "--overlap",
                                "--nodes=1", "--ntasks=1", "--nodelist", name,
                                "echo",      "here",       NULL};
    wf_slurm_answer answer;
    if (!site->slurm) return true;
    if (wf_slurm_command(argv, NODE_PATIENCE_NS, &answer) != WF_OK) {
        wf_debug("node %s: %s", name, wf_error());
        return false;
    }
    bool here = answer.exit_code == 0 && strcmp(answer.out, "here") == 0;
    wf_slurm_answer_free(&answer);
    return here;
}
