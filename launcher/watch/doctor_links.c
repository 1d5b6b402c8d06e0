// Links between ranks and the clocks of hosts. See doctor.h.
//
// Pairs are measured side by side, as a job would use them: near ones all at once, then every
// second link of the ring of nodes, then the others.
#include <dirent.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/comm/comm_nccl.h"
#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "jobs/spec/plan.h"
#include "launcher/watch/doctor.h"

enum { BATCHES = 3, PINGS = 50, BLOCK_BYTES = 8 << 20 };

// ---- what a link should give --------------------------------------------------------------------

// Speed of an interface that is up, in Gb/s; 0 where it does not say. By ioctl and not by sysfs,
// which shows a container the interfaces of its host.
static double ethernet_speed(int fd, const char *name)
{
    struct ethtool_cmd command = {.cmd = ETHTOOL_GSET};
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0 || request.ifr_flags & IFF_LOOPBACK ||
        !(request.ifr_flags & IFF_RUNNING)) {
        return 0;
    }
    request.ifr_data = (char *)&command;
    if (ioctl(fd, SIOCETHTOOL, &request) != 0) return 0;
    uint32_t mbits = ethtool_cmd_speed(&command);
    return mbits == (uint32_t)SPEED_UNKNOWN ? 0 : (double)mbits / 1000;
}

static double fastest_ethernet(char name[64])
{
    double best = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *i = all; fd >= 0 && i && i->if_index != 0; i++) {
        double gbits = ethernet_speed(fd, i->if_name);
        if (gbits <= best) continue;
        best = gbits;
        snprintf(name, 64, "%.60s", i->if_name);
    }
    if (all) if_freenameindex(all);
    if (fd >= 0) close(fd);
    return best;
}

