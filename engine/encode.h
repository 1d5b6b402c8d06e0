// Tasks that make one vector of each row and generate nothing: what of a row's last hidden states
// becomes its vector. Plain values, part of the architecture (model_arch.h), read by encode_read.h.
//
//   rows --layers--> hidden states --final norm--> pool --> (length 1) --> vector [width] f32
//
// Rows are computed whole, side by side without padding, where tokens see what comes behind them or
// where all of a row's tokens are pooled (`whole`); the last token of a model that reads forwards
// comes out of its chunks as in generation. Source of packing: ByteTransformer, arXiv 2210.03052.
#ifndef WF_ENGINE_ENCODE_H
#define WF_ENGINE_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/ops.h"

typedef enum wf_task {
    WF_TASK_GENERATE,
    WF_TASK_EMBED // a vector of the whole row
} wf_task;

typedef struct wf_encode {
    wf_task task; // GENERATE: nothing below counts
    wf_pooling pooling;
    bool normalise; // vectors have length 1
    bool truncate;  // rows that are too long are cut, their last token kept; else they fail
    bool whole;     // a row is computed in one step
    int32_t width;  // numbers of a vector
} wf_encode;

#endif
