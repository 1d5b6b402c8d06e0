// Whether a checkpoint is of the model that its config.json says. All Local; reads headers alone
// and allocates nothing that grows with the numbers of config.json.
#ifndef WF_ENGINE_MODEL_CHECK_H
#define WF_ENGINE_MODEL_CHECK_H

#include "engine/model_arch.h"

#define WF_TENSOR_NAME_BYTES 160 // longest name of a tensor, with its end

// Every tensor of the model is in the folder, opened with weights, has a type and the shape that is
// asked for, and no other tensor is there. WF_DATA names the first that is wrong.
wf_status wf_model_check(const wf_arch *arch, const wf_hf_folder *folder);

// The dtype of a tensor whose numbers may be weights; WF_DATA names those that do.
wf_status wf_model_dtype_of(const wf_hf_tensor *found, wf_dtype *out);

#endif
