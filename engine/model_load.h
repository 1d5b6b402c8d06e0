// Fills a model's matrices and vectors, from a checkpoint or at random: the part of loading that
// knows files, shapes and slices, but not what a layer is (engine/model.c knows that).
//
// A matrix is put together from pieces, each a range of rows of one checkpoint tensor:
//
//   qkv of rank 1 of 2:   [q rows 16..31][k rows 8..15][v rows 8..15]   three tensors, or one fused
//
// and its bias from the same pieces of the tensors' biases. Private to engine/model*.c.
// The loader visits a model twice: first `dry`, to find every tensor, check its shape and note what
// to read ahead before the first byte is read, then for real. All Local. Errors as wf_model_load.
#ifndef WF_ENGINE_MODEL_LOAD_H
#define WF_ENGINE_MODEL_LOAD_H

#include "engine/model.h"
#include "engine/model_read.h"

// Rows first .. first + n of the tensor with this role.
typedef struct wf_piece {
    wf_role role;
    int64_t first, n;
} wf_piece;

// A matrix to fill: rows from pieces, zero rows up to n_rows, columns [col, col + n_cols).
typedef struct wf_part {
    int i_layer;
    const wf_piece *pieces;
    int n_pieces;
    int64_t n_rows, col, n_cols;
    bool bias_elsewhere; // another rank keeps the bias: it is looked for and not loaded
    float std;           // of random weights
} wf_part;

typedef struct wf_loader {
    wf_backend *be;
    const wf_arch *arch;
    const wf_hf_folder *folder; // NULL: random
    wf_dtype dtype;
    uint64_t seed;
    bool dry;
    uint8_t *used;       // [tensors of the folder]
    wf_readahead *reads; // own
    void *staging;       // pinned where that exists; own
    size_t staging_bytes, block_bytes;
    const atomic_int *stop; // borrowed, may be NULL
    uint64_t n_parts;       // matrices and vectors begun, of the real visit
    wf_model_report report;
} wf_loader;

// `config` is checked by the caller. wf_loader_close gives back the buffers; it takes what a failed
// wf_loader_open left.
wf_status wf_loader_open(wf_backend *be, const wf_arch *arch, const wf_hf_folder *folder,
                         const wf_model_config *config, wf_loader *out);
void wf_loader_close(wf_loader *loader);

wf_status wf_loader_matrix(wf_loader *loader, const wf_part *part, wf_weight **out);

// The bias of the same rows; f32 on the device.
wf_status wf_loader_bias(wf_loader *loader, const wf_part *part, float **out);

// A norm's weight (1 when random) and, for LayerNorm, bias.
wf_status wf_loader_norm(wf_loader *loader, wf_role role, int i_layer, wf_norm *out);

// The rotary tables of n_positions.
wf_status wf_loader_rotary(wf_loader *loader, int32_t n_positions, float **cos, float **sin);

// After the dry visit: refuses tensors that no part asked for, and begins to read.
wf_status wf_loader_make_real(wf_loader *loader);

#endif
