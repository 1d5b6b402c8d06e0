// The columns of a results file as one table: what every writer and reader of rows walks.
//
//   wf_result {row, status, ... | token_id -> [n_tokens], meta -> [meta_bytes] ... }
//        |  values: at an offset      |  ragged: pointer at an offset, cut by an offset column
//        v                            v
//   /requests/row[n] ...   /requests/output_offset[n+1] + /tokens/id[sum], /tokens/time_ns[sum] ...
//
// A new column is a row of WF_RESULT_TABLE, WF_RESULT_OPTIONAL_TABLE, WF_RAGGED_TABLE,
// WF_WIDE_TABLE or one of steps (result.h) and the place that fills it in; one that not every file
// has also gets a member of wf_result_columns, one that is cut as no other a row of WF_CUT_TABLE.
// The checker (results/check) keeps a list of its own on purpose. Local.
#ifndef WF_IO_RESULTS_PAYLOAD_H
#define WF_IO_RESULTS_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "io/h5/h5util.h"
#include "io/results/result.h"

// X(cut, count, units, description): an offset column /requests/<cut>. `count` says how long a
// row's part is: WF_COUNT(member of wf_result), or WF_TEXT: up to the NUL of its column.
#define WF_CUT_TABLE(X)                                                                            \
    X(error_offset, WF_TEXT, "bytes", "row i's error text is error[offset[i]:offset[i+1]]")        \
    X(meta_offset, WF_COUNT(meta_bytes), "bytes", "row i's meta is meta[offset[i]:offset[i+1]]")   \
    X(stop_string_offset, WF_COUNT(stop_string_bytes), "bytes",                                    \
      "row i ended at stop_string[offset[i]:offset[i+1]]")                                         \
    X(output_offset, WF_COUNT(n_tokens), "tokens",                                                 \
      "row i's output is /tokens/*[offset[i]:offset[i+1]]")                                        \
    X(prompt_offset, WF_COUNT(n_prompt_scored), "tokens",                                          \
      "what is known of row i's prompt is /prompts/*[offset[i]:offset[i+1]]")

// Index of each column: WF_COL_row ..., WF_COL_step_start_ns ...
enum {
#define WF_COL_VALUE(field, ctype, type, units, label, description) WF_COL_##field,
    WF_RESULT_TABLE(WF_COL_VALUE)
#undef WF_COL_VALUE
#define WF_COL_VALUE(field, ctype, type, when, units, label, description) WF_COL_##field,
        WF_RESULT_OPTIONAL_TABLE(WF_COL_VALUE)
#undef WF_COL_VALUE
#define WF_COL_CUT(cut, count, units, description) WF_COL_##cut,
            WF_CUT_TABLE(WF_COL_CUT)
#undef WF_COL_CUT
#define WF_COL_ARRAY(field, ctype, type, dataset, cut, when, width, json, units, description)      \
    WF_COL_##field,
                WF_RAGGED_TABLE(WF_COL_ARRAY)
#undef WF_COL_ARRAY
#define WF_COL_WIDE(field, ctype, type, width, units, json, description) WF_COL_##field,
                    WF_WIDE_TABLE(WF_COL_WIDE)
#undef WF_COL_WIDE
#define WF_COL_STEP(field, ctype, type, units, description) WF_COL_step_##field,
                        WF_STEP_TABLE(WF_COL_STEP)
#undef WF_COL_STEP
#define WF_COL_STEP(field, ctype, type, width, units, description) WF_COL_step_##field,
                            WF_STEP_WIDE_TABLE(WF_COL_STEP)
#undef WF_COL_STEP
#define WF_COL_STEP(field, ctype, type, when, units, description) WF_COL_step_##field,
                                WF_STEP_OPTIONAL_TABLE(WF_COL_STEP)
#undef WF_COL_STEP
                                    WF_N_COLS
};

typedef enum wf_column_kind {
    WF_COLUMN_VALUE,  // one value per row
    WF_COLUMN_CUT,    // n + 1 values, cumulative; in a batch: the end of each row's part
    WF_COLUMN_RAGGED, // as many values per row as its cut says
    WF_COLUMN_WIDE,   // one value of `width` numbers per row
    WF_COLUMN_STEP    // one value, of one number or of `width`, per engine step
} wf_column_kind;

#define WF_NOWHERE SIZE_MAX

typedef struct wf_column_desc {
    const char *name; // of the dataset
    wf_h5_type type;
    wf_column_kind kind;
    size_t at;    // in wf_result or wf_step_record: the value; the pointer to the values; of a cut:
                  // the uint32_t that counts, WF_NOWHERE: the text ends by a NUL
    int cut;      // ragged: its offset column
    size_t when;  // in wf_result_columns: there where that is not 0; WF_NOWHERE: always. A cut is
                  // there with the first column that it cuts
    size_t width; // in wf_result or wf_step_record: numbers to a value; in the file `when` says it;
                  // WF_NOWHERE: one
    const char *label, *json; // for people; the member of a row's JSON. NULL: none
    const char *units, *description;
} wf_column_desc;

extern const wf_column_desc wf_column_descs[WF_N_COLS];

bool wf_column_present(int i_col, const wf_result_columns *columns);
uint32_t wf_column_width(int i_col, const wf_result_columns *columns); // numbers to a value
uint32_t wf_column_rank2(int i_col, const wf_result_columns *columns); // the same, 0: a plain list

bool wf_column_is_array(int i_col); // rows lead to their values: ragged or wide

// Sets what `when` of an optional column names.
void wf_column_found(int i_col, uint32_t width, wf_result_columns *columns);

// The first column that a cut cuts: as long as all others.
int wf_column_of_cut(int i_cut);

// A row's part of a ragged column: its values (NULL: missing) and how many.
const void *wf_column_values(int i_col, const wf_result *row);
size_t wf_column_count(int i_cut, const wf_result *row);
// Leads a row to its values elsewhere.
void wf_column_point(int i_col, wf_result *row, const void *values);

#endif
