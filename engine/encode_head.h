// From a model's folder to its head for scores: how many labels, what they are called, and what
// the numbers become (encode.h). All of it stands in config.json:
//
//   id2label, num_labels          how many labels (two where neither is said), their names
//   problem_type                  classify: softmax, sigmoid or as they are
//   sentence_transformers.activation_fn, sbert_ce_default_activation_function
//                                 score, rerank: sigmoid or as they are, as a CrossEncoder does
//   classifier_pooling, classifier_activation, classifier_bias    of ModernBERT's
//
// Where no problem type is said there is a softmax, of one label a sigmoid, as in transformers'
// text-classification pipeline. Where no activation is said, score and rerank take a sigmoid of
// one label and leave several as they are, as sentence-transformers does. What is not known here
// is refused by name. Local, reads config.json alone.
#ifndef WF_ENGINE_ENCODE_HEAD_H
#define WF_ENGINE_ENCODE_HEAD_H

#include "engine/encode_read.h"

// Fills arch->encode in for a task that scores. WF_DATA: config.json says what is not known here,
// or the checkpoint has no head; WF_CONFIG: the model's family or its labels do not suit the task.
wf_status wf_encode_head_read(const wf_hf_folder *folder, const wf_encode_wish *wish,
                              wf_arch *arch);

// What stands between a row, or a mask's token, and the last matrix: the dense layer's activation
// and whether it has a bias. `root`: of config.json. WF_DATA.
wf_status wf_encode_head_dense(const wf_arch *arch, wf_json_ref root, wf_encode_head *out);

// Whether a checkpoint has not the weight of a head's role, which is called `name` there: of a
// folder without weights nothing is asked.
bool wf_encode_head_lacks(const wf_hf_folder *folder, const wf_arch *arch, wf_role role, char *name,
                          size_t name_bytes);

// The names of the labels as a JSON array of texts: id2label's, else LABEL_0 and so on. Of a model
// that scores. Own, free().
wf_status wf_encode_labels(const wf_hf_folder *folder, const wf_arch *arch, char **out);

#endif
