// What a path holds that is not a Hugging Face folder with safetensors: named for what it is, with
// what to do. All Local.
#ifndef WF_IO_WEIGHTS_HF_STRANGER_H
#define WF_IO_WEIGHTS_HF_STRANGER_H

#include <stdbool.h>

// Words for a file, or for a folder that lacks its configuration or its weights: "a LoRA adapter;
// merge it ..."; NULL where it is nothing known.
const char *wf_hf_stranger(const char *path);

// Whether a file is a git-lfs pointer: a few lines of text in the place of the file.
bool wf_hf_is_lfs_pointer(const char *path);

// Words for a tensor whose name says that its model is quantised or an adapter, or NULL.
const char *wf_hf_strange_tensor(const char *name);

#endif
