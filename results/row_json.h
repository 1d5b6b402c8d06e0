// A row of results as the members of a JSON object, and its values as numbers: what `weft show` and
// `weft export` say of it. Walks the columns' table (io/results/payload.h). All Local.
#ifndef WF_RESULTS_ROW_JSON_H
#define WF_RESULTS_ROW_JSON_H

#include "io/base/json_writer.h"
#include "io/results/payload.h"

// A value of the row's own, whatever its type; of a u64 its bits.
int64_t wf_row_value(const wf_result *row, const wf_column_desc *desc);

float wf_row_float(const wf_result *row, const wf_column_desc *desc); // of those that are floats

// One column that is an array of a row's, as `key` (NULL: the value alone); nothing where the row
// has none.
void wf_row_put_array(const wf_result *row, int i_col, const char *key, wf_json_writer *w);

// Puts every column that the row has, of those that its file has, into the open object: numbers as
// lists, or as lists of lists where there are several to a value; status and finish_reason in
// words, bytes as text.
void wf_row_put_json(const wf_result *row, const wf_result_columns *columns, wf_json_writer *w);

#endif
