// The first lines of a job's log. See banner.h.
#include "launcher/bringup/banner.h"

#include <inttypes.h>

#include "io/base/log.h"
#include "io/base/text.h"
#include "launcher/bringup/parts.h"

static void print_batch_job(const wf_banner *b)
{
    char left[64] = "no time limit known";
    if (!b->slurm->present) return;
    if (b->left_s >= 0) {
        snprintf(left, sizeof left, "%" PRId64 ":%02" PRId64 ":%02" PRId64 " left",
                 b->left_s / 3600, b->left_s / 60 % 60, b->left_s % 60);
    }
    wf_detail("slurm job %" PRId64 ", restart %" PRId64 ", %s", b->slurm->job_id,
              b->slurm->restarts, left);
}

// "4 nodes: 0 n1, 1 n2, ...": what the numbers of the groups' lines mean.
static void print_nodes(const wf_banner *b)
{
    enum { SHOWN = 16 };
    wf_text text = {0};
    for (int n = 0; n < b->world->n_nodes && n < SHOWN; n++)
        wf_text_printf(&text, "%s%d %s", n ? ", " : "", n, b->world->host[n]);
    if (b->world->n_nodes > SHOWN)
        wf_text_printf(&text, ", ... and %d more", b->world->n_nodes - SHOWN);
    if (text.st == WF_OK && text.n > 0) wf_detail("node%s %s", WF_S(b->world->n_nodes), text.bytes);
    wf_text_free(&text);
}

// Of a group inside a node all lines look alike: the first few tell enough.
static void print_groups(const wf_plan *plan)
{
    enum { SHOWN = 16 };
    char text[256];
    for (int g = 0; g < plan->n_groups && g < SHOWN && plan->n_ranks > 1; g++)
        wf_detail("  group %d: %s", g, wf_plan_group_text(plan, g, text, sizeof text));
    if (plan->n_groups > SHOWN)
        wf_detail("  ... and %d more group%s", plan->n_groups - SHOWN,
                  WF_S(plan->n_groups - SHOWN));
    if (wf_plan_remarks(plan, text, sizeof text)[0]) wf_warn("%s", text);
}

static void print_binding(const wf_banner *b)
{
    char cores[256];
    const wf_own_device *d = b->device;
    wf_cores_bound(cores, sizeof cores);
    if (d->number >= 0) {
        char numa[32] = "";
        if (d->numa >= 0) snprintf(numa, sizeof numa, ", NUMA node %d", d->numa);
        wf_detail("rank 0: device %d %s (%s%s), cores %s%s", d->number, d->name, d->pci, numa,
                  cores[0] ? cores : "not known", b->threads.n_bind > 0 ? ", bound" : "");
    } else {
        wf_detail("rank 0: cores %s%s", cores[0] ? cores : "not known",
                  b->threads.n_bind > 0 ? ", bound" : "");
    }
}

void wf_banner_print(const wf_banner *b)
{
    const wf_plan *plan = b->plan;
    wf_info("job %s: %zu shard%s -> %s", b->spec->job, b->spec->requests.n,
            WF_S(b->spec->requests.n), b->spec->output.dir);
    wf_detail("weft %s" WF_BANNER_MARK "%016" PRIx64, b->versions->weft, b->config_hash);
    wf_detail("mpi %s, pmix %s, hwloc %s, hdf5 %s, cuda %s, nccl %s", b->versions->mpi,
              b->versions->pmix, b->versions->hwloc, b->versions->hdf5, b->versions->cuda,
              b->versions->nccl);
    print_batch_job(b);
    wf_info("%d rank%s on %d node%s (%s): %d group%s of %d, %d thread%s per rank", plan->n_ranks,
            WF_S(plan->n_ranks), plan->n_nodes, WF_S(plan->n_nodes), b->world->placement,
            plan->n_groups, WF_S(plan->n_groups), plan->tensor, b->threads.threads,
            WF_S(b->threads.threads));
    print_nodes(b);
    print_groups(plan);
    print_binding(b);
}
