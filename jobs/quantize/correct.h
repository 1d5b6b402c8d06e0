// Corrections of what rounding leaves, solved in closed form: for each row of a quantised matrix
// the scale c and the offset b with which its product comes closest to the full model's,
//
//   min over c, b of the mean over tokens of (y - c q - b)^2:   c = cov(y, q) / var(q),
//                                                               b = mean y - c mean q
//   y = W x of the full model, q = Q x with the same x
//
// Both see the full model's x, so that each product is corrected for its own rounding alone, all in
// one pass over the texts. c goes into the row's scales; b into a bias, where the architecture has
// one or its config.json can say that it has (wf_bias_plan_of). Products of experts are left alone.
// Local.
#ifndef WF_JOBS_QUANTIZE_CORRECT_H
#define WF_JOBS_QUANTIZE_CORRECT_H

#include "jobs/quantize/evaluate.h"
#include "jobs/quantize/recipe.h"

// Of one matrix; NULL: none.
typedef struct wf_correction {
    float *scale, *offset; // [n_rows]
} wf_correction;

typedef struct wf_corrections {
    wf_correction *of; // [n] of wf_quantize_matrices, in its order
    size_t n;
} wf_corrections;

// Which products have a bias in the folder that is written.
typedef struct wf_bias_plan {
    bool qkv, o, mlp;               // have one
    bool add_attn, add_mlp;         // of these, have not had one: config.json is made to say so, by
    const char *attn_key, *mlp_key; // these keys
} wf_bias_plan;

wf_bias_plan wf_bias_plan_of(const wf_arch *arch);
bool wf_bias_plan_has(const wf_bias_plan *plan, wf_role role); // a bias
bool wf_bias_plan_adds(const wf_bias_plan *plan, wf_role role);

// Where there are products whose offsets have no place, in words; "" where there are none.
const char *wf_bias_plan_gap(const wf_bias_plan *plan, char *text, size_t text_bytes);

// `mixed` has the recipe's layers, unpacked, on the back end of `full`. The caller frees.
wf_status wf_correct(wf_backend *be, const wf_model *full, const wf_model *mixed,
                     const wf_quantize_recipe *recipe, const wf_texts *texts,
                     const atomic_int *stop, wf_corrections *out);
void wf_corrections_free(wf_corrections *corrections);

#endif
