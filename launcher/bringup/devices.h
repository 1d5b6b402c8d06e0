// Which rank computes on which device: a decision from what each rank sees.
//
//   all ranks of a node see the same devices      rank i of the node takes device i
//   each sees devices of its own (masked)         each takes its first; the remedy is said
//   several see the same one, or counts differ    refused, in one line
//
// Devices are told apart by their UUIDs, not by their numbers: a mask makes every rank's device
// number 0. Pure. All Local.
#ifndef WF_LAUNCHER_DEVICES_H
#define WF_LAUNCHER_DEVICES_H

#include <stdint.h>

#include "io/base/status.h"

enum { WF_SIGHT_DEVICES = 32 };

// What one rank sees; of fixed size, as it travels between ranks.
typedef struct wf_device_sight {
    int32_t node, slot; // slot: which of its node's places for ranks this one has
    int32_t n;          // devices; 0: none that it could use
    int32_t pad;
    uint64_t id[WF_SIGHT_DEVICES];
    char host[64], visible[64]; // visible: CUDA_VISIBLE_DEVICES, "" when not set
} wf_device_sight;

typedef enum wf_device_need {
    WF_DEVICES_IF_ANY, // parallel.backend: auto
    WF_DEVICES_MUST    // parallel.backend: cuda
} wf_device_need;

enum { WF_DEVICE_REMARK = 512 };

// device: [n_ranks] local device number of each rank, -1 for all where no rank sees any. `remark`:
// what a person must hear although the job can run, "" when nothing. WF_DEVICE with hosts, cause
// and remedy when the ranks cannot have a device each.
wf_status wf_devices_assign(const wf_device_sight *sight, int n_ranks, wf_device_need need,
                            int *device, char remark[WF_DEVICE_REMARK]);

#endif
