// hwloc: the cores of this node. See parts.h.
#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <string.h>

#include "launcher/bringup/parts.h"

void wf_hwloc_version(char *text, size_t text_bytes)
{
    unsigned v = hwloc_get_api_version();
    snprintf(text, text_bytes, "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
}

static wf_status topology_load(hwloc_topology_t *out)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0)
        return wf_fail(WF_INTERNAL, "hwloc: cannot start: %s", strerror(errno));
    // Only what is needed: looking for devices takes long on large machines.
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        return wf_fail(WF_INTERNAL, "hwloc: cannot read the machine: %s", strerror(errno));
    }
    *out = topology;
    return WF_OK;
}

static int n_cores_in(hwloc_topology_t topology, hwloc_const_cpuset_t set)
{
    int n = hwloc_get_nbobjs_inside_cpuset_by_type(topology, set, HWLOC_OBJ_CORE);
    // A mask of single hardware threads holds no whole core; a machine may show no cores at all.
    return n > 0 ? n : hwloc_bitmap_weight(set);
}

// The CPUs that may be used, of those near; all when none of them is allowed.
static wf_status allowed_find(hwloc_topology_t topology, const char *near, hwloc_bitmap_t *out)
{
    hwloc_bitmap_t set = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology));
    hwloc_bitmap_t close = hwloc_bitmap_alloc();
    wf_status st = WF_OK;
    if (!set || !close) st = wf_fail(WF_NO_MEMORY, "hwloc: no memory for a CPU mask");
    if (st == WF_OK && near[0] && hwloc_bitmap_list_sscanf(close, near) == 0 &&
        hwloc_bitmap_intersects(set, close)) {
        hwloc_bitmap_and(set, set, close);
    }
    hwloc_bitmap_free(close);
    if (st != WF_OK) {
        hwloc_bitmap_free(set);
        return st;
    }
    *out = set;
    return WF_OK;
}

wf_status wf_cores_count(const char *near, wf_cores *out)
{
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed = NULL;
    WF_TRY(topology_load(&topology));
    wf_status st = allowed_find(topology, near, &allowed);
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (st == WF_OK) out->n = out->n_bound = n_cores_in(topology, allowed);
    if (st == WF_OK && bound && hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0) {
        hwloc_bitmap_and(bound, bound, allowed);
        if (!hwloc_bitmap_iszero(bound)) out->n_bound = n_cores_in(topology, bound);
    }
    hwloc_bitmap_free(bound);
    hwloc_bitmap_free(allowed);
    hwloc_topology_destroy(topology);
    return st;
}

// The CPUs of cores [first, first + n) of `allowed`.
static void cores_collect(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int first, int n,
                          hwloc_bitmap_t out)
{
    int n_cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, allowed, HWLOC_OBJ_CORE);
    hwloc_obj_type_t type = n_cores > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    for (int i = first; i < first + n; i++) {
        hwloc_obj_t core =
            hwloc_get_obj_inside_cpuset_by_type(topology, allowed, type, (unsigned)i);
        if (core) hwloc_bitmap_or(out, out, core->cpuset);
    }
    hwloc_bitmap_and(out, out, allowed);
}

wf_status wf_cores_bind(const char *near, int first, int n)
{
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed = NULL;
    WF_TRY(topology_load(&topology));
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    wf_status st = allowed_find(topology, near, &allowed);
    if (st == WF_OK && !set) st = wf_fail(WF_NO_MEMORY, "hwloc: no memory for a CPU mask");
    if (st == WF_OK) cores_collect(topology, allowed, first, n, set);
    if (st == WF_OK && (hwloc_bitmap_iszero(set) ||
                        hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) != 0)) {
        st = wf_fail(WF_INTERNAL, "hwloc: cannot bind to cores %d-%d: %s", first, first + n - 1,
                     strerror(errno));
    }
    hwloc_bitmap_free(allowed);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(topology);
    return st;
}

char *wf_cores_bound(char *text, size_t text_bytes)
{
    hwloc_topology_t topology;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    text[0] = '\0';
    if (set && topology_load(&topology) == WF_OK) {
        if (hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) == 0)
            hwloc_bitmap_list_snprintf(text, text_bytes, set);
        hwloc_topology_destroy(topology);
    }
    hwloc_bitmap_free(set);
    return text;
}
