// The devices of this host and of all ranks: looked at, and given out.
//
// Listing makes no context and costs no device memory, but it opens the CUDA module and the driver:
// call it after the reader is forked.
#ifndef WF_LAUNCHER_DEVICE_LOOK_H
#define WF_LAUNCHER_DEVICE_LOOK_H

#include "kernels/cuda/module.h"
#include "launcher/bringup/devices.h"
#include "launcher/bringup/world.h"

// What this rank computes on.
typedef struct wf_own_device {
    int number;    // -1: the host
    char name[96]; // "NVIDIA H200"; "" when none
    char pci[WF_CUDA_PCI_MAX];
    int numa;       // its NUMA node; -1: not known
    char near[512]; // CPUs near it, "0-31,64-95"; "" when not known
    char why[256];  // why there is none; "" when there is one
    bool broken;    // there may be one: the driver fails, or is too old
} wf_own_device;

// Where a PCI device is, from sysfs; number and name are left alone. Local.
void wf_own_device_place(const char *pci, wf_own_device *out);

// This host has a GPU that this process may use: it stands idle if we do not take it. By the
// devices' files, so also where there is no driver or module. Local.
bool wf_devices_idle(void);

// Lists what this rank sees and agrees with the others on who takes which device. `slot`: this
// rank's place on its node. device: [world size]. Errors: those of wf_cuda_list where devices are a
// must, WF_NOT_BUILT and WF_MISMATCH also where one would stand idle for want of the module, and
// those of wf_devices_assign; the same on all ranks. Collective.
wf_status wf_devices_take(const wf_world *world, int slot, wf_device_need need, int *device,
                          wf_own_device *own, char remark[WF_DEVICE_REMARK]);

#endif
