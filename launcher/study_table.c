// See study_table.h.
#include "launcher/study_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/text.h"
#include "io/results/table_file.h"
#include "results/html/study_page.h"

void wf_study_row_print(const wf_study_result *r)
{
    const wf_figures *f = &r->figures;
    printf("%-40s", r->name);
    if (r->has_figures) {
        printf(" %8.2f requests/s %9.0f tokens/s  TTFT p99 %8.1f ms  TPOT %7.2f ms",
               f->request_throughput, f->output_throughput, f->ttft.p99 / 1e6, f->tpot.mean / 1e6);
        if (f->has_goodput) printf("  good %5.1f%%", 100 * wf_figures_within(f));
    }
    printf("%s%s\n", r->said[0] ? "  " : "", r->said);
    fflush(stdout);
}

// ---- one table of texts -------------------------------------------------------------------------

typedef struct table {
    wf_html_study study;
    const char **keys, **values; // [n_keys], [n_rows * n_keys]
    wf_html_study_row *rows;
    double *shares;
} table;

static void table_free(table *t)
{
    free(t->keys);
    free(t->values);
    free(t->rows);
    free(t->shares);
}

static wf_status row_fill(const wf_study *s, const wf_study_result *r, size_t *at,
                          const char **values, wf_html_study_row *row)
{
    wf_study_point(s, r->i_point, at);
    for (size_t k = 0; k < s->n_axes; k++)
        values[k] = r->rising && (int)k == s->rising ? r->rising : s->axes[k].values.item[at[k]];
    *row = (wf_html_study_row){
        .values = values, .figures = r->has_figures ? &r->figures : NULL, .said = r->said};
    return WF_OK;
}

static wf_status table_make(const wf_study_runner *runner, const wf_study_rows *rows,
                            const char *command, table *t)
{
    const wf_study *s = runner->study;
    size_t *at = NULL;
    WF_TRY(wf_alloc(s->n_axes, sizeof *t->keys, &t->keys));
    WF_TRY(wf_alloc(rows->n * s->n_axes, sizeof *t->values, &t->values));
    WF_TRY(wf_alloc(rows->n, sizeof *t->rows, &t->rows));
    WF_TRY(wf_alloc(rows->n, sizeof *t->shares, &t->shares));
    WF_TRY(wf_alloc(s->n_axes, sizeof *at, &at));
    for (size_t k = 0; k < s->n_axes; k++)
        t->keys[k] = s->axes[k].key;
    for (size_t i = 0; i < rows->n; i++)
        row_fill(s, &rows->row[i], at, t->values + i * s->n_axes, &t->rows[i]);
    free(at);
    t->study = (wf_html_study){.name = s->name,
                               .command = command,
                               .limits = s->limits,
                               .keys = t->keys,
                               .n_keys = s->n_axes,
                               .scale = s->scale,
                               .rising = s->rising,
                               .seed = s->has_seeds ? (int)s->n_axes - 1 : -1,
                               .rows = t->rows,
                               .n_rows = rows->n,
                               .findings = (const char *const *)rows->findings.item,
                               .n_findings = rows->findings.n};
    wf_study_efficiency(&t->study, t->shares);
    return WF_OK;
}

// ---- files --------------------------------------------------------------------------------------

// RFC 4180.
static void put_cell(wf_text *out, const char *text)
{
    bool quoted = text[strcspn(text, ",\"\r\n")] != '\0';
    if (quoted) wf_text_puts(out, "\"");
    for (const char *c = text; *c; c++) {
        if (*c == '"') wf_text_puts(out, "\"");
        wf_text_add(out, c, 1);
    }
    if (quoted) wf_text_puts(out, "\"");
}

static wf_status file_put(const char *folder, const char *name, wf_text *text)
{
    char *path = NULL;
    WF_TRY(text->st);
    WF_TRY(wf_path_join(folder, name, &path));
    wf_status st = wf_file_write_whole(path, text->bytes, text->n, WF_PUBLISH_REPLACE);
    if (st == WF_OK) printf("%s\n", path);
    free(path);
    return st;
}

