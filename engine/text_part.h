// Folders whose model has several parts: text, and images or sounds. The text part is read and
// runs as the model that it is; the others are left where they lie, and said.
//
// One row for each kind of folder: where the text part's configuration stands, how its tensors are
// named, and what the other parts' tensors begin with. A kind is a row only where prompts of text
// alone meet the text part as it is: whole-number positions that are the same in all directions,
// causal attention, nothing added from other parts. Sources: the classes of transformers 5 and
// published checkpoints.
// All Local, pure.
#ifndef WF_ENGINE_TEXT_PART_H
#define WF_ENGINE_TEXT_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/family.h"
#include "io/weights/hf_folder.h"

typedef struct wf_text_part {
    const char *model_type; // of the whole
    const char *text_type;  // of the text part, where its configuration does not say
    bool at_root;           // without a text_config its keys stand at the root
    bool tied;              // the head is the embedding table, where nothing says it
    wf_naming namings[2];   // that the text part's tensors have, beside the family's own
    const char *others[5];  // what the other parts' begin with, alone or behind "model."
} wf_text_part;

// The row of a model_type; NULL: no such folder is known.
const wf_text_part *wf_text_part_find(const char *model_type);

// The family's model_type for what a text part's configuration says: "qwen2_vl_text" is "qwen2".
const char *wf_text_part_type(const char *said);

// What config.json need not say of a text part: the default of its configuration class; 0: none
// that the family's row does not have. `type` as the configuration says it.
double wf_text_part_absent(const char *type, wf_config_key key);

// Whether a tensor is another part's.
bool wf_text_part_is_other(const wf_text_part *part, const char *tensor);

// What is not loaded, in words: "text part of gemma3 alone; 439 tensors of other parts (0.78 GiB)
// are not loaded"; "" where the folder is a text model (part NULL). Returns text.
char *wf_text_part_words(const wf_text_part *part, const wf_hf_folder *folder, char *text,
                         size_t text_bytes);

#endif
