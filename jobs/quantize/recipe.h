// What each layer of a model is to be quantised to: a format for its matrices.
//
// All Local, pure.
#ifndef WF_JOBS_QUANTIZE_RECIPE_H
#define WF_JOBS_QUANTIZE_RECIPE_H

#include "engine/model_arch.h"
#include "io/base/json_writer.h"
#include "kernels/tensor.h"

// X(NAME, word, numbers, numbers that share a scale (0: a row), what it is)
#define WF_QUANTIZE_FORMATS(X)                                                                     \
    X(PLAIN, "plain", WF_BF16, 0, "as they are")                                                   \
    X(FP8, "fp8", WF_FP8, 0, "e4m3, a scale for each row")                                         \
    X(INT8, "int8", WF_INT8, 0, "a scale for each row")                                            \
    X(INT4_32, "int4-32", WF_INT4, 32, "a scale for each 32 numbers")                              \
    X(INT4, "int4", WF_INT4, 128, "a scale for each 128 numbers")

typedef enum wf_quantize_format {
#define WF_QUANTIZE_ENUM(NAME, ...) WF_QUANTIZE_##NAME,
    WF_QUANTIZE_FORMATS(WF_QUANTIZE_ENUM)
#undef WF_QUANTIZE_ENUM
        WF_N_QUANTIZE_FORMATS
} wf_quantize_format;

const char *wf_quantize_word(wf_quantize_format format);
const char *wf_quantize_words_all(void); // "plain, fp8, ..."
bool wf_quantize_named(const char *word, wf_quantize_format *out);

typedef struct wf_quantize_recipe {
    uint8_t format[WF_ARCH_MAX_LAYERS]; // a wf_quantize_format for each layer
    bool dynamic; // readers are told to round activations to 8 bits too, token by token; Weft's own
                  // engine leaves them as they are
} wf_quantize_recipe;

void wf_quantize_uniform(wf_quantize_format format, wf_quantize_recipe *out);

// How the matrix of a role is kept in a layer of this format: numbers and the numbers that share a
// scale, halved down to 32 until rows end with a group. PLAIN: as it is, of all that the loader
// would not quantise either (wf_slice_shape), and of rows that 32 does not divide.
typedef struct wf_quantize_kept {
    wf_quantize_format format;
    wf_dtype dtype;
    int32_t block;
} wf_quantize_kept;
wf_quantize_kept wf_quantize_kept_of(wf_quantize_format format, int64_t n_cols);

// Bytes of a matrix with its scales.
uint64_t wf_quantize_bytes(wf_quantize_kept kept, wf_dtype plain, int64_t n_rows, int64_t n_cols);

// One matrix of a layer that takes a format.
typedef struct wf_quantize_matrix {
    int32_t i_layer, i_group; // i_group: the expert
    wf_role role;
    int64_t n_rows, n_cols;
    wf_quantize_kept kept;
    char module[160]; // its tensor's name without ".weight"
} wf_quantize_matrix;

// All of a model, in the order of their modules' names; own, free().
wf_status wf_quantize_matrices(const wf_arch *arch, const wf_quantize_recipe *recipe,
                               wf_quantize_matrix **out, size_t *n);

// Bytes of a layer's matrices in a format, of all its experts; what is outside of layers, norms and
// biases are left out.
uint64_t wf_quantize_layer_bytes(const wf_arch *arch, int32_t i_layer, wf_quantize_format format);

// The object quantization_config of config.json, as member `key`: a config group for each kind of
// numbers, their matrices by name where there are several; what stays plain under `ignore`.
void wf_quantize_put_config(const wf_arch *arch, const wf_quantize_recipe *recipe,
                            const wf_quantize_matrix *matrices, size_t n, wf_json_writer *w,
                            const char *key);

#endif
