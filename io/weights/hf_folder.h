// A Hugging Face model folder: its configuration and its tensors, wherever they lie.
//
//   config.json                    always
//   generation_config.json         optional
//   model.safetensors              or
//   model.safetensors.index.json   and the files it names
//
// Open checks the whole folder before a tensor is read: every rule of safetensors.h for every file;
// of an index, that names are plain file names ending in .safetensors (no '/', no "..", not
// hidden), that every mapped file exists and holds its tensor, and that no tensor is in two files.
// Messages are `file: tensor: what, why, what to do`. What the configuration means is not known
// here.
//
// Life cycle: open -> look up and read -> close. All functions are Local; reads from several
// threads are allowed. Errors: WF_NO_INPUT (folder or file missing), WF_DATA, WF_IO, WF_NO_MEMORY.
#ifndef WF_IO_WEIGHTS_HF_FOLDER_H
#define WF_IO_WEIGHTS_HF_FOLDER_H

#include <stdbool.h>

#include "io/base/json.h"
#include "io/weights/safetensors.h"

// 32 hexadecimal digits and a terminator.
#define WF_HF_IDENTITY_MAX 33

typedef struct wf_hf_folder wf_hf_folder;

// A tensor and the file that holds it; both borrowed from the folder.
typedef struct wf_hf_tensor {
    const wf_st_tensor *tensor;
    const wf_safetensors *file;
} wf_hf_tensor;

// Opens the folder at `path`. Without `with_weights` only the configuration is read and there are
// no tensors (random weights, planning without the checkpoint). Caller owns *out.
wf_status wf_hf_folder_open(const char *path, bool with_weights, wf_hf_folder **out);
void wf_hf_folder_close(wf_hf_folder **folder);

const char *wf_hf_folder_path(const wf_hf_folder *folder);
const wf_json *wf_hf_folder_config(const wf_hf_folder *folder);
const wf_json *wf_hf_folder_generation(const wf_hf_folder *folder); // NULL: there is none

// All tensors, sorted by name.
size_t wf_hf_folder_count(const wf_hf_folder *folder);
wf_hf_tensor wf_hf_folder_at(const wf_hf_folder *folder, size_t i);

// The position of a tensor in that list. WF_DATA when there is none: the message names it and shows
// how names look in this folder.
wf_status wf_hf_folder_find(const wf_hf_folder *folder, const char *name, size_t *out_i);

// The identity that resuming a job compares: xxh128 over config.json, generation_config.json, the
// index, and of every file its header, size and 16 blocks of 64 KiB spread over its data. Reads at
// most about 1 MiB and the header of each file.
wf_status wf_hf_folder_identity(const wf_hf_folder *folder, char out[WF_HF_IDENTITY_MAX]);

#endif
