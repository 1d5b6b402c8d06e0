// What computes: the model, its back end, the group's devices, the engine. See runner_internal.h.
#include <inttypes.h>
#include <stdio.h>

#include "engine/comm/comm_nccl.h"
#include "engine/comm/comm_simulated.h"
#include "io/base/fault.h"
#include "io/base/hash.h"
#include "io/base/log.h"
#include "jobs/run/runner_internal.h"
#include "jobs/spec/engine_fit.h"
#include "jobs/spec/plan_model.h"

void wf_simulated_identity(const wf_costs *costs, char out[WF_HF_IDENTITY_MAX])
{
    char text[128];
    int n = snprintf(text, sizeof text, "simulated on %s", wf_costs_of(costs)->name);
    snprintf(out, WF_HF_IDENTITY_MAX, "%016" PRIx64, wf_hash64_of(text, (size_t)n, 0));
}

// ---- stage: model -------------------------------------------------------------------------------

wf_status wf_runner_open_model(wf_runner *r)
{
    char remarks[320], parts[160];
    wf_inputs_model model;
    WF_TRY(wf_inputs_model_open(r->spec, &r->model_folder, &model));
    r->arch = model.arch;
    WF_TRY(wf_plan_numerics(r->spec, &r->arch, NULL, &r->numerics));
    if (r->c->world->rank != 0) return WF_OK;
    if (wf_text_part_words(r->arch.part, r->model_folder, parts, sizeof parts)[0])
        wf_info("model: %s", parts);
    if (wf_plan_model_remarks(r->spec, &r->arch, remarks, sizeof remarks)[0])
        wf_warn("%s", remarks);
    if (r->c->simulation) {
        wf_simulated_identity(r->c->simulation->costs, r->model_identity);
        return WF_OK;
    }
    return wf_hf_folder_identity(r->model_folder, r->model_identity);
}

static wf_status create_simulated(wf_runner *r)
{
    const wf_simulated_config c = {.costs = r->c->simulation->costs,
                                   .numerics = r->numerics,
                                   .time = r->c->simulation->time,
                                   .i_member = wf_runner_member(r)};
    return wf_simulated_create(&c, &r->be);
}

static wf_status create_backend(wf_runner *r)
{
    if (r->c->simulation) return create_simulated(r);
    const char *name = wf_jobspec_backend(r->spec);
    bool device = r->c->plan->rank[r->c->world->rank].device >= 0;
    WF_TRY(wf_plan_numerics(r->spec, &r->arch,
                            name     ? name
                            : device ? "cuda"
                                     : "cpu",
                            &r->numerics));
    wf_backend_config c = {.device = r->c->plan->rank[r->c->world->rank].device,
                           .n_threads = r->c->n_threads,
                           .numerics = r->numerics,
                           .deterministic = r->spec->engine.deterministic};
    // Where the plan gives a device it is there: a rank that fell back to the host would hold up
    // all.
    if (!name) return wf_backend_create(c.device >= 0 ? "cuda" : "cpu", &c, &r->be);
    if (c.device < 0) c.device = r->c->plan->rank[r->c->world->rank].local;
    return wf_backend_create(name, &c, &r->be);
}

wf_status wf_runner_load_model(wf_runner *r)
{
    if (!r->group) return WF_OK;
    wf_model_config c = {.tp_rank = r->group->rank,
                         .tp_size = r->group->size,
                         .dtype = (int)r->numerics.plain,
                         .weights = r->numerics.weight,
                         .max_context = r->spec->engine.max_context,
                         .seed = (uint64_t)r->spec->seed,
                         .stop = wf_drain_level_of(r->c->drain)};
    WF_TRY(create_backend(r));
    if (r->c->profile) WF_TRY(wf_profile_start(r->be, &r->profile));
    WF_TRY(r->be->ops->info(r->be, &r->be_info));
    bool random = r->c->simulation || r->spec->model.weights == WF_SPEC_WEIGHTS_RANDOM;
    return wf_model_load(r->be, &r->arch, random ? NULL : r->model_folder, &c, &r->model);
}

// ---- stage: devices -----------------------------------------------------------------------------

// A group of devices sums over NCCL; its plans go on travelling over the host's communicator.
wf_status wf_runner_join_devices(wf_runner *r)
{
    const wf_runner_simulation *simulation = r->c->simulation;
    if (!r->group || r->group->size == 1) return WF_OK;
    if (simulation)
        return wf_comm_simulated_create(r->group->size, r->be, simulation->costs, &r->nccl);
    if (r->be_info.host_memory) return WF_OK;
    wf_comm_nccl_config c = {.nvls = r->spec->engine.nvls == WF_SPEC_NVLS_AUTO,
                             .deterministic = r->spec->engine.deterministic,
                             .sums = r->spec->engine.all_reduce,
                             .limit_ns = r->spec->parallel.peer_limit_ns,
                             .group = r->i_group};
    return wf_comm_nccl_create(r->group, r->be, &c, &r->nccl);
}

// ---- stage: engine ------------------------------------------------------------------------------

static int ranks_on_my_node(const wf_runner *r)
{
    const wf_plan *p = r->c->plan;
    if (r->c->part) return r->c->part->n_sharing;
    int n = 0, node = p->rank[r->c->world->rank].node;
    for (int i = 0; i < p->n_ranks; i++)
        n += p->rank[i].node == node && p->rank[i].group >= 0;
    return n > 0 ? n : 1;
}

wf_status wf_runner_create_engine(wf_runner *r)
{
    if (!r->group) return WF_OK;
    const wf_jobspec *s = r->spec;
    wf_engine_config c = wf_plan_engine_config(s, &r->needs);
    if (r->c->profiled) c.capture = WF_CAPTURE_OFF;
    if (r->c->simulation) c.expert_load = false; // nobody chooses
    c.clock = wf_runner_clock(r);
    const wf_engine_fit fit = {.spec = s,
                               .model = r->model,
                               .be = r->be,
                               .before = &r->be_info,
                               .n_sharing = r->be_info.host_memory ? ranks_on_my_node(r) : 1,
                               .needs = &r->needs,
                               .group = r->group,
                               .data = r->nccl ? r->nccl : r->group,
                               .speaks = r->leads && r->i_group == 0};
    wf_fault_at(WF_FAULT_ENGINE, 1);
    return wf_engine_fit_create(&fit, &c, &r->engine);
}
