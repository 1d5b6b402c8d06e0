// The one list of what a results file holds.
#include "io/results/segment_columns.h"

#define TYPE_int32_t WF_H5_I32
#define TYPE_int64_t WF_H5_I64

const wf_column_desc wf_column_descs[WF_N_COLS] = {
#define ROW_DESC(field, ctype, type, units, description)                                           \
    [WF_COL_##field] = {"/requests/" #field, WF_H5_##type, WF_COLUMN_ROW, units, description},
    WF_RESULT_TABLE(ROW_DESC)
#undef ROW_DESC
        [WF_COL_error_offset] = {"/requests/error_offset", WF_H5_U64, WF_COLUMN_OFFSET, "bytes",
                                 "row i's error text is error[offset[i]:offset[i+1]]"},
    [WF_COL_error] = {"/requests/error", WF_H5_U8, WF_COLUMN_BYTES, "UTF-8",
                      "one line for people, empty when done"},
    [WF_COL_meta_offset] = {"/requests/meta_offset", WF_H5_U64, WF_COLUMN_OFFSET, "bytes",
                            "row i's meta is meta[offset[i]:offset[i+1]]"},
    [WF_COL_meta] = {"/requests/meta", WF_H5_U8, WF_COLUMN_BYTES, "UTF-8",
                     "passed through from the request"},
    [WF_COL_output_offset] = {"/requests/output_offset", WF_H5_U64, WF_COLUMN_OFFSET, "tokens",
                              "row i's output is /tokens/*[offset[i]:offset[i+1]]"},
    [WF_COL_token_id] = {"/tokens/id", WF_H5_I32, WF_COLUMN_TOKEN, "token",
                         "generated tokens, the ending one included"},
    [WF_COL_token_time] = {"/tokens/time_ns", WF_H5_I64, WF_COLUMN_TIME, "ns",
                           "when the host had the token, run time"},
    [WF_COL_logprob] = {"/tokens/logprob", WF_H5_F32, WF_COLUMN_LOGPROB, "nat",
                        "log probability of the token, NaN where not asked for"},
    [WF_COL_top_id] = {"/tokens/top_id", WF_H5_I32, WF_COLUMN_TOP, "token",
                       "the most probable tokens, -1 beyond those asked for"},
    [WF_COL_top_logprob] = {"/tokens/top_logprob", WF_H5_F32, WF_COLUMN_TOP, "nat",
                            "their log probabilities, NaN beyond those asked for"},
#define STEP_DESC(field, ctype, units, description)                                                \
    [WF_COL_step_##field] = {"/steps/" #field, TYPE_##ctype, WF_COLUMN_STEP, units, description},
    WF_STEP_TABLE(STEP_DESC)
#undef STEP_DESC
        [WF_COL_step_run] = {"/steps/run", WF_H5_U16, WF_COLUMN_STEP, "1", "run of the step"},
    [WF_COL_step_group] = {"/steps/group", WF_H5_U16, WF_COLUMN_STEP, "1", "group of the step"},
};

bool wf_column_present(int i_col, const wf_result_columns *columns)
{
    switch (wf_column_descs[i_col].kind) {
    case WF_COLUMN_TIME:
        return columns->token_times;
    case WF_COLUMN_LOGPROB:
        return columns->logprobs;
    case WF_COLUMN_TOP:
        return columns->n_top > 0;
    case WF_COLUMN_STEP:
        return columns->steps;
    default:
        return true;
    }
}

size_t wf_column_width(int i_col, const wf_result_columns *columns)
{
    return wf_column_descs[i_col].kind == WF_COLUMN_TOP ? columns->n_top : 1;
}
