// Bring-up and agreement. See world.h.
#include "launcher/world.h"

#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/log.h"
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
    if (world->mpi) { // the others may wait for this rank for ever
        wf_say_error("%s", wf_error());
        wf_world_abort(world, st);
    }
    wf_world_stop(&world);
    return st;
}

// A rank's end: its status, and whether it knows the cause.
typedef struct {
    int32_t status, knows;
} end_word;

wf_status wf_world_agree(const wf_world *world, wf_status status)
{
    end_word own = {(int32_t)status, status != WF_OK && wf_error()[0] != '\0'}, *all;
    WF_TRY(wf_alloc((size_t)world->size, sizeof *all, &all));
    wf_status st = world->comm->ops->all_gather(world->comm, NULL, &own, sizeof own, all);
    int speaker = -1;
    for (int r = world->size - 1; st == WF_OK && r >= 0; r--) {
        if (all[r].status == WF_OK) continue;
        if (speaker < 0 || all[r].knows || !all[speaker].knows) speaker = r;
    }
    if (speaker >= 0) {
        st = (wf_status)all[speaker].status;
        if (speaker != world->rank) wf_fail(st, "%s", "");
    }
    free(all);
    return st;
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
