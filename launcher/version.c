// Versions of Weft and of its libraries. See version.h.
#include "launcher/version.h"

#include <string.h>
#include <weft_commit.h> // made by the build: WEFT_COMMIT

#include "engine/comm/comm_nccl.h"
#include "io/base/status.h"
#include "kernels/backend.h"
#include "launcher/parts.h"

static void cuda_version(char *cuda, char *nccl)
{
    wf_backend *be = NULL;
    wf_backend_config config = {.n_threads = 1};
    wf_status st = wf_backend_create("cuda", &config, &be);
    wf_backend_info info;
    const char *words = st == WF_NOT_BUILT ? "not built in" : "not loaded";
    if (st == WF_OK && be->ops->info(be, &info) == WF_OK) words = info.device;
    snprintf(cuda, WF_VERSION_TEXT, "%s", words);
    char version[WF_COMM_NCCL_VERSION_MAX];
    if (wf_comm_nccl_version(version) == WF_OK)
        words = version;
    else if (st == WF_OK)
        words = "not found";
    snprintf(nccl, WF_VERSION_TEXT, "%s", words);
    wf_backend_destroy(be);
}

void wf_versions_get(wf_versions *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->weft, sizeof out->weft, "%s (%s)", WEFT_VERSION, WEFT_COMMIT);
    snprintf(out->hdf5, sizeof out->hdf5, "%s", WEFT_HDF5_VERSION);
    cuda_version(out->cuda, out->nccl);
    wf_mpi_version(out->mpi, sizeof out->mpi);
    wf_pmix_version(out->pmix, sizeof out->pmix);
    wf_hwloc_version(out->hwloc, sizeof out->hwloc);
}

void wf_versions_print(FILE *file)
{
    wf_versions v;
    wf_versions_get(&v);
    fprintf(file, "weft %s\n", v.weft);
    fprintf(file, "  cuda   %s\n  nccl   %s\n", v.cuda, v.nccl);
    fprintf(file, "  mpi    %s\n  pmix   %s\n", v.mpi, v.pmix);
    fprintf(file, "  hwloc  %s\n  hdf5   %s\n", v.hwloc, v.hdf5);
}
