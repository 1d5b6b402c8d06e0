// MPI for the launcher. See parts.h.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/comm/comm.h"
#include "launcher/bringup/parts.h"

void wf_mpi_version(char *text, size_t text_bytes)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(version, &length);
    snprintf(text, text_bytes, "%.*s", (int)strcspn(version, ",\n"), version);
}

wf_status wf_mpi_init(void)
{
    int provided = 0;
    WF_TRY(wf_comm_mpi_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "init"));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (provided >= MPI_THREAD_FUNNELED) return WF_OK;
    return wf_fail(WF_COMM, "MPI: this library allows no threads beside the one that calls it");
}

void wf_mpi_finalize(void)
{
    MPI_Finalize();
}

_Noreturn void wf_mpi_abort(int exit_code)
{
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code); // MPI_Abort may return where it could not reach the others
}

wf_status wf_mpi_node_leader(int *out)
{
    MPI_Comm node = MPI_COMM_NULL;
    int rank = 0, leader = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    WF_TRY(wf_comm_mpi_check(
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node),
        "finding the ranks of this node"));
    wf_status st = wf_comm_mpi_check(MPI_Allreduce(&rank, &leader, 1, MPI_INT, MPI_MIN, node),
                                     "finding this node");
    MPI_Comm_free(&node);
    if (st == WF_OK) *out = leader;
    return st;
}
