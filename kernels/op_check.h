// Checks of operation arguments that every back end makes before it computes.
//
// Each returns WF_INTERNAL with what is wrong: these are mistakes of the caller, not of the user.
// `act` is the back end's activation dtype. Only shapes and types are looked at, no device memory.
// All functions are Local.
#ifndef WF_KERNELS_OP_CHECK_H
#define WF_KERNELS_OP_CHECK_H

#include "io/base/status.h"
#include "kernels/weight.h"

wf_status wf_check_weight_shape(const wf_weight_shape *shape);
wf_status wf_check_weight_block(const wf_weight *w, const wf_weight_block *block);

// wf_check_OP(args, act) of every operation is declared beside its arguments (ops/op_base.h).

#endif
