// Fills a rank's slices of a model (model_parts.h) from a checkpoint or at random: the part of
// loading that knows files and blocks, but not what a layer is. Private to engine/model*.c.
//
// The loader visits a model twice: first `dry`, to note what to read ahead before the first byte is
// read, then for real. A random model is visited once. All Local. Errors as wf_model_load.
#ifndef WF_ENGINE_MODEL_LOAD_H
#define WF_ENGINE_MODEL_LOAD_H

#include "engine/model_parts.h"
#include "engine/model_read.h"

// Rows of a scaled format on their way to a weight; each buffer grows to the most seen.
typedef struct wf_scaled_rows {
    char *numbers;
    float *scales;
    int8_t *zeros;
    float *values; // of one row
    size_t numbers_bytes, n_scales, n_zeros, n_values;
} wf_scaled_rows;

typedef struct wf_loader {
    wf_backend *be;
    const wf_arch *arch;
    const wf_hf_folder *folder; // NULL: random
    wf_dtype dtype, weights;    // as in wf_model
    wf_scaled_rows scaled;      // own
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

// What distances add to scores of this rank's heads, the same for every layer; random: nothing.
wf_status wf_loader_distances(wf_loader *loader, int32_t tp_rank, int32_t tp_size, float **out);

// model_scaled.c: quantises the block's rows, whole ones so that a scale does not hang on how many
// ranks share them, and loads the columns of the slice into rows dst_row.. of a matrix of `weight`.
wf_status wf_loader_quantise(wf_loader *loader, const wf_read_block *block, const void *rows,
                             int32_t i_group, int64_t dst_row, wf_weight *weight);
// Loads part i_part of the slice, a quantised matrix (quant.h), from row *dst_row on, as it is or,
// into a plain weight, as values.
wf_status wf_loader_quantised(wf_loader *loader, const wf_slice *slice, int i_part,
                              int64_t *dst_row, wf_weight *weight);
// Rows of part 0 of the slice, a quantised matrix, as values [piece.n][columns of the tensor].
wf_status wf_loader_quantised_values(wf_loader *loader, const wf_slice *slice, wf_piece piece,
                                     float *values);
// n_rows rows that mean 0.
wf_status wf_loader_scaled_zeros(wf_loader *loader, int32_t i_group, int64_t dst_row,
                                 int64_t n_rows, wf_weight *weight);
void wf_scaled_rows_free(wf_scaled_rows *rows);

// After the dry visit: begins to read.
wf_status wf_loader_make_real(wf_loader *loader);

#endif
