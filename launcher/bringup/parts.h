// What each optional library gives the launcher. A build without one links the file beside it that
// answers "not built in", so callers need no conditions.
//
//   mpi    parts_mpi.c    | parts_no_mpi.c
//   pmix   parts_pmix.c   | parts_no_pmix.c
//   hwloc  parts_hwloc.c  | parts_no_hwloc.c
#ifndef WF_LAUNCHER_PARTS_H
#define WF_LAUNCHER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

void wf_mpi_version(char *text, size_t text_bytes);
void wf_pmix_version(char *text, size_t text_bytes);
void wf_hwloc_version(char *text, size_t text_bytes);

// --- MPI ---

// Initialises MPI at the level it is used: driven from one thread. Collective over the job.
// WF_NOT_BUILT, WF_COMM.
wf_status wf_mpi_init(void);

// Collective. After a failure use wf_mpi_abort instead.
void wf_mpi_finalize(void);

// Ends every rank of the job with `exit_code`; does not return. Local.
_Noreturn void wf_mpi_abort(int exit_code);

// The lowest world rank that shares memory with this one: names the node. Collective.
wf_status wf_mpi_node_leader(int *out);

// --- PMIx ---

// What the launcher that started this process says of its place.
typedef struct wf_pmix_place {
    uint32_t node;       // number of its node
    uint32_t job_size;   // ranks of the job
    uint16_t local_rank; // among the ranks of the node
    uint32_t local_size; // of them
} wf_pmix_place;

// False where there is no PMIx server, it does not know, or PMIx is not built in. Local.
bool wf_pmix_place_get(wf_pmix_place *out);

// --- hwloc ---

// Cores that this process may use, without regard to how it is bound now, one bit per logical CPU
// and one entry per core.
typedef struct wf_cores {
    int n;       // cores
    int n_bound; // cores in the mask that this process is bound to
} wf_cores;

// `near`: only cores that share a CPU with this list, "0-31,64-95" (those of a device's NUMA node);
// "" for all. Without hwloc `near` means nothing.
wf_status wf_cores_count(const char *near, wf_cores *out);

// Binds this process, and threads started later, to cores [first, first + n) of those that
// wf_cores_count counts. Memory follows: the system gives pages on the node of the thread that
// touches them first. WF_INTERNAL where the system refuses.
wf_status wf_cores_bind(const char *near, int first, int n);

// What this process is bound to now, "0-7,16-23"; "" where it is not known. Returns text.
char *wf_cores_bound(char *text, size_t text_bytes);

#endif
