// Placement: which ranks form which tensor-parallel group, and how much KV memory each has.
//
//   node 0: r0 r1 r2 r3 | node 1: r4 r5 r6 r7        tensor 2, replicas auto
//   group 0 = r0 r1, group 1 = r2 r3, group 2 = r4 r5, group 3 = r6 r7
//
// A group lies inside one node when it fits there; only when no node holds `tensor` ranks, or when
// more replicas are asked for than fit that way, are groups laid across nodes (fewest nodes first).
// Ranks that are left over stay idle, and the plan says so. Groups are numbered by their lowest
// rank and hold their ranks in rank order; position 0 plans the steps.
//
// Pure: values in, values out; no clock, file, device or rank is touched. All Local.
#ifndef WF_JOBS_SPEC_PLAN_H
#define WF_JOBS_SPEC_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_plan_input {
    int n_ranks;
    const int *node_of_rank; // [n_ranks] node number, from 0; NULL: all on one node
    int n_devices;           // devices a node has; 0: ranks compute on the host
    int tensor;              // ranks per group
    int replicas;            // groups; 0: as many as fit
} wf_plan_input;

typedef struct wf_plan_rank {
    int node;
    int local;    // index among the ranks of its node
    int device;   // local, or -1 without devices
    int group;    // -1: idle
    int position; // in the group
} wf_plan_rank;

typedef struct wf_plan_group {
    int first;   // index of its first rank in wf_plan.member
    int n_nodes; // 1: inside a node
} wf_plan_group;

typedef struct wf_plan {
    int n_ranks, n_nodes, n_groups, n_idle, tensor;
    int n_spanning;       // groups that cross nodes
    wf_plan_rank *rank;   // [n_ranks]
    wf_plan_group *group; // [n_groups]
    int *member;          // [n_groups * tensor] ranks, group by group, in position order
    int *ranks_of_node;   // [n_nodes]
} wf_plan;

// WF_CONFIG with numbers and what to do when the groups asked for do not fit, or a node has more
// ranks than devices. The caller owns *out.
wf_status wf_plan_make(const wf_plan_input *input, wf_plan **out);
void wf_plan_destroy(wf_plan **plan);

// What one rank has to share out. Bytes are per rank unless said.
typedef struct wf_plan_memory {
    uint64_t free_bytes; // of the device, or of the host that `n_sharing` ranks share
    int n_sharing;       // ranks on this device or host, at least 1
    uint64_t weight_bytes;
    uint64_t workspace_bytes; // activations, logits, tables
    uint64_t runtime_bytes;   // libraries' workspaces, captured steps; 0 on a host
    uint64_t comm_bytes;      // buffers of the group's communicators
    bool no_kv;               // no layer keeps keys beyond its step
    uint64_t kv_token_bytes;  // one token in all layers, this rank's heads
    double kv_share;          // of what is free after weights and workspace; 0: kv_bytes
    uint64_t kv_bytes;
    int page_tokens;
    int n_slots, slot_pages; // of reorder: copy: all of them must fit; 0: no slots
    int most_pages;          // that a request holds, where windows bound them; 0: nothing does
} wf_plan_memory;

typedef struct wf_plan_kv {
    uint64_t bytes; // whole pages
    uint64_t n_pages;
    uint64_t n_tokens;
    int most_pages; // as above
} wf_plan_kv;

// KV memory of a rank, and so of its group (all its ranks hold the same tokens, each its heads).
// WF_CONFIG when weights and workspace do not fit, when not one page is left, or not all slots fit.
wf_status wf_plan_kv_capacity(const wf_plan_memory *memory, wf_plan_kv *out);

// The parts beside KV as text, "139.7 GiB free, weights 14.96, workspace 1.13, ...". Returns text.
char *wf_plan_memory_text(const wf_plan_memory *memory, char *text, size_t text_bytes);

// How many requests of `mean_tokens` (prompt + generated) fit at once in whole pages.
uint64_t wf_plan_concurrency(const wf_plan_kv *kv, int page_tokens, double mean_tokens);

// One group as text, "node 0: ranks 0-1; node 1: ranks 4,6". Returns text.
char *wf_plan_group_text(const wf_plan *plan, int i_group, char *text, size_t text_bytes);

// The part of the plan a person must hear of: idle ranks and groups across nodes; "" when all is
// as expected. Returns text.
char *wf_plan_remarks(const wf_plan *plan, char *text, size_t text_bytes);

#endif