static double fastest_infiniband(char name[64])
{
    char path[PATH_MAX], text[64];
    double best = 0;
    DIR *folder = opendir("/sys/class/infiniband");
    for (struct dirent *e; folder && (e = readdir(folder)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/sys/class/infiniband/%s/ports/1/rate", e->d_name);
        double gbits = wf_file_line(path, "", text, sizeof text) ? strtod(text, NULL) : 0;
        if (gbits <= best) continue;
        best = gbits;
        snprintf(name, 64, "%.60s", e->d_name);
    }
    if (folder) closedir(folder);
    return best;
}

static double fastest_link(char name[64])
{
    char other[64] = "";
    name[0] = '\0';
    double ethernet = fastest_ethernet(name), infiniband = fastest_infiniband(other);
    if (infiniband <= ethernet) return ethernet;
    memcpy(name, other, 64);
    return infiniband;
}

// ---- a pair -------------------------------------------------------------------------------------

// Half of what is broadcast goes one way, half the other. Best of a few batches.
static wf_status ping(wf_comm *pair, double *out_us)
{
    int64_t word = 0, best_ns = INT64_MAX;
    for (int b = 0; b <= BATCHES; b++) { // the first warms up
        WF_TRY(pair->ops->barrier(pair));
        int64_t t0 = wf_clock_ns();
        for (int i = 0; i < PINGS; i++) {
            WF_TRY(pair->ops->broadcast(pair, &word, sizeof word, 0));
            WF_TRY(pair->ops->broadcast(pair, &word, sizeof word, 1));
        }
        int64_t took_ns = wf_clock_ns() - t0;
        if (b > 0 && took_ns < best_ns) best_ns = took_ns;
    }
    *out_us = (double)best_ns / PINGS / 1e3;
    return WF_OK;
}

static wf_status stream(wf_comm *pair, double *out_gb_s)
{
    char *block;
    int64_t best_ns = INT64_MAX;
    wf_status st = WF_OK;
    WF_TRY(wf_alloc(BLOCK_BYTES, 1, &block));
    for (int b = 0; b <= BATCHES && st == WF_OK; b++) {
        int64_t word = 0;
        st = pair->ops->barrier(pair);
        int64_t t0 = wf_clock_ns();
        if (st == WF_OK) st = pair->ops->broadcast(pair, block, BLOCK_BYTES, 0);
        if (st == WF_OK) st = pair->ops->broadcast(pair, &word, sizeof word, 1); // it has arrived
        int64_t took_ns = wf_clock_ns() - t0;
        if (b > 0 && took_ns < best_ns) best_ns = took_ns;
    }
    free(block);
    *out_gb_s = (double)BLOCK_BYTES / (double)best_ns;
    return st;
}

// Measures the pair that this rank is of, with `color` below 0: none. The pair's first rank tells.
static wf_status pair_measure(const wf_world *world, int color, bool near, const char *place,
                              wf_measures *out)
{
    wf_comm *pair = NULL;
    double us = 0, gb_s = 0;
    char name[64];
    WF_TRY(world->comm->ops->split(world->comm, color, world->rank, &pair));
    wf_status st = WF_OK;
    if (pair && pair->size == 2) {
        st = ping(pair, &us);
        if (st == WF_OK) st = stream(pair, &gb_s);
        if (st == WF_OK && pair->rank == 0) {
            wf_measure_add(out, near ? WF_CHECK_MPI_NEAR : WF_CHECK_MPI_FAR, us, place);
            wf_measure_add(out, near ? WF_CHECK_MPI_NEAR_RATE : WF_CHECK_MPI_FAR_RATE, gb_s, place);
            wf_measure *rate = &out->item[out->n - 1];
            double gbits = near ? 0 : fastest_link(name);
            rate->reference = gbits / 8;
            if (gbits > 0) snprintf(rate->note, sizeof rate->note, "%s: %.0f Gb/s", name, gbits);
        }
    }
    wf_comm_destroy(pair);
    return st;
}

static wf_status near_pairs(const wf_world *world, wf_measures *out)
{
    char place[96];
    int node = world->node_of_rank[world->rank];
    snprintf(place, sizeof place, "%s, ranks %d and the next", world->host[node], world->rank);
    return pair_measure(world, world->local < 2 ? node : -1, true, place, out);
}

// Links (0,1) (2,3) ... of the ring of nodes, or (1,2) (3,4) ...
static wf_status far_pairs(const wf_world *world, int odd, wf_measures *out)
{
    char place[160];
    int n = world->n_nodes, node = world->node_of_rank[world->rank];
    int first = (node - odd + n) % n / 2 * 2 + odd; // the pair's first node
    bool paired = first < n && (first + 1 < n || (odd && n % 2 == 0));
    if (odd && n == 2) paired = false; // it is the same link
    int second = (first + 1) % n;
    bool ours = paired && world->local == 0 && (node == first || node == second);
    snprintf(place, sizeof place, "%s - %s", world->host[first % n], world->host[second]);
    place[95] = '\0';
    return pair_measure(world, ours ? first : -1, false, place, out);
}

// ---- groups -------------------------------------------------------------------------------------

static wf_status group_make(const wf_world *world, int tensor, wf_comm **out)
{
    wf_plan *plan = NULL;
    wf_plan_input input = {.n_ranks = world->size,
                           .node_of_rank = world->node_of_rank,
                           .tensor = tensor < world->size ? tensor : world->size};
    WF_TRY(wf_plan_make(&input, &plan));
    const wf_plan_rank *me = &plan->rank[world->rank];
    wf_status st = world->comm->ops->split(world->comm, me->group, me->position, out);
    wf_plan_destroy(&plan);
    return st;
}

// Sums `n` floats among the group, in microseconds; `be` NULL: on the host.
static wf_status sum_time(wf_comm *c, wf_comm *control, wf_backend *be, size_t n_bytes,
                          double *out_us)
{
    enum { TIMES = 10 };
    void *data = NULL;
    wf_event *event = NULL;
    int64_t best_ns = INT64_MAX;
    wf_status st;
    if (be)
        st = be->ops->alloc(be, n_bytes, &data);
    else
        st = wf_alloc(n_bytes, 1, &data);
    wf_dtype dtype = be ? WF_BF16 : WF_F32;
    int64_t n = (int64_t)(n_bytes / wf_dtype_bytes(dtype));
    if (st == WF_OK && be) st = be->ops->event_create(be, &event);
    for (int b = 0; b <= BATCHES && st == WF_OK; b++) {
        st = control->ops->barrier(control);
        int64_t t0 = wf_clock_ns();
        for (int i = 0; i < TIMES && st == WF_OK; i++)
            st = c->ops->all_reduce(c, NULL, data, n, dtype);
        if (st == WF_OK && be) st = be->ops->event_record(be, event, NULL);
        if (st == WF_OK && be) st = be->ops->event_sync(be, event);
        int64_t took_ns = wf_clock_ns() - t0;
        if (b > 0 && took_ns < best_ns) best_ns = took_ns;
    }
    if (event) be->ops->event_destroy(be, event);
    if (be)
        be->ops->free(be, data);
    else
        free(data);
    *out_us = (double)best_ns / TIMES / 1e3;
    return st;
}

// Bandwidth as NCCL counts it: what each rank must send and receive at least.
static double bus_gb_s(size_t n_bytes, int n_ranks, double us)
{
    return (double)n_bytes * 2 * (n_ranks - 1) / n_ranks / us / 1e3;
}

static wf_status group_sums(const wf_world *world, wf_comm *group, wf_comm *data, wf_backend *be,
                            wf_measures *out)
{
    size_t small = 64 << 10, large = be ? 64 << 20 : 16 << 20;
    double small_us = 0, large_us = 0;
    char place[96];
    WF_TRY(sum_time(data, group, be, small, &small_us));
    WF_TRY(sum_time(data, group, be, large, &large_us));
    if (group->rank != 0) return WF_OK;
    snprintf(place, sizeof place, "%d ranks from rank %d on %s", group->size, world->rank,
             world->host[world->node_of_rank[world->rank]]);
    wf_measure_add(out, be ? WF_CHECK_NCCL_SMALL : WF_CHECK_SUM_SMALL, small_us, place);
    wf_measure_add(out, be ? WF_CHECK_NCCL_LARGE : WF_CHECK_SUM_LARGE,
                   bus_gb_s(large, group->size, large_us), place);
    return WF_OK;
}

static wf_status nccl_sums(const wf_world *world, wf_comm *group, int device, wf_measures *out)
{
    wf_backend *be = NULL;
    wf_comm *nccl = NULL;
    wf_backend_config config = {
        .device = device, .n_threads = 1, .numerics = wf_numerics_of(WF_BF16)};
    wf_status st = wf_backend_create("cuda", &config, &be);
    if (st == WF_OK) {
        st = wf_comm_nccl_create(group, be, &(wf_comm_nccl_config){.sums = WF_COMM_SUMS_NCCL},
                                 &nccl);
    }
    if (st == WF_OK) st = group_sums(world, group, nccl, be, out);
    wf_comm_destroy(nccl);
    wf_backend_destroy(be);
    return st;
}

static wf_status groups_measure(const wf_world *world, int tensor, int device, wf_measures *out)
{
    wf_comm *group = NULL;
    WF_TRY(group_make(world, tensor, &group));
    wf_status st = WF_OK;
    if (group && group->size > 1) {
        st = group_sums(world, group, group, NULL, out);
        if (st == WF_OK && device >= 0) st = nccl_sums(world, group, device, out);
    }
    st = wf_world_agree(world, st);
    wf_comm_destroy(group);
    return st;
}

// ---- clocks -------------------------------------------------------------------------------------

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Difference of this host's wall clock from rank 0's, a median of several.
static wf_status clock_measure(const wf_world *world, wf_measures *out)
{
    enum { TIMES = 9 };
    double ms[TIMES];
    char place[96];
    int node = world->node_of_rank[world->rank];
    for (int i = 0; i < TIMES; i++) {
        WF_TRY(world->comm->ops->barrier(world->comm));
        int64_t mine = wf_clock_unix_ns(), theirs = mine;
        WF_TRY(world->comm->ops->broadcast(world->comm, &theirs, sizeof theirs, 0));
        ms[i] = (double)(mine > theirs ? mine - theirs : theirs - mine) / 1e6;
    }
    qsort(ms, TIMES, sizeof ms[0], by_size);
    snprintf(place, sizeof place, "%s", world->host[node]);
    if (world->local == 0 && node != 0) wf_measure_add(out, WF_CHECK_CLOCK, ms[TIMES / 2], place);
    return WF_OK;
}

wf_status wf_doctor_links(const wf_world *world, int tensor, int device, wf_measures *out)
{
    if (world->size == 1) return WF_OK;
    WF_TRY(near_pairs(world, out));
    for (int odd = 0; odd < 2 && world->n_nodes > 1; odd++)
        WF_TRY(far_pairs(world, odd, out));
    WF_TRY(groups_measure(world, tensor, device, out));
    return world->n_nodes > 1 ? clock_measure(world, out) : WF_OK;
}
