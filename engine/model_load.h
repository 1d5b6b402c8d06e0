// Fills a rank's slices of a model (model_parts.h) from a checkpoint or at random: the part of
// loading that knows files and blocks, but not what a layer is. Private to engine/model*.c.
//
// The loader visits a model twice: first `dry`, to note what to read ahead before the first byte is
// read, then for real. A random model is visited once. All Local. Errors as wf_model_load.
#ifndef WF_ENGINE_MODEL_LOAD_H
#define WF_ENGINE_MODEL_LOAD_H

#include "engine/model_parts.h"
#include "engine/model_read.h"

typedef struct wf_loader {
    wf_backend *be;
    const wf_arch *arch;
    const wf_hf_folder *folder; // NULL: random
    wf_dtype dtype;
    uint64_t seed;
    bool dry;
    wf_readahead *reads; // own
    void *staging;       // pinned where that exists; own
    size_t staging_bytes, block_bytes;
    const atomic_int *stop; // borrowed, may be NULL
    uint64_t n_parts;       // matrices and vectors begun, of the real visit
    wf_model_report report;
} wf_loader;

// `config` and the folder's tensors are checked by the caller. wf_loader_close gives back the
// buffers; it takes what a failed wf_loader_open left.
wf_status wf_loader_open(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder,
                         const wf_model_config *config, wf_loader *out);
void wf_loader_close(wf_loader *loader);

// One slice, with its bias. A tied matrix is left to the caller. Random: norms 1, biases 0.
wf_status wf_loader_fill(wf_loader *loader, const wf_slice *slice, wf_param *out);

// The tables of one kind of rotation for n_positions, the job's context.
wf_status wf_loader_rotary(wf_loader *loader, const wf_rope *rope, int32_t n_positions,
                           wf_rotary *out);

// The slopes of this rank's heads, the same for every layer.
wf_status wf_loader_slopes(wf_loader *loader, int32_t tp_rank, int32_t tp_size, float **slopes);

// After the dry visit: begins to read.
wf_status wf_loader_make_real(wf_loader *loader);

#endif
