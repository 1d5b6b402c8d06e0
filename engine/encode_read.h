// From a model's folder and a job's wishes to what becomes of a row (encode.h). A folder that
// sentence-transformers has written says it in modules.json and the files that this names:
//
//   modules.json                  Transformer, Pooling, Normalize: their kinds and folders
//   1_Pooling/config.json         which pooling
//   sentence_bert_config.json     max_seq_length: rows are not longer than that
//   config_sentence_transformers.json   a prompt before every text (encode_prompt.h)
//
// Without modules.json it is the mean of a model that reads both ways (as sentence-transformers
// takes it), the last token of one that reads forwards, and lengths stay as they are. Modules and
// poolings that are not known here are refused by name. Local, reads files.
#ifndef WF_ENGINE_ENCODE_READ_H
#define WF_ENGINE_ENCODE_READ_H

#include "engine/model_arch.h"

#define WF_ENCODE_AUTO (-1)

typedef struct wf_encode_wish {
    wf_task task;
    int pooling;   // a wf_pooling, or WF_ENCODE_AUTO: the folder's
    int normalise; // 0, 1, or WF_ENCODE_AUTO
    bool truncate;
    int activation;     // of scores: a wf_label_curve, or WF_ENCODE_AUTO
    int32_t n_top;      // tokens for each mask
    const char *prompt; // of embed, as in wf_encode_prompt; NULL: auto
} wf_encode_wish;

// A JSON document of the folder, own; NULL where there is none and none `must` be. As
// wf_json_parse_file.
wf_status wf_encode_json(const wf_hf_folder *folder, const char *name, size_t max_bytes, bool must,
                         wf_json **out);

// Fills arch->encode in, and what a checkpoint of such a model may do otherwise: names without the
// model's prefix, norms called gamma and beta. WF_DATA: the folder's files say what is not known
// here; WF_CONFIG: the task is not one for this model.
wf_status wf_encode_read(const wf_hf_folder *folder, const wf_encode_wish *wish, wf_arch *arch);

#endif
