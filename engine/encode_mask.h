// From a model's folder to its head for masks, and to the token that stands for one: config.json's
// mask_token_id or, as few have that, the special token of tokenizer.json that
// tokenizer_config.json calls mask_token, else [MASK] or <mask>. Local, reads these files.
#ifndef WF_ENGINE_ENCODE_MASK_H
#define WF_ENGINE_ENCODE_MASK_H

#include "engine/encode_read.h"

// Fills arch->encode in for task: fill-mask. WF_DATA: the folder names no mask, or its checkpoint
// has no such head; WF_CONFIG: the model's family has none.
wf_status wf_encode_mask_read(const wf_hf_folder *folder, const wf_encode_wish *wish,
                              wf_arch *arch);

#endif
