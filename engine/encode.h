// Tasks that make one vector of each row and generate nothing: what of a row's last hidden states
// becomes its vector. Plain values, part of the architecture (model_arch.h), read by encode_read.h.
//
//   rows --layers--> hidden states --final norm--> pool --> (length 1) --> vector [width] f32
//                                                    \--> dense, curve --> norm --> score
//                                                         --> activation --> scores [labels] f32
//         tokens at masks --> dense, curve --> norm --> head --> the likeliest tokens
//
// Of a head for scores each family has dense layer and norm or not; BERT calls the dense layer its
// pooler. Activations are those of transformers' text-classification pipeline (classify) and of
// sentence-transformers' CrossEncoder (score, rerank).
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
    WF_TASK_EMBED,    // a vector of the whole row
    WF_TASK_CLASSIFY, // a score for each label
    WF_TASK_SCORE,    // the same, with the activation of a cross-encoder
    WF_TASK_RERANK,   // the same of one label
    WF_TASK_FILL_MASK // the likeliest tokens in the place of each mask
} wf_task;

// What becomes of the numbers that a head gives for the labels, on the host, in f64.
typedef enum wf_label_curve {
    WF_LABELS_NONE, // they stay
    WF_LABELS_SOFTMAX,
    WF_LABELS_SIGMOID,
    WF_N_LABEL_CURVES
} wf_label_curve;

typedef struct wf_encode_head {
    wf_curve curve;        // behind the dense layer
    bool dense_bias, bias; // of dense and score
    wf_label_curve activation;
} wf_encode_head;

typedef struct wf_encode {
    wf_task task; // GENERATE: nothing below counts
    wf_pooling pooling;
    bool normalise; // vectors have length 1
    bool truncate;  // rows that are too long are cut, their last token kept; else they fail
    bool whole;     // a row is computed in one step
    int32_t width;  // numbers of a vector; labels
    int32_t mask;   // FILL_MASK: the token whose places are filled
    int32_t n_top;  // with so many of the likeliest
    wf_encode_head head;
} wf_encode;

// Whether rows get scores in place of a vector. Pure.
static inline bool wf_task_scores(wf_task task)
{
    return task >= WF_TASK_CLASSIFY && task <= WF_TASK_RERANK;
}

// Whether a row becomes numbers, and no token is drawn. Pure.
static inline bool wf_task_vectors(wf_task task)
{
    return task == WF_TASK_EMBED || wf_task_scores(task);
}

// Makes scores of what a head gave for the labels of a row, [width], in place; a vector stays as it
// is. Local, pure.
void wf_encode_activate(const wf_encode *encode, float *numbers);

#endif
