// Ranks and devices. See devices.h.
#include "launcher/bringup/devices.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool sees(const wf_device_sight *s, uint64_t id)
{
    for (int i = 0; i < s->n; i++)
        if (s->id[i] == id) return true;
    return false;
}

static int n_common(const wf_device_sight *a, const wf_device_sight *b)
{
    int n = 0;
    for (int i = 0; i < a->n; i++)
        n += sees(b, a->id[i]);
    return n;
}

static bool same_order(const wf_device_sight *a, const wf_device_sight *b)
{
    return a->n == b->n && memcmp(a->id, b->id, (size_t)a->n * sizeof a->id[0]) == 0;
}

// What two ranks of a node say to each other.
typedef struct {
    int n_ranks;
    bool all_same, all_apart;
    int other; // a rank that sees another number of devices than the first; -1: none
} node_view;

static node_view node_look(const wf_device_sight *sight, int n_ranks, int first)
{
    node_view v = {.all_same = true, .all_apart = true, .other = -1};
    for (int r = first; r < n_ranks; r++) {
        if (sight[r].node != sight[first].node) continue;
        v.n_ranks++;
        if (sight[r].n != sight[first].n && v.other < 0) v.other = r;
        if (!same_order(&sight[first], &sight[r])) v.all_same = false;
        for (int q = first; q < r; q++)
            if (sight[q].node == sight[first].node && n_common(&sight[q], &sight[r]) > 0)
                v.all_apart = false;
    }
    return v;
}

static const char *visible_of(const wf_device_sight *s)
{
    return s->visible[0] ? s->visible : "not set";
}

static wf_status too_few(const wf_device_sight *s, int n_ranks)
{
    if (s->n == 1) {
        return wf_fail(WF_DEVICE,
                       "%s: %d ranks see the same single device (CUDA_VISIBLE_DEVICES %s): a rank "
                       "needs a device of its own; ask for --gpus-per-node=%d without "
                       "--gpus-per-task, or start --ntasks-per-node=1",
                       s->host, n_ranks, visible_of(s), n_ranks);
    }
    return wf_fail(WF_DEVICE,
                   "%s: %d ranks but %d devices (CUDA_VISIBLE_DEVICES %s): start one task per "
                   "device (--ntasks-per-node=%d), or ask for --gpus-per-node=%d",
                   s->host, n_ranks, s->n, visible_of(s), s->n, n_ranks);
}

static wf_status mixed(const wf_device_sight *sight, int first, int other)
{
    return wf_fail(
        WF_DEVICE,
        "%s: its ranks see different devices: rank %d %d (CUDA_VISIBLE_DEVICES %s), rank "
        "%d %d (%s): all must see all of the node's; ask for --gpus-per-node and no "
        "--gpus-per-task, and set no CUDA_VISIBLE_DEVICES per rank",
        sight[first].host, first, sight[first].n, visible_of(&sight[first]), other, sight[other].n,
        visible_of(&sight[other]));
}

static void say_masked(const wf_device_sight *s, const node_view *v, char *remark)
{
    snprintf(
        remark, WF_DEVICE_REMARK,
        "%s: each of its %d ranks sees %s of its own (CUDA_VISIBLE_DEVICES differs: "
        "--gpus-per-task or --gpu-bind does that), so NCCL cannot find NVLink between them and "
        "sums go through host memory; ask for #SBATCH --gpus-per-node=%d and no "
        "--gpus-per-task",
        s->host, v->n_ranks, s->n == 1 ? "one device" : "devices", s->n * v->n_ranks);
}

// Some rank of the node that sees other devices than its first one.
static int another(const wf_device_sight *sight, int n_ranks, int first)
{
    for (int r = first + 1; r < n_ranks; r++)
        if (sight[r].node == sight[first].node && !same_order(&sight[first], &sight[r])) return r;
    return first;
}

static wf_status node_assign(const wf_device_sight *sight, int n_ranks, int first, int *device,
                             char *remark)
{
    node_view v = node_look(sight, n_ranks, first);
    bool masked = v.n_ranks > 1 && v.all_apart;
    int n_most = 0; // slots of groups that are worlds of their own may be beyond our ranks
    for (int r = first; r < n_ranks; r++)
        if (sight[r].node == sight[first].node && sight[r].slot >= n_most)
            n_most = sight[r].slot + 1;
    if (v.other >= 0) return mixed(sight, first, v.other);
    if (!masked && !v.all_same) return mixed(sight, first, another(sight, n_ranks, first));
    if (!masked && n_most > sight[first].n) return too_few(&sight[first], n_most);
    for (int r = first; r < n_ranks; r++)
        if (sight[r].node == sight[first].node) device[r] = masked ? 0 : sight[r].slot;
    if (masked && !remark[0]) say_masked(&sight[first], &v, remark);
    return WF_OK;
}

static bool is_first_of_node(const wf_device_sight *sight, int r)
{
    for (int q = 0; q < r; q++)
        if (sight[q].node == sight[r].node) return false;
    return true;
}

wf_status wf_devices_assign(const wf_device_sight *sight, int n_ranks, wf_device_need need,
                            int *device, char remark[WF_DEVICE_REMARK])
{
    int with = -1, without = -1;
    remark[0] = '\0';
    for (int r = n_ranks - 1; r >= 0; r--) {
        device[r] = -1;
        if (sight[r].n > 0)
            with = r;
        else
            without = r;
    }
    if (with < 0 && need == WF_DEVICES_IF_ANY) return WF_OK;
    if (with < 0) {
        return wf_fail(WF_DEVICE,
                       "%s: no rank sees a device (CUDA_VISIBLE_DEVICES %s): ask for "
                       "--gpus-per-node, or set parallel.backend: cpu",
                       sight[0].host, visible_of(&sight[0]));
    }
    if (without >= 0) {
        return wf_fail(WF_DEVICE,
                       "rank %d on %s sees no device, rank %d on %s sees %d: ask for the same on "
                       "all nodes (--gpus-per-node), keep %s out (--exclude), or set "
                       "parallel.backend: cpu",
                       without, sight[without].host, with, sight[with].host, sight[with].n,
                       sight[without].host);
    }
    for (int r = 0; r < n_ranks; r++)
        if (is_first_of_node(sight, r)) WF_TRY(node_assign(sight, n_ranks, r, device, remark));
    return WF_OK;
}
