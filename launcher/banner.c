// The first lines of a job's log. See banner.h.
#include "launcher/banner.h"

#include <inttypes.h>

#include "io/base/log.h"

static void print_batch_job(const wf_banner *b)
{
    char left[64] = "no time limit known";
    if (!b->slurm->present) return;
    if (b->left_s >= 0) {
        snprintf(left, sizeof left, "%" PRId64 ":%02" PRId64 ":%02" PRId64 " left",
                 b->left_s / 3600, b->left_s / 60 % 60, b->left_s % 60);
    }
    wf_info("slurm job %" PRId64 ", restart %" PRId64 ", %s", b->slurm->job_id, b->slurm->restarts,
            left);
}

static void print_groups(const wf_plan *plan)
{
    enum { SHOWN = 16 };
    char text[256];
    for (int g = 0; g < plan->n_groups && g < SHOWN && plan->n_ranks > 1; g++) {
        wf_info("  group %d: %s", g, wf_plan_group_text(plan, g, text, sizeof text));
    }
    if (plan->n_groups > SHOWN) wf_info("  ... and %d more groups", plan->n_groups - SHOWN);
    if (wf_plan_remarks(plan, text, sizeof text)[0]) wf_warn("%s", text);
}

void wf_banner_print(const wf_banner *b)
{
    const wf_plan *plan = b->plan;
    wf_info("weft %s: job %s, configuration %016" PRIx64, b->versions->weft, b->spec->job,
            b->config_hash);
    wf_debug("mpi %s, pmix %s, hwloc %s, hdf5 %s, cuda %s, nccl %s", b->versions->mpi,
             b->versions->pmix, b->versions->hwloc, b->versions->hdf5, b->versions->cuda,
             b->versions->nccl);
    print_batch_job(b);
    wf_info("%d rank%s on %d node%s (%s): %d group%s of %d, %d thread%s per rank%s", plan->n_ranks,
            plan->n_ranks == 1 ? "" : "s", plan->n_nodes, plan->n_nodes == 1 ? "" : "s",
            b->world->placement, plan->n_groups, plan->n_groups == 1 ? "" : "s", plan->tensor,
            b->threads.threads, b->threads.threads == 1 ? "" : "s",
            b->threads.n_bind > 0 ? ", bound to cores" : "");
    print_groups(plan);
    wf_info("%zu shard%s -> %s", b->spec->requests.n, b->spec->requests.n == 1 ? "" : "s",
            b->spec->output.dir);
}
