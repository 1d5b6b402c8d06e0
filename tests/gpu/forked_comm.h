// A group of ranks as forked processes of one machine, which meet in shared memory: the control
// communicator of GPU tests and benchmarks that should run without MPI.
#ifndef WF_TESTS_GPU_FORKED_COMM_H
#define WF_TESTS_GPU_FORKED_COMM_H

#include "engine/comm/comm.h"

enum { FORKED_MOST_RANKS = 8 };

// Forks `size` processes, each of which calls run(control, arg) and exits 0 when it returns. The
// caller must not have touched a device. Returns how many exited otherwise.
int forked_run(int size, void (*run)(wf_comm *control, void *arg), void *arg);

// Devices of this machine, without opening one: the caller forks.
int forked_count_devices(void);

// Ends the process with what went wrong.
void forked_must(wf_status st, const char *what);

// Waits for all that was queued on `s`.
void forked_sync(wf_backend *be, wf_stream *s);

#endif
