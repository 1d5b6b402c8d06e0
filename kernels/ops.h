// Every operation of a back end, one struct of arguments per operation (kernels/ops/).
//
// All pointers are device addresses of the back end unless marked [host]. T = tokens packed in the
// step, S = sequences in the step, R = row slots of the engine, V = vocabulary (this rank's slice
// where said). Activations are `act` (wf_backend_info.numerics.act: f32 on the CPU, the model's
// dtype on a GPU); norms, sums and softmax accumulate in f32. Outputs never alias inputs unless
// said.
#ifndef WF_KERNELS_OPS_H
#define WF_KERNELS_OPS_H

#include "kernels/ops/op_activation.h"
#include "kernels/ops/op_attention.h"
#include "kernels/ops/op_encode.h"
#include "kernels/ops/op_experts.h"
#include "kernels/ops/op_gemm.h"
#include "kernels/ops/op_latent.h"
#include "kernels/ops/op_norm.h"
#include "kernels/ops/op_rows.h"
#include "kernels/ops/op_sample.h"

// X(entry of the back end's table, its arguments). The list gives the table its entries and the
// check that none is missing (backend.h), each back end its declarations, the profile its rows
// (profile_cost.h), the checks of arguments (op_check.h) and the module its version
// (cuda/module.h). Kernels include the header that they need: a new operation compiles none but its
// own again.
#define WF_OPS(X)                                                                                  \
    WF_ROWS_OPS(X)                                                                                 \
    WF_GEMM_OPS(X)                                                                                 \
    WF_NORM_OPS(X)                                                                                 \
    WF_ACTIVATION_OPS(X)                                                                           \
    WF_ATTENTION_OPS(X) WF_LATENT_OPS(X) WF_ENCODE_OPS(X) WF_EXPERTS_OPS(X) WF_SAMPLE_OPS(X)

#endif
