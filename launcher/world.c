// Bring-up and agreement. See world.h.
#include "launcher/world.h"

#include <stdlib.h>

#include "io/base/arena.h"
#include "launcher/parts.h"

// What each rank tells the others about its node.
typedef struct {
    uint32_t has_pmix, pmix_node, leader;
} node_word;

// Numbers nodes in the order of their lowest ranks; `key` says which word names a node.
static void nodes_number(wf_world *world, const node_word *word, bool pmix)
{
    for (int r = 0; r < world->size; r++) {
        uint32_t key = pmix ? word[r].pmix_node : word[r].leader;
        int first = 0;
        while ((pmix ? word[first].pmix_node : word[first].leader) != key) {
            first++;
        }
        world->node_of_rank[r] = first == r ? world->n_nodes++ : world->node_of_rank[first];
    }
    for (int r = 0; r < world->size; r++) {
        if (world->node_of_rank[r] != world->node_of_rank[world->rank]) continue;
        world->local += r < world->rank;
        world->n_local++;
    }
}

static wf_status nodes_find(wf_world *world)
{
    node_word own = {0}, *word = NULL;
    int leader = 0;
    wf_status st = WF_OK;
    world->placement = "alone";
    if (world->mpi) {
        st = wf_mpi_node_leader(&leader);
        own.leader = (uint32_t)leader;
        own.has_pmix = st == WF_OK && wf_pmix_node(&own.pmix_node);
        WF_TRY(st);
    }
    WF_TRY(wf_alloc((size_t)world->size, sizeof *word, &word));
    st = world->comm->ops->all_gather(world->comm, NULL, &own, sizeof own, word);
    if (st == WF_OK) {
        bool pmix = world->mpi;
        for (int r = 0; r < world->size; r++) {
            pmix = pmix && word[r].has_pmix;
        }
        if (world->mpi) world->placement = pmix ? "PMIx" : "MPI shared memory";
        nodes_number(world, word, pmix);
    }
    free(word);
    return st;
}

wf_status wf_world_start(const wf_start *start, wf_world **out)
{
    wf_world *world;
    wf_status st;
    if (start->kind == WF_START_SRUN_BARE) {
        return wf_fail(WF_USAGE, "srun started several tasks that cannot find each other: use srun "
                                 "--mpi=pmix");
    }
    WF_TRY(wf_alloc(1, sizeof *world, &world));
    world->kind = start->kind;
    if (start->kind != WF_START_ALONE) {
        WF_TRY_TO(failed, wf_mpi_init());
        world->mpi = true;
        WF_TRY_TO(failed, wf_comm_mpi_create(&world->comm));
    } else {
        WF_TRY_TO(failed, wf_comm_self_create(&world->comm));
    }
    world->rank = world->comm->rank;
    world->size = world->comm->size;
    WF_TRY_TO(failed, wf_alloc((size_t)world->size, sizeof(int), &world->node_of_rank));
    WF_TRY_TO(failed, nodes_find(world));
    *out = world;
    return WF_OK;
failed:
    if (world->mpi && world->size > 1) wf_world_abort(world, st);
    wf_world_stop(&world);
    return st;
}

wf_status wf_world_agree(const wf_world *world, wf_status status)
{
    int32_t own = (int32_t)status, *all;
    WF_TRY(wf_alloc((size_t)world->size, sizeof *all, &all));
    wf_status st = world->comm->ops->all_gather(world->comm, NULL, &own, sizeof own, all);
    for (int r = 0; st == WF_OK && r < world->size; r++) {
        if (all[r] == WF_OK) continue;
        st = (wf_status)all[r];
        if (r != world->rank) wf_fail(st, "%s", "");
    }
    free(all);
    return st;
}

wf_status wf_world_worst(const wf_world *world, wf_status status)
{
    // In the order of what the caller of the job must do about them: nothing, look, run it again.
    static const wf_status ends[] = {WF_OK, WF_FAILED_ROWS, WF_DRAINED};
    int64_t own = 0, worst = 0;
    for (int i = 0; i < 3; i++) {
        if (ends[i] == status) own = i;
    }
    WF_TRY(world->comm->ops->max_i64(world->comm, own, &worst));
    return ends[worst];
}

_Noreturn void wf_world_abort(const wf_world *world, wf_status status)
{
    if (world->mpi) wf_mpi_abort(wf_status_exit_code(status));
    _Exit(wf_status_exit_code(status));
}

void wf_world_stop(wf_world **world)
{
    if (!world || !*world) return;
    wf_comm_destroy((*world)->comm);
    if ((*world)->mpi) wf_mpi_finalize();
    free((*world)->node_of_rank);
    free(*world);
    *world = NULL;
}
