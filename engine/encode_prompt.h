// The prompts of a folder of sentence-transformers, config_sentence_transformers.json: texts that
// stand before every text that is embedded. Local, reads that file.
#ifndef WF_ENGINE_ENCODE_PROMPT_H
#define WF_ENGINE_ENCODE_PROMPT_H

#include "io/base/status.h"

// The text of the prompt `name`; "auto": of the folder's default_prompt_name, where it has one;
// "none": none. "" where there is none. WF_CONFIG: the folder has no prompt of that name, and those
// that it has are named; WF_DATA: the file is no such file. Own, free().
wf_status wf_encode_prompt(const char *model_folder, const char *name, char **out);

#endif
