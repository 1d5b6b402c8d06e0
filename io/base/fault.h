// Faults on purpose: WEFT_FAULT makes this process hurt itself at a known point, so that tests
// reach every phase of the real program, and no test waits for luck.
//
//   WEFT_FAULT="ACTION@POINT=N[,rank=R][,once=FILE]; ..."
//
//   abort@request=17                    dies when request 17 is handed to the engine
//   usr1@load=3; usr1@load=5            two signals while weights are loaded
//   stop@step=40,rank=3                 rank 3 stops at its 40th step, as a lost node does
//   kill@step=9,once=/tmp/died          whichever process first reaches step 9 and makes that file
//
// N counts from 1 (requests: the caller's id); `rank` is the rank the log shows. Without WEFT_FAULT
// a point costs one look at the environment. Source: fail points (FreeBSD fail(9)). All Local.
#ifndef WF_IO_BASE_FAULT_H
#define WF_IO_BASE_FAULT_H

#include "io/base/status.h"

#include <stdint.h>

// X(NAME, word, what N counts)
#define WF_FAULT_POINTS(X)                                                                         \
    X(START, "start", "1: before MPI is up")                                                       \
    X(LOAD, "load", "tensors of this rank's part of the model, before each")                       \
    X(ENGINE, "engine", "1: before the engine is created")                                         \
    X(REQUEST, "request", "the caller's id, before it is handed to the engine")                    \
    X(STEP, "step", "engine steps of this process, before each")                                   \
    X(SEAL, "seal", "segments of this process, before each is closed")                             \
    X(MERGE, "merge", "blocks of merged rows, before each")                                        \
    X(READ, "read", "reads of HDF5 files by a guarded command, before each")

typedef enum wf_fault_point {
#define WF_FAULT_ENUM(name, word, counts) WF_FAULT_##name,
    WF_FAULT_POINTS(WF_FAULT_ENUM)
#undef WF_FAULT_ENUM
} wf_fault_point;

// X(word, signal): what happens there.
#define WF_FAULT_ACTIONS(X)                                                                        \
    X("abort", SIGABRT)                                                                            \
    X("kill", SIGKILL)                                                                             \
    X("stop", SIGSTOP)                                                                             \
    X("usr1", SIGUSR1)                                                                             \
    X("term", SIGTERM)                                                                             \
    X("int", SIGINT)                                                                               \
    X("usr2", SIGUSR2) /* for a preloaded library that waits for it */

// The point `n` is reached: does what WEFT_FAULT asks for here, if anything. The signal goes to the
// process, as the outside would send it; after one that asks to leave it waits 0.3 s, so that the
// program has taken notice before it goes on.
void wf_fault_at(wf_fault_point point, uint64_t n);

// WF_USAGE when WEFT_FAULT is not as above: a typing mistake must not pass for a test that passed.
wf_status wf_fault_check(void);

#endif
