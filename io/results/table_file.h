// A table as an HDF5 file: a study's runs, one row each.
//
//   /table/<column>[n_rows]     numbers (f64, NaN where there is none), or text of fixed length
//
// Columns come as text, as a CSV has them; one whose cells are all numbers or empty is of numbers.
// HDF5 thread. Local.
#ifndef WF_IO_RESULTS_TABLE_FILE_H
#define WF_IO_RESULTS_TABLE_FILE_H

#include <stddef.h>

#include "io/base/status.h"

typedef struct wf_table_column {
    const char *name;         // without "/"
    const char *const *cells; // [n_rows]
} wf_table_column;

// Whole or not at all; replaces what is there. WF_IO.
wf_status wf_table_file_write(const char *path, const char *title, const wf_table_column *columns,
                              size_t n_columns, size_t n_rows);

#endif
