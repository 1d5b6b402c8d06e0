// The launcher without MPI: one process only. See parts.h.
#include <stdio.h>
#include <stdlib.h>

#include "launcher/bringup/parts.h"

void wf_mpi_version(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "not built in");
}

wf_status wf_mpi_init(void)
{
    return wf_fail(WF_NOT_BUILT, "MPI: started as one of several ranks, but MPI is not built in: "
                                 "build with -DWEFT_MPI=ON, or start weft alone");
}

void wf_mpi_finalize(void) {}

_Noreturn void wf_mpi_abort(int exit_code)
{
    _Exit(exit_code);
}

wf_status wf_mpi_node_leader(int *out)
{
    *out = 0;
    return WF_OK;
}
