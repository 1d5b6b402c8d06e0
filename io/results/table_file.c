// See table_file.h.
#include "io/results/table_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/publish.h"
#include "io/h5/h5util.h"

static bool is_number(const char *text, double *out)
{
    *out = NAN;
    return !text[0] || wf_parse_f64(text, -HUGE_VAL, HUGE_VAL, out) == WF_OK;
}

// False when some cell is no number, or all are empty.
static bool are_numbers(const wf_table_column *c, size_t n_rows, double *values)
{
    bool any = false;
    for (size_t i = 0; i < n_rows; i++) {
        if (!is_number(c->cells[i], &values[i])) return false;
        any |= c->cells[i][0] != '\0';
    }
    return any;
}

static wf_status column_write(wf_h5_file *file, const wf_table_column *c, size_t n_rows,
                              double *values)
{
    char name[300];
    snprintf(name, sizeof name, "/table/%.280s", c->name);
    wf_h5_column_spec spec = {
        .name = name, .type = WF_H5_F64, .units = "1", .description = c->name};
    if (are_numbers(c, n_rows, values)) return wf_h5_write(file, &spec, values, n_rows);
    spec.units = "text";
    return wf_h5_write_texts(file, &spec, c->cells, n_rows);
}

wf_status wf_table_file_write(const char *path, const char *title, const wf_table_column *columns,
                              size_t n_columns, size_t n_rows)
{
    wf_part *part = NULL;
    wf_h5_file *file = NULL;
    double *values = NULL;
    wf_status st;
    WF_TRY_TO(done, wf_alloc(n_rows, sizeof *values, &values));
    WF_TRY_TO(done, wf_part_create(path, &part));
    WF_TRY_TO(done, wf_h5_file_create(wf_part_fd(part), wf_part_path(part), &file));
    WF_TRY_TO(done, wf_h5_put_header(file, "weft-table", "1.0"));
    WF_TRY_TO(done, wf_h5_put_text(file, "/", "title", title));
    for (size_t i = 0; i < n_columns; i++)
        WF_TRY_TO(done, column_write(file, &columns[i], n_rows, values));
    WF_TRY_TO(done, wf_h5_file_close(&file));
    WF_TRY_TO(done, wf_part_publish(part, WF_PUBLISH_REPLACE));
done:
    wf_h5_file_abandon(&file);
    wf_part_drop(&part);
    free(values);
    return st;
}