// Keys that vary, what is wrong, efficiency, and the columns of weft report --csv.
static void csv_put(const table *t, const wf_study_rows *rows, wf_text *out)
{
    const char *head = NULL;
    for (size_t i = 0; i < rows->n && !head; i++)
        head = rows->row[i].head;
    for (size_t k = 0; k < t->study.n_keys; k++) {
        put_cell(out, t->keys[k]);
        wf_text_puts(out, ",");
    }
    wf_text_printf(out, "complete,said,good_share,efficiency%s%s\n", head ? "," : "",
                   head ? head : "");
    for (size_t i = 0; i < rows->n; i++) {
        const wf_study_result *r = &rows->row[i];
        for (size_t k = 0; k < t->study.n_keys; k++) {
            put_cell(out, t->rows[i].values[k]);
            wf_text_puts(out, ",");
        }
        wf_text_printf(out, "%d,", r->complete);
        put_cell(out, r->said);
        wf_text_puts(out, ",");
        if (r->has_figures && r->figures.has_goodput)
            wf_text_printf(out, "%.6f", wf_figures_within(&r->figures));
        wf_text_puts(out, ",");
        if (!isnan(t->shares[i])) wf_text_printf(out, "%.6f", t->shares[i]);
        wf_text_printf(out, "%s%s\n", r->line ? "," : "", r->line ? r->line : "");
    }
}

// ---- the same table as HDF5 ---------------------------------------------------------------------

// The cell at *at, unquoted in place; *at goes behind it and what ends it.
static char *cell_cut(char **at)
{
    char *from = *at, *to = *at, *cell = *at;
    bool quoted = *from == '"';
    from += quoted;
    while (*from && (quoted || (*from != ',' && *from != '\n'))) {
        if (quoted && *from == '"' && from[1] != '"') break;
        from += quoted && *from == '"';
        *to++ = *from++;
    }
    from += quoted && *from == '"';
    *at = *from ? from + 1 : from;
    *to = '\0';
    return cell;
}

// `csv` is cut up. Rows without a run end early: their last cells are empty.
static void cells_cut(char *csv, size_t n_columns, size_t n_lines, const char **cells)
{
    for (size_t line = 0; line < n_lines; line++) {
        char *end = csv, *next;
        bool quoted = false;
        while (*end && (quoted || *end != '\n'))
            quoted ^= *end++ == '"';
        next = *end ? end + 1 : end;
        *end = '\0';
        for (size_t k = 0; k < n_columns; k++)
            cells[k * n_lines + line] = csv < end || k == 0 ? cell_cut(&csv) : "";
        csv = next;
    }
}

static wf_status h5_write(const wf_study_runner *runner, char *csv, size_t n_rows)
{
    size_t n_columns = 1, n_lines = n_rows + 1;
    const char **cells = NULL;
    wf_table_column *columns = NULL;
    char *path = NULL;
    wf_status st;
    for (const char *c = csv; *c && *c != '\n'; c++)
        n_columns += *c == ','; // no name of a column has one
    WF_TRY_TO(done, wf_alloc(n_columns * n_lines, sizeof *cells, &cells));
    WF_TRY_TO(done, wf_alloc(n_columns, sizeof *columns, &columns));
    cells_cut(csv, n_columns, n_lines, cells);
    for (size_t k = 0; k < n_columns; k++)
        columns[k] = (wf_table_column){cells[k * n_lines], cells + k * n_lines + 1};
    WF_TRY_TO(done, wf_path_join(runner->out, "study.h5", &path));
    WF_TRY_TO(done, wf_table_file_write(path, runner->study->name, columns, n_columns, n_rows));
    printf("%s\n", path);
done:
    free(cells);
    free(columns);
    free(path);
    return st;
}

wf_status wf_study_table_write(const wf_study_runner *runner, const wf_study_rows *rows,
                               const char *command)
{
    table t = {0};
    wf_text csv = {0}, page = {0};
    wf_status st;
    WF_TRY_TO(done, table_make(runner, rows, command, &t));
    csv_put(&t, rows, &csv);
    WF_TRY_TO(done, file_put(runner->out, "study.csv", &csv));
    WF_TRY_TO(done, wf_html_study_page(&t.study, &page));
    WF_TRY_TO(done, file_put(runner->out, "study.html", &page));
    st = h5_write(runner, csv.bytes, rows->n); // cuts the text up
done:
    wf_text_free(&csv);
    wf_text_free(&page);
    table_free(&t);
    return st;
}

void wf_study_rows_free(wf_study_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        wf_study_result_free(&rows->row[i]);
    free(rows->row);
    wf_paths_destroy(&rows->findings);
}
