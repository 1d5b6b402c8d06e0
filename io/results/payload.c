// The one list of what a results file holds, and what it says about a row.
#include "io/results/payload.h"

#include <string.h>

#define WF_ALWAYS        WF_NOWHERE
#define WF_IF(member)    offsetof(wf_result_columns, member)
#define WF_ONE           WF_NOWHERE
#define WF_WIDE(member)  offsetof(wf_result, member)
#define WF_TEXT          WF_NOWHERE
#define WF_COUNT(member) offsetof(wf_result, member)

const wf_column_desc wf_column_descs[WF_N_COLS] = {
#define VALUE_DESC(field, ctype, h5_type, if_there, unit, label_text, words)                       \
    [WF_COL_##field] = {.name = "/requests/" #field,                                               \
                        .type = WF_H5_##h5_type,                                                   \
                        .kind = WF_COLUMN_VALUE,                                                   \
                        .at = offsetof(wf_result, field),                                          \
                        .when = (if_there),                                                        \
                        .width = WF_ONE,                                                           \
                        .label = (label_text),                                                     \
                        .json = #field,                                                            \
                        .units = (unit),                                                           \
                        .description = (words)},
#define ALWAYS_DESC(field, ctype, h5_type, unit, label_text, words)                                \
    VALUE_DESC(field, ctype, h5_type, WF_ALWAYS, unit, label_text, words)
    WF_RESULT_TABLE(ALWAYS_DESC) WF_RESULT_OPTIONAL_TABLE(VALUE_DESC)
#undef ALWAYS_DESC
#undef VALUE_DESC
#define CUT_DESC(cut_name, count, unit, words)                                                     \
    [WF_COL_##cut_name] = {.name = "/requests/" #cut_name,                                         \
                           .type = WF_H5_U64,                                                      \
                           .kind = WF_COLUMN_CUT,                                                  \
                           .at = (count),                                                          \
                           .when = WF_ALWAYS,                                                      \
                           .width = WF_ONE,                                                        \
                           .units = (unit),                                                        \
                           .description = (words)},
        WF_CUT_TABLE(CUT_DESC)
#undef CUT_DESC
#define RAGGED_DESC(field, ctype, h5_type, dataset, cut_name, if_there, wide, member, unit, words) \
    [WF_COL_##field] = {.name = (dataset),                                                         \
                        .type = WF_H5_##h5_type,                                                   \
                        .kind = WF_COLUMN_RAGGED,                                                  \
                        .at = offsetof(wf_result, field),                                          \
                        .cut = WF_COL_##cut_name,                                                  \
                        .when = (if_there),                                                        \
                        .width = (wide),                                                           \
                        .json = (member),                                                          \
                        .units = (unit),                                                           \
                        .description = (words)},
            WF_RAGGED_TABLE(RAGGED_DESC)
#undef RAGGED_DESC
#define WIDE_DESC(field, ctype, h5_type, wide, unit, member, words)                                \
    [WF_COL_##field] = {.name = "/requests/" #field,                                               \
                        .type = WF_H5_##h5_type,                                                   \
                        .kind = WF_COLUMN_WIDE,                                                    \
                        .at = offsetof(wf_result, field),                                          \
                        .when = WF_IF(wide),                                                       \
                        .width = WF_WIDE(wide),                                                    \
                        .json = (member),                                                          \
                        .units = (unit),                                                           \
                        .description = (words)},
                WF_WIDE_TABLE(WIDE_DESC)
#undef WIDE_DESC
#define ANY_STEP_DESC(field, h5_type, if_there, wide, unit, words)                                 \
    [WF_COL_step_##field] = {.name = "/steps/" #field,                                             \
                             .type = WF_H5_##h5_type,                                              \
                             .kind = WF_COLUMN_STEP,                                               \
                             .at = offsetof(wf_step_record, field),                                \
                             .when = (if_there),                                                   \
                             .width = (wide),                                                      \
                             .units = (unit),                                                      \
                             .description = (words)},
#define STEP_DESC(field, ctype, h5_type, unit, words)                                              \
    ANY_STEP_DESC(field, h5_type, WF_IF(steps), WF_ONE, unit, words)
#define STEP_OPTIONAL_DESC(field, ctype, h5_type, if_there, unit, words)                           \
    ANY_STEP_DESC(field, h5_type, if_there, WF_ONE, unit, words)
#define STEP_WIDE_DESC(field, ctype, h5_type, wide, unit, words)                                   \
    ANY_STEP_DESC(field, h5_type, WF_IF(wide), offsetof(wf_step_record, wide), unit, words)
                    WF_STEP_TABLE(STEP_DESC) WF_STEP_OPTIONAL_TABLE(STEP_OPTIONAL_DESC)
                        WF_STEP_WIDE_TABLE(STEP_WIDE_DESC)
#undef STEP_WIDE_DESC
#undef STEP_OPTIONAL_DESC
#undef STEP_DESC
#undef ANY_STEP_DESC
};

static uint32_t *member(wf_result_columns *columns, size_t at)
{
    return (uint32_t *)(void *)((char *)columns + at);
}

static uint32_t number(const wf_result_columns *columns, size_t at)
{
    return *(const uint32_t *)(const void *)((const char *)columns + at);
}

bool wf_column_present(int i_col, const wf_result_columns *columns)
{
    bool is_cut = wf_column_descs[i_col].kind == WF_COLUMN_CUT;
    size_t when = wf_column_descs[is_cut ? wf_column_of_cut(i_col) : i_col].when;
    return when == WF_ALWAYS || number(columns, when) != 0;
}

uint32_t wf_column_rank2(int i_col, const wf_result_columns *columns)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    return desc->width == WF_ONE ? 0 : number(columns, desc->when);
}

uint32_t wf_column_width(int i_col, const wf_result_columns *columns)
{
    uint32_t width = wf_column_rank2(i_col, columns);
    return width == 0 ? 1 : width;
}

bool wf_column_is_array(int i_col)
{
    wf_column_kind kind = wf_column_descs[i_col].kind;
    return kind == WF_COLUMN_RAGGED || kind == WF_COLUMN_WIDE;
}

void wf_column_found(int i_col, uint32_t width, wf_result_columns *columns)
{
    size_t when = wf_column_descs[i_col].when;
    if (when != WF_ALWAYS && number(columns, when) < width) *member(columns, when) = width;
}

int wf_column_of_cut(int i_cut)
{
    int i = 0;
    while (wf_column_descs[i].kind != WF_COLUMN_RAGGED || wf_column_descs[i].cut != i_cut)
        i++;
    return i;
}

const void *wf_column_values(int i_col, const wf_result *row)
{
    const void *values;
    memcpy(&values, (const char *)row + wf_column_descs[i_col].at, sizeof values);
    return values;
}

void wf_column_point(int i_col, wf_result *row, const void *values)
{
    memcpy((char *)row + wf_column_descs[i_col].at, &values, sizeof values);
}

size_t wf_column_count(int i_cut, const wf_result *row)
{
    size_t at = wf_column_descs[i_cut].at;
    if (at != WF_TEXT) return *(const uint32_t *)(const void *)((const char *)row + at);
    const char *text = wf_column_values(wf_column_of_cut(i_cut), row);
    return text ? strlen(text) : 0;
}
