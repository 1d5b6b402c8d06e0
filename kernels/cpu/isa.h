// What the isa_*.c files share: vectors, and the tile of sums that GEMM
// and attention are made of.
#ifndef WF_KERNELS_CPU_ISA_H
#define WF_KERNELS_CPU_ISA_H

#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/simd.h"

// Rows of x in the packed form that tiles read: [k][n_rows].
WF_INLINE void wf_pack_rows(float *packed, const float *x, int64_t x_stride, int n_rows, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        for (int r = 0; r < n_rows; r++)
            packed[k * n_rows + r] = x[r * x_stride + k];
}

#endif
