// Bring-up and agreement. See world.h.
#include "launcher/bringup/world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/log.h"
#include "launcher/bringup/parts.h"

// What each rank tells the others about its node.
typedef struct {
    uint32_t has_pmix, leader;
    wf_pmix_place pmix;
    char host[WF_HOST_MAX];
} node_word;

static uint32_t key_of(const node_word *word, bool pmix)
{
    return pmix ? word->pmix.node : word->leader;
}

// Numbers nodes in the order of their lowest ranks.
static wf_status nodes_number(wf_world *world, const node_word *word, bool pmix)
{
    WF_TRY(wf_alloc((size_t)world->size, sizeof *world->host, &world->host));
    for (int r = 0; r < world->size; r++) {
        int first = 0;
        while (key_of(&word[first], pmix) != key_of(&word[r], pmix))
            first++;
        world->node_of_rank[r] = first == r ? world->n_nodes++ : world->node_of_rank[first];
        memcpy(world->host[world->node_of_rank[r]], word[first].host, WF_HOST_MAX);
    }
    for (int r = 0; r < world->size; r++) {
        if (world->node_of_rank[r] != world->node_of_rank[world->rank]) continue;
        world->local += r < world->rank;
        world->n_local++;
    }
    return WF_OK;
}

// True when every rank has a word from PMIx and the words agree: the size of the job is ours, and
// the ranks of a node are as many as each of them says.
static bool pmix_agrees(const wf_world *world, const node_word *word)
{
    for (int r = 0; r < world->size; r++) {
        uint32_t n = 0;
        if (!word[r].has_pmix || word[r].pmix.job_size != (uint32_t)world->size) return false;
        for (int q = 0; q < world->size; q++)
            n += word[q].pmix.node == word[r].pmix.node;
        if (n != word[r].pmix.local_size || word[r].pmix.local_rank >= n) return false;
    }
    return true;
}

static bool pmix_is_there(const wf_world *world, const node_word *word)
{
    bool there = false;
    for (int r = 0; r < world->size; r++)
        there = there || word[r].has_pmix;
    return there;
}

static wf_status nodes_find(wf_world *world)
{
    node_word own = {0}, *word = NULL;
    int leader = 0;
    wf_status st = WF_OK;
    world->placement = "alone";
    gethostname(own.host, sizeof own.host - 1);
    if (world->mpi) {
        st = wf_mpi_node_leader(&leader);
        own.leader = (uint32_t)leader;
        own.has_pmix = st == WF_OK && wf_pmix_place_get(&own.pmix);
        WF_TRY(st);
    }
    WF_TRY(wf_alloc((size_t)world->size, sizeof *word, &word));
    st = world->comm->ops->all_gather(world->comm, NULL, &own, sizeof own, word);
    if (st == WF_OK) {
        bool pmix = world->mpi && pmix_agrees(world, word);
        if (pmix) {
            world->placement = "PMIx";
        } else if (world->mpi) {
            world->placement = pmix_is_there(world, word)
                                   ? "MPI shared memory; what PMIx says does not agree"
                                   : "MPI shared memory; there is no PMIx";
        }
        st = nodes_number(world, word, pmix);
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
    free((*world)->host);
    free(*world);
    *world = NULL;
}
