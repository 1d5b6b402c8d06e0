// Stands in for the MPI communicator in a build without MPI.
#include "engine/comm/comm.h"

wf_status wf_comm_mpi_create(wf_comm **out)
{
    *out = NULL;
    return wf_fail(WF_NOT_BUILT, "comm: this binary has no MPI; configure with -DWEFT_MPI=ON");
}
