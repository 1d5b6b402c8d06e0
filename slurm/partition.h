// What a partition gives at most: a job that asks for more is taken by Slurm and waits for ever.
//
// Asks scontrol: starts a process (slurm/command.h). Local.
#ifndef WF_SLURM_PARTITION_H
#define WF_SLURM_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_partition {
    char name[64];
    bool is_default;
    int64_t n_nodes;     // it has
    int64_t most_nodes;  // one job may have; INT64_MAX: no limit
    int64_t most_time_s; // one job may take; INT64_MAX: no limit
} wf_partition;

// All partitions that the user sees; own, free(). WF_NO_INPUT, WF_IO as wf_slurm_command; WF_IO for
// a refusal, in Slurm's words.
wf_status wf_partitions_find(wf_partition **out, size_t *n);

// One line of scontrol's answer, "PartitionName=gpu ... Default=YES ... TotalNodes=4 ...". False
// when it is none. Pure.
bool wf_partition_parse(const char *line, wf_partition *out);

// Whether one of the partitions `names` ("gpu,long"; "": the default one) gives so much; WF_CONFIG
// says what the last of them gives. One that is not known is left to sbatch. Pure. `time_s` 0:
// none.
wf_status wf_partitions_check(const wf_partition *all, size_t n, const char *names, int64_t n_nodes,
                              int64_t time_s);

#endif
