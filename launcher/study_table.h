// What came of a study's runs: a table for people, study.csv, study.h5, study.html. All Local.
#ifndef WF_LAUNCHER_STUDY_TABLE_H
#define WF_LAUNCHER_STUDY_TABLE_H

#include "launcher/study_run.h"

typedef struct wf_study_rows {
    wf_study_result *row; // [n]
    size_t n, capacity;
    wf_paths findings; // sentences
} wf_study_rows;

// One line as a run has ended.
void wf_study_row_print(const wf_study_result *result);

// <out>/study.csv, the same as <out>/study.h5, and <out>/study.html; `command`: how it is made
// again.
wf_status wf_study_table_write(const wf_study_runner *runner, const wf_study_rows *rows,
                               const char *command);

void wf_study_rows_free(wf_study_rows *rows);

#endif
