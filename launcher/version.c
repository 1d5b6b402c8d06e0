// Versions of Weft and of its libraries. See version.h.
#include "launcher/version.h"

#include <stdlib.h>
#include <string.h>
#include <weft_commit.h> // made by the build: WEFT_COMMIT

#include "engine/comm/comm_nccl.h"
#include "io/base/file.h"
#include "kernels/cuda/module.h"
#include "launcher/bringup/parts.h"

// Nothing here makes a context on a device: every rank asks, and each would cost memory.
static void cuda_version(char *cuda, char *nccl)
{
    wf_cuda_devices *seen = calloc(1, sizeof *seen);
    char number[WF_COMM_NCCL_VERSION_MAX];
    wf_status st = seen ? wf_cuda_list(seen) : WF_NO_MEMORY;
    const char *words = st == WF_NOT_BUILT ? "not built in" : "not loaded";
    snprintf(cuda, WF_VERSION_TEXT, "%s", words);
    snprintf(nccl, WF_VERSION_TEXT, "%s", words);
    if (st == WF_OK) {
        snprintf(cuda, WF_VERSION_TEXT, "%d.%d (driver %d.%d), %.80s", seen->runtime_version / 1000,
                 seen->runtime_version % 1000 / 10, seen->driver_version / 1000,
                 seen->driver_version % 1000 / 10, seen->device[0].name);
        st = wf_comm_nccl_version(number);
        snprintf(nccl, WF_VERSION_TEXT, "%s",
                 st == WF_OK          ? number
                 : st == WF_NOT_BUILT ? "not built in"
                                      : "not loaded");
    }
    free(seen);
}

void wf_versions_get(wf_versions *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->weft, sizeof out->weft, "%s (%s)", WEFT_VERSION, WEFT_COMMIT);
    snprintf(out->hdf5, sizeof out->hdf5, "%s", WEFT_HDF5_VERSION);
    cuda_version(out->cuda, out->nccl);
    if (!wf_file_line("/sys/module/nvidia/version", "", out->driver, sizeof out->driver))
        snprintf(out->driver, sizeof out->driver, "none");
    wf_mpi_version(out->mpi, sizeof out->mpi);
    wf_pmix_version(out->pmix, sizeof out->pmix);
    wf_hwloc_version(out->hwloc, sizeof out->hwloc);
}

void wf_versions_print(FILE *file)
{
    wf_versions v;
    wf_versions_get(&v);
    fprintf(file, "weft %s\n", v.weft);
    fprintf(file, "  cuda   %s\n  nccl   %s\n  driver %s\n", v.cuda, v.nccl, v.driver);
    fprintf(file, "  mpi    %s\n  pmix   %s\n", v.mpi, v.pmix);
    fprintf(file, "  hwloc  %s\n  hdf5   %s\n", v.hwloc, v.hdf5);
}
