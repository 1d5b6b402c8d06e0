// What ranks see of devices. See device_look.h.
#include "launcher/bringup/device_look.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "launcher/bringup/device_files.h"

static void sight_place(int node, int slot, wf_device_sight *out)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    *out = (wf_device_sight){.node = node, .slot = slot};
    gethostname(out->host, sizeof out->host - 1);
    snprintf(out->visible, sizeof out->visible, "%s", visible ? visible : "");
}

static void sight_fill(const wf_cuda_devices *seen, wf_device_sight *out)
{
    out->n = seen->n < WF_SIGHT_DEVICES ? seen->n : WF_SIGHT_DEVICES;
    for (int i = 0; i < out->n; i++)
        out->id[i] = seen->device[i].id;
}

static void sysfs_line(const char *pci, const char *name, char *text, size_t text_bytes)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", pci, name);
    wf_file_line(path, "", text, text_bytes);
}

void wf_own_device_place(const char *pci, wf_own_device *out)
{
    char numa[32];
    snprintf(out->pci, sizeof out->pci, "%s", pci);
    sysfs_line(pci, "local_cpulist", out->near, sizeof out->near);
    sysfs_line(pci, "numa_node", numa, sizeof numa);
    out->numa = numa[0] ? atoi(numa) : -1;
}

static void own_take(const wf_cuda_devices *seen, int number, wf_own_device *out)
{
    if (number < 0 || number >= seen->n) return;
    out->number = number;
    snprintf(out->name, sizeof out->name, "%s", seen->device[number].name);
    wf_own_device_place(seen->device[number].pci, out);
}

bool wf_devices_idle(void)
{
    return wf_device_files_count(NULL) > 0 &&
           wf_devices_visible(getenv("CUDA_VISIBLE_DEVICES"), 1) > 0;
}

// Nobody means to leave a GPU idle for want of a file.
static wf_status refuse_idle(wf_status st, const wf_own_device *own)
{
    return wf_fail(st,
                   "this node has a GPU and this weft cannot use it: %s; to compute on the CPU all "
                   "the same, set parallel.backend: cpu",
                   own->why);
}

// A rank that cannot list its devices sees none, unless it must have one, or one stands idle since
// this is no whole installation.
static wf_status list(wf_device_need need, wf_cuda_devices *seen, wf_own_device *own)
{
    wf_status st = wf_cuda_list(seen);
    *own = (wf_own_device){.number = -1, .numa = -1};
    if (st == WF_OK) return WF_OK;
    snprintf(own->why, sizeof own->why, "%s", wf_error());
    own->broken = seen->broken || wf_devices_idle();
    seen->n = 0;
    if (need == WF_DEVICES_MUST) return st;
    bool incomplete = st == WF_NOT_BUILT || st == WF_MISMATCH;
    return incomplete && wf_devices_idle() ? refuse_idle(st, own) : WF_OK;
}

wf_status wf_devices_take(const wf_world *world, int slot, wf_device_need need, int *device,
                          wf_own_device *own, char remark[WF_DEVICE_REMARK])
{
    wf_device_sight sight, *all = NULL;
    wf_cuda_devices *seen = NULL;
    wf_status st = wf_alloc(1, sizeof *seen, &seen);
    if (st == WF_OK) st = wf_alloc((size_t)world->size, sizeof *all, &all);
    if (st == WF_OK) st = list(need, seen, own);
    st = wf_world_agree(world, st);
    if (st == WF_OK) {
        sight_place(world->node_of_rank[world->rank], slot, &sight);
        sight_fill(seen, &sight);
        st = world->comm->ops->all_gather(world->comm, NULL, &sight, sizeof sight, all);
    }
    if (st == WF_OK) st = wf_devices_assign(all, world->size, need, device, remark);
    if (st == WF_OK) own_take(seen, device[world->rank], own);
    free(all);
    free(seen);
    return st;
}
