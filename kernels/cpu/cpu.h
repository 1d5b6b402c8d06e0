// The CPU back end: OpenMP threads over vector kernels, chosen at run time.
//
// Numbers: every GEMM output is one chain of f32 fused multiply-adds over k ascending from 0, bias
// last, and every attention output is one online softmax over tiles of 64 positions ascending. No
// order depends on the batch, the chunk, the thread count or the vector width, so a row has the
// same bits whoever shared its step and whichever instruction set computed it.
//
// Threads: config.n_threads, 0 for what OpenMP finds (OMP_NUM_THREADS, affinity). Small operations
// stay on the calling thread. Where ranks outnumber cores set OMP_WAIT_POLICY=passive before the
// program starts: idle threads that spin take the cores of other ranks.
#ifndef WF_KERNELS_CPU_CPU_H
#define WF_KERNELS_CPU_CPU_H

#include "kernels/backend.h"

extern const wf_backend_ops wf_cpu_ops;

#endif
