// A look at numbers from a checkpoint before they are used: NaN, infinities, and values that the
// dtype they will be kept in cannot hold.
//
// One pass over the bits (the greatest magnitude decides), at memory speed. All Local, pure.
#ifndef WF_ENGINE_MODEL_VALUES_H
#define WF_ENGINE_MODEL_VALUES_H

#include <stdint.h>

#include "kernels/tensor.h"

// The first of n values of dtype `from` that is not finite or becomes infinite as a `to`; -1 when
// all are good.
int64_t wf_values_find_bad(const void *values, int64_t n, wf_dtype from, wf_dtype to);

#endif
